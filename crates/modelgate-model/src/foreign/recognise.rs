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
        let model = Model::decode(bytes).map_err(|error| {
            ModelError::Onnx(format!(
                "it is no ONNX graph, LightGBM text or XGBoost JSON, and not a protobuf at all: {error}"
            ))
        })?;
        if model.graph.as_ref().is_none_or(|graph| graph.node.is_empty()) {
            return Err(ModelError::Onnx("it has no graph".to_owned()));
        }
        operator_sets(&model)?;
        if is_package(&model) {
            LoadedModel::load(bytes)?;
        }
        Ok(Self::Onnx(bytes.to_vec()))
    }
}

/// The versions of the sets of operators whose meaning is known, up to those of onnx 1.23. ONNX Runtime promises none from
/// before.
const KNOWN: [(&str, std::ops::RangeInclusive<i64>); 2] = [("ai.onnx", 7..=28), ("ai.onnx.ml", 1..=5)];

/// Refuses a graph that does not say which versions of its operators it means, as ONNX Runtime does with its package.
fn operator_sets(model: &Model) -> Result<(), ModelError> {
    let domain = |domain: &str| if domain.is_empty() { "ai.onnx".to_owned() } else { domain.to_owned() };
    for set in &model.opset_import {
        let name = domain(&set.domain);
        let known = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, versions)| versions);
        if let Some(known) = known.filter(|known| !known.contains(&set.version)) {
            return Err(ModelError::Onnx(format!(
                "it is of version {} of the operators of {name}, and versions {} to {} are known: export it with another \
                 `target_opset`",
                set.version,
                known.start(),
                known.end()
            )));
        }
    }
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let mut used = nodes.map(|node| domain(&node.domain));
    match used.find(|used| !model.opset_import.iter().any(|set| domain(&set.domain) == *used)) {
        Some(unsaid) => Err(ModelError::Onnx(format!(
            "it does not say which version of the operators of {unsaid} it means (`opset_import`): export it anew"
        ))),
        None => Ok(()),
    }
}

/// Says what a file of a known form is that is not read, and what to do.
fn unread(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.trim_ascii_start();
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some("it is a pointer of Git LFS and not the model itself: `git lfs pull` brings it");
    }
    let head: Vec<u8> = start.iter().take(9).map(u8::to_ascii_lowercase).collect();
    if head.starts_with(b"<!doctype") || head.starts_with(b"<html") {
        return Some("it is an HTML page and no model: the download gave a page, such as one to sign in");
    }
    if bytes.starts_with(b"booster[") || start.starts_with(b"[") {
        return Some(
            "it is a dump of XGBoost's trees for reading, which does not say what they add up to, or a list: save the model \
             itself, `booster.save_model(\"model.json\")`",
        );
    }
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
    use crate::onnx::graph_of_one_node;

    #[test]
    fn operators_of_no_known_version_are_refused() {
        let read = |sets: &[(&str, i64)]| {
            ForeignModel::read(&graph_of_one_node(sets))
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(read(&[("", 18)]), "");
        assert_eq!(read(&[("ai.onnx", 18), ("ai.onnx.ml", 5), ("com.example", 99)]), "");
        assert!(read(&[]).contains("which version of the operators of ai.onnx it means"));
        assert!(read(&[("", 99)]).contains("version 99 of the operators of ai.onnx, and versions 7 to 28"));
        assert!(read(&[("", 18), ("ai.onnx.ml", 9)]).contains("version 9 of the operators of ai.onnx.ml"));
    }

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
        assert!(
            refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n").contains("git lfs pull")
        );
        assert!(refused(b"\n<!DOCTYPE html><html>").contains("HTML page"));
        assert!(
            refused(b"booster[0]:\n0:[f0<1] yes=1,no=2,missing=2\n").contains("a dump of XGBoost's trees")
        );
        assert!(refused("\u{feff}tree\nversion=v4\n".as_bytes()).contains("the LightGBM model"));
    }
}
