//! `modelgate data contract`.

use std::path::Path;

use modelgate_data::contract::{self, Contract};
use modelgate_pipeline::read_contract;

use crate::arguments::data::DataContract;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(crate) fn execute(command: &DataContract, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let unusable = |error: modelgate_data::DataError| UsageError(error.to_string());
    let (text, output) = match command {
        DataContract::Import { file, output } => {
            let name = file.display().to_string();
            let (found, left) =
                contract::from_odcs(&fs_err::read_to_string(file)?, &name).map_err(unusable)?;
            left.iter().for_each(|left| printer.warning(&format!("{name}: {left} is not carried over")));
            (contract::to_yaml(&found, &[])?, output)
        }
        DataContract::Export { file: Some(file), output } => {
            let name = file.display().to_string();
            let found = contract::parse(&fs_err::read_to_string(file)?, &name).map_err(unusable)?;
            (exported(&found, printer)?, output)
        }
        DataContract::Export { file: None, output } => {
            let project = crate::commands::project(folder)?;
            let pipeline = project.pipeline(None)?;
            let (found, _) = read_contract(&pipeline)?.ok_or_else(|| {
                UsageError(format!("pipeline `{}` has no `data.contract`; name a file", pipeline.name))
            })?;
            (exported(&found, printer)?, output)
        }
    };
    match output {
        None => printer.data(text.trim_end())?,
        Some(path) => {
            modelgate_store::atomic::write(path, text.as_bytes())?;
            printer.talk(&format!("wrote {}", path.display()));
        }
    }
    Ok(Exit::Passed)
}

fn exported(contract: &Contract, printer: &Printer) -> anyhow::Result<String> {
    let (text, own) = contract::to_odcs(contract, &[])?;
    tell_own(&own, printer);
    Ok(text)
}

/// Tells what of a contract the open standard has no words for.
pub(crate) fn tell_own(own: &[String], printer: &Printer) {
    if !own.is_empty() {
        let own = own.join(", ");
        printer.talk(&format!(
            "the standard has no words for {own}: kept as `customProperties`, for modelgate alone"
        ));
    }
}
