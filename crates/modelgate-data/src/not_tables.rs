//! Files that people name as a source and that are no table of ours, told by their first bytes: read as text, their bytes
//! would be a column's name in an error about something else.

use std::io::Read;
use std::path::Path;

/// Bytes that [`told`] looks at.
pub(crate) const LOOKED_AT: usize = 42;

/// What a pointer of Git LFS begins with.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What is said of a pointer of Git LFS, in whose place the data should be.
pub(crate) const LFS_POINTER: &str = "it is a pointer of Git LFS and not the data; run `git lfs pull`";

/// Bytes that a pointer of Git LFS has fewer of, as its specification says.
const LARGEST_POINTER: u64 = 1024;

/// Returns whether a file is a pointer of Git LFS; large files are not opened for that.
pub(crate) fn is_lfs_pointer(path: &Path) -> bool {
    let is_small = std::fs::metadata(path).is_ok_and(|metadata| {
        metadata.is_file() && (LFS.len() as u64..LARGEST_POINTER).contains(&metadata.len())
    });
    let begins = || {
        let mut head = [0; LFS.len()];
        let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
        read.is_ok() && head == LFS
    };
    is_small && begins()
}

/// Returns what a file is and what to do, when it is none that can be read; the signatures are those that the formats'
/// own documents name.
pub(crate) fn told(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 12] = [
        (
            b"PK\x03\x04",
            "it is a ZIP archive, as Excel workbooks and `.npz` are; save what is in it as CSV or Parquet",
        ),
        (b"\xd0\xcf\x11\xe0", "it is an Excel workbook of the old kind; save the sheet as CSV"),
        (LFS, LFS_POINTER),
        (b"SQLite format 3\0", "it is an SQLite database; export the table as CSV or Parquet"),
        (b"ARROW1\0\0", "it is an Arrow (Feather) file; save it as Parquet or CSV"),
        (b"Obj\x01", "it is an Avro file; save it as Parquet or CSV"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file; save the table as Parquet or CSV"),
        (b"\x93NUMPY", "it is an array of NumPy; save it as CSV, with names of columns, or as Parquet"),
        (b"BZh91AY&SY", "it is compressed by bzip2; use gzip or Zstandard, or nothing"),
        (b"\xfd7zXZ\0", "it is compressed by xz; use gzip or Zstandard, or nothing"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive; unpack it"),
        (b"%PDF-", "it is a PDF; name a CSV or Parquet file"),
    ];
    let by_signature = known.into_iter().find(|(signature, _)| head.starts_with(signature));
    // A column may be called `FEA1`; of the format, numbers follow.
    let is_text = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    let feather = head.strip_prefix(b"FEA1").is_some_and(|rest| !rest.iter().all(is_text));
    let pickle = matches!(head, [0x80, 2..=5, b'c' | b'}' | b']' | b'(' | b'K' | 0x95, ..]);
    by_signature.map(|(_, what)| what).or_else(|| {
        is_json(head)
            .then_some("it is JSON; save it as CSV or Parquet, with a row for each object")
            .or_else(|| feather.then_some("it is a Feather file; save it as Parquet or CSV"))
            .or_else(|| {
                pickle.then_some(
                    "it is a pickle, which can run anything when it is read; save it as CSV or Parquet",
                )
            })
    })
}

/// Returns whether a text begins as an object or a list of objects does, however it is indented.
fn is_json(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match text {
        [b'{', rest @ ..] => rest.trim_ascii_start().starts_with(b"\""),
        [b'[', rest @ ..] => rest.trim_ascii_start().starts_with(b"{"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn files_of_other_programs_are_told_and_text_is_not() {
        for (head, word) in [
            (&b"PK\x03\x04\x14\0\x06\0"[..], "Excel"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
            (b"SQLite format 3\0\x10", "SQLite"),
            (b"{\"a\": 1}", "JSON"),
            (b"[\n  {\"a\": 1}", "JSON"),
            (b"{\n  \"a\": 1\n}", "JSON"),
            (b"\xef\xbb\xbf{\"a\": 1}", "JSON"),
            (b"\n [{\"a\": 1}]", "JSON"),
            (b"ARROW1\0\0\xff\xff\xff\xff", "Arrow"),
            (b"FEA1\0\0\0\0", "Feather"),
            (b"FEA1\x01\0\0\0\0\0\0\0", "Feather"),
            (b"\x80\x04\x95\x12\0", "pickle"),
        ] {
            assert!(told(head).is_some_and(|what| what.contains(word)), "{word}");
        }
        for text in [
            "a,b\n1,2\n",
            "version,price\n1,2\n",
            "[id],x\n",
            "PK,name\n",
            "{a},b\n",
            "ORC,b\n",
            "",
            "BZh,a",
            "FEA1,FEA2\r\n1,2\r\n",
            "FEA1\tä\n",
            "ARROW1,b\n",
            "ARROW1",
            "\u{feff}a,b\n",
        ] {
            assert_eq!(told(text.as_bytes()), None, "{text}");
        }
    }
}
