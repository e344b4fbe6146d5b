//! Files that are written once and belong to the reader then.
//!
//! The first line of a file says that it was written here and holds the digest of the rest. While that digest is true, nobody
//! edited the file, and another `ci init` replaces it; else the difference is shown and the file stays.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;
use modelgate_store::atomic;
use similar::TextDiff;

use crate::error::DeployError;

/// The mark of `ci init`.
const CI_INIT: &str = "# modelgate ci init ";
/// The mark of `deploy docker`.
pub const DEPLOY_DOCKER: &str = "# modelgate deploy docker ";

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It is what would be written.
    Same,
    /// It was as an earlier `ci init` left it, and was replaced.
    Replaced,
    /// It was edited and stays.
    Kept,
    /// It has nothing of ours, and stays.
    Foreign,
    /// It was edited and overwritten, as asked.
    Overwritten,
}

/// A file, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The file, from the repository's root.
    pub path: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
    /// How what is there differs from what would be written, as a unified diff; empty when it does not.
    pub diff: String,
}

fn marked(mark: &str, text: &str) -> String {
    format!("{mark}{}: edit it as you like, it is not overwritten then\n{text}", Digest::of(text.as_bytes()))
}

/// Returns whether a file is not one of `ci init`, edited or not. A workflow of somebody's own may run modelgate as well; only
/// the mark says that it was written here.
pub fn is_foreign(text: &str) -> bool {
    !has_mark(CI_INIT, text)
}

/// Returns whether a line of a file is the mark: whoever edits a file may put a line above it.
fn has_mark(mark: &str, text: &str) -> bool {
    text.lines().any(|line| line.starts_with(mark))
}

/// Returns whether a file is as it was written here. Line ends may be those of Windows.
fn untouched(mark: &str, there: &str) -> bool {
    let there = there.replace("\r\n", "\n");
    let Some((first, rest)) = there.split_once('\n') else { return false };
    let digest = first.strip_prefix(mark).and_then(|rest| rest.split_once(": ")).map(|(digest, _)| digest);
    digest.is_some_and(|digest| digest == Digest::of(rest.as_bytes()).to_string())
}

/// Writes the files of `ci init` below `root`; edited ones only with `force`, and none with `dry`.
///
/// # Errors
/// Fails when a file cannot be read or written.
pub fn write(
    root: &Path,
    files: &[(PathBuf, String)],
    force: bool,
    dry: bool,
) -> Result<Vec<Written>, DeployError> {
    write_marked(CI_INIT, root, files, force, dry)
}

/// Writes files whose first line begins with `mark`, as [`write()`] does.
///
/// # Errors
/// Fails when a file cannot be read or written.
pub fn write_marked(
    mark: &str,
    root: &Path,
    files: &[(PathBuf, String)],
    force: bool,
    dry: bool,
) -> Result<Vec<Written>, DeployError> {
    let mut written = Vec::new();
    for (path, text) in files {
        let (text, place) = (marked(mark, text), root.join(path));
        let there = match fs_err::read_to_string(&place) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let mut diff = String::new();
        let outcome = match &there {
            None => Outcome::Created,
            Some(there) if there.replace("\r\n", "\n") == text => Outcome::Same,
            Some(there) => {
                let shown = path.display().to_string();
                let lines = TextDiff::from_lines(there.as_str(), text.as_str());
                diff = lines
                    .unified_diff()
                    .header(
                        &shown,
                        &format!(
                            "{shown} ({})",
                            mark.trim_matches(['#', ' ']).trim_start_matches("modelgate ")
                        ),
                    )
                    .to_string();
                match (untouched(mark, there), force) {
                    (true, _) => Outcome::Replaced,
                    (false, true) => Outcome::Overwritten,
                    (false, false) if !has_mark(mark, there) => Outcome::Foreign,
                    (false, false) => Outcome::Kept,
                }
            }
        };
        if !dry && !matches!(outcome, Outcome::Same | Outcome::Kept | Outcome::Foreign) {
            atomic::write(&place, text.as_bytes())?;
        }
        written.push(Written { path: path.clone(), outcome, diff });
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(written: &[Written]) -> Vec<Outcome> {
        written.iter().map(|one| one.outcome).collect()
    }

    #[test]
    fn edits_are_kept_until_it_is_forced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (PathBuf::from("x/a.yml"), PathBuf::from("b.yml"));
        let first =
            [(a.clone(), "name: a\n".to_owned()), (b.clone(), "name: b\nruns: modelgate\n".to_owned())];
        let run = |files: &[(PathBuf, String)], force, dry| {
            write(folder.path(), files, force, dry).expect("written")
        };
        assert_eq!(outcomes(&run(&first, false, true)), [Outcome::Created; 2]);
        assert!(!folder.path().join("b.yml").exists());
        assert_eq!(outcomes(&run(&first, false, false)), [Outcome::Created; 2]);
        assert_eq!(outcomes(&run(&first, false, false)), [Outcome::Same; 2]);

        let text = fs_err::read_to_string(folder.path().join("b.yml")).expect("read");
        fs_err::write(folder.path().join("b.yml"), text.replace("name: b", "name: mine")).expect("edited");
        let second =
            [(a.clone(), "name: a2\n".to_owned()), (b.clone(), "name: b2\nruns: modelgate\n".to_owned())];
        let written = run(&second, false, false);
        assert_eq!(outcomes(&written), [Outcome::Replaced, Outcome::Kept]);
        assert!(
            written[1].diff.contains("-name: mine") && written[1].diff.contains("+name: b2"),
            "{}",
            written[1].diff
        );
        assert!(fs_err::read_to_string(folder.path().join("b.yml")).expect("read").contains("name: mine"));
        assert_eq!(outcomes(&run(&second, true, false)), [Outcome::Same, Outcome::Overwritten]);

        // What somebody else wrote is no edit of ours, also where it runs the same.
        for foreign in ["on: push\n", "on: push\nruns: modelgate ci init\n"] {
            fs_err::write(folder.path().join("b.yml"), foreign).expect("written");
            assert_eq!(outcomes(&run(&second, false, false)), [Outcome::Same, Outcome::Foreign]);
            assert_eq!(fs_err::read_to_string(folder.path().join("b.yml")).expect("read"), foreign);
            assert!(is_foreign(foreign));
        }
        assert_eq!(outcomes(&run(&second, true, false)), [Outcome::Same, Outcome::Overwritten]);

        // A checkout on Windows changes the ends of lines and nothing else.
        let text = fs_err::read_to_string(folder.path().join("b.yml")).expect("read").replace('\n', "\r\n");
        fs_err::write(folder.path().join("b.yml"), text).expect("written");
        assert_eq!(outcomes(&run(&second, false, false)), [Outcome::Same, Outcome::Same]);
    }
}
