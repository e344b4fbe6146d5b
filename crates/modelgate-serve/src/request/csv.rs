//! `POST /invocations` in CSV, with a header, and with the nulls and booleans that training reads.

use modelgate_core::schema::FeatureType;
use modelgate_data::parse_bool;

use super::rows::{Batch, Cell, Rows};
use super::tree::begin;
use crate::refusal::Refusal;

/// Reads CSV with a header.
pub(crate) fn read_csv(body: &[u8], types: &[FeatureType], mut rows: Rows<'_>) -> Result<Batch, Refusal> {
    if let Some(sentence) = misquoted(body) {
        return Err(Refusal::malformed(sentence));
    }
    let mut reader = csv::ReaderBuilder::new().from_reader(body);
    let wrong = |error: &csv::Error| {
        let line =
            error.position().map_or_else(String::new, |position| format!(" in line {}", position.line()));
        let sentence = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("the CSV has {len} values for {expected_len} columns{line}")
            }
            csv::ErrorKind::Utf8 { .. } => format!("the CSV is not UTF-8{line}"),
            _ => format!("the CSV cannot be read{line}"),
        };
        Refusal::malformed(sentence)
    };
    let names = reader.headers().map_err(|error| wrong(&error))?.clone();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(&error))?;
        begin(&mut rows)?;
        for (guess, (name, text)) in names.iter().zip(&record).enumerate() {
            if let Some(at) = rows.find(name, guess) {
                // A category that a model knows is no null, whatever it is called.
                let known = types[at] == FeatureType::Text && rows.knows(at, text);
                let cell = match typed(text, types[at]) {
                    _ if known => Cell::Text(text),
                    _ if rows.is_null(text.trim_ascii()) => Cell::Null,
                    cell => cell,
                };
                rows.set_as_written(at, cell);
            }
        }
        rows.end();
    }
    rows.finish()
}

/// Text of CSV in the type of its feature, with the booleans of training; what is no number stays text and is refused as such.
fn typed(text: &str, feature_type: FeatureType) -> Cell<'_> {
    let trimmed = text.trim_ascii();
    match (feature_type, parse_bool(trimmed.as_bytes())) {
        (FeatureType::Text, _) => Cell::Text(text),
        (FeatureType::Int | FeatureType::Float, Some(value)) => Cell::Bool(value),
        (FeatureType::Int | FeatureType::Float, None) => {
            match (trimmed.parse::<i64>(), trimmed.parse::<f64>()) {
                (Ok(whole), _) => Cell::Int(whole),
                (_, Ok(number)) => Cell::Number(number),
                _ => Cell::Text(text),
            }
        }
    }
}

/// Returns what is wrong with the quotes of a CSV: one that is not closed, as where the rest of the rows did not come, or
/// something behind the closing one. The reader would take both for a value.
fn misquoted(body: &[u8]) -> Option<String> {
    if !body.contains(&b'"') {
        return None;
    }
    let mut bytes = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).iter().copied().peekable();
    let (mut line, mut begins) = (1_usize, true);
    while let Some(byte) = bytes.next() {
        if !(begins && byte == b'"') {
            line += usize::from(byte == b'\n');
            begins = matches!(byte, b',' | b'\n' | b'\r');
            continue;
        }
        let opened = line;
        loop {
            match bytes.next() {
                None => return Some(format!("the CSV ends within the quotes that begin in line {opened}")),
                Some(b'"') if bytes.next_if_eq(&b'"').is_some() => {}
                Some(b'"') => break,
                Some(byte) => line += usize::from(byte == b'\n'),
            }
        }
        if bytes.peek().is_some_and(|next| !matches!(next, b',' | b'\n' | b'\r')) {
            return Some(format!("the CSV has something behind a closing quote in line {line}"));
        }
        begins = false;
    }
    None
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::Feature;
    use modelgate_model::InputColumn;

    use super::*;
    use crate::request::inputs::{Inputs, of_features, of_features_and_nulls};
    use crate::settings::Leniency;

    fn inputs() -> Inputs {
        let member = Feature { range: Some((0.0, 1.0)), ..Feature::of("member", FeatureType::Int, false) };
        let income = Feature::of("income", FeatureType::Float, true);
        let categories = vec!["NA".to_owned(), "north".to_owned()];
        let region = Feature { categories, ..Feature::of("region", FeatureType::Text, true) };
        of_features(vec![member, income, region])
    }

    fn read(text: &str) -> Result<Batch, Refusal> {
        let inputs = inputs();
        let types = [FeatureType::Int, FeatureType::Float, FeatureType::Text];
        read_csv(text.as_bytes(), &types, Rows::new(&inputs, Leniency::default(), 100))
    }

    #[test]
    fn csv_has_the_booleans_and_nulls_of_training() {
        for (yes, no) in
            [("true", "false"), ("True", "False"), ("TRUE", "FALSE"), ("1", "0"), (" TRUE", "0 ")]
        {
            let batch = read(&format!("member,income,region\n{yes},1,north\n{no},2,north\n")).expect("rows");
            assert!(matches!(&batch.columns[0], InputColumn::Ints(found) if found == &[1, 0]), "{yes} {no}");
        }
        for null in modelgate_data::NULL_TOKENS {
            let batch = read(&format!("member,income,region\n1,{null},north\n")).expect("rows");
            assert!(matches!(&batch.columns[1], InputColumn::Floats(found) if found[0].is_nan()), "{null}");
        }
        // What a model knows as a category is one: its rows may have come from Parquet, where `NA` is text.
        let batch = read("member,income,region\n1,1,NA\n1,1,None\n").expect("rows");
        assert!(matches!(&batch.columns[2], InputColumn::Texts(found) if found == &["NA", ""]));
        assert_eq!(read("member,income,region\nyes,1,north\n").expect_err("refused").reason(), "wrong_type");
    }

    #[test]
    fn booleans_some_of_which_are_missing_are_read_as_those_of_a_full_column() {
        let ranged =
            |name: &str| Feature { range: Some((0.0, 1.0)), ..Feature::of(name, FeatureType::Float, true) };
        let inputs = of_features(vec![Feature { boolean: true, ..ranged("member") }, ranged("share")]);
        let read = |rows: &str| {
            let rows = format!("member,share\n{rows}\n");
            let types = [FeatureType::Float, FeatureType::Float];
            read_csv(rows.as_bytes(), &types, Rows::new(&inputs, Leniency::default(), 100))
        };
        let batch = read("true,1\n FALSE,1\n,1\n0,1\n1.0,1").expect("rows");
        assert!(matches!(&batch.columns[0], InputColumn::Floats(found)
            if found[..2] == [1.0, 0.0] && found[2].is_nan() && found[3..] == [0.0, 1.0]));
        assert!(batch.flagged.is_empty(), "{batch:?}");
        for (row, expected) in [
            ("yes,1", "0 or 1, or false or true, or null; got a string"),
            ("1,true", "a number from 0 to 1, or null; got a boolean"),
        ] {
            let refusal = read(row).expect_err("refused");
            let problem = &refusal.problems[0];
            assert_eq!(format!("{}; got {}", problem.expected, problem.got), expected, "{row}");
        }
    }

    #[test]
    fn words_of_the_project_for_a_missing_value_are_null_to_the_letter() {
        let features = inputs().inputs.into_iter().map(|input| input.feature).collect();
        let inputs = of_features_and_nulls(features, &["-999", "?"]);
        let types = [FeatureType::Int, FeatureType::Float, FeatureType::Text];
        let read = |row: &str| {
            let text = format!("member,income,region\n{row}\n");
            read_csv(text.as_bytes(), &types, Rows::new(&inputs, Leniency::default(), 100))
        };
        for word in ["-999", " ? ", "NA"] {
            let batch = read(&format!("1,{word},?")).unwrap_or_else(|refusal| panic!("{word}: {refusal:?}"));
            assert!(matches!(&batch.columns[1], InputColumn::Floats(found) if found[0].is_nan()), "{word}");
            assert!(matches!(&batch.columns[2], InputColumn::Texts(found) if found[0].is_empty()), "{word}");
        }
        let batch = read("1,-999.0,north").expect("rows");
        assert!(matches!(&batch.columns[1], InputColumn::Floats(found) if found == &[-999.0]));
        assert_eq!(read("?,1,north").expect_err("refused").reason(), "null");
    }

    #[test]
    fn the_index_that_pandas_writes_is_told_of() {
        for name in ["", "Unnamed: 0"] {
            let refusal = read(&format!("{name},member,income,region\n0,1,1,north\n")).expect_err("refused");
            assert!(refusal.message.contains("`index=False` leaves it out"), "{}", refusal.message);
            assert_eq!(refusal.reason(), "unknown");
        }
    }

    #[test]
    fn quotes_that_are_not_closed_are_refused_with_their_line() {
        let head = "\u{feff}\"member\",income,region\r\n";
        for (good, region) in [
            ("1,1,\"north\"\n", "north"),
            ("1,1,\"north\"", "north"),
            ("\"1\",\"1\",\"\"\"a\"\",\nb\"\n1,1,NA", "\"a\",\nb"),
            ("1,1,a\"b\"", "a\"b\""),
        ] {
            let leniency = Leniency { reject_unknown_category: false, ..Leniency::default() };
            let (inputs, types) = (inputs(), [FeatureType::Int, FeatureType::Float, FeatureType::Text]);
            let text = format!("{head}{good}");
            let batch = read_csv(text.as_bytes(), &types, Rows::new(&inputs, leniency, 100));
            let batch = batch.unwrap_or_else(|refusal| panic!("{good}: {refusal:?}"));
            assert!(
                matches!(&batch.columns[2], InputColumn::Texts(found) if found[0] == region),
                "{batch:?}"
            );
        }
        for (bad, says) in [
            ("1,1,north\n1,1,\"it's", "ends within the quotes that begin in line 3"),
            ("1,1,\"it\n1,1,north\n", "ends within the quotes that begin in line 2"),
            ("1,1,\"\"\"", "ends within the quotes that begin in line 2"),
            ("1,1,\"nor\"th\n", "something behind a closing quote in line 2"),
            ("1,1,\"a\nb\" \n", "something behind a closing quote in line 3"),
        ] {
            let refusal = read(&format!("{head}{bad}")).expect_err(bad);
            assert_eq!(
                (refusal.status.as_u16(), refusal.message.contains(says)),
                (400, true),
                "{bad}: {refusal:?}"
            );
        }
    }
}
