//! `report.html`: one file of at most a megabyte, nothing fetched, plots inside, readable on paper.

use std::fmt::Write as _;

use modelgate_core::verdict::{Outcome, figure};

use super::RunEvidence;
use super::escape::html as text;
use super::markdown::probability;
use super::style::{follow_page, style};

/// Plots are left out beyond this size.
const MOST: usize = 950_000;

fn number(value: Option<f64>) -> String {
    format!("<td class=n>{}</td>", value.map_or_else(|| "–".to_owned(), figure))
}

fn range(ends: Option<(f64, f64)>) -> String {
    let shown =
        ends.map_or_else(|| "–".to_owned(), |(low, high)| format!("{} to {}", figure(low), figure(high)));
    format!("<td class=n>{shown}</td>")
}

fn difference(value: Option<f64>, reference: Option<f64>) -> String {
    let shown = match (value, reference) {
        (Some(value), Some(reference)) => format!("{:+.4}", value - reference),
        _ => "–".to_owned(),
    };
    format!("<td class=n>{shown}</td>")
}

fn table(head: &[&str], rows: &str) -> String {
    let head: String = head.iter().map(|name| format!("<th>{}</th>", text(name))).collect();
    format!("<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
}

/// Returns the page.
pub fn html(evidence: &RunEvidence) -> String {
    let title = text(&evidence.title());
    let verdict = &evidence.verdict;
    let word = verdict.verdict.to_string();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{}</style></head><body><h1>{title}</h1><p class=\"verdict {word}\"><b>{word}</b> – {}.</p>",
        style(),
        text(&verdict.sentence)
    );
    page.push_str(&rules(evidence));
    if let Some(why) = &evidence.comparison.unavailable {
        let _ = write!(page, "<p>Production could not be scored: {}.</p>", text(why));
    }
    page.push_str(&worst(evidence));
    page.push_str(&changes(evidence));
    let tail = tail(evidence);
    let mut plots = String::new();
    let mut left_out = 0;
    for (name, svg) in &evidence.plots {
        let drawn = follow_page(svg);
        if page.len() + plots.len() + tail.len() + drawn.len() > MOST {
            left_out += 1;
            continue;
        }
        let _ = write!(plots, "<figure aria-label=\"{}\">{drawn}</figure>", text(&name.replace('_', " ")));
    }
    if !plots.is_empty() {
        let _ = write!(page, "<h2>Plots</h2><div class=plots>{plots}</div>");
    }
    if left_out > 0 {
        let _ = write!(
            page,
            "<p>{left_out} plots are too large for this file; they lie in <code>plots/</code>.</p>"
        );
    }
    page.push_str(&tail);
    page.push_str("</body></html>\n");
    page
}

fn rules(evidence: &RunEvidence) -> String {
    let mut rows = String::new();
    for rule in &evidence.verdict.rules {
        let class = match rule.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            _ => "",
        };
        let _ = write!(
            rows,
            "<tr><td class=\"{class}\">{}</td><td><b>{}</b><br>{}</td>{}{}{}{}{}<td class=n>{}</td></tr>",
            rule.outcome,
            text(&rule.id),
            text(&rule.sentence),
            number(rule.value),
            range(rule.interval),
            number(rule.limit),
            number(rule.reference),
            difference(rule.value, rule.reference),
            rule.samples.map_or_else(|| "–".to_owned(), |rows| rows.to_string())
        );
    }
    let reference = evidence.comparison.production.as_deref().unwrap_or("reference");
    let head = ["outcome", "rule", "value", "interval", "limit", reference, "difference", "rows"];
    format!("<h2>Rules</h2>{}", table(&head, &rows))
}

fn worst(evidence: &RunEvidence) -> String {
    let Some(search) = evidence.figures().and_then(|found| found.search.as_ref()) else {
        return String::new();
    };
    if search.worst.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for slice in &search.worst {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td class=n>{}</td>{}{}<td class=n>{}</td></tr>",
            text(&slice.name()),
            slice.rows,
            number(Some(slice.loss)),
            number(Some(slice.elsewhere)),
            text(&probability(slice.p_value))
        );
    }
    let head = ["slice", "rows", search.loss.as_str(), "elsewhere", "p, corrected"];
    format!("<h2>Worst slices on {}, of {} parts</h2>{}", evidence.on, search.tested, table(&head, &rows))
}

fn changes(evidence: &RunEvidence) -> String {
    let since = text(evidence.comparison.production.as_deref().unwrap_or("production"));
    let mut page = String::new();
    for (title, lines) in [
        ("Data", &evidence.comparison.data_changes),
        ("Configuration", &evidence.comparison.configuration_changes),
    ] {
        let Some(lines) = lines else { continue };
        let items: String = lines.iter().take(100).map(|line| format!("<li>{}</li>", text(line))).collect();
        let items = if items.is_empty() { "<li>Nothing changed.</li>".to_owned() } else { items };
        let _ = write!(page, "<h2>{title} since {since}</h2><ul>{items}</ul>");
    }
    page
}

/// Figures, slices, classes and importance.
fn tail(evidence: &RunEvidence) -> String {
    let mut page = String::new();
    let reference = evidence.comparison.production.as_deref().unwrap_or("production");
    for (subset, metrics) in &evidence.comparison.subsets {
        let found = evidence.evaluation.subsets.get(subset);
        let mut rows = String::new();
        for row in metrics {
            let interval = found.and_then(|found| found.intervals.get(&row.metric));
            let _ = write!(
                rows,
                "<tr><td>{}</td>{}{}{}{}</tr>",
                text(&row.metric),
                number(row.candidate),
                range(interval.map(|found| (found.low, found.high))),
                number(row.production),
                difference(row.candidate, row.production)
            );
        }
        let count = found.map_or(0, |found| found.rows);
        let head = ["metric", "candidate", "interval", reference, "difference"];
        let _ = write!(page, "<h2>Figures on {subset}, {count} rows</h2>{}", table(&head, &rows));
    }
    if let Some(found) = evidence.figures() {
        let metric = if found.per_class.is_empty() { "mae" } else { "accuracy" };
        let rows: String = found
            .slices
            .iter()
            .take(200)
            .map(|slice| {
                let interval = slice.intervals.get(metric).map(|found| (found.low, found.high));
                format!(
                    "<tr><td>{}</td><td class=n>{}</td>{}{}</tr>",
                    text(&slice.name),
                    slice.rows,
                    number(slice.metrics.get(metric).copied().flatten()),
                    range(interval)
                )
            })
            .collect();
        if !rows.is_empty() {
            let _ = write!(page, "<h2>Slices</h2>{}", table(&["slice", "rows", metric, "interval"], &rows));
        }
        let rows: String = found
            .per_class
            .iter()
            .take(1000)
            .map(|class| {
                format!(
                    "<tr><td>{}</td>{}{}{}{}<td class=n>{}</td></tr>",
                    text(&class.name),
                    number(Some(class.precision)),
                    number(Some(class.recall)),
                    number(Some(class.f1)),
                    number(class.roc_auc),
                    class.support
                )
            })
            .collect();
        if !rows.is_empty() {
            let head = ["class", "precision", "recall", "F1", "ROC AUC", "rows"];
            let _ = write!(page, "<h2>Classes</h2>{}", table(&head, &rows));
        }
    }
    if let Some(analysis) = evidence.analysis.as_ref().filter(|analysis| !analysis.importance.is_empty()) {
        let row = |found: &modelgate_evaluate::Importance| {
            format!(
                "<tr><td>{}</td>{}{}</tr>",
                text(&found.feature),
                number(Some(found.mean)),
                number(Some(found.std))
            )
        };
        let rows: String = analysis.importance.iter().take(100).map(row).collect();
        let head = ["column", "rise of the loss when shuffled", "standard deviation"];
        let _ = write!(page, "<h2>Importance ({})</h2>{}", text(&analysis.loss), table(&head, &rows));
    }
    if let Some(latency) = &evidence.latency {
        let _ = write!(
            page,
            "<h2>Latency</h2><p>One prediction took {:.3} ms in half of {} cases and at most {:.3} ms in 99 of 100; {:.0} rows a second in one call of {}. Measured here, once.</p>",
            latency.p50_ms,
            latency.predictions,
            latency.p99_ms,
            latency.batch_rows_per_second,
            latency.batch_rows
        );
    }
    let _ = write!(
        page,
        "<p>Pipeline <code>{}</code>, run <code>{}</code>, package <code>{}</code>, modelgate {}.</p>",
        text(&evidence.run.pipeline),
        text(&evidence.run.run_id.to_string()),
        text(&evidence.evaluation.digest.to_string()),
        text(&evidence.run.tool_version)
    );
    page
}
