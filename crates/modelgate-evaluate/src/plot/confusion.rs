//! The confusion matrix as a heat map.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Area, HEIGHT, Picture, Plot, Theme, WIDTH, render, shortened, style, wrong};
use crate::error::EvaluateError;

struct ConfusionMatrix<'a> {
    title: &'a str,
    names: &'a [String],
    counts: &'a [Vec<u64>],
}

impl Picture for ConfusionMatrix<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String> {
        let classes = self.names.len() as i32;
        let (left, top, right, bottom) = (130, 64, WIDTH as i32 - 24, HEIGHT as i32 - 76);
        let title = style(20, theme.ink, HPos::Left, VPos::Top);
        area.draw_text(&shortened(self.title, 62), &title, (24, 20)).map_err(wrong)?;
        let (cell_width, cell_height) = ((right - left) / classes, (bottom - top) / classes);
        let letters = (cell_width / 8).clamp(2, 16) as usize;
        // Beyond this a cell has no room for text; colours still tell.
        let written = cell_width >= 30 && cell_height >= 18;
        for (row, counts) in self.counts.iter().enumerate() {
            let total: u64 = counts.iter().sum();
            let y = top + cell_height * row as i32;
            let name = style(16, theme.ink, HPos::Right, VPos::Center);
            if cell_height >= 12 {
                area.draw_text(&shortened(&self.names[row], 11), &name, (left - 10, y + cell_height / 2))
                    .map_err(wrong)?;
            }
            for (column, count) in counts.iter().enumerate() {
                let x = left + cell_width * column as i32;
                let share = if total == 0 { 0.0 } else { *count as f64 / total as f64 };
                // The accent on the background: a page can swap both colours.
                let fill = theme.accent.mix(0.04 + 0.96 * share);
                let cell = Rectangle::new(
                    [(x + 1, y + 1), (x + cell_width - 1, y + cell_height - 1)],
                    fill.filled(),
                );
                area.draw(&cell).map_err(wrong)?;
                if !written {
                    continue;
                }
                let ink = if share > 0.65 { theme.on_accent } else { theme.ink };
                let middle = (x + cell_width / 2, y + cell_height / 2);
                let two_lines = cell_height >= 48 && cell_width >= 52;
                let offset = if two_lines { 10 } else { 0 };
                let size = if cell_width >= 60 { 20 } else { 12 };
                let number = style(size, ink, HPos::Center, VPos::Center);
                area.draw_text(&count.to_string(), &number, (middle.0, middle.1 - offset)).map_err(wrong)?;
                if two_lines {
                    let percent = style(16, ink, HPos::Center, VPos::Center);
                    let text = format!("{:.1}%", share * 100.0);
                    area.draw_text(&text, &percent, (middle.0, middle.1 + 14)).map_err(wrong)?;
                }
            }
        }
        if cell_width >= 20 {
            let name = style(16, theme.ink, HPos::Center, VPos::Top);
            for (column, text) in self.names.iter().enumerate() {
                let x = left + cell_width * column as i32 + cell_width / 2;
                area.draw_text(&shortened(text, letters), &name, (x, top + cell_height * classes + 8))
                    .map_err(wrong)?;
            }
        }
        let label = style(17, theme.pale, HPos::Center, VPos::Top);
        area.draw_text("predicted", &label, (i32::midpoint(left, right), bottom + 38)).map_err(wrong)?;
        let label = style(17, theme.pale, HPos::Left, VPos::Top).transform(FontTransform::Rotate270);
        area.draw_text("actual", &label, (20, i32::midpoint(top, bottom) + 22)).map_err(wrong)
    }
}

/// Draws a confusion matrix: rows are actual, columns predicted classes; colour and percentage are shares of the row.
///
/// # Errors
/// Fails when the matrix is not square over the classes, or empty.
pub fn confusion_matrix_plot(
    title: &str,
    class_names: &[String],
    confusion: &[Vec<u64>],
) -> Result<Plot, EvaluateError> {
    let classes = class_names.len();
    if classes == 0
        || classes > 500
        || confusion.len() != classes
        || confusion.iter().any(|row| row.len() != classes)
    {
        return Err(EvaluateError::Input(format!("a confusion matrix of {classes} classes cannot be drawn")));
    }
    render(&ConfusionMatrix { title, names: class_names, counts: confusion })
}
