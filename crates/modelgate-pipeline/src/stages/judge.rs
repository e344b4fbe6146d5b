//! Evaluate, analyse and gate: from a package to a verdict.

use std::collections::BTreeMap;

use modelgate_config as config;
use modelgate_core::rule::{GateRule, Subset, Versus};
use modelgate_core::verdict::{Evidence, GateVerdict, Reference, Scores, judge};
use modelgate_core::{Digest, RunId, canonical};
use modelgate_data::split::SplitAssignment;
use modelgate_evaluate::Average;
use modelgate_model::Package;
use modelgate_registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::PipelineError;
use crate::evaluation::{Evaluation, Residuals, evaluate as evaluate_package};
use crate::options::MetricDifference;
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

/// Scores the package, loaded back from its stored bytes.
pub(crate) fn evaluate(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    runner.step(
        Stage::Evaluate,
        |runner| {
            let mut inputs = model::package_inputs(runner)?;
            inputs.insert("evaluate".to_owned(), json!(runner.pipeline.config.evaluate));
            Ok(inputs)
        },
        |runner| {
            let package = modelgate_model::from_files(model::package_files(runner)?)?;
            let table = data::table(runner)?;
            let target = data::target(runner, &table)?;
            let split = data::assignment(runner)?;
            let (evaluation, residuals) =
                evaluate_package(&package.model, package.digest, &table, &target, &split, average(runner))?;
            let mut work = Work::json("evaluation", &evaluation, summary(runner, &evaluation))?;
            work.outputs.insert("residuals".to_owned(), canonical::to_string(&residuals)?.into_bytes());
            for (subset, found) in &evaluation.subsets {
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

/// Draws the confusion matrix or the residuals.
pub(crate) fn analyse(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    let on = gate_subset(runner);
    runner.step(
        Stage::Analyse,
        |runner| {
            Ok(Inputs::from([
                ("evaluation".to_owned(), json!(runner.output(Stage::Evaluate, "evaluation")?)),
                ("residuals".to_owned(), json!(runner.output(Stage::Evaluate, "residuals")?)),
                ("on".to_owned(), json!(on)),
            ]))
        },
        |runner| {
            let evaluation = evaluation(runner)?;
            let Some(found) = evaluation.subsets.get(&on) else {
                return Ok(Work { summary: format!("no plot: no rows on {on}"), ..Work::default() });
            };
            let name = runner.pipeline.name;
            let (file, plot) = if evaluation.classes.is_empty() {
                let all: BTreeMap<Subset, Residuals> = runner.json(Stage::Evaluate, "residuals")?;
                let values = all.get(&on).cloned().unwrap_or_default();
                let title = format!("{name}: residuals on {on}");
                ("residuals", modelgate_evaluate::residual_plot(&title, &values.actual, &values.predicted)?)
            } else {
                let title = format!("{name}: confusion matrix on {on}");
                let plot =
                    modelgate_evaluate::confusion_matrix_plot(&title, &evaluation.classes, &found.confusion)?;
                ("confusion_matrix", plot)
            };
            let outputs = BTreeMap::from([
                (format!("{file}.svg"), plot.svg.into_bytes()),
                (format!("{file}.png"), plot.png),
            ]);
            Ok(Work { outputs, summary: format!("{file}.svg, {file}.png"), ..Work::default() })
        },
    )
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

/// Returns the runs that rules compare with.
fn runs_named(rules: &[GateRule]) -> Vec<RunId> {
    use modelgate_core::rule::Check;
    let named = rules.iter().filter_map(|rule| match &rule.check {
        Check::MaxDrop { versus: Versus::Run(run), .. }
        | Check::MaxRise { versus: Versus::Run(run), .. }
        | Check::SchemaCompatible { versus: Versus::Run(run) } => Some(run.clone()),
        _ => None,
    });
    named.collect()
}

/// Judges the rules.
pub(crate) fn gate(runner: &mut Runner<'_>, registry: &Registry) -> Result<bool, PipelineError> {
    let rules = rules(runner)?;
    let on = gate_subset(runner);
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
                ("on".to_owned(), json!(on)),
                ("contract".to_owned(), json!(contract::figures(runner)?)),
                ("production".to_owned(), json!(production.as_ref().map(|production| production.digest))),
                ("baseline".to_owned(), json!(baseline.as_ref().map(|baseline| baseline.digest))),
            ]);
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
            let production = score_production(runner, registry, production.as_ref())?;
            let comparison = compare(&evaluation, &production);
            let baseline = match &baseline {
                Some(stored) => {
                    let name = format!("baseline {}", stored.version);
                    Reference::Scores(Box::new(stored.evaluation().scores(name, None)))
                }
                None => Reference::None,
            };
            let mut references =
                BTreeMap::from([(Versus::Production, production), (Versus::Baseline, baseline)]);
            for run in runs_named(&rules) {
                let reference = match crate::outputs::evaluation_of_run(runner.pipeline, &run) {
                    Ok(evaluation) => {
                        Reference::Scores(Box::new(evaluation.scores(format!("run {run}"), None)))
                    }
                    Err(error) => Reference::Unavailable(error.to_string()),
                };
                references.insert(Versus::Run(run), reference);
            }
            let mut candidate =
                evaluation.scores("the candidate".to_owned(), Some(package.manifest.schema.clone()));
            let figures = contract::figures(runner)?;
            for subset in candidate.subsets.values_mut() {
                subset.metrics.extend(figures.iter().map(|(name, value)| ((*name).to_owned(), Some(*value))));
            }
            let verdict = judge(&rules, &Evidence { candidate, references, on });
            let mut work =
                Work::json("verdict", &verdict, format!("{}: {}", verdict.verdict, verdict.sentence))?;
            work.outputs.insert("comparison".to_owned(), canonical::to_string(&comparison)?.into_bytes());
            Ok(work)
        },
    )
}

/// Scores the model in production on the candidate's rows.
fn score_production(
    runner: &mut Runner<'_>,
    registry: &Registry,
    production: Option<&Production>,
) -> Result<Reference, PipelineError> {
    let Some(production) = production else { return Ok(Reference::None) };
    let name = format!("production {}", production.version);
    let model = runner.pipeline.model.clone();
    let candidate = runner.output(Stage::Assemble, model::MANIFEST)?;
    if production.digest == candidate {
        return Ok(Reference::Scores(Box::new(Scores {
            name,
            digest: Some(candidate),
            ..Scores::default()
        })));
    }
    let loaded = registry
        .version_files(&model, production.version)
        .map_err(PipelineError::from)
        .and_then(|files| Ok(modelgate_model::from_files(files)?));
    let package: Package = match loaded {
        Ok(package) => package,
        Err(error) => return Ok(Reference::Unavailable(format!("{name}: {error}"))),
    };
    let table = data::table(runner)?;
    let target = data::target(runner, &table)?;
    let split: SplitAssignment = data::assignment(runner)?;
    let schema = package.manifest.schema.clone();
    match evaluate_package(&package.model, package.digest, &table, &target, &split, average(runner)) {
        Ok((evaluation, _)) => Ok(Reference::Scores(Box::new(evaluation.scores(name, Some(schema))))),
        // What it takes is still known, so that the schema rule can say what changed.
        Err(error) => {
            runner.reporter.note(&format!("{name} cannot be scored on these rows: {error}"));
            let digest = Some(package.digest);
            Ok(Reference::Scores(Box::new(Scores {
                name,
                digest,
                schema: Some(schema),
                ..Scores::default()
            })))
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
