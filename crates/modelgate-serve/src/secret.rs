//! What only the one who is told it may know: a key of callers, the token of the administrator.

use crate::settings::Settings;

/// Characters from which a secret that was drawn by chance cannot be tried out.
const LONG: usize = 16;

/// A secret that is never printed.
#[derive(Clone, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns whether it is so short that it could be tried out: a service compares whatever it is sent.
    fn is_short(&self) -> bool {
        self.0.chars().count() < LONG
    }

    /// Returns whether `given` is the secret, in a time that does not depend on where they differ.
    pub fn is(&self, given: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), given).into()
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Settings {
    /// Returns which secrets are so short that somebody could guess them, in a sentence.
    pub(crate) fn guessable(&self) -> Option<String> {
        let token = self.admin_token.as_ref().filter(|token| token.is_short()).map(|_| "ADMIN_API_TOKEN");
        let key = self.api_keys.iter().any(Secret::is_short).then_some("a key of MODELGATE_API_KEYS");
        let short: Vec<&str> = token.into_iter().chain(key).collect();
        (!short.is_empty()).then(|| {
            let short = short.join(" and ");
            format!(
                "{short}: fewer than {LONG} characters can be guessed; take a long one, such as `openssl rand -hex 32` \
                 makes"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_can_be_guessed_is_told_by_the_name_of_its_variable() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let told = |token: Option<&str>, keys: &[&str]| {
            let (admin_token, api_keys) = (token.map(secret), keys.iter().map(|key| secret(key)).collect());
            Settings { admin_token, api_keys, ..Settings::default() }.guessable()
        };
        let long = "0123456789abcdef";
        assert_eq!((told(None, &[]), told(Some(long), &[long])), (None, None));
        let both = told(Some(&long[1..]), &[long, "sesame"]).expect("a sentence");
        assert!(both.starts_with("ADMIN_API_TOKEN and a key of MODELGATE_API_KEYS: "), "{both}");
        assert!(!both.contains("sesame"), "{both}");
        assert!(told(None, &["sesame"]).is_some_and(|told| told.starts_with("a key of")));
    }
}
