//! `modelgate data`.

mod pull;
mod push;
mod snapshot;

use modelgate_pipeline::Project;

use crate::arguments::Data;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(data: &Data, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    match data {
        Data::Snapshot(arguments) => snapshot::execute(arguments, project, printer),
        Data::Push(arguments) => push::execute(arguments, project, printer),
        Data::Pull(arguments) => pull::execute(arguments, project, printer),
    }
}

/// Returns `text` with the ending of more than one, unless `number` is 1.
fn plural(number: u64, text: &str) -> String {
    format!("{number} {text}{}", if number == 1 { "" } else { "s" })
}
