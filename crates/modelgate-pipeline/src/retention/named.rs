//! What the files of a project name: the versions of its last runs, and the digests in the records of stages and in
//! pointer files. What cannot be looked into ends a collection: it may name what would go.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use modelgate_core::{Digest, ModelName, VersionNumber};
use modelgate_data::snapshot::SnapshotFile;
use modelgate_store::{ContentStore, StoreError};
use serde::Deserialize;

use crate::datasets::POINTER;
use crate::error::PipelineError;
use crate::project::Project;

/// A record or a pointer file above this size is none, and nobody can tell what it names.
const MAX_NAMING: u64 = 64 << 20;
/// The folders of tools in which no pointer file is written.
const OF_TOOLS: [&str; 3] = [".git", ".dvc", ".modelgate"];

/// What the report of a run says of the version that it came to.
#[derive(Deserialize)]
struct CameTo {
    model: ModelName,
    version: Option<VersionNumber>,
}

/// Returns the versions that the last runs came to.
pub(super) fn named_by_last_runs(
    project: &Project,
) -> Result<BTreeSet<(ModelName, VersionNumber)>, PipelineError> {
    let mut named = BTreeSet::new();
    for folder in folders(&project.root.join("outputs"))? {
        let path = folder.join("run_report.json");
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let report: CameTo = serde_json::from_slice(&text).map_err(|error| {
            PipelineError::Policy(format!(
                "`{}` cannot be read ({error}): nothing is collected while it may name a version; remove it, or run again",
                path.display()
            ))
        })?;
        named.extend(report.version.map(|version| (report.model, version)));
    }
    Ok(named)
}

/// Adds every digest that stands in the record of a stage or a pointer file of the project, links to folders followed.
pub(super) fn named_in_project(project: &Project, named: &mut BTreeSet<Digest>) -> Result<(), PipelineError> {
    for folder in folders(&project.state_folder().join("cache"))? {
        named_in(&folder, "json", named)?;
    }
    let root = fs_err::canonicalize(&project.root)?;
    let mut waiting = vec![project.root.clone()];
    // A link may lead in a circle: where links lead is looked into once.
    let mut linked: BTreeSet<PathBuf> = BTreeSet::new();
    while let Some(folder) = waiting.pop() {
        named_in(&folder, POINTER, named)?;
        for path in folders(&folder)? {
            if path.file_name().is_some_and(|name| OF_TOOLS.iter().any(|tool| name == *tool)) {
                continue;
            }
            if path.is_symlink() {
                let target = fs_err::canonicalize(&path).map_err(|error| unread(&error))?;
                // Above the project is what is not of the project.
                if root.starts_with(&target) || !linked.insert(target) {
                    continue;
                }
            }
            waiting.push(path);
        }
    }
    Ok(())
}

/// Returns the error that a place cannot be looked into.
fn unread(error: &std::io::Error) -> PipelineError {
    PipelineError::Policy(format!(
        "{error}: nothing was removed, since it may name what would go; give yourself the right to read it, or move it out \
         of the project, and collect again"
    ))
}

/// Returns what is in a folder; nothing where there is none. What cannot be read is an error: it may name what would go.
fn entries(of: &Path) -> Result<Vec<fs_err::DirEntry>, PipelineError> {
    match fs_err::read_dir(of) {
        Ok(listing) => listing.collect::<Result<_, _>>().map_err(|error| unread(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unread(&error)),
    }
}

/// Returns the folders in a folder, and the links to folders.
fn folders(of: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let mut found = Vec::new();
    for entry in entries(of)? {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_symlink() {
            match fs_err::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => found.push(path),
                Ok(_) => {}
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unread(&error)),
                // A file that is gone names nothing; a disk that is not there may hold pointer files.
                Err(_) if path.extension().is_some() || is_hidden(&path) => {}
                Err(_) => {
                    return Err(PipelineError::Policy(format!(
                        "`{}` is a link that leads nowhere: nothing was removed, since a folder behind it may name what \
                         would go; mount the disk that it leads to, or remove the link, and collect again",
                        path.display()
                    )));
                }
            }
        } else if kind.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Adds every digest that stands in the files of `folder` with this ending.
fn named_in(folder: &Path, ending: &str, named: &mut BTreeSet<Digest>) -> Result<(), PipelineError> {
    for entry in entries(folder)? {
        let path = entry.path();
        if path.extension().is_none_or(|found| found != ending) {
            continue;
        }
        // Links are followed, as whoever reads a pointer file does.
        let metadata = match fs_err::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unread(&error)),
        };
        if !metadata.is_file() {
            continue;
        }
        if metadata.len() > MAX_NAMING {
            return Err(PipelineError::Policy(format!(
                "`{}` has {} bytes, too many for what names objects: nothing is collected while it is there",
                path.display(),
                metadata.len()
            )));
        }
        digests_in(&fs_err::read(&path).map_err(|error| unread(&error))?, named);
    }
    Ok(())
}

/// Returns `named` and, where one is the list of a data set, its files.
pub(super) fn with_their_files(
    store: &ContentStore,
    named: BTreeSet<Digest>,
) -> Result<BTreeSet<Digest>, PipelineError> {
    let mut kept = named.clone();
    for digest in named {
        if !begins_as_list(store, &digest)? {
            continue;
        }
        let content = match store.get(&digest) {
            Ok(content) => content,
            // A damaged object is another command's to tell of.
            Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        if let Ok(files) = serde_json::from_slice::<Vec<SnapshotFile>>(&content) {
            kept.extend(files.into_iter().map(|file| file.digest));
        }
    }
    Ok(kept)
}

/// Returns whether an object may be the list of a data set, of whatever size: the data themselves are not read.
fn begins_as_list(store: &ContentStore, digest: &Digest) -> Result<bool, PipelineError> {
    let mut first = [0];
    match fs_err::File::open(store.path(digest)) {
        Ok(mut file) => Ok(file.read(&mut first)? == 1 && first == *b"["),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Adds every run of exactly 64 hexadecimal digits, with or without `sha256:` before it.
fn digests_in(bytes: &[u8], found: &mut BTreeSet<Digest>) {
    for run in bytes.split(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        if run.len() == 64
            && let Ok(text) = std::str::from_utf8(run)
            && let Ok(digest) = format!("sha256:{text}").parse()
        {
            found.insert(digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_in_any_text() {
        let digest = Digest::of(b"x");
        let mut found = BTreeSet::new();
        digests_in(
            format!("{{\"a\":\"{digest}\",\"b\":\"{}\"}}", Digest::of(b"y").hex()).as_bytes(),
            &mut found,
        );
        assert_eq!(found, BTreeSet::from([digest, Digest::of(b"y")]));
        let mut none = BTreeSet::new();
        digests_in(format!("{}0", digest.hex()).as_bytes(), &mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn a_place_that_cannot_be_looked_into_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let named = |folder: &Path| {
            let mut found = BTreeSet::new();
            named_in(folder, POINTER, &mut found).map(|()| found)
        };
        assert!(named(&path("none")).expect("nothing is there").is_empty());
        assert!(folders(&path("none")).expect("nothing is there").is_empty());
        // Rights do not bind who runs as root: a file where a folder is expected does.
        fs_err::write(path("file"), "").expect("written");
        for error in
            [named(&path("file")).expect_err("no folder"), folders(&path("file")).expect_err("no folder")]
        {
            let error = error.to_string();
            assert!(error.contains("/file`") && error.contains("nothing was removed"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pointer_file_is_found_through_a_link_and_one_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let named = || {
            let mut found = BTreeSet::new();
            named_in(folder.path(), POINTER, &mut found).map(|()| found)
        };
        let digest = Digest::of(b"x");
        fs_err::write(path("elsewhere"), format!("digest: {digest}\n")).expect("written");
        let link = |to: &str, name: &str| fs_err::os::unix::fs::symlink(to, path(name)).expect("linked");
        link("elsewhere", "set.modelgate");
        link("nowhere", "gone.modelgate");
        assert_eq!(named().expect("read"), BTreeSet::from([digest]));
        link("loop.modelgate", "loop.modelgate");
        let error = named().expect_err("it leads to itself").to_string();
        assert!(error.contains("loop.modelgate"), "{error}");
    }

    /// A project in `folder`, whose file says as little as one can.
    #[cfg(unix)]
    fn project(folder: &Path) -> Project {
        let config = "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    \
                      data: {source: data.csv, target: y}\n";
        fs_err::write(folder.join("modelgate.yaml"), config).expect("written");
        Project::find(folder, &|_| None).expect("a project")
    }

    #[cfg(unix)]
    #[test]
    fn a_pointer_file_behind_a_link_to_a_folder_or_in_any_folder_of_the_project_is_found() {
        let (folder, disk) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let root = folder.path().join("project");
        let point = |place: PathBuf, content: &str| {
            let digest = Digest::of(content.as_bytes());
            fs_err::create_dir_all(place.parent().expect("a folder")).expect("made");
            fs_err::write(place, format!("digest: {digest}\n")).expect("written");
            digest
        };
        fs_err::create_dir_all(&root).expect("made");
        let mut expected =
            BTreeSet::from([point(disk.path().join("below/set.modelgate"), "on another disk")]);
        for name in [".hidden", "target", "node_modules", "a/b"] {
            expected.insert(point(root.join(name).join("set.modelgate"), name));
        }
        let beside = point(folder.path().join("other/set.modelgate"), "another project's");
        point(root.join(".git/set.modelgate"), "git's own");
        let link = |to: &Path, name: &str| {
            fs_err::os::unix::fs::symlink(to, root.join(name)).expect("linked");
        };
        link(disk.path(), "data");
        // Round in a circle, twice, and up to what is not of the project.
        link(&root, "a/again");
        link(Path::new(".."), "a/b/up");
        link(Path::new(".."), "outside");
        let mut found = BTreeSet::new();
        named_in_project(&project(&root), &mut found).expect("read");
        assert!(!found.contains(&beside));
        assert_eq!(found, expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_disk_that_is_not_there_ends_a_collection_and_one_to_a_file_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = project(folder.path());
        let link = |name: &str| {
            fs_err::os::unix::fs::symlink("nowhere", folder.path().join(name)).expect("linked");
        };
        link("table.csv");
        link(".#editor");
        named_in_project(&project, &mut BTreeSet::new()).expect("files name nothing");
        link("data");
        let error = named_in_project(&project, &mut BTreeSet::new()).expect_err("not mounted").to_string();
        assert!(error.contains("data` is a link that leads nowhere: nothing was removed"), "{error}");
        assert!(error.contains("mount the disk"), "{error}");
    }

    #[test]
    fn a_pointer_file_that_is_too_long_is_not_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("set.modelgate");
        fs_err::File::create(&path).expect("made").set_len(MAX_NAMING + 1).expect("a file with a hole");
        let error = named_in(folder.path(), POINTER, &mut BTreeSet::new()).expect_err("too long").to_string();
        assert!(error.contains("set.modelgate` has 67108865 bytes"), "{error}");
    }

    #[test]
    fn the_files_of_a_list_are_kept_however_long_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ContentStore::new(folder.path());
        let part = Digest::of(b"part");
        // JSON may have as much room as it likes behind its first letter.
        let room = " ".repeat(64 << 20);
        let list = format!("[{room}{{\"digest\":\"{part}\",\"name\":\"part.csv\",\"size\":4}}]");
        let list = store.put(list.as_bytes()).expect("put");
        let data = store.put(b"[not,a list]\n").expect("put");
        let named = BTreeSet::from([list, data, Digest::of(b"not here")]);
        let kept = with_their_files(&store, named.clone()).expect("read");
        assert!(kept.contains(&part) && kept.is_superset(&named));
        // An object that cannot be read may be a list.
        let other = Digest::of(b"a folder in its place");
        fs_err::create_dir_all(store.path(&other)).expect("made");
        let error = with_their_files(&store, BTreeSet::from([other])).expect_err("no file").to_string();
        assert!(error.contains(&other.hex()[2..]), "{error}");
    }
}
