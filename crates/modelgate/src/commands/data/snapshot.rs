//! `modelgate data snapshot`.

use modelgate_pipeline::Project;
use modelgate_pipeline::datasets::{self, Snapshot, SnapshotRequest};
use modelgate_store::{LinkPolicy, ProjectLock};
use serde_json::json;

use super::plural;
use crate::arguments::data::{DataSnapshot, LinkKind};
use crate::environment;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::progress::{Bytes, bytes};

pub(crate) fn execute(
    arguments: &DataSnapshot,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let requests = SnapshotRequest::parse(project, &arguments.sources, arguments.name.as_deref())?;
    if arguments.sources.is_empty() {
        datasets::elsewhere(project).iter().for_each(|sentence| printer.warning(sentence));
    }
    let policy = arguments.link.map_or_else(|| datasets::link_policy(&project.config), policy);
    let lock = project.state_folder().join("lock");
    let _lock = ProjectLock::acquire(&lock, "modelgate data snapshot", &environment::now())?;
    let mut taken: Vec<Snapshot> = Vec::new();
    for request in &requests {
        let progress = Bytes::new(printer, &request.name);
        let snapshot = datasets::snapshot(project, request, policy, &|more| progress.add(more));
        progress.end();
        let snapshot = snapshot?;
        for warning in &snapshot.warnings {
            printer.warning(warning);
        }
        if !printer.is_json() {
            printer.data(&line(&snapshot))?;
        }
        taken.push(snapshot);
    }
    let names: Vec<String> = taken.iter().map(|snapshot| snapshot.name.clone()).collect();
    super::ignored::suggest(project, &datasets::select(project, &names, false)?.sets, printer);
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "data_sets": taken }))?;
    }
    Ok(Exit::Passed)
}

fn policy(kind: LinkKind) -> LinkPolicy {
    match kind {
        LinkKind::Auto => LinkPolicy::Auto,
        LinkKind::Reflink => LinkPolicy::Reflink,
        LinkKind::Hardlink => LinkPolicy::Hardlink,
        LinkKind::Copy => LinkPolicy::Copy,
    }
}

fn line(snapshot: &Snapshot) -> String {
    let state = match snapshot.before {
        None => "new",
        Some(before) if before == snapshot.digest => "unchanged",
        Some(_) => "changed",
    };
    let made: Vec<String> = snapshot
        .made
        .iter()
        .map(|(link, number)| match number {
            1 => format!("1 {link}"),
            _ => format!("{number} by {link}"),
        })
        .collect();
    let made = if made.is_empty() { String::new() } else { format!(", kept {}", made.join(", ")) };
    format!(
        "{}: {state}, {} in {}, {} read{made}, sha256:{}",
        snapshot.name,
        bytes(snapshot.size),
        plural(snapshot.files, "file"),
        snapshot.read,
        snapshot.digest.short()
    )
}
