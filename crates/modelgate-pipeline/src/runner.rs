//! The one mechanism every stage goes through: what were its inputs, are they the same, run or skip, record.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use modelgate_core::{Digest, canonical};
use modelgate_data::{Dataset, Table};
use modelgate_model::estimator::Estimator;
use modelgate_store::{ContentStore, DigestIndex, ProjectLock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::PipelineError;
use crate::options::{Reporter, RunOptions, StageReport, StageStatus, StageWarning, Surroundings};
use crate::project::Pipeline;
use crate::record::{Inputs, StageRecord, changes};
use crate::stage::{Stage, Wanted};
use crate::stages::command::texts;
use crate::together;

/// What the work of a stage leaves.
#[derive(Default)]
pub(crate) struct Work {
    /// The outputs' bytes by name.
    pub(crate) outputs: BTreeMap<String, Vec<u8>>,
    /// Outputs that are in the store already.
    pub(crate) stored: BTreeMap<String, Digest>,
    /// One line for people.
    pub(crate) summary: String,
    /// What a person should know.
    pub(crate) warnings: Vec<String>,
}

impl Work {
    /// Returns work with one output in canonical JSON.
    pub(crate) fn json<T: Serialize>(name: &str, value: &T, summary: String) -> Result<Self, PipelineError> {
        let bytes = canonical::to_string(value)?.into_bytes();
        Ok(Self { outputs: BTreeMap::from([(name.to_owned(), bytes)]), summary, ..Self::default() })
    }
}

/// A run in progress.
pub(crate) struct Runner<'a> {
    pub(crate) pipeline: &'a Pipeline<'a>,
    pub(crate) options: &'a RunOptions,
    pub(crate) surroundings: &'a Surroundings<'a>,
    pub(crate) store: ContentStore,
    /// The digests of files that did not change.
    pub(crate) index: DigestIndex,
    pub(crate) reporter: &'a mut dyn Reporter,
    pub(crate) reports: Vec<StageReport>,
    records: BTreeMap<Stage, StageRecord>,
    /// In a dry run, the first stage that would run: what is behind it cannot be known.
    would_run: Option<Stage>,
    /// The source's bytes while the run that read them goes on, so that they are not read twice.
    pub(crate) table: Option<(Digest, Rc<Table>)>,
    /// The snapshot, opened.
    pub(crate) dataset: Option<(Digest, Rc<Dataset>)>,
    /// What a person should know beside the next stage's work, whether it is done or taken from its record.
    pub(crate) beside: Vec<String>,
    /// Why the next stage is done again though its inputs are the same.
    pub(crate) again: Option<String>,
    /// The project's lock, where the run holds it: not while a person is asked.
    pub(crate) lock: Option<ProjectLock>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(
        pipeline: &'a Pipeline<'a>,
        options: &'a RunOptions,
        surroundings: &'a Surroundings<'a>,
        reporter: &'a mut dyn Reporter,
    ) -> Self {
        let store = ContentStore::new(&pipeline.project.state_folder());
        Self {
            pipeline,
            options,
            surroundings,
            store,
            index: DigestIndex::open(&pipeline.project.state_folder()),
            reporter,
            reports: Vec::new(),
            records: BTreeMap::new(),
            would_run: None,
            table: None,
            dataset: None,
            beside: Vec::new(),
            again: None,
            lock: None,
        }
    }

    /// Returns the output `name` of a stage that has run.
    pub(crate) fn output(&self, stage: Stage, name: &str) -> Result<Digest, PipelineError> {
        let output = self.records.get(&stage).and_then(|record| record.outputs.get(name));
        output.copied().ok_or_else(|| PipelineError::NotYetRun { stage, why: format!("it left no `{name}`") })
    }

    /// Returns the record of a stage that has run in this run or before it.
    pub(crate) fn record(&self, stage: Stage) -> Option<&StageRecord> {
        self.records.get(&stage)
    }

    /// Returns the bytes of the output `name` of a stage, verified.
    pub(crate) fn bytes(&self, stage: Stage, name: &str) -> Result<Vec<u8>, PipelineError> {
        Ok(self.store.get(&self.output(stage, name)?)?)
    }

    /// Returns the JSON output `name` of a stage.
    pub(crate) fn json<T: DeserializeOwned>(&self, stage: Stage, name: &str) -> Result<T, PipelineError> {
        Ok(serde_json::from_slice(&self.bytes(stage, name)?)?)
    }

    /// Returns the model that the engine fitted.
    pub(crate) fn estimator(&self) -> Result<Estimator, PipelineError> {
        Ok(Estimator::from_bytes(&self.bytes(Stage::Train, "estimator")?)?)
    }

    /// Returns whether `stage` did its work in this run, rather than being taken from its record.
    pub(crate) fn ran(&self, stage: Stage) -> bool {
        self.reports.iter().any(|report| report.stage == stage && report.status == StageStatus::Ran)
    }

    /// Returns what a person should know of the model that was judged: the warnings of the stages up to its gate.
    pub(crate) fn warnings(&self) -> Vec<StageWarning> {
        StageWarning::until(Stage::Gate, &self.reports)
    }

    /// Returns whether any stage did work.
    pub(crate) fn worked(&self) -> bool {
        self.reports.iter().any(|report| report.status != StageStatus::Skipped)
    }

    /// Returns whether this is a dry run in which `stage` cannot be looked into, after reporting that.
    pub(crate) fn hidden(&mut self, stage: Stage) -> bool {
        let Some(first) = self.would_run else { return false };
        self.report(
            stage,
            StageStatus::WouldRun,
            String::new(),
            format!("`{first}` runs before it"),
            0.0,
            Vec::new(),
        );
        true
    }

    /// Reports a stage that would run in a dry run.
    pub(crate) fn would_run(&mut self, stage: Stage, why: String) {
        self.would_run = Some(stage);
        self.report(stage, StageStatus::WouldRun, String::new(), why, 0.0, Vec::new());
    }

    pub(crate) fn report(
        &mut self,
        stage: Stage,
        status: StageStatus,
        summary: String,
        why: String,
        seconds: f64,
        mut warnings: Vec<String>,
    ) {
        warnings.append(&mut self.beside);
        let report = StageReport { stage, status, summary, why, seconds, warnings };
        self.reporter.finished(&report);
        self.reports.push(report);
    }

    /// Runs `stage`, or takes what it left when its inputs are the same.
    ///
    /// Returns whether the run goes on: not behind the last stage that was asked for.
    pub(crate) fn step(
        &mut self,
        stage: Stage,
        inputs: impl FnOnce(&mut Self) -> Result<Inputs, PipelineError>,
        work: impl FnOnce(&mut Self) -> Result<Work, PipelineError>,
    ) -> Result<bool, PipelineError> {
        let again = self.again.take();
        let wanted = self.options.selection.wants(stage);
        if wanted == Wanted::No {
            return Ok(false);
        }
        if self.hidden(stage) {
            return Ok(true);
        }
        let started = Instant::now();
        let mut inputs = inputs(self)?;
        inputs.insert("modelgate".to_owned(), env!("CARGO_PKG_VERSION").into());
        let before = StageRecord::load(&self.pipeline.records(), stage);
        let stale = self.stale(before.as_ref(), &inputs);
        let why = match (stale, wanted) {
            (Some(why), Wanted::FromEarlierRun) => return Err(PipelineError::NotYetRun { stage, why }),
            (Some(why), _) => Some(why),
            (None, Wanted::Forced) => Some("asked for".to_owned()),
            (None, Wanted::WhenChanged) if self.options.force => Some("--force".to_owned()),
            (None, Wanted::WhenChanged) => again,
            (None, _) => None,
        };
        let Some(why) = why else {
            let record = before.expect("a stage without a record is stale");
            let (summary, warnings) = (record.summary.clone(), record.warnings.clone());
            let program = record.inputs.get("train").and_then(texts::looked_at);
            let unchanged = program.map_or_else(
                || "nothing changed".to_owned(),
                |program| format!("nothing changed, {program}"),
            );
            self.records.insert(stage, record);
            let seconds = started.elapsed().as_secs_f64();
            self.report(stage, StageStatus::Skipped, summary, unchanged, seconds, warnings);
            return Ok(true);
        };
        if self.options.dry_run {
            self.would_run(stage, why);
            return Ok(true);
        }
        self.reporter.started(stage);
        let work = work(self)?;
        let contents: Vec<(String, Vec<u8>)> = work.outputs.into_iter().collect();
        let store = &self.store;
        let digests = together::each(&contents, |(_, bytes)| store.put(bytes))?;
        let mut outputs = work.stored;
        outputs.extend(contents.into_iter().map(|(name, _)| name).zip(digests));
        let (summary, warnings) = (work.summary, work.warnings);
        let record = StageRecord {
            schema_version: 1,
            stage,
            inputs,
            outputs,
            summary: summary.clone(),
            warnings: warnings.clone(),
        };
        record.save(&self.pipeline.records())?;
        self.records.insert(stage, record);
        self.report(stage, StageStatus::Ran, summary, why, started.elapsed().as_secs_f64(), warnings);
        Ok(true)
    }

    /// Returns why what the stage left cannot be used, or `None` when it can.
    fn stale(&self, before: Option<&StageRecord>, inputs: &Inputs) -> Option<String> {
        let Some(before) = before else { return Some("it has not run yet".to_owned()) };
        let changed = changes(&before.inputs, inputs);
        if !changed.is_empty() {
            return Some(changed.join(", "));
        }
        let lost = before.outputs.iter().find(|(_, digest)| !self.store.contains(digest));
        lost.map(|(name, _)| format!("its output `{name}` is not in the store"))
    }
}
