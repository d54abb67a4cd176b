use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ports::{Span, Spans};

/// Keeps the last spans that were recorded, for tests. A clone is the same place.
#[derive(Clone, Debug)]
pub struct MemorySpans {
    kept_max: usize,
    kept: Arc<Mutex<VecDeque<Span>>>,
}

impl MemorySpans {
    /// No span yet; the last so many will be kept.
    #[must_use]
    pub fn new(kept_max: usize) -> Self {
        Self { kept_max, kept: Arc::default() }
    }

    /// The spans it keeps, in the order they ended.
    #[must_use]
    pub fn recorded(&self) -> Vec<Span> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Span>> {
        // A panic leaves no change half done: each is one call of the collection.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spans for MemorySpans {
    fn record(&self, span: Span) {
        let mut kept = self.lock();
        kept.push_back(span);
        while kept.len() > self.kept_max {
            kept.pop_front();
        }
    }
}
