//! A description for a terminal.

use crate::describe::{ColumnDescription, Description};
use crate::types::{ColumnType, show_int};

/// Files that are named.
const FILES: usize = 5;

/// Returns the lines of a description, with `values` also those of rows: the least, the greatest and the most frequent.
pub fn to_text(description: &Description, values: bool) -> String {
    let mut text = format!(
        "{}: {} rows × {} columns\n",
        files(&description.files),
        description.rows,
        description.columns.len()
    );
    let width =
        description.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(6).clamp(6, 32);
    text.push_str(&format!(
        "\n{:width$}  {:9} {:>8} {:>8}  {:>10} {:>10} {:>10} {:>10} {:>10}\n",
        "column", "type", "nulls", "distinct", "min", "mean", "median", "max", "std"
    ));
    for column in &description.columns {
        let name: String = column.name.chars().take(32).collect();
        let distinct = column.distinct.map_or_else(|| "> 10000".to_owned(), |distinct| distinct.to_string());
        text.push_str(&format!(
            "{name:width$}  {:9} {:>8} {distinct:>8}  ",
            column.column_type, column.nulls
        ));
        text.push_str(&figures(column, values));
        text.push('\n');
    }
    if let Some(error) = description
        .columns
        .iter()
        .filter_map(|column| column.number.as_ref())
        .map(|number| number.quantile_rank_error)
        .max_by(f64::total_cmp)
    {
        text.push_str(&match error {
            0.0 => "\nquantiles are exact; std is over n\n".to_owned(),
            error => {
                let percent = error * 100.0;
                format!("\nquantiles: the rank is off by at most {percent:.3}% of the rows; std is over n\n")
            }
        });
    }
    let strong: Vec<String> = description
        .correlations
        .iter()
        .take(5)
        .filter(|pair| pair.r.abs() >= 0.5)
        .map(|pair| format!("  {:+.3}  {} · {}", pair.r, pair.a, pair.b))
        .collect();
    if !strong.is_empty() {
        text.push_str(&format!("\nstrongest correlations\n{}\n", strong.join("\n")));
    }
    for note in &description.notes {
        text.push_str(&format!("\nnote: {note}\n"));
    }
    text
}

/// Returns the names of some files, and how many more there are.
fn files(names: &[String]) -> String {
    let shown = names.iter().take(FILES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(FILES) {
        0 => shown,
        more => format!("{shown} and {more} more files"),
    }
}

fn figures(column: &ColumnDescription, shown: bool) -> String {
    let Some(number) = &column.number else {
        if !shown {
            return String::new();
        }
        let values = column.frequent.iter().take(4).map(|value| format!("{} ({})", value.value, value.count));
        return values.collect::<Vec<_>>().join(", ");
    };
    let median =
        number.quantiles.iter().find(|quantile| quantile.percent == 50).map_or(f64::NAN, |found| found.value);
    if column.column_type.is_time() {
        if !shown {
            return String::new();
        }
        return format!(
            "{} to {}",
            show_int(column.column_type, number.min as i64),
            show_int(column.column_type, number.max as i64)
        );
    }
    let of_a_row = |value: f64| if shown { figure(value) } else { "-".to_owned() };
    let texts =
        [of_a_row(number.min), known(number.mean), figure(median), of_a_row(number.max), known(number.std)];
    texts.map(|text| format!("{text:>10}")).join(" ")
}

/// Returns a number in at most ten letters, or a dash where there is none.
pub(crate) fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), figure)
}

/// Returns a number in at most ten letters.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e9 {
        format!("{value:.0}")
    } else if (1e-3..1e7).contains(&size) {
        let places = (6.0 - size.log10().floor()).clamp(1.0, 6.0) as usize;
        let text = format!("{value:.places$}");
        let cut = text.trim_end_matches('0').trim_end_matches('.');
        cut.chars().take(10).collect()
    } else {
        format!("{value:.3e}")
    }
}

/// Returns a value of a number column as a person writes it.
pub(crate) fn value_of(column_type: ColumnType, value: f64) -> String {
    if column_type.is_time() || column_type == ColumnType::Bool {
        show_int(column_type, value as i64)
    } else {
        figure(value)
    }
}
