//! `registry.db`: a SQLite index over the ledger, rebuilt from it at any time, and the tracking tables.
//!
//! It also remembers the ledger's head, so that lines removed at the end are noticed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_store::FileIdentity;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::RegistryError;
use crate::index_damage::{identity, is_damage, put_aside, tell};
use crate::index_state::parsed;

const SCHEMA_VERSION: i64 = 6;

/// What follows from ledgers; made anew when its form changes.
const DERIVED: &str = "
    DROP TABLE IF EXISTS head; DROP TABLE IF EXISTS versions; DROP TABLE IF EXISTS registrations;
    DROP TABLE IF EXISTS aliases; DROP TABLE IF EXISTS pending; DROP TABLE IF EXISTS production;
    DROP TABLE IF EXISTS rollouts; DROP TABLE IF EXISTS seals; DROP TABLE IF EXISTS made_by;
    CREATE TABLE made_by (tool_version TEXT);
    CREATE TABLE head (home TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash TEXT NOT NULL, line_start INTEGER NOT NULL,
        line_end INTEGER NOT NULL, time TEXT NOT NULL, stamp TEXT NOT NULL);
    CREATE TABLE versions (home TEXT, model TEXT, version INTEGER, stage TEXT, verdict TEXT, digest TEXT,
        verdict_digest TEXT, approval TEXT, signature TEXT, run TEXT, trained_at TEXT, metrics TEXT,
        quarantined INTEGER NOT NULL,
        PRIMARY KEY (home, model, version)) WITHOUT ROWID;
    CREATE TABLE registrations (home TEXT, model TEXT, version INTEGER, registration TEXT, time TEXT,
        line_start INTEGER NOT NULL, line_end INTEGER NOT NULL, PRIMARY KEY (home, model, version));
    CREATE TABLE aliases (home TEXT, model TEXT, alias TEXT, version INTEGER, PRIMARY KEY (home, model, alias))
        WITHOUT ROWID;
    CREATE TABLE pending (home TEXT, model TEXT, rollback TEXT, PRIMARY KEY (home, model)) WITHOUT ROWID;
    CREATE TABLE rollouts (home TEXT, model TEXT, rollout TEXT, PRIMARY KEY (home, model)) WITHOUT ROWID;
    CREATE TABLE seals (home TEXT, model TEXT, seal TEXT, PRIMARY KEY (home, model)) WITHOUT ROWID;
    CREATE TABLE production (home TEXT, model TEXT, seq INTEGER, time INTEGER, version INTEGER, digest TEXT,
        line_start INTEGER NOT NULL, line_end INTEGER NOT NULL, PRIMARY KEY (home, model, seq)) WITHOUT ROWID;
    CREATE INDEX production_by_time ON production (home, model, time, seq);
";

const TRACKING: &str = "
    CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, experiment TEXT, started_at TEXT, finished_at TEXT,
        status TEXT, digest TEXT);
    CREATE TABLE IF NOT EXISTS params (run TEXT, name TEXT, value TEXT, PRIMARY KEY (run, name));
    CREATE TABLE IF NOT EXISTS metrics (run TEXT, name TEXT, value REAL, PRIMARY KEY (run, name));
";

/// One run for the tracking tables.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
    /// The file that was opened; `None` in memory.
    pub(crate) identity: Option<FileIdentity>,
    /// What follows from ledgers, where the file could not be written.
    beside: Option<Connection>,
}

impl Index {
    /// Opens the index below `state_folder`, making it when it is missing, and making it anew when it is not a
    /// database: nothing in it is lost that the ledger does not hold, but the tracking tables, which are kept beside
    /// it under another name, as is said. Where nothing can be written the index is made in memory.
    ///
    /// # Errors
    /// Fails when a newer version has made it, or when the system says no.
    pub fn open(state_folder: &Path) -> Result<Self, RegistryError> {
        let path = state_folder.join("registry.db");
        if fs_err::create_dir_all(state_folder).is_err() {
            return Self::in_memory(path);
        }
        Self::open_file(path)
    }

    /// Opens the file `path`, whose folder is there.
    pub(crate) fn open_file(path: PathBuf) -> Result<Self, RegistryError> {
        match Self::connect(&path) {
            Ok(connection) => Ok(Self::of_file(path, connection)),
            Err(Opening::Newer { schema, tool_version }) => Err(RegistryError::Newer {
                what: path.display().to_string(),
                found: schema as u64,
                reads: SCHEMA_VERSION as u64,
                needs: tool_version,
            }),
            Err(Opening::Sqlite(error)) if is_damage(&error) => {
                let aside = put_aside(&path).ok();
                tell(&path, aside.as_deref(), None);
                match Self::connect(&path) {
                    Ok(connection) if aside.is_some() => Ok(Self::of_file(path, connection)),
                    _ => Self::in_memory(path),
                }
            }
            Err(Opening::Sqlite(error)) if is_read_only(&error) => Self::in_memory(path),
            Err(Opening::Sqlite(source)) => Err(wrap(&path, source)),
        }
    }

    fn of_file(path: PathBuf, connection: Connection) -> Self {
        let identity = identity(&path);
        Self { path, connection, identity, beside: None }
    }

    /// Goes on with tables of its own for what follows from ledgers, empty ones, which last as long as this process: the
    /// file cannot be written. Runs stay with the file.
    pub(crate) fn go_on_beside(&mut self) -> Result<(), RegistryError> {
        let made = Connection::open_in_memory().and_then(|beside| {
            beside.execute_batch(DERIVED)?;
            Ok(beside)
        });
        self.beside = Some(made.map_err(|source| wrap(&self.path, source))?);
        Ok(())
    }

    /// Returns the tables that follow from ledgers.
    pub(crate) fn derived(&self) -> &Connection {
        self.beside.as_ref().unwrap_or(&self.connection)
    }

    pub(crate) fn derived_mut(&mut self) -> &mut Connection {
        self.beside.as_mut().unwrap_or(&mut self.connection)
    }

    /// Returns an index that lasts as long as this process.
    pub(crate) fn in_memory(path: PathBuf) -> Result<Self, RegistryError> {
        let made = Connection::open_in_memory().and_then(|connection| {
            connection.execute_batch(DERIVED)?;
            connection.execute_batch(TRACKING)?;
            Ok(connection)
        });
        match made {
            Ok(connection) => Ok(Self { path, connection, identity: None, beside: None }),
            Err(source) => Err(wrap(&path, source)),
        }
    }

    fn connect(path: &Path) -> Result<Connection, Opening> {
        // SQLite would make it writable for its owner alone, whatever the umask says, and its journals follow the file: in a
        // folder of a group the others could not write it. Why it cannot be made is what SQLite says next.
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // The ledger is the truth: after a crash of the machine the index is made anew.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "cache_size", -64_000)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > SCHEMA_VERSION {
            // Every schema from 3 on has this table.
            let tool_version =
                connection.query_row("SELECT tool_version FROM made_by", [], |row| row.get(0)).ok();
            return Err(Opening::Newer { schema: version, tool_version });
        }
        if version < SCHEMA_VERSION {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            // Another process may have made the tables meanwhile.
            let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if version < SCHEMA_VERSION {
                transaction.execute_batch(DERIVED)?;
                transaction.execute_batch(TRACKING)?;
                transaction.execute("INSERT INTO made_by VALUES (?1)", [env!("CARGO_PKG_VERSION")])?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            transaction.commit()?;
        }
        Ok(connection)
    }

    pub(crate) fn wrap<T>(&self, result: rusqlite::Result<T>) -> Result<T, RegistryError> {
        result.map_err(|source| wrap(&self.path, source))
    }

    /// Keeps a run in the tracking tables.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn record_run(&mut self, run: &RunRow) -> Result<(), RegistryError> {
        self.record_runs(std::slice::from_ref(run))
    }

    /// Keeps runs in the tracking tables, all of them or none; one that is known by its id is replaced.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn record_runs(&mut self, runs: &[RunRow]) -> Result<(), RegistryError> {
        match self.record_runs_once(runs) {
            Err(error) if error.is_damaged_index() => {
                self.renew()?;
                self.record_runs_once(runs)
            }
            other => other,
        }
    }

    pub(crate) fn record_runs_once(&mut self, runs: &[RunRow]) -> Result<(), RegistryError> {
        let path = self.path.clone();
        write_runs(&mut self.connection, runs).map_err(|source| wrap(&path, source))
    }

    /// Returns every run of the tracking tables, in the order of their ids.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRow>, RegistryError> {
        self.wrap(read_runs(&self.connection))
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

/// Why the file could not be opened.
enum Opening {
    Newer { schema: i64, tool_version: Option<String> },
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Opening {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

pub(crate) fn wrap(path: &Path, source: rusqlite::Error) -> RegistryError {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    if matches!(source.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked)) {
        return RegistryError::IndexBusy { path: path.display().to_string() };
    }
    RegistryError::Index { path: path.display().to_string(), source }
}

impl RegistryError {
    /// Returns whether it is of the index: what is in the ledger, and in the files, stands all the same.
    pub fn is_of_index(&self) -> bool {
        matches!(self, Self::IndexBusy { .. } | Self::Index { .. })
    }

    /// Returns whether it says that the index cannot be written now, which the ledger, being the truth, can do without.
    pub(crate) fn is_unwritable_index(&self) -> bool {
        match self {
            Self::IndexBusy { .. } => true,
            Self::Index { source, .. } => is_read_only(source),
            _ => false,
        }
    }
}

/// Holds where reading goes on without the file: a folder that cannot be written, a full disk.
pub(crate) fn is_read_only(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
    matches!(
        error.sqlite_error_code(),
        Some(CannotOpen | DiskFull | PermissionDenied | ReadOnly | SystemIoFailure)
    )
}

fn write_runs(connection: &mut Connection, runs: &[RunRow]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert =
            transaction.prepare("INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        let mut forget_params = transaction.prepare("DELETE FROM params WHERE run = ?1")?;
        let mut forget_metrics = transaction.prepare("DELETE FROM metrics WHERE run = ?1")?;
        let mut param = transaction.prepare("INSERT INTO params VALUES (?1, ?2, ?3)")?;
        let mut metric = transaction.prepare("INSERT INTO metrics VALUES (?1, ?2, ?3)")?;
        for run in runs {
            let digest = run.digest.map(|digest| digest.to_string());
            let (started, finished) = (&run.started_at, &run.finished_at);
            insert.execute(params![run.run, run.experiment, started, finished, run.status, digest])?;
            forget_params.execute([&run.run])?;
            forget_metrics.execute([&run.run])?;
            for (name, value) in &run.params {
                param.execute(params![run.run, name, value])?;
            }
            for (name, value) in &run.metrics {
                metric.execute(params![run.run, name, value])?;
            }
        }
    }
    transaction.commit()
}

pub(crate) fn read_runs(connection: &Connection) -> rusqlite::Result<Vec<RunRow>> {
    let mut found: BTreeMap<String, RunRow> = BTreeMap::new();
    let mut statement =
        connection.prepare("SELECT run, experiment, started_at, finished_at, status, digest FROM runs")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let digest: Option<String> = row.get(5)?;
        let run: String = row.get(0)?;
        let one = RunRow {
            run: run.clone(),
            experiment: row.get(1)?,
            started_at: row.get(2)?,
            finished_at: row.get(3)?,
            status: row.get(4)?,
            digest: digest.map(|_| parsed(row, 5)).transpose()?,
            params: BTreeMap::new(),
            metrics: BTreeMap::new(),
        };
        found.insert(run, one);
    }
    let mut statement = connection.prepare("SELECT run, name, value FROM params")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(run) = found.get_mut(row.get_ref(0)?.as_str()?) {
            run.params.insert(row.get(1)?, row.get(2)?);
        }
    }
    // SQLite keeps a figure that is no number as nothing.
    let mut statement = connection.prepare("SELECT run, name, value FROM metrics WHERE value IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(run) = found.get_mut(row.get_ref(0)?.as_str()?) {
            run.metrics.insert(row.get(1)?, row.get(2)?);
        }
    }
    Ok(found.into_values().collect())
}
