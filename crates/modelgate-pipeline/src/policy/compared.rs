//! A version follows another into production only where it was judged beside that one: not as the first of its name, nor
//! beside what was in production before.

use modelgate_core::lifecycle::ModelState;
use modelgate_core::verdict::{GateVerdict, Outcome};
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_registry::Registry;

use crate::error::PipelineError;
use crate::production::version_of_name;

/// Refuses a version whose rules on production were held against another package than the one that is there now, or were left
/// out because there was none. A version that was in production has been judged there.
///
/// # Errors
/// Names the rules, and what they were held against.
pub fn check_compared(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    let state = registry.model(model)?;
    // The lifecycle refuses a version that is not there in its own words.
    let Some(found) = state.versions.get(&version) else { return Ok(()) };
    let production = state.production().and_then(|now| Some((now, state.versions.get(&now)?.digest)));
    let Some((production, now)) = production.filter(|(_, now)| *now != found.digest) else {
        return Ok(());
    };
    if registry.was_in_production(model, version)? {
        return Ok(());
    }
    let verdict: GateVerdict = serde_json::from_slice(&registry.object(&found.verdict_digest)?)?;
    let Some(lack) = uncompared(&verdict, state, now) else { return Ok(()) };
    Err(PipelineError::Policy(match lack {
        Uncompared::First(rules) => format!(
            "{model} {version} was judged when nothing was in production, without {}, and {production} is there now: train it \
             again with `modelgate run`, or bring it again with `modelgate model import`, to judge it beside {production}",
            listed(&rules)
        ),
        Uncompared::Other(rules, beside) => format!(
            "{model} {version} was judged beside {beside}, by {}, and {production} is in production now: `modelgate run` judges \
             what the pipeline makes beside {production}, and `modelgate model pull {model} {version} --to DIR` with \
             `modelgate model promote {model} --from-run DIR` this package",
            listed(&rules)
        ),
    }))
}

/// Why a verdict says nothing of a version beside the package in production; each with the rules that do not.
#[derive(PartialEq, Eq, Debug)]
enum Uncompared<'a> {
    /// There was none when it was judged.
    First(Vec<&'a str>),
    /// Another was there.
    Other(Vec<&'a str>, VersionNumber),
}

/// Returns why a verdict says nothing of a version beside the package `now`, which is in production, if it does not.
fn uncompared<'a>(verdict: &'a GateVerdict, state: &ModelState, now: Digest) -> Option<Uncompared<'a>> {
    let left_out = verdict
        .rules
        .iter()
        .filter(|rule| verdict.bootstrap && rule.outcome == Outcome::NotApplicable)
        .map(|rule| rule.id.as_str());
    let left_out: Vec<&str> = left_out.collect();
    if !left_out.is_empty() {
        return Some(Uncompared::First(left_out));
    }
    // A number is never given again, so that it names the package; and the same package may have several.
    let beside = verdict.rules.iter().filter_map(|rule| {
        let beside = version_of_name(rule.reference_name.as_deref()?)?;
        let digest = state.versions.get(&beside).map(|found| found.digest);
        (digest != Some(now)).then_some((rule.id.as_str(), beside))
    });
    let (rules, versions): (Vec<&str>, Vec<VersionNumber>) = beside.unzip();
    Some(Uncompared::Other(rules, *versions.first()?))
}

fn listed(rules: &[&str]) -> String {
    rules.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use modelgate_core::Verdict;
    use modelgate_core::lifecycle::{Stage, VersionState};
    use modelgate_core::rule::Subset;
    use modelgate_core::verdict::RuleResult;

    use super::*;

    fn version(package: &[u8]) -> VersionState {
        VersionState {
            digest: Digest::of(package),
            verdict: Verdict::Passed,
            verdict_digest: Digest::of(b"verdict"),
            stage: Stage::Candidate,
            approval: None,
            quarantined: false,
            signature: None,
        }
    }

    fn state() -> ModelState {
        let versions =
            [(1, version(b"one")), (2, version(b"two")), (3, version(b"three")), (4, version(b"one"))];
        let versions = versions.map(|(number, state)| (VersionNumber(number), state));
        ModelState::from_parts(BTreeMap::from(versions), BTreeMap::new(), None, None)
    }

    fn rule(id: &str, outcome: Outcome, beside: Option<&str>) -> RuleResult {
        RuleResult {
            reference_name: beside.map(str::to_owned),
            ..RuleResult::without_figures(id, "f1", Subset::Validation, outcome, "")
        }
    }

    fn verdict(bootstrap: bool, rules: Vec<RuleResult>) -> GateVerdict {
        GateVerdict::of(rules, bootstrap, Some(Digest::of(b"two")))
    }

    #[test]
    fn a_verdict_beside_one_package_says_nothing_of_another() {
        let (state, bound) = (state(), || rule("floor", Outcome::Passed, None));
        let beside = |name: &str| {
            let rules = vec![
                bound(),
                rule("drop", Outcome::Passed, Some(name)),
                rule("old", Outcome::Passed, Some("baseline v003")),
            ];
            verdict(false, rules)
        };
        let now = |package: &[u8]| Digest::of(package);
        let judged = beside("production v001");
        assert_eq!(uncompared(&judged, &state, now(b"one")), None);
        assert_eq!(
            uncompared(&judged, &state, now(b"three")),
            Some(Uncompared::Other(vec!["drop"], VersionNumber(1)))
        );
        // The same package under another number is the same model.
        assert_eq!(uncompared(&beside("production v004"), &state, now(b"one")), None);
        // A number that is not here is of no package here.
        assert!(uncompared(&beside("production v009"), &state, now(b"one")).is_some());
        // Rules that compare with nothing in production hold beside everything.
        assert_eq!(uncompared(&verdict(false, vec![bound()]), &state, now(b"three")), None);
        assert_eq!(uncompared(&beside("baseline v001"), &state, now(b"three")), None);
    }

    #[test]
    fn what_was_left_out_for_a_first_model_is_named() {
        let (state, first) = (state(), rule("drop", Outcome::NotApplicable, None));
        let judged = verdict(true, vec![rule("floor", Outcome::Passed, None), first]);
        let now = Digest::of(b"three");
        assert_eq!(uncompared(&judged, &state, now), Some(Uncompared::First(vec!["drop"])));
        assert_eq!(uncompared(&verdict(true, vec![rule("floor", Outcome::Passed, None)]), &state, now), None);
    }
}
