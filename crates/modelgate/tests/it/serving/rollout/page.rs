//! The page `docs/rollout.md`: its configuration is read and its commands do what it says.

use std::path::Path;
use std::process::Command;

use super::super::service;
use super::{candidate, careful, ledger, standing, under_load};
use crate::BINARY;

/// Returns the blocks of a page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in page.split(&format!("```{language}\n")).skip(1) {
        found.push(part.split("```").next().expect("a block").to_owned());
    }
    found
}

#[test]
fn the_page_about_rollouts_says_what_happens() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rollout.md");
    let page = fs_err::read_to_string(page).expect("the page");
    let project = careful();
    candidate(&project);
    let service = service(&project, &[]);
    let config = blocks(&page, "yaml").concat().replace("http://127.0.0.1:8080", &service.url);
    project.write("modelgate.yaml", project.read("modelgate.yaml") + &config);
    let folder = Path::new(BINARY).parent().expect("a folder").display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let run = |line: &str| {
        // A reader waits for five minutes; this test has other things to do.
        let line = line.replace("--for 5m", "--for 4s");
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(project.path("."))
            .envs([("PATH", path.as_str()), ("MODELGATE_ACTOR", "tester"), ("ADMIN_API_TOKEN", "right")])
            .output()
            .expect("sh");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "`{line}`: {said}");
    };
    let (way, end) = page.split_once("## When it goes wrong").expect("two parts");
    let (end, several) = end.split_once("## Several services behind a load balancer").expect("three parts");
    // Enough requests for the page's `min_samples` on a slow machine.
    project.replace("modelgate.yaml", "min_samples: 100", "min_samples: 10");
    let _ = under_load(&service, 1, || {
        blocks(way, "sh").iter().flat_map(|block| block.lines()).for_each(run);
    });
    assert!(ledger(&project).contains("v002 promoted to production"));
    project.replace("modelgate.yaml", "n_estimators: 11", "n_estimators: 12");
    let _ = project.run(&["run"]).exits(4);
    let other = super::super::service(&project, &["--cache", "elsewhere"]);
    for line in blocks(several, "sh").concat().lines() {
        run(&line.replace("http://10.0.0.1:8080", &service.url).replace("http://10.0.0.2:8080", &other.url));
    }
    for service in [&service, &other] {
        assert_eq!(standing(service)["canary"]["weight"], 50);
    }
    assert_eq!(ledger(&project).matches("rollout of v003 at ").count(), 1);
    blocks(end, "sh").iter().flat_map(|block| block.lines()).for_each(run);
    assert!(ledger(&project).contains("v003 quarantined: customers complain about v003"));
}
