//! The copy of a branch's ledger, the commit that it is of, and what is kept of it when the branch has lost events.

use std::path::PathBuf;

use super::GitBranchHome;
use crate::{RegistryError, kept};

impl GitBranchHome {
    /// Returns the file that says which commit the copy is of.
    pub(super) fn copied(&self) -> PathBuf {
        self.copy.with_extension("commit")
    }

    /// Makes the copy that of `ledger`, which is of the tip.
    pub(super) fn keep_copy(&self, ledger: &[u8]) -> Result<(), RegistryError> {
        // A copy of an unknown commit is fetched again: killed between the two writes, nothing is wrong.
        match fs_err::remove_file(self.copied()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        modelgate_store::atomic::write(&self.copy, ledger)?;
        let tip = self.tip.clone().unwrap_or_default();
        Ok(modelgate_store::atomic::write(&self.copied(), tip.as_bytes())?)
    }

    /// Returns the reference of a commit that is kept.
    pub(super) fn kept_reference(&self, label: &str) -> String {
        format!("refs/modelgate/kept/{}/{label}", self.branch)
    }

    /// Keeps the ledger that was copied, and the commit it is of, where `ledger`, which takes its place, lacks events of it.
    pub(super) fn keep_what_is_lost(&self, copied: Option<&str>, ledger: &[u8]) -> Result<(), RegistryError> {
        let Some(kept) = kept::before(&self.copy, ledger)? else { return Ok(()) };
        if let Some(commit) = copied.filter(|commit| !commit.is_empty()) {
            // A commit that git has cleared away meanwhile cannot be named; its lines are kept.
            let _ = self.try_git(&["update-ref", &self.kept_reference(&kept.label), commit], None, None)?;
        }
        Ok(())
    }
}
