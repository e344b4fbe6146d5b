//! `GET /docs`: Swagger UI from the binary, over `/openapi.json`.

use std::io::Read;
use std::sync::OnceLock;

use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;

use super::extract::Named;
use crate::refusal::Refusal;

/// `GET /docs`.
pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("../../assets/docs.html"))
}

/// Leads from `/docs/` to `/docs`: what the page loads is named relative to it, since a proxy may put a path before both.
pub(crate) fn moved(asked: &Uri) -> Option<Response> {
    let place = [(header::LOCATION, "../docs")];
    (asked.path() == "/docs/").then(|| (StatusCode::PERMANENT_REDIRECT, place).into_response())
}

/// The files of Swagger UI that are handed out, with their types.
const FILES: [(&str, &str); 2] =
    [("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript")];

/// `GET /assets/docs.js`.
pub(crate) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../../assets/docs.js"))
        .into_response()
}

/// `GET /docs/{file}`.
pub(crate) async fn file(Named(file): Named<String>) -> Response {
    let Some((name, kind)) = FILES.iter().find(|(name, _)| *name == file) else {
        return Refusal::not_found("there is no such file").into_response();
    };
    match unpacked(name) {
        Some(bytes) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "max-age=86400")], bytes).into_response()
        }
        None => Refusal::internal("the page's own files cannot be read").into_response(),
    }
}

/// Returns a file of the archive of Swagger UI, unpacked when it is first asked for.
fn unpacked(name: &str) -> Option<Bytes> {
    static UNPACKED: OnceLock<Vec<(&'static str, Bytes)>> = OnceLock::new();
    let files = UNPACKED.get_or_init(|| {
        FILES.iter().filter_map(|(name, _)| Some((*name, Bytes::from(unpack(name)?)))).collect()
    });
    files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.clone())
}

fn unpack(name: &str) -> Option<Vec<u8>> {
    let archive = std::io::Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED);
    let mut archive = zip::ZipArchive::new(archive).ok()?;
    let end = format!("/dist/{name}");
    let path = archive.file_names().find(|path| path.ends_with(&end))?.to_owned();
    let mut bytes = Vec::new();
    archive.by_name(&path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
