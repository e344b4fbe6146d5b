//! Rows with known answers, kept beside a version: a package that is brought back must still give them.
//!
//! The rows are made from the schema alone (ranges, categories, nulls), so no row of anybody's data is stored.

use std::collections::BTreeMap;

use modelgate_core::Digest;
use modelgate_core::schema::{Feature, FeatureType};
use modelgate_data::{Column, Table, Values};
use modelgate_model::{Package, Prediction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::PipelineError;

/// The name of the artefact.
pub(crate) const PROBES: &str = "probes.json";

const ROWS: usize = 8;
/// Answers are the same to the bit on one machine; another one may round the last digit in another way.
const TOLERANCE: f64 = 1e-5;

/// Rows and what a package answers to them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probes {
    /// The version of this form.
    pub(crate) schema_version: u32,
    /// The package that answered.
    pub(crate) digest: Digest,
    /// The values by column; null is a missing one.
    pub(crate) columns: BTreeMap<String, Vec<Value>>,
    /// Probabilities, row by row, or predicted values.
    pub(crate) answers: Vec<f64>,
}

/// Returns probes of `package`.
pub(crate) fn make(package: &Package) -> Result<Probes, PipelineError> {
    let features = &package.manifest.schema.features;
    let columns: BTreeMap<String, Vec<Value>> = features
        .iter()
        .enumerate()
        .map(|(place, feature)| {
            let values = (0..ROWS).map(|row| value(feature, place, row)).collect();
            (feature.name.clone(), values)
        })
        .collect();
    let answers = answer(package, &columns)?;
    Ok(Probes { schema_version: 1, digest: package.digest, columns, answers })
}

/// Walks each feature through its range in a step of its own; the last row is null where nulls are known.
fn value(feature: &Feature, place: usize, row: usize) -> Value {
    if row + 1 == ROWS && feature.nullable {
        return Value::Null;
    }
    let (low, high) = feature.range.unwrap_or((0.0, 1.0));
    let share = ((place * 5 + row * 3) % 9) as f64 / 8.0;
    match feature.feature_type {
        FeatureType::Int => json!((low + (high - low) * share).round() as i64),
        FeatureType::Float => json!(low + (high - low) * share),
        FeatureType::Text if feature.categories.is_empty() => json!(""),
        FeatureType::Text => json!(feature.categories[(place + row) % feature.categories.len()]),
    }
}

fn answer(package: &Package, columns: &BTreeMap<String, Vec<Value>>) -> Result<Vec<f64>, PipelineError> {
    let lost = |what: &str| PipelineError::Policy(format!("the stored rows do not fit the package: {what}"));
    let rows = columns.values().next().map_or(0, Vec::len);
    let mut table = Table { rows, ..Table::default() };
    for feature in &package.manifest.schema.features {
        let values = columns.get(&feature.name).ok_or_else(|| lost(&feature.name))?;
        if values.len() != rows {
            return Err(lost(&feature.name));
        }
        let values = match feature.feature_type {
            FeatureType::Int => Values::Int(values.iter().map(Value::as_i64).collect()),
            FeatureType::Float => Values::Float(values.iter().map(Value::as_f64).collect()),
            FeatureType::Text => {
                Values::Text(values.iter().map(|value| value.as_str().map(str::to_owned)).collect())
            }
        };
        table.columns.push(Column { name: feature.name.clone(), values });
    }
    let numbers: Vec<u32> = (0..rows as u32).collect();
    let answers = match package.model.predict(&table, &numbers)? {
        Prediction::Classes { probabilities, .. } => probabilities,
        Prediction::Values(values) => values,
    };
    Ok(answers.into_iter().map(f64::from).collect())
}

/// Checks that `package` still gives the answers it gave when it was registered.
///
/// # Errors
/// Says which row has another answer.
pub(crate) fn check(package: &Package, probes: &Probes) -> Result<(), PipelineError> {
    if probes.schema_version != 1 || probes.digest != package.digest {
        let sentence = format!("`{PROBES}` is of another package, {}", probes.digest);
        return Err(PipelineError::Policy(sentence));
    }
    let found = answer(package, &probes.columns)?;
    if found.len() != probes.answers.len() {
        return Err(PipelineError::Policy(format!(
            "the package gives {} answers to its stored rows; {} are stored",
            found.len(),
            probes.answers.len()
        )));
    }
    for (place, (one, other)) in found.iter().zip(&probes.answers).enumerate() {
        let close = (one - other).abs() <= TOLERANCE * other.abs().max(1.0);
        let same = close || (one.is_nan() && other.is_nan());
        if !same {
            return Err(PipelineError::Policy(format!(
                "the package answers {one} where {other} is stored (answer {} of its stored rows)",
                place + 1
            )));
        }
    }
    Ok(())
}
