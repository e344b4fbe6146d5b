//! `modelgate ledger`.

mod accept;

use std::collections::VecDeque;
use std::path::Path;

use modelgate_core::Digest;
use modelgate_core::ledger::LedgerEntry;
use modelgate_pipeline::{Project, registry};
use modelgate_registry::{Registry, acceptances, verify_file_with};
use serde_json::json;

use crate::arguments::Ledger;
use crate::commands::exported::has_folder;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(crate) fn execute(ledger: &Ledger, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    match ledger {
        Ledger::Log { model, last } => {
            let wanted =
                |entry: &LedgerEntry| model.as_ref().is_none_or(|model| model == entry.event.model());
            let registry = registry(project)?;
            if let Some(model) = model {
                registry.model(model)?;
            }
            log(&registry, *last, wanted, printer)
        }
        Ledger::Accept { head, reason } => accept::execute(head.0.as_ref(), reason, project, printer),
        Ledger::Verify { file: Some(file), head } => verify_exported(file, head.as_ref(), printer),
        Ledger::Verify { file: None, head } => verify(project, head.as_ref(), printer),
        Ledger::Export { file } => export(&registry(project)?, file.as_deref(), printer),
        Ledger::At { time } => at(&registry(project)?, time, printer),
    }
}

/// Refuses the file first: with a damaged ledger the registry does not open.
pub(crate) fn verify_exported(
    file: &Path,
    known: Option<&Digest>,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let (entries, head, found) = verify_file_with(file, known)?;
    holds(known, found, entries)?;
    if entries == 0 {
        // An export that was killed, a wrong name: nothing that could be whole.
        anyhow::bail!("`{}` is empty: it holds no event", file.display());
    }
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "entries": entries, "head": head }))?;
    } else {
        let head = head.map_or_else(|| "none".to_owned(), |head| head.to_string());
        printer.data(&format!("the ledger is whole: {}, head {head}", of(entries, "event")))?;
    }
    Ok(Exit::Passed)
}

fn of(count: impl TryInto<u64>, what: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Refuses a ledger that lacks the event that is known to have been there.
fn holds(known: Option<&Digest>, found: Option<u64>, entries: u64) -> anyhow::Result<()> {
    match (known, found) {
        (Some(known), None) => anyhow::bail!(
            "the ledger ends at event {entries} and has no event with the hash {known}: events at its end were removed, \
             or it is another history; restore it from a copy"
        ),
        _ => Ok(()),
    }
}

fn line(entry: &LedgerEntry, json: bool) -> std::io::Result<String> {
    if json {
        return Ok(entry.to_line()?);
    }
    let (model, event) = (entry.event.model(), entry.event.sentence());
    Ok(format!("{:>4} {} {:<18} {model}: {event}\n", entry.seq, entry.time, entry.actor))
}

fn log(
    registry: &Registry,
    last: Option<usize>,
    wanted: impl Fn(&LedgerEntry) -> bool,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    printer.stream(|output| {
        let mut kept: VecDeque<String> = VecDeque::new();
        registry.for_each_entry(|entry| {
            if !wanted(entry) {
                return Ok(());
            }
            let line = line(entry, printer.is_json())?;
            let Some(last) = last else { return output.write_all(line.as_bytes()) };
            kept.push_back(line);
            if kept.len() > last {
                kept.pop_front();
            }
            Ok(())
        })?;
        for line in kept {
            output.write_all(line.as_bytes())?;
        }
        Ok(())
    })?;
    Ok(Exit::Passed)
}

fn verify(project: &Project, known: Option<&Digest>, printer: &Printer) -> anyhow::Result<Exit> {
    let mut registry = registry(project)?;
    let report = registry.verify()?;
    let found = match known {
        Some(known) => registry.event_of(known)?,
        None => None,
    };
    holds(known, found, report.entries)?;
    for one in &report.out_of_time {
        printer.warning(&format!(
            "event {one} has a later time than event {} behind it, by more than clocks differ: a clock was wrong, and `ledger at` \
             goes by the times as they stand there",
            one + 1
        ));
    }
    let accepted = acceptances(&project.state_folder())?;
    if let Some(broken) = &accepted.broken {
        printer.warning(&format!("{broken}: a write that broke off, which is passed over"));
    }
    for one in &accepted.records {
        printer.talk(&one.sentence());
    }
    if printer.is_json() {
        let mut value = serde_json::to_value(&report)?;
        if let Some(object) = value.as_object_mut() {
            object.insert("schema_version".to_owned(), 1.into());
        }
        printer.json(&value)?;
    } else {
        let head = report.head.map_or_else(|| "none".to_owned(), |head| head.to_string());
        if report.index_rebuilt {
            printer
                .warning("the index said something else than the ledger; it was made anew from the ledger");
        }
        printer.data(&format!(
            "the ledger is whole: {}, {}, {} checked, head {head}",
            of(report.entries, "event"),
            of(report.models, "model"),
            of(report.objects, "object")
        ))?;
    }
    Ok(Exit::Passed)
}

fn export(registry: &Registry, file: Option<&Path>, printer: &Printer) -> anyhow::Result<Exit> {
    // As everywhere, `-` is the output.
    let Some(path) = file.filter(|path| path.as_os_str() != "-") else {
        printer.stream(|output| {
            Ok(registry.for_each_entry(|entry| output.write_all(entry.to_line()?.as_bytes()))?)
        })?;
        return Ok(Exit::Passed);
    };
    if path.exists() {
        return Err(UsageError(format!("`{}` is there already: it was not touched", path.display())).into());
    }
    has_folder(path)?;
    modelgate_store::atomic::write_with(path, |output| {
        registry
            .for_each_entry(|entry| output.write_all(entry.to_line()?.as_bytes()))
            .map_err(std::io::Error::other)
    })?;
    let events = registry.position().head.map_or(0, |head| head.seq);
    printer.talk(&format!("{events} events written to {}", path.display()));
    if printer.is_json() {
        let file = path.display().to_string();
        printer.json(&json!({ "schema_version": 1, "file": file, "events": events }))?;
    }
    Ok(Exit::Passed)
}

fn at(registry: &Registry, time: &str, printer: &Printer) -> anyhow::Result<Exit> {
    let wanted: jiff::Timestamp = time.parse().map_err(|_| {
        UsageError(format!("`{time}` is not a time: expected RFC 3339, such as `2026-10-03T12:00:00Z`"))
    })?;
    let found = registry.production_at(wanted)?;
    if printer.is_json() {
        let rows: Vec<_> = found
            .iter()
            .map(|one| json!({ "model": one.model, "version": one.version, "digest": one.digest }))
            .collect();
        printer.json(&json!({ "schema_version": 1, "time": time, "production": rows }))?;
        return Ok(Exit::Passed);
    }
    for one in &found {
        printer.data(&format!("{} {} {}", one.model, one.version, one.digest))?;
    }
    if found.is_empty() {
        printer.talk("nothing was in production then");
    }
    Ok(Exit::Passed)
}
