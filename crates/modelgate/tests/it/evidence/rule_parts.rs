//! The part of the rows that a rule names, written as the data writes it, through the binary.

use modelgate_testing::TestProject;

use crate::BINARY;

fn config(slice: &str) -> String {
    format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: data.csv, target: y, key: id}}\n    evaluate: {{slices: [flag, day], rounds: 100}}\n    train: {{algorithm: decision_tree}}\n    gate:\n      rules:\n        - {{metric: accuracy, at_least: 0.001, min_samples: 1, slice: {slice}}}\n"
    )
}

/// Rows over four months; every fifth has no text.
fn rows() -> String {
    let line = |row: u32| {
        let text = if row.is_multiple_of(5) { "" } else { "a" };
        let (month, day) = (row % 4 + 1, row % 28 + 1);
        let flag = row.is_multiple_of(2);
        format!(
            "{row},{},{flag},2024-{month:02}-{day:02},{text},{}\n",
            row * 37 % 101,
            u32::from(row * 37 % 101 > 50)
        )
    };
    format!("id,x,flag,day,text,y\n{}", (0..400).map(line).collect::<String>())
}

#[test]
fn a_rule_names_a_part_as_the_data_and_the_report_do() {
    let project = TestProject::with(BINARY, &rows(), &config("{flag: true}"));
    let _ = project.run(&["run"]).exits(4);
    let report = project.read("outputs/p/report.md");
    assert!(report.contains("| flag = true | ") && report.contains("≤ day &lt; 2024-"), "{report}");
    for slice in ["{flag: true}", "{day: 2024-02-01..2024-03-01}", "{text: \"\"}"] {
        project.write("modelgate.yaml", config(slice));
        let _ = project.run(&["run"]).exits(4);
        let verdict = project.json("outputs/p/verdict.json");
        let samples = verdict["rules"][0]["samples"].as_u64().expect("rows");
        assert!((5..60).contains(&samples), "{slice}: {verdict}");
    }
}

#[test]
fn a_part_that_no_row_could_be_in_is_refused() {
    let project = TestProject::with(BINARY, &rows(), &config("{day: 2024-03-01..2024-02-01}"));
    project.run(&["run"]).exits(64).says("the lower end stands first");
    project.write("modelgate.yaml", config("{text: 1..2}"));
    project.run(&["run"]).exits(64).says("`1..2` is a range, and column `text` holds texts");
}
