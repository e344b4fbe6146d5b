//! What rows are divided by, and what is learned from.

use modelgate_testing::TestProject;

/// Two hundred rows of fifty customers over two hundred days.
fn project(split: &str, more: &str) -> TestProject {
    let project = TestProject::new(env!("CARGO_BIN_EXE_modelgate"));
    project.write(
        "modelgate.yaml",
        format!(
            "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    preprocess: {{drop: [id, customer, day]}}\n    \
             data: {{source: d.csv, target: price, {split}}}\n    train: {{algorithm: linear_regression}}\n{more}"
        ),
    );
    let rows = (0..200).map(|row| {
        let (customer, day) = (row % 50, row % 28 + 1);
        format!("{row},c{customer},2024-{:02}-{day:02},{},{}\n", row / 28 + 1, row % 13, (row % 13) * 3 + 1)
    });
    let text: String = std::iter::once("id,customer,day,x,price\n".to_owned()).chain(rows).collect();
    project.write("d.csv", text);
    project
}

#[test]
fn a_column_that_is_dropped_still_divides_the_rows() {
    for (split, kind) in [
        ("split: {kind: time, column: day}", "time"),
        ("split: {kind: group, column: customer}", "group"),
        ("key: id", "exact"),
        ("key: customer, split: {kind: stable}", "stable"),
    ] {
        let project = project(split, "");
        let run = project.run(&["run", "--until", "train"]).exits(0);
        run.says(kind).does_not_say("is a date").says("1 numeric and 0 text columns become 1 features");
        let _ = project.run(&["data", "split", "--output", "parts"]).exits(0);
        assert!(project.read("parts/train.csv").starts_with("x,price\n"), "{kind}");
    }
}

#[test]
fn a_date_that_divides_the_rows_needs_no_word() {
    let split = "split: {kind: time, column: day}";
    let project = project(split, "");
    let config = project.read("modelgate.yaml").replace("[id, customer, day]", "[id, customer]");
    project.write("modelgate.yaml", &config);
    project.run(&["run", "--until", "preprocess"]).exits(0).does_not_say("column `day` is a date");
    project.write("modelgate.yaml", config.replace(split, "split: {kind: exact}"));
    project.run(&["run", "--until", "preprocess"]).exits(0).says("column `day` is a date and no feature");
}
