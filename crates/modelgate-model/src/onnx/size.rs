//! How large the graph of trees is: a leaf of a forest has a value for each class, and each of them is told with its tree, its
//! leaf and its class.

use prost::encoding::encoded_len_varint;

use crate::error::ModelError;
use crate::estimator::{Estimator, Tree};

/// Bytes of a message of Protocol Buffers at most, which an ONNX file is one of.
pub(super) const MOST: u64 = i32::MAX as u64;

/// Bytes from which on a graph is slow to load wherever it is served.
const LARGE: u64 = 500_000_000;

fn trees(estimator: &Estimator) -> (&[Tree], usize) {
    match estimator {
        Estimator::ForestRegressor(forest) | Estimator::ForestClassifier(forest) => {
            (&forest.trees, forest.outputs)
        }
        Estimator::BoostedRegressor(boosted) | Estimator::BoostedClassifier(boosted) => (&boosted.trees, 1),
        Estimator::LinearRegressor(_) | Estimator::LinearClassifier(_) => (&[], 1),
    }
}

/// Returns how many bytes the values of the leaves take at least: nearly all of the graph, where they are many.
pub(super) fn of_leaves(estimator: &Estimator) -> u64 {
    let (trees, outputs) = trees(estimator);
    let places: usize = (0..outputs as u64).map(encoded_len_varint).sum();
    let of_leaf = |tree: usize, leaf: usize| {
        let value = size_of::<f32>() + encoded_len_varint(tree as u64) + encoded_len_varint(leaf as u64);
        (value * outputs + places) as u64
    };
    let of_tree = |(number, tree): (usize, &Tree)| {
        let leaves = tree.nodes.iter().enumerate().filter(|(_, node)| node.is_leaf());
        leaves.map(|(at, _)| of_leaf(number, at)).sum::<u64>()
    };
    trees.iter().enumerate().map(of_tree).sum()
}

fn made_of(estimator: &Estimator) -> String {
    let (trees, outputs) = trees(estimator);
    let leaves: usize = trees.iter().map(|tree| tree.values.len() / outputs.max(1)).sum();
    let (values, instead) = match estimator {
        Estimator::ForestClassifier(_) if outputs > 1 => (
            format!(", each with a value for {outputs} classes"),
            ", or `gradient_boosting`, whose leaves have one value each",
        ),
        _ => (String::new(), ""),
    };
    format!(
        "its {} trees have {leaves} leaves{values}. Smaller trees (`train.params`: `max_depth`, `max_leaf_nodes`, \\
         `min_samples_leaf`) or fewer of them (`n_estimators`) make it smaller{instead}",
        trees.len()
    )
}

/// Refuses a graph of so many bytes that no program reads it.
///
/// # Errors
/// Says what makes it so large, and what to do.
pub(super) fn refuse(estimator: &Estimator, bytes: u64) -> Result<(), ModelError> {
    if bytes < MOST {
        return Ok(());
    }
    Err(ModelError::TooLarge(format!(
        "`model.onnx` would have {:.1} GB, and from 2 GiB on no program reads one: {}",
        bytes as f64 / 1e9,
        made_of(estimator)
    )))
}

/// Says of a graph of so many bytes that it is large, if it is, and what makes it so.
#[must_use]
pub fn large_graph(estimator: &Estimator, bytes: usize) -> Option<String> {
    (bytes as u64 >= LARGE).then(|| {
        format!(
            "`model.onnx` has {:.1} MB, which are slow to load: {}",
            bytes as f64 / 1e6,
            made_of(estimator)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimator::{Forest, LEAF, Prepared, TreeNode};

    fn forest(outputs: usize) -> Estimator {
        let inner = |at: u32| TreeNode { feature: 0, threshold: at as f32, left: at + 1, right: at + 2 };
        let leaf = |row: u32| TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 };
        let mut nodes: Vec<TreeNode> = (0..99).flat_map(|row| [inner(2 * row), leaf(row)]).collect();
        nodes.push(leaf(99));
        let tree = Tree { nodes, values: vec![0.5; 100 * outputs], covers: Vec::new() };
        let trees = vec![tree; 3];
        Estimator::ForestClassifier(Forest { features: 1, outputs, trees, prepared: Prepared::default() })
    }

    #[test]
    fn the_leaves_of_many_classes_are_nearly_all_of_the_graph() {
        let estimator = forest(500);
        let Estimator::ForestClassifier(inner) = &estimator else { return };
        let mut graph = super::super::graph::GraphBuilder::default();
        let classes = modelgate_core::schema::Classes::Int((0..500).collect());
        super::super::trees::classifier(&mut graph, inner, &classes, "x", &["label", "probabilities"]);
        let written = prost::Message::encoded_len(&graph.finish("test")) as f64;
        let expected = of_leaves(&estimator) as f64;
        assert!(expected <= written && expected > 0.97 * written, "{expected} of {written}");
    }

    #[test]
    fn a_graph_that_no_program_reads_is_refused_with_what_makes_it_so_large() {
        let estimator = forest(500);
        assert_eq!(refuse(&estimator, MOST - 1), Ok(()));
        let error = refuse(&estimator, MOST).expect_err("too large").to_string();
        let expected = "`model.onnx` would have 2.1 GB, and from 2 GiB on no program reads one: its 3 trees have 300 leaves, each with a value for 500 classes.";
        assert!(error.starts_with(expected) && error.contains("`gradient_boosting`"), "{error}");
        assert_eq!(large_graph(&estimator, 499_999_999), None);
        let told = large_graph(&estimator, 812_000_000).expect("large");
        assert!(told.starts_with("`model.onnx` has 812.0 MB"), "{told}");
    }
}
