//! What others decide and do while a Space is built, and what it goes back to then.

use anyhow::Context as _;
use modelgate_core::Digest;
use modelgate_core::lifecycle::ModelState;
use modelgate_deploy::hub::{Kind, Repository};
use modelgate_deploy::space::{DIGEST, REPOSITORY, REVISION, find_weights, pin, pinned, pinned_now};
use modelgate_pipeline::{PipelineError, registry};
use serde_json::Value;

use super::{Deployment, admit};
use crate::arguments::deploy::Space;
use crate::exit::UsageError;

/// Variables that say which package is served.
type Pinned = [(String, String)];

fn value<'a>(pinned: &'a Pinned, name: &str) -> Option<&'a str> {
    pinned.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Whether what was served before may be served again, as far as the registry knows.
fn may_be_served(state: &ModelState, before: &Pinned) -> bool {
    let digest = value(before, DIGEST).and_then(|digest| digest.parse::<Digest>().ok());
    digest.is_some_and(|digest| state.quarantined(&digest).is_none())
}

impl Deployment<'_> {
    /// Returns what is pinned in a Space; nothing where it is made only now.
    pub(super) fn before(&self, space: &Repository) -> anyhow::Result<Vec<(String, String)>> {
        match pinned_now(&self.hub, space) {
            Ok(before) => Ok(before),
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses a Space that serves another model: it would be replaced for those who ask for it.
    pub(super) fn check_whose(&self, space: &Repository) -> anyhow::Result<()> {
        if self.hub.is_dry() {
            return Ok(());
        }
        let before = self.before(space)?;
        let (Some(weights), Some(revision)) = (value(&before, REPOSITORY), value(&before, REVISION)) else {
            return Ok(());
        };
        // What cannot be read any more says nothing of whose it is.
        let Ok(weights) = Repository::new(Kind::Model, weights) else { return Ok(()) };
        let manifest = self.hub.read(&weights, revision, "manifest.json").ok().flatten();
        let manifest: Option<Value> = manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(other) = manifest.as_ref().and_then(|manifest| manifest["name"].as_str()) else {
            return Ok(());
        };
        if other == self.model.as_str() {
            return Ok(());
        }
        let sentence = format!(
            "the Space {} serves the model `{other}`, whose place `{}` would take: name another one in \
             `deploy.space`, or delete the variable {DIGEST} of the Space if it is to change its model",
            space.id(),
            self.model
        );
        Err(UsageError(sentence).into())
    }

    /// Asks the registry anew, and returns why the version may not be where people use it, if so.
    ///
    /// # Errors
    /// Fails when the registry cannot be asked.
    pub(super) fn refused_meanwhile(&self, arguments: &Space) -> anyhow::Result<Option<String>> {
        if self.hub.is_dry() {
            return Ok(None);
        }
        let registry = registry(self.project)?;
        match admit(self.project, &registry, &self.model, self.version, arguments) {
            Ok(_) => Ok(None),
            Err(error) => match error.downcast_ref::<PipelineError>() {
                Some(PipelineError::Policy(reason)) => Ok(Some(reason.clone())),
                _ => Err(error),
            },
        }
    }

    /// Takes the version out of the Space that people use again where it may not be there any more, and returns whether it did.
    pub(super) fn was_left(
        &self,
        arguments: &Space,
        space: &Repository,
        before: &Pinned,
    ) -> anyhow::Result<bool> {
        let asked = self.refused_meanwhile(arguments).with_context(|| {
            format!(
                "{} serves {}, and the registry could not be asked whether it still may",
                space.id(),
                self.label()
            )
        });
        let Some(reason) = asked? else { return Ok(false) };
        self.printer.warning(&reason);
        let id = space.id();
        let done = self.stand_in(before).and_then(|instead| {
            let Some(instead) = instead else {
                self.hub.pause(space)?;
                return Ok("is stopped: nothing may be served there".to_owned());
            };
            pin(&self.hub, space, &instead)?;
            Ok(format!("is told to serve the package {}", value(&instead, DIGEST).unwrap_or_default()))
        });
        match done {
            Ok(done) => self.printer.warning(&format!("{id} {done}")),
            Err(error) => self.printer.warning(&format!(
                "{id} still serves {}, and could not be told otherwise: {error}; `modelgate deploy space --rollback` or \
                 `--stop` does",
                self.label()
            )),
        }
        self.say_of_files(space);
        Ok(true)
    }

    /// Returns what may be served in place of the version: what is in production, else what was served before.
    fn stand_in(&self, before: &Pinned) -> anyhow::Result<Option<Vec<(String, String)>>> {
        let registry = registry(self.project)?;
        let state = registry.model(&self.model)?;
        if let Some(found) = state.production().and_then(|version| state.versions.get(&version))
            && let Some(revision) = find_weights(&self.hub, &self.weights, &found.digest)?
        {
            return Ok(Some(pinned(&self.weights, &revision, &found.digest)));
        }
        Ok(may_be_served(state, before).then(|| before.to_vec()))
    }

    /// Tells the Space that people use to serve what it served before, and says what that does not undo. Whatever happens here,
    /// why it is done is what the command ends with.
    pub(super) fn set_back(&self, space: &Repository, before: &Pinned) {
        let id = space.id();
        // While the registry cannot be asked, what served until now is the better of the two.
        let is_fit = registry(self.project)
            .ok()
            .and_then(|registry| registry.model(&self.model).ok().map(|state| may_be_served(state, before)));
        if before.is_empty() {
            // It is new.
        } else if is_fit == Some(false) {
            self.printer.warning(&format!(
                "what {id} served before is quarantined: it is not told to serve that again; `modelgate deploy space {} \
                 --stop` stops it",
                self.model
            ));
        } else {
            match pin(&self.hub, space, before) {
                Ok(()) if self.is_own() => {
                    self.printer.warning(&format!("the variables of {id} name what it served before again"));
                }
                Ok(()) => self.printer.warning(&format!("{id} is told to serve what it served before")),
                Err(error) => self
                    .printer
                    .warning(&format!("{id} could not be told to serve what it served before: {error}")),
            }
        }
        self.say_of_files(space);
    }

    /// Says what stays in a Space whatever its variables are.
    fn say_of_files(&self, space: &Repository) {
        if self.is_own() {
            self.printer.warning(&format!(
                "what was uploaded to {} with {} stays there: {}",
                space.id(),
                self.label(),
                self.brings_files("the version before, once that is in production again,")
            ));
        }
    }
}
