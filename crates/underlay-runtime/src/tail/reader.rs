use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use underlay_core::{
    Checkpoint, CheckpointRefused, Error, EventId, EventStore, LogFilter, LogPage, LogScope, Position,
    TenantId,
};

use super::{Kept, Look, Strand, Tail};

/// Events that a reader takes from the strand at once, about.
const TAKEN_MAX: usize = 256;

/// Follows the events of one tenant. Dropping it ends that.
pub struct TailReader<K: Kept> {
    tail: Tail<K>,
    tenant: TenantId,
    strand: Arc<Strand<K>>,
    changed: watch::Receiver<()>,
    filter: LogFilter,
    /// Everything of its tenant at or below it was given, or did not pass the filter.
    place: Position,
    /// The event there, where it is known.
    place_id: Option<EventId>,
    /// A page of its own that is being read. It is kept where the wait for it is given up.
    reading: Option<Reading>,
    /// Whether it has once taken from the strand.
    was_with_the_others: bool,
    is_left_behind: bool,
}

type Reading = Pin<Box<dyn Future<Output = Result<LogPage, Error>> + Send>>;

/// What a reader is given.
pub struct TailPage<K> {
    /// Events in the order of the log; none where a page of its own held none that it wants.
    pub events: Vec<Arc<K>>,
    /// Whether they are kept for others too.
    pub is_shared: bool,
}

impl<K: Kept> TailReader<K> {
    pub(super) fn new(
        tail: Tail<K>,
        tenant: TenantId,
        strand: Arc<Strand<K>>,
        filter: LogFilter,
        after: Position,
    ) -> Self {
        Self {
            changed: strand.listen(),
            tail,
            tenant,
            strand,
            filter,
            place: after,
            place_id: None,
            reading: None,
            was_with_the_others: false,
            is_left_behind: false,
        }
    }

    /// What comes next; waits where there is nothing. What it does goes on where the wait is given up, and nothing
    /// is lost by that.
    ///
    /// # Errors
    /// [`Error::CheckpointRefused`] where an older copy of the log was restored: it can go on no more. Any other of a
    /// page of its own: it goes on where it is asked again.
    pub async fn next(&mut self) -> Result<TailPage<K>, Error> {
        loop {
            if let Some(reading) = &mut self.reading {
                let page = reading.as_mut().await;
                self.reading = None;
                return Ok(self.take_page(page?));
            }
            // Before it looks: what comes meanwhile wakes it again.
            self.changed.mark_unchanged();
            if let Some(why) = self.strand.over() {
                return Err(self.refused(why));
            }
            match self.look() {
                Some(Look::Found(events, _)) if !events.is_empty() => {
                    return Ok(TailPage { events, is_shared: true });
                }
                Some(Look::Found(..)) => {}
                Some(Look::Behind) => self.reading = Some(self.begin_reading()),
                // The strand, which tells it, is its own.
                Some(Look::Nothing) | None => drop(self.changed.changed().await),
            }
        }
    }

    /// Everything of its tenant at or below this was given, or did not pass the filter. It moves while nothing comes.
    ///
    /// # Errors
    /// What the store says, where it has to be asked.
    pub async fn checkpoint(&mut self) -> Result<Checkpoint, Error> {
        if self.reading.is_none() {
            self.go_to_the_end();
        }
        let store = &self.tail.0.store;
        let start = Checkpoint::start(store.store_id());
        if self.place == Position::START {
            return Ok(start);
        }
        if self.place_id.is_none() {
            self.place_id = store.event_id_at(self.place).await?;
        }
        Ok(Checkpoint { position: self.place, event_id: self.place_id, ..start })
    }

    /// Goes back to a place it was at: what follows is given again.
    pub fn go_back(&mut self, to: Position) {
        if to < self.place {
            (self.place, self.place_id, self.reading) = (to, None, None);
        }
    }

    /// The position of its place; see [`TailReader::checkpoint`].
    #[must_use]
    pub fn position(&self) -> Position {
        self.place
    }

    /// Whether it was with the others and is not: what it had not taken made room for what came.
    #[must_use]
    pub fn is_left_behind(&self) -> bool {
        self.is_left_behind
    }

    /// What the strand has above its place, which it does not leave; none where the strand has not begun.
    fn glance(&self) -> Option<Look<K>> {
        Some(self.strand.ring().as_ref()?.above(self.place, 1))
    }

    /// Takes what the strand has above its place, as far as it passes the filter.
    fn look(&mut self) -> Option<Look<K>> {
        // Before the strand: what lies below this end is in it.
        let end = self.tail.0.end();
        // After the end: where that is of another log already, this says so.
        if self.strand.over().is_some() {
            return None;
        }
        let look = self.strand.ring().as_ref()?.above(self.place, TAKEN_MAX);
        (self.was_with_the_others, self.is_left_behind) = match &look {
            Look::Behind => (self.was_with_the_others, self.was_with_the_others),
            _ => (true, false),
        };
        match look {
            Look::Found(mut events, to) => {
                self.place = to;
                self.place_id = events.last().map(|event| event.record().event_id);
                events.retain(|event| self.filter.allows(event.record()));
                Some(Look::Found(events, to))
            }
            Look::Nothing => {
                self.go_to(end);
                Some(Look::Nothing)
            }
            Look::Behind => Some(Look::Behind),
        }
    }

    /// Where nothing of its tenant is above its place, it is as far as the keeper.
    fn go_to_the_end(&mut self) {
        // Before the strand: what lies below this end is in it.
        let end = self.tail.0.end();
        if self.strand.over().is_none() && matches!(self.glance(), Some(Look::Nothing)) {
            self.go_to(end);
        }
    }

    /// Nothing of its tenant is between its place and the end that the keeper had come to.
    fn go_to(&mut self, end: Option<Checkpoint>) {
        if let Some(end) = end.filter(|end| end.position > self.place) {
            (self.place, self.place_id) = (end.position, end.event_id);
        }
    }

    fn begin_reading(&self) -> Reading {
        let (tail, own) = (self.tail.clone(), self.strand.turns().clone());
        let (scope, filter, after) = (LogScope::Tenant(self.tenant.clone()), self.filter.clone(), self.place);
        Box::pin(async move {
            let inner = &tail.0;
            let page = {
                // Of its tenant first: one tenant's many wait among themselves. Neither is ever closed.
                let _own = own.acquire_owned().await;
                let _turn = inner.turns.acquire().await;
                inner.store.read_all(&scope, after, &filter, inner.bounds.read_events_max).await?
            };
            if page.scanned_to <= after {
                // Nothing is there that the keeper has seen: whoever answered knows less of the log.
                inner.clock.sleep(inner.config.view_poll_interval).await;
            }
            Ok(page)
        })
    }

    fn take_page(&mut self, page: LogPage) -> TailPage<K> {
        if page.scanned_to > self.place {
            (self.place, self.place_id) = (page.scanned_to, page.scanned_to_id);
        }
        TailPage {
            events: page.events.into_iter().map(|event| Arc::new(K::of(event))).collect(),
            is_shared: false,
        }
    }

    fn refused(&self, why: &str) -> Error {
        Error::CheckpointRefused(Box::new(CheckpointRefused {
            owner: "a reader of the log".to_owned(),
            checkpoint: Checkpoint {
                position: self.place,
                event_id: self.place_id,
                ..Checkpoint::start(self.tail.0.store.store_id())
            },
            reason: why.to_owned(),
            repair: "follow it again".to_owned(),
        }))
    }
}

impl<K: Kept> Drop for TailReader<K> {
    fn drop(&mut self) {
        self.tail.0.leave(&self.tenant, &self.strand);
    }
}

impl<K: Kept> std::fmt::Debug for TailReader<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TailReader")
            .field("tenant", &self.tenant)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
