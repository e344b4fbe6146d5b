//! What the service is told: by flags, variables and `modelgate.yaml`, checked before anything starts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use ipnet::IpNet;

pub use crate::secret::Secret;

/// What is let through although the model was not trained on it. Everything is refused by default but a number
/// outside of the range of the training rows, which is answered and flagged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Leniency {
    /// A number outside of the range of the training rows is refused instead of flagged.
    pub reject_out_of_range: bool,
    /// A number that the data contract does not allow is refused.
    pub reject_out_of_contract: bool,
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
            reject_out_of_contract: true,
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

/// Reads a network, such as `10.0.0.0/8`, or the address of one machine.
///
/// # Errors
/// Says what is expected.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| "expected a network such as `10.0.0.0/8`, or an address".to_owned())?;
    Ok(canonical(network))
}

/// Returns a network as the addresses in it are compared: of version 4 also where it is written in version 6.
fn canonical(network: IpNet) -> IpNet {
    /// Bits of version 6 before an address of version 4.
    const BEFORE: u8 = 96;
    let written = match (network.addr().to_canonical(), network.prefix_len().checked_sub(BEFORE)) {
        (IpAddr::V4(address), Some(bits)) if matches!(network, IpNet::V6(_)) => {
            IpNet::new(address.into(), bits).ok()
        }
        _ => None,
    };
    written.unwrap_or(network)
}

/// Returns whether a header has a meaning of its own in requests or answers: a number in it would change them, and what
/// is secret in it would be sent back.
pub fn is_taken_header(name: &str) -> bool {
    const TAKEN: [&str; 26] = [
        "allow",
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "date",
        "etag",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "location",
        "retry-after",
        "server",
        "set-cookie",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "via",
        "www-authenticate",
        "x-api-key",
        "x-content-type-options",
    ];
    const FAMILIES: [&str; 6] =
        ["access-control-", "content-", "modelgate-", "proxy-", "sec-", "x-forwarded-"];
    let name = name.to_ascii_lowercase();
    TAKEN.contains(&name.as_str()) || FAMILIES.iter().any(|family| name.starts_with(family))
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
    /// Into Parquet files.
    Parquet(ParquetFolder),
    /// To Grafana Loki.
    Loki(Loki),
}

/// A folder with a folder of Parquet files for each model.
#[derive(Clone, PartialEq, Debug)]
pub struct ParquetFolder {
    /// The folder.
    pub folder: PathBuf,
    /// Rows after which a file is written.
    pub rows: usize,
    /// Time after which one is written that has fewer.
    pub every: Duration,
}

/// A Loki server.
#[derive(Clone, PartialEq, Debug)]
pub struct Loki {
    /// Such as `http://loki:3100`.
    pub address: String,
    /// The tenant, for `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// User and password.
    pub login: Option<(String, Secret)>,
}

/// How loud the service is on standard error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum TalkLevel {
    /// Everything.
    #[default]
    Info,
    /// What somebody may want to look at.
    Warning,
    /// Only what ends the service.
    Error,
}

impl TalkLevel {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What the service says on standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Talk {
    /// From which level on.
    pub level: TalkLevel,
    /// Whether each line is JSON.
    pub json: bool,
}

impl Talk {
    /// Returns a line of level `info` as it is written, with its end; none when that is not loud enough.
    pub fn line(self, sentence: &str) -> Option<String> {
        (self.level == TalkLevel::Info).then(|| crate::telemetry::line(self, TalkLevel::Info, sentence))
    }
}

/// Which traces are sent off.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Sampler {
    /// Every one.
    #[default]
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share.
    Ratio(f64),
    /// Those that the caller's are, else every one.
    ParentAlwaysOn,
    /// Those that the caller's are, else none.
    ParentAlwaysOff,
    /// Those that the caller's are, else this share.
    ParentRatio(f64),
}

impl Sampler {
    /// Decides by what the caller decided and by a number of the trace, of 63 bits.
    pub(crate) fn takes(self, parent: Option<bool>, chance: u64) -> bool {
        let share = |ratio: f64| (chance as f64) < ratio * (1_u64 << 63) as f64;
        match (self, parent) {
            (Self::AlwaysOn, _) | (Self::ParentAlwaysOn, None) => true,
            (Self::AlwaysOff, _) | (Self::ParentAlwaysOff, None) => false,
            (Self::Ratio(ratio), _) | (Self::ParentRatio(ratio), None) => share(ratio),
            (_, Some(parent)) => parent,
        }
    }
}

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Traces {
    /// The whole address, such as `http://collector:4318/v1/traces`.
    pub endpoint: String,
    /// Headers that go along, such as one with a key.
    pub headers: Vec<(String, Secret)>,
    /// What the service is called and where it runs: `service.name` and others.
    pub resource: Vec<(String, String)>,
    /// Which are sent.
    pub sampler: Sampler,
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
}

impl Default for PredictionLog {
    fn default() -> Self {
        Self { target: LogTarget::Off, sample: 1.0, redact: Vec::new() }
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
    /// For the headers of a request, once they have begun; for the first request of a connection, once that is open.
    pub header_timeout: Duration,
    /// For the next request of a connection to begin.
    pub idle_timeout: Duration,
    /// For the body of a request.
    pub read_timeout: Duration,
    /// For a caller to take some of its answer.
    pub write_timeout: Duration,
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
            // Longer than the minute for which load balancers keep a connection: who closes first must not be the service.
            idle_timeout: Duration::from_secs(75),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
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
    /// The header with the key by which a caller is given a version, while there is a canary.
    pub key_header: String,
    /// Origins whose pages may ask; `*` for all.
    pub cors_origins: Vec<String>,
    /// Reverse proxies that are believed when they say who asked them.
    pub trusted_proxies: Vec<IpNet>,
    /// The limits.
    pub limits: Limits,
    /// Where predictions are logged.
    pub log: PredictionLog,
    /// What is said on standard error.
    pub talk: Talk,
    /// Where traces go; only in builds with the feature `otlp`.
    pub traces: Option<Traces>,
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
            key_header: "modelgate-key".to_owned(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            log: PredictionLog::default(),
            talk: Talk::default(),
            traces: None,
            tls: None,
            threads: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_the_protocol_has_no_number_of_a_request() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "X-API-Key",
            "Set-Cookie",
            "modelgate-model-version",
            "traceparent",
            "TraceState",
            "Server",
            "ETag",
            "Forwarded",
            "X-Forwarded-For",
        ] {
            assert!(is_taken_header(name), "{name}");
        }
        let settings = Settings::default();
        for name in [&settings.correlation_header, &settings.admin_header, "X-Request-ID", "Request-Id"] {
            assert!(!is_taken_header(name), "{name}");
        }
    }

    #[test]
    fn a_network_of_addresses_that_are_written_in_version_6_is_one_of_version_4() {
        for (written, meant) in [
            ("::ffff:127.0.0.0/104", "127.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            (" 10.0.0.0/8 ", "10.0.0.0/8"),
            ("fd00::/8", "fd00::/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(
                network(written).map(|network| network.to_string()),
                Ok(meant.to_owned()),
                "{written}"
            );
        }
        assert!(network("::ffff:127.0.0.0/129").is_err());
    }

    #[test]
    fn a_sampler_heeds_the_caller_where_it_is_told_to() {
        let low = 1_u64 << 60;
        let high = (1_u64 << 63) - 1;
        assert!(Sampler::AlwaysOn.takes(Some(false), high) && !Sampler::AlwaysOff.takes(Some(true), 0));
        assert!(Sampler::Ratio(0.5).takes(Some(false), low) && !Sampler::Ratio(0.5).takes(Some(true), high));
        assert!(!Sampler::ParentAlwaysOn.takes(Some(false), 0) && Sampler::ParentAlwaysOn.takes(None, high));
        assert!(Sampler::ParentAlwaysOff.takes(Some(true), 0) && !Sampler::ParentAlwaysOff.takes(None, 0));
        assert!(
            Sampler::ParentRatio(0.0).takes(Some(true), high) && !Sampler::ParentRatio(0.0).takes(None, 0)
        );
    }
}
