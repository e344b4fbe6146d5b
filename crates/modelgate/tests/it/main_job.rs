//! The main job: data to production, skipping, comparing, approving.

use std::path::Path;

use modelgate_testing::{TestProject, shared_table};

use crate::BINARY;

fn breast_cancer() -> TestProject {
    TestProject::example(BINARY, "breast-cancer", None)
}

fn packaged(project: &TestProject, model: &str) -> Vec<(String, Vec<u8>)> {
    let folder = project.path(&format!("models/packaged/{model}"));
    let entries = fs_err::read_dir(folder).expect("package").map(|entry| entry.expect("entry").path());
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|path| {
            (
                path.file_name().expect("name").to_string_lossy().into_owned(),
                fs_err::read(path).expect("read"),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_first_command_goes_the_whole_way_and_leaves_every_output() {
    let project = breast_cancer();
    let output = project.run(&["run"]).exits(0);
    output
        .says("bootstrap")
        .says("verdict: passed")
        .says("v001 is production")
        .says("outputs/breast-cancer/report.md");
    for name in [
        "run_report.json",
        "evaluation_report.json",
        "comparison.json",
        "verdict.json",
        "promotion_decision.json",
        "deployment_manifest.json",
        "report.md",
        "MODEL_CARD.md",
        "confusion_matrix.svg",
        "confusion_matrix.png",
    ] {
        let path = project.path(&format!("outputs/breast-cancer/{name}"));
        assert!(path.metadata().is_ok_and(|metadata| metadata.len() > 0), "{name}");
    }
    assert_eq!(project.json("outputs/breast-cancer/deployment_manifest.json")["readiness"], "ready");
    let report = project.json("outputs/breast-cancer/run_report.json");
    let run = report["run_id"].as_str().expect("a run id");
    assert!(project.path(&format!("outputs/breast-cancer/evaluations/{run}.json")).is_file());
    let names: Vec<String> = packaged(&project, "breast-cancer").into_iter().map(|file| file.0).collect();
    let expected = [
        "MLmodel",
        "MODEL_CARD.md",
        "manifest.json",
        "metrics.json",
        "model.onnx",
        "reference.json",
        "verdict.json",
    ];
    assert_eq!(names, expected);
    assert!(project.path("baselines/breast-cancer.json").is_file());
    let here = project.path(".").display().to_string();
    assert!(
        !project.read("outputs/breast-cancer/deployment_manifest.json").contains(here.trim_end_matches("/."))
    );
}

#[test]
fn packages_are_byte_identical_for_1_2_and_8_threads_and_in_another_folder() {
    let packages: Vec<_> = ["1", "2", "8"]
        .map(|threads| {
            let project = breast_cancer();
            let status =
                project.command(&["run"]).env("MODELGATE_THREADS", threads).status().expect("started");
            assert!(status.success());
            packaged(&project, "breast-cancer")
        })
        .into();
    assert_eq!(packages[0], packages[1]);
    assert_eq!(packages[0], packages[2]);
}

#[test]
fn a_second_run_skips_every_stage() {
    let project = breast_cancer();
    let _ = project.run(&["run"]).exits(0);
    let before = project.read(".modelgate/ledger.jsonl");
    let output = project.run(&["run"]).exits(0);
    assert_eq!(output.stderr.matches(" skipped ").count(), 11, "{}", output.stderr);
    assert_eq!(before, project.read(".modelgate/ledger.jsonl"));
}

#[test]
fn a_dry_run_says_why_and_changes_nothing() {
    let project = breast_cancer();
    project.run(&["run", "--dry-run"]).exits(0).says("it has not run yet").says("`snapshot` runs before it");
    assert!(!project.path(".modelgate/ledger.jsonl").exists());
    let _ = project.run(&["run"]).exits(0);
    project.replace("modelgate.yaml", "n_estimators: 100", "n_estimators: 7");
    let output = project.run(&["run", "--dry-run"]).exits(0);
    output.says("`train.params.n_estimators` was 100 and is 7").says("`train` runs before it");
}

#[test]
fn a_worse_model_is_blocked_and_production_stays() {
    let project = breast_cancer();
    let _ = project.run(&["run"]).exits(0);
    let before = packaged(&project, "breast-cancer");
    project.replace("modelgate.yaml", "n_estimators: 100", "n_estimators: 1, max_depth: 1, max_features: 1");
    let output = project.run(&["run"]).exits(2);
    output.says("verdict: failed").says("production v001 has").says("v002 is candidate");
    assert_eq!(before, packaged(&project, "breast-cancer"));
    assert_eq!(project.json("outputs/breast-cancer/promotion_decision.json")["decision"], "blocked");
    project
        .run(&["model", "approve", "breast-cancer", "2"])
        .exits(2)
        .says("only a version that passed its gate");
    project
        .run(&["model", "promote", "breast-cancer", "2"])
        .exits(2)
        .says("only a version that passed its gate");
    project
        .run(&["deploy", "record", "breast-cancer", "v002", "--target", "prod"])
        .exits(2)
        .says("only a version that passed its gate");
}

#[test]
fn another_model_that_passes_takes_the_place_of_the_first() {
    let project = breast_cancer();
    let _ = project.run(&["run"]).exits(0);
    project.replace("modelgate.yaml", "n_estimators: 100", "n_estimators: 101");
    project.replace("modelgate.yaml", "max_drop: 0.01", "max_drop: 0.5");
    project.run(&["run"]).exits(0).says("v002 is production").says("production v001 has");
    project.run(&["model", "list"]).exits(0).says("v001 archived").says("champion,production");
}

#[test]
fn approval_is_asked_for_and_waits_without_a_terminal() {
    let project = TestProject::example(BINARY, "iris", None);
    project.run(&["run"]).exits(4).says("waits for approval");
    assert!(!project.path("models/packaged/iris").exists());
    project.run(&["run"]).exits(4).says("v001 waits for approval");
    project.run(&["model", "promote", "iris"]).exits(1).says("must be approved before");
    project.run(&["model", "approve", "iris", "--reason", "looks good"]).exits(0).says("in production");
    project.run(&["run"]).exits(0).says("v001 is production");
    project.run(&["ledger", "log"]).exits(0).says("tester").says("v001 approved: looks good");
}

#[test]
fn a_rejection_needs_a_reason_and_is_final() {
    let project = TestProject::example(BINARY, "iris", None);
    let _ = project.run(&["run"]).exits(4);
    project.run(&["model", "reject", "iris"]).exits(64).says("--reason is needed");
    project.run(&["model", "reject", "iris", "--reason", "biased"]).exits(0).says("v001 is rejected");
    project.run(&["run"]).exits(2).says("v001 is rejected");
    project.run(&["model", "approve", "iris"]).exits(1).says("rejected and cannot be approved");
}

#[test]
fn promotion_by_hand_can_be_forbidden() {
    let project = TestProject::example(BINARY, "iris", None);
    project.replace("modelgate.yaml", "approval: required", "manual: forbidden, approval: required");
    let _ = project.run(&["run"]).exits(4);
    let _ = project.run(&["model", "approve", "iris"]).exits(0);
    project.run(&["model", "promote", "iris"]).exits(1).says("promotion.manual").says("modelgate run iris");
    let _ = project.run(&["run"]).exits(0);
}

#[test]
fn a_sample_is_judged_and_never_registered() {
    let project = breast_cancer();
    let output = project.run(&["run", "--sample", "200"]);
    output.says("a sample of 200 rows").says("verdict:");
    assert!(!project.path("models/packaged").exists());
    let _ = project.run(&["model", "list"]).exits(0).says("there is no model yet");
}

#[test]
fn stages_can_be_run_alone_from_and_until() {
    let project = breast_cancer();
    project.run(&["run", "--only", "train"]).exits(64).says("stage `snapshot` must run first");
    let output = project.run(&["run", "--until", "assemble"]).exits(0);
    assert_eq!(output.stderr.matches(" ran ").count(), 5, "{}", output.stderr);
    let output = project.run(&["run", "--only", "train"]).exits(0);
    assert!(output.stderr.contains("train      ran"), "{}", output.stderr);
    let output = project.run(&["run", "--from", "evaluate"]).exits(0);
    output.says("v001 is production");
    project.run(&["run", "--only", "nonsense"]).exits(64).says("is not a stage");
}

fn with_table(example: &str, file: &str) -> Option<TestProject> {
    let table = shared_table(file)?;
    let to = format!("data/raw/{file}");
    Some(TestProject::example(BINARY, example, Some((Path::new(&table), &to))))
}

#[test]
fn king_county_reaches_production_with_a_good_fit() {
    let Some(project) = with_table("king-county", "kc_house_data.csv") else { return };
    let _ = project.run(&["run"]).exits(0).says("v001 is production");
    let report = project.json("outputs/king-county/evaluation_report.json");
    let r2 = report["subsets"]["test"]["metrics"]["r2"].as_f64().expect("r2");
    assert!(r2 > 0.8, "{r2}");
    assert!(project.path("outputs/king-county/residuals.png").is_file());
}

#[test]
fn drug_classification_passes_and_waits_for_a_person() {
    let Some(project) = with_table("drug-classification", "drug200.csv") else { return };
    let _ = project.run(&["run"]).exits(4).says("verdict: passed");
}

#[test]
fn the_gate_works_alone_on_the_figures_of_any_tool() {
    let project = TestProject::new(BINARY);
    project.write("metrics.json", r#"{"val": {"auc": 0.93}, "loss": NaN}"#);
    let check = |rule: &str| {
        project.run(&["gate", "check", "--metrics", "metrics.json", "--rule", rule, "--output", "gate.json"])
    };
    let _ = check("val.auc >= 0.92").exits(0).says("val.auc is 0.93, at least 0.92");
    assert_eq!(project.json("gate.json")["verdict"]["verdict"], "passed");
    let _ = check("val.auc >= 0.95").exits(2);
    let _ = check("loss <= 1").exits(3);
    let _ = check("accuracy >= 0.5").exits(3).says("measured are");
    let _ = check("val.auc").exits(64);
    let _ = project
        .run(&["gate", "check", "--metrics", "none.json", "--rule", "a >= 1"])
        .exits(1)
        .says("none.json");
}

#[test]
fn the_gate_judges_a_run_by_name() {
    let project = breast_cancer();
    let _ = project.run(&["run"]).exits(0);
    let _ = project.run(&["gate", "check", "--run", "breast-cancer", "--rule", "accuracy >= 0.5"]).exits(0);
    let _ =
        project.run(&["gate", "check", "--run", "breast-cancer", "--rule", "accuracy >= 0.9999"]).exits(2);
    let _ = project.run(&["gate", "check", "--run", "nothing", "--rule", "accuracy >= 0.5"]).exits(64);
}

#[test]
fn init_writes_a_project_that_is_valid_and_never_overwrites_one() {
    let project = TestProject::new(BINARY);
    project.write("sold.csv", "a,price\n1,1.5\n2,2.5\n");
    project
        .run(&["init", "--source", "sold.csv", "--target", "price"])
        .exits(0)
        .says("the task is a regression, since `price` has numbers with decimals, such as 1.5; where they are classes");
    assert!(project.read("modelgate.yaml").contains("task: regression"));
    fs_err::remove_file(project.path("modelgate.yaml")).expect("removed");
    let _ = project.run(&["init", "--name", "churn", "--target", "left"]).exits(0);
    let missing = project.run(&["config", "check"]).exits(64);
    missing.says("pipelines.churn.data.source: there is no file `data/raw/data.csv`; put it there");
    project.write("data/raw/data.csv", "a,left\n1,no\n2,yes\n");
    let _ = project.run(&["config", "check"]).exits(0).says("modelgate.yaml is valid");
    let shown = project.run(&["config", "show"]).exits(0).stdout;
    let _ = project.run(&["init"]).exits(64).says("it was not touched");
    project.write("modelgate.yaml", shown);
    let _ = project.run(&["config", "check"]).exits(0);
}

#[test]
fn rules_compare_with_the_baseline_and_with_a_run() {
    let project = breast_cancer();
    let _ = project.run(&["run"]).exits(0);
    let report = project.json("outputs/breast-cancer/run_report.json");
    let run = report["run_id"].as_str().expect("a run id").to_owned();
    let rules = format!(
        "rules:\n        - {{id: base, metric: f1, versus: baseline, max_drop: 50%}}\n        \
         - {{id: run, metric: log_loss, versus: \"run:{run}\", max_rise: 5}}\n        \
         - {{id: gone, metric: f1, versus: \"run:gone\", max_drop: 0.9}}"
    );
    project.replace("modelgate.yaml", "rules:", &rules);
    project.replace("modelgate.yaml", "n_estimators: 100", "n_estimators: 90");
    let output = project.run(&["run"]).exits(3);
    output
        .says("baseline v001 has")
        .says(&format!("run {run} has"))
        .says("run:gone could not be compared with");
    output.says("verdict: inconclusive").says("v002 is candidate");
}

#[test]
fn a_changed_schema_blocks() {
    let project = breast_cancer();
    let _ = project.run(&["run"]).exits(0);
    project.replace("modelgate.yaml", "preprocess: {", "preprocess: {drop: [mean radius], ");
    project.run(&["run"]).exits(2).says("feature `mean radius` was removed");
}
