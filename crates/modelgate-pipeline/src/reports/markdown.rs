//! `report.md`: the verdict first, then rule by rule, the worst slices, what changed; fits a comment on GitHub.

use std::fmt::Write as _;

use modelgate_core::verdict::{Outcome, RuleResult, figure};

use super::RunEvidence;
use super::contract::violations;
use super::escape::{markdown as text, markdown_of_sentence, short};
use super::figures::tables;
use super::rules::{heads, interval_head, limit, lines, note};
use super::training::{training_tables, trials_table};
use crate::evaluation::SubsetEvaluation;

/// A comment on GitHub holds 65,536 characters.
const MOST: usize = 60_000;
/// Longer tables are cut.
const MOST_ROWS: usize = 20;

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure)
}

fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✅",
        Outcome::Failed => "❌",
        Outcome::Inconclusive => "❔",
        Outcome::NotApplicable => "➖",
    }
}

/// A name from data is cut after so many letters, a sentence after so many.
const NAME: usize = 100;
const SENTENCE: usize = 1500;

fn name(from_data: &str) -> String {
    text(&short(from_data, NAME))
}

fn sentence(said: &str) -> String {
    markdown_of_sentence(&short(said, SENTENCE))
}

/// Returns the report; with `plot`, a link to the main plot beside it. It fits a comment whatever the names in the data.
pub fn markdown(evidence: &RunEvidence, plot: bool) -> String {
    let verdict = &evidence.verdict;
    let mut page = format!("# {}\n\n", text(&evidence.title()));
    let _ =
        writeln!(page, "**Verdict: {}** – {}.\n", verdict.verdict, markdown_of_sentence(&verdict.sentence));
    if let Some(sentence) = evidence.quarantine() {
        let _ = writeln!(page, "**Quarantined**: {sentence}.\n");
    }
    if let Some(error) = evidence.unfinished() {
        let _ = writeln!(page, "**Not completed behind the gate**: {}.\n", sentence(error));
    }
    for outcome in [Outcome::Failed, Outcome::Inconclusive] {
        for rule in verdict.rules.iter().filter(|rule| rule.outcome == outcome) {
            let (sign, id, rows) = (sign(outcome), name(&rule.id), rows_of(rule));
            let _ = writeln!(page, "- {sign} **{id}**: {}{rows}", sentence(&rule.sentence));
        }
    }
    page.push_str(&warnings(evidence));
    page.push_str(&rules(evidence));
    page.push_str(&power(evidence));
    if let Some(report) = evidence.contract.as_ref().filter(|report| !report.violations.is_empty()) {
        let (summary, table) = (markdown_of_sentence(&report.summary()), violations(report, MOST_ROWS));
        let _ = write!(page, "\n## Data contract\n\n{summary}.\n\n{table}");
    }
    if let Some(why) = &evidence.comparison.unavailable {
        let _ = writeln!(page, "\nProduction could not be scored: {}.", sentence(why));
    }
    page.push_str(&worst(evidence));
    page.push_str(&changes(evidence));
    if let (true, Some((name, _))) = (plot, evidence.plots.first()) {
        let _ = writeln!(page, "\n![{}]({name}.svg)", name.replace('_', " "));
    }
    let last = format!(
        "\nPipeline `{}`, run `{}`, package `{}`.\n",
        evidence.run.pipeline, evidence.run.run_id, evidence.evaluation.digest
    );
    let note = "\nWhat does not fit a comment is left out here: see `report.html`.\n";
    let room = MOST - last.len() - note.len();
    let mut left_out = cut_at_a_line(&mut page, room);
    for section in folded_sections(evidence) {
        if page.len() + section.len() <= room {
            page.push_str(&section);
        } else {
            left_out = true;
        }
    }
    if left_out {
        page.push_str(note);
    }
    page.push_str(&last);
    page
}

/// Says what a person should know before the verdict is believed.
fn warnings(evidence: &RunEvidence) -> String {
    let warnings = evidence.warnings();
    if warnings.is_empty() {
        return String::new();
    }
    let mut list = String::from("\n**Warnings**\n\n");
    for found in warnings.iter().take(MOST_ROWS) {
        let _ = writeln!(list, "- ⚠️ {}: {}", found.stage, sentence(&found.warning));
    }
    if warnings.len() > MOST_ROWS {
        let _ = writeln!(list, "- and {} more", warnings.len() - MOST_ROWS);
    }
    list
}

/// Cuts a page that is too long behind the last line that fits; returns whether it was.
fn cut_at_a_line(page: &mut String, most: usize) -> bool {
    if page.len() <= most {
        return false;
    }
    let end = page.as_bytes()[..most].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    page.truncate(end);
    true
}

/// The details, each folded, the most useful first.
fn folded_sections(evidence: &RunEvidence) -> Vec<String> {
    let mut sections = vec![folded("Figures", &figures(evidence))];
    if let Some(found) = evidence.figures() {
        sections.push(folded("Slices", &slices(found)));
        sections.push(folded("Classes", &classes(found)));
    }
    sections.push(folded("Importance", &importance(evidence)));
    sections.push(folded("Contributions", &contributions(evidence)));
    if let Some(training) = &evidence.training {
        sections.push(folded("Training", &training_tables(training)));
    }
    if let Some(trials) = &evidence.trials {
        sections.push(folded("Search", &trials_table(trials)));
    }
    if let Some(latency) = &evidence.latency {
        sections.push(folded("Latency", &latency.sentence()));
    }
    sections.push(folded("Stages", &stages(evidence)));
    sections
}

fn rows_of(rule: &RuleResult) -> String {
    rule.samples.map_or_else(|| ".".to_owned(), |rows| format!(" (on {rows} rows)."))
}

fn folded(title: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("\n<details><summary>{title}</summary>\n\n{content}\n</details>\n")
}

/// Writes a figure with the ends of its interval.
fn with_ends(value: String, ends: Option<(f64, f64)>) -> String {
    match ends {
        Some((low, high)) => format!("{value} ({} to {})", figure(low), figure(high)),
        None => value,
    }
}

fn signed(difference: Option<f64>) -> String {
    difference.map_or_else(|| "–".to_owned(), |difference| format!("{difference:+.4}"))
}

fn rules(evidence: &RunEvidence) -> String {
    let [production, baseline] = heads(evidence).map(|head| text(&head));
    let interval = interval_head(evidence);
    let mut table = format!(
        "\n## Rules\n\n| | rule | value ({interval}) | limit | compared with | difference (interval) | {production} | {baseline} | rows |\n|---|---|---|---|---|---|---|---|---|\n"
    );
    for line in lines(evidence) {
        let rule = line.rule;
        let compared = line.compared.map_or_else(
            || "–".to_owned(),
            |(reference, value)| {
                value.map_or_else(
                    || text(reference),
                    |value| format!("{}: {}", text(reference), figure(value)),
                )
            },
        );
        let _ = writeln!(
            table,
            "| {} {} | {} | {} | {} | {compared} | {} | {} | {} | {} |",
            sign(rule.outcome),
            rule.outcome,
            name(&rule.id),
            with_ends(shown(rule.value), rule.interval),
            limit(rule).unwrap_or_else(|| "–".to_owned()),
            with_ends(signed(line.difference), rule.difference_interval),
            signed(line.to_production),
            signed(line.to_baseline),
            rule.samples.map_or_else(|| "–".to_owned(), |rows| rows.to_string()),
        );
    }
    if let Some(note) = note(evidence) {
        let _ = writeln!(table, "\n{note}");
    }
    table
}

/// Says what the rows can show, of each rule that compares with production.
fn power(evidence: &RunEvidence) -> String {
    let rules = evidence.verdict.rules.iter();
    let said: Vec<String> = rules
        .filter_map(|rule| Some(format!("- {}: {}.\n", name(&rule.id), rule.power.as_deref()?)))
        .collect();
    if said.is_empty() { String::new() } else { format!("\nWhat the rows can show:\n\n{}", said.concat()) }
}

fn worst(evidence: &RunEvidence) -> String {
    let Some(search) = evidence.figures().and_then(|found| found.search.as_ref()) else {
        return String::new();
    };
    let on = evidence.on;
    if search.worst.is_empty() {
        return match search.tested {
            0 => String::new(),
            tested => format!(
                "\nBy itself the candidate does no worse on any of {tested} parts of {on} than on its other rows, beyond chance.\n"
            ),
        };
    }
    let mut table = format!(
        "\n## Worst slices on {on}\n\nOf {} parts; p is corrected for their number.\n\n| slice | rows | {} | elsewhere | p |\n|---|---|---|---|---|\n",
        search.tested, search.loss
    );
    for slice in &search.worst {
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            name(&slice.name()),
            slice.rows,
            figure(slice.loss),
            figure(slice.elsewhere),
            probability(slice.p_value)
        );
    }
    table
}

pub(crate) fn probability(value: f64) -> String {
    if value < 1e-4 { "< 0.0001".to_owned() } else { format!("{value:.4}") }
}

fn changes(evidence: &RunEvidence) -> String {
    let mut page = String::new();
    let since = evidence.comparison.production.as_deref().unwrap_or("production");
    for (title, lines) in [
        ("Data", &evidence.comparison.data_changes),
        ("Configuration", &evidence.comparison.configuration_changes),
    ] {
        let Some(lines) = lines else { continue };
        let _ = writeln!(page, "\n## {title} since {}\n", text(since));
        if lines.is_empty() {
            page.push_str("Nothing changed.\n");
        }
        for line in lines.iter().take(MOST_ROWS) {
            let _ = writeln!(page, "- {}", sentence(line));
        }
        if lines.len() > MOST_ROWS {
            let _ = writeln!(page, "- and {} more", lines.len() - MOST_ROWS);
        }
    }
    page
}

fn figures(evidence: &RunEvidence) -> String {
    let mut page = String::new();
    for table in tables(evidence, "production (none yet)") {
        let heads: Vec<String> = table.heads.iter().map(|head| text(head)).collect();
        let (heads, baseline) = (heads.join(" | "), text(table.baseline));
        let line = "---|".repeat(table.heads.len() + 3);
        let _ = writeln!(
            page,
            "**{}**, {} rows\n\n| metric | {heads} | difference | {baseline} |\n|{line}",
            table.subset, table.rows
        );
        for row in &table.lines {
            let interval = row
                .interval
                .map_or_else(|| "–".to_owned(), |(low, high)| format!("{} to {}", figure(low), figure(high)));
            let fewer = if table.is_fewer { format!(" {} |", shown(row.candidate)) } else { String::new() };
            let _ = writeln!(
                page,
                "| {} | {} | {interval} |{fewer} {} | {} | {} |",
                text(row.metric),
                shown(row.value),
                shown(row.production),
                signed(row.difference()),
                shown(row.baseline)
            );
        }
        page.push('\n');
        for (metric, why) in &table.undefined {
            let _ = writeln!(page, "- {} is undefined: {}", text(metric), sentence(why));
        }
    }
    for why in &evidence.comparison.left_out {
        let _ = writeln!(page, "- {}", sentence(why));
    }
    page
}

fn slices(found: &SubsetEvaluation) -> String {
    if found.slices.is_empty() {
        return String::new();
    }
    let metric = if found.per_class.is_empty() { "mae" } else { "accuracy" };
    let mut table = format!("| slice | rows | {metric} | interval |\n|---|---|---|---|\n");
    for slice in found.slices.iter().take(MOST_ROWS * 2) {
        let interval = slice.intervals.get(metric);
        let interval = interval.map_or_else(
            || "–".to_owned(),
            |found| format!("{} to {}", figure(found.low), figure(found.high)),
        );
        let value = shown(slice.metrics.get(metric).copied().flatten());
        let _ = writeln!(table, "| {} | {} | {value} | {interval} |", name(&slice.name), slice.rows);
    }
    table
}

fn classes(found: &SubsetEvaluation) -> String {
    if found.per_class.is_empty() {
        return String::new();
    }
    let mut table = String::from(
        "| class | precision | recall | F1 | ROC AUC | PR AUC | rows |\n|---|---|---|---|---|---|---|\n",
    );
    let mut classes: Vec<_> = found.per_class.iter().collect();
    if classes.len() > MOST_ROWS {
        classes.sort_by(|one, other| one.f1.total_cmp(&other.f1));
    }
    for class in classes.iter().take(MOST_ROWS) {
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} |",
            name(&class.name),
            figure(class.precision),
            figure(class.recall),
            figure(class.f1),
            shown(class.roc_auc),
            shown(class.pr_auc),
            class.support
        );
    }
    if classes.len() > MOST_ROWS {
        let _ = writeln!(table, "\nThe {MOST_ROWS} with the lowest F1 of {}.", classes.len());
    }
    table
}

fn importance(evidence: &RunEvidence) -> String {
    let Some(analysis) = evidence.analysis.as_ref().filter(|analysis| !analysis.importance.is_empty()) else {
        return String::new();
    };
    let mut table = format!(
        "Rise of the {} on {} rows of {} when a column is shuffled, over {} repeats.\n\n| column | mean | std |\n|---|---|---|\n",
        analysis.loss, analysis.rows, analysis.on, analysis.repeats
    );
    for feature in analysis.importance.iter().take(MOST_ROWS) {
        let (mean, std) = (figure(feature.mean), figure(feature.std));
        let _ = writeln!(table, "| {} | {mean} | {std} |", name(&feature.feature));
    }
    table
}

fn contributions(evidence: &RunEvidence) -> String {
    let Some(analysis) = evidence.analysis.as_ref().filter(|analysis| !analysis.contributions.is_empty())
    else {
        return String::new();
    };
    let mut table = format!(
        "Mean absolute contribution of preprocessed features, in {}.\n\n| feature | contribution |\n|---|---|\n",
        analysis.contribution_unit()
    );
    for found in analysis.contributions.iter().take(MOST_ROWS) {
        let _ = writeln!(table, "| {} | {} |", name(&found.feature), figure(found.mean_absolute));
    }
    table
}

fn stages(evidence: &RunEvidence) -> String {
    let mut table = String::from("| stage | status | what | seconds |\n|---|---|---|---|\n");
    for stage in &evidence.run.stages {
        let status = format!("{:?}", stage.status).to_lowercase();
        let _ = writeln!(
            table,
            "| {} | {status} | {} | {:.3} |",
            stage.stage,
            sentence(&stage.summary),
            stage.seconds
        );
    }
    table
}
