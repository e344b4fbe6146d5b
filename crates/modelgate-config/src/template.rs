//! The commented project file that `modelgate init` writes.

use modelgate_core::algorithm;
use modelgate_core::schema::Task;

use crate::project::TaskKind;
use crate::rules::default_rule_lines;

/// Returns a first project file; every key that can be left out is shown with its default.
pub fn template(project: &str, source: &str, target: &str, task: TaskKind) -> String {
    let known: Vec<&str> = algorithm::names_for(Task::from(task)).collect();
    let train = format!(
        "      algorithm: random_forest         # {}
      params: {{n_estimators: 100}}",
        known.join(" | ")
    );
    let preprocess = "
      missing: median                  # none | mean | median | most_frequent
      scale: none                      # none | standard
      encode: onehot                   # onehot | ordinal
      unknown_category: ignore         # ignore | error";
    written(project, source, target, task, (preprocess, &train))
}

/// Returns a first project file whose model is trained by a program of the user's.
pub fn command_template(project: &str, source: &str, target: &str, task: TaskKind) -> String {
    let train =
        "      # Any program: it reads {train} and {validation}, and leaves an ONNX graph at {output}.
      command: \"python3 train.py {train} {output} --seed {seed}\"
      params: {n_estimators: 100}      # in $MODELGATE_PARAMS as JSON
      timeout_seconds: 3600";
    // The program gets the rows as they are.
    written(project, source, target, task, ("", train))
}

fn written(
    project: &str,
    source: &str,
    target: &str,
    task: TaskKind,
    (preprocess, train): (&str, &str),
) -> String {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    // A folder may be called `null`, or by a number.
    let is_plain = serde_saphyr::from_str::<serde_json::Value>(project).is_ok_and(|read| read == project);
    let project = if is_plain { project.to_owned() } else { quote(project) };
    let (name, bound) = match task {
        TaskKind::Regression => ("regression", "{metric: r2, at_least: 0.5}"),
        TaskKind::Classification => ("classification", BOUND),
    };
    let mut rules = String::new();
    for (rule, comment) in std::iter::once(&(bound, "yours to set")).chain(default_rule_lines(task)) {
        let line = if comment.is_empty() { (*rule).to_owned() } else { format!("{rule:<60} # {comment}") };
        rules.push_str(&format!("        - {line}\n"));
    }
    format!(
        "# The project file of modelgate. `modelgate config show` prints it with every default,
# `modelgate config schema` a JSON schema for your editor.
version: 1
project: {project}
registry: {{uri: null}}                  # null = .modelgate/; git+branch:modelgate shares versions between clones
pipelines:
  {project}:
    task: {name}
    seed: 42
    data:
      source: {source}
      target: {target}
      # key: id                        # row identity; by default the row's content
      # types: {{zipcode: string}}       # where what is inferred is wrong
      split: {{train: 0.7, validation: 0.15, test: 0.15, stratify: true}}
    preprocess:{preprocess}
      drop: []                         # columns to leave out, such as identifiers
    train:
{train}
    evaluate: {{average: weighted, slices: []}}      # slices: columns whose groups get figures of their own
    gate:
      on: validation
      rules:
{rules}    promotion: {{approval: required, manual: allowed}}
",
        source = quote(source),
        target = quote(target),
    )
}

/// Returns a first project file whose bound sees a rare class, with the reason above it: a model that always answers the frequent
/// one would keep that on accuracy.
pub fn with_rare_class(text: &str, reason: &str) -> String {
    let bound = format!("        - {BOUND}");
    let line = |line: &str| match line.strip_prefix(&bound) {
        Some(rest) => {
            let rest = rest.trim_start();
            let rule = "{metric: balanced_accuracy, at_least: 0.60}";
            format!("        # Not accuracy: {reason}.\n        - {rule:<60} {rest}\n")
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The bound of a first project file for classes.
const BOUND: &str = "{metric: accuracy, at_least: 0.80}";

/// Returns a first project file whose rule on slices is a comment, with the reason above it.
pub fn without_slices(text: &str, reason: &str) -> String {
    let line = |line: &str| match line.strip_prefix("        - {metric: slices, ") {
        Some(rest) => format!("        # With more rows: {reason}.\n        # - {{metric: slices, {rest}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_names_the_algorithms_of_its_task_and_the_schema_all() {
        for (kind, task) in
            [(TaskKind::Classification, Task::Classification), (TaskKind::Regression, Task::Regression)]
        {
            let text = template("p", "data.csv", "y", kind);
            let line = text.lines().find(|line| line.contains("algorithm: ")).expect("a line");
            let (_, comment) = line.split_once("# ").expect("a comment");
            assert!(comment.split(" | ").eq(algorithm::names_for(task)), "{line}");
        }
        let schema = crate::json_schema();
        for name in algorithm::names() {
            assert!(schema.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn a_name_that_reads_as_something_else_is_quoted() {
        for (name, line) in
            [("null", "project: \"null\"\n"), ("1e5", "project: \"1e5\"\n"), ("churn", "project: churn\n")]
        {
            for text in [
                template(name, "data.csv", "y", TaskKind::Regression),
                command_template(name, "data.csv", "y", TaskKind::Regression),
            ] {
                assert!(text.contains(line), "{text}");
                let config = crate::parse(&text, std::path::Path::new("modelgate.yaml")).expect("valid");
                assert_eq!((config.project.as_str(), config.pipelines.contains_key(name)), (name, true));
            }
        }
    }

    #[test]
    fn the_template_of_a_program_has_no_setting_without_effect() {
        let text = command_template("p", "data.csv", "y", TaskKind::Regression);
        assert!(text.contains("    preprocess:\n      drop: []") && !text.contains("encode:"), "{text}");
    }

    #[test]
    fn where_a_class_is_rare_the_bound_is_one_that_sees_it() {
        let text = template("p", "data.csv", "y", TaskKind::Classification);
        let rare = with_rare_class(&text, "95% of the rows are `no`");
        assert!(rare.contains(
            "        # Not accuracy: 95% of the rows are `no`.\n        - {metric: balanced_accuracy,"
        ));
        assert!(rare.contains("# yours to set"), "{rare}");
        let rules = |text: &str| {
            let config = crate::parse(text, std::path::Path::new("modelgate.yaml")).expect("valid");
            let rules = config.pipelines["p"].gate.rules.clone().expect("rules");
            rules.into_iter().map(|rule| rule.metric).collect::<Vec<_>>()
        };
        assert_eq!(rules(&text)[0], "accuracy");
        assert_eq!((rules(&rare)[0].as_str(), &rules(&rare)[1..]), ("balanced_accuracy", &rules(&text)[1..]));
        let numbers = template("p", "data.csv", "y", TaskKind::Regression);
        assert_eq!(with_rare_class(&numbers, "x"), numbers);
    }

    #[test]
    fn a_rule_that_could_judge_nothing_is_a_comment_with_the_reason() {
        for (kind, left) in [(TaskKind::Classification, 4), (TaskKind::Regression, 3)] {
            let text = template("p", "data.csv", "y", kind);
            let without = without_slices(&text, "there are 9 rows");
            assert!(without.contains(
                "        # With more rows: there are 9 rows.\n        # - {metric: slices, versus: production, equals: not_worse}"
            ));
            let config = crate::parse(&without, std::path::Path::new("modelgate.yaml")).expect("valid");
            let rules = config.pipelines["p"].gate.rules.clone().expect("rules");
            assert_eq!(rules.len(), left);
            assert!(rules.iter().all(|rule| rule.metric != "slices"));
            // Who takes the marks of a comment away has the rule again.
            assert!(without.replace("# - {", "- {").contains("        - {metric: slices, "));
        }
    }
}
