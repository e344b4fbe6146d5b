//! Lines over steps that have names or are numbers, such as a metric over versions or an answer over a feature's values.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, HEIGHT, Picture, Plot, Theme, WIDE, WIDTH, fitting, heading, legend, range, render, round_steps,
    style, tick_of, width_of, wrong,
};
use crate::error::EvaluateError;
use crate::importance::PartialDependence;

/// One line; a missing value leaves a gap.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its values, one per step.
    pub values: Vec<Option<f64>>,
}

struct Lines<'a> {
    title: &'a str,
    note: &'a str,
    steps: &'a [String],
    lines: &'a [Line],
    /// The steps as numbers, where they are some: these are never cut.
    numbers: &'a [f64],
    /// What stands below the steps and above the values.
    axes: Option<(String, String)>,
    /// The values' axis is at least so long: what is less is no effect.
    least: f64,
}

/// Returns what stands at each step: numbers with the digits that tell them apart.
fn step_names(steps: &[String], numbers: &[f64]) -> Vec<String> {
    if numbers.len() != steps.len() {
        return steps.to_vec();
    }
    let apart = numbers.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    let widest = apart.fold(0.0, f64::max);
    numbers.iter().map(|number| tick_of(*number, if widest > 0.0 { widest } else { f64::INFINITY })).collect()
}

/// Returns a range that is at least so wide around its middle.
fn at_least(range: std::ops::Range<f64>, least: f64) -> std::ops::Range<f64> {
    let missing = least - (range.end - range.start);
    if missing > 0.0 { range.start - missing / 2.0..range.end + missing / 2.0 } else { range }
}

impl Picture for Lines<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String> {
        heading(area, theme, self.title, self.note)?;
        let values = self.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
        let up = at_least(range(values), self.least);
        let steps = round_steps(&up);
        let apart = steps.get(..2).map_or(f64::INFINITY, |pair| pair[1] - pair[0]);
        let marks: Vec<(f64, String)> =
            steps.into_iter().map(|value| (value, tick_of(value, apart))).collect();
        let widest = marks.iter().map(|(_, text)| width_of(text, 16)).max().unwrap_or(0);
        let (left, top, right, bottom) = ((widest + 22).max(84), 100, WIDTH as i32 - 40, HEIGHT as i32 - 76);
        let names = step_names(self.steps, self.numbers);
        let are_numbers = self.numbers.len() == self.steps.len();
        let y = |value: f64| {
            bottom - ((value - up.start) / (up.end - up.start) * f64::from(bottom - top)).round() as i32
        };
        let last = self.steps.len().saturating_sub(1).max(1) as i32;
        let alone = self.steps.len() == 1;
        let x = |step: usize| {
            if alone { i32::midpoint(left, right) } else { left + (right - left) * step as i32 / last }
        };
        for (value, text) in marks {
            let line = PathElement::new([(left, y(value)), (right, y(value))], theme.grid.stroke_width(1));
            area.draw(&line).map_err(wrong)?;
            let label = style(16, theme.ink, HPos::Right, VPos::Center);
            area.draw_text(&text, &label, (left - 10, y(value))).map_err(wrong)?;
        }
        let mut every = self.steps.len().div_ceil(8).max(1);
        if are_numbers {
            let wide = names.iter().map(|name| width_of(name, 16)).max().unwrap_or(0) + 12;
            every = every.max(((wide * last) as usize).div_ceil((right - left) as usize));
        }
        // Names at the ends are moved into the picture: of a few long ones each has less than its half.
        let apart = (right - left) * every as i32 / last;
        let room = match self.steps.len().div_ceil(every) {
            1 => right - left,
            2..=4 => apart * 9 / 20,
            _ => (apart - 6).min(72),
        };
        for (step, name) in names.into_iter().enumerate().step_by(every) {
            let label = style(16, theme.ink, HPos::Center, VPos::Top);
            let name = if are_numbers { name } else { fitting(&name, 16, room) };
            let half = width_of(&name, 16) / 2 + 1;
            let middle = x(step).clamp(8 + half, WIDTH as i32 - 8 - half);
            area.draw_text(&name, &label, (middle, bottom + 12)).map_err(wrong)?;
        }
        let colours = theme.lines();
        for (at, line) in self.lines.iter().enumerate() {
            let colour = colours[at % 3];
            let points: Vec<Option<(i32, i32)>> =
                line.values.iter().enumerate().map(|(step, value)| Some((x(step), y((*value)?)))).collect();
            for pair in points.windows(2) {
                let [Some(from), Some(to)] = pair else { continue };
                area.draw(&PathElement::new([*from, *to], colour.stroke_width(2))).map_err(wrong)?;
            }
            for point in points.iter().flatten() {
                area.draw(&Circle::new(*point, 4, colour.filled())).map_err(wrong)?;
            }
        }
        if let Some((across, above)) = &self.axes {
            let label = style(17, theme.pale, HPos::Center, VPos::Top);
            let middle = i32::midpoint(left, right);
            area.draw_text(&fitting(across, 17, WIDE), &label, (middle, HEIGHT as i32 - 36))
                .map_err(wrong)?;
            let label = style(16, theme.pale, HPos::Left, VPos::Center);
            area.draw_text(&fitting(above, 16, WIDE), &label, (24, 80)).map_err(wrong)?;
        }
        if self.lines.len() > 1 {
            legend(area, theme, self.lines.iter().map(|line| line.name.as_str()))?;
        }
        Ok(())
    }
}

/// Draws at most three lines over named steps.
///
/// # Errors
/// Fails without a finite value, or when a line has not one value per step.
pub fn lines_plot(title: &str, note: &str, steps: &[String], lines: &[Line]) -> Result<Plot, EvaluateError> {
    let lines = &lines[..lines.len().min(3)];
    let finite = |line: &Line| line.values.iter().flatten().all(|value| value.is_finite());
    let drawn = lines.iter().any(|line| line.values.iter().any(Option::is_some));
    let fits = lines.iter().all(|line| line.values.len() == steps.len() && finite(line));
    if !drawn || !fits || steps.is_empty() {
        return Err(EvaluateError::Input("lines need a finite value per step".to_owned()));
    }
    render(&Lines { title, note, steps, lines, numbers: &[], axes: None, least: 0.0 })
}

/// Draws the mean answer over the values of a feature, with both axes named. Numbers stand at their quantiles, each as far
/// from the next: on a scale of values the tails would take all the room, and the axis says so. What moves by less than a
/// twentieth of its size, or of a whole probability, looks as flat as it is.
///
/// # Errors
/// Fails without a finite value, or when there is not one mean per value.
pub fn dependence_plot(title: &str, note: &str, found: &PartialDependence) -> Result<Plot, EvaluateError> {
    let PartialDependence { feature, values, numbers, outcome, mean, .. } = found;
    if values.is_empty() || mean.len() != values.len() || !mean.iter().all(|value| value.is_finite()) {
        return Err(EvaluateError::Input("a dependence needs a finite mean per value".to_owned()));
    }
    let across = if numbers.len() == values.len() {
        format!("{feature}, at its quantiles")
    } else {
        format!("{feature}, the most frequent first")
    };
    let size = mean.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
    // What is no number of the target is a probability.
    let whole = if outcome == "prediction" { size } else { 1.0 };
    let line = [Line { name: outcome.clone(), values: mean.iter().copied().map(Some).collect() }];
    let axes = Some((across, format!("mean {outcome}")));
    render(&Lines { title, note, steps: values, lines: &line, numbers, axes, least: whole / 20.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_size_and_what_has_no_effect_looks_so() {
        let numbers: Vec<f64> = (0..12).map(|at| -2.866_541e-6 + 1e-9 * f64::from(at)).collect();
        let found = PartialDependence {
            feature: "x".to_owned(),
            values: numbers.iter().map(f64::to_string).collect(),
            mean: (0..12).map(|at| 0.5 + 1e-6 * f64::from(at % 3)).collect(),
            numbers,
            outcome: "probability of 1".to_owned(),
            rows: 300,
        };
        let plot = dependence_plot("t", "n", &found).expect("a plot").svg;
        assert!(!plot.contains('…') && plot.contains("e-6\n"), "{plot}");
        for said in ["x, at its quantiles", "mean probability of 1", "0.49", "0.51"] {
            assert!(plot.contains(said), "{said}: {plot}");
        }
    }
}
