//! `GET /docs`: Swagger UI from the binary, over `/openapi.json`.

use std::io::Read;
use std::sync::OnceLock;

use axum::body::Body;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;

use super::extract::Named;
use crate::refusal::Refusal;

/// `GET /docs`.
pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("../../assets/docs.html"))
}

/// Returns the answer to `/docs/` from that to `/docs`: what the page loads is named relative to it, since a proxy may put a
/// path before both.
pub(crate) fn in_folder(asked: &Uri, response: Response) -> Response {
    if asked.path() != "/docs/" || response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(page_in_folder()))
}

/// Returns the page with the names of what it loads one folder deeper.
fn page_in_folder() -> String {
    let page = include_str!("../../assets/docs.html");
    ["href=\"", "src=\""].iter().fold(page.to_owned(), |page, start| {
        ["docs/", "assets/"].iter().fold(page, |page, folder| {
            page.replace(&format!("{start}{folder}"), &format!("{start}../{folder}"))
        })
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_finds_what_it_loads_from_its_path_with_a_slash_too() {
        let loads = |page: &str| -> Vec<String> {
            let parts = page.split(['"', '\'']);
            parts
                .filter(|part| part.contains("docs/") || part.contains("assets/"))
                .map(str::to_owned)
                .collect()
        };
        let (page, below) = (include_str!("../../assets/docs.html"), page_in_folder());
        let deeper: Vec<String> = loads(page).iter().map(|name| format!("../{name}")).collect();
        assert_eq!((deeper.len(), loads(&below)), (3, deeper));
        let answer = || Html(page).into_response();
        let with = in_folder(&Uri::from_static("/docs/?a=b"), answer());
        assert_eq!(with.status(), StatusCode::OK);
        let size = |response: &Response| axum::body::HttpBody::size_hint(response.body()).exact();
        assert_eq!(size(&with), Some(below.len() as u64));
        assert_eq!(with.headers().get(header::CONTENT_LENGTH), None);
        assert_eq!(size(&in_folder(&Uri::from_static("/docs"), answer())), Some(page.len() as u64));
        let refused = in_folder(&Uri::from_static("/docs/"), StatusCode::METHOD_NOT_ALLOWED.into_response());
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
