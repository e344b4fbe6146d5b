//! A runner of workflows for tests: jobs in the order of their needs, each in a clone of its own; conditions, outputs and
//! artifacts as GitHub Actions has them; of actions only those that carry artifacts do something.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::expression;
use crate::BINARY;

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Job {
    /// `success`, `failure` or `skipped`.
    pub(super) result: String,
    /// Its outputs.
    pub(super) outputs: BTreeMap<String, String>,
    /// What the steps printed.
    pub(super) log: String,
}

/// What a run is given.
pub(super) struct Runner<'a> {
    /// The repository that is cloned.
    pub(super) origin: PathBuf,
    /// Where clones and artifacts go.
    pub(super) folder: PathBuf,
    /// `github`, `inputs`, `secrets` and so on.
    pub(super) contexts: Value,
    /// Variables of every step.
    pub(super) variables: Vec<(&'a str, String)>,
}

pub(super) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(folder).output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn read(clone: &Path, workflow: &str) -> Value {
    let text = fs_err::read_to_string(clone.join(".github/workflows").join(workflow)).expect("a workflow");
    let text = text.split_once('\n').map_or("", |(_, rest)| rest);
    serde_saphyr::from_str(text).expect("YAML")
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs_err::create_dir_all(to).expect("a folder");
        fs_err::copy(from, to.join(from.file_name().expect("a name"))).expect("copied");
    } else if from.is_dir() {
        fs_err::create_dir_all(to).expect("a folder");
        for entry in fs_err::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry").path();
            let place = to.join(entry.file_name().expect("a name"));
            if entry.is_dir() {
                copy(&entry, &place);
            } else {
                fs_err::copy(&entry, place).expect("copied");
            }
        }
    }
}

impl Runner<'_> {
    fn clone(&self, name: &str) -> PathBuf {
        let mut number = 0;
        let place = loop {
            let place = self.folder.join(format!("{name}-{number}"));
            if !place.exists() {
                break place;
            }
            number += 1;
        };
        let (origin, place_) = (self.origin.display().to_string(), place.display().to_string());
        git(&self.folder, &["clone", "-q", &origin, &place_]);
        place
    }

    /// Runs the workflow with `inputs`; returns its jobs by name.
    pub(super) fn run(&self, workflow: &str, inputs: &Value) -> BTreeMap<String, Job> {
        let clone = self.clone("workflow");
        let parsed = read(&clone, workflow);
        let mut done: BTreeMap<String, Job> = BTreeMap::new();
        let jobs = parsed["jobs"].as_object().expect("jobs");
        while done.len() < jobs.len() {
            let before = done.len();
            for (name, job) in jobs {
                let needs: Vec<&str> = match &job["needs"] {
                    Value::String(need) => vec![need],
                    Value::Array(needs) => needs.iter().filter_map(Value::as_str).collect(),
                    _ => Vec::new(),
                };
                if done.contains_key(name) || !needs.iter().all(|need| done.contains_key(*need)) {
                    continue;
                }
                let mut contexts = self.contexts.clone();
                contexts["inputs"] = inputs.clone();
                contexts["needs"] = needs
                    .iter()
                    .map(|need| {
                        let job = &done[*need];
                        ((*need).to_owned(), json!({ "result": job.result, "outputs": job.outputs }))
                    })
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                contexts["matrix"] = json!({ "os": "ubuntu-24.04" });
                let failed = needs.iter().any(|need| done[*need].result != "success");
                let wanted = expression::condition(job["if"].as_str(), &contexts, failed);
                let outcome = if !wanted {
                    Job { result: "skipped".to_owned(), ..Job::default() }
                } else if let Some(called) = job["uses"].as_str() {
                    self.call(called, &job["with"], &contexts)
                } else {
                    self.job(name, job, &parsed["env"], contexts)
                };
                done.insert(name.clone(), outcome);
            }
            assert!(done.len() > before, "{workflow}: needs that nothing meets");
        }
        done
    }

    fn call(&self, called: &str, with: &Value, contexts: &Value) -> Job {
        let name = called.rsplit('/').next().expect("a name");
        let inputs: serde_json::Map<_, _> = with
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let text = value.as_str().unwrap_or_default();
                (name.clone(), expression::fill(text, contexts).into())
            })
            .collect();
        let jobs = self.run(name, &inputs.into());
        let good = jobs.values().all(|job| job.result == "success" || job.result == "skipped");
        let logs: Vec<String> =
            jobs.iter().map(|(name, job)| format!("{name}: {}\n{}", job.result, job.log)).collect();
        Job {
            result: if good { "success" } else { "failure" }.to_owned(),
            outputs: BTreeMap::new(),
            log: logs.join("\n"),
        }
    }

    fn job(&self, name: &str, job: &Value, env: &Value, mut contexts: Value) -> Job {
        let clone = self.clone(name);
        let mut log = String::new();
        let mut failed = false;
        // What a step leaves for those behind it.
        let kept = clone.join("kept-environment");
        fs_err::write(&kept, "").expect("a file");
        contexts["steps"] = json!({});
        for step in job["steps"].as_array().expect("steps") {
            if !expression::condition(step["if"].as_str(), &contexts, failed) {
                continue;
            }
            if let Some(action) = step["uses"].as_str() {
                let done = self.action(action, &step["with"], &clone, &contexts);
                assert!(done || step["continue-on-error"] == true, "{action}: there is no such artifact");
                continue;
            }
            let script = expression::fill(step["run"].as_str().expect("a script"), &contexts);
            let mut command = Command::new("bash");
            command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script]);
            command.current_dir(clone.join(step["working-directory"].as_str().unwrap_or(".")));
            let binaries = Path::new(BINARY).parent().expect("a folder").display().to_string();
            command.env("PATH", format!("{binaries}:{}", std::env::var("PATH").unwrap_or_default()));
            let output = clone.join("step-output");
            fs_err::write(&output, "").expect("a file");
            command.env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", clone.join("step-summary"));
            for place in [env, &job["env"], &step["env"]] {
                for (name, value) in place.as_object().into_iter().flatten() {
                    command.env(name, expression::fill(value.as_str().unwrap_or_default(), &contexts));
                }
            }
            command.env("GITHUB_ENV", &kept).envs(outputs(&kept));
            for role in ["AUTHOR", "COMMITTER"] {
                command
                    .env(format!("GIT_{role}_NAME"), "ci")
                    .env(format!("GIT_{role}_EMAIL"), "ci@example.com");
            }
            command.envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
            let done = command.output().expect("bash");
            log.push_str(&format!("--- {}: {:?}\n", step["name"], done.status.code()));
            log.push_str(&String::from_utf8_lossy(&done.stdout));
            log.push_str(&String::from_utf8_lossy(&done.stderr));
            if let Some(id) = step["id"].as_str() {
                contexts["steps"][id] = json!({ "outputs": outputs(&output) });
            }
            failed |= !done.status.success();
        }
        let outputs = job["outputs"].as_object().into_iter().flatten();
        Job {
            result: if failed { "failure" } else { "success" }.to_owned(),
            outputs: outputs
                .map(|(name, value)| {
                    (name.clone(), expression::fill(value.as_str().unwrap_or_default(), &contexts))
                })
                .collect(),
            log,
        }
    }

    /// Artifacts are folders beside the clones; of several paths each is taken by its name. Returns whether it succeeded.
    fn action(&self, action: &str, with: &Value, clone: &Path, contexts: &Value) -> bool {
        let text = |name: &str| expression::fill(with[name].as_str().unwrap_or_default(), contexts);
        let artifact = self.folder.join(format!("artifact-{}", text("name")));
        if action.starts_with("actions/upload-artifact@") {
            for path in text("path").lines().filter(|line| !line.trim().is_empty()) {
                copy(&clone.join(path.trim()), &artifact);
            }
        } else if action.starts_with("actions/download-artifact@") {
            if !artifact.is_dir() {
                return false;
            }
            copy(&artifact, &clone.join(text("path")));
        }
        true
    }
}

fn outputs(file: &Path) -> BTreeMap<String, String> {
    let text = fs_err::read_to_string(file).expect("read");
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, value) = if let Some((name, word)) = line.split_once("<<") {
            (name, lines.by_ref().take_while(|line| *line != word).collect::<Vec<_>>().join("\n"))
        } else {
            let (name, value) = line.split_once('=').expect("an output");
            (name, value.to_owned())
        };
        found.insert(name.to_owned(), value);
    }
    found
}
