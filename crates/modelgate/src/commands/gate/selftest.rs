//! `modelgate gate selftest`.

use std::path::Path;

use modelgate_pipeline::selftest::{SelfTest, TrialOutcome, selftest};

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
            for rule in &trial.undecided {
                printer.data(&format!("  says nothing of the model: {rule}"))?;
            }
        }
    }
    let (exit, sentence) = ending(&found);
    printer.talk(sentence);
    Ok(exit)
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
