//! A data set: files of one form, their columns and types, and all their rows, batch by batch.
//!
//! The key type is [`Dataset`]. Reading is parallel and its memory bounded: some blocks of a megabyte at a time.
//! What is found does not depend on the number of threads, since results are folded in the order of the rows.

mod bad;
mod columns;
mod notes;
mod nulls;
mod scan;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(crate) use bad::expected;
pub use columns::is_index as is_pandas_index;
use columns::{check_names, same_columns};
use notes::notes_on;
use scan::each_block;
use serde::{Deserialize, Serialize};

use crate::batch::NumberRange;
use crate::csv::Quoting;
use crate::csv::blocks::{Block, Blocks, Declared};
use crate::csv::dialect::Dialect;
use crate::error::{DataError, listed, not_there};
use crate::infer::{Evidence, Finding};
use crate::parquet;
use crate::source::{FileState, Format, SourceFile};
use crate::time;
use crate::types::{ColumnType, DeclaredType};

/// How files are read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadOptions {
    /// Columns that are left out; what they hold does not matter.
    pub drop: Vec<String>,
    /// Declared types.
    pub types: BTreeMap<String, DeclaredType>,
    /// Columns of text that are read to the letter: none of [`crate::NULL_TOKENS`] but the empty one is null in them.
    pub literal: BTreeSet<String>,
    /// More words that are null in every column of a text file, to the letter but for the white space around them.
    pub nulls: BTreeSet<String>,
    /// Columns that somebody asks for by name: the index of pandas is left out unless it is one of them, or its type is
    /// declared.
    pub named: BTreeSet<String>,
    /// Columns that no model learns from, whether they are read or not: a contract asks of none that a run reads it as it does.
    pub unlearned: BTreeSet<String>,
    /// The delimiter; found in the first lines by default.
    pub delimiter: Option<u8>,
    /// The quote; found in the first lines by default.
    pub quoting: Quoting,
}

/// What becomes of a column that a model could not learn from: numbers with text among them, numbers beyond the range of
/// `f32`, nested values, and files whose types differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mixed {
    /// It is an error that names the first such value.
    Refuse,
    /// It is told: mixed values are text, numbers are kept, nested columns are left out, and notes say so.
    AsText,
    /// As `AsText`, to compare values to the last digit: nested columns are written out as text, and nothing is said of digits
    /// that a model would not see.
    Exactly,
}

/// A column of a data set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SchemaColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(flatten)]
    pub declared: DeclaredType,
    /// Whether its type was found, and numbers of it are written with leading zeros, which are lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loses_zeros: bool,
}

/// The columns that are kept, in the order of the first file, and the number of rows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DataSchema {
    /// The columns.
    pub columns: Vec<SchemaColumn>,
    /// The number of rows of all files.
    pub rows: u64,
    /// What a person should know of the types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl DataSchema {
    /// Returns the position of a column.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Returns the column called `name`.
    pub fn column(&self, name: &str) -> Option<&SchemaColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the positions of the columns by their names, for who looks up many: [`Self::position`] goes through all of them
    /// each time.
    pub fn places(&self) -> HashMap<&str, usize> {
        let places = self.columns.iter().enumerate().rev();
        places.map(|(at, column)| (column.name.as_str(), at)).collect()
    }

    /// Returns the names of the columns.
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }
}

/// A file that is known to fit the others.
#[derive(Clone, Debug)]
struct Member {
    file: SourceFile,
    /// What the file was when it was opened; every pass over it is held against this.
    state: FileState,
    format: Format,
    /// Number of columns in the file.
    width: usize,
    /// Where each column of the schema stands in the file.
    positions: Vec<usize>,
}

/// What a file says of its columns.
enum Header {
    Csv(Vec<String>),
    Parquet(parquet::ParquetInfo),
}

/// Returns the columns of unsigned numbers that are floats in all files because one of them has a number too large.
fn wide<'a>(headers: impl Iterator<Item = &'a Header>) -> BTreeSet<String> {
    let columns = headers.flat_map(|header| match header {
        Header::Csv(_) => &[],
        Header::Parquet(info) => info.columns.as_slice(),
    });
    let wide = columns.filter(|column| column.is_unsigned && column.column_type == ColumnType::Float);
    wide.map(|column| column.name.clone()).collect()
}

/// Files of one form.
#[derive(Clone, Debug)]
pub struct Dataset {
    members: Vec<Member>,
    declared: Declared,
    range: NumberRange,
    /// Columns of text that are read to the letter.
    literal: BTreeSet<String>,
    /// Words that are null in every column of a text file.
    null_words: BTreeSet<String>,
    /// Columns that no value can be read of, and what they are.
    nested: BTreeMap<String, String>,
    /// Whether these are written out as text.
    writes_nested: bool,
    /// The columns and the number of rows.
    pub schema: DataSchema,
}

/// One column to read, and as what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadColumn {
    /// Its position in [`DataSchema::columns`].
    pub position: usize,
    /// The type.
    pub declared: DeclaredType,
}

impl Dataset {
    /// Opens files and finds the types of their columns, by looking at every value of a text file.
    ///
    /// # Errors
    /// Names file, line and column for: no header, no row, a ragged row, a column name that is empty or stands
    /// twice, quotes that do not match, a declared column that is not there, files whose columns differ, and,
    /// with [`Mixed::Refuse`], numbers mixed with text that is not more, and nested columns.
    pub fn open(files: Vec<SourceFile>, options: &ReadOptions, mixed: Mixed) -> Result<Self, DataError> {
        let mut dataset = Self::without_types(files, options, mixed)?;
        if mixed != Mixed::Refuse {
            dataset.range = NumberRange::All;
        }
        if mixed == Mixed::AsText {
            dataset.leave_out_nested();
        }
        dataset.infer(options, mixed)?;
        Ok(dataset)
    }

    /// Returns the names of all columns of the first file.
    ///
    /// # Errors
    /// Fails when it has no header.
    pub fn column_names(file: &SourceFile, options: &ReadOptions) -> Result<Vec<String>, DataError> {
        let declared = Declared { delimiter: options.delimiter, quoting: options.quoting };
        let names = match file.format()? {
            Format::Csv => Blocks::open(file, declared)?.header,
            Format::Parquet => parquet::info(file)?.columns.into_iter().map(|column| column.name).collect(),
        };
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        check_names(file, &known, &ReadOptions::default())?;
        Ok(names)
    }

    fn leave_out_nested(&mut self) {
        let nested = &self.nested;
        let kept: Vec<bool> =
            self.schema.columns.iter().map(|column| !nested.contains_key(&column.name)).collect();
        for member in &mut self.members {
            let mut kept = kept.iter();
            member.positions.retain(|_| kept.next().copied().unwrap_or_default());
        }
        self.schema.columns.retain(|column| !nested.contains_key(&column.name));
        let told =
            nested.iter().map(|(name, what)| format!("column `{name}` is of type {what}; it is left out"));
        self.schema.notes.extend(told);
    }

    /// Opens files whose columns and types are known already.
    ///
    /// # Errors
    /// Fails when the files do not have these columns.
    pub fn with_schema(
        files: Vec<SourceFile>,
        options: &ReadOptions,
        schema: DataSchema,
    ) -> Result<Self, DataError> {
        let expected = schema.names();
        // An index that was read then is read again.
        let indices = expected.iter().filter(|name| is_pandas_index(name)).map(|name| (*name).to_owned());
        let mut options = options.clone();
        options.named.extend(indices);
        let mut dataset = Self::without_types(files, &options, Mixed::Refuse)?;
        if dataset.schema.names() != expected {
            let file = &dataset.members[0].file;
            return Err(file.error(format!("its columns are no longer {}", listed(&expected))));
        }
        dataset.schema = schema;
        Ok(dataset)
    }

    /// Reads the headers; types are as declared, or `float` until they are found.
    ///
    /// But with [`Mixed::Refuse`] nested columns are part of the schema, and files may differ in types.
    pub(crate) fn without_types(
        files: Vec<SourceFile>,
        options: &ReadOptions,
        mixed: Mixed,
    ) -> Result<Self, DataError> {
        let declared = Declared { delimiter: options.delimiter, quoting: options.quoting };
        let mut members: Vec<Member> = Vec::with_capacity(files.len());
        let mut schema = DataSchema::default();
        let mut nested = BTreeMap::new();
        for (name, declared) in &options.types {
            if let Some(problem) = declared.format.as_deref().and_then(time::wrong_format) {
                let (source_name, message) = ("data.types".to_owned(), format!("column `{name}`: {problem}"));
                return Err(DataError::File { source_name, message });
            }
        }
        let mut opened = Vec::with_capacity(files.len());
        for file in files {
            let (state, format) = (file.state(), file.format()?);
            let header = match format {
                Format::Csv => Header::Csv(Blocks::open(&file, declared)?.header),
                Format::Parquet => Header::Parquet(parquet::info(&file)?),
            };
            opened.push((file, state, format, header));
        }
        let wide = wide(opened.iter().map(|(.., header)| header));
        for (file, state, format, header) in opened {
            let found: Vec<(String, DeclaredType)> = match header {
                Header::Csv(names) => {
                    names.into_iter().map(|name| (name, ColumnType::Float.into())).collect()
                }
                Header::Parquet(info) => {
                    schema.rows += info.rows;
                    for column in info.columns.iter().filter(|column| !options.drop.contains(&column.name)) {
                        schema.notes.extend(column.note.clone().filter(|_| mixed != Mixed::Exactly));
                        let Some(what) = &column.unread else { continue };
                        if mixed == Mixed::Refuse {
                            return Err(file.error(format!(
                                "column `{}` is of type {}; {}, or drop it",
                                column.name, what.what, what.instead
                            )));
                        }
                        nested.insert(column.name.clone(), what.what.clone());
                    }
                    let column_type = |column: &parquet::ParquetColumn| {
                        let is_wide = column.is_unsigned && wide.contains(&column.name);
                        if is_wide { ColumnType::Float } else { column.column_type }
                    };
                    info.columns
                        .into_iter()
                        .map(|column| (column.name.clone(), column_type(&column).into()))
                        .collect()
                }
            };
            let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            check_names(&file, &names, options)?;
            let width = names.len();
            let mut kept: Vec<usize> =
                (0..width).filter(|at| !options.drop.iter().any(|drop| drop == names[*at])).collect();
            columns::leave_out_index(&mut kept, &names, format, options, &mut schema.notes);
            let positions = match members.first() {
                None => {
                    schema.columns.extend(kept.iter().map(|at| SchemaColumn {
                        name: found[*at].0.clone(),
                        declared: options.types.get(&found[*at].0).cloned().unwrap_or(found[*at].1.clone()),
                        loses_zeros: false,
                    }));
                    kept
                }
                Some(first) => {
                    if format != first.format {
                        return Err(file.error(format!(
                            "it is {format:?} and `{}` is {:?}; name files of one format",
                            first.file.name, first.format
                        )));
                    }
                    same_columns(&file, &mut schema, &found, &kept, &first.file.name, options, mixed)?
                }
            };
            members.push(Member { file, state, format, width, positions });
        }
        if members.is_empty() {
            let message = "no file is named".to_owned();
            return Err(DataError::File { source_name: "the data".to_owned(), message });
        }
        schema.notes.extend(columns::partitions(members.iter().map(|member| &member.file)).filter_map(|name| {
            let is_known = schema.columns.iter().any(|column| column.name == name) || options.drop.contains(&name);
            (!is_known).then(|| {
                format!(
                    "the folders called `{name}=…` say a value of `{name}` for the files in them, which is not read: write it into \
                     the files as a column"
                )
            })
        }));
        // That a decimal is read as float is said of what is declared too.
        for column in &schema.columns {
            let is_declared =
                options.types.get(&column.name).is_some_and(|found| found.column_type == ColumnType::Decimal);
            let told = schema
                .notes
                .iter()
                .any(|note| note.contains(&format!("column `{}` is decimal", column.name)));
            if is_declared && !told && mixed != Mixed::Exactly {
                schema.notes.push(format!(
                    "column `{}` is declared as decimal and read as float: digits beyond 15 are lost",
                    column.name
                ));
            }
        }
        let (literal, null_words) = (options.literal.clone(), options.nulls.clone());
        Ok(Self {
            members,
            declared,
            range: NumberRange::Models,
            literal,
            null_words,
            nested,
            writes_nested: mixed == Mixed::Exactly,
            schema,
        })
    }

    fn infer(&mut self, options: &ReadOptions, mixed: Mixed) -> Result<(), DataError> {
        let undeclared: Vec<usize> = (0..self.schema.columns.len())
            .filter(|at| !options.types.contains_key(&self.schema.columns[*at].name))
            .collect();
        let mut all = vec![Evidence::default(); undeclared.len()];
        let mut text_rows = 0;
        for (file, member) in
            self.members.iter().enumerate().filter(|(_, member)| member.format == Format::Csv)
        {
            let mut rows = 0;
            let look = |block: &Block, dialect: Dialect| {
                let fields = self.fields(block, dialect, member)?;
                let look = |at: &usize| Evidence::of(&fields, member.positions[*at], file);
                Ok((fields.rows(), undeclared.iter().map(look).collect::<Vec<_>>()))
            };
            let looked = each_block(&member.file, self.declared, look, |(count, found)| {
                rows += count as u64;
                all.iter_mut().zip(found).for_each(|(all, found)| all.merge(found));
                Ok(())
            });
            member.file.unchanged_since(member.state, looked)?;
            if rows == 0 {
                let names = self.schema.names();
                return Err(member
                    .file
                    .error(columns::of_old_lines(&names).unwrap_or("the file has a header and no rows")));
            }
            text_rows += rows;
        }
        if text_rows == 0 {
            return match self.schema.rows {
                0 => Err(self.members[0].file.error("the file has no rows")),
                _ => Ok(()),
            };
        }
        self.schema.rows = text_rows;
        // Of all files together: what is mixed may be so only between them.
        for (at, found) in undeclared.into_iter().zip(all) {
            let notes = notes_on(&self.schema.columns[at].name, &self.members, &found, mixed)?;
            self.schema.notes.extend(notes);
            let column_type = match found.finding() {
                Finding::Type(column_type) => column_type,
                Finding::Mixed { .. } | Finding::NotAllDates { .. } => ColumnType::String,
            };
            self.schema.columns[at].declared = column_type.into();
            self.schema.columns[at].loses_zeros = found.leading_zero().is_some();
        }
        Ok(())
    }

    /// Returns the names of the files.
    pub fn files(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.file.name.as_str()).collect()
    }

    /// Returns whether folders say a value of `name` for the files in them, as partitions of Hive do.
    pub(crate) fn is_partition(&self, name: &str) -> bool {
        columns::partitions(self.members.iter().map(|member| &member.file)).any(|other| other == name)
    }

    /// Returns whether the files say of what types their columns are.
    pub(crate) fn is_parquet(&self) -> bool {
        self.members.iter().all(|member| member.format == Format::Parquet)
    }

    /// Returns the columns that no value can be read of.
    pub(crate) fn nested(&self) -> impl Iterator<Item = &str> {
        self.nested.keys().map(String::as_str)
    }

    /// Returns all columns, with their types.
    pub fn all_columns(&self) -> Vec<ReadColumn> {
        let columns = self.schema.columns.iter().enumerate();
        columns.map(|(position, column)| ReadColumn { position, declared: column.declared.clone() }).collect()
    }

    /// Returns the columns called `names`, with their types.
    ///
    /// # Errors
    /// Fails for a name that is not there.
    pub fn columns(&self, names: &[&str]) -> Result<Vec<ReadColumn>, DataError> {
        let places = self.schema.places();
        let find = |name: &&str| {
            let position = places.get(name).copied().ok_or_else(|| {
                self.members[0].file.error(not_there("the column", name, &self.schema.names()))
            })?;
            Ok(ReadColumn { position, declared: self.schema.columns[position].declared.clone() })
        };
        names.iter().map(find).collect()
    }
}
