//! The arguments, as `modelgate --help` shows them.

mod blamed;
pub(crate) mod ci;
pub(crate) mod data;
pub(crate) mod deploy;
pub(crate) mod model;
pub(crate) mod rollout;
pub(crate) mod serve;
mod unset;

/// Reads what was typed and what the environment and a `.env` file say.
///
/// # Errors
/// Says what is wrong, or is what was asked for in place of a command, such as the version.
pub(crate) fn read() -> Result<Arguments, clap::Error> {
    let file = crate::dotenv::load();
    let read = read_words();
    // Who asks for help gets it, whatever stands in a file.
    let is_help = read.as_ref().is_err_and(|asked| !asked.use_stderr());
    match file {
        Err(wrong) if !is_help => Err(clap::Error::raw(ErrorKind::ValueValidation, format!("{wrong}\n"))),
        _ => read,
    }
}

fn read_words() -> Result<Arguments, clap::Error> {
    let mut command = unset::without_empty(Arguments::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    let read = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    read.map_err(|error| {
        let words = std::env::args_os().skip(1);
        let typed: Vec<String> = words.map(|word| word.to_string_lossy().into()).collect();
        blamed::blamed(error.format(&mut command), &command, &typed)
    })
}

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use modelgate_core::{Digest, ModelName};
use modelgate_pipeline::{Sample, Stage};

/// CI/CD for machine-learning models: version data, train, evaluate, gate, register, approve, package.
#[derive(Parser, Debug)]
#[command(name = "modelgate", version, about, max_term_width = 110, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 passed · 1 an error while working · 2 blocked · 3 inconclusive · \
    4 waiting for approval · 64 wrong usage or configuration · 130 interrupted")]
pub(crate) struct Arguments {
    /// Work in this folder instead of the current one.
    #[arg(short = 'C', long = "project-dir", global = true, value_name = "DIR")]
    pub(crate) project_dir: Option<PathBuf>,
    /// How data is printed on stdout; errors are text on stderr, and stdout is empty then.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output_format: OutputFormat,
    /// Print no talk on stderr but errors.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The form of data on stdout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Write a first modelgate.yaml.
    Init(Init),
    /// Run a pipeline from data to production, skipping what did not change.
    Run(Run),
    /// Show what is in production, what waits, and what the last run did.
    Status,
    /// Version, share, check, describe, split and compare data.
    #[command(subcommand)]
    Data(data::Data),
    /// Judge figures by rules.
    #[command(subcommand)]
    Gate(Gate),
    /// List, approve, reject and promote versions.
    #[command(subcommand)]
    Model(model::Model),
    /// Answer predictions over HTTP with the models in production, verified before they are loaded.
    Serve(Box<serve::Serve>),
    /// Give a new version a growing share of the requests, watch it, then promote or abort it.
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Write CI workflows, and report a verdict on GitHub.
    #[command(subcommand)]
    Ci(ci::Ci),
    /// Bring a model or its results to where they are used, and record it.
    #[command(subcommand)]
    Deploy(deploy::Deploy),
    /// Print a report of the last run.
    Report(Report),
    /// Show the stages and what each reads.
    Dag(Dag),
    /// Say what works here, what is missing, and how to get it.
    Doctor,
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Read the append-only ledger.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Show and check the configuration.
    #[command(subcommand)]
    Config(Config),
}

/// The arguments of `init`.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// The CSV file with the training data, relative to the project.
    #[arg(long, value_name = "FILE", default_value = "data/raw/data.csv")]
    pub(crate) source: String,
    /// The column to predict; `target` by default.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) target: Option<String>,
    /// What the model is for; by default what the values of the target look like.
    #[arg(long, value_enum)]
    pub(crate) task: Option<TaskName>,
    /// What to start from; `--task` is not needed with it.
    #[arg(long, value_enum, conflicts_with = "task")]
    pub(crate) template: Option<TemplateName>,
    /// The project's name; the folder's by default.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Write the workflows of `ci init` too.
    #[arg(long)]
    pub(crate) ci: bool,
}

/// A task that `init` can set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TaskName {
    /// Predict a class.
    Classification,
    /// Predict a number.
    Regression,
}

/// What `init` starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TemplateName {
    /// Predict a class.
    Classification,
    /// Predict a number.
    Regression,
    /// A program of yours trains; writes a scikit-learn script to begin with.
    BringYourOwn,
}

/// The arguments of `run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The pipeline; not needed when there is only one.
    pub(crate) pipeline: Option<String>,
    /// Run this stage alone.
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["from", "until"])]
    pub(crate) only: Option<Stage>,
    /// Run this stage and those behind it.
    #[arg(long, value_name = "STAGE", conflicts_with = "until")]
    pub(crate) from: Option<Stage>,
    /// Run up to and with this stage.
    #[arg(long, value_name = "STAGE")]
    pub(crate) until: Option<Stage>,
    /// Take only so many rows (`500`) or such a share (`10%`); the result is judged and never registered.
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<Sample>,
    /// Say what would run and why, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Run stages whose inputs did not change as well.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Gate {
    /// Judge a file of metrics, a run, or the pipeline's last evaluation.
    Check(GateCheck),
    /// Say what each rule asks, what was found, and what so many rows can show.
    Explain {
        /// The pipeline; not needed when there is only one.
        pipeline: Option<String>,
    },
    /// Ask the gate about models that it must refuse: one trained on permuted labels, and production damaged.
    Selftest {
        /// The pipeline; not needed when there is only one.
        pipeline: Option<String>,
    },
}

/// The arguments of `report`.
#[derive(Args, Debug)]
pub(crate) struct Report {
    /// The form.
    #[arg(value_enum)]
    pub(crate) form: ReportForm,
    /// The pipeline; not needed when there is only one.
    pub(crate) pipeline: Option<String>,
    /// Write it into this file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The form of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ReportForm {
    /// A comment on a change: verdict first, then rule by rule.
    Markdown,
    /// One page with the plots inside.
    Html,
    /// A model card with the metadata that Hugging Face reads.
    Card,
    /// A test case per rule.
    Junit,
    /// Results for code scanning.
    Sarif,
    /// The verdict.
    Json,
}

/// The arguments of `dag`.
#[derive(Args, Debug)]
pub(crate) struct Dag {
    /// Print a Mermaid diagram.
    #[arg(long)]
    pub(crate) mermaid: bool,
}

/// The arguments of `gate check`.
#[derive(Args, Debug)]
pub(crate) struct GateCheck {
    /// A JSON file of metrics that any tool wrote; nested objects become dotted names.
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    pub(crate) metrics: Option<PathBuf>,
    /// A run by its id, or the last run of a pipeline by the pipeline's name.
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) run: Option<String>,
    /// A rule such as `val_auc >= 0.92`; may be given again. Without one, the pipeline's rules; a file of metrics needs one.
    #[arg(long = "rule", value_name = "RULE")]
    pub(crate) rules: Vec<String>,
    /// Write metrics and verdict into this JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Ledger {
    /// Print the events, oldest first.
    Log {
        /// Only those of this model.
        #[arg(long)]
        model: Option<ModelName>,
        /// Only the last so many.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
    },
    /// Check the hash chain and the artefacts that it names, or an exported ledger.
    Verify {
        /// A file that `ledger export` wrote.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// The hash of an event that is known to be there, as an earlier `ledger verify` printed it: events removed at
        /// the end are found by it.
        #[arg(long, value_name = "SHA256")]
        head: Option<Digest>,
    },
    /// Go on from the ledger as it is although this project has seen events that it lacks, after a restore from an older
    /// backup, or has seen another registry. What is given up is kept in `.modelgate/accepted.jsonl`.
    Accept {
        /// The hash of the ledger's last event, or `none` for a ledger that is to begin anew.
        #[arg(long, value_name = "SHA256")]
        head: LedgerHead,
        /// Why; needed.
        #[arg(long)]
        reason: String,
    },
    /// Write the events as JSON lines, which `ledger verify --file` checks.
    Export {
        /// The file; stdout by default.
        file: Option<PathBuf>,
    },
    /// Show what was in production at a time.
    At {
        /// A time in RFC 3339, such as `2026-10-03T12:00:00Z`.
        time: String,
    },
}

/// Where a ledger ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LedgerHead(pub(crate) Option<Digest>);

impl std::str::FromStr for LedgerHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            _ => text.parse().map(|digest| Self(Some(digest))).map_err(|error| format!("{error}, or `none`")),
        }
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum Config {
    /// Print the configuration with every default filled in.
    Show {
        /// Print one key per line and where its value comes from.
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON schema of modelgate.yaml.
    Schema,
    /// Check modelgate.yaml.
    Check,
}
