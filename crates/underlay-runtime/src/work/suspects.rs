//! Work that may have ended the process that did it.
//!
//! ```text
//!  a worker is gone ──► suspect: it was there, and may have been begun ──► counted, then begun as any other
//!                          │                                                  │
//!                          │              a worker is gone while it is done ──┘
//!                          └──► begun before: counted once more, then begun, one at a time ──► … ──► given up
//! ```
//!
//! Nothing is written where work is begun, so a worker that is killed leaves nobody to say what it was at. Its
//! successor counts what it begins of that which was there. Where it is killed too, few pieces are left that were
//! begun without an end, and one of them is tried at a time: whichever goes on killing is counted alone. What is
//! innocent ends meanwhile, and its count is gone. So a process that is killed from outside gives up nothing.
//!
//! What happens when something fails: what cannot be counted is not begun, and is counted again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use underlay_core::limits::WORK_BEGUN_MAX;
use underlay_core::{Shard, Timestamp, Work, WorkPlace};

use super::lines::LineName;
use super::receiver::Receiver;

/// Pieces that this process has counted and remembers.
const COUNTED_MAX: usize = 100_000;

/// A piece that is about to be begun.
pub(super) struct Beginning {
    pub(super) shard: Shard,
    pub(super) incarnation: u64,
    pub(super) line: Arc<LineName>,
    pub(super) work: Arc<Work>,
    pub(super) receiver: Arc<dyn Receiver>,
}

/// How a piece is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// At once.
    None,
    /// Once that is counted.
    Counted,
    /// Once that is counted, and no other such piece is being done here.
    Alone,
}

/// What this worker knows of them.
#[derive(Default)]
pub(super) struct Suspects {
    /// The piece that is done alone.
    alone: Option<WorkPlace>,
    /// Those that wait for it.
    waiting: VecDeque<Beginning>,
    /// Pieces that this process has counted: it is there, so they have ended nobody since.
    counted: HashSet<WorkPlace>,
}

impl Suspects {
    /// How a piece of a shard is begun that this worker has held since a moment.
    pub(super) fn of(&self, work: &Work, suspects_to: WorkPlace, since: Timestamp) -> Suspicion {
        // What became due since was not begun before.
        let was_there = work.place <= suspects_to && work.sent.due_at.is_none_or(|due_at| due_at <= since);
        match work.begun {
            _ if self.counted.contains(&work.place) => Suspicion::None,
            0 if was_there => Suspicion::Counted,
            // Nobody begins it any more.
            0 | WORK_BEGUN_MAX.. => Suspicion::None,
            _ => Suspicion::Alone,
        }
    }

    /// How often a piece was begun without an end, but for what this process has counted itself.
    pub(super) fn begun(&self, work: &Work) -> u32 {
        if self.counted.contains(&work.place) { 0 } else { work.begun }
    }

    /// Takes the turn of those that are done alone; gives the piece back where it has to wait.
    pub(super) fn begin_alone(&mut self, beginning: Beginning) -> Option<Beginning> {
        if self.alone.is_none() {
            self.alone = Some(beginning.work.place);
            return Some(beginning);
        }
        self.waiting.push_back(beginning);
        None
    }

    /// The next that has its turn.
    pub(super) fn next(&mut self) -> Option<Beginning> {
        if self.alone.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.alone = Some(next.work.place);
        Some(next)
    }

    /// What waits of a shard is not begun.
    pub(super) fn drop_waiting(&mut self, shard: Shard) -> Vec<WorkPlace> {
        let of_shard = self.waiting.iter().filter(|waiting| waiting.shard == shard);
        let places = of_shard.map(|waiting| waiting.work.place).collect();
        self.waiting.retain(|waiting| waiting.shard != shard);
        places
    }

    /// A piece is being counted.
    pub(super) fn count(&mut self, place: WorkPlace) {
        if self.counted.len() >= COUNTED_MAX {
            self.counted.clear();
        }
        self.counted.insert(place);
    }

    /// Whether this process has counted a piece.
    pub(super) fn is_counted(&self, place: WorkPlace) -> bool {
        self.counted.contains(&place)
    }

    /// An attempt has ended, or was not begun.
    pub(super) fn ended(&mut self, place: WorkPlace) {
        self.alone.take_if(|alone| *alone == place);
    }

    /// What became of a piece is stored.
    pub(super) fn settled(&mut self, place: WorkPlace) {
        self.counted.remove(&place);
    }
}
