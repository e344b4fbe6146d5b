//! A registry on an orphan branch of the project's git repository, by git's plumbing alone: no checkout, and
//! neither the work tree nor the user's index is touched.
//!
//! With a remote `origin` the branch is fetched before each read and pushed with a lease, so that of two
//! writers one is told to look again; without one the local branch is moved by compare-and-swap. `sides.rs` keeps the
//! one from being taken for the other.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use modelgate_core::Digest;
use modelgate_store::git::{PATIENCE, give_up_slow, output_within};
use modelgate_store::remote::without_credentials;

use crate::RegistryError;
use crate::home::{Home, Objects, Position, StoredObject, object_key};
use crate::kept;
use crate::stamp::Stamp;

mod copy;
mod refused;
mod sides;

const LEDGER: &str = "ledger.jsonl";
/// Commands that ask another machine.
const REMOTE: [&str; 3] = ["fetch", "push", "ls-remote"];
/// How often it is tried to move a reference that another process moves.
const LOCKED_TRIES: u64 = 10;

/// A branch of a git repository.
pub(crate) struct GitBranchHome {
    repository: PathBuf,
    branch: String,
    remote: bool,
    /// The commit that the last read saw.
    tip: Option<String>,
    /// The local copy of the branch's ledger; beside it stands which commit it is of, and how that one's ledger ends.
    copy: PathBuf,
    /// How long the remote may take.
    patience: Duration,
    /// What git said when a lock kept the branch where it was, until another writer moved it.
    locked: Option<String>,
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
            locked: None,
        };
        home.git(&["rev-parse", "--git-dir"], None)?;
        home.remote = home.remotes()?.iter().any(|name| name == "origin");
        Ok(home)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = modelgate_store::git::git(&self.repository);
        command.args(arguments);
        // An identity also where none is configured.
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
            give_up_slow(&mut command);
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
        let output = if asks_remote {
            output_within(child, self.patience)?.ok_or_else(|| {
                let (what, seconds) = (arguments[0], self.patience.as_secs());
                self.unavailable(&format!("git {what}: the remote did not answer within {seconds} s"))
            })?
        } else {
            child.wait_with_output()?
        };
        Ok((output.status.success(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned()))
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

    /// Returns the commit that a reference names, if there is one.
    fn commit_of(&self, reference: &str) -> Result<Option<String>, RegistryError> {
        let (found, output, errors) =
            self.try_git(&["rev-parse", "--verify", "--quiet", reference], None, None)?;
        // A branch that is there and cannot be read is not one that is not there.
        if !found && errors.contains("broken ref") {
            return Err(self.unavailable(&errors));
        }
        Ok(found.then(|| String::from_utf8_lossy(&output).trim().to_owned()))
    }

    /// Fetches the branch into a reference of ours and into no other; returns whether the remote has it.
    fn fetch(&self) -> Result<bool, RegistryError> {
        let refspec = format!("+{}:{}", self.local(), self.tracking());
        // Neither what the user fetched last nor her own reference to the branch is ours to change, and an editor that fetches in the
        // background holds their locks at times.
        let arguments =
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "origin", &refspec];
        for attempt in 1_u64.. {
            let (success, _, errors) = self.try_git(&arguments, None, None)?;
            if success {
                return Ok(true);
            }
            if errors.contains("couldn't find remote ref") {
                return Ok(false);
            }
            // Another command of ours moves that reference in the same clone.
            if attempt == LOCKED_TRIES || !errors.contains("cannot lock ref") {
                return Err(self.unavailable(&errors));
            }
            std::thread::sleep(Duration::from_millis(10 * attempt));
        }
        Ok(false)
    }

    /// Returns the branch's newest commit, fetched when there is a remote.
    fn newest(&self) -> Result<Option<String>, RegistryError> {
        let reference = if self.remote {
            if !self.fetch()? {
                return Ok(None);
            }
            self.tracking()
        } else {
            self.local()
        };
        self.commit_of(&reference)
    }

    /// Returns a file of a commit; `None` when that commit names no such file.
    fn file_of(&self, tip: &str, name: &str) -> Result<Option<Vec<u8>>, RegistryError> {
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

    /// Returns a file of the commit that the last read saw.
    fn file(&self, name: &str) -> Result<Option<Vec<u8>>, RegistryError> {
        let Some(tip) = &self.tip else { return Ok(None) };
        self.file_of(tip, name)
    }

    /// Returns the ledger of the commit that the last read saw: empty where there is no branch yet.
    fn recorded(&self) -> Result<Vec<u8>, RegistryError> {
        self.tip.as_deref().map_or(Ok(Vec::new()), |tip| self.ledger_of(tip))
    }

    /// Returns the ledger of a commit. Each commit of ours has one, so a branch without is no registry, and is not taken for
    /// an empty one.
    fn ledger_of(&self, tip: &str) -> Result<Vec<u8>, RegistryError> {
        self.file_of(tip, LEDGER)?.ok_or_else(|| {
            let reason = format!("its commit {tip} holds no `{LEDGER}`: nothing of ours wrote it");
            self.unavailable(&reason)
        })
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
    fn publish(&mut self, commit: &str) -> Result<bool, RegistryError> {
        self.locked = None;
        let old = self.tip.clone().unwrap_or_default();
        if !self.remote {
            let zero = "0".repeat(commit.len());
            let old = if old.is_empty() { zero } else { old };
            let (moved, _, errors) =
                self.try_git(&["update-ref", &self.local(), commit, &old], None, None)?;
            if moved {
                return Ok(true);
            }
            return if errors.contains("cannot lock ref") || errors.contains("but expected") {
                self.note_lock(&errors);
                self.lost_the_race()
            } else {
                Err(self.unavailable(&errors))
            };
        }
        let lease = format!("--force-with-lease={}:{old}", self.local());
        let refspec = format!("{commit}:{}", self.local());
        // The hook of the user's own pushes is about her code: it must neither hold up the ledger nor run for each event.
        let (pushed, output, errors) = self
            .try_git(&["push", "--no-verify", "--porcelain", &lease, "origin", &refspec], None, None)
            .map_err(RegistryError::of_unknown_outcome)?;
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
        if pushed {
            // This clone remembers what it wrote, as it does what it fetches; the next fetch would say the same.
            let _ = self.try_git(&["update-ref", &self.tracking(), commit], None, None);
            return Ok(true);
        }
        if raced.iter().any(|sign| said.contains(sign)) {
            self.note_lock(&said);
            return self.lost_the_race();
        }
        Err(self.not_taken(&said))
    }
}

impl Home for GitBranchHome {
    fn name(&self) -> String {
        format!("git branch `{}`{}", self.branch, if self.remote { " of origin" } else { "" })
    }

    /// The branch is one registry on whichever side it is kept: what was seen of it holds for both.
    fn key(&self) -> String {
        format!("git branch `{}`", self.branch)
    }

    fn ledger(&self) -> &Path {
        &self.copy
    }

    fn keeps_a_copy(&self) -> bool {
        true
    }

    fn pull(&mut self, again: bool) -> Result<(), RegistryError> {
        self.tip = self.newest()?;
        self.look_at_the_other_side()?;
        let copied = self.copied_commit();
        let of_this = copied.as_deref() == Some(self.tip.as_deref().unwrap_or_default());
        if !again && of_this {
            return Ok(());
        }
        let ledger = self.recorded()?;
        if of_this && fs_err::read(&self.copy).is_ok_and(|held| held == ledger) {
            return Ok(());
        }
        self.keep_what_is_lost(copied.as_deref(), &ledger)?;
        self.keep_copy(&ledger)
    }

    fn kept(&self, hash: &Digest) -> Option<String> {
        let kept = kept::with(&self.copy, hash)?;
        let lines = format!("`{}`, a copy of its lines, is here", kept.path.display());
        let reference = self.kept_reference(&kept.label);
        match self.commit_of(&reference) {
            Ok(Some(_)) => {
                Some(format!("`{reference}`, the commit that has them, is in this repository, and {lines}"))
            }
            _ => Some(lines),
        }
    }

    fn append(
        &mut self,
        expected: &Position,
        lines: &str,
        objects: &Objects,
    ) -> Result<Option<Stamp>, RegistryError> {
        let mut ledger = self.recorded()?;
        let held = ledger.get(..expected.end as usize);
        if held.is_none() || ledger[expected.end as usize..].contains(&b'\n') {
            return Ok(None);
        }
        // What was decided was decided on the copy: another text than the branch's is no ground for an event.
        if !held.is_some_and(|held| self.copy_begins_with(held)) {
            self.pull(true)?;
            return Ok(None);
        }
        ledger.truncate(expected.end as usize);
        ledger.extend_from_slice(lines.as_bytes());
        let commit = self.commit(&ledger, objects, &[])?;
        if !self.publish(&commit)? {
            return Ok(None);
        }
        self.tip = Some(commit);
        // The event is written, and the copy is one: that it cannot be kept is found at the next look.
        let stamp = self.keep_copy(&ledger).and_then(|()| Stamp::of(&self.copy));
        let own = stamp.ok().filter(|stamp| stamp.size() == ledger.len() as u64);
        Ok(Some(own.unwrap_or_else(Stamp::unknown)))
    }

    fn busy(&self, tries: u32) -> RegistryError {
        match &self.locked {
            None => RegistryError::Busy { home: self.name(), tries },
            Some(said) => RegistryError::Elsewhere {
                home: self.name(),
                what: format!(
                    "{said}, and that in {tries} attempts: a git that was killed has left that file; remove it when no other \
                     git is at work there"
                ),
            },
        }
    }

    fn keep(&mut self, objects: &Objects) -> Result<(), RegistryError> {
        for _ in 0..20 {
            self.pull(false)?;
            if self.change(objects, &[])? {
                return Ok(());
            }
        }
        Err(self.busy(20))
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let missing = || RegistryError::MissingObject { digest: *digest, home: self.name() };
        let bytes = self.file(&object_key(digest))?.ok_or_else(missing)?;
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        Err(RegistryError::DamagedObject { digest: *digest, home: self.name() })
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
mod tests;
