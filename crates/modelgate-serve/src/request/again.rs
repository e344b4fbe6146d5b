//! Rows that one version of a model has read, read once more as another one's: by name, and with the other's own checks, as
//! if they had been sent to it.

use modelgate_model::InputColumn;

use super::inputs::Inputs;
use super::rows::{Batch, Cell, Rows};
use super::tree::begin;
use crate::refusal::Refusal;

/// Reads so many rows of `columns`, which are those of `inputs`.
pub(crate) fn read(
    columns: &[InputColumn],
    count: usize,
    inputs: &Inputs,
    mut rows: Rows<'_>,
) -> Result<Batch, Refusal> {
    for row in 0..count {
        begin(&mut rows)?;
        for (guess, (input, column)) in inputs.inputs.iter().zip(columns).enumerate() {
            if let Some(at) = rows.find(&input.feature.name, guess) {
                rows.set(at, cell(column, row));
            }
        }
        rows.end();
    }
    rows.finish()
}

fn cell(column: &InputColumn, row: usize) -> Cell<'_> {
    let cell = match column {
        InputColumn::Ints(values) => values.get(row).map(|value| Cell::Int(*value)),
        InputColumn::Floats(values) => {
            values.get(row).filter(|value| !value.is_nan()).map(|value| Cell::Number(as_sent(*value)))
        }
        InputColumn::Texts(values) => {
            values.get(row).filter(|value| !value.is_empty()).map(|value| Cell::Text(value))
        }
    };
    cell.unwrap_or(Cell::Null)
}

/// Returns the shortest number that is this one in 32 bits: what was sent, where it had few digits. A bound of 0.1 lets in
/// 0.1, and not the number of 32 bits that is a little more.
fn as_sent(value: f32) -> f64 {
    let exact = f64::from(value);
    if exact.fract() == 0.0 { exact } else { value.to_string().parse().unwrap_or(exact) }
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{Allowed, Feature, FeatureType};

    use super::*;
    use crate::request::inputs::of_features;
    use crate::settings::Leniency;

    fn features() -> Vec<Feature> {
        let categories = vec!["east".to_owned(), "west".to_owned()];
        let allowed = Some(Allowed { min: None, max: Some(0.1) });
        vec![
            Feature::of("age", FeatureType::Int, false),
            Feature { allowed, ..Feature::of("share", FeatureType::Float, true) },
            Feature { categories, ..Feature::of("region", FeatureType::Text, true) },
        ]
    }

    fn columns() -> Vec<InputColumn> {
        vec![
            InputColumn::Ints(vec![40, 50]),
            InputColumn::Floats(vec![0.1, f32::NAN]),
            InputColumn::Texts(vec!["east".to_owned(), String::new()]),
        ]
    }

    fn again(features: Vec<Feature>) -> Result<Batch, Refusal> {
        let (before, inputs) = (of_features(self::features()), of_features(features));
        read(&columns(), 2, &before, Rows::new(&inputs, Leniency::default(), 2))
    }

    #[test]
    fn columns_are_told_apart_by_their_names() {
        let mut other = features();
        other.reverse();
        let batch = again(other).expect("rows");
        assert!(matches!(&batch.columns[0], InputColumn::Texts(found) if found == &["east", ""]));
        assert!(
            matches!(&batch.columns[1], InputColumn::Floats(found) if found[0] == 0.1 && found[1].is_nan())
        );
        assert!(matches!(&batch.columns[2], InputColumn::Ints(found) if found == &[40, 50]));
    }

    #[test]
    fn what_the_other_version_would_refuse_is_refused() {
        let with = |change: &dyn Fn(&mut Vec<Feature>)| {
            let mut other = features();
            change(&mut other);
            again(other).map(|batch| batch.rows).map_err(|refusal| refusal.reason())
        };
        assert_eq!(with(&|_| {}), Ok(2));
        assert_eq!(with(&|other| other[2].categories.truncate(0)), Ok(2));
        assert_eq!(with(&|other| drop(other[2].categories.remove(0))), Err("unknown_category"));
        assert_eq!(with(&|other| other[1].nullable = false), Err("null"));
        let narrow = Some(Allowed { min: None, max: Some(0.099) });
        assert_eq!(with(&|other| other[1].allowed = narrow), Err("out_of_contract"));
        assert_eq!(with(&|other| drop(other.pop())), Err("unknown"));
        let more = || Feature::of("new", FeatureType::Float, true);
        assert_eq!(with(&|other| other.push(more())), Err("missing"));
    }
}
