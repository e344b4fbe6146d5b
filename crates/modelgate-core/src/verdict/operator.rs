//! Which way a bound holds: a limit without it is a number that may be a floor or a ceiling.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metric::{Direction, direction};
use crate::rule::{Check, GateRule};

/// How a value stands to the limit that it was held against, where the rule passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Operator {
    /// The limit is a floor.
    #[serde(rename = ">=")]
    AtLeast,
    /// The limit is a ceiling.
    #[serde(rename = "<=")]
    AtMost,
    /// The value is the limit.
    #[serde(rename = "=")]
    Equals,
}

impl Operator {
    /// Returns which way the bound of a rule holds; `None` for one of schemas, which has none.
    pub fn of(rule: &GateRule) -> Option<Self> {
        match rule.check {
            Check::AtLeast(_) | Check::MaxDrop { .. } => Some(Self::AtLeast),
            Check::AtMost(_) | Check::MaxRise { .. } | Check::SlicesNotWorse { .. } => Some(Self::AtMost),
            Check::Equals(_) => Some(Self::Equals),
            Check::NonInferior { .. } if direction(&rule.metric) == Some(Direction::LowerIsBetter) => {
                Some(Self::AtMost)
            }
            Check::NonInferior { .. } => Some(Self::AtLeast),
            Check::SchemaCompatible { .. } => None,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::AtLeast => "≥",
            Self::AtMost => "≤",
            Self::Equals => "=",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::parse_expression;

    #[test]
    fn a_limit_says_which_way_it_holds() {
        for (text, expected) in [("f1 >= 0.9", "≥"), ("log_loss <= 1", "≤")] {
            let rule = parse_expression(text).expect("a rule");
            assert_eq!(Operator::of(&rule).expect("an operator").to_string(), expected);
        }
        assert_eq!(serde_json::to_string(&Operator::AtMost).expect("JSON"), "\"<=\"");
    }
}
