//! Digests of files, without holding one in memory, on all cores.
//!
//! A content of up to [`CHUNK`] bytes is named by its SHA-256, as `sha256sum` prints it. A longer one is cut into
//! chunks of [`CHUNK`] bytes that are hashed side by side, and named by the SHA-512/256 of its length (64 bits,
//! little endian) and the chunks' SHA-256 one after the other. Another function joins the chunks than hashes them, so
//! that no short file can be found that has the name of a long one.

use std::path::Path;

use md5::Digest as _;
use modelgate_core::Digest;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use sha2::{Sha256, Sha512_256};

use crate::{FileIdentity, StoreError};

/// The length of a chunk in bytes: 64 MiB.
pub const CHUNK: u64 = 64 << 20;
/// How much is read at a time: fits the second-level cache, so that hashing meets warm bytes.
const BLOCK: usize = 256 << 10;

/// An MD5, as DVC names contents; good against accidents, not against malice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Md5([u8; 16]);

impl Md5 {
    /// Returns the MD5 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(md5::Md5::digest(bytes).into())
    }

    /// Returns the MD5 made of 16 raw bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Md5 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Md5 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Md5({self})")
    }
}

/// Returns the digest of a content that is in memory.
pub fn of_bytes(bytes: &[u8]) -> Digest {
    if bytes.len() as u64 <= CHUNK {
        return Digest::of(bytes);
    }
    let chunks: Vec<&[u8]> = bytes.chunks(CHUNK as usize).collect();
    let digests: Vec<Digest> = chunks.into_par_iter().map(Digest::of).collect();
    join(bytes.len() as u64, &digests)
}

/// Returns the digest of a content of `length` bytes, more than [`CHUNK`], from its chunks'.
fn join(length: u64, chunks: &[Digest]) -> Digest {
    let mut hasher = Sha512_256::new();
    hasher.update(length.to_le_bytes());
    for chunk in chunks {
        hasher.update(chunk.as_bytes());
    }
    Digest::from_bytes(hasher.finalize().into())
}

/// Returns the digest of the open file and its identity; the file must stay as it is meanwhile.
///
/// With `copy`, writes what was read to that file at the same places.
///
/// # Errors
/// [`StoreError::Changed`] when somebody wrote to it meanwhile.
pub fn of_open_file(
    file: &fs_err::File,
    copy: Option<&fs_err::File>,
) -> Result<(Digest, FileIdentity), StoreError> {
    let before = FileIdentity::of(&file.metadata()?);
    let size = before.size;
    let chunk = |index: u64| -> std::io::Result<Digest> {
        let mut hasher = Sha256::new();
        let start = index * CHUNK;
        read_range(file, start, CHUNK.min(size - start), |offset, block| {
            hasher.update(block);
            copy.map_or(Ok(()), |copy| write_at(copy, block, offset))
        })?;
        Ok(Digest::from_bytes(hasher.finalize().into()))
    };
    let changed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => StoreError::Changed { path: file.path().to_owned() },
        _ => error.into(),
    };
    let digest = if size <= CHUNK {
        chunk(0).map_err(changed)?
    } else {
        let digests: Result<Vec<Digest>, _> = (0..size.div_ceil(CHUNK)).into_par_iter().map(chunk).collect();
        join(size, &digests.map_err(changed)?)
    };
    let after = FileIdentity::of(&file.metadata()?);
    if before == after {
        Ok((digest, after))
    } else {
        Err(StoreError::Changed { path: file.path().to_owned() })
    }
}

/// Returns the digest of the file at `path`.
///
/// # Errors
/// As [`of_open_file`].
pub fn of_file(path: &Path) -> Result<(Digest, FileIdentity), StoreError> {
    of_open_file(&open(path)?, None)
}

/// Returns the plain SHA-256 of the file at `path`, whatever its length.
pub(crate) fn plain_of_file(path: &Path) -> Result<Digest, StoreError> {
    let file = open(path)?;
    let mut hasher = Sha256::new();
    read_range(&file, 0, file.metadata()?.len(), |_, block| {
        hasher.update(block);
        Ok(())
    })?;
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

/// Returns the MD5 of the file at `path`.
///
/// # Errors
/// As [`of_open_file`].
pub fn md5_of_file(path: &Path) -> Result<(Md5, FileIdentity), StoreError> {
    md5s(path, u64::MAX, |parts| parts.first().copied().unwrap_or_else(|| Md5::of(&[])))
}

/// Returns the MD5 of the MD5s of the file's parts of `part` bytes, as S3 has it of an object that came in parts.
///
/// # Errors
/// As [`of_open_file`].
pub fn md5_of_parts(path: &Path, part: u64) -> Result<(Md5, FileIdentity), StoreError> {
    md5s(path, part.max(1), |parts| {
        Md5::of(&parts.iter().flat_map(|part| *part.as_bytes()).collect::<Vec<_>>())
    })
}

fn md5s(path: &Path, part: u64, join: impl FnOnce(&[Md5]) -> Md5) -> Result<(Md5, FileIdentity), StoreError> {
    let file = open(path)?;
    let before = FileIdentity::of(&file.metadata()?);
    let mut parts = Vec::new();
    let mut start = 0;
    while start < before.size {
        let length = part.min(before.size - start);
        let mut hasher = md5::Md5::new();
        let read = read_range(&file, start, length, |_, block| {
            hasher.update(block);
            Ok(())
        });
        match read {
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(error.into()),
            _ => {}
        }
        parts.push(Md5(hasher.finalize().into()));
        start += length;
    }
    let after = FileIdentity::of(&file.metadata()?);
    if before != after {
        return Err(StoreError::Changed { path: path.to_owned() });
    }
    Ok((join(&parts), after))
}

/// Opens a file and nothing else: a pipe would be waited for.
pub(crate) fn open(path: &Path) -> Result<fs_err::File, StoreError> {
    if !fs_err::metadata(path)?.is_file() {
        return Err(StoreError::NotAFile { path: path.to_owned() });
    }
    Ok(fs_err::File::open(path)?)
}

/// Reads `length` bytes from `start` on in blocks; a file that ends before is an unexpected end.
fn read_range(
    file: &fs_err::File,
    start: u64,
    length: u64,
    mut with: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut block = vec![0; BLOCK.min(length as usize)];
    let mut done = 0;
    while done < length {
        let wanted = (BLOCK as u64).min(length - done) as usize;
        let read = read_at(file, &mut block[..wanted], start + done)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        with(start + done, &block[..read])?;
        done += read as u64;
    }
    Ok(())
}

#[cfg(unix)]
fn read_at(file: &fs_err::File, block: &mut [u8], offset: u64) -> std::io::Result<usize> {
    use std::os::unix::fs::FileExt;
    file.file().read_at(block, offset)
}

#[cfg(unix)]
fn write_at(file: &fs_err::File, block: &[u8], offset: u64) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    file.file().write_all_at(block, offset).map_err(|error| named(file, error))
}

#[cfg(windows)]
fn read_at(file: &fs_err::File, block: &mut [u8], offset: u64) -> std::io::Result<usize> {
    use std::os::windows::fs::FileExt;
    file.file().seek_read(block, offset)
}

#[cfg(windows)]
fn write_at(file: &fs_err::File, mut block: &[u8], mut offset: u64) -> std::io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !block.is_empty() {
        let written = file.file().seek_write(block, offset).map_err(|error| named(file, error))?;
        block = &block[written..];
        offset += written as u64;
    }
    Ok(())
}

/// Says which file could not be written.
fn named(file: &fs_err::File, error: std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("failed to write to file `{}`: {error}", file.path().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_up_to_one_chunk_has_its_plain_sha256() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        for length in [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK - 1] {
            let bytes = vec![7; length];
            fs_err::write(&path, &bytes).expect("written");
            assert_eq!(of_file(&path).expect("hashed").0, Digest::of(&bytes), "{length}");
            assert_eq!(md5_of_file(&path).expect("hashed").0, Md5::of(&bytes), "{length}");
        }
    }

    #[test]
    fn the_md5_of_parts_is_that_of_their_md5s() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        fs_err::write(&path, b"abcdefg").expect("written");
        let parts = [Md5::of(b"abc"), Md5::of(b"def"), Md5::of(b"g")];
        let joined: Vec<u8> = parts.iter().flat_map(|part| *part.as_bytes()).collect();
        assert_eq!(md5_of_parts(&path, 3).expect("hashed").0, Md5::of(&joined));
        assert_eq!(md5_of_file(&path).expect("hashed").0, Md5::of(b"abcdefg"));
    }

    #[test]
    fn a_longer_file_is_named_by_its_chunks_and_its_length() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        let file = fs_err::File::create(&path).expect("created");
        file.set_len(CHUNK).expect("length");
        let zeros = vec![0; CHUNK as usize];
        assert_eq!(of_file(&path).expect("hashed").0, Digest::of(&zeros));
        file.set_len(CHUNK + 1).expect("length");
        let chunks = [Digest::of(&zeros), Digest::of(&[0])];
        let (digest, _) = of_file(&path).expect("hashed");
        assert_eq!(digest, join(CHUNK + 1, &chunks));
        let mut bytes = zeros;
        bytes.push(0);
        assert_eq!(of_bytes(&bytes), digest);
        // The text that joins the chunks is no file of the same name.
        let mut text = (CHUNK + 1).to_le_bytes().to_vec();
        chunks.iter().for_each(|chunk| text.extend_from_slice(chunk.as_bytes()));
        assert_ne!(of_bytes(&text), digest);
    }

    #[test]
    fn md5_of_abc_is_the_published_one() {
        // RFC 1321, A.5.
        let text = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(Md5::of(b"abc").to_string(), text);
        assert_eq!(Md5::parse(text), Some(Md5::of(b"abc")));
        assert_eq!(Md5::parse("900150983cd24fb0d6963f7d28e17f7"), None);
        assert_eq!(Md5::parse("+00150983cd24fb0d6963f7d28e17f72"), None);
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(matches!(of_file(folder.path()), Err(StoreError::NotAFile { .. })));
    }
}
