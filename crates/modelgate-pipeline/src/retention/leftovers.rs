//! What killed commands have left in the project: files and contents of the store half written, archives half read.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use modelgate_store::atomic;
use serde::Serialize;

use crate::datasets;
use crate::error::PipelineError;
use crate::project::Project;

/// What was written to within this time may be another command's: a snapshot holds no lock.
const AT_WORK: Duration = Duration::from_secs(24 * 60 * 60);
/// How the folder begins into which an archive is read.
const ARCHIVE: &str = ".import";

/// A file or folder of a command that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Leftover {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Returns what was left in the state folder of the project, in `outputs/` and among the files of its data, in the order of the
/// paths.
pub(super) fn find(project: &Project) -> Result<Vec<Leftover>, PipelineError> {
    let state = project.state_folder();
    let mut found = Vec::new();
    for path in listed(&state)? {
        let is_archive = name(&path).starts_with(ARCHIVE) && path.is_dir() && !path.is_symlink();
        if is_archive && newest(&path)?.is_some_and(is_old) {
            found.push(Leftover { bytes: size(&path)?, path });
        }
    }
    let mut folders = vec![state.clone()];
    folders.extend(folders_below(&state.join("cache"))?);
    folders.extend(folders_below(&state.join("unfinished"))?);
    // New contents lie above the folders that they come to, and known ones in them.
    folders.extend(folders_below(&state.join("store").join("sha256"))?);
    folders.extend(folders_below(&project.root.join("outputs"))?);
    let read = project.config.pipelines.values().map(|pipeline| pipeline.data.source.clone());
    // Who reads a broken pointer file says so.
    let kept = datasets::all(project).unwrap_or_default().into_iter().map(|set| set.pointer.source);
    for source in read.chain(kept) {
        folders.extend(folders_of(&project.root, &source)?);
    }
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        for path in listed(&folder)? {
            if !atomic::is_half_written(&name(&path)) {
                continue;
            }
            // One that is gone meanwhile has been written to its end.
            if let Ok(metadata) = fs_err::symlink_metadata(&path)
                && metadata.is_file()
                && metadata.modified().is_ok_and(is_old)
            {
                found.push(Leftover { bytes: metadata.len(), path });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Removes what was found; what is gone meanwhile is no error.
pub(super) fn remove(leftovers: &[Leftover]) -> Result<(), PipelineError> {
    for one in leftovers {
        let is_folder = one.path.is_dir() && !one.path.is_symlink();
        let removed =
            if is_folder { fs_err::remove_dir_all(&one.path) } else { fs_err::remove_file(&one.path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the folders that the files of a source may lie in; none for one beside the project, which is not ours to clean.
fn folders_of(root: &Path, source: &str) -> Result<Vec<PathBuf>, PipelineError> {
    let parts: Vec<&str> = source.trim_end_matches('/').split('/').filter(|part| *part != ".").collect();
    if parts.iter().any(|part| part.is_empty() || *part == "..") {
        return Ok(Vec::new());
    }
    let fixed = parts.iter().take_while(|part| !part.contains(['*', '?', '[']));
    let place = root.join(fixed.copied().collect::<PathBuf>());
    if place == root {
        // What begins with a wildcard would lead through all that is there.
        Ok(vec![place])
    } else if place.is_dir() {
        folders_below(&place)
    } else {
        Ok(place.parent().map(Path::to_owned).into_iter().collect())
    }
}

/// Returns a folder and those below it; links are not followed.
fn folders_below(folder: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let mut found = vec![folder.to_owned()];
    for path in listed(folder)? {
        if path.is_dir() && !path.is_symlink() {
            found.extend(folders_below(&path)?);
        }
    }
    Ok(found)
}

fn is_old(written: SystemTime) -> bool {
    written.elapsed().is_ok_and(|age| age > AT_WORK)
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    match fs_err::read_dir(folder) {
        Ok(listing) => Ok(listing.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Returns every file and folder below `folder`, itself included; links are not followed.
fn below(folder: &Path) -> Result<Vec<std::fs::Metadata>, PipelineError> {
    let mut found = vec![fs_err::symlink_metadata(folder)?];
    for path in listed(folder)? {
        let metadata = fs_err::symlink_metadata(&path)?;
        if metadata.is_dir() {
            found.extend(below(&path)?);
        } else {
            found.push(metadata);
        }
    }
    Ok(found)
}

/// Returns when something was last written below `folder`.
fn newest(folder: &Path) -> Result<Option<SystemTime>, PipelineError> {
    Ok(below(folder)?.iter().filter_map(|metadata| metadata.modified().ok()).max())
}

fn size(folder: &Path) -> Result<u64, PipelineError> {
    Ok(below(folder)?.iter().filter(|metadata| metadata.is_file()).map(std::fs::Metadata::len).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_commands_left_is_found_and_removed_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    \
                      data: {source: data/**/*.csv, target: y}\n";
        fs_err::write(folder.path().join("modelgate.yaml"), config).expect("written");
        let project = Project::find(folder.path(), &|_| None).expect("a project");
        let old = SystemTime::now() - 2 * AT_WORK;
        let put = |name: &str, is_old: bool| {
            let path = project.state_folder().join(name);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs_err::write(&path, "half").expect("written");
            if is_old {
                let file = std::fs::File::options().write(true).open(&path).expect("open");
                file.set_modified(old).expect("an old file");
                let above = path.parent().expect("a folder");
                std::fs::File::open(above).and_then(|above| above.set_modified(old)).expect("an old folder");
            }
            path
        };
        let object = "store/sha256/ab/0123";
        let left = put("store/sha256/.object.17.0123456789abcdef.3.tmp", true);
        let archive = put(".importOLD/ledger.jsonl", true);
        let others = [
            put(".split.json.17.0123456789abcdef.0.tmp", true),
            put("cache/p/.train.json.17.0123456789abcdef.1.tmp", true),
            put("store/sha256/ab/.0123.17.0123456789abcdef.2.tmp", true),
            put("unfinished/.p.json.17.0123456789abcdef.0.tmp", true),
        ];
        // Beside the state folder.
        let beside = [
            put("../data/deep/.a.bin.17.0123456789abcdef.0.tmp", true),
            put("../outputs/p/.report.md.17.0123456789abcdef.0.tmp", true),
        ];
        let stays = [
            put(object, true),
            put("store/sha256/.object.18.0123456789abcdef.3.tmp", false),
            put(".importNEW/ledger.jsonl", false),
            put("store/sha256/.object.notes.tmp", true),
            put(".notes.tmp", true),
            put("unfinished/.p.json.18.0123456789abcdef.0.tmp", false),
            put("unfinished/p.json", true),
            put("imported/x", true),
        ];
        let found = find(&project).expect("read");
        let paths: Vec<&Path> = found.iter().map(|one| one.path.as_path()).collect();
        let [split, record, known, mark] = others.each_ref().map(PathBuf::as_path);
        let own =
            ["data/deep/.a.bin.17.0123456789abcdef.0.tmp", "outputs/p/.report.md.17.0123456789abcdef.0.tmp"];
        let own = own.map(|name| project.root.join(name));
        assert!(paths.ends_with(&own.each_ref().map(PathBuf::as_path)), "{paths:?}");
        let paths = &paths[..paths.len() - own.len()];
        assert_eq!(paths, [archive.parent().expect("a folder"), split, record, left.as_path(), known, mark]);
        assert!(found.iter().all(|one| one.bytes == 4), "{found:?}");
        remove(&found).expect("removed");
        remove(&found).expect("what is gone is gone");
        assert!(
            !archive.exists() && !left.exists() && others.iter().chain(&beside).all(|path| !path.exists())
        );
        assert!(stays.iter().all(|path| path.exists()));
    }
}
