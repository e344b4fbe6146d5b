//! Plots as SVG and PNG, light and dark, drawn by the same code. Nothing is looked for on the machine or fetched.

mod bars;
mod confusion;
mod curve;
mod letters;
mod scatter;
mod series;
mod table;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use bars::{Bar, bars_plot};
pub use confusion::confusion_matrix_plot;
pub use curve::{calibration_plot, precision_recall_plot, roc_plot};
pub use scatter::{predicted_actual_plot, residual_plot};
pub use series::{Line, dependence_plot, lines_plot};
pub use table::{SliceRow, slice_table_plot};

use crate::error::EvaluateError;
use crate::font::{FAMILY, register};

const WIDTH: u32 = 720;
const HEIGHT: u32 = 600;

/// The room of a line of text between the margins.
const WIDE: i32 = WIDTH as i32 - 48;

/// More points than this are thinned, so that an SVG stays small.
const MAX_POINTS: usize = 1500;

/// The colours of a picture; everything else is one of them with less opacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Theme {
    background: RGBColor,
    ink: RGBColor,
    pale: RGBColor,
    grid: RGBColor,
    accent: RGBColor,
    other: RGBColor,
    third: RGBColor,
    /// What stands on the accent at full opacity.
    on_accent: RGBColor,
}

impl Theme {
    /// Dark on white.
    pub const LIGHT: Self = Self {
        background: RGBColor(255, 255, 255),
        ink: RGBColor(31, 41, 55),
        pale: RGBColor(107, 114, 128),
        grid: RGBColor(229, 231, 235),
        accent: RGBColor(29, 78, 216),
        other: RGBColor(194, 65, 12),
        third: RGBColor(4, 120, 87),
        on_accent: RGBColor(254, 254, 254),
    };

    /// Light on near black.
    pub const DARK: Self = Self {
        background: RGBColor(13, 17, 23),
        ink: RGBColor(230, 237, 243),
        pale: RGBColor(145, 152, 161),
        grid: RGBColor(48, 54, 61),
        accent: RGBColor(96, 165, 250),
        other: RGBColor(251, 146, 60),
        third: RGBColor(52, 211, 153),
        on_accent: RGBColor(13, 17, 24),
    };

    /// Returns the colours of lines that share a picture.
    fn lines(self) -> [RGBColor; 3] {
        [self.accent, self.other, self.third]
    }

    /// Returns the colours with the names that a page can give them.
    pub fn named(self) -> [(&'static str, String); 8] {
        let hex = |colour: RGBColor| format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        [
            ("background", hex(self.background)),
            ("ink", hex(self.ink)),
            ("pale", hex(self.pale)),
            ("grid", hex(self.grid)),
            ("accent", hex(self.accent)),
            ("other", hex(self.other)),
            ("third", hex(self.third)),
            ("on-accent", hex(self.on_accent)),
        ]
    }
}

/// A picture in its forms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plot {
    /// SVG text, light.
    pub svg: String,
    /// SVG text, dark.
    pub dark_svg: String,
    /// PNG bytes, 720 × 600, light.
    pub png: Vec<u8>,
    /// PNG bytes, 720 × 600, dark.
    pub dark_png: Vec<u8>,
    /// The letters that the PNG names by their number, for want of a font that has them.
    pub unknown_letters: String,
}

type Area<'a, B> = DrawingArea<B, Shift>;

/// Something that can be drawn on any backend.
trait Picture: Sync {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, theme: Theme) -> Result<(), String>;
}

fn wrong<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

fn svg(picture: &impl Picture, theme: Theme) -> Result<String, String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&theme.background).map_err(wrong)?;
        picture.draw(&area, theme)?;
        area.present().map_err(wrong)?;
    }
    Ok(text)
}

fn png(picture: &impl Picture, theme: Theme) -> Result<Vec<u8>, String> {
    let mut pixels = vec![0; (WIDTH * HEIGHT * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&theme.background).map_err(wrong)?;
        letters::alone(|| picture.draw(&area, theme))?;
        area.present().map_err(wrong)?;
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    written.map_err(wrong)?;
    Ok(bytes)
}

fn render(picture: &impl Picture) -> Result<Plot, EvaluateError> {
    register()?;
    let images = || rayon::join(|| png(picture, Theme::LIGHT), || png(picture, Theme::DARK));
    let texts = || (svg(picture, Theme::LIGHT), svg(picture, Theme::DARK));
    let ((png, dark_png), (svg, dark_svg)) = rayon::join(images, texts);
    let plot = |wrong| EvaluateError::Plot(wrong);
    let svg = svg.map_err(plot)?;
    Ok(Plot {
        unknown_letters: letters::unknown(&svg),
        svg,
        dark_svg: dark_svg.map_err(plot)?,
        png: png.map_err(plot)?,
        dark_png: dark_png.map_err(plot)?,
    })
}

fn style(size: u32, color: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    (FAMILY, size).into_font().color(&color).pos(Pos::new(horizontal, vertical))
}

/// The smallest text; in a picture of 600 pixels its letters are 9 pixels high, of an `em`.
const SMALL: u32 = 14;

/// Returns how wide text is drawn, in pixels.
fn width_of(text: &str, size: u32) -> i32 {
    (FAMILY, size).into_font().box_size(&letters::drawable(text)).map_or(0, |(width, _)| width as i32)
}

/// Cuts the end of text to what fits into so many pixels. What an XML file may not hold becomes a space; marks that change
/// the direction of what follows are dropped. Numbers are never given to it: the end of one is its size.
fn fitting(text: &str, size: u32, room: i32) -> String {
    cut_to_fit(text, size, room, false)
}

/// As [`fitting`], with the middle cut out: names that stand beside each other often differ at their ends.
fn fitting_around(text: &str, size: u32, room: i32) -> String {
    cut_to_fit(text, size, room, true)
}

fn cut_to_fit(text: &str, size: u32, room: i32, around: bool) -> String {
    let marks = |letter: &char| !matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean = |letter: char| {
        if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') { ' ' } else { letter }
    };
    // No letter is narrower than a pixel.
    let most = room.max(0) as usize + 1;
    let text = letters::drawable(text);
    let mut letters: Vec<char> = text.chars().filter(marks).map(clean).take(most).collect();
    let whole: String = letters.iter().collect();
    if letters.len() < most && width_of(&whole, size) <= room {
        return whole;
    }
    if around && letters.len() == most {
        // What is behind is longer than any room: of it the end alone can be seen.
        let behind = text.chars().rev().filter(marks).map(clean).take(most).collect::<Vec<char>>();
        letters.extend(behind.into_iter().rev());
    }
    let cut = |length: usize| -> String {
        let end = if around { length / 2 } else { 0 };
        letters.iter().take(length - end).chain(&['…']).chain(&letters[letters.len() - end..]).collect()
    };
    let (mut fits, mut beyond) = (0, letters.len());
    while beyond - fits > 1 {
        let middle = usize::midpoint(fits, beyond);
        if width_of(&cut(middle), size) <= room { fits = middle } else { beyond = middle }
    }
    cut(fits)
}

/// Draws the title and a line below it.
fn heading<B: DrawingBackend>(
    area: &Area<'_, B>,
    theme: Theme,
    title: &str,
    note: &str,
) -> Result<(), String> {
    let large = style(20, theme.ink, HPos::Left, VPos::Top);
    area.draw_text(&fitting(title, 20, WIDE), &large, (24, 16)).map_err(wrong)?;
    let below = style(16, theme.pale, HPos::Left, VPos::Top);
    area.draw_text(&fitting(note, 16, WIDE), &below, (24, 44)).map_err(wrong)
}

/// Says first when not all of a list is drawn.
fn of_all(note: &str, most: usize, all: usize) -> String {
    if all > most { format!("the first {most} of {all}: {note}") } else { note.to_owned() }
}

/// Draws the names of up to three lines in a row above them.
fn legend<'a, B: DrawingBackend>(
    area: &Area<'_, B>,
    theme: Theme,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    const EACH: i32 = 224;
    for (at, name) in names.enumerate() {
        let place = 24 + EACH * at as i32;
        let colour = theme.lines()[at % 3];
        let mark = PathElement::new([(place, 80), (place + 24, 80)], colour.stroke_width(3));
        area.draw(&mark).map_err(wrong)?;
        let text = style(16, theme.ink, HPos::Left, VPos::Center);
        area.draw_text(&fitting(name, 16, EACH - 44), &text, (place + 32, 80)).map_err(wrong)?;
    }
    Ok(())
}

/// Prints a value with at most four digits and a unit of thousands or millions.
fn tick(value: f64) -> String {
    tick_of(value, f64::INFINITY)
}

/// Prints an axis value with the digits that tell it from the next one, which is `step` away.
fn tick_of(value: f64, step: f64) -> String {
    let places = |step: f64| -> usize {
        if step.is_finite() && step > 0.0 {
            (-libm::floor(libm::log10(step) + 1e-9)).clamp(0.0, 9.0) as usize
        } else {
            0
        }
    };
    if step.is_finite() && value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    let power = |value: f64| format!("{value:.*e}", places(step / value.abs()).max(1));
    let (scale, unit) = match value.abs() {
        size if size >= 1e9 || (size > 0.0 && size < 1e-3) => return power(value),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let scaled = value / scale;
    let decimals = match scaled.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    let decimals = places(step / scale).max(decimals);
    let text = format!("{scaled:.decimals$}");
    let text = if decimals == 0 { text + "." } else { text };
    let text = format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'));
    if text == "-0" { "0".to_owned() } else { text }
}

/// The labels of two axes.
struct Axes<'a> {
    x: &'a str,
    y: &'a str,
    /// Whether there is a row of names above.
    below_legend: bool,
}

type Chart<'a, B> = ChartContext<
    'a,
    B,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

/// Draws axes and grid below the heading and returns the chart to draw in.
fn chart<'a, B: DrawingBackend>(
    area: &Area<'a, B>,
    theme: Theme,
    axes: &Axes<'_>,
    across: std::ops::Range<f64>,
    up: std::ops::Range<f64>,
) -> Result<Chart<'a, B>, String> {
    const LABELS: (usize, usize) = (7, 8);
    let (step_across, step_up) =
        ((across.end - across.start) / LABELS.0 as f64, (up.end - up.start) / LABELS.1 as f64);
    // Numbers that differ late are long: fewer of them stand side by side, and the others get more room.
    let widest = |range: &std::ops::Range<f64>, step: f64| {
        let at = |part: u32| range.start + (range.end - range.start) * f64::from(part) / 7.0;
        (0..=7).map(|part| width_of(&tick_of(at(part), step), 16)).max().unwrap_or(0)
    };
    let wide = widest(&across, step_across);
    let beside = (WIDE - 72) / (wide + 14);
    let room = (widest(&up, step_up) + 36).max(72);
    let mut chart = ChartBuilder::on(area)
        .margin(24)
        .margin_top(if axes.below_legend { 98 } else { 74 })
        // The last number stands below the corner.
        .margin_right((wide / 2 + 4).max(24))
        .x_label_area_size(48)
        .y_label_area_size(room)
        .build_cartesian_2d(across, up)
        .map_err(wrong)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(theme.grid)
        .axis_style(theme.pale)
        .label_style((FAMILY, 16).into_font().color(&theme.ink))
        .axis_desc_style((FAMILY, 17).into_font().color(&theme.pale))
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_labels(LABELS.0.min(beside.max(2) as usize))
        .y_labels(LABELS.1)
        .x_label_formatter(&|value| tick_of(*value, step_across))
        .y_label_formatter(&|value| tick_of(*value, step_up))
        .draw()
        .map_err(wrong)?;
    Ok(chart)
}

/// Returns round steps of 1, 2 or 5 that lie inside a range, about five of them.
fn round_steps(range: &std::ops::Range<f64>) -> Vec<f64> {
    let rough = (range.end - range.start) / 5.0;
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let (first, last) = ((range.start / step).ceil() as i64, (range.end / step).floor() as i64);
    (first..=last.min(first.saturating_add(20))).map(|at| at as f64 * step).collect()
}

/// Returns the range of values with a margin; never empty.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if !low.is_finite() || !high.is_finite() {
        return 0.0..1.0;
    }
    let margin = ((high - low) * 0.04).max(low.abs().max(high.abs()) * 1e-6).max(1e-9);
    (low - margin)..(high + margin)
}
