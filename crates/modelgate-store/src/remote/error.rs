//! What can go wrong with a home of objects, in words a person can act on.

use std::path::PathBuf;

/// A home of objects refused, is damaged or could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is not one of a home.
    #[error("`{uri}` is no place for objects: {reason}")]
    Uri {
        /// What was given.
        uri: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// There are no credentials.
    #[error(
        "there are no credentials for `{home}`: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    )]
    NoCredentials {
        /// Where to.
        home: String,
    },
    /// The credentials are not accepted.
    #[error("`{home}` does not accept the credentials: {reason}; check AWS_ACCESS_KEY_ID and what it may do")]
    Refused {
        /// Where to.
        home: String,
        /// What the server said.
        reason: String,
    },
    /// The bucket does not exist.
    #[error("there is no bucket `{bucket}` at `{home}`; create it, or correct the address")]
    NoBucket {
        /// Where to.
        home: String,
        /// The bucket.
        bucket: String,
    },
    /// The home cannot be reached, or the connection broke more often than it was worth trying again.
    #[error("`{home}` could not be reached: {reason}")]
    Unreachable {
        /// Where to.
        home: String,
        /// What happened.
        reason: String,
    },
    /// There is no such object.
    #[error("there is no object `{key}` in `{home}`")]
    Missing {
        /// The object.
        key: String,
        /// Where it was looked for.
        home: String,
    },
    /// The object has other bytes than its name says.
    #[error(
        "the object `{key}` in `{home}` has other bytes than its name says ({found}); nothing was kept of it"
    )]
    OtherBytes {
        /// The object.
        key: String,
        /// Where it is.
        home: String,
        /// What its bytes hash to.
        found: String,
    },
    /// A file on this side could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file of the shared AWS configuration cannot be used.
    #[error("`{}`: {reason}", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl From<crate::StoreError> for RemoteError {
    fn from(error: crate::StoreError) -> Self {
        match error {
            crate::StoreError::Io(error) => error.into(),
            crate::StoreError::Remote(error) => error,
            other => std::io::Error::other(other.to_string()).into(),
        }
    }
}

/// Removes `user:password@` from a URL or a text that holds URLs. A password may hold a `/`, so behind a `user:` everything
/// up to the last `@` of the word is one. Where that reads as a host with its port, as every program takes it, it is one.
pub fn without_credentials(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, behind) = rest.split_at(start + 3);
        kept.push_str(before);
        let end = behind
            .find(|letter: char| matches!(letter, '\'' | '`' | '"' | '<' | '>') || letter.is_whitespace());
        let word = &behind[..end.unwrap_or(behind.len())];
        // Another address in the same word has credentials of its own.
        let word = word.find("://").map_or(word, |next| &word[..next]);
        let first = word.split('/').next().unwrap_or_default();
        let has_password = first.contains(':') && !first.starts_with('[') && !has_port(&kept, first);
        let until = if has_password { word } else { first };
        rest = until.rfind('@').map_or(behind, |at| &behind[at + 1..]);
    }
    kept + rest
}

/// Holds for a `host:port` behind the scheme that `before` ends with. A bucket's address has no port.
fn has_port(before: &str, first: &str) -> bool {
    let port = first.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.is_some() && !first.contains('@') && !before.ends_with("s3://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_cut_out_of_messages() {
        let text = "fatal: unable to access 'https://me:secret@host/a.git/': no";
        assert_eq!(without_credentials(text), "fatal: unable to access 'https://host/a.git/': no");
        let text = "`s3://key:secret@bucket/p` and `https://me:secret@host`";
        assert_eq!(without_credentials(text), "`s3://bucket/p` and `https://host`");
    }

    #[test]
    fn a_password_with_a_slash_is_cut_out_whole() {
        for (text, cut) in [
            ("http://user:pa/ss@host/x", "http://host/x"),
            ("`s3://user:p/a@b/ss@host/x`: no", "`s3://host/x`: no"),
            ("http://a:b/c@one/x,http://d:e/f@two/y", "http://one/x,http://two/y"),
            ("https://host/@scope/package and more", "https://host/@scope/package and more"),
            ("http://[::1]:9000/a@b", "http://[::1]:9000/a@b"),
            ("'http://127.0.0.1:1/some/re@po.git/': no", "'http://127.0.0.1:1/some/re@po.git/': no"),
            ("s3://key:123/456@bucket/p", "s3://bucket/p"),
        ] {
            assert_eq!(without_credentials(text), cut);
        }
    }
}
