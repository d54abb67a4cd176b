use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;
use underlay_core::{
    BusSubscription, Clock, Error, EventBus, EventId, EventType, HandlerError, Json, Position, RecordedEvent,
    SchemaVersion, Subscriber, SubscriberId, SubscriberStanding, SystemClock, Timestamp, Version,
};

use crate::EventBusFixture;
use crate::sample::{stream, tenant};

/// How long a case waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a case lets the others work before it takes what has not come for what will not.
const TURNS: usize = 2_000;

/// How much time passes at once.
const STEP_MAX: Duration = Duration::from_secs(1);

/// What a subscriber does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Take,
    Fail,
    FailFinally,
    Panic,
    /// It takes the event once the gate is open.
    WaitAtTheGate,
}

/// Says what is done with the event of a text, at an attempt.
type Acts = Box<dyn Fn(&str, u32) -> Act + Send + Sync>;

/// A subscriber that remembers what it was given.
pub(super) struct Seen {
    act: Acts,
    given: watch::Sender<Vec<String>>,
    taken: watch::Sender<Vec<String>>,
    gate: watch::Sender<bool>,
}

impl Seen {
    /// It does as told: by the text of the event, and the number of the attempt at it, from 1.
    pub(super) fn acting(act: impl Fn(&str, u32) -> Act + Send + Sync + 'static) -> Arc<Self> {
        let (given, taken) = (watch::Sender::new(Vec::new()), watch::Sender::new(Vec::new()));
        Arc::new(Self { act: Box::new(act), given, taken, gate: watch::Sender::new(false) })
    }

    pub(super) fn taking() -> Arc<Self> {
        Self::acting(|_, _| Act::Take)
    }

    pub(super) fn waiting() -> Arc<Self> {
        Self::acting(|_, _| Act::WaitAtTheGate)
    }

    pub(super) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Waits until it was given so many, counted with repeats.
    pub(super) async fn given(&self, count: usize) -> Vec<String> {
        wait_for(&self.given, count).await
    }

    /// Waits until it has taken so many.
    pub(super) async fn taken(&self, count: usize) -> Vec<String> {
        wait_for(&self.taken, count).await
    }

    pub(super) fn given_now(&self) -> Vec<String> {
        self.given.borrow().clone()
    }
}

async fn wait_for(list: &watch::Sender<Vec<String>>, count: usize) -> Vec<String> {
    let mut list = list.subscribe();
    let come = tokio::time::timeout(PATIENCE, list.wait_for(|list| list.len() >= count)).await;
    let come = come.map(|come| come.expect("the list is there").clone());
    come.unwrap_or_else(|_| panic!("{count} events never come: {:?}", *list.borrow()))
}

#[async_trait]
impl Subscriber for Seen {
    async fn take(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        let text = text(event);
        let attempt = self.given.borrow().iter().filter(|given| **given == text).count() as u32 + 1;
        self.given.send_modify(|given| given.push(text.clone()));
        match (self.act)(&text, attempt) {
            Act::Take => {}
            Act::Fail => return Err(HandlerError::passing(format!("not {text}"))),
            Act::FailFinally => return Err(HandlerError::last(format!("never {text}"))),
            Act::Panic => panic!("no {text}"),
            Act::WaitAtTheGate => {
                self.gate.subscribe().wait_for(|open| *open).await.expect("the gate is there");
            }
        }
        self.taken.send_modify(|taken| taken.push(text));
        Ok(())
    }
}

pub(super) fn text(event: &RecordedEvent) -> String {
    event.payload.text().as_str().trim_matches('"').to_owned()
}

/// The bus under attack.
pub(super) struct Subject<F> {
    pub(super) bus: Arc<dyn EventBus>,
    fixture: F,
    positions: Mutex<u64>,
}

impl<F: EventBusFixture> Subject<F> {
    pub(super) fn of(fixture: F) -> Self {
        Self { bus: fixture.event_bus(), fixture, positions: Mutex::default() }
    }

    pub(super) fn pass(&self, time: Duration) {
        self.fixture.pass(time);
    }

    /// Lets the time of pauses pass until a future ends: fifty times as fast as it does for everybody else, and no
    /// faster, so that who waits for a processor runs into no timeout.
    pub(super) async fn while_time_passes<T>(&self, waiting: impl Future<Output = T>) -> T {
        let passing = async {
            loop {
                let began = Instant::now();
                SystemClock.sleep(Duration::from_millis(1)).await;
                self.pass((began.elapsed() * 50).min(STEP_MAX));
            }
        };
        tokio::select! {
            ended = waiting => ended,
            () = passing => unreachable!("time passes for ever"),
        }
    }

    /// An event of tenant `acme` and category `note`.
    pub(super) fn event(&self, text: &str) -> Arc<RecordedEvent> {
        self.event_of("acme", "note", "noted", text)
    }

    pub(super) fn event_of(
        &self,
        of_tenant: &str,
        category: &str,
        event_type: &str,
        text: &str,
    ) -> Arc<RecordedEvent> {
        let mut last = self.positions.lock().expect("nobody panics under it");
        *last += 1;
        let recorded_at = Timestamp::from_second(1_900_000_000 + *last as i64).expect("a moment");
        Arc::new(RecordedEvent {
            position: Position::from_number(*last),
            tenant: tenant(of_tenant),
            stream: stream(&format!("{category}-1")),
            version: Version(*last),
            event_id: EventId::draw(),
            event_type: EventType::new(event_type).expect("an event type"),
            schema_version: SchemaVersion(1),
            payload: Json::encode(text).expect("text has a JSON form").into(),
            metadata: Json::encode("{}").expect("text has a JSON form"),
            recorded_at,
            commit_tail: 0,
        })
    }

    pub(super) fn events(&self, texts: &[&str]) -> Vec<Arc<RecordedEvent>> {
        texts.iter().map(|text| self.event(text)).collect()
    }

    pub(super) async fn subscribe(&self, wanted: BusSubscription, seen: &Arc<Seen>) -> SubscriberId {
        self.bus.subscribe(wanted, seen.clone()).await.expect("it may subscribe")
    }

    pub(super) async fn publish(&self, events: &[Arc<RecordedEvent>]) {
        self.bus.publish_batch(events).await.expect("it can be published");
    }

    /// Publishes beside the case.
    pub(super) fn begin_to_publish(
        &self,
        events: Vec<Arc<RecordedEvent>>,
    ) -> tokio::task::JoinHandle<Result<(), Error>> {
        let bus = self.bus.clone();
        tokio::spawn(async move { bus.publish_batch(&events).await })
    }

    pub(super) fn standing(&self, subscriber: SubscriberId) -> SubscriberStanding {
        let standings = self.bus.subscribers();
        standings.into_iter().find(|standing| standing.id == subscriber).expect("it has subscribed")
    }

    /// Waits for the end of what was begun.
    pub(super) async fn end<T>(&self, begun: tokio::task::JoinHandle<T>) -> T {
        let ended = tokio::time::timeout(PATIENCE, begun).await;
        let ended =
            ended.unwrap_or_else(|_| panic!("a publisher waits for ever: {:#?}", self.bus.subscribers()));
        ended.expect("it does not panic")
    }

    /// Waits for what must come.
    pub(super) async fn until(&self, what: &str, come: impl Fn() -> bool) {
        let coming = async {
            while !come() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, coming)
            .await
            .unwrap_or_else(|_| panic!("{what} never comes: {:#?}", self.bus.subscribers()));
    }

    /// Lets everybody work for a while.
    pub(super) async fn settle(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }
}
