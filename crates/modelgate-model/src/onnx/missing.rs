//! Tree ensembles that missing values meet without being told where to go: skl2onnx leaves out where trees and forests of
//! scikit-learn send them, so that they answer otherwise there than where they were trained.

use std::collections::{BTreeSet, HashMap};

use prost::Message;

use super::proto::{Model, Node};

/// Returns the columns of `nullable` whose missing values a tree ensemble of a package's graph is given, none of whose nodes
/// says where they go.
pub(crate) fn undirected(package: &[u8], nullable: &[&str]) -> Vec<String> {
    let Some(graph) = Model::decode(package).ok().and_then(|model| model.graph) else { return Vec::new() };
    let mut missing: HashMap<&str, BTreeSet<&str>> =
        nullable.iter().map(|name| (*name, BTreeSet::from([*name]))).collect();
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for node in &graph.node {
        if fills(node) {
            continue;
        }
        let met: BTreeSet<&str> =
            node.input.iter().filter_map(|name| missing.get(name.as_str())).flatten().copied().collect();
        if met.is_empty() {
            continue;
        }
        if node.op_type.starts_with("TreeEnsemble") && !has_directions(node) {
            found.extend(&met);
        }
        for output in &node.output {
            missing.insert(output, met.clone());
        }
    }
    nullable.iter().filter(|name| found.contains(*name)).map(|name| (*name).to_owned()).collect()
}

/// Returns whether no missing value comes out of a node.
fn fills(node: &Node) -> bool {
    match node.op_type.as_str() {
        "Imputer" => node.attribute("replaced_value_float").is_some_and(|missing| missing.f.is_nan()),
        // A condition that is asked of missing values, such as IsNaN, chooses what to take for them.
        "Where" | "OneHotEncoder" | "LabelEncoder" => true,
        _ => false,
    }
}

fn has_directions(node: &Node) -> bool {
    let tracks = node.attribute("nodes_missing_value_tracks_true");
    tracks.is_some_and(|tracks| tracks.ints.iter().any(|way| *way != 0))
}

#[cfg(test)]
mod tests {
    use super::super::graph::GraphBuilder;
    use super::super::proto::{Attribute, data_type};
    use super::*;

    fn package(imputed: bool, tracks: Option<Vec<i64>>) -> Vec<u8> {
        let mut graph = GraphBuilder::default();
        graph.input("a", data_type::FLOAT);
        graph.input("b", data_type::FLOAT);
        graph.node("Concat", &["a", "b"], &["both"]).int("axis", 1);
        let matrix = if imputed {
            let imputer = graph.node("Imputer", &["both"], &["filled"]).ml();
            let missing =
                Attribute { name: "replaced_value_float".to_owned(), f: f32::NAN, ..Attribute::default() };
            imputer.attribute.push(missing);
            "filled"
        } else {
            "both"
        };
        let trees = graph.node("TreeEnsembleClassifier", &[matrix], &["label", "scores"]).ml();
        if let Some(tracks) = tracks {
            trees.ints("nodes_missing_value_tracks_true", tracks);
        }
        Model { ir_version: 8, graph: Some(graph.finish("test")), ..Model::default() }.encode_to_vec()
    }

    #[test]
    fn missing_values_that_no_node_directs_are_found_by_their_columns() {
        let found = |imputed, tracks, nullable: &[&str]| undirected(&package(imputed, tracks), nullable);
        assert_eq!(found(false, None, &["b"]), ["b"]);
        assert_eq!(found(false, Some(vec![0, 0, 0]), &["b", "a"]), ["b", "a"]);
        assert_eq!(found(false, Some(vec![0, 1, 0]), &["b"]), [""; 0]);
        assert_eq!(found(true, None, &["b"]), [""; 0]);
        assert_eq!(found(false, None, &[]), [""; 0]);
    }
}
