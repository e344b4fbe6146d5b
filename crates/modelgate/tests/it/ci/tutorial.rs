//! The tutorial, typed as it stands: from a repository with one file to workflows whose jobs are green.

#[test]
#[cfg(unix)]
fn four_commands_lead_from_an_empty_repository_to_green_ci() {
    use std::path::Path;
    use std::process::Command;

    use modelgate_testing::github::{FakeGithub, TOKEN};
    use modelgate_testing::{TestProject, shared_table, skip};
    use serde_json::json;

    use super::runner::{Runner, git};
    use crate::BINARY;

    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial.md");
    let page = fs_err::read_to_string(page).expect("the page");
    let typed: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap_or_default().lines())
        .filter(|line| !line.trim().is_empty())
        .collect();
    // A line may hold several commands: what is counted is each of them.
    let commands =
        typed.iter().flat_map(|line| line.split(['&', ';', '|'])).filter(|one| !one.trim().is_empty());
    let count = commands.count();
    assert!((1..=4).contains(&count) && typed.len() <= 15, "{count}: {typed:?}");
    assert!(page.matches("```").count() == 2, "everything that is typed is in the one block");

    let Some(data) = shared_table("drug200.csv") else {
        return skip("MODELGATE_TEST_DATA has no tabular/drug200.csv");
    };
    let project = TestProject::new(BINARY);
    // What somebody has before: a clone of an empty repository, the data in it.
    let root = project.path(".");
    git(&root, &["init", "-q", "--bare", "-b", "main", "origin.git"]);
    git(&root, &["clone", "-q", "origin.git", "drug"]);
    let drug = project.path("drug");
    git(&drug, &["symbolic-ref", "HEAD", "refs/heads/main"]);
    fs_err::copy(data, drug.join("drug200.csv")).expect("copied");
    let path = format!(
        "{}:{}",
        Path::new(BINARY).parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    for line in typed {
        let output = Command::new("sh")
            .args(["-ec", line])
            .current_dir(&drug)
            .env("PATH", &path)
            // What whoever runs the tests has set for git is not what the page asks for.
            .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
            .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.com")])
            .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.com")])
            .env("MODELGATE_ACTOR", "somebody")
            .output()
            .expect("sh");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "`{line}`: {:?}: {said}", output.status.code());
    }

    let github = FakeGithub::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    fs_err::create_dir_all(project.path("clones")).expect("a folder");
    fs_err::write(project.path("event.json"), "{}").expect("an event");
    let runner = Runner {
        origin: project.path("origin.git"),
        folder: project.path("clones"),
        contexts: json!({ "github": {
            "token": TOKEN, "ref": "refs/heads/main", "ref_name": "main", "run_attempt": "1", "event_name": "push", "event": {},
            "server_url": "https://github.test", "repository": "o/r", "run_id": "42",
        } }),
        variables: vec![
            ("GITHUB_API_URL", github.url.clone()),
            ("GITHUB_REPOSITORY", "o/r".to_owned()),
            ("GITHUB_EVENT_PATH", project.path("event.json").display().to_string()),
            ("GITHUB_SHA", "a".repeat(40)),
            ("GITHUB_RUN_ID", "42".to_owned()),
            ("GITHUB_ACTOR", "somebody".to_owned()),
            ("WATCH_SECONDS", "1".to_owned()),
            ("PORT", port.to_string()),
        ],
    };
    // Everything that this push starts, as it is on GitHub.
    let clone = project.path("clones/pushed");
    git(&root, &["clone", "-q", "origin.git", "clones/pushed"]);
    let mut started = Vec::new();
    for entry in fs_err::read_dir(clone.join(".github/workflows")).expect("workflows").flatten() {
        let text = fs_err::read_to_string(entry.path()).expect("a workflow");
        let parsed: serde_json::Value =
            serde_saphyr::from_str(text.split_once('\n').expect("lines").1).expect("YAML");
        if parsed["on"]["push"]["branches"] == json!(["main"]) {
            started.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    started.sort();
    assert_eq!(started, ["ci.yml", "data-validation.yml", "train.yml"]);
    for workflow in &started {
        let jobs = runner.run(workflow, &json!({}));
        for (name, job) in &jobs {
            let wanted = if name == "report" { "skipped" } else { "success" };
            assert_eq!(job.result, wanted, "{workflow}: {name}: {}", job.log);
        }
        assert!(!jobs.is_empty(), "{workflow}");
    }
    let state = github.state();
    let conclusions: Vec<_> = state.check_runs.iter().map(|run| run["conclusion"].clone()).collect();
    // The gate passes; what train made waits for the person who is asked by `deploy`.
    assert_eq!(conclusions, [json!("success"), json!("neutral")]);
    drop(state);
    // The version is in production, as everybody sees who asks.
    let is_in_production = |version: &str| {
        let output = Command::new(BINARY)
            .args(["model", "show", "drug", "production"])
            .current_dir(&clone)
            .env("MODELGATE_REGISTRY_URI", "git+branch:modelgate")
            .output()
            .expect("started");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains(version), "{said}");
    };
    is_in_production("v001");

    // The first change that somebody makes is judged against that, and green as well.
    let before = fs_err::read_to_string(drug.join("modelgate.yaml")).expect("read");
    let changed = before.replace("n_estimators: 100", "n_estimators: 150");
    assert_ne!(changed, before);
    fs_err::write(drug.join("modelgate.yaml"), changed).expect("written");
    git(&drug, &["commit", "-qam", "More trees"]);
    git(&drug, &["push", "-q"]);
    for workflow in ["ci.yml", "train.yml"] {
        for (name, job) in &runner.run(workflow, &json!({})) {
            assert_eq!(job.result, "success", "{workflow}: {name}: {}", job.log);
        }
    }
    let last = github.state().check_runs.last().map(|run| run["conclusion"].clone());
    assert_eq!(last, Some(json!("neutral")), "it waits for approval, and nothing else");
    is_in_production("v002");
}

#[test]
fn workflows_are_written_beside_a_new_project_or_nothing_is() {
    let project = modelgate_testing::TestProject::new(crate::BINARY);
    project.run(&["init", "--ci"]).exits(64).says("is in no git repository");
    assert!(!project.path("modelgate.yaml").exists() && !project.path(".gitignore").exists());
    let done = std::process::Command::new("git").args(["init", "-q"]).current_dir(project.path(".")).status();
    assert!(done.expect("git").success());
    // A folder that workflows cannot name.
    fs_err::create_dir_all(project.path("odd folder")).expect("a folder");
    let odd = ["-C", "odd folder", "init", "--name", "p", "--ci"];
    project.run(&odd).exits(64).says("workflows cannot use");
    assert!(fs_err::read_dir(project.path("odd folder")).expect("a folder").next().is_none());
    let output = project.run(&["init", "--ci"]).exits(0);
    output.says("wrote modelgate.yaml").says("wrote .github/workflows/ci.yml");
    let _ = project.run(&["ci", "init", "--check"]).exits(0);
}
