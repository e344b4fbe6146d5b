//! Building a graph node by node.

use modelgate_core::schema::Classes;

use super::proto::{
    Attribute, Dimension, Graph, Node, Shape, Tensor, TensorType, Type, ValueInfo, attribute_kind, data_type,
};

/// A graph in the making.
#[derive(Default)]
pub(crate) struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    pub(crate) fn input(&mut self, name: &str, element: i32) {
        self.graph.input.push(vector(name, element));
    }

    pub(crate) fn output(&mut self, name: &str, element: i32) {
        self.graph.output.push(vector(name, element));
    }

    pub(crate) fn floats(&mut self, name: &str, values: &[f32]) {
        let (dims, data_type) = (vec![values.len() as i64], data_type::FLOAT);
        let tensor = Tensor {
            dims,
            data_type,
            float_data: values.to_vec(),
            name: name.to_owned(),
            ..Tensor::default()
        };
        self.graph.initializer.push(tensor);
    }

    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) {
        let (dims, data_type) = (vec![values.len() as i64], data_type::INT64);
        let tensor = Tensor {
            dims,
            data_type,
            int64_data: values.to_vec(),
            name: name.to_owned(),
            ..Tensor::default()
        };
        self.graph.initializer.push(tensor);
    }

    /// A constant of one whole number without a shape.
    pub(crate) fn int_scalar(&mut self, name: &str, value: i64) {
        let (data_type, int64_data) = (data_type::INT64, vec![value]);
        let tensor = Tensor { data_type, int64_data, name: name.to_owned(), ..Tensor::default() };
        self.graph.initializer.push(tensor);
    }

    /// A constant of the classes; returns its type.
    pub(crate) fn classes(&mut self, name: &str, classes: &Classes) -> i32 {
        let dims = vec![classes.len() as i64];
        let tensor = match classes {
            Classes::Int(values) => Tensor {
                dims,
                data_type: data_type::INT64,
                int64_data: values.clone(),
                name: name.to_owned(),
                ..Tensor::default()
            },
            Classes::Text(values) => Tensor {
                dims,
                data_type: data_type::STRING,
                string_data: values.iter().map(|value| value.as_bytes().to_vec()).collect(),
                name: name.to_owned(),
                ..Tensor::default()
            },
        };
        let element = tensor.data_type;
        self.graph.initializer.push(tensor);
        element
    }

    /// A constant of doubles of any shape.
    pub(crate) fn doubles(&mut self, name: &str, dims: &[usize], values: Vec<f64>) {
        let tensor = Tensor {
            dims: dims.iter().map(|size| *size as i64).collect(),
            data_type: data_type::DOUBLE,
            double_data: values,
            name: name.to_owned(),
            ..Tensor::default()
        };
        self.graph.initializer.push(tensor);
    }

    pub(crate) fn node(&mut self, operator: &str, inputs: &[&str], outputs: &[&str]) -> &mut Node {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let name = format!("{operator}_{}", self.graph.node.len());
        let node = Node {
            input: owned(inputs),
            output: owned(outputs),
            name,
            op_type: operator.to_owned(),
            ..Node::default()
        };
        self.graph.node.push(node);
        let last = self.graph.node.len() - 1;
        &mut self.graph.node[last]
    }

    /// Stacks matrices side by side; one alone stays as it is.
    pub(crate) fn concat(&mut self, parts: &[String], output: &str) -> String {
        if let [only] = parts {
            return only.clone();
        }
        let inputs: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.node("Concat", &inputs, &[output]).int("axis", 1);
        output.to_owned()
    }

    pub(crate) fn finish(mut self, name: &str) -> Graph {
        name.clone_into(&mut self.graph.name);
        self.graph
    }
}

fn vector(name: &str, element: i32) -> ValueInfo {
    let dimension = Dimension { value: None, param: Some("N".to_owned()) };
    let tensor = TensorType { element, shape: Some(Shape { dim: vec![dimension] }) };
    ValueInfo { name: name.to_owned(), kind: Some(Type { tensor: Some(tensor) }) }
}

impl Node {
    fn push(&mut self, name: &str, attribute: Attribute) -> &mut Self {
        self.attribute.push(Attribute { name: name.to_owned(), ..attribute });
        self
    }

    /// Moves the node to the domain of classical machine learning.
    pub(crate) fn ml(&mut self) -> &mut Self {
        "ai.onnx.ml".clone_into(&mut self.domain);
        self
    }

    pub(crate) fn int(&mut self, name: &str, i: i64) -> &mut Self {
        self.push(name, Attribute { i, kind: attribute_kind::INT, ..Attribute::default() })
    }

    pub(crate) fn ints(&mut self, name: &str, ints: Vec<i64>) -> &mut Self {
        self.push(name, Attribute { ints, kind: attribute_kind::INTS, ..Attribute::default() })
    }

    pub(crate) fn floats(&mut self, name: &str, floats: Vec<f32>) -> &mut Self {
        self.push(name, Attribute { floats, kind: attribute_kind::FLOATS, ..Attribute::default() })
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        let s = text.as_bytes().to_vec();
        self.push(name, Attribute { s, kind: attribute_kind::STRING, ..Attribute::default() })
    }

    pub(crate) fn strings(&mut self, name: &str, strings: Vec<Vec<u8>>) -> &mut Self {
        self.push(name, Attribute { strings, kind: attribute_kind::STRINGS, ..Attribute::default() })
    }

    /// Returns the attribute called `name`.
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }
}
