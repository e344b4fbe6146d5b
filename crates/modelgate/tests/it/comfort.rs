//! What makes work easier: `doctor` doubts what cannot work, and `completions` know every command.

use std::io::Write;
use std::process::{Command, Stdio};

use modelgate_testing::TestProject;

use crate::BINARY;

/// What `doctor` says of one thing: its state and the rest of its line.
#[track_caller]
fn said(project: &TestProject, code: i32, what: &str, variables: &[(&str, &str)]) -> (String, String) {
    let mut command = project.command(&["--output-format", "json", "doctor"]);
    // The tokens of whoever runs this test are not looked for.
    for name in ["HF_TOKEN", "HF_TOKEN_PATH", "GITHUB_TOKEN", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"] {
        command.env_remove(name);
    }
    let nowhere = project.path("nobody").display().to_string();
    command.env("HF_HOME", nowhere).envs(variables.iter().copied());
    let output = command.output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let findings = found["findings"].as_array().expect("findings");
    let one =
        findings.iter().find(|one| one["what"] == what).unwrap_or_else(|| panic!("no {what} in {text}"));
    (one["state"].as_str().expect("a state").to_owned(), one["detail"].as_str().expect("a detail").to_owned())
}

#[test]
fn init_looks_at_the_header_of_the_data_that_are_there() {
    let project = TestProject::new(BINARY);
    project.write("flowers.csv", "length,width,species\n1,2,a\n");
    let init = |arguments: &[&str]| {
        let _ = fs_err::remove_file(project.path("modelgate.yaml"));
        let mut whole = vec!["init", "--name", "p", "--source", "flowers.csv"];
        whole.extend(arguments);
        project.run(&whole)
    };
    let refused = init(&["--target", "specis"]).exits(64);
    refused.says("--target: the column `specis` is not there; did you mean `species`?");
    assert!(!project.path("modelgate.yaml").exists());
    init(&[]).exits(0).says("set `target` in modelgate.yaml to the column to predict, such as `species`");
    assert!(init(&["--target", "species"]).exits(0).stderr.contains("next: `modelgate run`"));
    let _ = project.run(&["config", "check"]).exits(0);
}

#[test]
fn commands_that_answer_programs_print_one_object() {
    let project = TestProject::example(BINARY, "iris", None);
    let _ = project.run(&["run"]).exits(4);
    let _ = project.run(&["model", "approve", "iris"]).exits(0);
    let _ = project.run(&["run"]).exits(0);
    for (arguments, key) in [
        (&["config", "check"][..], "valid"),
        (&["model", "pull", "iris", "v001"], "folder"),
        (&["model", "pull", "iris", "v001", "--to", "pulled"], "folder"),
        (&["model", "alias", "iris", "tested", "v001"], "version"),
        (&["model", "alias", "iris", "tested", "--delete"], "alias"),
        (&["model", "export", "all.tar"], "objects"),
        (&["ledger", "export", "ledger.jsonl"], "events"),
    ] {
        let mut whole = vec!["--output-format", "json"];
        whole.extend(arguments);
        let text = project.run(&whole).exits(0).stdout;
        let found: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?}: {text}"));
        assert_eq!(found["schema_version"], 1, "{arguments:?}");
        assert!(!found[key].is_null(), "{arguments:?}: {text}");
    }
    // An error is said on stderr alone.
    let refused = project.run(&["--output-format", "json", "model", "show", "iris", "v009"]).exits(1);
    assert!(refused.stdout.is_empty() && refused.stderr.starts_with("error:"), "{}", refused.stdout);
}

#[test]
fn versions_are_listed_below_a_header_and_nothing_is_left_open_at_the_end_of_a_line() {
    let project = TestProject::example(BINARY, "iris", None);
    let _ = project.run(&["run"]).exits(4);
    let mut approve = project.command(&["model", "approve", "iris"]);
    for name in ["MODELGATE_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME", "USERNAME"] {
        approve.env_remove(name);
    }
    assert!(approve.output().expect("ended").status.success());
    let list = project.run(&["model", "list"]).exits(0).stdout;
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("version   stage") && lines[1].starts_with("iris v001 approved"), "{list}");
    assert!(lines.iter().all(|line| !line.ends_with(' ')), "{list:?}");
    let show = project.run(&["model", "show", "iris", "v001"]).exits(0).stdout;
    let approved = show.lines().find(|line| line.contains("approved by")).expect("an approval");
    assert!(!approved.ends_with([':', ' ']), "{approved}");
    assert!(cfg!(not(target_os = "linux")) || !approved.contains("unknown"), "{approved}");
}

#[test]
fn every_path_is_relative_to_the_folder_that_is_named() {
    let project = TestProject::example(BINARY, "iris", None);
    project.write("elsewhere/nothing.txt", "");
    let inside = project.path(".").canonicalize().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut command = project.command(&["-C", &inside.display().to_string()]);
        command.args(arguments).current_dir(project.path("elsewhere"));
        let output = command.output().expect("ended");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        // A version waits for approval after a run.
        let expected = if arguments == ["run"] { 4 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {said}");
    };
    run(&["run"]);
    project.write("figures.json", "{\"accuracy\": 0.9}");
    let data = "data/raw/iris.csv";
    for (arguments, written) in [
        (
            &["data", "profile", "--data", data, "--output", "profile.json", "--html", "profile.html"][..],
            "profile.html",
        ),
        (&["data", "validate", "--data", data, "--infer", "--contract", "contract.yaml"], "contract.yaml"),
        (
            &["data", "validate", "--data", data, "--contract", "contract.yaml", "--output", "found.json"],
            "found.json",
        ),
        (&["data", "contract", "export", "contract.yaml", "--output", "open.yaml"], "open.yaml"),
        (
            &[
                "gate",
                "check",
                "--metrics",
                "figures.json",
                "--rule",
                "accuracy >= 0.5",
                "--output",
                "v.json",
            ],
            "v.json",
        ),
        (&["report", "markdown", "--output", "report.md"], "report.md"),
        (&["ledger", "export", "ledger.jsonl"], "ledger.jsonl"),
        (&["ledger", "verify", "--file", "ledger.jsonl"], "ledger.jsonl"),
        (&["model", "export", "registry.tar"], "registry.tar"),
    ] {
        run(arguments);
        assert!(project.path(written).is_file(), "{arguments:?} wrote no {written}");
    }
    let left = fs_err::read_dir(project.path("elsewhere")).expect("a folder").count();
    assert_eq!(left, 1);
}

#[test]
fn doctor_doubts_a_source_that_names_nothing() {
    let project = TestProject::example(BINARY, "iris", None);
    let of = |code: i32, source: &str| {
        let before = project.read("modelgate.yaml");
        project.replace("modelgate.yaml", "source: data/raw/iris.csv", &format!("source: \"{source}\""));
        let found = said(&project, code, "data of iris", &[]);
        project.write("modelgate.yaml", before);
        found
    };
    for nothing in ["nowhere/*.csv", "data/raw/*.parquet", "data/**/other.csv"] {
        let (state, detail) = of(1, nothing);
        assert_eq!(state, "broken", "{nothing}: {detail}");
        assert!(detail.contains(nothing) && detail.contains("data.source"), "{detail}");
    }
    let (state, detail) = of(1, "data/raw/missing.csv");
    assert_eq!(
        (state.as_str(), detail.contains("there is no file `data/raw/missing.csv`")),
        ("broken", true)
    );
    let (state, detail) = of(1, "data/raw");
    assert_eq!((state.as_str(), detail.contains("it is a folder")), ("broken", true), "{detail}");
    let (state, detail) = of(1, "http://localhost/a.csv");
    assert_eq!((state.as_str(), detail.contains("s3://bucket/key")), ("broken", true), "{detail}");
    let (state, detail) = of(0, "data/raw/*.csv");
    assert_eq!((state.as_str(), detail.as_str()), ("ok", "data/raw/*.csv"));
    fs_err::copy(project.path("data/raw/iris.csv"), project.path("data/raw/more.csv")).expect("copied");
    assert_eq!(of(0, "data/**/*.csv").1, "data/**/*.csv, files: 2");
    // What only the network can tell is not called well.
    let (state, detail) = of(0, "s3://bucket/iris.csv");
    assert_eq!((state.as_str(), detail.contains("no AWS_ACCESS_KEY_ID")), ("unknown", true), "{detail}");
}

#[cfg(unix)]
#[test]
fn doctor_doubts_a_trainer_that_is_not_there() {
    let project = TestProject::example(BINARY, "iris", None);
    let before = project.read("modelgate.yaml");
    let with = |command: &str| {
        let (head, tail) = before.split_once("    train:\n").expect("a part on training");
        let tail = tail.split_once("    evaluate:").expect("a part behind it").1;
        project.write(
            "modelgate.yaml",
            format!("{head}    train: {{command: \"{command}\"}}\n    evaluate:{tail}"),
        );
    };
    with("no-such-program train.py {train} {output}");
    let (state, detail) = said(&project, 1, "trainer of iris", &[]);
    assert_eq!(state, "broken");
    assert!(detail.contains("there is no program `no-such-program`"), "{detail}");
    with("sh train.sh {train} {output}");
    let (state, detail) = said(&project, 1, "trainer of iris", &[]);
    assert_eq!((state.as_str(), detail.contains("there is no `train.sh`")), ("broken", true), "{detail}");
    project.write("train.sh", "true");
    assert_eq!(said(&project, 0, "trainer of iris", &[]).0, "ok");
}

#[test]
fn doctor_says_whether_there_are_tokens_and_never_what_they_are() {
    let project = TestProject::example(BINARY, "iris", None);
    for (what, missing) in [("token of the Hub", "set HF_TOKEN"), ("token of GitHub", "needs GITHUB_TOKEN")] {
        let (state, detail) = said(&project, 0, what, &[]);
        assert_eq!((state.as_str(), detail.contains(missing)), ("missing", true), "{detail}");
    }
    let secrets = [("HF_TOKEN", "hf_secret-of-the-hub"), ("GITHUB_TOKEN", "ghp_secret-of-github")];
    for what in ["token of the Hub", "token of GitHub"] {
        assert_eq!(said(&project, 0, what, &secrets).0, "ok");
    }
    let text = project.command(&["doctor"]).envs(secrets).output().expect("started");
    let whole = String::from_utf8_lossy(&[text.stdout, text.stderr].concat()).into_owned();
    assert!(whole.contains("GITHUB_TOKEN is set") && !whole.contains("secret-of"), "{whole}");
    // One that cannot be one is told without being repeated.
    let (state, detail) = said(&project, 0, "token of the Hub", &[("HF_TOKEN", "two words")]);
    assert_eq!((state.as_str(), detail.contains("two words")), ("missing", false), "{detail}");
}

#[cfg(unix)]
#[test]
fn doctor_looks_for_the_programs_that_commands_need() {
    let project = TestProject::example(BINARY, "iris", None);
    let fake = |name: &str, version: &str| {
        let path = project.path(&format!("bin/{name}"));
        project.write(&format!("bin/{name}"), format!("#!/bin/sh\necho {version}\n"));
        fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a program");
    };
    project.write("bin/nothing", "");
    let path = project.path("bin").display().to_string();
    for (name, hint) in
        [("git", "install git"), ("docker", "install Docker"), ("python3", "install Python 3")]
    {
        let (state, detail) = said(&project, 0, name, &[("PATH", &path)]);
        assert_eq!((state.as_str(), detail.contains(hint)), ("missing", true), "{detail}");
        fake(name, "version 9 of it");
        let found = said(&project, 0, name, &[("PATH", &path)]);
        assert_eq!(found, ("ok".to_owned(), "version 9 of it".to_owned()));
    }
}

/// Returns the commands that the help of `path` names.
fn commands(path: &[&str]) -> Vec<String> {
    let output = Command::new(BINARY).args(path).arg("--help").output().expect("started");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let below = text.split("Commands:\n").nth(1).unwrap_or_default().lines();
    let names = below.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    names.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// Reads a script with the shell that it is for, which runs nothing of it; `None` where that is not installed.
fn is_read(program: &str, arguments: &[&str], script: &str) -> Option<(bool, String)> {
    let shell = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut shell = shell.ok()?;
    shell.stdin.take().expect("stdin").write_all(script.as_bytes()).expect("written");
    let output = shell.wait_with_output().expect("an end");
    Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn completions_know_every_command_in_every_shell() {
    let project = TestProject::new(BINARY);
    let top = commands(&[]);
    assert!(top.len() > 15, "{top:?}");
    let shells: [(&str, &str, Option<(&str, &[&str])>); 5] = [
        ("bash", "complete -F _modelgate", Some(("bash", &["-n"]))),
        ("zsh", "#compdef modelgate\n", Some(("zsh", &["-n"]))),
        ("fish", "complete -c modelgate ", Some(("fish", &["--no-execute"]))),
        ("elvish", "set edit:completion:arg-completer[modelgate]", None),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName 'modelgate'", None),
    ];
    for (shell, mark, reader) in shells {
        let script = project.run(&["completions", shell]).exits(0).stdout;
        assert!(script.contains(mark), "{shell}: no `{mark}`");
        let words: std::collections::BTreeSet<&str> = script
            .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'))
            .filter(|word| !word.is_empty())
            .collect();
        for name in &top {
            assert!(words.contains(name.as_str()), "{shell}: no `{name}`");
            for inner in commands(&[name]).iter().filter(|inner| name != "help" && *inner != "help") {
                assert!(words.contains(inner.as_str()), "{shell}: no `{name} {inner}`");
            }
        }
        for flag in ["--output-format", "--dry-run", "--exit-code"] {
            let bare = flag.trim_start_matches("--");
            assert!(words.contains(flag) || words.contains(bare), "{shell}: no `{flag}`");
        }
        match shell {
            "zsh" => {
                // It is both autoloaded from a file and evaluated.
                assert!(script.starts_with("#compdef modelgate\n"));
                assert!(script.contains("compdef _modelgate modelgate"), "{shell}");
                let functions = script.lines().filter(|line| line.ends_with("() {")).count();
                assert!(functions > top.len(), "{functions} functions");
                assert_eq!(
                    script.matches("() {").count(),
                    script.lines().filter(|line| *line == "}").count()
                );
            }
            "fish" => {
                for line in script.lines().filter(|line| line.starts_with("complete ")) {
                    let bare = line.replace("\\\\", "").replace("\\'", "").replace("\\\"", "");
                    assert!(line.starts_with("complete -c modelgate "), "{line}");
                    assert_eq!(bare.matches('\'').count() % 2, 0, "{line}");
                }
                let ends = script.lines().filter(|line| *line == "end").count();
                assert_eq!(ends, script.lines().filter(|line| line.starts_with("function ")).count());
            }
            _ => {}
        }
        let Some((program, arguments)) = reader else { continue };
        match is_read(program, arguments, &script) {
            Some((read, said)) => assert!(read, "{shell}: {said}"),
            None => println!(
                "NOT READ: {program} is not installed; the structure of its completions was looked at"
            ),
        }
    }
    project.run(&["completions", "tcsh"]).exits(64).says("tcsh");
}
