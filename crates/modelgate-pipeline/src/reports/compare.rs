//! Versions of a model side by side: terminal, Markdown and HTML.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use modelgate_core::metric::{CLASSIFICATION, Direction, REGRESSION, direction};
use modelgate_core::verdict::figure;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::Registry;
use serde::{Deserialize, Serialize};

use super::escape;
use super::style::style;
use crate::averaged;
use crate::error::PipelineError;
use crate::measured_on::MeasuredOn;

/// One version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ComparedVersion {
    /// The version.
    pub version: VersionNumber,
    /// What it is, by name: stage, verdict, package, data, algorithm, seed, when it was trained.
    pub facts: BTreeMap<String, String>,
    /// The figures on its gate's rows.
    pub metrics: BTreeMap<String, f64>,
    /// Lower and upper end of a figure's interval.
    pub intervals: BTreeMap<String, (f64, f64)>,
    /// Its settings, when they were kept.
    pub configuration: Option<serde_json::Value>,
}

/// Versions side by side.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VersionComparison {
    /// The version of this form.
    pub schema_version: u32,
    /// The model.
    pub model: ModelName,
    /// The versions, in the order asked for.
    pub versions: Vec<ComparedVersion>,
    /// How each version's settings differ from the first's.
    pub configuration_changes: BTreeMap<String, Vec<String>>,
    /// Whether the figures of all are of the same rows; else none is the best.
    #[serde(default)]
    pub same_rows: bool,
    /// The figures that `evaluate.average` made otherwise for some versions than for others; of these none is the best.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub averaged_otherwise: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Reads versions of `model` from the registry.
///
/// # Errors
/// Fails when the model or a version is not there.
pub fn compare_versions(
    registry: &Registry,
    model: &ModelName,
    versions: &[VersionNumber],
) -> Result<VersionComparison, PipelineError> {
    let state = registry.model(model)?;
    let (mut found, mut grounds) = (Vec::new(), Vec::new());
    for version in versions {
        let known = state.versions.get(version);
        let known = known
            .ok_or_else(|| PipelineError::Policy(format!("there is no version {version} of {model}")))?;
        let registration = registry.registration(model, *version)?;
        let lineage = &registration.lineage;
        let (measured, attached) = MeasuredOn::of(registry, &registration);
        let mut facts = vec![
            ("stage", known.stage.to_string()),
            ("verdict", known.verdict.to_string()),
            ("package", format!("sha256:{}", known.digest.short())),
            ("algorithm", lineage.algorithm.clone()),
            ("seed", lineage.seed.to_string()),
            ("trained at", lineage.trained_at.clone()),
        ];
        // Beside its rows: those of a package from elsewhere are not the ones that it was trained on.
        facts.extend(measured.data.map(|data| ("data", format!("sha256:{}", data.short()))));
        facts.extend(measured.split.map(|split| ("split", format!("sha256:{}", split.short()))));
        facts.extend(measured.rows.map(|(subset, rows)| ("rows", format!("{rows} of {subset}"))));
        // Intervals and settings are attached to the version; the figures alone are in the ledger.
        let of_gate = measured
            .rows
            .and_then(|(subset, _)| attached.as_ref().and_then(|attached| attached.subsets.get(&subset)));
        let intervals = of_gate.map(|subset| {
            subset.intervals.iter().map(|(name, found)| (name.clone(), (found.low, found.high))).collect()
        });
        grounds.push(measured);
        found.push(ComparedVersion {
            version: *version,
            facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            metrics: registration.metrics.clone(),
            intervals: intervals.unwrap_or_default(),
            configuration: attached.and_then(|attached| attached.configuration),
        });
    }
    let mut configuration_changes = BTreeMap::new();
    if let Some(first) = found.first().and_then(|first| first.configuration.as_ref()) {
        for other in &found[1..] {
            let Some(configuration) = &other.configuration else { continue };
            let changes = crate::changes::configuration(first, configuration);
            configuration_changes.insert(other.version.to_string(), changes);
        }
    }
    let differs = grounds.first().and_then(|first| grounds.iter().find_map(|other| first.differs(other)));
    let mut notes: Vec<String> = Vec::new();
    notes.extend(differs.map(|why| {
        format!(
            "the versions were measured on {why}: their figures are not of the same rows, and none is called the best"
        )
    }));
    let otherwise = averaged::incomparable(found.iter().map(|version| &version.metrics));
    if !otherwise.is_empty() {
        notes.push(format!(
            "`evaluate.average` was not the same for all: {} are averaged otherwise, and none of them is called the best; \
             those that end with `_macro` or `_weighted` can be compared",
            otherwise.join(", ")
        ));
    }
    Ok(VersionComparison {
        schema_version: 1,
        model: model.clone(),
        versions: found,
        configuration_changes,
        same_rows: differs.is_none(),
        averaged_otherwise: otherwise.into_iter().map(str::to_owned).collect(),
        notes,
    })
}

const FACTS: [&str; 9] =
    ["stage", "verdict", "package", "data", "split", "rows", "algorithm", "seed", "trained at"];

impl VersionComparison {
    /// Returns the names of the figures that any version has, in the order of reports.
    fn metrics(&self) -> Vec<String> {
        let all: BTreeSet<&String> =
            self.versions.iter().flat_map(|version| version.metrics.keys()).collect();
        let known = CLASSIFICATION.iter().chain(&REGRESSION).map(|name| (*name).to_owned());
        let mut names: Vec<String> = known.filter(|name| all.contains(name)).collect();
        let others: Vec<String> = all.into_iter().filter(|name| !names.contains(name)).cloned().collect();
        names.extend(others);
        names
    }

    /// Returns the cells of each row, the name first; figures end with `*` where they are the best.
    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for fact in FACTS {
            let mut row = vec![fact.to_owned()];
            row.extend(
                self.versions.iter().map(|version| version.facts.get(fact).cloned().unwrap_or_default()),
            );
            rows.push(row);
        }
        for metric in self.metrics() {
            let values = self.versions.iter().map(|version| version.metrics.get(&metric).copied());
            let finite = values.clone().flatten().filter(|value| value.is_finite());
            let is_comparable = self.has_best() && !self.averaged_otherwise.contains(&metric);
            let best = match direction(&metric).filter(|_| is_comparable) {
                Some(Direction::HigherIsBetter) => finite.max_by(f64::total_cmp),
                Some(Direction::LowerIsBetter) => finite.min_by(f64::total_cmp),
                None => None,
            };
            let mut row = vec![metric.clone()];
            for (version, value) in self.versions.iter().zip(values) {
                let Some(value) = value else {
                    row.push("–".to_owned());
                    continue;
                };
                let star = if Some(value) == best { " *" } else { "" };
                let interval = version.intervals.get(&metric);
                let interval = interval.map_or_else(String::new, |(low, high)| {
                    format!(" ({} to {})", figure(*low), figure(*high))
                });
                row.push(format!("{}{interval}{star}", figure(value)));
            }
            rows.push(row);
        }
        rows
    }

    /// Returns whether one can be better than another.
    fn has_best(&self) -> bool {
        self.same_rows && self.versions.len() > 1
    }

    fn head(&self) -> Vec<String> {
        let mut head = vec![self.model.to_string()];
        head.extend(self.versions.iter().map(|version| version.version.to_string()));
        head
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = self.notes.clone();
        let first = self.versions.first().map_or_else(String::new, |first| first.version.to_string());
        for (version, changes) in &self.configuration_changes {
            if changes.is_empty() {
                lines.push(format!("{version} has the settings of {first}"));
            }
            lines.extend(changes.iter().map(|change| format!("from {first} to {version}: {change}")));
        }
        lines
    }

    /// Returns the table for a terminal.
    pub fn text(&self) -> String {
        let mut table = vec![self.head()];
        table.extend(self.rows());
        let columns = self.versions.len() + 1;
        let width = |column: usize| {
            table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut page = String::new();
        for row in &table {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(page, "{}", cells.join("  ").trim_end());
        }
        for line in self.lines() {
            let _ = writeln!(page, "{line}");
        }
        page
    }

    /// Returns Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| escape::markdown(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut page = format!("# Versions of {}\n\n{}", self.model, line(&self.head()));
        let _ = writeln!(page, "|{}", "---|".repeat(self.versions.len() + 1));
        for row in self.rows() {
            page.push_str(&line(&row));
        }
        page.push_str(if self.has_best() { "\n\\* the best of its row.\n\n" } else { "\n" });
        for line in self.lines() {
            let _ = writeln!(page, "- {}", escape::markdown_of_sentence(&line));
        }
        page
    }

    /// Returns one HTML page, nothing fetched.
    pub fn html(&self) -> String {
        let cells = |tag: &str, cells: &[String]| -> String {
            cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape::html(cell))).collect()
        };
        let title = format!("Versions of {}", escape::html(self.model.as_str()));
        let rows: String = self.rows().iter().map(|row| format!("<tr>{}</tr>", cells("td", row))).collect();
        let lines: String =
            self.lines().iter().map(|line| format!("<li>{}</li>", escape::html(line))).collect();
        let best = if self.has_best() { "<p>* the best of its row.</p>" } else { "" };
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{}</style></head>\
             <body><h1>{title}</h1><div class=wide><table><thead><tr>{}</tr></thead><tbody>{rows}</tbody></table></div>\
             {best}<ul>{lines}</ul></body></html>\n",
            style(),
            cells("th", &self.head())
        )
    }
}
