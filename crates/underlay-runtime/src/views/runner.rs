//! Keeps one view up to date.
//!
//! ```text
//!            ┌─────────────── rows and checkpoint stored ◄──────────┐
//!            ▼                                                      │
//!  start ─► CatchingUp ───── nothing above the checkpoint ─────► Live ── hint or poll ──► read on
//!    ▲       │ │  │
//!    │       │ │  └─ another process holds the lease ──► Standby ─┐ (also from Live)
//!    │◄──────┼─┼── the lease is free, or has run out ─────────────┘
//!    │       │ └──── an event it cannot take ──► Paused ─┐ (rows up to the commit before it are stored)
//!    │       └────── a failure a repeat does not mend ──► Failed ─┐
//!    └◄────── the view is rebuilt, or another process took the event ─┘
//! ```
//!
//! Where several processes share a store, one of them folds a view at a time: the one that holds its
//! lease. It stores rows under the lease's term, so one that was paused and comes back stores nothing;
//! that the checkpoint is compared keeps the rows true in any case. The others stand by: they know by
//! the checkpoint how far the view is, and ask for the lease at every poll. Who ends in good order
//! gives the lease back; where a process is killed the lease runs out.
//!
//! What happens when something fails: a failure that may pass is tried again after a pause that
//! doubles, and shows in the state. A checkpoint moved by another process is read again. A rebuild
//! that swapped another generation in makes the runner open that one: it looks at every poll whether the
//! one it folds is read, and at once where somebody waits for the view and finds it is not. `Paused` and `Failed` give the lease
//! back, as another process may be of a newer version that can go on, and wait for a person; other
//! views go on. Where that person rebuilds the view, in whatever process, or another process gets past
//! the event, the runner goes on by itself.
//!
//! A definition that changed is rebuilt, where that is configured, only before the runner has opened
//! the view: a process that finds it rebuilt under its hands is the older one, and must not undo what
//! the newer did. Of several processes that rebuild a view one does, and the others wait for it as long
//! as it comes on.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, watch};
use underlay_core::{Error, Position, Swept, Timestamp, ViewInfo, ViewStatus, ViewTable, Wakeup};

use crate::subscription::held_lease::HeldLease;
use crate::views::fold::ViewFolder;
use crate::views::progress::{Progress, Step, StepError, UNSHOWN_TIME_MAX, has_passed};
use crate::views::rebuild::rebuild_lease;
use crate::{Engine, OnViewChange, RebuildFrom};

/// How often a view that another process folds is looked at while somebody waits for it.
pub(crate) const FOREIGN_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Pieces of discarded generations that are removed at one quiet moment.
const SWEEPS_MAX: usize = 64;

/// The lease of who folds a view.
pub(crate) fn view_lease(view: &str) -> String {
    format!("view:{view}")
}

/// What a view's runner is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewState {
    /// The view.
    pub name: String,
    /// Where it stands.
    pub status: ViewStatus,
    /// The generation it folds; 0 until it has one.
    pub generation: u32,
    /// Its rows reflect every event at or below it.
    pub position: Position,
    /// Why it does not go on, or what is being tried again.
    pub error: Option<String>,
}

/// What the rest of the engine knows of a runner.
#[derive(Clone, Debug)]
pub(crate) struct RunnerHandle {
    pub(crate) state: watch::Receiver<ViewState>,
    /// How many wait for the view to come on.
    waiting: Arc<watch::Sender<usize>>,
    /// That another generation may be read now.
    swapped: Arc<Notify>,
}

impl RunnerHandle {
    /// Makes the runner look at once which generation is read.
    pub(crate) fn look_again(&self) {
        self.swapped.notify_one();
    }

    /// Says that somebody waits for the view, until the answer is dropped: a runner that stands by
    /// looks more often meanwhile.
    pub(crate) fn wait(&self) -> Waiting {
        self.waiting.send_if_modified(|waiting| {
            *waiting += 1;
            *waiting == 1
        });
        Waiting(self.waiting.clone())
    }
}

/// Somebody waits for a view.
pub(crate) struct Waiting(Arc<watch::Sender<usize>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.send_if_modified(|waiting| {
            *waiting -= 1;
            false
        });
    }
}

pub(crate) struct ViewRunner {
    engine: Engine,
    folder: Arc<dyn ViewFolder>,
    name: String,
    state: watch::Sender<ViewState>,
    stopped: watch::Receiver<bool>,
    waiting: watch::Receiver<usize>,
    swapped: Arc<Notify>,
    wakeup: Wakeup,
    /// The right to fold the view; none while it is another's, or where nobody asks for one.
    lease: Option<HeldLease>,
    /// Failures since the last step.
    failures: u32,
    /// Whether it has had the view open.
    opened: bool,
    /// What the catalogue held before it was last opened.
    seen: Option<ViewInfo>,
    /// When it last looked whether the generation it folds is the one that is read.
    looked_at: Timestamp,
}

impl ViewRunner {
    pub(crate) fn new(
        engine: Engine,
        folder: Arc<dyn ViewFolder>,
        stopped: watch::Receiver<bool>,
    ) -> (Self, RunnerHandle) {
        let name = folder.schema().name;
        let state = ViewState {
            name: name.clone(),
            status: ViewStatus::CatchingUp,
            generation: 0,
            position: Position::START,
            error: None,
        };
        let swapped = Arc::<Notify>::default();
        let looked_at = engine.clock().now();
        let (state, receiver) = watch::channel(state);
        let (count, waiting) = watch::channel(0);
        let wakeup = engine.wakeups().subscribe();
        let runner = Self {
            engine,
            folder,
            name,
            state,
            stopped,
            waiting,
            swapped: swapped.clone(),
            wakeup,
            lease: None,
            failures: 0,
            opened: false,
            seen: None,
            looked_at,
        };
        (runner, RunnerHandle { state: receiver, waiting: Arc::new(count), swapped })
    }

    /// Runs until stopped.
    pub(crate) async fn run(mut self) {
        while !self.is_stopped() {
            if let Err(error) = self.follow().await {
                self.recover(error).await;
            }
        }
        self.let_go().await;
    }

    /// Pauses for as long as a failure asks for.
    async fn recover(&mut self, error: StepError) {
        self.failures = self.failures.saturating_add(1);
        let lost = matches!(&error, StepError::Failed(Error::LeaseLost { .. }));
        self.lease.take_if(|lease| lost || lease.is_lost());
        if lost || matches!(&error, StepError::Failed(Error::CheckpointMoved { .. } | Error::NotFound(_))) {
            // Another process stored first or may fold now, or a rebuild took the table away: the first
            // time it is looked at again at once.
            self.wait(self.engine.config().retry_delay(self.failures - 1), false).await;
            return;
        }
        let (status, goes_on) = match &error {
            StepError::Fault(_) => (ViewStatus::Paused, false),
            StepError::Failed(error) if error.is_retryable() => (ViewStatus::CatchingUp, true),
            StepError::Failed(_) => (ViewStatus::Failed, false),
        };
        tracing::error!(view = self.name, %error, goes_on, "the view stopped");
        let seen = self.seen.as_ref().map(|seen| (seen.active.number, seen.active.checkpoint.position));
        let (generation, position) = seen.unwrap_or((0, Position::START));
        self.state.send_modify(|state| {
            if state.generation != generation {
                // It could not be opened; how far the one before had come says nothing of this one.
                (state.generation, state.position) = (generation, position);
            }
            state.status = status;
            state.error = Some(error.to_string());
        });
        if goes_on {
            self.wait(self.engine.config().retry_delay(self.failures), false).await;
            return;
        }
        self.let_go().await;
        match error {
            StepError::Fault(fault) => self.wait_for_others(Some(fault.position())).await,
            StepError::Failed(_) => self.wait_for_others(None).await,
        }
    }

    /// Follows the log until stopped, or an error. Where another process does, stands by until this one
    /// may.
    async fn follow(&mut self) -> Result<(), StepError> {
        self.seen = self.engine.view_info(&self.name).await?;
        let mut progress = match self.engine.open_view(&*self.folder).await {
            Err(Error::ViewChanged { .. })
                if self.engine.config().on_view_change == OnViewChange::Rebuild && !self.opened =>
            {
                return self.rebuild().await;
            }
            opened => opened?,
        };
        self.opened = true;
        if self.engine.leases().is_some() && self.lease.is_none() && !self.take_lease().await? {
            return self.stand_by(&progress.table).await;
        }
        progress.lease = self.lease.as_ref().map(HeldLease::term);
        // A generation that was swapped in may stand before the one that was read until then.
        self.show(ViewStatus::CatchingUp, &progress.table, progress.reflected);
        self.follow_log(&mut progress).await
    }

    async fn follow_log(&mut self, progress: &mut Progress) -> Result<(), StepError> {
        while !self.is_stopped() {
            if let Some(lost) = self.lease.as_ref().filter(|lease| lease.is_lost()) {
                return Err(lost.term().lost().into());
            }
            let step = self.engine.step_view(&*self.folder, progress).await?;
            self.failures = 0;
            let status = match step {
                Step::Advanced => ViewStatus::CatchingUp,
                Step::ReachedHead | Step::AtHead => ViewStatus::Live,
            };
            self.show(status, &progress.table, progress.reflected);
            if step == Step::AtHead {
                self.engine.check_view(&self.name, &progress.scanned).await?;
                let poll_interval = self.engine.config().view_poll_interval;
                let pause =
                    if progress.is_unshown() { poll_interval.min(UNSHOWN_TIME_MAX) } else { poll_interval };
                if !self.wait(pause, true).await {
                    // Quiet: let other processes see how far this view is.
                    self.engine.store_progress(progress).await?;
                    self.look(&progress.table).await?;
                    self.tidy_up(SWEEPS_MAX).await;
                }
            }
            if has_passed(self.engine.config().view_poll_interval, self.looked_at, self.engine.clock().now())
            {
                // Hints may leave it no quiet moment.
                self.look(&progress.table).await?;
                self.tidy_up(1).await;
            }
        }
        Ok(self.engine.store_progress(progress).await?)
    }

    /// Looks whether this is the generation that is read: a rebuild elsewhere may have swapped another one in
    /// without an event to follow. [`Error::NotFound`] opens the view again.
    async fn look(&mut self, table: &ViewTable) -> Result<(), Error> {
        self.looked_at = self.engine.clock().now();
        self.engine.read_models().checkpoint(table).await.map(drop)
    }

    /// Gives up the generation that was replaced, once it was kept for its time, and removes what such
    /// generations have left. Nothing waits for it, and what fails is tried again later.
    async fn tidy_up(&mut self, pieces_max: usize) {
        // Another process may have discarded some since the view was opened.
        let mut seen = match self.engine.view_info(&self.name).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(view = self.name, %error, "looking what discarded generations have left");
                return;
            }
        };
        self.give_up_replaced(&mut seen).await;
        let mut pieces = if seen.discarded == 0 { 0 } else { pieces_max };
        while pieces > 0 {
            pieces = match self.engine.read_models().sweep().await {
                // An event that has come meanwhile is folded first.
                Ok(Swept::Piece) if pieces > 1 && self.wait(Duration::ZERO, true).await => 0,
                Ok(Swept::Piece) => pieces - 1,
                Ok(Swept::Held | Swept::All) => 0,
                Err(error) => {
                    tracing::debug!(view = self.name, %error, "sweeping up after discarded generations");
                    0
                }
            };
        }
    }

    async fn give_up_replaced(&self, seen: &mut ViewInfo) {
        let read_models = self.engine.read_models();
        let kept = self.engine.config().view_replaced_kept;
        if let Some((replaced, since)) = seen.replaced
            && since.checked_add(kept).is_ok_and(|until| until <= self.engine.clock().now())
        {
            match read_models.discard(&self.name, replaced.number).await {
                Ok(()) | Err(Error::NotFound(_)) => {
                    seen.replaced = None;
                    seen.discarded += 1;
                }
                Err(error) => tracing::debug!(view = self.name, %error, "discarding what was replaced"),
            }
        }
    }

    /// Shows how far another process is, until this one has the lease, or the end.
    async fn stand_by(&mut self, table: &ViewTable) -> Result<(), StepError> {
        let (clock, interval) = (self.engine.clock().clone(), self.engine.config().view_poll_interval);
        let mut poll = clock.sleep(interval);
        while !self.is_stopped() {
            let stored = self.engine.read_models().checkpoint(table).await?;
            self.failures = 0;
            self.show(ViewStatus::Standby, table, stored.position);
            let waited_for = *self.waiting.borrow_and_update() > 0;
            tokio::select! {
                () = &mut poll => {
                    if self.take_lease().await? {
                        return Ok(());
                    }
                    poll = clock.sleep(interval);
                }
                () = clock.sleep(FOREIGN_POLL_INTERVAL), if waited_for => {}
                Ok(()) = self.waiting.changed() => {}
                _ = self.stopped.changed() => {}
            }
        }
        Ok(())
    }

    /// Rebuilds the view; where another process is at it, waits for that one as long as it comes on.
    async fn rebuild(&mut self) -> Result<(), StepError> {
        let lease = if self.engine.leases().is_some() {
            let Some(lease) = self.engine.acquire_lease(&rebuild_lease(&self.name)).await? else {
                self.wait(self.engine.config().view_poll_interval, false).await;
                return Ok(());
            };
            let fingerprint = self.folder.schema().fingerprint();
            let read = self.engine.view_info(&self.name).await?;
            if read.is_some_and(|info| info.active.fingerprint == fingerprint) {
                lease.release().await;
                return Ok(());
            }
            Some(lease)
        } else {
            if self.seen.as_ref().is_some_and(|info| info.building.is_some()) {
                self.wait(self.engine.config().retry_delay_max, false).await;
                if self.engine.view_info(&self.name).await? != self.seen {
                    return Ok(());
                }
            }
            None
        };
        let rebuilt = tokio::select! {
            rebuilt = self.engine.rebuild_folder(&*self.folder, RebuildFrom::default(), |_| {}) => {
                rebuilt.map(|_| ())
            }
            // What was begun is not read by anybody; the next rebuild goes on with it.
            _ = self.stopped.changed() => Ok(()),
        };
        if let Some(lease) = lease {
            lease.release().await;
        }
        Ok(rebuilt?)
    }

    /// Waits until somebody has rebuilt the view or has got past the event it stopped at, or the end.
    async fn wait_for_others(&mut self, event: Option<Position>) {
        let generation = |info: &Option<ViewInfo>| info.as_ref().map(|info| info.active.number);
        while !self.is_stopped() {
            self.wait(self.engine.config().view_poll_interval, false).await;
            match self.engine.view_info(&self.name).await {
                Ok(now) if generation(&now) != generation(&self.seen) => return,
                Ok(Some(now)) if event.is_some_and(|event| now.active.checkpoint.position >= event) => return,
                Ok(_) => {}
                Err(error) => tracing::debug!(view = self.name, %error, "looking whether it was rebuilt"),
            }
        }
    }

    /// Asks for the right to fold the view; false where another process has it.
    async fn take_lease(&mut self) -> Result<bool, Error> {
        self.lease = self.engine.acquire_lease(&view_lease(&self.name)).await?;
        Ok(self.lease.is_some())
    }

    /// Gives the right to fold the view back, where it has it.
    async fn let_go(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release().await;
        }
    }

    /// Tells the rest of the engine where the view stands.
    fn show(&self, status: ViewStatus, table: &ViewTable, position: Position) {
        self.state.send_if_modified(|state| {
            let shown = (state.status, state.generation, state.position);
            let changed = shown != (status, table.generation, position) || state.error.is_some();
            (state.status, state.generation, state.position) = (status, table.generation, position);
            state.error = None;
            changed
        });
    }

    /// Whether it is to end: it was told to, or nobody is left to tell it.
    fn is_stopped(&self) -> bool {
        *self.stopped.borrow() || self.stopped.has_changed().is_err()
    }

    /// Waits; true where a hint ended it.
    async fn wait(&mut self, duration: Duration, hints: bool) -> bool {
        let clock = self.engine.clock().clone();
        let lost = async {
            match &mut self.lease {
                Some(lease) => lease.lost().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.wakeup.hint(), if hints => true,
            () = clock.sleep(duration) => false,
            () = lost => false,
            () = self.swapped.notified() => false,
            _ = self.stopped.changed() => false,
        }
    }
}
