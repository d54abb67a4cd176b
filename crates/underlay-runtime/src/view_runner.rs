//! Keeps one view up to date.
//!
//! ```text
//!            ┌────────────── rows and checkpoint stored ◄─────────┐
//!            ▼                                                    │
//!  start ─► CatchingUp ──── nothing above the checkpoint ────► Live ── hint or poll ──► read on
//!            │   │
//!            │   └─ an event it cannot take ──► Paused ─┐ (rows up to the commit before it are stored)
//!            └───── a failure a repeat does not mend ──► Failed ─┴─ the view is rebuilt ──► CatchingUp
//! ```
//!
//! What happens when something fails: a failure that may pass is tried again after a pause that
//! doubles, and shows in the state. A checkpoint moved by another process is read again. A rebuild
//! that swapped the table in makes the runner find the new one. `Paused` and `Failed` wait for a
//! person; other views go on. Where that person rebuilds the view, in whatever process, the runner
//! goes on by itself.
//!
//! A definition that changed is rebuilt, where that is configured, only before the runner has opened
//! the view: a process that finds it rebuilt under its hands is the older one, and must not undo what
//! the newer did. Of several processes that rebuild a view one does, and the others wait for it as long
//! as it comes on.
//!
//! While there is more to read, folded rows are held for a moment, so that one that changes in many
//! pages is stored once. They are bounded, and are not answered from: rows and checkpoint are stored
//! together, and a crash at any point leaves both as they were before that, or after it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use underlay_core::{
    Checkpoint, Error, EventStoreExt, LogFilter, LogPage, LogScope, Position, RecordedEvent, Timestamp,
    ViewBatch, ViewInfo, ViewStatus, ViewTable, Wakeup,
};

use crate::fold::{ViewFault, ViewFolder, commit_end};
use crate::held_rows::HeldRows;
use crate::{Engine, OnViewChange};

/// Positions a view may be ahead of what it has stored.
const UNSTORED_POSITIONS_MAX: u64 = 250_000;
/// Rows a view that is catching up may hold before it stores them.
const HELD_ROWS_MAX: usize = 16_384;
/// Bytes such rows may hold.
const HELD_BYTES_MAX: usize = 16 << 20;
/// How long such rows may be held.
const HELD_TIME_MAX: Duration = Duration::from_millis(250);
/// Batches up to this size are worked on in place; larger ones on a thread for blocking work.
const INLINE_EVENTS_MAX: usize = 64;

/// What a view's runner is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewState {
    /// The view.
    pub name: String,
    /// Where it stands.
    pub status: ViewStatus,
    /// Its rows reflect every event at or below it.
    pub position: Position,
    /// Why it does not go on, or what is being tried again.
    pub error: Option<String>,
}

pub(crate) struct ViewRunner {
    engine: Engine,
    folder: Arc<dyn ViewFolder>,
    name: String,
    state: watch::Sender<ViewState>,
    stopped: watch::Receiver<bool>,
    wakeup: Wakeup,
    /// Failures since the last step.
    failures: u32,
    /// Whether it has had the view open.
    opened: bool,
    /// What the catalogue held before it was last opened.
    seen: Option<ViewInfo>,
}

/// A table on its way along the log.
pub(crate) struct Progress {
    pub(crate) table: ViewTable,
    filter: LogFilter,
    /// As it is stored with the rows.
    stored: Checkpoint,
    /// As far as the log was looked at; at or beyond `stored`.
    pub(crate) scanned: Checkpoint,
    /// What was folded between the two.
    held: HeldRows,
    /// The rows that are stored reflect every event at or below it; between the two as well.
    reflected: Position,
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

impl ViewRunner {
    pub(crate) fn new(
        engine: Engine,
        folder: Arc<dyn ViewFolder>,
        stopped: watch::Receiver<bool>,
    ) -> (Self, watch::Receiver<ViewState>) {
        let name = folder.schema().name;
        let state = ViewState {
            name: name.clone(),
            status: ViewStatus::CatchingUp,
            position: Position::START,
            error: None,
        };
        let (state, receiver) = watch::channel(state);
        let wakeup = engine.wakeups().subscribe();
        let runner =
            Self { engine, folder, name, state, stopped, wakeup, failures: 0, opened: false, seen: None };
        (runner, receiver)
    }

    /// Runs until stopped.
    pub(crate) async fn run(mut self) {
        while !self.is_stopped() {
            let Err(error) = self.follow().await else { continue };
            self.failures = self.failures.saturating_add(1);
            if let StepError::Failed(Error::CheckpointMoved { .. } | Error::NotFound(_)) = &error {
                // Another process stored first, or a rebuild took the table away: the first time it is
                // looked at again at once.
                self.wait(self.retry_delay(self.failures - 1), false).await;
                continue;
            }
            let (status, goes_on) = match &error {
                StepError::Fault(_) => (ViewStatus::Paused, false),
                StepError::Failed(error) if error.is_retryable() => (ViewStatus::CatchingUp, true),
                StepError::Failed(_) => (ViewStatus::Failed, false),
            };
            tracing::error!(view = self.name, %error, goes_on, "the view stopped");
            self.state.send_modify(|state| {
                state.status = status;
                state.error = Some(error.to_string());
            });
            if goes_on {
                self.wait(self.retry_delay(self.failures), false).await;
            } else {
                self.wait_for_rebuild().await;
            }
        }
    }

    /// Follows the log until stopped, or an error.
    async fn follow(&mut self) -> Result<(), StepError> {
        self.seen = self.catalogued().await?;
        let mut progress = match self.engine.open_view(&*self.folder).await {
            Err(Error::ViewChanged { .. })
                if self.engine.config().on_view_change == OnViewChange::Rebuild && !self.opened =>
            {
                return self.rebuild().await;
            }
            opened => opened?,
        };
        self.opened = true;
        while !self.is_stopped() {
            let step = self.engine.step_view(&*self.folder, &mut progress).await?;
            self.failures = 0;
            let status = match step {
                Step::Advanced => ViewStatus::CatchingUp,
                Step::ReachedHead | Step::AtHead => ViewStatus::Live,
            };
            self.state.send_if_modified(|state| {
                let position = progress.reflected;
                let changed = state.status != status || state.position != position || state.error.is_some();
                (state.status, state.position, state.error) = (status, position, None);
                changed
            });
            if step == Step::AtHead {
                self.engine.check_view(&self.name, &progress.scanned).await?;
                if !self.wait(self.engine.config().view_poll_interval, true).await {
                    // Quiet: let other processes see how far this view is.
                    self.engine.store_progress(&mut progress).await?;
                }
            }
        }
        self.engine.store_progress(&mut progress).await?;
        Ok(())
    }

    /// Rebuilds the view; where another process is at it, waits for that one as long as it comes on.
    async fn rebuild(&mut self) -> Result<(), StepError> {
        if self.seen.as_ref().is_some_and(|info| info.building.is_some()) {
            self.wait(self.engine.config().retry_delay_max, false).await;
            if self.catalogued().await? != self.seen {
                return Ok(());
            }
        }
        tokio::select! {
            rebuilt = self.engine.rebuild_folder(&*self.folder, |_| {}) => {
                rebuilt?;
            }
            // What was begun is not read by anybody; the next rebuild replaces it.
            _ = self.stopped.changed() => {}
        }
        Ok(())
    }

    /// Waits until somebody has rebuilt the view, or the end.
    async fn wait_for_rebuild(&mut self) {
        let generation = |info: &Option<ViewInfo>| info.as_ref().map(|info| info.generation);
        while !self.is_stopped() {
            self.wait(self.engine.config().view_poll_interval, false).await;
            match self.catalogued().await {
                Ok(now) if generation(&now) != generation(&self.seen) => return,
                Ok(_) => {}
                Err(error) => tracing::debug!(view = self.name, %error, "looking whether it was rebuilt"),
            }
        }
    }

    /// What the catalogue holds of the view.
    async fn catalogued(&self) -> Result<Option<ViewInfo>, Error> {
        let views = self.engine.read_models().views().await?;
        Ok(views.into_iter().find(|view| view.name == self.name))
    }

    /// Whether it is to end: it was told to, or nobody is left to tell it.
    fn is_stopped(&self) -> bool {
        *self.stopped.borrow() || self.stopped.has_changed().is_err()
    }

    /// The pause after so many failures in a row; it doubles with each.
    fn retry_delay(&self, failures: u32) -> Duration {
        let config = self.engine.config();
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 2_u32.saturating_pow(doublings);
        config.retry_delay_min.saturating_mul(factor).min(config.retry_delay_max)
    }

    /// Waits; true where a hint ended it.
    async fn wait(&mut self, duration: Duration, hints: bool) -> bool {
        let clock = self.engine.clock().clone();
        tokio::select! {
            () = self.wakeup.hint(), if hints => true,
            () = clock.sleep(duration) => false,
            _ = self.stopped.changed() => false,
        }
    }
}

impl Engine {
    /// Finds or makes a view's table, and checks its checkpoint against the log.
    async fn open_view(&self, folder: &dyn ViewFolder) -> Result<Progress, Error> {
        let schema = folder.schema();
        let start = Checkpoint::start(self.store().store_id());
        let table = self.read_models().prepare(&schema, start).await?;
        let stored = self.read_models().checkpoint(&table).await?;
        self.check_view(&schema.name, &stored).await?;
        self.tables().insert(schema.name, table.clone());
        Ok(Progress::new(folder, table, stored))
    }

    /// Refuses a checkpoint that does not fit the log.
    async fn check_view(&self, view: &str, checkpoint: &Checkpoint) -> Result<(), Error> {
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
        progress.scanned = to;
        if progress.is_due(page.at_head, self.clock().now()) {
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
        let batch = ViewBatch { from: progress.stored, to: progress.scanned, changes, lease: None };
        self.read_models().apply(&progress.table, batch).await?;
        progress.stored = progress.scanned;
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
            filter: folder.filter(),
            stored,
            scanned: stored,
            held: HeldRows::default(),
            reflected: stored.position,
            ahead: None,
        }
    }

    /// Whether rows and checkpoint are to be stored now. At the head of the log somebody may wait for
    /// them; while there is more to read, a row that changes in many pages is stored once.
    fn is_due(&self, at_head: bool, now: Timestamp) -> bool {
        let ahead = self.scanned.position.number() - self.stored.position.number();
        let held = &self.held;
        ahead >= UNSTORED_POSITIONS_MAX
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
            filter: LogFilter::default(),
            stored: start,
            scanned: Checkpoint { position: Position::from_number(10), ..start },
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
}
