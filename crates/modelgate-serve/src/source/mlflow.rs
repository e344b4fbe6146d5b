//! An MLflow server (REST API 2.0, as of MLflow 3.17): registered models by stage, alias or version, whose artifacts are
//! packages as `modelgate` makes them.
//!
//! Stages: `registered-models/get-latest-versions`; aliases: `registered-models/alias`; versions: `model-versions/get`;
//! the place of the artifacts: `model-versions/get-download-uri`. Artifacts that the server hands out itself
//! (`mlflow-artifacts:`) come from its artifact routes, others through `model-versions/get-artifact`, for which the server
//! reads them.

use std::time::Duration;

use modelgate_core::{Digest, ModelName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::offered::Places;
use super::{Files, MANIFEST, Offer, Offered, Source, figures, files_by_name, no_canary, offer_of};
use crate::client::client;
use crate::error::SourceError;
use crate::settings::Secret;

/// Bytes of one file of a package.
const FILE_BYTES: u64 = 4 << 30;
const ANSWER_BYTES: u64 = 16 << 20;
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
const DOWNLOAD: Duration = Duration::from_secs(600);
/// Registered models that are looked at when none is named.
const MODELS: usize = 1000;
/// Models in a row whose artifacts cannot be fetched, after which the rest is not tried.
const UNREACHED: usize = 3;

/// Which version of a registered model.
#[derive(Clone, PartialEq, Debug)]
pub enum MlflowVersion {
    /// The latest in a stage, such as `Production`.
    Stage(String),
    /// The one that an alias names.
    Alias(String),
    /// This one.
    Number(u64),
}

/// How the server knows who asks.
#[derive(Clone, Debug, Default)]
pub enum MlflowLogin {
    /// It does not.
    #[default]
    None,
    /// A user and a password.
    Basic(String, Secret),
    /// A token.
    Bearer(Secret),
}

/// Where the server is and what is asked of it.
#[derive(Clone, Debug)]
pub struct MlflowOptions {
    /// Such as `https://host/mlflow`, with the prefix of a proxy where there is one.
    pub address: String,
    /// How it knows who asks.
    pub login: MlflowLogin,
    /// The registered model; every one that has such a version when there is none.
    pub model: Option<String>,
    /// Which version.
    pub version: MlflowVersion,
}

/// Models from an MLflow server.
#[derive(Debug)]
pub struct MlflowSource {
    agent: ureq::Agent,
    options: MlflowOptions,
    /// What was offered last, with the places of the files.
    found: Vec<(Offer, ModelVersion)>,
    places: Places,
    server_version: Option<String>,
}

/// The part of a model version that is used here.
#[derive(Clone, Debug, Deserialize)]
struct ModelVersion {
    name: String,
    version: Text,
    #[serde(default)]
    current_stage: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    artifacts: String,
}

/// A number as text, or text: servers differ.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Number(u64),
}

impl Text {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl MlflowSource {
    /// Serves what `options` name.
    ///
    /// # Errors
    /// Fails when the address is none; nothing is asked yet.
    pub fn new(mut options: MlflowOptions) -> Result<Self, String> {
        let address = options.address.trim().trim_end_matches('/').to_owned();
        let uri = address.parse::<ureq::http::Uri>().ok().filter(|uri| {
            ["http", "https"].contains(&uri.scheme_str().unwrap_or_default())
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        let Some(uri) = uri else {
            return Err("the address of the MLflow server: expected `http://host:port` or `https://host/prefix`; files \
                        and databases of MLflow are not read"
                .to_owned());
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(
                "the address of the MLflow server holds a password: give it in MLFLOW_TRACKING_USERNAME and \
                        MLFLOW_TRACKING_PASSWORD"
                    .to_owned(),
            );
        }
        if uri.query().is_some() {
            return Err("the address of the MLflow server ends before the `?`".to_owned());
        }
        options.address = address;
        let config = client(&options.address)
            .max_redirects(3)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .build();
        Ok(Self {
            agent: config.into(),
            options,
            found: Vec::new(),
            places: Places::default(),
            server_version: None,
        })
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        use base64::Engine as _;
        match &self.options.login {
            MlflowLogin::None => request,
            MlflowLogin::Bearer(token) => {
                request.header("authorization", format!("Bearer {}", token.expose()))
            }
            MlflowLogin::Basic(user, password) => {
                let both = format!("{user}:{}", password.expose());
                let both = base64::engine::general_purpose::STANDARD.encode(both);
                request.header("authorization", format!("Basic {both}"))
            }
        }
    }

    /// Sends a request; `None` when the server has no such thing.
    fn send(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        limit: u64,
        patience: Duration,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let url = format!("{}{path}", self.options.address);
        let unavailable = |reason: String| {
            SourceError::Unavailable(format!(
                "the MLflow server at {} could not be asked: {reason}",
                self.describe()
            ))
        };
        let result = match body {
            None => {
                let request = self.authorized(self.agent.get(&url));
                let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
                request.config().timeout_global(Some(patience)).build().call()
            }
            Some(body) => {
                let request = self.authorized(self.agent.post(&url));
                let request = request.content_type("application/json");
                request.config().timeout_global(Some(patience)).build().send(body.to_string())
            }
        };
        let mut response = result.map_err(|error| unavailable(error.to_string()))?;
        let status = response.status().as_u16();
        let bytes = response.body_mut().with_config().limit(limit).read_to_vec();
        let bytes = bytes.map_err(|error| unavailable(error.to_string()))?;
        match status {
            200 => Ok(Some(bytes)),
            404 => Ok(None),
            401 | 403 => Err(SourceError::Unavailable(format!(
                "the MLflow server at {} does not let us in ({status}): set MLFLOW_TRACKING_USERNAME and \
                 MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
                self.describe()
            ))),
            // A missing alias or stage is a 400 of MLflow, with a sentence of its own.
            400 => Err(SourceError::Missing(format!("MLflow refuses: {}", said(&bytes)))),
            _ => Err(unavailable(format!("it answers {status}: {}", said(&bytes)))),
        }
    }

    fn ask(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Option<Value>, SourceError> {
        let path = format!("/api/2.0/mlflow/{path}");
        let Some(bytes) = self.send(&path, query, body, ANSWER_BYTES, ANSWER)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| {
            SourceError::Unavailable(format!("what answers at {} is no MLflow server", self.describe()))
        })
    }

    /// Returns the versions that are asked for.
    fn versions(&self) -> Result<Vec<ModelVersion>, SourceError> {
        let Some(name) = &self.options.model else { return self.all() };
        let missing = |what: String| SourceError::Missing(format!("MLflow has no {what}"));
        let version = match &self.options.version {
            MlflowVersion::Number(number) => {
                let query = [("name", name.as_str()), ("version", &number.to_string())];
                let answer = self.ask("model-versions/get", &query, None)?;
                answer.map(|answer| answer["model_version"].clone())
            }
            MlflowVersion::Alias(alias) => {
                let query = [("name", name.as_str()), ("alias", alias.as_str())];
                let answer = self.ask("registered-models/alias", &query, None)?;
                answer.map(|answer| answer["model_version"].clone())
            }
            MlflowVersion::Stage(stage) => {
                let body = json!({ "name": name, "stages": [stage] });
                let answer = self.ask("registered-models/get-latest-versions", &[], Some(&body))?;
                // With no version there, MLflow answers `{}`.
                answer.and_then(|mut answer| answer.pointer_mut("/model_versions/0").map(Value::take))
            }
        };
        let what = format!("registered model `{name}` with {}", self.options.version.words());
        let version = version.filter(|version| !version.is_null()).ok_or_else(|| missing(what.clone()))?;
        Ok(vec![read_version(version)?])
    }

    /// Returns the version of every registered model that is at the stage, or has the alias.
    fn all(&self) -> Result<Vec<ModelVersion>, SourceError> {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![("max_results", "100")];
            if !token.is_empty() {
                query.push(("page_token", token.as_str()));
            }
            let answer = self.ask("registered-models/search", &query, None)?.unwrap_or(Value::Null);
            let models = answer["registered_models"].as_array().cloned().unwrap_or_default();
            for model in models {
                let name = model["name"].as_str().unwrap_or_default();
                let version = match &self.options.version {
                    MlflowVersion::Stage(stage) => {
                        let latest = model["latest_versions"].as_array().cloned().unwrap_or_default();
                        let at = |one: &Value| {
                            one["current_stage"].as_str().is_some_and(|at| at.eq_ignore_ascii_case(stage))
                        };
                        latest.into_iter().find(at)
                    }
                    MlflowVersion::Alias(alias) => {
                        let aliases = model["aliases"].as_array().cloned().unwrap_or_default();
                        let number = aliases.iter().find(|one| one["alias"] == alias.as_str());
                        let number = number.and_then(|one| one["version"].as_str().map(str::to_owned));
                        match number {
                            Some(number) => {
                                let query = [("name", name), ("version", &number)];
                                let answer = self.ask("model-versions/get", &query, None)?;
                                answer.map(|answer| answer["model_version"].clone())
                            }
                            None => None,
                        }
                    }
                    MlflowVersion::Number(_) => None,
                };
                if let Some(version) = version {
                    found.push(read_version(version)?);
                }
            }
            let next = answer["next_page_token"].as_str().unwrap_or_default();
            if !next.is_empty() && next == token {
                let reason = "the server gives out the same page of its models again and again".to_owned();
                return Err(SourceError::Unavailable(reason));
            }
            next.clone_into(&mut token);
            if token.is_empty() || found.len() >= MODELS {
                break;
            }
        }
        if found.is_empty() {
            let what = self.options.version.words();
            return Err(SourceError::Missing(format!("MLflow has no registered model with {what}")));
        }
        Ok(found)
    }

    /// Returns a file of a version; `None` when it has no such file.
    fn file(&self, version: &ModelVersion, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        if let Some(path) = served_path(&version.artifacts) {
            let path = format!("/api/2.0/mlflow-artifacts/artifacts/{path}/{name}");
            return self.send(&path, &[], None, FILE_BYTES, DOWNLOAD);
        }
        let number = version.version.text();
        let query = [("name", version.name.as_str()), ("version", &number), ("path", name)];
        match self.send("/model-versions/get-artifact", &query, None, FILE_BYTES, DOWNLOAD) {
            // A file that is not there is an error of the server's own store.
            Err(SourceError::Unavailable(reason)) if name != MANIFEST && reason.contains("answers 500") => {
                Ok(None)
            }
            other => other,
        }
    }

    fn offer(&self, version: &ModelVersion) -> Result<Offer, SourceError> {
        let (name, number) = (&version.name, version.version.text());
        let manifest = match self.file(version, MANIFEST) {
            // The server is there, and its store has not this file, or is not there itself.
            Err(SourceError::Unavailable(reason)) if reason.contains("answers 500") => {
                return Err(SourceError::Missing(format!(
                    "version {number} of `{name}` has no {MANIFEST} that the server can read: {reason}"
                )));
            }
            manifest => manifest?,
        };
        let Some(manifest) = manifest else {
            return Err(SourceError::Missing(format!(
                "version {number} of `{name}` in MLflow is no package of modelgate: it has no {MANIFEST}; log the folder \
                 models/packaged/NAME as its artifacts, or make a package of an ONNX model with `modelgate model import`"
            )));
        };
        let offer = offer_of(&manifest, &format!("{MANIFEST} of {name} {number} in MLflow"))?;
        let metrics = self.file(version, "metrics.json")?.map(|bytes| figures(&bytes));
        let stage = match &self.options.version {
            MlflowVersion::Alias(alias) => alias.clone(),
            _ if version.current_stage == "None" => version.aliases.join(","),
            _ => version.current_stage.to_ascii_lowercase(),
        };
        Ok(Offer { version: number, stage, metrics: metrics.unwrap_or_default(), ..offer })
    }

    /// Asks where the artifacts of a version are.
    fn place(&self, version: &mut ModelVersion) -> Result<(), SourceError> {
        let number = version.version.text();
        let query = [("name", version.name.as_str()), ("version", &number)];
        let place = self.ask("model-versions/get-download-uri", &query, None)?.unwrap_or(Value::Null);
        place["artifact_uri"].as_str().unwrap_or_default().clone_into(&mut version.artifacts);
        Ok(())
    }

    fn found(&self, digest: &Digest) -> Option<&ModelVersion> {
        self.found.iter().find(|(offer, _)| offer.digest == *digest).map(|(_, version)| version)
    }
}

impl MlflowVersion {
    fn words(&self) -> String {
        match self {
            Self::Stage(stage) => format!("a version in stage {stage}"),
            Self::Alias(alias) => format!("the alias `{alias}`"),
            Self::Number(number) => format!("version {number}"),
        }
    }
}

/// The version that a server tells, such as `3.17.2` or `3.0.0rc1+local`. What another kind of server says there is its
/// own, and is shown to nobody.
fn version_of(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte);
    let is_version = text.len() <= 40
        && text.starts_with(|letter: char| letter.is_ascii_digit())
        && text.contains('.')
        && text.bytes().all(allowed);
    is_version.then(|| text.to_owned())
}

fn read_version(version: Value) -> Result<ModelVersion, SourceError> {
    serde_json::from_value(version).map_err(|error| {
        SourceError::Unavailable(format!("what MLflow says of a model version is not understood: {error}"))
    })
}

/// The server's own sentence about an error, of moderate length.
fn said(bytes: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(bytes).ok();
    let message = parsed.as_ref().and_then(|value| value["message"].as_str()).unwrap_or("no reason is given");
    message.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

/// The path of artifacts that the server hands out, without what could lead out of it.
fn served_path(artifacts: &str) -> Option<String> {
    let rest = artifacts.strip_prefix("mlflow-artifacts:")?;
    // With `//host`, the host is the server's own.
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
        None => rest.trim_start_matches('/'),
    };
    let plain = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(allowed)
    };
    let path = path.trim_end_matches('/');
    path.split('/').all(plain).then(|| path.to_owned())
}

impl Source for MlflowSource {
    fn kind(&self) -> &'static str {
        "mlflow"
    }

    fn describe(&self) -> String {
        self.options.address.clone()
    }

    fn identity(&self) -> String {
        let model = self.options.model.as_deref().unwrap_or("every model");
        format!("{}: {model}, {}", self.options.address, self.options.version.words())
    }

    fn server_version(&self) -> Option<String> {
        self.server_version.clone()
    }

    fn offers(&mut self) -> Result<Offered, SourceError> {
        let version = self.send("/version", &[], None, 1024, ANSWER)?;
        self.server_version = version.as_deref().and_then(version_of);
        let mut found = Vec::new();
        self.found.clear();
        let mut unreached = 0;
        for mut version in self.versions()? {
            let offer = self.place(&mut version).and_then(|()| self.offer(&version));
            let failed = matches!(offer, Err(SourceError::Unavailable(_)));
            unreached = if failed { unreached + 1 } else { 0 };
            if let Ok(offer) = &offer {
                self.found.push((offer.clone(), version.clone()));
            }
            match offer {
                // A server that does not answer for several models answers for none.
                Err(error) if unreached == UNREACHED => return Err(error),
                offer => found.push((version.name, offer)),
            }
        }
        self.places.sort(found)
    }

    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
        no_canary(self.kind(), name, version)
    }

    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError> {
        let Some(version) = self.found(&offer.digest) else {
            return Err(SourceError::Missing(format!("the package {} is gone from MLflow", offer.digest)));
        };
        files_by_name(|name| self.file(version, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(address: &str) -> MlflowOptions {
        MlflowOptions {
            address: address.to_owned(),
            login: MlflowLogin::None,
            model: None,
            version: MlflowVersion::Alias("champion".to_owned()),
        }
    }

    #[test]
    fn an_address_is_that_of_a_server_and_holds_no_secret() {
        let source = MlflowSource::new(options("https://host/some/prefix/")).expect("an address");
        assert_eq!(source.describe(), "https://host/some/prefix");
        for (wrong, says) in [
            ("sqlite:///mlflow.db", "expected `http://host:port`"),
            ("mlruns", "expected `http://host:port`"),
            ("http://me:secret@host", "MLFLOW_TRACKING_PASSWORD"),
            ("http://host/?a=b", "ends before the `?`"),
        ] {
            let error = MlflowSource::new(options(wrong)).expect_err(wrong);
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }

    /// A server that answers everything but its version with `body`.
    fn answering(body: &'static str) -> String {
        use std::io::{Read as _, Write as _};
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for mut stream in socket.incoming().flatten() {
                let mut head = [0; 4096];
                let length = stream.read(&mut head).unwrap_or(0);
                let body = if head[..length].starts_with(b"GET /version") { "3.17.2" } else { body };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        url
    }

    #[test]
    fn a_server_that_has_nothing_there_or_answers_another_thing_is_no_panic() {
        let stage = || MlflowVersion::Stage("Staging".to_owned());
        let said = |body: &'static str, model: Option<&str>, version: MlflowVersion| {
            let model = model.map(str::to_owned);
            let options = MlflowOptions { model, version, ..options(&answering(body)) };
            MlflowSource::new(options).expect("an address").offers().expect_err(body)
        };
        for body in ["{}", r#"{"model_versions": []}"#, r#"{"model_versions": null}"#] {
            let error = said(body, Some("shop"), stage());
            assert!(matches!(error, SourceError::Missing(_)));
            let expected = "MLflow has no registered model `shop` with a version in stage Staging";
            assert_eq!(error.to_string(), expected, "{body}");
        }
        for body in [
            "{}",
            "[]",
            "null",
            "7",
            r#""text""#,
            r#"{"model_versions": {"0": 1}}"#,
            r#"{"model_versions": [7]}"#,
            r#"{"model_version": 7}"#,
            r#"{"registered_models": 7}"#,
            r#"{"registered_models": [7, {}, {"latest_versions": [[]], "aliases": [7]}]}"#,
        ] {
            for version in [stage(), MlflowVersion::Alias("champion".to_owned()), MlflowVersion::Number(1)] {
                for model in [Some("shop"), None] {
                    let _ = said(body, model, version.clone());
                }
            }
        }
    }

    #[test]
    fn what_is_no_version_is_not_shown_as_one() {
        for text in ["3.17.2", "2.0.1.dev0", "3.0.0rc1+local\n"] {
            assert_eq!(version_of(text.as_bytes()).as_deref(), Some(text.trim()));
        }
        for text in ["", "<html></html>", "OK", "12", "{\"a\":1.0}", "1.0 secret", &"1.".repeat(30)] {
            assert_eq!(version_of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(version_of(b"\xff1.0"), None);
    }

    #[test]
    fn artifacts_stay_below_their_path() {
        let path = |text| served_path(text);
        assert_eq!(path("mlflow-artifacts:/1/abc/artifacts/model").as_deref(), Some("1/abc/artifacts/model"));
        assert_eq!(path("mlflow-artifacts://host:5000/1/models/m-1/").as_deref(), Some("1/models/m-1"));
        for other in [
            "s3://bucket/1",
            "file:///etc",
            "mlflow-artifacts:/1/../../etc",
            "mlflow-artifacts:/1/%2e%2e/x",
            "mlflow-artifacts:/a?b",
            "mlflow-artifacts:",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
