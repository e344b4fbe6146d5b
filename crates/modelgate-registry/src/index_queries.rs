//! What the index is asked of a ledger: registrations, lists, and what was in production when.

use modelgate_core::ledger::Registration;
use modelgate_core::{Digest, ModelName, VersionNumber};
use rusqlite::{OptionalExtension, Row, params};

use crate::RegistryError;
use crate::chain_file::Place;
use crate::index::Index;
use crate::index_state::{json, parsed};

/// One version as lists show it.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedVersion {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Its run.
    pub run: String,
    /// When it was trained, RFC 3339 in UTC.
    pub trained_at: String,
    /// The figures on the gate's subset, as JSON.
    pub metrics: String,
}

/// What was in production of one model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WasInProduction {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Its package.
    pub digest: Digest,
}

fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<Place> {
    Ok(Place { start: row.get::<_, i64>(column)? as u64, end: row.get::<_, i64>(column + 1)? as u64 })
}

impl Index {
    /// Returns the homes in which the index knows a version of `model`, or of any, but for `home`.
    pub(crate) fn others_with(
        &self,
        home: &str,
        model: Option<&ModelName>,
    ) -> Result<Vec<String>, RegistryError> {
        // In the file alone: what stands beside it is of one home.
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT DISTINCT home FROM versions WHERE home <> ?1 AND (?2 IS NULL OR model = ?2) ORDER BY home",
            )?;
            let rows = statement.query_map(params![home, model.map(ModelName::as_str)], |row| row.get(0))?;
            rows.collect()
        };
        self.wrap(read())
    }

    /// Returns what was registered as a version, and when.
    pub(crate) fn registration(
        &self,
        home: &str,
        model: &ModelName,
        version: VersionNumber,
    ) -> Result<Option<(Registration, String, Place)>, RegistryError> {
        let read = || {
            let mut statement = self.derived().prepare(
                "SELECT registration, time, line_start, line_end FROM registrations WHERE home = ?1 AND model = ?2 AND version = ?3",
            )?;
            let row = statement.query_row(params![home, model.as_str(), version.0], |row| {
                Ok((json(0, row.get_ref(0)?.as_str()?)?, row.get(1)?, place(row, 2)?))
            });
            row.optional()
        };
        self.wrap(read())
    }

    /// Hands every version of `home`, or of one model, to `each`.
    pub(crate) fn list(
        &self,
        home: &str,
        model: Option<&ModelName>,
        each: &mut dyn FnMut(ListedVersion),
    ) -> Result<(), RegistryError> {
        let mut read = || {
            let mut statement = self.derived().prepare(
                "SELECT model, version, run, trained_at, metrics FROM versions \
                 WHERE home = ?1 AND (?2 IS NULL OR model = ?2) ORDER BY model, version",
            )?;
            let mut rows = statement.query(params![home, model.map(ModelName::as_str)])?;
            while let Some(row) = rows.next()? {
                each(ListedVersion {
                    model: parsed(row, 0)?,
                    version: VersionNumber(row.get(1)?),
                    run: row.get(2)?,
                    trained_at: row.get(3)?,
                    metrics: row.get(4)?,
                });
            }
            Ok(())
        };
        self.wrap(read())
    }

    /// Returns what was in production of each of `models` at `time`, microseconds since 1970. Of the events up to then the
    /// last in the ledger counts: an event of a clock that was ahead is before what stands behind it.
    pub(crate) fn production_at<'a>(
        &self,
        home: &str,
        models: impl Iterator<Item = &'a ModelName>,
        time: i64,
    ) -> Result<Vec<WasInProduction>, RegistryError> {
        let read = || {
            let mut statement = self.derived().prepare(
                "SELECT version, digest FROM production WHERE home = ?1 AND model = ?2 AND time <= ?3 \
                 ORDER BY seq DESC LIMIT 1",
            )?;
            let mut found = Vec::new();
            for model in models {
                let row = statement.query_row(params![home, model.as_str(), time], |row| {
                    let version = VersionNumber(row.get(0)?);
                    if version.0 == 0 {
                        return Ok(None);
                    }
                    Ok(Some(WasInProduction { model: model.clone(), version, digest: parsed(row, 1)? }))
                });
                found.extend(row.optional()?.flatten());
            }
            Ok(found)
        };
        self.wrap(read())
    }

    /// Returns where the ledger says that a version came into production, if it ever did.
    pub(crate) fn was_in_production(
        &self,
        home: &str,
        model: &ModelName,
        version: VersionNumber,
    ) -> Result<Option<Place>, RegistryError> {
        let query = "SELECT line_start, line_end FROM production WHERE home = ?1 AND model = ?2 AND version = ?3 LIMIT 1";
        let row = params![home, model.as_str(), version.0];
        self.wrap(self.derived().query_row(query, row, |row| place(row, 0)).optional())
    }

    /// Returns the versions of `model` in the order in which they were in production, the newest first; the version 0 stands
    /// for nothing there.
    pub(crate) fn tenures(
        &self,
        home: &str,
        model: &ModelName,
        at_most: usize,
    ) -> Result<Vec<(VersionNumber, i64, Place)>, RegistryError> {
        let read = || {
            let mut statement = self.derived().prepare(
                "SELECT version, time, line_start, line_end FROM production WHERE home = ?1 AND model = ?2 \
                 ORDER BY seq DESC LIMIT ?3",
            )?;
            let rows = statement.query_map(params![home, model.as_str(), at_most as i64], |row| {
                Ok((VersionNumber(row.get(0)?), row.get(1)?, place(row, 2)?))
            })?;
            rows.collect()
        };
        self.wrap(read())
    }
}
