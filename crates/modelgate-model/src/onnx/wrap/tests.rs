use modelgate_core::schema::{SCHEMA_VERSION, Task};

use super::*;
use crate::onnx::load::LoadedModel;
use crate::onnx::proto::{Attribute, Dimension, Node};

fn inner(node: &mut Node, graph: GraphBuilder) {
    let graph = Some(Box::new(graph.finish("inner")));
    node.attribute.push(Attribute { name: "body".to_owned(), graph, ..Attribute::default() });
}

fn model(graph: GraphBuilder) -> Vec<u8> {
    let mut graph = graph.finish("test");
    let tensor = graph.input[0].kind.as_mut().and_then(|kind| kind.tensor.as_mut());
    let shape = tensor.and_then(|tensor| tensor.shape.as_mut()).expect("a shape");
    shape.dim.push(Dimension { value: Some(2), param: None });
    Model { ir_version: 8, graph: Some(graph), ..Model::default() }.encode_to_vec()
}

fn numbers() -> FeatureSchema {
    let feature = |name: &str| Feature::of(name, FeatureType::Float, true);
    FeatureSchema {
        schema_version: SCHEMA_VERSION,
        task: Task::Regression,
        features: vec![feature("a"), feature("b")],
        target: "y".to_owned(),
        classes: None,
        nulls: Vec::new(),
    }
}

/// A Loop over an If that takes what is computed and kept around both.
fn nested(takes: &str) -> GraphBuilder {
    let mut graph = GraphBuilder::default();
    graph.input("X", data_type::FLOAT);
    graph.floats("kept", &[1.0]);
    graph.floats("unused", &[2.0]);
    graph.node("Abs", &["X"], &["around"]);
    graph.node("Neg", &["X"], &["no_answer"]);
    let mut branch = GraphBuilder::default();
    branch.floats("own", &[3.0]);
    branch.node("Add", &[takes, "kept"], &["sum"]);
    branch.node("Mul", &["sum", "own"], &["chosen"]);
    branch.output("chosen", data_type::FLOAT);
    let mut body = GraphBuilder::default();
    body.input("turn", data_type::INT64);
    inner(body.node("If", &["turn"], &["next"]), branch);
    body.output("next", data_type::FLOAT);
    inner(graph.node("Loop", &["", "", "X"], &["answer"]), body);
    graph.output("answer", data_type::FLOAT);
    graph
}

#[test]
fn graphs_inside_nodes_keep_what_they_take_from_around_them() {
    let wrapped = wrap(&model(nested("around")), &numbers()).expect("a package's graph");
    let decoded = Model::decode(&*wrapped).expect("a model").graph.expect("a graph");
    scopes::check(&decoded).expect("each name is known where it is taken");
    let find = |graph: &Graph, operator: &str| {
        graph.node.iter().find(|node| node.op_type == operator).expect(operator).clone()
    };
    let body = find(&decoded, "Loop").graphs().next().expect("a body").clone();
    assert_eq!((&*body.input[0].name, &*body.output[0].name), ("imported/turn", "imported/next"));
    let branch = find(&body, "If").graphs().next().expect("a branch").clone();
    assert_eq!(branch.initializer[0].name, "imported/own");
    assert_eq!(find(&branch, "Add").input, ["imported/around", "imported/kept"]);
    // What only the inner graph takes is there, and what nobody takes is not.
    let constants: Vec<&str> = decoded.initializer.iter().map(|tensor| &*tensor.name).collect();
    assert!(constants.contains(&"imported/kept") && !constants.contains(&"imported/unused"));
    assert!(decoded.node.iter().all(|node| node.op_type != "Neg"));
    // The built-in engine says which operator it does not know.
    let error = LoadedModel::load(&wrapped).expect_err("no library").to_string();
    assert!(error.contains("the operator Loop of ai.onnx is not known to the built-in engine"), "{error}");
}

#[test]
fn a_graph_inside_a_node_that_takes_what_is_nowhere_is_refused() {
    for takes in ["nowhere", "answer", "turns"] {
        let error = wrap(&model(nested(takes)), &numbers()).expect_err("refused").to_string();
        let expected = format!("an input of Add is not defined before it in a graph inside If: `{takes}`");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_model_of_numbers_is_no_model_of_classes() {
    let schema =
        FeatureSchema { task: Task::Classification, classes: Some(Classes::Int(vec![0, 1])), ..numbers() };
    let gives = |width: Option<i64>| {
        let mut graph = GraphBuilder::default();
        graph.input("X", data_type::FLOAT);
        graph.node("LinearRegressor", &["X"], &["y"]).ml().floats("coefficients", vec![1.0, 2.0]);
        graph.output("y", data_type::FLOAT);
        let mut decoded = Model::decode(&*model(graph)).expect("a model");
        let output = decoded.graph.as_mut().and_then(|graph| graph.output[0].kind.as_mut());
        let shape = output.and_then(|kind| kind.tensor.as_mut()).and_then(|tensor| tensor.shape.as_mut());
        shape.expect("a shape").dim.push(Dimension { value: width, param: None });
        wrap(&decoded.encode_to_vec(), &schema).and_then(|graph| LoadedModel::load(&graph).map(drop))
    };
    let told = |width| gives(width).expect_err("refused").to_string();
    assert!(
        told(Some(1)).contains("it gives a number for each row and `y` has 2 classes"),
        "{}",
        told(Some(1))
    );
    assert!(
        told(Some(3)).contains("it gives 3 numbers for each row and `y` has 2 classes"),
        "{}",
        told(Some(3))
    );
    assert!(told(None).contains("the model gives a number, and the target of a classification has classes"));
}
