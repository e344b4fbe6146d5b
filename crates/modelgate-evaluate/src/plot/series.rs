//! Lines over steps that have names, such as a metric over versions or an answer over a feature's values.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, HEIGHT, Picture, Plot, Theme, WIDTH, fitting, heading, legend, range, render, round_steps, style,
    tick_of, width_of, wrong,
};
use crate::error::EvaluateError;

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
}

impl Picture for Lines<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String> {
        heading(area, theme, self.title, self.note)?;
        let values = self.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
        let up = range(values);
        let steps = round_steps(&up);
        let apart = steps.get(..2).map_or(f64::INFINITY, |pair| pair[1] - pair[0]);
        let marks: Vec<(f64, String)> =
            steps.into_iter().map(|value| (value, tick_of(value, apart))).collect();
        let widest = marks.iter().map(|(_, text)| width_of(text, 16)).max().unwrap_or(0);
        let (left, top, right, bottom) = ((widest + 22).max(84), 100, WIDTH as i32 - 40, HEIGHT as i32 - 76);
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
        let every = self.steps.len().div_ceil(8).max(1);
        // Names at the ends are moved into the picture: of a few long ones each has less than its half.
        let apart = (right - left) * every as i32 / last;
        let room = match self.steps.len().div_ceil(every) {
            1 => right - left,
            2..=4 => apart * 9 / 20,
            _ => (apart - 6).min(72),
        };
        for (step, name) in self.steps.iter().enumerate().step_by(every) {
            let label = style(16, theme.ink, HPos::Center, VPos::Top);
            let name = fitting(name, 16, room);
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
    render(&Lines { title, note, steps, lines })
}
