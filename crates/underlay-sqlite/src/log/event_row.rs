//! How an event is read back from its row. Damage is named by position, and never a panic.

use std::fmt;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use underlay_core::adapter::event_column as column;
use underlay_core::adapter::{
    At, KnownNames, StoredName, StoredNames, recorded_time, stored_outcome, stored_payload, stored_time,
};
use underlay_core::{
    CommitId, EventId, Json, Outcome, Position, RecordedEvent, SchemaVersion, Timestamp, Version,
};
use uuid::Uuid;

use crate::error::Failure;

/// No log grows as far; what comes after can still be counted.
const POSITION_MAX: i64 = i64::MAX / 2;

/// A number that is never negative.
pub(crate) fn count(row: &Row<'_>, at: usize, place: impl fmt::Display) -> Result<u64, Failure> {
    match row.get_ref(at)? {
        ValueRef::Integer(value) if value >= 0 => Ok(value.unsigned_abs()),
        other => Err(misfit(row, at, place, other, "a count")),
    }
}

/// A text, without a copy.
pub(crate) fn text<'r>(row: &'r Row<'_>, at: usize, place: impl fmt::Display) -> Result<&'r str, Failure> {
    match row.get_ref(at)? {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .map_err(|error| Failure::damaged(format!("{place}: {}: {error}", name_of(row, at)))),
        other => Err(misfit(row, at, place, other, "text")),
    }
}

/// An event id.
pub(crate) fn event_id(row: &Row<'_>, at: usize, place: impl fmt::Display) -> Result<EventId, Failure> {
    match row.get_ref(at)? {
        ValueRef::Blob(bytes) => Uuid::from_slice(bytes)
            .map(EventId)
            .map_err(|error| Failure::damaged(format!("{place}: {}: {error}", name_of(row, at)))),
        other => Err(misfit(row, at, place, other, "16 bytes")),
    }
}

/// A time in a column that may be empty.
pub(crate) fn time(row: &Row<'_>, at: usize, place: impl fmt::Display) -> Result<Option<Timestamp>, Failure> {
    let stored: Option<i64> = row.get(at).map_err(|error| Failure::from(error).within(&place))?;
    let past = |microseconds| format!("{place}: {microseconds} is past the range of times");
    stored.map(|stored| stored_time(stored).ok_or_else(|| Failure::damaged(past(stored)))).transpose()
}

/// The position and the time in a row of `select_head`.
pub(crate) fn head(row: &Row<'_>) -> Result<(i64, i64), Failure> {
    let position: i64 = row.get(0)?;
    if !(1..=POSITION_MAX).contains(&position) {
        return Err(Failure::damaged(format!("the log ends at {}", At(position))));
    }
    let recorded_at = row.get(1).map_err(|error| Failure::from(error).within(At(position)))?;
    Ok((position, recorded_at))
}

/// The outcome in a row of `select_commit`.
pub(crate) fn outcome(row: &Row<'_>, id: CommitId) -> Result<Outcome, Failure> {
    let (kind, body): (String, Option<String>) = (row.get(1)?, row.get(4)?);
    Ok(stored_outcome(id, &kind, row.get(2)?, row.get(3)?, body.as_deref())?)
}

/// Reads the event in a row; `names` are those seen in its page.
pub(crate) fn event(row: &Row<'_>, names: &mut StoredNames) -> Result<RecordedEvent, Failure> {
    let position: i64 = row.get(column::POSITION)?;
    let here = At(position);
    let named = |at| match row.get_ref(at)? {
        ValueRef::Null => Ok(None),
        _ => text(row, at, here).map(Some),
    };
    if position < 1 {
        return Err(Failure::damaged(format!("{here}: positions count from 1")));
    }
    let small = |at| {
        u32::try_from(count(row, at, here)?)
            .map_err(|_| Failure::damaged(format!("{here}: {}: past its range", name_of(row, at))))
    };
    let ValueRef::Integer(recorded_at) = row.get_ref(column::RECORDED_AT)? else {
        let other = row.get_ref(column::RECORDED_AT)?;
        return Err(misfit(row, column::RECORDED_AT, here, other, "a time"));
    };
    Ok(RecordedEvent {
        position: Position::from_number(position.unsigned_abs()),
        tenant: known(&mut names.tenants, row, column::TENANT, here)?,
        stream: known(&mut names.streams, row, column::STREAM, here)?,
        version: Version(count(row, column::VERSION, here)?),
        event_id: event_id(row, column::EVENT_ID, here)?,
        event_type: known(&mut names.event_types, row, column::TYPE, here)?,
        schema_version: SchemaVersion(small(column::SCHEMA_VERSION)?),
        payload: stored_payload(
            text(row, column::PAYLOAD, here)?,
            named(column::ENCODING)?,
            named(column::KEY_ID)?,
        ),
        metadata: Json::from_stored(text(row, column::METADATA, here)?),
        recorded_at: recorded_time(recorded_at, here)?,
        commit_tail: small(column::COMMIT_TAIL)?,
    })
}

/// Reads a name in a row.
fn known<N: StoredName>(
    names: &mut KnownNames<N>,
    row: &Row<'_>,
    at: usize,
    place: At,
) -> Result<N, Failure> {
    let ValueRef::Text(bytes) = row.get_ref(at)? else {
        return Err(misfit(row, at, place, row.get_ref(at)?, "text"));
    };
    Ok(names.get(bytes, place)?)
}

fn misfit(row: &Row<'_>, at: usize, place: impl fmt::Display, value: ValueRef<'_>, wanted: &str) -> Failure {
    let (name, kind) = (name_of(row, at), value.data_type());
    Failure::damaged(format!("{place}: {name} holds {kind:?}, not {wanted}"))
}

/// The name of a column, for messages.
fn name_of<'r>(row: &'r Row<'_>, at: usize) -> &'r str {
    row.as_ref().column_name(at).unwrap_or("a column")
}
