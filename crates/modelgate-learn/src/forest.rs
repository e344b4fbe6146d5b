//! Random forests. Source: Breiman, 2001, "Random Forests"; parameters and their defaults are scikit-learn's.

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use modelgate_model::estimator::{Estimator, Forest, Tree};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::bins::{BinnedFeature, bin_features};
use crate::error::{LearnError, ParamError};
use crate::grow::{Limits, Statistics, grow};
use crate::params::{ClassWeight, Params};
use crate::random::SplitMix64;
use crate::trainer::{FeatureMatrix, FitOutcome, Targets, Trainer};

/// A whole number, or a share of the rows or features.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Amount {
    All,
    Sqrt,
    Log2,
    Count(usize),
    Share(f64),
}

impl Amount {
    fn number(value: &Value, least: u64) -> Option<Self> {
        match value {
            Value::Number(number) if number.is_u64() => {
                number.as_u64().filter(|count| *count >= least).map(|count| Self::Count(count as usize))
            }
            Value::Number(number) => {
                number.as_f64().filter(|share| *share > 0.0 && *share <= 1.0).map(Self::Share)
            }
            _ => None,
        }
    }

    fn of(self, total: usize) -> usize {
        match self {
            Self::All => total,
            Self::Sqrt => ((total as f64).sqrt() as usize).max(1),
            Self::Log2 => ((total as f64).log2() as usize).max(1),
            Self::Count(count) => count,
            Self::Share(share) => ((total as f64 * share) as usize).max(1),
        }
    }

    /// As scikit-learn rounds a share of the rows: up.
    fn of_rows(self, rows: usize) -> usize {
        match self {
            Self::Share(share) => ((rows as f64 * share).ceil() as usize).max(1),
            other => other.of(rows),
        }
    }
}

/// A random forest with its settings.
#[derive(Debug)]
pub(crate) struct RandomForest {
    trees: usize,
    entropy: bool,
    max_depth: usize,
    min_samples_split: Amount,
    min_samples_leaf: Amount,
    max_features: Amount,
    bootstrap: bool,
    max_samples: Amount,
    class_weight: ClassWeight,
    task: Task,
    resolved: BTreeMap<String, Value>,
}

const KNOWN: [&str; 9] = [
    "n_estimators",
    "criterion",
    "max_depth",
    "min_samples_split",
    "min_samples_leaf",
    "max_features",
    "bootstrap",
    "max_samples",
    "class_weight",
];

const KNOWN_OF_A_TREE: [&str; 6] =
    ["criterion", "max_depth", "min_samples_split", "min_samples_leaf", "max_features", "class_weight"];

impl RandomForest {
    /// Reads the settings of one tree: a forest of one, on every row and, by default, every feature.
    pub(crate) fn tree(task: Task, given: &BTreeMap<String, Value>) -> Result<Self, ParamError> {
        Params::new(given, &KNOWN_OF_A_TREE)?;
        let mut whole = given.clone();
        whole.entry("max_features".to_owned()).or_insert(Value::Null);
        whole.insert("n_estimators".to_owned(), json!(1));
        whole.insert("bootstrap".to_owned(), json!(false));
        let mut tree = Self::new(task, &whole)?;
        tree.resolved.retain(|name, _| KNOWN_OF_A_TREE.contains(&name.as_str()));
        Ok(tree)
    }

    pub(crate) fn new(task: Task, given: &BTreeMap<String, Value>) -> Result<Self, ParamError> {
        let classification = task == Task::Classification;
        let mut params = Params::new(given, &KNOWN)?;
        let trees = params.read("n_estimators", json!(100), "a whole number from 1 to 100000", |value| {
            value.as_u64().filter(|count| (1..=100_000).contains(count)).map(|count| count as usize)
        })?;
        let criteria: &[&str] =
            if classification { &["gini", "entropy", "log_loss"] } else { &["squared_error"] };
        let criterion = params.read(
            "criterion",
            json!(criteria[0]),
            &format!("one of {}", criteria.join(", ")),
            |value| value.as_str().filter(|name| criteria.contains(name)).map(str::to_owned),
        )?;
        let max_depth = params.read(
            "max_depth",
            Value::Null,
            "`null` or a whole number from 1",
            |value| match value {
                Value::Null => Some(usize::MAX),
                other => other.as_u64().filter(|depth| *depth >= 1).map(|depth| depth as usize),
            },
        )?;
        let rows = "a whole number of rows, or a share above 0 and at most 1.0";
        let min_samples_split =
            params.read("min_samples_split", json!(2), rows, |value| Amount::number(value, 2))?;
        let min_samples_leaf =
            params.read("min_samples_leaf", json!(1), rows, |value| Amount::number(value, 1))?;
        let default = if classification { json!("sqrt") } else { json!(1.0) };
        let expected = "`sqrt`, `log2`, `null`, a whole number from 1, or a share above 0 and at most 1.0";
        let max_features = params.read("max_features", default, expected, |value| match value {
            Value::Null => Some(Amount::All),
            Value::String(name) if name == "sqrt" => Some(Amount::Sqrt),
            Value::String(name) if name == "log2" => Some(Amount::Log2),
            other => Amount::number(other, 1),
        })?;
        let bootstrap = params.read("bootstrap", json!(true), "true or false", Value::as_bool)?;
        let max_samples =
            params.read("max_samples", Value::Null, &format!("`null`, or {rows}"), |value| match value {
                Value::Null => Some(Amount::All),
                other => Amount::number(other, 1),
            })?;
        let class_weight = if classification {
            params.read("class_weight", Value::Null, ClassWeight::EXPECTED, ClassWeight::read)?
        } else {
            params.read("class_weight", Value::Null, "allowed for a regression", |value| {
                value.is_null().then_some(ClassWeight::None)
            })?
        };
        Ok(Self {
            trees,
            entropy: criterion == "entropy" || criterion == "log_loss",
            max_depth,
            min_samples_split,
            min_samples_leaf,
            max_features,
            bootstrap,
            max_samples,
            class_weight,
            task,
            resolved: params.resolved,
        })
    }

    fn grow_all<S: Statistics + Sync>(
        &self,
        features: &[BinnedFeature],
        rows: usize,
        statistics: &S,
        seed: u64,
    ) -> Vec<Tree> {
        let limits = Limits {
            max_depth: self.max_depth,
            min_samples_split: self.min_samples_split.of_rows(rows).max(2),
            min_samples_leaf: self.min_samples_leaf.of_rows(rows),
            max_features: self.max_features.of(features.len()).min(features.len()),
        };
        let draws = self.max_samples.of(rows).min(rows);
        let one = |number: usize| {
            let mut random = SplitMix64::stream(seed, number as u64);
            let mut counts = vec![u32::from(!self.bootstrap); rows];
            if self.bootstrap {
                for _ in 0..draws {
                    counts[random.below(rows)] += 1;
                }
            }
            grow(features, statistics, limits, &counts, random)
        };
        // Each tree has a stream of its own and the results are collected in order: threads change nothing.
        (0..self.trees).into_par_iter().map(one).collect()
    }
}

struct ClassSums<'a> {
    labels: &'a [u32],
    weights: Vec<f64>,
    entropy: bool,
    trees: f64,
}

impl Statistics for ClassSums<'_> {
    fn width(&self) -> usize {
        self.weights.len()
    }

    /// Whole numbers in doubles: exact, in whatever order they are added.
    fn add(&self, sums: &mut [f64], row: usize, count: u32) {
        sums[self.labels[row] as usize] += f64::from(count);
    }

    fn score(&self, sums: &[f64]) -> f64 {
        let weighted = || sums.iter().zip(&self.weights).map(|(count, weight)| count * weight);
        let total: f64 = weighted().sum();
        if total <= 0.0 {
            return 0.0;
        }
        if self.entropy {
            weighted().filter(|part| *part > 0.0).map(|part| part * libm::log2(part / total)).sum()
        } else {
            weighted().map(|part| part * part).sum::<f64>() / total
        }
    }

    fn is_pure(&self, sums: &[f64], _rows: &[u32]) -> bool {
        sums.iter().filter(|count| **count > 0.0).count() < 2
    }

    fn leaf(&self, sums: &[f64], values: &mut Vec<f32>) {
        let total: f64 = sums.iter().zip(&self.weights).map(|(count, weight)| count * weight).sum();
        values.extend(
            sums.iter()
                .zip(&self.weights)
                .map(|(count, weight)| (count * weight / total / self.trees) as f32),
        );
    }
}

struct ValueSums<'a> {
    /// Less their mean, so that sums of squares keep their digits.
    values: &'a [f64],
    mean: f64,
    trees: f64,
}

impl Statistics for ValueSums<'_> {
    fn width(&self) -> usize {
        2
    }

    fn add(&self, sums: &mut [f64], row: usize, count: u32) {
        let count = f64::from(count);
        sums[0] += count;
        sums[1] += count * self.values[row];
    }

    fn score(&self, sums: &[f64]) -> f64 {
        if sums[0] > 0.0 { sums[1] * sums[1] / sums[0] } else { 0.0 }
    }

    fn is_pure(&self, _sums: &[f64], rows: &[u32]) -> bool {
        rows.windows(2).all(|pair| self.values[pair[0] as usize] == self.values[pair[1] as usize])
    }

    fn leaf(&self, sums: &[f64], values: &mut Vec<f32>) {
        values.push(((self.mean + sums[1] / sums[0]) / self.trees) as f32);
    }
}

impl Trainer for RandomForest {
    fn fit(
        &self,
        matrix: &FeatureMatrix<'_>,
        targets: &Targets<'_>,
        seed: u64,
    ) -> Result<FitOutcome, LearnError> {
        if matrix.rows == 0 || matrix.columns == 0 {
            return Err(LearnError::Data("there is no row or no feature to learn from".to_owned()));
        }
        let features = bin_features(matrix);
        let trees_count = self.trees as f64;
        let estimator = match (targets, self.task) {
            (Targets::Classes { labels, classes, names }, Task::Classification) => {
                check_labels(labels, *classes)?;
                let weights = self.class_weight.weights(labels, names).map_err(LearnError::Data)?;
                let statistics = ClassSums { labels, weights, entropy: self.entropy, trees: trees_count };
                let trees = self.grow_all(&features, matrix.rows, &statistics, seed);
                Estimator::ForestClassifier(Forest { features: matrix.columns, outputs: *classes, trees })
            }
            (Targets::Values(values), Task::Regression) => {
                if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                    return Err(LearnError::Data(format!(
                        "the target of training row {} is not finite",
                        row + 1
                    )));
                }
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
                let statistics = ValueSums { values: &centred, mean, trees: trees_count };
                let trees = self.grow_all(&features, matrix.rows, &statistics, seed);
                Estimator::ForestRegressor(Forest { features: matrix.columns, outputs: 1, trees })
            }
            _ => return Err(LearnError::Task("the target does not fit the task".to_owned())),
        };
        Ok(FitOutcome { estimator, warnings: Vec::new(), details: BTreeMap::new() })
    }

    fn revision(&self) -> &'static str {
        "1"
    }

    fn resolved_params(&self) -> BTreeMap<String, Value> {
        self.resolved.clone()
    }
}

/// Checks that labels are positions of classes and that there are two at least.
pub(crate) fn check_labels(labels: &[u32], classes: usize) -> Result<(), LearnError> {
    if labels.iter().any(|label| *label as usize >= classes) {
        return Err(LearnError::Data("a label is beyond the classes".to_owned()));
    }
    if classes < 2 || labels.iter().all(|label| *label == labels[0]) {
        return Err(LearnError::Data(
            "the training rows have one class only: there is nothing to learn".to_owned(),
        ));
    }
    Ok(())
}
