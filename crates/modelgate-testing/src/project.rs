//! A project in a temporary folder, and the binary run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Output {
    /// Checks the exit code.
    ///
    /// # Panics
    /// Shows what was printed when it is another.
    #[track_caller]
    #[must_use]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that stdout or stderr holds `text`.
    ///
    /// # Panics
    /// Shows what was printed when it does not.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        let said = format!("{}\n{}", self.stdout, self.stderr);
        assert!(said.contains(text), "`{text}` is not in:\n{said}");
        self
    }

    /// Checks that neither stdout nor stderr holds `text`.
    ///
    /// # Panics
    /// Shows what was printed when one does.
    #[track_caller]
    pub fn does_not_say(&self, text: &str) -> &Self {
        let said = format!("{}\n{}", self.stdout, self.stderr);
        assert!(!said.contains(text), "`{text}` is in:\n{said}");
        self
    }
}

/// A project in a temporary folder.
#[derive(Debug)]
pub struct TestProject {
    folder: TempDir,
    binary: PathBuf,
}

impl TestProject {
    /// Makes an empty project; `binary` is `env!("CARGO_BIN_EXE_modelgate")`.
    ///
    /// # Panics
    /// When there is no temporary folder.
    pub fn new(binary: &str) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), binary: PathBuf::from(binary) }
    }

    /// Makes a project with this data and configuration.
    ///
    /// # Panics
    /// When the files cannot be written.
    pub fn with(binary: &str, data: &str, config: &str) -> Self {
        let project = Self::new(binary);
        project.write("data.csv", data);
        project.write("modelgate.yaml", config);
        project
    }

    /// Makes a copy of one of the examples, with other data if it ships none.
    ///
    /// # Panics
    /// When the files cannot be copied.
    pub fn example(binary: &str, name: &str, data: Option<(&Path, &str)>) -> Self {
        let project = Self::new(binary);
        let source = crate::example(name);
        let config = fs_err::read_to_string(source.join("modelgate.yaml")).expect("an example");
        project.write("modelgate.yaml", &config);
        if let Ok(contracts) = fs_err::read_dir(source.join("contracts")) {
            for entry in contracts.flatten() {
                project.copy(&entry.path(), &format!("contracts/{}", entry.file_name().to_string_lossy()));
            }
        }
        match data {
            Some((from, to)) => project.copy(from, to),
            None => {
                for entry in fs_err::read_dir(source.join("data/raw")).expect("data") {
                    let path = entry.expect("entry").path();
                    let name = path.file_name().expect("name").to_string_lossy().into_owned();
                    project.copy(&path, &format!("data/raw/{name}"));
                }
            }
        }
        project
    }

    /// Makes a copy of one of the examples that read from `examples/data`; the project is the folder `name` below.
    ///
    /// # Panics
    /// When the files cannot be copied.
    pub fn example_with_shared_data(binary: &str, name: &str, table: &str) -> Self {
        let project = Self::new(binary);
        let config = format!("{name}/modelgate.yaml");
        project.copy(&crate::example(&config), &config);
        let table = format!("data/{table}");
        project.copy(&crate::example(&table), &table);
        project
    }

    fn copy(&self, from: &Path, to: &str) {
        let to = self.path(to);
        fs_err::create_dir_all(to.parent().expect("a folder")).expect("folder");
        fs_err::copy(from, to).expect("copied");
    }

    /// Returns a path in the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs_err::write(path, text).expect("written");
    }

    /// Reads a file.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).expect("read")
    }

    /// Reads a JSON file.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).expect("JSON")
    }

    /// Changes one text in a file.
    ///
    /// # Panics
    /// When the text is not there.
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "`{from}` is not in {name}");
        self.write(name, text.replacen(from, to, 1));
    }

    /// Returns the binary, to be run in the project without a terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        command.env("MODELGATE_ACTOR", "tester").env("NO_COLOR", "1");
        for name in [
            "MODELGATE_SEED",
            "MODELGATE_THREADS",
            "MODELGATE_REGISTRY_URI",
            "MODELGATE_DATA_REMOTE",
            "ORT_DYLIB_PATH",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the binary in the project.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("started");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
