//! Whether a model answers, looked at once a second at most: whoever asks more often learns no more, and nobody waits for
//! a look that somebody else takes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long what was found holds.
const FRESH: Duration = Duration::from_secs(1);

/// What was found of one model when it was last looked at.
#[derive(Debug)]
pub(crate) struct Readiness {
    since: Instant,
    /// When, in milliseconds.
    at: AtomicU64,
    ready: AtomicBool,
}

impl Readiness {
    /// Of a model that has just answered.
    pub(crate) fn answered() -> Self {
        Self { since: Instant::now(), at: AtomicU64::new(0), ready: AtomicBool::new(true) }
    }

    /// Returns whether the model answers; `look` finds out where that is not known.
    pub(crate) fn of(&self, look: impl FnOnce() -> bool) -> bool {
        self.at(self.since.elapsed(), look)
    }

    fn at(&self, now: Duration, look: impl FnOnce() -> bool) -> bool {
        let last = self.at.load(Ordering::Relaxed);
        let fresh = now < Duration::from_millis(last) + FRESH;
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // Of several who find it old, one looks; the others go by what was found before.
        if !fresh && self.at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.ready.store(look(), Ordering::Relaxed);
        }
        self.ready.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_looked_at_once_a_second_whoever_asks() {
        let readiness = Readiness::answered();
        let mut looks = 0;
        let mut asked = |milliseconds: u64, found: bool| {
            let look = || {
                looks += 1;
                found
            };
            (readiness.at(Duration::from_millis(milliseconds), look), looks)
        };
        assert_eq!(asked(0, false), (true, 0));
        assert_eq!(asked(999, false), (true, 0));
        assert_eq!(asked(1000, false), (false, 1));
        assert_eq!(asked(1999, true), (false, 1));
        assert_eq!(asked(2000, true), (true, 2));
        // While one looks, another is told what was found before, and does not wait.
        let inner = readiness.at(Duration::from_secs(9), || {
            assert!(readiness.at(Duration::from_secs(9), || panic!("looked twice")));
            false
        });
        assert!(!inner);
    }
}
