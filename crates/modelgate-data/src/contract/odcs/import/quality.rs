//! The quality rules of one property.
//!
//! A rule of the standard has a severity and a tolerance of its own, where those of a column hold for all that is asked of its
//! values. They become the column's where nothing else is asked of it; else the rule becomes one of rows, or is told.

use serde_json::Value;

use super::{NONE, Property, list, read, severity, tolerance, truth, whole_pattern};
use crate::contract::{Bound, ColumnContract, RowRule, Severity, Tolerance, UniqueKey};
use crate::types::ColumnType;

/// More values make too long a rule of rows.
const MOST_VALUES: usize = 100;

/// What a rule asks of the values.
enum What {
    NoNulls,
    NoneTwice,
    Values(Vec<Bound>),
    Pattern(String),
}

/// A quality rule.
pub(super) struct Asked {
    what: What,
    allow: Option<Tolerance>,
    severity: Severity,
}

impl Asked {
    fn weight(&self) -> (Option<Tolerance>, Severity) {
        (self.allow, self.severity)
    }

    fn metric(&self) -> &'static str {
        match self.what {
            What::NoNulls => "nullValues",
            What::NoneTwice => "duplicateValues",
            What::Values(_) | What::Pattern(_) => "invalidValues",
        }
    }

    /// Returns whether a column with this weight may hold the rule.
    fn fits(&self, column: &ColumnContract) -> bool {
        let is_free = match self.what {
            What::Values(_) => column.values.is_none(),
            What::Pattern(_) => column.pattern.is_none(),
            // A tolerance does not loosen a unique column.
            What::NoneTwice => column.severity == self.severity,
            What::NoNulls => true,
        };
        let weighs = (column.allow, column.severity) == self.weight() || matches!(self.what, What::NoneTwice);
        is_free && weighs
    }

    fn put(self, column: &mut ColumnContract) {
        match self.what {
            What::NoNulls => column.nullable = false,
            What::NoneTwice => column.unique = true,
            What::Values(values) => column.values = Some(values),
            What::Pattern(pattern) => column.pattern = Some(pattern),
        }
    }

    /// Returns the rule as one of rows; `None` for what has no such form.
    fn as_rule(&self, name: &str, column_type: ColumnType) -> Option<RowRule> {
        // A name in backticks holds none.
        let name = Some(name).filter(|name| !name.contains('`'))?;
        let check = match &self.what {
            What::NoNulls => format!("not is_null(`{name}`)"),
            What::Values(values) if values.len() <= MOST_VALUES => {
                let one = |value: &Bound| Some(format!("`{name}` == {}", written(value, column_type)?));
                values.iter().map(one).collect::<Option<Vec<_>>>()?.join(" or ")
            }
            What::NoneTwice | What::Values(_) | What::Pattern(_) => return None,
        };
        let id = Some(format!("{name}.{}", self.metric()));
        Some(RowRule { id, check, allow: self.allow, severity: self.severity })
    }
}

/// Returns a value as the language of rules writes it.
fn written(value: &Bound, column_type: ColumnType) -> Option<String> {
    if column_type.is_text() || (column_type.is_time() && value.whole(column_type).is_some()) {
        let text = value.to_string();
        let quote = ['\'', '"'].into_iter().find(|quote| !text.contains(*quote))?;
        return Some(format!("{quote}{text}{quote}"));
    }
    value.number(column_type).filter(|_| !column_type.is_time()).map(|_| value.to_string())
}

impl Property<'_> {
    /// Returns what a rule asks for; what it has no words for here is told.
    pub(super) fn asked(&mut self, rule: &Value, column_type: ColumnType) -> Option<Asked> {
        let metric = rule.get("metric").and_then(Value::as_str);
        let asked = |what, allow: Tolerance| Asked {
            what,
            allow: Some(allow).filter(|allow| *allow != NONE),
            severity: severity(rule),
        };
        match (metric, tolerance(rule)) {
            (Some("nullValues"), Some(allow)) => return Some(asked(What::NoNulls, allow)),
            (Some("duplicateValues"), Some(NONE)) if rule.get("arguments").is_none() => {
                return Some(asked(What::NoneTwice, NONE));
            }
            (Some("invalidValues"), Some(allow)) => {
                let valid = rule.pointer("/arguments/validValues").and_then(read::<Vec<Bound>>);
                let pattern = rule.pointer("/arguments/pattern").and_then(Value::as_str);
                let pattern = pattern.filter(|_| column_type.is_text()).and_then(whole_pattern);
                match (valid, pattern) {
                    (Some(values), None) => return Some(asked(What::Values(values), allow)),
                    (None, Some(pattern)) => return Some(asked(What::Pattern(pattern), allow)),
                    _ => self.leave("the quality rule invalidValues"),
                }
            }
            (metric, _) => {
                let what = metric.or_else(|| rule.get("type").and_then(Value::as_str)).unwrap_or("no metric");
                self.leave(&format!("the quality rule {what}"));
            }
        }
        None
    }

    /// Carries over what is asked of a column beside what `found` has.
    pub(super) fn carry(&mut self, mut asked: Vec<Asked>, found: &mut ColumnContract) {
        let is_key = self.property.get("primaryKey").and_then(truth) == Some(true);
        let is_first =
            !is_key && !asks(found) && !list(self.property, "customProperties").iter().any(is_weight);
        if let (true, Some(first)) = (is_first, asked.first())
            && asked.iter().all(|rule| rule.weight() == first.weight())
        {
            (found.allow, found.severity) = first.weight();
        }
        // Our own contracts have the tolerance of the column beside the rule, which has none.
        for rule in
            asked.iter_mut().filter(|rule| matches!(rule.what, What::Values(_)) && rule.allow.is_none())
        {
            rule.allow = found.allow;
        }
        for rule in asked {
            // What is strictly asked for already may be asked for less strictly.
            let is_there = (!found.nullable || is_key) && is_strict(found);
            if matches!(rule.what, What::NoNulls) && is_there {
                continue;
            }
            if rule.fits(found) {
                rule.put(found);
            } else if matches!(rule.what, What::NoneTwice) {
                let columns = vec![self.name.to_owned()];
                self.unique.push(UniqueKey { columns, severity: rule.severity });
            } else if let Some(rule) = rule.as_rule(self.name, found.column_type) {
                self.rules.push(rule);
            } else {
                self.leave(&format!("the quality rule {}", rule.metric()));
            }
        }
    }
}

/// Returns whether anything is asked of the values of a column.
fn asks(column: &ColumnContract) -> bool {
    let plain = ColumnContract {
        description: column.description.clone(),
        label: column.label.clone(),
        unit: column.unit.clone(),
        optional: column.optional,
        format: column.format.clone(),
        allow: column.allow,
        severity: column.severity,
        ..ColumnContract::of(column.column_type)
    };
    *column != plain
}

fn is_strict(column: &ColumnContract) -> bool {
    column.allow.is_none() && column.severity == Severity::Error
}

/// Returns whether a custom property of ours is a tolerance or a severity.
fn is_weight(property: &Value) -> bool {
    matches!(property["property"].as_str(), Some("allow" | "severity"))
}
