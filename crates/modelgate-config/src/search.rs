//! `train.search:`, the search for parameters.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A search for parameters; the best trial's are those that the model is trained with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// How trials are chosen.
    #[serde(default)]
    pub kind: SearchKindName,
    /// Number of trials; of `successive_halving`, in the first round.
    #[serde(default = "default_trials")]
    pub n_iter: u32,
    /// Number of folds of the training rows; without it trials are measured on the validation rows.
    #[serde(default)]
    pub cv: Option<u32>,
    /// What is compared; `f1` or `rmse` by default.
    #[serde(default)]
    pub metric: Option<String>,
    /// Of `successive_halving`: one of so many trials stays for the next round, which has so many times the rows.
    #[serde(default = "default_factor")]
    pub factor: u32,
    /// Of `successive_halving`: rows of the first round; by default as many as end with all rows in the last.
    #[serde(default)]
    pub min_rows: Option<u64>,
    /// Where parameters are looked for, by name.
    pub space: BTreeMap<String, SearchRange>,
}

fn default_trials() -> u32 {
    20
}

fn default_factor() -> u32 {
    3
}

/// How trials are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchKindName {
    /// At random.
    #[default]
    Random,
    /// At random on few rows; the better ones again on more.
    SuccessiveHalving,
}

/// Where one parameter is looked for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchRange {
    /// One of these values.
    Choice(Vec<serde_json::Value>),
    /// A number from the first to the second.
    Uniform([f64; 2]),
    /// A number from the first to the second, each factor as likely as another.
    LogUniform([f64; 2]),
    /// A whole number from the first to the second, both included.
    Int([i64; 2]),
    /// A whole number from the first to the second, both included, each factor about as likely as another.
    LogInt([i64; 2]),
}

impl SearchConfig {
    /// Returns what makes no sense: the key below `train.search`, and why.
    pub(crate) fn check(&self, params: &BTreeMap<String, serde_json::Value>) -> Result<(), (String, String)> {
        let wrong = |key: &str, message: &str| Err((key.to_owned(), message.to_owned()));
        if self.n_iter == 0 || self.n_iter > 10_000 {
            return wrong("n_iter", "expected a whole number from 1 to 10000");
        }
        if self.cv.is_some_and(|folds| !(2..=100).contains(&folds)) {
            return wrong("cv", "expected 2 to 100 folds; without the key, the validation rows are used");
        }
        if self.factor < 2 {
            return wrong("factor", "expected a whole number from 2");
        }
        if self.space.is_empty() {
            return wrong("space", "there is nothing to search; name a parameter and its range");
        }
        for (name, range) in &self.space {
            let key = format!("space.{name}");
            if params.contains_key(name) {
                return wrong(&key, "`params` sets it as well; remove one of them");
            }
            let (low, high, from) = match range {
                SearchRange::Choice(values) if values.is_empty() => {
                    return wrong(&key, "`choice` has no value");
                }
                SearchRange::Choice(_) => continue,
                SearchRange::Uniform([low, high]) => (*low, *high, f64::MIN),
                SearchRange::LogUniform([low, high]) => (*low, *high, f64::MIN_POSITIVE),
                SearchRange::Int([low, high]) => (*low as f64, *high as f64, f64::MIN),
                SearchRange::LogInt([low, high]) => (*low as f64, *high as f64, 1.0),
            };
            if !(low.is_finite() && high.is_finite() && low < high) {
                return wrong(&key, "expected two numbers, the first below the second");
            }
            if let SearchRange::Int([low, high]) | SearchRange::LogInt([low, high]) = range
                && high.abs_diff(*low) >= u64::from(u32::MAX)
            {
                return wrong(&key, "a range of whole numbers has at most 4294967295 of them");
            }
            if low < from {
                return wrong(&key, "a logarithmic range starts above 0");
            }
        }
        Ok(())
    }
}
