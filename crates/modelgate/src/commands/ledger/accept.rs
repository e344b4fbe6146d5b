//! `modelgate ledger accept`: going on from a ledger that lacks what was seen of it, and the record of that, which stays in
//! the project since the ledger's own is what is gone.

use std::io::Write;

use modelgate_core::Digest;
use modelgate_core::ledger::Head;
use modelgate_core::lifecycle::check_who_acts;
use modelgate_pipeline::{Project, lock};
use modelgate_registry::{Registry, RegistryUri};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::environment::surroundings;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

const FILE: &str = "accepted.jsonl";

/// One acceptance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    schema_version: u32,
    time: String,
    actor: String,
    reason: String,
    /// The registry's address.
    registry: String,
    /// The last event that was seen, and given up.
    seen: End,
    /// The last event that there was.
    found: Option<End>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct End {
    event: u64,
    hash: Digest,
}

impl From<Head> for End {
    fn from(head: Head) -> Self {
        Self { event: head.seq, hash: head.hash }
    }
}

impl Record {
    /// Returns what was accepted, in words.
    pub(super) fn sentence(&self) -> String {
        let found =
            self.found.map_or_else(|| "its beginning".to_owned(), |end| format!("event {}", end.event));
        format!(
            "{}: {} went on from {found}, and gave up what was seen up to event {} ({}): {}",
            self.time,
            self.actor,
            self.seen.event,
            self.seen.hash,
            self.reason.replace('\n', " / ")
        )
    }
}

/// Returns what was accepted in this project, oldest first.
pub(super) fn read(project: &Project) -> anyhow::Result<Vec<Record>> {
    let path = project.state_folder().join(FILE);
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let line = |(at, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|error| anyhow::anyhow!("`{}`, line {}: {error}", path.display(), at + 1))
    };
    text.lines().enumerate().map(line).collect()
}

pub(super) fn execute(
    head: Option<&Digest>,
    reason: &str,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    if reason.trim().is_empty() {
        return Err(UsageError("--reason: say why, it is kept".to_owned()).into());
    }
    let around = surroundings();
    check_who_acts(&around.actor)?;
    let _lock = lock(project, "modelgate ledger accept", &around)?;
    let address = project.config.registry.uri.as_deref();
    let uri = RegistryUri::parse(address)?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut kept = None;
    let accepted = Registry::accept(&uri, &project.root, head, &variable, &mut |accepted| {
        let Some(seen) = accepted.seen else { return Ok(()) };
        let record = Record {
            schema_version: 1,
            time: (around.now)(),
            actor: around.actor.clone(),
            reason: reason.to_owned(),
            registry: modelgate_store::remote::without_credentials(address.unwrap_or_default()),
            seen: seen.into(),
            found: accepted.found.map(End::from),
        };
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.create(true).append(true).open(project.state_folder().join(FILE))?;
        file.write_all((serde_json::to_string(&record)? + "\n").as_bytes())?;
        file.sync_data()?;
        kept = Some(record);
        Ok(())
    })?;
    match &kept {
        Some(record) => printer.talk(&record.sentence()),
        None => printer.talk("nothing was given up: the ledger holds all that this project has seen of it"),
    }
    said(kept.is_some(), accepted.found, printer)
}

fn said(given_up: bool, found: Option<Head>, printer: &Printer) -> anyhow::Result<Exit> {
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "given_up": given_up, "entries": found.map_or(0, |head| head.seq),
            "head": found.map(|head| head.hash),
        }))?;
    }
    Ok(Exit::Passed)
}
