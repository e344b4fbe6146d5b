//! git's own program, started so that it works on the folder it is given and answers a program.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a command may take that asks another machine. A first fetch brings every package with it.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// A connection over HTTP that brings next to nothing for so many seconds is given up, unless the user set this.
const LOW_SPEED: [(&str, &str); 2] = [("GIT_HTTP_LOW_SPEED_LIMIT", "100"), ("GIT_HTTP_LOW_SPEED_TIME", "20")];

/// How long the pipes of a program that has ended may stay open.
const STILL_OPEN: Duration = Duration::from_secs(2);

/// What git sets for the hooks and helpers that it starts itself: taken over, each of these leads to another repository than
/// the folder's.
const REDIRECTIONS: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Returns git in `folder`: in the repository that the folder is in, with English messages and no question on the terminal.
pub fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
    for name in REDIRECTIONS {
        command.env_remove(name);
    }
    command
}

/// Lets a command that asks another machine give up a connection that brings next to nothing.
pub fn give_up_slow(command: &mut Command) {
    for (name, value) in LOW_SPEED.iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
        command.env(name, value);
    }
}

/// Waits for a program that waits for another machine, and ends it when that takes too long: `None`. What it writes to its
/// pipes is read meanwhile: whoever fills one and waits would never end.
///
/// # Errors
/// Fails when the system does.
pub fn output_within(mut child: Child, patience: Duration) -> std::io::Result<Option<Output>> {
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
    let [stdout, stderr] = [output, errors].map(Heard::by_now);
    Ok(Some(Output { status, stdout, stderr }))
}

/// What a pipe has brought so far.
struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Says that the pipe is at its end.
    ended: Receiver<()>,
}

impl Heard {
    /// Returns what a program has said that has ended. A helper of git's that outlives it may hold the pipe open: its end is
    /// not waited for, and what git itself said is there.
    fn by_now(self) -> Vec<u8> {
        let _ = self.ended.recv_timeout(STILL_OPEN);
        std::mem::take(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads a pipe to its end, beside whoever waits.
fn heard(mut pipe: Option<impl Read + Send + 'static>) -> Heard {
    let (sender, ended) = channel();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&bytes);
    std::thread::spawn(move || {
        let mut block = [0; 1 << 13];
        while let Some(pipe) = &mut pipe {
            match pipe.read(&mut block) {
                Ok(length) if length > 0 => {
                    said.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&block[..length]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // A pipe that breaks off has said what it had to.
                _ => break,
            }
        }
        let _ = sender.send(());
    });
    Heard { bytes, ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hook_has_set_does_not_lead_elsewhere() {
        let command = git(Path::new("."));
        let set: Vec<_> = command.get_envs().collect();
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"] {
            assert!(set.contains(&(name.as_ref(), None)), "{name} is taken over");
        }
        assert!(set.contains(&("LC_ALL".as_ref(), Some("C".as_ref()))));
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_waits_for_ever_is_ended() {
        let started = |line: &str| {
            let mut command = Command::new("sh");
            command
                .args(["-c", line])
                .stdin(std::process::Stdio::null())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped());
            command.spawn().expect("started")
        };
        let began = Instant::now();
        assert!(
            output_within(started("exec sleep 60"), Duration::from_millis(50)).expect("waited").is_none()
        );
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        let said = output_within(started("echo one; echo two >&2; exit 3"), Duration::from_secs(60));
        let said = said.expect("waited").expect("it ended");
        assert_eq!(
            (said.status.code(), &said.stdout[..], &said.stderr[..]),
            (Some(3), &b"one\n"[..], &b"two\n"[..])
        );
        // A helper holds the pipes when the program itself has ended: what that said is heard.
        let said =
            output_within(started("echo one; echo two >&2; sleep 20 & exit 3"), Duration::from_secs(60));
        let said = said.expect("waited").expect("it ended");
        assert_eq!((&said.stdout[..], &said.stderr[..]), (&b"one\n"[..], &b"two\n"[..]));
    }
}
