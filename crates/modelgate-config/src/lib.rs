//! `modelgate.yaml`: parse, layer, validate, JSON schema.
//!
//! Owns: the project file's form and its messages. Refuses: doing anything with it.

pub mod env;
mod error;
mod governance;
mod load;
mod params;
mod project;
mod rules;
mod schema;
mod template;
mod validate;

pub use error::ConfigError;
pub use governance::{
    NotifyConfig, NotifyEvent, PolicyConfig, RetentionConfig, SigningConfig, duration_seconds,
};
pub use load::{Loaded, load, parse, show};
pub use project::{
    ApprovalPolicy, AverageName, ColumnTypeText, DataConfig, DataStorageConfig, EncodeName, EvaluateConfig,
    GateConfig, LinkName, ManualPolicy, MissingName, ModelConfig, OnViolation, PipelineConfig,
    PreprocessConfig, ProjectConfig, PromotionConfig, RegistryConfig, ScaleName, SplitConfig, SplitKindName,
    SubsetName, TaskKind, TrainConfig, UnknownCategoryName,
};
pub use rules::{EqualsValue, RuleConfig, default_rules};
pub use schema::json_schema;
pub use template::template;
