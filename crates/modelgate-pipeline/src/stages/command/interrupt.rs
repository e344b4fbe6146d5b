//! Signals that ask this program to end while it waits for another: they are heard in place of what they do by
//! themselves, so that the other program ends too. At any other time they do what they always do.

/// A signal that asks for the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interrupt {
    /// Ctrl-C.
    Interrupt,
    /// What service managers and schedulers send.
    Terminate,
    /// The terminal is gone.
    Hangup,
}

impl std::fmt::Display for Interrupt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Interrupt => "Ctrl-C (SIGINT)",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        })
    }
}

#[cfg(unix)]
pub(super) use unix::Listening;

#[cfg(unix)]
mod unix {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, OnceLock};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;

    use super::Interrupt;

    const SIGNALS: [(i32, Interrupt); 3] =
        [(SIGINT, Interrupt::Interrupt), (SIGTERM, Interrupt::Terminate), (SIGHUP, Interrupt::Hangup)];

    /// What the handlers write to, which stay once they are there.
    struct Heard {
        /// Whether nobody listens: a signal then ends this program.
        idle: Arc<AtomicBool>,
        /// The last signal; 0 is none.
        last: Arc<AtomicUsize>,
    }

    fn heard() -> &'static Heard {
        static HEARD: OnceLock<Heard> = OnceLock::new();
        HEARD.get_or_init(|| {
            let heard = Heard { idle: Arc::new(AtomicBool::new(true)), last: Arc::new(AtomicUsize::new(0)) };
            let ignored = ignored();
            for (signal, _) in SIGNALS.into_iter().filter(|(signal, _)| !ignored.contains(signal)) {
                // Where a system allows no handler, the signal does what it always does.
                let idle = flag::register_conditional_default(signal, Arc::clone(&heard.idle));
                let _ =
                    idle.and_then(|_| flag::register_usize(signal, Arc::clone(&heard.last), signal as usize));
            }
            heard
        })
    }

    /// Returns the signals that whoever started this program wants ignored, as `nohup` does; where the system does not
    /// tell, the one that `nohup` is about.
    fn ignored() -> Vec<i32> {
        let status = fs_err::read_to_string("/proc/self/status").ok();
        let mask = status.as_deref().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        });
        let Some(mask) = mask else { return vec![SIGHUP] };
        SIGNALS.into_iter().map(|(signal, _)| signal).filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
    }

    /// Hears signals until it is dropped.
    pub(in crate::stages::command) struct Listening(&'static Heard);

    impl Listening {
        pub(in crate::stages::command) fn begin() -> Self {
            let heard = heard();
            heard.last.store(0, Ordering::SeqCst);
            heard.idle.store(false, Ordering::SeqCst);
            Self(heard)
        }

        /// Returns a signal that came since the last call.
        pub(in crate::stages::command) fn came(&self) -> Option<Interrupt> {
            let last = self.0.last.swap(0, Ordering::SeqCst);
            SIGNALS.into_iter().find(|(signal, _)| *signal as usize == last).map(|(_, interrupt)| interrupt)
        }
    }

    impl Drop for Listening {
        fn drop(&mut self) {
            self.0.idle.store(true, Ordering::SeqCst);
        }
    }
}

/// Elsewhere the console tells every program of Ctrl-C itself.
#[cfg(not(unix))]
pub(super) struct Listening;

#[cfg(not(unix))]
impl Listening {
    pub(super) fn begin() -> Self {
        Self
    }

    pub(super) fn came(&self) -> Option<Interrupt> {
        None
    }
}
