//! How much work there is. Counting walks along an index and ends at a number of pieces, so the answer takes
//! a fraction of a second, however much waits: ready work at [`READY_COUNTED_MAX`], the rest at [`COUNTED_MAX`] of
//! one kind for one receiver. Where as many wait or more, the depths say that there may be more.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rusqlite::{Connection, ToSql, params};
use underlay_core::adapter::stored_number;
use underlay_core::{Lane, QueueDepth, Timestamp, WorkKind, WorkPlace};

use crate::error::Failure;
use crate::log::event_row;
use crate::work::blocks::Blocks;
use crate::work::work_row::{self, AtPlace};

/// Pieces of ready work that are counted.
pub(super) const READY_COUNTED_MAX: usize = 500_000;
/// Pieces that are counted of what is due later, or dead, of one kind for one receiver.
pub(super) const COUNTED_MAX: u32 = 500_000;

/// Pieces that were tried and are to be tried again which are looked at for their age.
const TRIED_MAX: u32 = 100_000;

/// Where counting ends.
#[derive(Clone, Copy)]
struct Bounds {
    ready: usize,
    of_group: u32,
    tried: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { ready: READY_COUNTED_MAX, of_group: COUNTED_MAX, tried: TRIED_MAX }
    }
}

/// What is counted together.
struct Group {
    receiver: String,
    kind: WorkKind,
}

/// How much there is, by receiver and kind.
pub(crate) fn depths(connection: &Connection, now: Timestamp) -> Result<Vec<QueueDepth>, Failure> {
    depths_within(connection, now, Bounds::default())
}

fn depths_within(
    connection: &Connection,
    now: Timestamp,
    bounds: Bounds,
) -> Result<Vec<QueueDepth>, Failure> {
    let mut depths = BTreeMap::new();
    let ready_is_least = count_ready(connection, bounds, &mut depths)?;
    let most = u64::from(bounds.of_group);
    for group in groups(connection, include_str!("../sql/work/select_next_receiver_of_work_later.sql"))? {
        let depth = depth_of(&mut depths, &group);
        depth.later =
            count(connection, include_str!("../sql/work/count_work_later.sql"), &group, bounds.of_group)?;
        depth.later_is_least = depth.later >= most;
        let values = params![group.receiver, group.kind.name(), now.as_microsecond(), bounds.of_group];
        let due = sent_at(connection, include_str!("../sql/work/select_oldest_due_work.sql"), values)?;
        depth.oldest_sent_at = depth.oldest_sent_at.into_iter().chain(due).min();
    }
    age_of_tried(connection, bounds, &mut depths)?;
    for group in groups(connection, include_str!("../sql/work/select_next_receiver_of_dead_letters.sql"))? {
        let depth = depth_of(&mut depths, &group);
        depth.dead =
            count(connection, include_str!("../sql/work/count_dead_letters.sql"), &group, bounds.of_group)?;
        depth.dead_is_least = depth.dead >= most;
    }
    // What was not counted may be anybody's.
    depths.values_mut().for_each(|depth| depth.ready_is_least = ready_is_least);
    Ok(depths.into_values().collect())
}

/// Takes in how old what was tried and is to be tried again is. It is looked at by lines, so past the bound a younger
/// piece may stand for an older one.
fn age_of_tried(
    connection: &Connection,
    bounds: Bounds,
    depths: &mut BTreeMap<(String, &'static str), QueueDepth>,
) -> Result<(), Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/work/select_oldest_tried_work.sql"))?;
    let mut rows = select.query(params![bounds.tried])?;
    while let Some(row) = rows.next()? {
        let receiver = event_row::text(row, 0, "a receiver of work that was tried")?;
        let kind = work_row::kind(row, 1, format_args!("the receiver {receiver:?}"))?;
        let oldest = event_row::time(row, 2, "the oldest work that was tried")?;
        let depth = depth_of(depths, &Group { receiver: receiver.to_owned(), kind });
        depth.oldest_sent_at = depth.oldest_sent_at.into_iter().chain(oldest).min();
    }
    Ok(())
}

/// Counts ready work, and says whether it ended before all was counted. Lanes take turns, block by block, so that of each
/// the oldest is seen.
fn count_ready(
    connection: &Connection,
    bounds: Bounds,
    depths: &mut BTreeMap<(String, &'static str), QueueDepth>,
) -> Result<bool, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/work/select_ready_receivers.sql"))?;
    let mut lanes = VecDeque::new();
    for lane in Lane::ALL {
        lanes.push_back((lane, Blocks::after(connection, lane, WorkPlace::START)?));
    }
    let mut counts: HashMap<String, [Ready; WorkKind::ALL.len()]> = HashMap::new();
    let mut counted = 0;
    while counted < bounds.ready
        && let Some((lane, mut blocks)) = lanes.pop_front()
    {
        let Some(block) = blocks.next()? else { continue };
        lanes.push_back((lane, blocks));
        let most = stored_number((bounds.ready - counted) as u64);
        let mut rows = select.query(params![lane.number(), block.0, most])?;
        while let Some(row) = rows.next()? {
            let place = work_row::place(row)?;
            let kind = work_row::kind(row, 2, AtPlace(place))?;
            let receiver = event_row::text(row, 1, AtPlace(place))?;
            if !counts.contains_key(receiver) {
                counts.insert(receiver.to_owned(), Default::default());
            }
            let at = WorkKind::ALL.iter().position(|other| *other == kind);
            if let Some(ready) = counts.get_mut(receiver).zip(at).map(|(counts, at)| &mut counts[at]) {
                ready.add(place);
            }
            counted += 1;
        }
    }
    for (receiver, counts) in counts {
        for (kind, Ready { count, oldest }) in WorkKind::ALL.into_iter().zip(counts) {
            let Some(oldest) = oldest else { continue };
            let depth = depth_of(depths, &Group { receiver: receiver.clone(), kind });
            depth.ready = count;
            let values = params![stored_number(oldest.number())];
            depth.oldest_sent_at =
                sent_at(connection, include_str!("../sql/work/select_work_sent_at.sql"), values)?;
        }
    }
    Ok(!lanes.is_empty())
}

/// What is counted of one kind for one receiver.
#[derive(Default)]
struct Ready {
    count: u64,
    /// The lowest place.
    oldest: Option<WorkPlace>,
}

impl Ready {
    fn add(&mut self, place: WorkPlace) {
        self.count += 1;
        self.oldest = Some(self.oldest.map_or(place, |oldest| oldest.min(place)));
    }
}

fn depth_of<'d>(
    depths: &'d mut BTreeMap<(String, &'static str), QueueDepth>,
    group: &Group,
) -> &'d mut QueueDepth {
    let key = (group.receiver.clone(), group.kind.name());
    depths.entry(key).or_insert_with(|| QueueDepth::empty(group.receiver.clone(), group.kind))
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

fn count(connection: &Connection, sql: &str, group: &Group, most: u32) -> Result<u64, Failure> {
    let mut select = connection.prepare_cached(sql)?;
    let values = params![group.receiver, group.kind.name(), most];
    let mut rows = select.query(values)?;
    Ok(rows.next()?.map(|row| event_row::count(row, 0, "work")).transpose()?.unwrap_or(0))
}

pub(super) fn sent_at(
    connection: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
) -> Result<Option<Timestamp>, Failure> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(values)?;
    Ok(rows.next()?.map(|row| event_row::time(row, 0, "the oldest work")).transpose()?.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plans::file;

    /// So many pieces in a table, from a place on. Each has all that any of the tables asks for.
    fn fill(connection: &Connection, table: &str, shard: u16, receiver: &str, from: i64, count: i64) {
        let insert = format!(
            "WITH RECURSIVE places (place) AS (VALUES (?1) UNION ALL SELECT place + 1 FROM places WHERE place + 1 < ?2)
             INSERT INTO {table}
                 (place, shard, lane, tenant, receiver, kind, key, name, version, work_id, commit_id, sent_at, metadata,
                  payload, due_at, last_error, died_at, is_final)
             SELECT place, ?3, 1, 'acme', ?4, 'message', 'k', 'n', 1, x'00', x'00', 1, '{{}}', '{{}}', 5, 'no', 1, 0
             FROM places"
        );
        connection.execute(&insert, params![from, from + count, shard, receiver]).unwrap();
    }

    /// Whether the counts of a queue may be less than there is.
    fn least(depth: &QueueDepth) -> [bool; 3] {
        [depth.ready_is_least, depth.later_is_least, depth.dead_is_least]
    }

    #[test]
    fn a_count_that_ends_at_a_bound_says_that_there_may_be_more() {
        let connection = file();
        let bounds = Bounds { ready: 8, of_group: 5, tried: 5 };
        let count = || depths_within(&connection, Timestamp::UNIX_EPOCH, bounds).unwrap();
        fill(&connection, "work", 0, "mail", 1, 3);
        fill(&connection, "work", 1, "post", 10, 3);
        fill(&connection, "work_later", 0, "mail", 20, 4);
        fill(&connection, "dead_letters", 0, "mail", 30, 4);
        let depths = count();
        assert_eq!(depths.len(), 2);
        assert!(depths.iter().all(|depth| least(depth) == [false; 3]), "{depths:?}");
        assert_eq!(depths[0].counts(), ["3", "4", "4"]);

        // What is not counted of what is ready may be of any receiver; the others are counted by themselves.
        fill(&connection, "work", 0, "mail", 1 << 16, 20);
        fill(&connection, "work_later", 0, "mail", 40, 3);
        fill(&connection, "dead_letters", 0, "post", 50, 9);
        let depths = count();
        assert_eq!(least(&depths[0]), [true, true, false], "{depths:?}");
        assert_eq!(least(&depths[1]), [true, false, true], "{depths:?}");
        assert_eq!(depths[0].counts()[1..], ["5+", "4"]);
        assert_eq!(depths[1].counts(), ["3+", "0", "5+"]);
    }
}
