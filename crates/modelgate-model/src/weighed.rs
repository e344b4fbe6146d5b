//! Which raw columns a model looks at, and about how much: what it never looks at changes no answer.

use crate::estimator::{Estimator, Tree};
use crate::onnx::LoadedModel;

impl LoadedModel {
    /// Returns for each raw column about how much the model looks at it: the nodes of trees that compare it, or the sizes
    /// of its coefficients. Zero where no answer depends on it; one for each where that cannot be seen.
    pub fn input_weights(&self) -> Vec<f64> {
        let origins = self.origins();
        let Some(estimator) = self.estimator().filter(|estimator| estimator.features() == origins.len())
        else {
            return vec![1.0; self.inputs().len()];
        };
        let mut weights = vec![0.0; self.inputs().len()];
        for (weight, origin) in estimator.feature_weights().iter().zip(origins) {
            weights[origin] += weight;
        }
        weights
    }
}

impl Estimator {
    /// As [`LoadedModel::input_weights`], for each preprocessed feature.
    fn feature_weights(&self) -> Vec<f64> {
        let mut weights = vec![0.0; self.features()];
        let of_trees = |weights: &mut [f64], trees: &[Tree]| {
            for node in trees.iter().flat_map(|tree| &tree.nodes).filter(|node| !node.is_leaf()) {
                weights[node.column()] += 1.0;
            }
        };
        let of_rows = |weights: &mut [f64], coefficients: &[f64]| {
            for row in coefficients.chunks_exact(weights.len().max(1)) {
                weights.iter_mut().zip(row).for_each(|(weight, coefficient)| *weight += coefficient.abs());
            }
        };
        match self {
            Self::ForestClassifier(forest) | Self::ForestRegressor(forest) => {
                of_trees(&mut weights, &forest.trees);
            }
            Self::BoostedClassifier(boosted) | Self::BoostedRegressor(boosted) => {
                of_trees(&mut weights, &boosted.trees);
            }
            Self::LinearClassifier(linear) => of_rows(&mut weights, &linear.coefficients),
            Self::LinearRegressor(linear) => of_rows(&mut weights, &linear.coefficients),
        }
        weights
    }
}
