use proptest::prelude::*;
use proptest::sample::Index;

/// One call, or one thing that happens to the store. Everything in it is relative to what is stored
/// when it is run, so that any list of operations makes sense, and any part of it too.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// A commit under a new id; the index says which failure is injected.
    Commit(Draft, Option<Index>),
    /// A commit that was tried before, in some way again.
    Again(Index, Again, Option<Index>),
    ReadStream {
        tenant: usize,
        stream: usize,
        after: u64,
        limit: usize,
    },
    ReadLog {
        scope: Option<usize>,
        after: u64,
        filter: Filter,
        limit: usize,
    },
    Versions {
        tenant: usize,
        streams: Vec<usize>,
    },
    /// The commit tried at the index, looked for in a tenant; or one nobody tried.
    FindCommit {
        tenant: usize,
        of: Option<Index>,
    },
    /// The time of an event and some microseconds more.
    PositionAt {
        of: Index,
        more: i64,
    },
    EventIdAt {
        position: u64,
    },
    /// A batch for the view.
    Apply {
        from: From,
        changes: Vec<RowDraft>,
        fault: Option<Index>,
    },
    Rows {
        tenant: usize,
        descending: bool,
        at_least: i64,
        limit: usize,
    },
    StoreSnapshot {
        tenant: usize,
        stream: usize,
        version: u64,
        definition: u8,
        fault: Option<Index>,
    },
    RemoveSnapshot {
        tenant: usize,
        stream: usize,
    },
    LoadSnapshot {
        tenant: usize,
        stream: usize,
    },
    /// The clock is moved, also backwards.
    MoveClock {
        microseconds: i64,
    },
    Reopen(Reopening),
}

/// A commit, over three streams.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) tenant: usize,
    pub(super) touches: [Touch; 3],
    /// The streams in the other order.
    pub(super) backwards: bool,
    /// The domain says no: what would be written is only read.
    pub(super) refused: bool,
    /// Its first event has the id of an event that was tried before.
    pub(super) known_event: Option<Index>,
}

/// What a commit does with a stream.
#[derive(Clone, Debug)]
pub(super) enum Touch {
    Nothing,
    Read(Expected),
    Write(Expected, usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    Any,
    NoStream,
    Exists,
    /// The version it has, and so many more.
    Actual(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Again {
    Same,
    /// The same content, with event ids drawn again.
    OtherEventIds,
    OtherContent,
    OtherOutcome,
    OtherTenant,
    /// Another commit that names it as the one to agree with.
    Naming {
        same_content: bool,
        yields: bool,
    },
}

/// Categories and event types by number.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) categories: Vec<usize>,
    pub(super) event_types: Vec<usize>,
}

/// Where a batch says the view is.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    Here,
    /// At the right position, with another event.
    OtherEvent,
    Ahead,
    OtherLog,
}

#[derive(Clone, Debug)]
pub(super) struct RowDraft {
    pub(super) tenant: usize,
    pub(super) key: usize,
    pub(super) change: Change,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Upsert(i64),
    Patch(i64),
    Delete,
}

/// How a store is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopening {
    /// Closed and opened.
    InOrder,
    /// Opened by a second program, which the first leaves the store to.
    Beside,
    /// Killed: what is there at this moment is opened.
    AfterCrash,
}

pub(super) fn any_operation() -> impl Strategy<Value = Operation> {
    let view = prop_oneof![
        3 => (from(), prop::collection::vec(row_draft(), 0..5), fault())
            .prop_map(|(from, changes, fault)| Operation::Apply { from, changes, fault }),
        2 => (tenant(), any::<bool>(), -2i64..3, 1usize..4).prop_map(
            |(tenant, descending, at_least, limit)| Operation::Rows { tenant, descending, at_least, limit }
        ),
    ];
    let snapshot = prop_oneof![
        2 => (tenant(), stream(), 0u64..4, 0u8..2, fault()).prop_map(
            |(tenant, stream, version, definition, fault)| {
                Operation::StoreSnapshot { tenant, stream, version, definition, fault }
            }
        ),
        1 => (tenant(), stream()).prop_map(|(tenant, stream)| Operation::RemoveSnapshot { tenant, stream }),
        2 => (tenant(), stream()).prop_map(|(tenant, stream)| Operation::LoadSnapshot { tenant, stream }),
    ];
    prop_oneof![
        12 => (draft(), fault()).prop_map(|(draft, fault)| Operation::Commit(draft, fault)),
        5 => (any::<Index>(), again(), fault()).prop_map(|(of, again, fault)| Operation::Again(of, again, fault)),
        8 => read(),
        4 => view,
        2 => snapshot,
        2 => (-5i64..10).prop_map(|microseconds| Operation::MoveClock { microseconds }),
        1 => reopening().prop_map(Operation::Reopen),
    ]
}

fn read() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (tenant(), stream(), 0u64..8, 1usize..6).prop_map(|(tenant, stream, after, limit)| {
            Operation::ReadStream { tenant, stream, after, limit }
        }),
        (prop::option::of(tenant()), 0u64..40, filter(), 1usize..8)
            .prop_map(|(scope, after, filter, limit)| Operation::ReadLog { scope, after, filter, limit }),
        (tenant(), prop::collection::vec(stream(), 0..5))
            .prop_map(|(tenant, streams)| Operation::Versions { tenant, streams }),
        (tenant(), prop::option::of(any::<Index>()))
            .prop_map(|(tenant, of)| Operation::FindCommit { tenant, of }),
        (any::<Index>(), -2i64..3).prop_map(|(of, more)| Operation::PositionAt { of, more }),
        (0u64..40).prop_map(|position| Operation::EventIdAt { position }),
    ]
}

fn tenant() -> impl Strategy<Value = usize> {
    0usize..2
}

fn stream() -> impl Strategy<Value = usize> {
    0usize..3
}

fn draft() -> impl Strategy<Value = Draft> {
    let known_event = prop_oneof![9 => Just(None), 1 => any::<Index>().prop_map(Some)];
    (tenant(), [touch(), touch(), touch()], any::<bool>(), prop::bool::weighted(0.15), known_event).prop_map(
        |(tenant, touches, backwards, refused, known_event)| Draft {
            tenant,
            touches,
            backwards,
            refused,
            known_event,
        },
    )
}

fn touch() -> impl Strategy<Value = Touch> {
    prop_oneof![
        4 => Just(Touch::Nothing),
        1 => expected().prop_map(Touch::Read),
        5 => (expected(), 1usize..5).prop_map(|(expected, events)| Touch::Write(expected, events)),
    ]
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        3 => Just(Expected::Any),
        6 => Just(Expected::Actual(0)),
        1 => Just(Expected::NoStream),
        1 => Just(Expected::Exists),
        1 => (1u64..3).prop_map(Expected::Actual),
    ]
}

fn again() -> impl Strategy<Value = Again> {
    prop_oneof![
        4 => Just(Again::Same),
        1 => Just(Again::OtherEventIds),
        2 => Just(Again::OtherContent),
        1 => Just(Again::OtherOutcome),
        1 => Just(Again::OtherTenant),
        3 => (any::<bool>(), any::<bool>())
            .prop_map(|(same_content, yields)| Again::Naming { same_content, yields }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let some = || prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(0usize..3, 1..3)];
    (some(), some()).prop_map(|(categories, event_types)| Filter { categories, event_types })
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        6 => Just(From::Here),
        1 => Just(From::OtherEvent),
        1 => Just(From::Ahead),
        1 => Just(From::OtherLog),
    ]
}

fn row_draft() -> impl Strategy<Value = RowDraft> {
    let change = prop_oneof![
        4 => (-2i64..3).prop_map(Change::Upsert),
        1 => (-2i64..3).prop_map(Change::Patch),
        2 => Just(Change::Delete),
    ];
    (tenant(), 0usize..4, change).prop_map(|(tenant, key, change)| RowDraft { tenant, key, change })
}

fn fault() -> impl Strategy<Value = Option<Index>> {
    prop_oneof![4 => Just(None), 1 => any::<Index>().prop_map(Some)]
}

fn reopening() -> impl Strategy<Value = Reopening> {
    prop_oneof![Just(Reopening::InOrder), Just(Reopening::Beside), Just(Reopening::AfterCrash)]
}
