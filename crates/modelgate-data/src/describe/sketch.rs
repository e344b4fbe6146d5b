//! Quantiles of a stream in little memory, with an error that is known.
//!
//! Levels of buffers: a full buffer is sorted and every second value of it goes up one level, where each counts twice
//! as much; which half, the odd or the even ones, alternates. Halving a buffer of weight `w` moves the rank of a value
//! by at most `w/2` to either side of the true one, `w` in all, so the sum over all halvings bounds the error. Exact
//! while nothing was halved.
//!
//! Source: J. I. Munro and M. S. Paterson, "Selection and sorting with limited storage" (1980); the bound as in
//! G. S. Manku, S. Rajagopalan and B. G. Lindsay, "Approximate medians and other quantiles in one pass and with limited
//! memory" (1998).

/// Values of a buffer; up to here quantiles are exact.
const BUFFER: usize = 8192;

/// Quantiles of the values that were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    levels: Vec<Vec<f64>>,
    odd: Vec<bool>,
    count: u64,
    /// How far a rank may be off.
    error: u64,
}

impl Sketch {
    /// Adds values that are not NaN.
    pub(crate) fn add(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        for value in values {
            if self.levels.is_empty() {
                // As much room as there are values: of many columns with few rows a buffer each would be all memory.
                self.levels.push(Vec::new());
                self.odd.push(false);
            }
            self.levels[0].push(*value);
            if self.levels[0].len() >= BUFFER {
                self.halve(0);
            }
        }
    }

    fn halve(&mut self, level: usize) {
        let mut full = std::mem::take(&mut self.levels[level]);
        full.sort_unstable_by(f64::total_cmp);
        if self.levels.len() == level + 1 {
            self.levels.push(Vec::new());
            self.odd.push(false);
        }
        let first = usize::from(self.odd[level]);
        self.odd[level] = !self.odd[level];
        self.levels[level + 1].extend(full.iter().skip(first).step_by(2));
        self.error += 1 << level;
        full.clear();
        self.levels[level] = full;
        if self.levels[level + 1].len() >= BUFFER {
            self.halve(level + 1);
        }
    }

    /// Returns how far the rank of a quantile may be off, as a share of the number of values.
    pub(crate) fn rank_error(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.error as f64 / self.count as f64 }
    }

    /// Returns the values at these shares, which rise; linear between ranks as numpy's default while exact.
    pub(crate) fn quantiles(&self, shares: &[f64]) -> Vec<f64> {
        let mut weighted: Vec<(f64, u64)> = Vec::new();
        for (level, values) in self.levels.iter().enumerate() {
            weighted.extend(values.iter().map(|value| (*value, 1_u64 << level)));
        }
        weighted.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let total: u64 = weighted.iter().map(|(_, weight)| weight).sum();
        let at = |place: u64| {
            let mut below = 0;
            for (value, weight) in &weighted {
                below += weight;
                if place < below {
                    return *value;
                }
            }
            weighted.last().map_or(f64::NAN, |last| last.0)
        };
        let quantile = |share: &f64| {
            let place = share * total.saturating_sub(1) as f64;
            let (low, high) = (at(place.floor() as u64), at(place.ceil() as u64));
            low + (high - low) * place.fract()
        };
        shares.iter().map(quantile).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_exact() {
        let mut sketch = Sketch::default();
        sketch.add(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(sketch.quantiles(&[0.0, 0.25, 0.5, 1.0]), [1.0, 1.75, 2.5, 4.0]);
        assert_eq!(sketch.rank_error(), 0.0);
    }

    #[test]
    fn few_values_take_little_room() {
        let mut sketch = Sketch::default();
        sketch.add(&[1.0, 2.0, 3.0]);
        let room: usize = sketch.levels.iter().map(Vec::capacity).sum();
        assert!(room < 100, "{room}");
    }

    #[test]
    fn the_stated_error_holds() {
        for step in [1_u64, 7919, 104_729] {
            let count = 1_000_003;
            let mut sketch = Sketch::default();
            // Every number below the prime `count` once, in an order that depends on the step.
            let values: Vec<f64> = (0..count).map(|place| (place * step % count) as f64).collect();
            values.chunks(5000).for_each(|chunk| sketch.add(chunk));
            let error = sketch.rank_error();
            assert!(error < 0.002, "{error}");
            for (share, found) in
                [0.01, 0.25, 0.5, 0.99].into_iter().zip(sketch.quantiles(&[0.01, 0.25, 0.5, 0.99]))
            {
                assert!((found / count as f64 - share).abs() <= error + 1e-6, "{share}: {found}, {error}");
            }
        }
    }
}
