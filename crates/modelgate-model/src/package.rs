//! A package: files, the manifest that names them, and the checks when it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use modelgate_core::digest::DigestHasher;
use modelgate_core::schema::FeatureSchema;
use modelgate_core::{Digest, ModelName, canonical};
use modelgate_data::preprocess::PreprocessPlan;

use crate::error::{ModelError, PackageError};
use crate::estimator::Estimator;
use crate::files::{is_file_name, open_file, read_file};
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

/// Refuses a path where no package is. What may not be looked at may be one.
fn check_folder(path: &Path) -> Result<(), PackageError> {
    use std::io::ErrorKind;
    match fs_err::metadata(path.join(MANIFEST)) {
        Ok(found) if found.is_file() => Ok(()),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(error.into())
        }
        _ => Err(PackageError::NotAPackage(path.to_owned())),
    }
}

/// Opens the package in the folder `path`, checking every file.
///
/// # Errors
/// Names the file that is missing, changed or does not belong there.
pub fn open(path: &Path) -> Result<Package, PackageError> {
    check_folder(path)?;
    let manifest = serde_json::from_slice::<Manifest>(&read_file(&path.join(MANIFEST))?).ok();
    let mut files = BTreeMap::new();
    for entry in fs_err::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What does not belong here is refused by its name: it need not be read, whatever it is.
        let is_own = name == MANIFEST || manifest.as_ref().is_some_and(|manifest| manifest.has(&name));
        files.insert(name, if is_own { read_file(&entry.path())? } else { Vec::new() });
    }
    check(files, &path.display().to_string())
}

/// Returns the digest of the package in the folder `path` after checking every file by its own. The model is neither held
/// in memory nor read as one: that is for [`open`].
///
/// # Errors
/// As [`open`], but for a model that cannot be used.
pub fn verify(path: &Path) -> Result<Digest, PackageError> {
    check_folder(path)?;
    let mut names = BTreeSet::new();
    for entry in fs_err::read_dir(path)? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let manifest_bytes = read_file(&path.join(MANIFEST))?;
    let digest_of = |file: &str| match open_file(&path.join(file)) {
        Ok(file) => Ok(Some(digest_of_file(file)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    };
    checked(&manifest_bytes, names.iter(), digest_of, &path.display().to_string())?;
    Ok(Digest::of(&manifest_bytes))
}

fn digest_of_file(mut file: fs_err::File) -> std::io::Result<Digest> {
    use std::io::Read as _;
    let mut hasher = DigestHasher::default();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&block[..length]),
        }
    }
}

impl Manifest {
    /// Returns whether a package with this manifest may have a file of this name.
    fn has(&self, file: &str) -> bool {
        file == MANIFEST || self.files.contains_key(file) || ATTACHED_FILES.contains(&file)
    }
}

/// Returns what shows that `folder` is not the folder of a package: an entry that none has, or `manifest.json` where
/// it is missing or of something else. Contents are not checked: what is damaged is a package still.
///
/// # Errors
/// Fails when the folder cannot be read.
pub fn stranger_in(folder: &Path) -> std::io::Result<Option<String>> {
    let manifest = read_file(&folder.join(MANIFEST))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
    let Some(manifest) = manifest else { return Ok(Some(MANIFEST.to_owned())) };
    let mut names = BTreeSet::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_own = manifest.has(&name) && !entry.file_type()?.is_dir();
        names.extend((!is_own).then_some(name));
    }
    Ok(names.pop_first())
}

/// Opens a package whose files are in memory, checking every file.
///
/// # Errors
/// As [`open`].
pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Package, PackageError> {
    check(files, "the package")
}

/// Reads a manifest and compares with it the files that are there, by name and digest.
fn checked<'a>(
    manifest_bytes: &[u8],
    names: impl IntoIterator<Item = &'a String>,
    digest_of: impl Fn(&str) -> Result<Option<Digest>, PackageError>,
    place: &str,
) -> Result<Manifest, PackageError> {
    let place = place.to_owned();
    let manifest: Manifest = serde_json::from_slice(manifest_bytes)
        .map_err(|error| PackageError::Manifest { place: place.clone(), reason: error.to_string() })?;
    if manifest.schema_version != 1 {
        let reason = format!("it has schema version {}; this modelgate reads 1", manifest.schema_version);
        return Err(PackageError::Manifest { place, reason });
    }
    if let Some(file) = manifest.files.keys().find(|file| !is_file_name(file)) {
        let reason =
            format!("it names the file `{file}`, and a package has plain files of its own folder alone");
        return Err(PackageError::Manifest { place, reason });
    }
    for (file, expected) in &manifest.files {
        let Some(found) = digest_of(file)? else {
            return Err(PackageError::Missing { place, file: file.clone() });
        };
        if found != *expected {
            return Err(PackageError::Changed { place, file: file.clone(), expected: *expected, found });
        }
    }
    if let Some(file) = names.into_iter().find(|file| !manifest.has(file)) {
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
    Ok(manifest)
}

fn check(files: BTreeMap<String, Vec<u8>>, place: &str) -> Result<Package, PackageError> {
    let place = place.to_owned();
    let Some(manifest_bytes) = files.get(MANIFEST) else {
        return Err(PackageError::Missing { place, file: MANIFEST.to_owned() });
    };
    let digest_of = |file: &str| Ok(files.get(file).map(|bytes| Digest::of(bytes)));
    let manifest = checked(manifest_bytes, files.keys(), digest_of, &place)?;
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

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{Feature, FeatureType, SCHEMA_VERSION, Task};
    use modelgate_data::preprocess::{Encode, Missing, PreprocessSpec, Scale, UnknownCategory, fit};

    use super::*;
    use crate::estimator::LinearRegressor;

    /// The files of a package of one feature, with its digest.
    fn package() -> (Digest, BTreeMap<String, Vec<u8>>) {
        let spec = PreprocessSpec {
            missing: Missing::Median,
            scale: Scale::None,
            encode: Encode::Onehot,
            unknown_category: UnknownCategory::Ignore,
        };
        let table =
            modelgate_data::read_csv(b"a\n1.5\n2.5\n", "here", &modelgate_data::ReadOptions::default());
        let plan = fit(&table.expect("a table"), &[0, 1], &["a".to_owned()], &spec).expect("a plan");
        let schema = FeatureSchema {
            schema_version: SCHEMA_VERSION,
            task: Task::Regression,
            features: vec![Feature::of("a", FeatureType::Float, false)],
            target: "y".to_owned(),
            classes: None,
            nulls: Vec::new(),
        };
        let linear = LinearRegressor { features: 1, coefficients: vec![2.0], intercept: 1.0 };
        let lineage = Lineage {
            dataset: Digest::of(b"data"),
            config: Digest::of(b"settings"),
            code: "linear".to_owned(),
            seed: 1,
            algorithm: "linear".to_owned(),
            tool_version: "1".to_owned(),
            split: Digest::of(b"split"),
        };
        let name: ModelName = "m".parse().expect("a name");
        let estimator = Estimator::LinearRegressor(linear);
        assemble(&name, &schema, &plan, &estimator, &lineage, &serde_json::json!({})).expect("a package")
    }

    #[test]
    #[cfg(unix)]
    fn what_has_no_end_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let (_, files) = package();
        for (name, bytes) in &files {
            std::fs::write(path.join(name), bytes).expect("written");
        }
        let said = || {
            let opened = open(path).map(|package| package.digest).map_err(|error| error.to_string());
            let verified = verify(path).map_err(|error| error.to_string());
            assert_eq!(opened, verified);
            opened.expect_err("refused")
        };
        let endless = |name: &str| std::os::unix::fs::symlink("/dev/zero", path.join(name)).expect("linked");
        endless("x.json");
        assert!(said().contains("`x.json` does not belong to the package"), "{}", said());
        std::fs::remove_file(path.join("x.json")).expect("removed");
        std::fs::remove_file(path.join(MODEL)).expect("removed");
        endless(MODEL);
        assert!(said().contains("is no plain file"), "{}", said());
        // A manifest leads nowhere else.
        for name in ["/dev/zero", "../a", "a/b"] {
            let mut manifest: serde_json::Value = serde_json::from_slice(&files[MANIFEST]).expect("json");
            manifest["files"][name] = serde_json::json!(Digest::of(b""));
            std::fs::write(path.join(MANIFEST), manifest.to_string()).expect("written");
            std::fs::remove_file(path.join(MODEL)).expect("removed");
            std::fs::write(path.join(MODEL), &files[MODEL]).expect("written");
            assert!(said().contains(&format!("it names the file `{name}`")), "{}", said());
        }
    }

    #[test]
    fn a_folder_is_verified_as_it_is_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let (digest, files) = package();
        let mut said = Vec::new();
        let mut both = || match (open(path), verify(path)) {
            (Ok(package), Ok(found)) => assert_eq!((package.digest, found), (digest, digest)),
            (Err(one), Err(other)) => {
                assert_eq!(one.to_string(), other.to_string());
                said.push(other);
            }
            (opened, verified) => panic!("{opened:?}, {verified:?}"),
        };
        both();
        for (name, bytes) in &files {
            std::fs::write(path.join(name), bytes).expect("written");
        }
        both();
        std::fs::write(path.join(MODEL), b"another").expect("written");
        both();
        std::fs::remove_file(path.join(MODEL)).expect("removed");
        both();
        std::fs::write(path.join(MODEL), &files[MODEL]).expect("written");
        std::fs::write(path.join("model.pkl"), b"code").expect("written");
        both();
        std::fs::write(path.join(MANIFEST), b"{}").expect("written");
        both();
        assert!(
            matches!(
                said[..],
                [
                    PackageError::NotAPackage(_),
                    PackageError::Changed { .. },
                    PackageError::Missing { .. },
                    PackageError::Extra { .. },
                    PackageError::Manifest { .. }
                ]
            ),
            "{said:?}"
        );
    }
}
