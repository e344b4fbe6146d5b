//! The commands: each opens what it needs, asks the libraries, and prints.

mod ci;
mod compare;
mod completions;
mod config;
mod dag;
mod data;
mod deploy;
mod doctor;
mod doubts;
mod explain;
mod exported;
mod gate;
mod import;
mod init;
mod ledger;
mod model;
mod notify;
mod report;
mod rollout;
mod run;
mod serve;
mod status;
mod undeclared;
mod written;

use std::path::PathBuf;

use anyhow::Context;
use modelgate_model::onnxruntime;
use modelgate_pipeline::{PipelineError, Project};

use crate::arguments::{Arguments, Command, Gate};
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Does what the arguments ask for.
pub(crate) fn execute(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    crate::threads::prepare(works(&arguments.command))?;
    check_processor()?;
    check_showing()?;
    check_clock(std::time::SystemTime::now())?;
    let folder = folder(arguments)?;
    finish_interrupted(arguments, &folder, printer);
    let ended = act(arguments, &folder, printer);
    if let Err(error) = &ended {
        tell_what_took_place(error, &folder, printer);
    }
    ended
}

/// Tells of what an error says took place all the same, so that a service goes by it.
fn tell_what_took_place(error: &anyhow::Error, folder: &std::path::Path, printer: &Printer) {
    let notices = error.chain().filter_map(|cause| cause.downcast_ref::<PipelineError>());
    let notices: Vec<_> = notices.flat_map(PipelineError::notices).collect();
    let Some(project) = (!notices.is_empty()).then(|| project(folder).ok()).flatten() else { return };
    let around = environment::surroundings();
    for notice in notices {
        notify::tell(&project, notice, &around, printer);
    }
}

fn act(arguments: &Arguments, folder: &std::path::Path, printer: &Printer) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Init(init) => init::execute(init, folder, printer),
        Command::Run(run) => {
            undeclared::complete(folder, printer)?;
            run::execute(run, &project(folder)?, printer)
        }
        Command::Status => status::execute(&project(folder)?, printer),
        Command::Data(data) => data::execute(data, folder, printer),
        Command::Gate(gate) => gate::execute(gate, folder, printer),
        Command::Serve(serve) => serve::execute(serve, folder, printer),
        Command::Report(report) => report::execute(report, &project(folder)?, printer),
        Command::Dag(dag) => dag::execute(dag, folder, printer),
        Command::Doctor => doctor::execute(folder, printer),
        Command::Completions { shell } => completions::execute(*shell, printer),
        Command::Model(model) => model::execute(model, &project(folder)?, printer),
        Command::Rollout(rollout) => rollout::execute(rollout, &project(folder)?, printer),
        Command::Ci(ci) => ci::execute(ci, &project(folder)?, printer),
        Command::Deploy(deploy) => deploy::execute(deploy, &project(folder)?, printer),
        Command::Ledger(ledger) => ledger::execute(ledger, &project(folder)?, printer),
        Command::Config(config) => config::execute(config, folder, printer),
    }
}

/// Whether a command trains, predicts, measures or moves data: with many threads.
fn works(command: &Command) -> bool {
    matches!(
        command,
        Command::Run(_)
            | Command::Model(_)
            | Command::Rollout(_)
            | Command::Serve(_)
            | Command::Gate(Gate::Selftest { .. })
            | Command::Data(_)
    )
}

/// Refuses a clock whose time cannot be written down.
fn check_clock(now: std::time::SystemTime) -> anyhow::Result<()> {
    match jiff::Timestamp::try_from(now) {
        Ok(_) => Ok(()),
        Err(_) => {
            anyhow::bail!("the clock of this machine is not between the years -9999 and 9999: set it right")
        }
    }
}

/// Brings to an end what a killed command began, before anything else looks at the project.
fn finish_interrupted(arguments: &Arguments, folder: &std::path::Path, printer: &Printer) {
    let acts = matches!(
        &arguments.command,
        Command::Run(_)
            | Command::Status
            | Command::Model(_)
            | Command::Rollout(_)
            | Command::Ledger(_)
            | Command::Serve(_)
            | Command::Gate(_)
            | Command::Data(_)
            | Command::Report(_)
            | Command::Ci(_)
            | Command::Deploy(_)
    );
    let Some(project) = acts.then(|| project(folder).ok()).flatten() else { return };
    let around = environment::surroundings();
    let recovered = modelgate_pipeline::recover(&project, &around);
    for sentence in &recovered.sentences {
        printer.warning(sentence);
    }
    for told in &recovered.notices {
        notify::tell(&project, told, &around, printer);
    }
    // The command goes on: it says itself what is wrong with the registry.
    if let Some(error) = &recovered.error {
        printer.warning(&format!("an interrupted command could not be completed: {error}"));
    }
}

fn folder(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let Some(folder) = &arguments.project_dir else {
        return std::env::current_dir().context("there is no current folder");
    };
    match fs_err::canonicalize(folder) {
        // As of `git -C`: every path that is relative, in whatever argument, is so to this folder.
        Ok(folder) if folder.is_dir() => {
            std::env::set_current_dir(&folder).with_context(|| format!("-C: `{}`", folder.display()))?;
            Ok(folder)
        }
        _ => Err(UsageError(format!("-C: there is no folder `{}`", folder.display())).into()),
    }
}

/// Opens the project in `folder`.
fn project(folder: &std::path::Path) -> anyhow::Result<Project> {
    Ok(find_project(folder)?)
}

/// Opens the project in `folder` for a command that needs no target: what is predicted may be declared later.
fn open_project(folder: &std::path::Path) -> anyhow::Result<Project> {
    Ok(Project::find_open(folder, &environment::variable)?)
}

/// Finds the project of `folder`, and says where its models find ONNX Runtime.
fn find_project(folder: &std::path::Path) -> Result<Project, PipelineError> {
    let project = Project::find(folder, &environment::variable)?;
    // What the variable says is known without a project, and is not relative to one.
    if environment::variable(onnxruntime::VARIABLE).is_none()
        && let Some(path) = &project.config.serve.onnxruntime
    {
        onnxruntime::name(project.root.join(path));
    }
    Ok(project)
}

/// Refuses a `MODELGATE_SIMD` that would be taken for none.
fn check_processor() -> anyhow::Result<()> {
    use modelgate_model::processor::{SETTINGS, VARIABLE};
    let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return Ok(()) };
    if SETTINGS.iter().any(|known| value == *known) {
        return Ok(());
    }
    let said = format!(
        "the environment variable {VARIABLE} is `{}`: expected `on` (what this processor has), `avx2` (AVX2 at most) \
         or `off`; results are the same",
        value.display()
    );
    Err(UsageError(said).into())
}

/// Refuses a `MODELGATE_SHOW_VALUES` that says neither yes nor no.
fn check_showing() -> anyhow::Result<()> {
    let name = environment::SHOW_VALUES;
    let Some(value) = environment::variable(name) else { return Ok(()) };
    if environment::yes_or_no(&value).is_some() {
        return Ok(());
    }
    let said = format!(
        "the environment variable {name} is `{value}`: expected `1` (values of rows are printed) or `0` (they are not)"
    );
    Err(UsageError(said).into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::check_clock;

    #[test]
    fn a_clock_beyond_what_can_be_written_is_told_of() {
        assert!(check_clock(SystemTime::now()).is_ok());
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(300_000_000_000);
        let error = check_clock(far).expect_err("year 11476").to_string();
        assert!(error.contains("set it right"), "{error}");
    }
}
