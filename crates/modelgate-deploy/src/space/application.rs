//! An application of one's own: the files of folders, and what must not be among them.

use std::path::Path;

use modelgate_core::Digest;

use crate::hub::{Content, HubError, NewFile};

/// What is kept from leaving.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Files with training rows: name, size and SHA-256.
    pub rows: Vec<(String, u64, String)>,
    /// Whether `reference.parquet` of a package may leave.
    pub reference_rows: bool,
}

/// Folders and files that are never anybody's application.
fn is_left_out(name: &str) -> bool {
    [".git", ".modelgate", "__pycache__", ".venv", "node_modules", ".DS_Store", ".env"].contains(&name)
        || name.starts_with(".env.")
        || Path::new(name).extension().is_some_and(|end| end == "pyc")
}

/// Returns the files of `from` below `root`, as files below `to`; and those that were held back.
///
/// # Errors
/// Fails when there is nothing, for a symbolic link, for a file with training rows, and for a package that is not `digest`.
pub fn application(
    root: &Path,
    from: &str,
    to: &str,
    digest: &Digest,
    held: &Held,
) -> Result<(Vec<NewFile>, Vec<String>), HubError> {
    let (mut files, mut back) = (Vec::new(), Vec::new());
    let to = to.trim_matches('/').trim_start_matches("./");
    let to = if to == "." { "" } else { to };
    let place = root.join(from);
    let kind = fs_err::symlink_metadata(&place)
        .map_err(|error| HubError::Place(format!("deploy.space.upload: {error}")))?;
    if kind.is_file() {
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        take(&place, from, &joined(to, &name), digest, held, &mut files, &mut back)?;
    } else {
        walk(&place, from, to, digest, held, &mut files, &mut back)?;
    }
    if files.is_empty() {
        return Err(HubError::Place(format!("deploy.space.upload: there is no file in `{from}`")));
    }
    Ok((files, back))
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn walk(
    folder: &Path,
    shown: &str,
    to: &str,
    digest: &Digest,
    held: &Held,
    files: &mut Vec<NewFile>,
    back: &mut Vec<String>,
) -> Result<(), HubError> {
    let mut entries = fs_err::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs_err::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(HubError::Place(format!("`{shown}` holds a file whose name is no UTF-8")));
        };
        if is_left_out(name) {
            continue;
        }
        let (path, shown) = (entry.path(), format!("{shown}/{name}"));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            return Err(HubError::Place(format!(
                "`{shown}` is a symbolic link, which could lead anywhere: put the file itself there"
            )));
        }
        if kind.is_dir() {
            walk(&path, &shown, &joined(to, name), digest, held, files, back)?;
        } else {
            take(&path, &shown, &joined(to, name), digest, held, files, back)?;
        }
    }
    Ok(())
}

fn take(
    path: &Path,
    shown: &str,
    to: &str,
    digest: &Digest,
    held: &Held,
    files: &mut Vec<NewFile>,
    back: &mut Vec<String>,
) -> Result<(), HubError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name == super::REFERENCE_ROWS && !held.reference_rows {
        back.push(shown.to_owned());
        return Ok(());
    }
    let content = Content::file(path.to_owned())?;
    for (source, size, sha256) in &held.rows {
        if *size == content.size() && *sha256 == content.sha256()? {
            return Err(HubError::Place(format!(
                "`{shown}` is the training data `{source}`, which does not leave: take it out of deploy.space.upload"
            )));
        }
    }
    // A package that did not come through the door must not get in beside one that did.
    if name == "manifest.json" && path.with_file_name("model.onnx").is_file() {
        let found = Digest::of(&fs_err::read(path)?);
        if found != *digest {
            return Err(HubError::Place(format!(
                "`{shown}` is of the package {found}, and {digest} is deployed: `modelgate model pull` brings it, or deploy \
                 the version that is there"
            )));
        }
    }
    files.push(NewFile { path: to.to_owned(), content });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(files: &[NewFile]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn an_application_is_taken_without_secrets_rows_and_other_packages() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs_err::write(path, text).expect("written");
        };
        write("app/app.py", "print()");
        write("app/pages/one.py", "print(1)");
        write("app/.env", "TOKEN=secret");
        write("app/__pycache__/x.pyc", "");
        write("app/reference.parquet", "rows");
        let digest = Digest::of(b"{}");
        let held = Held::default();
        let app = |to: &str, held: &Held| application(folder.path(), "app", to, &digest, held);
        let (files, back) = app("/src/", &held).expect("taken");
        assert_eq!(paths(&files), ["src/app.py", "src/pages/one.py"]);
        assert_eq!(back, ["app/reference.parquet"]);
        let (files, _) = app(".", &Held { reference_rows: true, ..Held::default() }).expect("taken");
        assert_eq!(paths(&files), ["app.py", "pages/one.py", "reference.parquet"]);

        write("app/data/rows.csv", "a,b\n1,2\n");
        let rows = Content::Bytes(b"a,b\n1,2\n".to_vec()).sha256().expect("read");
        let held = Held { rows: vec![("data/raw.csv".to_owned(), 8, rows)], reference_rows: true };
        let error = app("src", &held).expect_err("rows").to_string();
        assert!(error.contains("`app/data/rows.csv` is the training data `data/raw.csv`"), "{error}");

        write("model/manifest.json", "{}");
        write("model/model.onnx", "weights");
        let package =
            |digest: &Digest| application(folder.path(), "model", "model", digest, &Held::default());
        assert_eq!(
            paths(&package(&digest).expect("the package").0),
            ["model/manifest.json", "model/model.onnx"]
        );
        let error = package(&Digest::of(b"another")).expect_err("another").to_string();
        assert!(error.contains("is of the package sha256:"), "{error}");
        assert!(application(folder.path(), "nothing", "x", &digest, &Held::default()).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/etc/passwd", folder.path().join("app/link")).expect("made");
            assert!(app("src", &Held::default()).expect_err("a link").to_string().contains("symbolic link"));
        }
    }
}
