//! Keeps the shards of a worker: tells the store that it is there, and gives back what it has too many.
//!
//! ```text
//!  ask ──► held ── a third of the time has passed, a shard of another may be free, or it is asked to ──► ask …
//!            │
//!            └── the whole time has passed since the last asking that was answered ──► over ──► ask …
//! ```
//!
//! What happens when something fails: where the store does not answer, it is asked again until the time of the
//! terms has passed. Then nothing is held, as this process counts it, and the store counts later. A process that
//! stood still finds the same when it goes on; the worker looks at the clock too before it begins anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use underlay_core::{
    Clock, Error, HeldShard, LaneCursors, Shard, ShardTerm, Share, Timestamp, WaitsFor, WorkQueue, Worker,
};

use super::attempt::after;
use crate::subscription::Backoff;

/// How often the terms are renewed in their time.
const RENEWALS: u32 = 3;
/// The shortest pause before it is looked again whether a shard of another worker is free.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);

/// What a worker holds.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    /// Counts the answers of the store.
    pub(super) number: u64,
    /// Its shards.
    pub(super) shards: Vec<HeldShard>,
    /// When all of it is over, by the clock of this process.
    pub(super) ends_at: Timestamp,
    /// Whom the worker waits for, that has another scheduler.
    pub(super) waits_for: Option<WaitsFor>,
    /// Why the store could not be asked.
    pub(super) error: Option<String>,
}

impl Holding {
    fn nothing() -> Self {
        Self { number: 0, shards: Vec::new(), ends_at: Timestamp::MIN, waits_for: None, error: None }
    }
}

/// What the worker asks of its keeper.
#[derive(Default)]
struct Asks {
    cursors: Vec<(Shard, LaneCursors)>,
    releases: Vec<ShardTerm>,
    leaves: bool,
}

/// A keeper as its worker has it. Dropped before it left, its shards run out.
pub(super) struct KeeperHandle {
    pub(super) holding: watch::Receiver<Holding>,
    asks: Arc<(Mutex<Asks>, Notify)>,
    keeping: JoinHandle<()>,
}

impl KeeperHandle {
    /// Says where reading goes on in each shard, for whoever works there next.
    pub(super) fn set_cursors(&self, cursors: Vec<(Shard, LaneCursors)>) {
        locked(&self.asks.0).cursors = cursors;
    }

    /// Gives a shard back.
    pub(super) fn release(&self, term: ShardTerm) {
        locked(&self.asks.0).releases.push(term);
        self.asks.1.notify_one();
    }

    /// Asks the store now what is held.
    pub(super) fn look_again(&self) {
        self.asks.1.notify_one();
    }

    /// Gives everything back and ends.
    pub(super) async fn leave(mut self) {
        locked(&self.asks.0).leaves = true;
        self.asks.1.notify_one();
        if let Err(error) = (&mut self.keeping).await {
            tracing::error!(%error, "the keeper of shards ended badly");
        }
    }
}

impl Drop for KeeperHandle {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

fn locked(asks: &Mutex<Asks>) -> MutexGuard<'_, Asks> {
    asks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks for the shards of one worker.
pub(super) struct Keeper {
    pub(super) queue: Arc<dyn WorkQueue>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) worker: Worker,
    pub(super) lease: Duration,
    pub(super) backoff: Backoff,
}

impl Keeper {
    /// Begins to ask.
    pub(super) fn start(self) -> KeeperHandle {
        let (told, holding) = watch::channel(Holding::nothing());
        let asks = Arc::<(Mutex<Asks>, Notify)>::default();
        let keeping = tokio::spawn(self.run(told, asks.clone()));
        KeeperHandle { holding, asks, keeping }
    }

    async fn run(self, told: watch::Sender<Holding>, asks: Arc<(Mutex<Asks>, Notify)>) {
        let mut over = self.clock.sleep(Duration::ZERO);
        let mut holds = false;
        let mut failures = 0;
        loop {
            let (cursors, releases, leaves) = {
                let mut asks = locked(&asks.0);
                (asks.cursors.clone(), std::mem::take(&mut asks.releases), asks.leaves)
            };
            if leaves {
                break;
            }
            // Counted from before the asking: the store counts from after it.
            let (asked_at, ends) = (self.clock.now(), self.clock.sleep(self.lease));
            let shared = tokio::select! {
                // Where both are due, the process stood still for so long that nothing is held.
                biased;
                () = &mut over, if holds => None,
                shared = self.share(&cursors, &releases) => Some(shared),
            };
            let pause = match shared {
                None => {
                    locked(&asks.0).releases.extend(releases);
                    self.end(&told, &mut holds);
                    continue;
                }
                Some(Ok(share)) => {
                    (over, holds, failures) = (ends, true, 0);
                    let ends_at = after(asked_at, self.lease);
                    told.send_modify(|holding| {
                        let number = holding.number + 1;
                        if share.waits_for != holding.waits_for {
                            self.log_waiting(share.waits_for.as_ref());
                        }
                        let (shards, waits_for) = (share.held, share.waits_for);
                        *holding = Holding { number, shards, ends_at, waits_for, error: None };
                    });
                    let third = self.lease / RENEWALS;
                    share.look_again_in.map_or(third, |look| third.min(look).max(LOOK_AGAIN_MIN.min(third)))
                }
                Some(Err(error)) => {
                    locked(&asks.0).releases.extend(releases);
                    failures += 1;
                    tracing::warn!(%error, failures, "the shards could not be asked for");
                    told.send_modify(|holding| holding.error = Some(error.to_string()));
                    self.backoff.delay(failures).min(self.lease / RENEWALS)
                }
            };
            tokio::select! {
                biased;
                () = &mut over, if holds => self.end(&told, &mut holds),
                () = asks.1.notified() => {}
                () = self.clock.sleep(pause) => {}
            }
        }
        tokio::select! {
            biased;
            left = self.queue.leave(&self.worker) => if let Err(error) = left {
                tracing::warn!(%error, "the shards are left to run out");
            },
            () = self.clock.sleep(self.lease) => {}
        }
    }

    async fn share(&self, cursors: &[(Shard, LaneCursors)], releases: &[ShardTerm]) -> Result<Share, Error> {
        // A shard that is given back must not be renewed first.
        if !releases.is_empty() {
            self.queue.release(releases).await?;
        }
        self.queue.share(&self.worker, self.lease, cursors).await
    }

    fn log_waiting(&self, waits_for: Option<&WaitsFor>) {
        let Worker { holder, scheduler, .. } = &self.worker;
        match waits_for {
            Some(WaitsFor { scheduler: its, holder: of }) => {
                tracing::info!(
                    worker = holder,
                    scheduler,
                    its,
                    of,
                    "the work is with another scheduler: waiting until its workers are gone"
                );
            }
            None => {
                tracing::info!(worker = holder, scheduler, "the work is no longer with another scheduler")
            }
        }
    }

    fn end(&self, told: &watch::Sender<Holding>, holds: &mut bool) {
        *holds = false;
        tracing::warn!(
            worker = self.worker.holder,
            "the time of the shards ran out before they were asked for"
        );
        told.send_modify(|holding| {
            (holding.shards, holding.ends_at) = (Vec::new(), Timestamp::MIN);
        });
    }
}
