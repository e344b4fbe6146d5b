//! Homes of objects outside the project: a folder, or a prefix of an S3 bucket.
//!
//! The key type is [`ObjectHome`], which [`open`] returns for an address. A key is a relative path of plain parts,
//! such as `sha256/ab/cdef…`. What the bytes mean, and whether they are the right ones, is for the caller to say.

mod aws_profile;
mod endpoint;
mod error;
mod folder;
mod s3;
mod s3_options;
mod upload;

use std::path::{Path, PathBuf};

use crate::DigestIndex;

pub use error::{RemoteError, without_credentials};
pub use folder::FolderObjects;
pub use s3::S3Objects;
pub use s3_options::S3Options;

/// A state of one object, as its home names it; what a conditional write compares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version(pub(crate) String);

impl Version {
    /// Returns the state that a home calls so.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the home's own name of the state.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hears how many more bytes have moved.
pub type Moved<'a> = &'a (dyn Fn(u64) + Sync);

/// A place that keeps objects by key. One value may be used by several threads at a time.
pub trait ObjectHome: Send + Sync + std::fmt::Debug {
    /// Returns the address in words, without credentials.
    fn name(&self) -> String;

    /// Returns the place, without credentials, so that no other has the same: two servers may have buckets of one name.
    fn place(&self) -> String {
        self.name()
    }

    /// Returns an object of moderate size and its version, or `None` when there is none.
    ///
    /// # Errors
    /// Fails when the home cannot be reached or refuses.
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Version)>, RemoteError>;

    /// Returns the object's size in bytes, or `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn size(&self, key: &str) -> Result<Option<u64>, RemoteError> {
        Ok(self.head(key)?.map(|(size, _)| size))
    }

    /// Returns the object's size in bytes and its version, or `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn head(&self, key: &str) -> Result<Option<(u64, Version)>, RemoteError>;

    /// Writes an object, over one that is there.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), RemoteError>;

    /// Writes an object if there is none, in one step; returns `false`, having written nothing, when there is one.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<bool, RemoteError>;

    /// Writes an object if it is still at `version`, in one step; returns `false` when it is not.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn put_if_unchanged(&self, key: &str, bytes: &[u8], version: &Version) -> Result<bool, RemoteError>;

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn remove(&self, key: &str) -> Result<(), RemoteError>;

    /// Copies the file `from` to the object; a large one in parts. `progress`, a file beside the caller's own
    /// state, lets a later call go on where a broken one ended.
    ///
    /// # Errors
    /// Fails when the file cannot be read, or as [`Self::get`].
    fn upload(&self, key: &str, from: &Path, progress: &Path, moved: Moved<'_>) -> Result<(), RemoteError>;

    /// Copies the object to the file `to`, going on behind the bytes that `to` already has. The bytes are not checked.
    ///
    /// # Errors
    /// [`RemoteError::Missing`] when there is no such object; what has arrived stays in `to`.
    fn download(&self, key: &str, to: &Path, moved: Moved<'_>) -> Result<(), RemoteError>;

    /// Returns keys and sizes of the objects whose key begins with the folder `prefix`, sorted by key.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, RemoteError>;

    /// As [`Self::list`], with the version of each object where the home tells it with a listing, else an empty one.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn list_versions(&self, prefix: &str) -> Result<Vec<(String, u64, Version)>, RemoteError>;

    /// As [`Self::list_versions`], of the objects whose key comes behind `after`.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn list_behind(&self, prefix: &str, after: &str) -> Result<Vec<(String, u64, Version)>, RemoteError> {
        let found = self.list_versions(prefix)?.into_iter();
        Ok(found.filter(|(key, _, _)| key.as_str() > after).collect())
    }

    /// Returns the file that the object is, or would be, when it is one that this machine can read itself.
    ///
    /// # Errors
    /// Fails for what is no key.
    fn file(&self, key: &str) -> Result<Option<PathBuf>, RemoteError>;

    /// Returns whether an object in the state `version` has the bytes of the file `from`, by a checksum that the home
    /// itself made of it; `None` when there is none that can be compared. Nothing of the object is moved.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    fn agrees(
        &self,
        version: &Version,
        from: &Path,
        index: &DigestIndex,
    ) -> Result<Option<bool>, RemoteError>;

    /// Returns how many transfers at a time are worth it.
    fn parallel(&self) -> usize;
}

/// Opens `uri`: `s3://bucket/prefix`, `file://…`, or the path of a folder, relative to `base`.
///
/// S3 takes endpoint, region and credentials from the usual `AWS_…` variables and the shared credentials file.
///
/// # Errors
/// Fails for what is no address, and for S3 without credentials. Nothing is sent yet.
pub fn open(
    uri: &str,
    base: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Box<dyn ObjectHome>, RemoteError> {
    let wrong =
        |reason: &str| Err(RemoteError::Uri { uri: without_credentials(uri), reason: reason.to_owned() });
    if uri.starts_with("s3://") {
        return Ok(Box::new(S3Objects::open(&S3Options::from_environment(uri, environment)?)?));
    }
    if let Some(path) = uri.strip_prefix("file://") {
        if !path.starts_with('/') {
            return wrong("expected `file:///` and an absolute path");
        }
        return Ok(Box::new(FolderObjects::new(Path::new(path))));
    }
    if uri.contains("://") {
        return wrong("expected `s3://bucket/prefix` or the path of a folder");
    }
    if uri.trim().is_empty() {
        return wrong("it is empty");
    }
    Ok(Box::new(FolderObjects::new(&base.join(uri))))
}
