//! What the worker of this process does, and how much work there is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};
use underlay_core::{
    Clock, Error, QueueDepth, Scheduler, Settled, Shard, TenantId, Timestamp, WaitsFor, Work, WorkKind,
    WorkQueue,
};

use super::receiver::Receivers;
use crate::known::Known;

/// What the worker of this process does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkerState {
    /// Its name, as other processes see it.
    pub holder: String,
    /// The shards it holds.
    pub shards: Vec<Shard>,
    /// Those of them that it is about to give back.
    pub draining: Vec<Shard>,
    /// Attempts that go on.
    pub running: usize,
    /// Pieces of work in memory, those being done among them.
    pub buffered: usize,
    /// About how many bytes they are.
    pub buffered_bytes: usize,
    /// Terms that it lost before it gave them back, since it started.
    pub lost_terms: u64,
    /// Who does work here, by kind and name.
    pub receivers: Vec<ReceiverState>,
    /// Why the store could not be asked, where it could not.
    pub error: Option<String>,
    /// Whose workers have the work, where they are another scheduler's: until they are gone this one gets no shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// What drives its attempts; none where it makes them itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerState>,
}

/// What the worker of this process knows of the scheduler that drives its attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SchedulerState {
    /// What tells it from another.
    pub identity: String,
    /// Whether it could be reached and used when it was asked last; false before that.
    pub is_reachable: bool,
    /// Why not; none before it was asked.
    pub error: Option<String>,
    /// Why this process makes no attempts for it at the moment, where it does not.
    pub serving_error: Option<String>,
}

impl SchedulerState {
    /// Whether this process can use it; none before that is known.
    #[must_use]
    pub fn is_up(&self) -> Option<bool> {
        let has_error = self.error.is_some() || self.serving_error.is_some();
        (self.is_reachable || has_error).then_some(!has_error)
    }
}

/// What came of the work of one receiver in this process since its worker started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReceiverState {
    /// What the work is.
    pub kind: String,
    /// Who does it.
    pub receiver: String,
    /// Pieces that were done.
    pub done: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Pieces that were given up.
    pub dead: u64,
    /// Pieces in the shards held now that this program has no receiver for, or cannot read. They are left for
    /// another process.
    pub left: u64,
}

/// A queue, in whatever process its work is done. Serialized, it is what `/readyz`, `GET /v1/admin/queues` and the
/// command line tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueStanding {
    /// How much there is.
    #[serde(flatten)]
    pub depth: QueueDepth,
    /// How long the oldest piece has waited that is ready, is due, or was tried and waits for its next attempt; zero
    /// where there is none.
    #[serde(rename = "lag_seconds", serialize_with = "as_seconds")]
    pub lag: Duration,
    /// Whether this program has a receiver for it. Otherwise it leaves all of it for another program.
    pub is_received: bool,
}

fn as_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs())
}

/// Where all work stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkStandings {
    /// The worker of this process; none where none was started.
    pub worker: Option<WorkerState>,
    /// The queues, by receiver and kind.
    pub queues: Vec<QueueStanding>,
}

/// What a worker tells of itself.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<WorkerState>>);

impl Told {
    pub(super) fn new(holder: &str, scheduler: Option<&dyn Scheduler>) -> Self {
        let scheduler = scheduler.map(|scheduler| SchedulerState {
            identity: scheduler.identity().to_owned(),
            ..Default::default()
        });
        let state = WorkerState { holder: holder.to_owned(), scheduler, ..WorkerState::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn state(&self) -> WorkerState {
        self.locked().clone()
    }

    pub(super) fn tell(&self, tell: impl FnOnce(&mut WorkerState)) {
        tell(&mut self.locked());
    }

    /// Tells of the scheduler that drives attempts, where one does.
    pub(super) fn tell_scheduler(&self, tell: impl FnOnce(&mut SchedulerState)) {
        self.tell(|state| {
            if let Some(scheduler) = &mut state.scheduler {
                tell(scheduler);
            }
        });
    }

    /// Counts what became of a piece.
    pub(super) fn count(&self, work: &Work, settled: &Settled) {
        let mut state = self.locked();
        let of = state.of(work.sent.kind.name(), &work.sent.receiver);
        match settled {
            Settled::Done => of.done += 1,
            Settled::Retry { .. } => of.failed += 1,
            Settled::Dead { .. } => {
                of.failed += 1;
                of.dead += 1;
            }
            Settled::Held => {}
        }
    }

    fn locked(&self) -> MutexGuard<'_, WorkerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkerState {
    fn of(&mut self, kind: &str, receiver: &str) -> &mut ReceiverState {
        let found = self
            .receivers
            .binary_search_by(|of| (of.kind.as_str(), of.receiver.as_str()).cmp(&(kind, receiver)));
        let at = found.unwrap_or_else(|at| {
            let new = ReceiverState {
                kind: kind.to_owned(),
                receiver: receiver.to_owned(),
                ..ReceiverState::default()
            };
            self.receivers.insert(at, new);
            at
        });
        &mut self.receivers[at]
    }

    /// Sets what is left for others.
    pub(super) fn set_left<'l>(
        &mut self,
        left: impl Iterator<Item = &'l BTreeMap<(&'static str, String), u64>>,
    ) {
        self.receivers.iter_mut().for_each(|of| of.left = 0);
        for ((kind, receiver), count) in left.flatten() {
            self.of(kind, receiver).left += count;
        }
    }
}

/// Tenants whose queues are kept in memory at once.
const TENANTS_KNOWN_MAX: usize = 1_000;

/// What the store last said of its queues, and of those of single tenants.
#[derive(Default)]
pub(super) struct Depths {
    of_all: Known<Vec<QueueDepth>>,
    of_tenants: Mutex<HashMap<TenantId, Arc<Known<Vec<QueueDepth>>>>>,
}

impl Depths {
    /// The queues of all tenants or of one, as the store said at most a second ago.
    pub(super) async fn standings(
        &self,
        queue: &dyn WorkQueue,
        tenant: Option<&TenantId>,
        clock: &dyn Clock,
        receivers: &Receivers,
    ) -> Result<Vec<QueueStanding>, Error> {
        let ask = queue.queue_depths(tenant);
        let mut depths = match tenant.map(|tenant| self.of_tenant(tenant)) {
            Some(known) => known.or_ask(clock, ask).await?,
            None => self.of_all.or_ask(clock, ask).await?,
        };
        add_uncounted(&mut depths, receivers.names());
        let now = clock.now();
        let standing = |depth: QueueDepth| QueueStanding {
            lag: depth.oldest_sent_at.map_or(Duration::ZERO, |oldest| until(oldest, now)),
            is_received: receivers.has(depth.kind, &depth.receiver),
            depth,
        };
        Ok(depths.into_iter().map(standing).collect())
    }

    fn of_tenant(&self, tenant: &TenantId) -> Arc<Known<Vec<QueueDepth>>> {
        let mut known = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // Each is good for a second: who comes again after that is asked for anew in any case.
        if known.len() >= TENANTS_KNOWN_MAX && !known.contains_key(tenant) {
            known.clear();
        }
        known.entry(tenant.clone()).or_default().clone()
    }
}

/// Adds the receivers of this program that the store has counted nothing of, where it did not count to the end: all
/// of their work may be beyond. At least none is there of each.
fn add_uncounted<'n>(depths: &mut Vec<QueueDepth>, names: impl Iterator<Item = (WorkKind, &'n str)>) {
    let is_least = |of: fn(&QueueDepth) -> bool| depths.iter().any(of);
    let ready_is_least = is_least(|depth| depth.ready_is_least);
    let later_is_least = is_least(|depth| depth.later_is_least);
    let dead_is_least = is_least(|depth| depth.dead_is_least);
    if !(ready_is_least || later_is_least || dead_is_least) {
        return;
    }
    for (kind, receiver) in names {
        if !depths.iter().any(|depth| depth.kind == kind && depth.receiver == receiver) {
            let empty = QueueDepth::empty(receiver, kind);
            depths.push(QueueDepth { ready_is_least, later_is_least, dead_is_least, ..empty });
        }
    }
    depths.sort_by(|one, other| (&one.receiver, one.kind.name()).cmp(&(&other.receiver, other.kind.name())));
}

/// How long it is from one moment to a later one; zero where it is no later.
pub(crate) fn until(from: Timestamp, to: Timestamp) -> Duration {
    let microseconds = to.as_microsecond().saturating_sub(from.as_microsecond());
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_is_beyond_the_count_is_listed() {
        let names = [(WorkKind::Message, "mail"), (WorkKind::Message, "audit"), (WorkKind::Timer, "mail")];
        let mail = QueueDepth { ready: 10_000, ..QueueDepth::empty("mail", WorkKind::Message) };
        let mut depths = vec![mail.clone()];
        add_uncounted(&mut depths, names.into_iter());
        assert_eq!(depths, std::slice::from_ref(&mail), "all was counted");

        let mail = QueueDepth { ready_is_least: true, ..mail };
        let mut depths = vec![mail.clone()];
        add_uncounted(&mut depths, names.into_iter());
        let beyond = |name, kind| QueueDepth { ready_is_least: true, ..QueueDepth::empty(name, kind) };
        assert_eq!(depths, [beyond("audit", WorkKind::Message), mail, beyond("mail", WorkKind::Timer)]);
        assert_eq!(depths[0].counts(), ["0+", "0", "0"]);
    }
}
