//! `registry.db`: a SQLite index over the ledger, rebuilt from it at any time, and the tracking tables.
//!
//! It also remembers the ledger's head, so that lines removed at the end are noticed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_core::ledger::{LedgerEntry, RegistryState};
use rusqlite::{Connection, OptionalExtension, params};

use crate::RegistryError;

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE head (home TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash TEXT NOT NULL);
    CREATE TABLE versions (home TEXT, model TEXT, version INTEGER, stage TEXT, verdict TEXT, digest TEXT, run TEXT,
        PRIMARY KEY (home, model, version));
    CREATE TABLE aliases (home TEXT, model TEXT, alias TEXT, version INTEGER, PRIMARY KEY (home, model, alias));
    CREATE TABLE runs (run TEXT PRIMARY KEY, experiment TEXT, started_at TEXT, finished_at TEXT, status TEXT, digest TEXT);
    CREATE TABLE params (run TEXT, name TEXT, value TEXT, PRIMARY KEY (run, name));
    CREATE TABLE metrics (run TEXT, name TEXT, value REAL, PRIMARY KEY (run, name));
";

/// One run for the tracking tables.
#[derive(Clone, PartialEq, Debug)]
pub struct RunRow {
    /// The run's id.
    pub run: String,
    /// The pipeline.
    pub experiment: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    pub finished_at: String,
    /// How it ended.
    pub status: String,
    /// The package, if one was made.
    pub digest: Option<Digest>,
    /// The settings.
    pub params: BTreeMap<String, String>,
    /// The figures.
    pub metrics: BTreeMap<String, f64>,
}

/// The index of one project.
pub struct Index {
    path: PathBuf,
    connection: Connection,
}

impl Index {
    /// Opens the index below `state_folder`, making it when it is missing, and making it anew when it is not a
    /// database or one of another version: nothing in it is lost that the ledger does not hold, but the tracking
    /// tables, which are kept beside it under another name.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn open(state_folder: &Path) -> Result<Self, RegistryError> {
        fs_err::create_dir_all(state_folder)?;
        let path = state_folder.join("registry.db");
        match Self::connect(&path) {
            Ok(connection) => Ok(Self { path, connection }),
            Err(error) if is_unreadable(&error) => {
                fs_err::rename(&path, path.with_extension("db.damaged"))?;
                let connection = Self::connect(&path).map_err(|source| wrap(&path, source))?;
                Ok(Self { path, connection })
            }
            Err(source) => Err(wrap(&path, source)),
        }
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // The ledger is the truth: after a crash of the machine the index is made anew.
        connection.pragma_update(None, "synchronous", "OFF")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
        } else if version != SCHEMA_VERSION {
            return Err(rusqlite::Error::InvalidQuery);
        }
        Ok(connection)
    }

    fn wrap<T>(&self, result: rusqlite::Result<T>) -> Result<T, RegistryError> {
        result.map_err(|source| wrap(&self.path, source))
    }

    /// Returns the last event of `home` that this index has seen.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn head(&self, home: &str) -> Result<Option<(u64, Digest)>, RegistryError> {
        let query = "SELECT seq, hash FROM head WHERE home = ?1";
        let row = self
            .connection
            .query_row(query, [home], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
        let row = self.wrap(row.optional())?;
        Ok(row.and_then(|(seq, hash)| Some((seq as u64, hash.parse().ok()?))))
    }

    /// Makes the index follow a ledger.
    ///
    /// # Errors
    /// Fails when the ledger is shorter than, or another than, the one this index has seen, or when the file cannot
    /// be written.
    pub fn follow(
        &mut self,
        home: &str,
        entries: &[LedgerEntry],
        state: &RegistryState,
    ) -> Result<(), RegistryError> {
        let last = entries.last();
        if let Some((seq, hash)) = self.head(home)? {
            let same = entries.get((seq as usize).wrapping_sub(1)).is_some_and(|entry| entry.hash == hash);
            if !same {
                let found = last.map_or(0, |entry| entry.seq);
                return Err(RegistryError::Shortened { home: home.to_owned(), found, seen: seq, hash });
            }
            if last.is_some_and(|entry| entry.hash == hash) {
                return Ok(());
            }
        }
        let Some(last) = last else { return Ok(()) };
        let path = self.path.clone();
        let written = write_state(&mut self.connection, home, last, state);
        written.map_err(|source| wrap(&path, source))
    }

    /// Keeps a run in the tracking tables.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn record_run(&mut self, run: &RunRow) -> Result<(), RegistryError> {
        let path = self.path.clone();
        write_run(&mut self.connection, run).map_err(|source| wrap(&path, source))
    }

    /// Returns the figures of a run.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn run_metrics(&self, run: &str) -> Result<BTreeMap<String, f64>, RegistryError> {
        let read = || {
            let mut statement = self.connection.prepare("SELECT name, value FROM metrics WHERE run = ?1")?;
            let rows = statement.query_map([run], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        self.wrap(read())
    }
}

fn wrap(path: &Path, source: rusqlite::Error) -> RegistryError {
    RegistryError::Index { path: path.display().to_string(), source }
}

fn is_unreadable(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error, rusqlite::Error::InvalidQuery)
        || matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

fn write_state(
    connection: &mut Connection,
    home: &str,
    last: &LedgerEntry,
    state: &RegistryState,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM versions WHERE home = ?1", [home])?;
    transaction.execute("DELETE FROM aliases WHERE home = ?1", [home])?;
    {
        let mut versions = transaction.prepare("INSERT INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        let mut aliases = transaction.prepare("INSERT INTO aliases VALUES (?1, ?2, ?3, ?4)")?;
        for (model, found) in &state.models {
            for (version, one) in &found.versions {
                versions.execute(params![
                    home,
                    model.as_str(),
                    version.0,
                    one.stage.to_string(),
                    one.verdict.to_string(),
                    one.digest.to_string(),
                    one.registration.lineage.run_id.as_str(),
                ])?;
            }
            for (alias, version) in &found.aliases {
                aliases.execute(params![home, model.as_str(), alias.as_str(), version.0])?;
            }
        }
    }
    let head = "INSERT OR REPLACE INTO head VALUES (?1, ?2, ?3)";
    transaction.execute(head, params![home, last.seq as i64, last.hash.to_string()])?;
    transaction.commit()
}

fn write_run(connection: &mut Connection, run: &RunRow) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute(
        "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            run.run,
            run.experiment,
            run.started_at,
            run.finished_at,
            run.status,
            run.digest.map(|digest| digest.to_string())
        ],
    )?;
    for (name, value) in &run.params {
        transaction
            .execute("INSERT OR REPLACE INTO params VALUES (?1, ?2, ?3)", params![run.run, name, value])?;
    }
    for (name, value) in &run.metrics {
        transaction
            .execute("INSERT OR REPLACE INTO metrics VALUES (?1, ?2, ?3)", params![run.run, name, value])?;
    }
    transaction.commit()
}
