//! Seeded random numbers. Source: `SplitMix64`, Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number
//! generators"; the bounded draw is Lemire's, 2019, "Fast random integer generation in an interval".

/// A stream of random numbers that a seed determines.
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// Returns the stream `number` of `seed`; streams of neighbouring numbers are unrelated.
    pub(crate) fn stream(seed: u64, number: u64) -> Self {
        let mut mixer = Self(seed);
        let base = mixer.next();
        let mut stream = Self(base ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        stream.next();
        stream
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which is above 0 and fits 32 bits; the bias is below 2⁻³².
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
