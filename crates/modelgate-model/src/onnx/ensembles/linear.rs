//! `LinearClassifier` and `LinearRegressor` of `ai.onnx.ml`.

use super::super::load::refuse;
use super::super::proto::Node;
use super::{Found, classes, floats, not_read, text};
use crate::error::ModelError;
use crate::estimator::{Estimator, LinearClassifier, LinearRegressor};

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

pub(super) fn classifier(node: &Node, features: usize) -> Result<Found, ModelError> {
    let classes = classes(node)?;
    let (coefficients, mut intercepts) =
        (doubles(floats(node, "coefficients")), doubles(floats(node, "intercepts")));
    let rows = coefficients.len().checked_div(features).unwrap_or(0);
    if intercepts.is_empty() {
        intercepts = vec![0.0; rows];
    }
    if rows == 0 || coefficients.len() != rows * features || intercepts.len() != rows {
        return refuse("the coefficients of LinearClassifier do not fit its input");
    }
    let transform = text(node, "post_transform", "NONE");
    let opposite = |left: &[f64], right: &[f64]| left.iter().zip(right).all(|(left, right)| *left == -right);
    let linear = match (transform.as_ref(), rows, classes.len()) {
        ("SOFTMAX", rows, count) if rows == count => LinearClassifier { features, coefficients, intercepts },
        // The logistic function of one score is the softmax of it and zero.
        ("LOGISTIC", 1, 2) => LinearClassifier {
            features,
            coefficients: [vec![0.0; features], coefficients].concat(),
            intercepts: [vec![0.0], intercepts].concat(),
        },
        ("LOGISTIC", 2, 2)
            if opposite(&coefficients[..features], &coefficients[features..])
                && opposite(&intercepts[..1], &intercepts[1..]) =>
        {
            LinearClassifier {
                features,
                coefficients: [vec![0.0; features], coefficients[features..].to_vec()].concat(),
                intercepts: vec![0.0, intercepts[1]],
            }
        }
        ("NONE", ..) => return not_read(node, "no post transform, whose scores are no probabilities"),
        (transform, ..) => {
            return not_read(
                node,
                &format!("the post transform {transform:.20} for {} classes", classes.len()),
            );
        }
    };
    Ok((Estimator::LinearClassifier(linear), Some(classes)))
}

pub(super) fn regressor(node: &Node, features: usize) -> Result<Found, ModelError> {
    let coefficients = doubles(floats(node, "coefficients"));
    let intercepts = doubles(floats(node, "intercepts"));
    if node.attribute("targets").is_some_and(|targets| targets.i != 1) || intercepts.len() > 1 {
        return not_read(node, "several targets");
    }
    let transform = text(node, "post_transform", "NONE");
    if transform != "NONE" {
        return not_read(node, &format!("the post transform {transform:.20}"));
    }
    let intercept = intercepts.first().copied().unwrap_or(0.0);
    Ok((Estimator::LinearRegressor(LinearRegressor { features, coefficients, intercept }), None))
}
