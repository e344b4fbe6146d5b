//! ONNX out and in.

mod export;
mod graph;
mod linear;
mod load;
mod proto;

pub use export::export;
pub use load::LoadedModel;
