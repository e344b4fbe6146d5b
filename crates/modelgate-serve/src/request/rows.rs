//! Rows as they are read: each cell is checked where it is met, and goes into the column that the model takes.

use std::cell::Cell as Kept;

use modelgate_model::InputColumn;

pub(crate) use super::cell::Cell;
use super::inputs::Inputs;
use crate::refusal::{LISTED, Problem, Refusal};
use crate::settings::Leniency;

/// Rows of a request, in the columns that the model takes.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// In the order of the model's inputs.
    pub(crate) columns: Vec<InputColumn>,
    pub(crate) rows: usize,
    /// What is unusual and answered all the same; the first places.
    pub(crate) warnings: Vec<Problem>,
    /// How many cells are, by reason.
    pub(crate) flagged: Vec<(&'static str, usize)>,
}

impl Batch {
    /// Returns the unusual cells beyond those that are listed.
    pub(crate) fn more_warnings(&self) -> usize {
        let all: usize = self.flagged.iter().map(|(_, count)| count).sum();
        all - self.warnings.len().min(all)
    }
}

thread_local! {
    /// The columns of the request before, empty: most requests ask the same model, and one column costs as much as its cell.
    static SPARE: Kept<Vec<InputColumn>> = const { Kept::new(Vec::new()) };
}

/// Cells of a row times rows whose columns are kept for the next request.
const SPARE_CELLS: usize = 4096;

/// Returns empty columns for a model.
fn columns(inputs: &Inputs) -> Vec<InputColumn> {
    let types = inputs.inputs.iter().map(|input| input.feature.feature_type);
    let spare = SPARE.take();
    if spare.iter().map(InputColumn::feature_type).eq(types.clone()) {
        return spare;
    }
    types.map(InputColumn::new).collect()
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.rows.saturating_mul(self.columns.len()) <= SPARE_CELLS {
            let mut columns = std::mem::take(&mut self.columns);
            columns.iter_mut().for_each(InputColumn::clear);
            SPARE.set(columns);
        }
    }
}

/// Returns on which side of its bounds a number is: that it is a number says nothing of what is wrong with it.
fn beside(below: bool) -> &'static str {
    if below { "a number below that" } else { "a number above that" }
}

/// Reads rows into columns and collects what is wrong with them.
#[derive(Debug)]
pub(crate) struct Rows<'m> {
    inputs: &'m Inputs,
    leniency: Leniency,
    max_rows: usize,
    columns: Vec<InputColumn>,
    /// Which cells of the row being read were given.
    given: Vec<bool>,
    /// The feature whose cell is being read.
    reading: Option<usize>,
    rows: usize,
    problems: Vec<Problem>,
    more: usize,
    warnings: Vec<Problem>,
    flagged: Vec<(&'static str, usize)>,
}

/// The reason of a number that the model cannot hold.
const NOT_FINITE: &str = "not_finite";
/// The reason of a number that the data contract does not allow.
const OUT_OF_CONTRACT: &str = "out_of_contract";

/// Whole numbers up to here are the same as `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl<'m> Rows<'m> {
    pub(crate) fn new(inputs: &'m Inputs, leniency: Leniency, max_rows: usize) -> Self {
        Self {
            inputs,
            leniency,
            max_rows,
            columns: columns(inputs),
            given: vec![false; inputs.len()],
            reading: None,
            rows: 0,
            problems: Vec::new(),
            more: 0,
            warnings: Vec::new(),
            flagged: Vec::new(),
        }
    }

    /// Begins a row; says so when there is room for none.
    pub(crate) fn begin(&mut self) -> Result<(), String> {
        if self.rows == self.max_rows {
            return Err(format!("{TOO_MANY} {}", self.max_rows));
        }
        self.rows += 1;
        self.given.fill(false);
        for column in &mut self.columns {
            match column {
                InputColumn::Ints(values) => values.push(0),
                InputColumn::Floats(values) => values.push(f32::NAN),
                InputColumn::Texts(values) => values.push(String::new()),
            }
        }
        Ok(())
    }

    /// Returns the place of a feature; one that the model does not have is a problem.
    pub(crate) fn find(&mut self, name: &str, guess: usize) -> Option<usize> {
        let found = self.inputs.find(name, guess);
        if found.is_none() && !self.leniency.extra_features {
            let shown: String = name.chars().take(64).collect();
            let expected = format!("it takes {} others", self.inputs.len());
            self.problem(Problem {
                feature: Some(shown),
                reason: "unknown",
                expected,
                got: "a feature",
                row: None,
            });
        }
        found
    }

    /// Returns whether a text is a category that the model has in its list.
    pub(crate) fn knows(&self, at: usize, text: &str) -> bool {
        let input = &self.inputs.inputs[at];
        !input.feature.categories.is_empty() && input.knows(text)
    }

    /// Returns the place of a feature, if the model has it.
    pub(crate) fn has(&self, name: &str) -> Option<usize> {
        self.inputs.find(name, 0)
    }

    fn problem(&mut self, problem: Problem) {
        let row = Some(self.rows.saturating_sub(1));
        if self.problems.len() < LISTED {
            self.problems.push(Problem { row, ..problem });
        } else {
            self.more += 1;
        }
    }

    fn wrong(&mut self, at: usize, reason: &'static str, cell: Cell<'_>) {
        let got = match cell {
            Cell::Number(number) if number.is_finite() && reason == NOT_FINITE => {
                "a number too large for 32 bits"
            }
            _ => cell.kind(),
        };
        self.problem(self.fault(at, reason, got));
    }

    /// Returns what is wrong with the cell of feature `at` of the row that was begun last.
    fn fault(&self, at: usize, reason: &'static str, got: &'static str) -> Problem {
        let input = &self.inputs.inputs[at];
        let (feature, expected) = (Some(input.feature.name.clone()), input.expected.clone());
        Problem { row: Some(self.rows.saturating_sub(1)), feature, reason, expected, got }
    }

    /// Takes note that the cell of feature `at` comes next: it may break off the whole body.
    pub(crate) fn reads(&mut self, at: usize) {
        self.reading = Some(at);
    }

    /// Returns the row and the feature of the cell that broke off the body, in words.
    pub(crate) fn broken_at(&self) -> Option<String> {
        let feature = &self.inputs.inputs.get(self.reading?)?.feature.name;
        Some(format!("row {}: feature `{feature}`", self.rows.saturating_sub(1)))
    }

    /// Returns what is wrong with the cell that broke off the body, when it was to be a number that is not finite.
    pub(crate) fn broken_by_number(&self) -> Option<Problem> {
        self.reading.map(|at| self.fault(at, NOT_FINITE, Cell::Number(f64::INFINITY).kind()))
    }

    /// Takes note of a number that the data contract does not allow.
    fn forbidden(&mut self, at: usize, got: &'static str) {
        let input = &self.inputs.inputs[at];
        let (feature, expected) = (Some(input.feature.name.clone()), input.contract.clone());
        self.problem(Problem { row: None, feature, reason: OUT_OF_CONTRACT, expected, got });
    }

    fn unusual(&mut self, at: usize, reason: &'static str, got: &'static str) {
        match self.flagged.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.flagged.push((reason, 1)),
        }
        if self.warnings.len() < LISTED {
            let input = &self.inputs.inputs[at];
            let expected = if reason == OUT_OF_CONTRACT { &input.contract } else { &input.expected };
            let (feature, expected) = (Some(input.feature.name.clone()), expected.clone());
            let row = Some(self.rows.saturating_sub(1));
            self.warnings.push(Problem { row, feature, reason, expected, got });
        }
    }

    /// Returns whether training read a text as no value, wherever it stood.
    pub(crate) fn is_null(&self, text: &str) -> bool {
        self.inputs.is_null(text)
    }

    /// Takes the cell of feature `at` of the row that was begun last. A number that `data.nulls` writes, such as -999, is a
    /// missing value where the feature may have one; how it is written says nothing in JSON.
    pub(crate) fn set(&mut self, at: usize, cell: Cell<'_>) {
        let number = match cell {
            Cell::Int(value) => Some(value as f64),
            Cell::Number(value) => Some(value),
            _ => None,
        };
        let feature = &self.inputs.inputs[at].feature;
        let is_null = number.is_some_and(|number| feature.takes_null() && self.inputs.is_null_number(number));
        self.set_as_written(at, if is_null { Cell::Null } else { cell });
    }

    /// As [`Self::set`], of a form whose reader knows the words for a missing value by their letters.
    pub(crate) fn set_as_written(&mut self, at: usize, cell: Cell<'_>) {
        self.reading = None;
        if std::mem::replace(&mut self.given[at], true) {
            return self.wrong(at, "duplicate", cell);
        }
        let input = &self.inputs.inputs[at];
        let row = self.rows - 1;
        if matches!(cell, Cell::Null) {
            if !input.feature.takes_null() {
                self.wrong(at, "null", cell);
            }
            return;
        }
        let number = match cell {
            Cell::Int(value) => Some(value as f64),
            Cell::Number(value) => Some(value),
            _ => None,
        };
        match (&mut self.columns[at], number, cell) {
            (InputColumn::Floats(values), Some(number), _) => {
                let single = number as f32;
                if !single.is_finite() {
                    return self.wrong(at, NOT_FINITE, cell);
                }
                values[row] = single;
            }
            (InputColumn::Ints(values), _, Cell::Int(value)) => values[row] = value,
            (InputColumn::Ints(values), Some(number), _)
                if number.fract() == 0.0 && number.abs() <= EXACT =>
            {
                values[row] = number as i64;
            }
            (InputColumn::Ints(values), _, Cell::Bool(value)) if input.takes_bool => {
                values[row] = i64::from(value);
            }
            (InputColumn::Floats(values), _, Cell::Bool(value)) if input.takes_bool => {
                values[row] = f32::from(value);
            }
            (InputColumn::Texts(values), _, Cell::Text(text)) => {
                let known = input.knows(text);
                // What training read as no value, a request may write as such; the cell is null as it stands.
                if !known && input.feature.nullable && self.inputs.is_null(text.trim_ascii()) {
                    return;
                }
                if known || !self.leniency.reject_unknown_category {
                    text.clone_into(&mut values[row]);
                }
                if !known && self.leniency.reject_unknown_category {
                    return self.wrong(at, "unknown_category", cell);
                }
                if !known {
                    return self.unusual(at, "unknown_category", cell.kind());
                }
            }
            _ => return self.wrong(at, "wrong_type", cell),
        }
        if let (Some(number), Some(allowed)) = (number, input.feature.allowed) {
            let below = allowed.min.is_some_and(|min| number < min);
            if below || allowed.max.is_some_and(|max| number > max) {
                if self.leniency.reject_out_of_contract {
                    self.forbidden(at, beside(below));
                } else {
                    self.unusual(at, OUT_OF_CONTRACT, beside(below));
                }
                return;
            }
        }
        if let (Some(number), Some((low, high))) = (number, input.feature.range) {
            // Training saw the value rounded to `f32`: a value at the edge is inside.
            let inside = number >= low && number <= high || {
                let single = number as f32;
                single >= low as f32 && single <= high as f32
            };
            if inside {
                return;
            }
            let got = beside(number < low);
            if self.leniency.reject_out_of_range {
                self.problem(self.fault(at, "out_of_range", got));
            } else {
                self.unusual(at, "out_of_range", got);
            }
        }
    }

    /// Takes a cell behind the last feature of a row given by position.
    pub(crate) fn beyond(&mut self, width: usize) {
        let expected = format!("{} values, got {width}", self.inputs.len());
        self.problem(Problem {
            row: None,
            feature: None,
            reason: "wrong_type",
            expected,
            got: "more values",
        });
    }

    /// Ends a row: features that were not given are missing.
    pub(crate) fn end(&mut self) {
        if self.given.iter().all(|given| *given) {
            return;
        }
        for at in 0..self.given.len() {
            if !(self.given[at] || self.leniency.missing_features && self.inputs.inputs[at].feature.nullable)
            {
                self.problem(self.fault(at, "missing", "nothing"));
            }
        }
    }

    pub(crate) fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Returns the values that a body has at most, with room for what is around the rows.
    pub(crate) fn values(&self) -> usize {
        let row = self.inputs.len().saturating_mul(2).saturating_add(8);
        self.max_rows.saturating_add(1).saturating_mul(row).saturating_add(1024)
    }

    pub(crate) fn width(&self) -> usize {
        self.inputs.len()
    }

    /// Returns the rows, or what is wrong with them.
    pub(crate) fn finish(self) -> Result<Batch, Refusal> {
        if !self.problems.is_empty() {
            return Err(Refusal::of_problems(self.problems, self.more));
        }
        if self.rows == 0 {
            return Err(Refusal::malformed("there is no row to predict"));
        }
        Ok(Batch { columns: self.columns, rows: self.rows, warnings: self.warnings, flagged: self.flagged })
    }
}

/// How the sentence begins that refuses a batch for its size.
pub(crate) const TOO_MANY: &str = "a request may hold at most this many rows:";

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{Feature, FeatureType};

    use super::*;
    use crate::request::inputs::{of_features, of_features_and_nulls};

    #[test]
    fn a_word_of_the_project_for_a_missing_value_is_null_as_text_and_as_a_number() {
        let ranged =
            |nullable| Feature { range: Some((0.0, 9.0)), ..Feature::of("n", FeatureType::Float, nullable) };
        let categories = vec!["?".to_owned(), "brick".to_owned()];
        let features = |nullable| {
            let text = Feature::of("wall", FeatureType::Text, nullable);
            let known = Feature { categories: categories.clone(), ..text };
            let of_one = vec!["brick".to_owned()];
            vec![
                ranged(nullable),
                Feature { categories: of_one, name: "roof".to_owned(), ..known.clone() },
                known,
            ]
        };
        let read = |nullable: bool, cells: [Cell<'_>; 3]| {
            let inputs = of_features_and_nulls(features(nullable), &["-999", "?"]);
            let mut rows = Rows::new(&inputs, Leniency::default(), 1);
            rows.begin().expect("room");
            cells.into_iter().enumerate().for_each(|(at, cell)| rows.set(at, cell));
            rows.end();
            rows.finish()
        };
        let brick = Cell::Text("brick");
        for number in [Cell::Int(-999), Cell::Number(-999.0)] {
            let batch = read(true, [number, Cell::Text(" ? "), Cell::Text("?")]).expect("rows");
            assert!(matches!(&batch.columns[0], InputColumn::Floats(found) if found[0].is_nan()));
            assert!(matches!(&batch.columns[1], InputColumn::Texts(found) if found[0].is_empty()));
            // A category is one, whatever it is called.
            assert!(matches!(&batch.columns[2], InputColumn::Texts(found) if found[0] == "?"));
            assert!(batch.flagged.is_empty(), "{batch:?}");
            // Where training had none that was missing, a number is one, and unusual.
            let batch = read(false, [number, brick, brick]).expect("rows");
            assert_eq!(batch.flagged, [("out_of_range", 1)]);
        }
        let refused = read(false, [Cell::Int(1), Cell::Text("?"), brick]).expect_err("refused");
        assert_eq!(refused.reason(), "unknown_category");
    }

    #[test]
    fn a_word_that_training_read_as_no_value_is_null_where_the_model_takes_one() {
        let feature = |name: &str, categories: &[&str], nullable: bool| {
            let categories = categories.iter().map(|one| (*one).to_owned()).collect();
            Feature { categories, ..Feature::of(name, FeatureType::Text, nullable) }
        };
        let inputs = of_features(vec![
            feature("csv", &["brick", "stone"], true),
            feature("parquet", &["NA", "brick"], true),
            feature("whole", &["brick"], false),
        ]);
        let read = |cells: [&str; 3]| {
            let mut rows = Rows::new(&inputs, Leniency::default(), 10);
            rows.begin().expect("room");
            cells.iter().enumerate().for_each(|(at, text)| rows.set(at, Cell::Text(text)));
            rows.end();
            rows.finish()
        };
        let text = |batch: &Batch, at: usize| match &batch.columns[at] {
            InputColumn::Texts(values) => values[0].clone(),
            other => panic!("{other:?}"),
        };
        for word in ["NA", "None", " nan ", ""] {
            let batch =
                read([word, "brick", "brick"]).unwrap_or_else(|refusal| panic!("{word}: {refusal:?}"));
            assert_eq!((text(&batch, 0).as_str(), batch.warnings.len()), ("", 0), "{word}");
        }
        // A category is one, whatever it is called.
        assert_eq!(text(&read(["brick", "NA", "brick"]).expect("rows"), 1), "NA");
        for cells in [["wood", "NA", "brick"], ["brick", "NA", "NA"]] {
            assert_eq!(read(cells).expect_err("refused").reason(), "unknown_category", "{cells:?}");
        }
    }

    #[test]
    fn every_unusual_cell_is_counted_and_the_first_are_listed() {
        let ranged =
            |name: &str| Feature { range: Some((0.0, 1.0)), ..Feature::of(name, FeatureType::Float, false) };
        let inputs = of_features(vec![ranged("one"), ranged("two")]);
        let mut rows = Rows::new(&inputs, Leniency::default(), 100);
        for value in 0..50 {
            rows.begin().expect("room");
            rows.set(0, Cell::Int(value));
            rows.set(1, Cell::Number(0.5));
            rows.end();
        }
        let batch = rows.finish().expect("rows");
        assert_eq!(
            (batch.flagged.as_slice(), batch.warnings.len()),
            ([("out_of_range", 48)].as_slice(), LISTED)
        );
        assert_eq!(batch.more_warnings(), 28);
    }
}
