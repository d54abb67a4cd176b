//! Everything that reads text from outside, given any text there is: each gives a value that holds
//! what it promises, or an error. None panics.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use underlay::archive_file::{ArchiveCount, ArchiveError, export_log, verify_log};
use underlay::domain::ViewSchema;
use underlay::domain::{Cursor, Direction, Sort};
use underlay::memory::MemoryEventStore;
use underlay::ports::LogScope;
use underlay::words::{
    Column, ColumnType, EventType, Json, Outcome, SchemaVersion, decimal_from_key, decimal_key,
};
use underlay::{
    Category, Commit, CommitId, Error, Event, EventStore, ExpectedVersion, NewEvent, Position, StreamName,
    TenantId, Timestamp, Value,
};

#[underlay::event]
#[derive(PartialEq)]
enum Noted {
    #[event(name = "noted", version = 2, upcasts(titled))]
    Noted { title: String, text: Option<String>, number: i64, marks: Vec<u8> },
    #[event(name = "struck", version = 1)]
    Struck,
}

fn titled(mut payload: serde_json::Value) -> Result<serde_json::Value, String> {
    payload.as_object_mut().ok_or("not an object")?.insert("title".to_owned(), "none".into());
    Ok(payload)
}

/// Text near to what the decoders read, and text far from it.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        ".{0,40}",
        "[a-z0-9_]{0,5}-?\\PC{0,12}",
        "[-+0-9.eE:TZ]{0,30}",
        "[0-9a-fA-F-]{0,80}",
        "[012][0-9~]{0,60}",
        any_json(),
    ]
}

/// JSON, or something not far from it.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[0-9]{1,30}(\\.[0-9]{1,5})?([eE][-+]?[0-9]{1,4})?",
        "\"[a-z \\\\u0-9d]{0,10}\"",
        Just("\"\\ud800\"".to_owned()),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        let name = "(title|text|number|marks|[a-z]{1,3})";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name, inner), 0..5).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

fn any_column_type() -> impl Strategy<Value = ColumnType> {
    prop::sample::select(vec![
        ColumnType::Text,
        ColumnType::Integer,
        ColumnType::Decimal,
        ColumnType::Boolean,
        ColumnType::Timestamp,
    ])
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        (-(1i128 << 95)..(1i128 << 95), 0u32..=28).prop_map(|(mantissa, scale)| {
            Value::Decimal(underlay::Decimal::from_i128_with_scale(mantissa, scale))
        }),
        any::<bool>().prop_map(Value::Boolean),
        (-300_000_000_000_000_000i64..250_000_000_000_000_000)
            .prop_map(|time| Value::Timestamp(Timestamp::from_microsecond(time).unwrap())),
    ]
}

fn schema_with(column_type: ColumnType) -> ViewSchema {
    let column = Column { name: "value".to_owned(), column_type, nullable: false, indexed: true };
    ViewSchema::new("rows", 1, vec![column])
}

fn sort(by_column: bool, descending: bool) -> Sort {
    Sort {
        column: by_column.then(|| "value".to_owned()),
        direction: if descending { Direction::Descending } else { Direction::Ascending },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_hold_what_they_were_given(text in any_text()) {
        if let Ok(stream) = StreamName::parse(&text) {
            prop_assert_eq!(stream.as_str(), &text);
            prop_assert_eq!(format!("{}-{}", stream.category(), stream.id()), text.clone());
            prop_assert_eq!(StreamName::new(stream.category(), stream.id()).unwrap(), stream.clone());
            let json = serde_json::to_string(&stream).unwrap();
            prop_assert_eq!(serde_json::from_str::<StreamName>(&json).unwrap(), stream);
        }
        if let Ok(tenant) = TenantId::new(&text) {
            prop_assert_eq!(tenant.as_str(), &text);
        }
        if let Ok(category) = Category::new(text.clone()) {
            prop_assert!(!category.as_str().contains('-'), "a category has no dash");
        }
        if let Ok(event_type) = EventType::new(&text) {
            prop_assert_eq!(event_type.as_str(), &text);
        }
        let tenant = TenantId::new("a").unwrap();
        prop_assert_eq!(CommitId::from_key(&tenant, &text), CommitId::from_key(&tenant, &text));
        if let Ok(id) = text.parse::<CommitId>() {
            prop_assert_eq!(id.to_string().parse::<CommitId>().unwrap(), id);
            prop_assert_ne!(CommitId::from_key(&tenant, &text), id, "no client chooses an id");
        }
    }

    #[test]
    fn a_position_is_what_was_given_out_before(text in any_text(), number in 0..=i64::MAX.unsigned_abs()) {
        if let Ok(position) = text.parse::<Position>() {
            prop_assert!(position.number() <= i64::MAX.unsigned_abs(), "stores hold it");
            prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        }
        let position = Position::from_number(number);
        prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
    }

    #[test]
    fn json_is_kept_as_it_came(text in any_text()) {
        if let Ok(json) = Json::parse(text.clone()) {
            prop_assert_eq!(json.as_str(), &text);
            let written = Json::encode(&json).unwrap();
            prop_assert_eq!(written.as_str(), text.trim_matches([' ', '\n', '\r', '\t']));
            let read: Json = written.decode().unwrap();
            prop_assert_eq!(read, written);
        }
        let stored = Json::from_stored(text);
        prop_assert_eq!(stored.decode::<serde_json::Value>().is_ok() && Json::encode(&stored).is_err(), false);
    }

    #[test]
    fn a_value_has_the_type_asked_for(text in any_text(), column_type in any_column_type()) {
        match Value::parse(column_type, &text) {
            Ok(value) => prop_assert_eq!(value.column_type(), Some(column_type)),
            Err(error) => prop_assert!(matches!(error, Error::Invalid(_)), "{:?}", error),
        }
    }

    #[test]
    fn any_key_is_a_decimal_or_damage(text in any_text()) {
        match decimal_from_key(&text) {
            Ok(number) => prop_assert_eq!(decimal_from_key(&decimal_key(number)).unwrap(), number),
            Err(error) => prop_assert!(matches!(error, Error::Damaged(_)), "{:?}", error),
        }
    }

    #[test]
    fn any_text_is_a_cursor_or_invalid(
        text in any_text(),
        column_type in any_column_type(),
        by_column in any::<bool>(),
    ) {
        let (schema, sort) = (schema_with(column_type), sort(by_column, false));
        // The text as it is, and as the bytes of a cursor.
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        for text in [text, hex] {
            match Cursor::from_text(&text, &sort, &schema) {
                Ok(cursor) => {
                    let again = Cursor::from_text(&cursor.to_text(&sort), &sort, &schema).unwrap();
                    prop_assert_eq!(again, cursor);
                }
                Err(error) => prop_assert!(matches!(error, Error::Invalid(_)), "{:?}", error),
            }
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was(
        value in any_value(),
        key in any::<String>(),
        by_column in any::<bool>(),
        descending in any::<bool>(),
        cut in any::<Index>(),
    ) {
        let schema = schema_with(value.column_type().unwrap());
        let (sort, other) = (sort(by_column, descending), sort(by_column, !descending));
        let cursor = Cursor { value: by_column.then_some(value), key };
        let text = cursor.to_text(&sort);
        prop_assert_eq!(Cursor::from_text(&text, &sort, &schema).unwrap(), cursor);
        prop_assert!(Cursor::from_text(&text, &other, &schema).is_err(), "it belongs to its order");
        let cut = &text[..cut.index(text.len())];
        prop_assert!(Cursor::from_text(cut, &sort, &schema).is_err(), "a part of it is none");
    }

    #[test]
    fn any_payload_is_an_event_or_an_error(
        kind in prop_oneof![Just("noted".to_owned()), Just("struck".to_owned()), any_text()],
        version in prop_oneof![0u32..4, any::<u32>()],
        payload in any_json(),
    ) {
        match Noted::decode(&kind, version, &payload) {
            Ok(Some(event)) => {
                let (descriptor, written) = (event.descriptor(), event.encode().unwrap());
                let again = Noted::decode(descriptor.name, descriptor.version, written.as_str());
                prop_assert_eq!(again.unwrap(), Some(event));
            }
            Ok(None) => prop_assert!(kind != "noted" && kind != "struck", "{} is of the set", kind),
            Err(error) => prop_assert_eq!(error.event_type, kind, "the error names the type"),
        }
    }

    #[test]
    fn an_export_is_whole_or_its_damage_has_a_line(damage in any_damage()) {
        let sound = EXPORT.as_slice();
        let mut bytes = sound.to_vec();
        damage.inflict(&mut bytes);
        match verify_log(&bytes[..]) {
            Ok(count) => {
                // Blanks between the parts of a line are nobody's.
                let parts = |bytes: &[u8]| -> Vec<u8> {
                    bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
                };
                prop_assert!(parts(&bytes) == parts(sound), "damage was not found");
                prop_assert_eq!(count, COUNT);
            }
            Err(ArchiveError::Line { line, .. }) => {
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                prop_assert!((1..=lines + 2).contains(&line), "line {} of {}", line, lines);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn any_bytes_are_no_export(bytes in prop::collection::vec(any::<u8>(), 0..300), text in any_json()) {
        for bytes in [&bytes[..], text.as_bytes(), format!("{{\"header\":{text},\"check\":\"\"}}\n").as_bytes()] {
            let verified = verify_log(bytes);
            prop_assert!(matches!(verified, Err(ArchiveError::Line { line: 1.., .. })), "{:?}", verified);
        }
    }
}

const COUNT: ArchiveCount = ArchiveCount { commits: 5, events: 6 };

/// An export with commits of every kind.
static EXPORT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = MemoryEventStore::default();
        for number in 0..3 {
            let event = |text: &str| {
                let payload = Json::encode(text).unwrap();
                NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), payload)
            };
            let stream = StreamName::new("note", number).unwrap();
            let events = vec![event("a \"quoted\" line\n"), event("\u{1f600} and \\u0000")];
            let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::NoStream, events);
            store.commit(&TenantId::new("acme").unwrap(), commit).await.unwrap();
        }
        let body = Json::parse("{ \"by\" : 1.50 }").unwrap();
        let refusal = Outcome::Refused { code: "too_low".into(), message: "Too low.".into(), body };
        for outcome in [Outcome::Accepted, refusal] {
            let commit = Commit::new(CommitId::draw()).with_outcome(outcome);
            store.commit(&TenantId::new("globex").unwrap(), commit).await.unwrap();
        }
        let mut file = Vec::new();
        export_log(&store, store.store_id(), &LogScope::EveryTenant, &mut file, |_| {}).await.unwrap();
        file
    })
});

/// What happens to a file.
#[derive(Clone, Debug)]
enum Damage {
    Changed(Vec<(Index, u8)>),
    Cut(Index),
    Removed(Index, Index),
    Doubled(Index, Index),
    Inserted(Index, Vec<u8>),
    LinesSwapped(Index, Index),
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        3 => prop::collection::vec((place(), any::<u8>()), 1..4).prop_map(Damage::Changed),
        1 => place().prop_map(Damage::Cut),
        1 => (place(), place()).prop_map(|(from, to)| Damage::Removed(from, to)),
        1 => (place(), place()).prop_map(|(from, to)| Damage::Doubled(from, to)),
        1 => (place(), prop::collection::vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Damage::Inserted(at, bytes)),
        1 => (place(), place()).prop_map(|(one, other)| Damage::LinesSwapped(one, other)),
    ]
}

impl Damage {
    fn inflict(&self, bytes: &mut Vec<u8>) {
        let all = bytes.len();
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(all), to.index(all));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Changed(changes) => {
                for (at, byte) in changes {
                    bytes[at.index(all)] ^= (*byte).max(1);
                }
            }
            Self::Cut(at) => bytes.truncate(at.index(all)),
            Self::Removed(from, to) => drop(bytes.drain(range(from, to))),
            Self::Doubled(from, to) => {
                let part = bytes[range(from, to)].to_vec();
                let at = range(from, to).end;
                bytes.splice(at..at, part);
            }
            Self::Inserted(at, more) => {
                let at = at.index(all);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::LinesSwapped(one, other) => {
                let mut lines: Vec<Vec<u8>> =
                    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
                *bytes = lines.concat();
            }
        }
    }
}
