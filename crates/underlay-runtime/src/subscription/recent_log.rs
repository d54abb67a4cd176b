//! The end of the log, read once for all who follow it in this process.
//!
//! ```text
//!  hint ─► view ────┐
//!      ├─► process ─┼─► RecentLog ── one read above the last page ──► store
//!      └─► pump ────┘       │
//!                           └── pages, PAGES_MAX ──► whoever asks for what is above one of them
//! ```
//!
//! A commit wakes every view, process and pump, and they all want the same few events. So the first one to ask reads
//! them from the store, and the others are given what it read. What is kept are the last pages, with the events that any
//! of them takes.
//!
//! Whoever asks says the last event below its place. Where that is no event of a page here, it reads for itself: it is
//! far behind, or an older copy of the log was restored and written to, and then nothing of before is given to it.
//! At the end of the last page the store is always asked, so a hint that was lost costs no more than a poll.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Mutex;
use underlay_core::adapter::event_bytes;
use underlay_core::{
    Checkpoint, Error, EventStore, LogFilter, LogPage, LogScope, RecordedEvent, Wakeup, Wakeups,
};

/// Pages that are kept.
const PAGES_MAX: usize = 64;
/// Events in them.
const EVENTS_MAX: usize = 1_024;
/// Bytes of them, about. A page that has more is read by everybody for themselves.
const BYTES_MAX: usize = 8 << 20;
/// Events of one page.
const PAGE_EVENTS: usize = 256;

/// The end of the log, for the followers of one process.
pub(crate) struct RecentLog {
    store: Arc<dyn EventStore>,
    wakeup: Wakeup,
    /// Held over a read, so that those who want the same wait for it.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What any of the followers takes; none before the first.
    filter: Option<LogFilter>,
    pages: Option<Pages>,
}

/// Pages that follow each other, without what no follower takes.
struct Pages {
    from: Checkpoint,
    pages: VecDeque<Page>,
    events: usize,
    bytes: usize,
    /// Hints before the last read.
    hints: u64,
    /// Whether the last read ended at the head of the log.
    at_head: bool,
}

struct Page {
    to: Checkpoint,
    events: Vec<RecordedEvent>,
    bytes: usize,
}

impl RecentLog {
    pub(crate) fn new(store: Arc<dyn EventStore>, wakeups: &dyn Wakeups) -> Self {
        Self { store, wakeup: wakeups.subscribe(), kept: Mutex::default() }
    }

    /// About so many events above a place, of all tenants: as [`EventStore::read_all`].
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn read(
        &self,
        after: &Checkpoint,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        let mut kept = self.kept.lock().await;
        kept.widen(filter);
        if let Kept { filter: Some(taken), pages: Some(pages) } = &mut *kept {
            if pages.end() == after {
                self.read_on(pages, taken).await?;
            }
            if let Some(page) = pages.above(after, filter, limit, self.wakeup.count()) {
                return Ok(page);
            }
        }
        drop(kept);
        let hints = self.wakeup.count();
        let page = self.store.read_all(&LogScope::EveryTenant, after.position, filter, limit).await?;
        if page.at_head {
            let to = Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..*after };
            let mut kept = self.kept.lock().await;
            // Where another one has come further, its pages are kept.
            if kept.pages.as_ref().is_none_or(|pages| pages.end().position <= to.position) {
                kept.pages = Some(Pages::new(to, hints));
            }
        }
        Ok(page)
    }

    /// Reads what is above the last page, for all.
    async fn read_on(&self, pages: &mut Pages, filter: &LogFilter) -> Result<(), Error> {
        let (hints, after) = (self.wakeup.count(), *pages.end());
        let page = self.store.read_all(&LogScope::EveryTenant, after.position, filter, PAGE_EVENTS).await?;
        (pages.hints, pages.at_head) = (hints, page.at_head);
        if page.scanned_to > after.position {
            let to = Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..after };
            let bytes = page.events.iter().map(event_bytes).sum();
            pages.push(Page { to, events: page.events, bytes });
        }
        Ok(())
    }
}

impl Kept {
    /// Adds what a follower takes. Where it takes more than those before, what was read lacks that.
    fn widen(&mut self, filter: &LogFilter) {
        let wider = match &self.filter {
            Some(taken)
                if covers(&taken.categories, &filter.categories)
                    && covers(&taken.event_types, &filter.event_types) =>
            {
                return;
            }
            Some(taken) => LogFilter {
                categories: either(&taken.categories, &filter.categories),
                event_types: either(&taken.event_types, &filter.event_types),
            },
            None => filter.clone(),
        };
        *self = Self { filter: Some(wider), pages: None };
    }
}

/// Whether one names all that the other does. Nothing named is everything.
fn covers<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.is_empty() || (!other.is_empty() && other.iter().all(|item| one.contains(item)))
}

/// What one of the two names.
fn either<T: Clone + PartialEq>(one: &[T], other: &[T]) -> Vec<T> {
    if one.is_empty() || other.is_empty() {
        return Vec::new();
    }
    let more = other.iter().filter(|item| !one.contains(item));
    one.iter().chain(more).cloned().collect()
}

impl Pages {
    fn new(from: Checkpoint, hints: u64) -> Self {
        Self { from, pages: VecDeque::new(), events: 0, bytes: 0, hints, at_head: true }
    }

    fn end(&self) -> &Checkpoint {
        self.pages.back().map_or(&self.from, |page| &page.to)
    }

    fn push(&mut self, page: Page) {
        self.events += page.events.len();
        self.bytes += page.bytes;
        self.pages.push_back(page);
        while self.pages.len() > PAGES_MAX || self.events > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(first) = self.pages.pop_front() else { return };
            self.from = first.to;
            self.events -= first.events.len();
            self.bytes -= first.bytes;
        }
    }

    /// The page that holds what comes next above a place; none where the place is not in these pages.
    fn find(&self, after: &Checkpoint) -> Option<usize> {
        let at = self.pages.partition_point(|page| page.to.position <= after.position);
        let before = if at == 0 { &self.from } else { &self.pages[at - 1].to };
        let is_event = |event: &RecordedEvent| {
            event.position == after.position && Some(event.event_id) == after.event_id
        };
        let is_here =
            before == after || self.pages.get(at).is_some_and(|page| page.events.iter().any(is_event));
        is_here.then_some(at)
    }

    /// What is above a place, as one read would give it; none where the place is not in these pages.
    fn above(&self, after: &Checkpoint, filter: &LogFilter, limit: usize, hints: u64) -> Option<LogPage> {
        let first = self.find(after)?;
        let known = self.pages.range(first..).flat_map(|page| &page.events);
        let wanted = known.filter(|event| event.position > after.position && filter.allows(event));
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut wanted = wanted.peekable();
        while let Some(event) = wanted.next() {
            events.push(event.clone());
            let is_cut =
                events.len() >= limit && wanted.peek().is_some_and(|next| next.position > event.commit_end());
            // Only where its commit ends with it is it known here which event that end is.
            if is_cut && event.commit_tail == 0 {
                return Some(LogPage {
                    scanned_to: event.position,
                    scanned_to_id: Some(event.event_id),
                    events,
                    at_head: false,
                });
            }
        }
        let end = self.end();
        Some(LogPage {
            scanned_to: end.position,
            scanned_to_id: end.event_id,
            events,
            // What came since has been hinted at.
            at_head: self.at_head && self.hints == hints,
        })
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::memory::MemoryEventStore;
    use underlay_core::{ExpectedVersion, Position, StoreId, SystemClock};
    use underlay_testkit::sample::{event_of, filter, stream, tenant, write};
    use underlay_testkit::{Call, Flaky, Over};

    use super::*;

    type Counted = Over<Flaky<MemoryEventStore>>;

    fn log() -> MemoryEventStore {
        MemoryEventStore::new(Arc::new(SystemClock))
    }

    fn over(log: &MemoryEventStore) -> (Arc<Counted>, RecentLog) {
        let counted = Arc::new(Over(Flaky::new(log.clone())));
        let recent = RecentLog::new(counted.clone(), log);
        (counted, recent)
    }

    fn reads(counted: &Counted) -> u64 {
        counted.0.calls(Call::ReadAll)
    }

    async fn commit(log: &MemoryEventStore, name: &str, count: usize) {
        log.commit(&tenant("acme"), write(&stream(name), ExpectedVersion::Any, count)).await.unwrap();
    }

    async fn whole(log: &MemoryEventStore) -> Vec<RecordedEvent> {
        let (mut events, mut after) = (Vec::new(), Position::START);
        loop {
            let scope = LogScope::EveryTenant;
            let page = log.read_all(&scope, after, &LogFilter::default(), 500).await.unwrap();
            if page.scanned_to == after {
                return events;
            }
            after = page.scanned_to;
            events.extend(page.events);
        }
    }

    /// A follower, with all it was given.
    struct Reader {
        place: Checkpoint,
        filter: LogFilter,
        limit: usize,
        given: Vec<Position>,
    }

    impl Reader {
        fn new(store: StoreId, filter: LogFilter, limit: usize) -> Self {
            Self { place: Checkpoint::start(store), filter, limit, given: Vec::new() }
        }

        /// Reads one page; whether it found anything, and whether it was told that the log ends there.
        async fn go_on(&mut self, recent: &RecentLog) -> (bool, bool) {
            let page = recent.read(&self.place, &self.filter, self.limit).await.unwrap();
            let found = page.scanned_to > self.place.position;
            self.given.extend(page.events.iter().map(|event| event.position));
            self.place = Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..self.place };
            (found, page.at_head)
        }

        async fn go_to_the_end(&mut self, recent: &RecentLog) {
            while self.go_on(recent).await.0 {}
        }
    }

    #[tokio::test]
    async fn a_commit_is_read_once_however_many_follow() {
        let log = log();
        let (counted, recent) = over(&log);
        let filters = [filter(&[], &[]), filter(&["account"], &[]), filter(&["note"], &[])];
        let mut readers: Vec<Reader> =
            filters.iter().map(|filter| Reader::new(log.store_id(), filter.clone(), 100)).collect();
        for reader in &mut readers {
            reader.go_to_the_end(&recent).await;
        }
        commit(&log, "account-1", 3).await;
        let before = reads(&counted);
        for reader in &mut readers {
            assert_eq!(reader.go_on(&recent).await, (true, true));
        }
        assert_eq!(reads(&counted), before + 1);
        let given: Vec<usize> = readers.iter().map(|reader| reader.given.len()).collect();
        assert_eq!(given, [3, 3, 0]);
        // Whoever asks again asks the store: a hint may have been lost.
        assert_eq!(readers[0].go_on(&recent).await, (false, true));
        assert_eq!(reads(&counted), before + 2);
    }

    #[tokio::test]
    async fn what_came_after_the_read_is_not_said_to_be_the_end() {
        let log = log();
        let (_, recent) = over(&log);
        let mut readers = [(); 2].map(|()| Reader::new(log.store_id(), filter(&[], &[]), 100));
        for reader in &mut readers {
            reader.go_to_the_end(&recent).await;
        }
        commit(&log, "account-1", 1).await;
        let [first, second] = &mut readers;
        assert_eq!(first.go_on(&recent).await, (true, true));
        commit(&log, "account-1", 1).await;
        assert_eq!(second.go_on(&recent).await, (true, false), "the second commit was hinted at");
        assert_eq!(second.go_on(&recent).await, (true, true));
    }

    #[tokio::test]
    async fn whoever_comes_with_another_filter_is_given_all_it_takes() {
        let log = log();
        let (_, recent) = over(&log);
        let mut narrow = Reader::new(log.store_id(), filter(&["account"], &[]), 100);
        narrow.go_to_the_end(&recent).await;
        let start = narrow.place;
        commit(&log, "note-1", 2).await;
        narrow.go_to_the_end(&recent).await;
        let mut wide = Reader { place: start, ..Reader::new(log.store_id(), filter(&[], &[]), 100) };
        wide.go_to_the_end(&recent).await;
        assert_eq!((narrow.given.len(), wide.given.len()), (0, 2));
    }

    #[tokio::test]
    async fn nothing_of_a_log_that_was_replaced_is_given_to_whoever_follows_the_new_one() {
        let (old, new) = (log(), log());
        commit(&old, "account-1", 2).await;
        let (_, recent) = over(&old);
        let mut ghost = Reader::new(old.store_id(), filter(&[], &[]), 100);
        ghost.go_to_the_end(&recent).await;
        commit(&old, "account-1", 4).await;
        ghost.go_to_the_end(&recent).await;
        // The place of another event at the same position, as a restored log has it.
        commit(&new, "account-1", 2).await;
        let other = new.event_id_at(Position::from_number(2)).await.unwrap();
        let place = Checkpoint { position: Position::from_number(2), event_id: other, store: old.store_id() };
        let kept = recent.kept.lock().await;
        let pages = kept.pages.as_ref().unwrap();
        assert!(pages.above(&place, &LogFilter::default(), 100, 0).is_none());
        let own = Checkpoint { event_id: old.event_id_at(place.position).await.unwrap(), ..place };
        assert_eq!(pages.above(&own, &LogFilter::default(), 100, 0).unwrap().events.len(), 4);
    }

    /// Followers with all kinds of filters and limits, at their own pace, while commits come: each is given what it
    /// takes, once and in order, and no more than that is kept.
    #[tokio::test]
    async fn everybody_is_given_the_log_as_it_is() {
        let log = log();
        let (counted, recent) = over(&log);
        let filters = [
            filter(&[], &[]),
            filter(&["account"], &[]),
            filter(&["note", "account"], &["noted"]),
            filter(&[], &["noted"]),
        ];
        let mut readers: Vec<Reader> = (0..12)
            .map(|number| {
                let limit = [1, 7, 500][number % 3];
                Reader::new(log.store_id(), filters[number % filters.len()].clone(), limit)
            })
            .collect();
        for round in 0..600_usize {
            let name = ["account-1", "note-1", "other-1"][round % 3];
            let mut batch = write(&stream(name), ExpectedVersion::Any, 1 + round % 5);
            if round % 4 == 0 {
                let more = vec![event_of("noted", "one"), event_of("told", "two")];
                batch = batch.append(stream("note-2"), ExpectedVersion::Any, more);
            }
            log.commit(&tenant("acme"), batch).await.unwrap();
            for (number, reader) in readers.iter_mut().enumerate() {
                if round % (1 + number * number) == 0 {
                    reader.go_on(&recent).await;
                }
            }
        }
        for reader in &mut readers {
            reader.go_to_the_end(&recent).await;
        }
        let everything = whole(&log).await;
        for reader in &readers {
            let wanted: Vec<Position> = everything
                .iter()
                .filter(|event| reader.filter.allows(event))
                .map(|event| event.position)
                .collect();
            assert_eq!(reader.given, wanted, "{:?} {}", reader.filter, reader.limit);
        }
        let kept = recent.kept.lock().await;
        let pages = kept.pages.as_ref().unwrap();
        assert!(pages.events <= EVENTS_MAX && pages.pages.len() <= PAGES_MAX && pages.bytes <= BYTES_MAX);
        assert_eq!(pages.events, pages.pages.iter().map(|page| page.events.len()).sum::<usize>());
        assert!(reads(&counted) > 0);
    }
}
