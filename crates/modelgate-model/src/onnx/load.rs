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
use crate::error::ModelError;
use crate::estimator::{
    Boosted, Estimator, Forest, LEAF, LinearClassifier, MISSING_LEFT, Prepared, Tree, TreeNode,
};

/// A matrix wider than this is refused: no package of ours has one.
pub(super) const MAX_WIDTH: usize = 1 << 20;

/// More scores than this are refused, so that a few bytes cannot ask for much memory.
const MAX_TARGETS: usize = 1 << 14;

/// Nodes times outputs of one ensemble at most; a gigabyte of values.
const MAX_VALUES: usize = 1 << 28;

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
    estimator: Option<(Estimator, usize, Option<Classes>)>,
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

    /// Reads a graph as [`crate::export`] writes it.
    fn own(graph: &Graph) -> Result<Self, ModelError> {
        let mut loader = Loader {
            constants: graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            known: HashMap::new(),
            slots: 0,
            steps: Vec::new(),
            estimator: None,
            linear: LinearChain::default(),
        };
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
        for node in &graph.node {
            loader.node(node)?;
        }
        let Some((estimator, features, classes)) = loader.estimator else {
            return refuse("it has no TreeEnsemble and no linear model");
        };
        let classifies =
            matches!(estimator, Estimator::LinearClassifier(_) | Estimator::BoostedClassifier(_));
        if classifies && classes.is_none() {
            return refuse("the model has no classes");
        }
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
                if tensor.data_type == data_type::FLOAT && Some(tensor.float_data.len()) == width =>
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
        let unfit = || ModelError::Onnx(format!("{} does not fit its input", node.op_type));
        let int = |name: &str| node.attribute(name).map(|attribute| attribute.i);
        let float = |width| Kind { element: Element::Float, width };
        let (operation, inputs, kind) = match (node.domain.as_str(), node.op_type.as_str()) {
            // Behind the estimator they only give names to what it has computed.
            ("", "Split" | "Squeeze" | "ArgMax" | "Sub" | "Concat") | ("ai.onnx.ml", "LabelEncoder")
                if self.estimator.is_some() =>
            {
                return Ok(());
            }
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
                    || int("axis") != Some(1)
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
            ("", "Sigmoid" | "Softmax") => return self.link(node),
            ("ai.onnx.ml", "TreeEnsembleClassifier" | "TreeEnsembleRegressor" | "LinearClassifier") => {
                return self.estimator(node);
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
        let classes = match &self.estimator {
            Some((Estimator::LinearClassifier(linear), _, None)) => Some(linear.intercepts.len()),
            Some((Estimator::BoostedClassifier(boosted), _, None)) => Some(boosted.scores.max(2)),
            Some((Estimator::BoostedRegressor(_), ..)) => return Ok(false),
            _ => None,
        };
        if let (Some(count), Some((_, _, classes))) = (classes, &mut self.estimator) {
            if node.op_type == "LabelEncoder" {
                *classes = Some(linear::class_names(node, count)?);
                return Ok(true);
            }
            return Ok(false);
        }
        let features = node.input.first().and_then(|name| self.known.get(name.as_str()));
        let matrix = features.filter(|(_, kind)| kind.element == Element::Float);
        let matrix = matrix.and_then(|(slot, kind)| Some((*slot, kind.width?)));
        let constant = node.input.get(1).and_then(|name| self.constants.get(name.as_str()).copied());
        match self.linear.take(node, matrix, constant)? {
            linear::Taken::No => Ok(false),
            linear::Taken::Part => Ok(true),
            linear::Taken::Whole(slot, estimator) if self.estimator.is_none() => {
                self.estimator = Some((estimator, slot, None));
                Ok(true)
            }
            linear::Taken::Whole(..) => refuse("there is a second model"),
        }
    }

    /// Takes the function that turns scores of boosted trees into probabilities.
    fn link(&mut self, node: &Node) -> Result<(), ModelError> {
        let Some((estimator, features, classes)) = self.estimator.take() else {
            return refuse(format!("{} stands in front of the model", node.op_type));
        };
        let scores = match (&estimator, node.op_type.as_str()) {
            (Estimator::BoostedRegressor(boosted), "Sigmoid") if boosted.scores == 1 => boosted.clone(),
            (Estimator::BoostedRegressor(boosted), "Softmax") if boosted.scores > 1 => boosted.clone(),
            _ => return refuse(format!("{} does not fit the model before it", node.op_type)),
        };
        self.estimator = Some((Estimator::BoostedClassifier(scores), features, classes));
        Ok(())
    }

    fn is_axis_1(&self, node: &Node) -> bool {
        let axes = node.input.get(1).and_then(|name| self.constants.get(name.as_str()));
        axes.is_some_and(|tensor| tensor.int64_data == [1])
    }

    fn estimator(&mut self, node: &Node) -> Result<(), ModelError> {
        let (slot, kind) = self.input(node, 0)?;
        let (Element::Float, Some(features), None) = (kind.element, kind.width, &self.estimator) else {
            return refuse(format!("{} does not fit its input", node.op_type));
        };
        let found = read_estimator(node, features)?;
        self.estimator = Some((found.0, slot, found.1));
        Ok(())
    }
}

fn read_estimator(node: &Node, features: usize) -> Result<(Estimator, Option<Classes>), ModelError> {
    let classes = || -> Result<Classes, ModelError> {
        let ints = ["classlabels_int64s", "classlabels_ints"].iter().find_map(|name| node.attribute(name));
        if let Some(ints) = ints.filter(|ints| !ints.ints.is_empty()) {
            return Ok(Classes::Int(ints.ints.clone()));
        }
        match node.attribute("classlabels_strings") {
            Some(texts) if !texts.strings.is_empty() => Ok(Classes::Text(
                texts.strings.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect(),
            )),
            _ => refuse(format!("{} has no classes", node.op_type)),
        }
    };
    let transform = node.attribute("post_transform").map_or(&b"NONE"[..], |attribute| &attribute.s);
    match (node.op_type.as_str(), transform) {
        ("LinearClassifier", b"SOFTMAX") => {
            let classes = classes()?;
            let doubles = |name: &str| {
                let floats = node.attribute(name).map_or(&[][..], |attribute| &attribute.floats[..]);
                floats.iter().copied().map(f64::from).collect::<Vec<f64>>()
            };
            let linear = LinearClassifier {
                features,
                coefficients: doubles("coefficients"),
                intercepts: doubles("intercepts"),
            };
            if linear.intercepts.len() != classes.len() {
                return refuse("LinearClassifier does not have one intercept per class");
            }
            Ok((Estimator::LinearClassifier(linear), Some(classes)))
        }
        ("TreeEnsembleClassifier", b"NONE") => {
            let classes = classes()?;
            let forest = read_forest(node, features, classes.len(), "class")?;
            Ok((Estimator::ForestClassifier(forest), Some(classes)))
        }
        ("TreeEnsembleRegressor", b"NONE") => {
            let sum = node.attribute("aggregate_function").is_none_or(|attribute| attribute.s == b"SUM");
            if !sum {
                return refuse("TreeEnsembleRegressor is supported as a sum");
            }
            let targets = node.attribute("n_targets").map_or(1, |attribute| attribute.i);
            let Some(targets) =
                usize::try_from(targets).ok().filter(|targets| (1..=MAX_TARGETS).contains(targets))
            else {
                return refuse(format!("TreeEnsembleRegressor has {targets} targets"));
            };
            if let Some(base) = node.attribute("base_values") {
                let boosted = read_boosted(node, features, targets, base.floats.clone())?;
                return Ok((Estimator::BoostedRegressor(boosted), None));
            }
            if targets > 1 {
                return refuse(
                    "TreeEnsembleRegressor of several targets is supported with their base values",
                );
            }
            Ok((Estimator::ForestRegressor(read_forest(node, features, 1, "target")?), None))
        }
        (operator, transform) => {
            let transform = String::from_utf8_lossy(transform);
            refuse(format!("{operator} with the post transform {transform} is not supported"))
        }
    }
}

/// Reads trees that each add to one score.
fn read_boosted(node: &Node, features: usize, scores: usize, base: Vec<f32>) -> Result<Boosted, ModelError> {
    let Forest { mut trees, .. } = read_forest(node, features, scores, "target")?;
    for (number, tree) in trees.iter_mut().enumerate() {
        let score = number % scores;
        let stray = tree.values.iter().enumerate().any(|(at, value)| at % scores != score && *value != 0.0);
        if stray {
            return refuse(format!("tree {number} adds to another score than its own"));
        }
        tree.values = tree.values.iter().copied().skip(score).step_by(scores).collect();
    }
    Ok(Boosted { features, scores, base, trees, prepared: Prepared::default() })
}

fn read_forest(node: &Node, features: usize, outputs: usize, prefix: &str) -> Result<Forest, ModelError> {
    let ints = |name: &str| node.attribute(name).map_or(&[][..], |attribute| &attribute.ints[..]);
    let floats = |name: &str| node.attribute(name).map_or(&[][..], |attribute| &attribute.floats[..]);
    let modes = node.attribute("nodes_modes").map_or(&[][..], |attribute| &attribute.strings[..]);
    let (tree_ids, node_ids) = (ints("nodes_treeids"), ints("nodes_nodeids"));
    let (feature_ids, thresholds) = (ints("nodes_featureids"), floats("nodes_values"));
    let (trues, falses) = (ints("nodes_truenodeids"), ints("nodes_falsenodeids"));
    let count = tree_ids.len();
    let lengths =
        [node_ids.len(), modes.len(), feature_ids.len(), thresholds.len(), trues.len(), falses.len()];
    if lengths.iter().any(|length| *length != count) {
        return refuse(format!("the lists of {} differ in length", node.op_type));
    }
    let (missing_true, covers) = (ints("nodes_missing_value_tracks_true"), floats("nodes_hitrates"));
    if [missing_true.len(), covers.len()].iter().any(|length| *length != 0 && *length != count) {
        return refuse(format!("the lists of {} differ in length", node.op_type));
    }
    let name = |suffix: &str| format!("{prefix}_{suffix}");
    let (leaf_trees, leaf_nodes) = (ints(&name("treeids")), ints(&name("nodeids")));
    let (leaf_outputs, leaf_values) = (ints(&name("ids")), floats(&name("weights")));
    if [leaf_nodes.len(), leaf_outputs.len(), leaf_values.len()]
        .iter()
        .any(|length| *length != leaf_trees.len())
    {
        return refuse(format!("the leaves of {} differ in length", node.op_type));
    }
    if count.saturating_mul(outputs) > MAX_VALUES {
        return refuse(format!("{} has more values than {MAX_VALUES}", node.op_type));
    }
    let small =
        |value: i64| u32::try_from(value).map_err(|_| ModelError::Onnx(format!("{value} is no index")));
    let mut trees: Vec<Tree> = Vec::new();
    for at in 0..count {
        let tree = trees.len();
        // Trees and their nodes are numbered from 0 in order, as the exporter writes them.
        if node_ids[at] == 0 && tree_ids[at] == tree as i64 {
            trees.push(Tree::default());
        }
        let tree = trees.len();
        let Some(last) = trees.last_mut() else { return refuse("the trees are not in order") };
        if tree_ids[at] + 1 != tree as i64 || node_ids[at] != last.nodes.len() as i64 {
            return refuse("the nodes of a tree are not in order");
        }
        last.covers.extend(covers.get(at));
        last.nodes.push(match modes[at].as_slice() {
            b"LEAF" => {
                let row = last.values.len() / outputs;
                last.values.resize(last.values.len() + outputs, 0.0);
                TreeNode { feature: LEAF, threshold: 0.0, left: small(row as i64)?, right: 0 }
            }
            b"BRANCH_LEQ" => TreeNode {
                feature: small(feature_ids[at]).and_then(|feature| match missing_true.get(at) {
                    _ if feature >= MISSING_LEFT => refuse(format!("{feature} is no feature")),
                    Some(track) if *track != 0 => Ok(feature | MISSING_LEFT),
                    _ => Ok(feature),
                })?,
                threshold: thresholds[at],
                left: small(trues[at])?,
                right: small(falses[at])?,
            },
            mode => {
                return refuse(format!("the branch mode {} is not supported", String::from_utf8_lossy(mode)));
            }
        });
    }
    for at in 0..leaf_trees.len() {
        let tree = usize::try_from(leaf_trees[at]).ok().and_then(|tree| trees.get_mut(tree));
        let Some(tree) = tree else { return refuse("a leaf value is for no tree") };
        let leaf = usize::try_from(leaf_nodes[at]).ok().and_then(|node| tree.nodes.get(node)).copied();
        let output = usize::try_from(leaf_outputs[at]).ok().filter(|output| *output < outputs);
        match (leaf, output) {
            (Some(leaf), Some(output)) if leaf.feature == LEAF => {
                tree.values[leaf.left as usize * outputs + output] += leaf_values[at];
            }
            _ => return refuse("a leaf value is for no leaf"),
        }
    }
    Ok(Forest { features, outputs, trees, prepared: Prepared::default() })
}
