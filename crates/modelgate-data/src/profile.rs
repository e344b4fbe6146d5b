//! The training-reference profile: aggregates of the training rows, for drift. No row can be read from it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::table::{Column, Table};

const HISTOGRAM_BINS: usize = 10;
const TOP_CATEGORIES: usize = 100;

/// Returns the profile of `rows` over `features` and the target, as JSON.
pub fn reference_profile(table: &Table, rows: &[u32], features: &[String], target: &str) -> Value {
    let by_name = table.by_name();
    let names = features.iter().map(String::as_str).chain([target]);
    let columns: BTreeMap<&str, Value> =
        names.filter_map(|name| Some((name, profile(by_name.get(name)?, rows)))).collect();
    json!({ "schema_version": 1, "rows": rows.len(), "columns": columns })
}

fn profile(column: &Column, rows: &[u32]) -> Value {
    let nulls = rows.iter().filter(|row| column.is_null(**row as usize)).count();
    let numbers = rows.iter().filter_map(|row| column.number(*row as usize));
    let mut numbers: Vec<f64> = numbers.filter(|value| !value.is_nan()).collect();
    let mut found = json!({ "type": column.feature_type(), "count": rows.len() - nulls, "nulls": nulls });
    let extra = if numbers.is_empty() { text_profile(column, rows) } else { number_profile(&mut numbers) };
    if let (Value::Object(found), Value::Object(extra)) = (&mut found, extra) {
        found.extend(extra);
    }
    found
}

fn number_profile(numbers: &mut [f64]) -> Value {
    numbers.sort_unstable_by(f64::total_cmp);
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    // Linear interpolation between ranks, as numpy's default.
    let quantile = |share: f64| {
        let place = share * (numbers.len() - 1) as f64;
        let (low, high) = (numbers[place.floor() as usize], numbers[place.ceil() as usize]);
        low + (high - low) * place.fract()
    };
    let quantiles: BTreeMap<String, f64> = [1, 5, 25, 50, 75, 95, 99]
        .iter()
        .map(|percent| (format!("p{percent:02}"), quantile(f64::from(*percent) / 100.0)))
        .collect();
    let (low, high) = (numbers[0], numbers[numbers.len() - 1]);
    let width = (high - low) / HISTOGRAM_BINS as f64;
    let edges: Vec<f64> = (0..=HISTOGRAM_BINS).map(|edge| low + width * edge as f64).collect();
    let mut counts = vec![0_u64; HISTOGRAM_BINS];
    for value in numbers.iter() {
        let bin = if width > 0.0 { ((value - low) / width) as usize } else { 0 };
        counts[bin.min(HISTOGRAM_BINS - 1)] += 1;
    }
    json!({
        "min": low, "max": high, "mean": mean, "std": variance.sqrt(), "quantiles": quantiles,
        "histogram": { "edges": edges, "counts": counts },
    })
}

fn text_profile(column: &Column, rows: &[u32]) -> Value {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for text in rows.iter().filter_map(|row| column.text(*row as usize)) {
        *counts.entry(text).or_default() += 1;
    }
    let distinct = counts.len();
    let mut ranked: Vec<(&str, u64)> = counts.into_iter().collect();
    ranked.sort_by_key(|(text, count)| (std::cmp::Reverse(*count), *text));
    let other: u64 = ranked.iter().skip(TOP_CATEGORIES).map(|(_, count)| count).sum();
    let top: BTreeMap<&str, u64> = ranked.into_iter().take(TOP_CATEGORIES).collect();
    json!({ "distinct": distinct, "categories": top, "other": other })
}
