//! Bringing a package to a Space: the weights into a model repository, the service or an application of one's own into the
//! Space, and the variable that says which weights are served.

mod application;
mod weights;

use std::collections::BTreeMap;

use modelgate_core::Digest;

pub use application::{Held, application};
pub use weights::{find_same_weights, find_weights, publish_weights};

use crate::hub::{Change, Hub, HubError, NewFile, Repository, Token};

/// The variable with the revision of the weights.
pub const REVISION: &str = "MODELGATE_MODEL_REVISION";
/// The variable with the package that may be served.
pub const DIGEST: &str = "MODELGATE_MODEL_DIGEST";
/// The variable with the model repository.
pub const REPOSITORY: &str = "MODELGATE_MODEL_REPOSITORY";
/// Rows of the training data, which leave only when somebody says so.
pub const REFERENCE_ROWS: &str = "reference.parquet";

/// What a Space is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The Hub's word for its kind, such as `docker`.
    pub sdk: &'static str,
    /// Whether a new one is private.
    pub private: bool,
    /// Its files.
    pub files: Vec<NewFile>,
    /// Folders of packages that may stand in, by their folder; those of others but these are removed.
    pub packages: Option<Digest>,
    /// Variables, those that say what is served included.
    pub variables: Vec<(String, String)>,
    /// Secrets.
    pub secrets: Vec<(String, Token)>,
    /// The message of the commit.
    pub summary: String,
}

/// The folder of a package in a Space.
pub fn package_folder(digest: &Digest) -> String {
    format!("packages/{}", digest.short())
}

/// Returns the variables that say what is served.
pub fn pinned(weights: &Repository, revision: &str, digest: &Digest) -> Vec<(String, String)> {
    vec![
        (REPOSITORY.to_owned(), weights.id()),
        (DIGEST.to_owned(), digest.to_string()),
        (REVISION.to_owned(), revision.to_owned()),
    ]
}

/// Returns what is pinned in a Space now, to go back to it; empty when nothing is.
///
/// # Errors
/// Fails when there is no such Space.
pub fn pinned_now(hub: &Hub, space: &Repository) -> Result<Vec<(String, String)>, HubError> {
    let mut known = hub.variables(space)?;
    known.retain(|(name, _)| [REPOSITORY, DIGEST, REVISION].contains(&name.as_str()));
    Ok(if known.len() == 3 { known } else { Vec::new() })
}

/// Makes a Space what the plan says, creating it if need be; what is so already is left alone.
///
/// # Errors
/// Fails when the token may not, or somebody else deploys at the same time.
pub fn bring(hub: &Hub, space: &Repository, plan: &Plan) -> Result<(), HubError> {
    hub.create(space, plan.private, plan.sdk)?;
    for (name, value) in &plan.secrets {
        hub.set_secret(space, name, value)?;
    }
    let mut change = Change { files: plan.files.clone(), deleted: Vec::new(), summary: plan.summary.clone() };
    if let Some(digest) = &plan.packages {
        // The package that is served now stays beside the new one: going back needs no build.
        let mut kept = vec![package_folder(digest)];
        let now = hub.variables(space)?.into_iter().find(|(name, _)| name == DIGEST);
        kept.extend(
            now.and_then(|(_, digest)| digest.parse::<Digest>().ok()).map(|digest| package_folder(&digest)),
        );
        let there: BTreeMap<String, String> = hub.files(space, "main")?;
        let old = |path: &&String| {
            path.starts_with("packages/")
                && !kept.iter().any(|folder| path.starts_with(&format!("{folder}/")))
        };
        change.deleted = there.keys().filter(old).cloned().collect();
    }
    let committed = hub.commit(space, &change)?;
    let set = hub.set_variables(space, &plan.variables)?;
    // A commit builds the Space anew; variables alone are read at a start, and one that was stopped is not built.
    if set || !committed.changed || hub.runtime(space)?.is_stopped() {
        hub.restart(space)?;
    }
    Ok(())
}

/// Changes which weights a Space serves, and starts it again: no build.
///
/// # Errors
/// Fails when the token may not.
pub fn pin(hub: &Hub, space: &Repository, variables: &[(String, String)]) -> Result<(), HubError> {
    hub.set_variables(space, variables)?;
    hub.restart(space)
}
