//! Counts of a window that is looked at again and again, over restarts of the service.

use std::collections::BTreeSet;
use std::time::Duration;

use super::wire::Counted;

/// By how much the clocks of two processes may run apart over a window, and a look may take.
const SLACK: Duration = Duration::from_secs(1);

/// Counts of two services that answer in turn: of neither can be said what came in the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mixed;

/// What was counted since the first look.
#[derive(Clone, Debug)]
pub struct Counting {
    begun: Counted,
    last: Counted,
    /// What instances counted that are gone.
    before: Counted,
    gone: BTreeSet<String>,
}

impl Counting {
    /// Begins with the first look.
    pub fn new(first: Counted) -> Self {
        Self { begun: first.clone(), last: first, before: Counted::default(), gone: BTreeSet::new() }
    }

    /// Takes another look, so long after the first one.
    ///
    /// # Errors
    /// Fails when it is no restart that counts anew: an instance that was gone is there again, or one that counted before
    /// the window began.
    pub fn look(&mut self, counted: Counted, elapsed: Duration) -> Result<(), Mixed> {
        if counted.instance != self.last.instance {
            let older = counted.age_ms.is_some_and(|age| Duration::from_millis(age) > elapsed + SLACK);
            if older || self.gone.contains(&counted.instance) {
                return Err(Mixed);
            }
            self.gone.insert(self.last.instance.clone());
            // What was counted anew began at nothing.
            self.before.add(&self.last.since(&self.begun));
            self.begun = Counted { instance: counted.instance.clone(), ..Counted::default() };
        }
        self.last = counted;
        Ok(())
    }

    /// Ends the window.
    #[must_use]
    pub fn window(mut self) -> Counted {
        self.before.add(&self.last.since(&self.begun));
        self.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::TrackCounts;

    fn counted(instance: &str, answered: u64, age_ms: Option<u64>) -> Counted {
        let canary = TrackCounts { answered, ..TrackCounts::default() };
        Counted { instance: instance.to_owned(), canary, age_ms, ..Counted::default() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_restart_is_counted_over() {
        let mut counting = Counting::new(counted("a", 100, Some(60_000)));
        assert_eq!(counting.look(counted("a", 107, Some(61_000)), at(1)), Ok(()));
        assert_eq!(counting.look(counted("b", 3, Some(500)), at(2)), Ok(()));
        assert_eq!(counting.look(counted("b", 5, Some(1500)), at(3)), Ok(()));
        assert_eq!(counting.window().canary.answered, 12);
    }

    #[test]
    fn two_services_that_answer_in_turn_are_no_restart() {
        let mut counting = Counting::new(counted("a", 100, Some(60_000)));
        assert_eq!(counting.look(counted("b", 100, Some(50_000)), at(1)), Err(Mixed));
        // Of one that does not tell since when it counts, it is known at the latest when the first is there again.
        let mut counting = Counting::new(counted("a", 100, None));
        assert_eq!(counting.look(counted("b", 100, None), at(1)), Ok(()));
        assert_eq!(counting.look(counted("a", 100, None), at(2)), Err(Mixed));
    }
}
