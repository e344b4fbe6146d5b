//! The arguments of `deploy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use modelgate_core::ModelName;

#[derive(Subcommand, Debug)]
pub(crate) enum Deploy {
    /// Bring the version in production to a Space of the Hugging Face Hub: staging first, then a look at it, then production.
    Space(Space),
    /// Bring results to a branch of the git repository, without a checkout.
    UpdateBranch(UpdateBranch),
    /// Print what a deployment needs to know: the last run's, brought up to date by the registry.
    Manifest(Manifest),
    /// Record in the ledger that a version was brought to a place that serves it.
    Record(Record),
    /// Write a Dockerfile, a compose.yaml and a Prometheus configuration; edited ones are shown and kept.
    Docker(Docker),
}

/// Which Space is brought up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OnlySpace {
    /// The one that a version is tried in.
    Staging,
}

/// The arguments of `deploy space`.
#[derive(Args, Debug)]
#[command(
    after_help = "The token comes from HF_TOKEN, from the file of HF_TOKEN_PATH, or from where `hf auth login` \
    leaves it; HF_ENDPOINT names another Hub."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Space {
    /// The model, which is that of `deploy.space.model` or of the only pipeline; no other gets into that Space.
    pub(crate) model: Option<ModelName>,
    /// A version (`3`, `v003`) or an alias.
    #[arg(default_value = "production")]
    pub(crate) version: String,
    /// Bring it to the staging Space and no further; an approved version will do then.
    #[arg(long, value_enum, value_name = "SPACE", conflicts_with = "rollback")]
    pub(crate) only: Option<OnlySpace>,
    /// Let the Space serve this version again, which was there before: a variable and a restart, no build and no staging.
    #[arg(long)]
    pub(crate) rollback: bool,
    /// Stop the Space, where nothing may be served any more: it answers nobody until something is deployed to it again.
    #[arg(long, conflicts_with_all = ["version", "only", "rollback", "include_reference_rows", "reason"])]
    pub(crate) stop: bool,
    /// Let `reference.parquet`, rows of the training data, leave with the package.
    #[arg(long)]
    pub(crate) include_reference_rows: bool,
    /// A file with the token of the Hub.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Why; the ledger keeps it.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Send nothing, and print each request that would be sent.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The arguments of `deploy update-branch`.
#[derive(Args, Debug)]
pub(crate) struct UpdateBranch {
    /// The branch.
    #[arg(default_value = "update")]
    pub(crate) branch: String,
    /// A file or folder of the project whose content takes the place of what the branch has there; may be given again. By
    /// default each file and folder in `outputs` here: those of pipelines without results here stay on the branch.
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// The remote; `origin` by default, and the local branch alone when there is none.
    #[arg(long, value_name = "REMOTE")]
    pub(crate) remote: Option<String>,
    /// The message of the commit.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Who the commit is by; git's `user.name` by default.
    #[arg(long, env = "GIT_AUTHOR_NAME", value_name = "NAME", requires = "email")]
    pub(crate) name: Option<String>,
    /// Their address; git's `user.email` by default.
    #[arg(long, env = "GIT_AUTHOR_EMAIL", value_name = "ADDRESS", requires = "name")]
    pub(crate) email: Option<String>,
    /// Let the results go beside code, into a branch that was not made for them.
    #[arg(long)]
    pub(crate) force: bool,
    /// Print the files that would go there, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The arguments of `deploy manifest`.
#[derive(Args, Debug)]
pub(crate) struct Manifest {
    /// The pipeline; not needed when there is only one.
    pub(crate) pipeline: Option<String>,
    /// Exit with code 2 when there is nothing to deploy.
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// The arguments of `deploy docker`.
#[derive(Args, Debug)]
pub(crate) struct Docker {
    /// The model; not needed when there is only one pipeline.
    pub(crate) model: Option<ModelName>,
    /// Write the workflow of the image beside that of another model, `image-NAME.yml`; files for Docker that are there stay.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Overwrite files that were edited.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write nothing and show what would be; exits with 2 when a file differs.
    #[arg(long, conflicts_with = "force")]
    pub(crate) check: bool,
}

/// The arguments of `deploy record`.
#[derive(Args, Debug)]
pub(crate) struct Record {
    /// The model.
    pub(crate) model: ModelName,
    /// A version (`3`, `v003`) or an alias.
    #[arg(default_value = "production")]
    pub(crate) version: String,
    /// The place, such as `kubernetes/prod`.
    #[arg(long, value_name = "PLACE")]
    pub(crate) target: String,
    /// Why; the ledger keeps it.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}
