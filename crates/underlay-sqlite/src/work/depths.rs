//! How much work there is. A count walks along an index, and ends at [`COUNTED_MAX`]; so the answer takes a
//! fraction of a second, however much waits.

use std::collections::BTreeMap;

use rusqlite::{Connection, ToSql, params};
use underlay_core::{QueueDepth, Timestamp, WorkKind};

use crate::error::Failure;
use crate::log::event_row;
use crate::work::work_row;

/// As many as this, of one kind for one receiver, or more.
const COUNTED_MAX: u32 = 1_000_000;

/// What is counted together.
struct Group {
    receiver: String,
    kind: WorkKind,
}

/// How much there is, by receiver and kind.
pub(crate) fn depths(connection: &Connection, now: Timestamp) -> Result<Vec<QueueDepth>, Failure> {
    let mut depths = BTreeMap::new();
    for group in groups(connection, include_str!("../sql/work/select_next_receiver_of_work.sql"))? {
        let depth = depth_of(&mut depths, &group);
        depth.ready = count(connection, include_str!("../sql/work/count_work.sql"), &group)?;
        let values = params![group.receiver, group.kind.name()];
        depth.oldest_sent_at =
            sent_at(connection, include_str!("../sql/work/select_oldest_work.sql"), values)?;
    }
    for group in groups(connection, include_str!("../sql/work/select_next_receiver_of_work_later.sql"))? {
        let depth = depth_of(&mut depths, &group);
        depth.later = count(connection, include_str!("../sql/work/count_work_later.sql"), &group)?;
        let values = params![group.receiver, group.kind.name(), now.as_microsecond(), COUNTED_MAX];
        let due = sent_at(connection, include_str!("../sql/work/select_oldest_due_work.sql"), values)?;
        depth.oldest_sent_at = depth.oldest_sent_at.into_iter().chain(due).min();
    }
    for group in groups(connection, include_str!("../sql/work/select_next_receiver_of_dead_letters.sql"))? {
        let depth = depth_of(&mut depths, &group);
        depth.dead = count(connection, include_str!("../sql/work/count_dead_letters.sql"), &group)?;
    }
    Ok(depths.into_values().collect())
}

fn depth_of<'d>(
    depths: &'d mut BTreeMap<(String, &'static str), QueueDepth>,
    group: &Group,
) -> &'d mut QueueDepth {
    let key = (group.receiver.clone(), group.kind.name());
    depths.entry(key).or_insert_with(|| QueueDepth {
        receiver: group.receiver.clone(),
        kind: group.kind,
        ready: 0,
        later: 0,
        dead: 0,
        oldest_sent_at: None,
    })
}

/// Every receiver with every kind it has. The statement gives the next one after another, so each is one
/// step along an index.
fn groups(connection: &Connection, select_next: &str) -> Result<Vec<Group>, Failure> {
    let mut select = connection.prepare_cached(select_next)?;
    let mut groups: Vec<Group> = Vec::new();
    loop {
        let (receiver, kind) =
            groups.last().map_or(("", ""), |last| (last.receiver.as_str(), last.kind.name()));
        let mut rows = select.query((receiver, kind))?;
        let Some(row) = rows.next()? else { return Ok(groups) };
        let receiver = event_row::text(row, 0, "a receiver of work")?.to_owned();
        let kind = work_row::kind(row, 1, format_args!("the receiver {receiver:?}"))?;
        drop(rows);
        groups.push(Group { receiver, kind });
    }
}

fn count(connection: &Connection, sql: &str, group: &Group) -> Result<u64, Failure> {
    let mut select = connection.prepare_cached(sql)?;
    let values = params![group.receiver, group.kind.name(), COUNTED_MAX];
    let mut rows = select.query(values)?;
    Ok(rows.next()?.map(|row| event_row::count(row, 0, "work")).transpose()?.unwrap_or(0))
}

fn sent_at(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<Option<Timestamp>, Failure> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(values)?;
    Ok(rows.next()?.map(|row| work_row::time(row, 0, "the oldest work")).transpose()?.flatten())
}
