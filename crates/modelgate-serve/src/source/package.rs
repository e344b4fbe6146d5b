//! A package folder, or a folder of package folders such as `models/packaged`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use modelgate_core::{Digest, ModelName};
use modelgate_model::signing::SIGNATURE_FILE;
use modelgate_model::{LeftPackages, read_file};

use super::offered::Places;
use super::recalled::left_behind;
use super::{
    Bans, Files, MANIFEST, Offer, Offered, Source, VERDICT_FILE, figures, no_canary, offer_of, pickled,
};
use crate::error::SourceError;

/// Models from a folder.
#[derive(Debug)]
pub struct PackageSource {
    folder: PathBuf,
    places: Places,
}

fn unavailable(error: std::io::Error) -> SourceError {
    SourceError::Unavailable(error.to_string())
}

/// What is no file of a package is so at the next look too, and costs that package alone.
fn unread(error: std::io::Error) -> SourceError {
    match error.kind() {
        ErrorKind::InvalidData => SourceError::Missing(error.to_string()),
        _ => unavailable(error),
    }
}

/// Returns the digest of what decides whether a package is served and is not covered by its own digest.
fn attached(folder: &Path) -> Digest {
    let digest = |file: &str| read_file(&folder.join(file)).ok().map(|bytes| Digest::of(&bytes));
    let found = [VERDICT_FILE, SIGNATURE_FILE].map(digest);
    let found = found.map(|digest| digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string()));
    Digest::of(found.join(" ").as_bytes())
}

/// Returns why a package may not be served by what lies beside it, or in the folder above: a package that is named itself lies
/// in the folder of them.
fn left_beside(folder: &Path, served: &Offer) -> Option<String> {
    let folders = std::iter::once(folder).chain(folder.parent());
    folders.map(LeftPackages::read).find_map(|left| left_behind(&left, served))
}

/// Returns whether what is called so is none of a package's: a volume keeps what it mounts below a hidden folder, with
/// links to it, an ext4 file system has its `lost+found`, and a desktop leaves a `.DS_Store`.
fn is_foreign(name: &str, path: &Path) -> bool {
    name.starts_with('.') || (name == "lost+found" && path.is_dir())
}

impl PackageSource {
    /// Serves the package in `folder`, or every package in the folders directly below it.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, places: Places::default() }
    }

    /// Returns why no package will ever be at a path: it is a file, or the name of one that is never loaded. A folder that
    /// is not there may come yet, as a volume that is mounted late does.
    pub fn never(path: &Path) -> Option<String> {
        if path.is_dir() {
            return None;
        }
        let text = path.display().to_string();
        pickled([text.as_str()]).or_else(|| {
            path.is_file().then(|| format!("`{text}` is a file: a package is a folder with a {MANIFEST}"))
        })
    }

    fn packages(&self) -> Result<Vec<PathBuf>, SourceError> {
        if self.folder.join(MANIFEST).is_file() {
            return Ok(vec![self.folder.clone()]);
        }
        if let Some(sentence) = Self::never(&self.folder) {
            return Err(SourceError::Missing(sentence));
        }
        let entries = fs_err::read_dir(&self.folder).map_err(|error| match error.kind() {
            // It may come yet, as a volume that is mounted late does: it is asked for again.
            ErrorKind::NotFound => SourceError::Unavailable(format!(
                "there is no folder `{}`; `modelgate run` puts packages into models/packaged, `--package` names another",
                self.folder.display()
            )),
            _ => unavailable(error),
        })?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(unavailable)?.path();
            // A folder that is being replaced lies beside its place under a hidden name.
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if !hidden && path.join(MANIFEST).is_file() {
                found.push(path);
            }
        }
        found.sort();
        if found.is_empty() {
            let hint = self.pickled().map_or_else(String::new, |sentence| format!("; {sentence}"));
            return Err(SourceError::Missing(format!(
                "there is no package in `{}`: no {MANIFEST} there or one folder below{hint}",
                self.folder.display()
            )));
        }
        Ok(found)
    }

    /// Returns what there is to say of a pickled model where a package was looked for.
    fn pickled(&self) -> Option<String> {
        let names = |folder: &Path| {
            let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let here = names(&self.folder);
        let below = here.iter().filter(|path| path.is_dir()).flat_map(|folder| names(folder));
        let mut all: Vec<String> =
            here.iter().cloned().chain(below).map(|path| path.display().to_string()).collect();
        all.sort();
        pickled(all.iter().map(String::as_str))
    }

    fn offer(folder: &Path) -> Result<Offer, SourceError> {
        let path = folder.join(MANIFEST);
        let bytes = read_file(&path).map_err(unread)?;
        let offer = offer_of(&bytes, &format!("`{}`", path.display()))?;
        let metrics = read_file(&folder.join("metrics.json")).ok().map(|bytes| figures(&bytes));
        Ok(Offer { metrics: metrics.unwrap_or_default(), attached: Some(attached(folder)), ..offer })
    }
}

impl PackageSource {
    /// Returns the package of this digest, whatever else lies beside it under the same name.
    pub(super) fn pinned(&self, digest: &Digest) -> Option<Offer> {
        let packages = self.packages().ok()?;
        packages.iter().filter_map(|folder| Self::offer(folder).ok()).find(|offer| offer.digest == *digest)
    }

    /// Reads the files of the package in `folder`.
    fn read(folder: &Path) -> Result<Files, SourceError> {
        let mut files = Files::new();
        for entry in fs_err::read_dir(folder).map_err(unavailable)? {
            let path = entry.map_err(unavailable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if is_foreign(&name, &path) {
                continue;
            }
            if path.is_dir() {
                let folder = folder.display();
                let reason = format!("`{folder}` holds the folder `{name}`: a package has files alone");
                return Err(SourceError::Missing(reason));
            }
            files.insert(name, read_file(&path).map_err(unread)?);
        }
        Ok(files)
    }
}

impl Source for PackageSource {
    fn kind(&self) -> &'static str {
        "package"
    }

    fn describe(&self) -> String {
        self.folder.display().to_string()
    }

    fn identity(&self) -> String {
        self.describe()
    }

    fn offers(&mut self) -> Result<Offered, SourceError> {
        let name =
            |folder: &Path| folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        let packages = self.packages()?;
        let found = packages.iter().map(|folder| (name(folder), Self::offer(folder))).collect();
        self.places.sort(found)
    }

    fn banned(&mut self, served: &Offer) -> Option<String> {
        left_beside(&self.folder, served)
    }

    fn bans(&self) -> Bans {
        let folder = self.folder.clone();
        Box::new(move |offer| left_beside(&folder, offer))
    }

    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
        no_canary(self.kind(), name, version)
    }

    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError> {
        for folder in self.packages()? {
            // Another package that cannot be read is not this one.
            if !Self::offer(&folder).is_ok_and(|one| one.digest == offer.digest) {
                continue;
            }
            return Self::read(&folder);
        }
        let place = self.folder.display();
        Err(SourceError::Missing(format!("the package {} is gone from `{place}`", offer.digest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &Path) -> String {
        match PackageSource::new(path.to_owned()).offers() {
            Err(SourceError::Missing(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pickle_in_place_of_a_package_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir_all(at("kept/below")).expect("made");
        assert!(!said(&at("kept")).contains("pickled"));
        fs_err::write(at("kept/below/model.skops"), "cos").expect("written");
        let sentence = said(&at("kept"));
        assert!(
            sentence.contains("model.skops` is no package: pickled models are never loaded"),
            "{sentence}"
        );
        fs_err::write(at("model.pkl"), "cos").expect("written");
        assert!(said(&at("model.pkl")).contains("docs/migrate.md"));
        fs_err::write(at("model.onnx"), "x").expect("written");
        assert!(said(&at("model.onnx")).contains("is a file: a package is a folder"));
        // Neither becomes a folder; what is not there may.
        assert!(
            PackageSource::never(&at("model.onnx")).is_some()
                && PackageSource::never(&at("m.joblib")).is_some()
        );
        assert_eq!(PackageSource::never(&at("late")), None);
        assert!(matches!(PackageSource::new(at("late")).offers(), Err(SourceError::Unavailable(_))));
    }

    #[test]
    fn what_a_file_system_or_a_desktop_leaves_in_a_folder_is_none_of_the_package() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        fs_err::write(at(MANIFEST), "{}").expect("written");
        for name in [".DS_Store", "._model.onnx", ".nfs0001"] {
            fs_err::write(at(name), "x").expect("written");
        }
        for name in ["lost+found", "..2026_11_27", ".git"] {
            fs_err::create_dir(at(name)).expect("made");
        }
        let names =
            |folder: &Path| PackageSource::read(folder).map(|files| files.into_keys().collect::<Vec<_>>());
        assert_eq!(names(folder.path()).expect("files"), [MANIFEST]);
        fs_err::create_dir(at("models")).expect("made");
        let refused = names(folder.path()).expect_err("a folder").to_string();
        assert!(refused.contains("a package has files alone"), "{refused}");
        fs_err::remove_dir(at("models")).expect("removed");
        // Nobody writes to a pipe, and a device has no end.
        #[cfg(unix)]
        {
            fs_err::os::unix::fs::symlink("/dev/zero", at("x.json")).expect("linked");
            let refused = PackageSource::read(folder.path()).expect_err("a device");
            assert!(matches!(&refused, SourceError::Missing(_)), "{refused:?}");
            assert!(refused.to_string().contains("x.json` is no plain file"), "{refused}");
        }
    }

    #[test]
    fn what_lies_beside_a_package_is_part_of_what_is_offered() {
        let folder = tempfile::tempdir().expect("folder");
        let before = attached(folder.path());
        fs_err::write(folder.path().join(VERDICT_FILE), "{}").expect("written");
        let judged = attached(folder.path());
        fs_err::rename(folder.path().join(VERDICT_FILE), folder.path().join(SIGNATURE_FILE)).expect("moved");
        let signed = attached(folder.path());
        assert!(before != judged && judged != signed && before != signed);
    }
}
