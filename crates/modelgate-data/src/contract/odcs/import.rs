//! A contract from one of the standard, and what of it is left out.

mod quality;

use quality::Asked;
use regex::Regex;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{OURS, wrong};
use crate::contract::{
    Bound, ColumnContract, Contract, ExtraColumns, Freshness, RowCount, RowRule, Severity, Tolerance,
    UniqueKey, check, words,
};
use crate::error::DataError;
use crate::types::ColumnType;

/// Reads a contract of the standard; the second part tells what of it is not carried over.
///
/// # Errors
/// Fails when it is not such a contract, and when a part that is carried over makes no sense.
pub fn from_odcs(text: &str, source: &str) -> Result<(Contract, Vec<String>), DataError> {
    let parsed = serde_saphyr::from_str_with_options(text, words::options());
    let all: Value = parsed.map_err(|error: serde_saphyr::Error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |place| place.line());
        DataError::Line { source_name: source.to_owned(), line, column: None, message: error.to_string() }
    })?;
    let version = all.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if all.get("kind").and_then(Value::as_str) != Some("DataContract") || !version.starts_with("v3.") {
        let message =
            "it is not an Open Data Contract of version 3 (`kind: DataContract`, `apiVersion: v3.1.0`)";
        return Err(wrong(source, message));
    }
    let mut left = Vec::new();
    for key in ["servers", "price", "support", "team", "roles"] {
        if all.get(key).is_some() {
            left.push(format!("`{key}`"));
        }
    }
    let objects = list(&all, "schema");
    let Some(object) = objects.first() else { return Err(wrong(source, "it has no `schema`")) };
    if objects.len() > 1 {
        left.push(format!("{} further objects of `schema`", objects.len() - 1));
    }
    let ours = custom(object, OURS).cloned().unwrap_or_default();
    let extra_columns = ours.get("extraColumns").and_then(read::<ExtraColumns>);
    let mut contract = Contract {
        version: 1,
        name: all.get("name").or_else(|| all.get("id")).and_then(Value::as_str).map(str::to_owned),
        description: all.pointer("/description/purpose").and_then(Value::as_str).map(str::to_owned),
        rows: None,
        freshness: None,
        extra_columns: extra_columns.unwrap_or(ExtraColumns::Allow),
        columns: std::collections::BTreeMap::new(),
        unique: Vec::new(),
        label: ours.get("label").and_then(read),
        rules: Vec::new(),
    };
    let mut primary: Vec<(i64, String)> = Vec::new();
    for (place, property) in list(object, "properties").iter().enumerate() {
        let name = match property.get("name") {
            Some(Value::String(name)) => name.clone(),
            // A column may be called by a year.
            Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
            Some(Value::Null) | None => String::new(),
            Some(other) => {
                let message =
                    format!("schema[0].properties[{place}].name: `{other}` is no text; put it in quotes");
                return Err(wrong(source, message));
            }
        };
        if name.is_empty() {
            return Err(wrong(source, format!("schema[0].properties[{place}] has no `name`")));
        }
        let name = name.as_str();
        let (rules, unique) = (&mut contract.rules, &mut contract.unique);
        let column = Property { name, property, left: &mut left, rules, unique }.column();
        contract.columns.insert(name.to_owned(), column);
        if property.get("primaryKey").and_then(truth) == Some(true) {
            let position = property.get("primaryKeyPosition").and_then(Value::as_i64).unwrap_or(-1);
            primary.push((position, name.to_owned()));
        }
    }
    primary.sort();
    let key: Vec<String> = primary.into_iter().map(|(_, name)| name).collect();
    for column in contract.columns.iter_mut().filter(|(name, _)| key.contains(name)).map(|(_, column)| column)
    {
        column.nullable = false;
        column.unique |= key.len() == 1;
    }
    if key.len() > 1 {
        contract.unique.push(UniqueKey { columns: key, severity: Severity::Error });
    }
    for rule in list(object, "quality") {
        quality(rule, &mut contract, &mut left);
    }
    for agreement in list(&all, "slaProperties") {
        match freshness(agreement, &contract) {
            Some(mut found) if contract.freshness.is_none() => {
                found.severity = ours.get("freshnessSeverity").and_then(read).unwrap_or_default();
                contract.freshness = Some(found);
            }
            _ => {
                let what = agreement.get("property").and_then(Value::as_str).unwrap_or("without a name");
                left.push(format!("the agreement `{what}` of `slaProperties`"));
            }
        }
    }
    contract.settle_words();
    check::compile(&contract).map_err(|message| wrong(source, message))?;
    Ok((contract, left))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Returns a truth value, also of a word such as `yes`.
fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| words::truth(value.as_str()?))
}

fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

/// Returns the custom property `name`.
fn custom<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    list(value, "customProperties").iter().find(|property| property["property"] == name)?.get("value")
}

fn severity(rule: &Value) -> Severity {
    match rule.get("severity").and_then(Value::as_str) {
        Some("warning" | "info") => Severity::Warning,
        _ => Severity::Error,
    }
}

/// What none of the values may break.
const NONE: Tolerance = Tolerance::Rows(0);

/// Returns how many values may break a rule that counts them; `None` for a rule that asks for something else.
fn tolerance(rule: &Value) -> Option<Tolerance> {
    let number = |key: &str| rule.get(key).and_then(Value::as_f64).filter(|number| *number >= 0.0);
    let is_share = match rule.get("unit").and_then(Value::as_str) {
        None | Some("rows") => false,
        Some("percent" | "%") => true,
        Some(_) => return None,
    };
    let most = match (number("mustBe"), number("mustBeLessOrEqualTo"), number("mustBeLessThan")) {
        (Some(0.0), None, None) => return Some(NONE),
        (None, Some(most), None) => most,
        (None, None, Some(below)) if !is_share && below >= 1.0 => (below - 1.0).ceil(),
        _ => return None,
    };
    Some(if is_share { Tolerance::Share(most / 100.0) } else { Tolerance::Rows(most as u64) })
}

/// Returns the age that an agreement on `latency` asks for, of a date or timestamp of the contract.
fn freshness(agreement: &Value, contract: &Contract) -> Option<Freshness> {
    let text = |key: &str| agreement.get(key).and_then(Value::as_str);
    let element = text("element")?;
    let is_time =
        |name: &&str| contract.columns.get(*name).is_some_and(|column| column.column_type.is_time());
    // `object.column`, and a column's name may hold dots.
    let column = [Some(element), element.split_once('.').map(|(_, column)| column)].into_iter().flatten();
    let column = column.into_iter().find(is_time).filter(|_| text("property") == Some("latency"))?;
    let value = agreement.get("value")?;
    let value = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    let unit = match text("unit")? {
        "h" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        "w" | "week" | "weeks" => "w",
        _ => return None,
    };
    let max_age = format!("{value}{unit}");
    Some(Freshness { column: column.to_owned(), max_age, severity: Severity::Error })
}

/// Carries over a quality rule of the object.
fn quality(rule: &Value, contract: &mut Contract, left: &mut Vec<String>) {
    let text = |key: &str| rule.get(key).and_then(Value::as_str);
    match (text("type"), text("metric").or_else(|| text("engine"))) {
        (Some("library") | None, Some("rowCount")) if contract.rows.is_none() => {
            if let Some(rows) = row_count(rule) {
                contract.rows = Some(rows);
                return;
            }
        }
        (Some("library") | None, Some("duplicateValues")) => {
            let columns = rule.pointer("/arguments/properties").and_then(read::<Vec<String>>);
            let known = |columns: &Vec<String>| {
                !columns.is_empty() && columns.iter().all(|name| contract.columns.contains_key(name))
            };
            if let (Some(columns), Some(NONE)) = (columns.filter(known), tolerance(rule)) {
                contract.unique.push(UniqueKey { columns, severity: severity(rule) });
                return;
            }
        }
        (Some("custom"), Some("modelgate")) => {
            contract.rules.push(RowRule {
                id: text("name").map(str::to_owned),
                check: text("implementation").unwrap_or_default().to_owned(),
                allow: custom(rule, "allow").and_then(read),
                severity: severity(rule),
            });
            return;
        }
        _ => {}
    }
    let kind = text("type").unwrap_or("library");
    let what = text("metric").or_else(|| text("engine")).or_else(|| text("rule")).or_else(|| text("name"));
    left.push(format!("the quality rule {kind} {}", what.unwrap_or("without a name")));
}

fn row_count(rule: &Value) -> Option<RowCount> {
    let whole = |value: &Value| {
        value
            .as_u64()
            .or_else(|| value.as_f64().filter(|number| *number >= 0.0).map(|number| number.ceil() as u64))
    };
    let number = |key: &str| rule.get(key).and_then(whole);
    let between = rule.get("mustBeBetween").and_then(Value::as_array);
    let part = |at: usize| between.and_then(|pair| pair.get(at)).and_then(whole);
    let rows = RowCount {
        min: number("mustBeGreaterOrEqualTo")
            .or_else(|| number("mustBeGreaterThan").map(|above| above.saturating_add(1)))
            .or_else(|| number("mustBe"))
            .or_else(|| part(0)),
        max: number("mustBeLessOrEqualTo")
            .or_else(|| number("mustBeLessThan").map(|below| below.saturating_sub(1)))
            .or_else(|| number("mustBe"))
            .or_else(|| part(1)),
        severity: severity(rule),
    };
    (rows.min.is_some() || rows.max.is_some()).then_some(rows)
}

/// One property, and where its parts go.
struct Property<'a> {
    name: &'a str,
    property: &'a Value,
    left: &'a mut Vec<String>,
    rules: &'a mut Vec<RowRule>,
    unique: &'a mut Vec<UniqueKey>,
}

impl Property<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.property.get(key).and_then(Value::as_str)
    }

    fn leave(&mut self, what: &str) {
        self.left.push(format!("{what} of `{}`", self.name));
    }

    fn column(mut self) -> ColumnContract {
        let column_type = self.column_type();
        let mut found = ColumnContract {
            description: self.text("description").map(str::to_owned),
            label: self.text("businessName").map(str::to_owned),
            unit: custom(self.property, "unit").and_then(read),
            nullable: self.property.get("required").and_then(truth) != Some(true),
            unique: self.property.get("unique").and_then(truth) == Some(true),
            optional: custom(self.property, "optional").and_then(truth) == Some(true),
            allow: custom(self.property, "allow").and_then(read),
            format: custom(self.property, "strptime").and_then(read).filter(|_| column_type.is_time()),
            severity: custom(self.property, "severity").and_then(read).unwrap_or_default(),
            ..ColumnContract::of(column_type)
        };
        let options = self.property.get("logicalTypeOptions").and_then(Value::as_object);
        for (key, value) in options.into_iter().flatten() {
            self.option(key, value, &mut found);
        }
        let asked: Vec<Asked> =
            list(self.property, "quality").iter().filter_map(|rule| self.asked(rule, column_type)).collect();
        self.carry(asked, &mut found);
        for key in ["properties", "items", "relationships"] {
            if self.property.get(key).is_some() {
                self.leave(&format!("`{key}`"));
            }
        }
        found
    }

    fn column_type(&mut self) -> ColumnType {
        // Our own contracts keep what the standard's types do not tell apart in the physical type.
        match (self.text("logicalType"), self.text("physicalType")) {
            (_, Some("category")) => ColumnType::Category,
            (_, Some("decimal")) => ColumnType::Decimal,
            (Some("integer"), _) => ColumnType::Int,
            (Some("number"), _) => ColumnType::Float,
            (Some("boolean"), _) => ColumnType::Bool,
            (Some("date"), _) => ColumnType::Date,
            (Some("timestamp"), _) => ColumnType::Timestamp,
            (Some("string") | None, _) => ColumnType::String,
            (Some(other), _) => {
                let told = format!("the type `{other}` of `{}`, taken as string,", self.name);
                self.left.push(told);
                ColumnType::String
            }
        }
    }

    fn option(&mut self, key: &str, value: &Value, found: &mut ColumnContract) {
        let column_type = found.column_type;
        let bound = read::<Bound>(value).filter(|bound| bound.number(column_type).is_some());
        let length = value.as_u64().filter(|_| column_type.is_text());
        let pattern = value.as_str().filter(|_| column_type.is_text()).and_then(whole_pattern);
        match (key, bound, length, pattern) {
            ("minimum", Some(bound), ..) => found.min = Some(bound),
            ("maximum", Some(bound), ..) => found.max = Some(bound),
            ("exclusiveMinimum", Some(Bound::Int(above)), ..) if column_type == ColumnType::Int => {
                found.min = Some(Bound::Int(above.saturating_add(1)));
            }
            ("exclusiveMaximum", Some(Bound::Int(below)), ..) if column_type == ColumnType::Int => {
                found.max = Some(Bound::Int(below.saturating_sub(1)));
            }
            ("exclusiveMinimum", Some(bound), ..) => self.rule(key, ">", &bound),
            ("exclusiveMaximum", Some(bound), ..) => self.rule(key, "<", &bound),
            ("multipleOf", Some(Bound::Int(of)), ..) if of > 0 && column_type == ColumnType::Int => {
                self.rule(key, &format!("% {of} =="), &Bound::Int(0));
            }
            ("minLength", _, Some(length), _) => found.min_length = Some(length),
            ("maxLength", _, Some(length), _) => found.max_length = Some(length),
            ("pattern", .., Some(pattern)) => found.pattern = Some(pattern),
            // How many bits hold a number is not asked of data.
            ("format", ..) if column_type.is_number() => {}
            _ => self.leave(&format!("`{key}: {value}`")),
        }
    }

    /// Asks what a column has no key for by a rule of rows.
    fn rule(&mut self, key: &str, operator: &str, bound: &Bound) {
        let value = match bound {
            Bound::Text(text) if text.contains('\'') => return self.leave(&format!("`{key}`")),
            Bound::Text(text) => format!("'{text}'"),
            other => other.to_string(),
        };
        // A name in backticks holds none.
        if self.name.contains('`') {
            return self.leave(&format!("`{key}`"));
        }
        self.rules.push(RowRule {
            id: Some(format!("{}.{key}", self.name)),
            check: format!("`{}` {operator} {value}", self.name),
            allow: None,
            severity: Severity::Error,
        });
    }
}

/// Returns a pattern for the whole text from one that may match a part of it; `None` for one that is none here.
fn whole_pattern(pattern: &str) -> Option<String> {
    let inside = pattern.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$"));
    // Our own patterns come back as they were, if what is inside is one by itself.
    let ours = inside.filter(|inside| Regex::new(inside).is_ok());
    let whole = ours.map_or_else(|| format!("(?s:.*)(?:{pattern})(?s:.*)"), str::to_owned);
    Regex::new(&whole).is_ok().then_some(whole)
}
