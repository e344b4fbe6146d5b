//! `modelgate data diff`.

use std::path::Path;

use modelgate_core::Digest;
use modelgate_data::diff::diff;
use modelgate_data::{Dataset, Mixed, ReadOptions, SourceFile, find_files};
use modelgate_store::ContentStore;

use crate::arguments::DataDiff;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(compare: &DataDiff, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let open = |side: &str| -> anyhow::Result<Dataset> {
        let files = files(side, folder)?;
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

fn files(side: &str, folder: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let Ok(digest) = side.parse::<Digest>() else { return Ok(find_files(folder, side)?) };
    let project = crate::commands::project(folder)?;
    let path = ContentStore::new(&project.state_folder()).verified(&digest)?;
    Ok(vec![SourceFile::path(side, path)])
}
