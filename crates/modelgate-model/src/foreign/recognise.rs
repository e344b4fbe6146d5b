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
        // Editors put a mark in front of text.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
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
        if let Some(what) = unread(bytes) {
            return wrong(what);
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

/// Says what a file of a known form is that is not read, and what to do.
fn unread(bytes: &[u8]) -> Option<&'static str> {
    // Text of the oldest pickles: lists, dictionaries and tuples of a mark and instances of a class.
    let old_pickle = [&b"(lp"[..], b"(dp", b"(i", b"(c", b"ccopy_reg\n", b"ccopyreg\n"]
        .iter()
        .any(|start| bytes.starts_with(start))
        && bytes.trim_ascii_end().ends_with(b".");
    if bytes.starts_with(b"\x80") && bytes.get(1).is_some_and(|version| (2..=5).contains(version))
        || old_pickle
    {
        return Some(
            "it is a pickle, whose loading runs its code: export the model to ONNX, as docs/migrate.md says",
        );
    }
    match bytes {
        [0x1f, 0x8b, ..] | [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] => Some(
            "it is compressed: unpack it; a model of joblib is a pickle inside: export it to ONNX, as docs/migrate.md says",
        ),
        [b'P', b'K', 3, 4, ..] => Some(
            "it is an archive, as PyTorch, Keras and skops write: export the model to ONNX (`torch.onnx.export`, \
             `tf2onnx`, `skl2onnx`)",
        ),
        [0x89, b'H', b'D', b'F', ..] => {
            Some("it is an HDF5 file, as Keras writes: export the model to ONNX, such as with `tf2onnx`")
        }
        _ => None,
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
        for pickle in
            [&b"\x80\x05]."[..], b"(lp0\nI1\na.", b"(dp0\nVa\np1\nI1\ns.", b"ccopy_reg\n_reconstructor\n."]
        {
            assert!(refused(pickle).contains("it is a pickle"));
        }
        assert!(refused(b"\x1f\x8b\x08\0").contains("unpack it"));
        assert!(refused(b"PK\x03\x04aaaa").contains("torch.onnx.export"));
        assert!(refused(b"\x89HDF\r\n\x1a\n").contains("tf2onnx"));
        assert!(refused("\u{feff}tree\nversion=v4\n".as_bytes()).contains("the LightGBM model"));
    }
}
