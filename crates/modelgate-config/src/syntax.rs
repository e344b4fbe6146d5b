//! What is no YAML, told with the line as it stands and what it is most often about.

/// Longer lines are not shown: the caret would be far from what is seen.
const SHOWN: usize = 160;

/// Returns where it is and what it is: the reader's sentence, what to look at, and the line with a mark below the place.
pub(crate) fn told(said: &str, text: &str, (line, column): (u64, u64)) -> (u64, u64, String) {
    let is_about = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if is_about(&["tab"])
        && let Some((line, column)) = first_tab(text)
    {
        let message = "a tab stands in the indentation; YAML takes spaces alone";
        return (line, column, format!("{message}{}", shown(text, line, column)));
    }
    let hint = if is_about(&["quoted scalar"]) {
        "; does each quote have its end?"
    } else if is_about(&["bracket", "flow", "placement of ':'"]) {
        "; does each `{` and `[` have its `}` and `]`?"
    } else {
        "; is it indented like its neighbours, and does each key end with `: `?"
    };
    (line, column, format!("{said}{hint}{}", shown(text, line, column)))
}

/// Returns where a tab first stands before what a line says.
fn first_tab(text: &str) -> Option<(u64, u64)> {
    let mut lines = text.lines().enumerate();
    lines.find_map(|(at, line)| {
        let blank = line.len() - line.trim_start().len();
        let tab =
            line[..blank].find('\t').filter(|_| !line.trim_start().starts_with('#') && blank < line.len())?;
        Some((at as u64 + 1, tab as u64 + 1))
    })
}

/// Returns a line of the text with a mark below a column; nothing of a line that is too long.
fn shown(text: &str, line: u64, column: u64) -> String {
    let found = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
    let Some(found) = found.filter(|found| !found.trim().is_empty() && found.chars().count() <= SHOWN) else {
        return String::new();
    };
    let number = line.to_string();
    let (margin, before) = (" ".repeat(number.len()), (column.max(1) - 1) as usize);
    // A tab is a blank here: the mark stands where it is seen.
    let found = found.replace('\t', " ");
    format!("\n  {number} | {found}\n  {margin} | {}^", " ".repeat(before.min(SHOWN)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::load::parse;

    #[test]
    fn what_is_no_yaml_is_shown_with_its_line_and_what_to_look_at() {
        let text = "version: 1\nproject: a\npipelines:\n  a:\n    task: regression\n    data:\n      source: d.csv\n      target: y\n";
        for (more, told) in [
            (
                "     split: {}\n",
                "modelgate.yaml:9:6: while parsing a block mapping, did not find expected key; is it indented like its \
                 neighbours, and does each key end with `: `?\n  9 |      split: {}\n    |      ^",
            ),
            (
                "    train:\n      algorithm: ridge\n\tparams: {}\n",
                "modelgate.yaml:11:1: a tab stands in the indentation; YAML takes spaces alone\n  11 |  params: {}\n     | ^",
            ),
            (
                "    gate:\n      rules:\n        - {metric: f1, at_least: 0.9\n",
                "unclosed bracket '{'; does each `{` and `[` have its `}` and `]`?\n  11 |         - {metric: f1, at_least: 0.9\n     |           ^",
            ),
        ] {
            let error =
                parse(&format!("{text}{more}"), Path::new("modelgate.yaml")).expect_err(more).to_string();
            assert!(error.contains(told), "{error}");
        }
        for (key, meant) in [("min", "at_least"), ("max", "at_most")] {
            let rule = format!("    gate: {{rules: [{{metric: f1, {key}: 0.9}}]}}\n");
            let error =
                parse(&format!("{text}{rule}"), Path::new("modelgate.yaml")).expect_err(key).to_string();
            assert!(error.contains(&format!("did you mean `{meant}`?")), "{error}");
        }
    }
}
