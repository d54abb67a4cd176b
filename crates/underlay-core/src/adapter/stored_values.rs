//! Values as databases hold them: numbers of 64 bits with a sign, times in microseconds, outcomes in four
//! columns; and the columns of a statement that reads events.

use std::fmt;
use std::time::Duration;

use crate::words::{CommitId, Error, Json, Outcome, Payload, RecordedEvent, Timestamp, Work};

/// What a payload says of itself that needs no encoding; columns say nothing then.
const PLAIN: &str = "json";

/// Bytes of payload and metadata past which a page of events or of work ends early. It holds at least one commit,
/// one event of a stream, or one piece of work.
pub const PAGE_BYTES_MAX: usize = 32 << 20;

/// The columns of a statement that reads events, in their order.
pub mod event_column {
    /// The position in the log.
    pub const POSITION: usize = 0;
    /// Whose event it is.
    pub const TENANT: usize = 1;
    /// The stream it is in.
    pub const STREAM: usize = 2;
    /// The version of the stream after it.
    pub const VERSION: usize = 3;
    /// Its id.
    pub const EVENT_ID: usize = 4;
    /// The name of its type.
    pub const TYPE: usize = 5;
    /// The version of its type.
    pub const SCHEMA_VERSION: usize = 6;
    /// When it was recorded.
    pub const RECORDED_AT: usize = 7;
    /// How many events of its commit follow.
    pub const COMMIT_TAIL: usize = 8;
    /// How its payload is written.
    pub const ENCODING: usize = 9;
    /// The key its payload was sealed with.
    pub const KEY_ID: usize = 10;
    /// What its commit carries beside the events.
    pub const METADATA: usize = 11;
    /// The text of its payload.
    pub const PAYLOAD: usize = 12;
}

/// A number as a database holds it. Numbers past its range are past everything stored.
#[must_use]
pub fn stored_number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A time from its microseconds since 1970; `None` past the range of times.
#[must_use]
pub fn stored_time(microseconds: i64) -> Option<Timestamp> {
    const SECOND: i64 = 1_000_000;
    // By seconds, since the way from microseconds leaves out the last second of the range.
    let nanoseconds = i32::try_from(microseconds % SECOND).ok()? * 1_000;
    Timestamp::new(microseconds / SECOND, nanoseconds).ok()
}

/// The moment so long from now as stores keep it: whole to the microsecond, and no later than the last one there is.
#[must_use]
pub fn moment_after(now: Timestamp, delay: Duration) -> Timestamp {
    let moment = now.saturating_add(delay).unwrap_or(Timestamp::MAX);
    stored_time(moment.as_microsecond()).unwrap_or(moment)
}

/// The time something was recorded at a place.
///
/// # Errors
/// [`Error::Damaged`] past the range of times.
pub fn recorded_time(microseconds: i64, place: impl fmt::Display) -> Result<Timestamp, Error> {
    stored_time(microseconds).ok_or_else(|| {
        Error::Damaged(format!("{place}: recorded_at {microseconds} is past the range of times"))
    })
}

/// A payload from its columns. Where there is no encoding it is plain.
#[must_use]
pub fn stored_payload(text: &str, encoding: Option<&str>, key_id: Option<&str>) -> Payload {
    let text = Json::from_stored(text);
    match (encoding, key_id) {
        (None, None) => text.into(),
        (encoding, key_id) => Payload::from_stored(text, encoding.unwrap_or(PLAIN), key_id),
    }
}

/// Encoding and key of a payload, as columns hold them.
#[must_use]
pub fn payload_columns(payload: &Payload) -> (Option<&str>, Option<&str>) {
    (Some(payload.encoding()).filter(|encoding| *encoding != PLAIN), payload.key_id())
}

/// The outcome of a commit from its columns. A body that is past its retention was taken out of the row.
///
/// # Errors
/// [`Error::Damaged`] where they are no outcome.
pub fn stored_outcome(
    id: CommitId,
    kind: &str,
    code: Option<String>,
    message: Option<String>,
    body: Option<&str>,
) -> Result<Outcome, Error> {
    match (kind, code, message) {
        ("accepted", ..) => Ok(Outcome::Accepted),
        ("refused", Some(code), Some(message)) => {
            Ok(Outcome::Refused { code, message, body: Json::from_stored(body.unwrap_or("null")) })
        }
        ("refused", ..) => Err(Error::Damaged(format!("commit {id} is refused without a code"))),
        (other, ..) => Err(Error::Damaged(format!("commit {id} has the outcome {other:?}"))),
    }
}

/// Code, message and body of a refusal, as columns hold them.
#[must_use]
pub fn refusal_columns(outcome: &Outcome) -> (Option<&str>, Option<&str>, Option<&str>) {
    match outcome {
        Outcome::Accepted => (None, None, None),
        Outcome::Refused { code, message, body } => (Some(code), Some(message), Some(body.as_str())),
    }
}

/// What an event counts towards [`PAGE_BYTES_MAX`].
#[must_use]
pub fn event_bytes(event: &RecordedEvent) -> usize {
    event.payload.bytes() + event.metadata.bytes()
}

/// What a piece of work counts towards [`PAGE_BYTES_MAX`].
#[must_use]
pub fn work_bytes(work: &Work) -> usize {
    work.sent.payload.bytes() + work.metadata.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_as_far_as_they_can_and_no_further() {
        for time in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            let microseconds = time.as_microsecond();
            assert_eq!(stored_time(microseconds).map(|time| time.as_microsecond()), Some(microseconds));
        }
        assert_eq!(stored_time(i64::MAX), None);
        let damaged = recorded_time(i64::MIN, "position 7").unwrap_err();
        assert!(damaged.to_string().contains("position 7: recorded_at -9223372036854775808"), "{damaged}");
    }

    #[test]
    fn a_payload_is_read_as_it_was_written() {
        let text = || Json::from_stored("\"c2VhbGVk\"");
        let sealed = Payload::encoded(text(), "aes-gcm", Some("member-42")).unwrap();
        let packed = Payload::encoded(text(), "zstd", None).unwrap();
        for payload in [text().into(), sealed, packed] {
            let (encoding, key_id) = payload_columns(&payload);
            assert_eq!(encoding.is_none(), payload.is_plain());
            assert_eq!(stored_payload(text().as_str(), encoding, key_id), payload);
        }
    }

    #[test]
    fn an_outcome_is_read_as_it_was_written() {
        let id = CommitId(uuid::Uuid::now_v7());
        let refused =
            Outcome::Refused { code: "no".into(), message: "never".into(), body: Json::from_stored("null") };
        for outcome in [Outcome::Accepted, refused] {
            let (code, message, body) = refusal_columns(&outcome);
            let read =
                stored_outcome(id, outcome.kind(), code.map(Into::into), message.map(Into::into), body);
            assert_eq!(read.unwrap(), outcome);
        }
        for (kind, code) in [("refused", None), ("lost", Some("no".to_owned()))] {
            let damaged = stored_outcome(id, kind, code, None, None).unwrap_err();
            assert!(matches!(damaged, Error::Damaged(_)), "{damaged}");
        }
    }
}
