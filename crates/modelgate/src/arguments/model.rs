//! The arguments of `model`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use modelgate_core::{Alias, ModelName};

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
    /// Move a version that passed its gate to staging, approved or not: `serve --stage staging` serves it, beside what is in
    /// production.
    Stage(Decision),
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
        /// Leave out objects that are missing or damaged, and name them, in place of writing no archive. One that lacks some
        /// is read in all the same, and says what it lacks.
        #[arg(long)]
        leave_out_damaged: bool,
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
        /// Say what would be done, and what stands against it; write nothing.
        #[arg(long)]
        dry_run: bool,
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
    /// Say what would be done, and what stands against it; write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
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
    #[arg(long, value_name = "DIR", conflicts_with_all = ["version", "override_quarantine", "over", "dry_run"])]
    pub(crate) from_run: Option<PathBuf>,
}

/// The arguments of `model rollback`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Rollback {
    /// The model.
    pub(crate) model: ModelName,
    /// The version to go back to (`3`, `v003`); by default the production before this one, or the last one where nothing is
    /// in production.
    #[arg(long = "to-version", value_name = "N")]
    pub(crate) to_version: Option<String>,
    /// The version in production that this was decided on (`3`, `v003`): where it is another one or none by then, nothing is
    /// rolled back.
    /// By default what is there when the command begins.
    #[arg(long, value_name = "VERSION")]
    pub(crate) from: Option<String>,
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
    /// Where there is no version to go back to, quarantine the one in production all the same: nothing is in production then.
    #[arg(long, requires = "yes", conflicts_with_all = ["to_version", "undo", "dry_run"])]
    pub(crate) or_none: bool,
    /// Show what could be gone back to, and what stands against `--to-version` and `--from`; write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write that the rollback which is under way does not take place: for one whose machine is gone.
    #[arg(long, conflicts_with_all = ["to_version", "from", "skip_verification", "override_quarantine", "dry_run"])]
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
    /// A PEM file with the private key, ECDSA on P-256, P-384 or P-521.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Sign the files of this folder and write `model.sig` into it.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Sign a quarantined version too, for a way back to production.
    #[arg(long)]
    pub(crate) override_quarantine: bool,
    /// Why; the ledger keeps it.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Say what would be done, and what stands against it; write nothing.
    #[arg(long, conflicts_with = "folder")]
    pub(crate) dry_run: bool,
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
    /// Check the signature of the files in this folder; of a package that nobody signed, that its files are those of its manifest.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// The signature; `model.sig` in the folder by default.
    #[arg(long, value_name = "FILE", requires = "folder")]
    pub(crate) signature: Option<PathBuf>,
    /// A PEM file with the public key; those of `signing.public_keys` by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}
