//! LightGBM's text form (`model.txt`), versions 3 and 4.
//!
//! Source of the form and of how a row walks: `src/io/gbdt_model_text.cpp`, `src/io/tree.cpp` and
//! `include/LightGBM/tree.h` of LightGBM 4. Thresholds are doubles there; rounded down to `f32`, an `f32` value is on
//! the same side of both.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::boosted::{BoostedModel, Categories, MAX_SCORES, Naming, Node, Output, SourceTree, Test};
use super::splits::Ranges;
use crate::error::ModelError;

/// What counts as zero where zero is missing.
const ZERO: f32 = 1e-35;

/// The bits of a node's `decision_type`.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

fn wrong<T>(reason: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError::Foreign(format!("the LightGBM model {}", reason.into())))
}

/// The `key=value` lines of a section.
struct Section<'a> {
    name: String,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Section<'a> {
    /// Takes lines up to an empty one behind the first.
    fn read(name: String, lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> Self {
        let mut values = BTreeMap::new();
        while let Some(line) = lines.next_if(|line| !line.is_empty() && *line != "end of trees") {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            values.insert(key, value);
        }
        Self { name, values }
    }

    fn text(&self, key: &str) -> Result<&'a str, ModelError> {
        match self.values.get(key) {
            Some(value) => Ok(value),
            None => wrong(format!("has no `{key}` in {}", self.name)),
        }
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, ModelError> {
        let text = self.text(key)?;
        text.parse().or_else(|_| wrong(format!("has `{key}={text:.40}` in {}", self.name)))
    }

    fn list<T: FromStr>(&self, key: &str, length: usize) -> Result<Vec<T>, ModelError> {
        let text = self.text(key)?;
        let values: Result<Vec<T>, _> = text.split_ascii_whitespace().map(str::parse).collect();
        match values {
            Ok(values) if values.len() == length => Ok(values),
            Ok(values) => {
                wrong(format!("has {} values in `{key}` of {}, expected {length}", values.len(), self.name))
            }
            Err(_) => wrong(format!("has something that is no number in `{key}` of {}", self.name)),
        }
    }

    /// Returns a list that may be left out; another length counts as none.
    fn optional<T: FromStr>(&self, key: &str, length: usize) -> Option<Vec<T>> {
        self.list(key, length).ok()
    }
}

/// Takes the middle out of each tree's leaves and returns what that makes for each score: sums in `f32` lose less of
/// smaller terms, and LightGBM sums doubles.
fn centred(trees: &mut [SourceTree], scores: usize) -> Vec<f32> {
    let mut base = vec![0.0_f64; scores];
    for tree in trees {
        let leaf = |node: &Node| if let Node::Leaf(value) = node { Some(*value) } else { None };
        let leaves = || tree.nodes.iter().filter_map(leaf);
        let middle =
            f64::midpoint(leaves().fold(f64::INFINITY, f64::min), leaves().fold(f64::NEG_INFINITY, f64::max));
        for node in &mut tree.nodes {
            if let Node::Leaf(value) = node {
                *value -= middle;
            }
        }
        if let Some(base) = base.get_mut(tree.score) {
            *base += middle;
        }
    }
    base.into_iter().map(|base| base as f32).collect()
}

/// What the objective says of scores.
struct Objective {
    output: Output,
    /// What scores are multiplied with.
    factor: f64,
}

/// Reads a model.
///
/// # Errors
/// Says what of it cannot be used, and where it is.
pub(crate) fn read(text: &str) -> Result<BoostedModel, ModelError> {
    let mut lines = text.lines().map(str::trim_end).peekable();
    if lines.next() != Some("tree") {
        return wrong("does not begin with the line `tree`");
    }
    let header = Section::read("its head".to_owned(), &mut lines);
    let version = header.text("version")?;
    if !["v3", "v4"].contains(&version) {
        return wrong(format!("has version {version:.20}; versions v3 and v4 are read"));
    }
    let objective = objective(&header)?;
    let scores = if let Output::Classes(classes) = objective.output { classes } else { 1 };
    if header.number::<usize>("num_tree_per_iteration")? != scores {
        return wrong("has another number of trees per round than of scores");
    }
    let names: Vec<String> =
        header.text("feature_names")?.split_ascii_whitespace().map(str::to_owned).collect();
    if names.is_empty() || header.number::<usize>("max_feature_idx")? != names.len() - 1 {
        return wrong("has another number of names than of features");
    }
    let mut trees = Vec::new();
    let mut ended = false;
    while let Some(line) = lines.next() {
        if line == "end of trees" {
            ended = true;
            break;
        }
        if let Some(number) = line.strip_prefix("Tree=") {
            if number != trees.len().to_string() {
                return wrong(format!("has the tree {number:.20} where tree {} stands", trees.len()));
            }
            let section = Section::read(format!("tree {number}"), &mut lines);
            let score = trees.len() % scores;
            trees.push(tree(&section, score, objective.factor)?);
        } else if !line.is_empty() {
            return wrong(format!("has the line `{line:.40}` among its trees"));
        }
    }
    if !ended {
        return wrong("was cut: its trees have no end");
    }
    if trees.len() % scores != 0 {
        return wrong("was cut: the last round has too few trees");
    }
    if header.values.contains_key("average_output") {
        // A forest: the answer is the mean over the rounds.
        let rounds = (trees.len() / scores).max(1) as f64;
        for node in trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
            if let Node::Leaf(value) = node {
                *value /= rounds;
            }
        }
    }
    let base = centred(&mut trees, scores);
    let categories = categories(&header, names.len(), lines)?;
    let generic = names.iter().enumerate().all(|(at, name)| *name == format!("Column_{at}"));
    Ok(BoostedModel {
        program: "LightGBM",
        // It does not say whether the data had names or it gave them.
        naming: if generic { Naming::Usual } else { Naming::Own },
        names,
        categories,
        truncates_to_zero: true,
        damages_texts: false,
        output: objective.output,
        base,
        trees,
    })
}

fn objective(header: &Section<'_>) -> Result<Objective, ModelError> {
    let Ok(text) = header.text("objective") else {
        return wrong(
            "has no objective (it was trained with one of its own), which says what its scores are",
        );
    };
    let mut words = text.split_ascii_whitespace();
    let name = words.next().unwrap_or_default();
    let settings: BTreeMap<&str, &str> =
        words.map(|word| word.split_once(':').unwrap_or((word, ""))).collect();
    let plain = |output| Ok(Objective { output, factor: 1.0 });
    match name {
        // The square root of the target is learned: the answer is the square of the score.
        "regression" if settings.contains_key("sqrt") => {
            wrong("has the objective `regression` with `reg_sqrt`, which is not read")
        }
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => plain(Output::Value),
        "binary" => {
            let factor: f64 = settings.get("sigmoid").and_then(|text| text.parse().ok()).unwrap_or(1.0);
            if !(factor.is_finite() && factor > 0.0) {
                return wrong("has a sigmoid that is no positive number");
            }
            Ok(Objective { output: Output::Binary, factor })
        }
        "multiclass" => match header.number::<usize>("num_class")? {
            classes @ 2..=MAX_SCORES => plain(Output::Classes(classes)),
            classes => wrong(format!("has {classes} classes")),
        },
        name => wrong(format!(
            "has the objective `{name:.40}`, which is not read: `regression` and its robust kin, `binary` and \
             `multiclass` are"
        )),
    }
}

/// Returns the largest `f32` that is not above `threshold`.
fn rounded_down(threshold: f64) -> f32 {
    let nearest = threshold as f32;
    if f64::from(nearest) > threshold { nearest.next_down() } else { nearest }
}

fn tree(section: &Section<'_>, score: usize, factor: f64) -> Result<SourceTree, ModelError> {
    let leaves: usize = section.number("num_leaves")?;
    if section.values.get("is_linear").is_some_and(|linear| *linear != "0") {
        return wrong(format!("has linear leaves in {}, which are not read", section.name));
    }
    if leaves == 0 {
        return wrong(format!("has no leaf in {}", section.name));
    }
    let values: Vec<f64> = section.list("leaf_value", leaves)?;
    let leaf = |value: &f64| Node::Leaf(value * factor);
    if leaves == 1 {
        return Ok(SourceTree { score, nodes: values.iter().map(leaf).collect(), covers: Vec::new() });
    }
    let splits = leaves - 1;
    let features: Vec<usize> = section.list("split_feature", splits)?;
    let thresholds: Vec<f64> = section.list("threshold", splits)?;
    let decisions: Vec<u8> = section.list("decision_type", splits)?;
    let lefts: Vec<i64> = section.list("left_child", splits)?;
    let rights: Vec<i64> = section.list("right_child", splits)?;
    let sets = sets(section)?;
    // Splits come first, then leaves; a child below zero is a leaf.
    let child = |number: i64| match usize::try_from(number) {
        Ok(split) if split < splits => Ok(split),
        Err(_) if number >= -(leaves as i64) => Ok(splits + (-1 - number) as usize),
        _ => wrong(format!("has the child {number} in {}", section.name)),
    };
    let mut nodes = Vec::with_capacity(splits + leaves);
    for at in 0..splits {
        let (threshold, decision) = (thresholds[at], decisions[at]);
        let (left, right) = (child(lefts[at])?, child(rights[at])?);
        let (test, missing_left) = if decision & CATEGORICAL != 0 {
            let set = if threshold >= 0.0 { sets.get(threshold as usize) } else { None };
            let Some(set) = set else {
                return wrong(format!("has no set of categories {threshold} in {}", section.name));
            };
            // What is missing is in no set.
            (Test::Category(set.clone()), false)
        } else {
            if threshold.is_nan() {
                return wrong(format!("compares with NaN in {}", section.name));
            }
            let default_left = decision & DEFAULT_LEFT != 0;
            let ranges = Ranges::at_most(rounded_down(threshold));
            match (decision >> 2) & 3 {
                // NaN counts as zero.
                0 => (Test::Number(ranges), 0.0 <= threshold),
                1 if default_left => (Test::Number(ranges.with(-ZERO, ZERO)), true),
                1 => (Test::Number(ranges.without(-ZERO, ZERO)), false),
                2 => (Test::Number(ranges), default_left),
                _ => return wrong(format!("has the decision type {decision} in {}", section.name)),
            }
        };
        nodes.push(Node::Split {
            feature: features[at],
            test,
            missing_inside: missing_left,
            inside: left,
            outside: right,
        });
    }
    nodes.extend(values.iter().map(leaf));
    let covers = match (section.optional("internal_count", splits), section.optional("leaf_count", leaves)) {
        (Some(inner), Some(outer)) => inner.into_iter().chain::<Vec<f32>>(outer).collect(),
        _ => Vec::new(),
    };
    Ok(SourceTree { score, nodes, covers })
}

/// Returns the sets of categories of a tree, from the bits that they are kept as.
fn sets(section: &Section<'_>) -> Result<Vec<Vec<u32>>, ModelError> {
    let count: usize = section.number("num_cat")?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let Some(length) = count.checked_add(1) else { return wrong("has too many sets of categories") };
    let bounds: Vec<usize> = section.list("cat_boundaries", length)?;
    let words: Vec<u32> = section.list("cat_threshold", bounds.last().copied().unwrap_or(0))?;
    bounds
        .windows(2)
        .map(|bound| match words.get(bound[0]..bound[1]) {
            Some(words) => Ok(words
                .iter()
                .zip(0_u32..)
                .flat_map(|(word, place)| {
                    (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| place * 32 + bit)
                })
                .collect()),
            None => wrong(format!("has sets of categories out of order in {}", section.name)),
        })
        .collect()
}

/// Returns what each feature's values stand for: the lists of pandas' categories, in the order of categorical features.
fn categories<'a>(
    header: &Section<'_>,
    features: usize,
    lines: impl Iterator<Item = &'a str>,
) -> Result<Vec<Categories>, ModelError> {
    let infos: Vec<&str> = header.text("feature_infos")?.split_ascii_whitespace().collect();
    if infos.len() != features {
        return wrong("has another number of `feature_infos` than of features");
    }
    let mut found: Vec<Categories> = infos
        .iter()
        .map(
            |info| {
                if info.starts_with('[') || *info == "none" { Categories::None } else { Categories::Codes }
            },
        )
        .collect();
    let Some(line) = lines.filter_map(|line| line.strip_prefix("pandas_categorical:")).last() else {
        return Ok(found);
    };
    let lists: Option<Vec<Vec<serde_json::Value>>> = match serde_json::from_str(line) {
        Ok(lists) => lists,
        Err(error) => return wrong(format!("has a last line that cannot be read: {error}")),
    };
    let lists = lists.unwrap_or_default();
    if lists.is_empty() {
        return Ok(found);
    }
    let places: Vec<usize> = (0..features).filter(|at| found[*at] == Categories::Codes).collect();
    if places.len() != lists.len() {
        return wrong(format!(
            "has categories of {} columns of pandas and {} categorical features: let all of them be columns of the type \
             `category`, or none, and drop columns of one category before training",
            lists.len(),
            places.len()
        ));
    }
    for (at, list) in places.into_iter().zip(lists) {
        let texts: Option<Vec<String>> = list.iter().map(|one| one.as_str().map(str::to_owned)).collect();
        let numbers: Option<Vec<f64>> = list.iter().map(serde_json::Value::as_f64).collect();
        found[at] = match (texts, numbers) {
            (Some(texts), _) if !texts.is_empty() => Categories::Texts(texts),
            (_, Some(numbers)) => Categories::Numbers(numbers),
            _ => return wrong("has categories that are neither texts nor numbers"),
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n\
                        objective=binary sigmoid:1\nfeature_names=a b\nfeature_infos=[0:1] 0:1:2\n\n";
    const TREE: &str = "Tree=0\nnum_leaves=3\nnum_cat=1\nsplit_feature=0 1\nthreshold=0.1 0\ndecision_type=10 1\n\
                        left_child=1 -1\nright_child=-2 -3\nleaf_value=0.5 -0.5 0.25\ncat_boundaries=0 1\ncat_threshold=5\n\n";

    fn refused(text: &str) -> String {
        read(text).expect_err("refused").to_string()
    }

    #[test]
    fn thresholds_are_rounded_down_so_that_no_value_changes_sides() {
        assert_eq!(rounded_down(0.1), 0.1_f32.next_down());
        assert_eq!(rounded_down(0.5), 0.5);
        assert_eq!(rounded_down(1e300), f32::MAX);
        assert_eq!(rounded_down(f64::INFINITY), f32::INFINITY);
    }

    #[test]
    fn a_tree_is_read_with_its_directions_and_sets() {
        let model = read(&format!("{HEAD}{TREE}end of trees\n")).expect("a model");
        assert_eq!(model.output, Output::Binary);
        let Node::Split {
            feature: 1,
            test: Test::Category(codes),
            missing_inside: false,
            inside: 2,
            outside: 4,
        } = &model.trees[0].nodes[1]
        else {
            panic!("{:?}", model.trees[0].nodes[1]);
        };
        assert_eq!(codes, &[0, 2]);
        let Node::Split { missing_inside: true, .. } = &model.trees[0].nodes[0] else { panic!("a split") };
    }

    #[test]
    fn a_category_beyond_ascii_may_be_missing_in_the_data() {
        use modelgate_core::schema::{Classes, Feature, FeatureSchema, FeatureType, SCHEMA_VERSION, Task};
        let cities = r#"pandas_categorical:[["Bern", "Genf", "Zürich"]]"#;
        let model = read(&format!("{HEAD}{TREE}end of trees\n\n{cities}\n")).expect("a model");
        let categories = ["Bern", "Zürich"].map(str::to_owned).to_vec();
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
        let (plan, _) = model.estimator(&schema).expect("over these columns");
        assert_eq!(plan.text[0].categories, ["Bern", "Genf", "Zürich"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let whole = format!("{HEAD}{TREE}end of trees\n");
        let with = |from: &str, to: &str| {
            assert!(whole.contains(from), "{from}");
            refused(&whole.replace(from, to))
        };
        assert!(refused("tree\n").contains("no `version`"));
        assert!(refused(&format!("{HEAD}{TREE}")).contains("was cut"));
        assert!(with("v4", "v2").contains("version v2"));
        assert!(with("binary sigmoid:1", "poisson").contains("objective `poisson`"));
        assert!(with("binary sigmoid:1", "regression sqrt").contains("reg_sqrt"));
        assert!(with("objective=binary sigmoid:1\n", "").contains("no objective"));
        assert!(with("right_child=-2 -3", "right_child=-2 -9").contains("child -9 in tree 0"));
        assert!(with("threshold=0.1 0", "threshold=0.1 7").contains("set of categories 7"));
        assert!(with("threshold=0.1 0", "threshold=nan 0").contains("NaN"));
        assert!(
            with("threshold=0.1 0", "threshold=0.1")
                .contains("1 values in `threshold` of tree 0, expected 2")
        );
        assert!(with("cat_boundaries=0 1", "cat_boundaries=1 0").contains("expected 0"));
        assert!(with("num_leaves=3", "num_leaves=99999999999999").contains("`leaf_value`"));
        assert!(with("num_cat=1", "num_cat=18446744073709551615").contains("too many sets"));
        assert!(with("num_leaves=3\n", "num_leaves=3\nis_linear=1\n").contains("linear leaves"));
        assert!(with("max_feature_idx=1", "max_feature_idx=7").contains("names"));
    }
}
