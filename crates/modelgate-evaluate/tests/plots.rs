//! Every plot as a page or a comment shows it, 600 pixels wide: text that can be read, in the picture, on its own ground.

use modelgate_evaluate::{
    Bar, ClassificationInput, Line, Plot, SliceRow, bars_plot, calibration_curve, calibration_plot,
    confusion_matrix_plot, curves, lines_plot, precision_recall_plot, predicted_actual_plot, residual_plot,
    roc_plot, slice_table_plot,
};
use plotters::style::IntoFont;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 600.0;
/// What text has at least when the picture is 600 pixels wide.
const SMALLEST: f64 = 9.0;
/// Of a text's colour to what it stands on, as WCAG counts it.
const CONTRAST: f64 = 4.5;
/// In a coloured cell, where no two colours can have more at every shade.
const CONTRAST_IN_CELLS: f64 = 3.6;

type Colour = [f64; 3];

#[derive(Debug)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn holds(&self, x: f64, y: f64) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }
}

#[derive(Debug)]
struct Label {
    text: String,
    size: f64,
    fill: Colour,
    place: (f64, f64),
    area: Area,
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}

fn number(tag: &str, name: &str) -> f64 {
    let text = attribute(tag, name).unwrap_or_else(|| panic!("no {name} in {tag}"));
    text.parse().unwrap_or_else(|_| panic!("{name} of {tag}"))
}

fn colour(text: &str) -> Colour {
    let part = |at: usize| f64::from(u8::from_str_radix(&text[at..at + 2], 16).expect("two digits"));
    [part(1), part(3), part(5)]
}

fn labels(svg: &str) -> Vec<Label> {
    let parts = svg.split("<text").skip(1);
    let label = |part: &str| {
        let (tag, rest) = part.split_once('>').expect("a tag");
        let text = rest.split_once("</text>").expect("an end").0.trim_matches('\n');
        let text =
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        let (x, y, size) = (number(tag, "x"), number(tag, "y"), number(tag, "font-size"));
        let wide = ("DejaVu Sans", size * 1.24).into_font().box_size(&text).expect("the embedded font").0;
        let wide = f64::from(wide);
        let left = match attribute(tag, "text-anchor") {
            Some("start") => 0.0,
            Some("middle") => -wide / 2.0,
            Some("end") => -wide,
            other => panic!("{other:?}"),
        };
        let top = match attribute(tag, "dy") {
            Some("0.76em") => 0.0,
            Some("0.5ex") => -size / 2.0,
            Some("-0.5ex") => -size,
            other => panic!("{other:?}"),
        };
        let (right, bottom) = (left + wide, top + size);
        let area = match attribute(tag, "transform") {
            None => Area { left: x + left, top: y + top, right: x + right, bottom: y + bottom },
            // What was to the right is above.
            Some(turned) if turned.starts_with("rotate(270") => {
                Area { left: x + top, top: y - right, right: x + bottom, bottom: y - left }
            }
            other => panic!("{other:?}"),
        };
        let fill = colour(attribute(tag, "fill").expect("a colour"));
        assert_eq!(number(tag, "opacity"), 1.0, "{text}");
        Label { text, size, fill, place: (x, y), area }
    };
    parts.map(label).filter(|label| !label.text.trim().is_empty()).collect()
}

/// Returns the filled rectangles in the order in which they are drawn; the first is the background.
fn grounds(svg: &str) -> Vec<(Area, Colour)> {
    let mut found: Vec<(Area, Colour)> = Vec::new();
    for part in svg.split("<rect").skip(1) {
        let tag = part.split_once('>').expect("a tag").0;
        if attribute(tag, "fill") == Some("none") {
            continue;
        }
        let (left, top) = (number(tag, "x"), number(tag, "y"));
        let area =
            Area { left, top, right: left + number(tag, "width"), bottom: top + number(tag, "height") };
        let (own, share) = (colour(attribute(tag, "fill").expect("a colour")), number(tag, "opacity"));
        let below = found.first().map_or(own, |(_, background)| *background);
        let mixed = std::array::from_fn(|at| own[at] * share + below[at] * (1.0 - share));
        found.push((area, mixed));
    }
    found
}

fn contrast(one: Colour, other: Colour) -> f64 {
    let luminance = |colour: Colour| {
        let linear = colour.map(|part| {
            let part = part / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05
    };
    let (one, other) = (luminance(one), luminance(other));
    one.max(other) / one.min(other)
}

struct Pixels(Vec<u8>);

impl Pixels {
    fn of(png: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
        assert_eq!((f64::from(reader.info().width), f64::from(reader.info().height)), (WIDTH, HEIGHT));
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        reader.next_frame(&mut pixels).expect("a picture");
        Self(pixels)
    }

    /// Returns how far the nearest colour in an area is from `colour`.
    fn nearest(&self, area: &Area, colour: Colour) -> f64 {
        let mut nearest = f64::INFINITY;
        for y in area.top.max(0.0) as usize..area.bottom.min(HEIGHT) as usize {
            for x in area.left.max(0.0) as usize..area.right.min(WIDTH) as usize {
                let pixel = &self.0[(y * WIDTH as usize + x) * 3..][..3];
                let apart = (0..3).map(|at| (f64::from(pixel[at]) - colour[at]).abs()).fold(0.0, f64::max);
                nearest = nearest.min(apart);
            }
        }
        nearest
    }
}

/// Holds one form of a plot against what it promises.
fn is_read_at_600(name: &str, svg: &str, png: &[u8]) {
    assert!(svg.contains("width=\"720\" height=\"600\" viewBox=\"0 0 720 600\""), "{name}");
    assert!(svg.len() < 400_000, "{name} has {} bytes", svg.len());
    let (labels, grounds, pixels) = (labels(svg), grounds(svg), Pixels::of(png));
    assert!(labels.len() >= 3, "{name}: {labels:?}");
    for (at, label) in labels.iter().enumerate() {
        let area = &label.area;
        let size = label.size * 600.0 / WIDTH;
        assert!(size >= SMALLEST, "{name}: `{}` has {size:.1} pixels", label.text);
        let inside = area.left >= 0.0 && area.top >= 0.0 && area.right <= WIDTH && area.bottom <= HEIGHT;
        assert!(inside, "{name}: {label:?} leaves the picture");
        for other in &labels[..at] {
            let apart = area.right - 1.0 <= other.area.left
                || other.area.right - 1.0 <= area.left
                || area.bottom - 1.0 <= other.area.top
                || other.area.bottom - 1.0 <= area.top;
            assert!(apart, "{name}: {label:?} lies on {other:?}");
        }
        let middle = (f64::midpoint(area.left, area.right), f64::midpoint(area.top, area.bottom));
        let on = grounds.iter().rposition(|(ground, _)| ground.holds(middle.0, middle.1)).expect("a ground");
        let (needed, found) =
            (if on == 0 { CONTRAST } else { CONTRAST_IN_CELLS }, contrast(label.fill, grounds[on].1));
        assert!(found >= needed, "{name}: `{}` has a contrast of {found:.2}", label.text);
        // The PNG is drawn by other code: its text has the same place and colour.
        let nearest = pixels.nearest(area, label.fill);
        assert!(nearest < 48.0, "{name}: {label:?} is not in the PNG: {nearest}");
    }
}

fn is_readable(name: &str, plot: &Plot) {
    is_read_at_600(&format!("{name}, light"), &plot.svg, &plot.png);
    is_read_at_600(&format!("{name}, dark"), &plot.dark_svg, &plot.dark_png);
    let texts = |svg: &str| labels(svg).into_iter().map(|label| (label.text, label.size)).collect::<Vec<_>>();
    assert_eq!(texts(&plot.svg), texts(&plot.dark_svg), "{name}: both say the same");
    assert!(plot.png != plot.dark_png, "{name}");
}

/// Holds when the numbers of each axis differ.
fn tells_ticks_apart(name: &str, plot: &Plot) {
    let labels = labels(&plot.svg);
    for (at, one) in
        labels.iter().enumerate().filter(|(_, label)| label.text.starts_with(['-', '0', '1', '2', '9']))
    {
        for other in
            labels[..at].iter().filter(|other| other.place.0 == one.place.0 || other.place.1 == one.place.1)
        {
            assert!(one.text != other.text, "{name}: {one:?} and {other:?}");
        }
    }
}

/// Returns numbers from 0 to 1 that are the same each time.
fn numbers() -> impl FnMut() -> f64 {
    let mut state = 7_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1_u32 << 24)
    }
}

const LONG: &str = "a name that nobody would write by hand WWWWWWWWWWWWWWWW and that goes on and on and on";

/// Returns names, from short to far too long.
fn namings(count: usize) -> [(&'static str, Vec<String>); 3] {
    let named = |form: &dyn Fn(usize) -> String| (0..count).map(form).collect::<Vec<_>>();
    [
        ("short", named(&|at| format!("c{at}"))),
        ("wide", named(&|at| format!("WWWWWWWW {at}"))),
        ("long", named(&|at| format!("{at} {LONG}"))),
    ]
}

#[test]
fn a_confusion_matrix_is_read_with_two_classes_and_with_a_thousand() {
    for classes in [1, 2, 3, 6, 10, 16, 17, 60, 1000] {
        for (naming, names) in namings(classes) {
            let mut next = numbers();
            let mut counts = vec![vec![0_u64; classes]; classes];
            for (actual, row) in counts.iter_mut().enumerate() {
                row[actual] = (next() * 3000.0) as u64;
                row[(actual * 7 + 3) % classes] += (next() * 500.0) as u64;
                row[(actual + 1) % classes] += 1_234_567 * u64::from(actual % 3 == 1);
            }
            let plot = confusion_matrix_plot("churn: confusion matrix on validation", &names, &counts);
            is_readable(&format!("{classes} {naming} classes"), &plot.expect("a plot"));
        }
    }
}

#[test]
fn of_a_thousand_classes_those_with_the_most_mistakes_are_named() {
    let classes = 1000;
    let names: Vec<String> = (0..classes).map(|class| format!("k{class}")).collect();
    let mut counts = vec![vec![0_u64; classes]; classes];
    for (class, row) in counts.iter_mut().enumerate() {
        row[class] = 10;
    }
    counts[500][501] = 7;
    counts[31][999] = 4;
    counts[31][12] = 3;
    let plot = confusion_matrix_plot("t", &names, &counts).expect("a plot");
    let labels = labels(&plot.svg);
    let shown = |text: &str| labels.iter().filter(|label| label.text == text).count();
    for class in ["k500", "k501", "k31", "k999", "k12"] {
        assert_eq!(shown(class), 2, "{class}: as a row and as a column");
    }
    assert_eq!((shown("k900"), shown("others"), shown("7")), (0, 1, 1));
    assert_eq!(shown("the 15 of 1000 classes with the most mistakes"), 1);
    // Nothing is lost where a row's mistakes went to classes that are not drawn.
    counts[31][40..80].fill(1);
    let plot = confusion_matrix_plot("t", &names, &counts).expect("a plot");
    let labels = self::labels(&plot.svg);
    let row = labels.iter().find(|label| label.text == "k31").expect("a row").place.1;
    let cells =
        labels.iter().filter(|label| label.place.1 == row).filter_map(|label| label.text.parse::<u64>().ok());
    assert_eq!(cells.sum::<u64>(), 10 + 4 + 3 + 40);
}

#[test]
fn curves_are_read_with_one_class_and_with_three() {
    for (naming, names) in namings(10) {
        let mut next = numbers();
        let labels: Vec<u32> = (0..800).map(|_| (next() * 10.0) as u32).collect();
        let mut probabilities = Vec::new();
        for label in &labels {
            let mut weights: Vec<f64> = (0..10).map(|_| next()).collect();
            weights[*label as usize] += 0.7 * next();
            let total: f64 = weights.iter().sum();
            probabilities.extend(weights.iter().map(|weight| (weight / total) as f32));
        }
        let input = ClassificationInput {
            labels: &labels,
            predicted: &labels,
            probabilities: &probabilities,
            class_names: &names,
        };
        let found: Vec<_> = (0..3).filter_map(|class| curves(&input, class).ok().flatten()).collect();
        assert_eq!(found.len(), 3);
        for count in [1, 3] {
            let plot = roc_plot("churn: ROC on validation", &found[..count], 3).expect("a plot");
            is_readable(&format!("ROC of {count}, {naming}"), &plot);
            let plot =
                precision_recall_plot("churn: precision and recall", &found[..count], 3).expect("a plot");
            is_readable(&format!("precision of {count}, {naming}"), &plot);
            let six = roc_plot("churn: ROC on validation", &found, 6).expect("a plot");
            assert!(six.svg.contains("3 of 6 classes"), "{}", six.svg);
            is_readable(&format!("ROC of 3 of 6, {naming}"), &six);
            // What a long name leaves in sight is its figure.
            let figure = format!("({:.3})", found[0].average_precision);
            assert!(count == 1 || plot.svg.contains(&figure), "{naming}: {figure}");
        }
        let bins = calibration_curve(&input);
        is_readable("calibration", &calibration_plot(LONG, &bins, 0.0421).expect("a plot"));
    }
}

#[test]
fn residuals_are_read_at_every_scale() {
    let mut next = numbers();
    let scales = [(0.0, 1.0), (0.0, 1e-7), (0.0, 3e5), (2e12, 1e12), (1e6, 0.5), (-4000.0, 2.0), (0.0, 1e30)];
    for (from, width) in scales {
        let actual: Vec<f64> = (0..2000).map(|_| from + width * next()).collect();
        let guess: Vec<f64> = actual.iter().map(|value| value + 0.2 * width * (next() - 0.5)).collect();
        let name = format!("from {from} on {width}");
        let plots = [
            ("residuals", residual_plot("prices: residuals on validation", &actual, &guess)),
            ("predicted", predicted_actual_plot(LONG, &actual, &guess)),
        ];
        for (kind, plot) in plots {
            let (name, plot) = (format!("{kind} {name}"), plot.expect("a plot"));
            is_readable(&name, &plot);
            tells_ticks_apart(&name, &plot);
        }
    }
}

#[test]
fn bars_are_read_with_one_feature_and_with_many() {
    for count in [1, 4, 20, 57] {
        for (naming, names) in namings(count) {
            let mut next = numbers();
            let bar = |name: String| Bar { name, value: next() - 0.3, spread: 0.05 };
            let bars: Vec<Bar> = names.into_iter().map(bar).collect();
            let note = "rise of the log loss when a column is shuffled: mean, spread of 5 repeats";
            let plot = bars_plot("churn: permutation importance", note, &bars).expect("a plot");
            is_readable(&format!("{count} {naming} bars"), &plot);
            assert_eq!(plot.svg.contains("the first 20 of 57: rise"), count == 57);
            // What a note says for all is never cut.
            assert!(
                plot.svg.contains("when a column is shuffled: mean, spread of 5 repeats\n"),
                "{}",
                plot.svg
            );
        }
    }
}

#[test]
fn a_history_is_read_from_the_first_version_to_the_fortieth() {
    for count in [1, 2, 3, 4, 5, 8, 9, 40] {
        for (naming, steps) in namings(count) {
            for (from, width) in [(0.9, 0.05), (0.9999, 1e-5), (3e5, 2e3), (0.0, 1e-9)] {
                let mut next = numbers();
                let mut line = |name: &str| Line {
                    name: name.to_owned(),
                    values: (0..count).map(|at| (at % 5 != 3).then(|| from + width * next())).collect(),
                };
                let lines = [line("accuracy"), line("f1"), line(LONG)];
                let name = format!("{count} {naming} versions from {from}");
                let plot = lines_plot("churn: figures over versions", LONG, &steps, &lines).expect("a plot");
                is_readable(&name, &plot);
                tells_ticks_apart(&name, &plot);
                let plot = lines_plot("t", "n", &steps, &lines[..1]).expect("a plot");
                is_readable(&format!("one line, {name}"), &plot);
            }
        }
    }
}

#[test]
fn a_version_without_a_figure_leaves_a_gap() {
    let steps: Vec<String> = (1..=5).map(|version| format!("v{version:03}")).collect();
    let drawn = |values: [Option<f64>; 5]| {
        let line = Line { name: "f1".to_owned(), values: values.into() };
        let plot = lines_plot("t", "n", &steps, &[line]).expect("a plot");
        plot.svg.matches("stroke-width=\"2\"").count()
    };
    assert_eq!(drawn([0.1, 0.2, 0.3, 0.4, 0.5].map(Some)), 4);
    assert_eq!(drawn([Some(0.1), Some(0.2), None, Some(0.4), Some(0.5)]), 2);
}

#[test]
fn slices_are_read_with_long_names_and_many_rows() {
    for count in [1, 4, 18, 30] {
        for (naming, names) in namings(count) {
            for overall in [None, Some(0.0), Some(0.88), Some(1.0)] {
                let mut next = numbers();
                let slice = |name: String| {
                    let value = next();
                    let interval = (next() > 0.3).then_some((value * 0.9, value * 1.05));
                    SliceRow { name, rows: (next() * 2e9) as u64, value, interval }
                };
                let slices: Vec<SliceRow> = names.iter().cloned().map(slice).collect();
                let plot = slice_table_plot("churn: slices", LONG, overall, &slices).expect("a plot");
                is_readable(&format!("{count} {naming} slices beside {overall:?}"), &plot);
                assert_eq!(plot.svg.contains("the first 18 of 30: a name"), count == 30);
            }
        }
    }
}

#[test]
fn names_that_the_font_has_no_picture_of_stay_apart_in_a_png() {
    let drawn = |names: [&str; 2]| {
        let names = names.map(str::to_owned);
        confusion_matrix_plot("kinds", &names, &[vec![5, 1], vec![2, 7]]).expect("a plot")
    };
    let plot = drawn(["中文", "日本"]);
    assert_eq!(plot.unknown_letters, "中文日本");
    // An SVG is drawn with the fonts of who looks at it.
    assert!(plot.svg.contains("中文") && !plot.svg.contains("U+"), "{}", plot.svg);
    let others = drawn(["हिन्दी", "日本"]);
    assert!(plot.png != others.png && plot.dark_png != others.dark_png);
    assert_eq!(drawn(["größe", "Ωμέγα"]).unknown_letters, "");
}
