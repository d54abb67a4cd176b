//! The adapter, compared with the model of the testkit: two stores on one database, as two processes
//! have them, called in turns; one of them writes every commit as a batch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use underlay_core::{Archive, Commit, CommitId, Error, EventStore, ExpectedVersion, ReadModels, Snapshots};
use underlay_postgres::{FaultPoint, Listen, PostgresStore};
use underlay_testkit::Skip;
use underlay_testkit::model::{Reopening, SetClock, Subject, compare};

use crate::place::Place;
use crate::sample::{acme, stream};

#[test]
fn postgres_answers_as_the_model_does() {
    compare::<Processes>(16);
}

/// The steps at which a committer fails, one after the other. A second failure of the fence comes after
/// `DOUBT_TIMEOUT`, so the commit is uncertain.
const FAULTS: [&[FaultPoint]; 5] = [
    &[FaultPoint::Send],
    &[FaultPoint::Answered],
    &[FaultPoint::Answered, FaultPoint::Fence],
    &[FaultPoint::Send, FaultPoint::Fence, FaultPoint::Fence],
    &[FaultPoint::Answered, FaultPoint::Fence, FaultPoint::Fence],
];
const DOUBT_TIMEOUT: Duration = Duration::from_millis(20);

struct Processes {
    stores: [PostgresStore; 2],
    next: AtomicUsize,
    place: Place,
    clock: Arc<SetClock>,
    due: Arc<Mutex<Vec<FaultPoint>>>,
}

/// Which of the ways a commit alone in its batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As it is taken by default.
    Alone,
    /// As a batch.
    Batch,
}

async fn open_pair(
    place: &Place,
    clock: &Arc<SetClock>,
    due: &Arc<Mutex<Vec<FaultPoint>>>,
) -> [PostgresStore; 2] {
    [open(place, clock, due, Way::Alone).await, open(place, clock, due, Way::Batch).await]
}

async fn open(
    place: &Place,
    clock: &Arc<SetClock>,
    due: &Arc<Mutex<Vec<FaultPoint>>>,
    way: Way,
) -> PostgresStore {
    let due = due.clone();
    let config = place
        .config()
        .with_clock(clock.clone())
        .with_listen(Listen::Off)
        .with_doubt_timeout(DOUBT_TIMEOUT)
        .with_faults(move |step| {
            if step == FaultPoint::Alone {
                return way == Way::Batch;
            }
            let mut due = due.lock().unwrap();
            let fails = due.first() == Some(&step);
            if fails {
                due.remove(0);
            }
            fails
        });
    place.open_with(config).await
}

impl Processes {
    async fn open(&self) -> [PostgresStore; 2] {
        open_pair(&self.place, &self.clock, &self.due).await
    }

    fn next(&self) -> &PostgresStore {
        &self.stores[self.next.fetch_add(1, Ordering::Relaxed) % 2]
    }
}

async fn close(stores: &[PostgresStore]) {
    for store in stores {
        store.close().await.unwrap();
    }
}

impl Subject for Processes {
    const EVERY_COMMIT_IN_TIME: bool = true;

    async fn create(clock: Arc<SetClock>) -> Result<Self, Skip> {
        let (place, due) = (Place::for_case().await?, Arc::default());
        let stores = open_pair(&place, &clock, &due).await;
        Ok(Self { stores, next: AtomicUsize::new(0), place, clock, due })
    }

    fn events(&self) -> &dyn EventStore {
        self.next()
    }

    fn archive(&self) -> &dyn Archive {
        self.next()
    }

    fn rows(&self) -> &dyn ReadModels {
        self.next()
    }

    fn snapshots(&self) -> &dyn Snapshots {
        self.next()
    }

    fn arm(&self, fault: usize) -> bool {
        *self.due.lock().unwrap() = FAULTS[fault % FAULTS.len()].to_vec();
        true
    }

    async fn disarm(&self) {
        self.due.lock().unwrap().clear();
        for store in &self.stores {
            // A conflict is an answer, and stores nothing.
            let probe = || Commit::new(CommitId::draw()).expect(stream("nobody-1"), ExpectedVersion::Exists);
            while let Err(Error::Unavailable { .. }) = store.commit(&acme(), probe()).await {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn reopen(&mut self, reopening: Reopening) {
        match reopening {
            Reopening::InOrder => {
                close(&self.stores).await;
                self.stores = self.open().await;
            }
            Reopening::Beside => {
                let after = self.open().await;
                close(&std::mem::replace(&mut self.stores, after)).await;
            }
            Reopening::AfterCrash => {
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                            WHERE datname = current_database() AND pid <> pg_backend_pid()";
                self.place.admin().await.execute(kill, &[]).await.unwrap();
                self.stores = self.open().await;
            }
        }
    }
}
