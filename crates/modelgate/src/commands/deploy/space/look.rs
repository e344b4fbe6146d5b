//! A Space, looked at from outside: what it shows, and whether that says anything about the version.
//!
//! Only an answer of the package itself can say no to it. A Space that is not reached, wants a key that is not here, is in
//! trouble or still serves another package shows nothing of it: that is inconclusive, and takes no version back.

use std::time::{Duration, Instant};

use modelgate_core::{Digest, Verdict};
use modelgate_deploy::hub::Repository;
use modelgate_serve::settings::Secret;
use modelgate_serve::smoke;
use serde_json::{Value, json};

use super::Deployment;
use crate::commands::serve::judge;
use crate::environment;

/// What was seen of a Space.
pub(super) struct Seen {
    pub(super) host: String,
    pub(super) verdict: Verdict,
    pub(super) report: Value,
}

/// Why a Space does not show what it must.
#[derive(PartialEq, Debug)]
struct Wrong {
    reason: String,
    /// Whether it is the package itself that does not.
    of_the_package: bool,
}

impl Wrong {
    fn elsewhere(reason: String) -> Self {
        Self { reason, of_the_package: false }
    }

    fn of_the_package(reason: String) -> Self {
        Self { reason, of_the_package: true }
    }

    fn verdict(&self) -> Verdict {
        if self.of_the_package { Verdict::Failed } else { Verdict::Inconclusive }
    }
}

/// Returns what stands in the way of judging what was seen of `digest`.
fn wrong(report: &smoke::Report, digest: &Digest) -> Option<Wrong> {
    if report.digest != digest.to_string() {
        return Some(Wrong::elsewhere(format!("it serves {}, not {digest}", report.digest)));
    }
    if let Some(reason) = report.unanswered() {
        return Some(Wrong { reason, of_the_package: report.refuses_the_rows() });
    }
    let unbound = || Wrong::of_the_package("it says that no verdict is bound to its package".to_owned());
    (!report.verified).then(unbound)
}

impl Deployment<'_> {
    /// Waits until a Space serves the package, and looks at it from outside.
    pub(super) fn look(&self, space: &Repository) -> anyhow::Result<Seen> {
        if self.hub.is_dry() {
            self.hub.runtime(space)?;
            return Ok(Seen { host: String::new(), verdict: Verdict::Passed, report: Value::Null });
        }
        let began = Instant::now();
        let mut pause = Duration::from_millis(200);
        let (host, wrong) = loop {
            let left = self.patience.saturating_sub(began.elapsed());
            let talk = |stage: &str| self.printer.talk(&format!("{}: {}", space.id(), stage.to_lowercase()));
            let host = self.hub.wait(space, left, &talk)?;
            let outcome = if self.is_own() { self.well(&host) } else { self.smoke(&host)? };
            let wrong = match outcome {
                Ok(seen) => {
                    self.printer.talk(&format!("{} at {host}: {}", space.id(), seen.verdict));
                    return Ok(seen);
                }
                Err(wrong) => wrong,
            };
            // What answers may still be the container before this one.
            if began.elapsed() + pause > self.patience {
                break (host, wrong);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(5));
        };
        let verdict = wrong.verdict();
        let reason = format!("{host}: {}", wrong.reason);
        let behind = if wrong.of_the_package {
            String::new()
        } else {
            format!("; that says nothing about {}: look at the Space, then run this again", self.label())
        };
        self.printer.warning(&format!("{} does not show what it must: {reason}{behind}", space.id()));
        Ok(Seen { host: reason.clone(), verdict, report: json!({ "reason": reason }) })
    }

    /// Asks for predictions and judges what was seen; what is wrong is a reason to look again.
    fn smoke(&self, host: &str) -> anyhow::Result<Result<Seen, Wrong>> {
        let options = smoke::Options {
            url: host.to_owned(),
            model: Some(self.model.to_string()),
            rows: None,
            requests: Some(50),
            timeout: Duration::from_secs(10),
            api_key: environment::variable("MODELGATE_API_KEY").map(Secret::new),
            bearer: self.bearer(host),
        };
        let report = match smoke::smoke(&options) {
            Ok(report) => report,
            Err(error) => return Ok(Err(Wrong::elsewhere(error.to_string()))),
        };
        if let Some(wrong) = wrong(&report, &self.digest) {
            return Ok(Err(wrong));
        }
        let verdict = judge(&report, &self.config.rules)?;
        for rule in verdict.rules.iter().filter(|_| verdict.verdict != Verdict::Passed) {
            self.printer.talk(&format!("  {} {}", rule.outcome, rule.sentence));
        }
        let seen = Seen {
            host: host.to_owned(),
            verdict: verdict.verdict,
            report: json!({ "report": report, "verdict": verdict }),
        };
        Ok(Ok(seen))
    }

    /// Asks an application of one's own whether it is well. It does not say which package it serves: that it is not well says
    /// nothing of one.
    fn well(&self, host: &str) -> Result<Seen, Wrong> {
        let url = format!("{host}{}", self.config.health);
        let status = smoke::status(&url, self.bearer(host).as_ref()).map_err(Wrong::elsewhere)?;
        if status != 200 {
            return Err(Wrong::elsewhere(format!("{} answers {status}", self.config.health)));
        }
        let report = json!({ "path": self.config.health, "status": status });
        Ok(Seen { host: host.to_owned(), verdict: Verdict::Passed, report })
    }

    /// Returns the token that a private Space wants of whoever looks at it.
    fn bearer(&self, host: &str) -> Option<Secret> {
        let token = self.token.filter(|_| self.config.private && self.is_the_hubs(host))?;
        Some(Secret::new(token.expose().to_owned()))
    }

    /// Returns whether a token may be sent to an address: a Space's own, or one of this machine beside a Hub on it.
    fn is_the_hubs(&self, host: &str) -> bool {
        let name =
            host.strip_prefix("https://").and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
        let local = "http://127.0.0.1:";
        name.ends_with(".hf.space") || host.starts_with(local) && self.hub.endpoint().starts_with(local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(digest: &Digest, status: Option<u16>) -> smoke::Report {
        smoke::Report {
            model: "m".to_owned(),
            version: "v001".to_owned(),
            digest: digest.to_string(),
            verified: true,
            classifies: true,
            figures: std::collections::BTreeMap::new(),
            answered: 0,
            first_refusal: Some("/predict/m answered".to_owned()),
            first_status: status,
            accuracy_from: None,
            accuracy_measured: false,
            rows_left_out: None,
        }
    }

    #[test]
    fn only_an_answer_of_the_package_says_no_to_it() {
        let digest = Digest::of(b"one");
        let verdict = |report: &smoke::Report| wrong(report, &digest).map(|wrong| wrong.verdict());
        for status in [None, Some(401), Some(403), Some(429), Some(500), Some(503)] {
            assert_eq!(verdict(&report(&digest, status)), Some(Verdict::Inconclusive), "{status:?}");
        }
        assert_eq!(verdict(&report(&digest, Some(422))), Some(Verdict::Failed));
        assert_eq!(verdict(&report(&Digest::of(b"other"), Some(422))), Some(Verdict::Inconclusive));
        let mut answered = smoke::Report { answered: 50, first_refusal: None, ..report(&digest, None) };
        assert_eq!(verdict(&answered), None, "its rules decide");
        answered.verified = false;
        assert_eq!(verdict(&answered), Some(Verdict::Failed));
    }
}
