//! Evaluate, analyse and gate: from a package to a verdict.

use std::collections::BTreeMap;

use modelgate_config as config;
use modelgate_core::canonical;
use modelgate_core::rule::{GateRule, Slice, Subset, Versus, slice_name};
use modelgate_core::verdict::{Evidence, GateVerdict, Reference, judge};
use modelgate_data::split::SplitAssignment;
use modelgate_data::{Mixed, Table};
use modelgate_evaluate::{Average, BootstrapOptions, MAX_TEXTS, SearchOptions, texts};
use modelgate_registry::Registry;
use serde_json::json;

use crate::averaged;
use crate::changes;
use crate::choice::check_classes;
use crate::constant;
use crate::error::PipelineError;
use crate::evaluation::{EvaluateOptions, Evaluation, evaluate as evaluate_package};
use crate::latency::{self, Latency};
use crate::paired::PairedInput;
use crate::production::{self, Baseline, Production};
use crate::record::{Inputs, StageRecord};
use crate::rule_doubts;
use crate::rule_slices::misread;
use crate::runner::{Runner, Work};
use crate::stage::Stage;
use crate::stages::beside::{Comparison, baseline_figures, compare, readable_again, score_production};
use crate::stages::measured::{measured, sliced};
use crate::stages::{contract, data, model};
use crate::stored;
use crate::tries;

pub(crate) fn average(runner: &Runner<'_>) -> Average {
    averaged::average(runner.pipeline)
}

/// Raised when the figures or their form change.
const EVALUATE_REVISION: u32 = 6;

/// Raised when what is measured of candidate and production together, or how it is judged, changes.
const GATE_REVISION: u32 = 8;

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
fn cut(runner: &Runner<'_>, table: &Table, split: &SplitAssignment) -> Result<Vec<String>, PipelineError> {
    let mut said = put_together(&runner.pipeline.config.evaluate.slices, table, split);
    let features = data::run_features(runner)?.len();
    if features > MAX_SEARCHED {
        said.push(format!(
            "search for weak parts: {MAX_SEARCHED} of {features} columns are looked at; `evaluate.slices` says which \
             matter"
        ));
    }
    Ok(said)
}

/// Says of which columns some texts have figures together: as the parts are made, of the rows of a subset alone.
fn put_together(slices: &[String], table: &Table, split: &SplitAssignment) -> Vec<String> {
    let mut said = Vec::new();
    for name in slices {
        let Some(modelgate_data::Values::Text(values)) = table.column(name).map(|column| &column.values)
        else {
            continue;
        };
        for (subset, rows) in [(Subset::Validation, &split.validation), (Subset::Test, &split.test)] {
            let held: Vec<Option<String>> =
                rows.iter().map(|row| values.get(*row as usize).cloned().flatten()).collect();
            let count = texts(&held).len();
            if count > MAX_TEXTS {
                said.push(format!(
                    "evaluate.slices: `{name}` has {count} texts on {subset}; the {MAX_TEXTS} most frequent have \
                     figures of their own, the others one together"
                ));
            }
        }
    }
    said
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
    let rules = rules(runner)?;
    if let Some(reason) = misread(table, &rules) {
        return Err(PipelineError::Setting {
            pipeline: runner.pipeline.name.to_owned(),
            key: "gate.rules",
            reason,
        });
    }
    let wanted = config.intervals == config::IntervalsName::Bootstrap;
    let mut columns = data::run_features(runner)?;
    columns.truncate(MAX_SEARCHED);
    Ok(EvaluateOptions {
        average: average(runner),
        quantile: runner.pipeline.config.train.quantile(),
        bootstrap: wanted.then(|| bootstrap_options(runner)),
        slices: config.slices.clone(),
        rule_slices: rule_slices(&rules),
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
            let train = &runner.pipeline.config.train;
            if let Some(quantile) = train.quantile().filter(|_| train.command.is_some()) {
                inputs.insert("quantile".to_owned(), json!(quantile));
            }
            Ok(inputs)
        },
        measure,
    )
}

/// Scores the package and returns what the stage leaves.
pub(super) fn measure(runner: &mut Runner<'_>) -> Result<Work, PipelineError> {
    let package = modelgate_model::from_files(model::package_files(runner)?)?;
    let asked = sliced(runner, &rules(runner)?);
    let table = measured(runner, &asked, Mixed::Refuse)?.table;
    let target = data::target(runner, &table)?;
    let split = data::assignment(runner)?;
    let options = evaluate_options(runner, &table)?;
    let evaluation = evaluate_package(&package.model, package.digest, &table, &target, &split, &options)?;
    let mut work = Work::json("evaluation", &evaluation, summary(runner, &evaluation))?;
    work.warnings.extend(cut(runner, &table, &split)?);
    for (subset, found) in &evaluation.subsets {
        let search = found.search.iter().flat_map(|search| &search.left_out);
        work.warnings.extend(search.map(|what| format!("search for weak parts of {subset}: {what}")));
        // One reason is often that of all figures.
        let mut undefined: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (metric, why) in &found.undefined {
            undefined.entry(why).or_default().push(metric);
        }
        let said =
            undefined.iter().map(|(why, metrics)| format!("{} on {subset}: {why}", metrics.join(", ")));
        work.warnings.extend(said);
    }
    Ok(work)
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

/// Returns the rules of the pipeline.
pub(crate) fn rules(runner: &Runner<'_>) -> Result<Vec<GateRule>, PipelineError> {
    pipeline_rules(runner.pipeline)
}

/// Returns the rules of `pipeline`, its own or the default ones, with those that it may not go without.
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
    let rules = crate::policy::with_required_rules(pipeline, rules)?;
    Ok(contract::with_contract_rule(pipeline, rules))
}

/// Returns the times of predictions that rules ask for, measured now if no run has measured them; none when no rule does.
///
/// They are read before the gate looks at its inputs, so that it judges again when they were measured again.
fn times(runner: &mut Runner<'_>, rules: &[GateRule]) -> Result<Vec<(&'static str, f64)>, PipelineError> {
    let Ok(candidate) = runner.output(Stage::Assemble, model::MANIFEST) else { return Ok(Vec::new()) };
    if !asks_times(rules) || runner.options.dry_run {
        return Ok(Vec::new());
    }
    let found = match latency::kept(runner.pipeline, candidate) {
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
        latency::keep(runner.pipeline, package.digest, found)?;
    }
    Ok(found)
}

/// What the gate of a run is asked.
pub(super) struct Asked {
    rules: Vec<GateRule>,
    on: Subset,
    times: Vec<(&'static str, f64)>,
    production: Option<Production>,
    baseline: Option<Baseline>,
}

impl Asked {
    /// Gathers it; the stages up to the evaluation have run.
    pub(super) fn of(runner: &mut Runner<'_>, registry: &Registry) -> Result<Self, PipelineError> {
        let rules = rules(runner)?;
        Ok(Self {
            on: gate_subset(runner),
            times: times(runner, &rules)?,
            production: production::find(registry, &runner.pipeline.model),
            baseline: stored::known(runner.pipeline, registry)?,
            rules,
        })
    }
}

/// Judges the rules.
pub(crate) fn gate(runner: &mut Runner<'_>, registry: &Registry) -> Result<bool, PipelineError> {
    let asked = Asked::of(runner, registry)?;
    let serve = &runner.pipeline.project.config.serve;
    runner.again = readable_again(runner, registry, asked.production.as_ref());
    let Asked { rules, on, times, production, baseline } = &asked;
    runner.step(
        Stage::Gate,
        |runner| {
            let candidate = runner.output(Stage::Assemble, model::MANIFEST)?;
            let mut inputs = Inputs::from([
                ("package".to_owned(), json!(candidate)),
                ("evaluation".to_owned(), json!(runner.output(Stage::Evaluate, "evaluation")?)),
                ("rules".to_owned(), json!(rules)),
                ("evaluate".to_owned(), json!(runner.pipeline.config.evaluate)),
                ("revision".to_owned(), json!(GATE_REVISION)),
                ("on".to_owned(), json!(on)),
                ("served".to_owned(), json!([serve.unknown_category, serve.out_of_contract])),
                ("contract".to_owned(), json!(contract::figures(runner)?)),
                // Nothing is judged by them; the comparison says what changed of them.
                (
                    "files of settings".to_owned(),
                    json!(canonical::digest(&changes::of_files(runner.pipeline)?)?),
                ),
                ("production".to_owned(), json!(production.as_ref().map(|production| production.digest))),
                ("baseline".to_owned(), json!(baseline.as_ref().map(canonical::digest).transpose()?)),
            ]);
            if !times.is_empty() {
                inputs.insert("latency".to_owned(), json!(times));
            }
            let runs = stored::digests_of_runs(runner.pipeline, rules);
            if !runs.is_empty() {
                inputs.insert("runs".to_owned(), json!(runs));
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
        |runner| judged(runner, registry, &asked),
    )
}

/// Judges the package and returns what the stage leaves.
pub(super) fn judged(
    runner: &mut Runner<'_>,
    registry: &Registry,
    asked: &Asked,
) -> Result<Work, PipelineError> {
    let Asked { rules, on, times, production, baseline } = asked;
    let package = modelgate_model::from_files(model::package_files(runner)?)?;
    let evaluation = evaluation(runner)?;
    check_classes(runner.pipeline, evaluation.classes.len())?;
    let found = score_production(runner, registry, production.as_ref(), &package, rules)?;
    let mut comparison = compare(&evaluation, found.candidate.as_ref(), &found.reference);
    comparison.left_out.clone_from(&found.warnings);
    (comparison.data_changes, comparison.configuration_changes) = (found.data, found.configuration);
    let (production, comparisons) = (found.reference, found.comparisons);
    let stored = stored::baseline(runner.pipeline, registry)?;
    // Figures that are not believed are not shown either.
    let shown = baseline.clone().filter(|_| matches!(stored, Reference::Scores(_)));
    comparison.baseline = shown.map(|mut shown| {
        averaged::restate(&mut shown.subsets, average(runner));
        baseline_figures(&shown)
    });
    let mut references = BTreeMap::from([(Versus::Production, production), (Versus::Baseline, stored)]);
    references.extend(stored::runs(runner.pipeline, rules, registry)?);
    let mut candidate = evaluation.scores("the candidate".to_owned(), Some(package.manifest.schema.clone()));
    let figures = contract::figures(runner)?;
    for subset in candidate.subsets.values_mut() {
        let figures = figures.iter().chain(times);
        subset.metrics.extend(figures.map(|(name, value)| ((*name).to_owned(), Some(*value))));
    }
    let footings = found.footing.map(|footing| (Versus::Production, footing)).into_iter().collect();
    let verdict = judge(rules, &Evidence { candidate, references, on: *on, comparisons, footings });
    let mut verdict = verdict.doubted(found.doubts.clone());
    if package.manifest.lineage.algorithm == model::IMPORTED
        && verdict.verdict == modelgate_core::Verdict::Passed
    {
        verdict.sentence.push_str(
            "; the model was made elsewhere: which rows it learned from is not known here, and figures on those prove nothing",
        );
    }
    let mut work = Work::json("verdict", &verdict, format!("{}: {}", verdict.verdict, verdict.sentence))?;
    work.outputs.insert("comparison".to_owned(), canonical::to_string(&comparison)?.into_bytes());
    work.warnings = found.warnings;
    work.warnings.extend(found.doubts);
    work.warnings.extend(constant::warning(rules, &evaluation, *on, average(runner)));
    work.warnings.extend(rule_doubts::doubts(rules));
    work.warnings.extend(tries::warning(runner, registry, package.digest)?);
    Ok(work)
}

/// Returns what is measured of a model that is only compared with.
pub(crate) fn plain_options(runner: &Runner<'_>, rules: &[GateRule]) -> EvaluateOptions {
    let mut options = EvaluateOptions::plain(average(runner));
    options.quantile = runner.pipeline.config.train.quantile();
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

/// Returns the verdict of the gate.
pub(crate) fn verdict(runner: &Runner<'_>) -> Result<GateVerdict, PipelineError> {
    runner.json(Stage::Gate, "verdict")
}

/// Returns the comparison with production.
pub(crate) fn comparison(runner: &Runner<'_>) -> Result<Comparison, PipelineError> {
    runner.json(Stage::Gate, "comparison")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_put_together_where_a_subset_has_many() {
        let column: String = (0..180).map(|row| format!("place {:02},{row}\n", row % 60)).collect();
        let table = modelgate_data::read_csv(
            format!("place,y\n{column}").as_bytes(),
            "d.csv",
            &modelgate_data::ReadOptions::default(),
        );
        let split = SplitAssignment {
            train: (0..60).collect(),
            validation: (60..110).collect(),
            test: (110..180).collect(),
        };
        let said = put_together(&["place".to_owned(), "y".to_owned()], &table.expect("a table"), &split);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("`place` has 60 texts on test; the 50 most frequent"), "{said:?}");
    }
}
