//! The body of a request: of a known form, not too large, not too slow.

use std::task::Poll;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

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

async fn discard(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Reads a body to its end.
pub(crate) async fn read(body: Body, headers: &HeaderMap, limits: &Limits) -> Result<Bytes, Refusal> {
    let too_large = || {
        let sentence = format!("a body may have at most {} bytes", limits.body_bytes);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", sentence)
    };
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length.filter(|length| *length > limits.body_bytes as u64) {
        if length <= DRAINED {
            // Many clients read no answer before they have sent everything.
            let _ = tokio::time::timeout(limits.read_timeout, discard(body)).await;
        }
        return Err(too_large());
    }
    let mut collected = std::pin::pin!(Limited::new(body, limits.body_bytes).collect());
    // A small body has come with its headers: no clock is set for it.
    let at_once = std::future::poll_fn(|context| Poll::Ready(collected.as_mut().poll(context))).await;
    let collected = match at_once {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => tokio::time::timeout(limits.read_timeout, collected).await,
    };
    match collected {
        Err(_) => {
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time"))
        }
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::malformed("the body broke off")),
    }
}
