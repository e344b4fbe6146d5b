//! The documentation: its commands run, and its generated pages are those of this binary.
//!
//! `MODELGATE_UPDATE_DOCS=1 cargo test -p modelgate documentation` writes the generated pages.

mod environment;
mod fences;
pub(crate) mod schemas;

use std::path::{Path, PathBuf};
use std::process::Command;

use modelgate_testing::TestProject;
use serde_json::Value;

use crate::BINARY;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Returns the lines of the `sh` blocks of a page, with the exit code that a comment promises.
fn commands(page: &str) -> Vec<(String, i32)> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside && !line.is_empty() => {
                let (command, comment) = line.split_once(" # ").unwrap_or((line, ""));
                let code =
                    comment.trim().strip_prefix("exits ").and_then(|code| code.parse().ok()).unwrap_or(0);
                found.push((command.trim().to_owned(), code));
            }
            _ => {}
        }
    }
    found
}

#[cfg(unix)]
#[track_caller]
pub(crate) fn runs(page: &str, project: &TestProject) {
    runs_with(page, project, &[]);
}

/// Runs the commands of a page, with these variables.
#[cfg(unix)]
#[track_caller]
pub(crate) fn runs_with(page: &str, project: &TestProject, variables: &[(&str, &str)]) {
    let text = fs_err::read_to_string(docs(page)).expect("the page");
    let found = commands(&text);
    assert!(!found.is_empty(), "{page} has no command");
    let folder = Path::new(BINARY).parent().expect("a folder").display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    for (command, code) in found {
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(project.path("."))
            .env("PATH", &path)
            .env("MODELGATE_ACTOR", "tester")
            .envs(variables.iter().copied())
            .output()
            .expect("sh");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{page}: `{command}`: {said}");
    }
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_tutorial_do_what_it_says() {
    let project = TestProject::example(BINARY, "breast-cancer", None);
    runs("first-steps.md", &project);
    runs("bring-your-own.md", &TestProject::new(BINARY));
    runs("governance.md", &TestProject::example(BINARY, "breast-cancer", None));
}

/// Commands that the documentation shows and no test runs, each with the reason; what begins a command is enough.
const NOT_RUN: [(&str, &str); 7] = [
    ("cargo run -- -C examples/breast-cancer run", "the last step of .ci/run types it in a fresh clone"),
    ("cargo test --workspace", "it is what runs this test"),
    ("cargo install --path crates/modelgate", "the tests run the binary that was built"),
    ("cargo run --release -p modelgate-pipeline --example gate_statistics", "it simulates for minutes"),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "it needs the feature `otlp` and a collector; the tests of traces have both",
    ),
    ("export MLFLOW_TRACKING_URI", "no server is at that address; the serving tests run a fake one"),
    ("modelgate serve --source mlflow", "no server is at that address; the serving tests run a fake one"),
];

/// Returns the blocks of `sh` of a page, a command that goes on after a backslash as one line.
fn blocks(page: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let (mut inside, mut open) = (false, false);
    for line in page.lines() {
        match line.trim() {
            "```sh" => {
                inside = true;
                found.push(Vec::new());
            }
            "```" => inside = false,
            line if inside && !line.is_empty() => {
                let block = found.last_mut().expect("a block has begun");
                let command = line.strip_suffix('\\').unwrap_or(line).to_owned();
                match block.last_mut().filter(|_| open) {
                    Some(before) => before.push_str(&command),
                    None => block.push(command),
                }
                open = line.ends_with('\\');
            }
            _ => {}
        }
    }
    found
}

/// A shell in a project, that services started by `modelgate serve` go on behind.
#[cfg(unix)]
struct Shell<'a> {
    project: &'a TestProject,
    folder: String,
    services: Vec<modelgate_testing::Service>,
    exports: Vec<(String, String)>,
}

#[cfg(unix)]
impl<'a> Shell<'a> {
    fn new(project: &'a TestProject) -> Self {
        Self { project, folder: ".".to_owned(), services: Vec::new(), exports: Vec::new() }
    }

    /// Runs a page's blocks but for those in [`NOT_RUN`]; a service gets a free port in place of 8080.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "what is left out is said where the test's output is read")]
    fn runs(&mut self, page: &str, text: &str) {
        let blocks = blocks(text);
        assert!(!blocks.is_empty(), "{page} has no command");
        for command in blocks.iter().flatten() {
            if let Some((_, why)) = NOT_RUN.iter().find(|(start, _)| command.starts_with(start)) {
                println!("NOT RUN: {page}: `{command}`: {why}");
                continue;
            }
            self.run(page, command);
        }
    }

    #[track_caller]
    fn run(&mut self, page: &str, line: &str) {
        let (command, comment) = line.split_once(" # ").unwrap_or((line, ""));
        let command = command.trim();
        let code = comment.trim().strip_prefix("exits ").and_then(|code| code.parse().ok()).unwrap_or(0);
        if let Some(folder) = command.strip_prefix("cd ") {
            folder.clone_into(&mut self.folder);
            return;
        }
        if let Some((name, value)) = command.strip_prefix("export ").and_then(|rest| rest.split_once('=')) {
            self.exports.push((name.to_owned(), value.to_owned()));
            return;
        }
        let binary = Path::new(BINARY).parent().expect("a folder").display();
        let path = format!("{binary}:{}", std::env::var("PATH").unwrap_or_default());
        let url = self.services.last().map(|service| service.url.clone()).unwrap_or_default();
        let at = url.trim_start_matches("http://");
        let command = command.replace("localhost:8080", at).replace("127.0.0.1:8080", at);
        let command =
            if command.starts_with("curl ") { format!("{command} -sS --fail-with-body") } else { command };
        let serves =
            command.contains("serve") && !command.contains("smoke") && command.starts_with("modelgate");
        let command = if serves { format!("exec {command} --port 0") } else { command };
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(self.project.path(&self.folder));
        shell.env("PATH", &path).env("MODELGATE_ACTOR", "tester");
        shell.envs(self.exports.iter().map(|(name, value)| (name, value)));
        if serves {
            self.services.push(modelgate_testing::Service::ready(shell));
            return;
        }
        let output = shell.output().expect("sh");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{page}: `{command}`: {said}");
    }
}

/// A clone as far as the commands of a page need it: the example in its place.
fn example_in_place() -> TestProject {
    let inner = TestProject::example(BINARY, "breast-cancer", None);
    let project = TestProject::new(BINARY);
    for file in ["modelgate.yaml", "data/raw/breast_cancer.csv"] {
        project.write(&format!("examples/breast-cancer/{file}"), inner.read(file));
    }
    project
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let text = fs_err::read_to_string(docs("../README.md")).expect("the page");
    let project = example_in_place();
    // The README has it typed with cargo.
    let _ = project.run(&["-C", "examples/breast-cancer", "run"]).exits(0);
    project.write("examples/breast-cancer/metrics.json", "{\"val_auc\": 0.93}");
    let git =
        Command::new("git").args(["init", "-q"]).current_dir(project.path("examples/breast-cancer")).status();
    assert!(git.expect("git").success());
    Shell::new(&project).runs("README.md", &text);
    assert!(project.path("examples/breast-cancer/.github/workflows").is_dir());
    assert!(project.path("examples/breast-cancer/gate.json").is_file());
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_page_on_serving_do_what_it_says() {
    let text = fs_err::read_to_string(docs("serving.md")).expect("the page");
    let project = example_in_place();
    let [inner, shop] = ["examples/breast-cancer", "shop"].map(|name| project.path(name));
    // The page asks a model called `shop`; its rows are these.
    let lines: String = (0..300)
        .map(|row| {
            let (age, region) = (20 + row % 50, ["south", "north"][row % 2]);
            format!("{age},{}.5,{region},{},{}\n", 1000 + row * 7 % 3000, row % 3 == 0, u8::from(age > 45))
        })
        .collect();
    let data = format!("age,income,region,member,bought\n{lines}");
    project.write("shop/data/holdout.csv", &data);
    project.write(
        "shop/modelgate.yaml",
        "version: 1\nproject: shop\npipelines:\n  shop:\n    task: classification\n    data: {source: data/holdout.csv, target: bought, types: {member: bool}}\n    train: {params: {n_estimators: 10}}\n    promotion: {approval: automatic}\n",
    );
    let _ = project.run(&["-C", "shop", "run"]).exits(0);
    let mut shell = Shell::new(&project);
    let mut seen = 0;
    for block in blocks(&text) {
        // Where a page says to be.
        let whole = block.join("\n");
        shell.folder = match () {
            () if whole.contains("/predict/shop") || whole.contains("holdout") => "shop".to_owned(),
            () => ".".to_owned(),
        };
        if shell.folder == "shop" && seen == 0 {
            shell.run("serving.md", "modelgate serve");
            seen += 1;
        }
        if whole.contains("/admin/reload") {
            // A service that knows the key, as the block sets it first.
            shell.run("serving.md", &block[0]);
            shell.run("serving.md", "modelgate -C examples/breast-cancer serve");
        }
        for command in &block {
            if let Some((_, why)) = NOT_RUN.iter().find(|(start, _)| command.starts_with(start)) {
                println!("NOT RUN: serving.md: `{command}`: {why}");
                continue;
            }
            let package = command.contains("--package");
            if package {
                shell.folder = "examples/breast-cancer".to_owned();
            }
            shell.run("serving.md", command);
            if package {
                shell.folder = ".".to_owned();
            }
        }
    }
    assert!(inner.is_dir() && shop.is_dir() && seen == 1);
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_pages_on_data_ci_and_statistics_do_what_they_say() {
    let page = |name: &str| fs_err::read_to_string(docs(name)).expect("the page");
    let project = TestProject::new(BINARY);
    let rows = |from: u32| -> String {
        let lines = (from..from + 200).map(|row| format!("{row},{},{}\n", row % 17, row % 2));
        format!("id,a,churned\n{}", lines.collect::<String>())
    };
    for (name, from) in [("old.csv", 0), ("new.csv", 20), ("data/churn.csv", 0)] {
        project.write(name, rows(from));
    }
    let init = ["init", "--source", "data/churn.csv", "--target", "churned", "--name", "churn"];
    let _ = project.run(&init).exits(0);
    // A branch to compare with.
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(project.path("."))
            .output()
            .expect("git");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let _ = project.run(&["data", "snapshot"]).exits(0);
    project.write("data/images/one.png", "one");
    let _ = project.run(&["data", "snapshot", "data/images"]).exits(0);
    project.write("data/images/two.png", "two");
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    Shell::new(&project).runs("data.md", &page("data.md"));
    assert!(project.path("profile.html").is_file());
    Shell::new(&project).runs("ci.md", &page("ci.md"));
    Shell::new(&project).runs("gate-statistics.md", &page("gate-statistics.md"));
}

/// Pages whose commands are typed by another file of the tests: `ci/tutorial.rs`, `deploy/`, `train_command.rs`, and
/// `serving/rollout/page.rs`, which asks the service meanwhile.
const RUN_ELSEWHERE: [&str; 4] = ["tutorial.md", "deploy.md", "migrate.md", "rollout.md"];

#[test]
fn every_page_with_commands_is_run() {
    let own = include_str!("documentation.rs");
    for page in ["", "reference/", "performance/", "decisions/"] {
        for entry in fs_err::read_dir(docs(page)).expect("docs") {
            let name = format!("{page}{}", entry.expect("entry").file_name().to_string_lossy());
            if Path::new(&name).extension().is_none_or(|end| end != "md") {
                continue;
            }
            let text = fs_err::read_to_string(docs(&name)).expect("a page");
            // Those of a benchmark take too long.
            let benched = name.starts_with("performance/");
            assert!(
                blocks(&text).is_empty()
                    || benched
                    || RUN_ELSEWHERE.contains(&name.as_str())
                    || own.contains(&format!("\"{name}\"")),
                "no test runs the commands of {name}"
            );
        }
    }
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let summary = fs_err::read_to_string(docs("SUMMARY.md")).expect("the summary");
    let mut linked = Vec::new();
    for part in summary.split("](").skip(1) {
        let name = part.split(')').next().expect("a link");
        assert!(docs(name).is_file(), "{name}");
        linked.push(name.to_owned());
    }
    let mut pages = Vec::new();
    for folder in ["", "reference/", "runbooks/", "decisions/", "performance/"] {
        for entry in fs_err::read_dir(docs(folder)).expect("docs") {
            let name = format!("{folder}{}", entry.expect("entry").file_name().to_string_lossy());
            let page = Path::new(&name).extension().is_some_and(|end| end == "md") && name != "SUMMARY.md";
            assert!(!page || linked.contains(&name), "{name} is not in SUMMARY.md");
            if page {
                pages.push(name);
            }
        }
    }
    for name in pages {
        let text = fs_err::read_to_string(docs(&name)).expect("a page");
        // What is in a block of code is no link.
        let text: String = text.split("```").step_by(2).collect();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http://") || link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                docs(&name)
            } else {
                docs(&name).parent().expect("a folder").join(file)
            };
            assert!(target.is_file(), "{name}: `{link}` leads nowhere");
            let below = target.canonicalize().expect("a file");
            assert!(
                below.starts_with(docs("").canonicalize().expect("docs")),
                "{name}: `{link}` leads out of the book"
            );
            let page = fs_err::read_to_string(&target).expect("a page");
            let heads = page.lines().filter(|line| line.starts_with('#')).map(slug);
            assert!(
                anchor.is_empty() || heads.into_iter().any(|head| head == anchor),
                "{name}: no `#{anchor}`"
            );
        }
    }
}

/// The anchor that mdBook gives a heading.
fn slug(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | ' ');
    let text: String = heading.trim_start_matches('#').trim().chars().filter(kept).collect();
    text.to_lowercase().replace(' ', "-")
}

#[test]
fn the_reference_of_exit_codes_is_fresh() {
    let source = include_str!("../../src/exit.rs");
    let body =
        source.split("enum Exit {").nth(1).and_then(|rest| rest.split("\n}").next()).expect("the codes");
    let (mut page, mut said) = (
        String::from(
            "# Exit codes\n\nGenerated from `crates/modelgate/src/exit.rs`.\n\n| code | meaning |\n|---:|---|\n",
        ),
        String::new(),
    );
    for line in body.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            said = format!("{said} {words}").trim().to_owned();
        } else if let Some((_, code)) = line.trim_end_matches(',').split_once(" = ") {
            page.push_str(&format!("| {code} | {} |\n", said.trim_end_matches('.')));
            said.clear();
        }
    }
    assert_eq!(page.matches("\n| ").count(), 8, "{page}");
    fresh("reference/exit-codes.md", &page);
}

#[test]
fn the_reference_of_metrics_is_fresh() {
    use modelgate_core::metric::{
        CLASSIFICATION, Direction, OTHERS, REGRESSION, ROLLOUT, direction, meaning,
    };
    let mut page = String::from(
        "# Metrics\n\nGenerated from `crates/modelgate-core/src/metric.rs`. Each equals scikit-learn 1.9.1 to 1e-12 on the stored cases of\n`crates/modelgate-evaluate/tests/reference/`, those of each class too.\n",
    );
    let better = |name: &str| match direction(name) {
        Some(Direction::LowerIsBetter) => "lower",
        _ => "higher",
    };
    for (title, names) in [("classification", &CLASSIFICATION[..]), ("regression", &REGRESSION[..])] {
        page.push_str(&format!("\n## Of a {title}\n\n| name | scikit-learn | better |\n|---|---|---|\n"));
        for name in names {
            page.push_str(&format!("| `{name}` | {} | {} |\n", meaning(name), better(name)));
        }
    }
    page.push_str(
        "\nA model that is trained for a quantile has the figure of its own besides, such as `pinball_75`.\n\nA figure that is undefined is null, with the reason beside it; a rule on it is inconclusive. So is one on fewer than ten rows,\nunless `min_samples` says that they are enough.\n\n## What else a rule can be on\n\n| name | what |\n|---|---|\n",
    );
    for (name, what) in OTHERS {
        page.push_str(&format!("| `{name}` | {what} |\n"));
    }
    page.push_str("\n## What a rollout is judged by\n\n| name | what | better |\n|---|---|---|\n");
    for (name, what) in ROLLOUT {
        page.push_str(&format!("| `{name}` | {what} | {} |\n", better(name)));
    }
    fresh("reference/metrics.md", &page);
}

#[test]
fn the_reference_of_files_names_what_a_run_leaves() {
    let project = TestProject::example(BINARY, "breast-cancer", None);
    let _ = project.run(&["run"]).exits(0);
    let page = fs_err::read_to_string(docs("reference/files.md")).expect("the page");
    let mut missing = Vec::new();
    for entry in fs_err::read_dir(project.path("outputs/breast-cancer")).expect("outputs") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = entry.path().is_dir();
        let named = if folder { format!("{name}/") } else { format!("`{name}`") };
        if !page.contains(&named) {
            missing.push(named);
        }
    }
    assert!(missing.is_empty(), "docs/reference/files.md does not name {missing:?}");
}

/// Holds a generated page against what is stored, or writes it.
#[track_caller]
fn fresh(name: &str, text: &str) {
    let path = docs(name);
    if std::env::var_os("MODELGATE_UPDATE_DOCS").is_some() {
        fs_err::write(&path, text).expect("written");
    }
    let stored = fs_err::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(
        stored == text,
        "docs/{name} is stale: MODELGATE_UPDATE_DOCS=1 cargo test -p modelgate documentation"
    );
}

fn help(arguments: &[&str]) -> String {
    let output =
        Command::new(BINARY).args(arguments).arg("--help").env("COLUMNS", "100").output().expect("started");
    let text = String::from_utf8(output.stdout).expect("UTF-8").replace(".exe", "");
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn describe(path: &[&str], page: &mut String) {
    let text = help(path);
    let level = "#".repeat(path.len() + 1);
    page.push_str(&format!("\n{level} modelgate {}\n\n```text\n{}```\n", path.join(" "), text));
    let below = text.split("Commands:\n").nth(1).unwrap_or_default();
    for line in below.lines().take_while(|line| line.starts_with("  ")) {
        let Some(name) = line.split_whitespace().next().filter(|_| !line.starts_with("   ")) else {
            continue;
        };
        if name != "help" {
            let mut inner = path.to_vec();
            inner.push(name);
            describe(&inner, page);
        }
    }
}

#[test]
fn the_reference_of_the_command_line_is_fresh() {
    let mut page = String::from("# Command line\n\nGenerated from the binary's own help.\n");
    let text = help(&[]);
    page.push_str(&format!("\n```text\n{text}```\n"));
    for line in
        text.split("Commands:\n").nth(1).unwrap_or_default().lines().take_while(|line| line.starts_with("  "))
    {
        let Some(name) = line.split_whitespace().next().filter(|_| !line.starts_with("   ")) else {
            continue;
        };
        if name != "help" {
            describe(&[name], &mut page);
        }
    }
    fresh("reference/cli.md", &page);
}

fn kind(schema: &Value, whole: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        let found = &whole["$defs"][name];
        return if found["properties"].is_object() { "object".to_owned() } else { kind(found, whole) };
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .map(|value| format!("`{}`", value.as_str().unwrap_or("?")))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    if let Some(value) = schema["const"].as_str() {
        return format!("`{value}`");
    }
    for list in ["oneOf", "anyOf"] {
        if let Some(kinds) = schema[list].as_array() {
            let kinds: Vec<String> = kinds
                .iter()
                .filter(|found| found["type"] != "null")
                .map(|found| kind(found, whole))
                .collect();
            return kinds.join(" or ");
        }
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"], whole)),
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> =
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            names.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn section(title: &str, schema: &Value, whole: &Value, page: &mut String) {
    let text = |value: &Value| value["description"].as_str().unwrap_or_default().replace(['\n', '|'], " ");
    page.push_str(&format!(
        "\n## {title}\n\n{}\n\n| key | type | default | what |\n|---|---|---|---|\n",
        text(schema)
    ));
    let empty = serde_json::Map::new();
    for (name, value) in schema["properties"].as_object().unwrap_or(&empty) {
        let required =
            schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name));
        let default = match &value["default"] {
            _ if required => "required".to_owned(),
            Value::Null => "–".to_owned(),
            Value::Object(_) => "see below".to_owned(),
            other => format!("`{other}`"),
        };
        page.push_str(&format!("| `{name}` | {} | {default} | {} |\n", kind(value, whole), text(value)));
    }
}

#[test]
fn the_reference_of_the_configuration_is_fresh() {
    let output = Command::new(BINARY).args(["config", "schema"]).output().expect("started");
    let schema: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut page = String::from(
        "# Configuration\n\nGenerated from the JSON schema, which `modelgate config schema` prints. Unknown keys are errors.\n",
    );
    section("modelgate.yaml", &schema, &schema, &mut page);
    let empty = serde_json::Map::new();
    for (name, inner) in schema["$defs"].as_object().unwrap_or(&empty) {
        if inner["properties"].is_object() {
            section(name.trim_end_matches("Config"), inner, &schema, &mut page);
        }
    }
    fresh("reference/configuration.md", &page);
}
