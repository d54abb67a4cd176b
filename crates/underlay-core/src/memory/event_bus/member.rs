use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::attempt::attempt;
use crate::domain::HandlerError;
use crate::ports::{
    BusDeadLetter, BusSubscription, Clock, Subscriber, SubscriberId, SubscriberStanding, TenantLag, WhenFull,
};
use crate::words::{Error, EventId, RecordedEvent};

/// Bytes of an event beside its payload and metadata, about.
const EVENT_BYTES: usize = 512;
/// When a publisher that was refused may try again.
const REFUSED_RETRY: Duration = Duration::from_millis(100);

/// A subscriber with its queue.
pub(super) struct Member {
    id: SubscriberId,
    subscription: BusSubscription,
    clock: Arc<dyn Clock>,
    /// One publisher at a time, in the order they came: batches follow each other.
    door: tokio::sync::Mutex<()>,
    queue: Mutex<Queue>,
    /// The task has something to look at.
    come: Notify,
    /// The publisher at the door has something to look at.
    room: Notify,
}

#[derive(Default)]
struct Queue {
    /// While the task is busy, the first one is being taken.
    waiting: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
    is_busy: bool,
    dead: Vec<BusDeadLetter>,
    dead_bytes: usize,
    is_stopped: bool,
    has_ended: bool,
    published: u64,
    taken: u64,
    discarded: u64,
    failures: u64,
    refused: u64,
    last_error: Option<String>,
}

/// What counts for an event.
fn bytes(event: &RecordedEvent) -> usize {
    EVENT_BYTES + event.payload.bytes() + event.metadata.as_str().len()
}

impl Queue {
    fn push(&mut self, at: usize, event: Arc<RecordedEvent>) {
        self.bytes += bytes(&event);
        self.waiting.insert(at, event);
    }

    /// Takes out the one that was being taken.
    fn pop(&mut self) -> Option<Arc<RecordedEvent>> {
        self.is_busy = false;
        let event = self.waiting.pop_front()?;
        self.bytes -= bytes(&event);
        Some(event)
    }

    /// Whether what counts so much has room among so many, of which one alone always has.
    fn has_room(counts: (usize, usize), more: usize, bounds: (usize, usize)) -> bool {
        let ((items, held), (items_max, bytes_max)) = (counts, bounds);
        items < items_max && (items == 0 || held.saturating_add(more) <= bytes_max)
    }

    /// Takes dead letters out, the oldest first.
    fn exhume(&mut self, events: &[EventId]) -> Vec<BusDeadLetter> {
        let (out, left) = std::mem::take(&mut self.dead)
            .into_iter()
            .partition(|letter| events.contains(&letter.event.event_id));
        self.dead = left;
        self.dead_bytes = self.dead.iter().map(|letter| bytes(&letter.event)).sum();
        out
    }
}

impl Member {
    pub(super) fn new(id: SubscriberId, subscription: BusSubscription, clock: Arc<dyn Clock>) -> Self {
        Self {
            id,
            subscription,
            clock,
            door: tokio::sync::Mutex::default(),
            queue: Mutex::default(),
            come: Notify::new(),
            room: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing below runs code of others under the lock, so no panic leaves it half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what it wants into the queue; false where it has unsubscribed.
    pub(super) async fn put_all(&self, events: &[Arc<RecordedEvent>]) -> Result<bool, Error> {
        let wanted: Vec<&Arc<RecordedEvent>> =
            events.iter().filter(|event| self.subscription.wants(event)).collect();
        if wanted.is_empty() {
            return Ok(!self.lock().has_ended);
        }
        let _door = self.door.lock().await;
        if self.subscription.when_full == WhenFull::Refuse {
            return self.put_or_refuse(&wanted);
        }
        let mut put = 0;
        loop {
            match self.put_some(&wanted[put..]) {
                None => return Ok(false),
                Some(more) => put += more,
            }
            if put == wanted.len() {
                return Ok(true);
            }
            self.room.notified().await;
        }
    }

    /// Puts as many as there is room for; none where it has unsubscribed.
    fn put_some(&self, events: &[&Arc<RecordedEvent>]) -> Option<usize> {
        let BusSubscription { items_max, bytes_max, .. } = self.subscription;
        let mut queue = self.lock();
        if queue.has_ended {
            return None;
        }
        let mut put = 0;
        for event in events {
            let counts = (queue.waiting.len(), queue.bytes);
            if !Queue::has_room(counts, bytes(event), (items_max, bytes_max)) {
                break;
            }
            let end = queue.waiting.len();
            queue.push(end, Arc::clone(event));
            put += 1;
        }
        queue.published += put as u64;
        drop(queue);
        self.come.notify_one();
        Some(put)
    }

    /// Puts all of them or none.
    fn put_or_refuse(&self, events: &[&Arc<RecordedEvent>]) -> Result<bool, Error> {
        let BusSubscription { name, items_max, bytes_max, .. } = &self.subscription;
        let (items, more) = (events.len(), events.iter().map(|event| bytes(event)).sum::<usize>());
        let mut queue = self.lock();
        if queue.has_ended {
            return Ok(false);
        }
        let is_too_large = |held: usize, bytes_held: usize| {
            if held + items > *items_max {
                Some(format!("items_max = {items_max}"))
            } else if held + items > 1 && bytes_held + more > *bytes_max {
                Some(format!("bytes_max = {bytes_max}"))
            } else {
                None
            }
        };
        if let Some(bound) = is_too_large(0, 0) {
            return Err(Error::invalid(format!(
                "a batch of {items} events and {more} bytes is larger than the queue of subscriber {name} ever is \
                 ({bound}); publish fewer at a time"
            )));
        }
        if let Some(bound) = is_too_large(queue.waiting.len(), queue.bytes) {
            queue.refused += items as u64;
            return Err(Error::overloaded(
                format!("the queue of subscriber {name} is full ({bound})"),
                REFUSED_RETRY,
            ));
        }
        for event in events {
            let end = queue.waiting.len();
            queue.push(end, Arc::clone(event));
        }
        queue.published += items as u64;
        drop(queue);
        self.come.notify_one();
        Ok(true)
    }

    /// Gives the subscriber what waits, until it unsubscribes.
    pub(super) async fn run(self: Arc<Self>, subscriber: Arc<dyn Subscriber>) {
        while let Some(event) = self.next().await {
            let mut attempts = 0;
            let given_up = loop {
                attempts += 1;
                let timeout = self.subscription.timeout;
                let Err(error) = attempt(&*subscriber, &event, timeout, &*self.clock).await else {
                    break None;
                };
                self.count_failure(&error);
                if error.is_final || attempts >= self.subscription.attempts_max {
                    break Some(error);
                }
                self.clock.sleep(self.subscription.retry_delay).await;
                if self.lock().has_ended {
                    return;
                }
            };
            match given_up {
                None => self.count_taken(),
                Some(error) => {
                    let letter =
                        BusDeadLetter { event, attempts, error: error.whole(), died_at: self.clock.now() };
                    self.bury(letter).await;
                }
            }
            // A subscriber that never waits leaves the others their turns.
            tokio::task::yield_now().await;
        }
    }

    /// The next event; none once it has unsubscribed.
    async fn next(&self) -> Option<Arc<RecordedEvent>> {
        loop {
            {
                let mut queue = self.lock();
                if queue.has_ended {
                    return None;
                }
                if let Some(event) = queue.waiting.front().cloned() {
                    queue.is_busy = true;
                    return Some(event);
                }
            }
            self.come.notified().await;
        }
    }

    fn count_failure(&self, error: &HandlerError) {
        let mut queue = self.lock();
        queue.failures += 1;
        queue.last_error = Some(error.whole());
    }

    fn count_taken(&self) {
        let mut queue = self.lock();
        if queue.pop().is_some() {
            queue.taken += 1;
        }
        drop(queue);
        self.room.notify_one();
    }

    /// Makes a dead letter of the event that was being taken, once there is room for it.
    async fn bury(&self, letter: BusDeadLetter) {
        let BusSubscription { dead_letters_max, bytes_max, .. } = self.subscription;
        let mut letter = Some(letter);
        loop {
            {
                let mut queue = self.lock();
                let more = letter.as_ref().map_or(0, |letter| bytes(&letter.event));
                let counts = (queue.dead.len(), queue.dead_bytes);
                let has_room = Queue::has_room(counts, more, (dead_letters_max, bytes_max));
                queue.is_stopped = !has_room;
                if queue.has_ended {
                    return;
                }
                if has_room {
                    if queue.pop().is_some() {
                        queue.dead.extend(letter.take());
                        queue.dead_bytes += more;
                    }
                    break;
                }
            }
            self.come.notified().await;
        }
        self.room.notify_one();
    }

    pub(super) fn dead_letters(&self) -> Vec<BusDeadLetter> {
        self.lock().dead.clone()
    }

    pub(super) fn replay(&self, events: &[EventId]) -> usize {
        let mut queue = self.lock();
        let letters = queue.exhume(events);
        let first = usize::from(queue.is_busy);
        for (at, letter) in letters.iter().enumerate() {
            queue.push(first + at, letter.event.clone());
        }
        drop(queue);
        self.come.notify_one();
        letters.len()
    }

    pub(super) fn discard(&self, events: &[EventId]) -> usize {
        let mut queue = self.lock();
        let count = queue.exhume(events).len();
        queue.discarded += count as u64;
        drop(queue);
        self.come.notify_one();
        count
    }

    /// Lets nothing more begin.
    pub(super) fn end(&self) {
        let mut queue = self.lock();
        queue.has_ended = true;
        queue.waiting.clear();
        queue.dead.clear();
        drop(queue);
        self.come.notify_one();
        self.room.notify_one();
    }

    pub(super) fn standing(&self) -> SubscriberStanding {
        let queue = self.lock();
        let mut lag = BTreeMap::new();
        for event in &queue.waiting {
            let of_tenant = lag.entry(&event.tenant).or_insert_with(|| TenantLag {
                tenant: event.tenant.clone(),
                waiting: 0,
                oldest_recorded_at: event.recorded_at,
            });
            of_tenant.waiting += 1;
            of_tenant.oldest_recorded_at = of_tenant.oldest_recorded_at.min(event.recorded_at);
        }
        SubscriberStanding {
            id: self.id,
            name: self.subscription.name.clone(),
            published: queue.published,
            taken: queue.taken,
            waiting: queue.waiting.len(),
            waiting_bytes: queue.bytes,
            dead: queue.dead.len(),
            discarded: queue.discarded,
            failures: queue.failures,
            refused: queue.refused,
            is_stopped: queue.is_stopped,
            last_error: queue.last_error.clone(),
            lag: lag.into_values().collect(),
        }
    }
}
