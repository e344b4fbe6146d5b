//! `modelgate init`.

use std::path::Path;

use modelgate_config::TaskKind;
use modelgate_core::ModelName;
use modelgate_pipeline::PROJECT_FILE;

use super::ci::repository_of;
use crate::arguments::ci::{self, Ci};
use crate::arguments::{Init, TaskName, TemplateName};
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// What a model of one's own starts from.
const SCRIPTS: [(&str, &str); 2] = [
    ("train.py", include_str!("../../../../examples/bring-your-own/train.py")),
    ("modelgate_onnx.py", include_str!("../../../../examples/bring-your-own/modelgate_onnx.py")),
];

pub(crate) fn execute(init: &Init, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let path = folder.join(PROJECT_FILE);
    if path.exists() {
        return Err(UsageError(format!("`{PROJECT_FILE}` is here already; it was not touched")).into());
    }
    if init.ci {
        // Found out before anything is written.
        let _ = repository_of(&std::path::absolute(folder)?)?;
    }
    let name = init.name.clone().unwrap_or_else(|| name_of(folder));
    let name: ModelName = name.parse().map_err(|error| UsageError(format!("--name: {error}")))?;
    let task = match (init.template, init.task) {
        (Some(TemplateName::Regression), _) | (None, TaskName::Regression) => TaskKind::Regression,
        _ => TaskKind::Classification,
    };
    let own = init.template == Some(TemplateName::BringYourOwn);
    let written = if own { modelgate_config::command_template } else { modelgate_config::template };
    let text = written(name.as_str(), &init.source, &init.target, task);
    if own {
        for (file, text) in SCRIPTS {
            // A script of the user's is theirs.
            if !folder.join(file).exists() {
                modelgate_store::atomic::write(&folder.join(file), text.as_bytes())?;
                printer.talk(&format!("wrote {file}"));
            }
        }
    }
    modelgate_store::atomic::write(&path, text.as_bytes())?;
    let ignore = folder.join(".gitignore");
    let before = fs_err::read_to_string(&ignore).unwrap_or_default();
    let missing: Vec<&str> = [".modelgate/", "outputs/", "models/packaged/"]
        .into_iter()
        .filter(|line| !before.lines().any(|known| known.trim() == *line))
        .collect();
    if !missing.is_empty() {
        let separator = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        let text = format!("{before}{separator}{}\n", missing.join("\n"));
        modelgate_store::atomic::write(&ignore, text.as_bytes())?;
    }
    printer.talk(&format!("wrote {PROJECT_FILE} and .gitignore"));
    if init.ci {
        let workflows = Ci::Init(ci::Init::default());
        return super::ci::execute(&workflows, &super::project(folder)?, printer);
    }
    if folder.join(&init.source).is_file() {
        printer.talk("next: `modelgate run`");
    } else {
        printer
            .talk(&format!("next: put your data at `{}`, set `target`, then `modelgate run`", init.source));
    }
    Ok(Exit::Passed)
}

/// Makes a name of a folder's.
fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let kept: String =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let kept = kept.trim_matches('-');
    if kept.is_empty() { "project".to_owned() } else { kept.to_owned() }
}
