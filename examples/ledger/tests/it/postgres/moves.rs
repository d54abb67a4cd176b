//! A journal and a log on their way between the stores.

use std::path::Path;

use ledger::balances::Balances;
use underlay::{Engine, Request, Store, TenantId, View};

use super::Place;
use crate::archive::{overdraw, rows_folded_anew, rows_of};
use crate::program::{Ledger, data, judged_by_hledger, parse_balances};

/// The lines of an export without what names the store: its id, and the checks that go on from it.
fn commits(export: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(export).unwrap();
    let content = |line: &str| line.rsplit_once(",\"check\":").unwrap().0.to_owned();
    text.lines().skip(1).map(content).collect()
}

#[test]
fn a_journal_has_the_same_balances_on_postgres() {
    let Some(place) = Place::new() else { return };
    let ledger = Ledger::at(place.address());
    let journal = data("household-2020-2024.csv");
    assert_eq!(ledger.import(&journal), "1933 entries: 1933 new, 0 already there\n");
    let expected =
        parse_balances(&std::fs::read_to_string(data("household-2020-2024.balances.csv")).unwrap());
    assert_eq!(ledger.balances(), expected);
    if let Some(judged) = judged_by_hledger(&data("household-2020-2024.hledger")) {
        assert_eq!(ledger.balances(), judged);
    }
    let sqlite = Ledger::new();
    sqlite.import(&journal);
    assert_eq!(ledger.balances(), sqlite.balances());
}

async fn engine(database: &str) -> (Store, Engine) {
    let store = Store::open(database).await.unwrap();
    let engine = ledger::service().open(&store).unwrap();
    (store, engine)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_from_a_file_to_postgres_and_back() {
    // Its own runtime must not be dropped in this one.
    let Some(place) = tokio::task::block_in_place(Place::new) else { return };
    let (file, server, back) = (Ledger::new(), Ledger::at(place.address()), Ledger::new());
    file.import(&data("household-2020-2024.csv"));
    file.answer(&["--tenant", "other", "import", data("small.csv").to_str().unwrap()]);
    let (store, on_file) = engine(&file.database).await;
    let request = Request::new(TenantId::new("main").unwrap());
    on_file.execute_named(&request, "account", "Cash", "open", "{}").await.unwrap();
    let refused = overdraw(&on_file, "main").await;
    store.close().await.unwrap();

    let exported = |ledger: &Ledger| {
        let export = ledger.directory.path().join("log.ndjson");
        ledger.answer(&["export", export.to_str().unwrap()]);
        export
    };
    let stored = format!("{0} commits: {0} stored, 0 already there\n", 1933 + 7 + 2);
    let first = exported(&file);
    assert_eq!(server.answer(&["import-log", first.to_str().unwrap()]), stored);
    let second = exported(&server);
    assert_eq!(back.answer(&["import-log", second.to_str().unwrap()]), stored);
    let third = exported(&back);
    assert_eq!(commits(&first), commits(&second), "what PostgreSQL gives is what it was given");
    assert_eq!(commits(&first), commits(&third));

    // Rows kept up to date by the runner, and rows folded anew.
    let (store, on_server) = engine(&server.database).await;
    let views = on_server.start_views();
    let head = store.head().await.unwrap();
    on_server.wait_for_view(Balances::NAME, head, std::time::Duration::from_secs(60)).await.unwrap();
    for tenant in ["main", "other"] {
        let kept = rows_of(&on_server, tenant).await;
        assert!(!kept.is_empty());
        assert_eq!(kept, rows_folded_anew(&file.database, tenant).await, "tenant {tenant}");
        assert_eq!(kept, rows_folded_anew(&server.database, tenant).await, "tenant {tenant}");
        assert_eq!(kept, rows_folded_anew(&back.database, tenant).await, "tenant {tenant}");
    }
    views.stop().await;
    // Outcomes went along.
    assert_eq!(overdraw(&on_server, "main").await, refused);
    store.close().await.unwrap();
    assert!(server.import(&data("household-2020-2024.csv")).contains("0 new, 1933 already there"));
    let (store, on_back) = engine(&back.database).await;
    assert_eq!(overdraw(&on_back, "main").await, refused);
    store.close().await.unwrap();
    tokio::task::block_in_place(|| drop(place));
}
