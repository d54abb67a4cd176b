//! What became of work. A line is the work of one tenant, receiver and key; the first of a line that is
//! blocked is its head. Where a line has pieces that stand behind, it has a head: each change that takes a
//! head away makes the lowest of them the next one, in the same transaction.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use underlay_core::adapter::stored_number;
use underlay_core::{Settled, Settlement, Shard, ShardTerm, TenantId, Timestamp, WorkId, kept_work_error};

use crate::error::Failure;
use crate::work::sharing;

/// The line that a piece of work stands in.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    tenant: String,
    receiver: String,
    key: String,
}

impl Line {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { tenant: row.get(0)?, receiver: row.get(1)?, key: row.get(2)? })
    }
}

/// Stores what became of work, but of shards that were lost, which it gives. Lines go on when all of it is
/// stored, so that its order does not matter.
pub(crate) fn settle(
    connection: &Connection,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<Vec<Shard>, Failure> {
    let terms: HashSet<ShardTerm> = settlements.iter().map(|settlement| settlement.term).collect();
    let mut lost = BTreeSet::new();
    for term in terms {
        if !sharing::holds(connection, term, now)? {
            lost.insert(term.shard);
        }
    }
    let mut lines = BTreeSet::new();
    for settlement in settlements.iter().filter(|settlement| !lost.contains(&settlement.term.shard)) {
        lines.extend(settle_one(connection, settlement, now.as_microsecond())?);
    }
    for line in lines {
        release_next(connection, &line, now.as_microsecond())?;
    }
    Ok(lost.into_iter().collect())
}

/// Stores what became of a piece; gives its line, where the next of it may go now.
fn settle_one(connection: &Connection, settlement: &Settlement, now: i64) -> Result<Option<Line>, Failure> {
    let at = (stored_number(settlement.place.number()), settlement.term.shard.number());
    match &settlement.settled {
        // What was ready blocked nothing.
        Settled::Done if delete_ready(connection, at)? => Ok(None),
        Settled::Done => delete_later(connection, at),
        Settled::Retry { due_at, error } => {
            let error = kept_work_error(error);
            hold(connection, at, Some(due_at.as_microsecond()), 1, Some(&error))
        }
        Settled::Held => hold(connection, at, None, 0, None),
        Settled::Dead { error, is_final, holds } => {
            let error = kept_work_error(error);
            let give_up = |sql| -> Result<bool, Failure> {
                let mut insert = connection.prepare_cached(sql)?;
                Ok(insert.execute(params![at.0, at.1, error, now, is_final, holds])? > 0)
            };
            if give_up(include_str!("../sql/work/move_work_to_dead_letters.sql"))? {
                delete_ready(connection, at)?;
            } else if give_up(include_str!("../sql/work/move_work_later_to_dead_letters.sql"))? {
                return delete_later(connection, at);
            }
            Ok(None)
        }
    }
}

/// The place and the shard of a piece: what is of another shard than the term is left as it is.
type At = (i64, u16);

fn delete_ready(connection: &Connection, at: At) -> Result<bool, Failure> {
    let mut delete = connection.prepare_cached(include_str!("../sql/work/delete_work.sql"))?;
    Ok(delete.execute(at)? > 0)
}

fn delete_later(connection: &Connection, at: At) -> Result<Option<Line>, Failure> {
    let mut delete = connection.prepare_cached(include_str!("../sql/work/delete_work_later.sql"))?;
    Ok(delete.query_row(at, Line::of).optional()?)
}

/// Makes a piece hold its line, due at a moment or behind another; `None` where it is no longer there.
fn hold(
    connection: &Connection,
    at: At,
    due_at: Option<i64>,
    failures: u32,
    error: Option<&str>,
) -> Result<Option<Line>, Failure> {
    let columns = params![at.0, at.1, due_at, failures, error];
    let mut insert = connection.prepare_cached(include_str!("../sql/work/move_work_to_later.sql"))?;
    if let Some(line) = insert.query_row(columns, Line::of).optional()? {
        delete_ready(connection, at)?;
        return Ok(Some(line));
    }
    let mut update = connection.prepare_cached(include_str!("../sql/work/update_work_later.sql"))?;
    Ok(update.query_row(columns, Line::of).optional()?)
}

fn release_next(connection: &Connection, line: &Line, now: i64) -> Result<(), Failure> {
    let mut update = connection.prepare_cached(include_str!("../sql/work/release_next_work.sql"))?;
    update.execute(params![line.tenant, line.receiver, line.key, now])?;
    Ok(())
}

/// Makes dead letters due again; how many of them there were.
pub(crate) fn replay(
    connection: &Connection,
    tenant: &TenantId,
    letters: &[WorkId],
    now: Timestamp,
) -> Result<usize, Failure> {
    let mut insert = connection.prepare_cached(include_str!("../sql/work/replay_dead_letters.sql"))?;
    let mut replayed = 0;
    for id in letters {
        let id = &id.0.as_bytes()[..];
        let moved = insert.execute((tenant.as_str(), id, now.as_microsecond()))?;
        if moved > 0 {
            delete_letter(connection, tenant, id)?;
        }
        replayed += moved;
    }
    Ok(replayed)
}

/// Removes dead letters for ever; how many of them there were.
pub(crate) fn discard(
    connection: &Connection,
    tenant: &TenantId,
    letters: &[WorkId],
    now: Timestamp,
) -> Result<usize, Failure> {
    let mut discarded = 0;
    for id in letters {
        for line in delete_letter(connection, tenant, &id.0.as_bytes()[..])? {
            release_next(connection, &line, now.as_microsecond())?;
            discarded += 1;
        }
    }
    Ok(discarded)
}

fn delete_letter(connection: &Connection, tenant: &TenantId, id: &[u8]) -> Result<Vec<Line>, Failure> {
    let mut delete = connection.prepare_cached(include_str!("../sql/work/delete_dead_letters.sql"))?;
    let lines = delete.query_map((tenant.as_str(), id), Line::of)?;
    Ok(lines.collect::<Result<_, _>>()?)
}
