//! `modelgate model compare`.

use modelgate_pipeline::reports::compare::compare_versions;
use modelgate_pipeline::{Project, registry};

use crate::arguments::model::{Compare, CompareForm};
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(compare: &Compare, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    let versions = compare.versions.iter().map(|name| registry.resolve(&compare.model, name));
    let versions = versions.collect::<Result<Vec<_>, _>>()?;
    let found = compare_versions(&registry, &compare.model, &versions)?;
    if printer.is_json() {
        printer.json(&found)?;
        return Ok(Exit::Passed);
    }
    let text = match compare.form {
        CompareForm::Text => found.text(),
        CompareForm::Markdown => found.markdown(),
        CompareForm::Html => found.html(),
    };
    printer.data(text.trim_end())?;
    Ok(Exit::Passed)
}
