//! What the index keeps of a ledger: where it ends, versions, aliases, and what was in production when.

use std::collections::{BTreeMap, BTreeSet};

use modelgate_core::ledger::{Head, LedgerEntry, LedgerEvent, Registration, RegistryState};
use modelgate_core::lifecycle::{ModelState, VersionState};
use modelgate_core::{ModelName, VersionNumber};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::RegistryError;
use crate::chain_file::Place;
use crate::home::Position;
use crate::index::{Index, wrap};
use crate::index_seal::{broken, seal};

/// Where the ledger ended when the index last followed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Followed {
    pub(crate) position: Position,
    /// The first byte of the last line.
    pub(crate) line_start: u64,
    /// The last event's time.
    pub(crate) time: String,
    /// What the file looked like.
    pub(crate) stamp: String,
}

struct Tenure {
    model: ModelName,
    seq: u64,
    time: i64,
    version: VersionNumber,
    place: Place,
    /// Whether it left production with nothing in its place, if it was there.
    ends: bool,
}

/// What events change in the index, gathered while they are read.
#[derive(Default)]
pub(crate) struct Changes {
    registrations: Vec<(ModelName, VersionNumber, Box<Registration>, String, Place)>,
    touched: BTreeMap<ModelName, BTreeSet<VersionNumber>>,
    tenures: Vec<Tenure>,
    last: Option<(Head, Place, String)>,
}

impl Changes {
    pub(crate) fn note(&mut self, entry: LedgerEntry, place: Place) {
        let head = entry.head();
        let event = entry.event;
        let touched = event.touches();
        if let Some(versions) = self.touched.get_mut(event.model()) {
            versions.extend(touched);
        } else {
            self.touched.insert(event.model().clone(), touched.into_iter().collect());
        }
        if let LedgerEvent::Promoted { model, version, .. } | LedgerEvent::RolledBack { model, version, .. } =
            &event
        {
            let (model, version) = (model.clone(), *version);
            let time = microseconds(&entry.time);
            self.tenures.push(Tenure { model, seq: head.seq, time, version, place, ends: false });
        }
        if let LedgerEvent::Quarantined { model, version, .. } = &event {
            let (model, version, time) = (model.clone(), *version, microseconds(&entry.time));
            self.tenures.push(Tenure { model, seq: head.seq, time, version, place, ends: true });
        }
        if let LedgerEvent::Registered { model, version, registration } = event {
            self.registrations.push((model, version, registration, entry.time.clone(), place));
        }
        self.last = Some((head, place, entry.time));
    }

    /// Returns where the ledger ends behind these events, if there are any.
    pub(crate) fn end(&self, stamp: &str) -> Option<Followed> {
        let (head, place, time) = self.last.as_ref()?;
        Some(Followed {
            position: Position { head: Some(*head), end: place.end },
            line_start: place.start,
            time: time.clone(),
            stamp: stamp.to_owned(),
        })
    }
}

/// The tables that follow from a ledger, each with the order of its rows.
const TABLES: [(&str, &str); 7] = [
    ("versions", "model, version"),
    ("registrations", "model, version"),
    ("aliases", "model, alias"),
    ("pending", "model"),
    ("rollouts", "model"),
    ("seals", "model"),
    ("production", "model, seq"),
];

/// Returns microseconds since 1970; a time that cannot be read is before everything.
pub(crate) fn microseconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().map_or(i64::MIN, jiff::Timestamp::as_microsecond)
}

/// Reads a column that holds a checked value as text.
pub(crate) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::fmt::Display,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error: T::Err| unreadable(column, &error.to_string()))
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, &error.to_string()))
}

fn unreadable(column: usize, why: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.to_owned().into())
}

fn to_json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn followed(connection: &Connection, home: &str) -> rusqlite::Result<Option<Followed>> {
    let query = "SELECT seq, hash, line_start, line_end, time, stamp FROM head WHERE home = ?1";
    let mut statement = connection.prepare(query)?;
    let row = statement.query_row([home], |row| {
        let head = Head { seq: row.get::<_, i64>(0)? as u64, hash: parsed(row, 1)? };
        Ok(Followed {
            position: Position { head: Some(head), end: row.get::<_, i64>(3)? as u64 },
            line_start: row.get::<_, i64>(2)? as u64,
            time: row.get(4)?,
            stamp: row.get(5)?,
        })
    });
    row.optional()
}

fn versions(
    connection: &Connection,
    home: &str,
) -> rusqlite::Result<BTreeMap<ModelName, BTreeMap<VersionNumber, VersionState>>> {
    let query = "SELECT model, version, stage, verdict, digest, verdict_digest, approval, signature, quarantined \
        FROM versions WHERE home = ?1 ORDER BY model, version";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([home])?;
    let mut found = BTreeMap::new();
    let mut current: Option<(ModelName, Vec<(VersionNumber, VersionState)>)> = None;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        if current.as_ref().is_none_or(|(model, _)| model.as_str() != name) {
            if let Some((model, states)) = current.take() {
                found.insert(model, states.into_iter().collect());
            }
            current = Some((parsed(row, 0)?, Vec::new()));
        }
        let approval = match row.get_ref(6)?.as_str_or_null()? {
            Some(text) => Some(json(6, text)?),
            None => None,
        };
        let state = VersionState {
            stage: parsed(row, 2)?,
            verdict: json(3, &format!("\"{}\"", row.get_ref(3)?.as_str()?))?,
            digest: parsed(row, 4)?,
            approval,
            verdict_digest: parsed(row, 5)?,
            signature: match row.get_ref(7)?.as_str_or_null()? {
                Some(_) => Some(parsed(row, 7)?),
                None => None,
            },
            quarantined: row.get(8)?,
        };
        if let Some((_, states)) = &mut current {
            states.push((VersionNumber(row.get(1)?), state));
        }
    }
    if let Some((model, states)) = current {
        found.insert(model, states.into_iter().collect());
    }
    Ok(found)
}

fn load(connection: &Connection, home: &str) -> rusqlite::Result<RegistryState> {
    let mut models: BTreeMap<ModelName, _> = BTreeMap::new();
    for (model, versions) in versions(connection, home)? {
        models.insert(model, (versions, BTreeMap::new(), None, None));
    }
    let mut statement = connection.prepare("SELECT model, alias, version FROM aliases WHERE home = ?1")?;
    let mut rows = statement.query([home])?;
    while let Some(row) = rows.next()? {
        let model: ModelName = parsed(row, 0)?;
        if let Some((_, aliases, _, _)) = models.get_mut(&model) {
            aliases.insert(parsed(row, 1)?, VersionNumber(row.get(2)?));
        }
    }
    let mut statement = connection.prepare("SELECT model, rollback FROM pending WHERE home = ?1")?;
    let mut rows = statement.query([home])?;
    while let Some(row) = rows.next()? {
        let model: ModelName = parsed(row, 0)?;
        if let Some((_, _, pending, _)) = models.get_mut(&model) {
            *pending = Some(json(1, row.get_ref(1)?.as_str()?)?);
        }
    }
    let mut statement = connection.prepare("SELECT model, rollout FROM rollouts WHERE home = ?1")?;
    let mut rows = statement.query([home])?;
    while let Some(row) = rows.next()? {
        let model: ModelName = parsed(row, 0)?;
        if let Some((_, _, _, rollout)) = models.get_mut(&model) {
            *rollout = Some(json(1, row.get_ref(1)?.as_str()?)?);
        }
    }
    let models = models.into_iter().map(|(model, (versions, aliases, pending, rollout))| {
        (model, ModelState::from_parts(versions, aliases, pending, rollout))
    });
    Ok(RegistryState { models: models.collect() })
}

fn write(
    transaction: &Transaction<'_>,
    home: &str,
    state: &RegistryState,
    changes: &Changes,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT OR REPLACE INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0)",
    )?;
    let mut register =
        transaction.prepare("INSERT OR REPLACE INTO registrations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (model, version, registration, time, place) in &changes.registrations {
        let lineage = &registration.lineage;
        insert.execute(params![
            home,
            model.as_str(),
            version.0,
            "candidate",
            registration.verdict.to_string(),
            registration.digest.to_string(),
            registration.verdict_digest.to_string(),
            None::<String>,
            None::<String>,
            lineage.run_id.as_str(),
            lineage.trained_at,
            to_json(&registration.metrics)?,
        ])?;
        let (start, end) = (place.start as i64, place.end as i64);
        let row = params![home, model.as_str(), version.0, to_json(registration)?, time, start, end];
        register.execute(row)?;
    }
    let mut update = transaction.prepare(
        "UPDATE versions SET stage = ?4, approval = ?5, signature = ?6, quarantined = ?7 \
         WHERE home = ?1 AND model = ?2 AND version = ?3",
    )?;
    let mut alias = transaction.prepare("INSERT INTO aliases VALUES (?1, ?2, ?3, ?4)")?;
    for (model, touched) in &changes.touched {
        let Some(found) = state.models.get(model) else { continue };
        for version in touched {
            let Some(one) = found.versions.get(version) else { continue };
            let approval = one.approval.as_ref().map(to_json).transpose()?;
            let signature = one.signature.map(|digest| digest.to_string());
            update.execute(params![
                home,
                model.as_str(),
                version.0,
                one.stage.to_string(),
                approval,
                signature,
                one.quarantined
            ])?;
        }
        transaction
            .execute("DELETE FROM aliases WHERE home = ?1 AND model = ?2", params![home, model.as_str()])?;
        for (name, version) in &found.aliases {
            alias.execute(params![home, model.as_str(), name.as_str(), version.0])?;
        }
        transaction
            .execute("DELETE FROM pending WHERE home = ?1 AND model = ?2", params![home, model.as_str()])?;
        if let Some(pending) = &found.pending {
            let row = params![home, model.as_str(), to_json(pending)?];
            transaction.execute("INSERT INTO pending VALUES (?1, ?2, ?3)", row)?;
        }
        if let Some(rollout) = &found.rollout {
            let row = params![home, model.as_str(), to_json(rollout)?];
            transaction.execute("INSERT OR REPLACE INTO rollouts VALUES (?1, ?2, ?3)", row)?;
        }
        let row = params![home, model.as_str(), seal(model, found).to_string()];
        transaction.execute("INSERT OR REPLACE INTO seals VALUES (?1, ?2, ?3)", row)?;
    }
    let mut tenure =
        transaction.prepare("INSERT OR REPLACE INTO production VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    // No version has the number 0: it stands for nothing in production.
    let mut end = transaction.prepare(
        "INSERT OR REPLACE INTO production SELECT ?1, ?2, ?3, ?4, 0, NULL, ?6, ?7 WHERE ?5 = (SELECT version FROM production \
         WHERE home = ?1 AND model = ?2 ORDER BY seq DESC LIMIT 1)",
    )?;
    for one in &changes.tenures {
        let (seq, from, to) = (one.seq as i64, one.place.start as i64, one.place.end as i64);
        if one.ends {
            end.execute(params![home, one.model.as_str(), seq, one.time, one.version.0, from, to])?;
            continue;
        }
        let digest =
            state.models.get(&one.model).and_then(|model| Some(model.versions.get(&one.version)?.digest));
        let digest = digest.map(|digest| digest.to_string());
        tenure.execute(params![home, one.model.as_str(), seq, one.time, one.version.0, digest, from, to])?;
    }
    Ok(())
}

fn write_head(transaction: &Transaction<'_>, home: &str, end: &Followed) -> rusqlite::Result<()> {
    let Some(head) = end.position.head else {
        return transaction.execute("DELETE FROM head WHERE home = ?1", [home]).map(drop);
    };
    transaction.execute(
        "INSERT OR REPLACE INTO head VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            home,
            head.seq as i64,
            head.hash.to_string(),
            end.line_start as i64,
            end.position.end as i64,
            end.time,
            end.stamp
        ],
    )?;
    Ok(())
}

/// Returns whether two indices have the same rows of `home`, or of one model there.
fn same_rows(
    one: &Connection,
    other: &Connection,
    home: &str,
    model: Option<&ModelName>,
) -> rusqlite::Result<bool> {
    for (table, order) in TABLES {
        let query =
            format!("SELECT * FROM {table} WHERE home = ?1 AND (?2 IS NULL OR model = ?2) ORDER BY {order}");
        let (mut own, mut others) = (one.prepare(&query)?, other.prepare(&query)?);
        let columns = own.column_count();
        let of = params![home, model.map(ModelName::as_str)];
        let (mut own, mut others) = (own.query(of)?, others.query(of)?);
        loop {
            match (own.next()?, others.next()?) {
                (None, None) => break,
                (Some(one), Some(another)) => {
                    for column in 0..columns {
                        if one.get_ref(column)? != another.get_ref(column)? {
                            return Ok(false);
                        }
                    }
                }
                _ => return Ok(false),
            }
        }
    }
    Ok(true)
}

impl Index {
    /// Returns where the index stands in the ledger of `home`.
    pub(crate) fn followed(&self, home: &str) -> Result<Option<Followed>, RegistryError> {
        self.wrap(followed(self.derived(), home))
    }

    /// Returns where the index stands and the state there, both of one moment.
    ///
    /// # Errors
    /// Fails when it cannot be read, and as a refuted one where rows are not those that were written.
    pub(crate) fn load(&mut self, home: &str) -> Result<(Option<Followed>, RegistryState), RegistryError> {
        let path = self.path.clone();
        let mut read = || {
            let transaction = self.derived_mut().transaction()?;
            let end = followed(&transaction, home)?;
            let state = if end.is_some() { load(&transaction, home)? } else { RegistryState::default() };
            let broken = if end.is_some() { broken(&transaction, home, &state)? } else { None };
            Ok((end, state, broken))
        };
        match read().map_err(|source| wrap(&path, source))? {
            (end, state, None) => Ok((end, state)),
            (_, _, Some(model)) => {
                Err(RegistryError::IndexRefuted { path: path.display().to_string(), model })
            }
        }
    }

    /// Writes what `changes` did, which led to `state`; `from` is where the index must still stand, and with `anew`
    /// everything of `home` is replaced. Returns `false` when another process has written meanwhile.
    pub(crate) fn extend(
        &mut self,
        home: &str,
        from: Option<&Followed>,
        anew: bool,
        state: &RegistryState,
        changes: &Changes,
        end: &Followed,
    ) -> Result<bool, RegistryError> {
        let result = self.try_extend(home, from, anew, state, changes, end);
        self.wrap(result)
    }

    fn try_extend(
        &mut self,
        home: &str,
        from: Option<&Followed>,
        anew: bool,
        state: &RegistryState,
        changes: &Changes,
        end: &Followed,
    ) -> rusqlite::Result<bool> {
        let transaction = self.derived_mut().transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = followed(&transaction, home)?;
        if now.as_ref().map(|now| now.position) != from.map(|from| from.position) {
            return Ok(false);
        }
        if anew {
            for (table, _) in TABLES {
                transaction.execute(&format!("DELETE FROM {table} WHERE home = ?1"), [home])?;
            }
        }
        write(&transaction, home, state, changes)?;
        write_head(&transaction, home, end)?;
        transaction.commit()?;
        Ok(true)
    }

    /// Returns whether `other`, which follows the same ledger, has the same rows of `home`, or of one model there.
    pub(crate) fn has_rows_of(
        &self,
        other: &Self,
        home: &str,
        model: Option<&ModelName>,
    ) -> Result<bool, RegistryError> {
        self.wrap(same_rows(self.derived(), other.derived(), home, model))
    }

    /// Returns whether `other` has the same rows of a model as this index, as long as this one still stands at `position`:
    /// of what another process has written since nothing can be said.
    pub(crate) fn has_rows_of_model(
        &self,
        other: &Self,
        home: &str,
        model: &ModelName,
        position: Position,
    ) -> Result<bool, RegistryError> {
        let compare = || {
            // Both looks are of one moment.
            let transaction = self.derived().unchecked_transaction()?;
            let stands = followed(&transaction, home)?.is_some_and(|now| now.position == position);
            Ok(!stands || same_rows(&transaction, other.derived(), home, Some(model))?)
        };
        self.wrap(compare())
    }

    /// Forgets everything of `home`.
    pub(crate) fn forget(&mut self, home: &str) -> Result<(), RegistryError> {
        let path = self.path.clone();
        let mut forget = || {
            let transaction = self.derived_mut().transaction_with_behavior(TransactionBehavior::Immediate)?;
            for table in TABLES.iter().map(|(table, _)| *table).chain(["head"]) {
                transaction.execute(&format!("DELETE FROM {table} WHERE home = ?1"), [home])?;
            }
            transaction.commit()
        };
        forget().map_err(|source| wrap(&path, source))
    }
}
