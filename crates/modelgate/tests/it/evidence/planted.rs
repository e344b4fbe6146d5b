//! Regressions that were planted: the rules that `init` writes catch each, and the report alone says what failed, by how
//! much, on how many rows and against what.

use modelgate_testing::TestProject;
use serde_json::Value;

use crate::BINARY;

/// Rows of two classes that `x` and `y` tell apart well in every region; `id` keeps each row in its part.
pub(super) fn rows(count: u64) -> Vec<[String; 5]> {
    let mut state = 11_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1_u32 << 24)
    };
    (0..count)
        .map(|row| {
            let (x, y) = (next() * 2.0 - 1.0, next() * 2.0 - 1.0);
            let region = ["north", "south", "east", "west"][(next() * 4.0) as usize];
            let noise = next() * 0.8 - 0.4;
            let label = if x + y + noise > 0.0 { "yes" } else { "no" };
            [row.to_string(), format!("{x:.4}"), format!("{y:.4}"), region.to_owned(), label.to_owned()]
        })
        .collect()
}

pub(super) fn csv(rows: &[[String; 5]]) -> String {
    let lines: String = rows.iter().map(|row| row.join(",") + "\n").collect();
    format!("id,x,y,region,target\n{lines}")
}

/// A project with the rules that `init` writes, in production with a good model.
pub(super) fn in_production() -> (TestProject, Vec<[String; 5]>) {
    let rows = rows(4000);
    let project = TestProject::new(BINARY);
    project.write("data.csv", csv(&rows));
    let _ =
        project.run(&["init", "--source", "data.csv", "--target", "target", "--name", "planted"]).exits(0);
    project.replace("modelgate.yaml", "# key: id  ", "key: id  ");
    project.replace("modelgate.yaml", "split: {train: 0.7,", "split: {kind: stable, train: 0.7,");
    project.replace("modelgate.yaml", "stratify: true}", "stratify: false}");
    project.replace("modelgate.yaml", "scale: none", "scale: standard");
    project.replace("modelgate.yaml", "algorithm: random_forest ", "algorithm: logistic_regression ");
    project.replace("modelgate.yaml", "params: {n_estimators: 100}", "params: {C: 1.0}");
    project.replace("modelgate.yaml", "approval: required", "approval: automatic");
    project.run(&["run"]).exits(0).says("v001 is production");
    (project, rows)
}

/// The row of a rule in the table of a report, by the titles of its columns.
#[track_caller]
fn told(report: &str, id: &str) -> std::collections::BTreeMap<String, String> {
    let table = report.split("## Rules\n\n").nth(1).expect("a table of rules");
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let head = cells(table.lines().next().expect("a head"));
    let row = table.lines().map(cells).find(|row| row.get(1).is_some_and(|cell| cell == id));
    let row = row.unwrap_or_else(|| panic!("{id} is not in {table}"));
    assert_eq!(row.len(), head.len(), "{row:?}");
    head.into_iter().zip(row).collect()
}

/// A figure of the verdict as a report writes it.
fn figure(value: &Value) -> String {
    modelgate_core::verdict::figure(value.as_f64().expect("a number"))
}

/// Holds what the report tells of a rule against the verdict: it has to be all there.
#[track_caller]
fn tells(project: &TestProject, id: &str, outcome: &str) {
    let (report, verdict) =
        (project.read("outputs/planted/report.md"), project.json("outputs/planted/verdict.json"));
    let rule = rule(&verdict, id);
    let row = told(&report, id);
    assert_eq!(rule["outcome"], outcome, "{verdict}");
    assert!(row[""].ends_with(outcome), "{row:?}");
    assert!(row["value (95% interval)"].starts_with(&figure(&rule["value"])), "{row:?}");
    let way = match rule["operator"].as_str() {
        Some(">=") => "≥ ",
        Some("<=") => "≤ ",
        _ => "",
    };
    assert_eq!(row["limit"], format!("{way}{}", figure(&rule["limit"])));
    assert_eq!(row["rows"], rule["samples"].to_string());
    let (Some(value), Some(reference)) = (rule["value"].as_f64(), rule["reference"].as_f64()) else {
        let compared = rule["reference_name"].as_str().unwrap_or("–");
        assert_eq!(row["compared with"], compared);
        return;
    };
    assert_eq!(row["compared with"], format!("production v001: {}", figure(&rule["reference"])));
    let difference = format!("{:+.4}", value - reference);
    assert!(report.contains("both hold together with 90%."), "{report}");
    assert!(row["difference (interval)"].starts_with(&format!("{difference} (")), "{row:?}");
    assert_eq!(row["to production v001"], difference);
    // The baseline was written when that version went to production, from the same rows.
    assert_eq!(row["to baseline v001"], difference);
    let first: String = report.lines().take(8).collect();
    assert!(outcome != "failed" || first.contains(&format!("**{id}**")), "{first}");
}

fn rule<'a>(verdict: &'a Value, id: &str) -> &'a Value {
    let rules = verdict["rules"].as_array().expect("rules");
    rules.iter().find(|rule| rule["id"] == id).expect("the rule")
}

#[test]
fn a_global_regression_is_caught_and_told() {
    let (project, _) = in_production();
    project.replace("modelgate.yaml", "algorithm: logistic_regression", "algorithm: random_forest");
    project.replace("modelgate.yaml", "{C: 1.0}", "{n_estimators: 1, max_depth: 1}");
    let _ = project.run(&["run"]).exits(2);
    tells(&project, "f1-versus-production", "failed");
    tells(&project, "min-accuracy", "failed");
    // Times are told, and no package or evaluation has them.
    assert!(project.json("outputs/planted/latency.json")["p99_ms"].as_f64().is_some_and(|time| time > 0.0));
    assert!(!project.read("outputs/planted/evaluation_report.json").contains("latency"));
    let report = project.read("outputs/planted/report.md");
    let first: String = report.lines().take(8).collect();
    assert!(first.contains("**Verdict: failed**") && first.contains("f1 on validation is"), "{first}");
    assert!(report.contains("production v001 has") && report.contains("(on "), "{report}");
    assert!(report.contains("train.algorithm") && report.contains("random_forest"), "{report}");
    // What so many rows can show is in the report, of the rules against production.
    let rows =
        rule(&project.json("outputs/planted/verdict.json"), "f1-versus-production")["samples"].to_string();
    let power = format!("- f1-versus-production: with {rows} rows a drop below ");
    assert!(
        report.contains(&power)
            && report.contains(" is missed in more than one of five cases, at 95% confidence."),
        "{report}"
    );
    let html = project.read("outputs/planted/report.html");
    for words in [
        "<th>compared with</th>",
        " · to production v001 -",
        " · to baseline v001 -",
        "<td class=c>production v001: 0.",
        "is missed in more than one of five cases, at 95% confidence",
        "<th>PR AUC</th>",
        "<h2>Contributions, in units of probability</h2>",
    ] {
        assert!(html.contains(words), "{words}");
    }
    let _ = project
        .run(&["gate", "explain"])
        .exits(0)
        .says("beyond the limit by")
        .says("is missed in more than one of five");
}

#[test]
fn a_regression_of_one_slice_is_caught_and_named() {
    let (project, mut rows) = in_production();
    // The training rows of one region are mislabelled; the rows that judge are as they were.
    let split = project.json("outputs/planted/split.json");
    let train: Vec<usize> = split["train"]
        .as_array()
        .expect("train")
        .iter()
        .map(|row| row.as_u64().expect("a row") as usize)
        .collect();
    for row in train {
        if rows[row][3] == "north" {
            rows[row][4] = if rows[row][4] == "yes" { "no" } else { "yes" }.to_owned();
        }
    }
    project.write("data.csv", csv(&rows));
    project.replace("modelgate.yaml", "algorithm: logistic_regression", "algorithm: random_forest");
    project.replace("modelgate.yaml", "{C: 1.0}", "{n_estimators: 60, max_depth: 8}");
    let _ = project.run(&["run"]).exits(2);
    tells(&project, "slices-versus-production", "failed");
    let report = project.read("outputs/planted/report.md");
    // Which part, by how much, on how many rows and how sure: in the first lines.
    let north = rows_of_north(&project, &rows);
    let first = report.lines().find(|line| line.contains("**slices-versus-production**")).expect("the rule");
    let told = first.split("region = north (").nth(1).expect("the part");
    assert!(told.contains(&format!(" on {north} rows, p ")) && told.contains(" against 0."), "{first}");
    let worst = report.split("## Worst slices on validation").nth(1).expect("the worst");
    assert!(worst.contains(&format!("| region = north | {north} | ")), "{worst}");
}

fn rows_of_north(project: &TestProject, rows: &[[String; 5]]) -> usize {
    let split = project.json("outputs/planted/split.json");
    let validation = split["validation"].as_array().expect("validation").iter();
    validation.filter(|row| rows[row.as_u64().expect("a row") as usize][3] == "north").count()
}

#[test]
fn a_regression_of_calibration_alone_is_caught_and_told() {
    let (project, _) = in_production();
    // So much regularisation that every probability is near one half; the order of rows stays.
    project.replace("modelgate.yaml", "{C: 1.0}", "{C: 0.0001}");
    let _ = project.run(&["run"]).exits(2);
    tells(&project, "calibration_error-versus-production", "failed");
    tells(&project, "f1-versus-production", "passed");
    let report = project.read("outputs/planted/report.md");
    assert!(report.contains("calibration_error on validation is"), "{report}");
}

/// Rows of a number that `x` and `y` give but for some noise.
fn numbers() -> String {
    let lines = rows(3000).into_iter().map(|[id, x, y, region, _]| {
        let number = |text: &str| text.parse::<f64>().expect("a number");
        let noise = f64::from(id.parse::<u32>().expect("a number") * 7919 % 101) / 100.0;
        format!("{id},{x},{y},{region},{:.4}\n", 30.0 * number(&x) + 20.0 * number(&y) + noise)
    });
    format!("id,x,y,region,target\n{}", lines.collect::<String>())
}

#[test]
fn a_regression_of_errors_is_caught_and_told() {
    let project = TestProject::new(BINARY);
    project.write("data.csv", numbers());
    let init = [
        "init",
        "--template",
        "regression",
        "--source",
        "data.csv",
        "--target",
        "target",
        "--name",
        "planted",
    ];
    let _ = project.run(&init).exits(0);
    project.replace("modelgate.yaml", "# key: id  ", "key: id  ");
    project.replace("modelgate.yaml", "stratify: true}", "stratify: false}");
    project.replace("modelgate.yaml", "algorithm: random_forest ", "algorithm: ridge ");
    project.replace("modelgate.yaml", "params: {n_estimators: 100}", "params: {alpha: 1.0}");
    project.replace("modelgate.yaml", "approval: required", "approval: automatic");
    project.run(&["run"]).exits(0).says("v001 is production");
    let html = project.read("outputs/planted/report.html");
    assert!(html.contains("<h2>Contributions, in units of the target</h2>"), "a linear model says it");
    project.replace("modelgate.yaml", "algorithm: ridge", "algorithm: random_forest");
    project.replace("modelgate.yaml", "{alpha: 1.0}", "{n_estimators: 20, max_depth: 4}");
    project.replace("modelgate.yaml", "slices: []}", "slices: [], importance_repeats: 0}");
    let _ = project.run(&["run"]).exits(2);
    tells(&project, "rmse-versus-production", "failed");
    tells(&project, "slices-versus-production", "failed");
    let report = project.read("outputs/planted/report.md");
    assert!(
        report.contains("- rmse-versus-production: with ") && report.contains(" rows a rise below "),
        "{report}"
    );
    // Contributions need no shuffling: they are there without importance, in the units of a forest of numbers.
    assert!(!report.contains("<summary>Importance</summary>"), "{report}");
    assert!(
        report.contains("Mean absolute contribution of preprocessed features, in units of the target."),
        "{report}"
    );
}

#[test]
fn a_gate_without_rules_catches_what_the_template_does() {
    let (project, _) = in_production();
    let text = project.read("modelgate.yaml");
    let (before, after) = (text.find("    gate:\n"), text.find("    promotion:"));
    let (before, after) = (before.expect("a gate"), after.expect("a promotion"));
    project.write("modelgate.yaml", format!("{}{}", &text[..before], &text[after..]));
    project.replace("modelgate.yaml", "{C: 1.0}", "{C: 0.0001}");
    let _ = project.run(&["run"]).exits(2);
    let verdict = project.json("outputs/planted/verdict.json");
    assert_eq!(rule(&verdict, "calibration_error-versus-production")["outcome"], "failed", "{verdict}");
    assert_eq!(rule(&verdict, "slices-versus-production")["outcome"], "passed", "{verdict}");
}
