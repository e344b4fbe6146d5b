//! Large memory that is read in no order: with pages of 4 KiB many a read waits for where its page is, too.
#![expect(unsafe_code, reason = "asking for large pages is a call of the system that has no safe form")]

/// Returns zeros in memory of large pages, where the system has them for who asks.
pub(crate) fn zeros<T: Copy + Default>(count: usize) -> Vec<T> {
    let mut zeros = vec![T::default(); count];
    ask(&mut zeros);
    zeros
}

#[cfg(target_os = "linux")]
fn ask<T>(memory: &mut [T]) {
    use rustix::mm::{Advice, madvise};

    /// Bytes of the smallest page of the systems there are; what is no multiple is refused, which changes nothing.
    const PAGE: usize = 1 << 12;
    /// Smaller memory has no large page, or one.
    const LEAST: usize = 4 << 20;

    let bytes = size_of_val(memory);
    let start = memory.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(PAGE);
    if bytes < LEAST || skipped > bytes {
        return;
    }
    let length = (bytes - skipped) & !(PAGE - 1);
    // SAFETY: the range is inside the memory, which is exclusively borrowed; the advice changes in what pages it is kept, not what is
    // in it. The system checks the range.
    let _asked = unsafe { madvise(start.wrapping_add(skipped).cast(), length, Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn ask<T>(_memory: &mut [T]) {}

#[cfg(test)]
mod tests {
    use super::zeros;

    #[test]
    fn zeros_are_zeros_of_any_size() {
        for count in [0, 1, 1000, (4 << 20) - 1, 9_000_001] {
            let mut found = zeros::<u32>(count);
            assert!(found.len() == count && found.iter().all(|zero| *zero == 0));
            found.iter_mut().zip(0..).for_each(|(cell, at)| *cell = at);
            assert!(found.iter().zip(0..).all(|(cell, at)| *cell == at));
        }
    }
}
