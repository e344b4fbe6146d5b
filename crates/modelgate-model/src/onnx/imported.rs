//! Graphs of other programs, brought into the form of a package by `wrap`: their operators in front of one model, and
//! nothing behind it but what names its answers.
//!
//! As in `load`, each value has a kind and a width before any row is seen; what does not fit is refused with its
//! operator's name, and so is what the built-in engine does not know. The operators are `operators.rs`, the model and what
//! is behind it `answers.rs`.

use std::collections::HashMap;

use modelgate_core::schema::{Classes, FeatureType};

use self::answers::Answer;
use super::constants::Constant;
use super::load::{LoadedModel, MAX_WIDTH, refuse};
use super::proto::{Graph, Node};
use super::run::{Operation, Step};
use super::runtime;
use crate::error::ModelError;
use crate::estimator::Estimator;

mod answers;
mod encoders;
mod operators;

/// Columns of all values together at most, so that a few bytes cannot ask for much memory.
const MAX_COLUMNS: usize = 1 << 22;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Element {
    Int,
    Float,
    Text,
    Bool,
}

impl std::fmt::Display for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Int => "whole numbers",
            Self::Float => "numbers",
            Self::Text => "text",
            Self::Bool => "truth values",
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// `[N]`.
    Column,
    /// `[N, width]`.
    Matrix(usize),
    /// `[N, 1, width]`, as one-hot encoding leaves it.
    Cube(usize),
}

impl Shape {
    fn width(self) -> usize {
        match self {
            Self::Column => 1,
            Self::Matrix(width) | Self::Cube(width) => width,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Column => formatter.write_str("[N]"),
            Self::Matrix(width) => write!(formatter, "[N, {width}]"),
            Self::Cube(width) => write!(formatter, "[N, 1, {width}]"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kind {
    element: Element,
    shape: Shape,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of shape {}", self.element, self.shape)
    }
}

#[derive(Clone, PartialEq, Debug)]
enum Known {
    Value(usize, Kind),
    Constant(Constant),
    Answer(Answer),
}

struct Loader<'a> {
    known: HashMap<&'a str, Known>,
    steps: Vec<Step>,
    slots: usize,
    columns: usize,
    estimator: Option<(Estimator, usize)>,
    classes: Option<Classes>,
}

/// Reads a graph.
///
/// # Errors
/// Names the operator that the built-in engine does not know, or that does not fit.
pub(super) fn load(graph: &Graph) -> Result<LoadedModel, ModelError> {
    let mut loader = Loader {
        known: HashMap::new(),
        steps: Vec::new(),
        slots: 0,
        columns: 0,
        estimator: None,
        classes: None,
    };
    let inputs = runtime::inputs(graph)?;
    for (input, (_, feature_type)) in graph.input.iter().zip(&inputs) {
        let element = match feature_type {
            FeatureType::Int => Element::Int,
            FeatureType::Float => Element::Float,
            FeatureType::Text => Element::Text,
        };
        loader.define(&input.name, Kind { element, shape: Shape::Column })?;
    }
    for tensor in &graph.initializer {
        if loader.known.insert(&tensor.name, Known::Constant(Constant::read(tensor)?)).is_some() {
            return refuse(format!("the value `{}` is defined twice", tensor.name));
        }
    }
    for node in &graph.node {
        loader.node(node)?;
    }
    loader.finish(graph, inputs)
}

/// Refuses a node of a known operator for `what` it has or takes.
fn unfit<T>(node: &Node, what: impl std::fmt::Display) -> Result<T, ModelError> {
    // Of the nodes that stand behind every graph in the form of a package.
    if node.name.starts_with("modelgate/after/") {
        return refuse(
            "its probabilities come from no model that the built-in engine knows: let it end in a Softmax over one score for \
             each class",
        );
    }
    refuse(format!("{} with {what} is not known to the built-in engine", node.op_type))
}

/// Returns whether an `ArgMax` takes the first of equal values, as is done here.
fn first_of_ties(node: &Node) -> bool {
    int(node, "select_last_index").unwrap_or(0) == 0
}

fn int(node: &Node, name: &str) -> Option<i64> {
    node.attribute(name).map(|attribute| attribute.i)
}

impl<'a> Loader<'a> {
    fn slot(&mut self, kind: Kind) -> Result<usize, ModelError> {
        self.columns = self.columns.saturating_add(kind.shape.width());
        if kind.shape.width() > MAX_WIDTH || self.columns > MAX_COLUMNS {
            return refuse(format!("its values have more than {MAX_COLUMNS} columns"));
        }
        self.slots += 1;
        Ok(self.slots - 1)
    }

    fn name(&mut self, name: &'a str, known: Known) -> Result<(), ModelError> {
        match self.known.insert(name, known) {
            Some(_) => refuse(format!("the value `{name}` is defined twice")),
            None => Ok(()),
        }
    }

    fn define(&mut self, name: &'a str, kind: Kind) -> Result<usize, ModelError> {
        let slot = self.slot(kind)?;
        self.name(name, Known::Value(slot, kind))?;
        Ok(slot)
    }

    fn output(node: &'a Node, index: usize) -> Result<&'a str, ModelError> {
        match node.output.get(index) {
            Some(name) => Ok(name),
            None => refuse(format!("{} has no output", node.op_type)),
        }
    }

    /// Adds a step and names what it gives.
    fn step(
        &mut self,
        node: &'a Node,
        operation: Operation,
        inputs: Vec<usize>,
        kind: Kind,
    ) -> Result<(), ModelError> {
        let output = self.define(Self::output(node, 0)?, kind)?;
        self.steps.push(Step { operation, inputs, output, is_last_use: false });
        Ok(())
    }

    fn input(&self, node: &Node, index: usize) -> Result<&Known, ModelError> {
        match node.input.get(index).and_then(|name| self.known.get(name.as_str())) {
            Some(known) => Ok(known),
            None => refuse(format!("an input of {} is not defined before it", node.op_type)),
        }
    }

    fn value(&self, node: &Node, index: usize) -> Result<(usize, Kind), ModelError> {
        match self.input(node, index)? {
            Known::Value(slot, kind) => Ok((*slot, *kind)),
            Known::Constant(_) => {
                unfit(node, format!("the constant `{}` as input {index}", node.input[index]))
            }
            Known::Answer(_) => unfit(node, format!("an answer of the model as input {index}")),
        }
    }

    /// Returns a value of numbers, and its width.
    fn matrix(&self, node: &Node, index: usize) -> Result<(usize, Kind, usize), ModelError> {
        let (slot, kind) = self.value(node, index)?;
        if kind.element != Element::Float {
            return unfit(node, kind);
        }
        Ok((slot, kind, kind.shape.width()))
    }

    fn constant(&self, node: &Node, index: usize) -> Result<Option<&Constant>, ModelError> {
        // An input that is left out has no name.
        if node.input.get(index).is_none_or(String::is_empty) {
            return Ok(None);
        }
        match self.input(node, index)? {
            Known::Constant(constant) => Ok(Some(constant)),
            _ => unfit(node, format!("an input {index} that is computed")),
        }
    }

    fn ints(&self, node: &Node, index: usize) -> Result<&[i64], ModelError> {
        match self.constant(node, index)?.and_then(Constant::ints) {
            Some(values) => Ok(values),
            None => unfit(node, format!("an input {index} that is no list of whole numbers")),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::graph::GraphBuilder;
    use super::super::proto::{Model, data_type};
    use super::LoadedModel;

    fn refused(build: impl Fn(&mut GraphBuilder)) -> String {
        let mut graph = GraphBuilder::default();
        graph.input("x", data_type::FLOAT);
        build(&mut graph);
        let model = Model { ir_version: 8, graph: Some(graph.finish("test")), ..Model::default() };
        LoadedModel::load(&model.encode_to_vec()).expect_err("refused").to_string()
    }

    #[test]
    fn an_unknown_operator_is_named_with_the_way_to_onnx_runtime() {
        let error = refused(|graph| {
            graph.node("Erf", &["x"], &["prediction"]);
            graph.output("prediction", data_type::FLOAT);
        });
        assert!(error.contains("the operator Erf of ai.onnx is not known to the built-in engine"), "{error}");
        let how = if cfg!(feature = "ort") { "serve.onnxruntime" } else { "build it with `--features ort`" };
        assert!(error.contains(how), "{error}");
    }

    #[test]
    fn graphs_without_an_answer_are_refused() {
        let error = refused(|graph| graph.output("other", data_type::FLOAT));
        assert!(error.contains("neither `prediction` nor `label`"), "{error}");
        let error = refused(|graph| graph.output("prediction", data_type::FLOAT));
        assert!(error.contains("nothing computes its output"), "{error}");
        let error = refused(|graph| {
            graph.node("Relu", &["nowhere"], &["prediction"]);
            graph.output("prediction", data_type::FLOAT);
        });
        assert!(error.contains("an input of Relu is not defined before it"), "{error}");
    }
}
