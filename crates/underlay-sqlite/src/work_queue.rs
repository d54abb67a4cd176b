use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use underlay_core::{
    BegunWork, CommitId, DueLook, DuePage, Error, Lane, LaneCursors, QueueDepth, Settlement, Shard,
    ShardTerm, Share, TenantId, WorkFilter, WorkHint, WorkId, WorkInfo, WorkList, WorkPage, WorkPlace,
    WorkQueue, WorkScope, Worker, check_due_look, check_settlements, check_work_count, check_work_filter,
    check_work_limit, check_work_scope, check_worker,
};

use crate::leases;
use crate::log::intake::Flush;
use crate::store::SqliteStore;
use crate::work::sharing::{Free, Shared};
use crate::work::{depths, reading, settling, sharing, tenant_depths};

/// What a power cut does. What became of work, a shard that was given back and a term that was renewed are
/// flushed with the next commit, so a power cut may take back the last of them: then the work is done once
/// more, and the shard is free a little earlier, or a little later. The processes that held it are gone too.
/// A term that is given is flushed before anybody knows it, so no term is given twice. What a person orders
/// is flushed at once.
#[async_trait]
impl WorkQueue for SqliteStore {
    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
    ) -> Result<Share, Error> {
        check_worker(worker, duration)?;
        let Shared { share, is_short } =
            self.share_as(worker, duration, cursors, Free::Leave, Flush::Later).await?;
        if !is_short {
            return Ok(share);
        }
        Ok(self.share_as(worker, duration, cursors, Free::Take, Flush::Now).await?.share)
    }

    async fn release(&self, terms: &[ShardTerm]) -> Result<(), Error> {
        let terms = terms.to_vec();
        self.write_beside(Flush::Later, move |connection| sharing::release(connection, &terms)).await
    }

    async fn leave(&self, worker: &Worker) -> Result<(), Error> {
        let id = worker.id;
        self.write_beside(Flush::Later, move |connection| sharing::leave(connection, id)).await
    }

    async fn read_work(
        &self,
        shard: Shard,
        lane: Lane,
        scope: &WorkScope,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkPage, Error> {
        check_work_limit(limit)?;
        check_work_scope(scope)?;
        let scope = scope.clone();
        let read = move |connection: &Connection| {
            reading::ready_page(connection, (shard, lane), &scope, after, limit)
        };
        self.0.readers.read_at_one_moment(None, read).await
    }

    async fn read_due(&self, shard: Shard, look: &DueLook, limit: usize) -> Result<DuePage, Error> {
        check_due_look(look, limit)?;
        let (look, now) = (look.clone(), self.0.clock.now());
        let read = move |connection: &Connection| reading::due_page(connection, shard, &look, limit, now);
        self.0.readers.read_at_one_moment(None, read).await
    }

    async fn begin(&self, begun: &[BegunWork]) -> Result<Vec<Shard>, Error> {
        check_work_count(begun.len())?;
        let (begun, clock) = (begun.to_vec(), self.0.clock.clone());
        let begin = move |connection: &Connection| settling::begin(connection, &begun, clock.now());
        // A power cut is no reason to suspect any of it.
        self.write_beside(Flush::Later, begin).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        check_settlements(settlements)?;
        let (settlements, clock) = (settlements.to_vec(), self.0.clock.clone());
        let settle = move |connection: &Connection| settling::settle(connection, &settlements, clock.now());
        self.write_beside(Flush::Later, settle).await
    }

    async fn find_work(
        &self,
        tenant: &TenantId,
        commit: CommitId,
        number: u32,
    ) -> Result<Option<WorkInfo>, Error> {
        let owner = tenant.clone();
        let find = move |connection: &Connection| reading::find(connection, &owner, commit, number);
        self.0.readers.read_at_one_moment(Some(tenant), find).await
    }

    async fn list_work(
        &self,
        filter: &WorkFilter,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkList, Error> {
        check_work_limit(limit)?;
        check_work_filter(filter)?;
        let wanted = filter.clone();
        let list = move |connection: &Connection| reading::list(connection, &wanted, after, limit);
        match &filter.tenant {
            Some(tenant) => {
                // Of what is ready, entries of other tenants are walked over; no filter of the caller makes them fewer.
                let is_exact = filter.kind.is_none() && filter.receiver.is_none() && filter.key.is_none();
                self.0.readers.query(tenant, is_exact, list).await
            }
            None => self.0.readers.read_at_one_moment(None, list).await,
        }
    }

    async fn queue_depths(&self, tenant: Option<&TenantId>) -> Result<Vec<QueueDepth>, Error> {
        let now = self.0.clock.now();
        if let Some(tenant) = tenant {
            let owner = tenant.clone();
            let count = move |connection: &Connection| tenant_depths::depths(connection, &owner, now);
            return self.0.readers.read_at_one_moment(Some(tenant), count).await;
        }
        self.0.readers.read_at_one_moment(None, move |connection| depths::depths(connection, now)).await
    }

    async fn replay(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        check_work_count(letters.len())?;
        let (owner, letters, clock) = (tenant.clone(), letters.to_vec(), self.0.clock.clone());
        let replay =
            move |connection: &Connection| settling::replay(connection, &owner, &letters, clock.now());
        let replayed = self.write_beside(Flush::Now, replay).await?;
        self.0.wakeups.wake_for_work(WorkHint::DUE_EVERYWHERE);
        Ok(replayed)
    }

    async fn discard(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        check_work_count(letters.len())?;
        let (owner, letters, clock) = (tenant.clone(), letters.to_vec(), self.0.clock.clone());
        let discard =
            move |connection: &Connection| settling::discard(connection, &owner, &letters, clock.now());
        let discarded = self.write_beside(Flush::Now, discard).await?;
        // Of each the next of its line may be due now.
        self.0.wakeups.wake_for_work(WorkHint::DUE_EVERYWHERE);
        Ok(discarded)
    }
}

impl SqliteStore {
    async fn share_as(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
        free: Free,
        flush: Flush,
    ) -> Result<Shared, Error> {
        let (worker, cursors, clock) = (worker.clone(), cursors.to_vec(), self.0.clock.clone());
        let share = move |connection: &Connection| {
            sharing::share(connection, &worker, leases::span(&*clock, duration), &cursors, free)
        };
        self.write_beside(flush, share).await
    }
}
