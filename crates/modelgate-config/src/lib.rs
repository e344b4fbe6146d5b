//! `modelgate.yaml`: parse, layer, validate, JSON schema.
//!
//! Owns: the project file's form and its messages. Refuses: doing anything with it.

mod decidable;
mod deploy;
mod dialect;
pub mod dotenv;
pub mod env;
mod error;
mod governance;
mod load;
mod measured;
mod origin;
mod params;
mod place;
mod project;
mod rollout;
mod rules;
mod schema;
mod search;
mod serving;
mod slice_value;
mod syntax;
mod template;
mod train;
mod undeclared;
mod validate;
pub mod variables;

pub use decidable::rule_doubt;
pub use deploy::{DeployConfig, SpaceConfig, SpaceSdk, smoke_rule};
pub use error::ConfigError;
pub use governance::{
    NotifyConfig, NotifyEvent, PolicyConfig, ROLLBACK_TARGETS, RetentionConfig, SigningConfig,
    duration_seconds,
};
pub use load::{Loaded, load, load_open, parse, show, with_defaults};
pub use origin::{Origin, origins};
pub use place::{Place, place, place_in};
pub use project::{
    ApprovalPolicy, AverageName, ColumnTypeText, DataConfig, DataStorageConfig, EncodeName, EvaluateConfig,
    GateConfig, IntervalsName, LinkName, ManualPolicy, MissingName, ModelConfig, OnViolation, PipelineConfig,
    PreprocessConfig, ProjectConfig, PromotionConfig, RegistryConfig, ScaleName, SplitConfig, SplitKindName,
    SubsetName, TaskKind, UnknownCategoryName,
};
pub use rollout::{RolloutConfig, check_rollout_rule};
pub use rules::{AmountValue, EqualsValue, NonInferior, RuleConfig, default_rules};
pub use schema::json_schema;
pub use search::{SearchConfig, SearchKindName, SearchRange};
pub use serving::{ServeConfig, ServeRequire, Unusual};
pub use slice_value::SliceValue;
pub use template::{command_template, template, with_rare_class, without_slices};
pub use train::TrainConfig;
pub use undeclared::{UNDECLARED, Undeclared, declare, undeclared};
