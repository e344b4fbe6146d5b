//! Signals: SIGTERM and an interrupt end the service, SIGHUP makes it look at its source and its certificate.

use crate::reload::Reloads;
use crate::telemetry::talk::info;

/// What asks the service to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    /// SIGTERM, or a terminal that is gone.
    Terminate,
    /// Ctrl-C.
    Interrupt,
}

/// The signals that come from now on.
#[cfg(unix)]
pub(crate) struct Signals {
    terminate: Option<tokio::signal::unix::Signal>,
    interrupt: Option<tokio::signal::unix::Signal>,
    hangup: Option<tokio::signal::unix::Signal>,
    /// Whether a person started it on a terminal: who closes that wants it to end.
    on_terminal: bool,
    reloads: Reloads,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen(reloads: Reloads) -> Self {
        use std::io::IsTerminal as _;
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
            hangup: signal(SignalKind::hangup()).ok(),
            on_terminal: std::io::stderr().is_terminal(),
            reloads,
        }
    }

    /// Waits for a signal that ends the service.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                () = heard(&mut self.terminate) => return Signal::Terminate,
                () = heard(&mut self.interrupt) => return Signal::Interrupt,
                () = heard(&mut self.hangup) => {
                    if self.on_terminal {
                        return Signal::Terminate;
                    }
                    info("SIGHUP: the source and the certificate are looked at");
                    // What comes of it is told like any change.
                    drop(self.reloads.ask());
                }
            }
        }
    }
}

#[cfg(unix)]
async fn heard(signal: &mut Option<tokio::signal::unix::Signal>) {
    // One that cannot be listened to does what it does to any process.
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending::<()>().await;
    }
}

/// The signals that come from now on.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen(_reloads: Reloads) -> Self {
        Self
    }

    /// Waits for a signal that ends the service.
    pub(crate) async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
