//! The end of the log is read once for everybody who follows it: nothing is left out, nothing comes twice, and nobody is
//! given what is another tenant's.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{Category, Error, LogFilter, Position, RecordedEvent, TenantId};
use underlay_runtime::{Kept, Registry, Tail, TailBounds, TailReader};

use crate::pumps::House;
use crate::shared::{MOMENT, POLL};

/// What is kept of an event: the event.
struct Note(RecordedEvent);

impl Kept for Note {
    fn of(event: RecordedEvent) -> Self {
        Self(event)
    }

    fn record(&self) -> &RecordedEvent {
        &self.0
    }

    fn bytes(&self) -> usize {
        self.0.payload.bytes()
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn at(number: u64) -> Position {
    Position::from_number(number)
}

fn tail(house: &House, bounds: TailBounds) -> Tail<Note> {
    Tail::new(&house.engine("one", Registry::default()), bounds)
}

/// A client that takes what it is given as fast as it comes.
struct Client {
    taken: Arc<Mutex<Vec<(String, u64)>>>,
    task: JoinHandle<Error>,
}

impl Client {
    fn start(mut reader: TailReader<Note>) -> Self {
        let taken = Arc::<Mutex<Vec<_>>>::default();
        let given = taken.clone();
        let task = tokio::spawn(async move {
            loop {
                match reader.next().await {
                    Ok(page) => {
                        let events = page.events.iter().map(|event| event.record());
                        let events = events.map(|event| (event.tenant.to_string(), event.position.number()));
                        given.lock().unwrap().extend(events);
                    }
                    Err(error @ Error::CheckpointRefused(_)) => return error,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        Self { taken, task }
    }

    fn positions(&self) -> Vec<u64> {
        self.taken.lock().unwrap().iter().map(|(_, position)| *position).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn whenever_somebody_comes_nothing_is_left_out_and_nothing_comes_twice() {
    let house = House::new();
    let tail = tail(&house, TailBounds { read_events_max: 3, ..TailBounds::default() });
    let mut clients = Vec::new();
    for round in 0..20 {
        for begins in [0, round * 5 / 2, round * 5] {
            clients.push((
                begins,
                Client::start(tail.follow(&tenant("acme"), LogFilter::default(), at(begins))),
            ));
        }
        house.write("acme", 5).await;
        if round % 3 == 0 {
            house.pass(MOMENT).await;
        }
    }
    for (begins, client) in &clients {
        let expected: Vec<u64> = (begins + 1..=100).collect();
        house.in_time("the log", || client.positions().len() >= expected.len()).await;
        assert_eq!(client.positions(), expected, "from {begins}");
    }
}

#[tokio::test]
async fn who_is_slow_is_left_behind_and_misses_nothing() {
    let house = House::new();
    let bounds = TailBounds { tenant_events_max: 4, read_events_max: 3, ..TailBounds::default() };
    let tail = tail(&house, bounds);
    let fast = Client::start(tail.follow(&tenant("acme"), LogFilter::default(), at(0)));
    let mut slow = tail.follow(&tenant("acme"), LogFilter::default(), at(0));
    house.write("acme", 1).await;
    assert_eq!(slow.next().await.unwrap().events.len(), 1);
    house.in_time("the keeper", || tail.position() == Some(at(1))).await;
    // It looks, finds nothing, and is with the others from then on.
    assert!(tokio::time::timeout(Duration::ZERO, slow.next()).await.is_err());
    let mut taken = vec![1];
    let mut was_left_behind = false;
    for round in 1..=30 {
        house.write("acme", 7).await;
        house.in_time("the others", || fast.positions().len() == 1 + round * 7).await;
        let page = slow.next().await.unwrap();
        was_left_behind |= slow.is_left_behind();
        taken.extend(page.events.iter().map(|event| event.record().position.number()));
    }
    assert!(was_left_behind, "its place was kept for it");
    while taken.len() < 211 {
        taken.extend(slow.next().await.unwrap().events.iter().map(|event| event.record().position.number()));
    }
    assert_eq!(taken, (1..=211).collect::<Vec<u64>>());
    house.write("acme", 1).await;
    assert_eq!(slow.next().await.unwrap().events.len(), 1);
    assert!(!slow.is_left_behind(), "it is with the others again");
    assert_eq!(fast.positions(), (1..=211).chain([212]).collect::<Vec<u64>>()[..fast.positions().len()]);
}

#[tokio::test]
async fn a_page_of_the_log_is_read_once_however_many_follow() {
    let house = House::new();
    let tail = tail(&house, TailBounds::default());
    let clients: Vec<Client> = (0..500)
        .map(|_| Client::start(tail.follow(&tenant("acme"), LogFilter::default(), Position::START)))
        .collect();
    house.in_time("the keeper", || tail.position() == Some(at(0))).await;
    let before = house.reads.load(Ordering::SeqCst);
    for round in 1..=10 {
        house.write("acme", 7).await;
        house
            .until("the others", || clients.iter().all(|client| client.positions().len() == round * 7))
            .await;
    }
    let reads = house.reads.load(Ordering::SeqCst) - before;
    // A page, one that finds nothing more, and a look whether the place still fits the log.
    assert!(reads <= 10 * 4, "{reads} reads of 10 pages for 500 clients");
}

#[tokio::test]
async fn nobody_is_given_what_is_another_tenants() {
    let house = House::new();
    let tail = tail(&house, TailBounds { read_events_max: 2, ..TailBounds::default() });
    let names = ["acme", "zeta", "acme-2"];
    let mut clients = Vec::new();
    for round in 0..12_usize {
        for name in names {
            clients.push((
                name,
                round,
                Client::start(tail.follow(&tenant(name), LogFilter::default(), at(0))),
            ));
        }
        house.write_unhinted(names[round % 3], 2).await;
        house.write(names[(round + 1) % 3], 1).await;
        house.pass(MOMENT).await;
    }
    for (name, round, client) in &clients {
        house.in_time("the log", || client.positions().len() == 12).await;
        let taken = client.taken.lock().unwrap().clone();
        assert!(taken.iter().all(|(owner, _)| owner == name), "{name}, from round {round}: {taken:?}");
        assert!(taken.is_sorted_by(|one, next| one.1 < next.1), "{name}: {taken:?}");
    }
}

#[tokio::test]
async fn a_filter_passes_the_same_from_the_log_and_from_memory() {
    let house = House::new();
    let tail = tail(&house, TailBounds { read_events_max: 2, ..TailBounds::default() });
    let filter = LogFilter { categories: vec![Category::new("order").unwrap()], ..LogFilter::default() };
    for category in ["note", "order", "note", "order", "note"] {
        house.write_bytes("acme", category, 8).await;
    }
    let mut reader = tail.follow(&tenant("acme"), filter.clone(), at(0));
    let client = Client::start(tail.follow(&tenant("acme"), filter, at(0)));
    house.in_time("those before", || client.positions() == [2, 4]).await;
    for category in ["note", "order", "note"] {
        house.write_bytes("acme", category, 8).await;
    }
    house.hub.wake();
    house.in_time("those since", || client.positions() == [2, 4, 7]).await;
    let mut taken = Vec::new();
    while taken.len() < 3 {
        taken
            .extend(reader.next().await.unwrap().events.iter().map(|event| event.record().position.number()));
    }
    assert_eq!(taken, [2, 4, 7]);
    // Its place moves over what it did not want, and says which event is there.
    house.in_time("the keeper", || tail.position() == Some(at(8))).await;
    assert!(tokio::time::timeout(Duration::ZERO, reader.next()).await.is_err());
    let place = reader.checkpoint().await.unwrap();
    assert_eq!((place.position, place.event_id.is_some()), (at(8), true));
}

#[tokio::test]
async fn what_all_tenants_hold_is_bounded_and_the_largest_gives() {
    let house = House::new();
    let tail = tail(&house, TailBounds { events_max: 10, read_events_max: 5, ..TailBounds::default() });
    let mut few = tail.follow(&tenant("few"), LogFilter::default(), at(0));
    let mut many = tail.follow(&tenant("many"), LogFilter::default(), at(0));
    house.in_time("the keeper", || tail.position() == Some(at(0))).await;
    house.write("few", 2).await;
    house.write("many", 40).await;
    house.in_time("the keeper", || tail.position() == Some(at(42))).await;
    let page = few.next().await.unwrap();
    assert_eq!((page.events.len(), page.is_shared), (2, true), "one tenant's many took another's few away");
    let mut taken = Vec::new();
    while taken.len() < 40 {
        let page = many.next().await.unwrap();
        taken.extend(page.events.iter().map(|event| event.record().position.number()));
    }
    assert_eq!(taken, (3..=42).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for() {
    let house = House::new();
    let tail = tail(&house, TailBounds::default());
    house.is_away.store(true, Ordering::SeqCst);
    let client = Client::start(tail.follow(&tenant("acme"), LogFilter::default(), at(0)));
    house.write("acme", 3).await;
    house.pass(POLL).await;
    assert!(client.positions().is_empty());
    house.is_away.store(false, Ordering::SeqCst);
    house.in_time("what was written meanwhile", || client.positions() == [1, 2, 3]).await;
    house.is_away.store(true, Ordering::SeqCst);
    house.write("acme", 3).await;
    house.pass(POLL).await;
    house.is_away.store(false, Ordering::SeqCst);
    house.in_time("the rest", || client.positions() == [1, 2, 3, 4, 5, 6]).await;
}

#[tokio::test]
async fn where_an_older_copy_of_the_log_is_restored_everybody_is_told() {
    let house = House::new();
    let tail = tail(&house, TailBounds::default());
    let mut client = Client::start(tail.follow(&tenant("acme"), LogFilter::default(), at(0)));
    house.write("acme", 10).await;
    house.in_time("the log", || client.positions().len() == 10).await;
    *house.log.lock().unwrap() = MemoryEventStore::new(house.clock.clone());
    house.write("acme", 4).await;
    house.pass(POLL * 2).await;
    house.until("the end", || client.task.is_finished()).await;
    assert!(matches!((&mut client.task).await.unwrap(), Error::CheckpointRefused(_)));
    assert_eq!(client.positions().len(), 10, "nothing of the other log was given");
    // Whoever comes now follows the log that is there.
    let client = Client::start(tail.follow(&tenant("acme"), LogFilter::default(), at(2)));
    house.write("acme", 1).await;
    house.in_time("the log", || client.positions() == [3, 4, 5]).await;
}

#[tokio::test]
async fn where_nobody_follows_nothing_is_read() {
    let house = House::new();
    let tail = tail(&house, TailBounds::default());
    house.write("acme", 1).await;
    house.pass(POLL * 2).await;
    assert_eq!((tail.position(), house.reads.load(Ordering::SeqCst)), (None, 0));
    let reader = tail.follow(&tenant("acme"), LogFilter::default(), at(1));
    let other = tail.follow(&tenant("zeta"), LogFilter::default(), at(1));
    house.in_time("the keeper", || tail.position() == Some(at(1))).await;
    drop(reader);
    house.write("zeta", 1).await;
    house.in_time("the keeper", || tail.position() == Some(at(2))).await;
    drop(other);
    house.pass(POLL * 2).await;
    let reads = house.reads.load(Ordering::SeqCst);
    house.write("acme", 5).await;
    house.pass(POLL * 2).await;
    assert_eq!((tail.position(), house.reads.load(Ordering::SeqCst)), (None, reads));
    // And from the beginning again.
    let mut reader = tail.follow(&tenant("acme"), LogFilter::default(), at(2));
    assert_eq!(reader.next().await.unwrap().events.len(), 5);
}
