//! The pointer file of a data set, `data/NAME.modelgate`: small, committed to git, and enough to get the data back.

use std::fmt::Write;
use std::path::Path;

use modelgate_core::Digest;
use modelgate_store::ContentStore;
use serde::{Deserialize, Serialize};

use super::SnapshotError;
use crate::glob;

/// Up to this many files a pointer lists them itself; the list of more is an object of the store.
const LISTED: usize = 100;

/// What stands at the top of a project and says what a tool does.
const TOLD_BY: [&str; 2] = [".github", "modelgate.yaml"];

/// How the lines begin that git writes where both sides of a merge changed a file.
const MERGING: [&str; 3] = ["<<<<<<< ", ">>>>>>> ", "||||||| "];

/// A file of a snapshot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotFile {
    /// Its name below the project.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// What its bytes hash to.
    pub digest: Digest,
}

/// What a data set was at its last snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    /// The version of this form: 1.
    pub version: u32,
    /// The file, glob or folder, relative to the project.
    pub source: String,
    /// The data set's name: its only file's digest, or that of the list of its files.
    pub digest: Digest,
    /// How many files.
    pub files: u64,
    /// Bytes in all.
    pub size: u64,
    /// The files, when they are few.
    #[serde(default)]
    pub list: Option<Vec<SnapshotFile>>,
}

/// Returns the text that names a data set of these files, sorted by name: its digest is the data set's, unless there
/// is only one file.
///
/// # Errors
/// Never for values that came from [`super::take`].
pub fn manifest(files: &[SnapshotFile]) -> Result<Vec<u8>, std::io::Error> {
    // The canonical JSON of the list, written in one go: ten thousand files are some megabytes of it.
    let mut text = String::with_capacity(files.len() * 140);
    for (position, file) in files.iter().enumerate() {
        let name = serde_json::to_string(&file.name).map_err(std::io::Error::other)?;
        let separator = if position == 0 { '[' } else { ',' };
        let _ = write!(
            text,
            "{separator}{{\"digest\":\"{}\",\"name\":{name},\"size\":{}}}",
            file.digest, file.size
        );
    }
    text.push_str(if files.is_empty() { "[]" } else { "]" });
    Ok(text.into_bytes())
}

impl Pointer {
    /// Returns the pointer to these files, sorted by name.
    ///
    /// # Errors
    /// As [`manifest`].
    pub fn of(source: &str, files: &[SnapshotFile]) -> Result<Self, std::io::Error> {
        Ok(Self::with_manifest(source, files)?.0)
    }

    /// Returns the pointer to these files, sorted by name, and the text that its digest is of when it is not the
    /// only file's.
    ///
    /// # Errors
    /// As [`manifest`].
    pub(crate) fn with_manifest(
        source: &str,
        files: &[SnapshotFile],
    ) -> Result<(Self, Option<Vec<u8>>), std::io::Error> {
        let (digest, text) = match files {
            [only] => (only.digest, None),
            files => {
                let text = manifest(files)?;
                (Digest::of(&text), Some(text))
            }
        };
        let pointer = Self {
            version: 1,
            source: source.to_owned(),
            digest,
            files: files.len() as u64,
            size: files.iter().map(|file| file.size).sum(),
            list: (files.len() <= LISTED).then(|| files.to_vec()),
        };
        Ok((pointer, text))
    }

    /// Returns the pointer file's text.
    pub fn to_text(&self) -> String {
        // JSON strings are YAML strings; a name may hold anything.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = format!(
            "# A data set of modelgate as `modelgate data snapshot` found it. Commit this file, not the data.\n\
             version: 1\nsource: {}\ndigest: {}\nfiles: {}\nsize: {}\n",
            quoted(&self.source),
            self.digest,
            self.files,
            self.size
        );
        if let Some(list) = &self.list {
            text.push_str("list:\n");
            for file in list {
                let _ = writeln!(
                    text,
                    "- {{name: {}, size: {}, digest: \"{}\"}}",
                    quoted(&file.name),
                    file.size,
                    file.digest
                );
            }
        }
        text
    }

    /// Reads a pointer file's text; `path` is only for messages.
    ///
    /// # Errors
    /// Names the line of what is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SnapshotError> {
        let pointer = Self::parse_unchecked(text, path)?;
        if let Some(list) = &pointer.list {
            pointer.check(list).map_err(|message| SnapshotError::Pointer {
                path: path.to_owned(),
                line: None,
                message: format!("{message}; `modelgate data snapshot` of its source writes the file anew"),
            })?;
        }
        Ok(pointer)
    }

    /// As [`Self::parse`], whatever its list says: enough to write the file anew, and nothing to fetch by.
    ///
    /// # Errors
    /// Names the line of what is wrong.
    pub fn parse_unchecked(text: &str, path: &Path) -> Result<Self, SnapshotError> {
        let error = |line: Option<u64>, message: String| SnapshotError::Pointer {
            path: path.to_owned(),
            line,
            message,
        };
        if let Some(at) = text.lines().position(|line| MERGING.iter().any(|mark| line.starts_with(mark))) {
            let message = "both sides of a merge are in the file, between git's marks; take one (`git checkout --ours`, or \
                 `--theirs`, and the file), or remove it and `modelgate data snapshot` writes it for the data as they are";
            return Err(error(Some(at as u64 + 1), message.to_owned()));
        }
        let pointer: Self = serde_saphyr::from_str(text).map_err(|wrong| {
            let wrong = wrong.without_snippet();
            let line = wrong.location().map(|place| place.line());
            let text = wrong.to_string();
            let end = text.find(" at line ").unwrap_or(text.len());
            error(line, text[..end].lines().next().unwrap_or_default().to_owned())
        })?;
        if pointer.version != 1 {
            return Err(error(None, format!("this modelgate reads version 1, not {}", pointer.version)));
        }
        Ok(pointer)
    }

    /// Reads the pointer file `path`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn read(path: &Path) -> Result<Self, SnapshotError> {
        Self::parse(&fs_err::read_to_string(path)?, path)
    }

    /// Returns whether the source finds a file called `name`, where there is one.
    #[must_use]
    pub fn finds(&self, name: &str) -> bool {
        glob::finds(&self.source, name)
    }

    /// Refuses names that lead out of the project, into what tools are told by, and those that the source does not find: who
    /// reads the pointer file reads where its files go.
    pub(crate) fn check_names(&self, files: &[SnapshotFile]) -> Result<(), String> {
        for file in files {
            let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
            // `C:x` leads out of the project where drives have letters.
            let has_drive = cfg!(windows) && file.name.contains(':');
            if has_drive
                || !file.name.split('/').all(plain)
                || file.name.split('/').any(super::is_tools_folder)
            {
                return Err(format!("the name `{}` is not one of a file below the project", file.name));
            }
            if TOLD_BY
                .iter()
                .any(|own| file.name.split('/').next().is_some_and(|top| top.eq_ignore_ascii_case(own)))
            {
                return Err(format!(
                    "the name `{}` is not one of data: a tool does what stands there",
                    file.name
                ));
            }
            if !self.finds(&file.name) {
                return Err(format!(
                    "the name `{}` is none that its source, `{}`, finds",
                    file.name, self.source
                ));
            }
        }
        Ok(())
    }

    /// Says how `files` are not what the pointer says.
    fn check(&self, files: &[SnapshotFile]) -> Result<(), String> {
        self.check_names(files)?;
        if !files.windows(2).all(|pair| pair[0].name < pair[1].name) {
            return Err("the files are not sorted by name, or one is there twice".to_owned());
        }
        match Self::of(&self.source, files) {
            Ok(of) if of.digest == self.digest && of.size == self.size && of.files == self.files => Ok(()),
            _ => Err("the list of files does not have the digest, number and size that stand above it; \
                 take the file from git again"
                .to_owned()),
        }
    }

    /// Returns the object that holds the list of files, when there is one: for every data set but that of one file.
    pub fn manifest_object(&self) -> Option<Digest> {
        (self.files != 1 || self.list.is_none()).then_some(self.digest)
    }

    /// Returns the files: from the pointer, or from the object that lists them.
    ///
    /// # Errors
    /// Fails when that object is not in the store or is damaged.
    pub fn list(&self, store: &ContentStore, path: &Path) -> Result<Vec<SnapshotFile>, SnapshotError> {
        if let Some(list) = &self.list {
            return Ok(list.clone());
        }
        let error = |message: String| SnapshotError::Pointer { path: path.to_owned(), line: None, message };
        let bytes = store.get(&self.digest)?;
        let files: Vec<SnapshotFile> = serde_json::from_slice(&bytes)
            .map_err(|wrong| error(format!("the object {} is no list of files: {wrong}", self.digest)))?;
        self.check(&files).map_err(error)?;
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> SnapshotFile {
        SnapshotFile { name: name.to_owned(), size: 1, digest: Digest::of(name.as_bytes()) }
    }

    fn parse(text: &str) -> Result<Pointer, SnapshotError> {
        Pointer::parse(text, Path::new("data/x.modelgate"))
    }

    #[test]
    fn a_pointer_reads_back_as_it_was_written() {
        let files = [file("data/a \"quoted\" \u{1f600}.csv"), file("data/b: c.csv")];
        let pointer = Pointer::of("data", &files).expect("pointer");
        assert_eq!(parse(&pointer.to_text()).expect("read"), pointer);
        assert_eq!(pointer.manifest_object(), Some(pointer.digest));
        let one = Pointer::of("data/a.csv", &files[..1]).expect("pointer");
        assert_eq!((one.digest, one.manifest_object()), (files[0].digest, None));
    }

    #[test]
    fn the_list_is_the_canonical_json_of_the_files() {
        for number in [0, 1, 3] {
            let files: Vec<_> = ["a \"b\"\n", "c", "\u{1f600}"].into_iter().take(number).map(file).collect();
            let canonical = modelgate_core::canonical::to_string(&files).expect("json");
            assert_eq!(manifest(&files).expect("manifest"), canonical.into_bytes());
        }
    }

    #[test]
    fn a_long_list_is_kept_as_an_object() {
        let folder = tempfile::tempdir().expect("folder");
        let store = ContentStore::new(folder.path());
        let files: Vec<_> = (100..300).map(|number| file(&format!("data/{number}"))).collect();
        let pointer = Pointer::of("data", &files).expect("pointer");
        assert!(pointer.list.is_none() && pointer.to_text().len() < 300);
        let path = Path::new("data/x.modelgate");
        assert!(pointer.list(&store, path).is_err());
        store.put(&manifest(&files).expect("manifest")).expect("put");
        assert_eq!(pointer.list(&store, path).expect("list"), files);
    }

    #[test]
    fn what_git_left_of_a_merge_is_named_with_a_way_out() {
        let [ours, theirs] = [1, 2].map(|number| {
            let files: Vec<_> = ["data/a", "data/b"].into_iter().take(number).map(file).collect();
            Pointer::of("data", &files).expect("pointer").to_text()
        });
        let merged = format!("# A\n<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> branch\n");
        let error = parse(&merged).expect_err("both sides").to_string();
        assert!(error.contains("data/x.modelgate:2") && error.contains("git checkout --ours"), "{error}");
        assert!(error.contains("`modelgate data snapshot` writes it"), "{error}");
    }

    #[test]
    fn what_is_not_right_is_refused_with_its_place() {
        let good = Pointer::of("data", &[file("data/a"), file("data/b")]).expect("pointer").to_text();
        for (from, to, message) in [
            ("version: 1", "version: 2", "reads version 1"),
            ("data/a", "../../etc/passwd", "below the project"),
            ("data/a", ".git/hooks/post-checkout", "below the project"),
            ("data/a", "data/.GIT/hooks/post-checkout", "below the project"),
            ("data/a", ".modelgate/ledger.jsonl", "below the project"),
            ("data/a", ".GitHub/workflows/x.yml", "not one of data"),
            ("data/a", "modelgate.yaml", "not one of data"),
            ("data/a", "conftest.py", "its source, `data`, finds"),
            ("data/a", "data/c", "sorted"),
            ("files: 2", "files: 3", "does not have the digest"),
            ("files: 2", "filed: 2", "unknown field"),
            ("sha256:", "sha1:", "is not a digest"),
        ] {
            let error = parse(&good.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(error.contains("data/x.modelgate") && error.contains(message), "{error}");
        }
    }
}
