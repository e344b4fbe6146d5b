//! `TreeEnsemble` of `ai.onnx.ml` 5: splits and leaves are lists of their own.

use std::collections::HashMap;

use super::super::constants::Constant;
use super::super::load::refuse;
use super::super::proto::Node;
use super::{Branch, Ensemble, Found, MAX_SCORES, Ranges, compared, ints, not_read, regression};
use crate::error::ModelError;
use crate::estimator::{Estimator, Forest, Prepared};

/// Reads the node over `features` columns.
pub(super) fn ensemble(node: &Node, features: usize) -> Result<Found, ModelError> {
    let tensor = |name: &str| match node.attribute(name).and_then(|attribute| attribute.tensor.as_ref()) {
        Some(tensor) => Constant::read(tensor).map(Some),
        None => Ok(None),
    };
    let int = |name: &str, default: i64| node.attribute(name).map_or(default, |attribute| attribute.i);
    let numbers = |name: &str| match tensor(name)? {
        None => Ok(Vec::new()),
        Some(constant) => match constant.floats() {
            Some(values) => Ok(values.to_vec()),
            None => not_read(node, "doubles; export with inputs of float32"),
        },
    };
    let Some(outputs) =
        usize::try_from(int("n_targets", 1)).ok().filter(|count| (1..=MAX_SCORES).contains(count))
    else {
        return not_read(node, "that number of targets");
    };
    if int("aggregate_function", 1) != 1 {
        return not_read(node, "another aggregate function than SUM");
    }
    let modes: Vec<i64> = match tensor("nodes_modes")? {
        Some(constant) => constant.ints().unwrap_or_default().to_vec(),
        None => Vec::new(),
    };
    let thresholds = numbers("nodes_splits")?;
    let (weights, targets) = (numbers("leaf_weights")?, ints(node, "leaf_targetids"));
    let columns = ints(node, "nodes_featureids");
    let (trues, falses) = (ints(node, "nodes_truenodeids"), ints(node, "nodes_falsenodeids"));
    let (true_leaves, false_leaves) = (ints(node, "nodes_trueleafs"), ints(node, "nodes_falseleafs"));
    let missing = ints(node, "nodes_missing_value_tracks_true");
    let count = modes.len();
    let lengths =
        [columns.len(), thresholds.len(), trues.len(), falses.len(), true_leaves.len(), false_leaves.len()];
    if lengths.iter().any(|length| *length != count)
        || (!missing.is_empty() && missing.len() != count)
        || weights.len() != targets.len()
    {
        return refuse("the lists of TreeEnsemble differ in length");
    }
    // The sets of members, in the order of the nodes that ask for one.
    let members = numbers("membership_values")?;
    let mut sets = members.split(|value| value.is_nan());
    let child = |number: i64, leaf: i64| {
        let (limit, offset) = if leaf != 0 { (weights.len(), count) } else { (count, 0) };
        match usize::try_from(number).ok().filter(|number| *number < limit) {
            Some(number) => Ok(offset + number),
            None => refuse(format!("TreeEnsemble has no node {number}")),
        }
    };
    let mut nodes = Vec::with_capacity(count + weights.len());
    for at in 0..count {
        let name =
            ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"].get(usize::try_from(modes[at]).unwrap_or(usize::MAX));
        let found = match (name, modes[at]) {
            (Some(name), _) if !thresholds[at].is_nan() => {
                compared(&format!("BRANCH_{name}"), thresholds[at])
            }
            (None, 6) => {
                sets.next().map(|set| (Ranges::of(set.iter().map(|value| (*value, *value)).collect()), false))
            }
            _ => None,
        };
        let Some((ranges, of_itself)) = found else {
            return refuse(format!(
                "node {at} of TreeEnsemble has the mode {} and no value for it",
                modes[at]
            ));
        };
        let Ok(column) = usize::try_from(columns[at]) else {
            return refuse(format!("{} is no feature", columns[at]));
        };
        nodes.push(Branch::Split {
            column,
            ranges,
            missing_inside: of_itself || missing.get(at).is_some_and(|track| *track != 0),
            inside: child(trues[at], true_leaves[at])?,
            outside: child(falses[at], false_leaves[at])?,
        });
    }
    let mut leaves: HashMap<usize, Vec<(usize, f32)>> = HashMap::with_capacity(weights.len());
    for (at, (weight, target)) in weights.iter().zip(targets).enumerate() {
        let Some(target) = usize::try_from(*target).ok().filter(|target| *target < outputs) else {
            return refuse(format!("leaf {at} of TreeEnsemble is for target {target} of {outputs}"));
        };
        nodes.push(Branch::Leaf);
        leaves.insert(count + at, vec![(target, *weight)]);
    }
    let roots = ints(node, "tree_roots").iter().map(|root| child(*root, 0)).collect::<Result<Vec<_>, _>>()?;
    let ensemble = Ensemble { roots, nodes, leaves, covers: Vec::new() };
    match int("post_transform", 0) {
        0 if outputs == 1 => Ok((regression(&ensemble, features, &[])?, None)),
        0 if weights.iter().all(|weight| *weight >= 0.0) => {
            let trees = ensemble.trees(features, outputs, Some)?;
            Ok((
                Estimator::ForestClassifier(Forest {
                    features,
                    outputs,
                    trees,
                    prepared: Prepared::default(),
                }),
                None,
            ))
        }
        transform => not_read(node, &format!("the post transform {transform} for {outputs} targets")),
    }
}
