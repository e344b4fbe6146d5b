//! Long work on another thread, while this one tells how far it is.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

/// What the work says; nothing when it has ended, however it did.
type Said = Option<(usize, usize)>;

/// Says that the work has ended, also by a panic.
struct Ended(Sender<Said>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(None);
    }
}

/// Runs `work` once and calls `hear` on this thread with what it says through the sender. Where no other thread can be had, the
/// work is done on this one, and what it says is heard behind it.
///
/// # Panics
/// As `work` does.
pub(crate) fn heard<T: Send>(
    work: impl FnMut(Sender<Said>) -> T + Send,
    hear: &mut dyn FnMut(usize, usize),
) -> T {
    heard_from(std::thread::Builder::new(), work, hear)
}

fn heard_from<T: Send>(
    builder: std::thread::Builder,
    work: impl FnMut(Sender<Said>) -> T + Send,
    hear: &mut dyn FnMut(usize, usize),
) -> T {
    let (sender, receiver) = channel::<Said>();
    let work = Mutex::new(work);
    let work = |sender: Sender<Said>| {
        let _ended = Ended(sender.clone());
        (work.lock().unwrap_or_else(PoisonError::into_inner))(sender)
    };
    let work = &work;
    std::thread::scope(|scope| {
        let own = sender.clone();
        let worker = builder.spawn_scoped(scope, move || work(own)).map_err(|_| work(sender));
        while let Ok(Some((done, of))) = receiver.recv() {
            hear(done, of);
        }
        match worker {
            Ok(worker) => worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(done) => done,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_the_end_is_noticed_while_a_sender_lives() {
        // No machine has so much memory for a stack: there is no other thread then.
        for builder in [std::thread::Builder::new(), std::thread::Builder::new().stack_size(usize::MAX / 4)] {
            let mut all = Vec::new();
            let kept = heard_from(
                builder,
                |sender| {
                    for done in 1..=3 {
                        let _ = sender.send(Some((done, 3)));
                    }
                    sender
                },
                &mut |done, of| all.push((done, of)),
            );
            assert_eq!(all, [(1, 3), (2, 3), (3, 3)]);
            drop(kept);
        }
    }
}
