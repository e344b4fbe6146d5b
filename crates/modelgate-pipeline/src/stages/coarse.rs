//! Columns far from zero that vary little, such as a time in milliseconds: features are numbers of 32 bits, of which such
//! a column has few.

use modelgate_core::schema::Feature;
use modelgate_data::Table;
use modelgate_data::preprocess::PreprocessPlan;
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

/// Returns a warning for each column that training has to round.
///
/// # Errors
/// Fails for one of which nothing is left.
pub(crate) fn learned(table: &Table, rows: &[u32], plan: &PreprocessPlan) -> Result<Vec<String>, LearnError> {
    let mut told = Vec::new();
    for numeric in &plan.numeric {
        let Some(column) = table.column(&numeric.name) else { continue };
        let numbers = rows.iter().filter_map(|row| column.number(*row as usize));
        let (low, high) = numbers
            .filter(|number| number.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
                (low.min(number), high.max(number))
            });
        match doubt(&numeric.name, low, high) {
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
pub(crate) fn imported(features: &[Feature]) -> Vec<String> {
    let doubts = features.iter().filter_map(|feature| {
        let (low, high) = feature.range?;
        doubt(&feature.name, low, high)
    });
    doubts
        .map(|(sentence, _)| format!("{sentence} and train the model on it, or its answers may differ here"))
        .collect()
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::FeatureType;
    use modelgate_data::preprocess::{
        Encode, Missing, NumericColumn, PreprocessSpec, Scale, UnknownCategory,
    };
    use modelgate_data::{Column, Values};

    use super::*;

    fn learn(values: &[i64]) -> Result<Vec<String>, LearnError> {
        let name = || "ms".to_owned();
        let rows = values.len();
        let values = Values::Int(values.iter().copied().map(Some).collect::<Vec<_>>());
        let table = Table { columns: vec![Column { name: name(), values }], rows, ..Table::default() };
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
        learned(&table, &(0..rows as u32).collect::<Vec<_>>(), &plan)
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
    }

    #[test]
    fn a_model_from_elsewhere_is_warned_of_and_not_refused() {
        let feature = |range| Feature { range, ..Feature::of("s", FeatureType::Int, false) };
        let told =
            imported(&[feature(Some((1.7e9, 1.7e9 + 600.0))), feature(Some((0.0, 600.0))), feature(None)]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("the column `s`") && told[0].contains("train the model on it"), "{told:?}");
    }
}
