//! Keeps one view up to date.
//!
//! ```text
//!            ┌────────────── rows and checkpoint stored ◄─────────┐
//!            ▼                                                    │
//!  start ─► CatchingUp ──── nothing above the checkpoint ────► Live ── hint or poll ──► read on
//!            │   │
//!            │   └─ an event it cannot take ──► Paused   (rows up to the commit before it are stored)
//!            └───── a failure a repeat does not mend ──► Failed
//! ```
//!
//! What happens when something fails: a failure that may pass is tried again after a pause that
//! doubles, and shows in the state. A checkpoint moved by another process is read again. A rebuild
//! that swapped the table in makes the runner find the new one. `Paused` and `Failed` wait for a
//! person; other views go on. A crash at any point leaves rows and checkpoint as they were before
//! the batch, or after it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use underlay_core::{
    Checkpoint, Error, EventStoreExt, LogFilter, LogPage, LogScope, Position, RecordedEvent, RowChange,
    ViewBatch, ViewStatus, ViewTable, Wakeup,
};

use crate::fold::{ViewFault, ViewFolder, commit_end};
use crate::{Engine, OnViewChange};

/// Positions a view may have looked at, and found nothing in, before it stores how far it is.
const UNSTORED_POSITIONS_MAX: u64 = 50_000;
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
}

/// A table on its way along the log.
pub(crate) struct Progress {
    pub(crate) table: ViewTable,
    filter: LogFilter,
    /// As it is stored with the rows.
    stored: Checkpoint,
    /// As far as the log was looked at; at or beyond `stored`.
    pub(crate) scanned: Checkpoint,
    ahead: Option<LogPage>,
}

/// What one step came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was looked at; there may be more.
    Advanced,
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
        (Self { engine, folder, name, state, stopped, wakeup }, receiver)
    }

    /// Runs until stopped.
    pub(crate) async fn run(mut self) {
        let mut pause = self.engine.config().retry_delay_min;
        while !*self.stopped.borrow() {
            let Err(error) = self.follow(&mut pause).await else { return };
            let (status, goes_on) = match &error {
                StepError::Fault(_) => (ViewStatus::Paused, false),
                // Another process stored first, or a rebuild took the table away: look again at once.
                StepError::Failed(Error::CheckpointMoved { .. } | Error::NotFound(_)) => continue,
                StepError::Failed(error) => (
                    if error.is_retryable() { ViewStatus::CatchingUp } else { ViewStatus::Failed },
                    error.is_retryable(),
                ),
            };
            tracing::error!(view = self.name, %error, goes_on, "the view stopped");
            self.state.send_modify(|state| {
                state.status = status;
                state.error = Some(error.to_string());
            });
            if goes_on {
                self.wait(pause, false).await;
                pause = (pause * 2).min(self.engine.config().retry_delay_max);
            } else {
                // The sender may be gone: then the process is ending as well.
                let _ended = self.stopped.wait_for(|stopped| *stopped).await;
            }
        }
    }

    /// Follows the log until stopped, or an error.
    async fn follow(&mut self, pause: &mut Duration) -> Result<(), StepError> {
        let mut progress = match self.engine.open_view(&*self.folder).await {
            Err(Error::ViewChanged { .. })
                if self.engine.config().on_view_change == OnViewChange::Rebuild =>
            {
                self.engine.rebuild_folder(&*self.folder, |_| {}).await?;
                self.engine.open_view(&*self.folder).await?
            }
            opened => opened?,
        };
        while !*self.stopped.borrow() {
            let step = self.engine.step_view(&*self.folder, &mut progress).await?;
            *pause = self.engine.config().retry_delay_min;
            let status = match step {
                Step::Advanced if progress.ahead.is_some() => ViewStatus::CatchingUp,
                Step::Advanced | Step::AtHead => ViewStatus::Live,
            };
            self.state.send_if_modified(|state| {
                let position = progress.scanned.position;
                let changed = state.status != status || state.position != position || state.error.is_some();
                (state.status, state.position, state.error) = (status, position, None);
                changed
            });
            if step == Step::AtHead {
                self.engine.check_view(&self.name, &progress.scanned).await?;
                if !self.wait(self.engine.config().view_poll_interval, true).await {
                    // Quiet: let other processes see how far this view is.
                    self.engine.store_progress(&mut progress, Vec::new()).await?;
                }
            }
        }
        self.engine.store_progress(&mut progress, Vec::new()).await?;
        Ok(())
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

    /// Reads the next page, folds it, stores rows and checkpoint. The page after it is read meanwhile.
    pub(crate) async fn step_view(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
    ) -> Result<Step, StepError> {
        let page = match progress.ahead.take() {
            Some(page) => page,
            None => self.read_page(progress, progress.scanned.position).await?,
        };
        if page.scanned_to == progress.scanned.position {
            return Ok(Step::AtHead);
        }
        let to = Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..progress.scanned };
        let next = async {
            // Only where there is more: at the head it would read nothing.
            if page.at_head { Ok(None) } else { self.read_page(progress, page.scanned_to).await.map(Some) }
        };
        let (changes, ahead) = tokio::join!(self.fold_events(folder, &progress.table, page.events), next);
        let changes = match changes {
            Err(StepError::Fault(fault)) => {
                self.store_before(folder, progress, &fault).await?;
                return Err(fault.into());
            }
            changes => changes?,
        };
        progress.scanned = to;
        if !changes.is_empty()
            || to.position.number() - progress.stored.position.number() >= UNSTORED_POSITIONS_MAX
        {
            self.store_progress(progress, changes).await?;
        }
        progress.ahead = ahead?;
        Ok(Step::Advanced)
    }

    /// Stores rows, and the checkpoint they lead to.
    pub(crate) async fn store_progress(
        &self,
        progress: &mut Progress,
        changes: Vec<RowChange>,
    ) -> Result<(), Error> {
        if changes.is_empty() && progress.stored == progress.scanned {
            return Ok(());
        }
        let batch = ViewBatch { from: progress.stored, to: progress.scanned, changes };
        self.read_models().apply(&progress.table, batch).await?;
        progress.stored = progress.scanned;
        Ok(())
    }

    async fn read_page(&self, progress: &Progress, after: Position) -> Result<LogPage, Error> {
        let limit = self.config().view_batch_events_max;
        self.store().read_all(&LogScope::EveryTenant, after, &progress.filter, limit).await
    }

    async fn fold_events(
        &self,
        folder: &dyn ViewFolder,
        table: &ViewTable,
        events: Vec<RecordedEvent>,
    ) -> Result<Vec<RowChange>, StepError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let heavy = events.len() > INLINE_EVENTS_MAX;
        let routed = off_the_loop(heavy, || folder.route(events))?;
        let rows = self.read_models().load(table, &routed.addresses()).await?;
        Ok(off_the_loop(heavy, || routed.fold(rows))?)
    }

    /// Stores what comes before the commit that holds an event the view cannot take.
    async fn store_before(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
        fault: &ViewFault,
    ) -> Result<(), StepError> {
        let page = self.read_page(progress, progress.scanned.position).await?;
        let before: Vec<RecordedEvent> =
            page.events.into_iter().take_while(|event| commit_end(event) < fault.commit_end).collect();
        let Some(last) = before.last().map(commit_end) else { return Ok(()) };
        let event_id = self.store().event_id_at(last).await?;
        let changes = self.fold_events(folder, &progress.table, before).await?;
        progress.scanned = Checkpoint { position: last, event_id, ..progress.scanned };
        Ok(self.store_progress(progress, changes).await?)
    }
}

impl Progress {
    pub(crate) fn new(folder: &dyn ViewFolder, table: ViewTable, stored: Checkpoint) -> Self {
        Self { table, filter: folder.filter(), stored, scanned: stored, ahead: None }
    }
}

/// Runs work that holds the processor; heavy work where the runtime's other tasks can move aside.
fn off_the_loop<T>(heavy: bool, work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let many_threads =
        Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if heavy && many_threads { tokio::task::block_in_place(work) } else { work() }
}
