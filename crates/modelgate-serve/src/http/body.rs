//! The body of a request: of a known form, not too large, not too slow.

use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::guard::overloaded;
use super::unread::discard;
use crate::refusal::Refusal;
use crate::settings::Limits;

/// Says where the JSON of a body ends, behind which binary tensors come.
const BINARY: &str = "inference-header-content-length";

/// The form of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Json,
    Csv,
}

/// Returns the form that the headers name. Without a content type it is JSON.
fn form(headers: &HeaderMap, csv: bool) -> Result<Form, Refusal> {
    let refuse = |sentence: &str| {
        Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", sentence))
    };
    // Clients of the Open Inference Protocol put tensors behind the JSON as bytes where they are not told otherwise.
    if headers.contains_key(BINARY) {
        return refuse(
            "binary tensors are not taken: send them as JSON, as tritonclient does by \
             `set_data_from_numpy(…, binary_data=False)`",
        );
    }
    // A packed body would have to be unpacked to know its size.
    let packed = headers.get(header::CONTENT_ENCODING);
    if packed.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refuse("a packed body is not taken: send it without Content-Encoding");
    }
    let mut coded = headers.get_all(header::TRANSFER_ENCODING).iter();
    if !coded.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return refuse("a packed body is not taken: the only Transfer-Encoding is `chunked`");
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
    pub(crate) form: Form,
    _room: Option<OwnedSemaphorePermit>,
}

async fn collect(mut body: Body, form: Form, limit: usize, room: &Arc<Semaphore>) -> Result<Taken, Refusal> {
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
    Ok(Taken { bytes: first, form, _room: taken })
}

fn too_large(limit: usize) -> Refusal {
    let sentence = format!("a body may have at most {limit} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", sentence)
}

/// Reads a body to its end, which is `csv` only where that is taken. One that its headers tell to be none is refused before
/// anything of it is asked for: who sends `Expect: 100-continue` sends it only then.
pub(crate) async fn read(
    body: Body,
    headers: &HeaderMap,
    csv: bool,
    limits: &Limits,
    room: &Arc<Semaphore>,
) -> Result<Taken, Refusal> {
    if let Some(length) = length(headers).filter(|length| *length > limits.body_bytes as u64) {
        if length <= DRAINED && !headers.contains_key(header::EXPECT) {
            let _ = tokio::time::timeout(limits.read_timeout, discard(body, 0, DRAINED)).await;
        }
        return Err(too_large(limits.body_bytes));
    }
    let form = form(headers, csv)?;
    let mut collected = std::pin::pin!(collect(body, form, limits.body_bytes, room));
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

    #[test]
    fn a_packed_body_is_refused_whichever_header_says_so() {
        let asked = |headers: &[(header::HeaderName, &'static str)]| {
            let value = |(name, value): &(header::HeaderName, &'static str)| {
                (name.clone(), header::HeaderValue::from_static(value))
            };
            form(&headers.iter().map(value).collect(), false).map_err(|refusal| refusal.status.as_u16())
        };
        let (transfer, content) = (header::TRANSFER_ENCODING, header::CONTENT_ENCODING);
        assert_eq!(asked(&[]), Ok(Form::Json));
        assert_eq!(asked(&[(transfer.clone(), "Chunked"), (content.clone(), "identity")]), Ok(Form::Json));
        assert_eq!(asked(&[(transfer.clone(), "gzip, chunked")]), Err(415));
        assert_eq!(asked(&[(content, "gzip")]), Err(415));
        // Tensors as bytes are told how they are taken.
        let binary = header::HeaderName::from_static(BINARY);
        let refused = form(&HeaderMap::from_iter([(binary, 7.into())]), false).expect_err("binary");
        assert!(refused.status == 415 && refused.message.contains("binary_data=False"), "{refused:?}");
    }

    /// A body that fails where anybody asks for some of it.
    struct Untouched;

    impl axum::body::HttpBody for Untouched {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            panic!("it was asked for")
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_its_headers_refuse_is_not_asked_for() {
        let settings = crate::settings::Settings::default();
        let (limits, room) = (&settings.limits, &Arc::new(Semaphore::new(1 << 20)));
        for (length, more, status) in [
            ("200000000", (header::EXPECT, "100-continue"), 413),
            ("9", (header::CONTENT_ENCODING, "gzip"), 415),
            ("9", (header::CONTENT_TYPE, "text/csv"), 415),
        ] {
            let value = header::HeaderValue::from_static;
            let headers = [(header::CONTENT_LENGTH, value(length)), (more.0, value(more.1))];
            let headers = headers.into_iter().collect();
            let refused = read(Body::new(Untouched), &headers, false, limits, room).await;
            assert_eq!(refused.err().map(|refusal| refusal.status.as_u16()), Some(status), "{headers:?}");
        }
    }
}
