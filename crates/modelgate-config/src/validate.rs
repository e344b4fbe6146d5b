//! What the types cannot say: values that have the right form and make no sense.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use modelgate_core::{ModelName, metric};

use crate::decidable::{MOST_ROUNDS, check_decidable, check_rounds, check_rounds_of};
use crate::dialect;
use crate::error::ConfigError;
use crate::governance::duration_seconds;
use crate::measured::check_metric;
use crate::place::{Keys, place};
use crate::project::{IntervalsName, PipelineConfig, ProjectConfig, SplitKindName, TaskKind};

pub(crate) fn validate(config: &ProjectConfig, text: &str, path: &Path) -> Result<(), ConfigError> {
    check(config, text).map_err(|(key, message)| {
        let place = place(text, &key);
        ConfigError::Value { path: path.to_owned(), place, key, message }
    })
}

/// Returns the first key that makes no sense, and why.
fn check(config: &ProjectConfig, text: &str) -> Result<(), Wrong> {
    if config.version != 1 {
        let message = format!("this modelgate reads version 1, not {}", config.version);
        return Err(("version".to_owned(), message));
    }
    if config.pipelines.is_empty() {
        return Err(("pipelines".to_owned(), "there is no pipeline; `modelgate init` shows one".to_owned()));
    }
    check_governance(config)?;
    check_models(config)?;
    let keys = Keys::of(text);
    for (name, pipeline) in &config.pipelines {
        let key = format!("pipelines.{name}");
        if let Err(wrong) = name.parse::<ModelName>() {
            return Err((key, wrong.to_string()));
        }
        let below = |(below, message): Wrong| (format!("{key}.{below}"), message);
        check_pipeline(pipeline).map_err(below)?;
        let has_algorithm = keys.has(&format!("{key}.train.algorithm"));
        pipeline
            .train
            .check(has_algorithm)
            .map_err(|(inner, message)| below((format!("train.{inner}"), message)))?;
        check_rules(pipeline).map_err(below)?;
        for (index, rule) in config.policy.required_rules.iter().enumerate() {
            if is_for_others(&rule.metric, pipeline.task, config) {
                continue;
            }
            check_metric(&rule.metric, pipeline.task, pipeline.train.quantile()).map_err(|message| {
                let key = format!("policy.required_rules[{index}].metric");
                (key, format!("{message} (pipeline `{name}`)"))
            })?;
            let Ok(read) = rule.to_rule() else { continue };
            if read.on.is_none() && pipeline.data.split.validation == 0.0 && read.metric != "schema" {
                let message = format!(
                    "it names no rows and is held on validation, of which pipeline `{name}` holds back none: name `on: test`"
                );
                return Err((format!("policy.required_rules[{index}]"), message));
            }
            let sure = check_rounds_of(&read, pipeline.evaluate.rounds);
            check_decidable(&read, pipeline.data.contract.is_some()).and(sure).map_err(|message| {
                (format!("policy.required_rules[{index}]"), format!("{message} (pipeline `{name}`)"))
            })?;
        }
    }
    Ok(())
}

type Wrong = (String, String);

/// Holds for a metric of the task that `task` is not, where another pipeline has that task: a required rule on it is that one's.
fn is_for_others(metric: &str, task: TaskKind, config: &ProjectConfig) -> bool {
    let is_of = |task: TaskKind| metric::is_of(metric, task.into());
    !is_of(task) && config.pipelines.values().any(|other| is_of(other.task))
}

/// Refuses two pipelines of one model: versions and production would be those of both, and the gate and the approvers of the one
/// would not hold for what the other makes.
fn check_models(config: &ProjectConfig) -> Result<(), Wrong> {
    let mut makers: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, pipeline) in &config.pipelines {
        let model = pipeline.model.name.as_deref().unwrap_or(name);
        let Some(other) = makers.insert(model, name) else { continue };
        // Of the two, the one that says the name is the one to change.
        let (named, other) =
            if pipeline.model.name.is_some() { (name.as_str(), other) } else { (other, name.as_str()) };
        let message = format!(
            "`{model}` is the model of pipeline `{other}` too: versions and production would be those of both, under the gate and \
             the approvers of one; give each a name of its own"
        );
        return Err((format!("pipelines.{named}.model.name"), message));
    }
    Ok(())
}

fn check_pipeline(pipeline: &PipelineConfig) -> Result<(), Wrong> {
    if let Some(name) = &pipeline.model.name {
        name.parse::<ModelName>().map_err(|error| ("model.name".to_owned(), error.to_string()))?;
    }
    let data = &pipeline.data;
    for (key, value) in [("data.source", &data.source), ("data.target", &data.target)] {
        if value.is_empty() {
            return Err((key.to_owned(), "it is empty".to_owned()));
        }
    }
    if data.key.as_ref() == Some(&data.target) {
        let message = format!("`{}` is the target; what identifies a row is another column", data.target);
        return Err(("data.key".to_owned(), message));
    }
    if let Some(weight) = &data.weight {
        if *weight == data.target || Some(weight) == data.key.as_ref() {
            let message = format!("`{weight}` is the target or the key; weights have a column of their own");
            return Err(("data.weight".to_owned(), message));
        }
        if pipeline.preprocess.drop.contains(weight) {
            let message = format!("`{weight}` is dropped; take it out of `preprocess.drop`");
            return Err(("data.weight".to_owned(), message));
        }
    }
    if pipeline.preprocess.drop.contains(&data.target) {
        return Err((
            "preprocess.drop".to_owned(),
            format!("the target `{}` cannot be dropped", data.target),
        ));
    }
    dialect::check(data)?;
    let split = &data.split;
    let by_column = matches!(split.kind, Some(SplitKindName::Time | SplitKindName::Group));
    if by_column != split.column.is_some() {
        let message = "`column` goes with the kinds `time` and `group`, and these need it";
        return Err(("data.split.column".to_owned(), message.to_owned()));
    }
    let shares = [split.train, split.validation, split.test];
    if shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
        return Err(("data.split".to_owned(), "a share is from 0 to 1".to_owned()));
    }
    let sum: f64 = shares.iter().sum();
    if (sum - 1.0).abs() > 1e-9 {
        return Err(("data.split".to_owned(), format!("train, validation and test sum to {sum}, not to 1")));
    }
    if split.train == 0.0 {
        return Err(("data.split.train".to_owned(), "there is nothing to train on".to_owned()));
    }
    let evaluate = &pipeline.evaluate;
    let ranges = [
        ("evaluate.rounds", u64::from(evaluate.rounds), 100, u64::from(MOST_ROUNDS)),
        ("evaluate.slice_bins", evaluate.slice_bins as u64, 2, 20),
        ("evaluate.min_slice_rows", evaluate.min_slice_rows as u64, 2, u64::from(u32::MAX)),
        ("evaluate.importance_repeats", u64::from(evaluate.importance_repeats), 0, 1000),
    ];
    for (key, value, low, high) in ranges {
        if !(low..=high).contains(&value) {
            return Err((key.to_owned(), format!("{value} is not allowed: expected {low} to {high}")));
        }
    }
    if !(evaluate.confidence > 0.0 && evaluate.confidence < 1.0) {
        return Err((
            "evaluate.confidence".to_owned(),
            "it is a share between 0 and 1, such as 0.95".to_owned(),
        ));
    }
    if evaluate.intervals == IntervalsName::Bootstrap {
        check_rounds(evaluate.confidence, evaluate.rounds)
            .map_err(|message| ("evaluate.confidence".to_owned(), message))?;
    }
    if let Some(column) = evaluate.slices.iter().find(|column| **column == data.target) {
        return Err((
            "evaluate.slices".to_owned(),
            format!("`{column}` is the target; slice by what is known beforehand"),
        ));
    }
    let promotion = &pipeline.promotion;
    if promotion.choose != "candidate" {
        let chosen = promotion.choose.strip_prefix("best_by ").map(str::trim).unwrap_or_default();
        if chosen.is_empty() {
            let message = format!("`{}`: expected `candidate` or `best_by METRIC`", promotion.choose);
            return Err(("promotion.choose".to_owned(), message));
        }
        check_metric(chosen, pipeline.task, pipeline.train.quantile())
            .and_then(|()| check_kept(chosen, pipeline.task))
            .map_err(|message| ("promotion.choose".to_owned(), message))?;
    }
    if let Some(expires) = &promotion.approval_expires {
        duration_seconds(expires).map_err(|message| ("promotion.approval_expires".to_owned(), message))?;
    }
    if promotion.approvers.iter().any(|name| name.trim().is_empty()) {
        return Err(("promotion.approvers".to_owned(), "a name is empty".to_owned()));
    }
    Ok(())
}

/// Refuses a figure that is registered with no version: by it, none would ever be chosen.
fn check_kept(chosen: &str, task: TaskKind) -> Result<(), String> {
    if metric::OTHERS.iter().all(|(name, _)| *name != chosen) {
        return Ok(());
    }
    let such = if task == TaskKind::Regression { "rmse" } else { "f1" };
    Err(format!(
        "`{chosen}` is kept of no version; `best_by` goes by a figure of the evaluation, such as `{such}`"
    ))
}

fn check_governance(config: &ProjectConfig) -> Result<(), Wrong> {
    let mut ids = BTreeSet::new();
    for (index, rule) in config.policy.required_rules.iter().enumerate() {
        let key = format!("policy.required_rules[{index}]");
        let rule = rule.to_rule().map_err(|message| (key.clone(), message))?;
        if !ids.insert(rule.id.clone()) {
            return Err((key, format!("the id `{}` stands twice", rule.id)));
        }
    }
    if let Some(keep) = &config.retention.keep {
        duration_seconds(keep).map_err(|message| ("retention.keep".to_owned(), message))?;
    }
    if let Some(url) = &config.notify.url
        && !url.starts_with("https://")
        && !(url.starts_with("http://") && config.notify.allow_private)
    {
        let message = "expected an `https://` address; `http://` only with `allow_private: true`";
        return Err(("notify.url".to_owned(), message.to_owned()));
    }
    if config.serve.reload_url.as_deref().is_some_and(|url| !is_reload(url)) {
        let message = "expected the address of a service's `/admin/reload`, with `http://` or `https://`, such as \
                       `http://127.0.0.1:8080/admin/reload`";
        return Err(("serve.reload_url".to_owned(), message.to_owned()));
    }
    if config.serve.startup_timeout_seconds.is_some_and(|seconds| !(1..=3600).contains(&seconds)) {
        let message = "expected a whole number of seconds from 1 to 3600";
        return Err(("serve.startup_timeout_seconds".to_owned(), message.to_owned()));
    }
    if config.serve.onnxruntime.as_ref().is_some_and(|path| path.trim().is_empty()) {
        let message = "it is empty; name the file of ONNX Runtime's library, or take the key out";
        return Err(("serve.onnxruntime".to_owned(), message.to_owned()));
    }
    if let Some(space) = &config.deploy.space {
        crate::deploy::check(space)?;
    }
    config.serve.rollout.check()?;
    if config.signing.require_signature && config.signing.public_keys.is_empty() {
        let message = "`require_signature` needs `public_keys`: without one no signature is believed";
        return Err(("signing.public_keys".to_owned(), message.to_owned()));
    }
    Ok(())
}

/// Holds for an address that a service answers with a reload. Another path of it would refuse every promotion's word.
fn is_reload(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.strip_suffix("/admin/reload"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && !host.contains(['?', '#']))
}

fn check_rules(pipeline: &PipelineConfig) -> Result<(), Wrong> {
    let Some(rules) = &pipeline.gate.rules else { return Ok(()) };
    if rules.is_empty() {
        let message =
            "a gate without rules would pass everything; remove the key for the default rules, or add one";
        return Err(("gate.rules".to_owned(), message.to_owned()));
    }
    let mut ids = BTreeSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let key = format!("gate.rules[{index}]");
        let read = rule.to_rule().map_err(|message| (key.clone(), message))?;
        check_metric(&rule.metric, pipeline.task, pipeline.train.quantile())
            .map_err(|message| (format!("{key}.metric"), message))?;
        check_decidable(&read, pipeline.data.contract.is_some())
            .and(check_rounds_of(&read, pipeline.evaluate.rounds))
            .map_err(|message| (key.clone(), message))?;
        if !ids.insert(read.id.clone()) {
            return Err((key, format!("the id `{}` is taken by another rule", read.id)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_would_refuse_later_is_refused_here() {
        let text = "version: 1
project: p
serve: {startup_timeout_seconds: 60}
deploy: {space: {repository: o/name}}
pipelines:
  p:
    task: regression
    data: {source: a.csv, target: y, key: id}
";
        let said =
            |text: &str| crate::parse(text, Path::new("modelgate.yaml")).err().map(|error| error.to_string());
        assert_eq!(said(text), None);
        for (right, wrong, key) in [
            ("seconds: 60", "seconds: 0", "serve.startup_timeout_seconds"),
            ("seconds: 60", "seconds: 3601", "serve.startup_timeout_seconds"),
            ("o/name", "o/na--me.git", "deploy.space.repository"),
            ("key: id", "key: y", "pipelines.p.data.key"),
        ] {
            let told = said(&text.replace(right, wrong)).expect(wrong);
            assert!(told.contains(key), "{told}");
        }
    }

    #[test]
    fn a_required_rule_on_a_figure_of_one_task_is_none_of_the_other() {
        let said = |rule: &str, tasks: &[&str]| {
            let pipelines: String = tasks
                .iter()
                .map(|task| format!("  {task}:\n    task: {task}\n    data: {{source: a.csv, target: y}}\n"))
                .collect();
            let text = format!(
                "version: 1\nproject: p\npolicy: {{required_rules: [{{id: floor, {rule}}}]}}\npipelines:\n{pipelines}"
            );
            crate::parse(&text, Path::new("modelgate.yaml")).err().map(|error| error.to_string())
        };
        let both = ["classification", "regression"];
        for rule in
            ["metric: f1, at_least: 0.1", "metric: r2, at_least: 0.1", "metric: latency.p99_ms, at_most: 9"]
        {
            assert_eq!(said(rule, &both), None, "{rule}");
        }
        // What no pipeline has is a slip.
        let told = said("metric: r2, at_least: 0.1", &["classification"]).expect("refused");
        assert!(told.contains("`r2` is a metric of the task `regression`"), "{told}");
        let told = said("metric: f2, at_least: 0.1", &both).expect("refused");
        assert!(told.contains("there is no metric `f2`"), "{told}");
    }

    #[test]
    fn what_is_kept_of_no_version_chooses_none() {
        let said = |choose: &str| {
            let text = format!(
                "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: a.csv, target: y}}\n    promotion: {{choose: {choose}}}\n"
            );
            crate::parse(&text, Path::new("modelgate.yaml")).err().map(|error| error.to_string())
        };
        for choose in ["candidate", "best_by f1", "best_by top_5_accuracy"] {
            assert_eq!(said(choose), None, "{choose}");
        }
        for metric in ["latency.p99_ms", "contract.errors", "schema", "slices"] {
            let told = said(&format!("best_by {metric}")).expect(metric);
            assert!(told.contains("promotion.choose") && told.contains("is kept of no version"), "{told}");
        }
        assert!(said("best_by rmse").expect("refused").contains("of the task `regression`"));
    }

    #[test]
    fn two_pipelines_of_one_model_are_refused() {
        let pipeline = |name: &str, model: &str| {
            format!("  {name}:\n    task: regression\n    data: {{source: a.csv, target: y}}\n{model}")
        };
        let said = |one: (&str, &str), other: (&str, &str)| {
            let text = format!(
                "version: 1\nproject: p\npipelines:\n{}{}",
                pipeline(one.0, one.1),
                pipeline(other.0, other.1)
            );
            crate::parse(&text, Path::new("modelgate.yaml")).err().map(|error| error.to_string())
        };
        let named = "    model: {name: m}\n";
        assert_eq!(said(("a", named), ("b", "")), None);
        for (one, other, line) in [
            (("a", named), ("b", named), "modelgate.yaml:11"),
            (("m", ""), ("a", named), "modelgate.yaml:10"),
            (("a", named), ("m", ""), "modelgate.yaml:7"),
        ] {
            let told = said(one, other).expect("refused");
            assert!(told.contains("`m` is the model of pipeline"), "{told}");
            assert!(told.contains("model.name") && told.contains(line), "{told}");
        }
    }

    #[test]
    fn the_address_of_a_reload_is_that_of_a_reload() {
        for url in ["http://127.0.0.1:8080/admin/reload", "https://models.example/prefix/admin/reload"] {
            assert!(is_reload(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/",
            "http://127.0.0.1:8080/admin",
            "https://models.example/reload",
            "https://models.example/admin/reload?x=1",
            "https://models.example/?/admin/reload",
            "http:///admin/reload",
            "ftp://models.example/admin/reload",
            "models.example/admin/reload",
        ] {
            assert!(!is_reload(url), "{url}");
        }
    }
}
