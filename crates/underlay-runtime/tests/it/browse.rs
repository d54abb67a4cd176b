//! Looking through a log gives what reading all of it and leaving out the rest would give: nothing twice, nothing
//! missing, in the order asked for, page by page, whatever a store gives at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::limits::BROWSE_EVENTS_PASSED_MAX;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Commit, CommitId, Direction, Error, EventStore, ExpectedVersion, LogFilter, LogPage, LogScope,
    ManualClock, Metadata, Position, RecordedEvent, StreamName, StreamPage, TenantId, Timestamp, Version,
};
use underlay_runtime::{Browse, EventFilter, EventQuery};
use underlay_testkit::{EventStoreLayer, Over, sample};
use uuid::Uuid;

/// Events of a commit of others.
const EVENTS_AT_ONCE: usize = 1_000;

/// A store that gives few events at once, as one does whose events are large, and counts its reads.
#[derive(Clone)]
struct Narrow {
    inner: MemoryEventStore,
    at_once: usize,
    reads: Arc<AtomicUsize>,
}

#[async_trait]
impl EventStoreLayer for Narrow {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.inner.clone()
    }

    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_all(scope, after, filter, limit.min(self.at_once)).await
    }

    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_stream(tenant, stream, after, limit.min(self.at_once)).await
    }
}

fn narrow(inner: &MemoryEventStore, at_once: usize) -> Over<Narrow> {
    Over(Narrow { inner: inner.clone(), at_once, reads: Arc::default() })
}

fn correlation(number: u64) -> Uuid {
    Uuid::from_u64_pair(7, number)
}

/// Commits of one to five events of one or two streams, by three actors, of three tenants: one has nearly all, one
/// a few, and one of them has metadata that is none.
async fn filled() -> (MemoryEventStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_000).unwrap()));
    let store = MemoryEventStore::new(clock.clone());
    for step in 0..240_u64 {
        let tenant = match step % 60 {
            7 | 8 => "few",
            _ if step % 3 == 0 => "other",
            _ => "many",
        };
        let metadata = Metadata {
            correlation_id: Some(correlation(step / 5)),
            actor: Some(["ann", "bob", "\"é"][(step % 7 % 3) as usize].to_owned()),
            command_id: Some(CommitId(Uuid::from_u64_pair(8, step))),
            ..Metadata::default()
        };
        let event = |number: u64| sample::event_of(["noted", "moved"][(number % 2) as usize], "x");
        let mut commit = Commit::new(CommitId::draw()).with_metadata(metadata).append(
            sample::stream(&format!("note-{}", step % 4)),
            ExpectedVersion::Any,
            (0..=step % 4).map(event).collect(),
        );
        if step % 5 == 0 {
            commit = commit.append(sample::stream("desk-1"), ExpectedVersion::Any, vec![event(step)]);
        }
        store.commit(&sample::tenant(tenant), commit).await.unwrap();
        if step % 2 == 0 {
            clock.advance(Duration::from_secs(1));
        }
    }
    (store, clock)
}

async fn whole_log(store: &MemoryEventStore, tenant: &TenantId) -> Vec<RecordedEvent> {
    let scope = LogScope::Tenant(tenant.clone());
    let page = store.read_all(&scope, Position::START, &LogFilter::default(), 10_000).await.unwrap();
    assert!(page.at_head);
    page.events
}

/// All pages of a query, each begun anew where the one before ended.
async fn pages(
    store: &dyn EventStore,
    tenant: &TenantId,
    query: &EventQuery,
    most: usize,
) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let mut query = query.clone();
    loop {
        let mut browse = Browse::begin(store, tenant, query.clone()).await.unwrap();
        let mut page = Vec::new();
        while page.len() < most && !browse.is_over() && !browse.has_looked_enough() {
            let given = browse.next(store, most - page.len()).await.unwrap();
            page.extend(given);
        }
        if !browse.ends_with_commits() {
            assert!(page.len() <= most, "{} events in a page of {most}", page.len());
        }
        events.extend(page);
        if browse.is_over() {
            return events;
        }
        assert_ne!(query.after, Some(browse.place()), "a page that is not the last goes on: {query:?}");
        query.after = Some(browse.place());
    }
}

fn queries() -> Vec<EventQuery> {
    let filter = EventFilter::default;
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let mut filters = vec![
        filter(),
        EventFilter { log: sample::filter(&["desk"], &[]), ..filter() },
        EventFilter { log: sample::filter(&[], &["moved"]), ..filter() },
        EventFilter { log: sample::filter(&["absent"], &["moved"]), ..filter() },
        EventFilter { stream: Some(sample::stream("note-1")), ..filter() },
        EventFilter { stream: Some(sample::stream("note-9")), ..filter() },
        EventFilter { actor: Some("\"é".to_owned()), ..filter() },
        EventFilter { actor: Some(String::new()), ..filter() },
        EventFilter { correlation_id: Some(correlation(11)), ..filter() },
        EventFilter { command_id: Some(CommitId(Uuid::from_u64_pair(8, 128))), ..filter() },
    ];
    filters.push(EventFilter {
        log: sample::filter(&[], &["noted"]),
        stream: Some(sample::stream("note-2")),
        actor: Some("ann".to_owned()),
        ..filter()
    });
    let bounds = [(None, None), (at(1_010), None), (None, at(1_060)), (at(1_030), at(1_030)), (at(1), at(2))];
    let mut queries = Vec::new();
    for filter in filters {
        for (from, until) in bounds {
            for order in [Direction::Ascending, Direction::Descending] {
                queries.push(EventQuery { filter: filter.clone(), from, until, order, after: None });
            }
        }
    }
    queries
}

#[tokio::test]
async fn pages_give_what_reading_everything_would() {
    let (store, _) = filled().await;
    for name in ["many", "few", "other", "nobody"] {
        let tenant = sample::tenant(name);
        let log = whole_log(&store, &tenant).await;
        for query in queries() {
            let is_meant = |event: &&RecordedEvent| {
                query.filter.allows(event)
                    && query.from.is_none_or(|from| event.recorded_at >= from)
                    && query.until.is_none_or(|until| event.recorded_at <= until)
            };
            let mut wanted: Vec<RecordedEvent> = log.iter().filter(is_meant).cloned().collect();
            if query.order == Direction::Descending {
                wanted.reverse();
            }
            for at_once in [1, 3, 10_000] {
                for most in [1, 2, 7, 1_000] {
                    let found = pages(&narrow(&store, at_once), &tenant, &query, most).await;
                    let what = format!("{name}: {query:?} in pages of {most}, {at_once} at once");
                    assert_eq!(found.len(), wanted.len(), "{what}");
                    assert!(found == wanted, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn from_any_event_on_the_rest_follows() {
    let (store, _) = filled().await;
    let tenant = sample::tenant("many");
    let log = whole_log(&store, &tenant).await;
    for stream in [None, Some(sample::stream("note-1"))] {
        let of_stream = |event: &&RecordedEvent| stream.as_ref().is_none_or(|stream| event.stream == *stream);
        for event in log.iter().step_by(5) {
            let filter = EventFilter { stream: stream.clone(), ..EventFilter::default() };
            let after = Some(event.position);
            let query = EventQuery { filter, after, ..EventQuery::default() };
            let later: Vec<_> = log
                .iter()
                .filter(|other| other.position > event.position)
                .filter(of_stream)
                .cloned()
                .collect();
            assert_eq!(pages(&store, &tenant, &query, 3).await, later, "after {}", event.position);
            let query = EventQuery { order: Direction::Descending, ..query };
            let earlier: Vec<_> = log
                .iter()
                .rev()
                .filter(|other| other.position < event.position)
                .filter(of_stream)
                .cloned()
                .collect();
            assert_eq!(pages(&store, &tenant, &query, 3).await, earlier, "before {}", event.position);
        }
    }
}

#[tokio::test]
async fn a_few_events_are_found_in_a_long_log_of_others() {
    let store = MemoryEventStore::default();
    let (few, others) = (sample::tenant("few"), sample::tenant("others"));
    let stream = sample::stream("note-1");
    for step in 0..60 {
        if step % 25 == 3 {
            store.commit(&few, sample::write(&stream, ExpectedVersion::Any, 1)).await.unwrap();
        }
        store.commit(&others, sample::write(&stream, ExpectedVersion::Any, EVENTS_AT_ONCE)).await.unwrap();
    }
    let narrow = narrow(&store, 10_000);
    let query = EventQuery { order: Direction::Descending, ..EventQuery::default() };
    let mut browse = Browse::begin(&narrow, &few, query).await.unwrap();
    let mut found = Vec::new();
    while !browse.is_over() {
        assert!(!browse.has_looked_enough(), "one page finds them all");
        found.extend(browse.next(&narrow, 100).await.unwrap());
    }
    assert_eq!(found.len(), 3);
    let reads = narrow.reads.load(Ordering::Relaxed);
    assert!(reads < 30, "{reads} reads of {} positions", store.head().await.unwrap());
}

#[tokio::test]
async fn a_page_that_finds_nothing_ends_and_says_how_far_it_looked() {
    let store = MemoryEventStore::default();
    let (tenant, stream) = (sample::tenant("acme"), sample::stream("note-1"));
    let mut events = 0;
    while events <= 2 * BROWSE_EVENTS_PASSED_MAX {
        store.commit(&tenant, sample::write(&stream, ExpectedVersion::Any, EVENTS_AT_ONCE)).await.unwrap();
        events += EVENTS_AT_ONCE;
    }
    for stream in [None, Some(stream)] {
        for order in [Direction::Ascending, Direction::Descending] {
            let filter = EventFilter {
                actor: Some("nobody".to_owned()),
                stream: stream.clone(),
                ..EventFilter::default()
            };
            let mut query = EventQuery { filter, order, ..EventQuery::default() };
            let mut pages = 0;
            loop {
                let mut browse = Browse::begin(&store, &tenant, query.clone()).await.unwrap();
                while !browse.is_over() && !browse.has_looked_enough() {
                    assert_eq!(browse.next(&store, 100).await.unwrap(), []);
                }
                pages += 1;
                if browse.is_over() {
                    break;
                }
                query.after = Some(browse.place());
            }
            assert!((2..=4).contains(&pages), "{pages} pages over {events} events, {order:?}");
        }
    }
}

#[tokio::test]
async fn a_time_that_ends_before_it_begins_is_refused() {
    let query = EventQuery {
        from: Some(Timestamp::from_second(2).unwrap()),
        until: Some(Timestamp::from_second(1).unwrap()),
        ..EventQuery::default()
    };
    let refused = Browse::begin(&MemoryEventStore::default(), &sample::tenant("acme"), query).await;
    assert!(refused.unwrap_err().to_string().contains("until is not before from"));
}
