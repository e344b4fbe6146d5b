//! The schemas of requests and answers, with what each served model takes and gives.

use modelgate_core::schema::{Feature, FeatureType};
use serde_json::{Map, Value, json};

use super::explain;
use crate::answer;
use crate::catalog::Served;
use crate::explanation;
use crate::request::v2;
use crate::served::ServedModel;

fn cell(feature: &Feature) -> Value {
    let kind = match feature.feature_type {
        FeatureType::Int => "integer",
        FeatureType::Float => "number",
        FeatureType::Text => "string",
    };
    let nullable = feature.takes_null();
    let kinds = if feature.takes_booleans() {
        json!([kind, "boolean"])
    } else if nullable {
        json!([kind, "null"])
    } else {
        json!(kind)
    };
    let mut schema = json!({ "type": kinds });
    match feature.feature_type {
        // What lies beyond is refused: the model takes 32-bit numbers, and whole ones of 64 bits.
        FeatureType::Float => {
            schema["minimum"] = json!(f64::from(f32::MIN));
            schema["maximum"] = json!(f64::from(f32::MAX));
        }
        FeatureType::Int => {
            schema["minimum"] = json!(i64::MIN);
            schema["maximum"] = json!(i64::MAX);
        }
        FeatureType::Text => {}
    }
    // A contract's bounds are refused or flagged, as the service is told; whoever keeps to them is never refused.
    if let Some(allowed) = feature.allowed {
        for (key, bound) in [("minimum", allowed.min), ("maximum", allowed.max)] {
            if let Some(bound) = bound {
                schema[key] = json!(bound);
            }
        }
    }
    let unit = feature.unit.as_ref().map_or_else(String::new, |unit| format!(" {unit}"));
    if let Some((low, high)) = feature.range {
        schema["description"] = json!(format!("in training from {low} to {high}{unit}"));
    }
    if let Some(label) = &feature.label {
        schema["title"] = json!(label);
    }
    if !feature.categories.is_empty() {
        let mut known: Vec<Value> = feature.categories.iter().map(|one| one.as_str().into()).collect();
        if nullable {
            known.push(Value::Null);
        }
        schema["enum"] = known.into();
    }
    schema
}

/// The schema of a row.
fn row(model: &ServedModel) -> Value {
    let properties: Map<String, Value> =
        model.features().iter().map(|feature| (feature.name.clone(), cell(feature))).collect();
    let names: Vec<&str> = model.features().iter().map(|feature| feature.name.as_str()).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
        "example": model.typical,
    })
}

fn prediction(model: &ServedModel) -> Value {
    let classes: Vec<Value> =
        model.classes.iter().filter_map(|class| serde_json::from_str(class).ok()).collect();
    if classes.is_empty() { json!({ "type": "number" }) } else { json!({ "enum": classes }) }
}

/// Returns where the schema `kind` of a model is.
pub(super) fn reference(kind: &str, model: &ServedModel) -> Value {
    json!({ "$ref": format!("#/components/schemas/{kind}.{}", model.name()) })
}

/// Returns where a schema is that every model shares.
pub(super) fn shared(kind: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{kind}") })
}

/// Returns an object that has all of these.
fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().map(|all| all.keys().collect()).unwrap_or_default();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// A list that has to hold something.
fn filled(items: &Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": items })
}

fn texts() -> Value {
    list(&json!({ "type": "string" }))
}

/// A row by position.
fn positional(model: &ServedModel) -> Value {
    let cells: Vec<Value> = model.features().iter().map(cell).collect();
    let count = cells.len();
    json!({
        "type": "array",
        "description": "The values of a row, in the order of the model's features",
        "prefixItems": cells,
        "minItems": count,
        "maxItems": count,
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["reason", "expected", "got"],
        "properties": {
            "row": { "type": "integer", "description": "From 0" },
            "feature": { "type": "string" },
            "reason": { "enum": [
                "missing", "unknown", "duplicate", "wrong_type", "null", "not_finite", "unknown_category",
                "out_of_range", "out_of_contract",
            ] },
            "expected": { "type": "string" },
            "got": { "type": "string", "description": "The kind of value, or the side of the bounds that it is on, never the value" },
        },
    })
}

fn nullable(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

/// What `/models` and `/health` say of a model.
fn model() -> Value {
    object(json!({
        "version": { "type": "string" },
        "digest": { "type": "string" },
        "stage": nullable("string"),
        "task": { "enum": ["classification", "regression"] },
        "verified": { "type": "boolean", "description": "Whether a passed verdict is bound to its digest" },
        "signed": nullable("boolean"),
        "metrics": { "type": "object", "additionalProperties": { "type": "number" } },
        "loaded_at": { "type": "string" },
    }))
}

fn described() -> Value {
    let feature = object(json!({
        "name": { "type": "string" },
        "type": { "enum": ["int", "float", "text"] },
        "boolean": { "type": "boolean", "description": "Whether `true` and `false` stand for 1 and 0" },
        "nullable": { "type": "boolean" },
        "range": { "description": "Of the training rows", "anyOf": [{ "type": "null" }, list(&json!({ "type": "number" }))] },
        "allowed": { "description": "By the data contract", "type": ["object", "null"] },
        "label": nullable("string"),
        "unit": nullable("string"),
        "categories": texts(),
        "typical": {},
    }));
    json!({ "allOf": [shared("Model"), object(json!({
        "name": { "type": "string" },
        "target": { "type": "string" },
        "classes": { "type": ["array", "null"] },
        "features": list(&feature),
        "nulls": {
            "type": "array",
            "items": { "type": "string" },
            "description": "Words that mean a missing value, beside those that always do, such as `NA`",
        },
        "lineage": { "type": "object" },
    }))] })
}

fn source() -> Value {
    object(json!({
        "kind": { "enum": ["package", "registry", "bucket", "hub", "mlflow"] },
        "place": { "type": "string" },
        "reachable": nullable("boolean"),
        "last_check": nullable("string"),
        "last_error": nullable("string"),
        "server_version": nullable("string"),
        "from_cache": { "type": "boolean" },
        "breaker": { "enum": ["closed", "open", "half_open"] },
        "refused": { "type": "object", "additionalProperties": { "type": "string" } },
        "withdrawn": { "type": "object", "additionalProperties": { "type": "string" } },
    }))
}

fn tensor(data: bool) -> Value {
    let mut tensor = json!({
        "name": { "type": "string" },
        // -1 stands for any number of rows, where it is not known yet.
        "shape": filled(&json!({ "type": "integer", "minimum": if data { 1 } else { -1 } })),
        "datatype": { "enum": v2::DATATYPES },
    });
    if data {
        tensor["shape"]["maxItems"] = json!(2);
        tensor["data"] = json!({ "type": "array", "minItems": 1 });
    }
    let mut tensor = object(tensor);
    tensor["properties"]["parameters"] = nullable("object");
    tensor
}

/// The schemas that every model shares.
fn common() -> Map<String, Value> {
    let boolean = || json!({ "type": "boolean" });
    let all = [
        (
            "Error",
            json!({
                "type": "object",
                "required": ["error", "code"],
                "properties": {
                    "error": { "type": "string", "description": "A sentence" },
                    "code": { "type": "string", "description": "A word that does not change" },
                    "details": list(&problem()),
                    "more_details": { "type": "integer" },
                    "correlation_id": { "type": "string" },
                },
            }),
        ),
        ("Model", model()),
        ("Described", described()),
        (
            "Models",
            object(
                json!({ "models": list(&json!({ "allOf": [shared("Model"), object(json!({ "name": { "type": "string" } }))] })) }),
            ),
        ),
        (
            "Health",
            object(json!({
                "status": { "enum": ["ok", "degraded", "unavailable"] },
                "ready": boolean(),
                "draining": boolean(),
                "service_version": { "type": "string" },
                "models": { "type": "object", "additionalProperties": shared("Model") },
                "source": source(),
            })),
        ),
        ("Live", object(json!({ "live": boolean() }))),
        ("Ready", object(json!({ "status": { "enum": ["ok", "unavailable"] }, "ready": boolean() }))),
        ("Reloaded", reloaded()),
        (
            "V2Server",
            object(
                json!({ "name": { "type": "string" }, "version": { "type": "string" }, "extensions": texts() }),
            ),
        ),
        ("V2Ready", object(json!({ "live": boolean(), "ready": boolean() }))),
        ("V2ModelReady", object(json!({ "name": { "type": "string" }, "ready": boolean() }))),
        (
            "V2Model",
            object(json!({
                "name": { "type": "string" },
                "versions": texts(),
                "platform": { "type": "string" },
                "inputs": list(&tensor(false)),
                "outputs": list(&tensor(false)),
            })),
        ),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn reloaded() -> Value {
    let by_model = |description: &str| {
        let text = json!({ "type": "string" });
        json!({ "type": "object", "description": description, "additionalProperties": text })
    };
    let mut reloaded = object(json!({
        "status": { "enum": ["reloaded", "noop"] },
        "changed": texts(),
        "models": by_model("The version of each model that is served"),
    }));
    reloaded["properties"]["refused"] = by_model(
        "What was refused while others changed, with the reason; what was served of it is served on",
    );
    reloaded
}

/// Returns every schema; `batch` rows are taken at most.
pub(super) fn all(served: &Served, batch: usize) -> Map<String, Value> {
    let mut schemas = common();
    for model in served.models.values() {
        let mut add = |kind: &str, schema: Value| schemas.insert(format!("{kind}.{}", model.name()), schema);
        add("Row", row(model));
        add("Positional", positional(model));
        let rows = |kind: &str, most: usize| {
            let most = batch.min(most);
            json!({ "type": "array", "minItems": 1, "maxItems": most, "items": reference(kind, model) })
        };
        requests(model, &rows, &mut add);
        answers(model, &mut add);
    }
    schemas
}

fn requests(
    model: &ServedModel,
    rows_up_to: &dyn Fn(&str, usize) -> Value,
    add: &mut dyn FnMut(&str, Value) -> Option<Value>,
) {
    let closed = |name: &str, schema: Value, example: Value| {
        json!({
            "type": "object",
            "required": [name],
            "additionalProperties": false,
            "properties": { (name): schema },
            "example": { (name): example },
        })
    };
    let typical = || json!(model.typical);
    let rows = |kind: &str| rows_up_to(kind, usize::MAX);
    let features = json!({ "anyOf": [reference("Row", model), rows("Row"), rows("Positional")] });
    add("PredictRequest", closed("features", features, typical()));
    add("FlatRequest", json!({ "anyOf": [reference("PredictRequest", model), reference("Row", model)] }));
    let few = |kind: &str| rows_up_to(kind, explanation::rows(model, explain::ROWS));
    let explained = json!({ "anyOf": [reference("Row", model), few("Row"), few("Positional")] });
    let explained = closed("features", explained, typical());
    add("ExplainRequest", json!({ "anyOf": [explained, reference("Row", model)] }));
    add("OneRequest", closed("features", reference("Row", model), typical()));
    let names: Vec<&str> = model.features().iter().map(|feature| feature.name.as_str()).collect();
    let values: Vec<&Value> = names.iter().map(|name| &model.typical[*name]).collect();
    let either = || json!({ "anyOf": [rows("Row"), rows("Positional")] });
    let split = json!({
        "type": "object",
        "required": ["data"],
        "additionalProperties": false,
        "properties": { "columns": list(&json!({ "enum": names })), "data": rows("Positional"), "index": { "type": "array" } },
    });
    let columns: Map<String, Value> =
        model.features().iter().map(|feature| (feature.name.clone(), filled(&cell(feature)))).collect();
    let columns =
        json!({ "type": "object", "required": names, "additionalProperties": false, "properties": columns });
    add(
        "InvocationsRequest",
        json!({ "anyOf": [
            closed("dataframe_records", rows("Row"), json!([model.typical])),
            closed("dataframe_split", split, json!({ "columns": names, "data": [values] })),
            closed("instances", either(), json!([model.typical])),
            closed("inputs", json!({ "anyOf": [columns, either()] }), json!([values])),
        ] }),
    );
    let tensors: Vec<Value> = model
        .features()
        .iter()
        .map(|feature| {
            let datatype = v2::datatype(feature.feature_type);
            json!({ "name": feature.name, "shape": [1], "datatype": datatype, "data": [model.typical[&feature.name]] })
        })
        .collect();
    let mut outputs = list(&json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": { "name": { "enum": answer::v2_outputs(model) }, "parameters": nullable("object") },
    }));
    outputs["type"] = json!(["array", "null"]);
    add(
        "InferRequest",
        json!({
            "type": "object",
            "required": ["inputs"],
            "additionalProperties": false,
            "properties": {
                "id": nullable("string"),
                "inputs": filled(&tensor(true)),
                "outputs": outputs,
                "parameters": nullable("object"),
            },
            "example": { "inputs": tensors },
        }),
    );
}

fn answers(model: &ServedModel, add: &mut dyn FnMut(&str, Value) -> Option<Value>) {
    let (number, text) = (json!({ "type": "number" }), json!({ "type": "string" }));
    let classifies = !model.classes.is_empty();
    let mut answer = object(
        json!({ "predictions": list(&prediction(model)), "model": text, "version": text, "digest": text }),
    );
    answer["properties"]["warnings"] = list(&problem());
    answer["properties"]["more_warnings"] = json!({ "type": "integer" });
    if classifies {
        answer["properties"]["probabilities"] = list(&list(&number));
        answer["properties"]["classes"] = list(&prediction(model));
    }
    add("PredictResponse", answer);
    let mut one = object(json!({ "prediction": prediction(model), "model_version": text }));
    one["properties"]["warnings"] = list(&problem());
    one["properties"]["more_warnings"] = json!({ "type": "integer" });
    add("OneResponse", one);
    add("InvocationsResponse", object(json!({ "predictions": list(&prediction(model)) })));
    let contribution = object(json!({ "feature": text, "contribution": number }));
    let mut explanation = json!({
        "prediction": prediction(model),
        "class": if classifies { prediction(model) } else { json!({ "type": "null" }) },
        "base": number,
        "contributions": list(&contribution),
    });
    if classifies {
        explanation["probabilities"] = list(&number);
    }
    let mut explained = object(json!({
        "explanations": list(&object(explanation)),
        "method": { "enum": ["shapley", "occlusion"] },
        "unit": { "enum": ["target", "log_odds", "probability"] },
        "model": text,
        "version": text,
        "digest": text,
    }));
    explained["properties"]["warnings"] = list(&problem());
    explained["properties"]["more_warnings"] = json!({ "type": "integer" });
    add("ExplainResponse", explained);
    let mut infer =
        object(json!({ "model_name": text, "model_version": text, "outputs": list(&tensor(true)) }));
    infer["properties"]["id"] = text;
    add("InferResponse", infer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_of_booleans_takes_them_by_its_schema() {
        let feature =
            |range| Feature { range: Some(range), ..Feature::of("member", FeatureType::Int, false) };
        assert_eq!(cell(&feature((0.0, 1.0)))["type"], json!(["integer", "boolean"]));
        assert_eq!(cell(&feature((0.0, 2.0)))["type"], "integer");
        assert_eq!(cell(&Feature::of("age", FeatureType::Float, true))["type"], json!(["number", "null"]));
    }

    #[test]
    fn a_cell_has_the_bounds_of_32_bits_and_a_tensor_the_types_of_the_protocol() {
        let cell = cell(&Feature::of("age", FeatureType::Float, false));
        assert_eq!((&cell["minimum"], &cell["maximum"]), (&json!(f32::MIN), &json!(f32::MAX)));
        let types = &tensor(true)["properties"]["datatype"]["enum"];
        assert!(types.as_array().is_some_and(|types| types.contains(&json!("FP32")) && types.len() == 13));
    }

    #[test]
    fn a_tensor_without_values_is_none_by_its_schema() {
        let tensor = tensor(true);
        for list in ["shape", "data"] {
            assert_eq!(tensor["properties"][list]["minItems"], 1, "{list}");
        }
        assert_eq!(tensor["properties"]["shape"]["items"]["minimum"], 1);
    }
}
