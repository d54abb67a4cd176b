//! What commits send on: drawn from events, and sent by decisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use underlay_core::limits::COMMIT_WORK_MAX;
use underlay_core::memory::{MemoryCheckpoints, MemoryEventStore, MemoryReadModels, MemorySchedules};
use underlay_core::{
    Aggregate, Archive, Context, Decision, Delivery, Draw, Drawing, Error, EventStore, Handled, Handler,
    HandlerError, LogScope, Operation, Outgoing, Reads, Streams, SystemClock, WorkFilter, WorkPlace,
    WorkQueue,
};
use underlay_derive::{command, event, value};
use underlay_runtime::{Engine, EngineConfig, ExecuteError, Ports, Registry, Request, WorkPorts};

use crate::bank::{
    Account, AccountCommand, AccountEvent, AccountRefusal, Transfer, repeatable, request, tenant,
};

/// What the mail is told.
#[event(crate = underlay_core)]
pub enum Letter {
    #[event(name = "letter-of-deposit", version = 1)]
    Deposit { account: String, cents: i64 },
    #[event(name = "letter-of-decision", version = 1)]
    Decision,
}

pub struct Post;

impl Handler for Post {
    const NAME: &'static str = "post";
    type Message = Letter;

    async fn handle(&self, _: Letter, _: &Delivery) -> Result<Handled, HandlerError> {
        Ok(Handled::done())
    }
}

/// Writes a letter for every deposit, and counts how often it is asked.
#[derive(Clone, Default)]
struct Letters(Arc<AtomicUsize>);

impl Draw for Letters {
    type Event = AccountEvent;

    fn draw(&self, event: &AccountEvent, drawing: Drawing<'_>) -> Vec<Outgoing> {
        self.0.fetch_add(1, Ordering::SeqCst);
        match event {
            AccountEvent::Deposited { cents: 13 } => panic!("a bug in what draws"),
            AccountEvent::Deposited { cents } => {
                let account = drawing.stream.id().to_owned();
                let letter = Letter::Deposit { account: account.clone(), cents: *cents };
                let count = if *cents == 1_000_000 { COMMIT_WORK_MAX + 1 } else { 1 };
                vec![Outgoing::message::<Post>(account, &letter); count]
            }
            AccountEvent::Withdrawn { .. } => Vec::new(),
        }
    }
}

/// Deposits, and sends a letter and a command of its own.
#[value(crate = underlay_core)]
struct DepositAndTell {
    account: String,
    cents: i64,
}

impl Operation for DepositAndTell {
    const NAME: &'static str = "deposit-and-tell";
    type Refusal = AccountRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&self.account)
    }

    fn decide(&self, streams: &mut Streams, context: &Context) -> Result<(), AccountRefusal> {
        streams.send(Outgoing::message::<Post>(&self.account, &Letter::Decision));
        if self.cents < 0 {
            return Err(AccountRefusal::Overdrawn { balance: 0, cents: self.cents });
        }
        streams.append::<Account>(&self.account, AccountEvent::Deposited { cents: self.cents });
        let command = AccountCommand::Deposit { cents: 1 };
        streams.send(Outgoing::command::<Account>(&self.account, &command).due_at(context.now).urgent());
        Ok(())
    }
}

#[event(crate = underlay_core)]
pub enum BellEvent {
    #[event(name = "rung", version = 1)]
    Rung,
}

#[command(crate = underlay_core)]
pub enum BellCommand {
    #[command(name = "ring")]
    Ring,
}

#[derive(Clone, Default)]
struct Bell;

/// An aggregate that sends something on by itself.
impl Aggregate for Bell {
    const CATEGORY: &'static str = "bell";
    type Id = String;
    type Command = BellCommand;
    type Event = BellEvent;
    type Refusal = AccountRefusal;

    fn decide(&self, _: BellCommand, _: &Context) -> Result<Decision<BellEvent>, AccountRefusal> {
        let decision = Decision::from(BellEvent::Rung);
        Ok(decision.send(Outgoing::message::<Post>("bell", &Letter::Decision)))
    }

    fn evolve(&mut self, _: &BellEvent) {}
}

fn registry() -> Registry {
    crate::bank::registry().aggregate::<Bell>().operation::<DepositAndTell>().handler(Post)
}

pub fn over(store: &MemoryEventStore, registry: Registry) -> Engine {
    let work = WorkPorts {
        queue: Arc::new(store.clone()),
        schedules: Arc::new(MemorySchedules::default()),
        checkpoints: Arc::new(MemoryCheckpoints::default()),
        leases: None,
        scheduler: None,
    };
    Engine::new(ports(store, Some(work)), registry, EngineConfig::default()).unwrap()
}

fn ports(store: &MemoryEventStore, work: Option<WorkPorts>) -> Ports {
    Ports {
        work,
        store: Arc::new(store.clone()),
        read_models: Arc::new(MemoryReadModels::default()),
        wakeups: Arc::new(store.clone()),
        snapshots: None,
        leases: None,
        clock: Arc::new(SystemClock),
    }
}

/// The names of all work, in order.
async fn sent(store: &MemoryEventStore) -> Vec<String> {
    let found = store.list_work(&WorkFilter::default(), WorkPlace::START, 1_000).await.unwrap();
    found.work.into_iter().map(|info| info.work.sent.name).collect()
}

async fn deposit(engine: &Engine, request: &Request, cents: i64) -> Result<(), ExecuteError<AccountRefusal>> {
    let command = AccountCommand::Deposit { cents };
    engine.execute::<Account>(request, &"a".to_owned(), command).await.map(drop)
}

#[tokio::test]
async fn what_is_drawn_from_an_event_stands_in_its_commit_once() {
    let (store, letters) = (MemoryEventStore::default(), Letters::default());
    let engine = over(&store, registry().draw(letters.clone()));
    deposit(&engine, &repeatable("k"), 5).await.unwrap();
    let found = store.list_work(&WorkFilter::default(), WorkPlace::START, 10).await.unwrap();
    let work = &found.work[0].work;
    assert_eq!((work.sent.receiver.as_str(), work.sent.key.as_str()), ("post", "a"));
    assert_eq!((work.sent.name.as_str(), work.sent.version.0), ("letter-of-deposit", 1));
    assert_eq!(work.sent.payload.text().as_str(), r#"{"account":"a","cents":5}"#);
    let stored = store.find_commit(&tenant(), work.commit_id).await.unwrap().unwrap();
    assert_eq!(stored.committed.event_count, 1);

    // A repeat sends nothing again, here and in another process.
    deposit(&engine, &repeatable("k"), 5).await.unwrap();
    deposit(&over(&store, registry().draw(Letters::default())), &repeatable("k"), 5).await.unwrap();
    assert_eq!(sent(&store).await.len(), 1);
    // Nor does a refusal draw.
    let asked = letters.0.load(Ordering::SeqCst);
    let withdraw = AccountCommand::Withdraw { cents: 99 };
    engine.execute::<Account>(&request(), &"a".to_owned(), withdraw).await.unwrap_err();
    assert_eq!((letters.0.load(Ordering::SeqCst), sent(&store).await.len()), (asked, 1));
}

#[tokio::test]
async fn what_is_drawn_comes_before_what_the_decision_sends_itself() {
    let store = MemoryEventStore::default();
    let engine = over(&store, registry().draw(Letters::default()));
    let operation = DepositAndTell { account: "a".to_owned(), cents: 5 };
    engine.operate(&request(), operation).await.unwrap();
    assert_eq!(sent(&store).await, ["letter-of-deposit", "letter-of-decision", "deposit"]);

    // What a decision sent before it refused is forgotten with the rest.
    let refused = DepositAndTell { account: "a".to_owned(), cents: -1 };
    engine.operate(&repeatable("k"), refused).await.unwrap_err();
    engine.execute::<Bell>(&request(), &"1".to_owned(), BellCommand::Ring).await.unwrap();
    let transfer = Transfer { from: "a".to_owned(), to: "b".to_owned(), cents: 2 };
    engine.operate(&request(), transfer).await.unwrap();
    assert_eq!(sent(&store).await[3..], ["letter-of-decision", "letter-of-deposit"]);
}

#[tokio::test]
async fn a_command_that_is_decided_again_sends_once() {
    let (store, letters) = (MemoryEventStore::default(), Letters::default());
    let one = over(&store, registry().draw(letters.clone()));
    let other = over(&store, registry().draw(Letters::default()));
    deposit(&one, &request(), 5).await.unwrap();
    deposit(&other, &request(), 6).await.unwrap();
    // What the first remembers of the account is old by now.
    deposit(&one, &request(), 7).await.unwrap();
    assert_eq!(letters.0.load(Ordering::SeqCst), 3, "the last was decided twice");
    assert_eq!(sent(&store).await.len(), 3);
}

#[tokio::test]
async fn an_import_sends_nothing() {
    let (store, other) = (MemoryEventStore::default(), MemoryEventStore::default());
    deposit(&over(&store, registry().draw(Letters::default())), &request(), 5).await.unwrap();
    let page = store.read_commits(&LogScope::EveryTenant, 0, 10).await.unwrap();
    other.import_commits(page.commits).await.unwrap();
    assert!(sent(&other).await.is_empty());
}

#[tokio::test]
async fn a_bug_in_what_draws_fails_the_command_and_nothing_else() {
    let store = MemoryEventStore::default();
    let engine = over(&store, registry().draw(Letters::default()));
    let error = deposit(&engine, &request(), 13).await.unwrap_err().to_string();
    assert!(error.contains("`draw` of") && error.contains("panicked"), "{error}");
    let error = deposit(&engine, &request(), 1_000_000).await.unwrap_err().to_string();
    assert!(error.contains("COMMIT_WORK_MAX"), "{error}");
    assert_eq!(store.head().await.unwrap().number(), 0);
    deposit(&engine, &request(), 5).await.unwrap();
    assert_eq!(sent(&store).await.len(), 1);
}

#[tokio::test]
async fn what_nothing_would_keep_is_refused_and_not_lost() {
    let store = MemoryEventStore::default();
    let registry = registry().draw(Letters::default());
    let engine = Engine::new(ports(&store, None), registry, EngineConfig::default()).unwrap();
    let error = deposit(&engine, &request(), 5).await.unwrap_err().to_string();
    assert!(error.contains("no ports of work"), "{error}");
    assert_eq!(store.head().await.unwrap().number(), 0);
}

#[tokio::test]
async fn to_draw_from_what_nobody_declares_is_a_mistake() {
    let ports = ports(&MemoryEventStore::default(), None);
    let registry = Registry::default().draw(Letters::default());
    let error = Engine::new(ports, registry, EngineConfig::default()).unwrap_err().to_string();
    assert!(error.contains("deposited") && error.contains("declares"), "{error}");
}
