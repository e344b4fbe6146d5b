//! What a person should know of a model from elsewhere before it is believed, as far as the data's columns tell.

use modelgate_core::schema::{FeatureSchema, FeatureType};

use super::boosted::{BoostedModel, Categories};
use super::recognise::ForeignModel;
use crate::onnx::{own_limit, undirected, wrap};

/// From here on not every whole number is one of 32 bits.
const ALL_WHOLE: f64 = 16_777_216.0;

/// Names at most in a sentence.
const SHOWN: usize = 5;

impl ForeignModel {
    /// Says what of the model may not be here as it was where it was made: a limit by which it decides, where missing values
    /// go, categories that no value of the data is.
    pub fn doubts(&self, schema: &FeatureSchema) -> Vec<String> {
        match self {
            Self::Onnx(bytes) => {
                let nullable = schema.features.iter().filter(|feature| feature.takes_null());
                let numbers = nullable.filter(|feature| feature.feature_type != FeatureType::Text);
                let numbers: Vec<&str> = numbers.map(|feature| feature.name.as_str()).collect();
                let package = if numbers.is_empty() { None } else { wrap(bytes, schema).ok() };
                let lost = package.map(|package| undirected(&package, &numbers)).unwrap_or_default();
                own_limit(bytes).into_iter().chain(no_direction(&lost)).collect()
            }
            Self::Boosted(model) => model.doubts(schema),
        }
    }
}

/// Returns names side by side, of many the first.
fn listed<T: std::fmt::Display>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn no_direction(columns: &[String]) -> Option<String> {
    (!columns.is_empty()).then(|| {
        format!(
            "rows without a value of {} go the way of the high values at every split, since the graph's trees do not say where \
             missing values go: skl2onnx leaves out where trees and forests of scikit-learn send them. Hold its answers against \
             the model's own as docs/migrate.md shows, or train it behind an imputer",
            listed(columns)
        )
    })
}

impl BoostedModel {
    fn doubts(&self, schema: &FeatureSchema) -> Vec<String> {
        // What does not fit is refused elsewhere.
        let Ok(features) = self.features(schema) else { return Vec::new() };
        let mut told = Vec::new();
        for (feature, categories) in features.iter().zip(&self.categories) {
            let name = &feature.name;
            match categories {
                Categories::Texts(texts) => {
                    let is_absent = |text: &&String| !feature.categories.contains(text);
                    let missing: Vec<&String> = texts.iter().filter(is_absent).collect();
                    let (declared, known): (Vec<&String>, Vec<&String>) =
                        missing.into_iter().partition(|text| schema.nulls.contains(text));
                    let known: Vec<&String> = known
                        .into_iter()
                        .filter(|text| modelgate_data::is_null(text.trim().as_bytes()))
                        .collect();
                    if feature.nullable && !known.is_empty() {
                        told.push(format!(
                            "the model knows {} of `{name}` as a category, and in the data it counts as missing: declare \
                             `data.types: {{{name}: category}}`, so that it is read to the letter",
                            listed(&known)
                        ));
                    }
                    if !declared.is_empty() {
                        told.push(format!(
                            "the model knows {} of `{name}` as a category, and `data.nulls` says that it is missing: take it out \
                             there",
                            listed(&declared)
                        ));
                    }
                }
                Categories::Numbers(values) => {
                    if values.iter().any(|value| value.abs() > ALL_WHOLE) {
                        told.push(format!(
                            "categories of `{name}` are numbers beyond 2^24, of which 32 bits tell not every one from the next: a \
                             number beside a category that the model does not know counts as that category. Train it on texts, \
                             such as `frame[\"{name}\"].astype(str).astype(\"category\")`, and declare `data.types: {{{name}: \
                             category}}`"
                        ));
                    }
                }
                Categories::None | Categories::Codes => {}
            }
        }
        told
    }
}
