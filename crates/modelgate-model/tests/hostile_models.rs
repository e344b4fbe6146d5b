//! Bytes that are no model, or nearly one: an error, or a model that answers; never a panic.

use modelgate_core::schema::{Classes, Feature, FeatureSchema, FeatureType, Task};
use modelgate_data::preprocess::{
    Encode, Missing, NumericColumn, PreprocessPlan, PreprocessSpec, Scale, TextColumn, UnknownCategory,
};
use modelgate_data::{Column, Table, Values};
use modelgate_model::estimator::{
    Boosted, Estimator, Forest, LEAF, LinearClassifier, LinearRegressor, MISSING_LEFT, Prepared, Tree,
    TreeNode,
};
use modelgate_model::{LoadedModel, Prediction, export};
use proptest::prelude::*;

fn forest() -> Forest {
    let leaf = |row| TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 };
    let node = |feature, left| TreeNode { feature, threshold: 0.5, left, right: left + 1 };
    let nodes = vec![node(0, 1), leaf(0), node(2, 3), leaf(1), leaf(2)];
    let values = vec![0.5, 0.0, 0.25, 0.25, 0.0, 0.5];
    let tree = Tree { nodes, values, covers: Vec::new() };
    Forest { features: 3, outputs: 2, trees: vec![tree.clone(), tree], prepared: Prepared::default() }
}

fn model() -> Vec<u8> {
    model_of(&Estimator::ForestClassifier(forest()), Some(Classes::Int(vec![0, 1])))
}

fn linear_models() -> [Vec<u8>; 2] {
    let classifier = LinearClassifier {
        features: 3,
        coefficients: vec![0.0, 0.0, 0.0, 1.5, -2.0, 0.25],
        intercepts: vec![0.0, 0.5],
    };
    let regressor = LinearRegressor { features: 3, coefficients: vec![2.0, 10.0, 20.0], intercept: 0.125 };
    let classes = Classes::Text(vec!["no".to_owned(), "yes".to_owned()]);
    [
        model_of(&Estimator::LinearClassifier(classifier), Some(classes)),
        model_of(&Estimator::LinearRegressor(regressor), None),
    ]
}

/// A regression and three classes: missing values to both sides, a set of categories over shared nodes, covers.
fn boosted(scores: usize) -> Boosted {
    let leaf = |row| TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 };
    let node = |feature, threshold, left, right| TreeNode { feature, threshold, left, right };
    let first = Tree {
        nodes: vec![node(MISSING_LEFT, 0.5, 1, 2), leaf(0), node(2, 0.5, 3, 4), leaf(1), leaf(2)],
        values: vec![0.5, -1.0, 0.0],
        covers: vec![9.0, 4.0, 5.0, 2.0, 3.0],
    };
    let second = Tree {
        nodes: vec![node(1, 0.5, 2, 1), node(1 | MISSING_LEFT, 2.5, 3, 2), leaf(0), leaf(1)],
        values: vec![0.25, -0.75],
        covers: vec![9.0, 0.0, 6.0, 3.0],
    };
    let trees = [first, second].into_iter().cycle().take(2 * scores).collect();
    Boosted { features: 3, scores, base: vec![0.125; scores], trees, ..Boosted::default() }
}

fn boosted_models() -> [Vec<u8>; 3] {
    let classes = Classes::Text(["a", "b", "c"].map(str::to_owned).to_vec());
    [
        model_of(&Estimator::BoostedRegressor(boosted(1)), None),
        model_of(&Estimator::BoostedClassifier(boosted(1)), Some(Classes::Int(vec![0, 1]))),
        model_of(&Estimator::BoostedClassifier(boosted(3)), Some(classes)),
    ]
}

fn model_of(estimator: &Estimator, classes: Option<Classes>) -> Vec<u8> {
    let spec = PreprocessSpec {
        missing: Missing::Median,
        scale: Scale::Standard,
        encode: Encode::Onehot,
        unknown_category: UnknownCategory::Ignore,
    };
    let numeric = NumericColumn {
        name: "x".to_owned(),
        feature_type: FeatureType::Float,
        fill: Some(1.0),
        mean: Some(0.5),
        scale: Some(2.0),
    };
    let text =
        TextColumn { name: "s".to_owned(), fill: None, categories: vec!["a".to_owned(), "b".to_owned()] };
    let plan = PreprocessPlan { spec, numeric: vec![numeric], text: vec![text] };
    let feature = |name: &str, feature_type| Feature::of(name, feature_type, true);
    let schema = FeatureSchema {
        schema_version: 1,
        task: if classes.is_some() { Task::Classification } else { Task::Regression },
        features: vec![feature("x", FeatureType::Float), feature("s", FeatureType::Text)],
        target: "y".to_owned(),
        classes,
        nulls: Vec::new(),
    };
    export(&plan, &schema, estimator).expect("exported")
}

fn table() -> Table {
    let x = Values::Float(vec![Some(1.0), None, Some(9.0)]);
    let s = Values::Text(vec![Some("a".to_owned()), None, Some("z".to_owned())]);
    let column = |name: &str, values| Column { name: name.to_owned(), values };
    Table { columns: vec![column("x", x), column("s", s)], rows: 3, ..Table::default() }
}

#[test]
fn what_was_exported_loads_and_answers() {
    let loaded = LoadedModel::load(&model()).expect("loaded");
    let Prediction::Classes { labels, probabilities } =
        loaded.predict(&table(), &[0, 1, 2]).expect("answers")
    else {
        panic!("classes");
    };
    assert_eq!(labels, [0, 0, 0]);
    assert_eq!(probabilities, [1.0, 0.0, 1.0, 0.0, 0.5, 0.5]);
}

#[test]
fn linear_models_load_and_answer_with_the_operators_that_were_exported() {
    let [classifier, regressor] = linear_models().map(|bytes| LoadedModel::load(&bytes).expect("loaded"));
    let Prediction::Values(values) = regressor.predict(&table(), &[0, 1, 2]).expect("answers") else {
        panic!("values");
    };
    // x is filled with 1 and scaled to (x − 0.5) / 2; then the two categories.
    assert_eq!(values, [0.5 + 10.0 + 0.125, 0.5 + 0.125, 8.5 + 0.125]);
    assert_eq!(classifier.classes(), Some(&Classes::Text(vec!["no".to_owned(), "yes".to_owned()])));
    let Prediction::Classes { labels, probabilities } =
        classifier.predict(&table(), &[0, 1, 2]).expect("answers")
    else {
        panic!("classes");
    };
    assert_eq!(labels, [0, 1, 1]);
    let expected = 1.0 / (1.0 + (-(1.5 * 0.25 - 2.0 + 0.5_f64)).exp());
    assert!((f64::from(probabilities[1]) - expected).abs() < 1e-7, "{probabilities:?}");
}

#[test]
fn boosted_trees_load_as_they_were() {
    let [regressor, two, three] = boosted_models().map(|bytes| LoadedModel::load(&bytes).expect("loaded"));
    assert_eq!(regressor.estimator(), Some(&Estimator::BoostedRegressor(boosted(1))));
    assert_eq!(two.estimator(), Some(&Estimator::BoostedClassifier(boosted(1))));
    assert_eq!(three.estimator(), Some(&Estimator::BoostedClassifier(boosted(3))));
    assert_eq!(three.classes().map(Classes::len), Some(3));
    let Prediction::Values(values) = regressor.predict(&table(), &[0, 1, 2]).expect("answers") else {
        panic!("values");
    };
    // 0.25, 0.25 and 4.25 behind filling and scaling; the categories a, none and none.
    assert_eq!(values, [0.5 - 0.75 + 0.125, 0.5 + 0.25 + 0.125, -1.0 + 0.25 + 0.125]);
}

#[test]
fn trees_that_would_not_end_or_leave_their_bounds_are_refused() {
    let broken = |change: fn(&mut Forest)| {
        let mut forest = forest();
        change(&mut forest);
        Estimator::ForestClassifier(forest).validate().expect_err("refused").to_string()
    };
    assert!(broken(|forest| forest.trees[0].nodes[2].left = 0).contains("tree 0: node 2 has the child 0"));
    assert!(broken(|forest| forest.trees[1].nodes[0].right = 99).contains("tree 1: node 0 has the child 99"));
    assert!(broken(|forest| forest.trees[0].nodes[0].feature = 3).contains("compares feature 3 of 3"));
    assert!(broken(|forest| forest.trees[0].nodes[1].left = 7).contains("leaf 1 has no value"));
    assert!(broken(|forest| forest.trees[0].nodes.clear()).contains("has no node"));
    assert!(broken(|forest| forest.trees[0].nodes[0].threshold = f32::NAN).contains("NaN"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_model_with_changed_bytes_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = model();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(loaded) = LoadedModel::load(&bytes) {
            let _ = loaded.predict(&table(), &[0, 1, 2]);
        }
    }

    #[test]
    fn a_linear_model_with_changed_bytes_never_panics(which in 0..2_usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = linear_models()[which].clone();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(loaded) = LoadedModel::load(&bytes) {
            let _ = loaded.predict(&table(), &[0, 1, 2]);
        }
    }

    #[test]
    fn a_boosted_model_with_changed_bytes_never_panics(which in 0..3_usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = boosted_models()[which].clone();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(loaded) = LoadedModel::load(&bytes) {
            let _ = loaded.predict(&table(), &[0, 1, 2]);
            if let Some(Estimator::BoostedRegressor(boosted) | Estimator::BoostedClassifier(boosted)) = loaded.estimator() {
                let _ = boosted.shares(&vec![1.0; boosted.features]);
            }
        }
    }

    #[test]
    fn a_model_that_was_cut_or_is_noise_never_panics(cut: prop::sample::Index, noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = model();
        let _ = LoadedModel::load(&bytes[..cut.index(bytes.len())]);
        let _ = LoadedModel::load(&noise);
    }
}
