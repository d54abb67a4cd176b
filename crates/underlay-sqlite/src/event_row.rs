//! How an event is read back from its row. Damage is named by position, and never a panic.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use rusqlite::Row;
use rusqlite::types::ValueRef;
use underlay_core::{
    CommitId, Error, EventId, EventType, Json, Outcome, Position, RecordedEvent, SchemaVersion, StreamName,
    TenantId, Timestamp, Version,
};
use uuid::Uuid;

use crate::error::Failure;

/// Columns of `select_log_events` and `select_stream_events`, in their order.
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

/// A number as SQLite holds it. Numbers past its range are past everything stored.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// No name is as long; one that is would make a message nobody can read.
const NAME_BYTES_MAX: usize = 1_024;

/// No log grows as far; what comes after can still be counted.
const POSITION_MAX: i64 = i64::MAX / 2;

/// The place of an event, as messages name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At(pub(crate) i64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {}", self.0)
    }
}

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

/// An event id.
pub(crate) fn event_id(row: &Row<'_>, at: usize, place: impl fmt::Display) -> Result<EventId, Failure> {
    match row.get_ref(at)? {
        ValueRef::Blob(bytes) => Uuid::from_slice(bytes)
            .map(EventId)
            .map_err(|error| Failure::damaged(format!("{place}: {}: {error}", name_of(row, at)))),
        other => Err(misfit(row, at, place, other, "16 bytes")),
    }
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
    let kind: String = row.get(1)?;
    match kind.as_str() {
        "accepted" => Ok(Outcome::Accepted),
        "refused" => {
            let (code, message, body): (Option<String>, Option<String>, Option<String>) =
                (row.get(2)?, row.get(3)?, row.get(4)?);
            let (Some(code), Some(message)) = (code, message) else {
                return Err(Failure::damaged(format!("commit {id} is refused without a code")));
            };
            // A body past its retention is taken out of the row.
            let body = Json::from_stored(body.unwrap_or_else(|| "null".to_owned()));
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
    pub(crate) fn event(&mut self, row: &Row<'_>) -> Result<RecordedEvent, Failure> {
        let position: i64 = row.get(column::POSITION)?;
        let here = At(position);
        match row.get_ref(column::ENCODING)? {
            ValueRef::Null => {}
            ValueRef::Text(encoding) => {
                return Err(Failure::damaged(format!(
                    "{here} is written in encoding {:?}, which this program does not read",
                    String::from_utf8_lossy(encoding)
                )));
            }
            other => return Err(misfit(row, column::ENCODING, here, other, "text")),
        }
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
            tenant: self.tenants.get(row, column::TENANT, here)?,
            stream: self.streams.get(row, column::STREAM, here)?,
            version: Version(count(row, column::VERSION, here)?),
            event_id: event_id(row, column::EVENT_ID, here)?,
            event_type: self.event_types.get(row, column::TYPE, here)?,
            schema_version: SchemaVersion(small(column::SCHEMA_VERSION)?),
            payload: Json::from_stored(text(row, column::PAYLOAD, here)?).into(),
            metadata: Json::from_stored(text(row, column::METADATA, here)?),
            recorded_at: time(recorded_at, position)?,
            commit_tail: small(column::COMMIT_TAIL)?,
        })
    }
}

/// Checks a name; what is wrong with it is said in few words.
pub(crate) fn checked<N: Name>(text: &str, place: impl fmt::Display) -> Result<N, Failure> {
    if text.len() > NAME_BYTES_MAX {
        return Err(Failure::damaged(format!("{place}: a name of {} bytes", text.len())));
    }
    N::check(text).map_err(|error| Failure::damaged(format!("{place}: {error}")))
}

/// Text that is checked when it is read.
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
    by_hash: HashMap<u64, N, BuildHasherDefault<AsItIs>>,
    hasher: RandomState,
}

impl<N> Default for Known<N> {
    fn default() -> Self {
        Self { last: None, by_hash: HashMap::default(), hasher: RandomState::new() }
    }
}

impl<N: Name> Known<N> {
    fn get(&mut self, row: &Row<'_>, at: usize, place: At) -> Result<N, Failure> {
        let ValueRef::Text(bytes) = row.get_ref(at)? else {
            return Err(misfit(row, at, place, row.get_ref(at)?, "text"));
        };
        // Bytes that are a known name's need no look at whether they are text.
        if let Some(last) = self.last.as_ref().filter(|last| last.text().as_bytes() == bytes) {
            return Ok(last.clone());
        }
        let check = || checked(text(row, at, place)?, place);
        let name = match self.by_hash.entry(self.hasher.hash_one(bytes)) {
            Entry::Occupied(known) if known.get().text().as_bytes() == bytes => known.get().clone(),
            // Another text with the same hash: it stays.
            Entry::Occupied(_) => check()?,
            Entry::Vacant(free) => free.insert(check()?).clone(),
        };
        self.last = Some(name.clone());
        Ok(name)
    }
}

/// Takes a number that is a hash already for its hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

fn misfit(row: &Row<'_>, at: usize, place: impl fmt::Display, value: ValueRef<'_>, wanted: &str) -> Failure {
    let (name, kind) = (name_of(row, at), value.data_type());
    Failure::damaged(format!("{place}: {name} holds {kind:?}, not {wanted}"))
}

/// The name of a column, for messages.
fn name_of<'r>(row: &'r Row<'_>, at: usize) -> &'r str {
    row.as_ref().column_name(at).unwrap_or("a column")
}
