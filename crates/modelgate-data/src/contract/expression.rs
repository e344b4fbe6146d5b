//! The language of row rules: numbers, text, columns, `+ - * / %`, comparisons, `and`, `or`, `not`, and functions.
//!
//! Precedence from loose to tight: `or`, `and`, `not`, comparisons, `+ -`, `* / %`, unary minus. A column whose name is
//! not a plain word stands in backticks. A null makes what it is part of null, as in SQL, and a row whose check is
//! null keeps the rule. The value of a date column is its day and that of a timestamp its microsecond, both since
//! 1970; beside one of them text is read as a date.

use crate::batch::{BatchColumn, Cells};
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
    Text(String),
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
    let tokens = tokens(text)?;
    if tokens.len() > LONGEST {
        return Err(format!("it has more than {LONGEST} words and signs; make several rules of it"));
    }
    let mut parser =
        Parser { tokens: &tokens, at: 0, depth: 0, columns: Vec::new(), types: Vec::new(), column_type };
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

#[derive(Clone, PartialEq, Debug)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

impl Token {
    fn show(&self) -> String {
        match self {
            Self::Number(value) => value.to_string(),
            Self::Text(text) => format!("'{text}'"),
            Self::Word(word) | Self::Quoted(word) => word.clone(),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

const SIGNS: [&str; 15] = ["==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ",", "="];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length;
        if matches!(first, '\'' | '"' | '`') {
            let end = rest[1..].find(first).ok_or_else(|| format!("a {first} is not closed"))?;
            let inside = rest[1..=end].to_owned();
            found.push(if first == '`' { Token::Quoted(inside) } else { Token::Text(inside) });
            length = end + 2;
        } else if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|next: char| next.is_ascii_digit()))
        {
            let bytes = rest.as_bytes();
            let mut end = 0;
            while end < bytes.len() {
                let is_sign =
                    matches!(bytes[end], b'+' | b'-') && end > 0 && matches!(bytes[end - 1], b'e' | b'E');
                if !(bytes[end].is_ascii_digit() || matches!(bytes[end], b'.' | b'e' | b'E') || is_sign) {
                    break;
                }
                end += 1;
            }
            let number =
                rest[..end].parse::<f64>().map_err(|_| format!("`{}` is not a number", &rest[..end]))?;
            found.push(Token::Number(number));
            length = end;
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '.'))
                .unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            length = end;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push(Token::Sign(if *sign == "=" { "==" } else { sign }));
            length = sign.len();
        } else {
            return Err(format!("`{first}` has no meaning here"));
        }
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    columns: Vec<String>,
    types: Vec<ColumnType>,
    column_type: &'a dyn Fn(&str) -> Option<ColumnType>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(other)) if *other == sign);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(other)) if other == word);
        self.at += usize::from(found);
        found
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST { Err("the expression is nested too deep".to_owned()) } else { Ok(()) }
    }

    fn or(&mut self) -> Result<Node, String> {
        self.deeper()?;
        let mut left = self.and()?;
        while self.word("or") {
            left = Node::Binary(Operator::Or, Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, String> {
        let mut left = self.not()?;
        while self.word("and") {
            left = Node::Binary(Operator::And, Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, String> {
        if self.word("not") {
            self.deeper()?;
            let inner = self.not()?;
            self.depth -= 1;
            return Ok(Node::Not(Box::new(inner)));
        }
        let left = self.sum()?;
        let operators = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (sign, operator) in operators {
            if self.sign(sign) {
                return Ok(Node::Binary(operator, Box::new(left), Box::new(self.sum()?)));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Node, String> {
        let mut left = self.product()?;
        loop {
            let operator = if self.sign("+") {
                Operator::Add
            } else if self.sign("-") {
                Operator::Subtract
            } else {
                return Ok(left);
            };
            left = Node::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Node, String> {
        let mut left = self.unary()?;
        loop {
            let operator = if self.sign("*") {
                Operator::Multiply
            } else if self.sign("/") {
                Operator::Divide
            } else if self.sign("%") {
                Operator::Remainder
            } else {
                return Ok(left);
            };
            left = Node::Binary(operator, Box::new(left), Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Result<Node, String> {
        if self.sign("-") {
            self.deeper()?;
            let inner = self.unary()?;
            self.depth -= 1;
            return Ok(Node::Negate(Box::new(inner)));
        }
        if self.sign("(") {
            let inner = self.or()?;
            return if self.sign(")") { Ok(inner) } else { Err("a `(` is not closed".to_owned()) };
        }
        let token = self.peek().cloned().ok_or("the expression ends too early")?;
        self.at += 1;
        match token {
            Token::Number(value) => Ok(Node::Number(value)),
            Token::Text(text) => Ok(Node::Text(text)),
            Token::Quoted(name) => self.column(&name),
            Token::Word(word) if self.sign("(") => {
                let function = FUNCTIONS.iter().find(|(name, _)| *name == word).ok_or_else(|| {
                    let known: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
                    format!("there is no function `{word}`; there is {}", known.join(", "))
                })?;
                let mut arguments = Vec::new();
                while !self.sign(")") {
                    if !arguments.is_empty() && !self.sign(",") {
                        return Err(format!("the arguments of `{word}` are not closed by `)`"));
                    }
                    arguments.push(self.or()?);
                }
                Ok(Node::Call(function.1, arguments))
            }
            Token::Word(word) => self.column(&word),
            Token::Sign(sign) => Err(format!("`{sign}` stands where a value is expected")),
        }
    }

    fn column(&mut self, name: &str) -> Result<Node, String> {
        if let Some(place) = self.columns.iter().position(|column| column == name) {
            return Ok(Node::Column(place));
        }
        let column_type = (self.column_type)(name)
            .ok_or_else(|| format!("the column `{name}` is not in the contract's `columns`"))?;
        self.columns.push(name.to_owned());
        self.types.push(column_type);
        Ok(Node::Column(self.columns.len() - 1))
    }
}

/// Checks that kinds go together; text beside a date becomes a number.
fn check(node: Node, types: &[ColumnType]) -> Result<(Node, Kind), String> {
    Ok(match node {
        Node::Number(_) => (node, Kind::Number),
        Node::Text(_) => (node, Kind::Text),
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

fn as_time(node: Node, kind: Kind, other: Kind) -> Result<(Node, Kind), String> {
    let (Node::Text(text), Kind::Time(column_type)) = (&node, other) else { return Ok((node, kind)) };
    let moment = time::parse(text.as_bytes())
        .ok_or_else(|| format!("'{text}' is compared with a {column_type} and is none"))?;
    let value = if column_type == ColumnType::Date { time::as_day(moment) } else { time::as_micros(moment) };
    Ok((Node::Number(value as f64), other))
}

/// The values of some rows; NaN and `None` are null.
enum Values<'a> {
    Numbers(Vec<f64>),
    Texts(Vec<Option<std::borrow::Cow<'a, str>>>),
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
                let length = |value: Option<std::borrow::Cow<'_, str>>| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Texts;

    fn known(name: &str) -> Option<ColumnType> {
        match name {
            "a" | "b" | "a b" => Some(ColumnType::Float),
            "t" => Some(ColumnType::String),
            "d" => Some(ColumnType::Date),
            "f" => Some(ColumnType::Bool),
            _ => None,
        }
    }

    fn broken(text: &str) -> Vec<usize> {
        let expression = parse(text, &known).expect("an expression");
        let mut texts = Texts::default();
        [Some("x"), Some("Y"), None].into_iter().for_each(|text| texts.push(text));
        let column = |cells: Cells| BatchColumn { cells, bad_count: 0, bad: Vec::new() };
        let all = [
            ("a", column(Cells::Float(vec![1.0, 2.0, f64::NAN]))),
            ("b", column(Cells::Float(vec![3.0, 2.0, 1.0]))),
            ("a b", column(Cells::Float(vec![0.0; 3]))),
            ("t", column(Cells::Text(texts))),
            ("d", column(Cells::Int(vec![Some(16_356), Some(0), None]))),
            ("f", column(Cells::Int(vec![Some(1), Some(0), None]))),
        ];
        let find = |name: &String| &all.iter().find(|(other, _)| other == name).expect("known").1;
        let columns: Vec<&BatchColumn> = expression.columns.iter().map(find).collect();
        expression.broken(&columns, 3)
    }

    #[test]
    fn rules_are_judged_row_by_row_and_null_keeps_them() {
        assert_eq!(broken("a < b"), [1]);
        assert_eq!(broken("a + b * 2 == 7"), [1]);
        assert_eq!(broken("not (a == 1 or b == 1)"), [0, 2]);
        assert_eq!(broken("t == 'x'"), [1]);
        assert_eq!(broken("lower(t) != 'y' and length(t) = 1"), [1]);
        assert_eq!(broken("year(d) == 2014 and month(d) == 10 and day(d) == 13"), [1]);
        assert_eq!(broken("d >= '2000-01-01'"), [1]);
        assert_eq!(broken("d - d == 0"), Vec::<usize>::new());
        assert_eq!(broken("f"), [1]);
        assert_eq!(broken("`a b` == 0 and min(a, b, 5) >= -1e3 % 7"), Vec::<usize>::new());
        assert_eq!(broken("not is_null(a)"), [2]);
        assert_eq!(broken("max(a, b) > 2"), [1]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (text, expected) in [
            ("", "ends too early"),
            ("a", "not a condition"),
            ("a <", "ends too early"),
            ("a < z", "`z` is not in the contract"),
            ("a < t", "different types"),
            ("t + 1 == 2", "for numbers"),
            ("year(a) == 1", "`year` does not take"),
            ("foo(a) == 1", "no function `foo`"),
            ("(a < b", "`(` is not closed"),
            ("a < b b", "`b` stands where"),
            ("d > 'x'", "'x' is compared with a date"),
            ("a < 'unclosed", "is not closed"),
            ("a & b", "`&` has no meaning"),
            ("a == 1 or", "ends too early"),
        ] {
            let error = parse(text, &known).expect_err(text);
            assert!(error.contains(expected), "{expected} not in {error}");
        }
        let deep = format!("{}a < b{}", "(".repeat(5000), ")".repeat(5000));
        assert!(parse(&deep, &known).is_err());
        let deep = format!("{}f", "not ".repeat(5000));
        assert!(parse(&deep, &known).is_err());
    }
}
