//! CSV in: strict about shape, with types inferred or declared.

use std::collections::BTreeMap;

use modelgate_core::schema::FeatureType;

use crate::error::{DataError, clipped, listed};
use crate::table::{Column, Table, Values};

/// The texts that are null, those of pandas' `read_csv`, so that a notebook and a pipeline see the same rows.
/// Source: <https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html>, `na_values`.
pub const NULL_TOKENS: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// How a CSV file is read.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CsvOptions {
    /// Columns that are left out; what they hold does not matter.
    pub drop: Vec<String>,
    /// Declared types.
    pub types: BTreeMap<String, FeatureType>,
    /// The delimiter; a comma by default.
    pub delimiter: Option<u8>,
}

/// Reads a CSV file with a header line; `source` is only for messages.
///
/// A column is whole numbers if all its values are, else numbers if all are, else text.
///
/// # Errors
/// Names line and column for: no header, no row, a ragged row, a column name that is empty or stands twice, bytes
/// that are not UTF-8, an infinite number or one beyond `f32`, numbers mixed with a little text, and values that
/// are not of the declared type.
pub fn read_csv(bytes: &[u8], source: &str, options: &CsvOptions) -> Result<Table, DataError> {
    let file_error = |message: String| DataError::File { source_name: source.to_owned(), message };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = memchr_lines(good);
        let message = "the bytes are not UTF-8; save the file as UTF-8".to_owned();
        DataError::Line { source_name: source.to_owned(), line, column: None, message }
    })?;
    if text.trim().is_empty() {
        return Err(file_error("the file is empty; expected a header line and rows".to_owned()));
    }
    let mut reader =
        csv::ReaderBuilder::new().delimiter(options.delimiter.unwrap_or(b',')).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| ragged(&error, source))?.clone();
    let names: Vec<String> = header.iter().map(str::to_owned).collect();
    check_header(&names, options, &file_error)?;
    let kept: Vec<usize> = (0..names.len()).filter(|index| !options.drop.contains(&names[*index])).collect();
    let mut raw = RawColumns::new(kept.len());
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| ragged(&error, source))? {
        let line = record.position().map_or(0, csv::Position::line);
        raw.lines.push(line);
        for (column, index) in kept.iter().enumerate() {
            raw.push(column, record.get(*index).unwrap_or_default());
        }
    }
    if raw.lines.is_empty() {
        return Err(file_error("the file has a header and no rows".to_owned()));
    }
    let convert = |(column, index): (usize, &usize)| {
        let name = &names[*index];
        let context = ColumnContext { raw: &raw, column, name, source };
        let values = match options.types.get(name) {
            Some(declared) => context.declared(*declared)?,
            None => context.inferred()?,
        };
        Ok(Column { name: name.clone(), values })
    };
    let columns = kept.iter().enumerate().map(convert).collect::<Result<Vec<_>, DataError>>()?;
    Ok(Table { columns, rows: raw.lines.len() })
}

fn memchr_lines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').count() as u64
}

fn check_header(
    names: &[String],
    options: &CsvOptions,
    error: &dyn Fn(String) -> DataError,
) -> Result<(), DataError> {
    for (index, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            return Err(error(format!("column {} has no name in the header line", index + 1)));
        }
        if let Some(first) = names[..index].iter().position(|other| other == name) {
            let (first, second) = (first + 1, index + 1);
            return Err(error(format!(
                "the column name `{name}` stands twice, at {first} and {second}; rename one"
            )));
        }
    }
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    for (what, name) in options
        .drop
        .iter()
        .map(|name| ("preprocess.drop", name))
        .chain(options.types.keys().map(|name| ("data.types", name)))
    {
        if !known.contains(&name.as_str()) {
            return Err(error(format!(
                "{what} names the column `{name}`, which is not there; there is {}",
                listed(&known)
            )));
        }
    }
    Ok(())
}

fn ragged(error: &csv::Error, source: &str) -> DataError {
    let (line, message) = match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            (line, format!("the row has {len} values and the header {expected_len}"))
        }
        _ => (error.position().map_or(0, csv::Position::line), error.to_string()),
    };
    DataError::Line { source_name: source.to_owned(), line, column: None, message }
}

/// All values as text, column by column, in one buffer each.
struct RawColumns {
    text: Vec<String>,
    ends: Vec<Vec<usize>>,
    lines: Vec<u64>,
}

impl RawColumns {
    fn new(columns: usize) -> Self {
        Self { text: vec![String::new(); columns], ends: vec![Vec::new(); columns], lines: Vec::new() }
    }

    fn push(&mut self, column: usize, value: &str) {
        self.text[column].push_str(value);
        self.ends[column].push(self.text[column].len());
    }

    fn values(&self, column: usize) -> impl Iterator<Item = Option<&str>> {
        let (text, ends) = (&self.text[column], &self.ends[column]);
        ends.iter().scan(0, move |start, end| {
            let value = &text[*start..*end];
            *start = *end;
            let trimmed = value.trim();
            Some((!NULL_TOKENS.contains(&trimmed)).then_some(value))
        })
    }
}

struct ColumnContext<'a> {
    raw: &'a RawColumns,
    column: usize,
    name: &'a str,
    source: &'a str,
}

impl ColumnContext<'_> {
    fn error(&self, row: usize, message: String) -> DataError {
        DataError::Line {
            source_name: self.source.to_owned(),
            line: self.raw.lines.get(row).copied().unwrap_or(0),
            column: Some(self.name.to_owned()),
            message,
        }
    }

    fn values(&self) -> impl Iterator<Item = Option<&str>> {
        self.raw.values(self.column)
    }

    fn inferred(&self) -> Result<Values, DataError> {
        if let Some(ints) = self.all(|value| value.parse::<i64>().ok()) {
            // A column without any value is numeric to whoever fills it in.
            let empty = ints.iter().all(Option::is_none);
            return Ok(if empty { Values::Float(vec![None; ints.len()]) } else { Values::Int(ints) });
        }
        let (mut numbers, mut texts, mut first_text) = (0_usize, 0_usize, None);
        for (row, value) in self.values().enumerate() {
            let Some(value) = value else { continue };
            if parse_number(value).is_some() {
                numbers += 1;
            } else {
                texts += 1;
                first_text.get_or_insert((row, value));
            }
        }
        match first_text {
            None => self.floats(),
            Some((row, value)) if numbers > texts => {
                let message = format!(
                    "{} is not a number, and {numbers} of {} values of this column are; mend the value, declare \
                     `data.types: {{{}: string}}`, or add the column to `preprocess.drop`",
                    clipped(value),
                    numbers + texts,
                    self.name
                );
                Err(self.error(row, message))
            }
            Some(_) => Ok(self.text()),
        }
    }

    fn declared(&self, declared: FeatureType) -> Result<Values, DataError> {
        match declared {
            FeatureType::Text => Ok(self.text()),
            FeatureType::Float => self.floats(),
            FeatureType::Int => {
                let parsed = self.values().enumerate().map(|(row, value)| {
                    match value.map(|value| (value, value.trim().parse())) {
                        None => Ok(None),
                        Some((_, Ok(number))) => Ok(Some(number)),
                        Some((value, Err(_))) => Err(self.error(
                            row,
                            format!("{} is not a whole number, as `data.types` says", clipped(value)),
                        )),
                    }
                });
                Ok(Values::Int(parsed.collect::<Result<_, _>>()?))
            }
        }
    }

    fn all<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
        self.values().map(|value| value.map_or(Some(None), |value| parse(value.trim()).map(Some))).collect()
    }

    fn text(&self) -> Values {
        Values::Text(self.values().map(|value| value.map(str::to_owned)).collect())
    }

    fn floats(&self) -> Result<Values, DataError> {
        let parsed = self.values().enumerate().map(|(row, value)| {
            let Some(value) = value else { return Ok(None) };
            match parse_number(value) {
                Some(number) if number.is_nan() => Ok(None),
                Some(number) if (number as f32).is_finite() => Ok(Some(number)),
                Some(_) => {
                    let message = format!(
                        "{} is infinite or beyond ±3.4e38, the range of `f32`, which models compute in; mend or remove it",
                        clipped(value)
                    );
                    Err(self.error(row, message))
                }
                None => Err(self.error(row, format!("{} is not a number, as `data.types` says", clipped(value)))),
            }
        });
        Ok(Values::Float(parsed.collect::<Result<_, _>>()?))
    }
}

fn parse_number(value: &str) -> Option<f64> {
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, DataError> {
        read_csv(text.as_bytes(), "a.csv", &CsvOptions::default())
    }

    fn message(text: &str) -> String {
        read(text).expect_err("bad input").to_string()
    }

    #[test]
    fn types_are_inferred_and_nulls_are_those_of_pandas() {
        let table = read("\u{feff}a,b,c,d\r\n1,1.5,x,\r\n2,NaN,\"y,z\",\r\n-3,2,NA,").expect("table");
        assert_eq!(table.rows, 3);
        assert_eq!(table.columns[0].values, Values::Int(vec![Some(1), Some(2), Some(-3)]));
        assert_eq!(table.columns[1].values, Values::Float(vec![Some(1.5), None, Some(2.0)]));
        assert_eq!(table.columns[2].values, Values::Text(vec![Some("x".into()), Some("y,z".into()), None]));
        assert_eq!(table.columns[3].values, Values::Float(vec![None; 3]));
    }

    #[test]
    fn files_without_rows_are_refused() {
        assert_eq!(message(""), "a.csv: the file is empty; expected a header line and rows");
        assert_eq!(message("a,b\n"), "a.csv: the file has a header and no rows");
    }

    #[test]
    fn a_ragged_row_is_named_by_its_line() {
        assert_eq!(message("a,b\n1,2\n3\n"), "a.csv: line 3: the row has 1 values and the header 2");
    }

    #[test]
    fn column_names_are_there_and_differ() {
        assert_eq!(
            message("a,b,a\n1,2,3\n"),
            "a.csv: the column name `a` stands twice, at 1 and 3; rename one"
        );
        assert_eq!(message("a,,c\n1,2,3\n"), "a.csv: column 2 has no name in the header line");
    }

    #[test]
    fn a_number_that_is_not_finite_is_named_by_line_and_column() {
        for value in ["inf", "-Infinity", "1e39"] {
            let text = message(&format!("a,b\n1,1.5\n2,{value}\n"));
            assert!(text.starts_with(&format!("a.csv: line 3, column `b`: `{value}` is infinite")), "{text}");
        }
    }

    #[test]
    fn a_little_text_among_numbers_is_an_error_and_can_be_declared() {
        let text = "a\n1\n2\nx\n";
        assert!(
            message(text).starts_with("a.csv: line 4, column `a`: `x` is not a number, and 2 of 3"),
            "{}",
            message(text)
        );
        let options = CsvOptions {
            types: BTreeMap::from([("a".to_owned(), FeatureType::Text)]),
            ..CsvOptions::default()
        };
        let table = read_csv(text.as_bytes(), "a.csv", &options).expect("table");
        assert_eq!(table.columns[0].feature_type(), FeatureType::Text);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named_by_their_line() {
        let error = read_csv(b"a,b\n1,2\n\xff,3\n", "a.csv", &CsvOptions::default()).expect_err("not UTF-8");
        assert!(error.to_string().starts_with("a.csv: line 3: the bytes are not UTF-8"), "{error}");
    }

    #[test]
    fn a_dropped_column_may_hold_anything() {
        let options = CsvOptions { drop: vec!["b".to_owned()], ..CsvOptions::default() };
        assert_eq!(read_csv(b"a,b\n1,inf\n2,x\n", "a.csv", &options).expect("table").columns.len(), 1);
        let options = CsvOptions { drop: vec!["z".to_owned()], ..CsvOptions::default() };
        let error = read_csv(b"a,b\n1,2\n", "a.csv", &options).expect_err("no such column").to_string();
        assert_eq!(
            error,
            "a.csv: preprocess.drop names the column `z`, which is not there; there is `a`, `b`"
        );
    }
}
