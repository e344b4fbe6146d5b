//! Traces: what a caller's `traceparent` says goes into the log and into the answer, and, where a collector is set up, the
//! spans of requests, predictions, reloads and loads go there.
//!
//! Source: W3C Trace Context, level 1, section 3.2. What sends spans off is in `otlp.rs`, in builds that have it.

use std::fmt::Write;
#[cfg(any(feature = "otlp", test))]
use std::time::SystemTime;

use axum::http::HeaderValue;

/// The span that is being worked on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Context {
    trace: u128,
    span: u64,
    parent: Option<u64>,
    /// Whether its spans are sent off.
    pub(crate) sampled: bool,
}

/// Returns `digits` hexadecimal digits in small letters as a number.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let small = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(small)).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl Context {
    /// Begins a trace.
    pub(crate) fn root(numbers: [u64; 3], sampled: bool) -> Self {
        let trace = u128::from(numbers[0]) << 64 | u128::from(numbers[1]);
        // Zero is no number in a trace.
        Self { trace: trace.max(1), span: numbers[2].max(1), parent: None, sampled }
    }

    /// Goes on with the trace of a `traceparent`; `None` when it is none.
    pub(crate) fn continued(header: &HeaderValue, span: u64) -> Option<Self> {
        let mut parts = header.to_str().ok()?.split('-');
        let version = hexadecimal(parts.next()?, 2)?;
        let trace = hexadecimal(parts.next()?, 32)?;
        let parent = u64::try_from(hexadecimal(parts.next()?, 16)?).ok()?;
        let flags = hexadecimal(parts.next()?, 2)?;
        // A later version may say more behind what this one says.
        let whole = parts.next().is_none() || version > 0;
        let valid = whole && version != 0xff && trace != 0 && parent != 0;
        valid.then_some(Self { trace, span: span.max(1), parent: Some(parent), sampled: flags & 1 == 1 })
    }

    /// Returns the same span, sent off or not.
    pub(crate) fn with(self, sampled: bool) -> Self {
        Self { sampled, ..self }
    }

    /// Returns a span below this one.
    pub(crate) fn child(self, span: u64) -> Self {
        Self { span: span.max(1), parent: Some(self.span), ..self }
    }

    /// Returns the part of the trace's number that a share of traces is chosen by.
    pub(crate) fn chance(self) -> u64 {
        self.trace as u64 >> 1
    }

    /// Returns the `traceparent` of this span.
    pub(crate) fn header(self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace,
            self.span,
            u8::from(self.sampled)
        ))
        .ok()
    }

    /// Appends the members of a line of JSON that name this span.
    pub(crate) fn push(self, text: &mut String) {
        // Writing to a string does not fail.
        let _ = write!(text, ",\"trace_id\":\"{:032x}\",\"span_id\":\"{:016x}\"", self.trace, self.span);
    }
}

/// Something that took time.
#[cfg(any(feature = "otlp", test))]
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) context: Context,
    pub(crate) name: &'static str,
    /// Whether it answers somebody else's request.
    pub(crate) serves: bool,
    pub(crate) began: SystemTime,
    pub(crate) ended: SystemTime,
    pub(crate) attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// A value of a span.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Attribute {
    Text(String),
    Number(i64),
}

#[cfg(any(feature = "otlp", test))]
impl Span {
    /// Returns the span in the JSON of OTLP 1.x: numbers of traces in hexadecimal, times as text.
    pub(crate) fn json(&self) -> serde_json::Value {
        use serde_json::{Value, json};
        let nanoseconds = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Value::from(since.as_nanos().to_string())
        };
        let attribute = |(key, value): &(&str, Attribute)| match value {
            Attribute::Text(text) => json!({ "key": key, "value": { "stringValue": text } }),
            Attribute::Number(number) => json!({ "key": key, "value": { "intValue": number.to_string() } }),
        };
        let mut span = json!({
            "traceId": format!("{:032x}", self.context.trace),
            "spanId": format!("{:016x}", self.context.span),
            "name": self.name,
            "kind": if self.serves { 2 } else { 1 },
            "startTimeUnixNano": nanoseconds(self.began),
            "endTimeUnixNano": nanoseconds(self.ended),
            "attributes": self.attributes.iter().map(attribute).collect::<Vec<_>>(),
        });
        if let Some(parent) = self.context.parent {
            span["parentSpanId"] = format!("{parent:016x}").into();
        }
        if let Some(error) = &self.error {
            span["status"] = json!({ "code": 2, "message": error });
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Context> {
        Context::continued(&HeaderValue::from_str(text).expect("a header"), 7)
    }

    #[test]
    fn a_trace_goes_on_with_a_span_of_its_own() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = read(given).expect("a trace");
        assert!(context.sampled);
        let answered = context.header().expect("a header");
        assert_eq!(answered, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01");
        let below = context.child(8);
        assert_eq!((below.parent, below.trace), (Some(7), context.trace));
        let mut text = String::new();
        context.push(&mut text);
        assert_eq!(
            text,
            ",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"0000000000000007\""
        );
        assert!(!read(&given.replace("-01", "-00")).expect("a trace").sampled);
        assert!(read("42-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
