use modelgate_core::verdict::GateVerdict;
use serde_json::Value;

use super::*;
use crate::options::{ApprovalAnswer, ApprovalRequest, StageReport};
use crate::record::StageRecord;
use crate::reports::{self, EndedRun, RunEvidence};
use crate::stage::Selection;

/// Hears notes.
struct Person(Vec<String>);

impl Reporter for Person {
    fn started(&mut self, _: Stage) {}
    fn note(&mut self, sentence: &str) {
        self.0.push(sentence.to_owned());
    }
    fn finished(&mut self, _: &StageReport) {}
}

/// Answers, after looking whether others can work on the project meanwhile.
struct Free<'a>(&'a Project, ApprovalAnswer);

impl Approver for Free<'_> {
    fn is_there(&self) -> bool {
        self.1 != ApprovalAnswer::Nobody
    }
    fn ask(&mut self, _: &ApprovalRequest) -> ApprovalAnswer {
        let around = Surroundings { now: &now, actor: "another".to_owned() };
        let _lock = lock(self.0, "modelgate model rollback", &around).expect("free");
        self.1.clone()
    }
}

fn now() -> String {
    "2026-01-01T00:00:00.000Z".to_owned()
}

/// Rows of which a tree knows nearly all.
fn project(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = (0..120).map(|row| format!("{}.5,{},{}\n", row % 10, row, u8::from(row % 10 >= 5)));
    fs_err::write(folder.path().join("d.csv"), format!("a,b,y\n{}", rows.collect::<String>())).expect("rows");
    configure(&folder, config);
    folder
}

fn configure(folder: &tempfile::TempDir, config: &str) {
    let [rule, promotion, more] = config.split('|').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let text = format!(
        "version: 1\nproject: p\n{more}\npipelines:\n  p:\n    task: classification\n    data: {{source: d.csv, target: y}}\n    \
         train: {{algorithm: decision_tree, params: {{max_depth: 2}}}}\n    evaluate: {{intervals: none}}\n    \
         gate: {{rules: [{{id: bound, metric: accuracy, {rule}, min_samples: 5}}]}}\n    promotion: {{{promotion}}}\n"
    );
    fs_err::write(folder.path().join("modelgate.yaml"), text).expect("written");
}

fn found(folder: &tempfile::TempDir) -> Project {
    Project::find(folder.path(), &|_| None).expect("a project")
}

/// Runs the project; returns what came of it and what was noted.
fn ran(
    folder: &tempfile::TempDir,
    selection: Selection,
    answer: ApprovalAnswer,
) -> (Result<RunOutcome, PipelineError>, Vec<String>) {
    let project = found(folder);
    let pipeline = project.pipeline(None).expect("a pipeline");
    let options = RunOptions { selection, ..RunOptions::default() };
    let around = Surroundings { now: &now, actor: "tester".to_owned() };
    let mut person = Person(Vec::new());
    let outcome = run(&pipeline, &options, &around, &mut person, &mut Free(&project, answer));
    (outcome, person.0)
}

fn all(folder: &tempfile::TempDir) -> RunOutcome {
    ran(folder, Selection::All, ApprovalAnswer::Nobody).0.expect("judged")
}

fn json(folder: &tempfile::TempDir, name: &str) -> Value {
    let text = fs_err::read_to_string(folder.path().join("outputs/p").join(name)).expect("there");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_verdict_that_nobody_computed_registers_nothing() {
    let folder = project("at_most: 0|approval: automatic|");
    let judged = ran(&folder, Selection::Until(Stage::Gate), ApprovalAnswer::Nobody).0.expect("judged");
    assert_eq!(judged.ending, Ending::Blocked);
    let project = found(&folder);
    let records = project.pipeline(None).expect("a pipeline").records();
    let mut record = StageRecord::load(&records, Stage::Gate).expect("a record");
    let forged = GateVerdict::of(Vec::new(), true, None);
    let forged = GateVerdict { verdict: Verdict::Passed, ..forged };
    let bytes = serde_json::to_vec(&forged).expect("JSON");
    let digest = modelgate_store::ContentStore::new(&project.state_folder()).put(&bytes).expect("kept");
    record.outputs.insert("verdict".to_owned(), digest);
    record.save(&records).expect("written");
    let error = ran(&folder, Selection::All, ApprovalAnswer::Nobody).0.expect_err("refused").to_string();
    assert!(error.contains("gate.json") && error.contains("`modelgate run p --from evaluate`"), "{error}");
    assert!(registry(&project).expect("a registry").state().models.is_empty());
    assert_eq!(json(&folder, "verdict.json")["verdict"], "inconclusive");
    // Judged again it is what it was; and what an earlier run left is believed where it is what comes of judging.
    let again = ran(&folder, Selection::From(Stage::Evaluate), ApprovalAnswer::Nobody).0.expect("judged");
    assert_eq!((again.ending, again.version), (Ending::Blocked, Some(VersionNumber(1))));
    configure(&folder, "at_least: 0.6|approval: automatic|");
    let _ = ran(&folder, Selection::Until(Stage::Gate), ApprovalAnswer::Nobody).0.expect("judged");
    let passed = all(&folder);
    assert_eq!((passed.ending, passed.version), (Ending::Done, Some(VersionNumber(2))));
}

#[test]
fn reports_that_cannot_be_written_take_nothing_from_what_was_judged_and_done() {
    let folder = project("at_least: 0.6|approval: automatic|");
    let page = folder.path().join("outputs/p/report.html");
    fs_err::create_dir_all(page.join("in the way")).expect("a folder");
    let passed = all(&folder);
    assert!(passed.failed.is_some() && passed.promoted.is_some(), "{passed:?}");
    assert_eq!(json(&folder, "verdict.json")["verdict"], "passed");
    assert_eq!(json(&folder, "promotion_decision.json")["decision"], "promoted");
    configure(&folder, "at_most: 0|approval: automatic|");
    let failed = all(&folder);
    assert_eq!((failed.ending, failed.failed.is_some()), (Ending::Blocked, true));
    assert_eq!(json(&folder, "verdict.json")["verdict"], "failed");
    let report = json(&folder, "run_report.json");
    assert_eq!(report["verdict"], "failed");
    assert!(report["error"].as_str().is_some_and(|error| error.contains("report.html")), "{report}");
    // Once nothing is in the way, the next run makes them.
    fs_err::remove_dir_all(&page).expect("removed");
    assert!(all(&folder).failed.is_none() && page.is_file());
    assert_eq!(json(&folder, "run_report.json").get("error"), None);
}

#[test]
fn an_error_behind_the_gate_leaves_the_verdict_and_is_told_beside_it() {
    let folder =
        project("at_least: 0.6|approval: automatic|signing: {require_signature: true, public_keys: [k.pub]}");
    let ended = all(&folder);
    let error = ended.failed.expect("it is not signed").to_string();
    assert!(error.contains("signing.require_signature"), "{error}");
    assert_eq!((ended.ending, ended.version), (Ending::Done, Some(VersionNumber(1))));
    let project = found(&folder);
    let pipeline = project.pipeline(None).expect("a pipeline");
    assert!(EndedRun::read(&pipeline).is_none());
    let evidence = RunEvidence::load(&pipeline).expect("judged");
    assert_eq!(evidence.verdict.verdict, Verdict::Passed);
    for page in [reports::markdown(&evidence, false), reports::html(&evidence)] {
        assert!(page.contains("Not completed behind the gate") && page.contains("require"), "{page}");
    }
    let decision = json(&folder, "promotion_decision.json");
    assert_eq!((&decision["decision"], &decision["reason"]), (&"failed".into(), &error.as_str().into()));
}

#[test]
fn a_package_that_a_person_rejected_waits_for_a_person_under_another_number() {
    let folder = project("at_least: 0.6|approval: required|");
    // While a person is asked the project is free for others.
    let no = ApprovalAnswer::Reject("biased".to_owned());
    let rejected = ran(&folder, Selection::All, no).0.expect("judged");
    assert_eq!(rejected.ending, Ending::Blocked);
    configure(&folder, "at_least: 0.5|approval: automatic|");
    let (waiting, notes) = ran(&folder, Selection::All, ApprovalAnswer::Nobody);
    let waiting = waiting.expect("judged");
    assert_eq!((waiting.ending, waiting.version), (Ending::Waiting, Some(VersionNumber(2))));
    let why = "v001 is the same package, and tester rejected it on 2026-01-01T00:00:00.000Z: biased";
    assert!(notes.iter().any(|note| note == why), "{notes:?}");
    let project = found(&folder);
    let mut registry = registry(&project).expect("a registry");
    let (model, version) = (project.pipeline(None).expect("a pipeline").model, VersionNumber(2));
    let by_itself = crate::policy::approve_by_policy(&project, &mut registry, &model, version, &now());
    assert!(!by_itself.expect("asked"));
    let yes = ApprovalAnswer::Approve("looked again".to_owned());
    let approved = ran(&folder, Selection::All, yes).0.expect("judged");
    assert_eq!((approved.ending, approved.state), (Ending::Done, Some(Lifecycle::Production)));
}

#[test]
fn a_quarantined_model_waits_for_a_person_in_another_package_and_a_former_production_says_how_it_comes_back()
{
    use modelgate_core::lifecycle::Event;
    let folder = project("at_least: 0.6|approval: automatic|");
    assert_eq!(all(&folder).state, Some(Lifecycle::Production));
    // Of this tree nothing changes.
    let deeper = |depth: u32| {
        let path = folder.path().join("modelgate.yaml");
        let text = fs_err::read_to_string(&path).expect("text");
        let text = text.replace("max_depth: 2", &format!("max_depth: {depth}"));
        fs_err::write(path, text).expect("written");
    };
    deeper(9);
    let project = found(&folder);
    let (model, first) = (project.pipeline(None).expect("a pipeline").model, VersionNumber(1));
    let apply = |version, event: Event, actor: &str| {
        let mut registry = registry(&project).expect("a registry");
        registry.apply(&model, version, &event, &now(), actor).expect("allowed");
    };
    apply(first, Event::Quarantine { was_production: None, reason: "leaked".to_owned() }, "alice");
    let (waiting, notes) = ran(&folder, Selection::All, ApprovalAnswer::Nobody);
    let waiting = waiting.expect("judged");
    let second = VersionNumber(2);
    assert_eq!((waiting.ending, waiting.version), (Ending::Waiting, Some(second)));
    let why =
        "it has the same model.onnx as v001, which alice quarantined on 2026-01-01T00:00:00.000Z: leaked";
    assert!(notes.iter().any(|note| note == why), "{notes:?}");
    // As of one that was approved before it was known.
    apply(second, Event::Approve { reason: String::new() }, crate::policy::AUTOMATIC);
    let asked = registry(&project).expect("a registry");
    let refused = crate::policy::check_promotion(&project, &asked, &model, second, &now());
    let refused = refused.expect_err("a person has to look").to_string();
    assert!(refused.contains(why) && refused.contains("`modelgate model approve p v002`"), "{refused}");
    assert_eq!(
        ran(&folder, Selection::All, ApprovalAnswer::Nobody).0.expect("judged").ending,
        Ending::Waiting
    );
    let yes = ApprovalAnswer::Approve("the feed was wrong".to_owned());
    let approved = ran(&folder, Selection::All, yes).0.expect("judged");
    assert_eq!((approved.ending, approved.state), (Ending::Done, Some(Lifecycle::Production)));

    // Another takes its place and leaves, and the pipeline makes it again.
    configure(&folder, "at_least: 0.4|approval: automatic|");
    let text = fs_err::read_to_string(folder.path().join("modelgate.yaml")).expect("text");
    fs_err::write(folder.path().join("modelgate.yaml"), text.replace("decision_tree", "random_forest"))
        .expect("written");
    let third = all(&folder);
    assert_eq!((third.version, third.state), (Some(VersionNumber(3)), Some(Lifecycle::Production)));
    apply(VersionNumber(3), Event::Quarantine { was_production: None, reason: "bad".to_owned() }, "alice");
    configure(&folder, "at_least: 0.6|approval: automatic|");
    deeper(9);
    let ended = all(&folder);
    assert_eq!(ended.ending, Ending::Blocked);
    let reason = json(&folder, "promotion_decision.json")["reason"].clone();
    let reason = reason.as_str().expect("a reason");
    assert!(reason.contains("v002 is archived, and nothing is in production"), "{reason}");
    assert!(reason.contains("`modelgate model rollback p --to-version v002`"), "{reason}");
}
