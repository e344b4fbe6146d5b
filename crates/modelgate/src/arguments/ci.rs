//! The arguments of `ci`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Subcommand, Debug)]
pub(crate) enum Ci {
    /// Write workflows for GitHub Actions, a Makefile and a justfile; edited ones are shown and kept.
    Init(Init),
    /// Say the verdict on GitHub: one comment per pull request, a check run, the summary and outputs of the step.
    Comment(Comment),
}

/// Where a model goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum DeployTarget {
    /// Nowhere: the package is an artifact of the run.
    #[default]
    None,
}

/// The arguments of `ci init`.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// The pipeline; not needed when there is only one.
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: Option<String>,
    /// Where a model goes when it is in production.
    #[arg(long, value_enum, default_value_t, value_name = "TARGET")]
    pub(crate) deploy: DeployTarget,
    /// Overwrite files that were edited.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write nothing and show what would be; exits with 2 when a file differs.
    #[arg(long, conflicts_with = "force")]
    pub(crate) check: bool,
}

/// The arguments of `ci comment`.
#[derive(Args, Debug)]
pub(crate) struct Comment {
    /// The pipeline; not needed when there is only one.
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: Option<String>,
    /// Make no check run and no status.
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Say this Markdown file instead of the report of the last run.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Send nothing, and print each request that would be sent.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
