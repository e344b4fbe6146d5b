//! Columns far from zero that vary little, such as a time in milliseconds: features are numbers of 32 bits, of which such
//! a column has few.

use modelgate_core::schema::Feature;
use modelgate_data::preprocess::PreprocessPlan;
use modelgate_data::{Column, Table};
use modelgate_learn::{Coarse, LearnError, coarse};

/// Says of a column with values from `low` to `high` that it is rounded, and whether nothing is left of it.
fn doubt(name: &str, low: f64, high: f64) -> Option<(String, bool)> {
    let Coarse { spread, step, is_lost } = coarse(low, high)?;
    // A round number that leaves little of the values.
    let mut unit = 1.0;
    while unit < spread {
        unit *= 10.0;
    }
    let constant = (low / unit).floor() * unit;
    let instead = if constant != 0.0 && constant.abs() < 1e15 {
        format!("its distance from a constant, such as {constant:.0},")
    } else {
        "its distance from a constant, or another unit,".to_owned()
    };
    let sentence = format!(
        "the column `{name}` varies by {spread:.3e} around {high:.3e}, and features, numbers of 32 bits, go there in steps of \
         {step:.1e}: put {instead} into the data"
    );
    Some((sentence, is_lost))
}

/// What rounding does to the values of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    /// Nothing: each is a number of 32 bits, such as a code below 2^24.
    Exact,
    /// Some become another number, and each is still told from the others.
    Moves,
    /// Different ones become one.
    Merges,
}

fn rounding(column: &Column, rows: &[u32]) -> Rounding {
    let values =
        rows.iter().filter_map(|row| Some((column.number(*row as usize)?, column.single(*row as usize))));
    let mut values: Vec<(f64, f32)> = values.filter(|(value, _)| value.is_finite()).collect();
    if values.iter().all(|(value, rounded)| f64::from(*rounded) == *value) {
        return Rounding::Exact;
    }
    values.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    // Rounding keeps the order.
    let merges = values.windows(2).any(|pair| pair[0].0 != pair[1].0 && pair[0].1 == pair[1].1);
    if merges { Rounding::Merges } else { Rounding::Moves }
}

/// Says of a column that its values in `rows` are rounded, and whether nothing is left of them.
fn rounded(column: &Column, rows: &[u32]) -> Option<(String, bool)> {
    let numbers = rows.iter().filter_map(|row| column.number(*row as usize));
    let (low, high) = numbers
        .filter(|number| number.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
    let (sentence, is_lost) = doubt(&column.name, low, high)?;
    match rounding(column, rows) {
        Rounding::Exact => None,
        Rounding::Moves => Some((sentence, false)),
        Rounding::Merges => Some((sentence, is_lost)),
    }
}

/// Returns a warning for each column that training has to round.
///
/// # Errors
/// Fails for one of which nothing is left.
pub(crate) fn learned(table: &Table, rows: &[u32], plan: &PreprocessPlan) -> Result<Vec<String>, LearnError> {
    let mut told = Vec::new();
    for column in plan.numeric.iter().filter_map(|numeric| table.column(&numeric.name)) {
        match rounded(column, rows) {
            Some((sentence, true)) => {
                return Err(LearnError::Data(format!("{sentence}, or add it to `preprocess.drop`")));
            }
            Some((sentence, false)) => told.push(sentence),
            None => {}
        }
    }
    Ok(told)
}

/// Returns a warning for each column that a model from elsewhere gets rounded.
pub(crate) fn imported(table: &Table, rows: &[u32], features: &[Feature]) -> Vec<String> {
    let columns = features.iter().filter(|feature| feature.range.is_some());
    let columns = columns.filter_map(|feature| table.column(&feature.name));
    columns
        .filter_map(|column| rounded(column, rows))
        .map(|(sentence, _)| format!("{sentence} and train the model on it, or its answers may differ here"))
        .collect()
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::FeatureType;
    use modelgate_data::Values;
    use modelgate_data::preprocess::{
        Encode, Missing, NumericColumn, PreprocessSpec, Scale, UnknownCategory,
    };

    use super::*;

    fn table(values: &[i64]) -> Table {
        let rows = values.len();
        let values = Values::Int(values.iter().copied().map(Some).collect::<Vec<_>>());
        Table { columns: vec![Column { name: "ms".to_owned(), values }], rows, ..Table::default() }
    }

    fn learn(values: &[i64]) -> Result<Vec<String>, LearnError> {
        let name = || "ms".to_owned();
        let numeric = NumericColumn {
            name: name(),
            feature_type: FeatureType::Int,
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
        let plan = PreprocessPlan { spec, numeric: vec![numeric], text: Vec::new() };
        learned(&table(values), &(0..values.len() as u32).collect::<Vec<_>>(), &plan)
    }

    #[test]
    fn a_column_that_32_bits_cannot_tell_apart_is_refused_and_a_coarse_one_told() {
        let start = 1_700_000_000_000;
        let error = learn(&[start + 906, start + 60_000]).expect_err("refused").to_string();
        assert!(error.contains("the column `ms` varies by 5.909e4 around 1.700e12"), "{error}");
        assert!(error.contains("in steps of 1.3e5") && error.contains("such as 1700000000000"), "{error}");
        assert!(error.contains("preprocess.drop"), "{error}");
        let told = learn(&[start, start + 10_000_000]).expect("warned");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(learn(&[start, start]), Ok(Vec::new()), "one value");
        assert_eq!(learn(&[0, 60_000]), Ok(Vec::new()));
        assert_eq!(learn(&[start, 5]), Ok(Vec::new()));
        // Codes that are numbers of 32 bits are told apart, however near they are to one another.
        let codes = |first: i64| (first..first + 5).collect::<Vec<_>>();
        assert_eq!(learn(&codes(10_000_001)), Ok(Vec::new()));
        assert!(learn(&codes(20_000_001)).is_err());
        assert_eq!(learn(&[20_000_000, 20_000_005]).map(|told| told.len()), Ok(1), "moved, and still two");
    }

    #[test]
    fn a_model_from_elsewhere_is_warned_of_and_not_refused() {
        let features = [Feature { range: Some((0.0, 1.0)), ..Feature::of("ms", FeatureType::Int, false) }];
        let told = |values: &[i64]| imported(&table(values), &[0, 1], &features);
        assert_eq!(told(&[0, 600]), Vec::<String>::new());
        assert_eq!(told(&[10_000_001, 10_000_004]), Vec::<String>::new());
        let told = told(&[1_700_000_001, 1_700_000_601]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("the column `ms`") && told[0].contains("train the model on it"), "{told:?}");
    }
}
