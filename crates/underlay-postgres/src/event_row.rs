//! How events and outcomes are read back from their rows. Damage is named by position, never a panic.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::error::Error as StdError;
use std::hash::BuildHasher;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use underlay_core::{
    CommitId, Error, EventId, EventType, Json, Outcome, Position, RecordedEvent, SchemaVersion, StreamName,
    TenantId, Timestamp, Version,
};
use uuid::Uuid;

use crate::error::Failure;

/// Columns of a statement that selects events, in their order.
pub(crate) mod column {
    pub(crate) const POSITION: usize = 0;
    pub(crate) const TENANT: usize = 1;
    pub(crate) const STREAM: usize = 2;
    pub(crate) const VERSION: usize = 3;
    pub(crate) const EVENT_ID: usize = 4;
    pub(crate) const TYPE: usize = 5;
    pub(crate) const SCHEMA_VERSION: usize = 6;
    pub(crate) const RECORDED_AT: usize = 7;
    pub(crate) const COMMIT_TAIL: usize = 8;
    pub(crate) const ENCODING: usize = 9;
    pub(crate) const METADATA: usize = 10;
    pub(crate) const PAYLOAD: usize = 11;
}

/// A number as PostgreSQL holds it. Numbers past its range are past everything stored.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(crate) fn count(row: &Row, at: usize) -> Result<u64, Failure> {
    let value: i64 = row.try_get(at)?;
    u64::try_from(value).map_err(|_| Failure::damaged(format!("column {at} holds {value}, not a count")))
}

/// A time from its microseconds; `None` past the range of times.
pub(crate) fn time_of(microseconds: i64) -> Option<Timestamp> {
    const SECOND: i64 = 1_000_000;
    // By seconds, since the way from microseconds leaves out the last second of the range.
    let nanoseconds = i32::try_from(microseconds % SECOND).ok()? * 1_000;
    Timestamp::new(microseconds / SECOND, nanoseconds).ok()
}

/// The time an event was recorded.
pub(crate) fn time(microseconds: i64, position: i64) -> Result<Timestamp, Failure> {
    time_of(microseconds).ok_or_else(|| {
        Failure::damaged(format!(
            "position {position}: recorded_at {microseconds} is past the range of times"
        ))
    })
}

/// A time in a row.
pub(crate) fn stamp(row: &Row, at: usize) -> Result<Timestamp, Failure> {
    let microseconds: i64 = row.try_get(at)?;
    time_of(microseconds)
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
    let kind: &str = row.try_get(at)?;
    match kind {
        "accepted" => Ok(Outcome::Accepted),
        "refused" => {
            let (code, message): (Option<String>, Option<String>) =
                (row.try_get(at + 1)?, row.try_get(at + 2)?);
            let (Some(code), Some(message)) = (code, message) else {
                return Err(Failure::damaged(format!("commit {id} is refused without a code")));
            };
            // A body past its retention is taken out of the row.
            let body: Option<RawJson<'_>> = row.try_get(at + 3)?;
            let body = Json::from_stored(body.map_or("null", |body| body.0));
            Ok(Outcome::Refused { code, message, body })
        }
        other => Err(Failure::damaged(format!("commit {id} has the outcome {other:?}"))),
    }
}

/// The names seen in a page: the same text is checked and kept once.
#[derive(Default)]
pub(crate) struct Names {
    tenants: Known<TenantId>,
    streams: Known<StreamName>,
    event_types: Known<EventType>,
}

impl Names {
    /// Reads the event in a row.
    pub(crate) fn event(&mut self, row: &Row) -> Result<RecordedEvent, Failure> {
        let position: i64 = row.try_get(column::POSITION)?;
        if let Some(encoding) = row.try_get::<_, Option<&str>>(column::ENCODING)? {
            return Err(Failure::damaged(format!(
                "position {position} is written in encoding {encoding:?}, which this program does not read"
            )));
        }
        let tail: i32 = row.try_get(column::COMMIT_TAIL)?;
        let past_range = || Failure::damaged(format!("position {position}: a number is past its range"));
        let (metadata, payload): (RawJson<'_>, RawJson<'_>) =
            (row.try_get(column::METADATA)?, row.try_get(column::PAYLOAD)?);
        Ok(RecordedEvent {
            position: Position::from_number(position.unsigned_abs()),
            tenant: self.tenants.get(row.try_get(column::TENANT)?, position)?,
            stream: self.streams.get(row.try_get(column::STREAM)?, position)?,
            version: Version(count(row, column::VERSION)?),
            event_id: EventId(row.try_get::<_, Uuid>(column::EVENT_ID)?),
            event_type: self.event_types.get(row.try_get(column::TYPE)?, position)?,
            schema_version: SchemaVersion(
                u32::try_from(count(row, column::SCHEMA_VERSION)?).map_err(|_| past_range())?,
            ),
            payload: Json::from_stored(payload.0).into(),
            metadata: Json::from_stored(metadata.0),
            recorded_at: time(row.try_get(column::RECORDED_AT)?, position)?,
            commit_tail: u32::try_from(tail).map_err(|_| past_range())?,
        })
    }
}

/// Checks a stored name.
pub(crate) trait Name: Clone {
    fn check(text: &str) -> Result<Self, Error>;
    fn text(&self) -> &str;
}

impl Name for TenantId {
    fn check(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl Name for StreamName {
    fn check(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl Name for EventType {
    fn check(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
    fn text(&self) -> &str {
        self.as_str()
    }
}

/// Names by the hash of their text, so that looking one up copies nothing.
struct Known<N> {
    last: Option<N>,
    by_hash: HashMap<u64, N>,
    hasher: RandomState,
}

impl<N> Default for Known<N> {
    fn default() -> Self {
        Self { last: None, by_hash: HashMap::new(), hasher: RandomState::new() }
    }
}

impl<N: Name> Known<N> {
    fn get(&mut self, text: &str, position: i64) -> Result<N, Failure> {
        if let Some(last) = self.last.as_ref().filter(|last| last.text() == text) {
            return Ok(last.clone());
        }
        let check = || stored_name(text, position);
        let name = match self.by_hash.entry(self.hasher.hash_one(text)) {
            Entry::Occupied(known) if known.get().text() == text => known.get().clone(),
            // Another text with the same hash: it stays.
            Entry::Occupied(_) => check()?,
            Entry::Vacant(free) => free.insert(check()?).clone(),
        };
        self.last = Some(name.clone());
        Ok(name)
    }
}

/// A name from a row, checked again.
pub(crate) fn stored_name<N: Name>(text: &str, position: i64) -> Result<N, Failure> {
    N::check(text).map_err(|error| Failure::damaged(format!("position {position}: {error}")))
}
