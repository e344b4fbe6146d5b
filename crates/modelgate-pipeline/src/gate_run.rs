//! The gate on the figures of a run that is over: a rule that the run was judged by comes out as it did there, another is
//! judged by what the run left.
//!
//! No model is scored here: that would need the rows, which may have changed since.

use std::collections::BTreeMap;

use modelgate_config::SubsetName;
use modelgate_core::rule::{GateRule, Subset, Versus, slice_name};
use modelgate_core::verdict::{
    Comparisons, Evidence, GateVerdict, Outcome, Reference, RuleResult, Scores, SubsetScores, judge,
};
use modelgate_core::{Digest, RunId};
use modelgate_data::contract::{ContractReport, Severity};
use modelgate_evaluate::Average;
use modelgate_store::ContentStore;
use serde_json::json;

use crate::averaged;
use crate::error::PipelineError;
use crate::gate_check::Figures;
use crate::latency;
use crate::outputs::{self, PromotionDecision, RunReport};
use crate::project::Pipeline;
use crate::record::StageRecord;
use crate::stage::Stage;
use crate::stages::beside::{BaselineFigures, Comparison};
use crate::stages::contract;
use crate::stages::judge::pipeline_rules;
use crate::stored;

/// Judges the figures of `run` by `given`, or by the rules of `pipeline` when there are none.
///
/// # Errors
/// Fails when the run left no figures, or a rule makes no sense.
pub fn gate_check_run(
    pipeline: &Pipeline<'_>,
    run: &RunId,
    given: Vec<GateRule>,
) -> Result<(Figures, GateVerdict), PipelineError> {
    let mut evaluation = outputs::evaluation_of_run(pipeline, run)?;
    averaged::restate(&mut evaluation.subsets, averaged::average(pipeline));
    let rules = if given.is_empty() { pipeline_rules(pipeline)? } else { given };
    let on = match pipeline.config.gate.on {
        SubsetName::Validation => Subset::Validation,
        SubsetName::Test => Subset::Test,
    };
    // What lies beside the last verdict is of that verdict's run alone.
    let decision: Option<PromotionDecision> = outputs::read(pipeline, "promotion_decision.json");
    let is_last = decision.is_some_and(|decision| decision.run_id == *run);
    let comparison: Option<Comparison> =
        is_last.then(|| outputs::read(pipeline, "comparison.json")).flatten();
    let mut candidate = evaluation.scores("the candidate".to_owned(), None);
    if is_last {
        let found = others(pipeline, evaluation.digest);
        for subset in candidate.subsets.values_mut() {
            subset.metrics.extend(found.iter().map(|(name, value)| ((*name).to_owned(), Some(*value))));
        }
    }
    let metrics = candidate.subsets.get(&on).map(|found| found.metrics.clone());
    let figures = Figures::of(metrics.unwrap_or_default());
    let mut references = stored_figures(pipeline, &rules, comparison.as_ref())?;
    references.insert(Versus::Production, in_production(comparison.as_ref(), averaged::average(pipeline)));
    let (comparisons, footings) = (Comparisons::default(), BTreeMap::new());
    let evidence = Evidence { candidate, references, on, comparisons, footings };
    let mut verdict = judge(&rules, &evidence);
    let known = is_last.then(|| Judged::read(pipeline, on)).flatten();
    let newest: Option<RunReport> = outputs::read(pipeline, "run_report.json");
    let again = Again { run, is_newest: newest.is_some_and(|newest| newest.run_id == *run) };
    for (rule, result) in rules.iter().zip(&mut verdict.rules) {
        if let Some(before) = known.as_ref().and_then(|known| known.result(rule)) {
            before.clone_into(result);
        } else if lacks_slice(&evidence, rule, on) {
            result.sentence = format!(
                "the run {run} has no figures of rows where {}: none of its rules was on them, or there are no such rows; {}",
                slice_name(&rule.slice),
                again.advice("`modelgate run --from evaluate` measures them")
            );
        } else if result.outcome == Outcome::Inconclusive && rule.check.versus().is_some() {
            let advice = again.advice("`modelgate run --from gate` scores both models and judges the rule");
            result.sentence.push_str(&format!("; {advice}"));
        }
    }
    let bootstrap = known.as_ref().map_or(verdict.bootstrap, |known| known.verdict.bootstrap);
    Ok((figures, GateVerdict::of(verdict.rules, bootstrap, Some(evaluation.digest))))
}

/// Whether what a run did not keep can be made again.
struct Again<'a> {
    run: &'a RunId,
    is_newest: bool,
}

impl Again<'_> {
    /// Returns `advice` for the newest run; a run from one of the last stages would judge that one and no older one.
    fn advice(&self, advice: &str) -> String {
        if self.is_newest {
            return advice.to_owned();
        }
        format!(
            "{} is not the newest run: what it did not keep is measured by a new run of its data and settings",
            self.run
        )
    }
}

/// Holds for a rule on a part of the rows of which nothing was measured.
fn lacks_slice(evidence: &Evidence, rule: &GateRule, on: Subset) -> bool {
    let slice = slice_name(&rule.slice);
    let figures = evidence.candidate.subsets.get(&rule.on.unwrap_or(on));
    !slice.is_empty() && figures.is_some_and(|figures| !figures.slices.contains_key(&slice))
}

/// The last verdict, with the rules that it is of.
struct Judged {
    rules: Vec<serde_json::Value>,
    verdict: GateVerdict,
}

impl Judged {
    /// Reads what the gate left; `None` when that is not what `verdict.json` says, or it looked at other rows.
    fn read(pipeline: &Pipeline<'_>, on: Subset) -> Option<Self> {
        let verdict: GateVerdict = outputs::read(pipeline, "verdict.json")?;
        let record = StageRecord::load(&pipeline.records(), Stage::Gate)?;
        let store = ContentStore::new(&pipeline.project.state_folder());
        let kept = store.get(record.outputs.get("verdict")?).ok()?;
        let kept: GateVerdict = serde_json::from_slice(&kept).ok()?;
        let rules = record.inputs.get("rules")?.as_array()?.clone();
        let is_it = kept == verdict && record.inputs.get("on") == Some(&json!(on));
        is_it.then_some(Self { rules, verdict })
    }

    /// Returns how `rule` came out, when it was one of the rules, word for word.
    fn result(&self, rule: &GateRule) -> Option<&RuleResult> {
        let at = self.rules.iter().position(|known| *known == json!(rule))?;
        self.verdict.rules.get(at)
    }
}

/// Returns production's figures as the run measured them on its rows, by the average of today.
fn in_production(comparison: Option<&Comparison>, average: Average) -> Reference {
    let Some(comparison) = comparison else {
        let why = "its figures on the rows of this run are not kept";
        return Reference::Unavailable(why.to_owned());
    };
    // Its figures are of other rows than the candidate's.
    if !comparison.left_out.is_empty() {
        return Reference::Unavailable(comparison.left_out.join("; "));
    }
    match (&comparison.production, &comparison.unavailable) {
        (Some(name), _) => {
            let subsets = comparison.subsets.iter().map(|(subset, rows)| {
                let known = rows.iter().map(|row| (row.metric.clone(), row.production));
                let mut metrics = known.filter(|(_, value)| value.is_some()).collect();
                averaged::restate_metrics(&mut metrics, average);
                (*subset, SubsetScores { metrics, ..SubsetScores::default() })
            });
            let scores = Scores { name: name.clone(), subsets: subsets.collect(), ..Scores::default() };
            Reference::Scores(Box::new(scores))
        }
        (None, Some(why)) => Reference::Unavailable(why.clone()),
        (None, None) => Reference::None,
    }
}

/// Returns the figures of the runs that rules name, and of the committed baseline: as the run knew it, or as it is now.
/// The registry is asked only where a rule needs it.
fn stored_figures(
    pipeline: &Pipeline<'_>,
    rules: &[GateRule],
    comparison: Option<&Comparison>,
) -> Result<BTreeMap<Versus, Reference>, PipelineError> {
    let needs = |rule: &GateRule| matches!(rule.check.versus(), Some(Versus::Run(_) | Versus::Baseline));
    if !rules.iter().any(needs) {
        return Ok(BTreeMap::new());
    }
    let registry = crate::run::registry(pipeline.project)?;
    let mut references = stored::runs(pipeline, rules, &registry)?;
    let known =
        comparison.and_then(|comparison| comparison.baseline.as_ref()).map(|found: &BaselineFigures| {
            let subsets = found.subsets.iter().map(|(subset, figures)| {
                let mut metrics = figures.iter().map(|(name, value)| (name.clone(), Some(*value))).collect();
                averaged::restate_metrics(&mut metrics, averaged::average(pipeline));
                (*subset, SubsetScores { metrics, ..SubsetScores::default() })
            });
            let (name, subsets) = (found.name.clone(), subsets.collect());
            Reference::Scores(Box::new(Scores { name, subsets, ..Scores::default() }))
        });
    let baseline = match (comparison, known) {
        (Some(_), Some(known)) => known,
        _ => stored::baseline(pipeline, &registry)?,
    };
    references.insert(Versus::Baseline, baseline);
    Ok(references)
}

/// Returns what rules may be on besides the figures of an evaluation: violations of the contract and times.
fn others(pipeline: &Pipeline<'_>, package: Digest) -> BTreeMap<&'static str, f64> {
    let mut found = BTreeMap::new();
    let report: Option<ContractReport> = outputs::read(pipeline, "contract_report.json");
    if let Some(report) = report.filter(|_| pipeline.config.data.contract.is_some()) {
        found.extend(contract::counts(report.count(Severity::Error), report.count(Severity::Warning)));
    }
    // As the gate of the run knew them: what lies in the outputs anybody may edit.
    if let Some(latency) = latency::kept(pipeline, package) {
        found.extend(latency.figures());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_from_a_late_stage_is_advised_for_the_newest_run_alone() {
        let run: RunId = "run-20260101-000000-abcdef".parse().expect("an id");
        let said = |is_newest| Again { run: &run, is_newest }.advice("`modelgate run --from gate` judges it");
        assert_eq!(said(true), "`modelgate run --from gate` judges it");
        assert!(
            !said(false).contains("--from") && said(false).contains("is not the newest run"),
            "{}",
            said(false)
        );
    }
}
