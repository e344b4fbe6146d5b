//! Words and signs of an expression, and the tree they make.

use super::{DEEPEST, FUNCTIONS, Node, Operator};
use crate::types::{ColumnType, parse_bool};

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Number(f64),
    Whole(i64),
    Text(String),
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

impl Token {
    pub(super) fn show(&self) -> String {
        match self {
            Self::Number(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Text(text) => format!("'{text}'"),
            Self::Word(word) | Self::Quoted(word) => word.clone(),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

const SIGNS: [&str; 15] = ["==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ",", "="];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
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
                || rest[..end].parse::<f64>().map_err(|_| format!("`{}` is not a number", &rest[..end]));
            found.push(match rest[..end].parse::<i64>() {
                Ok(whole) => Token::Whole(whole),
                Err(_) => Token::Number(number()?),
            });
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

pub(super) struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    pub(super) columns: Vec<String>,
    pub(super) types: Vec<ColumnType>,
    column_type: &'a dyn Fn(&str) -> Option<ColumnType>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(tokens: &'a [Token], column_type: &'a dyn Fn(&str) -> Option<ColumnType>) -> Self {
        Self { tokens, at: 0, depth: 0, columns: Vec::new(), types: Vec::new(), column_type }
    }

    pub(super) fn peek(&self) -> Option<&Token> {
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

    pub(super) fn or(&mut self) -> Result<Node, String> {
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
            Token::Whole(value) => Ok(Node::Whole(value)),
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
            Token::Word(word) if (self.column_type)(&word).is_none() => {
                match (word.as_str(), parse_bool(word.as_bytes())) {
                    (_, Some(value)) => Ok(Node::Bool(value)),
                    ("null" | "NULL" | "None", _) => Err(format!(
                        "nothing is compared with `{word}`: use `is_null(column)`, or `not is_null(column)`"
                    )),
                    _ => self.column(&word),
                }
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
