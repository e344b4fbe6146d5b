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

impl Which {
    /// Refuses a request whose path names one model and `?model=` another: which is meant, nobody knows.
    pub(crate) fn agrees(&self, name: &str) -> Result<(), Refusal> {
        match &self.model {
            Some(other) if other != name => {
                Err(Refusal::malformed("the path names one model, and `?model=` another"))
            }
            _ => Ok(()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_what_follows_it_name_the_same_model() {
        let which = |model: Option<&str>| Which { model: model.map(str::to_owned) };
        assert!(which(None).agrees("iris").is_ok() && which(Some("iris")).agrees("iris").is_ok());
        assert_eq!(which(Some("house")).agrees("iris").expect_err("refused").status.as_u16(), 400);
    }
}
