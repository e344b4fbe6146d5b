//! `POST /admin/reload`: closed without a configured token.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::App;
use super::guard::{Judged, too_often};
use super::ids::Caller;
use super::predict::json;
use crate::catalog::Outcome;
use crate::refusal::Refusal;

/// How long a caller waits for a reload.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds after which a source that did not answer may.
pub(crate) const AGAIN: u64 = 30;

/// Refuses who is no administrator.
pub(crate) fn check(app: &App, headers: &HeaderMap, address: IpAddr) -> Result<(), Refusal> {
    match app.is_admin(headers, address) {
        Judged::Valid => return Ok(()),
        Judged::Wrong => {}
        Judged::TooMany => {
            app.metrics.admin("rate_limited");
            return Err(too_often("too many tries with a wrong token"));
        }
    }
    app.metrics.admin("forbidden");
    let sentence = if app.settings.admin_token.is_some() {
        "this needs the administrator's token"
    } else {
        "administration is off: the service was started without ADMIN_API_TOKEN"
    };
    Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", sentence))
}

/// Makes the service look at its source now.
pub(crate) async fn reload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = check(&app, &headers, caller.address) {
        return refusal.into_response();
    }
    let unavailable = |sentence: String| {
        app.metrics.admin("failed");
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "reload_failed", sentence);
        Refusal { retry_after: Some(AGAIN), ..refusal }.into_response()
    };
    let outcome = match tokio::time::timeout(PATIENCE, app.reloads.ask()).await {
        Err(_) => {
            return unavailable("the source has not answered yet; what was served is served on".to_owned());
        }
        Ok(Err(_)) => return unavailable("reloads have ended".to_owned()),
        Ok(Ok(outcome)) => outcome,
    };
    let (word, changed, refused) = match outcome {
        Outcome::Reloaded { changed, refused } => ("reloaded", changed, refused),
        Outcome::Noop => ("noop", Vec::new(), BTreeMap::new()),
        Outcome::Failed { reason } => return unavailable(format!("{reason}; what was served is served on")),
    };
    app.metrics.admin(word);
    let served = app.catalog.served();
    let models: serde_json::Map<String, serde_json::Value> = served
        .models
        .iter()
        .map(|(name, model)| (name.clone(), model.offer.version.clone().into()))
        .collect();
    let mut body = json!({ "status": word, "changed": changed, "models": models });
    if !refused.is_empty() {
        body["refused"] = json!(refused);
    }
    json(body.to_string())
}
