//! A subset of the Open Data Contract Standard v3.1, in and out, so that other tools read our contracts and we theirs.
//!
//! Source: <https://bitol-io.github.io/open-data-contract-standard/v3.1.0/>. Carried over: the first object of `schema`
//! with its properties (`logicalType`, `required`, `unique`, `description`, `logicalTypeOptions`) and the quality rules
//! `rowCount`, `invalidValues` with `validValues`, and row rules as `custom` of the engine `modelgate`. What is not
//! carried over is told.

use serde_json::{Map, Value, json};

use crate::contract::{
    Bound, ColumnContract, Contract, ExtraColumns, RowCount, RowRule, Severity, Tolerance,
};
use crate::error::DataError;
use crate::types::ColumnType;

/// The version that is written.
const API_VERSION: &str = "v3.1.0";

fn wrong(source: &str, message: impl Into<String>) -> DataError {
    DataError::File { source_name: source.to_owned(), message: message.into() }
}

/// Returns a contract of the standard as YAML.
///
/// # Errors
/// Fails when a value cannot be written as YAML.
pub fn to_odcs(contract: &Contract, order: &[&str]) -> Result<String, DataError> {
    let name = contract.name.clone().unwrap_or_else(|| "data".to_owned());
    let known = order.iter().copied().filter(|name| contract.columns.contains_key(*name));
    let others = contract.columns.keys().map(String::as_str).filter(|name| !order.contains(name));
    let properties: Vec<Value> =
        known.chain(others).map(|name| property(name, &contract.columns[name])).collect();
    let mut quality = Vec::new();
    if let Some(rows) = &contract.rows {
        let mut rule = json!({ "type": "library", "metric": "rowCount", "severity": rows.severity.as_str() });
        match (rows.min, rows.max) {
            (Some(min), Some(max)) => rule["mustBeBetween"] = json!([min, max]),
            (Some(min), None) => rule["mustBeGreaterOrEqualTo"] = json!(min),
            (None, Some(max)) => rule["mustBeLessOrEqualTo"] = json!(max),
            (None, None) => {}
        }
        quality.push(rule);
    }
    for rule in &contract.rules {
        let mut found = json!({
            "type": "custom", "engine": "modelgate", "implementation": rule.check, "severity": rule.severity.as_str(),
        });
        if let Some(id) = &rule.id {
            found["name"] = json!(id);
        }
        if let Some(allow) = &rule.allow {
            found["customProperties"] = json!([{ "property": "allow", "value": allow }]);
        }
        quality.push(found);
    }
    let mut object = json!({ "name": name, "logicalType": "object", "properties": properties });
    if !quality.is_empty() {
        object["quality"] = Value::Array(quality);
    }
    let mut all = json!({
        "apiVersion": API_VERSION, "kind": "DataContract", "id": name, "name": name, "version": "1.0.0",
        "status": "active", "schema": [object],
    });
    if let Some(description) = &contract.description {
        all["description"] = json!({ "purpose": description });
    }
    serde_saphyr::to_string(&all).map_err(|error| wrong("the contract", error.to_string()))
}

fn property(name: &str, column: &ColumnContract) -> Value {
    let logical = match column.column_type {
        ColumnType::Int => "integer",
        ColumnType::Float | ColumnType::Decimal => "number",
        ColumnType::Bool => "boolean",
        ColumnType::String | ColumnType::Category => "string",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp",
    };
    let mut found =
        json!({ "name": name, "logicalType": logical, "physicalType": column.column_type.as_str() });
    if !column.nullable {
        found["required"] = json!(true);
    }
    if column.unique {
        found["unique"] = json!(true);
    }
    if let Some(description) = &column.description {
        found["description"] = json!(description);
    }
    let mut options = Map::new();
    let mut option = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(key.to_owned(), value);
        }
    };
    option("minimum", column.min.as_ref().map(|min| json!(min)));
    option("maximum", column.max.as_ref().map(|max| json!(max)));
    option("pattern", column.pattern.as_ref().map(|pattern| json!(format!("^(?:{pattern})$"))));
    option("minLength", column.min_length.map(|length| json!(length)));
    option("maxLength", column.max_length.map(|length| json!(length)));
    option("format", column.format.as_ref().map(|format| json!(format)));
    if !options.is_empty() {
        found["logicalTypeOptions"] = Value::Object(options);
    }
    if let Some(values) = &column.values {
        found["quality"] = json!([{
            "type": "library", "metric": "invalidValues", "mustBe": 0, "severity": column.severity.as_str(),
            "arguments": { "validValues": values },
        }]);
    }
    found
}

/// Reads a contract of the standard; the second part tells what of it is not carried over.
///
/// # Errors
/// Fails when it is not such a contract, and when a part that is carried over makes no sense.
pub fn from_odcs(text: &str, source: &str) -> Result<(Contract, Vec<String>), DataError> {
    let all: Value = serde_saphyr::from_str(text).map_err(|error| {
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
    for key in ["servers", "slaProperties", "price", "support", "team", "roles"] {
        if all.get(key).is_some() {
            left.push(format!("`{key}`"));
        }
    }
    let objects = all.get("schema").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some(object) = objects.first() else { return Err(wrong(source, "it has no `schema`")) };
    if objects.len() > 1 {
        left.push(format!("{} further objects of `schema`", objects.len() - 1));
    }
    let mut contract = Contract {
        version: 1,
        name: all.get("name").or_else(|| all.get("id")).and_then(Value::as_str).map(str::to_owned),
        description: all.pointer("/description/purpose").and_then(Value::as_str).map(str::to_owned),
        rows: None,
        freshness: None,
        extra_columns: ExtraColumns::Allow,
        columns: std::collections::BTreeMap::new(),
        unique: Vec::new(),
        label: None,
        rules: Vec::new(),
    };
    for property in object.get("properties").and_then(Value::as_array).into_iter().flatten() {
        let name = property.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err(wrong(source, "a property has no `name`"));
        }
        contract.columns.insert(name.to_owned(), column(name, property, &mut left));
    }
    for rule in object.get("quality").and_then(Value::as_array).into_iter().flatten() {
        quality(rule, &mut contract, &mut left);
    }
    super::check::compile(&contract).map_err(|message| wrong(source, message))?;
    Ok((contract, left))
}

fn severity(rule: &Value) -> Severity {
    match rule.get("severity").and_then(Value::as_str) {
        Some("warning" | "info") => Severity::Warning,
        _ => Severity::Error,
    }
}

fn quality(rule: &Value, contract: &mut Contract, left: &mut Vec<String>) {
    let text = |key: &str| rule.get(key).and_then(Value::as_str);
    match (text("type"), text("metric").or_else(|| text("engine"))) {
        (Some("library") | None, Some("rowCount")) => {
            let number = |key: &str| rule.get(key).and_then(Value::as_u64);
            let between = rule.get("mustBeBetween").and_then(Value::as_array);
            let part = |at: usize| between.and_then(|pair| pair.get(at)).and_then(Value::as_u64);
            contract.rows = Some(RowCount {
                min: number("mustBeGreaterOrEqualTo")
                    .or_else(|| number("mustBeGreaterThan").map(|above| above + 1))
                    .or_else(|| number("mustBe"))
                    .or_else(|| part(0)),
                max: number("mustBeLessOrEqualTo")
                    .or_else(|| number("mustBeLessThan").map(|below| below.saturating_sub(1)))
                    .or_else(|| number("mustBe"))
                    .or_else(|| part(1)),
                severity: severity(rule),
            });
        }
        (Some("custom"), Some("modelgate")) => {
            let allow = rule.get("customProperties").and_then(Value::as_array).and_then(|all| {
                let found = all.iter().find(|property| property["property"] == "allow")?;
                serde_json::from_value::<Tolerance>(found["value"].clone()).ok()
            });
            contract.rules.push(RowRule {
                id: text("name").map(str::to_owned),
                check: text("implementation").unwrap_or_default().to_owned(),
                allow,
                severity: severity(rule),
            });
        }
        (kind, what) => left.push(format!(
            "the quality rule {} {}",
            kind.unwrap_or("library"),
            what.or_else(|| text("rule")).unwrap_or("without a name")
        )),
    }
}

fn column(name: &str, property: &Value, left: &mut Vec<String>) -> ColumnContract {
    let text = |key: &str| property.get(key).and_then(Value::as_str);
    let option = |key: &str| property.pointer(&format!("/logicalTypeOptions/{key}"));
    // Our own contracts keep what the standard's types do not tell apart in the physical type.
    let column_type = match (text("logicalType"), text("physicalType")) {
        (_, Some("category")) => ColumnType::Category,
        (_, Some("decimal")) => ColumnType::Decimal,
        (Some("integer"), _) => ColumnType::Int,
        (Some("number"), _) => ColumnType::Float,
        (Some("boolean"), _) => ColumnType::Bool,
        (Some("date"), _) => ColumnType::Date,
        (Some("timestamp"), _) => ColumnType::Timestamp,
        (Some("string") | None, _) => ColumnType::String,
        (Some(other), _) => {
            left.push(format!("the type `{other}` of `{name}`, taken as string"));
            ColumnType::String
        }
    };
    let bound = |key: &str| option(key).and_then(|value| serde_json::from_value::<Bound>(value.clone()).ok());
    let mut found = ColumnContract {
        description: text("description").map(str::to_owned),
        nullable: property.get("required").and_then(Value::as_bool) != Some(true),
        unique: property.get("unique").and_then(Value::as_bool) == Some(true),
        min: bound("minimum"),
        max: bound("maximum"),
        ..ColumnContract::of(column_type)
    };
    if column_type.is_text() {
        let pattern = option("pattern").and_then(Value::as_str);
        found.pattern = pattern.map(|pattern| {
            let inside = pattern.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$"));
            inside.map_or_else(|| format!("(?s:.*){pattern}(?s:.*)"), str::to_owned)
        });
        found.min_length = option("minLength").and_then(Value::as_u64);
        found.max_length = option("maxLength").and_then(Value::as_u64);
    }
    if column_type.is_time() {
        // A format of the standard is in the letters of Java's DateTimeFormatter; ours has percent signs.
        let format = option("format").and_then(Value::as_str);
        found.format = format.filter(|format| format.contains('%')).map(str::to_owned);
        if let Some(format) = format.filter(|format| !format.contains('%')) {
            left.push(format!("the format `{format}` of `{name}`"));
        }
    }
    for rule in property.get("quality").and_then(Value::as_array).into_iter().flatten() {
        let valid = rule.pointer("/arguments/validValues").and_then(Value::as_array);
        match (rule.get("metric").and_then(Value::as_str), valid) {
            (Some("invalidValues"), Some(values)) => {
                let values = values.iter().filter_map(|value| serde_json::from_value(value.clone()).ok());
                found.values = Some(values.collect());
                found.severity = severity(rule);
            }
            (metric, _) => {
                left.push(format!("a quality rule of `{name}` ({})", metric.unwrap_or("no metric")));
            }
        }
    }
    found
}
