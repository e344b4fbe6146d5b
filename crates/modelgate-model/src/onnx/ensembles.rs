//! The models inside graphs of other programs: tree ensembles of every version and linear ones, in any order of nodes
//! and with any comparison.

use std::collections::{BTreeSet, HashMap, VecDeque};

use modelgate_core::schema::Classes;

use super::load::refuse;
use super::proto::Node;
use crate::error::ModelError;
use crate::estimator::{Boosted, Estimator, Forest, Prepared, Tree};
use crate::foreign::boosted::{MAX_SCORES, interleaved};
use crate::foreign::splits::{Ranges, Source, Split, grow};

mod linear;
mod newer;

/// Values of all leaves at most; a gigabyte.
const MAX_VALUES: usize = 1 << 28;

/// A model and the classes that it names; `None` where it names none.
pub(super) type Found = (Estimator, Option<Classes>);

/// Reads the model of a node over `features` columns.
pub(super) fn read(node: &Node, features: usize) -> Result<Found, ModelError> {
    match node.op_type.as_str() {
        "TreeEnsembleClassifier" => tree_classifier(node, features),
        "TreeEnsembleRegressor" => tree_regressor(node, features),
        "TreeEnsemble" => newer::ensemble(node, features),
        "LinearClassifier" => linear::classifier(node, features),
        _ => linear::regressor(node, features),
    }
}

fn ints<'a>(node: &'a Node, name: &str) -> &'a [i64] {
    node.attribute(name).map_or(&[], |attribute| &attribute.ints)
}

fn floats<'a>(node: &'a Node, name: &str) -> &'a [f32] {
    node.attribute(name).map_or(&[], |attribute| &attribute.floats)
}

fn text<'a>(node: &'a Node, name: &str, default: &'a str) -> std::borrow::Cow<'a, str> {
    let own = node.attribute(name).map(|attribute| String::from_utf8_lossy(&attribute.s));
    own.filter(|text| !text.is_empty()).unwrap_or(default.into())
}

fn not_read<T>(node: &Node, what: &str) -> Result<T, ModelError> {
    refuse(format!("{} with {what} is not known to the built-in engine", node.op_type))
}

fn classes(node: &Node) -> Result<Classes, ModelError> {
    let whole = ["classlabels_int64s", "classlabels_ints"].iter().map(|name| ints(node, name));
    if let Some(values) = whole.into_iter().find(|values| !values.is_empty()) {
        return Ok(Classes::Int(values.to_vec()));
    }
    match node.attribute("classlabels_strings") {
        Some(texts) if !texts.strings.is_empty() => Ok(Classes::Text(
            texts.strings.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect(),
        )),
        _ => refuse(format!("{} has no classes", node.op_type)),
    }
}

/// The nodes of an ensemble, in any order.
struct Ensemble {
    roots: Vec<usize>,
    nodes: Vec<Branch>,
    /// What each leaf adds to which outputs.
    leaves: HashMap<usize, Vec<(usize, f32)>>,
    covers: Vec<f32>,
}

enum Branch {
    Leaf,
    Split { column: usize, ranges: Ranges, missing_inside: bool, inside: usize, outside: usize },
}

/// Returns the values that take the true branch, and whether NaN takes it without being told to.
fn compared(mode: &str, threshold: f32) -> Option<(Ranges, bool)> {
    let all = || Ranges::of(vec![(f32::NEG_INFINITY, f32::INFINITY)]);
    Some(match mode {
        "BRANCH_LEQ" => (Ranges::at_most(threshold), false),
        "BRANCH_LT" => (Ranges::below(threshold), false),
        "BRANCH_GTE" => (Ranges::of(vec![(threshold, f32::INFINITY)]), false),
        // Nothing is above the highest.
        "BRANCH_GT" if threshold == f32::INFINITY => (Ranges::default(), false),
        "BRANCH_GT" => (Ranges::of(vec![(threshold.next_up(), f32::INFINITY)]), false),
        "BRANCH_EQ" => (Ranges::of(vec![(threshold, threshold)]), false),
        "BRANCH_NEQ" => (all().without(threshold, threshold), true),
        _ => return None,
    })
}

/// The lists of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`.
fn lists(node: &Node, prefix: &str, outputs: usize) -> Result<Ensemble, ModelError> {
    let modes = node.attribute("nodes_modes").map_or(&[][..], |attribute| &attribute.strings[..]);
    let (trees, numbers) = (ints(node, "nodes_treeids"), ints(node, "nodes_nodeids"));
    let (columns, thresholds) = (ints(node, "nodes_featureids"), floats(node, "nodes_values"));
    let (trues, falses) = (ints(node, "nodes_truenodeids"), ints(node, "nodes_falsenodeids"));
    let (missing, covers) = (ints(node, "nodes_missing_value_tracks_true"), floats(node, "nodes_hitrates"));
    let count = trees.len();
    for name in ["nodes_values_as_tensor", &format!("{prefix}_weights_as_tensor"), "base_values_as_tensor"] {
        if node.attribute(name).is_some() {
            return not_read(node, "doubles; export with inputs of float32");
        }
    }
    let lengths = [numbers.len(), modes.len(), columns.len(), thresholds.len(), trues.len(), falses.len()];
    let optional = [missing.len(), covers.len()];
    if lengths.iter().any(|length| *length != count)
        || optional.iter().any(|length| *length != 0 && *length != count)
    {
        return refuse(format!("the lists of {} differ in length", node.op_type));
    }
    let mut places: HashMap<(i64, i64), usize> = HashMap::with_capacity(count);
    let mut roots = Vec::new();
    let mut begun: BTreeSet<i64> = BTreeSet::new();
    for at in 0..count {
        if places.insert((trees[at], numbers[at]), at).is_some() {
            return refuse(format!("node {} of tree {} is there twice", numbers[at], trees[at]));
        }
        // A tree begins with its root.
        if at == 0 || trees[at - 1] != trees[at] {
            if !begun.insert(trees[at]) {
                return refuse(format!("the nodes of tree {} are not together", trees[at]));
            }
            roots.push(at);
        }
    }
    let child = |tree: i64, number: i64| match places.get(&(tree, number)) {
        Some(place) => Ok(*place),
        None => refuse(format!("tree {tree} has no node {number}")),
    };
    let mut nodes = Vec::with_capacity(count);
    for at in 0..count {
        let mode = String::from_utf8_lossy(&modes[at]);
        if mode == "LEAF" {
            nodes.push(Branch::Leaf);
            continue;
        }
        let threshold = thresholds[at];
        if threshold.is_nan() {
            return refuse(format!("node {} of tree {} compares with NaN", numbers[at], trees[at]));
        }
        let Some((ranges, of_itself)) = compared(&mode, threshold) else {
            return refuse(format!("the branch mode {mode:.40} is not known"));
        };
        let Ok(column) = usize::try_from(columns[at]) else {
            return refuse(format!("{} is no feature", columns[at]));
        };
        nodes.push(Branch::Split {
            column,
            ranges,
            missing_inside: of_itself || missing.get(at).is_some_and(|track| *track != 0),
            inside: child(trees[at], trues[at])?,
            outside: child(trees[at], falses[at])?,
        });
    }
    let name = |suffix: &str| format!("{prefix}_{suffix}");
    let (leaf_trees, leaf_nodes) = (ints(node, &name("treeids")), ints(node, &name("nodeids")));
    let (leaf_outputs, weights) = (ints(node, &name("ids")), floats(node, &name("weights")));
    if [leaf_nodes.len(), leaf_outputs.len(), weights.len()].iter().any(|length| *length != leaf_trees.len())
    {
        return refuse(format!("the leaves of {} differ in length", node.op_type));
    }
    let mut leaves: HashMap<usize, Vec<(usize, f32)>> = HashMap::new();
    for at in 0..leaf_trees.len() {
        let place = child(leaf_trees[at], leaf_nodes[at])?;
        let output = usize::try_from(leaf_outputs[at]).ok().filter(|output| *output < outputs);
        let (Some(output), Some(Branch::Leaf)) = (output, nodes.get(place)) else {
            return refuse("a value is for no leaf or no output");
        };
        leaves.entry(place).or_default().push((output, weights[at]));
    }
    Ok(Ensemble { roots, nodes, leaves, covers: covers.to_vec() })
}

impl Ensemble {
    /// Returns each tree with `outputs` values per leaf, of the outputs that `place` gives a place.
    fn trees(
        &self,
        features: usize,
        outputs: usize,
        place: impl Fn(usize) -> Option<usize>,
    ) -> Result<Vec<Tree>, ModelError> {
        if self.nodes.len().saturating_mul(outputs) > MAX_VALUES {
            return refuse(format!("it has more than {MAX_VALUES} values"));
        }
        // skl2onnx writes a cover of 1 for every node, which is none.
        let known = self.covers.iter().any(|cover| *cover != 1.0)
            && self.covers.len() == self.nodes.len()
            && self.covers.iter().all(|cover| cover.is_finite() && *cover >= 0.0);
        let cover = |at: usize| self.covers.get(at).copied().unwrap_or(0.0);
        let node = |at: usize| {
            Ok(match self.nodes.get(at).ok_or("a node is not there")? {
                Branch::Leaf => {
                    let mut values = vec![0.0_f32; outputs];
                    for (output, weight) in self.leaves.get(&at).into_iter().flatten() {
                        if let Some(value) = place(*output).and_then(|place| values.get_mut(place)) {
                            *value += weight;
                        }
                    }
                    Source::Leaf(values)
                }
                Branch::Split { column, ranges, missing_inside, inside, outside } => {
                    if *column >= features {
                        return Err(format!("it compares feature {column} of {features}"));
                    }
                    Source::Split(Split {
                        column: *column,
                        ranges: ranges.clone(),
                        missing_inside: *missing_inside,
                        inside: *inside,
                        outside: *outside,
                    })
                }
            })
        };
        let mut trees = Vec::with_capacity(self.roots.len());
        for (number, root) in self.roots.iter().enumerate() {
            let cover: Option<&dyn Fn(usize) -> f32> = if known { Some(&cover) } else { None };
            let tree = grow(*root, self.nodes.len(), node, cover);
            trees.push(tree.map_err(|reason| ModelError::Onnx(format!("tree {number}: {reason}")))?);
        }
        Ok(trees)
    }

    /// Returns whether the answers sum to one but for rounding, whichever leaves a row reaches.
    fn sums_to_one(&self) -> bool {
        let mut sums: Vec<Option<(f64, f64)>> = vec![None; self.roots.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(tree) = self.roots.partition_point(|root| *root <= at).checked_sub(1) else {
                return false;
            };
            if matches!(node, Branch::Leaf) {
                let weights = self.leaves.get(&at).into_iter().flatten();
                let sum: f64 = weights.map(|(_, weight)| f64::from(*weight)).sum();
                let (low, high) = sums[tree].unwrap_or((sum, sum));
                sums[tree] = Some((low.min(sum), high.max(sum)));
            }
        }
        let total = |of: fn((f64, f64)) -> f64| sums.iter().flatten().copied().map(of).sum::<f64>();
        [total(|(low, _)| low), total(|(_, high)| high)].iter().all(|sum| (sum - 1.0).abs() < 1e-3)
    }

    /// Returns the output of each tree that adds to one only.
    fn single_outputs(&self) -> Option<Vec<usize>> {
        let mut of_tree = vec![None; self.roots.len()];
        for (leaf, weights) in &self.leaves {
            // Roots stand before their tree's nodes.
            let tree = self.roots.partition_point(|root| root <= leaf).checked_sub(1)?;
            for (output, _) in weights {
                if of_tree[tree].is_some_and(|known| known != *output) {
                    return None;
                }
                of_tree[tree] = Some(*output);
            }
        }
        Some(of_tree.into_iter().map(|output| output.unwrap_or(0)).collect())
    }

    /// Returns trees that each add to one score.
    fn boosted(&self, features: usize, scores: usize, base: &[f32]) -> Result<Boosted, ModelError> {
        let base = match base.len() {
            0 => vec![0.0; scores],
            length if length == scores => base.to_vec(),
            length => return refuse(format!("there are {length} base values for {scores} scores")),
        };
        let Some(outputs) = self.single_outputs() else {
            return refuse("a tree adds to several scores, which is not known to the built-in engine");
        };
        let mut by_score: Vec<VecDeque<Tree>> = vec![VecDeque::new(); scores];
        for (tree, output) in self.trees(features, 1, |_| Some(0))?.into_iter().zip(outputs) {
            if let Some(trees) = by_score.get_mut(if scores == 1 { 0 } else { output }) {
                trees.push_back(tree);
            }
        }
        Ok(Boosted { features, scores, base, trees: interleaved(by_score), ..Boosted::default() })
    }
}

fn tree_classifier(node: &Node, features: usize) -> Result<Found, ModelError> {
    let classes = classes(node)?;
    let count = classes.len();
    if !(2..=MAX_SCORES).contains(&count) {
        return not_read(node, "that number of classes");
    }
    let ensemble = lists(node, "class", count)?;
    let base = floats(node, "base_values");
    let weights = floats(node, "class_weights");
    let ids: BTreeSet<i64> = ints(node, "class_ids").iter().copied().collect();
    // With values for the first of two classes only, ONNX Runtime takes them for the second.
    let single = count == 2 && ids.len() == 1;
    if single && !ids.contains(&0) {
        return not_read(node, "values for the second of two classes only");
    }
    if count == 2 && base.len() == 2 {
        // ONNX Runtime takes the second, or what the first score is with it for both.
        return not_read(node, "two base values for two classes");
    }
    let positive = weights.iter().all(|weight| *weight >= 0.0);
    let transform = text(node, "post_transform", "NONE");
    let estimator = match transform.as_ref() {
        "NONE" if base.iter().any(|base| *base != 0.0) => {
            return not_read(node, "base values and no post transform");
        }
        "NONE" if !positive => {
            return not_read(node, "values below zero and no post transform, which are no probabilities");
        }
        "NONE" if single => {
            let trees = ensemble.trees(features, 1, |_| Some(0))?;
            Estimator::ForestClassifier(Forest { features, outputs: 1, trees, prepared: Prepared::default() })
        }
        "NONE" if count == 2 && !ensemble.sums_to_one() => {
            return not_read(node, "values that do not sum to one and no post transform");
        }
        "NONE" => Estimator::ForestClassifier(Forest {
            features,
            outputs: count,
            trees: ensemble.trees(features, count, Some)?,
            prepared: Prepared::default(),
        }),
        "LOGISTIC" if single && positive => {
            // ONNX Runtime answers with the sum itself, which is no probability.
            return not_read(node, "LOGISTIC and no value below zero");
        }
        "LOGISTIC" if single => Estimator::BoostedClassifier(ensemble.boosted(features, 1, base)?),
        "SOFTMAX" if !single => Estimator::BoostedClassifier(ensemble.boosted(features, count, base)?),
        other => return not_read(node, &format!("the post transform {other:.20} for {count} classes")),
    };
    Ok((estimator, Some(classes)))
}

fn regression(ensemble: &Ensemble, features: usize, base: &[f32]) -> Result<Estimator, ModelError> {
    if base.is_empty() {
        let trees = ensemble.trees(features, 1, |_| Some(0))?;
        return Ok(Estimator::ForestRegressor(Forest {
            features,
            outputs: 1,
            trees,
            prepared: Prepared::default(),
        }));
    }
    Ok(Estimator::BoostedRegressor(ensemble.boosted(features, 1, base)?))
}

fn tree_regressor(node: &Node, features: usize) -> Result<Found, ModelError> {
    let aggregate = text(node, "aggregate_function", "SUM");
    let transform = text(node, "post_transform", "NONE");
    if aggregate != "SUM" {
        return not_read(node, &format!("the aggregate function {aggregate:.20}"));
    }
    if transform != "NONE" {
        return not_read(node, &format!("the post transform {transform:.20}"));
    }
    if node.attribute("n_targets").is_some_and(|targets| targets.i != 1) {
        return not_read(node, "several targets");
    }
    let ensemble = lists(node, "target", 1)?;
    Ok((regression(&ensemble, features, floats(node, "base_values"))?, None))
}

#[cfg(test)]
mod tests;
