//! What a person should look at twice before a model learns from a column of text.

use super::{PreprocessPlan, TextColumn, Written};
use crate::table::Table;

/// From how many texts on a column is doubted: fewer are categories.
const MANY: usize = 50;

/// From how many texts on they are numbers or dates by how they are written.
const SOME: usize = 3;

/// From how many texts on they are so where they might be names as well, as `2WD` and `4WD` are.
const MORE: usize = 10;

impl PreprocessPlan {
    /// Returns what is doubtful in the columns of text over the training `rows`, a sentence each: numbers and dates that are
    /// written as they are not read, and texts that are nearly as many as rows.
    pub fn doubts(&self, table: &Table, rows: &[u32]) -> Vec<String> {
        let doubt = |text: &TextColumn| {
            let column = table.column(&text.name)?;
            let known =
                rows.iter().filter(|row| column.text(**row as usize).is_some_and(|text| !text.is_empty()));
            doubt(&text.name, &text.categories, known.count())
        };
        self.text.iter().filter_map(doubt).collect()
    }
}

fn doubt(name: &str, categories: &[String], known: usize) -> Option<String> {
    let texts: Vec<&str> = categories.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    let count = texts.len();
    if count < SOME {
        return None;
    }
    if let Some(written) = Written::of(&texts).filter(|written| count >= MORE || written.is_sure()) {
        return Some(format!(
            "column `{name}` has numbers with {written}, which are text here ({count} categories): {}; or add it to \
             `preprocess.drop`",
            written.advice()
        ));
    }
    // The versions of a program look like days of years without a century.
    let years: &[usize] = if count < MANY { &[4] } else { &[2, 4] };
    if texts.iter().filter(|text| is_day_first(text, years)).count() * 20 >= count * 19 {
        return Some(format!(
            "column `{name}` has what looks like dates, which are text here ({count} categories): declare them, such as `data.types: \
             {{{name}: \"date:%d.%m.%Y\"}}`, or add it to `preprocess.drop`"
        ));
    }
    (count >= MANY && count * 2 > known).then(|| {
        format!(
            "column `{name}` has {count} different texts in {known} training rows: what is seen once teaches nothing, and a service \
             refuses what was never seen; add it to `preprocess.drop` if it names the row"
        )
    })
}

/// Holds for `31.12.2024`, `31/12/24` and `31-12-2024`, with years of so many digits.
fn is_day_first(text: &str, years: &[usize]) -> bool {
    let parts: Vec<&str> = text.trim().split(['.', '/', '-']).collect();
    let [day, month, year] = parts[..] else { return false };
    let number =
        |text: &str, longest: usize| (text.len() <= longest).then(|| text.parse::<u32>().ok()).flatten();
    number(day, 2).is_some_and(|day| (1..=31).contains(&day))
        && number(month, 2).is_some_and(|month| (1..=31).contains(&month))
        && years.contains(&year.len())
        && number(year, 4).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubted(text: impl Fn(usize) -> String, known: usize) -> String {
        let mut categories: Vec<String> = (0..60).map(text).collect();
        categories.push(String::new());
        doubt("x", &categories, known).unwrap_or_default()
    }

    #[test]
    fn columns_that_are_no_categories_are_doubted() {
        let comma = doubted(|at| format!("-1.{:03},{at}", at * 7), 1000);
        assert!(comma.contains("numbers with a decimal comma") && comma.contains("60 categories"), "{comma}");
        let date = doubted(|at| format!("{:02}.{:02}.2024", at % 28 + 1, at % 12 + 1), 1000);
        assert!(date.contains("looks like dates") && date.contains("{x: \"date:%d.%m.%Y\"}"), "{date}");
        let name = doubted(|at| format!("customer {at}"), 100);
        assert!(name.contains("60 different texts in 100 training rows"), "{name}");
        assert_eq!(doubted(|at| format!("town {at}"), 1000), "", "a category with many rows each");
    }

    #[test]
    fn few_texts_are_enough_where_they_are_written_as_numbers_or_dates() {
        let said = |texts: &[&str]| {
            let categories: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            doubt("x", &categories, 100).unwrap_or_default()
        };
        assert!(
            said(&["0,2", "1,4", "3,5"]).contains("numbers with a decimal comma, which are text here (3")
        );
        let percent = said(&["4%", "5.7%", "7.2%"]);
        assert!(
            percent.contains("numbers with `%`") && percent.contains(": write them without;"),
            "{percent}"
        );
        assert!(said(&["01.02.2024", "03.02.2024", "31.12.2024"]).contains("looks like dates"));
        for texts in [&["1,5", "2,5"][..], &["1.2.10", "1.2.11", "1.3.12"], &["2WD", "4WD", "6WD"]] {
            assert_eq!(said(texts), "", "{texts:?}");
        }
        let weights: Vec<String> = (1..=10).map(|at| format!("{at}kg")).collect();
        assert!(doubt("x", &weights, 100).is_some_and(|said| said.contains("numbers with `kg`")));
    }
}
