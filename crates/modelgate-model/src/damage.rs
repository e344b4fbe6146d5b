//! A copy of a model that must be refused: the same structure with its learned numbers in a wrong order. A gate that
//! lets it through is too weak.

use serde_json::Value;

use crate::error::ModelError;
use crate::estimator::Estimator;
use crate::onnx::LoadedModel;

impl LoadedModel {
    /// Returns the model with every list of learned numbers turned round: leaf values, coefficients, intercepts.
    ///
    /// # Errors
    /// Fails when the model has no such numbers.
    pub fn damaged(&self) -> Result<Self, ModelError> {
        let json = |error: serde_json::Error| ModelError::Json(error.to_string());
        let mut value = serde_json::to_value(self.estimator()).map_err(json)?;
        turn_round(&mut value);
        let estimator: Estimator = serde_json::from_value(value).map_err(json)?;
        if estimator == *self.estimator() {
            return Err(ModelError::Json("the model has no numbers that could be damaged".to_owned()));
        }
        self.with_estimator(estimator)
    }
}

/// Turns round each list of fractions; lists of whole numbers are structure and stay.
fn turn_round(value: &mut Value) {
    match value {
        Value::Array(list) if list.len() > 1 && list.iter().all(Value::is_f64) => list.reverse(),
        Value::Array(list) => list.iter_mut().for_each(turn_round),
        Value::Object(object) => object.values_mut().for_each(turn_round),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn numbers_are_turned_round_and_structure_stays() {
        let mut value =
            json!({"trees": [{"values": [0.1, 0.9], "nodes": [{"left": 1, "right": 2}]}], "shape": [1, 2]});
        super::turn_round(&mut value);
        assert_eq!(
            value,
            json!({"trees": [{"values": [0.9, 0.1], "nodes": [{"left": 1, "right": 2}]}], "shape": [1, 2]})
        );
    }
}
