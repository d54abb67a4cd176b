//! A reader: pages of any size, a journal of what it saw, and now and then an end from which it goes
//! on by its journal alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use underlay_core::{
    Checkpoint, EventStore, EventStoreExt, LogFilter, LogPage, LogScope, Position, Timestamp, Wakeup, Wakeups,
};

use super::evidence::{Feed, PageLine, Seen};
use crate::address::{Address, OpenStore};
use crate::dice::Dice;
use crate::journal::Journal;
use crate::{Result, child};

/// The largest page asked for.
const PAGE_EVENTS_MAX: u64 = 300;
/// The longest a reader is away.
const AWAY_MAX: Duration = Duration::from_millis(50);
/// How long a reader waits for a hint before it looks for itself.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long a reader may be without progress while it is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// One reader.
pub(crate) struct Reader {
    store: Arc<dyn EventStore>,
    wakeups: Arc<dyn Wakeups>,
    scope: LogScope,
    filter: LogFilter,
    dice: Dice,
    /// Where to end: the head of the log once nobody writes.
    goal: watch::Receiver<Option<Position>>,
}

/// The child process `order-reader`: a reader that is told to finish, or killed.
pub(crate) async fn run_child(address: &Address, journal: &Path, feed: Feed, seed: u64) -> Result<()> {
    let open = address.open().await?;
    let (goal, known) = watch::channel(None);
    let reader = Reader::new(&open, feed, Dice::new(seed), known)?;
    child::say_ready()?;
    let store = open.store.clone();
    tokio::spawn(async move {
        child::told_to_finish().await;
        // Without a head there is no end; the parent's patience is.
        if let Ok(head) = store.head().await {
            goal.send_replace(Some(head));
        }
    });
    reader.read(journal).await?;
    open.close().await
}

impl Reader {
    pub(crate) fn new(
        open: &OpenStore,
        feed: Feed,
        dice: Dice,
        goal: watch::Receiver<Option<Position>>,
    ) -> Result<Self> {
        let (store, wakeups) = (open.store.clone(), open.wakeups.clone());
        Ok(Self { store, wakeups, scope: feed.scope()?, filter: feed.filter()?, dice, goal })
    }

    /// Reads until the goal is reached, away now and then.
    pub(crate) async fn read(mut self, journal: &Path) -> Result<()> {
        while !self.read_until_away(journal).await? {
            tokio::time::sleep(self.dice.time_below(AWAY_MAX)).await;
        }
        Ok(())
    }

    /// Goes on from the journal; true where the goal was reached, false where it goes away.
    async fn read_until_away(&mut self, journal: &Path) -> Result<bool> {
        let (journal, last) = Journal::go_on::<PageLine>(journal)?;
        let mut position = Position::START;
        if let Some(last) = last {
            position = last.position();
            if last.scanned_to_id.is_some() {
                let (store, event_id) = (self.store.store_id(), last.scanned_to_id);
                self.store.check("a reader", &Checkpoint { store, position, event_id }, "nothing").await?;
            }
        }
        let mut wakeup = self.wakeups.subscribe();
        let mut progress_at = Timestamp::now();
        loop {
            let goal = *self.goal.borrow();
            if goal.is_some_and(|goal| position >= goal) {
                return Ok(true);
            }
            let limit = 1 + self.dice.below(PAGE_EVENTS_MAX) as usize;
            let page = self.store.read_all(&self.scope, position, &self.filter, limit).await?;
            let now = Timestamp::now();
            if page.scanned_to > position || !page.events.is_empty() {
                journal.write(&line(position, &page, progress_at, now))?;
                position = page.scanned_to;
                progress_at = now;
            } else if goal.is_some() && now.duration_since(progress_at).unsigned_abs() > PATIENCE {
                return Err(format!("a reader stands at {position} and does not reach {goal:?}").into());
            }
            if self.dice.chance(2) {
                return Ok(false);
            }
            if page.at_head {
                self.wait(&mut wakeup).await;
            }
        }
    }

    async fn wait(&mut self, wakeup: &mut Wakeup) {
        tokio::select! {
            () = wakeup.hint() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            // The goal's owner may be gone; then the poll goes on.
            Ok(()) = self.goal.changed() => {}
        }
    }
}

fn line(after: Position, page: &LogPage, progress_at: Timestamp, now: Timestamp) -> PageLine {
    // The log was ahead since its first new event, or since this reader could know.
    let ahead_since = page.events.first().map_or(now, |event| event.recorded_at.max(progress_at));
    let stall = now.duration_since(ahead_since);
    PageLine {
        after: after.number(),
        scanned_to: page.scanned_to.number(),
        scanned_to_id: page.scanned_to_id,
        seen: page.events.iter().map(Seen::new).collect(),
        stall_micros: u64::try_from(stall.as_micros()).unwrap_or(0),
    }
}
