//! A graph as exporters write it in the form of a package: one rank-1 input per column in front of it, `label` and
//! `probability_<class>` or `prediction` behind it. Its own nodes stay as they are, under names with a prefix, and so do
//! those of graphs inside nodes; `ZipMap` and what leads to no answer are left out.
//!
//! The added nodes are of operators that have not changed since opset 7, since exporters say the lowest one that fits.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use modelgate_core::schema::{Classes, Feature, FeatureSchema, FeatureType};
use prost::Message;

use super::graph::GraphBuilder;
use super::input_names::takes;
use super::load::refuse;
use super::proto::{Graph, Model, ValueInfo, data_type};
use super::scopes;
use super::wire::{Field, fields, push};
use crate::error::ModelError;

/// What the names of the graph's own values begin with.
const PREFIX: &str = "imported/";

/// An input or output: its type and shape, as far as they are said; `None` for a size that is not fixed.
struct Port {
    element: i32,
    dims: Option<Vec<Option<i64>>>,
}

impl Port {
    fn of(info: &ValueInfo) -> Option<Self> {
        let tensor = info.kind.as_ref()?.tensor.as_ref()?;
        let dims = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(|dim| dim.value).collect());
        Some(Self { element: tensor.element, dims })
    }

    /// Returns the columns of a matrix, where that is said.
    fn width(&self) -> Option<i64> {
        match self.dims.as_deref() {
            Some([_, width]) => *width,
            _ => None,
        }
    }

    fn rank(&self) -> Option<usize> {
        self.dims.as_ref().map(Vec::len)
    }
}

/// Returns the inputs that are asked for: a constant may be listed among them too.
fn inputs(graph: &Graph) -> Vec<&ValueInfo> {
    let is_constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    graph.input.iter().filter(|input| !is_constant(&input.name)).collect()
}

/// Returns whether a graph has the form of a package already.
pub(crate) fn is_package(model: &Model) -> bool {
    let Some(graph) = &model.graph else { return false };
    let ranked = inputs(graph).iter().all(|input| Port::of(input).and_then(|port| port.rank()) == Some(1));
    ranked && graph.output.iter().any(|output| ["label", "prediction"].contains(&output.name.as_str()))
}

/// Returns `bytes` in the form of a package for data of `schema`.
///
/// # Errors
/// Says which input or output does not fit the schema.
pub(crate) fn wrap(bytes: &[u8], schema: &FeatureSchema) -> Result<Vec<u8>, ModelError> {
    let model =
        Model::decode(bytes).map_err(|error| ModelError::Onnx(format!("it is not a protobuf: {error}")))?;
    let Some(graph) = &model.graph else { return refuse("it has no graph") };
    if is_package(&model) {
        return Ok(bytes.to_vec());
    }
    scopes::check(graph)?;
    let mut before = GraphBuilder::default();
    bind(&mut before, &inputs(graph), schema)?;
    let (answer, element) = answer(graph, schema)?;
    let mut after = GraphBuilder::default();
    finish(&mut after, schema, &format!("{PREFIX}{answer}"), element);
    let (kept, used) = needed(graph, &answer);
    let (mut before, mut after) = (before.finish("modelgate"), after.finish("modelgate"));
    // ONNX Runtime takes no two nodes of one name.
    for (part, graph) in [("before", &mut before), ("after", &mut after)] {
        for node in &mut graph.node {
            node.name = format!("modelgate/{part}/{}", node.name);
        }
    }

    let mut whole = Vec::new();
    for field in fields(bytes)? {
        match (field.number, field.bytes) {
            (7, Some(own)) => {
                let mut inner = before.encode_to_vec();
                inner.extend(renamed(own, &kept, &used)?);
                inner.extend(after.encode_to_vec());
                push(&mut whole, 7, &inner);
            }
            (25, _) => return refuse("it has functions of its own, which are not read"),
            _ => whole.extend_from_slice(field.whole),
        }
    }
    Ok(whole)
}

/// Brings the columns to the graph's inputs.
fn bind(builder: &mut GraphBuilder, inputs: &[&ValueInfo], schema: &FeatureSchema) -> Result<(), ModelError> {
    for feature in &schema.features {
        let element = match feature.feature_type {
            FeatureType::Int => data_type::INT64,
            FeatureType::Float => data_type::FLOAT,
            FeatureType::Text => data_type::STRING,
        };
        builder.input(&feature.name, element);
    }
    builder.ints("modelgate/column", &[-1, 1]);
    let listed = |names: Vec<&str>| names.join(", ");
    let columns = || listed(schema.features.iter().map(|feature| feature.name.as_str()).collect());
    let ports: Option<Vec<Port>> = inputs.iter().map(|input| Port::of(input)).collect();
    let Some(ports) = ports else { return refuse("an input is no tensor") };
    let name = |input: &ValueInfo| format!("{PREFIX}{}", input.name);
    if let ([input], [port]) = (inputs, &ports[..])
        && port.rank() == Some(2)
        && (schema.features.len() != 1 || input.name != schema.features[0].name)
    {
        let width = port.dims.as_ref().and_then(|dims| dims.get(1).copied().flatten());
        if width.is_some_and(|width| width != schema.features.len() as i64) {
            return refuse(format!(
                "its input `{}` takes {} columns and the data has {}: [{}]; columns that it does not take belong in \
                 `preprocess.drop`",
                input.name,
                width.unwrap_or_default(),
                schema.features.len(),
                columns()
            ));
        }
        let mut parts = Vec::new();
        for (at, feature) in schema.features.iter().enumerate() {
            let part = format!("modelgate/column_{at}");
            column(builder, feature, port.element, true, &part)?;
            parts.push(part);
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        builder.node("Concat", &parts, &[&name(input)]).int("axis", 1);
        return Ok(());
    }
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let of_column = |feature: &&Feature| names.iter().any(|input| takes(input, &names, feature, schema));
    if let Some(feature) = schema.features.iter().find(|feature| !of_column(feature)) {
        return refuse(format!(
            "its inputs are [{}] and the column `{}` is not among them: one matrix of all columns, or one input per \
             column, of its name or of what skl2onnx makes of it (`_` for all but letters and digits); columns that it does \
             not take belong in `preprocess.drop`",
            listed(names),
            feature.name
        ));
    }
    for (input, port) in inputs.iter().zip(&ports) {
        let Some(feature) =
            schema.features.iter().find(|feature| takes(&input.name, &names, feature, schema))
        else {
            return refuse(format!("its input `{}` is no column of the data: [{}]", input.name, columns()));
        };
        let wide = match port.dims.as_deref() {
            Some([_]) => false,
            Some([_, None | Some(1)]) => true,
            _ => return refuse(format!("its input `{}` is neither of shape [N] nor [N, 1]", input.name)),
        };
        column(builder, feature, port.element, wide, &name(input))?;
    }
    Ok(())
}

/// Brings one column to the type `element`, as a matrix of one column where `wide`, under the name `output`.
fn column(
    builder: &mut GraphBuilder,
    feature: &Feature,
    element: i32,
    wide: bool,
    output: &str,
) -> Result<(), ModelError> {
    let name = &feature.name;
    let cast = match (feature.feature_type, element) {
        (FeatureType::Float, data_type::FLOAT)
        | (FeatureType::Int, data_type::INT64)
        | (FeatureType::Text, data_type::STRING) => false,
        (FeatureType::Int, data_type::FLOAT | data_type::INT32 | data_type::DOUBLE)
        | (FeatureType::Float, data_type::DOUBLE) => true,
        (FeatureType::Int, data_type::BOOL) if feature.is_within_0_and_1() => true,
        (FeatureType::Int | FeatureType::Float, data_type::BOOL) => {
            return refuse(format!(
                "it takes truth values for the column `{name}`, which has other values than 0 and 1 or missing ones: export it \
                 with `FloatTensorType`"
            ));
        }
        (FeatureType::Float, data_type::INT64 | data_type::INT32) => {
            return refuse(format!(
                "it takes whole numbers for the column `{name}`, which has fractions or missing values"
            ));
        }
        (FeatureType::Text, _) => {
            return refuse(format!("it takes numbers for the column `{name}`, which is text"));
        }
        (_, data_type::STRING) => {
            return refuse(format!(
                "it takes text for the column `{name}`, which holds numbers; set its type in `data.types`"
            ));
        }
        _ => {
            return refuse(format!("it takes the type {element} for the column `{name}`, which is not read"));
        }
    };
    let mut from = name.clone();
    if cast {
        let to = if wide { format!("{output}/cast") } else { output.to_owned() };
        builder.node("Cast", &[&from], &[&to]).int("to", i64::from(element));
        from = to;
    }
    match (wide, cast) {
        (true, _) => drop(builder.node("Reshape", &[&from, "modelgate/column"], &[output])),
        (false, false) => drop(builder.node("Identity", &[&from], &[output])),
        (false, true) => {}
    }
    Ok(())
}

/// Returns the value that holds the probabilities or the numbers, and its type.
fn answer(graph: &Graph, schema: &FeatureSchema) -> Result<(String, i32), ModelError> {
    let outputs = || graph.output.iter().map(|output| output.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(classes) = &schema.classes {
        let zipped = graph.node.iter().find(|node| {
            node.op_type == "ZipMap"
                && node
                    .output
                    .first()
                    .is_some_and(|name| graph.output.iter().any(|output| output.name == *name))
        });
        if let Some(node) = zipped {
            let ints = node.attribute("classlabels_int64s").map_or(&[][..], |attribute| &attribute.ints);
            let texts = node.attribute("classlabels_strings").map_or(&[][..], |attribute| &attribute.strings);
            let same = match classes {
                Classes::Int(values) => ints == values,
                Classes::Text(values) => {
                    texts.iter().map(Vec::as_slice).eq(values.iter().map(String::as_bytes))
                }
            };
            if !same {
                let texts = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned());
                let found: Vec<String> = ints.iter().map(ToString::to_string).chain(texts).collect();
                return refuse(format!(
                    "its classes are [{}] and those of the data [{}]: the same, sorted, of the same type",
                    found.join(", "),
                    classes.names().join(", ")
                ));
            }
            return match node.input.first() {
                Some(name) => Ok((name.clone(), data_type::FLOAT)),
                None => refuse("its ZipMap has no input"),
            };
        }
    }
    let number = |port: &Port| [data_type::FLOAT, data_type::DOUBLE].contains(&port.element);
    let found: Vec<(&ValueInfo, Port)> = graph
        .output
        .iter()
        .filter_map(|output| Some((output, Port::of(output)?)))
        .filter(|(_, port)| {
            number(port) && (schema.classes.is_none() || port.rank().is_none_or(|rank| rank == 2))
        })
        .collect();
    match (&found[..], &schema.classes) {
        ([(_, port)], Some(classes)) if port.width().is_some_and(|width| width != classes.len() as i64) => {
            let width = port.width().unwrap_or_default();
            let gives = if width == 1 { "a number".to_owned() } else { format!("{width} numbers") };
            let instead = if width == 1 {
                ": a model of numbers is imported into a pipeline of `task: regression`, and one of classes gives a probability \
                 for each of them"
            } else {
                ""
            };
            refuse(format!(
                "it gives {gives} for each row and `{}` has {} classes{instead}",
                schema.target,
                classes.len()
            ))
        }
        ([(output, port)], _) => Ok((output.name.clone(), port.element)),
        (_, Some(_)) => refuse(format!(
            "its outputs are [{}], and not one of labels and one of probabilities, one column per class",
            outputs()
        )),
        (_, None) => refuse(format!("its outputs are [{}], and not one of numbers", outputs())),
    }
}

/// Adds the outputs of a package behind `answer`.
fn finish(builder: &mut GraphBuilder, schema: &FeatureSchema, answer: &str, element: i32) {
    let mut from = answer.to_owned();
    if element != data_type::FLOAT {
        "modelgate/answer".clone_into(&mut from);
        builder.node("Cast", &[answer], &[&from]).int("to", i64::from(data_type::FLOAT));
    }
    let Some(classes) = &schema.classes else {
        builder.ints("modelgate/flat", &[-1]);
        builder.node("Reshape", &[&from, "modelgate/flat"], &["prediction"]);
        builder.output("prediction", data_type::FLOAT);
        return;
    };
    // The first class of the highest probability; what a graph calls its label is not always that.
    builder.node("ArgMax", &[&from], &["modelgate/class"]).int("axis", 1).int("keepdims", 0);
    let element = builder.classes("modelgate/classes", classes);
    builder.node("Gather", &["modelgate/classes", "modelgate/class"], &["label"]).int("axis", 0);
    builder.output("label", element);
    for (at, name) in classes.names().into_iter().enumerate() {
        let place = format!("modelgate/place_{at}");
        builder.int_scalar(&place, at as i64);
        let output = format!("probability_{name}");
        builder.node("Gather", &[&from, &place], &[&output]).int("axis", 1);
        builder.output(&output, data_type::FLOAT);
    }
}

/// Returns which nodes the value `answer` needs, and the names of all values that these take.
pub(super) fn needed<'a>(graph: &'a Graph, answer: &'a str) -> (Vec<bool>, HashSet<&'a str>) {
    let mut used: HashSet<&str> = HashSet::from([answer]);
    let mut kept = vec![false; graph.node.len()];
    // Nodes stand behind those that they take from.
    for (node, kept) in graph.node.iter().zip(&mut kept).rev() {
        if node.output.iter().any(|name| used.contains(name.as_str())) {
            *kept = true;
            used.extend(node.input.iter().map(String::as_str));
            node.graphs().for_each(|inner| mention(inner, &mut used));
        }
    }
    (kept, used)
}

/// Adds every name that a graph inside a node takes or gives on: what it does not define itself is from around it.
fn mention<'a>(graph: &'a Graph, used: &mut HashSet<&'a str>) {
    for node in &graph.node {
        used.extend(node.input.iter().map(String::as_str));
        node.graphs().for_each(|inner| mention(inner, used));
    }
    used.extend(graph.output.iter().map(|output| output.name.as_str()));
}

/// Returns the graph's own nodes and constants under names with the prefix.
fn renamed(graph: &[u8], kept: &[bool], used: &HashSet<&str>) -> Result<Vec<u8>, ModelError> {
    let mut whole = Vec::new();
    let mut nodes = kept.iter();
    for field in fields(graph)? {
        match (field.number, field.bytes) {
            (1, Some(node)) if nodes.next() == Some(&true) => push(&mut whole, 1, &renamed_node(node)?),
            (5, Some(tensor)) => {
                let is_used = |field: &Field<'_>| {
                    let name = field.bytes.and_then(|name| std::str::from_utf8(name).ok());
                    field.number == 8 && name.is_some_and(|name| used.contains(name))
                };
                if fields(tensor)?.iter().any(is_used) {
                    push(&mut whole, 5, &prefixed(tensor, 8..=8)?);
                }
            }
            (15, _) => return sparse(),
            _ => {}
        }
    }
    Ok(whole)
}

fn sparse<T>() -> Result<T, ModelError> {
    refuse("it has sparse constants, which are not read")
}

/// Returns a message with the prefix before the texts of these fields.
fn prefixed(message: &[u8], names: RangeInclusive<u64>) -> Result<Vec<u8>, ModelError> {
    let mut copy = Vec::new();
    for field in fields(message)? {
        match field.bytes {
            Some(name) if names.contains(&field.number) => push_name(&mut copy, field.number, name),
            _ => copy.extend_from_slice(field.whole),
        }
    }
    Ok(copy)
}

fn push_name(target: &mut Vec<u8>, number: u64, name: &[u8]) {
    // An input that is left out has no name.
    let name = if name.is_empty() { Vec::new() } else { [PREFIX.as_bytes(), name].concat() };
    push(target, number, &name);
}

fn renamed_node(node: &[u8]) -> Result<Vec<u8>, ModelError> {
    let mut copy = Vec::new();
    for field in fields(node)? {
        match (field.number, field.bytes) {
            (number @ 1..=3, Some(name)) => push_name(&mut copy, number, name),
            (5, Some(attribute)) => {
                let mut inner = Vec::new();
                for field in fields(attribute)? {
                    match (field.number, field.bytes) {
                        (number @ (6 | 11), Some(graph)) => push(&mut inner, number, &renamed_inside(graph)?),
                        _ => inner.extend_from_slice(field.whole),
                    }
                }
                push(&mut copy, 5, &inner);
            }
            _ => copy.extend_from_slice(field.whole),
        }
    }
    Ok(copy)
}

/// Returns a graph inside a node, which is only so deep, with the prefix before all its names: what it takes from around
/// it has the prefix there too.
fn renamed_inside(graph: &[u8]) -> Result<Vec<u8>, ModelError> {
    let mut whole = Vec::new();
    for field in fields(graph)? {
        match (field.number, field.bytes) {
            (1, Some(node)) => push(&mut whole, 1, &renamed_node(node)?),
            (5, Some(tensor)) => push(&mut whole, 5, &prefixed(tensor, 8..=8)?),
            (number @ 11..=12, Some(port)) => push(&mut whole, number, &prefixed(port, 1..=1)?),
            (15, _) => return sparse(),
            (2, _) => whole.extend_from_slice(field.whole),
            // What is said of values in between is found again.
            _ => {}
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests;
