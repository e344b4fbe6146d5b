//! What a person should know of the values that types were found by.
//!
//! A note is kept and travels, into reports and logs: it says where, and nothing that stands in a row.

use super::{Member, Mixed};
use crate::error::{DataError, OR_DROP, at_line};
use crate::infer::{Evidence, Example, Finding};
use crate::preprocess::Written;

/// Returns what a person should know of a column's values.
pub(super) fn notes_on(
    name: &str,
    members: &[Member],
    found: &Evidence,
    mixed: Mixed,
) -> Result<Vec<String>, DataError> {
    let mut notes = Vec::new();
    let place = |example: &Example| at_line(&members[example.file].file.name, example.line, name);
    let error = |example: &Example, before: &str, after: String| DataError::Value {
        place: place(example),
        before: before.to_owned(),
        value: example.value.clone(),
        after,
    };
    if let Some(example) = &found.first_not_utf8 {
        let after = " are not UTF-8; save the file as UTF-8".to_owned();
        return Err(error(example, "the bytes of ", after));
    }
    let found_mixed = match found.finding() {
        Finding::Mixed { numbers, others, first } if numbers >= others => {
            let total = numbers + others;
            let what = format!(" is not a number, and {numbers} of {total} values of this column are");
            if mixed == Mixed::Refuse {
                // A letter behind one number, as in `12a`, may be anything.
                let written = Written::of(&[first.value.trim_matches('`')])
                    .filter(Written::is_sure)
                    .map_or_else(String::new, |written| {
                        format!("; it looks like a number with {written}: {}", written.advice())
                    });
                let advice = format!(
                    "mend the value, name it in `data.nulls` if it means that there is none, declare `data.types: {{{name}: string}}`{OR_DROP}"
                );
                return Err(error(&first, "", format!("{what}{written}; {advice}")));
            }
            Some((what, first))
        }
        Finding::Mixed { numbers, others, first } => {
            let total = numbers + others;
            Some((format!(" is a number, and {others} of {total} values of this column are none"), first))
        }
        Finding::NotAllDates { dates, others, first } => {
            let total = dates + others;
            Some((format!(" is not a date, and {dates} of {total} values of this column are"), first))
        }
        Finding::Type(_) => None,
    };
    if let Some((what, first)) = found_mixed {
        notes.push(format!("{}: its value{what}; taken as text", place(&first)));
    }
    if mixed == Mixed::Exactly {
        return Ok(notes);
    }
    if let Some(zero) = found.leading_zero() {
        notes.push(format!(
            "{}: its value has leading zeros, which are lost as a number: `data.types: {{{name}: string}}` keeps them, and `int` \
             says that they mean nothing",
            place(zero)
        ));
    }
    if let Some(beyond) = &found.first_beyond {
        notes.push(format!("{}: its value is beyond 64 bits, so the column is read as float", place(beyond)));
    }
    Ok(notes)
}
