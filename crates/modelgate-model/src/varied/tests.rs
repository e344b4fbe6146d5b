use modelgate_core::schema::{Feature, FeatureSchema, FeatureType, SCHEMA_VERSION, Task};
use modelgate_data::preprocess::{Encode, Missing, PreprocessSpec, Scale, UnknownCategory, fit};
use modelgate_data::{Column, Table};

use super::*;
use crate::estimator::{Forest, LEAF, LinearRegressor, Tree, TreeNode};

fn table() -> Table {
    let text = "a,n,region\n1.5,4,north\n,5,south\n3.5,6,\n-2.5,7,north\n";
    modelgate_data::read_csv(text.as_bytes(), "here", &modelgate_data::ReadOptions::default())
        .expect("a table")
}

/// A model of `a`, `n`, and the three categories of `region`, in this order.
fn model(table: &Table, estimator: &Estimator) -> LoadedModel {
    let spec = PreprocessSpec {
        missing: Missing::Median,
        scale: Scale::Standard,
        encode: Encode::Onehot,
        unknown_category: UnknownCategory::Ignore,
    };
    let names = ["a", "n", "region"].map(str::to_owned);
    let plan = fit(table, &[0, 1, 2, 3], &names, &spec).expect("a plan");
    let feature = |name: &String| {
        Feature::of(name, table.column(name).map_or(FeatureType::Float, Column::feature_type), true)
    };
    let schema = FeatureSchema {
        schema_version: SCHEMA_VERSION,
        task: Task::Regression,
        features: names.iter().map(feature).collect(),
        target: "y".to_owned(),
        classes: None,
        nulls: Vec::new(),
    };
    LoadedModel::load(&crate::export(&plan, &schema, estimator).expect("a graph")).expect("a model")
}

fn linear(table: &Table) -> LoadedModel {
    let features = 5;
    let coefficients = vec![2.0, 0.5, 10.0, -1.0, 3.0];
    model(table, &Estimator::LinearRegressor(LinearRegressor { features, coefficients, intercept: 1.0 }))
}

fn values(found: &Prediction) -> &[f32] {
    let Prediction::Values(values) = found else { panic!("{found:?}") };
    values
}

#[test]
fn a_changed_column_is_answered_as_the_changed_rows_are() {
    let table = table();
    let model = linear(&table);
    let columns = model.columns(&table, &[0, 1, 2, 3]).expect("columns");
    let mut varied = Varied::new(&model, columns.clone(), 4).expect("rows");
    assert!(varied.prepared.is_some());
    // The same without the preprocessed rows, as of a model that cannot be taken apart.
    let mut whole = Varied { prepared: None, ..varied.clone() };
    let before = varied.predict().expect("answers");
    for input in 0..3 {
        for order in [[2, 0, 3, 1], [3; 4]] {
            let mut changed = columns.clone();
            changed[input] = columns[input].take(&order);
            let expected = model.predict_columns(&changed, 4).expect("answers");
            assert_ne!(expected, before, "column {input}");
            assert_eq!(varied.with(input, &order).expect("answers"), expected, "column {input}");
            assert_eq!(whole.with(input, &order).expect("answers"), expected, "column {input}");
        }
    }
    assert_eq!(varied.predict().expect("answers"), before, "what was changed is put back");
    assert_eq!(whole.predict().expect("answers"), before);
    let error = varied.with(3, &[0; 4]).expect_err("no column").to_string();
    assert!(error.contains("no such row or column"), "{error}");
    varied.with(0, &[0, 1, 2, 4]).expect_err("no row");
}

#[test]
fn columns_that_change_one_by_one_are_answered_in_blocks() {
    let table = table();
    let model = linear(&table);
    let columns = model.columns(&table, &[0, 1, 2, 3]).expect("columns");
    let varied = Varied::new(&model, columns.clone(), 4).expect("rows");
    let whole = Varied { prepared: None, ..varied.clone() };
    let expected: Vec<f32> = (0..3)
        .map(|input| {
            let mut row: Vec<InputColumn> = columns.iter().map(|column| column.take(&[1])).collect();
            row[input] = columns[input].take(&[3]);
            values(&model.predict_columns(&row, 1).expect("an answer"))[0]
        })
        .collect();
    // More than one block of them.
    let inputs: Vec<usize> = (0..BLOCK + 10).map(|at| at % 3).collect();
    for asked in [&varied, &whole] {
        let found = asked.one_by_one(1, 3, &inputs).expect("answers");
        let expected: Vec<f32> = inputs.iter().map(|input| expected[*input]).collect();
        assert_eq!(values(&found), expected);
        asked.one_by_one(1, 4, &inputs).expect_err("no row");
    }
}

#[test]
fn what_no_node_and_no_coefficient_looks_at_has_no_weight() {
    let table = table();
    let leaf = |row| TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 };
    let split = |feature| TreeNode { feature, threshold: 0.0, left: 1, right: 2 };
    // Both compare a category of `region`.
    let tree = |feature| Tree {
        nodes: vec![split(feature), leaf(0), leaf(1)],
        values: vec![1.0, 2.0],
        covers: Vec::new(),
    };
    let forest = Forest { features: 5, outputs: 1, trees: vec![tree(3), tree(4)], ..Forest::default() };
    assert_eq!(model(&table, &Estimator::ForestRegressor(forest)).input_weights(), [0.0, 0.0, 2.0]);
    assert_eq!(linear(&table).input_weights(), [2.0, 0.5, 14.0]);
}
