//! What every trainer asks of its input before any work.

use crate::error::LearnError;
use crate::trainer::{FeatureMatrix, Targets};

/// What rows are for that are learned from.
const TRAINING: &str = "training";

/// Checks that there is something to learn from: rows and features, targets and weights that fit them, two classes.
pub(crate) fn check(
    matrix: &FeatureMatrix<'_>,
    targets: &Targets<'_>,
    weights: Option<&[f64]>,
) -> Result<(), LearnError> {
    check_rows(matrix, targets, weights, TRAINING)?;
    match targets {
        Targets::Classes { labels, classes, .. } => check_classes(labels, *classes, weights),
        Targets::Values(_) => Ok(()),
    }
}

/// Checks that there are rows and features, and that targets and weights fit them; `kind` is what the rows are for.
pub(crate) fn check_rows(
    matrix: &FeatureMatrix<'_>,
    targets: &Targets<'_>,
    weights: Option<&[f64]>,
    kind: &str,
) -> Result<(), LearnError> {
    let wrong = |message: String| Err(LearnError::Data(message));
    let at = |row: usize, message: String| Err(at_row(kind, row, message));
    if matrix.rows == 0 || matrix.columns == 0 {
        return wrong("there is no row or no feature to learn from".to_owned());
    }
    let (count, what) = match targets {
        Targets::Classes { labels, .. } => (labels.len(), "labels"),
        Targets::Values(values) => (values.len(), "targets"),
    };
    if matrix.rows.checked_mul(matrix.columns) != Some(matrix.values.len()) || count != matrix.rows {
        return wrong(format!(
            "{} values and {count} {what} are not {} rows of {} features",
            matrix.values.len(),
            matrix.rows,
            matrix.columns
        ));
    }
    if let Some(weights) = weights {
        check_weights(matrix.rows, weights, kind)?;
    }
    match targets {
        Targets::Classes { labels, classes, .. } => {
            if labels.iter().any(|label| *label as usize >= *classes) {
                return wrong("a label is beyond the classes".to_owned());
            }
        }
        Targets::Values(values) => {
            if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                return at(row, "the target of {row} is not finite".to_owned());
            }
            if let Some(row) = values.iter().position(|value| value.abs() > f64::from(f32::MAX)) {
                let message = "is larger than a prediction can be (3.4e38); divide the target by its unit";
                return at(row, format!("the target {} of {{row}} {message}", values[row]));
            }
        }
    }
    Ok(())
}

/// Returns the error of a row; its message has `{row}` in the place of the row's number.
fn at_row(kind: &str, row: usize, message: String) -> LearnError {
    if kind == TRAINING {
        return LearnError::Row { row, message };
    }
    LearnError::Data(message.replace("{row}", &format!("{kind} row {}", row + 1)))
}

/// Checks that weights are numbers from 0 on, of which one is above 0.
fn check_weights(rows: usize, weights: &[f64], kind: &str) -> Result<(), LearnError> {
    let wrong = |message: String| Err(LearnError::Data(message));
    if weights.len() != rows {
        return wrong(format!("there are {} weights for {} rows", weights.len(), rows));
    }
    if let Some(row) = weights.iter().position(|weight| !(0.0..=1e100).contains(weight)) {
        let message = format!("the weight {} of {{row}} is not a number from 0 to 1e100", weights[row]);
        return Err(at_row(kind, row, message));
    }
    if weights.iter().all(|weight| *weight == 0.0) {
        return wrong("every row has the weight 0: there is nothing to learn from".to_owned());
    }
    Ok(())
}

/// Checks that two classes have weight.
fn check_classes(labels: &[u32], classes: usize, weights: Option<&[f64]>) -> Result<(), LearnError> {
    let counted = |at: usize| weights.and_then(|weights| weights.get(at)).is_none_or(|weight| *weight > 0.0);
    let first = (0..labels.len()).find(|at| counted(*at)).map(|at| labels[at]);
    if classes < 2 || !(0..labels.len()).any(|at| counted(at) && Some(labels[at]) != first) {
        return Err(LearnError::Data(
            "the training rows have one class only: there is nothing to learn".to_owned(),
        ));
    }
    Ok(())
}

/// Checks that every value is a number, which a linear model needs.
pub(crate) fn check_finite(matrix: &FeatureMatrix<'_>, algorithm: &str) -> Result<(), LearnError> {
    let Some(at) = matrix.values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let name = matrix.names.get(at % matrix.columns).map_or("?", String::as_str);
    let message = if matrix.values[at].is_nan() {
        format!(
            "column `{name}` has a missing value in {{row}}, which {algorithm} cannot take; set `preprocess.missing` to \
             `median`"
        )
    } else {
        format!(
            "column `{name}` has a value beyond 3.4e38 in {{row}}, which {algorithm} cannot take; divide the column by its \
             unit, or add it to `preprocess.drop`"
        )
    };
    Err(LearnError::Row { row: at / matrix.columns, message })
}
