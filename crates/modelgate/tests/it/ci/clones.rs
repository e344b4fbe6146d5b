//! The workflows of `ci init`, run job by job, each job in a clone of its own: training, approval, deployment, what a pull
//! request shows, and going back.

use std::path::{Path, PathBuf};

use modelgate_testing::github::{FakeGithub, TOKEN};
use modelgate_testing::{TestProject, skip};
use serde_json::{Value, json};

use super::runner::{Job, Runner, git};
use super::workflows::{commit, repository};
use crate::BINARY;
use crate::governance::easy;

pub(super) struct World {
    pub(super) project: TestProject,
    pub(super) github: FakeGithub,
    /// A port that nobody listens on.
    port: u16,
    /// `secrets` of the repository.
    pub(super) secrets: Value,
}

/// Returns that somebody approved an environment, as the API tells it.
pub(super) fn yes(login: &str, environment: &str) -> Value {
    json!({ "state": "approved", "user": { "login": login }, "environments": [{ "name": environment }] })
}

impl World {
    pub(super) fn new() -> Self {
        let project = repository();
        fs_err::create_dir_all(project.path("clones")).expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Self { project, github: FakeGithub::start(), port, secrets: json!({}) }
    }

    /// Runs a workflow for an event; `shim` comes first on the path of its steps.
    pub(super) fn run(
        &self,
        workflow: &str,
        event: &Value,
        inputs: &Value,
        shim: Option<&Path>,
    ) -> std::collections::BTreeMap<String, Job> {
        let name = if event["pull_request"].is_null() { "push" } else { "pull_request" };
        self.started_by(name, workflow, event, inputs, shim)
    }

    /// Runs a workflow for an event of this name.
    pub(super) fn started_by(
        &self,
        name: &str,
        workflow: &str,
        event: &Value,
        inputs: &Value,
        shim: Option<&Path>,
    ) -> std::collections::BTreeMap<String, Job> {
        let file = self.project.path("event.json");
        fs_err::write(&file, event.to_string()).expect("an event");
        let sha = git(&self.project.path("origin.git"), &["rev-parse", "HEAD"]);
        let mut variables = vec![
            ("GITHUB_API_URL", self.github.url.clone()),
            ("GITHUB_REPOSITORY", "o/r".to_owned()),
            ("GITHUB_EVENT_PATH", file.display().to_string()),
            ("GITHUB_SHA", sha),
            ("GITHUB_RUN_ID", "42".to_owned()),
            ("GITHUB_ACTOR", "pusher".to_owned()),
            ("RUNNER_TEMP", self.project.path("clones").display().to_string()),
            ("WATCH_SECONDS", "1".to_owned()),
            ("PORT", self.port.to_string()),
        ];
        if let Some(shim) = shim {
            let binaries = Path::new(BINARY).parent().expect("a folder").display();
            let path = std::env::var("PATH").unwrap_or_default();
            variables.push(("PATH", format!("{}:{binaries}:{path}", shim.display())));
        }
        let runner = Runner {
            origin: self.project.path("origin.git"),
            folder: self.project.path("clones"),
            contexts: json!({
                "github": {
                    "token": TOKEN, "server_url": "https://github.test", "repository": "o/r", "run_id": "42",
                    "ref": "refs/heads/main", "ref_name": "main", "run_attempt": "1", "event": event,
                    "event_name": name,
                },
                "secrets": self.secrets,
            }),
            variables,
        };
        runner.run(workflow, inputs)
    }

    /// Changes the project, commits and pushes.
    pub(super) fn push(&self, file: &str, text: &str) {
        self.project.write(file, text);
        let root = self.project.path(".");
        commit(&root, "a change");
        git(&root, &["push", "-q", "origin.git", "HEAD:main"]);
    }

    /// Runs a command in a fresh clone.
    pub(super) fn asked(&self, arguments: &[&str]) -> String {
        let place: PathBuf = self.project.path("clones/asked");
        let _ = fs_err::remove_dir_all(&place);
        git(&self.project.path("."), &["clone", "-q", "origin.git", "clones/asked"]);
        let mut command = self.project.command(arguments);
        command.current_dir(&place).env("MODELGATE_REGISTRY_URI", "git+branch:modelgate");
        let output = command.output().expect("started");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

#[track_caller]
pub(super) fn result(jobs: &std::collections::BTreeMap<String, Job>, name: &str, wanted: &str) {
    let job = &jobs[name];
    assert_eq!(job.result, wanted, "{name}: {}", job.log);
}

fn pull_request(sha: &str, base: &str) -> Value {
    json!({
        "pull_request": {
            "number": 7,
            "head": { "sha": sha, "repo": { "full_name": "o/r" } },
            "base": { "sha": base, "repo": { "full_name": "o/r" } },
        },
    })
}

#[test]
fn train_approve_deploy_and_roll_back_run_in_clones_of_their_own() {
    if !Path::new("/usr/bin/jq").exists()
        && std::process::Command::new("jq").arg("--version").output().is_err()
    {
        return skip("there is no jq, which runners of GitHub have");
    }
    let world = World::new();
    world.github.state().approvals = vec![yes("reviewer", "production")];
    let push = json!({ "before": "0000000000000000000000000000000000000000" });

    // A push to main: trained, registered, staged, approved by the reviewer of the environment, promoted.
    let jobs = world.run("train.yml", &push, &json!({}), None);
    result(&jobs, "train", "success");
    result(&jobs, "deploy", "success");
    let outputs = &jobs["train"].outputs;
    assert_eq!((outputs["verdict"].as_str(), outputs["version"].as_str()), ("passed", "v001"));
    assert_eq!(outputs["decision"], "waiting_for_approval");
    assert_eq!(world.github.state().check_runs[0]["conclusion"], "neutral");
    let log = world.asked(&["ledger", "log"]);
    assert!(log.contains("reviewer") && !log.contains("approved by pusher"), "{log}");
    let deployed = "v001 deployed to github/production: https://github.test/o/r/actions/runs/42";
    assert!(log.contains(deployed), "{log}");
    assert!(world.project.path("clones/artifact-package/p/model.onnx").is_file());

    // Another push that changes nothing of the model deploys nothing.
    world.push("README.md", "words\n");
    let jobs = world.run("train.yml", &push, &json!({}), None);
    result(&jobs, "train", "success");
    assert_eq!(jobs["train"].outputs["decision"], "already_in_production", "{}", jobs["train"].log);
    result(&jobs, "deploy", "skipped");

    // A pull request is compared with what is in production, says so, and writes nothing to the registry.
    let before = git(&world.project.path("origin.git"), &["rev-parse", "modelgate"]);
    let base = git(&world.project.path("."), &["rev-parse", "HEAD~1"]);
    let head = git(&world.project.path("."), &["rev-parse", "HEAD"]);
    let jobs = world.run("ci.yml", &pull_request(&head, &base), &json!({}), None);
    for name in ["check", "changes", "gate", "say"] {
        result(&jobs, name, "success");
    }
    result(&jobs, "data", "skipped");
    assert_eq!(before, git(&world.project.path("origin.git"), &["rev-parse", "modelgate"]));
    {
        let state = world.github.state();
        let body = state.comments[0]["body"].as_str().expect("a text");
        assert!(state.comments.len() == 1 && body.contains("**Verdict: passed**"), "{body}");
    }
    // By hand, on a sample.
    let jobs = world.run("ci.yml", &json!({}), &json!({ "sample": "100" }), None);
    result(&jobs, "gate", "success");
    assert!(jobs["gate"].log.contains("sample"), "{}", jobs["gate"].log);

    // There is nothing to go back to; the workflow says so and nothing changes.
    let jobs = world.run(
        "rollback.yml",
        &json!({}),
        &json!({ "reason": "worse", "target": "", "skip_verification": false }),
        None,
    );
    result(&jobs, "rollback", "failure");
    assert_eq!(before, git(&world.project.path("origin.git"), &["rev-parse", "modelgate"]));

    // The next version reaches production, and does not serve there as it should: it is taken back.
    let config = world.project.read("modelgate.yaml");
    world.push("modelgate.yaml", &config.replace("n_estimators: 5", "n_estimators: 7"));
    let shim = world.project.path("clones/shim");
    fs_err::create_dir_all(&shim).expect("a folder");
    let script = format!(
        "#!/bin/bash\nif [ \"$1 $2\" = 'serve smoke' ]; then echo x >> '{count}'; \
         if [ \"$(wc -l < '{count}')\" -eq 3 ]; then exit 2; fi; fi\nexec '{BINARY}' \"$@\"\n",
        count = world.project.path("clones/smokes").display()
    );
    fs_err::write(shim.join("modelgate"), script).expect("a script");
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(shim.join("modelgate"), std::fs::Permissions::from_mode(0o755))
            .expect("allowed");
    }
    let jobs = world.run("train.yml", &push, &json!({}), Some(&shim));
    result(&jobs, "train", "success");
    result(&jobs, "deploy", "failure");
    assert!(jobs["deploy"].log.contains("Take it back"), "{}", jobs["deploy"].log);
    let list = world.asked(&["model", "list"]);
    assert!(list.contains("quarantined"), "{list}");
    assert!(world.asked(&["model", "show", "p", "production"]).contains("v001"));

    // A better one, and then back by hand to the one before, with the ledger of before kept.
    world.push("modelgate.yaml", &config.replace("n_estimators: 5", "n_estimators: 9"));
    // Somebody's own run registered it first: no deployment was begun for it all the same.
    let _ = world.asked(&["run", "p"]);
    let jobs = world.run("train.yml", &push, &json!({}), None);
    assert_eq!(jobs["train"].outputs["registered"], "false", "{}", jobs["train"].log);
    result(&jobs, "deploy", "success");
    assert!(world.asked(&["model", "show", "p", "production"]).contains("v003"));
    let inputs = json!({ "reason": "customers complain", "target": "", "skip_verification": false });
    let jobs = world.run("rollback.yml", &json!({}), &inputs, None);
    result(&jobs, "rollback", "success");
    assert!(world.asked(&["model", "show", "p", "production"]).contains("v001"));
    let log = world.asked(&["ledger", "log"]);
    assert!(log.contains("customers complain"), "{log}");
    assert!(world.project.path("clones/artifact-rollback/before-rollback.jsonl").is_file());
}

/// Writes a command that stands in for modelgate and does `script` before it.
pub(super) fn shim(world: &World, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let place = world.project.path("clones/shim");
    fs_err::create_dir_all(&place).expect("a folder");
    let text = format!("#!/bin/bash\n{script}\nexec '{BINARY}' \"$@\"\n");
    fs_err::write(place.join("modelgate"), text).expect("a script");
    let allowed = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(place.join("modelgate"), allowed).expect("allowed");
    place
}

#[test]
fn a_first_version_that_does_not_serve_leaves_nothing_in_production() {
    if std::process::Command::new("jq").arg("--version").output().is_err() {
        return skip("there is no jq, which runners of GitHub have");
    }
    let world = World::new();
    world.github.state().approvals = vec![yes("reviewer", "production")];
    let push = json!({ "before": "0000000000000000000000000000000000000000" });
    let count = world.project.path("clones/smokes").display().to_string();
    // Twice in staging, then in production.
    let smokes = format!(
        "if [ \"$1 $2\" = 'serve smoke' ]; then echo x >> '{count}'; [ \"$(wc -l < '{count}')\" -lt 3 ] || exit 2; fi"
    );
    let jobs = world.run("train.yml", &push, &json!({}), Some(&shim(&world, &smokes)));
    result(&jobs, "deploy", "failure");
    let log = &jobs["deploy"].log;
    assert!(log.contains("p v001 is quarantined, and nothing is in production"), "{log}");
    let list = world.asked(&["model", "list", "--output-format", "json"]);
    assert!(list.contains("quarantined") && !list.contains("\"production\""), "{list}");
    assert!(world.asked(&["status"]).contains("none"), "{}", world.asked(&["status"]));

    // The next one is deployed. That its deployment cannot be recorded says nothing about it: it stays.
    let config = world.project.read("modelgate.yaml");
    world.push("modelgate.yaml", &config.replace("n_estimators: 5", "n_estimators: 7"));
    let broken = "if [ \"$1 $2\" = 'deploy record' ]; then exit 1; fi";
    let jobs = world.run("train.yml", &push, &json!({}), Some(&shim(&world, broken)));
    result(&jobs, "train", "success");
    result(&jobs, "deploy", "failure");
    assert!(!jobs["deploy"].log.contains("Take it back"), "{}", jobs["deploy"].log);
    assert!(world.asked(&["model", "show", "p", "production"]).contains("v002"));

    // By hand, with no version to go back to: nothing is in production, and the workflow has done what it was asked to.
    let inputs = json!({ "reason": "worse", "target": "", "skip_verification": false, "or_none": true });
    let jobs = world.started_by("workflow_dispatch", "rollback.yml", &json!({}), &inputs, None);
    result(&jobs, "rollback", "success");
    assert!(!world.asked(&["model", "list", "--output-format", "json"]).contains("\"production\""));
}

#[test]
fn data_that_breaks_its_contract_is_refused_and_said() {
    let world = World::new();
    let config =
        world.project.read("modelgate.yaml").replace("target: y}", "target: y, contract: contract.yaml}");
    world.project.write(
        "contract.yaml",
        "version: 1\ncolumns:\n  a: {type: float, max: 5}\n  b: {type: int}\n  y: {type: int}\n",
    );
    world.push("modelgate.yaml", &config);
    let base = git(&world.project.path("."), &["rev-parse", "HEAD~1"]);
    let head = git(&world.project.path("."), &["rev-parse", "HEAD"]);
    let jobs = world.run("ci.yml", &pull_request(&head, &base), &json!({}), None);
    result(&jobs, "changes", "success");
    result(&jobs, "data", "failure");
    result(&jobs, "gate", "failure");
    // The gate says no, and what it says no to is said all the same.
    result(&jobs, "say", "success");
    let state = world.github.state();
    assert!(
        state.comments[0]["body"].as_str().is_some_and(|body| body.contains("blocked by the data contract"))
    );
    drop(state);
    let jobs = world.run("data-validation.yml", &pull_request(&head, &base), &json!({}), None);
    result(&jobs, "validate", "failure");
    result(&jobs, "report", "skipped");
}

#[test]
fn a_pull_request_shows_what_changed_in_data_that_is_not_in_git() {
    let world = World::new();
    let project = &world.project;
    world.github.state().approvals = vec![yes("reviewer", "production")];
    let remote = project.path("remote");
    let config = project.read("modelgate.yaml");
    let config =
        config.replace("project: p\n", &format!("project: p\ndata: {{remote: {}}}\n", remote.display()));
    project.write("modelgate.yaml", config);
    let ignored = project.read(".gitignore");
    project.write(".gitignore", format!("{ignored}data.csv\nmore.csv\nremote/\nevent.json\n"));
    git(&project.path("."), &["rm", "-q", "--cached", "data.csv"]);
    let _ = project.run(&["ci", "init"]).exits(0);
    let kept = |rows: &str| {
        let _ = fs_err::remove_file(project.path("data.csv"));
        project.write("data.csv", rows);
        let _ = project.run(&["data", "snapshot"]).exits(0);
        let _ = project.run(&["data", "push"]).exits(0);
        world.push("README.md", "words\n");
    };
    kept(&easy());
    let push = json!({ "before": "0000000000000000000000000000000000000000" });
    let jobs = world.run("train.yml", &push, &json!({}), None);
    result(&jobs, "deploy", "success");
    // Only pointer files change.
    project.write("more.csv", "a\n1\n");
    let _ = project.run(&["data", "snapshot", "--name", "q", "more.csv"]).exits(0);
    let _ = project.run(&["data", "push"]).exits(0);
    world.push("README.md", "more words\n");
    fs_err::rename(project.path("data/q.modelgate"), project.path("data/r.modelgate")).expect("renamed");
    kept(&(easy() + "1.5,90,0\n2.5,91,0\n7.5,92,1\n8.5,93,1\n"));
    let base = git(&project.path("."), &["rev-parse", "HEAD~1"]);
    let head = git(&project.path("."), &["rev-parse", "HEAD"]);
    let changed = git(&project.path("."), &["diff", "--name-only", "--no-renames", &base, &head]);
    assert_eq!(changed, "README.md\ndata/p.modelgate\ndata/q.modelgate\ndata/r.modelgate");
    let jobs = world.run("ci.yml", &pull_request(&head, &base), &json!({}), None);
    result(&jobs, "data", "success");
    let log = &jobs["data"].log;
    assert!(log.contains("data/p.modelgate\nrows: 120 before, 124 now · 4 added, 0 removed"), "{log}");
    assert!(log.contains("data/q.modelgate is gone") && log.contains("data/r.modelgate is new"), "{log}");
    // The comment compares with what production was trained on, which the registry has.
    result(&jobs, "say", "success");
    let state = world.github.state();
    let body = state.comments[0]["body"].as_str().expect("a text");
    assert!(body.contains("training rows: "), "{body}");
}

#[test]
fn deployments_and_rollbacks_are_started_from_elsewhere_and_by_hand() {
    if std::process::Command::new("jq").arg("--version").output().is_err() {
        return skip("there is no jq, which runners of GitHub have");
    }
    let world = World::new();
    world.github.state().approvals = vec![yes("reviewer", "production")];
    let config = world.project.read("modelgate.yaml");
    // A version that waits, and nobody deployed.
    let wait = |trees: usize| {
        world.push("modelgate.yaml", &config.replace("n_estimators: 5", &format!("n_estimators: {trees}")));
        let said = world.asked(&["run", "p"]);
        assert!(said.contains("is candidate"), "{said}");
    };
    let in_production = |version: &str| {
        let shown = world.asked(&["model", "show", "p", "production"]);
        assert!(shown.contains(version), "{version}: {shown}");
    };
    wait(6);
    wait(7);
    // Another system says which version: the older one of two.
    let event = json!({ "action": "deploy", "client_payload": { "version": "v001" } });
    let jobs = world.started_by("repository_dispatch", "deploy.yml", &event, &json!({}), None);
    result(&jobs, "staging", "success");
    result(&jobs, "production", "success");
    assert_eq!(jobs["staging"].outputs["version"], "v001");
    in_production("v001");
    // What is no version gets into no command.
    let event = json!({ "client_payload": { "version": "v002; touch /tmp/x" } });
    let jobs = world.started_by("repository_dispatch", "deploy.yml", &event, &json!({}), None);
    result(&jobs, "staging", "failure");
    result(&jobs, "production", "skipped");
    assert!(jobs["staging"].log.contains("this is no version"), "{}", jobs["staging"].log);

    // By hand, without a version: the newest.
    let by_hand = |workflow: &str, inputs: &Value| {
        world.started_by("workflow_dispatch", workflow, &json!({}), inputs, None)
    };
    for (trees, version) in [(0, "2"), (9, "3")] {
        if trees > 0 {
            wait(trees);
        }
        let jobs = by_hand("deploy.yml", &json!({ "version": "" }));
        result(&jobs, "staging", "success");
        result(&jobs, "production", "success");
        in_production(&format!("v00{version}"));
    }

    // Back past the version before, to the one that is named.
    let inputs = json!({ "reason": "the one before is no better", "target": "v001", "skip_verification": false, "or_none": true });
    let jobs = by_hand("rollback.yml", &inputs);
    result(&jobs, "rollback", "success");
    in_production("v001");
    // And forward to one that was there, without looking at it; the ledger keeps that.
    let verifications = || {
        let log = world.asked(&["ledger", "log", "--output-format", "json"]);
        (log.matches("\"verified\"").count(), log.matches("\"skipped\"").count())
    };
    assert_eq!(verifications(), (1, 0), "{}", world.asked(&["ledger", "log", "--output-format", "json"]));
    let inputs = json!({ "reason": "we know it", "target": "v002", "skip_verification": true });
    let jobs = by_hand("rollback.yml", &inputs);
    result(&jobs, "rollback", "success");
    in_production("v002");
    assert_eq!(verifications(), (1, 1));
    let list = world.asked(&["model", "list"]);
    assert_eq!(list.matches("quarantined").count(), 2, "{list}");

    // The newest is quarantined: without a version, it is the newest that may be deployed.
    let jobs = by_hand("deploy.yml", &json!({ "version": "" }));
    result(&jobs, "production", "success");
    assert_eq!(jobs["staging"].outputs["version"], "v2");
    // A yes to what was decided on over another production promotes nothing.
    wait(11);
    wait(12);
    let once = world.project.path("clones/once").display().to_string();
    let meanwhile = format!(
        "if [ \"$1 $2\" = 'ci approver' ] && [ ! -e '{once}' ]; then touch '{once}'; \
         '{BINARY}' model approve p v005 >&2; '{BINARY}' model promote p v005 >&2; fi"
    );
    let jobs = world.started_by(
        "workflow_dispatch",
        "deploy.yml",
        &json!({}),
        &json!({ "version": "v004" }),
        Some(&shim(&world, &meanwhile)),
    );
    result(&jobs, "staging", "success");
    result(&jobs, "production", "failure");
    in_production("v005");

    // It is approved by then: a yes over what is there now counts all the same, and is that of whoever says it.
    world.github.state().approvals = vec![yes("another", "production")];
    let jobs = by_hand("deploy.yml", &json!({ "version": "v004" }));
    result(&jobs, "production", "success");
    in_production("v004");
    let log = world.asked(&["ledger", "log"]);
    let yes = log.lines().rfind(|line| line.contains("v004 approved"));
    assert!(yes.is_some_and(|line| line.contains("another")), "{log}");
    // What was there before comes back by a rollback, and staging says so before anybody is asked.
    let jobs = by_hand("deploy.yml", &json!({ "version": "v005" }));
    result(&jobs, "staging", "failure");
    result(&jobs, "production", "skipped");
    assert!(jobs["staging"].log.contains("the workflow rollback goes back to it"), "{}", jobs["staging"].log);
}

#[test]
fn reviewers_are_asked_once_for_a_version_that_waits() {
    let project = repository();
    let text = project.read(".github/workflows/train.yml");
    let train: Value = serde_saphyr::from_str(text.split_once('\n').expect("a mark").1).expect("YAML");
    let runs = |job: &str, contexts: &Value| {
        super::expression::condition(train["jobs"][job]["if"].as_str(), contexts, false)
    };
    let deploys = |decision: &str, offered: &str, event: &str, attempt: &str| {
        let outputs = json!({ "decision": decision, "offered": offered });
        let github = json!({ "event_name": event, "run_attempt": attempt });
        runs("deploy", &json!({ "needs": { "train": { "outputs": outputs } }, "github": github }))
    };
    assert!(deploys("waiting_for_approval", "true", "push", "1"));
    assert!(!deploys("waiting_for_approval", "false", "push", "1"));
    // Approved meanwhile, run again, or started by hand.
    assert!(deploys("promoted", "false", "push", "1"));
    assert!(deploys("waiting_for_approval", "false", "push", "2"));
    assert!(deploys("waiting_for_approval", "false", "workflow_dispatch", "1"));
    assert!(!deploys("already_in_production", "true", "push", "1"));

    let trains = |branch: &str| runs("train", &json!({ "github": { "ref": branch } }));
    assert!(trains("refs/heads/main") && !trains("refs/heads/a-feature"));
}

#[test]
fn a_scheduled_look_at_the_data_opens_an_issue_and_closes_it() {
    if std::process::Command::new("jq").arg("--version").output().is_err() {
        return skip("there is no jq, which runners of GitHub have");
    }
    let world = World::new();
    let contract = |most: u32| {
        let text = format!(
            "version: 1\ncolumns:\n  a: {{type: float, max: {most}}}\n  b: {{type: int}}\n  y: {{type: int}}\n"
        );
        world.push("contract.yaml", &text);
    };
    let config =
        world.project.read("modelgate.yaml").replace("target: y}", "target: y, contract: contract.yaml}");
    contract(5);
    world.push("modelgate.yaml", &config);
    let scheduled = || world.started_by("schedule", "data-validation.yml", &json!({}), &json!({}), None);
    let jobs = scheduled();
    result(&jobs, "validate", "failure");
    result(&jobs, "report", "success");
    {
        let state = world.github.state();
        let issue = state.issues.last().expect("an issue");
        assert_eq!(
            (&issue["state"], &issue["title"]),
            (&json!("open"), &json!("The data of p, or its model, is not what it should be"))
        );
        assert!(issue["body"].as_str().is_some_and(|body| body.contains("a.max")), "{issue}");
        assert!(state.check_runs.is_empty() && state.comments.is_empty());
    }
    // Nobody is told again by a push.
    let jobs = world.run("data-validation.yml", &json!({}), &json!({}), None);
    result(&jobs, "report", "skipped");
    // Data that cannot be read at all is the worst of it.
    let rows = world.project.read("data.csv");
    world.push("data.csv", "");
    let jobs = scheduled();
    result(&jobs, "validate", "failure");
    result(&jobs, "report", "success");
    {
        let state = world.github.state();
        let issue = state.issues.last().expect("the issue");
        assert_eq!(issue["state"], "open");
        assert!(issue["body"].as_str().is_some_and(|body| body.contains("could not be judged")), "{issue}");
    }
    world.push("data.csv", &rows);
    contract(10);
    let jobs = scheduled();
    result(&jobs, "validate", "success");
    result(&jobs, "report", "success");
    let state = world.github.state();
    assert_eq!(state.issues.last().expect("the issue")["state"], "closed");
}
