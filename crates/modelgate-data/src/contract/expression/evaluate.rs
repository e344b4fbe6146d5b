//! The value of an expression over the rows of a batch.

use std::borrow::Cow;

use super::doubles::Doubles;
use super::{Expression, Function, Node, Operator};
use crate::batch::{BatchColumn, Cells};
use crate::time;
use crate::types::ColumnType;

/// The values of some rows; NaN and `None` are null.
enum Values<'a> {
    /// Whole numbers, which doubles hold only up to 2^53; what leaves 64 bits goes on as doubles.
    Wholes(Vec<Option<i64>>),
    Numbers(Doubles),
    Texts(Vec<Option<Cow<'a, str>>>),
    Conditions(Vec<Option<bool>>),
}

fn doubles(values: Vec<Option<i64>>) -> Doubles {
    Doubles::of(values.into_iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect())
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
            Node::Number(value) => Values::Numbers(Doubles::of(vec![*value; rows])),
            Node::Whole(value) => Values::Wholes(vec![Some(*value); rows]),
            Node::Text(text) => Values::Texts(vec![Some(text.as_str().into()); rows]),
            Node::Bool(value) => Values::Conditions(vec![Some(*value); rows]),
            Node::Column(place) => match (&columns[*place].cells, self.types[*place]) {
                (Cells::Int(values), ColumnType::Bool) => {
                    Values::Conditions(values.iter().map(|value| value.map(|value| value != 0)).collect())
                }
                (Cells::Int(values), _) => Values::Wholes(values.clone()),
                (Cells::Float(values), _) => Values::Numbers(Doubles::of(values.clone())),
                (Cells::Text(values), _) => {
                    Values::Texts(values.iter().map(|value| value.map(Into::into)).collect())
                }
            },
            Node::Negate(inner) => match self.value(inner, columns, rows) {
                Values::Numbers(values) => Values::Numbers(values.negated()),
                Values::Wholes(values) => each_whole(values, i64::checked_neg, Doubles::negated),
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
    rounded: impl Fn(Doubles) -> Doubles,
) -> Values<'a> {
    if values.iter().flatten().all(|value| exact(*value).is_some()) {
        values.iter_mut().for_each(|value| *value = value.and_then(&exact));
        return Values::Wholes(values);
    }
    Values::Numbers(rounded(doubles(values)))
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
        (Values::Numbers(left), Values::Numbers(right)) => match operator {
            Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::Remainder => Values::Numbers(left.combined(operator, right)),
            _ => Values::Conditions(left.compared(right, comparison(operator))),
        },
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
                each_whole(values, i64::checked_abs, Doubles::absolute)
            }
            Some(Values::Numbers(values)) => {
                Values::Numbers(if function == Function::Abs { values.absolute() } else { values.rounded() })
            }
            // A whole number is round.
            other => other.unwrap_or(Values::Numbers(Doubles::of(Vec::new()))),
        },
        Function::Min | Function::Max => {
            let mut arguments = arguments.into_iter();
            let first = arguments.next().unwrap_or(Values::Numbers(Doubles::of(Vec::new())));
            arguments.fold(first, |all, other| extreme(function == Function::Min, all, other))
        }
    }
}

fn is_null(arguments: Vec<Values<'_>>) -> Values<'_> {
    let nulls = arguments.into_iter().next().map(|argument| match argument {
        Values::Wholes(values) => values.iter().map(|value| Some(value.is_none())).collect(),
        Values::Numbers(values) => values.are_null(),
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

/// Returns the smaller or larger of each pair; a null makes the whole null.
fn extreme<'a>(is_min: bool, one: Values<'a>, other: Values<'a>) -> Values<'a> {
    match (one, other) {
        (Values::Wholes(one), Values::Wholes(other)) => {
            let pick = |(one, other): (Option<i64>, Option<i64>)| {
                let (one, other) = (one?, other?);
                Some(if is_min { one.min(other) } else { one.max(other) })
            };
            Values::Wholes(one.into_iter().zip(other).map(pick).collect())
        }
        (Values::Numbers(one), Values::Numbers(other)) => Values::Numbers(one.extreme(is_min, other)),
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
