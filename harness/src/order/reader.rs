//! A reader: pages of any size, a journal of what it saw, and now and then an end from which it goes
//! on by its journal alone.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use underlay_core::{
    Checkpoint, Error, EventStore, EventStoreExt, LogFilter, LogPage, LogScope, Position, Timestamp, Wakeup,
};

use super::evidence::{Feed, PageLine, Seen};
use crate::dice::Dice;
use crate::journal::Journal;
use crate::subject::{Address, OpenStore, is_unavailable};
use crate::{Result, child};

/// The largest page asked for.
const PAGE_EVENTS_MAX: u64 = 300;
/// The longest a reader is away.
const AWAY_MAX: Duration = Duration::from_millis(50);
/// How long a reader waits that has met a store without a connection or without time.
const UNAVAILABLE_PAUSE: Duration = Duration::from_millis(5);
/// How long a reader may be without progress while it is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// One reader.
pub(crate) struct Reader {
    /// Where the log is; it may move.
    place: watch::Receiver<OpenStore>,
    scope: LogScope,
    filter: LogFilter,
    /// How long it waits for a hint before it looks for itself.
    poll: Duration,
    dice: Dice,
    /// Where to end: the head of the log once nobody writes.
    goal: watch::Receiver<Option<Position>>,
    unavailable: u64,
}

/// The child process `order-reader`: a reader that is told to finish, or killed.
pub(crate) async fn run_child(
    address: &Address,
    journal: &Path,
    feed: Feed,
    poll: Duration,
    seed: u64,
) -> Result<()> {
    let open = address.open_when_there().await?;
    let (goal, known) = watch::channel(None);
    let (_stays, place) = watch::channel(open.clone());
    let reader = Reader::new(place, feed, poll, Dice::new(seed), known)?;
    child::say_ready()?;
    let store = open.store.clone();
    tokio::spawn(async move {
        child::told_to_finish().await;
        // Without a head there is no end; the parent's patience is.
        loop {
            match store.head().await {
                Ok(head) => {
                    goal.send_replace(Some(head));
                    break;
                }
                Err(Error::Unavailable { .. }) => tokio::time::sleep(UNAVAILABLE_PAUSE).await,
                Err(_) => break,
            }
        }
    });
    reader.read(journal).await?;
    open.close().await
}

impl Reader {
    pub(crate) fn new(
        place: watch::Receiver<OpenStore>,
        feed: Feed,
        poll: Duration,
        dice: Dice,
        goal: watch::Receiver<Option<Position>>,
    ) -> Result<Self> {
        let (scope, filter) = (feed.scope()?, feed.filter()?);
        Ok(Self { place, scope, filter, poll, dice, goal, unavailable: 0 })
    }

    /// Reads until the goal is reached, away now and then.
    pub(crate) async fn read(mut self, journal: &Path) -> Result<()> {
        loop {
            match self.read_until_away(journal).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if is_unavailable(&*error) => self.unavailable += 1,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(self.dice.time_below(AWAY_MAX)).await;
        }
    }

    /// Goes on from the journal; true where the goal was reached, false where it goes away.
    async fn read_until_away(&mut self, journal: &Path) -> Result<bool> {
        let OpenStore { store, wakeups, .. } = self.place.borrow_and_update().clone();
        let (journal, last) = Journal::go_on::<PageLine>(journal)?;
        let mut position = Position::START;
        if let Some(last) = last {
            position = last.position();
            if last.scanned_to_id.is_some() {
                let (log, event_id) = (store.store_id(), last.scanned_to_id);
                let checkpoint = Checkpoint { store: log, position, event_id };
                store.check_checkpoint("a reader", &checkpoint, "nothing").await?;
            }
        }
        let mut wakeup = wakeups.subscribe();
        let mut progress_at = Timestamp::now();
        loop {
            // Where nobody is left to move it, it stays.
            if self.place.has_changed().unwrap_or(false) {
                return Ok(false);
            }
            let goal = *self.goal.borrow();
            if goal.is_some_and(|goal| position >= goal) {
                return Ok(true);
            }
            let limit = 1 + self.dice.below(PAGE_EVENTS_MAX) as usize;
            let page = match store.read_all(&self.scope, position, &self.filter, limit).await {
                Err(Error::Unavailable { .. }) => {
                    self.unavailable += 1;
                    tokio::time::sleep(UNAVAILABLE_PAUSE).await;
                    continue;
                }
                page => page?,
            };
            let now = Timestamp::now();
            if page.scanned_to > position || !page.events.is_empty() {
                journal.write(&self.line(position, &page, progress_at, now))?;
                position = page.scanned_to;
                progress_at = now;
            } else if goal.is_some() && now.duration_since(progress_at).unsigned_abs() > PATIENCE {
                return Err(format!("a reader stands at {position} and does not reach {goal:?}").into());
            }
            if self.dice.chance(2) {
                return Ok(false);
            }
            if page.at_head && self.wait(&mut wakeup).await {
                return Ok(false);
            }
        }
    }

    /// Waits for something to read; true where the log has moved meanwhile.
    async fn wait(&mut self, wakeup: &mut Wakeup) -> bool {
        tokio::select! {
            () = wakeup.hint() => false,
            () = tokio::time::sleep(self.poll) => false,
            // The goal's owner may be gone; then the poll goes on.
            Ok(()) = self.goal.changed() => false,
            Ok(()) = self.place.changed() => true,
        }
    }

    fn line(&mut self, after: Position, page: &LogPage, progress_at: Timestamp, now: Timestamp) -> PageLine {
        // The log was ahead since its first new event, or since this reader could know.
        let ahead_since = page.events.first().map_or(now, |event| event.recorded_at.max(progress_at));
        let stall = now.duration_since(ahead_since);
        PageLine {
            after: after.number(),
            scanned_to: page.scanned_to.number(),
            scanned_to_id: page.scanned_to_id,
            seen: page.events.iter().map(Seen::new).collect(),
            stall_micros: u64::try_from(stall.as_micros()).unwrap_or(0),
            unavailable: std::mem::take(&mut self.unavailable),
        }
    }
}
