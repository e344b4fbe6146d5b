//! What the path and the query say, refused in the service's own shape where they say nothing that can be read.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// The named parts of a path.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(_) => Err(Refusal::malformed("the path holds what is no text in UTF-8")),
        }
    }
}

/// What follows `?`.
#[derive(Deserialize, Debug, Default)]
pub(crate) struct Which {
    pub(crate) model: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Which {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        if parts.uri.query().is_none() {
            return Ok(Self::default());
        }
        match Query::from_request_parts(parts, state).await {
            Ok(Query(which)) => Ok(which),
            Err(_) => Err(Refusal::malformed("what follows `?` cannot be read: it may be one `model=NAME`")),
        }
    }
}
