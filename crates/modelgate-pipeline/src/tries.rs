//! How often a model was tried on the same data before one passed: of many, one passes by chance.

use std::collections::BTreeSet;

use modelgate_core::{Digest, Verdict};
use modelgate_registry::Registry;

use crate::error::PipelineError;
use crate::production;
use crate::runner::Runner;
use crate::stage::Stage;

/// With fewer that were refused nothing is told: whoever changes a model tries more than once.
const FEWEST: usize = 3;

/// So many versions back are looked at.
const LOOKED_AT: usize = 200;

/// Says how many other packages the gate refused on these data since production got there, where they are several.
pub(crate) fn warning(
    runner: &Runner<'_>,
    registry: &Registry,
    candidate: Digest,
) -> Result<Option<String>, PipelineError> {
    let model = &runner.pipeline.model;
    let Some(state) = registry.state().models.get(model) else { return Ok(None) };
    let production = production::version(registry, model);
    let data = runner.output(Stage::Snapshot, "data")?;
    let mut refused = BTreeSet::new();
    let since = state.versions.iter().rev().take_while(|(version, _)| Some(**version) != production);
    for (version, found) in since.take(LOOKED_AT) {
        let is_refused = found.verdict == Verdict::Failed && found.digest != candidate;
        if is_refused
            && !refused.contains(&found.digest)
            && registry.registration(model, *version)?.lineage.dataset == data
        {
            refused.insert(found.digest);
        }
    }
    let count = refused.len();
    let since = production.map_or_else(String::new, |version| format!(" since {version}"));
    Ok((count >= FEWEST).then(|| {
        format!(
            "the gate refused {count} other models on these data{since}: of many tries one passes by chance"
        )
    }))
}
