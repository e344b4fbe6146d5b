//! `modelgate data profile`.

use std::path::Path;

use modelgate_data::describe::{Depth, describe_as, to_html, to_text};
use modelgate_data::{Dataset, Mixed};

use crate::arguments::data::DataProfile;
use crate::commands::data::{Asked, chosen, project_for};
use crate::environment::shows_values;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::progress::Rows;

pub(crate) fn execute(profile: &DataProfile, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let (data, pipeline) = (profile.data.as_deref(), profile.pipeline.as_deref());
    let asked = Asked { data, pipeline, contract: None, has_contract: false };
    let project = project_for(&asked, folder)?;
    let found = chosen(&asked, project.as_ref(), folder)?;
    let mut progress = Rows::new(printer, "profile");
    let dataset = Dataset::open(found.files, &found.options, Mixed::AsText)?;
    let description = describe_as(&dataset, Depth::Whole, &mut |done, of| progress.tell(done, of))?;
    drop(progress);
    if let Some(path) = &profile.html {
        modelgate_store::atomic::write(path, to_html(&description).as_bytes())?;
    }
    if let Some(path) = &profile.output {
        let text = modelgate_core::canonical::to_pretty(&description)?;
        modelgate_store::atomic::write(path, text.as_bytes())?;
    }
    if printer.is_json() {
        printer.json(&description)?;
    } else {
        printer.data(to_text(&description, shows_values()).trim_end())?;
        if let Some(path) = &profile.html {
            printer.talk(&format!("wrote {}", path.display()));
        }
    }
    Ok(Exit::Passed)
}
