//! Whether this machine lets a command have its threads. What trains and predicts starts them where it needs them, deep inside,
//! and cannot go on without: so they are tried before anything is done.

use std::sync::Mutex;

use anyhow::Context as _;
use modelgate_config::env::MODELGATE_THREADS;

use crate::environment;
use crate::exit::UsageError;

/// Threads beside those that work together: one that waits for a program, one that tells how far the work is.
const BESIDE: usize = 2;

/// Returns how many threads work together: those of `MODELGATE_THREADS`, else one for each core.
///
/// # Errors
/// Fails where the variable is no such number.
pub(crate) fn wanted() -> anyhow::Result<usize> {
    let Some(value) = environment::variable(MODELGATE_THREADS) else { return Ok(cores()) };
    let threads = value.parse::<usize>().ok().filter(|threads| (1..=1024).contains(threads));
    threads.ok_or_else(|| {
        let name = MODELGATE_THREADS;
        UsageError(format!("the environment variable {name} is `{value}`: expected a number from 1 to 1024"))
            .into()
    })
}

/// Returns the cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Follows `MODELGATE_THREADS`; results do not depend on it. Where the command `works` with them, they are tried.
///
/// # Errors
/// Fails where the variable is no such number, and where so many threads do not start.
pub(crate) fn prepare(works: bool) -> anyhow::Result<()> {
    let threads = wanted()?;
    if works {
        try_out(threads + BESIDE).with_context(|| {
            format!(
                "this machine does not start {} threads: {MODELGATE_THREADS} asks for fewer than the {threads} of now, or \
                 let this user, or this container, have more (`ulimit -u`, `ulimit -v`)",
                threads + BESIDE
            )
        })?;
    }
    if environment::variable(MODELGATE_THREADS).is_some() {
        modelgate_pipeline::set_threads(threads).context("cannot start threads")?;
    }
    Ok(())
}

/// Starts so many threads at once and lets them end.
fn try_out(count: usize) -> std::io::Result<()> {
    started(count, &|| std::thread::Builder::new())
}

fn started(count: usize, builder: &dyn Fn() -> std::thread::Builder) -> std::io::Result<()> {
    let door = Mutex::new(());
    let closed = door.lock();
    std::thread::scope(|scope| {
        let wait = || drop(door.lock());
        let all = (0..count).try_for_each(|_| builder().spawn_scoped(scope, wait).map(drop));
        drop(closed);
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_do_not_start_are_an_error_and_no_panic() {
        assert!(try_out(4).is_ok());
        // No machine has so much memory for a stack.
        assert!(started(2, &|| std::thread::Builder::new().stack_size(usize::MAX / 4)).is_err());
    }
}
