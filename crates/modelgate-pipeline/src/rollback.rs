//! Back to an earlier version: verify it, say so in the ledger, move the package, record that it is done.

mod way_out;

use std::collections::{BTreeMap, BTreeSet};

use modelgate_core::ledger::{Registration, Verification};
use modelgate_core::lifecycle::Event;
use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_registry::Registry;

use crate::averaged;
use crate::error::PipelineError;
use crate::measured_on::MeasuredOn;
use crate::notify::Notice;
use crate::options::Surroundings;
use crate::packaged::check_packaged;
use crate::probe::{self, PROBES, Probes};
use crate::production::Production;
use crate::project::Project;
use crate::promotion::{bring, materialise, package_of, place_package};
use crate::run::check_manual_promotion;
use crate::unfinished::{self, Work};
use crate::{policy, production};

pub use crate::unfinished::check_followed;
pub(crate) use way_out::kept_ready;
pub use way_out::{WayOut, check_quarantine, quarantine, take_out, way_out};

/// How many stays in production are looked at for versions that can be gone back to.
const LOOKED_AT: usize = 10_000;

/// What a person asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RollbackRequest {
    /// The model.
    pub model: ModelName,
    /// The version to go back to.
    pub to: VersionNumber,
    /// The version in production when this was decided, if any; when it is another by then, nothing happens.
    pub from: Option<VersionNumber>,
    /// Why; needed.
    pub reason: String,
    /// Move without looking at the target; the ledger keeps it.
    pub skip_verification: bool,
    /// Take the target out of quarantine first; the ledger keeps it.
    pub override_quarantine: bool,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RolledBack {
    /// The version that was in production, and is quarantined; `None` where nothing was there.
    pub from: Option<VersionNumber>,
    /// The version that is in production.
    pub to: VersionNumber,
    /// Its package.
    pub digest: Digest,
}

/// A version that could be gone back to, as a person chooses from them.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// The version.
    pub version: VersionNumber,
    /// When it was trained.
    pub trained_at: String,
    /// When it last reached production, microseconds since 1970.
    pub in_production_since: i64,
    /// When another version took its place.
    pub in_production_until: i64,
    /// Why its figures are not held against those of production: they are of other rows.
    pub other_rows: Option<&'static str>,
    /// Why it cannot take over as it lies, if its package is damaged or is not there.
    pub damaged: Option<String>,
    /// Its figures, and how each differs from production's where both are known, and of the same rows.
    pub metrics: BTreeMap<String, (f64, Option<f64>)>,
}

/// A stay in production.
pub(crate) struct Stay {
    pub(crate) version: VersionNumber,
    /// When it began, microseconds since 1970.
    since: i64,
    /// When the next one began.
    until: i64,
}

/// Returns the last stay of each version that can be gone back to, the latest in production first. While nothing is in
/// production there are such versions too.
pub(crate) fn former(registry: &Registry, model: &ModelName) -> Result<Vec<Stay>, PipelineError> {
    let state = registry.model(model)?;
    let mut seen = BTreeSet::new();
    let mut until = i64::MAX;
    let stays = registry.tenures(model, LOOKED_AT)?.into_iter().map(|(version, since)| {
        // The newest first: each was there until the one before it in this list came.
        Stay { version, since, until: std::mem::replace(&mut until, since) }
    });
    Ok(stays.filter(|stay| state.can_be_gone_back_to(stay.version) && seen.insert(stay.version)).collect())
}

/// Returns the versions that can be gone back to, the latest in production first.
///
/// # Errors
/// Fails when the registry cannot be read.
pub fn targets(registry: &Registry, model: &ModelName, at_most: usize) -> Result<Vec<Target>, PipelineError> {
    let production = registry.model(model)?.production();
    let current = production.map(|version| registry.registration(model, version)).transpose()?;
    let measured = |registration: &Registration| MeasuredOn::of(registry, registration).0;
    let rows = current.as_ref().map(measured);
    let mut found: Vec<Target> = Vec::new();
    for Stay { version, since, until } in former(registry, model)?.into_iter().take(at_most) {
        let registration = registry.registration(model, version)?;
        let other_rows = rows.as_ref().and_then(|rows| measured(&registration).differs(rows));
        let mut comparable: BTreeMap<&str, f64> = BTreeMap::new();
        if let Some(current) = current.as_ref().filter(|_| other_rows.is_none()) {
            let otherwise = averaged::incomparable([&current.metrics, &registration.metrics]);
            let figures = current.metrics.iter().filter(|(name, _)| !otherwise.contains(&name.as_str()));
            comparable.extend(figures.map(|(name, value)| (name.as_str(), *value)));
        }
        let damaged = match package_of(registry, model, version) {
            Ok(_) => None,
            // Nothing was found out about it.
            Err(error) if error.is_unanswered() => return Err(error),
            Err(error) => Some(error.to_string()),
        };
        let metrics = registration.metrics.into_iter().map(|(metric, value)| {
            let difference = comparable.get(metric.as_str()).map(|current| value - current);
            (metric, (value, difference))
        });
        found.push(Target {
            version,
            trained_at: registration.lineage.trained_at,
            in_production_since: since,
            in_production_until: until,
            other_rows,
            damaged,
            metrics: metrics.collect(),
        });
    }
    Ok(found)
}

/// Returns the production before this one, or the last one where nothing is in production.
///
/// # Errors
/// Says that there is none.
pub fn default_target(registry: &Registry, model: &ModelName) -> Result<VersionNumber, PipelineError> {
    latest_before(registry, model)?.ok_or_else(|| match production::version(registry, model) {
        None => PipelineError::Policy(format!(
            "{model}: nothing is in production, and no version was there that could be gone back to"
        )),
        Some(production) => PipelineError::Policy(format!(
            "{model}: no version was in production before {production} that could be gone back to; `--or-none` \
             quarantines {production}, and nothing is in production then"
        )),
    })
}

/// Returns the production before this one, if one can be gone back to.
fn latest_before(registry: &Registry, model: &ModelName) -> Result<Option<VersionNumber>, PipelineError> {
    Ok(former(registry, model)?.first().map(|stay| stay.version))
}

/// What was seen of a version's answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answered {
    /// It gives those that were stored when it was registered.
    AsStored,
    /// None are stored: whoever registered it left no rows.
    NothingStored,
}

/// Checks that a version can take over: its files are those that were registered, it loads, it gives its stored
/// answers, and it is signed where the policy asks for that.
///
/// # Errors
/// Says what is wrong with it.
pub fn verify_version(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Answered, PipelineError> {
    let registration = registry.registration(model, version)?;
    let (_, package) = package_of(registry, model, version)?;
    policy::check_signature(project, registry, model, version)?;
    let Some(stored) = registration.checks.get(PROBES) else { return Ok(Answered::NothingStored) };
    let probes: Probes = serde_json::from_slice(&registry.object(stored)?)?;
    probe::check(&package, &probes)?;
    Ok(Answered::AsStored)
}

/// What is to be written before anything moves, once nothing that can be known stands against it.
struct Planned {
    /// The version in production.
    from: Option<VersionNumber>,
    events: Vec<(VersionNumber, Event)>,
    now: String,
}

fn planned(
    project: &Project,
    registry: &Registry,
    request: &RollbackRequest,
    surroundings: &Surroundings<'_>,
) -> Result<Planned, PipelineError> {
    let (model, to) = (&request.model, request.to);
    registry.resolve(model, &to.to_string())?;
    let from = production::version(registry, model);
    check_from(model, request.from, from)?;
    let mut events = if request.override_quarantine {
        policy::override_quarantine(project, registry, model, to, &request.reason, surroundings)?
    } else {
        Vec::new()
    };
    let verification = if request.skip_verification { Verification::Skipped } else { Verification::Verified };
    let (origin, reason) = (unfinished::origin(project), request.reason.clone());
    events.push((
        to,
        match from {
            Some(_) => Event::IntendRollBack { reason, verification, origin },
            None => Event::Promote { over: None, reason: said_of_verification(&reason, verification) },
        },
    ));
    let now = (surroundings.now)();
    // A version that cannot be gone back to need not be read, and nothing is written of it.
    registry.allows(model, &events, &now, &surroundings.actor)?;
    let is_approved_now = events.iter().any(|(_, event)| matches!(event, Event::Approve { .. }));
    check_policy(project, registry, request, is_approved_now, &now)?;
    if verification == Verification::Verified {
        verify_target(project, registry, model, to).map_err(|error| match error {
            PipelineError::Policy(why) => PipelineError::Policy(format!("production is unchanged: {why}")),
            other => other,
        })?;
    } else if from.is_none() {
        // A promotion is not undone where the package cannot be moved.
        package_of(registry, model, to)?;
    }
    check_packaged(project, model)?;
    Ok(Planned { from, events, now })
}

/// Returns the reason of an event that has no place of its own for what was not looked at.
fn said_of_verification(reason: &str, verification: Verification) -> String {
    match verification {
        Verification::Verified => reason.to_owned(),
        Verification::Skipped => format!("{reason} (verification skipped)"),
    }
}

/// Asks everything that could stand against going back, as [`rollback`] does, and writes nothing.
///
/// # Errors
/// Says what stands against it.
pub fn rehearse(
    project: &Project,
    registry: &Registry,
    request: &RollbackRequest,
    surroundings: &Surroundings<'_>,
) -> Result<(), PipelineError> {
    planned(project, registry, request, surroundings).map(drop)
}

/// Goes back to a version. A failure before the package is in place undoes what was begun. Where nothing is in production
/// the version is promoted once more, and nothing is quarantined.
///
/// # Errors
/// Says what stands against it; production is then what it was.
pub fn rollback(
    project: &Project,
    registry: &mut Registry,
    request: &RollbackRequest,
    surroundings: &Surroundings<'_>,
) -> Result<RolledBack, PipelineError> {
    let (model, to) = (&request.model, request.to);
    let Planned { from, events, now } = planned(project, registry, request, surroundings)?;
    let Some(from) = from else {
        let found = bring(
            project,
            registry,
            (Work::Return, model, to),
            &events,
            &request.reason,
            &now,
            surroundings,
        )?;
        return arrived(None, to, Some(found));
    };
    let mark = unfinished::begin(project, Work::Rollback, model, to)?;
    if let Err(error) = registry.apply_all(model, &events, &now, &surroundings.actor) {
        // An answer that was lost leaves open what the ledger holds: the mark lets the next command look.
        if error.appended_nothing() {
            mark.undo()?;
        }
        return Err(error.into());
    }
    let apply = |registry: &mut Registry, event: Event| {
        registry.apply(model, to, &event, &(surroundings.now)(), &surroundings.actor)
    };
    // Another checkout may have promoted between the look and the event.
    let intended = registry.model(model)?.pending.as_ref().map_or(from, |pending| pending.from);
    if let Err(error) = check_from(model, Some(from), Some(intended)) {
        apply(registry, Event::UndoRollBack { reason: shortened(&error.to_string()) })?;
        mark.end()?;
        return Err(error);
    }
    if let Err(error) = place_package(project, registry, model, to) {
        // Others read the ledger: where this checkout lies is none of their business.
        let root = format!("{}{}", project.root.display(), std::path::MAIN_SEPARATOR);
        let reason = format!("the package could not be moved: {error}").replace(&root, "");
        let reason = shortened(&reason);
        apply(registry, Event::UndoRollBack { reason })?;
        // The folder that was being replaced may be half moved; where it stays so the next command looks at it.
        if materialise(project, registry, model).is_ok() {
            mark.end()?;
        }
        return Err(error);
    }
    apply(registry, Event::RollBack { reason: request.reason.clone() })?;
    let notices = production::find(registry, model).filter(|found| found.version == to).map(|found| {
        let left = registry.state().models.get(model).and_then(|state| state.versions.get(&from));
        let left = left.map(|left| Notice::quarantined(model, from, left.digest, &request.reason));
        let back = Notice::rolled_back(model, to, found.digest, &request.reason);
        std::iter::once(back).chain(left).collect()
    });
    let done = format!("{model} {to} is in production again, and {from} is quarantined,");
    let notices = notices.unwrap_or_default();
    let found = mark.follow(project, done, notices, || materialise(project, registry, model))?;
    arrived(Some(from), to, found)
}

/// Refuses to leave another production than the one that was looked at.
///
/// # Errors
/// Names both.
pub fn check_from(
    model: &ModelName,
    seen: Option<VersionNumber>,
    production: Option<VersionNumber>,
) -> Result<(), PipelineError> {
    if seen == production {
        return Ok(());
    }
    let words = |version: Option<VersionNumber>| version.map_or("nothing".to_owned(), |one| one.to_string());
    let (now, seen) = (words(production), words(seen));
    Err(PipelineError::Policy(format!(
        "{model}: {now} is in production, where {seen} was when this was decided: look at it, and roll back again if it is \
         still meant"
    )))
}

/// Returns what was done, if `to` is what was then found in production.
fn arrived(
    from: Option<VersionNumber>,
    to: VersionNumber,
    found: Option<Production>,
) -> Result<RolledBack, PipelineError> {
    match found {
        Some(Production { version, digest }) if version == to => Ok(RolledBack { from, to, digest }),
        _ => Err(PipelineError::Policy(format!("{to} left production while it was gone back to"))),
    }
}

/// What the policy asks of a target, verified or not: its signature, and, of a version that was never in production,
/// what a promotion needs, since it would be one.
fn check_policy(
    project: &Project,
    registry: &Registry,
    request: &RollbackRequest,
    is_approved_now: bool,
    now: &str,
) -> Result<(), PipelineError> {
    let (model, to) = (&request.model, request.to);
    policy::check_signature(project, registry, model, to)?;
    if registry.was_in_production(model, to)? {
        return Ok(());
    }
    let promotion = || {
        check_manual_promotion(project, model)?;
        if is_approved_now {
            policy::check_package(project, registry, model, to)
        } else {
            policy::check_promotion(project, registry, model, to, now)
        }
    };
    promotion().map_err(|error| {
        let what = format!("{model} {to} was never in production, so going to it is a promotion: {error}");
        PipelineError::Policy(what)
    })
}

fn verify_target(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    to: VersionNumber,
) -> Result<(), PipelineError> {
    let refused = |why: &str| {
        PipelineError::Policy(format!(
            "{model} {to} did not pass its verification: {why}; \
             `--skip-verification` moves without looking, and the ledger keeps it"
        ))
    };
    match verify_version(project, registry, model, to) {
        Ok(Answered::AsStored) => Ok(()),
        Ok(Answered::NothingStored) => {
            Err(refused("no rows are stored with it, so nobody can tell whether it answers as it did"))
        }
        // Moving without looking needs the same files.
        Err(PipelineError::Registry(error)) if error.is_of_files() => Err(PipelineError::Policy(format!(
            "{model} {to} cannot be gone back to: {error}; until then `--to-version` names another version"
        ))),
        // Nothing was found out about it.
        Err(error) if error.is_unanswered() => Err(error),
        Err(error) => Err(refused(&error.to_string())),
    }
}

fn shortened(reason: &str) -> String {
    reason.chars().filter(|letter| !letter.is_control()).take(1000).collect()
}

/// Writes that an intended rollback does not take place: for one whose checkout is gone.
///
/// # Errors
/// Fails when none is under way.
pub fn undo(
    project: &Project,
    registry: &mut Registry,
    model: &ModelName,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<VersionNumber, PipelineError> {
    let Some(pending) = registry.model(model)?.pending.clone() else {
        return Err(PipelineError::Policy(format!("{model}: no rollback is under way")));
    };
    let event = Event::UndoRollBack { reason: reason.to_owned() };
    let mark = unfinished::begin(project, Work::Rollback, model, pending.version)?;
    let applied = registry.apply(model, pending.version, &event, &(surroundings.now)(), &surroundings.actor);
    if let Err(error) = applied {
        if error.appended_nothing() {
            mark.undo()?;
        }
        return Err(error.into());
    }
    let done = format!("the rollback of {model} to {} is undone", pending.version);
    mark.follow(project, done, Vec::new(), || materialise(project, registry, model))?;
    Ok(pending.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_after_which_its_target_is_not_in_production_is_an_error() {
        let (from, to, digest) = (Some(VersionNumber(3)), VersionNumber(2), Digest::of(b"package"));
        let found = |version| Some(Production { version, digest });
        assert_eq!(arrived(from, to, found(to)).expect("there"), RolledBack { from, to, digest });
        for gone in [None, found(VersionNumber(3))] {
            let error = arrived(from, to, gone).expect_err("gone").to_string();
            assert!(error.contains("v002 left production while it was gone back to"), "{error}");
        }
    }
}
