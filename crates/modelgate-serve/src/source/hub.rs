//! A package in a model repository of the Hugging Face Hub, at one revision.

use std::time::Duration;

use modelgate_core::{Digest, ModelName};

use super::offered::Places;
use super::{Files, MANIFEST, Offer, Offered, Source, figures, files_by_name, no_canary, offer_of};
use crate::client::client;
use crate::error::SourceError;
use crate::settings::Secret;

/// The Hub itself.
const ENDPOINT: &str = "https://huggingface.co";
/// The largest file that is taken.
const FILE_BYTES: u64 = 4 << 30;

/// A model from `hf://owner/model`.
#[derive(Debug)]
pub struct HubSource {
    agent: ureq::Agent,
    endpoint: String,
    repository: String,
    revision: String,
    digest: Option<Digest>,
    token: Option<Secret>,
    places: Places,
}

/// Returns the package that `MODELGATE_MODEL_DIGEST` allows; `None` for any.
///
/// # Errors
/// Fails for what is no digest.
pub fn pinned_digest(environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<Digest>, SourceError> {
    let Some(text) = environment("MODELGATE_MODEL_DIGEST") else { return Ok(None) };
    let wrong = |error| SourceError::Missing(format!("MODELGATE_MODEL_DIGEST is no digest: {error}"));
    text.parse().map(Some).map_err(wrong)
}

/// Returns the token without the end of line that it may have been written with.
fn token(text: String) -> Result<Secret, SourceError> {
    match text.trim() {
        "" => Err(SourceError::Missing("HF_TOKEN is set and holds nothing".to_owned())),
        token => Ok(Secret::new(token.to_owned())),
    }
}

impl HubSource {
    /// Serves the package in the repository of `uri` at the revision of `MODELGATE_MODEL_REVISION`, `main` by default;
    /// `HF_ENDPOINT` and `HF_TOKEN` are heeded, and with `MODELGATE_MODEL_DIGEST` no other package is served.
    ///
    /// # Errors
    /// Fails for what is no address. Nothing is asked yet.
    pub fn new(uri: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        let wrong = |sentence: String| SourceError::Missing(sentence);
        let repository = uri.strip_prefix("hf://").unwrap_or(uri).trim_end_matches('/');
        let plain = |text: &str, more: &[u8]| {
            let allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) || more.contains(&byte);
            !text.is_empty() && text.len() <= 200 && !text.contains("..") && text.bytes().all(allowed)
        };
        if !repository.split_once('/').is_some_and(|(owner, name)| plain(owner, b"") && plain(name, b"")) {
            return Err(wrong(format!("`{uri}`: expected `hf://owner/model`")));
        }
        let revision = environment("MODELGATE_MODEL_REVISION").unwrap_or_else(|| "main".to_owned());
        if !plain(&revision, b"") {
            return Err(wrong(
                "MODELGATE_MODEL_REVISION is no revision: a commit, a tag or a branch".to_owned(),
            ));
        }
        let endpoint = environment("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let local =
            ["http://127.0.0.1:", "http://localhost:"].iter().any(|place| endpoint.starts_with(place));
        if (!endpoint.starts_with("https://") && !local) || endpoint.contains('@') {
            return Err(wrong(
                "HF_ENDPOINT: expected an address that begins with https:// and holds no token".to_owned(),
            ));
        }
        let agent = client(&endpoint)
            .max_redirects(5)
            // A repository that moved is named anew on the same host, and a private one still wants the token there. Where
            // large files lie, another host, it is not sent.
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_global(Some(Duration::from_secs(600)))
            .build();
        Ok(Self {
            agent: agent.into(),
            endpoint,
            repository: repository.to_owned(),
            revision,
            digest: pinned_digest(environment)?,
            token: environment("HF_TOKEN").map(token).transpose()?,
            places: Places::default(),
        })
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let url = format!("{}/{}/resolve/{}/{path}", self.endpoint, self.repository, self.revision);
        let unavailable = |reason: String| {
            SourceError::Unavailable(format!("{path} of {} could not be read: {reason}", self.describe()))
        };
        let mut request = self.agent.get(&url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let mut response = request.call().map_err(|error| unavailable(error.to_string()))?;
        match response.status().as_u16() {
            200 => {
                let bytes = response.body_mut().with_config().limit(FILE_BYTES).read_to_vec();
                bytes.map(Some).map_err(|error| unavailable(error.to_string()))
            }
            404 => Ok(None),
            status @ (401 | 403) => Err(unavailable(format!(
                "the Hub does not let us in ({status}): is the repository private, and HF_TOKEN missing or expired?"
            ))),
            status => Err(unavailable(format!("the Hub answers {status}"))),
        }
    }
}

impl Source for HubSource {
    fn kind(&self) -> &'static str {
        "hub"
    }

    fn describe(&self) -> String {
        format!("hf://{}@{}", self.repository, self.revision)
    }

    fn identity(&self) -> String {
        format!("{} {}", self.endpoint, self.describe())
    }

    fn offers(&mut self) -> Result<Offered, SourceError> {
        let Some(manifest) = self.get(MANIFEST)? else {
            return Err(SourceError::Missing(format!("there is no {MANIFEST} in {}", self.describe())));
        };
        let mut offer = offer_of(&manifest, &format!("{MANIFEST} in {}", self.describe()))?;
        if let Some(digest) = self.digest.filter(|digest| *digest != offer.digest) {
            let sentence = format!(
                "{} holds {}, and MODELGATE_MODEL_DIGEST allows {digest} alone",
                self.describe(),
                offer.digest
            );
            return Err(SourceError::Missing(sentence));
        }
        offer.metrics = self.get("metrics.json")?.map(|bytes| figures(&bytes)).unwrap_or_default();
        self.places.sort(vec![(self.describe(), Ok(offer))])
    }

    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
        no_canary(self.kind(), name, version)
    }

    fn files(&mut self, _offer: &Offer) -> Result<Files, SourceError> {
        files_by_name(|name| self.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_end_of_line() {
        assert!(token("hf_secret\n".to_owned()).expect("a token").is(b"hf_secret"));
    }

    #[test]
    fn an_address_and_its_variables_are_checked_before_anything_is_asked() {
        let with = |uri: &str, set: &[(&str, &str)]| {
            let set: Vec<(String, String)> =
                set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let found =
                |name: &str| set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            HubSource::new(uri, &found).map(|source| source.describe()).map_err(|error| error.to_string())
        };
        assert_eq!(with("hf://me/drug", &[]).as_deref(), Ok("hf://me/drug@main"));
        let pinned = [("MODELGATE_MODEL_REVISION", "81a5947"), ("HF_TOKEN", "hf_secret")];
        assert_eq!(with("hf://me/drug/", &pinned).as_deref(), Ok("hf://me/drug@81a5947"));
        for (uri, set, says) in [
            ("hf://drug", ("X", ""), "expected `hf://owner/model`"),
            ("hf://me/../x", ("X", ""), "expected `hf://owner/model`"),
            ("hf://me/drug", ("MODELGATE_MODEL_REVISION", "a/../b"), "MODELGATE_MODEL_REVISION"),
            ("hf://me/drug", ("MODELGATE_MODEL_DIGEST", "v003"), "MODELGATE_MODEL_DIGEST"),
            ("hf://me/drug", ("HF_ENDPOINT", "http://hub.test"), "HF_ENDPOINT"),
            ("hf://me/drug", ("HF_TOKEN", " \n"), "HF_TOKEN is set and holds nothing"),
        ] {
            let error = with(uri, &[set]).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
    }

    /// A Hub on which `me/drug` is private, `me/old` has moved there, and `me/away` to another host.
    fn hub() -> String {
        use std::io::{Read as _, Write as _};
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for mut stream in socket.incoming().flatten() {
                let mut head = [0; 4096];
                let length = stream.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
                let known = head.contains("authorization: bearer hf_secret");
                let answer = match head.split('/').nth(2) {
                    Some("old") => "307 Moved\r\nlocation: /me/drug/resolve/main/f".to_owned(),
                    Some("away") => {
                        format!("307 Moved\r\nlocation: http://localhost:{port}/me/drug/resolve/main/f")
                    }
                    _ if known => "200 OK".to_owned(),
                    _ => "401 No".to_owned(),
                };
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        format!("http://127.0.0.1:{port}")
    }

    #[test]
    fn the_token_follows_a_repository_that_moved_and_goes_to_no_other_host() {
        let endpoint = hub();
        let found = |name: &str| match name {
            "HF_ENDPOINT" => Some(endpoint.clone()),
            "HF_TOKEN" => Some("hf_secret".to_owned()),
            _ => None,
        };
        let get = |uri: &str| HubSource::new(uri, &found).expect("an address").get("f");
        for uri in ["hf://me/drug", "hf://me/old"] {
            assert_eq!(get(uri).unwrap_or_else(|error| panic!("{uri}: {error}")), Some(Vec::new()));
        }
        let error = get("hf://me/away").expect_err("no token there").to_string();
        assert!(error.contains("does not let us in (401)"), "{error}");
    }
}
