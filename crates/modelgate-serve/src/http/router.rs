//! Which path goes where.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use super::versions::{DIGEST_HEADER, VERSION_HEADER};
use super::{App, admin, docs, explain, health, models, openapi, page, predict, v2};
use crate::refusal::Refusal;
use crate::rollout::{self, TRACK_HEADER};
use crate::telemetry::TRACE_HEADER;

/// Returns the service's paths.
pub(crate) fn router(app: Arc<App>) -> Router {
    // Scripts and styles of this origin alone; Swagger UI sets styles of elements.
    let policy = HeaderValue::from_static(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    );
    let pages = Router::new()
        .route("/", get(page::index))
        .route("/assets/page.js", get(page::script))
        .route("/assets/page.css", get(page::style))
        .route("/assets/docs.js", get(docs::script))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ));
    let cors = cors(&app.settings.cors_origins, app.correlation_header());
    let router = Router::new()
        .merge(pages)
        .route("/predict", post(predict::only))
        .route("/predict/{name}", post(predict::named))
        .route("/api/predict", post(predict::api))
        .route("/invocations", post(predict::invocations))
        .route("/explain/{name}", post(explain::explain))
        .route("/models", get(models::list))
        .route("/models/{name}", get(models::one))
        .route("/v2", get(v2::server))
        .route("/v2/health/live", get(v2::live))
        .route("/v2/health/ready", get(v2::ready))
        .route("/v2/models/{name}", get(v2::model))
        .route("/v2/models/{name}/ready", get(v2::model_ready))
        .route("/v2/models/{name}/infer", post(v2::infer))
        .route("/v2/models/{name}/versions/{version}", get(v2::version))
        .route("/v2/models/{name}/versions/{version}/ready", get(v2::version_ready))
        .route("/v2/models/{name}/versions/{version}/infer", post(v2::version_infer))
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/healthz", get(health::ready))
        .route("/api/health", get(health::ready))
        .route("/ping", get(health::ping))
        .route("/version", get(health::version))
        .route("/metrics", get(metrics))
        .route("/admin/reload", post(admin::reload))
        .route("/admin/rollout/{model}", get(rollout::standing).put(rollout::order).delete(rollout::abort))
        .route("/openapi.json", get(openapi::openapi))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
        .layer(CatchPanicLayer::custom(panicked));
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

async fn unknown() -> Refusal {
    Refusal::not_found("there is no such path; /docs lists those there are")
}

async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the path takes another method, see Allow",
    )
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Refusal::internal("something went wrong here").into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

/// Pages of these origins may ask; off without any.
fn cors(origins: &[String], correlation: Option<&HeaderName>) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let trace = HeaderName::from_static(TRACE_HEADER);
    let exposed = [VERSION_HEADER, DIGEST_HEADER, TRACK_HEADER, header::RETRY_AFTER, trace];
    let exposed = exposed.into_iter().chain(correlation.cloned()).collect::<Vec<_>>();
    // `*` would leave `Authorization` out: what the browser asks for is named back to it.
    let allowed = AllowHeaders::mirror_request();
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(allowed).expose_headers(exposed);
    if origins.iter().any(|origin| origin == "*") {
        return Some(layer.allow_origin(Any));
    }
    let origins: Vec<HeaderValue> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    Some(layer.allow_origin(origins))
}
