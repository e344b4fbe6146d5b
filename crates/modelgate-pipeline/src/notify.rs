//! A signed webhook: what happened, to an address of the project's choice.
//!
//! No redirect is followed, and addresses of this machine and of private networks are refused unless the project
//! allows them: whoever can edit the project file must not reach through it what only this machine can reach. The
//! key is never printed. A message that cannot be delivered is told of and changes nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use modelgate_config::{NotifyConfig, NotifyEvent};
use modelgate_core::{Digest, ModelName, VersionNumber, canonical};
use modelgate_store::{proxy, trust};
use serde::{Deserialize, Serialize};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// The kind.
    pub event: NotifyEvent,
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Option<VersionNumber>,
    /// Its package.
    pub digest: Option<Digest>,
    /// Why, or what was found.
    pub reason: String,
}

impl Notice {
    /// Returns the notice of a promotion.
    pub fn promoted(model: &ModelName, version: VersionNumber, digest: Digest, reason: &str) -> Self {
        Self::of(NotifyEvent::Promoted, model, Some(version), Some(digest), reason)
    }

    /// Returns the notice of a rollback to `version`.
    pub fn rolled_back(model: &ModelName, version: VersionNumber, digest: Digest, reason: &str) -> Self {
        Self::of(NotifyEvent::RolledBack, model, Some(version), Some(digest), reason)
    }

    /// Returns the notice of a quarantine.
    pub fn quarantined(model: &ModelName, version: VersionNumber, digest: Digest, reason: &str) -> Self {
        Self::of(NotifyEvent::Quarantined, model, Some(version), Some(digest), reason)
    }

    /// Returns a notice of any kind.
    pub fn of(
        event: NotifyEvent,
        model: &ModelName,
        version: Option<VersionNumber>,
        digest: Option<Digest>,
        reason: &str,
    ) -> Self {
        Self { event, model: model.clone(), version, digest, reason: reason.to_owned() }
    }

    /// Returns whether both tell of one event, in whatever words.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.event, &self.model, self.version) == (other.event, &other.model, other.version)
    }

    /// Returns what happened, in words.
    pub(crate) fn sentence(&self) -> String {
        let what = match self.event {
            NotifyEvent::VerdictFailed => "did not pass its gate",
            NotifyEvent::ApprovalWanted => "waits for approval",
            NotifyEvent::Promoted => "was promoted",
            NotifyEvent::RolledBack => "was gone back to",
            NotifyEvent::Quarantined => "was quarantined",
        };
        let version = self.version.map_or_else(String::new, |version| format!(" {version}"));
        format!("{}{version} {what}", self.model)
    }
}

#[derive(Serialize)]
struct Message<'a> {
    schema_version: u32,
    project: &'a str,
    time: &'a str,
    actor: &'a str,
    #[serde(flatten)]
    notice: &'a Notice,
}

/// Returns whether the project wants to be told of `notice`.
pub fn wanted(config: &NotifyConfig, notice: &Notice) -> bool {
    config.url.is_some() && (config.events.is_empty() || config.events.contains(&notice.event))
}

/// Returns the signature of a message: HMAC-SHA256 with `secret` over `TIME.BODY`, as `sha256=` and 64 digits.
pub fn signature(secret: &str, time: &str, body: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let bytes: [u8; 32] = mac.finalize().into_bytes().into();
    format!("sha256={}", Digest::from_bytes(bytes).hex())
}

/// Sends `notice`, signed with `secret`.
///
/// # Errors
/// Says why it was not delivered; never what the key is.
pub fn send(
    config: &NotifyConfig,
    secret: Option<&str>,
    project: &str,
    notice: &Notice,
    time: &str,
    actor: &str,
) -> Result<(), String> {
    let Some(url) = &config.url else { return Ok(()) };
    if let (Some(name), None) = (&config.secret_env, secret) {
        return Err(format!("the environment variable {name} with the key is not set: nothing was sent"));
    }
    let message = Message { schema_version: 1, project, time, actor, notice };
    let body = canonical::to_string(&message).map_err(|error| error.to_string())?;
    let agent = ureq::Agent::with_parts(
        ureq::config::Config::builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // A proxy would look names up where no guard is.
            .proxy(None)
            .tls_config(trust())
            .timeout_global(Some(Duration::from_secs(10)))
            .build(),
        DefaultConnector::default(),
        GuardedResolver { allow_private: config.allow_private, inner: DefaultResolver::default() },
    );
    let kind = serde_json::to_value(notice.event).ok().and_then(|kind| Some(kind.as_str()?.to_owned()));
    let mut last = String::new();
    for _ in 0..2 {
        let mut request = agent
            .post(url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("modelgate/", env!("CARGO_PKG_VERSION")))
            .header("x-modelgate-event", kind.as_deref().unwrap_or("unknown"))
            .header("x-modelgate-timestamp", time);
        if let Some(secret) = secret {
            request = request.header("x-modelgate-signature", signature(secret, time, &body));
        }
        match request.send(&body) {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) if response.status().is_redirection() => {
                return Err(format!("it answered {}: a redirect is not followed", response.status()));
            }
            Ok(response) if response.status().is_server_error() => {
                last = format!("it answered {}", response.status());
            }
            Ok(response) => return Err(format!("it answered {}", response.status())),
            // The text names the host at most; the address may hold a token in its path.
            Err(ureq::Error::Io(error)) => last = error.to_string(),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(last)
}

/// Asks a prediction service to look for the new version: `POST` to its `/admin/reload`, with its token.
///
/// # Errors
/// Says why it did not; never what the token is.
pub fn ask_for_reload(url: &str, token: Option<&str>) -> Result<(), String> {
    let token = token.ok_or("the environment variable ADMIN_API_TOKEN is not set")?;
    let config = ureq::config::Config::builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(proxy(url))
        .tls_config(trust())
        .timeout_global(Some(Duration::from_secs(70)))
        .build();
    let agent: ureq::Agent = config.into();
    let request = agent.post(url).header("authorization", format!("Bearer {token}"));
    let mut response = request.send_empty().map_err(|error| error.to_string())?;
    let said = response.body_mut().with_config().limit(1 << 20).read_to_string().unwrap_or_default();
    followed(response.status(), &serde_json::from_str(&said).unwrap_or_default())
}

/// Letters of a reason of the service that are repeated.
const LONGEST: usize = 600;

/// Returns whether a service serves what it was asked to look for, by its answer, in its own words.
fn followed(status: ureq::http::StatusCode, said: &serde_json::Value) -> Result<(), String> {
    let shown =
        |text: &str| -> String { text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect() };
    if !status.is_success() {
        let reason = said["error"].as_str().map_or_else(String::new, |reason| format!(": {}", shown(reason)));
        return Err(format!("it answered {status}{reason}"));
    }
    // What changed is served, and something else may not be.
    let refused =
        said["refused"].as_object().into_iter().flatten().map(|(name, reason)| match reason.as_str() {
            Some(reason) => format!("{}: {}", shown(name), shown(reason)),
            None => shown(name),
        });
    let refused: Vec<String> = refused.collect();
    if refused.is_empty() { Ok(()) } else { Err(format!("it refuses {}", refused.join("; "))) }
}

/// Looks names up and lets no private address through.
#[derive(Debug)]
struct GuardedResolver {
    allow_private: bool,
    inner: DefaultResolver,
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        // All of them: a name with one public and one private address is a way in.
        if !self.allow_private
            && let Some(address) = found.iter().find(|address| !is_public(address.ip()))
        {
            let host = uri.host().unwrap_or("the host");
            return Err(ureq::Error::BadUri(format!(
                "{host} is {}, which is a private address; `notify.allow_private: true` allows it",
                address.ip()
            )));
        }
        Ok(found)
    }
}

/// Returns whether an address is one of the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped().or_else(|| embedded_v4(address)) {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let protocol = first == 192 && second == 0 && third == 0;
    let benchmark = first == 198 && (second == 18 || second == 19);
    let closed = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast();
    !(closed || shared || protocol || benchmark || first == 0 || first >= 240)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    let documentation = first == 0x2001 && address.segments()[1] == 0x0db8;
    // Only 2000::/3 is given out for the public internet.
    first & 0xe000 == 0x2000 && !documentation
}

/// Returns the address inside of 6to4 and NAT64 addresses.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match parts[0] {
        0x2002 => Some(join(parts[1], parts[2])),
        0x0064 if parts[1] == 0xff9b => Some(join(parts[6], parts[7])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256() {
        // RFC 4231, test case 2: the key "Jefe" over "what do ya want for nothing?"; here with the dot of the form.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"Jefe").expect("key");
        mac.update(b"what do ya want for nothing?");
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(format!("sha256={}", Digest::from_bytes(bytes).hex()), expected);
        assert_ne!(signature("k", "1", "2.3"), signature("k", "1.2", "3x"));
        assert_eq!(signature("k", "1", "b"), signature("k", "1", "b"));
    }

    #[test]
    fn what_a_service_says_of_a_reload_is_repeated() {
        let said = |status: u16, body: serde_json::Value| {
            followed(ureq::http::StatusCode::from_u16(status).expect("a status"), &body)
        };
        assert_eq!(said(200, serde_json::json!({ "status": "noop" })), Ok(()));
        let refused = serde_json::json!({ "refused": { "shop": "v001: no\nkey", "stall": 1 } });
        assert_eq!(said(200, refused), Err("it refuses shop: v001: nokey; stall".to_owned()));
        let why =
            serde_json::json!({ "error": "shop v001: its schema does not fit", "code": "reload_failed" });
        let expected = "it answered 503 Service Unavailable: shop v001: its schema does not fit";
        assert_eq!(said(503, why), Err(expected.to_owned()));
        assert_eq!(said(403, serde_json::Value::Null), Err("it answered 403 Forbidden".to_owned()));
    }

    #[test]
    fn addresses_of_this_machine_and_private_networks_are_known() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "224.0.0.1",
            "2001:db8::1",
            "::",
        ] {
            assert!(!is_public(text.parse().expect("address")), "{text}");
        }
        for text in ["1.1.1.1", "93.184.216.34", "2606:4700::1111"] {
            assert!(is_public(text.parse().expect("address")), "{text}");
        }
    }
}
