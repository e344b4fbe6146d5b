//! `${params:train.n}`: values of `params.yaml` in the project file.
//!
//! A reference that is a whole value becomes that value with its type; one inside a longer text becomes its text.
//! `${params:other.yaml:key}` names another file. References are replaced in the file's text, line by line, so that
//! what the reader says of lines stays true.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::options::NonFiniteFloatPolicy;

use crate::error::ConfigError;

/// The file when a reference names none.
const DEFAULT_FILE: &str = "params.yaml";
const OPEN: &str = "${params:";

/// Returns `text`, the content of the project file `shown` in `folder`, with every reference replaced.
///
/// # Errors
/// Names line and column of a reference to a file or key that is not there.
pub(crate) fn resolve(text: &str, folder: &Path, shown: &Path) -> Result<String, ConfigError> {
    if !text.contains(OPEN) {
        return Ok(text.to_owned());
    }
    let mut files: BTreeMap<String, Value> = BTreeMap::new();
    let mut resolved = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let mut rest = line;
        let content = &line[..comment(line)];
        while let Some(start) = rest.find(OPEN) {
            let place = line.len() - rest.len() + start;
            if place >= content.len() {
                break;
            }
            let error = |message: String| ConfigError::Yaml {
                path: shown.to_owned(),
                line: number as u64 + 1,
                column: line[..place].chars().count() as u64 + 1,
                message,
            };
            let behind = &rest[start + OPEN.len()..];
            let Some(end) = behind.find('}') else {
                return Err(error("the reference has no closing `}`".to_owned()));
            };
            let reference = behind[..end].trim();
            let (file, key) = reference.rsplit_once(':').unwrap_or((DEFAULT_FILE, reference));
            if !files.contains_key(file) {
                files.insert(file.to_owned(), read(folder, file).map_err(error)?);
            }
            let value = find(&files[file], file, key).map_err(error)?;
            let (before, behind) = (&rest[..start], &behind[end + 1..]);
            let (before, behind, whole) = surroundings(before, behind, &resolved);
            resolved.push_str(before);
            if whole {
                resolved.push_str(&value.to_string());
            } else {
                let inside = match value {
                    Value::String(text) => text.clone(),
                    Value::Array(_) | Value::Object(_) => {
                        return Err(error(format!(
                            "`{key}` is a list or mapping, which cannot be part of a text"
                        )));
                    }
                    other => other.to_string(),
                };
                if inside.contains(['"', '\'', '\n', '\\', '#']) || inside.contains(": ") {
                    return Err(error(format!(
                        "`{key}` has characters that would end the text it is part of"
                    )));
                }
                resolved.push_str(&inside);
            }
            rest = behind;
        }
        resolved.push_str(rest);
    }
    Ok(resolved)
}

/// Returns where a comment begins in a line, or its length.
fn comment(line: &str) -> usize {
    let mut quote = None;
    let mut before = ' ';
    for (place, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') if before.is_whitespace() => return place,
            // A quote inside a plain word, such as an apostrophe, opens nothing.
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
        before = letter;
    }
    line.len()
}

/// Returns what stands around a reference, without the quotes if it fills them, and whether it is a whole value.
fn surroundings<'a>(before: &'a str, behind: &'a str, earlier: &str) -> (&'a str, &'a str, bool) {
    for quote in ['"', '\''] {
        if let (Some(before), Some(behind)) = (before.strip_suffix(quote), behind.strip_prefix(quote)) {
            return (before, behind, true);
        }
    }
    let opened = before.trim_end();
    let starts = match opened.chars().last() {
        // The line begins here, unless a reference stands directly before.
        None => before.len() > opened.len() || earlier.is_empty() || earlier.ends_with('\n'),
        Some(letter) => {
            matches!(letter, '[' | '{' | ',') || (matches!(letter, ':' | '-') && opened.len() < before.len())
        }
    };
    let next = behind.trim_start_matches([' ', '\t']);
    let ends = next.is_empty()
        || next.starts_with(['\n', '\r', ',', ']', '}'])
        || (next.starts_with('#') && next.len() < behind.len());
    (before, behind, starts && ends)
}

fn read(folder: &Path, file: &str) -> Result<Value, String> {
    let path = PathBuf::from(file);
    if path.is_absolute() || path.components().any(|part| part.as_os_str() == "..") {
        return Err(format!("`{file}` is not below the project"));
    }
    let text = match fs_err::read_to_string(folder.join(&path)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("there is no `{file}` beside the project file"));
        }
        Err(error) => return Err(error.to_string()),
    };
    // As DVC and the project file read it: `y` and `no` are texts, and what is not asked for may be anything.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options(&text, options).map(|Read(value)| value).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |place| place.line());
        format!(
            "`{file}` cannot be read: line {line}: {}",
            error.to_string().lines().next().unwrap_or_default()
        )
    })
}

/// What stands for a number that is not finite; no text of YAML holds its first letter.
const NOT_FINITE: &str = "\0not finite";

fn is_finite(value: &Value) -> bool {
    match value {
        Value::String(text) => text != NOT_FINITE,
        Value::Array(items) => items.iter().all(is_finite),
        Value::Object(entries) => entries.values().all(is_finite),
        _ => true,
    }
}

/// A value in which [`NOT_FINITE`] stands for numbers that JSON does not have.
struct Read(Value);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(ReadVisitor).map(Self)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(serde_json::Number::from_f64(value).map_or_else(|| NOT_FINITE.into(), Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        Read::deserialize(reader).map(|Read(value)| value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(Read(item)) = items.next_element()? {
            found.push(item);
        }
        Ok(Value::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut found = serde_json::Map::new();
        while let Some((key, Read(value))) = entries.next_entry::<String, Read>()? {
            found.insert(key, value);
        }
        Ok(Value::Object(found))
    }
}

/// Returns the value at a dotted key; a number counts the items of a list.
fn find<'a>(values: &'a Value, file: &str, key: &str) -> Result<&'a Value, String> {
    let mut value = values;
    for part in key.split('.') {
        let found = match value {
            Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            other => other.get(part),
        };
        let Some(found) = found else {
            let known: Vec<&str> =
                value.as_object().into_iter().flat_map(|map| map.keys()).map(String::as_str).collect();
            let near = known
                .iter()
                .max_by(|one, other| {
                    strsim::jaro_winkler(part, one).total_cmp(&strsim::jaro_winkler(part, other))
                })
                .filter(|name| strsim::jaro_winkler(part, name) > 0.7)
                .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            return Err(format!("`{file}` has no `{key}`: at `{part}` there is {known}{near}"));
        };
        value = found;
    }
    if !is_finite(value) {
        return Err(format!(
            "`{key}` of `{file}` is or holds a number that is not finite, which no setting takes"
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: &str = "train: {n: 30, rate: 0.1, name: forest, on: true, list: [a, b], none: null, odd: 'a: \"b\"'}\n\
         data: {target: y, note: no, quoted: 'no', best: .inf, bounds: [-.inf, 1]}\n";

    fn resolved(text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("folder");
        fs_err::write(folder.path().join("params.yaml"), PARAMS).expect("written");
        fs_err::create_dir(folder.path().join("conf")).expect("folder");
        fs_err::write(folder.path().join("conf/other.json"), "{\"a\": {\"b\": [1, 2]}}").expect("written");
        resolve(text, folder.path(), Path::new("modelgate.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_value_keeps_its_type_and_a_part_becomes_text() {
        for (text, expected) in [
            ("n: ${params:train.n}\n", "n: 30\n"),
            ("n: \"${params:train.n}\" # trees\n", "n: 30 # trees\n"),
            ("{n: ${params:train.n}, r: ${params:train.rate}}\n", "{n: 30, r: 0.1}\n"),
            ("- ${params:train.list}", "- [\"a\",\"b\"]"),
            ("l: [${params:train.list.1}, ${params:train.none}]", "l: [\"b\", null]"),
            ("b: ${params:conf/other.json:a.b.0}\r\n", "b: 1\r\n"),
            ("s: data/${params:train.name}-${params:train.n}.csv\n", "s: data/forest-30.csv\n"),
            ("s: \"x ${params:train.on}\"\n", "s: \"x true\"\n"),
            // Words of YAML 1.1 are words of the project file too.
            ("{t: ${params:data.target}, n: ${params:data.note}}", "{t: \"y\", n: \"no\"}"),
            ("m-${params:data.note}-${params:data.quoted}", "m-no-no"),
            ("o: ${params:train.odd}", "o: \"a: \\\"b\\\"\""),
            ("# ${params:none}\nx: 'it''s # ${params:train.n}'\n", "# ${params:none}\nx: 'it''s # 30'\n"),
        ] {
            assert_eq!(resolved(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_its_place() {
        for (text, message) in [
            (
                "a: 1\nb: ${params:train.m}\n",
                "modelgate.yaml:2:4: `params.yaml` has no `train.m`: at `m` there is list, n",
            ),
            ("b: ${params:trian.n}\n", "did you mean `train`?"),
            ("b: ${params:none.yaml:a}\n", "there is no `none.yaml`"),
            ("b: ${params:../x.yaml:a}\n", "not below the project"),
            ("b: ${params:train.n\n", "no closing"),
            ("b: x-${params:train.list}\n", "cannot be part of a text"),
            (
                "b: ${params:data.best}\n",
                "`data.best` of `params.yaml` is or holds a number that is not finite",
            ),
            ("b: ${params:data.bounds}\n", "holds a number that is not finite"),
            ("b: x-${params:train.odd}\n", "would end the text"),
        ] {
            let error = resolved(text).expect_err(text);
            assert!(error.contains(message), "{error}");
        }
    }
}
