//! Where models come from: a package, a bucket, the Hub, the project's registry or an MLflow server.

use std::path::{Path, PathBuf};

use modelgate_config::env::{MODELGATE_REGISTRY_URI, OWN_FOLDER};
use modelgate_core::ModelName;
use modelgate_core::lifecycle::Stage;
use modelgate_pipeline::Project;
use modelgate_registry::RegistryUri;
use modelgate_serve::source::{
    BucketSource, FallbackSource, HubSource, MlflowSource, NamedSource, PackageSource, ProjectSource,
    RegistrySource, Selector, Source, pinned_digest,
};

use super::kept::Kept;
use super::server;
use crate::arguments::serve::{ModelSource, ServedStage, Service};
use crate::environment;
use crate::exit::UsageError;

/// Returns the source that the arguments name, with what stands in for it.
///
/// # Errors
/// Fails for what is no address, and for a choice among versions where the place has none.
pub(super) fn source(
    arguments: &Service,
    package: Option<&Path>,
    project: Option<&Project>,
    folder: &Path,
    kept: &Kept,
) -> anyhow::Result<Box<dyn Source>> {
    if arguments.source == Some(ModelSource::Mlflow) {
        let mlflow = MlflowSource::new(server::options(arguments)?).map_err(UsageError)?;
        // Its models have names of their own, of which the packages know nothing.
        return with_fallback(Box::new(mlflow), arguments, folder);
    }
    let wanted = arguments.models.iter().map(|text| selector(text)).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<ModelName> = wanted.iter().map(|one| one.name.clone()).collect();
    names.sort();
    names.dedup();
    let found = match (package, project) {
        (Some(package), _) => {
            refuse_choice(arguments, &wanted)?;
            let found = packages(package, folder)?;
            // What this project found bad is not served by it, wherever it lies.
            let found: Box<dyn Source> = match project {
                Some(project) => {
                    let uri = RegistryUri::parse(project.config.registry.uri.as_deref())?;
                    Box::new(ProjectSource::new(found, uri, project.root.clone()))
                }
                None => found,
            };
            named(found, &names)
        }
        (None, project) => {
            refuse_stage_of_named(arguments, &wanted)?;
            let (uri, root) = match project {
                Some(project) => {
                    let uri = RegistryUri::parse(project.config.registry.uri.as_deref())?;
                    (uri, project.root.clone())
                }
                None => alone(environment::variable(MODELGATE_REGISTRY_URI).as_deref(), kept)?,
            };
            let stage = match arguments.stage {
                ServedStage::Production => Stage::Production,
                ServedStage::Staging => Stage::Staging,
            };
            Box::new(RegistrySource::new(uri, root, stage, wanted))
        }
    };
    if arguments.fallback.is_none() {
        return Ok(found);
    }
    Ok(named(with_fallback(found, arguments, folder)?, &names))
}

/// Returns the registry that the environment names where no project is around, as in a container, and the folder for what is
/// kept of it.
fn alone(uri: Option<&str>, kept: &Kept) -> anyhow::Result<(RegistryUri, PathBuf)> {
    let text = uri.filter(|uri| *uri != OWN_FOLDER);
    match RegistryUri::parse(text)? {
        uri @ RegistryUri::ObjectStore(_) => Ok((uri, kept.registry(text.unwrap_or_default())?)),
        RegistryUri::Folder | RegistryUri::GitBranch(_) => Err(UsageError(format!(
            "{MODELGATE_REGISTRY_URI}: a registry in a project's folder or its git repository is served from there, and there \
             is no project here: name it with -C, or a registry in a bucket (`s3://bucket/prefix`)"
        ))
        .into()),
    }
}

/// Refuses to choose among versions or stages in a place that has one package of a model and nothing else.
fn refuse_choice(arguments: &Service, wanted: &[Selector]) -> Result<(), UsageError> {
    if let Some(one) = wanted.iter().find(|one| one.reference.is_some()) {
        return Err(UsageError(format!(
            "--model: a package has no versions and no aliases to choose from: name `{}` alone, or leave --package \
             (MODEL_PATH) out and serve from the registry",
            one.name
        )));
    }
    if arguments.stage == ServedStage::Staging {
        return Err(UsageError(
            "--stage (MODEL_STAGE): a package stands in no stage: leave it out, or leave --package (MODEL_PATH) out and \
             serve from the registry"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Refuses a stage beside a version that is named: it is served wherever it stands, and who names a stage wants it held to that.
fn refuse_stage_of_named(arguments: &Service, wanted: &[Selector]) -> Result<(), UsageError> {
    let named = wanted.iter().find_map(|one| Some((&one.name, one.reference.as_ref()?)));
    match named {
        Some((name, reference)) if arguments.stage == ServedStage::Staging => Err(UsageError(format!(
            "--stage (MODEL_STAGE): `{name}@{reference}` names a version, wherever it stands: leave --stage out, or name \
             `{name}` alone for what is in staging"
        ))),
        _ => Ok(()),
    }
}

fn packages(package: &Path, folder: &Path) -> Result<Box<dyn Source>, UsageError> {
    let wrong = |error: modelgate_serve::SourceError| UsageError(format!("--package: {error}"));
    match package.to_str() {
        Some(uri) if uri.starts_with("s3://") => {
            Ok(Box::new(BucketSource::new(uri, &environment::variable).map_err(wrong)?))
        }
        Some(uri) if uri.starts_with("hf:") => {
            Ok(Box::new(HubSource::new(uri, &environment::variable).map_err(wrong)?))
        }
        _ => Ok(Box::new(packaged("--package", &folder.join(package))?)),
    }
}

fn packaged(flag: &str, folder: &Path) -> Result<PackageSource, UsageError> {
    // A folder may come yet; a file never becomes one.
    match PackageSource::never(folder) {
        Some(sentence) => Err(UsageError(format!("{flag}: {sentence}"))),
        None => Ok(PackageSource::new(folder.to_owned())),
    }
}

fn named(source: Box<dyn Source>, names: &[ModelName]) -> Box<dyn Source> {
    if names.is_empty() { source } else { Box::new(NamedSource::new(source, names.to_vec())) }
}

fn with_fallback(
    source: Box<dyn Source>,
    arguments: &Service,
    folder: &Path,
) -> anyhow::Result<Box<dyn Source>> {
    let Some(path) = &arguments.fallback else { return Ok(source) };
    let digest = pinned_digest(&environment::variable).map_err(|error| UsageError(error.to_string()))?;
    let packaged = packaged("--fallback", &folder.join(path))?;
    Ok(Box::new(FallbackSource::new(source, packaged, digest)))
}

fn selector(text: &str) -> Result<Selector, UsageError> {
    let (name, reference) = match text.split_once('@') {
        Some((name, reference)) => (name, Some(reference.to_owned())),
        None => (text, None),
    };
    let name = name.parse().map_err(|error| UsageError(format!("--model: {error}")))?;
    Ok(Selector { name, reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_in_a_bucket_needs_no_project_and_another_one_does() {
        let kept = Kept::Named(PathBuf::from("cache"));
        let (uri, root) = alone(Some("s3://models/registry"), &kept).expect("a bucket");
        assert_eq!(uri, RegistryUri::ObjectStore("s3://models/registry".to_owned()));
        assert!(root.starts_with("cache/registries"), "{}", root.display());
        for uri in [None, Some(OWN_FOLDER), Some("git+branch:modelgate")] {
            let error = alone(uri, &kept).expect_err("no project").to_string();
            assert!(error.contains(MODELGATE_REGISTRY_URI) && error.contains("-C"), "{error}");
        }
        assert!(alone(Some("elsewhere"), &kept).is_err());
    }
}
