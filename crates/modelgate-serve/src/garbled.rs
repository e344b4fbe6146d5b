//! What is no HTTP at all is answered by hyper itself, with neither a body nor a header of ours. On its way out such an answer
//! becomes one like every other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of hyper's own answer at most: a first line, `content-length`, `connection` and `date`.
const LONGEST: usize = 256;

/// A stream out of which no answer of hyper's own comes: `answer` makes the one that does.
pub(crate) struct Ungarbled<S, A> {
    stream: S,
    answer: A,
    /// What is still to be written of an answer.
    pending: Vec<u8>,
    written: usize,
}

impl<S, A> Ungarbled<S, A>
where
    S: AsyncWrite + Unpin,
    A: Fn(StatusCode) -> Vec<u8>,
{
    pub(crate) fn new(stream: S, answer: A) -> Self {
        Self { stream, answer, pending: Vec::new(), written: 0 }
    }

    /// Writes what is pending.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            let written =
                ready!(Pin::new(&mut self.stream).poll_write(context, &self.pending[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        Poll::Ready(Ok(()))
    }

    /// Puts an answer in the place of one of hyper's own; returns whether `bytes` are one.
    fn replace(&mut self, bytes: &[u8]) -> bool {
        let Some(status) = own(bytes) else { return false };
        (self.pending, self.written) = ((self.answer)(status), 0);
        true
    }
}

/// Returns the status of an answer that hyper made: the whole of it, a refusal, with no header but those that it sets.
fn own(bytes: &[u8]) -> Option<StatusCode> {
    if bytes.len() > LONGEST || !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status: StatusCode = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let plain = |line: &str| {
        let name = line.split_once(": ").map_or("", |(name, _)| name);
        line == "content-length: 0" || name == "connection" || name == "date"
    };
    (status.is_client_error() && lines.all(plain)).then_some(status)
}

impl<S, A> AsyncRead for Ungarbled<S, A>
where
    S: AsyncRead + Unpin,
    A: Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S, A> AsyncWrite for Ungarbled<S, A>
where
    S: AsyncWrite + Unpin,
    A: Fn(StatusCode) -> Vec<u8> + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.drain(context))?;
        if self.replace(bytes) {
            // What does not go out now goes with the flush.
            if let Poll::Ready(Err(error)) = self.drain(context) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = buffers {
            return self.poll_write(context, only);
        }
        ready!(self.drain(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn only_an_answer_of_hyper_itself_is_known_as_one() {
        let date = "date: Fri, 27 Nov 2026 18:00:00 GMT";
        for (answer, expected) in [
            (format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{date}\r\n\r\n"), Some(400)),
            (
                format!("HTTP/1.0 431 Too\r\nconnection: close\r\ncontent-length: 0\r\n{date}\r\n\r\n"),
                Some(431),
            ),
            (format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{date}\r\n\r\n"), None),
            (format!("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n{date}\r\n\r\n{{}}"), None),
            (
                format!(
                    "HTTP/1.1 404 Not Found\r\nx-correlation-id: 1\r\ncontent-length: 0\r\n{date}\r\n\r\n"
                ),
                None,
            ),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0".to_owned(), None),
            ("HTTP/1.1 nothing\r\n\r\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(own(answer.as_bytes()).map(|status| status.as_u16()), expected, "{answer}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_takes_its_place_however_slowly_it_is_read() {
        // The pipe holds fewer bytes than the answer has.
        let (ours, mut theirs) = tokio::io::duplex(7);
        let answer = |status: StatusCode| format!("{status} of ours").into_bytes();
        let written = tokio::spawn(async move {
            let mut stream = Ungarbled::new(ours, answer);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
            stream.flush().await?;
            stream.shutdown().await
        });
        let mut read = String::new();
        theirs.read_to_string(&mut read).await.expect("text");
        written.await.expect("no panic").expect("written");
        assert_eq!(read, "HTTP/1.1 200 OK\r\n\r\n400 Bad Request of ours");
    }
}
