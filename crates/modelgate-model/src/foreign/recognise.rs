//! What a file from elsewhere is, told by its first bytes.

use prost::Message;

use super::boosted::BoostedModel;
use super::{lightgbm, xgboost};
use crate::error::ModelError;
use crate::onnx::{LoadedModel, Model, is_package};

/// A model of another program, read as far as that goes without knowing the data's columns.
#[derive(Clone, Debug)]
pub enum ForeignModel {
    /// An ONNX graph: a package's, or one that is brought into that form.
    Onnx(Vec<u8>),
    /// Boosted trees of LightGBM or XGBoost.
    Boosted(Box<BoostedModel>),
}

fn wrong<T>(reason: &str) -> Result<T, ModelError> {
    Err(ModelError::Foreign(reason.to_owned()))
}

impl ForeignModel {
    /// Reads an ONNX graph, LightGBM's text or XGBoost's JSON.
    ///
    /// # Errors
    /// Says why the bytes are none of these, or what of the model cannot be used.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let start = bytes.trim_ascii_start();
        let boosted = |model: BoostedModel| Self::Boosted(Box::new(model));
        if bytes.starts_with(b"tree\n") || bytes.starts_with(b"tree\r\n") {
            return match std::str::from_utf8(bytes) {
                Ok(text) => lightgbm::read(text).map(boosted),
                Err(_) => wrong("the LightGBM model is no UTF-8"),
            };
        }
        if bytes.starts_with(b"{L") || bytes.starts_with(b"binf") {
            return wrong(
                "XGBoost's binary forms are not read: save the model as JSON, `booster.save_model(\"model.json\")`",
            );
        }
        if start.starts_with(b"{") {
            return xgboost::read(bytes).map(boosted);
        }
        let model = Model::decode(bytes)
            .map_err(|error| ModelError::Onnx(format!("it is not a protobuf: {error}")))?;
        if model.graph.as_ref().is_none_or(|graph| graph.node.is_empty()) {
            return Err(ModelError::Onnx("it has no graph".to_owned()));
        }
        if is_package(&model) {
            LoadedModel::load(bytes)?;
        }
        Ok(Self::Onnx(bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_known_form_says_what_to_do() {
        let refused = |bytes: &[u8]| ForeignModel::read(bytes).expect_err("refused").to_string();
        assert!(refused(b"{L\0\0\0\0\0\0\0\x07learner{").contains("save_model(\"model.json\")"));
        assert!(refused(b"binf\0\0").contains("as JSON"));
        assert!(refused(b"tree\nversion=\xff").contains("no UTF-8"));
        assert!(refused(b" {\"a\": 1}").contains("XGBoost"));
        assert!(refused(b"").contains("graph"));
    }
}
