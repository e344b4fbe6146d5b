//! What leaves are worth, from sums of all digits, and what they add to the scores of rows.

use modelgate_model::processor::Level;
use rayon::prelude::*;

use super::bins::Binned;
use super::grow::{Leaf, Node, Order, side};
use super::loss::{Class, Objective, Units};
use super::split::{Bounds, Limits, Split, Sums};

/// Rows that are looked at or changed at a time, so that what is known of them stays in the second cache.
const PIECE: usize = 1 << 15;

fn leaves(nodes: &[Node]) -> impl Iterator<Item = (usize, &Leaf)> {
    nodes.iter().enumerate().filter_map(|(at, node)| match node {
        Node::Leaf(leaf) => Some((at, leaf)),
        Node::Inner { .. } => None,
    })
}

/// The rows of leaves, which rise in each, piece by piece.
struct Pieces<'a> {
    /// Of each leaf those that are still to come.
    rest: Vec<&'a [u32]>,
}

impl<'a> Pieces<'a> {
    /// Begins with row `start`.
    fn new(nodes: &[Node], order: &Order<'a>, start: usize) -> Self {
        let from = |(_, leaf): (usize, &Leaf)| {
            let rows = order.rows(leaf.place);
            &rows[rows.partition_point(|row| (*row as usize) < start)..]
        };
        Self { rest: leaves(nodes).map(from).collect() }
    }

    /// Returns the rows before `end` of each leaf; it is at most [`PIECE`] rows further than before.
    fn until(&mut self, end: usize) -> impl Iterator<Item = &'a [u32]> {
        self.rest.iter_mut().map(move |rest| {
            let near = &rest[..rest.len().min(PIECE)];
            let (rows, others) = rest.split_at(near.partition_point(|row| (*row as usize) < end));
            *rest = others;
            rows
        })
    }
}

/// Returns how many rows, some pieces, a thread goes through at a time.
fn span(rows: usize) -> usize {
    rows.div_ceil(4 * rayon::current_num_threads()).next_multiple_of(PIECE)
}

/// Returns what each node adds to the score of its rows before the learning rate, where that is no quotient of sums but a quantile of
/// what is left to learn; 0 for what is no leaf, nothing for other losses.
///
/// The bounds that leaves were grown in are of quotients: monotone features get bounds of the same kind as the values.
pub(super) fn refitted(
    objective: &Objective,
    (nodes, order): (&[Node], &Order<'_>),
    binned: &Binned,
    scores: &[f32],
) -> Option<Vec<f64>> {
    if !objective.refits() {
        return None;
    }
    let found: Vec<(usize, f64)> = leaves(nodes)
        .collect::<Vec<_>>()
        .par_iter()
        .map(|(at, leaf)| Some((*at, objective.leaf(order.rows(leaf.place), scores)?)))
        .collect::<Option<_>>()?;
    let mut values = vec![0.0; nodes.len()];
    found.into_iter().for_each(|(at, value)| values[at] = value);
    let is_monotonic = |split: &Split| binned.features[split.feature].monotonic != 0;
    if !nodes.iter().any(|node| matches!(node, Node::Inner { split, .. } if is_monotonic(split))) {
        return Some(values);
    }
    // The rows of every node; children stand behind their parents.
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate().rev() {
        rows[at] = match node {
            Node::Leaf(leaf) => order.rows(leaf.place).to_vec(),
            Node::Inner { children, .. } => children.map(|child| rows[child].clone()).concat(),
        };
    }
    let mut bounds = vec![Bounds::NONE; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let within = bounds[at];
        match node {
            Node::Leaf(_) => values[at] = values[at].clamp(within.low, within.high),
            Node::Inner { split, children, .. } => {
                let sign = binned.features[split.feature].monotonic;
                let sides = if sign == 0 {
                    [within, within]
                } else {
                    let of = |side: usize| objective.leaf(&rows[children[side]], scores);
                    let (left, right) =
                        (of(0)?.clamp(within.low, within.high), of(1)?.clamp(within.low, within.high));
                    within.parted(sign, left, right)
                };
                (bounds[children[0]], bounds[children[1]]) = (sides[0], sides[1]);
            }
        }
    }
    Some(values)
}

/// Returns what each node adds to the score of its rows before the learning rate; 0 for what is no leaf.
pub(super) fn values(
    objective: &Objective,
    level: Level,
    (nodes, order): (&[Node], &Order<'_>),
    scores: &[f32],
    class: Option<Class<'_>>,
    units: &Units,
    limits: &Limits,
) -> Vec<f64> {
    let mut values = vec![0.0; nodes.len()];
    let all: Vec<(usize, &Leaf)> = leaves(nodes).collect();
    let scales = units.largest.map(|largest| scale(largest, order.count()));
    let (count, span) = (scores.len(), span(scores.len()));
    let figures = class.map_or(scores, |class| class.probabilities);
    let sums = (0..count.div_ceil(span))
        .into_par_iter()
        .map(|at| {
            let (start, end) = (at * span, ((at + 1) * span).min(count));
            let mut sums = vec![[0_i64; 2]; all.len()];
            let mut exact = vec![[0_i64; 2]; PIECE.min(end - start)];
            let mut pieces = Pieces::new(nodes, order, start);
            for start in (start..end).step_by(PIECE) {
                let range = start..(start + PIECE).min(end);
                let exact = &mut exact[..range.len()];
                objective.exact_pairs(level, range.clone(), figures, class, scales, exact);
                for (rows, sum) in pieces.until(range.end).zip(&mut sums) {
                    *sum = rows.iter().fold(*sum, |sum, row| plus(sum, exact[*row as usize - start]));
                }
            }
            sums
        })
        .reduce(
            || vec![[0; 2]; all.len()],
            |mut sums, others| {
                sums.iter_mut().zip(others).for_each(|(sum, other)| *sum = plus(*sum, other));
                sums
            },
        );
    let limits = Limits { units: scales.map(|scale| 1.0 / scale), ..*limits };
    for ((at, leaf), [gradient, hessian]) in all.iter().zip(sums) {
        let sums = Sums { gradient, hessian, rows: leaf.place.count() as u32 };
        values[*at] = limits.value(sums, leaf.bounds);
    }
    values
}

/// Returns a power of two by which numbers up to `largest` become whole numbers, so fine that sums over `rows` just fit.
fn scale(largest: f64, rows: usize) -> f64 {
    let (_, exponent) = libm::frexp(largest.max(1e-200));
    let bits = 61 - (usize::BITS - rows.leading_zeros()) as i32;
    libm::ldexp(1.0, bits.min(50) - exponent)
}

fn plus(one: [i64; 2], other: [i64; 2]) -> [i64; 2] {
    [one[0].wrapping_add(other[0]), one[1].wrapping_add(other[1])]
}

/// Adds a tree to the scores of the rows it was grown on: piece by piece of the rows, which rise inside each leaf, so
/// that pieces can be written side by side and each stays in the cache.
pub(super) fn add_by_leaf(nodes: &[Node], values: &[f64], order: &Order<'_>, scores: &mut [f32]) {
    let span = span(scores.len());
    let values: Vec<f32> = leaves(nodes).map(|(at, _)| values[at] as f32).collect();
    scores.par_chunks_mut(span).enumerate().for_each(|(at, scores)| {
        let start = at * span;
        let mut pieces = Pieces::new(nodes, order, start);
        for (at, scores) in scores.chunks_mut(PIECE).enumerate() {
            let start = start + at * PIECE;
            for (rows, value) in pieces.until(start + scores.len()).zip(&values) {
                rows.iter().for_each(|row| scores[*row as usize - start] += value);
            }
        }
    });
}

/// Adds a tree to the scores of all rows, drawn or not.
pub(super) fn add_by_walk(nodes: &[Node], values: &[f64], binned: &Binned, scores: &mut [f32]) {
    scores.par_chunks_mut(1024).enumerate().for_each(|(piece, scores)| {
        for (row, score) in scores.iter_mut().enumerate() {
            let row = (piece * 1024 + row) as u32;
            let mut at = 0;
            while let Node::Inner { split, children, .. } = &nodes[at] {
                at = children[side(split.goes_left, binned.bin(row, split.feature))];
            }
            *score += values[at] as f32;
        }
    });
}
