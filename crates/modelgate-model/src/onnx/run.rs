//! A loaded graph at work: raw columns in, the matrix of preprocessed features, answers out.

use std::borrow::Cow;
use std::collections::HashMap;

use modelgate_core::schema::FeatureType;
use modelgate_data::Table;

use super::columns::column;
use super::kernels::{Arithmetic, Kernel};
use super::load::{LoadedModel, refuse};
use crate::error::ModelError;
use crate::predict::Prediction;

/// A raw column in the type of its input, one value per row.
#[derive(Clone, PartialEq, Debug)]
pub enum InputColumn {
    /// Whole numbers, of an input of `int64`.
    Ints(Vec<i64>),
    /// Numbers, of an input of `float32`; NaN is a missing one.
    Floats(Vec<f32>),
    /// Text; the empty one is a missing one.
    Texts(Vec<String>),
}

impl InputColumn {
    /// Returns about how many bytes of memory the values take up.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Ints(values) => size_of_val(values.as_slice()),
            Self::Floats(values) => size_of_val(values.as_slice()),
            Self::Texts(values) => values.iter().map(|text| text.len() + size_of::<String>()).sum(),
        }
    }

    /// Returns an empty column for an input of this type.
    pub fn new(feature_type: FeatureType) -> Self {
        match feature_type {
            FeatureType::Int => Self::Ints(Vec::new()),
            FeatureType::Float => Self::Floats(Vec::new()),
            FeatureType::Text => Self::Texts(Vec::new()),
        }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// Returns whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all rows; their room stays.
    pub fn clear(&mut self) {
        match self {
            Self::Ints(values) => values.clear(),
            Self::Floats(values) => values.clear(),
            Self::Texts(values) => values.clear(),
        }
    }

    /// Returns the rows of these numbers, in this order; one that is not there is left out.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        fn pick<T: Clone>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().filter_map(|row| values.get(*row as usize)).cloned().collect()
        }
        match self {
            Self::Ints(values) => Self::Ints(pick(values, rows)),
            Self::Floats(values) => Self::Floats(pick(values, rows)),
            Self::Texts(values) => Self::Texts(pick(values, rows)),
        }
    }

    /// Adds the rows of another column of this type; the rows of one of another type are not added.
    pub fn append(&mut self, more: &Self) {
        match (self, more) {
            (Self::Ints(values), Self::Ints(more)) => values.extend(more),
            (Self::Floats(values), Self::Floats(more)) => values.extend(more),
            (Self::Texts(values), Self::Texts(more)) => values.extend_from_slice(more),
            _ => {}
        }
    }

    /// Returns the type of the input that it is for.
    pub fn feature_type(&self) -> FeatureType {
        match self {
            Self::Ints(_) => FeatureType::Int,
            Self::Floats(_) => FeatureType::Float,
            Self::Texts(_) => FeatureType::Text,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) operation: Operation,
    pub(super) inputs: Vec<usize>,
    pub(super) output: usize,
    /// Whether no later step needs the first input.
    pub(super) is_last_use: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// Whole numbers to `f32`.
    ToFloat,
    /// Numbers without their fractions.
    ToInt,
    /// Whether a number is not zero.
    ToBool,
    /// Rank 1 to one column; the values stay.
    Column,
    /// Side by side, with the width of each.
    Concat(Vec<usize>),
    IsNan,
    /// The row's constant where the first input holds, else the second input.
    WhereRow(Vec<f32>),
    /// The text where the first input holds, else the second input.
    WhereText(String),
    SubtractRow(Vec<f32>),
    DivideRow(Vec<f32>),
    /// Text to its position.
    Position {
        positions: HashMap<String, i64>,
        default: i64,
    },
    /// Position to one column per category.
    OneHot {
        width: usize,
        strict: bool,
    },
    /// Text to a number.
    Number {
        numbers: HashMap<String, f32>,
        default: f32,
    },
    /// A whole number, or what is left of a number without its fraction, to its place; -1 for another.
    Place {
        places: HashMap<i64, i64>,
    },
    /// The first highest column of a row.
    ArgMax,
    /// Arithmetic on a matrix of so many columns.
    Matrix(Kernel, usize),
    /// Arithmetic on two matrices of the same shape.
    Pair(Arithmetic),
    /// Columns of a matrix of so many columns of text.
    SelectTexts(Vec<usize>, usize),
}

/// A raw column, which stays the caller's, or what a step made.
#[derive(Debug)]
enum Value<'a> {
    Ints(Cow<'a, [i64]>),
    Floats(Cow<'a, [f32]>),
    Texts(Cow<'a, [String]>),
    Bools(Vec<bool>),
}

impl<'a> From<&'a InputColumn> for Value<'a> {
    fn from(column: &'a InputColumn) -> Self {
        match column {
            InputColumn::Ints(values) => Self::Ints(Cow::Borrowed(values)),
            InputColumn::Floats(values) => Self::Floats(Cow::Borrowed(values)),
            InputColumn::Texts(values) => Self::Texts(Cow::Borrowed(values)),
        }
    }
}

impl From<Vec<i64>> for Value<'_> {
    fn from(values: Vec<i64>) -> Self {
        Self::Ints(Cow::Owned(values))
    }
}

impl From<Vec<f32>> for Value<'_> {
    fn from(values: Vec<f32>) -> Self {
        Self::Floats(Cow::Owned(values))
    }
}

impl LoadedModel {
    /// Returns the answers for `rows` of `table`.
    ///
    /// # Errors
    /// Fails for a missing column, one of another type, a null in a column of whole numbers, and an unknown category
    /// where that is an error.
    pub fn predict(&self, table: &Table, rows: &[u32]) -> Result<Prediction, ModelError> {
        self.predict_columns(&self.columns(table, rows)?, rows.len())
    }

    /// Returns the preprocessed features of `rows` of `table`, row-major `[rows × features]`.
    ///
    /// # Errors
    /// As [`Self::predict`], and for a model that ONNX Runtime has.
    pub fn features(&self, table: &Table, rows: &[u32]) -> Result<Vec<f32>, ModelError> {
        self.matrix(&self.columns(table, rows)?, rows.len())
    }

    /// Returns the raw columns of `rows` of `table`, in the order of [`Self::inputs`] and in their types.
    ///
    /// # Errors
    /// Fails for a missing column, one of another type, and a null in a column of whole numbers.
    pub fn columns(&self, table: &Table, rows: &[u32]) -> Result<Vec<InputColumn>, ModelError> {
        let by_name = table.by_name();
        let find = |(name, feature_type): &(String, FeatureType)| {
            column(by_name.get(name.as_str()).copied(), table.rows, rows, name, *feature_type)
        };
        self.inputs.iter().map(find).collect()
    }

    /// Returns the answers for `rows` rows of raw columns, which stand in the order of [`Self::inputs`].
    ///
    /// # Errors
    /// Fails for columns of another number, type or length, and for an unknown category where that is an error.
    pub fn predict_columns(&self, columns: &[InputColumn], rows: usize) -> Result<Prediction, ModelError> {
        if let Some(runtime) = &self.runtime {
            self.fits(columns, rows)?;
            return runtime.predict(columns, rows);
        }
        match &self.estimator {
            Some(estimator) => estimator.predict(&self.matrix(columns, rows)?, rows),
            None => refuse("it has no model"),
        }
    }

    /// Says how columns differ from the model's inputs.
    fn fits(&self, columns: &[InputColumn], rows: usize) -> Result<(), ModelError> {
        if columns.len() != self.inputs.len() {
            let message = format!("{} columns for a model that takes {}", columns.len(), self.inputs.len());
            return Err(ModelError::Rows(message));
        }
        for (column, (name, feature_type)) in columns.iter().zip(&self.inputs) {
            if column.feature_type() != *feature_type || column.len() != rows {
                let message = format!("column `{name}` is not {rows} rows of {feature_type}");
                return Err(ModelError::Rows(message));
            }
        }
        Ok(())
    }

    /// Returns the preprocessed features, row-major `[rows × features]`, of raw columns in the order of
    /// [`Self::inputs`].
    ///
    /// # Errors
    /// As [`Self::predict_columns`].
    pub fn matrix(&self, columns: &[InputColumn], rows: usize) -> Result<Vec<f32>, ModelError> {
        self.fits(columns, rows)?;
        if self.estimator.is_none() {
            return refuse("ONNX Runtime does not show the features inside");
        }
        let mut values: Vec<Option<Value<'_>>> = Vec::with_capacity(self.slots);
        values.extend(columns.iter().map(|column| Some(column.into())));
        values.resize_with(self.slots, || None);
        for step in &self.steps {
            let value = match (&step.operation, step.inputs.first()) {
                // A rank-1 column and a matrix of one column are the same values.
                (Operation::Column, Some(slot)) if step.is_last_use => values[*slot].take(),
                _ => Some(step.run(&values, rows)?),
            };
            values[step.output] = value;
        }
        match values.get_mut(self.features).and_then(Option::take) {
            Some(Value::Floats(matrix)) => Ok(matrix.into_owned()),
            _ => refuse("the features are not computed"),
        }
    }

    /// Returns the raw column, as its position in [`Self::inputs`], that each preprocessed feature is made of; empty where
    /// one is made of several, or where ONNX Runtime has them.
    pub fn origins(&self) -> Vec<usize> {
        let mixed = |step: &Step| match &step.operation {
            Operation::Matrix(kernel, _) => kernel.mixes(),
            Operation::Pair(_) => true,
            _ => false,
        };
        let mut masked = false;
        if self.estimator.is_none() || self.steps.iter().any(mixed) {
            return Vec::new();
        }
        let mut known: Vec<Vec<usize>> = vec![Vec::new(); self.slots];
        for slot in 0..self.inputs.len() {
            known[slot] = vec![slot];
        }
        for step in &self.steps {
            let first = |place: usize| step.inputs.get(place).map_or(&[][..], |slot| &known[*slot]);
            known[step.output] = match &step.operation {
                Operation::Concat(widths) => (0..widths.len()).flat_map(first).copied().collect(),
                Operation::OneHot { width, .. } => first(0).iter().cycle().take(*width).copied().collect(),
                Operation::ArgMax => first(0).iter().take(1).copied().collect(),
                Operation::WhereRow(_) => {
                    // What is filled in by the gaps of another column is made of both.
                    masked |= first(0) != first(1);
                    first(1).to_vec()
                }
                // Whether a text is missing is asked of the text itself.
                Operation::WhereText(_) => first(1).to_vec(),
                Operation::SelectTexts(columns, _) => {
                    columns.iter().filter_map(|at| first(0).get(*at)).copied().collect()
                }
                Operation::Matrix(kernel, _) => match kernel.origins() {
                    Some(columns) => columns.iter().filter_map(|at| first(0).get(*at)).copied().collect(),
                    None => first(0).to_vec(),
                },
                _ => first(0).to_vec(),
            };
        }
        if masked {
            return Vec::new();
        }
        known.get(self.features).cloned().unwrap_or_default()
    }
}

impl Step {
    fn run<'a>(&self, values: &[Option<Value<'a>>], rows: usize) -> Result<Value<'a>, ModelError> {
        let floats = |index: usize| match self.inputs.get(index).and_then(|slot| values[*slot].as_ref()) {
            Some(Value::Floats(values)) => Ok(&values[..]),
            _ => refuse("a value is not of its kind"),
        };
        let ints = || match self.inputs.first().and_then(|slot| values[*slot].as_ref()) {
            Some(Value::Ints(values)) => Ok(&values[..]),
            _ => refuse("a value is not of its kind"),
        };
        let texts = |index: usize| match self.inputs.get(index).and_then(|slot| values[*slot].as_ref()) {
            Some(Value::Texts(texts)) => Ok(&texts[..]),
            _ => refuse("a value is not of its kind"),
        };
        let by_row = |row: &[f32], operation: fn(f32, f32) -> f32| {
            let cells = floats(0)?.chunks_exact(row.len().max(1));
            let computed = cells
                .flat_map(|cells| cells.iter().zip(row).map(|(cell, constant)| operation(*cell, *constant)));
            Ok(computed.collect::<Vec<f32>>().into())
        };
        match &self.operation {
            Operation::ToFloat => match self.inputs.first().and_then(|slot| values[*slot].as_ref()) {
                Some(Value::Bools(values)) => {
                    Ok(values.iter().map(|value| f32::from(u8::from(*value))).collect::<Vec<f32>>().into())
                }
                _ => Ok(ints()?.iter().map(|value| *value as f32).collect::<Vec<f32>>().into()),
            },
            Operation::ToInt => {
                Ok(floats(0)?.iter().map(|value| truncated(*value)).collect::<Vec<i64>>().into())
            }
            Operation::ToBool => match self.inputs.first().and_then(|slot| values[*slot].as_ref()) {
                Some(Value::Floats(values)) => {
                    Ok(Value::Bools(values.iter().map(|value| *value != 0.0).collect()))
                }
                _ => Ok(Value::Bools(ints()?.iter().map(|value| *value != 0).collect())),
            },
            Operation::Column => Ok(floats(0)?.to_vec().into()),
            Operation::Concat(widths) => {
                if let Some(Value::Ints(_)) = self.inputs.first().and_then(|slot| values[*slot].as_ref()) {
                    let part = |slot: &usize| match values[*slot].as_ref() {
                        Some(Value::Ints(values)) => Ok(&values[..]),
                        _ => refuse("a value is not of its kind"),
                    };
                    let parts = self.inputs.iter().map(part).collect::<Result<Vec<_>, _>>()?;
                    return Ok(side_by_side(&parts, widths, rows).into());
                }
                if let Some(Value::Texts(_)) = self.inputs.first().and_then(|slot| values[*slot].as_ref()) {
                    let parts = (0..widths.len()).map(texts).collect::<Result<Vec<_>, _>>()?;
                    return Ok(Value::Texts(side_by_side(&parts, widths, rows).into()));
                }
                let parts = (0..widths.len()).map(floats).collect::<Result<Vec<_>, _>>()?;
                Ok(side_by_side(&parts, widths, rows).into())
            }
            Operation::IsNan => Ok(Value::Bools(floats(0)?.iter().map(|value| value.is_nan()).collect())),
            Operation::WhereRow(row) => {
                let Some(Value::Bools(mask)) = self.inputs.first().and_then(|slot| values[*slot].as_ref())
                else {
                    return refuse("a value is not of its kind");
                };
                let cells = mask.iter().zip(floats(1)?).zip(row.iter().cycle());
                let filled = cells.map(|((missing, cell), fill)| if *missing { *fill } else { *cell });
                Ok(filled.collect::<Vec<f32>>().into())
            }
            Operation::WhereText(fill) => {
                let Some(Value::Bools(mask)) = self.inputs.first().and_then(|slot| values[*slot].as_ref())
                else {
                    return refuse("a value is not of its kind");
                };
                let cells = mask.iter().zip(texts(1)?);
                let filled = cells.map(|(missing, text)| if *missing { fill.clone() } else { text.clone() });
                Ok(Value::Texts(filled.collect::<Vec<String>>().into()))
            }
            Operation::SelectTexts(columns, width) => {
                let rows = texts(0)?.chunks_exact((*width).max(1));
                let chosen = rows.flat_map(|cells| columns.iter().filter_map(|at| cells.get(*at)).cloned());
                Ok(Value::Texts(chosen.collect::<Vec<String>>().into()))
            }
            Operation::Pair(arithmetic) => {
                let pairs = floats(0)?.iter().zip(floats(1)?);
                Ok(pairs.map(|(left, right)| arithmetic.apply(*left, *right)).collect::<Vec<f32>>().into())
            }
            Operation::SubtractRow(row) => by_row(row, |cell, constant| cell - constant),
            Operation::DivideRow(row) => by_row(row, |cell, constant| cell / constant),
            Operation::Position { positions, default } => {
                let place = |text: &String| positions.get(text).copied().unwrap_or(*default);
                Ok(texts(0)?.iter().map(place).collect::<Vec<i64>>().into())
            }
            Operation::Number { numbers, default } => {
                let number = |text: &String| numbers.get(text).copied().unwrap_or(*default);
                Ok(texts(0)?.iter().map(number).collect::<Vec<f32>>().into())
            }
            Operation::Place { places } => {
                let place = |value: i64| places.get(&value).copied().unwrap_or(-1);
                match self.inputs.first().and_then(|slot| values[*slot].as_ref()) {
                    Some(Value::Ints(values)) => {
                        Ok(values.iter().map(|value| place(*value)).collect::<Vec<i64>>().into())
                    }
                    Some(Value::Floats(values)) => {
                        Ok(values.iter().map(|value| place(*value as i64)).collect::<Vec<i64>>().into())
                    }
                    _ => refuse("a value is not of its kind"),
                }
            }
            Operation::Matrix(kernel, width) => Ok(kernel.run(floats(0)?, *width).into()),
            Operation::OneHot { width, strict } => {
                let positions = ints()?;
                let mut matrix = vec![0.0; positions.len() * width];
                for (row, (position, cells)) in
                    positions.iter().zip(matrix.chunks_exact_mut(*width)).enumerate()
                {
                    match usize::try_from(*position).ok().and_then(|position| cells.get_mut(position)) {
                        Some(cell) => *cell = 1.0,
                        None if *strict => {
                            let message = format!(
                                "row {} of those asked for has a category that training did not see",
                                row + 1
                            );
                            return Err(ModelError::Rows(message));
                        }
                        None => {}
                    }
                }
                Ok(matrix.into())
            }
            Operation::ArgMax => {
                let matrix = floats(0)?;
                let width = matrix.len().checked_div(rows).unwrap_or(1).max(1);
                let first_highest = |cells: &[f32]| {
                    let best = cells.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (at, cell)| {
                        if *cell > best.1 { (at, *cell) } else { best }
                    });
                    best.0 as i64
                };
                Ok(matrix.chunks_exact(width).map(first_highest).collect::<Vec<i64>>().into())
            }
        }
    }
}

/// Returns a number without its fraction; what is no 64-bit number is the lowest, as processors of the x86 kind have it.
fn truncated(value: f32) -> i64 {
    const END: f32 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&value) { value as i64 } else { i64::MIN }
}

/// Returns parts of `widths` columns each as one row-major matrix.
fn side_by_side<T: Clone + Default>(parts: &[&[T]], widths: &[usize], rows: usize) -> Vec<T> {
    let total: usize = widths.iter().sum();
    let mut matrix = vec![T::default(); rows * total];
    let mut offset = 0;
    for (part, width) in parts.iter().zip(widths) {
        for (cells, source) in matrix.chunks_exact_mut(total.max(1)).zip(part.chunks_exact((*width).max(1))) {
            cells[offset..offset + width].clone_from_slice(&source[..*width]);
        }
        offset += width;
    }
    matrix
}
