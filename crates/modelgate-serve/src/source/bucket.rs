//! Packages in a bucket: one at a prefix, or one in each folder directly below it.

use std::path::Path;

use modelgate_core::ModelName;
use modelgate_store::remote::{self, ObjectHome, RemoteError};

use super::offered::Places;
use super::{Files, MANIFEST, Offer, Offered, Source, figures, files_by_name, no_canary, offer_of, pickled};
use crate::error::{SourceError, one_line};

/// Models from `s3://bucket/prefix`.
#[derive(Debug)]
pub struct BucketSource {
    home: Box<dyn ObjectHome>,
    places: Places,
    /// The prefixes of what was offered last.
    found: Vec<(String, Offer)>,
}

impl From<RemoteError> for SourceError {
    fn from(error: RemoteError) -> Self {
        Self::Unavailable(one_line(&error.to_string()))
    }
}

impl BucketSource {
    /// Serves the packages at `uri`; endpoint, region and credentials come from the usual `AWS_…` variables.
    ///
    /// # Errors
    /// Fails for what is no address, and without credentials. Nothing is asked yet.
    pub fn new(uri: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        let home = remote::open(uri, Path::new("."), environment)?;
        Ok(Self { home, places: Places::default(), found: Vec::new() })
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.home.get(key)?.map(|(bytes, _)| bytes))
    }

    /// Returns the prefixes of packages.
    fn prefixes(&self) -> Result<Vec<String>, SourceError> {
        if self.get(MANIFEST)?.is_some() {
            return Ok(vec![String::new()]);
        }
        let list = self.home.list("")?;
        let prefixes = list.iter().filter_map(|(key, _)| {
            key.strip_suffix(MANIFEST).filter(|prefix| prefix.matches('/').count() == 1).map(str::to_owned)
        });
        let prefixes: Vec<String> = prefixes.collect();
        if prefixes.is_empty() {
            let hint = pickled(list.iter().map(|(key, _)| key.as_str()));
            let hint = hint.map_or_else(String::new, |sentence| format!("; {sentence}"));
            return Err(SourceError::Missing(format!(
                "there is no package in {}: no {MANIFEST} there or one folder below{hint}",
                self.home.name()
            )));
        }
        Ok(prefixes)
    }

    fn offer(&self, prefix: &str) -> Result<Offer, SourceError> {
        let place = format!("{prefix}{MANIFEST} in {}", self.home.name());
        let manifest = self.get(&format!("{prefix}{MANIFEST}"))?;
        let manifest = manifest.ok_or_else(|| SourceError::Missing(format!("{place} is gone")))?;
        let metrics = self.get(&format!("{prefix}metrics.json"))?.map(|bytes| figures(&bytes));
        Ok(Offer { metrics: metrics.unwrap_or_default(), ..offer_of(&manifest, &place)? })
    }
}

impl Source for BucketSource {
    fn kind(&self) -> &'static str {
        "bucket"
    }

    fn describe(&self) -> String {
        self.home.name()
    }

    fn identity(&self) -> String {
        self.home.name()
    }

    fn offers(&mut self) -> Result<Offered, SourceError> {
        self.found.clear();
        let mut found = Vec::new();
        for prefix in self.prefixes()? {
            match self.offer(&prefix) {
                // A bucket that dies while it is read is not asked for the rest.
                Err(error @ SourceError::Unavailable(_)) => return Err(error),
                offer => {
                    if let Ok(offer) = &offer {
                        self.found.push((prefix.clone(), offer.clone()));
                    }
                    found.push((prefix, offer));
                }
            }
        }
        self.places.sort(found)
    }

    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
        no_canary(self.kind(), name, version)
    }

    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError> {
        let found = self.found.iter().find(|(_, one)| one.digest == offer.digest);
        let Some((prefix, _)) = found else {
            return Err(SourceError::Missing(format!(
                "the package {} is gone from {}",
                offer.digest,
                self.home.name()
            )));
        };
        files_by_name(|name| self.get(&format!("{prefix}{name}")))
    }
}
