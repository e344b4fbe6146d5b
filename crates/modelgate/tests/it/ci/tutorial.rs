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
    assert!((1..=4).contains(&typed.len()), "{typed:?}");
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
    git(&drug, &["checkout", "-q", "-B", "main"]);
    git(&drug, &["config", "push.autoSetupRemote", "true"]);
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
            .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.com")])
            .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.com")])
            .env("MODELGATE_ACTOR", "somebody")
            .output()
            .expect("sh");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "`{line}`: {:?}: {said}", output.status.code());
    }

    let github = FakeGithub::start();
    fs_err::create_dir_all(project.path("clones")).expect("a folder");
    fs_err::write(project.path("event.json"), "{}").expect("an event");
    let runner = Runner {
        origin: project.path("origin.git"),
        folder: project.path("clones"),
        contexts: json!({ "github": {
            "token": TOKEN, "ref_name": "main", "event_name": "push", "event": {},
            "server_url": "https://github.test", "repository": "o/r", "run_id": "42",
        } }),
        variables: vec![
            ("GITHUB_API_URL", github.url.clone()),
            ("GITHUB_REPOSITORY", "o/r".to_owned()),
            ("GITHUB_EVENT_PATH", project.path("event.json").display().to_string()),
            ("GITHUB_SHA", "a".repeat(40)),
        ],
    };
    let jobs = runner.run("ci.yml", &json!({}));
    for (name, job) in &jobs {
        assert_eq!(job.result, "success", "{name}: {}", job.log);
    }
    assert!(jobs.len() >= 5, "{:?}", jobs.keys());
    assert_eq!(github.state().check_runs[0]["conclusion"], "success");
}
