//! `modelgate data split`.

use std::path::Path;

use modelgate_pipeline::datasets::{self, Reading};
use modelgate_pipeline::{Project, source_files, split_preview, write_split};

use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(
    project: &Project,
    pipeline: Option<&str>,
    output: Option<&Path>,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(pipeline)?;
    let preview = match output {
        Some(folder) => write_split(&pipeline, folder)?,
        None => split_preview(&pipeline)?,
    };
    let files = source_files(&pipeline)?;
    let differs = datasets::warning(&pipeline, &files, Reading::All);
    differs.iter().for_each(|warning| printer.warning(warning));
    if printer.is_json() {
        printer.json(&preview)?;
        return Ok(Exit::Passed);
    }
    let total = preview.parts.iter().map(|part| part.rows).sum::<u64>().max(1) as f64;
    printer.data(&format!("split: {}", preview.kind))?;
    for part in &preview.parts {
        let classes = part.classes.iter().map(|(class, count)| format!("{class} {count}"));
        let classes = classes.collect::<Vec<_>>().join(" · ");
        let share = part.rows as f64 / total * 100.0;
        printer.data(
            format!("  {:<10} {:>9} rows {share:>6.2} %  {classes}", part.name, part.rows).trim_end(),
        )?;
    }
    let warnings = preview.leakage.warnings();
    if warnings.is_empty() {
        printer.data(
            "no leakage found: no equal rows or keys on both sides, no feature that holds the target",
        )?;
    }
    if let Some(folder) = output {
        printer.talk(&format!("the rows of the parts are in {}", folder.display()));
    }
    warnings.iter().for_each(|warning| printer.warning(warning));
    Ok(Exit::Passed)
}
