//! A copy of a model that must be refused: the same structure with each list of its learned numbers mirrored in the
//! list's own range, so that what was likely is unlikely and what was high is low. A gate that lets it through is too
//! weak.

use serde_json::Value;

use crate::error::ModelError;
use crate::estimator::Estimator;
use crate::onnx::LoadedModel;

impl LoadedModel {
    /// Returns the model with every list of learned numbers mirrored: leaf values, coefficients, intercepts.
    ///
    /// # Errors
    /// Fails when the model has no such numbers.
    pub fn damaged(&self) -> Result<Self, ModelError> {
        let json = |error: serde_json::Error| ModelError::Json(error.to_string());
        let Some(own) = self.estimator() else {
            return Err(ModelError::Onnx("a model that ONNX Runtime runs cannot be damaged".to_owned()));
        };
        let mut value = serde_json::to_value(own).map_err(json)?;
        mirror(&mut value);
        let estimator: Estimator = serde_json::from_value(value).map_err(json)?;
        if estimator == *own {
            return Err(ModelError::Json("the model has no numbers that could be damaged".to_owned()));
        }
        self.with_estimator(estimator)
    }
}

/// Mirrors each list of fractions in its range; lists of whole numbers are structure and stay.
fn mirror(value: &mut Value) {
    match value {
        Value::Array(list) if list.len() > 1 && list.iter().all(Value::is_f64) => {
            let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            *list = numbers.into_iter().map(|number| Value::from(low + high - number)).collect();
        }
        Value::Array(list) => list.iter_mut().for_each(mirror),
        Value::Object(object) => object.values_mut().for_each(mirror),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn numbers_are_mirrored_and_structure_stays() {
        let mut value = json!({"trees": [{"values": [0.25, 0.75, 0.5, 0.0], "nodes": [{"left": 1, "right": 2}]}], "shape": [1, 2]});
        super::mirror(&mut value);
        assert_eq!(
            value,
            json!({"trees": [{"values": [0.5, 0.0, 0.25, 0.75], "nodes": [{"left": 1, "right": 2}]}], "shape": [1, 2]})
        );
    }
}
