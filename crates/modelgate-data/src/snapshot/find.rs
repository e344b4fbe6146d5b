//! Which files a source has: one file, all that a glob finds, or all of a folder.

use std::path::{Path, PathBuf};

use super::SnapshotError;
use crate::glob::{self, Kind, Refused};

/// A file of a source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Found {
    /// Its name below the project, with `/` between the parts.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl From<Refused> for SnapshotError {
    fn from(refused: Refused) -> Self {
        Self::Source { source_name: refused.name, reason: refused.reason }
    }
}

/// Returns the files of `source` below `root`, sorted by name.
///
/// # Errors
/// Fails when there is none, and names what cannot be part of a data set: a link that leads nowhere or back to a
/// folder above it or to a file that a glob has found already, a pipe or device, a name that is not UTF-8, what cannot be
/// read.
pub fn find(root: &Path, source: &str) -> Result<Vec<Found>, SnapshotError> {
    let error = |reason: String| SnapshotError::Source { source_name: source.to_owned(), reason };
    let plain = source.trim_end_matches('/');
    let is_below = |part: &str| !matches!(part, "" | "." | "..");
    if !plain.split('/').all(is_below) {
        return Err(error("expected a path below the project, without `.` and `..`".to_owned()));
    }
    let mut found = Vec::new();
    let whole = root.join(plain);
    if glob::is_pattern(root, plain) {
        found.extend(glob::matches(root, plain)?.into_iter().map(|(name, path)| Found { name, path }));
        if found.is_empty() {
            return Err(error("no file has such a name".to_owned()));
        }
    } else {
        if fs_err::symlink_metadata(&whole).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(error("there is no such file or folder".to_owned()));
        }
        // The folders that lead to the source are above it too.
        let mut above = Vec::new();
        let mut folder = whole.parent();
        while let Some(existing) = folder.filter(|folder| folder.starts_with(root)) {
            above.extend(fs_err::canonicalize(existing));
            folder = existing.parent();
        }
        walk(plain, &whole, &mut above, &mut found)?;
        if found.is_empty() {
            return Err(error("the folder has no file".to_owned()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Adds the file at `path`, or the files below it; `above` are the folders that lead there, without links.
fn walk(
    name: &str,
    path: &Path,
    above: &mut Vec<PathBuf>,
    found: &mut Vec<Found>,
) -> Result<(), SnapshotError> {
    let error = |reason: &str| SnapshotError::from(Refused::new(name, reason));
    if glob::kind(path).map_err(|reason| error(&reason))? == Kind::File {
        found.push(Found { name: name.to_owned(), path: path.to_owned() });
        return Ok(());
    }
    let real = fs_err::canonicalize(path)?;
    if above.contains(&real) {
        return Err(error("the symbolic link leads back to a folder above it; remove it"));
    }
    above.push(real);
    let listing = fs_err::read_dir(path).map_err(|wrong| match wrong.kind() {
        std::io::ErrorKind::PermissionDenied => error("it may not be read; change its permissions"),
        _ => wrong.into(),
    })?;
    for entry in listing {
        let entry = entry?;
        let file_name = entry.file_name();
        let file_name = file_name.to_str().ok_or_else(|| Refused::not_utf8(&entry.path()))?;
        if glob::is_not_data(file_name, &entry.path()) {
            continue;
        }
        let below = format!("{name}/{file_name}");
        if entry.file_type()?.is_file() {
            found.push(Found { name: below, path: entry.path() });
        } else {
            walk(&below, &entry.path(), above, found)?;
        }
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path, source: &str) -> Vec<String> {
        find(root, source).expect("found").into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_file_a_glob_and_a_folder_are_found_sorted() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path();
        fs_err::create_dir_all(root.join("data/b/c")).expect("folder");
        fs_err::create_dir_all(root.join("data/.git")).expect("folder");
        for name in ["data/z.csv", "data/a.csv", "data/b/c/d.txt", "data/.git/x", "data/[1].csv"] {
            fs_err::write(root.join(name), name).expect("written");
        }
        assert_eq!(names(root, "data/a.csv"), ["data/a.csv"]);
        assert_eq!(names(root, "data/*.csv"), ["data/[1].csv", "data/a.csv", "data/z.csv"]);
        assert_eq!(names(root, "data/[1].csv"), ["data/[1].csv"]);
        assert_eq!(names(root, "data/"), ["data/[1].csv", "data/a.csv", "data/b/c/d.txt", "data/z.csv"]);
        for (source, message) in [
            ("none.csv", "no such file"),
            ("none*", "no file has such a name"),
            ("../x", "below the project"),
            ("/etc", "below the project"),
            ("data/b/../a.csv", "below the project"),
        ] {
            let error = find(root, source).expect_err(source).to_string();
            assert!(error.contains(source) && error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_folder_keeps_its_hidden_files_and_leaves_out_what_other_tools_leave_there() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path();
        fs_err::create_dir_all(root.join("data/.ipynb_checkpoints")).expect("folder");
        for name in [
            "data/a.csv",
            "data/.zarray",
            "data/.DS_Store",
            "data/.ipynb_checkpoints/a-checkpoint.csv",
            "data/.a.csv.17.0123456789abcdef.0.tmp",
            "data/data.modelgate",
            "data/a.csv.dvc",
        ] {
            fs_err::write(root.join(name), name).expect("written");
        }
        assert_eq!(names(root, "data"), ["data/.zarray", "data/a.csv"]);
        assert_eq!(names(root, "data/*"), ["data/a.csv"]);
        assert_eq!(names(root, "data/**"), ["data/a.csv"]);
        assert_eq!(names(root, "data/.*"), ["data/.zarray"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_loops_are_named() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path();
        fs_err::create_dir_all(root.join("data/a")).expect("folder");
        fs_err::write(root.join("elsewhere.csv"), "x").expect("written");
        let link =
            |target: &str, name: &str| std::os::unix::fs::symlink(target, root.join(name)).expect("linked");
        link("../elsewhere.csv", "data/good.csv");
        assert_eq!(names(root, "data"), ["data/good.csv"]);
        for (target, reason) in
            [("..", "back to a folder above"), ("loop", "to itself"), ("none", "leads nowhere")]
        {
            let path = root.join("data/a/loop");
            link(target, "data/a/loop");
            let error = find(root, "data").expect_err(target).to_string();
            assert!(error.contains("`data/a/loop`") && error.contains(reason), "{error}");
            fs_err::remove_file(path).expect("removed");
        }
        let made = std::process::Command::new("mkfifo").arg(root.join("data/a/pipe")).status();
        if made.is_ok_and(|status| status.success()) {
            let error = find(root, "data").expect_err("pipe").to_string();
            assert!(error.contains("`data/a/pipe`: it is neither a file nor a folder"), "{error}");
        }
    }
}
