//! Words such as `NA` and `None`: what they are in training, and files that no glob is to find.

use modelgate_testing::{Service, TestProject};
use serde_json::{Value, json};

fn project(types: &str) -> TestProject {
    let project = TestProject::new(env!("CARGO_BIN_EXE_modelgate"));
    project.write(
        "modelgate.yaml",
        format!(
            "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: 'data/**/*.csv', target: kind{types}}}\n"
        ),
    );
    let kinds = ["None", "brick", "stone"];
    let rows: String =
        (0..300).map(|row| format!("{row},{},{}\n", ["NA", "a"][row % 2], kinds[row % 3])).collect();
    project.write("data/d.csv", format!("x,region,kind\n{rows}"));
    project
}

#[test]
fn a_column_that_is_declared_as_text_takes_every_word_as_a_value() {
    let undeclared = project("");
    undeclared
        .run(&["run", "--until", "split"])
        .exits(1)
        .says("no value in 100 of 300 rows, first in data row 1; `None` is read as no value")
        .says("declare `data.types: {kind: category}`");
    let declared = project(", types: {kind: category, region: string}");
    let run = declared.run(&["run", "--until", "preprocess"]).exits(0);
    run.says("1 numeric and 1 text columns become 3 features");
    declared.run(&["data", "split"]).exits(0).says("None 70 · brick 70 · stone 70");
}

#[test]
fn words_of_the_project_are_no_value_from_the_first_look_to_the_model() {
    let project = project("");
    let rows: String = (0..300)
        .map(|row| {
            let number = format!("{row}.5");
            let x = ["?", &number, "2"][row % 3];
            format!("k{row},{x},{},{}\n", ["?", "a"][row % 2], ["u", "v"][row / 4 % 2])
        })
        .collect();
    project.write("data/d.csv", format!("id,x,region,kind\n{rows}"));
    project.run(&["run"]).exits(1).says("data/d.csv: line 2, column `x`").says("name it in `data.nulls`");
    let config =
        project.read("modelgate.yaml").replace("target: kind", "key: id, nulls: ['?'], target: kind");
    project.write("modelgate.yaml", config);
    project.run(&["run", "--until", "train"]).exits(0).says("1 numeric and 1 text columns become 3 features");
    let profile = ["data", "profile", "--output", "p.json"];
    let _ = project.run(&profile).exits(0);
    let columns = project.json("p.json")["columns"].clone();
    assert_eq!((&columns[1]["nulls"], &columns[2]["nulls"]), (&100.into(), &150.into()), "{columns}");
    // Another word makes other data: what was learned is not taken from before.
    let config = project.read("modelgate.yaml").replace("['?']", "['?', '2']");
    project.write("modelgate.yaml", config);
    project.run(&["run", "--until", "train"]).exits(0).does_not_say("train      unchanged");
    let _ = project.run(&profile).exits(0);
    assert_eq!(project.json("p.json")["columns"][1]["nulls"], 200);
    // The service that is made of it takes them for no value too.
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", config + "    promotion: {approval: automatic}\n");
    let _ = project.run(&["run"]).exits(0);
    let manifest = project.json("models/packaged/p/manifest.json");
    assert_eq!(manifest["schema"]["nulls"], json!(["2", "?"]));
    let service = Service::ready(project.command(&["serve", "--port", "0"]));
    let answer = |body: &Value| service.post("/predict/p", body).is(200).json()["probabilities"].clone();
    let null = answer(&json!({ "x": null, "region": null }));
    assert_eq!(answer(&json!({ "x": 2, "region": "?" })), null);
    assert_ne!(answer(&json!({ "x": 299.5, "region": "a" })), null);
    let csv = [("content-type", "text/csv")];
    let _ = service.request("POST", "/invocations", &csv, Some(b"x,region\n?,?\n2,a\n")).is(200);
    let smoke = ["serve", "smoke", &service.url, "--rows", "data/d.csv", "--rule", "refused_rate <= 0"];
    let _ = project.run(&smoke).exits(0);
}

#[test]
fn the_copy_that_a_notebook_leaves_behind_is_no_data() {
    let project = project(", types: {kind: category}");
    project.write("data/.ipynb_checkpoints/d-checkpoint.csv", project.read("data/d.csv"));
    project.run(&["run", "--until", "snapshot"]).exits(0).says("data/**/*.csv: 300 rows × 3 columns, sha256");
}
