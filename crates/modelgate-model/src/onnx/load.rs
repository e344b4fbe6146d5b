//! A package's ONNX graph to something that predicts: checked as a whole when it is loaded, so that a graph that
//! loads can be asked without panic, whatever its bytes.
//!
//! Each value has a kind and a width that are known before any row is seen; a node that does not fit them is
//! refused with its operator's name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use modelgate_core::schema::{Classes, FeatureType};
use prost::Message;

use super::imported;
use super::linear::{self, LinearChain};
use super::proto::{Graph, Model, Node, data_type};
use super::run::{Operation, Step};
use super::runtime::Runtime;
use super::scopes;
use super::written;
use crate::error::ModelError;
use crate::estimator::Estimator;

/// A matrix wider than this is refused: no package of ours has one.
pub(super) const MAX_WIDTH: usize = 1 << 20;

/// A model that can be asked.
#[derive(Clone, Debug)]
pub struct LoadedModel {
    pub(super) inputs: Vec<(String, FeatureType)>,
    pub(super) slots: usize,
    pub(super) steps: Vec<Step>,
    /// The fitted model; `None` where ONNX Runtime has it.
    pub(super) estimator: Option<Estimator>,
    pub(super) runtime: Option<Arc<Runtime>>,
    /// The slot of the preprocessed features.
    pub(super) features: usize,
    classes: Option<Classes>,
}

/// What a value is before any row is seen; `width` is `None` for rank 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kind {
    element: Element,
    width: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Element {
    Int,
    Float,
    Text,
    Bool,
}

pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError::Onnx(reason.into()))
}

struct Loader<'a> {
    constants: BTreeMap<&'a str, &'a super::proto::Tensor>,
    known: HashMap<&'a str, (usize, Kind)>,
    slots: usize,
    steps: Vec<Step>,
    /// The model as far as its own nodes say, and the slot of its features.
    estimator: Option<(Estimator, usize)>,
    linear: LinearChain,
}

impl LoadedModel {
    /// Reads an ONNX model.
    ///
    /// # Errors
    /// Fails when the bytes are no model, an operator is not supported, or the graph makes no sense.
    pub fn load(bytes: &[u8]) -> Result<Self, ModelError> {
        let model = Model::decode(bytes)
            .map_err(|error| ModelError::Onnx(format!("it is not a protobuf: {error}")))?;
        let Some(graph) = &model.graph else { return refuse("it has no graph") };
        // What is not as modelgate writes it may still be what exporters write.
        let known = Self::own(graph).or_else(|_| imported::load(graph));
        known.or_else(|unknown| {
            let checked = scopes::check(graph).and_then(|()| Runtime::load(graph, bytes));
            let loaded = checked.map(Self::of_runtime);
            loaded.map_err(|error| match (unknown, error) {
                (ModelError::Onnx(unknown), ModelError::Onnx(reason)) => {
                    ModelError::Onnx(format!("{unknown}; ONNX Runtime may take it, but {reason}"))
                }
                (unknown, _) => unknown,
            })
        })
    }

    /// Reads a graph as [`crate::export`] writes it: nothing is taken for what it is not.
    pub(super) fn own(graph: &Graph) -> Result<Self, ModelError> {
        let mut loader = Loader {
            constants: graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            known: HashMap::new(),
            slots: 0,
            steps: Vec::new(),
            estimator: None,
            linear: LinearChain::default(),
        };
        if loader.constants.len() != graph.initializer.len() || !graph.sparse_initializer.is_empty() {
            return refuse("its constants are not as modelgate writes them");
        }
        let mut inputs = Vec::new();
        for input in &graph.input {
            let tensor = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
            let rank = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| shape.dim.len());
            let (feature_type, element) = match tensor.map(|tensor| tensor.element) {
                _ if rank != Some(1) => {
                    return refuse(format!("the input `{}` is not of rank 1", input.name));
                }
                Some(data_type::INT64) => (FeatureType::Int, Element::Int),
                Some(data_type::FLOAT) => (FeatureType::Float, Element::Float),
                Some(data_type::STRING) => (FeatureType::Text, Element::Text),
                _ => return refuse(format!("the input `{}` is not int64, float32 or string", input.name)),
            };
            loader.define(&input.name, Kind { element, width: None })?;
            inputs.push((input.name.clone(), feature_type));
        }
        let mut nodes = graph.node.iter().enumerate();
        let (last, (estimator, features)) = loop {
            let Some((at, node)) = nodes.next() else {
                return refuse("it has no TreeEnsemble and no linear model");
            };
            loader.node(node)?;
            if let Some(found) = loader.estimator.take() {
                break (at, found);
            }
        };
        let (estimator, classes) = written::answers(graph, last, estimator)?;
        Self::of(inputs, loader.slots, loader.steps, estimator, features, classes)
    }

    /// Makes a model of checked steps.
    pub(super) fn of(
        inputs: Vec<(String, FeatureType)>,
        slots: usize,
        mut steps: Vec<Step>,
        estimator: Estimator,
        features: usize,
        classes: Option<Classes>,
    ) -> Result<Self, ModelError> {
        estimator.validate()?;
        let mut needed = vec![false; slots];
        needed[features] = true;
        for step in steps.iter_mut().rev() {
            step.is_last_use = step.inputs.first().is_some_and(|slot| !needed[*slot]);
            step.inputs.iter().for_each(|slot| needed[*slot] = true);
        }
        Ok(Self { inputs, slots, steps, estimator: Some(estimator), runtime: None, features, classes })
    }

    fn of_runtime(runtime: Runtime) -> Self {
        let form = runtime.form().clone();
        Self {
            inputs: form.inputs,
            slots: 0,
            steps: Vec::new(),
            estimator: None,
            runtime: Some(Arc::new(runtime)),
            features: 0,
            classes: form.classes,
        }
    }

    /// Returns the raw columns it takes, in order.
    pub fn inputs(&self) -> &[(String, FeatureType)] {
        &self.inputs
    }

    /// Returns the fitted model inside; `None` where ONNX Runtime has it, which does not show it.
    pub fn estimator(&self) -> Option<&Estimator> {
        self.estimator.as_ref()
    }

    /// Returns the same graph around another fitted model of as many features.
    ///
    /// # Errors
    /// Fails when `estimator` cannot be asked, and for a model that ONNX Runtime runs.
    pub fn with_estimator(&self, estimator: Estimator) -> Result<Self, ModelError> {
        if self.estimator.is_none() {
            return refuse("a model that ONNX Runtime runs cannot be taken apart");
        }
        estimator.validate()?;
        Ok(Self { estimator: Some(estimator), ..self.clone() })
    }

    /// Returns the classes in output order; `None` for regression.
    pub fn classes(&self) -> Option<&Classes> {
        self.classes.as_ref()
    }
}

impl<'a> Loader<'a> {
    fn define(&mut self, name: &'a str, kind: Kind) -> Result<usize, ModelError> {
        if self.known.contains_key(name) || self.constants.contains_key(name) {
            return refuse(format!("the value `{name}` is defined twice"));
        }
        if kind.width.is_some_and(|width| width > MAX_WIDTH) {
            return refuse(format!("the value `{name}` is wider than {MAX_WIDTH}"));
        }
        let slot = self.slots;
        self.slots += 1;
        self.known.insert(name, (slot, kind));
        Ok(slot)
    }

    fn input(&self, node: &Node, index: usize) -> Result<(usize, Kind), ModelError> {
        let found = node.input.get(index).and_then(|name| self.known.get(name.as_str()));
        found
            .copied()
            .ok_or_else(|| ModelError::Onnx(format!("an input of {} is not defined before it", node.op_type)))
    }

    /// Returns a constant row that fits a matrix of this width.
    fn row(&self, node: &Node, index: usize, width: Option<usize>) -> Result<Vec<f32>, ModelError> {
        let tensor = node.input.get(index).and_then(|name| self.constants.get(name.as_str()));
        match tensor {
            Some(tensor)
                if tensor.data_type == data_type::FLOAT
                    && Some(tensor.float_data.len()) == width
                    && tensor.dims == [tensor.float_data.len() as i64] =>
            {
                Ok(tensor.float_data.clone())
            }
            _ => refuse(format!("a constant of {} does not fit", node.op_type)),
        }
    }

    fn node(&mut self, node: &'a Node) -> Result<(), ModelError> {
        if self.linear_node(node)? {
            return Ok(());
        }
        let ensemble = ["TreeEnsembleClassifier", "TreeEnsembleRegressor"];
        if node.domain == "ai.onnx.ml" && ensemble.contains(&node.op_type.as_str()) {
            return self.ensemble(node);
        }
        written::only(node, known_attributes(&node.op_type))?;
        let unfit = || ModelError::Onnx(format!("{} does not fit its input", node.op_type));
        let int = |name: &str| node.attribute(name).map(|attribute| attribute.i);
        let float = |width| Kind { element: Element::Float, width };
        let (operation, inputs, kind) = match (node.domain.as_str(), node.op_type.as_str()) {
            ("", "Cast") => {
                let (slot, kind) = self.input(node, 0)?;
                if kind.element != Element::Int || int("to") != Some(i64::from(data_type::FLOAT)) {
                    return Err(unfit());
                }
                (Operation::ToFloat, vec![slot], float(kind.width))
            }
            ("", "Unsqueeze") => {
                let (slot, kind) = self.input(node, 0)?;
                if kind != float(None) || !self.is_axis_1(node) {
                    return Err(unfit());
                }
                (Operation::Column, vec![slot], float(Some(1)))
            }
            ("", "Concat") => {
                let parts = (0..node.input.len())
                    .map(|index| self.input(node, index))
                    .collect::<Result<Vec<_>, _>>()?;
                let widths: Option<Vec<usize>> = parts
                    .iter()
                    .map(|(_, kind)| kind.width.filter(|_| kind.element == Element::Float))
                    .collect();
                let widths = widths.filter(|_| int("axis") == Some(1)).ok_or_else(unfit)?;
                let width = widths
                    .iter()
                    .try_fold(0_usize, |sum, width| sum.checked_add(*width))
                    .ok_or_else(unfit)?;
                (Operation::Concat(widths), parts.iter().map(|(slot, _)| *slot).collect(), float(Some(width)))
            }
            ("", "IsNaN") => {
                let (slot, kind) = self.input(node, 0)?;
                if kind.element != Element::Float || kind.width.is_none() {
                    return Err(unfit());
                }
                (Operation::IsNan, vec![slot], Kind { element: Element::Bool, width: kind.width })
            }
            ("", "Where") => {
                let ((mask, mask_kind), (matrix, kind)) = (self.input(node, 0)?, self.input(node, 2)?);
                if mask_kind.element != Element::Bool || kind != float(mask_kind.width) {
                    return Err(unfit());
                }
                (Operation::WhereRow(self.row(node, 1, kind.width)?), vec![mask, matrix], kind)
            }
            ("", "Sub" | "Div") => {
                let (slot, kind) = self.input(node, 0)?;
                if kind.element != Element::Float {
                    return Err(unfit());
                }
                let row = self.row(node, 1, kind.width)?;
                let operation = if node.op_type == "Sub" {
                    Operation::SubtractRow(row)
                } else {
                    Operation::DivideRow(row)
                };
                (operation, vec![slot], kind)
            }
            ("", "ArgMax") => {
                let (slot, kind) = self.input(node, 0)?;
                if kind.element != Element::Float
                    || kind.width.is_none_or(|width| width == 0)
                    || [int("axis"), int("keepdims")] != [Some(1); 2]
                {
                    return Err(unfit());
                }
                (Operation::ArgMax, vec![slot], Kind { element: Element::Int, width: Some(1) })
            }
            ("ai.onnx.ml", "LabelEncoder") => {
                let (slot, kind) = self.input(node, 0)?;
                let (Some(keys), Some(values)) =
                    (node.attribute("keys_strings"), node.attribute("values_int64s"))
                else {
                    return Err(unfit());
                };
                if kind.element != Element::Text || keys.strings.len() != values.ints.len() {
                    return Err(unfit());
                }
                let keys = keys.strings.iter().map(|key| String::from_utf8_lossy(key).into_owned());
                let positions = keys.zip(values.ints.iter().copied()).collect();
                let default = int("default_int64").unwrap_or(-1);
                (
                    Operation::Position { positions, default },
                    vec![slot],
                    Kind { element: Element::Int, width: None },
                )
            }
            ("ai.onnx.ml", "OneHotEncoder") => {
                let (slot, kind) = self.input(node, 0)?;
                let categories = node.attribute("cats_int64s").map_or(&[][..], |attribute| &attribute.ints);
                let in_order = categories.iter().enumerate().all(|(at, category)| at as i64 == *category);
                if kind != (Kind { element: Element::Int, width: None }) || categories.is_empty() || !in_order
                {
                    return Err(unfit());
                }
                let operation =
                    Operation::OneHot { width: categories.len(), strict: int("zeros") == Some(0) };
                (operation, vec![slot], float(Some(categories.len())))
            }
            (domain, operator) => {
                let domain = if domain.is_empty() { "ai.onnx" } else { domain };
                return refuse(format!("the operator {operator} of {domain} is not supported"));
            }
        };
        let name = node.output.first().ok_or_else(unfit)?;
        let output = self.define(name, kind)?;
        self.steps.push(Step { operation, inputs, output, is_last_use: false });
        Ok(())
    }

    /// Takes a node that is part of a linear model; returns whether it is.
    fn linear_node(&mut self, node: &'a Node) -> Result<bool, ModelError> {
        let features = node.input.first().and_then(|name| self.known.get(name.as_str()));
        let matrix = features.filter(|(_, kind)| kind.element == Element::Float);
        let matrix = matrix.and_then(|(slot, kind)| Some((*slot, kind.width?)));
        let constant = node.input.get(1).and_then(|name| self.constants.get(name.as_str()).copied());
        match self.linear.take(node, matrix, constant)? {
            linear::Taken::No => Ok(false),
            linear::Taken::Part => Ok(true),
            linear::Taken::Whole(slot, estimator) => {
                self.estimator = Some((estimator, slot));
                Ok(true)
            }
        }
    }

    fn is_axis_1(&self, node: &Node) -> bool {
        let axes = node.input.get(1).and_then(|name| self.constants.get(name.as_str()));
        axes.is_some_and(|tensor| tensor.int64_data == [1] && tensor.dims == [1])
    }

    fn ensemble(&mut self, node: &Node) -> Result<(), ModelError> {
        let (slot, kind) = self.input(node, 0)?;
        let (Element::Float, Some(features)) = (kind.element, kind.width) else {
            return refuse(format!("{} does not fit its input", node.op_type));
        };
        self.estimator = Some((written::ensemble(node, features)?, slot));
        Ok(())
    }
}

/// Returns the attributes of an operator in front of the model that are taken into account.
fn known_attributes(operator: &str) -> &'static [&'static str] {
    match operator {
        "Cast" => &["to"],
        "Concat" => &["axis"],
        "ArgMax" => &["axis", "keepdims"],
        "LabelEncoder" => &["keys_strings", "values_int64s", "default_int64"],
        "OneHotEncoder" => &["cats_int64s", "zeros"],
        _ => &[],
    }
}
