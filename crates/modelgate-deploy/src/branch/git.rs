//! git's own program, run in a folder.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use modelgate_store::remote::without_credentials;

use super::{BranchError, Identity};

/// Commands that ask another machine.
const REMOTE: [&str; 3] = ["ls-remote", "fetch", "push"];
/// How long one of these may take.
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

/// Waits for a program that waits for another machine, and ends it when that takes too long: `None`.
fn within(mut child: Child, patience: Duration) -> std::io::Result<Option<Output>> {
    let (output, errors) = (heard(child.stdout.take()), heard(child.stderr.take()));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() >= patience {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // A helper of git's that outlives it may hold the pipes open; what git itself said is there.
    let [stdout, stderr] =
        [output, errors].map(|pipe| pipe.recv_timeout(Duration::from_secs(5)).unwrap_or_default());
    Ok(Some(Output { status, stdout, stderr }))
}

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
        let mut command = modelgate_store::git(self.folder);
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
        for (name, value) in
            LOW_SPEED.iter().filter(|(name, _)| asks_remote && std::env::var_os(name).is_none())
        {
            command.env(name, value);
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
            within(child, PATIENCE)?.ok_or_else(|| BranchError::Git {
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_waits_for_ever_is_ended() {
        let started = |line: &str| {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("started")
        };
        let began = Instant::now();
        assert!(within(started("exec sleep 60"), Duration::from_millis(50)).expect("waited").is_none());
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        let said = within(started("echo one; echo two >&2; exit 3"), Duration::from_secs(60));
        let said = said.expect("waited").expect("it ended");
        assert_eq!(
            (said.status.code(), &said.stdout[..], &said.stderr[..]),
            (Some(3), &b"one\n"[..], &b"two\n"[..])
        );
    }
}
