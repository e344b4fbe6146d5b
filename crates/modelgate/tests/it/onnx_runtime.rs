//! Models that only ONNX Runtime knows, and the library that `serve.onnxruntime` names.

use modelgate_testing::TestProject;

use crate::BINARY;

const CONFIG: &str = "
version: 1
project: shop
pipelines:
  shop:
    task: regression
    data: {source: data.csv, target: y}
    preprocess: {missing: none, scale: standard}
    train: {algorithm: random_forest, params: {n_estimators: 5}}
    gate: {rules: [{metric: rmse, at_most: 1000000}]}
    promotion: {approval: automatic}
serve:
  onnxruntime: lib/onnxruntime
";

/// A project with `own.onnx`, which the built-in engine knows, and `other.onnx`, which takes the higher of each number and
/// the mean in place of their difference: an operator that it does not know.
fn project() -> TestProject {
    let rows: String =
        (0..200).map(|row| format!("{},{}.5,{}\n", row % 17, row % 11, row % 17 * 3)).collect();
    let project = TestProject::with(BINARY, &format!("a,b,y\n{rows}"), CONFIG);
    let _ = project.run(&["run"]).exits(0);
    let own = fs_err::read(project.path("models/packaged/shop/model.onnx")).expect("a graph");
    let mut other = own.clone();
    let places: Vec<usize> = (0..own.len()).filter(|at| own[*at..].starts_with(b"Sub")).collect();
    assert!(!places.is_empty(), "nothing is subtracted");
    for at in places {
        other[at..at + 3].copy_from_slice(b"Max");
    }
    fs_err::write(project.path("own.onnx"), own).expect("written");
    fs_err::write(project.path("other.onnx"), other).expect("written");
    project
}

#[test]
fn a_refusal_says_which_operator_it_was_and_what_is_wrong_with_the_library() {
    let project = project();
    let _ = project.run(&["model", "import", "own.onnx"]).exits(0);
    let refused = |reasons: &[&str]| {
        let refused = project.run(&["model", "import", "other.onnx"]).exits(1);
        let _ = refused.says("the operator Max of ai.onnx is not known to the built-in engine");
        for reason in reasons {
            let _ = refused.says(reason);
        }
    };
    let built = cfg!(feature = "ort");
    let without = "serve.onnxruntime names its library and this modelgate was built without it: build it with \
                   `--features ort`";
    let why = |reason: &'static str| if built { reason } else { without };
    refused(&[why("serve.onnxruntime: ONNX Runtime's library `"), why("lib/onnxruntime` is not there")]);
    project.write("lib/onnxruntime", "no library");
    refused(&[why("serve.onnxruntime: `"), why("is no library of ONNX Runtime that works here")]);
    let doctor = project.run(&["doctor"]).exits(i32::from(built));
    let found = if built { "broken  onnx runtime" } else { "missing onnx runtime" };
    let _ = doctor.says(found).says(why("lib/onnxruntime` is no library of ONNX Runtime that works here"));
    // The variable goes before the key, and is not relative to the project.
    let mut command = project.command(&["model", "import", "other.onnx"]);
    let output = command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so").output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let what = if built {
        "ORT_DYLIB_PATH: ONNX Runtime's library `/nowhere/libonnxruntime.so` is not there"
    } else {
        "ORT_DYLIB_PATH names its library and this modelgate was built without it"
    };
    assert!(!output.status.success() && said.contains(what), "{said}");
    project.replace("modelgate.yaml", "serve:\n  onnxruntime: lib/onnxruntime\n", "");
    let nothing = if built {
        "nothing names its library: set serve.onnxruntime in modelgate.yaml or ORT_DYLIB_PATH"
    } else {
        "but this modelgate was built without it"
    };
    refused(&[nothing]);
}

#[test]
fn a_library_that_is_not_there_stops_a_service_that_names_it() {
    let project = project();
    let stopped = |says: &str| {
        let _ = project.run(&["serve", "--port", "0"]).exits(64).says(says);
    };
    stopped("serve.onnxruntime: ONNX Runtime's library `");
    stopped("lib/onnxruntime` is not there; name the file");
    project.write("lib/onnxruntime/readme", "a folder");
    stopped("lib/onnxruntime` is no file; name the file");
    project.replace("modelgate.yaml", "onnxruntime: lib/onnxruntime", "onnxruntime: ''");
    stopped("serve.onnxruntime: it is empty");
}

#[cfg(feature = "ort")]
#[test]
fn a_model_that_only_onnx_runtime_knows_is_served_by_the_library_of_the_project_file() {
    use modelgate_testing::{Service, skip};
    use serde_json::json;

    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/foreign_models.py");
    let output = std::process::Command::new(python).args([script, "library"]).output().expect("python");
    let library = String::from_utf8(output.stdout).expect("a path");
    let project = project();
    fs_err::create_dir(project.path("lib")).expect("a folder");
    fs_err::copy(library.trim(), project.path("lib/onnxruntime")).expect("copied");
    let _ = project.run(&["doctor"]).exits(0).says("ok      onnx runtime").says("lib/onnxruntime");
    // From a folder below the project: the path is relative to the project's file.
    fs_err::create_dir(project.path("below")).expect("a folder");
    let mut command = project.command(&["model", "import", "../other.onnx"]);
    let output = command.current_dir(project.path("below")).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let service = Service::ready(project.command(&["serve", "--port", "0"]));
    let row = |a: i64| json!({ "features": { "a": a, "b": 3.5 } });
    let answer = |a: i64| service.post("/predict/shop", &row(a)).is(200).json()["predictions"][0].clone();
    // What is below the mean answers as the mean does, and not as in the model that it was made of.
    assert_eq!(answer(1), answer(2));
    let explained = service.post("/explain/shop", &row(1)).is(200).json();
    assert!(explained.to_string().contains("occlusion"), "{explained}");
}
