//! An index whose file is damaged: put aside under a name of its own, and begun anew with the runs that can still be read.
//! What follows from the ledger is filled in again by whoever follows it.

use std::path::{Path, PathBuf};

use modelgate_store::FileIdentity;
use rusqlite::Connection;

use crate::RegistryError;
use crate::index::{Index, read_runs};
use crate::notice;

/// Returns whether the file, or a row of it, is not what was written.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqliteFailure,
    };
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match error {
        // `Unknown` is SQLite's word for a statement that does not fit the tables: one of them is gone.
        SqliteFailure(failure, _) => matches!(failure.code, DatabaseCorrupt | NotADatabase | Unknown),
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => true,
        _ => false,
    }
}

impl RegistryError {
    /// Returns whether the index is damaged, which the ledger can make anew.
    pub(crate) fn is_damaged_index(&self) -> bool {
        matches!(self, Self::Index { source, .. } if is_damage(source))
    }
}

/// Returns what tells the file at `path` from another one that takes its place.
pub(crate) fn identity(path: &Path) -> Option<FileIdentity> {
    fs_err::metadata(path).ok().map(|metadata| FileIdentity::of(&metadata))
}

/// Puts a damaged index aside, under a name that is not taken.
///
/// # Errors
/// Fails when the folder cannot be written.
pub(crate) fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    let names = std::iter::once("db.damaged".to_owned()).chain((2_u32..).map(|n| format!("db.damaged-{n}")));
    let aside = names.map(|name| path.with_extension(name)).find(|aside| !aside.exists());
    let aside = aside.unwrap_or_else(|| path.with_extension("db.damaged"));
    fs_err::rename(path, &aside)?;
    for rest in ["db-journal", "db-wal", "db-shm"] {
        // What belongs to the damaged file must not be played into the new one.
        let _ = fs_err::remove_file(path.with_extension(rest));
    }
    Ok(aside)
}

/// Says where a damaged index is now, and what became of the runs in it.
pub(crate) fn tell(path: &Path, aside: Option<&Path>, runs: Option<usize>) {
    let kept = match aside {
        Some(aside) => format!("it is kept as `{}`", aside.display()),
        None => "it cannot be moved aside, and another one is made for this command alone".to_owned(),
    };
    let runs = match runs {
        Some(count) => format!("the {count} runs in it were taken over"),
        None => "the runs in it, with their parameters and figures, could not be read: they are in that file and in the last \
             backup alone"
            .to_owned(),
    };
    notice::tell(&format!(
        "the index `{}` was damaged: {kept}, and what it knew of versions follows from the ledger anew; {runs}",
        path.display()
    ));
}

impl Index {
    /// Puts this index aside, which turned out to be damaged, and goes on with a new one that has its runs as far as they
    /// can be read.
    ///
    /// # Errors
    /// Fails when no index can be made.
    pub(crate) fn renew(&mut self) -> Result<(), RegistryError> {
        let runs = read_runs(&self.connection).ok();
        let (path, mine) = (self.path.clone(), self.identity);
        // The file is closed before it is moved.
        if let Ok(nothing) = Connection::open_in_memory() {
            self.connection = nothing;
        }
        let now = identity(&path);
        let same = match (mine, now) {
            (Some(mine), Some(now)) => mine.inode == 0 || mine.same_file(&now),
            (_, now) => now.is_some(),
        };
        // Another process may have been faster: then its new file is there already.
        if same {
            let aside = put_aside(&path).ok();
            tell(&path, aside.as_deref(), runs.as_ref().map(Vec::len));
            if aside.is_none() {
                *self = Self::in_memory(path)?;
            } else {
                *self = Self::open_file(path)?;
            }
        } else {
            *self = Self::open_file(path)?;
        }
        match runs {
            Some(runs) if same && !runs.is_empty() => self.record_runs_once(&runs),
            _ => Ok(()),
        }
    }
}
