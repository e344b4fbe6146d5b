//! Random forests and single trees. Sources: Breiman, 2001, "Random Forests"; Breiman and others, 1984,
//! "Classification and Regression Trees". Parameters and their defaults are scikit-learn's.
//!
//! NaN is above every number and goes right. Features that are constant over the rows are left out before anything is
//! drawn, and rows are seen in an order of their content: neither a constant column nor the order of the file changes
//! a tree.

mod classes;
mod codes;
mod grow;
mod kernel;
mod order;
mod out_of_bag;
mod prune;
mod settings;
mod values;

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use modelgate_model::estimator::{Boosted, Estimator, Forest, Tree};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::check::{check, resolution};
use crate::error::LearnError;
use crate::progress::Progress;
use crate::random::SplitMix64;
use crate::trainer::{FeatureMatrix, FitOutcome, Targets, Trainer};
use classes::{Criterion, ManyClasses, TwoClasses, WeightedClasses};
pub(crate) use codes::varying;
use codes::{Code, CodedFeature, EXACT_ROWS, code_features, in_bytes};
use grow::{Grown, Limits, grow};
use kernel::Kernel;
pub(crate) use settings::RandomForest;
use settings::{Amount, TreeClassWeight};
use values::SquaredError;

/// The rows that count, in their canonical order, and what there is to learn of them.
struct Prepared<'a> {
    matrix: FeatureMatrix<'a>,
    order: Vec<u32>,
    columns: Vec<usize>,
    weights: Option<Vec<f64>>,
}

/// The features as codes of a word, for a code per value, or of a byte.
enum Features {
    Values(Vec<CodedFeature<u16>>),
    Bins(Vec<CodedFeature<u8>>),
}

impl Features {
    fn new(prepared: &Prepared<'_>, exact: bool) -> Self {
        let Prepared { matrix, columns, order, .. } = prepared;
        if !exact {
            return Self::Bins(code_features(matrix, columns, order));
        }
        let features = code_features(matrix, columns, order);
        // The same splits in half the memory.
        in_bytes(&features).map_or(Self::Values(features), Self::Bins)
    }
}

/// From this many deviations of the target from zero on, a forest's mean is a base beside its trees: each tree has but a share of it, and
/// 32 bits for that and for what it learned.
const FAR: f64 = 100.0;

impl RandomForest {
    fn limits(&self, rows: usize, features: usize) -> Limits {
        Limits {
            max_depth: self.max_depth,
            min_samples_split: self.min_samples_split.of_rows(rows).max(2),
            min_samples_leaf: self.min_samples_leaf.of_rows(rows),
            max_features: self.max_features.of(features).min(features),
            max_leaf_nodes: self.max_leaf_nodes,
            min_impurity_decrease: self.min_impurity_decrease,
            ccp_alpha: self.ccp_alpha,
        }
    }

    /// Returns how often tree `number` draws each row, and its stream of random numbers.
    fn draw(&self, number: usize, rows: usize, seed: u64) -> (Vec<u16>, SplitMix64) {
        let mut random = SplitMix64::stream(seed, number as u64);
        let mut counts = vec![u16::from(!self.bootstrap); rows];
        if self.bootstrap {
            for _ in 0..self.max_samples.of(rows).clamp(1, rows) {
                let count = &mut counts[random.below(rows)];
                *count = count.saturating_add(1);
            }
        }
        (counts, random)
    }

    /// Grows the trees; `kernel` makes what one sums of the rows that it drew.
    fn grow_all<K: Kernel, C: Code>(
        &self,
        prepared: &Prepared<'_>,
        features: &[CodedFeature<C>],
        seed: u64,
        kernel: impl Fn(&[u16]) -> K + Sync,
    ) -> Vec<Grown> {
        let rows = prepared.order.len();
        let limits = self.limits(rows, features.len());
        let done = self.progress.counter(self.trees);
        let one = |number: usize| {
            let (counts, random) = self.draw(number, rows, seed);
            let grown = grow(features, &kernel(&counts), limits, &counts, random, prepared.matrix.columns);
            done.tick();
            grown
        };
        // Each tree has a stream of its own and the results are collected in order: threads change nothing.
        (0..self.trees).into_par_iter().map(one).collect()
    }

    fn grow_classes<C: Code>(
        &self,
        prepared: &Prepared<'_>,
        features: &[CodedFeature<C>],
        labels: &[u16],
        class_weights: &[f64],
        seed: u64,
    ) -> Vec<Grown> {
        let criterion = |counts: &[u16]| Criterion {
            labels,
            class_weights: match self.class_weight {
                TreeClassWeight::Whole(_) => class_weights.to_vec(),
                TreeClassWeight::BalancedSubsample => {
                    balanced(labels, counts, class_weights.len(), prepared.weights.as_deref())
                }
            },
            entropy: self.entropy,
            trees: self.trees as f64,
        };
        match &prepared.weights {
            Some(weights) => self.grow_all(prepared, features, seed, |counts| WeightedClasses {
                criterion: criterion(counts),
                weights,
            }),
            None if class_weights.len() == 2 => {
                self.grow_all(prepared, features, seed, |counts| TwoClasses::new(criterion(counts)))
            }
            None => self.grow_all(prepared, features, seed, |counts| ManyClasses(criterion(counts))),
        }
    }

    fn grow_values<C: Code>(
        &self,
        prepared: &Prepared<'_>,
        features: &[CodedFeature<C>],
        values: &[f64],
        mean: f64,
        seed: u64,
    ) -> Vec<Grown> {
        let (weights, trees) = (prepared.weights.as_deref(), self.trees as f64);
        self.grow_all(prepared, features, seed, |_| SquaredError { values, weights, mean, trees })
    }

    /// Returns the out-of-bag predictions.
    fn out_of_bag(
        &self,
        trees: &[Tree],
        prepared: &Prepared<'_>,
        outputs: usize,
        seed: u64,
    ) -> (Vec<u32>, Vec<f64>) {
        let rows = prepared.order.len();
        let drawn: Vec<Vec<u64>> = (0..self.trees)
            .into_par_iter()
            .map(|number| out_of_bag::bits(&self.draw(number, rows, seed).0))
            .collect();
        out_of_bag::predictions(trees, &drawn, &prepared.matrix, &prepared.order, outputs)
    }
}

/// Returns weights of classes by the inverse of their frequency among drawn rows.
fn balanced(labels: &[u16], counts: &[u16], classes: usize, weights: Option<&[f64]>) -> Vec<f64> {
    let mut sums = vec![0.0; classes];
    for (row, (label, count)) in labels.iter().zip(counts).enumerate() {
        if *count > 0 {
            sums[usize::from(*label)] += f64::from(*count) * weights.map_or(1.0, |weights| weights[row]);
        }
    }
    let total: f64 = sums.iter().sum();
    let present = sums.iter().filter(|sum| **sum > 0.0).count().max(1) as f64;
    sums.iter().map(|sum| if *sum > 0.0 { total / (present * sum) } else { 1.0 }).collect()
}

/// Returns the mean over trees of each feature's share of the decrease of impurity, by name.
fn importances(grown: &[Grown], matrix: &FeatureMatrix<'_>) -> Value {
    let mut shares = vec![0.0; matrix.columns];
    for tree in grown {
        let total: f64 = tree.decreases.iter().sum();
        if total > 0.0 {
            shares.iter_mut().zip(&tree.decreases).for_each(|(share, one)| *share += one / total);
        }
    }
    // As scikit-learn: normalised over the features, trees without a split left out.
    let total: f64 = shares.iter().sum();
    let named = matrix.names.iter().zip(&shares);
    named.map(|(name, share)| (name.clone(), json!(if total > 0.0 { share / total } else { 0.0 }))).collect()
}

fn depth(tree: &Tree) -> usize {
    let mut depths = vec![0_usize; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate() {
        if node.feature != modelgate_model::estimator::LEAF {
            depths[node.left as usize] = depths[at] + 1;
            depths[node.right as usize] = depths[at] + 1;
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

fn score(found: Option<(f64, usize)>, rows: usize, details: &mut BTreeMap<String, Value>) -> Option<String> {
    let (score, counted) = found.map_or((None, 0), |(score, rows)| (Some(score), rows));
    details.insert("oob_score".to_owned(), json!(score));
    details.insert("oob_rows".to_owned(), json!(counted));
    (counted < rows).then(|| {
        format!(
            "{} of {rows} rows were drawn by every tree and have no out-of-bag score: raise `n_estimators`",
            rows - counted
        )
    })
}

impl Trainer for RandomForest {
    fn fit_weighted(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        weights: Option<&[f64]>,
        seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        check(matrix, targets, weights)?;
        let coarse = resolution(targets, weights)?;
        let counted = |row: &u32| weights.is_none_or(|weights| weights[*row as usize] > 0.0);
        let rows: Vec<u32> = (0..matrix.rows as u32).filter(counted).collect();
        if let Amount::Count(most) = self.max_samples
            && most > rows.len()
        {
            let message =
                format!("params.max_samples: {most} rows are more than the {} there are", rows.len());
            return Err(LearnError::Setting(message));
        }
        // One weight for all is none.
        let weights = weights.filter(|weights| rows.iter().any(|row| weights[*row as usize] != 1.0));
        let columns = varying(matrix, &rows);
        let order = order::canonical(matrix, &columns, targets, weights, rows);
        let ordered = |all: &[f64]| order.iter().map(|row| all[*row as usize]).collect::<Vec<f64>>();
        let weights = weights.map(ordered).map(near_one);
        let prepared = Prepared { matrix: *matrix, order: order.clone(), columns, weights };
        let exact = prepared.order.len() <= EXACT_ROWS;
        let features = Features::new(&prepared, exact);
        let mut warnings: Vec<String> = coarse.into_iter().collect();
        let mut details = BTreeMap::new();
        // Added to the sum of the trees, where that would lose it.
        let mut base = None;
        let (grown, outputs) = match (targets, self.task) {
            (Targets::Classes { labels, classes, names }, Task::Classification) => {
                if *classes > usize::from(u16::MAX) {
                    let message = format!("there are {classes} classes, and a forest takes 65535 at most");
                    return Err(LearnError::Data(message));
                }
                let given: Vec<u32> = order.iter().map(|row| labels[*row as usize]).collect();
                let class_weights = match &self.class_weight {
                    TreeClassWeight::Whole(weight) => weight
                        .weights(&given, names, prepared.weights.as_deref())
                        .map_err(LearnError::Setting)?,
                    TreeClassWeight::BalancedSubsample => vec![1.0; *classes],
                };
                let labels: Vec<u16> = given.iter().map(|label| *label as u16).collect();
                let grown = match &features {
                    Features::Values(features) => {
                        self.grow_classes(&prepared, features, &labels, &class_weights, seed)
                    }
                    Features::Bins(features) => {
                        self.grow_classes(&prepared, features, &labels, &class_weights, seed)
                    }
                };
                let trees: Vec<Tree> = grown.iter().map(|grown| grown.tree.clone()).collect();
                if self.oob_score {
                    let (counts, sums) = self.out_of_bag(&trees, &prepared, *classes, seed);
                    let found = out_of_bag::accuracy(&counts, &sums, &labels, *classes);
                    warnings.extend(score(found, labels.len(), &mut details));
                }
                (grown, *classes)
            }
            (Targets::Values(values), Task::Regression) => {
                let mut values = ordered(values);
                let mean = weighted_mean(&values, prepared.weights.as_deref());
                values.iter_mut().for_each(|value| *value -= mean);
                let weights = prepared.weights.as_deref();
                let squares: Vec<f64> = values.iter().map(|value| value * value).collect();
                if self.trees > 1 && mean.abs() > FAR * weighted_mean(&squares, weights).sqrt() {
                    base = Some(mean as f32);
                }
                let mean = mean - base.map_or(0.0, f64::from);
                let grown = match &features {
                    Features::Values(features) => self.grow_values(&prepared, features, &values, mean, seed),
                    Features::Bins(features) => self.grow_values(&prepared, features, &values, mean, seed),
                };
                let trees: Vec<Tree> = grown.iter().map(|grown| grown.tree.clone()).collect();
                if self.oob_score {
                    let (counts, sums) = self.out_of_bag(&trees, &prepared, 1, seed);
                    let found = out_of_bag::r2(&counts, &sums, &values, mean, self.trees as f64);
                    warnings.extend(score(found, values.len(), &mut details));
                }
                (grown, 1)
            }
            _ => return Err(LearnError::Task("the target does not fit the task".to_owned())),
        };
        details.insert("feature_importances".to_owned(), importances(&grown, matrix));
        details.insert("splits".to_owned(), json!(if exact { "exact" } else { "histogram" }));
        let trees: Vec<Tree> = grown.into_iter().map(|grown| grown.tree).collect();
        details.insert("depth".to_owned(), json!(trees.iter().map(depth).max()));
        let prepared = modelgate_model::estimator::Prepared::default();
        let features = matrix.columns;
        if let Some(base) = base {
            // A sum of trees over a base is what a forest is too.
            let boosted = Boosted { features, scores: 1, base: vec![base], trees, prepared };
            return Ok(FitOutcome { estimator: Estimator::BoostedRegressor(boosted), warnings, details });
        }
        let forest = Forest { features, outputs, trees, prepared };
        let estimator = match self.task {
            Task::Classification => Estimator::ForestClassifier(forest),
            Task::Regression => Estimator::ForestRegressor(forest),
        };
        Ok(FitOutcome { estimator, warnings, details })
    }

    fn report_to(&mut self, progress: Progress) {
        self.progress = progress;
    }

    fn revision(&self) -> &'static str {
        "5"
    }

    fn resolved_params(&self) -> BTreeMap<String, Value> {
        self.resolved.clone()
    }
}

/// The least weight beside a largest of about 1: squares of it are still numbers.
const LEAST: f64 = 1e-120;

/// Divides weights by a power of two so that the largest is about 1: their squares and products stay in range, and no
/// bit of one changes. What would be nothing beside the largest counts as much as can be told from nothing.
fn near_one(mut weights: Vec<f64>) -> Vec<f64> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let (_, exponent) = libm::frexp(largest);
    weights.iter_mut().for_each(|weight| *weight = libm::ldexp(*weight, -exponent).max(LEAST));
    weights
}

fn weighted_mean(values: &[f64], weights: Option<&[f64]>) -> f64 {
    match weights {
        None => values.iter().sum::<f64>() / values.len() as f64,
        Some(weights) => {
            let products = values.iter().zip(weights).map(|(value, weight)| value * weight);
            products.sum::<f64>() / weights.iter().sum::<f64>()
        }
    }
}
