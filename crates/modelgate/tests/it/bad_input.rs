//! Bad data, bad configuration, and damage: each with a message that names the place, and the documented exit code.

use std::process::Stdio;
use std::time::Duration;

use modelgate_testing::TestProject;

use crate::BINARY;

const CONFIG: &str = "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: y}
    train: {algorithm: random_forest, params: {n_estimators: 5}}
    promotion: {approval: automatic}
";

/// Sixty rows of two classes.
fn rows() -> String {
    (0..60).map(|row| format!("{row},{},{}\n", row % 7, u8::from(row % 3 == 0))).collect()
}

fn good() -> String {
    format!("a,b,y\n{}", rows())
}

#[track_caller]
fn refuses(data: impl AsRef<[u8]>, config: &str, code: i32, message: &str) {
    let project = TestProject::with(BINARY, "", config);
    project.write("data.csv", data);
    project.run(&["run"]).exits(code).says(message);
    assert!(!project.path(".modelgate/ledger.jsonl").exists(), "nothing is registered");
}

#[test]
fn data_that_cannot_be_used_is_named_by_file_line_and_column() {
    let mut ragged = good();
    ragged.push_str("1,2\n");
    let mut mixed = good();
    mixed.push_str("oops,1,1\n");
    let mut latin = good().into_bytes();
    latin.extend(b"\xe9,1,1\n");
    let cases: [(Vec<u8>, &str); 11] = [
        (Vec::new(), "data.csv: the file is empty"),
        (b"a,b,y\n".to_vec(), "data.csv: the file has a header and no rows"),
        (ragged.into_bytes(), "data.csv: line 62: the row has 2 values and the header 3"),
        (format!("a,a,y\n{}", rows()).into_bytes(), "the column name `a` stands twice"),
        (good().replace(",1\n", ",0\n").into_bytes(), "the same value in every row"),
        (format!("{}1,1,7\n", good()).into_bytes(), "class `7` (1 rows in all) has no row in validation"),
        (good().replace("59,3,0", "59,3,").into_bytes(), "the target `y` has no value in 1 of 60 rows"),
        (good().replace("58,2,0", "58,inf,0").into_bytes(), "line 60, column `b`: `inf` is infinite"),
        (mixed.into_bytes(), "line 62, column `a`: `oops` is not a number"),
        (latin, "line 62, column `a`: the bytes of"),
        (
            format!("a,b,y\n{}", (0..60).map(|row| format!("{row},,{}\n", row % 2)).collect::<String>())
                .into_bytes(),
            "column `b`: it has no value",
        ),
    ];
    for (data, message) in cases {
        refuses(data, CONFIG, 1, message);
    }
}

#[test]
fn nan_in_a_number_column_is_a_missing_value() {
    let project = TestProject::with(BINARY, &good().replace("58,2,0", "58,NaN,0"), CONFIG);
    let _ = project.run(&["run"]).exits(0);
}

#[test]
fn a_configuration_that_cannot_be_used_is_named_by_line_and_key() {
    let cases = [
        (String::new(), "modelgate.yaml:1:1: the file is empty"),
        ("# nothing\n".to_owned(), "the file is empty"),
        (
            CONFIG.replace("train:", "trian:"),
            "modelgate.yaml:7:5: unknown key `trian`; did you mean `train`?",
        ),
        (
            CONFIG.replace("source:", "sorce:"),
            "modelgate.yaml:6:12: unknown key `sorce`; did you mean `source`?",
        ),
        (CONFIG.replace("n_estimators", "n_estimator"), "did you mean `n_estimators`?"),
        (
            CONFIG.replace("n_estimators: 5", "n_estimators: many"),
            "params.n_estimators: `\"many\"` is not a whole number",
        ),
        (CONFIG.replace("random_forest", "random_forst"), "did you mean `random_forest`?"),
        (CONFIG.replace("version: 1", "version: 2"), "this modelgate reads version 1"),
        (CONFIG.replace("version: 1", "version: one"), "modelgate.yaml:1:10"),
        (CONFIG.replace("classification", "clustering"), "`clustering` is not allowed here"),
        (CONFIG.replace("target: y", "target: y, split: {train: 0.9}"), "sum to 1.2"),
        (format!("{CONFIG}    gate: {{rules: []}}\n"), "would pass everything"),
        (
            format!("{CONFIG}    gate: {{rules: [{{metric: f1}}]}}\n"),
            "modelgate.yaml:9:20: pipelines.p.gate.rules[0]: a rule has exactly one of",
        ),
        (
            format!("{CONFIG}    gate: {{rules: [{{metric: rmse, versus: production, max_drop: 1}}]}}\n"),
            "use `max_rise`",
        ),
        (format!("{CONFIG}    seed: 1\n    seed: 2\n"), "the key `seed` stands here twice"),
        ("version: 1\nproject: p\npipelines: {}\n".to_owned(), "there is no pipeline"),
    ];
    for (config, message) in cases {
        refuses(good(), &config, 64, message);
    }
    let project = TestProject::new(BINARY);
    project.run(&["run"]).exits(64).says("there is no `modelgate.yaml`").says("`modelgate init` makes one");
    project.write("modelgate.yml", CONFIG);
    project.run(&["run"]).exits(64).says("modelgate.yml` is there: rename it to `modelgate.yaml`");
    project.run(&["rnu"]).exits(64).says("unrecognized subcommand");
}

#[test]
fn what_the_data_or_this_version_does_not_have_is_named_by_line_and_column_before_any_work() {
    let with = |text: &str| format!("{CONFIG}{text}");
    let rule = |rule: &str| with(&format!("    gate: {{rules: [{rule}]}}\n"));
    let cases = [
        (
            rule("{metric: acuracy, at_least: 0.5}"),
            "modelgate.yaml:9:21: pipelines.p.gate.rules[0].metric: there is no metric `acuracy`; did you mean `accuracy`?",
        ),
        (
            rule("{metric: rmse, at_most: 1}"),
            ":9:21: pipelines.p.gate.rules[0].metric: `rmse` is a metric of the task",
        ),
        (rule("{metric: drift.psi, at_most: 1}"), "drift is not measured in this version"),
        (
            rule("{metric: f1, slice: {aa: 1}, at_least: 0.001}"),
            "modelgate.yaml:9:33: pipelines.p.gate.rules[0].slice: the column `aa` is not there",
        ),
        (
            CONFIG.replace("target: y", "target: yy"),
            "modelgate.yaml:6:30: pipelines.p.data.target: the column `yy`",
        ),
        (
            CONFIG.replace("target: y", "target: y, key: id"),
            "pipelines.p.data.key: the column `id` is not there",
        ),
        (
            CONFIG.replace("target: y", "target: y, weight: w"),
            "pipelines.p.data.weight: the column `w` is not there",
        ),
        (
            with("    preprocess: {drop: [a, c]}\n"),
            "modelgate.yaml:9:28: pipelines.p.preprocess.drop[1]: the column `c` is not there",
        ),
        (
            with("    evaluate: {slices: [aa]}\n"),
            "modelgate.yaml:9:25: pipelines.p.evaluate.slices[0]: the column `aa` is not there",
        ),
        (
            CONFIG.replace("data.csv", "data/none.csv"),
            "modelgate.yaml:6:12: pipelines.p.data.source: there is no file `data/none.csv`; put it there, or name yours",
        ),
        (
            CONFIG.replace("project: p", "project: p\nregistry: {uri: \"http://localhost:5000\"}"),
            "modelgate.yaml:3:12: registry.uri: `http://localhost:5000` is not a registry",
        ),
        (
            CONFIG.replace("project: p", "project: p\nretention: {keep: long}"),
            "modelgate.yaml:3:13: retention.keep: `long` is not a duration",
        ),
        (
            CONFIG.replace("target: y", "target: y, split: {train: 0.9}"),
            "modelgate.yaml:6:41: pipelines.p.data.split: train, validation and test",
        ),
        (
            CONFIG.replace("target: y", "target: y, contract: none.yaml"),
            "modelgate.yaml:6:41: pipelines.p.data.contract: ",
        ),
        (CONFIG.replace("  p:", "  P!:"), "modelgate.yaml:4:3: pipelines.P!: "),
        (
            CONFIG.replace("classification", "image_classification_cnn"),
            "`image_classification_cnn` is not in this version; use `classification` or `regression`",
        ),
    ];
    for (config, message) in cases {
        for command in [&["config", "check"][..], &["run"]] {
            let project = TestProject::with(BINARY, &good(), &config);
            project.run(command).exits(64).says(message);
        }
    }
}

#[test]
fn a_file_to_import_that_is_not_there_is_said_to_be_missing() {
    let project = TestProject::with(BINARY, &good(), CONFIG);
    for name in ["nope.onnx", "nope.pkl", "nope.tar"] {
        project.run(&["model", "import", name]).exits(64).says(&format!("there is no file `{name}`"));
    }
}

#[test]
fn several_pipelines_and_none_named_are_listed() {
    let second = CONFIG[CONFIG.find("  p:").expect("pipeline")..].replacen("  p:", "  q:", 1);
    let project = TestProject::with(BINARY, &good(), &format!("{CONFIG}{second}"));
    let output = project.run(&["run"]).exits(64);
    assert_eq!(output.stdout, "p\nq\n");
    let _ = project.run(&["run", "q"]).exits(0);
}

#[test]
fn a_ledger_with_a_changed_byte_is_refused_by_every_command() {
    let project = TestProject::with(BINARY, &good(), CONFIG);
    let _ = project.run(&["run"]).exits(0);
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole: 3 events");
    let whole = project.read(".modelgate/ledger.jsonl");
    project.write(".modelgate/ledger.jsonl", whole.replacen("tester", "nobody", 1));
    for command in [&["ledger", "verify"][..], &["run"], &["status"], &["model", "list"]] {
        project.run(command).exits(1).says("line 1: its content does not match its hash");
    }
    let lines: Vec<&str> = whole.lines().collect();
    project.write(".modelgate/ledger.jsonl", format!("{}\n{}\n", lines[0], lines[2]));
    project.run(&["ledger", "verify"]).exits(1).says("line 2: it does not follow the line before it");
    project.write(".modelgate/ledger.jsonl", format!("{}\n", lines[0]));
    project.run(&["ledger", "verify"]).exits(1).says("events were removed");
    project.write(".modelgate/ledger.jsonl", &whole);
    fs_err::remove_file(project.path(".modelgate/registry.db")).expect("removed");
    let _ = project.run(&["ledger", "verify"]).exits(0);
    project
        .write(".modelgate/registry.db", "this is no database, but it is long enough to be looked at as one");
    let _ = project.run(&["ledger", "verify"]).exits(0);
}

#[test]
fn the_rest_of_a_killed_append_is_ignored_and_cut_off() {
    let project = TestProject::with(BINARY, &good(), CONFIG);
    let _ = project.run(&["run"]).exits(0);
    let whole = project.read(".modelgate/ledger.jsonl");
    project.write(".modelgate/ledger.jsonl", format!("{whole}{{\"seq\":4,\"ev"));
    let _ = project.run(&["ledger", "verify"]).exits(0);
    let _ = project.run(&["model", "alias", "p", "good", "1"]).exits(0);
    assert!(project.read(".modelgate/ledger.jsonl").starts_with(&whole));
    project.run(&["ledger", "verify"]).exits(0).says("4 events");
}

#[test]
fn a_package_with_a_changed_byte_is_told_of_and_mended() {
    let project = TestProject::with(BINARY, &good(), CONFIG);
    let _ = project.run(&["run"]).exits(0);
    let path = project.path("models/packaged/p/model.onnx");
    let mut bytes = fs_err::read(&path).expect("model");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&path, bytes).expect("damaged");
    project.run(&["status"]).exits(0).says("the file `model.onnx` was changed");
    let _ = project.run(&["run"]).exits(0);
    project.run(&["status"]).exits(0).says("verified");
}

#[test]
fn an_object_with_a_changed_byte_is_found() {
    let project = TestProject::with(BINARY, &good(), CONFIG);
    let _ = project.run(&["run"]).exits(0);
    let manifest = project.json("models/packaged/p/manifest.json");
    let digest =
        manifest["files"]["model.onnx"].as_str().expect("digest").trim_start_matches("sha256:").to_owned();
    let object = format!(".modelgate/store/sha256/{}/{}", &digest[..2], &digest[2..]);
    let mut bytes = fs_err::read(project.path(&object)).expect("object");
    bytes[10] ^= 1;
    project.write(&object, bytes);
    project.run(&["ledger", "verify"]).exits(1).says("is damaged");
}

#[test]
fn two_runs_at_once_name_the_holder() {
    let project = TestProject::with(BINARY, &good(), CONFIG);
    fs_err::create_dir_all(project.path(".modelgate")).expect("folder");
    let lock = fs_err::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(project.path(".modelgate/lock"));
    let lock = lock.expect("lock").into_file();
    lock.lock().expect("locked");
    let holder = r#"{"pid":4711,"host":"build-7","since":"2026-01-02T03:04:05Z","command":"modelgate run"}"#;
    project.write(".modelgate/lock", holder);
    let output = project.run(&["run"]).exits(1);
    output.says("process 4711 on build-7, since 2026-01-02T03:04:05Z").says("wait for it to end");
    drop(lock);
    let _ = project.run(&["run"]).exits(0);
}

/// Kills runs at many moments; the next run always finds a state that it can go on from.
#[test]
fn a_run_killed_at_any_moment_loses_nothing() {
    let project = TestProject::example(BINARY, "breast-cancer", None);
    let _ = project.run(&["run"]).exits(0);
    for round in 0_u64..25 {
        let seed = 1000 + round;
        let mut child = project
            .command(&["run"])
            .env("MODELGATE_SEED", seed.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        std::thread::sleep(Duration::from_millis(3 + round * 7));
        let _ = child.kill();
        let _ = child.wait();
        let _ = project.run(&["ledger", "verify"]).exits(0);
        let package = project.run(&["status"]).exits(0);
        assert!(!package.stdout.contains("was changed"), "{}", package.stdout);
    }
    let output = project.command(&["run"]).env("MODELGATE_SEED", "42").output().expect("started");
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    project.run(&["status"]).exits(0).says("verified");
    let leftovers = walk(&project.path("models")).into_iter().filter(|name| name.contains(".previous"));
    assert_eq!(leftovers.count(), 0);
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        found.push(path.display().to_string());
        if path.is_dir() {
            found.extend(walk(&path));
        }
    }
    found
}
