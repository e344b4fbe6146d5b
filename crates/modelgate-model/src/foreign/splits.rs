//! A tree of another program as one of ours: whatever a split asks becomes comparisons `<=`, and nodes are numbered
//! anew from the root, which finds cycles.

use crate::estimator::{LEAF, MISSING_LEFT, Tree, TreeNode};

/// The values that a split sends to its inside: closed intervals in order, with values between them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Ranges(Vec<(f32, f32)>);

impl Ranges {
    /// Returns the values `<= threshold`.
    pub(crate) fn at_most(threshold: f32) -> Self {
        Self(vec![(f32::NEG_INFINITY, threshold)])
    }

    /// Returns the values `< threshold`.
    pub(crate) fn below(threshold: f32) -> Self {
        // Nothing is below the lowest.
        if threshold == f32::NEG_INFINITY { Self::default() } else { Self::at_most(threshold.next_down()) }
    }

    /// Returns the values of closed intervals, which may overlap.
    pub(crate) fn of(mut intervals: Vec<(f32, f32)>) -> Self {
        intervals.retain(|(low, high)| low <= high);
        intervals.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut merged: Vec<(f32, f32)> = Vec::with_capacity(intervals.len());
        for (low, high) in intervals {
            match merged.last_mut() {
                Some(last) if low <= last.1.next_up() => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    /// Returns these values and those of a closed interval.
    pub(crate) fn with(&self, low: f32, high: f32) -> Self {
        Self::of(self.0.iter().copied().chain([(low, high)]).collect())
    }

    /// Returns these values but those of a closed interval.
    pub(crate) fn without(&self, low: f32, high: f32) -> Self {
        let cut = |own: &(f32, f32)| {
            if own.1 < low || own.0 > high {
                return [Some(*own), None];
            }
            let before = (own.0 < low).then(|| (own.0, low.next_down()));
            let after = (own.1 > high).then(|| (high.next_up(), own.1));
            [before, after]
        };
        Self::of(self.0.iter().flat_map(cut).flatten().collect())
    }

    /// Returns comparisons `<=` one after another, each with whether a value that passes is inside, and whether a value
    /// that passes none is.
    fn comparisons(&self) -> (Vec<(f32, bool)>, bool) {
        let (mut asked, mut rest) = (Vec::new(), false);
        for (low, high) in &self.0 {
            if *low != f32::NEG_INFINITY {
                asked.push((low.next_down(), false));
            }
            if *high == f32::INFINITY {
                rest = true;
            } else {
                asked.push((*high, true));
            }
        }
        (asked, rest)
    }
}

/// A split of a tree of another program.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Split {
    /// The column of the matrix.
    pub(crate) column: usize,
    /// The values that go inside.
    pub(crate) ranges: Ranges,
    /// Whether NaN goes inside.
    pub(crate) missing_inside: bool,
    /// The node for values inside.
    pub(crate) inside: usize,
    /// The node for all others.
    pub(crate) outside: usize,
}

/// A node of a tree of another program.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Source {
    /// The values of a leaf.
    Leaf(Vec<f32>),
    /// A split.
    Split(Split),
}

/// Returns the tree that hangs on the node `root` of `count`; `node` gives each, and `cover` the training rows that
/// reached it, where they are known.
///
/// # Errors
/// Fails for a node that is reached twice, such as in a cycle, and for one that is not there.
pub(crate) fn grow(
    root: usize,
    count: usize,
    mut node: impl FnMut(usize) -> Result<Source, String>,
    cover: Option<&dyn Fn(usize) -> f32>,
) -> Result<Tree, String> {
    let mut tree = Tree::default();
    let mut seen = vec![false; count];
    // A node and the places that lead to it: the number of a node of ours and whether its right side does.
    let mut open: Vec<(usize, Vec<(usize, bool)>)> = vec![(root, Vec::new())];
    let mut leaves = 0_u32;
    while let Some((at, ways)) = open.pop() {
        match seen.get_mut(at) {
            Some(seen) if !*seen => *seen = true,
            Some(_) => return Err(format!("node {at} is reached twice")),
            None => return Err(format!("node {at} of {count} is reached")),
        }
        let number = u32::try_from(tree.nodes.len()).ok().filter(|number| *number < MISSING_LEFT);
        let number = number.ok_or("it has too many nodes")?;
        for (from, right) in &ways {
            let from = &mut tree.nodes[*from];
            *(if *right { &mut from.right } else { &mut from.left }) = number;
        }
        let split = match node(at)? {
            Source::Leaf(values) => {
                tree.nodes.push(TreeNode { feature: LEAF, threshold: 0.0, left: leaves, right: 0 });
                tree.values.extend(values);
                tree.covers.extend(cover.map(|cover| cover(at)));
                leaves += 1;
                continue;
            }
            Source::Split(split) => split,
        };
        let column = u32::try_from(split.column).ok().filter(|column| *column < MISSING_LEFT);
        let column = column.ok_or("it compares a column that cannot be")?;
        let (mut asked, mut rest) = split.ranges.comparisons();
        if asked.is_empty() && rest != split.missing_inside {
            // Only what is missing goes the other way.
            asked.push((f32::INFINITY, rest));
            rest = split.missing_inside;
        }
        let side = |inside: bool| if inside { split.inside } else { split.outside };
        if asked.is_empty() {
            // Everything goes one way: there is nothing to ask.
            open.push((side(rest), ways));
            continue;
        }
        // NaN passes no comparison; where it must not end with the rest, one lets it through.
        let flagged = (rest != split.missing_inside)
            .then(|| asked.iter().position(|(_, inside)| *inside == split.missing_inside))
            .flatten();
        let first = tree.nodes.len();
        let mut leads: [Vec<(usize, bool)>; 2] = [Vec::new(), Vec::new()];
        for (place, (threshold, inside)) in asked.iter().enumerate() {
            let missing = if flagged == Some(place) { MISSING_LEFT } else { 0 };
            let next = (first + place + 1) as u32;
            tree.nodes.push(TreeNode {
                feature: column | missing,
                threshold: *threshold,
                left: 0,
                right: next,
            });
            leads[usize::from(*inside)].push((first + place, false));
            // What goes on with a split that another node began has no cover of its own.
            tree.covers.extend(cover.map(|cover| if place == 0 { cover(at) } else { 0.0 }));
        }
        leads[usize::from(rest)].push((first + asked.len() - 1, true));
        let [outside, inside] = leads;
        // The side that the first comparison leads to comes first.
        let sides = [(split.inside, inside), (split.outside, outside)];
        let ordered = if asked[0].1 { sides } else { [sides[1].clone(), sides[0].clone()] };
        for (child, ways) in ordered.into_iter().rev() {
            open.push((child, ways));
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;

    fn split(ranges: Ranges, missing_inside: bool) -> Tree {
        let nodes = |at: usize| {
            Ok(match at {
                0 => Source::Split(Split {
                    column: 0,
                    ranges: ranges.clone(),
                    missing_inside,
                    inside: 1,
                    outside: 2,
                }),
                at => Source::Leaf(vec![if at == 1 { 1.0 } else { 0.0 }]),
            })
        };
        grow(0, 3, nodes, None).expect("a tree")
    }

    #[track_caller]
    fn inside(tree: &Tree, values: &[f32]) {
        for value in values {
            assert_eq!(tree.values[tree.leaf(&[*value])], 1.0, "{value}");
        }
    }

    #[track_caller]
    fn outside(tree: &Tree, values: &[f32]) {
        for value in values {
            assert_eq!(tree.values[tree.leaf(&[*value])], 0.0, "{value}");
        }
    }

    #[test]
    fn one_comparison_stays_one() {
        let tree = split(Ranges::at_most(1.5), true);
        assert_eq!(tree.nodes.len(), 3);
        inside(&tree, &[1.5, -9.0, NAN, f32::NEG_INFINITY]);
        outside(&tree, &[1.500_000_1, f32::INFINITY]);
        let tree = split(Ranges::below(1.5), false);
        inside(&tree, &[1.499_999_9]);
        outside(&tree, &[1.5, NAN]);
        outside(&split(Ranges::below(f32::NEG_INFINITY), false), &[f32::NEG_INFINITY, 0.0, NAN]);
        inside(&split(Ranges::below(f32::NEG_INFINITY), true), &[NAN]);
    }

    #[test]
    fn a_set_of_values_is_a_run_of_comparisons() {
        for missing in [false, true] {
            let tree = split(Ranges::of(vec![(3.0, 3.0), (1.0, 1.0), (7.0, f32::INFINITY)]), missing);
            inside(&tree, &[1.0, 3.0, 7.0, 1e30, f32::INFINITY]);
            outside(&tree, &[0.0, 0.999_999_9, 1.000_000_1, 2.0, 3.000_000_2, 6.9, f32::NEG_INFINITY]);
            if missing { inside(&tree, &[NAN]) } else { outside(&tree, &[NAN]) }
        }
    }

    #[test]
    fn touching_intervals_are_one_and_holes_are_cut() {
        let touching = Ranges::of(vec![(0.0, 1.0), (1.0_f32.next_up(), 2.0), (5.0, 4.0)]);
        assert_eq!(touching, Ranges::of(vec![(0.0, 2.0)]));
        let hole = Ranges::at_most(5.0).without(-1.0, 1.0);
        let tree = split(hole.clone(), true);
        inside(&tree, &[-2.0, 2.0, 5.0, NAN]);
        outside(&tree, &[-1.0, 0.0, 1.0, 6.0]);
        assert_eq!(hole.with(-1.0, 1.0), Ranges::at_most(5.0));
    }

    #[test]
    fn cycles_and_nodes_that_are_not_there_are_found() {
        let nodes = |target: usize| {
            move |_: usize| {
                let (ranges, inside) = (Ranges::at_most(0.0), target);
                Ok(Source::Split(Split { column: 0, ranges, missing_inside: false, inside, outside: 1 }))
            }
        };
        assert_eq!(grow(0, 2, nodes(0), None), Err("node 0 is reached twice".to_owned()));
        assert_eq!(grow(0, 2, nodes(9), None), Err("node 9 of 2 is reached".to_owned()));
    }
}
