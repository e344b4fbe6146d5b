//! The arguments of `serve`. Each setting is also a variable, under the name that services of this kind have for it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand, ValueEnum, value_parser};
use modelgate_serve::settings::{IpNet, network};

/// The arguments of `serve`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Serve {
    #[command(subcommand)]
    pub(crate) command: Option<ServeCommand>,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ServeCommand {
    /// Look at a running service from outside, and judge what was seen by rules.
    Smoke(Smoke),
}

/// Where models come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ModelSource {
    /// The project's registry.
    Registry,
    /// A package folder, a folder of them, or a bucket.
    Local,
    /// An MLflow server.
    Mlflow,
}

/// Where a version must stand to be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum ServedStage {
    /// In production.
    #[default]
    Production,
    /// In staging.
    Staging,
}

/// What `serve` does with its service.
#[derive(Args, Debug)]
pub(crate) struct Service {
    /// Where models come from; `local` when a package is named, else `registry`.
    #[arg(long, env = "MODEL_SOURCE", value_enum, value_name = "SOURCE", help_heading = "Models")]
    pub(crate) source: Option<ModelSource>,
    /// A package folder, a folder of them such as models/packaged, either in a bucket as `s3://bucket/prefix`, or a
    /// model repository of the Hugging Face Hub as `hf://owner/model`, at the revision of `MODELGATE_MODEL_REVISION`.
    #[arg(long, env = "MODEL_PATH", value_name = "FOLDER", help_heading = "Models")]
    pub(crate) package: Option<PathBuf>,
    /// A package folder, or a folder of them, that stands in until the place of the models has answered once.
    #[arg(long, env = "MODEL_FALLBACK_PATH", value_name = "FOLDER", help_heading = "Models")]
    pub(crate) fallback: Option<PathBuf>,
    /// A PEM file with a public key: only what one of these keys signed is served; may be given again, and in the
    /// variable with commas. Those of the project by default, where `signing.require_signature` is set.
    #[arg(
        long = "public-key",
        env = "MODELGATE_PUBLIC_KEYS",
        value_delimiter = ',',
        value_name = "FILE",
        help_heading = "Models"
    )]
    pub(crate) public_keys: Vec<PathBuf>,
    /// The MLflow server, for `--source mlflow`, which also heeds `MLFLOW_TRACKING_USERNAME`, `_PASSWORD` and `_TOKEN`,
    /// and `MLFLOW_MODEL_NAME`, `_STAGE`, `_ALIAS` and `_VERSION`.
    #[arg(
        long,
        env = "MLFLOW_TRACKING_URI",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Models"
    )]
    pub(crate) mlflow: Option<String>,
    /// A model, or one version of it as NAME@VERSION or NAME@ALIAS; may be given again. Every model at the stage by default.
    /// Of packages, the model alone.
    #[arg(long = "model", value_name = "NAME[@VERSION]", help_heading = "Models")]
    pub(crate) models: Vec<String>,
    /// Where a version must stand; a package stands in none.
    #[arg(
        long,
        env = "MODEL_STAGE",
        value_enum,
        default_value_t,
        value_name = "STAGE",
        help_heading = "Models"
    )]
    pub(crate) stage: ServedStage,
    /// Where packages are kept for a start without the registry, in a folder for each source
    /// [default: .modelgate/cache/serve; without a project modelgate/serve in the person's cache; none for packages on this
    /// disk].
    #[arg(long, env = "MODEL_CACHE_DIR", value_name = "FOLDER", help_heading = "Models")]
    pub(crate) cache: Option<PathBuf>,
    /// Look for newer versions this often; 0 for never.
    #[arg(long, env = "MODEL_AUTO_REFRESH_SECONDS", default_value_t = 300, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(0..=3600), help_heading = "Models")]
    pub(crate) refresh: u64,
    /// End with an error when no model is there after --startup-timeout, instead of waiting for one.
    /// Also `serve.require_production_model`.
    #[arg(long, env = "REQUIRE_PRODUCTION_MODEL", action = clap::ArgAction::SetTrue,
        value_parser = BoolishValueParser::new(), help_heading = "Models")]
    pub(crate) require_model: bool,
    /// See --require-model; also `serve.startup_timeout_seconds` [default: 60].
    #[arg(long, env = "STARTUP_TIMEOUT_SECONDS", value_name = "SECONDS",
        value_parser = value_parser!(u64).range(1..=3600), help_heading = "Models")]
    pub(crate) startup_timeout: Option<u64>,
    /// Only packages that take so many features.
    #[arg(long, env = "EXPECTED_FEATURE_DIMENSION", value_name = "N",
        value_parser = value_parser!(u64).range(1..=1_000_000), help_heading = "Models")]
    pub(crate) feature_dimension: Option<u64>,
    /// Tries of one look at the registry; with an MLflow server also `MLFLOW_RETRY_MAX_ATTEMPTS` [default: 3].
    #[arg(long, env = "MODELGATE_RETRY_MAX_ATTEMPTS", value_name = "N",
        value_parser = value_parser!(u32).range(1..=20), help_heading = "Models")]
    pub(crate) retry_attempts: Option<u32>,
    /// What the pause between two tries is multiplied by; also `MLFLOW_RETRY_BACKOFF_FACTOR` [default: 2].
    #[arg(long, env = "MODELGATE_RETRY_BACKOFF_FACTOR", value_name = "FACTOR",
        value_parser = value_parser!(u32).range(1..=10), help_heading = "Models")]
    pub(crate) retry_factor: Option<u32>,
    /// Failures in a row after which the registry is left alone; also `MLFLOW_CIRCUIT_BREAKER_THRESHOLD` [default: 5].
    #[arg(long, env = "MODELGATE_CIRCUIT_BREAKER_THRESHOLD", value_name = "N",
        value_parser = value_parser!(u32).range(1..=100), help_heading = "Models")]
    pub(crate) breaker_threshold: Option<u32>,
    /// For how long it is left alone; also `MLFLOW_CIRCUIT_BREAKER_TIMEOUT` [default: 60].
    #[arg(long, env = "MODELGATE_CIRCUIT_BREAKER_TIMEOUT", value_name = "SECONDS",
        value_parser = value_parser!(u32).range(1..=3600), help_heading = "Models")]
    pub(crate) breaker_timeout: Option<u32>,

    /// The address to listen on; 0.0.0.0 for every one of this machine.
    #[arg(
        long,
        env = "HOST",
        default_value = "127.0.0.1",
        value_name = "ADDRESS",
        help_heading = "Connections"
    )]
    pub(crate) host: IpAddr,
    /// The port; 0 for any that is free.
    #[arg(long, env = "PORT", default_value_t = 8080, help_heading = "Connections")]
    pub(crate) port: u16,
    /// Threads that answer [default: the number of cores].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1024), help_heading = "Connections")]
    pub(crate) threads: Option<u64>,
    /// A certificate chain in PEM, for TLS; looked at again with the models, so that one that was renewed is used.
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Connections")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's private key in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate", help_heading = "Connections")]
    pub(crate) tls_key: Option<PathBuf>,
    /// An origin whose pages may ask, such as <https://app.example.com>, or `*`; may be given again.
    #[arg(long = "cors-origin", value_name = "ORIGIN", help_heading = "Connections")]
    pub(crate) cors_origins: Vec<String>,
    /// Reverse proxies that are believed when they say who asked, in `X-Forwarded-For` or `Forwarded`: networks or addresses,
    /// with commas [default: none].
    #[arg(long, env = "MODELGATE_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',',
        value_parser = network, help_heading = "Connections")]
    pub(crate) trusted_proxies: Vec<IpNet>,

    /// Rows of a request.
    #[arg(long, env = "MAX_BATCH_SIZE", default_value_t = 1000, value_name = "ROWS",
        value_parser = value_parser!(u64).range(1..=10_000), help_heading = "Limits")]
    pub(crate) max_batch: u64,
    /// Bytes of a body.
    #[arg(long, default_value_t = 8 << 20, value_name = "BYTES",
        value_parser = value_parser!(u64).range(1024..=1 << 30), help_heading = "Limits")]
    pub(crate) max_body: u64,
    /// Predictions at the same time; more get 503.
    #[arg(long, default_value_t = 256, value_name = "N",
        value_parser = value_parser!(u64).range(1..=100_000), help_heading = "Limits")]
    pub(crate) max_concurrency: u64,
    /// Open connections; more wait until one ends.
    #[arg(long, default_value_t = 4096, value_name = "N",
        value_parser = value_parser!(u64).range(1..=1_000_000), help_heading = "Limits")]
    pub(crate) max_connections: u64,
    /// Requests per second and address, 0 for any number; more get 429. Twice as many may come at once.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Limits")]
    pub(crate) rate_limit: u32,
    /// For the headers of a request once they have begun, and for the first request of a connection, in seconds.
    #[arg(long, default_value_t = 10, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(1..=3600), help_heading = "Limits")]
    pub(crate) header_timeout: u64,
    /// For the next request of a connection to begin, in seconds: longer than a proxy before the service keeps a connection.
    #[arg(long, env = "MODELGATE_IDLE_TIMEOUT", default_value_t = 75, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(1..=86_400), help_heading = "Limits")]
    pub(crate) idle_timeout: u64,
    /// For the body of a request, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(1..=3600), help_heading = "Limits")]
    pub(crate) read_timeout: u64,
    /// For a caller to take some of its answer, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(1..=3600), help_heading = "Limits")]
    pub(crate) write_timeout: u64,
    /// Between SIGTERM, which turns readiness off, and the last connection that is accepted, in seconds.
    #[arg(long, default_value_t = 0, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(0..=3600), help_heading = "Limits")]
    pub(crate) drain_delay: u64,
    /// For requests under way after that, in seconds; a second signal ends the service at once.
    #[arg(long, default_value_t = 30, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(0..=3600), help_heading = "Limits")]
    pub(crate) drain_timeout: u64,

    /// Log predictions: `-` for standard output, a file, `parquet:FOLDER`, or `loki:http://host:3100`, which heeds
    /// `MODELGATE_LOKI_TENANT`, `_USERNAME` and `_PASSWORD`.
    #[arg(long, env = "MODELGATE_PREDICTION_LOG", value_name = "TARGET", help_heading = "Prediction log")]
    pub(crate) log: Option<String>,
    /// The share of requests that is logged.
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", help_heading = "Prediction log")]
    pub(crate) log_sample: f64,
    /// Begin a new log file after so many bytes.
    #[arg(long, default_value_t = 100 << 20, value_name = "BYTES",
        value_parser = value_parser!(u64).range(4096..), help_heading = "Prediction log")]
    pub(crate) log_max_bytes: u64,
    /// Write a Parquet file after so many rows.
    #[arg(long, default_value_t = 10_000, value_name = "N",
        value_parser = value_parser!(u64).range(1..=10_000_000), help_heading = "Prediction log")]
    pub(crate) log_rows: u64,
    /// Write a Parquet file with fewer rows after so many seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(1..=86_400), help_heading = "Prediction log")]
    pub(crate) log_seconds: u64,
    /// Old log files that stay.
    #[arg(long, default_value_t = 5, value_name = "N", help_heading = "Prediction log")]
    pub(crate) log_keep: usize,
}

/// The arguments of `serve smoke`.
#[derive(Args, Debug)]
pub(crate) struct Smoke {
    /// Where the service is, such as <http://127.0.0.1:8080>.
    pub(crate) url: String,
    /// The model; not needed when one is served.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// A file of rows to send, the first 10000 of them; with the target column, accuracy is measured. Typical values by
    /// default.
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Option<PathBuf>,
    /// Predictions to ask for: the first so many rows of the file, or the rows again until there are so many
    /// [default: each row once, and 100 at least].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000))]
    pub(crate) requests: Option<u64>,
    /// Only wait until it is ready, and ask for no prediction; what a health check of a container does.
    #[arg(long, conflicts_with_all = ["rows", "rules", "output"])]
    pub(crate) ready: bool,
    /// How long readiness is waited for; and, in all, a service that says by 429 that it was asked too often.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = value_parser!(u64).range(0..=3600))]
    pub(crate) timeout: u64,
    /// A rule over `accuracy`, `error_rate`, `refused_rate`, `p50_ms`, `p95_ms`, `p99_ms`, such as `p95_ms <= 50`; may be
    /// given again. By default `error_rate <= 0.01`, `refused_rate <= 0.01`, `p95_ms <= 500` and, where the accuracy of a
    /// classifier is measured on --rows, `accuracy >= 0.7`: that of the gate is held to the gate's own limit alone.
    /// Without a single prediction it fails whatever the rules are.
    #[arg(long = "rule", value_name = "RULE")]
    pub(crate) rules: Vec<String>,
    /// Write what was seen and the verdict into this JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
