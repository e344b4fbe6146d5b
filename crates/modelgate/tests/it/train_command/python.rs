//! Python's models: the template, its helper and the guide to migrate, run as they are written.

use std::process::Command;

use modelgate_testing::{TestProject, skip};

use super::config;
use crate::BINARY;

#[cfg(unix)]
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
    // What the guide holds against what.
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/migrate.md");
    let guide = fs_err::read_to_string(guide).expect("the guide");
    let mut scripts = guide.split("```python\n").filter_map(|rest| rest.split("```").next());
    let script = scripts.find(|script| script.contains("onnxruntime.InferenceSession(")).expect("a script");
    let _ = project.run(&["model", "pull", "p", "v001", "--to", "pulled"]).exits(0);
    project.write("same.py", script.replace("models/packaged/churn", "pulled"));
    let output =
        Command::new(&python).arg("same.py").current_dir(project.path(".")).output().expect("python");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let difference =
        said.trim().strip_prefix("largest difference: ").and_then(|number| number.parse::<f64>().ok());
    assert!(difference.is_some_and(|difference| difference < 1e-6), "{said}");
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
