use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::{
    Attempts, Clock, Error, HandlerError, Metadata, Scheduler, Timestamp, Work, WorkKind, WorkQueue,
};
use uuid::Uuid;

use super::anothers::Anothers;
use super::driven::DrivenReceiver;
use crate::metrics::{MeasuredReceiver, WorkMetrics};
use crate::traces::context_in;

/// One attempt at a piece of work.
pub(crate) struct Attempt<'a> {
    /// The piece.
    pub(crate) work: &'a Work,
    /// Which attempt it is, from 1.
    pub(crate) number: u32,
    /// When it is given up, unless there is a heartbeat before.
    pub(crate) deadline: Timestamp,
    /// Tells that it goes on.
    pub(crate) heartbeats: &'a tokio::sync::Notify,
    /// What to store of its trace in place of what came with the work; `None` where that goes on as it is.
    pub(crate) traceparent: Option<String>,
}

/// Why an attempt did not do a piece of work.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct NotDone {
    /// People of the tenant read it.
    pub(crate) reason: String,
    /// Whether no other attempt can succeed.
    pub(crate) is_final: bool,
    /// Whether no other attempt follows, though one might succeed: a scheduler that drives attempts says so.
    pub(crate) is_last: bool,
    /// The pause before the next attempt, where a scheduler has drawn it.
    pub(crate) retry_in: Option<Duration>,
    /// Whether the attempt showed that this program cannot do it and another may. Then it is no failure: the work is
    /// left, with all that stands behind it, as what cannot be [read](Receiver::reads).
    pub(crate) is_anothers: bool,
    /// What the infrastructure said, where the reason leaves it out: it is for the log of the service.
    #[source]
    pub(crate) cause: Option<Arc<Error>>,
}

impl NotDone {
    /// A failure that may pass.
    pub(crate) fn passing(reason: impl fmt::Display) -> Self {
        HandlerError::passing(reason).into()
    }

    /// A failure that no other attempt mends.
    pub(crate) fn last(reason: impl fmt::Display) -> Self {
        HandlerError::last(reason).into()
    }

    /// It is for another program.
    pub(crate) fn anothers(reason: impl fmt::Display) -> Self {
        Self { is_anothers: true, ..Self::passing(reason) }
    }
}

impl From<HandlerError> for NotDone {
    fn from(failed: HandlerError) -> Self {
        let cause = failed.cause().cloned();
        let HandlerError { reason, is_final, .. } = failed;
        Self { reason, is_final, is_last: false, retry_in: None, is_anothers: false, cause }
    }
}

impl From<Error> for NotDone {
    fn from(error: Error) -> Self {
        HandlerError::from(error).into()
    }
}

/// Does work of one kind for one name: a handler, the runner of stored commands, the runner of a process.
///
/// What follows from the work is stored by the receiver itself, in a commit whose id derives from that of the
/// work, before it says that the work is done: so a repeat stores nothing again.
#[async_trait]
pub(crate) trait Receiver: Send + Sync {
    /// How often and for how long it is tried.
    fn attempts(&self) -> Attempts;

    /// Whether work that is given up holds its key.
    fn holds_key(&self) -> bool;

    /// Whether this program can read a piece of work. What it cannot, a newer one may: it is left, with all that
    /// stands behind it.
    fn reads(&self, _work: &Work) -> bool {
        true
    }

    /// The trace that a piece of work is part of.
    fn traceparent(&self, work: &Work) -> Option<String> {
        context_in(&work.metadata)
    }

    /// The request that a piece of work belongs to.
    fn correlation_id(&self, work: &Work) -> Option<Uuid> {
        work.metadata.decode().ok().and_then(|metadata: Metadata| metadata.correlation_id)
    }

    /// Shows that a piece is being done, until the answer is dropped. Attempts show it by themselves; this is for a
    /// process that waits for one elsewhere.
    fn show(&self, _work: &Work) -> Option<Shown> {
        None
    }

    /// Makes one attempt. It is dropped where it takes too long, or this process may not go on with it.
    ///
    /// # Errors
    /// [`NotDone`].
    async fn attempt(&self, attempt: Attempt<'_>) -> Result<(), NotDone>;

    /// Stores what follows from the work being given up, before it becomes a dead letter; doing it again changes
    /// nothing.
    ///
    /// # Errors
    /// What the store says: the work is given up later.
    async fn give_up(&self, work: &Work, reason: &str) -> Result<GivenUp, Error> {
        let _ = (work, reason);
        Ok(GivenUp::Dead { holds: self.holds_key() })
    }

    /// Looks once more at what was given up, after it is stored that it is a dead letter: what it was to come to may
    /// have been stored by somebody else since. It is done once, and not again where it fails.
    ///
    /// # Errors
    /// What the store says.
    async fn buried(&self, work: &Work) -> Result<(), Error> {
        let _ = work;
        Ok(())
    }
}

/// Shows that a piece is being done, until it is dropped.
pub(crate) type Shown = Box<dyn Any + Send + Sync>;

/// What becomes of work of which no attempt follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// It is a dead letter.
    Dead {
        /// Whether it holds its key until a person replays or discards it.
        holds: bool,
    },
    /// It was done before, and only the answer was lost.
    Done,
}

/// Who does work in this process, by kind and name.
#[derive(Clone, Default)]
pub(crate) struct Receivers(HashMap<WorkKind, HashMap<String, Arc<dyn Receiver>>>);

impl Receivers {
    /// Adds who does work of a kind for a name.
    pub(crate) fn add(&mut self, kind: WorkKind, name: impl Into<String>, receiver: Arc<dyn Receiver>) {
        self.0.entry(kind).or_default().insert(name.into(), receiver);
    }

    /// The same receivers, whose attempts are counted.
    pub(crate) fn measured(mut self, clock: &Arc<dyn Clock>, metrics: &mut WorkMetrics) -> Self {
        for (kind, names) in &mut self.0 {
            for (name, receiver) in names {
                let (measured, clock) = (metrics.of(*kind, name), clock.clone());
                *receiver = Arc::new(MeasuredReceiver { receiver: receiver.clone(), clock, measured });
            }
        }
        self
    }

    /// The same receivers, whose attempts a scheduler drives.
    pub(crate) fn driven(
        mut self,
        scheduler: &Arc<dyn Scheduler>,
        queue: &Arc<dyn WorkQueue>,
        clock: &Arc<dyn Clock>,
        anothers: &Arc<Anothers>,
    ) -> Self {
        for receiver in self.0.values_mut().flat_map(HashMap::values_mut) {
            *receiver = Arc::new(DrivenReceiver {
                inner: receiver.clone(),
                scheduler: scheduler.clone(),
                queue: queue.clone(),
                clock: clock.clone(),
                anothers: anothers.clone(),
            });
        }
        self
    }

    /// Who does a piece of work here; `None` where nobody does, or cannot read it.
    pub(crate) fn of(&self, work: &Work) -> Option<&Arc<dyn Receiver>> {
        let receiver = self.named(work.sent.kind, &work.sent.receiver)?;
        receiver.reads(work).then_some(receiver)
    }

    /// Who does work of a kind for a name here, whether or not it can read a given piece.
    pub(crate) fn named(&self, kind: WorkKind, receiver: &str) -> Option<&Arc<dyn Receiver>> {
        self.0.get(&kind)?.get(receiver)
    }

    /// Whether there is somebody here for a piece of work, who may not be able to read it.
    pub(crate) fn knows(&self, work: &Work) -> bool {
        self.has(work.sent.kind, &work.sent.receiver)
    }

    /// All of them, by kind and name.
    pub(crate) fn names(&self) -> impl Iterator<Item = (WorkKind, &str)> {
        self.0.iter().flat_map(|(kind, names)| names.keys().map(|name| (*kind, name.as_str())))
    }

    /// Whether there is somebody here for work of a kind.
    pub(crate) fn has(&self, kind: WorkKind, receiver: &str) -> bool {
        self.named(kind, receiver).is_some()
    }
}
