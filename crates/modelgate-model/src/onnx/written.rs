//! The model of a graph and what stands behind it, read only as [`crate::export`] writes them: the same attributes, names and
//! constants to the last. Any other graph is for `imported`, which asks each node what it does.
//!
//! Trees are read here and in `ensembles`: ours share nodes behind the split of a set of categories, and have to be those
//! that were written, node by node.

use std::collections::HashSet;
use std::ops::Range;

use modelgate_core::schema::Classes;

use super::export;
use super::graph::GraphBuilder;
use super::linear;
use super::load::refuse;
use super::proto::{Graph, Node};
use crate::error::ModelError;
use crate::estimator::{Boosted, Estimator, Forest, LEAF, MISSING_LEFT, Prepared, Tree, TreeNode};

/// More scores than this are refused, so that a few bytes cannot ask for much memory.
const MAX_TARGETS: usize = 1 << 14;

/// The attributes of every ensemble.
const TREES: [&str; 10] = [
    "post_transform",
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_modes",
    "nodes_featureids",
    "nodes_values",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
    "nodes_hitrates",
];

/// Says that a node is not as we write it.
fn unlike<T>(node: &Node) -> Result<T, ModelError> {
    refuse(format!("{} is not as modelgate writes it", node.op_type))
}

/// Holds a node to attributes that are known, each once.
pub(super) fn only(node: &Node, known: &[&str]) -> Result<(), ModelError> {
    let mut seen = HashSet::new();
    let known = node.attribute.iter().all(|one| known.contains(&one.name.as_str()) && seen.insert(&one.name));
    if known { Ok(()) } else { unlike(node) }
}

/// Reads an ensemble over `features` columns. Scores are a regression: what they mean is behind it.
pub(super) fn ensemble(node: &Node, features: usize) -> Result<Estimator, ModelError> {
    let prefix = if node.op_type == "TreeEnsembleClassifier" { "class" } else { "target" };
    let leaves = ["treeids", "nodeids", "ids", "weights"].map(|suffix| format!("{prefix}_{suffix}"));
    let own: &[&str] = match prefix {
        "class" => &["classlabels_int64s", "classlabels_strings"],
        _ => &["aggregate_function", "n_targets", "base_values"],
    };
    let known: Vec<&str> =
        TREES.iter().chain(own).copied().chain(leaves.iter().map(String::as_str)).collect();
    only(node, &known)?;
    let text = |name: &str| node.attribute(name).map_or(&[][..], |attribute| &attribute.s);
    if text("post_transform") != b"NONE" {
        return unlike(node);
    }
    let forest = |outputs: usize| -> Result<Forest, ModelError> {
        let trees = trees(node, &leaves, |_| 0..outputs)?;
        Ok(Forest { features, outputs, trees, prepared: Prepared::default() })
    };
    if prefix == "class" {
        let outputs = own_classes(node)?.len();
        let forest = forest(outputs)?;
        // ONNX Runtime takes them for decisions and not for probabilities. What is no number is judged by what it answers.
        let negative = forest.trees.iter().flat_map(|tree| &tree.values).any(|value| *value < 0.0);
        return if negative { unlike(node) } else { Ok(Estimator::ForestClassifier(forest)) };
    }
    let targets = node.attribute("n_targets").and_then(|attribute| usize::try_from(attribute.i).ok());
    let Some(scores) = targets.filter(|count| (1..=MAX_TARGETS).contains(count)) else {
        return unlike(node);
    };
    if text("aggregate_function") != b"SUM" {
        return unlike(node);
    }
    match node.attribute("base_values") {
        Some(base) => {
            let trees = trees(node, &leaves, |tree| tree % scores..tree % scores + 1)?;
            let base = base.floats.clone();
            Ok(Estimator::BoostedRegressor(Boosted {
                features,
                scores,
                base,
                trees,
                prepared: Prepared::default(),
            }))
        }
        None if scores == 1 => Ok(Estimator::ForestRegressor(forest(1)?)),
        None => unlike(node),
    }
}

fn own_classes(node: &Node) -> Result<Classes, ModelError> {
    match (node.attribute("classlabels_int64s"), node.attribute("classlabels_strings")) {
        (Some(values), None) => Ok(Classes::Int(values.ints.clone())),
        (None, Some(values)) => Ok(Classes::Text(
            values.strings.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect(),
        )),
        _ => unlike(node),
    }
}

/// Reads trees and their nodes, numbered from 0 in order; `outputs` are those that each leaf of a tree has a value for.
fn trees(
    node: &Node,
    leaves: &[String; 4],
    outputs: impl Fn(usize) -> Range<usize>,
) -> Result<Vec<Tree>, ModelError> {
    let ints = |name: &str| node.attribute(name).map_or(&[][..], |attribute| &attribute.ints[..]);
    let floats = |name: &str| node.attribute(name).map_or(&[][..], |attribute| &attribute.floats[..]);
    let modes = node.attribute("nodes_modes").map_or(&[][..], |attribute| &attribute.strings[..]);
    let (tree_ids, node_ids) = (ints("nodes_treeids"), ints("nodes_nodeids"));
    let (feature_ids, thresholds) = (ints("nodes_featureids"), floats("nodes_values"));
    let (trues, falses) = (ints("nodes_truenodeids"), ints("nodes_falsenodeids"));
    let (missing_true, covers) = (ints("nodes_missing_value_tracks_true"), floats("nodes_hitrates"));
    let count = tree_ids.len();
    let lengths =
        [node_ids.len(), modes.len(), feature_ids.len(), thresholds.len(), trues.len(), falses.len()];
    if lengths.iter().any(|length| *length != count)
        || [missing_true.len(), covers.len()].iter().any(|length| *length != 0 && *length != count)
    {
        return refuse(format!("the lists of {} differ in length", node.op_type));
    }
    let [leaf_trees, leaf_nodes, leaf_outputs] = [&leaves[0], &leaves[1], &leaves[2]].map(|name| ints(name));
    let leaf_values = floats(&leaves[3]);
    if [leaf_nodes.len(), leaf_outputs.len(), leaf_values.len()]
        .iter()
        .any(|length| *length != leaf_trees.len())
    {
        return refuse(format!("the leaves of {} differ in length", node.op_type));
    }
    let small =
        |value: i64| u32::try_from(value).map_err(|_| ModelError::Onnx(format!("{value} is no index")));
    let mut trees: Vec<Tree> = Vec::new();
    let mut read = 0;
    for at in 0..count {
        if node_ids[at] == 0 && tree_ids[at] == trees.len() as i64 {
            trees.push(Tree::default());
        }
        let number = trees.len().wrapping_sub(1);
        let Some(tree) = trees.last_mut() else { return refuse("the trees are not in order") };
        let place = [number as i64, tree.nodes.len() as i64];
        if [tree_ids[at], node_ids[at]] != place {
            return refuse("the nodes of a tree are not in order");
        }
        tree.covers.extend(covers.get(at));
        tree.nodes.push(match modes[at].as_slice() {
            b"LEAF" => {
                let outputs = outputs(number);
                let row = tree.values.len() / outputs.len().max(1);
                for output in outputs {
                    let of = [leaf_trees, leaf_nodes, leaf_outputs].map(|list| list.get(read).copied());
                    if of != [Some(place[0]), Some(place[1]), Some(output as i64)] {
                        return refuse("the values of the leaves are not in order");
                    }
                    tree.values.push(leaf_values[read]);
                    read += 1;
                }
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
    if read == leaf_trees.len() { Ok(trees) } else { refuse("a leaf value is for no leaf") }
}

/// Holds all that stands behind a model, whose last node is the one at `last`, against what would be written there. Returns the
/// model, which these nodes may make a classifier, and its classes.
pub(super) fn answers(
    graph: &Graph,
    last: usize,
    estimator: Estimator,
) -> Result<(Estimator, Option<Classes>), ModelError> {
    let behind = &graph.node[last + 1..];
    let classifies = graph.output.first().is_some_and(|output| output.name == "label");
    let estimator = match estimator {
        Estimator::BoostedRegressor(boosted) if classifies => Estimator::BoostedClassifier(boosted),
        other => other,
    };
    let classes = match behind.iter().find(|node| node.op_type == "LabelEncoder") {
        Some(node) if classifies => Some(linear::class_names(node, estimator.classes().unwrap_or(0))?),
        _ => None,
    };
    let mut expected = GraphBuilder::default();
    expected.ints("axis_1", &[1]);
    export::answers(&mut expected, &estimator, classes.as_ref())?;
    let expected = expected.finish("expected");
    let last = &graph.node[last];
    if last.output != export::given(&estimator) {
        return unlike(last);
    }
    if matches!(estimator, Estimator::ForestClassifier(_)) && Some(own_classes(last)?) != classes {
        return refuse("the model has other classes than its answers");
    }
    let same = |one: &Node, other: &Node| {
        (&one.domain, &one.op_type, &one.input, &one.output, &one.attribute)
            == (&other.domain, &other.op_type, &other.input, &other.output, &other.attribute)
    };
    if behind.len() != expected.node.len() || graph.output != expected.output {
        return refuse("the answers are not as modelgate writes them");
    }
    if let Some((node, _)) = behind.iter().zip(&expected.node).find(|(one, other)| !same(one, other)) {
        return unlike(node);
    }
    let there = |constant| graph.initializer.contains(constant);
    if expected.initializer.iter().all(there) {
        Ok((estimator, classes))
    } else {
        refuse("the constants behind the model are not those that modelgate writes")
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{FeatureSchema, FeatureType, SCHEMA_VERSION, Task};
    use modelgate_data::preprocess::{
        Encode, Missing, NumericColumn, PreprocessPlan, PreprocessSpec, Scale, UnknownCategory,
    };
    use prost::Message;

    use super::super::load::LoadedModel;
    use super::super::proto::{Attribute, Model, Tensor, attribute_kind, data_type};
    use super::*;
    use crate::predict::Prediction;

    /// x ≤ 0.5, with so many outputs.
    fn stump(outputs: usize) -> Tree {
        let leaf = |row| TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 };
        let values = if outputs == 1 { vec![110.0, 120.0] } else { vec![0.75, 0.25, 0.0, 1.0] };
        let root = TreeNode { feature: 0, threshold: 0.5, left: 1, right: 2 };
        Tree { nodes: vec![root, leaf(0), leaf(1)], values, covers: Vec::new() }
    }

    fn written(estimator: &Estimator) -> Graph {
        let name = "x".to_owned();
        let numeric =
            NumericColumn { name, feature_type: FeatureType::Float, fill: None, mean: None, scale: None };
        let spec = PreprocessSpec {
            missing: Missing::Median,
            scale: Scale::None,
            encode: Encode::Onehot,
            unknown_category: UnknownCategory::Ignore,
        };
        let plan = PreprocessPlan { spec, numeric: vec![numeric], text: Vec::new() };
        let classes = estimator.classes().map(|_| Classes::Text(vec!["no".to_owned(), "yes".to_owned()]));
        let schema = FeatureSchema {
            schema_version: SCHEMA_VERSION,
            task: if classes.is_some() { Task::Classification } else { Task::Regression },
            features: vec![modelgate_core::schema::Feature::of("x", FeatureType::Float, true)],
            target: "y".to_owned(),
            classes,
            nulls: Vec::new(),
        };
        let bytes = export::export(&plan, &schema, estimator).expect("exported");
        Model::decode(&*bytes).expect("a model").graph.expect("a graph")
    }

    fn forest(outputs: usize) -> Forest {
        Forest { features: 1, outputs, trees: vec![stump(outputs)], prepared: Prepared::default() }
    }

    fn boosted() -> Boosted {
        Boosted { features: 1, scores: 1, base: vec![0.5], trees: vec![stump(1)], ..Boosted::default() }
    }

    fn node<'a>(graph: &'a mut Graph, operator: &str) -> &'a mut Node {
        graph.node.iter_mut().rfind(|node| node.op_type == operator).expect(operator)
    }

    #[test]
    fn what_was_written_is_read_as_it_was() {
        let linear =
            crate::estimator::LinearRegressor { features: 1, coefficients: vec![2.0], intercept: 1.0 };
        for estimator in [
            Estimator::ForestRegressor(forest(1)),
            Estimator::ForestClassifier(forest(2)),
            Estimator::BoostedRegressor(boosted()),
            Estimator::BoostedClassifier(boosted()),
            Estimator::LinearRegressor(linear),
        ] {
            let loaded = LoadedModel::own(&written(&estimator)).expect("read");
            assert_eq!(loaded.estimator(), Some(&estimator));
        }
    }

    #[test]
    fn a_node_behind_the_model_is_computed_or_refused_and_never_left_out() {
        let mut graph = written(&Estimator::ForestRegressor(forest(1)));
        let mut squeeze = node(&mut graph, "Squeeze").clone();
        let mut sub = squeeze.clone();
        sub.op_type = "Sub".to_owned();
        (sub.input[1], sub.output[0]) = ("hundred".to_owned(), "less".to_owned());
        squeeze.input[0] = "less".to_owned();
        *node(&mut graph, "Squeeze") = sub;
        graph.node.push(squeeze);
        let (dims, float_data) = (vec![1], vec![100.0]);
        let hundred = Tensor {
            dims,
            data_type: data_type::FLOAT,
            float_data,
            name: "hundred".to_owned(),
            ..Tensor::default()
        };
        graph.initializer.push(hundred);
        let bytes = Model { graph: Some(graph), ..Model::default() }.encode_to_vec();
        let error = LoadedModel::load(&bytes).expect_err("refused").to_string();
        assert!(error.contains("Sub behind the model is not known to the built-in engine"), "{error}");
    }

    #[test]
    fn an_attribute_a_wire_a_constant_or_an_output_that_differs_is_not_ours() {
        let refused = |estimator: Estimator, change: fn(&mut Graph)| {
            let mut graph = written(&estimator);
            LoadedModel::own(&graph).expect("as it was written");
            change(&mut graph);
            LoadedModel::own(&graph).expect_err("refused").to_string()
        };
        let classifier = || Estimator::ForestClassifier(forest(2));
        let base = |graph: &mut Graph| {
            node(graph, "TreeEnsembleClassifier").floats("base_values", vec![0.5, 0.0]);
        };
        assert!(refused(classifier(), base).contains("TreeEnsembleClassifier is not as modelgate"));
        let weights = |graph: &mut Graph| {
            let node = node(graph, "TreeEnsembleClassifier");
            node.attribute.iter_mut().filter(|one| one.name == "class_weights").for_each(|one| {
                one.floats[0] = -0.75;
            });
        };
        assert!(refused(classifier(), weights).contains("TreeEnsembleClassifier is not as modelgate"));
        let ids = |graph: &mut Graph| {
            let node = node(graph, "TreeEnsembleClassifier");
            node.attribute.iter_mut().filter(|one| one.name == "class_ids").for_each(|one| one.ints.fill(0));
        };
        assert!(refused(classifier(), ids).contains("leaves are not in order"));
        let swapped = |graph: &mut Graph| node(graph, "Split").output.reverse();
        assert!(refused(classifier(), swapped).contains("Split is not as modelgate"));
        let lowest = |graph: &mut Graph| {
            let i = 1;
            let kind = attribute_kind::INT;
            let name = "select_last_index".to_owned();
            node(graph, "ArgMax").attribute.push(Attribute { name, i, kind, ..Attribute::default() });
        };
        assert!(refused(classifier(), lowest).contains("ArgMax is not as modelgate"));
        let wire = |graph: &mut Graph| node(graph, "LabelEncoder").input[0] = "model/label".to_owned();
        assert!(refused(classifier(), wire).contains("LabelEncoder is not as modelgate"));
        let fewer = |graph: &mut Graph| drop(graph.output.pop());
        assert!(refused(classifier(), fewer).contains("answers are not as modelgate"));
        let one = |graph: &mut Graph| {
            graph.initializer.iter_mut().filter(|one| one.name == "model/one").for_each(|one| {
                one.float_data[0] = 2.0;
            });
        };
        assert!(refused(Estimator::BoostedClassifier(boosted()), one).contains("constants behind the model"));
        let far = |graph: &mut Graph| {
            let node = node(graph, "TreeEnsembleRegressor");
            node.attribute.iter_mut().filter(|one| one.name == "nodes_treeids").for_each(|one| {
                one.ints[1] = i64::MAX;
            });
        };
        assert!(refused(Estimator::BoostedRegressor(boosted()), far).contains("not in order"));
    }

    #[test]
    fn a_graph_in_the_form_of_a_package_from_elsewhere_answers_by_its_own_split() {
        let mut graph = written(&Estimator::ForestClassifier(forest(2)));
        // Other names than ours: it is for `imported`.
        let rename = |name: &mut String| {
            if name.starts_with("model/") {
                name.push('2');
            }
        };
        for node in &mut graph.node {
            node.input.iter_mut().chain(&mut node.output).for_each(rename);
        }
        assert!(LoadedModel::own(&graph).is_err());
        let bytes = Model { graph: Some(graph), ..Model::default() }.encode_to_vec();
        let loaded = LoadedModel::load(&bytes).expect("loaded");
        let columns = [crate::InputColumn::Floats(vec![0.0, 1.0])];
        let Prediction::Classes { labels, probabilities } =
            loaded.predict_columns(&columns, 2).expect("answers")
        else {
            panic!("classes");
        };
        assert_eq!((labels, probabilities), (vec![0, 1], vec![0.75, 0.25, 0.0, 1.0]));
    }
}
