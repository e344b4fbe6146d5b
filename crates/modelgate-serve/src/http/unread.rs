//! Bodies that are answered before they are read, such as one without a key. What is left of such a body stands in the way
//! of the next request of its connection: it is read and thrown away, or the answer says that the connection ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, Request, Response, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

use crate::settings::Limits;

/// Bodies that nobody wanted are read up to here, or as far as a wanted one would be.
const UNWANTED: u64 = 8 << 20;
/// How long the rest of an unwanted body is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads on, to `most` bytes, and keeps nothing: many clients read no answer before they have sent everything. Returns
/// whether that was all of it.
pub(super) async fn discard<B>(mut body: B, mut length: u64, most: u64) -> bool
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        length += frame.data_ref().map_or(0, |data| data.len() as u64);
        if length > most {
            return false;
        }
    }
    true
}

/// What is left of a body.
struct Rest<B> {
    body: B,
    /// Whether somebody began to read it, and gave up.
    begun: bool,
}

/// Where a connection puts what is left of a body. One for all of its requests, which come one after the other.
pub(crate) struct Unread<B>(Arc<Mutex<Option<Rest<B>>>>);

impl<B> Clone for Unread<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Default for Unread<B> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// The body of a request; what is not read of it goes back to its connection.
struct Lent<B> {
    body: Option<B>,
    begun: bool,
    ended: bool,
    back: Unread<B>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Lent<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.begun = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        self.ended |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|_| !self.ended) {
            self.back.put(Rest { body, begun: self.begun });
        }
    }
}

impl<B> Unread<B> {
    fn put(&self, rest: Rest<B>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
    }

    fn take(&self) -> Option<Rest<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<B> Unread<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn lend(&self, request: Request<B>) -> Request<Body> {
        // What an earlier request left is not this one's.
        drop(self.take());
        request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            Body::new(Lent { body: Some(body), begun: false, ended: false, back: self.clone() })
        })
    }

    /// Lets `answer` answer a request, and sees to what it left of the body, so that the next request of the connection can
    /// be read; where it cannot, the answer says that the connection ends.
    pub(crate) async fn around<F, E>(
        &self,
        request: Request<B>,
        limits: &Limits,
        answer: impl FnOnce(Request<Body>) -> F,
    ) -> Result<Response<Body>, E>
    where
        F: Future<Output = Result<Response<Body>, E>>,
    {
        // Who asks before sending gets the answer, and may send nothing.
        let asks = request.headers().contains_key(header::EXPECT);
        let mut response = answer(self.lend(request)).await?;
        if let Some(rest) = self.take().filter(|rest| !rest.body.is_end_stream())
            && (rest.begun || asks || !thrown_away(rest.body, limits).await)
        {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Reads a body that nobody began to read and throws it away, so that its sender reads the answer; returns whether it came
/// to its end.
async fn thrown_away<B: HttpBody<Data = Bytes> + Unpin>(body: B, limits: &Limits) -> bool {
    let most = UNWANTED.max(limits.body_bytes as u64);
    if body.size_hint().lower() > most {
        return false;
    }
    let patience = limits.read_timeout.min(PATIENCE);
    tokio::time::timeout(patience, discard(body, 0, most)).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::StatusCode;
    use hyper::body::Incoming;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::settings::Settings;

    /// A connection whose every request is refused unread, but for those to `/read`, of which `/read/some` reads one frame.
    fn connection(limits: Limits) -> DuplexStream {
        let (theirs, ours) = tokio::io::duplex(1 << 16);
        let unread = Unread::default();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (unread, limits) = (unread.clone(), limits.clone());
            async move {
                let answer = |request: Request<Body>| async move {
                    let path = request.uri().path().to_owned();
                    let mut body = request.into_body();
                    match path.as_str() {
                        "/read" => drop(body.collect().await),
                        "/read/some" => drop(body.frame().await),
                        _ => {}
                    }
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::UNAUTHORIZED;
                    Ok::<_, Infallible>(response)
                };
                unread.around(request, &limits, answer).await
            }
        });
        let serving =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(ours), service);
        tokio::spawn(serving);
        theirs
    }

    /// Reads the head of an answer.
    async fn head(stream: &mut DuplexStream) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            bytes.push(byte);
        }
        String::from_utf8(bytes).expect("text")
    }

    fn request(path: &str, more: &str) -> Vec<u8> {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\n{more}\r\n\r\n").into_bytes()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_refusal_leaves_the_connection_usable_however_late_the_body_comes() {
        let mut stream = connection(Settings::default().limits);
        let chunked = "transfer-encoding: chunked";
        for (path, more, body) in [
            ("/no", "content-length: 3", "abc"),
            ("/read", "content-length: 3", "abc"),
            ("/no", chunked, "3\r\nabc\r\n0\r\n\r\n"),
            ("/read", chunked, "3\r\nabc\r\n0\r\n\r\n"),
            ("/no", "content-length: 0", ""),
            ("/no", "x: y", ""),
            ("/no", "content-length: 70000", &"x".repeat(70_000)),
        ] {
            stream.write_all(&request(path, more)).await.expect("sent");
            // The answer may be made before the body comes: let everything that can run do so.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            stream.write_all(body.as_bytes()).await.expect("sent");
            let head = head(&mut stream).await;
            assert!(
                head.starts_with("HTTP/1.1 401") && !head.contains("connection:"),
                "{path} {more}: {head}"
            );
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn where_a_body_is_given_up_the_answer_says_that_the_connection_ends() {
        let limits = Limits { read_timeout: Duration::from_millis(20), ..Settings::default().limits };
        for (path, more) in [
            ("/no", "content-length: 9000000000"),
            ("/no", "content-length: 3"),
            ("/no", "expect: 100-continue\r\ncontent-length: 3"),
            ("/read/some", "content-length: 300\r\n\r\nabc"),
        ] {
            let mut stream = connection(limits.clone());
            stream.write_all(&request(path, more)).await.expect("sent");
            let head = head(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 401"), "{head}");
            assert!(head.contains("connection: close"), "{path} {more}: {head}");
            assert_eq!(stream.read(&mut [0; 8]).await.expect("an end"), 0, "{path} {more}");
        }
    }
}
