//! `train:`, the trainer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::search::SearchConfig;

/// The trainer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// `gradient_boosting`, `random_forest`, `decision_tree`, `logistic_regression`, `ridge` or `linear_regression`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub algorithm: String,
    /// Its parameters, named as in scikit-learn.
    pub params: BTreeMap<String, serde_json::Value>,
    /// A search for parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchConfig>,
    /// A program that trains instead: it reads the rows at `{train}` and `{validation}` and leaves an ONNX graph at
    /// `{output}`; `{seed}`, `{target}` and `{params}` too, or `MODELGATE_TRAIN` and so on in its environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The files that the program is made of, relative to the project: paths, or globs such as `lib/**/*.py`. A change of one
    /// trains again. By default the texts of programs around what `command` names; what it names counts in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
    /// How long the program may take.
    pub timeout_seconds: u64,
}

impl TrainConfig {
    /// Returns what makes no sense: the key below `train`, and why. `has_algorithm` says whether the file names one.
    pub(crate) fn check(&self, has_algorithm: bool) -> Result<(), (String, String)> {
        let wrong = |key: &str, message: &str| Err((key.to_owned(), message.to_owned()));
        if self.command.is_some() {
            let message = "`command` trains instead; take one of them out";
            if has_algorithm {
                return wrong("algorithm", message);
            }
            if self.search.is_some() {
                return wrong("search", message);
            }
        } else if self.inputs.is_some() {
            return wrong("inputs", "it names files of the program of `command`, and there is none");
        }
        if let Some(search) = &self.search {
            search.check(&self.params).map_err(|(key, message)| (format!("search.{key}"), message))?;
        }
        if self.timeout_seconds == 0 {
            return wrong("timeout_seconds", "it is a number of seconds from 1");
        }
        Ok(())
    }

    /// Returns the quantile that the model is trained for, with `loss: quantile`, by whoever trains it.
    pub fn quantile(&self) -> Option<f64> {
        let is_quantile = self.params.get("loss").is_some_and(|loss| loss == "quantile");
        is_quantile
            .then(|| self.params.get("quantile").map_or(Some(0.5), serde_json::Value::as_f64))
            .flatten()
            .filter(|quantile| *quantile > 0.0 && *quantile < 1.0)
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            algorithm: "random_forest".to_owned(),
            params: BTreeMap::new(),
            search: None,
            command: None,
            inputs: None,
            timeout_seconds: 3600,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn what_a_command_replaces_does_not_stand_beside_it() {
        let said = |train: &str| {
            let text = format!(
                "version: 1\nproject: p\npipelines:\n  p.q:\n    task: regression\n    data: {{source: a.csv, target: y}}\n    train: {{{train}}}\n"
            );
            crate::parse(&text, Path::new("modelgate.yaml"))
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        for fine in
            ["command: x, params: {a: 1}, inputs: ['*.py']", "command: x, inputs: []", "algorithm: ridge"]
        {
            assert_eq!(said(fine), "", "{fine}");
        }
        let told = said("command: x, algorithm: random_forest");
        assert!(
            told.starts_with("modelgate.yaml:7:25: pipelines.p.q.train.algorithm: `command` trains"),
            "{told}"
        );
        let told = said("command: x, search: {space: {a: {int: [1, 2]}}}");
        assert!(told.contains("train.search: `command` trains instead"), "{told}");
        assert!(said("inputs: [train.py]").contains("train.inputs: it names files of the program"));
        assert!(said("timeout_seconds: 0").contains("train.timeout_seconds"));
    }
}
