//! A contract as one of the standard.

use serde_json::{Map, Value, json};

use std::collections::BTreeSet;

use super::{API_VERSION, OURS, wrong};
use crate::contract::{ColumnContract, Contract, ExtraColumns, Freshness, RowCount, Severity};
use crate::error::DataError;
use crate::types::ColumnType;

/// Returns a contract of the standard as YAML, and what in it no other tool reads, since it stands in custom properties.
///
/// # Errors
/// Fails when a value cannot be written.
pub fn to_odcs(contract: &Contract, order: &[&str]) -> Result<(String, Vec<String>), DataError> {
    let failed = |error: &dyn std::fmt::Display| wrong("the contract", error.to_string());
    let mut own = Vec::new();
    let name = contract.name.clone().unwrap_or_else(|| "data".to_owned());
    let known = order.iter().copied().filter(|name| contract.columns.contains_key(*name));
    let ordered: BTreeSet<&str> = order.iter().copied().collect();
    let others = contract.columns.keys().map(String::as_str).filter(|name| !ordered.contains(name));
    let properties: Vec<Value> =
        known.chain(others).map(|name| property(name, &contract.columns[name], &mut own)).collect();
    let mut quality: Vec<Value> = contract.rows.as_ref().and_then(row_count).into_iter().collect();
    quality.extend(contract.unique.iter().map(|key| {
        json!({
            "type": "library", "metric": "duplicateValues", "mustBe": 0, "severity": key.severity.as_str(),
            "arguments": { "properties": key.columns },
        })
    }));
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
    let ours = ours(contract, &mut own).map_err(|error| failed(&error))?;
    object["customProperties"] = json!([{ "property": OURS, "value": ours }]);
    let mut all = json!({
        "apiVersion": API_VERSION, "kind": "DataContract", "id": name, "name": name, "version": "1.0.0",
        "status": "active", "schema": [object],
    });
    if let Some(description) = &contract.description {
        all["description"] = json!({ "purpose": description });
    }
    if let Some((freshness, (value, unit))) =
        contract.freshness.as_ref().and_then(|freshness| Some((freshness, age(freshness)?)))
    {
        all["slaProperties"] = json!([{
            "property": "latency", "value": value, "unit": unit, "element": format!("{name}.{}", freshness.column),
        }]);
    }
    let text = serde_saphyr::to_string(&all).map_err(|error| failed(&error))?;
    Ok((text, own))
}

/// Returns the number and the unit of `36h`.
fn age(freshness: &Freshness) -> Option<(u64, &str)> {
    let number = freshness.max_age.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    Some((number.parse().ok()?, &freshness.max_age[number.len()..]))
}

fn row_count(rows: &RowCount) -> Option<Value> {
    let (key, value) = match (rows.min, rows.max) {
        (Some(min), Some(max)) if min == max => ("mustBe", json!(min)),
        (Some(min), Some(max)) => ("mustBeBetween", json!([min, max])),
        (Some(min), None) => ("mustBeGreaterOrEqualTo", json!(min)),
        (None, Some(max)) => ("mustBeLessOrEqualTo", json!(max)),
        (None, None) => return None,
    };
    let mut rule = json!({ "type": "library", "metric": "rowCount", "severity": rows.severity.as_str() });
    rule[key] = value;
    Some(rule)
}

/// Returns what the standard has no words for, of the contract as a whole.
fn ours(contract: &Contract, own: &mut Vec<String>) -> Result<Value, serde_json::Error> {
    let mut found =
        Map::from_iter([("extraColumns".to_owned(), serde_json::to_value(contract.extra_columns)?)]);
    if contract.extra_columns != ExtraColumns::Allow {
        own.push("`extra_columns`".to_owned());
    }
    if let Some(label) = &contract.label {
        found.insert("label".to_owned(), serde_json::to_value(label)?);
        own.push("`label`".to_owned());
    }
    if let Some(freshness) = contract.freshness.as_ref().filter(|found| found.severity != Severity::Error) {
        found.insert("freshnessSeverity".to_owned(), json!(freshness.severity));
        own.push("the severity of `freshness`".to_owned());
    }
    Ok(Value::Object(found))
}

fn property(name: &str, column: &ColumnContract, own: &mut Vec<String>) -> Value {
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
    if let Some(label) = &column.label {
        found["businessName"] = json!(label);
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
    if !options.is_empty() {
        found["logicalTypeOptions"] = Value::Object(options);
    }
    if let Some(values) = &column.values {
        found["quality"] = json!([{
            "type": "library", "metric": "invalidValues", "mustBe": 0, "severity": column.severity.as_str(),
            "arguments": { "validValues": values },
        }]);
    }
    let mut custom = Vec::new();
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            custom.push(json!({ "property": key, "value": value }));
            own.push(format!("`{key}` of `{name}`"));
        }
    };
    add("optional", column.optional.then_some(json!(true)));
    add("allow", column.allow.as_ref().map(|allow| json!(allow)));
    // The standard's own formats are in the letters of Java's DateTimeFormatter; ours has percent signs.
    add("strptime", column.format.as_ref().map(|format| json!(format)));
    add("unit", column.unit.as_ref().map(|unit| json!(unit)));
    add("severity", (column.severity != Severity::Error).then(|| json!(column.severity)));
    if !custom.is_empty() {
        found["customProperties"] = Value::Array(custom);
    }
    found
}
