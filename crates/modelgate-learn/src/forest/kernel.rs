//! What a tree sums and judges splits by, apart from how it is grown.

use super::codes::Code;

/// Sums over rows and the criterion on them. Scores are weight times (negative) impurity but for a constant of the
/// node: the larger the better, and a difference is a decrease of impurity.
pub(crate) trait Kernel: Sync {
    /// A row that was drawn, with what is summed.
    type Entry: Copy + Send;
    /// One sum of a bin.
    type Cell: Copy + Default;

    /// Returns the number of sums of a bin.
    fn width(&self) -> usize;
    /// Returns the drawn rows; `counts` says how often each was drawn.
    fn entries(&self, counts: &[u16]) -> Vec<Self::Entry>;
    /// Returns the row of an entry.
    fn row(entry: &Self::Entry) -> usize;
    /// Adds an entry to the sums of a bin.
    fn add(&self, cells: &mut [Self::Cell], entry: &Self::Entry);
    /// Adds sums to sums.
    fn join(&self, sums: &mut [Self::Cell], cells: &[Self::Cell]);
    /// Returns whether there is nothing left to separate.
    fn is_pure(&self, totals: &[Self::Cell], entries: &[Self::Entry]) -> bool;
    /// Returns the score of a node.
    fn score(&self, totals: &[Self::Cell]) -> f64;
    /// Returns the sum of the scores of what is left and of the rest.
    fn split_score(&self, left: &[Self::Cell], totals: &[Self::Cell]) -> f64;
    /// Returns the weight of a node.
    fn weight(&self, totals: &[Self::Cell]) -> f64;
    /// Appends a leaf's values.
    fn leaf(&self, totals: &[Self::Cell], values: &mut Vec<f32>);

    /// Adds entries to the bins of a feature and marks the bins that have one; `histogram` has `width` sums for each
    /// code, and of bytes for all codes that there can be.
    fn fill<C: Code>(
        &self,
        codes: &[C],
        entries: &[Self::Entry],
        histogram: &mut [Self::Cell],
        occupied: &mut Occupied,
    ) {
        let width = self.width();
        for entry in entries {
            let code = codes[Self::row(entry)].index();
            occupied.mark::<C>(code);
            self.add(&mut histogram[code * width..(code + 1) * width], entry);
        }
    }
}

/// Which bins a node's rows are in: bits, and for many codes bits of the words that are not zero, so that a small node
/// costs as much as it has rows.
pub(crate) struct Occupied {
    words: Vec<u64>,
    summary: Vec<u64>,
}

impl Occupied {
    /// For `codes` codes; bytes always have room for all.
    pub(crate) fn new<C: Code>(codes: usize) -> Self {
        let words = if C::COUNT > 256 { codes.div_ceil(64) } else { C::COUNT / 64 };
        let summary = words.div_ceil(64);
        Self { words: vec![0; words], summary: vec![0; summary] }
    }

    /// Marks a code.
    #[inline]
    pub(crate) fn mark<C: Code>(&mut self, code: usize) {
        if C::COUNT > 256 {
            self.words[code >> 6] |= 1 << (code & 63);
            self.summary[code >> 12] |= 1 << (code >> 6 & 63);
        } else {
            // The length is known here, and with it that a code of a byte is within.
            let words = &mut self.words[..C::COUNT / 64];
            words[code >> 6] |= 1 << (code & 63);
        }
    }

    /// Calls `visit` with each marked code in order and forgets it.
    #[inline]
    pub(crate) fn drain<C: Code>(&mut self, mut visit: impl FnMut(usize)) {
        for top in 0..self.summary.len() {
            let mut open = if C::COUNT > 256 { self.summary[top] } else { 0b1111 };
            self.summary[top] = 0;
            while open != 0 {
                let word = top * 64 + open.trailing_zeros() as usize;
                open &= open - 1;
                let mut bits = self.words[word];
                self.words[word] = 0;
                while bits != 0 {
                    visit(word * 64 + bits.trailing_zeros() as usize);
                    bits &= bits - 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_codes_come_back_once_in_order() {
        let mut occupied = Occupied::new::<u16>(65_536);
        for code in [65_535, 3, 4096, 3, 700] {
            occupied.mark::<u16>(code);
        }
        let mut found = Vec::new();
        occupied.drain::<u16>(|code| found.push(code));
        assert_eq!(found, [3, 700, 4096, 65_535]);
        occupied.drain::<u16>(|_| panic!("forgotten"));
    }
}
