//! What may go: artefacts of versions that nothing needs any more, and objects that nothing names.
//!
//! Without `retention.keep` nothing goes but what killed commands have left half written. A version keeps its artefacts
//! while it is in production, the canary of a rollout, an alias points at it (so does `staging`), it is one of the versions
//! to go back to, it waits for a person, or its last event is younger than the time. A candidate waits that passed its gate
//! and is the newest of its model, or that the last run of a pipeline came to; so does what was approved and not promoted. In a registry that others share, only
//! versions of models go that a pipeline of this project makes: the time to keep those of others is theirs to say. An
//! object of the project stays while it is younger than the time, or a version that stays, the record of a stage, a pointer
//! file or the list of such a data set names it (`named.rs`). Reports name packages too, and keep nothing: they hold what
//! they show.

mod leftovers;
mod named;

use std::collections::{BTreeMap, BTreeSet};

use modelgate_config::duration_seconds;
use modelgate_core::lifecycle::{Event, ModelState, Stage as Lifecycle, VersionState};
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use modelgate_registry::Registry;
use modelgate_store::ContentStore;
use serde::Serialize;

pub use leftovers::Leftover;

use crate::error::PipelineError;
use crate::options::Surroundings;
use crate::project::Project;

/// A version whose artefacts would go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Leaving {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Where it stands.
    pub stage: Lifecycle,
    /// When something last happened to it, RFC 3339 in UTC.
    pub last_event: String,
}

/// What a collection would remove.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Plan {
    /// The versions.
    pub versions: Vec<Leaving>,
    /// The objects with their sizes in bytes.
    pub objects: Vec<(Digest, u64)>,
    /// Objects of the project's own store, where the registry has another home.
    pub local: Vec<(Digest, u64)>,
    /// What killed commands have left in the state folder.
    pub leftovers: Vec<Leftover>,
    /// Models of a shared registry that no pipeline of this project makes: all of theirs stays.
    pub others: Vec<ModelName>,
}

impl Plan {
    /// Returns how many bytes it frees.
    pub fn bytes(&self) -> u64 {
        let leftovers = self.leftovers.iter().map(|one| one.bytes);
        self.objects.iter().chain(&self.local).map(|(_, bytes)| *bytes).chain(leftovers).sum()
    }

    /// Returns how many objects it removes.
    pub fn count(&self) -> usize {
        self.objects.len() + self.local.len()
    }
}

/// Returns what may go now; only what killed commands have left without `retention.keep`.
///
/// # Errors
/// Fails when the registry or the project cannot be read.
pub fn plan(project: &Project, registry: &Registry, now: &str) -> Result<Plan, PipelineError> {
    let mut plan = Plan { leftovers: leftovers::find(project)?, ..Plan::default() };
    let Some(keep) = &project.config.retention.keep else { return Ok(plan) };
    let seconds = duration_seconds(keep).map_err(PipelineError::Policy)?;
    let now: jiff::Timestamp =
        now.parse().map_err(|_| PipelineError::Policy(format!("`{now}` is not a time")))?;
    let limit = now.as_second() - seconds as i64;
    let mut last: BTreeMap<(ModelName, VersionNumber), String> = BTreeMap::new();
    registry.for_each_entry(|entry| {
        for version in entry.event.touches() {
            last.insert((entry.event.model().clone(), version), entry.time.clone());
        }
        Ok(())
    })?;
    let shared = project.config.registry.uri.is_some();
    let own: BTreeSet<ModelName> = project.pipelines()?.into_iter().map(|pipeline| pipeline.model).collect();
    let last_runs = named::named_by_last_runs(project)?;
    let targets =
        project.config.retention.rollback_targets.unwrap_or(modelgate_config::ROLLBACK_TARGETS) as usize;
    let mut kept: BTreeSet<Digest> = BTreeSet::new();
    let mut datasets: BTreeSet<Digest> = BTreeSet::new();
    let mut leaving: BTreeSet<Digest> = BTreeSet::new();
    for (model, state) in &registry.state().models {
        let is_own = !shared || own.contains(model);
        if !is_own {
            plan.others.push(model.clone());
        }
        let ready = crate::rollback::kept_ready(project, registry, model, targets)?;
        let in_use = InUse::of(model, state, ready, &last_runs);
        for (version, found) in &state.versions {
            let registration = registry.registration(model, *version)?;
            let named = registration.files.values().chain(registration.checks.values());
            let objects: Vec<Digest> = named.chain(&found.signature).copied().collect();
            if found.stage == Lifecycle::Removed {
                // A collection that was killed behind its events left them: this one goes on.
                if is_own {
                    leaving.extend(objects);
                }
                continue;
            }
            let last_event = last.get(&(model.clone(), *version)).cloned().unwrap_or_default();
            let old = last_event.parse::<jiff::Timestamp>().is_ok_and(|time| time.as_second() < limit);
            if is_own && old && may_go(found.stage) && !in_use.holds(*version, found) {
                let (model, version, stage) = (model.clone(), *version, found.stage);
                plan.versions.push(Leaving { model, version, stage, last_event });
                leaving.extend(objects);
            } else {
                kept.extend(objects);
                datasets.insert(registration.lineage.dataset);
            }
        }
    }
    named::named_in_project(project, &mut datasets)?;
    let store = ContentStore::new(&project.state_folder());
    kept.extend(named::with_their_files(&store, datasets)?);
    let is_old = |touched: i64| touched < limit;
    // In a home that others share, an object without a name may be one that is about to get it.
    let may_leave = |digest: &Digest, touched: Option<i64>| {
        if shared { leaving.contains(digest) } else { touched.is_some_and(is_old) }
    };
    let objects = registry.objects()?;
    let unkept = objects.iter().filter(|object| !kept.contains(&object.digest));
    plan.objects = unkept
        .filter(|object| may_leave(&object.digest, object.touched))
        .map(|object| (object.digest, object.bytes))
        .collect();
    if shared {
        let own = store.list()?.into_iter();
        plan.local = own
            .filter(|object| !kept.contains(&object.digest) && is_old(object.touched))
            .map(|object| (object.digest, object.bytes))
            .collect();
    }
    Ok(plan)
}

/// Holds for where a version is that nobody uses unless something else says so.
fn may_go(stage: Lifecycle) -> bool {
    match stage {
        Lifecycle::Archived
        | Lifecycle::Rejected
        | Lifecycle::Quarantined
        | Lifecycle::Candidate
        | Lifecycle::Approved
        | Lifecycle::Staging => true,
        Lifecycle::Production | Lifecycle::Removed => false,
    }
}

/// The versions of one model that something uses, however old they are.
struct InUse {
    /// Ready to be gone back to, the target of a rollback that is under way, a canary, or behind an alias.
    always: BTreeSet<VersionNumber>,
    /// What the last runs of this project came to.
    last_runs: BTreeSet<VersionNumber>,
    /// The newest whose artefacts are there.
    newest: Option<VersionNumber>,
}

impl InUse {
    fn of(
        model: &ModelName,
        state: &ModelState,
        ready: BTreeSet<VersionNumber>,
        last_runs: &BTreeSet<(ModelName, VersionNumber)>,
    ) -> Self {
        let mut always = ready;
        always.extend(state.aliases.values());
        always.extend(state.pending.as_ref().map(|pending| pending.version));
        always.extend(state.active_rollout().map(|rollout| rollout.canary));
        let of_model = last_runs.iter().filter(|(named, _)| named == model);
        let mut there = state.versions.iter().filter(|(_, found)| found.stage != Lifecycle::Removed);
        Self {
            always,
            last_runs: of_model.map(|(_, version)| *version).collect(),
            newest: there.next_back().map(|(version, _)| *version),
        }
    }

    fn holds(&self, version: VersionNumber, found: &VersionState) -> bool {
        let is_named = self.last_runs.contains(&version);
        let waits = match found.stage {
            Lifecycle::Candidate | Lifecycle::Approved => {
                is_named || (self.newest == Some(version) && found.verdict == Verdict::Passed)
            }
            // Without it the next run would ask again for what a person has said no to, or has decided already.
            Lifecycle::Rejected | Lifecycle::Staging => is_named,
            _ => false,
        };
        waits || self.always.contains(&version)
    }
}

/// Removes what `plan` names: first the ledger says so, of all versions or of none, then the objects go.
///
/// # Errors
/// Fails when the registry cannot be written; a later collection goes on.
pub fn collect(
    project: &Project,
    registry: &mut Registry,
    plan: &Plan,
    surroundings: &Surroundings<'_>,
) -> Result<(), PipelineError> {
    let mut events: BTreeMap<ModelName, Vec<(VersionNumber, Event)>> = BTreeMap::new();
    for one in &plan.versions {
        let reason = format!("retention: its last event was {}", one.last_event);
        events.entry(one.model.clone()).or_default().push((one.version, Event::RemoveArtefacts { reason }));
    }
    leftovers::remove(&plan.leftovers)?;
    registry.apply_across(&events, &(surroundings.now)(), &surroundings.actor)?;
    let digests: Vec<Digest> = plan.objects.iter().map(|(digest, _)| *digest).collect();
    registry.remove_objects(&digests)?;
    let store = ContentStore::new(&project.state_folder());
    Ok(plan.local.iter().try_for_each(|(digest, _)| store.remove(digest))?)
}
