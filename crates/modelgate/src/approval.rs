//! Asking a person on the terminal.

use std::io::{BufRead, Write};

use modelgate_core::verdict::figure;
use modelgate_pipeline::{ApprovalAnswer, ApprovalRequest, Approver};

use crate::printer::Printer;

/// Asks on the terminal, when there is one.
pub(crate) struct TerminalApprover<'a> {
    pub(crate) printer: &'a Printer,
}

impl Approver for TerminalApprover<'_> {
    fn is_there(&self) -> bool {
        self.printer.has_terminal()
    }

    fn ask(&mut self, request: &ApprovalRequest) -> ApprovalAnswer {
        if !self.is_there() {
            return ApprovalAnswer::Nobody;
        }
        ask(request, &mut std::io::stdin().lock(), &mut anstream::stderr().lock())
    }
}

/// Shows what is to be approved and reads an answer; the end of the input is no answer.
pub(crate) fn ask(
    request: &ApprovalRequest,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> ApprovalAnswer {
    let mut say = |text: &str| {
        // A terminal that is gone gives no answer either.
        let _ = write!(output, "{text}");
        let _ = output.flush();
    };
    say(&summary(request));
    let mut read = || {
        let mut line = String::new();
        match input.read_line(&mut line) {
            Ok(length) if length > 0 => Some(line.trim().to_owned()),
            _ => None,
        }
    };
    loop {
        say("approve, reject or cancel? [a/r/c] ");
        match read().as_deref() {
            Some("a" | "approve") => {
                say("reason (may be empty): ");
                // An empty line is an empty reason; a terminal that is gone, or the end of the input, is no yes.
                return read().map_or(ApprovalAnswer::Cancel, ApprovalAnswer::Approve);
            }
            Some("r" | "reject") => loop {
                say("reason: ");
                match read() {
                    Some(reason) if !reason.is_empty() => return ApprovalAnswer::Reject(reason),
                    Some(_) => say("a rejection needs a reason\n"),
                    None => return ApprovalAnswer::Cancel,
                }
            },
            Some("c" | "cancel") | None => return ApprovalAnswer::Cancel,
            Some(_) => say("please answer a, r or c\n"),
        }
    }
}

/// Returns what a person sees before the question.
pub(crate) fn summary(request: &ApprovalRequest) -> String {
    let against = request.production.map_or_else(
        || "nothing is in production yet: this is the first model".to_owned(),
        |version| format!("in production is {version}"),
    );
    let mut text = format!(
        "\n{} {} (sha256:{})\nverdict: {} – {}\n{against}\n",
        request.model,
        request.version,
        request.digest.short(),
        request.verdict,
        request.sentence
    );
    for rule in &request.rules {
        text.push_str(&format!("  {rule}\n"));
    }
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figure);
    text.push_str(&format!("  {:<18} {:>12} {:>12} {:>10}\n", "metric", "candidate", "production", "change"));
    for row in &request.metrics {
        let change = match (row.candidate, row.production) {
            (Some(candidate), Some(production)) => format!("{:+.4}", candidate - production),
            _ => "–".to_owned(),
        };
        text.push_str(&format!(
            "  {:<18} {:>12} {:>12} {change:>10}\n",
            row.metric,
            shown(row.candidate),
            shown(row.production)
        ));
    }
    if let (Some(why), Some(version)) = (request.other_rows, request.production) {
        text.push_str(&format!(
            "the figures of {version} are of {why} and say nothing beside these; rules with `versus: production` ask both \
             about the same rows\n"
        ));
    }
    text.push_str("no drift data\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelgate_core::{Digest, Verdict, VersionNumber};
    use modelgate_pipeline::MetricDifference;

    fn request() -> ApprovalRequest {
        ApprovalRequest {
            model: "churn".parse().expect("name"),
            version: VersionNumber(2),
            digest: Digest::of(b"x"),
            verdict: Verdict::Passed,
            sentence: "all 2 rules that apply hold".to_owned(),
            production: Some(VersionNumber(1)),
            rules: vec!["passed min-f1: f1 is 0.9".to_owned()],
            other_rows: None,
            metrics: vec![MetricDifference {
                metric: "f1".to_owned(),
                candidate: Some(0.9),
                production: Some(0.8),
            }],
        }
    }

    fn answer(typed: &str) -> (ApprovalAnswer, String) {
        let mut output = Vec::new();
        let answer = ask(&request(), &mut typed.as_bytes(), &mut output);
        (answer, String::from_utf8(output).expect("text"))
    }

    #[test]
    fn a_person_sees_the_rules_the_difference_and_what_is_not_known() {
        let (found, shown) = answer("a\nlooks good\n");
        assert_eq!(found, ApprovalAnswer::Approve("looks good".to_owned()));
        assert_eq!(answer("a\n\n").0, ApprovalAnswer::Approve(String::new()));
        for part in
            ["churn v002", "in production is v001", "+0.1000", "passed min-f1: f1 is 0.9", "no drift data"]
        {
            assert!(shown.contains(part), "{part} not in {shown}");
        }
        assert!(!shown.contains("say nothing beside these"), "{shown}");
    }

    #[test]
    fn figures_of_other_rows_stand_alone() {
        let mut other = ApprovalRequest { other_rows: Some("different data"), ..request() };
        other.metrics[0].production = None;
        let shown = summary(&other);
        assert!(shown.contains("the figures of v001 are of different data"), "{shown}");
        assert!(!shown.contains("0.8") && !shown.contains("+0.1"), "{shown}");
    }

    #[test]
    fn a_rejection_needs_a_reason() {
        let (found, shown) = answer("x\nr\n\nbiased\n");
        assert_eq!(found, ApprovalAnswer::Reject("biased".to_owned()));
        assert!(shown.contains("please answer") && shown.contains("needs a reason"), "{shown}");
    }

    #[test]
    fn cancelling_and_the_end_of_the_input_decide_nothing() {
        for typed in ["c\n", "", "r\n", "a\n"] {
            assert_eq!(answer(typed).0, ApprovalAnswer::Cancel, "{typed:?}");
        }
    }
}
