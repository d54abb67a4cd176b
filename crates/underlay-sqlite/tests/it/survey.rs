//! Every call of a store on a file that may be damaged: each is answered, by what is there or by an
//! error that says what is wrong. No thread panics, and nothing waits for ever.

use std::path::Path;
use std::time::Duration;

use underlay_core::{
    Archive, Checkpoint, Checkpoints, CommitId, DueLook, Error, EventStore, ExpectedVersion, Fingerprint,
    HeldShard, Json, Lane, LogFilter, LogScope, Position, Query, ReadModels, Retention, Schedules, Settled,
    Settlement, Shard, Snapshot, Snapshots, StoredCheckpoint, StreamName, Timestamp, Version, ViewBatch,
    ViewTable, Work, WorkFilter, WorkId, WorkPlace, WorkQueue, WorkScope,
};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use crate::entities;
use crate::sample::{append, append_many, stream, tenant};
use crate::views::{address, balances, checkpoint_at, upsert};
use crate::work::{SHARE, piece, sending, worker};

/// No survey needs as long; one that does waits for an answer that never comes.
const SURVEY_TIME_MAX: Duration = Duration::from_secs(20);
/// Pages of a file with fewer events than this; more of them go round in a circle.
const PAGES_MAX: usize = 1_000;

/// A call, with what it was answered where that was an error.
pub(crate) type Complaint = (&'static str, Error);

/// Streams [`fill`] writes to.
pub(crate) const STREAMS: [&str; 3] = ["a-1", "a-2", "b-1"];

/// Puts something of everything into a store, in 12 events; the ids of its commits.
pub(crate) async fn fill(store: &SqliteStore) -> Vec<CommitId> {
    let mut ids = Vec::new();
    for round in 0..2 {
        for name in STREAMS {
            let commit = append_many(name, ExpectedVersion::Exact(Version(round * 2)), 2);
            ids.push(commit.id);
            store.commit(&tenant(), commit).await.unwrap();
        }
    }
    let body = Json::parse("{\"by\":1}").unwrap();
    let (code, message) = ("too_low".to_owned(), "It is too low.".to_owned());
    let outcome = underlay_core::Outcome::Refused { code, message, body };
    let refused = underlay_core::Commit::new(CommitId::draw()).with_outcome(outcome);
    ids.push(refused.id);
    store.commit(&tenant(), refused).await.unwrap();
    let start = Checkpoint::start(store.store_id());
    let table = store.prepare(&balances(), start).await.unwrap();
    let to = checkpoint_at(start, 12);
    let changes = (0..10).map(|number| upsert(&format!("k{number}"), number)).collect();
    store.apply(&table, ViewBatch::new(start, to, changes)).await.unwrap();
    store.store_snapshot(&tenant(), &stream("a-1"), snapshot(4)).await.unwrap();
    ids.push(fill_work(store).await);
    entities::fill(store).await;
    ids
}

/// Puts work of every standing into a store, with a schedule and a checkpoint; the id of its commit.
async fn fill_work(store: &SqliteStore) -> CommitId {
    let later = piece("later").with_due_at(Timestamp::MAX);
    let commit = sending(&["ready", "dead", "line", "line"]).send(later);
    let id = commit.id;
    store.commit(&tenant(), commit).await.unwrap();
    let held = store.share(&worker("w"), SHARE, &[]).await.unwrap().held;
    let listed = store.list_work(&WorkFilter::default(), WorkPlace::START, 10).await.unwrap();
    let error = || "no route".to_owned();
    let settled = [
        (1, Settled::Dead { error: error(), is_final: true, holds: true }),
        (2, Settled::Retry { delay: Duration::MAX, error: error() }),
        (3, Settled::Held),
    ];
    let settle = settled.map(|(number, settled)| {
        let work: &Work = &listed.work[number].work;
        let its = held.iter().find(|held| held.term.shard == work.shard).unwrap();
        Settlement { term: its.term, place: work.place, settled }
    });
    assert_eq!(store.settle(&settle).await.unwrap(), []);
    let definition = Json::parse("{}").unwrap();
    store.put_schedule(&tenant(), "monthly", &definition, Some(Timestamp::UNIX_EPOCH)).await.unwrap();
    let checkpoint = Checkpoint::start(store.store_id());
    store.move_checkpoint("pump", None, &StoredCheckpoint { checkpoint, definition }, None).await.unwrap();
    id
}

async fn read_work(store: &SqliteStore, ids: &[CommitId], complaints: &mut Complaints) {
    for shard in Shard::all() {
        for lane in Lane::ALL {
            for scope in [WorkScope::EveryTenantBut(Vec::new()), WorkScope::Tenant(tenant())] {
                let page = store.read_work(shard, lane, &scope, WorkPlace::START, 10).await;
                complaints.note("read_work", page);
            }
        }
        complaints.note("read_due", store.read_due(shard, &DueLook::default(), 10).await);
    }
    for (dead, owner) in [(false, None), (true, None), (false, Some(tenant())), (true, Some(tenant()))] {
        let filter = WorkFilter { dead, tenant: owner, ..WorkFilter::default() };
        complaints.note("list_work", store.list_work(&filter, WorkPlace::START, 10).await);
    }
    for id in ids {
        complaints.note("find_work", store.find_work(&tenant(), *id, 0).await);
    }
    for owner in [None, Some(&tenant())] {
        complaints.note("queue_depths", store.queue_depths(owner).await);
    }
    complaints.note("list_schedules", store.list_schedules(None, None, 10).await);
    complaints.note("due_schedules", store.due_schedules(Timestamp::MAX, None, 10).await);
    complaints.note("find_checkpoint", store.find_checkpoint("pump").await);
    complaints.note("list_checkpoints", store.list_checkpoints().await);
}

async fn write_work(store: &SqliteStore, complaints: &mut Complaints) {
    complaints.note("commit", store.commit(&tenant(), sending(&["a", "line"])).await);
    let Some(share) = complaints.note("share", store.share(&worker("v"), SHARE, &[]).await) else { return };
    let settle = |done: &HeldShard| Settlement {
        term: done.term,
        place: WorkPlace::from_number(1 << 10),
        settled: Settled::Done,
    };
    let settled: Vec<_> = share.held.iter().take(1).map(settle).collect();
    complaints.note("settle", store.settle(&settled).await);
    let letters: Vec<WorkId> = Vec::new();
    complaints.note("replay", WorkQueue::replay(store, &tenant(), &letters).await);
    complaints.note("discard", WorkQueue::discard(store, &tenant(), &letters).await);
    let definition = Json::parse("{}").unwrap();
    complaints.note("put_schedule", store.put_schedule(&tenant(), "monthly", &definition, None).await);
    complaints.note("remove_schedule", store.remove_schedule(&tenant(), "monthly").await);
    let checkpoint = Checkpoint::start(store.store_id());
    let moved = StoredCheckpoint { checkpoint, definition };
    complaints.note("move_checkpoint", store.move_checkpoint("pump", Some(&checkpoint), &moved, None).await);
}

/// Opens a file, asks all there is to ask and writes all there is to write.
pub(crate) async fn survey(path: &Path, ids: &[CommitId]) -> Vec<Complaint> {
    let asked = tokio::time::timeout(SURVEY_TIME_MAX, ask(path, ids)).await;
    let complaints = asked.unwrap_or_else(|_| panic!("no end after {SURVEY_TIME_MAX:?}"));
    for (call, error) in &complaints {
        let text = error.to_string();
        assert!(!text.contains("panic"), "{call}: {text}");
        assert!(text.len() < 2_000, "{call}: an error of {} bytes helps nobody", text.len());
    }
    complaints
}

async fn ask(path: &Path, ids: &[CommitId]) -> Vec<Complaint> {
    let config = SqliteConfig::default().with_busy_timeout(Duration::from_millis(100));
    let path = path.to_owned();
    let opening = tokio::task::spawn_blocking(move || SqliteStore::open(path, config));
    let mut complaints = Complaints(Vec::new());
    if let Some(store) = complaints.note("open", opening.await.unwrap()) {
        read(&store, ids, &mut complaints).await;
        read_work(&store, ids, &mut complaints).await;
        write(&store, &mut complaints).await;
        write_work(&store, &mut complaints).await;
        for (call, answer) in entities::ask(&store).await {
            complaints.note(call, answer);
        }
        store.close().await.expect("no thread of the store has panicked");
    }
    complaints.0
}

async fn read(store: &SqliteStore, ids: &[CommitId], complaints: &mut Complaints) {
    let all = LogFilter::default();
    let some = LogFilter { categories: vec![underlay_core::Category::new("b").unwrap()], ..all.clone() };
    for scope in [LogScope::EveryTenant, LogScope::Tenant(tenant())] {
        for filter in [&all, &some] {
            read_log(store, &scope, filter, complaints).await;
        }
        read_commits(store, &scope, complaints).await;
    }
    complaints.note("head", store.head().await);
    let names: Vec<StreamName> = STREAMS.iter().map(|name| stream(name)).collect();
    for name in &names {
        complaints.note("read_stream", store.read_stream(&tenant(), name, Version::NONE, 3).await);
        complaints.note("read_stream", store.read_stream(&tenant(), name, Version(1), 100).await);
        complaints.note("load_snapshot", store.load_snapshot(&tenant(), name).await);
    }
    complaints.note("versions", store.versions(&tenant(), &names).await);
    for id in ids {
        complaints.note("find_commit", store.find_commit(&tenant(), *id).await);
    }
    for time in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::now(), Timestamp::MAX] {
        complaints.note("position_at", store.position_at(time).await);
    }
    for number in [0, 1, 6, 12, u64::MAX] {
        complaints.note("event_id_at", store.event_id_at(Position::from_number(number)).await);
    }
    complaints.note("views", store.views().await);
    let table = ViewTable { schema: balances(), generation: 1 };
    complaints.note("checkpoint", store.checkpoint(&table).await);
    let rows: Vec<_> = (0..10).map(|number| address(&format!("k{number}"))).collect();
    complaints.note("load", store.load(&table, &rows).await);
    for query in [Query::default(), Query::default().sort("amount", underlay_core::Direction::Descending)] {
        complaints.note("query", store.query(&table, &tenant(), &query).await);
        complaints.note("count", store.count(&table, &tenant(), &query).await);
    }
}

async fn read_log(store: &SqliteStore, scope: &LogScope, filter: &LogFilter, complaints: &mut Complaints) {
    let mut after = Position::START;
    for _ in 0..PAGES_MAX {
        let page = store.read_all(scope, after, filter, 3).await;
        let Some(page) = complaints.note("read_all", page) else { return };
        if page.at_head {
            return;
        }
        assert!(page.scanned_to > after, "a page that is not at the head moves on from {after}");
        after = page.scanned_to;
    }
    panic!("the log does not end");
}

async fn read_commits(store: &SqliteStore, scope: &LogScope, complaints: &mut Complaints) {
    let mut after = 0;
    for _ in 0..PAGES_MAX {
        let page = store.read_commits(scope, after, 2).await;
        let Some(page) = complaints.note("read_commits", page) else { return };
        if page.at_end {
            return;
        }
        assert!(page.next > after, "a page that is not at the end moves on from {after}");
        after = page.next;
    }
    panic!("the commits do not end");
}

async fn write(store: &SqliteStore, complaints: &mut Complaints) {
    for commit in [append("a-1", ExpectedVersion::Any), append("new-1", ExpectedVersion::NoStream)] {
        complaints.note("commit", store.commit(&tenant(), commit).await);
    }
    let start = Checkpoint::start(store.store_id());
    if let Some(table) = complaints.note("prepare", store.prepare(&balances(), start).await)
        && let Some(from) = complaints.note("checkpoint", store.checkpoint(&table).await)
    {
        let to = checkpoint_at(from, from.position.number().saturating_add(1));
        let batch = ViewBatch::new(from, to, vec![upsert("k1", 7), upsert("new", 8)]);
        complaints.note("apply", store.apply(&table, batch).await);
    }
    complaints.note("begin_generation", store.begin_generation(&balances(), start).await);
    complaints.note("store_snapshot", store.store_snapshot(&tenant(), &stream("a-1"), snapshot(9)).await);
    complaints.note("forget", store.forget_outcome_bodies(Timestamp::MAX).await);
    complaints.note("forget", store.forget_empty_commits(Timestamp::UNIX_EPOCH).await);
    let exported = store.read_commits(&LogScope::EveryTenant, 0, 100).await;
    if let Some(page) = complaints.note("read_commits", exported) {
        complaints.note("import_commits", store.import_commits(page.commits).await);
    }
}

fn snapshot(version: u64) -> Snapshot {
    Snapshot {
        version: Version(version),
        event_id: underlay_core::EventId::draw(),
        fingerprint: Fingerprint([7; 16]),
        state: Json::parse("{}").unwrap(),
    }
}

struct Complaints(Vec<Complaint>);

impl Complaints {
    fn note<T>(&mut self, call: &'static str, answer: Result<T, Error>) -> Option<T> {
        answer.map_err(|error| self.0.push((call, error))).ok()
    }
}
