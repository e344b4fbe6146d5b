//! What each feature adds to a model's score, where the model itself says so.
//!
//! Features of one name are one feature that several columns of the matrix are made of, and are added up row by row.

use std::collections::BTreeMap;

use modelgate_model::estimator::{Boosted, Estimator, Forest, Tree};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How much one feature moves the score, over some rows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Contribution {
    /// The feature behind preprocessing, such as `region=north`; of a model from elsewhere the column itself.
    pub feature: String,
    /// Mean of the absolute contribution, in the unit that the analysis names.
    pub mean_absolute: f64,
}

/// What contributions are of.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Contributions {
    /// The features, the largest first.
    pub(crate) features: Vec<Contribution>,
    /// What they are measured in.
    pub(crate) unit: &'static str,
}

/// Returns the contributions over a row-major `[rows × features]` matrix; `None` for a model that does not give them.
/// `training` is such a matrix of training rows, by which the ways of a forest are weighed, and of trees that do not say how
/// many rows went each way.
pub(crate) fn contributions(
    estimator: &Estimator,
    names: &[String],
    matrix: &[f32],
    training: impl FnOnce() -> Option<Vec<f32>>,
) -> Option<Contributions> {
    const TARGET: &str = "units of the target";
    const LOG_ODDS: &str = "log-odds";
    let (features, unit) = match estimator {
        Estimator::LinearClassifier(linear) => {
            let classes: Vec<Vec<f64>> =
                linear.coefficients.chunks_exact(linear.features.max(1)).map(<[f64]>::to_vec).collect();
            if classes.len() != linear.intercepts.len() {
                return None;
            }
            // Of two classes the score is the difference of theirs.
            let weights = match classes.as_slice() {
                [first, second] => vec![second.iter().zip(first).map(|(one, other)| one - other).collect()],
                _ => classes,
            };
            (linear_contributions(&weights, names, matrix)?, LOG_ODDS)
        }
        Estimator::LinearRegressor(linear) => {
            (linear_contributions(std::slice::from_ref(&linear.coefficients), names, matrix)?, TARGET)
        }
        Estimator::BoostedClassifier(boosted) => {
            (boosted_contributions(boosted, names, matrix, training)?, LOG_ODDS)
        }
        Estimator::BoostedRegressor(boosted) => {
            (boosted_contributions(boosted, names, matrix, training)?, TARGET)
        }
        Estimator::ForestClassifier(forest) => {
            (forest_contributions(forest, names, matrix, &training()?)?, "units of probability")
        }
        Estimator::ForestRegressor(forest) => {
            (forest_contributions(forest, names, matrix, &training()?)?, TARGET)
        }
    };
    Some(Contributions { features, unit })
}

/// Rows whose scores are shared out at most, evenly over all.
const ROWS: usize = 256;

/// Returns the names, each once in the order of its first feature, with the positions of its features.
fn groups(names: &[String]) -> Vec<(&String, Vec<usize>)> {
    let mut places: BTreeMap<&String, usize> = BTreeMap::new();
    let mut groups: Vec<(&String, Vec<usize>)> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let place = *places.entry(name).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, positions)) => positions.push(at),
            None => groups.push((name, vec![at])),
        }
    }
    groups
}

/// Returns the contributions with the largest first, if all are numbers.
fn ranked(mut found: Vec<Contribution>) -> Option<Vec<Contribution>> {
    if found.iter().any(|one| !one.mean_absolute.is_finite()) {
        return None;
    }
    found.sort_by(|one, other| other.mean_absolute.total_cmp(&one.mean_absolute));
    Some(found)
}

/// Returns the mean absolute share of each feature in the scores; of several classes the mean over them.
fn shared_out(boosted: &Boosted, names: &[String], matrix: &[f32], most: usize) -> Option<Vec<Contribution>> {
    let rows = matrix.len().checked_div(boosted.features)?;
    if rows == 0 || names.len() != boosted.features {
        return None;
    }
    let step = rows.div_ceil(most);
    let sample: Vec<&[f32]> = matrix.chunks_exact(boosted.features).step_by(step).collect();
    let shares: Vec<_> = sample.par_iter().map(|row| boosted.shares(row)).collect::<Option<_>>()?;
    let count = (shares.len() * boosted.scores) as f64;
    let of = |(name, positions): (&String, Vec<usize>)| {
        let whole = |row: &[f64]| positions.iter().map(|at| row[*at]).sum::<f64>().abs();
        let of = |shares: &modelgate_model::shap::Shares| {
            shares.features.chunks_exact(names.len()).map(whole).sum::<f64>()
        };
        Contribution { feature: name.clone(), mean_absolute: shares.iter().map(of).sum::<f64>() / count }
    };
    ranked(groups(names).into_iter().map(of).collect())
}

/// Steps that sharing out the rows of a forest may take; more of them would be slower than training.
const MOST_STEPS: usize = 300_000_000;
/// With fewer rows than this the mean says little, and a model so large has none.
const FEWEST_ROWS: usize = 16;
/// Training rows that are led through a forest, at most.
pub(crate) const TRAINING_ROWS: usize = 10_000;

/// Returns how many rows can be shared out; `None` when they are too few, or there is nothing to share.
fn affordable(trees: &[Tree], outputs: usize) -> Option<usize> {
    let leaves: usize = trees.iter().map(|tree| tree.nodes.len().div_ceil(2)).sum();
    let depth = trees.iter().map(depth).max()?;
    let a_row = leaves.saturating_mul(depth.saturating_mul(depth) + 1).saturating_mul(outputs);
    let rows = (MOST_STEPS / a_row.max(1)).min(ROWS);
    (rows >= FEWEST_ROWS && outputs > 0).then_some(rows)
}

/// Trees that are added up share out the score that they are of. Those of a forest over a base, which is how one is kept whose
/// target lies far from zero, have no covers of their own.
fn boosted_contributions(
    boosted: &Boosted,
    names: &[String],
    matrix: &[f32],
    training: impl FnOnce() -> Option<Vec<f32>>,
) -> Option<Vec<Contribution>> {
    let affordable = affordable(&boosted.trees, 1)?;
    if boosted.trees.iter().all(|tree| tree.covers.len() == tree.nodes.len()) {
        return shared_out(boosted, names, matrix, affordable);
    }
    let training = training()?;
    let covered = |tree: &Tree| {
        let covers = covers(tree, boosted.features, &training)?;
        Some(Tree { covers, ..tree.clone() })
    };
    let trees = boosted.trees.par_iter().map(covered).collect::<Option<_>>()?;
    let boosted = Boosted {
        features: boosted.features,
        scores: boosted.scores,
        base: boosted.base.clone(),
        trees,
        ..Boosted::default()
    };
    shared_out(&boosted, names, matrix, affordable)
}

/// A forest is a sum of trees too, of as many scores as a leaf has values; of two classes the second says all.
fn forest_contributions(
    forest: &Forest,
    names: &[String],
    matrix: &[f32],
    training: &[f32],
) -> Option<Vec<Contribution>> {
    let outputs: Vec<usize> = if forest.outputs == 2 { vec![1] } else { (0..forest.outputs).collect() };
    let affordable = affordable(&forest.trees, outputs.len())?;
    let covers: Vec<Vec<f32>> =
        forest.trees.par_iter().map(|tree| covers(tree, forest.features, training)).collect::<Option<_>>()?;
    // Tree by tree, all its outputs: tree `t` of the sum adds to score `t % scores`.
    let trees = forest.trees.iter().zip(covers).flat_map(|(tree, covers)| {
        let of = |output: &usize| Tree {
            nodes: tree.nodes.clone(),
            values: tree.values.iter().skip(*output).step_by(forest.outputs).copied().collect(),
            covers: covers.clone(),
        };
        outputs.iter().map(of).collect::<Vec<Tree>>()
    });
    let boosted = Boosted {
        features: forest.features,
        scores: outputs.len(),
        base: vec![0.0; outputs.len()],
        trees: trees.collect(),
        ..Boosted::default()
    };
    shared_out(&boosted, names, matrix, affordable)
}

/// Returns how many splits the longest way has; children stand behind their parents.
fn depth(tree: &Tree) -> usize {
    let mut depths = vec![0_usize; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
        for child in [node.left as usize, node.right as usize] {
            if let Some(depth) = depths.get(at).copied()
                && let Some(below) = depths.get_mut(child)
            {
                *below = (*below).max(depth + 1);
            }
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

/// Returns how many training rows reach each node. A leaf that none of those reaches has half a row, so that every way has
/// a weight.
fn covers(tree: &Tree, features: usize, training: &[f32]) -> Option<Vec<f32>> {
    let mut covers = vec![0.0_f32; tree.nodes.len()];
    for row in training.chunks_exact(features.max(1)) {
        let mut at = 0;
        while let Some(node) = tree.nodes.get(at).filter(|node| !node.is_leaf()) {
            at = node.next(*row.get(node.column())?);
        }
        *covers.get_mut(at)? += 1.0;
    }
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        covers[at] = if node.is_leaf() {
            covers[at].max(0.5)
        } else {
            covers.get(node.left as usize)? + covers.get(node.right as usize)?
        };
    }
    Some(covers)
}

/// A linear score is a sum: what a feature adds is its weight times its distance to the mean; of several scores the figure
/// is the mean over them.
fn linear_contributions(weights: &[Vec<f64>], names: &[String], matrix: &[f32]) -> Option<Vec<Contribution>> {
    let features = names.len();
    let rows = matrix.len().checked_div(features)?;
    if rows == 0 || weights.is_empty() || weights.iter().any(|weights| weights.len() != features) {
        return None;
    }
    let values = |feature: usize| matrix.chunks_exact(features).map(move |row| f64::from(row[feature]));
    let means: Vec<f64> = (0..features).map(|feature| values(feature).sum::<f64>() / rows as f64).collect();
    let of = |(name, positions): (&String, Vec<usize>)| {
        let of_row = |weights: &[f64], row: &[f32]| {
            let added = positions.iter().map(|at| weights[*at] * (f64::from(row[*at]) - means[*at]));
            added.sum::<f64>().abs()
        };
        let of_score = |weights: &Vec<f64>| -> f64 {
            matrix.chunks_exact(features).map(|row| of_row(weights, row)).sum::<f64>() / rows as f64
        };
        let mean_absolute = weights.iter().map(of_score).sum::<f64>() / weights.len() as f64;
        Contribution { feature: name.clone(), mean_absolute }
    };
    ranked(groups(names).into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelgate_model::estimator::{LEAF, LinearClassifier, LinearRegressor, TreeNode};

    const NAMES: [&str; 2] = ["a", "b"];

    fn names() -> Vec<String> {
        NAMES.map(str::to_owned).into()
    }

    fn of(estimator: &Estimator, matrix: &[f32]) -> Option<Contributions> {
        contributions(estimator, &names(), matrix, || Some(matrix.to_vec()))
    }

    #[test]
    fn a_linear_model_gives_weight_times_distance() {
        let linear = LinearClassifier {
            features: 2,
            coefficients: vec![-0.5, 1.0, 0.5, 1.0],
            intercepts: vec![0.0, 0.0],
        };
        let matrix = [0.0, 5.0, 4.0, 7.0];
        let found = of(&Estimator::LinearClassifier(linear), &matrix).expect("contributions");
        assert_eq!(found.unit, "log-odds");
        let found: Vec<(&str, f64)> =
            found.features.iter().map(|one| (one.feature.as_str(), one.mean_absolute)).collect();
        assert_eq!(found, [("a", 2.0), ("b", 0.0)]);
        let linear = LinearRegressor { features: 2, coefficients: vec![1.0, -10.0], intercept: 3.0 };
        let found = of(&Estimator::LinearRegressor(linear), &matrix).expect("contributions");
        assert_eq!((found.unit, found.features[0].mean_absolute), ("units of the target", 10.0));
        assert_eq!((found.features[0].feature.as_str(), found.features[1].mean_absolute), ("b", 2.0));
    }

    #[test]
    fn what_is_made_of_one_column_is_added_up_row_by_row() {
        // Both features move by 4 and against each other: apart each adds 2 on average, together nothing.
        let linear = LinearRegressor { features: 2, coefficients: vec![1.0, -1.0], intercept: 0.0 };
        let linear = Estimator::LinearRegressor(linear);
        let matrix = [0.0, 5.0, 4.0, 9.0];
        let apart = of(&linear, &matrix).expect("contributions");
        assert_eq!(apart.features.iter().map(|one| one.mean_absolute).collect::<Vec<_>>(), [2.0, 2.0]);
        let same = ["region".to_owned(), "region".to_owned()];
        let together = contributions(&linear, &same, &matrix, || None).expect("contributions");
        assert_eq!(together.features, [Contribution { feature: "region".to_owned(), mean_absolute: 0.0 }]);
        // A tree on `b` alone: one name over both features has what `b` has.
        let rows: Vec<f32> = (0..40).flat_map(|row| [1.0, if row % 2 == 0 { -1.0 } else { 1.0 }]).collect();
        let forest = Estimator::ForestClassifier(forest(2, vec![0.9, 0.1, 0.1, 0.9]));
        let training = || Some(rows.clone());
        let together = contributions(&forest, &same, &rows, training).expect("contributions");
        assert_eq!(together.features.len(), 1);
        assert!((together.features[0].mean_absolute - 0.4).abs() < 1e-6, "{together:?}");
    }

    #[test]
    fn a_model_too_large_to_share_out_gives_none() {
        let leaf = |row| TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 };
        let root = TreeNode { feature: 1, threshold: 0.0, left: 1, right: 2 };
        let tree = Tree {
            nodes: vec![root, leaf(0), leaf(1)],
            values: vec![-1.0, 1.0],
            covers: vec![2.0, 1.0, 1.0],
        };
        let of = |trees: usize| {
            let trees = vec![tree.clone(); trees];
            let boosted = Boosted { features: 2, scores: 1, base: vec![0.0], trees, ..Boosted::default() };
            boosted_contributions(&boosted, &names(), &[0.0, -1.0, 0.0, 1.0], || None)
        };
        let found = of(3).expect("contributions");
        assert_eq!((found[0].feature.as_str(), found[0].mean_absolute), ("b", 3.0));
        // Two leaves and one split are four steps of a row.
        let most = MOST_STEPS / FEWEST_ROWS / 4;
        let nodes = |trees: usize| affordable(&vec![tree.clone(); trees.min(1)], trees);
        assert_eq!((nodes(most), nodes(most + 1)), (Some(FEWEST_ROWS), None));
        assert_eq!(of(0), None);
    }

    #[test]
    fn what_does_not_fit_gives_none() {
        let linear = LinearClassifier { features: 2, coefficients: vec![1.0; 4], intercepts: vec![0.0; 2] };
        let linear = Estimator::LinearClassifier(linear);
        assert_eq!(contributions(&linear, &[], &[1.0, 2.0], || None), None);
        assert_eq!(contributions(&linear, &names(), &[], || None), None);
    }

    /// b ≤ 0 ? (0.9, 0.1) : (0.1, 0.9); `a` decides nothing.
    fn forest(outputs: usize, values: Vec<f32>) -> Forest {
        let leaf = |row| TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 };
        let root = TreeNode { feature: 1, threshold: 0.0, left: 1, right: 2 };
        let tree = Tree { nodes: vec![root, leaf(0), leaf(1)], values, covers: Vec::new() };
        Forest {
            features: 2,
            outputs,
            trees: vec![tree],
            prepared: modelgate_model::estimator::Prepared::default(),
        }
    }

    #[test]
    fn a_forest_shares_out_what_it_says_by_the_ways_of_the_training_rows() {
        let matrix: Vec<f32> = (0..40).flat_map(|row| [1.0, if row % 2 == 0 { -1.0 } else { 1.0 }]).collect();
        let classifier = forest(2, vec![0.9, 0.1, 0.1, 0.9]);
        let found = of(&Estimator::ForestClassifier(classifier), &matrix).expect("contributions");
        assert_eq!(found.unit, "units of probability");
        // Every row is 0.4 from the mean of one half, and `b` alone takes it there.
        assert_eq!(found.features[0].feature, "b");
        assert!((found.features[0].mean_absolute - 0.4).abs() < 1e-6, "{found:?}");
        assert_eq!(found.features[1].mean_absolute, 0.0);
        let regressor = forest(1, vec![10.0, 30.0]);
        let found = of(&Estimator::ForestRegressor(regressor.clone()), &matrix).expect("contributions");
        assert!((found.features[0].mean_absolute - 10.0).abs() < 1e-6, "{found:?}");
        assert_eq!(
            contributions(&Estimator::ForestRegressor(regressor.clone()), &names(), &matrix, || None),
            None
        );
        // A forest over a base has the same, and none without training rows.
        let boosted =
            Boosted { features: 2, scores: 1, base: vec![1e6], trees: regressor.trees, ..Boosted::default() };
        let boosted = Estimator::BoostedRegressor(boosted);
        assert_eq!(of(&boosted, &matrix), Some(found));
        assert_eq!(contributions(&boosted, &names(), &matrix, || None), None);
    }
}
