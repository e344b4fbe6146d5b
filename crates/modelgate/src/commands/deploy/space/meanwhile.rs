//! What others decide and do while a Space is built, and what it goes back to then.

use anyhow::Context as _;
use modelgate_core::lifecycle::ModelState;
use modelgate_core::{Digest, Verdict};
use modelgate_deploy::hub::{Kind, Repository};
use modelgate_deploy::space::{DIGEST, REPOSITORY, REVISION, find_weights, pin, pinned, pinned_now};
use modelgate_pipeline::{PipelineError, registry};
use modelgate_registry::Registry;
use serde_json::Value;

use super::{Deployment, admit};
use crate::arguments::deploy::Space;
use crate::exit::UsageError;

/// Variables that say which package is served.
type Pinned = [(String, String)];
/// The same, to be set.
type Variables = Vec<(String, String)>;

fn value<'a>(pinned: &'a Pinned, name: &str) -> Option<&'a str> {
    pinned.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn digest(pinned: &Pinned) -> Option<Digest> {
    value(pinned, DIGEST)?.parse().ok()
}

/// Whether what was served before may be served again, as far as the registry knows.
fn may_be_served(state: &ModelState, before: &Pinned) -> bool {
    digest(before).is_some_and(|digest| state.quarantined(&digest).is_none())
}

impl Deployment<'_> {
    /// Returns what is pinned in a Space; nothing where it is made only now.
    pub(super) fn before(&self, space: &Repository) -> anyhow::Result<Vec<(String, String)>> {
        match pinned_now(self.hub, space) {
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
        let told = self.stand_in(before).and_then(|instead| {
            match &instead {
                Some((variables, _)) => pin(self.hub, space, variables)?,
                None => self.hub.pause(space)?,
            }
            Ok(instead)
        });
        match told {
            Ok(None) => self.printer.warning(&format!("{id} is stopped: nothing may be served there")),
            Ok(Some((variables, known))) => {
                let package = value(&variables, DIGEST).unwrap_or_default();
                self.printer.warning(&format!("{id} is told to serve the package {package}"));
                if let Some(known) = known {
                    known.look_again(space);
                }
            }
            Err(error) => self.printer.warning(&format!(
                "{id} still serves {}, and could not be told otherwise: {error}; `modelgate deploy space --rollback` or \
                 `--stop` does",
                self.label()
            )),
        }
        self.say_of_files(space);
        Ok(true)
    }

    /// Looks whether a Space shows the version that it was told to serve again, and says so where it does not.
    fn look_again(&self, space: &Repository) {
        let is_there = match self.look(space) {
            Ok(seen) => seen.verdict == Verdict::Passed,
            Err(error) => {
                self.printer.warning(&format!("{error:#}"));
                false
            }
        };
        let (id, label) = (space.id(), self.label());
        self.printer.warning(&if is_there {
            format!("{id} serves {label}")
        } else {
            format!(
                "{id} does not show that it serves {label}, and may serve nothing: look at the Space; `modelgate deploy space \
                 {}` brings {label} there with all that belongs to it, `--stop` stops the Space",
                self.model
            )
        });
    }

    /// Returns what may be served in place of the version, and of which version it is where that is known: what is in
    /// production, else what was served before.
    fn stand_in(&self, before: &Pinned) -> anyhow::Result<Option<(Variables, Option<Self>)>> {
        let registry = registry(self.project)?;
        let state = registry.model(&self.model)?;
        if let Some(version) = state.production()
            && let Some(found) = state.versions.get(&version)
        {
            let known = self.of(version, found.digest);
            if let Some(variables) = known.pinned_as_registered(&registry)? {
                return Ok(Some((variables, Some(known))));
            }
        }
        Ok(may_be_served(state, before).then(|| self.served_before(&registry, state, before)))
    }

    /// Returns what was served before, with the signature that the registry has of it now: the Space has the project's keys of
    /// today, and believes no older one.
    fn served_before(
        &self,
        registry: &Registry,
        state: &ModelState,
        before: &Pinned,
    ) -> (Variables, Option<Self>) {
        let digest = digest(before);
        let known = state.versions.iter().rev().find(|(_, found)| Some(found.digest) == digest);
        let known = known.map(|(version, found)| self.of(*version, found.digest));
        let variables = known.as_ref().and_then(|known| known.pinned_as_registered(registry).ok().flatten());
        (variables.unwrap_or_else(|| before.to_vec()), known)
    }

    /// Returns the variables that pin the version as the registry has it now; where its package cannot be read there, as it was
    /// first brought to the Hub, if it was.
    fn pinned_as_registered(&self, registry: &Registry) -> anyhow::Result<Option<Variables>> {
        let revision = match self.as_registered(registry) {
            Ok(revision) => Some(revision),
            Err(_) => find_weights(self.hub, &self.weights, &self.digest)?,
        };
        Ok(revision.map(|revision| pinned(&self.weights, &revision, &self.digest)))
    }

    /// Tells the Space that people use to serve what it served before, and says what that does not undo. Whatever happens here,
    /// why it is done is what the command ends with.
    pub(super) fn set_back(&self, space: &Repository, before: &Pinned) {
        let id = space.id();
        // While the registry cannot be asked, what served until now is the better of the two.
        let fit = registry(self.project).ok().and_then(|registry| {
            let state = registry.model(&self.model).ok()?;
            Some(may_be_served(state, before).then(|| self.served_before(&registry, state, before).0))
        });
        if before.is_empty() {
            // It is new.
        } else if fit == Some(None) {
            self.printer.warning(&format!(
                "what {id} served before is quarantined: it is not told to serve that again; `modelgate deploy space {} \
                 --stop` stops it",
                self.model
            ));
        } else {
            match pin(self.hub, space, fit.flatten().as_deref().unwrap_or(before)) {
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
