//! What passed its gate and may go nowhere, and which of two projects it is said of.

use modelgate_testing::github::FakeGithub;

use super::comment::{bodies, exits, judged, step};
use crate::governance::CONFIG;

#[test]
fn a_package_that_is_quarantined_is_not_well_because_its_figures_are() {
    let (project, github) = (judged(CONFIG), FakeGithub::start());
    let why = ["model", "quarantine", "p", "v001", "--reason", "customers complain"];
    let _ = project.run(&why).exits(0);
    let _ = project.run(&["run", "--until", "gate"]).exits(0).says("quarantined as p v001");
    exits(step(&project, &github, &["--name", "us"]), 0);
    let comments = bodies(&github);
    assert!(comments[0].contains("**Quarantined**: this package is quarantined as v001"), "{}", comments[0]);
    // The name of the workflows tells it from a pipeline of another folder that is called so too.
    assert!(comments[0].starts_with("<!-- modelgate:report=p us -->"), "{}", comments[0]);
    {
        let state = github.state();
        let check = &state.check_runs[0];
        assert_eq!((&check["conclusion"], &check["name"]), (&"failure".into(), &"modelgate: p (us)".into()));
        let title = check["output"]["title"].as_str().unwrap_or_default();
        assert!(title.starts_with("this package is quarantined as v001"), "{title}");
    }
    // The whole run says no, and its check run with it.
    let _ = project.run(&["run"]).exits(2);
    exits(step(&project, &github, &[]), 0);
    assert_eq!(github.state().check_runs[1]["conclusion"], "failure");
}
