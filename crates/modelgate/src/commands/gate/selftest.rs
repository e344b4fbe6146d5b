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
                TrialOutcome::NotApplicable => "does not apply",
            };
            if let Some(reason) = &trial.reason {
                printer.data(&format!("{word}: {}: {reason}", trial.name))?;
                continue;
            }
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
    if !came(TrialOutcome::Refused) {
        return (Exit::Inconclusive, "there was no model that the gate must refuse: nothing is known of it");
    }
    if !found.learns {
        let sentence = "the gate refuses damaged weights; the training does not learn from the rows that it is given, so that nothing \
                        is known of whether it would refuse a model that learned nothing";
        return (Exit::Passed, sentence);
    }
    if came(TrialOutcome::NotApplicable) {
        return (Exit::Passed, "the gate refuses what it must, as far as it could be tried");
    }
    (Exit::Passed, "the gate refuses what it must")
}

#[cfg(test)]
mod tests {
    use modelgate_core::verdict::GateVerdict;
    use modelgate_pipeline::selftest::Trial;

    use super::*;

    #[test]
    fn a_trial_that_says_nothing_of_the_gate_leaves_the_others_to_decide() {
        let came = |outcomes: &[TrialOutcome], learns: bool| {
            let trials = outcomes.iter().map(|outcome| Trial {
                name: "a model".to_owned(),
                verdict: GateVerdict::of(Vec::new(), false, None),
                outcome: *outcome,
                let_through: false,
                too_weak: Vec::new(),
                undecided: Vec::new(),
                reason: None,
            });
            let trials = trials.collect();
            let found = SelfTest { schema_version: 1, pipeline: "p".to_owned(), trials, learns };
            ending(&found)
        };
        let ended = |outcomes: &[TrialOutcome]| came(outcomes, true).0;
        let [nothing, refused] = [TrialOutcome::NotApplicable, TrialOutcome::Refused];
        assert_eq!(ended(&[nothing, refused]), Exit::Passed);
        let (exit, sentence) = came(&[nothing, refused], false);
        assert!(exit == Exit::Passed && sentence.contains("does not learn from the rows"), "{sentence}");
        assert!(!sentence.contains("refuses what it must"), "{sentence}");
        assert_eq!(ended(&[nothing, TrialOutcome::LetThrough]), Exit::Blocked);
        assert_eq!(ended(&[nothing, TrialOutcome::Undecided]), Exit::Inconclusive);
        assert_eq!(ended(&[nothing, nothing]), Exit::Inconclusive);
    }
}
