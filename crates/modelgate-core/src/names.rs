//! Names with a checked form: parse once, then trust.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text cannot be this kind of name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not {} {kind}: {expected}", if kind.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" })]
pub struct NameError {
    text: String,
    kind: &'static str,
    expected: &'static str,
}

const NAME_FORM: &str =
    "expected 1 to 128 of the letters a-z, A-Z, 0-9, `-`, `_` and `.`, the first a letter or a digit";

/// Holds for what may become a folder's name and a URL segment: no separator, no `..`. Names that differ in case alone are
/// two, and one folder on Windows and macOS; Windows keeps some, such as `con`, for itself.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=128).contains(&text.len())
        && text.bytes().all(allowed)
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && !text.contains("..")
        && !text.ends_with('.')
}

/// Holds for what the Hugging Face Hub takes as the name of a repository, `owner/name`.
pub fn is_hub_repository(id: &str) -> bool {
    let plain = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=96).contains(&part.len())
            && part.bytes().all(allowed)
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
            && !part.to_ascii_lowercase().ends_with(".git")
    };
    id.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $type(String);

        impl $type {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if is_name(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(NameError { text: text.chars().take(140).collect(), kind: $kind, expected: NAME_FORM })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of a registered model; also a folder name and a URL segment.
    ModelName,
    "model name"
);
name!(
    /// The name of one pipeline run, such as `20261120T214500Z-3f2a1c`.
    RunId,
    "run id"
);
name!(
    /// A movable name of one version, such as `champion`.
    Alias,
    "alias"
);

/// The number of a version of a model, from 1, written `v001`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionNumber(pub u32);

impl fmt::Display for VersionNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("v{:03}", self.0))
    }
}

impl FromStr for VersionNumber {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('v').unwrap_or(text);
        match number.parse() {
            Ok(number) if number > 0 && !text.contains('+') => Ok(Self(number)),
            _ => Err(NameError {
                text: text.chars().take(40).collect(),
                kind: "version",
                expected: "expected a number from 1 such as `3` or `v003`",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for text in ["", ".", "..", "a/b", "a\\b", "../a", "a..b", "-a", "a ", "é", "a.", &"a".repeat(129)] {
            assert!(text.parse::<ModelName>().is_err(), "{text}");
        }
        assert_eq!("breast-cancer_1.2".parse::<ModelName>().expect("name").as_str(), "breast-cancer_1.2");
    }

    #[test]
    fn an_error_says_what_the_text_is_not() {
        let error = "a b".parse::<crate::Alias>().expect_err("a blank").to_string();
        assert!(error.starts_with("`a b` is not an alias: expected 1 to 128"), "{error}");
        let error = "a b".parse::<ModelName>().expect_err("a blank").to_string();
        assert!(error.starts_with("`a b` is not a model name: "), "{error}");
    }

    #[test]
    fn versions_read_back_what_they_print() {
        assert_eq!("v012".parse(), Ok(VersionNumber(12)));
        assert_eq!(VersionNumber(12).to_string(), "v012");
        assert_eq!("1234".parse(), Ok(VersionNumber(1234)));
        for text in ["0", "v", "-1", "+1", "1.0", ""] {
            assert!(text.parse::<VersionNumber>().is_err(), "{text}");
        }
    }
}
