//! The confusion matrix as a heat map.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, HEIGHT, Picture, Plot, SMALL, Theme, WIDE, WIDTH, fitting, fitting_around, render, style, width_of,
    wrong,
};
use crate::error::EvaluateError;

/// Rows and columns that have room for a name; of more classes those with the most mistakes are drawn.
const MAX_CLASSES: usize = 16;

/// From this share of a row on a cell's text is that which stands on the accent: in both themes it is read best so.
const DARK_CELL: f64 = 0.7;

/// The room of a name below its column, where it is turned.
const BELOW: i32 = 104;

/// The room of names at the side, from what is always there to what long ones get.
const BESIDE: std::ops::RangeInclusive<i32> = 60..=120;

struct Row<'a> {
    name: &'a str,
    /// Its counts in the columns that are drawn.
    counts: Vec<u64>,
    /// All of its rows.
    total: u64,
}

struct ConfusionMatrix<'a> {
    title: &'a str,
    note: Option<String>,
    rows: Vec<Row<'a>>,
    columns: Vec<&'a str>,
    /// The last column is what no class is called.
    others: bool,
}

impl<'a> ConfusionMatrix<'a> {
    fn new(title: &'a str, names: &'a [String], confusion: &[Vec<u64>]) -> Self {
        let total = |class: usize| confusion[class].iter().sum::<u64>();
        if names.len() <= MAX_CLASSES {
            let row = |class: usize| Row {
                name: &names[class],
                counts: confusion[class].clone(),
                total: total(class),
            };
            let columns = names.iter().map(String::as_str).collect();
            return Self {
                title,
                note: None,
                rows: (0..names.len()).map(row).collect(),
                columns,
                others: false,
            };
        }
        // Rows of the class that were called something else, and rows of others that were called so.
        let mut mistakes = vec![0_u64; names.len()];
        for (actual, counts) in confusion.iter().enumerate() {
            for (predicted, count) in counts.iter().enumerate().filter(|(predicted, _)| *predicted != actual)
            {
                mistakes[actual] = mistakes[actual].saturating_add(*count);
                mistakes[predicted] = mistakes[predicted].saturating_add(*count);
            }
        }
        let mut chosen: Vec<usize> = (0..names.len()).collect();
        chosen.sort_by_key(|class| std::cmp::Reverse(mistakes[*class]));
        chosen.truncate(MAX_CLASSES - 1);
        chosen.sort_unstable();
        let row = |class: &usize| {
            let mut counts: Vec<u64> = chosen.iter().map(|column| confusion[*class][*column]).collect();
            counts.push(total(*class) - counts.iter().sum::<u64>());
            Row { name: &names[*class], counts, total: total(*class) }
        };
        let columns = chosen.iter().map(|class| names[*class].as_str()).chain(["others"]).collect();
        let note = format!("the {} of {} classes with the most mistakes", chosen.len(), names.len());
        Self { title, note: Some(note), rows: chosen.iter().map(row).collect(), columns, others: true }
    }
}

impl Picture for ConfusionMatrix<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String> {
        let title = style(20, theme.ink, HPos::Left, VPos::Top);
        area.draw_text(&fitting(self.title, 20, WIDE), &title, (24, 20)).map_err(wrong)?;
        if let Some(note) = &self.note {
            let below = style(16, theme.pale, HPos::Left, VPos::Top);
            area.draw_text(note, &below, (24, 46)).map_err(wrong)?;
        }
        let widest = self.rows.iter().map(|row| width_of(row.name, 16)).max().unwrap_or(0);
        let beside = widest.clamp(*BESIDE.start(), *BESIDE.end());
        let (left, right) = (48 + beside + 10, WIDTH as i32 - 24);
        let cell_width = (right - left) / self.columns.len() as i32;
        // Names stand below their columns, or are turned where they would be cut.
        let upright =
            cell_width - 8 >= BELOW || self.columns.iter().all(|name| width_of(name, 16) <= cell_width - 8);
        let top = if self.note.is_some() { 76 } else { 64 };
        let bottom = HEIGHT as i32 - 48 - if upright { 28 } else { BELOW + 12 };
        let cell_height = (bottom - top) / self.rows.len() as i32;
        let end = top + cell_height * self.rows.len() as i32;
        for (at, row) in self.rows.iter().enumerate() {
            let y = top + cell_height * at as i32;
            let name = style(16, theme.ink, HPos::Right, VPos::Center);
            area.draw_text(&fitting_around(row.name, 16, beside), &name, (left - 10, y + cell_height / 2))
                .map_err(wrong)?;
            for (column, count) in row.counts.iter().enumerate() {
                let x = left + cell_width * column as i32;
                let share = if row.total == 0 { 0.0 } else { *count as f64 / row.total as f64 };
                // The accent on the background: a page can swap both colours.
                let fill = theme.accent.mix(0.04 + 0.96 * share);
                let cell = [(x + 1, y + 1), (x + cell_width - 1, y + cell_height - 1)];
                area.draw(&Rectangle::new(cell, fill.filled())).map_err(wrong)?;
                let ink = if share > DARK_CELL { theme.on_accent } else { theme.ink };
                let middle = (x + cell_width / 2, y + cell_height / 2);
                written(area, ink, middle, (cell_width, cell_height), (*count, share))?;
            }
        }
        for (column, text) in self.columns.iter().enumerate() {
            let x = left + cell_width * column as i32 + cell_width / 2;
            let ink = if self.others && column + 1 == self.columns.len() { theme.pale } else { theme.ink };
            if upright {
                let name = style(16, ink, HPos::Center, VPos::Top);
                area.draw_text(&fitting_around(text, 16, cell_width - 8), &name, (x, end + 8))
                    .map_err(wrong)?;
            } else {
                let name = style(16, ink, HPos::Right, VPos::Center).transform(FontTransform::Rotate270);
                area.draw_text(&fitting_around(text, 16, BELOW), &name, (x, end + 8)).map_err(wrong)?;
            }
        }
        let label = style(17, theme.pale, HPos::Center, VPos::Top);
        let across = left + cell_width * self.columns.len() as i32 / 2;
        area.draw_text("predicted", &label, (across, HEIGHT as i32 - 36)).map_err(wrong)?;
        let label = style(17, theme.pale, HPos::Left, VPos::Top).transform(FontTransform::Rotate270);
        area.draw_text("actual", &label, (20, i32::midpoint(top, end) + 22)).map_err(wrong)
    }
}

/// Returns a count of at most two digits and a unit, once it has more than three.
fn brief(count: u64) -> String {
    let (unit, letter) = match count {
        0..1000 => return count.to_string(),
        1000..999_500 => (1e3, 'k'),
        999_500..999_500_000 => (1e6, 'M'),
        _ => return format!("{:.1e}", count as f64),
    };
    let scaled = count as f64 / unit;
    if scaled < 9.95 { format!("{scaled:.1}{letter}") } else { format!("{scaled:.0}{letter}") }
}

/// Writes a count, and its share of the row where there is room for two lines; nothing where there is room for neither.
/// Small cells that count nothing stay empty: the others stand out.
fn written<B: DrawingBackend>(
    area: &Area<'_, B>,
    ink: RGBColor,
    middle: (i32, i32),
    (width, height): (i32, i32),
    (count, share): (u64, f64),
) -> Result<(), String> {
    const TWO_LINES: i32 = 48;
    if count == 0 && height < TWO_LINES {
        return Ok(());
    }
    let exact = count.to_string();
    let room = |text: &str, size: u32| width_of(text, size) <= width - 4 && size as i32 * 5 / 4 <= height;
    let found = [20, 16, SMALL].into_iter().find(|size| room(&exact, *size)).map(|size| (exact, size));
    let rounded = || Some(brief(count)).filter(|text| room(text, SMALL)).map(|text| (text, SMALL));
    let Some((text, size)) = found.or_else(rounded) else { return Ok(()) };
    let percent = format!("{:.1}%", share * 100.0);
    let two_lines = height >= TWO_LINES && room(&percent, 16);
    let offset = if two_lines { 10 } else { 0 };
    let number = style(size, ink, HPos::Center, VPos::Center);
    area.draw_text(&text, &number, (middle.0, middle.1 - offset)).map_err(wrong)?;
    if two_lines {
        let below = style(16, ink, HPos::Center, VPos::Center);
        area.draw_text(&percent, &below, (middle.0, middle.1 + 14)).map_err(wrong)?;
    }
    Ok(())
}

/// Draws a confusion matrix: rows are actual, columns predicted classes; colour and percentage are shares of the row.
/// Of more than sixteen classes the fifteen with the most mistakes are drawn, and one column for all others.
///
/// # Errors
/// Fails when the matrix is not square over the classes, or empty.
pub fn confusion_matrix_plot(
    title: &str,
    class_names: &[String],
    confusion: &[Vec<u64>],
) -> Result<Plot, EvaluateError> {
    let classes = class_names.len();
    if classes == 0 || confusion.len() != classes || confusion.iter().any(|row| row.len() != classes) {
        return Err(EvaluateError::Input(format!("a confusion matrix of {classes} classes cannot be drawn")));
    }
    render(&ConfusionMatrix::new(title, class_names, confusion))
}

#[cfg(test)]
mod tests {
    use super::brief;

    #[test]
    fn a_count_keeps_its_size_where_it_loses_digits() {
        let said =
            [0, 999, 1000, 1234, 9949, 9950, 12_345, 999_499, 999_999, 12_345_678, 5_000_000_000].map(brief);
        let expected = ["0", "999", "1.0k", "1.2k", "9.9k", "10k", "12k", "999k", "1.0M", "12M", "5.0e9"];
        assert_eq!(said, expected.map(str::to_owned));
    }
}
