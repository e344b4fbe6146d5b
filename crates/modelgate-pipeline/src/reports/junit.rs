//! The verdict as `JUnit` XML: a test case per rule.

use std::fmt::Write as _;

use modelgate_core::verdict::{GateVerdict, Outcome};

use super::escape::xml;
use crate::options::StageWarning;

/// Returns the document; `suite` names the gate, `at` is when it was judged, RFC 3339 in UTC. Warnings are properties, and stand
/// behind the sentence of the verdict.
///
/// A failed rule is a failure, an inconclusive one an error, one that does not apply is skipped.
pub fn junit(verdict: &GateVerdict, warnings: &[StageWarning], suite: &str, at: &str) -> String {
    let count = |outcome| verdict.rules.iter().filter(|rule| rule.outcome == outcome).count();
    let (failed, unsure) = (count(Outcome::Failed), count(Outcome::Inconclusive));
    // The form has no place for a zone or fractions.
    let at: String = at.chars().take(19).collect();
    let suite = xml(suite);
    let mut page = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        page,
        "  <testsuite name=\"{suite}\" tests=\"{}\" failures=\"{failed}\" errors=\"{unsure}\" skipped=\"{}\" time=\"0\" timestamp=\"{}\" hostname=\"localhost\">",
        verdict.rules.len(),
        count(Outcome::NotApplicable),
        xml(&at)
    );
    if warnings.is_empty() {
        page.push_str("    <properties/>\n");
    } else {
        page.push_str("    <properties>\n");
        for found in warnings {
            let _ = writeln!(
                page,
                "      <property name=\"warning.{}\" value=\"{}\"/>",
                found.stage,
                xml(&found.warning)
            );
        }
        page.push_str("    </properties>\n");
    }
    for rule in &verdict.rules {
        let sentence = xml(&rule.sentence);
        let _ = write!(page, "    <testcase classname=\"{suite}\" name=\"{}\" time=\"0\">", xml(&rule.id));
        let _ = match rule.outcome {
            Outcome::Passed => Ok(()),
            Outcome::Failed => {
                write!(page, "<failure type=\"failed\" message=\"{sentence}\">{sentence}</failure>")
            }
            Outcome::Inconclusive => {
                write!(page, "<error type=\"inconclusive\" message=\"{sentence}\">{sentence}</error>")
            }
            Outcome::NotApplicable => write!(page, "<skipped/>"),
        };
        page.push_str("</testcase>\n");
    }
    let told: String =
        warnings.iter().map(|found| format!("\nwarning: {}", xml(&found.to_string()))).collect();
    let _ = writeln!(
        page,
        "    <system-out>{}{told}</system-out>\n    <system-err/>\n  </testsuite>\n</testsuites>",
        xml(&verdict.sentence)
    );
    page
}
