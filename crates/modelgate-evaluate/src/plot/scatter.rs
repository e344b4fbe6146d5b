//! Residuals over predictions, and predictions over what is true.

use plotters::prelude::*;

use super::{Area, Axes, MAX_POINTS, Picture, Plot, Theme, chart, heading, range, render, tick, wrong};
use crate::error::EvaluateError;

struct Scatter<'a> {
    title: &'a str,
    note: String,
    axes: Axes<'a>,
    points: Vec<(f64, f64)>,
    /// The line a perfect model would lie on: the diagonal, or zero.
    diagonal: bool,
}

impl Picture for Scatter<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String> {
        heading(area, theme, self.title, &self.note)?;
        let (mut across, mut up) =
            (range(self.points.iter().map(|point| point.0)), range(self.points.iter().map(|point| point.1)));
        if self.diagonal {
            let both = across.start.min(up.start)..across.end.max(up.end);
            (across, up) = (both.clone(), both);
        } else {
            up = up.start.min(-up.end * 0.05)..up.end.max(-up.start * 0.05);
        }
        let mut chart = chart(area, theme, &self.axes, across.clone(), up)?;
        let dots = self.points.iter().map(|point| Circle::new(*point, 3, theme.accent.mix(0.35).filled()));
        chart.draw_series(dots).map_err(wrong)?;
        let ends = if self.diagonal {
            [(across.start, across.start), (across.end, across.end)]
        } else {
            [(across.start, 0.0), (across.end, 0.0)]
        };
        chart.draw_series(LineSeries::new(ends, theme.ink.stroke_width(1))).map_err(wrong)?;
        Ok(())
    }
}

/// So many of the largest errors are drawn whatever else is left out.
const LARGEST: usize = 100;

/// Returns the rows that are drawn: all, or evenly chosen ones with the largest errors and the ends of both axes.
fn drawn(actual: &[f64], predicted: &[f64]) -> Vec<usize> {
    if actual.len() <= MAX_POINTS {
        return (0..actual.len()).collect();
    }
    let error = |row: usize| (actual[row] - predicted[row]).abs();
    let mut chosen: Vec<usize> = (0..actual.len()).collect();
    chosen.sort_by(|one, other| error(*other).total_cmp(&error(*one)));
    chosen.truncate(LARGEST);
    for values in [actual, predicted] {
        let rows = || 0..values.len();
        chosen.extend(rows().min_by(|one, other| values[*one].total_cmp(&values[*other])));
        chosen.extend(rows().max_by(|one, other| values[*one].total_cmp(&values[*other])));
    }
    chosen.extend((0..actual.len()).step_by(actual.len().div_ceil(MAX_POINTS - LARGEST - 4)));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Says of how many rows a picture is, and how many of them it shows.
fn note(rows: usize, drawn: usize, rmse: f64) -> String {
    let shown = if drawn == rows {
        format!("{rows} rows")
    } else {
        format!("{drawn} of {rows} rows drawn, the {LARGEST} largest errors among them")
    };
    format!("{shown}; RMSE {}", tick(rmse))
}

fn checked(actual: &[f64], predicted: &[f64]) -> Result<f64, EvaluateError> {
    let finite = actual.iter().chain(predicted).all(|value| value.is_finite());
    if actual.is_empty() || actual.len() != predicted.len() || !finite {
        return Err(EvaluateError::Input("residuals need rows with finite values".to_owned()));
    }
    let squares: f64 =
        actual.iter().zip(predicted).map(|(actual, predicted)| (actual - predicted).powi(2)).sum();
    Ok((squares / actual.len() as f64).sqrt())
}

/// Draws residuals, actual less predicted, over predictions.
///
/// # Errors
/// Fails when the lengths differ, there is no row, or a value is not finite.
pub fn residual_plot(title: &str, actual: &[f64], predicted: &[f64]) -> Result<Plot, EvaluateError> {
    let rmse = checked(actual, predicted)?;
    let rows = drawn(actual, predicted);
    render(&Scatter {
        title,
        note: note(actual.len(), rows.len(), rmse),
        axes: Axes { x: "predicted", y: "actual – predicted", below_legend: false },
        points: rows.iter().map(|row| (predicted[*row], actual[*row] - predicted[*row])).collect(),
        diagonal: false,
    })
}

/// Draws predictions over actual values, with the line on which both are equal.
///
/// # Errors
/// As [`residual_plot`].
pub fn predicted_actual_plot(title: &str, actual: &[f64], predicted: &[f64]) -> Result<Plot, EvaluateError> {
    let rmse = checked(actual, predicted)?;
    let rows = drawn(actual, predicted);
    render(&Scatter {
        title,
        note: note(actual.len(), rows.len(), rmse),
        axes: Axes { x: "actual", y: "predicted", below_legend: false },
        points: rows.iter().map(|row| (actual[*row], predicted[*row])).collect(),
        diagonal: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_many_rows_is_drawn_and_the_note_says_how_many_are() {
        let actual: Vec<f64> = (0..3273).map(f64::from).collect();
        let mut predicted = actual.clone();
        // None of them is one of those that an even step hits.
        (predicted[1000], predicted[2001], predicted[7]) = (9e6, -5.0, 7.5);
        let rows = drawn(&actual, &predicted);
        assert!(rows.len() <= MAX_POINTS && [7, 1000, 2001, 0, 3272].iter().all(|row| rows.contains(row)));
        assert!(rows.is_sorted_by(|one, other| one < other));
        let note = note(actual.len(), rows.len(), 2.0);
        assert_eq!(
            note,
            format!("{} of 3273 rows drawn, the 100 largest errors among them; RMSE 2", rows.len())
        );
        assert_eq!(drawn(&actual[..1500], &predicted[..1500]).len(), 1500);
    }
}
