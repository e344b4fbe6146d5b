//! What is done with any bytes: the way of a model from elsewhere, up to its answers.

use modelgate_core::schema::{Classes, Feature, FeatureSchema, FeatureType, SCHEMA_VERSION, Task};
use modelgate_model::{ForeignModel, InputColumn, LoadedModel};

/// Asks a loaded model about a few rows that are hard.
pub fn answers(model: &LoadedModel) {
    for extreme in [0.0, f32::NAN, f32::MAX] {
        let columns: Vec<InputColumn> = model
            .inputs()
            .iter()
            .map(|(_, kind)| match kind {
                FeatureType::Int => InputColumn::Ints(vec![extreme as i64, i64::MIN]),
                FeatureType::Float => InputColumn::Floats(vec![extreme, -1.5]),
                FeatureType::Text => InputColumn::Texts(vec![String::new(), "é".to_owned()]),
            })
            .collect();
        let _ = model.predict_columns(&columns, 2);
    }
}

/// Takes bytes as a model of another program for data of two columns, with any kind of target.
pub fn foreign(bytes: &[u8]) {
    let _ = graphs(bytes);
}

/// As [`foreign`]; returns for how many kinds of data there was a model.
pub fn graphs(bytes: &[u8]) -> usize {
    let Ok(model) = ForeignModel::read(bytes) else { return 0 };
    let mut found = 0;
    let feature = |name: &str, feature_type| Feature::of(name, feature_type, true);
    for classes in [None, Some(2), Some(3)] {
        for second in [FeatureType::Float, FeatureType::Int, FeatureType::Text] {
            let schema = FeatureSchema {
                schema_version: SCHEMA_VERSION,
                task: if classes.is_some() { Task::Classification } else { Task::Regression },
                features: vec![feature("a", FeatureType::Float), feature("b", second)],
                target: "y".to_owned(),
                classes: classes.map(|count| Classes::Int((0..count).collect())),
                nulls: Vec::new(),
            };
            if let Ok(graph) = model.graph(&schema) {
                // What was made must be what is loaded.
                answers(&LoadedModel::load(&graph).expect("a graph of ours"));
                found += 1;
            }
        }
    }
    found
}
