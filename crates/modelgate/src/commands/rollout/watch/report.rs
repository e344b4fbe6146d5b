//! What `modelgate rollout watch` prints and writes of a window.

use std::path::Path;

use anyhow::Context;
use modelgate_core::Verdict;
use modelgate_core::verdict::GateVerdict;
use modelgate_serve::rollout::{Counted, VersionStanding, Watched};
use modelgate_store::atomic;
use serde_json::json;

use super::super::{Controller, status};
use crate::printer::coloured;

/// What is said where the report does not get into its file.
pub(super) const UNWRITTEN: &str = "the report cannot be written";

/// Returns the verdict of a window that had no end, with the reason in place of rules.
fn unjudged(verdict: Verdict, canary: &VersionStanding, reason: &str) -> GateVerdict {
    GateVerdict {
        verdict,
        sentence: reason.to_owned(),
        ..GateVerdict::of(Vec::new(), false, Some(canary.digest))
    }
}

impl Controller<'_> {
    /// Writes and, where it is asked for as JSON, prints what came of a window. Returns whether it is printed.
    fn written(
        &self,
        versions: (&VersionStanding, &VersionStanding),
        counted: Option<&Counted>,
        verdict: &GateVerdict,
        output: Option<&Path>,
        window: &str,
    ) -> anyhow::Result<bool> {
        let (stable, canary) = versions;
        let whole = json!({
            "schema_version": 1, "model": self.model, "window": window, "stable": stable, "canary": canary,
            "counted": counted, "verdict": verdict,
        });
        if let Some(path) = output {
            atomic::write(path, serde_json::to_string_pretty(&whole)?.as_bytes()).context(UNWRITTEN)?;
        }
        if self.printer.is_json() {
            self.printer.json(&whole)?;
        }
        Ok(self.printer.is_json())
    }

    /// Reports a window that could not be judged to its end; whoever reads the file finds no older verdict there.
    pub(super) fn report_unjudged(
        &self,
        versions: (&VersionStanding, &VersionStanding),
        verdict: Verdict,
        reason: &str,
        output: Option<&Path>,
        window: &str,
    ) -> anyhow::Result<()> {
        self.written(versions, None, &unjudged(verdict, versions.1, reason), output, window).map(drop)
    }

    /// Reports a window that was judged.
    pub(super) fn report(
        &self,
        watched: &Watched,
        verdict: &GateVerdict,
        output: Option<&Path>,
        window: &str,
    ) -> anyhow::Result<()> {
        let Watched { stable, canary, counted } = watched;
        if self.written((stable, canary), Some(counted), verdict, output, window)? {
            return Ok(());
        }
        self.printer.data(&format!(
            "{}: canary {} beside {}, {window}",
            self.model, canary.version, stable.version
        ))?;
        status::print(counted, self.printer)?;
        for rule in &verdict.rules {
            let outcome = rule.outcome.to_string();
            let padded = format!("{outcome:<14}").replacen(&outcome, &coloured(&outcome), 1);
            self.printer.data(&format!("{padded} {}", rule.sentence))?;
        }
        self.printer.data(&format!(
            "verdict: {} – {}",
            coloured(&verdict.verdict.to_string()),
            verdict.sentence
        ))?;
        Ok(())
    }
}
