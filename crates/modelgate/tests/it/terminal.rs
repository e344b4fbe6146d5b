//! A terminal of its own for a command, by `script` of util-linux.

/// Runs a command on a terminal of its own, types `typed` and returns the exit code and what was on the screen.
#[cfg(target_os = "linux")]
pub(crate) fn on_a_terminal(
    project: &modelgate_testing::TestProject,
    arguments: &[&str],
    typed: &str,
) -> Option<(i32, String)> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let there = Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        modelgate_testing::skip("there is no `script` (util-linux) to make a terminal with");
        return None;
    }
    let line = format!("'{}' {}", crate::BINARY, arguments.join(" "));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(project.path("."));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let mut stdin = child.stdin.take().expect("a terminal");
    stdin.write_all(typed.as_bytes()).expect("typed");
    let output = child.wait_with_output().expect("ended");
    drop(stdin);
    Some((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned()))
}
