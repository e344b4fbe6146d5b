//! The value of an expression over the rows of a batch.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;

use super::doubles::Doubles;
use super::{Expression, Function, Node, Operator};
use crate::batch::{BatchColumn, Cells};
use crate::time;
use crate::types::ColumnType;

/// The values of some rows; NaN and `None` are null.
enum Values<'a> {
    /// Whole numbers, which doubles hold only up to 2^53: twice as long as those of the data, so that sums and products of
    /// these are exact.
    Wholes(Vec<Option<i128>>),
    Numbers(Doubles),
    Texts(Vec<Option<Cow<'a, str>>>),
    Conditions(Vec<Option<bool>>),
}

fn doubles(values: Vec<Option<i128>>) -> Doubles {
    Doubles::of(values.into_iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect())
}

/// The rows that an expression is computed over.
struct Rows<'a> {
    columns: &'a [&'a BatchColumn],
    count: usize,
    /// Whether whole numbers are taken as doubles from the start.
    in_doubles: bool,
    /// Rows of which a whole number has left 128 bits: they alone are computed once more, in doubles.
    overflown: RefCell<BTreeSet<usize>>,
}

impl Rows<'_> {
    /// Returns null for a whole number that has left 128 bits, and remembers its row.
    fn kept(&self, row: usize, value: Option<i128>) -> Option<i128> {
        if value.is_none() {
            self.overflown.borrow_mut().insert(row);
        }
        value
    }

    fn wholes<'v>(&self, values: Vec<Option<i128>>) -> Values<'v> {
        if self.in_doubles { Values::Numbers(doubles(values)) } else { Values::Wholes(values) }
    }

    /// Does `exact` to each whole number.
    fn each_whole<'v>(&self, values: Vec<Option<i128>>, exact: impl Fn(i128) -> Option<i128>) -> Values<'v> {
        let done = |(row, value): (usize, Option<i128>)| self.kept(row, exact(value?));
        Values::Wholes(values.into_iter().enumerate().map(done).collect())
    }
}

impl Expression {
    /// Returns the rows that break the rule; `columns` are those of [`Self::columns`].
    pub(crate) fn broken(&self, columns: &[&BatchColumn], rows: usize) -> Vec<usize> {
        let mut over = Rows { columns, count: rows, in_doubles: false, overflown: RefCell::default() };
        let mut found = self.conditions(&over);
        let overflown = std::mem::take(&mut over.overflown).into_inner();
        if !overflown.is_empty() {
            over.in_doubles = true;
            let rounded = self.conditions(&over);
            for row in overflown {
                if let (Some(found), Some(rounded)) = (found.get_mut(row), rounded.get(row)) {
                    // What is known whatever that number is stays so.
                    *found = found.or(*rounded);
                }
            }
        }
        found.iter().enumerate().filter(|(_, holds)| **holds == Some(false)).map(|(row, _)| row).collect()
    }

    fn conditions(&self, rows: &Rows<'_>) -> Vec<Option<bool>> {
        match self.value(&self.root, rows) {
            Values::Conditions(found) => found,
            // The kinds were checked.
            _ => Vec::new(),
        }
    }

    fn value<'a>(&'a self, node: &'a Node, rows: &Rows<'a>) -> Values<'a> {
        match node {
            Node::Number(value) => Values::Numbers(Doubles::of(vec![*value; rows.count])),
            Node::Whole(value) => rows.wholes(vec![Some(i128::from(*value)); rows.count]),
            Node::Text(text) => Values::Texts(vec![Some(text.as_str().into()); rows.count]),
            Node::Bool(value) => Values::Conditions(vec![Some(*value); rows.count]),
            Node::Column(place) => match (&rows.columns[*place].cells, self.types[*place]) {
                (Cells::Int(values), ColumnType::Bool) => {
                    Values::Conditions(values.iter().map(|value| value.map(|value| value != 0)).collect())
                }
                (Cells::Int(values), column_type) => {
                    let values = values.iter().map(|value| value.map(i128::from)).collect();
                    // Of a day or a moment a year may be asked for.
                    if column_type.is_time() { Values::Wholes(values) } else { rows.wholes(values) }
                }
                (Cells::Float(values), _) => Values::Numbers(Doubles::of(values.clone())),
                (Cells::Text(values), _) => {
                    Values::Texts(values.iter().map(|value| value.map(Into::into)).collect())
                }
            },
            Node::Negate(inner) => match self.value(inner, rows) {
                Values::Numbers(values) => Values::Numbers(values.negated()),
                Values::Wholes(values) => rows.each_whole(values, i128::checked_neg),
                other => other,
            },
            Node::Not(inner) => match self.value(inner, rows) {
                Values::Conditions(mut values) => {
                    values.iter_mut().for_each(|value| *value = value.map(|value| !value));
                    Values::Conditions(values)
                }
                other => other,
            },
            Node::Binary(operator, left, right) => {
                binary(*operator, self.value(left, rows), self.value(right, rows), rows)
            }
            Node::Call(function, arguments) => {
                let is_day = arguments.first().is_some_and(|argument| {
                    matches!(argument, Node::Column(place) if self.types[*place] == ColumnType::Date)
                });
                let arguments = arguments.iter().map(|argument| self.value(argument, rows));
                call(*function, arguments.collect(), is_day, rows)
            }
        }
    }
}

/// Returns what an operator makes of two whole numbers; `None` for what is none.
fn exact(operator: Operator) -> Option<fn(i128, i128) -> Option<i128>> {
    Some(match operator {
        Operator::Add => i128::checked_add,
        Operator::Subtract => i128::checked_sub,
        Operator::Multiply => i128::checked_mul,
        Operator::Remainder => i128::checked_rem,
        _ => return None,
    })
}

fn wholes<'a>(
    operator: Operator,
    left: Vec<Option<i128>>,
    right: Vec<Option<i128>>,
    rows: &Rows<'a>,
) -> Values<'a> {
    if operator == Operator::Divide {
        return binary(operator, Values::Numbers(doubles(left)), Values::Numbers(doubles(right)), rows);
    }
    let pairs = left.into_iter().zip(right);
    let Some(exact) = exact(operator) else {
        let compare = comparison(operator);
        return Values::Conditions(pairs.map(|(one, other)| Some(compare(one?.cmp(&other?)))).collect());
    };
    let found = pairs.enumerate().map(|(row, (one, other))| {
        let (one, other) = (one?, other?);
        match exact(one, other) {
            // The rest of a division by zero is null, as in doubles.
            None if operator == Operator::Remainder && other == 0 => None,
            value => rows.kept(row, value),
        }
    });
    Values::Wholes(found.collect())
}

fn binary<'a>(operator: Operator, left: Values<'a>, right: Values<'a>, rows: &Rows<'a>) -> Values<'a> {
    match (left, right) {
        (Values::Wholes(left), Values::Wholes(right)) => wholes(operator, left, right, rows),
        (Values::Wholes(left), Values::Numbers(right)) if operator.compares() => {
            Values::Conditions(right.compared_with(left, comparison(operator)))
        }
        (Values::Numbers(left), Values::Wholes(right)) if operator.compares() => {
            let turned = comparison(operator.turned());
            Values::Conditions(left.compared_with(right, turned))
        }
        (Values::Wholes(left), right @ Values::Numbers(_)) => {
            binary(operator, Values::Numbers(doubles(left)), right, rows)
        }
        (left @ Values::Numbers(_), Values::Wholes(right)) => {
            binary(operator, left, Values::Numbers(doubles(right)), rows)
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

fn call<'a>(function: Function, arguments: Vec<Values<'a>>, is_day: bool, rows: &Rows<'a>) -> Values<'a> {
    match function {
        Function::IsNull => is_null(arguments, rows),
        Function::Year | Function::Month | Function::Day => date_part(function, arguments, is_day),
        Function::Lower | Function::Length => text_function(function, arguments),
        Function::Abs | Function::Round => match arguments.into_iter().next() {
            Some(Values::Wholes(values)) if function == Function::Abs => {
                rows.each_whole(values, i128::checked_abs)
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

fn is_null<'a>(arguments: Vec<Values<'a>>, rows: &Rows<'a>) -> Values<'a> {
    let overflown = rows.overflown.borrow();
    let nulls = arguments.into_iter().next().map(|argument| match argument {
        Values::Wholes(values) => {
            let is_null = |(row, value): (usize, &Option<i128>)| {
                (value.is_some() || !overflown.contains(&row)).then_some(value.is_none())
            };
            values.iter().enumerate().map(is_null).collect()
        }
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
            let part = |value: i128| i64::try_from(value).ok().and_then(part).map(i128::from);
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
            let length = |value: Option<Cow<'_, str>>| value.map(|value| value.chars().count() as i128);
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
            let pick = |(one, other): (Option<i128>, Option<i128>)| {
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
