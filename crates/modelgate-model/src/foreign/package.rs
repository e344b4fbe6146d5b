//! A package around a model that another program made.

use std::collections::BTreeMap;

use modelgate_core::schema::{Classes, FeatureSchema};
use modelgate_core::{Digest, ModelName};

use super::recognise::ForeignModel;
use crate::error::ModelError;
use crate::manifest::Lineage;
use crate::onnx::{LoadedModel, export, wrap};
use crate::package::pack;

impl ForeignModel {
    /// Returns the graph of a package for data of `schema`.
    ///
    /// # Errors
    /// Says how what the model takes and gives differs from the schema.
    pub fn graph(&self, schema: &FeatureSchema) -> Result<Vec<u8>, ModelError> {
        match self {
            Self::Onnx(bytes) => {
                let graph = wrap(bytes, schema)?;
                check(&LoadedModel::load(&graph)?, schema)?;
                Ok(graph)
            }
            Self::Boosted(model) => {
                let (plan, estimator) = model.estimator(schema)?;
                export(&plan, schema, &estimator)
            }
        }
    }
}

/// Makes the files of a package around `model`, as [`crate::assemble`] does around an estimator.
///
/// # Errors
/// Fails when what the model takes and gives is not that of `schema`.
pub fn assemble_foreign(
    name: &ModelName,
    schema: &FeatureSchema,
    model: &ForeignModel,
    lineage: &Lineage,
    reference: &serde_json::Value,
) -> Result<(Digest, BTreeMap<String, Vec<u8>>), ModelError> {
    pack(name, schema, model.graph(schema)?, lineage, reference)
}

/// Says how a graph differs from what the data needs.
fn check(model: &LoadedModel, schema: &FeatureSchema) -> Result<(), ModelError> {
    let expected: Vec<String> = schema
        .features
        .iter()
        .map(|feature| format!("{} ({})", feature.name, feature.feature_type))
        .collect();
    let found: Vec<String> = model.inputs().iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    if expected != found {
        return Err(ModelError::Onnx(format!(
            "the inputs of the graph are [{}] and the columns of the data [{}]: one input of shape [N] per column, in this order",
            found.join(", "),
            expected.join(", ")
        )));
    }
    if model.classes() != schema.classes.as_ref() {
        let names = |classes: Option<&Classes>| classes.map_or_else(Vec::new, Classes::names).join(", ");
        return Err(ModelError::Onnx(format!(
            "the classes of the graph are [{}] and those of the data [{}]: the same, sorted, of the same type",
            names(model.classes()),
            names(schema.classes.as_ref())
        )));
    }
    Ok(())
}
