//! Lines pushed to Grafana Loki: `POST /loki/api/v1/push` with the streams of each version, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Sink, Wants, Written};
use crate::client::client;
use crate::settings::{Loki, Secret};
use crate::telemetry::log::Batch;

/// Tries of one push.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(10);
/// Lines are collected for so long: Loki takes few large pushes better than many small ones.
const REST: Duration = Duration::from_secs(1);

/// Pushes to one server.
pub(super) struct Push {
    agent: ureq::Agent,
    url: String,
    tenant: Option<String>,
    login: Option<Secret>,
}

impl Push {
    pub(super) fn new(loki: &Loki) -> Self {
        let config = client(&loki.address).timeout_global(Some(PATIENCE)).build();
        let login = loki.login.as_ref().map(|(user, password)| {
            let both = format!("{user}:{}", password.expose());
            Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
        });
        let url = format!("{}/loki/api/v1/push", loki.address.trim_end_matches('/'));
        Self { agent: config.into(), url, tenant: loki.tenant.clone(), login }
    }

    /// Sends a body; whether another try may help is told with the reason.
    fn send(&self, body: &str) -> Result<(), (bool, String)> {
        let mut request = self.agent.post(&self.url).content_type("application/json");
        if let Some(tenant) = &self.tenant {
            request = request.header("x-scope-orgid", tenant);
        }
        if let Some(login) = &self.login {
            request = request.header("authorization", login.expose());
        }
        let response = request.send(body);
        let mut response = response.map_err(|error| (true, format!("Loki could not be reached: {error}")))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(());
        }
        let said = response.body_mut().with_config().limit(10_000).read_to_string().unwrap_or_default();
        let said: String = said.chars().filter(|letter| !letter.is_control()).take(200).collect();
        Err((status == 429 || status >= 500, format!("Loki answers {status}: {said}")))
    }
}

/// Returns the body of a push: a stream for each version, with a line for each row.
fn body(batch: &Batch) -> String {
    let mut streams: BTreeMap<(String, String, &'static str), Vec<Value>> = BTreeMap::new();
    let mut begin = 0;
    for record in &batch.records {
        let lines = batch.text.get(begin..record.end).unwrap_or_default();
        begin = record.end;
        let model = &record.model;
        let labels = (model.name().to_owned(), model.offer.version.clone(), model.track.name());
        let time = record.time.as_nanosecond().to_string();
        let values = lines.lines().map(|line| json!([time, line]));
        streams.entry(labels).or_default().extend(values);
    }
    let streams: Vec<Value> = streams
        .into_iter()
        .map(|((model, version, track), values)| {
            let labels = json!({ "job": "modelgate", "model": model, "version": version, "track": track });
            json!({ "stream": labels, "values": values })
        })
        .collect();
    json!({ "streams": streams }).to_string()
}

impl Sink for Push {
    fn wants(&self) -> Wants {
        Wants::Records
    }

    fn rest(&self) -> Duration {
        REST
    }

    fn write(&mut self, batch: &mut Batch) -> Written {
        let body = body(batch);
        let mut pause = FIRST_PAUSE;
        let mut tried = 0;
        let result = loop {
            tried += 1;
            match self.send(&body) {
                Ok(()) => break Ok(()),
                Err((true, _)) if tried < TRIES => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                Err((_, reason)) => break Err(reason),
            }
        };
        Written::of(batch.predictions, result)
    }
}
