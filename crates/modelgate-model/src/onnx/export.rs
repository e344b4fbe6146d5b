//! A plan and an estimator to one ONNX graph of standard operators.
//!
//! Inputs: one per raw column, rank 1, `int64`, `float32` or `string`. Outputs: `label` and
//! `probability_<class>`, or `prediction`, each rank 1.

use modelgate_core::schema::{Classes, FeatureSchema, FeatureType};
use modelgate_data::preprocess::{Encode, NULL_TEXTS, PreprocessPlan, TextColumn, UnknownCategory};
use prost::Message;

use super::graph::GraphBuilder;
use super::linear;
use super::proto::{Model, OperatorSet, data_type};
use super::{size, trees};
use crate::error::ModelError;
use crate::estimator::Estimator;

/// Returns the bytes of the ONNX model; equal arguments give equal bytes.
///
/// # Errors
/// Fails when plan, schema and estimator do not fit together, the estimator is not valid, or its graph is larger than any
/// program reads.
pub fn export(
    plan: &PreprocessPlan,
    schema: &FeatureSchema,
    estimator: &Estimator,
) -> Result<Vec<u8>, ModelError> {
    estimator.validate()?;
    let width = plan.output_names().len();
    if width != estimator.features() {
        return Err(ModelError::Invalid(format!(
            "the plan gives {width} features, the model takes {}",
            estimator.features()
        )));
    }
    // Before all of it stands in memory.
    size::refuse(estimator, size::of_leaves(estimator))?;
    let mut graph = GraphBuilder::default();
    for feature in &schema.features {
        let element = match feature.feature_type {
            FeatureType::Int => data_type::INT64,
            FeatureType::Float => data_type::FLOAT,
            FeatureType::Text => data_type::STRING,
        };
        graph.input(&feature.name, element);
    }
    graph.ints("axis_1", &[1]);
    let mut parts = Vec::new();
    if !plan.numeric.is_empty() {
        parts.push(numbers(&mut graph, plan));
    }
    for (index, column) in plan.text.iter().enumerate() {
        parts.push(text(&mut graph, index, column, plan)?);
    }
    let features = graph.concat(&parts, "model/features");
    let output = given(estimator);
    match (estimator, &schema.classes) {
        (Estimator::ForestRegressor(forest), _) => {
            trees::regressor(&mut graph, forest, &features, output[0]);
        }
        (Estimator::ForestClassifier(forest), Some(classes)) => {
            trees::classifier(&mut graph, forest, classes, &features, output);
        }
        (Estimator::BoostedRegressor(boosted) | Estimator::BoostedClassifier(boosted), _) => {
            trees::boosted(&mut graph, boosted, &features, output[0]);
        }
        (Estimator::LinearClassifier(linear), _) => {
            linear::classifier(&mut graph, linear, &features, output[0]);
        }
        (Estimator::LinearRegressor(regressor), _) => {
            linear::regressor(&mut graph, regressor, &features, output[0]);
        }
        (Estimator::ForestClassifier(_), None) => return unfit(),
    }
    answers(&mut graph, estimator, schema.classes.as_ref())?;
    let opset_import = vec![
        OperatorSet { domain: String::new(), version: 18 },
        OperatorSet { domain: "ai.onnx.ml".to_owned(), version: 3 },
    ];
    // IR version 8 goes with opset 18 and is read by every onnx package since 1.13.
    let model = Model {
        ir_version: 8,
        producer_name: "modelgate".to_owned(),
        graph: Some(graph.finish("modelgate")),
        opset_import,
    };
    size::refuse(estimator, model.encoded_len() as u64)?;
    Ok(model.encode_to_vec())
}

fn unfit<T>() -> Result<T, ModelError> {
    Err(ModelError::Invalid("the model's outputs do not fit the schema's classes".to_owned()))
}

/// Returns the values that the last node of a model gives.
pub(super) fn given(estimator: &Estimator) -> &'static [&'static str] {
    match estimator {
        Estimator::ForestRegressor(_) | Estimator::BoostedRegressor(_) | Estimator::LinearRegressor(_) => {
            &["model/prediction"]
        }
        Estimator::ForestClassifier(_) => &["model/label", "model/probabilities"],
        Estimator::BoostedClassifier(_) => &["model/scores"],
        Estimator::LinearClassifier(_) => &["model/probabilities"],
    }
}

/// Writes what stands behind a model: its answers, by their names.
///
/// # Errors
/// Fails when the model does not answer with these classes.
pub(super) fn answers(
    graph: &mut GraphBuilder,
    estimator: &Estimator,
    classes: Option<&Classes>,
) -> Result<(), ModelError> {
    let Some(classes) = classes else {
        if estimator.classes().is_some() {
            return unfit();
        }
        graph.node("Squeeze", &["model/prediction", "axis_1"], &["prediction"]);
        graph.output("prediction", data_type::FLOAT);
        return Ok(());
    };
    let fits = match estimator {
        Estimator::ForestClassifier(forest) => forest.outputs == classes.len(),
        _ => estimator.classes() == Some(classes.len()),
    };
    if !fits {
        return unfit();
    }
    if let Estimator::BoostedClassifier(boosted) = estimator {
        trees::link(graph, boosted.scores, "model/scores", "model/probabilities");
    }
    most_probable(graph, classes);
    probabilities(graph, classes);
    Ok(())
}

/// Number columns to one matrix: cast, stack, fill, subtract, divide.
fn numbers(graph: &mut GraphBuilder, plan: &PreprocessPlan) -> String {
    let mut stacked = Vec::new();
    for (index, column) in plan.numeric.iter().enumerate() {
        let mut name = column.name.clone();
        if column.feature_type == FeatureType::Int {
            let cast = format!("number_{index}/float");
            graph.node("Cast", &[&name], &[&cast]).int("to", i64::from(data_type::FLOAT));
            name = cast;
        }
        let stacked_name = format!("number_{index}/column");
        graph.node("Unsqueeze", &[&name, "axis_1"], &[&stacked_name]);
        stacked.push(stacked_name);
    }
    let mut matrix = graph.concat(&stacked, "numbers/matrix");
    if plan.numeric.iter().any(|column| column.fill.is_some()) {
        let fill: Vec<f32> = plan.numeric.iter().map(|column| column.fill.unwrap_or(f32::NAN)).collect();
        graph.floats("numbers/fill", &fill);
        graph.node("IsNaN", &[&matrix], &["numbers/missing"]);
        graph.node("Where", &["numbers/missing", "numbers/fill", &matrix], &["numbers/filled"]);
        "numbers/filled".clone_into(&mut matrix);
    }
    if plan.numeric.iter().any(|column| column.mean.is_some()) {
        let means: Vec<f32> = plan.numeric.iter().map(|column| column.mean.unwrap_or(0.0)).collect();
        let scales: Vec<f32> = plan.numeric.iter().map(|column| column.scale.unwrap_or(1.0)).collect();
        graph.floats("numbers/mean", &means);
        graph.floats("numbers/scale", &scales);
        graph.node("Sub", &[&matrix, "numbers/mean"], &["numbers/centred"]);
        graph.node("Div", &["numbers/centred", "numbers/scale"], &["numbers/scaled"]);
        "numbers/scaled".clone_into(&mut matrix);
    }
    matrix
}

/// A text column to its part of the matrix: the category's position, then one-hot or the position itself.
fn text(
    graph: &mut GraphBuilder,
    index: usize,
    column: &TextColumn,
    plan: &PreprocessPlan,
) -> Result<String, ModelError> {
    let name = |step: &str| format!("text_{index}/{step}");
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let mut positions: Vec<i64> = Vec::new();
    let nulls = NULL_TEXTS
        .iter()
        .copied()
        .chain([""])
        .filter(|text| !column.categories.iter().any(|one| one == text));
    for key in column.categories.iter().map(String::as_str).chain(nulls) {
        if let Some(position) = column.position(Some(key)) {
            keys.push(key.as_bytes().to_vec());
            positions.push(position as i64);
        }
    }
    if keys.is_empty() {
        return Err(ModelError::Invalid(format!("the text column `{}` has no category", column.name)));
    }
    let position = name("position");
    let node = graph.node("LabelEncoder", &[&column.name], &[&position]);
    node.ml().strings("keys_strings", keys).ints("values_int64s", positions).int("default_int64", -1);
    let categories: Vec<i64> = (0..column.categories.len() as i64).collect();
    let strict = plan.spec.unknown_category == UnknownCategory::Error;
    if plan.spec.encode == Encode::Ordinal && !strict {
        graph.node("Cast", &[&position], &[&name("float")]).int("to", i64::from(data_type::FLOAT));
        graph.node("Unsqueeze", &[&name("float"), "axis_1"], &[&name("column")]);
        return Ok(name("column"));
    }
    // Without `zeros` an unknown category is an error of the operator.
    let node = graph.node("OneHotEncoder", &[&position], &[&name("onehot")]);
    node.ml().ints("cats_int64s", categories).int("zeros", i64::from(!strict));
    if plan.spec.encode == Encode::Onehot {
        return Ok(name("onehot"));
    }
    graph.node("ArgMax", &[&name("onehot")], &[&name("rank")]).int("axis", 1).int("keepdims", 1);
    graph.node("Cast", &[&name("rank")], &[&name("column")]).int("to", i64::from(data_type::FLOAT));
    Ok(name("column"))
}

pub(crate) fn bytes(texts: &[String]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The label is the first class of the highest probability. `TreeEnsembleClassifier` has a label of its own, which
/// ONNX Runtime takes for a decision function and gets wrong for two classes whose leaves hold both probabilities.
fn most_probable(graph: &mut GraphBuilder, classes: &Classes) {
    graph.node("ArgMax", &["model/probabilities"], &["model/class"]).int("axis", 1).int("keepdims", 0);
    let positions = (0..classes.len() as i64).collect();
    let node = graph.node("LabelEncoder", &["model/class"], &["label"]).ml().ints("keys_int64s", positions);
    match classes {
        Classes::Int(values) => node.ints("values_int64s", values.clone()),
        Classes::Text(values) => node.strings("values_strings", bytes(values)),
    };
}

/// One output per class: named columns for whoever asks by name.
fn probabilities(graph: &mut GraphBuilder, classes: &Classes) {
    let element = if matches!(classes, Classes::Int(_)) { data_type::INT64 } else { data_type::STRING };
    graph.output("label", element);
    let columns: Vec<String> = (0..classes.len()).map(|class| format!("model/probability_{class}")).collect();
    let outputs: Vec<&str> = columns.iter().map(String::as_str).collect();
    let node = graph.node("Split", &["model/probabilities"], &outputs);
    node.int("axis", 1).int("num_outputs", classes.len() as i64);
    for (column, name) in columns.iter().zip(classes.names()) {
        let output = format!("probability_{name}");
        graph.node("Squeeze", &[column, "axis_1"], &[&output]);
        graph.output(&output, data_type::FLOAT);
    }
}
