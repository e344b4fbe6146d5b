//! Horizontal bars with their spread, such as the importance of features.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, HEIGHT, Picture, Plot, Theme, WIDTH, fitting, heading, of_all, render, style, tick, wrong,
};
use crate::error::EvaluateError;

/// One bar.
#[derive(Clone, PartialEq, Debug)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// Its length.
    pub value: f64,
    /// Its spread to each side; 0 draws none.
    pub spread: f64,
}

struct Bars<'a> {
    title: &'a str,
    note: String,
    bars: &'a [Bar],
}

/// More bars than this are left out.
const MAX_BARS: usize = 20;

impl Picture for Bars<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String> {
        heading(area, theme, self.title, &self.note)?;
        let (left, top, right, bottom) = (216, 84, WIDTH as i32 - 84, HEIGHT as i32 - 40);
        let low = self.bars.iter().map(|bar| bar.value - bar.spread).fold(0.0, f64::min);
        let high = self.bars.iter().map(|bar| bar.value + bar.spread).fold(0.0, f64::max);
        let width = if high > low { high - low } else { 1.0 };
        let place = |value: f64| left + ((value - low) / width * f64::from(right - left)).round() as i32;
        let step = ((bottom - top) / self.bars.len() as i32).min(44);
        let thick = (step * 6 / 10).clamp(4, 24);
        for (at, bar) in self.bars.iter().enumerate() {
            let middle = top + step * at as i32 + step / 2;
            let name = style(16, theme.ink, HPos::Right, VPos::Center);
            area.draw_text(&fitting(&bar.name, 16, left - 36), &name, (left - 12, middle)).map_err(wrong)?;
            let (from, to) = (place(0.0).min(place(bar.value)), place(0.0).max(place(bar.value)));
            let box_ = [(from, middle - thick / 2), (to.max(from + 1), middle + thick / 2)];
            area.draw(&Rectangle::new(box_, theme.accent.filled())).map_err(wrong)?;
            let (start, end) = (place(bar.value - bar.spread), place(bar.value + bar.spread));
            if bar.spread > 0.0 && end > start {
                let line = PathElement::new([(start, middle), (end, middle)], theme.ink.stroke_width(2));
                area.draw(&line).map_err(wrong)?;
            }
            let value = style(16, theme.pale, HPos::Left, VPos::Center);
            area.draw_text(&tick(bar.value), &value, (end.max(to) + 8, middle)).map_err(wrong)?;
        }
        let zero = [(place(0.0), top - 4), (place(0.0), top + step * self.bars.len() as i32 + 4)];
        area.draw(&PathElement::new(zero, theme.pale.stroke_width(1))).map_err(wrong)
    }
}

/// Draws the first twenty bars, in the order given; `note` says what their length is.
///
/// # Errors
/// Fails without a bar, or with a value that is not finite.
pub fn bars_plot(title: &str, note: &str, bars: &[Bar]) -> Result<Plot, EvaluateError> {
    if bars.is_empty() || bars.iter().any(|bar| !bar.value.is_finite() || !bar.spread.is_finite()) {
        return Err(EvaluateError::Input("bars need finite values".to_owned()));
    }
    render(&Bars { title, note: of_all(note, MAX_BARS, bars.len()), bars: &bars[..bars.len().min(MAX_BARS)] })
}
