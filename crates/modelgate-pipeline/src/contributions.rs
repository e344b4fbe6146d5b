//! What each preprocessed feature adds to a model's score, where the model itself says so.

use modelgate_model::estimator::{Boosted, Estimator, LinearClassifier};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How much one feature moves the score, over some rows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Contribution {
    /// The feature behind preprocessing, such as `region=north`.
    pub feature: String,
    /// Mean of the absolute contribution: of a classifier in log-odds, of a regression in units of the target.
    pub mean_absolute: f64,
}

/// Returns the contributions over a row-major `[rows × features]` matrix, the largest first; `None` for a model that does
/// not give them.
pub(crate) fn contributions(
    estimator: &Estimator,
    names: &[String],
    matrix: &[f32],
) -> Option<Vec<Contribution>> {
    match estimator {
        Estimator::LinearClassifier(linear) => linear_contributions(linear, names, matrix),
        Estimator::BoostedClassifier(boosted) | Estimator::BoostedRegressor(boosted) => {
            shared_out(boosted, names, matrix)
        }
        // Another kind of model gives its own here.
        _ => None,
    }
}

/// Rows whose scores are shared out at most, evenly over all.
const ROWS: usize = 256;

/// Returns the mean absolute share of each feature in the scores; of several classes the mean over them.
fn shared_out(boosted: &Boosted, names: &[String], matrix: &[f32]) -> Option<Vec<Contribution>> {
    let rows = matrix.len().checked_div(boosted.features)?;
    if rows == 0 || names.len() != boosted.features {
        return None;
    }
    let step = rows.div_ceil(ROWS);
    let sample: Vec<&[f32]> = matrix.chunks_exact(boosted.features).step_by(step).collect();
    let shares: Vec<_> = sample.par_iter().map(|row| boosted.shares(row)).collect::<Option<_>>()?;
    let count = (shares.len() * boosted.scores) as f64;
    let mut found: Vec<Contribution> = names
        .iter()
        .enumerate()
        .map(|(feature, name)| {
            let of = |shares: &modelgate_model::shap::Shares| {
                shares
                    .features
                    .iter()
                    .skip(feature)
                    .step_by(names.len())
                    .map(|share| share.abs())
                    .sum::<f64>()
            };
            Contribution { feature: name.clone(), mean_absolute: shares.iter().map(of).sum::<f64>() / count }
        })
        .collect();
    if found.iter().any(|one| !one.mean_absolute.is_finite()) {
        return None;
    }
    found.sort_by(|one, other| other.mean_absolute.total_cmp(&one.mean_absolute));
    Some(found)
}

/// A linear score is a sum: what a feature adds is its weight times its distance to the mean. Of two classes the score is
/// the difference of theirs; of more, the figure is the mean over the classes.
fn linear_contributions(
    linear: &LinearClassifier,
    names: &[String],
    matrix: &[f32],
) -> Option<Vec<Contribution>> {
    let features = linear.features;
    let rows = matrix.len().checked_div(features)?;
    if rows == 0 || names.len() != features || linear.coefficients.len() != features * linear.intercepts.len()
    {
        return None;
    }
    let weights: Vec<Vec<f64>> = {
        let classes: Vec<Vec<f64>> =
            linear.coefficients.chunks_exact(features).map(<[f64]>::to_vec).collect();
        match classes.as_slice() {
            [first, second] => vec![second.iter().zip(first).map(|(one, other)| one - other).collect()],
            _ => classes,
        }
    };
    let mut found: Vec<Contribution> = (0..features)
        .map(|feature| {
            let values = || matrix.chunks_exact(features).map(|row| f64::from(row[feature]));
            let mean = values().sum::<f64>() / rows as f64;
            let distance = values().map(|value| (value - mean).abs()).sum::<f64>() / rows as f64;
            let weight =
                weights.iter().map(|weights| weights[feature].abs()).sum::<f64>() / weights.len() as f64;
            Contribution { feature: names[feature].clone(), mean_absolute: weight * distance }
        })
        .collect();
    if found.iter().any(|one| !one.mean_absolute.is_finite()) {
        return None;
    }
    found.sort_by(|one, other| other.mean_absolute.total_cmp(&one.mean_absolute));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_model_gives_weight_times_distance() {
        let linear = LinearClassifier {
            features: 2,
            coefficients: vec![-0.5, 1.0, 0.5, 1.0],
            intercepts: vec![0.0, 0.0],
        };
        let names = ["a".to_owned(), "b".to_owned()];
        let matrix = [0.0, 5.0, 4.0, 7.0];
        let found =
            contributions(&Estimator::LinearClassifier(linear), &names, &matrix).expect("contributions");
        assert_eq!((found[0].feature.as_str(), found[0].mean_absolute), ("a", 2.0));
        assert_eq!((found[1].feature.as_str(), found[1].mean_absolute), ("b", 0.0));
    }

    #[test]
    fn what_does_not_fit_gives_none() {
        let linear = LinearClassifier { features: 2, coefficients: vec![1.0; 4], intercepts: vec![0.0; 2] };
        assert_eq!(contributions(&Estimator::LinearClassifier(linear.clone()), &[], &[1.0, 2.0]), None);
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(contributions(&Estimator::LinearClassifier(linear), &names, &[]), None);
    }
}
