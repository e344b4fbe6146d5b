//! Numbers of requests: a caller's own, or one that no other request has.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Bytes of a caller's own number.
const LONGEST: usize = 128;

/// Gives out numbers.
#[derive(Debug)]
pub(crate) struct Ids {
    /// Differs from process to process.
    process: u64,
    next: AtomicU64,
    /// The header that has a caller's own.
    header: Option<HeaderName>,
}

impl Ids {
    pub(crate) fn new(header: &str) -> Self {
        Self {
            process: RandomState::new().hash_one(std::process::id()),
            next: AtomicU64::new(0),
            header: HeaderName::from_bytes(header.as_bytes()).ok(),
        }
    }

    /// Writes a number into the headers of an answer.
    pub(crate) fn insert(&self, headers: &mut HeaderMap, id: &str) {
        if let (Some(name), Ok(value)) = (&self.header, HeaderValue::from_str(id)) {
            headers.insert(name, value);
        }
    }

    /// Returns the caller's number, if there is one that can be a header and a line of a log, and a random number.
    pub(crate) fn of(&self, headers: &HeaderMap) -> (String, u32) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let random = mixed(self.process ^ number);
        let given =
            self.header.as_ref().and_then(|name| headers.get(name)).and_then(|value| value.to_str().ok());
        let visible = |text: &&str| {
            (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let id =
            given.filter(visible).map_or_else(|| format!("{:016x}{number:08x}", self.process), str::to_owned);
        (id, random as u32)
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, 2014).
fn mixed(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
