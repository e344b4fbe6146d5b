//! `GET /`: a form for people, made from the model's schema. Everything is in the binary; nothing is fetched elsewhere.

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

/// `GET /`.
pub(crate) async fn index() -> Html<&'static str> {
    Html(include_str!("../../assets/index.html"))
}

/// `GET /assets/page.js`.
pub(crate) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../../assets/page.js"))
        .into_response()
}

/// `GET /assets/page.css`.
pub(crate) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../assets/page.css"))
        .into_response()
}
