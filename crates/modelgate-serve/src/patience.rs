//! How long a connection is waited for: a first request and a head that has begun have the time for headers, the pause
//! between two requests has a time of its own.
//!
//! hyper has one time for all of them, which begins when the answer before is out: a proxy that keeps connections for a
//! minute would find them closed after the ten seconds of a head. The timer that hyper is given here knows what the stream
//! has heard. What is heard is one mark for a read; there are no more timers than hyper has anyway.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The times of one connection; the timer that hyper waits with.
#[derive(Clone, Debug)]
pub(crate) struct Patience(Arc<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// For a head that has begun, and for the first one of a connection.
    head: Duration,
    /// Between two requests.
    idle: Duration,
    /// Whether a head was waited for before.
    later: AtomicBool,
    /// Whether something came since the head that is waited for now.
    heard: AtomicBool,
}

impl Patience {
    pub(crate) fn new(head: Duration, idle: Duration) -> Self {
        let (later, heard) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Waiting { head, idle, later, heard }))
    }

    /// Returns `stream`, whose bytes are noticed.
    pub(crate) fn over<S>(&self, stream: S) -> Heard<S> {
        Heard { stream, waiting: Arc::clone(&self.0) }
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep(duration)
    }

    /// Waits for a head, which is all that hyper waits for in HTTP/1; how long is said here and not by `deadline`.
    fn sleep_until(&self, _deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let idle = self.0.later.swap(true, Ordering::Relaxed);
        self.0.heard.store(false, Ordering::Relaxed);
        let patience = if idle { self.0.idle } else { self.0.head };
        let sleep = Box::pin(tokio::time::sleep(patience));
        Box::pin(Wait { waiting: Arc::clone(&self.0), idle, sleep })
    }
}

/// The wait for one head.
struct Wait {
    waiting: Arc<Waiting>,
    /// Whether nothing of it has come.
    idle: bool,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // hyper asks after each read that did not end the head.
        if self.idle && self.waiting.heard.load(Ordering::Relaxed) {
            self.idle = false;
            let until = tokio::time::Instant::now() + self.waiting.head;
            self.sleep.as_mut().reset(until);
        }
        self.sleep.as_mut().poll(context)
    }
}

impl Sleep for Wait {}

/// A stream that leaves a mark when something comes.
pub(crate) struct Heard<S> {
    stream: S,
    waiting: Arc<Waiting>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            self.waiting.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
