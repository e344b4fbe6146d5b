//! Linear models. Passes over the data go through fixed chunks of rows that are added up in order, so that the number
//! of threads changes no bit.

mod gram;
mod logistic;
mod minimise;
mod objective;
mod ridge;
mod simd;
mod solve;

pub(crate) use logistic::LogisticRegression;
pub(crate) use ridge::Ridge;

/// Rows of one chunk; results depend on it, so it never follows the machine.
const CHUNK: usize = 8192;

/// Rows of one block, which stays in the first cache.
const BLOCK: usize = 64;

/// Doubles of one register tile.
const LANES: usize = 8;

/// Returns `width` rounded up to whole lanes.
fn padded(width: usize) -> usize {
    width.next_multiple_of(LANES)
}
