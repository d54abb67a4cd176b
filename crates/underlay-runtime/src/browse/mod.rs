//! Looking through a tenant's log: by stream, type, category, time, actor, correlation and command, the oldest or the
//! newest first.
//!
//! ```text
//!  query ─► bounds on a line: positions of the log, or versions of a stream
//!        ─► window ─► the store's page of it ─► what the filter allows, in order ─► place, to go on from
//! ```
//!
//! There is no index on who did what: it would cost every commit. So events are looked at and passed over, a window at
//! a time, and whoever asks for a page stops once [`Browse::has_looked_enough`]; the place says how far it came. A
//! window in the log of a tenant holds that tenant's events alone, however many of others lie between. Backwards, what
//! a window holds says how long the next one is, and one that holds too many is read again at half its length. So a
//! tenant's few events are found in a long log of others.

mod filter;
mod line;
mod window;

pub use filter::EventFilter;

use underlay_core::adapter::event_bytes;
use underlay_core::limits::{BROWSE_EMPTY_READS_MAX, BROWSE_EVENTS_PASSED_MAX, PAGE_EVENTS_MAX};
use underlay_core::{Direction, Error, EventStore, LogFilter, Position, RecordedEvent, TenantId, Timestamp};

use line::Line;
use window::Window;

/// Which events of a tenant are looked for, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Which of them.
    pub filter: EventFilter,
    /// Only those recorded then or later.
    pub from: Option<Timestamp>,
    /// Only those recorded then or earlier.
    pub until: Option<Timestamp>,
    /// Whether the oldest comes first or the newest.
    pub order: Direction,
    /// Only those that come later in the order than this place, which a page before gave.
    pub after: Option<Position>,
}

/// One way along a tenant's log.
#[derive(Debug)]
pub struct Browse {
    line: Line,
    filter: EventFilter,
    order: Direction,
    /// What is left of the line: everything above `low`, up to `high`.
    low: u64,
    high: Option<u64>,
    window: Window,
    place: Position,
    is_over: bool,
    passed: usize,
    empty_reads: usize,
}

impl Browse {
    /// Finds where a query begins and ends.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `until` is before `from`; what the store says.
    pub async fn begin(store: &dyn EventStore, tenant: &TenantId, query: EventQuery) -> Result<Self, Error> {
        if let (Some(from), Some(until)) = (query.from, query.until)
            && until < from
        {
            return Err(Error::invalid(format!("until is not before from: {until} is before {from}")));
        }
        let mut above = match query.from.map(just_before) {
            Some(Some(before)) => store.position_at(before).await?,
            _ => Position::START,
        };
        let mut up_to = match query.until {
            Some(until) => Some(store.position_at(until).await?),
            None => None,
        };
        match (query.order, query.after) {
            (Direction::Ascending, Some(after)) => above = above.max(after),
            (Direction::Descending, Some(after)) => {
                let before = Position::from_number(after.number().saturating_sub(1));
                up_to = Some(up_to.map_or(before, |up_to| up_to.min(before)));
            }
            (_, None) => {}
        }
        let head = match (query.order, up_to) {
            (Direction::Descending, None) => Some(store.head().await?),
            _ => None,
        };
        let line = Line::new(tenant, query.filter.stream.clone());
        let (low, high) = line.bounds(store, above, up_to, head).await?;
        let place = match (query.order, up_to.or(head)) {
            (Direction::Descending, Some(last)) => Position::from_number(last.number().saturating_add(1)),
            _ => above,
        };
        Ok(Self {
            is_over: high.is_some_and(|high| high <= low),
            line,
            filter: query.filter,
            order: query.order,
            low,
            high,
            window: Window::default(),
            place,
            passed: 0,
            empty_reads: 0,
        })
    }

    /// Reads once, and gives what is meant of it: at most so many, none where nothing is; in ascending order of the
    /// log, the last commit whole.
    ///
    /// # Errors
    /// What the store says.
    pub async fn next(&mut self, store: &dyn EventStore, most: usize) -> Result<Vec<RecordedEvent>, Error> {
        let most = most.clamp(1, PAGE_EVENTS_MAX);
        if self.is_over {
            return Ok(Vec::new());
        }
        let given = match (self.order, self.high) {
            (Direction::Descending, Some(high)) => self.go_back(store, high, most).await?,
            _ => self.go_on(store, most).await?,
        };
        self.empty_reads += usize::from(given.is_empty());
        Ok(given)
    }

    /// What [`EventQuery::after`] is to go on behind everything that was looked at.
    #[must_use]
    pub fn place(&self) -> Position {
        self.place
    }

    /// What [`EventQuery::after`] is to go on behind an event that was given.
    #[must_use]
    pub fn place_after(&self, event: &RecordedEvent) -> Position {
        if self.ends_with_commits() { event.commit_end() } else { event.position }
    }

    /// Whether its pages end with a commit: those of the log in ascending order do.
    #[must_use]
    pub fn ends_with_commits(&self) -> bool {
        self.order == Direction::Ascending && self.line.is_log()
    }

    /// Whether everything was looked at.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether one page has looked at enough, for what it has found.
    #[must_use]
    pub fn has_looked_enough(&self) -> bool {
        self.passed >= BROWSE_EVENTS_PASSED_MAX || self.empty_reads >= BROWSE_EMPTY_READS_MAX
    }

    /// The next window in ascending order.
    async fn go_on(&mut self, store: &dyn EventStore, most: usize) -> Result<Vec<RecordedEvent>, Error> {
        let sifts = self.filter.sifts(self.order, self.line.is_log());
        let limit = if sifts { self.window.events() } else { most };
        let mut read = self.line.read(store, self.low, &self.filter.of_log(), limit).await?;
        let bytes = read.events.iter().map(event_bytes).sum();
        self.passed += read.passed_unseen;
        let came_past = self.high.is_some_and(|high| read.reached >= high);
        if let Some(high) = self.high.filter(|_| came_past) {
            read.events.retain(|event| self.line.coordinate(event) <= high);
            read.reached = high;
        }
        self.is_over = read.at_end || came_past;
        self.place = self.line.place(&read, self.place);
        self.low = read.reached;
        let seen = read.events.len();
        let mut given: Vec<RecordedEvent> =
            read.events.into_iter().filter(|event| self.filter.allows(event)).collect();
        self.passed += seen - given.len();
        self.window.learn(bytes, seen, given.len());
        if let Some(last) = given.get(most - 1).map(|last| self.line.end(last)) {
            let kept = given.partition_point(|event| self.line.coordinate(event) <= last);
            if kept < given.len() {
                given.truncate(kept);
                self.low = last;
                self.place = given.last().map_or(self.place, |last| self.place_after(last));
                self.is_over = false;
            }
        }
        Ok(given)
    }

    /// The next window in descending order, up to `high`.
    async fn go_back(
        &mut self,
        store: &dyn EventStore,
        high: u64,
        most: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let sifts = self.filter.sifts(self.order, self.line.is_log());
        let limit = self.window.at_most(if sifts { self.window.events() } else { most });
        let from = high.saturating_sub(self.window.span(limit)).max(self.low);
        // What does not pass is counted here, so the store leaves nothing out.
        let read = self.line.read(store, from, &LogFilter::default(), limit).await?;
        let seen = read.events.len();
        if read.reached < high && !read.at_end {
            self.window.shorten(limit);
            self.passed += seen;
            return Ok(Vec::new());
        }
        let bytes = read.events.iter().map(event_bytes).sum();
        let within = read.events.partition_point(|event| self.line.coordinate(event) <= high);
        self.window.fits(high - from, within);
        let lowest = read.events.first().map(|event| event.position);
        let mut given: Vec<RecordedEvent> =
            read.events.into_iter().take(within).filter(|event| self.filter.allows(event)).rev().collect();
        self.passed += seen - given.len();
        self.window.learn(bytes, seen, given.len());
        let is_cut = given.len() > most;
        given.truncate(most);
        let (reached, place) = match given.last() {
            Some(last) if is_cut => (self.line.coordinate(last).saturating_sub(1), last.position),
            _ => (from, self.line.place_back(from, lowest.filter(|_| within > 0), self.place)),
        };
        (self.high, self.place) = (Some(reached), place);
        self.is_over = reached <= self.low;
        Ok(given)
    }
}

/// The last moment before a moment; none before all others.
fn just_before(moment: Timestamp) -> Option<Timestamp> {
    moment.checked_sub(std::time::Duration::from_nanos(1)).ok()
}
