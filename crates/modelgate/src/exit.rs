//! The exit codes, in one place.

use std::process::ExitCode;

use modelgate_core::Verdict;
use modelgate_pipeline::{Interrupt, PipelineError};

use crate::printer::Printer;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// It did what was asked, and what was judged has passed.
    Passed = 0,
    /// Something went wrong while working.
    Error = 1,
    /// A gate said no, or a person did.
    Blocked = 2,
    /// A gate could not tell.
    Inconclusive = 3,
    /// A person must approve.
    WaitingForApproval = 4,
    /// The command line or the configuration is wrong (`EX_USAGE` of `sysexits.h`).
    Usage = 64,
    /// It was interrupted, by the signal of Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Failed => Self::Blocked,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}

/// Prints what clap says and maps its exit code.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    // Help and version go to stdout and are no error; a closed pipe is none either.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Passed.into() }
}

/// Prints an error with its causes and returns how the command ended.
pub(crate) fn of_error(error: &anyhow::Error, printer: &Printer) -> Exit {
    printer.error(error);
    let interrupted = |cause: &(dyn std::error::Error + 'static)| {
        let cause = cause.downcast_ref::<PipelineError>();
        matches!(cause, Some(PipelineError::Interrupted(Interrupt::Interrupt)))
    };
    if error.chain().any(interrupted) {
        return Exit::Interrupted;
    }
    let usage = error.chain().any(|cause| {
        cause.downcast_ref::<PipelineError>().is_some_and(PipelineError::is_usage)
            || cause.downcast_ref::<modelgate_config::ConfigError>().is_some()
            || cause.downcast_ref::<UsageError>().is_some()
    });
    if usage {
        return Exit::Usage;
    }
    // "Not good enough" is not "try again".
    let verdict = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<PipelineError>().and_then(PipelineError::verdict));
    verdict.map_or(Exit::Error, Exit::from)
}

/// Says that not all could be printed, and returns how a command that would have ended with `exit` ends: what was judged
/// stays what it is.
pub(crate) fn of_stdout(exit: Exit, printer: &Printer) -> Exit {
    let Some(error) = printer.unwritten() else { return exit };
    printer.error(&anyhow::anyhow!("stdout cannot be written: {error}; what the command did is done"));
    if exit == Exit::Passed { Exit::Error } else { exit }
}

/// The command line asks for something that makes no sense.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}
