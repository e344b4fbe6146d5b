//! What LightGBM and XGBoost have in common: trees over named features that add to scores, brought to the columns of the
//! data.

use std::collections::{HashMap, HashSet, VecDeque};

use modelgate_core::schema::{Feature, FeatureSchema, FeatureType};
use modelgate_data::preprocess::{
    Encode, Missing, NumericColumn, PreprocessPlan, PreprocessSpec, Scale, TextColumn, UnknownCategory,
};

use super::splits::{Ranges, Source, Split, grow};
use crate::error::ModelError;
use crate::estimator::{Boosted, Estimator, LEAF, Tree, TreeNode};

/// More scores than this are refused, so that a few bytes cannot ask for much memory.
pub(crate) const MAX_SCORES: usize = 1 << 14;

/// What the scores are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    /// A number.
    Value,
    /// The log-odds of the second of two classes.
    Binary,
    /// One logit per class.
    Classes(usize),
}

/// What the values of a feature stand for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Categories {
    /// Numbers.
    None,
    /// Categories that are whole numbers themselves.
    Codes,
    /// The number behind each category.
    Numbers(Vec<f64>),
    /// The text behind each category.
    Texts(Vec<String>),
}

/// How far the names of features are the data's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Naming {
    /// The features have no names: columns go by their places.
    None,
    /// They are called what the program calls features without a name, which the data's columns may be called too.
    Usual,
    /// They are called as columns of the data.
    Own,
}

/// What a split asks of a feature.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Test {
    /// Whether a number is in ranges.
    Number(Ranges),
    /// Whether a category is one of these.
    Category(Vec<u32>),
}

/// A node of a tree over features.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Node {
    /// What it adds to its score.
    Leaf(f64),
    /// A test; NaN goes inside or not.
    Split { feature: usize, test: Test, missing_inside: bool, inside: usize, outside: usize },
}

/// A tree over features; node 0 is the root.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SourceTree {
    /// The score that it adds to.
    pub(crate) score: usize,
    /// The nodes in any order.
    pub(crate) nodes: Vec<Node>,
    /// Training rows that reached each node; empty where they are not known.
    pub(crate) covers: Vec<f32>,
}

/// A boosted model of another program.
#[derive(Clone, PartialEq, Debug)]
pub struct BoostedModel {
    /// The program.
    pub(crate) program: &'static str,
    /// The names of the features, or what the program calls features without a name.
    pub(crate) names: Vec<String>,
    /// Whether the names are the data's.
    pub(crate) naming: Naming,
    /// What each feature's values stand for.
    pub(crate) categories: Vec<Categories>,
    /// Whether a fraction above -1 counts as category 0, as truncation has it.
    pub(crate) truncates_to_zero: bool,
    /// Whether the program may have damaged categories with other letters than ASCII.
    pub(crate) damages_texts: bool,
    /// What the scores are.
    pub(crate) output: Output,
    /// What each score begins with.
    pub(crate) base: Vec<f32>,
    /// The trees in order.
    pub(crate) trees: Vec<SourceTree>,
}

fn wrong<T>(reason: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError::Foreign(reason.into()))
}

/// How a feature stands in the matrix.
struct Column<'a> {
    /// Its place.
    place: usize,
    /// The categories in order, where it is text.
    texts: Option<&'a [String]>,
}

impl BoostedModel {
    /// Returns the number of scores.
    fn scores(&self) -> usize {
        if let Output::Classes(classes) = self.output { classes } else { 1 }
    }

    /// Returns the model over the columns of `schema`, and the preprocessing that makes its matrix of them.
    ///
    /// # Errors
    /// Says how the features differ from the columns, and what a tree has that cannot be.
    pub(crate) fn estimator(
        &self,
        schema: &FeatureSchema,
    ) -> Result<(PreprocessPlan, Estimator), ModelError> {
        let found = match (self.output, &schema.classes) {
            (Output::Value, None) => None,
            (Output::Binary, Some(classes)) if classes.len() == 2 => Some(2),
            (Output::Classes(count), Some(classes)) if classes.len() == count => Some(count),
            (output, classes) => {
                let gives = match output {
                    Output::Value => "a number".to_owned(),
                    Output::Binary => "2 classes".to_owned(),
                    Output::Classes(count) => format!("{count} classes"),
                };
                let wanted = classes
                    .as_ref()
                    .map_or("a number".to_owned(), |classes| format!("{} classes", classes.len()));
                return wrong(format!(
                    "the {} model gives {gives} and `{}` has {wanted}",
                    self.program, schema.target
                ));
            }
        };
        let features = self.features(schema)?;
        let plan = self.plan(&features)?;
        let mut columns = Vec::with_capacity(features.len());
        for feature in &features {
            let numeric = plan.numeric.iter().position(|column| column.name == feature.name);
            let text = plan.text.iter().position(|column| column.name == feature.name);
            columns.push(match (numeric, text) {
                (Some(place), _) => Column { place, texts: None },
                (None, Some(at)) => {
                    Column { place: plan.numeric.len() + at, texts: Some(&plan.text[at].categories) }
                }
                (None, None) => return wrong(format!("the column `{}` is not in the plan", feature.name)),
            });
        }
        let scores = self.scores();
        let mut by_score: Vec<VecDeque<Tree>> = vec![VecDeque::new(); scores];
        for (number, source) in self.trees.iter().enumerate() {
            let tree = self
                .tree(source, &columns)
                .map_err(|reason| ModelError::Foreign(format!("tree {number}: {reason}")))?;
            match by_score.get_mut(source.score) {
                Some(trees) => trees.push_back(tree),
                None => return wrong(format!("tree {number} is for score {} of {scores}", source.score)),
            }
        }
        let boosted = Boosted {
            features: columns.len(),
            scores,
            base: self.base.clone(),
            trees: interleaved(by_score),
            ..Boosted::default()
        };
        let estimator = if found.is_some() {
            Estimator::BoostedClassifier(boosted)
        } else {
            Estimator::BoostedRegressor(boosted)
        };
        estimator.validate()?;
        Ok((plan, estimator))
    }

    /// Returns the column of each feature: of the same name where the features have names, else at the same place.
    pub(super) fn features<'a>(&self, schema: &'a FeatureSchema) -> Result<Vec<&'a Feature>, ModelError> {
        let takes = || self.names.join(", ");
        let own: HashMap<&str, usize> =
            schema.features.iter().enumerate().map(|(at, feature)| (feature.name.as_str(), at)).collect();
        let by_place = match self.naming {
            Naming::None => true,
            Naming::Usual => !self.names.iter().any(|name| own.contains_key(name.as_str())),
            Naming::Own => false,
        };
        if by_place {
            if schema.features.len() != self.names.len() {
                return wrong(format!(
                    "the {} model takes {} features without names and the data has {} columns; drop columns with \
                     `preprocess.drop`",
                    self.program,
                    self.names.len(),
                    schema.features.len()
                ));
            }
            return Ok(schema.features.iter().collect());
        }
        // LightGBM writes no blanks into names. A column that another feature is called to the letter is not meant.
        let plain = |text: &str| text.replace(char::is_whitespace, "_");
        let named: HashSet<&str> = self.names.iter().map(String::as_str).collect();
        let alike = |name: &String| {
            let is_alike = |feature: &Feature| {
                !named.contains(feature.name.as_str()) && plain(&feature.name) == plain(name)
            };
            schema.features.iter().position(is_alike)
        };
        let (mut found, mut taken) = (Vec::with_capacity(self.names.len()), HashSet::new());
        for name in &self.names {
            match own.get(name.as_str()).copied().or_else(|| alike(name)) {
                Some(at) if !taken.insert(at) => {
                    return wrong(format!("the {} model takes `{name}` twice", self.program));
                }
                Some(at) => found.extend(schema.features.get(at)),
                None => {
                    return wrong(format!(
                        "the {} model takes the column `{name}`, which is not in the data: it takes [{}]",
                        self.program,
                        takes()
                    ));
                }
            }
        }
        let extra = schema.features.iter().enumerate().find(|(at, _)| !taken.contains(at));
        match extra {
            Some((_, feature)) => wrong(format!(
                "the data has the column `{}`, which the {} model does not take: add it to `preprocess.drop`; the model \
                 takes [{}]",
                feature.name,
                self.program,
                takes()
            )),
            None => Ok(found),
        }
    }

    /// Returns the preprocessing: nothing for numbers, and the position of a text among its categories.
    fn plan(&self, features: &[&Feature]) -> Result<PreprocessPlan, ModelError> {
        let spec = PreprocessSpec {
            missing: Missing::None,
            scale: Scale::None,
            encode: Encode::Ordinal,
            unknown_category: UnknownCategory::Ignore,
        };
        let mut plan = PreprocessPlan { spec, numeric: Vec::new(), text: Vec::new() };
        for (feature, categories) in features.iter().zip(&self.categories) {
            let name = feature.name.clone();
            match (feature.feature_type, categories) {
                (FeatureType::Text, Categories::Texts(texts)) => {
                    let mut categories = texts.clone();
                    categories.sort_unstable();
                    categories.dedup();
                    if categories.len() != texts.len() || categories.is_empty() {
                        return wrong(format!("the categories of `{name}` are none or not distinct"));
                    }
                    let unknown = categories.iter().find(|text| !feature.categories.contains(text));
                    if let Some(unknown) = unknown
                        && self.damages_texts
                        && !feature.categories.is_empty()
                        && !categories.iter().all(|text| text.is_ascii())
                    {
                        return wrong(format!(
                            "the {} model has the category `{unknown}` of `{name}`, which is not in the data: XGBoost 3.2 \
                             counts characters where it cuts bytes and damages categories with other letters than ASCII; \
                             train it on categories of ASCII letters or on numbers",
                            self.program
                        ));
                    }
                    plan.text.push(TextColumn { name, fill: None, categories });
                }
                (FeatureType::Text, _) => {
                    return wrong(format!(
                        "the column `{name}` holds text and the {} model takes a number there",
                        self.program
                    ));
                }
                (_, Categories::Texts(_)) => {
                    return wrong(format!(
                        "the column `{name}` holds numbers and the {} model takes a text there; set its type in \
                         `data.types`",
                        self.program
                    ));
                }
                (feature_type, categories) => {
                    if let Categories::Numbers(values) = categories
                        && let Some((one, other)) = merged(values)
                    {
                        return wrong(format!(
                            "the categories {one} and {other} of `{name}` are one number of 32 bits, which columns are here: \
                             train it on texts, such as `frame[\"{name}\"].astype(str).astype(\"category\")`, and declare \
                             `data.types: {{{name}: category}}`, or on distances from a constant"
                        ));
                    }
                    plan.numeric.push(NumericColumn {
                        name,
                        feature_type,
                        fill: None,
                        mean: None,
                        scale: None,
                    });
                }
            }
        }
        Ok(plan)
    }

    fn tree(&self, source: &SourceTree, columns: &[Column<'_>]) -> Result<Tree, String> {
        let node = |at: usize| {
            Ok(match source.nodes.get(at).ok_or("a node is not there")? {
                Node::Leaf(value) if (*value as f32).is_finite() => Source::Leaf(vec![*value as f32]),
                Node::Leaf(_) => return Err(format!("leaf {at} is not finite")),
                Node::Split { feature, test, missing_inside, inside, outside } => {
                    let column = columns.get(*feature).ok_or_else(|| {
                        format!("node {at} compares feature {feature} of {}", columns.len())
                    })?;
                    let ranges = self
                        .ranges(*feature, test, column, *missing_inside)
                        .map_err(|reason| format!("node {at}: {reason}"))?;
                    Source::Split(Split {
                        column: column.place,
                        ranges,
                        missing_inside: *missing_inside,
                        inside: *inside,
                        outside: *outside,
                    })
                }
            })
        };
        let cover = |at: usize| source.covers.get(at).copied().unwrap_or(0.0);
        let covered = source.covers.len() == source.nodes.len()
            && source.covers.iter().all(|cover| cover.is_finite() && *cover >= 0.0);
        grow(0, source.nodes.len(), node, if covered { Some(&cover) } else { None })
    }

    /// Returns the values of a column that are inside a split.
    fn ranges(
        &self,
        feature: usize,
        test: &Test,
        column: &Column<'_>,
        missing_inside: bool,
    ) -> Result<Ranges, String> {
        let name = || self.names.get(feature).map_or("", String::as_str);
        let codes = match (test, column.texts) {
            (Test::Number(ranges), None) => return Ok(ranges.clone()),
            (Test::Number(_), Some(_)) => {
                return Err(format!("it compares the text `{}` with a number", name()));
            }
            (Test::Category(codes), _) => codes,
        };
        let point = |value: f32| (value, value);
        let categories = self.categories.get(feature).unwrap_or(&Categories::None);
        let mut intervals = Vec::with_capacity(codes.len() + 1);
        for code in codes {
            let at = *code as usize;
            // A category beyond those that are known is never met.
            match (categories, column.texts) {
                (Categories::Texts(texts), Some(sorted)) => {
                    let place = texts.get(at).and_then(|text| sorted.binary_search(text).ok());
                    intervals.extend(place.map(|place| point(place as f32)));
                }
                (Categories::Numbers(values), None) => {
                    intervals.extend(values.get(at).map(|value| point(*value as f32)));
                }
                (Categories::Codes | Categories::None, None) if *code < 1 << 24 => {
                    let low = if *code == 0 && self.truncates_to_zero {
                        (-1.0_f32).next_up()
                    } else {
                        *code as f32
                    };
                    intervals.push((low, (*code as f32 + 1.0).next_down()));
                }
                _ => return Err(format!("it has category {code} of `{}`", name())),
            }
        }
        if column.texts.is_some() && missing_inside {
            // A missing text, and one that is no category, stands at -1.
            intervals.push((f32::NEG_INFINITY, -0.5));
        }
        Ok(Ranges::of(intervals))
    }
}

/// Returns two numbers that are one number of 32 bits, if there are any.
fn merged(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    // Rounding keeps the order.
    let pair = sorted.windows(2).find(|pair| pair[0] != pair[1] && pair[0] as f32 == pair[1] as f32)?;
    Some((pair[0], pair[1]))
}

/// Returns the trees so that tree `t` adds to score `t % scores`, each score's in their order. Where a score has fewer,
/// trees that add nothing take their place.
pub(crate) fn interleaved(mut by_score: Vec<VecDeque<Tree>>) -> Vec<Tree> {
    let longest = by_score.iter().map(VecDeque::len).max().unwrap_or(0);
    let nothing = || Tree {
        nodes: vec![TreeNode { feature: LEAF, threshold: 0.0, left: 0, right: 0 }],
        values: vec![0.0],
        covers: vec![1.0],
    };
    let mut trees = Vec::with_capacity(longest * by_score.len());
    for _ in 0..longest {
        for own in &mut by_score {
            trees.push(own.pop_front().unwrap_or_else(nothing));
        }
    }
    trees
}

#[cfg(test)]
mod tests;
