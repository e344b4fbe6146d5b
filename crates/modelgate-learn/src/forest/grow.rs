//! Growing one tree. A node looks at a histogram of each of its features, and of that only at the bins that its rows
//! are in.

use modelgate_model::estimator::{LEAF, Tree, TreeNode};

use super::codes::{Code, CodedFeature};
use super::kernel::{Kernel, Occupied};
use super::prune::{AsLeaf, prune};
use crate::random::SplitMix64;

/// What stops a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_depth: usize,
    pub(crate) min_samples_split: usize,
    pub(crate) min_samples_leaf: usize,
    /// Features looked at in a node, those that do not vary in it included, but one that varies at least.
    pub(crate) max_features: usize,
    /// With a limit the best leaf is split next, else the last.
    pub(crate) max_leaf_nodes: Option<usize>,
    /// Share of the root's weight times decrease of impurity that a split must reach.
    pub(crate) min_impurity_decrease: f64,
    /// Impurity that a leaf costs, as a share of the root's weight; 0 prunes nothing.
    pub(crate) ccp_alpha: f64,
}

/// A tree and how much impurity each feature took away, in units of weight.
pub(crate) struct Grown {
    pub(crate) tree: Tree,
    pub(crate) decreases: Vec<f64>,
}

#[derive(Clone, Copy)]
struct Split {
    /// Position among the features.
    feature: usize,
    lower: usize,
    upper: usize,
    score: f64,
}

/// A node that can be split.
struct Open {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
    split: Split,
    decrease: f64,
}

/// The working memory of one tree.
struct Grower<'a, K: Kernel, C> {
    features: &'a [CodedFeature<C>],
    kernel: &'a K,
    limits: Limits,
    random: SplitMix64,
    /// Sums by code, and rows by code; zero but while a node and a feature are looked at.
    histogram: Vec<K::Cell>,
    code_rows: Vec<u32>,
    occupied: Occupied,
    left: Vec<K::Cell>,
    totals: Vec<K::Cell>,
    order: Vec<usize>,
    tree: Tree,
    root_weight: f64,
    /// One per column of the matrix.
    decreases: Vec<f64>,
    /// One per node; empty when nothing is pruned.
    as_leaves: Vec<AsLeaf>,
}

/// Grows a tree on the rows whose `counts` are not zero; `columns` is the width of the matrix.
pub(crate) fn grow<K: Kernel, C: Code>(
    features: &[CodedFeature<C>],
    kernel: &K,
    limits: Limits,
    counts: &[u16],
    random: SplitMix64,
    columns: usize,
) -> Grown {
    let width = kernel.width();
    let most = features.iter().map(CodedFeature::count).max().unwrap_or(0);
    let room = if C::COUNT > 256 { most } else { C::COUNT };
    let mut grower = Grower {
        features,
        kernel,
        limits,
        random,
        histogram: vec![K::Cell::default(); room * width],
        code_rows: vec![0; if limits.min_samples_leaf > 1 { room } else { 0 }],
        occupied: Occupied::new::<C>(room),
        left: vec![K::Cell::default(); width],
        totals: vec![K::Cell::default(); width],
        order: (0..features.len()).collect(),
        tree: Tree::default(),
        root_weight: 0.0,
        decreases: vec![0.0; columns],
        as_leaves: Vec::new(),
    };
    grower.grow(kernel.entries(counts));
    let grown = Grown { tree: grower.tree, decreases: grower.decreases };
    if limits.ccp_alpha > 0.0 {
        return prune(&grown, &grower.as_leaves, limits.ccp_alpha, grower.root_weight);
    }
    grown
}

impl<K: Kernel, C: Code> Grower<'_, K, C> {
    fn grow(&mut self, mut entries: Vec<K::Entry>) {
        let mut spare = entries.clone();
        let mut leaves = 1;
        let mut open: Vec<Open> = Vec::new();
        // The heap, not the program's stack: a deep tree must not end it.
        self.tree.nodes.push(TreeNode { feature: LEAF, threshold: 0.0, left: 0, right: 0 });
        let end = entries.len();
        open.extend(self.look(0, &entries, 0..end, 0));
        while let Some(at) = self.next(&open) {
            let Open { node, start, end, depth, split, decrease } = open.swap_remove(at);
            if self.limits.max_leaf_nodes.is_some_and(|most| leaves >= most) {
                // Sums once more, rather than sums kept for every open node.
                let mut totals = std::mem::take(&mut self.totals);
                self.sum(&entries[start..end], &mut totals);
                self.leaf(node, &totals);
                self.totals = totals;
                continue;
            }
            let middle = self.separate(&mut entries, &mut spare, start, end, split);
            let feature = &self.features[split.feature];
            let left = self.tree.nodes.len();
            let empty = TreeNode { feature: LEAF, threshold: 0.0, left: 0, right: 0 };
            self.tree.nodes.extend([empty, empty]);
            self.tree.nodes[node] = TreeNode {
                feature: feature.column as u32,
                threshold: feature.threshold(split.lower, split.upper),
                left: left as u32,
                right: left as u32 + 1,
            };
            self.decreases[feature.column] += decrease;
            leaves += 1;
            let right = self.look(left + 1, &entries, middle..end, depth + 1);
            let left = self.look(left, &entries, start..middle, depth + 1);
            open.extend(right.into_iter().chain(left));
        }
    }

    /// Returns the position of the node that is split next.
    fn next(&self, open: &[Open]) -> Option<usize> {
        if self.limits.max_leaf_nodes.is_none() {
            return open.len().checked_sub(1);
        }
        let better = |best: usize, at: usize| {
            let (one, other) = (&open[best], &open[at]);
            let same = one.decrease == other.decrease;
            if other.decrease > one.decrease || (same && other.node < one.node) { at } else { best }
        };
        (0..open.len()).reduce(better)
    }

    /// Looks for a split of a node; makes it a leaf when there is none.
    fn look(
        &mut self,
        node: usize,
        entries: &[K::Entry],
        range: std::ops::Range<usize>,
        depth: usize,
    ) -> Option<Open> {
        let (start, end) = (range.start, range.end);
        let entries = &entries[range];
        let mut totals = std::mem::take(&mut self.totals);
        self.sum(entries, &mut totals);
        let open = self.look_with(node, entries, &totals, depth);
        self.totals = totals;
        let (split, decrease) = open?;
        Some(Open { node, start, end, depth, split, decrease })
    }

    fn look_with(
        &mut self,
        node: usize,
        entries: &[K::Entry],
        totals: &[K::Cell],
        depth: usize,
    ) -> Option<(Split, f64)> {
        if node == 0 {
            self.root_weight = self.kernel.weight(totals);
        }
        let limits = self.limits;
        if limits.ccp_alpha > 0.0 {
            let mut values = Vec::new();
            self.kernel.leaf(totals, &mut values);
            self.as_leaves.resize(self.as_leaves.len().max(node + 1), AsLeaf::default());
            self.as_leaves[node] = AsLeaf { score: self.kernel.score(totals), values };
        }
        let stop = depth >= limits.max_depth
            || entries.len() < limits.min_samples_split
            || entries.len() < limits.min_samples_leaf.saturating_mul(2)
            || self.kernel.is_pure(totals, entries);
        let split = if stop { None } else { self.best_split(entries, totals) };
        let split = split.map(|split| {
            // Rounding can make it a little less than nothing.
            (split, (split.score - self.kernel.score(totals)).max(0.0))
        });
        let enough = |(_, decrease): &(Split, f64)| {
            *decrease / self.root_weight + f64::EPSILON >= limits.min_impurity_decrease
        };
        let split = split.filter(enough);
        if split.is_none() {
            self.leaf(node, totals);
        }
        split
    }

    fn sum(&self, entries: &[K::Entry], totals: &mut [K::Cell]) {
        totals.fill(K::Cell::default());
        for entry in entries {
            self.kernel.add(totals, entry);
        }
    }

    fn leaf(&mut self, node: usize, totals: &[K::Cell]) {
        let values = &mut self.tree.values;
        let start = values.len();
        self.kernel.leaf(totals, values);
        let outputs = values.len() - start;
        self.tree.nodes[node].left = (start / outputs.max(1)) as u32;
    }

    /// Moves the rows that go left in front of the others, each in their order, so that sums run over rows in one
    /// order.
    fn separate(
        &self,
        entries: &mut [K::Entry],
        spare: &mut [K::Entry],
        start: usize,
        end: usize,
        split: Split,
    ) -> usize {
        let codes = &self.features[split.feature].codes;
        let entries = &mut entries[start..end];
        let spare = &mut spare[..entries.len()];
        let (mut kept, mut moved) = (0, 0);
        // Both places are written and one of them counts: which way a row goes cannot be guessed.
        for at in 0..entries.len() {
            let entry = entries[at];
            let left = codes[K::row(&entry)].index() <= split.lower;
            entries[kept] = entry;
            spare[moved] = entry;
            kept += usize::from(left);
            moved += usize::from(!left);
        }
        entries[kept..].copy_from_slice(&spare[..moved]);
        start + kept
    }

    /// Looks at features in random order: as many as are allowed, and on until one varies.
    fn best_split(&mut self, entries: &[K::Entry], totals: &[K::Cell]) -> Option<Split> {
        let mut best: Option<Split> = None;
        let mut varying = false;
        for visited in 0..self.order.len() {
            if visited >= self.limits.max_features && varying {
                break;
            }
            let chosen = visited + self.random.below(self.order.len() - visited);
            self.order.swap(visited, chosen);
            varying |= self.scan(self.order[visited], entries, totals, &mut best);
        }
        best
    }

    /// Looks at one feature; returns whether it varies.
    fn scan(
        &mut self,
        number: usize,
        entries: &[K::Entry],
        totals: &[K::Cell],
        best: &mut Option<Split>,
    ) -> bool {
        let feature = &self.features[number];
        let (kernel, width) = (self.kernel, self.kernel.width());
        let least = self.limits.min_samples_leaf;
        kernel.fill(&feature.codes, entries, &mut self.histogram, &mut self.occupied);
        if least > 1 {
            for entry in entries {
                self.code_rows[feature.codes[K::row(entry)].index()] += 1;
            }
        }
        let (histogram, code_rows, left) = (&mut self.histogram, &mut self.code_rows, &mut self.left);
        left.fill(K::Cell::default());
        let mut left_rows = 0;
        let mut previous: Option<usize> = None;
        let mut distinct = 0;
        let mut highest = best.as_ref().map_or(f64::NEG_INFINITY, |best| best.score);
        let mut found: Option<(usize, usize)> = None;
        self.occupied.drain::<C>(|code| {
            if let Some(lower) = previous
                && (least <= 1 || (left_rows >= least && entries.len() - left_rows >= least))
            {
                let score = kernel.split_score(left, totals);
                if score > highest {
                    highest = score;
                    found = Some((lower, code));
                }
            }
            let cells = &mut histogram[code * width..(code + 1) * width];
            kernel.join(left, cells);
            cells.fill(K::Cell::default());
            if least > 1 {
                left_rows += code_rows[code] as usize;
                code_rows[code] = 0;
            }
            previous = Some(code);
            distinct += 1;
        });
        if let Some((lower, upper)) = found {
            *best = Some(Split { feature: number, lower, upper, score: highest });
        }
        distinct > 1
    }
}
