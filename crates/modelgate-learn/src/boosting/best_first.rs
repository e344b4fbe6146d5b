//! The order in which leaves are split: the one with the largest gain next. Threads that would have to wait for it divide those
//! that come after it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::Scope;

use super::bins::CELLS;
use super::divide::{Divided, Division, Ground, Worker, workers};
use super::grow::{Leaf, Node, Place, Shape, Side};
use super::loss::Heavy;
use super::split::{Bounds, Split, Sums};
use crate::random::SplitMix64;

/// Memory that is used again.
#[derive(Default)]
pub(super) struct Spare {
    pub(super) cells: Vec<Vec<i32>>,
    packed: Vec<Vec<[i64; CELLS]>>,
}

impl Spare {
    pub(super) fn workers(&mut self, count: usize) -> Vec<Worker> {
        let worker =
            || Worker::new(self.packed.pop().unwrap_or_default(), self.cells.pop().unwrap_or_default());
        std::iter::repeat_with(worker).take(count).collect()
    }

    pub(super) fn take_back(&mut self, workers: Vec<Worker>) {
        for Worker { packed, sums, .. } in workers {
            self.packed.push(packed);
            self.cells(sums);
        }
    }

    pub(super) fn cells(&mut self, cells: Vec<i32>) {
        if cells.capacity() > 0 {
            self.cells.push(cells);
        }
    }
}

/// A leaf that may be split further.
pub(super) struct Open<'t> {
    pub(super) node: usize,
    pub(super) place: Place,
    /// The rows of the root; those of others are in the first list.
    pub(super) given: Option<&'t [u32]>,
    /// Its places in the lists, first in that of its rows.
    pub(super) lists: [&'t mut [u32]; 2],
    /// Those of its rows that are held apart.
    pub(super) heavy: Vec<Heavy>,
    pub(super) depth: usize,
    pub(super) bounds: Bounds,
    pub(super) sums: Sums,
    /// The sums of its bins; empty where they were given up, see `HELD` in `grow`.
    pub(super) cells: Vec<i32>,
    pub(super) split: Split,
}

/// A leaf that is being divided.
struct Job<'t> {
    open: Open<'t>,
    /// Which features each side looks at; nothing where the sides stay leaves.
    looked: Option<[Option<Vec<bool>>; 2]>,
    workers: Vec<Worker>,
    room: Vec<i32>,
}

/// A leaf and its sides.
pub(super) struct Done<'t> {
    pub(super) open: Open<'t>,
    pub(super) divided: Box<Divided>,
}

impl<'t> Job<'t> {
    fn run(mut self, ground: &Ground<'_>) -> Done<'t> {
        let open = &mut self.open;
        let [first, second] = &mut open.lists;
        let (from, to): (&[u32], &mut [u32]) = match open.given {
            Some(rows) => (rows, first),
            None => (first, second),
        };
        let division = Division {
            from,
            to,
            heavy: std::mem::take(&mut open.heavy),
            split: open.split,
            sums: open.sums,
            bounds: open.bounds,
            cells: std::mem::take(&mut open.cells),
            looked: self.looked,
            workers: self.workers,
            room: self.room,
        };
        let divided = Box::new(division.run(ground));
        Done { open: self.open, divided }
    }
}

/// What is known of a node.
pub(super) enum State<'t> {
    Waiting(Open<'t>),
    /// It is being divided.
    Busy,
    /// It is divided, but not yet its turn.
    Divided(Done<'t>),
    /// It is split, or can not be.
    Over,
}

/// The gain of an open leaf and its node: the largest gain first; of equal ones the first node.
#[derive(Clone, Copy)]
pub(super) struct ByGain(f64, usize);

impl Ord for ByGain {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then(other.1.cmp(&self.1))
    }
}

impl PartialOrd for ByGain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByGain {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByGain {}

/// A tree as it grows. The leaf with the largest gain is split next; threads that would wait for it divide those that come
/// after it, which are split too but for what is found below the first. What a thread does decides when a leaf is divided, never
/// whether or when it is split.
pub(super) struct Growing<'t> {
    pub(super) ground: Ground<'t>,
    pub(super) shape: Shape,
    pub(super) random: &'t mut SplitMix64,
    /// Rows of the tree.
    pub(super) rows: usize,
    pub(super) nodes: Vec<Node>,
    pub(super) states: Vec<State<'t>>,
    /// Leaves that can be split, and those of them that nobody divides or has divided.
    pub(super) open: BinaryHeap<ByGain>,
    pub(super) waiting: BinaryHeap<ByGain>,
    pub(super) leaves: usize,
    /// Leaves that are or were divided and are not split yet.
    pub(super) ahead: usize,
    /// Sums of bins that open leaves keep, and how many they may.
    pub(super) held: usize,
    pub(super) most_held: usize,
    /// Threads that divide leaves, those that look for one, and how many there may be.
    pub(super) active: usize,
    pub(super) awake: usize,
    pub(super) most_active: usize,
    pub(super) spare: Spare,
}

impl<'t> Growing<'t> {
    /// Adds a node; it is a leaf that can be split where it has a split.
    pub(super) fn push(&mut self, leaf: Leaf, open: Option<Open<'t>>) {
        self.nodes.push(Node::Leaf(leaf));
        let Some(mut open) = open else {
            self.states.push(State::Over);
            return;
        };
        if !open.cells.is_empty() {
            if self.held < self.most_held {
                self.held += 1;
            } else {
                self.spare.cells(std::mem::take(&mut open.cells));
            }
        }
        let key = ByGain(open.split.gain, open.node);
        self.open.push(key);
        self.waiting.push(key);
        self.states.push(State::Waiting(open));
    }

    /// Returns whether a leaf can be divided now; a call of [`next`](Self::next) takes it.
    fn is_more(&self) -> bool {
        let left = self.shape.max_leaf_nodes - self.leaves;
        let Some(ByGain(_, node)) = self.waiting.peek() else { return false };
        let is_first = self.open.peek().is_some_and(|first| first.1 == *node);
        // The last splits are made where the others say: what is divided before may be for nothing.
        let in_advance = self.most_active > 1
            && self.ahead + 2 < left
            && self.held + 2 * self.most_active < self.most_held;
        left > 0 && (is_first || in_advance)
    }

    fn next(&mut self) -> Option<Job<'t>> {
        if !self.is_more() {
            return None;
        }
        let ByGain(_, node) = self.waiting.pop()?;
        let State::Waiting(open) = std::mem::replace(&mut self.states[node], State::Busy) else {
            return None;
        };
        self.ahead += 1;
        self.held -= usize::from(!open.cells.is_empty());
        let is_last = self.leaves + 1 == self.shape.max_leaf_nodes;
        let further = !is_last && open.depth + 1 < self.shape.max_depth;
        let mut looked = || looked_at(&self.ground, self.shape, self.random);
        let looked = further.then(|| [looked(), looked()]);
        let helpers = if self.is_more() { 0 } else { self.most_active.saturating_sub(self.active) };
        let workers = self.spare.workers(workers(open.place.count(), self.rows, helpers));
        let gave_up = further && open.cells.is_empty();
        let room = if gave_up { self.spare.cells.pop().unwrap_or_default() } else { Vec::new() };
        Some(Job { open, looked, workers, room })
    }

    /// Takes a leaf that was divided, and makes the splits whose turn it is.
    fn done(&mut self, mut done: Done<'t>) {
        self.spare.take_back(std::mem::take(&mut done.divided.workers));
        done.divided.free.take().into_iter().for_each(|cells| self.spare.cells(cells));
        let node = done.open.node;
        self.states[node] = State::Divided(done);
        while self.leaves < self.shape.max_leaf_nodes
            && let Some(ByGain(_, first)) = self.open.peek()
        {
            let first = *first;
            match std::mem::replace(&mut self.states[first], State::Over) {
                State::Divided(done) => {
                    self.open.pop();
                    self.split(done);
                }
                other => {
                    self.states[first] = other;
                    break;
                }
            }
        }
    }

    /// Splits a leaf.
    fn split(&mut self, Done { open, divided }: Done<'t>) {
        let Place { side, start, end } = open.place;
        let side = match side {
            Side::Given | Side::Second => Side::First,
            Side::First => Side::Second,
        };
        let [rows, others] = match (open.given, open.lists) {
            (Some(_), lists) => lists,
            (None, [from, to]) => [to, from],
        };
        let Divided { bounds, sums, heavy, cells, splits, .. } = *divided;
        let count = sums[0].rows as usize;
        let (rows, others) = (rows.split_at_mut(count), others.split_at_mut(count));
        let lists = [[rows.0, others.0], [rows.1, others.1]];
        let places = [(start, start + count), (start + count, end)];
        let children = [self.nodes.len(), self.nodes.len() + 1];
        self.nodes[open.node] = Node::Inner { split: open.split, children };
        self.leaves += 1;
        self.ahead -= 1;
        let parts = lists.into_iter().zip(cells).zip(heavy);
        for (at, ((lists, cells), heavy)) in parts.enumerate() {
            let place = Place { side, start: places[at].0, end: places[at].1 };
            let (node, bounds, sums) = (children[at], bounds[at], sums[at]);
            let depth = open.depth + 1;
            let Some(split) = splits[at] else {
                self.spare.cells(cells);
                self.push(Leaf { place, bounds }, None);
                continue;
            };
            let child = Open { node, place, given: None, lists, heavy, depth, bounds, sums, cells, split };
            self.push(Leaf { place, bounds }, Some(child));
        }
    }
}

fn lock<'m, 't>(growing: &'m Mutex<Growing<'t>>) -> MutexGuard<'m, Growing<'t>> {
    growing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a thread that has no leaf to divide looks for one, or for a part of another's, before it goes to sleep: to be woken
/// takes longer than a small leaf does.
const AWAKE: Duration = Duration::from_micros(500);

/// Divides leaves until the tree is grown or there is none for this thread for long; calls for others where there are more.
pub(super) fn work<'s, 't: 's>(scope: &Scope<'s>, growing: &'s Mutex<Growing<'t>>) {
    let mut state = lock(growing);
    let mut since = Instant::now();
    loop {
        while let Some(job) = state.next() {
            let calls = state.active + state.awake < state.most_active && state.is_more();
            state.active += usize::from(calls);
            let ground = state.ground;
            drop(state);
            if calls {
                scope.spawn(|scope| work(scope, growing));
            }
            let done = job.run(&ground);
            since = Instant::now();
            state = lock(growing);
            state.done(done);
        }
        // Where nobody else divides a leaf, nobody will find one.
        if state.active == 1 || since.elapsed() > AWAKE {
            state.active -= 1;
            return;
        }
        state.active -= 1;
        state.awake += 1;
        drop(state);
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            since = Instant::now();
        }
        state = lock(growing);
        state.awake -= 1;
        state.active += 1;
    }
}

/// Returns how many features a node looks at.
pub(super) fn wanted(ground: &Ground<'_>, shape: Shape) -> usize {
    let count = ground.binned.features.len();
    ((count as f64 * shape.max_features).ceil() as usize).clamp(1, count)
}

/// Returns which features a node looks at; `None` for all.
pub(super) fn looked_at(ground: &Ground<'_>, shape: Shape, random: &mut SplitMix64) -> Option<Vec<bool>> {
    let count = ground.binned.features.len();
    let wanted = wanted(ground, shape);
    if wanted == count {
        return None;
    }
    let mut looked = vec![false; count];
    let mut left = wanted;
    for (place, looked) in looked.iter_mut().enumerate() {
        // Each of those still to come is as likely: a draw without putting back.
        *looked = random.below(count - place) < left;
        left -= usize::from(*looked);
    }
    Some(looked)
}
