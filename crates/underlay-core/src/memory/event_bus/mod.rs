//! The event bus of one process.
//!
//! ```text
//!  publishers ── one at a time for each subscriber ──► queue ──► task ──► taken
//!       ▲                                               │         │
//!       └── wait, or are refused, while it is full ─────┘         ├── failed ── pause ──► again
//!                                                                 └── given up ──► dead letter
//!                                                                        └── no room ──► stopped, until there is
//! ```
//!
//! Every subscriber has a task of its own, so a failure, a panic and a wait are its own. What happens when
//! something fails is said there; the bus itself has nothing that can fail.

mod attempt;
mod member;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use tokio::task::AbortHandle;

use crate::ports::{
    BusDeadLetter, BusSubscription, Clock, EventBus, Subscriber, SubscriberId, SubscriberStanding,
    SystemClock,
};
use crate::words::limits::BUS_SUBSCRIBERS_MAX;
use crate::words::{Error, EventId, RecordedEvent};

use member::Member;

/// A bus in memory. A clone is a reference count; with the last one its subscribers are given nothing more.
#[derive(Clone)]
pub struct MemoryEventBus(Arc<Bus>);

struct Bus {
    clock: Arc<dyn Clock>,
    members: Mutex<BTreeMap<SubscriberId, Place>>,
}

struct Place {
    member: Arc<Member>,
    task: AbortHandle,
}

impl Default for MemoryEventBus {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl std::fmt::Debug for MemoryEventBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryEventBus").field("subscribers", &self.0.lock().len()).finish_non_exhaustive()
    }
}

impl MemoryEventBus {
    /// A bus without subscribers, whose pauses and times are of this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Bus { clock, members: Mutex::default() }))
    }

    fn member(&self, subscriber: SubscriberId) -> Option<Arc<Member>> {
        self.0.lock().get(&subscriber).map(|place| place.member.clone())
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.0.lock().values().map(|place| place.member.clone()).collect()
    }
}

impl Bus {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SubscriberId, Place>> {
        // Each change is one call of the map, so a panic leaves none half done.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for place in self.lock().values() {
            place.task.abort();
        }
    }
}

#[async_trait]
impl EventBus for MemoryEventBus {
    async fn subscribe(
        &self,
        subscription: BusSubscription,
        subscriber: Arc<dyn Subscriber>,
    ) -> Result<SubscriberId, Error> {
        subscription.check()?;
        let mut members = self.0.lock();
        if members.len() >= BUS_SUBSCRIBERS_MAX {
            return Err(Error::invalid(format!(
                "a bus has at most BUS_SUBSCRIBERS_MAX = {BUS_SUBSCRIBERS_MAX} subscribers; unsubscribe one first"
            )));
        }
        let id = SubscriberId::draw();
        let member = Arc::new(Member::new(id, subscription, self.0.clock.clone()));
        let task = tokio::spawn(member.clone().run(subscriber)).abort_handle();
        members.insert(id, Place { member, task });
        Ok(id)
    }

    async fn unsubscribe(&self, subscriber: SubscriberId) -> Result<bool, Error> {
        let Some(place) = self.0.lock().remove(&subscriber) else { return Ok(false) };
        place.member.end();
        place.task.abort();
        Ok(true)
    }

    async fn publish_batch(&self, events: &[Arc<RecordedEvent>]) -> Result<(), Error> {
        let put = self.members().into_iter().map(|member| async move { member.put_all(events).await });
        // One that went away while its publisher waited has nothing to say to the others.
        all(put).await.into_iter().collect::<Result<Vec<bool>, Error>>().map(|_| ())
    }

    async fn publish_to(&self, subscriber: SubscriberId, events: &[Arc<RecordedEvent>]) -> Result<(), Error> {
        let is_there = match self.member(subscriber) {
            Some(member) => member.put_all(events).await?,
            None => false,
        };
        if is_there { Ok(()) } else { Err(Error::NotFound(format!("subscriber {subscriber}"))) }
    }

    fn subscribers(&self) -> Vec<SubscriberStanding> {
        self.members().iter().map(|member| member.standing()).collect()
    }

    fn dead_letters(&self, subscriber: SubscriberId) -> Vec<BusDeadLetter> {
        self.member(subscriber).map(|member| member.dead_letters()).unwrap_or_default()
    }

    async fn replay(&self, subscriber: SubscriberId, events: &[EventId]) -> Result<usize, Error> {
        Ok(self.member(subscriber).map_or(0, |member| member.replay(events)))
    }

    async fn discard(&self, subscriber: SubscriberId, events: &[EventId]) -> Result<usize, Error> {
        Ok(self.member(subscriber).map_or(0, |member| member.discard(events)))
    }
}

/// Runs futures side by side to their end; the answers in their order.
async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(move |context| {
        let mut is_done = true;
        for (future, answer) in running.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(ready) => *answer = Some(ready),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { Poll::Ready(answers.drain(..).flatten().collect()) } else { Poll::Pending }
    })
    .await
}
