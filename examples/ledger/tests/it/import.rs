use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, SeekFrom};

use indicatif::ProgressBar;
use ledger::account::{Account, AccountCommand};
use ledger::balances_command::{BalanceLine, balances};
use ledger::import::{ImportError, Imported, import};
use underlay::ports::{LogFilter, LogScope};
use underlay::words::EventType;
use underlay::{Decimal, Engine, Position, Request, Store, TenantId, Timestamp};

use crate::decision::{account, commodity, number};

const SMALL: &str = include_str!("../data/small.csv");
const HEADER: &str = "txnidx,date,description,account,amount,commodity\n";

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

async fn engine() -> Engine {
    ledger::service().open(&Store::open("memory:").await.unwrap()).unwrap()
}

async fn import_text(engine: &Engine, text: &str) -> Result<Imported, ImportError> {
    import(engine, &tenant(), Cursor::new(text.to_owned()), &ProgressBar::hidden()).await
}

async fn balances_now(engine: &Engine) -> BTreeMap<(String, String), Decimal> {
    let views = engine.start_views();
    let lines = balances(engine, &tenant()).await.unwrap();
    views.stop().await;
    let keyed = |line: BalanceLine| ((line.account, line.commodity), line.balance);
    lines.into_iter().map(keyed).collect()
}

#[tokio::test]
async fn a_journal_is_imported_once() {
    let engine = engine().await;
    let imported = import_text(&engine, SMALL).await.unwrap();
    assert_eq!(imported.to_string(), "7 entries: 7 new, 0 already there");
    let balances = balances_now(&engine).await;
    let expected = [
        ("assets:cash", "EUR", "79.00"),
        ("assets:shares", "Müller AG", "2"),
        ("assets:wallet", "USD", "10.75"),
        ("budget:coffee", "EUR", "20.00"),
        ("budget:rent", "EUR", "-50.00"),
        ("budget:savings", "EUR", "50.00"),
        ("equity:opening", "EUR", "-100.00"),
        ("expenses:coffee", "EUR", "5.00"),
        ("time:total", "", "-7.5"),
        ("time:work", "", "7.5"),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(account, of, balance)| ((account.to_owned(), of.to_owned()), number(balance)))
        .collect();
    assert_eq!(balances, expected, "what `hledger balance` says of tests/data/small.hledger");

    let head = engine.store().head().await.unwrap();
    let again = import_text(&engine, SMALL).await.unwrap();
    assert_eq!(again.to_string(), "7 entries: 0 new, 7 already there: nothing changed");
    assert_eq!(engine.store().head().await.unwrap(), head);
}

#[tokio::test]
async fn balances_are_in_order_of_account_and_commodity() {
    let engine = engine().await;
    let rows = "1,2024-01-01,x,a:b,1,USD\n1,2024-01-01,x,a,1,USD\n1,2024-01-01,x,a,1,EUR\n1,2024-01-01,x,a b,0,USD\n";
    import_text(&engine, &format!("{HEADER}{rows}")).await.unwrap();
    let views = engine.start_views();
    let lines = balances(&engine, &tenant()).await.unwrap();
    views.stop().await;
    let order: Vec<_> = lines.iter().map(|line| (line.account.as_str(), line.commodity.as_str())).collect();
    assert_eq!(order, [("a", "EUR"), ("a", "USD"), ("a:b", "USD")], "zero is left out");
}

#[tokio::test]
async fn a_grown_journal_posts_what_is_new() {
    let engine = engine().await;
    let entry = |index: u32, day: &str| {
        format!("{index},2024-01-{day},x,cash,-1,EUR\n{index},2024-01-{day},x,food,1,EUR\n")
    };
    let first = format!("{HEADER}{}{}", entry(1, "02"), entry(2, "02"));
    assert_eq!(import_text(&engine, &first).await.unwrap().new, 2);
    let grown = [HEADER.to_owned(), entry(1, "01"), entry(2, "02"), entry(3, "02"), entry(4, "02")].concat();
    let imported = import_text(&engine, &grown).await.unwrap();
    assert_eq!(imported, Imported { entries: 4, new: 2, already_there: 2 });
    assert_eq!(balances_now(&engine).await[&("food".to_owned(), "EUR".to_owned())], number("4"));
}

#[tokio::test]
async fn a_broken_journal_changes_nothing() {
    let engine = engine().await;
    let head = engine.store().head().await.unwrap();
    let broken = format!("{SMALL}8,2024-01-07,,,,x,,a,1 EUR,EUR,,,,\n");
    let error = import_text(&engine, &broken).await.unwrap_err();
    assert!(matches!(&error, ImportError::Journal(error) if error.line == 20), "{error}");
    assert!(error.to_string().ends_with("; nothing was imported"), "{error}");
    assert_eq!(engine.store().head().await.unwrap(), head);
}

#[tokio::test]
async fn another_tenant_has_its_own_entries() {
    let engine = engine().await;
    import_text(&engine, SMALL).await.unwrap();
    let other = TenantId::new("other").unwrap();
    let imported = import(&engine, &other, Cursor::new(SMALL), &ProgressBar::hidden()).await.unwrap();
    assert_eq!(imported.new, 7);
}

#[tokio::test]
async fn an_entry_that_was_refused_is_tried_again_by_the_next_import() {
    let store = Store::open("memory:").await.unwrap();
    let engine = ledger::service().open(&store).unwrap();
    let request = Request::new(tenant());
    let cash = account("cash");
    let command = |command| engine.execute::<Account>(&request, &cash, command);
    command(AccountCommand::Open { floor: Some(Decimal::ZERO) }).await.unwrap();
    let rows = "1,2024-01-01,x,food,1,EUR\n1,2024-01-01,x,bank,-1,EUR\n2,2024-01-02,y,food,3,EUR\n2,2024-01-02,y,cash,-3,EUR\n";
    let text = format!("{HEADER}{rows}");
    for _import in 0..2 {
        let error = import_text(&engine, &text).await.unwrap_err();
        assert!(matches!(&error, ImportError::Refused { line: 4, .. }), "{error}");
    }
    let forgotten = store.retention().unwrap().forget_outcome_bodies(Timestamp::MAX).await.unwrap();
    assert!(forgotten >= 2, "{forgotten} refusals were stored");
    command(AccountCommand::Deposit { amount: number("5"), commodity: commodity("EUR") }).await.unwrap();
    let imported = import_text(&engine, &text).await.unwrap();
    assert_eq!(imported, Imported { entries: 2, new: 1, already_there: 1 });
    let again = import_text(&engine, &text).await.unwrap();
    assert_eq!(again, Imported { entries: 2, new: 0, already_there: 2 });
    assert_eq!(balances_now(&engine).await[&("cash".to_owned(), "EUR".to_owned())], number("2"));
}

/// A file that another program cuts short between the two readings.
struct Shrinking(Cursor<&'static [u8]>);

impl Read for Shrinking {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for Shrinking {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        let whole = self.0.get_ref();
        self.0 = Cursor::new(&whole[..whole.len() - 20]);
        self.0.seek(position)
    }
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_noticed_and_can_be_imported_again() {
    let engine = engine().await;
    let file = Shrinking(Cursor::new(SMALL.as_bytes()));
    let error = import(&engine, &tenant(), file, &ProgressBar::hidden()).await.unwrap_err();
    assert!(matches!(&error, ImportError::Changed(_, before) if before.new == 6), "{error}");
    let imported = import_text(&engine, SMALL).await.unwrap();
    assert_eq!(imported, Imported { entries: 7, new: 1, already_there: 6 });
    let filter =
        LogFilter { event_types: vec![EventType::new("account-opened").unwrap()], ..LogFilter::default() };
    let log = engine.store().read_all(&LogScope::Tenant(tenant()), Position::START, &filter, 1_000).await;
    let opened = log.unwrap().events.len();
    assert_eq!(opened, 11, "each account once");
}
