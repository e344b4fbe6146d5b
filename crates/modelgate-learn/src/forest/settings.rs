//! The settings of a forest and of a tree, named as in scikit-learn.

use std::collections::BTreeMap;

use modelgate_core::schema::Task;
use serde_json::{Value, json};

use crate::error::ParamError;
use crate::params::{ClassWeight, Params};
use crate::progress::Progress;

/// A whole number, or a share of the rows or features.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Amount {
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

    pub(super) fn of(self, total: usize) -> usize {
        match self {
            Self::All => total,
            Self::Sqrt => ((total as f64).sqrt() as usize).max(1),
            Self::Log2 => (libm::log2(total as f64) as usize).max(1),
            Self::Count(count) => count,
            Self::Share(share) => ((total as f64 * share) as usize).max(1),
        }
    }

    /// As scikit-learn rounds a share of the rows: up.
    pub(super) fn of_rows(self, rows: usize) -> usize {
        match self {
            Self::Share(share) => ((rows as f64 * share).ceil() as usize).max(1),
            other => other.of(rows),
        }
    }
}

/// How classes are weighted: as everywhere, or by the rows that each tree drew.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum TreeClassWeight {
    Whole(ClassWeight),
    BalancedSubsample,
}

/// A random forest with its settings.
#[derive(Debug)]
pub(crate) struct RandomForest {
    pub(super) trees: usize,
    pub(super) entropy: bool,
    pub(super) max_depth: usize,
    pub(super) min_samples_split: Amount,
    pub(super) min_samples_leaf: Amount,
    pub(super) max_features: Amount,
    pub(super) max_leaf_nodes: Option<usize>,
    pub(super) min_impurity_decrease: f64,
    pub(super) ccp_alpha: f64,
    pub(super) bootstrap: bool,
    pub(super) max_samples: Amount,
    pub(super) oob_score: bool,
    pub(super) class_weight: TreeClassWeight,
    pub(super) task: Task,
    pub(super) resolved: BTreeMap<String, Value>,
    pub(super) progress: Progress,
}

const OF_A_TREE: [&str; 9] = [
    "criterion",
    "max_depth",
    "min_samples_split",
    "min_samples_leaf",
    "max_features",
    "max_leaf_nodes",
    "min_impurity_decrease",
    "ccp_alpha",
    "class_weight",
];

const OF_A_FOREST: [&str; 4] = ["n_estimators", "bootstrap", "max_samples", "oob_score"];

impl RandomForest {
    /// Reads the settings of a forest.
    pub(crate) fn new(task: Task, given: &BTreeMap<String, Value>) -> Result<Self, ParamError> {
        let known: Vec<&str> = OF_A_FOREST.into_iter().chain(OF_A_TREE).collect();
        let mut params = Params::new(given, &known)?;
        let classification = task == Task::Classification;
        let default = if classification { json!("sqrt") } else { json!(1.0) };
        let mut forest = Self::shared(task, &mut params, default)?;
        forest.trees =
            params.read("n_estimators", json!(100), "a whole number from 1 to 100000", |value| {
                value.as_u64().filter(|count| (1..=100_000).contains(count)).map(|count| count as usize)
            })?;
        forest.bootstrap = params.read("bootstrap", json!(true), "true or false", Value::as_bool)?;
        let expected = format!("`null`, or {ROWS}");
        forest.max_samples = params.read("max_samples", Value::Null, &expected, |value| match value {
            Value::Null => Some(Amount::All),
            other => Amount::number(other, 1),
        })?;
        forest.oob_score = params.read("oob_score", json!(false), "true or false", Value::as_bool)?;
        let needs = |name: &str| {
            Err(ParamError(format!("params.{name}: it needs `bootstrap: true`, which leaves rows out")))
        };
        if forest.oob_score && !forest.bootstrap {
            return needs("oob_score");
        }
        if forest.max_samples != Amount::All && !forest.bootstrap {
            return needs("max_samples");
        }
        forest.resolved = params.resolved;
        Ok(forest)
    }

    /// Reads the settings of one tree: a forest of one, on every row and, by default, every feature.
    pub(crate) fn tree(task: Task, given: &BTreeMap<String, Value>) -> Result<Self, ParamError> {
        let mut params = Params::new(given, &OF_A_TREE)?;
        let mut tree = Self::shared(task, &mut params, Value::Null)?;
        if tree.class_weight == TreeClassWeight::BalancedSubsample {
            return Err(ParamError(
                "params.class_weight: `balanced_subsample` is for a forest; use `balanced`".to_owned(),
            ));
        }
        tree.resolved = params.resolved;
        Ok(tree)
    }

    fn shared(task: Task, params: &mut Params<'_>, max_features: Value) -> Result<Self, ParamError> {
        let classification = task == Task::Classification;
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
        let min_samples_split =
            params.read("min_samples_split", json!(2), ROWS_TO_SPLIT, |value| Amount::number(value, 2))?;
        let min_samples_leaf =
            params.read("min_samples_leaf", json!(1), ROWS, |value| Amount::number(value, 1))?;
        let expected = "`sqrt`, `log2`, `null`, a whole number from 1, or a share above 0 and at most 1.0";
        let max_features = params.read("max_features", max_features, expected, |value| match value {
            Value::Null => Some(Amount::All),
            Value::String(name) if name == "sqrt" => Some(Amount::Sqrt),
            Value::String(name) if name == "log2" => Some(Amount::Log2),
            other => Amount::number(other, 1),
        })?;
        let expected = "`null` or a whole number from 2";
        let max_leaf_nodes = params.read("max_leaf_nodes", Value::Null, expected, |value| match value {
            Value::Null => Some(None),
            other => other.as_u64().filter(|count| *count >= 2).map(|count| Some(count as usize)),
        })?;
        let from_zero = |value: &Value| value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
        let min_impurity_decrease =
            params.read("min_impurity_decrease", json!(0.0), "a number from 0 on", from_zero)?;
        let ccp_alpha = params.read("ccp_alpha", json!(0.0), "a number from 0 on", from_zero)?;
        let class_weight = if classification {
            let expected = format!("{}, or `balanced_subsample`", ClassWeight::EXPECTED);
            params.read("class_weight", Value::Null, &expected, |value| match value.as_str() {
                Some("balanced_subsample") => Some(TreeClassWeight::BalancedSubsample),
                _ => ClassWeight::read(value).map(TreeClassWeight::Whole),
            })?
        } else {
            params.read("class_weight", Value::Null, "allowed for a regression", |value| {
                value.is_null().then_some(TreeClassWeight::Whole(ClassWeight::None))
            })?
        };
        Ok(Self {
            trees: 1,
            entropy: criterion == "entropy" || criterion == "log_loss",
            max_depth,
            min_samples_split,
            min_samples_leaf,
            max_features,
            max_leaf_nodes,
            min_impurity_decrease,
            ccp_alpha,
            bootstrap: false,
            max_samples: Amount::All,
            oob_score: false,
            class_weight,
            task,
            resolved: BTreeMap::new(),
            progress: Progress::default(),
        })
    }
}

const ROWS: &str = "a whole number of rows from 1, or a share above 0 and at most 1.0";

const ROWS_TO_SPLIT: &str = "a whole number of rows from 2, or a share above 0 and at most 1.0";
