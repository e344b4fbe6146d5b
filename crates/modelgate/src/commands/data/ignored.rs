//! What git makes of a data set: the pointer file belongs into it, the data do not.

use std::path::Path;
use std::process::Stdio;

use modelgate_pipeline::Project;
use modelgate_pipeline::datasets::{DataSet, pointer_path};

use crate::printer::Printer;

/// Says what is to be done so that git takes the pointer files of `sets` and not their data; nothing outside of a
/// repository.
pub(super) fn suggest(project: &Project, sets: &[DataSet], printer: &Printer) {
    for set in sets {
        let name = &set.name;
        let source = &set.pointer.source;
        let listed = set.pointer.list.iter().flatten().next().map(|file| file.name.clone());
        let found = || modelgate_data::snapshot::find(&project.root, source).ok()?.into_iter().next();
        let Some(first) = listed.or_else(|| Some(found()?.name)) else { continue };
        if is_ignored(&project.root, Path::new(&first)) == Some(false) {
            let lines = lines(source).join("` and `");
            printer.talk(&format!(
                "git does not ignore the data of `{name}`: put `{lines}` into .gitignore, and commit data/{name}.modelgate in \
                 their place"
            ));
        }
        if is_ignored(&project.root, &pointer_path(project, name)) == Some(true) {
            printer.warning(&format!(
                "git ignores data/{name}.modelgate, which is to be committed: put `!/data/*.modelgate` into .gitignore, behind \
                 `/data/*` in place of `data/`"
            ));
        }
    }
}

/// Returns the lines of `.gitignore` that leave the pointer files where they are.
fn lines(source: &str) -> Vec<String> {
    let whole = source.trim_end_matches('/');
    // A folder that is ignored as a whole has no file that is not.
    if whole == "data" {
        return vec!["/data/*".to_owned(), "!/data/*.modelgate".to_owned()];
    }
    vec![format!("/{whole}")]
}

/// Returns whether git ignores a path; `None` where there is no git, or no repository.
fn is_ignored(root: &Path, path: &Path) -> Option<bool> {
    let mut git = modelgate_store::git::git(root);
    git.args(["check-ignore", "-q", "--"]).arg(path);
    match git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?.code() {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_pointer_file_is_never_ignored_with_its_data() {
        assert_eq!(lines("data/*.csv"), ["/data/*.csv"]);
        assert_eq!(lines("data/images/"), ["/data/images"]);
        assert_eq!(lines("data"), ["/data/*", "!/data/*.modelgate"]);
    }
}
