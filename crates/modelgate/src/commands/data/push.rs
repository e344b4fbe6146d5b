//! `modelgate data push`.

use modelgate_pipeline::datasets::{self, Sharing};
use modelgate_pipeline::{Project, lock};
use serde_json::json;

use super::plural;
use crate::arguments::data::DataPush;
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;
use crate::progress::{Bytes, bytes};

pub(crate) fn execute(arguments: &DataPush, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let sets = datasets::select(project, &arguments.names, false)?.sets;
    if sets.is_empty() {
        let text = "there is no data set to push; `modelgate data snapshot` makes one";
        return Err(UsageError(text.to_owned()).into());
    }
    // Nobody removes what is being sent.
    let _lock = if arguments.dry_run {
        None
    } else {
        Some(lock(project, "modelgate data push", &environment::surroundings())?)
    };
    let progress = Bytes::of(printer, "push", sets.iter().map(|set| set.pointer.size).sum());
    let add = |more| progress.add(more);
    let sharing = Sharing::open(project, arguments.remote.as_deref(), &environment::variable, &add)?;
    let pushed = sharing.push(&sets, arguments.dry_run, arguments.verify);
    progress.end();
    let pushed = pushed?;
    if pushed.replaced > 0 {
        let again = if arguments.dry_run { "would be sent again" } else { "sent again" };
        let objects = plural(pushed.replaced, "object");
        printer
            .warning(&format!("{objects} in {} had other bytes than the name says: {again}", pushed.remote));
    }
    if pushed.is_new {
        let made = if arguments.dry_run { "would be made" } else { "was made" };
        printer.warning(&format!(
            "the folder {} was not there and {made}; where it is to be on a disk of its own, look whether that is mounted",
            pushed.remote
        ));
    }
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "dry_run": arguments.dry_run, "pushed": pushed }))?;
        return Ok(Exit::Passed);
    }
    let by_size = match pushed.by_size {
        0 => String::new(),
        known => format!(", {known} of them known by size alone (`--verify` reads them)"),
    };
    let verb = if arguments.dry_run { "would be sent" } else { "sent" };
    printer.data(&format!(
        "{} {verb} to {} ({}), {} there already{by_size}",
        plural(pushed.objects, "object"),
        pushed.remote,
        bytes(pushed.bytes),
        pushed.already
    ))?;
    Ok(Exit::Passed)
}
