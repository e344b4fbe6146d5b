//! The arguments of `ci`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Subcommand, Debug)]
pub(crate) enum Ci {
    /// Write workflows for GitHub Actions, a Makefile and a justfile; edited ones are shown and kept.
    Init(Init),
    /// Say the verdict on GitHub: one comment per pull request, a check run, the summary and outputs of the step.
    Comment(Comment),
    /// Say the verdict in the summary and outputs of the step alone, which needs no token; outside of a step, print the report.
    Summary(Summary),
    /// Print who approved the environment that this run waited for; who started it where nobody had to.
    Approver(Approver),
}

/// Where a model goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DeployTarget {
    /// Nowhere: the package is an artifact of the run.
    None,
    /// To a Space of the Hugging Face Hub, as `deploy.space` says.
    Space,
}

/// The arguments of `ci init`.
#[derive(Args, Debug, Default)]
pub(crate) struct Init {
    /// The pipeline; not needed when there is only one.
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: Option<String>,
    /// Where a model goes when it is in production; by default where the `deploy.yml` that is there brings it, else nowhere.
    #[arg(long, value_enum, value_name = "TARGET")]
    pub(crate) deploy: Option<DeployTarget>,
    /// The branch that pull requests go to; found out by default.
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,
    /// Write workflows beside those of another pipeline: `train-NAME.yml` and so on.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
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
    /// What tells this pipeline from another one of the same name, such as that of another folder: comment and check run are
    /// of `PIPELINE (NAME)` then.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Make no check run and no status.
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Keep an issue of this title open while the verdict is not `passed`, instead of a comment: for scheduled runs.
    #[arg(long, value_name = "TITLE")]
    pub(crate) issue: Option<String>,
    /// Show the plots in the comment: they are put on the branch `modelgate-assets`, which needs `contents: write`.
    #[arg(long)]
    pub(crate) assets: bool,
    /// Say this Markdown file instead of the report of the last run.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// The exit code of the run, empty when it never began: with one that is no verdict (other than 0, 2, 3, 4), say that this
    /// commit could not be judged.
    #[arg(long, value_name = "CODE", conflicts_with = "report")]
    pub(crate) run_code: Option<String>,
    /// Write nothing, and print each request that would be sent; with a token, what is there is read for it.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The arguments of `ci approver`.
#[derive(Args, Debug)]
pub(crate) struct Approver {
    /// The environment that the job waited for; what was said of another one does not count.
    #[arg(long, value_name = "NAME", default_value = "production")]
    pub(crate) environment: String,
}

/// The arguments of `ci summary`.
#[derive(Args, Debug)]
pub(crate) struct Summary {
    /// The pipeline; not needed when there is only one.
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: Option<String>,
}
