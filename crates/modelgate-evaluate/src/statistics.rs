//! The distributions and tests that intervals, slices and paired comparisons rest on.
//!
//! Each function names its source; the tests hold them against stored values of `SciPy`.

use serde::{Deserialize, Serialize};

use crate::sum::sum;

mod one_sided;

pub use one_sided::{Losses, paired_worse, part_worse};

/// Returns the share of the standard normal distribution below `z`.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// Returns the `z` below which the share `p`, between 0 and 1, of the standard normal distribution lies.
///
/// Source: Wichura, 1988, algorithm AS 241, followed by one step of Halley's method.
pub fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || p <= 0.0 || p >= 1.0 {
        return if p == 0.0 {
            f64::NEG_INFINITY
        } else if p == 1.0 {
            f64::INFINITY
        } else {
            f64::NAN
        };
    }
    let q = p - 0.5;
    let rational = |r: f64, top: [f64; 4], bottom: [f64; 4]| {
        let up = ((top[3] * r + top[2]) * r + top[1]) * r + top[0];
        let down = ((bottom[3] * r + bottom[2]) * r + bottom[1]) * r + bottom[0];
        up / down
    };
    let first = if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        let top = [3.387_132_717_9, 50.434_271_938, 159.291_132_02, 59.109_374_720];
        q * rational(r, top, [1.0, 17.895_169_469, 78.757_757_664, 67.187_563_600])
    } else {
        let r = libm::sqrt(-libm::log(p.min(1.0 - p)));
        let tail = if r <= 5.0 {
            let top = [1.423_437_277_7, 2.756_815_39, 1.306_728_481_6, 0.170_238_211_03];
            rational(r - 1.6, top, [1.0, 0.737_001_642_5, 0.120_211_326_75, 0.0])
        } else {
            let top = [6.657_905_115, 3.081_226_386, 0.428_682_94, 0.017_337_203_997];
            rational(r - 5.0, top, [1.0, 0.241_978_942_25, 0.012_258_202_635, 0.0])
        };
        if q < 0.0 { -tail } else { tail }
    };
    // The rational functions give seven digits; two steps give what a double holds.
    let polish = |z: f64| {
        let density = libm::exp(-0.5 * z * z) / libm::sqrt(2.0 * std::f64::consts::PI);
        let wrong = if z > 0.0 {
            (1.0 - p) - 0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
        } else {
            normal_cdf(z) - p
        };
        let step = wrong / density;
        z - step / (1.0 + z * step / 2.0)
    };
    polish(polish(first))
}

/// Returns the regularised incomplete beta function of `a`, `b` > 0 at `x` from 0 to 1.
///
/// Source: the continued fraction of DLMF 8.17.22, by Lentz's method.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front =
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log1p(-x);
    let tiny = 1e-300;
    let safe = |value: f64| if value.abs() < tiny { tiny } else { value };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / safe(1.0 + term * d);
            c = safe(1.0 + term / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    libm::exp(front) * fraction / a
}

/// Returns the two-sided probability of a Student's t at least as far from 0 as `t`, with `freedom` > 0 degrees.
pub fn student_two_sided(t: f64, freedom: f64) -> f64 {
    if !t.is_finite() {
        return if t.is_nan() { f64::NAN } else { 0.0 };
    }
    incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// How two models that answered the same rows differ in being right.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct McNemar {
    /// Rows that only the candidate has right.
    pub only_candidate: u64,
    /// Rows that only the reference has right.
    pub only_reference: u64,
    /// Probability of a split at least as uneven if both were as good, two-sided.
    pub p_value: f64,
}

/// Returns `McNemar`'s test: exact below 1,000 rows that differ, else the chi-squared form with Edwards' correction.
///
/// Source: `McNemar`, 1947; the exact form is the two-sided binomial test at one half.
pub fn mcnemar(only_candidate: u64, only_reference: u64) -> McNemar {
    let (few, differing) = (only_candidate.min(only_reference), only_candidate + only_reference);
    let p_value = if only_candidate == only_reference {
        1.0
    } else if differing < 1000 {
        let half = libm::log(0.5) * differing as f64;
        let choose = |k: u64| {
            libm::lgamma(differing as f64 + 1.0)
                - libm::lgamma(k as f64 + 1.0)
                - libm::lgamma((differing - k) as f64 + 1.0)
        };
        (2.0 * sum((0..=few).map(|k| libm::exp(choose(k) + half)))).min(1.0)
    } else {
        let gap = (only_candidate.abs_diff(only_reference) - 1) as f64;
        libm::erfc(libm::sqrt(gap * gap / differing as f64 / 2.0))
    };
    McNemar { only_candidate, only_reference, p_value }
}

/// Returns between which ends a share lies that `share` of `rows` rows show, with a two-sided `confidence`: where all rows are
/// right, or none, the one end is as far from it as so few rows allow.
///
/// Source: Wilson, 1927, "Probable Inference, the Law of Succession, and Statistical Inference", the score interval.
pub fn share_interval(share: f64, rows: u64, confidence: f64) -> (f64, f64) {
    if rows == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (rows as f64, normal_quantile(f64::midpoint(1.0, confidence)));
    let (whole, square) = (1.0 + z * z / n, z * z / (2.0 * n));
    let half = z * libm::sqrt((share * (1.0 - share)).max(0.0) / n + square / (2.0 * n));
    (((share + square - half) / whole).max(0.0), ((share + square + half) / whole).min(1.0))
}

/// Returns between which ends the candidate's share of right rows less the reference's lies, each end at a one-sided
/// `confidence`, of `rows` rows of which `only_candidate` and `only_reference` are right in one model alone. With few or no
/// rows that differ the ends are as far apart as so few rows allow, where drawing the rows again would see no difference
/// in any round.
///
/// Source: Tango, 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
/// design", the score interval of equation 8.
pub fn paired_score_interval(
    only_candidate: u64,
    only_reference: u64,
    rows: u64,
    confidence: f64,
) -> (f64, f64) {
    if rows == 0 {
        return (-1.0, 1.0);
    }
    let (b, c, n) = (only_candidate as f64, only_reference as f64, rows as f64);
    let difference = (b - c) / n;
    let z = normal_quantile(confidence);
    // The score of a true difference: falls from one end to the other, and is 0 at what was seen.
    let score = |delta: f64| {
        let (square, line, last) = (2.0 * n, (2.0 * n - b + c) * delta - b - c, -c * delta * (1.0 - delta));
        let root = libm::sqrt((line * line - 4.0 * square * last).max(0.0));
        let share = (root - line) / (2.0 * square);
        let variance = n * (2.0 * share + delta * (1.0 - delta));
        (b - c - n * delta) / libm::sqrt(variance.max(f64::MIN_POSITIVE))
    };
    let end = |mut outside: f64, beyond: &dyn Fn(f64) -> bool| {
        let mut inside = difference;
        for _ in 0..60 {
            let middle = f64::midpoint(outside, inside);
            if beyond(score(middle)) { outside = middle } else { inside = middle }
        }
        f64::midpoint(outside, inside)
    };
    (end(-1.0, &|score| score > z), end(1.0, &|score| score < -z))
}

/// A paired t-test of per-row losses.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct PairedTest {
    /// Mean of candidate less reference.
    pub mean_difference: f64,
    /// Student's t; `None` when every row differs by the same.
    pub t: Option<f64>,
    /// Two-sided probability; 1 when no row differs. When all differ by the same it is the chance that as many signs fall
    /// alike: rows that agree show no spread, and are no certainty.
    pub p_value: f64,
}

/// Returns the paired t-test of two losses per row, or `None` below two rows or with a loss that is not finite.
pub fn paired_t(candidate: &[f64], reference: &[f64]) -> Option<PairedTest> {
    let count = candidate.len();
    if count < 2 || reference.len() != count {
        return None;
    }
    let differences: Vec<f64> = candidate.iter().zip(reference).map(|(one, other)| one - other).collect();
    if differences.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mean = sum(differences.iter().copied()) / count as f64;
    let variance = sum(differences.iter().map(|value| (value - mean) * (value - mean))) / (count - 1) as f64;
    if variance == 0.0 {
        let p_value = if mean == 0.0 { 1.0 } else { libm::exp2(1.0 - count as f64) };
        return Some(PairedTest { mean_difference: mean, t: None, p_value });
    }
    let t = mean / libm::sqrt(variance / count as f64);
    Some(PairedTest { mean_difference: mean, t: Some(t), p_value: student_two_sided(t, (count - 1) as f64) })
}

/// Returns the two-sided p-value of Welch's t-test from count, mean and variance (with n − 1) of two groups.
pub fn welch(one: (f64, f64, f64), other: (f64, f64, f64)) -> f64 {
    let (a, b) = (one.2 / one.0, other.2 / other.0);
    let spread = a + b;
    if spread <= 0.0 {
        return if one.1 == other.1 { 1.0 } else { 0.0 };
    }
    let freedom = spread * spread / (a * a / (one.0 - 1.0) + b * b / (other.0 - 1.0));
    student_two_sided((one.1 - other.1) / libm::sqrt(spread), freedom)
}

/// Returns p-values corrected for their number, each the smallest level at which it would be rejected.
///
/// Source: Holm, 1979: the chance of any false alarm among all of them stays below the level.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|one, other| p_values[*one].total_cmp(&p_values[*other]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut highest = 0.0_f64;
    for (rank, at) in order.into_iter().enumerate() {
        highest = highest.max(p_values[at] * (p_values.len() - rank) as f64).min(1.0);
        corrected[at] = highest;
    }
    corrected
}

/// Returns the smallest drop of a paired figure that `rows` rows would show with a chance of 80%, at a one-sided
/// `confidence`, when one row's difference has the standard deviation `spread`.
pub fn smallest_visible_drop(spread: f64, rows: u64, confidence: f64) -> f64 {
    (normal_quantile(confidence) + normal_quantile(0.8)) * spread / libm::sqrt(rows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, expected: f64, digits: f64) {
        assert!(
            (found - expected).abs() <= digits * expected.abs().max(1e-300),
            "{found:?} is not {expected:?}"
        );
    }

    #[test]
    fn distributions_equal_scipy() {
        #[derive(serde::Deserialize)]
        struct Stored {
            normal_quantile: Vec<(f64, f64)>,
            student: Vec<(f64, f64, f64)>,
            mcnemar: Vec<(u64, u64, f64)>,
            score: Vec<(u64, u64, u64, f64, f64, f64)>,
            welch: Vec<((f64, f64, f64), (f64, f64, f64), f64)>,
            paired: Vec<(Vec<f64>, Vec<f64>, f64, f64)>,
            holm: Vec<(Vec<f64>, Vec<f64>)>,
        }
        let stored: Stored =
            serde_json::from_str(include_str!("../tests/reference/statistics.json")).expect("reference");
        for (p, expected) in stored.normal_quantile {
            near(normal_quantile(p), expected, 1e-12);
            near(normal_cdf(expected), p, 1e-12);
        }
        for (t, freedom, expected) in stored.student {
            near(student_two_sided(t, freedom), expected, 1e-8);
        }
        for (one, other, expected) in stored.mcnemar {
            near(mcnemar(one, other).p_value, expected, 1e-9);
        }
        for (one, other, rows, confidence, low, high) in stored.score {
            let found = paired_score_interval(one, other, rows, confidence);
            assert!((found.0 - low).abs() < 1e-6 && (found.1 - high).abs() < 1e-6, "{found:?} {low} {high}");
        }
        for (one, other, expected) in stored.welch {
            near(welch(one, other), expected, 1e-9);
        }
        for (one, other, t, p) in stored.paired {
            let found = paired_t(&one, &other).expect("a test");
            near(found.t.expect("t"), t, 1e-10);
            near(found.p_value, p, 1e-9);
        }
        for (given, expected) in stored.holm {
            for (found, expected) in holm(&given).into_iter().zip(expected) {
                near(found, expected, 1e-12);
            }
        }
    }

    #[test]
    fn edges_have_an_answer() {
        assert_eq!(mcnemar(0, 0).p_value, 1.0);
        assert_eq!(paired_t(&[1.0], &[1.0]), None);
        assert_eq!(paired_t(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        assert_eq!(paired_t(&[1.0, 2.0], &[1.0, 2.0]).expect("a test").p_value, 1.0);
        assert_eq!(paired_t(&[1.0; 3], &[0.0; 3]).expect("a test").p_value, 0.25);
        assert!(normal_quantile(f64::NAN).is_nan());
        assert!(holm(&[]).is_empty());
        assert_eq!(paired_score_interval(0, 0, 0, 0.95), (-1.0, 1.0));
        // Rows that do not differ show no more than their number allows.
        let square = normal_quantile(0.95).powi(2);
        for rows in [2, 10, 133, 10_000] {
            let (low, high) = paired_score_interval(0, 0, rows, 0.95);
            let widest = square / (rows as f64 + square);
            assert!((low + widest).abs() < 1e-9 && (high - widest).abs() < 1e-9, "{rows}: {low} {high}");
        }
    }
}
