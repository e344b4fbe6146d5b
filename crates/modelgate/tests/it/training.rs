//! What a run tells of its fit, and weights of rows.

use modelgate_testing::TestProject;
use serde_json::json;

use crate::BINARY;

/// `y` is `x` in rows of weight 1 and something else in rows of weight 0.
fn weighted(weight_of_others: &str, data: &str, train: &str) -> TestProject {
    let mut text = String::from("x,noise,w,y\n");
    for row in 0..200 {
        let x = (row * 37) % 101;
        let (weight, y) = if row % 4 == 0 { (weight_of_others, 500 - x) } else { ("1", x) };
        text.push_str(&format!("{x},{},{weight},{y}\n", (row * 13) % 7));
    }
    let config = format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    \
         data: {{source: data.csv, target: y, {data}}}\n    train: {{{train}}}\n    promotion: {{approval: automatic}}\n"
    );
    TestProject::with(BINARY, &text, &config)
}

#[test]
fn rows_of_weight_zero_do_not_move_the_model_and_the_column_is_no_feature() {
    for train in ["algorithm: linear_regression", "algorithm: decision_tree, params: {min_samples_leaf: 5}"] {
        let project = weighted("0", "weight: w", train);
        let _ = project.run(&["run"]).exits(0);
        let manifest = project.json("models/packaged/p/manifest.json");
        let features = manifest["schema"]["features"].as_array().expect("features");
        let names: Vec<&str> = features.iter().filter_map(|feature| feature["name"].as_str()).collect();
        assert_eq!(names, ["x", "noise"]);
        let package = modelgate_model::open(&project.path("models/packaged/p")).expect("package");
        let rows = modelgate_data::read_csv(
            b"x,noise\n10,1\n90,5\n",
            "rows.csv",
            &modelgate_data::ReadOptions::default(),
        );
        let answers = package.model.predict(&rows.expect("a table"), &[0, 1]).expect("answers");
        let modelgate_model::Prediction::Values(values) = answers else { panic!("numbers") };
        assert!((values[0] - 10.0).abs() < 5.0 && (values[1] - 90.0).abs() < 5.0, "{train}: {values:?}");
    }
}

#[test]
fn weights_that_make_no_sense_are_told_by_place() {
    let tree = "algorithm: decision_tree";
    let wrong = [
        ("-1", "weight: w", 64, "data.weight: column `w` has no number from 0 on in data row 1"),
        ("", "weight: w", 64, "data.weight: column `w` has no number from 0 on in data row 1"),
        ("0", "weight: v", 64, "data.weight: the column `v` is not there"),
        ("0", "weight: y", 64, "data.weight: `y` is the target or the key"),
    ];
    for (others, data, code, message) in wrong {
        let project = weighted(others, data, tree);
        project.run(&["run"]).exits(code).says(message);
        assert!(!project.path("models/packaged").exists());
    }
}

#[test]
fn a_run_leaves_what_there_is_to_say_of_its_fit() {
    let project = TestProject::example(BINARY, "breast-cancer", None);
    project.replace("modelgate.yaml", "n_estimators: 100", "n_estimators: 60, oob_score: true");
    let _ = project.run(&["run"]).exits(0);
    let training = project.json("outputs/breast-cancer/training.json");
    assert_eq!(training["algorithm"], json!("random_forest"));
    assert_eq!(
        (&training["params"]["n_estimators"], &training["params"]["criterion"]),
        (&json!(60), &json!("gini"))
    );
    let score = training["details"]["oob_score"].as_f64().expect("a score");
    assert!(score > 0.93, "{score}");
    let shares = training["details"]["feature_importances"].as_object().expect("importances");
    let sum: f64 = shares.values().filter_map(serde_json::Value::as_f64).sum();
    assert!((sum - 1.0).abs() < 1e-9 && shares.len() == 30, "{sum}");
    let report = project.read("outputs/breast-cancer/report.md");
    assert!(
        report.contains("<summary>Training</summary>")
            && report.contains("| oob_score | 0.9")
            && report.contains("| feature | importance |")
    );
}

#[test]
fn a_fit_that_did_not_converge_is_a_warning_of_the_run_and_in_its_report() {
    let project = TestProject::example(BINARY, "iris", None);
    project.replace("modelgate.yaml", "max_iter: 200", "max_iter: 2, solver: lbfgs");
    project.run(&["run"]).says("did not converge in 2 iterations");
    assert!(project.read("outputs/iris/report.md").contains("did not converge in 2 iterations"));
    let training = project.json("outputs/iris/training.json");
    assert_eq!(training["details"]["converged"], json!(false));
    assert!(training["warnings"][0].as_str().expect("a warning").contains("raise `max_iter`"));
}

#[test]
fn packages_are_byte_identical_without_wide_registers_and_for_1_2_3_and_8_threads() {
    let boosting = (
        "algorithm: ridge",
        "algorithm: gradient_boosting",
        "params: {alpha: 10.0}",
        "params: {max_depth: 3}",
    );
    let forest = (
        "algorithm: ridge",
        "algorithm: random_forest",
        "params: {alpha: 10.0}",
        "params: {n_estimators: 20}",
    );
    let tree =
        ("algorithm: ridge", "algorithm: decision_tree", "params: {alpha: 10.0}", "params: {max_depth: 6}");
    let cases = [
        ("wine", "wine.csv", None),
        ("diabetes", "diabetes.csv", None),
        ("diabetes", "diabetes.csv", Some(boosting)),
        ("diabetes", "diabetes.csv", Some(forest)),
        ("diabetes", "diabetes.csv", Some(tree)),
    ];
    for (name, table, other) in cases {
        let package = |threads: &str, simd: &str| {
            let project = TestProject::example_with_shared_data(BINARY, name, table);
            if let Some((algorithm, another, params, others)) = other {
                let config = format!("{name}/modelgate.yaml");
                project.replace(&config, algorithm, another);
                project.replace(&config, params, others);
                project.replace(&config, "at_least: 0.30", "at_least: 0.10");
                project.replace(&config, "at_most: 55", "at_most: 70");
            }
            let mut command = project.command(&["-C", name, "run"]);
            let status = command.env("MODELGATE_THREADS", threads).env("MODELGATE_SIMD", simd).status();
            assert!(status.expect("started").success());
            let file =
                |file: &str| fs_err::read(project.path(&format!("{name}/models/packaged/{name}/{file}")));
            (file("manifest.json").expect("a manifest"), file("model.onnx").expect("a model"))
        };
        let expected = package("1", "off");
        for (threads, simd) in [("1", "on"), ("2", "avx2"), ("3", "on"), ("8", "avx2")] {
            assert!(
                expected == package(threads, simd),
                "{name} {other:?} with {threads} threads, SIMD {simd}"
            );
        }
    }
}

#[test]
fn a_boosted_package_of_many_rows_is_byte_identical_at_every_level_and_number_of_threads() {
    // Enough rows for nodes to be divided among threads.
    let mut text = String::from("a,b,c,y\n");
    let mut state = 7_u64;
    for _ in 0..40_000 {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) % 1000
        };
        let (a, b, c, noise) = (next(), next(), next(), next());
        let class = if a * b / 1000 + noise / 2 > 500 { "yes" } else { "no" };
        text.push_str(&format!("{a},{b},{},{class}\n", if c < 100 { String::new() } else { c.to_string() }));
    }
    let config = "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    \
                  data: {source: data.csv, target: y}\n    preprocess: {missing: none}\n    \
                  train: {algorithm: gradient_boosting, params: {n_estimators: 8}}\n    \
                  promotion: {approval: automatic}\n";
    let package = |threads: &str, simd: &str| {
        let project = TestProject::with(BINARY, &text, config);
        let mut command = project.command(&["run"]);
        let status = command.env("MODELGATE_THREADS", threads).env("MODELGATE_SIMD", simd).status();
        assert!(status.expect("started").success());
        let file = |file: &str| fs_err::read(project.path(&format!("models/packaged/p/{file}")));
        (file("manifest.json").expect("a manifest"), file("model.onnx").expect("a model"))
    };
    let expected = package("1", "off");
    for (threads, simd) in [("2", "avx2"), ("3", "on"), ("8", "avx2")] {
        assert!(expected == package(threads, simd), "{threads} threads, {simd}");
    }
}

#[test]
fn a_word_that_the_switch_of_the_processor_does_not_know_is_refused_before_any_work() {
    let project = weighted("1", "weight: w", "algorithm: ridge");
    let run = |word: &str| project.command(&["run"]).env("MODELGATE_SIMD", word).output().expect("started");
    for word in ["avx512", "OFF", "0", "of f", "off "] {
        let output = run(word);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{word}: {said}");
        let expected = format!("MODELGATE_SIMD is `{word}`: expected `on`");
        assert!(said.contains(&expected) && said.contains("`avx2`") && said.contains("`off`"), "{said}");
        assert!(!project.path(".modelgate").exists(), "{word}");
    }
    // Set to nothing it is not set.
    for word in ["", "on", "avx2", "off"] {
        assert_eq!(run(word).status.code(), Some(0), "{word}");
    }
}

/// Returns what was written over again and again: how many parts were done, of how many.
fn progress(screen: &str) -> Vec<(usize, usize)> {
    let told = screen.split('\r').filter_map(|line| {
        let (done, rest) =
            line.trim_start_matches("\u{1b}[2K").strip_prefix("  train ")?.split_once(" of ")?;
        Some((done.trim().parse().ok()?, rest.strip_suffix(" parts of the model")?.parse().ok()?))
    });
    told.collect()
}

#[test]
#[cfg(target_os = "linux")]
fn training_shows_how_far_it_is_on_a_terminal_and_leaves_no_trace_of_it_elsewhere() {
    for (algorithm, parts) in [("random_forest", 60), ("gradient_boosting", 40)] {
        let train = format!("algorithm: {algorithm}, params: {{n_estimators: {parts}}}");
        let project = weighted("1", "weight: w", &train);
        let Some((code, screen)) = crate::terminal::on_a_terminal(&project, &["run"], "") else { return };
        assert_eq!(code, 0, "{screen}");
        let told = progress(&screen);
        assert!(!told.is_empty(), "{algorithm}: {screen:?}");
        assert!(told.iter().all(|(done, of)| (1..=*of).contains(done) && *of == parts), "{told:?}");
        // What is said next takes its place.
        let after = screen.rsplit_once("parts of the model").expect("told").1;
        assert!(after.starts_with('\r'), "{after:?}");
        assert!(after.contains("train") && after.contains("ran"), "{after:?}");
        for quiet in [&["run", "--force"][..], &["run", "--force", "--quiet"]] {
            let piped = project.run(quiet).exits(0);
            let said = format!("{}{}", piped.stdout, piped.stderr);
            assert!(!said.contains("parts of the model") && !said.contains(['\r', '\u{1b}']), "{said:?}");
        }
        let quiet = crate::terminal::on_a_terminal(&project, &["run", "--force", "--quiet"], "");
        let (code, screen) = quiet.expect("a terminal");
        assert!(code == 0 && progress(&screen).is_empty(), "{screen:?}");
    }
}

/// A project of a regression of `y`, with settings of its data and its training.
fn regression(text: &str, data: &str, preprocess: &str, train: &str) -> TestProject {
    let config = format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    data: {{source: data.csv, target: y{data}}}\n    \
         preprocess: {{{preprocess}}}\n    train: {{{train}}}\n    promotion: {{approval: automatic}}\n"
    );
    TestProject::with(BINARY, text, &config)
}

#[test]
fn what_only_missing_values_tell_is_learned_and_served_by_the_package() {
    let row = |row: usize| match row % 3 {
        0 => format!(",{},5\n", row % 7),
        _ => format!("{},{},{}\n", row % 50, row % 7, f64::from(u32::from(row % 50 > 25)) * 0.5),
    };
    let text: String = std::iter::once("a,b,y\n".to_owned()).chain((0..400).map(row)).collect();
    for train in [
        "algorithm: gradient_boosting, params: {n_estimators: 30}",
        "algorithm: random_forest, params: {n_estimators: 20}",
        "algorithm: decision_tree",
    ] {
        let project = regression(&text, "", "missing: none", train);
        let _ = project.run(&["run"]).exits(0);
        let package = modelgate_model::open(&project.path("models/packaged/p")).expect("package");
        let options = modelgate_data::ReadOptions::default();
        // A number that no row of training has is no missing one.
        let rows = modelgate_data::read_csv(b"a,b\n,1\n10,1\n40,1\n1000,1\n", "rows.csv", &options);
        let answers = package.model.predict(&rows.expect("a table"), &[0, 1, 2, 3]).expect("answers");
        let modelgate_model::Prediction::Values(values) = answers else { panic!("numbers") };
        for (value, expected) in values.iter().zip([5.0, 0.0, 0.5, 0.5]) {
            assert!((value - expected).abs() < 0.4, "{train}: {values:?}");
        }
    }
}

#[test]
fn a_row_that_cannot_be_learned_from_has_its_number_in_the_file() {
    let row = |row: usize| match row {
        399 => ",1\n".to_owned(),
        _ => format!("{},{}\n", row % 50, row % 9),
    };
    let text: String = std::iter::once("a,y\n".to_owned()).chain((0..400).map(row)).collect();
    // Of some seed it is a row of training, and then not the 400th of them.
    for seed in 0..20 {
        let project = regression(&text, "", "missing: none", "algorithm: ridge");
        project.replace(
            "modelgate.yaml",
            "    task: regression\n",
            &format!("    task: regression\n    seed: {seed}\n"),
        );
        let output = project.run(&["run"]);
        if output.code == 0 {
            continue;
        }
        output.says("column `a` has a missing value in data row 400");
        return;
    }
    panic!("the row was never one of training");
}

#[test]
fn the_preprocessing_does_not_look_at_rows_of_weight_zero() {
    let row = |row: usize| {
        let x = (row * 37) % 101;
        if row.is_multiple_of(3) { format!("{},0,{}\n", x + 100_000, x) } else { format!("{x},1,{x}\n") }
    };
    let text: String = std::iter::once("x,w,y\n".to_owned()).chain((0..300).map(row)).collect();
    let train = "algorithm: ridge, params: {alpha: 10}";
    let project = regression(&text, ", weight: w", "scale: standard", train);
    let _ = project.run(&["run"]).exits(0);
    let package = modelgate_model::open(&project.path("models/packaged/p")).expect("package");
    let rows = modelgate_data::read_csv(b"x\n10\n90\n", "rows.csv", &modelgate_data::ReadOptions::default());
    let answers = package.model.predict(&rows.expect("a table"), &[0, 1]).expect("answers");
    let modelgate_model::Prediction::Values(values) = answers else { panic!("numbers") };
    assert!((values[0] - 10.0).abs() < 5.0 && (values[1] - 90.0).abs() < 5.0, "{values:?}");
}

#[test]
fn a_setting_that_names_what_the_data_lack_is_told_by_its_place() {
    let text: String = std::iter::once("a,y\n".to_owned())
        .chain((0..100).map(|row| format!("{row},{}\n", row % 9)))
        .collect();
    let train = "algorithm: gradient_boosting, params: {monotonic_cst: {height: 1}}";
    let project = regression(&text, "", "missing: none", train);
    project
        .run(&["run"])
        .exits(64)
        .says("modelgate.yaml:8:5: pipelines.p.train: params.monotonic_cst: there is no feature `height`");
}
