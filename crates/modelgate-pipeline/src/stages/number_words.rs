//! Words of `data.nulls` that are numbers: a column may hold the number as it is written otherwise, and then it is no null.

use std::collections::BTreeSet;

use modelgate_data::Table;
use modelgate_data::preprocess::PreprocessPlan;

/// Says which columns of numbers hold one that a word of `nulls` writes otherwise.
pub(crate) fn doubts(table: &Table, nulls: &BTreeSet<String>, plan: &PreprocessPlan) -> Vec<String> {
    let words = nulls.iter().filter_map(|word| Some((word, word.trim().parse::<f64>().ok()?)));
    let words: Vec<(&String, f64)> = words.filter(|(_, number)| number.is_finite()).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let mut told = Vec::new();
    for column in plan.numeric.iter().filter_map(|numeric| table.column(&numeric.name)) {
        let held = |wanted: f64| (0..table.rows).filter(|row| column.number(*row) == Some(wanted)).count();
        for (word, number) in &words {
            let rows = held(*number);
            if rows == 0 {
                continue;
            }
            let otherwise =
                if word.contains(['.', 'e', 'E']) { format!("{number}") } else { format!("{number}.0") };
            told.push(format!(
                "`data.nulls` names \"{word}\", and the column `{}` holds that number in {rows} rows, written otherwise: there it \
                 is a number. Words go to the letter: name it as the data write it too, such as \"{otherwise}\"; Parquet has \
                 nulls of its own",
                column.name
            ));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::FeatureType;
    use modelgate_data::preprocess::{
        Encode, Missing, NumericColumn, PreprocessSpec, Scale, UnknownCategory,
    };
    use modelgate_data::{Column, Values};

    use super::*;

    #[test]
    fn a_number_that_is_written_otherwise_than_its_word_is_told() {
        let column = |name: &str, values: &[Option<f64>]| Column {
            name: name.to_owned(),
            values: Values::Float(values.to_vec()),
        };
        let columns = vec![
            column("a", &[Some(-999.0), None, Some(-999.0)]),
            column("b", &[Some(1.0), None, Some(2.5)]),
        ];
        let table = Table { columns, rows: 3, ..Table::default() };
        let numeric = |name: &str| NumericColumn {
            name: name.to_owned(),
            feature_type: FeatureType::Float,
            fill: None,
            mean: None,
            scale: None,
        };
        let spec = PreprocessSpec {
            missing: Missing::None,
            scale: Scale::None,
            encode: Encode::Onehot,
            unknown_category: UnknownCategory::Ignore,
        };
        let numeric = ["a", "b", "c"].map(numeric).to_vec();
        let plan = PreprocessPlan { spec, numeric, text: Vec::new() };
        let told = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            doubts(&table, &words, &plan)
        };
        let said = told(&["-999", "?", "nan"]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("the column `a` holds that number in 2 rows"), "{said:?}");
        assert!(said[0].contains("such as \"-999.0\""), "{said:?}");
        assert!(told(&["-999.0"])[0].contains("such as \"-999\""));
        assert_eq!(told(&["-998", "3"]), Vec::<String>::new());
    }
}
