//! A log that leaves one file and enters another.

use std::path::Path;

use ledger::balances::Balances;
use underlay::{Engine, Query, RebuildFrom, Request, Store, TenantId, Value, View};

use crate::program::{Ledger, data, text};

/// Every row of the balances, as a view folded anew has them.
async fn rows(file: &Path, tenant: &str) -> Vec<(String, Vec<Value>)> {
    rows_folded_anew(&format!("sqlite:{}", file.display()), tenant).await
}

pub(crate) async fn rows_folded_anew(database: &str, tenant: &str) -> Vec<(String, Vec<Value>)> {
    let store = Store::open(database).await.unwrap();
    let engine = ledger::service().open(&store).unwrap();
    engine.rebuild_view(Balances::NAME, RebuildFrom::default(), |_| {}).await.unwrap();
    let rows = rows_of(&engine, tenant).await;
    store.close().await.unwrap();
    rows
}

/// Every row of the balances, as they are.
pub(crate) async fn rows_of(engine: &Engine, tenant: &str) -> Vec<(String, Vec<Value>)> {
    let tenant = TenantId::new(tenant).unwrap();
    let mut query = Query::default().limit(50);
    let mut rows = Vec::new();
    loop {
        let page = engine.query(&tenant, Balances::NAME, &query).await.unwrap().page;
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

/// Overdraws an account under an id, and gives the refusal.
pub(crate) async fn overdraw(engine: &Engine, tenant: &str) -> String {
    let request = Request::new(TenantId::new(tenant).unwrap()).with_key("overdraw");
    let body = r#"{"amount":"1","commodity":"EUR"}"#;
    engine.execute_named(&request, "account", "Cash", "withdraw", body).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_into_another_file_and_its_views_are_equal_row_by_row() {
    let (here, there) = (Ledger::new(), Ledger::new());
    let file = |ledger: &Ledger, name: &str| ledger.directory.path().join(name);
    here.import(&data("household-2020-2024.csv"));
    here.answer(&["--tenant", "other", "import", data("small.csv").to_str().unwrap()]);
    let store = Store::open(&format!("sqlite:{}", file(&here, "ledger.db").display())).await.unwrap();
    let engine = ledger::service().open(&store).unwrap();
    let request = Request::new(TenantId::new("main").unwrap());
    engine.execute_named(&request, "account", "Cash", "open", "{}").await.unwrap();
    let refused = overdraw(&engine, "main").await;
    store.close().await.unwrap();

    let export = file(&here, "log.ndjson");
    let export = export.to_str().unwrap();
    here.answer(&["export", export]);
    assert!(text(&here.run(&["export", export]).stderr).contains("exists"), "an export overwrites nothing");
    let commits = 1933 + 7 + 2;
    assert_eq!(
        there.answer(&["import-log", export]),
        format!("{commits} commits: {commits} stored, 0 already there\n")
    );
    let again = there.answer(&["import-log", export]);
    assert_eq!(again, format!("{commits} commits: 0 stored, {commits} already there: nothing changed\n"));

    for tenant in ["main", "other"] {
        let rows_here = rows(&file(&here, "ledger.db"), tenant).await;
        assert!(!rows_here.is_empty());
        assert_eq!(rows_here, rows(&file(&there, "ledger.db"), tenant).await, "tenant {tenant}");
    }
    // Outcomes went along: the journal is known there, and so is the refusal.
    assert!(there.import(&data("household-2020-2024.csv")).contains("0 new, 1933 already there"));
    let store = Store::open(&format!("sqlite:{}", file(&there, "ledger.db").display())).await.unwrap();
    assert_eq!(overdraw(&ledger::service().open(&store).unwrap(), "main").await, refused);
    store.close().await.unwrap();
}

#[test]
fn a_damaged_file_is_refused_at_its_line_and_an_interrupted_import_goes_on() {
    let (here, there) = (Ledger::new(), Ledger::new());
    here.import(&data("household-2020-2024.csv"));
    let path = |name: &str| here.directory.path().join(name).to_str().unwrap().to_owned();
    here.answer(&["export", &path("log.ndjson")]);
    let log = std::fs::read_to_string(path("log.ndjson")).unwrap();

    let damaged = log.replacen("Hoogle | Payroll", "Hoogle | Payrise", 1);
    let line = 1 + damaged.lines().position(|line| line.contains("Payrise")).unwrap();
    std::fs::write(path("damaged.ndjson"), damaged).unwrap();
    let refused = there.run(&["import-log", &path("damaged.ndjson")]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains(&format!("line {line}: the checksum does not fit")),
        "{refused:?}"
    );
    assert_eq!(there.events(), "", "nothing was stored");

    let mut import = there.command(&["import-log", &path("log.ndjson")]).spawn().unwrap();
    while there.events().is_empty() && import.try_wait().unwrap().is_none() {}
    import.kill().unwrap();
    import.wait().unwrap();
    there.answer(&["import-log", &path("log.ndjson")]);
    assert_eq!(there.balances(), here.balances());
    assert_eq!(there.events().lines().count(), here.events().lines().count());
}

#[test]
fn every_stored_type_can_be_read_and_one_that_cannot_is_named() {
    let ledger = Ledger::new();
    ledger.import(&data("small.csv"));
    assert!(ledger.answer(&["check", "--events"]).contains("account-posted"));
    let path = ledger.directory.path().join("log.ndjson");
    ledger.answer(&["export", path.to_str().unwrap()]);
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("events.lock");
    assert!(ledger.answer(&["check", "--lock", lock.to_str().unwrap()]).contains("as it was released"));
    assert_eq!(ledger.run(&["check"]).status.code(), Some(2), "check asks what to check");
}
