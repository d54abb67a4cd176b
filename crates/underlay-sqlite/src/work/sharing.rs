//! Which worker holds which shards, and for how long.
//!
//! Every worker that is there has an even part of the shards. It keeps what it holds, and takes what is free
//! while it has less than its part; what it has beyond that it gives back itself.
//!
//! All that is held is held by workers of the one scheduler that the table `work_scheduler` names. It changes only
//! while nothing is held.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Connection, params};
use underlay_core::adapter::stored_number;
use underlay_core::{
    HeldShard, LaneCursors, Shard, ShardTerm, Share, Timestamp, WaitsFor, WorkPlace, Worker, WorkerId,
};
use uuid::Uuid;

use crate::error::Failure;
use crate::log::event_row;
use crate::work::work_row;

/// When the term of a shard is over that was given back.
const GIVEN_BACK: i64 = i64::MIN;

/// What a worker may do with shards that are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Free {
    /// Leave them. Nothing is lost where a power cut takes that back.
    Leave,
    /// Take them. A term that was given must not be given again, so it is to be flushed.
    Take,
}

/// What asking came to.
pub(crate) struct Shared {
    pub(crate) share: Share,
    /// Whether there is a shard that the worker is to take, and was not allowed to.
    pub(crate) is_short: bool,
}

/// A shard that somebody has held.
struct Holding {
    term: ShardTerm,
    holder: String,
    expires_at: i64,
    cursors: LaneCursors,
    suspects_to: WorkPlace,
}

/// Tells that a worker is there until `ends_at`, and keeps and gives shards.
pub(crate) fn share(
    connection: &Connection,
    worker: &Worker,
    (now, ends_at): (Timestamp, Timestamp),
    cursors: &[(Shard, LaneCursors)],
    free: Free,
) -> Result<Shared, Failure> {
    let moment = now.as_microsecond();
    connection.prepare_cached(include_str!("../sql/work/delete_expired_workers.sql"))?.execute([moment])?;
    connection.prepare_cached(include_str!("../sql/work/upsert_worker.sql"))?.execute(params![
        &worker.id.0.as_bytes()[..],
        worker.holder,
        ends_at.as_microsecond(),
        worker.scheduler
    ])?;
    let part = part_of(worker.id, &workers(connection, &worker.scheduler)?);
    let holdings = holdings(connection)?;
    let is_held = |holding: &Holding| holding.expires_at > moment;
    let scheduler = scheduler(connection)?;
    let is_anothers = scheduler != worker.scheduler;
    if is_anothers
        && let Some(first) = Shard::all().filter_map(|shard| holdings.get(&shard)).find(|it| is_held(it))
    {
        let waits_for = WaitsFor { scheduler, holder: first.holder.clone() };
        let look_again_in = next_free(holdings.values().filter(|holding| is_held(holding)), moment);
        let share = Share { held: Vec::new(), look_again_in, waits_for: Some(waits_for) };
        return Ok(Shared { share, is_short: false });
    }
    let mut held = Vec::new();
    for shard in Shard::all() {
        let Some(holding) = holdings.get(&shard) else { continue };
        if holding.term.worker == worker.id && is_held(holding) {
            let given = cursors.iter().find(|(given, _)| *given == shard);
            let cursors = given.map_or(holding.cursors, |(_, cursors)| *cursors);
            let is_surplus = held.len() >= part;
            held.push(HeldShard {
                term: holding.term,
                cursors,
                suspects_to: holding.suspects_to,
                is_surplus,
            });
        }
    }
    let mut is_short = false;
    let is_free = |shard: &Shard| !holdings.get(shard).is_some_and(is_held);
    for shard in Shard::all().filter(is_free).take(part.saturating_sub(held.len())) {
        if free == Free::Leave {
            is_short = true;
            break;
        }
        let before = holdings.get(&shard);
        let term = before.map_or(0, |holding| holding.term.term).saturating_add(1);
        let term = ShardTerm { shard, term, worker: worker.id };
        let cursors = before.map_or([WorkPlace::START; 2], |holding| holding.cursors);
        // Whoever gave it back had ended what it began, and whoever comes back is not gone.
        let is_gone =
            before.is_some_and(|holding| holding.expires_at > GIVEN_BACK && holding.term.worker != worker.id);
        let newest = if is_gone { newest_work(connection)? } else { WorkPlace::START };
        let suspects_to = before.map_or(WorkPlace::START, |holding| holding.suspects_to).max(newest);
        held.push(HeldShard { term, cursors, suspects_to, is_surplus: false });
    }
    for held in &held {
        store(connection, worker, held, ends_at)?;
    }
    if is_anothers && !held.is_empty() {
        connection
            .prepare_cached(include_str!("../sql/work/update_work_scheduler.sql"))?
            .execute([&worker.scheduler])?;
    }
    held.sort_by_key(|held| held.term.shard);
    let of_others = holdings.values().filter(|holding| holding.term.worker != worker.id && is_held(holding));
    let share = Share { held, look_again_in: next_free(of_others, moment), waits_for: None };
    Ok(Shared { share, is_short })
}

/// How long until the first of these is free, where nobody renews it.
fn next_free<'h>(holdings: impl Iterator<Item = &'h Holding>, moment: i64) -> Option<Duration> {
    let next = holdings.map(|holding| holding.expires_at.saturating_sub(moment)).min();
    next.map(|next| Duration::from_micros(u64::try_from(next).unwrap_or(0)))
}

/// Whose workers hold the shards that are held.
fn scheduler(connection: &Connection) -> Result<String, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/work/select_work_scheduler.sql"))?;
    let scheduler = select.query_row([], |row| row.get(0));
    scheduler.map_err(|error| Failure::from(error).within("work_scheduler"))
}

/// How many shards a worker is to hold.
fn part_of(worker: WorkerId, workers: &[WorkerId]) -> usize {
    let (shards, count) = (Shard::all().len(), workers.len().max(1));
    let rank = workers.iter().position(|id| *id == worker).unwrap_or(count);
    shards / count + usize::from(rank < shards % count)
}

/// The workers of a scheduler that are there, in the order of ids.
fn workers(connection: &Connection, scheduler: &str) -> Result<Vec<WorkerId>, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/work/select_workers.sql"))?;
    let workers = select.query_map([scheduler], |row| Ok(WorkerId(Uuid::from_bytes(row.get(0)?))))?;
    workers.collect::<Result<_, _>>().map_err(|error| Failure::from(error).within("workers"))
}

fn holdings(connection: &Connection) -> Result<HashMap<Shard, Holding>, Failure> {
    let place = "work_shards";
    let mut select = connection.prepare_cached(include_str!("../sql/work/select_work_shards.sql"))?;
    let mut rows = select.query([])?;
    let mut holdings = HashMap::new();
    while let Some(row) = rows.next()? {
        let within = |error: rusqlite::Error| Failure::from(error).within(place);
        let shard = work_row::shard(row, 0, place)?;
        let cursor = |at| event_row::count(row, at, place).map(WorkPlace::from_number);
        let term = ShardTerm {
            shard,
            term: event_row::count(row, 1, place)?,
            worker: WorkerId(Uuid::from_bytes(row.get(2).map_err(within)?)),
        };
        let (expires_at, holder) = (row.get(3).map_err(within)?, row.get(7).map_err(within)?);
        let cursors = [cursor(4)?, cursor(5)?];
        holdings.insert(shard, Holding { term, holder, expires_at, cursors, suspects_to: cursor(6)? });
    }
    Ok(holdings)
}

fn store(
    connection: &Connection,
    worker: &Worker,
    held: &HeldShard,
    ends_at: Timestamp,
) -> Result<(), Failure> {
    let HeldShard { term, cursors: [urgent, normal], suspects_to, .. } = held;
    connection.prepare_cached(include_str!("../sql/work/upsert_work_shard.sql"))?.execute(params![
        term.shard.number(),
        stored_number(term.term),
        &worker.id.0.as_bytes()[..],
        worker.holder,
        ends_at.as_microsecond(),
        stored_number(urgent.number()),
        stored_number(normal.number()),
        stored_number(suspects_to.number()),
    ])?;
    Ok(())
}

/// Gives shards back; those that were lost are left as they are.
pub(crate) fn release(connection: &Connection, terms: &[ShardTerm]) -> Result<(), Failure> {
    let mut update = connection.prepare_cached(include_str!("../sql/work/release_work_shard.sql"))?;
    for term in terms {
        let worker = &term.worker.0.as_bytes()[..];
        update.execute(params![term.shard.number(), stored_number(term.term), worker, GIVEN_BACK])?;
    }
    Ok(())
}

/// Gives every shard of a worker back and counts it no more.
pub(crate) fn leave(connection: &Connection, worker: WorkerId) -> Result<(), Failure> {
    let id = &worker.0.as_bytes()[..];
    connection
        .prepare_cached(include_str!("../sql/work/release_work_shards_of_worker.sql"))?
        .execute(params![id, GIVEN_BACK])?;
    connection.prepare_cached(include_str!("../sql/work/delete_worker.sql"))?.execute([id])?;
    Ok(())
}

/// The highest place of work that is not done.
pub(crate) fn newest_work(connection: &Connection) -> Result<WorkPlace, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/work/select_newest_work.sql"))?;
    let mut rows = select.query([])?;
    let newest = rows.next()?.map(|row| event_row::count(row, 0, "work")).transpose()?;
    Ok(WorkPlace::from_number(newest.unwrap_or(0)))
}

/// Of these terms, the shards that they do not hold.
pub(crate) fn lost(
    connection: &Connection,
    terms: impl Iterator<Item = ShardTerm>,
    now: Timestamp,
) -> Result<BTreeSet<Shard>, Failure> {
    let mut lost = BTreeSet::new();
    for term in terms.collect::<HashSet<_>>() {
        if !holds(connection, term, now)? {
            lost.insert(term.shard);
        }
    }
    Ok(lost)
}

/// Whether a term holds: it is not over, and its worker's.
fn holds(connection: &Connection, term: ShardTerm, now: Timestamp) -> Result<bool, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/work/exists_work_term.sql"))?;
    let (number, worker) = (stored_number(term.term), &term.worker.0.as_bytes()[..]);
    Ok(select.exists(params![term.shard.number(), number, worker, now.as_microsecond()])?)
}
