//! XGBoost's JSON form (`model.json`), as versions 1.6 to 3 write it.
//!
//! Source of the form: <https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html>; of how a row walks:
//! `src/predictor/predict_fn.h` and `src/common/categorical.h`. A row goes left when its value `< t`, which for `f32` is
//! `<=` the number before.

use serde::{Deserialize, Deserializer};

use super::boosted::{BoostedModel, Categories, MAX_SCORES, Naming, Node, Output, SourceTree, Test};
use super::splits::Ranges;
use crate::error::ModelError;

fn wrong<T>(reason: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError::Foreign(format!("the XGBoost model {}", reason.into())))
}

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    feature_names: Vec<String>,
    #[serde(default)]
    feature_types: Vec<String>,
    gradient_booster: serde_json::Value,
    learner_model_param: Parameters,
    objective: Objective,
}

#[derive(Deserialize, Default)]
struct Attributes {
    best_iteration: Option<String>,
}

#[derive(Deserialize)]
struct Parameters {
    base_score: String,
    num_class: String,
    num_feature: String,
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

#[derive(Deserialize)]
struct Ensemble {
    trees: Vec<Tree>,
    tree_info: Vec<usize>,
    #[serde(default)]
    iteration_indptr: Vec<usize>,
    cats: Option<Names>,
}

/// The categories of each feature, empty where it has none.
#[derive(Deserialize)]
struct Names {
    enc: Vec<NamesOf>,
}

#[derive(Deserialize)]
struct NamesOf {
    /// Where each text begins in the bytes.
    offsets: Option<Vec<usize>>,
    /// Bytes of texts, or numbers.
    #[serde(default)]
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Tree {
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<usize>,
    split_conditions: Vec<f32>,
    default_left: Vec<Flag>,
    #[serde(default)]
    split_type: Vec<u8>,
    #[serde(default)]
    categories: Vec<u32>,
    #[serde(default)]
    categories_nodes: Vec<usize>,
    #[serde(default)]
    categories_segments: Vec<usize>,
    #[serde(default)]
    categories_sizes: Vec<usize>,
    #[serde(default)]
    sum_hessian: Vec<f32>,
    tree_param: TreeParameters,
}

#[derive(Deserialize)]
struct TreeParameters {
    size_leaf_vector: Option<String>,
}

/// A truth value, which older versions write as such and newer ones as 0 and 1.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Flag;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("true, false, 0 or 1")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads a model.
///
/// # Errors
/// Says what of it cannot be used, and where it is.
pub(crate) fn read(bytes: &[u8]) -> Result<BoostedModel, ModelError> {
    let file: File = match serde_json::from_slice(bytes) {
        Ok(file) => file,
        Err(error) => return wrong(format!("cannot be read as its JSON form: {error}")),
    };
    let learner = file.learner;
    let (ensemble, weights) = ensemble(learner.gradient_booster)?;
    let whole = |name: &str, text: &str| match text.parse::<usize>() {
        Ok(number) => Ok(number),
        Err(_) => wrong(format!("has `{name}` \"{text:.20}\"")),
    };
    let parameters = &learner.learner_model_param;
    let features = whole("num_feature", &parameters.num_feature)?;
    if parameters.num_target.as_deref().is_some_and(|targets| targets != "1") {
        return wrong("has several targets, which are not read");
    }
    let (output, link) = match learner.objective.name.as_str() {
        "reg:squarederror" | "reg:linear" | "reg:absoluteerror" | "reg:pseudohubererror" => {
            (Output::Value, false)
        }
        "binary:logistic" => (Output::Binary, true),
        "multi:softprob" | "multi:softmax" => match whole("num_class", &parameters.num_class)? {
            classes @ 2..=MAX_SCORES => (Output::Classes(classes), false),
            classes => return wrong(format!("has {classes} classes")),
        },
        name => {
            return wrong(format!(
                "has the objective `{name:.40}`, which is not read: `reg:squarederror` and its robust kin, \
                 `binary:logistic`, `multi:softprob` and `multi:softmax` are"
            ));
        }
    };
    let scores = if let Output::Classes(classes) = output { classes } else { 1 };
    let named = !learner.feature_names.is_empty();
    let names = if named {
        learner.feature_names
    } else {
        // No more names than trees can ask for, whatever the file says.
        if features > bytes.len() {
            return wrong(format!("has {features} features"));
        }
        (0..features).map(|at| format!("f{at}")).collect()
    };
    if names.len() != features || features == 0 {
        return wrong("has another number of names than of features");
    }
    // Versions before 2 may write the names that they give themselves; later ones write none then.
    let naming = match names.iter().enumerate().all(|(at, name)| *name == format!("f{at}")) {
        _ if !named => Naming::None,
        true => Naming::Usual,
        false => Naming::Own,
    };
    let categories = categories(&learner.feature_types, ensemble.cats.as_ref(), features)?;
    let count = kept(&ensemble, learner.attributes.best_iteration.as_deref())?;
    if ensemble.tree_info.len() != ensemble.trees.len()
        || weights.as_ref().is_some_and(|all| all.len() != ensemble.trees.len())
    {
        return wrong("has another number of trees than it says");
    }
    let mut trees = Vec::with_capacity(count);
    for (number, (tree, score)) in ensemble.trees.iter().zip(&ensemble.tree_info).take(count).enumerate() {
        let weight = weights.as_ref().and_then(|all| all.get(number)).copied().unwrap_or(1.0);
        trees.push(source(tree, number, *score, weight)?);
    }
    let mut base = base(&parameters.base_score, scores, link)?;
    // XGBoost begins a sum with the base: in the leaves of the first tree it is added in the same order.
    for (score, base) in base.iter_mut().enumerate() {
        let Some(first) = trees.iter_mut().find(|tree| tree.score == score) else { continue };
        for node in &mut first.nodes {
            if let Node::Leaf(value) = node {
                *value = f64::from(*base + *value as f32);
            }
        }
        *base = 0.0;
    }
    Ok(BoostedModel {
        program: "XGBoost",
        naming,
        names,
        categories,
        truncates_to_zero: false,
        // Version 3.2 does, and none is known from which on it does not.
        damages_texts: true,
        output,
        base,
        trees,
    })
}

/// Returns the trees, and the weight of each where some were dropped in training.
fn ensemble(booster: serde_json::Value) -> Result<(Ensemble, Option<Vec<f32>>), ModelError> {
    let mut booster = booster;
    let name = booster.get("name").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let mut weights = None;
    match name.as_str() {
        "gbtree" => {}
        "dart" => {
            let dropped = booster.get_mut("weight_drop").map(serde_json::Value::take).unwrap_or_default();
            weights = match serde_json::from_value(dropped) {
                Ok(weights) => Some(weights),
                Err(error) => return wrong(format!("has no weights of its trees: {error}")),
            };
            booster = booster.get_mut("gbtree").map(serde_json::Value::take).unwrap_or_default();
        }
        name => {
            return wrong(format!(
                "has the booster `{name:.20}`, which is not read: `gbtree` and `dart` are"
            ));
        }
    }
    let model = booster.get_mut("model").map(serde_json::Value::take).unwrap_or_default();
    match serde_json::from_value(model) {
        Ok(ensemble) => Ok((ensemble, weights)),
        Err(error) => wrong(format!("has trees that cannot be read: {error}")),
    }
}

/// Returns how many trees answer: those up to the best round where training stopped early, as XGBoost's own
/// estimators for scikit-learn have it.
fn kept(ensemble: &Ensemble, best: Option<&str>) -> Result<usize, ModelError> {
    let all = ensemble.trees.len();
    let Some(best) = best else { return Ok(all) };
    let end = best.parse::<usize>().ok().and_then(|best| ensemble.iteration_indptr.get(best.checked_add(1)?));
    match end {
        Some(end) if *end <= all => Ok(*end),
        _ => wrong(format!("has no round `{best:.20}`, which it calls the best")),
    }
}

/// Returns what each score begins with, on the scale of scores.
fn base(text: &str, scores: usize, link: bool) -> Result<Vec<f32>, ModelError> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let numbers: Result<Vec<f64>, _> = inner.split(',').map(|number| number.trim().parse::<f64>()).collect();
    let (Ok(numbers), true) = (numbers, !inner.is_empty()) else {
        return wrong(format!("has the base score \"{text:.40}\""));
    };
    let numbers = match numbers[..] {
        [one] => vec![one; scores],
        _ if numbers.len() == scores => numbers,
        _ => return wrong(format!("has {} base scores for {scores} scores", numbers.len())),
    };
    let score = |number: f64| {
        let score = if link { -libm::log(1.0 / number - 1.0) } else { number } as f32;
        if score.is_finite() { Ok(score) } else { wrong(format!("has the base score \"{text:.40}\"")) }
    };
    numbers.into_iter().map(score).collect()
}

fn categories(
    types: &[String],
    names: Option<&Names>,
    features: usize,
) -> Result<Vec<Categories>, ModelError> {
    if !types.is_empty() && types.len() != features {
        return wrong("has another number of types than of features");
    }
    let named = names.map_or(&[][..], |names| &names.enc);
    if !named.is_empty() && named.len() != features {
        return wrong("has categories of another number of features");
    }
    (0..features)
        .map(|at| {
            let categorical = types.get(at).is_some_and(|kind| kind == "c");
            let Some(own) = named.get(at).filter(|own| categorical && !own.values.is_empty()) else {
                return Ok(if categorical { Categories::Codes } else { Categories::None });
            };
            let Some(offsets) = &own.offsets else { return Ok(Categories::Numbers(own.values.clone())) };
            // Bytes are written as signed numbers.
            let bytes: Vec<u8> = own.values.iter().map(|byte| *byte as i64 as u8).collect();
            let texts: Option<Vec<String>> = offsets
                .windows(2)
                .map(|bound| String::from_utf8(bytes.get(bound[0]..bound[1])?.to_vec()).ok())
                .collect();
            match texts {
                Some(texts) => Ok(Categories::Texts(texts)),
                None => wrong(format!(
                    "has categories of feature {at} that are no text: XGBoost 3.2 counts characters where it cuts bytes \
                     and damages categories with other letters than ASCII; train it on categories of ASCII letters or on \
                     numbers"
                )),
            }
        })
        .collect()
}

fn source(tree: &Tree, number: usize, score: usize, weight: f32) -> Result<SourceTree, ModelError> {
    let count = tree.left_children.len();
    let lengths = [
        tree.right_children.len(),
        tree.split_indices.len(),
        tree.split_conditions.len(),
        tree.default_left.len(),
    ];
    if count == 0 || lengths.iter().any(|length| *length != count) {
        return wrong(format!("has lists of different lengths in tree {number}"));
    }
    if tree.tree_param.size_leaf_vector.as_deref().is_some_and(|size| !["0", "1"].contains(&size)) {
        return wrong(format!("has leaves of several values in tree {number}, which are not read"));
    }
    let mut sets: std::collections::BTreeMap<usize, &[u32]> = std::collections::BTreeMap::new();
    let segments = tree.categories_segments.iter().zip(&tree.categories_sizes);
    for (node, (start, size)) in tree.categories_nodes.iter().zip(segments) {
        let set = start.checked_add(*size).and_then(|end| tree.categories.get(*start..end));
        match set {
            Some(set) => drop(sets.insert(*node, set)),
            None => return wrong(format!("has a set of categories that is not there in tree {number}")),
        }
    }
    let mut nodes = Vec::with_capacity(count);
    for at in 0..count {
        let condition = tree.split_conditions[at];
        let (left, right) = (tree.left_children[at], tree.right_children[at]);
        if left == -1 {
            nodes.push(Node::Leaf(f64::from(condition * weight)));
            continue;
        }
        let (Ok(left), Ok(right)) = (usize::try_from(left), usize::try_from(right)) else {
            return wrong(format!("has the child {left} or {right} in tree {number}"));
        };
        let (feature, default_left) = (tree.split_indices[at], tree.default_left[at].0);
        if tree.split_type.get(at).is_some_and(|kind| *kind == 1) {
            // What is in the set goes right.
            let Some(set) = sets.get(&at) else {
                return wrong(format!("has no set of categories for node {at} of tree {number}"));
            };
            let test = Test::Category(set.to_vec());
            nodes.push(Node::Split {
                feature,
                test,
                missing_inside: !default_left,
                inside: right,
                outside: left,
            });
            continue;
        }
        if condition.is_nan() {
            return wrong(format!("compares with NaN in tree {number}"));
        }
        let test = Test::Number(Ranges::below(condition));
        nodes.push(Node::Split { feature, test, missing_inside: default_left, inside: left, outside: right });
    }
    let covers = if tree.sum_hessian.len() == count { tree.sum_hessian.clone() } else { Vec::new() };
    Ok(SourceTree { score, nodes, covers })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn model() -> Value {
        json!({ "learner": {
            "attributes": {},
            "feature_names": ["a", "b"],
            "feature_types": ["float", "c"],
            "gradient_booster": { "name": "gbtree", "model": {
                "tree_info": [0],
                "iteration_indptr": [0, 1],
                "cats": { "enc": [{ "offsets": [], "values": [] }, { "offsets": [0, 1, 3], "values": [97, -61, -87] }] },
                "trees": [{
                    "left_children": [1, 3, -1, -1, -1], "right_children": [2, 4, -1, -1, -1],
                    "split_indices": [0, 1, 0, 0, 0], "split_conditions": [1.5, 0.0, 0.25, -0.5, 0.75],
                    "default_left": [1, 0, 0, 0, 0], "split_type": [0, 1, 0, 0, 0],
                    "categories": [1], "categories_nodes": [1], "categories_segments": [0], "categories_sizes": [1],
                    "sum_hessian": [4.0, 3.0, 1.0, 2.0, 1.0], "tree_param": { "size_leaf_vector": "1" }
                }]
            } },
            "learner_model_param": { "base_score": "[2.5E-1]", "num_class": "0", "num_feature": "2", "num_target": "1" },
            "objective": { "name": "binary:logistic" }
        }, "version": [3, 2, 0] })
    }

    fn refused(change: impl Fn(&mut Value)) -> String {
        let mut model = model();
        change(&mut model["learner"]);
        read(model.to_string().as_bytes()).expect_err("refused").to_string()
    }

    #[test]
    fn a_model_is_read_with_its_directions_categories_and_base() {
        let read = read(model().to_string().as_bytes()).expect("a model");
        assert_eq!(read.categories[1], Categories::Texts(vec!["a".to_owned(), "é".to_owned()]));
        let Node::Leaf(first) = read.trees[0].nodes[2] else { panic!("a leaf") };
        assert!((first - (0.25 + (1.0_f64 / 3.0).ln())).abs() < 1e-6);
        let Node::Split { test: Test::Number(ranges), missing_inside: true, .. } = &read.trees[0].nodes[0]
        else {
            panic!("a split");
        };
        assert_eq!(*ranges, Ranges::at_most(1.5_f32.next_down()));
        let Node::Split { inside: 4, outside: 3, missing_inside: true, .. } = &read.trees[0].nodes[1] else {
            panic!("a split");
        };
    }

    #[test]
    fn categories_that_xgboost_cut_in_the_middle_are_refused() {
        use modelgate_core::schema::{Classes, Feature, FeatureSchema, FeatureType, SCHEMA_VERSION, Task};
        let cats = |learner: &mut Value, offsets: Value, values: &[u8]| {
            learner["gradient_booster"]["model"]["cats"]["enc"][1] = json!({
                "offsets": offsets, "values": values.iter().map(|byte| *byte as i8).collect::<Vec<_>>()
            });
        };
        // XGBoost writes `é`, `b` as two characters and their first two bytes.
        let found = refused(|learner| cats(learner, json!([0, 1, 2]), "é".as_bytes()));
        assert!(found.contains("no text: XGBoost 3.2 counts characters"), "{found}");
        // `Bern`, `Zürich` come out as `Bern`, `Züric`, which is text.
        let mut damaged = model();
        cats(&mut damaged["learner"], json!([0, 4, 10]), "BernZüric".as_bytes());
        let read = read(damaged.to_string().as_bytes()).expect("a model");
        let of = |cities: [&str; 2]| {
            let categories = cities.map(str::to_owned).to_vec();
            let schema = FeatureSchema {
                schema_version: SCHEMA_VERSION,
                task: Task::Classification,
                features: vec![
                    Feature::of("a", FeatureType::Float, true),
                    Feature { categories, ..Feature::of("b", FeatureType::Text, true) },
                ],
                target: "y".to_owned(),
                classes: Some(Classes::Int(vec![0, 1])),
                nulls: Vec::new(),
            };
            read.estimator(&schema)
        };
        let error = of(["Bern", "Zürich"]).expect_err("refused").to_string();
        assert!(error.contains("the category `Züric` of `b`, which is not in the data"), "{error}");
        assert!(of(["Bern", "Züric"]).is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let tree = |learner: &mut Value, key: &str, value: Value| {
            learner["gradient_booster"]["model"]["trees"][0][key] = value;
        };
        for (message, found) in [
            ("objective `rank:ndcg`", refused(|learner| learner["objective"]["name"] = json!("rank:ndcg"))),
            (
                "booster `gblinear`",
                refused(|learner| learner["gradient_booster"]["name"] = json!("gblinear")),
            ),
            ("several targets", refused(|learner| learner["learner_model_param"]["num_target"] = json!("2"))),
            ("base score", refused(|learner| learner["learner_model_param"]["base_score"] = json!("[0E0]"))),
            ("base score", refused(|learner| learner["learner_model_param"]["base_score"] = json!("none"))),
            ("names", refused(|learner| learner["learner_model_param"]["num_feature"] = json!("3"))),
            ("different lengths", refused(|learner| tree(learner, "split_indices", json!([0])))),
            ("or -7", refused(|learner| tree(learner, "right_children", json!([-7, 4, -1, -1, -1])))),
            (
                "several values",
                refused(|learner| tree(learner, "tree_param", json!({ "size_leaf_vector": "3" }))),
            ),
            ("not there", refused(|learner| tree(learner, "categories_sizes", json!([9])))),
            ("no set of categories", refused(|learner| tree(learner, "categories_nodes", json!([2])))),
            ("cannot be read", refused(|learner| tree(learner, "default_left", json!(["x"])))),
            ("best", refused(|learner| learner["attributes"]["best_iteration"] = json!("7"))),
            ("it says", refused(|learner| learner["gradient_booster"]["model"]["tree_info"] = json!([]))),
        ] {
            assert!(found.contains(message), "{found}: {message}");
        }
        assert!(read(b"{}").expect_err("refused").to_string().contains("learner"));
    }
}
