//! What DVC calls a folder by: the MD5 of the list of its files.

use std::path::{Path, PathBuf};

use modelgate_store::{DigestIndex, Md5};
use rayon::prelude::*;
use serde_json::Value;

use crate::snapshot::SnapshotError;

/// Returns DVC's MD5 of a folder: that of the JSON list of its files, as Python's `json.dumps` writes it.
pub(super) fn folder_md5(folder: &Path, index: &DigestIndex) -> Result<Md5, SnapshotError> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    walk("", folder, &mut Vec::new(), &mut files)?;
    // Python orders text by code points, which is the order of its UTF-8.
    files.sort_unstable();
    let hash = |(name, path): &(String, PathBuf)| -> Result<String, SnapshotError> {
        let md5 = index.md5_of(path)?;
        Ok(format!("{{\"md5\": \"{md5}\", \"relpath\": {}}}", ascii_json(name)))
    };
    let entries: Vec<Result<String, SnapshotError>> = files.par_iter().map(hash).collect();
    let entries = entries.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Md5::of(format!("[{}]", entries.join(", ")).as_bytes()))
}

/// Adds the files below a folder, each with its name there; `above` are the folders that lead to it, without links.
fn walk(
    prefix: &str,
    folder: &Path,
    above: &mut Vec<PathBuf>,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), SnapshotError> {
    let real = fs_err::canonicalize(folder)?;
    // A link to a folder that the first one lies in comes back here just as well.
    if above.contains(&real) || above.first().is_some_and(|first| first.starts_with(&real)) {
        return Err(SnapshotError::Source {
            source_name: folder.display().to_string(),
            reason: "the symbolic link leads back to a folder above it; remove it".to_owned(),
        });
    }
    above.push(real);
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            walk(&format!("{name}/"), &entry.path(), above, files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    above.pop();
    Ok(())
}

/// Returns a JSON string with everything outside of ASCII escaped.
fn ascii_json(text: &str) -> String {
    let mut escaped = String::new();
    for letter in Value::from(text).to_string().chars() {
        match letter {
            letter if letter.is_ascii() => escaped.push(letter),
            letter => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_python_does() {
        // json.dumps("é\"\n😀/")
        assert_eq!(ascii_json("é\"\n\u{1f600}/"), "\"\\u00e9\\\"\\n\\ud83d\\ude00/\"");
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_back_are_named_and_others_are_followed() {
        let folder = tempfile::tempdir().expect("folder");
        let data = folder.path().join("data");
        fs_err::create_dir_all(data.join("x")).expect("folder");
        fs_err::create_dir_all(folder.path().join("beside")).expect("folder");
        fs_err::write(folder.path().join("beside/b.csv"), "b").expect("written");
        fs_err::write(data.join("x/a.csv"), "a").expect("written");
        let index = DigestIndex::open(&folder.path().join(".modelgate"));
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, data.join(name)).expect("linked");
        };
        link("../beside", "one");
        link("../beside", "other");
        let md5 = |text: &str| Md5::of(text.as_bytes());
        let list = [("one/b.csv", "b"), ("other/b.csv", "b"), ("x/a.csv", "a")];
        let list =
            list.map(|(name, text)| format!("{{\"md5\": \"{}\", \"relpath\": \"{name}\"}}", md5(text)));
        assert_eq!(folder_md5(&data, &index).expect("a folder"), md5(&format!("[{}]", list.join(", "))));
        // Without a guard two links have two to the fortieth ways through them.
        for (target, names) in [("..", ["back", "again"]), (".", ["x/back", "x/again"])] {
            names.iter().for_each(|name| link(target, name));
            let error = folder_md5(&data, &index).expect_err("a circle").to_string();
            assert!(error.contains("leads back to a folder above it"), "{error}");
            names.iter().for_each(|name| fs_err::remove_file(data.join(name)).expect("removed"));
        }
    }
}
