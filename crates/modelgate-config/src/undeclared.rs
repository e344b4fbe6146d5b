//! What a project file leaves open that only a person can say: the target and the task.

use serde_json::Value;

/// A pipeline that does not say what it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undeclared {
    /// The pipeline.
    pub pipeline: String,
    /// Whether `task` is missing.
    pub task: bool,
    /// Whether `data.target` is missing.
    pub target: bool,
    /// `data.source`.
    pub source: String,
}

/// Returns the pipelines that lack a task or a target; empty for a text that is not a project file at all.
pub fn undeclared(text: &str) -> Vec<Undeclared> {
    let Ok(file) = serde_saphyr::from_str::<Value>(text) else { return Vec::new() };
    let pipelines = file.get("pipelines").and_then(Value::as_object).into_iter().flatten();
    let missing = pipelines.filter_map(|(name, pipeline)| {
        let data = pipeline.get("data")?;
        let is_missing = |value: Option<&Value>| value.is_none_or(Value::is_null);
        let found = Undeclared {
            pipeline: name.clone(),
            task: is_missing(pipeline.get("task")),
            target: is_missing(data.get("target")),
            source: data.get("source")?.as_str()?.to_owned(),
        };
        (found.task || found.target).then_some(found)
    });
    missing.collect()
}

/// The target of a pipeline that does not declare one, for who does not need it.
pub const UNDECLARED: &str = "(not declared)";

/// Returns the project file with `task` and [`UNDECLARED`] where a pipeline declares none; `None` when all do.
pub(crate) fn filled_in(text: &str, task: &str) -> Option<String> {
    let missing = undeclared(text);
    let mut file = serde_saphyr::from_str::<Value>(text).ok().filter(|_| !missing.is_empty())?;
    for open in missing {
        let pipeline = file.get_mut("pipelines")?.get_mut(&open.pipeline)?;
        if open.task {
            pipeline.as_object_mut()?.insert("task".to_owned(), task.into());
        }
        if open.target {
            pipeline.get_mut("data")?.as_object_mut()?.insert("target".to_owned(), UNDECLARED.into());
        }
    }
    // JSON is YAML.
    Some(file.to_string())
}

/// Returns the text with a task, a target or both written into a pipeline; comments, order and line ends stay.
///
/// `None` when the place cannot be found, as in a file in flow style throughout, or when the text would not say just that.
pub fn declare(text: &str, pipeline: &str, task: Option<&str>, target: Option<&str>) -> Option<String> {
    let written = write(text, pipeline, task, target)?;
    let mut expected = serde_saphyr::from_str::<Value>(text).ok()?;
    let found = expected.get_mut("pipelines")?.get_mut(pipeline)?;
    if let Some(task) = task {
        found.as_object_mut()?.insert("task".to_owned(), task.into());
    }
    if let Some(target) = target {
        found.get_mut("data")?.as_object_mut()?.insert("target".to_owned(), target.into());
    }
    // A place that only looks like the right one is found out by what the file says afterwards.
    (serde_saphyr::from_str::<Value>(&written).ok()? == expected).then_some(written)
}

fn write(text: &str, pipeline: &str, task: Option<&str>, target: Option<&str>) -> Option<String> {
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let content = |line: &str| line.trim().split(" #").next().unwrap_or_default().trim_end().to_owned();
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let top = lines.iter().position(|line| content(line) == "pipelines:" && indent(line) == 0)?;
    // The keys of a mapping stand as deep as its first one.
    let depth_below = |lines: &[String], at: usize| {
        let first = lines[at + 1..].iter().find(|line| !is_blank(line))?;
        (indent(first) > indent(&lines[at])).then(|| indent(first))
    };
    let depth = depth_below(&lines, top)?;
    let names = [format!("{pipeline}:"), format!("\"{pipeline}\":"), format!("'{pipeline}':")];
    let is_named = |line: &String| indent(line) == depth && names.contains(&content(line));
    let start = top + 1 + lines[top + 1..].iter().position(is_named)?;
    let inner = depth_below(&lines, start)?;
    let end_of = |lines: &[String], at: usize| {
        let ends = |line: &String| !is_blank(line) && indent(line) <= indent(&lines[at]);
        lines[at + 1..].iter().position(ends).map_or(lines.len(), |end| at + 1 + end)
    };
    // A key that is there without a value is filled in, not written twice.
    let fill = |lines: &mut Vec<String>, key: &str, value: &str, at: usize, depth: usize| {
        let empty = [format!("{key}:"), format!("{key}: null"), format!("{key}: ~")];
        let end = end_of(lines, at);
        let is_empty = |line: &String| indent(line) == depth && empty.contains(&content(line));
        let place = lines[at + 1..end].iter().position(is_empty);
        let line = format!("{}{key}: {value}", " ".repeat(depth));
        match place {
            Some(place) => lines[at + 1 + place] = line,
            None => lines.insert(at + 1, line),
        }
    };
    if let Some(target) = target {
        let target = serde_json::to_string(target).ok()?;
        let end = end_of(&lines, start);
        let is_data = |line: &String| indent(line) == inner && content(line).starts_with("data:");
        let data = start + 1 + lines[start + 1..end].iter().position(is_data)?;
        let behind = content(&lines[data]);
        let behind = behind.strip_prefix("data:")?.trim().to_owned();
        if let Some(flow) = behind.strip_prefix('{') {
            lines[data] = format!("{}data: {{target: {target}, {flow}", " ".repeat(inner));
        } else if behind.is_empty() {
            let depth = depth_below(&lines, data)?;
            fill(&mut lines, "target", &target, data, depth);
        } else {
            return None;
        }
    }
    if let Some(task) = task {
        fill(&mut lines, "task", task, start, inner);
    }
    Some(lines.join(line_end) + line_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "version: 1\nproject: p   # mine\npipelines:\n  a:   # first\n    data:\n      # rows\n      source: x.csv\n  b:\n    task: regression\n    data: {source: y.csv}\n";

    #[test]
    fn what_is_not_declared_is_left_open_for_who_does_not_need_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("modelgate.yaml");
        let load = |text: &str| {
            fs_err::write(&path, text).expect("written");
            crate::load_open(&path, &|_| None)
        };
        let found = load(BLOCK).expect("loaded").config;
        assert!(found.pipelines.values().any(|pipeline| pipeline.data.target == UNDECLARED));
        let rule = "version: 1\nproject: p\npipelines:\n  p:\n    data: {source: d.csv}\n    gate: {rules: [{metric: r2, at_least: 0}]}\n";
        assert!(load(rule).is_ok());
        // What else is wrong is told as ever.
        let wrong = rule.replace("gate:", "gaet:");
        let error = load(&wrong).expect_err("refused").to_string();
        assert_eq!(error, crate::load(&path, &|_| None).expect_err("refused").to_string());
    }

    #[test]
    fn what_is_missing_is_found_and_written_where_it_belongs() {
        let found = undeclared(BLOCK);
        assert_eq!(found.len(), 2);
        assert!(found[0].task && found[0].target && found[0].source == "x.csv");
        assert!(!found[1].task && found[1].target);
        let text = declare(BLOCK, "a", Some("classification"), Some("y: 1")).expect("written");
        let text = declare(&text, "b", None, Some("z")).expect("written");
        assert_eq!(undeclared(&text), []);
        assert!(
            text.contains("# mine") && text.contains("# rows") && text.contains("target: \"y: 1\""),
            "{text}"
        );
        let config = crate::parse(&text, std::path::Path::new("modelgate.yaml")).expect("a configuration");
        assert_eq!(config.pipelines["a"].data.target, "y: 1");
        assert_eq!(config.pipelines["b"].data.target, "z");
    }

    #[test]
    fn a_pipeline_whose_name_is_a_key_elsewhere_is_found_and_line_ends_stay() {
        let text = "version: 1\nproject: p\npipelines:\n  first:\n    task: regression\n    data:\n      source: x.csv\n      target: y\n    \
                    train:\n      params: {n_estimators: 5}\n  data:\n    train:\n      algorithm: random_forest\n    data:\n      source: z.csv\n  \
                    train:\n    data:\n      source: z.csv\n";
        for text in [text.to_owned(), text.replace('\n', "\r\n")] {
            let written = declare(&text, "data", Some("classification"), Some("k")).expect("written");
            let written = declare(&written, "train", Some("regression"), Some("l")).expect("written");
            assert_eq!(written.contains('\r'), text.contains('\r'));
            assert_eq!(written.matches("\r\n").count(), written.matches('\r').count());
            let config =
                crate::parse(&written, std::path::Path::new("modelgate.yaml")).expect("a configuration");
            let targets = ["first", "data", "train"].map(|name| config.pipelines[name].data.target.as_str());
            assert_eq!(targets, ["y", "k", "l"]);
        }
    }

    #[test]
    fn a_pipeline_that_has_no_lines_of_its_own_is_left_alone() {
        let copy = "pipelines:\n  a: &a\n    data:\n      source: x.csv\n  b: *a\n";
        assert_eq!(declare(copy, "b", Some("regression"), None), None);
    }

    #[test]
    fn a_key_without_a_value_is_filled_in_and_flow_style_is_left_alone() {
        let text = "version: 1\nproject: p\npipelines:\n  a:\n    task:\n    data:\n      target: null\n      source: x.csv\n";
        let text = declare(text, "a", Some("regression"), Some("y")).expect("written");
        assert_eq!(text.matches("task:").count(), 1);
        assert_eq!(text.matches("target:").count(), 1);
        assert_eq!(declare("pipelines: {a: {data: {source: x}}}\n", "a", Some("regression"), None), None);
        assert_eq!(undeclared("- not\n- this\n"), []);
    }
}
