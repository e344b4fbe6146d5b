//! Tries with a wrong secret: who goes on with them is told to wait, and the log names the address. A valid secret opens
//! whatever came before it: others may be behind the same address, as behind a proxy that is not trusted, and one who guesses
//! would keep all of them out, the administrator too. What keeps a secret from being guessed is its length.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::guard::counted;
use crate::telemetry::talk::warn;

/// Wrong tries of one address before it has to wait; each is made up for by [`WAIT`].
const TRIES: u32 = 10;
const WAIT: Duration = Duration::from_secs(1);
/// The log tells of who guesses so often.
const TOLD: Duration = Duration::from_secs(60);
/// From so many addresses on, those that are quiet are forgotten.
const FORGET: usize = 10_000;

/// Wrong tries by address.
#[derive(Debug)]
pub(crate) struct Tries {
    /// What is tried, in a word.
    what: &'static str,
    /// When the tries of an address will have been made up for.
    until: Mutex<HashMap<IpAddr, Instant>>,
    told: Mutex<Option<Instant>>,
}

impl Tries {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, until: Mutex::default(), told: Mutex::default() }
    }

    /// Takes note of a wrong try; returns whether it was one too many.
    pub(crate) fn are_too_many(&self, address: IpAddr) -> bool {
        self.are_too_many_at(address, Instant::now())
    }

    fn are_too_many_at(&self, address: IpAddr, now: Instant) -> bool {
        let too_many = !self.take(counted(address), now);
        if too_many {
            self.tell(address, now);
        }
        too_many
    }

    /// Takes one try more of an address; returns whether there was room for it.
    fn take(&self, address: IpAddr, now: Instant) -> bool {
        let mut all = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= FORGET && !all.contains_key(&address) {
            all.retain(|_, until| *until > now);
        }
        let until = all.entry(address).or_insert(now);
        let has_room = *until <= now + WAIT * (TRIES - 1);
        if has_room {
            *until = now.max(*until) + WAIT;
        }
        has_room
    }

    /// Tells the log who guesses: counters have no addresses.
    fn tell(&self, address: IpAddr, now: Instant) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| now.duration_since(at) >= TOLD) {
            *told = Some(now);
            warn(&format!("{address} goes on trying wrong {}", self.what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_guessing_has_to_wait_a_second_for_each_try() {
        let (tries, began) = (Tries::new("keys"), Instant::now());
        let at = |millis: u64| began + Duration::from_millis(millis);
        let ask = |last: u8, now: Instant| tries.are_too_many_at(IpAddr::from([192, 0, 2, last]), now);
        assert!((0..TRIES).all(|_| !ask(1, began)));
        let let_in = (0..5000).filter(|millis| !ask(1, at(*millis))).count();
        assert_eq!(let_in, 4, "one for each second that went by");
        // Another address is another one, and who waited has its tries again.
        assert!(!ask(2, at(5000)));
        assert!((0..TRIES).all(|_| !ask(1, at(60_000))) && ask(1, at(60_000)));
    }
}
