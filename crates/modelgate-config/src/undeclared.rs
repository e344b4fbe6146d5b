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

/// Returns the text with a task, a target or both written into a pipeline; comments and order stay.
///
/// `None` when the place cannot be found, as in a file in flow style throughout.
pub fn declare(text: &str, pipeline: &str, task: Option<&str>, target: Option<&str>) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let content = |line: &str| line.trim().split(" #").next().unwrap_or_default().trim_end().to_owned();
    let top = lines.iter().position(|line| content(line) == "pipelines:" && indent(line) == 0)?;
    let names = [format!("{pipeline}:"), format!("\"{pipeline}\":"), format!("'{pipeline}':")];
    let start = (top + 1..lines.len()).find(|at| names.contains(&content(&lines[*at])))?;
    let depth = indent(&lines[start]);
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let inside = |at: usize, lines: &[String]| is_blank(&lines[at]) || indent(&lines[at]) > depth;
    let end = (start + 1..lines.len()).find(|at| !inside(*at, &lines)).unwrap_or(lines.len());
    // A key that is there without a value is filled in, not written twice.
    let fill = |lines: &mut Vec<String>, key: &str, value: &str, from: usize, to: usize| {
        let empty = [format!("{key}:"), format!("{key}: null"), format!("{key}: ~")];
        let at = (from..to).find(|at| empty.contains(&content(&lines[*at])))?;
        let before = indent(&lines[at]);
        lines[at] = format!("{}{key}: {value}", " ".repeat(before));
        Some(())
    };
    if let Some(target) = target {
        let target = serde_json::to_string(target).ok()?;
        let data = (start + 1..end).find(|at| content(&lines[*at]).starts_with("data:"))?;
        let behind = content(&lines[data]);
        let behind = behind.strip_prefix("data:")?.trim().to_owned();
        if let Some(flow) = behind.strip_prefix('{') {
            lines[data] = format!("{}data: {{target: {target}, {flow}", " ".repeat(indent(&lines[data])));
        } else if behind.is_empty() {
            let data_depth = indent(&lines[data]);
            let data_end = (data + 1..end)
                .find(|at| !is_blank(&lines[*at]) && indent(&lines[*at]) <= data_depth)
                .unwrap_or(end);
            let deeper =
                lines[data + 1..data_end].iter().find(|line| !is_blank(line)).map(|line| indent(line))?;
            if fill(&mut lines, "target", &target, data + 1, data_end).is_none() {
                lines.insert(data + 1, format!("{}target: {target}", " ".repeat(deeper)));
            }
        } else {
            return None;
        }
    }
    if let Some(task) = task {
        let deeper = lines[start + 1..].iter().find(|line| !is_blank(line)).map(|line| indent(line))?;
        if fill(&mut lines, "task", task, start + 1, end).is_none() {
            lines.insert(start + 1, format!("{}task: {task}", " ".repeat(deeper)));
        }
    }
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "version: 1\nproject: p   # mine\npipelines:\n  a:   # first\n    data:\n      # rows\n      source: x.csv\n  b:\n    task: regression\n    data: {source: y.csv}\n";

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
    fn a_key_without_a_value_is_filled_in_and_flow_style_is_left_alone() {
        let text = "version: 1\nproject: p\npipelines:\n  a:\n    task:\n    data:\n      target: null\n      source: x.csv\n";
        let text = declare(text, "a", Some("regression"), Some("y")).expect("written");
        assert_eq!(text.matches("task:").count(), 1);
        assert_eq!(text.matches("target:").count(), 1);
        assert_eq!(declare("pipelines: {a: {data: {source: x}}}\n", "a", Some("regression"), None), None);
        assert_eq!(undeclared("- not\n- this\n"), []);
    }
}
