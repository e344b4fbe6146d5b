//! A rule as the project file writes it, and as the gate judges it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use modelgate_core::metric::{Direction, direction};
use modelgate_core::rule::{Amount, Check, GateRule, Slice, Subset, Versus, slice_name};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::project::{SubsetName, TaskKind};
use crate::rollout::check_rollout_rule;
use crate::slice_value::{SliceValue, reversed};

/// One rule: exactly one of `at_least`, `at_most` and `equals`, or `versus` with one of `max_drop`, `max_rise` and
/// `non_inferior`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// Unique in its gate; made from the rule by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A metric of the evaluation, `schema` or `slices`.
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
    /// The part of those rows: the value of one or more columns, numbers also as a range such as `30..40`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slice: BTreeMap<String, SliceValue>,
    /// The value is this; `compatible` for the metric `schema`, `not_worse` for `slices`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<EqualsValue>,
    /// What is compared with: `production`, `baseline` or `run:ID`; in a rollout `stable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versus: Option<String>,
    /// How much lower than the reference the value may be: `0.01`, or `2%` of the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<AmountValue>,
    /// How much higher than the reference the value may be: `0.01`, or `2%` of the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rise: Option<AmountValue>,
    /// The value is shown to be no worse than the reference, by a bootstrap of the same rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_inferior: Option<NonInferior>,
    /// With fewer rows than this the rule is inconclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
}

/// What it takes to be no worse.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NonInferior {
    /// How much worse still counts as no worse: `0.01`, or `2%` of the reference.
    pub margin: AmountValue,
    /// How sure that must be, one-sided.
    #[serde(default = "default_confidence")]
    pub confidence: f64,
}

fn default_confidence() -> f64 {
    0.95
}

/// A number, or the word `compatible` or `not_worse`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum EqualsValue {
    /// A number.
    Number(f64),
    /// The word `not_worse`, for the metric `slices`.
    NotWorse,
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
            expected: "a finite number, or the word `compatible` or `not_worse`",
            number: |value| value.is_finite().then_some(Self::Number(value)),
            text: |text| match text {
                "compatible" => Some(Self::Compatible),
                "not_worse" => Some(Self::NotWorse),
                _ => None,
            },
        })
    }
}

impl Serialize for EqualsValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(value) => serializer.serialize_f64(*value),
            Self::Compatible => serializer.serialize_str("compatible"),
            Self::NotWorse => serializer.serialize_str("not_worse"),
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
        json_schema!({ "oneOf": [{ "type": "number" }, { "enum": ["compatible", "not_worse"] }] })
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
        let rule = self.read()?;
        if rule.check.versus() == Some(&Versus::Stable) {
            return Err("`versus: stable` is for the rules of a rollout, `serve.rollout.rules`".to_owned());
        }
        Ok(rule)
    }

    /// Returns the rule as a rollout is judged by it.
    ///
    /// # Errors
    /// Says which keys do not go together, or what a rollout does not measure.
    pub fn to_rollout_rule(&self) -> Result<GateRule, String> {
        let rule = self.read()?;
        check_rollout_rule(&rule)?;
        Ok(rule)
    }

    fn read(&self) -> Result<GateRule, String> {
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
        let slice: Slice =
            self.slice.iter().map(|(column, value)| (column.clone(), value.0.clone())).collect();
        if !slice.is_empty() && matches!(self.metric.as_str(), "schema" | "slices") {
            return Err(format!("a rule on `{}` looks at all rows and takes no `slice`", self.metric));
        }
        if let Some((column, value)) = slice.iter().find(|(_, value)| reversed(value)) {
            return Err(format!(
                "`slice: {{{column}: {value}}}` holds no row: the lower end stands first, and the upper end is left out"
            ));
        }
        if let Some(id) = &self.id
            && (id.trim().is_empty() || id.chars().any(char::is_control))
        {
            return Err("`id` is what reports call the rule: one line that is not empty".to_owned());
        }
        let id = self.id.clone().unwrap_or_else(|| default_id(&self.metric, &check, on, &slice));
        Ok(GateRule { id, metric: self.metric.clone(), on, check, slice, min_samples: self.min_samples })
    }

    fn check(&self, versus: Option<Versus>) -> Result<Check, String> {
        let wanted = "a rule has exactly one of `at_least`, `at_most` and `equals`, or `versus` with one of `max_drop`, `max_rise` and `non_inferior`";
        let known = direction(&self.metric);
        let given = [
            self.at_least.is_some(),
            self.at_most.is_some(),
            self.equals.is_some(),
            self.max_drop.is_some(),
            self.max_rise.is_some(),
            self.non_inferior.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            return Err(wanted.to_owned());
        }
        match (self.metric.as_str(), self.equals, &versus) {
            ("schema", Some(EqualsValue::Compatible), Some(versus)) => {
                return Ok(Check::SchemaCompatible { versus: versus.clone() });
            }
            ("schema", _, _) => {
                return Err("a rule on `schema` has `versus` and `equals: compatible`".to_owned());
            }
            ("slices", Some(EqualsValue::NotWorse), Some(Versus::Production)) => {
                return Ok(Check::SlicesNotWorse { versus: Versus::Production });
            }
            ("slices", _, _) => {
                return Err("a rule on `slices` has `versus: production` and `equals: not_worse`".to_owned());
            }
            (_, Some(EqualsValue::Compatible), _) => {
                return Err("`equals: compatible` is for the metric `schema`".to_owned());
            }
            (_, Some(EqualsValue::NotWorse), _) => {
                return Err("`equals: not_worse` is for the metric `slices`".to_owned());
            }
            _ => {}
        }
        let missing = || format!("`versus` is missing; {wanted}");
        match (self.at_least, self.at_most, self.equals, self.max_drop, self.max_rise, self.non_inferior) {
            (Some(limit), ..) if versus.is_none() => Ok(Check::AtLeast(limit)),
            (_, Some(limit), ..) if versus.is_none() => Ok(Check::AtMost(limit)),
            (_, _, Some(EqualsValue::Number(limit)), ..) if versus.is_none() => Ok(Check::Equals(limit)),
            (_, _, _, Some(limit), ..) => {
                if known == Some(Direction::LowerIsBetter) {
                    return Err(format!("{} is better when it is lower: use `max_rise`", self.metric));
                }
                Ok(Check::MaxDrop { versus: versus.ok_or_else(missing)?, limit: limit.0 })
            }
            (_, _, _, _, Some(limit), _) => {
                if known == Some(Direction::HigherIsBetter) {
                    return Err(format!("{} is better when it is higher: use `max_drop`", self.metric));
                }
                Ok(Check::MaxRise { versus: versus.ok_or_else(missing)?, limit: limit.0 })
            }
            (.., Some(asked)) => non_inferior(&self.metric, asked, versus.ok_or_else(missing)?),
            _ => Err(wanted.to_owned()),
        }
    }
}

fn non_inferior(metric: &str, asked: NonInferior, versus: Versus) -> Result<Check, String> {
    if direction(metric).is_none() {
        return Err(format!(
            "which way `{metric}` is better is not known: `non_inferior` takes a metric of modelgate"
        ));
    }
    if versus != Versus::Production {
        return Err(format!(
            "`non_inferior` compares the same rows and needs the model: `{versus}` has figures only"
        ));
    }
    let confidence = asked.confidence;
    if !(0.5..1.0).contains(&confidence) {
        return Err(format!("`confidence` is {confidence}: expected at least 0.5 and below 1"));
    }
    Ok(Check::NonInferior { versus, margin: asked.margin.0, confidence })
}

fn default_id(metric: &str, check: &Check, on: Option<Subset>, slice: &Slice) -> String {
    let mut on = on.map_or_else(String::new, |on| format!("-on-{on}"));
    if !slice.is_empty() {
        on.push_str(&format!("-where-{}", slice_name(slice).replace(", ", "-and-")));
    }
    match check {
        Check::AtLeast(_) => format!("min-{metric}{on}"),
        Check::AtMost(_) => format!("max-{metric}{on}"),
        Check::Equals(_) => format!("{metric}-equals{on}"),
        Check::MaxDrop { versus, .. } | Check::MaxRise { versus, .. } => {
            format!("{metric}-versus-{versus}{on}")
        }
        Check::NonInferior { versus, .. } => format!("{metric}-not-worse-than-{versus}{on}"),
        Check::SlicesNotWorse { versus } => format!("slices-versus-{versus}{on}"),
        Check::SchemaCompatible { versus } => format!("schema-versus-{versus}"),
    }
}

/// The rules against production of a gate that names none, as a project file writes them, each with what it is for: what
/// `init` writes and what holds without a file's saying so are one list.
const CLASSIFICATION_RULES: [(&str, &str); 4] = [
    ("{metric: f1, versus: production, max_drop: 0.01}", ""),
    ("{metric: calibration_error, versus: production, max_rise: 0.05}", ""),
    ("{metric: slices, versus: production, equals: not_worse}", "no group of rows may pay for the rest"),
    ("{metric: schema, versus: production, equals: compatible}", ""),
];
const REGRESSION_RULES: [(&str, &str); 3] = [
    ("{metric: rmse, versus: production, max_rise: 2%}", ""),
    ("{metric: slices, versus: production, equals: not_worse}", "no group of rows may pay for the rest"),
    ("{metric: schema, versus: production, equals: compatible}", ""),
];

/// Returns the default rules as a project file writes them, each with a comment that may be empty.
pub(crate) fn default_rule_lines(task: TaskKind) -> &'static [(&'static str, &'static str)] {
    match task {
        TaskKind::Regression => &REGRESSION_RULES,
        TaskKind::Classification => &CLASSIFICATION_RULES,
    }
}

/// Returns the rules of a gate that names none: no regression against production, of the whole, of its calibration or of
/// a part, and a compatible schema.
///
/// # Panics
/// When a constant of ours is no rule, which a test reads first.
pub fn default_rules(task: TaskKind) -> Vec<RuleConfig> {
    let read = |line: &str| serde_saphyr::from_str(line).expect("a constant that a test reads");
    default_rule_lines(task).iter().map(|(line, _)| read(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_writes_and_what_holds_without_rules_are_one_list() {
        for (task, count) in [(TaskKind::Classification, 4), (TaskKind::Regression, 3)] {
            let defaults = default_rules(task);
            assert_eq!(defaults.len(), count);
            let text = crate::template("p", "data.csv", "y", task);
            let config = crate::parse(&text, std::path::Path::new("modelgate.yaml")).expect("valid");
            let written = config.pipelines["p"].gate.rules.clone().expect("rules");
            // The first is a bound that only the user knows.
            assert_eq!(written[1..], defaults);
            for rule in &defaults {
                let _ = rule.to_rule().expect("a rule");
            }
        }
    }
}
