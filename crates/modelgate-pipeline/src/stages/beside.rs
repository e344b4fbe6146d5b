//! Candidate beside production, and beside the baseline: how both do on the same rows, and what changed since.

use std::collections::BTreeMap;

use modelgate_core::rule::{GateRule, Subset};
use modelgate_core::verdict::{Comparisons, Footing, Reference, Scores};
use modelgate_core::{Digest, ModelName};
use modelgate_data::Mixed;
use modelgate_data::split::SplitAssignment;
use modelgate_model::Package;
use modelgate_registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::changes;
use crate::collapsed::collapsed;
use crate::error::PipelineError;
use crate::evaluation::Evaluation;
use crate::footing::{Ground, Rows};
use crate::learned;
use crate::options::MetricDifference;
use crate::paired;
use crate::production::{self, Production};
use crate::promised::promised;
use crate::record::StageRecord;
use crate::runner::Runner;
use crate::stage::Stage;
use crate::stages::data;
use crate::stages::judge::{Comparing, gate_subset, plain_options};
use crate::stages::measured::{Measured, measured, sliced, unmeasured};
use crate::stored;

/// The candidate's figures beside those of what it is compared with; what `comparison.json` holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The version of this form.
    pub schema_version: u32,
    /// The candidate.
    pub candidate: Digest,
    /// What it is compared with, such as `production v003`; `None` for a bootstrap.
    pub production: Option<String>,
    /// Why production could not be scored, if it could not.
    pub unavailable: Option<String>,
    /// The figures by subset: both on the same rows, which are all but where `rows` says fewer.
    pub subsets: BTreeMap<Subset, Vec<MetricDifference>>,
    /// How many rows both figures are of, of each subset that loses some.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<Subset, u64>,
    /// The figures of the committed baseline, if there is one.
    #[serde(default)]
    pub baseline: Option<BaselineFigures>,
    /// How the training rows differ from production's, in words; `None` when that is not known.
    #[serde(default)]
    pub data_changes: Option<Vec<String>>,
    /// How the settings differ from production's, in words; `None` when that is not known.
    #[serde(default)]
    pub configuration_changes: Option<Vec<String>>,
    /// Which rows the figures of both leave out and why, or why some should be and are not; empty when all count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// The figures of `baselines/<model>.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BaselineFigures {
    /// Such as `baseline v003`.
    pub name: String,
    /// Value by subset and metric.
    pub subsets: BTreeMap<Subset, BTreeMap<String, f64>>,
}

/// What was found of production: its figures, what it has in common with the candidate, and what changed since.
pub(super) struct ProductionFound {
    pub(super) reference: Reference,
    pub(super) comparisons: Comparisons,
    /// The candidate on the rows that count for the comparison, where they are not all.
    pub(super) candidate: Option<Evaluation>,
    pub(super) footing: Option<Footing>,
    pub(super) warnings: Vec<String>,
    /// Why to be better than production says little.
    pub(super) doubts: Vec<String>,
    pub(super) data: Option<Vec<String>>,
    pub(super) configuration: Option<Vec<String>>,
}

impl ProductionFound {
    fn only(reference: Reference) -> Self {
        Self {
            reference,
            comparisons: Comparisons::default(),
            candidate: None,
            footing: None,
            warnings: Vec::new(),
            doubts: Vec::new(),
            data: None,
            configuration: None,
        }
    }
}

/// Returns the package in production, and its files.
fn load(
    registry: &Registry,
    model: &ModelName,
    production: &Production,
) -> Result<(Package, BTreeMap<String, Vec<u8>>), PipelineError> {
    let files = registry.version_files(model, production.version)?;
    Ok((modelgate_model::from_files(files.clone())?, files))
}

/// Returns why the gate is to judge again though nothing changed: production could not be read then, as when a file of it was
/// missing, and can be now.
pub(super) fn readable_again(
    runner: &Runner<'_>,
    registry: &Registry,
    production: Option<&Production>,
) -> Option<String> {
    let production = production?;
    let before = StageRecord::load(&runner.pipeline.records(), Stage::Gate)?;
    // What it judged may be in production by now: a model is not judged against itself.
    if before.inputs.get("production") != Some(&json!(production.digest)) {
        return None;
    }
    let kept = runner.store.get(before.outputs.get("comparison")?).ok()?;
    let kept: Comparison = serde_json::from_slice(&kept).ok()?;
    kept.unavailable.as_ref()?;
    load(registry, &runner.pipeline.model, production).ok()?;
    Some(format!("production {} can be read again", production.version))
}

/// Scores the model in production on the candidate's rows, and measures what rules ask of both together.
pub(super) fn score_production(
    runner: &mut Runner<'_>,
    registry: &Registry,
    production: Option<&Production>,
    candidate: &Package,
    rules: &[GateRule],
) -> Result<ProductionFound, PipelineError> {
    let Some(production) = production else { return Ok(ProductionFound::only(Reference::None)) };
    let name = production::name_of(production.version);
    let model = runner.pipeline.model.clone();
    let settings = changes::settings(runner.pipeline)?;
    if production.digest == candidate.digest {
        let scores = Scores { name, digest: Some(candidate.digest), ..Scores::default() };
        // The model is the same: what it is let in by need not be.
        let before = stored::attached(registry, &model, production.version)?;
        let configuration = before
            .and_then(|before| before.configuration)
            .map(|before| changes::configuration(&before, &settings))
            .filter(|changes| !changes.is_empty());
        let found = ProductionFound::only(Reference::Scores(Box::new(scores)));
        return Ok(ProductionFound { configuration, ..found });
    }
    let (package, files) = match load(registry, &model, production) {
        Ok(loaded) => loaded,
        // A network that is down is no ground for a verdict, which would stand when it is up again.
        Err(error) if error.is_unanswered() => return Err(error),
        Err(error) => {
            let why = format!("{name}: {}", error.without_values());
            return Ok(ProductionFound::only(Reference::Unavailable(why)));
        }
    };
    let parsed = |bytes: Option<&Vec<u8>>| bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let own = runner.bytes(Stage::Assemble, "reference.json").ok();
    let profiles: (Option<serde_json::Value>, Option<serde_json::Value>) =
        (parsed(files.get("reference.json")), parsed(own.as_ref()));
    let serve = &runner.pipeline.project.config.serve;
    let schema = promised(package.manifest.schema.clone(), profiles.0.as_ref(), serve);
    let data_changes = profiles.0.zip(profiles.1).map(|(before, now)| changes::data(&before, &now));
    let before: Option<serde_json::Value> = parsed(files.get("metrics.json"));
    let configuration = before
        .as_ref()
        .and_then(|attached| attached.get("configuration"))
        .map(|before| changes::configuration(before, &settings));
    let split: SplitAssignment = data::assignment(runner)?;
    let options = plain_options(runner, rules);
    let comparing = Comparing::of(runner)?;
    let mut asked = sliced(runner, rules);
    asked.extend(learned::columns(&package, before.as_ref()));
    let mut read = Vec::new();
    let scored = measured(runner, &asked, Mixed::AsText).and_then(|Measured { table, schema, notes }| {
        read = notes;
        let target = data::target(runner, &table)?;
        let rows = Rows { table: &table, schema: &schema, target: &target, split: &split, options: &options };
        let ground = Ground::of(runner, (&name, &package), before.as_ref(), &rows)?;
        let own = ground.candidate(&candidate.model, candidate.digest, &rows)?;
        let input = comparing.input(&candidate.model, &package.model, &table, &target, &ground.split);
        let comparisons = paired::compare(&input, rules)?;
        Ok((ground, own, comparisons))
    });
    match scored {
        Ok((ground, candidate, comparisons)) => Ok(ProductionFound {
            doubts: collapsed(&name, &ground.evaluation, before.as_ref(), gate_subset(runner))
                .into_iter()
                .collect(),
            reference: Reference::Scores(Box::new(ground.evaluation.scores(name, Some(schema)))),
            comparisons,
            footing: ground.footing(candidate.as_ref()),
            candidate,
            warnings: ground.warnings(),
            data: data_changes,
            configuration,
        }),
        Err(error) if error.is_unanswered() => Err(error),
        // What it takes is still known, so that the schema rule can say what changed.
        Err(error) => {
            let why = unmeasured(&error, &read);
            runner.reporter.note(&format!("{name} cannot be scored on these rows: {why}"));
            let digest = Some(package.digest);
            let unscored = Some(why);
            let scores = Scores { name, digest, schema: Some(schema), unscored, ..Scores::default() };
            let reference = Reference::Scores(Box::new(scores));
            Ok(ProductionFound { data: data_changes, configuration, ..ProductionFound::only(reference) })
        }
    }
}

/// Puts figures beside those of `production`; `fewer` are the candidate's on the rows that are left, where not all are.
pub(super) fn compare(
    evaluation: &Evaluation,
    fewer: Option<&Evaluation>,
    production: &Reference,
) -> Comparison {
    let (name, unavailable, scores) = match production {
        Reference::Scores(scores) => (Some(scores.name.clone()), None, Some(scores)),
        Reference::Unavailable(why) => (None, Some(why.clone()), None),
        Reference::None => (None, None, None),
    };
    let own = fewer.unwrap_or(evaluation);
    let subsets = evaluation.subsets.iter().map(|(subset, found)| {
        let (own, other) = (
            own.subsets.get(subset).map(|found| &found.metrics),
            scores.and_then(|scores| scores.subsets.get(subset)).map(|found| &found.metrics),
        );
        let figure = |figures: Option<&BTreeMap<String, Option<f64>>>, metric: &String| {
            figures.and_then(|figures| figures.get(metric).copied().flatten())
        };
        let rows = found.metrics.keys().map(|metric| MetricDifference {
            metric: metric.clone(),
            candidate: figure(own, metric),
            production: figure(other, metric),
        });
        (*subset, rows.collect())
    });
    let rows = evaluation.subsets.iter().filter_map(|(subset, found)| {
        let left = own.subsets.get(subset).map_or(0, |found| found.rows);
        (left < found.rows).then_some((*subset, left))
    });
    Comparison {
        schema_version: 1,
        candidate: evaluation.digest,
        production: name,
        unavailable,
        subsets: subsets.collect(),
        rows: rows.collect(),
        baseline: None,
        data_changes: None,
        configuration_changes: None,
        left_out: Vec::new(),
    }
}

pub(super) fn baseline_figures(stored: &production::Baseline) -> BaselineFigures {
    let figures = stored.subsets.iter().map(|(subset, found)| {
        let known = found.metrics.iter().filter_map(|(metric, value)| Some((metric.clone(), (*value)?)));
        (*subset, known.collect())
    });
    BaselineFigures { name: format!("baseline {}", stored.version), subsets: figures.collect() }
}
