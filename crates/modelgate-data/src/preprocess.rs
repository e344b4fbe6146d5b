//! The preprocessing plan: fitted on the training rows, the same arithmetic here and in the package's graph.
//!
//! The key type is [`PreprocessPlan`]. Everything is `f32`, rounded once from the column's own type; a fill, a
//! subtraction and a division are separate operations, as the graph has them.

mod doubts;
mod written;

use std::collections::{BTreeMap, HashMap};

use modelgate_core::schema::{Feature, FeatureType};
use serde::{Deserialize, Serialize};
pub(crate) use written::Written;

use crate::ColumnType;
use crate::error::{DataError, clipped};
use crate::table::{Column, Table, Values};

/// One-hot encoding makes at most this many columns of one.
const MAX_ONEHOT: usize = 1000;

/// The texts besides the empty one that stand for null where a caller's tool writes a null as text.
pub const NULL_TEXTS: [&str; 4] = ["None", "nan", "NaN", "<NA>"];

/// What takes the place of a missing number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Nothing.
    None,
    /// The mean.
    Mean,
    /// The median.
    Median,
    /// The most frequent value, the smallest of several; also for text.
    MostFrequent,
}

/// How numbers are scaled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Not at all.
    None,
    /// To mean 0 and (population) standard deviation 1.
    Standard,
}

/// How text becomes numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encode {
    /// One column per category.
    Onehot,
    /// The category's rank.
    Ordinal,
}

/// What a category does that training did not see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCategory {
    /// Zeros (one-hot) or -1 (ordinal).
    Ignore,
    /// An error.
    Error,
}

/// The settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreprocessSpec {
    /// Missing numbers.
    pub missing: Missing,
    /// Scaling of numbers.
    pub scale: Scale,
    /// Encoding of text.
    pub encode: Encode,
    /// Categories that training did not see.
    pub unknown_category: UnknownCategory,
}

/// A number column: `x` as `f32`, `fill` for null, minus `mean`, over `scale`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NumericColumn {
    /// Its name.
    pub name: String,
    /// Whole numbers or numbers.
    pub feature_type: FeatureType,
    /// What takes the place of null.
    pub fill: Option<f32>,
    /// What is subtracted.
    pub mean: Option<f32>,
    /// What is divided by.
    pub scale: Option<f32>,
}

/// A text column; null is the empty text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TextColumn {
    /// Its name.
    pub name: String,
    /// The category that null counts as.
    pub fill: Option<String>,
    /// The categories, sorted; the empty one stands for null.
    pub categories: Vec<String>,
}

/// The fitted plan: numbers first, then text, each in the order of the columns.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PreprocessPlan {
    /// The settings.
    pub spec: PreprocessSpec,
    /// The number columns.
    pub numeric: Vec<NumericColumn>,
    /// The text columns.
    pub text: Vec<TextColumn>,
}

fn wrong(column: &str, message: String) -> DataError {
    DataError::Preprocess { column: column.to_owned(), message }
}

/// Fits the plan on `rows` of the columns `features`.
///
/// # Errors
/// Fails for a column without any value, for one with too many categories, and for text that looks like an identifier.
pub fn fit(
    table: &Table,
    rows: &[u32],
    features: &[String],
    spec: &PreprocessSpec,
) -> Result<PreprocessPlan, DataError> {
    fit_rows(table, rows, features, spec, Rows::All)
}

/// As [`fit`], on a part of the training rows, to try a model on the others: a column that has no value in the part is
/// constant there, and one in which each row has a text of its own is no identifier for that.
///
/// # Errors
/// Fails for a column with too many categories.
pub fn fit_part(
    table: &Table,
    rows: &[u32],
    features: &[String],
    spec: &PreprocessSpec,
) -> Result<PreprocessPlan, DataError> {
    fit_rows(table, rows, features, spec, Rows::Part)
}

/// What rows a plan is fitted on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// The training rows.
    All,
    /// A part of them.
    Part,
}

fn fit_rows(
    table: &Table,
    rows: &[u32],
    features: &[String],
    spec: &PreprocessSpec,
    of: Rows,
) -> Result<PreprocessPlan, DataError> {
    let mut plan = PreprocessPlan { spec: *spec, numeric: Vec::new(), text: Vec::new() };
    let by_name = table.by_name();
    for name in features {
        let column = by_name
            .get(name.as_str())
            .copied()
            .ok_or_else(|| wrong(name, "it is not in the data".to_owned()))?;
        let is_value =
            |row: usize| !column.is_null(row) && column.number(row).is_none_or(|value| !value.is_nan());
        if of == Rows::All && !rows.iter().any(|row| is_value(*row as usize)) {
            let message = "it has no value in the training rows; add it to `preprocess.drop`".to_owned();
            return Err(wrong(name, message));
        }
        match column.feature_type() {
            FeatureType::Text => plan.text.push(fit_text(column, rows, spec, of)?),
            feature_type => plan.numeric.push(fit_numeric(column, rows, spec, feature_type)),
        }
    }
    if plan.output_names().is_empty() {
        let message = "there is no feature left; nothing to learn from".to_owned();
        return Err(DataError::File { source_name: "the data".to_owned(), message });
    }
    Ok(plan)
}

fn fit_numeric(
    column: &Column,
    rows: &[u32],
    spec: &PreprocessSpec,
    feature_type: FeatureType,
) -> NumericColumn {
    // In f32 as the model sees them, so that the mean of what it sees is what is subtracted.
    let values = rows.iter().map(|row| column.single(*row as usize));
    let mut known: Vec<f64> = values.clone().filter(|value| !value.is_nan()).map(f64::from).collect();
    if known.is_empty() {
        let fill = (spec.missing != Missing::None).then_some(0.0);
        return NumericColumn { name: column.name.clone(), feature_type, fill, mean: None, scale: None };
    }
    let fill = match spec.missing {
        Missing::None => None,
        Missing::Mean => Some((known.iter().sum::<f64>() / known.len() as f64) as f32),
        Missing::Median => Some(median(&mut known) as f32),
        Missing::MostFrequent => Some(most_frequent(&mut known) as f32),
    };
    let (mean, scale) = match spec.scale {
        Scale::None => (None, None),
        Scale::Standard => {
            let filled: Vec<f64> = values
                .map(|value| if value.is_nan() { fill.unwrap_or(f32::NAN) } else { value })
                .filter(|value| !value.is_nan())
                .map(f64::from)
                .collect();
            let mean = filled.iter().sum::<f64>() / filled.len() as f64;
            let variance =
                filled.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / filled.len() as f64;
            let deviation = variance.sqrt() as f32;
            (Some(mean as f32), Some(if deviation > 0.0 { deviation } else { 1.0 }))
        }
    };
    NumericColumn { name: column.name.clone(), feature_type, fill, mean, scale }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn most_frequent(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let mut best = (0, 0.0);
    for run in values.chunk_by(|one, other| one == other) {
        if run.len() > best.0 {
            best = (run.len(), run[0]);
        }
    }
    best.1
}

fn fit_text(column: &Column, rows: &[u32], spec: &PreprocessSpec, of: Rows) -> Result<TextColumn, DataError> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(column.text(*row as usize).unwrap_or_default()).or_default() += 1;
    }
    let name = &column.name;
    let distinct = counts.len();
    let nulls = counts.get("").copied().unwrap_or_default();
    let known = rows.len() - nulls;
    let texts: Vec<&str> = counts.keys().copied().filter(|text| !text.is_empty()).collect();
    let all_differ = of == Rows::All && texts.len() == known && known > 50;
    let too_many = spec.encode == Encode::Onehot && distinct > MAX_ONEHOT;
    if (all_differ || too_many)
        && let Some(written) = Written::of(&texts)
    {
        let advice = written.advice();
        let message =
            format!("its texts are numbers with {written}: {advice}; or add it to `preprocess.drop`");
        return Err(wrong(name, message));
    }
    if all_differ {
        let message = "every training row that has a text has another one: it looks like an identifier; add it to \
            `preprocess.drop`";
        return Err(wrong(name, message.to_owned()));
    }
    if too_many {
        let message = format!(
            "it has {distinct} categories and one-hot encoding makes at most {MAX_ONEHOT} columns; use `encode: ordinal`, \
             or add it to `preprocess.drop`"
        );
        return Err(wrong(name, message));
    }
    let fill = (spec.missing == Missing::MostFrequent).then(|| {
        let known = counts.iter().filter(|(category, _)| !category.is_empty());
        // The first of several, which is the smallest text.
        known
            .fold((0, ""), |best, (category, count)| if *count > best.0 { (*count, category) } else { best })
            .1
            .to_owned()
    });
    let kept = counts.keys().filter(|category| fill.is_none() || !category.is_empty());
    let categories = kept.map(|text| (*text).to_owned()).collect();
    Ok(TextColumn { name: name.clone(), fill, categories })
}

impl TextColumn {
    /// Returns the category that `value` counts as, by its position; `None` when training did not see it.
    ///
    /// One of [`NULL_TEXTS`] is null unless training saw it as a text: in a Parquet file `None` may be a category.
    pub fn position(&self, value: Option<&str>) -> Option<usize> {
        let seen = |text: &str| self.categories.binary_search_by(|one| one.as_str().cmp(text)).ok();
        let value = value.unwrap_or_default();
        if let (false, Some(position)) = (value.is_empty(), seen(value)) {
            return Some(position);
        }
        let is_null = value.is_empty() || NULL_TEXTS.contains(&value);
        if is_null { seen(self.fill.as_deref().unwrap_or_default()) } else { None }
    }
}

impl PreprocessPlan {
    /// Returns the names of the matrix's columns: a number column's own, `column=category`, or a text column's own.
    pub fn output_names(&self) -> Vec<String> {
        let numeric = self.numeric.iter().map(|column| column.name.clone());
        let text = self.text.iter().flat_map(|column| match self.spec.encode {
            Encode::Ordinal => vec![column.name.clone()],
            Encode::Onehot => {
                column.categories.iter().map(|category| format!("{}={category}", column.name)).collect()
            }
        });
        numeric.chain(text).collect()
    }

    /// Returns the matrix of `rows`, row-major `[rows × output_names]`.
    ///
    /// # Errors
    /// Fails for a missing column, for text where training had numbers and the other way round, for a row beyond the
    /// table, and for an unknown category where that is an error.
    pub fn transform(&self, table: &Table, rows: &[u32]) -> Result<Vec<f32>, DataError> {
        let width = self.output_names().len();
        let mut matrix = vec![0.0_f32; rows.len() * width];
        if width == 0 {
            return Ok(matrix);
        }
        if let Some(row) = rows.iter().find(|row| **row as usize >= table.rows) {
            let message = format!("row {row} is asked for and there are {}", table.rows);
            return Err(DataError::File { source_name: "the data".to_owned(), message });
        }
        let by_name = table.by_name();
        for (offset, plan) in self.numeric.iter().enumerate() {
            let column = column_of(&by_name, &plan.name, false)?;
            for (row, cells) in rows.iter().zip(matrix.chunks_exact_mut(width)) {
                let mut value = column.single(*row as usize);
                if let (true, Some(fill)) = (value.is_nan(), plan.fill) {
                    value = fill;
                }
                if let (Some(mean), Some(scale)) = (plan.mean, plan.scale) {
                    value = (value - mean) / scale;
                }
                cells[offset] = value;
            }
        }
        let mut offset = self.numeric.len();
        for plan in &self.text {
            let column = column_of(&by_name, &plan.name, true)?;
            for (row, cells) in rows.iter().zip(matrix.chunks_exact_mut(width)) {
                let value = column.text(*row as usize);
                let position = plan.position(value);
                if position.is_none() && self.spec.unknown_category == UnknownCategory::Error {
                    let value = clipped(value.unwrap_or_default());
                    return Err(DataError::Value {
                        place: format!("column `{}`", plan.name),
                        before: String::new(),
                        value,
                        after: format!(" in data row {} was not seen in training", row + 1),
                    });
                }
                match (self.spec.encode, position) {
                    (Encode::Onehot, Some(position)) => cells[offset + position] = 1.0,
                    (Encode::Onehot, None) => {}
                    (Encode::Ordinal, position) => {
                        cells[offset] = position.map_or(-1.0, |position| position as f32);
                    }
                }
            }
            offset += if self.spec.encode == Encode::Onehot { plan.categories.len() } else { 1 };
        }
        Ok(matrix)
    }
}

/// Returns a column of the kind that training had; one without any value is of either.
fn column_of<'a>(
    by_name: &HashMap<&str, &'a Column>,
    name: &str,
    is_text: bool,
) -> Result<&'a Column, DataError> {
    let column = by_name.get(name).copied().ok_or_else(|| wrong(name, "it is not in the data".to_owned()))?;
    let found_text = column.feature_type() == FeatureType::Text;
    if found_text != is_text && (0..column.len()).any(|row| !column.is_null(row)) {
        let (found, expected) = if found_text { ("text", "numbers") } else { ("numbers", "text") };
        return Err(wrong(name, format!("it holds {found}, and the training data {expected}")));
    }
    Ok(column)
}

/// Returns the schema's features over `rows`, in the order of the table's columns. Whether a value may be missing is told by all
/// rows of the table: which of them a split gives to training must not decide what requests may hold, and the others are
/// predicted too when the model is evaluated.
pub fn profile_features(table: &Table, rows: &[u32], plan: &PreprocessPlan) -> Vec<Feature> {
    let feature = |column: &Column| {
        let numeric = plan.numeric.iter().find(|numeric| numeric.name == column.name);
        let text = plan.text.iter().find(|text| text.name == column.name);
        let nullable = (0..column.len()).any(|row| column.is_null(row));
        if let Some(numeric) = numeric {
            let numbers = rows.iter().filter_map(|row| column.number(*row as usize));
            let range = numbers.fold(None, |range: Option<(f64, f64)>, value| {
                Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
            });
            let feature = Feature { range, ..Feature::of(&numeric.name, numeric.feature_type, nullable) };
            let whole = matches!(column.values, Values::Int(_)) && feature.is_within_0_and_1();
            let declared = table.meanings.get(&column.name) == Some(&ColumnType::Bool);
            let boolean = numeric.feature_type == FeatureType::Float && (declared || whole);
            return Some(Feature { boolean, ..feature });
        }
        let text = text?;
        let categories = text.categories.iter().filter(|category| !category.is_empty()).cloned().collect();
        Some(Feature { categories, ..Feature::of(&text.name, FeatureType::Text, nullable) })
    };
    table.columns.iter().filter_map(feature).collect()
}

#[cfg(test)]
mod tests;
