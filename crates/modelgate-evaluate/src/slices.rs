//! Parts of the rows: declared ones, quantile bins of numbers, and a search for those where the model does worst.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

mod bins;
mod meaning;

pub use meaning::Meaning;

use crate::statistics::{Losses, holm, part_worse};

/// One column of the rows that are looked at, as a slice sees it.
#[derive(Clone, PartialEq, Debug)]
pub enum SliceColumn {
    /// Text; `None` is null.
    Text(Vec<Option<String>>),
    /// Numbers; `None` is null.
    Numbers(Vec<Option<f64>>),
}

/// A column with its name.
#[derive(Clone, PartialEq, Debug)]
pub struct NamedColumn {
    /// The name.
    pub name: String,
    /// The values, one per row.
    pub values: SliceColumn,
    /// What its numbers stand for.
    pub meaning: Meaning,
}

/// What a row must have to belong to a part.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The text is this.
    Is(String),
    /// The number is at least the first and below the second; an open end is null.
    Between(Option<f64>, Option<f64>),
    /// The text is none of these, which are sorted.
    NoneOf(Vec<String>),
    /// There is no value.
    Missing,
}

/// A part of the rows by one column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The column.
    pub column: String,
    /// The condition.
    pub condition: Condition,
    /// What the numbers of the column stand for.
    #[serde(default, skip_serializing_if = "Meaning::is_number")]
    pub meaning: Meaning,
}

impl std::fmt::Display for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let column = &self.column;
        let shown = |value: &f64| self.meaning.show(*value);
        match &self.condition {
            // What differs by a space alone reads as what it is.
            Condition::Is(text) if text.trim().len() < text.len() || text.is_empty() => {
                write!(formatter, "{column} = \"{text}\"")
            }
            Condition::Is(text) => write!(formatter, "{column} = {text}"),
            Condition::NoneOf(texts) => {
                write!(formatter, "{column} is none of the {} most frequent", texts.len())
            }
            Condition::Missing => write!(formatter, "{column} is missing"),
            Condition::Between(Some(low), Some(high)) if low == high => {
                write!(formatter, "{column} = {}", shown(low))
            }
            Condition::Between(Some(low), Some(high)) => {
                write!(formatter, "{} ≤ {column} < {}", shown(low), shown(high))
            }
            Condition::Between(Some(low), None) => write!(formatter, "{column} ≥ {}", shown(low)),
            Condition::Between(None, Some(high)) => write!(formatter, "{column} < {}", shown(high)),
            Condition::Between(None, None) => write!(formatter, "any {column}"),
        }
    }
}

impl Condition {
    /// Returns whether a row of `column` belongs to the part. Equal ends mean that very number.
    pub fn holds(&self, column: &SliceColumn, row: usize) -> bool {
        match (self, column) {
            (Self::Is(text), SliceColumn::Text(values)) => values[row].as_ref() == Some(text),
            (Self::NoneOf(texts), SliceColumn::Text(values)) => {
                values[row].as_ref().is_some_and(|text| texts.binary_search(text).is_err())
            }
            (Self::Between(low, high), SliceColumn::Numbers(values)) => values[row].is_some_and(|value| {
                if low.is_some() && low == high {
                    return Some(value) == *low;
                }
                low.is_none_or(|low| value >= low) && high.is_none_or(|high| value < high)
            }),
            (Self::Missing, SliceColumn::Text(values)) => values[row].is_none(),
            (Self::Missing, SliceColumn::Numbers(values)) => values[row].is_none(),
            _ => false,
        }
    }

    /// Returns the rows of the part, in order.
    pub fn rows(&self, column: &SliceColumn, rows: usize) -> Vec<u32> {
        (0..rows).filter(|row| self.holds(column, *row)).map(|row| row as u32).collect()
    }
}

/// A column of more texts than this has a part for each of the most frequent, and one for all others together.
pub const MAX_TEXTS: usize = 50;

/// Returns the texts of a column with their rows, the most frequent first.
pub fn texts(values: &[Option<String>]) -> Vec<(&String, usize)> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for text in values.iter().flatten() {
        *counts.entry(text).or_insert(0) += 1;
    }
    let mut found: Vec<(&String, usize)> = counts.into_iter().collect();
    found.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    found
}

/// Cuts a column into parts: one per text of the [`MAX_TEXTS`] most frequent and one of the others, and `bins` quantile
/// bins of numbers (one per number when there are no more than `bins`; a number that fills a bin has one of its own).
pub fn parts(column: &NamedColumn, bins: usize) -> Vec<Part> {
    let part = |condition| Part { column: column.name.clone(), condition, meaning: column.meaning };
    let mut found = Vec::new();
    let missing = match &column.values {
        SliceColumn::Text(values) => {
            let all = texts(values);
            let mut frequent: Vec<String> =
                all.iter().take(MAX_TEXTS).map(|(text, _)| (*text).clone()).collect();
            frequent.sort_unstable();
            found.extend(frequent.iter().map(|text| part(Condition::Is(text.clone()))));
            if all.len() > MAX_TEXTS {
                found.push(part(Condition::NoneOf(frequent)));
            }
            values.iter().any(Option::is_none)
        }
        SliceColumn::Numbers(values) => {
            let mut numbers: Vec<f64> = values.iter().flatten().copied().collect();
            numbers.sort_unstable_by(f64::total_cmp);
            let mut distinct = numbers.clone();
            distinct.dedup();
            if distinct.len() <= bins {
                let one = |value: f64| part(Condition::Between(Some(value), Some(value)));
                found.extend(distinct.into_iter().map(one));
            } else {
                found.extend(bins::conditions(&numbers, bins, column.meaning).into_iter().map(part));
            }
            values.iter().any(Option::is_none)
        }
    };
    if missing {
        found.push(part(Condition::Missing));
    }
    found
}

/// A part where the model does worse than elsewhere.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorstSlice {
    /// The conditions, all of which hold.
    pub parts: Vec<Part>,
    /// Rows in it.
    pub rows: u64,
    /// Mean loss in it.
    pub loss: f64,
    /// Mean loss of the other rows.
    pub elsewhere: f64,
    /// Probability of such a gap by chance, corrected for the number of parts that were looked at.
    pub p_value: f64,
}

impl WorstSlice {
    /// Returns the conditions in words.
    pub fn name(&self) -> String {
        self.parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }
}

/// What a search found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SliceSearch {
    /// What the loss of a row is, such as `share of wrong rows`.
    pub loss: String,
    /// How many parts were tested.
    pub tested: u64,
    /// The worst, by the gap, whose corrected p-value is below 0.05.
    pub worst: Vec<WorstSlice>,
    /// What was not looked at, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// How a search goes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SearchOptions {
    /// A part with fewer rows, or that leaves fewer, is not looked at.
    pub min_rows: usize,
    /// Quantile bins of a number.
    pub bins: usize,
    /// At most so many are returned.
    pub keep: usize,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { min_rows: 30, bins: 4, keep: 8 }
    }
}

/// More parts than this are not paired with each other.
const MAX_PAIRED: usize = 120;

/// Looks at every part by one column and by two, and returns those whose mean of `losses`, one per row and finite, is
/// higher than elsewhere beyond chance ([`part_worse`], corrected by Holm's method).
pub fn worst_slices(columns: &[NamedColumn], losses: &[f64], options: &SearchOptions) -> SliceSearch {
    let rows = losses.len();
    let all = Losses::of(losses.iter().copied());
    let right_or_wrong = losses.iter().all(|loss| *loss == 0.0 || *loss == 1.0);
    let min_rows = options.min_rows.max(2);
    let enough = |members: &[u32]| members.len() >= min_rows && rows - members.len() >= min_rows;
    let mut singles: Vec<(Part, Vec<u32>)> = Vec::new();
    let mut left_out = Vec::new();
    for column in columns {
        if let SliceColumn::Text(values) = &column.values {
            // Texts of few rows are not looked at anyhow; only those that would have been are worth a word.
            let cut = texts(values).iter().skip(MAX_TEXTS).filter(|(_, rows)| *rows >= min_rows).count();
            if cut > 0 {
                left_out.push(format!(
                    "{cut} of the texts of `{}` are looked at together: only the {MAX_TEXTS} most frequent have \
                     a part each",
                    column.name
                ));
            }
        }
        for part in parts(column, options.bins) {
            let members = part.condition.rows(&column.values, rows);
            if enough(&members) {
                singles.push((part, members));
            }
        }
    }
    let measured = |parts: Vec<Part>, members: &[u32]| {
        let here = Losses::of(members.iter().map(|row| losses[*row as usize]));
        let (loss, elsewhere) = (here.mean(), all.without(here).mean());
        let p_value = part_worse(here, all, right_or_wrong);
        WorstSlice { parts, rows: members.len() as u64, loss, elsewhere, p_value }
    };
    let mut found: Vec<WorstSlice> =
        singles.par_iter().map(|(part, members)| measured(vec![part.clone()], members)).collect();
    let paired = if singles.len() <= MAX_PAIRED { singles.len() } else { 0 };
    if paired < singles.len() {
        left_out.push(format!(
            "pairs of parts: there are {} parts, and only up to {MAX_PAIRED} are paired; declare fewer columns in \
             `evaluate.slices`",
            singles.len()
        ));
    }
    let pairs: Vec<(usize, usize)> = (0..paired)
        .flat_map(|one| (one + 1..paired).map(move |other| (one, other)))
        .filter(|(one, other)| singles[*one].0.column != singles[*other].0.column)
        .collect();
    // The members of a pair are forgotten at once: all of them together would be many times the data.
    found.par_extend(pairs.par_iter().filter_map(|(one, other)| {
        let (one, other) = (&singles[*one], &singles[*other]);
        let members = intersection(&one.1, &other.1);
        // The same rows under a longer name say nothing new.
        let smaller = one.1.len().min(other.1.len());
        (enough(&members) && members.len() < smaller)
            .then(|| measured(vec![one.0.clone(), other.0.clone()], &members))
    }));
    let corrected = holm(&found.iter().map(|slice| slice.p_value).collect::<Vec<_>>());
    let tested = found.len() as u64;
    for (slice, p_value) in found.iter_mut().zip(corrected) {
        slice.p_value = p_value;
    }
    found.retain(|slice| slice.p_value < 0.05);
    found.sort_by(|one, other| {
        let gap = |slice: &WorstSlice| slice.loss - slice.elsewhere;
        gap(other).total_cmp(&gap(one)).then(one.parts.len().cmp(&other.parts.len()))
    });
    found.truncate(options.keep);
    SliceSearch { loss: String::new(), tested, worst: found, left_out }
}

fn intersection(one: &[u32], other: &[u32]) -> Vec<u32> {
    let (mut at, mut found) = (0, Vec::new());
    for row in one {
        while at < other.len() && other[at] < *row {
            at += 1;
        }
        if at < other.len() && other[at] == *row {
            found.push(*row);
        }
    }
    found
}
