//! How events and outcomes are read back from their rows. Damage is named by position, never a panic.

use std::error::Error as StdError;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use underlay_core::adapter::event_column as column;
use underlay_core::adapter::{At, StoredNames, recorded_time, stored_outcome, stored_time};
use underlay_core::{
    CommitId, EventId, Json, Outcome, Position, RecordedEvent, SchemaVersion, Timestamp, Version,
};
use uuid::Uuid;

use crate::error::Failure;

/// A number that is never negative.
pub(crate) fn count(row: &Row, at: usize) -> Result<u64, Failure> {
    let value: i64 = row.try_get(at)?;
    u64::try_from(value).map_err(|_| Failure::damaged(format!("column {at} holds {value}, not a count")))
}

/// A time in a row.
pub(crate) fn stamp(row: &Row, at: usize) -> Result<Timestamp, Failure> {
    let microseconds: i64 = row.try_get(at)?;
    stored_time(microseconds)
        .ok_or_else(|| Failure::damaged(format!("column {at}: {microseconds} is past the range of times")))
}

/// JSON as the server holds it: its text, not parsed.
pub(crate) struct RawJson<'a>(pub(crate) &'a str);

impl<'a> FromSql<'a> for RawJson<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSON
    }
}

/// The outcome in three columns from `at` on: its kind is before them.
pub(crate) fn outcome(row: &Row, at: usize, id: CommitId) -> Result<Outcome, Failure> {
    let body: Option<RawJson<'_>> = row.try_get(at + 3)?;
    let (code, message) = (row.try_get(at + 1)?, row.try_get(at + 2)?);
    Ok(stored_outcome(id, row.try_get(at)?, code, message, body.map(|body| body.0))?)
}

/// Reads the event in a row; `names` are those seen in its page.
pub(crate) fn event(row: &Row, names: &mut StoredNames) -> Result<RecordedEvent, Failure> {
    let position: i64 = row.try_get(column::POSITION)?;
    let here = At(position);
    if let Some(encoding) = row.try_get::<_, Option<&str>>(column::ENCODING)? {
        return Err(Failure::damaged(format!(
            "{here} is written in encoding {encoding:?}, which this program does not read"
        )));
    }
    let tail: i32 = row.try_get(column::COMMIT_TAIL)?;
    let past_range = || Failure::damaged(format!("{here}: a number is past its range"));
    let text = |at| Ok::<&[u8], Failure>(row.try_get::<_, &str>(at)?.as_bytes());
    let (metadata, payload): (RawJson<'_>, RawJson<'_>) =
        (row.try_get(column::METADATA)?, row.try_get(column::PAYLOAD)?);
    Ok(RecordedEvent {
        position: Position::from_number(position.unsigned_abs()),
        tenant: names.tenants.get(text(column::TENANT)?, here)?,
        stream: names.streams.get(text(column::STREAM)?, here)?,
        version: Version(count(row, column::VERSION)?),
        event_id: EventId(row.try_get::<_, Uuid>(column::EVENT_ID)?),
        event_type: names.event_types.get(text(column::TYPE)?, here)?,
        schema_version: SchemaVersion(
            u32::try_from(count(row, column::SCHEMA_VERSION)?).map_err(|_| past_range())?,
        ),
        payload: Json::from_stored(payload.0).into(),
        metadata: Json::from_stored(metadata.0),
        recorded_at: recorded_time(row.try_get(column::RECORDED_AT)?, here)?,
        commit_tail: u32::try_from(tail).map_err(|_| past_range())?,
    })
}
