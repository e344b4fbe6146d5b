//! A command that a page shows is a command that a test runs, whatever its block is called.

use std::path::{Path, PathBuf};

/// Commands in blocks that are not `sh`, which are run nowhere, each with the reason: page, beginning, reason.
const SHOWN: [(&str, &str, &str); 0] = [];

/// Returns the lines of blocks that are not `sh` and call modelgate.
fn hidden(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut inside: Option<&str> = None;
    for line in page.lines().map(str::trim) {
        match (line.strip_prefix("```"), inside) {
            (Some(kind), None) => inside = Some(kind.trim()),
            (Some(_), Some(_)) => inside = None,
            (None, Some(kind)) if kind != "sh" && line.starts_with("modelgate ") => found.push(line),
            _ => {}
        }
    }
    assert_eq!(inside, None, "a block has no end");
    found
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

#[test]
fn a_command_in_any_other_block_is_found() {
    let page = "x\n```text\nmodelgate a\n  modelgate b\nsays modelgate c\n```\n```sh\nmodelgate d\n```\nmodelgate e\n\
                   - a list\n  ```\n  modelgate f\n  ```\n```console\nmodelgate g\n```\n";
    assert_eq!(hidden(page), ["modelgate a", "modelgate b", "modelgate f", "modelgate g"]);
}

#[test]
fn every_command_of_modelgate_stands_in_a_block_that_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = vec![root.join("README.md"), root.join("CONTRIBUTING.md"), root.join("ARCHITECTURE.md")];
    pages(&root.join("docs"), &mut found);
    pages(&root.join("examples"), &mut found);
    let mut excused = Vec::new();
    let mut wrong = Vec::new();
    for path in found {
        let name = path.strip_prefix(&root).expect("below").display().to_string().replace('\\', "/");
        // The binary's own help.
        if name == "docs/reference/cli.md" {
            continue;
        }
        let text = fs_err::read_to_string(&path).expect("a page");
        for line in hidden(&text) {
            match SHOWN.iter().position(|(page, start, _)| *page == name && line.starts_with(start)) {
                Some(at) => excused.push(at),
                None => wrong.push(format!("{name}: {line}")),
            }
        }
    }
    assert!(wrong.is_empty(), "not in a block of `sh`, so no test runs it: {wrong:#?}");
    for (at, (page, start, reason)) in SHOWN.iter().enumerate() {
        assert!(excused.contains(&at), "{page} no longer shows `{start}` ({reason})");
    }
}
