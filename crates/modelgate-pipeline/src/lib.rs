//! Stages, what need not run again, approval, promotion and the run report.
//!
//! Owns: the order of things and what is recorded of them. Refuses: the work inside a stage, which the other crates do.

mod analysis;
mod answers;
mod averaged;
mod changes;
pub mod choice;
mod collapsed;
mod columns;
mod constant;
mod contributions;
pub mod datasets;
pub mod deployment;
mod error;
mod evaluation;
mod explain;
mod footing;
pub mod foreign;
mod gate_check;
mod gate_run;
mod history;
mod latency;
mod learned;
mod measured_on;
pub mod notify;
mod options;
pub mod outputs;
mod packaged;
pub mod paired;
pub mod policy;
mod probe;
mod production;
mod project;
mod promised;
mod promotion;
mod record;
mod rejudge;
pub mod reports;
pub mod retention;
pub mod rollback;
mod rollout_end;
mod rule_doubts;
mod rule_slices;
mod run;
mod runner;
#[cfg(test)]
mod scene;
pub mod selftest;
pub mod signature;
mod stage;
mod stages;
mod stored;
mod together;
mod tracking;
mod trained_on;
mod tries;
mod unfinished;
mod untold;

pub use analysis::{Analysis, analyse};
pub use answers::{Answers, answers};
pub use columns::check_columns;
pub use contributions::Contribution;
pub use error::{MissingProject, PipelineError};
pub use evaluation::{EvaluateOptions, Evaluation, SliceEvaluation, SubsetEvaluation, evaluate};
pub use explain::{RuleExplanation, explain};
pub use gate_check::{Figures, gate_check};
pub use gate_run::gate_check_run;
pub use latency::Latency;
pub use options::{
    ApprovalAnswer, ApprovalRequest, Approver, MetricDifference, Reporter, RunOptions, Sample, StageReport,
    StageStatus, StageWarning, Surroundings,
};
pub use packaged::check_packaged;
pub use production::{
    Baseline, Production, baseline, find as find_production, version as production_version,
};
pub use project::{PROJECT_FILE, Pipeline, Project};
pub use promotion::{
    PromotionRequest, approval_request, materialise, promote, promote_canary, rehearse_promotion,
};
pub use rollout_end::abort_events;
pub use rule_doubts::rule_doubts;
pub use run::{Ending, RunOutcome, check_manual_promotion, check_pipeline, lock, registry, run, set_threads};
pub use stage::{Selection, Stage};
pub use stages::beside::{BaselineFigures, Comparison};
pub use stages::command::{Interrupt, doubts as command_doubts, keep_from_programs, missing_for};
pub use stages::contract::{micros, read_contract};
pub use stages::data::{PartPreview, SplitPreview, features, split_preview, write_split};
pub use stages::dataset::{read_options, source_files};
pub use stages::judge::pipeline_rules;
pub use stages::trials::{FailedSearch, Trial, Trials};
pub use unfinished::{Recovered, origin, recover};
pub use untold::told;
