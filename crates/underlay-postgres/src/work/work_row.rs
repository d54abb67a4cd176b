//! How work is read back from its rows. Damage is named by the place of the work, never a panic.

use std::fmt;

use tokio_postgres::Row;
use underlay_core::adapter::{stored_name, stored_payload, stored_time};
use underlay_core::{
    CommitId, Json, Lane, NewWork, SchemaVersion, Shard, Work, WorkId, WorkInfo, WorkKind, WorkPlace,
    WorkStanding,
};

use crate::error::Failure;
use crate::log::event_row::{self, RawJson};

/// The columns of the tables of work, in their order. Every statement that reads work begins with them.
mod column {
    pub(super) const PLACE: usize = 0;
    pub(super) const SENT_AT: usize = 1;
    pub(super) const VERSION: usize = 2;
    pub(super) const DUE_AT: usize = 3;
    pub(super) const DIED_AT: usize = 4;
    pub(super) const WORK_ID: usize = 5;
    pub(super) const COMMIT_ID: usize = 6;
    pub(super) const ATTEMPTS: usize = 7;
    pub(super) const BEGUN: usize = 8;
    pub(super) const SHARD: usize = 9;
    pub(super) const LANE: usize = 10;
    pub(super) const IS_FINAL: usize = 11;
    pub(super) const HOLDS: usize = 12;
    pub(super) const TENANT: usize = 13;
    pub(super) const KIND: usize = 14;
    pub(super) const RECEIVER: usize = 15;
    pub(super) const KEY: usize = 16;
    pub(super) const NAME: usize = 17;
    pub(super) const ENCODING: usize = 18;
    pub(super) const KEY_ID: usize = 19;
    pub(super) const LAST_ERROR: usize = 20;
    pub(super) const METADATA: usize = 21;
    pub(super) const PAYLOAD: usize = 22;
}

/// A place, as messages name it.
struct At(i64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "place {}", self.0)
    }
}

/// Whether a row holds a piece of work.
pub(crate) fn is_there(row: &Row) -> Result<bool, Failure> {
    Ok(row.try_get::<_, Option<i64>>(column::PLACE)?.is_some())
}

/// Reads a piece of work, of the columns that every statement begins with.
pub(crate) fn work(row: &Row) -> Result<Work, Failure> {
    let number: i64 = row.try_get(column::PLACE)?;
    let here = At(number);
    let damaged = |what: String| Failure::damaged(format!("{here}: {what}"));
    let (shard, lane): (i16, i16) = (row.try_get(column::SHARD)?, row.try_get(column::LANE)?);
    let stored_shard = u16::try_from(shard).ok().and_then(Shard::from_number);
    let stored_lane = u8::try_from(lane).ok().and_then(Lane::from_number);
    let kind: &str = row.try_get(column::KIND)?;
    let (metadata, payload): (RawJson<'_>, RawJson<'_>) =
        (row.try_get(column::METADATA)?, row.try_get(column::PAYLOAD)?);
    let version = u32::try_from(event_row::count(row, column::VERSION)?);
    let attempts: i32 = row.try_get(column::ATTEMPTS)?;
    let begun: i32 = row.try_get(column::BEGUN)?;
    let due_at: Option<i64> = row.try_get(column::DUE_AT)?;
    let time = |microseconds: i64| {
        stored_time(microseconds).ok_or_else(|| damaged(format!("{microseconds} is past the range of times")))
    };
    let mut sent = NewWork::new(
        WorkKind::from_name(kind).ok_or_else(|| damaged(format!("it is of the kind {kind:?}")))?,
        row.try_get::<_, String>(column::RECEIVER)?,
        row.try_get::<_, String>(column::KEY)?,
        row.try_get::<_, String>(column::NAME)?,
        stored_payload(payload.0, row.try_get(column::ENCODING)?, row.try_get(column::KEY_ID)?),
    );
    sent.version = SchemaVersion(version.map_err(|_| damaged("its version is past its range".to_owned()))?);
    sent.due_at = due_at.map(time).transpose()?;
    sent.lane = stored_lane.ok_or_else(|| damaged(format!("there is no lane {lane}")))?;
    Ok(Work {
        id: WorkId(row.try_get(column::WORK_ID)?),
        tenant: stored_name(row.try_get(column::TENANT)?, &here)?,
        commit_id: CommitId(row.try_get(column::COMMIT_ID)?),
        place: WorkPlace::from_number(number.unsigned_abs()),
        shard: stored_shard.ok_or_else(|| damaged(format!("there is no shard {shard}")))?,
        sent,
        metadata: Json::from_stored(metadata.0),
        sent_at: time(row.try_get(column::SENT_AT)?)?,
        begun: u32::try_from(begun).map_err(|_| damaged(format!("it was begun {begun} times")))?,
        attempts: u32::try_from(attempts).map_err(|_| damaged(format!("it counts {attempts} attempts")))?,
        last_error: row.try_get(column::LAST_ERROR)?,
    })
}

/// Reads a piece of work and where it is. What is not dead says whether it is ready.
pub(crate) fn info(row: &Row) -> Result<WorkInfo, Failure> {
    let work = work(row)?;
    let is_dead = row.try_get::<_, Option<i64>>(column::DIED_AT)?.is_some();
    let standing = match work.sent.due_at {
        _ if is_dead => WorkStanding::Dead {
            died_at: event_row::stamp(row, column::DIED_AT)?,
            is_final: row.try_get(column::IS_FINAL)?,
            holds: row.try_get(column::HOLDS)?,
        },
        _ if row.try_get("is_ready")? => WorkStanding::Ready,
        Some(_) => WorkStanding::Later,
        None => WorkStanding::Behind,
    };
    Ok(WorkInfo { work, standing })
}
