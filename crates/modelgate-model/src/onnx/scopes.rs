//! The names of a graph and of the graphs inside its nodes (If, Loop, Scan), for what ONNX Runtime is to run: each value
//! is defined once, and before it is taken, in its own graph or in one around it. So there is no cycle, and no graph that
//! is deeper or larger than any model.

use std::collections::HashSet;

use super::load::refuse;
use super::proto::{Graph, Node};
use crate::error::ModelError;

/// Graphs inside each other at most, the outermost among them.
const MAX_DEPTH: usize = 16;

/// Nodes of all graphs together at most.
const MAX_NODES: usize = 1 << 20;

/// Checks the names of a graph and of those inside it.
///
/// # Errors
/// Names the operator and the value that is wrong.
pub(super) fn check(graph: &Graph) -> Result<(), ModelError> {
    Scopes { known: Vec::new(), nodes: 0 }.graph(graph, None)
}

struct Scopes<'a> {
    /// The names of the graph that is looked at, last, and of those around it.
    known: Vec<HashSet<&'a str>>,
    nodes: usize,
}

/// Says where something is wrong: in the graph itself, or inside a node.
fn place(around: Option<&Node>) -> String {
    around.map_or_else(String::new, |node| format!(" in a graph inside {}", node.op_type))
}

impl<'a> Scopes<'a> {
    fn define(&mut self, name: &'a str, around: Option<&Node>) -> Result<(), ModelError> {
        // An output that is left out has no name.
        let is_new = name.is_empty() || self.known.last_mut().is_some_and(|own| own.insert(name));
        if is_new { Ok(()) } else { refuse(format!("the value `{name}` is defined twice{}", place(around))) }
    }

    fn knows(&self, name: &str) -> bool {
        self.known.iter().any(|names| names.contains(name))
    }

    fn graph(&mut self, graph: &'a Graph, around: Option<&'a Node>) -> Result<(), ModelError> {
        self.nodes = self.nodes.saturating_add(graph.node.len());
        if self.known.len() >= MAX_DEPTH {
            return refuse(format!("more than {MAX_DEPTH} graphs lie inside each other{}", place(around)));
        }
        if self.nodes > MAX_NODES {
            return refuse(format!("it has more than {MAX_NODES} nodes"));
        }
        self.known.push(HashSet::new());
        for tensor in &graph.initializer {
            self.define(&tensor.name, around)?;
        }
        for sparse in &graph.sparse_initializer {
            self.define(sparse.values.as_ref().map_or("", |values| values.name.as_str()), around)?;
        }
        let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        for input in &graph.input {
            // A constant may be listed among the inputs too.
            if !constants.contains(input.name.as_str()) {
                self.define(&input.name, around)?;
            }
        }
        for node in &graph.node {
            if let Some(name) = node.input.iter().find(|name| !name.is_empty() && !self.knows(name)) {
                let (operator, place) = (&node.op_type, place(around));
                return refuse(format!("an input of {operator} is not defined before it{place}: `{name}`"));
            }
            for inner in node.graphs() {
                self.graph(inner, Some(node))?;
            }
            for name in &node.output {
                self.define(name, around)?;
            }
        }
        if let Some(output) = graph.output.iter().find(|output| !self.knows(&output.name)) {
            return refuse(format!("nothing computes the output `{}`{}", output.name, place(around)));
        }
        let _ = self.known.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::GraphBuilder;
    use super::super::proto::{Attribute, data_type};
    use super::*;

    fn graph(build: impl Fn(&mut GraphBuilder)) -> Graph {
        let mut builder = GraphBuilder::default();
        build(&mut builder);
        builder.finish("test")
    }

    fn holding(node: &mut Node, inner: Graph) {
        let attribute =
            Attribute { name: "body".to_owned(), graph: Some(Box::new(inner)), ..Attribute::default() };
        node.attribute.push(attribute);
    }

    /// A graph of a Loop whose body takes `takes`, and of an Add behind it.
    fn looped(takes: &str) -> Graph {
        graph(|outer| {
            outer.input("x", data_type::FLOAT);
            outer.floats("c", &[1.0]);
            let body = graph(|body| {
                body.input("i", data_type::INT64);
                body.node("Add", &[takes, "i"], &["s"]);
                body.output("s", data_type::FLOAT);
            });
            holding(outer.node("Loop", &["", "x"], &["y"]), body);
            outer.node("Add", &["y", "c"], &["z"]);
            outer.output("z", data_type::FLOAT);
        })
    }

    fn refused(graph: &Graph) -> String {
        check(graph).expect_err("refused").to_string()
    }

    #[test]
    fn a_graph_inside_takes_what_is_defined_before_it_around_it() {
        for takes in ["x", "c", "i"] {
            check(&looped(takes)).expect(takes);
        }
        // What the node itself gives, what comes behind it, and what nobody gives.
        for takes in ["y", "z", "nowhere", "s"] {
            let expected =
                format!("an input of Add is not defined before it in a graph inside Loop: `{takes}`");
            assert!(refused(&looped(takes)).contains(&expected), "{}", refused(&looped(takes)));
        }
        // What is defined inside is not known outside.
        let mut leaking = looped("x");
        leaking.node[1].input[0] = "s".to_owned();
        assert!(refused(&leaking).contains("an input of Add is not defined before it: `s`"));
    }

    #[test]
    fn names_that_stand_twice_and_outputs_of_nothing_are_refused() {
        let inside = |graph: &mut Graph| graph.node[0].attribute[0].graph.clone().expect("a body");
        let mut twice = looped("x");
        let mut body = inside(&mut twice);
        body.node[0].output.push("i".to_owned());
        twice.node[0].attribute[0].graph = Some(body);
        assert!(refused(&twice).contains("the value `i` is defined twice in a graph inside Loop"));
        let mut nothing = looped("x");
        let mut body = inside(&mut nothing);
        body.output[0].name = "t".to_owned();
        nothing.node[0].attribute[0].graph = Some(body);
        assert!(refused(&nothing).contains("nothing computes the output `t` in a graph inside Loop"));
        let mut cycle = looped("x");
        cycle.node[0].input[1] = "z".to_owned();
        assert!(refused(&cycle).contains("an input of Loop is not defined before it: `z`"));
    }

    #[test]
    fn graphs_lie_inside_each_other_only_so_deep() {
        let mut inner = graph(|_| {});
        for depth in 1..=MAX_DEPTH {
            check(&inner).unwrap_or_else(|error| panic!("{depth}: {error}"));
            inner = graph(|outer| holding(outer.node("If", &[], &[]), inner.clone()));
        }
        assert!(refused(&inner).contains("more than 16 graphs lie inside each other in a graph inside If"));
    }
}
