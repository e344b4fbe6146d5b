//! Who may ask, and how often.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::SemaphorePermit;

use super::App;
use crate::refusal::Refusal;
use crate::settings::Secret;

/// Returns what is counted as one caller: an address, or of version 6 the network of one, whose 64 bits any host may use as it
/// likes.
pub(super) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

/// Requests of each address, by the generic cell rate algorithm.
pub(crate) struct Rate {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    seen: AtomicU32,
}

/// After so many requests, addresses that were quiet are forgotten.
const FORGET_EVERY: u32 = 10_000;

impl Rate {
    /// Lets so many in each second, and `burst` at once; `None` for any number.
    pub(crate) fn new(per_second: u32, burst: u32) -> Option<Self> {
        let (rate, burst) = (NonZeroU32::new(per_second)?, NonZeroU32::new(burst)?);
        let limiter = RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst));
        Some(Self { limiter, seen: AtomicU32::new(0) })
    }

    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        if self.seen.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&counted(address)).is_ok()
    }
}

/// The header with a key, beside `Authorization`.
const API_KEY: &str = "x-api-key";

/// Who asks so often has to wait.
pub(crate) fn too_often(sentence: &str) -> Refusal {
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", sentence);
    Refusal { retry_after: Some(1), ..refusal }
}

/// There is no room now, and there will be soon.
pub(crate) fn overloaded(sentence: &str) -> Refusal {
    let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", sentence);
    Refusal { retry_after: Some(1), ..refusal }
}

/// Returns the secrets of the header `name` and of `Authorization: Bearer …`: with either of them a caller may be let in, since
/// what stands between may have put the other one there.
fn given<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> + Clone + use<'h> {
    let bearer = |value: &'h [u8]| {
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    };
    let own = headers.get(name).map(HeaderValue::as_bytes).map(|value| bearer(value).unwrap_or(value));
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    own.into_iter().chain(authorization)
}

fn is_any(secrets: &[Secret], given: &[u8]) -> bool {
    // Every secret is compared, so that the time does not tell which one was near.
    secrets.iter().fold(false, |found, secret| secret.is(given) | found)
}

impl App {
    /// Lets somebody ask for a prediction, or says why not.
    pub(crate) fn admit(&self, headers: &HeaderMap, address: IpAddr) -> Result<(), Refusal> {
        if !self.settings.api_keys.is_empty() {
            self.check_key(headers, address)?;
        }
        if self.rate.as_ref().is_some_and(|rate| !rate.allows(address)) {
            self.metrics.rate_limited.inc();
            return Err(too_often("too many requests"));
        }
        Ok(())
    }

    /// Refuses somebody without a valid key. Who tries one wrong key after the other has to wait; who has none is told so.
    fn check_key(&self, headers: &HeaderMap, address: IpAddr) -> Result<(), Refusal> {
        if given(headers, API_KEY).next().is_some() {
            let is_valid = |given: &[u8]| is_any(&self.settings.api_keys, given);
            match self.keys.judge(address, given(headers, API_KEY), is_valid) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => {
                    self.metrics.rate_limited.inc();
                    return Err(too_often("too many tries with a wrong key"));
                }
            }
        }
        self.metrics.unauthorized.inc();
        let sentence = "a key is needed: `Authorization: Bearer KEY` or `X-API-Key: KEY`";
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", sentence))
    }

    /// Lets a prediction begin. What is returned must live until the answer is there.
    pub(crate) fn begin(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.permits.try_acquire().map_err(|_| {
            self.metrics.shed.inc();
            overloaded("too many predictions are under way")
        })
    }

    /// Returns whether a request may use `/admin`; without a configured token nobody may. `None` where its address has tried
    /// so many wrong tokens that it has to wait.
    pub(crate) fn is_admin(&self, headers: &HeaderMap, address: IpAddr) -> Option<bool> {
        let Some(token) = &self.settings.admin_token else { return Some(false) };
        let own = || given(headers, &self.settings.admin_header);
        if own().next().is_none() {
            return Some(false);
        }
        self.tokens.judge(address, own(), |given| token.is(given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_network_of_version_6_are_one_caller() {
        let allows = |rate: &Rate, address: &str| rate.allows(address.parse().expect("an address"));
        let rate = Rate::new(1, 1).expect("a rate");
        assert!(allows(&rate, "2001:db8:1:2::1"));
        assert!(!allows(&rate, "2001:db8:1:2:ffff::9") && allows(&rate, "2001:db8:1:3::1"));
        assert!(allows(&rate, "192.0.2.1") && allows(&rate, "192.0.2.2"));
        assert!(!allows(&rate, "::ffff:192.0.2.1"));
    }
}
