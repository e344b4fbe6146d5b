//! The value of an expression over the rows of a batch.

use std::borrow::Cow;

use super::{Expression, Function, Node, Operator};
use crate::batch::{BatchColumn, Cells};
use crate::time;
use crate::types::ColumnType;

/// The values of some rows; NaN and `None` are null.
enum Values<'a> {
    Numbers(Vec<f64>),
    Texts(Vec<Option<Cow<'a, str>>>),
    Conditions(Vec<Option<bool>>),
}

impl Expression {
    /// Returns the rows that break the rule; `columns` are those of [`Self::columns`].
    pub(crate) fn broken(&self, columns: &[&BatchColumn], rows: usize) -> Vec<usize> {
        match self.value(&self.root, columns, rows) {
            Values::Conditions(found) => (0..rows).filter(|row| found[*row] == Some(false)).collect(),
            // The kinds were checked.
            _ => Vec::new(),
        }
    }

    fn value<'a>(&'a self, node: &'a Node, columns: &[&'a BatchColumn], rows: usize) -> Values<'a> {
        match node {
            Node::Number(value) => Values::Numbers(vec![*value; rows]),
            Node::Text(text) => Values::Texts(vec![Some(text.as_str().into()); rows]),
            Node::Column(place) => match (&columns[*place].cells, self.types[*place]) {
                (Cells::Int(values), ColumnType::Bool) => {
                    Values::Conditions(values.iter().map(|value| value.map(|value| value != 0)).collect())
                }
                (Cells::Int(values), _) => Values::Numbers(
                    values.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect(),
                ),
                (Cells::Float(values), _) => Values::Numbers(values.clone()),
                (Cells::Text(values), _) => {
                    Values::Texts(values.iter().map(|value| value.map(Into::into)).collect())
                }
            },
            Node::Negate(inner) => match self.value(inner, columns, rows) {
                Values::Numbers(mut values) => {
                    values.iter_mut().for_each(|value| *value = -*value);
                    Values::Numbers(values)
                }
                other => other,
            },
            Node::Not(inner) => match self.value(inner, columns, rows) {
                Values::Conditions(mut values) => {
                    values.iter_mut().for_each(|value| *value = value.map(|value| !value));
                    Values::Conditions(values)
                }
                other => other,
            },
            Node::Binary(operator, left, right) => {
                binary(*operator, self.value(left, columns, rows), self.value(right, columns, rows))
            }
            Node::Call(function, arguments) => {
                let is_day = arguments.first().is_some_and(|argument| {
                    matches!(argument, Node::Column(place) if self.types[*place] == ColumnType::Date)
                });
                let arguments = arguments.iter().map(|argument| self.value(argument, columns, rows));
                call(*function, arguments.collect(), is_day)
            }
        }
    }
}

fn binary<'a>(operator: Operator, left: Values<'a>, right: Values<'a>) -> Values<'a> {
    match (left, right) {
        (Values::Numbers(left), Values::Numbers(right)) => {
            let pairs = left.into_iter().zip(right);
            let arithmetic: fn(f64, f64) -> f64 = match operator {
                Operator::Add => |one, other| one + other,
                Operator::Subtract => |one, other| one - other,
                Operator::Multiply => |one, other| one * other,
                Operator::Divide => |one, other| one / other,
                Operator::Remainder => |one, other| one % other,
                _ => {
                    let compare = comparison(operator);
                    let compared = pairs.map(|(one, other)| one.partial_cmp(&other).map(compare));
                    return Values::Conditions(compared.collect());
                }
            };
            Values::Numbers(pairs.map(|(one, other)| arithmetic(one, other)).collect())
        }
        (Values::Texts(left), Values::Texts(right)) => {
            let compare = comparison(operator);
            let pairs = left.into_iter().zip(right);
            Values::Conditions(pairs.map(|(one, other)| Some(compare(one?.cmp(&other?)))).collect())
        }
        (Values::Conditions(left), Values::Conditions(right)) => {
            let pairs = left.into_iter().zip(right);
            let combine = |(one, other): (Option<bool>, Option<bool>)| match operator {
                // What is known to be so stays so, whatever the null is.
                Operator::And if one == Some(false) || other == Some(false) => Some(false),
                Operator::Or if one == Some(true) || other == Some(true) => Some(true),
                Operator::And => Some(one? && other?),
                Operator::Or => Some(one? || other?),
                _ => Some(comparison(operator)(one?.cmp(&other?))),
            };
            Values::Conditions(pairs.map(combine).collect())
        }
        // The kinds were checked.
        (left, _) => left,
    }
}

fn comparison(operator: Operator) -> fn(std::cmp::Ordering) -> bool {
    match operator {
        Operator::NotEqual => std::cmp::Ordering::is_ne,
        Operator::Less => std::cmp::Ordering::is_lt,
        Operator::LessOrEqual => std::cmp::Ordering::is_le,
        Operator::Greater => std::cmp::Ordering::is_gt,
        Operator::GreaterOrEqual => std::cmp::Ordering::is_ge,
        _ => std::cmp::Ordering::is_eq,
    }
}

fn call(function: Function, arguments: Vec<Values<'_>>, is_day: bool) -> Values<'_> {
    if function == Function::IsNull {
        let nulls = arguments.into_iter().next().map(|argument| match argument {
            Values::Numbers(values) => values.iter().map(|value| Some(value.is_nan())).collect(),
            Values::Texts(values) => values.iter().map(|value| Some(value.is_none())).collect(),
            Values::Conditions(values) => values.iter().map(|value| Some(value.is_none())).collect(),
        });
        return Values::Conditions(nulls.unwrap_or_default());
    }
    let part = |value: f64| {
        if value.is_nan() {
            return None;
        }
        time::year_month_day(if is_day { value as i64 } else { (value as i64).div_euclid(86_400_000_000) })
    };
    let mut numbers: Option<Vec<f64>> = None;
    for argument in arguments {
        match (argument, &mut numbers) {
            (Values::Texts(values), _) if function == Function::Lower => {
                let lower = values.into_iter().map(|value| value.map(|value| value.to_lowercase().into()));
                return Values::Texts(lower.collect());
            }
            (Values::Texts(values), _) => {
                let length = |value: Option<Cow<'_, str>>| {
                    value.map_or(f64::NAN, |value| value.chars().count() as f64)
                };
                return Values::Numbers(values.into_iter().map(length).collect());
            }
            (Values::Numbers(values), None) => {
                let single: &dyn Fn(f64) -> f64 = match function {
                    Function::Year => &|value| part(value).map_or(f64::NAN, |date| date.0 as f64),
                    Function::Month => &|value| part(value).map_or(f64::NAN, |date| date.1 as f64),
                    Function::Day => &|value| part(value).map_or(f64::NAN, |date| date.2 as f64),
                    Function::Abs => &f64::abs,
                    Function::Round => &f64::round,
                    _ => &|value| value,
                };
                numbers = Some(values.into_iter().map(single).collect());
            }
            (Values::Numbers(values), Some(all)) => {
                for (one, other) in all.iter_mut().zip(values) {
                    // A null makes the whole null; `f64::min` would pass over it.
                    *one = if one.is_nan() || other.is_nan() {
                        f64::NAN
                    } else if function == Function::Min {
                        one.min(other)
                    } else {
                        one.max(other)
                    };
                }
            }
            (Values::Conditions(_), _) => {}
        }
    }
    Values::Numbers(numbers.unwrap_or_default())
}
