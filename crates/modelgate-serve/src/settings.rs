//! What the service is told: by flags, variables and `modelgate.yaml`, checked before anything starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What is let through although the model was not trained on it. Everything is refused by default but a number
/// outside of the range of the training rows, which is answered and flagged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Leniency {
    /// A number outside of the range of the training rows is refused instead of flagged.
    pub reject_out_of_range: bool,
    /// A category that training did not see is refused.
    pub reject_unknown_category: bool,
    /// Features that the model does not have are passed over.
    pub extra_features: bool,
    /// A feature that may be null may be left out.
    pub missing_features: bool,
}

impl Default for Leniency {
    fn default() -> Self {
        Self {
            reject_out_of_range: false,
            reject_unknown_category: true,
            extra_features: false,
            missing_features: false,
        }
    }
}

/// What must be known of a package before it is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Require {
    /// A passed verdict, bound to the package's digest.
    #[default]
    Verdict,
    /// Its own digests; it is served, and shown as not verified.
    Digest,
}

/// A secret that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns whether `given` is the secret, in a time that does not depend on where they differ.
    pub fn is(&self, given: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), given).into()
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Where predictions are logged, one JSON line for each row that was answered.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum LogTarget {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// To a file that begins anew at `max_bytes`; the last `keep` of them stay as `FILE.1`, `FILE.2`, ….
    File {
        /// The file.
        path: PathBuf,
        /// Bytes of one file.
        max_bytes: u64,
        /// Old files that stay.
        keep: usize,
    },
}

/// How predictions are logged.
#[derive(Clone, PartialEq, Debug)]
pub struct PredictionLog {
    /// Where to.
    pub target: LogTarget,
    /// The share of requests that is logged, 0 to 1.
    pub sample: f64,
    /// Features whose values are not written.
    pub redact: Vec<String>,
    /// Lines that may wait for the writer; more are dropped and counted.
    pub queue: usize,
}

impl Default for PredictionLog {
    fn default() -> Self {
        Self { target: LogTarget::Off, sample: 1.0, redact: Vec::new(), queue: 10_000 }
    }
}

/// A certificate and its key, PEM.
#[derive(Clone, PartialEq, Debug)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What a caller may take up.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Rows of a request.
    pub batch_rows: usize,
    /// Predictions at the same time; more get 503 with `Retry-After`.
    pub concurrency: usize,
    /// Requests per second and address; 0 for any number. Twice as many may come at once.
    pub rate_per_second: u32,
    /// For the headers of a request.
    pub header_timeout: Duration,
    /// For the body of a request.
    pub read_timeout: Duration,
    /// Between SIGTERM, which turns readiness off, and the moment at which no connection is accepted any more.
    pub drain_delay: Duration,
    /// For requests under way after that.
    pub drain_timeout: Duration,
    /// Open connections.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 << 20,
            batch_rows: 1000,
            concurrency: 256,
            rate_per_second: 0,
            header_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            connections: 4096,
        }
    }
}

/// Everything the service is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// What must be known of a package.
    pub require: Require,
    /// Keys of which one must have signed a package; none for no signature.
    pub public_keys: Vec<modelgate_model::signing::PublicKey>,
    /// What is let through.
    pub leniency: Leniency,
    /// Only packages that take so many features.
    pub feature_dimension: Option<usize>,
    /// How often the source is asked for something newer; zero for never.
    pub refresh: Duration,
    /// How long a start may take that finds no model.
    pub startup_timeout: Duration,
    /// Whether the service ends when there is no model after that time, instead of waiting for one.
    pub require_model: bool,
    /// Where packages are kept for a start without the source.
    pub cache: Option<PathBuf>,
    /// Failures of the source in a row after which it is left alone for `breaker_timeout`.
    pub breaker_threshold: u32,
    /// For how long.
    pub breaker_timeout: Duration,
    /// Tries of one refresh.
    pub retry_attempts: u32,
    /// What the pause between two tries is multiplied by.
    pub retry_factor: f64,
    /// The token for `/admin`; without one it is closed.
    pub admin_token: Option<Secret>,
    /// The header that has it.
    pub admin_header: String,
    /// Keys of which one must come with a prediction, as `Authorization: Bearer` or `X-API-Key`; none for no key.
    pub api_keys: Vec<Secret>,
    /// The header with a caller's own number of a request.
    pub correlation_header: String,
    /// Origins whose pages may ask; `*` for all.
    pub cors_origins: Vec<String>,
    /// The limits.
    pub limits: Limits,
    /// Where predictions are logged.
    pub log: PredictionLog,
    /// A certificate, for TLS.
    pub tls: Option<Tls>,
    /// Threads that answer; the number of cores by default.
    pub threads: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            require: Require::default(),
            public_keys: Vec::new(),
            leniency: Leniency::default(),
            feature_dimension: None,
            refresh: Duration::from_secs(300),
            startup_timeout: Duration::from_secs(60),
            require_model: false,
            cache: None,
            breaker_threshold: 5,
            breaker_timeout: Duration::from_secs(60),
            retry_attempts: 3,
            retry_factor: 2.0,
            admin_token: None,
            admin_header: "X-Admin-Token".to_owned(),
            api_keys: Vec::new(),
            correlation_header: "X-Correlation-ID".to_owned(),
            cors_origins: Vec::new(),
            limits: Limits::default(),
            log: PredictionLog::default(),
            tls: None,
            threads: None,
        }
    }
}
