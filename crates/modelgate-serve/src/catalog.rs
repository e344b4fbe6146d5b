//! What is served now. Readers take a whole at once; a reload makes another whole beside it and then swaps the two, so
//! that no request sees half of one and half of the other.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::rollout::{Canary, Rollouts};
use crate::served::ServedModel;
use crate::telemetry::Metrics;

/// The models that are served, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    /// What is in production.
    pub(crate) models: BTreeMap<String, Arc<ServedModel>>,
    /// New versions beside it.
    pub(crate) canaries: BTreeMap<String, Arc<Canary>>,
}

impl Served {
    /// Returns the model of this name, or the only one when no name is given.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<&Arc<ServedModel>, String> {
        let known = || self.models.keys().cloned().collect::<Vec<_>>().join(", ");
        match name {
            Some(name) => self.models.get(name).ok_or_else(|| {
                if self.models.is_empty() {
                    "no model is served".to_owned()
                } else {
                    format!("no such model; served are {}", known())
                }
            }),
            None => match self.models.len() {
                1 => self.models.values().next().ok_or_else(|| "no model is served".to_owned()),
                0 => Err("no model is served".to_owned()),
                _ => Err(format!("several models are served, name one: {}", known())),
            },
        }
    }
}

/// What became of a reload.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Models changed, were added or went.
    Reloaded {
        /// These.
        changed: Vec<String>,
        /// These were refused, with the reason; what was served of them is served on.
        refused: BTreeMap<String, String>,
    },
    /// What is served is what the source has.
    Noop,
    /// The source could not be read, or models were refused and nothing else changed; what was served is served on.
    Failed { reason: String },
}

/// Whether the source is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Breaker {
    /// It is asked.
    #[default]
    Closed,
    /// It failed too often and is left alone for a while.
    Open,
    /// The while is over: the next try decides.
    HalfOpen,
}

/// How the source is.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Status {
    /// The kind of source.
    pub(crate) kind: &'static str,
    /// Where it is.
    pub(crate) place: String,
    /// Whether the last try reached it; `None` before the first.
    pub(crate) reachable: Option<bool>,
    /// When it was last tried.
    pub(crate) last_check: Option<String>,
    /// What went wrong in the last try.
    pub(crate) last_error: Option<String>,
    /// The version of a server.
    pub(crate) server_version: Option<String>,
    /// Whether what is served comes from the cache on disk, since the source was not reached at start.
    pub(crate) from_cache: bool,
    /// The state of the circuit breaker.
    pub(crate) breaker: Breaker,
    /// Models that were offered and are not served, with the reason.
    pub(crate) refused: BTreeMap<String, String>,
    /// Models that must not be served any more, with the reason.
    pub(crate) withdrawn: BTreeMap<String, String>,
}

impl Status {
    /// Returns why a model that is asked for is not there, if it ought to be.
    pub(crate) fn absent(&self, name: &str) -> Option<&str> {
        self.withdrawn.get(name).or_else(|| self.refused.get(name)).map(String::as_str)
    }
}

/// What is served, and how its source is.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    served: ArcSwap<Served>,
    status: Mutex<Status>,
    /// Set once the first look at the source is over, and canaries are back: before, nothing should be sent here.
    pub(crate) settled: AtomicBool,
    /// Held by whoever makes another whole of the one that is served.
    writer: Mutex<()>,
    /// What canaries were told.
    pub(crate) rollouts: Rollouts,
}

impl Catalog {
    /// Returns a catalogue without models, with the rollouts that `cache` remembers.
    pub(crate) fn new(cache: Option<&std::path::Path>) -> Self {
        Self { rollouts: Rollouts::open(cache), ..Self::default() }
    }

    /// Returns what is served now.
    pub(crate) fn served(&self) -> arc_swap::Guard<Arc<Served>> {
        self.served.load()
    }

    /// Changes what is served, as a whole; nobody else changes it meanwhile.
    pub(crate) fn edit(&self, metrics: &Metrics, change: impl FnOnce(&mut Served)) {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut served = Served::clone(&self.served.load());
        change(&mut served);
        metrics.serving(&served);
        self.served.store(Arc::new(served));
    }

    /// Serves these models. The canary of one whose stable version changed is counted anew.
    pub(crate) fn replace(&self, metrics: &Metrics, models: BTreeMap<String, Arc<ServedModel>>) {
        self.edit(metrics, |served| {
            let before = std::mem::replace(&mut served.models, models);
            let digest = |model: Option<&Arc<ServedModel>>| model.map(|model| model.offer.digest);
            for (name, canary) in &mut served.canaries {
                if digest(before.get(name)) != digest(served.models.get(name)) {
                    *canary = Arc::new(Canary::new(Arc::clone(&canary.model), canary.weight, canary.shadow));
                }
            }
            let models = &served.models;
            served.canaries.retain(|name, _| models.contains_key(name));
        });
    }

    pub(crate) fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
