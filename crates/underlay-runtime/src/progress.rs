//! A view's way along the log: pages are read and folded, and rows are stored with the checkpoint they
//! lead to.
//!
//! While there is more to read, folded rows are held for a moment, so that one that changes in many
//! pages is stored once. They are bounded, and are not answered from: rows and checkpoint are stored
//! together, and a crash at any point leaves both as they were before that, or after it.

use std::time::Duration;

use underlay_core::{
    Checkpoint, Error, EventStoreExt, LeaseTerm, LogFilter, LogPage, LogScope, Position, RecordedEvent,
    Timestamp, ViewBatch, ViewTable,
};

use crate::Engine;
use crate::fold::{ViewFault, ViewFolder, commit_end};
use crate::held_rows::HeldRows;

/// Positions a view may be ahead of what it has stored.
const UNSTORED_POSITIONS_MAX: u64 = 250_000;
/// Rows a view that is catching up may hold before it stores them.
const HELD_ROWS_MAX: usize = 16_384;
/// Bytes such rows may hold.
const HELD_BYTES_MAX: usize = 16 << 20;
/// How long such rows may be held.
const HELD_TIME_MAX: Duration = Duration::from_millis(250);
/// How long a view under a lease may be ahead of its checkpoint at the head of the log, where no row
/// changed: other processes know by the checkpoint how far it is.
pub(crate) const UNSHOWN_TIME_MAX: Duration = Duration::from_millis(100);
/// Batches up to this size are worked on in place; larger ones on a thread for blocking work.
const INLINE_EVENTS_MAX: usize = 64;

/// A table on its way along the log.
pub(crate) struct Progress {
    pub(crate) table: ViewTable,
    /// What its rows are stored under; none where nobody shares the work.
    pub(crate) lease: Option<LeaseTerm>,
    filter: LogFilter,
    /// As it is stored with the rows.
    stored: Checkpoint,
    /// As far as the log was looked at; at or beyond `stored`.
    pub(crate) scanned: Checkpoint,
    /// Since when it is beyond.
    ahead_since: Option<Timestamp>,
    /// What was folded between the two.
    held: HeldRows,
    /// The rows that are stored reflect every event at or below it; between the two as well.
    pub(crate) reflected: Position,
    ahead: Option<LogPage>,
}

/// What one step came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was looked at, and there is more.
    Advanced,
    /// Something was looked at, up to what was the head of the log.
    ReachedHead,
    /// Nothing is above the checkpoint.
    AtHead,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Fault(#[from] ViewFault),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Engine {
    /// Finds or makes a view's table, and checks its checkpoint against the log.
    pub(crate) async fn open_view(&self, folder: &dyn ViewFolder) -> Result<Progress, Error> {
        let schema = folder.schema();
        let start = Checkpoint::start(self.store().store_id());
        let table = self.read_models().prepare(&schema, start).await?;
        let stored = self.read_models().checkpoint(&table).await?;
        self.check_view(&schema.name, &stored).await?;
        self.tables().insert(schema.name, table.clone());
        Ok(Progress::new(folder, table, stored))
    }

    /// Refuses a checkpoint that does not fit the log.
    pub(crate) async fn check_view(&self, view: &str, checkpoint: &Checkpoint) -> Result<(), Error> {
        let repair = format!("{} view rebuild {view}", self.config().program);
        self.store().check(&format!("view {view}"), checkpoint, &repair).await
    }

    /// Reads the next page and folds it; the page after it is read meanwhile. Rows and checkpoint are
    /// stored where this is the head of the log, or where as much is held as may be.
    pub(crate) async fn step_view(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
    ) -> Result<Step, StepError> {
        let page = match progress.ahead.take() {
            Some(page) => page,
            None => self.read_page(&progress.filter, progress.scanned.position).await?,
        };
        if page.scanned_to == progress.scanned.position {
            if !progress.held.is_empty() {
                self.store_progress(progress).await?;
            }
            return Ok(Step::AtHead);
        }
        let to = Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..progress.scanned };
        let next = async {
            // Only where there is more: at the head it would read nothing.
            if page.at_head {
                return Ok(None);
            }
            self.read_page(&progress.filter, page.scanned_to).await.map(Some)
        };
        let fold = self.fold_events(folder, &progress.table, &mut progress.held, page.events);
        let (folded, ahead) = tokio::join!(fold, next);
        if let Err(error) = folded {
            return Err(match error {
                StepError::Fault(fault) => self.store_before(folder, progress, fault).await,
                failed => failed,
            });
        }
        let now = self.clock().now();
        progress.scanned = to;
        progress.ahead_since.get_or_insert(now);
        if progress.is_due(page.at_head, now) {
            self.store_progress(progress).await?;
        } else if progress.held.is_empty() {
            progress.reflected = progress.scanned.position;
        }
        progress.ahead = ahead?;
        Ok(if progress.ahead.is_some() { Step::Advanced } else { Step::ReachedHead })
    }

    /// Stores the rows that are held, and the checkpoint they lead to.
    pub(crate) async fn store_progress(&self, progress: &mut Progress) -> Result<(), Error> {
        let changes = progress.held.take_changes();
        if changes.is_empty() && progress.stored == progress.scanned {
            return Ok(());
        }
        let lease = progress.lease.clone();
        let batch = ViewBatch { from: progress.stored, to: progress.scanned, changes, lease };
        self.read_models().apply(&progress.table, batch).await?;
        progress.stored = progress.scanned;
        progress.ahead_since = None;
        progress.reflected = progress.scanned.position;
        Ok(())
    }

    async fn read_page(&self, filter: &LogFilter, after: Position) -> Result<LogPage, Error> {
        let limit = self.config().view_batch_events_max;
        self.store().read_all(&LogScope::EveryTenant, after, filter, limit).await
    }

    /// Folds events into the rows that are held; all of them, or where one cannot be taken, none.
    async fn fold_events(
        &self,
        folder: &dyn ViewFolder,
        table: &ViewTable,
        held: &mut HeldRows,
        events: Vec<RecordedEvent>,
    ) -> Result<(), StepError> {
        if events.is_empty() {
            return Ok(());
        }
        let heavy = events.len() > INLINE_EVENTS_MAX;
        let (routed, places, missing) = off_the_loop(heavy, || {
            let routed = folder.route(events)?;
            let (places, missing) = held.find(routed.addresses()?);
            Ok::<_, ViewFault>((routed, places, missing))
        })?;
        if !missing.is_empty() {
            let stored = self.read_models().load(table, &missing).await?;
            held.hold(missing, stored, self.clock().now());
        }
        Ok(off_the_loop(heavy, || {
            let rows = routed.fold(held.values(&places))?;
            held.replace(&places, rows);
            Ok::<_, ViewFault>(())
        })?)
    }

    /// Stores what comes before the first event the view cannot take, and says which that is. `fault` is
    /// the one that came to light first; rows are folded one by one, so an earlier one may follow.
    async fn store_before(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
        mut fault: ViewFault,
    ) -> StepError {
        loop {
            match self.store_up_to(folder, progress, &fault).await {
                Ok(()) => return fault.into(),
                Err(StepError::Fault(earlier)) => fault = earlier,
                Err(failed) => return failed,
            }
        }
    }

    /// Stores what comes before the commit that holds an event the view cannot take.
    async fn store_up_to(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
        fault: &ViewFault,
    ) -> Result<(), StepError> {
        let page = self.read_page(&progress.filter, progress.scanned.position).await?;
        let before: Vec<RecordedEvent> =
            page.events.into_iter().take_while(|event| commit_end(event) < fault.commit_end).collect();
        if let Some(last) = before.last().map(commit_end) {
            let event_id = self.store().event_id_at(last).await?;
            self.fold_events(folder, &progress.table, &mut progress.held, before).await?;
            progress.scanned = Checkpoint { position: last, event_id, ..progress.scanned };
        }
        Ok(self.store_progress(progress).await?)
    }
}

impl Progress {
    pub(crate) fn new(folder: &dyn ViewFolder, table: ViewTable, stored: Checkpoint) -> Self {
        Self {
            table,
            lease: None,
            filter: folder.filter(),
            stored,
            scanned: stored,
            ahead_since: None,
            held: HeldRows::default(),
            reflected: stored.position,
            ahead: None,
        }
    }

    /// Whether other processes do not know yet how far it is.
    pub(crate) fn is_unshown(&self) -> bool {
        self.lease.is_some() && self.ahead_since.is_some()
    }

    /// Whether rows and checkpoint are to be stored now. At the head of the log somebody may wait for
    /// them; while there is more to read, a row that changes in many pages is stored once.
    fn is_due(&self, at_head: bool, now: Timestamp) -> bool {
        let ahead = self.scanned.position.number() - self.stored.position.number();
        let held = &self.held;
        let unshown = self.ahead_since.filter(|_| at_head && self.lease.is_some());
        ahead >= UNSTORED_POSITIONS_MAX
            || unshown.is_some_and(|since| has_passed(UNSHOWN_TIME_MAX, since, now))
            || held.len() >= HELD_ROWS_MAX
            || held.bytes() >= HELD_BYTES_MAX
            || held.since().is_some_and(|since| at_head || has_passed(HELD_TIME_MAX, since, now))
    }
}

fn has_passed(duration: Duration, since: Timestamp, now: Timestamp) -> bool {
    // A clock that was set back says no; the other limits hold.
    let microseconds = u64::try_from(now.as_microsecond() - since.as_microsecond()).unwrap_or(0);
    Duration::from_micros(microseconds) >= duration
}

/// Runs work that holds the processor; heavy work where the runtime's other tasks can move aside.
fn off_the_loop<T>(heavy: bool, work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let many_threads =
        Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if heavy && many_threads { tokio::task::block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use underlay_core::{Column, ColumnType, RowAddress, StoreId, TenantId, Value, ViewSchema};
    use uuid::Uuid;

    use super::*;

    fn progress() -> Progress {
        let column = Column {
            name: "note".to_owned(),
            column_type: ColumnType::Text,
            nullable: false,
            indexed: false,
        };
        let schema = ViewSchema { name: "notes".to_owned(), version: 1, columns: vec![column] };
        let start = Checkpoint::start(StoreId(Uuid::nil()));
        Progress {
            table: ViewTable { schema, generation: 1 },
            lease: None,
            filter: LogFilter::default(),
            stored: start,
            scanned: Checkpoint { position: Position::from_number(10), ..start },
            ahead_since: Some(Timestamp::UNIX_EPOCH),
            held: HeldRows::default(),
            reflected: Position::START,
            ahead: None,
        }
    }

    fn hold(progress: &mut Progress, rows: usize, note: &str) {
        let tenant = TenantId::new("acme").unwrap();
        let address = |key: usize| RowAddress { tenant: tenant.clone(), key: key.to_string() };
        let values = vec![Some(vec![Value::Text(note.to_owned())]); rows];
        progress.held.hold((0..rows).map(address).collect(), values, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn rows_are_stored_at_the_head_and_at_every_limit() {
        let now = Timestamp::UNIX_EPOCH;
        let mut one = progress();
        assert!(!one.is_due(true, now), "nothing is held");
        hold(&mut one, 1, "");
        assert!(one.is_due(true, now) && !one.is_due(false, now));
        assert!(one.is_due(false, Timestamp::from_millisecond(250).unwrap()));
        assert!(!one.is_due(false, Timestamp::from_millisecond(-250).unwrap()), "a clock that was set back");

        let mut many = progress();
        hold(&mut many, HELD_ROWS_MAX, "");
        assert!(many.is_due(false, now));
        let mut large = progress();
        hold(&mut large, 1, &"x".repeat(HELD_BYTES_MAX));
        assert!(large.is_due(false, now));
        let mut far = progress();
        far.scanned.position = Position::from_number(UNSTORED_POSITIONS_MAX);
        assert!(far.is_due(false, now));
    }

    #[test]
    fn under_a_lease_a_checkpoint_is_soon_stored_where_no_row_changed() {
        let mut alone = progress();
        let later = Timestamp::from_millisecond(100).unwrap();
        assert!(!alone.is_due(true, later) && !alone.is_unshown(), "nobody else looks at it");
        let id = underlay_core::LeaseId::draw();
        alone.lease = Some(LeaseTerm { name: "view notes".to_owned(), term: 1, id });
        assert!(!alone.is_due(true, Timestamp::UNIX_EPOCH), "hints that come close together are one");
        assert!(alone.is_due(true, later) && alone.is_unshown());
        assert!(!alone.is_due(false, later), "while there is more to read nobody waits for this");
    }
}
