use std::collections::HashMap;
use std::hash::Hash;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use underlay_core::{
    Attempts, Commit, CommitId, Committed, Delivery, Error, EventStore, Handled, Handler, HandlerError,
    Input, Json, OnFault, Process, ProcessStart, Recorded, Settlement, Shard, Step, StepContext, TenantId,
    WorkId, WorkPlace, WorkQueue,
};

use crate::{EventStoreLayer, WorkQueueLayer};

/// What fails once at each point, and then goes well.
///
/// | Around | it fails first | then |
/// |---|---|---|
/// | a [`Process`] | before a step | after it, and what the step came to is lost |
/// | a [`Handler`] | before the effect | after it |
/// | an event store, under [`Over`](crate::Over) | before a commit | after it, and the answer is lost |
/// | a work queue, under [`Over`](crate::Over) | before a settlement: what was done and stored is done again | after it, and the answer is lost |
///
/// So every step is tried several times, and its commit and settlement too. A step that is taken again must come to
/// the same: a difference is a panic in [`Troubles::check`].
#[derive(Clone, Debug)]
pub struct FailsOnce<T> {
    inner: T,
    troubles: Troubles,
}

/// What has failed so far; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Troubles(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    steps: HashMap<(TenantId, String, [u8; 16]), u32>,
    messages: HashMap<WorkId, u32>,
    commits: HashMap<(TenantId, CommitId), u32>,
    settlements: HashMap<WorkPlace, u32>,
    mistakes: Vec<String>,
}

/// Where an attempt fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Before,
    After,
    Nowhere,
}

impl Point {
    /// The points at which attempts fail, one after the other.
    const COUNT: u32 = 2;

    fn next<K: Hash + Eq>(seen: &mut HashMap<K, u32>, key: K) -> Self {
        let attempts = seen.entry(key).or_default();
        *attempts += 1;
        match *attempts {
            1 => Self::Before,
            2 => Self::After,
            _ => Self::Nowhere,
        }
    }
}

impl Troubles {
    /// How many failures there were.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.with(|seen| {
            let of = |attempts: &u32| (*attempts).min(Point::COUNT);
            let steps: u32 = seen.steps.values().map(of).sum();
            let messages: u32 = seen.messages.values().map(of).sum();
            let commits: u32 = seen.commits.values().map(of).sum();
            steps + messages + commits + seen.settlements.values().map(of).sum::<u32>()
        })
    }

    /// Checks that every step that was taken again came to the same.
    ///
    /// # Panics
    /// Where one did not.
    pub fn check(&self) {
        let mistakes = self.with(|seen| seen.mistakes.clone());
        assert!(mistakes.is_empty(), "{}", mistakes.join("; "));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> FailsOnce<T> {
    /// Fails once at each point around `inner`, and counts it among `troubles`.
    pub fn new(inner: T, troubles: &Troubles) -> Self {
        Self { inner, troubles: troubles.clone() }
    }
}

/// Attempts that are left beside those that fail here: of a step, its commit and its settlement.
fn with_room(attempts: Attempts) -> Attempts {
    Attempts { attempts_max: attempts.attempts_max.saturating_add(3 * Point::COUNT), ..attempts }
}

impl<P: Process> Process for FailsOnce<P> {
    const NAME: &'static str = P::NAME;
    const VERSION: u32 = P::VERSION;
    const STARTS: ProcessStart = P::STARTS;
    const ON_FAULT: OnFault = P::ON_FAULT;
    type Event = P::Event;
    type State = P::State;

    fn attempts(&self) -> Attempts {
        with_room(self.inner.attempts())
    }

    fn route(&self, event: &Recorded<P::Event>) -> Option<String> {
        let (first, second) = (self.inner.route(event), self.inner.route(event));
        if first != second {
            let text = format!("process {} routes an event to {first:?}, then to {second:?}", P::NAME);
            self.troubles.with(|seen| seen.mistakes.push(text));
        }
        first
    }

    fn step(
        &self,
        state: Option<&P::State>,
        input: &Input<P::Event>,
        context: &StepContext,
    ) -> Step<P::State> {
        let key = (
            context.tenant.clone(),
            format!("{}-{}", P::NAME, context.instance),
            *context.input_id.as_bytes(),
        );
        let point = self.troubles.with(|seen| Point::next(&mut seen.steps, key));
        // Without a word on standard error: the failure is meant.
        if point == Point::Before {
            resume_unwind(Box::new("the step fails before it is taken"));
        }
        let step = self.inner.step(state, input, context);
        let again = self.inner.step(state, input, context);
        let shown = |step: &Step<P::State>| {
            (step.state.as_ref().map(|state| Json::encode(state).ok()), step.actions.clone())
        };
        if shown(&step) != shown(&again) {
            let text =
                format!("process {} steps to {:?}, then to {:?}", P::NAME, shown(&step), shown(&again));
            self.troubles.with(|seen| seen.mistakes.push(text));
        }
        if point == Point::After {
            resume_unwind(Box::new("the step fails after it was taken"));
        }
        step
    }

    fn upcast(version: u32, state: Json) -> Result<P::State, String> {
        P::upcast(version, state)
    }
}

impl<H: Handler> Handler for FailsOnce<H> {
    const NAME: &'static str = H::NAME;
    const HOLDS_KEY: bool = H::HOLDS_KEY;
    type Message = H::Message;

    fn attempts(&self) -> Attempts {
        with_room(self.inner.attempts())
    }

    async fn handle(&self, message: H::Message, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let point = self.troubles.with(|seen| Point::next(&mut seen.messages, delivery.work_id));
        if point == Point::Before {
            return Err(HandlerError::passing("the handler fails before it begins"));
        }
        let handled = self.inner.handle(message, delivery).await?;
        if point == Point::After {
            return Err(HandlerError::passing("the handler fails after the effect"));
        }
        Ok(handled)
    }
}

#[async_trait]
impl<S: EventStore + Clone> EventStoreLayer for FailsOnce<S> {
    type Below = S;

    fn below(&self) -> S {
        self.inner.clone()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        let id = commit.id;
        match self.troubles.with(|seen| Point::next(&mut seen.commits, (tenant.clone(), id))) {
            Point::Before => Err(lost("a commit")),
            Point::After => {
                self.inner.commit(tenant, commit).await?;
                Err(Error::Uncertain { id, reason: "the answer was lost".to_owned() })
            }
            Point::Nowhere => self.inner.commit(tenant, commit).await,
        }
    }
}

fn lost(what: &str) -> Error {
    Error::unavailable(format!("{what} was lost on its way"))
}

#[async_trait]
impl<Q: WorkQueue> WorkQueueLayer for FailsOnce<Q> {
    type Below = Q;

    fn below(&self) -> &Q {
        &self.inner
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        let points: Vec<Point> = self.troubles.with(|seen| {
            settlements
                .iter()
                .map(|settlement| Point::next(&mut seen.settlements, settlement.place))
                .collect()
        });
        if points.contains(&Point::Before) {
            return Err(lost("a settlement"));
        }
        let settled = self.inner.settle(settlements).await?;
        if points.contains(&Point::After) {
            return Err(lost("the answer to a settlement"));
        }
        Ok(settled)
    }
}
