//! The adapter, compared with the model of the testkit.

use std::sync::{Arc, Mutex};

use underlay_core::{Archive, EventStore, ReadModels, Snapshots};
use underlay_sqlite::{FaultPoint, SqliteConfig, SqliteStore};
use underlay_testkit::Skip;
use underlay_testkit::model::{Reopening, SetClock, Subject, compare};

use crate::sample::Place;

#[test]
fn sqlite_answers_as_the_model_does() {
    compare::<Sqlite>(64);
}

/// The steps at which the writer fails, one after the other.
const FAULTS: [&[FaultPoint]; 8] = [
    &[FaultPoint::Begin],
    &[FaultPoint::Inserted],
    &[FaultPoint::Commit],
    &[FaultPoint::Committed],
    &[FaultPoint::Commit, FaultPoint::Fence],
    &[FaultPoint::Committed, FaultPoint::Fence],
    &[FaultPoint::Inserted, FaultPoint::Fence, FaultPoint::Fence],
    &[FaultPoint::Committed, FaultPoint::Fence, FaultPoint::Reopen],
];

/// One file.
struct Sqlite {
    store: SqliteStore,
    place: Place,
    clock: Arc<SetClock>,
    due: Arc<Mutex<Vec<FaultPoint>>>,
}

impl Sqlite {
    fn open(&mut self) {
        self.store = open(&self.place, &self.clock, &self.due);
    }
}

fn open(place: &Place, clock: &Arc<SetClock>, due: &Arc<Mutex<Vec<FaultPoint>>>) -> SqliteStore {
    let due = due.clone();
    place.open_with(SqliteConfig::default().with_clock(clock.clone()).with_faults(move |step| {
        let mut due = due.lock().unwrap();
        let fails = due.first() == Some(&step);
        if fails {
            due.remove(0);
        }
        fails
    }))
}

impl Subject for Sqlite {
    async fn create(clock: Arc<SetClock>) -> Result<Self, Skip> {
        let (place, due) = (Place::new(), Arc::default());
        Ok(Self { store: open(&place, &clock, &due), place, clock, due })
    }

    fn events(&self) -> &dyn EventStore {
        &self.store
    }

    fn archive(&self) -> &dyn Archive {
        &self.store
    }

    fn rows(&self) -> &dyn ReadModels {
        &self.store
    }

    fn snapshots(&self) -> &dyn Snapshots {
        &self.store
    }

    fn arm(&self, fault: usize) -> bool {
        *self.due.lock().unwrap() = FAULTS[fault % FAULTS.len()].to_vec();
        true
    }

    async fn disarm(&self) {
        self.due.lock().unwrap().clear();
    }

    async fn reopen(&mut self, reopening: Reopening) {
        let first = self.store.clone();
        match reopening {
            Reopening::InOrder => {
                first.close().await.unwrap();
                self.open();
            }
            Reopening::Beside => {
                self.open();
                first.close().await.unwrap();
            }
            Reopening::AfterCrash => {
                let copy = Place::new();
                for end in ["", "-wal"] {
                    let name = |place: &Place| format!("{}{end}", place.path().display());
                    std::fs::copy(name(&self.place), name(&copy)).unwrap();
                }
                drop(std::mem::replace(&mut self.place, copy));
                self.open();
            }
        }
    }
}
