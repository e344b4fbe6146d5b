//! `modelgate completions`.

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(shell: clap_complete::Shell, printer: &Printer) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "modelgate", &mut script);
    printer.data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Passed)
}
