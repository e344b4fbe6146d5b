//! The placeholders of `train.command`, such as `{train}`, and how a value stands in a line of the shell.

/// The names that there are.
const NAMES: [&str; 8] = ["train", "validation", "output", "seed", "target", "key", "features", "params"];

/// Returns a command with each placeholder's value as one word of the shell. What stands in a value is no placeholder: a
/// column may be called `{params}`.
pub(super) fn filled(command: &str, values: &[(&str, String)]) -> String {
    let mut line = String::with_capacity(command.len());
    let mut rest = command;
    while let Some(at) = rest.find('{') {
        let (before, behind) = rest.split_at(at);
        line.push_str(before);
        let found = values.iter().find_map(|(name, value)| {
            let rest = behind[1..].strip_prefix(name)?.strip_prefix('}')?;
            Some((value, rest))
        });
        rest = if let Some((value, behind)) = found {
            line.push_str(&quoted(value));
            behind
        } else {
            line.push('{');
            &behind[1..]
        };
    }
    line + rest
}

/// Says of words that look like placeholders and are none: the shell gets them as they are.
pub(super) fn doubts(command: &str) -> Vec<String> {
    let words = command.split(|letter: char| letter.is_whitespace() || "=;".contains(letter));
    let unknown = words.filter_map(|word| word.trim_matches('"').strip_prefix('{')?.strip_suffix('}'));
    let unknown = unknown.filter(|name| {
        !name.is_empty()
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            && !NAMES.contains(name)
    });
    let there = NAMES.map(|name| format!("{{{name}}}")).join(", ");
    unknown
        .map(|name| {
            let note = if name == "test" { "; the test rows are not given to a program" } else { "" };
            format!(
                "`{{{name}}}` in train.command is no placeholder and stays as it is{note}; there are {there}"
            )
        })
        .collect()
}

/// Returns a value as one word of the shell.
pub(super) fn quoted(value: &str) -> String {
    if cfg!(windows) { quoted_for_cmd(value) } else { format!("'{}'", value.replace('\'', "'\\''")) }
}

/// Two quotation marks are one in the word that a program gets, and leave the shell inside the quotation; backslashes before
/// one count twice.
fn quoted_for_cmd(value: &str) -> String {
    let mut word = String::from("\"");
    let mut backslashes = 0;
    for letter in value.chars() {
        if letter == '"' {
            word.push_str(&"\\".repeat(backslashes));
            word.push('"');
        }
        backslashes = if letter == '\\' { backslashes + 1 } else { 0 };
        word.push(letter);
    }
    word + &"\\".repeat(backslashes) + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_word_of_the_shell() {
        assert_eq!(quoted("it's"), if cfg!(windows) { "\"it's\"" } else { "'it'\\''s'" });
        assert_eq!(quoted_for_cmd("{\"a\": 1}"), "\"{\"\"a\"\": 1}\"");
        assert_eq!(quoted_for_cmd("C:\\rows\\"), "\"C:\\rows\\\\\"");
        assert_eq!(quoted_for_cmd("a\\\"b"), "\"a\\\\\"\"b\"");
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_stays_a_value() {
        let values = [("features", "[\"{params}\"]".to_owned()), ("params", "{\"a\":\"; rm x\"}".to_owned())];
        let line = filled("fit {features} ${HOME} {params}{ {x} é", &values);
        let (features, params) = (quoted(&values[0].1), quoted(&values[1].1));
        assert_eq!(line, format!("fit {features} ${{HOME}} {params}{{ {{x}} é"));
    }

    #[test]
    fn a_misspelt_placeholder_is_told_and_what_is_the_shells_is_not() {
        let told = doubts("fit {train} --test {test} --out={ouput} ${HOME} x; awk '{print}' {} {a,b}");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("`{test}`") && told[0].contains("the test rows are not given"), "{told:?}");
        assert!(told[1].contains("`{ouput}`") && told[1].contains("{output}"), "{told:?}");
    }
}
