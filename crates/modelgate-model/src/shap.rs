//! What each feature adds to a score of boosted trees: path-dependent `TreeSHAP`, which shares a score out exactly.
//!
//! Source: Lundberg and others, 2018, "Consistent individualized feature attribution for tree ensembles", algorithm 2.
//! What a feature would be if it were not known is the training rows' way at each split, which trees hold as covers.

use crate::estimator::{Boosted, Tree};

/// Deeper trees are not explained: the work grows with the square of the depth, and ours are not that deep.
const MAX_DEPTH: usize = 256;

/// The scores of one row, shared out.
#[derive(Clone, PartialEq, Debug)]
pub struct Shares {
    /// Row-major `[scores × features]`: what each feature adds, in log-odds or units of the target.
    pub features: Vec<f64>,
    /// What each score is on average over the training rows; with the features it sums to the score.
    pub base: Vec<f64>,
}

impl Boosted {
    /// Shares out the scores of one row of a valid model; `None` where trees hold no covers, as in a model from
    /// elsewhere, or are too deep.
    pub fn shares(&self, row: &[f32]) -> Option<Shares> {
        let covered = self.trees.iter().all(|tree| tree.covers.len() == tree.nodes.len());
        if row.len() != self.features || !covered {
            return None;
        }
        let mut features = vec![0.0; self.scores * self.features];
        let mut base: Vec<f64> = self.base.iter().map(|base| f64::from(*base)).collect();
        for (number, tree) in self.trees.iter().enumerate() {
            let score = number % self.scores;
            let shares = &mut features[score * self.features..][..self.features];
            // A tree has as many ways as leaves; more visits than this come from nodes with many parents.
            let mut walk = Walk { tree, row, shares, mean: 0.0, visits: 4 * tree.nodes.len(), depth: 0 };
            walk.visit(0, Vec::new(), [1.0, 1.0], None, 1.0)?;
            base[score] += walk.mean;
        }
        Some(Shares { features, base })
    }
}

/// A feature on the way to a node: the shares of ways that lead on without and with its value known.
#[derive(Clone, Copy)]
struct Step {
    feature: Option<usize>,
    zero: f64,
    one: f64,
    weight: f64,
}

struct Walk<'a> {
    tree: &'a Tree,
    row: &'a [f32],
    shares: &'a mut [f64],
    mean: f64,
    visits: usize,
    /// Splits above the node that is visited. A path is shorter where a feature comes back.
    depth: usize,
}

impl Walk<'_> {
    /// Returns the two nodes that a split leads to, the one that the row takes first; `None` when it is not of our kind.
    /// The nodes of a set of categories, which have no cover of their own, are one split.
    fn sides(&self, at: usize) -> Option<[usize; 2]> {
        let nodes = &self.tree.nodes;
        let inner = |at: usize| !nodes[at].is_leaf() && self.tree.covers[at] == 0.0;
        let children = |at: usize| [nodes[at].left as usize, nodes[at].right as usize];
        let mut hot = at;
        loop {
            let node = &nodes[hot];
            hot = node.next(self.row[node.column()]);
            if !inner(hot) {
                break;
            }
        }
        let (mut open, mut seen) = (vec![at], 0);
        while let Some(next) = open.pop() {
            seen += 1;
            if seen > 1 << 10 || nodes[next].column() != nodes[at].column() {
                return None;
            }
            for child in children(next) {
                if inner(child) {
                    open.push(child);
                } else if child != hot {
                    return Some([hot, child]);
                }
            }
        }
        None
    }

    fn visit(
        &mut self,
        at: usize,
        mut path: Vec<Step>,
        [zero, one]: [f64; 2],
        feature: Option<usize>,
        reached: f64,
    ) -> Option<()> {
        self.visits = self.visits.checked_sub(1)?;
        if self.depth > MAX_DEPTH {
            return None;
        }
        extend(&mut path, Step { feature, zero, one, weight: 0.0 });
        let node = self.tree.nodes[at];
        if node.is_leaf() {
            let value = f64::from(self.tree.values[node.left as usize]);
            for (place, step) in path.iter().enumerate() {
                if let Some(feature) = step.feature {
                    self.shares[feature] += unwound_weight(&path, place) * (step.one - step.zero) * value;
                }
            }
            self.mean += reached * value;
            return Some(());
        }
        let [hot, cold] = self.sides(at)?;
        let cover = |at: usize| self.tree.covers.get(at).map(|cover| f64::from(*cover));
        let covers = [cover(hot)?, cover(cold)?];
        // A side that no row took has no share to divide by; our trees have none.
        if covers.iter().any(|cover| *cover <= 0.0) {
            return None;
        }
        let whole = covers[0] + covers[1];
        let column = node.column();
        let mut known = [1.0, 1.0];
        if let Some(place) = path.iter().position(|step| step.feature == Some(column)) {
            known = [path[place].zero, path[place].one];
            unwind(&mut path, place);
        }
        let [hot_share, cold_share] = covers.map(|cover| cover / whole);
        self.depth += 1;
        self.visit(hot, path.clone(), [known[0] * hot_share, known[1]], Some(column), reached * hot_share)?;
        self.visit(cold, path, [known[0] * cold_share, 0.0], Some(column), reached * cold_share)?;
        self.depth -= 1;
        Some(())
    }
}

/// Adds a step to the weights of subsets of each size.
fn extend(path: &mut Vec<Step>, step: Step) {
    let length = path.len();
    path.push(Step { weight: if length == 0 { 1.0 } else { 0.0 }, ..step });
    let size = (length + 1) as f64;
    for at in (0..length).rev() {
        path[at + 1].weight += step.one * path[at].weight * (at + 1) as f64 / size;
        path[at].weight = step.zero * path[at].weight * (length - at) as f64 / size;
    }
}

/// Takes a step back out of the weights.
fn unwind(path: &mut Vec<Step>, place: usize) {
    let last = path.len() - 1;
    let Step { zero, one, .. } = path[place];
    let size = path.len() as f64;
    let mut next = path[last].weight;
    for at in (0..last).rev() {
        if one == 0.0 {
            path[at].weight = path[at].weight * size / (zero * (last - at) as f64);
        } else {
            let weight = path[at].weight;
            path[at].weight = next * size / ((at + 1) as f64 * one);
            next = weight - path[at].weight * zero * (last - at) as f64 / size;
        }
    }
    for at in place..last {
        let Step { feature, zero, one, .. } = path[at + 1];
        path[at] = Step { feature, zero, one, ..path[at] };
    }
    path.pop();
}

/// Returns the sum of the weights without a step.
fn unwound_weight(path: &[Step], place: usize) -> f64 {
    let last = path.len() - 1;
    let Step { zero, one, .. } = path[place];
    let size = path.len() as f64;
    let mut next = path[last].weight;
    let mut sum = 0.0;
    for at in (0..last).rev() {
        if one == 0.0 {
            sum += path[at].weight * size / (zero * (last - at) as f64);
        } else {
            let weight = next * size / ((at + 1) as f64 * one);
            sum += weight;
            next = path[at].weight - weight * zero * (last - at) as f64 / size;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimator::{LEAF, TreeNode};

    fn leaf(row: u32) -> TreeNode {
        TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 }
    }

    /// x0 ≤ 0 ? 1 : (x1 ≤ 0 ? 2 : 6), over 4, 3 and 1 rows.
    fn tree() -> Tree {
        let node = |feature, left, right| TreeNode { feature, threshold: 0.0, left, right };
        Tree {
            nodes: vec![node(0, 1, 2), leaf(0), node(1, 3, 4), leaf(1), leaf(2)],
            values: vec![1.0, 2.0, 6.0],
            covers: vec![8.0, 4.0, 4.0, 3.0, 1.0],
        }
    }

    #[test]
    fn shares_are_those_of_every_order_of_the_features() {
        let boosted =
            Boosted { features: 2, scores: 1, base: vec![10.0], trees: vec![tree()], ..Boosted::default() };
        let found = boosted.shares(&[1.0, 1.0]).expect("shares");
        // Known: nothing 2, x0 alone 3, x1 alone 0.5 · 1 + 0.5 · 6, both 6.
        let first = 0.5 * ((3.0 - 2.0) + (6.0 - 3.5));
        let second = 0.5 * ((3.5 - 2.0) + (6.0 - 3.0));
        assert!((found.base[0] - 12.0).abs() < 1e-12, "{found:?}");
        assert!((found.features[0] - first).abs() < 1e-12, "{found:?}");
        assert!((found.features[1] - second).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_model_without_covers_gives_none() {
        let tree = Tree { covers: Vec::new(), ..tree() };
        let boosted =
            Boosted { features: 2, scores: 1, base: vec![0.0], trees: vec![tree], ..Boosted::default() };
        assert_eq!(boosted.shares(&[1.0, 1.0]), None);
        assert_eq!(boosted.shares(&[1.0]), None);
    }

    /// A tree of `depth` splits of one feature, each with a leaf to the right.
    fn chain(depth: u32) -> Tree {
        let mut tree = Tree::default();
        for at in 0..depth {
            let next = 2 * at + 2;
            tree.nodes.push(TreeNode { feature: 0, threshold: -(at as f32), left: next, right: next - 1 });
            tree.nodes.push(leaf(at));
            tree.covers.extend([(depth + 1 - at) as f32, 1.0]);
        }
        tree.nodes.push(leaf(depth));
        tree.covers.push(1.0);
        tree.values = vec![1.0; depth as usize + 1];
        tree
    }

    #[test]
    fn a_tree_deeper_than_the_stack_is_not_explained_though_it_asks_for_one_feature() {
        let of = |depth| {
            let trees = vec![chain(depth)];
            let boosted = Boosted { features: 1, scores: 1, base: vec![0.5], trees, ..Boosted::default() };
            crate::estimator::Estimator::BoostedRegressor(boosted.clone()).validate().expect("a valid model");
            boosted.shares(&[-1e9])
        };
        let found = of(200).expect("shares");
        assert!((found.base[0] - 1.5).abs() < 1e-6 && found.features[0].abs() < 1e-6, "{found:?}");
        assert_eq!(of(1_000_000), None);
    }

    #[test]
    fn a_side_that_no_row_took_gives_none() {
        for covers in
            [[4.0, 4.0, 0.0, 0.0, 0.0], [8.0, 0.0, 8.0, 3.0, 5.0], [4.0, 0.0, 4.0, 4.0, 0.0], [0.0; 5]]
        {
            let tree = Tree { covers: covers.to_vec(), ..tree() };
            let boosted =
                Boosted { features: 2, scores: 1, base: vec![0.0], trees: vec![tree], ..Boosted::default() };
            for row in [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]] {
                assert_eq!(boosted.shares(&row), None, "{covers:?} {row:?}");
            }
        }
    }

    /// A whole tree of `depth` levels of random splits of `features` features; a leaf's cover is from 1 to 9.
    fn random_tree(depth: u32, features: u32, next: &mut impl FnMut() -> u32) -> Tree {
        let inner = (1 << depth) - 1;
        let mut tree = Tree::default();
        for at in 0..inner {
            let threshold = (next() % 9) as f32 / 8.0 - 0.5;
            let missing = if next().is_multiple_of(2) { crate::estimator::MISSING_LEFT } else { 0 };
            tree.nodes.push(TreeNode {
                feature: (next() % features) | missing,
                threshold,
                left: 2 * at + 1,
                right: 2 * at + 2,
            });
        }
        for number in 0..=inner {
            tree.nodes.push(leaf(number));
            tree.values.push((next() % 1000) as f32 / 100.0 - 5.0);
        }
        tree.covers = vec![0.0; tree.nodes.len()];
        for at in (0..tree.nodes.len()).rev() {
            tree.covers[at] = if at >= inner as usize {
                (next() % 9 + 1) as f32
            } else {
                tree.covers[2 * at + 1] + tree.covers[2 * at + 2]
            };
        }
        tree
    }

    /// What a tree gives when only the features of a set are known: the others go both ways, as the covers say.
    fn known(tree: &Tree, at: usize, row: &[f32], set: u32) -> f64 {
        let node = &tree.nodes[at];
        if node.is_leaf() {
            return f64::from(tree.values[node.left as usize]);
        }
        let column = node.column();
        if set >> column & 1 == 1 {
            return known(tree, node.next(row[column]), row, set);
        }
        let sides = [node.left as usize, node.right as usize];
        let sum: f64 =
            sides.iter().map(|side| f64::from(tree.covers[*side]) * known(tree, *side, row, set)).sum();
        sum / f64::from(tree.covers[at])
    }

    #[test]
    fn features_that_come_back_on_a_path_are_shared_as_over_all_subsets() {
        let mut state = 11_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        for case in 0..40 {
            let trees: Vec<Tree> = (0..2).map(|_| random_tree(5, 3, &mut next)).collect();
            let boosted = Boosted { features: 3, scores: 1, base: vec![0.5], trees, ..Boosted::default() };
            let mut row = [0.0_f32; 3].map(|_| (next() % 100) as f32 / 100.0 - 0.5);
            if case % 4 == 0 {
                row[1] = f32::NAN;
            }
            let value = |set: u32| boosted.trees.iter().map(|tree| known(tree, 0, &row, set)).sum::<f64>();
            let found = boosted.shares(&row).expect("shares");
            assert!((found.base[0] - 0.5 - value(0)).abs() < 1e-9);
            for feature in 0..3 {
                let mut share = 0.0;
                for set in (0_u32..8).filter(|set| set >> feature & 1 == 0) {
                    let weight = [1.0 / 3.0, 1.0 / 6.0, 1.0 / 3.0][set.count_ones() as usize];
                    share += weight * (value(set | 1 << feature) - value(set));
                }
                assert!(
                    (found.features[feature] - share).abs() < 1e-9,
                    "{case} {feature}: {found:?} {share}"
                );
            }
        }
    }
}
