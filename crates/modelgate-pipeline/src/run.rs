//! A whole run: the stages in order, then the files of `outputs/`.

use modelgate_config as config;
use modelgate_core::lifecycle::Stage as Lifecycle;
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{Digest, RunId, Verdict, VersionNumber};
use modelgate_data::contract::ContractReport;
use modelgate_registry::{Registry, RegistryUri};
use modelgate_store::ProjectLock;

use crate::deployment;
use crate::error::PipelineError;
use crate::options::{Approver, Reporter, RunOptions, StageStatus, StageWarning, Surroundings};
use crate::outputs::{self, RunReport};
use crate::production::{self, Production};
use crate::project::{Pipeline, Project};
use crate::runner::Runner;
use crate::stage::Stage;
use crate::stages::registration::Decision;
use crate::stages::{analyse, command as training, contract, data, dataset, judge, model, registration};

use written::{keep_verdict, record_failure, write_outputs};

#[cfg(test)]
mod tests;
mod written;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Everything that was asked for is done.
    Done,
    /// The gate or a person said no.
    Blocked,
    /// The gate could not tell.
    Inconclusive,
    /// A person must approve.
    Waiting,
}

/// What a run came to.
#[derive(Debug)]
pub struct RunOutcome {
    /// How it ended.
    pub ending: Ending,
    /// The run: this one, or the last that did work when nothing changed.
    pub run_id: Option<RunId>,
    /// The verdict, when the gate was reached.
    pub verdict: Option<GateVerdict>,
    /// The version, when one is registered.
    pub version: Option<VersionNumber>,
    /// Where it stands.
    pub state: Option<Lifecycle>,
    /// Whether any stage did work.
    pub worked: bool,
    /// What checking the data contract found, when there is one.
    pub contract: Option<ContractReport>,
    /// The version that this run brought to production: by `best_by` it may be an older one.
    pub promoted: Option<Production>,
    /// What a person should know of it, by stage.
    pub warnings: Vec<StageWarning>,
    /// The error that kept what comes behind the gate from being done, or its reports from being written. What was judged
    /// stays what it is.
    pub failed: Option<PipelineError>,
}

/// What holds the lock of a run.
pub(crate) const COMMAND: &str = "modelgate run";

/// Opens the registry of a project.
pub fn registry(project: &Project) -> Result<Registry, PipelineError> {
    check_state_folder(project)?;
    let uri = RegistryUri::parse(project.config.registry.uri.as_deref())?;
    Ok(Registry::open(&uri, &project.root)?)
}

/// Refuses a state folder that is a link to nothing, as to a disk that is not mounted: what is behind it is no empty history.
fn check_state_folder(project: &Project) -> Result<(), PipelineError> {
    let state = project.state_folder();
    match std::fs::read_link(&state) {
        Ok(target) if !state.exists() => Err(PipelineError::Policy(format!(
            "`{}` is a link to `{}`, where nothing is: is its disk mounted?",
            state.display(),
            target.display()
        ))),
        _ => Ok(()),
    }
}

/// Takes the project's lock for a command that writes.
pub fn lock(
    project: &Project,
    command: &str,
    surroundings: &Surroundings<'_>,
) -> Result<ProjectLock, PipelineError> {
    check_state_folder(project)?;
    let lock = ProjectLock::acquire(&project.state_folder().join("lock"), command, &(surroundings.now)())?;
    training::remove_left(project);
    Ok(lock)
}

pub(crate) fn new_run_id(started_at: &str) -> Result<RunId, PipelineError> {
    let compact: String = started_at.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let unique = Digest::of(format!("{nanos} {}", std::process::id()).as_bytes()).hex();
    Ok(format!("{compact}Z-{}", &unique[..6]).parse()?)
}

/// Runs a pipeline.
pub fn run(
    pipeline: &Pipeline<'_>,
    options: &RunOptions,
    surroundings: &Surroundings<'_>,
    reporter: &mut dyn Reporter,
    approver: &mut dyn Approver,
) -> Result<RunOutcome, PipelineError> {
    // A wrong setting is told before any work.
    let started_at = (surroundings.now)();
    let run_id = new_run_id(&started_at)?;
    let lock = if options.dry_run { None } else { Some(lock(pipeline.project, COMMAND, surroundings)?) };
    let mut runner = Runner::new(pipeline, options, surroundings, reporter);
    runner.lock = lock;
    let mut progress = Progress {
        run_id,
        started_at,
        judged: false,
        decision: None,
        version: None,
        quarantined: None,
        error: None,
    };
    let ended = work(&mut runner, &mut progress, approver).map_err(|error| pipeline.project.placed(error));
    if let Err(error) = &ended
        && !options.dry_run
        && let Err(unrecorded) = record_failure(&runner, &progress, error)
    {
        runner.reporter.note(&format!("that this run failed could not be recorded: {unrecorded}"));
    }
    ended
}

/// Checks the settings, then runs the stages and writes what came of them.
fn work(
    runner: &mut Runner<'_>,
    progress: &mut Progress,
    approver: &mut dyn Approver,
) -> Result<RunOutcome, PipelineError> {
    let pipeline = runner.pipeline;
    if runner.options.import.is_none() {
        model::check_training(pipeline)?;
    }
    judge::pipeline_rules(pipeline)?;
    contract::read_contract(pipeline)?;
    RegistryUri::parse(pipeline.project.config.registry.uri.as_deref())?;
    let mut registry = None;
    let failed = match stages(runner, &mut registry, progress, approver) {
        Ok(()) => None,
        // What the gate said stands. In a dry run it is not this run's gate.
        Err(error)
            if progress.judged
                && !runner.options.dry_run
                && !matches!(error, PipelineError::Unconfirmed { .. }) =>
        {
            Some(pipeline.project.placed(error))
        }
        Err(error) => return Err(error),
    };
    finish(runner, registry.as_ref(), progress, failed)
}

struct Progress {
    run_id: RunId,
    started_at: String,
    /// Whether the gate came out.
    judged: bool,
    decision: Option<Decision>,
    version: Option<VersionNumber>,
    quarantined: Option<VersionNumber>,
    /// What went wrong behind the gate, as it may leave.
    error: Option<String>,
}

impl Progress {
    /// Takes in what went wrong behind the gate; the first that did is what is told.
    fn fail(&mut self, error: &PipelineError) {
        let said = self.error.get_or_insert_with(|| error.without_values());
        self.decision.get_or_insert_with(|| Decision::new("failed", said.clone()));
    }
}

/// Runs the stages.
fn stages(
    runner: &mut Runner<'_>,
    registry_slot: &mut Option<Registry>,
    progress: &mut Progress,
    approver: &mut dyn Approver,
) -> Result<(), PipelineError> {
    let first: [fn(&mut Runner<'_>) -> Result<bool, PipelineError>; 8] = [
        dataset::snapshot,
        contract::contract,
        data::split,
        data::preprocess,
        model::train,
        model::assemble,
        judge::evaluate,
        analyse::analyse,
    ];
    for stage in first {
        if !stage(runner)? {
            return Ok(());
        }
    }
    let registry = match registry(runner.pipeline.project) {
        Ok(registry) => registry_slot.insert(registry),
        Err(error) => {
            // Whoever deploys reads this file: it must not tell of an earlier day.
            if !runner.options.dry_run {
                deployment::write(runner.pipeline, None, None)?;
            }
            return Err(error);
        }
    };
    // What the gate compares with, and a person is shown, is what a promotion is decided over.
    let over = production::version(registry, &runner.pipeline.model);
    if !judge::gate(runner, registry)? || runner.record(Stage::Gate).is_none() {
        for stage in [Stage::Register, Stage::Approve, Stage::Promote] {
            runner.hidden(stage);
        }
        return Ok(());
    }
    progress.judged = true;
    progress.quarantined = quarantined(runner, registry);
    if let Some(version) = progress.quarantined {
        let model = &runner.pipeline.model;
        runner.reporter.note(&format!(
            "this package is quarantined as {model} {version}: it reaches no production; train another, or \
                 `modelgate model promote {model} {version} --override-quarantine --reason …` takes it out"
        ));
    }
    if runner.options.sample.is_some() {
        let reason = "a run on a sample is judged and never registered";
        progress.decision = Some(Decision::new("not_registered", reason));
        return Ok(());
    }
    progress.version = registration::register(runner, registry, &progress.run_id, &progress.started_at)?;
    let Some(version) = progress.version else {
        for stage in [Stage::Approve, Stage::Promote] {
            runner.hidden(stage);
        }
        return Ok(());
    };
    if runner.options.selection.wants(Stage::Approve) == crate::stage::Wanted::No {
        return Ok(());
    }
    progress.decision = registration::approve(runner, registry, version, approver)?;
    let promotes = runner.options.selection.wants(Stage::Promote) != crate::stage::Wanted::No;
    if progress.decision.is_none() && promotes {
        progress.decision = Some(registration::promote(runner, registry, version, over)?);
    }
    Ok(())
}

/// Returns the version through which the package of the run is quarantined, if it is.
fn quarantined(runner: &Runner<'_>, registry: &Registry) -> Option<VersionNumber> {
    let digest = runner.output(Stage::Assemble, model::MANIFEST).ok()?;
    registry.state().models.get(&runner.pipeline.model)?.quarantined(&digest)
}

fn finish(
    runner: &mut Runner<'_>,
    registry: Option<&Registry>,
    progress: &mut Progress,
    mut failed: Option<PipelineError>,
) -> Result<RunOutcome, PipelineError> {
    if let Some(error) = &failed {
        progress.fail(error);
    }
    let judged = progress.judged;
    let verdict = if judged { Some(judge::verdict(runner)?) } else { None };
    let state = registry.zip(progress.version).and_then(|(registry, version)| {
        registry.state().models.get(&runner.pipeline.model)?.versions.get(&version).map(|found| found.stage)
    });
    let word = progress.decision.as_ref().map(|decision| decision.word);
    let contract_report = contract::report(runner)?;
    let is_stopped = contract_report.is_some() && contract::blocks(runner)?;
    let ending = match (verdict.as_ref().map(|verdict| verdict.verdict), word) {
        (Some(Verdict::Failed), _) | (_, Some("rejected" | "blocked"))
            if verdict.as_ref().is_none_or(|verdict| verdict.verdict != Verdict::Inconclusive) =>
        {
            Ending::Blocked
        }
        (Some(Verdict::Inconclusive), _) => Ending::Inconclusive,
        _ if is_stopped => Ending::Blocked,
        (_, Some("waiting_for_approval")) => Ending::Waiting,
        _ => Ending::Done,
    };
    let worked = runner.worked();
    let last: Option<RunReport> = outputs::read(runner.pipeline, "run_report.json");
    // Waiting and refusing are worth telling each time; they are not work that is worth a new report.
    let did = runner.reports.iter().any(|report| report.status == StageStatus::Ran);
    // A run that was killed before it told what it did, and decisions since: the files must not tell of an earlier day.
    let is_behind = !runner.options.dry_run
        && last.as_ref().is_some_and(|last| {
            let moved = last.version != progress.version || last.state != state;
            // An error, or data that were blocked, are told of as long as they last.
            let told = last.error.is_some()
                || (last.verdict.is_some() != verdict.is_some() && (judged || is_stopped));
            told || (progress.version.is_some() && moved)
                || (judged && last.quarantined != progress.quarantined)
        });
    let run_id = match (&last, did || is_behind || failed.is_some()) {
        (Some(last), false) => Some(last.run_id.clone()),
        (None, false) if runner.options.dry_run => None,
        _ => {
            let written = write_outputs(runner, registry, progress, verdict.as_ref(), state);
            if let Err(error) = written {
                let Some(verdict) = &verdict else { return Err(error) };
                let error = runner.pipeline.project.placed(error);
                progress.fail(&error);
                keep_verdict(runner, progress, verdict, state);
                failed.get_or_insert(error);
            }
            Some(progress.run_id.clone())
        }
    };
    Ok(RunOutcome {
        ending,
        run_id,
        verdict,
        version: progress.version,
        state,
        worked,
        contract: contract_report,
        warnings: StageWarning::until(Stage::Promote, &runner.reports),
        promoted: progress.decision.as_ref().and_then(|decision| decision.promoted),
        failed,
    })
}

/// Limits the threads of training and prediction; results do not depend on it. Called once, at the start.
pub fn set_threads(threads: usize) -> Result<(), rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()
}

/// Checks the settings that only a trainer, the gate or the registry can check.
pub fn check_pipeline(pipeline: &Pipeline<'_>) -> Result<(), PipelineError> {
    let check = || {
        model::check_training(pipeline)?;
        judge::pipeline_rules(pipeline)?;
        contract::read_contract(pipeline)?;
        Ok(RegistryUri::parse(pipeline.project.config.registry.uri.as_deref()).map(drop)?)
    };
    check().map_err(|error| pipeline.project.placed(error))
}

/// Refuses a promotion by hand where the policy of the model's pipeline forbids it.
pub fn check_manual_promotion(
    project: &Project,
    model: &modelgate_core::ModelName,
) -> Result<(), PipelineError> {
    let forbidden = project.pipelines()?.into_iter().find(|pipeline| {
        pipeline.model == *model && pipeline.config.promotion.manual == config::ManualPolicy::Forbidden
    });
    match forbidden {
        None => Ok(()),
        Some(pipeline) => Err(PipelineError::Policy(format!(
            "promotion.manual of pipeline `{name}` is `forbidden`: approve the version; `modelgate run {name}` brings it to production \
             where it is what the pipeline makes, and `modelgate model import` of the same files where it was made elsewhere",
            name = pipeline.name
        ))),
    }
}
