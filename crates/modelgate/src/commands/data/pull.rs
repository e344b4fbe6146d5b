//! `modelgate data pull`.

use modelgate_pipeline::datasets::{self, Sharing};
use modelgate_pipeline::{Project, lock};
use serde_json::json;

use super::plural;
use crate::arguments::DataPull;
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;
use crate::progress::{Bytes, bytes};

pub(crate) fn execute(arguments: &DataPull, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let selection = datasets::select(project, &arguments.names, true)?;
    if selection.sets.is_empty() && selection.dvc.is_empty() {
        let text = "there is no data set to pull: no `data/*.modelgate` file is here, and DVC tracks nothing";
        return Err(UsageError(text.to_owned()).into());
    }
    // Nobody removes what is on its way into the store.
    let _lock = lock(project, "modelgate data pull", &environment::surroundings())?;
    let sizes = selection.sets.iter().map(|set| set.pointer.size);
    let total = sizes.chain(selection.dvc.iter().filter_map(|output| output.size)).sum();
    let progress = Bytes::of(printer, "pull", total);
    let add = |more| progress.add(more);
    let mut pulled = None;
    if !selection.sets.is_empty() {
        let sharing = Sharing::open(project, arguments.remote.as_deref(), &environment::variable, &add)?;
        let result = sharing.pull(&selection.sets, datasets::link_policy(&project.config), arguments.force);
        progress.end();
        pulled = Some(result?);
    }
    let mut dvc = None;
    if !selection.dvc.is_empty() {
        let result =
            datasets::pull_dvc(project, &selection.dvc, &environment::variable, arguments.force, &add);
        progress.end();
        dvc = result?;
    }
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "pulled": pulled, "dvc": dvc }))?;
        return Ok(Exit::Passed);
    }
    if let Some(pulled) = pulled {
        printer.data(&format!(
            "{} fetched from {} ({}), {} here already; {} written, {} unchanged",
            plural(pulled.objects, "object"),
            pulled.remote,
            bytes(pulled.bytes),
            pulled.already,
            plural(pulled.written, "file"),
            pulled.unchanged
        ))?;
    }
    if let Some(pulled) = dvc {
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
    Ok(Exit::Passed)
}
