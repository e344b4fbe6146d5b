//! The `.env` file: variables of the project, below those of the environment.

#![expect(
    unsafe_code,
    reason = "the environment is written here, before there is a second thread that could read it"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use modelgate_config::dotenv::parse;
use modelgate_config::variables::{REFUSED, is_secret_of_service, is_taken_from_file};
use modelgate_pipeline::{PROJECT_FILE, keep_from_programs};

/// The file's name.
const FILE: &str = ".env";

/// What was found in the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Found {
    /// The file, as it is shown.
    shown: String,
    /// What is taken, with the line that it stands in.
    taken: BTreeMap<String, (String, usize)>,
    /// Variables that the service would refuse, with the line and with what takes their place.
    refused: Vec<(&'static str, usize, &'static str)>,
    /// Why what comes behind a line is doubtful.
    doubtful: Option<String>,
    /// Why nothing is known of what stands there.
    unread: Option<String>,
}

/// What this process has found, once.
static FOUND: OnceLock<Found> = OnceLock::new();

/// Takes into the environment what the file of the project says and the environment does not. It is for the first line of
/// the program: no other thread may run.
///
/// # Errors
/// Names the file and the line of a variable of ours that is none; never what stands there.
pub(crate) fn load() -> Result<(), String> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Where there is no such folder the command says so.
    let Ok(folder) = fs_err::canonicalize(folder(&words)) else { return Ok(()) };
    let found = read(&folder, &|name| std::env::var_os(name).is_some())?;
    for (name, (value, _)) in &found.taken {
        // SAFETY: main calls this before it starts anything, so this is the only thread.
        unsafe { std::env::set_var(name, value) };
    }
    let kept = found.taken.keys().filter(|name| is_secret_of_service(name));
    keep_from_programs(kept.cloned().collect());
    let _ = FOUND.set(found);
    Ok(())
}

/// Returns where a variable stands that was taken from the file.
pub(crate) fn place_of(name: &str) -> Option<String> {
    FOUND.get()?.place_of(name)
}

/// Returns an error with the places of the variables that it names, where they were taken from the file.
pub(crate) fn placed(error: &str) -> Cow<'_, str> {
    FOUND.get().map_or(Cow::Borrowed(error), |found| found.placed(error))
}

/// Returns what is to be said of the file whatever the command.
pub(crate) fn doubts() -> impl Iterator<Item = &'static str> {
    let found = FOUND.get();
    found.into_iter().flat_map(|found| [&found.doubtful, &found.unread]).flatten().map(String::as_str)
}

/// Returns what a service has to say of the file before it listens.
///
/// # Errors
/// Says why it may not be started: what could not be read may hold the keys of its callers.
pub(crate) fn of_service() -> Result<Vec<String>, String> {
    FOUND.get().map_or(Ok(Vec::new()), Found::of_service)
}

impl Found {
    fn place_of(&self, name: &str) -> Option<String> {
        self.taken.get(name).map(|(_, line)| format!("{}, line {line}", self.shown))
    }

    fn placed<'e>(&self, error: &'e str) -> Cow<'e, str> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let named: Vec<&str> = error.split(|letter| !is_part(letter)).collect();
        let places: Vec<String> = self
            .taken
            .keys()
            .filter(|name| named.contains(&name.as_str()))
            .filter_map(|name| Some(format!("{name} stands in {}", self.place_of(name)?)))
            .collect();
        if places.is_empty() {
            return Cow::Borrowed(error);
        }
        Cow::Owned(format!("{error} ({})", places.join("; ")))
    }

    fn of_service(&self) -> Result<Vec<String>, String> {
        if let Some(unread) = &self.unread {
            return Err(format!(
                "{unread}; it may hold the keys of callers, without which everybody may ask: let it be read, or move it \
                 elsewhere"
            ));
        }
        let shown = &self.shown;
        let refused = self.refused.iter().map(|(name, line, instead)| {
            format!("{shown}, line {line}: {name} is passed over, since other programs know it: {instead}")
        });
        // Names that every server knows: whoever shares the file with another one learns of it.
        let shared = ["HOST", "PORT"].iter().filter_map(|name| Some((name, self.place_of(name)?)));
        let shared = shared.map(|(name, place)| {
            format!("{name} is taken from {place}; `--{}` goes before it", name.to_lowercase())
        });
        Ok(refused.chain(shared).collect())
    }
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
fn read(folder: &Path, is_set: &dyn Fn(&str) -> bool) -> Result<Found, String> {
    let project = folder.ancestors().find(|above| above.join(PROJECT_FILE).is_file());
    let path = project.unwrap_or(folder).join(FILE);
    let shown = path.display().to_string();
    let mut found = Found { shown: shown.clone(), ..Found::default() };
    if !path.is_file() {
        return Ok(found);
    }
    let bytes = match fs_err::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            found.unread = Some(format!("{error}: nothing is taken from it"));
            return Ok(found);
        }
    };
    // As PowerShell writes it.
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        found.unread =
            Some(format!("{shown} is text in UTF-16, and nothing is taken from it: save it as UTF-8"));
        return Ok(found);
    }
    let said = parse(&bytes, &is_taken_from_file).map_err(|wrong| format!("{shown}: {wrong}"))?;
    found.doubtful = said.doubtful.map(|wrong| {
        format!("{shown}: {wrong}; the line is passed over, and what comes behind it is read for itself")
    });
    let entries = said.entries.into_iter().filter(|entry| !is_set(&entry.name));
    for entry in entries {
        if is_taken_from_file(&entry.name) {
            // Of a name that comes twice the last holds.
            found.taken.insert(entry.name, (entry.value, entry.line));
        } else if let Some((name, instead)) = REFUSED.iter().find(|(name, _)| *name == entry.name) {
            found.refused.push((name, entry.line, instead));
        }
    }
    // An empty value is none.
    found.taken.retain(|_, (value, _)| !value.is_empty());
    Ok(found)
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
        let found = |folder: &Path| read(folder, &|name| name == "HOST");
        let taken = |folder: &Path| found(folder).map(|found| found.taken);
        assert_eq!(taken(&below), Ok(BTreeMap::new()));
        write(&below.join(FILE), "PORT=1\n");
        write(
            &folder.path().join(FILE),
            "PORT=2\nPORT=3\nHOST=0.0.0.0\nLOG_LEVEL=\nPATH=/evil\nMODELGATE_ACTOR=somebody\n",
        );
        let port = |value: &str, line| Ok(BTreeMap::from([("PORT".to_owned(), (value.to_owned(), line))]));
        assert_eq!(taken(&below), port("1", 1));
        write(&folder.path().join(PROJECT_FILE), "");
        assert_eq!(taken(&below), port("3", 2));
        // What is wrong is told by its place, and not by what stands there; lines of others are theirs.
        write(&folder.path().join(FILE), "PORT=2\nHF_TOKEN secret\n");
        let told = taken(&below).expect_err("no variable");
        assert!(told.contains(".env: line 2: expected NAME=VALUE") && !told.contains("secret"), "{told}");
        fs_err::write(folder.path().join(FILE), b"PORT=2\nHF_TOKEN=\xff\n").expect("written");
        let told = taken(&below).expect_err("no text");
        assert!(told.contains(".env: line 2: the value is no text"), "{told}");
        fs_err::write(folder.path().join(FILE), b"# \xff\nBARE\nmy-key=1\nPORT=2\nA='secret\n")
            .expect("written");
        assert_eq!(taken(&below), port("2", 4));
        let told = found(&below).expect("read").doubtful.expect("a mark without an end");
        assert!(told.contains(".env: line 5: the quotation mark") && !told.contains("secret"), "{told}");
        // Some keep an environment of Python there.
        fs_err::remove_file(folder.path().join(FILE)).expect("removed");
        fs_err::create_dir(folder.path().join(FILE)).expect("made");
        assert_eq!(taken(&below), Ok(BTreeMap::new()));
    }

    #[test]
    fn a_service_is_told_what_the_file_does_to_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |text: &[u8]| {
            fs_err::write(folder.path().join(FILE), text).expect("written");
            read(folder.path(), &|_| false).expect("read")
        };
        let found = of(b"MODEL_NAME=gpt\nPORT=3000\nMODELGATE_THREADS=x\n");
        let said = found.of_service().expect("it starts");
        assert!(said[0].contains(".env, line 1: MODEL_NAME is passed over"), "{said:?}");
        assert!(
            said[1].starts_with("PORT is taken from ") && said[1].contains("line 2; `--port`"),
            "{said:?}"
        );
        assert_eq!((said.len(), found.taken.contains_key("MODEL_NAME")), (2, false));
        // An error about a variable says where it stands, one about another does not.
        let placed = found.placed("the environment variable MODELGATE_THREADS is `x`").into_owned();
        assert!(
            placed.contains("(MODELGATE_THREADS stands in ") && placed.ends_with(".env, line 3)"),
            "{placed}"
        );
        assert_eq!(found.placed("MODELGATE_THREADS_OF and IMPORT"), "MODELGATE_THREADS_OF and IMPORT");

        let found = of(b"\xff\xfeP\0O\0R\0T\0");
        assert!(found.taken.is_empty());
        assert!(found.of_service().expect_err("its keys may be there").contains("save it as UTF-8"));
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
