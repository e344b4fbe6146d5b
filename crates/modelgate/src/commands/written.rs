//! What is said of files that were made for a repository, and would be with `--check`.

use modelgate_deploy::workflows::{Outcome, Written};
use serde_json::json;

use crate::printer::Printer;

/// Says what became of each file, and how it differs from what would be written; `edited` and `foreign` are why one is kept
/// that was written here, and one that was not.
pub(super) fn tell(
    written: &[Written],
    check: bool,
    (edited, foreign): (&str, &str),
    printer: &Printer,
) -> anyhow::Result<()> {
    if printer.is_json() {
        let files: Vec<_> = written
            .iter()
            .map(|one| json!({ "path": one.path, "outcome": format!("{:?}", one.outcome).to_lowercase(), "diff": one.diff }))
            .collect();
        printer.json(&json!({ "schema_version": 1, "files": files }))?;
    }
    for one in written {
        let path = one.path.display();
        let sentence = match (one.outcome, check) {
            (Outcome::Same, _) => continue,
            (Outcome::Created, false) => format!("wrote {path}"),
            (Outcome::Created, true) => format!("{path} is missing"),
            (Outcome::Replaced, false) => format!("wrote {path} again; nobody had edited it"),
            (Outcome::Overwritten, _) => format!("overwrote {path}, which was edited"),
            (Outcome::Foreign, false) => format!("{path} {foreign} and stays; `--force` would change it so:"),
            (Outcome::Kept, false) => format!("{path} {edited} and stays; `--force` would change it so:"),
            (_, true) => format!("{path} differs:"),
        };
        printer.talk(&sentence);
        let shown = matches!(one.outcome, Outcome::Kept | Outcome::Foreign) || check;
        if shown && !printer.is_json() && !one.diff.is_empty() {
            printer.data(one.diff.trim_end())?;
        }
    }
    Ok(())
}
