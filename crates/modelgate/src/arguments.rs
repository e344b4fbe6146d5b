//! The arguments, as `modelgate --help` shows them.

pub(crate) mod ci;
pub(crate) mod deploy;
pub(crate) mod rollout;
pub(crate) mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use modelgate_core::{Alias, Digest, ModelName};
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
    /// How data is printed on stdout.
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
    Data(Data),
    /// Judge figures by rules.
    #[command(subcommand)]
    Gate(Gate),
    /// List, approve, reject and promote versions.
    #[command(subcommand)]
    Model(Model),
    /// Answer predictions over HTTP with the models in production, verified before they are loaded.
    Serve(Box<serve::Serve>),
    /// Let a new version at a growing share of the requests, watch it, then promote or abort it.
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Make CI for a repository, and say a verdict there.
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
    /// The column to predict.
    #[arg(long, value_name = "COLUMN", default_value = "target")]
    pub(crate) target: String,
    /// What the model is for.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) task: TaskName,
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum TaskName {
    /// Predict a class.
    #[default]
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
pub(crate) enum Data {
    /// Check data against its contract, or write a first contract from it.
    Validate(DataValidate),
    /// Describe the columns: nulls, moments, quantiles, frequent values, histograms, correlations.
    Profile(DataProfile),
    /// Show how the rows are split, and what would leak.
    Split {
        /// The pipeline; not needed when there is only one.
        pipeline: Option<String>,
    },
    /// Compare two versions of a data set: columns, rows and values.
    Diff(DataDiff),
    /// Take a contract from the Open Data Contract Standard (ODCS v3), or give one to it.
    #[command(subcommand)]
    Contract(DataContract),
    /// Keep the contents of data sets, and write the pointer files that git versions in their place.
    Snapshot(DataSnapshot),
    /// Send contents to the remote, those that it does not have.
    Push(DataPush),
    /// Bring data sets back from the remote, and files that DVC tracks from its cache or remote.
    Pull(DataPull),
}

/// The arguments of `data validate`.
#[derive(Args, Debug)]
pub(crate) struct DataValidate {
    /// The pipeline; not needed when there is only one, or with `--data`.
    pub(crate) pipeline: Option<String>,
    /// Check this file or glob instead of the pipeline's source.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<String>,
    /// The contract; the pipeline's by default. With `--infer`, where it is written.
    #[arg(long, value_name = "FILE")]
    pub(crate) contract: Option<PathBuf>,
    /// Write a first contract from the data.
    #[arg(long)]
    pub(crate) infer: bool,
    /// With `--infer`: write over a contract that is there.
    #[arg(long, requires = "infer")]
    pub(crate) overwrite: bool,
    /// Read the contract as an Open Data Contract (ODCS v3), or with `--infer` write one.
    #[arg(long)]
    pub(crate) odcs: bool,
    /// Write the findings into this JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The arguments of `data profile`.
#[derive(Args, Debug)]
pub(crate) struct DataProfile {
    /// The pipeline; not needed when there is only one, or with `--data`.
    pub(crate) pipeline: Option<String>,
    /// Describe this file or glob instead of the pipeline's source.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<String>,
    /// Write one small page.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the description into this JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Contracts of other tools.
#[derive(Subcommand, Debug)]
pub(crate) enum DataContract {
    /// Read an open contract and write it as a contract of modelgate; what is not carried over is told.
    Import {
        /// The open contract, YAML.
        file: PathBuf,
        /// Write into this file instead of stdout.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write a contract of modelgate as an open contract.
    Export {
        /// The contract; that of the only pipeline by default.
        file: Option<PathBuf>,
        /// Write into this file instead of stdout.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// The arguments of `data diff`.
#[derive(Args, Debug)]
pub(crate) struct DataDiff {
    /// The version before: a file, a glob, a folder, a pointer file, one of them in git as `REV:PATH`, `s3://…`, or a digest
    /// in the store.
    pub(crate) before: String,
    /// The version now.
    pub(crate) after: String,
    /// The column that identifies a row; may be given again. By content without one.
    #[arg(long = "key", value_name = "COLUMN")]
    pub(crate) key: Vec<String>,
    /// Read both as `data` of this pipeline says; by default of the one whose source one of them is.
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: Option<String>,
    /// Where contents that a pointer file names are fetched from when the store lacks them; `data.remote` by default.
    #[arg(long, value_name = "URI")]
    pub(crate) remote: Option<String>,
    /// Exit with code 2 when there is a difference.
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// The arguments of `data snapshot`.
#[derive(Args, Debug)]
pub(crate) struct DataSnapshot {
    /// Pipelines, files, globs or folders; the sources of all pipelines by default.
    #[arg(value_name = "PATH|PIPELINE")]
    pub(crate) sources: Vec<String>,
    /// The data set's name; by default the pipeline's or the file's.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How files get into the store, instead of `data.link`.
    #[arg(long, value_enum, value_name = "LINK")]
    pub(crate) link: Option<LinkKind>,
}

/// How a file gets into the store and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LinkKind {
    /// Reflink, else hard link, else copy.
    Auto,
    /// Both share their blocks until one is changed.
    Reflink,
    /// Both are one file, which becomes read-only.
    Hardlink,
    /// Each has its own bytes.
    Copy,
}

/// The arguments of `data push`.
#[derive(Args, Debug)]
pub(crate) struct DataPush {
    /// Data sets, by name, pointer file or source; all by default.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// `s3://bucket/prefix`, or a folder relative to the project; `data.remote` by default.
    #[arg(long, value_name = "URI")]
    pub(crate) remote: Option<String>,
    /// Read every object that the remote has already, instead of going by its times or its checksum there.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Say what would be sent, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The arguments of `data pull`.
#[derive(Args, Debug)]
pub(crate) struct DataPull {
    /// Data sets, by name, pointer file or source, and files that DVC tracks or their `.dvc` files; all data sets, or
    /// else all that DVC tracks, by default. A pointer file of another revision, `REV:data/NAME.modelgate`, brings its
    /// contents into the store and writes no file.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// `s3://bucket/prefix`, or a folder relative to the project; `data.remote` by default.
    #[arg(long, value_name = "URI")]
    pub(crate) remote: Option<String>,
    /// Overwrite files whose changes no snapshot has.
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
    /// A rule such as `val_auc >= 0.92`; may be given again. Without one, the pipeline's rules.
    #[arg(long = "rule", value_name = "RULE")]
    pub(crate) rules: Vec<String>,
    /// Write metrics and verdict into this JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Model {
    /// List the models, or the versions of one.
    List {
        /// The model.
        model: Option<ModelName>,
    },
    /// Show one version.
    Show {
        /// The model.
        model: ModelName,
        /// A version (`3`, `v003`) or an alias.
        #[arg(default_value = "production")]
        version: String,
    },
    /// Put versions side by side.
    Compare(Compare),
    /// Take a model that was made elsewhere (ONNX, LightGBM's text, XGBoost's JSON): package it, evaluate and judge it
    /// here, register it; or read an archive that `model export` wrote into this project, whose registry is empty yet.
    Import(Import),
    /// Approve a candidate that passed its gate.
    Approve(Decision),
    /// Reject a candidate.
    Reject(Decision),
    /// Move an approved version to production.
    Promote(Promote),
    /// Go back to an earlier version of production; the one that is left is quarantined.
    Rollback(Rollback),
    /// Keep a version from production.
    Quarantine(Decision),
    /// Sign a version, or the package in a folder, with an ECDSA key.
    Sign(Sign),
    /// Check a version or a folder: digests, answers, signature.
    Verify(Verify),
    /// Remove artefacts that nothing needs any more.
    Gc {
        /// Show what would be removed.
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Remove it.
        #[arg(long)]
        yes: bool,
    },
    /// Write the whole registry, ledger and objects, into one archive.
    Export {
        /// The archive, a tar file.
        file: PathBuf,
    },
    /// Point an alias at a version.
    Alias {
        /// The model.
        model: ModelName,
        /// The alias.
        alias: Alias,
        /// A version (`3`, `v003`) or another alias.
        #[arg(required_unless_present = "delete")]
        version: Option<String>,
        /// Remove the alias.
        #[arg(long, conflicts_with = "version")]
        delete: bool,
        /// Why; the ledger keeps it.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Bring a package from the registry into a folder.
    Pull {
        /// The model.
        model: ModelName,
        /// A version (`3`, `v003`) or an alias.
        #[arg(default_value = "production")]
        version: String,
        /// The folder; `models/packaged/<model>` by default, and only for the version in production.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// The arguments of `model compare`.
#[derive(Args, Debug)]
pub(crate) struct Compare {
    /// The model.
    pub(crate) model: ModelName,
    /// Versions (`3`, `v003`) or aliases.
    #[arg(required = true, num_args = 1..)]
    pub(crate) versions: Vec<String>,
    /// The form; `--output-format json` wins.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) form: CompareForm,
}

/// The form of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum CompareForm {
    /// A table for a terminal.
    #[default]
    Text,
    /// A table for a comment.
    Markdown,
    /// One page.
    Html,
}

/// The arguments of `model import`.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The model's file, or the archive (`.tar`).
    pub(crate) file: PathBuf,
    /// What the graph must take and give: a JSON file, such as the `schema` of a manifest.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// The pipeline whose rows and rules judge it; not needed when there is only one.
    #[arg(long)]
    pub(crate) pipeline: Option<String>,
}

/// A version and why.
#[derive(Args, Debug)]
pub(crate) struct Decision {
    /// The model.
    pub(crate) model: ModelName,
    /// A version (`3`, `v003`) or an alias; the newest by default.
    pub(crate) version: Option<String>,
    /// Why; the ledger keeps it.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// The arguments of `model promote`.
#[derive(Args, Debug)]
pub(crate) struct Promote {
    #[command(flatten)]
    pub(crate) decision: Decision,
    /// Take it out of quarantine first; needs a reason, and the ledger keeps it.
    #[arg(long)]
    pub(crate) override_quarantine: bool,
    /// The version in production that this was decided on (`3`, `v003`), or `none`: where it is another by then, nothing is
    /// promoted. By default what is there when the command begins.
    #[arg(long, value_name = "VERSION")]
    pub(crate) over: Option<String>,
    /// A folder with a package that was made elsewhere: verified, judged here, and registered; a person then approves.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["version", "override_quarantine", "over"])]
    pub(crate) from_run: Option<PathBuf>,
}

/// The arguments of `model rollback`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Rollback {
    /// The model.
    pub(crate) model: ModelName,
    /// The version to go back to (`3`, `v003`); by default the production before this one.
    #[arg(long = "to-version", value_name = "N")]
    pub(crate) to_version: Option<String>,
    /// Why; needed, and the ledger keeps it. On a terminal it is asked for.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Ask nothing.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Do not look whether the target is whole and answers as it did; the ledger keeps it.
    #[arg(long)]
    pub(crate) skip_verification: bool,
    /// Take the target out of quarantine first; the ledger keeps it.
    #[arg(long)]
    pub(crate) override_quarantine: bool,
    /// Show what could be gone back to and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write that the rollback which is under way does not take place: for one whose machine is gone.
    #[arg(long, conflicts_with_all = ["to_version", "skip_verification", "override_quarantine", "dry_run"])]
    pub(crate) undo: bool,
}

/// The arguments of `model sign`.
#[derive(Args, Debug)]
pub(crate) struct Sign {
    /// The model; not with `--folder`.
    #[arg(required_unless_present = "folder", conflicts_with = "folder")]
    pub(crate) model: Option<ModelName>,
    /// A version (`3`, `v003`) or an alias; the newest by default.
    pub(crate) version: Option<String>,
    /// A PEM file with the private key, ECDSA on P-256.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Sign the files of this folder and write `model.sig` into it.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Why; the ledger keeps it.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// The arguments of `model verify`.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The model; not with `--folder`.
    #[arg(required_unless_present = "folder", conflicts_with = "folder")]
    pub(crate) model: Option<ModelName>,
    /// A version (`3`, `v003`) or an alias.
    #[arg(default_value = "production")]
    pub(crate) version: String,
    /// Check the signature of the files in this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// The signature; `model.sig` in the folder by default.
    #[arg(long, value_name = "FILE", requires = "folder")]
    pub(crate) signature: Option<PathBuf>,
    /// A PEM file with the public key; those of `signing.public_keys` by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
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
