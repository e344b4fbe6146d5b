//! What is uploaded: bytes in memory or a file on disk, and the names that git and the store of large files give to it.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use sha2::Digest as _;

use super::HubError;

/// The bytes of a new file.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// In memory.
    Bytes(Vec<u8>),
    /// On disk, with its size.
    File(PathBuf, u64),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Self::File(path, size) => write!(formatter, "File({}, {size})", path.display()),
        }
    }
}

impl Content {
    /// Takes a file on disk.
    ///
    /// # Errors
    /// Fails when it is not there.
    pub fn file(path: PathBuf) -> Result<Self, HubError> {
        let size = fs_err::metadata(&path)?.len();
        Ok(Self::File(path, size))
    }

    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }

    /// Returns the bytes from `start` on, `length` of them at most, as a reader.
    pub(super) fn part(&self, start: u64, length: u64) -> Result<Box<dyn Read + '_>, HubError> {
        match self {
            Self::Bytes(bytes) => {
                let from = bytes.len().min(start as usize);
                let to = bytes.len().min(from.saturating_add(length as usize));
                Ok(Box::new(&bytes[from..to]))
            }
            Self::File(path, _) => {
                let mut file = fs_err::File::open(path)?;
                file.seek(SeekFrom::Start(start))?;
                Ok(Box::new(file.take(length)))
            }
        }
    }

    /// Returns all bytes.
    pub(super) fn read(&self) -> Result<Vec<u8>, HubError> {
        let mut bytes = Vec::new();
        self.part(0, self.size())?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns the first bytes, which tell text from everything else.
    pub(super) fn sample(&self) -> Result<Vec<u8>, HubError> {
        let mut bytes = Vec::new();
        self.part(0, 512)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn hashed<H: sha2::Digest>(&self, mut hash: H) -> Result<String, HubError> {
        let mut reader = self.part(0, self.size())?;
        let mut block = vec![0; 1 << 16];
        loop {
            let read = reader.read(&mut block)?;
            if read == 0 {
                break;
            }
            hash.update(&block[..read]);
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns the name in the store of large files.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn sha256(&self) -> Result<String, HubError> {
        self.hashed(sha2::Sha256::new())
    }

    /// Returns the name in git.
    pub(crate) fn blob(&self) -> Result<String, HubError> {
        let mut hash = sha1::Sha1::new();
        sha1::Digest::update(&mut hash, format!("blob {}\0", self.size()));
        self.hashed(hash)
    }
}

/// A file that is to be in a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewFile {
    /// Where, with `/`.
    pub path: String,
    /// What.
    pub content: Content,
}

impl NewFile {
    /// Makes a file out of bytes.
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: Content::Bytes(bytes.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_the_names_that_git_gives() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs_err::write(&path, "hello\n").expect("written");
        for content in [Content::Bytes(b"hello\n".to_vec()), Content::file(path).expect("there")] {
            // `printf 'hello\n' | git hash-object --stdin` and `sha256sum`.
            assert_eq!(content.blob().expect("read"), "ce013625030ba8dba906f756967f9e9ca394464a");
            let sha256 = content.sha256().expect("read");
            assert_eq!(sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
            let mut part = String::new();
            content.part(1, 3).expect("open").read_to_string(&mut part).expect("read");
            assert_eq!(part, "ell");
        }
    }
}
