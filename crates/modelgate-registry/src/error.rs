//! What can go wrong with a registry.

use modelgate_core::chain::ChainError;
use modelgate_core::ledger::ReplayError;
use modelgate_core::lifecycle::Refusal;
use modelgate_core::{Digest, ModelName};

/// The registry refused, is damaged or could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The address is not one of a registry.
    #[error("`{uri}` is not a registry: {reason}")]
    Uri {
        /// What was given.
        uri: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The registry could not be reached.
    #[error("the registry {home} could not be reached: {reason}")]
    Unavailable {
        /// Where it is.
        home: String,
        /// What happened.
        reason: String,
    },
    /// Somebody changed the ledger.
    #[error("{source}; restore `{home}` from a copy, then run `modelgate ledger verify`")]
    Tampered {
        /// Where it is.
        home: String,
        /// What was found.
        source: ChainError,
    },
    /// The events could not be written.
    #[error("cannot append to the ledger `{path}`: {source}; nothing was added")]
    Append {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// An archive cannot be used.
    #[error("the archive `{path}`: {what}")]
    Archive {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is a registry where one was to be read in.
    #[error("the registry {home} has {events} events already: an archive is read into an empty one")]
    NotEmpty {
        /// Where it is.
        home: String,
        /// Number of its events.
        events: u64,
    },
    /// It was written by a newer version.
    #[error(
        "`{what}` has schema {found}; this modelgate reads {reads}: use {}",
        needs.as_ref().map_or("a newer modelgate".to_owned(), |version| format!("modelgate {version} or newer"))
    )]
    Newer {
        /// The file.
        what: String,
        /// Its schema.
        found: u64,
        /// What this version reads.
        reads: u64,
        /// The version of modelgate that wrote it, where that is known.
        needs: Option<String>,
    },
    /// Somebody wrote past the door.
    #[error("{source}; `{home}` was not written by modelgate")]
    NotAllowed {
        /// Where it is.
        home: String,
        /// What was found.
        source: ReplayError,
    },
    /// Lines at the end of the ledger are gone.
    #[error(
        "the ledger {home} ends at event {found}, and this project has seen event {seen} ({hash}): events were removed \
         or rewritten; restore it from a copy"
    )]
    Shortened {
        /// Where it is.
        home: String,
        /// The last event it has.
        found: u64,
        /// The last event that was seen.
        seen: u64,
        /// That event's hash.
        hash: Digest,
    },
    /// The lifecycle does not allow it.
    #[error("{model}: {refusal}")]
    Refused {
        /// The model.
        model: ModelName,
        /// Why.
        refusal: Refusal,
    },
    /// There is no such model.
    #[error("there is no model `{model}`; there is {known}")]
    UnknownModel {
        /// What was asked for.
        model: ModelName,
        /// What there is.
        known: String,
    },
    /// There is no such version or alias.
    #[error("{model} has no version or alias `{reference}`; it has {known}")]
    UnknownVersion {
        /// The model.
        model: ModelName,
        /// What was asked for.
        reference: String,
        /// What there is.
        known: String,
    },
    /// Others wrote at the same time, again and again.
    #[error("the registry {home} is busy: {tries} attempts met other writers; try again")]
    Busy {
        /// Where it is.
        home: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The artefacts of a version were removed by a collection.
    #[error("the artefacts of {model} {version} are removed: `modelgate ledger log` says when and why")]
    ArtefactsRemoved {
        /// The model.
        model: ModelName,
        /// The version.
        version: modelgate_core::VersionNumber,
    },
    /// An object is not in the registry.
    #[error("the object {digest} is not in the registry {home}")]
    MissingObject {
        /// The object.
        digest: Digest,
        /// Where it was looked for.
        home: String,
    },
    /// The index could not be used.
    #[error(
        "cannot use the index `{path}`: {source}; move the file aside: the next command makes the index from the ledger, \
         but the runs with their parameters and figures are in that file alone"
    )]
    Index {
        /// The file.
        path: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another process holds the index.
    #[error(
        "another process holds the index `{path}` for more than five seconds; end it, or wait, and try again"
    )]
    IndexBusy {
        /// The file.
        path: String,
    },
    /// Another process holds the ledger.
    #[error(
        "another process holds the ledger `{path}` for more than five seconds; end it, or wait, and try again"
    )]
    LedgerBusy {
        /// The file.
        path: String,
    },
    /// A file could not be written or read.
    #[error(transparent)]
    Store(#[from] modelgate_store::StoreError),
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An event could not be written as JSON.
    #[error("cannot write the event: {0}")]
    Json(#[from] serde_json::Error),
}

impl RegistryError {
    /// Returns whether it is certain that nothing was appended; an answer that was lost leaves that open.
    pub fn appended_nothing(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::UnknownModel { .. }
                | Self::UnknownVersion { .. }
                | Self::Busy { .. }
                | Self::LedgerBusy { .. }
                | Self::Append { .. }
                | Self::Tampered { .. }
                | Self::NotAllowed { .. }
                | Self::Shortened { .. }
                | Self::Json(_)
        )
    }
}
