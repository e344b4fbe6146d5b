//! The rounds of boosting.

use std::collections::BTreeMap;

use modelgate_model::estimator::{Boosted, Estimator, Prepared, Tree};
use modelgate_model::processor::{Level, level};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::bins::{Binned, sample};
use super::divide::Ground;
use super::grow::{Grower, Node, Shape};
use super::held_out::{HeldOut, scaled};
use super::loss::{Class, Objective, PIECE, exact_sum, weighted_quantile};
use super::settings::{GradientBoosting, Loss};
use super::split::Limits;
use super::spread::Spread;
use super::{content, emit, leaves, reorder};
use crate::check::{check, check_rows, resolution};
use crate::error::LearnError;
use crate::forest::varying;
use crate::pages;
use crate::random::SplitMix64;
use crate::trainer::{FeatureMatrix, FitOutcome, Targets, Validation};

/// Below this many rows the classes of a round are grown side by side.
const FEW: usize = 1 << 14;

/// The largest step of a leaf in log odds, before the learning rate. Where nearly all rows of a leaf are predicted with certainty and one
/// of them is not what was predicted, Newton's step is hundreds of times longer than what its formula holds for, and a rare class
/// makes scores diverge. Friedman, Hastie and Tibshirani, 2000, "Additive logistic regression", limit what a row asks for to 2 to 4.
const LARGEST_STEP: f64 = 8.0;

/// Where scores begin and what one unit of them is.
struct Start {
    /// Subtracted from targets, in their own units.
    base: f64,
    /// One unit of scores, in units of the target.
    scale: f64,
    /// The scores that rows begin with, in units of scores.
    scores: Vec<f32>,
}

/// What one tree of a round has given.
struct Grown {
    tree: Tree,
    /// Gain and number of splits per feature.
    importance: Vec<(f64, usize)>,
}

impl GradientBoosting {
    pub(super) fn fit_on(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
        validation: Option<Validation<'_>>,
        seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        check(matrix, targets, weights)?;
        let coarse = resolution(targets, weights)?;
        let (categorical, monotonic) = self.columns(matrix, targets)?;
        let given = weights;
        let weights = self.row_weights(targets, given)?;
        let mut rows: Vec<u32> = (0..matrix.rows as u32)
            .filter(|row| weights.is_empty() || weights[*row as usize] > 0.0)
            .collect();
        let mut numbers = content::numbers(matrix, &varying(matrix, &rows), targets, &weights, &rows);
        let held = if self.early_stopping && validation.is_none() {
            self.hold_out(&mut rows, &numbers, seed)?
        } else {
            Vec::new()
        };
        let start = self.start(targets, &weights, &rows);
        let noise: Vec<u8> = numbers.iter().map(|number| *number as u8).collect();
        let sample = sample(&rows, &numbers);
        if self.subsample >= 1.0 {
            // They are needed further where each round draws its rows, and take as much memory as an eighth of a fit.
            numbers = Vec::new();
        }
        let binned = Binned::new(matrix, &rows, &sample, self.max_bins, &categorical, &monotonic)?;
        drop(sample);
        let mut learned = scaled(targets, start.base, start.scale);
        let mut held = match validation {
            Some(validation) if self.early_stopping => {
                let classes = self.class_weights(targets, given)?;
                Some(self.looked_at(matrix, validation, classes, &start)?)
            }
            _ if held.is_empty() => None,
            _ => {
                let (rows, targets) = (held, learned.clone());
                // Their distances are not to be learned from, nor to make the unit of those that are.
                rows.iter().for_each(|row| learned[*row as usize] = 0.0);
                Some(HeldOut::new(
                    *matrix,
                    rows,
                    targets,
                    weights.clone(),
                    (&start.scores, start.scale),
                    self.loss,
                ))
            }
        };
        let weighing = if weights.is_empty() {
            Spread::ones(rows.len())
        } else {
            let sum = exact_sum(rows.iter().map(|row| f64::from(weights[*row as usize])));
            Spread { sum, ..Spread::of(rows.len(), rows.len(), |at| weights[rows[at] as usize]) }
        };
        let objective =
            Objective { loss: self.loss, targets: learned, weights, weighing, noise, rows: rows.len() };
        let features = binned.features.len();
        let mut rounds = Rounds {
            settings: self,
            objective,
            binned,
            rows,
            numbers,
            start: &start,
            level: level(),
            seed,
            trees: Vec::new(),
            importance: vec![(0.0, 0); features],
            best_importance: Vec::new(),
        };
        if features > 0 {
            rounds.run(matrix.rows, held.as_mut());
        }
        let Rounds { binned, mut trees, mut importance, best_importance, .. } = rounds;
        let width = start.scores.len();
        let mut details = BTreeMap::new();
        details.insert("rounds".to_owned(), json!(trees.len() / width));
        if let Some(held) = &held {
            trees.truncate(held.best_round * width);
            if !best_importance.is_empty() {
                importance = best_importance;
            }
            details.insert("best_round".to_owned(), json!(held.best_round));
            details.insert("validation_loss".to_owned(), json!(held.best()));
        }
        let total: f64 = importance.iter().map(|one| one.0).sum();
        let gain = |place: usize| if total > 0.0 { importance[place].0 / total } else { 0.0 };
        details.insert("feature_importances".to_owned(), by_name(&binned, matrix, gain));
        let splits = by_name(&binned, matrix, |place| importance[place].1 as u64);
        details.insert("feature_splits".to_owned(), splits);
        let mut warnings = warnings(&binned, matrix);
        warnings.extend(coarse);
        if trees.is_empty() {
            // An ensemble without a tree is no model to ONNX Runtime.
            trees = vec![constant(); width];
        }
        let base = match self.loss {
            Loss::LogLoss => start.scores.clone(),
            _ => vec![start.base as f32],
        };
        let prepared = Prepared::default();
        let boosted = Boosted { features: matrix.columns, scores: width, base, trees, prepared };
        let finite = |tree: &Tree| tree.values.iter().all(|value| value.is_finite());
        if !boosted.trees.iter().all(finite) {
            return Err(LearnError::Data(
                "leaf values left the range of numbers; use a smaller learning_rate, or l2_regularization"
                    .to_owned(),
            ));
        }
        let estimator = match targets {
            Targets::Classes { .. } => Estimator::BoostedClassifier(boosted),
            Targets::Values(_) => Estimator::BoostedRegressor(boosted),
        };
        Ok(FitOutcome { estimator, warnings, details })
    }

    /// Returns the validation rows as early stopping looks at them.
    fn looked_at<'a>(
        &self,
        matrix: &FeatureMatrix<'_>,
        validation: Validation<'a>,
        classes: Option<Vec<f64>>,
        start: &Start,
    ) -> Result<HeldOut<'a>, LearnError> {
        let told = |error: LearnError| {
            LearnError::Data(format!("early stopping looks at the validation rows: {error}"))
        };
        let Validation { matrix: held, targets, weights } = validation;
        check_rows(held, targets, weights, "validation").map_err(told)?;
        if held.columns != matrix.columns {
            let message = format!("they have {} features, not {}", held.columns, matrix.columns);
            return Err(told(LearnError::Data(message)));
        }
        // Classes weigh what they weigh in training.
        let weights = match (classes, targets) {
            (Some(classes), Targets::Classes { labels, .. }) => {
                let of = |row: usize| classes[labels[row] as usize] * weights.map_or(1.0, |all| all[row]);
                (0..held.rows).map(|row| of(row) as f32).collect()
            }
            _ => weights.map_or_else(Vec::new, |all| all.iter().map(|weight| *weight as f32).collect()),
        };
        let rows = (0..held.rows as u32).collect();
        let targets = scaled(targets, start.base, start.scale);
        Ok(HeldOut::new(*held, rows, targets, weights, (&start.scores, start.scale), self.loss))
    }

    /// Returns per column whether it is categorical and how the answer may move with it.
    fn columns(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
    ) -> Result<(Vec<bool>, Vec<i8>), LearnError> {
        let mut categorical = vec![false; matrix.columns];
        let mut monotonic = vec![0; matrix.columns];
        let place = |name: &str, setting: &str| {
            matrix.names.iter().position(|known| known == name).ok_or_else(|| {
                let prefix = format!("{name}=");
                let hint = if matrix.names.iter().any(|known| known.starts_with(&prefix)) {
                    " but one for each of its values; set `preprocess.encode: ordinal`".to_owned()
                } else {
                    let hint = crate::params::nearest(name, matrix.names.iter().map(String::as_str));
                    if hint.is_empty() { hint } else { format!(";{hint}") }
                };
                LearnError::Setting(format!("params.{setting}: there is no feature `{name}`{hint}"))
            })
        };
        for name in &self.categorical {
            categorical[place(name, "categorical_features")?] = true;
        }
        for (name, sign) in &self.monotonic {
            monotonic[place(name, "monotonic_cst")?] = *sign;
        }
        let many = matches!(targets, Targets::Classes { classes, .. } if *classes > 2);
        if many && monotonic.iter().any(|sign| *sign != 0) {
            return Err(LearnError::Setting(
                "params.monotonic_cst: it has no meaning for more than two classes".to_owned(),
            ));
        }
        Ok((categorical, monotonic))
    }

    /// Returns the weight of each row, classes' included; empty where all weigh the same.
    fn row_weights(&self, targets: &Targets<'_>, weights: Option<&[f64]>) -> Result<Vec<f32>, LearnError> {
        let classes = match targets {
            Targets::Classes { labels, .. } => {
                self.class_weights(targets, weights)?.map(|weights| (*labels, weights))
            }
            Targets::Values(_) => None,
        };
        if weights.is_none() && classes.is_none() {
            return Ok(Vec::new());
        }
        let rows = match targets {
            Targets::Classes { labels, .. } => labels.len(),
            Targets::Values(values) => values.len(),
        };
        let weight = |row: usize| {
            let class = classes.as_ref().map_or(1.0, |(labels, weights)| weights[labels[row] as usize]);
            weights.map_or(1.0, |weights| weights[row]) * class
        };
        let all: Vec<f64> = (0..rows).map(weight).collect();
        // Only their ratios count where there is no penalty; their mean is 1, as penalties and limits expect.
        let counted = all.iter().filter(|weight| **weight > 0.0).count().max(1);
        let mean = exact_sum(all.iter().copied()) / counted as f64;
        Ok(all.into_iter().map(|weight| (weight / mean) as f32).collect())
    }

    /// Returns the weight of each class; `None` where all weigh the same.
    fn class_weights(
        &self,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
    ) -> Result<Option<Vec<f64>>, LearnError> {
        let Targets::Classes { labels, names, .. } = targets else { return Ok(None) };
        let found = self.class_weight.weights(labels, names, weights).map_err(LearnError::Setting)?;
        Ok(found.iter().any(|weight| *weight != 1.0).then_some(found))
    }

    /// Takes the share of rows that early stopping looks at out of `rows`.
    fn hold_out(&self, rows: &mut Vec<u32>, numbers: &[u64], seed: u64) -> Result<Vec<u32>, LearnError> {
        let count = (rows.len() as f64 * self.validation_fraction).round() as usize;
        if count == 0 || count == rows.len() {
            return Err(LearnError::Data(format!(
                "early_stopping: {} rows are too few to hold out a share of {}",
                rows.len(),
                self.validation_fraction
            )));
        }
        let draw = SplitMix64::stream(seed, u64::MAX).next();
        let [held, others] = content::parted(numbers, rows, count, draw);
        *rows = others;
        Ok(held)
    }

    fn start(&self, targets: &Targets<'_>, weights: &[f32], rows: &[u32]) -> Start {
        let weight = |row: &u32| weights.get(*row as usize).map_or(1.0, |weight| f64::from(*weight));
        match targets {
            Targets::Classes { labels, classes, .. } => {
                let mut sums = vec![0.0_f64; *classes];
                if weights.is_empty() {
                    for row in rows {
                        if let Some(sum) = sums.get_mut(labels[*row as usize] as usize) {
                            *sum += 1.0;
                        }
                    }
                } else {
                    for (class, sum) in sums.iter_mut().enumerate() {
                        let of_class = rows.iter().filter(|row| labels[**row as usize] as usize == class);
                        *sum = exact_sum(of_class.map(weight));
                    }
                }
                let total: f64 = sums.iter().sum();
                // A class that is in no row gets a small share, so that its logarithm is a number.
                let log = |sum: f64| libm::log((sum / total).max(1e-12));
                let scores = match sums[..] {
                    [first, second] => vec![(log(second) - log(first)) as f32],
                    _ => sums.iter().map(|sum| log(*sum) as f32).collect(),
                };
                Start { base: 0.0, scale: 1.0, scores }
            }
            Targets::Values(values) => {
                let base = match self.loss {
                    Loss::AbsoluteError | Loss::Quantile(_) => {
                        let share = if let Loss::Quantile(share) = self.loss { share } else { 0.5 };
                        let pair = |row: &u32| (values[*row as usize] as f32, weight(row) as f32);
                        weighted_quantile(&mut rows.iter().map(pair).collect::<Vec<_>>(), share)
                    }
                    _ => {
                        let sum = exact_sum(rows.iter().map(|row| weight(row) * values[*row as usize]));
                        sum / exact_sum(rows.iter().map(weight))
                    }
                };
                // The model holds it in 32 bits: what that loses is left for the trees.
                let base = f64::from(base as f32);
                let distance = |row: &u32| (values[*row as usize] - base).abs();
                let largest = rows.iter().map(distance).fold(0.0, f64::max);
                let scale = if largest > 0.0 { largest } else { 1.0 };
                Start { base, scale, scores: vec![0.0] }
            }
        }
    }
}

/// The rounds as they go.
struct Rounds<'a> {
    settings: &'a GradientBoosting,
    objective: Objective,
    binned: Binned,
    /// Those that are learned from, rising.
    rows: Vec<u32>,
    /// The number of each row of the matrix, by which rounds draw; empty where they take all.
    numbers: Vec<u64>,
    start: &'a Start,
    level: Level,
    seed: u64,
    trees: Vec<Tree>,
    importance: Vec<(f64, usize)>,
    /// The importance when the held-out rows were predicted best.
    best_importance: Vec<(f64, usize)>,
}

impl Rounds<'_> {
    /// `count` is the number of rows of the matrix.
    fn run(&mut self, count: usize, mut held: Option<&mut HeldOut<'_>>) {
        let width = self.start.scores.len();
        let mut scores: Vec<Vec<f32>> = self.start.scores.iter().map(|score| vec![*score; count]).collect();
        let mut probabilities = vec![Vec::new(); if width > 1 { width } else { 0 }];
        let together = width > 1 && self.rows.len() < FEW;
        let workers = if together { width } else { 1 };
        let mut growers: Vec<(Grower, Vec<u32>)> =
            (0..workers).map(|_| (Grower::new(self.binned.stride), pages::zeros(count))).collect();
        let done = self.settings.progress.counter(self.settings.rounds);
        for round in 0..self.settings.rounds {
            let drawn = self.drawn(round);
            let rows = drawn.as_deref().unwrap_or(&self.rows);
            softmax(&scores, &mut probabilities);
            let this = &*self;
            let moves = !together
                && drawn.is_none()
                && reorder::is_due(round + 1, self.settings.rounds, rows.len(), &self.binned);
            let one = |number: usize, grower: &mut (Grower, Vec<u32>), scores: &mut Vec<f32>| {
                let class =
                    probabilities.get(number).map(|probabilities| Class { number, of: width, probabilities });
                let stream = (round * width + number) as u64;
                this.tree(grower, rows, drawn.is_some(), class, scores, (stream, moves))
            };
            let grown: Vec<Grown> = if together {
                let all = growers.par_iter_mut().zip(scores.par_iter_mut()).enumerate();
                all.map(|(number, (grower, scores))| one(number, grower, scores)).collect()
            } else {
                let all = scores.iter_mut().enumerate();
                all.map(|(number, scores)| one(number, &mut growers[0], scores)).collect()
            };
            let split = grown.iter().any(|grown| grown.tree.nodes.len() > 1);
            if moves {
                let (grower, pairs) = &mut growers[0];
                self.reorder(grower.settled(), &mut scores, pairs);
            }
            for (number, grown) in grown.into_iter().enumerate() {
                for (sum, one) in self.importance.iter_mut().zip(&grown.importance) {
                    *sum = (sum.0 + one.0, sum.1 + one.1);
                }
                if let Some(held) = held.as_deref_mut() {
                    held.add(&grown.tree, number, self.start.scale);
                }
                self.trees.push(grown.tree);
            }
            done.tick();
            let mut stops = false;
            if let Some(held) = held.as_deref_mut() {
                stops = held.is_done(round + 1, self.settings.patience, self.settings.tolerance);
                if held.best_round == round + 1 {
                    self.best_importance.clone_from(&self.importance);
                }
            }
            // Where no tree can be split any more, the next rounds change nothing but constants.
            if stops || (!split && drawn.is_none()) {
                break;
            }
        }
    }

    /// Puts the rows into another order, with all that is known of them; `spare` has room for a number of each.
    fn reorder(&mut self, order: &[u32], scores: &mut [Vec<f32>], spare: &mut [u32]) {
        let Self { binned, objective, rows, .. } = self;
        binned.reorder(order, spare);
        let Objective { targets, weights, noise, .. } = objective;
        for figures in scores.iter_mut().chain([targets, weights]) {
            reorder::figures(figures, order, spare, f32::to_bits, f32::from_bits);
        }
        reorder::figures(noise, order, spare, u32::from, |bits| bits as u8);
        // Those that are learned from are the first now.
        rows.iter_mut().zip(0..).for_each(|(row, at)| *row = at);
    }

    /// Returns the rows that a round draws; `None` for all.
    fn drawn(&self, round: usize) -> Option<Vec<u32>> {
        let share = self.settings.subsample;
        if share >= 1.0 {
            return None;
        }
        let count = ((self.rows.len() as f64 * share).round() as usize).max(1);
        let draw = SplitMix64::stream(!self.seed, round as u64).next();
        let [drawn, _] = content::parted(&self.numbers, &self.rows, count, draw);
        Some(drawn)
    }

    /// Grows one tree on `rows` and adds it to the scores.
    fn tree(
        &self,
        (grower, pairs): &mut (Grower, Vec<u32>),
        rows: &[u32],
        is_sample: bool,
        class: Option<Class<'_>>,
        scores: &mut [f32],
        (stream, settles): (u64, bool),
    ) -> Grown {
        let settings = self.settings;
        // How the round rounds: an odd factor, so that all 256 numbers come, and an offset.
        let draw = SplitMix64::stream(self.seed.rotate_left(32), stream).next();
        let draw = [draw as u8 | 1, (draw >> 8) as u8];
        let mut units = self.objective.pairs(self.level, scores, class, draw, pairs);
        let mut heavy = std::mem::take(&mut units.heavy);
        if rows.len() < scores.len() {
            heavy.retain(|heavy| rows.binary_search(&heavy.row).is_ok());
        }
        let limits = Limits {
            min_samples_leaf: settings.min_samples_leaf,
            min_hessian: settings.min_hessian,
            // Gradients of a squared error are in units of the target.
            l1: if settings.loss == Loss::SquaredError {
                settings.l1 / self.start.scale
            } else {
                settings.l1
            },
            l2: settings.l2,
            most: if settings.loss == Loss::LogLoss { LARGEST_STEP } else { f64::INFINITY },
            units: units.one,
        };
        let shape = Shape {
            max_leaf_nodes: settings.max_leaf_nodes,
            max_depth: settings.max_depth,
            max_features: settings.max_features,
        };
        let mut random = SplitMix64::stream(self.seed, stream);
        let ground = Ground { binned: &self.binned, level: self.level, pairs, limits: &limits };
        let nodes = grower.grow(&ground, rows, heavy, shape, &mut random);
        let order = grower.order(rows);
        let mut values = match leaves::refitted(&self.objective, (&nodes, &order), &self.binned, scores) {
            Some(values) => values,
            None => {
                leaves::values(&self.objective, self.level, (&nodes, &order), scores, class, &units, &limits)
            }
        };
        values.iter_mut().for_each(|value| *value *= settings.learning_rate);
        if is_sample {
            leaves::add_by_walk(&nodes, &values, &self.binned, scores);
        } else {
            leaves::add_by_leaf(&nodes, &values, &order, scores);
        }
        let mut importance = vec![(0.0, 0); self.binned.features.len()];
        for node in &nodes {
            if let Node::Inner { split, .. } = node {
                let found = &mut importance[split.feature];
                *found = (found.0 + split.gain, found.1 + 1);
            }
        }
        let scale = self.start.scale;
        let tree = emit::tree(&nodes, &self.binned, |at| (values[at] * scale) as f32);
        if settles {
            grower.settle(&nodes, rows, scores.len());
        }
        Grown { tree, importance }
    }
}

/// Writes each class's probabilities of every row; nothing for one score.
fn softmax(scores: &[Vec<f32>], probabilities: &mut [Vec<f32>]) {
    if probabilities.is_empty() {
        return;
    }
    let rows = scores[0].len();
    for probabilities in probabilities.iter_mut() {
        probabilities.resize(rows, 0.0);
    }
    let mut pieces: Vec<Vec<&mut [f32]>> = (0..rows.div_ceil(PIECE)).map(|_| Vec::new()).collect();
    for probabilities in probabilities.iter_mut() {
        for (piece, cells) in pieces.iter_mut().zip(probabilities.chunks_mut(PIECE)) {
            piece.push(cells);
        }
    }
    pieces.into_par_iter().enumerate().for_each(|(piece, mut classes)| {
        for row in 0..classes[0].len() {
            let at = piece * PIECE + row;
            let highest = scores.iter().map(|scores| scores[at]).fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for (cells, scores) in classes.iter_mut().zip(scores) {
                cells[row] = super::simd::exp(scores[at] - highest);
                sum += cells[row];
            }
            classes.iter_mut().for_each(|cells| cells[row] /= sum);
        }
    });
}

/// Returns a tree that adds nothing.
fn constant() -> Tree {
    let node = modelgate_model::estimator::TreeNode {
        feature: modelgate_model::estimator::LEAF,
        threshold: 0.0,
        left: 0,
        right: 0,
    };
    Tree { nodes: vec![node], values: vec![0.0], covers: vec![1.0] }
}

/// Returns a figure of every column; 0 for one that is constant.
fn by_name<T: Copy + Default + Into<Value>>(
    binned: &Binned,
    matrix: &FeatureMatrix<'_>,
    figure: impl Fn(usize) -> T,
) -> Value {
    let mut all = vec![T::default(); matrix.columns];
    for (place, feature) in binned.features.iter().enumerate() {
        all[feature.column] = figure(place);
    }
    Value::Object(matrix.names.iter().cloned().zip(all.into_iter().map(Into::into)).collect())
}

fn warnings(binned: &Binned, matrix: &FeatureMatrix<'_>) -> Vec<String> {
    let shared = binned.features.iter().filter(|feature| feature.shared > 0);
    let warning = |feature: &super::bins::Feature| {
        let name = matrix.names.get(feature.column).map_or("?", String::as_str);
        format!(
            "the {} rarest categories of `{name}` share one bin: a split tells {} groups apart",
            feature.shared, feature.bins
        )
    };
    shared.map(warning).collect()
}
