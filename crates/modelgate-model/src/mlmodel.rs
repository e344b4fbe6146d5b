//! `MLmodel`: what makes `mlflow.pyfunc.load_model` and `mlflow.onnx.load_model` work on a package.
//!
//! MLflow checks a `DataFrame` against the signature before the model sees it: it casts `float64` to `float32`
//! itself, refuses `int64` in a `double` column, and takes text as `object` (pandas 3's `str` must be cast). Booleans must be
//! cast too: `boolean` here would hand them to the graph as they are, which takes 64-bit whole numbers or 32-bit numbers.
//! Every column is `required`, also one whose values may be missing: a column that is left out is no input of the graph.
//! One thread per call, since ONNX Runtime adds in another order with more and then gives other bits.
//! No uuid, time or run id: equal packages have equal bytes.

use modelgate_core::schema::{Classes, FeatureSchema, FeatureType};
use serde_json::{Value, json};

/// Returns the text of `MLmodel`. Strings are written as JSON, which is YAML.
pub(crate) fn mlmodel(schema: &FeatureSchema) -> String {
    let inputs: Vec<Value> = schema
        .features
        .iter()
        .map(|feature| {
            let kind = match feature.feature_type {
                FeatureType::Int => "long",
                FeatureType::Float => "double",
                FeatureType::Text => "string",
            };
            json!({ "type": kind, "name": feature.name, "required": true })
        })
        .collect();
    let outputs: Vec<Value> = match &schema.classes {
        None => vec![json!({ "type": "float", "name": "prediction", "required": true })],
        Some(classes) => {
            let kind = if matches!(classes, Classes::Int(_)) { "long" } else { "string" };
            let label = json!({ "type": kind, "name": "label", "required": true });
            let probability =
                |name| json!({ "type": "float", "name": format!("probability_{name}"), "required": true });
            std::iter::once(label).chain(classes.names().into_iter().map(probability)).collect()
        }
    };
    // MLflow keeps the column lists as JSON inside the YAML.
    let nested = |columns: Vec<Value>| Value::from(Value::from(columns).to_string()).to_string();
    format!(
        "flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_session_options:
      intra_op_num_threads: 1
    onnx_version: 1.16.0
    providers:
    - CPUExecutionProvider
  python_function:
    data: model.onnx
    loader_module: mlflow.onnx
mlflow_version: 3.17.2
signature:
  inputs: {}
  outputs: {}
  params: null
",
        nested(inputs),
        nested(outputs)
    )
}
