//! Columns of a table in the types that a model takes.

use modelgate_core::schema::FeatureType;
use modelgate_data::{Column, Values};

use super::run::InputColumn;
use crate::error::ModelError;

/// Returns a number without a fraction as it was before it stood in a column of floats.
fn whole(value: f64) -> Option<i64> {
    let exact = (1_i64 << 53) as f64;
    (value.fract() == 0.0 && value.abs() <= exact).then_some(value as i64)
}

/// Returns a raw column of a table of `count` rows in the type of its input.
pub(super) fn column(
    column: Option<&Column>,
    count: usize,
    rows: &[u32],
    name: &str,
    feature_type: FeatureType,
) -> Result<InputColumn, ModelError> {
    let wrong = |message: String| ModelError::Rows(format!("column `{name}` {message}"));
    let column = column.ok_or_else(|| wrong("is missing".to_owned()))?;
    if rows.iter().any(|row| *row as usize >= count) {
        return Err(wrong("has fewer rows than were asked for".to_owned()));
    }
    let rows = rows.iter().map(|row| *row as usize);
    match (feature_type, &column.values) {
        (FeatureType::Text, Values::Text(values)) => {
            Ok(InputColumn::Texts(rows.map(|row| values[row].clone().unwrap_or_default()).collect()))
        }
        (FeatureType::Int, Values::Int(values)) => {
            let taken = rows
                .map(|row| values[row].ok_or_else(|| wrong(format!("has no value in data row {}", row + 1))));
            Ok(InputColumn::Ints(taken.collect::<Result<_, _>>()?))
        }
        // One fraction in another row makes a column of floats, and says nothing of these rows.
        (FeatureType::Int, Values::Float(values)) => {
            let taken = rows.map(|row| {
                let value = values[row];
                let value = value.ok_or_else(|| wrong(format!("has no value in data row {}", row + 1)))?;
                whole(value).ok_or_else(|| {
                    wrong(format!(
                        "has no whole number in data row {}, and the model takes int: mend the value; \
                         `data.types: {{{name}: int}}` finds each",
                        row + 1
                    ))
                })
            });
            Ok(InputColumn::Ints(taken.collect::<Result<_, _>>()?))
        }
        (FeatureType::Float, Values::Float(_) | Values::Int(_)) => {
            Ok(InputColumn::Floats(rows.map(|row| column.single(row)).collect()))
        }
        _ => Err(wrong(format!("is {} and the model takes {feature_type}", column.feature_type()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_a_column_of_floats_are_whole_numbers() {
        let bytes = b"x,y\n3,a\n4,a\n1060.5,a\n,a\n";
        let table = modelgate_data::read_csv(bytes, "d.csv", &modelgate_data::ReadOptions::default());
        let table = table.expect("a table");
        let taken = |rows: &[u32]| {
            column(table.column("x"), 4, rows, "x", FeatureType::Int).map_err(|error| error.to_string())
        };
        let Ok(InputColumn::Ints(found)) = taken(&[1, 0]) else { panic!("{:?}", taken(&[1, 0])) };
        assert_eq!(found, [4, 3]);
        let said = taken(&[0, 2]).expect_err("a fraction");
        assert!(
            said.contains("column `x` has no whole number in data row 3, and the model takes int"),
            "{said}"
        );
        assert!(taken(&[3]).expect_err("none").contains("column `x` has no value in data row 4"));
    }
}
