//! `modelgate report`.

use modelgate_pipeline::Project;
use modelgate_pipeline::reports::{RunEvidence, html, junit, markdown, sarif};

use crate::arguments::{Report, ReportForm};
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(report: &Report, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(report.pipeline.as_deref())?;
    let evidence = RunEvidence::load(&pipeline)?;
    let text = match report.form {
        ReportForm::Markdown => markdown(&evidence, false),
        ReportForm::Html => html(&evidence),
        ReportForm::Card => fs_err::read_to_string(pipeline.outputs().join("MODEL_CARD.md"))?,
        ReportForm::Junit => {
            junit(&evidence.verdict, &format!("modelgate.{}", pipeline.name), &evidence.run.finished_at)
        }
        ReportForm::Sarif => modelgate_core::canonical::to_pretty(&sarif(&evidence.verdict, pipeline.name))?,
        ReportForm::Json => modelgate_core::canonical::to_pretty(&evidence.verdict)?,
    };
    match &report.output {
        Some(path) => {
            modelgate_store::atomic::write(path, text.as_bytes())?;
            printer.talk(&format!("wrote {}", path.display()));
        }
        None => printer.data(text.trim_end_matches('\n'))?,
    }
    Ok(Exit::Passed)
}
