//! Keeps one view up to date: the follower of the log that folds it.
//!
//! It stores rows under the lease's term, so one that was paused and comes back stores nothing; that the
//! checkpoint is compared keeps the rows true in any case. The processes that stand by know by the
//! checkpoint how far the view is.
//!
//! A rebuild that swapped another generation in makes the runner open that one: it looks at every poll
//! whether the one it folds is read, and at once where somebody waits for the view and finds it is not. A
//! view that has stopped waits for a person, and the other views go on. Where that person rebuilds the
//! view, in whatever process, or another process gets past the event, the runner goes on by itself.
//!
//! A runner that stops leaves word in the catalogue, so that every process knows at which event, since when and
//! why. A person who skips the event or asks for another try takes that word away, and every runner that
//! stopped looks for it at each poll. Where it could leave no word, since the view cannot be opened or the store
//! takes nothing, it looks at each poll whether the view can be opened.
//!
//! A definition that changed is rebuilt, where that is configured, only before the runner has opened
//! the view: a process that finds it rebuilt under its hands is the older one, and must not undo what
//! the newer did. Of several processes that rebuild a view one does, and the others wait for it as long
//! as it comes on.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use underlay_core::{Error, LeaseTerm, Position, Swept, ViewInfo, ViewStop, no_generation};

use super::Views;
use super::fold::{ViewFault, ViewFolder};
use super::progress::{Place, Progress, UNSHOWN_TIME_MAX, ViewHalt};
use super::rebuild::{Told, rebuild_lease};
use crate::subscription::{Advance, Bounds, Follower, Runner, Signals, Subscription, SubscriptionState};
use crate::{OnViewChange, RebuildFrom};

/// Pieces of discarded generations that are removed at one quiet moment.
const SWEEPS_MAX: usize = 64;

/// The lease of who folds a view.
pub(super) fn view_lease(view: &str) -> String {
    format!("view:{view}")
}

/// What a view's runner is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewState {
    /// The view.
    pub name: String,
    /// Where it stands.
    pub status: SubscriptionState,
    /// The generation it folds; 0 until it has one.
    pub generation: u32,
    /// Its rows reflect every event at or below it.
    pub position: Position,
    /// Why it does not go on, or what is being tried again.
    pub error: Option<String>,
}

/// A runner of a view, and what the rest of the engine knows of it.
pub(super) fn new(
    views: Arc<Views>,
    folder: Arc<dyn ViewFolder>,
    stopped: watch::Receiver<bool>,
) -> (Subscription<ViewRunner>, Runner<ViewState>) {
    let name = folder.schema().rows.name;
    let (state, receiver) = watch::channel(ViewState {
        name: name.clone(),
        status: SubscriptionState::CatchingUp,
        generation: 0,
        position: Position::START,
        error: None,
    });
    let bounds = Bounds {
        leases: views.leases(&name).cloned(),
        clock: views.clock.clone(),
        holder: views.holder.clone(),
        lease_duration: views.config.view_lease,
        poll_interval: views.config.view_poll_interval,
        backoff: views.config.backoff(),
    };
    let (signals, handle) = Signals::new(views.clock.clone(), views.wakeups.subscribe(), stopped);
    let runner = ViewRunner {
        waiting: handle.waiting(),
        views,
        folder,
        name,
        state,
        progress: None,
        opened: false,
        seen: None,
        left_at: None,
        stopped_at: None,
        stop: None,
        is_overtaken: false,
    };
    (Subscription::new(runner, bounds, signals), Runner { state: receiver, handle })
}

/// Folds a view.
pub(super) struct ViewRunner {
    views: Arc<Views>,
    folder: Arc<dyn ViewFolder>,
    name: String,
    /// How many wait for the view.
    waiting: watch::Receiver<usize>,
    state: watch::Sender<ViewState>,
    /// The generation it folds, while it has it open.
    progress: Option<Progress>,
    /// Whether it has had the view open.
    opened: bool,
    /// What the catalogue held before it was last opened.
    seen: Option<ViewInfo>,
    /// Where it stood when it last gave up.
    left_at: Option<Place>,
    /// The event it stopped at.
    stopped_at: Option<Position>,
    /// The stop as the catalogue has it.
    stop: Option<ViewStop>,
    /// Whether something had changed under it already when it was about to leave word.
    is_overtaken: bool,
}

impl Follower for ViewRunner {
    type Stuck = ViewFault;

    fn name(&self) -> &str {
        &self.name
    }

    fn lease_name(&self) -> String {
        view_lease(&self.name)
    }

    async fn open(&mut self, signals: &mut Signals) -> Result<bool, ViewHalt> {
        self.progress = None;
        self.seen = self.views.info(&self.name).await?;
        let progress = match self.views.open(&*self.folder).await {
            Err(Error::ViewChanged { .. })
                if self.views.config.on_view_change == OnViewChange::Rebuild && !self.opened =>
            {
                self.rebuild(signals).await?;
                return Ok(false);
            }
            opened => opened?,
        };
        self.opened = true;
        self.progress = Some(progress.traced().spaced(self.waiting.clone()));
        Ok(true)
    }

    fn work_under(&mut self, lease: Option<LeaseTerm>) {
        if let Some(progress) = &mut self.progress {
            progress.lease = lease;
        }
    }

    async fn advance(&mut self) -> Result<Advance, ViewHalt> {
        let Some(progress) = &mut self.progress else { return Err(closed(&self.name).into()) };
        match self.views.step(&*self.folder, progress).await? {
            // What it has put off is stored in a moment, and for whoever waits: it does not rest before that.
            Advance::FoundNothing if progress.holds_rows() => Ok(Advance::ReachedHead),
            step => Ok(step),
        }
    }

    async fn arrive(&mut self) -> Result<Duration, ViewHalt> {
        let Some(progress) = &self.progress else { return Err(closed(&self.name).into()) };
        self.views.check_checkpoint(&self.name, &progress.scanned).await?;
        if self.seen.as_mut().is_some_and(|seen| seen.stop.take().is_some()) {
            // It is past what stopped it, and where no event followed only this says so.
            self.views.set_stop(&progress.place(), None).await?;
        }
        let poll_interval = self.views.config.view_poll_interval;
        Ok(if progress.is_unshown() { poll_interval.min(UNSHOWN_TIME_MAX) } else { poll_interval })
    }

    async fn tidy(&mut self, is_quiet: bool, signals: &mut Signals) -> Result<(), ViewHalt> {
        let Some(progress) = &mut self.progress else { return Err(closed(&self.name).into()) };
        if is_quiet {
            // Let other processes see how far this view is.
            self.views.store_progress(progress).await?;
        }
        // A rebuild elsewhere may have swapped another generation in without an event to follow: then the view
        // is opened again. And another process may have discarded some since the view was opened.
        let generation = progress.table.generation;
        let now = self.views.info(&self.name).await?.filter(|info| info.active.number == generation);
        let now = now.ok_or_else(|| no_generation(&self.name, generation))?;
        self.tidy_up(now, if is_quiet { SWEEPS_MAX } else { 1 }, signals).await;
        Ok(())
    }

    async fn look_on(&mut self) -> Result<(), ViewHalt> {
        let Some(progress) = &mut self.progress else { return Err(closed(&self.name).into()) };
        progress.reflected = self.views.rows(&self.name).checkpoint(&progress.table).await?.position;
        Ok(())
    }

    async fn leave_word(&mut self, halt: &ViewHalt) {
        let Some(place) = self.left_at.take() else { return };
        let Some(stop) = self.views.stop_of(halt) else { return };
        match self.views.leave_stop(&place, stop).await {
            Ok(stop) => self.stop = Some(stop),
            Err(error) => {
                tracing::debug!(view = self.name, %error, "saying that the view stopped");
                let moved = matches!(error, Error::CheckpointMoved { .. } | Error::LeaseLost { .. });
                self.is_overtaken = moved || matches!(halt, ViewHalt::Stuck(_));
            }
        }
    }

    fn abandon(&mut self) {
        (self.stop, self.is_overtaken) = (None, false);
        self.left_at = self.progress.take().map(|progress| progress.place());
    }

    async fn is_mended(&mut self) -> bool {
        let generation = |info: &Option<ViewInfo>| info.as_ref().map(|info| info.active.number);
        match self.views.info(&self.name).await {
            Ok(now) if generation(&now) != generation(&self.seen) || self.is_overtaken => true,
            Ok(Some(now)) => {
                let is_passed = |event| now.active.checkpoint.position >= event;
                // A person has skipped the event, or wants the view to try again.
                match &self.stop {
                    Some(stop) if now.stop.as_ref() != Some(stop) => true,
                    // Of a failure that is not in the catalogue nobody can say there that it is mended.
                    None if self.stopped_at.is_none() => self.can_open().await,
                    _ => self.stopped_at.is_some_and(is_passed),
                }
            }
            Ok(None) => self.can_open().await,
            Err(error) => {
                tracing::debug!(view = self.name, %error, "looking whether it was mended");
                false
            }
        }
    }

    async fn close(&mut self) -> Result<(), Error> {
        match &mut self.progress {
            Some(progress) => self.views.store_progress(progress).await,
            None => Ok(()),
        }
    }

    fn show(&mut self, status: SubscriptionState, halt: Option<&ViewHalt>) {
        self.stopped_at = match halt {
            Some(ViewHalt::Stuck(fault)) => Some(fault.position()),
            _ => None,
        };
        let shown = match (&self.progress, &self.seen) {
            // A generation that was swapped in may stand before the one that was read until then.
            (Some(progress), _) => (progress.table.generation, progress.reflected),
            (None, Some(seen)) => (seen.active.number, seen.active.checkpoint.position),
            (None, None) => (0, Position::START),
        };
        let is_open = self.progress.is_some();
        self.state.send_if_modified(|state| {
            let before = (state.status, state.generation, state.position, state.error.take());
            state.status = status;
            if is_open || state.generation != shown.0 {
                // Where it could not be opened, how far another generation had come says nothing of this one.
                (state.generation, state.position) = shown;
            }
            state.error = halt.map(ToString::to_string);
            before != (state.status, state.generation, state.position, state.error.clone())
        });
    }
}

impl ViewRunner {
    /// Whether the view can be opened.
    async fn can_open(&self) -> bool {
        let opened = self.views.open(&*self.folder).await;
        opened
            .inspect_err(|error| tracing::debug!(view = self.name, %error, "it cannot be opened yet"))
            .is_ok()
    }

    /// Gives up the generation that was replaced, once it was kept for its time, and removes what such
    /// generations have left. Nothing waits for it, and what fails is tried again later.
    async fn tidy_up(&mut self, mut seen: ViewInfo, pieces_max: usize, signals: &mut Signals) {
        self.give_up_replaced(&mut seen).await;
        let mut pieces = if seen.discarded == 0 { 0 } else { pieces_max };
        while pieces > 0 {
            pieces = match self.views.rows(&self.name).sweep().await {
                // An event that has come meanwhile is folded first.
                Ok(Swept::Piece) if pieces > 1 && signals.is_hinted().await => 0,
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
        let kept = self.views.config.view_replaced_kept;
        if let Some((replaced, since)) = seen.replaced
            && since.checked_add(kept).is_ok_and(|until| until <= self.views.clock.now())
        {
            match self.views.rows(&self.name).discard(&self.name, replaced.number).await {
                Ok(()) | Err(Error::NotFound(_)) => {
                    seen.replaced = None;
                    seen.discarded += 1;
                }
                Err(error) => tracing::debug!(view = self.name, %error, "discarding what was replaced"),
            }
        }
    }

    /// Rebuilds the view; where another process is at it, waits for that one as long as it comes on.
    async fn rebuild(&mut self, signals: &mut Signals) -> Result<(), Error> {
        let lease = if self.views.leases(&self.name).is_some() {
            let Some(lease) = self.views.acquire_lease(&self.name, &rebuild_lease(&self.name)).await? else {
                signals.sleep(self.views.config.view_poll_interval).await;
                return Ok(());
            };
            let fingerprint = self.folder.schema().fingerprint();
            let read = self.views.info(&self.name).await?;
            if read.is_some_and(|info| info.active.fingerprint == fingerprint) {
                lease.release().await;
                return Ok(());
            }
            Some(lease)
        } else {
            if self.seen.as_ref().is_some_and(|info| info.building.is_some()) {
                signals.sleep(self.views.config.retry_delay_max).await;
                if self.views.info(&self.name).await? != self.seen {
                    return Ok(());
                }
            }
            None
        };
        let mut untold = Told(|_| {});
        let rebuilt = tokio::select! {
            biased;
            // What was begun is not read by anybody; the next rebuild goes on with it.
            () = signals.stopped() => Ok(()),
            rebuilt = self.views.rebuild_folder(&*self.folder, RebuildFrom::default(), &mut untold) => {
                rebuilt.map(|_| ())
            }
        };
        if let Some(lease) = lease {
            lease.release().await;
        }
        rebuilt
    }
}

/// Only a bug asks for work before the view is open.
fn closed(view: &str) -> Error {
    Error::backend("folding a view", format!("view {view} is not open"))
}
