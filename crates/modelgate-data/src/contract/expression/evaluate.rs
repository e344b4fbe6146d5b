//! The value of an expression over the rows of a batch.

use std::borrow::Cow;

use super::{Expression, Function, Node, Operator};
use crate::batch::{BatchColumn, Cells};
use crate::time;
use crate::types::ColumnType;

/// The values of some rows; NaN and `None` are null.
enum Values<'a> {
    /// Whole numbers, which doubles hold only up to 2^53; what leaves 64 bits goes on as doubles.
    Wholes(Vec<Option<i64>>),
    Numbers(Vec<f64>),
    Texts(Vec<Option<Cow<'a, str>>>),
    Conditions(Vec<Option<bool>>),
}

fn doubles(values: Vec<Option<i64>>) -> Vec<f64> {
    values.into_iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect()
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
            Node::Whole(value) => Values::Wholes(vec![Some(*value); rows]),
            Node::Text(text) => Values::Texts(vec![Some(text.as_str().into()); rows]),
            Node::Bool(value) => Values::Conditions(vec![Some(*value); rows]),
            Node::Column(place) => match (&columns[*place].cells, self.types[*place]) {
                (Cells::Int(values), ColumnType::Bool) => {
                    Values::Conditions(values.iter().map(|value| value.map(|value| value != 0)).collect())
                }
                (Cells::Int(values), _) => Values::Wholes(values.clone()),
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
                Values::Wholes(values) => each_whole(values, i64::checked_neg, |value| -value),
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

/// Does `exact` to each whole number, or `rounded` to all of them as doubles when one leaves 64 bits.
fn each_whole<'a>(
    mut values: Vec<Option<i64>>,
    exact: impl Fn(i64) -> Option<i64>,
    rounded: impl Fn(f64) -> f64,
) -> Values<'a> {
    if values.iter().flatten().all(|value| exact(*value).is_some()) {
        values.iter_mut().for_each(|value| *value = value.and_then(&exact));
        return Values::Wholes(values);
    }
    Values::Numbers(doubles(values).into_iter().map(rounded).collect())
}

/// Returns what an operator makes of two whole numbers; `None` for what is none.
fn exact(operator: Operator) -> Option<fn(i64, i64) -> Option<i64>> {
    Some(match operator {
        Operator::Add => i64::checked_add,
        Operator::Subtract => i64::checked_sub,
        Operator::Multiply => i64::checked_mul,
        Operator::Remainder => i64::checked_rem,
        _ => return None,
    })
}

fn wholes<'a>(operator: Operator, left: Vec<Option<i64>>, right: Vec<Option<i64>>) -> Values<'a> {
    if operator == Operator::Divide {
        return binary(operator, Values::Numbers(doubles(left)), Values::Numbers(doubles(right)));
    }
    let Some(exact) = exact(operator) else {
        let compare = comparison(operator);
        let pairs = left.into_iter().zip(right);
        return Values::Conditions(pairs.map(|(one, other)| Some(compare(one?.cmp(&other?)))).collect());
    };
    let mut found = Vec::with_capacity(left.len());
    for (one, other) in left.iter().zip(&right) {
        let value = match (one, other) {
            (Some(one), Some(other)) => match exact(*one, *other) {
                Some(value) => Some(value),
                // The rest of a division by zero is null, as in doubles.
                None if operator == Operator::Remainder && *other == 0 => None,
                None => {
                    return binary(operator, Values::Numbers(doubles(left)), Values::Numbers(doubles(right)));
                }
            },
            _ => None,
        };
        found.push(value);
    }
    Values::Wholes(found)
}

fn binary<'a>(operator: Operator, left: Values<'a>, right: Values<'a>) -> Values<'a> {
    match (left, right) {
        (Values::Wholes(left), Values::Wholes(right)) => wholes(operator, left, right),
        (Values::Wholes(left), right @ Values::Numbers(_)) => {
            binary(operator, Values::Numbers(doubles(left)), right)
        }
        (left @ Values::Numbers(_), Values::Wholes(right)) => {
            binary(operator, left, Values::Numbers(doubles(right)))
        }
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
    match function {
        Function::IsNull => is_null(arguments),
        Function::Year | Function::Month | Function::Day => date_part(function, arguments, is_day),
        Function::Lower | Function::Length => text_function(function, arguments),
        Function::Abs | Function::Round => match arguments.into_iter().next() {
            Some(Values::Wholes(values)) if function == Function::Abs => {
                each_whole(values, i64::checked_abs, f64::abs)
            }
            Some(Values::Numbers(mut values)) => {
                let change = if function == Function::Abs { f64::abs } else { f64::round };
                values.iter_mut().for_each(|value| *value = change(*value));
                Values::Numbers(values)
            }
            // A whole number is round.
            other => other.unwrap_or(Values::Numbers(Vec::new())),
        },
        Function::Min | Function::Max => {
            let mut arguments = arguments.into_iter();
            let first = arguments.next().unwrap_or(Values::Numbers(Vec::new()));
            arguments.fold(first, |all, other| extreme(function == Function::Min, all, other))
        }
    }
}

fn is_null(arguments: Vec<Values<'_>>) -> Values<'_> {
    let nulls = arguments.into_iter().next().map(|argument| match argument {
        Values::Wholes(values) => values.iter().map(|value| Some(value.is_none())).collect(),
        Values::Numbers(values) => values.iter().map(|value| Some(value.is_nan())).collect(),
        Values::Texts(values) => values.iter().map(|value| Some(value.is_none())).collect(),
        Values::Conditions(values) => values.iter().map(|value| Some(value.is_none())).collect(),
    });
    Values::Conditions(nulls.unwrap_or_default())
}

/// Returns the year, month or day of days or microseconds.
fn date_part(function: Function, arguments: Vec<Values<'_>>, is_day: bool) -> Values<'_> {
    let part = |value: i64| {
        let days = if is_day { value } else { value.div_euclid(86_400_000_000) };
        let (year, month, day) = time::year_month_day(days)?;
        Some(match function {
            Function::Year => year,
            Function::Month => month,
            _ => day,
        })
    };
    match arguments.into_iter().next() {
        Some(Values::Wholes(values)) => {
            Values::Wholes(values.into_iter().map(|value| value.and_then(part)).collect())
        }
        // The kinds were checked.
        other => other.unwrap_or(Values::Wholes(Vec::new())),
    }
}

fn text_function(function: Function, arguments: Vec<Values<'_>>) -> Values<'_> {
    match arguments.into_iter().next() {
        Some(Values::Texts(values)) if function == Function::Lower => {
            let lower = values.into_iter().map(|value| value.map(|value| value.to_lowercase().into()));
            Values::Texts(lower.collect())
        }
        Some(Values::Texts(values)) => {
            let length = |value: Option<Cow<'_, str>>| value.map(|value| value.chars().count() as i64);
            Values::Wholes(values.into_iter().map(length).collect())
        }
        // The kinds were checked.
        other => other.unwrap_or(Values::Wholes(Vec::new())),
    }
}

/// Returns the smaller or larger of each pair; a null makes the whole null, where `f64::min` would pass over it.
fn extreme<'a>(is_min: bool, one: Values<'a>, other: Values<'a>) -> Values<'a> {
    match (one, other) {
        (Values::Wholes(one), Values::Wholes(other)) => {
            let pick = |(one, other): (Option<i64>, Option<i64>)| {
                let (one, other) = (one?, other?);
                Some(if is_min { one.min(other) } else { one.max(other) })
            };
            Values::Wholes(one.into_iter().zip(other).map(pick).collect())
        }
        (Values::Numbers(one), Values::Numbers(other)) => {
            let pick = |(one, other): (f64, f64)| {
                if one.is_nan() || other.is_nan() {
                    f64::NAN
                } else if is_min {
                    one.min(other)
                } else {
                    one.max(other)
                }
            };
            Values::Numbers(one.into_iter().zip(other).map(pick).collect())
        }
        (Values::Wholes(one), other @ Values::Numbers(_)) => {
            extreme(is_min, Values::Numbers(doubles(one)), other)
        }
        (one @ Values::Numbers(_), Values::Wholes(other)) => {
            extreme(is_min, one, Values::Numbers(doubles(other)))
        }
        // The kinds were checked.
        (one, _) => one,
    }
}
