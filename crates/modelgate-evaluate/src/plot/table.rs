//! Slices as a table with a dot and its interval per row, so that the weak ones stand out.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, HEIGHT, Picture, Plot, Theme, WIDTH, fitting, heading, of_all, render, style, tick, width_of, wrong,
};
use crate::error::EvaluateError;

/// One slice.
#[derive(Clone, PartialEq, Debug)]
pub struct SliceRow {
    /// The slice in words.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The figure.
    pub value: f64,
    /// Its interval.
    pub interval: Option<(f64, f64)>,
}

struct Table<'a> {
    title: &'a str,
    note: String,
    overall: Option<f64>,
    slices: &'a [SliceRow],
}

/// More slices than this are left out.
const MAX_SLICES: usize = 18;

impl Picture for Table<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String> {
        heading(area, theme, self.title, &self.note)?;
        let (left, top, right, bottom) = (440, 112, WIDTH as i32 - 92, HEIGHT as i32 - 30);
        let ends = |slice: &SliceRow| slice.interval.unwrap_or((slice.value, slice.value));
        let shown = self.slices.iter().map(ends).chain(self.overall.map(|overall| (overall, overall)));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), ends| {
            (low.min(ends.0), high.max(ends.1))
        });
        let width = if high > low { high - low } else { 1.0 };
        let place = |value: f64| left + ((value - low) / width * f64::from(right - left)).round() as i32;
        let step = ((bottom - top) / self.slices.len() as i32).min(40);
        let head = |horizontal| style(16, theme.pale, horizontal, VPos::Bottom);
        area.draw_text("slice", &head(HPos::Left), (24, top - 10)).map_err(wrong)?;
        area.draw_text("rows", &head(HPos::Right), (left - 24, top - 10)).map_err(wrong)?;
        if let Some(overall) = self.overall {
            let x = place(overall);
            let end = top + step * self.slices.len() as i32;
            area.draw(&PathElement::new([(x, top - 6), (x, end)], theme.pale.stroke_width(1)))
                .map_err(wrong)?;
            let text = format!("all {}", tick(overall));
            let below = style(16, theme.pale, HPos::Center, VPos::Top);
            area.draw_text(&text, &below, (x, end + 6)).map_err(wrong)?;
        }
        for (at, slice) in self.slices.iter().enumerate() {
            let middle = top + step * at as i32 + step / 2;
            let text = style(16, theme.ink, HPos::Left, VPos::Center);
            let rows = slice.rows.to_string();
            let room = left - 24 - width_of(&rows, 16) - 16 - 24;
            area.draw_text(&fitting(&slice.name, 16, room), &text, (24, middle)).map_err(wrong)?;
            let number = style(16, theme.ink, HPos::Right, VPos::Center);
            area.draw_text(&rows, &number, (left - 24, middle)).map_err(wrong)?;
            let (start, end) = ends(slice);
            if end > start {
                let line = [(place(start), middle), (place(end), middle)];
                area.draw(&PathElement::new(line, theme.accent.mix(0.5).stroke_width(3))).map_err(wrong)?;
            }
            area.draw(&Circle::new((place(slice.value), middle), 5, theme.accent.filled())).map_err(wrong)?;
            let value = style(16, theme.pale, HPos::Left, VPos::Center);
            area.draw_text(&tick(slice.value), &value, (right + 14, middle)).map_err(wrong)?;
        }
        Ok(())
    }
}

/// Draws the first eighteen slices, in the order given, beside the figure of all rows.
///
/// # Errors
/// Fails without a slice, or with a value that is not finite.
pub fn slice_table_plot(
    title: &str,
    note: &str,
    overall: Option<f64>,
    slices: &[SliceRow],
) -> Result<Plot, EvaluateError> {
    let finite = |slice: &SliceRow| {
        slice.value.is_finite() && slice.interval.is_none_or(|ends| ends.0.is_finite() && ends.1.is_finite())
    };
    if slices.is_empty() || !slices.iter().all(finite) || overall.is_some_and(|overall| !overall.is_finite())
    {
        return Err(EvaluateError::Input("a slice table needs finite values".to_owned()));
    }
    let shown = &slices[..slices.len().min(MAX_SLICES)];
    render(&Table { title, note: of_all(note, MAX_SLICES, slices.len()), overall, slices: shown })
}
