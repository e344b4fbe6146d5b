//! A registry on an orphan branch of the project's git repository, by git's plumbing alone: no checkout, and
//! neither the work tree nor the user's index is touched.
//!
//! With a remote `origin` the branch is fetched before each read and pushed with a lease, so that of two
//! writers one is told to look again; without one the local branch is moved by compare-and-swap.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use modelgate_core::Digest;
use modelgate_store::remote::without_credentials;

use crate::RegistryError;
use crate::home::{Home, Objects, Position, StoredObject, object_key};
use crate::stamp::Stamp;

const LEDGER: &str = "ledger.jsonl";
/// Commands that ask another machine.
const REMOTE: [&str; 2] = ["fetch", "push"];
/// How long one may take. A first fetch brings every package with it.
const PATIENCE: Duration = Duration::from_secs(300);
/// A connection over HTTP that brings next to nothing for so many seconds is given up, unless the user set this.
const LOW_SPEED: [(&str, &str); 2] = [("GIT_HTTP_LOW_SPEED_LIMIT", "100"), ("GIT_HTTP_LOW_SPEED_TIME", "20")];

/// Reads a pipe to its end, beside whoever waits.
fn heard(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks off has said what it had to.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// A branch of a git repository.
pub(crate) struct GitBranchHome {
    repository: PathBuf,
    branch: String,
    remote: bool,
    /// The commit that the last read saw.
    tip: Option<String>,
    /// The local copy of the branch's ledger; beside it stands the commit that it is of.
    copy: PathBuf,
    /// How long the remote may take.
    patience: Duration,
}

impl GitBranchHome {
    pub(crate) fn new(repository: &Path, branch: &str, state_folder: &Path) -> Result<Self, RegistryError> {
        let name = Digest::of(format!("git {branch}").as_bytes()).short();
        let mut home = Self {
            repository: repository.to_owned(),
            branch: branch.to_owned(),
            remote: false,
            tip: None,
            copy: state_folder.join("cache").join("ledgers").join(format!("{name}.jsonl")),
            patience: PATIENCE,
        };
        home.git(&["rev-parse", "--git-dir"], None)?;
        let remotes = home.git(&["remote"], None)?;
        home.remote = remotes.lines().any(|name| name == "origin");
        Ok(home)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.repository).args(arguments);
        // English messages, no question on the terminal, and an identity also where none is configured.
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "modelgate")
                .env(format!("GIT_{role}_EMAIL"), "modelgate@localhost");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn unavailable(&self, reason: &str) -> RegistryError {
        RegistryError::Unavailable { home: self.name(), reason: without_credentials(reason.trim()) }
    }

    /// Runs git and returns its output and whether it succeeded.
    fn try_git(
        &self,
        arguments: &[&str],
        input: Option<&[u8]>,
        index: Option<&Path>,
    ) -> Result<(bool, Vec<u8>, String), RegistryError> {
        let mut command = self.command(arguments);
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index);
        }
        let asks_remote = REMOTE.contains(&arguments[0]);
        if asks_remote {
            for (name, value) in LOW_SPEED.iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
                command.env(name, value);
            }
        }
        let mut child = command
            .spawn()
            .map_err(|error| self.unavailable(&format!("cannot start git: {error}; is it installed?")))?;
        if let Some(mut stdin) = child.stdin.take()
            && let Some(input) = input
        {
            // git may close its input early; its exit status is what counts.
            let _ = stdin.write_all(input);
        }
        if asks_remote {
            return self.within(child, self.patience, arguments[0]);
        }
        let output = child.wait_with_output()?;
        Ok((output.status.success(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Waits for a command that waits for another machine, and ends it when that takes too long.
    fn within(
        &self,
        mut child: Child,
        patience: Duration,
        what: &str,
    ) -> Result<(bool, Vec<u8>, String), RegistryError> {
        // Each pipe is read by a thread: whoever fills one and waits would never end.
        let (output, errors) = (heard(child.stdout.take()), heard(child.stderr.take()));
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() >= patience {
                let _ = child.kill();
                let _ = child.wait();
                let seconds = patience.as_secs();
                return Err(
                    self.unavailable(&format!("git {what}: the remote did not answer within {seconds} s"))
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // A helper of git's that outlives it may hold the pipes open; what git itself said is there.
        let wait = Duration::from_secs(5);
        let (output, errors) = (output.recv_timeout(wait), errors.recv_timeout(wait));
        let (output, errors) = (output.unwrap_or_default(), errors.unwrap_or_default());
        Ok((status.success(), output, String::from_utf8_lossy(&errors).into_owned()))
    }

    fn git_bytes(
        &self,
        arguments: &[&str],
        input: Option<&[u8]>,
        index: Option<&Path>,
    ) -> Result<Vec<u8>, RegistryError> {
        let (success, output, errors) = self.try_git(arguments, input, index)?;
        if success { Ok(output) } else { Err(self.unavailable(&format!("git {}: {errors}", arguments[0]))) }
    }

    fn git(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<String, RegistryError> {
        let output = self.git_bytes(arguments, input, None)?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    fn local(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    fn tracking(&self) -> String {
        format!("refs/modelgate/origin/{}", self.branch)
    }

    /// Returns the branch's newest commit, fetched when there is a remote.
    fn newest(&self) -> Result<Option<String>, RegistryError> {
        let reference = if self.remote {
            let refspec = format!("+{}:{}", self.local(), self.tracking());
            let (success, _, errors) =
                self.try_git(&["fetch", "--quiet", "--no-tags", "origin", &refspec], None, None)?;
            if !success {
                if errors.contains("couldn't find remote ref") {
                    return Ok(None);
                }
                return Err(self.unavailable(&errors));
            }
            self.tracking()
        } else {
            self.local()
        };
        let (found, output, errors) =
            self.try_git(&["rev-parse", "--verify", "--quiet", &reference], None, None)?;
        // A branch that is there and cannot be read is not one that is not there.
        if !found && errors.contains("broken ref") {
            return Err(self.unavailable(&errors));
        }
        Ok(found.then(|| String::from_utf8_lossy(&output).trim().to_owned()))
    }

    /// Returns a file of the commit that the last read saw; `None` when that commit names no such file.
    fn file(&self, name: &str) -> Result<Option<Vec<u8>>, RegistryError> {
        let Some(tip) = &self.tip else { return Ok(None) };
        let (found, bytes, errors) =
            self.try_git(&["cat-file", "blob", &format!("{tip}:{name}")], None, None)?;
        if found {
            return Ok(Some(bytes));
        }
        // Only the tree tells a file that is not there from one that cannot be read: a damaged or partial clone, a disk
        // that is full.
        let named = self.git(&["ls-tree", "--full-tree", tip, "--", name], None)?;
        if named.is_empty() { Ok(None) } else { Err(self.unavailable(&format!("git cat-file: {errors}"))) }
    }

    /// Returns the ledger of the commit that the last read saw: empty where there is no branch yet. Each commit of ours has
    /// one, so a branch without is no registry, and is not taken for an empty one.
    fn recorded(&self) -> Result<Vec<u8>, RegistryError> {
        match (self.file(LEDGER)?, &self.tip) {
            (Some(ledger), _) => Ok(ledger),
            (None, None) => Ok(Vec::new()),
            (None, Some(tip)) => {
                let reason = format!("its commit {tip} holds no `{LEDGER}`: nothing of ours wrote it");
                Err(self.unavailable(&reason))
            }
        }
    }

    /// Returns the file that says which commit the copy is of.
    fn copied(&self) -> PathBuf {
        self.copy.with_extension("commit")
    }

    fn keep_copy(&self, ledger: &[u8]) -> Result<(), RegistryError> {
        // A copy of an unknown commit is fetched again: killed between the two writes, nothing is wrong.
        match fs_err::remove_file(self.copied()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        modelgate_store::atomic::write(&self.copy, ledger)?;
        let tip = self.tip.clone().unwrap_or_default();
        Ok(modelgate_store::atomic::write(&self.copied(), tip.as_bytes())?)
    }

    /// Adds and removes objects on top of what the last read saw; the ledger stays. Returns `false`, having changed
    /// nothing, when another writer was faster.
    fn change(&mut self, added: &Objects, gone: &[Digest]) -> Result<bool, RegistryError> {
        let ledger = self.recorded()?;
        let commit = self.commit(&ledger, added, gone)?;
        if !self.publish(&commit)? {
            return Ok(false);
        }
        self.tip = Some(commit);
        self.keep_copy(&ledger)?;
        Ok(true)
    }

    fn commit(&self, ledger: &[u8], objects: &Objects, gone: &[Digest]) -> Result<String, RegistryError> {
        let folder = tempfile::tempdir()?;
        let index = folder.path().join("index");
        if let Some(tip) = &self.tip {
            self.git_bytes(&["read-tree", tip], None, Some(&index))?;
        }
        let mut listing = String::new();
        let mut add = |name: &str, bytes: &[u8]| -> Result<(), RegistryError> {
            let blob = self.git(&["hash-object", "-w", "--stdin"], Some(bytes))?;
            listing.push_str(&format!("100644 {blob}\t{name}\n"));
            Ok(())
        };
        add(LEDGER, ledger)?;
        for (digest, bytes) in objects {
            add(&object_key(digest), bytes)?;
        }
        let zero = "0".repeat(self.tip.as_ref().map_or(40, String::len));
        for digest in gone {
            listing.push_str(&format!("0 {zero}\t{}\n", object_key(digest)));
        }
        self.git_bytes(&["update-index", "--add", "--index-info"], Some(listing.as_bytes()), Some(&index))?;
        let tree = self.git_bytes(&["write-tree"], None, Some(&index))?;
        let tree = String::from_utf8_lossy(&tree).trim().to_owned();
        let message = "modelgate: append to the ledger";
        match &self.tip {
            Some(tip) => self.git(&["commit-tree", &tree, "-p", tip, "-m", message], None),
            None => self.git(&["commit-tree", &tree, "-m", message], None),
        }
    }

    /// Moves the branch to `commit` if it is still where the last read saw it.
    fn publish(&self, commit: &str) -> Result<bool, RegistryError> {
        let old = self.tip.clone().unwrap_or_default();
        if !self.remote {
            let zero = "0".repeat(commit.len());
            let old = if old.is_empty() { zero } else { old };
            let (moved, _, errors) =
                self.try_git(&["update-ref", &self.local(), commit, &old], None, None)?;
            return if moved || errors.contains("cannot lock ref") || errors.contains("but expected") {
                Ok(moved)
            } else {
                Err(self.unavailable(&errors))
            };
        }
        let lease = format!("--force-with-lease={}:{old}", self.local());
        let refspec = format!("{commit}:{}", self.local());
        let (pushed, output, errors) =
            self.try_git(&["push", "--porcelain", &lease, "origin", &refspec], None, None)?;
        let said = format!("{}{errors}", String::from_utf8_lossy(&output));
        // Another writer's push shows as a stale lease, or, when both arrive at once, as a ref that is locked.
        let raced = [
            "stale info",
            "[rejected]",
            "cannot lock ref",
            "fetch first",
            "failed to update ref",
            "already exists",
        ];
        if pushed || raced.iter().any(|sign| said.contains(sign)) {
            return Ok(pushed);
        }
        Err(self.unavailable(&said))
    }
}

impl Home for GitBranchHome {
    fn name(&self) -> String {
        format!("git branch `{}`{}", self.branch, if self.remote { " of origin" } else { "" })
    }

    fn ledger(&self) -> &Path {
        &self.copy
    }

    fn pull(&mut self, again: bool) -> Result<(), RegistryError> {
        self.tip = self.newest()?;
        let copied = fs_err::read_to_string(self.copied()).ok();
        if !again && self.copy.is_file() && copied == Some(self.tip.clone().unwrap_or_default()) {
            return Ok(());
        }
        self.keep_copy(&self.recorded()?)
    }

    fn append(
        &mut self,
        expected: &Position,
        lines: &str,
        objects: &Objects,
    ) -> Result<Option<Stamp>, RegistryError> {
        let mut ledger = self.recorded()?;
        if (ledger.len() as u64) < expected.end || ledger[expected.end as usize..].contains(&b'\n') {
            return Ok(None);
        }
        ledger.truncate(expected.end as usize);
        ledger.extend_from_slice(lines.as_bytes());
        let commit = self.commit(&ledger, objects, &[])?;
        if !self.publish(&commit)? {
            return Ok(None);
        }
        self.tip = Some(commit);
        self.keep_copy(&ledger)?;
        Stamp::of(&self.copy).map(Some)
    }

    fn keep(&mut self, objects: &Objects) -> Result<(), RegistryError> {
        for _ in 0..20 {
            self.pull(false)?;
            if self.change(objects, &[])? {
                return Ok(());
            }
        }
        Err(RegistryError::Busy { home: self.name(), tries: 20 })
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let missing = || RegistryError::MissingObject { digest: *digest, home: self.name() };
        let bytes = self.file(&object_key(digest))?.ok_or_else(missing)?;
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        Err(self.unavailable(&format!("the object {digest} is damaged")))
    }

    fn objects(&self) -> Result<Vec<StoredObject>, RegistryError> {
        let Some(tip) = &self.tip else { return Ok(Vec::new()) };
        let listing = self.git(&["ls-tree", "-r", "-l", "--full-tree", tip, "objects/sha256/"], None)?;
        // Each line: mode, kind, blob, size, tab, path.
        let object = |line: &str| {
            let (about, path) = line.split_once('\t')?;
            let hex = path.strip_prefix("objects/sha256/")?.replace('/', "");
            let digest = format!("sha256:{hex}").parse().ok()?;
            let bytes = about.split_whitespace().nth(3)?.parse().ok()?;
            Some(StoredObject { digest, bytes, touched: None })
        };
        Ok(listing.lines().filter_map(object).collect())
    }

    /// The branch no longer holds them; its history still does, until the repository is told to forget it.
    fn remove(&mut self, expected: &Position, digests: &[Digest]) -> Result<bool, RegistryError> {
        // The copy is of the tip, which the push's lease holds; who read less of it has to look again.
        let ledger = self.recorded()?;
        if ledger.len() as u64 != expected.end {
            return Ok(false);
        }
        self.change(&Objects::new(), digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs git in a folder, which must succeed, and returns what it says.
    #[track_caller]
    fn git(folder: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]);
        let output = command.args(arguments).output().expect("git");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn home(repository: &Path, state: &Path) -> GitBranchHome {
        GitBranchHome::new(repository, "modelgate", state).expect("a home")
    }

    /// A repository with a branch of ours, whose ledger has one line, and an object.
    fn repository() -> (tempfile::TempDir, Objects) {
        let folder = tempfile::tempdir().expect("a folder");
        git(folder.path(), &["init", "--quiet"]);
        let objects = Objects::from([(Digest::of(b"package"), b"package".to_vec())]);
        let mut writer = home(folder.path(), &folder.path().join("writer"));
        writer.pull(false).expect("there is no branch yet");
        assert!(writer.recorded().expect("an empty ledger").is_empty());
        writer.append(&Position::default(), "{\"seq\":1}\n", &objects).expect("written").expect("won");
        (folder, objects)
    }

    /// Removes the loose object that the branch has under `name`, as a damaged or partial clone lacks it.
    fn lose(repository: &Path, name: &str) {
        let blob = git(repository, &["rev-parse", &format!("modelgate:{name}")]);
        let path = repository.join(".git/objects").join(&blob[..2]).join(&blob[2..]);
        fs_err::remove_file(path).expect("a loose object");
    }

    #[test]
    fn a_ledger_that_git_cannot_read_is_not_an_empty_one() {
        let (folder, objects) = repository();
        let tip = git(folder.path(), &["rev-parse", "modelgate"]);
        let mut stale = home(folder.path(), &folder.path().join("writer"));
        stale.pull(false).expect("the copy is there");
        lose(folder.path(), LEDGER);
        let is_told = |error: RegistryError| {
            let error = error.to_string();
            assert!(
                error.contains("could not be reached: git cat-file: ") && error.contains("bad"),
                "{error}"
            );
        };
        is_told(home(folder.path(), &folder.path().join("reader")).pull(false).expect_err("no ledger"));
        let copy = fs_err::read(stale.ledger()).expect("a copy");
        is_told(stale.pull(true).expect_err("no ledger"));
        assert_eq!(fs_err::read(stale.ledger()).expect("a copy"), copy);
        // Neither with what was read of it nor as the first to write.
        let after = Position { end: copy.len() as u64, ..Position::default() };
        for expected in [after, Position::default()] {
            is_told(stale.append(&expected, "{\"seq\":2}\n", &objects).expect_err("no ledger"));
        }
        let more = Objects::from([(Digest::of(b"more"), b"more".to_vec())]);
        is_told(stale.keep(&more).expect_err("no ledger"));
        is_told(stale.remove(&after, &[Digest::of(b"package")]).expect_err("no ledger"));
        assert_eq!(git(folder.path(), &["rev-parse", "modelgate"]), tip, "the branch has not moved");
    }

    #[test]
    fn an_object_that_git_cannot_read_is_not_one_that_is_missing() {
        let (folder, objects) = repository();
        let mut home = home(folder.path(), &folder.path().join("reader"));
        home.pull(false).expect("read");
        let (digest, bytes) = objects.first_key_value().expect("an object");
        assert_eq!(home.get(digest).expect("read"), *bytes);
        let missing = home.get(&Digest::of(b"another")).expect_err("nobody put it");
        assert!(matches!(missing, RegistryError::MissingObject { .. }), "{missing}");
        lose(folder.path(), &object_key(digest));
        let lost = home.get(digest).expect_err("gone");
        assert!(matches!(lost, RegistryError::Unavailable { .. }), "{lost}");
    }

    #[test]
    fn a_branch_of_something_else_is_not_taken_for_an_empty_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        git(folder.path(), &["init", "--quiet", "--initial-branch", "modelgate"]);
        git(folder.path(), &["commit", "--quiet", "--allow-empty", "--message", "mine"]);
        let tip = git(folder.path(), &["rev-parse", "modelgate"]);
        let mut home = home(folder.path(), &folder.path().join("state"));
        let error = home.pull(false).expect_err("no ledger").to_string();
        assert!(error.contains(&format!("its commit {tip} holds no `ledger.jsonl`")), "{error}");
        home.append(&Position::default(), "{\"seq\":1}\n", &Objects::new()).expect_err("no ledger");
        assert_eq!(git(folder.path(), &["rev-parse", "modelgate"]), tip);
    }

    #[test]
    fn a_branch_that_is_damaged_is_not_one_that_is_missing() {
        let (folder, _) = repository();
        fs_err::write(folder.path().join(".git/refs/heads/modelgate"), "").expect("cut off by a crash");
        let error = home(folder.path(), &folder.path().join("reader")).pull(false).expect_err("broken");
        assert!(error.to_string().contains("broken ref"), "{error}");
    }

    #[test]
    fn a_project_below_its_repository_sees_the_same_files() {
        let (folder, objects) = repository();
        let project = folder.path().join("models/churn");
        fs_err::create_dir_all(&project).expect("a folder");
        let mut home = home(&project, &project.join("state"));
        home.pull(false).expect("read");
        assert_eq!(fs_err::read_to_string(home.ledger()).expect("a copy"), "{\"seq\":1}\n");
        let found: Vec<Digest> = home.objects().expect("listed").iter().map(|found| found.digest).collect();
        assert_eq!(found, objects.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn a_remote_that_takes_the_connection_and_says_nothing_is_given_up() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        std::thread::spawn(move || {
            // Connections are held open until the test ends.
            let held: Vec<_> = socket.incoming().collect();
            drop(held);
        });
        let folder = tempfile::tempdir().expect("a folder");
        git(folder.path(), &["init", "--quiet"]);
        git(folder.path(), &["remote", "add", "origin", &format!("git://{address}/nothing")]);
        let mut home = home(folder.path(), folder.path());
        home.patience = Duration::from_secs(1);
        let began = Instant::now();
        let error = home.pull(false).expect_err("nobody answers").to_string();
        assert!(error.contains("the remote did not answer within 1 s"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
