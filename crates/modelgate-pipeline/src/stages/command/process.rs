//! A program that is run and followed to its end, and that ends with this one, however this one ends.
//!
//! It is the first of a process group of its own. A signal that asks this program to end, and a time that is over, end the
//! group: first it is asked, a while later it is made to. A guard does the same where this program is killed and can do
//! nothing any more.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::interrupt::{Interrupt, Listening};
use super::said::read_lines;
use super::secrets::Secrets;

/// How long the output of a program that has ended is still waited for.
const REST: Duration = Duration::from_secs(5);
/// How long a program that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Lines that wait to be heard at most: who prints faster than this program listens waits.
const LINES_WAITING: usize = 256;
/// Lines of a program's output that an error repeats.
const LAST_LINES: usize = 12;

/// How a program came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself, with an exit code, or by a signal.
    With(Option<i32>),
    /// Its time was over.
    TimedOut,
    /// This program was asked to end.
    Interrupted(Interrupt),
}

/// What is heard of a program while it runs.
pub(super) enum Heard<'a> {
    /// A line that it printed.
    Line(&'a str),
    /// Something about it that a person should know.
    Note(&'a str),
}

/// Returns the shell's command for `line`.
pub(super) fn shell(line: &str) -> Command {
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        let mut command = Command::new("cmd");
        // As it stands: with `/S` only the outer quotation marks are taken away.
        command.raw_arg(format!("/D /S /C \"{line}\""));
        command
    }
    #[cfg(not(windows))]
    {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("sh");
        // A group of its own, so that what the shell started ends with it.
        command.args(["-c", line]).process_group(0);
        command
    }
}

/// Runs a program and passes on its lines without `secrets`; returns how it ended and its last lines. `folder` is removed when this program
/// is killed meanwhile.
pub(super) fn follow(
    program: &mut Command,
    limit: Duration,
    folder: &Path,
    secrets: &Secrets,
    hear: &mut dyn FnMut(Heard<'_>),
) -> std::io::Result<(Ended, Vec<String>)> {
    let signals = Listening::begin();
    let mut child = program.spawn()?;
    let _guard = match Guard::over(&child, folder) {
        Ok(guard) => guard,
        Err(error) => {
            stop(&mut child, &signals);
            return Err(error);
        }
    };
    let (sender, receiver) = sync_channel::<String>(LINES_WAITING);
    for stream in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
        let sender = sender.clone();
        // When nobody listens any more the reading ends.
        let read = move || read_lines(stream, |line| sender.send(line).is_ok());
        if let Err(error) = std::thread::Builder::new().spawn(read) {
            stop(&mut child, &signals);
            return Err(error);
        }
    }
    drop(sender);
    let started = Instant::now();
    let mut last: Vec<String> = Vec::new();
    let mut open = true;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match receiver.recv_timeout(Duration::from_millis(20)) {
            Ok(text) => {
                let text = secrets.hidden(&text).into_owned();
                hear(Heard::Line(&text));
                if last.len() == LAST_LINES {
                    last.remove(0);
                }
                last.push(text);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                open = false;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if let Some(interrupt) = signals.came() {
            hear(Heard::Note(&format!(
                "{interrupt}: train.command is being ended; once more ends it at once"
            )));
            stop(&mut child, &signals);
            return Ok((Ended::Interrupted(interrupt), last));
        }
        if ended.is_none() {
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
        if let Some((status, at)) = ended {
            // Lines that are still in the pipe come first. A helper that outlives the program may hold it open: what the
            // program itself said is there.
            if open && at.elapsed() > REST {
                hear(Heard::Note(
                    "a process that the command started still holds its output; it is not waited for",
                ));
                open = false;
            }
            if !open {
                return Ok((Ended::With(status.code()), last));
            }
        } else if started.elapsed() > limit {
            stop(&mut child, &signals);
            return Ok((Ended::TimedOut, last));
        }
    }
}

fn boxed(stream: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(stream)
}

/// Ends a program with what it started: asks it to, and makes it after a while, or when one more signal comes.
#[cfg(not(windows))]
fn stop(child: &mut Child, signals: &Listening) {
    // The group has the number of its first process. The shell's own `kill` is there also where no other is; dash takes
    // no `--` behind a signal.
    let group = child.id().to_string();
    let send = |signal: &str| {
        let mut sent = Command::new("sh");
        sent.args(["-c", &format!("kill -{signal} -\"$1\""), "sh", &group]);
        sent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sent.status().is_ok_and(|status| status.success())
    };
    let asked = Instant::now();
    let mut is_there = send("TERM");
    while is_there && asked.elapsed() < PATIENCE && signals.came().is_none() {
        std::thread::sleep(Duration::from_millis(50));
        // One that has ended stays in the group until it is asked how.
        let _ = child.try_wait();
        is_there = send("0");
    }
    if is_there {
        send("KILL");
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends a program with what it started.
#[cfg(windows)]
fn stop(child: &mut Child, _signals: &Listening) {
    let id = child.id().to_string();
    let mut tree = Command::new("taskkill");
    let _ = tree.args(["/T", "/F", "/PID", &id]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let _ = child.kill();
    let _ = child.wait();
}

/// What the guard does: a line says that all is well; when none comes, whoever was to write it is dead.
#[cfg(not(windows))]
const GUARD: &str = "trap '' HUP INT TERM
read -r line && exit
kill -TERM -\"$1\"
for second in 1 2 3 4 5; do kill -0 -\"$1\" || break; sleep 1; done
kill -KILL -\"$1\"
rm -rf -- \"$2\"";

/// A shell that reads from this program. However this program ends, its end of the pipe is then closed, and the shell ends
/// the group of the program that it guards and removes its folder: of a SIGKILL nobody else would hear.
struct Guard(#[cfg(not(windows))] Child);

impl Guard {
    #[cfg(not(windows))]
    fn over(child: &Child, folder: &Path) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh", &child.id().to_string()]).arg(folder);
        // What Ctrl-C of a terminal ends must not be the guard.
        guard.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        guard.spawn().map(Self)
    }

    #[cfg(windows)]
    fn over(_: &Child, _: &Path) -> std::io::Result<Self> {
        Ok(Self())
    }
}

#[cfg(not(windows))]
impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.0.stdin.take() {
            let _ = std::io::Write::write_all(&mut stdin, b"done\n");
        }
        let _ = self.0.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn followed(line: &str, limit: u64) -> (Ended, Vec<String>, Vec<String>) {
        let mut program = shell(line);
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let folder = tempfile::tempdir().expect("a folder");
        let mut said = Vec::new();
        let mut hear = |heard: Heard<'_>| match heard {
            Heard::Line(text) => said.push(text.to_owned()),
            Heard::Note(text) => said.push(format!("note: {text}")),
        };
        let secrets = Secrets::from_values(["pa55word".to_owned()].into_iter());
        let followed = follow(&mut program, Duration::from_secs(limit), folder.path(), &secrets, &mut hear);
        assert!(folder.path().is_dir(), "only who is killed leaves it to the guard");
        let (ended, last) = followed.expect("followed");
        (ended, last, said)
    }

    #[test]
    fn a_program_that_has_ended_is_not_waited_for_because_of_a_helper_that_holds_its_output() {
        let began = Instant::now();
        // The limit is for the program: it has ended long before.
        let (ended, last, said) = followed("echo one; sleep 30 & echo $!; exit 3", 2);
        let helper = said.get(1).cloned().unwrap_or_default();
        let _ = Command::new("kill").arg(helper).status();
        assert!(matches!(ended, Ended::With(Some(3))), "it ended, and said how");
        assert!(began.elapsed() < Duration::from_secs(25));
        assert_eq!((last.len(), said.len()), (2, 3), "{said:?}");
        assert!(said[2].starts_with("note: ") && said[2].contains("still holds its output"), "{said:?}");
    }

    #[test]
    fn a_program_whose_time_is_over_may_tidy_up_and_ends_with_what_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().display();
        let (ended, last, _) =
            followed(&format!("trap 'echo tidy > {at}/said; exit' TERM; sleep 60 & echo $!; wait"), 1);
        assert!(matches!(ended, Ended::TimedOut));
        assert_eq!(fs_err::read_to_string(folder.path().join("said")).expect("it was asked"), "tidy\n");
        let helper = last.first().expect("a number");
        let state = fs_err::read_to_string(format!("/proc/{helper}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_what_follows_is_heard() {
        let (ended, last, said) =
            followed("head -c 200000 /dev/zero | tr '\\0' x; echo; echo end of pa55word", 30);
        assert!(matches!(ended, Ended::With(Some(0))));
        // Without the secrets that are known, there as in an error.
        assert_eq!((said.len(), said[1].as_str(), last[1].as_str()), (2, "end of ***", "end of ***"));
        assert!(last[0].ends_with("x…") && last[0].len() < 1000, "{}", last[0].len());
    }

    #[test]
    fn a_program_that_does_not_listen_is_made_to_end() {
        let began = Instant::now();
        let (ended, ..) = followed("trap '' TERM; while :; do sleep 1; done", 1);
        assert!(matches!(ended, Ended::TimedOut));
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
}
