//! The fitted models as plain values: what a trainer emits and the package holds.
//!
//! The key type is [`Estimator`]. Prediction is in `predict`, the ONNX form in `onnx`.

mod stored;

use serde::{Deserialize, Serialize};

pub use crate::predict::Prepared;

/// The value of [`TreeNode::feature`] that marks a leaf.
pub const LEAF: u32 = u32::MAX;

/// The bit of [`TreeNode::feature`] that sends NaN left; without it NaN goes right.
pub const MISSING_LEFT: u32 = 1 << 31;

/// One node of a tree; 16 bytes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TreeNode {
    /// Index of the feature compared, with [`MISSING_LEFT`] where NaN goes left; or [`LEAF`].
    pub feature: u32,
    /// A row goes left when its value `<=` this, compared as `f32`. Zero in a leaf.
    pub threshold: f32,
    /// Index of the left child in the tree; in a leaf, the index of its row in [`Tree::values`].
    pub left: u32,
    /// Index of the right child in the tree; zero in a leaf.
    pub right: u32,
}

impl TreeNode {
    /// Returns whether it is a leaf.
    #[inline]
    pub fn is_leaf(&self) -> bool {
        self.feature == LEAF
    }

    /// Returns the feature that a node other than a leaf compares.
    #[inline]
    pub fn column(&self) -> usize {
        (self.feature & !MISSING_LEFT) as usize
    }

    /// Returns whether NaN goes left in a node other than a leaf.
    #[inline]
    pub fn missing_left(&self) -> bool {
        self.feature & MISSING_LEFT != 0
    }
}

/// A binary decision tree; node 0 is the root, a child always stands behind its parent.
///
/// A split by a set of categories is a run of nodes over the categories' positions whose branches lead to the same two
/// nodes behind it: a node may have several parents. Only left branches share a child, as ONNX Runtime wants it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<TreeNode>,
    /// The leaves' values, row-major `[leaves × outputs]`.
    pub values: Vec<f32>,
    /// Training rows that reached each node, for contributions; empty where they are not known. Zero for a node that
    /// goes on with the split of a set of categories which another node began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<f32>,
}

/// A sum of trees. The weight of a tree (one over their number, for a random forest) is already in its leaf
/// values: the prediction is the `f32` sum of the leaves reached, tree by tree in order.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Forest {
    /// Number of features of a row.
    pub features: usize,
    /// Values per leaf: the number of classes; or 1 for regression, and for the probability of the second of two classes.
    pub outputs: usize,
    /// The trees, in order.
    pub trees: Vec<Tree>,
    /// The trees as prediction takes them.
    #[serde(skip)]
    pub prepared: Prepared,
}

/// A sum of trees over a base: tree `t` adds the value of the leaf reached to score `t % scores`, tree by tree in order
/// in `f32`, and the base is added last. The learning rate is in the leaf values.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Boosted {
    /// Number of features of a row.
    pub features: usize,
    /// Scores of a row: 1 for a number and for two classes, else one per class.
    pub scores: usize,
    /// What each score begins with.
    pub base: Vec<f32>,
    /// The trees, with one value per leaf.
    pub trees: Vec<Tree>,
    /// What prediction keeps; not to be changed after it.
    #[serde(skip)]
    pub prepared: Prepared,
}

/// A linear model of the logits: `logit[c] = intercepts[c] + Σ coefficients[c][f] · x[f]`, then softmax, in doubles;
/// the probability is rounded to `f32` once.
/// A binary model keeps class 0 at zero, so that softmax is the logistic function of class 1's logit.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LinearClassifier {
    /// Number of features of a row.
    pub features: usize,
    /// Row-major `[classes × features]`.
    pub coefficients: Vec<f64>,
    /// One per class.
    pub intercepts: Vec<f64>,
}

/// A linear model of a number: `intercept + Σ coefficients[f] · x[f]` in doubles, rounded to `f32` once.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LinearRegressor {
    /// Number of features of a row.
    pub features: usize,
    /// One per feature, in units of the target per unit of the feature.
    pub coefficients: Vec<f64>,
    /// What is added, in units of the target.
    pub intercept: f64,
}

/// A fitted model over a matrix of preprocessed `f32` features.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Leaf values are class probabilities over the number of trees.
    ForestClassifier(Forest),
    /// Leaf values are target means over the number of trees.
    ForestRegressor(Forest),
    /// One score is the log-odds of the second of two classes; several are logits, one per class.
    BoostedClassifier(Boosted),
    /// The score is the answer.
    BoostedRegressor(Boosted),
    /// Softmax of a linear function.
    LinearClassifier(LinearClassifier),
    /// A linear function.
    LinearRegressor(LinearRegressor),
}
