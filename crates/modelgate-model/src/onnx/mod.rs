//! ONNX out and in.

mod export;
mod graph;
mod linear;
mod load;
mod proto;
mod run;
mod trees;

pub use export::export;
pub use load::LoadedModel;
pub use run::InputColumn;
