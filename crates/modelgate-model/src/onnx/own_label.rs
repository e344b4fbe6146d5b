//! Graphs of other programs whose label is not the most probable class: one that compares a probability with a limit of its own.
//! A package's label is the first class of the highest probability, so such a limit is not kept, and that has to be told.

use std::collections::HashSet;

use prost::Message;

use super::constants::{Constant, Values};
use super::proto::{Graph, Model, Node, ValueInfo, data_type};
use super::wrap::{is_package, needed};

/// Operators that decide by a limit.
const COMPARISONS: [&str; 5] = ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Binarizer"];

/// Says that a graph decides by a limit of its own, if it does. Halves and zeros are how exporters write the more probable of
/// two classes.
pub(crate) fn own_limit(bytes: &[u8]) -> Option<String> {
    let model = Model::decode(bytes).ok().filter(|model| !is_package(model))?;
    let graph = model.graph.as_ref()?;
    let (labels, others): (Vec<&ValueInfo>, Vec<&ValueInfo>) =
        graph.output.iter().partition(|output| is_label(output));
    if labels.is_empty() || others.is_empty() {
        return None;
    }
    let (of_labels, of_others) = (all_needed(graph, &labels), all_needed(graph, &others));
    let own = graph.node.iter().zip(of_labels.iter().zip(&of_others));
    let mut own = own.filter(|(_, (label, other))| **label && !**other).map(|(node, _)| node);
    let limit = |node: &Node| limits(graph, node).into_iter().find(|limit| ![0.0, 0.5].contains(limit));
    let (node, limit) = own.find_map(|node| Some((node, limit(node)?)))?;
    Some(format!(
        "the graph's own label is not the most probable class: its {} compares with {limit}. That limit is not kept: figures and \
         answers go by the class of the highest probability here, and who needs another limit decides by the probabilities",
        node.op_type
    ))
}

fn is_label(output: &ValueInfo) -> bool {
    let element = output.kind.as_ref().and_then(|kind| kind.tensor.as_ref()).map(|tensor| tensor.element);
    element.is_some_and(|element| [data_type::INT64, data_type::INT32, data_type::STRING].contains(&element))
}

fn all_needed(graph: &Graph, outputs: &[&ValueInfo]) -> Vec<bool> {
    let mut all = vec![false; graph.node.len()];
    for output in outputs {
        let (kept, _) = needed(graph, &output.name);
        all.iter_mut().zip(kept).for_each(|(one, kept)| *one |= kept);
    }
    all
}

/// Returns the constants that a node compares with.
fn limits(graph: &Graph, node: &Node) -> Vec<f64> {
    if !COMPARISONS.contains(&node.op_type.as_str()) {
        return Vec::new();
    }
    if node.op_type == "Binarizer" {
        return vec![node.attribute("threshold").map_or(0.0, |attribute| f64::from(attribute.f))];
    }
    let names: HashSet<&str> = node.input.iter().map(String::as_str).collect();
    let listed = graph.initializer.iter().filter(|tensor| names.contains(tensor.name.as_str()));
    let is_constant = |node: &&Node| {
        node.op_type == "Constant" && node.output.first().is_some_and(|name| names.contains(name.as_str()))
    };
    let nodes = graph.node.iter().filter(is_constant);
    let written = nodes.filter_map(|node| node.attribute("value")?.tensor.as_ref());
    let constants = listed.chain(written).filter_map(|tensor| Constant::read(tensor).ok());
    constants
        .flat_map(|constant| match constant.values {
            Values::Floats(values) => values.into_iter().map(f64::from).collect(),
            Values::Doubles(values) => values,
            Values::Ints(_) | Values::Texts(_) => Vec::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::graph::GraphBuilder;
    use super::*;

    /// A model of two classes whose label is one for probabilities below `limit`.
    fn decides(limit: f32) -> Vec<u8> {
        let mut graph = GraphBuilder::default();
        graph.input("X", data_type::FLOAT);
        graph.node("Softmax", &["X"], &["probabilities"]);
        graph.floats("limit", &[limit]);
        graph.node("Less", &["probabilities", "limit"], &["below"]);
        graph.node("Cast", &["below"], &["decision"]).int("to", i64::from(data_type::INT64));
        graph.output("decision", data_type::INT64);
        graph.output("probabilities", data_type::FLOAT);
        Model { ir_version: 8, graph: Some(graph.finish("test")), ..Model::default() }.encode_to_vec()
    }

    #[test]
    fn a_limit_of_its_own_is_told_and_the_more_probable_class_is_none() {
        let told = own_limit(&decides(0.15)).expect("told");
        assert!(told.contains("its Less compares with 0.15"), "{told}");
        assert_eq!(own_limit(&decides(0.5)), None);
        assert_eq!(own_limit(b"nothing"), None);
    }
}
