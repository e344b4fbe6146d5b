//! Requests to the Hub, with its rules for trying again.
//!
//! 429 and whatever else names a `retry-after` is waited out where that is not long; 5xx and broken connections are tried
//! again, each time for longer. The token goes into one header of requests to the Hub itself, never to the store of large
//! files, whose addresses are signed, and never into a message.

use std::cell::RefCell;
use std::io::Read as _;
use std::time::Duration;

use modelgate_store::{proxy, trust};
use serde_json::Value;

use super::content::Content;
use super::{HubError, Token};

/// Tries of a request.
const TRIES: u32 = 5;
/// The longest that a limit is waited out.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const ANSWER_BYTES: u64 = 256 << 20;

/// A request, as `--dry-run` shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Such as `POST`.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// The body: text, with the content of files left out.
    pub body: Option<String>,
}

/// Sends requests, or only collects them.
#[derive(Debug)]
pub struct Hub {
    agent: ureq::Agent,
    endpoint: String,
    token: Option<Token>,
    /// What would have been sent.
    kept: Option<RefCell<Vec<Request>>>,
    /// Whose token it is; asked once, since the Hub limits that question.
    pub(super) owner: std::cell::OnceCell<(String, bool)>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) headers: ureq::http::HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The body of a request to the Hub itself.
pub(super) enum Body<'a> {
    None,
    Json(&'a Value),
    /// Bytes with their kind, and how they are shown.
    Bytes(&'static str, Vec<u8>, String),
}

impl Hub {
    /// Talks to `endpoint`, such as [`super::ENDPOINT`], with `token` where there is one.
    ///
    /// # Errors
    /// Fails for an address that a token must not be sent to.
    pub fn new(endpoint: &str, token: Option<Token>) -> Result<Self, HubError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
        if !endpoint.starts_with("https://") && !local.iter().any(|place| endpoint.starts_with(place)) {
            return Err(HubError::Place(
                "HF_ENDPOINT: expected an address that begins with https://".to_owned(),
            ));
        }
        if endpoint.contains('@') {
            let sentence = "HF_ENDPOINT holds a name or a token: the token belongs into HF_TOKEN";
            return Err(HubError::Place(sentence.to_owned()));
        }
        Ok(Self { agent: agent(&endpoint), endpoint, token, kept: None, owner: std::cell::OnceCell::new() })
    }

    /// Sends nothing and collects what would be sent.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn dry(endpoint: &str) -> Result<Self, HubError> {
        Ok(Self { kept: Some(RefCell::default()), ..Self::new(endpoint, None)? })
    }

    /// Returns whether nothing is sent.
    pub fn is_dry(&self) -> bool {
        self.kept.is_some()
    }

    /// Returns what would have been sent.
    pub fn kept(&self) -> Vec<Request> {
        self.kept.as_ref().map(|kept| kept.borrow().clone()).unwrap_or_default()
    }

    /// Returns the address of a path.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }

    /// Returns the address that everything is asked of.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Keeps a request instead of sending it, if this is a dry run.
    pub(super) fn keep(&self, method: &'static str, url: &str, body: Option<String>) -> bool {
        let Some(kept) = &self.kept else { return false };
        kept.borrow_mut().push(Request { method, url: url.to_owned(), body });
        true
    }

    pub(super) fn get(&self, url: &str) -> Result<Answer, HubError> {
        self.send("GET", url, &[], Body::None)
    }

    /// Sends a request to the Hub itself.
    pub(super) fn send(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<Answer, HubError> {
        let (kind, bytes, shown) = match body {
            Body::None => (None, Vec::new(), None),
            Body::Json(value) => (
                Some("application/json"),
                value.to_string().into_bytes(),
                serde_json::to_string_pretty(value).ok(),
            ),
            Body::Bytes(kind, bytes, shown) => (Some(kind), bytes, Some(shown)),
        };
        if self.keep(method, url, shown) {
            return Ok(Answer::default());
        }
        let ours = url.starts_with(&format!("{}/", self.endpoint));
        self.again(method, url, || {
            let mut request = ureq::http::Request::builder().method(method).uri(url);
            if let (Some(token), true) = (&self.token, ours) {
                request = request.header("authorization", token.header());
            }
            // Headers that were asked for come last: a kind of its own for the batch of large files.
            let named = |name: &str| headers.iter().any(|(known, _)| *known == name);
            if let Some(kind) = kind.filter(|_| !named("content-type")) {
                request = request.header("content-type", kind);
            }
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(bytes.clone()).map_err(|error| error.to_string())?;
            self.agent.run(request).map_err(|error| error.to_string())
        })
    }

    /// Sends a part of a content to the store of large files, which knows nothing of the token.
    pub(super) fn put(
        &self,
        url: &str,
        content: &Content,
        start: u64,
        length: u64,
    ) -> Result<Answer, HubError> {
        if self.keep("PUT", url, Some(format!("<{length} bytes from {start}>"))) {
            return Ok(Answer::default());
        }
        // A file that cannot be read is no trouble of the network's.
        drop(content.part(start, length)?);
        // At 20 kB a second, a part takes this long.
        let patience = Duration::from_secs(120 + length / 20_000);
        self.again("PUT", url, || {
            let mut reader = content.part(start, length).map_err(|error| error.to_string())?;
            let request = ureq::http::Request::builder()
                .method("PUT")
                .uri(url)
                .header("content-length", length)
                .body(ureq::SendBody::from_reader(&mut *reader))
                .map_err(|error| error.to_string())?;
            let configured = self.agent.configure_request(request).timeout_global(Some(patience)).build();
            self.agent.run(configured).map_err(|error| error.to_string())
        })
    }

    fn again(
        &self,
        method: &str,
        url: &str,
        once: impl Fn() -> Result<ureq::http::Response<ureq::Body>, String>,
    ) -> Result<Answer, HubError> {
        let what = format!("{method} {}", without_query(url));
        let hide = |text: &str| self.token.as_ref().map_or_else(|| text.to_owned(), |token| token.hide(text));
        let (mut pause, mut waited) = (FIRST_PAUSE, Duration::ZERO);
        let mut left = TRIES;
        loop {
            left -= 1;
            let (reason, request, wait) = match once() {
                Err(reason) => (reason, None, Some(pause)),
                Ok(mut response) => {
                    let (status, headers) = (response.status().as_u16(), response.headers().clone());
                    let mut bytes = Vec::new();
                    let reader = response.body_mut().with_config().limit(ANSWER_BYTES).reader();
                    let read = { reader }.read_to_end(&mut bytes);
                    let request = request_id(&headers);
                    if (200..300).contains(&status) {
                        match read {
                            Ok(_) => return Ok(Answer { headers, bytes }),
                            // The answer was cut off on its way.
                            Err(error) => (error.to_string(), request, Some(pause)),
                        }
                    } else {
                        let reason = hide(&said(&headers, &bytes));
                        let after = retry_after(&headers);
                        let temporary = status == 429 || status >= 500 || status == 408 || after.is_some();
                        if !temporary {
                            let hint = hint(status, self.token.is_some());
                            return Err(HubError::Refused { what, status, reason, hint, request });
                        }
                        let wait = after.unwrap_or(pause);
                        (format!("{status}: {reason}"), request, Some(wait))
                    }
                }
            };
            match wait.filter(|wait| left > 0 && waited + *wait <= PATIENCE) {
                None => {
                    return Err(HubError::Unreachable { what, reason: hide(&reason), request });
                }
                Some(wait) => {
                    std::thread::sleep(wait);
                    waited += wait;
                    pause *= 2;
                }
            }
        }
    }

    /// Returns whether an address that the Hub gave may be written to.
    pub(super) fn allows(&self, url: &str) -> bool {
        let origin = |url: &str| url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        url.starts_with("https://") || origin(url) == origin(&self.endpoint)
    }
}

/// What the Hub leads to is asked by the same proxy: it is no less than the Hub itself.
fn agent(endpoint: &str) -> ureq::Agent {
    ureq::config::Config::builder()
        .http_status_as_error(false)
        .max_redirects(5)
        .proxy(proxy(endpoint))
        .tls_config(trust())
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_global(Some(Duration::from_secs(180)))
        .user_agent(concat!("modelgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// An address without what signs it.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

fn request_id(headers: &ureq::http::HeaderMap) -> Option<String> {
    let names = ["x-request-id", "x-amzn-trace-id", "x-amz-cf-id", "x-amz-request-id"];
    let id = names.iter().find_map(|name| headers.get(*name)?.to_str().ok())?;
    Some(id.chars().filter(|letter| !letter.is_control()).take(100).collect())
}

fn retry_after(headers: &ureq::http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn hint(status: u16, token: bool) -> &'static str {
    match (status, token) {
        (401, true) => {
            "; the token is unknown or has expired: make another at https://huggingface.co/settings/tokens and put it into HF_TOKEN"
        }
        (401 | 403 | 404, false) => {
            "; there is no token: put one into HF_TOKEN, or name a file with --token-file"
        }
        (403, true) => "; the token may not do that: it needs the right to write there",
        _ => "",
    }
}

/// The Hub's own words.
fn said(headers: &ureq::http::HeaderMap, body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let of_body = parsed.as_ref().and_then(|value| value["error"].as_str());
    let of_header = headers.get("x-error-message").and_then(|value| value.to_str().ok());
    let message = of_body.or(of_header).unwrap_or("no reason is given");
    message.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_https_or_not_at_all() {
        for endpoint in ["http://hub.test", "ftp://x", "https://me:secret@hub.test"] {
            let error = Hub::new(endpoint, None).expect_err(endpoint).to_string();
            assert!(error.contains("HF_ENDPOINT") && !error.contains("secret"), "{error}");
        }
        let hub = Hub::new("https://hub.test/", None).expect("an endpoint");
        assert_eq!(hub.at("/api"), "https://hub.test/api");
        assert!(hub.allows("https://store.test/x?signature=y") && !hub.allows("http://store.test/x"));
        let local = Hub::new("http://127.0.0.1:9", None).expect("an endpoint");
        assert!(local.allows("http://127.0.0.1:9/storage") && !local.allows("http://127.0.0.1:99/storage"));
    }

    #[test]
    fn what_signs_an_address_is_not_shown() {
        assert_eq!(without_query("https://s3.test/a/b?X-Amz-Signature=secret"), "https://s3.test/a/b");
    }
}
