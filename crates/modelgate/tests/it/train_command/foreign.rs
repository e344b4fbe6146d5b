//! Models that were made elsewhere: graphs, LightGBM's text, XGBoost's JSON.

use modelgate_testing::TestProject;

use super::{config, data, with_graph};
use crate::BINARY;

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
    imported
        .says("imported")
        .says("v002 is production")
        .says("rows that the model was trained on prove nothing");
    assert_eq!(project.json(schema)["lineage"]["algorithm"], "import");
    // What stays says it too: nobody here knows what it learned from.
    let card = project.read("models/packaged/p/MODEL_CARD.md");
    for told in ["made elsewhere", "judged on the dataset", "prove nothing", "import of sha256:"] {
        assert!(card.contains(told), "{told}: {card}");
    }
    assert!(!card.contains("| seed |"), "{card}");
    for report in ["report.md", "report.html", "verdict.json"] {
        assert!(project.read(&format!("outputs/p/{report}")).contains("prove nothing"), "{report}");
    }
    let refused = project.run(&["model", "import", "saved.onnx", "--schema", "nope.json"]).exits(64);
    refused.says("--schema: there is no file `nope.json`");
    #[cfg(unix)]
    project.run(&["model", "import", "/dev/null"]).exits(64).says("/dev/null is no file");
    project.replace("manifest.json", "\"level\"", "\"grade\"");
    let refused = project.run(&["model", "import", "saved.onnx", "--schema", "manifest.json"]).exits(64);
    refused.says("the graph takes [x (float), level (string)]").says("grade (string)");
    project.write("model.pkl", b"\x80\x04\x95");
    project.run(&["model", "import", "model.pkl"]).exits(1).says("pickled models are never loaded");
    project.write("mlflow/MLmodel", "flavors: {}");
    project
        .run(&["model", "import", "mlflow"])
        .exits(64)
        .says("is a folder: name the file of the model in it");
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
    // A run would make another version than the one that is imported.
    project.replace("modelgate.yaml", "approval: automatic", "approval: required");
    let waits = project.run(&["model", "import", "model.txt"]).exits(4);
    waits.says("`modelgate model approve p v001` and `modelgate model promote p v001` go on");
    project.replace("modelgate.yaml", "approval: required", "approval: automatic");
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

#[cfg(unix)]
#[test]
fn models_of_any_form_are_put_to_the_test_of_the_gate() {
    let project = TestProject::with(BINARY, &data(), "");
    project.write("model.txt", LIGHTGBM);
    project.write("model.json", xgboost().to_string());
    for file in ["model.txt", "model.json"] {
        project.write("modelgate.yaml", config(&format!("command: \"cp {file} {{output}}\"")));
        let _ = project.run(&["run"]);
        let output = project.run(&["gate", "selftest"]).exits(0);
        output
            .says("does not apply: trained by train.command on permuted labels: train.command leaves the same model")
            .says("refused: ")
            .says("with damaged weights");
    }
}
