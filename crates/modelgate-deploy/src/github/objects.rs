//! The names that git gives to contents, folders and commits: what a dry run goes on with, where GitHub's answer would have them.

use std::collections::BTreeMap;

use sha1::{Digest as _, Sha1};

/// A commit by its parts; whoever commits is its author.
#[derive(Clone, Debug)]
pub(super) struct Commit<'a> {
    pub(super) tree: &'a str,
    pub(super) parents: &'a [String],
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    /// Seconds since 1970.
    pub(super) seconds: i64,
    pub(super) message: &'a str,
}

/// What a folder holds: mode and name by file name.
pub(super) type Folder = BTreeMap<String, (String, String)>;

const FOLDER: &str = "40000";
const FILE: &str = "100644";

fn named(kind: &str, bytes: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("{kind} {}\0", bytes.len()));
    hash.update(bytes);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the name of a file's content.
pub(super) fn blob(bytes: &[u8]) -> String {
    named("blob", bytes)
}

/// Returns the name of a folder.
fn tree(folder: &Folder) -> String {
    // Git sorts folders as if their names ended with a slash.
    let key = |(name, (mode, _)): &(&String, &(String, String))| {
        if mode == FOLDER { format!("{name}/") } else { (*name).clone() }
    };
    let mut entries: Vec<_> = folder.iter().collect();
    entries.sort_by_key(key);
    let mut bytes = Vec::new();
    for (name, (mode, object)) in entries {
        bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        let digits = object.as_bytes().chunks(2);
        bytes.extend(digits.map(|two| {
            std::str::from_utf8(two).ok().and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or_default()
        }));
    }
    named("tree", &bytes)
}

/// Returns the name of the folder that holds what `base` holds, and `files`: pairs of a path and the name of its content.
/// `read` gives what a folder of that name holds.
pub(super) fn tree_with<E>(
    base: Option<&str>,
    files: &[(&str, &str)],
    read: &impl Fn(&str) -> Result<Folder, E>,
) -> Result<String, E> {
    let mut folder = base.map_or_else(|| Ok(Folder::new()), read)?;
    let mut below: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, object) in files {
        match path.split_once('/') {
            Some((first, rest)) => below.entry(first).or_default().push((rest, *object)),
            None => drop(folder.insert((*path).to_owned(), (FILE.to_owned(), (*object).to_owned()))),
        }
    }
    for (name, files) in below {
        let there = folder.get(name).filter(|(mode, _)| mode == FOLDER).map(|(_, object)| object.clone());
        let made = tree_with(there.as_deref(), &files, read)?;
        folder.insert(name.to_owned(), (FOLDER.to_owned(), made));
    }
    Ok(tree(&folder))
}

/// Returns the name of a commit.
pub(super) fn commit(commit: &Commit<'_>) -> String {
    let mut text = format!("tree {}\n", commit.tree);
    for parent in commit.parents {
        text.push_str(&format!("parent {parent}\n"));
    }
    let who = format!("{} <{}> {} +0000", commit.name, commit.email, commit.seconds);
    text.push_str(&format!("author {who}\ncommitter {who}\n\n{}", commit.message));
    named("commit", text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    fn git(folder: &Path, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "a bot[bot]")
                .env(format!("GIT_{role}_EMAIL"), "1+a@example.com");
            command.env(format!("GIT_{role}_DATE"), "1750000000 +0000");
        }
        let mut child = command.spawn().expect("git");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("git");
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    #[test]
    fn names_are_those_of_git() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let git = |arguments: &[&str], input: &str| git(root, arguments, input);
        git(&["init", "-q"], "");
        let add = |path: &str, object: &str| {
            git(&["update-index", "--add", "--cacheinfo", &format!("100644,{object},{path}")], "");
        };
        let contents = ["one", "two", ""].map(|text| blob(text.as_bytes()));
        for (text, name) in ["one", "two", ""].iter().zip(&contents) {
            assert_eq!(*name, git(&["hash-object", "-w", "--stdin"], text));
        }
        // A folder `p` stands between the files `p-x` and `p0`.
        let paths = ["p/a/one.png", "p-x", "p0", "p/b.png", "q/a/one.png"];
        paths.iter().for_each(|path| add(path, &contents[0]));
        let first = git(&["write-tree"], "");
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (*path, contents[0].as_str())).collect();
        let nothing = |_: &str| -> Result<Folder, String> { Err("nothing is there".to_owned()) };
        assert_eq!(tree_with(None, &files, &nothing).as_deref(), Ok(first.as_str()));

        // On top of that, what is changed and what is new.
        add("p/a/one.png", &contents[1]);
        add("p/c/new.png", &contents[2]);
        let second = git(&["write-tree"], "");
        let read = |name: &str| -> Result<Folder, String> {
            let listed = git(&["ls-tree", name], "");
            let entry = |line: &str| {
                let (about, name) = line.split_once('\t')?;
                let mut about = about.split(' ');
                let mode = about.next()?.trim_start_matches('0').to_owned();
                Some((name.to_owned(), (mode, about.nth(1)?.to_owned())))
            };
            Ok(listed.lines().filter_map(entry).collect())
        };
        let changed = [("p/a/one.png", contents[1].as_str()), ("p/c/new.png", contents[2].as_str())];
        assert_eq!(tree_with(Some(&first), &changed, &read).as_deref(), Ok(second.as_str()));
        assert_eq!(tree_with(Some(&second), &[], &read).as_deref(), Ok(second.as_str()));

        let made = |tree: &str, parents: &[String], message: &str| {
            commit(&Commit {
                tree,
                parents,
                name: "a bot[bot]",
                email: "1+a@example.com",
                seconds: 1_750_000_000,
                message,
            })
        };
        let parent = git(&["commit-tree", &first, "-F", "-"], "the first\n");
        assert_eq!(made(&first, &[], "the first\n"), parent);
        let child = git(&["commit-tree", &second, "-p", &parent, "-F", "-"], "plots of p\n");
        assert_eq!(made(&second, &[parent], "plots of p\n"), child);
    }
}
