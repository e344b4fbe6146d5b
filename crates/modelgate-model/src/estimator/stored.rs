//! A fitted model as bytes between the stages of a run: `MessagePack`, a fifth of what JSON takes.
//!
//! It is no format for others, who get ONNX. A forest of full depth has tens of millions of nodes: neither its text nor a tree of
//! JSON values of it has room in memory beside it.

use super::Estimator;
use crate::error::ModelError;

impl Estimator {
    /// Returns it as bytes, the same for the same model.
    ///
    /// # Errors
    /// Fails when it cannot be written, which no model of ours does.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        rmp_serde::to_vec(self).map_err(|error| ModelError::Stored(error.to_string()))
    }

    /// Reads what [`Estimator::to_bytes`] wrote, or the JSON that versions up to 0.1 kept.
    ///
    /// # Errors
    /// Fails when the bytes are neither.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        // A map of one entry, which MessagePack writes for a variant, does not begin so.
        if bytes.first() == Some(&b'{') {
            return serde_json::from_slice(bytes).map_err(|error| ModelError::Stored(error.to_string()));
        }
        rmp_serde::from_slice(bytes).map_err(|error| ModelError::Stored(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use crate::estimator::{
        Boosted, Estimator, LEAF, LinearRegressor, MISSING_LEFT, Prepared, Tree, TreeNode,
    };

    fn boosted(covers: Vec<f32>) -> Estimator {
        let nodes = vec![
            TreeNode { feature: 3 | MISSING_LEFT, threshold: 0.1, left: 1, right: 2 },
            TreeNode { feature: LEAF, threshold: 0.0, left: 0, right: 0 },
            TreeNode { feature: LEAF, threshold: 0.0, left: 1, right: 0 },
        ];
        let values = vec![f32::MIN_POSITIVE / 3.0, -1.000_000_1];
        let trees = vec![Tree { nodes, values, covers }];
        Estimator::BoostedClassifier(Boosted {
            features: 4,
            scores: 1,
            base: vec![0.3],
            trees,
            prepared: Prepared::default(),
        })
    }

    #[test]
    fn bytes_read_back_as_the_model_with_and_without_covers() {
        let linear = Estimator::LinearRegressor(LinearRegressor {
            features: 2,
            coefficients: vec![0.1, -1e-310],
            intercept: 1e300,
        });
        for model in [boosted(Vec::new()), boosted(vec![5.0, 2.0, 3.0]), linear] {
            let bytes = model.to_bytes().expect("bytes");
            assert_eq!(Estimator::from_bytes(&bytes).expect("a model"), model);
            assert_eq!(model.to_bytes().expect("bytes"), bytes);
            let json = serde_json::to_vec(&model).expect("JSON");
            assert_eq!(Estimator::from_bytes(&json).expect("a model"), model);
            assert!(bytes.len() < json.len(), "{} and {}", bytes.len(), json.len());
        }
    }

    #[test]
    fn bytes_of_something_else_are_an_error() {
        let bytes = boosted(Vec::new()).to_bytes().expect("bytes");
        for wrong in [&bytes[..bytes.len() - 3], b"", b"{\"forest\": 1}", b"\x81\xa1x\x90"] {
            assert!(Estimator::from_bytes(wrong).is_err(), "{wrong:?}");
        }
    }
}
