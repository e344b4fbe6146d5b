//! The words of a command: which files they name, where it goes, and what it writes.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::texts::is_source;

/// Ends of the names of texts for a shell, which calls what lies in the folder that it runs in.
const SHELL: [&str; 2] = ["sh", "bash"];

/// Returns a path below the project without `.` and `..`, and `None` for another.
fn below(root: &Path, path: &Path) -> Option<PathBuf> {
    let path = path.strip_prefix(root).unwrap_or(path);
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir if plain.pop() => {}
            _ => return None,
        }
    }
    Some(plain)
}

/// Returns a path as it is called on every system.
pub(super) fn name(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// What the words of a command name.
#[derive(Default)]
pub(super) struct Read {
    /// Files that are there.
    pub(super) named: BTreeSet<String>,
    /// Folders whose texts may be parts of them.
    pub(super) around: BTreeSet<PathBuf>,
    /// What the command writes, by `>` or `tee`: a log is no part of a program.
    pub(super) written: BTreeSet<String>,
}

/// A piece of a command, as far as it is understood here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Piece<'a> {
    Word(&'a str),
    /// `>`, also of `>>`, `2>` and `&>`.
    To,
    /// Where a command within the command begins, as in `>(tee log)`.
    Begins,
    /// Where one ends.
    Ends,
}

fn pieces(command: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, letter) in command.char_indices() {
        let piece = match letter {
            '>' => Some(Piece::To),
            '(' => Some(Piece::Begins),
            ';' | '&' | '|' | ')' | '\n' => Some(Piece::Ends),
            '"' | '\'' | '=' | '<' | '`' => None,
            _ if letter.is_whitespace() => None,
            _ => continue,
        };
        found.extend((start < at).then(|| Piece::Word(&command[start..at])));
        found.extend(piece);
        start = at + letter.len_utf8();
    }
    found.extend((start < command.len()).then(|| Piece::Word(&command[start..])));
    found
}

/// Finds the files that a command names, and the folders whose texts may be parts of them.
pub(super) fn read_command(root: &Path, command: &str) -> Read {
    let command = command.replace("${PWD}/", "./").replace("$PWD/", "./").replace("$(pwd)/", "./");
    let mut read = Read::default();
    let mut pieces = pieces(&command).into_iter().peekable();
    // The folder that the command has gone to.
    let mut here = PathBuf::new();
    let (mut is_target, mut is_tee) = (false, false);
    while let Some(piece) = pieces.next() {
        let word = match piece {
            Piece::Word(word) => word,
            Piece::To => {
                is_target = true;
                continue;
            }
            // `&>file` and `>|file` end no more than they begin.
            Piece::Ends => {
                is_tee = false;
                continue;
            }
            Piece::Begins => {
                (is_target, is_tee) = (false, false);
                continue;
            }
        };
        let mut next = || pieces.next_if(|piece| matches!(piece, Piece::Word(_)));
        if std::mem::take(&mut is_target) || is_tee {
            for path in [here.join(word), PathBuf::from(word)] {
                read.written.insert(below(root, &path).map_or_else(|| word.to_owned(), |path| name(&path)));
            }
            continue;
        }
        match word {
            "tee" => is_tee = true,
            "cd" | "pushd" | "chdir" => {
                let Some(Piece::Word(word)) = next() else { continue };
                let Some(folder) = below(root, &here.join(word)) else { continue };
                if root.join(&folder).is_dir() {
                    here = folder;
                }
            }
            "-m" => {
                let Some(Piece::Word(module)) = next() else { continue };
                let path = here.join(module.replace('.', "/"));
                let files = [path.with_extension("py"), path.join("__main__.py"), path.join("__init__.py")];
                for file in files.iter().filter(|file| root.join(file).is_file()) {
                    read.named.insert(name(file));
                    read.around.insert(here.clone());
                }
            }
            _ => read_word(root, &here, word, &mut read),
        }
    }
    read
}

/// Takes up the file that a word names in the folder `here`, if it names one.
fn read_word(root: &Path, here: &Path, word: &str, read: &mut Read) {
    // Of `(cd a && b); c` the last stands in the first folder again.
    let Some(path) =
        [here.join(word), PathBuf::from(word)].into_iter().find(|path| root.join(path).is_file())
    else {
        return;
    };
    let Some(path) = below(root, &path) else {
        // Outside of the project it is taken alone.
        read.named.insert(word.to_owned());
        return;
    };
    read.named.insert(name(&path));
    let is_shell = path.extension().is_some_and(|end| SHELL.iter().any(|known| end == *known));
    let is_script = path.extension().is_none() && begins_as_script(&root.join(&path));
    if is_source(&path) || is_script {
        read.around.insert(path.parent().unwrap_or(Path::new("")).to_owned());
    }
    if is_shell || is_script {
        read.around.insert(here.to_owned());
    }
}

fn begins_as_script(path: &Path) -> bool {
    let mut first = [0; 2];
    let read = fs_err::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut first));
    read.is_ok() && first == *b"#!"
}
