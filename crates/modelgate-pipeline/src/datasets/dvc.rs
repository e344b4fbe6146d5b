//! What DVC tracks in the project, for `data pull`, `status` and `dag`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use modelgate_data::dvc::{DvcOutput, DvcPulled, DvcRepository, DvcStage, lexical, stages};
use modelgate_data::source_finds;
use modelgate_store::DigestIndex;

use crate::error::PipelineError;
use crate::project::Project;

/// Returns the stages of DVC's pipelines, in the order in which they run, each with why it would run again; empty
/// without a repository of DVC.
///
/// # Errors
/// Names the file of DVC that cannot be read.
pub fn dvc_stages(project: &Project) -> Result<Vec<DvcStage>, PipelineError> {
    let Some(repository) = DvcRepository::find(&project.root)? else { return Ok(Vec::new()) };
    let index = DigestIndex::open(&project.state_folder());
    let found = stages(&repository, &index)?;
    // An index that cannot be written only costs reading again.
    let _ = index.save();
    Ok(found)
}

/// Returns what DVC tracks below the project, and beside it what a pipeline reads, sorted by path; empty without a repository
/// of DVC.
///
/// Beside them is why it is not told of a stage where its outputs lie.
///
/// # Errors
/// Names the file of DVC that cannot be read.
pub(super) fn tracked(project: &Project) -> Result<(Vec<DvcOutput>, Option<PipelineError>), PipelineError> {
    let Some(repository) = DvcRepository::find(&project.root)? else { return Ok((Vec::new(), None)) };
    let (mut found, untold) = repository.told(&project.root)?;
    for pipeline in project.config.pipelines.values() {
        let source = &pipeline.data.source;
        if place(project, source).is_some_and(|(_, folder)| !folder.starts_with(&project.root)) {
            found.extend(of_source(&repository, project, source)?);
        }
    }
    found.sort_unstable();
    found.dedup_by(|one, other| one.path == other.path);
    Ok((found, untold.map(PipelineError::from)))
}

/// Returns what DVC tracks of the source of a pipeline.
///
/// # Errors
/// Names the file of DVC that cannot be read.
pub(super) fn of_pipeline(project: &Project, source: &str) -> Result<Vec<DvcOutput>, PipelineError> {
    let Some(repository) = DvcRepository::find(&project.root)? else { return Ok(Vec::new()) };
    of_source(&repository, project, source)
}

/// Returns whether DVC tracks `source`, or something that it may find.
///
/// # Errors
/// Names the file of DVC that cannot be read.
pub(crate) fn tracking(project: &Project, source: &str) -> Result<bool, PipelineError> {
    let Some(repository) = DvcRepository::find(&project.root)? else { return Ok(false) };
    Ok(!of_source(&repository, project, source)?.is_empty())
}

/// Says which files that DVC tracks and a source would find are not in a folder that is here, and what to do; `None` where all
/// are. What is learned from a part of the data is not silent.
pub(crate) fn lacking(project: &Project, source: &str) -> Option<String> {
    let found = || -> Result<Vec<String>, PipelineError> {
        let Some(repository) = DvcRepository::find(&project.root)? else { return Ok(Vec::new()) };
        let mut lacking = Vec::new();
        for output in of_source(&repository, project, source)? {
            let paths = repository.lacking(&output)?;
            let below = paths.iter().filter_map(|path| path.strip_prefix(&project.root).ok());
            let names = below.map(|path| path.to_string_lossy().replace('\\', "/"));
            lacking.extend(names.filter(|name| source_finds(source, name)));
        }
        Ok(lacking)
    };
    match found() {
        Ok(names) => {
            let first = names.first()?;
            let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
            Some(format!(
                "`{first}`{more} of what DVC tracks is not here, and the rest of its folder is read; `modelgate data pull` brings it"
            ))
        }
        Err(error) => Some(format!("the data cannot be held against what DVC tracks: {error}")),
    }
}

/// Returns what is tracked of a source.
fn of_source(
    repository: &DvcRepository,
    project: &Project,
    source: &str,
) -> Result<Vec<DvcOutput>, PipelineError> {
    let Some((whole, folder)) = place(project, source) else { return Ok(Vec::new()) };
    let mut found = repository.around(&folder)?;
    found.retain(|output| may_find(&whole, &folder, output));
    Ok(found)
}

/// Returns whether a source may find files of what is tracked: the source itself, what it is in, and of a glob what is like
/// its parts.
fn may_find(whole: &Path, folder: &Path, output: &DvcOutput) -> bool {
    if whole == folder || folder.starts_with(&output.path) {
        return true;
    }
    let parts: Vec<_> = whole.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let names: Vec<_> = output.path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let is_deep = parts.iter().any(|part| part == "**");
    let fits = if output.hash.is_folder { names.len() < parts.len() } else { names.len() == parts.len() };
    let is_like = |(part, name): (&Cow<'_, str>, &Cow<'_, str>)| {
        part == name || glob::Pattern::new(part).is_ok_and(|pattern| pattern.matches(name))
    };
    is_deep || (fits && parts.iter().zip(&names).all(is_like))
}

/// Returns where a source is, and of a glob the folder below which it looks.
fn place(project: &Project, source: &str) -> Option<(PathBuf, PathBuf)> {
    if source.contains("://") {
        return None;
    }
    let fixed: PathBuf = source.split('/').take_while(|part| !part.contains(['*', '?', '['])).collect();
    // A path from the root of the system begins with an empty part.
    let fixed = if source.starts_with('/') { Path::new("/").join(fixed) } else { fixed };
    Some((lexical(&project.root.join(source)), lexical(&project.root.join(fixed))))
}

/// Brings what DVC tracks into the project, from DVC's cache or remote; `None` without a repository of DVC.
///
/// # Errors
/// As [`DvcRepository::pull`].
pub fn pull_dvc(
    project: &Project,
    outputs: &[DvcOutput],
    environment: &dyn Fn(&str) -> Option<String>,
    force: bool,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Option<DvcPulled>, PipelineError> {
    let Some(repository) = DvcRepository::find(&project.root)? else { return Ok(None) };
    let index = DigestIndex::open(&project.state_folder());
    let pulled = repository.pull(outputs, environment, &index, force, progress);
    let saved = index.save();
    // Why the pull ended is told first.
    let pulled = pulled?;
    saved?;
    Ok(Some(pulled))
}

#[cfg(test)]
mod tests {
    use modelgate_data::dvc::DvcHash;
    use modelgate_store::Md5;

    use super::*;

    #[test]
    fn a_glob_asks_for_what_it_may_find_alone() {
        let is_asked = |source: &str, path: &str, is_folder: bool| {
            let whole = PathBuf::from(source);
            let folder: PathBuf = source.split('/').take_while(|part| !part.contains('*')).collect();
            let hash = DvcHash { md5: Md5::of(b"a"), is_folder, is_legacy: false };
            let output = DvcOutput {
                path: path.into(),
                file: "x.dvc".into(),
                hash,
                size: None,
                remote: None,
                is_pushed: true,
            };
            may_find(&whole, &folder, &output)
        };
        for (source, path, is_folder, asked) in [
            ("data/a.csv", "data/a.csv", false, true),
            ("data/a.csv", "data", true, true),
            ("data/*.csv", "data/a.csv", false, true),
            ("data/*.csv", "data/a.txt", false, false),
            ("data/*.csv", "data/images", true, false),
            ("data/*.csv", "data", true, true),
            ("data/*/x.csv", "data/2024", true, true),
            ("data/*/x.csv", "data/2024/y.csv", false, false),
            ("data/**/*.csv", "data/2024/deep", true, true),
        ] {
            assert_eq!(is_asked(source, path, is_folder), asked, "{source} and {path}");
        }
    }

    #[test]
    fn a_folder_that_lacks_a_file_that_is_read_is_told_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs_err::write(path, text).expect("written");
        };
        let source = "data/*.csv";
        write(
            "modelgate.yaml",
            &format!(
                "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: {source}, target: y}}\n"
            ),
        );
        let entry = |name: &str| format!("{{\"md5\": \"{}\", \"relpath\": \"{name}\"}}", Md5::of(b"a"));
        let list = format!("[{}, {}, {}]", entry("a.csv"), entry("b.csv"), entry("c.png"));
        let md5 = Md5::of(list.as_bytes()).to_string();
        write(&format!(".dvc/cache/files/md5/{}/{}.dir", &md5[..2], &md5[2..]), &list);
        write("data.dvc", &format!("outs:\n- {{md5: {md5}.dir, hash: md5, path: data}}\n"));
        let project = Project::find(folder.path(), &|_| None).expect("a project");
        assert_eq!(lacking(&project, source), None, "nothing of it is here");
        write("data/a.csv", "a");
        let said = lacking(&project, source).expect("told");
        assert!(said.starts_with("`data/b.csv` of what DVC tracks is not here"), "{said}");
        write("data/b.csv", "b");
        assert_eq!(lacking(&project, source), None);
    }
}
