use std::collections::VecDeque;
use std::sync::Arc;

use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{Error, Settlement, ShardTerm, Work};

use super::lines::LineName;

/// What is to be settled.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) settlement: Settlement,
    pub(super) line: Arc<LineName>,
    /// The piece, where it is given up.
    pub(super) given_up: Option<Arc<Work>>,
}

impl Entry {
    /// Of a piece that is not given up.
    pub(super) fn of(settlement: Settlement, line: Arc<LineName>) -> Self {
        Self { settlement, line, given_up: None }
    }
}

/// Gathers what became of work while the batch before is stored. Whatever waits then is the next batch.
pub(super) struct Settling {
    waiting: VecDeque<Entry>,
    is_storing: bool,
    /// Fewer where a batch was refused, so that what is refused stands alone in the end.
    batch_max: usize,
    pub(super) failures: u32,
}

impl Default for Settling {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), is_storing: false, batch_max: WORK_PAGE_MAX, failures: 0 }
    }
}

impl Settling {
    pub(super) fn push(&mut self, entry: Entry) {
        self.waiting.push_back(entry);
    }

    /// Whether everything is stored.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.is_storing
    }

    /// The next batch, of what is still held; none where one is being stored, or nothing waits.
    pub(super) fn next(&mut self, holds: impl Fn(ShardTerm) -> bool) -> Option<Vec<Entry>> {
        if self.is_storing {
            return None;
        }
        self.waiting.retain(|entry| holds(entry.settlement.term));
        let count = self.waiting.len().min(self.batch_max);
        self.is_storing = count > 0;
        self.is_storing.then(|| self.waiting.drain(..count).collect())
    }

    /// A batch was stored.
    pub(super) fn stored(&mut self) {
        (self.is_storing, self.failures, self.batch_max) = (false, 0, WORK_PAGE_MAX);
    }

    /// A batch was not stored, or nobody knows: it is stored again, before what came later.
    pub(super) fn failed(&mut self, batch: Vec<Entry>, error: &Error) {
        (self.is_storing, self.failures) = (false, self.failures.saturating_add(1));
        let is_refused = !error.is_retryable();
        if is_refused && let [alone] = batch.as_slice() {
            // What is refused by itself waits behind everything else, with all that its line has to settle.
            let line = alone.line.clone();
            let (of_line, others) = self.waiting.drain(..).partition(|entry| entry.line == line);
            let (of_line, others): (Vec<Entry>, Vec<Entry>) = (of_line, others);
            self.waiting.extend(others.into_iter().chain(batch).chain(of_line));
            return;
        }
        if is_refused {
            self.batch_max = (batch.len() / 2).max(1);
        }
        for entry in batch.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }
}
