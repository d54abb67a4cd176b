//! How much work one tenant has. Only its own pieces are counted, up to a bound, so the answer does not differ by what
//! others have. What is ready is found along the order of all ready work, without a look at the table: that takes longer
//! the more there is of others.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use underlay_core::adapter::stored_number;
use underlay_core::{QueueDepth, TenantId, Timestamp, WorkKind, WorkPlace};

use super::depths::{COUNTED_MAX, READY_COUNTED_MAX, sent_at};
use crate::error::Failure;
use crate::log::event_row;
use crate::work::table::Table;
use crate::work::work_row::{self, AtPlace};

/// The queues of the tenant, and of each the oldest place that is ready.
type Queues = BTreeMap<(String, &'static str), (QueueDepth, Option<WorkPlace>)>;

/// How much there is, by receiver and kind.
pub(crate) fn depths(
    connection: &Connection,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<Vec<QueueDepth>, Failure> {
    let mut queues = Queues::new();
    let is_least = [
        count_ready(connection, tenant, &mut queues)?,
        count(connection, Table::Later, (tenant, now), &mut queues)?,
        count(connection, Table::Dead, (tenant, now), &mut queues)?,
    ];
    let depth = |(mut depth, oldest): (QueueDepth, Option<WorkPlace>)| {
        if let Some(oldest) = oldest {
            let values = params![stored_number(oldest.number())];
            let ready = sent_at(connection, include_str!("../sql/work/select_work_sent_at.sql"), values)?;
            depth.oldest_sent_at = depth.oldest_sent_at.into_iter().chain(ready).min();
        }
        // What was not counted may be of any queue.
        [depth.ready_is_least, depth.later_is_least, depth.dead_is_least] = is_least;
        Ok(depth)
    };
    queues.into_values().map(depth).collect()
}

/// Counts what is ready, and says whether it ended before all was counted.
fn count_ready(connection: &Connection, tenant: &TenantId, queues: &mut Queues) -> Result<bool, Failure> {
    let sql = include_str!("../sql/work/select_ready_receivers_of_tenant.sql");
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![tenant.as_str()])?;
    let mut counted = 0;
    while let Some(row) = rows.next()? {
        if counted == READY_COUNTED_MAX {
            return Ok(true);
        }
        counted += 1;
        let place = work_row::place(row)?;
        let (depth, oldest) = queue(queues, row, place)?;
        depth.ready += 1;
        *oldest = Some(oldest.map_or(place, |oldest| oldest.min(place)));
    }
    Ok(false)
}

/// Counts what waits, or was given up, and says whether there may be more.
fn count(
    connection: &Connection,
    table: Table,
    (tenant, now): (&TenantId, Timestamp),
    queues: &mut Queues,
) -> Result<bool, Failure> {
    let mut select = table.prepare(connection, include_str!("../sql/work/select_receivers_of_tenant.sql"))?;
    let mut rows = select.query(params![tenant.as_str(), COUNTED_MAX, now.as_microsecond()])?;
    let mut counted = 0;
    while let Some(row) = rows.next()? {
        counted += 1;
        let place = work_row::place(row)?;
        let is_late = work_row::flag(row, 3, AtPlace(place))?;
        let sent_at = event_row::time(row, 4, AtPlace(place))?;
        let (depth, _) = queue(queues, row, place)?;
        match table {
            Table::Dead => depth.dead += 1,
            Table::Ready | Table::Later => {
                depth.later += 1;
                depth.oldest_sent_at =
                    depth.oldest_sent_at.into_iter().chain(sent_at.filter(|_| is_late)).min();
            }
        }
    }
    Ok(counted >= COUNTED_MAX)
}

/// The queue of the piece in a row.
fn queue<'q>(
    queues: &'q mut Queues,
    row: &rusqlite::Row<'_>,
    place: WorkPlace,
) -> Result<&'q mut (QueueDepth, Option<WorkPlace>), Failure> {
    let receiver = event_row::text(row, 1, AtPlace(place))?;
    let kind: WorkKind = work_row::kind(row, 2, AtPlace(place))?;
    let queue = queues.entry((receiver.to_owned(), kind.name()));
    Ok(queue.or_insert_with(|| (QueueDepth::empty(receiver, kind), None)))
}
