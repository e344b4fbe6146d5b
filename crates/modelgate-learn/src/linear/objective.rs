//! The logistic objective over standardised features, its gradient and its curvature, in one pass.
//!
//! Inside, features are less their mean and over their deviation: the minimum is the same, and a column in millimetres
//! costs no more steps than one in kilometres.

use modelgate_model::processor::level;
use rayon::prelude::*;

use super::{BLOCK, CHUNK, padded, simd};

/// Mean and deviation of each column.
pub(crate) struct Scales {
    pub(crate) means: Vec<f64>,
    /// One over the deviation; 0 for a constant column.
    pub(crate) inverse: Vec<f64>,
}

/// The function to minimise. A point lies `[outputs × (columns + 1)]`, the intercept last of each output.
pub(crate) struct Objective<'a> {
    /// Row-major `[rows × columns]`.
    pub(crate) values: &'a [f32],
    pub(crate) columns: usize,
    /// Position of the class, one per row.
    pub(crate) labels: &'a [u32],
    /// One per class.
    pub(crate) class_weights: Vec<f64>,
    /// One per row; all 1 without.
    pub(crate) weights: Option<&'a [f64]>,
    /// 1 for two classes, of which the first has the logit 0; else the number of classes.
    pub(crate) outputs: usize,
    /// What half the squared norm of the coefficients is multiplied by.
    pub(crate) strength: f64,
    pub(crate) intercept: bool,
    pub(crate) scales: Scales,
    /// Every how many chunks one is looked at: more than 1 for a sample.
    pub(crate) every: usize,
}

/// The objective at a point, over the sum of weights.
pub(crate) struct Evaluation {
    pub(crate) value: f64,
    pub(crate) gradient: Vec<f64>,
    /// Row-major `[size × size]`; empty unless asked for.
    pub(crate) curvature: Vec<f64>,
    /// Rows whose class is not the most probable one.
    pub(crate) wrong: u64,
}

struct Part {
    weight: f64,
    loss: f64,
    wrong: u64,
    gradient: Vec<f64>,
    curvature: Vec<f64>,
}

/// Returns means and deviations of the columns; around zero unless `centre`.
pub(crate) fn scales(values: &[f32], columns: usize, centre: bool) -> Scales {
    let rows = (values.len() / columns) as f64;
    let sums = |shift: &[f64], square: bool| -> Vec<f64> {
        let parts: Vec<Vec<f64>> = values
            .par_chunks(CHUNK * columns)
            .map(|chunk| {
                let mut sums = vec![0.0; columns];
                for row in chunk.chunks_exact(columns) {
                    for ((sum, value), shift) in sums.iter_mut().zip(row).zip(shift) {
                        let value = f64::from(*value) - shift;
                        *sum += if square { value * value } else { value };
                    }
                }
                sums
            })
            .collect();
        parts.iter().fold(vec![0.0; columns], |mut total, part| {
            total.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
            total
        })
    };
    let zeros = vec![0.0; columns];
    let means: Vec<f64> =
        if centre { sums(&zeros, false).into_iter().map(|sum| sum / rows).collect() } else { zeros };
    let inverse = |(square, mean): (f64, &f64)| {
        let deviation = (square / rows).sqrt();
        // What rounding leaves of a constant column is not a deviation.
        if deviation > 1e-12 * mean.abs() { 1.0 / deviation } else { 0.0 }
    };
    let inverse = sums(&means, true).into_iter().zip(&means).map(inverse).collect();
    Scales { means, inverse }
}

impl Objective<'_> {
    /// Returns the number of coefficients and intercepts.
    pub(crate) fn size(&self) -> usize {
        self.outputs * (self.columns + 1)
    }

    /// Returns the diagonal of the curvature at zero, over the sum of weights: nearly 1 of the standardised features, times p (1 − p) of
    /// classes that are all as probable, and the penalty of each, which is large where the deviation is small.
    pub(crate) fn diagonal(&self) -> Vec<f64> {
        let weight = |(row, label): (usize, &u32)| {
            self.class_weights[*label as usize] * self.weights.map_or(1.0, |weights| weights[row])
        };
        let total: f64 = self.labels.iter().enumerate().map(weight).sum();
        let share = 1.0 / self.outputs.max(2) as f64;
        let of_column = |inverse: &f64| {
            if *inverse == 0.0 {
                1.0
            } else {
                share * (1.0 - share) + self.strength * inverse * inverse / total
            }
        };
        let one = self.scales.inverse.iter().map(of_column).chain([share * (1.0 - share)]);
        let one: Vec<f64> = one.collect();
        one.repeat(self.outputs)
    }

    /// Evaluates the objective at `point`.
    pub(crate) fn evaluate(&self, point: &[f64], with_curvature: bool) -> Evaluation {
        let chunks: Vec<usize> = (0..self.labels.len().div_ceil(CHUNK)).step_by(self.every).collect();
        let size = self.size();
        let cells = if with_curvature { size * size } else { size };
        let group = (8_000_000 / cells).clamp(4, 256);
        let mut total = self.empty(with_curvature);
        for numbers in chunks.chunks(group) {
            let parts: Vec<Part> =
                numbers.par_iter().map(|number| self.part(*number, point, with_curvature)).collect();
            for part in &parts {
                total.weight += part.weight;
                total.loss += part.loss;
                total.wrong += part.wrong;
                total.gradient.iter_mut().zip(&part.gradient).for_each(|(sum, one)| *sum += one);
                total.curvature.iter_mut().zip(&part.curvature).for_each(|(sum, one)| *sum += one);
            }
        }
        self.finish(total, point)
    }

    fn stride(&self) -> usize {
        padded(self.columns + 1)
    }

    fn empty(&self, with_curvature: bool) -> Part {
        let stride = self.stride();
        let pairs = if with_curvature { self.outputs * (self.outputs + 1) / 2 } else { 0 };
        Part {
            weight: 0.0,
            loss: 0.0,
            wrong: 0,
            gradient: vec![0.0; self.outputs * stride],
            curvature: vec![0.0; pairs * stride * stride],
        }
    }

    fn part(&self, chunk: usize, point: &[f64], with_curvature: bool) -> Part {
        let level = level();
        let (columns, stride, outputs) = (self.columns, self.stride(), self.outputs);
        let (start, end) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(self.labels.len()));
        let mut part = self.empty(with_curvature);
        let mut padded_point = vec![0.0; outputs * stride];
        for (padded, point) in padded_point.chunks_exact_mut(stride).zip(point.chunks_exact(columns + 1)) {
            padded[..=columns].copy_from_slice(point);
        }
        let mut block = vec![0.0; BLOCK * stride];
        let mut weighted = vec![0.0; if with_curvature { BLOCK * stride } else { 0 }];
        // Of each output: logits, then probabilities, then slopes.
        let mut logits = vec![0.0; outputs * BLOCK];
        let mut slopes = vec![0.0; outputs * BLOCK];
        let mut weights = vec![0.0; BLOCK];
        for row in block.chunks_exact_mut(stride) {
            row[columns] = f64::from(u8::from(self.intercept));
        }
        for first in (start..end).step_by(BLOCK) {
            let count = BLOCK.min(end - first);
            let cells = count * stride;
            let values = &self.values[first * columns..(first + count) * columns];
            let Scales { means, inverse } = &self.scales;
            simd::standardise(level, values, means, inverse, stride, &mut block[..cells]);
            for (logits, point) in logits.chunks_exact_mut(BLOCK).zip(padded_point.chunks_exact(stride)) {
                simd::dots(level, &block[..cells], point, &mut logits[..count]);
            }
            let labels = &self.labels[first..first + count];
            for (at, (weight, label)) in weights.iter_mut().zip(labels).enumerate() {
                *weight = self.class_weights[*label as usize]
                    * self.weights.map_or(1.0, |weights| weights[first + at]);
            }
            let weights = &weights[..count];
            part.weight += weights.iter().sum::<f64>();
            if outputs == 1 {
                two_classes(&mut logits[..count], &mut slopes[..count], weights, labels, &mut part);
            } else {
                many_classes(&mut logits, &mut slopes, weights, labels, &mut part);
            }
            for (slopes, gradient) in slopes.chunks_exact(BLOCK).zip(part.gradient.chunks_exact_mut(stride)) {
                simd::add_rows(level, &block[..cells], &slopes[..count], gradient);
            }
            if !with_curvature {
                continue;
            }
            let mut curvatures = part.curvature.chunks_exact_mut(stride * stride);
            for one in 0..outputs {
                for other in one..outputs {
                    let Some(curvature) = curvatures.next() else { break };
                    let rows = weighted.chunks_exact_mut(stride).zip(block.chunks_exact(stride));
                    for (at, (weighted, row)) in rows.take(count).enumerate() {
                        let (own, across) = (logits[one * BLOCK + at], logits[other * BLOCK + at]);
                        let factor = if one == other { own * (1.0 - own) } else { -own * across };
                        let factor = factor * weights[at];
                        weighted.iter_mut().zip(row).for_each(|(cell, value)| *cell = factor * value);
                    }
                    simd::add_products(level, &weighted[..cells], &block[..cells], stride, curvature);
                }
            }
        }
        part
    }

    /// Takes the padding away, adds the penalty and divides by the sum of weights.
    fn finish(&self, part: Part, point: &[f64]) -> Evaluation {
        let (columns, stride, outputs) = (self.columns, self.stride(), self.outputs);
        let (width, size) = (columns + 1, self.size());
        let mut gradient = vec![0.0; size];
        for (compact, padded) in gradient.chunks_exact_mut(width).zip(part.gradient.chunks_exact(stride)) {
            compact.copy_from_slice(&padded[..width]);
        }
        let mut curvature = vec![0.0; if part.curvature.is_empty() { 0 } else { size * size }];
        let mut pairs = part.curvature.chunks_exact(stride * stride);
        for one in 0..outputs {
            for other in one..outputs {
                let Some(pair) = pairs.next() else { break };
                for row in 0..width {
                    for column in 0..width {
                        let (low, high) = (row.min(column), row.max(column));
                        let value = pair[low * stride + high];
                        curvature[(one * width + row) * size + other * width + column] = value;
                        curvature[(other * width + column) * size + one * width + row] = value;
                    }
                }
            }
        }
        let mut penalty = 0.0;
        for output in 0..outputs {
            for column in 0..columns {
                let at = output * width + column;
                let inverse = self.scales.inverse[column];
                // Of a constant column the coefficient is 0, by a penalty of its own.
                let strength = if inverse == 0.0 { part.weight } else { self.strength * inverse * inverse };
                gradient[at] += strength * point[at];
                penalty += 0.5 * strength * point[at] * point[at];
                if !curvature.is_empty() {
                    curvature[at * size + at] += strength;
                }
            }
            let at = output * width + columns;
            if !self.intercept {
                gradient[at] = 0.0;
                if !curvature.is_empty() {
                    curvature[at * size + at] = part.weight;
                }
            }
        }
        if outputs > 1 && !curvature.is_empty() {
            self.hold_sums(&mut curvature, part.weight);
        }
        let over = |values: Vec<f64>| values.into_iter().map(|value| value / part.weight).collect();
        Evaluation {
            value: (part.loss + penalty) / part.weight,
            gradient: over(gradient),
            curvature: over(curvature),
            wrong: part.wrong,
        }
    }

    /// Softmax does not see a number that is added to a parameter of every class: where no penalty does either, the
    /// sum over the classes is held where it is, at zero.
    fn hold_sums(&self, curvature: &mut [f64], weight: f64) {
        let (width, size) = (self.columns + 1, self.size());
        for column in 0..width {
            let free = if column == self.columns { self.intercept } else { self.strength == 0.0 };
            if !free {
                continue;
            }
            for one in 0..self.outputs {
                for other in 0..self.outputs {
                    curvature[(one * width + column) * size + other * width + column] += weight;
                }
            }
        }
    }
}

/// Turns logits into probabilities of the second class, and adds the losses.
fn two_classes(logits: &mut [f64], slopes: &mut [f64], weights: &[f64], labels: &[u32], part: &mut Part) {
    // The product of the block's factors has one logarithm: each is from 1 to 2, so that 64 of them stay small.
    let plain = weights.iter().all(|weight| *weight == 1.0);
    let mut product = 1.0;
    for (((logit, slope), weight), label) in logits.iter_mut().zip(slopes).zip(weights).zip(labels) {
        let margin = *logit;
        let power = libm::exp(-margin.abs());
        let one = 1.0 / (1.0 + power);
        let probability = if margin >= 0.0 { one } else { power * one };
        let actual = f64::from(*label);
        *logit = probability;
        *slope = weight * (probability - actual);
        let linear = margin.max(0.0) - actual * margin;
        part.wrong += u64::from((margin > 0.0) != (*label == 1) && *weight > 0.0);
        if plain {
            product *= 1.0 + power;
            part.loss += linear;
        } else {
            part.loss += weight * (linear + libm::log1p(power));
        }
    }
    if plain {
        part.loss += libm::log(product);
    }
}

/// Turns logits `[outputs × BLOCK]` into probabilities, and adds the losses.
fn many_classes(logits: &mut [f64], slopes: &mut [f64], weights: &[f64], labels: &[u32], part: &mut Part) {
    for (at, (weight, label)) in weights.iter().zip(labels).enumerate() {
        let label = *label as usize;
        let own = || logits.iter().skip(at).step_by(BLOCK);
        let highest = own().copied().fold(f64::NEG_INFINITY, f64::max);
        let margin = logits[label * BLOCK + at] - highest;
        part.wrong += u64::from(margin < 0.0 && *weight > 0.0);
        let mut sum = 0.0;
        for logit in logits.iter_mut().skip(at).step_by(BLOCK) {
            *logit = libm::exp(*logit - highest);
            sum += *logit;
        }
        part.loss += weight * (libm::log(sum) - margin);
        let outputs = logits.iter_mut().skip(at).step_by(BLOCK);
        for (class, (logit, slope)) in outputs.zip(slopes.iter_mut().skip(at).step_by(BLOCK)).enumerate() {
            *logit /= sum;
            *slope = weight * (*logit - f64::from(u8::from(class == label)));
        }
    }
}
