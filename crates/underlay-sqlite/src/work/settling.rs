//! What became of work. A line is the work of one tenant, receiver and key; the first of a line that is
//! blocked is its head. Where a line has pieces that stand behind, it has a head: each change that takes a
//! head away makes the lowest of them the next one, in the same transaction.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use underlay_core::adapter::{moment_after, stored_number};
use underlay_core::{BegunWork, Settled, Settlement, Shard, TenantId, Timestamp, WorkId, kept_work_error};

use crate::error::Failure;
use crate::work::sharing;
use crate::work::table::Table;

const DELETE: &str = include_str!("../sql/work/delete_work.sql");

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

/// Counts that pieces are begun, but of shards that were lost, which it gives.
pub(crate) fn begin(
    connection: &Connection,
    begun: &[BegunWork],
    now: Timestamp,
) -> Result<Vec<Shard>, Failure> {
    let lost = sharing::lost(connection, begun.iter().map(|begun| begun.term), now)?;
    for BegunWork { term, place, times } in begun.iter().filter(|begun| !lost.contains(&begun.term.shard)) {
        let columns = (stored_number(place.number()), term.shard.number(), *times);
        for table in [Table::Ready, Table::Later] {
            let mut update = table.prepare(connection, include_str!("../sql/work/update_begun_work.sql"))?;
            if update.execute(columns)? > 0 {
                break;
            }
        }
    }
    Ok(lost.into_iter().collect())
}

/// Stores what became of work, but of shards that were lost, which it gives. Lines go on when all of it is
/// stored, so that its order does not matter.
pub(crate) fn settle(
    connection: &Connection,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<Vec<Shard>, Failure> {
    let lost = sharing::lost(connection, settlements.iter().map(|settlement| settlement.term), now)?;
    let mut held: Vec<&Settlement> =
        settlements.iter().filter(|settlement| !lost.contains(&settlement.term.shard)).collect();
    // Neighbours in the table, one after the other.
    held.sort_unstable_by_key(|settlement| settlement.place);
    let mut lines = BTreeSet::new();
    for settlement in delete_done(connection, held)? {
        lines.extend(settle_one(connection, settlement, now)?);
    }
    for line in lines {
        release_next(connection, &line, now.as_microsecond())?;
    }
    Ok(lost.into_iter().collect())
}

/// Removes what was ready and is done, which is nearly all: it blocked nothing. Gives the rest.
fn delete_done<'s>(
    connection: &Connection,
    settlements: Vec<&'s Settlement>,
) -> Result<Vec<&'s Settlement>, Failure> {
    let mut delete = Table::Ready.prepare(connection, DELETE)?;
    let mut rest = Vec::new();
    for settlement in settlements {
        if settlement.settled != Settled::Done || delete.execute(at(settlement))? == 0 {
            rest.push(settlement);
        }
    }
    Ok(rest)
}

/// Stores what became of a piece that is not both ready and done; gives its line, where the next of it may go now.
fn settle_one(
    connection: &Connection,
    settlement: &Settlement,
    now: Timestamp,
) -> Result<Option<Line>, Failure> {
    let at = at(settlement);
    match &settlement.settled {
        Settled::Done => delete_later(connection, at),
        Settled::Retry { delay, error } => {
            let due_at = Some(moment_after(now, *delay).as_microsecond());
            let standing = Standing { due_at, error: Some(error), holds: true, died: None };
            Ok(put(connection, Table::Later, at, &standing)?.map(|(line, _)| line))
        }
        Settled::Held => {
            let standing = Standing { due_at: None, error: None, holds: true, died: None };
            Ok(put(connection, Table::Later, at, &standing)?.map(|(line, _)| line))
        }
        Settled::Dead { error, is_final, holds } => {
            let died = Some((now.as_microsecond(), *is_final));
            let standing = Standing { due_at: None, error: Some(error), holds: *holds, died };
            let put = put(connection, Table::Dead, at, &standing)?;
            Ok(put.and_then(|(line, was)| (was == Table::Later).then_some(line)))
        }
    }
}

/// The place and the shard of a piece: what is of another shard than the term is left as it is.
type At = (i64, u16);

fn at(settlement: &Settlement) -> At {
    (stored_number(settlement.place.number()), settlement.term.shard.number())
}

/// How a piece that is not done stands from now on.
struct Standing<'s> {
    due_at: Option<i64>,
    /// Why an attempt failed, which is counted.
    error: Option<&'s str>,
    holds: bool,
    /// When it was given up, and whether that was final.
    died: Option<(i64, bool)>,
}

/// Puts a piece that waits, or is being done, into a table. Gives its line and where it was; `None` where it is no
/// longer there.
fn put(
    connection: &Connection,
    target: Table,
    at: At,
    standing: &Standing<'_>,
) -> Result<Option<(Line, Table)>, Failure> {
    let Standing { due_at, error, holds, died } = standing;
    let error = error.map(kept_work_error);
    let (died_at, is_final) = died.unzip();
    let columns = params![at.0, at.1, due_at, holds, error.is_some(), error, died_at, is_final];
    for was in [Table::Ready, Table::Later] {
        let mut update = was.prepare(connection, include_str!("../sql/work/update_work.sql"))?;
        let Some(line) = update.query_row(columns, Line::of).optional()? else { continue };
        if was != target {
            copy(connection, was, target, at.0)?;
            delete(connection, was, at)?;
        }
        return Ok(Some((line, was)));
    }
    Ok(None)
}

fn copy(connection: &Connection, from: Table, to: Table, place: i64) -> Result<(), Failure> {
    connection.prepare_cached(&from.copy_to(to))?.execute([place])?;
    Ok(())
}

fn delete(connection: &Connection, table: Table, at: At) -> Result<(), Failure> {
    table.prepare(connection, DELETE)?.execute(at)?;
    Ok(())
}

fn delete_later(connection: &Connection, at: At) -> Result<Option<Line>, Failure> {
    let mut delete = connection.prepare_cached(include_str!("../sql/work/delete_work_later.sql"))?;
    Ok(delete.query_row(at, Line::of).optional()?)
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
    let mut find = connection.prepare_cached(include_str!("../sql/work/select_place_of_dead_letter.sql"))?;
    let mut update = connection.prepare_cached(include_str!("../sql/work/update_replayed_work.sql"))?;
    let mut replayed = 0;
    for id in letters {
        let id = &id.0.as_bytes()[..];
        let place: Option<i64> = find.query_row((tenant.as_str(), id), |row| row.get(0)).optional()?;
        let Some(place) = place else { continue };
        copy(connection, Table::Dead, Table::Later, place)?;
        update.execute((place, now.as_microsecond()))?;
        delete_letter(connection, tenant, id)?;
        replayed += 1;
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
