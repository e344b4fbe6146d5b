//! What a model takes, ready to check cells against.

use std::collections::{HashMap, HashSet};

use modelgate_core::schema::{Allowed, Feature, FeatureSchema, FeatureType};
use modelgate_data::is_null;

/// One feature and what is looked up for each of its cells.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) feature: Feature,
    categories: HashSet<String>,
    /// What is expected, in words.
    pub(crate) expected: String,
    /// What the data contract allows, in words.
    pub(crate) contract: String,
    /// Whether `true` and `false` stand for 1 and 0: a column of booleans is one of numbers in the package.
    pub(crate) takes_bool: bool,
}

impl Input {
    /// Returns whether training saw this category; a feature without a list knows all.
    pub(crate) fn knows(&self, category: &str) -> bool {
        self.categories.is_empty() || self.categories.contains(category)
    }
}

/// The features of a model in the order of its inputs.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) inputs: Vec<Input>,
    places: HashMap<String, usize>,
    /// Words that training read as no value beside those that always are none, and those of them that are numbers.
    nulls: HashSet<String>,
    null_numbers: Vec<f64>,
}

impl Inputs {
    pub(crate) fn new(schema: &FeatureSchema) -> Self {
        let places = schema.features.iter().enumerate().map(|(at, one)| (one.name.clone(), at)).collect();
        let inputs = schema.features.iter().map(|feature| Input {
            categories: feature.categories.iter().cloned().collect(),
            expected: expected(feature),
            contract: feature.allowed.map(allowed).unwrap_or_default(),
            takes_bool: feature.takes_booleans(),
            feature: feature.clone(),
        });
        let number = |word: &String| word.parse::<f64>().ok().filter(|number| number.is_finite());
        Self {
            inputs: inputs.collect(),
            places,
            nulls: schema.nulls.iter().cloned().collect(),
            null_numbers: schema.nulls.iter().filter_map(number).collect(),
        }
    }

    /// Returns whether training read this text as no value, wherever it stood.
    pub(crate) fn is_null(&self, text: &str) -> bool {
        is_null(text.as_bytes()) || self.nulls.contains(text)
    }

    /// Returns whether a word that training read as no value writes this number.
    pub(crate) fn is_null_number(&self, number: f64) -> bool {
        self.null_numbers.contains(&number)
    }

    /// Returns the place of a feature; `guess` is looked at first, since most callers keep to one order.
    pub(crate) fn find(&self, name: &str, guess: usize) -> Option<usize> {
        match self.inputs.get(guess) {
            Some(input) if input.feature.name == name => Some(guess),
            _ => self.places.get(name).copied(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }
}

fn allowed(allowed: Allowed) -> String {
    match (allowed.min, allowed.max) {
        (Some(min), Some(max)) => format!("from {min} to {max}, by the data contract"),
        (Some(min), None) => format!("at least {min}, by the data contract"),
        (None, Some(max)) => format!("at most {max}, by the data contract"),
        (None, None) => String::new(),
    }
}

/// Categories that a sentence lists at most.
const NAMED: usize = 12;

fn expected(feature: &Feature) -> String {
    let kind = match (feature.feature_type, feature.range) {
        (FeatureType::Int | FeatureType::Float, _) if feature.takes_booleans() => {
            "0 or 1, or false or true".to_owned()
        }
        (FeatureType::Int, None) => "a whole number".to_owned(),
        (FeatureType::Int, Some((low, high))) => format!("a whole number from {low} to {high}"),
        (FeatureType::Float, None) => "a number".to_owned(),
        (FeatureType::Float, Some((low, high))) => format!("a number from {low} to {high}"),
        (FeatureType::Text, _) if feature.categories.is_empty() => "a string".to_owned(),
        (FeatureType::Text, _) => {
            // Quoted: a comma may be part of a category.
            let named: Vec<String> =
                feature.categories.iter().take(NAMED).map(|one| format!("{one:?}")).collect();
            let more = feature.categories.len().saturating_sub(NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("one of {}{more}", named.join(", "))
        }
    };
    if feature.nullable { format!("{kind}, or null") } else { kind }
}

/// Inputs of a model that takes these features.
#[cfg(test)]
pub(crate) fn of_features(features: Vec<Feature>) -> Inputs {
    of_features_and_nulls(features, &[])
}

/// As [`of_features`], with words that training read as no value.
#[cfg(test)]
pub(crate) fn of_features_and_nulls(features: Vec<Feature>, nulls: &[&str]) -> Inputs {
    use modelgate_core::schema::{SCHEMA_VERSION, Task};
    let (target, task) = ("y".to_owned(), Task::Regression);
    let nulls = nulls.iter().map(|word| (*word).to_owned()).collect();
    let (schema_version, classes) = (SCHEMA_VERSION, None);
    Inputs::new(&FeatureSchema { schema_version, task, features, target, classes, nulls })
}
