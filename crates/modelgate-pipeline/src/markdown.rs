//! `report.md` and `MODEL_CARD.md`: a run in words.

use std::fmt::Write as _;

use modelgate_core::verdict::{GateVerdict, figure};
use modelgate_model::manifest::Manifest;

use crate::evaluation::Evaluation;
use crate::options::StageReport;
use crate::outputs::{cell, rules_table};
use crate::stages::judge::Comparison;
use modelgate_data::contract::ContractReport;

/// Everything a report tells of.
pub(crate) struct ReportInput<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) title: String,
    pub(crate) verdict: &'a GateVerdict,
    pub(crate) comparison: &'a Comparison,
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) stages: &'a [StageReport],
    pub(crate) plot: Option<&'a str>,
}

/// Returns `report.md`: the verdict first, then rule by rule, then the figures.
pub(crate) fn report(input: &ReportInput<'_>) -> String {
    let mut text = format!("# {}\n\n", input.title);
    let _ = writeln!(text, "**Verdict: {}** – {}.\n", input.verdict.verdict, input.verdict.sentence);
    text.push_str(&rules_table(input.verdict));
    text.push_str(&figures_table(input.comparison));
    if let Some(why) = &input.comparison.unavailable {
        let _ = writeln!(text, "\nProduction could not be scored: {why}.");
    }
    if let Some(plot) = input.plot {
        let _ = writeln!(text, "\n![{}]({plot})", plot.trim_end_matches(".svg").replace('_', " "));
    }
    text.push_str(&classes_table(input.evaluation));
    text.push_str("\n## Stages\n\n| stage | status | what | seconds |\n|---|---|---|---|\n");
    for stage in input.stages {
        let status = format!("{:?}", stage.status).to_lowercase();
        let _ = writeln!(
            text,
            "| {} | {status} | {} | {:.3} |",
            stage.stage,
            cell(&stage.summary),
            stage.seconds
        );
    }
    let warnings: Vec<&String> = input.stages.iter().flat_map(|stage| &stage.warnings).collect();
    if !warnings.is_empty() {
        text.push_str("\n## Warnings\n\n");
        for warning in warnings {
            let _ = writeln!(text, "- {warning}");
        }
    }
    let _ = writeln!(text, "\nPipeline `{}`, package `{}`.", input.pipeline, input.evaluation.digest);
    text
}

fn figures_table(comparison: &Comparison) -> String {
    let mut text = String::new();
    let name = comparison.production.as_deref();
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figure);
    for (subset, rows) in &comparison.subsets {
        let _ = writeln!(text, "\n## Figures on {subset}\n");
        let _ = writeln!(
            text,
            "| metric | candidate | {} | difference |\n|---|---|---|---|",
            name.unwrap_or("production (none yet)")
        );
        for row in rows {
            let difference = match (row.candidate, row.production) {
                (Some(candidate), Some(production)) => format!("{:+.4}", candidate - production),
                _ => "–".to_owned(),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {difference} |",
                row.metric,
                shown(row.candidate),
                shown(row.production)
            );
        }
    }
    text
}

fn classes_table(evaluation: &Evaluation) -> String {
    let mut text = String::new();
    for (subset, found) in &evaluation.subsets {
        if found.per_class.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "\n## Classes on {subset}\n\n| class | precision | recall | F1 | rows |\n|---|---|---|---|---|"
        );
        for class in &found.per_class {
            let (precision, recall, f1) = (figure(class.precision), figure(class.recall), figure(class.f1));
            let _ = writeln!(
                text,
                "| {} | {precision} | {recall} | {f1} | {} |",
                cell(&class.name),
                class.support
            );
        }
    }
    text
}

/// Returns `MODEL_CARD.md` of a package; it names the digest and no run, so that it can be compared.
pub(crate) fn model_card(manifest: &Manifest, evaluation: &Evaluation, verdict: &GateVerdict) -> String {
    let mut text = format!("# {}\n\n", manifest.name);
    let lineage = &manifest.lineage;
    let _ = writeln!(
        text,
        "A {} model ({}) that predicts `{}` from {} columns, made by modelgate {}.\n",
        manifest.task,
        lineage.algorithm,
        manifest.schema.target,
        manifest.schema.features.len(),
        lineage.tool_version
    );
    let _ = writeln!(text, "Verdict of its gate: **{}** – {}.\n", verdict.verdict, verdict.sentence);
    let _ = writeln!(text, "## Lineage\n\n| what | value |\n|---|---|");
    for (what, value) in [
        ("package", evaluation.digest.to_string()),
        ("dataset", lineage.dataset.to_string()),
        ("split", lineage.split.to_string()),
        ("configuration", lineage.config.to_string()),
        ("trainer", lineage.code.clone()),
        ("seed", lineage.seed.to_string()),
    ] {
        let _ = writeln!(text, "| {what} | `{value}` |");
    }
    for (subset, found) in &evaluation.subsets {
        let _ =
            writeln!(text, "\n## Figures on {subset} ({} rows)\n\n| metric | value |\n|---|---|", found.rows);
        for (metric, value) in &found.metrics {
            let _ = writeln!(text, "| {metric} | {} |", value.map_or_else(|| "–".to_owned(), figure));
        }
    }
    let _ =
        writeln!(text, "\n## Inputs\n\n| column | type | null | range or categories |\n|---|---|---|---|");
    for feature in &manifest.schema.features {
        let values = match feature.range {
            Some((low, high)) => format!("{} to {}", figure(low), figure(high)),
            None => feature.categories.join(", "),
        };
        let nullable = if feature.nullable { "yes" } else { "no" };
        let _ = writeln!(
            text,
            "| {} | {} | {nullable} | {} |",
            cell(&feature.name),
            feature.feature_type,
            cell(&values)
        );
    }
    if let Some(classes) = &manifest.schema.classes {
        let _ = writeln!(text, "\nClasses: {}.", classes.names().join(", "));
    }
    text.push_str(
        "\n## Limits\n\nThe figures hold for rows like those of the data set above. There is no drift data and no\nfairness analysis in this card.\n",
    );
    text
}

/// Returns the report of a run that its data contract stopped.
pub(crate) fn contract_report(pipeline: &str, report: &ContractReport) -> String {
    let mut text = format!(
        "# {}: blocked by the data contract\n\n{}. Nothing was trained.\n\n",
        cell(pipeline),
        cell(&report.summary())
    );
    text.push_str("| severity | rule | what is wrong | first rows |\n|---|---|---|---|\n");
    for violation in &report.violations {
        let rows = violation.rows.iter().take(3).map(|row| {
            let place = row.line.map_or_else(|| format!("row {}", row.row), |line| format!("line {line}"));
            let values = row.values.iter().map(|(column, value)| format!("{column} = {value}"));
            format!("{place}: {}", values.collect::<Vec<_>>().join(", "))
        });
        let rows: Vec<String> = rows.map(|row| cell(&row)).collect();
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            violation.severity.as_str(),
            cell(&violation.id),
            cell(&violation.message),
            rows.join("<br>")
        ));
    }
    text
}
