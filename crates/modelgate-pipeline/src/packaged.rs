//! `models/packaged/<model>/`, where production is loaded from: a package takes the place of another one of its model there,
//! and of nothing else.
//!
//! The folder may be older than the project, or a link that somebody committed. What lies in it and is of no package is
//! somebody's, and there may be no copy of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use modelgate_core::ModelName;
use modelgate_model::ATTACHED_FILES;
use serde::Deserialize;
use serde_json::Value;

use crate::error::PipelineError;
use crate::project::Project;

pub(crate) const MANIFEST: &str = "manifest.json";
/// The files of a package whose manifest is damaged, and does not name them.
const USUAL_FILES: [&str; 3] = ["MLmodel", "model.onnx", "reference.json"];
/// What a program that shows folders leaves in them.
const LITTER: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// What tells whose package a manifest is of, and which files it has.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: String,
    files: BTreeMap<String, Value>,
}

/// Returns the files beside a manifest that are of its package.
pub(crate) fn files_of(manifest: &[u8]) -> BTreeSet<String> {
    let named: Named = serde_json::from_slice(manifest).unwrap_or_default();
    let attached = ATTACHED_FILES.iter().map(|name| (*name).to_owned());
    let files = named.files.into_keys().chain(attached);
    // What a damaged manifest names elsewhere is not its own.
    files.filter(|name| Path::new(name).file_name().is_some_and(|own| own == name.as_str())).collect()
}

/// Returns the folder that the model in production is loaded from: where `models/packaged/<model>` leads, if it is a link.
/// Who loads from there by another path gets the new package too.
pub(crate) fn loaded_from(project: &Project, model: &ModelName) -> PathBuf {
    let folder = project.packaged(model);
    let Ok(target) = fs_err::read_link(&folder) else { return folder };
    fs_err::canonicalize(&folder)
        .unwrap_or_else(|_| folder.parent().map_or_else(|| target.clone(), |above| above.join(&target)))
}

/// Refuses to bring a package to `models/packaged/<model>/` where something else is in it. What is damaged of a package of the
/// model is one still.
///
/// # Errors
/// Names what is there.
pub fn check_packaged(project: &Project, model: &ModelName) -> Result<(), PipelineError> {
    let folder = loaded_from(project, model);
    let Some(stranger) = stranger_in(&folder, model)? else { return Ok(()) };
    let leads = if folder == project.packaged(model) {
        String::new()
    } else {
        format!(" leads to `{}`, which", folder.display())
    };
    Err(PipelineError::Policy(format!(
        "`models/packaged/{model}`{leads} {stranger}: it was not touched, and the package of {model} needs that place; move it \
         elsewhere, and try again"
    )))
}

/// Says what shows that `folder` is not the folder of a package of `model`.
fn stranger_in(folder: &Path, model: &ModelName) -> std::io::Result<Option<String>> {
    match fs_err::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(found) if !found.is_dir() => return Ok(Some("is no folder".to_owned())),
        Ok(_) => {}
    }
    let mut names = BTreeSet::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name().to_string_lossy().into_owned(), entry.file_type()?);
        // `.gitkeep` and its like hold nothing.
        let is_empty = || -> std::io::Result<bool> { Ok(entry.metadata()?.len() == 0 && name != MANIFEST) };
        let is_nothing = kind.is_file() && (LITTER.contains(&name.as_str()) || is_empty()?);
        if !is_nothing {
            names.insert((kind.is_dir(), name));
        }
    }
    let of_none = |name: String| format!("holds `{name}`, which is of no package");
    let manifest = folder.join(MANIFEST);
    if !fs_err::metadata(&manifest).is_ok_and(|found| found.is_file()) {
        return Ok(names.into_iter().next().map(|(_, name)| of_none(name)));
    }
    let manifest = match serde_json::from_slice::<Value>(&fs_err::read(manifest)?) {
        Ok(value @ Value::Object(_)) => Some(serde_json::from_value::<Named>(value).unwrap_or_default()),
        Ok(_) => Some(Named::default()),
        Err(_) => None,
    };
    if let Some(found) = manifest.as_ref().filter(|found| found.name != model.as_str()) {
        let whose = if found.files.is_empty() || found.name.is_empty() {
            format!("holds a `{MANIFEST}` of something else")
        } else {
            format!("holds the package of `{}`", found.name)
        };
        return Ok(Some(whose));
    }
    let is_own = |name: &str| match &manifest {
        _ if name == MANIFEST || ATTACHED_FILES.contains(&name) => true,
        Some(manifest) => manifest.files.contains_key(name),
        None => USUAL_FILES.contains(&name),
    };
    let stranger = names.into_iter().find(|(is_folder, name)| *is_folder || !is_own(name));
    Ok(stranger.map(|(_, name)| of_none(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_package_of_the_model_is_told_from_what_is() {
        let model: ModelName = "p".parse().expect("a name");
        let package =
            [("manifest.json", r#"{"name": "p", "files": {"model.onnx": "x"}}"#), ("model.onnx", "x")];
        let of = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().expect("a folder");
            for (name, text) in files {
                let path = folder.path().join(name);
                fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
                fs_err::write(path, text).expect("written");
            }
            stranger_in(folder.path(), &model).expect("read").unwrap_or_default()
        };
        let with = |more: &(&'static str, &'static str)| of(&[&package[..], &[*more]].concat());
        let nothing = of(&[]);
        assert_eq!(nothing, "");
        for own in [("model.sig", "x"), (".gitkeep", ""), (".DS_Store", "x"), ("model.onnx", "damaged")] {
            assert_eq!(with(&own), "", "{own:?}");
        }
        assert_eq!(of(&[(".gitkeep", "")]), "");
        // What a crash or a bad disk left of one.
        assert_eq!(of(&[("manifest.json", ""), ("model.onnx", "x"), ("verdict.json", "x")]), "");
        for (name, files) in [
            ("`a.txt`", &[("a.txt", "x")][..]),
            ("`model.onnx`", &[("model.onnx", "x")]),
            ("`sub`", &[("sub/a.txt", "")]),
            ("`notes`", &[("manifest.json", "{"), ("notes", "x")]),
            ("`manifest.json` of something else", &[("manifest.json", r#"{"name": "app"}"#)]),
            ("`manifest.json` of something else", &[("manifest.json", r#"["p"]"#)]),
            ("package of `q`", &[("manifest.json", r#"{"name": "q", "files": {"model.onnx": "x"}}"#)]),
        ] {
            assert!(of(files).contains(name), "{name}: {}", of(files));
        }
        for more in [("model.pkl", "x"), ("old/model.onnx", "x")] {
            assert!(with(&more).contains("which is of no package"), "{more:?}");
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(stranger_in(file.path(), &model).expect("read").as_deref(), Some("is no folder"));
        assert_eq!(stranger_in(Path::new("nowhere/at/all"), &model).expect("read"), None);
    }
}
