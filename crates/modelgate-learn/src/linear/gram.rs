//! Means and centred sums of products in one pass. Each chunk is summed around a mean of its own, and two become one by
//! the formula of Chan, Golub and `LeVeque`, 1979, "Updating formulae and a pairwise algorithm for computing sample
//! variances": no digits are lost on columns far from zero.

use modelgate_model::processor::level;
use rayon::prelude::*;

use super::{BLOCK, CHUNK, padded, simd};

/// Rows that are multiplied: features and, behind them, the target.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Row-major `[rows × columns]`.
    pub(crate) values: &'a [f32],
    /// Features of a row.
    pub(crate) columns: usize,
    /// One per row.
    pub(crate) targets: &'a [f64],
    /// One per row; all 1 without.
    pub(crate) weights: Option<&'a [f64]>,
}

/// The means and the centred products of features and target; the target is the last column.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    /// One per column.
    pub(crate) means: Vec<f64>,
    /// Row-major `[columns × columns]`, both halves.
    pub(crate) products: Vec<f64>,
}

/// What one chunk gives; `products` has rows of the padded width and the upper half alone.
struct Part {
    weight: f64,
    means: Vec<f64>,
    products: Vec<f64>,
}

impl Rows<'_> {
    fn chunk(&self, number: usize) -> Self {
        let (start, end) = (number * CHUNK, ((number + 1) * CHUNK).min(self.targets.len()));
        Rows {
            values: &self.values[start * self.columns..end * self.columns],
            columns: self.columns,
            targets: &self.targets[start..end],
            weights: self.weights.map(|weights| &weights[start..end]),
        }
    }

    /// Returns the moments; around zero instead of the means unless `centre`.
    pub(crate) fn moments(&self, centre: bool) -> Moments {
        let (width, stride) = (self.columns + 1, self.stride());
        let chunks = self.targets.len().div_ceil(CHUNK);
        // As many parts are held at once as have about 64 MB; the order of the sum does not depend on it.
        let group = (8_000_000 / (stride * stride)).clamp(4, 256);
        let mut total = Part { weight: 0.0, means: vec![0.0; width], products: vec![0.0; stride * stride] };
        for first in (0..chunks).step_by(group) {
            let numbers = first..(first + group).min(chunks);
            let parts: Vec<Part> =
                numbers.into_par_iter().map(|number| self.chunk(number).part(centre)).collect();
            for part in parts {
                total.add(&part, stride);
            }
        }
        let mut products = vec![0.0; width * width];
        for row in 0..width {
            for column in row..width {
                let value = total.products[row * stride + column];
                products[row * width + column] = value;
                products[column * width + row] = value;
            }
        }
        Moments { means: total.means, products }
    }

    /// One pass over a chunk: around the mean of its first block, then moved to its own.
    fn part(&self, centre: bool) -> Part {
        let level = level();
        let (columns, width) = (self.columns, self.columns + 1);
        let stride = self.stride();
        let rows = self.targets.len();
        let shift = if centre { self.first_means() } else { vec![0.0; width] };
        let mut block = vec![0.0; BLOCK * stride];
        let mut weighted = vec![0.0; if self.weights.is_some() { BLOCK * stride } else { 0 }];
        // A column of ones behind the target: its products are the sums.
        block.chunks_exact_mut(stride).for_each(|row| row[width] = 1.0);
        let mut products = vec![0.0; stride * stride];
        for first in (0..rows).step_by(BLOCK) {
            let count = BLOCK.min(rows - first);
            let cells = count * stride;
            let values = &self.values[first * columns..(first + count) * columns];
            simd::centre(level, values, &shift[..columns], stride, &mut block[..cells]);
            for (row, target) in block.chunks_exact_mut(stride).zip(&self.targets[first..first + count]) {
                row[columns] = target - shift[columns];
            }
            let Some(weights) = self.weights else {
                simd::add_products(level, &block[..cells], &block[..cells], stride, &mut products);
                continue;
            };
            for ((weighted, row), weight) in
                weighted.chunks_exact_mut(stride).zip(block.chunks_exact(stride)).zip(&weights[first..])
            {
                weighted.iter_mut().zip(row).for_each(|(cell, value)| *cell = weight * value);
            }
            simd::add_products(level, &weighted[..cells], &block[..cells], stride, &mut products);
        }
        let weight = products[width * stride + width];
        let mut means = vec![0.0; width];
        if centre && weight > 0.0 {
            let sums: Vec<f64> = (0..width).map(|row| products[row * stride + width]).collect();
            for (row, one) in sums.iter().enumerate() {
                for (column, other) in sums.iter().enumerate().skip(row) {
                    products[row * stride + column] -= one * (other / weight);
                }
                means[row] = shift[row] + one / weight;
            }
        }
        Part { weight, means, products }
    }

    fn stride(&self) -> usize {
        padded(self.columns + 2)
    }

    /// Returns the means of the first block's rows: near enough that nothing is lost when they are moved from.
    fn first_means(&self) -> Vec<f64> {
        let count = self.targets.len().min(BLOCK);
        let mut sums = vec![0.0; self.columns + 1];
        for (row, target) in self.values.chunks_exact(self.columns).zip(&self.targets[..count]) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            sums[self.columns] += target;
        }
        sums.iter().map(|sum| sum / count as f64).collect()
    }
}

impl Part {
    fn add(&mut self, other: &Self, stride: usize) {
        let weight = self.weight + other.weight;
        if other.weight <= 0.0 {
            return;
        }
        let shift: Vec<f64> = other.means.iter().zip(&self.means).map(|(other, own)| other - own).collect();
        let factor = self.weight * (other.weight / weight);
        self.products.iter_mut().zip(&other.products).for_each(|(sum, value)| *sum += value);
        for (row, one) in shift.iter().enumerate() {
            for (column, another) in shift.iter().enumerate().skip(row) {
                self.products[row * stride + column] += one * another * factor;
            }
        }
        for (mean, shift) in self.means.iter_mut().zip(&shift) {
            *mean += shift * (other.weight / weight);
        }
        self.weight = weight;
    }
}

impl Rows<'_> {
    /// Returns the weighted means of the features and, last, the target.
    pub(crate) fn means(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns + 1];
        let mut total = 0.0;
        for (row, (values, target)) in self.values.chunks_exact(self.columns).zip(self.targets).enumerate() {
            let weight = self.weights.map_or(1.0, |weights| weights[row]);
            total += weight;
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * f64::from(*value));
            sums[self.columns] += weight * target;
        }
        sums.iter_mut().for_each(|sum| *sum /= total);
        sums
    }

    /// Returns `Σ weight · (target − intercept − coefficients · x) · (x − means)`, the right side of one step of
    /// refinement.
    pub(crate) fn residual_products(&self, means: &[f64], coefficients: &[f64]) -> Vec<f64> {
        let (columns, stride) = (self.columns, padded(self.columns + 1));
        let level = level();
        let chunks = self.targets.len().div_ceil(CHUNK);
        let mut point = vec![0.0; stride];
        point[..columns].copy_from_slice(coefficients);
        let part = |number: usize| {
            let chunk = self.chunk(number);
            let mut sums = vec![0.0; stride];
            let mut block = vec![0.0; BLOCK * stride];
            let mut found = vec![0.0; BLOCK];
            for first in (0..chunk.targets.len()).step_by(BLOCK) {
                let count = BLOCK.min(chunk.targets.len() - first);
                let values = &chunk.values[first * columns..(first + count) * columns];
                let cells = count * stride;
                simd::centre(level, values, &means[..columns], stride, &mut block[..cells]);
                simd::dots(level, &block[..cells], &point, &mut found[..count]);
                for (at, found) in found[..count].iter_mut().enumerate() {
                    let weight = chunk.weights.map_or(1.0, |weights| weights[first + at]);
                    *found = weight * (chunk.targets[first + at] - means[columns] - *found);
                }
                simd::add_rows(level, &block[..cells], &found[..count], &mut sums);
            }
            sums
        };
        let parts: Vec<Vec<f64>> = (0..chunks).into_par_iter().map(part).collect();
        let mut total = vec![0.0; columns];
        for part in parts {
            total.iter_mut().zip(&part).for_each(|(sum, value)| *sum += value);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_definition_and_the_same_on_any_number_of_threads() {
        let (rows, columns) = (20_000, 3);
        let values: Vec<f32> = (0..rows * columns).map(|at| 1e5 + ((at * 7919) % 1013) as f32).collect();
        let targets: Vec<f64> = (0..rows).map(|at| ((at * 31) % 97) as f64).collect();
        let weights: Vec<f64> = (0..rows).map(|at| (at % 3) as f64).collect();
        let data = Rows { values: &values, columns, targets: &targets, weights: Some(&weights) };
        let fitted = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| data.moments(true))
        };
        let found = fitted(1);
        for threads in [2, 3, 8] {
            assert_eq!(found.products, fitted(threads).products);
        }
        let cell = |row: usize, column: usize| {
            if column == columns { targets[row] } else { f64::from(values[row * columns + column]) }
        };
        let total: f64 = weights.iter().sum();
        let mean = |column: usize| (0..rows).map(|row| weights[row] * cell(row, column)).sum::<f64>() / total;
        for one in 0..=columns {
            for other in 0..=columns {
                let (first, second) = (mean(one), mean(other));
                let expected: f64 = (0..rows)
                    .map(|row| weights[row] * (cell(row, one) - first) * (cell(row, other) - second))
                    .sum();
                let got = found.products[one * (columns + 1) + other];
                assert!((got - expected).abs() <= 1e-9 * expected.abs().max(1e5), "{got} {expected}");
            }
        }
    }
}
