//! Mistakes that are made on purpose, each of which the simulation must find.

use async_trait::async_trait;
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{
    Commit, CommitId, Committed, Error, EventStore, ExpectedVersion, Fingerprint, Lane, LaneCursors, Origin,
    ReadModels, Settled, Settlement, Shard, ShardTerm, Share, TenantId, ViewBatch, ViewTable, WorkPage,
    WorkPlace, WorkQueue, WorkScope, Worker,
};
use underlay_testkit::{EventStoreLayer, ReadModelsLayer, WorkQueueLayer};

use super::stage::Promise;

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mistake {
    /// What became of work is stored whatever the term.
    SettleIgnoresTerm,
    /// A piece that is tried again does not hold its key.
    OrderLostAtRetry,
    /// Work is looked for at hints alone.
    WakeUpsOnly,
    /// A step of a process is stored twice.
    StepTwice,
    /// A checkpoint is moved before the work is done.
    CheckpointBeforeWork,
    /// A worker that begins starts to read after what is there.
    ForgetsAtRestart,
    /// What is given up is gone.
    DeadLettersDropped,
    /// Rows are stored without the checkpoint that they reflect.
    RowsWithoutCheckpoint,
    /// A client gives a repeat another id.
    RepeatWithoutId,
}

impl Mistake {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::SettleIgnoresTerm,
        Self::OrderLostAtRetry,
        Self::WakeUpsOnly,
        Self::StepTwice,
        Self::CheckpointBeforeWork,
        Self::ForgetsAtRestart,
        Self::DeadLettersDropped,
        Self::RowsWithoutCheckpoint,
        Self::RepeatWithoutId,
    ];

    /// What it breaks.
    pub(crate) fn breaks(self) -> Promise {
        match self {
            Self::SettleIgnoresTerm => Promise::Terms,
            Self::OrderLostAtRetry => Promise::Order,
            Self::WakeUpsOnly | Self::ForgetsAtRestart => Promise::NotStuck,
            Self::StepTwice | Self::RepeatWithoutId => Promise::Once,
            Self::CheckpointBeforeWork | Self::DeadLettersDropped => Promise::NothingDropped,
            Self::RowsWithoutCheckpoint => Promise::ViewsExactlyOnce,
        }
    }
}

/// The stores, with a mistake or without one.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) log: MemoryEventStore,
    pub(crate) rows: MemoryReadModels,
    pub(crate) mistake: Option<Mistake>,
    terms: Arc<Mutex<BTreeMap<Shard, ShardTerm>>>,
    /// The highest place that anybody has read.
    read: Arc<Mutex<BTreeMap<Shard, WorkPlace>>>,
    batches: Arc<Mutex<u64>>,
}

impl Stores {
    pub(crate) fn new(log: MemoryEventStore, rows: MemoryReadModels, mistake: Option<Mistake>) -> Self {
        Self { log, rows, mistake, terms: Arc::default(), read: Arc::default(), batches: Arc::default() }
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}

#[async_trait]
impl EventStoreLayer for Stores {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.log.clone()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        let is_step = commit.writes.iter().any(|write| write.stream.as_str().starts_with("process_"));
        let again = (self.makes(Mistake::StepTwice) && is_step).then(|| commit.clone());
        let committed = self.log.commit(tenant, commit).await?;
        if let Some(mut again) = again.filter(|_| !committed.repeated) {
            again.id = CommitId::derived(tenant, Origin::Work, [again.id.0.as_bytes().as_slice(), b"again"]);
            for write in &mut again.writes {
                write.expected = ExpectedVersion::Any;
            }
            name_events(tenant, &mut again);
            self.log.commit(tenant, again).await?;
        }
        Ok(committed)
    }
}

/// Gives events ids that follow from their commit, so that they are the same whenever a run is played.
pub(crate) fn name_events(tenant: &TenantId, commit: &mut Commit) {
    let id = commit.id;
    let events = commit.writes.iter_mut().flat_map(|write| &mut write.events);
    for (number, event) in (0_u32..).zip(events) {
        let parts = [b"event".as_slice(), tenant.as_str().as_bytes(), id.0.as_bytes(), &number.to_le_bytes()];
        event.event_id.0 = uuid::Uuid::from_bytes(Fingerprint::of(parts).0);
    }
}

#[async_trait]
impl WorkQueueLayer for Stores {
    type Below = MemoryEventStore;

    fn below(&self) -> &MemoryEventStore {
        &self.log
    }

    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
    ) -> Result<Share, Error> {
        let mut share = self.log.share(worker, duration, cursors).await?;
        let mut terms = self.terms.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        for held in &mut share.held {
            let before = terms.insert(held.term.shard, held.term);
            if self.makes(Mistake::ForgetsAtRestart) && before.is_some_and(|before| before != held.term) {
                let read = read.get(&held.term.shard).copied().unwrap_or_default();
                held.cursors = held.cursors.map(|cursor| cursor.max(read));
            }
        }
        Ok(share)
    }

    async fn read_work(
        &self,
        shard: Shard,
        lane: Lane,
        scope: &WorkScope,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkPage, Error> {
        let mut page = self.log.read_work(shard, lane, scope, after, limit).await?;
        if let Some(last) = page.work.last() {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            let read = read.entry(shard).or_default();
            *read = last.work.place.max(*read);
        }
        if self.makes(Mistake::OrderLostAtRetry) {
            page.work.iter_mut().for_each(|read| read.is_blocked = false);
        }
        Ok(page)
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        let mut settlements = settlements.to_vec();
        for settlement in &mut settlements {
            if self.makes(Mistake::SettleIgnoresTerm) {
                let terms = self.terms.lock().unwrap_or_else(PoisonError::into_inner);
                settlement.term = terms.get(&settlement.term.shard).copied().unwrap_or(settlement.term);
            }
            if self.makes(Mistake::DeadLettersDropped) && matches!(settlement.settled, Settled::Dead { .. }) {
                settlement.settled = Settled::Done;
            }
        }
        self.log.settle(&settlements).await
    }
}

/// The rows of the stores.
#[derive(Clone)]
pub(crate) struct Rows(pub(crate) Stores);

#[async_trait]
impl ReadModelsLayer for Rows {
    type Below = MemoryReadModels;

    fn below(&self) -> MemoryReadModels {
        self.0.rows.clone()
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        let forgets = self.0.makes(Mistake::RowsWithoutCheckpoint) && {
            let mut batches = self.0.batches.lock().unwrap_or_else(PoisonError::into_inner);
            *batches += 1;
            batches.is_multiple_of(8)
        };
        if !forgets {
            return self.0.rows.apply(table, batch).await;
        }
        let torn = ViewBatch::new(batch.from, batch.from, batch.changes).with_lease(batch.lease);
        self.0.rows.apply(table, torn).await?;
        Err(Error::unavailable("the checkpoint was not stored"))
    }
}
