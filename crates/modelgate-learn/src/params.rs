//! Reading settings strictly: each is known, of its type and in its range.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::ParamError;

/// The settings of one trainer, resolved as they are read.
pub(crate) struct Params<'a> {
    given: &'a BTreeMap<String, Value>,
    pub(crate) resolved: BTreeMap<String, Value>,
}

/// What settings are called elsewhere, LightGBM's and XGBoost's names first, and what they are called here.
const ELSEWHERE: [(&str, &str); 28] = [
    ("num_leaves", "max_leaf_nodes"),
    ("max_leaves", "max_leaf_nodes"),
    ("num_iterations", "n_estimators"),
    ("num_boost_round", "n_estimators"),
    ("num_round", "n_estimators"),
    ("eta", "learning_rate"),
    ("shrinkage_rate", "learning_rate"),
    ("min_child_samples", "min_samples_leaf"),
    ("min_data_in_leaf", "min_samples_leaf"),
    ("min_child_weight", "min_sum_hessian_in_leaf"),
    ("min_sum_hessian", "min_sum_hessian_in_leaf"),
    ("reg_lambda", "l2_regularization"),
    ("lambda_l2", "l2_regularization"),
    ("lambda", "l2_regularization"),
    ("reg_alpha", "l1_regularization"),
    ("lambda_l1", "l1_regularization"),
    ("colsample_bynode", "max_features"),
    ("feature_fraction_bynode", "max_features"),
    ("colsample_bytree", "max_features"),
    ("feature_fraction", "max_features"),
    ("bagging_fraction", "subsample"),
    ("max_bin", "max_bins"),
    ("objective", "loss"),
    ("early_stopping_rounds", "n_iter_no_change"),
    ("early_stopping_round", "n_iter_no_change"),
    ("monotone_constraints", "monotonic_cst"),
    ("categorical_feature", "categorical_features"),
    ("num_trees", "n_estimators"),
];

/// Returns ` did you mean …?` when a name is near, or one that is used elsewhere.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    if let Some((_, here)) = ELSEWHERE.iter().find(|(there, here)| *there == name && known.contains(here)) {
        return format!(" here it is `{here}`;");
    }
    let best = known
        .into_iter()
        .map(|one| (strsim::jaro_winkler(&name.to_lowercase(), &one.to_lowercase()), one))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(score, _)| *score > 0.7)
        .map_or_else(String::new, |(_, one)| format!(" did you mean `{one}`?"))
}

impl<'a> Params<'a> {
    /// Checks that every given name is one of `known`.
    pub(crate) fn new(given: &'a BTreeMap<String, Value>, known: &[&str]) -> Result<Self, ParamError> {
        for name in given.keys() {
            let reason = match name.as_str() {
                known_name if known.contains(&known_name) => continue,
                "random_state" => "the pipeline's `seed` is used".to_owned(),
                "n_jobs" => {
                    "all cores are used, or `MODELGATE_THREADS` of them; the result is the same".to_owned()
                }
                "warm_start" | "verbose" => "it has no meaning here".to_owned(),
                _ => format!(
                    "it is not known;{} known are {}",
                    nearest(name, known.iter().copied()),
                    known.join(", ")
                ),
            };
            return Err(ParamError(format!("params.{name}: {reason}")));
        }
        Ok(Self { given, resolved: BTreeMap::new() })
    }

    /// Reads a setting; `read` returns `None` for what is not `expected`.
    pub(crate) fn read<T>(
        &mut self,
        name: &str,
        default: Value,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, ParamError> {
        let value = self.given.get(name).cloned().unwrap_or(default);
        let found =
            read(&value).ok_or_else(|| ParamError(format!("params.{name}: `{value}` is not {expected}")));
        self.resolved.insert(name.to_owned(), value);
        found
    }
}

/// How classes are weighted.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ClassWeight {
    /// All alike.
    None,
    /// By the inverse of their frequency.
    Balanced,
    /// By name; 1 for a class that is not named.
    Named(BTreeMap<String, f64>),
}

impl ClassWeight {
    pub(crate) const EXPECTED: &'static str =
        "`null`, `balanced` or a map from class to a weight from 1e-30 to 1e30";

    pub(crate) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::None),
            Value::String(text) if text == "balanced" => Some(Self::Balanced),
            Value::Object(weights) => {
                let positive =
                    |value: &Value| value.as_f64().filter(|weight| (1e-30..=1e30).contains(weight));
                let pairs = weights.iter().map(|(name, value)| Some((name.clone(), positive(value)?)));
                pairs.collect::<Option<_>>().map(Self::Named)
            }
            _ => None,
        }
    }

    /// Returns the weight of each class; rows count as much as their `weights`. `Err` names a class that is not there.
    pub(crate) fn weights(
        &self,
        labels: &[u32],
        names: &[String],
        weights: Option<&[f64]>,
    ) -> Result<Vec<f64>, String> {
        match self {
            Self::None => Ok(vec![1.0; names.len()]),
            Self::Balanced => {
                let mut sums = vec![0.0; names.len()];
                for (row, label) in labels.iter().enumerate() {
                    sums[*label as usize] += weights.map_or(1.0, |weights| weights[row]);
                }
                let total: f64 = sums.iter().sum();
                let balanced = |sum: f64| if sum > 0.0 { total / (names.len() as f64 * sum) } else { 1.0 };
                Ok(sums.into_iter().map(balanced).collect())
            }
            Self::Named(weights) => {
                if let Some(name) = weights.keys().find(|name| !names.contains(name)) {
                    return Err(format!(
                        "params.class_weight: it names the class `{name}`; there is {}",
                        names.join(", ")
                    ));
                }
                Ok(names.iter().map(|name| weights.get(name).copied().unwrap_or(1.0)).collect())
            }
        }
    }
}
