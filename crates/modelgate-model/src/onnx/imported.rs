//! Graphs of other programs, brought into the form of a package by `wrap`: their operators in front of one model, and
//! nothing behind it but what names its answers.
//!
//! As in `load`, each value has a kind and a width before any row is seen; what does not fit is refused with its
//! operator's name, and so is what the built-in engine does not know.

use std::collections::HashMap;

use modelgate_core::schema::{Classes, FeatureType};

use super::constants::{Constant, Values};
use super::ensembles;
use super::kernels::{Arithmetic, Function, Kernel, Norm};
use super::linear;
use super::load::{LoadedModel, MAX_WIDTH, refuse};
use super::proto::{Graph, Node, data_type};
use super::run::{Operation, Step};
use super::runtime;
use crate::error::ModelError;
use crate::estimator::{Estimator, LinearClassifier, LinearRegressor};

/// Columns of all values together at most, so that a few bytes cannot ask for much memory.
const MAX_COLUMNS: usize = 1 << 22;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Element {
    Int,
    Float,
    Text,
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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kind {
    element: Element,
    shape: Shape,
}

/// What is known of a value that the model gives.
#[derive(Clone, PartialEq, Debug)]
enum Answer {
    /// The number.
    Number,
    /// One column per class.
    Probabilities,
    /// The probability of one class.
    Probability(usize),
    /// The place of the most probable class.
    Place,
    /// The most probable class.
    Label,
    /// What the model's own operator calls its label.
    OwnLabel,
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

fn unfit<T>(node: &Node) -> Result<T, ModelError> {
    refuse(format!("{} does not fit its input", node.op_type))
}

fn unknown<T>(node: &Node) -> Result<T, ModelError> {
    let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
    refuse(format!("the operator {} of {domain} is not known to the built-in engine", node.op_type))
}

fn int(node: &Node, name: &str) -> Option<i64> {
    node.attribute(name).map(|attribute| attribute.i)
}

fn texts(node: &Node, name: &str) -> Vec<String> {
    let own = node.attribute(name).map_or(&[][..], |attribute| &attribute.strings);
    own.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
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
            _ => unfit(node),
        }
    }

    /// Returns a value of numbers, and its width.
    fn matrix(&self, node: &Node, index: usize) -> Result<(usize, Kind, usize), ModelError> {
        let (slot, kind) = self.value(node, index)?;
        if kind.element != Element::Float {
            return unfit(node);
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
            _ => unfit(node),
        }
    }

    fn ints(&self, node: &Node, index: usize) -> Result<&[i64], ModelError> {
        match self.constant(node, index)?.and_then(Constant::ints) {
            Some(values) => Ok(values),
            None => unfit(node),
        }
    }

    fn node(&mut self, node: &'a Node) -> Result<(), ModelError> {
        for at in 0..node.input.len() {
            if !node.input[at].is_empty()
                && let Known::Answer(answer) = self.input(node, at)?
            {
                let answer = answer.clone();
                return self.behind(node, at, &answer);
            }
        }
        let same = |kind: Kind, element| Kind { element, ..kind };
        match (node.domain.as_str(), node.op_type.as_str()) {
            ("", "Identity") => {
                let known = self.input(node, 0)?.clone();
                self.name(Self::output(node, 0)?, known)
            }
            ("", "Constant") => {
                let Some(tensor) = node.attribute("value").and_then(|attribute| attribute.tensor.as_ref())
                else {
                    return unknown(node);
                };
                self.name(Self::output(node, 0)?, Known::Constant(Constant::read(tensor)?))
            }
            ("", "Cast") => {
                let (slot, kind) = self.value(node, 0)?;
                let to = int(node, "to").and_then(|to| i32::try_from(to).ok());
                match (kind.element, to) {
                    (Element::Float, Some(data_type::FLOAT))
                    | (Element::Int, Some(data_type::INT64))
                    | (Element::Text, Some(data_type::STRING)) => {
                        self.name(Self::output(node, 0)?, Known::Value(slot, kind))
                    }
                    (Element::Int, Some(data_type::FLOAT)) => {
                        self.step(node, Operation::ToFloat, vec![slot], same(kind, Element::Float))
                    }
                    (_, Some(data_type::DOUBLE)) => refuse(
                        "Cast to double is not known to the built-in engine: export with inputs of float32",
                    ),
                    _ => unknown(node),
                }
            }
            ("", "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze") => {
                let (slot, kind) = self.value(node, 0)?;
                let shape = self.reshaped(node, kind.shape)?;
                self.name(Self::output(node, 0)?, Known::Value(slot, Kind { shape, ..kind }))
            }
            ("", "Concat") => self.concat(node),
            ("", "Add" | "Sub" | "Mul" | "Div") => self.arithmetic(node),
            ("", "MatMul") => {
                let (slot, kind, width) = self.matrix(node, 0)?;
                let Some(Constant { dims, values: Values::Floats(weights) }) = self.constant(node, 1)? else {
                    return unfit(node);
                };
                let ([rows, outputs], Shape::Matrix(_)) = (&dims[..], kind.shape) else { return unfit(node) };
                if *rows != width || *outputs == 0 {
                    return unfit(node);
                }
                let (weights, outputs) = (weights.clone(), *outputs);
                let kernel = Kernel::MatMul { weights, outputs };
                self.step(node, Operation::Matrix(kernel, width), vec![slot], matrix(outputs))
            }
            ("", "Gemm") => self.gemm(node),
            ("", "Clip") => {
                let (slot, kind, width) = self.matrix(node, 0)?;
                let bound = |index: usize, name: &str, default: f32| -> Result<f32, ModelError> {
                    if let Some(attribute) = node.attribute(name) {
                        return Ok(attribute.f);
                    }
                    match self.constant(node, index)? {
                        None => Ok(default),
                        Some(constant) => match constant.floats() {
                            Some([bound]) => Ok(*bound),
                            _ => unfit(node),
                        },
                    }
                };
                let kernel =
                    Kernel::Clip { low: bound(1, "min", f32::MIN)?, high: bound(2, "max", f32::MAX)? };
                self.step(node, Operation::Matrix(kernel, width), vec![slot], kind)
            }
            ("", "ArgMax") => {
                let (slot, kind, width) = self.matrix(node, 0)?;
                if width == 0 || int(node, "axis") != Some(1) || !matches!(kind.shape, Shape::Matrix(_)) {
                    return unfit(node);
                }
                let shape = if int(node, "keepdims") == Some(0) { Shape::Column } else { Shape::Matrix(1) };
                self.step(node, Operation::ArgMax, vec![slot], Kind { element: Element::Int, shape })
            }
            ("", "Gather") => {
                let (_, kind) = self.value(node, 0)?;
                let Some(constant) = self.constant(node, 1)? else { return unfit(node) };
                let shape = match (&constant.dims[..], int(node, "axis").unwrap_or(0), kind.shape) {
                    ([], 1, Shape::Matrix(_)) => Shape::Column,
                    ([count], 1, Shape::Matrix(_)) => Shape::Matrix(*count),
                    _ => return unfit(node),
                };
                self.select(node, shape)
            }
            ("ai.onnx.ml", "ArrayFeatureExtractor") => {
                let Shape::Matrix(_) = self.value(node, 0)?.1.shape else { return unfit(node) };
                let count = self.ints(node, 1)?.len();
                self.select(node, Shape::Matrix(count))
            }
            ("ai.onnx.ml", "Scaler") => {
                let (offset, scale) = (self.row(node, "offset", 0)?, self.row(node, "scale", 0)?);
                self.number_step(node, Kernel::Scale { offset, scale })
            }
            ("ai.onnx.ml", "Imputer") => {
                if node.attribute("imputed_value_floats").is_none() {
                    return unknown(node);
                }
                let values = self.row(node, "imputed_value_floats", 0)?;
                let missing = node.attribute("replaced_value_float").map_or(0.0, |attribute| attribute.f);
                self.number_step(node, Kernel::Impute { values, missing })
            }
            ("ai.onnx.ml", "Normalizer") => {
                let norm = node.attribute("norm").map_or(&b"MAX"[..], |attribute| &attribute.s);
                let norm = match norm {
                    b"MAX" => Norm::Max,
                    b"L1" => Norm::L1,
                    b"L2" => Norm::L2,
                    _ => return unfit(node),
                };
                self.number_step(node, Kernel::Normalize(norm))
            }
            ("ai.onnx.ml", "Binarizer") => {
                let threshold = node.attribute("threshold").map_or(0.0, |attribute| attribute.f);
                self.number_step(node, Kernel::Above(threshold))
            }
            ("ai.onnx.ml", "LabelEncoder") => self.label_encoder(node),
            ("ai.onnx.ml", "OneHotEncoder") => self.one_hot(node),
            ("", "Softmax") => self.softmax(node),
            (
                "ai.onnx.ml",
                "TreeEnsembleClassifier"
                | "TreeEnsembleRegressor"
                | "TreeEnsemble"
                | "LinearClassifier"
                | "LinearRegressor",
            ) => self.model(node),
            ("", operator) => match Function::of(operator) {
                Some(function) => {
                    let (slot, kind, width) = self.matrix(node, 0)?;
                    self.step(node, Operation::Matrix(Kernel::Map(function), width), vec![slot], kind)
                }
                None => unknown(node),
            },
            _ => unknown(node),
        }
    }

    /// Takes the columns that the second input names.
    fn select(&mut self, node: &'a Node, shape: Shape) -> Result<(), ModelError> {
        let (slot, kind) = self.value(node, 0)?;
        let width = kind.shape.width();
        let columns = places(node, self.ints(node, 1)?, width)?;
        if width == 1 && columns.len() == 1 {
            // The only column of anything, such as of text.
            return self.name(Self::output(node, 0)?, Known::Value(slot, Kind { shape, ..kind }));
        }
        if kind.element != Element::Float {
            return unknown(node);
        }
        let operation = Operation::Matrix(Kernel::Select(columns), width);
        self.step(node, operation, vec![slot], Kind { shape, ..kind })
    }

    /// Returns the numbers of an attribute, one for each column of an input.
    fn row(&self, node: &Node, name: &str, index: usize) -> Result<Vec<f32>, ModelError> {
        let (_, kind) = self.value(node, index)?;
        let width = kind.shape.width();
        let values = node.attribute(name).map_or(&[][..], |attribute| &attribute.floats);
        match values {
            [one] => Ok(vec![*one; width]),
            values if values.len() == width => Ok(values.to_vec()),
            _ => unfit(node),
        }
    }

    /// Adds an operation on numbers, which may be whole ones.
    fn number_step(&mut self, node: &'a Node, kernel: Kernel) -> Result<(), ModelError> {
        let (mut slot, kind) = self.value(node, 0)?;
        let width = kind.shape.width();
        let kind = Kind { element: Element::Float, ..kind };
        match self.value(node, 0)?.1.element {
            Element::Float => {}
            Element::Int => {
                let cast = self.slot(kind)?;
                let inputs = vec![slot];
                self.steps.push(Step {
                    operation: Operation::ToFloat,
                    inputs,
                    output: cast,
                    is_last_use: false,
                });
                slot = cast;
            }
            Element::Text => return unfit(node),
        }
        self.step(node, Operation::Matrix(kernel, width), vec![slot], kind)
    }

    /// Returns the shape that a node gives; the values stay in their order.
    fn reshaped(&self, node: &Node, shape: Shape) -> Result<Shape, ModelError> {
        let width = shape.width();
        let axes = || -> Result<Vec<i64>, ModelError> {
            match node.attribute("axes") {
                Some(attribute) => Ok(attribute.ints.clone()),
                None => Ok(self.ints(node, 1)?.to_vec()),
            }
        };
        match node.op_type.as_str() {
            "Reshape" => match *self.ints(node, 1)? {
                [-1] if width == 1 => Ok(Shape::Column),
                [-1, to] if to == width as i64 && width > 0 => Ok(Shape::Matrix(width)),
                [0, -1] if shape != Shape::Column => Ok(Shape::Matrix(width)),
                _ => unfit(node),
            },
            "Flatten" if int(node, "axis").unwrap_or(1) == 1 => Ok(Shape::Matrix(width)),
            "Squeeze" => match (&axes()?[..], shape) {
                ([1 | -1], Shape::Matrix(1)) => Ok(Shape::Column),
                ([1], Shape::Cube(width)) => Ok(Shape::Matrix(width)),
                _ => unfit(node),
            },
            "Unsqueeze" => match (&axes()?[..], shape) {
                ([1 | -1], Shape::Column) => Ok(Shape::Matrix(1)),
                _ => unfit(node),
            },
            _ => unfit(node),
        }
    }

    fn concat(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let parts = (0..node.input.len()).map(|at| self.value(node, at)).collect::<Result<Vec<_>, _>>()?;
        let Some((_, first)) = parts.first().copied() else { return unfit(node) };
        let is_cube = matches!(first.shape, Shape::Cube(_));
        let axis = int(node, "axis").unwrap_or(0);
        let alike = |(_, kind): &(usize, Kind)| {
            kind.element == first.element
                && kind.shape != Shape::Column
                && matches!(kind.shape, Shape::Cube(_)) == is_cube
        };
        let last = if is_cube { [2, -1] } else { [1, -1] };
        if !last.contains(&axis) || first.element == Element::Text || !parts.iter().all(alike) {
            return unfit(node);
        }
        let widths: Vec<usize> = parts.iter().map(|(_, kind)| kind.shape.width()).collect();
        let total = widths.iter().fold(0_usize, |sum, width| sum.saturating_add(*width));
        let shape = if is_cube { Shape::Cube(total) } else { Shape::Matrix(total) };
        let inputs = parts.iter().map(|(slot, _)| *slot).collect();
        self.step(node, Operation::Concat(widths), inputs, Kind { shape, ..first })
    }

    fn arithmetic(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let Some(arithmetic) = Arithmetic::of(&node.op_type) else { return unknown(node) };
        let reversed = matches!(self.input(node, 0)?, Known::Constant(_));
        let (slot, kind, width) = self.matrix(node, usize::from(reversed))?;
        // Of two values that are both computed there is none.
        let Known::Constant(constant) = self.input(node, usize::from(!reversed))? else {
            return unknown(node);
        };
        let Some(values) = constant.floats() else { return unfit(node) };
        let row = match (values, &constant.dims[..]) {
            ([one], [] | [1] | [1, 1]) => vec![*one; width],
            (values, [length] | [1, length])
                if *length == width && matches!(kind.shape, Shape::Matrix(_)) =>
            {
                values.to_vec()
            }
            _ => return unfit(node),
        };
        let kernel = Kernel::ByRow { arithmetic, row, reversed };
        self.step(node, Operation::Matrix(kernel, width), vec![slot], kind)
    }

    fn gemm(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind, width) = self.matrix(node, 0)?;
        let factor = |name: &str| node.attribute(name).map_or(1.0, |attribute| attribute.f);
        if int(node, "transA").unwrap_or(0) != 0 || factor("alpha") != 1.0 || factor("beta") != 1.0 {
            return unknown(node);
        }
        let Some(Constant { dims, values: Values::Floats(own) }) = self.constant(node, 1)? else {
            return unfit(node);
        };
        let transposed = int(node, "transB").unwrap_or(0) != 0;
        let (rows, outputs) = match (&dims[..], transposed, kind.shape) {
            ([rows, outputs], false, Shape::Matrix(_)) | ([outputs, rows], true, Shape::Matrix(_)) => {
                (*rows, *outputs)
            }
            _ => return unfit(node),
        };
        if rows != width || outputs == 0 {
            return unfit(node);
        }
        let weights = if transposed {
            (0..rows).flat_map(|row| own.iter().skip(row).step_by(rows)).copied().collect()
        } else {
            own.clone()
        };
        let bias = match self.constant(node, 2)? {
            None => None,
            Some(constant) => match constant.floats() {
                Some([one]) => Some(vec![*one; outputs]),
                Some(values) if values.len() == outputs => Some(values.to_vec()),
                _ => return unfit(node),
            },
        };
        let product = Operation::Matrix(Kernel::MatMul { weights, outputs }, width);
        let Some(row) = bias else { return self.step(node, product, vec![slot], matrix(outputs)) };
        let middle = self.slot(matrix(outputs))?;
        self.steps.push(Step { operation: product, inputs: vec![slot], output: middle, is_last_use: false });
        let kernel = Kernel::ByRow { arithmetic: Arithmetic::Add, row, reversed: false };
        self.step(node, Operation::Matrix(kernel, outputs), vec![middle], matrix(outputs))
    }

    fn label_encoder(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind) = self.value(node, 0)?;
        let keys = texts(node, "keys_strings");
        if kind.element != Element::Text || keys.is_empty() {
            return unknown(node);
        }
        let ints = node.attribute("values_int64s").map_or(&[][..], |attribute| &attribute.ints);
        let floats = node.attribute("values_floats").map_or(&[][..], |attribute| &attribute.floats);
        if ints.len() == keys.len() {
            let positions = keys.into_iter().zip(ints.iter().copied()).collect();
            let default = int(node, "default_int64").unwrap_or(-1);
            let kind = Kind { element: Element::Int, ..kind };
            return self.step(node, Operation::Position { positions, default }, vec![slot], kind);
        }
        if floats.len() != keys.len() {
            return unfit(node);
        }
        let numbers = keys.into_iter().zip(floats.iter().copied()).collect();
        let default = node.attribute("default_float").map_or(-0.0, |attribute| attribute.f);
        let kind = Kind { element: Element::Float, ..kind };
        self.step(node, Operation::Number { numbers, default }, vec![slot], kind)
    }

    fn one_hot(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind) = self.value(node, 0)?;
        let named = texts(node, "cats_strings");
        let whole = node.attribute("cats_int64s").map_or(&[][..], |attribute| &attribute.ints);
        let width = named.len().max(whole.len());
        let positions = match (kind.element, kind.shape.width()) {
            (Element::Text, 1) if !named.is_empty() => {
                let positions = named.into_iter().zip(0..).collect();
                Operation::Position { positions, default: -1 }
            }
            (Element::Int | Element::Float, 1) if !whole.is_empty() => {
                Operation::Place { places: whole.iter().copied().zip(0..).collect() }
            }
            _ => return unfit(node),
        };
        let middle = self.slot(Kind { element: Element::Int, shape: kind.shape })?;
        self.steps.push(Step {
            operation: positions,
            inputs: vec![slot],
            output: middle,
            is_last_use: false,
        });
        let strict = int(node, "zeros") == Some(0);
        let shape = match kind.shape {
            Shape::Column => Shape::Matrix(width),
            _ => Shape::Cube(width),
        };
        self.step(
            node,
            Operation::OneHot { width, strict },
            vec![middle],
            Kind { element: Element::Float, shape },
        )
    }

    fn accept(&mut self, estimator: Estimator, slot: usize) -> Result<(), ModelError> {
        if self.estimator.is_some() {
            return refuse("a second model in a graph is not known to the built-in engine");
        }
        self.estimator = Some((estimator, slot));
        Ok(())
    }

    /// A softmax of a matrix is a linear model that takes its scores as they are.
    fn softmax(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind, features) = self.matrix(node, 0)?;
        // The coefficients are a square.
        let fits = matches!(kind.shape, Shape::Matrix(2..=1000))
            && [None, Some(1), Some(-1)].contains(&int(node, "axis"));
        if !fits {
            return unfit(node);
        }
        let mut coefficients = vec![0.0; features * features];
        coefficients.iter_mut().step_by(features + 1).for_each(|one| *one = 1.0);
        let linear = LinearClassifier { features, coefficients, intercepts: vec![0.0; features] };
        self.accept(Estimator::LinearClassifier(linear), slot)?;
        self.name(Self::output(node, 0)?, Known::Answer(Answer::Probabilities))
    }

    fn model(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind, features) = self.matrix(node, 0)?;
        if !matches!(kind.shape, Shape::Matrix(1..)) {
            return unfit(node);
        }
        let (estimator, classes) = ensembles::read(node, features)?;
        let classifies = !matches!(
            estimator,
            Estimator::LinearRegressor(_) | Estimator::ForestRegressor(_) | Estimator::BoostedRegressor(_)
        );
        self.accept(estimator, slot)?;
        self.classes = classes;
        if !classifies || node.op_type == "TreeEnsemble" {
            let answer = if classifies { Answer::Probabilities } else { Answer::Number };
            return self.name(Self::output(node, 0)?, Known::Answer(answer));
        }
        self.name(Self::output(node, 0)?, Known::Answer(Answer::OwnLabel))?;
        match node.output.get(1) {
            Some(name) => self.name(name, Known::Answer(Answer::Probabilities)),
            None => Ok(()),
        }
    }

    /// Takes a node behind the model, whose input `at` is `answer`.
    fn behind(&mut self, node: &'a Node, at: usize, answer: &Answer) -> Result<(), ModelError> {
        let to = int(node, "to");
        let float = Some(i64::from(data_type::FLOAT));
        let sharp = matches!(self.estimator, Some((Estimator::LinearClassifier(_), _)));
        let found = match (node.op_type.as_str(), answer, at) {
            ("Identity", answer, 0) => answer.clone(),
            ("Cast", Answer::Number | Answer::Probabilities | Answer::Probability(_), 0) if to == float => {
                answer.clone()
            }
            ("Cast", Answer::Label | Answer::OwnLabel, 0) => answer.clone(),
            ("Reshape", Answer::Number, 0) if matches!(self.ints(node, 1)?, [-1] | [-1, 1]) => answer.clone(),
            ("Reshape", Answer::Label | Answer::OwnLabel | Answer::Place, 0) => answer.clone(),
            ("Squeeze", Answer::Number | Answer::Probability(_), 0) => answer.clone(),
            // Probabilities sum to one but for rounding.
            ("Normalizer", Answer::Probabilities, 0)
                if sharp && node.attribute("norm").is_some_and(|norm| norm.s == b"L1") =>
            {
                answer.clone()
            }
            ("ArgMax", Answer::Probabilities, 0) if int(node, "axis") == Some(1) => Answer::Place,
            ("Gather", Answer::Probabilities, 0) if int(node, "axis") == Some(1) => {
                match self.constant(node, 1)?.and_then(Constant::ints) {
                    Some([place]) => match usize::try_from(*place) {
                        Ok(place) => Answer::Probability(place),
                        Err(_) => return unfit(node),
                    },
                    _ => return unfit(node),
                }
            }
            ("Gather" | "ArrayFeatureExtractor", Answer::Place, 1) => {
                let classes = match self.constant(node, 0)?.map(|constant| &constant.values) {
                    Some(Values::Ints(values)) => Classes::Int(values.clone()),
                    Some(Values::Texts(values)) => Classes::Text(values.clone()),
                    _ => return unfit(node),
                };
                self.named(classes)?;
                Answer::Label
            }
            ("LabelEncoder", Answer::Place, 0) => {
                let count = self.classes.as_ref().map_or(0, Classes::len);
                self.named(linear::class_names(node, count)?)?;
                Answer::Label
            }
            (operator, ..) => {
                return refuse(format!("{operator} behind the model is not known to the built-in engine"));
            }
        };
        self.name(Self::output(node, 0)?, Known::Answer(found))
    }

    /// Holds the classes that labels are taken from against those of the model.
    fn named(&mut self, classes: Classes) -> Result<(), ModelError> {
        match &self.classes {
            Some(own) if *own != classes => refuse(format!(
                "the classes of the model are [{}] and not [{}]",
                own.names().join(", "),
                classes.names().join(", ")
            )),
            Some(_) => Ok(()),
            None => {
                self.classes = Some(classes);
                Ok(())
            }
        }
    }

    fn finish(
        mut self,
        graph: &Graph,
        inputs: Vec<(String, FeatureType)>,
    ) -> Result<LoadedModel, ModelError> {
        let answer = |name: &str| match self.known.get(name) {
            Some(Known::Answer(answer)) => Some(answer.clone()),
            _ => None,
        };
        let outputs: Vec<(&str, Option<Answer>)> =
            graph.output.iter().map(|output| (output.name.as_str(), answer(&output.name))).collect();
        match &outputs[..] {
            [("prediction", Some(Answer::Number))] => {}
            [("prediction", None)] => {
                // Operators alone: the last one's value is the answer.
                let Some(Known::Value(slot, kind)) = self.known.get("prediction").cloned() else {
                    return refuse("nothing computes its output");
                };
                if kind.element != Element::Float || kind.shape.width() != 1 {
                    return refuse("its output is not one number per row");
                }
                let linear = LinearRegressor { features: 1, coefficients: vec![1.0], intercept: -0.0 };
                self.accept(Estimator::LinearRegressor(linear), slot)?;
            }
            [("label", Some(Answer::Label)), probabilities @ ..] => {
                let names = self.classes.as_ref().map_or_else(Vec::new, Classes::names);
                let expected = names.iter().enumerate();
                let fits =
                    expected.map(|(at, name)| (format!("probability_{name}"), Some(Answer::Probability(at))));
                if !probabilities.iter().map(|(name, answer)| ((*name).to_owned(), answer.clone())).eq(fits) {
                    return refuse("its outputs are not `label` and one probability for each class");
                }
            }
            _ => {
                return refuse(
                    "its outputs are neither `prediction` nor `label` and probabilities of the model inside",
                );
            }
        }
        let Some((estimator, features)) = self.estimator else { return refuse("it has no model") };
        if let (Some(classes), Some(count)) = (&self.classes, estimator.classes())
            && classes.len() != count
        {
            return refuse(format!("it has {} classes and {count} probabilities", classes.len()));
        }
        LoadedModel::of(inputs, self.slots, self.steps, estimator, features, self.classes)
    }
}

fn matrix(width: usize) -> Kind {
    Kind { element: Element::Float, shape: Shape::Matrix(width) }
}

fn places(node: &Node, own: &[i64], width: usize) -> Result<Vec<usize>, ModelError> {
    let fits = |place: &i64| usize::try_from(*place).ok().filter(|place| *place < width);
    match own.iter().map(fits).collect::<Option<Vec<usize>>>() {
        Some(columns) if !columns.is_empty() => Ok(columns),
        _ => unfit(node),
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
