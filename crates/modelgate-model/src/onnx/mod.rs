//! ONNX out and in.

mod columns;
mod constants;
mod ensembles;
mod export;
mod graph;
mod imported;
mod input_names;
mod kernels;
pub mod library;
mod linear;
mod load;
mod own_label;
mod proto;
mod run;
mod runtime;
mod scopes;
mod trees;
mod wire;
mod wrap;
mod written;

pub use export::export;
pub use load::LoadedModel;
pub(crate) use own_label::own_limit;
pub(crate) use proto::Model;
pub use run::InputColumn;
pub(crate) use wrap::{is_package, wrap};
