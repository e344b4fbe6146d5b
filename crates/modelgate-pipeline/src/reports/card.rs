//! `MODEL_CARD.md`: the package in words, with the metadata that Hugging Face reads.

use std::fmt::Write as _;

use modelgate_core::schema::Task;
use modelgate_core::verdict::{GateVerdict, figure};
use modelgate_model::manifest::Manifest;
use serde_json::json;

use super::escape::{markdown as text, markdown_of_sentence, plain, short};
use crate::evaluation::Evaluation;
use crate::options::StageWarning;
use crate::stages::model::IMPORTED;

/// More warnings are only counted.
const MOST_WARNINGS: usize = 20;

/// Returns `MODEL_CARD.md` of a package; it names the digest and no run, so that it can be compared.
pub(crate) fn model_card(
    manifest: &Manifest,
    evaluation: &Evaluation,
    verdict: &GateVerdict,
    warnings: &[StageWarning],
) -> String {
    let mut page = front_matter(manifest, evaluation);
    let _ = writeln!(page, "# {}\n", text(manifest.name.as_str()));
    let lineage = &manifest.lineage;
    let imported = lineage.algorithm == IMPORTED;
    let origin = if imported { "made elsewhere, imported and packaged by" } else { "made by" };
    let _ = writeln!(
        page,
        "A {} model ({}) that predicts `{}` from {} columns, {origin} modelgate {}.\n",
        manifest.task,
        text(&lineage.algorithm),
        text(&manifest.schema.target),
        manifest.schema.features.len(),
        text(&lineage.tool_version)
    );
    if imported {
        page.push_str(
            "Which rows it was trained on is not known here: the data set below is the one that it was judged on.\n\n",
        );
    }
    let _ = writeln!(page, "Verdict of its gate: **{}** – {}.\n", verdict.verdict, text(&verdict.sentence));
    if !warnings.is_empty() {
        page.push_str("What a person should know of it:\n\n");
        for warning in warnings.iter().take(MOST_WARNINGS) {
            let _ = writeln!(page, "- {}", markdown_of_sentence(&short(&warning.to_string(), 500)));
        }
        if warnings.len() > MOST_WARNINGS {
            let _ = writeln!(page, "- and {} more", warnings.len() - MOST_WARNINGS);
        }
        page.push('\n');
    }
    let _ = writeln!(page, "## Lineage\n\n| what | value |\n|---|---|");
    let (dataset, trainer) =
        if imported { ("judged on the dataset", "imported") } else { ("dataset", "trainer") };
    for (what, value) in [
        ("package", evaluation.digest.to_string()),
        (dataset, lineage.dataset.to_string()),
        ("split", lineage.split.to_string()),
        ("configuration", lineage.config.to_string()),
        (trainer, code(&lineage.code)),
        ("seed", lineage.seed.to_string()),
    ] {
        // Nothing was drawn by it.
        if imported && what == "seed" {
            continue;
        }
        let _ = writeln!(page, "| {what} | `{value}` |");
    }
    for (subset, found) in &evaluation.subsets {
        let _ = writeln!(
            page,
            "\n## Figures on {subset} ({} rows)\n\n| metric | value | interval |\n|---|---|---|",
            found.rows
        );
        for (metric, value) in &found.metrics {
            let interval = found.intervals.get(metric);
            let interval = interval.map_or_else(
                || "–".to_owned(),
                |found| format!("{} to {}", figure(found.low), figure(found.high)),
            );
            let _ = writeln!(
                page,
                "| {metric} | {} | {interval} |",
                value.map_or_else(|| "–".to_owned(), figure)
            );
        }
        let worst = found.search.as_ref().map(|search| search.worst.as_slice()).unwrap_or_default();
        if !worst.is_empty() {
            let _ = writeln!(page, "\nIt does worst where:\n");
        }
        for slice in worst.iter().take(5) {
            let (here, there) = (figure(slice.loss), figure(slice.elsewhere));
            let _ = writeln!(
                page,
                "- {} ({} rows): loss {here} against {there}",
                text(&slice.name()),
                slice.rows
            );
        }
    }
    let _ =
        writeln!(page, "\n## Inputs\n\n| column | type | null | range or categories |\n|---|---|---|---|");
    for feature in &manifest.schema.features {
        let values = match feature.range {
            Some((low, high)) => format!("{} to {}", figure(low), figure(high)),
            None => listed(feature.categories.iter().map(String::as_str)),
        };
        let nullable = if feature.nullable { "yes" } else { "no" };
        let _ = writeln!(
            page,
            "| {} | {} | {nullable} | {} |",
            text(&feature.name),
            feature.feature_type,
            text(&values)
        );
    }
    if let Some(classes) = &manifest.schema.classes {
        let _ = writeln!(page, "\nClasses: {}.", text(&listed(classes.names().iter().map(String::as_str))));
    }
    page.push_str(
        "\n## Limits\n\nThe figures hold for rows like those of the data set above. There is no fairness analysis\nin this card.\n",
    );
    page
}

/// Returns words side by side, of many the first; the manifest has them all.
fn listed<'a>(words: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 50;
    let more = words.len().saturating_sub(SHOWN);
    let shown: Vec<String> = words.take(SHOWN).map(|word| short(word, 200)).collect();
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Returns text that stays inside a code span in a cell of a table, where nothing but a backtick and a bar means anything.
fn code(from_manifest: &str) -> String {
    let kept = |letter: &char| !matches!(letter, '`' | '|');
    let text: String = plain(from_manifest).chars().filter(kept).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "–".to_owned() } else { short(&text, 200) }
}

/// Returns JSON whose numbers are numbers in YAML 1.1 too: there `1e-5` is a text, and `1.0e-5` a number.
fn yaml(value: &serde_json::Value) -> String {
    let json = value.to_string();
    let (mut text, mut quoted, mut escaped) = (String::with_capacity(json.len()), false, false);
    let mut digits = String::new();
    for letter in json.chars() {
        if quoted {
            quoted = escaped || letter != '"';
            escaped = letter == '\\' && !escaped;
            text.push(letter);
            continue;
        }
        if letter.is_ascii_digit() || matches!(letter, '.' | 'e' | 'E' | '+' | '-') {
            digits.push(letter);
            continue;
        }
        text.push_str(&yaml_number(&digits));
        digits.clear();
        quoted = letter == '"';
        text.push(letter);
    }
    text.push_str(&yaml_number(&digits));
    text
}

fn yaml_number(digits: &str) -> String {
    let Some((mantissa, exponent)) =
        digits.split_once(['e', 'E']).filter(|(mantissa, _)| !mantissa.is_empty())
    else {
        return digits.to_owned();
    };
    let dot = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['+', '-']) { "" } else { "+" };
    format!("{mantissa}{dot}e{sign}{exponent}")
}

/// The metrics that Hugging Face knows, with its names.
const KNOWN: [(&str, &str); 10] = [
    ("accuracy", "accuracy"),
    ("f1", "f1"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("roc_auc", "roc_auc"),
    ("mcc", "matthews_correlation"),
    ("brier", "brier_score"),
    ("mae", "mae"),
    ("rmse", "rmse"),
    ("r2", "r_squared"),
];

/// Metadata as YAML; each value is JSON, which is YAML too, so that no name can break out of it.
fn front_matter(manifest: &Manifest, evaluation: &Evaluation) -> String {
    let task = match manifest.task {
        Task::Classification => "tabular-classification",
        Task::Regression => "tabular-regression",
    };
    let dataset = manifest.lineage.dataset.to_string();
    let results: Vec<serde_json::Value> = evaluation
        .subsets
        .iter()
        .map(|(subset, found)| {
            let metrics: Vec<serde_json::Value> = KNOWN
                .iter()
                .filter_map(|(ours, theirs)| {
                    let value = found.metrics.get(*ours).copied().flatten()?;
                    Some(json!({ "type": theirs, "name": ours, "value": value, "verified": false }))
                })
                .collect();
            json!({
                "task": { "type": task, "name": task.replace('-', " ") },
                "dataset": { "name": dataset, "type": "tabular", "split": subset.as_str() },
                "metrics": metrics,
            })
        })
        .collect();
    let mut page = String::from("---\n");
    for (key, value) in [
        ("library_name", json!("onnx")),
        ("pipeline_tag", json!(task)),
        ("tags", json!(["modelgate", "tabular", manifest.lineage.algorithm])),
        ("model-index", json!([{ "name": manifest.name, "results": results }])),
    ] {
        let _ = writeln!(page, "{key}: {}", yaml(&value));
    }
    page.push_str("---\n\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_numbers_to_a_reader_of_yaml_1_1() {
        let value = json!({ "a \\\" 1e5 \\": 1e-9, "b": [1e300, -2.5e-10, 3, 0.25], "e": "true", "f": true });
        let expected = r#"{"a \\\" 1e5 \\":1.0e-9,"b":[1.0e+300,-2.5e-10,3,0.25],"e":"true","f":true}"#;
        assert_eq!(yaml(&value), expected);
        let read: serde_json::Value = serde_json::from_str(&yaml(&value)).expect("JSON still");
        assert_eq!(read, value);
    }

    #[test]
    fn of_many_words_the_first_are_shown() {
        assert_eq!(listed(["a", "b"].into_iter()), "a, b");
        let words: Vec<String> = (0..1000).map(|at| format!("{at}{}", "x".repeat(1000))).collect();
        let shown = listed(words.iter().map(String::as_str));
        assert!(shown.ends_with(" and 950 more") && shown.len() < 50 * 210, "{}", shown.len());
    }

    #[test]
    fn what_a_foreign_manifest_says_stays_in_its_code_span() {
        assert_eq!(code("a`|b\n<script>\u{202e}"), "ab <script>");
        assert_eq!(code("``"), "–");
    }
}
