//! The prediction service, as its callers and its operators see it.

mod access;
mod bucket;
mod certificates;
mod ending;
mod forms;
mod hostile;
mod left;
mod limits;
mod lines;
mod logs;
mod mlflow;
mod named;
mod openapi;
mod origins;
mod page;
mod refusals;
mod reloads;
mod rollout;
mod smoke;
mod sources;
mod starts;
mod traces;

use std::process::Command;

use modelgate_testing::{Service, TestProject};
use serde_json::{Value, json};

use crate::BINARY;

/// Columns of every type: whole numbers, numbers with nulls, text, and true or false.
fn table(rows: usize) -> String {
    let mut text = "age,income,region,member,label\n".to_owned();
    for row in 0..rows {
        let (age, income) = (18 + row * 7 % 60, 1000.0 + (row * 37 % 500) as f64 * 10.5);
        let income = if row % 11 == 0 { String::new() } else { income.to_string() };
        let region = ["north", "south", "east"][row % 3];
        let label = if age + 10 * (row % 3) > 50 { "yes" } else { "no" };
        text.push_str(&format!("{age},{income},{region},{},{label}\n", row % 2 == 0));
    }
    text
}

const CONFIG: &str = "
version: 1
project: shop
pipelines:
  shop:
    task: classification
    seed: 1
    data: {source: data.csv, target: label, split: {train: 0.7, validation: 0.15, test: 0.15}}
    preprocess: {missing: median, encode: onehot}
    train: {algorithm: random_forest, params: {n_estimators: 10}}
    gate: {on: validation, rules: [{id: min, metric: accuracy, at_least: 0.5}]}
    promotion: {approval: automatic}
";

/// A project whose model `shop` is in production.
fn project() -> TestProject {
    let project = TestProject::with(BINARY, &table(300), CONFIG);
    let _ = project.run(&["run"]).exits(0);
    project
}

/// `modelgate serve` on a port that is free, which never looks for newer versions by itself.
fn serve(project: &TestProject, arguments: &[&str]) -> Command {
    let mut command = project.command(&["serve", "--port", "0"]);
    command.args(arguments).env("MODEL_AUTO_REFRESH_SECONDS", "0").env("ADMIN_API_TOKEN", "right");
    command
}

fn service(project: &TestProject, arguments: &[&str]) -> Service {
    Service::ready(serve(project, arguments))
}

fn row() -> Value {
    json!({ "age": 40, "income": 2500.5, "region": "south", "member": true })
}

fn reload(service: &Service) -> modelgate_testing::Reply {
    service.request("POST", "/admin/reload", &[("x-admin-token", "right")], None)
}
