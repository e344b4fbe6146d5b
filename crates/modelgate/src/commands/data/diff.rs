//! `modelgate data diff`.

use std::path::Path;

use modelgate_data::diff::diff;
use modelgate_data::{Dataset, Mixed, ReadOptions};
use modelgate_pipeline::datasets::version_files;

use crate::arguments::DataDiff;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(compare: &DataDiff, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    // Files are compared anywhere; what a store or a pointer file keeps needs its project.
    let project = crate::commands::project(folder).ok();
    let open = |side: &str| -> anyhow::Result<Dataset> {
        let files = version_files(project.as_ref(), folder, side)?;
        Ok(Dataset::open(files, &ReadOptions::default(), Mixed::AsText)?)
    };
    let found = diff(&open(&compare.before)?, &open(&compare.after)?, &compare.key)?;
    if printer.is_json() {
        printer.json(&found)?;
    } else {
        printer.data(found.to_text().trim_end())?;
    }
    Ok(if compare.exit_code && !found.is_empty() { Exit::Blocked } else { Exit::Passed })
}
