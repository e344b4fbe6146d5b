//! `modelgate deploy manifest`: what a deployment needs to know, as the registry and the project file have it now. What the
//! last run left adds whether a newer version waits; a clone in which nothing ran has no such file and needs none.

use anyhow::Context as _;
use modelgate_pipeline::outputs::{DeploymentManifest, Readiness};
use modelgate_pipeline::{Pipeline, Project, deployment, policy, registry};

use crate::arguments::deploy::Manifest;
use crate::commands::status::is_any_waiting;
use crate::exit::Exit;
use crate::printer::Printer;

/// Returns what the last run here left, if one did.
fn left(pipeline: &Pipeline<'_>) -> anyhow::Result<Option<DeploymentManifest>> {
    let path = pipeline.outputs().join("deployment_manifest.json");
    let text = match fs_err::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let read = serde_json::from_str(&text);
    read.with_context(|| format!("`{}` is no deployment manifest; run the pipeline again", path.display()))
}

pub(super) fn execute(arguments: &Manifest, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(arguments.pipeline.as_deref())?;
    let left = left(&pipeline)?;
    let manifest = match registry(project) {
        // What is here is what the run knew; nobody may deploy by it while the registry cannot be asked.
        Err(error) => {
            printer.warning(&format!("the registry cannot be asked: {error}"));
            let known = left.unwrap_or_else(|| deployment::current(&pipeline, None));
            DeploymentManifest { readiness: Readiness::RegistryUnavailable, ..known }
        }
        Ok(registry) => {
            let mut now = deployment::current(&pipeline, Some(&registry));
            if let Some(left) = left {
                if (left.version, left.digest) != (now.version, now.digest) {
                    printer.talk("production moved since the last run: this is what is there now");
                } else if now.readiness == Readiness::Ready
                    && left.readiness == Readiness::PromotionNotApproved
                    && is_any_waiting(&pipeline, &registry)?
                {
                    now.readiness = left.readiness;
                }
            }
            // Signed, or asked to be, since the file was written.
            if let Err(error) = deployment::check_signature(project, &registry, &pipeline.model) {
                printer.warning(&format!("it must not be deployed: {error}"));
            }
            // It stays where it is all the same: what the policy asks, it asks of who gets in.
            for against in policy::against_production(project, &registry, &pipeline.model).unwrap_or_default()
            {
                printer.warning(&format!("the policy of today would not let it in: {against}"));
            }
            now
        }
    };
    printer.json(&manifest)?;
    let nothing = matches!(manifest.readiness, Readiness::NoProductionModel | Readiness::RegistryUnavailable);
    let refused = manifest.readiness == Readiness::SignatureRefused;
    Ok(if refused || arguments.exit_code && nothing { Exit::Blocked } else { Exit::Passed })
}
