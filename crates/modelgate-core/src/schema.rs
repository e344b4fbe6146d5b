//! What a model takes and gives: features with their types, the task and its classes.
//!
//! The key type is [`FeatureSchema`]. Types are inferred from files in `modelgate-data`.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the schema's own form, kept in every manifest.
pub const SCHEMA_VERSION: u32 = 1;

/// The texts that are null, those of pandas' `read_csv`, so that a notebook and a pipeline see the same rows.
/// Source: <https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html>, `na_values`.
pub const NULL_TOKENS: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// What the model is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Predicts one of a fixed set of classes.
    Classification,
    /// Predicts a number.
    Regression,
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Classification => "classification",
            Self::Regression => "regression",
        })
    }
}

/// The type of a raw column, as the package takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureType {
    /// Whole numbers without nulls; `int64` in the package. A column of whole numbers with nulls is `Float`.
    Int,
    /// Numbers; `float32` in the package, null is NaN.
    Float,
    /// Text; `string` in the package, null is the empty string.
    Text,
}

impl fmt::Display for FeatureType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "string",
        })
    }
}

/// One raw input column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name in the data and in the package.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub feature_type: FeatureType,
    /// Whether the training rows had a null.
    pub nullable: bool,
    /// Whether the values are `true` and `false`, or 0 and 1, in a column that is `Float` since some of them are missing; of
    /// one without nulls the type and the range say it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub boolean: bool,
    /// Smallest and largest value in the training rows; numeric columns only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// The values in the training rows, sorted; text columns only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// What the data contract allows, where it says so; numeric columns only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What a number of it is counted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Feature {
    /// Returns a feature of which nothing else is known.
    pub fn of(name: impl Into<String>, feature_type: FeatureType, nullable: bool) -> Self {
        Self {
            name: name.into(),
            feature_type,
            nullable,
            boolean: false,
            range: None,
            categories: Vec::new(),
            allowed: None,
            label: None,
            unit: None,
        }
    }

    /// Returns whether `true` and `false` stand for 1 and 0 in requests: a column of booleans is one of whole numbers from 0
    /// to 1 in the package, or of numbers where values are missing.
    pub fn takes_booleans(&self) -> bool {
        match self.feature_type {
            FeatureType::Int => self.is_within_0_and_1(),
            FeatureType::Float => self.boolean,
            FeatureType::Text => false,
        }
    }

    /// Returns whether all numbers of the training rows lie from 0 to 1.
    pub fn is_within_0_and_1(&self) -> bool {
        self.range.is_some_and(|(low, high)| low >= 0.0 && high <= 1.0)
    }

    /// Returns whether a request may leave the value out by `null`: whole numbers have none in the package.
    pub fn takes_null(&self) -> bool {
        self.nullable && self.feature_type != FeatureType::Int
    }
}

/// The values that a data contract allows.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Allowed {
    /// The smallest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// The classes of a classifier in output order: sorted, of one type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "values", rename_all = "snake_case")]
pub enum Classes {
    /// Whole numbers.
    Int(Vec<i64>),
    /// Text.
    Text(Vec<String>),
}

impl Classes {
    /// Returns the number of classes.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Returns whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the classes as text, in output order.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Int(values) => values.iter().map(ToString::to_string).collect(),
            Self::Text(values) => values.clone(),
        }
    }
}

/// The features, target and classes of a model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FeatureSchema {
    /// The version of this form, [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What the model is for.
    pub task: Task,
    /// The raw input columns, in the order of the package's inputs.
    pub features: Vec<Feature>,
    /// The column that is predicted.
    pub target: String,
    /// The classes; `None` for regression.
    pub classes: Option<Classes>,
    /// Words that mean a missing value in requests beside [`NULL_TOKENS`], which always do, sorted: those of `data.nulls`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nulls: Vec<String>,
}

/// Returns why a model of schema `candidate` cannot take the place of one of schema `production`; empty when it can.
///
/// A removed or retyped feature, another target, task or other classes are incompatible; so is a new feature, which
/// today's callers do not send, another order, since callers may send values by position, and what requests might
/// hold so far and might not any more: a null, `true` and `false`, a word for a missing value.
pub fn incompatibilities(candidate: &FeatureSchema, production: &FeatureSchema) -> Vec<String> {
    let mut found: Vec<String> = other_target(candidate, production).into_iter().collect();
    if candidate.task != production.task {
        found.push(format!("task {} became {}", production.task, candidate.task));
    }
    for old in &production.features {
        match candidate.features.iter().find(|new| new.name == old.name) {
            None => found.push(format!("feature `{}` was removed", old.name)),
            Some(new) if new.feature_type != old.feature_type => {
                let why = match (old.feature_type, new.feature_type) {
                    // Booleans have no fractions.
                    (FeatureType::Int, FeatureType::Float) if new.boolean => {
                        ", since a value is missing, which `nullable: false` in a contract finds".to_owned()
                    }
                    (FeatureType::Int, FeatureType::Float) => {
                        format!(
                            ", since a value is missing, which `nullable: false` in a contract finds, or has a fraction, which \
                             `data.types: {{{}: int}}` finds",
                            old.name
                        )
                    }
                    _ => String::new(),
                };
                found.push(format!(
                    "feature `{}` was {} and is {}{why}",
                    old.name, old.feature_type, new.feature_type
                ));
            }
            Some(new) => found.extend(narrowed(new, old)),
        }
    }
    for new in &candidate.features {
        if !production.features.iter().any(|old| old.name == new.name) {
            found.push(format!("feature `{}` is new: today's callers do not send it", new.name));
        }
    }
    found.extend(reordered(&candidate.features, &production.features));
    let lost: Vec<String> = production
        .nulls
        .iter()
        .filter(|word| !candidate.nulls.contains(word) && !NULL_TOKENS.contains(&word.as_str()))
        .map(|word| format!("`{word}`"))
        .collect();
    if !lost.is_empty() {
        found.push(format!(
            "requests may say {} for a missing value and could not any more; keep it in `data.nulls`",
            lost.join(", ")
        ));
    }
    if candidate.classes != production.classes {
        // The text "1" is another class than the number 1.
        let names = |classes: &Option<Classes>| {
            let shown = |classes: &Classes| match classes {
                Classes::Int(_) => classes.names().join(", "),
                Classes::Text(texts) => {
                    texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ")
                }
            };
            classes.as_ref().map_or_else(String::new, shown)
        };
        found.push(format!(
            "classes were [{}] and are [{}]",
            names(&production.classes),
            names(&candidate.classes)
        ));
    }
    found
}

/// Says that `candidate` predicts another column than `production`, where it does: of another question, no answer is right or
/// wrong for the one before.
pub fn other_target(candidate: &FeatureSchema, production: &FeatureSchema) -> Option<String> {
    let (now, before) = (&candidate.target, &production.target);
    // A package that names none does not say.
    let is_other = !now.is_empty() && !before.is_empty() && now != before;
    is_other.then(|| {
        format!(
            "it predicts `{before}` and the candidate `{now}`: a model of another column has a name of its own (`model.name`)"
        )
    })
}

/// Returns what requests may hold for a feature `old` and would be refused for in `new`, of the same name and type.
fn narrowed(new: &Feature, old: &Feature) -> Option<String> {
    let name = &old.name;
    if old.takes_null() && !new.takes_null() {
        return Some(format!(
            "feature `{name}` may be null and could not any more, since no row of the data is without a value of \
             it; keep such rows in the data"
        ));
    }
    // Counts that were 0 or 1 so far may grow, and packages of before did not say of numbers that they are booleans; another
    // code for yes and no does not begin at 0.
    let coded_anew = new.range.is_none_or(|(low, _)| low != 0.0);
    if old.takes_booleans() && !new.takes_booleans() && coded_anew {
        let now =
            new.range.map_or_else(String::new, |(low, high)| format!(", from {low} to {high} in training"));
        let kind = if new.feature_type == FeatureType::Int { "a whole number" } else { "a number" };
        return Some(format!(
            "feature `{name}` may be true or false and could not any more: it is {kind} now{now}"
        ));
    }
    None
}

/// Returns which values requests may hold by `production` and would be refused for by `candidate`: texts that its training rows
/// do not have, and numbers beyond bounds that its contract has drawn closer.
///
/// Where production has no bound, one that all its training rows keep takes no value from anybody.
pub fn lost_values(candidate: &FeatureSchema, production: &FeatureSchema) -> Vec<String> {
    let mut found = Vec::new();
    for old in &production.features {
        let same = |new: &&Feature| new.name == old.name && new.feature_type == old.feature_type;
        let Some(new) = candidate.features.iter().find(same) else { continue };
        found.extend(lost_texts(new, old));
        found.extend(drawn_closer(new, old));
    }
    found
}

/// So many texts of a feature are named.
const NAMED_TEXTS: usize = 5;

fn lost_texts(new: &Feature, old: &Feature) -> Option<String> {
    let known: BTreeSet<&String> = new.categories.iter().collect();
    let lost: Vec<&String> = old.categories.iter().filter(|text| !known.contains(text)).collect();
    // A model that knows none is asked for any.
    if lost.is_empty() || known.is_empty() {
        return None;
    }
    let named: Vec<String> = lost.iter().take(NAMED_TEXTS).map(|text| format!("`{text}`")).collect();
    let more = lost.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some(format!(
        "feature `{}` may be {}{more} and could not any more, since no training row has that; keep such rows in the data, or \
         `serve: {{unknown_category: flag}}` answers such requests",
        old.name,
        named.join(", ")
    ))
}

fn drawn_closer(new: &Feature, old: &Feature) -> Option<String> {
    let (bounds, before) = (new.allowed?, old.allowed.unwrap_or_default());
    let (low, high) = (old.range.map(|range| range.0), old.range.map(|range| range.1));
    let lower = before.min.or(low);
    let upper = before.max.or(high);
    let is_above = |bound: &f64| lower.is_some_and(|before| *bound > before);
    let is_below = |bound: &f64| upper.is_some_and(|before| *bound < before);
    let below = bounds.min.filter(is_above).map(|bound| format!("below {bound}"));
    let above = bounds.max.filter(is_below).map(|bound| format!("above {bound}"));
    let closed: Vec<String> = below.into_iter().chain(above).collect();
    (!closed.is_empty()).then(|| {
        format!(
            "feature `{}` may be {} and could not any more, by the data contract; widen it, or `serve: {{out_of_contract: \
             flag}}` answers such requests",
            old.name,
            closed.join(" and ")
        )
    })
}

/// Returns what callers that send values by position would notice, where the features are the same and their order is not.
fn reordered(new: &[Feature], old: &[Feature]) -> Option<String> {
    let names = |features: &[Feature]| -> BTreeSet<String> {
        features.iter().map(|feature| feature.name.clone()).collect()
    };
    let (now, before) = new.iter().zip(old).find(|(now, before)| now.name != before.name)?;
    // Where one was added or removed, that is what there is to say.
    (names(new) == names(old)).then(|| {
        format!(
            "the features stand in another order, `{}` where `{}` was: values that are sent by position would be taken for \
             others; put the columns of the data back into their order",
            now.name, before.name
        )
    })
}

#[cfg(test)]
mod tests;
