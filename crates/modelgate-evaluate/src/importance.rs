//! Permutation importance and partial dependence over any model that can be asked.
//!
//! Sources: Breiman, 2001, "Random Forests", section 10; Friedman, 2001, "Greedy Function Approximation", section 8.2.

use serde::{Deserialize, Serialize};

use crate::random::Stream;
use crate::sum::sum;

/// How much worse the model does when one feature's values are put in a random order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Importance {
    /// The feature.
    pub feature: String,
    /// Mean worsening of the loss over the repeats.
    pub mean: f64,
    /// Standard deviation over the repeats.
    pub std: f64,
}

/// Returns each feature's importance, the largest first; equal ones in the order of `features`.
///
/// `loss` is asked for the loss, smaller is better, with feature `i`'s values taken from other rows: `order[row]` is the
/// row whose value stands in `row`. It is asked once without a feature.
///
/// # Errors
/// Passes on what `loss` returns.
pub fn permutation_importance<E>(
    features: &[String],
    rows: usize,
    repeats: u32,
    seed: u64,
    mut loss: impl FnMut(Option<(usize, &[u32])>) -> Result<f64, E>,
) -> Result<Vec<Importance>, E> {
    let base = loss(None)?;
    let mut found = Vec::with_capacity(features.len());
    for (feature, name) in features.iter().enumerate() {
        let mut drops = Vec::with_capacity(repeats as usize);
        for repeat in 0..repeats {
            let mut order: Vec<u32> = (0..rows as u32).collect();
            // By name, so that another column more does not change this one's figure.
            let key = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            Stream::new(seed ^ key, u64::from(repeat)).shuffle(&mut order);
            drops.push(loss(Some((feature, &order)))? - base);
        }
        let mean = sum(drops.iter().copied()) / f64::from(repeats.max(1));
        let variance =
            sum(drops.iter().map(|drop| (drop - mean) * (drop - mean))) / f64::from(repeats.max(1));
        found.push(Importance { feature: name.clone(), mean, std: libm::sqrt(variance) });
    }
    found.sort_by(|one, other| other.mean.total_cmp(&one.mean));
    Ok(found)
}

/// The mean answer when every row had one value of a feature.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PartialDependence {
    /// The feature.
    pub feature: String,
    /// The values that were tried, as text; categories, or rising numbers.
    pub values: Vec<String>,
    /// Those values as numbers; empty for text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<f64>,
    /// What is averaged: a class's probability, or the prediction.
    pub outcome: String,
    /// The mean answer by value.
    pub mean: Vec<f64>,
    /// The rows it is the mean of; 0 where an earlier version did not say.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rows: u64,
}

/// The form that serde asks for.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none(rows: &u64) -> bool {
    *rows == 0
}
