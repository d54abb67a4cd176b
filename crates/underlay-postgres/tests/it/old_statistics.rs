//! Statistics that are old: they were collected when the log was empty, or held other tenants, and a tenant
//! they do not know has grown since. The planner then takes it to have one row. Whatever it thinks, a read
//! must look at what it gives and not at all the tenant has; so rows and pages that are looked at are counted.

use std::fmt::Debug;

use tokio_postgres::Client;
use underlay_core::{
    Archive, Category, Checkpoint, CommitId, Comparison, Cursor, Decimal, Direction, EventId, EventStore,
    EventType, ExpectedVersion, Fingerprint, Json, LogFilter, LogScope, Position, Query, ReadModels,
    RowAddress, Snapshot, Snapshots, Sort, TenantId, Timestamp, Value, Version, ViewTable, decimal_key,
};
use underlay_postgres::PostgresStore;

use crate::place::{Place, with_place};
use crate::sample::{accounts, append, append_many, stream, tenant};

/// Events, commits, snapshots and rows of the tenant that nobody knows.
const OWN: i64 = 20_000;
/// The same of the others.
const OTHERS: i64 = 3_000;
/// Events in each of its streams.
const STREAM: i64 = 400;
/// How often each read is done.
const TIMES: i64 = 5;
/// Rows and pages a read may look at beside what it gives: levels of indexes, catalogue, one page more.
const ROWS_BESIDE: i64 = 60;
const PAGES_BESIDE: i64 = 160;

/// The tables that are filled.
const FILLED: [&str; 4] =
    ["underlay.events", "underlay.commits", "underlay.snapshots", "underlay_views.accounts_1"];

/// Makes the view's table, and keeps the server from looking at any table that is filled. To vacuum and analyze one is
/// to look at all of its pages, at a moment that nobody knows, and they would count as looked at by a read.
async fn still(place: &Place) -> ViewTable {
    let store = place.open().await;
    let table = store.prepare(&accounts(), Checkpoint::start(store.store_id())).await.unwrap();
    store.close().await.unwrap();
    let admin = place.admin().await;
    for name in FILLED {
        admin.batch_execute(&format!("ALTER TABLE {name} SET (autovacuum_enabled = off)")).await.unwrap();
    }
    table
}

/// Fills the tables by SQL, past the product: `owners` is an array of tenants that take turns.
async fn fill(admin: &Client, owners: &str, from: i64, count: i64) {
    let (to, streams) = (from + count, count / STREAM);
    let amount = decimal_key(Decimal::new(1, 2));
    let fill = format!(
        "CREATE TEMP TABLE these AS SELECT n, ({owners})[1 + n % cardinality({owners})] AS tenant \
         FROM generate_series({from} + 1, {to}) AS n; \
         INSERT INTO underlay.events SELECT n, (n - {from} - 1) / {streams} + 1, n, 1, md5('e' || n)::uuid, 0, tenant, \
         'a-' || n % {streams}, 'noted', NULL, NULL, '{{}}', '{{}}' FROM these; \
         INSERT INTO underlay.commits SELECT n, n, n, md5('c' || n)::uuid, 1, tenant, \
         decode(md5('f'), 'hex'), 'accepted', NULL, NULL, NULL FROM these; \
         INSERT INTO underlay.snapshots SELECT tenant, 's-' || n, 1, md5('e' || n)::uuid, decode(md5('f'), 'hex'), '{{}}' \
         FROM these; \
         INSERT INTO underlay_views.accounts_1 SELECT tenant, 'key-' || lpad(n::text, 9, '0'), 'name ' || n, n, \
         '{amount}', n % 2 = 0, n FROM these; DROP TABLE these"
    );
    admin.batch_execute(&fill).await.unwrap();
    // A session that has nothing to do tells only later what it has looked at: until then it would count for a read.
    let version: i32 =
        admin.query_one("SELECT current_setting('server_version_num')::integer", &[]).await.unwrap().get(0);
    if version >= 150_000 {
        admin.batch_execute("SELECT pg_stat_force_next_flush()").await.unwrap();
    }
}

/// A store whose statistics know `others` alone; none are collected any more.
async fn aged(place: &Place, others: bool) -> (ViewTable, TenantId) {
    let table = still(place).await;
    let admin = place.admin().await;
    let mut head = 0;
    if others {
        fill(&admin, "ARRAY['one', 'two', 'three']", 0, OTHERS).await;
        head = OTHERS;
    }
    admin.batch_execute("ANALYZE").await.unwrap();
    fill(&admin, "ARRAY['late']", head, OWN).await;
    (table, tenant("late"))
}

/// Rows and pages that were looked at so far, once every session of the product has told.
pub(crate) async fn looked_at(place: &Place, admin: &Client) -> (i64, i64) {
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND usename = $1";
    while admin.query_one(sessions, &[&place.login()]).await.unwrap().get::<_, i64>(0) > 0 {}
    counted(admin).await
}

/// The same of the sessions that have told.
pub(crate) async fn counted(admin: &Client) -> (i64, i64) {
    let counts = "SELECT ((SELECT sum(seq_tup_read) FROM pg_stat_user_tables) \
                  + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes))::bigint, \
                  (SELECT sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)) \
                  FROM pg_statio_user_tables)::bigint";
    let row = admin.query_one(counts, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Does a read a few times in a store of its own, and says what is wrong with how much it looked at.
pub(crate) async fn costs<T: Debug>(
    place: &Place,
    what: &str,
    gives: i64,
    read: impl AsyncFn(&PostgresStore) -> T,
) -> Option<String> {
    let admin = place.admin().await;
    let before = looked_at(place, &admin).await;
    let store = place.open().await;
    for _ in 0..TIMES {
        read(&store).await;
    }
    store.close().await.unwrap();
    let after = looked_at(place, &admin).await;
    let (rows, pages) = ((after.0 - before.0) / TIMES, (after.1 - before.1) / TIMES);
    let holds = rows <= gives * 3 + ROWS_BESIDE && pages <= gives * 8 + PAGES_BESIDE;
    (!holds).then(|| format!("{what}: {rows} rows and {pages} pages were looked at to give {gives}"))
}

/// Every way to read what a tenant has.
async fn every_read(place: &Place, table: &ViewTable, late: &TenantId) -> Vec<String> {
    let all = OTHERS + OWN;
    let names: Vec<_> = (0..20).map(|number| stream(&format!("a-{number}"))).collect();
    let own = LogScope::Tenant(late.clone());
    let start = Position::from_number(u64::try_from(all - 5_000).unwrap());
    let mut wrong = Vec::new();
    let mut add = |found: Option<String>| wrong.extend(found);
    macro_rules! reads {
        ($what:expr, $gives:expr, |$store:ident| $read:expr) => {
            add(costs(place, $what, $gives, async |$store: &PostgresStore| $read.await.unwrap()).await)
        };
    }
    reads!("a page of a stream", 10, |store| store.read_stream(late, &names[1], Version(100), 10));
    reads!("the end of a stream", 1, |store| store.read_stream(late, &names[1], Version(399), 10));
    reads!("versions of streams", 20, |store| store.versions(late, &names));
    reads!("a page of streams", 10, |store| store.streams(late, None, Some(&names[1]), 10));
    let notes = Category::new("a").unwrap();
    reads!("streams of a category", 10, |store| store.streams(late, Some(&notes), None, 10));
    let last = "SELECT commit_id FROM underlay.commits ORDER BY sequence DESC LIMIT 1";
    let last = CommitId(place.admin().await.query_one(last, &[]).await.unwrap().get(0));
    reads!("a commit", 1, |store| store.find_commit(late, last));
    reads!("a commit that is not there", 1, |store| store.find_commit(late, CommitId::draw()));
    let open = LogFilter::default();
    reads!("a page of the tenant's log", 10, |store| store.read_all(&own, start, &open, 10));
    let mut filter = LogFilter::default();
    filter.event_types.push(EventType::new("noted").unwrap());
    filter.categories.push(Category::new("a").unwrap());
    reads!("a filtered page of it", 10, |store| store.read_all(&own, start, &filter, 10));
    reads!("a filtered page of all", 10, |store| store.read_all(&LogScope::EveryTenant, start, &filter, 10));
    reads!("a page of the log", 10, |store| store.read_all(&LogScope::EveryTenant, start, &open, 10));
    reads!("the head", 1, |store| store.head());
    reads!("an event's id", 1, |store| store.event_id_at(start));
    reads!("a snapshot", 1, |store| store.load_snapshot(late, &stream("s-22000")));
    let snapshot = Snapshot {
        version: Version(2),
        event_id: EventId::draw(),
        fingerprint: Fingerprint([7; 16]),
        state: Json::parse("{}").unwrap(),
    };
    reads!("storing a snapshot", 1, |store| store.store_snapshot(late, &stream("s-22000"), snapshot.clone()));
    let any = ExpectedVersion::Any;
    reads!("a commit that is alone", 1, |store| store.commit(late, append("a-1", any)));
    reads!("a commit of several", 4, |store| store.commit(late, append_many("a-1", any, 4)));
    reads!("a page of commits", 10, |store| store.read_commits(&own, start.number(), 10));

    let key = format!("key-{:09}", all - 500);
    reads!("a row", 1, |store| store.get(table, late, &key));
    let addresses: Vec<_> = (0..20)
        .map(|number| RowAddress { tenant: late.clone(), key: format!("key-{:09}", all - number * 100) })
        .collect();
    reads!("rows for a fold", 20, |store| store.load(table, &addresses));
    for column in ["name", "order", "amount", "closed", "opened_at"] {
        let number = all - 700;
        let value = match column {
            "name" => Value::Text(format!("name {number}")),
            "order" => Value::Integer(number),
            "amount" => Value::Decimal(Decimal::new(number, 2)),
            "closed" => Value::Boolean(true),
            _ => Value::Timestamp(Timestamp::from_microsecond(number).unwrap()),
        };
        // Of two truths each holds for half of the rows.
        if column != "closed" && column != "amount" {
            let query = Query::default().filter(column, Comparison::Eq, value.clone());
            reads!(&format!("rows by {column}"), 10, |store| store.query(table, late, &query));
        }
        for direction in [Direction::Ascending, Direction::Descending] {
            let mut query = Query { limit: 10, ..Query::default() };
            query.sort = Sort { column: Some(column.to_owned()), direction };
            reads!(&format!("rows sorted by {column}"), 10, |store| store.query(table, late, &query));
            if column != "amount" {
                query.after = Some(Cursor { value: Some(value.clone()), key: key.clone() });
                reads!(&format!("the next page by {column}"), 10, |store| store.query(table, late, &query));
            }
        }
    }
    let query = Query { limit: 10, after: Some(Cursor { value: None, key }), ..Query::default() };
    reads!("a page by key", 10, |store| store.query(table, late, &query));
    wrong
}

/// The statistics say that the tenant has all of the log. It was so when they were collected.
#[test]
fn a_tenant_with_few_of_many_events_reads_its_own_alone() {
    with_place(async |place| {
        still(&place).await;
        let admin = place.admin().await;
        fill(&admin, "ARRAY['late']", 0, OTHERS).await;
        admin.batch_execute("ANALYZE").await.unwrap();
        fill(&admin, "ARRAY['one', 'two', 'three']", OTHERS, OWN).await;

        let own = LogScope::Tenant(tenant("late"));
        let before = |count: i64| Position::from_number(u64::try_from(OTHERS - count).unwrap());
        let absent =
            LogFilter { event_types: vec![EventType::new("absent").unwrap()], ..LogFilter::default() };
        let mut wrong = Vec::new();
        for (what, after, filter, gives) in [
            ("the last page", before(10), LogFilter::default(), 10),
            ("nothing new", before(0), LogFilter::default(), 0),
            ("nothing that passes", before(50), absent, 0),
        ] {
            let looks_at = OTHERS - i64::try_from(after.number()).unwrap();
            let read = async |store: &PostgresStore| {
                let page = store.read_all(&own, after, &filter, 100).await.unwrap();
                assert_eq!(page.events.len(), gives, "{what}");
                assert_eq!(page.scanned_to.number(), u64::try_from(OTHERS + OWN).unwrap(), "{what}");
                assert!(page.at_head, "{what}");
            };
            wrong.extend(costs(&place, what, looks_at, read).await);
        }
        assert_eq!(wrong, [""; 0]);
    });
}

#[test]
fn a_tenant_the_statistics_do_not_know_is_not_read_whole() {
    with_place(async |place| {
        let (table, late) = aged(&place, true).await;
        let wrong = every_read(&place, &table, &late).await;
        assert_eq!(wrong, [""; 0]);
    });
}

#[test]
fn a_log_that_was_empty_when_it_was_looked_at_is_not_read_whole() {
    with_place(async |place| {
        let (table, late) = aged(&place, false).await;
        let wrong = every_read(&place, &table, &late).await;
        assert_eq!(wrong, [""; 0]);
    });
}
