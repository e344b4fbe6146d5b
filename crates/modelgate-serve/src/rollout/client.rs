//! `/admin/rollout/{model}` from outside: what a controller says to a service.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::wire::{Order, Standing};
use crate::client::client;
use crate::settings::Secret;

/// Why a service did not do what it was told.
#[derive(Debug, Error)]
pub enum ClientError {
    /// It was not reached, or broke off.
    #[error("the service at {url} does not answer: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// It said no.
    #[error("the service at {url} refuses ({status}): {sentence}")]
    Refused {
        /// Where.
        url: String,
        /// The status of its answer.
        status: u16,
        /// What it said.
        sentence: String,
    },
    /// It is no prediction service of this version.
    #[error("what answers at {url} is no prediction service with rollouts: {reason}")]
    Answer {
        /// Where.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// A service that is told.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    url: String,
    token: Secret,
}

impl Client {
    /// Talks to the service at `url`, such as `http://127.0.0.1:8080`, with its administrator's token.
    pub fn new(url: &str, token: Secret) -> Self {
        let config =
            client(url).max_redirects_will_error(false).timeout_global(Some(Duration::from_secs(70))).build();
        Self { agent: config.into(), url: url.trim_end_matches('/').to_owned(), token }
    }

    /// Returns where the service is.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn read(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, ClientError> {
        let unreachable = |error: ureq::Error| ClientError::Unreachable {
            url: self.url.clone(),
            reason: error.to_string(),
        };
        let mut response = result.map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        if status == 200 {
            return Ok(text);
        }
        let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let sentence = said["error"].as_str().unwrap_or("it does not say why").to_owned();
        Err(ClientError::Refused { url: self.url.clone(), status, sentence })
    }

    fn standing_of(&self, text: &str) -> Result<Standing, ClientError> {
        serde_json::from_str(text)
            .map_err(|error| ClientError::Answer { url: self.url.clone(), reason: error.to_string() })
    }

    fn path(&self, model: &str) -> String {
        format!("{}/admin/rollout/{model}", self.url)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.expose())
    }

    /// Returns where the rollout of a model stands.
    ///
    /// # Errors
    /// Fails when the service does not answer, or not with that.
    pub fn standing(&self, model: &str) -> Result<Standing, ClientError> {
        let request = self.agent.get(self.path(model)).header("authorization", self.bearer());
        self.standing_of(&self.read(request.call())?)
    }

    /// Gives an order.
    ///
    /// # Errors
    /// As [`Self::standing`].
    pub fn order(&self, model: &str, order: &Order) -> Result<Standing, ClientError> {
        let text = serde_json::to_string(order)
            .map_err(|error| ClientError::Answer { url: self.url.clone(), reason: error.to_string() })?;
        let request = self.agent.put(self.path(model)).header("authorization", self.bearer());
        self.standing_of(&self.read(request.content_type("application/json").send(text))?)
    }

    fn delete(&self, model: &str, reason: &str, more: Option<(&str, u64)>) -> Result<Standing, ClientError> {
        let request = self.agent.delete(self.path(model)).header("authorization", self.bearer());
        let request = request.query("reason", reason);
        let request = match more {
            Some((name, number)) => request.query(name, number.to_string()),
            None => request,
        };
        self.standing_of(&self.read(request.call())?)
    }

    /// Takes the canary out, whatever was ordered.
    ///
    /// # Errors
    /// As [`Self::standing`].
    pub fn abort(&self, model: &str, reason: &str, sequence: Option<u64>) -> Result<Standing, ClientError> {
        self.delete(model, reason, sequence.map(|sequence| ("sequence", sequence)))
    }

    /// Takes out a canary of which the ledger knows nothing, as of the order `seen`: the service refuses with 409 where it
    /// has taken a newer one since.
    ///
    /// # Errors
    /// As [`Self::standing`].
    pub fn take_out_unknown(&self, model: &str, reason: &str, seen: u64) -> Result<Standing, ClientError> {
        match self.delete(model, reason, Some(("seen", seen))) {
            // A service of before does not know the word, and takes the canary out without it.
            Err(ClientError::Refused { status: 400, .. }) => self.abort(model, reason, None),
            told => told,
        }
    }

    /// Makes the service look for what is in production now.
    ///
    /// # Errors
    /// As [`Self::standing`].
    pub fn reload(&self) -> Result<(), ClientError> {
        let url = format!("{}/admin/reload", self.url);
        let request = self.agent.post(url).header("authorization", self.bearer());
        self.read(request.send_empty()).map(drop)
    }
}
