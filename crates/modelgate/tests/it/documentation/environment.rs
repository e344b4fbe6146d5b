//! The page of environment variables is that of the list in `modelgate-config`, and the list is that of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use modelgate_config::variables::{GROUPS, REFUSED, Variable};

use super::fresh;

fn listed() -> BTreeMap<&'static str, &'static Variable> {
    let all: Vec<&Variable> = GROUPS.iter().flat_map(|group| group.variables).collect();
    let found: BTreeMap<&str, &Variable> = all.iter().map(|variable| (variable.name, *variable)).collect();
    assert_eq!(found.len(), all.len(), "a variable is listed twice");
    found
}

/// Words of the code that look like the name of a variable that is read, and are none; the beginning is enough.
const NO_VARIABLES: [(&str, &str); 16] = [
    ("BRANCH_", "how trees of ONNX compare"),
    ("RUNNING_", "what the Hub says of a Space"),
    ("APP_STARTING", "what the Hub says of a Space"),
    ("OWN_ENV", "a place in a template"),
    ("MODELGATE_SIGNING_KEY", "the name of a secret, which a step of a workflow writes into a file"),
    ("AWS_READ_", "the names of secrets, which steps of a workflow get as the keys"),
    ("LC_ALL", "set for git, so that it speaks English"),
    ("GIT_DIR", "taken from git, which is told the folder"),
    ("GIT_WORK_TREE", "taken from git, which is told the folder"),
    ("GIT_COMMON_DIR", "taken from git, which is told the folder"),
    ("GIT_OBJECT_DIRECTORY", "taken from git, which is told the folder"),
    ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "taken from git, which is told the folder"),
    ("GIT_NAMESPACE", "taken from git, which is told the folder"),
    ("GIT_PREFIX", "taken from git, which is told the folder"),
    ("GIT_INDEX_FILE", "set for git, which makes a commit beside the person's own index"),
    ("GIT_TERMINAL_PROMPT", "set for git, which must not wait for a person"),
];

/// Variables that a library reads.
const BY_LIBRARIES: [&str; 1] = ["NO_COLOR"];

/// Returns the Rust files below `folder`.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Returns the code that is shipped, without comments, tests and the list itself, by file.
fn code() -> BTreeMap<PathBuf, String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for entry in fs_err::read_dir(&crates).expect("crates") {
        let folder = entry.expect("an entry").path();
        if folder.join("src").is_dir() && !folder.ends_with("modelgate-testing") {
            files(&folder.join("src"), &mut found);
        }
    }
    assert!(found.len() > 200, "{} files", found.len());
    let read = |path: PathBuf| {
        let text = fs_err::read_to_string(&path).expect("a file");
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        (path, lines.join("\n"))
    };
    let list = crates.join("modelgate-config").join("src").join("variables");
    let is_list = |path: &Path| path.with_extension("") == list || path.starts_with(&list);
    found.into_iter().filter(|path| !is_list(path)).map(read).collect()
}

/// Returns what of a text of the code looks like a name: whole words in quotes, and beginnings of texts that are put
/// together, which end with `_`.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let mut found = BTreeSet::new();
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('"') {
        let rest = &bytes[at + 1..];
        let length = rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len());
        let name = &text[at + 1..at + 1 + length];
        if !name.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            continue;
        }
        let before = text[..at].trim_end();
        // What is known while it is built is no variable of who uses it.
        if before.ends_with("env!(") {
            continue;
        }
        let asked =
            ["env =", "variable(", "environment(", "var(", "var_os("].iter().any(|one| before.ends_with(one));
        match rest.get(length) {
            Some(b'"') if name.ends_with('_') => found.insert(name.to_owned()),
            Some(b'"') if name.contains('_') || asked => found.insert(name.to_owned()),
            Some(b'{') if name.ends_with('_') => found.insert(name.to_owned()),
            _ => continue,
        };
    }
    found
}

#[test]
fn every_variable_of_the_code_is_in_the_list() {
    let (listed, code) = (listed(), code());
    let refused: Vec<&str> = REFUSED.iter().map(|(name, _)| *name).collect();
    let mut excused = BTreeSet::new();
    let mut unknown = Vec::new();
    for (path, text) in &code {
        for name in names(text) {
            let excuse = NO_VARIABLES.iter().find(|(start, _)| name.starts_with(start));
            excused.extend(excuse.map(|(start, _)| *start));
            // What is put together has beginnings and ends.
            let is_part = |known: &&str| {
                (name.ends_with('_') && known.starts_with(&name)) || known.ends_with(&format!("_{name}"))
            };
            let known = listed.contains_key(name.as_str()) || refused.contains(&name.as_str());
            if !known && excuse.is_none() && !listed.keys().any(is_part) {
                unknown.push(format!("{name} in {}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "crates/modelgate-config/src/variables.rs does not list {unknown:#?}");
    let stale: Vec<&str> =
        NO_VARIABLES.iter().map(|(start, _)| *start).filter(|start| !excused.contains(start)).collect();
    assert!(stale.is_empty(), "nothing looks like {stale:?} any more");
}

#[test]
fn every_variable_of_the_list_is_in_the_code() {
    let code: String = code().into_values().collect();
    let has = |word: &str| code.contains(&format!("\"{word}\""));
    for name in listed().keys().filter(|name| !BY_LIBRARIES.contains(name)) {
        let whole = has(name);
        let put_together = ["MODELGATE_LOKI_", "MLFLOW_TRACKING_", "MODELGATE_"].iter().any(|start| {
            let end = name.strip_prefix(start);
            end.is_some_and(|end| {
                code.contains(&format!("\"{start}{{")) && (has(end) || has(&end.to_lowercase()))
            })
        });
        assert!(whole || put_together, "{name} is listed and nothing reads it");
    }
}

#[test]
fn the_list_has_the_defaults_and_ranges_of_the_flags() {
    let listed = listed();
    let mut compared = 0;
    for (path, text) in
        code().iter().filter(|(path, _)| path.components().any(|part| part.as_os_str() == "arguments"))
    {
        for attribute in text.split("#[arg(").skip(1).filter_map(|rest| rest.split(")]\n").next()) {
            let after = |start: &str| attribute.split(start).nth(1);
            let Some(name) = after("env = \"").and_then(|rest| rest.split('"').next()) else { continue };
            let variable =
                listed.get(name).unwrap_or_else(|| panic!("{name} of {} is not listed", path.display()));
            let number = |text: &str| text.replace('_', "").trim().to_owned();
            let default = after("default_value_t = ").and_then(|rest| rest.split(',').next()).map(number);
            let default =
                default.or_else(|| Some(after("default_value = \"")?.split('"').next()?.to_owned()));
            if let Some(default) = default {
                assert_eq!(variable.default, default, "the default of {name}");
                compared += 1;
            } else {
                let bare = variable.default.parse::<f64>().is_ok();
                assert!(!bare, "{name} has no default, and the list says {}", variable.default);
            }
            if let Some(range) = after(".range(").and_then(|rest| rest.split(')').next()) {
                let (low, high) = range.split_once("..=").expect("a range with two ends");
                assert_eq!(
                    variable.range,
                    format!("{} to {}", number(low), number(high)),
                    "the range of {name}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "{compared}");
}

/// What the page says of a file of variables.
const FILE: &str = r#"
## The file `.env`

Every command reads the file `.env` beside `modelgate.yaml`, where there is no project that of the folder it works in. The environment
goes before it, also with a variable that is empty there. One line is one variable:

```text
# what begins with this sign is a comment
PORT=8081
ADMIN_API_TOKEN='a $ecret # with signs'
export MODELGATE_SERVE={"out_of_range": "reject"}
```

Nothing in a value stands for another variable. Between `'` a value is what stands there; between `"` there are `\n`, `\r`, `\t`, `\"`, `\$` and
`\\`; without them it ends at a `#` behind a blank, or with the line. Keep the file from git: it is as good as the settings in `modelgate.yaml`, and
it holds secrets.

Other programs may have lines of theirs there, in forms of their own: they are passed over. A line of a variable that is taken from there and
has not this form, such as `PORT: 8081`, ends the command with exit code 64, with the file and the line's number, and no value is ever shown; an error
about a value says in which line of the file it stands. A quotation mark of others that has no end is warned of, since what follows is
doubtful. So is a file that may not be read or is no text in UTF-8; `modelgate serve` does not start then, since it may hold the keys of its callers.

`HOST` and `PORT` are taken too, and `modelgate serve` says so when it starts: where the file is that of another server, `--host` and `--port`
or the environment go before it. The names of the last table are not refused there, since they are another program's: the service says what takes
their place here.

The program of `train.command` is given what was taken from the file (a key of a bucket, `HF_TOKEN`), but for the secrets of the service:
`ADMIN_API_TOKEN`, `MODELGATE_API_KEYS`, `MODELGATE_API_KEY`, `MODELGATE_LOKI_PASSWORD` and the headers of `OTEL_`. In what it prints the values of
secrets that modelgate knows, from wherever they are, stand as `***`.

Taken are those of these sections: "#;

#[test]
fn the_reference_of_environment_variables_is_fresh() {
    let cell = |text: &str| match text {
        "" => "–".to_owned(),
        text if text.contains(['`', ' ']) => text.replace('|', "\\|"),
        text => format!("`{text}`"),
    };
    let words = |text: &str| if text.is_empty() { "–".to_owned() } else { text.replace('|', "\\|") };
    let mut page = String::from(
        "# Environment variables\n\nGenerated from `crates/modelgate-config/src/variables.rs`. A number of the service, or of modelgate's own, that is\noutside its range ends the command with exit code 64.\n",
    );
    let in_file: Vec<&str> = GROUPS.iter().filter(|group| group.in_file).map(|group| group.title).collect();
    page.push_str(&format!("{FILE}{}.\n", in_file.join(" · ")));
    for group in GROUPS {
        page.push_str(&format!("\n## {}\n\n", group.title));
        if !group.about.is_empty() {
            page.push_str(&format!("{}\n\n", group.about));
        }
        page.push_str(
            "| variable | what | default | what it may be | required when |\n|---|---|---|---|---|\n",
        );
        for variable in group.variables {
            page.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                variable.name,
                words(variable.what),
                cell(variable.default),
                words(variable.range),
                words(variable.required)
            ));
        }
    }
    page.push_str(
        "\n## Refused\n\nOther services know these; `modelgate serve` does not start while one is set in the environment.\n\n| variable | what takes its place |\n|---|---|\n",
    );
    for (name, instead) in REFUSED {
        page.push_str(&format!("| `{name}` | {instead} |\n"));
    }
    fresh("reference/environment.md", &page);
}
