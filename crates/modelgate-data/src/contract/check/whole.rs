//! What is asked of the data as a whole: rows, freshness, classes.

use super::found::MOST_LABELS;
use super::{Found, Plan};
use crate::contract::{Contract, Layer, Severity, Violation};
use crate::error::{clipped, listed};
use crate::time;

/// A row may be so far ahead of now, in microseconds: a date of another time zone, a clock that is not set.
pub(super) const AHEAD: i64 = 86_400_000_000;

/// Returns the microseconds of an age such as `36h`.
pub(super) fn age(text: &str) -> Option<i64> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let seconds = match &text[number.len()..] {
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|count| i64::from(count) * seconds * 1_000_000)
}

/// Returns until when the judgement of the freshness holds, if time alone changes it.
pub(super) fn holds_until(plan: &Plan, found: &Found, now: i64) -> Option<i64> {
    let max_age = plan.max_age?;
    let grows_old = found.newest.map(|newest| newest.saturating_add(max_age)).filter(|end| *end >= now);
    let is_reached = found.first_ahead.map(|first| first.saturating_sub(AHEAD));
    grows_old.into_iter().chain(is_reached).min()
}

/// Judges what is asked of the data as a whole.
pub(super) fn whole(contract: &Contract, plan: &Plan, found: &Found, now: i64) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut add = |id: &str, columns: &[&String], severity: Severity, message: String| {
        violations.push(Violation {
            id: id.to_owned(),
            layer: Layer::Content,
            severity,
            columns: columns.iter().map(|column| (*column).clone()).collect(),
            message,
            count: 0,
            rows: Vec::new(),
        });
    };
    if let Some(rows) = &contract.rows {
        if let Some(min) = rows.min.filter(|min| found.rows < *min) {
            add(
                "rows.min",
                &[],
                rows.severity,
                format!("there are {} rows, and at least {min} are asked for", found.rows),
            );
        }
        if let Some(max) = rows.max.filter(|max| found.rows > *max) {
            add(
                "rows.max",
                &[],
                rows.severity,
                format!("there are {} rows, and at most {max} are asked for", found.rows),
            );
        }
    }
    if let (Some(freshness), Some(max_age)) = (&contract.freshness, plan.max_age) {
        let column = &freshness.column;
        if let Some(first) = found.first_ahead {
            let message = format!(
                "`{column}` is ahead of now in {} rows, the first of them {}: such a row says nothing of the age",
                found.ahead.count,
                time::show_timestamp(first)
            );
            add("freshness.ahead", &[column], freshness.severity, message);
        }
        match found.newest {
            Some(newest) if now.saturating_sub(newest) <= max_age => {}
            Some(newest) => {
                let days = now.saturating_sub(newest) as f64 / 86_400e6;
                let message = format!(
                    "the newest `{column}` is {}, {days:.1} days ago, and at most {} are allowed",
                    time::show_timestamp(newest),
                    freshness.max_age
                );
                add("freshness", &[column], freshness.severity, message);
            }
            None if found.first_ahead.is_some() => {}
            None => {
                add("freshness", &[column], freshness.severity, format!("`{column}` has no value at all"));
            }
        }
    }
    if let Some(label) = &contract.label {
        let total: u64 = found.labels.values().sum();
        let column = &label.column;
        if found.too_many_labels {
            let message =
                format!("`{column}` has more than {MOST_LABELS} different values: these are no classes");
            add("label.new", &[column], label.severity, message);
        }
        let short = |classes: &[&str]| {
            let shown: Vec<String> =
                classes.iter().map(|class| clipped(class).trim_matches('`').to_owned()).collect();
            listed(&shown.iter().map(String::as_str).collect::<Vec<_>>())
        };
        if let Some(classes) = label.classes.as_ref().filter(|_| !found.too_many_labels) {
            let asked: Vec<String> = classes.iter().map(ToString::to_string).collect();
            let missing: Vec<&str> =
                asked.iter().map(String::as_str).filter(|class| !found.labels.contains_key(*class)).collect();
            let new: Vec<&str> = found
                .labels
                .keys()
                .map(String::as_str)
                .filter(|class| !asked.iter().any(|asked| asked == class))
                .collect();
            if !missing.is_empty() {
                add(
                    "label.missing",
                    &[column],
                    label.severity,
                    format!("no row of `{column}` is {}", short(&missing)),
                );
            }
            if !new.is_empty() {
                add(
                    "label.new",
                    &[column],
                    label.severity,
                    format!("`{column}` has the classes {}, which are not in the contract", short(&new)),
                );
            }
        }
        if let Some(min_share) = label.min_share {
            for (class, count) in &found.labels {
                let share = *count as f64 / total.max(1) as f64;
                if share < min_share {
                    let message = format!(
                        "class {} of `{column}` has {count} of {total} rows, a share of {share:.4}, and at least \
                         {min_share} is asked for",
                        clipped(class)
                    );
                    add("label.min_share", &[column], label.severity, message);
                }
            }
        }
    }
    for violation in violations.iter_mut().filter(|violation| violation.id == "freshness.ahead") {
        (violation.count, violation.rows) = (found.ahead.count, found.ahead.rows.clone());
    }
    violations
}
