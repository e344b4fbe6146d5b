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
    let points = actual.iter().zip(predicted).step_by(actual.len().div_ceil(MAX_POINTS));
    render(&Scatter {
        title,
        note: format!("{} rows, RMSE {}", actual.len(), tick(rmse)),
        axes: Axes { x: "predicted", y: "actual – predicted", below_legend: false },
        points: points.map(|(actual, predicted)| (*predicted, actual - predicted)).collect(),
        diagonal: false,
    })
}

/// Draws predictions over actual values, with the line on which both are equal.
///
/// # Errors
/// As [`residual_plot`].
pub fn predicted_actual_plot(title: &str, actual: &[f64], predicted: &[f64]) -> Result<Plot, EvaluateError> {
    let rmse = checked(actual, predicted)?;
    let points = actual.iter().zip(predicted).step_by(actual.len().div_ceil(MAX_POINTS));
    render(&Scatter {
        title,
        note: format!("{} rows, RMSE {}", actual.len(), tick(rmse)),
        axes: Axes { x: "actual", y: "predicted", below_legend: false },
        points: points.map(|(actual, predicted)| (*actual, *predicted)).collect(),
        diagonal: true,
    })
}
