//! One JSON line for each answered row.

use std::sync::Arc;

use modelgate_core::schema::FeatureType;
use modelgate_model::{InputColumn, Prediction};

use super::trace::Context;
use crate::answer;
use crate::served::ServedModel;

/// An answer, as the log sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) model: &'a Arc<ServedModel>,
    pub(crate) columns: &'a [InputColumn],
    pub(crate) prediction: &'a Prediction,
    pub(crate) correlation_id: &'a str,
    pub(crate) trace: Option<Context>,
    pub(crate) time: jiff::Timestamp,
}

impl Answered<'_> {
    pub(crate) fn rows(&self) -> usize {
        self.columns.first().map_or(0, InputColumn::len)
    }
}

/// Writes times, each second's beginning once.
#[derive(Default)]
pub(crate) struct Clock {
    second: i64,
    begins: String,
}

impl Clock {
    /// Appends RFC 3339 in UTC with microseconds.
    fn push(&mut self, text: &mut String, time: jiff::Timestamp) {
        let second = time.as_second();
        if second != self.second || self.begins.is_empty() {
            self.second = second;
            self.begins = time.strftime("%Y-%m-%dT%H:%M:%S.").to_string();
        }
        text.push_str(&self.begins);
        let micros = time.subsec_microsecond();
        for place in [100_000, 10_000, 1000, 100, 10, 1] {
            text.push(char::from(b'0' + (micros / place % 10) as u8));
        }
        text.push('Z');
    }
}

/// Appends the lines of an answer; values of the features in `redact` are not written.
pub(crate) fn push(text: &mut String, clock: &mut Clock, answered: &Answered<'_>, redact: &[String]) {
    let Answered { model, columns, prediction, correlation_id, trace, time } = *answered;
    for row in 0..answered.rows() {
        text.push_str("{\"time\":\"");
        clock.push(text, time);
        text.push('"');
        text.push_str(&model.identity);
        text.push_str(",\"track\":\"");
        text.push_str(model.track.name());
        text.push('"');
        text.push_str(",\"correlation_id\":");
        answer::push_text(text, correlation_id);
        if let Some(trace) = trace {
            trace.push(text);
        }
        text.push_str(",\"row\":");
        answer::push_whole(text, row as i64);
        text.push_str(",\"features\":{");
        for (at, (feature, column)) in model.features().iter().zip(columns).enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&model.keys[at]);
            if redact.contains(&feature.name) {
                text.push_str("\"[redacted]\"");
            } else {
                push_cell(text, column, row, feature.feature_type);
            }
        }
        text.push_str("},");
        answer::push_row(text, model, prediction, row);
        text.push_str("}\n");
    }
}

fn push_cell(text: &mut String, column: &InputColumn, row: usize, feature_type: FeatureType) {
    match column {
        InputColumn::Ints(values) => answer::push_whole(text, values[row]),
        InputColumn::Floats(values) => answer::push_number(text, values[row]),
        InputColumn::Texts(values) if values[row].is_empty() && feature_type == FeatureType::Text => {
            text.push_str("null");
        }
        InputColumn::Texts(values) => answer::push_text(text, &values[row]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_a_calendar() {
        let mut clock = Clock::default();
        for microseconds in [0, 1, 999_999, 1_000_000, 1_732_198_299_751_032, 1_732_198_299_000_007] {
            let time = jiff::Timestamp::from_microsecond(microseconds).expect("a time");
            let mut text = String::new();
            clock.push(&mut text, time);
            assert_eq!(text, time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
        }
    }
}
