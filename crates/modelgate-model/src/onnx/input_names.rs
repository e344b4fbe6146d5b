//! Which input of a graph takes which column: exporters do not keep every name.

use modelgate_core::schema::{Feature, FeatureSchema};

/// Returns whether an input called `input` takes the column of `feature`: it has its name, or what skl2onnx makes of it where no
/// other column has or comes to that name, and no other of the `inputs` has the column's own.
pub(super) fn takes(input: &str, inputs: &[&str], feature: &Feature, schema: &FeatureSchema) -> bool {
    let is_named = |feature: &Feature| feature.name == input;
    if is_named(feature) || identifier(&feature.name) != input {
        return is_named(feature);
    }
    if inputs.contains(&feature.name.as_str()) {
        return false;
    }
    let others = schema.features.iter().filter(|other| other.name != feature.name);
    !others.into_iter().any(|other| is_named(other) || identifier(&other.name) == input)
}

/// Returns a name as skl2onnx writes it: with `_` in place of whatever is no letter of ASCII or digit, and before a digit at
/// the start (`_generate_unique_name` of its `common/_topology.py`).
fn identifier(name: &str) -> String {
    let before = if name.starts_with(|first: char| first.is_ascii_digit()) { "_" } else { "" };
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    before.chars().chain(name.chars().map(letter)).collect()
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{FeatureType, SCHEMA_VERSION, Task};

    use super::*;

    #[test]
    fn an_input_is_found_by_what_an_exporter_makes_of_a_column() {
        let schema = |names: &[&str]| FeatureSchema {
            schema_version: SCHEMA_VERSION,
            task: Task::Regression,
            features: names.iter().map(|name| Feature::of(*name, FeatureType::Float, true)).collect(),
            target: "y".to_owned(),
            classes: None,
            nulls: Vec::new(),
        };
        let found = |input: &str, schema: &FeatureSchema| {
            let taken = schema.features.iter().find(|feature| takes(input, &[input], feature, schema));
            taken.map(|feature| feature.name.clone())
        };
        let census =
            schema(&["education-num", " workclass", "sepal length (cm)", "2nd", "größe", "plain_name"]);
        for (input, column) in [
            ("education_num", "education-num"),
            ("_workclass", " workclass"),
            ("sepal_length__cm_", "sepal length (cm)"),
            ("_2nd", "2nd"),
            ("gr__e", "größe"),
            ("education-num", "education-num"),
            ("plain_name", "plain_name"),
        ] {
            assert_eq!(found(input, &census).as_deref(), Some(column), "{input}");
        }
        assert_eq!(found("workclass", &census), None);
        // Two columns come to one name: only who has it is taken.
        let alike = schema(&["a-b", "a b", "c-d", "c_d"]);
        assert_eq!(found("a_b", &alike), None);
        assert_eq!(found("c_d", &alike).as_deref(), Some("c_d"));
        // A column goes to one input.
        let column = &schema(&["a-b"]).features[0];
        let taken = |inputs: &[&str]| inputs.iter().filter(|one| takes(one, inputs, column, &alike)).count();
        assert!(takes("a_b", &["a_b"], column, &schema(&["a-b"])));
        assert_eq!(taken(&["a-b", "a_b"]), 1);
    }
}
