//! `deployment_manifest.json`: what a deployment needs to know, after a run and whenever production moves.

use std::collections::BTreeMap;

use modelgate_config::env::MODELGATE_SERVE;
use modelgate_core::ModelName;
use modelgate_core::lifecycle::Stage as Lifecycle;
use modelgate_registry::Registry;
use modelgate_store::remote::without_credentials;

use crate::error::PipelineError;
use crate::outputs::{self, DeploymentManifest, Readiness, write_json};
use crate::policy;
use crate::production::{self, Production};
use crate::project::{Pipeline, Project};

const FILE: &str = "deployment_manifest.json";

/// Writes what is to be deployed behind a run, whose candidate stands at `state`. Without the registry what the file says of
/// production stays: it is what the last run that could ask knew.
pub(crate) fn write(
    pipeline: &Pipeline<'_>,
    registry: Option<&Registry>,
    state: Option<Lifecycle>,
) -> Result<(), PipelineError> {
    let known: Option<DeploymentManifest> =
        if registry.is_none() { outputs::read(pipeline, FILE) } else { None };
    let manifest = match known {
        Some(known) => DeploymentManifest { readiness: Readiness::RegistryUnavailable, ..known },
        None => manifest(pipeline, registry, state),
    };
    write_json(&pipeline.outputs(), FILE, &manifest)
}

/// Makes the manifests of `model` name what is in production, where they name something else: behind a promotion, a
/// rollback, and what was completed after a kill.
pub(crate) fn follow(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    production: Production,
) -> Result<(), PipelineError> {
    for pipeline in project.pipelines()? {
        if pipeline.model != *model || !pipeline.outputs().is_dir() {
            continue;
        }
        let before: Option<DeploymentManifest> = outputs::read(&pipeline, FILE);
        let names_it = before.is_some_and(|before| {
            before.version == Some(production.version)
                && before.digest == Some(production.digest)
                && matches!(before.readiness, Readiness::Ready | Readiness::PromotionNotApproved)
        });
        if !names_it {
            write(&pipeline, Some(registry), Some(Lifecycle::Production))?;
        }
    }
    Ok(())
}

/// Makes the manifests of `model` say that nothing is in production.
pub(crate) fn leave(project: &Project, registry: &Registry, model: &ModelName) -> Result<(), PipelineError> {
    for pipeline in project.pipelines()? {
        let before: Option<DeploymentManifest> = outputs::read(&pipeline, FILE);
        if pipeline.model == *model && before.is_some_and(|before| before.version.is_some()) {
            write(&pipeline, Some(registry), Some(Lifecycle::Quarantined))?;
        }
    }
    Ok(())
}

/// Refuses to deploy what is in production of `model` without a signature that is believed, where the project asks for
/// one. Nothing in production is nothing to refuse.
///
/// # Errors
/// Says what is missing, or what is wrong with the signature.
pub fn check_signature(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
) -> Result<(), PipelineError> {
    let Some(production) = production::find(registry, model) else { return Ok(()) };
    policy::check_signature(project, registry, model, production.version)
}

/// Returns what a deployment needs to know now, by the registry and the project file: what a clone knows in which nothing ran.
pub fn current(pipeline: &Pipeline<'_>, registry: Option<&Registry>) -> DeploymentManifest {
    manifest(pipeline, registry, Some(Lifecycle::Production))
}

/// Returns what a deployment needs to know.
fn manifest(
    pipeline: &Pipeline<'_>,
    registry: Option<&Registry>,
    state: Option<Lifecycle>,
) -> DeploymentManifest {
    let production = registry.and_then(|registry| production::find(registry, &pipeline.model));
    let readiness = match (registry, production, state) {
        (None, _, _) => Readiness::RegistryUnavailable,
        (_, None, _) => Readiness::NoProductionModel,
        (Some(registry), Some(_), _)
            if check_signature(pipeline.project, registry, &pipeline.model).is_err() =>
        {
            Readiness::SignatureRefused
        }
        (_, Some(_), Some(Lifecycle::Production)) => Readiness::Ready,
        _ => Readiness::PromotionNotApproved,
    };
    let name = &pipeline.model;
    let mut environment = BTreeMap::from([
        ("MODEL_SOURCE".to_owned(), "local".to_owned()),
        ("MODEL_PATH".to_owned(), format!("models/packaged/{name}")),
        ("ADMIN_API_TOKEN".to_owned(), "<a secret of yours>".to_owned()),
    ]);
    let signing = &pipeline.project.config.signing;
    if signing.require_signature {
        environment.insert("MODELGATE_PUBLIC_KEYS".to_owned(), signing.public_keys.join(","));
    }
    if let Some(serve) = pipeline.project.config.serve.carried() {
        environment.insert(MODELGATE_SERVE.to_owned(), serve);
    }
    DeploymentManifest {
        schema_version: 1,
        readiness,
        model: name.clone(),
        version: production.map(|production| production.version),
        digest: production.map(|production| production.digest),
        registry: match registry {
            Some(registry) => relative(&registry.home(), pipeline),
            None => without_credentials(pipeline.project.config.registry.uri.as_deref().unwrap_or_default()),
        },
        package: production.map(|_| format!("models/packaged/{name}")),
        entrypoint: ["modelgate", "serve"].map(str::to_owned).to_vec(),
        environment,
    }
}

/// A report that is shared does not name folders of this machine.
fn relative(home: &str, pipeline: &Pipeline<'_>) -> String {
    let root = pipeline.project.root.display().to_string();
    home.strip_prefix(&root)
        .map_or_else(|| home.to_owned(), |rest| rest.trim_start_matches(['/', '\\']).to_owned())
}
