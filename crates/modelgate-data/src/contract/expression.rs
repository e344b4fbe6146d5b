//! The language of row rules: numbers, text, columns, `+ - * / %`, comparisons, `and`, `or`, `not`, and functions.
//!
//! Precedence from loose to tight: `or`, `and`, `not`, comparisons, `+ -`, `* / %`, unary minus. A column whose name is
//! not a plain word stands in backticks; `true` and `false` are values unless a column is called so. A null makes what it is part of null, as in SQL, and a row whose check is
//! null keeps the rule. The value of a date column is its day and that of a timestamp its microsecond, both since
//! 1970; beside one of them text is read as a date. Whole numbers are compared and added as such; a row of which one leaves 128
//! bits is computed in doubles, and no other row is. What was computed in doubles is equal to what it would be in decimals: 0.1 + 0.2 to 0.3.

mod doubles;
mod evaluate;
mod parse;

use crate::time;
use crate::types::ColumnType;

/// Deeper expressions are refused, so that none exhausts the stack.
const DEEPEST: usize = 100;

/// Longer ones as well: a long sum nests as deep as it is long.
const LONGEST: usize = 500;

/// What an expression is.
#[derive(Clone, PartialEq, Debug)]
enum Node {
    Number(f64),
    Whole(i64),
    Text(String),
    Bool(bool),
    Column(usize),
    Negate(Box<Self>),
    Not(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    Call(Function, Vec<Self>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

impl Operator {
    /// Returns whether it says which of two values is the larger.
    fn compares(self) -> bool {
        !matches!(
            self,
            Self::Add
                | Self::Subtract
                | Self::Multiply
                | Self::Divide
                | Self::Remainder
                | Self::And
                | Self::Or
        )
    }

    /// Returns the comparison that says the same with its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    Year,
    Month,
    Day,
    Abs,
    Min,
    Max,
    Round,
    Length,
    Lower,
    IsNull,
}

const FUNCTIONS: [(&str, Function); 10] = [
    ("year", Function::Year),
    ("month", Function::Month),
    ("day", Function::Day),
    ("abs", Function::Abs),
    ("min", Function::Min),
    ("max", Function::Max),
    ("round", Function::Round),
    ("length", Function::Length),
    ("lower", Function::Lower),
    ("is_null", Function::IsNull),
];

/// What a value is, known before any row is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Number,
    Text,
    Bool,
    Time(ColumnType),
}

/// A checked expression.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Expression {
    root: Node,
    /// The columns it looks at, in the order of their first place.
    pub(crate) columns: Vec<String>,
    types: Vec<ColumnType>,
}

/// Reads an expression; `column_type` knows the columns.
pub(crate) fn parse(
    text: &str,
    column_type: &dyn Fn(&str) -> Option<ColumnType>,
) -> Result<Expression, String> {
    let tokens = parse::tokens(text)?;
    if tokens.len() > LONGEST {
        return Err(format!("it has more than {LONGEST} words and signs; make several rules of it"));
    }
    let mut parser = parse::Parser::new(&tokens, column_type);
    let root = parser.or()?;
    if let Some(token) = parser.peek() {
        return Err(format!("`{}` stands where the expression could end", token.show()));
    }
    let (columns, types) = (parser.columns, parser.types);
    let (root, kind) = check(root, &types)?;
    if kind != Kind::Bool {
        return Err("it is not a condition: expected a comparison such as `a <= b`".to_owned());
    }
    Ok(Expression { root, columns, types })
}

/// Checks that kinds go together; text beside a date becomes a number.
fn check(node: Node, types: &[ColumnType]) -> Result<(Node, Kind), String> {
    Ok(match node {
        Node::Number(_) | Node::Whole(_) => (node, Kind::Number),
        Node::Text(_) => (node, Kind::Text),
        Node::Bool(_) => (node, Kind::Bool),
        Node::Column(place) => {
            let kind = match types[place] {
                ColumnType::Int | ColumnType::Float | ColumnType::Decimal => Kind::Number,
                ColumnType::Bool => Kind::Bool,
                ColumnType::String | ColumnType::Category => Kind::Text,
                time => Kind::Time(time),
            };
            (node, kind)
        }
        Node::Negate(inner) => match check(*inner, types)? {
            (inner, Kind::Number) => (Node::Negate(Box::new(inner)), Kind::Number),
            _ => return Err("`-` is for numbers".to_owned()),
        },
        Node::Not(inner) => match check(*inner, types)? {
            (inner, Kind::Bool) => (Node::Not(Box::new(inner)), Kind::Bool),
            _ => return Err("`not` is for conditions".to_owned()),
        },
        Node::Call(function, arguments) => {
            let checked = arguments.into_iter().map(|argument| check(argument, types));
            let checked = checked.collect::<Result<Vec<_>, String>>()?;
            let kinds: Vec<Kind> = checked.iter().map(|(_, kind)| *kind).collect();
            let kind = match (function, kinds.as_slice()) {
                (Function::Year | Function::Month | Function::Day, [Kind::Time(_)])
                | (Function::Abs | Function::Round, [Kind::Number])
                | (Function::Length, [Kind::Text]) => Kind::Number,
                (Function::Min | Function::Max, [_, ..])
                    if kinds.iter().all(|kind| *kind == Kind::Number) =>
                {
                    Kind::Number
                }
                (Function::Lower, [Kind::Text]) => Kind::Text,
                (Function::IsNull, [_]) => Kind::Bool,
                _ => {
                    let name =
                        FUNCTIONS.iter().find(|(_, other)| *other == function).map_or("?", |found| found.0);
                    return Err(format!("`{name}` does not take these values"));
                }
            };
            (Node::Call(function, checked.into_iter().map(|(node, _)| node).collect()), kind)
        }
        Node::Binary(operator, left, right) => {
            let (left, left_kind) = check(*left, types)?;
            let (right, right_kind) = check(*right, types)?;
            let (left, left_kind) = as_time(left, left_kind, right_kind)?;
            let (right, right_kind) = as_time(right, right_kind, left_kind)?;
            let (left, left_kind) = as_bool(left, left_kind, right_kind);
            let (right, right_kind) = as_bool(right, right_kind, left_kind);
            let kind = match operator {
                Operator::And | Operator::Or if (left_kind, right_kind) == (Kind::Bool, Kind::Bool) => {
                    Kind::Bool
                }
                Operator::And | Operator::Or => return Err("`and` and `or` are for conditions".to_owned()),
                Operator::Add
                | Operator::Subtract
                | Operator::Multiply
                | Operator::Divide
                | Operator::Remainder => match (left_kind, right_kind) {
                    (Kind::Number, Kind::Number) => Kind::Number,
                    // Days between dates, microseconds between timestamps.
                    (Kind::Time(one), Kind::Time(other))
                        if operator == Operator::Subtract && one == other =>
                    {
                        Kind::Number
                    }
                    _ => return Err("`+ - * / %` are for numbers".to_owned()),
                },
                _ if left_kind == right_kind => Kind::Bool,
                _ => return Err("values of different types are compared".to_owned()),
            };
            (Node::Binary(operator, Box::new(left), Box::new(right)), kind)
        }
    })
}

/// Beside a bool, 1 and 0 are `true` and `false`, as they are to a model.
fn as_bool(node: Node, kind: Kind, other: Kind) -> (Node, Kind) {
    match (node, other) {
        (Node::Whole(value @ (0 | 1)), Kind::Bool) => (Node::Bool(value == 1), Kind::Bool),
        (node, _) => (node, kind),
    }
}

fn as_time(node: Node, kind: Kind, other: Kind) -> Result<(Node, Kind), String> {
    let (Node::Text(text), Kind::Time(column_type)) = (&node, other) else { return Ok((node, kind)) };
    let moment = time::parse(text.as_bytes())
        .ok_or_else(|| format!("'{text}' is compared with a {column_type} and is none"))?;
    let value = if column_type == ColumnType::Date { time::as_day(moment) } else { time::as_micros(moment) };
    Ok((Node::Whole(value), other))
}

#[cfg(test)]
mod tests;
