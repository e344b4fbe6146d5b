//! `report.html`: one file of at most a megabyte, nothing fetched, plots inside, readable on paper.

use std::fmt::Write as _;

use modelgate_core::verdict::{Outcome, figure};

use super::RunEvidence;
use super::contract::places;
use super::escape::{html as text, html_of_sentence, short};
use super::figures::{FigureLine, tables};
use super::markdown::probability;
use super::rules::{RuleLine, heads, interval_head, limit, lines, note};
use super::style::{follow_page, style};
use crate::evaluation::SubsetEvaluation;

/// Plots are left out beyond this size.
const MOST: usize = 950_000;
/// Rows of a table are left out beyond this size, and those of the table of classes; together they leave room for the rest.
const MOST_OF_A_TABLE: usize = 80_000;
const MOST_OF_CLASSES: usize = 300_000;
/// A name from data is cut after so many letters, a sentence after so many.
const NAME: usize = 120;
const SENTENCE: usize = 2000;

fn name(from_data: &str) -> String {
    text(&short(from_data, NAME))
}

fn sentence(said: &str) -> String {
    html_of_sentence(&short(said, SENTENCE))
}

fn number(value: Option<f64>) -> String {
    cell(value.map(figure))
}

fn cell(shown: Option<String>) -> String {
    format!("<td class=n>{}</td>", shown.unwrap_or_else(|| "–".to_owned()))
}

fn range(ends: Option<(f64, f64)>) -> String {
    let shown =
        ends.map_or_else(|| "–".to_owned(), |(low, high)| format!("{} to {}", figure(low), figure(high)));
    format!("<td class=n>{shown}</td>")
}

fn signed(difference: Option<f64>) -> String {
    let shown = difference.map_or_else(|| "–".to_owned(), |difference| format!("{difference:+.4}"));
    format!("<td class=n>{shown}</td>")
}

fn difference(value: Option<f64>, reference: Option<f64>) -> String {
    signed(value.zip(reference).map(|(value, reference)| value - reference))
}

/// Returns a table of as many rows as fit, and says how many do not.
fn table(head: &[&str], rows: impl IntoIterator<Item = String>) -> String {
    table_of(MOST_OF_A_TABLE, head, rows)
}

fn table_of(most: usize, head: &[&str], rows: impl IntoIterator<Item = String>) -> String {
    let head: String = head.iter().map(|title| format!("<th>{}</th>", name(title))).collect();
    let (mut body, mut left_out) = (String::new(), 0_usize);
    for row in rows {
        if left_out > 0 || body.len() + row.len() > most {
            left_out += 1;
        } else {
            body.push_str(&row);
        }
    }
    let note = match left_out {
        0 => String::new(),
        more => format!("<p>{more} more rows are in the JSON files beside this report.</p>"),
    };
    format!("<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}")
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
        sentence(&verdict.sentence)
    );
    if let Some(why) = evidence.quarantine() {
        let _ = write!(page, "<p><b>Quarantined</b>: {}.</p>", sentence(&why));
    }
    if let Some(error) = evidence.unfinished() {
        let _ = write!(page, "<p><b>Not completed behind the gate</b>: {}.</p>", sentence(error));
    }
    page.push_str(&warnings(evidence));
    page.push_str(&rules(evidence));
    page.push_str(&contract(evidence));
    if let Some(why) = &evidence.comparison.unavailable {
        let _ = write!(page, "<p>Production could not be scored: {}.</p>", sentence(why));
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

/// Says what a person should know before the verdict is believed.
fn warnings(evidence: &RunEvidence) -> String {
    let warnings = evidence.warnings();
    let mut items = String::new();
    for (at, found) in warnings.iter().enumerate() {
        let item = format!("<li>{}: {}</li>", found.stage, sentence(&found.warning));
        if items.len() + item.len() > MOST_OF_A_TABLE / 2 {
            let _ = write!(items, "<li>and {} more</li>", warnings.len() - at);
            break;
        }
        items.push_str(&item);
    }
    if items.is_empty() { items } else { format!("<p><b>Warnings</b></p><ul>{items}</ul>") }
}

/// Returns the broken rules of the data contract, when the run went on all the same.
fn contract(evidence: &RunEvidence) -> String {
    let Some(report) = evidence.contract.as_ref().filter(|report| !report.violations.is_empty()) else {
        return String::new();
    };
    let rows = report.violations.iter().map(|found| {
        let places: Vec<String> = places(report, found).iter().map(|place| name(place)).collect();
        let (severity, id) = (found.severity.as_str(), name(&found.id));
        let (message, places) = (sentence(&found.message), places.join("<br>"));
        format!("<tr><td>{severity}</td><td>{id}</td><td>{message}</td><td>{places}</td></tr>")
    });
    let table = table(&["severity", "rule", "what is wrong", "first rows"], rows);
    format!("<h2>Data contract</h2><p>{}.</p>{table}", sentence(&report.summary()))
}

/// The rules: few columns, so that a page of paper has room for them; what else is known of a rule stands below it.
fn rules(evidence: &RunEvidence) -> String {
    let heads = heads(evidence);
    let interval = interval_head(evidence);
    let row = |line: RuleLine<'_>| {
        let rule = line.rule;
        let class = match rule.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            _ => "",
        };
        let power =
            rule.power.as_deref().map_or_else(String::new, |power| format!("<br>{}.", sentence(power)));
        let details = details(&line, &heads, &interval);
        let details =
            if details.is_empty() { details } else { format!("<br><small>{}</small>", sentence(&details)) };
        let compared = line.compared.map_or_else(
            || "–".to_owned(),
            |(reference, value)| {
                value.map_or_else(
                    || name(reference),
                    |value| format!("{}: {}", name(reference), figure(value)),
                )
            },
        );
        format!(
            "<tr><td class=\"o {class}\">{}</td><td class=s><b>{}</b><br>{}{power}{details}</td>{}{}<td class=c>{compared}</td></tr>",
            rule.outcome,
            name(&rule.id),
            sentence(&rule.sentence),
            number(rule.value),
            cell(limit(rule)),
        )
    };
    let head = ["outcome", "rule", "value", "limit", "compared with"];
    let note = note(evidence).map_or_else(String::new, |note| format!("<p>{note}</p>"));
    format!("<h2>Rules</h2>{}{note}", table(&head, lines(evidence).into_iter().map(row)))
}

/// Returns the figures of a rule that have no column of their own.
fn details(line: &RuleLine<'_>, heads: &[String; 2], head: &str) -> String {
    let rule = line.rule;
    let ends = |(low, high): (f64, f64)| format!("{} to {}", figure(low), figure(high));
    let by = |difference: f64| format!("{difference:+.4}");
    let mut said: Vec<String> = Vec::new();
    said.extend(rule.interval.map(|interval| format!("{head} {}", ends(interval))));
    said.extend(line.difference.map(|difference| {
        let interval = rule.difference_interval.map(|interval| format!(" ({})", ends(interval)));
        format!("difference {}{}", by(difference), interval.unwrap_or_default())
    }));
    let [production, baseline] = heads;
    let compared = line.compared.map(|(name, _)| format!("to {name}"));
    for (head, difference) in [(production, line.to_production), (baseline, line.to_baseline)] {
        // What the rule itself compares with has its difference already.
        let difference = difference.filter(|_| compared.as_ref() != Some(head));
        said.extend(difference.map(|difference| format!("{head} {}", by(difference))));
    }
    said.extend(rule.samples.map(|rows| format!("{rows} rows")));
    said.join(" · ")
}

fn worst(evidence: &RunEvidence) -> String {
    let Some(search) = evidence.figures().and_then(|found| found.search.as_ref()) else {
        return String::new();
    };
    if search.worst.is_empty() {
        return String::new();
    }
    let row = |slice: &modelgate_evaluate::WorstSlice| {
        format!(
            "<tr><td>{}</td><td class=n>{}</td>{}{}<td class=n>{}</td></tr>",
            name(&slice.name()),
            slice.rows,
            number(Some(slice.loss)),
            number(Some(slice.elsewhere)),
            text(&probability(slice.p_value))
        )
    };
    let head = ["slice", "rows", search.loss.as_str(), "elsewhere", "p, corrected"];
    let rows = search.worst.iter().map(row);
    format!("<h2>Worst slices on {}, of {} parts</h2>{}", evidence.on, search.tested, table(&head, rows))
}

fn changes(evidence: &RunEvidence) -> String {
    let since = name(evidence.comparison.production.as_deref().unwrap_or("production"));
    let mut page = String::new();
    for (title, lines) in [
        ("Data", &evidence.comparison.data_changes),
        ("Configuration", &evidence.comparison.configuration_changes),
    ] {
        let Some(lines) = lines else { continue };
        let mut items = String::new();
        for line in lines {
            let item = format!("<li>{}</li>", html_of_sentence(&short(line, 4 * NAME)));
            if items.len() + item.len() > MOST_OF_A_TABLE / 2 {
                items.push_str("<li>and more</li>");
                break;
            }
            items.push_str(&item);
        }
        if items.is_empty() {
            items.push_str("<li>Nothing changed.</li>");
        }
        let _ = write!(page, "<h2>{title} since {since}</h2><ul>{items}</ul>");
    }
    page
}

/// Figures, slices, classes and importance.
fn tail(evidence: &RunEvidence) -> String {
    let mut page = figures(evidence);
    if let Some(found) = evidence.figures() {
        page.push_str(&parts_and_classes(found));
    }
    page.push_str(&looked_at(evidence));
    if let Some(latency) = &evidence.latency {
        let _ = write!(page, "<h2>Latency</h2><p>{}</p>", text(&latency.sentence()));
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

/// The figures of each subset beside production's and the baseline's.
fn figures(evidence: &RunEvidence) -> String {
    let mut page = String::new();
    for found in tables(evidence, "production") {
        let row = |row: &FigureLine<'_>| {
            let fewer = if found.is_fewer { number(row.candidate) } else { String::new() };
            format!(
                "<tr><td>{}</td>{}{}{fewer}{}{}{}{}</tr>",
                name(row.metric),
                number(row.value),
                range(row.interval),
                number(row.production),
                signed(row.difference()),
                number(row.baseline),
                difference(row.value, row.baseline)
            )
        };
        let mut head = vec!["metric"];
        head.extend(found.heads.iter().map(String::as_str));
        head.extend(["difference", found.baseline, "difference"]);
        let rows = table(&head, found.lines.iter().map(row));
        // Two columns more than the page is wide, unless their heads take two lines.
        let class = if found.is_fewer { " class=many" } else { "" };
        let _ =
            write!(page, "<h2>Figures on {}, {} rows</h2><div{class}>{rows}</div>", found.subset, found.rows);
        let undefined = found.undefined.iter();
        page.push_str(&list(
            undefined.map(|(metric, why)| format!("{} is undefined: {}", name(metric), sentence(why))),
        ));
    }
    page.push_str(&list(evidence.comparison.left_out.iter().map(|why| sentence(why))));
    page
}

/// Returns items as a list, of none nothing.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: String = items.map(|item| format!("<li>{item}</li>")).collect();
    if items.is_empty() { items } else { format!("<ul>{items}</ul>") }
}

fn parts_and_classes(found: &SubsetEvaluation) -> String {
    let mut page = String::new();
    let metric = if found.per_class.is_empty() { "mae" } else { "accuracy" };
    if !found.slices.is_empty() {
        let row = |slice: &crate::evaluation::SliceEvaluation| {
            let interval = slice.intervals.get(metric).map(|found| (found.low, found.high));
            format!(
                "<tr><td>{}</td><td class=n>{}</td>{}{}</tr>",
                name(&slice.name),
                slice.rows,
                number(slice.metrics.get(metric).copied().flatten()),
                range(interval)
            )
        };
        let rows = table(&["slice", "rows", metric, "interval"], found.slices.iter().map(row));
        let _ = write!(page, "<h2>Slices</h2>{rows}");
    }
    if !found.per_class.is_empty() {
        let row = |class: &modelgate_evaluate::ClassMetrics| {
            format!(
                "<tr><td>{}</td>{}{}{}{}{}<td class=n>{}</td></tr>",
                name(&class.name),
                number(Some(class.precision)),
                number(Some(class.recall)),
                number(Some(class.f1)),
                number(class.roc_auc),
                number(class.pr_auc),
                class.support
            )
        };
        let head = ["class", "precision", "recall", "F1", "ROC AUC", "PR AUC", "rows"];
        let _ = write!(
            page,
            "<h2>Classes</h2>{}",
            table_of(MOST_OF_CLASSES, &head, found.per_class.iter().map(row))
        );
    }
    page
}

/// Importance and contributions, each where it was measured.
fn looked_at(evidence: &RunEvidence) -> String {
    let mut page = String::new();
    let Some(analysis) = &evidence.analysis else { return page };
    if !analysis.importance.is_empty() {
        let row = |found: &modelgate_evaluate::Importance| {
            let (mean, std) = (number(Some(found.mean)), number(Some(found.std)));
            format!("<tr><td>{}</td>{mean}{std}</tr>", name(&found.feature))
        };
        let head = ["column", "rise of the loss when shuffled", "standard deviation"];
        let rows = table(&head, analysis.importance.iter().take(100).map(row));
        let _ = write!(page, "<h2>Importance ({})</h2>{rows}", text(&analysis.loss));
    }
    if !analysis.contributions.is_empty() {
        let row = |found: &crate::contributions::Contribution| {
            format!("<tr><td>{}</td>{}</tr>", name(&found.feature), number(Some(found.mean_absolute)))
        };
        let rows = table(
            &["preprocessed feature", "mean absolute contribution"],
            analysis.contributions.iter().take(100).map(row),
        );
        let _ = write!(page, "<h2>Contributions, in {}</h2>{rows}", text(analysis.contribution_unit()));
    }
    page
}
