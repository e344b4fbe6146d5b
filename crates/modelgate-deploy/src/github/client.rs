//! Requests to GitHub's REST API (version 2022-11-28), with its rules for trying again.
//!
//! 429, and 403 with `retry-after` or no requests left, are waited out where that is not long; 5xx and broken connections are
//! tried again, each time for longer. The token goes into one header and nowhere else.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use modelgate_store::{proxy, trust};
use serde_json::{Value, json};

use crate::error::DeployError;

/// Tries of a request.
const TRIES: u32 = 4;
/// The longest that a limit is waited out.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const ANSWER_BYTES: u64 = 32 << 20;

/// A request, as `--dry-run` shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Such as `POST`.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// The body, JSON.
    pub body: Option<Value>,
}

/// Sends requests, or only collects them.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    token: Option<String>,
    /// What would have been sent.
    kept: Option<RefCell<Vec<Request>>>,
}

/// An answer: its body, and where the next page is.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) body: Value,
    pub(super) next: Option<String>,
}

impl Client {
    /// Sends with `token`.
    ///
    /// # Errors
    /// Fails for a token that cannot be one.
    pub fn new(token: String) -> Result<Self, DeployError> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(DeployError::Place(
                "GITHUB_TOKEN is no token: it is empty or holds spaces".to_owned(),
            ));
        }
        Ok(Self { agent: agent(), token: Some(token), kept: None })
    }

    /// Sends nothing and collects what would be sent; what would be read is taken for empty.
    pub fn dry() -> Self {
        Self { agent: agent(), token: None, kept: Some(RefCell::default()) }
    }

    /// Reads with `token`, and collects what would be written, so that it is what would be sent.
    ///
    /// # Errors
    /// Fails for a token that cannot be one.
    pub fn reading(token: String) -> Result<Self, DeployError> {
        Ok(Self { kept: Some(RefCell::default()), ..Self::new(token)? })
    }

    /// Returns whether nothing is written.
    pub(super) fn is_dry(&self) -> bool {
        self.kept.is_some()
    }

    /// Returns what would have been sent.
    pub fn kept(&self) -> Vec<Request> {
        self.kept.as_ref().map(|kept| kept.borrow().clone()).unwrap_or_default()
    }

    pub(super) fn get(&self, url: &str) -> Result<Answer, DeployError> {
        self.send("GET", url, None)
    }

    /// Asks a question of the GraphQL API, which reads although it is sent by POST.
    pub(super) fn query(&self, query: &str, url: &str) -> Result<Answer, DeployError> {
        if self.token.is_none() {
            return Ok(Answer::default());
        }
        self.tried("POST", url, Some(&json!({ "query": query })))
    }

    pub(super) fn send(
        &self,
        method: &'static str,
        url: &str,
        body: Option<Value>,
    ) -> Result<Answer, DeployError> {
        let reads = method == "GET";
        if let Some(kept) = self.kept.as_ref().filter(|_| !reads || self.token.is_none()) {
            kept.borrow_mut().push(Request { method, url: url.to_owned(), body });
            return Ok(Answer { body: if reads { json!([]) } else { json!({}) }, next: None });
        }
        self.tried(method, url, body.as_ref())
    }

    /// Sends as often as it takes.
    fn tried(&self, method: &'static str, url: &str, body: Option<&Value>) -> Result<Answer, DeployError> {
        let what = format!("{method} {}", path_of(url));
        let mut pause = FIRST_PAUSE;
        let mut waited = Duration::ZERO;
        let mut left = TRIES;
        loop {
            left -= 1;
            let (reason, wait) = match self.once(method, url, body) {
                Err(reason) => (reason, Some(pause)),
                Ok((status, headers, body)) => {
                    if (200..300).contains(&status) {
                        let next =
                            headers.get("link").and_then(|value| value.to_str().ok()).and_then(next_page);
                        let body = parsed(status, &body)
                            .map_err(|reason| DeployError::Unreachable { what: what.clone(), reason })?;
                        return Ok(Answer { body, next });
                    }
                    let reason = said(&body);
                    let limited = status == 429 || status == 403 && is_limited(&headers, &reason);
                    if !limited && status < 500 {
                        return Err(DeployError::Refused { what, status, reason });
                    }
                    let wait = if limited { limit(&headers).unwrap_or(pause) } else { pause };
                    (format!("{status}: {reason}"), (waited + wait <= PATIENCE).then_some(wait))
                }
            };
            match wait.filter(|_| left > 0) {
                None => return Err(DeployError::Unreachable { what, reason }),
                Some(wait) => {
                    std::thread::sleep(wait);
                    waited += wait;
                    pause *= 2;
                }
            }
        }
    }

    fn once(
        &self,
        method: &str,
        url: &str,
        body: Option<&Value>,
    ) -> Result<(u16, ureq::http::HeaderMap, Vec<u8>), String> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        request = request
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                body.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        let built = request.body(bytes).map_err(|error| error.to_string())?;
        let built = self.agent.configure_request(built).proxy(proxy(url)).build();
        let mut response = self.agent.run(built).map_err(|error| error.to_string())?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec();
        Ok((status, headers, body.map_err(|error| error.to_string())?))
    }
}

fn agent() -> ureq::Agent {
    ureq::config::Config::builder()
        .http_status_as_error(false)
        // Each request has its own, by where it goes.
        .proxy(None)
        .tls_config(trust())
        .max_redirects(3)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_global(Some(Duration::from_secs(60)))
        .user_agent(concat!("modelgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// The path of an address: what is shown of it.
fn path_of(url: &str) -> &str {
    url.splitn(4, '/').nth(3).map_or(url, |path| &url[url.len() - path.len() - 1..])
}

fn number(headers: &ureq::http::HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Returns whether a 403 is about the number of requests: the secondary limits come without any header.
fn is_limited(headers: &ureq::http::HeaderMap, reason: &str) -> bool {
    headers.contains_key("retry-after")
        || number(headers, "x-ratelimit-remaining") == Some(0)
        || reason.to_ascii_lowercase().contains("rate limit")
}

/// How long a limit lasts: `retry-after` in seconds, or until `x-ratelimit-reset`.
fn limit(headers: &ureq::http::HeaderMap) -> Option<Duration> {
    if let Some(seconds) = number(headers, "retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    let reset = number(headers, "x-ratelimit-reset")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(reset.saturating_sub(now) + 1))
}

/// `<https://…?page=2>; rel="next", <…>; rel="last"`.
fn next_page(link: &str) -> Option<String> {
    link.split(',').find_map(|part| {
        let (url, relation) = part.split_once(';')?;
        let url = url.trim().strip_prefix('<')?.strip_suffix('>')?;
        relation.contains("rel=\"next\"").then(|| url.to_owned())
    })
}

/// What an answer says that went well: JSON, or nothing where there is nothing to say (204).
fn parsed(status: u16, body: &[u8]) -> Result<Value, String> {
    if body.is_empty() && matches!(status, 202 | 204 | 205) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|_| {
        format!("{status} with something that is no JSON: what answers is not the API of GitHub, see GITHUB_API_URL")
    })
}

/// The service's own words.
fn said(body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let message = parsed.as_ref().and_then(|value| value["message"].as_str()).unwrap_or("no reason is given");
    message.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let link = "<https://a/?page=1>; rel=\"prev\", <https://a/?page=3>; rel=\"next\"";
        assert_eq!(next_page(link).as_deref(), Some("https://a/?page=3"));
        assert_eq!(next_page("<https://a/?page=1>; rel=\"first\""), None);
        assert_eq!(next_page("nonsense"), None);
    }

    #[test]
    fn a_limit_is_told_from_a_right_that_is_missing() {
        let none = ureq::http::HeaderMap::new();
        assert!(is_limited(&none, "You have exceeded a secondary rate limit."));
        assert!(!is_limited(&none, "Resource not accessible by integration"));
        let left = |count: &'static str| {
            let name = ureq::http::HeaderName::from_static("x-ratelimit-remaining");
            ureq::http::HeaderMap::from_iter([(name, ureq::http::HeaderValue::from_static(count))])
        };
        assert!(is_limited(&left("0"), "") && !is_limited(&left("12"), ""));
    }

    #[test]
    fn a_page_of_a_proxy_is_no_answer() {
        assert_eq!(parsed(204, b""), Ok(Value::Null));
        assert_eq!(parsed(200, b"[]"), Ok(json!([])));
        for (status, body) in [(200, "<html>sign in</html>"), (201, ""), (204, "<html>")] {
            let error = parsed(status, body.as_bytes()).expect_err("no JSON");
            assert!(error.contains("no JSON") && error.contains("GITHUB_API_URL"), "{error}");
        }
    }

    #[test]
    fn every_client_trusts_the_same_authorities_and_says_by_which_proxy_it_goes() {
        let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut folders: Vec<_> = fs_err::read_dir(crates).expect("crates").flatten().collect();
        folders.retain(|entry| entry.file_name() != "modelgate-testing");
        let mut folders: Vec<_> = folders.into_iter().map(|entry| entry.path().join("src")).collect();
        let mut clients = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(text) = fs_err::read_to_string(&path)
                    && path.extension().is_some_and(|extension| extension == "rs")
                    && text.contains("ureq::")
                {
                    let begins = ["Config::builder", "config_builder"].map(|begin| format!("{begin}()"));
                    // Not the builders of something else, such as `TlsConfig::builder`.
                    let begun = |at: usize| !text[..at].ends_with(char::is_alphanumeric);
                    let count = |what: &str| text.match_indices(what).filter(|(at, _)| begun(*at)).count();
                    let built: usize = begins.iter().map(|begin| count(begin)).sum();
                    assert_eq!(count(&format!("tls_config({}())", "trust")), built, "{}", path.display());
                    // Else it is that of the environment, whatever is asked.
                    assert!(text.matches(".proxy(").count() >= built, "{}", path.display());
                    clients += built;
                }
            }
        }
        assert!(clients >= 5, "{clients}");
    }

    #[test]
    fn only_the_path_of_an_address_is_shown() {
        assert_eq!(path_of("https://api.github.com/repos/o/r"), "/repos/o/r");
    }
}
