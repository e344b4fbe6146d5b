//! Evaluate, analyse and gate: from a package to a verdict.

use std::collections::BTreeMap;

use modelgate_config as config;
use modelgate_core::rule::{GateRule, Slice, Subset, Versus, slice_name};
use modelgate_core::verdict::{Comparisons, Evidence, GateVerdict, Reference, Scores, judge};
use modelgate_core::{Digest, RunId, canonical};
use modelgate_data::Table;
use modelgate_data::split::SplitAssignment;
use modelgate_evaluate::{Average, BootstrapOptions, MAX_TEXTS, SearchOptions, texts};
use modelgate_model::Package;
use modelgate_registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::changes;
use crate::error::PipelineError;
use crate::evaluation::{EvaluateOptions, Evaluation, evaluate as evaluate_package};
use crate::latency::{self, Latency};
use crate::options::MetricDifference;
use crate::paired::{self, PairedInput};
use crate::production::{self, Production};
use crate::record::{Inputs, StageRecord};
use crate::runner::{Runner, Work};
use crate::stage::Stage;
use crate::stages::{contract, data, model};

pub(crate) fn average(runner: &Runner<'_>) -> Average {
    match runner.pipeline.config.evaluate.average {
        config::AverageName::Weighted => Average::Weighted,
        config::AverageName::Macro => Average::Macro,
    }
}

/// Raised when the figures or their form change.
const EVALUATE_REVISION: u32 = 3;

/// More columns than this are not searched for weak parts.
const MAX_SEARCHED: usize = 64;

/// Returns the columns whose parts are looked at: the declared ones, else the features.
fn searched(runner: &Runner<'_>) -> Result<Vec<String>, PipelineError> {
    let declared = &runner.pipeline.config.evaluate.slices;
    if !declared.is_empty() {
        return Ok(declared.clone());
    }
    let mut features = data::run_features(runner)?;
    features.truncate(MAX_SEARCHED);
    Ok(features)
}

/// Says which columns have parts that are put together, or are not searched.
fn cut(runner: &Runner<'_>, table: &Table) -> Result<Vec<String>, PipelineError> {
    let mut said = Vec::new();
    for name in &runner.pipeline.config.evaluate.slices {
        let Some(modelgate_data::Values::Text(values)) = table.column(name).map(|column| &column.values)
        else {
            continue;
        };
        let count = texts(values).len();
        if count > MAX_TEXTS {
            said.push(format!(
                "evaluate.slices: `{name}` has {count} texts; the {MAX_TEXTS} most frequent of the rows that are \
                 measured have figures of their own, the others one together"
            ));
        }
    }
    let features = data::run_features(runner)?.len();
    if features > MAX_SEARCHED {
        said.push(format!(
            "search for weak parts: {MAX_SEARCHED} of {features} columns are looked at; `evaluate.slices` says which \
             matter"
        ));
    }
    Ok(said)
}

fn search_options(runner: &Runner<'_>) -> SearchOptions {
    let config = &runner.pipeline.config.evaluate;
    SearchOptions { min_rows: config.min_slice_rows, bins: config.slice_bins, ..SearchOptions::default() }
}

fn bootstrap_options(runner: &Runner<'_>) -> BootstrapOptions {
    let config = &runner.pipeline.config.evaluate;
    BootstrapOptions {
        rounds: config.rounds,
        confidence: config.confidence,
        seed: runner.pipeline.config.seed,
    }
}

/// Returns the parts of the rows that rules name, once each.
fn rule_slices(rules: &[GateRule]) -> Vec<Slice> {
    let mut found: BTreeMap<String, Slice> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| !rule.slice.is_empty()) {
        found.insert(slice_name(&rule.slice), rule.slice.clone());
    }
    found.into_values().collect()
}

/// Returns what is measured of the candidate.
fn evaluate_options(runner: &Runner<'_>, table: &Table) -> Result<EvaluateOptions, PipelineError> {
    let config = &runner.pipeline.config.evaluate;
    for name in &config.slices {
        if table.column(name).is_none() {
            let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).take(30).collect();
            return Err(PipelineError::Setting {
                pipeline: runner.pipeline.name.to_owned(),
                key: "evaluate.slices",
                reason: format!("the data has no column `{name}`; there is {}", names.join(", ")),
            });
        }
    }
    let wanted = config.intervals == config::IntervalsName::Bootstrap;
    let mut columns = data::run_features(runner)?;
    columns.truncate(MAX_SEARCHED);
    Ok(EvaluateOptions {
        average: average(runner),
        bootstrap: wanted.then(|| bootstrap_options(runner)),
        slices: config.slices.clone(),
        rule_slices: rule_slices(&rules(runner)?),
        search: Some(search_options(runner)),
        searched: columns,
    })
}

/// Scores the package, loaded back from its stored bytes.
pub(crate) fn evaluate(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    runner.step(
        Stage::Evaluate,
        |runner| {
            let mut inputs = model::package_inputs(runner)?;
            inputs.insert("evaluate".to_owned(), json!(runner.pipeline.config.evaluate));
            inputs.insert("slices of rules".to_owned(), json!(rule_slices(&rules(runner)?)));
            inputs.insert("seed".to_owned(), json!(runner.pipeline.config.seed));
            inputs.insert("revision".to_owned(), json!(EVALUATE_REVISION));
            Ok(inputs)
        },
        |runner| {
            let package = modelgate_model::from_files(model::package_files(runner)?)?;
            let table = data::table(runner)?;
            let target = data::target(runner, &table)?;
            let split = data::assignment(runner)?;
            let options = evaluate_options(runner, &table)?;
            let evaluation =
                evaluate_package(&package.model, package.digest, &table, &target, &split, &options)?;
            let mut work = Work::json("evaluation", &evaluation, summary(runner, &evaluation))?;
            work.warnings.extend(cut(runner, &table)?);
            for (subset, found) in &evaluation.subsets {
                let search = found.search.iter().flat_map(|search| &search.left_out);
                work.warnings.extend(search.map(|what| format!("search for weak parts of {subset}: {what}")));
                let undefined =
                    found.undefined.iter().map(|(metric, why)| format!("{metric} on {subset}: {why}"));
                work.warnings.extend(undefined);
            }
            Ok(work)
        },
    )
}

/// Returns the subset that the gate looks at.
pub(crate) fn gate_subset(runner: &Runner<'_>) -> Subset {
    match runner.pipeline.config.gate.on {
        config::SubsetName::Validation => Subset::Validation,
        config::SubsetName::Test => Subset::Test,
    }
}

/// The metrics that stand for a task in one line.
fn headline(evaluation: &Evaluation) -> &'static [&'static str] {
    if evaluation.classes.is_empty() { &["rmse", "mae", "r2"] } else { &["accuracy", "f1", "roc_auc"] }
}

fn summary(runner: &Runner<'_>, evaluation: &Evaluation) -> String {
    let on = gate_subset(runner);
    let Some(found) = evaluation.subsets.get(&on) else {
        return format!("nothing to score on {on}");
    };
    let figures = headline(evaluation).iter().filter_map(|metric| {
        let value = found.metrics.get(*metric).copied().flatten()?;
        Some(format!("{metric} {}", modelgate_core::verdict::figure(value)))
    });
    format!("{on}: {}", figures.collect::<Vec<_>>().join(" · "))
}

/// Returns the figures of the package.
pub(crate) fn evaluation(runner: &Runner<'_>) -> Result<Evaluation, PipelineError> {
    runner.json(Stage::Evaluate, "evaluation")
}

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
    /// The figures by subset.
    pub subsets: BTreeMap<Subset, Vec<MetricDifference>>,
    /// The figures of the committed baseline, if there is one.
    #[serde(default)]
    pub baseline: Option<BaselineFigures>,
    /// How the training rows differ from production's, in words; `None` when that is not known.
    #[serde(default)]
    pub data_changes: Option<Vec<String>>,
    /// How the settings differ from production's, in words; `None` when that is not known.
    #[serde(default)]
    pub configuration_changes: Option<Vec<String>>,
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
struct ProductionFound {
    reference: Reference,
    comparisons: Comparisons,
    data: Option<Vec<String>>,
    configuration: Option<Vec<String>>,
}

impl ProductionFound {
    fn only(reference: Reference) -> Self {
        Self { reference, comparisons: Comparisons::default(), data: None, configuration: None }
    }
}

/// Returns the rules of the pipeline.
pub(crate) fn rules(runner: &Runner<'_>) -> Result<Vec<GateRule>, PipelineError> {
    pipeline_rules(runner.pipeline)
}

/// Returns the rules of `pipeline`, its own or the default ones.
pub fn pipeline_rules(pipeline: &crate::Pipeline<'_>) -> Result<Vec<GateRule>, PipelineError> {
    let defaults;
    let rules = if let Some(rules) = &pipeline.config.gate.rules {
        rules
    } else {
        defaults = config::default_rules(pipeline.config.task);
        &defaults
    };
    let converted =
        rules.iter().map(modelgate_config::RuleConfig::to_rule).collect::<Result<Vec<_>, String>>();
    let rules = converted.map_err(|reason| PipelineError::Setting {
        pipeline: pipeline.name.to_owned(),
        key: "gate.rules",
        reason,
    })?;
    crate::policy::with_required_rules(pipeline, rules)
}

/// Returns the runs that rules compare with, as their own figures tell of them.
pub(crate) fn runs_named(pipeline: &crate::Pipeline<'_>, rules: &[GateRule]) -> BTreeMap<Versus, Reference> {
    let named = rules.iter().filter_map(|rule| match rule.check.versus() {
        Some(Versus::Run(run)) => Some(run),
        _ => None,
    });
    let figures = |run: &RunId| match crate::outputs::evaluation_of_run(pipeline, run) {
        Ok(evaluation) => Reference::Scores(Box::new(evaluation.scores(format!("run {run}"), None))),
        Err(error) => Reference::Unavailable(error.to_string()),
    };
    named.map(|run| (Versus::Run(run.clone()), figures(run))).collect()
}

/// Returns the times of predictions that rules ask for, measured now if no run has measured them; none when no rule does.
///
/// They are read before the gate looks at its inputs, so that it judges again when they were measured again.
fn times(runner: &mut Runner<'_>, rules: &[GateRule]) -> Result<Vec<(&'static str, f64)>, PipelineError> {
    let packaged = runner.output(Stage::Assemble, model::MANIFEST).is_ok();
    if !asks_times(rules) || runner.options.dry_run || !packaged {
        return Ok(Vec::new());
    }
    let found = match crate::outputs::read::<Latency>(runner.pipeline, "latency.json") {
        Some(found) => Some(found),
        None => measure_times(runner)?,
    };
    Ok(found.map_or_else(Vec::new, |found| found.figures().into()))
}

/// Returns whether a rule is on the time of a prediction.
pub(crate) fn asks_times(rules: &[GateRule]) -> bool {
    rules.iter().any(|rule| rule.metric.starts_with("latency."))
}

fn measure_times(runner: &mut Runner<'_>) -> Result<Option<Latency>, PipelineError> {
    let package = modelgate_model::from_files(model::package_files(runner)?)?;
    let table = data::table(runner)?;
    let split: SplitAssignment = data::assignment(runner)?;
    let rows = match gate_subset(runner) {
        Subset::Test => &split.test,
        _ => &split.validation,
    };
    let found = latency::measure(&package.model, &table, rows)?;
    if let Some(found) = &found {
        crate::outputs::write_json(&runner.pipeline.outputs(), "latency.json", found)?;
    }
    Ok(found)
}

/// Judges the rules.
pub(crate) fn gate(runner: &mut Runner<'_>, registry: &Registry) -> Result<bool, PipelineError> {
    let rules = rules(runner)?;
    let on = gate_subset(runner);
    let times = times(runner, &rules)?;
    let production = production::find(registry, &runner.pipeline.model);
    let baseline = production::baseline(runner.pipeline.project, &runner.pipeline.model)?;
    runner.step(
        Stage::Gate,
        |runner| {
            let candidate = runner.output(Stage::Assemble, model::MANIFEST)?;
            let mut inputs = Inputs::from([
                ("package".to_owned(), json!(candidate)),
                ("evaluation".to_owned(), json!(runner.output(Stage::Evaluate, "evaluation")?)),
                ("rules".to_owned(), json!(rules)),
                ("evaluate".to_owned(), json!(runner.pipeline.config.evaluate)),
                ("revision".to_owned(), json!(EVALUATE_REVISION)),
                ("on".to_owned(), json!(on)),
                ("contract".to_owned(), json!(contract::figures(runner)?)),
                ("production".to_owned(), json!(production.as_ref().map(|production| production.digest))),
                ("baseline".to_owned(), json!(baseline.as_ref().map(|baseline| baseline.digest))),
            ]);
            if !times.is_empty() {
                inputs.insert("latency".to_owned(), json!(times));
            }
            // A model that reached production was judged against the one before it. That judgement stands:
            // against itself there is nothing to judge.
            if production.as_ref().is_some_and(|production| production.digest == candidate)
                && let Some(before) = StageRecord::load(&runner.pipeline.records(), Stage::Gate)
            {
                for reference in ["production", "baseline"] {
                    let kept = before.inputs.get(reference).cloned().unwrap_or_default();
                    inputs.insert(reference.to_owned(), kept);
                }
            }
            Ok(inputs)
        },
        |runner| {
            let package = modelgate_model::from_files(model::package_files(runner)?)?;
            let evaluation = evaluation(runner)?;
            let found = score_production(runner, registry, production.as_ref(), &package, &rules)?;
            let mut comparison = compare(&evaluation, &found.reference);
            (comparison.data_changes, comparison.configuration_changes) = (found.data, found.configuration);
            comparison.baseline = baseline.as_ref().map(baseline_figures);
            let (production, comparisons) = (found.reference, found.comparisons);
            let baseline = match &baseline {
                Some(stored) => {
                    let name = format!("baseline {}", stored.version);
                    Reference::Scores(Box::new(stored.evaluation().scores(name, None)))
                }
                None => Reference::None,
            };
            let mut references =
                BTreeMap::from([(Versus::Production, production), (Versus::Baseline, baseline)]);
            references.extend(runs_named(runner.pipeline, &rules));
            let mut candidate =
                evaluation.scores("the candidate".to_owned(), Some(package.manifest.schema.clone()));
            let figures = contract::figures(runner)?;
            for subset in candidate.subsets.values_mut() {
                let figures = figures.iter().chain(&times);
                subset.metrics.extend(figures.map(|(name, value)| ((*name).to_owned(), Some(*value))));
            }
            let verdict = judge(&rules, &Evidence { candidate, references, on, comparisons });
            let mut work =
                Work::json("verdict", &verdict, format!("{}: {}", verdict.verdict, verdict.sentence))?;
            work.outputs.insert("comparison".to_owned(), canonical::to_string(&comparison)?.into_bytes());
            Ok(work)
        },
    )
}

/// Returns what is measured of a model that is only compared with.
pub(crate) fn plain_options(runner: &Runner<'_>, rules: &[GateRule]) -> EvaluateOptions {
    let mut options = EvaluateOptions::plain(average(runner));
    options.rule_slices = rule_slices(rules);
    options
}

/// How two models are compared row by row.
pub(crate) struct Comparing {
    average: Average,
    bootstrap: BootstrapOptions,
    intervals: bool,
    search: SearchOptions,
    columns: Vec<String>,
    on: Subset,
}

impl Comparing {
    /// Returns what the configuration says of it.
    pub(crate) fn of(runner: &Runner<'_>) -> Result<Self, PipelineError> {
        Ok(Self {
            average: average(runner),
            bootstrap: bootstrap_options(runner),
            intervals: runner.pipeline.config.evaluate.intervals == config::IntervalsName::Bootstrap,
            search: search_options(runner),
            columns: searched(runner)?,
            on: gate_subset(runner),
        })
    }

    /// Returns the question for two models.
    pub(crate) fn input<'a>(
        &'a self,
        candidate: &'a modelgate_model::LoadedModel,
        reference: &'a modelgate_model::LoadedModel,
        table: &'a Table,
        target: &'a modelgate_data::target::Target,
        split: &'a SplitAssignment,
    ) -> PairedInput<'a> {
        PairedInput {
            candidate,
            reference,
            table,
            target,
            split,
            average: self.average,
            bootstrap: self.bootstrap,
            intervals: self.intervals,
            search: self.search,
            columns: &self.columns,
            on: self.on,
        }
    }
}

/// Scores the model in production on the candidate's rows, and measures what rules ask of both together.
fn score_production(
    runner: &mut Runner<'_>,
    registry: &Registry,
    production: Option<&Production>,
    candidate: &Package,
    rules: &[GateRule],
) -> Result<ProductionFound, PipelineError> {
    let Some(production) = production else { return Ok(ProductionFound::only(Reference::None)) };
    let name = format!("production {}", production.version);
    let model = runner.pipeline.model.clone();
    if production.digest == candidate.digest {
        let scores = Scores { name, digest: Some(candidate.digest), ..Scores::default() };
        return Ok(ProductionFound::only(Reference::Scores(Box::new(scores))));
    }
    let loaded = registry
        .version_files(&model, production.version)
        .map_err(PipelineError::from)
        .and_then(|files| Ok((modelgate_model::from_files(files.clone())?, files)));
    let (package, files) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            return Ok(ProductionFound::only(Reference::Unavailable(format!("{name}: {error}"))));
        }
    };
    let parsed = |bytes: Option<&Vec<u8>>| bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let own = runner.bytes(Stage::Assemble, "reference.json").ok();
    let profiles: (Option<serde_json::Value>, Option<serde_json::Value>) =
        (parsed(files.get("reference.json")), parsed(own.as_ref()));
    let data_changes = profiles.0.zip(profiles.1).map(|(before, now)| changes::data(&before, &now));
    let before: Option<serde_json::Value> = parsed(files.get("metrics.json"));
    let settings = serde_json::to_value(runner.pipeline.config)?;
    let configuration = before
        .as_ref()
        .and_then(|attached| attached.get("configuration"))
        .map(|before| changes::configuration(before, &settings));
    let table = data::table(runner)?;
    let target = data::target(runner, &table)?;
    let split: SplitAssignment = data::assignment(runner)?;
    let schema = package.manifest.schema.clone();
    let options = plain_options(runner, rules);
    let comparing = Comparing::of(runner)?;
    let input = comparing.input(&candidate.model, &package.model, &table, &target, &split);
    let scored = evaluate_package(&package.model, package.digest, &table, &target, &split, &options)
        .and_then(|evaluation| Ok((evaluation, paired::compare(&input, rules)?)));
    match scored {
        Ok((evaluation, comparisons)) => {
            let reference = Reference::Scores(Box::new(evaluation.scores(name, Some(schema))));
            Ok(ProductionFound { reference, comparisons, data: data_changes, configuration })
        }
        // What it takes is still known, so that the schema rule can say what changed.
        Err(error) => {
            runner.reporter.note(&format!("{name} cannot be scored on these rows: {error}"));
            let digest = Some(package.digest);
            let scores = Scores { name, digest, schema: Some(schema), ..Scores::default() };
            let reference = Reference::Scores(Box::new(scores));
            let comparisons = Comparisons::default();
            Ok(ProductionFound { reference, comparisons, data: data_changes, configuration })
        }
    }
}

fn compare(evaluation: &Evaluation, production: &Reference) -> Comparison {
    let (name, unavailable, scores) = match production {
        Reference::Scores(scores) => (Some(scores.name.clone()), None, Some(scores)),
        Reference::Unavailable(why) => (None, Some(why.clone()), None),
        Reference::None => (None, None, None),
    };
    let subsets = evaluation.subsets.iter().map(|(subset, found)| {
        let rows = found.metrics.iter().map(|(metric, value)| MetricDifference {
            metric: metric.clone(),
            candidate: *value,
            production: scores
                .and_then(|scores| scores.subsets.get(subset))
                .and_then(|scores| scores.metrics.get(metric).copied().flatten()),
        });
        (*subset, rows.collect())
    });
    Comparison {
        schema_version: 1,
        candidate: evaluation.digest,
        production: name,
        unavailable,
        subsets: subsets.collect(),
        baseline: None,
        data_changes: None,
        configuration_changes: None,
    }
}

fn baseline_figures(stored: &production::Baseline) -> BaselineFigures {
    let figures = stored.subsets.iter().map(|(subset, found)| {
        let known = found.metrics.iter().filter_map(|(metric, value)| Some((metric.clone(), (*value)?)));
        (*subset, known.collect())
    });
    BaselineFigures { name: format!("baseline {}", stored.version), subsets: figures.collect() }
}

/// Returns the verdict of the gate.
pub(crate) fn verdict(runner: &Runner<'_>) -> Result<GateVerdict, PipelineError> {
    runner.json(Stage::Gate, "verdict")
}

/// Returns the comparison with production.
pub(crate) fn comparison(runner: &Runner<'_>) -> Result<Comparison, PipelineError> {
    runner.json(Stage::Gate, "comparison")
}
