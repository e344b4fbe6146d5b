//! One value of a request, before it is known what the model makes of it.

/// A value as it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(&'a str),
    List,
    Object,
}

impl Cell<'_> {
    /// A whole number that is not below zero.
    pub(crate) fn unsigned(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Number(value as f64), Self::Int)
    }

    /// Returns what it is, in words.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a whole number",
            Self::Number(number) if number.is_finite() => "a number",
            Self::Number(_) => "a number that is not finite",
            Self::Text(_) => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}
