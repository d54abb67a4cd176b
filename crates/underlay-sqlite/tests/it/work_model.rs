//! Work in a file, compared with work in memory: the same calls get the same answers.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Clock, Commit, CommitId, DueLook, Error, EventStore, Json, Lane, ManualClock, NewWork, Settled,
    Settlement, Shard, ShardTerm, TenantId, Timestamp, Work, WorkFilter, WorkKind, WorkPlace, WorkQueue,
    WorkScope, Worker,
};
use underlay_sqlite::{FaultPoint, SqliteConfig, SqliteStore};

use crate::sample::Place;

const TENANTS: [&str; 2] = ["acme", "globex"];
const RECEIVERS: [&str; 2] = ["bank", "mail"];
const KEYS: [&str; 3] = ["a", "b", "c"];
const WORKERS: usize = 3;
/// How long a worker is counted without asking.
const SHARE: Duration = Duration::from_secs(10);
/// Steps at which the writer fails and nothing is stored.
const FAULTS: [FaultPoint; 3] = [FaultPoint::Begin, FaultPoint::Inserted, FaultPoint::Commit];

#[derive(Clone, Debug)]
struct Piece {
    kind: WorkKind,
    receiver: &'static str,
    key: &'static str,
    is_urgent: bool,
    /// Seconds from now; also in the past.
    due_in: Option<i64>,
}

#[derive(Clone, Debug)]
enum Became {
    Done,
    Retry { delay: u64, error: String },
    Held,
    Dead { error: String, is_final: bool, holds: bool },
}

#[derive(Clone, Debug)]
struct Outcome {
    piece: Index,
    /// Mostly under the newest term of its shard.
    is_newest: bool,
    term: Index,
    became: Became,
}

#[derive(Clone, Debug)]
enum Step {
    Commit(&'static str, Vec<Piece>),
    Share(usize, u64),
    Release(usize),
    Leave(usize),
    Pass(u64),
    Settle(Vec<Outcome>),
    Replay(&'static str, Vec<Index>),
    Discard(&'static str, Vec<Index>),
    Reopen,
    Crash,
    Fail(FaultPoint),
}

fn piece() -> impl Strategy<Value = Piece> {
    let kind = prop::sample::select(&WorkKind::ALL[..2]);
    let (receiver, key) = (prop::sample::select(&RECEIVERS[..]), prop::sample::select(&KEYS[..]));
    let due_in = prop::option::weighted(0.3, -5_i64..30);
    (kind, receiver, key, any::<bool>(), due_in).prop_map(|(kind, receiver, key, is_urgent, due_in)| Piece {
        kind,
        receiver,
        key,
        is_urgent,
        due_in,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let error = || prop::sample::select(vec!["no route".to_owned(), format!("x{}", "é".repeat(600))]);
    let became = prop_oneof![
        4 => Just(Became::Done),
        2 => (0..20_u64, error()).prop_map(|(delay, error)| Became::Retry { delay, error }),
        3 => Just(Became::Held),
        2 => (error(), any::<bool>(), any::<bool>())
            .prop_map(|(error, is_final, holds)| Became::Dead { error, is_final, holds }),
    ];
    (any::<Index>(), prop::bool::weighted(0.8), any::<Index>(), became)
        .prop_map(|(piece, is_newest, term, became)| Outcome { piece, is_newest, term, became })
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = || prop::sample::select(&TENANTS[..]);
    let some = || vec(any::<Index>(), 1..4);
    prop_oneof![
        6 => (tenant(), vec(piece(), 1..5)).prop_map(|(tenant, pieces)| Step::Commit(tenant, pieces)),
        4 => (0..WORKERS, 0..5_000_u64).prop_map(|(worker, cursor)| Step::Share(worker, cursor)),
        1 => (0..WORKERS).prop_map(Step::Release),
        1 => (0..WORKERS).prop_map(Step::Leave),
        2 => (1..12_u64).prop_map(Step::Pass),
        10 => vec(outcome(), 1..6).prop_map(Step::Settle),
        3 => (tenant(), some()).prop_map(|(tenant, which)| Step::Replay(tenant, which)),
        2 => (tenant(), some()).prop_map(|(tenant, which)| Step::Discard(tenant, which)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => prop::sample::select(&FAULTS[..]).prop_map(Step::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn work_in_a_file_is_as_work_in_memory(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut both = Both::new();
            for step in steps {
                let is_change = !matches!(step, Step::Fail(_));
                both.step(step).await;
                if is_change {
                    both.compare_lists().await;
                }
            }
            both.compare_reads().await;
        });
    }
}

struct Both {
    clock: Arc<ManualClock>,
    memory: MemoryEventStore,
    place: Place,
    sqlite: SqliteStore,
    fault: Arc<Mutex<Option<FaultPoint>>>,
    workers: Vec<Worker>,
    terms: Vec<ShardTerm>,
    /// Every piece that was ever sent, with its number in its commit.
    sent: Vec<(Work, u32)>,
}

fn open(place: &Place, clock: &Arc<ManualClock>, fault: &Arc<Mutex<Option<FaultPoint>>>) -> SqliteStore {
    let fault = fault.clone();
    place.open_with(SqliteConfig::default().with_clock(clock.clone()).with_faults(move |step| {
        let mut fault = fault.lock().unwrap();
        fault.take_if(|fault| *fault == step).is_some()
    }))
}

/// Calls until the writer has its file back.
async fn stored<T, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> T {
    loop {
        match call().await {
            Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

impl Both {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
        let (place, fault) = (Place::new(), Arc::default());
        let worker = |number| Worker::embedded(format!("worker {number}"));
        Self {
            memory: MemoryEventStore::new(clock.clone()),
            sqlite: open(&place, &clock, &fault),
            place,
            fault,
            clock,
            workers: (0..WORKERS).map(worker).collect(),
            terms: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn moment(&self, seconds: i64) -> Timestamp {
        Timestamp::from_second(self.clock.now().as_second() + seconds).unwrap()
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Commit(owner, pieces) => self.commit(&tenant(owner), pieces).await,
            Step::Share(worker, cursor) => {
                let cursors = [WorkPlace::from_number(cursor), WorkPlace::from_number(cursor / 2)];
                let cursors: Vec<_> = Shard::all().take(9).map(|shard| (shard, cursors)).collect();
                let worker = &self.workers[worker];
                let first = self.memory.share(worker, SHARE, &cursors).await.unwrap();
                assert_eq!(stored(|| self.sqlite.share(worker, SHARE, &cursors)).await, first);
                self.terms.extend(first.held.iter().map(|held| held.term));
            }
            Step::Release(worker) => {
                let id = self.workers[worker].id;
                let of_worker = self.terms.iter().filter(|term| term.worker == id);
                let terms: Vec<ShardTerm> = of_worker.step_by(3).copied().collect();
                self.memory.release(&terms).await.unwrap();
                stored(|| self.sqlite.release(&terms)).await;
            }
            Step::Leave(worker) => {
                let worker = &self.workers[worker];
                self.memory.leave(worker).await.unwrap();
                stored(|| self.sqlite.leave(worker)).await;
            }
            Step::Pass(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::Settle(_) if self.sent.is_empty() || self.terms.is_empty() => {}
            Step::Settle(outcomes) => {
                let mut settlements: Vec<_> =
                    outcomes.into_iter().filter_map(|outcome| self.settlement(outcome)).collect();
                settlements.sort_by_key(|settlement| settlement.place);
                settlements.dedup_by_key(|settlement| settlement.place);
                let first = self.memory.settle(&settlements).await.unwrap();
                assert_eq!(stored(|| self.sqlite.settle(&settlements)).await, first, "{settlements:?}");
            }
            Step::Replay(owner, which) => {
                let (owner, ids) = (tenant(owner), self.ids(&which));
                let first = self.memory.replay(&owner, &ids).await.unwrap();
                assert_eq!(stored(|| self.sqlite.replay(&owner, &ids)).await, first);
            }
            Step::Discard(owner, which) => {
                let (owner, ids) = (tenant(owner), self.ids(&which));
                let first = self.memory.discard(&owner, &ids).await.unwrap();
                assert_eq!(stored(|| self.sqlite.discard(&owner, &ids)).await, first);
            }
            Step::Reopen => {
                self.sqlite.close().await.unwrap();
                self.sqlite = open(&self.place, &self.clock, &self.fault);
            }
            Step::Crash => {
                // The files as a process leaves them that is killed now.
                let copy = Place::new();
                for end in ["", "-wal"] {
                    let name = |place: &Place| format!("{}{end}", place.path().display());
                    std::fs::copy(name(&self.place), name(&copy)).unwrap();
                }
                self.sqlite.close().await.unwrap();
                self.place = copy;
                self.sqlite = open(&self.place, &self.clock, &self.fault);
            }
            Step::Fail(step) => *self.fault.lock().unwrap() = Some(step),
        }
    }

    async fn commit(&mut self, owner: &TenantId, pieces: Vec<Piece>) {
        let mut commit = Commit::new(CommitId::draw());
        for Piece { kind, receiver, key, is_urgent, due_in } in pieces {
            let mut work = NewWork::new(kind, receiver, key, "go", Json::parse("{\"n\":1}").unwrap());
            work.due_at = due_in.map(|due_in| self.moment(due_in));
            commit = commit.send(if is_urgent { work.urgent() } else { work });
        }
        let first = self.memory.commit(owner, commit.clone()).await.unwrap();
        let second = stored(|| self.sqlite.commit(owner, commit.clone())).await;
        assert_eq!((second.position, second.event_count), (first.position, first.event_count));
        for number in 0..commit.work.len() as u32 {
            let first = self.memory.find_work(owner, commit.id, number).await.unwrap();
            assert_eq!(self.sqlite.find_work(owner, commit.id, number).await.unwrap(), first);
            self.sent.extend(first.map(|info| (info.work, number)));
        }
    }

    fn settlement(&self, outcome: Outcome) -> Option<Settlement> {
        let work = &outcome.piece.get(&self.sent).0;
        let mut terms: Vec<_> = self.terms.iter().filter(|term| term.shard == work.shard).copied().collect();
        terms.sort_by_key(|term| term.term);
        let term =
            if outcome.is_newest { terms.last() } else { terms.get(outcome.term.index(terms.len().max(1))) };
        let settled = match outcome.became {
            Became::Done => Settled::Done,
            Became::Retry { delay, error } => Settled::Retry { delay: Duration::from_secs(delay), error },
            Became::Held => Settled::Held,
            Became::Dead { error, is_final, holds } => Settled::Dead { error, is_final, holds },
        };
        term.map(|term| Settlement { term: *term, place: work.place, settled })
    }

    fn ids(&self, which: &[Index]) -> Vec<underlay_core::WorkId> {
        let which = which.iter().filter(|_| !self.sent.is_empty());
        which.map(|index| index.get(&self.sent).0.id).collect()
    }

    async fn compare_lists(&self) {
        for dead in [false, true] {
            let all = WorkFilter { dead, ..WorkFilter::default() };
            self.compare_list(&all, 1_000).await;
        }
        let owners: BTreeSet<&TenantId> = self.sent.iter().map(|(work, _)| &work.tenant).collect();
        for owner in owners.into_iter().map(Some).chain([None]) {
            let first = self.memory.queue_depths(owner).await.unwrap();
            assert_eq!(self.sqlite.queue_depths(owner).await.unwrap(), first, "{owner:?}");
        }
    }

    async fn compare_list(&self, filter: &WorkFilter, limit: usize) {
        let mut after = WorkPlace::START;
        loop {
            let first = self.memory.list_work(filter, after, limit).await.unwrap();
            let second = self.sqlite.list_work(filter, after, limit).await.unwrap();
            assert_eq!(second, first, "{filter:?} after {after:?}");
            let Some(next) = first.next() else { return };
            after = next;
        }
    }

    async fn compare_reads(&self) {
        for dead in [false, true] {
            for owner in [None, Some(tenant("acme"))] {
                for kind in [None, Some(WorkKind::ALL[0])] {
                    let all = WorkFilter { tenant: owner.clone(), dead, kind, ..WorkFilter::default() };
                    let receiver = WorkFilter { receiver: Some("mail".to_owned()), ..all.clone() };
                    let key = WorkFilter { key: Some("b".to_owned()), ..all.clone() };
                    for filter in [all, receiver, key] {
                        self.compare_list(&filter, 3).await;
                    }
                }
            }
        }
        for (work, number) in &self.sent {
            let first = self.memory.find_work(&work.tenant, work.commit_id, *number).await.unwrap();
            let second = self.sqlite.find_work(&work.tenant, work.commit_id, *number).await.unwrap();
            assert_eq!(second, first);
        }
        let scopes = [
            WorkScope::EveryTenantBut(Vec::new()),
            WorkScope::EveryTenantBut(vec![tenant("globex")]),
            WorkScope::Tenant(tenant("acme")),
        ];
        for shard in Shard::all() {
            for lane in Lane::ALL {
                for scope in &scopes {
                    self.compare_ready(shard, lane, scope).await;
                }
            }
            let mut look = DueLook::default();
            loop {
                let first = self.memory.read_due(shard, &look, 2).await.unwrap();
                let second = self.sqlite.read_due(shard, &look, 2).await.unwrap();
                assert_eq!(second, first, "{shard} but {look:?}");
                if first.work.is_empty() {
                    break;
                }
                look.except.extend(first.work.iter().map(|read| read.work.place));
            }
            for scope in &scopes {
                let mut look = DueLook { scope: scope.clone(), ..DueLook::default() };
                loop {
                    let first = self.memory.read_due(shard, &look, 2).await.unwrap();
                    let second = self.sqlite.read_due(shard, &look, 2).await.unwrap();
                    assert_eq!(first.work, second.work, "{shard} {look:?}");
                    if first.at_end == second.at_end {
                        assert_eq!(first.next_due_in, second.next_due_in);
                    } else {
                        // What others have behind it is seen by one of the two alone.
                        assert!(matches!(scope, WorkScope::Tenant(_)), "{shard} {look:?}");
                    }
                    look.after = first.scanned_to.max(second.scanned_to);
                    if first.at_end && second.at_end {
                        break;
                    }
                }
            }
        }
    }

    async fn compare_ready(&self, shard: Shard, lane: Lane, scope: &WorkScope) {
        let mut after = WorkPlace::START;
        loop {
            let first = self.memory.read_work(shard, lane, scope, after, 2).await.unwrap();
            let second = self.sqlite.read_work(shard, lane, scope, after, 2).await.unwrap();
            assert_eq!(second.work, first.work, "{shard} {lane:?} {scope:?} after {after:?}");
            if matches!(scope, WorkScope::EveryTenantBut(_)) {
                assert_eq!((second.scanned_to, second.at_end), (first.scanned_to, first.at_end));
            }
            let Some(last) = first.work.last() else { return };
            after = last.work.place;
        }
    }
}
