//! Files whose bytes were changed or cut off, wherever that may be.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use underlay_core::{CommitId, EventStore, LogFilter, LogScope, Position, RecordedEvent};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use crate::sample::Place;
use crate::survey::{fill, survey};

/// What happens to a file.
#[derive(Clone, Debug)]
enum Damage {
    /// Bytes are changed.
    Changed(Vec<(Index, u8)>),
    /// A part is filled with one byte.
    Filled(Index, usize, u8),
    /// The end is missing.
    Cut(Index),
    /// A page lies where another should.
    Copied { from: Index, to: Index },
}

const PAGE_BYTES: usize = 4096;

fn any_damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => prop::collection::vec((any::<Index>(), any::<u8>()), 1..6).prop_map(Damage::Changed),
        1 => (any::<Index>(), 1usize..5_000, any::<u8>())
            .prop_map(|(at, count, byte)| Damage::Filled(at, count, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Copied { from, to }),
    ]
}

impl Damage {
    fn inflict(&self, bytes: &mut Vec<u8>) {
        let all = bytes.len();
        match self {
            Self::Changed(changes) => {
                for (at, byte) in changes {
                    // Another byte than the one that is there.
                    bytes[at.index(all)] ^= (*byte).max(1);
                }
            }
            Self::Filled(at, count, byte) => {
                let at = at.index(all);
                bytes[at..(at + count).min(all)].fill(*byte);
            }
            Self::Cut(at) => bytes.truncate(at.index(all)),
            Self::Copied { from, to } => {
                let page = |at: &Index| at.index(all / PAGE_BYTES) * PAGE_BYTES;
                bytes.copy_within(page(from)..page(from) + PAGE_BYTES, page(to));
            }
        }
    }
}

/// Runs damages drawn from a fixed seed, `cases` of them or as many as the environment asks for.
fn for_damages(cases: u32, check: impl Fn(&Damage)) {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let verdict = TestRunner::new_with_rng(config, rng).run(&any_damage(), |damage| {
        check(&damage);
        Ok(())
    });
    if let Err(failure) = verdict {
        panic!("{failure}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn wal(place: &Place) -> PathBuf {
    PathBuf::from(format!("{}-wal", place.path().display()))
}

#[test]
fn a_damaged_file_is_answered_without_a_panic() {
    let runtime = runtime();
    let place = Place::new();
    let ids: Vec<CommitId> = runtime.block_on(async {
        let store = place.open();
        let ids = fill(&store).await;
        store.close().await.unwrap();
        ids
    });
    let sound = std::fs::read(place.path()).unwrap();
    assert!(
        runtime.block_on(survey(place.path(), &ids)).is_empty(),
        "a sound file has nothing to complain of"
    );
    let complaints = std::cell::Cell::new(0);
    for_damages(300, |damage| {
        let mut bytes = sound.clone();
        damage.inflict(&mut bytes);
        let damaged = Place::new();
        std::fs::write(damaged.path(), bytes).unwrap();
        let found = runtime.block_on(survey(damaged.path(), &ids));
        complaints.set(complaints.get() + found.len());
    });
    assert!(complaints.get() > 0, "damage that nothing shows is no damage");
}

#[test]
fn a_damaged_wal_gives_the_log_up_to_the_damage() {
    let runtime = runtime();
    let place = Place::new();
    let (store, log) = runtime.block_on(async {
        // Closed once, so that the tables are in the file; what comes then is in the WAL alone.
        place.open().close().await.unwrap();
        let store = place.open();
        fill(&store).await;
        let log = whole_log(&store).await;
        (store, log)
    });
    let (file, frames) = (std::fs::read(place.path()).unwrap(), std::fs::read(wal(&place)).unwrap());
    let lost = std::cell::Cell::new(0);
    for_damages(150, |damage| {
        let mut bytes = frames.clone();
        damage.inflict(&mut bytes);
        let damaged = Place::new();
        std::fs::write(damaged.path(), &file).unwrap();
        std::fs::write(wal(&damaged), bytes).unwrap();
        runtime.block_on(async {
            let store = SqliteStore::open(damaged.path(), SqliteConfig::default()).unwrap();
            let found = whole_log(&store).await;
            assert!(log.starts_with(&found), "a log that never was: {found:?}");
            assert!(found.last().is_none_or(|event| event.commit_tail == 0), "half a commit");
            lost.set(lost.get() + log.len() - found.len());
            store.close().await.unwrap();
        });
    });
    assert!(lost.get() > 0, "damage that nothing shows is no damage");
    runtime.block_on(store.close()).unwrap();
}

async fn whole_log(store: &SqliteStore) -> Vec<RecordedEvent> {
    let page = store.read_all(&LogScope::EveryTenant, Position::START, &LogFilter::default(), 1_000).await;
    page.unwrap().events
}
