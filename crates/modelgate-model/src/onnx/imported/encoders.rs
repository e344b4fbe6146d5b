//! The operators in front of the model that lead from one type to another: casts, categories to numbers, and what takes the
//! place of a missing text.

use super::super::constants::{Constant, Values};
use super::super::proto::{Node, data_type};
use super::super::run::{Operation, Step};
use super::{Element, Kind, Known, Loader, Shape, int, unfit};
use crate::error::ModelError;

fn texts(node: &Node, name: &str) -> Vec<String> {
    let own = node.attribute(name).map_or(&[][..], |attribute| &attribute.strings);
    own.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// Returns what a type is called, as far as it is one that exporters cast to.
fn type_name(to: Option<i32>) -> String {
    match to {
        Some(data_type::FLOAT) => "float".to_owned(),
        Some(data_type::INT32) => "int32".to_owned(),
        Some(data_type::INT64) => "int64".to_owned(),
        Some(data_type::STRING) => "string".to_owned(),
        Some(data_type::BOOL) => "bool".to_owned(),
        Some(data_type::DOUBLE) => "double (export with inputs of float32)".to_owned(),
        Some(other) => format!("the type {other}"),
        None => "no type".to_owned(),
    }
}

impl<'a> Loader<'a> {
    pub(super) fn cast(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind) = self.value(node, 0)?;
        let to = int(node, "to").and_then(|to| i32::try_from(to).ok());
        let (operation, element) = match (kind.element, to) {
            (Element::Float, Some(data_type::FLOAT))
            | (Element::Int, Some(data_type::INT64))
            | (Element::Text, Some(data_type::STRING))
            | (Element::Bool, Some(data_type::BOOL)) => {
                return self.name(Self::output(node, 0)?, Known::Value(slot, kind));
            }
            (Element::Int | Element::Bool, Some(data_type::FLOAT)) => (Operation::ToFloat, Element::Float),
            (Element::Float, Some(data_type::INT64)) => (Operation::ToInt, Element::Int),
            (Element::Int | Element::Float, Some(data_type::BOOL)) => (Operation::ToBool, Element::Bool),
            _ => return unfit(node, format!("{} to {}", kind.element, type_name(to))),
        };
        self.step(node, operation, vec![slot], Kind { element, ..kind })
    }

    /// Takes a `Where` that puts a constant where a condition holds, as imputers of text are exported.
    pub(super) fn choice(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let ((mask, condition), (slot, kind)) = (self.value(node, 0)?, self.value(node, 2)?);
        if condition.element != Element::Bool || condition.shape != kind.shape {
            return unfit(node, format!("the condition {condition} and {kind}"));
        }
        let fill = self.constant(node, 1)?;
        let operation = match (kind.element, fill.map(|constant| &constant.values)) {
            (Element::Text, Some(Values::Texts(fill))) if fill.len() == 1 => {
                Operation::WhereText(fill[0].clone())
            }
            (Element::Float, Some(Values::Floats(fill))) if fill.len() == 1 => {
                Operation::WhereRow(vec![fill[0]])
            }
            _ => return unfit(node, format!("{kind} and something else than one constant of that type")),
        };
        self.step(node, operation, vec![mask, slot], kind)
    }

    pub(super) fn label_encoder(&mut self, node: &'a Node) -> Result<(), ModelError> {
        if let Known::Constant(constant) = self.input(node, 0)? {
            let encoded = texts_of(node, constant)?;
            return self.name(Self::output(node, 0)?, Known::Constant(encoded));
        }
        let (slot, kind) = self.value(node, 0)?;
        let keys = texts(node, "keys_strings");
        if kind.element != Element::Text || keys.is_empty() {
            return unfit(node, format!("{} and {} keys of text", kind.element, keys.len()));
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
            return unfit(node, format!("values for {} keys that are no numbers", keys.len()));
        }
        let numbers = keys.into_iter().zip(floats.iter().copied()).collect();
        let default = node.attribute("default_float").map_or(-0.0, |attribute| attribute.f);
        let kind = Kind { element: Element::Float, ..kind };
        self.step(node, Operation::Number { numbers, default }, vec![slot], kind)
    }

    pub(super) fn one_hot(&mut self, node: &'a Node) -> Result<(), ModelError> {
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
            _ => {
                let categories = if named.is_empty() { "whole numbers" } else { "text" };
                return unfit(node, format!("{kind} and {width} categories of {categories}"));
            }
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

/// Returns the texts that a node makes of whole numbers that are constant: how a text is written that takes the place of a
/// missing one.
fn texts_of(node: &Node, constant: &Constant) -> Result<Constant, ModelError> {
    let keys = node.attribute("keys_int64s").map_or(&[][..], |attribute| &attribute.ints);
    let values = texts(node, "values_strings");
    let default = node.attribute("default_string").map_or(&b"_Unused"[..], |attribute| &attribute.s);
    let Some(numbers) = constant.ints().filter(|_| keys.len() == values.len()) else {
        return unfit(
            node,
            "a constant that is no list of whole numbers, or values of another type than text",
        );
    };
    let text = |number: &i64| match keys.iter().position(|key| key == number) {
        Some(at) => values[at].clone(),
        None => String::from_utf8_lossy(default).into_owned(),
    };
    Ok(Constant { dims: constant.dims.clone(), values: Values::Texts(numbers.iter().map(text).collect()) })
}
