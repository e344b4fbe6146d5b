//! The fitted models as plain values: what a trainer emits and the package holds.
//!
//! The key type is [`Estimator`]. Prediction is in `predict`, the ONNX form in `onnx`.

use serde::{Deserialize, Serialize};

/// The value of [`TreeNode::feature`] that marks a leaf.
pub const LEAF: u32 = u32::MAX;

/// One node of a tree; 16 bytes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TreeNode {
    /// Index of the feature compared, or [`LEAF`].
    pub feature: u32,
    /// A row goes left when its value `<=` this, compared as `f32`; NaN goes right. Zero in a leaf.
    pub threshold: f32,
    /// Index of the left child in the tree; in a leaf, the index of its row in [`Tree::values`].
    pub left: u32,
    /// Index of the right child in the tree; zero in a leaf.
    pub right: u32,
}

/// A binary decision tree; node 0 is the root, a child always stands behind its parent.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<TreeNode>,
    /// The leaves' values, row-major `[leaves × outputs]`.
    pub values: Vec<f32>,
}

/// A sum of trees. The weight of a tree (one over their number, for a random forest) is already in its leaf
/// values: the prediction is the `f32` sum of the leaves reached, tree by tree in order.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Forest {
    /// Number of features of a row.
    pub features: usize,
    /// Values per leaf: the number of classes, or 1 for regression.
    pub outputs: usize,
    /// The trees, in order.
    pub trees: Vec<Tree>,
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
    /// Softmax of a linear function.
    LinearClassifier(LinearClassifier),
    /// A linear function.
    LinearRegressor(LinearRegressor),
}
