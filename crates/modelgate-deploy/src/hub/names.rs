//! Names of repositories on the Hub.

use super::HubError;

/// The kind of a repository.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Weights.
    Model,
    /// An application.
    Space,
}

/// A repository: its kind and its name, `owner/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Repository {
    kind: Kind,
    owner: String,
    name: String,
}

impl Repository {
    /// Reads `owner/name`.
    ///
    /// # Errors
    /// Fails for what the Hub takes as no name.
    pub fn new(kind: Kind, id: &str) -> Result<Self, HubError> {
        match id.split_once('/') {
            Some((owner, name)) if modelgate_core::is_hub_repository(id) => {
                Ok(Self { kind, owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(HubError::Place(format!(
                "`{id}` is no name of a repository on the Hub: expected `owner/name` of letters, digits, `-`, `_`, `.`"
            ))),
        }
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns `owner/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns the owner.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns the name without its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of the API.
    pub(super) fn api(&self) -> String {
        let kind = match self.kind {
            Kind::Model => "models",
            Kind::Space => "spaces",
        };
        format!("/api/{kind}/{}", self.id())
    }

    /// Returns the path of the pages and the files.
    pub(super) fn page(&self) -> String {
        match self.kind {
            Kind::Model => format!("/{}", self.id()),
            Kind::Space => format!("/spaces/{}", self.id()),
        }
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Model => "models",
            Kind::Space => "spaces",
        };
        write!(formatter, "{kind}/{}", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_hub_takes() {
        let space = Repository::new(Kind::Space, "me/drug.app_1").expect("a name");
        assert_eq!(
            (space.api().as_str(), space.page().as_str()),
            ("/api/spaces/me/drug.app_1", "/spaces/me/drug.app_1")
        );
        for id in
            ["app", "me/", "/app", "me/a/b", "me/../x", "me/-a", "me/a--b", "me/a b", "me/a.git", "me/a?x"]
        {
            assert!(Repository::new(Kind::Model, id).is_err(), "{id}");
        }
    }
}
