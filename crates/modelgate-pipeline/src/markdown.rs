//! `report.md` and `MODEL_CARD.md`: a run in words.

use std::fmt::Write as _;

use modelgate_core::verdict::{GateVerdict, figure};
use modelgate_model::manifest::Manifest;
use serde_json::Value;

use crate::evaluation::Evaluation;
use crate::options::StageReport;
use crate::outputs::{TrainingReport, cell, rules_table};
use crate::stages::judge::Comparison;
use crate::stages::trials::{Trial, Trials, compare};
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
    pub(crate) training: Option<TrainingReport>,
    pub(crate) trials: Option<Trials>,
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
    if let Some(training) = &input.training {
        text.push_str(&training_tables(training));
    }
    if let Some(trials) = &input.trials {
        text.push_str(&trials_table(trials));
    }
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

/// Features in a report at most; all of them are in `training.json`.
const FEATURES_SHOWN: usize = 10;

fn training_tables(training: &TrainingReport) -> String {
    let mut text = format!("\n## Training\n\n| {} | value |\n|---|---|\n", cell(&training.algorithm));
    let plain = |value: &Value| !value.is_object() && !value.is_array();
    for (name, value) in
        training.params.iter().chain(training.details.iter().filter(|(_, value)| plain(value)))
    {
        let value = match value.as_f64() {
            Some(number) if !value.is_u64() => figure(number),
            _ => value.to_string(),
        };
        let _ = writeln!(text, "| {} | {} |", cell(name), cell(&value));
    }
    let Some(Value::Object(importances)) = training.details.get("feature_importances") else { return text };
    let mut shares: Vec<(&String, f64)> =
        importances.iter().filter_map(|(name, share)| Some((name, share.as_f64()?))).collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(other.0)));
    text.push_str("\n| feature | importance |\n|---|---|\n");
    for (name, share) in shares.iter().take(FEATURES_SHOWN) {
        let _ = writeln!(text, "| {} | {} |", cell(name), figure(*share));
    }
    text
}

/// Trials in a report at most; all of them are in `trials.json`.
const TRIALS_SHOWN: usize = 20;

fn trials_table(trials: &Trials) -> String {
    let metric = &trials.metric;
    let on = trials.cv.map_or_else(|| "the validation rows".to_owned(), |folds| format!("{folds} folds"));
    let mut text = format!(
        "\n## Search\n\n{} trials of {}, {metric} on {on}. Trial {} is the best and made the model.\n\n\
         | trial | {metric} | ± | rows | parameters |\n|---|---|---|---|---|\n",
        trials.trials.len(),
        trials.algorithm,
        trials.best
    );
    let mut shown: Vec<&Trial> = trials.trials.iter().collect();
    shown.sort_by(|one, other| {
        let order = compare(one.score, other.score, trials.higher_is_better);
        // Of a halving, those that came further are measured on more rows.
        other.round.cmp(&one.round).then(order).then(one.number.cmp(&other.number))
    });
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figure);
    for trial in shown.iter().take(TRIALS_SHOWN) {
        let params: Vec<String> =
            trial.params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let params = trial
            .error
            .clone()
            .map_or_else(|| params.join(", "), |error| format!("{}: {error}", params.join(", ")));
        let (score, deviation) = (value(trial.score), value(trial.deviation));
        let _ = writeln!(
            text,
            "| {} | {score} | {deviation} | {} | {} |",
            trial.number,
            trial.rows,
            cell(&params)
        );
    }
    if shown.len() > TRIALS_SHOWN {
        let _ = writeln!(text, "\n{} more are in `trials.json`.", shown.len() - TRIALS_SHOWN);
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
