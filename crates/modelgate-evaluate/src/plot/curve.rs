//! ROC, precision-recall and calibration curves.

use plotters::prelude::*;

use super::{
    Area, Axes, Picture, Plot, Theme, chart, fitting, fitting_around, heading, legend, render, wrong,
};
use crate::curves::{CalibrationBin, Curves};
use crate::error::EvaluateError;

struct Curve<'a> {
    title: &'a str,
    note: String,
    axes: Axes<'a>,
    /// Each with its name and its figure; at most three are drawn in colours of their own.
    lines: Vec<(&'a str, f64, Vec<(f64, f64)>)>,
    /// What knows nothing, or what is right: one for all lines, or each line's own in its colour.
    guides: Vec<[(f64, f64); 2]>,
    dots: bool,
    steps: bool,
}

impl Picture for Curve<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String> {
        heading(area, theme, self.title, &self.note)?;
        let mut chart = chart(area, theme, &self.axes, -0.01..1.01, -0.01..1.02)?;
        let colours = theme.lines();
        for (at, guide) in self.guides.iter().enumerate() {
            let colour = if self.guides.len() == 1 { theme.pale } else { colours[at % 3] };
            let dashes = DashedLineSeries::new(*guide, 6, 5, colour.stroke_width(1));
            chart.draw_series(dashes).map_err(wrong)?;
        }
        for (at, (_, _, points)) in self.lines.iter().enumerate() {
            let colour = colours[at % 3];
            let drawn = if self.steps { steps(points) } else { points.clone() };
            chart.draw_series(LineSeries::new(drawn, colour.stroke_width(2))).map_err(wrong)?;
            if self.dots {
                let dots = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
                chart.draw_series(dots).map_err(wrong)?;
            }
        }
        if self.axes.below_legend {
            let names: Vec<String> =
                self.lines.iter().map(|(name, figure, _)| named(name, *figure)).collect();
            legend(area, theme, names.iter().map(String::as_str))?;
        }
        Ok(())
    }
}

/// Precision holds until the next recall: a slanted line would promise points that no threshold gives.
fn steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut drawn = Vec::with_capacity(points.len() * 2);
    let mut before: Option<(f64, f64)> = None;
    for point in points {
        let from = before.map_or((0.0, point.1), |before| before);
        drawn.push((from.0, point.1));
        drawn.push(*point);
        before = Some(*point);
    }
    drawn
}

/// At most so many classes share a picture, each with a colour of its own.
const MAX_CLASSES: usize = 3;

/// A class and its figure, which a long name leaves in sight.
fn named(class: &str, figure: f64) -> String {
    format!("{} ({figure:.3})", fitting_around(class, 16, 116))
}

/// Says which of all classes are drawn, and what stands in brackets beside each.
fn several(drawn: usize, classes: usize, figure: &str) -> String {
    if drawn < classes {
        format!("{drawn} of {classes} classes: the largest and the one of the least area; ({figure})")
    } else {
        format!("each class against the rest; in brackets the {figure}")
    }
}

fn refused() -> EvaluateError {
    EvaluateError::Input("there is no curve to draw".to_owned())
}

/// Draws ROC curves, of the first three classes given; there are `classes` in all.
///
/// # Errors
/// Fails without a curve.
pub fn roc_plot(title: &str, curves: &[Curves], classes: usize) -> Result<Plot, EvaluateError> {
    let first = curves.first().ok_or_else(refused)?;
    let note = if curves.len() == 1 {
        format!("class {}: area under the curve {:.4}", fitting(&first.class, 16, 300), first.area)
    } else {
        several(curves.len().min(MAX_CLASSES), classes, "area under the curve")
    };
    let lines = curves.iter().take(MAX_CLASSES);
    render(&Curve {
        title,
        note,
        axes: Axes { x: "false positive rate", y: "true positive rate", below_legend: curves.len() > 1 },
        lines: lines.map(|curve| (curve.class.as_str(), curve.area, curve.roc.clone())).collect(),
        guides: vec![[(0.0, 0.0), (1.0, 1.0)]],
        dots: false,
        steps: false,
    })
}

/// Draws precision over recall, of the first three classes given; there are `classes` in all.
///
/// # Errors
/// Fails without a curve.
pub fn precision_recall_plot(title: &str, curves: &[Curves], classes: usize) -> Result<Plot, EvaluateError> {
    let first = curves.first().ok_or_else(refused)?;
    let note = if curves.len() == 1 {
        let (precision, share) = (first.average_precision, first.share);
        let class = fitting(&first.class, 16, 220);
        format!("class {class}: average precision {precision:.4}; guessing has {share:.4}")
    } else {
        several(curves.len().min(MAX_CLASSES), classes, "average precision")
    };
    let guide = |curve: &Curves| [(0.0, curve.share), (1.0, curve.share)];
    let lines = curves
        .iter()
        .take(MAX_CLASSES)
        .map(|curve| (curve.class.as_str(), curve.average_precision, curve.precision_recall.clone()));
    render(&Curve {
        title,
        note,
        axes: Axes { x: "recall", y: "precision", below_legend: curves.len() > 1 },
        lines: lines.collect(),
        guides: curves.iter().take(MAX_CLASSES).map(guide).collect(),
        dots: false,
        steps: true,
    })
}

/// Draws how often what was promised came true; on the dashed line the promise holds.
///
/// # Errors
/// Fails without a bin.
pub fn calibration_plot(title: &str, bins: &[CalibrationBin], error: f64) -> Result<Plot, EvaluateError> {
    if bins.is_empty() {
        return Err(refused());
    }
    let rows: u64 = bins.iter().map(|bin| bin.rows).sum();
    let fewest = bins.iter().map(|bin| bin.rows).min().unwrap_or(0);
    let points = bins.iter().map(|bin| (bin.promised, bin.observed)).collect();
    render(&Curve {
        title,
        note: format!(
            "calibration error {error:.4}; {rows} rows in {} bins, the smallest has {fewest}",
            bins.len()
        ),
        axes: Axes { x: "mean predicted probability", y: "observed share", below_legend: false },
        lines: vec![("calibration", error, points)],
        guides: vec![[(0.0, 0.0), (1.0, 1.0)]],
        dots: true,
        steps: false,
    })
}
