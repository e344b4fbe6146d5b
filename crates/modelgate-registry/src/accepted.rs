//! `accepted.jsonl`: what was given up in a project, and which registry it went on with instead, by whom and why. It stays in
//! the project, since the ledger's own record is what is gone.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_core::ledger::Head;
use serde::{Deserialize, Serialize};

use crate::{Accepted, RegistryError};

const FILE: &str = "accepted.jsonl";

/// One acceptance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Acceptance {
    schema_version: u32,
    time: String,
    actor: String,
    reason: String,
    /// The registry's address.
    registry: String,
    /// The last event that was seen, and given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<End>,
    /// The last event that there was.
    found: Option<End>,
    /// The registry's name in the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<String>,
    /// Other registries that this project had seen, and that it does not go on with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct End {
    event: u64,
    hash: Digest,
}

impl From<Head> for End {
    fn from(head: Head) -> Self {
        Self { event: head.seq, hash: head.hash }
    }
}

impl Acceptance {
    /// Returns the record of `accepted` in the registry at the address `registry`.
    pub fn new(accepted: &Accepted, registry: &str, time: String, actor: String, reason: String) -> Self {
        Self {
            schema_version: 1,
            time,
            actor,
            reason,
            registry: modelgate_store::remote::without_credentials(registry),
            seen: accepted.seen.filter(|_| accepted.given_up).map(End::from),
            found: accepted.found.map(End::from),
            home: Some(accepted.home.clone()),
            left: accepted.left.clone(),
        }
    }

    /// Returns what was accepted, in words.
    pub fn sentence(&self) -> String {
        let found =
            self.found.map_or_else(|| "its beginning".to_owned(), |end| format!("event {}", end.event));
        let mut text = format!("{}: {} went on from {found}", self.time, self.actor);
        if let Some(seen) = &self.seen {
            text.push_str(&format!(", and gave up what was seen up to event {} ({})", seen.event, seen.hash));
        }
        if !self.left.is_empty() {
            let home = self.home.as_deref().unwrap_or(&self.registry);
            text.push_str(&format!(", in {home} rather than in {}", self.left.join(" and ")));
        }
        text + ": " + &self.reason.replace('\n', " / ")
    }
}

fn file(state_folder: &Path) -> PathBuf {
    state_folder.join(FILE)
}

/// What a file of acceptances holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acceptances {
    /// Oldest first.
    pub records: Vec<Acceptance>,
    /// What is wrong with the last line, the rest of a write that broke off, which is passed over.
    pub broken: Option<String>,
}

/// Returns what was accepted in the project with this `.modelgate/`.
///
/// # Errors
/// Fails when the file cannot be read, and names a line that is no record.
pub fn acceptances(state_folder: &Path) -> Result<Acceptances, RegistryError> {
    let path = file(state_folder);
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Acceptances::default()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Acceptances::default();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(record) => found.records.push(record),
            Err(error) => {
                let what = format!("`{}`, line {}: {error}", path.display(), at + 1);
                if line.ends_with('\n') {
                    return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what).into());
                }
                found.broken = Some(what);
            }
        }
    }
    Ok(found)
}

/// Adds a record; the file is then the old one or the new one, and whole. The rest of a write that broke off goes.
///
/// # Errors
/// Fails when the file cannot be read or written.
pub fn accept(state_folder: &Path, record: &Acceptance) -> Result<(), RegistryError> {
    let mut records = acceptances(state_folder)?.records;
    records.push(record.clone());
    let mut text = String::new();
    for record in &records {
        text.push_str(&serde_json::to_string(record)?);
        text.push('\n');
    }
    Ok(modelgate_store::atomic::write(&file(state_folder), text.as_bytes())?)
}

/// Returns whether somebody said that the project goes on with the registry `home` rather than with others.
pub(crate) fn is_begun(state_folder: &Path, home: &str) -> Result<bool, RegistryError> {
    let found = acceptances(state_folder)?.records;
    Ok(found.iter().any(|record| record.home.as_deref() == Some(home) && !record.left.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reason: &str) -> Acceptance {
        let accepted = Accepted {
            seen: Some(Head { seq: 9, hash: Digest::of(b"9") }),
            found: None,
            given_up: true,
            home: "folder".to_owned(),
            left: Vec::new(),
        };
        Acceptance::new(&accepted, "", "2026-01-01T00:00:00Z".to_owned(), "me".to_owned(), reason.to_owned())
    }

    #[test]
    fn a_line_that_broke_off_is_passed_over_and_the_next_record_stands_alone() {
        let folder = tempfile::tempdir().expect("folder");
        accept(folder.path(), &record("one")).expect("written");
        let path = file(folder.path());
        let whole = fs_err::read_to_string(&path).expect("text");
        fs_err::write(&path, format!("{whole}{}", &whole[..30])).expect("cut off");
        let found = acceptances(folder.path()).expect("read");
        assert_eq!(found.records, [record("one")]);
        assert!(found.broken.expect("said").contains("accepted.jsonl`, line 2: "));
        accept(folder.path(), &record("two")).expect("written");
        let found = acceptances(folder.path()).expect("read");
        assert_eq!((found.records, found.broken), (vec![record("one"), record("two")], None));
        // A line in between is no broken write.
        fs_err::write(&path, format!("half\n{whole}")).expect("written");
        assert!(acceptances(folder.path()).expect_err("damaged").to_string().contains("line 1"));
    }
}
