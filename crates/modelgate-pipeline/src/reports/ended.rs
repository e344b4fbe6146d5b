//! The last run, when it ended before its gate: blocked by the data contract, stopped by an error, or not asked to go so
//! far. The verdict and the figures of an earlier run lie in `outputs/` still, and must not be taken for this one's.

use std::fmt::Write as _;

use modelgate_core::rule::Subset;
use modelgate_core::verdict::{GateVerdict, Outcome, RuleResult};
use modelgate_core::{RunId, Verdict};
use modelgate_data::contract::{ContractReport, Severity};

use super::contract::contract_report;
use super::escape::{html as text, html_of_sentence, markdown, markdown_of_sentence, short};
use super::style::style;
use crate::options::StageStatus;
use crate::outputs::{self, PromotionDecision, RunReport};
use crate::project::Pipeline;
use crate::stage::Stage;

/// Why a run has no verdict.
#[derive(Clone, PartialEq, Debug)]
pub enum WhyEnded {
    /// The data do not keep their contract.
    Contract(Box<ContractReport>),
    /// An error, in words.
    Failed(String),
    /// It was not asked to go on to the gate; the last stage that it came to.
    NotAsked(Option<Stage>),
}

/// The last run, which ended before its gate.
#[derive(Clone, PartialEq, Debug)]
pub struct EndedRun {
    /// The run.
    pub run: RunReport,
    /// Why it has no verdict.
    pub why: WhyEnded,
    /// The run whose verdict and figures lie in `outputs/` still.
    pub before: Option<RunId>,
    on: Subset,
}

/// Long errors are cut in a page.
const SENTENCE: usize = 2000;

impl EndedRun {
    /// Returns the last run of `pipeline` when it ended before its gate; `None` when it was judged, or there is none.
    pub fn read(pipeline: &Pipeline<'_>) -> Option<Self> {
        let run: RunReport = outputs::read(pipeline, "run_report.json")?;
        // What an error kept from being done behind the gate takes nothing from what the gate said.
        if run.verdict.is_some() {
            return None;
        }
        let refused = run
            .stages
            .iter()
            .any(|report| report.stage == Stage::Contract && report.status == StageStatus::Refused);
        let contract = || outputs::read(pipeline, "contract_report.json").map(Box::new);
        let why = match &run.error {
            Some(error) => WhyEnded::Failed(error.clone()),
            None if refused => contract().map_or_else(
                || WhyEnded::Failed("the data do not keep their contract".to_owned()),
                WhyEnded::Contract,
            ),
            None => WhyEnded::NotAsked(run.stages.last().map(|report| report.stage)),
        };
        // It is written with each verdict, and a verdict does not say of which run it is.
        let decision: Option<PromotionDecision> = outputs::read(pipeline, "promotion_decision.json");
        let before = decision.map(|decision| decision.run_id).filter(|before| *before != run.run_id);
        let on = match pipeline.config.gate.on {
            modelgate_config::SubsetName::Validation => Subset::Validation,
            modelgate_config::SubsetName::Test => Subset::Test,
        };
        Some(Self { run, why, before, on })
    }

    /// Returns what became of the run in a few words, as `status` prints them.
    pub fn word(&self) -> String {
        match &self.why {
            WhyEnded::Contract(_) => "blocked by the data contract".to_owned(),
            WhyEnded::Failed(_) => "failed".to_owned(),
            WhyEnded::NotAsked(_) => "not judged".to_owned(),
        }
    }

    /// Returns what became of the run as programs read it.
    pub fn code(&self) -> &'static str {
        match self.why {
            WhyEnded::Contract(_) => "blocked_by_contract",
            WhyEnded::Failed(_) => "failed",
            WhyEnded::NotAsked(_) => "not_judged",
        }
    }

    /// Returns what became of the run, and why, in words.
    pub fn sentence(&self) -> String {
        let word = self.word();
        match &self.why {
            WhyEnded::Contract(report) => format!("{word}: {}", report.summary()),
            WhyEnded::Failed(error) => format!("{word}: {error}"),
            WhyEnded::NotAsked(None) => format!("{word}: it was not asked to go on to the gate"),
            WhyEnded::NotAsked(Some(stage)) => {
                format!("{word}: it ended with the stage `{stage}`, before the gate")
            }
        }
    }

    /// Says of which run the figures are that lie in `outputs/`, and the verdict, where this run has left none.
    pub fn figures(&self) -> String {
        let name = &self.run.pipeline;
        let what = match self.why {
            WhyEnded::NotAsked(_) => "the verdict and the figures",
            WhyEnded::Contract(_) | WhyEnded::Failed(_) => "the figures",
        };
        self.before.as_ref().map_or_else(
            || "it left no figures".to_owned(),
            |before| format!("{what} in outputs/{name}/ are of the run {before} before it"),
        )
    }

    /// Returns the verdict that programs are given: what the contract blocked has failed by the rules that it breaks, and
    /// of every other run the gate cannot tell.
    pub fn verdict(&self) -> GateVerdict {
        let rule = |id: String, metric: &str, outcome: Outcome, sentence: String| {
            RuleResult::without_figures(id, metric, self.on, outcome, sentence)
        };
        let (verdict, rules) = match &self.why {
            WhyEnded::Contract(report) => {
                let broken = report.violations.iter().filter(|found| found.severity == Severity::Error);
                let broken = broken.map(|found| {
                    let id = format!("contract.{}", found.id);
                    rule(id, "contract.errors", Outcome::Failed, found.message.clone())
                });
                (Verdict::Failed, broken.collect())
            }
            WhyEnded::Failed(_) | WhyEnded::NotAsked(_) => {
                let result = rule("run".to_owned(), "run", Outcome::Inconclusive, self.sentence());
                (Verdict::Inconclusive, vec![result])
            }
        };
        GateVerdict {
            schema_version: 1,
            verdict,
            bootstrap: false,
            digest: None,
            sentence: self.sentence(),
            rules,
            doubts: Vec::new(),
        }
    }

    /// Returns the report in Markdown.
    pub fn markdown(&self) -> String {
        let mut page = if let WhyEnded::Contract(report) = &self.why {
            contract_report(&self.run.pipeline, report)
        } else {
            let (name, sentence) =
                (markdown(&self.run.pipeline), markdown_of_sentence(&short(&self.sentence(), SENTENCE)));
            format!("# {name}: {}\n\nThe last run has no verdict, {sentence}.\n", self.word())
        };
        let _ = writeln!(page, "\nRun `{}`, {}; {}.", self.run.run_id, self.run.started_at, self.figures());
        page
    }

    /// Returns the report as a page.
    pub fn html(&self) -> String {
        let verdict = self.verdict();
        let title = text(&format!("{}: {}", self.run.pipeline, self.word()));
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
             <title>{title}</title><style>{}</style></head><body><h1>{title}</h1><p class=\"verdict failed\">{}.</p>",
            style(),
            html_of_sentence(&short(&self.sentence(), SENTENCE))
        );
        if let WhyEnded::Contract(_) = self.why {
            page.push_str("<h2>Broken rules of the contract</h2><ul>");
            for rule in verdict.rules.iter().take(500) {
                let (id, sentence) =
                    (text(&short(&rule.id, 200)), html_of_sentence(&short(&rule.sentence, SENTENCE)));
                let _ = write!(page, "<li><b>{id}</b>: {sentence}</li>");
            }
            page.push_str("</ul>");
        }
        let (run, at) = (text(self.run.run_id.as_str()), text(&self.run.started_at));
        let _ =
            writeln!(page, "<p>Run <code>{run}</code>, {at}; {}.</p></body></html>", text(&self.figures()));
        page
    }
}
