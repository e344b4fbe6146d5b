//! Numbers that JSON has no words for, as Python and with it MLflow's client write them all the same: a bare `NaN` is a
//! missing value, a bare `Infinity` a number that no feature takes.

use std::borrow::Cow;

/// Stands for `Infinity`: as many letters, so that what comes behind it keeps its place.
const ENDLESS: &[u8; 8] = b"1.79e308";

/// Returns the number that one in a body of [`as_json`] stands for.
pub(super) fn meant(number: f64) -> f64 {
    if number.abs() == 1.79e308 { f64::INFINITY.copysign(number) } else { number }
}

/// Returns a body in which every bare word is JSON; borrowed where there is none.
pub(super) fn as_json(body: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Vec::new();
    // Up to here it is in the text.
    let (mut done, mut at) = (0, 0);
    while let Some(byte) = body.get(at) {
        let (word, json): (&[u8], &[u8]) = match byte {
            b'"' => {
                at = end_of_string(body, at);
                continue;
            }
            b'N' => (b"NaN", b"null"),
            b'I' => (b"Infinity", ENDLESS),
            _ => (b"", b""),
        };
        if !word.is_empty() && body[at..].starts_with(word) {
            text.extend_from_slice(&body[done..at]);
            text.extend_from_slice(json);
            at += word.len();
            done = at;
        } else {
            at += 1;
        }
    }
    if done == 0 {
        return body.into();
    }
    text.extend_from_slice(&body[done..]);
    text.into()
}

/// Returns where it goes on behind the string that begins at `at`.
fn end_of_string(body: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_word_becomes_json_and_one_in_a_string_stays() {
        for (body, json) in [
            ("[NaN,NaN]", "[null,null]"),
            ("{\"NaN\": NaN, \"a\\\"NaN\": -Infinity}", "{\"NaN\": null, \"a\\\"NaN\": -1.79e308}"),
            ("NaN", "null"),
            // What was no JSON before is none now.
            ("[1NaN, -NaN, 1Infinity]", "[1null, -null, 11.79e308]"),
        ] {
            let found = as_json(body.as_bytes());
            assert_eq!(std::str::from_utf8(&found), Ok(json), "{body}");
            assert!(matches!(found, Cow::Owned(_)));
        }
        for same in ["[1, \"NaN\", \"\\\\\"]", "\"Infinity", "\"\\", "nan Inf N I", ""] {
            assert!(matches!(as_json(same.as_bytes()), Cow::Borrowed(_)), "{same}");
        }
        assert!(serde_json::from_str::<f64>("11.79e308").is_err());
        let number: f64 = serde_json::from_slice(ENDLESS).expect("a number");
        assert_eq!((meant(number), meant(-number), meant(1.5)), (f64::INFINITY, f64::NEG_INFINITY, 1.5));
    }
}
