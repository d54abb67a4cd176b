//! Short ways to build events and commits for tests. They panic where a name is not well formed.

use underlay_core::{
    Category, Commit, CommitId, EventType, ExpectedVersion, Json, LogFilter, NewEvent, SchemaVersion,
    StreamName, TenantId, Timestamp,
};

/// Text that breaks what is not careful: quotes, patterns, code, look-alikes, other scripts.
pub const HOSTILE_TEXTS: [&str; 18] = [
    "'; drop table events; --",
    "\"double\" 'single' `back`",
    "%_*?[a-z]",
    "%",
    "_",
    "\\",
    "a\\'b\\\"c\\n",
    "--",
    "/* */",
    "$1 ?1 :name @name {0}",
    "null",
    " leading and trailing ",
    "caf\u{e9}",
    "cafe\u{301}",
    "CAF\u{c9}",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "\u{202e}right to left\u{200f}",
    "\u{10ffff}",
];

/// The last moment that every store keeps as it is: times are kept to the microsecond.
pub fn end_of_time() -> Timestamp {
    Timestamp::new(Timestamp::MAX.as_second(), 999_999_000).expect("a moment within the range")
}

/// A tenant.
#[must_use]
pub fn tenant(text: &str) -> TenantId {
    TenantId::new(text).expect("a tenant id")
}

/// A stream, written `category-id`.
#[must_use]
pub fn stream(text: &str) -> StreamName {
    StreamName::parse(text).expect("a stream name")
}

/// An event of type `noted`, version 1, that holds a text.
#[must_use]
pub fn event(text: &str) -> NewEvent {
    event_of("noted", text)
}

/// An event of a type, version 1, that holds a text.
#[must_use]
pub fn event_of(event_type: &str, text: &str) -> NewEvent {
    let event_type = EventType::new(event_type).expect("an event type");
    NewEvent::new(event_type, SchemaVersion(1), Json::encode(text).expect("text has a JSON form"))
}

/// Several events that hold `text` and their number, from 1.
#[must_use]
pub fn events(text: &str, count: usize) -> Vec<NewEvent> {
    (1..=count).map(|number| event(&format!("{text} {number}"))).collect()
}

/// A commit of `count` events to one stream, under a new id.
#[must_use]
pub fn write(stream: &StreamName, expected: ExpectedVersion, count: usize) -> Commit {
    Commit::new(CommitId::draw()).append(stream.clone(), expected, events(stream.as_str(), count))
}

/// A filter by categories and event types; none of either means all.
#[must_use]
pub fn filter(categories: &[&str], event_types: &[&str]) -> LogFilter {
    LogFilter {
        categories: categories.iter().map(|text| Category::new(text).expect("a category")).collect(),
        event_types: event_types.iter().map(|text| EventType::new(text).expect("an event type")).collect(),
    }
}
