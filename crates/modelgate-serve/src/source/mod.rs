//! Where models come from. A source says what should be served now, and hands out the files; whether they are served
//! is decided in `served.rs`, by what is in them.

mod bucket;
mod fallback;
mod hub;
mod mlflow;
mod named;
mod offered;
mod package;
mod recalled;
mod registry;

use std::collections::BTreeMap;

use modelgate_core::{Digest, ModelName};
use modelgate_model::{ATTACHED_FILES, Manifest, is_file_name};
use serde::{Deserialize, Serialize};

pub use bucket::BucketSource;
pub use fallback::FallbackSource;
pub use hub::{HubSource, pinned_digest};
pub use mlflow::{MlflowLogin, MlflowOptions, MlflowSource, MlflowVersion};
pub use named::NamedSource;
pub use offered::Offered;
pub use package::PackageSource;
pub use recalled::{Bans, ProjectSource};
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
    /// What is said of the package in files beside it that its digest does not cover – its verdict and its signature –
    /// where looking is cheap, as in a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Digest>,
}

/// A place that models come from.
pub trait Source: Send {
    /// Returns the kind of place in one word, such as `registry`.
    fn kind(&self) -> &'static str;

    /// Returns the place in words, without secrets.
    fn describe(&self) -> String;

    /// Returns the place and what is asked of it, without secrets: what another service left in the cache is not this
    /// one's.
    fn identity(&self) -> String;

    /// Returns the version of the server, where there is one and it was asked.
    fn server_version(&self) -> Option<String> {
        None
    }

    /// Returns what should be served now. One model that is none costs itself alone, not the others.
    ///
    /// # Errors
    /// Fails when the place cannot be reached, or has nothing of what was asked for.
    fn offers(&mut self) -> Result<Offered, SourceError>;

    /// Returns why a package that was offered once may not be served any more, whatever is offered in its place, where the
    /// place knows it: as of its last look, and without asking anybody.
    fn banned(&mut self, _served: &Offer) -> Option<String> {
        None
    }

    /// Returns what tells the same without this source, by what lies on this disk of earlier looks: while a look is under
    /// way.
    fn bans(&self) -> Bans {
        Box::new(|_| None)
    }

    /// Returns a version that may be a canary beside what is offered.
    ///
    /// # Errors
    /// Fails when the place cannot be reached, has no such version, or says that it may not answer requests.
    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError>;

    /// Returns the files of an offer.
    ///
    /// # Errors
    /// Fails when the place cannot be reached, or no longer has it.
    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError>;
}

/// Says that a place has no versions to choose a canary from.
fn no_canary(kind: &str, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
    Err(SourceError::Missing(format!(
        "a {kind} gives out no {name} {version} as a canary: serve from a registry"
    )))
}

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const VERDICT_FILE: &str = "verdict.json";

/// Endings of files that hold a model as code of its own.
const PICKLED: [&str; 4] = ["pkl", "pickle", "joblib", "skops"];

/// Returns what there is to say of the first file that holds a pickled model: it is what somebody wants served.
fn pickled<'a>(files: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let ending = |file: &str| {
        let (_, ending) = file.rsplit_once('.')?;
        PICKLED.iter().find(|one| ending.eq_ignore_ascii_case(one))
    };
    let file = files.into_iter().find(|file| ending(file).is_some())?;
    Some(format!(
        "`{file}` is no package: pickled models are never loaded, since loading one runs its code; docs/migrate.md \
         converts it to ONNX"
    ))
}

/// Makes the offer of a package out of its `manifest.json`, from a place that counts no versions.
fn offer_of(manifest: &[u8], place: &str) -> Result<Offer, SourceError> {
    let parsed: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| SourceError::Missing(format!("{place} is no manifest: {error}")))?;
    let digest = Digest::of(manifest);
    Ok(Offer {
        name: parsed.name,
        // The beginning of the package's digest is the shortest true name of it.
        version: digest.to_string().trim_start_matches("sha256:").chars().take(12).collect(),
        digest,
        stage: String::new(),
        metrics: BTreeMap::new(),
        attached: None,
    })
}

/// Returns the figures of the validation rows, else of the test rows, out of an attached `metrics.json`.
fn figures(bytes: &[u8]) -> BTreeMap<String, f64> {
    let Ok(parsed) = serde_json::from_slice::<serde_json::Value>(bytes) else { return BTreeMap::new() };
    let subset = ["validation", "test"].iter().find_map(|name| parsed["subsets"].get(name));
    let metrics = subset.and_then(|subset| subset["metrics"].as_object());
    let number = |(name, value): (&String, &serde_json::Value)| Some((name.clone(), value.as_f64()?));
    metrics.map(|metrics| metrics.iter().filter_map(number).collect()).unwrap_or_default()
}

/// Collects the files that a manifest names and those that may lie beside them, from a place that hands out one by one.
fn files_by_name(get: impl Fn(&str) -> Result<Option<Vec<u8>>, SourceError>) -> Result<Files, SourceError> {
    let mut files = Files::new();
    let Some(manifest) = get(MANIFEST)? else {
        return Err(SourceError::Missing(format!("its {MANIFEST} is gone")));
    };
    let parsed: Manifest = serde_json::from_slice(&manifest)
        .map_err(|error| SourceError::Missing(format!("its {MANIFEST} is none: {error}")))?;
    files.insert(MANIFEST.to_owned(), manifest);
    for name in parsed.files.keys().map(String::as_str).chain(ATTACHED_FILES) {
        if !is_file_name(name) {
            return Err(SourceError::Missing(format!("its {MANIFEST} names a file that no package has")));
        }
        // What is missing of the named ones is found by whoever opens the package.
        if let Some(bytes) = get(name)? {
            files.insert(name.to_owned(), bytes);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pickled_model_is_known_by_its_name() {
        for file in ["model.pkl", "a/model.PICKLE", "m.joblib", "m.skops"] {
            let said = pickled(["readme.md", file]).expect(file);
            assert!(said.contains(file) && said.contains("docs/migrate.md"), "{said}");
        }
        assert_eq!(pickled(["readme.md", "model.onnx", "pkl"]), None);
    }
}
