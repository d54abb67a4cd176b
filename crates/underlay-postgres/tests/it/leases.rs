//! The contract of leases, by a clock that is moved by hand, and what several processes make of it by
//! the clock of the server.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;
use underlay_core::{Checkpoint, Error, EventStore, Leases, ManualClock, ReadModels, Timestamp, ViewBatch};
use underlay_postgres::PostgresStore;
use underlay_testkit::{Fixture, LeasesFixture, ReadModelsFixture, Skip};

use crate::place::{Place, with_place};
use crate::sample::{accounts, checkpoint_at, row};

struct Database {
    store: PostgresStore,
    clock: Arc<ManualClock>,
    place: Place,
}

impl Database {
    async fn open(place: Place, clock: Arc<ManualClock>) -> Self {
        let store = place.open_with(place.config().with_clock(clock.clone())).await;
        Self { store, clock, place }
    }
}

impl Fixture for Database {
    async fn create() -> Result<Self, Skip> {
        let clock = ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap());
        Ok(Self::open(Place::for_case().await?, Arc::new(clock)).await)
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        Self::open(self.place, self.clock).await
    }
}

impl ReadModelsFixture for Database {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.store.clone())
    }
}

impl LeasesFixture for Database {
    fn leases(&self) -> Arc<dyn Leases> {
        Arc::new(self.store.clone())
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

underlay_testkit::conformance!(leases, Database);

/// Waits until so many sessions of this database wait for a lock, this call's among them.
async fn wait_until_blocked<T: Debug>(
    call: &mut (impl Future<Output = T> + Unpin),
    watcher: &Client,
    sessions: i64,
) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
    loop {
        tokio::select! {
            biased;
            answer = &mut *call => panic!("it waits: {answer:?}"),
            count = watcher.query_one(waiting, &[]) => if count.unwrap().get::<_, i64>(0) >= sessions { break },
        }
    }
}

#[test]
fn processes_share_the_clock_of_the_server() {
    with_place(async |place| {
        let (here, there) = (place.open().await, place.open().await);
        let minute = Duration::from_secs(60);
        let first = here.acquire("work", "here", minute).await.unwrap().expect("it is free");
        assert_eq!(there.acquire("work", "there", minute).await.unwrap(), None);
        here.release(&first).await.unwrap();
        // So short that asking again soon finds it run out.
        let short =
            there.acquire("work", "there", Duration::from_millis(1)).await.unwrap().expect("it is free");
        let next = loop {
            if let Some(lease) = here.acquire("work", "here", minute).await.unwrap() {
                break lease;
            }
        };
        assert_eq!((first.term, short.term, next.term), (1, 2, 3));
        assert!(matches!(there.renew(&short, minute).await, Err(Error::LeaseLost { term: 2, .. })));
    });
}

#[test]
fn nobody_takes_a_lease_while_a_batch_is_stored_under_it() {
    with_place(async |place| {
        let store = place.open().await;
        let start = Checkpoint::start(store.store_id());
        let table = store.prepare(&accounts(), start).await.unwrap();
        let minute = Duration::from_secs(60);
        let lease = store.acquire("view accounts", "a", minute).await.unwrap().expect("it is free");
        // The rows of the batch wait for somebody else's lock, behind the check of the lease.
        let holder = place.admin().await;
        holder.batch_execute("BEGIN; LOCK TABLE underlay_views.accounts_1").await.unwrap();
        let batch = ViewBatch::new(start, checkpoint_at(start, 1), vec![row("acme", "k", 1)])
            .with_lease(Some(lease.term()));
        let mut storing = crate::sample::begin(store.apply(&table, batch));
        let watcher = place.admin().await;
        wait_until_blocked(&mut storing, &watcher, 1).await;
        // Giving it back waits until the batch is stored.
        let mut releasing = crate::sample::begin(store.release(&lease));
        wait_until_blocked(&mut releasing, &watcher, 2).await;
        holder.batch_execute("COMMIT").await.unwrap();
        storing.await.unwrap();
        releasing.await.unwrap();
    });
}

#[test]
fn who_is_paused_in_the_middle_of_a_batch_holds_nobody_up() {
    with_place(async |place| {
        let idle = place.config().with_idle_timeout(Duration::from_millis(100));
        let (paused, other) = (place.open_with(idle).await, place.open().await);
        let start = Checkpoint::start(paused.store_id());
        let table = paused.prepare(&accounts(), start).await.unwrap();
        let lease = paused.acquire("view accounts", "a", Duration::from_secs(1)).await.unwrap();
        let batch = ViewBatch::new(start, checkpoint_at(start, 1), vec![row("acme", "k", 1)])
            .with_lease(Some(lease.expect("it is free").term()));
        let holder = place.admin().await;
        holder.batch_execute("BEGIN; SELECT FROM underlay.view_generations FOR UPDATE").await.unwrap();
        let mut storing = crate::sample::begin(paused.apply(&table, batch.clone()));
        let watcher = place.admin().await;
        wait_until_blocked(&mut storing, &watcher, 1).await;
        // Nobody goes on with it from here: its transaction is open, and has locked the lease.
        holder.batch_execute("COMMIT").await.unwrap();
        let taken = loop {
            if let Some(lease) = other.acquire("view accounts", "b", Duration::from_secs(60)).await.unwrap() {
                break lease;
            }
        };
        assert_eq!(taken.term, 2);
        let further =
            ViewBatch::new(start, checkpoint_at(start, 2), batch.changes).with_lease(Some(taken.term()));
        other.apply(&table, further).await.unwrap();
        assert!(storing.await.is_err(), "it came back, and stored nothing");
    });
}
