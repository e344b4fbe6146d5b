//! Trees as one `TreeEnsembleClassifier` or `TreeEnsembleRegressor`.

use modelgate_core::schema::Classes;

use super::export::bytes;
use super::graph::GraphBuilder;
use super::proto::Node;
use crate::estimator::{Boosted, Forest, Tree};

/// Writes a regression forest from the matrix `input` to the matrix `output` of one column.
pub(crate) fn regressor(graph: &mut GraphBuilder, forest: &Forest, input: &str, output: &str) {
    let node = graph.node("TreeEnsembleRegressor", &[input], &[output]).ml();
    node.text("aggregate_function", "SUM").int("n_targets", 1);
    Nodes::of(&forest.trees, forest.outputs, |_, output| output).write(node, "target");
}

/// Writes a classification forest from the matrix `input` to a label and a matrix of one column per class.
pub(crate) fn classifier(
    graph: &mut GraphBuilder,
    forest: &Forest,
    classes: &Classes,
    input: &str,
    outputs: &[&str],
) {
    let node = graph.node("TreeEnsembleClassifier", &[input], outputs).ml();
    match classes {
        Classes::Int(values) => node.ints("classlabels_int64s", values.clone()),
        Classes::Text(values) => node.strings("classlabels_strings", bytes(values)),
    };
    Nodes::of(&forest.trees, forest.outputs, |_, output| output).write(node, "class");
}

/// Writes the scores of boosted trees, a matrix of one column per score: ONNX Runtime adds the base last.
pub(crate) fn boosted(graph: &mut GraphBuilder, boosted: &Boosted, input: &str, output: &str) {
    let node = graph.node("TreeEnsembleRegressor", &[input], &[output]).ml();
    node.text("aggregate_function", "SUM").int("n_targets", boosted.scores as i64);
    node.floats("base_values", boosted.base.clone());
    Nodes::of(&boosted.trees, 1, |tree, _| tree % boosted.scores).write(node, "target");
}

/// Writes the probabilities behind scores.
pub(crate) fn link(graph: &mut GraphBuilder, scores: usize, input: &str, output: &str) {
    if scores > 1 {
        graph.node("Softmax", &[input], &[output]).int("axis", 1);
        return;
    }
    graph.floats("model/one", &[1.0]);
    graph.node("Sigmoid", &[input], &["model/second"]);
    graph.node("Sub", &["model/one", "model/second"], &["model/first"]);
    graph.node("Concat", &["model/first", "model/second"], &[output]).int("axis", 1);
}

/// The lists of attributes.
#[derive(Default)]
struct Nodes {
    tree_ids: Vec<i64>,
    node_ids: Vec<i64>,
    modes: Vec<Vec<u8>>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    trues: Vec<i64>,
    falses: Vec<i64>,
    missing_true: Vec<i64>,
    covers: Vec<f32>,
    leaf_tree_ids: Vec<i64>,
    leaf_node_ids: Vec<i64>,
    leaf_outputs: Vec<i64>,
    leaf_values: Vec<f32>,
}

impl Nodes {
    /// `target` gives the output for a tree and the position of a value in its leaf.
    fn of(trees: &[Tree], outputs: usize, target: impl Fn(usize, usize) -> usize) -> Self {
        let mut nodes = Self::default();
        let covered = trees.iter().all(|tree| tree.covers.len() == tree.nodes.len());
        for (number, tree) in trees.iter().enumerate() {
            if covered {
                nodes.covers.extend_from_slice(&tree.covers);
            }
            for (at, node) in tree.nodes.iter().enumerate() {
                let leaf = node.is_leaf();
                nodes.tree_ids.push(number as i64);
                nodes.node_ids.push(at as i64);
                nodes.modes.push(if leaf { b"LEAF".to_vec() } else { b"BRANCH_LEQ".to_vec() });
                nodes.features.push(if leaf { 0 } else { node.column() as i64 });
                nodes.thresholds.push(if leaf { 0.0 } else { node.threshold });
                nodes.trues.push(if leaf { 0 } else { i64::from(node.left) });
                nodes.falses.push(if leaf { 0 } else { i64::from(node.right) });
                nodes.missing_true.push(i64::from(!leaf && node.missing_left()));
                if leaf {
                    let start = node.left as usize * outputs;
                    for (place, value) in tree.values[start..start + outputs].iter().enumerate() {
                        nodes.leaf_tree_ids.push(number as i64);
                        nodes.leaf_node_ids.push(at as i64);
                        nodes.leaf_outputs.push(target(number, place) as i64);
                        nodes.leaf_values.push(*value);
                    }
                }
            }
        }
        nodes
    }

    fn write(self, node: &mut Node, prefix: &str) {
        node.text("post_transform", "NONE")
            .ints("nodes_treeids", self.tree_ids)
            .ints("nodes_nodeids", self.node_ids)
            .strings("nodes_modes", self.modes)
            .ints("nodes_featureids", self.features)
            .floats("nodes_values", self.thresholds)
            .ints("nodes_truenodeids", self.trues)
            .ints("nodes_falsenodeids", self.falses);
        if self.missing_true.contains(&1) {
            node.ints("nodes_missing_value_tracks_true", self.missing_true);
        }
        if !self.covers.is_empty() {
            node.floats("nodes_hitrates", self.covers);
        }
        node.ints(&format!("{prefix}_treeids"), self.leaf_tree_ids)
            .ints(&format!("{prefix}_nodeids"), self.leaf_node_ids)
            .ints(&format!("{prefix}_ids"), self.leaf_outputs)
            .floats(&format!("{prefix}_weights"), self.leaf_values);
    }
}
