//! The report of a run that its data contract stopped.

use modelgate_data::contract::{ContractReport, Violation};

use super::escape::markdown_of_sentence;
use crate::outputs::cell;

/// Returns `report.md` of a run that its contract stopped: where the rows are, and nothing of what they hold.
pub fn contract_report(pipeline: &str, report: &ContractReport) -> String {
    let mut text = format!(
        "# {}: blocked by the data contract\n\n{}. Nothing was trained.\n\n",
        cell(pipeline),
        markdown_of_sentence(&report.summary())
    );
    text.push_str(&violations(report, usize::MAX));
    text.push_str("\n`modelgate data validate` shows what stands in these rows, where the data is.\n");
    text
}

/// Returns where the first rows are that break a rule.
pub(super) fn places(report: &ContractReport, violation: &Violation) -> Vec<String> {
    let rows = violation.rows.iter().take(3).map(|row| {
        let place = row.line.map_or_else(|| format!("row {}", row.row), |line| format!("line {line}"));
        if report.files.len() > 1 { format!("{}, {place}", row.file) } else { place }
    });
    rows.collect()
}

/// Returns the table of the rules that are broken, with the places of the first rows of each; of `most` of them.
pub(super) fn violations(report: &ContractReport, most: usize) -> String {
    let mut text = String::from("| severity | rule | what is wrong | first rows |\n|---|---|---|---|\n");
    for violation in report.violations.iter().take(most) {
        let rows: Vec<String> = places(report, violation).iter().map(|place| cell(place)).collect();
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            violation.severity.as_str(),
            cell(&violation.id),
            markdown_of_sentence(&violation.message),
            rows.join("<br>")
        ));
    }
    text
}
