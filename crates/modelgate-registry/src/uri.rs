//! Where a registry is.

use modelgate_store::remote::without_credentials;

use crate::RegistryError;

/// The address of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryUri {
    /// The project's `.modelgate/`.
    Folder,
    /// An orphan branch of the project's git repository.
    GitBranch(String),
    /// A prefix of an S3 bucket.
    ObjectStore(String),
}

impl RegistryUri {
    /// Reads `registry.uri` of the project file; `None` is the project's folder.
    ///
    /// # Errors
    /// Fails for what is not an address, and for homes that are not in this version.
    pub fn parse(uri: Option<&str>) -> Result<Self, RegistryError> {
        let Some(uri) = uri.filter(|uri| !uri.is_empty()) else { return Ok(Self::Folder) };
        let error = |reason: &str| {
            Err(RegistryError::Uri { uri: without_credentials(uri), reason: reason.to_owned() })
        };
        if let Some(branch) = uri.strip_prefix("git+branch:") {
            return if is_branch(branch) {
                Ok(Self::GitBranch(branch.to_owned()))
            } else {
                error(
                    "expected the name of a git branch behind `git+branch:`, such as `git+branch:modelgate`",
                )
            };
        }
        if uri.starts_with("s3://") {
            return Ok(Self::ObjectStore(uri.to_owned()));
        }
        if ["http://", "https://"].iter().any(|scheme| uri.starts_with(scheme)) {
            return error(
                "this version keeps registries in the project's folder, in `git+branch:NAME` or in `s3://bucket/prefix`",
            );
        }
        error("expected nothing (the project's folder), `git+branch:NAME` or `s3://bucket/prefix`")
    }
}

/// Holds for the plain subset of git's branch names; it also keeps options and revisions out.
fn is_branch(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    (1..=200).contains(&name.len())
        && name.bytes().all(allowed)
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '-']))
        && !name.contains("..")
        && !name.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!(RegistryUri::parse(None).expect("uri"), RegistryUri::Folder);
        let branch = RegistryUri::parse(Some("git+branch:ml/registry")).expect("uri");
        assert_eq!(branch, RegistryUri::GitBranch("ml/registry".to_owned()));
    }

    #[test]
    fn what_git_would_take_for_something_else_is_refused() {
        for uri in ["git+branch:", "git+branch:-x", "git+branch:a..b", "git+branch:a b", "git+branch:a/", "x"]
        {
            assert!(RegistryUri::parse(Some(uri)).is_err(), "{uri}");
        }
    }
}
