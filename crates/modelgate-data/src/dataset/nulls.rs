//! Which texts of a column are no value.

use std::collections::BTreeSet;

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

    /// Returns the words that are null in every column beside [`crate::NULL_TOKENS`], sorted; Parquet has nulls of its own.
    pub fn declared_nulls(&self) -> Vec<String> {
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
