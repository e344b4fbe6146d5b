//! Rows and answers that cannot bear a judgement, through the binary: nothing passes by them, and each is told.

use modelgate_testing::TestProject;

use crate::BINARY;

fn config(more: &str) -> String {
    format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: data.csv, target: y, key: id}}\n{more}    promotion: {{approval: automatic}}\n"
    )
}

/// Rows of two classes that `x` tells apart; one in fifty is of the region `rare`.
fn rows(count: u32) -> String {
    let line = |row: u32| {
        let region = if row % 50 == 7 { "rare" } else { ["north", "south"][row as usize % 2] };
        format!("{row},{},{region},{}\n", row * 37 % 101, ["no", "yes"][usize::from(row * 37 % 101 > 50)])
    };
    format!("id,x,region,y\n{}", (0..count).map(line).collect::<String>())
}

/// Puts NaN where a graph holds the number `value`.
#[cfg(unix)]
fn with_nan(project: &TestProject, value: f32) {
    let mut bytes = fs_err::read(project.path("models/packaged/p/model.onnx")).expect("a graph");
    let mut found = 0;
    let mut at = 0;
    while at + 4 <= bytes.len() {
        if bytes[at..at + 4] == value.to_le_bytes() {
            bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
            found += 1;
        }
        at += 1;
    }
    assert!(found > 0, "the graph does not hold {value}");
    project.write("nan.onnx", bytes);
}

#[cfg(unix)]
#[test]
fn probabilities_that_are_no_numbers_are_never_passed() {
    let train = "    train: {algorithm: decision_tree}\n";
    let gate = "    gate: {rules: [{metric: accuracy, at_least: 0.001}, {metric: f1, versus: production, max_drop: 0.9}, {metric: slices, versus: production, equals: not_worse}, {metric: accuracy, versus: production, non_inferior: {margin: 0.9}}]}\n";
    let project = TestProject::with(BINARY, &rows(1000), &config(&format!("{train}{gate}")));
    let _ = project.run(&["run"]).exits(0);
    // A leaf of one class says 1.
    with_nan(&project, 1.0);
    project.replace("modelgate.yaml", train.trim(), "train: {command: \"cp nan.onnx {output}\"}");
    let run = project.run(&["run"]).exits(3);
    run.says("rows have a probability that is not finite");
    let verdict = project.json("outputs/p/verdict.json");
    for rule in verdict["rules"].as_array().expect("rules") {
        assert_eq!(rule["outcome"], "inconclusive", "{rule}");
    }
    let slices = verdict["rules"][2]["sentence"].as_str().expect("a sentence");
    assert!(slices.contains("that is a finite number") && slices.contains("cannot be compared"), "{slices}");
    project.run(&["status"]).exits(0).says("v001");
    let html = project.read("outputs/p/report.html");
    assert!(html.contains("accuracy is undefined: ") && html.contains("not finite"));
}

#[cfg(unix)]
#[test]
fn predictions_that_are_no_numbers_are_never_passed() {
    let lines = (0..400).map(|row| format!("{row},{},{}\n", row % 40, if row % 40 < 20 { 7 } else { 13 }));
    let data = format!("id,x,y\n{}", lines.collect::<String>());
    let train = "    train: {algorithm: decision_tree}\n";
    let gate = "    gate: {rules: [{metric: mae, at_most: 1e9}, {metric: slices, versus: production, equals: not_worse}]}\n";
    let text = config(&format!("{train}{gate}")).replace("task: classification", "task: regression");
    let project = TestProject::with(BINARY, &data, &text);
    let _ = project.run(&["run"]).exits(0);
    with_nan(&project, 13.0);
    project.replace("modelgate.yaml", train.trim(), "train: {command: \"cp nan.onnx {output}\"}");
    project.run(&["run"]).exits(3).says("mae on validation is undefined or not a finite number");
    let verdict = project.json("outputs/p/verdict.json");
    let slices = verdict["rules"][1]["sentence"].as_str().expect("a sentence");
    assert!(slices.contains("rows of validation have no answer of the candidate"), "{slices}");
}

#[test]
fn a_part_of_two_rows_is_judged_only_when_the_rule_says_so() {
    let split = "key: id, split: {kind: stable, stratify: false}}";
    let text = |rule: &str| {
        let gate = format!("    train: {{params: {{n_estimators: 5}}}}\n    gate: {{rules: [{rule}]}}\n");
        config(&gate).replace("key: id}", split)
    };
    let project = TestProject::with(BINARY, &rows(200), &text("{metric: accuracy, at_least: 0.001}"));
    let _ = project.run(&["run"]).exits(0);
    // The key holds each row in its part: two of those that judge become the region's only ones there.
    let judging = project.json("outputs/p/split.json")["validation"].clone();
    let chosen: Vec<u64> =
        judging.as_array().expect("rows").iter().filter_map(serde_json::Value::as_u64).take(2).collect();
    let data: String = rows(200)
        .replace("rare", "north")
        .lines()
        .enumerate()
        .map(|(at, line)| {
            let two = at > 0 && chosen.contains(&(at as u64 - 1));
            let line =
                if two { line.replace("north", "tiny").replace("south", "tiny") } else { line.to_owned() };
            line + "\n"
        })
        .collect();
    project.write("data.csv", data);
    let slice = "{metric: brier, slice: {region: tiny}, at_most: 1.99";
    project.write("modelgate.yaml", text(&format!("{slice}}}")));
    let run = project.run(&["run"]).exits(3);
    run.says("on 2 rows, too few to judge by; `min_samples: 2` judges by them");
    assert_eq!(project.json("outputs/p/verdict.json")["rules"][0]["samples"], 2);
    project.write("modelgate.yaml", text(&format!("{slice}, min_samples: 2}}")));
    let _ = project.run(&["run"]).exits(0);
}

#[test]
fn one_row_is_not_judged_by() {
    let split = "key: id, split: {kind: exact, train: 0.5, validation: 0.25, test: 0.25, stratify: false}}";
    let gate =
        "    train: {params: {n_estimators: 5}}\n    gate: {rules: [{metric: accuracy, at_least: 0.001}]}\n";
    let text = config(gate).replace("key: id}", split);
    let data = "id,x,region,y\n1,1,a,no\n2,2,a,no\n3,30,b,yes\n4,40,b,yes\n";
    // With one row a class is missing there, and whichever it is, nothing is judged by it.
    let project = TestProject::with(BINARY, data, &text);
    let run = project.run(&["run"]);
    assert!(run.code == 1 || run.code == 3, "{run:?}");
    let numbers = text
        .replace("task: classification", "task: regression")
        .replace("accuracy, at_least: 0.001", "mae, at_most: 1e9");
    let data = data.replace("no", "1.5").replace("yes", "7.5");
    let project = TestProject::with(BINARY, &data, &numbers);
    project.run(&["run"]).exits(3).says("on 1 rows, too few to judge by");
    let _ = project.run(&["report", "markdown"]).exits(0);
    let _ = project.run(&["report", "html"]).exits(0);
}

#[test]
fn rows_of_one_class_are_refused_as_a_split_and_inconclusive_as_a_part() {
    // The newest rows, which judge, are all of one class.
    let line = |row: u32| {
        let label = if row < 140 { ["no", "yes"][row as usize % 2] } else { "yes" };
        format!("{row},2026-01-{:02} 00:00:{:02},{},{label}\n", 1 + row / 10, row % 10, row % 2)
    };
    let data = format!("id,day,x,y\n{}", (0..200).map(line).collect::<String>());
    let gate =
        "    train: {params: {n_estimators: 5}}\n    gate: {rules: [{metric: accuracy, at_least: 0.001}]}\n";
    let split = "key: id, types: {day: timestamp}, split: {kind: time, column: day}}";
    let project = TestProject::with(BINARY, &data, &config(gate).replace("key: id}", split));
    project.run(&["run"]).exits(1).says("class `no` (70 rows in all) has no row in validation");
    // All rows above 50 are of the class `yes`.
    let gate = "    train: {params: {n_estimators: 5}}\n    gate: {rules: [{metric: accuracy, slice: {x: 51..}, at_least: 0.001}, {metric: roc_auc, slice: {x: 51..}, at_least: 0.001}]}\n";
    let project = TestProject::with(BINARY, &rows(400), &config(gate));
    let _ = project.run(&["run"]).exits(3);
    let verdict = project.json("outputs/p/verdict.json");
    assert_eq!(verdict["rules"][0]["outcome"], "passed", "{verdict}");
    assert_eq!(verdict["rules"][1]["outcome"], "inconclusive", "{verdict}");
    let _ = project.run(&["report", "html"]).exits(0);
}

#[test]
fn a_column_of_many_texts_is_cut_where_it_is_declared_and_told() {
    let line = |row: u32| format!("{row},{},city-{:03},{}\n", row * 37 % 101, row % 90, row * 37 % 101 / 51);
    let data = format!("id,x,city,y\n{}", (0..1800).map(line).collect::<String>());
    let more = "    train: {params: {n_estimators: 5}}\n    evaluate: {slices: [city], rounds: 100}\n    gate: {rules: [{metric: accuracy, at_least: 0.001}, {metric: slices, versus: production, equals: not_worse}]}\n";
    let project = TestProject::with(BINARY, &data, &config(more));
    project
        .run(&["run"])
        .exits(0)
        .says("evaluate.slices: `city` has 88 texts on validation; the 50 most frequent");
    let report = project.json("outputs/p/evaluation_report.json");
    let slices = report["subsets"]["validation"]["slices"].as_array().expect("slices");
    assert_eq!(slices.len(), 51, "{slices:?}");
    assert_eq!(slices[50]["name"], "city is none of the 50 most frequent");
    // The others together have rows enough to be compared.
    project.replace("modelgate.yaml", "n_estimators: 5", "n_estimators: 6");
    let _ = project.run(&["run"]);
    let rule = &project.json("outputs/p/verdict.json")["rules"][1];
    assert_ne!(rule["outcome"], "inconclusive", "{rule}");
}

#[test]
fn a_rule_on_the_time_of_a_prediction_is_fed_by_the_run() {
    let gate = |limit: &str| {
        format!(
            "    train: {{params: {{n_estimators: 5}}}}\n    gate: {{rules: [{{metric: latency.p99_ms, at_most: {limit}}}]}}\n"
        )
    };
    let project = TestProject::with(BINARY, &rows(300), &config(&gate("60000")));
    project.run(&["run"]).exits(0).says("v001 is production");
    let verdict = project.json("outputs/p/verdict.json");
    let measured = &project.json("outputs/p/latency.json")["p99_ms"];
    assert_eq!(&verdict["rules"][0]["value"], measured);
    // Nothing was measured again, so nothing is judged again.
    assert!(project.run(&["run"]).exits(0).stderr.contains("= gate"));
    project.write("modelgate.yaml", config(&gate("0.0000001")));
    // What lies in the outputs is for looking at: the gate believes what was measured.
    let times = project.read("outputs/p/latency.json");
    project.write("outputs/p/latency.json", times.replace("\"p99_ms\": ", "\"p99_ms\": 0.00000000"));
    project.run(&["run"]).exits(2).says("latency.p99_ms on validation is ");
    // It comes back where it is gone, and `gate check` believes the same.
    let limit = ["gate", "check", "--run", "p", "--rule", "latency.p99_ms <= 60000"];
    fs_err::remove_dir_all(project.path("outputs")).expect("removed");
    let _ = project.run(&["run"]).exits(2);
    assert_eq!(project.read("outputs/p/latency.json"), times);
    fs_err::remove_file(project.path("outputs/p/latency.json")).expect("removed");
    let _ = project.run(&limit).exits(0);
    fs_err::remove_file(project.path(".modelgate/cache/p/latency.json")).expect("removed");
    project.run(&["run"]).exits(2).says("latency.p99_ms on validation is ");
}
