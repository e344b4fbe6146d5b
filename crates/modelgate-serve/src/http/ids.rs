//! Who asks, and the number of the request: a caller's own, or one that no other request has.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::telemetry::Context;

/// Bytes of a caller's own number.
const LONGEST: usize = 128;

/// Who sent a request, and what it is called.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    /// The number of the request, as it stands in the answer and in the log.
    pub(crate) id: String,
    /// A number that decides whether the request is logged.
    pub(crate) random: u32,
    /// The span of the request, where it is part of a trace.
    pub(crate) trace: Option<Context>,
}

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

    /// Returns the header that has a number.
    pub(crate) fn header(&self) -> Option<&HeaderName> {
        self.header.as_ref()
    }

    /// Writes a number into the headers of an answer.
    pub(crate) fn insert(&self, headers: &mut HeaderMap, id: &str) {
        if let (Some(name), Ok(value)) = (&self.header, HeaderValue::from_str(id)) {
            headers.insert(name, value);
        }
    }

    /// Returns who asks, with the number that came along if it can be a header and a line of a log.
    pub(crate) fn caller(&self, headers: &HeaderMap, address: IpAddr, trace: Option<Context>) -> Caller {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let random = mixed(self.process ^ number);
        let given =
            self.header.as_ref().and_then(|name| headers.get(name)).and_then(|value| value.to_str().ok());
        let visible = |text: &&str| {
            (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let id =
            given.filter(visible).map_or_else(|| format!("{:016x}{number:08x}", self.process), str::to_owned);
        Caller { address, id, random: random as u32, trace }
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, 2014).
fn mixed(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
