//! `modelgate deploy`: models and results, brought to where they are used.

mod docker;
mod manifest;
mod record;
mod space;
mod update_branch;

use modelgate_core::ModelName;
use modelgate_pipeline::{Project, signature};

use crate::arguments::deploy::Deploy;
use crate::exit::Exit;
use crate::printer::Printer;

pub(crate) fn execute(deploy: &Deploy, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    match deploy {
        Deploy::Space(arguments) => space::execute(arguments, project, printer),
        Deploy::UpdateBranch(arguments) => update_branch::execute(arguments, project, printer),
        Deploy::Manifest(arguments) => manifest::execute(arguments, project, printer),
        Deploy::Record(arguments) => record::execute(arguments, project, printer),
        Deploy::Docker(arguments) => docker::execute(arguments, project, printer),
    }
}

/// Returns the model that is named, or that of the only pipeline.
fn model(named: Option<&ModelName>, project: &Project) -> anyhow::Result<ModelName> {
    Ok(match named {
        Some(model) => model.clone(),
        None => project.pipeline(None)?.model,
    })
}

/// Returns what an image has to be told of `serve:`, and says what cannot go into it.
fn served(project: &Project, printer: &Printer) -> Option<String> {
    let serve = &project.config.serve;
    if serve.onnxruntime.is_some() {
        printer.warning(
            "serve.onnxruntime stays here: the image holds no library, and its service refuses a model that the built-in \
             engine does not know",
        );
    }
    serve.carried()
}

/// Returns the public keys that a deployment is held to, each with its file: none where no signature is asked for.
fn public_keys(project: &Project) -> anyhow::Result<Vec<(String, String)>> {
    if !project.config.signing.require_signature {
        return Ok(Vec::new());
    }
    // One that is no key is found here, and not by a container that does not start.
    signature::trusted_keys(project)?;
    let read = |name: &String| Ok((name.clone(), fs_err::read_to_string(project.root.join(name))?));
    project.config.signing.public_keys.iter().map(read).collect()
}
