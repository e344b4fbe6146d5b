//! What a contract says of a model's inputs: what a service refuses, and what a form shows.

use modelgate_core::schema::{Allowed, Feature, FeatureType};

use super::{Bound, ColumnContract, Contract, Severity};

/// Writes into features what the contract says of them: the values it allows, where breaking them is an error and no row may
/// do so, and what people call the column.
pub fn describe(contract: &Contract, features: &mut [Feature]) {
    for feature in features {
        let Some(column) = contract.columns.get(&feature.name) else { continue };
        feature.label.clone_from(&column.label);
        feature.unit.clone_from(&column.unit);
        feature.allowed = allowed(column).filter(|_| feature.feature_type != FeatureType::Text);
    }
}

fn allowed(column: &ColumnContract) -> Option<Allowed> {
    // What is tolerated in the data is no reason to refuse a request.
    if column.severity != Severity::Error || column.allow.is_some() {
        return None;
    }
    let number = |bound: &Option<Bound>| bound.as_ref()?.number(column.column_type);
    let allowed = Allowed { min: number(&column.min), max: number(&column.max) };
    (allowed != Allowed::default()).then_some(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_contract_allows_goes_into_the_features() {
        let text = "version: 1\ncolumns:\n  age: {type: int, min: 0, max: 120, label: Age, unit: years}\n  \
                    income: {type: float, min: 0, allow: 1%}\n  sex: {type: string, label: Sex}\n  \
                    rooms: {type: int, max: 9, severity: warning}\n";
        let contract = crate::contract::parse(text, "contract.yaml").expect("a contract");
        let mut features = [
            Feature::of("age", FeatureType::Int, false),
            Feature::of("income", FeatureType::Float, false),
            Feature::of("sex", FeatureType::Text, false),
            Feature::of("rooms", FeatureType::Int, false),
            Feature::of("other", FeatureType::Int, false),
        ];
        describe(&contract, &mut features);
        assert_eq!(features[0].allowed, Some(Allowed { min: Some(0.0), max: Some(120.0) }));
        assert_eq!((features[0].label.as_deref(), features[0].unit.as_deref()), (Some("Age"), Some("years")));
        assert_eq!((features[1].allowed, features[3].allowed), (None, None));
        assert_eq!(features[2].label.as_deref(), Some("Sex"));
        assert_eq!(features[4], Feature::of("other", FeatureType::Int, false));
    }
}
