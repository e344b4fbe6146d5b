//! A verdict said on GitHub, to a server that refuses as the real one does.

mod plots;

use std::process::{Command, Output};

use modelgate_testing::github::{AUTHOR, FakeGithub, TOKEN};
use modelgate_testing::{TestProject, skip};
use serde_json::json;

use crate::governance::{CONFIG, project};

pub(super) const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A project that was run, with the event of a pull request.
pub(super) fn judged(config: &str) -> TestProject {
    let project = project(config, 0);
    let _ = project.command(&["run"]).output().expect("run");
    event(&project, "o/r");
    project
}

pub(super) fn event(project: &TestProject, head: &str) {
    let event = json!({
        "pull_request": {
            "number": 7,
            "head": { "sha": SHA, "repo": { "full_name": head } },
            "base": { "repo": { "full_name": "o/r" } },
        },
    });
    project.write("event.json", event.to_string());
}

/// A step of a workflow.
pub(super) fn step(project: &TestProject, github: &FakeGithub, arguments: &[&str]) -> Command {
    let mut command = project.command(&["ci", "comment"]);
    command.args(arguments).env("GITHUB_API_URL", &github.url).env("GITHUB_TOKEN", TOKEN);
    command.env("GITHUB_REPOSITORY", "o/r").env("GITHUB_EVENT_PATH", project.path("event.json"));
    command.env("GITHUB_SERVER_URL", "https://github.test").env("GITHUB_RUN_ID", "42");
    command.env("GITHUB_SHA", "f".repeat(40));
    command
        .env("GITHUB_STEP_SUMMARY", project.path("summary.md"))
        .env("GITHUB_OUTPUT", project.path("output"));
    command
}

#[track_caller]
pub(super) fn exits(mut command: Command, code: i32) -> String {
    let output: Output = command.output().expect("started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
    said
}

pub(super) fn bodies(github: &FakeGithub) -> Vec<String> {
    github.state().comments.iter().map(|one| one["body"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn one_comment_is_written_and_then_written_again() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    for number in 0..150 {
        github.state().comment("a-person", &format!("comment {number}"));
    }
    let stranger = "<!-- modelgate:report=p -->\nAll is well, believe me.";
    github.state().comment("stranger", stranger);
    let said = exits(step(&project, &github, &[]), 0);
    assert!(said.contains("wrote the comment https://github.test/o/r/pull/7#issuecomment-"), "{said}");
    let comments = bodies(&github);
    assert_eq!(comments.len(), 152);
    assert!(
        comments[151].starts_with("<!-- modelgate:report=p -->\n# p v001\n\n**Verdict: passed**"),
        "{}",
        comments[151]
    );

    // The next push: the comment is found behind the others, and the stranger's is not touched.
    project.replace("modelgate.yaml", "at_least: 0.7", "at_most: 0.01");
    assert_eq!(project.command(&["run"]).output().expect("run").status.code(), Some(2));
    let said = exits(step(&project, &github, &[]), 0);
    assert!(said.contains("wrote again the comment"), "{said}");
    let comments = bodies(&github);
    assert_eq!(comments.len(), 152);
    assert!(comments[151].contains("**Verdict: failed**") && comments[150] == stranger, "{}", comments[151]);

    let state = github.state();
    let (passed, failed) = (&state.check_runs[0], &state.check_runs[1]);
    assert_eq!((&passed["conclusion"], &passed["head_sha"]), (&json!("success"), &json!(SHA)));
    assert_eq!(passed["details_url"], "https://github.test/o/r/actions/runs/42");
    let annotation = &failed["output"]["annotations"][0];
    assert_eq!((&failed["conclusion"], &annotation["path"]), (&json!("failure"), &json!("modelgate.yaml")));
    let line = annotation["start_line"].as_u64().expect("a line") as usize;
    let text = project.read("modelgate.yaml");
    assert!(text.lines().nth(line - 1).is_some_and(|line| line.contains("id: min-accuracy")), "{annotation}");
    assert!(said.contains("::error file=modelgate.yaml,line="), "{said}");

    // What the next steps read.
    let output = project.read("output");
    let value = |name: &str| {
        output.split(&format!("{name}<<")).last().and_then(|rest| rest.lines().nth(1)).map(str::to_owned)
    };
    assert_eq!((value("verdict").as_deref(), value("version").as_deref()), (Some("failed"), Some("v002")));
    assert!(value("digest").is_some_and(|digest| digest.starts_with("sha256:")), "{output}");
    assert!(value("report-path").is_some_and(|path| path.ends_with("report.md")), "{output}");
    assert!(project.read("summary.md").contains("# p v001"));
}

#[test]
fn of_two_comments_of_ours_one_stays() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    let first = github.state().comment(AUTHOR, "<!-- modelgate:report=p -->\nold");
    github.state().comment(AUTHOR, "<!-- modelgate:report=p -->\nolder, by a run at the same time");
    github.state().comment(AUTHOR, "<!-- modelgate:report=other -->\nof another pipeline");
    exits(step(&project, &github, &[]), 0);
    let state = github.state();
    assert_eq!(state.comments.len(), 2);
    assert_eq!(state.comments[0]["id"], first);
    assert!(state.comments[0]["body"].as_str().is_some_and(|body| body.contains("**Verdict: passed**")));
}

#[test]
fn a_pull_request_from_a_fork_gets_its_report_in_the_summary() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    event(&project, "stranger/r");
    github.state().read_only = true;
    let said = exits(step(&project, &github, &[]), 0);
    assert!(said.contains("may not comment") && said.contains("forks") && said.contains("summary"), "{said}");
    assert!(said.contains("neither a check run nor a status"), "{said}");
    assert!(project.read("summary.md").contains("**Verdict: passed**"));
    assert!(github.state().comments.is_empty());
}

#[test]
fn a_token_that_cannot_make_check_runs_makes_a_status() {
    let (project, github) = (judged(&CONFIG.replace("automatic", "required")), FakeGithub::start());
    github.state().no_checks = true;
    let said = exits(step(&project, &github, &[]), 0);
    assert!(said.contains("made the status `modelgate: p`: pending"), "{said}");
    let state = github.state();
    let status = &state.statuses[0];
    assert_eq!(
        (&status["sha"], &status["context"], &status["state"]),
        (&json!(SHA), &json!("modelgate: p"), &json!("pending"))
    );
    drop(state);
    // What waits for a person, or cannot be told, is neither good nor bad.
    github.state().no_checks = false;
    exits(step(&project, &github, &[]), 0);
    assert_eq!(github.state().check_runs[0]["conclusion"], "neutral");
}

#[test]
fn what_cannot_be_told_is_neither_good_nor_bad() {
    let config = CONFIG.replace("at_least: 0.7", "at_least: 0.7, min_samples: 1000");
    let (project, github) = (judged(&config), FakeGithub::start());
    exits(step(&project, &github, &[]), 0);
    github.state().no_checks = true;
    exits(step(&project, &github, &[]), 0);
    let state = github.state();
    let run = &state.check_runs[0];
    assert_eq!((&run["conclusion"], &state.statuses[0]["state"]), (&json!("neutral"), &json!("pending")));
    assert!(
        run["output"]["title"].as_str().is_some_and(|title| title.starts_with("inconclusive: ")),
        "{run}"
    );
    assert_eq!(run["output"]["annotations"][0]["annotation_level"], "warning");
}

#[test]
fn a_sample_makes_no_check_green_and_says_what_it_is() {
    let (project, github) = (project(CONFIG, 0), FakeGithub::start());
    event(&project, "o/r");
    project.run(&["run", "--sample", "80"]).exits(0).says("verdict: passed");
    for (file, line) in
        [("report.md", "# p, sample of 80 rows"), ("report.html", "<h1>p, sample of 80 rows</h1>")]
    {
        let text = project.read(&format!("outputs/p/{file}"));
        assert!(text.lines().next().is_some_and(|first| first.contains(line)), "{file}: {text}");
    }
    let said = exits(step(&project, &github, &["--dry-run"]), 0);
    assert!(said.contains("\"conclusion\": \"neutral\"") && !said.contains("\"success\""), "{said}");
    exits(step(&project, &github, &[]), 0);
    github.state().no_checks = true;
    exits(step(&project, &github, &[]), 0);
    let (run, status) = {
        let state = github.state();
        (state.check_runs[0].clone(), state.statuses[0].clone())
    };
    assert_eq!((&run["conclusion"], &status["state"]), (&json!("neutral"), &json!("pending")));
    for title in [&run["output"]["title"], &status["description"]] {
        assert!(
            title.as_str().is_some_and(|title| title.starts_with("passed on a sample of 80 rows: ")),
            "{title}"
        );
    }
    let body = bodies(&github).remove(0);
    assert_eq!(body.lines().nth(1), Some("# p, sample of 80 rows"), "{body}");

    // An issue that is open stays open.
    let issue = ["--issue", "The model is worse", "--no-check"];
    github.state().issue(AUTHOR, "The model is worse", "<!-- modelgate:report=p -->");
    assert!(exits(step(&project, &github, &issue), 0).contains("wrote again the issue"));
    // All rows say it for good.
    let _ = project.run(&["run"]).exits(0);
    github.state().no_checks = false;
    assert!(exits(step(&project, &github, &issue), 0).contains("closed the issue"));
    exits(step(&project, &github, &[]), 0);
    assert_eq!(github.state().check_runs[1]["conclusion"], "success");
    let body = bodies(&github).remove(0);
    assert!(!body.contains("sample of"), "{body}");
}

#[test]
fn limits_and_troubles_are_waited_out() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    github.state().troubles.extend([(429, Some(1)), (502, None), (403, Some(0))]);
    exits(step(&project, &github, &[]), 0);
    assert_eq!(bodies(&github).len(), 1);
    github.state().troubles.extend([(500, None); 4]);
    let said = exits(step(&project, &github, &[]), 1);
    assert!(said.contains("GitHub could not be reached for GET /user: 500: try again"), "{said}");
    github.state().troubles.push_back((429, Some(3600)));
    let said = exits(step(&project, &github, &[]), 1);
    assert!(said.contains("429"), "an hour is not waited: {said}");
}

#[test]
fn a_long_report_is_cut_where_a_line_ends() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    project.write("long.md", format!("# Long\n\n<details>\n{}</details>\n", "| ä | row |\n".repeat(18_000)));
    exits(step(&project, &github, &["--report", "long.md"]), 0);
    let body = &bodies(&github)[0];
    assert!(body.chars().count() <= 65_536 && body.contains("</details>"), "{}", body.len());
    let cut = "the whole report is in [the run](https://github.test/o/r/actions/runs/42).*\n";
    assert!(
        body.contains(cut) && body.ends_with("in [this run](https://github.test/o/r/actions/runs/42).\n")
    );
}

#[test]
fn a_dry_run_shows_each_request_and_sends_none() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    let said = exits(step(&project, &github, &["--dry-run"]), 0);
    assert!(said.contains(&format!("POST {}/repos/o/r/issues/7/comments\n{{", github.url)), "{said}");
    assert!(said.contains(&format!("POST {}/repos/o/r/check-runs\n{{", github.url)), "{said}");
    // What is there is read, so that a second push shows that the comment is written again.
    let written =
        |github: &FakeGithub| github.state().sent.iter().filter(|(_, path, _)| path != "/graphql").count();
    assert_eq!((written(&github), bodies(&github).len()), (0, 0));
    let id = github.state().comment(AUTHOR, "<!-- modelgate:report=p -->\nold");
    let said = exits(step(&project, &github, &["--dry-run"]), 0);
    assert!(said.contains(&format!("PATCH {}/repos/o/r/issues/comments/{id}\n{{", github.url)), "{said}");
    assert_eq!(bodies(&github), ["<!-- modelgate:report=p -->\nold"]);
    // Without a token nothing is asked.
    let asked = github.state().asked.len();
    let mut without = step(&project, &github, &["--dry-run"]);
    without.env_remove("GITHUB_TOKEN");
    let said = exits(without, 0);
    assert!(said.contains(&format!("POST {}/repos/o/r/issues/7/comments\n{{", github.url)), "{said}");
    assert_eq!(github.state().asked.len(), asked);
    assert!(!project.path("summary.md").exists() && !project.path("output").exists());
}

#[test]
fn a_place_that_is_no_step_is_told() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    let with = |name: &str, value: &str| {
        let mut command = step(&project, &github, &[]);
        command.env(name, value);
        command
    };
    let without = |name: &str| {
        let mut command = step(&project, &github, &[]);
        command.env_remove(name);
        command
    };
    for (command, code, says) in [
        (without("GITHUB_EVENT_PATH"), 64, "GITHUB_EVENT_PATH is not set"),
        (with("GITHUB_EVENT_PATH", "/nowhere/event.json"), 64, "cannot be read"),
        (with("GITHUB_EVENT_PATH", &project.path("data.csv").display().to_string()), 64, "is no JSON"),
        (with("GITHUB_REPOSITORY", "../../x"), 64, "expected `owner/name`"),
        (with("GITHUB_API_URL", "http://github.test"), 64, "https://"),
        (with("GITHUB_API_URL", "https://me:secret@github.test"), 64, "GITHUB_TOKEN"),
        (without("GITHUB_TOKEN"), 64, "GITHUB_TOKEN is not set"),
        (with("GITHUB_TOKEN", "expired-token"), 1, "GitHub refuses GET /user (401): Bad credentials"),
    ] {
        let said = exits(command, code);
        assert!(
            said.contains(says) && !said.contains("expired-token") && !said.contains("secret@"),
            "{says}: {said}"
        );
    }
    // A push has nothing to comment on, and a commit of its own.
    project.write("event.json", "{}");
    let said = exits(step(&project, &github, &[]), 0);
    assert!(said.contains("this is no pull request"), "{said}");
    assert_eq!(github.state().check_runs[0]["head_sha"], "f".repeat(40));
}

#[test]
fn a_run_that_ended_before_its_gate_says_no_old_verdict() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    let _ = project.command(&["run", "--until", "train"]).env("MODELGATE_SEED", "9").output().expect("run");
    let said = exits(step(&project, &github, &[]), 1);
    assert!(said.contains("ended before its gate"), "{said}");
    assert!(github.state().comments.is_empty());
}

#[test]
fn a_run_without_a_verdict_takes_back_what_was_said_of_an_earlier_commit() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    let _ = exits(step(&project, &github, &["--run-code", "0"]), 0);
    let first = bodies(&github).remove(0);
    assert!(first.contains("**Verdict: passed**"), "{first}");
    let whence = format!("Of the commit `{SHA}`, in [this run](https://github.test/o/r/actions/runs/42).");
    assert!(first.contains(&whence), "{first}");
    // The next commit's program is broken; what an earlier run left in outputs/ is not said of it.
    let next = project.read("event.json").replace(SHA, &"a".repeat(40));
    project.write("event.json", next);
    for (code, how) in [("1", "the run ended with code 1"), ("", "the run did not begin")] {
        let said = exits(step(&project, &github, &["--run-code", code]), 0);
        assert!(said.contains("wrote again the comment"), "{said}");
        let body = bodies(&github).remove(0);
        assert!(body.contains("# p: this commit could not be judged") && body.contains(how), "{body}");
        assert!(body.contains(&"a".repeat(40)) && !body.contains("Verdict: passed"), "{body}");
        let run = github.state().check_runs.last().cloned().expect("a check run");
        assert_eq!((&run["conclusion"], &run["head_sha"]), (&json!("failure"), &json!("a".repeat(40))));
    }
    // A run that is judged again is said again.
    let _ = exits(step(&project, &github, &["--run-code", "2"]), 0);
    assert!(bodies(&github)[0].contains("**Verdict: passed**"));
    // People tell two pipelines of one name apart as well.
    let _ = exits(step(&project, &github, &["--run-code", "1", "--name", "us"]), 0);
    let body = bodies(&github).pop().expect("another comment");
    assert!(body.contains("# p (us): this commit could not be judged"), "{body}");
}

#[test]
fn a_rule_without_an_id_is_annotated_in_its_own_pipeline() {
    let config =
        CONFIG.replace("{id: min-accuracy, metric", "{metric").replace("at_least: 0.7", "at_most: 0.01");
    let other = CONFIG.split_once("  p:\n").expect("a pipeline").1;
    let config = config.replacen("  p:\n", &format!("  o:\n{other}  p:\n"), 1);
    let project = project(&config, 0);
    assert_eq!(project.command(&["run", "p"]).output().expect("run").status.code(), Some(2));
    event(&project, "o/r");
    let github = FakeGithub::start();
    let _ = exits(step(&project, &github, &["--pipeline", "p"]), 0);
    let annotation = github.state().check_runs[0]["output"]["annotations"][0].clone();
    let line = annotation["start_line"].as_u64().expect("a line") as usize;
    let text = project.read("modelgate.yaml");
    let line = text.lines().nth(line - 1).unwrap_or_default();
    assert!(line.contains("metric: accuracy, at_most: 0.01"), "{line}: {annotation}");
}

#[test]
fn the_summary_is_json_for_programs() {
    let project = judged(CONFIG);
    let output = project.run(&["ci", "summary", "--output-format", "json"]).exits(0);
    let found: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!((&found["pipeline"], &found["outputs"]["verdict"]), (&json!("p"), &json!("passed")));
    assert!(found["report"].as_str().is_some_and(|text| text.starts_with("# p v001")), "{found}");
}

#[test]
fn a_blocked_contract_is_said_as_it_is() {
    let config = CONFIG.replace("target: y}", "target: y, contract: contract.yaml}");
    let project = TestProject::with(crate::BINARY, &crate::governance::easy(), &config);
    // What it calls itself is not where it is.
    let contract =
        "version: 1\nname: ours\ncolumns:\n  a: {type: float, max: 5}\n  b: {type: int}\n  y: {type: int}\n";
    project.write("contract.yaml", contract);
    let output = project.command(&["run"]).output().expect("run");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    event(&project, "o/r");
    let github = FakeGithub::start();
    let said = exits(step(&project, &github, &[]), 0);
    assert!(said.contains("::error file=contract.yaml,line=4,title=a.max::"), "{said}");
    let body = &bodies(&github)[0];
    assert!(body.contains("# p: blocked by the data contract") && body.contains("a.max"), "{body}");
    let run = &github.state().check_runs[0];
    assert_eq!(
        (&run["conclusion"], &run["output"]["annotations"][0]["path"]),
        (&json!("failure"), &json!("contract.yaml"))
    );
    let output = project.read("output");
    assert!(
        output.contains("verdict<<") && output.contains("\nfailed\n") && output.contains("\nblocked\n"),
        "{output}"
    );
}

#[test]
fn what_stands_in_a_row_is_not_said() {
    let config = CONFIG.replace("target: y}", "target: y, contract: contract.yaml, types: {b: string}}");
    for (rule, id) in [("{type: string, max_length: 5}", "b.max_length"), ("{type: int}", "b.type")] {
        let mut rows = crate::governance::easy();
        rows.push_str("1.5,patient-secret,0\n");
        let project = TestProject::with(crate::BINARY, &rows, &config);
        project.write(
            "contract.yaml",
            format!("version: 1\ncolumns:\n  a: {{type: float}}\n  b: {rule}\n  y: {{type: int}}\n"),
        );
        let output = project.command(&["run"]).output().expect("run");
        // Where the data is, it is shown.
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.code() == Some(2) && shown.contains("b = patient-secret"), "{shown}");
        event(&project, "o/r");
        let github = FakeGithub::start();
        let said = exits(step(&project, &github, &[]), 0);
        let state = github.state();
        let heard =
            json!({ "comments": state.comments, "runs": state.check_runs, "sent": state.sent }).to_string();
        for text in [&heard, &said, &project.read("summary.md"), &project.read("output")] {
            assert!(!text.contains("patient-secret"), "{text}");
        }
        assert!(heard.contains(id) && heard.contains("line 122"), "{heard}");
    }
}

#[test]
fn a_comment_that_is_gone_is_written_anew() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    github.state().comment(AUTHOR, "<!-- modelgate:report=p -->\nold");
    github.state().comments_vanish = true;
    let said = exits(step(&project, &github, &[]), 0);
    assert!(said.contains("wrote the comment"), "{said}");
    assert_eq!(bodies(&github).len(), 1);
}

#[test]
fn an_application_finds_its_own_comment() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    github.state().application = Some("our-app".to_owned());
    exits(step(&project, &github, &[]), 0);
    exits(step(&project, &github, &[]), 0);
    let state = github.state();
    assert_eq!((state.comments.len(), &state.comments[0]["user"]["login"]), (1, &json!("our-app[bot]")));
}

#[test]
fn a_token_without_rights_is_told_which_is_missing() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    github.state().read_only = true;
    let said = exits(step(&project, &github, &["--assets"]), 0);
    assert!(said.contains("`pull-requests: write` is missing") && !said.contains("forks"), "{said}");
    assert!(said.contains("`contents: write` is missing: the comment has no plots"), "{said}");
}

#[test]
fn many_annotations_take_several_requests() {
    let rules: Vec<String> =
        (0..120).map(|number| format!("{{id: rule-{number}, metric: accuracy, at_most: 0.01}}")).collect();
    let rules = format!("rules: [{}]", rules.join(", "));
    let config = CONFIG.replace("rules: [{id: min-accuracy, metric: accuracy, at_least: 0.7}]", &rules);
    let (project, github) = (judged(&config), FakeGithub::start());
    exits(step(&project, &github, &[]), 0);
    let state = github.state();
    let annotations = state.check_runs[0]["output"]["annotations"].as_array().expect("annotations");
    assert_eq!((state.check_runs.len(), annotations.len()), (1, 120));
}

#[test]
fn the_summary_alone_needs_no_token() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    let mut command = project.command(&["ci", "summary"]);
    command
        .env("GITHUB_STEP_SUMMARY", project.path("summary.md"))
        .env("GITHUB_OUTPUT", project.path("output"));
    exits(command, 0);
    assert!(project.read("summary.md").contains("**Verdict: passed**"));
    assert!(project.read("output").contains("\npromoted\n"));
    // What made the version is told from what came upon it.
    let registered = || {
        let mut command = project.command(&["--output-format", "json", "ci", "summary"]);
        command.env_remove("GITHUB_STEP_SUMMARY").env_remove("GITHUB_OUTPUT");
        let found: serde_json::Value = serde_json::from_str(&exits(command, 0)).expect("JSON");
        found["outputs"]["registered"].clone()
    };
    assert_eq!(registered(), "true");
    // In a clone there is nothing of the run before.
    fs_err::remove_dir_all(project.path("outputs")).expect("removed");
    let _ = project.run(&["run"]).exits(0);
    assert_eq!(registered(), "false");
    let mut plain = project.command(&["ci", "summary"]);
    plain.env_remove("GITHUB_STEP_SUMMARY").env_remove("GITHUB_OUTPUT");
    assert!(exits(plain, 0).contains("**Verdict: passed**"));
    assert!(github.state().asked.is_empty());
}

#[test]
fn who_approved_is_asked_for() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    let said = |state: &str, login: &str, environment: &str| json!({ "state": state, "user": { "login": login }, "environments": [{ "name": environment }] });
    let approver = |arguments: &[&str]| {
        let mut command = project.command(&["ci", "approver"]);
        command.args(arguments).env("GITHUB_TRIGGERING_ACTOR", "again");
        command.env("GITHUB_API_URL", &github.url).env("GITHUB_TOKEN", TOKEN).env("GITHUB_ACTOR", "pusher");
        command.env("GITHUB_REPOSITORY", "o/r").env("GITHUB_EVENT_PATH", project.path("event.json"));
        command.env("GITHUB_RUN_ID", "42");
        exits(command, 0)
    };
    let nobody = approver(&[]);
    assert!(nobody.contains("again\n") && !nobody.contains("pusher\n"), "{nobody}");
    github.state().approvals = vec![
        said("approved", "first", "production"),
        said("rejected", "second", "production"),
        said("approved", "reviewer", "production"),
        said("approved", "erin", "another"),
    ];
    assert_eq!(approver(&[]), "reviewer\n");
    // GitHub tells names apart by letters, not by their size.
    assert_eq!(approver(&["--environment", "Another"]), "erin\n");
    // Nobody was asked for this one: who ran the job again answers for it.
    let third = approver(&["--environment", "third"]);
    assert!(
        third.contains("again\n") && third.contains("somebody approved `production`, `another`"),
        "{third}"
    );
}

#[test]
fn requests_that_are_used_up_are_waited_for_until_they_are_given_again() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    github.state().resets_in = Some(1);
    exits(step(&project, &github, &[]), 0);
    let first: Vec<String> = github.state().asked.iter().take(2).cloned().collect();
    assert_eq!(first, ["GET /user"; 2]);
    assert_eq!(bodies(&github).len(), 1);
    // An hour is not waited.
    github.state().resets_in = Some(3600);
    let said = exits(step(&project, &github, &[]), 1);
    assert!(said.contains("GET /user: 403: no request is left"), "{said}");
}

#[test]
fn what_is_sent_has_the_form_that_github_publishes() {
    let Some(tools) = std::env::var_os("MODELGATE_INTEROP_CI") else {
        return skip("MODELGATE_INTEROP_CI names no folder with GitHub's description of its API");
    };
    let modules = std::path::Path::new(&tools).join("node_modules");
    let (project, github) = (judged(&CONFIG.replace("at_least: 0.7", "at_most: 0.01")), FakeGithub::start());
    github.state().comment(AUTHOR, "<!-- modelgate:report=p -->\none of two");
    github.state().comment(AUTHOR, "<!-- modelgate:report=p -->\ntwo of two");
    exits(step(&project, &github, &["--assets"]), 0);
    exits(step(&project, &github, &["--issue", "The model is worse"]), 0);
    exits(step(&project, &github, &["--issue", "The model is worse", "--assets"]), 0);
    github.state().no_checks = true;
    exits(step(&project, &github, &[]), 0);
    let mut approver = project.command(&["ci", "approver"]);
    approver.env("GITHUB_API_URL", &github.url).env("GITHUB_TOKEN", TOKEN).env("GITHUB_ACTOR", "pusher");
    approver.env("GITHUB_REPOSITORY", "o/r").env("GITHUB_EVENT_PATH", project.path("event.json"));
    approver.env("GITHUB_RUN_ID", "42");
    exits(approver, 0);
    exits(step(&project, &github, &["--assets", "--dry-run"]), 0);
    let said: Vec<_> =
        github.state().exchanges.iter().filter(|one| one["path"] != "/graphql").cloned().collect();
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        assert!(said.iter().any(|one| one["method"] == method), "{method}");
    }
    assert!(said.len() > 40 && said.iter().any(|one| one["query"].is_string()), "{}", said.len());
    project.write("sent.json", serde_json::to_string(&said).expect("JSON"));
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/octokit.mjs");
    let output =
        Command::new("node").arg(script).arg(modules).arg(project.path("sent.json")).output().expect("node");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}
