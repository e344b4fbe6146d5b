//! Plots as SVG and PNG, drawn by the same code.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::EvaluateError;
use crate::font::{FAMILY, register};

const WIDTH: u32 = 720;
const HEIGHT: u32 = 600;
const INK: RGBColor = RGBColor(31, 41, 55);
const PALE: RGBColor = RGBColor(107, 114, 128);
const BLUE: RGBColor = RGBColor(29, 78, 216);
const GRID: RGBColor = RGBColor(229, 231, 235);

/// More points than this are thinned, evenly over the rows.
const MAX_POINTS: usize = 5000;

/// A picture in two forms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plot {
    /// SVG text.
    pub svg: String,
    /// PNG bytes, 720 × 600.
    pub png: Vec<u8>,
}

type Area<'a, B> = DrawingArea<B, Shift>;

/// Something that can be drawn on any backend.
trait Picture {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String>;
}

fn wrong<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

fn render(picture: &impl Picture) -> Result<Plot, EvaluateError> {
    register()?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        picture.draw(&area).and_then(|()| area.present().map_err(wrong)).map_err(EvaluateError::Plot)?;
    }
    let mut pixels = vec![0; (WIDTH * HEIGHT * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, HEIGHT)).into_drawing_area();
        picture.draw(&area).and_then(|()| area.present().map_err(wrong)).map_err(EvaluateError::Plot)?;
    }
    let mut png_bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut png_bytes, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    written.map_err(|error| EvaluateError::Plot(error.to_string()))?;
    Ok(Plot { svg, png: png_bytes })
}

fn style(size: u32, color: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    (FAMILY, size).into_font().color(&color).pos(Pos::new(horizontal, vertical))
}

fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

struct ConfusionMatrix<'a> {
    title: &'a str,
    names: &'a [String],
    counts: &'a [Vec<u64>],
}

impl Picture for ConfusionMatrix<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let classes = self.names.len() as i32;
        area.fill(&WHITE).map_err(wrong)?;
        let (left, top, right, bottom) = (130, 64, WIDTH as i32 - 24, HEIGHT as i32 - 76);
        let title = style(20, INK, HPos::Left, VPos::Top);
        area.draw_text(&shortened(self.title, 62), &title, (24, 20)).map_err(wrong)?;
        let (cell_width, cell_height) = ((right - left) / classes, (bottom - top) / classes);
        let letters = (cell_width / 8).clamp(2, 16) as usize;
        // Beyond this a cell has no room for text; colours still tell.
        let written = cell_width >= 30 && cell_height >= 18;
        for (row, counts) in self.counts.iter().enumerate() {
            let total: u64 = counts.iter().sum();
            let y = top + cell_height * row as i32;
            let name = style(14, INK, HPos::Right, VPos::Center);
            if cell_height >= 12 {
                area.draw_text(&shortened(&self.names[row], 12), &name, (left - 10, y + cell_height / 2))
                    .map_err(wrong)?;
            }
            for (column, count) in counts.iter().enumerate() {
                let x = left + cell_width * column as i32;
                let share = if total == 0 { 0.0 } else { *count as f64 / total as f64 };
                let mix =
                    |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * share) as u8;
                let fill = RGBColor(mix(247, BLUE.0), mix(249, BLUE.1), mix(252, BLUE.2));
                let cell = Rectangle::new(
                    [(x + 1, y + 1), (x + cell_width - 1, y + cell_height - 1)],
                    fill.filled(),
                );
                area.draw(&cell).map_err(wrong)?;
                if !written {
                    continue;
                }
                let ink = if share > 0.5 { WHITE } else { INK };
                let middle = (x + cell_width / 2, y + cell_height / 2);
                let two_lines = cell_height >= 48 && cell_width >= 52;
                let offset = if two_lines { 10 } else { 0 };
                let size = if cell_width >= 60 { 20 } else { 12 };
                let number = style(size, ink, HPos::Center, VPos::Center);
                area.draw_text(&count.to_string(), &number, (middle.0, middle.1 - offset)).map_err(wrong)?;
                if two_lines {
                    let percent = style(13, ink, HPos::Center, VPos::Center);
                    let text = format!("{:.1}%", share * 100.0);
                    area.draw_text(&text, &percent, (middle.0, middle.1 + 14)).map_err(wrong)?;
                }
            }
        }
        if cell_width >= 20 {
            let name = style(14, INK, HPos::Center, VPos::Top);
            for (column, text) in self.names.iter().enumerate() {
                let x = left + cell_width * column as i32 + cell_width / 2;
                area.draw_text(&shortened(text, letters), &name, (x, top + cell_height * classes + 8))
                    .map_err(wrong)?;
            }
        }
        let label = style(15, PALE, HPos::Center, VPos::Top);
        area.draw_text("predicted", &label, (i32::midpoint(left, right), bottom + 38)).map_err(wrong)?;
        let label = style(15, PALE, HPos::Left, VPos::Top).transform(FontTransform::Rotate270);
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

struct Residuals<'a> {
    title: &'a str,
    points: Vec<(f64, f64)>,
    rows: usize,
    rmse: f64,
}

/// Prints an axis value with at most four digits and a unit of thousands or millions.
fn tick(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e9 => return format!("{value:.1e}"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Picture for Residuals<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        area.fill(&WHITE).map_err(wrong)?;
        let range = |values: &dyn Fn(&(f64, f64)) -> f64| {
            let low = self.points.iter().map(values).fold(f64::INFINITY, f64::min);
            let high = self.points.iter().map(values).fold(f64::NEG_INFINITY, f64::max);
            let margin = ((high - low) * 0.04).max(low.abs().max(high.abs()) * 1e-6).max(1e-9);
            (low - margin)..(high + margin)
        };
        let (across, up) = (range(&|point| point.0), range(&|point| point.1));
        let up = up.start.min(-up.end * 0.05)..up.end.max(-up.start * 0.05);
        let title = style(20, INK, HPos::Left, VPos::Top);
        area.draw_text(&shortened(self.title, 62), &title, (24, 16)).map_err(wrong)?;
        let below = style(14, PALE, HPos::Left, VPos::Top);
        let note = format!("{} rows, RMSE {}", self.rows, tick(self.rmse));
        area.draw_text(&note, &below, (24, 44)).map_err(wrong)?;
        let mut chart = ChartBuilder::on(area)
            .margin(24)
            .margin_top(74)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(across.clone(), up)
            .map_err(wrong)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(PALE)
            .label_style((FAMILY, 14).into_font().color(&INK))
            .axis_desc_style((FAMILY, 15).into_font().color(&PALE))
            .x_desc("predicted")
            .y_desc("actual – predicted")
            .x_labels(7)
            .y_labels(8)
            .x_label_formatter(&|value| tick(*value))
            .y_label_formatter(&|value| tick(*value))
            .draw()
            .map_err(wrong)?;
        let dots = self.points.iter().map(|point| Circle::new(*point, 3, BLUE.mix(0.35).filled()));
        chart.draw_series(dots).map_err(wrong)?;
        let zero = LineSeries::new([(across.start, 0.0), (across.end, 0.0)], INK.stroke_width(1));
        chart.draw_series(zero).map_err(wrong)?;
        Ok(())
    }
}

/// Draws residuals, actual less predicted, over predictions.
///
/// # Errors
/// Fails when the lengths differ, there is no row, or a value is not finite.
pub fn residual_plot(title: &str, actual: &[f64], predicted: &[f64]) -> Result<Plot, EvaluateError> {
    let finite = actual.iter().chain(predicted).all(|value| value.is_finite());
    if actual.is_empty() || actual.len() != predicted.len() || !finite {
        return Err(EvaluateError::Input("residuals need rows with finite values".to_owned()));
    }
    let squares: f64 =
        actual.iter().zip(predicted).map(|(actual, predicted)| (actual - predicted).powi(2)).sum();
    let step = actual.len().div_ceil(MAX_POINTS);
    let points = actual.iter().zip(predicted).step_by(step);
    let picture = Residuals {
        title,
        points: points.map(|(actual, predicted)| (*predicted, actual - predicted)).collect(),
        rows: actual.len(),
        rmse: (squares / actual.len() as f64).sqrt(),
    };
    render(&picture)
}
