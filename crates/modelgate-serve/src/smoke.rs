//! A look at a running service from outside, as its callers see it: is it ready, does it predict, how fast, how well.

mod rows;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use modelgate_data::DataError;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::client;
use crate::settings::Secret;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the service is, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// The model; the only one by default.
    pub model: Option<String>,
    /// A file of rows to send, of a form that training reads; with the target column, accuracy is measured. Typical values by
    /// default.
    pub rows: Option<PathBuf>,
    /// Predictions that are asked for: of a file of more rows the first ones, of fewer the rows again. By default each row
    /// once, and 100 at least.
    pub requests: Option<usize>,
    /// How long readiness is waited for; and, in all, a service that says it was asked too often.
    pub timeout: Duration,
    /// A key, where the service wants one.
    pub api_key: Option<Secret>,
    /// A token, where something before the service wants one, as before a private Space.
    pub bearer: Option<Secret>,
}

/// What was seen.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Its package.
    pub digest: String,
    /// Whether the service says that a verdict is bound to it.
    pub verified: bool,
    /// Whether it is a classifier.
    pub classifies: bool,
    /// `error_rate` (share of answers 500 and above, and of none), `refused_rate` (of those below 500 that hold none), `p50_ms`,
    /// `p95_ms`, `p99_ms`, `requests`, and `accuracy` where it is known: measured on the rows; without any, where anything
    /// was predicted, what the service tells of the gate.
    pub figures: BTreeMap<String, Option<f64>>,
    /// Requests that were answered with a prediction.
    pub answered: u64,
    /// What the first request got that was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_refusal: Option<String>,
    /// Its status, where there was an answer.
    #[serde(skip)]
    pub first_status: Option<u16>,
    /// Where `accuracy` comes from, or why there is none, in words.
    pub accuracy_from: Option<String>,
    /// Whether `accuracy` was measured here, on the rows; else it is the gate's, which has judged it already.
    #[serde(skip)]
    pub accuracy_measured: bool,
    /// How many rows at the end of the file were not sent, where that is any: there are too many, or so few requests were
    /// asked for, or the service took no more of them in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_left_out: Option<usize>,
}

impl Report {
    /// Returns why there is nothing to judge: the service predicted nothing at all.
    pub fn unanswered(&self) -> Option<String> {
        let first = self.first_refusal.as_ref().filter(|_| self.answered == 0)?;
        Some(format!("no request was answered with a prediction: {first}"))
    }

    /// Returns whether nothing was predicted because the service itself says no to the rows it got, and not because it wants
    /// another key, is in trouble or too busy, or is not reached.
    pub fn refuses_the_rows(&self) -> bool {
        self.answered == 0 && matches!(self.first_status, Some(400 | 422))
    }
}

/// Returns whether a text is the address of something that speaks HTTP.
pub fn is_address(url: &str) -> bool {
    url.parse::<ureq::http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// Why nothing could be seen.
#[derive(Debug, Error)]
pub enum SmokeError {
    /// The service was not reached, or is not ready.
    #[error("{url} is not ready after {seconds} s: {reason}")]
    NotReady {
        /// Where.
        url: String,
        /// How long it was waited for.
        seconds: u64,
        /// What it said last.
        reason: String,
    },
    /// What it said is not what a prediction service says.
    #[error("{0}")]
    Answer(String),
    /// The rows cannot be used.
    #[error("`{path}`: {reason}")]
    Rows {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file of rows cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// The status of a service that was asked too often.
const TOO_OFTEN: u16 = 429;
/// How long it is left alone then, where it does not say.
const PAUSE: Duration = Duration::from_secs(1);
/// Predictions that are asked for at least, where nobody says how many.
const REQUESTS: usize = 100;

struct Client<'a> {
    agent: ureq::Agent,
    options: &'a Options,
    /// How long a service that was asked too often is waited for still.
    patience: Cell<Duration>,
}

/// What a service answered.
struct Answer {
    status: u16,
    said: Value,
    /// When it wants to be asked again.
    again: Option<Duration>,
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, String> {
    let mut response = response.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let again =
        response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let text = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
    let said = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, said, again: again.map(Duration::from_secs) })
}

impl Client<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.options.url.trim_end_matches('/'))
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        let key = self.options.api_key.as_ref().map(|key| ("x-api-key", key.expose().to_owned()));
        let bearer = self.options.bearer.as_ref();
        key.into_iter()
            .chain(bearer.map(|token| ("authorization", format!("Bearer {}", token.expose()))))
            .collect()
    }

    fn get(&self, path: &str) -> Result<Answer, String> {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in self.secrets() {
            request = request.header(name, value);
        }
        read(request.call())
    }

    fn post(&self, path: &str, body: &str) -> Result<Answer, String> {
        let mut request = self.agent.post(self.url(path)).header("content-type", "application/json");
        for (name, value) in self.secrets() {
            request = request.header(name, value);
        }
        read(request.send(body))
    }

    /// Asks, and again when a service that was asked too often says so, as long as there is patience for it. Returns how long
    /// the answer took.
    fn patiently(&self, ask: impl Fn() -> Result<Answer, String>) -> (Result<Answer, String>, Duration) {
        loop {
            let began = Instant::now();
            let answer = ask();
            let took = began.elapsed();
            let pause = match &answer {
                Ok(answer) if answer.status == TOO_OFTEN => answer.again.unwrap_or(PAUSE),
                _ => return (answer, took),
            };
            let left = self.patience.get();
            if left.is_zero() || pause > left {
                return (answer, took);
            }
            // Whoever is told to come again at once is not asked for ever.
            self.patience.set(left.saturating_sub(pause.max(took).max(Duration::from_millis(1))));
            std::thread::sleep(pause);
        }
    }

    fn wait(&self) -> Result<(), SmokeError> {
        let began = Instant::now();
        loop {
            let reason = match self.get("/health/ready") {
                Ok(Answer { status: 200, .. }) => return Ok(()),
                Ok(Answer { status, .. }) => format!("it answers {status}"),
                Err(reason) => reason,
            };
            if began.elapsed() >= self.options.timeout {
                let seconds = self.options.timeout.as_secs();
                return Err(SmokeError::NotReady { url: self.options.url.clone(), seconds, reason });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn model(&self) -> Result<Value, SmokeError> {
        let answer = |reason: String| SmokeError::Answer(format!("{}: {reason}", self.options.url));
        let ask = |path: &str| self.patiently(|| self.get(path)).0.map_err(answer);
        let Answer { status, said: list, .. } = ask("/models")?;
        let names: Vec<&str> = list["models"]
            .as_array()
            .map(|models| models.iter().filter_map(|model| model["name"].as_str()).collect())
            .ok_or_else(|| {
                answer(format!("/models answered {status} and no list: is this a prediction service?"))
            })?;
        let name = match (&self.options.model, names.as_slice()) {
            (Some(name), _) => name.as_str(),
            (None, [one]) => one,
            (None, _) => {
                return Err(answer(format!("it serves {}; name one with --model", names.join(", "))));
            }
        };
        let Answer { status, said: model, .. } = ask(&format!("/models/{name}"))?;
        if status == 200 { Ok(model) } else { Err(answer(format!("/models/{name} answered {status}"))) }
    }
}

fn agent(url: &str) -> ureq::Agent {
    client::client(url).timeout_global(Some(Duration::from_secs(10))).build().into()
}

fn client(options: &Options) -> Client<'_> {
    Client { agent: agent(&options.url), options, patience: Cell::new(options.timeout) }
}

/// Waits until a service is ready, and asks it for nothing.
///
/// # Errors
/// Fails when it does not become ready in time.
pub fn ready(options: &Options) -> Result<(), SmokeError> {
    client(options).wait()
}

/// Returns the status that an address answers with.
///
/// # Errors
/// Says why there is no answer.
pub fn status(url: &str, bearer: Option<&Secret>) -> Result<u16, String> {
    let mut request = agent(url).get(url);
    if let Some(token) = bearer {
        request = request.header("authorization", format!("Bearer {}", token.expose()));
    }
    request.call().map(|response| response.status().as_u16()).map_err(|error| error.to_string())
}

/// Looks at a service.
///
/// # Errors
/// Fails when there is nothing to look at: the service does not become ready, or the rows cannot be used.
pub fn smoke(options: &Options) -> Result<Report, SmokeError> {
    let client = client(options);
    client.wait()?;
    let model = client.model()?;
    let name = model["name"].as_str().unwrap_or_default().to_owned();
    let (rows, left_out) = match &options.rows {
        Some(path) => rows::read(path, &model)?,
        None => (vec![rows::typical(&model)], 0),
    };
    let path = format!("/predict/{name}");
    let mut milliseconds = Vec::new();
    let (mut failed, mut refused) = (0_u64, 0_u64);
    // Of rows whose answer is known: sent, answered, and answered so.
    let (mut known, mut told_of, mut right) = (0_u64, 0_u64, 0_u64);
    let (mut answered, mut first_refusal, mut first_status) = (0_u64, None, None);
    // What answers says which version it is; until then it is what the service says of itself.
    let told = |key: &str| model[key].as_str().unwrap_or_default().to_owned();
    let (mut version, mut digest) = (told("version"), told("digest"));
    // Each row once, and the rows again until there are enough.
    let requests = options.requests.unwrap_or_else(|| rows.len().max(REQUESTS)).max(1);
    for at in 0..requests {
        let row = &rows[at % rows.len()];
        let expected = row.expected.as_ref().filter(|_| at < rows.len());
        known += u64::from(expected.is_some());
        let (answer, took) = client.patiently(|| client.post(&path, &row.body));
        milliseconds.push(took.as_secs_f64() * 1e3);
        match answer {
            Ok(Answer { status: 200, said: answer, .. }) => {
                let prediction = answer["predictions"].get(0);
                let Some(prediction) = prediction.filter(|one| one.is_string() || one.is_number()) else {
                    return Err(SmokeError::Answer(format!("{path} answered 200 without a prediction")));
                };
                answered += 1;
                answer["version"].as_str().unwrap_or_default().clone_into(&mut version);
                answer["digest"].as_str().unwrap_or_default().clone_into(&mut digest);
                if let Some(expected) = expected {
                    told_of += 1;
                    right += u64::from(text(prediction) == *expected);
                }
            }
            Ok(Answer { status, said, .. }) => {
                *(if status < 500 { &mut refused } else { &mut failed }) += 1;
                if first_refusal.is_none() {
                    (first_refusal, first_status) = (Some(refusal(&path, status, &said)), Some(status));
                }
                // The others would get the same: it counts once, and what is not sent says nothing.
                if status == TOO_OFTEN {
                    break;
                }
                // Who is not let in is told so by 429 too, after some tries: there is nothing to wait for.
                if matches!(status, 401 | 403) {
                    client.patience.set(Duration::ZERO);
                }
            }
            Err(reason) => {
                failed += 1;
                first_refusal.get_or_insert_with(|| format!("{path}: {reason}"));
            }
        }
    }
    let left_out = left_out + rows.len().saturating_sub(milliseconds.len());
    let sent = milliseconds.len() as f64;
    milliseconds.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let at = ((sent * share).ceil() as usize).clamp(1, milliseconds.len());
        Some(milliseconds[at - 1])
    };
    let mut figures = BTreeMap::from([
        ("requests".to_owned(), Some(sent)),
        ("error_rate".to_owned(), Some(failed as f64 / sent)),
        ("refused_rate".to_owned(), Some(refused as f64 / sent)),
        ("p50_ms".to_owned(), quantile(0.5)),
        ("p95_ms".to_owned(), quantile(0.95)),
        ("p99_ms".to_owned(), quantile(0.99)),
    ]);
    let classifies = model["task"] == "classification";
    let told = model["metrics"]["accuracy"].as_f64();
    let mut accuracy_from = None;
    let accuracy_measured = known > 0 && answered > 0 && classifies;
    if accuracy_measured {
        // A row without an answer is not right: else a service that refuses all but the easy rows would look good.
        figures.insert("accuracy".to_owned(), Some(right as f64 / known as f64));
        accuracy_from = Some(if told_of == known {
            format!("{known} rows sent")
        } else {
            format!("{told_of} of {known} rows sent were answered, the others count as wrong")
        });
    } else if options.rows.is_some() && classifies && known == 0 {
        // A rule about it is of these rows: the figure of others would pass for theirs.
        figures.insert("accuracy".to_owned(), None);
        let target = model["target"].as_str().unwrap_or("the target");
        accuracy_from = Some(format!("not measured: no row has a `{target}` to compare with"));
    } else if let Some(accuracy) = told.filter(|_| answered > 0) {
        figures.insert("accuracy".to_owned(), Some(accuracy));
        accuracy_from = Some("the gate, as the service tells it".to_owned());
    }
    let verified = model["verified"] == true;
    Ok(Report {
        model: name,
        version,
        digest,
        verified,
        classifies,
        figures,
        answered,
        first_refusal,
        first_status,
        accuracy_from,
        accuracy_measured,
        rows_left_out: (left_out > 0).then_some(left_out),
    })
}

/// Letters of what a service says that are repeated.
const LONGEST: usize = 300;

/// Returns what a refused request got, in words.
fn refusal(path: &str, status: u16, said: &Value) -> String {
    let said = said["error"].as_str().unwrap_or_default();
    let said: String = said.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
    let colon = if said.is_empty() { "" } else { ": " };
    let hint = if matches!(status, 401 | 403) { "; MODELGATE_API_KEY is sent as its key" } else { "" };
    format!("{path} answered {status}{colon}{said}{hint}")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
