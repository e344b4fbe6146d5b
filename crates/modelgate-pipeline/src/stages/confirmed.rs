//! A verdict that an earlier run left is believed only where judging the package again comes to the same: it was taken from files
//! that others can write, and the ledger keeps for ever what is registered by it.

use modelgate_core::Digest;
use modelgate_registry::Registry;

use crate::error::PipelineError;
use crate::runner::{Runner, Work};
use crate::stage::Stage;
use crate::stages::judge::{Asked, judged, measure};

/// Refuses figures and a verdict that are not what comes of scoring the package; what this run scored itself is believed.
///
/// # Errors
/// Names the file that says otherwise, and how the package is judged again.
pub(super) fn confirm(runner: &mut Runner<'_>, registry: &Registry) -> Result<(), PipelineError> {
    if !runner.ran(Stage::Evaluate) {
        let work = measure(runner)?;
        is_what_is_kept(runner, Stage::Evaluate, "evaluation", &work)?;
    }
    if !runner.ran(Stage::Gate) {
        let asked = Asked::of(runner, registry)?;
        let work = judged(runner, registry, &asked)?;
        is_what_is_kept(runner, Stage::Gate, "verdict", &work)?;
    }
    Ok(())
}

fn is_what_is_kept(
    runner: &Runner<'_>,
    stage: Stage,
    name: &'static str,
    work: &Work,
) -> Result<(), PipelineError> {
    let found = work.outputs.get(name).map(|bytes| Digest::of(bytes));
    if found == Some(runner.output(stage, name)?) {
        return Ok(());
    }
    let pipeline = runner.pipeline.name.to_owned();
    Err(PipelineError::Unconfirmed {
        name,
        record: runner.pipeline.records().join(format!("{stage}.json")),
        pipeline,
    })
}
