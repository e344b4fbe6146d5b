//! The body of a request: of a known form, not too large, not too slow.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::guard::overloaded;
use crate::refusal::Refusal;
use crate::settings::Limits;

/// The form of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Json,
    Csv,
}

/// Returns the form that the headers name. Without a content type it is JSON.
pub(crate) fn form(headers: &HeaderMap, csv: bool) -> Result<Form, Refusal> {
    let refuse = |sentence: &str| {
        Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", sentence))
    };
    // A packed body would have to be unpacked to know its size.
    let packed = headers.get(header::CONTENT_ENCODING);
    if packed.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refuse("a packed body is not taken: send it without Content-Encoding");
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Form::Json) };
    if value == "application/json" {
        return Ok(Form::Json);
    }
    let expected = if csv {
        "expected Content-Type application/json or text/csv"
    } else {
        "expected Content-Type application/json"
    };
    let Ok(value) = value.to_str() else { return refuse(expected) };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let parameters = parameters.trim().to_ascii_lowercase().replace([' ', '"'], "");
    if !parameters.is_empty() && parameters != "charset=utf-8" {
        return refuse("the only parameter of Content-Type that is taken is charset=utf-8");
    }
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/json" => Ok(Form::Json),
        "text/csv" if csv => Ok(Form::Csv),
        _ => refuse(expected),
    }
}

/// Bodies up to here are read and thrown away when they are too large; the connection of a larger one is closed.
const DRAINED: u64 = 256 << 20;

/// Reads on, to `most` bytes, and keeps nothing: many clients read no answer before they have sent everything.
async fn discard(mut body: Body, mut length: u64, most: u64) {
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, |data| data.len() as u64);
        if length > most {
            return;
        }
    }
}

/// Bodies up to here have come with their headers: the answer can be read whether or not they were.
const SMALL: u64 = 4 << 10;
/// Bodies that nobody wanted are read up to here, or as far as a wanted one would be.
const UNWANTED: u64 = 8 << 20;
/// How long the rest of an unwanted body is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of a request that may be answered before it is read, such as one without a key.
struct Lent {
    body: Option<Body>,
    back: Arc<Mutex<Option<Body>>>,
    begun: bool,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.begun = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Who began to read it has said what becomes of the rest.
        if !self.begun {
            *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
        }
    }
}

/// A body that was lent, if it comes back.
pub(crate) struct Unread(Arc<Mutex<Option<Body>>>);

/// Lends a body that is so large that a client may still be sending it when the answer is there.
pub(crate) fn lend(request: Request<Body>, limits: &Limits) -> (Request<Body>, Option<Unread>) {
    let headers = request.headers();
    let large = match length(headers) {
        Some(length) => (SMALL + 1..=unwanted(limits)).contains(&length),
        None => headers.contains_key(header::TRANSFER_ENCODING),
    };
    // Who asks before sending gets the answer and sends nothing.
    if !large || headers.contains_key(header::EXPECT) {
        return (request, None);
    }
    let back = Arc::default();
    let request =
        request.map(|body| Body::new(Lent { body: Some(body), back: Arc::clone(&back), begun: false }));
    (request, Some(Unread(back)))
}

fn unwanted(limits: &Limits) -> u64 {
    UNWANTED.max(limits.body_bytes as u64)
}

impl Unread {
    /// Reads a body that nobody began to read and throws it away, so that its sender reads the answer.
    pub(crate) async fn discard(self, limits: &Limits) {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(body) = body {
            let patience = limits.read_timeout.min(PATIENCE);
            let _ = tokio::time::timeout(patience, discard(body, 0, unwanted(limits))).await;
        }
    }
}

/// Returns the length that the headers tell.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Bytes of each body that are not counted: as many as a connection holds anyway.
const FREE: usize = 64 << 10;
/// Bytes of bodies that are held at the same time, but for [`FREE`] of each.
const ROOM: usize = 64 << 20;

/// Returns the bytes of bodies that may be held: room for several of the largest.
pub(crate) fn room(limits: &Limits) -> usize {
    ROOM.max(limits.body_bytes.saturating_mul(4)).min(Semaphore::MAX_PERMITS)
}

/// A body, and the room that it takes up while this lives.
pub(crate) struct Taken {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

async fn collect(mut body: Body, limit: usize, room: &Arc<Semaphore>) -> Result<Taken, Refusal> {
    let (mut first, mut rest) = (Bytes::new(), Vec::new());
    let mut taken: Option<OwnedSemaphorePermit> = None;
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::malformed("the body broke off"))?.into_data() else {
            continue;
        };
        length += data.len();
        let refusal = if length > limit {
            Some(too_large(limit))
        } else if length > FREE {
            let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            match (Arc::clone(room).try_acquire_many_owned(bytes), &mut taken) {
                (Err(_), _) => Some(overloaded("too many large bodies are being read")),
                (Ok(more), Some(taken)) => {
                    taken.merge(more);
                    None
                }
                (Ok(more), none) => {
                    *none = Some(more);
                    None
                }
            }
        } else {
            None
        };
        if let Some(refusal) = refusal {
            drop((first, rest, taken));
            discard(body, length as u64, DRAINED).await;
            return Err(refusal);
        }
        if first.is_empty() {
            // Most bodies come in one piece, which is not copied.
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if !rest.is_empty() {
        let mut whole = Vec::with_capacity(first.len() + rest.len());
        whole.extend_from_slice(&first);
        whole.append(&mut rest);
        first = whole.into();
    }
    Ok(Taken { bytes: first, _room: taken })
}

fn too_large(limit: usize) -> Refusal {
    let sentence = format!("a body may have at most {limit} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", sentence)
}

/// Reads a body to its end.
pub(crate) async fn read(
    body: Body,
    headers: &HeaderMap,
    limits: &Limits,
    room: &Arc<Semaphore>,
) -> Result<Taken, Refusal> {
    if let Some(length) = length(headers).filter(|length| *length > limits.body_bytes as u64) {
        if length <= DRAINED {
            let _ = tokio::time::timeout(limits.read_timeout, discard(body, 0, DRAINED)).await;
        }
        return Err(too_large(limits.body_bytes));
    }
    let mut collected = std::pin::pin!(collect(body, limits.body_bytes, room));
    // A small body has come with its headers: no clock is set for it.
    let at_once = std::future::poll_fn(|context| Poll::Ready(collected.as_mut().poll(context))).await;
    let collected = match at_once {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => tokio::time::timeout(limits.read_timeout, collected).await,
    };
    collected.unwrap_or_else(|_| {
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn request(length: usize, expects: bool) -> Request<Body> {
        let mut request = Request::post("/predict").header(header::CONTENT_LENGTH, length);
        if expects {
            request = request.header(header::EXPECT, "100-continue");
        }
        request.body(Body::from(vec![b' '; length])).expect("a request")
    }

    #[test]
    fn a_large_body_that_nobody_read_comes_back() {
        let limits = Settings::default().limits;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (refused, unread) = lend(request(3 << 20, false), &limits);
        drop(refused);
        let unread = unread.expect("a loan");
        let back = Arc::clone(&unread.0);
        assert!(back.lock().expect("a body").is_some());
        runtime.block_on(unread.discard(&limits));
        assert!(back.lock().expect("no body").is_none());

        let (read, unread) = lend(request(3 << 20, false), &limits);
        let body = runtime.block_on(read.into_body().collect()).expect("a body").to_bytes();
        assert_eq!(body.len(), 3 << 20);
        assert!(unread.expect("a loan").0.lock().expect("no body").is_none());
    }

    #[test]
    fn only_a_body_that_is_still_being_sent_is_lent() {
        let limits = Settings::default().limits;
        for (length, expects, lent) in [
            (100, false, false),
            (4097, false, true),
            (4097, true, false),
            (8 << 20, false, true),
            (9 << 20, false, false),
        ] {
            assert_eq!(lend(request(length, expects), &limits).1.is_some(), lent, "{length} {expects}");
        }
    }
}
