//! On which line of a file something stands that is said, for annotations beside it. Lines are counted from 1.

/// How far a line is indented; `None` for one that holds nothing, or a comment alone.
fn indent(line: &str) -> Option<usize> {
    let text = line.trim_start_matches(' ');
    (!text.trim().is_empty() && !text.starts_with('#')).then(|| line.len() - text.len())
}

/// Returns whether a line begins with the key `key`, quoted or not.
fn has_key(line: &str, key: &str) -> bool {
    let line = line.trim_start().trim_start_matches("- ").trim_start_matches(['"', '\'']);
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
}

/// Returns the line of `key` among the lines from `from` to `to`, and where its block ends.
fn block(lines: &[&str], key: &str, from: usize, to: usize) -> Option<(usize, usize)> {
    let outer = lines.get(from..to)?.iter().find_map(|line| indent(line))?;
    let at = (from..to).find(|at| indent(lines[*at]) == Some(outer) && has_key(lines[*at], key))?;
    // Items of a list may stand as far to the left as their key.
    let ends = |line: &str| {
        indent(line).is_some_and(|own| own < outer || own == outer && !line.trim_start().starts_with("- "))
    };
    let end = (at + 1..to).find(|at| ends(lines[*at])).unwrap_or(to);
    Some((at, end))
}

/// Returns the line of the rule `id` of a pipeline's gate, which is number `number` of its rules: by its `id`, else by its
/// place in the list, else the gate's, else the pipeline's.
pub(super) fn of_rule(text: &str, pipeline: &str, id: &str, number: Option<usize>) -> u64 {
    let lines: Vec<&str> = text.lines().collect();
    let line = |at: usize| at as u64 + 1;
    let Some((at, end)) = block(&lines, "pipelines", 0, lines.len()) else { return 1 };
    let Some((own, end)) = block(&lines, pipeline, at + 1, end) else { return line(at) };
    let Some((gate, end)) = block(&lines, "gate", own + 1, end) else { return line(own) };
    let is_its = |text: &str| {
        let Some((_, rest)) = text.split_once("id:") else { return false };
        let rest = rest.trim_start().trim_start_matches(['"', '\'']);
        rest.strip_prefix(id).is_some_and(|rest| {
            !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-')
        })
    };
    if let Some(at) = (gate..end).find(|at| is_its(lines[*at])) {
        return line(at);
    }
    let rules = block(&lines, "rules", gate + 1, end);
    let items = rules.map_or_else(Vec::new, |(rules, end)| {
        let first = (rules + 1..end).find_map(|at| indent(lines[at]));
        let is_item = |at: &usize| indent(lines[*at]) == first && lines[*at].trim_start().starts_with('-');
        (rules + 1..end).filter(is_item).collect()
    });
    line(number.and_then(|number| items.get(number).copied()).unwrap_or(gate))
}

/// Returns the line of what the rule `id` of a contract is about: a rule is named by its column first, as the contract has
/// it.
pub(super) fn of_column(text: &str, id: &str) -> u64 {
    let column = id.split('.').next().unwrap_or(id);
    let lines: Vec<&str> = text.lines().collect();
    let columns = block(&lines, "columns", 0, lines.len());
    let within = columns.and_then(|(at, end)| block(&lines, column, at + 1, end)).map(|(at, _)| at);
    let found = within.or_else(|| lines.iter().position(|line| has_key(line, column)));
    found.map_or(1, |at| at as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "version: 1\nproject: p\npipelines:\n  a:\n    data: {source: a.csv}\n    gate:\n      rules:\n        \
                       - {metric: f1, at_least: 0.5}\n  b:\n    data: {source: b.csv}\n    gate:\n      rules:\n        \
                       - metric: accuracy\n          at_least: 0.9\n        # not this one\n        \
                       - {id: floor, metric: f1, at_least: 0.5}\n        - {metric: schema, versus: production}\n  c:\n    \
                       gate: {rules: [{metric: f1, at_least: 0.1}]}\n  d:\n    task: classification\n";

    #[test]
    fn a_rule_is_found_in_its_own_pipeline_by_id_or_by_its_place() {
        let at = |pipeline: &str, id: &str, number| of_rule(TWO, pipeline, id, number);
        assert_eq!(at("a", "f1-at-least", Some(0)), 8);
        assert_eq!((at("b", "accuracy-at-least", Some(0)), at("b", "floor", Some(1))), (13, 16));
        assert_eq!(at("b", "schema-versus-production", Some(2)), 17);
        // Where the list stands in one line, and where there is none, what is around it.
        assert_eq!((at("c", "f1-at-least", Some(0)), at("d", "no-regression", None)), (19, 20));
        assert_eq!(at("b", "something-else", None), 11);
    }

    #[test]
    fn items_of_a_list_may_stand_below_their_key() {
        let text = "pipelines:\n  a:\n    gate:\n      rules:\n      - {metric: f1, at_least: 0.5}\n      - {metric: f1, at_most: 1}\n";
        assert_eq!(of_rule(text, "a", "x", Some(1)), 6);
    }

    #[test]
    fn a_column_is_found_among_the_columns() {
        let text = "version: 1\nname: churn\ncolumns:\n  name: {type: text}\n  \"version\": {type: int}\nrules: []\n";
        assert_eq!((of_column(text, "name.pattern"), of_column(text, "version")), (4, 5));
        assert_eq!((of_column(text, "rules"), of_column(text, "gone")), (6, 1));
    }
}
