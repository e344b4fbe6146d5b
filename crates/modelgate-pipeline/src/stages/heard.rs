//! Long work on another thread, while this one tells how far it is.

use std::sync::mpsc::{Sender, channel};

/// What the work says; nothing when it has ended, however it did.
type Said = Option<(usize, usize)>;

/// Says that the work has ended, also by a panic.
struct Ended(Sender<Said>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(None);
    }
}

/// Runs `work` and calls `hear` on this thread with what it says through the sender.
///
/// # Panics
/// As `work` does.
pub(crate) fn heard<T: Send>(
    work: impl FnOnce(Sender<Said>) -> T + Send,
    hear: &mut dyn FnMut(usize, usize),
) -> T {
    let (sender, receiver) = channel::<Said>();
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let _ended = Ended(sender.clone());
            work(sender)
        });
        while let Ok(Some((done, of))) = receiver.recv() {
            hear(done, of);
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_the_end_is_noticed_while_a_sender_lives() {
        let mut all = Vec::new();
        let kept = heard(
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
