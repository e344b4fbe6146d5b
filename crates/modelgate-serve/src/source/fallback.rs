//! A package that lies beside the service, for a start while the place that models come from is down.
//!
//! It is used until that place has answered once, and never again then: what is served stays as it is when the place goes
//! down later, and a place that answers has the last word.

use modelgate_core::{Digest, ModelName};

use super::{Bans, Files, Offer, Offered, PackageSource, Source};
use crate::error::SourceError;
use crate::telemetry::talk::{info, warn};

/// A source, and the packages that stand in for it.
pub struct FallbackSource {
    source: Box<dyn Source>,
    packaged: PackageSource,
    digest: Option<Digest>,
    answered: bool,
    /// Whether the packages were offered last.
    standing_in: bool,
    /// The canary that the place named last: its files are not among the packages.
    candidate: Option<Digest>,
}

impl FallbackSource {
    /// Serves from `source`, and from `packaged` until that has answered; with `digest`, that package alone.
    pub fn new(source: Box<dyn Source>, packaged: PackageSource, digest: Option<Digest>) -> Self {
        Self { source, packaged, digest, answered: false, standing_in: false, candidate: None }
    }
}

impl Source for FallbackSource {
    fn kind(&self) -> &'static str {
        self.source.kind()
    }

    fn describe(&self) -> String {
        if self.standing_in {
            format!("{} (a copy of {})", self.packaged.describe(), self.source.describe())
        } else {
            self.source.describe()
        }
    }

    fn identity(&self) -> String {
        self.source.identity()
    }

    fn server_version(&self) -> Option<String> {
        self.source.server_version()
    }

    fn offers(&mut self) -> Result<Offered, SourceError> {
        let error = match self.source.offers() {
            Ok(offers) => {
                if self.standing_in {
                    info(&format!("{} answers: the copy stands in no longer", self.source.describe()));
                }
                (self.answered, self.standing_in) = (true, false);
                return Ok(offers);
            }
            Err(error) => error,
        };
        if self.answered || matches!(error, SourceError::Missing(_)) {
            return Err(error);
        }
        let offered = match &self.digest {
            Some(digest) => {
                let offers = self.packaged.pinned(digest).into_iter().collect();
                Ok(Offered { offers, ..Offered::default() })
            }
            None => self.packaged.offers(),
        };
        let Some(offered) = offered.ok().filter(|offered| !offered.offers.is_empty()) else {
            return Err(error);
        };
        if !self.standing_in {
            warn(&format!("{error}; serving from {} until it answers", self.packaged.describe()));
        }
        self.standing_in = true;
        Ok(offered)
    }

    fn banned(&mut self, served: &Offer) -> Option<String> {
        // What lies beside the copy is as old as the copy: a place that has answered knows better.
        let copy = if self.answered { None } else { self.packaged.banned(served) };
        self.source.banned(served).or(copy)
    }

    fn bans(&self) -> Bans {
        let (mut place, mut copy) = (self.source.bans(), self.packaged.bans());
        Box::new(move |offer| place(offer).or_else(|| copy(offer)))
    }

    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
        // A copy knows nothing of canaries.
        let offer = self.source.candidate(name, version)?;
        self.candidate = Some(offer.digest);
        Ok(offer)
    }

    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError> {
        let is_candidate = self.candidate == Some(offer.digest);
        if self.standing_in && !is_candidate { self.packaged.files(offer) } else { self.source.files(offer) }
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::Digest;

    use super::*;

    struct Place(Vec<Result<Offered, SourceError>>);

    impl Source for Place {
        fn kind(&self) -> &'static str {
            "place"
        }

        fn describe(&self) -> String {
            "a place".to_owned()
        }

        fn identity(&self) -> String {
            self.describe()
        }

        fn offers(&mut self) -> Result<Offered, SourceError> {
            self.0.remove(0)
        }

        fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
            let digest = Digest::of(b"canary");
            let (name, version, stage) = (name.clone(), version.to_owned(), "approved".to_owned());
            let metrics = std::collections::BTreeMap::new();
            Ok(Offer { name, version, digest, stage, metrics, attached: None })
        }

        fn files(&mut self, _offer: &Offer) -> Result<Files, SourceError> {
            Ok(Files::from([("from-the-place".to_owned(), Vec::new())]))
        }
    }

    fn down<T>() -> Result<T, SourceError> {
        Err(SourceError::Unavailable("it is down".to_owned()))
    }

    /// A folder with a manifest in it, and its digest.
    fn packaged(folder: &std::path::Path, seed: u64) -> Digest {
        let manifest = serde_json::json!({
            "schema_version": 1, "name": "m", "task": "regression",
            "schema": { "schema_version": 1, "task": "regression", "features": [], "target": "y", "classes": null },
            "lineage": {
                "dataset": Digest::of(b"d"), "config": Digest::of(b"c"), "code": "ridge/1", "algorithm": "ridge",
                "seed": seed, "tool_version": "0.1.0", "split": Digest::of(b"s"),
            },
            "files": {},
        });
        let bytes = serde_json::to_vec(&manifest).expect("JSON");
        fs_err::write(folder.join("manifest.json"), &bytes).expect("written");
        Digest::of(&bytes)
    }

    #[test]
    fn the_copy_stands_in_until_the_place_has_answered_once() {
        let folder = tempfile::tempdir().expect("a folder");
        // A copy of another version lies beside it under the same name.
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs_err::create_dir_all(&one).expect("made");
        fs_err::create_dir_all(&other).expect("made");
        packaged(&other, 2);
        let digest = packaged(&one, 1);
        let copy = || PackageSource::new(folder.path().to_owned());
        let mut offered = PackageSource::new(one.clone()).offers().expect("a package");
        offered.offers[0].version = "of the place".to_owned();
        let place = Place(vec![down(), Ok(offered), down()]);
        let mut source = FallbackSource::new(Box::new(place), copy(), Some(digest));
        let offers = source.offers().expect("the copy").offers;
        assert_eq!(offers[0].digest, digest);
        assert!(source.describe().contains("a copy of a place"));
        assert!(source.files(&offers[0]).expect("files").contains_key("manifest.json"));
        // The place has no list of models to give, and knows of a canary.
        let canary = source.candidate(&offers[0].name, "v002").expect("a canary");
        assert!(source.files(&canary).expect("files").contains_key("from-the-place"));
        assert!(source.files(&offers[0]).expect("files").contains_key("manifest.json"));
        let offers = source.offers().expect("the place").offers;
        assert_eq!((offers[0].version.as_str(), source.describe().as_str()), ("of the place", "a place"));
        assert!(source.files(&offers[0]).expect("files").contains_key("from-the-place"));
        assert!(matches!(source.offers(), Err(SourceError::Unavailable(_))));
    }

    #[test]
    fn what_the_copy_calls_quarantined_is_banned_until_the_place_has_answered() {
        let folder = tempfile::tempdir().expect("a folder");
        packaged(folder.path(), 1);
        let packages = || PackageSource::new(folder.path().to_owned());
        let offered = packages().offers().expect("a package");
        let served = offered.offers[0].clone();
        let place = Place(vec![down(), Ok(offered)]);
        let mut source = FallbackSource::new(Box::new(place), packages(), None);
        source.offers().expect("the copy");
        assert_eq!(source.banned(&served), None);
        let left = modelgate_model::LeftPackages::default()
            .with(&served.name, [(served.digest, modelgate_core::VersionNumber(2))]);
        let bytes = serde_json::to_vec(&left).expect("JSON");
        fs_err::write(folder.path().join(modelgate_model::LEFT_FILE), bytes).expect("written");
        assert!(source.banned(&served).is_some_and(|why| why.contains("is quarantined as v002")));
        // It may have been taken out of quarantine since.
        source.offers().expect("the place");
        assert_eq!(source.banned(&served), None);
    }

    #[test]
    fn another_package_than_the_pinned_one_does_not_stand_in() {
        let folder = tempfile::tempdir().expect("a folder");
        packaged(folder.path(), 1);
        let copy = || PackageSource::new(folder.path().to_owned());
        let other = Some(Digest::of(b"another"));
        let mut source = FallbackSource::new(Box::new(Place(vec![down()])), copy(), other);
        assert!(matches!(source.offers(), Err(SourceError::Unavailable(_))));
        // A place that answers and has nothing is not down.
        let gone = Err(SourceError::Missing("gone".to_owned()));
        let mut source = FallbackSource::new(Box::new(Place(vec![gone])), copy(), None);
        assert!(matches!(source.offers(), Err(SourceError::Missing(_))));
    }
}
