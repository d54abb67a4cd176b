//! Files that an earlier version has made, with work in them.

use std::collections::BTreeSet;

use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{
    Commit, CommitId, EventStore, Lane, ReadWork, Settled, Settlement, Shard, TenantId, Timestamp, WaitsFor,
    WorkFilter, WorkInfo, WorkPlace, WorkQueue, WorkScope, Worker,
};
use underlay_sqlite::SqliteStore;

use crate::sample::Place;
use crate::work::{SHARE, piece, worker};

/// The table of ready work and its indexes, as the third migration has made them.
const WORK: &str = include_str!("../../migrations/0003_work/work.sql");

/// Commits that send work of two tenants and both lanes; some of it is due later.
const COMMITS: usize = 700;

/// All that is ready, as every shard and lane is read by short pages.
async fn ready(store: &SqliteStore) -> Vec<ReadWork> {
    let mut read = Vec::new();
    for (shard, lane) in Shard::all().flat_map(|shard| Lane::ALL.map(|lane| (shard, lane))) {
        let mut after = WorkPlace::START;
        loop {
            let page = store.read_work(shard, lane, &WorkScope::default(), after, 7).await.unwrap();
            read.extend(page.work);
            if page.at_end {
                break;
            }
            after = page.scanned_to;
        }
    }
    read
}

async fn listed(store: &SqliteStore, filter: &WorkFilter) -> Vec<WorkInfo> {
    let (mut listed, mut after) = (Vec::new(), WorkPlace::START);
    loop {
        let page = store.list_work(filter, after, 100).await.unwrap();
        after = page.next().unwrap_or_default();
        listed.extend(page.work);
        if page.at_end {
            return listed;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_third_migration_keeps_its_work() {
    let place = Place::new();
    let store = place.open();
    let tenants = ["acme", "globex"].map(|name| TenantId::new(name).unwrap());
    for number in 0..COMMITS {
        let (normal, urgent) = (piece(&format!("k{}", number % 40)), piece("u").urgent());
        let later = piece("later").with_due_at(Timestamp::MAX);
        let mut commit = Commit::new(CommitId::draw()).send(normal);
        if number % 5 == 0 {
            commit = commit.send(urgent).send(later);
        }
        store.commit(&tenants[number % 2], commit).await.unwrap();
    }
    let of_tenant =
        WorkFilter { tenant: Some(tenants[0].clone()), key: Some("k4".into()), ..WorkFilter::default() };
    let (all, read) = (listed(&store, &WorkFilter::default()).await, ready(&store).await);
    let of_key = listed(&store, &of_tenant).await;
    let depths = store.queue_depths(None).await.unwrap();
    assert_eq!((all.len(), read.len()), (COMMITS / 5 * 7, COMMITS / 5 * 6));
    store.close().await.unwrap();

    let (_, indexes) = WORK.split_once("-- What passes over a tenant").unwrap();
    let before = "DELETE FROM migrations WHERE number > 3; DROP INDEX work_in_order; DROP TABLE view_orders; \
                  DROP TABLE entities; DROP TABLE work_scheduler; ALTER TABLE workers DROP COLUMN scheduler;";
    place.connect().execute_batch(&format!("{before}\n-- {indexes}")).unwrap();

    let store = place.open();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'work'";
    let names: Vec<String> = {
        let connection = place.connect();
        let mut select = connection.prepare(names).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(names, ["work_in_order"]);
    assert_eq!(listed(&store, &WorkFilter::default()).await, all);
    assert_eq!(listed(&store, &of_tenant).await, of_key);
    assert_eq!(ready(&store).await, read);
    assert_eq!(store.queue_depths(None).await.unwrap(), depths);

    // It is done as if nothing had been, and what comes stands behind it.
    let own = worker("w");
    let held = store.share(&own, SHARE, &[]).await.unwrap().held;
    let done: Vec<Settlement> = read
        .iter()
        .map(|read| {
            let held = held.iter().find(|held| held.term.shard == read.work.shard).unwrap();
            Settlement { term: held.term, place: read.work.place, settled: Settled::Done }
        })
        .collect();
    for done in done.chunks(WORK_PAGE_MAX) {
        assert_eq!(store.settle(done).await.unwrap(), []);
    }
    assert!(ready(&store).await.is_empty());
    store.commit(&tenants[0], Commit::new(CommitId::draw()).send(piece("k1"))).await.unwrap();
    let places: BTreeSet<WorkPlace> = all.iter().map(|info| info.work.place).collect();
    let next = ready(&store).await;
    assert_eq!(next.len(), 1);
    assert!(Some(&next[0].work.place) > places.last(), "places go on where they were");
    let whole: String = place.connect().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
}

/// Whoever held shards of a file of the fifth migration holds them still, and does its work itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_fifth_migration_keeps_its_workers() {
    let place = Place::new();
    let store = place.open();
    let older = worker("older");
    let held = store.share(&older, SHARE, &[]).await.unwrap().held;
    assert_eq!(held.len(), 16);
    store.close().await.unwrap();
    let before = "DELETE FROM migrations WHERE number > 5; DROP TABLE entities; DROP TABLE work_scheduler; \
                  ALTER TABLE workers DROP COLUMN scheduler;";
    place.connect().execute_batch(before).unwrap();

    let store = place.open();
    let another = Worker { scheduler: "another".to_owned(), ..worker("newer") };
    let share = store.share(&another, SHARE, &[]).await.unwrap();
    let waits_for = WaitsFor { scheduler: Worker::EMBEDDED.to_owned(), holder: "older".to_owned() };
    assert_eq!((share.held, share.waits_for), (Vec::new(), Some(waits_for)));
    // An older program that has the file open counts itself as it did.
    let asks = "INSERT INTO workers (id, holder, expires_at) VALUES (x'00000000000000000000000000000001', 'open', \
                9000000000000000000)";
    place.connect().execute_batch(asks).unwrap();
    let kept = store.share(&older, SHARE, &[]).await.unwrap().held;
    assert_eq!(
        kept.iter().map(|held| held.term).collect::<Vec<_>>(),
        held.iter().map(|held| held.term).collect::<Vec<_>>()
    );
    assert_eq!(kept.iter().filter(|held| held.is_surplus).count(), 8, "the two share the work");
    store.leave(&older).await.unwrap();
    let share = store.share(&another, SHARE, &[]).await.unwrap();
    assert_eq!((share.held.len(), share.waits_for), (16, None));
}
