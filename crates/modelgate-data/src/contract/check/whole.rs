//! What is asked of the data as a whole: rows, freshness, classes.

use super::{Found, Plan};
use crate::contract::{Contract, Layer, Severity, Violation};
use crate::error::listed;
use crate::time;

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
            None => {
                add("freshness", &[column], freshness.severity, format!("`{column}` has no value at all"));
            }
        }
    }
    if let Some(label) = &contract.label {
        let total: u64 = found.labels.values().sum();
        let column = &label.column;
        if let Some(classes) = &label.classes {
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
                    format!("no row of `{column}` is {}", listed(&missing)),
                );
            }
            if !new.is_empty() {
                add(
                    "label.new",
                    &[column],
                    label.severity,
                    format!("`{column}` has the classes {}, which are not in the contract", listed(&new)),
                );
            }
        }
        if let Some(min_share) = label.min_share {
            for (class, count) in &found.labels {
                let share = *count as f64 / total.max(1) as f64;
                if share < min_share {
                    let message = format!(
                        "class `{class}` of `{column}` has {count} of {total} rows, a share of {share:.4}, and at least \
                         {min_share} is asked for"
                    );
                    add("label.min_share", &[column], label.severity, message);
                }
            }
        }
    }
    violations
}
