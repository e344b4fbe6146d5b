//! Which version answers a request: the one it names, the one it is pinned to, or by a hash of who asks.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use modelgate_core::Digest;
use modelgate_core::rollout::Percent;

use super::Canary;
use crate::catalog::Served;
use crate::refusal::Refusal;
use crate::served::ServedModel;

/// The header that says in an answer which track gave it, and in a request which one is asked for.
pub(crate) const TRACK_HEADER: HeaderName = HeaderName::from_static("modelgate-track");

/// Which of the two versions of a model.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Track {
    /// The one in production.
    Stable,
    /// The new one beside it.
    Canary,
}

impl Track {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }

    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

/// The version that answers a request, and the canary beside it, if there is one.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) model: Arc<ServedModel>,
    pub(crate) canary: Option<Arc<Canary>>,
}

/// What a request tells of who sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// The header with the key.
    pub(crate) key_header: Option<&'a HeaderName>,
    /// The header with a caller's own number of the request.
    pub(crate) correlation_header: Option<&'a HeaderName>,
    pub(crate) address: Option<IpAddr>,
}

/// Parts that requests are sorted into.
const PARTS: u64 = 10_000;

/// FNV-1a (Fowler, Noll and Vo), which is the same in every process and release.
fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Returns the part, below 10,000, that a key falls into. The canary's digest is hashed with it: the same callers get
/// one canary on every replica and after a restart, and others are the first to get the next.
fn part(canary: &Digest, key: &[u8]) -> u64 {
    let state = fnv(fnv(0xcbf2_9ce4_8422_2325, canary.as_bytes()), key);
    // FNV alone leaves neighbouring keys in neighbouring parts.
    let mut value = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ (value >> 31)) % PARTS
}

/// Returns whether a part is among the first `share` of all: whoever got the canary keeps it as its share grows.
fn within(part: u64, share: Percent) -> bool {
    part < u64::from(share.get()) * (PARTS / 100)
}

impl Asker<'_> {
    fn part(&self, canary: &Digest) -> u64 {
        let given = |name: Option<&HeaderName>| {
            self.headers.get(name?).map(HeaderValue::as_bytes).filter(|value| !value.is_empty())
        };
        if let Some(key) = given(self.key_header).or_else(|| given(self.correlation_header)) {
            return part(canary, key);
        }
        match self.address {
            Some(IpAddr::V4(address)) => part(canary, &address.octets()),
            Some(IpAddr::V6(address)) => part(canary, &address.octets()),
            None => part(canary, &[]),
        }
    }
}

/// Returns the version of `name` that answers.
///
/// # Errors
/// Fails when the model, the version or the track that is asked for is not served.
pub(crate) fn choose(
    served: &Served,
    name: Option<&str>,
    version: Option<&str>,
    asker: Option<&Asker<'_>>,
) -> Result<Chosen, Refusal> {
    let stable = served.find(name).map_err(Refusal::not_found)?;
    let canary = served.canaries.get(stable.name());
    let pinned = match asker.and_then(|asker| asker.headers.get(TRACK_HEADER)).map(HeaderValue::as_bytes) {
        None => None,
        Some(b"stable") => Some(Track::Stable),
        Some(b"canary") => Some(Track::Canary),
        Some(_) => {
            let sentence = "modelgate-track: expected `stable` or `canary`";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "unknown_track", sentence));
        }
    };
    let track = match (version, pinned, canary) {
        (Some(version), ..) if version == stable.offer.version => Track::Stable,
        (Some(version), _, Some(canary)) if version == canary.model.offer.version => Track::Canary,
        (Some(_), ..) => {
            let beside =
                canary.map_or_else(String::new, |canary| format!(" and {}", canary.model.offer.version));
            let sentence = format!("this version is not served; served is {}{beside}", stable.offer.version);
            return Err(Refusal::not_found(sentence));
        }
        (None, Some(Track::Canary), None) => {
            let sentence = "no canary of this model is served";
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no_canary", sentence));
        }
        (None, Some(pinned), _) => pinned,
        (None, None, Some(canary)) => {
            let part = asker.map(|asker| asker.part(&canary.model.offer.digest));
            if part.is_some_and(|part| within(part, canary.weight)) { Track::Canary } else { Track::Stable }
        }
        (None, None, None) => Track::Stable,
    };
    let model = match (track, canary) {
        (Track::Canary, Some(canary)) => &canary.model,
        _ => stable,
    };
    Ok(Chosen { model: Arc::clone(model), canary: canary.cloned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(canary: &Digest, weight: u8) -> usize {
        let weight = Percent::new(weight).expect("a share");
        (0..10_000).filter(|key| within(part(canary, format!("user-{key}").as_bytes()), weight)).count()
    }

    #[test]
    fn ten_thousand_keys_are_shared_as_the_weight_says() {
        let canary = Digest::of(b"canary");
        for weight in [1_u8, 5, 25, 50, 75, 99] {
            // Four standard deviations of a binomial.
            let expected = 100.0 * f64::from(weight);
            let tolerance = 4.0 * (expected * (1.0 - f64::from(weight) / 100.0)).sqrt();
            let found = share(&canary, weight) as f64;
            assert!((found - expected).abs() <= tolerance, "{weight}%: {found}");
        }
        assert_eq!((share(&canary, 0), share(&canary, 100)), (0, 10_000));
    }

    #[test]
    fn a_key_keeps_its_part_and_another_canary_sorts_anew() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        // Written down: another release must send the same callers to the same version.
        assert_eq!((part(&one, b"user-1"), part(&one, b"user-2")), (217, 1677));
        let moved = (0..1000).filter(|key: &u32| {
            let key = key.to_le_bytes();
            within(part(&one, &key), Percent::new(50).expect("a share"))
                != within(part(&two, &key), Percent::new(50).expect("a share"))
        });
        assert!((400..600).contains(&moved.count()));
    }
}
