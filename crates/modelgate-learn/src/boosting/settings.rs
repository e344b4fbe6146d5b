//! The settings of gradient boosting, named as in scikit-learn's `HistGradientBoosting*`; those that it does not have
//! are named as in its `GradientBoosting*`, or as in LightGBM.

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use serde_json::{Value, json};

use crate::error::ParamError;
use crate::params::{ClassWeight, Params};
use crate::progress::Progress;

/// What is minimised.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(clippy::enum_variant_names)] // "log loss" is its name.
pub(super) enum Loss {
    SquaredError,
    AbsoluteError,
    Quantile(f64),
    LogLoss,
}

/// Gradient boosting with its settings.
#[derive(Clone, Debug)]
pub(crate) struct GradientBoosting {
    pub(super) loss: Loss,
    pub(super) rounds: usize,
    pub(super) learning_rate: f64,
    pub(super) max_leaf_nodes: usize,
    pub(super) max_depth: usize,
    pub(super) min_samples_leaf: u32,
    pub(super) min_hessian: f64,
    pub(super) l1: f64,
    pub(super) l2: f64,
    pub(super) max_bins: usize,
    pub(super) subsample: f64,
    pub(super) max_features: f64,
    pub(super) categorical: Vec<String>,
    pub(super) monotonic: BTreeMap<String, i8>,
    pub(super) early_stopping: bool,
    pub(super) patience: usize,
    pub(super) tolerance: f64,
    pub(super) validation_fraction: f64,
    pub(super) class_weight: ClassWeight,
    pub(super) resolved: BTreeMap<String, Value>,
    pub(super) progress: Progress,
}

const KNOWN: [&str; 21] = [
    "loss",
    "quantile",
    "n_estimators",
    "max_iter",
    "learning_rate",
    "max_leaf_nodes",
    "max_depth",
    "min_samples_leaf",
    "min_sum_hessian_in_leaf",
    "l1_regularization",
    "l2_regularization",
    "max_bins",
    "subsample",
    "max_features",
    "categorical_features",
    "monotonic_cst",
    "early_stopping",
    "n_iter_no_change",
    "tol",
    "validation_fraction",
    "class_weight",
];

fn from_zero(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite() && *number >= 0.0)
}

fn share(value: &Value) -> Option<f64> {
    value.as_f64().filter(|share| *share > 0.0 && *share <= 1.0)
}

fn count(value: &Value, least: u64) -> Option<usize> {
    value.as_u64().filter(|count| *count >= least && *count <= 1 << 30).map(|count| count as usize)
}

fn count_or_all(value: &Value, least: u64) -> Option<usize> {
    if value.is_null() { Some(usize::MAX) } else { count(value, least) }
}

fn names(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn constraints(value: &Value) -> Option<BTreeMap<String, i8>> {
    match value {
        Value::Null => Some(BTreeMap::new()),
        Value::Object(map) => {
            let one = |(name, sign): (&String, &Value)| {
                let sign = sign.as_i64().filter(|sign| (-1..=1).contains(sign))?;
                Some((name.clone(), sign as i8))
            };
            map.iter().map(one).collect()
        }
        _ => None,
    }
}

impl GradientBoosting {
    pub(crate) fn new(task: Task, given: &BTreeMap<String, Value>) -> Result<Self, ParamError> {
        let mut params = Params::new(given, &KNOWN)?;
        let classification = task == Task::Classification;
        let losses: &[&str] =
            if classification { &["log_loss"] } else { &["squared_error", "absolute_error", "quantile"] };
        let loss =
            params.read("loss", json!(losses[0]), &format!("one of {}", losses.join(", ")), |value| {
                value.as_str().filter(|name| losses.contains(name)).map(str::to_owned)
            })?;
        let inside = |value: &Value| value.as_f64().filter(|share| *share > 0.0 && *share < 1.0);
        let loss = match loss.as_str() {
            "squared_error" => Loss::SquaredError,
            "absolute_error" => Loss::AbsoluteError,
            "quantile" => {
                Loss::Quantile(params.read("quantile", json!(0.5), "a number above 0 and below 1", inside)?)
            }
            _ => Loss::LogLoss,
        };
        if given.contains_key("quantile") && !matches!(loss, Loss::Quantile(_)) {
            return Err(ParamError("params.quantile: it needs `loss: quantile`".to_owned()));
        }
        if given.contains_key("max_iter") && given.contains_key("n_estimators") {
            return Err(ParamError("params.max_iter: it is the same as n_estimators; set one".to_owned()));
        }
        let name = if given.contains_key("max_iter") { "max_iter" } else { "n_estimators" };
        let rounds = params.read(name, json!(100), "a whole number from 1", |value| count(value, 1))?;
        let positive = |value: &Value| value.as_f64().filter(|rate| *rate > 0.0 && rate.is_finite());
        let learning_rate = params.read("learning_rate", json!(0.1), "a number above 0", positive)?;
        let expected = "`null` or a whole number from 2";
        let max_leaf_nodes =
            params.read("max_leaf_nodes", json!(31), expected, |value| count_or_all(value, 2))?;
        let expected = "`null` or a whole number from 1";
        let max_depth = params.read("max_depth", Value::Null, expected, |value| count_or_all(value, 1))?;
        let min_samples_leaf =
            params.read("min_samples_leaf", json!(20), "a whole number from 1", |value| count(value, 1))?;
        let number = "a number from 0 on";
        let min_hessian = params.read("min_sum_hessian_in_leaf", json!(0.001), number, from_zero)?;
        let l1 = params.read("l1_regularization", json!(0.0), number, from_zero)?;
        let l2 = params.read("l2_regularization", json!(0.0), number, from_zero)?;
        let bins = |value: &Value| count(value, 2).filter(|count| *count <= 255);
        let max_bins = params.read("max_bins", json!(255), "a whole number from 2 to 255", bins)?;
        let expected = "a share above 0 and at most 1.0";
        let subsample = params.read("subsample", json!(1.0), expected, share)?;
        let max_features = params.read("max_features", json!(1.0), expected, share)?;
        let categorical =
            params.read("categorical_features", Value::Null, "`null` or a list of features", names)?;
        let expected = "`null` or a map from feature to -1, 0 or 1";
        let monotonic = params.read("monotonic_cst", Value::Null, expected, constraints)?;
        let early_stopping = params.read("early_stopping", json!(false), "true or false", Value::as_bool)?;
        let patience =
            params.read("n_iter_no_change", json!(10), "a whole number from 1", |value| count(value, 1))?;
        let tolerance = params.read("tol", json!(1e-7), number, from_zero)?;
        let validation_fraction =
            params.read("validation_fraction", json!(0.1), "a number above 0 and below 1", inside)?;
        let class_weight = params.read(
            "class_weight",
            Value::Null,
            if classification { ClassWeight::EXPECTED } else { "allowed for a regression" },
            |value| {
                if classification {
                    ClassWeight::read(value)
                } else {
                    value.is_null().then_some(ClassWeight::None)
                }
            },
        )?;
        if let Some(name) =
            categorical.iter().find(|name| monotonic.get(*name).is_some_and(|sign| *sign != 0))
        {
            return Err(ParamError(format!(
                "params.monotonic_cst: `{name}` is categorical and has no order"
            )));
        }
        Ok(Self {
            loss,
            rounds,
            learning_rate,
            max_leaf_nodes,
            max_depth,
            min_samples_leaf: min_samples_leaf as u32,
            min_hessian,
            l1,
            l2,
            max_bins,
            subsample,
            max_features,
            categorical,
            monotonic,
            early_stopping,
            patience,
            tolerance,
            validation_fraction,
            class_weight,
            resolved: params.resolved,
            progress: Progress::default(),
        })
    }
}
