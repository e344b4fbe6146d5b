//! `train.command`: any program that leaves a graph, and what goes wrong with one.

use std::process::Command;

use modelgate_testing::{TestProject, skip};

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
    assert_eq!(project.run(&["run"]).exits(0).stderr.matches(" skipped ").count(), 11);
    project.replace("train.sh", "set -e", "set -eu");
    project.run(&["run", "--dry-run"]).exits(0).says("train.files.train.sh");
    let _ = project.run(&["run"]).exits(0);
    // A text beside the script may be a part of it.
    project.write("part.sh", "true");
    project.run(&["run", "--dry-run"]).exits(0).says("train.files.part.sh");
    project.write("notes.txt", "not a part");
    let _ = project.run(&["run"]).exits(0);
    assert_eq!(project.run(&["run"]).exits(0).stderr.matches(" skipped ").count(), 11);
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
    // One that does not look at the labels at all is let through, and that is worth knowing.
    project.write("modelgate.yaml", config("command: \"cp saved.onnx {output}\""));
    let _ = project.run(&["run"]);
    project
        .run(&["gate", "selftest"])
        .exits(2)
        .says("let through: trained by train.command on permuted labels");
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

/// Waits until `holds`, for a while.
#[cfg(unix)]
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Whether there is a process of this number that has not ended; one may have ended that nobody has asked how.
#[cfg(unix)]
fn is_running(number: &str) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", number.trim()]).output().expect("ps");
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// Returns the folders with rows of a program that trains.
#[cfg(unix)]
fn given(project: &TestProject) -> Vec<String> {
    let entries = fs_err::read_dir(project.path(".modelgate")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("train-")).collect()
}

/// Returns the command as one that hears signals: whatever is started in the background of a script ignores some of them.
#[cfg(unix)]
fn hearing(command: &Command) -> Command {
    // Linux tells in bits which are ignored: the first is SIGHUP, the second SIGINT.
    let ignores = fs_err::read_to_string("/proc/self/status").is_ok_and(|status| {
        let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits & 3 != 0)
    });
    let mut hearing = Command::new(if ignores { "env".as_ref() } else { command.get_program() });
    if ignores {
        hearing.arg("--default-signal=INT,HUP").arg(command.get_program());
    }
    hearing.args(command.get_args()).stdin(std::process::Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => hearing.env(name, value),
            None => hearing.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        hearing.current_dir(folder);
    }
    hearing
}

/// Starts a run whose program trains for a minute, in a shell below a shell; returns it with the number of the innermost.
#[cfg(unix)]
fn training(project: &TestProject, script: &str) -> (std::process::Child, String) {
    project.write(
        "long.sh",
        format!("{script}sh -c 'echo $$ > number.new; mv number.new number; sleep 60; true'; true\n"),
    );
    project.write("modelgate.yaml", config("command: \"sh long.sh {train}; true\""));
    let mut run = hearing(&project.command(&["run"]));
    let run = run.stderr(std::process::Stdio::piped()).spawn().expect("started");
    until("it trains", || project.path("number").exists());
    let number = project.read("number");
    fs_err::remove_file(project.path("number")).expect("removed");
    assert!(is_running(&number) && given(project).len() == 1);
    (run, number)
}

#[cfg(unix)]
fn send(signal: &str, run: &std::process::Child) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &run.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "no signal was sent");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_program_that_trains_and_leaves_no_rows() {
    let project = TestProject::with(BINARY, &data(), "");
    for (signal, code, said) in
        [("INT", 130, "Ctrl-C (SIGINT)"), ("TERM", 1, "SIGTERM"), ("HUP", 1, "SIGHUP")]
    {
        let (run, number) = training(&project, "");
        send(signal, &run);
        let output = run.wait_with_output().expect("ended");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{signal}: {talk}");
        assert!(talk.contains(&format!("interrupted by {said}: train.command was ended")), "{talk}");
        assert!(!is_running(&number), "{signal}");
        assert!(given(&project).is_empty(), "{signal}");
    }
    assert!(
        project.json("outputs/p/run_report.json")["error"].as_str().expect("an error").contains("SIGHUP")
    );
    // One that does not want to is made to end by one more signal.
    let (mut run, number) = training(&project, "trap '' TERM INT\n");
    let began = std::time::Instant::now();
    send("INT", &run);
    let talk = std::io::BufReader::new(run.stderr.take().expect("piped"));
    let mut lines = std::io::BufRead::lines(talk).map(|line| line.expect("a line"));
    assert!(lines.any(|line| line.contains("once more ends it at once")));
    send("INT", &run);
    let rest: Vec<String> = lines.collect();
    assert_eq!(run.wait().expect("ended").code(), Some(130), "{rest:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
    until("the program is gone", || !is_running(&number));
    assert!(given(&project).is_empty());
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_takes_the_program_that_trains_with_it() {
    let project = TestProject::with(BINARY, &data(), "");
    let (mut run, number) = training(&project, "");
    send("KILL", &run);
    assert_eq!(run.wait().expect("ended").code(), None);
    until("the program is gone", || !is_running(&number));
    until("its rows are gone", || given(&project).is_empty());
}

#[test]
fn what_a_killed_run_left_of_the_rows_goes_with_the_next_command() {
    let project = TestProject::with(BINARY, &data(), &config("params: {n_estimators: 3}"));
    let left = ".modelgate/train-Ab12Cd/train.csv";
    project.write(left, "id,x,level,y\n");
    let _ = project.run(&["run", "--dry-run"]).exits(0);
    assert!(project.path(left).exists(), "a dry run does nothing");
    let _ = project.run(&["run"]).exits(0);
    assert!(!project.path(left).exists() && !project.path(".modelgate/train-Ab12Cd").exists());
    project.write(left, "id,x,level,y\n");
    let _ = project.run(&["model", "gc", "--dry-run"]).exits(0);
    assert!(!project.path(".modelgate/train-Ab12Cd").exists());
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

#[cfg(unix)]
#[test]
fn a_graph_for_other_columns_is_refused() {
    let project = with_graph();
    project.write("data.csv", data().replace("id,x,level,y", "id,x,grade,y"));
    project.write("modelgate.yaml", config("command: \"cp saved.onnx {output}\""));
    project
        .run(&["run"])
        .exits(1)
        .says("the inputs of the graph are [x (float), level (string)]")
        .says("grade (string)");
}

#[test]
fn a_graph_from_elsewhere_is_judged_here() {
    let project = with_graph();
    let schema = "models/packaged/p/manifest.json";
    fs_err::copy(project.path(schema), project.path("manifest.json")).expect("copied");
    let imported = project.run(&["model", "import", "saved.onnx", "--schema", "manifest.json"]).exits(0);
    imported.says("imported").says("v002 is production");
    assert_eq!(project.json(schema)["lineage"]["algorithm"], "import");
    project.replace("manifest.json", "\"level\"", "\"grade\"");
    let refused = project.run(&["model", "import", "saved.onnx", "--schema", "manifest.json"]).exits(64);
    refused.says("the graph takes [x (float), level (string)]").says("grade (string)");
    project.write("model.pkl", b"\x80\x04\x95");
    project.run(&["model", "import", "model.pkl"]).exits(1).says("pickled models are never loaded");
    project.run(&["model", "import", "nowhere.onnx"]).exits(64).says("there is no file `nowhere.onnx`");
}

/// A model of LightGBM: `x` up to 6 is class 0, and more of `level` is hidden in it.
const LIGHTGBM: &str = "tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=binary sigmoid:1
feature_names=x level
feature_infos=[0.5:10.5] 0:1
tree_sizes=300

Tree=0
num_leaves=3
num_cat=1
split_feature=0 1
split_gain=1 1
threshold=6.0000000000000009 0
decision_type=2 1
left_child=-1 -2
right_child=1 -3
leaf_value=-3 2 3
leaf_count=160 70 70
internal_count=300 140
cat_boundaries=0 1
cat_threshold=2
is_linear=0
shrinkage=1


end of trees

pandas_categorical:[[\"high\", \"low\"]]
";

/// The same of XGBoost.
fn xgboost() -> serde_json::Value {
    serde_json::json!({ "learner": {
        "attributes": {}, "feature_names": ["x", "level"], "feature_types": ["float", "c"],
        "gradient_booster": { "name": "gbtree", "model": {
            "tree_info": [0], "iteration_indptr": [0, 1],
            "cats": { "enc": [
                { "offsets": [], "values": [] },
                { "offsets": [0, 4, 7], "values": b"highlow".map(i64::from) },
            ] },
            "trees": [{
                "left_children": [1, -1, 3, -1, -1], "right_children": [2, -1, 4, -1, -1],
                "split_indices": [0, 0, 1, 0, 0], "split_conditions": [6.0, -3.0, 0.0, 3.0, 2.0],
                "default_left": [0, 0, 0, 0, 0], "split_type": [0, 0, 1, 0, 0],
                "categories": [1], "categories_nodes": [2], "categories_segments": [0], "categories_sizes": [1],
                "sum_hessian": [300.0, 160.0, 140.0, 70.0, 70.0], "tree_param": { "size_leaf_vector": "1" },
            }],
        } },
        "learner_model_param": { "base_score": "[5E-1]", "num_class": "0", "num_feature": "2", "num_target": "1" },
        "objective": { "name": "binary:logistic" },
    }, "version": [3, 2, 0] })
}

#[test]
fn models_of_lightgbm_and_xgboost_are_judged_here_and_answer_alike() {
    let project = TestProject::with(BINARY, &data(), &config("params: {n_estimators: 3}"));
    project.write("model.txt", LIGHTGBM);
    project.write("model.json", xgboost().to_string());
    project.run(&["model", "import", "model.txt"]).exits(0).says("v001 is production");
    let columns = || {
        let x = modelgate_model::InputColumn::Floats(vec![6.0, 6.5, 6.5, f32::NAN]);
        let text = |texts: [&str; 4]| texts.map(str::to_owned).to_vec();
        vec![x, modelgate_model::InputColumn::Texts(text(["low", "low", "high", "high"]))]
    };
    let answers = |project: &TestProject| {
        let package = modelgate_model::open(&project.path("models/packaged/p")).expect("package");
        match package.model.predict_columns(&columns(), 4).expect("answers") {
            modelgate_model::Prediction::Classes { probabilities, .. } => probabilities,
            modelgate_model::Prediction::Values(_) => panic!("classes"),
        }
    };
    let sigmoid = |score: f32| 1.0 / (1.0 + (-score).exp());
    let lightgbm = answers(&project);
    // LightGBM takes NaN for zero where training had none, and XGBoost sends 6 itself to the right.
    for (row, score) in [-3.0, 2.0, 3.0, -3.0].into_iter().enumerate() {
        assert!((lightgbm[2 * row + 1] - sigmoid(score)).abs() < 1e-6, "{row}: {lightgbm:?}");
    }
    // What a column adds is shared out by hand: the score of no column, of one, and of both.
    let shares = |project: &TestProject| {
        let known = |high: Option<bool>, small: Option<bool>| {
            let right = match high {
                Some(high) => {
                    if high {
                        3.0
                    } else {
                        2.0
                    }
                }
                None => 2.5,
            };
            match small {
                Some(true) => -3.0,
                Some(false) => right,
                None => (160.0 * -3.0 + 140.0 * right) / 300.0,
            }
        };
        let rows = project.json("outputs/p/split.json")["validation"].clone();
        let rows: Vec<usize> =
            rows.as_array().expect("rows").iter().filter_map(|row| Some(row.as_u64()? as usize)).collect();
        let mean =
            |of: &dyn Fn(usize) -> f64| rows.iter().map(|row| of(*row)).sum::<f64>() / rows.len() as f64;
        let half =
            |with: f64, without: f64, more: f64, less: f64| ((with - without) + (more - less)).abs() / 2.0;
        let row = |row: usize| (Some(row % 2 == 1), Some(row % 11 <= 5));
        let x = mean(&|at| {
            let (high, small) = row(at);
            half(known(None, small), known(None, None), known(high, small), known(high, None))
        });
        let level = mean(&|at| {
            let (high, small) = row(at);
            half(known(high, None), known(None, None), known(high, small), known(None, small))
        });
        [("x".to_owned(), x), ("level".to_owned(), level)]
    };
    let said = |project: &TestProject| -> Vec<(String, f64)> {
        let analysis = project.json("outputs/p/analysis.json");
        assert_eq!(analysis["unit"], "log-odds");
        let found = analysis["contributions"].as_array().expect("contributions").iter();
        found
            .map(|one| {
                let name = one["feature"].as_str().expect("a name").to_owned();
                (name, one["mean_absolute"].as_f64().expect("a number"))
            })
            .collect()
    };
    let near = |project: &TestProject| {
        let (found, expected) = (said(project), shares(project));
        assert_eq!(found.len(), 2, "{found:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-5, "{found:?} {expected:?}");
        }
    };
    near(&project);
    project.run(&["report", "markdown"]).exits(0).says("<summary>Contributions</summary>");
    let schema = "models/packaged/p/manifest.json";
    let _ = project.run(&["model", "import", "model.json", "--schema", schema]).exits(0);
    near(&project);
    let xgboost = answers(&project);
    for (row, score) in [2.0, 2.0, 3.0, 3.0].into_iter().enumerate() {
        assert!((xgboost[2 * row + 1] - sigmoid(score)).abs() < 1e-6, "{row}: {xgboost:?}");
    }
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_guide_to_migrate_do_what_it_says() {
    let project = with_graph();
    fs_err::rename(project.path("saved.onnx"), project.path("model.onnx")).expect("renamed");
    project.write("model.txt", LIGHTGBM);
    project.write("model.json", xgboost().to_string());
    crate::documentation::runs("migrate.md", &project);
    let manifest = project.json("models/packaged/p/manifest.json");
    assert_eq!(manifest["lineage"]["algorithm"], "import");
    assert!(project.run(&["model", "list"]).exits(0).stdout.contains("v003"), "each is a version");
}

#[test]
fn models_that_do_not_fit_the_data_say_how() {
    let project = TestProject::with(BINARY, &data(), &config("params: {n_estimators: 3}"));
    let before = project.read("modelgate.yaml");
    for (file, bytes, message) in [
        (
            "a.txt",
            LIGHTGBM.replace("x level", "x grade"),
            "takes the column `grade`, which is not in the data",
        ),
        ("b.txt", LIGHTGBM.replace("binary sigmoid:1", "lambdarank"), "objective `lambdarank`"),
        ("c.txt", LIGHTGBM.replace("binary sigmoid:1", "regression"), "gives a number and `y` has 2 classes"),
        ("d.txt", LIGHTGBM.replace("[[\"high\", \"low\"]]", "null"), "the column `level` holds text"),
        ("e.txt", LIGHTGBM.replace("right_child=1 -3", "right_child=0 -3"), "node 0 is reached twice"),
        ("f.ubj", "{L\u{0}\u{0}learner".to_owned(), "save the model as JSON"),
        ("g.json", "{\"a\": 1}".to_owned(), "cannot be read as its JSON form"),
    ] {
        project.write(file, bytes);
        project.run(&["model", "import", file]).exits(1).says(message);
    }
    assert_eq!(before, project.read("modelgate.yaml"));
    project.write("model.txt", LIGHTGBM);
    project.write(
        "schema.json",
        r#"{"schema_version": 1, "task": "regression", "features": [], "target": "z", "classes": null}"#,
    );
    let refused = project.run(&["model", "import", "model.txt", "--schema", "schema.json"]).exits(64);
    refused.says("--schema: the LightGBM model gives 2 classes and `z` has a number");
}

/// Fits a model, keeps it as `keep` says, and converts it with the guide's script that holds `mark`.
fn converted(python: &std::ffi::OsStr, keep: &str, mark: &str, replace: &[(&str, &str)]) -> TestProject {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/migrate.md");
    let guide = fs_err::read_to_string(guide).expect("the guide");
    let mut scripts = guide.split("```python\n").skip(1).filter_map(|rest| rest.split("```").next());
    let script = scripts.find(|script| script.contains(mark));
    let script = replace.iter().fold(script.expect("a script").to_owned(), |script, (from, to)| {
        assert!(script.contains(from), "the guide has no `{from}`");
        script.replace(from, to)
    });
    let project = TestProject::new(BINARY);
    let _ = project
        .run(&["init", "--template", "bring-your-own", "--source", "data.csv", "--name", "p"])
        .exits(0);
    let lines: String =
        (0..300).map(|row| format!("{row},{}.5,{}\n", row % 11, u8::from(row % 11 > 5))).collect();
    project.write("data.csv", format!("x,y,target\n{lines}"));
    let fit = "import pandas\nfrom sklearn.linear_model import LogisticRegression\nrows = pandas.read_csv('data.csv')\n\
               model = LogisticRegression(max_iter=1000).fit(rows[['x', 'y']].values, rows['target'])\n";
    project.write("convert.py", format!("{fit}{keep}\n{script}"));
    let output =
        Command::new(python).arg("convert.py").current_dir(project.path(".")).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    project.run(&["model", "import", "model.onnx"]).exits(4).says("v001 is candidate");
    project
}

#[test]
fn pickles_skops_files_and_mlflow_models_are_converted_as_the_guide_says() {
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let keep = "import joblib\njoblib.dump(model, 'model.joblib')";
    let project = converted(&python, keep, "joblib.load(", &[]);
    project.replace(
        "modelgate.yaml",
        "\"python3 train.py {train} {output} --seed {seed}\"",
        "\"cp model.onnx {output}\"",
    );
    let _ = project.run(&["run"]).exits(4);
    let keep = "import mlflow\nmlflow.sklearn.save_model(model, 'kept', serialization_format='cloudpickle')";
    let _ = converted(&python, keep, "models:/churn/3", &[("models:/churn/3", "kept")]);
    let keep = "import skops.io\nskops.io.dump(model, 'model.skops')";
    let load = ("joblib.load(\"model.joblib\")", "skops.io.load(\"model.skops\", trusted=[])");
    let _ = converted(&python, keep, "joblib.load(", &[("import joblib,", "import skops.io,"), load]);
}

#[test]
fn scikit_learn_trains_a_model_for_the_example() {
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let project = TestProject::new(BINARY);
    let example = modelgate_testing::example("bring-your-own");
    for name in ["modelgate.yaml", "train.py", "modelgate_onnx.py"] {
        project.write(name, fs_err::read_to_string(example.join(name)).expect("the example"));
    }
    project.write("data/wine.csv", fs_err::read_to_string(example.join("../data/wine.csv")).expect("data"));
    let path = std::path::Path::new(&python).parent().expect("a folder").display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap_or_default());
    let output = project.command(&["run"]).env("PATH", path).output().expect("started");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("v001 is production"), "{said}");
    // The package answers what scikit-learn does; the script compares them on the validation rows.
    let check = Command::new(&python)
        .args(["train.py", "--check", "models/packaged/wine/model.onnx", "data/wine.csv"])
        .current_dir(project.path("."))
        .output()
        .expect("python");
    let said = String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success() && said.contains("same answers"), "{said}");
}

#[test]
fn the_program_of_the_template_works_with_a_key_and_dates() {
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let project = TestProject::new(BINARY);
    let rows = (0..300).map(|row| {
        let (day, good) = (1 + row % 28, ["false", "true"][row % 2]);
        format!("c{row},2024-03-{day:02},{}.5,{row},{good},{}\n", row % 11, u8::from(row % 11 > 5))
    });
    project.write("data.csv", "customer,since,x,n,good,churned\n".to_owned() + &rows.collect::<String>());
    let _ = project
        .run(&["init", "--template", "bring-your-own", "--source", "data.csv", "--name", "p"])
        .exits(0);
    project.write(
        "modelgate.yaml",
        config("command: \"python3 train.py {train} {output} --seed {seed}\", params: {n_estimators: 20}")
            .replace(
                "target: y, key: id",
                "target: churned, key: customer, split: {kind: time, column: since, stratify: false}",
            ),
    );
    let path = std::path::Path::new(&python).parent().expect("a folder").display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap_or_default());
    let output = project.command(&["run"]).env("PATH", path).output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("3 columns") && said.contains("v001 is in production"), "{said}");
    let schema = project.json("models/packaged/p/manifest.json")["schema"]["features"].clone();
    let names = schema.as_array().expect("features").iter().map(|one| one["name"].as_str().expect("a name"));
    assert_eq!(names.collect::<Vec<_>>(), ["x", "n", "good"]);
}

const KINDS: &str = "
import sys, warnings
import numpy, onnxruntime
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import *
from sklearn.linear_model import *
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from modelgate_onnx import export

warnings.filterwarnings('ignore')
rows, classes = load_wine(return_X_y=True)
rows = rows.astype('float32')
others, numbers = load_diabetes(return_X_y=True)
others = others.astype('float32')
holes = rows.copy()
holes[::5, 0] = numpy.nan

def written(model, rows, targets):
    model.fit(rows, targets)
    export(model, {f'x{at}': 'float32' for at in range(rows.shape[1])}, 'kind.onnx', rows)
    session = onnxruntime.InferenceSession('kind.onnx')
    answers = session.run(None, {f'x{at}': rows[:, at].copy() for at in range(rows.shape[1])})
    if hasattr(model, 'classes_'):
        assert (answers[0] == model.predict(rows)).all(), model
        found, expected = numpy.stack(answers[1:], axis=1), model.predict_proba(rows)
    else:
        found, expected = answers[0], model.predict(rows)
    assert numpy.abs(found - expected).max() <= 1e-4 * max(1, numpy.abs(expected).max()), model

for model in [RandomForestClassifier(10), ExtraTreesClassifier(10), LogisticRegression(max_iter=2000)]:
    written(model, rows, classes)
written(RandomForestClassifier(10), holes, classes)
written(RandomForestClassifier(10), rows, numpy.array(['a', 'b', 'c'])[classes])
for model in [RandomForestRegressor(10), LinearRegression(), Ridge()]:
    written(model, others, numbers)

def refused(model, rows, targets, words):
    try:
        written(model, rows, targets)
    except SystemExit as refusal:
        assert words in str(refusal), refusal
    else:
        raise AssertionError(f'{model} was written')

for model in [BaggingClassifier(max_features=0.5), AdaBoostClassifier(), SVC(), make_pipeline(LogisticRegression()),
              GradientBoostingClassifier(n_estimators=2), VotingClassifier([('one', RandomForestClassifier(2))])]:
    refused(model, rows, classes, 'is none of DecisionTreeClassifier')
refused(RandomForestClassifier(2), rows, classes == 1, 'its classes are of the type bool')
refused(RandomForestClassifier(2), rows, classes.astype('float64'), 'its classes are of the type float64')
refused(LinearRegression(), others, numpy.stack([numbers, numbers], axis=1), 'several targets')

class Other(RandomForestClassifier):
    def predict_proba(self, rows):
        return numpy.roll(super().predict_proba(rows), 1, axis=1)

# What nobody thought of is found by its answers.
Other.__name__, Other.__module__ = 'RandomForestClassifier', 'sklearn.ensemble'
refused(Other(5), rows, classes, 'it was not written')
print('as they are')
";

#[test]
fn models_of_scikit_learn_are_written_as_they_are_or_refused() {
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let project = TestProject::new(BINARY);
    let helper = modelgate_testing::example("bring-your-own/modelgate_onnx.py");
    project.write("modelgate_onnx.py", fs_err::read_to_string(helper).expect("the helper"));
    project.write("kinds.py", KINDS);
    let output =
        Command::new(python).arg("kinds.py").current_dir(project.path(".")).output().expect("python");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("as they are"), "{said}");
}

const TRAIN: &str = "
import argparse, pandas
from sklearn.ensemble import RandomForestClassifier
from modelgate_onnx import columns_of, export

parser = argparse.ArgumentParser()
parser.add_argument('train')
parser.add_argument('output')
parser.add_argument('--seed', type=int)
arguments = parser.parse_args()
rows = pandas.read_csv(arguments.train)
features = rows.drop(columns='target')
model = RandomForestClassifier(10, random_state=arguments.seed).fit(features.values, rows['target'])
export(model, columns_of(features), arguments.output)
";

#[test]
fn a_stage_of_dvc_moves_as_the_guide_says() {
    let (Some(python), Some(dvc)) =
        (std::env::var_os("MODELGATE_INTEROP_PYTHON"), modelgate_testing::data_python())
    else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/migrate.md");
    let guide = fs_err::read_to_string(guide).expect("the guide");
    let stage =
        guide.split("A stage of DVC `cmd: ").nth(1).and_then(|rest| rest.split('`').next()).expect("a stage");
    let command = guide
        .split("train: {command: \"python ")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a command");

    let project = TestProject::new(BINARY);
    let _ = project
        .run(&["init", "--template", "bring-your-own", "--source", "data/train.csv", "--name", "p"])
        .exits(0);
    let rows: String =
        (0..300).map(|row| format!("{row},{}.5,{}\n", row % 11, u8::from(row % 11 > 5))).collect();
    project.write("data/train.csv", format!("x,y,target\n{rows}"));
    project.write("train.py", TRAIN);
    let bin = std::path::Path::new(&python).parent().expect("a folder").display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    project.write(
        "dvc.yaml",
        format!("stages:\n  train:\n    cmd: {stage}\n    deps: [train.py, data/train.csv]\n    outs: [model.onnx]\n"),
    );
    for arguments in [&["-m", "dvc", "init", "--no-scm", "-q"][..], &["-m", "dvc", "repro", "-q"]] {
        let output =
            Command::new(&dvc).args(arguments).current_dir(project.path(".")).env("PATH", &path).output();
        let output = output.expect("dvc");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    project.run(&["status"]).exits(0).says("train");
    project.run(&["model", "import", "model.onnx"]).exits(4).says("v001 is candidate");

    let config = project.read("modelgate.yaml");
    let old = config
        .split("command: \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a command")
        .to_owned();
    project.write("modelgate.yaml", config.replace(&old, &format!("python {command}")));
    let output = project.command(&["run"]).env("PATH", &path).output().expect("run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("v002"), "{said}");
}
