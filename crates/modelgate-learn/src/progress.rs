//! How far a fit is, told to whoever asked; it changes nothing of the fit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hears how many of how many parts of a fit are done, from any thread.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(usize, usize) + Send + Sync>>);

impl Progress {
    /// Tells `hear` of each part that is done: how many are, and of how many.
    pub fn to(hear: impl Fn(usize, usize) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    /// Returns a counter of `of` parts.
    pub(crate) fn counter(&self, of: usize) -> Counter<'_> {
        Counter { progress: self, done: AtomicUsize::new(0), of }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Progress(heard)" } else { "Progress" })
    }
}

/// Counts parts that end in any order.
pub(crate) struct Counter<'a> {
    progress: &'a Progress,
    done: AtomicUsize,
    of: usize,
}

impl Counter<'_> {
    /// One more part is done.
    pub(crate) fn tick(&self) {
        if let Some(hear) = &self.progress.0 {
            hear(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.of);
        }
    }
}
