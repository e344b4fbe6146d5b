//! The one shape of an error: a sentence, a code that does not change, and the places that are wrong.
//!
//! No value of a request is repeated: what was sent may be private.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Places that are listed at most; the rest is counted.
pub(crate) const LISTED: usize = 20;

/// One place of a request that is wrong.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Problem {
    /// The row, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) row: Option<usize>,
    /// The feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) feature: Option<String>,
    /// What is wrong, in one word: `missing`, `unknown`, `duplicate`, `wrong_type`, `null`, `not_finite`,
    /// `unknown_category`, `out_of_range`, `out_of_contract`.
    pub(crate) reason: &'static str,
    /// What the model takes.
    pub(crate) expected: String,
    /// What was sent, as a kind: `nothing`, `null`, `a string`, `a number`.
    pub(crate) got: &'static str,
}

/// A request that is not answered, and why.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// A word that does not change.
    pub(crate) code: &'static str,
    /// A sentence for a person.
    pub(crate) message: String,
    pub(crate) problems: Vec<Problem>,
    /// Places beyond those that are listed.
    pub(crate) more: usize,
    /// Seconds after which it may work.
    pub(crate) retry_after: Option<u64>,
    /// The methods that the path takes.
    pub(crate) allow: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, problems: Vec::new(), more: 0, retry_after: None, allow: None }
    }

    /// The body is no JSON, or not of the form of its path.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// Something went wrong here.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// What came is no request that can be read: hyper says so with this status.
    pub(crate) fn of_head(status: StatusCode) -> Self {
        let (code, sentence) = match status {
            StatusCode::URI_TOO_LONG => ("uri_too_long", "the path of the request is too long"),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                ("headers_too_large", "the headers are more than 100, or larger than 64 KiB")
            }
            _ => (
                "malformed_request",
                "this is no request of HTTP/1.1: its first line or a header cannot be read",
            ),
        };
        Self::new(status, code, sentence)
    }

    /// The rows are not what the model takes.
    pub(crate) fn of_problems(problems: Vec<Problem>, more: usize) -> Self {
        let first = problems.first().map_or_else(String::new, Problem::sentence);
        let message = match (problems.len().saturating_sub(1), more) {
            (0, 0) => first,
            (others, 0) => format!("{first}; {others} more in `details`"),
            (others, more) => format!("{first}; {others} more in `details`, and {more} that are not listed"),
        };
        Self { problems, more, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_features", message) }
    }

    /// Why, for a metric: the first problem's reason, or the code.
    pub(crate) fn reason(&self) -> &'static str {
        self.problems.first().map_or(self.code, |problem| problem.reason)
    }

    /// Returns the text of the answer.
    pub(crate) fn body(&self, correlation_id: &str) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
            code: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            details: &'a [Problem],
            #[serde(skip_serializing_if = "is_zero")]
            more_details: usize,
            #[serde(skip_serializing_if = "str::is_empty")]
            correlation_id: &'a str,
        }
        let body = Body {
            error: &self.message,
            code: self.code,
            details: &self.problems,
            more_details: self.more,
            correlation_id,
        };
        serde_json::to_string(&body).unwrap_or_else(|_| r#"{"error":"internal error"}"#.to_owned())
    }

    /// Returns the answer; `correlation_id` may be empty.
    pub(crate) fn response(&self, correlation_id: &str) -> Response {
        let mut response = (self.status, self.body(correlation_id)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Problem {
    /// Returns whether what the model does not have is the index of a frame, as pandas writes it and reads it again.
    fn is_index(&self) -> bool {
        self.feature.as_ref().is_some_and(|name| name.trim().is_empty() || name.starts_with("Unnamed: "))
    }

    pub(crate) fn sentence(&self) -> String {
        let Self { row, feature, reason, expected, got } = self;
        let row = row.map_or_else(String::new, |row| format!("row {row}: "));
        let feature = feature.as_ref().map_or_else(String::new, |feature| format!("feature `{feature}`: "));
        match *reason {
            "missing" => format!("{row}{feature}it is missing; expected {expected}"),
            "unknown" if self.is_index() => format!(
                "{row}a column without a name: pandas writes its index so, and `index=False` leaves it out; {expected}"
            ),
            "unknown" => format!("{row}{feature}the model has no such feature; {expected}"),
            "duplicate" => format!("{row}{feature}it is given twice"),
            "unknown_category" => {
                format!("{row}{feature}training did not see this category; expected {expected}")
            }
            _ => format!("{row}{feature}expected {expected}, got {got}"),
        }
    }
}

impl IntoResponse for Refusal {
    /// Answers without a number; who sends the answer off knows it, see [`numbered`].
    fn into_response(self) -> Response {
        let mut response = self.response("");
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Puts the number of the request into the body of a refusal that was made without knowing it.
pub(crate) fn numbered(response: Response, correlation_id: &str) -> Response {
    match response.extensions().get::<Arc<Refusal>>().cloned() {
        None => response,
        Some(refusal) => {
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(refusal.body(correlation_id)))
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn a_refusal_made_anywhere_gets_the_number_of_its_request() {
        let refusal = Refusal { retry_after: Some(3), ..Refusal::internal("something went wrong here") };
        let response = numbered(refusal.into_response(), "mine-7");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let body = runtime.block_on(response.into_body().collect()).expect("a body").to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((&body["code"], &body["correlation_id"]), (&"internal_error".into(), &"mine-7".into()));
        // What is no refusal stays as it is.
        let other = numbered(Response::new(Body::from("text")), "mine-7");
        let body = runtime.block_on(other.into_body().collect()).expect("a body").to_bytes();
        assert_eq!(body, "text");
    }
}
