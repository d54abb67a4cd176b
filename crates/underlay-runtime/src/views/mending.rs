//! What a person does where a view is stopped: skip the event, or have it tried again.
//!
//! Both take the stop out of the catalogue. The runners of every process look for it at each poll, and those
//! of this process at once. Who asks for another try makes it too, under the view's lease, so that there is
//! an answer where no process keeps the view; where another process has the lease, what that one comes to is
//! the answer.

use std::time::Duration;

use serde::Serialize;
use underlay_core::{Error, Position, SkipOrder, SkippedEvent, StopCause, ViewBatch, ViewInfo, ViewStop};

use super::Views;
use super::fold::ViewFolder;
use super::progress::{Place, ViewHalt};
use super::runner::view_lease;
use crate::subscription::{Advance, FOREIGN_POLL_INTERVAL, HeldLease};

/// How long another process, which has the lease, may take to come past what stopped the view.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);

/// What came of trying a view again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "retried", rename_all = "snake_case")]
pub enum Retried {
    /// Nothing had stopped it.
    NotStopped {
        /// Where it stands.
        position: Position,
    },
    /// It came past what had stopped it.
    WentOn {
        /// Where it stands.
        position: Position,
    },
    /// It stopped again.
    StoppedAgain {
        /// Where it stands.
        position: Position,
        /// Why.
        stop: ViewStop,
    },
    /// Another process has the view's lease, and has not said yet what it came to.
    Busy {
        /// Where the view stands.
        position: Position,
        /// The process that has the lease, where it still has it.
        holder: Option<String>,
    },
}

impl Views {
    /// As [`Engine::skip_view`](crate::Engine::skip_view).
    pub(crate) async fn skip(
        &self,
        view: &str,
        position: Position,
        by: &str,
        why: &str,
    ) -> Result<SkippedEvent, Error> {
        self.registry.find_view(view)?;
        let (by, why, at) = (by.to_owned(), why.to_owned(), self.clock.now());
        let skipped = self.rows(view).skip(view, SkipOrder { position, by, why, at }).await?;
        tracing::warn!(view, %position, by = skipped.by, why = skipped.why, "an event is skipped");
        self.running.look_again(view);
        Ok(skipped)
    }

    /// As [`Engine::retry_view`](crate::Engine::retry_view).
    pub(crate) async fn retry(&self, view: &str) -> Result<Retried, Error> {
        let folder = self.registry.find_view(view)?;
        // What a rebuild must mend is said here.
        let place = self.open(&*folder).await?.place();
        let Some(ViewInfo { stop: Some(stop), .. }) = self.info(view).await? else {
            self.running.look_again(view);
            return Ok(Retried::NotStopped { position: place.checkpoint.position });
        };
        match self.set_stop(&place, None).await {
            // Somebody came past it meanwhile.
            Ok(()) | Err(Error::CheckpointMoved { .. } | Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        self.running.look_again(view);
        let stopped_at = stop.event().map(|event| event.position);
        let asked = async {
            loop {
                if let Some(retried) =
                    self.retry_once(&*folder, stopped_at, place.checkpoint.position).await?
                {
                    return Ok(retried);
                }
                self.clock.sleep(FOREIGN_POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            retried = asked => retried,
            () = self.clock.sleep(RETRY_WAIT_MAX) => {
                let position = self.info(view).await?.map(|info| info.active.checkpoint.position);
                let position = position.unwrap_or(place.checkpoint.position);
                Ok(Retried::Busy { position, holder: self.holder(view).await? })
            }
        }
    }

    /// Tries once, where this process may; otherwise looks what came of the try of another. None where nothing
    /// has come of it yet.
    async fn retry_once(
        &self,
        folder: &dyn ViewFolder,
        stopped_at: Option<Position>,
        from: Position,
    ) -> Result<Option<Retried>, Error> {
        let view = folder.schema().rows.name;
        if let Some(info) = self.info(&view).await? {
            let position = info.active.checkpoint.position;
            if let Some(stop) = info.stop {
                return Ok(Some(Retried::StoppedAgain { position, stop }));
            }
            if stopped_at.map_or(position > from, |event| position >= event) {
                return Ok(Some(Retried::WentOn { position }));
            }
        }
        let lease = match self.leases(&view) {
            None => None,
            Some(_) => match self.acquire_lease(&view, &view_lease(&view)).await? {
                Some(lease) => Some(lease),
                None if stopped_at.is_none() && from >= self.store.head().await? => {
                    // A failure stopped it at the head of the log, so there is nothing to come past.
                    return Ok(Some(Retried::WentOn { position: from }));
                }
                None => return Ok(None),
            },
        };
        let tried = self.fold_past(folder, lease.as_ref(), stopped_at).await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        match tried {
            // Another process was faster; what it came to is looked at next.
            Err(Error::CheckpointMoved { .. } | Error::LeaseLost { .. } | Error::NotFound(_)) => Ok(None),
            tried => tried.map(Some),
        }
    }

    /// Folds a page, or as many as there are up to the event that stopped the view.
    async fn fold_past(
        &self,
        folder: &dyn ViewFolder,
        lease: Option<&HeldLease>,
        stopped_at: Option<Position>,
    ) -> Result<Retried, Error> {
        let mut progress = self.open(folder).await?;
        progress.lease = lease.map(HeldLease::term);
        let halt = loop {
            match self.step(folder, &mut progress).await {
                Ok(Advance::Advanced)
                    if stopped_at.is_some_and(|event| progress.scanned.position < event) => {}
                Ok(_) => {
                    self.store_progress(&mut progress).await?;
                    return Ok(Retried::WentOn { position: progress.reflected });
                }
                Err(halt) => break halt,
            }
        };
        let place = progress.place();
        let position = place.checkpoint.position;
        match (self.stop_of(&halt), halt) {
            (Some(stop), _) => {
                let stop = self.leave_stop(&place, stop).await?;
                Ok(Retried::StoppedAgain { position, stop })
            }
            (None, ViewHalt::Failed(error)) => Err(error),
            (None, ViewHalt::Stuck(fault)) => Err(Error::invalid(fault.to_string())),
        }
    }

    /// What is stored of a halt; none where it passes by itself, or where every process sees it for itself.
    pub(super) fn stop_of(&self, halt: &ViewHalt) -> Option<ViewStop> {
        let cause = match halt {
            ViewHalt::Stuck(fault) => {
                StopCause::Event { event: (*fault.event).clone(), is_of_event: fault.is_of_event }
            }
            ViewHalt::Failed(
                Error::ViewChanged { .. }
                | Error::CheckpointRefused(_)
                | Error::CheckpointMoved { .. }
                | Error::LeaseLost { .. }
                | Error::NotFound(_),
            ) => return None,
            ViewHalt::Failed(error) if error.is_retryable() => return None,
            ViewHalt::Failed(error) => StopCause::Failure { reason: error.to_string() },
        };
        Some(ViewStop { since: self.clock.now(), cause })
    }

    /// Stores that a view stopped where it is. Where that is known, it is known since then.
    pub(super) async fn leave_stop(&self, place: &Place, stop: ViewStop) -> Result<ViewStop, Error> {
        let known = self.info(&place.table.schema.name).await?;
        let known = known.filter(|info| info.active.number == place.table.generation);
        if let Some(known) = known.and_then(|info| info.stop).filter(|known| known.is_same(&stop)) {
            return Ok(known);
        }
        self.set_stop(place, Some(stop.clone())).await?;
        Ok(stop)
    }

    /// Stores why a view does not go on from where it is, or that it does.
    pub(super) async fn set_stop(&self, place: &Place, stop: Option<ViewStop>) -> Result<(), Error> {
        let batch = ViewBatch::new(place.checkpoint, place.checkpoint, Vec::new());
        let batch = batch.with_lease(place.lease.clone()).with_stop(stop);
        self.rows(&place.table.schema.name).apply(&place.table, batch).await
    }
}
