//! `modelgate gate selftest`.

use std::path::Path;

use modelgate_core::verdict::Outcome;
use modelgate_pipeline::selftest::{SelfTest, TrialOutcome, advice, holds_alone, selftest};
use modelgate_pipeline::{Pipeline, pipeline_rules};

use crate::environment::surroundings;
use crate::exit::Exit;
use crate::printer::{Printer, coloured};
use crate::progress::StageLines;

pub(super) fn execute(pipeline: Option<&str>, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let project = crate::commands::project(folder)?;
    let pipeline = project.pipeline(pipeline)?;
    let found = selftest(&pipeline, &surroundings(), &mut StageLines::new(printer))?;
    if printer.is_json() {
        printer.json(&found)?;
    } else {
        for trial in &found.trials {
            let word = match trial.outcome {
                TrialOutcome::Refused => "refused",
                TrialOutcome::LetThrough => "let through",
                TrialOutcome::Undecided => "undecided",
            };
            let verdict = trial.verdict.verdict.to_string();
            printer.data(&format!("{word}: {} (verdict {})", trial.name, coloured(&verdict)))?;
            for rule in &trial.too_weak {
                printer.data(&format!("  too weak: {rule}"))?;
            }
            let rules = trial.verdict.rules.iter().filter(|_| trial.let_through);
            for rule in rules.filter(|rule| rule.outcome == Outcome::NotApplicable) {
                printer.data(&format!("  does not apply: {}: {}", rule.id, rule.sentence))?;
            }
            for rule in &trial.undecided {
                printer.data(&format!("  says nothing of the model: {rule}"))?;
            }
        }
    }
    let (exit, sentence) = ending(&found);
    match without_production(&found, &pipeline)? {
        Some(sentence) => printer.talk(&sentence),
        None => printer.talk(sentence),
    }
    Ok(exit)
}

/// Says what the gate lacks where a model came through since no rule holds while nothing is in production.
fn without_production(found: &SelfTest, pipeline: &Pipeline<'_>) -> anyhow::Result<Option<String>> {
    let is_through = found.trials.iter().any(|trial| trial.let_through && trial.verdict.bootstrap);
    if !is_through || pipeline_rules(pipeline)?.iter().any(holds_alone) {
        return Ok(None);
    }
    Ok(Some(format!(
        "the gate lets a model through that it must refuse: nothing is in production yet, and none of its rules holds \
         without that; {}",
        advice(pipeline)
    )))
}

/// Returns how the command ends, and what it says at last.
fn ending(found: &SelfTest) -> (Exit, &'static str) {
    let came = |outcome| found.trials.iter().any(|trial| trial.outcome == outcome);
    if came(TrialOutcome::LetThrough) {
        let sentence = "the gate lets a model through that it must refuse: tighten the rules that are named";
        return (Exit::Blocked, sentence);
    }
    if came(TrialOutcome::Undecided) {
        let sentence = "no rule that has seen the model refuses it, and it did not pass either: add a rule on what a model is worth, \
                        or give the rules that are named what they need";
        return (Exit::Inconclusive, sentence);
    }
    (Exit::Passed, "the gate refuses what it must")
}
