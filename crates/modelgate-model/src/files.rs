//! The files of a package in a folder that anybody may have filled: a name that leads elsewhere, a pipe that nobody writes
//! to, and a file without an end are refused before anything is opened.

use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The largest file of a package.
const FILE_BYTES: u64 = 4 << 30;

/// Returns whether a package may have a file of this name: it is flat, and another name could lead anywhere.
pub fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// Opens a file of a package. Links are followed, as a mounted volume has them.
///
/// # Errors
/// Fails for what is no plain file, such as a named pipe or a device, and for one that is too large.
pub(crate) fn open_file(path: &Path) -> Result<fs_err::File> {
    let about = fs_err::metadata(path)?;
    let wrong = |what: &str| {
        let sentence = format!("`{}` {what}: a package has plain files alone", path.display());
        Err(Error::new(ErrorKind::InvalidData, sentence))
    };
    if !about.is_file() {
        return wrong("is no plain file");
    }
    if about.len() > FILE_BYTES {
        return wrong("has more than 4 GiB");
    }
    fs_err::File::open(path)
}

/// Reads a file of a package.
///
/// # Errors
/// Fails when it cannot be read, for what is no plain file, such as a named pipe or a device, and for one that is too large.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = open_file(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or_default());
    // It may grow while it is read.
    file.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_those_of_files() {
        for name in ["model.onnx", "MLmodel", "a_b-c.1"] {
            assert!(is_file_name(name), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "../a", "/dev/zero", "a\\b", "ü", "C:x"] {
            assert!(!is_file_name(name), "{name}");
        }
    }

    #[test]
    fn only_plain_files_of_a_size_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let refused = |name: &str| read_file(&at(name)).expect_err(name).to_string();
        fs_err::write(at("plain"), "text").expect("written");
        assert_eq!(read_file(&at("plain")).expect("read"), b"text");
        assert_eq!(read_file(&at("none")).expect_err("none").kind(), ErrorKind::NotFound);
        fs_err::create_dir(at("folder")).expect("made");
        assert!(refused("folder").contains("is no plain file"));
        let sparse = fs_err::File::create(at("sparse")).expect("made");
        sparse.set_len(FILE_BYTES + 1).expect("as long");
        assert!(refused("sparse").contains("has more than 4 GiB"));
        #[cfg(unix)]
        {
            fs_err::os::unix::fs::symlink("/dev/zero", at("endless")).expect("linked");
            assert!(refused("endless").contains("is no plain file"));
            fs_err::os::unix::fs::symlink(at("plain"), at("linked")).expect("linked");
            assert_eq!(read_file(&at("linked")).expect("read"), b"text");
        }
    }
}
