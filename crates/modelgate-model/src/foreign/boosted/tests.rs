use modelgate_core::schema::{Feature, FeatureSchema, FeatureType, SCHEMA_VERSION, Task};

use super::*;
use crate::foreign::ForeignModel;

/// A model that gives 1 where its first feature is above zero, or is its first category.
fn model(names: &[&str], naming: Naming, categories: Categories) -> BoostedModel {
    let test = match categories {
        Categories::None => Test::Number(Ranges::of(vec![(0.0_f32.next_up(), f32::INFINITY)])),
        _ => Test::Category(vec![0]),
    };
    let split = Node::Split { feature: 0, test, missing_inside: false, inside: 1, outside: 2 };
    let mut all = vec![Categories::None; names.len()];
    all[0] = categories;
    BoostedModel {
        program: "XGBoost",
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        naming,
        categories: all,
        truncates_to_zero: false,
        damages_texts: false,
        output: Output::Value,
        base: vec![0.0],
        trees: vec![SourceTree {
            score: 0,
            nodes: vec![split, Node::Leaf(1.0), Node::Leaf(0.0)],
            covers: Vec::new(),
        }],
    }
}

fn schema(features: Vec<Feature>) -> FeatureSchema {
    FeatureSchema {
        schema_version: SCHEMA_VERSION,
        task: Task::Regression,
        features,
        target: "y".to_owned(),
        classes: None,
        nulls: Vec::new(),
    }
}

fn columns(names: &[&str]) -> FeatureSchema {
    schema(names.iter().map(|name| Feature::of(*name, FeatureType::Float, true)).collect())
}

/// Returns the name of the column that stands for each feature, or what is wrong.
fn taken(names: &[&str], naming: Naming, data: &[&str]) -> Result<Vec<String>, String> {
    let (model, schema) = (model(names, naming, Categories::None), columns(data));
    let features = model.features(&schema).map_err(|error| error.to_string())?;
    Ok(features.iter().map(|feature| feature.name.clone()).collect())
}

#[test]
fn features_that_are_called_as_the_data_go_by_name_whatever_they_are_called() {
    let usual = ["f0", "f1"];
    assert_eq!(taken(&usual, Naming::Usual, &["f1", "f0"]).expect("by name"), ["f0", "f1"]);
    assert_eq!(taken(&usual, Naming::Usual, &["age", "income"]).expect("by place"), ["age", "income"]);
    assert_eq!(taken(&usual, Naming::None, &["f1", "f0"]).expect("by place"), ["f1", "f0"]);
    // What is half by name is not half by place.
    let error = taken(&usual, Naming::Usual, &["f1", "f2"]).expect_err("refused");
    assert!(error.contains("takes the column `f0`, which is not in the data"), "{error}");
}

#[test]
fn a_name_to_the_letter_goes_before_one_without_its_blanks() {
    assert_eq!(taken(&["a_b", "a b"], Naming::Own, &["a b", "a_b"]).expect("both"), ["a_b", "a b"]);
    assert_eq!(taken(&["a_b", "c"], Naming::Own, &["a b", "c"]).expect("as written"), ["a b", "c"]);
    let error = taken(&["a_b", "a_b"], Naming::Own, &["a b", "a_b"]).expect_err("refused");
    assert!(error.contains("takes `a_b` twice"), "{error}");
}

#[test]
fn categories_that_are_one_number_of_32_bits_are_refused() {
    let estimator = |numbers: &[f64]| {
        let model = model(&["sku"], Naming::Own, Categories::Numbers(numbers.to_vec()));
        model.estimator(&columns(&["sku"])).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(estimator(&[16_777_215.0, 16_777_216.0, 30_000_000.0, 0.1, -3.0]), Ok(()));
    let error = estimator(&[50.0, 30_000_001.0, 30_000_000.0]).expect_err("refused");
    assert!(
        error.contains("the categories 30000000 and 30000001 of `sku` are one number of 32 bits"),
        "{error}"
    );
    assert!(error.contains("`data.types: {sku: category}`"), "{error}");
}

#[test]
fn categories_that_no_value_of_the_data_is_are_told() {
    let told = |categories, feature, nulls: &[&str]| {
        let model = model(&["c"], Naming::Own, categories);
        let nulls = nulls.iter().map(|word| (*word).to_owned()).collect();
        let schema = FeatureSchema { nulls, ..schema(vec![feature]) };
        ForeignModel::Boosted(Box::new(model)).doubts(&schema)
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let column =
        |known: &[&str]| Feature { categories: texts(known), ..Feature::of("c", FeatureType::Text, true) };
    let model = || Categories::Texts(texts(&["NA", "None", "a", "gone"]));
    let said = told(model(), column(&["a"]), &[]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("`NA`, `None` of `c`") && said[0].contains("{c: category}"), "{said:?}");
    assert_eq!(told(model(), column(&["NA", "None", "a"]), &[]), Vec::<String>::new(), "read to the letter");
    let said = told(model(), column(&["NA", "None", "a"]), &["gone"]);
    assert!(
        said.len() == 1 && said[0].contains("`gone` of `c`") && said[0].contains("`data.nulls`"),
        "{said:?}"
    );
    let numbers = |numbers: &[f64]| {
        told(Categories::Numbers(numbers.to_vec()), Feature::of("c", FeatureType::Float, true), &[])
    };
    assert_eq!(numbers(&[16_777_216.0]), Vec::<String>::new());
    let said = numbers(&[30_000_000.0]);
    assert!(said.len() == 1 && said[0].contains("beyond 2^24"), "{said:?}");
}
