//! The bins of many values of one feature. A value's bits, in the order of the numbers, say in which of many slots it lies; of
//! each slot it is known which bin it begins in, and only the few thresholds inside it are compared.

use modelgate_model::processor::Level;

use super::bins::{CELLS, key};
use super::simd;

/// Slots of a feature; a table of as many bytes stays in the nearest cache where it is used.
const SLOTS: usize = 1 << 14;

/// Thresholds in a slot up to which comparing them is faster than halving.
const STEPS: usize = 8;

/// Fewer values are searched for one by one: they are not worth a table.
const FEW: usize = 1 << 13;

/// How the bins of a feature are found.
pub(super) struct Search {
    /// The thresholds, padded.
    thresholds: [f32; CELLS],
    slots: Option<Slots>,
}

struct Slots {
    /// The first threshold's key.
    first: u32,
    /// A slot has two to the power of this many keys.
    shift: u32,
    /// The thresholds below each slot.
    below: Box<[u8; SLOTS]>,
    /// The most thresholds that a slot has.
    steps: usize,
}

impl Slots {
    fn new(thresholds: &[f32]) -> Option<Self> {
        let (first, last) = (key(*thresholds.first()?), key(*thresholds.last()?));
        let mut shift = 0;
        while ((last - first) >> shift) as usize >= SLOTS - 1 {
            shift += 1;
        }
        let slot = |threshold: &f32| ((key(*threshold) - first) >> shift) as usize;
        let mut below = Box::new([0; SLOTS]);
        let (mut steps, mut passed) = (0, 0);
        for (at, cell) in below.iter_mut().enumerate() {
            *cell = u8::try_from(passed).ok()?;
            let inside = thresholds[passed..].iter().take_while(|threshold| slot(threshold) == at).count();
            steps = steps.max(inside);
            passed += inside;
        }
        (steps <= STEPS).then_some(Self { first, shift, below, steps })
    }
}

impl Search {
    /// `thresholds` rise; about `count` values will be searched for.
    pub(super) fn new(thresholds: &[f32], count: usize) -> Self {
        let slots = if count < FEW { None } else { Slots::new(thresholds) };
        Self { thresholds: simd::table(thresholds), slots }
    }

    /// Writes the bin of each value: 0 for NaN, else one more than the thresholds below it.
    pub(super) fn bins(&self, level: Level, values: &[f32], bins: &mut [u8]) {
        let Some(slots) = &self.slots else {
            return simd::positions(level, &self.thresholds, values, bins);
        };
        for (bin, value) in bins.iter_mut().zip(values) {
            let slot = (key(*value).saturating_sub(slots.first) >> slots.shift) as usize;
            let mut position = slots.below[slot.min(SLOTS - 1)];
            for _ in 0..slots.steps {
                // Past the last threshold there is only infinity, which no value exceeds.
                position += u8::from(self.thresholds[usize::from(position)] < *value);
            }
            *bin = if value.is_nan() { 0 } else { position + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_give_the_bins_that_halving_gives() {
        let kinds: [fn(usize) -> f32; 5] = [
            |at| (at as f32 - 127.0) / 64.0,
            |at| 1e9 + 64.0 * at as f32,
            |at| libm::expf(at as f32 / 3.0 - 40.0),
            |at| if at < 127 { -1.0 / (at as f32 + 1.0) } else { f32::MAX / 256.0 * at as f32 },
            |at| if at == 0 { f32::NEG_INFINITY } else { at as f32 * 1e-42 },
        ];
        for (number, kind) in kinds.into_iter().enumerate() {
            for count in [1, 2, 100, 254] {
                let thresholds: Vec<f32> = (0..count).map(kind).collect();
                assert!(thresholds.is_sorted_by(|one, other| one < other), "{number}");
                let search = Search::new(&thresholds, FEW);
                assert!(search.slots.is_some() || (number > 2 && count > 2), "{number} {count}");
                let mut values =
                    vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45, f32::MAX, f32::MIN];
                for threshold in &thresholds {
                    values.extend([threshold.next_down(), *threshold, threshold.next_up(), threshold * 1.01]);
                }
                let (mut found, mut expected) = (vec![0; values.len()], vec![0; values.len()]);
                search.bins(Level::Baseline, &values, &mut found);
                simd::positions(Level::Baseline, &simd::table(&thresholds), &values, &mut expected);
                assert_eq!(found, expected, "{number} {count}");
            }
        }
    }
}
