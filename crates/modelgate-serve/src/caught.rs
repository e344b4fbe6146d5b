//! Work that may break off: one bad answer or package must not end the thread that does it for every other one.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Letters of what a panic says that are told.
const LONGEST: usize = 300;

/// Does the work; a panic in it is an error that says what it said.
///
/// What is shared with the work holds at each of its steps: the catalogue is swapped as a whole, and locks are taken from
/// whoever broke off.
///
/// # Errors
/// Returns what the panic said.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        text.unwrap_or("no reason is given").chars().take(LONGEST).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_breaks_off_says_why() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("a {} of ours", "fault")), Err::<(), _>("a fault of ours".to_owned()));
        assert_eq!(caught(|| std::panic::panic_any(1)), Err::<(), _>("no reason is given".to_owned()));
    }
}
