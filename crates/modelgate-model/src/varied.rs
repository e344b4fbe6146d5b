//! What a model says of rows when one raw column at a time holds the values of other rows: importance, dependence and
//! occlusion ask so.
//!
//! Where each preprocessed feature is made of one raw column, the rows are preprocessed once and only the cells of that
//! column change; the answers are the same as of the changed raw rows.

use crate::error::ModelError;
use crate::estimator::Estimator;
use crate::onnx::{InputColumn, LoadedModel};
use crate::predict::Prediction;

/// Cells of changed rows that are held at once, and rows at most: memory does not go by the square of the columns.
const CELLS: usize = 1 << 22;
const BLOCK: usize = 256;

/// Rows that a model is asked about again and again.
#[derive(Clone, Debug)]
pub struct Varied<'a> {
    model: &'a LoadedModel,
    columns: Vec<InputColumn>,
    rows: usize,
    prepared: Option<Prepared>,
}

/// The preprocessed rows, and which of their features each raw column makes.
#[derive(Clone, Debug)]
struct Prepared {
    matrix: Vec<f32>,
    width: usize,
    features: Vec<Vec<usize>>,
}

impl<'a> Varied<'a> {
    /// Takes `rows` rows of raw columns, in the order of [`LoadedModel::inputs`].
    ///
    /// # Errors
    /// As [`LoadedModel::predict_columns`].
    pub fn new(model: &'a LoadedModel, columns: Vec<InputColumn>, rows: usize) -> Result<Self, ModelError> {
        let origins = model.origins();
        let width = model.estimator().map_or(0, Estimator::features);
        let mut prepared = None;
        // A feature that is made of several columns is computed anew each time.
        if width > 0 && origins.len() == width {
            let mut features = vec![Vec::new(); columns.len()];
            for (feature, origin) in origins.iter().enumerate() {
                if let Some(features) = features.get_mut(*origin) {
                    features.push(feature);
                }
            }
            prepared = Some(Prepared { matrix: model.matrix(&columns, rows)?, width, features });
        }
        Ok(Self { model, columns, rows, prepared })
    }

    /// Returns the answers for the rows as they are.
    ///
    /// # Errors
    /// As [`LoadedModel::predict_columns`].
    pub fn predict(&self) -> Result<Prediction, ModelError> {
        match (&self.prepared, self.model.estimator()) {
            (Some(prepared), Some(estimator)) => estimator.predict(&prepared.matrix, self.rows),
            _ => self.model.predict_columns(&self.columns, self.rows),
        }
    }

    /// Returns the answers for the rows with the column at `input` of row `order[row]` in each row.
    ///
    /// # Errors
    /// As [`LoadedModel::predict_columns`], and for a row or a column that is not there.
    pub fn with(&mut self, input: usize, order: &[u32]) -> Result<Prediction, ModelError> {
        self.fits(input, order)?;
        if let (Some(prepared), Some(estimator)) = (&mut self.prepared, self.model.estimator()) {
            let before = prepared.replace(input, order);
            let found = estimator.predict(&prepared.matrix, self.rows);
            prepared.put_back(input, &before);
            return found;
        }
        let changed = self.columns[input].take(order);
        let own = std::mem::replace(&mut self.columns[input], changed);
        let found = self.model.predict_columns(&self.columns, self.rows);
        self.columns[input] = own;
        found
    }

    /// Returns an answer for each of `inputs`: that for row `row` with the column at that place of row `from`.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn one_by_one(&self, row: u32, from: u32, inputs: &[usize]) -> Result<Prediction, ModelError> {
        let width = self.prepared.as_ref().map_or(self.columns.len(), |prepared| prepared.width);
        let mut all: Option<Prediction> = None;
        for inputs in inputs.chunks((CELLS / width.max(1)).clamp(1, BLOCK)) {
            for input in inputs {
                self.fits(*input, &[row, from])?;
            }
            let found = if let (Some(prepared), Some(estimator)) = (&self.prepared, self.model.estimator()) {
                estimator.predict(&prepared.block(row as usize, from as usize, inputs), inputs.len())
            } else {
                let column = |(at, column): (usize, &InputColumn)| {
                    let of = |input: &usize| if *input == at { from } else { row };
                    column.take(&inputs.iter().map(of).collect::<Vec<u32>>())
                };
                let columns: Vec<InputColumn> = self.columns.iter().enumerate().map(column).collect();
                self.model.predict_columns(&columns, inputs.len())
            }?;
            all = Some(match all {
                None => found,
                Some(all) => all.followed_by(found),
            });
        }
        Ok(all.unwrap_or(Prediction::Values(Vec::new())))
    }

    fn fits(&self, input: usize, rows: &[u32]) -> Result<(), ModelError> {
        let is_there = input < self.columns.len() && rows.iter().all(|row| (*row as usize) < self.rows);
        if is_there { Ok(()) } else { Err(ModelError::Rows("it has no such row or column".to_owned())) }
    }
}

impl Prepared {
    /// Puts the cells of a raw column of row `order[row]` into each row; returns those that were there.
    fn replace(&mut self, input: usize, order: &[u32]) -> Vec<f32> {
        let features = &self.features[input];
        let cells = self.matrix.chunks_exact(self.width);
        let before: Vec<f32> = cells.flat_map(|row| features.iter().map(|at| row[*at])).collect();
        for (row, from) in self.matrix.chunks_exact_mut(self.width).zip(order) {
            for (place, at) in features.iter().enumerate() {
                row[*at] = before[*from as usize * features.len() + place];
            }
        }
        before
    }

    fn put_back(&mut self, input: usize, before: &[f32]) {
        let features = &self.features[input];
        let cells = before.chunks_exact(features.len().max(1));
        for (row, cells) in self.matrix.chunks_exact_mut(self.width).zip(cells) {
            for (at, cell) in features.iter().zip(cells) {
                row[*at] = *cell;
            }
        }
    }

    /// Returns row `row` once for each of `inputs`, with the cells of that raw column of row `from`.
    fn block(&self, row: usize, from: usize, inputs: &[usize]) -> Vec<f32> {
        let own = &self.matrix[row * self.width..(row + 1) * self.width];
        let other = &self.matrix[from * self.width..(from + 1) * self.width];
        let mut block = own.repeat(inputs.len());
        for (cells, input) in block.chunks_exact_mut(self.width).zip(inputs) {
            for at in &self.features[*input] {
                cells[*at] = other[*at];
            }
        }
        block
    }
}

impl Prediction {
    /// Returns the answers with those of more rows behind them.
    fn followed_by(self, more: Self) -> Self {
        match (self, more) {
            (
                Self::Classes { mut labels, mut probabilities },
                Self::Classes { labels: more_labels, probabilities: more_probabilities },
            ) => {
                labels.extend(more_labels);
                probabilities.extend(more_probabilities);
                Self::Classes { labels, probabilities }
            }
            (Self::Values(mut values), Self::Values(more)) => {
                values.extend(more);
                Self::Values(values)
            }
            // One model answers in one form.
            (found, _) => found,
        }
    }
}

#[cfg(test)]
mod tests;
