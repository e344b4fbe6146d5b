//! What a source offers becomes what is served: each model that is new is loaded, and then all are swapped at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Reloader, Unloaded};
use crate::catalog::{Outcome, Served};
use crate::error::one_line;
use crate::news;
use crate::served::ServedModel;
use crate::source::{Offer, Offered};
use crate::telemetry::Attribute;
use crate::telemetry::talk::{info, warn};

/// What came of the offers.
pub(super) struct Taken {
    pub(super) outcome: Outcome,
    /// Why files could not be fetched, where the source broke off.
    pub(super) unreached: Option<String>,
}

impl Reloader {
    /// Makes what the source offers what is served. A model that does not verify, or cannot be fetched, keeps its place as
    /// it is; one that is withdrawn loses it, and so does one that may not be served any more, whatever becomes of what is
    /// offered in its place.
    pub(super) fn take(&mut self, offered: Offered, tries: u32) -> Taken {
        let before = Arc::clone(&self.catalog.served());
        let mut served = Served::default();
        let Offered { offers, mut refused, mut withdrawn, before: places } = offered;
        refused.values_mut().chain(withdrawn.values_mut()).for_each(|reason| *reason = one_line(reason));
        let mut unreached = None;
        if before.models.is_empty() {
            let known = |name: &str| refused.contains_key(name) || withdrawn.contains_key(name);
            self.start.compare_names_with_last(&offers, known);
        }
        for offer in &offers {
            let name = offer.name.to_string();
            let old = before.models.get(&name);
            let others = places.get(&name).into_iter().flatten();
            if let Some(other) = displaced(others, |name| before.models.contains_key(name), &offers) {
                let sentence = format!(
                    "{name} {} lies where {other} was, which is served on; start the service anew to serve it",
                    offer.version
                );
                refused.insert(other.to_owned(), sentence);
                if old.is_none() {
                    continue;
                }
            }
            // What a folder or a copy holds may have been found bad elsewhere.
            if let Some(reason) = self.source.banned(offer) {
                let is_served = old.is_some_and(|old| old.offer.digest == offer.digest);
                let reasons = if is_served { &mut withdrawn } else { &mut refused };
                reasons.insert(name, one_line(&reason));
                continue;
            }
            if let Some(old) = old.filter(|old| old.offer == *offer) {
                served.models.insert(name, Arc::clone(old));
                continue;
            }
            // Where one file could not be fetched, the next is not waited for as long.
            let tries = if unreached.is_some() { 1 } else { tries };
            let (trace, began_at) = (self.tracer.below(self.trace), SystemTime::now());
            // Whoever has to leave what is served has no other choice: callers of before are told, not kept.
            let leaves = old.is_some_and(|old| {
                old.offer.digest != offer.digest && self.source.banned(&old.offer).is_some()
            });
            let loaded = self.load(offer, old.map(AsRef::as_ref), leaves, tries, &mut unreached);
            let about = || {
                vec![
                    ("modelgate.model", Attribute::Text(name.clone())),
                    ("modelgate.version", Attribute::Text(offer.version.clone())),
                    ("modelgate.digest", Attribute::Text(offer.digest.to_string())),
                ]
            };
            let failure = match &loaded {
                Ok(_) => None,
                Err(Unloaded::Refused(reason) | Unloaded::Withdrawn(reason)) => Some(reason.as_str()),
            };
            self.tracer.end(trace, "load", began_at, about, failure);
            match loaded {
                Ok(model) => {
                    served.models.insert(name, Arc::new(model));
                }
                Err(Unloaded::Refused(reason)) => {
                    refused.insert(name, format!("{} {}: {reason}", offer.name, offer.version));
                }
                Err(Unloaded::Withdrawn(reason)) => {
                    withdrawn.insert(name, reason);
                }
            }
        }
        for name in refused.keys() {
            let old = before.models.get(name).map(|old| &old.offer).or_else(|| self.left.get(name));
            if let Some(old) = old.cloned()
                && !served.models.contains_key(name)
                && !withdrawn.contains_key(name)
                && let Some(reason) = self.source.banned(&old)
            {
                withdrawn.insert(name.clone(), one_line(&reason));
                // Why nothing is served is said until something is.
                self.left.insert(name.clone(), old);
            }
        }
        self.report(&refused, &withdrawn);
        let changed = self.swap(served, &refused, &withdrawn);
        if !self.catalog.served().models.is_empty() || !withdrawn.is_empty() {
            self.remember(|name| refused.contains_key(name) && !withdrawn.contains_key(name));
        }
        let outcome = if !changed.is_empty() {
            Outcome::Reloaded { changed, refused }
        } else if refused.is_empty() {
            Outcome::Noop
        } else {
            Outcome::Failed { reason: refused.into_values().collect::<Vec<_>>().join("; ") }
        };
        Taken { outcome, unreached }
    }

    /// Takes out what may not be served any more although nothing is offered in its place; returns what went.
    pub(super) fn take_out(&mut self) -> Vec<String> {
        let before = Arc::clone(&self.catalog.served());
        let (mut withdrawn, mut served) = (self.catalog.status().withdrawn, Served::default());
        for (name, model) in &before.models {
            match self.source.banned(&model.offer) {
                Some(reason) => {
                    withdrawn.insert(name.clone(), one_line(&reason));
                    self.left.insert(name.clone(), model.offer.clone());
                }
                None => drop(served.models.insert(name.clone(), Arc::clone(model))),
            }
        }
        if served.models.len() == before.models.len() {
            return Vec::new();
        }
        let refused = self.catalog.status().refused;
        self.report(&refused, &withdrawn);
        let changed = self.swap(served, &refused, &withdrawn);
        self.remember(|name| !withdrawn.contains_key(name));
        changed
    }

    /// Has the cache hold what is served now, and what `keeps` holds for of what it had.
    fn remember(&self, keeps: impl Fn(&str) -> bool) {
        let Some(cache) = &self.start.cache else { return };
        let served = self.catalog.served();
        let offers = served.models.values().map(|model| model.offer.clone()).collect();
        let canaries = self.catalog.rollouts.wanted();
        if let Err(error) = cache.remember(self.start.identity(), offers, keeps, &canaries) {
            self.cache_failed(&error);
        }
        self.start.show_cache();
    }

    /// Swaps what is served, unless it is the same; returns the models that changed, came or went.
    fn swap(
        &self,
        mut served: Served,
        refused: &BTreeMap<String, String>,
        withdrawn: &BTreeMap<String, String>,
    ) -> Vec<String> {
        let _alone = self.start.lock();
        let current = self.catalog.served();
        for name in refused.keys().filter(|name| !withdrawn.contains_key(*name)) {
            if let Some(old) = current.models.get(name) {
                served.models.entry(name.clone()).or_insert_with(|| Arc::clone(old));
            }
        }
        let same = |name: &String, model: &Arc<ServedModel>| {
            current.models.get(name).is_some_and(|old| Arc::ptr_eq(old, model))
        };
        let new =
            served.models.iter().filter(|(name, model)| !same(name, model)).map(|(name, _)| name.clone());
        let gone = current.models.keys().filter(|name| !served.models.contains_key(*name)).cloned();
        let changed: Vec<String> = new.chain(gone).collect();
        for name in &changed {
            let (before, now) = (current.models.get(name), served.models.get(name));
            news::changed(before.map(AsRef::as_ref), now.map(AsRef::as_ref));
        }
        self.catalog.update(|status| {
            status.from_cache = status.from_cache && changed.is_empty() && !refused.is_empty();
            status.refused.clone_from(refused);
            status.withdrawn.clone_from(withdrawn);
        });
        if !changed.is_empty() {
            self.catalog.replace(&self.metrics, served.models);
            self.start.check_redaction();
        }
        changed
    }

    /// Tells what is not served, once for each reason.
    fn report(&self, refused: &BTreeMap<String, String>, withdrawn: &BTreeMap<String, String>) {
        let status = self.catalog.status();
        let new = |known: &BTreeMap<String, String>, name: &String, reason: &String| {
            known.get(name) != Some(reason)
        };
        for (_, reason) in refused.iter().filter(|(name, reason)| new(&status.refused, name, reason)) {
            warn(&format!("not served: {reason}"));
        }
        for (name, reason) in withdrawn.iter().filter(|(name, reason)| new(&status.withdrawn, name, reason)) {
            warn(&format!("nothing of {name} is served any more: {reason}"));
        }
        for name in status.refused.keys().filter(|name| !refused.contains_key(*name)) {
            info(&format!("nothing of {name} is refused any more"));
        }
    }
}

/// Returns the model that would go if what lies at its place now were served instead: callers ask for it by its name, and
/// nobody said that it may go. One that is offered elsewhere has only moved.
fn displaced<'a>(
    mut others: impl Iterator<Item = &'a String>,
    served: impl Fn(&str) -> bool,
    offers: &[Offer],
) -> Option<&'a str> {
    let goes =
        |other: &&String| served(other) && offers.iter().all(|offer| offer.name.as_str() != other.as_str());
    others.find(goes).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_model_at_the_place_of_one_that_is_served_does_not_take_it_away() {
        let offer = |name: &str| Offer {
            name: name.parse().expect("a name"),
            version: "1".to_owned(),
            digest: modelgate_core::Digest::of(name.as_bytes()),
            stage: String::new(),
            metrics: BTreeMap::new(),
            attached: None,
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (before, served, offered, expected) in [
            (&["iris"][..], &["iris"][..], &["house"][..], Some("iris")),
            // It moved, it was never served, or it is gone by now.
            (&["iris"], &["iris"], &["house", "iris"], None),
            (&["iris"], &["other"], &["house"], None),
            (&[], &["iris"], &["house"], None),
            (&["alias", "iris"], &["iris"], &["house", "alias"], Some("iris")),
        ] {
            let before = names(before);
            let offers: Vec<Offer> = offered.iter().map(|name| offer(name)).collect();
            assert_eq!(
                displaced(before.iter(), |name| served.contains(&name), &offers),
                expected,
                "{before:?} {served:?} {offered:?}"
            );
        }
    }
}
