//! A canary beside the version in production, from its start to its promotion or its end.

mod analysis;
mod interrupted;
mod page;
mod traffic;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use modelgate_testing::{Output, Reply, Service, TestProject, send};
use serde_json::{Value, json};

use super::{project, row, service};

/// A project with `v001` in production, whose next versions wait for a person.
pub(super) fn careful() -> TestProject {
    let project = project();
    project.replace("modelgate.yaml", "approval: automatic", "approval: required");
    project
}

/// Trains another model, which passes its gate and waits.
pub(super) fn candidate(project: &TestProject) {
    project.replace("modelgate.yaml", "n_estimators: 1", "n_estimators: 11");
    let _ = project.run(&["run"]).exits(4);
}

/// Trains a model on labels that were swapped: it passes its gate on the same labels, and says the opposite.
fn swapped(project: &TestProject) {
    let swapped: Vec<String> = project
        .read("data.csv")
        .lines()
        .map(|line| match (line.strip_suffix(",yes"), line.strip_suffix(",no")) {
            (Some(rest), _) => format!("{rest},no"),
            (_, Some(rest)) => format!("{rest},yes"),
            _ => line.to_owned(),
        })
        .collect();
    project.write("data.csv", swapped.join("\n") + "\n");
    let _ = project.run(&["run"]).exits(4);
}

/// A project with a candidate, and its service, which `modelgate.yaml` names.
fn beside(steps: &str) -> (TestProject, Service) {
    let project = careful();
    candidate(&project);
    let service = service(&project, &[]);
    configure(&project, &service, steps);
    (project, service)
}

pub(super) fn configure(project: &TestProject, service: &Service, steps: &str) {
    let config = project.read("modelgate.yaml");
    let rollout = format!("{{url: \"{}\", steps: {steps}, min_samples: 10}}", service.url);
    project.write("modelgate.yaml", format!("{config}serve: {{rollout: {rollout}}}\n"));
}

/// `modelgate rollout …` with the administrator's token.
pub(super) fn rollout(project: &TestProject, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = std::iter::once("rollout").chain(arguments.iter().copied()).collect();
    let output = project.command(&arguments).env("ADMIN_API_TOKEN", "right").output().expect("started");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asks for a prediction of a row.
pub(super) fn ask(service: &Service, headers: &[(&str, &str)]) -> Reply {
    let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
    service.request("POST", "/predict/shop", &headers, Some(row().to_string().as_bytes()))
}

fn track(reply: &Reply) -> &str {
    reply.header("modelgate-track").unwrap_or_default()
}

/// Says something to `/admin/rollout/shop`.
fn admin(service: &Service, method: &str, query: &str, token: Option<&str>, body: Option<&Value>) -> Reply {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(token.map(|token| ("x-admin-token", token)));
    let body = body.map(Value::to_string);
    let path = format!("/admin/rollout/shop{query}");
    service.request(method, &path, &headers, body.as_deref().map(str::as_bytes))
}

fn standing(service: &Service) -> Value {
    admin(service, "GET", "", Some("right"), None).is(200).json()
}

fn ledger(project: &TestProject) -> String {
    project.run(&["ledger", "log", "--model", "shop"]).exits(0).stdout
}

/// Sends requests with ever other keys while `work` goes on; each must be answered. Returns how many there were.
fn under_load(service: &Service, rows: usize, work: impl FnOnce()) -> usize {
    let (ended, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ages =
        (0..rows).map(|at| json!({ "age": 20 + at % 50, "income": 2000, "region": "east", "member": true }));
    let body = json!({ "features": ages.collect::<Vec<_>>() }).to_string();
    let url = format!("{}/predict/shop", service.url);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let agent = ureq::Agent::new_with_defaults();
                while !ended.load(Ordering::Relaxed) {
                    let key = format!("user-{}", asked.fetch_add(1, Ordering::Relaxed));
                    let headers = [("content-type", "application/json"), ("modelgate-key", key.as_str())];
                    let reply = send(&agent, "POST", &url, &headers, Some(body.as_bytes()));
                    let reply = reply.expect("an answer").is(200);
                    let version = reply.json()["version"].clone();
                    assert_eq!(reply.header("modelgate-model-version"), version.as_str());
                    let expected = if track(&reply) == "canary" { 2 } else { 1 };
                    // A promotion makes the canary stable.
                    assert!(version == format!("v00{expected}") || track(&reply) == "stable", "{version}");
                }
            });
        }
        // The load must end when the work does not.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        ended.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    asked.load(Ordering::Relaxed)
}
