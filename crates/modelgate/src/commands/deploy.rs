//! `modelgate deploy`: models and results, brought to where they are used.

mod docker;
mod manifest;
mod record;
mod space;
mod update_branch;

use modelgate_config::SpaceConfig;
use modelgate_core::ModelName;
use modelgate_pipeline::{Project, signature};

use crate::arguments::deploy::Deploy;
use crate::exit::{Exit, UsageError};
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

/// Returns the model that the project's Space serves.
///
/// # Errors
/// Fails where there are several pipelines and nobody said whose Space it is.
fn model_of_space(space: &SpaceConfig, project: &Project) -> anyhow::Result<ModelName> {
    if let Some(name) = &space.model {
        return name.parse().map_err(|error| UsageError(format!("deploy.space.model: {error}")).into());
    }
    let pipelines = project.pipelines()?;
    let [only] = pipelines.as_slice() else {
        let names: Vec<String> = pipelines.iter().map(|pipeline| format!("`{}`", pipeline.model)).collect();
        let sentence = format!(
            "the Space {} serves one model, and there are several pipelines: say which in `deploy.space.model`, one of {}",
            space.repository,
            names.join(", ")
        );
        return Err(UsageError(sentence).into());
    };
    Ok(only.model.clone())
}

/// Refuses to bring a model to the Space of another, where it would take that one's place.
pub(crate) fn check_model_of_space(
    space: &SpaceConfig,
    project: &Project,
    model: &ModelName,
) -> anyhow::Result<()> {
    let own = model_of_space(space, project)?;
    if own == *model {
        return Ok(());
    }
    let sentence = format!(
        "the Space {} is of the model `{own}`, and `{model}` would take its place there: a project has one Space, so \
         name `{model}` in `deploy.space.model`, or deploy it otherwise",
        space.repository
    );
    Err(UsageError(sentence).into())
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
