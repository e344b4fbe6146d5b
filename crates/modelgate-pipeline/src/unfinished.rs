//! A mark beside the ledger while production is being moved: a command that finds it, and nobody at work, brings to an
//! end what a killed one began, and says what it did.

use modelgate_core::lifecycle::Event;
use modelgate_core::{ModelName, canonical};
use modelgate_registry::Registry;
use modelgate_store::{StoreError, atomic};
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;
use crate::options::Surroundings;
use crate::project::Project;
use crate::promotion::materialise;
use crate::run::{lock, registry};

/// What was under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    Promotion,
    Rollback,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    work: Work,
    model: ModelName,
}

fn path(project: &Project) -> std::path::PathBuf {
    project.state_folder().join("unfinished.json")
}

/// Leaves the mark; it is on the disk before anything moves.
pub(crate) fn begin(project: &Project, work: Work, model: &ModelName) -> Result<(), PipelineError> {
    let text = canonical::to_pretty(&Mark { work, model: model.clone() })?;
    Ok(atomic::write(&path(project), text.as_bytes())?)
}

/// Takes the mark away.
pub(crate) fn end(project: &Project) -> Result<(), PipelineError> {
    match fs_err::remove_file(path(project)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Completes or undoes what an interrupted command left, and returns what it did in words; `None` when nothing was
/// left, or when the one who left the mark is still at work.
///
/// # Errors
/// Fails when the registry or the project's folder cannot be used.
pub fn recover(project: &Project, surroundings: &Surroundings<'_>) -> Result<Option<String>, PipelineError> {
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
    let sentence = match mark.work {
        Work::Promotion => recover_promotion(project, &registry, &mark.model)?,
        Work::Rollback => recover_rollback(project, &mut registry, &mark.model, surroundings)?,
    };
    end(project)?;
    Ok(sentence)
}

fn recover_promotion(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
) -> Result<Option<String>, PipelineError> {
    let found = materialise(project, registry, model)?;
    Ok(Some(match found {
        Some(found) => format!(
            "a promotion of {model} was interrupted: in production is {}, and models/packaged/{model}/ is brought to it",
            found.version
        ),
        None => format!("a promotion of {model} was interrupted before it began: nothing is in production"),
    }))
}

/// A rollback whose package is in place is completed; one whose package is not is undone.
fn recover_rollback(
    project: &Project,
    registry: &mut Registry,
    model: &ModelName,
    surroundings: &Surroundings<'_>,
) -> Result<Option<String>, PipelineError> {
    let Some(state) = registry.state().models.get(model) else { return Ok(None) };
    let Some(pending) = state.pending.clone() else {
        materialise(project, registry, model)?;
        let production = registry.model(model)?.production();
        let version = production.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
        return Ok(Some(format!(
            "a rollback of {model} was interrupted outside of its change: in production is {version}"
        )));
    };
    let target = state.versions.get(&pending.version).map(|found| found.digest);
    let folder = project.packaged(model);
    atomic::recover_folder(&folder)?;
    let placed = modelgate_model::open(&folder).ok().map(|package| package.digest);
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
        format!("a rollback of {model} from {from} to {to} was interrupted: it is completed")
    } else {
        format!(
            "a rollback of {model} from {from} to {to} was interrupted: it is undone, in production is {from}"
        )
    }))
}
