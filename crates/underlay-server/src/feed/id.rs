//! The ids of feeds: `17-9f86d081884c7d65`, a position and what tells its log from others.
//!
//! The second part is a hash of the log's identity and of the event there. So an id of another log is refused, and one of
//! a log that was restored from an older copy and written to is refused too. It tells nothing of the event, which may be
//! another tenant's.

use axum::http::HeaderMap;
use axum::http::{HeaderName, StatusCode};
use sha2::{Digest, Sha256};
use underlay_core::{Checkpoint, EventId, EventStore, Position, StoreId};

use crate::parameters::Parameters;
use crate::problem::Problem;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Hexadecimal digits of the hash.
const MARK_DIGITS: usize = 16;

/// The id of a place.
pub(super) fn text(checkpoint: &Checkpoint) -> String {
    format!("{}-{}", checkpoint.position, mark(checkpoint.store, checkpoint.event_id))
}

fn mark(store: StoreId, event_id: Option<EventId>) -> String {
    let mut hash = Sha256::new();
    hash.update(store.0.as_bytes());
    if let Some(event_id) = event_id {
        hash.update(event_id.0.as_bytes());
    }
    hash.finalize().iter().take(MARK_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Where a feed is asked to begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With what happens from now on.
    Now,
    /// After this position.
    After(Position),
    /// After this id.
    Resume(Position, String),
}

impl Begin {
    /// Takes `after`. The header that a browser sends when it comes back is before it: the address is still the first one.
    pub(super) fn take(parameters: &mut Parameters, headers: &HeaderMap) -> Result<Self, Problem> {
        let after = parameters.take("after")?;
        let last = match headers.get(LAST_EVENT_ID) {
            None => None,
            Some(value) => {
                let text = value
                    .to_str()
                    .map_err(|_| Problem::invalid("Last-Event-ID is an id that a feed gave"))?;
                Some(text.to_owned()).filter(|text| !text.is_empty())
            }
        };
        last.or(after).map_or(Ok(Self::Now), |text| Self::parse(&text))
    }

    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let (position, mark) = match text.split_once('-') {
            Some((position, mark)) => (position, Some(mark)),
            None => (text, None),
        };
        let is_mark = |mark: &str| {
            mark.len() == MARK_DIGITS && mark.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        match (position.parse(), mark) {
            (Ok(position), None) => Ok(Self::After(position)),
            (Ok(position), Some(mark)) if is_mark(mark) => Ok(Self::Resume(position, mark.to_owned())),
            _ => Err(Problem::invalid(format!(
                "{text:?} is no place to begin at; take an id that a feed gave, or a position of an answer"
            ))),
        }
    }

    /// Finds the place in the log.
    pub(super) async fn find(&self, store: &dyn EventStore) -> Result<Checkpoint, Problem> {
        let start = Checkpoint::start(store.store_id());
        let position = match self {
            Self::Now => store.head().await?,
            Self::After(position) | Self::Resume(position, _) => *position,
        };
        let event_id = match position {
            Position::START => None,
            position => Some(store.event_id_at(position).await?.ok_or_else(not_of_this_log)?),
        };
        match self {
            Self::Resume(_, known) if *known != mark(start.store, event_id) => Err(not_of_this_log()),
            _ => Ok(Checkpoint { position, event_id, ..start }),
        }
    }
}

fn not_of_this_log() -> Problem {
    let detail = "the id is not of this log, which is another one or was restored from an older copy; begin again without an id";
    Problem::new(StatusCode::CONFLICT, "feed-reset", "The feed cannot go on there", detail)
}

#[cfg(test)]
mod tests {
    use underlay_core::memory::MemoryEventStore;
    use underlay_core::{
        Commit, CommitId, EventType, ExpectedVersion, Json, NewEvent, SchemaVersion, StreamName, TenantId,
    };

    use super::*;

    async fn log_of(events: usize) -> MemoryEventStore {
        let store = MemoryEventStore::default();
        for _ in 0..events {
            let event =
                NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), Json::parse("{}").unwrap());
            let stream = StreamName::parse("note-1").unwrap();
            let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![event]);
            store.commit(&TenantId::new("acme").unwrap(), commit).await.unwrap();
        }
        store
    }

    #[tokio::test]
    async fn an_id_is_of_its_log_and_of_its_event() {
        let (log, other) = (log_of(3).await, log_of(5).await);
        for begin in [Begin::Now, Begin::After(Position::from_number(2)), Begin::After(Position::START)] {
            let place = begin.find(&log).await.unwrap();
            let again = Begin::parse(&text(&place)).unwrap();
            assert_eq!(again.find(&log).await.unwrap(), place);
            again.find(&other).await.unwrap_err();
        }
        assert_eq!(Begin::Now.find(&log).await.unwrap().position, Position::from_number(3));
        Begin::After(Position::from_number(4)).find(&log).await.unwrap_err();
    }

    #[test]
    fn what_no_feed_gave_is_refused() {
        for text in ["", "-", "x", "1-", "1-xyz", "-1", "1-9F86D081884C7D65", "1-9f86d081884c7d650", "1 "] {
            Begin::parse(text).unwrap_err();
        }
        assert_eq!(Begin::parse("17").unwrap(), Begin::After(Position::from_number(17)));
    }
}
