//! The token of the Hub: read from the environment or a file, put into one header, and never shown.

use std::path::{Path, PathBuf};

use super::HubError;

/// A token that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl Token {
    /// Keeps `text`, without the line end of a file.
    ///
    /// # Errors
    /// Fails for what cannot be a token; `place` says where it came from.
    pub fn new(text: &str, place: &str) -> Result<Self, HubError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HubError::Place(format!("{place} holds no token: it is empty or holds spaces")));
        }
        Ok(Self(text.to_owned()))
    }

    /// Looks for a token as the Hub's own clients do: in `file` if one is named, else `HF_TOKEN`, the file of
    /// `HF_TOKEN_PATH`, `$HF_HOME/token` or `~/.cache/huggingface/token`.
    ///
    /// # Errors
    /// Fails when the place that is named holds none; none at all is no error.
    pub fn find(
        file: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, HubError> {
        let read = |path: &Path| {
            let text = fs_err::read_to_string(path)
                .map_err(|error| HubError::Place(format!("the token cannot be read: {error}")))?;
            Self::new(&text, &format!("`{}`", path.display())).map(Some)
        };
        if let Some(path) = file {
            return read(path);
        }
        if let Some(text) = variable("HF_TOKEN") {
            return Self::new(&text, "HF_TOKEN").map(Some);
        }
        if let Some(path) = variable("HF_TOKEN_PATH") {
            return read(Path::new(&path));
        }
        let home = variable("HF_HOME").map(PathBuf::from).or_else(|| {
            let home = variable("HOME").or_else(|| variable("USERPROFILE"))?;
            Some(PathBuf::from(home).join(".cache/huggingface"))
        });
        match home.map(|home| home.join("token")) {
            Some(path) if path.is_file() => read(&path),
            _ => Ok(None),
        }
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Takes the token out of a text that somebody else wrote.
    pub(super) fn hide(&self, text: &str) -> String {
        text.replace(&self.0, "…")
    }

    /// Returns the token, for a request to a private Space.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_where_the_clients_of_the_hub_look() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        fs_err::write(&file, "hf_of-the-file\n").expect("written");
        let at = folder.path().display().to_string();
        let find = |file: Option<&Path>, set: &[(&str, &str)]| {
            let set: Vec<(String, String)> =
                set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Token::find(file, &|name| {
                set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            })
        };
        let found = |result: Result<Option<Token>, HubError>| result.expect("read").map(|token| token.0);
        assert_eq!(found(find(Some(&file), &[("HF_TOKEN", "hf_other")])).as_deref(), Some("hf_of-the-file"));
        assert_eq!(
            found(find(None, &[("HF_TOKEN", "hf_other"), ("HF_HOME", &at)])).as_deref(),
            Some("hf_other")
        );
        assert_eq!(found(find(None, &[("HF_HOME", &at)])).as_deref(), Some("hf_of-the-file"));
        assert_eq!(found(find(None, &[("HOME", &at)])), None);
        for text in ["", " ", "two words", "hf_\u{e9}"] {
            let error = find(None, &[("HF_TOKEN", text)]).expect_err(text).to_string();
            assert!(error.contains("HF_TOKEN") && (text.len() < 2 || !error.contains(text)), "{error}");
        }
        assert!(find(Some(&folder.path().join("none")), &[]).is_err());
        assert_eq!(format!("{:?}", Token::new("hf_secret", "here")), "Ok(Token(…))");
    }
}
