//! What can go wrong before and around requests.

use thiserror::Error;

/// Why the service did not start or ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another service there? choose another with --port")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// There is no model to serve.
    #[error("no model is served after {seconds} s: {reason}")]
    NoModel {
        /// How long it was waited for.
        seconds: u64,
        /// What the source says.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Why a source gives no models, or not this one.
#[derive(Debug, Error)]
pub enum SourceError {
    /// It cannot be reached or read; it may work later.
    #[error("{0}")]
    Unavailable(String),
    /// It was reached, and what was asked for is not there.
    #[error("{0}")]
    Missing(String),
    /// It was reached, and what it holds of what was asked for is damaged: asking again brings the same.
    #[error("{0}")]
    Damaged(String),
}

impl From<modelgate_registry::RegistryError> for SourceError {
    fn from(error: modelgate_registry::RegistryError) -> Self {
        let reason = one_line(&error.to_string());
        if error.is_of_files() { Self::Damaged(reason) } else { Self::Unavailable(reason) }
    }
}

/// Returns what another program says in several lines, such as git, as one: it becomes a line of a log.
pub(crate) fn one_line(text: &str) -> String {
    if !text.contains(['\n', '\r']) {
        return text.to_owned();
    }
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_in_lines_is_one() {
        let said = "git: fatal: Could not read from remote repository.\n\nPlease make sure\r\nthe repository exists.\n";
        let whole =
            "git: fatal: Could not read from remote repository.; Please make sure; the repository exists.";
        assert_eq!(one_line(said), whole);
        assert_eq!(one_line("one "), "one ");
    }

    #[test]
    fn bytes_that_are_damaged_are_told_from_a_place_that_is_not_reached() {
        let digest = modelgate_core::Digest::of(b"x");
        let home = "s3://b".to_owned();
        let damaged = modelgate_registry::RegistryError::MissingObject { digest, home };
        assert!(matches!(SourceError::from(damaged), SourceError::Damaged(_)));
    }
}
