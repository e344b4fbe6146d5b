//! `modelgate model pull`.

use std::path::Path;

use modelgate_core::{ModelName, VersionNumber};
use modelgate_pipeline::{Project, lock, materialise, registry};
use serde_json::json;

use crate::environment::surroundings;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Brings a package from the registry into a folder.
pub(super) fn pull(
    model: &ModelName,
    reference: &str,
    to: Option<&Path>,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let registry = registry(project)?;
    if to.is_none() && reference == "production" && registry.model(model)?.production().is_none() {
        // Elsewhere production was taken out: what is quarantined does not stay where it is loaded from.
        let _lock = lock(project, "modelgate model pull", &surroundings())?;
        let was_there = project.packaged(model).exists();
        materialise(project, &registry, model)?;
        if was_there && !project.packaged(model).exists() {
            printer.talk(&format!(
                "{model}: nothing is in production; the quarantined package is gone from models/packaged/{model}/"
            ));
            return Ok(Exit::Passed);
        }
    }
    let version = registry.resolve(model, reference)?;
    let Some(folder) = to else {
        if registry.model(model)?.production() != Some(version) {
            let message = format!("{version} is not in production: name a folder with `--to`");
            return Err(UsageError(message).into());
        }
        let _lock = lock(project, "modelgate model pull", &surroundings())?;
        materialise(project, &registry, model)?;
        return pulled(model, version, &format!("models/packaged/{model}"), printer);
    };
    let state = registry.model(model)?;
    if let Some(of) = loaded_from(project, folder) {
        if of != *model || state.production() != Some(version) {
            let message = format!(
                "`{}` is where the version of {of} in production is loaded from: {model} {version} is not it; name another \
                 folder, or promote it",
                folder.display()
            );
            return Err(UsageError(message).into());
        }
        let _lock = lock(project, "modelgate model pull", &surroundings())?;
        materialise(project, &registry, model)?;
        return pulled(model, version, &folder.display().to_string(), printer);
    }
    if state.versions.get(&version).is_some_and(|found| state.quarantined(&found.digest).is_some()) {
        printer
            .warning(&format!("{model} {version} is quarantined: it is for looking at, and not to be used"));
    }
    let occupied = folder.is_dir() && fs_err::read_dir(folder)?.next().is_some();
    if occupied && let Some(stranger) = modelgate_model::stranger_in(folder)? {
        return Err(UsageError(format!(
            "`{}` is not empty and no package (`{stranger}`): it was not touched; name a new folder",
            folder.display()
        ))
        .into());
    }
    let files = registry.version_files(model, version)?;
    modelgate_model::from_files(files.clone())?;
    modelgate_store::atomic::replace_folder(folder, &files)?;
    pulled(model, version, &folder.display().to_string(), printer)
}

/// Returns the model whose production is loaded from `folder`, if one is: by whatever path and links it is named.
fn loaded_from(project: &Project, folder: &Path) -> Option<ModelName> {
    let packaged = fs_err::canonicalize(project.root.join("models").join("packaged")).ok()?;
    // What is not there yet has a place all the same: that of the nearest folder above it which is.
    let absolute = std::path::absolute(folder).ok()?;
    let there = absolute.ancestors().find_map(|above| Some((above, fs_err::canonicalize(above).ok()?)));
    let (above, real) = there?;
    let place = real.join(absolute.strip_prefix(above).ok()?);
    if let Ok(below) = place.strip_prefix(&packaged) {
        let first = below.components().next()?;
        return first.as_os_str().to_str()?.parse().ok();
    }
    // The folder of a model may be a link to another place.
    let entries = fs_err::read_dir(&packaged).ok()?;
    let is_it = |path: &Path| fs_err::canonicalize(path).is_ok_and(|real| place.starts_with(real));
    let found = entries.flatten().find(|entry| is_it(&entry.path()))?;
    found.file_name().to_str()?.parse().ok()
}

/// Says where a package was brought to.
fn pulled(
    model: &ModelName,
    version: VersionNumber,
    folder: &str,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": model, "version": version, "folder": folder,
        }))?;
    } else {
        printer.data(folder)?;
    }
    Ok(Exit::Passed)
}
