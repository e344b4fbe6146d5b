//! The project file as types; the JSON schema is generated from these, and its descriptions from these comments.

use std::collections::{BTreeMap, BTreeSet};

use modelgate_core::schema::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deploy::DeployConfig;
use crate::dialect;
use crate::governance::{NotifyConfig, PolicyConfig, RetentionConfig, SigningConfig};
use crate::rules::RuleConfig;
use crate::serving::ServeConfig;
use crate::train::TrainConfig;

/// `modelgate.yaml`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectConfig {
    /// The version of this form: 1.
    pub version: u32,
    /// The project's name.
    pub project: String,
    /// Where versions are kept.
    #[serde(default)]
    pub registry: RegistryConfig,
    /// What holds for every pipeline.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// Where and of what a webhook tells.
    #[serde(default)]
    pub notify: NotifyConfig,
    /// Signatures of packages.
    #[serde(default)]
    pub signing: SigningConfig,
    /// How long things are kept.
    #[serde(default)]
    pub retention: RetentionConfig,
    /// Where versions of data are shared and how they are kept.
    #[serde(default)]
    pub data: DataStorageConfig,
    /// How models are served.
    #[serde(default)]
    pub serve: ServeConfig,
    /// Where models are brought to.
    #[serde(default)]
    pub deploy: DeployConfig,
    /// The pipelines by name; each makes versions of one model.
    pub pipelines: BTreeMap<String, PipelineConfig>,
}

/// Where versions are kept.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Nothing for the folder `.modelgate/`; `git+branch:NAME`, a branch of the project's repository; or
    /// `s3://bucket/prefix`.
    pub uri: Option<String>,
}

/// Where versions of data are shared and how they are kept.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataStorageConfig {
    /// What `data push` and `data pull` use: `s3://bucket/prefix`, or a folder relative to the project.
    pub remote: Option<String>,
    /// How a file gets into the store and back: `auto` is by reflink where the file system has them, else by copy; with
    /// `hardlink` file and store are one, which becomes read-only.
    pub link: LinkName,
}

/// How a file gets into the store and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkName {
    /// By reflink where the file system has them, else by copy.
    #[default]
    Auto,
    /// By reflink alone.
    Reflink,
    /// By hard link alone: the file and what the store keeps are one, and read-only. Who writes to it in place all the same
    /// changes what the store keeps. A file outside of the project, behind a symbolic link, is copied.
    Hardlink,
    /// By copy alone: twice the room.
    Copy,
}

/// One way from data to a model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// What the model is for.
    pub task: TaskKind,
    /// The model's name.
    #[serde(default)]
    pub model: ModelConfig,
    /// The seed of everything random.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The data.
    pub data: DataConfig,
    /// What happens to columns before training.
    #[serde(default)]
    pub preprocess: PreprocessConfig,
    /// The trainer.
    #[serde(default)]
    pub train: TrainConfig,
    /// The figures.
    #[serde(default)]
    pub evaluate: EvaluateConfig,
    /// What a model must reach.
    #[serde(default)]
    pub gate: GateConfig,
    /// How a version reaches production.
    #[serde(default)]
    pub promotion: PromotionConfig,
}

fn default_seed() -> u64 {
    42
}

/// The model's name.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// The name versions are registered under; the pipeline's by default. Each pipeline has one of its own.
    pub name: Option<String>,
}

/// The data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// CSV (plain, gzip, Zstandard) or Parquet, relative to the project: a file, or a glob such as `data/*.csv`.
    pub source: String,
    /// The column to predict.
    pub target: String,
    /// The column that identifies a row; the row's content by default. It is not a feature.
    #[serde(default)]
    pub key: Option<String>,
    /// The column of weights of rows, numbers from 0 on, for training alone. It is not a feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Declared column types, where what is inferred is wrong: `int`, `float`, `bool`, `string`, `category`, `date`,
    /// `timestamp`, `decimal`; a date or timestamp with its form as `date:%d.%m.%Y`. In a column that is declared as text,
    /// words such as `NA` and `None` are values.
    #[serde(default)]
    pub types: BTreeMap<String, ColumnTypeText>,
    /// Words that are no value in any column of a CSV, such as `"?"` or `"-999"`, besides `NA` and its like.
    #[serde(default, deserialize_with = "dialect::nulls", skip_serializing_if = "BTreeSet::is_empty")]
    pub nulls: BTreeSet<String>,
    /// The delimiter, one ASCII character; found in the first lines by default.
    #[serde(default, deserialize_with = "dialect::delimiter")]
    pub delimiter: Option<char>,
    /// What stands around values that hold a delimiter, one ASCII character, or `none`; found by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The data contract, a file relative to the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// What a violation of severity `error` does: it stops the run, or the gate judges `contract.violations`.
    #[serde(default)]
    pub on_violation: OnViolation,
    /// The parts.
    #[serde(default)]
    pub split: SplitConfig,
}

/// The parts of the data; the shares sum to 1.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// How rows are assigned; `exact` below 10,000 rows and `stable` from there by default.
    pub kind: Option<SplitKindName>,
    /// The share of training rows.
    pub train: f64,
    /// The share of validation rows.
    pub validation: f64,
    /// The share of test rows.
    pub test: f64,
    /// Whether each class is split alike.
    pub stratify: bool,
    /// What a `time` or `group` split goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { kind: None, train: 0.7, validation: 0.15, test: 0.15, stratify: true, column: None }
    }
}

/// What happens to columns before training, fitted on the training rows and part of the package.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PreprocessConfig {
    /// What takes the place of a missing number.
    pub missing: MissingName,
    /// How numbers are scaled.
    pub scale: ScaleName,
    /// How text becomes numbers.
    pub encode: EncodeName,
    /// What a category does that training did not see.
    pub unknown_category: UnknownCategoryName,
    /// Columns that are left out.
    pub drop: Vec<String>,
}

/// The figures.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateConfig {
    /// How precision, recall, F1 and the areas of several classes become one.
    pub average: AverageName,
    /// Columns whose values, or quantile bins of numbers, each get figures of their own.
    pub slices: Vec<String>,
    /// How sure the figures are.
    pub intervals: IntervalsName,
    /// Rounds of the bootstrap, from 100 to 100000.
    pub rounds: u32,
    /// Share of the rounds inside an interval.
    pub confidence: f64,
    /// Quantile bins of a number, from 2 to 20.
    pub slice_bins: usize,
    /// A part with fewer rows is not searched for weakness nor compared.
    pub min_slice_rows: usize,
    /// Repeats of each feature's permutation importance; 0 leaves it out.
    pub importance_repeats: u32,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            average: AverageName::default(),
            slices: Vec::new(),
            intervals: IntervalsName::default(),
            rounds: 1000,
            confidence: 0.95,
            slice_bins: 4,
            min_slice_rows: 30,
            importance_repeats: 5,
        }
    }
}

/// How sure the figures are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalsName {
    /// Rows drawn again with replacement.
    #[default]
    Bootstrap,
    /// No intervals.
    None,
}

/// What a model must reach.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// The rows that a rule looks at when it names none.
    pub on: SubsetName,
    /// The rules; without this key, no regression against production and a compatible schema.
    pub rules: Option<Vec<RuleConfig>>,
}

/// How a version reaches production.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromotionConfig {
    /// Who approves a version that passed.
    pub approval: ApprovalPolicy,
    /// Whether a person may promote outside a run.
    pub manual: ManualPolicy,
    /// Which version a run promotes: `candidate`, the one it made, or `best_by METRIC`, the best of all that passed; a
    /// newest that is not the best goes to staging.
    pub choose: String,
    /// Who may approve, as the ledger names them; anybody by default.
    pub approvers: Vec<String>,
    /// For how long an approval holds, such as `7d`; for ever by default.
    pub approval_expires: Option<String>,
}

impl Default for PromotionConfig {
    fn default() -> Self {
        Self {
            approval: ApprovalPolicy::Required,
            manual: ManualPolicy::Allowed,
            choose: "candidate".to_owned(),
            approvers: Vec::new(),
            approval_expires: None,
        }
    }
}

/// What the model is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Predict one of a fixed set of classes.
    Classification,
    /// Predict a number.
    Regression,
}

impl From<TaskKind> for Task {
    fn from(task: TaskKind) -> Self {
        match task {
            TaskKind::Classification => Self::Classification,
            TaskKind::Regression => Self::Regression,
        }
    }
}

/// What a violation of the contract does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnViolation {
    /// The run stops.
    #[default]
    Stop,
    /// The run goes on, and a rule on `contract.violations` or `contract.errors` decides.
    Judge,
}

/// A declared column type, such as `int` or `date:%d.%m.%Y`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ColumnTypeText(
    /// The text as it is written.
    #[schemars(regex(pattern = r"^(int|float|bool|string|category|decimal|date(:.+)?|timestamp(:.+)?)$"))]
    pub String,
);

impl ColumnTypeText {
    /// The types that there are.
    pub const NAMES: [&str; 8] =
        ["int", "float", "bool", "string", "category", "date", "timestamp", "decimal"];

    /// Returns the type's name and, for a date or timestamp, its form; `None` when it is neither.
    pub fn parts(&self) -> Option<(&str, Option<&str>)> {
        let (name, form) = match self.0.split_once(':') {
            Some((name, form)) => (name, Some(form)),
            None => (self.0.as_str(), None),
        };
        let allows_form = matches!(name, "date" | "timestamp");
        (Self::NAMES.contains(&name) && form.is_none_or(|form| allows_form && form.contains('%')))
            .then_some((name, form))
    }
}

/// How rows are assigned to parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitKindName {
    /// Shares are met exactly, by rank of a hash inside each class.
    Exact,
    /// A row keeps its part when rows are added, by a hash threshold.
    Stable,
    /// The oldest rows train and the newest test, by `column`.
    Time,
    /// All rows with the same value of `column` stay together.
    Group,
}

/// What takes the place of a missing number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingName {
    /// Nothing; a tree sends it right.
    None,
    /// The mean of the training rows.
    Mean,
    /// The median of the training rows.
    #[default]
    Median,
    /// The most frequent value, also for text.
    MostFrequent,
}

/// How numbers are scaled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleName {
    /// Not at all.
    #[default]
    None,
    /// To mean 0 and standard deviation 1 on the training rows.
    Standard,
}

/// How text becomes numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodeName {
    /// One column per category.
    #[default]
    Onehot,
    /// The category's rank.
    Ordinal,
}

/// What a category does that training did not see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCategoryName {
    /// It becomes zeros (one-hot) or -1 (ordinal).
    #[default]
    Ignore,
    /// It is an error.
    Error,
}

/// How figures per class become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AverageName {
    /// By the number of rows of each class.
    #[default]
    Weighted,
    /// Each class counts the same.
    Macro,
}

/// The rows a metric is measured on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubsetName {
    /// The rows held back for decisions.
    #[default]
    Validation,
    /// The rows held back for the final figure.
    Test,
}

/// Who approves a version that passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalPolicy {
    /// A person.
    #[default]
    Required,
    /// The policy itself.
    Automatic,
}

/// Whether a person may promote outside a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManualPolicy {
    /// `model promote` works.
    #[default]
    Allowed,
    /// Only a run promotes.
    Forbidden,
}
