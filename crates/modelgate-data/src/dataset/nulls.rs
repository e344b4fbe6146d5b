//! Which texts of a column are no value.

use std::collections::BTreeSet;

use modelgate_core::schema::Feature;

use super::{Dataset, ReadColumn};
use crate::batch::{Cells, Nulls};
use crate::error::DataError;
use crate::source::Format;
use crate::types::{ColumnType, is_null};

impl Dataset {
    pub(super) fn nulls(&self, column: &ReadColumn) -> Nulls {
        let name = &self.schema.columns[column.position].name;
        if self.literal.contains(name) { Nulls::Empty } else { Nulls::Words }
    }

    /// Returns the words that requests may say for a missing value beside [`crate::NULL_TOKENS`], sorted: those that are
    /// declared, whatever the format of the data. In Parquet, which has nulls of its own, a number among those that `features`
    /// hold is a value all the same, and so it is in requests.
    pub fn request_nulls(&self, features: &[Feature]) -> Vec<String> {
        let is_text = self.members.iter().any(|member| member.format == Format::Csv);
        let is_held = |number: f64| {
            let within = |(low, high): (f64, f64)| (low..=high).contains(&number);
            features.iter().any(|feature| feature.takes_null() && feature.range.is_some_and(within))
        };
        let is_value = |word: &str| !is_text && word.parse().is_ok_and(is_held);
        let words = self.null_words.iter().filter(|word| !is_null(word.as_bytes()) && !is_value(word));
        words.cloned().collect()
    }

    /// Returns the words that are declared to be null in every column of a text file, sorted.
    pub(crate) fn declared_nulls(&self) -> Vec<String> {
        let is_text = self.members.iter().any(|member| member.format == Format::Csv);
        self.null_words.iter().filter(|word| is_text && !word.is_empty()).cloned().collect()
    }

    /// Returns the words that are read as null in a column of a text file, sorted, but for the empty one.
    ///
    /// # Errors
    /// As [`Self::scan`]; and for a name that is not there.
    pub(crate) fn null_words(&self, name: &str) -> Result<Vec<String>, DataError> {
        let mut columns = self.columns(&[name])?;
        columns.iter_mut().for_each(|column| column.declared = ColumnType::String.into());
        let mut to_the_letter = self.clone();
        let words = std::mem::take(&mut to_the_letter.null_words);
        let is_new = to_the_letter.literal.insert(name.to_owned());
        let is_word = |text: &&str| words.contains(*text) || (is_new && is_null(text.as_bytes()));
        let mut found = BTreeSet::new();
        to_the_letter.scan(
            &columns,
            |batch| {
                let Some(Cells::Text(values)) = batch.columns.first().map(|column| &column.cells) else {
                    return Ok(BTreeSet::new());
                };
                let found = values.iter().flatten().map(str::trim_ascii).filter(is_word);
                Ok::<_, DataError>(found.map(str::to_owned).collect())
            },
            |words: BTreeSet<String>, position| {
                if self.members[position.file].format == Format::Csv {
                    found.extend(words);
                }
                Ok(())
            },
        )?;
        Ok(found.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::FeatureType;

    use super::*;
    use crate::{Mixed, ReadOptions, SourceFile};

    #[test]
    fn what_is_declared_goes_with_the_model_whatever_the_format() {
        let words = ["", "?", "-999", "-1", "NA"].map(str::to_owned);
        let options = ReadOptions { nulls: words.into(), ..ReadOptions::default() };
        let files = vec![SourceFile::bytes("a.csv", &b"x,y\n1,2\n"[..])];
        let mut dataset = Dataset::open(files, &options, Mixed::Refuse).expect("a data set");
        let held = |nullable| {
            [Feature { range: Some((-5.0, 5.0)), ..Feature::of("x", FeatureType::Float, nullable) }]
        };
        assert_eq!(dataset.request_nulls(&held(true)), ["-1", "-999", "?"]);
        dataset.members[0].format = Format::Parquet;
        assert_eq!(dataset.request_nulls(&held(true)), ["-999", "?"], "-1 is a number of the rows");
        assert_eq!(dataset.request_nulls(&held(false)), ["-1", "-999", "?"]);
    }
}
