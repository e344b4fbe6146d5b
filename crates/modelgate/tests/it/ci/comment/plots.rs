//! Plots of a report, on a branch of their own.

use super::*;

#[test]
fn plots_are_committed_to_a_branch_of_their_own_and_shown() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    // Another run makes the branch at the same moment; ours goes on top of it.
    github.state().someone_is_first = true;
    exits(step(&project, &github, &["--assets"]), 0);
    let first = github.state().branches["modelgate-assets"].clone();
    {
        let state = github.state();
        let commit = &state.objects[&first];
        let theirs = commit["parents"][0].as_str().expect("a parent");
        assert_eq!(state.objects[theirs]["message"], "of another run");
        let blob = state.file(&first, &format!("p/{SHA}/confusion_matrix.png")).expect("the plot");
        // A PNG file in Base64 begins so.
        assert!(blob["content"].as_str().is_some_and(|text| text.starts_with("iVBORw0KGgo")), "{blob}");
        // What the other run left is there still.
        assert!(state.file(&first, "other/plot.png").is_some());
    }
    let body = &bodies(&github)[0];
    let link = format!(
        "![confusion matrix](https://github.test/o/r/blob/{first}/p/{SHA}/confusion_matrix.png?raw=true)"
    );
    assert!(body.contains(&link) && !body.contains("dark"), "{body}");
    // The next push adds a commit.
    exits(step(&project, &github, &["--assets"]), 0);
    let state = github.state();
    assert_eq!(state.objects[&state.branches["modelgate-assets"]]["parents"], json!([first]));
}

/// Returns the requests that a dry run prints: method, path and body.
fn shown(said: &str, github: &FakeGithub) -> Vec<(String, String, serde_json::Value)> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    for line in said.lines() {
        let start =
            line.split_once(' ').and_then(|(method, url)| Some((method, url.strip_prefix(&github.url)?)));
        match (start, found.last_mut()) {
            (Some((method, path)), _) => found.push((method.to_owned(), path.to_owned(), String::new())),
            (None, Some((.., body))) => body.push_str(line),
            (None, None) => {}
        }
    }
    let parsed = |body: String| serde_json::from_str(&body).unwrap_or_default();
    found.into_iter().map(|(method, path, body)| (method, path, parsed(body))).collect()
}

#[test]
fn a_dry_run_with_plots_shows_what_is_sent_then() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    for round in 0..3 {
        if round == 1 {
            github.state().somebody_puts("modelgate-assets", "p-other/plot.png", b"of another pipeline");
        }
        let shown = shown(&exits(step(&project, &github, &["--dry-run", "--assets"]), 0), &github);
        github.state().sent.clear();
        exits(step(&project, &github, &["--assets"]), 0);
        let sent = github.state().sent.clone();
        let sent: Vec<_> = sent.into_iter().filter(|(_, path, _)| path != "/graphql").collect();
        assert!(sent.len() >= 6, "{}", sent.len());
        assert_eq!(shown, sent, "round {round}");
    }
    let state = github.state();
    let head = &state.branches["modelgate-assets"];
    for path in ["p-other/plot.png".to_owned(), format!("p/{SHA}/confusion_matrix.png")] {
        assert!(state.file(head, &path).is_some(), "{path}");
    }
    drop(state);
    // Without a token nothing is read, and every name is there all the same.
    let mut without = step(&project, &github, &["--dry-run", "--assets"]);
    without.env_remove("GITHUB_TOKEN");
    let said = exits(without, 0);
    assert!(said.contains("/git/refs\n{") && !said.contains("\"\""), "{said}");
}

#[test]
fn a_repository_without_a_commit_gets_its_report_without_plots() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    github.state().empty = true;
    let said = exits(step(&project, &github, &["--assets"]), 0);
    assert!(said.contains("`modelgate-assets` cannot be written (Git Repository is empty.)"), "{said}");
    let bodies = bodies(&github);
    assert!(bodies.len() == 1 && !bodies[0].contains("Plots"), "{bodies:?}");
}
