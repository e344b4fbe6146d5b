//! The documentation: its commands run, and its generated pages are those of this binary.
//!
//! `MODELGATE_UPDATE_DOCS=1 cargo test -p modelgate documentation` writes the generated pages.

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
fn runs(page: &str, project: &TestProject) {
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
    runs("tutorial.md", &project);
    runs("bring-your-own.md", &TestProject::new(BINARY));
    runs("governance.md", &TestProject::example(BINARY, "breast-cancer", None));
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
    for folder in ["", "reference/"] {
        for entry in fs_err::read_dir(docs(folder)).expect("docs") {
            let name = format!("{folder}{}", entry.expect("entry").file_name().to_string_lossy());
            let page = Path::new(&name).extension().is_some_and(|end| end == "md") && name != "SUMMARY.md";
            assert!(!page || linked.contains(&name), "{name} is not in SUMMARY.md");
        }
    }
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
