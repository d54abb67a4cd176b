//! How the server reads work: along an index whatever it knows of the tables, and past no dead rows where they
//! cannot be cleaned away.

use std::time::Duration;

use tokio_postgres::Client;
use underlay_core::{
    CommitId, DueLook, Lane, Settled, Settlement, Shard, ShardTerm, WorkFilter, WorkPlace, WorkQueue,
    WorkScope, Worker,
};
use underlay_postgres::Listen;

use crate::generic_plans::{plan, session};
use crate::old_statistics::{costs, counted, looked_at};
use crate::place::with_place;
use crate::sample::tenant;

const TERM: Duration = Duration::from_secs(1_000);
/// Pieces of the tenant that has most of them.
const HEAP: i64 = 20_000;

fn shard() -> Shard {
    Shard::from_number(3).unwrap()
}

fn everybody() -> WorkScope {
    WorkScope::EveryTenantBut(Vec::new())
}

/// Fills the tables by SQL, past the product, all of it in one shard and lane. Of every hundredth key a piece is
/// tried again, and one that stands behind it.
async fn fill(admin: &Client, owner: &str, from: i64, count: i64) {
    let columns = "place, sent_at, version, work_id, commit_id, shard, lane, tenant, kind, receiver, key, name, \
                   metadata, payload";
    let values = |places: &str| {
        format!(
            "{places}, n, 1, md5('w' || n)::uuid, md5('c' || n)::uuid, 3, 1, '{owner}', 'message', 'mail', \
             'k-' || n % 5000, 'x', '{{}}', '{{}}'"
        )
    };
    let (first, last) = (from + 1, from + count);
    let fill = format!(
        "INSERT INTO underlay.commits SELECT n, 0, n, md5('c' || n)::uuid, 0, '{owner}', decode(md5('f'), 'hex'), \
         'accepted', NULL, NULL, NULL FROM generate_series({first}, {last}) AS n; \
         INSERT INTO underlay.work ({columns}) SELECT {ready} FROM generate_series({first}, {last}) AS n; \
         INSERT INTO underlay.work_later ({columns}, due_at, attempts, holds) \
         SELECT {later}, n, 1, true FROM generate_series({first}, {last}) AS n WHERE n % 100 = 0; \
         INSERT INTO underlay.work_later ({columns}, due_at, attempts, holds) \
         SELECT {behind}, NULL, 0, true FROM generate_series({first}, {last}) AS n WHERE n % 100 = 0; \
         INSERT INTO underlay.dead_letters ({columns}, died_at, attempts, is_final, holds) \
         SELECT {dead}, n, 1, true, n % 20 = 3 FROM generate_series({first}, {last}) AS n WHERE n % 10 = 3",
        ready = values("n * 1024"),
        later = values("n * 1024 + 1"),
        behind = values("n * 1024 + 2"),
        dead = values("n * 1024 + 3"),
    );
    admin.batch_execute(&fill).await.unwrap();
}

async fn still(admin: &Client) {
    for name in ["work", "work_later", "dead_letters", "commits", "shard_terms", "workers"] {
        let off = format!("ALTER TABLE underlay.{name} SET (autovacuum_enabled = off)");
        admin.batch_execute(&off).await.unwrap();
    }
}

/// What a function of the schema returns the answers of, with `$1` for its first parameter; and the parameters' types.
async fn queries(admin: &Client, function: &str) -> (String, Vec<String>) {
    let select = "SELECT p.prosrc, p.proargnames, array_to_string(ARRAY(SELECT format_type(t, NULL) \
                  FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n), ', ') \
                  FROM pg_proc AS p WHERE p.proname = $1 AND p.pronamespace = 'underlay'::regnamespace";
    let row = admin.query_one(select, &[&function]).await.unwrap();
    let (source, names): (String, Vec<String>) = (row.get(0), row.get(1));
    let queries = source.split("RETURN QUERY").skip(1).map(|rest| {
        let query =
            rest.split(';').next().unwrap().replace("nothing.now", "0").replace("nothing.next_due_at", "0");
        // Longer names first: one may begin another.
        let mut numbered: Vec<(usize, &String)> = (1..).zip(&names).collect();
        numbered.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        numbered.iter().fold(query, |query, (number, name)| {
            query.replace(&format!("{function}.{name}"), &format!("${number}"))
        })
    });
    (row.get(2), queries.collect())
}

#[test]
fn every_read_of_work_follows_an_index_whatever_its_values() {
    with_place(async |place| {
        let _store = place.open().await;
        let admin = place.admin().await;
        fill(&admin, "heap", 0, HEAP).await;
        fill(&admin, "acme", HEAP, 100).await;
        admin.batch_execute("ANALYZE").await.unwrap();
        let client = session(&place).await;
        macro_rules! read {
            ($role:literal, $name:literal, $types:literal, $index:literal) => {
                ($role, $types, include_str!(concat!("../../src/sql/", $name, ".sql")), $index)
            };
        }
        for (role, types, sql, index) in [
            read!("reader", "select_sent_work", "text, uuid, bigint, integer", "dead_letters_pkey"),
            read!(
                "reader",
                "select_tenant_work",
                "text, text, text, text, bigint, bigint, integer",
                "work_by_tenant"
            ),
            read!("worker", "select_all_work", "text, text, text, bigint, bigint, integer", "work_pkey"),
            read!(
                "reader",
                "select_tenant_letters",
                "text, text, text, text, bigint, bigint, boolean",
                "dead_letters_by_tenant"
            ),
            read!("reader", "select_holders", "text, text, text, text, bigint, bigint", "dead_letters_heads"),
            read!(
                "worker",
                "select_all_letters",
                "text, text, text, bigint, bigint, boolean",
                "dead_letters_pkey"
            ),
            read!("worker", "select_queue_depths", "bigint, integer, bigint", "work_pkey"),
            read!("reader", "select_tenant_depths", "text, bigint, integer, bigint", "work_by_tenant"),
            read!("worker", "select_due_schedules", "bigint, bigint, text, text, bigint", "schedules_due"),
            read!("worker", "select_schedules", "text, text, bigint", "schedules_pkey"),
            read!("worker", "select_subscription", "text", "checkpoints_pkey"),
        ] {
            let text = plan(&client, role, types, sql).await;
            assert!(!text.contains("Seq Scan"), "{role}: {sql}\n{text}");
            assert!(text.contains(index), "{role}: {sql}\n{text}");
            assert!(!text.contains("Hash Join") && !text.contains("hashed"), "{role}: {sql}\n{text}");
        }
        for (function, query, index) in [
            ("ready_work", 0, "work_by_tenant"),
            ("ready_work", 1, "work_pkey"),
            ("due_work", 0, "work_later_due_of_tenant"),
            ("due_work", 1, "work_later_due "),
        ] {
            let (types, queries) = queries(&admin, function).await;
            let text = plan(&client, "worker", &types, &queries[query]).await;
            assert!(!text.contains("Seq Scan") && !text.contains("Sort"), "{function}\n{text}");
            assert!(!text.contains("Hash Join") && !text.contains("hashed"), "{function}\n{text}");
            assert!(text.contains(index), "{function}\n{text}");
            assert!(text.contains("work_later_heads") && text.contains("dead_letters_heads"), "{text}");
        }
        // What settles looks at the place alone, in the lane that is looked at.
        let row = "SELECT row_id FROM ready_row($1, $2)";
        let text = plan(&client, "worker", "smallint, bigint", row).await;
        assert!(text.contains("work_pkey") && text.contains("lane = part.lane"), "{text}");
    });
}

/// A session keeps the plans of its first reads, and those were made while there was nothing.
#[test]
fn plans_kept_from_empty_tables_are_good_for_full_ones() {
    with_place(async |place| {
        let admin = place.admin().await;
        still(&admin).await;
        // A connection each: what plans is what reads later.
        let config = || place.config().with_connections_max(1).with_listen(Listen::Off);
        let store = place.open_with(config()).await;
        let me = Worker::embedded("me");
        let share = store.share(&me, TERM, &[]).await.unwrap();
        let term = share.held.iter().find(|held| held.term.shard == shard()).unwrap().term;
        let acme = WorkScope::Tenant(tenant("acme"));
        let but_heap = WorkScope::EveryTenantBut(vec![tenant("heap")]);
        let scopes = [everybody(), acme, but_heap];
        let last = WorkPlace::of(u64::try_from(HEAP - 50).unwrap(), 0);
        let done = |numbers: std::ops::Range<u64>| -> Vec<Settlement> {
            let done = |number| Settlement { term, place: WorkPlace::of(number, 0), settled: Settled::Done };
            numbers.map(done).collect()
        };
        let read = async |after: WorkPlace, times: u64| {
            for time in 0..times {
                for scope in &scopes {
                    for lane in Lane::ALL {
                        store.read_work(shard(), lane, scope, after, 10).await.unwrap();
                    }
                    let look = DueLook { scope: scope.clone(), ..DueLook::default() };
                    store.read_due(shard(), &look, 10).await.unwrap();
                }
                let from = 1_000 + time * 10;
                assert_eq!(store.settle(&done(from..from + 10)).await.unwrap(), []);
            }
        };
        // More often than a server plans for each call before it keeps a plan.
        read(WorkPlace::START, 10).await;
        fill(&admin, "heap", 0, HEAP).await;
        fill(&admin, "acme", HEAP, 100).await;
        let (before, _) = counted(&admin).await;
        let times = 5;
        read(last, times).await;
        store.close().await.unwrap();
        let (after, _) = looked_at(&place, &admin).await;
        let rows = (after - before) / i64::try_from(times).unwrap();
        // Eleven of each scope with what blocks their lines, all that is passed over of one, and what is settled.
        assert!(rows < 1_000, "{rows} rows were looked at by a round of reads and a settlement");
    });
}

/// The statistics know nothing of what is there.
#[test]
fn work_the_statistics_do_not_know_is_not_read_whole() {
    with_place(async |place| {
        let admin = place.admin().await;
        still(&admin).await;
        admin.batch_execute("ANALYZE").await.unwrap();
        fill(&admin, "heap", 0, HEAP).await;
        fill(&admin, "acme", HEAP, 100).await;
        let (heap, acme) = (tenant("heap"), tenant("acme"));
        let after = WorkPlace::of(u64::try_from(HEAP - 50).unwrap(), 0);
        let last = "SELECT commit_id FROM underlay.commits ORDER BY sequence DESC LIMIT 1";
        let last = CommitId(admin.query_one(last, &[]).await.unwrap().get(0));
        let mut wrong = Vec::new();
        macro_rules! reads {
            ($what:expr, $gives:expr, |$store:ident| $read:expr) => {
                wrong.extend(costs(&place, $what, $gives, async |$store| $read.await.unwrap()).await)
            };
        }
        reads!("ready work", 10, |store| store.read_work(shard(), Lane::Normal, &everybody(), after, 10));
        let one = WorkScope::Tenant(acme.clone());
        reads!("a tenant's ready work", 20, |store| store.read_work(
            shard(),
            Lane::Normal,
            &one,
            WorkPlace::START,
            10
        ));
        let but_heap = WorkScope::EveryTenantBut(vec![heap.clone()]);
        reads!("ready work of all but one", 60, |store| store.read_work(
            shard(),
            Lane::Normal,
            &but_heap,
            after,
            10
        ));
        reads!("what is due", 10, |store| store.read_due(shard(), &DueLook::default(), 10));
        reads!("a piece of work", 10, |store| store.find_work(&acme, last, 0));
        reads!("a piece that is not there", 10, |store| store.find_work(&acme, last, 9));
        let me = Worker::embedded("me");
        let store = place.open().await;
        let share = store.share(&me, TERM, &[]).await.unwrap();
        store.close().await.unwrap();
        let term = share.held.iter().find(|held| held.term.shard == shard()).unwrap().term;
        let gone = [1, 2, 3, 4, 5].map(|number| Settlement {
            term,
            place: WorkPlace::of(number * 1_000, 7),
            settled: Settled::Done,
        });
        reads!("a settlement among thousands that are ready", 20, |store| store.settle(&gone));
        for dead in [false, true] {
            let mut filter = WorkFilter { dead, ..WorkFilter::default() };
            reads!("a list", 20, |store| store.list_work(&filter, after, 10));
            filter.tenant = Some(acme.clone());
            reads!("a tenant's list", 20, |store| store.list_work(&filter, WorkPlace::START, 10));
        }
        assert_eq!(wrong, [""; 0]);
    });
}

#[test]
fn dead_rows_that_cannot_be_cleaned_away_slow_neither_reading_nor_settling() {
    with_place(async |place| {
        let admin = place.admin().await;
        still(&admin).await;
        let pin = place.admin().await;
        pin.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM underlay.commits")
            .await
            .unwrap();
        let store = place.open().await;
        let me = Worker::embedded("me");
        fill(&admin, "heap", 0, HEAP).await;
        // Many heartbeats, and all of the work.
        for _ in 0..30 {
            store.share(&me, TERM, &[]).await.unwrap();
        }
        let mut after = WorkPlace::START;
        let term = settle_all(&store, &me, &mut after).await;
        let cursors = [(shard(), [WorkPlace::START, after])];
        store.share(&me, TERM, &cursors).await.unwrap();
        store.close().await.unwrap();
        let dead = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'work'";
        while admin.query_one(dead, &[]).await.unwrap().get::<_, i64>(0) < HEAP {}
        let mut wrong = Vec::new();
        wrong.extend(
            costs(&place, "a read after the cursor", 1, async |store| {
                let page = store.read_work(shard(), Lane::Normal, &everybody(), after, 100).await.unwrap();
                assert!(page.work.is_empty() && page.at_end);
            })
            .await,
        );
        let none = [Settlement { term, place: after, settled: Settled::Done }];
        wrong.extend(
            // A new session plans it once, and looks at the ends of the indexes for that.
            costs(&place, "a settlement", 15, async |store| {
                assert_eq!(store.settle(&none).await.unwrap(), []);
            })
            .await,
        );
        assert_eq!(wrong, [""; 0]);
        pin.batch_execute("COMMIT").await.unwrap();
    });
}

/// Does everything that is ready, by pages.
async fn settle_all(
    store: &underlay_postgres::PostgresStore,
    me: &Worker,
    after: &mut WorkPlace,
) -> ShardTerm {
    let share = store.share(me, TERM, &[]).await.unwrap();
    let term = share.held.iter().find(|held| held.term.shard == shard()).unwrap().term;
    loop {
        let page = store.read_work(shard(), Lane::Normal, &everybody(), *after, 1_000).await.unwrap();
        *after = page.scanned_to;
        let done: Vec<Settlement> = page
            .work
            .iter()
            .map(|read| Settlement { term, place: read.work.place, settled: Settled::Done })
            .collect();
        assert_eq!(store.settle(&done).await.unwrap(), []);
        if page.at_end {
            return term;
        }
    }
}
