//! What is said of the last run when it did not come to a verdict: never what an earlier one has left.

use modelgate_testing::TestProject;

use crate::BINARY;

/// A project whose first run passed, with a contract on its data.
fn passed() -> (TestProject, String) {
    let project = TestProject::with(
        BINARY,
        &rows(60),
        "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: y, contract: contract.yaml}
    train: {params: {n_estimators: 5}}
    gate:
      rules:
        - {id: enough, metric: accuracy, at_least: 0.1, min_samples: 5}
        - {id: no-drop, metric: f1, versus: production, max_drop: 0.9, min_samples: 5}
        - {id: same-schema, metric: schema, versus: production, equals: compatible}
        - {id: slices, metric: slices, versus: production, equals: not_worse}
    evaluate: {min_slice_rows: 3}
    promotion: {approval: automatic}
",
    );
    project.write("contract.yaml", "version: 1\ncolumns: {a: {type: int, max: 99}, y: {type: int}}\n");
    let _ = project.run(&["run"]).exits(0);
    let run = project.json("outputs/p/run_report.json")["run_id"].as_str().expect("a run").to_owned();
    (project, run)
}

/// A page without its style sheet, which knows every word.
fn body(page: &str) -> String {
    page.split("</style>").last().unwrap_or(page).to_owned()
}

fn rows(count: usize) -> String {
    let lines = (0..count).map(|row| format!("{row},{}\n", row % 7 / 4));
    format!("a,y\n{}", lines.collect::<String>())
}

#[test]
fn the_reports_of_a_run_that_the_contract_blocked_say_so_and_of_which_run_the_figures_are() {
    let (project, before) = passed();
    project.write("data.csv", format!("{}500,1\n", rows(60)));
    let _ = project.run(&["run"]).exits(2);
    let report = |form: &str| body(&project.run(&["report", form]).exits(0).stdout);
    for form in ["markdown", "html"] {
        let page = report(form);
        assert!(page.contains("blocked by the data contract") && page.contains("a.max"), "{form}: {page}");
        assert!(page.contains(&before) && !page.contains("passed"), "{form}: {page}");
    }
    for file in ["report.md", "report.html"] {
        let page = body(&project.read(&format!("outputs/p/{file}")));
        assert!(page.contains("blocked by the data contract") && !page.contains("passed"), "{file}: {page}");
    }
    let verdict: serde_json::Value = serde_json::from_str(&report("json")).expect("JSON");
    assert_eq!(
        (&verdict["verdict"], &verdict["rules"][0]["id"]),
        (&"failed".into(), &"contract.a.max".into())
    );
    // Who reads the file alone does not take the verdict of the run before for this one's.
    assert_eq!(project.json("outputs/p/verdict.json"), verdict);
    let junit = report("junit");
    assert!(junit.contains("failures=\"1\"") && junit.contains("<failure"), "{junit}");
    assert!(report("sarif").contains("\"fail\""));
    project.run(&["report", "card"]).exits(1).says("blocked by the data contract");
    let explained = project.run(&["gate", "explain"]).exits(0);
    explained.says("ended before the gate, blocked by the data contract").says(&before);
    project.run(&["status"]).exits(0).says(", blocked by the data contract").says(&before);
    project
        .run(&["gate", "check"])
        .exits(1)
        .says("blocked by the data contract")
        .says(&format!("--run {before}"));
    let _ = project.run(&["gate", "check", "--run", &before, "--rule", "accuracy >= 0.1"]).exits(0);
    // What was passed before is passed again once the data keep the contract.
    project.write("data.csv", rows(60));
    let _ = project.run(&["run"]).exits(0);
    assert!(report("markdown").contains("**Verdict: passed**"));
    assert_eq!(project.json("outputs/p/verdict.json")["verdict"], "passed");
    project.run(&["status"]).exits(0).says(", passed");
}

#[test]
fn the_reports_of_a_run_that_failed_say_so_and_a_good_run_after_it_takes_their_place() {
    let (project, before) = passed();
    let good = project.read("modelgate.yaml");
    project.replace("modelgate.yaml", "target: y", "target: z");
    let _ = project.run(&["run"]).exits(64);
    let report = |form: &str| body(&project.run(&["report", form]).exits(0).stdout);
    for form in ["markdown", "html"] {
        let page = report(form);
        assert!(page.contains("failed") && page.contains("is not there; there is"), "{form}: {page}");
        assert!(page.contains(&before) && !page.contains("passed"), "{form}: {page}");
    }
    let verdict: serde_json::Value = serde_json::from_str(&report("json")).expect("JSON");
    assert_eq!(verdict["verdict"], "inconclusive");
    assert_eq!(project.json("outputs/p/verdict.json"), verdict);
    assert!(report("junit").contains("errors=\"1\""));
    project.run(&["gate", "explain"]).exits(0).says("ended before the gate, failed: ");
    project.run(&["status"]).exits(0).says(", failed").says("`z` is not there").says(&before);
    let status: serde_json::Value =
        serde_json::from_str(&project.run(&["--output-format", "json", "status"]).stdout).expect("JSON");
    let last = &status["pipelines"][0];
    assert_eq!((&last["last_ending"], &last["last_verdict"]), (&"failed".into(), &serde_json::Value::Null));
    // Nothing has changed since the run that passed: its report is made again all the same.
    project.write("modelgate.yaml", good);
    let _ = project.run(&["run"]).exits(0);
    assert!(report("markdown").contains("**Verdict: passed**"));
    assert!(project.read("outputs/p/report.html").contains("verdict passed"));
}

#[test]
fn an_error_with_a_value_of_a_row_leaves_it_out_of_the_report() {
    let (project, _) = passed();
    project.write("data.csv", format!("{}7,secret,1\n", rows(60)));
    let _ = project.run(&["run"]).exits(1);
    let report = project.run(&["report", "markdown"]).exits(0).stdout;
    assert!(report.contains("line 62") && !report.contains("secret"), "{report}");
}

#[test]
fn a_run_that_was_not_asked_to_reach_the_gate_is_not_judged() {
    let (project, before) = passed();
    project.replace("modelgate.yaml", "n_estimators: 5", "n_estimators: 6");
    let _ = project.run(&["run", "--until", "train"]).exits(0);
    project.run(&["status"]).exits(0).says("it ended with the stage `train`, before the gate").says(&before);
    assert!(project.run(&["report", "markdown"]).exits(0).stdout.contains("not judged"));
}

#[test]
fn status_says_that_the_last_run_was_on_a_sample() {
    let (project, _) = passed();
    let _ = project.run(&["run", "--sample", "40"]);
    let said = project.run(&["status"]).exits(0).stdout;
    assert!(said.contains(" on a sample of 40 rows"), "{said}");
}

/// The rules of `gate check` by id, with their outcomes and sentences.
fn checked(project: &TestProject, code: i32, arguments: &[&str]) -> Vec<(String, String, String)> {
    let mut whole = vec!["--output-format", "json", "gate", "check"];
    whole.extend(arguments);
    let verdict: serde_json::Value =
        serde_json::from_str(&project.run(&whole).exits(code).stdout).expect("JSON");
    let text = |rule: &serde_json::Value, key: &str| rule[key].as_str().expect("a text").to_owned();
    let rules = verdict["rules"].as_array().expect("rules").iter();
    rules.map(|rule| (text(rule, "id"), text(rule, "outcome"), text(rule, "sentence"))).collect()
}

#[test]
fn gate_check_judges_the_last_run_as_the_run_was_judged() {
    let (project, first) = passed();
    // The first model of its name has nothing to be compared with.
    let outcomes: Vec<String> =
        checked(&project, 0, &[]).into_iter().map(|(_, outcome, _)| outcome).collect();
    assert_eq!(outcomes, ["passed", "not_applicable", "not_applicable", "not_applicable"]);
    project.replace("modelgate.yaml", "n_estimators: 5", "n_estimators: 6");
    let run = project.run(&["run"]);
    let verdict = project.json("outputs/p/verdict.json");
    let sentences: Vec<String> = verdict["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["sentence"].as_str().expect("a sentence").to_owned())
        .collect();
    let again = checked(&project, run.code, &[]);
    assert_eq!(again.iter().map(|(.., sentence)| sentence.clone()).collect::<Vec<_>>(), sentences);
    assert!(sentences[1].contains("production v001 has"), "{sentences:?}");
    // A rule that has changed is judged by the figures that are known, or says what judges it.
    project.replace("modelgate.yaml", "max_drop: 0.9,", "max_drop: 0.8,");
    project.replace("modelgate.yaml", "id: slices,", "id: other,");
    let changed = checked(&project, 3, &[]);
    assert!(changed[1].1 == "passed" && changed[1].2.contains("production v001 has"), "{changed:?}");
    assert!(changed[3].1 == "inconclusive" && changed[3].2.contains("run --from gate"), "{changed:?}");
    project.run(&["gate", "check"]).exits(3).says("other: ").says("no-drop: ");
    // What production had on the rows of an earlier run is not known.
    let earlier = checked(&project, 3, &["--run", &first]);
    assert!(earlier[1].2.contains("on the rows of this run are not kept"), "{earlier:?}");
}
