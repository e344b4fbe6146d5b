//! A grown tree to the nodes of a model: thresholds in place of bins, a run of comparisons for a set of categories.

use modelgate_model::estimator::{LEAF, MISSING_LEFT, Tree, TreeNode};

use super::bins::{Binned, MISSING, Scale};
use super::grow::Node;
use super::split::Split;

/// Returns the tree; `value` gives what a leaf adds to the score, by its position among the nodes.
pub(super) fn tree(nodes: &[Node], binned: &Binned, value: impl Fn(usize) -> f32) -> Tree {
    let mut emitter = Emitter { nodes, binned, value, tree: Tree::default(), rows: rows_of(nodes) };
    emitter.reserve();
    // Trees may be as deep as they have leaves. The left side is written first.
    let mut open = vec![(0, 0)];
    while let Some((from, at)) = open.pop() {
        if let Some([left, right]) = emitter.fill(from, at) {
            open.extend([right, left]);
        }
    }
    emitter.tree
}

/// Returns how many rows reached each node.
fn rows_of(nodes: &[Node]) -> Vec<f32> {
    let mut rows = vec![0.0; nodes.len()];
    // Children stand behind their parents.
    for (at, node) in nodes.iter().enumerate().rev() {
        rows[at] = match node {
            Node::Leaf(leaf) => leaf.place.count() as f32,
            Node::Inner { children, .. } => rows[children[0]] + rows[children[1]],
        };
    }
    rows
}

struct Emitter<'a, F> {
    nodes: &'a [Node],
    binned: &'a Binned,
    value: F,
    tree: Tree,
    rows: Vec<f32>,
}

/// Categories from one position on that take one side: the last position, and whether they go left.
struct Run {
    last: f32,
    left: bool,
}

impl<F: Fn(usize) -> f32> Emitter<'_, F> {
    fn reserve(&mut self) -> usize {
        self.tree.nodes.push(TreeNode { feature: LEAF, threshold: 0.0, left: 0, right: 0 });
        self.tree.covers.push(0.0);
        self.tree.nodes.len() - 1
    }

    /// Writes grown node `from` at place `at`; returns its children, grown and as places.
    fn fill(&mut self, from: usize, at: usize) -> Option<[(usize, usize); 2]> {
        self.tree.covers[at] = self.rows[from];
        match &self.nodes[from] {
            Node::Leaf(_) => {
                self.tree.nodes[at].left = self.tree.values.len() as u32;
                self.tree.values.push((self.value)(from));
                None
            }
            Node::Inner { split, children, .. } => {
                let feature = &self.binned.features[split.feature];
                let (left, right) = match &feature.scale {
                    Scale::Ordered(thresholds) => {
                        let (left, right) = (self.reserve(), self.reserve());
                        // The last bin has no end: all numbers go left, and what is missing right. JSON has no infinity.
                        let threshold = thresholds.get(split.last - 1).copied().unwrap_or(f32::MAX);
                        let missing = if split.goes_left.holds(MISSING) { MISSING_LEFT } else { 0 };
                        self.tree.nodes[at] = TreeNode {
                            feature: feature.column as u32 | missing,
                            threshold,
                            left: left as u32,
                            right: right as u32,
                        };
                        (left, right)
                    }
                    Scale::Categories(table) => {
                        let runs = runs(table, split);
                        let inner: Vec<usize> = (2..runs.len()).map(|_| self.reserve()).collect();
                        let (left, right) = (self.reserve(), self.reserve());
                        let places: Vec<usize> = std::iter::once(at).chain(inner).collect();
                        self.chain(&runs, &places, feature.column as u32, [left, right]);
                        (left, right)
                    }
                };
                Some([(children[0], left), (children[1], right)])
            }
        }
    }

    /// Writes the comparisons that part the runs, one after the other: ONNX Runtime lets nodes share the child behind a
    /// comparison that holds, and no other.
    fn chain(&mut self, runs: &[Run], places: &[usize], column: u32, sides: [usize; 2]) {
        let side = |run: &Run| sides[usize::from(!run.left)] as u32;
        for (step, at) in places.iter().enumerate() {
            let last = side(&runs[step + 1]);
            // A missing value goes with the first run, see `runs`.
            let flag = if step == 0 { MISSING_LEFT } else { 0 };
            self.tree.nodes[*at] = TreeNode {
                feature: column | flag,
                threshold: runs[step].last + 0.5,
                left: side(&runs[step]),
                right: places.get(step + 1).map_or(last, |next| *next as u32),
            };
        }
    }
}

/// Returns the runs of positions that take one side, in order. A position that no row of training had goes where a missing
/// value goes.
fn runs(table: &[u8], split: &Split) -> Vec<Run> {
    let missing = split.goes_left.holds(MISSING);
    let mut runs = vec![Run { last: -1.0, left: missing }];
    for (code, bin) in table.iter().enumerate() {
        let left = split.goes_left.holds(usize::from(*bin));
        match runs.last_mut() {
            Some(run) if run.left == left => run.last = code as f32,
            _ => runs.push(Run { last: code as f32, left }),
        }
    }
    if runs.last().is_some_and(|run| run.left != missing) {
        runs.push(Run { last: f32::INFINITY, left: missing });
    }
    runs
}
