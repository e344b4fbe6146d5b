//! Tests of what takes the place of what.

use super::*;

fn schema() -> FeatureSchema {
    let feature = |name: &str, feature_type| Feature::of(name, feature_type, false);
    FeatureSchema {
        schema_version: SCHEMA_VERSION,
        task: Task::Classification,
        features: vec![feature("age", FeatureType::Int), feature("sex", FeatureType::Text)],
        target: "drug".to_owned(),
        classes: Some(Classes::Text(vec!["A".to_owned(), "B".to_owned()])),
        nulls: Vec::new(),
    }
}

#[test]
fn a_schema_is_compatible_with_itself_and_with_other_ranges() {
    let mut other = schema();
    other.features[0].range = Some((0.0, 100.0));
    assert_eq!(incompatibilities(&other, &schema()), Vec::<String>::new());
}

#[test]
fn each_change_that_breaks_a_caller_is_named() {
    let mut other = schema();
    other.features[0].feature_type = FeatureType::Float;
    other.features[1].name = "gender".to_owned();
    other.classes = Some(Classes::Int(vec![0, 1]));
    let found = incompatibilities(&other, &schema()).join("; ");
    for part in [
        "`age` was int and is float, since a value is missing, which `nullable: false` in a contract finds, or has a \
         fraction, which `data.types: {age: int}` finds",
        "`sex` was removed",
        "`gender` is new",
        "classes were [\"A\", \"B\"] and are [0, 1]",
    ] {
        assert!(found.contains(part), "{part} not in {found}");
    }
}

#[test]
fn a_model_of_another_column_takes_the_place_of_none() {
    let mut other = schema();
    other.target = "dose".to_owned();
    let found = incompatibilities(&other, &schema());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("predicts `drug` and the candidate `dose`") && found[0].contains("`model.name`")
    );
    other.target.clear();
    assert_eq!(incompatibilities(&other, &schema()), Vec::<String>::new());
}

#[test]
fn the_same_features_in_another_order_are_another_schema() {
    let mut other = schema();
    other.features.reverse();
    let found = incompatibilities(&other, &schema());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("in another order, `sex` where `age` was"), "{found:?}");
    // Where a feature is new or gone the positions are others too: that one is named, and nothing else.
    other.features.remove(0);
    assert_eq!(incompatibilities(&other, &schema()), ["feature `sex` was removed"]);
}

#[test]
fn what_requests_may_hold_and_could_not_any_more_is_named() {
    let mut old = schema();
    old.features[0].range = Some((0.0, 1.0));
    old.features[1].nullable = true;
    old.nulls = vec!["-999".to_owned(), "?".to_owned()];
    assert_eq!(incompatibilities(&old, &old), Vec::<String>::new());
    // More may come in; it is a wider model, not a narrower one.
    assert_eq!(incompatibilities(&old, &schema()), Vec::<String>::new());
    // What is null without being declared to be is so still.
    old.nulls.push("NA".to_owned());
    let mut new = schema();
    new.features[0].range = Some((1.0, 2.0));
    new.nulls = vec!["-999".to_owned()];
    let found = incompatibilities(&new, &old);
    assert_eq!(found.len(), 3, "{found:?}");
    for (found, part) in found.iter().zip([
        "`age` may be true or false and could not any more: it is a whole number now, from 1 to 2 in training",
        "`sex` may be null and could not any more",
        "may say `?` for a missing value",
    ]) {
        assert!(found.contains(part), "{part} not in {found}");
    }
    new.features[0].range = Some((0.0, 3.0));
    assert!(!incompatibilities(&new, &old).join("; ").contains("true or false"));
    // A whole number that is null is refused already.
    old.features[0] = Feature::of("age", FeatureType::Int, true);
    assert_eq!(incompatibilities(&new, &old).len(), 2);
}

#[test]
fn values_that_requests_may_hold_and_could_not_any_more_are_named() {
    let with = |texts: &[&str], range, allowed: Option<(Option<f64>, Option<f64>)>| {
        let mut schema = schema();
        schema.features[0].range = Some(range);
        schema.features[0].allowed = allowed.map(|(min, max)| Allowed { min, max });
        schema.features[1].categories = texts.iter().map(|text| (*text).to_owned()).collect();
        schema
    };
    let old = with(&["f", "m"], (18.0, 80.0), None);
    assert_eq!(lost_values(&old, &old), Vec::<String>::new());
    // More values, and bounds that production's own rows keep, take nothing from anybody.
    let wider = with(&["f", "m", "x"], (20.0, 70.0), Some((Some(0.0), Some(80.0))));
    assert_eq!(lost_values(&wider, &old), Vec::<String>::new());
    let found = lost_values(&with(&["m"], (18.0, 80.0), Some((Some(21.0), Some(65.0)))), &old);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("feature `age` may be below 21 and above 65 and could not any more"),
        "{found:?}"
    );
    assert!(found[1].starts_with("feature `sex` may be `f` and could not any more"), "{found:?}");
    // Against a contract's bounds, its own are held.
    let (narrow, same) = ((Some(0.0), Some(90.0)), (Some(0.0), Some(120.0)));
    let bounded = |bounds| with(&["f", "m"], (18.0, 80.0), Some(bounds));
    assert_eq!(lost_values(&bounded(same), &bounded(same)), Vec::<String>::new());
    assert_eq!(lost_values(&bounded((None, None)), &bounded(same)), Vec::<String>::new());
    assert!(lost_values(&bounded(narrow), &bounded(same))[0].contains("may be above 90 and could not"));
    let many: Vec<String> = (0..8).map(|number| format!("t{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let found = lost_values(&with(&["x"], (1.0, 2.0), None), &with(&many, (1.0, 2.0), None));
    assert!(found[0].contains("`t3`, `t4` and 3 more and could not"), "{found:?}");
}

#[test]
fn booleans_some_of_which_are_missing_stay_booleans() {
    let mut before = schema();
    before.features[0] = Feature { range: Some((0.0, 1.0)), ..Feature::of("age", FeatureType::Float, true) };
    let mut now = before.clone();
    now.features[0].boolean = true;
    assert!(now.features[0].takes_booleans() && !before.features[0].takes_booleans());
    let mut whole = before.clone();
    whole.features[0].feature_type = FeatureType::Int;
    let said = &incompatibilities(&now, &whole)[0];
    assert!(
        said.ends_with("is float, since a value is missing, which `nullable: false` in a contract finds"),
        "{said}"
    );
    // A package that was made before this was kept is read, and takes the place of one that has it and the other way.
    let text = serde_json::to_string(&before).expect("json");
    assert!(!text.contains("boolean"), "{text}");
    assert_eq!(serde_json::from_str::<FeatureSchema>(&text).expect("a schema"), before);
    for (new, old) in [(&now, &before), (&before, &now), (&now, &now)] {
        assert_eq!(incompatibilities(new, old), Vec::<String>::new());
    }
    let mut coded = before.clone();
    coded.features[0].range = Some((1.0, 2.0));
    let found = incompatibilities(&coded, &now);
    assert!(found[0].ends_with("it is a number now, from 1 to 2 in training"), "{found:?}");
}

#[test]
fn words_for_a_missing_value_are_written_where_there_are_any() {
    let text = serde_json::to_string(&schema()).expect("json");
    assert!(!text.contains("nulls"), "{text}");
    let words = FeatureSchema { nulls: vec!["?".to_owned()], ..schema() };
    let text = serde_json::to_string(&words).expect("json");
    assert_eq!(serde_json::from_str::<FeatureSchema>(&text).expect("a schema"), words);
}
