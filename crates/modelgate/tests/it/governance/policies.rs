//! What `modelgate.yaml` allows.

use super::{CONFIG, easy, project, run};
use crate::BINARY;
use modelgate_testing::TestProject;

pub(super) fn with_promotion(settings: &str) -> String {
    CONFIG.replace("promotion: {approval: automatic}", &format!("promotion: {{{settings}}}"))
}

#[test]
fn only_those_who_are_named_approve() {
    let project =
        TestProject::with(BINARY, &easy(), &with_promotion("approval: required, approvers: [alice]"));
    let _ = project.run(&["run"]).exits(4);
    project.run(&["model", "approve", "p"]).exits(1).says("`tester` may not approve p: promotion.approvers");
    project.run(&["model", "reject", "p", "--reason", "x"]).exits(1).says("names alice");
    let output = project.command(&["model", "approve", "p"]).env("MODELGATE_ACTOR", "alice").output();
    assert!(output.expect("started").status.success());
    let _ = project.run(&["model", "promote", "p"]).exits(0);
    // An approval from before the policy counts no more.
    let other = TestProject::with(BINARY, &easy(), &with_promotion("approval: required"));
    let _ = other.run(&["run"]).exits(4);
    let _ = other.run(&["model", "approve", "p"]).exits(0);
    other.write("modelgate.yaml", with_promotion("approval: required, approvers: [alice]"));
    other.run(&["model", "promote", "p"]).exits(1).says("`tester` may not approve p");
}

#[test]
fn what_the_policy_approved_by_itself_waits_where_a_person_is_asked_now() {
    let project = TestProject::with(BINARY, &easy(), CONFIG);
    let _ = project.run(&["run", "--until", "approve"]).exits(0);
    project.run(&["ledger", "log"]).exits(0).says("policy:automatic");
    project.write("modelgate.yaml", with_promotion("approval: required"));
    project.run(&["model", "promote", "p"]).exits(1).says("`policy:automatic` may not approve p");
    project.run(&["run"]).exits(4).says("v001 waits for approval").says("no person has approved it");
    let _ = project.run(&["model", "approve", "p"]).exits(0);
    project.run(&["run"]).exits(0).says("p v001 is in production");
}

#[test]
fn what_was_judged_as_the_first_model_does_not_replace_a_production_that_is_there_now() {
    let rules =
        "rules: [{id: beside, metric: accuracy, versus: production, max_drop: 0.01}, {id: min-accuracy, ";
    let config = with_promotion("approval: required").replace("rules: [{id: min-accuracy, ", rules);
    let project = TestProject::with(BINARY, &easy(), &config);
    let with_seed = |seed: &str| {
        let output = project.command(&["run"]).env("MODELGATE_SEED", seed).output().expect("started");
        assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    };
    with_seed("1");
    with_seed("2");
    // Nothing is in production: either may be the first.
    let _ = project.run(&["model", "approve", "p", "1"]).exits(0);
    let _ = project.run(&["model", "approve", "p", "2"]).exits(0);
    let _ = project.run(&["model", "promote", "p", "2"]).exits(0);
    let refused = project.run(&["model", "promote", "p", "1"]).exits(1);
    refused.says("p v001 was judged when nothing was in production, without `beside`, and v002 is there now");
    project.run(&["model", "approve", "p", "1"]).exits(1).says("was judged when nothing was in production");
    // What can go nowhere waits for nobody.
    project.run(&["status"]).exits(0).says("production  v002").says("waiting     nothing");
    // Run again it is judged beside it.
    let output = project.command(&["run"]).env("MODELGATE_SEED", "1").output().expect("started");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("of production v002") && !said.contains("bootstrap"), "{said}");
}

#[test]
fn what_was_judged_beside_one_production_does_not_replace_another() {
    let beside = |depth: u32| {
        let rules =
            "rules: [{id: beside, metric: accuracy, versus: production, max_drop: 0.5}, {id: min-accuracy, ";
        tree(depth, "approval: required").replace("rules: [{id: min-accuracy, ", rules)
    };
    let project = TestProject::with(BINARY, &layered(), &beside(1));
    assert_eq!(trained(&project, 1, beside(1)).0, Some(4));
    let decide = |verb: &str, version: &str| project.run(&["model", verb, "p", version]);
    let _ = decide("approve", "1").exits(0);
    let _ = decide("promote", "1").exits(0);
    for depth in [2, 3] {
        assert_eq!(trained(&project, 1, beside(depth)).0, Some(4));
    }
    // Both are judged beside v001, and approved; one of them takes its place.
    let _ = decide("approve", "2").exits(0);
    let _ = decide("approve", "3").exits(0);
    let _ = decide("promote", "2").exits(0);
    let stale = "p v003 was judged beside v001, by `beside`, and v002 is in production now";
    decide("promote", "3").exits(1).says(stale);
    decide("approve", "3").exits(1).says(stale);
    let back = ["model", "rollback", "p", "--to-version", "3", "--yes", "--reason", "x"];
    project.run(&back).exits(1).says(stale);
    project.run(&["status"]).exits(0).says("production  v002").says("waiting     nothing");
    // Run again it is judged beside that one.
    assert_eq!(trained(&project, 1, beside(3)).0, Some(4));
    let _ = decide("approve", "4").exits(0);
    let _ = decide("promote", "4").exits(0);
}

#[test]
fn an_approval_expires_and_is_renewed() {
    let config = with_promotion("approval: required, approval_expires: 1s");
    let project = TestProject::with(BINARY, &easy(), &config);
    let _ = project.run(&["run"]).exits(4);
    let _ = project.run(&["model", "approve", "p"]).exits(0);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    project.run(&["model", "promote", "p"]).exits(1).says("has expired: promotion.approval_expires is 1s");
    project.run(&["run"]).exits(4).says("v001 waits for approval").says("approve it again");
    project.run(&["status"]).exits(0).says("waiting     v001 (its approval counts no more)");
    let json = project.run(&["--output-format", "json", "status"]).exits(0).stdout;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON")["pipelines"][0]["lapsed"][0],
        1
    );
    let _ = project.run(&["model", "approve", "p", "--reason", "looked again"]).exits(0);
    let _ = project.run(&["model", "promote", "p"]).exits(0);
    project.write("modelgate.yaml", with_promotion("approval_expires: soon"));
    project.run(&["status"]).exits(64).says("`soon` is not a duration");
}

#[test]
fn an_approval_from_the_future_counts_as_expired() {
    use modelgate_core::lifecycle::Event;
    let approved = |seconds: i64| {
        let config = with_promotion("approval: required, approval_expires: 7d");
        let project = TestProject::with(BINARY, &easy(), &config);
        let _ = project.run(&["run"]).exits(4);
        let time = jiff::Timestamp::now().as_second() + seconds;
        let time = jiff::Timestamp::from_second(time).expect("a time").to_string();
        super::apply(&project, 1, &Event::Approve { reason: String::new() }, &time);
        project
    };
    // The clock was set back behind an approval: nothing expires any more.
    let project = approved(1000);
    let refused = project.run(&["model", "promote", "p"]).exits(1);
    refused.says("is later than the clock of this machine").says("counts as expired");
    project.run(&["model", "list"]).exits(0).says("v001 approved");
    // Where no approval expires, its time says nothing.
    project.write("modelgate.yaml", with_promotion("approval: required"));
    let _ = project.run(&["model", "promote", "p"]).exits(0);
    // The clocks of two machines are never quite the same.
    let _ = approved(120).run(&["model", "promote", "p"]).exits(0);
}

#[test]
fn the_best_of_history_becomes_production_and_a_newest_that_is_not_goes_to_staging() {
    let project =
        TestProject::with(BINARY, &easy(), &with_promotion("approval: automatic, choose: best_by accuracy"));
    run(&project, 1);
    project.run(&["model", "list"]).exits(0).says("v001 production");
    // Of equals the older stays.
    run(&project, 2);
    project.run(&["model", "list"]).exits(0).says("v001 production").says("v002 staging");
    project.run(&["status"]).exits(0).says("production  v001").says("verified");
    let wrong = with_promotion("choose: best_by beauty");
    project.write("modelgate.yaml", wrong);
    project.run(&["run"]).exits(64).says("there is no metric `beauty`; there is accuracy");
}

/// Rows of which a tree of depth one knows most and a deeper one knows all.
pub(super) fn layered() -> String {
    let label = |row: u32| u8::from((row % 10 >= 5) != (row % 7 == 6));
    // The third column makes every row one of its own, so that each part has some of all kinds.
    let rows = (0..700).map(|row| format!("{}.5,{},{},{}\n", row % 10, row % 7, row % 97, label(row)));
    "a,b,c,y\n".to_owned() + &rows.collect::<String>()
}

fn tree(depth: u32, promotion: &str) -> String {
    with_promotion(promotion)
        .replace(
            "random_forest, params: {n_estimators: 5}",
            &format!("decision_tree, params: {{max_depth: {depth}}}"),
        )
        .replace("at_least: 0.7", "at_least: 0.5")
}

/// Runs with another seed, which makes another package, and returns the exit code and what was said.
fn trained(project: &TestProject, seed: u64, config: String) -> (Option<i32>, String) {
    project.write("modelgate.yaml", config);
    let output = project.command(&["run"]).env("MODELGATE_SEED", seed.to_string()).output().expect("started");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn accuracy(project: &TestProject, version: u32) -> f64 {
    super::registry(project)
        .registration(&super::model(), modelgate_core::VersionNumber(version))
        .expect("a version")
        .metrics["accuracy"]
}

#[test]
fn a_worse_newest_goes_to_staging_and_an_older_better_one_to_production() {
    let best = "approval: required, choose: best_by accuracy";
    let project = TestProject::with(BINARY, &layered(), &tree(1, best));
    assert_eq!(trained(&project, 1, tree(1, best)).0, Some(4));
    let _ = project.run(&["model", "approve", "p", "1"]).exits(0);
    assert_eq!(trained(&project, 1, tree(1, best)).0, Some(0));
    // A better one that nobody promotes yet, and then a worse one.
    assert_eq!(trained(&project, 2, tree(8, best)).0, Some(4));
    let _ = project.run(&["model", "approve", "p", "2"]).exits(0);
    assert_eq!(trained(&project, 3, tree(1, best)).0, Some(4));
    let _ = project.run(&["model", "approve", "p", "3"]).exits(0);
    assert!(accuracy(&project, 2) > accuracy(&project, 3) + 0.05, "the figures differ");
    let (code, said) = trained(&project, 3, tree(1, best));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("p v002 is in production") && said.contains("v003 is in staging"), "{said}");
    project
        .run(&["model", "list"])
        .exits(0)
        .says("v001 archived")
        .says("v002 production")
        .says("v003 staging");
    assert_eq!(super::packaged(&project), super::digest(&project, 2));
    assert_eq!(project.json("outputs/p/deployment_manifest.json")["version"], 2);
    project
        .run(&["ledger", "log"])
        .exits(0)
        .says("v002 promoted to production, v001 archived: best_by accuracy");
}

#[test]
fn a_worse_newest_alone_goes_to_staging_and_a_better_one_waits_for_its_approval() {
    let best = "approval: required, choose: best_by accuracy";
    let project = TestProject::with(BINARY, &layered(), &tree(8, best));
    assert_eq!(trained(&project, 1, tree(8, best)).0, Some(4));
    assert_eq!(trained(&project, 2, tree(1, best)).0, Some(4));
    let _ = project.run(&["model", "approve", "p", "2"]).exits(0);
    let (code, said) = trained(&project, 2, tree(1, best));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("v002 is in staging") && said.contains("it waits for approval"), "{said}");
    let _ = project.run(&["model", "approve", "p", "1"]).exits(0);
    // Approved by somebody whom the policy no longer names: it is not promoted by the way.
    let strict = "approval: required, choose: best_by accuracy, approvers: [alice]";
    let mut run = project.command(&["run"]);
    project.write("modelgate.yaml", tree(1, strict));
    let output = run.env("MODELGATE_SEED", "2").env("MODELGATE_ACTOR", "alice").output().expect("started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!said.contains("v001 is in production"), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    let list = project.run(&["model", "list"]).exits(0);
    list.says("v001 approved").says("v002 staging");
    let events = super::registry(&project).position();
    let again = project.command(&["run"]).env("MODELGATE_SEED", "2").env("MODELGATE_ACTOR", "alice").output();
    assert_eq!(again.expect("started").status.code(), Some(0));
    assert_eq!(super::registry(&project).position(), events, "what is decided is not decided again");
}

#[test]
fn a_better_one_that_was_compared_with_nothing_is_not_waited_for() {
    let beside =
        "rules: [{id: beside, metric: accuracy, versus: production, max_drop: 0.5}, {id: min-accuracy, ";
    let tree =
        |depth: u32, promotion: &str| tree(depth, promotion).replace("rules: [{id: min-accuracy, ", beside);
    let project = TestProject::with(BINARY, &layered(), &tree(8, "approval: required"));
    assert_eq!(trained(&project, 1, tree(8, "approval: required")).0, Some(4));
    assert_eq!(trained(&project, 2, tree(1, "approval: required")).0, Some(4));
    for command in [["approve", "1"], ["approve", "2"], ["promote", "2"]] {
        let _ = project.run(&["model", command[0], "p", command[1]]).exits(0);
    }
    // v001 is the best of all, and nothing brings it to production in place of v002.
    let (code, said) = trained(&project, 3, tree(8, "approval: automatic, choose: best_by accuracy"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("p v003 is in production"), "{said}");
}

#[test]
fn a_better_one_that_was_replaced_is_named_and_comes_back_by_a_rollback_alone() {
    let project = TestProject::with(BINARY, &layered(), &tree(8, "approval: automatic"));
    assert_eq!(trained(&project, 1, tree(8, "approval: automatic")).0, Some(0));
    assert_eq!(trained(&project, 2, tree(1, "approval: automatic")).0, Some(0));
    let (code, said) = trained(&project, 3, tree(1, "approval: automatic, choose: best_by accuracy"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("v003 is in staging, best_by accuracy: v002 has"), "{said}");
    assert!(said.contains("v001 had 1 and was replaced: only a rollback brings it back"), "{said}");
    assert!(said.contains("v002 and v003 were measured on rows of different splits"), "{said}");
    project
        .run(&["model", "list"])
        .exits(0)
        .says("v001 archived")
        .says("v002 production")
        .says("v003 staging");
}

#[test]
fn a_package_made_elsewhere_goes_through_the_same_policies() {
    // What a package was trained on is left out, which leaves few rows.
    let few = |config: &str| config.replace("at_least: 0.7", "at_least: 0.7, min_samples: 2");
    let best = few(&with_promotion("approval: automatic, choose: best_by accuracy"));
    let maker = project(CONFIG, 2);
    for version in ["1", "2"] {
        let _ = maker.run(&["model", "pull", "p", version, "--to", version]).exits(0);
    }
    let folder = |version: &str| maker.path(version).to_str().expect("path").to_owned();
    let taker = TestProject::with(BINARY, &easy(), &with_promotion("approval: automatic, manual: forbidden"));
    let take = |version: &str| taker.run(&["model", "promote", "p", "--from-run", &folder(version)]);
    take("1").exits(1).says("promotion.manual of pipeline `p` is `forbidden`");
    assert!(!taker.path(".modelgate/ledger.jsonl").exists(), "nothing is registered");
    taker.write("modelgate.yaml", &best);
    // Nobody's policy approves by itself what no run here has made.
    take("1").exits(4).says("and a person decides of v001: it came from a folder and not from a run");
    let _ = taker.run(&["model", "approve", "p", "1"]).exits(0);
    take("1").exits(0).says("v001 is in production");
    // Of another seed, it has learned from most of the rows that are held back here.
    take("2").exits(4).says("are left out: the package was trained on them");
    let _ = taker.run(&["model", "approve", "p", "2"]).exits(0);
    // Of equals, the older.
    take("2").exits(0).says("v002 is in staging, best_by accuracy: v001 has");
    taker.run(&["status"]).exits(0).says("production  v001").says("verified");
}

#[test]
fn a_rollback_to_what_was_never_in_production_is_a_promotion() {
    let project = project(CONFIG, 1);
    project.write("modelgate.yaml", with_promotion("approval: required"));
    let run = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(run.status.code(), Some(4));
    let _ = project.run(&["model", "approve", "p", "2"]).exits(0);
    let back = ["model", "rollback", "p", "--to-version", "2", "--yes", "--reason", "x"];
    let skipping = [&back[..], &["--skip-verification"]].concat();
    let before = super::registry(&project).position();
    for (settings, message) in [
        ("approval: required, manual: forbidden", "promotion.manual of pipeline `p` is `forbidden`"),
        ("approval: required, approvers: [alice]", "`tester` may not approve p"),
        ("approval: required, approval_expires: 0s", "has expired: promotion.approval_expires is 0s"),
    ] {
        if settings.contains("expires") {
            std::thread::sleep(std::time::Duration::from_millis(1100));
        }
        project.write("modelgate.yaml", with_promotion(settings));
        for command in [&back[..], &skipping] {
            project.run(command).exits(1).says("p v002 was never in production").says(message);
        }
    }
    assert_eq!(super::registry(&project).position(), before);
    project.write("modelgate.yaml", with_promotion("approval: required"));
    project.run(&back).exits(0).says("v002 is in production again");
    // The one that was there before is gone back to whatever its approval's age: that is what it is kept for.
    project.write(
        "modelgate.yaml",
        with_promotion("approval: required, manual: forbidden, approval_expires: 0s"),
    );
    let first =
        ["model", "rollback", "p", "--to-version", "1", "--yes", "--override-quarantine", "--reason", "y"];
    project.run(&first).exits(0).says("v001 is in production again");
}

/// Approves, and while it thinks somebody else promotes another version.
struct Slow<'a>(&'a TestProject);

impl modelgate_pipeline::Approver for Slow<'_> {
    fn ask(&mut self, request: &modelgate_pipeline::ApprovalRequest) -> modelgate_pipeline::ApprovalAnswer {
        use modelgate_core::VersionNumber;
        use modelgate_core::lifecycle::Event;
        assert_eq!(request.production, Some(VersionNumber(1)));
        let promote = Event::Promote { over: Some(VersionNumber(1)), reason: "faster".to_owned() };
        super::apply(self.0, 2, &promote, &jiff::Timestamp::now().to_string());
        modelgate_pipeline::ApprovalAnswer::Approve("better than v001".to_owned())
    }
}

struct Silent;

impl modelgate_pipeline::Reporter for Silent {
    fn started(&mut self, _: modelgate_pipeline::Stage) {}
    fn note(&mut self, _: &str) {}
    fn finished(&mut self, _: &modelgate_pipeline::StageReport) {}
}

#[test]
fn a_run_does_not_promote_over_another_production_than_it_was_judged_against() {
    let project = project(CONFIG, 1);
    let required = with_promotion("approval: required");
    project.write("modelgate.yaml", required);
    let second = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(second.status.code(), Some(4));
    let _ = project.run(&["model", "approve", "p", "2"]).exits(0);
    let root = fs_err::canonicalize(project.path(".")).expect("a folder");
    let seed = |name: &str| (name == "MODELGATE_SEED").then(|| "3".to_owned());
    let found = modelgate_pipeline::Project::find(&root, &seed).expect("a project");
    let pipeline = found.pipeline(None).expect("a pipeline");
    let now = || jiff::Timestamp::now().to_string();
    let around = modelgate_pipeline::Surroundings { now: &now, actor: "tester".to_owned() };
    let options = modelgate_pipeline::RunOptions::default();
    let ran = modelgate_pipeline::run(&pipeline, &options, &around, &mut Silent, &mut Slow(&project));
    let error = ran.expect("judged").failed.expect("refused").to_string();
    assert!(
        error.contains("v002 reached production meanwhile, where v001 was when this was decided"),
        "{error}"
    );
    let list = project.run(&["model", "list"]).exits(0);
    list.says("v002 production").says("v003 approved");
}

#[test]
fn a_model_that_no_pipeline_of_the_project_makes_is_decided_on_elsewhere() {
    let project = project(CONFIG, 1);
    project.write("modelgate.yaml", CONFIG.replace("approval: automatic", "approval: required"));
    let ran = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(ran.status.code(), Some(4));
    let approved = || {
        let event = modelgate_core::lifecycle::Event::Approve { reason: String::new() };
        super::apply(&project, 2, &event, &jiff::Timestamp::now().to_string());
    };
    project.write("modelgate.yaml", CONFIG.replace("  p:\n", "  q:\n"));
    let refused = "no pipeline of this project makes p";
    project.run(&["model", "approve", "p", "2"]).exits(1).says(refused);
    project.run(&["model", "reject", "p", "2", "--reason", "x"]).exits(1).says(refused);
    approved();
    project.run(&["model", "promote", "p", "2"]).exits(1).says(refused);
    project.run(&["model", "promote", "p", "2", "--dry-run"]).exits(1).says(refused);
    project.run(&["model", "list"]).exits(0).says("v001 production").says("v002 approved");
}

#[test]
fn a_quarantined_package_from_elsewhere_is_not_registered() {
    let project = project(CONFIG, 2);
    let _ = project.run(&["model", "pull", "p", "2", "--to", "package"]).exits(0);
    let _ = project.run(&["model", "rollback", "p", "--yes", "--reason", "x"]).exits(0);
    let before = super::registry(&project).position();
    let take = ["model", "promote", "p", "--from-run", "package"];
    project.run(&take).exits(1).says("the package of p v002, which is quarantined: it was not registered");
    assert_eq!(super::registry(&project).position(), before);
}

#[test]
fn status_tells_what_waits_and_what_was_stopped_behind_the_gate() {
    use modelgate_core::VersionNumber;
    use modelgate_core::lifecycle::Event;
    let project = project(CONFIG, 2);
    project.write("modelgate.yaml", CONFIG.replace("approval: automatic", "approval: required"));
    let run = |seed: &str| {
        let ran = project.command(&["run"]).env("MODELGATE_SEED", seed).output().expect("started");
        ran.status.code()
    };
    assert_eq!(run("3"), Some(4));
    project.run(&["status"]).exits(0).says("waiting     v003\n");
    let _ = project.run(&["model", "approve", "p", "3"]).exits(0);
    let said = project.run(&["status"]).exits(0);
    said.says("waiting     v003 (approved)");
    assert!(!said.stdout.contains("rollback"), "{}", said.stdout);
    // Another checkout began to go back.
    let intend = Event::IntendRollBack {
        reason: "slow".to_owned(),
        verification: modelgate_core::ledger::Verification::Verified,
        origin: "elsewhere".to_owned(),
    };
    super::apply(&project, 1, &intend, &jiff::Timestamp::now().to_string());
    project
        .run(&["status"])
        .exits(0)
        .says("rollback    from v002 to v001 is under way since")
        .says("by tester");
    let json = project.run(&["--output-format", "json", "status"]).exits(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["pipelines"][0]["rollback"]["version"], 1);
    assert_eq!(json["pipelines"][0]["waiting"], serde_json::json!([VersionNumber(3)]));
    let undo = ["model", "rollback", "p", "--undo", "--yes", "--reason", "its machine is gone"];
    let _ = project.run(&undo).exits(0);
    let _ = project.run(&["model", "quarantine", "p", "3", "--reason", "leaks the target"]).exits(0);
    assert_eq!(run("3"), Some(2));
    project.run(&["status"]).exits(0).says("blocked: v003 is quarantined").says("waiting     nothing");
}
