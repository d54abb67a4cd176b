//! How a piece of work is read back from its row. Damage is named by place, and never a panic.

use std::fmt;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use underlay_core::adapter::{StoredNames, recorded_time, stored_payload};
use underlay_core::{
    CommitId, Json, Lane, NewWork, SchemaVersion, Shard, Work, WorkId, WorkKind, WorkPlace, WorkStanding,
};
use uuid::Uuid;

use crate::error::Failure;
use crate::log::event_row;

/// The columns of the tables of work, in their order.
mod column {
    pub(super) const PLACE: usize = 0;
    pub(super) const SHARD: usize = 1;
    pub(super) const LANE: usize = 2;
    pub(super) const TENANT: usize = 3;
    pub(super) const RECEIVER: usize = 4;
    pub(super) const KIND: usize = 5;
    pub(super) const KEY: usize = 6;
    pub(super) const DUE_AT: usize = 7;
    pub(super) const HOLDS: usize = 8;
    pub(super) const ATTEMPTS: usize = 9;
    pub(super) const BEGUN: usize = 10;
    pub(super) const LAST_ERROR: usize = 11;
    pub(super) const DIED_AT: usize = 12;
    pub(super) const IS_FINAL: usize = 13;
    pub(super) const NAME: usize = 14;
    pub(super) const VERSION: usize = 15;
    pub(super) const WORK_ID: usize = 16;
    pub(super) const COMMIT_ID: usize = 17;
    pub(super) const SENT_AT: usize = 18;
    pub(super) const ENCODING: usize = 19;
    pub(super) const KEY_ID: usize = 20;
    pub(super) const METADATA: usize = 21;
    pub(super) const PAYLOAD: usize = 22;
}

/// The column behind those of the piece itself.
pub(crate) const IS_BLOCKED: usize = 23;

/// The place of a piece of work, as messages name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtPlace(pub(crate) WorkPlace);

impl fmt::Display for AtPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the work at place {}", self.0.number())
    }
}

/// The place in the first column of a row.
pub(crate) fn place(row: &Row<'_>) -> Result<WorkPlace, Failure> {
    Ok(WorkPlace::from_number(event_row::count(row, column::PLACE, "a place of work")?))
}

/// A shard in a column.
pub(crate) fn shard(row: &Row<'_>, at: usize, here: impl fmt::Display) -> Result<Shard, Failure> {
    let number = event_row::count(row, at, &here)?;
    let shard = u16::try_from(number).ok().and_then(Shard::from_number);
    shard.ok_or_else(|| Failure::damaged(format!("{here}: there is no shard {number}")))
}

/// A yes or a no in a column.
pub(crate) fn flag(row: &Row<'_>, at: usize, here: impl fmt::Display) -> Result<bool, Failure> {
    row.get(at).map_err(|error| Failure::from(error).within(here))
}

/// A kind of work in a column.
pub(crate) fn kind(row: &Row<'_>, at: usize, here: impl fmt::Display) -> Result<WorkKind, Failure> {
    let name = event_row::text(row, at, &here)?;
    WorkKind::from_name(name)
        .ok_or_else(|| Failure::damaged(format!("{here}: there is no kind of work {name:?}")))
}

/// Reads the piece of work in a row; `names` are those seen in its page.
pub(crate) fn work(row: &Row<'_>, names: &mut StoredNames) -> Result<Work, Failure> {
    let place = place(row)?;
    let here = AtPlace(place);
    let small = |at| {
        let number = event_row::count(row, at, here)?;
        u32::try_from(number).map_err(|_| Failure::damaged(format!("{here}: {number} is past its range")))
    };
    let named = |at| match row.get_ref(at)? {
        ValueRef::Null => Ok(None),
        _ => event_row::text(row, at, here).map(Some),
    };
    let id = |at| event_row::event_id(row, at, here).map(|id| -> Uuid { id.0 });
    let text = |at| event_row::text(row, at, here).map(str::to_owned);
    let lane = small(column::LANE)?;
    let payload = stored_payload(
        event_row::text(row, column::PAYLOAD, here)?,
        named(column::ENCODING)?,
        named(column::KEY_ID)?,
    );
    let mut sent = NewWork::new(
        kind(row, column::KIND, here)?,
        text(column::RECEIVER)?,
        text(column::KEY)?,
        text(column::NAME)?,
        payload,
    )
    .with_version(SchemaVersion(small(column::VERSION)?));
    sent.due_at = event_row::time(row, column::DUE_AT, here)?;
    sent.lane = u8::try_from(lane)
        .ok()
        .and_then(Lane::from_number)
        .ok_or_else(|| Failure::damaged(format!("{here}: there is no lane {lane}")))?;
    let sent_at = row.get(column::SENT_AT).map_err(|error| Failure::from(error).within(here))?;
    Ok(Work {
        id: WorkId(id(column::WORK_ID)?),
        tenant: names.tenants.get(event_row::text(row, column::TENANT, here)?.as_bytes(), here)?,
        commit_id: CommitId(id(column::COMMIT_ID)?),
        place,
        shard: shard(row, column::SHARD, here)?,
        sent,
        metadata: Json::from_stored(event_row::text(row, column::METADATA, here)?),
        sent_at: recorded_time(sent_at, here)?,
        attempts: small(column::ATTEMPTS)?,
        begun: small(column::BEGUN)?,
        last_error: named(column::LAST_ERROR)?.map(str::to_owned),
    })
}

/// How the dead letter in a row stands.
pub(crate) fn dead(row: &Row<'_>, place: WorkPlace) -> Result<WorkStanding, Failure> {
    let here = AtPlace(place);
    Ok(WorkStanding::Dead {
        died_at: event_row::time(row, column::DIED_AT, here)?
            .ok_or_else(|| Failure::damaged(format!("{here}: nobody knows when it died")))?,
        is_final: flag(row, column::IS_FINAL, here)?,
        holds: flag(row, column::HOLDS, here)?,
    })
}
