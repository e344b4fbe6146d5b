//! A mark beside the ledger while production is being moved: a command that finds it, and nobody at work, brings to an
//! end what a killed one began, and says what it did.

use modelgate_config::NotifyEvent;
use modelgate_core::lifecycle::{Event, PendingRollback};
use modelgate_core::{Digest, ModelName, VersionNumber, canonical};
use modelgate_registry::Registry;
use modelgate_store::{StoreError, atomic};
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;
use crate::notify::Notice;
use crate::options::Surroundings;
use crate::packaged::{check_packaged, loaded_from};
use crate::production;
use crate::project::Project;
use crate::promotion::materialise;
use crate::run::{lock, registry};
use crate::untold;

/// What was under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    Promotion,
    Rollback,
    /// A quarantine of the version in production, with nothing in its place.
    TakeOut,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    work: Work,
    model: ModelName,
    /// The version that is to be production, or that is to leave it.
    version: Option<VersionNumber>,
    /// The name of this checkout when it began, as the ledger has it; the machine's name may be another later.
    origin: Option<String>,
}

/// What was brought to an end.
#[derive(Clone, PartialEq, Debug)]
pub struct Recovered {
    /// What was done, in words.
    pub sentence: String,
    /// What the interrupted command did not come to tell.
    pub notices: Vec<Notice>,
}

fn path(project: &Project) -> std::path::PathBuf {
    project.state_folder().join("unfinished.json")
}

/// Leaves the mark; it is on the disk before anything moves.
pub(crate) fn begin(
    project: &Project,
    work: Work,
    model: &ModelName,
    version: VersionNumber,
) -> Result<(), PipelineError> {
    let (version, origin) = (Some(version), Some(origin(project)));
    let text = canonical::to_pretty(&Mark { work, model: model.clone(), version, origin })?;
    Ok(atomic::write(&path(project), text.as_bytes())?)
}

/// Returns a name of this checkout that tells nothing of its place.
pub fn origin(project: &Project) -> String {
    let folder = Digest::of(project.root.display().to_string().as_bytes()).short();
    format!("{}/{folder}", modelgate_store::host())
}

/// Takes the mark away.
pub(crate) fn end(project: &Project) -> Result<(), PipelineError> {
    match fs_err::remove_file(path(project)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Completes or undoes what an interrupted command left, and returns what it did; `None` when nothing was left, or when
/// the one who left the mark is still at work.
///
/// # Errors
/// Fails when the registry or the project's folder cannot be used.
pub fn recover(
    project: &Project,
    surroundings: &Surroundings<'_>,
) -> Result<Option<Recovered>, PipelineError> {
    let completed = complete(project, surroundings)?;
    // What was completed just now is told anyway.
    let told = |notice: &Notice| {
        completed.iter().flat_map(|completed| &completed.notices).any(|other| other.is_same(notice))
    };
    let untold: Vec<Notice> = untold::left(project).into_iter().filter(|notice| !told(notice)).collect();
    if untold.is_empty() {
        return Ok(completed);
    }
    let registry = registry(project)?;
    let (overtaken, untold): (Vec<Notice>, Vec<Notice>) =
        untold.into_iter().partition(|notice| is_overtaken(&registry, notice));
    overtaken.iter().for_each(untold::told);
    let named = |notices: &[Notice]| notices.iter().map(Notice::sentence).collect::<Vec<_>>().join(", ");
    let mut sentence = "a command was interrupted before all had heard of it".to_owned();
    if !untold.is_empty() {
        sentence.push_str(&format!(": {}; it is told now", named(&untold)));
    }
    if !overtaken.is_empty() {
        sentence.push_str(&format!(
            "; not told any more, since production is another now: {}",
            named(&overtaken)
        ));
    }
    Ok(Some(match completed {
        None => Recovered { sentence, notices: untold },
        Some(Recovered { sentence: before, notices }) => Recovered {
            sentence: format!("{before}; {sentence}"),
            notices: notices.into_iter().chain(untold).collect(),
        },
    }))
}

/// Returns whether a notice says that a version is in production which is not any more: whoever deploys by what is told last would
/// take it.
fn is_overtaken(registry: &Registry, notice: &Notice) -> bool {
    let arrives = matches!(notice.event, NotifyEvent::Promoted | NotifyEvent::RolledBack);
    arrives && production::find(registry, &notice.model).map(|found| found.digest) != notice.digest
}

fn complete(project: &Project, surroundings: &Surroundings<'_>) -> Result<Option<Recovered>, PipelineError> {
    if !path(project).is_file() {
        return Ok(None);
    }
    let _lock = match lock(project, "modelgate: completing an interrupted command", surroundings) {
        Ok(lock) => lock,
        Err(PipelineError::Store(StoreError::Locked { .. })) => return Ok(None),
        Err(error) => return Err(error),
    };
    // The other may have ended between the two looks.
    let Ok(bytes) = fs_err::read(path(project)) else { return Ok(None) };
    let mut registry = registry(project)?;
    let Ok(mark) = serde_json::from_slice::<Mark>(&bytes) else {
        end(project)?;
        return Ok(None);
    };
    let recovered = match mark.work {
        Work::Promotion => Some(recover_promotion(project, &registry, &mark)?),
        Work::Rollback => recover_rollback(project, &mut registry, &mark, surroundings)?,
        Work::TakeOut => Some(recover_take_out(project, &registry, &mark)?),
    };
    if let Some(recovered) = &recovered {
        untold::keep(project, &recovered.notices)?;
    }
    end(project)?;
    Ok(recovered)
}

fn recover_promotion(
    project: &Project,
    registry: &Registry,
    mark: &Mark,
) -> Result<Recovered, PipelineError> {
    let model = &mark.model;
    let Some(found) = materialise(project, registry, model)? else {
        let sentence =
            format!("a promotion of {model} was interrupted before it began: nothing is in production");
        return Ok(Recovered { sentence, notices: Vec::new() });
    };
    let sentence = format!(
        "a promotion of {model} was interrupted: in production is {}, and models/packaged/{model}/ is brought to it",
        found.version
    );
    let took_place = mark.version == Some(found.version);
    let notice = || Notice::promoted(model, found.version, found.digest, INTERRUPTED);
    Ok(Recovered { sentence, notices: took_place.then(notice).into_iter().collect() })
}

/// A version that is to leave production has left it exactly when it is quarantined.
fn recover_take_out(project: &Project, registry: &Registry, mark: &Mark) -> Result<Recovered, PipelineError> {
    let model = &mark.model;
    let in_production = materialise(project, registry, model)?.map(|found| found.version);
    let now = in_production.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
    let state = registry.model(model)?;
    let found = mark.version.and_then(|version| Some((version, state.versions.get(&version)?)));
    let left = found.filter(|(version, found)| found.quarantined && in_production != Some(*version));
    let what = left.map_or("before it began", |_| "and is completed");
    Ok(Recovered {
        sentence: format!(
            "a quarantine of production of {model} was interrupted {what}: in production is {now}"
        ),
        notices: left
            .map(|(version, found)| Notice::quarantined(model, version, found.digest, INTERRUPTED))
            .into_iter()
            .collect(),
    })
}

/// What a notice says that is sent late.
const INTERRUPTED: &str = "it was interrupted, and completed by the next command";

/// Returns what a rollback from `from` has to tell.
fn rolled_back(registry: &Registry, model: &ModelName, from: Option<VersionNumber>) -> Vec<Notice> {
    let Some(found) = production::find(registry, model) else { return Vec::new() };
    let mut notices = vec![Notice::rolled_back(model, found.version, found.digest, INTERRUPTED)];
    let left = from.and_then(|from| Some((from, registry.model(model).ok()?.versions.get(&from)?.digest)));
    notices.extend(left.map(|(from, digest)| Notice::quarantined(model, from, digest, INTERRUPTED)));
    notices
}

/// A rollback whose package is in place is completed; one whose package is not is undone.
fn recover_rollback(
    project: &Project,
    registry: &mut Registry,
    mark: &Mark,
    surroundings: &Surroundings<'_>,
) -> Result<Option<Recovered>, PipelineError> {
    let model = &mark.model;
    let Some(state) = registry.state().models.get(model) else { return Ok(None) };
    let origin = mark.origin.clone().unwrap_or_else(|| origin(project));
    let pending = state.pending.clone();
    let Some(pending) = pending.as_ref().filter(|pending| pending.origin == origin).cloned() else {
        // What another checkout has under way is its own to end.
        let elsewhere = pending.map_or_else(String::new, |pending| {
            let PendingRollback { from, version, origin, .. } = pending;
            format!("; one from {from} to {version} is under way in the checkout {origin}")
        });
        materialise(project, registry, model)?;
        let production = registry.model(model)?.production();
        let version = production.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
        let sentence = format!(
            "a rollback of {model} was interrupted outside of its change: in production is {version}{elsewhere}"
        );
        let done = production.is_some() && production == mark.version;
        let before = registry.tenures(model, 2)?.get(1).map(|(version, _)| *version);
        let notices = if done { rolled_back(registry, model, before) } else { Vec::new() };
        return Ok(Some(Recovered { sentence, notices }));
    };
    let target = state.versions.get(&pending.version).map(|found| found.digest);
    check_packaged(project, model)?;
    let folder = loaded_from(project, model);
    atomic::recover_folder(&folder)?;
    let placed = modelgate_model::verify(&folder).ok();
    let done = placed.is_some() && placed == target;
    let event = if done {
        Event::RollBack { reason: pending.reason.clone() }
    } else {
        Event::UndoRollBack { reason: "it was interrupted before the package was moved".to_owned() }
    };
    registry.apply(model, pending.version, &event, &(surroundings.now)(), &surroundings.actor)?;
    materialise(project, registry, model)?;
    let (from, to) = (pending.from, pending.version);
    Ok(Some(if done {
        let sentence = format!("a rollback of {model} from {from} to {to} was interrupted: it is completed");
        Recovered { sentence, notices: rolled_back(registry, model, Some(from)) }
    } else {
        let sentence = format!(
            "a rollback of {model} from {from} to {to} was interrupted: it is undone, in production is {from}"
        );
        Recovered { sentence, notices: Vec::new() }
    }))
}
