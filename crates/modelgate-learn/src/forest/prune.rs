//! Minimal cost-complexity pruning: the smallest subtree whose impurity plus `alpha` for each leaf is least.
//! Source: Breiman and others, 1984, "Classification and Regression Trees", section 3.3.

use modelgate_model::estimator::{LEAF, Tree, TreeNode};

use super::grow::Grown;

/// What a node would be as a leaf.
#[derive(Clone, Default)]
pub(super) struct AsLeaf {
    /// Its score, in units of weight.
    pub(super) score: f64,
    /// Its values.
    pub(super) values: Vec<f32>,
}

/// Prunes a tree; `alpha` is a share of the root's weight, and `as_leaves` has one for each node.
pub(super) fn prune(grown: &Grown, as_leaves: &[AsLeaf], alpha: f64, root_weight: f64) -> Grown {
    let nodes = &grown.tree.nodes;
    let price = alpha * root_weight;
    // Children stand behind their parent: from the end each is decided before it. Only differences of scores count.
    let mut costs = vec![0.0; nodes.len()];
    let mut kept = vec![false; nodes.len()];
    for at in (0..nodes.len()).rev() {
        let (node, alone) = (&nodes[at], price - as_leaves[at].score);
        costs[at] = alone;
        if node.feature != LEAF {
            let below = costs[node.left as usize] + costs[node.right as usize];
            // Rounding must not keep a split that takes nothing away.
            let rounding = 1e-12 * as_leaves[at].score.abs();
            kept[at] = below + rounding < alone;
            costs[at] = if kept[at] { below } else { alone };
        }
    }
    let mut tree = Tree::default();
    let mut decreases = vec![0.0; grown.decreases.len()];
    let mut open = vec![(0_usize, 0_usize)];
    let empty = TreeNode { feature: LEAF, threshold: 0.0, left: 0, right: 0 };
    tree.nodes.push(empty);
    while let Some((old, new)) = open.pop() {
        let node = nodes[old];
        if !kept[old] {
            let values = &as_leaves[old].values;
            tree.nodes[new].left = (tree.values.len() / values.len().max(1)) as u32;
            tree.values.extend_from_slice(values);
            continue;
        }
        let (left, right) = (node.left as usize, node.right as usize);
        let decrease = as_leaves[left].score + as_leaves[right].score - as_leaves[old].score;
        decreases[node.feature as usize] += decrease.max(0.0);
        let first = tree.nodes.len();
        tree.nodes.extend([empty, empty]);
        tree.nodes[new] = TreeNode { left: first as u32, right: first as u32 + 1, ..node };
        open.push((right, first + 1));
        open.push((left, first));
    }
    Grown { tree, decreases }
}
