//! A program that trains ends with the run, however that ends, and leaves no rows.

use std::process::Command;

use modelgate_testing::TestProject;

use super::{config, data};
use crate::BINARY;

/// Waits until `holds`, for a while.
#[cfg(unix)]
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Whether there is a process of this number that has not ended; one may have ended that nobody has asked how.
#[cfg(unix)]
fn is_running(number: &str) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", number.trim()]).output().expect("ps");
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// Returns the folders with rows of a program that trains.
#[cfg(unix)]
fn given(project: &TestProject) -> Vec<String> {
    let entries = fs_err::read_dir(project.path(".modelgate")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("train-")).collect()
}

/// Returns the command as one that hears signals: whatever is started in the background of a script ignores some of them.
#[cfg(unix)]
fn hearing(command: &Command) -> Command {
    // Linux tells in bits which are ignored: the first is SIGHUP, the second SIGINT.
    let ignores = fs_err::read_to_string("/proc/self/status").is_ok_and(|status| {
        let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits & 3 != 0)
    });
    let mut hearing = Command::new(if ignores { "env".as_ref() } else { command.get_program() });
    if ignores {
        hearing.arg("--default-signal=INT,HUP").arg(command.get_program());
    }
    hearing.args(command.get_args()).stdin(std::process::Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => hearing.env(name, value),
            None => hearing.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        hearing.current_dir(folder);
    }
    hearing
}

/// Starts a run whose program trains for a minute, in a shell below a shell; returns it with the number of the innermost.
#[cfg(unix)]
fn training(project: &TestProject, script: &str) -> (std::process::Child, String) {
    project.write(
        "long.sh",
        format!("{script}sh -c 'echo $$ > number.new; mv number.new number; sleep 60; true'; true\n"),
    );
    project.write("modelgate.yaml", config("command: \"sh long.sh {train}; true\""));
    let mut run = hearing(&project.command(&["run"]));
    let run = run.stderr(std::process::Stdio::piped()).spawn().expect("started");
    until("it trains", || project.path("number").exists());
    let number = project.read("number");
    fs_err::remove_file(project.path("number")).expect("removed");
    assert!(is_running(&number) && given(project).len() == 1);
    (run, number)
}

#[cfg(unix)]
fn send(signal: &str, run: &std::process::Child) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &run.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "no signal was sent");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_program_that_trains_and_leaves_no_rows() {
    let project = TestProject::with(BINARY, &data(), "");
    for (signal, code, said) in
        [("INT", 130, "Ctrl-C (SIGINT)"), ("TERM", 1, "SIGTERM"), ("HUP", 1, "SIGHUP")]
    {
        let (run, number) = training(&project, "");
        send(signal, &run);
        let output = run.wait_with_output().expect("ended");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{signal}: {talk}");
        assert!(talk.contains(&format!("interrupted by {said}: train.command was ended")), "{talk}");
        assert!(!is_running(&number), "{signal}");
        assert!(given(&project).is_empty(), "{signal}");
    }
    assert!(
        project.json("outputs/p/run_report.json")["error"].as_str().expect("an error").contains("SIGHUP")
    );
    // One that does not want to is made to end by one more signal.
    let (mut run, number) = training(&project, "trap '' TERM INT\n");
    let began = std::time::Instant::now();
    send("INT", &run);
    let talk = std::io::BufReader::new(run.stderr.take().expect("piped"));
    let mut lines = std::io::BufRead::lines(talk).map(|line| line.expect("a line"));
    assert!(lines.any(|line| line.contains("once more ends it at once")));
    send("INT", &run);
    let rest: Vec<String> = lines.collect();
    assert_eq!(run.wait().expect("ended").code(), Some(130), "{rest:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
    until("the program is gone", || !is_running(&number));
    assert!(given(&project).is_empty());
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_takes_the_program_that_trains_with_it() {
    let project = TestProject::with(BINARY, &data(), "");
    let (mut run, number) = training(&project, "");
    send("KILL", &run);
    assert_eq!(run.wait().expect("ended").code(), None);
    until("the program is gone", || !is_running(&number));
    until("its rows are gone", || given(&project).is_empty());
}

#[test]
fn what_a_killed_run_left_of_the_rows_goes_with_the_next_command() {
    let project = TestProject::with(BINARY, &data(), &config("params: {n_estimators: 3}"));
    let left = ".modelgate/train-Ab12Cd/train.csv";
    project.write(left, "id,x,level,y\n");
    let _ = project.run(&["run", "--dry-run"]).exits(0);
    assert!(project.path(left).exists(), "a dry run does nothing");
    let _ = project.run(&["run"]).exits(0);
    assert!(!project.path(left).exists() && !project.path(".modelgate/train-Ab12Cd").exists());
    project.write(left, "id,x,level,y\n");
    let _ = project.run(&["model", "gc", "--yes"]).exits(0);
    assert!(!project.path(".modelgate/train-Ab12Cd").exists());
}
