//! The arguments of `rollout`.

use std::path::PathBuf;

use clap::{Args, Subcommand, value_parser};
use modelgate_core::ModelName;
use modelgate_core::rollout::Percent;

/// What is done with a rollout. Each talks to the service at `serve.rollout.url` with `ADMIN_API_TOKEN`, and writes what
/// it did into the ledger.
#[derive(Subcommand, Debug)]
pub(crate) enum Rollout {
    /// Let a version answer the first share of the requests, beside the one in production.
    Start(Start),
    /// Show where a rollout stands, in the ledger and at the service, and what was counted.
    Status(Target),
    /// Give the canary the share of its next step; exits with 4 where that is more than half and waits for approval.
    Step(Move),
    /// Keep the canary at its share until somebody has looked.
    Pause(Move),
    /// Promote a canary that has taken all of its steps.
    Promote(Move),
    /// Put all traffic back on the version in production at once, and quarantine the canary, unless production has changed
    /// since it stood beside it.
    Abort(Move),
    /// Look at the canary for a while and judge it by rules; exits with 0 passed, 2 failed, 3 inconclusive.
    Watch(Box<Watch>),
}

/// Which rollout.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// The model; not needed when the project has one or, but for `start`, one rollout is under way.
    pub(crate) model: Option<ModelName>,
    /// The service, instead of `serve.rollout.url`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// The arguments of `rollout start`.
#[derive(Args, Debug)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The version (`3`, `v003`) or an alias; the newest by default.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// The shares in percent, one after another, such as `5,25,50,100`, instead of `serve.rollout.steps`.
    #[arg(long, value_name = "SHARES", value_delimiter = ',')]
    pub(crate) steps: Vec<Percent>,
    /// The share in percent of the other requests that the canary gets a copy of, instead of `serve.rollout.shadow`.
    #[arg(long, value_name = "SHARE")]
    pub(crate) shadow: Option<Percent>,
    /// Why; the ledger keeps it.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Say what would be done; the ledger and the service stay as they are.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The arguments of what moves a rollout.
#[derive(Args, Debug)]
pub(crate) struct Move {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Why; the ledger keeps it. An abort needs it.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Say what would be done; the ledger and the service stay as they are.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The arguments of `rollout watch`.
#[derive(Args, Debug)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) target: Target,
    /// For how long, such as `5m`, instead of `serve.rollout.window`.
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) window: Option<String>,
    /// The rule `rollout.error_rate <= SHARE`, beside `serve.rollout.rules` or what `--rule` gives, else beside the limit on
    /// refused requests that is there by default; of a canary at 0% that gets copies, `rollout.shadow_error_rate <= SHARE` too.
    #[arg(long, value_name = "SHARE")]
    pub(crate) max_error_rate: Option<f64>,
    /// A rule, such as `latency.p99_ms <= 50` or `latency.p99_ms <= stable + 20%`; may be given again. What is given here
    /// is judged by instead of `serve.rollout.rules`.
    #[arg(long = "rule", value_name = "RULE")]
    pub(crate) rules: Vec<String>,
    /// With fewer requests than this a rule is inconclusive, instead of `serve.rollout.min_samples`.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub(crate) min_samples: Option<u64>,
    /// When it passed, take the next step, unless somebody paused or moved the rollout, and write down what was found where
    /// there is none; otherwise pause.
    #[arg(long)]
    pub(crate) step: bool,
    /// When it failed, abort: all traffic goes back and the canary is quarantined.
    #[arg(long)]
    pub(crate) abort_on_failure: bool,
    /// Write what was counted and the verdict into this JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
