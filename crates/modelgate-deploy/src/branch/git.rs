//! git's own program, run in a folder.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use modelgate_store::git::{PATIENCE, give_up_slow, output_within};
use modelgate_store::remote::without_credentials;

use super::{BranchError, Identity};

/// Commands that ask another machine.
const REMOTE: [&str; 3] = ["ls-remote", "fetch", "push"];

/// git in a folder.
pub(super) struct Git<'a> {
    pub(super) folder: &'a Path,
    pub(super) identity: Option<&'a Identity>,
}

impl Git<'_> {
    pub(super) fn run(
        &self,
        arguments: &[&str],
        input: Option<&[u8]>,
        index: Option<&Path>,
    ) -> Result<(bool, Vec<u8>, String), BranchError> {
        let what = || arguments.first().copied().unwrap_or_default().to_owned();
        let mut command = modelgate_store::git::git(self.folder);
        command.args(arguments);
        if let Some(identity) = self.identity {
            for role in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{role}_NAME"), &identity.name);
                command.env(format!("GIT_{role}_EMAIL"), &identity.email);
            }
        }
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index);
        }
        let asks_remote = arguments.first().is_some_and(|first| REMOTE.contains(first));
        if asks_remote {
            give_up_slow(&mut command);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| BranchError::Git {
            what: what(),
            reason: format!("it cannot be started: {error}; is it installed?"),
        })?;
        let mut stdin = child.stdin.take();
        let output = if asks_remote {
            drop(stdin);
            let seconds = PATIENCE.as_secs();
            output_within(child, PATIENCE)?.ok_or_else(|| BranchError::Git {
                what: what(),
                reason: format!("the remote did not answer within {seconds} s"),
            })?
        } else {
            std::thread::scope(|scope| {
                // Written beside the reading: both sides could fill up.
                scope.spawn(move || {
                    if let (Some(stdin), Some(input)) = (&mut stdin, input) {
                        // git may close its input early; its exit status is what counts.
                        let _ = stdin.write_all(input);
                    }
                });
                child.wait_with_output()
            })?
        };
        let said = without_credentials(String::from_utf8_lossy(&output.stderr).trim());
        Ok((output.status.success(), output.stdout, said))
    }

    pub(super) fn bytes(
        &self,
        arguments: &[&str],
        input: Option<&[u8]>,
        index: Option<&Path>,
    ) -> Result<Vec<u8>, BranchError> {
        let (good, output, reason) = self.run(arguments, input, index)?;
        let what = arguments.first().copied().unwrap_or_default().to_owned();
        if good { Ok(output) } else { Err(BranchError::Git { what, reason }) }
    }

    pub(super) fn text(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<String, BranchError> {
        Ok(String::from_utf8_lossy(&self.bytes(arguments, input, None)?).trim().to_owned())
    }

    /// Returns the output, `None` when git says that there is none.
    pub(super) fn maybe(&self, arguments: &[&str]) -> Result<Option<String>, BranchError> {
        let (good, output, _) = self.run(arguments, None, None)?;
        let text = String::from_utf8_lossy(&output).trim().to_owned();
        Ok((good && !text.is_empty()).then_some(text))
    }
}
