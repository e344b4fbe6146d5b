//! `modelgate model gc`, `export`, `import`, and `promote --from-run`.

use std::path::Path;

use modelgate_core::ModelName;
use modelgate_pipeline::Project;

use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn gc(_dry_run: bool, _yes: bool, _project: &Project, _printer: &Printer) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}

pub(crate) fn export(_file: &Path, _project: &Project, _printer: &Printer) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}

pub(crate) fn import(_file: &Path, _project: &Project, _printer: &Printer) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}

pub(crate) fn from_run(
    _folder: &Path,
    _model: &ModelName,
    _reason: &str,
    _project: &Project,
    _printer: &Printer,
) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}
