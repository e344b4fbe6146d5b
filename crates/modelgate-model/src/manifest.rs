//! The manifest: the file whose digest is the package's identity.

use std::collections::BTreeMap;

use modelgate_core::schema::{FeatureSchema, Task};
use modelgate_core::{Digest, ModelName};
use serde::{Deserialize, Serialize};

/// Where a package comes from, as far as it is the same for equal data, settings and version of modelgate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// The digest of the data set.
    pub dataset: Digest,
    /// The digest of the settings that make the model.
    pub config: Digest,
    /// The trainer and its revision.
    pub code: String,
    /// The seed.
    pub seed: u64,
    /// The trainer.
    pub algorithm: String,
    /// The version of modelgate.
    pub tool_version: String,
    /// The digest of the split.
    pub split: Digest,
}

/// `manifest.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this form.
    pub schema_version: u32,
    /// The model's name.
    pub name: ModelName,
    /// What the model is for.
    pub task: Task,
    /// What it takes and gives.
    pub schema: FeatureSchema,
    /// Where it comes from.
    pub lineage: Lineage,
    /// The digest of each other file of the package.
    pub files: BTreeMap<String, Digest>,
}
