//! A package: files, the manifest that names them, and the checks when it is opened.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::schema::FeatureSchema;
use modelgate_core::{Digest, ModelName, canonical};
use modelgate_data::preprocess::PreprocessPlan;

use crate::error::{ModelError, PackageError};
use crate::estimator::Estimator;
use crate::manifest::{Lineage, Manifest};
use crate::mlmodel::mlmodel;
use crate::onnx::{LoadedModel, export};

/// Files that may lie beside a package's own; each names the package's digest.
pub const ATTACHED_FILES: [&str; 4] = ["metrics.json", "verdict.json", "MODEL_CARD.md", "model.sig"];

const MANIFEST: &str = "manifest.json";
const MODEL: &str = "model.onnx";

/// A package whose files are those that were packaged.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its identity: the digest of `manifest.json`.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
    /// The model, ready to be asked.
    pub model: LoadedModel,
}

/// Makes the files of a package and returns its digest and the files by name; equal arguments give equal bytes.
///
/// # Errors
/// Fails when the arguments do not fit together.
pub fn assemble(
    name: &ModelName,
    schema: &FeatureSchema,
    plan: &PreprocessPlan,
    estimator: &Estimator,
    lineage: &Lineage,
    reference: &serde_json::Value,
) -> Result<(Digest, BTreeMap<String, Vec<u8>>), ModelError> {
    pack(name, schema, export(plan, schema, estimator)?, lineage, reference)
}

/// Puts the other files of a package around its graph, and returns its digest and the files by name.
///
/// # Errors
/// Fails when the reference has no form in JSON.
pub(crate) fn pack(
    name: &ModelName,
    schema: &FeatureSchema,
    graph: Vec<u8>,
    lineage: &Lineage,
    reference: &serde_json::Value,
) -> Result<(Digest, BTreeMap<String, Vec<u8>>), ModelError> {
    let json = |error: serde_json::Error| ModelError::Json(error.to_string());
    let mut files = BTreeMap::from([
        (MODEL.to_owned(), graph),
        ("MLmodel".to_owned(), mlmodel(schema).into_bytes()),
        ("reference.json".to_owned(), canonical::to_pretty(reference).map_err(json)?.into_bytes()),
    ]);
    let manifest = Manifest {
        schema_version: 1,
        name: name.clone(),
        task: schema.task,
        schema: schema.clone(),
        lineage: lineage.clone(),
        files: files.iter().map(|(name, bytes)| (name.clone(), Digest::of(bytes))).collect(),
    };
    let bytes = canonical::to_pretty(&manifest).map_err(json)?.into_bytes();
    let digest = Digest::of(&bytes);
    files.insert(MANIFEST.to_owned(), bytes);
    Ok((digest, files))
}

/// Opens the package in the folder `path`, checking every file.
///
/// # Errors
/// Names the file that is missing, changed or does not belong there.
pub fn open(path: &Path) -> Result<Package, PackageError> {
    if !path.join(MANIFEST).is_file() {
        return Err(PackageError::NotAPackage(path.to_owned()));
    }
    let mut files = BTreeMap::new();
    for entry in fs_err::read_dir(path)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs_err::read(entry.path())?);
    }
    check(files, &path.display().to_string())
}

/// Opens a package whose files are in memory, checking every file.
///
/// # Errors
/// As [`open`].
pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Package, PackageError> {
    check(files, "the package")
}

fn check(files: BTreeMap<String, Vec<u8>>, place: &str) -> Result<Package, PackageError> {
    let place = place.to_owned();
    let Some(manifest_bytes) = files.get(MANIFEST) else {
        return Err(PackageError::Missing { place, file: MANIFEST.to_owned() });
    };
    let manifest: Manifest = serde_json::from_slice(manifest_bytes)
        .map_err(|error| PackageError::Manifest { place: place.clone(), reason: error.to_string() })?;
    if manifest.schema_version != 1 {
        let reason = format!("it has schema version {}; this modelgate reads 1", manifest.schema_version);
        return Err(PackageError::Manifest { place, reason });
    }
    for (file, expected) in &manifest.files {
        let Some(bytes) = files.get(file) else {
            return Err(PackageError::Missing { place, file: file.clone() });
        };
        let found = Digest::of(bytes);
        if found != *expected {
            return Err(PackageError::Changed { place, file: file.clone(), expected: *expected, found });
        }
    }
    let known = |file: &String| {
        file == MANIFEST || manifest.files.contains_key(file) || ATTACHED_FILES.contains(&file.as_str())
    };
    if let Some(file) = files.keys().find(|file| !known(file)) {
        let pickled = Path::new(file)
            .extension()
            .is_some_and(|end| ["pkl", "pickle", "joblib", "skops"].iter().any(|one| end == *one));
        let hint = if pickled {
            "; pickled models are never loaded, since loading one runs its code: convert it to ONNX"
        } else {
            ""
        };
        return Err(PackageError::Extra { place, file: file.clone(), hint: hint.to_owned() });
    }
    let model = files
        .get(MODEL)
        .ok_or_else(|| PackageError::Missing { place: place.clone(), file: MODEL.to_owned() })?;
    let model =
        LoadedModel::load(model).map_err(|source| PackageError::Model { place: place.clone(), source })?;
    let takes: Vec<(&str, _)> = manifest
        .schema
        .features
        .iter()
        .map(|feature| (feature.name.as_str(), feature.feature_type))
        .collect();
    let gives: Vec<(&str, _)> = model.inputs().iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    if takes != gives || model.classes() != manifest.schema.classes.as_ref() {
        let reason = "its schema is not the one of model.onnx".to_owned();
        return Err(PackageError::Manifest { place, reason });
    }
    Ok(Package { digest: Digest::of(manifest_bytes), manifest, model })
}
