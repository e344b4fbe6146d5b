//! Packages in a model repository: one per commit, found again by a tag of their digest.

use std::collections::BTreeMap;

use modelgate_core::Digest;

use crate::hub::{Change, Hub, HubError, NewFile, Repository};

/// Files beside a package that one version has and the next may not.
const ATTACHED: [&str; 5] =
    ["metrics.json", "verdict.json", "MODEL_CARD.md", "model.sig", super::REFERENCE_ROWS];
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "model.sig";

fn tag(digest: &Digest) -> String {
    format!("modelgate-{}", digest.short())
}

/// The tag of a package whose signature came later than it, or took the place of another: the first tag stays where it is.
fn tag_of_signature(digest: &Digest, package: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let signature = package.get(SIGNATURE)?;
    Some(format!("{}-{}", tag(digest), Digest::of(signature).short()))
}

/// Returns the revision that holds a package; `None` when it was never brought there.
///
/// # Errors
/// Fails when the Hub cannot be reached, or the tag was moved to another package.
pub fn find_weights(hub: &Hub, weights: &Repository, digest: &Digest) -> Result<Option<String>, HubError> {
    let tag = tag(digest);
    let Some(revision) = hub.head(weights, &tag)? else { return Ok(None) };
    if hub.is_dry() {
        return Ok(Some(revision));
    }
    match hub.read(weights, &revision, MANIFEST)? {
        Some(manifest) if Digest::of(&manifest) == *digest => Ok(Some(revision)),
        _ => Err(HubError::Moved {
            repository: weights.to_string(),
            reason: format!(
                "the tag `{tag}` is not of the package {digest} any more; remove the tag and deploy again"
            ),
        }),
    }
}

/// Returns the revision that holds a package with exactly what is attached to it, its signature above all; `None` when there is
/// none that is tagged.
///
/// # Errors
/// As [`find_weights`].
pub fn find_same_weights(
    hub: &Hub,
    weights: &Repository,
    digest: &Digest,
    package: &BTreeMap<String, Vec<u8>>,
) -> Result<Option<String>, HubError> {
    let first = find_weights(hub, weights, digest)?;
    if hub.is_dry() {
        return Ok(first);
    }
    let later = match tag_of_signature(digest, package) {
        Some(tag) if first.is_some() => hub.head(weights, &tag)?,
        _ => None,
    };
    for revision in first.into_iter().chain(later) {
        if same(hub, weights, &revision, package)? {
            return Ok(Some(revision));
        }
    }
    Ok(None)
}

/// Brings a package into the model repository and returns its revision; what is there is not sent again.
///
/// # Errors
/// Fails when the token may not, or somebody else deploys at the same time.
pub fn publish_weights(
    hub: &Hub,
    weights: &Repository,
    private: bool,
    package: &BTreeMap<String, Vec<u8>>,
    digest: &Digest,
    summary: &str,
) -> Result<String, HubError> {
    hub.create(weights, private, "")?;
    let mut files: Vec<NewFile> =
        package.iter().map(|(name, bytes)| NewFile::new(name.as_str(), bytes.as_slice())).collect();
    if let Some(card) = package.get("MODEL_CARD.md") {
        files.push(NewFile::new("README.md", card.as_slice()));
    }
    let known = if hub.is_dry() { None } else { find_same_weights(hub, weights, digest, package)? };
    if let Some(revision) = known {
        return Ok(revision);
    }
    // What was attached to another version would be taken for this one's.
    let deleted = ATTACHED.iter().filter(|name| !package.contains_key(**name)).map(|name| (*name).to_owned());
    let change = Change { files, deleted: deleted.collect(), summary: summary.to_owned() };
    let committed = hub.commit(weights, &change)?;
    // The package may have its tag; a signature that came later is in the newer commit and has one of its own. What else came
    // later, such as a card, is found by what is on the main branch.
    let tags = [Some(tag(digest)), tag_of_signature(digest, package)];
    for tag in tags.iter().flatten() {
        match hub.tag(weights, &committed.commit, tag) {
            Err(error) if error.status() == Some(409) => {}
            result => {
                result?;
                break;
            }
        }
    }
    Ok(committed.commit)
}

/// Returns whether a revision holds exactly these files.
fn same(
    hub: &Hub,
    weights: &Repository,
    revision: &str,
    package: &BTreeMap<String, Vec<u8>>,
) -> Result<bool, HubError> {
    let there = hub.files(weights, revision)?;
    for (name, bytes) in package {
        let content = crate::hub::Content::Bytes(bytes.clone());
        let names = [content.sha256()?, content.blob()?];
        if !there.get(name).is_some_and(|found| names.contains(found)) {
            return Ok(false);
        }
    }
    Ok(ATTACHED.iter().all(|name| package.contains_key(*name) || !there.contains_key(*name)))
}
