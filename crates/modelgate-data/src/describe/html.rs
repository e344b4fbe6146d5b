//! A description as one small page: no script, nothing fetched, light and dark.

use crate::describe::text::{known, value_of};
use crate::describe::{ColumnDescription, Description, Histogram};

const STYLE: &str = "\
:root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--soft:#57606a;--line:#d0d7de;--bar:#2f6fb2;--card:#f6f8fa}\
@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--soft:#8b949e;--line:#30363d;--bar:#6cb0f2;--card:#161b22}}\
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:70rem;margin:0 auto;padding:1.5rem}\
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .75rem}p{margin:.25rem 0;color:var(--soft)}\
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1rem}\
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.9rem 1rem;min-width:0}\
h3{font-size:1rem;margin:0;overflow-wrap:anywhere}h3 small{color:var(--soft);font-weight:400}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.86rem}\
td,th{padding:.12rem .3rem;text-align:right;border-bottom:1px solid var(--line)}td:first-child,th:first-child{text-align:left;overflow-wrap:anywhere}td:last-child{white-space:nowrap}.top{margin-top:.6rem}th{font-weight:400;color:var(--soft)}\
svg{display:block;width:100%;height:64px;margin:.5rem 0 0}rect{fill:var(--bar)}.ends{display:flex;justify-content:space-between;font-size:.78rem;color:var(--soft);margin-bottom:.4rem}\
.warn{color:#b35900}@media(prefers-color-scheme:dark){.warn{color:#e3a84f}}";

/// Returns text safe inside HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// Bytes that the cards of the columns, the notes and the correlations may take on the page: it stays one that opens
/// at once and can be sent by mail.
const CARDS: usize = 800_000;
const NOTES: usize = 60_000;
const CORRELATIONS: usize = 60_000;
/// Files that are named.
const FILES: usize = 20;
/// Bytes of a column's or file's name that are shown.
const NAME: usize = 500;

/// Returns a name that is not longer than a person reads.
fn short(name: &str) -> String {
    if name.len() <= NAME {
        return escaped(name);
    }
    let end = (0..=NAME).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    escaped(&name[..end]) + "…"
}

/// Puts parts on the page while they fit into `room` bytes; returns how many did.
fn fill(page: &mut String, room: usize, parts: impl Iterator<Item = String>) -> usize {
    let end = page.len() + room;
    let mut number = 0;
    for part in parts {
        if page.len() + part.len() > end {
            break;
        }
        page.push_str(&part);
        number += 1;
    }
    number
}

/// Returns what is said of parts of the page that are left out, or nothing.
fn left_out(shown: usize, all: usize, what: &str) -> String {
    if shown == all {
        return String::new();
    }
    format!(
        "<p class=\"warn\">The page shows the first {shown} of {all} {what}, to stay small; \
         <code>modelgate data profile --output profile.json</code> writes all of them.</p>"
    )
}

/// Returns the page, of at most a megabyte.
pub fn to_html(description: &Description) -> String {
    let mut files: Vec<String> = description.files.iter().take(FILES).map(|name| short(name)).collect();
    if description.files.len() > FILES {
        files.push(format!("and {} more", description.files.len() - FILES));
    }
    let files = files.join(", ");
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>Profile of {files}</title><style>{STYLE}</style></head><body>\
         <h1>{files}</h1><p>{} rows × {} columns</p>",
        description.rows,
        description.columns.len()
    );
    let notes = description.notes.iter().map(|note| format!("<p class=\"warn\">{}</p>", escaped(note)));
    let shown = fill(&mut page, NOTES, notes);
    page.push_str(&left_out(shown, description.notes.len(), "notes"));
    let mut cards = String::new();
    let all = description.columns.iter().map(|column| card(column, description.rows));
    let shown = fill(&mut cards, CARDS, all);
    page.push_str("<h2>Columns</h2>");
    page.push_str(&left_out(shown, description.columns.len(), "columns"));
    page.push_str(&format!("<div class=\"grid\">{cards}</div>"));
    if !description.correlations.is_empty() {
        page.push_str(
            "<h2>Strongest correlations</h2><section><table><tr><th>columns</th><th>Pearson’s r</th></tr>",
        );
        let rows = description.correlations.iter().take(20).map(|pair| {
            format!("<tr><td>{} · {}</td><td>{:+.3}</td></tr>", short(&pair.a), short(&pair.b), pair.r)
        });
        fill(&mut page, CORRELATIONS, rows);
        page.push_str("</table></section>");
    }
    page.push_str("</body></html>\n");
    page
}

fn card(column: &ColumnDescription, rows: u64) -> String {
    let share = if rows == 0 { 0.0 } else { column.nulls as f64 / rows as f64 * 100.0 };
    let nulls = match column.nulls {
        0 => "no nulls".to_owned(),
        nulls => format!("<span class=\"warn\">{nulls} nulls ({share:.1} %)</span>"),
    };
    let distinct = column
        .distinct
        .map_or_else(|| "more than 10,000 values".to_owned(), |distinct| format!("{distinct} values"));
    let mut card = format!(
        "<section><h3 dir=\"auto\">{} <small>{}</small></h3><p>{nulls} · {distinct}</p>",
        short(&column.name),
        column.column_type
    );
    if let Some(number) = &column.number {
        let show = |value: f64| escaped(&value_of(column.column_type, value));
        if !number.histogram.counts.is_empty() {
            card.push_str(&chart(&number.histogram, &column.name));
        }
        card.push_str(&format!(
            "<div class=\"ends\"><span>{}</span><span>{}</span></div>",
            show(number.min),
            show(number.max)
        ));
        card.push_str("<table>");
        let mut row = |name: &str, value: String| {
            card.push_str(&format!("<tr><td>{name}</td><td>{value}</td></tr>"));
        };
        if !column.column_type.is_time() {
            row("mean ± std (over n)", format!("{} ± {}", known(number.mean), known(number.std)));
            if let (Some(skewness), Some(kurtosis)) = (number.skewness, number.kurtosis) {
                row("skewness · excess kurtosis", format!("{skewness:.2} · {kurtosis:.2}"));
            }
            row("zeros", number.zeros.to_string());
        }
        for quantile in &number.quantiles {
            row(&format!("{} %", quantile.percent), show(quantile.value));
        }
        if number.quantile_rank_error > 0.0 {
            row("rank error of quantiles", format!("≤ {:.3} %", number.quantile_rank_error * 100.0));
        }
        card.push_str("</table>");
    }
    if !column.frequent.is_empty() {
        card.push_str("<table class=\"top\"><tr><th>most frequent</th><th>rows</th></tr>");
        for value in &column.frequent {
            card.push_str(&format!(
                "<tr><td dir=\"auto\">{}</td><td>{}</td></tr>",
                escaped(&value.value),
                value.count
            ));
        }
        card.push_str("</table>");
    }
    card.push_str("</section>");
    card
}

fn chart(histogram: &Histogram, name: &str) -> String {
    let highest = histogram.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = 100.0 / histogram.counts.len().max(1) as f64;
    let bars = histogram.counts.iter().enumerate().map(|(bin, count)| {
        // A bin with one row among thousands is still seen.
        let height = if *count == 0 { 0.0 } else { (*count as f64 / highest * 60.0).max(1.0) };
        format!(
            "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{height:.2}\"><title>{count} rows</title></rect>",
            bin as f64 * width + 0.3,
            64.0 - height,
            width - 0.6
        )
    });
    format!(
        "<svg viewBox=\"0 0 100 64\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"histogram of {}\">{}</svg>",
        short(name),
        bars.collect::<String>()
    )
}
