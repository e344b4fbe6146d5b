//! Models of LightGBM, XGBoost and scikit-learn, and each operator by itself: what those programs
//! and ONNX Runtime predict, modelgate predicts, and ONNX Runtime on the package.

use std::path::Path;
use std::process::Command;

use modelgate_core::schema::{Classes, Feature, FeatureSchema, FeatureType, SCHEMA_VERSION, Task};
use modelgate_model::{ForeignModel, InputColumn, LoadedModel, Prediction};
use modelgate_testing::skip;
use serde_json::Value;

/// A model, the data, and what the program that made it predicts.
struct Case {
    name: String,
    schema: FeatureSchema,
    columns: Vec<InputColumn>,
    rows: usize,
    expected: Vec<f64>,
    exact: bool,
    tolerance: f64,
    model: Vec<u8>,
}

/// Returns a number; one that is missing is NaN, and an infinite one is text.
fn number(value: &Value) -> f64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value.as_f64().or(text).unwrap_or(f64::NAN)
}

fn input(column: &Value) -> (Feature, InputColumn) {
    let values = column["values"].as_array().expect("values");
    let (feature_type, input) = match column["type"].as_str().expect("a type") {
        "int" => {
            let whole = values.iter().map(|value| value.as_i64().expect("a whole number")).collect();
            (FeatureType::Int, InputColumn::Ints(whole))
        }
        "float" => {
            let single = |value: &Value| number(value) as f32;
            (FeatureType::Float, InputColumn::Floats(values.iter().map(single).collect()))
        }
        _ => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (FeatureType::Text, InputColumn::Texts(values.iter().map(text).collect()))
        }
    };
    let name = column["name"].as_str().expect("a name").to_owned();
    let whole = if let InputColumn::Ints(whole) = &input { &whole[..] } else { &[] };
    let range = whole.iter().min().zip(whole.iter().max()).map(|(low, high)| (*low as f64, *high as f64));
    (Feature { range, ..Feature::of(name, feature_type, true) }, input)
}

fn case(folder: &Path, case: &Value) -> Case {
    let columns = case["columns"].as_array().expect("columns");
    let (features, columns): (Vec<_>, Vec<_>) = columns.iter().map(input).unzip();
    let classes = match &case["classes"] {
        Value::Array(list) if list.iter().all(Value::is_i64) => {
            Some(Classes::Int(list.iter().filter_map(Value::as_i64).collect()))
        }
        Value::Array(list) => {
            Some(Classes::Text(list.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
        }
        _ => None,
    };
    Case {
        name: case["name"].as_str().expect("a name").to_owned(),
        rows: columns.first().map_or(0, InputColumn::len),
        columns,
        schema: FeatureSchema {
            schema_version: SCHEMA_VERSION,
            task: if classes.is_some() { Task::Classification } else { Task::Regression },
            features,
            target: "target".to_owned(),
            classes,
            nulls: Vec::new(),
        },
        expected: case["expected"].as_array().expect("numbers").iter().map(number).collect(),
        exact: case["exact"].as_bool().expect("a truth value"),
        tolerance: case["tolerance"].as_f64().expect("a number"),
        model: fs_err::read(folder.join(case["file"].as_str().expect("a file"))).expect("a model"),
    }
}

fn run(python: &std::ffi::OsStr, arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/foreign_models.py");
    let output = Command::new(python).arg(script).args(arguments).output().expect("python");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// Makes models of a kind, holds our answers to theirs, and ONNX Runtime's answers on our graph to ours.
fn agrees(kind: &str) {
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    if std::env::var_os("MODELGATE_TEST_DATA").is_none() {
        skip("MODELGATE_TEST_DATA is not set");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let _ = run(&python, &["make", path, kind]);
    let text = fs_err::read_to_string(folder.path().join("cases.json")).expect("cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    assert!(!cases.is_empty(), "no case");
    let mut different = Vec::new();
    for value in &cases {
        let case = case(folder.path(), value);
        let name = &case.name;
        let foreign = ForeignModel::read(&case.model).unwrap_or_else(|error| panic!("{name}: {error}"));
        let graph = foreign.graph(&case.schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        let loaded = LoadedModel::load(&graph).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(loaded.classes(), case.schema.classes.as_ref(), "{name}");
        let whole = loaded.predict_columns(&case.columns, case.rows).expect("answers");
        let (answers, width) = match whole {
            Prediction::Classes { probabilities, .. } => {
                (probabilities, case.schema.classes.as_ref().map_or(1, Classes::len))
            }
            Prediction::Values(values) => (values, 1),
        };
        assert_eq!(answers.len(), case.expected.len(), "{name}");
        let worst = answers.iter().zip(&case.expected).enumerate().find(|(_, (answer, expected))| {
            let (answer, expected) = (**answer, **expected);
            let same = if case.exact {
                answer == expected as f32 || (answer.is_nan() && expected.is_nan())
            } else {
                (f64::from(answer) - expected).abs() <= case.tolerance
            };
            !same
        });
        if let Some((at, (answer, expected))) = worst {
            different.push(format!(
                "{name}: row {} of {}: {answer} and not {expected}",
                at / width,
                case.rows
            ));
        }
        let bits: Vec<u32> = answers.iter().map(|answer| answer.to_bits()).collect();
        let bits = serde_json::to_string(&bits).expect("JSON");
        fs_err::write(folder.path().join(format!("{name}.answers.json")), bits).expect("written");
        fs_err::write(folder.path().join(format!("{name}.package.onnx")), graph).expect("written");
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    let said = run(&python, &["check", path]);
    assert_eq!(said.matches("same: ").count(), cases.len(), "{said}");
}

#[test]
fn models_of_lightgbm_and_xgboost_answer_as_they_do_there() {
    agrees("boosted");
}

#[test]
fn graphs_of_scikit_learn_answer_as_in_onnx_runtime() {
    agrees("sklearn");
}

#[test]
fn operators_by_themselves_answer_as_in_onnx_runtime() {
    agrees("operators");
}

#[cfg(feature = "ort")]
#[test]
fn graphs_that_only_onnx_runtime_knows_answer_through_its_library() {
    // The library is loaded once per process, from where its environment says: this test starts itself with one.
    if std::env::var_os("MODELGATE_TEST_WITH_LIBRARY").is_some() {
        return agrees("others");
    }
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let library = run(&python, &["library"]);
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "graphs_that_only_onnx_runtime_knows_answer_through_its_library"])
        .env("MODELGATE_TEST_WITH_LIBRARY", "1")
        .env("ORT_DYLIB_PATH", library.trim())
        .output()
        .expect("started");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
