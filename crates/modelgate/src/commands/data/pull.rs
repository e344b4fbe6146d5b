//! `modelgate data pull`.

use std::path::Path;

use modelgate_pipeline::datasets::{self, DvcPulled, Pulled, Selection, Sharing};
use modelgate_pipeline::{Project, lock};
use serde_json::json;

use super::plural;
use crate::arguments::data::DataPull;
use crate::environment;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::progress::{Bytes, bytes};

/// So many files are named at most.
const NAMED: usize = 10;

pub(crate) fn execute(
    arguments: &DataPull,
    project: &Project,
    folder: &Path,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    // Another revision's contents go into the store alone: the files of the project are those of this one.
    let (mut elsewhere, mut names) = (Vec::new(), Vec::new());
    for name in &arguments.names {
        match datasets::set_in_git(folder, name)? {
            Some(set) => elsewhere.push(set),
            None => names.push(name.clone()),
        }
    }
    let mut selection = if names.is_empty() && !elsewhere.is_empty() {
        Selection::default()
    } else {
        datasets::select(project, &names, true)?
    };
    if names.is_empty() {
        pass_over_superseded(project, &mut selection, printer)?;
    }
    if selection.sets.is_empty() && selection.dvc.is_empty() && elsewhere.is_empty() {
        // Data may lie in git: a workflow that brings what there is goes on.
        let nothing = "there is nothing to pull";
        printer.talk(&if names.is_empty() {
            format!("{nothing}: no `data/*.modelgate` file is here, and DVC tracks nothing of this project")
        } else {
            format!(
                "{nothing}: what {} reads is neither a data set with a pointer file nor tracked by DVC",
                some(&names)
            )
        });
        if printer.is_json() {
            printer.json(&json!({ "schema_version": 1, "pulled": null, "fetched": null, "dvc": null }))?;
        }
        return Ok(Exit::Passed);
    }
    // Nobody removes what is on its way into the store.
    let _lock = lock(project, "modelgate data pull", &environment::surroundings())?;
    let sizes = selection.sets.iter().chain(&elsewhere).map(|set| set.pointer.size);
    let total = sizes.chain(selection.dvc.iter().filter_map(|output| output.size)).sum();
    let progress = Bytes::of(printer, "pull", total);
    let add = |more| progress.add(more);
    let (mut fetched, mut pulled) = (None, None);
    if !(selection.sets.is_empty() && elsewhere.is_empty()) {
        let sharing =
            Sharing::open_if_named(project, arguments.remote.as_deref(), &environment::variable, &add)?;
        let policy = datasets::link_policy(&project.config);
        let result = (|| {
            if !elsewhere.is_empty() {
                fetched = Some(sharing.fetch(&elsewhere)?);
            }
            if !selection.sets.is_empty() {
                pulled = Some(sharing.pull(&selection.sets, policy, arguments.force, arguments.prune)?);
            }
            Ok::<_, modelgate_pipeline::PipelineError>(())
        })();
        progress.end();
        result?;
    }
    let mut dvc = None;
    if !selection.dvc.is_empty() {
        let result =
            datasets::pull_dvc(project, &selection.dvc, &environment::variable, arguments.force, &add);
        progress.end();
        dvc = result?;
    }
    if let Some(pulled) = &pulled {
        super::ignored::suggest(project, &selection.sets, printer);
        tell_unlisted(pulled, arguments.prune, printer);
    }
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "pulled": pulled, "fetched": fetched, "dvc": dvc }))?;
        return complete(dvc.as_ref(), printer);
    }
    let moved = |pulled: &Pulled| {
        let objects = plural(pulled.objects, "object");
        format!(
            "{objects} fetched from {} ({}), {} here already",
            pulled.remote,
            bytes(pulled.bytes),
            pulled.already
        )
    };
    if let Some(fetched) = fetched {
        printer.data(&format!("{}; into the store alone, no file is written", moved(&fetched)))?;
    }
    if let Some(pulled) = pulled {
        printer.data(&format!(
            "{}; {} written, {} unchanged{}",
            moved(&pulled),
            plural(pulled.written, "file"),
            pulled.unchanged,
            match pulled.pruned.len() {
                0 => String::new(),
                number => format!(", {number} removed: {}", some(&pulled.pruned)),
            }
        ))?;
    }
    if let Some(pulled) = &dvc {
        let from =
            if pulled.remotes.is_empty() { "DVC's cache".to_owned() } else { pulled.remotes.join(", ") };
        printer.data(&format!(
            "DVC: {} fetched from {from} ({}); {} written, {} unchanged",
            plural(pulled.fetched, "object"),
            bytes(pulled.bytes),
            plural(pulled.written, "file"),
            pulled.unchanged
        ))?;
    }
    complete(dvc.as_ref(), printer)
}

/// Tells what DVC keeps on another machine.
///
/// # Errors
/// Names what is nowhere: all else was brought.
fn complete(dvc: Option<&DvcPulled>, printer: &Printer) -> anyhow::Result<Exit> {
    let Some(pulled) = dvc else { return Ok(Exit::Passed) };
    if !pulled.kept.is_empty() {
        printer.talk(&format!(
            "not brought, for `push: false` keeps it on the machine that made it: {}",
            some(&pulled.kept)
        ));
    }
    match pulled.missing.split_first() {
        None => Ok(Exit::Passed),
        Some(((path, reason), others)) => {
            let more = match others.len() {
                0 => String::new(),
                number => format!(
                    "; {number} more: {}",
                    some(&others.iter().map(|other| other.0.clone()).collect::<Vec<_>>())
                ),
            };
            anyhow::bail!("`{path}` was not brought, what else there is was: {reason}{more}")
        }
    }
}

/// Leaves out of a pull of all the data sets in whose place there is a pipeline's own, and tells which.
fn pass_over_superseded(
    project: &Project,
    selection: &mut Selection,
    printer: &Printer,
) -> anyhow::Result<()> {
    for (name, own) in datasets::superseded(project)? {
        selection.sets.retain(|set| set.name != name);
        printer.warning(&format!("{}; it was not pulled", datasets::superseded_sentence(&name, &own)));
    }
    Ok(())
}

/// Tells of files that are read with a data set and are no part of it.
fn tell_unlisted(pulled: &Pulled, prune: bool, printer: &Printer) {
    let number = pulled.unlisted.len() as u64;
    if number == 0 {
        return;
    }
    let (files, are, names) =
        (plural(number, "file"), if number == 1 { "is" } else { "are" }, some(&pulled.unlisted));
    let what = if prune {
        "the store does not have the contents, so they stay: take a snapshot, or remove them yourself"
    } else {
        "`modelgate data pull --prune` removes those whose contents the store has"
    };
    printer.warning(&format!("{files} below the sources {are} in no pointer file: {names}; {what}"));
}

/// Names the first of `names`, and how many there are beyond.
fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let rest = names.len().saturating_sub(NAMED);
    let rest = if rest > 0 { format!(" and {rest} others") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}
