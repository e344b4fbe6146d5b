//! Trainers that emit `modelgate-model` values.
//!
//! Owns: fitting. Refuses: reading files. [`trainer`] is the seam: an algorithm is a name and a [`Trainer`].

mod boosting;
mod check;
mod counted;
mod error;
mod forest;
mod linear;
mod pages;
mod params;
mod progress;
mod random;
pub mod search;
mod trainer;

pub use check::{Coarse, coarse};
pub use error::{LearnError, ParamError};
pub use progress::Progress;
pub use trainer::{FeatureMatrix, FitOutcome, Targets, Trainer, Validation, trainer};
