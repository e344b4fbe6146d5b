//! Canonical JSON: the bytes that are hashed.
//!
//! `serde_json` without its `preserve_order` feature keeps object keys sorted and prints the shortest float
//! that reads back equal, so a value that went through [`serde_json::Value`] has one text only.

use serde::Serialize;

use crate::Digest;

/// Returns compact JSON with sorted keys.
///
/// # Errors
/// Fails when `value` cannot be JSON: a map whose keys are not strings, or a `Serialize` that fails.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(&serde_json::to_value(value)?)
}

/// Returns indented JSON with sorted keys and a final newline, the form of every JSON file we write.
///
/// # Errors
/// As [`to_string`].
pub fn to_pretty<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&serde_json::to_value(value)?)?;
    text.push('\n');
    Ok(text)
}

/// Returns the digest of the canonical JSON of `value`.
///
/// # Errors
/// As [`to_string`].
pub fn digest<T: Serialize>(value: &T) -> Result<Digest, serde_json::Error> {
    Ok(Digest::of(to_string(value)?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_floats_are_shortest() {
        let text = super::to_string(&json!({"b": 0.1, "a": 1.0, "c": [true, null]})).expect("json");
        assert_eq!(text, r#"{"a":1.0,"b":0.1,"c":[true,null]}"#);
    }
}
