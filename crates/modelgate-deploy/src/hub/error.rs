//! What can go wrong between here and the Hub.

use thiserror::Error;

/// Why something was not done on the Hub.
#[derive(Debug, Error)]
pub enum HubError {
    /// What is asked for makes no sense, or a setting is wrong.
    #[error("{0}")]
    Place(String),
    /// The Hub refuses.
    #[error("the Hub refuses {what} ({status}): {reason}{hint}{request}", request = shown(request.as_deref()))]
    Refused {
        /// Method and address.
        what: String,
        /// The status.
        status: u16,
        /// The Hub's own words, shortened.
        reason: String,
        /// What to do, as it follows the reason; may be empty.
        hint: &'static str,
        /// The request's id, for whoever looks it up there.
        request: Option<String>,
    },
    /// The Hub cannot be reached, or answers with errors of its own.
    #[error("the Hub could not be reached for {what}: {reason}{request}", request = shown(request.as_deref()))]
    Unreachable {
        /// Method and address.
        what: String,
        /// What happened.
        reason: String,
        /// The request's id, where there was an answer.
        request: Option<String>,
    },
    /// Somebody else changed the same files meanwhile.
    #[error("{repository} moved while it was written to: {reason}")]
    Moved {
        /// The repository.
        repository: String,
        /// What changed.
        reason: String,
    },
    /// An answer that is not what the Hub says.
    #[error("{what} answered something else than the Hub does: {reason}")]
    Answer {
        /// Method and address.
        what: String,
        /// What is missing.
        reason: String,
    },
    /// A Space does not run.
    #[error("the Space {space} does not run: {stage}{reason}")]
    Space {
        /// The Space.
        space: String,
        /// Where it stands.
        stage: String,
        /// What the Hub says about it, as it follows the stage; may be empty.
        reason: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn shown(request: Option<&str>) -> String {
    request.map_or_else(String::new, |id| format!(" [request {id}]"))
}

impl HubError {
    /// Returns the status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}
