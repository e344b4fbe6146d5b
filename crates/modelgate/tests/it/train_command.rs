//! `train.command`: any program that leaves a graph, and what goes wrong with one.

mod foreign;
mod python;
mod signals;

use modelgate_testing::TestProject;

use crate::BINARY;

fn data() -> String {
    let lines: String = (0..300)
        .map(|row| format!("{row},{}.5,{},{}\n", row % 11, ["low", "high"][row % 2], u8::from(row % 11 > 5)))
        .collect();
    format!("id,x,level,y\n{lines}")
}

fn config(train: &str) -> String {
    format!(
        "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {{source: data.csv, target: y, key: id}}
    train: {{{train}}}
    gate: {{rules: [{{metric: accuracy, at_least: 0.9}}]}}
    promotion: {{approval: automatic}}
"
    )
}

/// A project whose `saved.onnx` is a graph for its data.
fn with_graph() -> TestProject {
    let project = TestProject::with(BINARY, &data(), &config("params: {n_estimators: 10}"));
    let _ = project.run(&["run"]).exits(0);
    fs_err::copy(project.path("models/packaged/p/model.onnx"), project.path("saved.onnx")).expect("copied");
    project
}

#[cfg(unix)]
#[test]
fn a_program_that_leaves_a_graph_is_packaged_judged_and_skipped_the_next_time() {
    let project = with_graph();
    project.write(
        "train.sh",
        "set -e\nhead -1 \"$1\" | grep -q '^id,x,level,y$'\ntest -s \"$MODELGATE_VALIDATION\"\necho training with seed $2 and $MODELGATE_PARAMS\ncp saved.onnx \"$3\"\n",
    );
    project.write(
        "modelgate.yaml",
        config("command: \"sh train.sh {train} {seed} {output}\", params: {depth: 3}"),
    );
    let output = project.run(&["run"]).exits(0);
    output.says("  train      training with seed 42 and {\"depth\":3}").says("v002 is production");
    assert!(!output.stderr.contains("warning: training"), "{}", output.stderr);
    let manifest = project.json("models/packaged/p/manifest.json");
    assert_eq!(manifest["lineage"]["algorithm"], "command");
    // What the engine said of the model before is gone.
    let training = project.json("outputs/p/training.json");
    assert_eq!((&training["algorithm"], &training["params"]["depth"]), (&"command".into(), &3.into()));
    assert_eq!(training["details"]["command"], "sh train.sh {train} {seed} {output}");
    assert!(project.read("outputs/p/report.md").contains("| command | value |"));
    assert_eq!(project.run(&["run"]).exits(0).stderr.matches(" skipped ").count(), 11);
    project.replace("train.sh", "set -e", "set -eu");
    project.run(&["run", "--dry-run"]).exits(0).says("train.files.train.sh");
    let _ = project.run(&["run"]).exits(0);
    // A text beside the script may be a part of it.
    project.write("part.sh", "true");
    project.run(&["run", "--dry-run"]).exits(0).says("train.beside.part.sh");
    project.write("lib/deep.py", "x = 1");
    project.run(&["run", "--dry-run"]).exits(0).says("train.beside.lib/deep.py");
    project.write("notes.txt", "not a part");
    project.run(&["run"]).exits(0).says("v003");
    let output = project.run(&["run"]).exits(0);
    output.says("(nothing changed, also in `train.sh`, `lib/deep.py`, `part.sh`)");
    assert_eq!(output.stderr.matches(" skipped ").count(), 11);
    // What lies around the script trained again, and left the same model: the version is the same.
    project.write("lib/deep.py", "x = 2");
    let output = project.run(&["run"]).exits(0);
    output.says("train.sh");
    assert!(!project.run(&["model", "list"]).exits(0).says("v003").stdout.contains("v004"));
    // What the command writes itself is no part of it.
    project.replace("modelgate.yaml", "{output}\"", "{output} > train.log 2>&1\"");
    let _ = project.run(&["run"]).exits(0);
    assert!(project.read("train.log").contains("training with seed 42"));
    let output = project.run(&["run"]).exits(0);
    output.says("(nothing changed, also in `train.sh`, `lib/deep.py`, `part.sh`)");
}

#[cfg(unix)]
#[test]
fn the_self_test_gives_permuted_labels_to_the_program() {
    let project = with_graph();
    // Where the labels follow from `x` the program has learned the graph that is there, else one that says the opposite.
    let opposite = TestProject::with(
        BINARY,
        &data().replace(",1\n", ",2\n").replace(",0\n", ",1\n").replace(",2\n", ",0\n"),
        &config("params: {n_estimators: 10}"),
    );
    let _ = opposite.run(&["run"]).exits(0);
    fs_err::copy(opposite.path("models/packaged/p/model.onnx"), project.path("opposite.onnx"))
        .expect("copied");
    project.write(
        "train.sh",
        "wrong=$(awk -F, 'NR > 1 && ($2 > 6) != $4' \"$1\" | wc -l)\n\
         echo \"$wrong rows are not as x says\"\n\
         if [ \"$wrong\" -eq 0 ]; then cp saved.onnx \"$2\"; else cp opposite.onnx \"$2\"; fi\n",
    );
    project.write("modelgate.yaml", config("command: \"sh train.sh {train} {output}\""));
    let _ = project.run(&["run"]).exits(0);
    let output = project.run(&["gate", "selftest"]).exits(0);
    output
        .says("refused: trained by train.command on permuted labels")
        .says("with damaged weights")
        .says("rows are not as x says");
    // One that does not look at the labels at all says nothing of the gate, and that is worth knowing.
    project.write("modelgate.yaml", config("command: \"cp saved.onnx {output}\""));
    let _ = project.run(&["run"]);
    project
        .run(&["gate", "selftest"])
        .exits(0)
        .says("does not apply: trained by train.command on permuted labels")
        .says("with damaged weights");
}

#[cfg(unix)]
#[test]
fn what_goes_wrong_with_a_program_is_explained() {
    let project = with_graph();
    let before = project.read(".modelgate/ledger.jsonl");
    project.write("garbage.onnx", "not a graph");
    for (train, code, messages) in [
        ("command: \"echo oh no; exit 3\"", 1, ["ended with exit code 3", "oh no"]),
        ("command: \"true\"", 1, ["left no model", "$MODELGATE_OUTPUT"]),
        ("command: \"cp garbage.onnx {output}\"", 1, ["left a model that cannot be used", "ONNX"]),
        ("command: \"echo slow; sleep 30\", timeout_seconds: 1", 1, ["did not end within 1 s", "slow"]),
        ("command: \"./nowhere.sh {output}\"", 64, ["there is no program `./nowhere.sh`", "train.command"]),
        ("command: \"\"", 64, ["`command` is empty", "train.command"]),
    ] {
        project.write("modelgate.yaml", config(train));
        let output = project.run(&["run"]).exits(code);
        for message in messages {
            output.says(message);
        }
    }
    assert_eq!(before, project.read(".modelgate/ledger.jsonl"));
}

#[cfg(unix)]
#[test]
fn a_program_is_told_of_the_key_and_the_features() {
    let project = TestProject::with(BINARY, &data(), "");
    let script =
        "echo features $MODELGATE_FEATURES; echo key [$MODELGATE_KEY]; echo again {features} [{key}]; exit 3";
    let with = |more: &str| config(&format!("command: '{script}'")).replace(", key: id", more);
    project.write("modelgate.yaml", with(", key: id"));
    let output = project.run(&["run"]).exits(1);
    output.says("features [\"x\",\"level\"]").says("key [id]").says("again [\"x\",\"level\"] [id]");
    project.write("modelgate.yaml", with(""));
    let output = project.run(&["run"]).exits(1);
    output.says("features [\"id\",\"x\",\"level\"]").says("key []").says("[]");
}
