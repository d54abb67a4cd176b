//! Looks at a database after a kill: is what was promised there, and nothing half done?

use std::collections::BTreeMap;

use underlay_core::{
    Checkpoint, EventStoreExt, Outcome, Position, Query, Refusal, Row, TenantId, View, ViewTable,
};
use underlay_runtime::{Engine, EngineConfig, Ports};

use super::bank::{self, AccountEvent, AccountRefusal, TENANTS, Transfer};
use super::book::{Book, Entry};
use super::errand::{Answer, Ask, Errand};
use super::log::{Log, Written};
use crate::Result;
use crate::balances::{Balance, Balances, Movement};
use crate::dice::Dice;
use crate::subject::OpenStore;

/// Promises of before that are looked up by their ids again.
const LOOKED_UP_AGAIN: usize = 100;
/// Errands that are sent again after the kill.
const SENT_AGAIN: usize = 8;
/// Rows in a page of the view: few, so that there are many pages.
const PAGE_ROWS: usize = 5;
/// How often the rows are read while they still change.
const TRIES_MAX: usize = 20;

/// Looks at everything, then sends some errands again. Returns what is wrong, as sentences.
pub(crate) async fn verify(open: &OpenStore, book: &mut Book, dice: &mut Dice) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let engine = Engine::new(open.ports(), bank::registry(), EngineConfig::default())?;
    let log = Log::read(open, &mut wrong).await?;
    for (id, written) in &log.commits {
        match book.find(*id) {
            Some(entry) => verify_written(entry, written, &mut wrong),
            None => wrong.push(format!("commit {id} is in the log and was never sent")),
        }
    }
    verify_transfers(&log, &mut wrong);
    for entry in book.entries() {
        verify_promise(entry, &log, &mut wrong);
    }
    for entry in book.due(LOOKED_UP_AGAIN, dice) {
        look_up(open, &entry, &log, &mut wrong).await?;
    }
    verify_view(open, &log, &mut wrong).await?;
    send_again(&engine, book, log.head, dice, &mut wrong).await?;
    Ok(wrong)
}

/// A command wrote all that it stands for, and nothing else.
fn verify_written(entry: &Entry, written: &Written, wrong: &mut Vec<String>) {
    let Errand { tenant, ask, .. } = &entry.errand;
    let meant = match ask {
        Ask::Deposit { account, cents } => {
            vec![(account.clone(), AccountEvent::Deposited { cents: *cents })]
        }
        Ask::Withdraw { account, cents } => {
            vec![(account.clone(), AccountEvent::Withdrawn { cents: *cents })]
        }
        Ask::Transfer(transfer) => {
            let (from, to, cents) = (transfer.from.clone(), transfer.to.clone(), transfer.cents);
            vec![
                (from.clone(), AccountEvent::Sent { to: to.clone(), cents }),
                (to, AccountEvent::Received { from, cents }),
            ]
        }
    };
    // The order of the streams within a commit is the store's.
    let whole =
        written.events.len() == meant.len() && meant.iter().all(|event| written.events.contains(event));
    if !whole || written.tenant != *tenant {
        wrong.push(format!("{:?} wrote {:?} for {}", entry.errand, written.events, written.tenant));
    }
}

/// Over all accounts, transfers neither make money nor lose it.
fn verify_transfers(log: &Log, wrong: &mut Vec<String>) {
    let events = log.commits.values().flat_map(|written| &written.events);
    let moved = |event: &AccountEvent| match event {
        AccountEvent::Sent { .. } | AccountEvent::Received { .. } => event.change(),
        AccountEvent::Deposited { .. } | AccountEvent::Withdrawn { .. } => 0,
    };
    let sum: i64 = events.map(|(_, event)| moved(event)).sum();
    if sum != 0 {
        wrong.push(format!("all transfers together come to {sum}"));
    }
}

/// What was promised is in the log, as it was promised.
fn verify_promise(entry: &Entry, log: &Log, wrong: &mut Vec<String>) {
    let written = log.commits.get(&entry.errand.id);
    match (&entry.answer, written) {
        (Some(Answer::Done { .. }), None) => {
            wrong.push(format!("lost: {:?} was acknowledged", entry.errand));
        }
        (Some(answer @ Answer::Done { position, versions }), Some(written)) => {
            if *position != written.position || *versions != written.versions {
                let Written { position, versions, .. } = written;
                wrong.push(format!("{answer:?} is at {position} in the log, with {versions:?}"));
            }
        }
        (Some(answer), Some(written)) => {
            wrong.push(format!("{:?} got {answer:?}, and is at {}", entry.errand, written.position));
        }
        // Sent and never answered: there or not.
        (None, _) | (Some(_), None) => {}
    }
}

/// The outcome that is stored under an id is the one that was promised, and was true.
async fn look_up(open: &OpenStore, entry: &Entry, log: &Log, wrong: &mut Vec<String>) -> Result<()> {
    let Entry { errand, answer: Some(answer) } = entry else { return Ok(()) };
    let Some(found) = open.store.find_commit(&errand.tenant, errand.id).await? else {
        wrong.push(format!("lost: nothing is known of {errand:?}, which got {answer:?}"));
        return Ok(());
    };
    let found = found.committed;
    match (answer, &found.outcome) {
        (Answer::Done { position, versions }, Outcome::Accepted) => {
            if found.position.number() != *position || found.versions != *versions {
                wrong.push(format!("{errand:?} got {answer:?}, and {found:?} is stored"));
            }
        }
        (Answer::Refused { code, fields }, Outcome::Refused { code: stored, body, .. })
            if code == stored && fields == body =>
        {
            let AccountRefusal::Overdrawn { balance, .. } = AccountRefusal::decode(code, fields.as_str())
                .ok_or_else(|| format!("the refusal of {errand:?} cannot be read"))?;
            let (Ask::Deposit { account, .. }
            | Ask::Withdraw { account, .. }
            | Ask::Transfer(Transfer { from: account, .. })) = &errand.ask;
            let (actual, _) = log.balance_at(&errand.tenant, account, found.position.number());
            if balance != actual {
                wrong.push(format!("{errand:?} was refused at balance {balance}, it was {actual}"));
            }
        }
        _ => wrong.push(format!("{errand:?} got {answer:?}, and {found:?} is stored")),
    }
    Ok(())
}

/// The rows of the view are those that the log gives up to the view's checkpoint.
async fn verify_view(open: &OpenStore, log: &Log, wrong: &mut Vec<String>) -> Result<()> {
    let ports = open.ports();
    let start = Checkpoint::start(open.store.store_id());
    let table = ports.read_models.prepare(&Balances::<AccountEvent>::schema(), start).await?;
    let mut tries = 1;
    let (checkpoint, rows) = loop {
        let checkpoint = ports.read_models.checkpoint(&table).await?;
        let position = checkpoint.position;
        match rows_at(&ports, &table, position, wrong).await? {
            Ok(rows) => break (checkpoint, rows),
            // What the killed process had sent last was carried out meanwhile.
            Err(other) if other > position && tries < TRIES_MAX => tries += 1,
            Err(other) => {
                wrong.push(format!("a page of the view is at {other}, the view at {position}"));
                return Ok(());
            }
        }
    };
    if let Err(error) = open.store.check_checkpoint("view balances", &checkpoint, "nothing").await {
        wrong.push(error.to_string());
    }
    verify_rows(log, checkpoint.position, rows, wrong);
    Ok(())
}

/// The rows of a view, by tenant and account.
type Rows = BTreeMap<(TenantId, String), Balance>;

/// Every row of the view at a position, or the position that a page had instead.
async fn rows_at(
    ports: &Ports,
    table: &ViewTable,
    position: Position,
    wrong: &mut Vec<String>,
) -> Result<std::result::Result<Rows, Position>> {
    let mut rows = Rows::new();
    for tenant in TENANTS {
        let tenant = TenantId::new(tenant)?;
        let mut query = Query::default().limit(PAGE_ROWS);
        loop {
            let page = ports.read_models.query(table, &tenant, &query).await?;
            if page.position != position {
                return Ok(Err(page.position));
            }
            for (account, values) in page.rows {
                let row = Balance::from_values(values).map_err(|column| format!("column {column}"))?;
                if rows.insert((tenant.clone(), account.clone()), row).is_some() {
                    wrong.push(format!("row {account} of {tenant} came twice"));
                }
            }
            match page.next {
                Some(cursor) => query.after = Some(cursor),
                None => break,
            }
        }
    }
    Ok(Ok(rows))
}

fn verify_rows(log: &Log, position: Position, mut rows: Rows, wrong: &mut Vec<String>) {
    for (tenant, account) in log.histories.keys() {
        let (cents, version) = log.balance_at(tenant, account, position.number());
        let meant = (version > 0).then(|| Balance { cents, events: version.cast_signed() as i64 });
        let row = rows.remove(&(tenant.clone(), account.clone()));
        if row != meant {
            wrong
                .push(format!("row {account} of {tenant} is {row:?} at {position}, the log gives {meant:?}"));
        }
    }
    wrong.extend(
        rows.iter()
            .map(|((tenant, account), row)| format!("row {account} of {tenant} is {row:?} for nothing")),
    );
}

/// Repeats are answered as the first time, and store nothing; what got no answer gets one now.
async fn send_again(
    engine: &Engine,
    book: &mut Book,
    head: u64,
    dice: &mut Dice,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let past = book.past(dice);
    let is_known = |errand: &Errand| book.find(errand.id).is_some_and(|entry| entry.answer.is_some());
    let (known, open): (Vec<Errand>, Vec<Errand>) = past.into_iter().partition(is_known);
    for errand in known.iter().take(SENT_AGAIN) {
        let answer = errand.run(engine).await;
        wrong.extend(book.answered(errand, answer));
    }
    let after = engine.store().head().await?.number();
    if after != head {
        wrong.push(format!("repeats moved the head of the log from {head} to {after}"));
    }
    for errand in open.iter().take(SENT_AGAIN) {
        let answer = errand.run(engine).await;
        wrong.extend(book.answered(errand, answer));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use underlay_core::{
        Aggregate, Commit, CommitId, EventStore, ExpectedVersion, Keys, Metadata, NewEvent, Recorded,
    };
    use underlay_runtime::Registry;

    use super::*;
    use crate::crash::bank::Account;
    use crate::subject::Address;

    struct Bank {
        open: OpenStore,
        engine: Engine,
        book: Book,
        dice: Dice,
    }

    impl Bank {
        /// A bank with a history, and views that have caught up.
        async fn at_work(registry: Registry) -> Self {
            let open = Address::Memory.open().await.unwrap();
            let engine = Engine::new(open.ports(), registry, EngineConfig::default()).unwrap();
            let mut bank = Self { open, engine, book: Book::default(), dice: Dice::new(1) };
            let views = bank.engine.start_views();
            for _ in 0..200 {
                let errand = Errand::new(&mut bank.dice).unwrap();
                let answer = errand.run(&bank.engine).await;
                assert_eq!(bank.book.answered(&errand, answer), None);
            }
            let head = bank.open.store.head().await.unwrap();
            bank.engine.wait_for_view("balances", head, Duration::from_secs(10)).await.unwrap();
            views.stop().await;
            bank
        }

        async fn verify(&mut self) -> Vec<String> {
            verify(&self.open, &mut self.book, &mut self.dice).await.unwrap()
        }

        async fn assert_found(&mut self, part: &str) {
            let wrong = self.verify().await;
            assert!(wrong.iter().any(|wrong| wrong.contains(part)), "{part:?} is not in {wrong:?}");
        }

        /// An errand that was sent and not answered.
        fn send(&mut self, ask: Ask) -> Errand {
            let id = CommitId(self.dice.uuid());
            let errand = Errand { id, tenant: tenant(), ask };
            assert_eq!(self.book.answered(&errand, Answer::Open("killed".to_owned())), None);
            errand
        }

        /// Stores events under the id of an errand, past the engine.
        async fn store(&self, id: CommitId, events: &[(&str, AccountEvent)]) {
            let metadata = Metadata { command_id: Some(id), ..Metadata::default() };
            let mut commit = Commit::new(CommitId::draw()).with_metadata(metadata);
            for (account, event) in events {
                let stream = Account::stream(&(*account).to_owned()).unwrap();
                commit = commit.append(stream, ExpectedVersion::Any, vec![NewEvent::encode(event).unwrap()]);
            }
            EventStore::commit(&self.open.store, &tenant(), commit).await.unwrap();
        }
    }

    fn tenant() -> TenantId {
        TenantId::new(TENANTS[0]).unwrap()
    }

    fn transfer() -> Ask {
        Ask::Transfer(Transfer { from: "1".to_owned(), to: "2".to_owned(), cents: 1 })
    }

    #[tokio::test]
    async fn nothing_is_wrong_where_nothing_is() {
        let mut bank = Bank::at_work(bank::registry()).await;
        assert_eq!(bank.verify().await, [""; 0]);
        // Some were sent again.
        assert!(bank.book.repeats > 0);
    }

    #[tokio::test]
    async fn a_promise_that_is_not_kept_is_found() {
        let mut bank = Bank::at_work(bank::registry()).await;
        let errand = bank.send(transfer());
        bank.book.answered(&errand, Answer::Done { position: 3, versions: Vec::new() });
        bank.assert_found("lost").await;
    }

    #[tokio::test]
    async fn a_refusal_that_is_not_stored_is_found() {
        let mut bank = Bank::at_work(bank::registry()).await;
        let errand = bank.send(transfer());
        let fields = underlay_core::Json::encode(&[1]).unwrap();
        bank.book.answered(&errand, Answer::Refused { code: "overdrawn".to_owned(), fields });
        bank.assert_found("nothing is known of").await;
    }

    #[tokio::test]
    async fn a_promise_at_another_place_is_found() {
        let mut bank = Bank::at_work(bank::registry()).await;
        let errand = bank.send(transfer());
        let Answer::Done { position, versions } = errand.run(&bank.engine).await else { panic!("refused") };
        bank.book.answered(&errand, Answer::Done { position: position - 1, versions });
        bank.assert_found("in the log, with").await;
    }

    #[tokio::test]
    async fn half_a_transfer_is_found() {
        let mut bank = Bank::at_work(bank::registry()).await;
        let errand = bank.send(transfer());
        bank.store(errand.id, &[("1", AccountEvent::Sent { to: "2".to_owned(), cents: 1 })]).await;
        let wrong = bank.verify().await.join("\n");
        assert!(wrong.contains("wrote") && wrong.contains("come to -1"), "{wrong}");
    }

    #[tokio::test]
    async fn a_command_stored_twice_is_found() {
        let mut bank = Bank::at_work(bank::registry()).await;
        let errand = bank.send(Ask::Deposit { account: "1".to_owned(), cents: 5 });
        for _ in 0..2 {
            bank.store(errand.id, &[("1", AccountEvent::Deposited { cents: 5 })]).await;
        }
        bank.assert_found("twice").await;
    }

    #[tokio::test]
    async fn a_decision_over_an_old_state_is_found() {
        let mut bank = Bank::at_work(bank::registry()).await;
        let errand = bank.send(Ask::Withdraw { account: "1".to_owned(), cents: 1_000_000 });
        bank.store(errand.id, &[("1", AccountEvent::Withdrawn { cents: 1_000_000 })]).await;
        bank.assert_found("is at -").await;
    }

    #[tokio::test]
    async fn a_commit_that_nobody_sent_is_found() {
        let mut bank = Bank::at_work(bank::registry()).await;
        bank.store(CommitId::draw(), &[("1", AccountEvent::Deposited { cents: 1 })]).await;
        bank.assert_found("was never sent").await;
    }

    /// The view under its own name, as somebody could have written it who does not read on.
    struct Late;

    impl View for Late {
        const NAME: &'static str = Balances::<AccountEvent>::NAME;
        type Event = AccountEvent;
        type Key = String;
        type Row = Balance;

        fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
            Balances::default().route(event, keys);
        }

        fn fold(
            &self,
            key: &String,
            row: Option<Balance>,
            event: &Recorded<AccountEvent>,
        ) -> Option<Balance> {
            if event.version().0 > 1 { row } else { Balances::default().fold(key, row, event) }
        }
    }

    #[tokio::test]
    async fn a_row_that_the_log_does_not_give_is_found() {
        let registry = Registry::default().aggregate::<Account>().operation::<Transfer>().view(Late);
        Bank::at_work(registry).await.assert_found("the log gives").await;
    }
}
