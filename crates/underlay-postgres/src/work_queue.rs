//! Work, kept beside the log in the same database.
//!
//! A commit writes its work in its own transaction, see `append_batch`. What is ready is read along the index of
//! its shard and lane after a cursor, and never written until it is settled. Each call below that writes is one
//! call of a function, so that no lock waits for this process. Pages are given by functions too: a session keeps
//! their plans, and keeps no statement with a name, which a pooler could take for another's.
//!
//! Who locks what: whoever settles, releases, replays or discards locks the rows of the shards in `work_shards`
//! it is about, in the order of shards, and everything else is done behind them. A look for free shards passes
//! over what is locked. So there is nothing to wait for in a circle, and a line is looked at by one at a time.
//!
//! A worker that lost its shard is told by term, worker and time, by the clock of the server. Where the database
//! is an older copy, or a server that lacked the end of the log, places are other work's: whoever settles or
//! tells how far it has come names the last commit whose work it has read, and nothing is done where that is not
//! there.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::adapter::{PAGE_BYTES_MAX, stored_number, stored_time, work_bytes};
use underlay_core::limits::{WORK_SCAN_MAX, WORK_SHARDS};
use underlay_core::{
    BegunWork, CommitId, DueLook, DuePage, DuePlace, Error, HeldShard, Lane, LaneCursors, QueueDepth,
    ReadWork, Settlement, Shard, ShardTerm, Share, TenantId, WaitsFor, WorkFilter, WorkHint, WorkId,
    WorkInfo, WorkKind, WorkList, WorkPage, WorkPlace, WorkQueue, WorkScope, Worker, check_due_look,
    check_settlements, check_work_count, check_work_filter, check_work_limit, check_work_scope, check_worker,
};
use uuid::Uuid;

use crate::connections::session::{Parameter, Purpose, SessionRole, Statement};
use crate::error::{Failure, raised};
use crate::log::event_row;
use crate::log::given::small;
use crate::store::PostgresStore;
use crate::work::sent::stored_shard;
use crate::work::settled::{SettledArrays, TermArrays};
use crate::work::work_row;

/// Pieces of one shard and lane that [`WorkQueue::queue_depths`] counts, and dead letters. What is past them is
/// not counted, so that nobody waits for a count of millions; the depths say so.
const DEPTH_ROWS_MAX: i64 = 10_000;

#[async_trait]
impl WorkQueue for PostgresStore {
    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
    ) -> Result<Share, Error> {
        check_worker(worker, duration)?;
        self.0.sessions.seen.check()?;
        let (span, stamp, sender) = (microseconds(duration), self.0.stamp(), self.0.sessions.seen.sender());
        let shards: Vec<i16> = cursors.iter().map(|(shard, _)| stored_shard(*shard)).collect();
        let of = |lane: usize| cursors.iter().map(move |(_, places)| stored_number(places[lane].number()));
        let (urgent, normal): (Vec<i64>, Vec<i64>) = (of(0).collect(), of(1).collect());
        let sequence = sender.map(|sender| sender.sequence);
        let commit = sender.map(|sender| sender.commit);
        let parameters: [Parameter<'_>; 10] = [
            (&worker.id.0, Type::UUID),
            (&worker.holder, Type::TEXT),
            (&worker.scheduler, Type::TEXT),
            (&span, Type::INT8),
            (&stamp, Type::INT8),
            (&shards, Type::INT2_ARRAY),
            (&urgent, Type::INT8_ARRAY),
            (&normal, Type::INT8_ARRAY),
            (&sequence, Type::INT8),
            (&commit, Type::UUID),
        ];
        // Where the answer was lost, the same worker finds what it was given.
        let sql = include_str!("sql/share_shards.sql");
        let shared = self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await;
        let rows = shared.map_err(|failure| self.other_log(failure))?;
        let row = rows.first().ok_or_else(|| Failure::damaged("share_shards gave no row"))?;
        Ok(read_share(row, worker)?)
    }

    async fn release(&self, terms: &[ShardTerm]) -> Result<(), Error> {
        let shards: Vec<i16> = terms.iter().map(|term| stored_shard(term.shard)).collect();
        let numbers: Vec<i64> = terms.iter().map(|term| stored_number(term.term)).collect();
        let workers: Vec<Uuid> = terms.iter().map(|term| term.worker.0).collect();
        let parameters: [Parameter<'_>; 3] =
            [(&shards, Type::INT2_ARRAY), (&numbers, Type::INT8_ARRAY), (&workers, Type::UUID_ARRAY)];
        let sql = include_str!("sql/release_shards.sql");
        self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await?;
        Ok(())
    }

    async fn leave(&self, worker: &Worker) -> Result<(), Error> {
        let parameters: [Parameter<'_>; 1] = [(&worker.id.0, Type::UUID)];
        let sql = include_str!("sql/leave_work.sql");
        self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await?;
        Ok(())
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
        self.0.sessions.seen.check()?;
        let (part, lane, from) =
            (stored_shard(shard), i16::from(lane.number()), stored_number(after.number()));
        let (wanted, scan) = (stored_number(limit as u64), stored_number(WORK_SCAN_MAX as u64));
        let (tenant, passed) = (tenant_of(scope), passed_of(scope));
        let parameters: [Parameter<'_>; 7] = [
            (&part, Type::INT2),
            (&lane, Type::INT2),
            (&tenant, Type::TEXT),
            (&from, Type::INT8),
            (&passed, Type::TEXT_ARRAY),
            (&wanted, Type::INT8),
            (&scan, Type::INT8),
        ];
        let passed: HashSet<&str> = passed.iter().copied().collect();
        let of_one = tenant.is_some();
        let start = |_| {
            Ok((WorkPage { work: Vec::new(), scanned_to: after, at_end: true }, Vec::<CommitId>::new(), 0))
        };
        let take = |(page, senders, bytes): &mut (WorkPage, Vec<CommitId>, usize), row: Row| {
            if of_one && page.work.len() >= limit {
                page.at_end = false;
                return Ok(true);
            }
            let work = work_row::work(&row)?;
            page.scanned_to = work.place;
            page.at_end = of_one || row.try_get("is_last")?;
            senders.clear();
            senders.push(work.commit_id);
            if !passed.contains(work.tenant.as_str()) {
                *bytes += work_bytes(&work);
                page.work.push(ReadWork { work, is_blocked: row.try_get("is_blocked")? });
            }
            if *bytes < PAGE_BYTES_MAX {
                return Ok(true);
            }
            page.at_end = false;
            Ok(false)
        };
        let statement = Statement::new(include_str!("sql/select_ready_work.sql"), parameters);
        let (page, senders, _) = self
            .0
            .sessions
            .read_page(Purpose::Engine, &SessionRole::Worker, &[], statement, start, take)
            .await?;
        if let Some(commit) = senders.last() {
            self.0.sessions.seen.note_sender(page.scanned_to, *commit);
        }
        Ok(page)
    }

    async fn read_due(&self, shard: Shard, look: &DueLook, limit: usize) -> Result<DuePage, Error> {
        check_due_look(look, limit)?;
        self.0.sessions.seen.check()?;
        let (part, stamp) = (stored_shard(shard), self.0.stamp());
        let except: Vec<i64> = look.except.iter().map(|place| stored_number(place.number())).collect();
        let (moment, place) = (look.after.due_at.as_microsecond(), stored_number(look.after.place.number()));
        let (wanted, scan) = (stored_number(limit as u64), stored_number(WORK_SCAN_MAX as u64));
        let (tenant, passed) = (tenant_of(&look.scope), passed_of(&look.scope));
        let of_one = tenant.is_some();
        let parameters: [Parameter<'_>; 9] = [
            (&part, Type::INT2),
            (&stamp, Type::INT8),
            (&except, Type::INT8_ARRAY),
            (&tenant, Type::TEXT),
            (&moment, Type::INT8),
            (&place, Type::INT8),
            (&passed, Type::TEXT_ARRAY),
            (&wanted, Type::INT8),
            (&scan, Type::INT8),
        ];
        let passed: HashSet<&str> = passed.iter().copied().collect();
        let start = |_| {
            let page = DuePage { work: Vec::new(), scanned_to: look.after, at_end: true, next_due_in: None };
            Ok((page, None, 0))
        };
        let take = |(page, sender, bytes): &mut (DuePage, Option<(WorkPlace, CommitId)>, usize), row: Row| {
            let (now, next): (i64, Option<i64>) = (row.try_get("now")?, row.try_get("next_due_at")?);
            page.next_due_in = next.map(|next| until(next, now));
            if !work_row::is_there(&row)? {
                return Ok(true);
            }
            if page.work.len() >= limit || *bytes >= PAGE_BYTES_MAX {
                page.at_end = false;
                return Ok(false);
            }
            let work = work_row::work(&row)?;
            let due_at = work.sent.due_at.unwrap_or(look.after.due_at);
            page.scanned_to = DuePlace { due_at, place: work.place };
            page.at_end = of_one || row.try_get("is_last")?;
            *sender = (*sender).max(Some((work.place, work.commit_id)));
            if !passed.contains(work.tenant.as_str()) {
                *bytes += work_bytes(&work);
                page.work.push(ReadWork { work, is_blocked: row.try_get("is_blocked")? });
            }
            Ok(true)
        };
        let statement = Statement::new(include_str!("sql/select_due_work.sql"), parameters);
        let (mut page, sender, _) = self
            .0
            .sessions
            .read_page(Purpose::Engine, &SessionRole::Worker, &[], statement, start, take)
            .await?;
        if !page.at_end {
            page.next_due_in = Some(Duration::ZERO);
        }
        if let Some((place, commit)) = sender {
            self.0.sessions.seen.note_sender(place, commit);
        }
        Ok(page)
    }

    async fn begin(&self, begun: &[BegunWork]) -> Result<Vec<Shard>, Error> {
        check_work_count(begun.len())?;
        self.0.sessions.seen.check()?;
        if begun.is_empty() {
            return Ok(Vec::new());
        }
        let arrays = TermArrays::of(begun.iter().map(|begun| (begun.term, begun.place)));
        let times: Vec<i32> = begun.iter().map(|begun| small(begun.times as usize)).collect();
        let (stamp, sender) = (self.0.stamp(), self.0.sessions.seen.sender());
        let sequence = sender.map(|sender| sender.sequence);
        let commit = sender.map(|sender| sender.commit);
        let mut parameters = arrays.parameters().to_vec();
        parameters.extend([
            (&times as _, Type::INT4_ARRAY),
            (&stamp as _, Type::INT8),
            (&sequence as _, Type::INT8),
            (&commit as _, Type::UUID),
        ]);
        let sql = include_str!("sql/begin_work.sql");
        let begun = self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await;
        let rows = begun.map_err(|failure| self.other_log(failure))?;
        Ok(read_lost(&rows)?)
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        check_settlements(settlements)?;
        self.0.sessions.seen.check()?;
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let arrays = SettledArrays::of(settlements);
        let (stamp, sender) = (self.0.stamp(), self.0.sessions.seen.sender());
        let sequence = sender.map(|sender| sender.sequence);
        let commit = sender.map(|sender| sender.commit);
        let mut parameters = arrays.parameters();
        parameters.extend([
            (&stamp as _, Type::INT8),
            (&sequence as _, Type::INT8),
            (&commit as _, Type::UUID),
        ]);
        let sql = include_str!("sql/settle_work.sql");
        let settled = if arrays.may_be_repeated() {
            self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await
        } else {
            self.0.sessions.write_anew(&SessionRole::Worker, sql, &parameters).await
        };
        let rows = settled.map_err(|failure| self.other_log(failure))?;
        Ok(read_lost(&rows)?)
    }

    async fn find_work(
        &self,
        tenant: &TenantId,
        commit: CommitId,
        number: u32,
    ) -> Result<Option<WorkInfo>, Error> {
        let (owner, number, shards) = (tenant.as_str(), i64::from(number), i32::from(WORK_SHARDS));
        // Past those of a commit are those of the next one.
        if WorkPlace::of(0, u32::try_from(number).unwrap_or(u32::MAX)) >= WorkPlace::of(1, 0) {
            return Ok(None);
        }
        let select = Statement::new(
            include_str!("sql/select_sent_work.sql"),
            [
                (&owner as _, Type::TEXT),
                (&commit.0 as _, Type::UUID),
                (&number as _, Type::INT8),
                (&shards as _, Type::INT4),
            ],
        );
        let read = |answers: Vec<Vec<Row>>| answers.iter().flatten().next().map(work_row::info).transpose();
        Ok(self.0.sessions.read(&SessionRole::Reader(tenant.clone()), &[select], read).await?)
    }

    async fn list_work(
        &self,
        filter: &WorkFilter,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkList, Error> {
        check_work_limit(limit)?;
        check_work_filter(filter)?;
        // One more tells whether more follows.
        let (from, one_more) = (stored_number(after.number()), stored_number(limit as u64) + 1);
        let (kind, shards) = (filter.kind.map(WorkKind::name), i32::from(WORK_SHARDS));
        let owner = filter.tenant.as_ref().map(TenantId::as_str);
        let mut parameters: Vec<Parameter<'_>> = vec![
            (&kind, Type::TEXT),
            (&filter.receiver, Type::TEXT),
            (&filter.key, Type::TEXT),
            (&from, Type::INT8),
            (&one_more, Type::INT8),
        ];
        let is_of_line = filter.holds && filter.receiver.is_some() && filter.key.is_some();
        match (&filter.tenant, filter.dead) {
            (_, false) => parameters.push((&shards, Type::INT4)),
            (Some(_), true) if is_of_line => {}
            (_, true) => parameters.push((&filter.holds, Type::BOOL)),
        }
        if owner.is_some() {
            parameters.insert(0, (&owner, Type::TEXT));
        }
        let sql = match (&filter.tenant, filter.dead) {
            (Some(_), false) => include_str!("sql/select_tenant_work.sql"),
            (Some(_), true) if is_of_line => include_str!("sql/select_holders.sql"),
            (Some(_), true) => include_str!("sql/select_tenant_letters.sql"),
            (None, false) => include_str!("sql/select_all_work.sql"),
            (None, true) => include_str!("sql/select_all_letters.sql"),
        };
        let (purpose, role) = match &filter.tenant {
            Some(tenant) => {
                let is_whole = filter.kind.is_none() && filter.receiver.is_none() && filter.key.is_none();
                let is_exact = is_whole || (filter.dead && is_of_line);
                (Purpose::Query { is_exact }, SessionRole::Reader(tenant.clone()))
            }
            None => (Purpose::Engine, SessionRole::Worker),
        };
        let start = |_| Ok((WorkList { work: Vec::new(), at_end: true }, 0));
        let take = |(list, bytes): &mut (WorkList, usize), row: Row| {
            if list.work.len() >= limit || *bytes >= PAGE_BYTES_MAX {
                list.at_end = false;
                // Past the limit nothing follows, and the connection is kept.
                return Ok(list.work.len() >= limit);
            }
            let info = work_row::info(&row)?;
            *bytes += work_bytes(&info.work);
            list.work.push(info);
            Ok(true)
        };
        let select = Statement::new(sql, parameters);
        let (list, _) = self.0.sessions.read_page(purpose, &role, &[], select, start, take).await?;
        Ok(list)
    }

    async fn queue_depths(&self, tenant: Option<&TenantId>) -> Result<Vec<QueueDepth>, Error> {
        let (shards, stamp) = (i32::from(WORK_SHARDS), self.0.stamp());
        let read = |answers: Vec<Vec<Row>>| answers.iter().flatten().map(read_depth).collect();
        if let Some(tenant) = tenant {
            let owner = tenant.as_str();
            let select = Statement::new(
                include_str!("sql/select_tenant_depths.sql"),
                [
                    (&owner as _, Type::TEXT),
                    (&DEPTH_ROWS_MAX as _, Type::INT8),
                    (&shards as _, Type::INT4),
                    (&stamp as _, Type::INT8),
                ],
            );
            return Ok(self.0.sessions.read(&SessionRole::Reader(tenant.clone()), &[select], read).await?);
        }
        let select = Statement::new(
            include_str!("sql/select_queue_depths.sql"),
            [(&DEPTH_ROWS_MAX as _, Type::INT8), (&shards as _, Type::INT4), (&stamp as _, Type::INT8)],
        );
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], read).await?)
    }

    async fn replay(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        self.end_letters(include_str!("sql/replay_work.sql"), tenant, letters).await
    }

    async fn discard(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        self.end_letters(include_str!("sql/discard_work.sql"), tenant, letters).await
    }
}

impl PostgresStore {
    /// Replays or discards dead letters of a tenant. Done twice, the second would count none.
    async fn end_letters(&self, sql: &str, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        check_work_count(letters.len())?;
        self.0.sessions.seen.check()?;
        let (owner, stamp) = (tenant.as_str(), self.0.stamp());
        let ids: Vec<Uuid> = letters.iter().map(|letter| letter.0).collect();
        let parameters: [Parameter<'_>; 3] =
            [(&owner, Type::TEXT), (&ids, Type::UUID_ARRAY), (&stamp, Type::INT8)];
        let rows = self.0.sessions.write_anew(&SessionRole::Worker, sql, &parameters).await?;
        let count = rows.first().map_or(Ok(0), |row| event_row::count(row, 0))?;
        // Of each the next of its line may be due now.
        self.0.wakeups.wake_for_work(WorkHint::DUE_EVERYWHERE);
        self.0.untold.tell(WorkHint::DUE_EVERYWHERE);
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Takes in that work was not found where it was read.
    fn other_log(&self, failure: Failure) -> Failure {
        match self.0.sessions.seen.sender() {
            Some(sender) if failure.is_raised(raised::OTHER_LOG) => {
                self.0.sessions.seen.missing_sender(sender)
            }
            _ => failure,
        }
    }
}

fn read_share(row: &Row, worker: &Worker) -> Result<Share, Failure> {
    let shards: Vec<i16> = row.try_get::<_, Option<_>>(0)?.unwrap_or_default();
    let terms: Vec<i64> = row.try_get::<_, Option<_>>(1)?.unwrap_or_default();
    let urgent: Vec<i64> = row.try_get::<_, Option<_>>(2)?.unwrap_or_default();
    let normal: Vec<i64> = row.try_get::<_, Option<_>>(3)?.unwrap_or_default();
    let suspects: Vec<i64> = row.try_get::<_, Option<_>>(4)?.unwrap_or_default();
    let part = usize::try_from(event_row::count(row, 5)?).unwrap_or(usize::MAX);
    let look_in: Option<i64> = row.try_get(6)?;
    let places = urgent.iter().zip(&normal).zip(&suspects);
    let mut held = Vec::with_capacity(shards.len());
    for (at, ((shard, term), ((urgent, normal), suspects_to))) in
        shards.iter().zip(&terms).zip(places).enumerate()
    {
        let term = ShardTerm { shard: read_shard(*shard)?, term: term.unsigned_abs(), worker: worker.id };
        let cursors = [urgent, normal].map(|place| WorkPlace::from_number(place.unsigned_abs()));
        // Those it had come first, and none is given past its part.
        let suspects_to = WorkPlace::from_number(suspects_to.unsigned_abs());
        held.push(HeldShard { term, cursors, suspects_to, is_surplus: at >= part });
    }
    held.sort_by_key(|held| held.term.shard);
    let (scheduler, holder): (Option<String>, Option<String>) = (row.try_get(7)?, row.try_get(8)?);
    let waits_for = scheduler.map(|scheduler| WaitsFor { scheduler, holder: holder.unwrap_or_default() });
    Ok(Share { held, look_again_in: look_in.map(|look_in| until(look_in, 0)), waits_for })
}

/// The tenant that is looked at alone, where it is one.
fn tenant_of(scope: &WorkScope) -> Option<&str> {
    match scope {
        WorkScope::Tenant(tenant) => Some(tenant.as_str()),
        WorkScope::EveryTenantBut(_) => None,
    }
}

/// The tenants that are passed over.
fn passed_of(scope: &WorkScope) -> Vec<&str> {
    scope.passed().iter().map(TenantId::as_str).collect()
}

/// The shards that a function says were lost.
fn read_lost(rows: &[Row]) -> Result<Vec<Shard>, Failure> {
    let row = rows.first().ok_or_else(|| Failure::damaged("nobody says which shards were lost"))?;
    let lost: Vec<i16> = row.try_get(0)?;
    let lost = lost.into_iter().map(read_shard).collect::<Result<BTreeSet<Shard>, Failure>>()?;
    Ok(lost.into_iter().collect())
}

fn read_shard(number: i16) -> Result<Shard, Failure> {
    let shard = u16::try_from(number).ok().and_then(Shard::from_number);
    shard.ok_or_else(|| Failure::damaged(format!("there is no shard {number}")))
}

fn read_depth(row: &Row) -> Result<QueueDepth, Failure> {
    let kind: &str = row.try_get(1)?;
    let oldest: Option<i64> = row.try_get(8)?;
    Ok(QueueDepth {
        receiver: row.try_get(0)?,
        kind: WorkKind::from_name(kind)
            .ok_or_else(|| Failure::damaged(format!("work is of the kind {kind:?}")))?,
        ready: event_row::count(row, 2)?,
        later: event_row::count(row, 3)?,
        dead: event_row::count(row, 4)?,
        ready_is_least: row.try_get(5)?,
        later_is_least: row.try_get(6)?,
        dead_is_least: row.try_get(7)?,
        oldest_sent_at: oldest.and_then(stored_time),
    })
}

/// How long it is until a moment.
fn until(moment: i64, now: i64) -> Duration {
    Duration::from_micros(u64::try_from(moment.saturating_sub(now)).unwrap_or(0))
}

/// A limit of the core keeps it far below the end of the type.
fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_counts_the_places_of_a_commit_as_the_core_does() {
        // Written out in `append_batch`, `forget_commits` and `select_sent_work`.
        assert_eq!(WorkPlace::of(1, 0).number(), 1_024);
        assert_eq!(WORK_SHARDS, 16, "written out in `work_shards`");
        assert_eq!(Lane::ALL.map(Lane::number), [0, 1], "written out in `settle_work`");
    }
}
