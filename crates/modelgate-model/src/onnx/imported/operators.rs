//! The operators in front of the model: what each takes, and the step of ours that does the same.

use super::super::constants::{Constant, Values};
use super::super::kernels::{Arithmetic, Function, Kernel, Norm};
use super::super::load::refuse;
use super::super::proto::{Node, data_type};
use super::super::run::{Operation, Step};
use super::{Element, Kind, Known, Loader, Shape, first_of_ties, int, unfit};
use crate::error::ModelError;

fn unknown<T>(node: &Node) -> Result<T, ModelError> {
    let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
    refuse(format!("the operator {} of {domain} is not known to the built-in engine", node.op_type))
}

fn texts(node: &Node, name: &str) -> Vec<String> {
    let own = node.attribute(name).map_or(&[][..], |attribute| &attribute.strings);
    own.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
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
                let fits = int(node, "axis") == Some(1) && first_of_ties(node);
                if width == 0 || !fits || !matches!(kind.shape, Shape::Matrix(_)) {
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
