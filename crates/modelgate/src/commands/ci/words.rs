//! What the last run has to say: a verdict with its report, or a data contract that stopped it.

use std::path::Path;

use anyhow::Context as _;
use modelgate_core::Verdict;
use modelgate_core::lifecycle::Stage as Lifecycle;
use modelgate_core::verdict::Outcome;
use modelgate_data::contract::{ContractReport, Severity};
use modelgate_deploy::github::{Annotation, Saying};
use modelgate_deploy::workflows::said;
use modelgate_pipeline::outputs::{self, PromotionDecision, RunReport};
use modelgate_pipeline::reports::{self, EndedRun, RunEvidence, WhyEnded};
use modelgate_pipeline::{PROJECT_FILE, Pipeline, Project, Stage, StageStatus, micros};

use super::{from_root, lines, repository};

/// What is said, and what the next steps of a job read.
#[derive(Debug)]
pub(super) struct Words {
    /// For people.
    pub(super) saying: Saying,
    /// For steps, by name.
    pub(super) outputs: Vec<(&'static str, String)>,
}

impl Words {
    /// Reads what the last run of `pipeline` left; `report` is said instead of its report.
    ///
    /// # Errors
    /// Fails when the last run ended before anything was judged.
    pub(super) fn of(
        project: &Project,
        pipeline: &Pipeline<'_>,
        report: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut words = match stopped_by_contract(pipeline) {
            Some(found) => contract(project, pipeline, &found),
            None => verdict(project, pipeline)?,
        };
        if let Some(path) = report {
            words.saying.report = fs_err::read_to_string(path).context("the report cannot be read")?;
        }
        Ok(words)
    }

    /// Says it of the pipeline as its workflows of this name call it; a report of ours whose heading has the pipeline's name
    /// has this one then.
    #[must_use]
    pub(super) fn named(mut self, name: Option<&str>) -> Self {
        let called = said(&self.saying.name, name.unwrap_or_default());
        let heading = format!("# {}: ", self.saying.name);
        if let Some(rest) = self.saying.report.strip_prefix(&heading) {
            self.saying.report = format!("# {called}: {rest}");
        }
        self.saying.name = called;
        self
    }

    /// Says that a run which ended with `code`, empty when it never began, judged nothing: what was said of an earlier
    /// commit does not stand for this one.
    pub(super) fn unjudged(pipeline: &Pipeline<'_>, code: &str) -> Self {
        let how = match code {
            "" => "the run did not begin".to_owned(),
            code => format!("the run ended with code {code}"),
        };
        let title = format!("could not be judged: {how}");
        // What lies in `outputs/` is of this run alone if it says how it ended.
        let page = EndedRun::read(pipeline).filter(|_| !code.is_empty()).map(|ended| ended.markdown());
        let page = page.unwrap_or_default();
        let report = format!(
            "# {}: this commit could not be judged\n\nThere is no verdict, neither good nor bad: {how}. The log of the run says why.\n\n{page}",
            pipeline.name
        );
        Self {
            saying: Saying {
                name: pipeline.name.to_owned(),
                // What is not known to be good is not let through.
                verdict: Verdict::Failed,
                waiting: false,
                sampled: false,
                title,
                report,
                annotations: Vec::new(),
                seconds: 0,
            },
            outputs: vec![
                ("verdict", String::new()),
                ("report-path", String::new()),
                ("digest", String::new()),
                ("version", String::new()),
                ("registered", "false".to_owned()),
                ("decision", "not_reached".to_owned()),
            ],
        }
    }
}

/// Returns what is wrong with the data, when that is why the last run went no further.
fn stopped_by_contract(pipeline: &Pipeline<'_>) -> Option<ContractReport> {
    match EndedRun::read(pipeline)?.why {
        WhyEnded::Contract(found) => Some(*found).filter(|found| !found.passed()),
        _ => None,
    }
}

/// Returns when a run ended, in seconds since 1970.
fn seconds(run: &RunReport) -> i64 {
    micros(&run.finished_at).div_euclid(1_000_000)
}

fn report_path(pipeline: &Pipeline<'_>) -> String {
    pipeline.outputs().join("report.md").display().to_string()
}

fn contract(project: &Project, pipeline: &Pipeline<'_>, found: &ContractReport) -> Words {
    let root = repository(project).ok();
    let run: Option<RunReport> = outputs::read(pipeline, "run_report.json");
    // What a contract calls itself is no path.
    let named = pipeline.config.data.contract.clone().unwrap_or_else(|| found.contract.clone());
    let file = project.root.join(&named);
    let text = fs_err::read_to_string(&file).unwrap_or_default();
    let path = root.map_or(named, |root| from_root(&root, &file));
    let annotations = found.violations.iter().map(|violation| Annotation {
        path: path.clone(),
        line: lines::of_column(&text, &violation.id),
        failed: violation.severity == Severity::Error,
        title: violation.id.clone(),
        message: violation.message.clone(),
    });
    Words {
        saying: Saying {
            name: pipeline.name.to_owned(),
            verdict: Verdict::Failed,
            waiting: false,
            sampled: false,
            title: format!("blocked by the data contract: {}", found.summary()),
            report: reports::contract_report(pipeline.name, found),
            annotations: annotations.collect(),
            seconds: run.map_or(0, |run| seconds(&run)),
        },
        outputs: vec![
            ("verdict", Verdict::Failed.to_string()),
            ("report-path", report_path(pipeline)),
            ("digest", String::new()),
            ("version", String::new()),
            ("registered", "false".to_owned()),
            ("decision", "blocked".to_owned()),
        ],
    }
}

fn verdict(project: &Project, pipeline: &Pipeline<'_>) -> anyhow::Result<Words> {
    let none =
        || format!("the last run of `{}` ended before its gate: there is no verdict to say", pipeline.name);
    if let Some(ended) = EndedRun::read(pipeline) {
        return Err(anyhow::anyhow!("{}; {}", none(), ended.sentence()));
    }
    let evidence = RunEvidence::load(pipeline)?;
    // A run that was killed as it wrote leaves the verdict of an earlier one behind.
    if evidence.run.digest != evidence.verdict.digest {
        return Err(anyhow::anyhow!(none()));
    }
    let verdict = &evidence.verdict;
    let waiting = evidence.run.state.as_ref().is_some_and(|state| *state == Lifecycle::Candidate);
    let decision: Option<PromotionDecision> = outputs::read(pipeline, "promotion_decision.json");
    let decision = decision.filter(|decision| decision.run_id == evidence.run.run_id);
    let root = repository(project).ok();
    let sample = evidence.sample();
    let on = sample.as_ref().map_or_else(String::new, |sample| format!(" on a {sample}"));
    let passed = verdict.verdict == Verdict::Passed;
    // What can go nowhere is not well because its figures are.
    let barred = barred(&evidence, decision.as_ref()).filter(|_| passed);
    let title = match &barred {
        Some(why) => format!("{why}; its gate: {}{on}: {}", verdict.verdict, verdict.sentence),
        None => format!("{}{on}: {}", verdict.verdict, verdict.sentence),
    };
    Ok(Words {
        saying: Saying {
            name: pipeline.name.to_owned(),
            verdict: if barred.is_some() { Verdict::Failed } else { verdict.verdict },
            waiting: passed && waiting,
            sampled: sample.is_some(),
            title,
            report: reports::markdown(&evidence, false),
            annotations: rules(project, pipeline, &evidence, root.as_deref()),
            seconds: seconds(&evidence.run),
        },
        outputs: vec![
            ("verdict", verdict.verdict.to_string()),
            ("report-path", report_path(pipeline)),
            ("digest", verdict.digest.map_or_else(String::new, |digest| digest.to_string())),
            ("version", evidence.run.version.map_or_else(String::new, |version| version.to_string())),
            ("registered", registered(&evidence.run).to_string()),
            ("decision", decision.map_or_else(|| "not_reached".to_owned(), |decision| decision.decision)),
        ],
    })
}

/// Returns whether the run made the version that it is about: another run may have registered the same package before.
fn registered(run: &RunReport) -> bool {
    run.stages.iter().any(|report| report.stage == Stage::Register && report.status == StageStatus::Ran)
}

/// Returns what keeps a package from production that passed its gate: its quarantine, or a person's no.
fn barred(evidence: &RunEvidence, decision: Option<&PromotionDecision>) -> Option<String> {
    let refused =
        |decision: &PromotionDecision| ["blocked", "rejected"].contains(&decision.decision.as_str());
    let decided = || {
        decision.filter(|decision| refused(decision)).map(|decision| match decision.decision.as_str() {
            "rejected" => format!("rejected: {}", decision.reason),
            _ => decision.reason.clone(),
        })
    };
    evidence.quarantine().or_else(decided)
}

/// Returns what failed or could not be told, each beside its rule in the project file.
fn rules(
    project: &Project,
    pipeline: &Pipeline<'_>,
    evidence: &RunEvidence,
    root: Option<&Path>,
) -> Vec<Annotation> {
    let place = RulesPlace::of(project, pipeline, root);
    let rules = evidence.verdict.rules.iter();
    rules
        .filter(|rule| matches!(rule.outcome, Outcome::Failed | Outcome::Inconclusive))
        .map(|rule| Annotation {
            path: place.path.clone(),
            line: place.line_of(&rule.id),
            failed: rule.outcome == Outcome::Failed,
            title: format!("{}: {}", rule.id, rule.outcome),
            message: rule.sentence.clone(),
        })
        .collect()
}

/// Where the rules of a pipeline stand, as a code host knows the file.
pub(crate) struct RulesPlace<'a> {
    /// The project file, from the repository's root; from the project's where there is no repository.
    pub(crate) path: String,
    pipeline: &'a str,
    text: String,
    /// The ids of the rules as the file has them.
    ids: Vec<Option<String>>,
}

impl<'a> RulesPlace<'a> {
    /// Looks into the project file.
    pub(crate) fn of(project: &Project, pipeline: &Pipeline<'a>, root: Option<&Path>) -> Self {
        let file = project.root.join(PROJECT_FILE);
        let written = pipeline.config.gate.rules.as_deref().unwrap_or_default();
        Self {
            path: root.map_or_else(|| PROJECT_FILE.to_owned(), |root| from_root(root, &file)),
            pipeline: pipeline.name,
            text: fs_err::read_to_string(&file).unwrap_or_default(),
            ids: written.iter().map(|rule| rule.to_rule().ok().map(|rule| rule.id)).collect(),
        }
    }

    /// Returns the line of the rule with this id.
    pub(crate) fn line_of(&self, id: &str) -> u64 {
        let number = self.ids.iter().position(|own| own.as_deref() == Some(id));
        lines::of_rule(&self.text, self.pipeline, id, number)
    }
}
