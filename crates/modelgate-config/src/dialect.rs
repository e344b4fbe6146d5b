//! How a text file is written, as far as it is declared: delimiter, quote, what is no value, and column types.

use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::project::{ColumnTypeText, DataConfig};

/// Reads a delimiter: one letter, or nothing.
pub(crate) fn delimiter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<char>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(only), None) => Ok(Some(only)),
        _ => Err(D::Error::custom(cannot_delimit(&text))),
    }
}

/// Reads words that are no value. White space around a value does not count, so it does not count here.
pub(crate) fn nulls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let words = BTreeSet::<String>::deserialize(deserializer)?;
    // As values are: what else is white space, such as a spreadsheet's NBSP, is a word.
    Ok(words.iter().map(|word| word.trim_ascii().to_owned()).collect())
}

fn cannot_delimit(text: &str) -> String {
    format!("`{text}` cannot be a delimiter: expected one ASCII character")
}

/// Checks what of it is declared; returns the key and what is wrong with it.
pub(crate) fn check(data: &DataConfig) -> Result<(), (String, String)> {
    let wrong = |key: &str, message: String| Err((key.to_owned(), message));
    if let Some(delimiter) = data.delimiter
        && (!delimiter.is_ascii() || matches!(delimiter, '"' | '\n' | '\r'))
    {
        return wrong("data.delimiter", cannot_delimit(&delimiter.to_string()));
    }
    for (column, declared) in &data.types {
        if declared.parts().is_none() {
            let message = format!(
                "column `{column}`: `{}` is not a type: expected one of {}, a date or timestamp with its form as \
                 `date:%d.%m.%Y`",
                declared.0,
                ColumnTypeText::NAMES.join(", ")
            );
            return wrong("data.types", message);
        }
    }
    if let Some(quote) = data.quote.as_deref().filter(|quote| *quote != "none") {
        let mut letters = quote.chars();
        let letter = letters.next().filter(char::is_ascii_punctuation);
        if letter.is_none() || letters.next().is_some() {
            let message = format!("`{quote}` cannot be a quote: expected one ASCII character, or `none`");
            return wrong("data.quote", message);
        }
        if letter == data.delimiter {
            let message = format!("`{quote}` is the delimiter too; a value could not be told from two");
            return wrong("data.quote", message);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn refused(data: &str) -> String {
        let text = format!(
            "version: 1\nproject: p\npipelines:\n  a:\n    task: regression\n    data:\n      source: a.csv\n      target: y\n      {data}\n"
        );
        crate::parse(&text, Path::new("modelgate.yaml"))
            .map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn words_for_nothing_are_texts_without_white_space() {
        let text = "version: 1\nproject: p\npipelines:\n  a:\n    task: regression\n    data:\n      source: a.csv\n      target: y\n      nulls: [' ? ', -999, '-9.0', \"\\u00a0\"]\n";
        let project = crate::parse(text, Path::new("modelgate.yaml")).expect("a project");
        assert_eq!(
            project.pipelines["a"].data.nulls.iter().collect::<Vec<_>>(),
            ["-9.0", "-999", "?", "\u{a0}"],
            "to the letter, but for what stands around"
        );
        assert!(
            refused("nulls: '?'").contains("modelgate.yaml:9:14: pipelines.a.data.nulls: expected a list")
        );
    }

    #[test]
    fn what_cannot_part_values_is_refused_in_words() {
        for (data, message) in [
            ("delimiter: '::'", "`::` cannot be a delimiter: expected one ASCII character"),
            ("delimiter: ''", "`` cannot be a delimiter: expected one ASCII character"),
            ("delimiter: é", "`é` cannot be a delimiter: expected one ASCII character"),
            ("delimiter: ','\n      quote: ','", "`,` is the delimiter too"),
            ("quote: ab", "`ab` cannot be a quote: expected one ASCII character, or `none`"),
            ("types: {a: dates}", "column `a`: `dates` is not a type"),
        ] {
            let error = refused(data);
            assert!(error.contains(message) && error.contains("modelgate.yaml"), "{data}: {error}");
        }
        for data in
            ["delimiter: ';'", "delimiter: \"\\t\"\n      quote: none", "delimiter: null", "quote: \"'\""]
        {
            assert_eq!(refused(data), "", "{data}");
        }
    }
}
