//! Who may ask: the keys of callers, and the origins of pages.

use modelgate_serve::settings::{Secret, is_taken_header};

use crate::environment;
use crate::exit::UsageError;

/// Returns the secret in a variable, without what is around it: one that was written into a file has an end of line.
///
/// # Errors
/// Fails where the variable is set and holds nothing else.
pub(super) fn secret(name: &str) -> Result<Option<Secret>, UsageError> {
    environment::variable(name).map(|text| trimmed(name, &text)).transpose()
}

fn trimmed(name: &str, text: &str) -> Result<Secret, UsageError> {
    match text.trim() {
        "" => Err(UsageError(format!("{name} is set and holds nothing: give it a value, or unset it"))),
        secret => Ok(Secret::new(secret.to_owned())),
    }
}

/// Returns the keys of `MODELGATE_API_KEYS`; none where it is not set.
///
/// # Errors
/// Fails where it is set and holds no key: whoever set it wants a service that is closed.
pub(super) fn api_keys(set: Option<&str>) -> Result<Vec<Secret>, UsageError> {
    let Some(text) = set else { return Ok(Vec::new()) };
    let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
    let keys: Vec<Secret> = keys.map(|key| Secret::new(key.to_owned())).collect();
    if keys.is_empty() {
        let sentence = "MODELGATE_API_KEYS is set and holds no key: give one, or unset it for a service that everybody \
                        may ask";
        return Err(UsageError(sentence.to_owned()));
    }
    Ok(keys)
}

/// Refuses a token of administrators that is a caller's key as well: every caller would be one.
pub(super) fn told_apart(token: Option<&Secret>, keys: &[Secret]) -> Result<(), UsageError> {
    if token.is_some_and(|token| keys.contains(token)) {
        let sentence = "ADMIN_API_TOKEN is one of MODELGATE_API_KEYS: every caller would be an administrator; give them \
                        different values";
        return Err(UsageError(sentence.to_owned()));
    }
    Ok(())
}

/// Returns the headers with the administrator's token and with the number of a request.
///
/// # Errors
/// Fails for what is no header, and for one that means something else: the number of a request is sent back in it.
pub(super) fn headers(variable: &dyn Fn(&str) -> Option<String>) -> Result<(String, String), UsageError> {
    const ADMIN: &str = "ADMIN_TOKEN_HEADER";
    const CORRELATION: &str = "CORRELATION_ID_HEADER";
    let header = |name: &str, default: &str| {
        let value = variable(name).unwrap_or_else(|| default.to_owned());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(value.bytes().all(allowed) && value.len() <= 100) {
            return Err(UsageError(format!("the environment variable {name} is not the name of a header")));
        }
        // The token may come as `Authorization` anyway.
        let is_theirs = name == ADMIN && value.eq_ignore_ascii_case("authorization");
        if is_taken_header(&value) && !is_theirs {
            let sentence = format!("{name}: the header `{value}` has a meaning of its own; name another one");
            return Err(UsageError(sentence));
        }
        Ok(value)
    };
    let (admin, correlation) = (header(ADMIN, "X-Admin-Token")?, header(CORRELATION, "X-Correlation-ID")?);
    if admin.eq_ignore_ascii_case(&correlation) {
        let sentence =
            format!("{CORRELATION} and {ADMIN} are one header: the token would be sent back and logged");
        return Err(UsageError(sentence));
    }
    Ok((admin, correlation))
}

/// Returns the origins whose pages may ask.
///
/// # Errors
/// Fails for what no browser says of a page: it would let nobody in, without a word.
pub(super) fn origins(given: &[String]) -> Result<Vec<String>, UsageError> {
    match given.iter().find(|text| *text != "*" && !is_origin(text)) {
        Some(wrong) => Err(UsageError(format!(
            "--cors-origin: `{wrong}` is no origin: expected `*`, or as a browser sends it `scheme://host` or \
             `scheme://host:port`, in small letters, without a path and without the port that the scheme has anyway"
        ))),
        None => Ok(given.to_vec()),
    }
}

/// Holds for the form in which a browser sends the origin of a page, which is compared letter by letter.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let plain = |text: &str, more: &[u8]| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let known = match (scheme, port) {
        ("http", Some("80")) | ("https", Some("443")) => return false,
        (_, None) => true,
        (_, Some(port)) => port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port),
    };
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => plain(host, b"-_."),
    };
    scheme.starts_with(|letter: char| letter.is_ascii_lowercase()) && plain(scheme, b"+-.") && host && known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_a_meaning_of_its_own_is_no_number_and_no_token() {
        let asked = |admin: Option<&str>, correlation: Option<&str>| {
            let of = |name: &str| if name == "ADMIN_TOKEN_HEADER" { admin } else { correlation };
            headers(&|name| of(name).map(str::to_owned)).map_err(|error| error.to_string())
        };
        let expected = ("X-Admin-Token".to_owned(), "X-Correlation-ID".to_owned());
        assert_eq!(asked(None, None), Ok(expected));
        assert!(asked(Some("authorization"), Some("X-Request-ID")).is_ok());
        for (admin, correlation, says) in [
            (
                None,
                Some("Content-Length"),
                "CORRELATION_ID_HEADER: the header `Content-Length` has a meaning",
            ),
            (None, Some("authorization"), "has a meaning of its own"),
            (Some("X-API-Key"), None, "ADMIN_TOKEN_HEADER: the header `X-API-Key` has a meaning"),
            (Some("x-one"), Some("X-One"), "are one header"),
            (None, Some("two words"), "is not the name of a header"),
        ] {
            let error = asked(admin, correlation).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_token_that_every_caller_has_is_refused() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let keys = [secret("one"), secret("two")];
        assert!(told_apart(Some(&secret("three")), &keys).is_ok() && told_apart(None, &keys).is_ok());
        let error = told_apart(Some(&secret("two")), &keys).expect_err("the same").to_string();
        assert!(error.contains("ADMIN_API_TOKEN") && !error.contains("two"), "{error}");
    }

    #[test]
    fn a_variable_that_holds_no_key_does_not_open_the_service() {
        assert!(api_keys(None).expect("open").is_empty());
        let keys = api_keys(Some("old, new,")).expect("keys");
        assert!(keys.len() == 2 && keys[0].is(b"old") && keys[1].is(b"new"));
        for text in [",", " ", " , ,"] {
            let error = api_keys(Some(text)).expect_err(text).to_string();
            assert!(error.contains("MODELGATE_API_KEYS is set and holds no key"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_what_stands_between_blanks() {
        for text in ["open sesame", "open sesame\n", "\topen sesame\r\n"] {
            assert!(trimmed("ADMIN_API_TOKEN", text).expect(text).is(b"open sesame"), "{text:?}");
        }
        for text in [" ", "\n"] {
            let error = trimmed("ADMIN_API_TOKEN", text).expect_err(text).to_string();
            assert!(error.contains("ADMIN_API_TOKEN is set and holds nothing"), "{error}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_no_origin() {
        let one = |text: &str| origins(&[text.to_owned()]);
        for text in [
            "*",
            "https://app.example.com",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "http://[::1]:3000",
            "http://[::1]",
            "https://host:80",
            "chrome-extension://abcdefgh",
        ] {
            assert_eq!(one(text).expect(text), [text]);
        }
        for text in [
            "foo",
            "",
            "null",
            "https://",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/page",
            "https://App.example.com",
            "https://app.example.com:443",
            "http://localhost:80",
            "http://localhost:",
            "http://localhost:0300",
            "http://localhost:70000",
            "https://*.example.com",
            "https://me@example.com",
            "https://a, https://b",
            "http://[::x]",
        ] {
            let error = one(text).expect_err(text).to_string();
            assert!(error.contains("is no origin"), "{error}");
        }
    }
}
