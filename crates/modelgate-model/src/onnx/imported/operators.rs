//! The operators in front of the model: what each takes, and the step of ours that does the same.

use super::super::constants::{Constant, Values};
use super::super::kernels::{Arithmetic, Function, Kernel, Norm};
use super::super::load::refuse;
use super::super::proto::Node;
use super::super::run::{Operation, Step};
use super::{Element, Kind, Known, Loader, Shape, first_of_ties, int, unfit};
use crate::error::ModelError;

fn unknown<T>(node: &Node) -> Result<T, ModelError> {
    let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
    refuse(format!("the operator {} of {domain} is not known to the built-in engine", node.op_type))
}

impl<'a> Loader<'a> {
    pub(super) fn node(&mut self, node: &'a Node) -> Result<(), ModelError> {
        for at in 0..node.input.len() {
            if !node.input[at].is_empty()
                && let Known::Answer(answer) = self.input(node, at)?
            {
                let answer = answer.clone();
                return self.behind(node, at, &answer);
            }
        }
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
            ("", "Cast") => self.cast(node),
            ("", "Where") => self.choice(node),
            ("", "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze") => {
                let (slot, kind) = self.value(node, 0)?;
                let shape = self.reshaped(node, kind.shape)?;
                self.name(Self::output(node, 0)?, Known::Value(slot, Kind { shape, ..kind }))
            }
            ("", "Concat") | ("ai.onnx.ml", "FeatureVectorizer") => self.concat(node),
            ("", "Add" | "Sub" | "Mul" | "Div") => self.arithmetic(node),
            ("", "MatMul") => {
                let (slot, kind, width) = self.matrix(node, 0)?;
                let Some(Constant { dims, values: Values::Floats(weights) }) = self.constant(node, 1)? else {
                    return unfit(node, "weights that are no numbers of 32 bits");
                };
                let ([rows, outputs], Shape::Matrix(_)) = (&dims[..], kind.shape) else {
                    return unfit(node, format!("{kind} times weights of shape {dims:?}"));
                };
                if *rows != width || *outputs == 0 {
                    return unfit(node, format!("{kind} times weights of shape {dims:?}"));
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
                            _ => unfit(node, "a bound that is not one number of 32 bits"),
                        },
                    }
                };
                let kernel =
                    Kernel::Clip { low: bound(1, "min", f32::MIN)?, high: bound(2, "max", f32::MAX)? };
                self.step(node, Operation::Matrix(kernel, width), vec![slot], kind)
            }
            ("", "ArgMax") => {
                let (slot, kind, width) = self.matrix(node, 0)?;
                let fits = int(node, "axis") == Some(1) && first_of_ties(node);
                if width == 0 || !fits || !matches!(kind.shape, Shape::Matrix(_)) {
                    let axis = int(node, "axis").unwrap_or(0);
                    return unfit(
                        node,
                        format!("{kind} along axis {axis}, or with the last of equal values,"),
                    );
                }
                let shape = if int(node, "keepdims") == Some(0) { Shape::Column } else { Shape::Matrix(1) };
                self.step(node, Operation::ArgMax, vec![slot], Kind { element: Element::Int, shape })
            }
            ("", "Gather") => {
                let (_, kind) = self.value(node, 0)?;
                let axis = int(node, "axis").unwrap_or(0);
                let Some(constant) = self.constant(node, 1)? else { return unfit(node, "no places") };
                let shape = match (&constant.dims[..], axis, kind.shape) {
                    ([], 1 | -1, Shape::Matrix(_)) => Shape::Column,
                    ([count], 1 | -1, Shape::Matrix(_)) => Shape::Matrix(*count),
                    ([count], 2 | -1, Shape::Cube(_)) => Shape::Cube(*count),
                    (dims, ..) => {
                        return unfit(node, format!("places of shape {dims:?} along axis {axis} of {kind}"));
                    }
                };
                self.select(node, shape)
            }
            ("ai.onnx.ml", "ArrayFeatureExtractor") => {
                let (_, kind) = self.value(node, 0)?;
                let Shape::Matrix(_) = kind.shape else { return unfit(node, kind) };
                let count = self.ints(node, 1)?.len();
                self.select(node, Shape::Matrix(count))
            }
            ("ai.onnx.ml", "Scaler") => {
                let (offset, scale) = (self.row(node, "offset", 0)?, self.row(node, "scale", 0)?);
                self.number_step(node, Kernel::Scale { offset, scale })
            }
            ("ai.onnx.ml", "Imputer") => {
                if node.attribute("imputed_value_floats").is_none() {
                    return unfit(node, "no `imputed_value_floats`");
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
                    other => return unfit(node, format!("norm `{}`", String::from_utf8_lossy(other))),
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
        let operation = match kind.element {
            Element::Float => Operation::Matrix(Kernel::Select(columns), width),
            Element::Text => Operation::SelectTexts(columns, width),
            Element::Int | Element::Bool => return unfit(node, kind),
        };
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
            values => unfit(node, format!("{} values in `{name}` for {kind}", values.len())),
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
            Element::Text | Element::Bool => return unfit(node, self.value(node, 0)?.1),
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
                ref to => unfit(node, format!("{shape} brought to {to:?}")),
            },
            "Flatten" => match int(node, "axis").unwrap_or(1) {
                1 => Ok(Shape::Matrix(width)),
                axis => unfit(node, format!("axis {axis}")),
            },
            "Squeeze" => match (&axes()?[..], shape) {
                ([1 | -1], Shape::Matrix(1)) => Ok(Shape::Column),
                ([1], Shape::Cube(width)) => Ok(Shape::Matrix(width)),
                (axes, _) => unfit(node, format!("axes {axes:?} of {shape}")),
            },
            _ => match (&axes()?[..], shape) {
                ([1 | -1], Shape::Column) => Ok(Shape::Matrix(1)),
                (axes, _) => unfit(node, format!("axes {axes:?} of {shape}")),
            },
        }
    }

    /// Puts columns side by side: `Concat` along the last axis, or `FeatureVectorizer`, which has no other.
    fn concat(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let parts = (0..node.input.len()).map(|at| self.value(node, at)).collect::<Result<Vec<_>, _>>()?;
        let Some((_, first)) = parts.first().copied() else { return unfit(node, "no input") };
        let is_cube = matches!(first.shape, Shape::Cube(_));
        let axis = if node.op_type == "Concat" { int(node, "axis").unwrap_or(0) } else { -1 };
        let other = parts.iter().map(|(_, kind)| *kind).find(|kind| {
            kind.element != first.element
                || kind.shape == Shape::Column
                || matches!(kind.shape, Shape::Cube(_)) != is_cube
        });
        if let Some(other) = other {
            return unfit(node, format!("{other} beside {first}"));
        }
        let last = if is_cube { [2, -1] } else { [1, -1] };
        if !last.contains(&axis) || first.element == Element::Bool {
            return unfit(node, format!("{first} along axis {axis}"));
        }
        let widths: Vec<usize> = parts.iter().map(|(_, kind)| kind.shape.width()).collect();
        if node.op_type == "FeatureVectorizer" {
            let said = node.attribute("inputdimensions").map_or(&[][..], |attribute| &attribute.ints);
            let fits = said.iter().copied().eq(widths.iter().map(|width| *width as i64));
            if !fits || first.element != Element::Float {
                return unfit(node, format!("`inputdimensions` {said:?} of {first}"));
            }
        }
        let total = widths.iter().fold(0_usize, |sum, width| sum.saturating_add(*width));
        let shape = if is_cube { Shape::Cube(total) } else { Shape::Matrix(total) };
        let inputs = parts.iter().map(|(slot, _)| *slot).collect();
        self.step(node, Operation::Concat(widths), inputs, Kind { shape, ..first })
    }

    fn arithmetic(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let Some(arithmetic) = Arithmetic::of(&node.op_type) else { return unknown(node) };
        let reversed = matches!(self.input(node, 0)?, Known::Constant(_));
        let (slot, kind, width) = self.matrix(node, usize::from(reversed))?;
        let Known::Constant(constant) = self.input(node, usize::from(!reversed))? else {
            let (other, right) = self.value(node, 1)?;
            if right != kind {
                return unfit(node, format!("{kind} and {right}"));
            }
            return self.step(node, Operation::Pair(arithmetic), vec![slot, other], kind);
        };
        let Some(values) = constant.floats() else {
            return unfit(node, "a constant that is no number of 32 bits");
        };
        let row = match (values, &constant.dims[..]) {
            ([one], [] | [1] | [1, 1]) => vec![*one; width],
            (values, [length] | [1, length])
                if *length == width && matches!(kind.shape, Shape::Matrix(_)) =>
            {
                values.to_vec()
            }
            (_, dims) => return unfit(node, format!("{kind} and a constant of shape {dims:?}")),
        };
        let kernel = Kernel::ByRow { arithmetic, row, reversed };
        self.step(node, Operation::Matrix(kernel, width), vec![slot], kind)
    }

    fn gemm(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind, width) = self.matrix(node, 0)?;
        let factor = |name: &str| node.attribute(name).map_or(1.0, |attribute| attribute.f);
        let (alpha, beta) = (factor("alpha"), factor("beta"));
        if int(node, "transA").unwrap_or(0) != 0 {
            return unfit(node, "`transA`");
        }
        let Some(Constant { dims, values: Values::Floats(own) }) = self.constant(node, 1)? else {
            return unfit(node, "weights that are no numbers of 32 bits");
        };
        let transposed = int(node, "transB").unwrap_or(0) != 0;
        let (rows, outputs) = match (&dims[..], transposed, kind.shape) {
            ([rows, outputs], false, Shape::Matrix(_)) | ([outputs, rows], true, Shape::Matrix(_))
                if *rows == width && *outputs > 0 =>
            {
                (*rows, *outputs)
            }
            _ => return unfit(node, format!("{kind} times weights of shape {dims:?}")),
        };
        let mut weights: Vec<f32> = if transposed {
            (0..rows).flat_map(|row| own.iter().skip(row).step_by(rows)).copied().collect()
        } else {
            own.clone()
        };
        weights.iter_mut().for_each(|weight| *weight *= alpha);
        let bias = match self.constant(node, 2)? {
            None => None,
            Some(constant) => match constant.floats() {
                Some([one]) => Some(vec![*one * beta; outputs]),
                Some(values) if values.len() == outputs => {
                    Some(values.iter().map(|value| value * beta).collect())
                }
                _ => return unfit(node, format!("a bias of shape {:?}", constant.dims)),
            },
        };
        let product = Operation::Matrix(Kernel::MatMul { weights, outputs }, width);
        let Some(row) = bias else { return self.step(node, product, vec![slot], matrix(outputs)) };
        let middle = self.slot(matrix(outputs))?;
        self.steps.push(Step { operation: product, inputs: vec![slot], output: middle, is_last_use: false });
        let kernel = Kernel::ByRow { arithmetic: Arithmetic::Add, row, reversed: false };
        self.step(node, Operation::Matrix(kernel, outputs), vec![middle], matrix(outputs))
    }
}

fn matrix(width: usize) -> Kind {
    Kind { element: Element::Float, shape: Shape::Matrix(width) }
}

fn places(node: &Node, own: &[i64], width: usize) -> Result<Vec<usize>, ModelError> {
    let fits = |place: &i64| usize::try_from(*place).ok().filter(|place| *place < width);
    match own.iter().map(fits).collect::<Option<Vec<usize>>>() {
        Some(columns) if !columns.is_empty() => Ok(columns),
        _ => unfit(node, format!("the places {own:?} of {width} columns")),
    }
}
