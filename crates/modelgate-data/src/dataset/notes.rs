//! What a person should know of the values that types were found by.

use super::{Member, Mixed};
use crate::error::DataError;
use crate::infer::{Evidence, Example, Finding};

/// Returns what a person should know of a column's values.
pub(super) fn notes_on(
    name: &str,
    members: &[Member],
    found: &Evidence,
    mixed: Mixed,
) -> Result<Vec<String>, DataError> {
    let mut notes = Vec::new();
    let file = |example: &Example| members[example.file].file.name.clone();
    let error = |example: &Example, message: String| DataError::Line {
        source_name: file(example),
        line: example.line,
        column: Some(name.to_owned()),
        message,
    };
    if let Some(example) = &found.first_not_utf8 {
        let message = format!("the bytes are not UTF-8: {}; save the file as UTF-8", example.value);
        return Err(error(example, message));
    }
    let (what, first) = match found.finding() {
        Finding::Mixed { numbers, others, first } if numbers >= others => {
            let total = numbers + others;
            let what = format!(
                "{} is not a number, and {numbers} of {total} values of this column are",
                first.value
            );
            if mixed == Mixed::Refuse {
                let message = format!(
                    "{what}; mend the value, name it in `data.nulls` if it means that there is none, declare `data.types: {{{name}: string}}`, or add the column to `preprocess.drop`"
                );
                return Err(error(&first, message));
            }
            (Some(what), Some(first))
        }
        Finding::Mixed { numbers, others, first } => {
            let total = numbers + others;
            let what = format!(
                "{} is a number, and {others} of {total} values of this column are none",
                first.value
            );
            (Some(what), Some(first))
        }
        Finding::NotAllDates { dates, others, first } => {
            let total = dates + others;
            let what =
                format!("{} is not a date, and {dates} of {total} values of this column are", first.value);
            (Some(what), Some(first))
        }
        Finding::Type(_) => (None, None),
    };
    if let (Some(what), Some(first)) = (what, first) {
        notes.push(format!("{}: line {}, column `{name}`: {what}; taken as text", file(&first), first.line));
    }
    if let Some(beyond) = &found.first_beyond {
        notes.push(format!(
            "{}: line {}, column `{name}`: {} is beyond 64 bits, so the column is read as float",
            file(beyond),
            beyond.line,
            beyond.value
        ));
    }
    Ok(notes)
}
