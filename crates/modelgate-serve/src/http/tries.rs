//! Tries with a wrong secret: an address that goes on guessing is not listened to, and what it says is not even compared.
//! Others may be behind the same address, as behind a proxy that is not trusted: where a valid secret came from it lately
//! everything is compared, or one who guesses would keep all of them out. Nor does who sends one wrong secret again and
//! again: that is a caller with an old key, and no guess.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::guard::counted;
use crate::telemetry::talk::warn;

/// Wrong tries of one address before it has to wait; each is made up for by [`WAIT`].
const TRIES: u32 = 10;
const WAIT: Duration = Duration::from_secs(1);
/// Wrong secrets that are remembered of an address.
const REMEMBERED: usize = 16;
/// For so long a valid secret speaks for its address.
const LATELY: Duration = Duration::from_secs(3600);
/// A valid secret is taken note of so often: most requests write nothing.
const NOTED: Duration = Duration::from_secs(60);
/// The log tells of who guesses so often.
const TOLD: Duration = Duration::from_secs(60);
/// From so many addresses on, those that are quiet are forgotten.
const FORGET: usize = 10_000;

/// Tries that are made up for with time.
#[derive(Clone, Copy, Debug)]
struct Bucket(Instant);

impl Bucket {
    fn is_full(self, now: Instant) -> bool {
        self.0 > now + WAIT * (TRIES - 1)
    }

    /// Takes one try more; returns whether there was room for it.
    fn take(&mut self, now: Instant) -> bool {
        let has_room = !self.is_full(now);
        if has_room {
            self.0 = self.0.max(now) + WAIT;
        }
        has_room
    }
}

#[derive(Clone, Debug)]
struct Seen {
    /// All wrong tries.
    wrong: Bucket,
    /// Those with a secret that was not tried before.
    guesses: Bucket,
    /// Hashes of the last wrong secrets.
    tried: VecDeque<u64>,
    /// When a valid secret came last.
    valid: Option<Instant>,
}

impl Seen {
    fn is_known(&self, now: Instant) -> bool {
        self.valid.is_some_and(|valid| now.duration_since(valid) < LATELY)
    }
}

/// Tries by address.
#[derive(Debug)]
pub(crate) struct Tries {
    /// What is tried, in a word.
    what: &'static str,
    seen: RwLock<HashMap<IpAddr, Seen>>,
    told: Mutex<Option<Instant>>,
    /// Another one in each process: what is remembered tells nobody what was tried.
    hashes: RandomState,
}

/// What there is to do with a try.
enum Next {
    Compare { note: bool },
    IsWrong,
    Wait,
}

impl Tries {
    pub(crate) fn new(what: &'static str) -> Self {
        let (seen, told, hashes) = (RwLock::default(), Mutex::default(), RandomState::new());
        Self { what, seen, told, hashes }
    }

    /// Judges a try of the secrets `given`, of which one has to be valid. `None` where the address has to wait: it learns
    /// nothing.
    pub(crate) fn judge<'s>(
        &self,
        address: IpAddr,
        given: impl Iterator<Item = &'s [u8]> + Clone,
        is_valid: impl FnMut(&'s [u8]) -> bool,
    ) -> Option<bool> {
        self.judge_at(address, Instant::now(), given, is_valid)
    }

    fn judge_at<'s>(
        &self,
        address: IpAddr,
        now: Instant,
        mut given: impl Iterator<Item = &'s [u8]> + Clone,
        is_valid: impl FnMut(&'s [u8]) -> bool,
    ) -> Option<bool> {
        let mut hasher = self.hashes.build_hasher();
        given.clone().for_each(|secret| secret.hash(&mut hasher));
        let (hash, counted) = (hasher.finish(), counted(address));
        let answer = match self.next(counted, now, hash) {
            Next::Wait => None,
            Next::IsWrong => self.change(counted, now, |seen| seen.wrong.take(now)).then_some(false),
            Next::Compare { note } if given.any(is_valid) => {
                if note {
                    self.change(counted, now, |seen| seen.valid = Some(now));
                }
                Some(true)
            }
            Next::Compare { .. } => {
                let wrong = |seen: &mut Seen| {
                    seen.guesses.take(now);
                    seen.tried.truncate(REMEMBERED - 1);
                    seen.tried.push_front(hash);
                    seen.wrong.take(now)
                };
                self.change(counted, now, wrong).then_some(false)
            }
        };
        if answer.is_none() {
            self.tell(address, now);
        }
        answer
    }

    fn next(&self, address: IpAddr, now: Instant, hash: u64) -> Next {
        let all = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        match all.get(&address) {
            None => Next::Compare { note: true },
            Some(seen) if seen.tried.contains(&hash) => Next::IsWrong,
            Some(seen) if seen.guesses.is_full(now) && !seen.is_known(now) => Next::Wait,
            Some(seen) => Next::Compare { note: seen.valid.is_none_or(|at| now.duration_since(at) >= NOTED) },
        }
    }

    fn change<T>(&self, address: IpAddr, now: Instant, change: impl FnOnce(&mut Seen) -> T) -> T {
        let mut all = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= FORGET && !all.contains_key(&address) {
            all.retain(|_, seen| seen.wrong.0 > now || seen.guesses.0 > now || seen.is_known(now));
        }
        let (quiet, tried) = (Bucket(now), VecDeque::new());
        change(all.entry(address).or_insert(Seen { wrong: quiet, guesses: quiet, tried, valid: None }))
    }

    /// Tells the log who guesses: counters have no addresses.
    fn tell(&self, address: IpAddr, now: Instant) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| now.duration_since(at) >= TOLD) {
            *told = Some(now);
            warn(&format!(
                "{address} goes on trying wrong {}, and has to wait between two of them",
                self.what
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &[u8] = b"right";

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Tries one secret, and says whether it was compared.
    fn ask(tries: &Tries, last: u8, now: Instant, secret: &[u8]) -> (Option<bool>, bool) {
        let mut compared = false;
        let is_valid = |given: &[u8]| {
            compared = true;
            given == RIGHT
        };
        let answer = tries.judge_at(address(last), now, std::iter::once(secret), is_valid);
        (answer, compared)
    }

    #[test]
    fn who_goes_on_guessing_is_not_compared_but_once_a_second() {
        let (tries, began) = (Tries::new("keys"), Instant::now());
        let at = |millis: u32| began + Duration::from_millis(millis.into());
        for guess in 0..TRIES {
            assert_eq!(ask(&tries, 1, began, &guess.to_le_bytes()), (Some(false), true));
        }
        let mut compared = 0;
        for millis in 0..5000 {
            compared += u32::from(ask(&tries, 1, at(millis), format!("guess {millis}").as_bytes()).1);
            // Neither is the right one.
            assert_eq!(ask(&tries, 1, at(millis), RIGHT), (None, false), "{millis}");
        }
        assert_eq!(compared, 4, "one for each second that went by");
        // Another address is another one, and who waited may try again.
        assert_eq!(ask(&tries, 2, at(5000), RIGHT), (Some(true), true));
        assert_eq!(ask(&tries, 1, at(60_000), RIGHT), (Some(true), true));
    }

    #[test]
    fn one_who_guesses_keeps_nobody_out_who_was_let_in_from_there() {
        let (tries, began) = (Tries::new("keys"), Instant::now());
        let guesses = |from: u32, now: Instant| {
            let asked = (from..from + 30).map(|guess| ask(&tries, 1, now, &guess.to_le_bytes()).0);
            asked.filter(|answer| *answer == Some(false)).count()
        };
        assert_eq!(ask(&tries, 1, began, RIGHT), (Some(true), true));
        assert_eq!(guesses(0, began), TRIES as usize);
        assert_eq!(ask(&tries, 1, began, RIGHT), (Some(true), true));
        let later = began + LATELY;
        assert_eq!(guesses(100, later), TRIES as usize);
        assert_eq!(ask(&tries, 1, later, RIGHT), (None, false));
    }

    #[test]
    fn an_old_key_that_is_sent_again_and_again_is_no_guess() {
        let (tries, began) = (Tries::new("keys"), Instant::now());
        assert_eq!(ask(&tries, 1, began, b"old"), (Some(false), true));
        let asked: Vec<_> = (0..30).map(|_| ask(&tries, 1, began, b"old")).collect();
        assert!(asked.iter().all(|(_, compared)| !compared));
        // It has to wait itself, and the others behind its address do not.
        assert_eq!(asked.last(), Some(&(None, false)));
        assert_eq!(ask(&tries, 1, began, RIGHT), (Some(true), true));
    }
}
