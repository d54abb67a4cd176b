//! How work is read back from its rows. Damage is named by the place of the work, never a panic.

use std::fmt;

use tokio_postgres::Row;
use underlay_core::adapter::{stored_name, stored_payload, stored_time};
use underlay_core::{
    CommitId, Error, Json, Lane, NewWork, SchemaVersion, Shard, Work, WorkId, WorkInfo, WorkKind, WorkPlace,
    WorkStanding,
};

use crate::error::Failure;
use crate::log::event_row::{self, RawJson};

/// The first column behind those of a piece of work.
pub(crate) const BEHIND: usize = 19;

/// A place, as messages name it.
struct At(i64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "place {}", self.0)
    }
}

/// Whether a row holds a piece of work.
pub(crate) fn is_there(row: &Row) -> Result<bool, Failure> {
    Ok(row.try_get::<_, Option<i64>>(0)?.is_some())
}

/// Reads a piece of work, of the columns that every statement begins with.
pub(crate) fn work(row: &Row) -> Result<Work, Failure> {
    let number: i64 = row.try_get(0)?;
    let here = At(number);
    let damaged = |what: String| Failure::damaged(format!("{here}: {what}"));
    let (shard, lane): (i16, i16) = (row.try_get(5)?, row.try_get(6)?);
    let stored_shard = u16::try_from(shard).ok().and_then(Shard::from_number);
    let stored_lane = u8::try_from(lane).ok().and_then(Lane::from_number);
    let kind: &str = row.try_get(8)?;
    let (metadata, payload): (RawJson<'_>, RawJson<'_>) = (row.try_get(14)?, row.try_get(15)?);
    let version = u32::try_from(event_row::count(row, 2)?);
    let attempts: i32 = row.try_get(17)?;
    let due_at: Option<i64> = row.try_get(16)?;
    let time = |microseconds: i64| {
        stored_time(microseconds).ok_or_else(|| damaged(format!("{microseconds} is past the range of times")))
    };
    let mut sent = NewWork::new(
        WorkKind::from_name(kind).ok_or_else(|| damaged(format!("it is of the kind {kind:?}")))?,
        row.try_get::<_, String>(9)?,
        row.try_get::<_, String>(10)?,
        row.try_get::<_, String>(11)?,
        stored_payload(payload.0, row.try_get(12)?, row.try_get(13)?),
    );
    sent.version = SchemaVersion(version.map_err(|_| damaged("its version is past its range".to_owned()))?);
    sent.due_at = due_at.map(time).transpose()?;
    sent.lane = stored_lane.ok_or_else(|| damaged(format!("there is no lane {lane}")))?;
    Ok(Work {
        id: WorkId(row.try_get(3)?),
        tenant: stored_name(row.try_get(7)?, &here)?,
        commit_id: CommitId(row.try_get(4)?),
        place: WorkPlace::from_number(number.unsigned_abs()),
        shard: stored_shard.ok_or_else(|| damaged(format!("there is no shard {shard}")))?,
        sent,
        metadata: Json::from_stored(metadata.0),
        sent_at: time(row.try_get(1)?)?,
        attempts: u32::try_from(attempts).map_err(|_| damaged(format!("it counts {attempts} attempts")))?,
        last_error: row.try_get(18)?,
    })
}

/// Reads a piece of work and where it is.
pub(crate) fn info(row: &Row) -> Result<WorkInfo, Failure> {
    let work = work(row)?;
    let damaged = |what: &str| Error::Damaged(format!("place {}: {what}", work.place.number()));
    let standing = match row.try_get(BEHIND)? {
        "ready" => WorkStanding::Ready,
        "later" => WorkStanding::Later,
        "behind" => WorkStanding::Behind,
        "dead" => WorkStanding::Dead {
            died_at: event_row::stamp(row, BEHIND + 1)?,
            is_final: row.try_get(BEHIND + 2)?,
            holds: row.try_get(BEHIND + 3)?,
        },
        _ => return Err(damaged("it is nowhere").into()),
    };
    Ok(WorkInfo { work, standing })
}
