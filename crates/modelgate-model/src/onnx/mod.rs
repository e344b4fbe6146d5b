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
mod missing;
mod own_label;
mod proto;
mod run;
mod runtime;
mod scopes;
mod size;
mod trees;
mod wire;
mod wrap;
mod written;

pub use export::export;
pub use load::LoadedModel;
pub(crate) use missing::undirected;
pub(crate) use own_label::own_limit;
pub(crate) use proto::Model;
pub use run::InputColumn;
pub use size::large_graph;
pub(crate) use wrap::{is_package, wrap};

/// Returns a graph of one operator that says these sets of operators.
#[cfg(test)]
pub(crate) fn graph_of_one_node(sets: &[(&str, i64)]) -> Vec<u8> {
    use prost::Message;
    let mut graph = graph::GraphBuilder::default();
    graph.input("x", proto::data_type::FLOAT);
    graph.node("Relu", &["x"], &["y"]);
    graph.output("y", proto::data_type::FLOAT);
    let set = |(domain, version): &(&str, i64)| proto::OperatorSet {
        domain: (*domain).to_owned(),
        version: *version,
    };
    let opset_import = sets.iter().map(set).collect();
    Model { ir_version: 8, graph: Some(graph.finish("test")), opset_import, ..Model::default() }
        .encode_to_vec()
}
