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
    }
}
