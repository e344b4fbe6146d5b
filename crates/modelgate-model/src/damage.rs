//! A copy of a model that must be refused: the same structure with each list of its learned numbers mirrored in the
//! list's own range, so that what was likely is unlikely and what was high is low. A gate that lets it through is too
//! weak.

use crate::error::ModelError;
use crate::estimator::{Estimator, Tree};
use crate::onnx::LoadedModel;

impl LoadedModel {
    /// Returns the model with every list of learned numbers mirrored: leaf values, coefficients, intercepts.
    ///
    /// # Errors
    /// Fails when the model has no such numbers.
    pub fn damaged(&self) -> Result<Self, ModelError> {
        let Some(own) = self.estimator() else {
            return Err(ModelError::Onnx("a model that ONNX Runtime runs cannot be damaged".to_owned()));
        };
        let damaged = mirrored(own.clone());
        if damaged == *own {
            return Err(ModelError::Invalid("it has no numbers that could be damaged".to_owned()));
        }
        self.with_estimator(damaged)
    }
}

fn mirrored(mut model: Estimator) -> Estimator {
    let leaves = |trees: &mut [Tree]| trees.iter_mut().for_each(|tree| mirror_singles(&mut tree.values));
    match &mut model {
        Estimator::ForestClassifier(forest) | Estimator::ForestRegressor(forest) => leaves(&mut forest.trees),
        Estimator::BoostedClassifier(boosted) | Estimator::BoostedRegressor(boosted) => {
            leaves(&mut boosted.trees);
            mirror_singles(&mut boosted.base);
        }
        Estimator::LinearClassifier(linear) => {
            mirror(&mut linear.coefficients);
            mirror(&mut linear.intercepts);
        }
        Estimator::LinearRegressor(linear) => mirror(&mut linear.coefficients),
    }
    model
}

/// Mirrors numbers in their range.
fn mirror(list: &mut [f64]) {
    let bounds = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = list.iter().fold(bounds, |(low, high), &number| (low.min(number), high.max(number)));
    list.iter_mut().for_each(|number| *number = low + high - *number);
}

fn mirror_singles(list: &mut [f32]) {
    let mut wide: Vec<f64> = list.iter().copied().map(f64::from).collect();
    mirror(&mut wide);
    list.iter_mut().zip(wide).for_each(|(number, mirrored)| *number = mirrored as f32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimator::{Boosted, LEAF, LinearRegressor, Prepared, TreeNode};

    #[test]
    fn numbers_are_mirrored_and_structure_stays() {
        let node = TreeNode { feature: LEAF, threshold: 0.0, left: 0, right: 0 };
        let values = vec![0.25, 0.75, 0.5, 0.0];
        let tree = Tree { nodes: vec![node; 4], values, covers: vec![1.0, 2.0, 3.0, 4.0] };
        let base = vec![0.5];
        let boosted =
            Boosted { features: 1, scores: 1, base, trees: vec![tree], prepared: Prepared::default() };
        let mut wanted = boosted.clone();
        wanted.trees[0].values = vec![0.5, 0.0, 0.25, 0.75];
        assert_eq!(mirrored(Estimator::BoostedRegressor(boosted)), Estimator::BoostedRegressor(wanted));
        let linear = |coefficients| {
            Estimator::LinearRegressor(LinearRegressor { features: 3, coefficients, intercept: 2.0 })
        };
        assert_eq!(mirrored(linear(vec![1.0, -3.0, 0.5])), linear(vec![-3.0, 1.0, -2.5]));
    }
}
