//! `modelgate data pull`.

use modelgate_pipeline::Project;
use modelgate_pipeline::datasets::{self, Sharing};
use serde_json::json;

use super::plural;
use crate::arguments::DataPull;
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;
use crate::progress::{Bytes, bytes};

pub(crate) fn execute(arguments: &DataPull, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let sets = datasets::named(project, &arguments.names)?;
    if sets.is_empty() {
        let text = "there is no data set to pull: no `data/*.modelgate` file is here";
        return Err(UsageError(text.to_owned()).into());
    }
    let progress = Bytes::of(printer, "pull", sets.iter().map(|set| set.pointer.size).sum());
    let add = |more| progress.add(more);
    let sharing = Sharing::open(project, arguments.remote.as_deref(), &environment::variable, &add)?;
    let pulled = sharing.pull(&sets, datasets::link_policy(&project.config), arguments.force);
    progress.end();
    let pulled = pulled?;
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "pulled": pulled }))?;
        return Ok(Exit::Passed);
    }
    printer.data(&format!(
        "{} fetched from {} ({}), {} here already; {} written, {} unchanged",
        plural(pulled.objects, "object"),
        pulled.remote,
        bytes(pulled.bytes),
        pulled.already,
        plural(pulled.written, "file"),
        pulled.unchanged
    ))?;
    Ok(Exit::Passed)
}
