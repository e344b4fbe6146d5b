//! Where each value comes from: a default, the project file, or the environment.

use serde::Serialize;
use serde_json::Value;

use crate::env;
use crate::project::ProjectConfig;

/// One key with its value and where it comes from.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Origin {
    /// The key, dotted.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// `default`, `modelgate.yaml`, or the name of an environment variable.
    pub origin: String,
}

/// Returns each key of `config` with its origin; `text` is the project file that it was read from.
pub fn origins(
    config: &ProjectConfig,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Vec<Origin> {
    let file: Value = serde_saphyr::from_str(text).unwrap_or_default();
    let whole = serde_json::to_value(config).unwrap_or_default();
    let mut found = Vec::new();
    walk("", &whole, Some(&file), &mut found);
    for entry in &mut found {
        let variable = match entry.key.as_str() {
            "registry.uri" => env::MODELGATE_REGISTRY_URI,
            "data.remote" => env::MODELGATE_DATA_REMOTE,
            "serve.onnxruntime" => env::ORT_DYLIB_PATH,
            key if key.starts_with("pipelines.")
                && key.split('.').count() == 3
                && key.rsplit('.').next() == Some("seed") =>
            {
                env::MODELGATE_SEED
            }
            _ => continue,
        };
        if environment(variable).is_some() {
            variable.clone_into(&mut entry.origin);
        }
    }
    found
}

fn walk(key: &str, value: &Value, file: Option<&Value>, found: &mut Vec<Origin>) {
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            for (name, value) in inner {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                walk(&key, value, file.and_then(|file| file.get(name)), found);
            }
        }
        _ => {
            let origin = if file.is_some() { "modelgate.yaml" } else { "default" };
            found.push(Origin { key: key.to_owned(), value: value.clone(), origin: origin.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_where_it_comes_from() {
        let text = "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    data: {source: a.csv, target: y}\n";
        let config = crate::parse(text, std::path::Path::new("modelgate.yaml")).expect("valid");
        let set = [
            (env::MODELGATE_SEED, "7"),
            (env::MODELGATE_DATA_REMOTE, "s3://b/p"),
            (env::ORT_DYLIB_PATH, "/opt/libonnxruntime.so"),
        ];
        let found = origins(&config, text, &|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        let of = |key: &str| {
            found.iter().find(|entry| entry.key == key).map(|entry| entry.origin.clone()).expect("a key")
        };
        assert_eq!(of("pipelines.p.task"), "modelgate.yaml");
        assert_eq!(of("pipelines.p.evaluate.rounds"), "default");
        assert_eq!(of("pipelines.p.seed"), "MODELGATE_SEED");
        assert_eq!(of("data.remote"), "MODELGATE_DATA_REMOTE");
        assert_eq!(of("serve.onnxruntime"), "ORT_DYLIB_PATH");
        assert_eq!(of("registry.uri"), "default");
    }
}
