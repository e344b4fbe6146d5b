//! Whether the rows that are there can have parts large enough for the rule on slices: a rule that nothing can pass would
//! stop every changed model.

use modelgate_config::PipelineConfig;
use modelgate_data::Values;
use modelgate_evaluate::{Meaning, NamedColumn, SliceColumn, parts};

use super::rows::Rows;

/// Returns why no part of the validation rows can be compared; `None` where one can, and where nobody knows.
pub(super) fn too_few(rows: &Rows, config: &PipelineConfig) -> Option<String> {
    // Data of which this is the beginning have rows enough.
    let table = Some(&rows.table).filter(|table| rows.are_all && table.rows > 0)?;
    let held_back = (table.rows as f64 * config.data.split.validation).round() as usize;
    // Evenly spaced: the split draws others, of the same kind.
    let rows: Vec<usize> = (0..held_back).map(|at| at * table.rows / held_back).collect();
    let (least, bins) = (config.evaluate.min_slice_rows, config.evaluate.slice_bins);
    let columns = table.columns.iter().filter(|column| column.name != config.data.target);
    let mut named = columns.map(|column| {
        let values = match &column.values {
            Values::Text(values) => {
                SliceColumn::Text(rows.iter().map(|row| values.get(*row).cloned().flatten()).collect())
            }
            _ => SliceColumn::Numbers(rows.iter().map(|row| column.number(*row)).collect()),
        };
        NamedColumn { name: column.name.clone(), values, meaning: Meaning::default() }
    });
    let enough = |column: &NamedColumn| {
        let of_part = |condition: &modelgate_evaluate::Condition| condition.rows(&column.values, rows.len());
        // All rows are no part of them.
        let is_part = |members: usize| members >= least && members < rows.len();
        parts(column, bins).iter().any(|part| is_part(of_part(&part.condition).len()))
    };
    if named.any(|column| enough(&column)) {
        return None;
    }
    Some(format!("validation has about {held_back} rows, and no part of them the {least} that are compared"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::rows;
    use super::*;

    /// Says what is missing of `rows` rows with these values, one after another.
    fn said(rows: usize, value: impl Fn(usize) -> String) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let lines: String = (0..rows).map(|row| format!("{},{}\n", value(row), row % 2)).collect();
        fs_err::write(folder.path().join("data.csv"), format!("a,y\n{lines}")).expect("written");
        let text =
            modelgate_config::template("p", "data.csv", "y", modelgate_config::TaskKind::Classification);
        let config = modelgate_config::parse(&text, Path::new("modelgate.yaml")).expect("valid");
        rows::read(folder.path(), "data.csv").and_then(|rows| too_few(&rows, &config.pipelines["p"]))
    }

    #[test]
    fn a_part_is_looked_for_in_as_many_rows_as_are_held_back() {
        let kind = |kinds: usize| move |row: usize| format!("kind {}", row / 2 % kinds);
        let sentence = "validation has about 30 rows, and no part of them the 30 that are compared";
        assert_eq!(said(200, kind(2)).as_deref(), Some(sentence));
        assert_eq!(said(200, kind(1)).as_deref(), Some(sentence));
        assert_eq!(said(460, kind(2)), None);
        assert!(said(460, kind(7)).is_some());
        // Numbers are cut into four parts.
        assert!(said(700, |row| row.to_string()).is_some());
        assert_eq!(said(900, |row| row.to_string()), None);
        // The target is no part of what is compared, and nothing is known of what is not there.
        assert_eq!(said(0, |row| row.to_string()), None);
    }
}
