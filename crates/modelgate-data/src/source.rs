//! Where rows come from: files on disk, plain or compressed, or bytes in memory.

use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use modelgate_store::FileIdentity;

use crate::error::DataError;
use crate::{glob, not_tables};

/// What a file's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Text with a delimiter.
    Csv,
    /// Apache Parquet.
    Parquet,
}

#[derive(Clone, Debug)]
enum Content {
    Path(PathBuf),
    Bytes(Arc<[u8]>),
}

/// What a file was when it was opened, if it can change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileState(Option<FileIdentity>);

/// One file of a data set.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// What messages call it.
    pub name: String,
    content: Content,
}

impl SourceFile {
    /// Returns the file at `path`, called `name` in messages.
    pub fn path(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), content: Content::Path(path.into()) }
    }

    /// Returns a file that is in memory.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), content: Content::Bytes(bytes.into()) }
    }

    /// Returns where it lies, when it is on disk.
    pub fn on_disk(&self) -> Option<&Path> {
        match &self.content {
            Content::Path(path) => Some(path),
            Content::Bytes(_) => None,
        }
    }

    /// Returns the first whole lines of a text file, about `bytes` of them, as a file of the same name: what its values are like
    /// is seen in these.
    ///
    /// # Errors
    /// Fails when it cannot be read, and when it is no text file.
    pub fn first_lines(&self, bytes: u64) -> Result<Self, DataError> {
        if self.format()? == Format::Parquet {
            return Err(self.error("it has no lines"));
        }
        let mut head = Vec::new();
        self.open()?.take(bytes).read_to_end(&mut head).map_err(|error| self.io_error(&error))?;
        if let (true, Some(end)) = (head.len() as u64 == bytes, memchr::memrchr(b'\n', &head)) {
            head.truncate(end + 1);
        }
        Ok(Self::bytes(self.name.clone(), head))
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> DataError {
        DataError::File { source_name: self.name.clone(), message: message.into() }
    }

    /// Returns an error of the system as one that names the file once.
    pub(crate) fn io_error(&self, error: &std::io::Error) -> DataError {
        match error.kind() {
            std::io::ErrorKind::NotFound => self.error("there is no such file"),
            std::io::ErrorKind::PermissionDenied => self.error("it may not be read; change its permissions"),
            std::io::ErrorKind::IsADirectory => {
                self.error("it is a folder; name a file, or a glob such as `folder/*.csv`")
            }
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => {
                self.error(format!("the compressed data is damaged or cut short: {error}"))
            }
            _ => self.error(format!("it cannot be read: {error}")),
        }
    }

    /// Returns what tells whether the file is written to from now on; bytes in memory, and what is no file, are not watched.
    pub(crate) fn state(&self) -> FileState {
        let metadata = self.on_disk().and_then(|path| std::fs::metadata(path).ok());
        FileState(metadata.filter(std::fs::Metadata::is_file).map(|metadata| FileIdentity::of(&metadata)))
    }

    /// Returns what was made of the file since it was in the state `before`, unless it was written to meanwhile: then
    /// neither a result nor what was found wrong is one of any state that the file was in.
    pub(crate) fn unchanged_since<T, E: From<DataError>>(
        &self,
        before: FileState,
        made: Result<T, E>,
    ) -> Result<T, E> {
        let (Some(before), Some(now)) = (before.0, self.state().0) else { return made };
        // The time of the last change of rights moves when the file is linked, which a snapshot does.
        let place = |of: FileIdentity| (of.device, of.inode, of.size, of.modified);
        if place(before) == place(now) {
            return made;
        }
        Err(self.error("the file changed while it was read; try again when nothing writes to it").into())
    }

    /// Returns how many bytes it has.
    pub(crate) fn size(&self) -> Result<u64, DataError> {
        match &self.content {
            Content::Bytes(bytes) => Ok(bytes.len() as u64),
            Content::Path(path) => {
                std::fs::metadata(path).map(|metadata| metadata.len()).map_err(|error| self.io_error(&error))
            }
        }
    }

    fn head(&self) -> Result<Vec<u8>, DataError> {
        let mut head = Vec::with_capacity(not_tables::LOOKED_AT);
        match &self.content {
            Content::Bytes(bytes) => head.extend(bytes.iter().take(not_tables::LOOKED_AT)),
            Content::Path(path) => {
                let file = std::fs::File::open(path).map_err(|error| self.io_error(&error))?;
                file.take(not_tables::LOOKED_AT as u64)
                    .read_to_end(&mut head)
                    .map_err(|error| self.io_error(&error))?;
            }
        }
        Ok(head)
    }

    /// Refuses a file of another kind; one that cannot be read is told by who reads it whole.
    ///
    /// # Errors
    /// Says what it is, and what to do.
    pub fn refuse_others(&self) -> Result<(), DataError> {
        let told = self.head().ok().and_then(|head| not_tables::told(&head));
        told.map_or(Ok(()), |what| Err(self.error(what)))
    }

    /// Returns what the file's first bytes say it is.
    ///
    /// # Errors
    /// Fails when it cannot be read, and when it is a file of another kind.
    pub fn format(&self) -> Result<Format, DataError> {
        let head = self.head()?;
        if head.starts_with(b"PAR1") {
            return Ok(Format::Parquet);
        }
        not_tables::told(&head).map_or(Ok(Format::Csv), |what| Err(self.error(what)))
    }

    /// Opens the file as text; gzip and Zstandard are recognised by their first bytes.
    pub(crate) fn open(&self) -> Result<Box<dyn Read + Send>, DataError> {
        let head = self.head()?;
        let plain: Box<dyn Read + Send> = match &self.content {
            Content::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
            Content::Path(path) => {
                Box::new(std::fs::File::open(path).map_err(|error| self.io_error(&error))?)
            }
        };
        Ok(match head.as_slice() {
            [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(plain))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                Box::new(zstd::Decoder::new(plain).map_err(|error| self.io_error(&error))?)
            }
            _ => plain,
        })
    }

    /// Opens the file for reading at any place.
    pub(crate) fn open_at_random(&self) -> Result<RandomAccess, DataError> {
        Ok(match &self.content {
            Content::Bytes(bytes) => RandomAccess::Bytes(bytes::Bytes::from_owner(Arc::clone(bytes))),
            Content::Path(path) => {
                RandomAccess::File(std::fs::File::open(path).map_err(|error| self.io_error(&error))?)
            }
        })
    }
}

pub(crate) enum RandomAccess {
    Bytes(bytes::Bytes),
    File(std::fs::File),
}

/// What is said of a pattern that finds nothing.
pub const NO_SUCH_NAME: &str = "no file has such a name";

/// Returns the files that `source` names below `root`: one file, or all that a glob finds, sorted by name.
///
/// # Errors
/// Fails when nothing is found, when the pattern is wrong, and for a folder; names a link that leads in a circle, nowhere
/// or to a file that is there already, and a name that is not UTF-8.
pub fn find_files(root: &Path, source: &str) -> Result<Vec<SourceFile>, DataError> {
    let error = |message: String| DataError::File { source_name: source.to_owned(), message };
    if !glob::is_pattern(root, source) {
        let path = root.join(source);
        if path.is_dir() {
            return Err(error("it is a folder; name a file, or a glob such as `folder/*.csv`".to_owned()));
        }
        // To open a pipe is to wait for its writer, and data are read more than once.
        if fs_err::metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(error("it is a pipe or a device; write the rows to a file and name that".to_owned()));
        }
        return Ok(vec![SourceFile::path(source, path)]);
    }
    let found = glob::matches(root, source)
        .map_err(|refused| DataError::File { source_name: refused.name, message: refused.reason })?;
    if found.is_empty() {
        return Err(error(NO_SUCH_NAME.to_owned()));
    }
    Ok(found.into_iter().map(|(name, path)| SourceFile::path(name, path)).collect())
}
