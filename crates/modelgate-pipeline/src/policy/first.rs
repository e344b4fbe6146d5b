//! A version that was judged as the first of its name does not follow another into production unjudged.

use modelgate_core::verdict::{GateVerdict, Outcome};
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::Registry;

use crate::error::PipelineError;

/// Refuses a version whose rules on production were left out because there was none, where there is one now. A version
/// that was in production has been judged there.
///
/// # Errors
/// Names the rules that did not apply.
pub fn check_compared(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    let state = registry.model(model)?;
    // The lifecycle refuses a version that is not there in its own words.
    let Some(found) = state.versions.get(&version) else { return Ok(()) };
    let production = state.production().and_then(|now| Some((now, state.versions.get(&now)?)));
    let Some((production, _)) = production.filter(|(_, now)| now.digest != found.digest) else {
        return Ok(());
    };
    if registry.was_in_production(model, version)? {
        return Ok(());
    }
    let verdict: GateVerdict = serde_json::from_slice(&registry.object(&found.verdict_digest)?)?;
    let left_out: Vec<String> = verdict
        .rules
        .iter()
        .filter(|rule| verdict.bootstrap && rule.outcome == Outcome::NotApplicable)
        .map(|rule| format!("`{}`", rule.id))
        .collect();
    if left_out.is_empty() {
        return Ok(());
    }
    Err(PipelineError::Policy(format!(
        "{model} {version} was judged when nothing was in production, without {}, and {production} is there now: train it \
         again with `modelgate run`, or bring it again with `modelgate model import`, to judge it beside {production}",
        left_out.join(", ")
    )))
}
