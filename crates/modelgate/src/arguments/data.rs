//! The arguments of `data`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
        /// Write the rows of the parts into this folder, as `train.command` gets them: `train.csv`, `validation.csv` and
        /// `test.csv`.
        #[arg(long, value_name = "FOLDER")]
        output: Option<PathBuf>,
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
    /// The pipeline; not needed when there is only one, or with `--data` and `--contract`.
    pub(crate) pipeline: Option<String>,
    /// Check this file or glob instead of the pipeline's source: read as `data` of the pipeline says, or of the one that has
    /// this source or this contract.
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
    /// Describe this file or glob instead of the pipeline's source: read as `data` of the pipeline says, or of the one that
    /// has this source.
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
    /// The version before: a file, a glob, a folder, a pointer file, a `.dvc` file, one of them in git as `REV:PATH`,
    /// `s3://…`, or a digest in the store.
    pub(crate) before: String,
    /// The version now.
    pub(crate) after: String,
    /// The column that identifies a row; may be given again. The pipeline's `data.key` by default, by content without one and
    /// where it repeats.
    #[arg(long = "key", value_name = "COLUMN")]
    pub(crate) key: Vec<String>,
    /// Compare rows by their content, whatever the pipeline's `data.key` is.
    #[arg(long, conflicts_with = "key")]
    pub(crate) no_key: bool,
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
    /// Reflink, else copy.
    Auto,
    /// Both share their blocks until one is changed.
    Reflink,
    /// Both are one file, which becomes read-only; one that lies outside of the project is copied.
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
    /// Data sets, by name, pointer file or source, files that DVC tracks or their `.dvc` files, and pipelines for what they
    /// read; all data sets and all that DVC tracks by default. A pointer file of another revision, `REV:data/NAME.modelgate`, brings its
    /// contents into the store and writes no file.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// `s3://bucket/prefix`, or a folder relative to the project; `data.remote` by default.
    #[arg(long, value_name = "URI")]
    pub(crate) remote: Option<String>,
    /// Overwrite files whose changes no snapshot has.
    #[arg(long)]
    pub(crate) force: bool,
    /// Remove files below the sources that no pointer file names, those whose contents the store has.
    #[arg(long)]
    pub(crate) prune: bool,
}
