//! Many small files at once: waiting for the disk to confirm one after the other would take longer than drawing them.

/// So many files wait for the disk together; this is about waiting, not about cores.
const AT_ONCE: usize = 8;

/// Does `work` for each item, several at a time, and returns the results in the order of the items, or the first error.
pub(crate) fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    if items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let share = items.len().div_ceil(AT_ONCE);
    let work = &work;
    std::thread::scope(|scope| {
        let started: Vec<_> = items
            .chunks(share)
            .map(|chunk| {
                let part = move || chunk.iter().map(work).collect::<Result<Vec<R>, E>>();
                // Where no thread can be had, this one does its share.
                std::thread::Builder::new().spawn_scoped(scope, part).map_err(|_| part())
            })
            .collect();
        let mut all = Vec::with_capacity(items.len());
        for one in started {
            match one.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(part)) | Err(part) => all.extend(part?),
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_an_error_is_told() {
        let items: Vec<u32> = (0..50).collect();
        assert_eq!(
            each(&items, |item| Ok::<u32, ()>(item * 2)),
            Ok(items.iter().map(|item| item * 2).collect())
        );
        assert_eq!(each(&items, |item| if *item == 30 { Err("thirty") } else { Ok(()) }), Err("thirty"));
        assert_eq!(each(&items[..0], |item| Ok::<u32, ()>(*item)), Ok(Vec::new()));
    }
}
