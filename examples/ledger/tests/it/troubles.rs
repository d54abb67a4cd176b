//! Every handler, step, commit and settlement fails once before it is done and once after, over a real gateway: what
//! the outside sees happens once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ledger::account::{Account, AccountCommand};
use ledger::gateway::{Charge, Gateway, Reconcile};
use ledger::member::{Member, MemberCommand, MemberMail, MemberMails, MembersConfig};
use ledger::payment::{Payment, PaymentCommand, Payments};
use underlay::adapter::Backend;
use underlay::memory::{MemoryCheckpoints, MemoryEventStore, MemoryMail, MemoryReadModels, MemorySchedules};
use underlay::ports::{LogFilter, LogScope};
use underlay::{
    Engine, EventStore, LinkKey, Links, Mailbox, Position, RecordedEvent, Request, Service, Store, TenantId,
};
use underlay_testkit::{FailsOnce, Over, Troubles};

use crate::decision::{commodity, number};
use crate::gateway::{DECLINED, HANGS, PAID, TestGateway};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn tenant() -> TenantId {
    TenantId::new("main").unwrap()
}

/// A command that is sent until it is stored.
macro_rules! execute {
    ($engine:expr, $aggregate:ty, $id:expr, $command:expr) => {{
        let request = Request::new(tenant()).with_key(&format!("{} {:?}", $id, $command));
        let id = $id.parse().unwrap();
        loop {
            match $engine.execute::<$aggregate>(&request, &id, $command).await {
                Ok(_) => break,
                Err(underlay::ExecuteError::Refused(refusal)) => panic!("{refusal}"),
                Err(underlay::ExecuteError::Ended(ended)) => panic!("{ended}"),
                // It failed once at each point; the key makes it one command.
                Err(underlay::ExecuteError::Failed(_)) => {}
            }
        }
    }};
}

async fn events(log: &MemoryEventStore) -> Vec<RecordedEvent> {
    let scope = LogScope::EveryTenant;
    log.read_all(&scope, Position::START, &LogFilter::default(), 1_000).await.unwrap().events
}

/// How often there is an event of a type in a stream.
fn count(events: &[RecordedEvent], stream: &str, kind: &str) -> usize {
    let is_one =
        |event: &&RecordedEvent| event.stream.as_str() == stream && event.event_type.as_str() == kind;
    events.iter().filter(is_one).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_once_happens_once() {
    let gateway = TestGateway::new();
    let mail = MemoryMail::new(Mailbox::new("bank@example.com").unwrap());
    let troubles = Troubles::default();
    let log = MemoryEventStore::default();
    let backend = Backend {
        store: Some(Arc::new(Over(FailsOnce::new(log.clone(), &troubles)))),
        wakeups: Some(Arc::new(log.clone())),
        work: Some(Arc::new(Over(FailsOnce::new(log.clone(), &troubles)))),
        schedules: Some(Arc::new(MemorySchedules::default())),
        checkpoints: Some(Arc::new(MemoryCheckpoints::default())),
        read_models: Some(Arc::new(MemoryReadModels::default())),
        ..Backend::default()
    };
    let at = Gateway::new(Some(&gateway.address)).unwrap();
    let links = Links::new("https://bank.example", LinkKey::draw().unwrap());
    let mailer = MemberMail::new(Arc::new(mail.clone()), links, MembersConfig::default()).unwrap();
    let payments = Payments { answer_within: Duration::from_secs(3), has_gateway: true };
    let service = Service::new("ledger")
        .aggregate::<Account>()
        .aggregate::<Payment>()
        .aggregate::<Member>()
        .process(FailsOnce::new(payments, &troubles))
        .handler(FailsOnce::new(Charge::new(at.clone()), &troubles))
        .handler(FailsOnce::new(Reconcile::new(at), &troubles))
        .handler(FailsOnce::new(mailer, &troubles))
        .draw(MemberMails);
    let engine: Engine = service.open(&Store::of(backend).unwrap()).unwrap();
    let work = engine.start_work();

    let floor = Some(number("0"));
    execute!(engine, Account, "purse", AccountCommand::Open { floor });
    let (amount, eur) = (number("100"), commodity("EUR"));
    execute!(engine, Account, "purse", AccountCommand::Deposit { amount, commodity: eur.clone() });
    for (id, amount, payee) in
        [("paid", "10", PAID), ("declined", "10", DECLINED), ("hangs", "10", HANGS), ("dear", "5000", PAID)]
    {
        let (account, amount, payee) = ("purse".parse().unwrap(), number(amount), payee.to_owned());
        let pay = PaymentCommand::Pay { account, amount, commodity: eur.clone(), payee };
        execute!(engine, Payment, id, pay.clone());
    }
    let email = "ann@example.com".to_owned();
    execute!(engine, Member, "ann", MemberCommand::Register { email: email.clone() });

    let ends = [
        ("payment-paid", "payment-charged"),
        ("payment-declined", "payment-declined"),
        ("payment-hangs", "payment-declined"),
        ("payment-dear", "payment-declined"),
        ("member-ann", "member-link-sent"),
    ];
    let mut hints = engine.wakeups().subscribe();
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            let found = events(&log).await;
            let money = count(&found, "account-purse", "account-settled")
                + count(&found, "account-purse", "account-released");
            if money == 3 && ends.iter().all(|(stream, kind)| count(&found, stream, kind) == 1) {
                break;
            }
            hints.hint().await;
        }
    });
    ended.await.unwrap_or_else(|_| panic!("it has not ended"));
    work.stop().await;

    let found = events(&log).await;
    for (stream, kind) in ends {
        assert_eq!(count(&found, stream, kind), 1, "{stream}: {kind}");
    }
    assert_eq!(count(&found, "account-purse", "account-reserved"), 3);
    assert_eq!(count(&found, "account-purse", "account-settled"), 1);
    assert_eq!(count(&found, "account-purse", "account-released"), 2);
    assert_eq!(gateway.charged(), [("main/paid".to_owned(), 1)].into());
    // It is sent again where the answer was lost, and is the same mail.
    let sent = mail.sent();
    let different: BTreeSet<(String, String)> =
        sent.iter().map(|sent| (sent.key.clone(), sent.mail.text().to_owned())).collect();
    assert!(sent.len() >= 2 && different.len() == 1, "{} mails, {} different", sent.len(), different.len());
    assert!(troubles.count() > 40, "{}", troubles.count());
    troubles.check();
}
