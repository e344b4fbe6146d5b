//! A rule as the project file writes it, and as the gate judges it.

use std::borrow::Cow;
use std::fmt;

use modelgate_core::metric::{Direction, direction};
use modelgate_core::rule::{Amount, Check, GateRule, Subset, Versus};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::project::{SubsetName, TaskKind};

/// One rule: exactly one of `at_least`, `at_most` and `equals`, or `versus` with one of `max_drop` and `max_rise`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// Unique in its gate; made from the rule by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A metric of the evaluation, or `schema`.
    pub metric: String,
    /// The rows it is measured on; the gate's by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<SubsetName>,
    /// The value is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The value is at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The value is this; `compatible` for the metric `schema`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<EqualsValue>,
    /// What is compared with: `production`, `baseline` or `run:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versus: Option<String>,
    /// How much lower than the reference the value may be: `0.01`, or `2%` of the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<AmountValue>,
    /// How much higher than the reference the value may be: `0.01`, or `2%` of the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rise: Option<AmountValue>,
    /// With fewer rows than this the rule is inconclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
}

/// A number, or the word `compatible`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum EqualsValue {
    /// A number.
    Number(f64),
    /// The word `compatible`, for the metric `schema`.
    Compatible,
}

/// A number, or a share such as `2%`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AmountValue(pub Amount);

struct NumberOrText<T> {
    expected: &'static str,
    number: fn(f64) -> Option<T>,
    text: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for NumberOrText<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        let error = || E::custom(format!("`{value}` is not {}", self.expected));
        (self.number)(value).ok_or_else(error)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        let error = || E::custom(format!("`{value}` is not {}", self.expected));
        (self.text)(value).ok_or_else(error)
    }
}

impl<'de> Deserialize<'de> for EqualsValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText {
            expected: "a finite number or the word `compatible`",
            number: |value| value.is_finite().then_some(Self::Number(value)),
            text: |text| (text == "compatible").then_some(Self::Compatible),
        })
    }
}

impl Serialize for EqualsValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(value) => serializer.serialize_f64(*value),
            Self::Compatible => serializer.serialize_str("compatible"),
        }
    }
}

impl<'de> Deserialize<'de> for AmountValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText {
            expected: "a number from 0 such as `0.01`, or a share such as `2%`",
            number: |value| (value.is_finite() && value >= 0.0).then_some(Self(Amount::Absolute(value))),
            text: |text| text.parse().ok().map(Self),
        })
    }
}

impl Serialize for AmountValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Amount::Absolute(value) => serializer.serialize_f64(value),
            Amount::Relative(_) => serializer.collect_str(&self.0),
        }
    }
}

impl JsonSchema for EqualsValue {
    fn schema_name() -> Cow<'static, str> {
        "EqualsValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "type": "number" }, { "const": "compatible" }] })
    }
}

impl JsonSchema for AmountValue {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": "^[0-9.]+ *%?$" }] })
    }
}

impl RuleConfig {
    /// Returns the rule as the gate judges it.
    ///
    /// # Errors
    /// Says which keys do not go together.
    pub fn to_rule(&self) -> Result<GateRule, String> {
        if self.metric.is_empty() {
            return Err("a rule names a `metric`".to_owned());
        }
        let versus = self
            .versus
            .as_deref()
            .map(str::parse::<Versus>)
            .transpose()
            .map_err(|error| error.to_string())?;
        let check = self.check(versus)?;
        if let Some(limit) = self.at_least.into_iter().chain(self.at_most).find(|limit| !limit.is_finite()) {
            return Err(format!("`{limit}` is not a limit: expected a finite number"));
        }
        let on = self.on.map(|on| match on {
            SubsetName::Validation => Subset::Validation,
            SubsetName::Test => Subset::Test,
        });
        let id = self.id.clone().unwrap_or_else(|| default_id(&self.metric, &check, on));
        Ok(GateRule { id, metric: self.metric.clone(), on, check, min_samples: self.min_samples })
    }

    fn check(&self, versus: Option<Versus>) -> Result<Check, String> {
        let wanted = "a rule has exactly one of `at_least`, `at_most` and `equals`, or `versus` with one of `max_drop` and `max_rise`";
        let schema = self.metric == "schema";
        let checks = (self.at_least, self.at_most, self.equals, self.max_drop, self.max_rise);
        match (checks, versus) {
            ((None, None, Some(EqualsValue::Compatible), None, None), Some(versus)) if schema => {
                Ok(Check::SchemaCompatible { versus })
            }
            _ if schema => Err("a rule on `schema` has `versus` and `equals: compatible`".to_owned()),
            ((Some(limit), None, None, None, None), None) => Ok(Check::AtLeast(limit)),
            ((None, Some(limit), None, None, None), None) => Ok(Check::AtMost(limit)),
            ((None, None, Some(EqualsValue::Number(limit)), None, None), None) => Ok(Check::Equals(limit)),
            ((None, None, Some(EqualsValue::Compatible), None, None), _) => {
                Err("`equals: compatible` is for the metric `schema`".to_owned())
            }
            ((None, None, None, Some(limit), None), Some(versus)) => {
                if direction(&self.metric) == Some(Direction::LowerIsBetter) {
                    return Err(format!("{} is better when it is lower: use `max_rise`", self.metric));
                }
                Ok(Check::MaxDrop { versus, limit: limit.0 })
            }
            ((None, None, None, None, Some(limit)), Some(versus)) => {
                if direction(&self.metric) == Some(Direction::HigherIsBetter) {
                    return Err(format!("{} is better when it is higher: use `max_drop`", self.metric));
                }
                Ok(Check::MaxRise { versus, limit: limit.0 })
            }
            ((None, None, None, Some(_), None) | (None, None, None, None, Some(_)), None) => {
                Err(format!("`versus` is missing; {wanted}"))
            }
            _ => Err(wanted.to_owned()),
        }
    }
}

fn default_id(metric: &str, check: &Check, on: Option<Subset>) -> String {
    let on = on.map_or_else(String::new, |on| format!("-on-{on}"));
    match check {
        Check::AtLeast(_) => format!("min-{metric}{on}"),
        Check::AtMost(_) => format!("max-{metric}{on}"),
        Check::Equals(_) => format!("{metric}-equals{on}"),
        Check::MaxDrop { versus, .. } | Check::MaxRise { versus, .. } => {
            format!("{metric}-versus-{versus}{on}")
        }
        Check::SchemaCompatible { versus } => format!("schema-versus-{versus}"),
    }
}

/// Returns the rules of a gate that names none: no regression against production, and a compatible schema.
pub fn default_rules(task: TaskKind) -> Vec<RuleConfig> {
    let production = || Some("production".to_owned());
    let figure = match task {
        TaskKind::Regression => RuleConfig {
            metric: "rmse".to_owned(),
            versus: production(),
            max_rise: Some(AmountValue(Amount::Relative(0.02))),
            ..RuleConfig::default()
        },
        _ => RuleConfig {
            metric: "f1".to_owned(),
            versus: production(),
            max_drop: Some(AmountValue(Amount::Absolute(0.01))),
            ..RuleConfig::default()
        },
    };
    let schema = RuleConfig {
        metric: "schema".to_owned(),
        versus: production(),
        equals: Some(EqualsValue::Compatible),
        ..RuleConfig::default()
    };
    vec![figure, schema]
}
