//! Who may ask, and how often.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::SemaphorePermit;

use super::App;
use super::tries::Tries;
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

/// What a request that needs a secret comes with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    Valid,
    /// A wrong one, or none.
    Wrong,
    /// A wrong one, from where so many came that the next ones have to wait.
    TooMany,
}

/// Judges the secrets `given`, of which one has to be valid. Each is compared, and only a wrong one counts: nobody else can
/// bring it about that a valid one is not let in.
fn judged<'h>(
    tries: &Tries,
    address: IpAddr,
    mut given: impl Iterator<Item = &'h [u8]> + Clone,
    is_valid: impl Fn(&[u8]) -> bool,
) -> Judged {
    if given.clone().any(is_valid) {
        Judged::Valid
    } else if given.next().is_some() && tries.are_too_many(address) {
        Judged::TooMany
    } else {
        Judged::Wrong
    }
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

    /// Refuses somebody without a valid key. Who tries wrong keys again and again has to wait; who has none is told so.
    fn check_key(&self, headers: &HeaderMap, address: IpAddr) -> Result<(), Refusal> {
        match judged(&self.keys, address, given(headers, API_KEY), |key| is_any(&self.settings.api_keys, key))
        {
            Judged::Valid => return Ok(()),
            Judged::TooMany => {
                self.metrics.rate_limited.inc();
                return Err(too_often("too many tries with a wrong key"));
            }
            Judged::Wrong => {}
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

    /// Returns whether a request may use `/admin`; without a configured token nobody may.
    pub(crate) fn is_admin(&self, headers: &HeaderMap, address: IpAddr) -> Judged {
        let Some(token) = &self.settings.admin_token else { return Judged::Wrong };
        judged(&self.tokens, address, given(headers, &self.settings.admin_header), |given| token.is(given))
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

    #[test]
    fn one_who_guesses_keeps_nobody_out_who_is_behind_the_same_address() {
        let (tries, address) = (Tries::new("keys"), IpAddr::from([192, 0, 2, 1]));
        let ask = |headers: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (header::HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let headers: HeaderMap = headers.iter().map(pair).collect();
            judged(&tries, address, given(&headers, API_KEY), |given| given == b"right")
        };
        let guesses: Vec<Judged> = (0..30).map(|_| ask(&[(API_KEY, "guess")])).collect();
        assert!(!guesses.contains(&Judged::Valid) && guesses.contains(&Judged::Wrong));
        assert_eq!(guesses.last(), Some(&Judged::TooMany));
        // Nothing valid came from there before.
        assert_eq!(ask(&[(API_KEY, "right")]), Judged::Valid);
        assert_eq!(ask(&[(API_KEY, "guess"), ("authorization", "Bearer right")]), Judged::Valid);
        // Who sends none did not try.
        assert_eq!(ask(&[]), Judged::Wrong);
        assert_eq!(ask(&[(API_KEY, "guess")]), Judged::TooMany);
    }
}
