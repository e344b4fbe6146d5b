//! Rules: what a gate asks of a model, in the grammar that is the same everywhere.
//!
//! The key type is [`GateRule`]. A rule is judged in [`crate::verdict`]; it is read from YAML in `modelgate-config`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, RunId, canonical};

/// The rows a metric is measured on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subset {
    /// The rows held back for decisions.
    Validation,
    /// The rows held back for the final figure.
    Test,
    /// The requests that a running service answered while it was looked at.
    Window,
    /// The requests that a canary answered while it was looked at.
    Canary,
    /// Copies of requests that the canary answered beside the version in production.
    Shadow,
}

impl Subset {
    /// Returns the name as the project file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Test => "test",
            Self::Window => "window",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }

    /// Returns in words which rows `metric` is of: these, or all, which a data contract is checked on.
    pub fn rows_of(self, metric: &str) -> &'static str {
        if is_of_contract(metric) { "all rows" } else { self.as_str() }
    }
}

/// Returns whether a metric counts what a data contract found.
pub(crate) fn is_of_contract(metric: &str) -> bool {
    metric.starts_with("contract.")
}

impl fmt::Display for Subset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What a candidate is compared with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versus {
    /// The model in production, scored again on the same rows.
    Production,
    /// The stored metrics of `baselines/<model>.json`.
    Baseline,
    /// The stored metrics of one run.
    Run(RunId),
    /// In a rollout: the version in production, over the same time.
    Stable,
}

impl fmt::Display for Versus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Production => formatter.write_str("production"),
            Self::Baseline => formatter.write_str("baseline"),
            Self::Run(run) => write!(formatter, "run:{run}"),
            Self::Stable => formatter.write_str("stable"),
        }
    }
}

impl FromStr for Versus {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "production" => Ok(Self::Production),
            "baseline" => Ok(Self::Baseline),
            "stable" => Ok(Self::Stable),
            _ => match text.strip_prefix("run:").map(str::parse) {
                Some(Ok(run)) => Ok(Self::Run(run)),
                _ => Err(RuleError::Versus(text.chars().take(80).collect())),
            },
        }
    }
}

/// How far a metric may move.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// In units of the metric.
    Absolute(f64),
    /// As a share of the reference's magnitude; `0.02` is written `2%`.
    Relative(f64),
}

impl Amount {
    /// Returns the amount in units of the metric, for a reference value.
    pub fn of(self, reference: f64) -> f64 {
        match self {
            Self::Absolute(amount) => amount,
            Self::Relative(share) => share * reference.abs(),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(amount) => write!(formatter, "{amount}"),
            // Rounded so that 0.02 · 100 prints as 2%, not 2.0000000000000004%.
            Self::Relative(share) => write!(formatter, "{}%", (share * 1e10).round() / 1e8),
        }
    }
}

impl FromStr for Amount {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, relative) = match text.trim().strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (text.trim(), false),
        };
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() && value >= 0.0 => {
                Ok(if relative { Self::Relative(value / 100.0) } else { Self::Absolute(value) })
            }
            _ => Err(RuleError::Amount(text.chars().take(80).collect())),
        }
    }
}

/// What a rule checks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The value is at least this.
    AtLeast(f64),
    /// The value is at most this.
    AtMost(f64),
    /// The value is this, to the bit.
    Equals(f64),
    /// The value is not lower than the reference by more than the limit.
    MaxDrop {
        /// The reference.
        versus: Versus,
        /// The limit.
        limit: Amount,
    },
    /// The value is not higher than the reference by more than the limit.
    MaxRise {
        /// The reference.
        versus: Versus,
        /// The limit.
        limit: Amount,
    },
    /// The value is shown not to be worse than the reference by the margin or more, on the same rows.
    NonInferior {
        /// The reference.
        versus: Versus,
        /// How much worse still counts as no worse.
        margin: Amount,
        /// How sure that must be, one-sided, between 0.5 and 1.
        confidence: f64,
    },
    /// No part of the rows is worse than the reference beyond chance.
    SlicesNotWorse {
        /// The reference.
        versus: Versus,
    },
    /// The candidate takes and gives what the reference does.
    SchemaCompatible {
        /// The reference.
        versus: Versus,
    },
}

impl Check {
    /// Returns what is compared with, if anything.
    pub fn versus(&self) -> Option<&Versus> {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) | Self::Equals(_) => None,
            Self::MaxDrop { versus, .. }
            | Self::MaxRise { versus, .. }
            | Self::NonInferior { versus, .. }
            | Self::SlicesNotWorse { versus }
            | Self::SchemaCompatible { versus } => Some(versus),
        }
    }
}

/// The part of the rows that a rule looks at: what each column is, as text; all of it holds. A number is written as it
/// is or as a range such as `30..40`, the upper end left out; an empty text means the rows without a value.
pub type Slice = BTreeMap<String, String>;

/// Returns the name of a slice, such as `age=30..40, region=north`; empty for all rows.
pub fn slice_name(slice: &Slice) -> String {
    let named = slice.iter().map(|(column, value)| {
        if value.is_empty() { format!("{column} is missing") } else { format!("{column}={value}") }
    });
    named.collect::<Vec<_>>().join(", ")
}

/// One rule of a gate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GateRule {
    /// Unique in its gate; shown in every report.
    pub id: String,
    /// The metric's name, or `schema`.
    pub metric: String,
    /// The rows it is measured on; `None` takes the gate's.
    pub on: Option<Subset>,
    /// What is checked.
    pub check: Check,
    /// The part of those rows; all of them when empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slice: Slice,
    /// With fewer rows than this the rule is inconclusive.
    pub min_samples: Option<u64>,
}

impl GateRule {
    /// Returns the digest of all that the rule asks for; `None` for one with a limit that is no number.
    pub fn digest(&self) -> Option<Digest> {
        canonical::digest(self).ok()
    }
}

/// Text that is not a rule, or not a part of one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// Not `production`, `baseline`, `run:ID` or `stable`.
    #[error(
        "`{0}` cannot be compared with: expected `production`, `baseline` or `run:ID`, or `stable` in a rollout"
    )]
    Versus(String),
    /// Not a number or a percentage.
    #[error("`{0}` is not an amount: expected a number from 0 such as `0.01`, or a share such as `2%`")]
    Amount(String),
    /// Not `METRIC >= NUMBER`.
    #[error("`{0}` is not a rule: expected `METRIC >= NUMBER`, `METRIC <= NUMBER` or `METRIC == NUMBER`")]
    Expression(String),
    /// Not that either, nor a comparison with `stable`.
    #[error(
        "`{0}` is not a rule: expected `METRIC <= NUMBER`, `METRIC >= NUMBER`, `METRIC <= stable + AMOUNT` or `METRIC >= stable - AMOUNT`, an amount being a number or a share such as `20%`"
    )]
    RolloutExpression(String),
}

/// Reads a rule from a command line, such as `val_auc >= 0.92`; its id is the expression itself. A name may hold blanks, as those
/// of other tools do: it ends at the sign.
///
/// # Errors
/// Fails when there is no metric, no `>=`, `<=` or `==`, or the limit is not a finite number.
pub fn parse_expression(text: &str) -> Result<GateRule, RuleError> {
    let error = || RuleError::Expression(text.chars().take(120).collect());
    let found =
        [">=", "<=", "=="].into_iter().find_map(|sign| text.split_once(sign).map(|halves| (sign, halves)));
    let (sign, (metric, limit)) = found.ok_or_else(error)?;
    let (metric, limit) = (metric.trim(), limit.trim());
    let limit: f64 = limit.parse().ok().filter(|limit: &f64| limit.is_finite()).ok_or_else(error)?;
    if metric.is_empty() || metric.contains(['<', '>', '=', '\n']) {
        return Err(error());
    }
    let check = match sign {
        ">=" => Check::AtLeast(limit),
        "<=" => Check::AtMost(limit),
        _ => Check::Equals(limit),
    };
    let id = format!("{metric} {sign} {limit}");
    Ok(GateRule { id, metric: metric.to_owned(), on: None, check, slice: Slice::new(), min_samples: None })
}

/// Reads a rule of a rollout from a command line: as [`parse_expression`], or against the version in production, such as
/// `latency.p99_ms <= stable + 20%`.
///
/// # Errors
/// Fails for what is neither.
pub fn parse_rollout_expression(text: &str) -> Result<GateRule, RuleError> {
    let error = || RuleError::RolloutExpression(text.chars().take(120).collect());
    let Some((sign, (metric, limit))) =
        [">=", "<="].into_iter().find_map(|sign| text.split_once(sign).map(|halves| (sign, halves)))
    else {
        return parse_expression(text).map_err(|_| error());
    };
    let Some(amount) = limit.trim().strip_prefix("stable") else {
        return parse_expression(text).map_err(|_| error());
    };
    let (metric, amount) = (metric.trim(), amount.trim());
    if metric.is_empty() || metric.contains(|letter: char| letter.is_whitespace() || "<>=".contains(letter)) {
        return Err(error());
    }
    let amount = match (sign, amount.chars().next()) {
        (_, None) => Amount::Absolute(0.0),
        ("<=", Some('+')) | (">=", Some('-')) => amount[1..].parse().map_err(|_| error())?,
        _ => return Err(error()),
    };
    let versus = Versus::Stable;
    let check = match sign {
        "<=" => Check::MaxRise { versus, limit: amount },
        _ => Check::MaxDrop { versus, limit: amount },
    };
    let id = format!("{metric} {sign} {}", limit.trim());
    Ok(GateRule { id, metric: metric.to_owned(), on: None, check, slice: Slice::new(), min_samples: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_a_rollout_may_compare_with_stable() {
        let check = |text: &str| parse_rollout_expression(text).expect("rule").check;
        let versus = Versus::Stable;
        let limit = Amount::Relative(0.2);
        assert_eq!(check("latency.p99_ms <= stable + 20%"), Check::MaxRise { versus, limit });
        let (versus, limit) = (Versus::Stable, Amount::Absolute(0.1));
        assert_eq!(check("x>=stable-0.1"), Check::MaxDrop { versus, limit });
        assert_eq!(check("rollout.error_rate <= 0.02"), Check::AtMost(0.02));
        let (versus, limit) = (Versus::Stable, Amount::Absolute(0.0));
        assert_eq!(check("x <= stable"), Check::MaxRise { versus, limit });
        for text in
            ["x <= stable - 1", "x >= stable + 1", "x == stable", "x <= stable + é", "<= stable", "x < 1"]
        {
            assert!(parse_rollout_expression(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_expression_becomes_a_rule() {
        let rule = parse_expression("val_auc>=0.92").expect("rule");
        assert_eq!((rule.metric.as_str(), &rule.check), ("val_auc", &Check::AtLeast(0.92)));
        let rule = parse_expression("macro avg.f1-score >= 0.8").expect("rule");
        assert_eq!(
            (rule.metric.as_str(), rule.id.as_str()),
            ("macro avg.f1-score", "macro avg.f1-score >= 0.8")
        );
        assert_eq!(parse_expression(" loss <= 1e-3 ").expect("rule").check, Check::AtMost(0.001));
    }

    #[test]
    fn what_is_not_a_rule_is_refused() {
        for text in
            ["", ">= 1", "a > 1", "a >= x", "a >= NaN", "a >= inf", "a\nb >= 1", "a >= 1 >= 2", "a => 1"]
        {
            assert!(parse_expression(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_amount_is_absolute_or_a_share() {
        assert_eq!("0.01".parse(), Ok(Amount::Absolute(0.01)));
        assert_eq!("2%".parse(), Ok(Amount::Relative(0.02)));
        assert_eq!(Amount::Relative(0.02).to_string(), "2%");
        assert!((Amount::Relative(0.02).of(-50.0) - 1.0).abs() < 1e-12);
        for text in ["", "-1", "x", "NaN", "inf%", "%"] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }
}
