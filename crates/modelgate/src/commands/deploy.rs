//! `modelgate deploy`.

mod record;

use modelgate_pipeline::Project;

use crate::arguments::deploy::Deploy;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(command: &Deploy, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    match command {
        Deploy::Record(arguments) => record::execute(arguments, project, printer),
    }
}
