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

/// Steps within which a target or a feature has to vary: with fewer there is nothing to tell its values apart by.
const STEPS: f64 = 10.0;

/// Steps below which that is to be known.
const FINE: f64 = 1000.0;

/// Returns a warning where numbers of 32 bits, which answers are, are coarse beside how much the target varies over the rows that count.
///
/// # Errors
/// Fails where they cannot tell its values apart.
pub(crate) fn resolution(
    targets: &Targets<'_>,
    weights: Option<&[f64]>,
) -> Result<Option<String>, LearnError> {
    let Targets::Values(values) = targets else { return Ok(None) };
    let (low, high) = extent(values, weights);
    let Some(Coarse { spread, step, is_lost }) = coarse(low, high) else { return Ok(None) };
    let sentence = format!(
        "the target varies by {spread:.3e} between {low:.6e} and {high:.6e}, and answers, numbers of 32 bits, go there in steps of \
         {step:.1e}: learn its distance from a constant, or in another unit"
    );
    if is_lost { Err(LearnError::Data(sentence)) } else { Ok(Some(sentence)) }
}

/// How coarse numbers of 32 bits are beside how much values vary.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coarse {
    /// How much the values vary.
    pub spread: f64,
    /// How far numbers of 32 bits are from one another where the largest value is.
    pub step: f64,
    /// Whether there is nothing left to tell the values apart by.
    pub is_lost: bool,
}

/// Returns how coarse numbers of 32 bits are for values from `low` to `high`; `None` where they are fine, and for one value alone, which
/// they tell as it is.
pub fn coarse(low: f64, high: f64) -> Option<Coarse> {
    let (spread, step) = (high - low, step_of(low.abs().max(high.abs())));
    let is_coarse = spread > 0.0 && spread < FINE * step;
    is_coarse.then_some(Coarse { spread, step, is_lost: spread < STEPS * step })
}

/// Returns the smallest and the largest of the values that count.
fn extent(values: &[f64], weights: Option<&[f64]>) -> (f64, f64) {
    // Side by side: each lane has its own.
    const LANES: usize = 8;
    let (mut low, mut high) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let mut take = |values: &[f64]| {
        for ((low, high), value) in low.iter_mut().zip(&mut high).zip(values) {
            *low = if *value < *low { *value } else { *low };
            *high = if *value > *high { *value } else { *high };
        }
    };
    match weights {
        None => values.chunks(LANES).for_each(take),
        Some(weights) => {
            let counted = values.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
            counted.for_each(|(value, _)| take(std::slice::from_ref(value)));
        }
    }
    (low.into_iter().fold(f64::INFINITY, f64::min), high.into_iter().fold(f64::NEG_INFINITY, f64::max))
}

/// Returns how far numbers of 32 bits are from one another at `number`, from 0 to the largest of them.
fn step_of(number: f64) -> f64 {
    let (_, exponent) = libm::frexp(number.max(f64::from(f32::MIN_POSITIVE)));
    libm::ldexp(1.0, exponent - 24)
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
            let can_be_predicted = |value: &f64| value.abs() <= f64::from(f32::MAX);
            if let Some(row) = first_not(values, can_be_predicted) {
                if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                    return at(row, "the target of {row} is not finite".to_owned());
                }
                let message = "is larger than a prediction can be (3.4e38); divide the target by its unit";
                return at(row, format!("the target {} of {{row}} {message}", values[row]));
            }
        }
    }
    Ok(())
}

/// Returns the place of the first number that is not `right`. Whole pieces are looked at before any number of them: a loop that may
/// end anywhere goes number by number.
fn first_not<T>(values: &[T], right: impl Fn(&T) -> bool) -> Option<usize> {
    const PIECE: usize = 1024;
    let all_right = |piece: &[T]| piece.iter().fold(true, |all, value| all & right(value));
    let piece = values.chunks(PIECE).position(|piece| !all_right(piece))?;
    let within = values[piece * PIECE..].iter().position(|value| !right(value))?;
    Some(piece * PIECE + within)
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
    let Some(at) = first_not(matrix.values, |value| value.is_finite()) else { return Ok(()) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_32_bits() {
        for number in [1.0_f32, 1.5, 1e9, 3.4e38, 1e-37, 1e-40] {
            let next = f32::from_bits(number.to_bits() + 1);
            assert_eq!(step_of(f64::from(number)), f64::from(next) - f64::from(number), "{number}");
        }
    }

    #[test]
    fn a_target_that_answers_cannot_tell_apart_is_refused_and_a_coarse_one_told() {
        let of = |values: &[f64], weights: Option<&[f64]>| resolution(&Targets::Values(values), weights);
        assert_eq!(of(&[1.0, 2.0, 3.0], None), Ok(None));
        assert_eq!(of(&[1e12, 1e12], None), Ok(None), "one value");
        assert!(
            matches!(of(&[1e9, 1e9 + 3.0], None), Err(LearnError::Data(told)) if told.contains("steps of 6.4e1"))
        );
        assert!(of(&[1e-60, 2e-60], None).is_err());
        assert!(of(&[1e6, 1e6 + 3.0], None).is_ok_and(|told| told.is_some()));
        assert_eq!(of(&[1e9, 1e9 + 3.0, 5.0], None), Ok(None));
        assert!(of(&[1e9, 1e9 + 3.0, 5.0], Some(&[1.0, 2.0, 0.0])).is_err(), "a row of weight 0 is none");
    }
}
