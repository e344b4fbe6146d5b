//! Where models come from. A source says what should be served now, and hands out the files; whether they are served
//! is decided in `served.rs`, by what is in them.

mod package;
mod registry;

use std::collections::BTreeMap;

use modelgate_core::{Digest, ModelName};
use serde::{Deserialize, Serialize};

pub use package::PackageSource;
pub use registry::{RegistrySource, Selector};

use crate::error::SourceError;

/// A package's files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A model that a source wants served.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// The model.
    pub name: ModelName,
    /// Its version as the source calls it.
    pub version: String,
    /// Its package.
    pub digest: Digest,
    /// Where it stands, such as `production`; empty when the source does not say.
    pub stage: String,
    /// The figures it was judged by.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

/// A place that models come from.
pub trait Source: Send {
    /// Returns the kind of place in one word, such as `registry`.
    fn kind(&self) -> &'static str;

    /// Returns the place in words, without secrets.
    fn describe(&self) -> String;

    /// Returns whether it is asked for what was served earlier; the cache may be of a service with other settings.
    fn wants(&self, offer: &Offer) -> bool;

    /// Returns what should be served now.
    ///
    /// # Errors
    /// Fails when the place cannot be reached, or has not what was asked for.
    fn offers(&mut self) -> Result<Vec<Offer>, SourceError>;

    /// Returns the files of an offer.
    ///
    /// # Errors
    /// Fails when the place cannot be reached, or no longer has it.
    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError>;
}
