//! The `.env` file: variables of the project, below those of the environment.

#![expect(
    unsafe_code,
    reason = "the environment is written here, before there is a second thread that could read it"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use modelgate_config::dotenv::parse;
use modelgate_config::variables::is_taken_from_file;
use modelgate_pipeline::PROJECT_FILE;

/// The file's name.
const FILE: &str = ".env";

/// Takes into the environment what the file of the project says and the environment does not. It is for the first line of
/// the program: no other thread may run.
///
/// # Errors
/// Names the file and the line that is none, or says why the file cannot be read; never what stands there.
pub(crate) fn load() -> Result<(), String> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Where there is no such folder the command says so.
    let Ok(folder) = fs_err::canonicalize(folder(&words)) else { return Ok(()) };
    for (name, value) in read(&folder, &|name| std::env::var_os(name).is_some())? {
        // SAFETY: main calls this before it starts anything, so this is the only thread.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

/// Returns the folder that the command works in, as the words of the command line name it.
fn folder(words: &[OsString]) -> PathBuf {
    let mut words = words.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    while let Some(word) = words.next() {
        let behind = |start: &str| word.strip_prefix(start).map(str::to_owned);
        let long = behind("--project-dir=");
        // `-C DIR`, `-CDIR`, `-C=DIR`, each behind `-q` too.
        let short = word.strip_prefix('-').map(|rest| rest.trim_start_matches('q'));
        let short = short.and_then(|rest| rest.strip_prefix('C')).map(str::to_owned);
        let named = match (word.as_ref(), long, short) {
            ("--project-dir", ..) => words.next().map(Cow::into_owned),
            (_, Some(named), _) => Some(named),
            (_, None, Some(rest)) if rest.is_empty() => words.next().map(Cow::into_owned),
            (_, None, Some(rest)) => Some(rest.strip_prefix('=').unwrap_or(&rest).to_owned()),
            (_, None, None) => continue,
        };
        return named.map_or_else(|| PathBuf::from("."), PathBuf::from);
    }
    PathBuf::from(".")
}

/// Returns what the file of the project around `folder`, else that of `folder`, says and is not set. A folder or a pipe of
/// this name is none of ours.
fn read(folder: &Path, is_set: &dyn Fn(&str) -> bool) -> Result<BTreeMap<String, String>, String> {
    let project = folder.ancestors().find(|above| above.join(PROJECT_FILE).is_file());
    let path = project.unwrap_or(folder).join(FILE);
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let shown = path.display();
    let bytes = fs_err::read(&path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        format!("{shown}: line {line}: it is no text in UTF-8")
    })?;
    let entries = parse(&text).map_err(|wrong| format!("{shown}: {wrong}"))?;
    // Of a name that comes twice the last holds, and an empty value is none.
    let mut said: BTreeMap<String, String> =
        entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
    said.retain(|name, value| !value.is_empty() && is_taken_from_file(name) && !is_set(name));
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_project_is_read_below_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("below");
        fs_err::create_dir(&below).expect("made");
        let write = |path: &Path, text: &str| fs_err::write(path, text).expect("written");
        let read = |folder: &Path| read(folder, &|name| name == "HOST");
        assert_eq!(read(&below), Ok(BTreeMap::new()));
        write(&below.join(FILE), "PORT=1\n");
        write(
            &folder.path().join(FILE),
            "PORT=2\nPORT=3\nHOST=0.0.0.0\nLOG_LEVEL=\nPATH=/evil\nMODELGATE_ACTOR=somebody\n",
        );
        let port = |value: &str| Ok(BTreeMap::from([("PORT".to_owned(), value.to_owned())]));
        assert_eq!(read(&below), port("1"));
        write(&folder.path().join(PROJECT_FILE), "");
        assert_eq!(read(&below), port("3"));
        // What is wrong is told by its place, and not by what stands there.
        write(&folder.path().join(FILE), "PORT=2\nsecret\n");
        let told = read(&below).expect_err("no variable");
        assert!(told.contains(".env: line 2: expected NAME=VALUE") && !told.contains("secret"), "{told}");
        fs_err::write(folder.path().join(FILE), b"PORT=2\nHF_TOKEN=\xff\n").expect("written");
        let told = read(&below).expect_err("no text");
        assert!(told.contains(".env: line 2: it is no text"), "{told}");
        // Some keep an environment of Python there.
        fs_err::remove_file(folder.path().join(FILE)).expect("removed");
        fs_err::create_dir(folder.path().join(FILE)).expect("made");
        assert_eq!(read(&below), Ok(BTreeMap::new()));
    }

    #[test]
    fn the_folder_is_that_of_the_command_line() {
        for (words, expected) in [
            ("status", "."),
            ("-C there status", "there"),
            ("-Cthere status", "there"),
            ("status -qC there", "there"),
            ("status --project-dir there", "there"),
            ("--project-dir=there status", "there"),
            ("-C=there status", "there"),
            ("-q status", "."),
            ("run -- -C there", "."),
            ("status -C", "."),
        ] {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            assert_eq!(folder(&words), Path::new(expected), "{words:?}");
        }
    }
}
