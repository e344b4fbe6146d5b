//! What lies beside the packages of a folder: which packages were left for good. Whoever serves from the folder alone knows
//! by it whether what lay there before was replaced by something better, or taken out.

use std::collections::BTreeMap;
use std::path::Path;

use modelgate_core::{Digest, ModelName, VersionNumber};
use serde::{Deserialize, Serialize};

use crate::files::read_file;

/// Its name. What is hidden is none of a package's.
pub const LEFT_FILE: &str = ".quarantined.json";

/// The packages that were quarantined, of the models in a folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeftPackages {
    schema_version: u32,
    packages: BTreeMap<Digest, LeftPackage>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct LeftPackage {
    model: ModelName,
    version: VersionNumber,
}

impl Default for LeftPackages {
    fn default() -> Self {
        Self { schema_version: 1, packages: BTreeMap::new() }
    }
}

impl LeftPackages {
    /// Reads what lies in `folder`; what is not there or cannot be read says nothing.
    pub fn read(folder: &Path) -> Self {
        let bytes = read_file(&folder.join(LEFT_FILE)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Says of a model which of its packages are quarantined, and under which version, in place of what was said of it.
    #[must_use]
    pub fn with(
        mut self,
        model: &ModelName,
        packages: impl IntoIterator<Item = (Digest, VersionNumber)>,
    ) -> Self {
        self.packages.retain(|_, one| one.model != *model);
        let one = |(digest, version)| (digest, LeftPackage { model: model.clone(), version });
        self.packages.extend(packages.into_iter().map(one));
        self
    }

    /// Returns the version as which a package is quarantined, if it is.
    pub fn version(&self, digest: &Digest) -> Option<VersionNumber> {
        self.packages.get(digest).map(|one| one.version)
    }

    /// Returns the packages of a model that are quarantined, each with its version.
    pub fn of(&self, model: &ModelName) -> impl Iterator<Item = (Digest, VersionNumber)> {
        let own = self.packages.iter().filter(move |(_, one)| one.model == *model);
        own.map(|(digest, one)| (*digest, one.version))
    }

    /// Returns whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_one_model_leaves_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(LeftPackages::read(folder.path()).is_empty());
        let name = |name: &str| name.parse::<ModelName>().expect("a name");
        let (one, two, other) = (Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"3"));
        let left = LeftPackages::default()
            .with(&name("shop"), [(one, VersionNumber(1))])
            .with(&name("other"), [(other, VersionNumber(7))])
            .with(&name("shop"), [(two, VersionNumber(2))]);
        fs_err::write(folder.path().join(LEFT_FILE), serde_json::to_vec(&left).expect("JSON"))
            .expect("written");
        let read = LeftPackages::read(folder.path());
        assert_eq!(read, left);
        assert_eq!(read.of(&name("other")).collect::<Vec<_>>(), [(other, VersionNumber(7))]);
        let versions = [one, two, other].map(|digest| read.version(&digest));
        assert_eq!(versions, [None, Some(VersionNumber(2)), Some(VersionNumber(7))]);
        fs_err::write(folder.path().join(LEFT_FILE), "torn").expect("written");
        assert!(LeftPackages::read(folder.path()).is_empty());
    }
}
