//! The version that an answer is about, in its headers: of the model that answered, else of the one that was meant.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, Uri};

use crate::catalog::Served;
use crate::served::ServedModel;

/// The header with a version.
pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("modelgate-model-version");
/// The header with the digest of its package.
pub(crate) const DIGEST_HEADER: HeaderName = HeaderName::from_static("modelgate-model-digest");

/// Paths that go on with the name of a model.
const NAMING: [&str; 5] = ["/predict/", "/explain/", "/models/", "/v2/models/", "/admin/rollout/"];

/// Writes a version into the headers of an answer.
pub(crate) fn name(headers: &mut HeaderMap, model: &ServedModel) {
    headers.insert(VERSION_HEADER, model.version_header.clone());
    headers.insert(DIGEST_HEADER, model.digest_header.clone());
}

/// Returns the name of the model that a request is about, and the version, as far as it names them.
fn named(asked: &Uri) -> (Option<&str>, Option<&str>) {
    let rest = NAMING.iter().find_map(|prefix| asked.path().strip_prefix(prefix));
    let Some(rest) = rest else {
        let query = asked.query().unwrap_or_default();
        return (query.split('&').find_map(|pair| pair.strip_prefix("model=")), None);
    };
    let mut parts = rest.split('/');
    let name = parts.next();
    (name, parts.next().filter(|word| *word == "versions").and(parts.next()))
}

/// Returns the version that a request is about which no model answered: of the model that it names, or, where it names none,
/// of the only one that is served. Of several models, and of a name that is not served, it is none.
pub(crate) fn meant<'a>(served: &'a Served, asked: &Uri) -> Option<&'a Arc<ServedModel>> {
    let (name, version) = named(asked);
    let stable = match name {
        Some(name) => served.models.get(name)?,
        None => served.models.values().next().filter(|_| served.models.len() == 1)?,
    };
    let canary = served.canaries.get(stable.name()).map(|canary| &canary.model);
    canary.filter(|canary| version == Some(canary.offer.version.as_str())).or(Some(stable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_model_and_a_version() {
        for (asked, expected) in [
            ("/predict/shop", (Some("shop"), None)),
            ("/predict/shop/", (Some("shop"), None)),
            ("/explain/shop?model=other", (Some("shop"), None)),
            ("/v2/models/shop/ready", (Some("shop"), None)),
            ("/v2/models/shop/versions/v002/infer", (Some("shop"), Some("v002"))),
            ("/v2/models/shop/versions", (Some("shop"), None)),
            ("/admin/rollout/shop", (Some("shop"), None)),
            ("/predict?model=shop", (Some("shop"), None)),
            ("/invocations?a=b&model=shop", (Some("shop"), None)),
            ("/predict", (None, None)),
            ("/health", (None, None)),
            ("*", (None, None)),
        ] {
            assert_eq!(named(&asked.parse().expect("a path")), expected, "{asked}");
        }
    }
}
