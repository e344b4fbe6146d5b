//! Why a branch was not moved: another writer was faster, a branch of another name is in its way, or whoever asks may not.

use modelgate_store::remote::without_credentials;

use super::GitBranchHome;
use crate::RegistryError;
use crate::home::Home;

/// What a server says, once it was reached, to somebody who may not write the branch.
const FORBIDDEN: [&str; 6] = [
    "[remote rejected]",
    "ermission to ",
    "returned error: 403",
    "read only",
    "not allowed to push",
    "ccess denied",
];

impl GitBranchHome {
    /// Keeps what git says of a lock's file that is there: another git at work lets go of it, one that was killed never does.
    pub(super) fn note_lock(&mut self, said: &str) {
        let line = said.lines().find(|line| line.contains("Unable to create"));
        self.locked = line
            .and_then(|line| line.find("Unable to create").map(|at| &line[at..]))
            .map(|words| without_credentials(words.trim().trim_end_matches(['.', ')'])));
    }

    /// Answers for a branch that is not where the last read saw it: another writer was faster. Where there was no branch yet,
    /// one whose name begins with this one's keeps it from being made, and would do so for ever.
    pub(super) fn lost_the_race(&self) -> Result<bool, RegistryError> {
        if self.tip.is_some() {
            return self.is_pushed_where_it_is_fetched().map(|()| false);
        }
        let Some(other) = self.in_the_way()? else { return Ok(false) };
        let branch = &self.branch;
        let place = if self.remote { " of `origin`" } else { "" };
        let remove = if self.remote {
            format!("`git push origin origin/{other}:refs/heads/NEW :refs/heads/{other}`")
        } else {
            format!("`git branch -m {other} NEW`")
        };
        Err(RegistryError::Elsewhere {
            home: self.name(),
            what: format!(
                "git cannot make the branch `{branch}` beside the branch `{other}`{place}: give that one another name ({remove}), \
                 or the registry another branch in `registry.uri`"
            ),
        })
    }

    /// Refuses where pushes of `origin` go to a repository that lacks the branch which was fetched: no try would succeed.
    fn is_pushed_where_it_is_fetched(&self) -> Result<(), RegistryError> {
        if !self.remote {
            return Ok(());
        }
        let [from, to] = [
            self.git(&["remote", "get-url", "origin"], None)?,
            self.git(&["remote", "get-url", "--push", "origin"], None)?,
        ];
        if from == to || !self.git(&["ls-remote", &to, &self.local()], None)?.is_empty() {
            return Ok(());
        }
        let branch = &self.branch;
        Err(RegistryError::Elsewhere {
            home: self.name(),
            what: format!(
                "pushes of `origin` go to {}, which has no branch `{branch}`, and it is fetched from {}: events cannot be written; \
                 `git config --unset-all remote.origin.pushurl` sends them where they are read, and a remote of its own serves a fork",
                without_credentials(&to),
                without_credentials(&from)
            ),
        })
    }

    /// Returns a branch with which git cannot keep this one: of two names, neither may be a folder of the other.
    fn in_the_way(&self) -> Result<Option<String>, RegistryError> {
        let below = format!("{}/", self.local());
        let listed = if self.remote {
            self.git(&["ls-remote", "--heads", "origin"], None)?
        } else {
            self.git(&["for-each-ref", "--format=%(objectname)%09%(refname)", "refs/heads/"], None)?
        };
        let names = listed.lines().filter_map(|line| line.split_once('\t')).map(|(_, name)| name);
        let mut clash = names
            .filter(|name| name.starts_with(&below) || self.local().starts_with(&format!("{name}/")))
            .filter_map(|name| name.strip_prefix("refs/heads/"));
        Ok(clash.next().map(str::to_owned))
    }

    /// Says why the remote, which was read a moment ago, did not take a commit.
    pub(super) fn not_taken(&self, said: &str) -> RegistryError {
        if !FORBIDDEN.iter().any(|sign| said.contains(sign)) {
            return self.unavailable(said).of_unknown_outcome();
        }
        RegistryError::NotWritable {
            home: self.name(),
            reason: without_credentials(said.trim()),
            needs: "whoever decides something needs the right to push that branch: in a workflow `permissions: {contents: \
                    write}`, and a rule that protects branches must leave it out",
        }
    }
}
