//! A scheduled run that reports into an issue.

use modelgate_testing::github::{AUTHOR, FakeGithub};
use serde_json::json;

use super::comment::{exits, judged, step};
use crate::governance::CONFIG;

const TITLE: &str = "The model is not what it should be";

#[test]
fn an_issue_is_open_while_the_verdict_is_not_passed() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    project.write("event.json", "{}");
    let say = || exits(step(&project, &github, &["--issue", TITLE, "--no-check"]), 0);
    let said = say();
    assert!(said.contains("all is well: there is no issue"), "{said}");

    // Somebody else has an issue of that title, and we have one of another.
    github.state().issue("a-person", TITLE, "<!-- modelgate:report=p -->");
    github.state().issue(AUTHOR, "Another title", "<!-- modelgate:report=p -->");
    project.replace("modelgate.yaml", "at_least: 0.7", "at_most: 0.01");
    assert_eq!(project.command(&["run"]).output().expect("run").status.code(), Some(2));
    let said = say();
    assert!(said.contains("opened the issue https://github.test/o/r/issues/"), "{said}");
    assert!(say().contains("wrote again the issue"));
    let count = github.state().issues.len();

    project.replace("modelgate.yaml", "at_most: 0.01", "at_least: 0.7");
    assert_eq!(project.command(&["run"]).output().expect("run").status.code(), Some(0));
    let said = say();
    assert!(said.contains("closed the issue"), "{said}");
    let state = github.state();
    assert_eq!(state.issues.len(), count);
    let ours = state.issues.last().expect("an issue");
    assert_eq!((&ours["state"], &ours["state_reason"]), (&json!("closed"), &json!("completed")));
    assert!(ours["body"].as_str().is_some_and(|body| body.contains("**Verdict: passed**")));
    assert!(
        state
            .issues
            .iter()
            .filter(|issue| issue["number"] != ours["number"])
            .all(|issue| issue["state"] == "open")
    );
    assert!(state.check_runs.is_empty() && state.statuses.is_empty());
}

#[test]
fn a_token_that_may_not_write_issues_is_told() {
    let (project, github) = (judged(&CONFIG.replace("at_least: 0.7", "at_most: 0.01")), FakeGithub::start());
    github.state().read_only = true;
    let said = exits(step(&project, &github, &["--issue", TITLE]), 0);
    assert!(said.contains("may not write issues") && said.contains("summary"), "{said}");
}
