//! Linear models as `Cast`, `MatMul`, `Add` (and `Softmax`) in doubles, out and in.
//!
//! The operators `LinearRegressor` and `LinearClassifier` of `ai.onnx.ml` compute in `f32`, which loses the answer
//! where large terms cancel, such as on features that are not scaled.

use modelgate_core::schema::Classes;

use super::graph::GraphBuilder;
use super::proto::{Node, Tensor, data_type};
use crate::error::ModelError;
use crate::estimator::{Estimator, LinearClassifier, LinearRegressor};

/// Writes a regression from the matrix `input` to the matrix `output` of one column.
pub(crate) fn regressor(graph: &mut GraphBuilder, linear: &LinearRegressor, input: &str, output: &str) {
    sums(graph, input, linear.coefficients.clone(), vec![linear.intercept]);
    graph.node("Cast", &["model/sums"], &[output]).int("to", i64::from(data_type::FLOAT));
}

/// Writes a classifier from the matrix `input` to the matrix `output` of one column per class.
pub(crate) fn classifier(graph: &mut GraphBuilder, linear: &LinearClassifier, input: &str, output: &str) {
    let classes = linear.intercepts.len();
    let mut transposed = vec![0.0; linear.coefficients.len()];
    for (class, weights) in linear.coefficients.chunks_exact(linear.features).enumerate() {
        for (feature, weight) in weights.iter().enumerate() {
            transposed[feature * classes + class] = *weight;
        }
    }
    sums(graph, input, transposed, linear.intercepts.clone());
    graph.node("Softmax", &["model/sums"], &["model/softmax"]).int("axis", 1);
    graph.node("Cast", &["model/softmax"], &[output]).int("to", i64::from(data_type::FLOAT));
}

/// `coefficients` is row-major `[features × outputs]`.
fn sums(graph: &mut GraphBuilder, input: &str, coefficients: Vec<f64>, intercepts: Vec<f64>) {
    let outputs = intercepts.len();
    graph.doubles("model/coefficients", &[coefficients.len() / outputs, outputs], coefficients);
    graph.doubles("model/intercepts", &[outputs], intercepts);
    graph.node("Cast", &[input], &["model/doubles"]).int("to", i64::from(data_type::DOUBLE));
    graph.node("MatMul", &["model/doubles", "model/coefficients"], &["model/products"]);
    graph.node("Add", &["model/products", "model/intercepts"], &["model/sums"]);
}

fn refuse<T>(reason: &str) -> Result<T, ModelError> {
    Err(ModelError::Onnx(reason.to_owned()))
}

/// How far the nodes of a linear model have been read; each takes the output of the one before.
#[derive(Default)]
pub(crate) struct LinearChain {
    output: String,
    /// The slot and the width of the features.
    matrix: Option<(usize, usize)>,
    /// Row-major `[features × outputs]`.
    coefficients: Option<Vec<f64>>,
    intercepts: Option<Vec<f64>>,
    softmax: bool,
}

/// What a node is to a linear model.
pub(crate) enum Taken {
    /// Nothing.
    No,
    /// A part.
    Part,
    /// The last part: the slot of the features and the model.
    Whole(usize, Estimator),
}

impl LinearChain {
    /// Reads a node, with the slot and the width of its input where that is a matrix of `f32`, and the constant that
    /// is its second input.
    pub(crate) fn take(
        &mut self,
        node: &Node,
        matrix: Option<(usize, usize)>,
        constant: Option<&Tensor>,
    ) -> Result<Taken, ModelError> {
        let int = |name: &str| node.attribute(name).map(|attribute| attribute.i);
        let follows = self.matrix.is_some() && node.input.first() == Some(&self.output);
        match (node.domain.as_str(), node.op_type.as_str()) {
            ("", "Cast") if int("to") == Some(i64::from(data_type::DOUBLE)) => {
                if matrix.is_none() || self.matrix.is_some() {
                    return refuse("a cast to double stands in front of one linear model only");
                }
                self.matrix = matrix;
            }
            ("", "MatMul") if follows && self.coefficients.is_none() => {
                let features = self.matrix.map_or(0, |(_, width)| width);
                let Some(tensor) = constant.filter(|tensor| tensor.data_type == data_type::DOUBLE) else {
                    return refuse("MatMul is supported with a constant of doubles");
                };
                let outputs = match tensor.dims[..] {
                    [rows, outputs] if rows == features as i64 => usize::try_from(outputs).unwrap_or(0),
                    _ => 0,
                };
                if outputs == 0 || features.checked_mul(outputs) != Some(tensor.double_data.len()) {
                    return refuse("the coefficients of MatMul do not fit the features");
                }
                self.coefficients = Some(tensor.double_data.clone());
            }
            ("", "Add") if follows && self.intercepts.is_none() => {
                let features = self.matrix.map_or(0, |(_, width)| width);
                let outputs = self.coefficients.as_ref().map_or(0, |all| all.len() / features.max(1));
                let fits = |tensor: &&Tensor| {
                    tensor.data_type == data_type::DOUBLE
                        && tensor.dims == [outputs as i64]
                        && tensor.double_data.len() == outputs
                        && outputs > 0
                };
                let Some(tensor) = constant.filter(fits) else {
                    return refuse("the intercepts of Add do not fit the model");
                };
                self.intercepts = Some(tensor.double_data.clone());
            }
            ("", "Softmax") if follows && self.intercepts.is_some() && !self.softmax => {
                if int("axis").unwrap_or(-1) != 1 {
                    return refuse("Softmax is supported over the classes");
                }
                self.softmax = true;
            }
            ("", "Cast") if follows && int("to") == Some(i64::from(data_type::FLOAT)) => return self.whole(),
            _ => return Ok(Taken::No),
        }
        match node.output.first() {
            Some(output) => self.output.clone_from(output),
            None => return refuse("a node has no output"),
        }
        Ok(Taken::Part)
    }

    fn whole(&mut self) -> Result<Taken, ModelError> {
        let (Some((slot, features)), Some(coefficients), Some(intercepts)) =
            (self.matrix, self.coefficients.take(), self.intercepts.take())
        else {
            return refuse("a linear model is a MatMul and an Add");
        };
        let outputs = intercepts.len();
        if self.softmax {
            let weights = (0..outputs).flat_map(|class| coefficients.iter().skip(class).step_by(outputs));
            let coefficients = weights.copied().collect();
            let linear = LinearClassifier { features, coefficients, intercepts };
            return Ok(Taken::Whole(slot, Estimator::LinearClassifier(linear)));
        }
        match intercepts[..] {
            [intercept] => {
                let linear = LinearRegressor { features, coefficients, intercept };
                Ok(Taken::Whole(slot, Estimator::LinearRegressor(linear)))
            }
            _ => refuse("a linear regression has one output"),
        }
    }
}

/// Reads the classes from the node that turns positions into labels.
pub(crate) fn class_names(node: &Node, count: usize) -> Result<Classes, ModelError> {
    let keys = node.attribute("keys_int64s").map_or(&[][..], |attribute| &attribute.ints[..]);
    let in_order = keys.len() == count && keys.iter().enumerate().all(|(at, key)| at as i64 == *key);
    let ints = node.attribute("values_int64s").filter(|values| values.ints.len() == count);
    let texts = node.attribute("values_strings").filter(|values| values.strings.len() == count);
    match (in_order, ints, texts) {
        (true, Some(ints), None) => Ok(Classes::Int(ints.ints.clone())),
        (true, None, Some(texts)) => Ok(Classes::Text(
            texts.strings.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect(),
        )),
        _ => refuse("the labels do not fit the classes of the linear model"),
    }
}
