//! Parting rows eight or sixteen at a time: those of a side are moved together inside a register and written at once. The
//! scalar form writes every row to both sides and goes on by one on that which it belongs to.
#![expect(unsafe_code, reason = "a function for a CPU feature may only be called where the feature is")]
#![expect(
    clippy::inline_always,
    reason = "a body is compiled for a CPU feature only inside the function that has it"
)]

use modelgate_model::processor::Level;

use super::Parting;

/// Parts `rows`; `next` are those that will be asked for, as many or, at the end, fewer.
pub(super) fn part(
    level: Level,
    parting: &Parting<'_>,
    rows: &[u32],
    next: &[u32],
    sides: [&mut [u32]; 2],
    done: &mut [usize; 2],
) {
    match level {
        // SAFETY: a level other than the lowest is only made where the processor was found to have it.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512(parting, rows, next, sides, done) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2(parting, rows, next, sides, done) },
        Level::Baseline => one_by_one(parting, rows, next, sides, done),
    }
}

#[inline(always)]
fn one_by_one(
    parting: &Parting<'_>,
    rows: &[u32],
    next: &[u32],
    [to_left, to_right]: [&mut [u32]; 2],
    done: &mut [usize; 2],
) {
    let [mut left, mut right] = *done;
    let mut each = |row: u32| {
        let goes_left = usize::from(parting.side(row));
        // To both sides, without a branch that half of the rows would take: the next row of a side writes over what is not its.
        if let Some(cell) = to_left.get_mut(left) {
            *cell = row;
        }
        if let Some(cell) = to_right.get_mut(right) {
            *cell = row;
        }
        left += goes_left;
        right += 1 - goes_left;
    };
    let ahead = rows.len().min(next.len());
    for (row, next) in rows[..ahead].iter().zip(next) {
        parting.ask_for(*next);
        each(*row);
    }
    rows[ahead..].iter().for_each(|row| each(*row));
    *done = [left, right];
}

/// Parts `LANES` rows at a time by `compress`, which moves those of each side to the front and says how many go left.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn side_by_side<const LANES: usize>(
    parting: &Parting<'_>,
    rows: &[u32],
    next: &[u32],
    [to_left, to_right]: [&mut [u32]; 2],
    done: &mut [usize; 2],
    compress: impl Fn(&[u32; LANES], &[u8; LANES]) -> ([[u32; LANES]; 2], usize),
) {
    let [mut left, mut right] = *done;
    let (chunks, rest) = rows.as_chunks::<LANES>();
    let mut asked = next.as_chunks::<LANES>().0.iter();
    for rows in chunks {
        if let Some(next) = asked.next() {
            next.iter().for_each(|row| parting.ask_for(*row));
        }
        let sides = std::array::from_fn(|lane| parting.side(rows[lane]));
        let ([of_left, of_right], count) = compress(rows, &sides);
        put(to_left, left, &of_left, count);
        put(to_right, right, &of_right, LANES - count);
        left += count;
        right += LANES - count;
    }
    *done = [left, right];
    one_by_one(parting, rest, &[], [to_left, to_right], done);
}

/// Writes the first `count` of some rows, and what lies behind them too where there is room: the next ones write over it.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn put<const LANES: usize>(to: &mut [u32], at: usize, rows: &[u32; LANES], count: usize) {
    match to.get_mut(at..at + LANES) {
        Some(to) => to.copy_from_slice(rows),
        None => to[at..at + count].copy_from_slice(&rows[..count]),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,popcnt")]
fn avx512(parting: &Parting<'_>, rows: &[u32], next: &[u32], sides: [&mut [u32]; 2], done: &mut [usize; 2]) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm_test_epi8_mask, _mm512_loadu_si512, _mm512_maskz_compress_epi32,
        _mm512_storeu_si512,
    };
    side_by_side::<16>(parting, rows, next, sides, done, |rows, sides| {
        let mut parted = [[0; 16]; 2];
        // SAFETY: what is read and written are arrays of as many bytes, wherever they lie.
        unsafe {
            let sides = _mm_loadu_si128(sides.as_ptr().cast());
            let mask = _mm_test_epi8_mask(sides, sides);
            let rows = _mm512_loadu_si512(rows.as_ptr().cast());
            _mm512_storeu_si512(parted[0].as_mut_ptr().cast(), _mm512_maskz_compress_epi32(mask, rows));
            _mm512_storeu_si512(parted[1].as_mut_ptr().cast(), _mm512_maskz_compress_epi32(!mask, rows));
            (parted, mask.count_ones() as usize)
        }
    });
}

/// Of each set of eight lanes, which they are, those that are in it first.
#[cfg(target_arch = "x86_64")]
static LANES: [u64; 256] = {
    let mut all = [0; 256];
    let mut set = 0;
    while set < 256 {
        let (mut lane, mut at) = (0, 0);
        while lane < 8 {
            if set >> lane & 1 == 1 {
                all[set] |= lane << (8 * at);
                at += 1;
            }
            lane += 1;
        }
        set += 1;
    }
    all
};

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn avx2(parting: &Parting<'_>, rows: &[u32], next: &[u32], sides: [&mut [u32]; 2], done: &mut [usize; 2]) {
    use std::arch::x86_64::{
        _mm_cvtsi64_si128, _mm256_cvtepu8_epi32, _mm256_loadu_si256, _mm256_permutevar8x32_epi32,
        _mm256_storeu_si256,
    };
    side_by_side::<8>(parting, rows, next, sides, done, |rows, sides| {
        // The bytes are 0 or 1: the product gathers them in the highest byte, the first one lowest.
        let set = (u64::from_le_bytes(*sides).wrapping_mul(0x0102_0408_1020_4080) >> 56) as usize;
        let mut parted = [[0; 8]; 2];
        // SAFETY: what is read and written are arrays of as many bytes, wherever they lie.
        unsafe {
            let rows = _mm256_loadu_si256(rows.as_ptr().cast());
            for (parted, set) in parted.iter_mut().zip([set, 255 - set]) {
                let lanes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(LANES[set] as i64));
                _mm256_storeu_si256(parted.as_mut_ptr().cast(), _mm256_permutevar8x32_epi32(rows, lanes));
            }
        }
        (parted, set.count_ones() as usize)
    });
}
