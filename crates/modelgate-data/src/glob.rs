//! The files that a glob names below a folder, found as a shell with `globstar` finds them: what begins with a point is
//! hidden, and only a pattern that begins with one finds it.
//!
//! Links are followed, but never in a circle and never twice to the same file: rows of a file would be there as often
//! as ways lead to it. What cannot be told apart or read is an error, never passed over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::glob::Pattern;
use modelgate_store::atomic::is_half_written;

/// Files and folders that are another tool's own: neither wildcards nor the snapshot of a folder find them. Other hidden
/// files of a folder may be data, as those of a Zarr array are.
const NOT_DATA: [&str; 5] = [".git", ".modelgate", ".dvc", ".ipynb_checkpoints", ".DS_Store"];

/// The endings of the files that stand in git for data: they lie beside what they name, and are none of it.
const POINTERS: [&str; 2] = [".modelgate", ".dvc"];

/// Returns whether an entry of a folder is none of a data set: another tool's own, a pointer file, or what a command that was
/// killed has left half written.
pub(crate) fn is_not_data(name: &str, path: &Path) -> bool {
    NOT_DATA.contains(&name)
        || is_half_written(name)
        || (POINTERS.iter().any(|ending| name.ends_with(ending)) && !path.is_dir())
}

/// What a path is, links followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// What cannot be part of a data set, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    /// The file, folder or pattern.
    pub(crate) name: String,
    /// What is wrong and what to do.
    pub(crate) reason: String,
}

impl Refused {
    pub(crate) fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }

    pub(crate) fn not_utf8(path: &Path) -> Self {
        Self::new(path.display().to_string(), "its name is not UTF-8; rename it")
    }
}

/// Returns whether `source` is a pattern: it holds a wildcard, and no file is called just that.
pub(crate) fn is_pattern(root: &Path, source: &str) -> bool {
    source.contains(['*', '?', '[']) && fs_err::symlink_metadata(root.join(source)).is_err()
}

/// Returns what is at `path`, or why it cannot be part of a data set.
pub(crate) fn kind(path: &Path) -> Result<Kind, String> {
    // `fs_err` would hide the system's number of the error.
    let metadata = std::fs::metadata(path).map_err(|wrong| match wrong.kind() {
        std::io::ErrorKind::NotFound => "the symbolic link leads nowhere; remove it, or mend it".to_owned(),
        // `ELOOP` on Linux, and on macOS and BSD; its kind is not stable yet.
        _ if matches!(wrong.raw_os_error(), Some(40 | 62)) => {
            "the symbolic link leads to itself; remove it".to_owned()
        }
        std::io::ErrorKind::PermissionDenied => "it may not be read; change its permissions".to_owned(),
        _ => format!("it cannot be looked at: {wrong}"),
    })?;
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => Ok(Kind::File),
        (_, true) => Ok(Kind::Folder),
        _ => Err("it is neither a file nor a folder; a data set has files".to_owned()),
    }
}

/// Returns the files that `pattern` names below `root`, by their names below it.
pub(crate) fn matches(root: &Path, pattern: &str) -> Result<BTreeMap<String, PathBuf>, Refused> {
    let parts = parts(pattern)?;
    let (start, name) = if pattern.starts_with('/') { (Path::new("/"), "/") } else { (root, "") };
    let mut search = Search { above: Vec::new(), found: BTreeMap::new() };
    search.enter(start, name, &parts)?;
    let mut real: BTreeMap<PathBuf, &String> = BTreeMap::new();
    for (name, path) in &search.found {
        if let Ok(path) = fs_err::canonicalize(path)
            && let Some(other) = real.insert(path, name)
        {
            let reason = format!("it is the file `{other}` again, through a symbolic link; remove the link");
            return Err(Refused::new(name, reason));
        }
    }
    Ok(search.found)
}

/// Returns whether `source`, a file, a folder or a pattern, finds a file called `name` where there is one. Nothing is looked
/// at: it goes by the names alone.
pub fn finds(source: &str, name: &str) -> bool {
    let source = source.trim_end_matches('/');
    if name.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return true;
    }
    let Some(parts) = parts(source).ok().filter(|_| source.contains(['*', '?', '['])) else { return false };
    lead_to(&parts, name)
}

/// Returns whether the parts of a pattern lead to a name.
fn lead_to(parts: &[Part], name: &str) -> bool {
    let names: Vec<&str> = name.split('/').collect();
    // After how many parts of the name the parts of the pattern so far may end.
    let mut ends = vec![false; names.len() + 1];
    ends[0] = true;
    for part in parts {
        let mut next = vec![false; ends.len()];
        for (at, name) in names.iter().enumerate() {
            match part {
                Part::Folders => {
                    next[at] |= ends[at];
                    next[at + 1] |= next[at] && !is_hidden(name);
                }
                Part::Called(called) => next[at + 1] = ends[at] && called == name,
                Part::Like(pattern) => next[at + 1] = ends[at] && is_like(pattern, name),
            }
        }
        ends = next;
    }
    ends.last().copied().unwrap_or_default()
}

/// A pattern for the keys of a bucket, which finds what it would find as files: nothing that begins with a point unless it
/// does, and no pointer file by a wildcard.
pub struct KeyPattern(Vec<Part>);

impl KeyPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        parts(pattern).map(Self).map_err(|refused| refused.reason)
    }

    /// Returns whether it finds a key.
    pub fn finds(&self, key: &str) -> bool {
        let is_wild = matches!(self.0.last(), Some(Part::Like(_)));
        let is_pointer = POINTERS.iter().any(|ending| key.ends_with(ending));
        !(is_wild && is_pointer) && lead_to(&self.0, key)
    }
}

fn parts(pattern: &str) -> Result<Vec<Part>, Refused> {
    let mut parts = Vec::new();
    for part in pattern.trim_start_matches('/').split('/').filter(|part| !matches!(*part, "" | ".")) {
        parts.push(match part {
            // Two of them mean what one does.
            "**" if matches!(parts.last(), Some(Part::Folders)) => continue,
            "**" => Part::Folders,
            _ if part.contains(['*', '?', '[']) => Part::Like(
                Pattern::new(part)
                    .map_err(|wrong| Refused::new(pattern, format!("it is not a glob: {wrong}")))?,
            ),
            _ => Part::Called(part.to_owned()),
        });
    }
    // `data/**` is all that is below.
    if matches!(parts.last(), Some(Part::Folders)) {
        parts.push(Part::Like(Pattern::new("*").unwrap_or_default()));
    }
    Ok(parts)
}

/// A part of a pattern, between slashes.
enum Part {
    /// This name.
    Called(String),
    /// A name like this.
    Like(Pattern),
    /// Any number of folders.
    Folders,
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Returns whether a name is like a pattern: a hidden one only like one that asks for it.
fn is_like(pattern: &Pattern, name: &str) -> bool {
    pattern.matches(name) && (is_hidden(pattern.as_str()) || !is_hidden(name))
}

struct Search {
    /// The folders that lead here, without links.
    above: Vec<PathBuf>,
    found: BTreeMap<String, PathBuf>,
}

impl Search {
    /// Looks for `parts` in a folder; `name` is its own, with a slash behind it unless it is the root.
    fn enter(&mut self, folder: &Path, name: &str, parts: &[Part]) -> Result<(), Refused> {
        let Some((first, rest)) = parts.split_first() else { return Ok(()) };
        match first {
            Part::Called(called) => {
                let path = folder.join(called);
                if fs_err::symlink_metadata(&path).is_ok() {
                    self.take(&path, format!("{name}{called}"), rest)?;
                }
                Ok(())
            }
            Part::Like(pattern) => {
                for (path, below) in listing(folder, name, &|entry| is_like(pattern, entry))? {
                    self.take(&path, below, rest)?;
                }
                Ok(())
            }
            Part::Folders => {
                let real = fs_err::canonicalize(folder)
                    .map_err(|error| Refused::new(name, format!("it cannot be looked at: {error}")))?;
                if self.above.contains(&real) {
                    let reason = "the symbolic link leads back to a folder above it; remove it";
                    return Err(Refused::new(name.trim_end_matches('/'), reason));
                }
                self.above.push(real);
                self.enter(folder, name, rest)?;
                for (path, below) in listing(folder, name, &|entry| !is_hidden(entry))? {
                    if path.is_dir() {
                        self.enter(&path, &format!("{below}/"), parts)?;
                    }
                }
                self.above.pop();
                Ok(())
            }
        }
    }

    fn take(&mut self, path: &Path, name: String, rest: &[Part]) -> Result<(), Refused> {
        match (kind(path).map_err(|reason| Refused::new(&name, reason)), rest.is_empty()) {
            (Ok(Kind::Folder), false) => self.enter(path, &format!("{name}/"), rest),
            (Ok(Kind::File), true) => {
                self.found.insert(name, path.to_owned());
                Ok(())
            }
            // As a shell does, a glob names files; a folder is named as itself.
            (Ok(_), _) => Ok(()),
            (Err(refused), true) => Err(refused),
            // What is no folder leads nowhere.
            (Err(_), false) => Ok(()),
        }
    }
}

/// Returns what is in a folder and `wanted`, sorted, with the name of each.
fn listing(
    folder: &Path,
    name: &str,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<(PathBuf, String)>, Refused> {
    let cannot = |error: &std::io::Error| {
        let shown = if name.is_empty() { "." } else { name.trim_end_matches('/') };
        let reason = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "it may not be read; change its permissions".to_owned(),
            _ => format!("it cannot be searched: {error}"),
        };
        Refused::new(shown, reason)
    };
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(|error| cannot(&error))? {
        let entry = entry.map_err(|error| cannot(&error))?;
        let file_name = entry.file_name();
        // Whether a name that is not UTF-8 is meant is asked of what can be read of it.
        let shown = file_name.to_string_lossy();
        if is_not_data(&shown, &entry.path()) || !wanted(&shown) {
            continue;
        }
        let file_name = file_name.to_str().ok_or_else(|| Refused::not_utf8(&entry.path()))?;
        found.push((entry.path(), format!("{name}{file_name}")));
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path, pattern: &str) -> Result<Vec<String>, Refused> {
        Ok(matches(root, pattern)?.into_keys().collect())
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        for name in [
            "a.csv",
            "data/b.csv",
            "data/c.txt",
            "data/x/d.csv",
            "data/x/y/e.csv",
            "data/.git/f.csv",
            "z/g.csv",
        ] {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("folder");
            fs_err::write(path, name).expect("written");
        }
        folder
    }

    #[test]
    fn what_a_source_finds_is_known_by_the_names_alone() {
        let folder = tree();
        let all: Vec<String> = names(folder.path(), "**").expect("found");
        for pattern in
            ["*.csv", "*/[bg].csv", "data/**/*.csv", "data/**/**/*.csv", "data/x/**", "data/**/y/?.csv"]
        {
            let found = names(folder.path(), pattern).expect("found");
            let named: Vec<_> = all.iter().filter(|name| finds(pattern, name)).cloned().collect();
            assert_eq!(named, found, "{pattern}");
        }
        for (source, name, is_found) in [
            ("data/a.csv", "data/a.csv", true),
            ("data/a.csv", "data/a.csv/x", true),
            ("data/a.csv", "train.py", false),
            ("data", "data/.hidden/x", true),
            ("data/", "data/x", true),
            ("data", "database", false),
            ("data/[1].csv", "data/[1].csv", true),
            ("data/**", "data/.hidden/x", false),
            ("**/*.yml", ".github/workflows/x.yml", false),
            ("data/*.csv", "data/x/a.csv", false),
        ] {
            assert_eq!(finds(source, name), is_found, "{source} and {name}");
        }
    }

    #[test]
    fn keys_are_found_as_files_are() {
        let folder = tree();
        fs_err::write(folder.path().join("data/.hidden.csv"), "x").expect("written");
        fs_err::write(folder.path().join("data/b.modelgate"), "x").expect("written");
        let mut all: Vec<String> = names(folder.path(), "**").expect("found");
        all.extend(["data/.git/f.csv", "data/.hidden.csv", "data/b.modelgate"].map(str::to_owned));
        all.sort_unstable();
        for pattern in ["*.csv", "data/*", "data/.*.csv", "data/**", "**/*.csv", "d*/[bc].*"] {
            let found = names(folder.path(), pattern).expect("found");
            let keys = KeyPattern::new(pattern).expect("a pattern");
            assert_eq!(
                all.iter().filter(|key| keys.finds(key)).cloned().collect::<Vec<_>>(),
                found,
                "{pattern}"
            );
        }
        assert!(KeyPattern::new("data/b.m*").is_ok_and(|keys| !keys.finds("data/b.modelgate")));
        assert!(KeyPattern::new("*/b.modelgate").is_ok_and(|keys| keys.finds("data/b.modelgate")));
        assert!(KeyPattern::new("data/[").is_err_and(|reason| reason.contains("it is not a glob")));
    }

    #[test]
    fn a_star_stays_in_its_folder_and_two_stars_go_below() {
        let folder = tree();
        let root = folder.path();
        assert_eq!(names(root, "*.csv").expect("found"), ["a.csv"]);
        assert_eq!(names(root, "data/*.csv").expect("found"), ["data/b.csv"]);
        assert_eq!(names(root, "*/[bg].csv").expect("found"), ["data/b.csv", "z/g.csv"]);
        let below = ["data/b.csv", "data/x/d.csv", "data/x/y/e.csv"];
        assert_eq!(names(root, "data/**/*.csv").expect("found"), below);
        assert_eq!(names(root, "data/**/**/*.csv").expect("found"), below);
        assert_eq!(names(root, "data/x/**").expect("found"), ["data/x/d.csv", "data/x/y/e.csv"]);
        assert_eq!(names(root, "data/**/y/?.csv").expect("found"), ["data/x/y/e.csv"]);
        assert_eq!(names(root, "data/x/../*.csv").expect("found"), ["data/x/../b.csv"]);
        assert_eq!(names(root, "none/*.csv").expect("nothing"), Vec::<String>::new());
        let whole = format!("{}/data/*.csv", root.display());
        assert_eq!(names(Path::new("/nowhere"), &whole).expect("found").len(), 1);
        assert!(names(root, "data/[.csv").expect_err("no glob").reason.contains("it is not a glob"));
    }

    #[test]
    fn wildcards_find_nothing_hidden_unless_they_begin_with_a_point() {
        let folder = tree();
        let root = folder.path();
        for name in ["data/.ipynb_checkpoints/b-checkpoint.csv", "data/.old/h.csv", "data/._b.csv"] {
            let path = root.join(name);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("folder");
            fs_err::write(path, name).expect("written");
        }
        assert_eq!(names(root, "data/*.csv").expect("found"), ["data/b.csv"]);
        assert_eq!(names(root, "data/*/*.csv").expect("found"), ["data/x/d.csv"]);
        let below = ["data/b.csv", "data/x/d.csv", "data/x/y/e.csv"];
        assert_eq!(names(root, "data/**/*.csv").expect("found"), below);
        assert_eq!(names(root, "data/.*.csv").expect("found"), ["data/._b.csv"]);
        assert_eq!(names(root, "data/.old/*.csv").expect("found"), ["data/.old/h.csv"]);
        assert_eq!(names(root, "data/.*/*.csv").expect("found"), ["data/.old/h.csv"]);
    }

    #[test]
    fn wildcards_find_no_pointer_files() {
        let folder = tree();
        let root = folder.path();
        for name in ["data/b.modelgate", "data/b.csv.dvc", "data/x/x.modelgate", "data/own.dvc/i.csv"] {
            let path = root.join(name);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("folder");
            fs_err::write(path, name).expect("written");
        }
        assert_eq!(names(root, "data/*").expect("found"), ["data/b.csv", "data/c.txt"]);
        let below = ["data/b.csv", "data/c.txt", "data/own.dvc/i.csv", "data/x/d.csv", "data/x/y/e.csv"];
        assert_eq!(names(root, "data/**").expect("found"), below);
        // Who names one by its name means it.
        assert_eq!(names(root, "[d]ata/b.csv.dvc").expect("found"), ["data/b.csv.dvc"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_circle_of_links_is_named_and_no_file_is_found_twice() {
        let folder = tree();
        let root = folder.path();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, root.join(name)).expect("linked");
        };
        link("..", "data/x/back");
        let refused = names(root, "data/**/*.csv").expect_err("a circle");
        assert_eq!(refused.name, "data/x/back");
        assert!(refused.reason.contains("leads back to a folder above it"), "{}", refused.reason);
        fs_err::remove_file(root.join("data/x/back")).expect("removed");
        link("b.csv", "data/latest.csv");
        let refused = names(root, "data/*.csv").expect_err("twice");
        assert_eq!(refused.name, "data/latest.csv");
        assert!(refused.reason.contains("the file `data/b.csv` again"), "{}", refused.reason);
        fs_err::remove_file(root.join("data/latest.csv")).expect("removed");
        link("../z", "data/beside");
        assert_eq!(names(root, "data/*/*.csv").expect("found"), ["data/beside/g.csv", "data/x/d.csv"]);
        link("none", "data/gone.csv");
        assert!(names(root, "data/*.csv").expect_err("gone").reason.contains("leads nowhere"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_not_utf8_is_named() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tree();
        let name = std::ffi::OsStr::from_bytes(b"data/caf\xe9.csv");
        fs_err::write(folder.path().join(name), "x").expect("written");
        let refused = names(folder.path(), "data/*.csv").expect_err("not UTF-8");
        assert!(refused.reason.contains("not UTF-8"), "{}", refused.reason);
        assert_eq!(names(folder.path(), "data/*.txt").expect("another name"), ["data/c.txt"]);
    }
}
