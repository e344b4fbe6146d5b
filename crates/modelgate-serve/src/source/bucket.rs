//! Packages in a bucket: one at a prefix, or one in each folder directly below it.

use std::path::Path;

use modelgate_store::remote::{self, ObjectHome, RemoteError};

use super::{Files, MANIFEST, Offer, Source, figures, files_by_name, offer_of};
use crate::error::SourceError;

/// Models from `s3://bucket/prefix`.
#[derive(Debug)]
pub struct BucketSource {
    home: Box<dyn ObjectHome>,
}

impl From<RemoteError> for SourceError {
    fn from(error: RemoteError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl BucketSource {
    /// Serves the packages at `uri`; endpoint, region and credentials come from the usual `AWS_…` variables.
    ///
    /// # Errors
    /// Fails for what is no address, and without credentials. Nothing is asked yet.
    pub fn new(uri: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        Ok(Self { home: remote::open(uri, Path::new("."), environment)? })
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.home.get(key)?.map(|(bytes, _)| bytes))
    }

    /// Returns the prefixes of packages, with their offers.
    fn packages(&self) -> Result<Vec<(String, Offer)>, SourceError> {
        let mut prefixes = Vec::new();
        if let Some(manifest) = self.get(MANIFEST)? {
            prefixes.push((String::new(), manifest));
        } else {
            for (key, _) in self.home.list("")? {
                let prefix = key.strip_suffix(MANIFEST).filter(|prefix| prefix.matches('/').count() == 1);
                if let (Some(prefix), Some(manifest)) = (prefix, self.get(&key)?) {
                    prefixes.push((prefix.to_owned(), manifest));
                }
            }
        }
        let mut found = Vec::new();
        for (prefix, manifest) in prefixes {
            let place = format!("{prefix}{MANIFEST} in {}", self.home.name());
            let mut offer = offer_of(&manifest, &place)?;
            offer.metrics =
                self.get(&format!("{prefix}metrics.json"))?.map(|bytes| figures(&bytes)).unwrap_or_default();
            found.push((prefix, offer));
        }
        if found.is_empty() {
            return Err(SourceError::Missing(format!(
                "there is no package in {}: no {MANIFEST} there or one folder below",
                self.home.name()
            )));
        }
        Ok(found)
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

    fn offers(&mut self) -> Result<Vec<Offer>, SourceError> {
        Ok(self.packages()?.into_iter().map(|(_, offer)| offer).collect())
    }

    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError> {
        let packages = self.packages()?;
        let found = packages.into_iter().find(|(_, one)| one.digest == offer.digest);
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
