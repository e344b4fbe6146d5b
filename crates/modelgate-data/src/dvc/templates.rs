//! `${…}` in `dvc.yaml`: what it stands for, by `params.yaml`, `vars`, and the items of `foreach` and `matrix`, as DVC documents
//! it (<https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#templating>).

use std::path::Path;

use serde_json::{Map, Value};

use super::output::read_yaml;
use crate::snapshot::SnapshotError;

/// What references stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Context(Map<String, Value>);

impl Context {
    /// Returns what the stages of a `dvc.yaml` in `folder` may refer to.
    pub(super) fn of_file(folder: &Path, yaml: &Value) -> Result<Self, SnapshotError> {
        let mut context = Self::default();
        context.read(folder, "params.yaml")?;
        context.with_vars(folder, yaml)
    }

    /// Returns the context with the `vars` of a file or a stage: mappings, and files with or without keys.
    pub(super) fn with_vars(mut self, folder: &Path, of: &Value) -> Result<Self, SnapshotError> {
        for entry in of.get("vars").and_then(Value::as_array).into_iter().flatten() {
            match entry {
                Value::String(file) => self.read(folder, file)?,
                Value::Object(values) => merge(&mut self.0, values.clone()),
                _ => {}
            }
        }
        Ok(self)
    }

    /// Reads `file`, or `file:key,key`; what is neither YAML nor JSON stays unknown, and so does what refers to it.
    fn read(&mut self, folder: &Path, file: &str) -> Result<(), SnapshotError> {
        let (name, keys) = file.split_once(':').map_or((file, None), |(name, keys)| (name, Some(keys)));
        let path = folder.join(name);
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if !matches!(ending, "yaml" | "yml" | "json") || !path.exists() {
            return Ok(());
        }
        if let Value::Object(mut values) = read_yaml::<Value>(&path)? {
            let wanted: Option<Vec<&str>> = keys.map(|keys| keys.split(',').map(str::trim).collect());
            values.retain(|key, _| wanted.as_ref().is_none_or(|wanted| wanted.contains(&key.as_str())));
            merge(&mut self.0, values);
        }
        Ok(())
    }

    fn with(&self, name: &str, value: Value) -> Self {
        let mut context = self.clone();
        context.0.insert(name.to_owned(), value);
        context
    }

    /// Returns the stages that `foreach` or `matrix` makes, by what stands behind `name@`, each with its own context; `None`
    /// where that cannot be told, or `stage` has neither.
    pub(super) fn items(&self, stage: &Value) -> Option<Vec<(String, Self)>> {
        if let Some(matrix) = stage.get("matrix") {
            return self.combinations(&self.list_of(matrix)?);
        }
        Some(match self.list_of(stage.get("foreach")?)? {
            Value::Array(items) => {
                let plain = items.iter().all(is_plain);
                let name =
                    |(at, item): (usize, &Value)| if plain { written(item) } else { Some(at.to_string()) };
                let names: Option<Vec<String>> = items.iter().enumerate().map(name).collect();
                names?.into_iter().zip(items.iter().map(|item| self.with("item", item.clone()))).collect()
            }
            Value::Object(items) => items
                .into_iter()
                .map(|(key, item)| (key.clone(), self.with("item", item).with("key", Value::String(key))))
                .collect(),
            _ => return None,
        })
    }

    fn combinations(&self, matrix: &Value) -> Option<Vec<(String, Self)>> {
        let mut made: Vec<(Vec<String>, Map<String, Value>)> = vec![Default::default()];
        for (key, values) in matrix.as_object()? {
            let values = self.list_of(values)?;
            let mut next = Vec::new();
            for (names, item) in &made {
                for (at, value) in values.as_array()?.iter().enumerate() {
                    let name = if is_plain(value) { written(value)? } else { format!("{key}{at}") };
                    let mut item = item.clone();
                    item.insert(key.clone(), value.clone());
                    next.push((names.iter().cloned().chain([name]).collect(), item));
                }
            }
            made = next;
        }
        Some(
            made.into_iter()
                .map(|(names, item)| (names.join("-"), self.with("item", Value::Object(item))))
                .collect(),
        )
    }

    /// Returns a list or mapping that may be one reference.
    fn list_of(&self, value: &Value) -> Option<Value> {
        let Value::String(text) = value else { return Some(value.clone()) };
        let key = text.trim().strip_prefix("${")?.strip_suffix('}')?;
        self.at(key).cloned()
    }

    /// Returns `value` with what its references stand for, and whether all of them are known.
    pub(super) fn resolved(&self, value: &Value) -> (Value, bool) {
        let mut known = true;
        let resolved = self.resolve(value, &mut known);
        (resolved, known)
    }

    fn resolve(&self, value: &Value, known: &mut bool) -> Value {
        let mut text = |text: &str| {
            self.text(text).unwrap_or_else(|| {
                *known = false;
                text.to_owned()
            })
        };
        match value {
            Value::String(one) => Value::String(text(one)),
            Value::Array(items) => items.iter().map(|item| self.resolve(item, known)).collect(),
            Value::Object(entries) => {
                let keys: Vec<String> = entries.keys().map(|key| text(key)).collect();
                let values: Vec<Value> = entries.values().map(|value| self.resolve(value, known)).collect();
                Value::Object(keys.into_iter().zip(values).collect())
            }
            other => other.clone(),
        }
    }

    /// Returns `text` with what its references stand for; `None` where one is not known, or no plain value.
    fn text(&self, text: &str) -> Option<String> {
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('\\') {
                made.push_str(before);
                made.push_str("${");
                rest = &from[2..];
                continue;
            }
            made.push_str(before);
            let (key, behind) = from[2..].split_once('}')?;
            made.push_str(&written(self.at(key)?)?);
            rest = behind;
        }
        made.push_str(rest);
        Some(made)
    }

    /// Returns the value at a key such as `train.rates[0]`.
    fn at(&self, key: &str) -> Option<&Value> {
        let mut parts = key.trim().split(['.', '[']).map(|part| part.trim_end_matches(']'));
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        })
    }
}

/// Adds `values`; mappings of both are joined.
fn merge(into: &mut Map<String, Value>, values: Map<String, Value>) {
    for (key, value) in values {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(before)), Value::Object(value)) => merge(before, value),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn is_plain(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// Returns a plain value as DVC writes it into a text: numbers as Python does.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) if number.is_f64() => number.as_f64().map(as_python),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns a number as `repr` of Python writes it: with an exponent below a ten-thousandth and from 1e16 on.
fn as_python(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) =
                exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

/// Returns whether `path` may be what the text `template` stands for, whatever its references are.
pub(super) fn is_like(template: &str, path: &str) -> bool {
    let Some((first, mut rest)) = template.split_once("${") else { return template == path };
    let Some(mut left) = path.strip_prefix(first) else { return false };
    loop {
        let Some((_, behind)) = rest.split_once('}') else { return false };
        let Some((between, next)) = behind.split_once("${") else { return left.ends_with(behind) };
        let Some(at) = left.find(between) else { return false };
        left = &left[at + between.len()..];
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context(values: Value) -> Context {
        let Value::Object(values) = values else { panic!("a mapping") };
        Context(values)
    }

    #[test]
    fn references_stand_for_what_python_writes() {
        let known = context(json!({"n": 100, "lr": 1e-5, "big": 2e16, "half": 0.5, "on": true,
                                   "train": {"rates": [0.1, 3.0]}, "deep": {"a": {}}}));
        for (text, made) in [
            ("head -${n} a > b", Some("head -100 a > b")),
            ("--lr ${lr} ${ half } ${big}", Some("--lr 1e-05 0.5 2e+16")),
            ("${train.rates[1]}${on}", Some("3.0true")),
            ("cost \\${n}", Some("cost ${n}")),
            ("${nothing}", None),
            ("${deep.a}", None),
            ("${n", None),
        ] {
            assert_eq!(known.text(text).as_deref(), made, "{text}");
        }
        let (value, all) = known.resolved(&json!({"outs": [{"m_${n}.json": {"cache": false}}, "${who}"]}));
        assert_eq!((value, all), (json!({"outs": [{"m_100.json": {"cache": false}}, "${who}"]}), false));
    }

    #[test]
    fn items_have_the_names_that_dvc_gives() {
        let known = context(json!({"names": ["a", "c"], "sizes": [{"n": 1}, {"n": 2}]}));
        let names = |stage: Value| -> Option<Vec<String>> {
            Some(known.items(&stage)?.into_iter().map(|(name, _)| name).collect())
        };
        assert_eq!(names(json!({"foreach": "${names}"})), Some(vec!["a".to_owned(), "c".to_owned()]));
        assert_eq!(names(json!({"foreach": "${sizes}"})), Some(vec!["0".to_owned(), "1".to_owned()]));
        assert_eq!(names(json!({"foreach": {"x": {"n": 3}}})), Some(vec!["x".to_owned()]));
        let matrix = names(json!({"matrix": {"data": ["u", "v"], "size": "${sizes}"}}));
        assert_eq!(matrix, Some(["u-size0", "u-size1", "v-size0", "v-size1"].map(str::to_owned).to_vec()));
        assert_eq!(names(json!({"foreach": "${who}"})), None);
        let (_, one) = known.items(&json!({"foreach": {"x": {"n": 3}}})).expect("items").remove(0);
        assert_eq!(one.text("${key} ${item.n}").as_deref(), Some("x 3"));
    }

    #[test]
    fn a_path_is_told_from_its_template() {
        assert!(is_like("m_${item}.json", "m_a.json") && is_like("${d}/x/${e}", "a/b/x/c"));
        assert!(!is_like("m_${item}.json", "n_a.json") && !is_like("m_${item}.json", "m_a.csv"));
        assert!(is_like("plain", "plain") && !is_like("plain", "other"));
    }
}
