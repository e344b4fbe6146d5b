//! A mark beside the ledger while production of a model is being moved: a command that finds it, and nobody at work, brings
//! to an end what a killed one began, and says what it did. Each model has a mark of its own: what could not be completed of
//! one waits, and the others go on.

use std::path::{Path, PathBuf};

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
use crate::promotion::{materialise, note_quarantined};
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
    /// A signature of the version in production.
    Signature,
    /// A former production that is brought back where nothing is there.
    Return,
    /// A quarantine of a version that is not in production.
    Quarantine,
}

#[derive(Clone, Serialize, Deserialize)]
struct Mark {
    work: Work,
    model: ModelName,
    /// The version that is to be production, or that is to leave it.
    version: Option<VersionNumber>,
    /// The name of this checkout when it began, as the ledger has it; the machine's name may be another later.
    origin: Option<String>,
    /// Set once it is in the ledger and what is to be told of it is kept: the files of this checkout alone are behind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    written: bool,
}

/// What was brought to an end.
#[derive(Debug, Default)]
pub struct Recovered {
    /// What was done, a sentence each.
    pub sentences: Vec<String>,
    /// What the interrupted commands did not come to tell.
    pub notices: Vec<Notice>,
    /// Why something could not be brought to an end: it is tried again by the next command.
    pub error: Option<PipelineError>,
}

fn folder(project: &Project) -> PathBuf {
    project.state_folder().join("unfinished")
}

/// A mark that was left; it stays, for the next command to look, unless this command comes to an end that is known.
#[must_use]
pub(crate) struct Begun {
    path: PathBuf,
    mark: Mark,
    /// The mark of an earlier command about the model, which could not be completed.
    before: Option<Vec<u8>>,
    /// Whether that mark stays in the place of this one: to complete it does what this one would, and more.
    yields: bool,
}

impl Begun {
    /// Takes the mark away, and the one before it: production is where the ledger has it.
    pub(crate) fn end(self) -> Result<(), PipelineError> {
        if self.yields { Ok(()) } else { remove(&self.path) }
    }

    /// Makes the files of this checkout follow what the ledger has taken, as `files` does, and takes the mark away. Where they
    /// cannot, the mark stays for the next command to try again, and what is to be told is told now.
    ///
    /// # Errors
    /// [`PipelineError::NotFollowed`] says that `done` is so all the same.
    pub(crate) fn follow<T>(
        self,
        project: &Project,
        done: String,
        notices: Vec<Notice>,
        files: impl FnOnce() -> Result<T, PipelineError>,
    ) -> Result<T, PipelineError> {
        // Kept first: what is done is told of whether or not the files can be written.
        let kept = untold::keep(project, &notices);
        let notes_it = kept.is_ok() && !self.yields;
        let path = self.path.clone();
        let mark = Mark { written: true, ..self.mark.clone() };
        let followed = files().and_then(|found| kept.and_then(|()| self.end()).map(|()| found));
        followed.map_err(|error| {
            if notes_it {
                // The mark as it is says the same with less.
                let _ = write(&path, &mark);
            }
            PipelineError::NotFollowed { done, notices, source: Box::new(error) }
        })
    }

    /// Leaves what there was before: nothing was done.
    pub(crate) fn undo(self) -> Result<(), PipelineError> {
        match self.before {
            Some(before) => Ok(atomic::write(&self.path, &before)?),
            None => remove(&self.path),
        }
    }
}

/// Leaves the mark; it is on the disk before anything moves.
pub(crate) fn begin(
    project: &Project,
    work: Work,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Begun, PipelineError> {
    let path = folder(project).join(format!("{model}.json"));
    let before = match fs_err::read(&path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let (version, origin) = (Some(version), Some(origin(project)));
    let mark = Mark { work, model: model.clone(), version, origin, written: false };
    let yields = work == Work::Quarantine && before.is_some();
    if !yields {
        write(&path, &mark)?;
    }
    Ok(Begun { path, mark, before, yields })
}

fn write(path: &Path, mark: &Mark) -> Result<(), PipelineError> {
    Ok(atomic::write(path, canonical::to_pretty(mark)?.as_bytes())?)
}

/// Refuses to go back once more where an earlier rollback took place and the files of this checkout have not followed it:
/// whoever only tries again would take out the version that is good.
///
/// # Errors
/// Says what is in production, and how a further rollback is asked for.
pub fn check_followed(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
) -> Result<(), PipelineError> {
    let Some(state) = registry.state().models.get(model) else { return Ok(()) };
    let mark = fs_err::read(folder(project).join(format!("{model}.json"))).ok();
    let Some(mark) = mark.and_then(|bytes| serde_json::from_slice::<Mark>(&bytes).ok()) else {
        return Ok(());
    };
    let is_done = mark.version.is_some_and(|version| match mark.work {
        Work::Rollback | Work::Return => state.production() == Some(version),
        Work::TakeOut => state.versions.get(&version).is_some_and(|found| found.quarantined),
        Work::Promotion | Work::Signature | Work::Quarantine => false,
    });
    if !is_done {
        return Ok(());
    }
    let (now, further) = state.production().map_or_else(
        || ("nothing is in production now".to_owned(), String::new()),
        |now| {
            (format!("{now} is in production now"), format!("; `--from {now}` goes back from {now} as well"))
        },
    );
    Err(PipelineError::Policy(format!(
        "{model}: the rollback before this one took place, {now}, and the files of this checkout have not followed: any command \
         here completes it once they can be written{further}"
    )))
}

/// Returns a name of this checkout that tells nothing of its place.
pub fn origin(project: &Project) -> String {
    let folder = Digest::of(project.root.display().to_string().as_bytes()).short();
    format!("{}/{folder}", modelgate_store::host())
}

fn remove(path: &std::path::Path) -> Result<(), PipelineError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Returns the marks that are there, in the order of their names.
fn marks(project: &Project) -> Result<Vec<PathBuf>, PipelineError> {
    // Where an earlier version left the one mark that there was.
    let former = project.state_folder().join("unfinished.json");
    let mut paths: Vec<PathBuf> = std::iter::once(former).filter(|path| path.is_file()).collect();
    let listing = match fs_err::read_dir(folder(project)) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(paths),
        Err(error) => return Err(error.into()),
    };
    for entry in listing {
        let path = entry?.path();
        // What is being written is hidden, and has another ending.
        if path.extension().is_some_and(|ending| ending == "json") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Completes or undoes what interrupted commands left, and returns what it did: nothing when nothing was left, or when the
/// one who left a mark is still at work.
pub fn recover(project: &Project, surroundings: &Surroundings<'_>) -> Recovered {
    let mut found = Recovered::default();
    let all = complete(project, surroundings, &mut found).and_then(|()| find_untold(project, &mut found));
    if let Err(error) = all {
        found.error.get_or_insert(error);
    }
    found
}

/// Adds what was done before and is not told yet.
fn find_untold(project: &Project, found: &mut Recovered) -> Result<(), PipelineError> {
    // What was completed just now is told anyway.
    let told = |notice: &Notice| found.notices.iter().any(|other| other.is_same(notice));
    let untold: Vec<Notice> = untold::left(project).into_iter().filter(|notice| !told(notice)).collect();
    if untold.is_empty() {
        return Ok(());
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
    let (undone, overtaken): (Vec<Notice>, Vec<Notice>) =
        overtaken.into_iter().partition(|notice| notice.event == NotifyEvent::Quarantined);
    for (notices, why) in [
        (overtaken, "not told any more, since production is another now"),
        (undone, "not told, since it is not so by the ledger"),
    ] {
        if !notices.is_empty() {
            sentence.push_str(&format!("; {why}: {}", named(&notices)));
        }
    }
    found.sentences.push(sentence);
    found.notices.extend(untold);
    Ok(())
}

/// Returns whether a notice says what is not so any more, or never came to be: whoever deploys by what is told last would
/// act on it.
fn is_overtaken(registry: &Registry, notice: &Notice) -> bool {
    match notice.event {
        NotifyEvent::Promoted | NotifyEvent::RolledBack => {
            production::find(registry, &notice.model).map(|found| found.digest) != notice.digest
        }
        // It is kept before the event is written.
        NotifyEvent::Quarantined => {
            let state = registry.state().models.get(&notice.model);
            let holder = notice.digest.and_then(|digest| state?.quarantined(&digest));
            notice.digest.is_some() && holder.is_none()
        }
        _ => false,
    }
}

/// Completes what the marks tell of, each by itself.
fn complete(
    project: &Project,
    surroundings: &Surroundings<'_>,
    found: &mut Recovered,
) -> Result<(), PipelineError> {
    if marks(project)?.is_empty() {
        return Ok(());
    }
    let _lock = match lock(project, "modelgate: completing an interrupted command", surroundings) {
        Ok(lock) => lock,
        Err(PipelineError::Store(StoreError::Locked { .. })) => return Ok(()),
        Err(error) => return Err(error),
    };
    // The other may have ended between the two looks.
    let marks = marks(project)?;
    if marks.is_empty() {
        return Ok(());
    }
    let mut registry = registry(project)?;
    for path in marks {
        match complete_one(project, &mut registry, &path, surroundings) {
            Ok(Some((sentence, notices))) => {
                found.sentences.push(sentence);
                found.notices.extend(notices);
            }
            Ok(None) => {}
            Err(error) => {
                found.error.get_or_insert(error);
            }
        }
    }
    Ok(())
}

/// What was done, in words, and what is to be told of it.
type Done = (String, Vec<Notice>);

fn complete_one(
    project: &Project,
    registry: &mut Registry,
    path: &std::path::Path,
    surroundings: &Surroundings<'_>,
) -> Result<Option<Done>, PipelineError> {
    let Ok(mark) = serde_json::from_slice::<Mark>(&fs_err::read(path)?) else {
        remove(path)?;
        return Ok(None);
    };
    let done = match mark.work {
        _ if mark.written => Some(follow_late(project, registry, &mark)?),
        Work::Promotion | Work::Return => Some(recover_promotion(project, registry, &mark)?),
        Work::Rollback => recover_rollback(project, registry, &mark, surroundings)?,
        Work::TakeOut => Some(recover_take_out(project, registry, &mark)?),
        Work::Signature => Some(recover_signature(project, registry, &mark)?),
        Work::Quarantine => Some(recover_quarantine(project, registry, &mark)?),
    };
    if let Some((_, notices)) = &done {
        untold::keep(project, notices)?;
    }
    remove(path)?;
    Ok(done)
}

/// What took place is told of already, or kept to be told: the files alone were behind.
fn follow_late(project: &Project, registry: &Registry, mark: &Mark) -> Result<Done, PipelineError> {
    let model = &mark.model;
    if mark.work == Work::Quarantine {
        follow_quarantine(project, registry, model)?;
    } else {
        materialise(project, registry, model)?;
    }
    let now = production::version(registry, model)
        .map_or_else(|| "nothing".to_owned(), |version| version.to_string());
    let what = match mark.work {
        Work::Promotion | Work::Return => "promotion",
        Work::Rollback => "rollback",
        Work::TakeOut | Work::Quarantine => "quarantine",
        Work::Signature => "signature",
    };
    let sentence = format!(
        "the files of this checkout had not followed a {what} of {model}: they do now, in production is {now}"
    );
    Ok((sentence, Vec::new()))
}

/// Makes the files follow a quarantine of a version that is not in production.
pub(crate) fn follow_quarantine(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
) -> Result<(), PipelineError> {
    note_quarantined(project, registry, model)?;
    if registry.model(model)?.production().is_none() {
        // It may have been there: what was brought of it goes.
        materialise(project, registry, model)?;
    }
    Ok(())
}

/// What is to be told of it was kept before it was written.
fn recover_quarantine(project: &Project, registry: &Registry, mark: &Mark) -> Result<Done, PipelineError> {
    let model = &mark.model;
    follow_quarantine(project, registry, model)?;
    let found = mark.version.and_then(|version| registry.state().models.get(model)?.versions.get(&version));
    let what =
        if found.is_some_and(|found| found.quarantined) { "and is completed" } else { "before it began" };
    let version = mark.version.map_or_else(String::new, |version| format!(" {version}"));
    Ok((format!("a quarantine of {model}{version} was interrupted {what}"), Vec::new()))
}

/// What production loads follows what the registry has of it, signed or not yet.
fn recover_signature(project: &Project, registry: &Registry, mark: &Mark) -> Result<Done, PipelineError> {
    let model = &mark.model;
    materialise(project, registry, model)?;
    let sentence = format!(
        "a signature of production of {model} was interrupted: models/packaged/{model}/ is brought to what the registry has"
    );
    Ok((sentence, Vec::new()))
}

fn recover_promotion(project: &Project, registry: &Registry, mark: &Mark) -> Result<Done, PipelineError> {
    let model = &mark.model;
    let Some(found) = materialise(project, registry, model)? else {
        let sentence =
            format!("a promotion of {model} was interrupted before it began: nothing is in production");
        return Ok((sentence, Vec::new()));
    };
    let sentence = format!(
        "a promotion of {model} was interrupted: in production is {}, and models/packaged/{model}/ is brought to it",
        found.version
    );
    let took_place = mark.version == Some(found.version);
    let notice = || Notice::promoted(model, found.version, found.digest, INTERRUPTED);
    Ok((sentence, took_place.then(notice).into_iter().collect()))
}

/// A version that is to leave production has left it exactly when it is quarantined.
fn recover_take_out(project: &Project, registry: &Registry, mark: &Mark) -> Result<Done, PipelineError> {
    let model = &mark.model;
    let in_production = materialise(project, registry, model)?.map(|found| found.version);
    let now = in_production.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
    let state = registry.model(model)?;
    let found = mark.version.and_then(|version| Some((version, state.versions.get(&version)?)));
    let left = found.filter(|(version, found)| found.quarantined && in_production != Some(*version));
    let what = left.map_or("before it began", |_| "and is completed");
    let notice = left.map(|(version, found)| Notice::quarantined(model, version, found.digest, INTERRUPTED));
    let sentence =
        format!("a quarantine of production of {model} was interrupted {what}: in production is {now}");
    Ok((sentence, notice.into_iter().collect()))
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
) -> Result<Option<Done>, PipelineError> {
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
        return Ok(Some((sentence, notices)));
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
        (sentence, rolled_back(registry, model, Some(from)))
    } else {
        let sentence = format!(
            "a rollback of {model} from {from} to {to} was interrupted: it is undone, in production is {from}"
        );
        (sentence, Vec::new())
    }))
}
