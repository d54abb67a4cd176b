use tokio::sync::watch;

use crate::words::{Lane, Shard, WorkHint};

/// The port for hints that the log may have grown, or that there may be work. A hint carries no event and no
/// work, and may be missing: polling is the truth. One that is lost costs a poll interval, and nothing else.
pub trait Wakeups: Send + Sync + 'static {
    /// A receiver that is woken by every hint about the log from now on.
    fn subscribe(&self) -> Wakeup;

    /// A receiver that is woken by every hint about work from now on. A commit that sends nothing on wakes
    /// nobody.
    fn subscribe_work(&self) -> WorkWakeup;
}

/// Receives hints. Hints that come while nobody waits are kept, as one.
#[derive(Clone, Debug)]
pub struct Wakeup(watch::Receiver<u64>);

impl Wakeup {
    pub(crate) fn new(hints: watch::Receiver<u64>) -> Self {
        Self(hints)
    }

    /// How many hints there were, whether somebody waited for them or not.
    #[must_use]
    pub fn count(&self) -> u64 {
        *self.0.borrow()
    }

    /// Ends at the next hint, or at once where one came since the last call.
    /// Where the source is gone it never ends; callers poll beside it.
    pub async fn hint(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How often each place was hinted at: the lanes of each shard, and what it has later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkHints([[u32; 16]; Lane::ALL.len() + 1]);

impl WorkHints {
    pub(crate) fn count(&mut self, hint: WorkHint) {
        let [urgent, normal] = hint.ready;
        for (counts, set) in self.0.iter_mut().zip([urgent, normal, hint.later]) {
            for shard in Shard::all().filter(|shard| set.contains(*shard)) {
                let count = &mut counts[usize::from(shard.number())];
                *count = count.wrapping_add(1);
            }
        }
    }

    /// Where there was a hint since.
    fn since(&self, seen: &Self) -> WorkHint {
        let mut hint = WorkHint::default();
        let [urgent, normal] = &mut hint.ready;
        let sets = [urgent, normal, &mut hint.later];
        for ((set, now), seen) in sets.into_iter().zip(self.0).zip(seen.0) {
            for shard in Shard::all() {
                let at = usize::from(shard.number());
                if now[at] != seen[at] {
                    set.insert(shard);
                }
            }
        }
        hint
    }
}

/// Receives hints about work. Those that come while nobody waits are kept, as one that names all their places.
#[derive(Clone, Debug)]
pub struct WorkWakeup {
    hints: watch::Receiver<WorkHints>,
    seen: WorkHints,
}

impl WorkWakeup {
    pub(crate) fn new(mut hints: watch::Receiver<WorkHints>) -> Self {
        let seen = *hints.borrow_and_update();
        Self { hints, seen }
    }

    /// Ends at the next hint, or at once where one came since the last call, and says where there may be work.
    /// Where the source is gone it never ends; callers poll beside it.
    pub async fn hint(&mut self) -> WorkHint {
        if self.hints.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let now = *self.hints.borrow_and_update();
        let hint = now.since(&self.seen);
        self.seen = now;
        hint
    }
}
