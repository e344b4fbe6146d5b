//! A canary that answers: its model, its share, and what was counted since it was loaded.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use modelgate_core::rollout::Percent;

use super::tally::{ShadowTally, Tally};
use super::track::Track;
use super::wire::Counted;
use crate::served::ServedModel;

/// Counts of both tracks.
#[derive(Debug)]
pub(crate) struct Tallies {
    instance: String,
    began: Instant,
    stable: Tally,
    canary: Tally,
    pub(crate) shadow: ShadowTally,
}

impl Tallies {
    fn new(model: &ServedModel) -> Self {
        let classes = &model.classes;
        Self {
            instance: format!("{:016x}", RandomState::new().hash_one(std::process::id())),
            began: Instant::now(),
            stable: Tally::new(classes),
            canary: Tally::new(classes),
            shadow: ShadowTally::default(),
        }
    }

    pub(crate) fn of(&self, track: Track) -> &Tally {
        match track {
            Track::Stable => &self.stable,
            Track::Canary => &self.canary,
        }
    }

    pub(crate) fn counted(&self) -> Counted {
        Counted {
            instance: self.instance.clone(),
            age_ms: u64::try_from(self.began.elapsed().as_millis()).ok(),
            stable: self.stable.counts(),
            canary: self.canary.counts(),
            shadow: self.shadow.counts(),
        }
    }
}

/// A new version beside the one in production.
#[derive(Clone, Debug)]
pub(crate) struct Canary {
    pub(crate) model: Arc<ServedModel>,
    pub(crate) weight: Percent,
    pub(crate) shadow: Percent,
    pub(crate) tallies: Arc<Tallies>,
}

impl Canary {
    /// Returns the canary with counts that begin at nothing.
    pub(crate) fn new(model: Arc<ServedModel>, weight: Percent, shadow: Percent) -> Self {
        let tallies = Arc::new(Tallies::new(&model));
        Self { model, weight, shadow, tallies }
    }
}
