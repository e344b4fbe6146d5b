//! What production promises to its callers beside the types of its features, as the service keeps it by this project's settings:
//! the rule on the schema holds the candidate against it.

use modelgate_config::{ServeConfig, Unusual};
use modelgate_core::schema::FeatureSchema;
use serde_json::Value;

/// A text that fewer training rows had comes and goes with the rows that are drawn for training.
const MIN_ROWS: u64 = 5;

/// Returns `schema`, of the package in production, without the values that nobody may rely on: bounds and texts that the
/// service only warns of, and texts that were rare in training, of which `reference` counts the frequent ones.
pub(crate) fn promised(
    mut schema: FeatureSchema,
    reference: Option<&Value>,
    serve: &ServeConfig,
) -> FeatureSchema {
    let refuses_texts = serve.unknown_category != Some(Unusual::Flag);
    let refuses_numbers = serve.out_of_contract != Some(Unusual::Flag);
    for feature in &mut schema.features {
        let counts = reference
            .and_then(|reference| reference.get("columns")?.get(&feature.name)?.get("categories"))
            .filter(|_| refuses_texts);
        let rows = |text: &str| counts.and_then(|counts| counts.get(text)?.as_u64()).unwrap_or(0);
        feature.categories.retain(|text| rows(text) >= MIN_ROWS);
        if !refuses_numbers {
            feature.allowed = None;
            feature.range = None;
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{Allowed, Feature, FeatureType, SCHEMA_VERSION, Task, lost_values};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_service_answers_with_a_warning_and_what_was_rare_is_no_promise() {
        let region = |texts: &[&str]| Feature {
            categories: texts.iter().map(|text| (*text).to_owned()).collect(),
            ..Feature::of("region", FeatureType::Text, false)
        };
        let x = |max| Feature {
            allowed: Some(Allowed { min: None, max: Some(max) }),
            ..Feature::of("x", FeatureType::Float, false)
        };
        let schema = |features| FeatureSchema {
            schema_version: SCHEMA_VERSION,
            task: Task::Regression,
            features,
            target: "y".to_owned(),
            classes: None,
            nulls: Vec::new(),
        };
        let production = schema(vec![region(&["east", "north", "odd"]), x(1.0)]);
        let candidate = schema(vec![region(&["east"]), x(0.8)]);
        let reference = json!({"columns": {"region": {"categories": {"east": 90, "north": 5, "odd": 4}}}});
        let lost = |reference: Option<&Value>, serve: &ServeConfig| {
            lost_values(&candidate, &promised(production.clone(), reference, serve))
        };
        let mut serve = ServeConfig::default();
        let found = lost(Some(&reference), &serve);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("may be `north` and could not"), "{found:?}");
        assert!(found[1].contains("may be above 0.8 and could not"), "{found:?}");
        // How many rows had them is not known.
        assert_eq!(lost(None, &serve).len(), 1);
        serve.unknown_category = Some(Unusual::Flag);
        assert_eq!(lost(Some(&reference), &serve).len(), 1);
        serve.out_of_contract = Some(Unusual::Flag);
        assert_eq!(lost(Some(&reference), &serve), Vec::<String>::new());
    }
}
