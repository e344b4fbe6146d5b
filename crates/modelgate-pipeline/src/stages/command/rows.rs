//! Rows as a program outside gets them: CSV, in the form in which the model gets them; a date is a number.

use modelgate_data::{Table, Values};

/// Returns rows as CSV, without the columns that are `dropped`; null is empty. A number with a fraction keeps its point, so
/// that a reader sees the same types, and so does every number of a column that has nulls in whatever row: the model gets such
/// a column as numbers with a fraction. The classes in the column `whole` are written as whole numbers, as they are called here.
pub(crate) fn csv(table: &Table, rows: &[u32], dropped: &[String], whole: Option<&str>) -> String {
    let columns: Vec<_> = table.columns.iter().filter(|column| !dropped.contains(&column.name)).collect();
    let cell = |text: &str| {
        if text.contains([',', '"', '\n', '\r']) || text != text.trim() {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let with_point: Vec<bool> = columns
        .iter()
        .map(|column| matches!(&column.values, Values::Int(values) if values.contains(&None)))
        .collect();
    let head: Vec<String> = columns.iter().map(|column| cell(&column.name)).collect();
    let mut page = head.join(",") + "\n";
    for row in rows {
        let row = *row as usize;
        let cells = columns.iter().zip(&with_point).map(|(column, point)| match &column.values {
            Values::Int(values) if *point => {
                values[row].map_or_else(String::new, |value| format!("{value}.0"))
            }
            Values::Int(values) => values[row].map_or_else(String::new, |value| value.to_string()),
            Values::Float(values) if whole == Some(&column.name) => {
                values[row].map_or_else(String::new, |value| value.to_string())
            }
            Values::Float(values) => values[row].map_or_else(String::new, |value| format!("{value:?}")),
            Values::Text(values) => values[row].as_deref().map_or_else(String::new, cell),
        });
        page.push_str(&cells.collect::<Vec<_>>().join(","));
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_so_that_they_read_back() {
        let text = "a,b,c\n1,0.1,\"x, \"\"y\"\"\"\n2,,z\n3,1e-7,\n";
        let table = modelgate_data::read_csv(text.as_bytes(), "a", &modelgate_data::ReadOptions::default())
            .expect("table");
        let written = csv(&table, &[0, 1, 2], &[], None);
        let again =
            modelgate_data::read_csv(written.as_bytes(), "a", &modelgate_data::ReadOptions::default())
                .expect("table");
        assert_eq!(table, again);
        assert_eq!(csv(&table, &[1], &["b".to_owned()], None), "a,c\n2,z\n");
    }

    #[test]
    fn numbers_are_of_the_type_that_the_model_gets() {
        let text = "a,b,y\n1,7,0.0\n2,,1.0\n3,9,1.0\n";
        let table = modelgate_data::read_csv(text.as_bytes(), "a", &modelgate_data::ReadOptions::default())
            .expect("table");
        assert_eq!(csv(&table, &[0, 2], &[], None), "a,b,y\n1,7.0,0.0\n3,9.0,1.0\n");
        assert_eq!(csv(&table, &[0, 2], &[], Some("y")), "a,b,y\n1,7.0,0\n3,9.0,1\n");
    }
}
