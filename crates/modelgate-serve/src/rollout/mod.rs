//! A canary beside the version in production: who gets which, what each does, and what is told of it.
//!
//! Owns: the choice of a track, copies of requests for the canary, counts by track, what is kept over a restart, and the
//! judgement of a window. Refuses: deciding that a canary may be one, which the ledger does.

mod canary;
mod client;
mod counting;
mod http;
mod records;
mod shadow;
mod tally;
mod track;
mod window;
mod wire;

pub use client::{Client, ClientError};
pub use counting::{Counting, Mixed};
pub use window::{Watched, figures, judge};
pub use wire::{
    Aborted, CanaryStanding, Counted, Order, Places, ShadowCounts, Standing, TrackCounts, VersionStanding,
};

pub(crate) use canary::Canary;
pub(crate) use http::{abort, openapi, order, standing};
pub(crate) use records::{Record, Rollouts};
pub(crate) use shadow::{Mirror, Mirrored};
pub(crate) use track::{Asker, Chosen, TRACK_HEADER, Track, choose};
