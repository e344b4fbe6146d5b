//! Where the service keeps what it was given, so that a start does not need the place of the models: in the project, else
//! in the folder that a person's programs keep such things in.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_pipeline::Project;

use crate::exit::UsageError;

/// Letters of the name of a registry's folder.
const LETTERS: usize = 16;

/// Where packages are kept, and the copy of a registry's ledger where there is no project for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// In the folder that was named.
    Named(PathBuf),
    /// In the project.
    Project(PathBuf),
    /// In the person's folder for what can be made again.
    Person(PathBuf),
    /// Nothing says where.
    Nowhere,
}

impl Kept {
    /// Returns the folder that was given, else the project's, else the person's.
    pub(super) fn of(
        given: Option<PathBuf>,
        project: Option<&Project>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        match (given, project) {
            (Some(given), _) => Self::Named(given),
            (None, Some(project)) => Self::Project(project.state_folder().join("cache/serve")),
            (None, None) => {
                person(variable).map_or(Self::Nowhere, |cache| Self::Person(cache.join("modelgate/serve")))
            }
        }
    }

    /// Returns the folder, made where it is nobody's yet; or why there is none.
    fn made(&self) -> Result<&Path, String> {
        let why = |reason: &str| format!("{reason}; --cache (MODEL_CACHE_DIR) names a folder");
        match self {
            Self::Named(folder) | Self::Project(folder) => Ok(folder),
            Self::Person(folder) => match fs_err::create_dir_all(folder) {
                Ok(()) => Ok(folder),
                Err(error) => Err(why(&error.to_string())),
            },
            Self::Nowhere => Err(why("neither XDG_CACHE_HOME nor HOME says where")),
        }
    }

    /// Returns the folder for packages of a source of this kind. One that lies on this disk needs none.
    ///
    /// # Errors
    /// Says why nothing is kept although the source may be away at a start.
    pub(super) fn packages(&self, kind: &str) -> Result<Option<PathBuf>, String> {
        match self {
            Self::Named(folder) => Ok(Some(folder.clone())),
            _ if kind == "package" => Ok(None),
            _ => self.made().map(|folder| Some(folder.to_owned())).map_err(|reason| {
                format!("nothing is kept on disk, and a start needs the place of the models: {reason}")
            }),
        }
    }

    /// Returns the folder for the copy of a registry's ledger and its index; each registry has one of its own.
    ///
    /// # Errors
    /// Fails where there is none.
    pub(super) fn registry(&self, uri: &str) -> Result<PathBuf, UsageError> {
        let folder = self
            .made()
            .map_err(|reason| UsageError(format!("a copy of the ledger is kept on disk: {reason}")))?;
        // A digest: an address may be private.
        Ok(folder.join("registries").join(&Digest::of(uri.as_bytes()).hex()[..LETTERS]))
    }
}

/// Returns the folder in which a person's programs keep what can be made again.
fn person(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    // What is relative there is to be passed over.
    let named = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    named.or_else(|| {
        let home = variable("HOME").or_else(|| variable("USERPROFILE"))?;
        Some(PathBuf::from(home).join(".cache"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_project_what_comes_from_elsewhere_is_kept_in_the_persons_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().display().to_string();
        let of = |given: Option<&str>, variables: &[(&str, &str)]| {
            Kept::of(given.map(PathBuf::from), None, &|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let cache = of(None, &[("XDG_CACHE_HOME", &at), ("HOME", "/home/me")]);
        let expected = folder.path().join("modelgate/serve");
        assert_eq!(cache.packages("hub"), Ok(Some(expected.clone())));
        assert!(expected.is_dir());
        // What lies on this disk is there at the next start too.
        assert_eq!(cache.packages("package"), Ok(None));
        let registries = ["s3://a/b", "s3://a/c"].map(|uri| cache.registry(uri).expect("a folder"));
        assert!(registries[0].starts_with(&expected) && registries[0] != registries[1]);
        let home = Kept::Person(PathBuf::from("/home/me/.cache/modelgate/serve"));
        assert_eq!(of(None, &[("XDG_CACHE_HOME", "cache"), ("HOME", "/home/me")]), home);
        assert_eq!(of(Some("here"), &[]).packages("package"), Ok(Some("here".into())));
        let nowhere = of(None, &[]);
        let said = nowhere.packages("mlflow").expect_err("no folder");
        assert!(said.contains("nothing is kept on disk") && said.contains("MODEL_CACHE_DIR"), "{said}");
        let said = nowhere.registry("s3://a/b").expect_err("no folder").to_string();
        assert!(said.contains("a copy of the ledger") && said.contains("MODEL_CACHE_DIR"), "{said}");
        // A folder that cannot be made is told of, and stops no service that can do without.
        fs_err::write(folder.path().join("file"), "").expect("written");
        let file = format!("{at}/file");
        assert!(of(None, &[("XDG_CACHE_HOME", &file)]).packages("bucket").is_err());
    }
}
