//! `modelgate deploy manifest`: what a deployment needs to know, as the last run left it and the registry has it now.

use anyhow::Context as _;
use modelgate_pipeline::outputs::{DeploymentManifest, Readiness};
use modelgate_pipeline::{Project, deployment, find_production, registry};

use crate::arguments::deploy::Manifest;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(super) fn execute(arguments: &Manifest, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(arguments.pipeline.as_deref())?;
    let path = pipeline.outputs().join("deployment_manifest.json");
    let text = match fs_err::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let sentence =
                format!("there is no deployment manifest yet: `modelgate run {}` makes one", pipeline.name);
            return Err(UsageError(sentence).into());
        }
        text => text?,
    };
    let mut manifest: DeploymentManifest = serde_json::from_str(&text)
        .with_context(|| format!("`{}` is no deployment manifest; run the pipeline again", path.display()))?;
    match registry(project) {
        // The file is what the run knew; nobody may deploy by it while the registry cannot be asked.
        Err(error) => {
            printer.warning(&format!("the registry cannot be asked: {error}"));
            manifest.readiness = Readiness::RegistryUnavailable;
        }
        Ok(registry) => {
            let production = find_production(&registry, &pipeline.model);
            let (version, digest) = (production.map(|one| one.version), production.map(|one| one.digest));
            if (manifest.version, manifest.digest) != (version, digest) {
                printer.talk("production moved since the last run: this is what is there now");
                (manifest.version, manifest.digest) = (version, digest);
                manifest.package = version.map(|_| format!("models/packaged/{}", pipeline.model));
                manifest.readiness =
                    if version.is_some() { Readiness::Ready } else { Readiness::NoProductionModel };
            }
            // Signed, or asked to be, since the file was written.
            match deployment::check_signature(project, &registry, &pipeline.model) {
                Err(error) => {
                    printer.warning(&format!("it must not be deployed: {error}"));
                    manifest.readiness = Readiness::SignatureRefused;
                }
                Ok(()) if manifest.readiness == Readiness::SignatureRefused => {
                    manifest.readiness = Readiness::Ready;
                }
                Ok(()) => {}
            }
        }
    }
    printer.json(&manifest)?;
    let nothing = matches!(manifest.readiness, Readiness::NoProductionModel | Readiness::RegistryUnavailable);
    let refused = manifest.readiness == Readiness::SignatureRefused;
    Ok(if refused || arguments.exit_code && nothing { Exit::Blocked } else { Exit::Passed })
}
