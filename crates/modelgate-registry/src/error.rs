//! What can go wrong with a registry.

use modelgate_core::chain::ChainError;
use modelgate_core::ledger::ReplayError;
use modelgate_core::lifecycle::Refusal;
use modelgate_core::{Digest, ModelName};

use crate::chain_file::ReadError;
use crate::index_damage::is_damage;

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
    /// The registry is there, and takes nothing from here.
    #[error("the registry {home} takes no event from here: {reason}; {needs}")]
    NotWritable {
        /// Where it is.
        home: String,
        /// What it said.
        reason: String,
        /// What writing needs, in words.
        needs: &'static str,
    },
    /// The registry has events on another side than the one that is in use.
    #[error("the registry {home}: {what}")]
    Elsewhere {
        /// Where it was looked for.
        home: String,
        /// Where the events are, and what to do.
        what: String,
    },
    /// A store that does not refuse to write over an object.
    #[error(
        "the registry {home} is in a store that ignores `If-None-Match`, the condition of a write: of two writers at once one \
         would lose its event; use a store that keeps conditions, a git branch or the project's folder"
    )]
    NoConditions {
        /// Where it is.
        home: String,
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
    /// The local copy of the ledger cannot take what the registry has.
    #[error(
        "cannot write `{path}`, the local copy of the ledger: {source}; make room, or remove the file, and try again"
    )]
    Copy {
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
    /// A newer version wrote to the ledger.
    #[error("the ledger `{home}` was written by a newer modelgate: line {}: {}", source.line, source.what)]
    NewerLedger {
        /// Where it is.
        home: String,
        /// What was found; nothing was changed.
        source: ChainError,
    },
    /// The ledger does not end where it was said to end.
    #[error("the ledger {home} ends at event {found} ({head}), not at {given}: nothing was accepted")]
    NotTheHead {
        /// Where it is.
        home: String,
        /// The last event it has.
        found: u64,
        /// Its hash, or `none`.
        head: String,
        /// What was given.
        given: String,
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
         or rewritten; restore it from a copy that has them{}, or, where there is none, give them up by \
         `modelgate ledger accept --head {head} --reason WHY`",
        kept.as_ref().map_or_else(String::new, |kept| format!(" ({kept})"))
    )]
    Shortened {
        /// Where it is.
        home: String,
        /// The last event it has.
        found: u64,
        /// Its hash, or `none`.
        head: String,
        /// The last event that was seen.
        seen: u64,
        /// That event's hash.
        hash: Digest,
        /// What this project has kept of it, in words.
        kept: Option<String>,
    },
    /// A bucket's objects are no ledger: some between are missing, or more than one holds the same event.
    #[error(
        "the ledger {home}: {what}; nothing was written. `docs/runbooks/registry-down.md` says how the objects are put back"
    )]
    Segments {
        /// Where it is.
        home: String,
        /// Which object, and what is wrong.
        what: String,
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
    /// An object's bytes are not those that it is named by.
    #[error("the object {digest} in the registry {home} is damaged: put it back from a backup")]
    DamagedObject {
        /// The object.
        digest: Digest,
        /// Where it is.
        home: String,
    },
    /// A file of a version cannot be had.
    #[error("`{name}` of {model} {version}: {source}")]
    File {
        /// The model.
        model: ModelName,
        /// The version.
        version: modelgate_core::VersionNumber,
        /// The file in the package, or beside it.
        name: String,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// Files of versions are missing or damaged.
    #[error("{}", of_files(found))]
    Files {
        /// Each of them, as [`Self::File`].
        found: Vec<Self>,
    },
    /// The index could not be used.
    #[error("cannot use the index `{path}`: {source}; {}", of_index(source))]
    Index {
        /// The file.
        path: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The index said something else than the ledger.
    #[error(
        "the index `{path}` said something else of {model} than the ledger, which is the truth: it was edited or damaged. Nothing \
         was done, and it was made anew from the ledger; look at `modelgate model list {model}`, and ask again if it is still \
         meant"
    )]
    IndexRefuted {
        /// The file.
        path: String,
        /// The model.
        model: ModelName,
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

fn of_files(found: &[RegistryError]) -> String {
    let count = match found.len() {
        1 => "a file of a version is missing or damaged".to_owned(),
        many => format!("{many} files of versions are missing or damaged"),
    };
    let each: String = found.iter().map(|one| format!("\n  {one}")).collect();
    format!("{count}:{each}")
}

impl RegistryError {
    /// Returns whether it says that bytes of the registry are missing or damaged, rather than that it cannot be reached.
    pub fn is_of_files(&self) -> bool {
        match self {
            Self::File { source, .. } => source.is_of_files(),
            Self::Files { .. } | Self::DamagedObject { .. } | Self::MissingObject { .. } => true,
            _ => false,
        }
    }

    /// Returns whether it is about a version, rather than about the registry, which could not be asked or not be read.
    pub fn is_of_version(&self) -> bool {
        let named = matches!(
            self,
            Self::ArtefactsRemoved { .. }
                | Self::UnknownModel { .. }
                | Self::UnknownVersion { .. }
                | Self::Refused { .. }
        );
        named || self.is_of_files()
    }

    /// Returns what it means that the ledger `home` could not be read.
    pub(crate) fn of_ledger(home: String, error: ReadError) -> Self {
        match error {
            ReadError::Chain(source) if source.newer => Self::NewerLedger { home, source },
            ReadError::Chain(source) => Self::Tampered { home, source },
            ReadError::Replay(source) => Self::NotAllowed { home, source },
            ReadError::Io(error) => Self::Io(error),
        }
    }

    /// Says of a home that did not answer a write that it may have done it all the same.
    pub(crate) fn of_unknown_outcome(self) -> Self {
        match self {
            Self::Unavailable { home, reason } => {
                let reason = format!(
                    "{}; it is not known whether the event was written: `modelgate ledger log --last 1` shows it where it was",
                    reason.trim_end()
                );
                Self::Unavailable { home, reason }
            }
            other => other,
        }
    }

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
                | Self::NoConditions { .. }
                | Self::Elsewhere { .. }
                | Self::IndexRefuted { .. }
                | Self::NotWritable { .. }
                | Self::Tampered { .. }
                | Self::NewerLedger { .. }
                | Self::NotAllowed { .. }
                | Self::Shortened { .. }
                | Self::Segments { .. }
                | Self::Json(_)
        )
    }
}

/// Returns what to do about an index that could not be used. A file with nothing wrong in it is not to be moved.
fn of_index(source: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::{
        CannotOpen, DiskFull, OutOfMemory, PermissionDenied, ReadOnly, SystemIoFailure,
    };
    match source.sqlite_error_code() {
        Some(DiskFull | SystemIoFailure) => {
            "make room on the disk, or look after it, and try again: the file is not at fault"
        }
        Some(CannotOpen | PermissionDenied | ReadOnly) => {
            "see to it that you may write the file and its folder, and that the disk has room, and try again"
        }
        Some(OutOfMemory) => "free some memory, and try again: the file is not at fault",
        _ if !is_damage(source) => {
            "try again, and keep the file: nothing says that it is damaged, and the runs with their parameters and figures are in \
             it alone"
        }
        _ => {
            "move the file aside: the next command makes the index from the ledger, but the runs with their parameters and \
             figures are in that file alone"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_just_now_is_told_from_what_is_gone() {
        let of = |source: RegistryError| RegistryError::File {
            model: "shop".parse().expect("a name"),
            version: modelgate_core::VersionNumber(1),
            name: "model.onnx".to_owned(),
            source: Box::new(source),
        };
        let home = "s3://b".to_owned();
        assert!(
            of(RegistryError::MissingObject { digest: Digest::of(b""), home: home.clone() }).is_of_version()
        );
        assert!(!of(RegistryError::Unavailable { home, reason: "reset".to_owned() }).is_of_version());
        let disk: RegistryError = modelgate_store::StoreError::from(std::io::Error::other("EIO")).into();
        assert!(!of(disk).is_of_version());
    }

    #[test]
    fn a_full_disk_is_no_reason_to_move_the_index_aside() {
        let said = |code: std::ffi::c_int| {
            let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            RegistryError::Index { path: "registry.db".to_owned(), source }.to_string()
        };
        for code in [rusqlite::ffi::SQLITE_FULL, rusqlite::ffi::SQLITE_IOERR, rusqlite::ffi::SQLITE_CANTOPEN]
        {
            let said = said(code);
            assert!(said.contains("room") && !said.contains("aside"), "{said}");
        }
        for code in
            [rusqlite::ffi::SQLITE_NOMEM, rusqlite::ffi::SQLITE_CONSTRAINT, rusqlite::ffi::SQLITE_TOOBIG]
        {
            let said = said(code);
            assert!(said.contains("try again") && !said.contains("aside"), "{said}");
        }
        assert!(said(rusqlite::ffi::SQLITE_CORRUPT).contains("move the file aside"));
    }
}
