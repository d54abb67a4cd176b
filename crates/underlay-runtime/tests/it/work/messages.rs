//! What a handler is given, and what follows from it.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use underlay_core::{
    Attempts, Commit, CommitId, Delivery, Error, EventStore, Handled, Handler, HandlerError, Input, Json,
    Metadata, NewWork, Origin, Outgoing, Process, Recorded, SchemaVersion, Step, StepContext, Version,
    WorkFilter, WorkId, WorkKind, WorkPlace, WorkQueue,
};
use underlay_derive::event;
use underlay_runtime::{Engine, EngineConfig, Ports, Registry};
use uuid::Uuid;

use super::yard::{Act, LEASE, MADE_BEYOND_A_TERM, MOMENT, Note, POLL, QueueIsEmpty, Yard, note, tenant};
use crate::bank::{AccountEvent, Balances, deposited};

/// A message whose shape has changed.
#[event(crate = underlay_core)]
pub enum Letter {
    #[event(name = "letter", version = 2, upcasts(add_greeting))]
    Letter { to: String, greeting: String },
}

fn add_greeting(mut before: serde_json::Value) -> Result<serde_json::Value, String> {
    before["greeting"] = json!("Dear");
    Ok(before)
}

#[derive(Clone, Default)]
struct Post(Arc<Mutex<Vec<String>>>);

impl Handler for Post {
    const NAME: &'static str = "post";
    type Message = Letter;

    async fn handle(&self, message: Letter, _: &Delivery) -> Result<Handled, HandlerError> {
        let Letter::Letter { to, greeting } = message;
        self.0.lock().unwrap().push(format!("{greeting} {to}"));
        Ok(Handled::done())
    }
}

fn letter(key: &str, name: &str, version: u32, body: &serde_json::Value) -> NewWork {
    let body = Json::encode(body).unwrap();
    NewWork::new(WorkKind::Message, "post", key, name, body).with_version(SchemaVersion(version))
}

#[tokio::test]
async fn an_older_message_is_lifted_and_what_does_not_fit_its_type_is_a_dead_letter() {
    let yard = Yard::new();
    let post = Post::default();
    let process = yard.process_of("a", Registry::default().handler(post.clone()), |config| config);
    yard.send(
        "acme",
        vec![
            letter("k", "letter", 1, &json!({"to": "Ann"})),
            letter("k", "letter", 2, &json!({"to": 7})),
            letter("k", "letter", 2, &json!({"to": "Bob", "greeting": "Hi"})),
        ],
    )
    .await;
    let work = process.start();
    yard.until(async || post.0.lock().unwrap().len() == 2).await;
    assert_eq!(*post.0.lock().unwrap(), ["Dear Ann", "Hi Bob"]);
    yard.until(async || yard.left().await == 0).await;
    let dead = yard.dead().await;
    assert_eq!(dead.len(), 1);
    let error = dead[0].work.last_error.clone().unwrap();
    assert!(error.contains("letter version 2"), "{error}");
    work.stop().await;
}

/// Its store fails, or it says itself what went wrong.
struct Unlucky(Fails);

type Fails = fn() -> HandlerError;

impl Handler for Unlucky {
    const NAME: &'static str = "post";
    type Message = Letter;

    fn attempts(&self) -> Attempts {
        Attempts { attempts_max: 1, ..Attempts::default() }
    }

    async fn handle(&self, _: Letter, _: &Delivery) -> Result<Handled, HandlerError> {
        Err((self.0)())
    }
}

#[tokio::test]
async fn a_dead_letter_tells_what_the_handler_says_and_nothing_of_the_store() {
    let cases: [(Fails, &str); 4] = [
        (|| Error::unavailable("db-7.internal is gone").into(), "the store was away"),
        (
            || Error::backend("using PostgreSQL", "Key (email)=(bob@globex.example) already exists").into(),
            "the service failed; its log says why",
        ),
        (|| Error::invalid("a query takes at most 3 columns").into(), "a query takes at most 3 columns"),
        (|| HandlerError::passing("smtp.example: mailbox full"), "smtp.example: mailbox full"),
    ];
    for (fails, told) in cases {
        let yard = Yard::new();
        let process = yard.process_of("a", Registry::default().handler(Unlucky(fails)), |config| config);
        yard.send("acme", vec![letter("k", "letter", 2, &json!({"to": "Ann", "greeting": "Hi"}))]).await;
        let work = process.start();
        yard.until(async || yard.left().await == 0).await;
        assert_eq!(yard.dead().await[0].work.last_error.as_deref(), Some(told));
        work.stop().await;
    }
}

#[tokio::test]
async fn what_is_newer_than_the_code_is_left_with_its_line_and_told() {
    let yard = Yard::new();
    let post = Post::default();
    let process = yard.process_of("old", Registry::default().handler(post.clone()), |config| config);
    let plain = |to: &str| letter("k", "letter", 2, &json!({"to": to, "greeting": "Hi"}));
    let other = letter("other", "letter", 2, &json!({"to": "Eve", "greeting": "Hi"}));
    yard.send(
        "acme",
        vec![
            plain("Ann"),
            letter("k", "letter", 3, &json!({"shape": "new"})),
            plain("Bob"),
            letter("l", "parcel", 1, &json!({})),
            other,
            note("n", 1),
        ],
    )
    .await;
    let work = process.start();
    yard.pass(POLL * 3).await;
    let mut read = post.0.lock().unwrap().clone();
    read.sort();
    assert_eq!(read, ["Hi Ann", "Hi Eve"]);
    assert_eq!((yard.left().await, yard.dead().await.len()), (4, 0));
    let state = process.state();
    let left = |name: &str| state.receivers.iter().find(|of| of.receiver == name).unwrap().left;
    assert_eq!((left("post"), left("scribe")), (3, 1));
    let listed = yard.store.list_work(&WorkFilter::default(), WorkPlace::START, 9).await.unwrap();
    for info in listed.work {
        assert_eq!(info.work.attempts, 0, "nothing was written");
    }

    // A newer program comes, and takes over what it can do.
    let new = yard.process("new");
    let others = new.start();
    yard.pass(LEASE).await;
    work.stop().await;
    yard.pass(LEASE).await;
    assert_eq!(yard.book.numbers("acme", "n", "done"), [1]);
    assert_eq!(yard.left().await, 3, "it has no post");
    others.stop().await;
}

#[tokio::test]
async fn what_is_left_and_due_keeps_nothing_else_from_being_due() {
    let yard = Yard::new();
    let process = yard.process("a");
    let due = underlay_core::Clock::now(&*yard.clock).saturating_add(POLL).unwrap();
    let left = |n: u64| letter(&format!("k{n}"), "letter", 2, &json!({})).with_due_at(due);
    for batch in 0..10 {
        yard.send("acme", (0..600).map(|n| left(batch * 600 + n)).collect()).await;
    }
    let later = due.saturating_add(MOMENT).unwrap();
    for key in 0..40 {
        yard.send("acme", vec![note(&format!("k{key}"), 1).with_due_at(later)]).await;
    }
    let work = process.start();
    yard.pass_until(async || yard.book.count("done") == 40).await;
    assert_eq!(yard.dead().await.len(), 0);
    work.stop().await;
}

/// A new program is rolled out slowly: what the old one cannot do is there for it, as it was sent.
#[tokio::test]
async fn what_nobody_could_begin_has_no_attempts_counted() {
    let yard = Yard::new();
    let old = yard.process_of("old", Registry::default(), |config| config);
    let due = underlay_core::Clock::now(&*yard.clock).saturating_add(POLL).unwrap();
    for batch in 0..12 {
        let all = (0..500).map(|n| note(&format!("k{batch}-{n}"), 1).with_due_at(due));
        yard.send("acme", all.collect()).await;
    }
    let work = old.start();
    yard.pass(Duration::from_secs(200)).await;
    assert_eq!(old.gate.settles.load(Ordering::Relaxed), 0, "nothing is written");
    let state = old.state();
    let left: u64 = state.receivers.iter().map(|receiver| receiver.left).sum();
    assert_eq!(left, 6_000, "and all of it is told: {state:?}");
    work.stop().await;

    let new = yard.process("new");
    let failed = Mutex::new(HashSet::new());
    yard.book.script(move |delivery, _| match failed.lock().unwrap().insert(delivery.key.clone()) {
        true => Act::Fail,
        false => Act::Do,
    });
    let work = new.start();
    yard.pass_until(async || yard.book.count("done") == 6_000).await;
    assert_eq!(yard.dead().await.len(), 0, "given up at the first failure");
    work.stop().await;
}

#[tokio::test]
async fn what_a_handler_sends_on_is_stored_once_with_what_led_to_it() {
    let yard = Yard::new();
    let process = yard.process("a");
    // The first attempt sends something on, and takes too long to say so; the second would send something else.
    yard.book.script(|delivery, number| match (number, delivery.attempt) {
        (1, attempt) => Act::Send(note("sent", 100 + u64::from(attempt))),
        _ => Act::Do,
    });
    let metadata = Metadata {
        correlation_id: Some(Uuid::from_u128(7)),
        causation_id: Some(Uuid::from_u128(8)),
        actor: Some("ann".to_owned()),
        traceparent: Some("00-1".to_owned()),
        tracestate: Some("a=1".to_owned()),
        command_id: None,
    };
    let commit = CommitId::draw();
    let sending = Commit::new(commit).send(note("k", 1)).with_metadata(metadata.clone());
    yard.store.commit(&tenant("acme"), sending).await.unwrap();
    process.gate.wrong.lock().unwrap().push(super::yard::Wrong::Unavailable);
    let work = process.start();
    yard.until(async || yard.book.count("done") == 1).await;
    // It is killed before it settles.
    process.gate.pause();
    std::mem::forget(work);
    let second = yard.process("b");
    let work = second.start();
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1; MADE_BEYOND_A_TERM]);
    assert_eq!(yard.book.numbers("acme", "sent", "done"), [101], "what the first one sent counts");
    let id = WorkId::of(&tenant("acme"), commit, 0);
    let follows = CommitId::derived(&tenant("acme"), Origin::Work, [id.0.as_bytes().as_slice()]);
    assert!(yard.store.find_commit(&tenant("acme"), follows).await.unwrap().is_some());
    work.stop().await;
}

#[tokio::test]
async fn the_metadata_of_what_follows_names_what_led_to_it() {
    let yard = Yard::new();
    let process = yard.process("a");
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let noted = delivered.clone();
    yard.book.script(move |delivery, number| {
        noted.lock().unwrap().push(delivery.metadata.clone());
        match number {
            1 => Act::Send(note("sent", 2)),
            _ => Act::Wait,
        }
    });
    let metadata = Metadata {
        correlation_id: Some(Uuid::from_u128(7)),
        causation_id: Some(Uuid::from_u128(8)),
        actor: Some("ann".to_owned()),
        traceparent: Some("00-1".to_owned()),
        tracestate: Some("a=1".to_owned()),
        command_id: Some(CommitId::draw()),
    };
    let commit = CommitId::draw();
    let sending = Commit::new(commit).send(note("k", 1)).with_metadata(metadata.clone());
    yard.store.commit(&tenant("acme"), sending).await.unwrap();
    let work = process.start();
    yard.until(async || yard.book.numbers("acme", "sent", "begun") == [2]).await;
    let sent = yard.store_first().await;
    let found: Metadata = sent.metadata.decode().unwrap();
    let id = WorkId::of(&tenant("acme"), commit, 0);
    let follows = Metadata { causation_id: Some(id.0), command_id: None, ..metadata.clone() };
    assert_eq!(found, follows);
    assert_eq!(*delivered.lock().unwrap(), [metadata, follows], "a handler can pass on the trace");
    yard.book.gate.send_replace(true);
    work.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_on_is_a_final_failure() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, _| Act::Send(note("", 1)));
    yard.send("acme", vec![note("k", 1)]).await;
    let work = process.start();
    yard.until(async || yard.dead().await.len() == 1).await;
    let error = yard.dead().await[0].work.last_error.clone().unwrap();
    assert!(error.contains("WORK_KEY_BYTES_MAX"), "{error}");
    work.stop().await;
}

/// What a tenant could read: a balance, the version of a stream, how many rows.
type Seen = (Option<i64>, u64, usize);

/// Writes down what a tenant can read when its message comes.
#[derive(Clone, Default)]
struct Looker(Arc<Mutex<Vec<Seen>>>);

#[event(crate = underlay_core)]
pub enum LookAt {
    #[event(name = "look-at", version = 1)]
    LookAt { account: String },
}

impl Handler for Looker {
    const NAME: &'static str = "looker";
    type Message = LookAt;

    fn attempts(&self) -> Attempts {
        Attempts { attempts_max: 1, ..Attempts::default() }
    }

    async fn handle(&self, message: LookAt, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let LookAt::LookAt { account } = message;
        let reader = delivery.reader();
        let row = reader.row("balances", &account).await?;
        let stream = crate::bank::stream(&account);
        let version = reader.read_stream(&stream, Version::NONE, 10).await?.len() as u64;
        let rows = reader.query("balances", &underlay_core::Query::default()).await?.rows.len();
        let cents = row.map(|values| match values[0] {
            underlay_core::Value::Integer(cents) => cents,
            _ => panic!("{values:?}"),
        });
        self.0.lock().unwrap().push((cents, version, rows));
        Ok(Handled::done())
    }
}

#[tokio::test]
async fn a_handler_reads_what_its_tenant_has_and_nothing_else() {
    let yard = Yard::new();
    let looker = Looker::default();
    let registry = Registry::default().view(Balances).handler(looker.clone());
    let process = yard.process_of("a", registry, |config| config);
    let views = process.engine.start_views();
    yard.store.commit(&tenant("acme"), deposited("a", 5)).await.unwrap();
    yard.store.commit(&tenant("globex"), deposited("a", 7)).await.unwrap();
    yard.store.commit(&tenant("globex"), deposited("b", 9)).await.unwrap();
    yard.pass(POLL).await;
    let work = process.start();
    for name in ["acme", "globex", "initech"] {
        let message = LookAt::LookAt { account: "a".to_owned() };
        yard.send(name, vec![Outgoing::message::<Looker>(name, &message).into_work().unwrap()]).await;
        yard.until(async || yard.left().await == 0).await;
    }
    assert_eq!(yard.dead().await, []);
    assert_eq!(*looker.0.lock().unwrap(), [(Some(5), 1, 1), (Some(7), 1, 2), (None, 0, 0)]);
    work.stop().await;
    views.stop().await;
}

/// Declares a type that an aggregate declares too.
struct Clashing;

impl Handler for Clashing {
    const NAME: &'static str = "clashing";
    type Message = AccountEvent;

    async fn handle(&self, _: AccountEvent, _: &Delivery) -> Result<Handled, HandlerError> {
        Ok(Handled::done())
    }
}

/// Never tries.
struct Idle;

impl Handler for Idle {
    const NAME: &'static str = "idle";
    type Message = Note;

    fn attempts(&self) -> Attempts {
        Attempts { attempts_max: 0, ..Attempts::default() }
    }

    async fn handle(&self, _: Note, _: &Delivery) -> Result<Handled, HandlerError> {
        Ok(Handled::done())
    }
}

/// What a handler or a process is called that has the name of something else.
const TAKEN: [&str; 3] = ["account", "transfer", "post"];

struct Namesake<const N: usize>;

impl<const N: usize> Handler for Namesake<N> {
    const NAME: &'static str = TAKEN[N];
    type Message = Note;

    async fn handle(&self, _: Note, _: &Delivery) -> Result<Handled, HandlerError> {
        Ok(Handled::done())
    }
}

impl<const N: usize> Process for Namesake<N> {
    const NAME: &'static str = TAKEN[N];
    type Event = AccountEvent;
    type State = u32;

    fn route(&self, _: &Recorded<AccountEvent>) -> Option<String> {
        None
    }

    fn step(&self, _: Option<&u32>, _: &Input<AccountEvent>, _: &StepContext) -> Step<u32> {
        Step::stay()
    }
}

#[test]
fn who_receives_work_has_a_name_of_its_own() {
    let bank = crate::bank::registry;
    for (registry, first, second) in [
        (bank().handler(Namesake::<0>), "an aggregate has the category account", "a handler"),
        (bank().handler(Namesake::<1>), "an operation has the name transfer", "a handler"),
        (bank().process(Namesake::<0>), "an aggregate has the category account", "a process"),
        (bank().process(Namesake::<1>), "an operation has the name transfer", "a process"),
        (bank().handler(Post::default()).process(Namesake::<2>), "a process has the name post", "a handler"),
    ] {
        let told = refused(registry);
        assert!(told.contains(&format!("{first}, and {second} has it too")), "{told}");
        assert!(told.ends_with("give one of them another name"), "{told}");
    }
}

/// What is said of what a service is made of.
fn refused(registry: Registry) -> String {
    let yard = Yard::new();
    let ports = Ports {
        store: Arc::new(yard.store.clone()),
        read_models: Arc::new(underlay_core::memory::MemoryReadModels::default()),
        wakeups: Arc::new(yard.store.clone()),
        snapshots: None,
        leases: None,
        work: None,
        clock: yard.clock.clone(),
    };
    Engine::new(ports, registry, EngineConfig::default()).unwrap_err().to_string()
}

#[test]
fn messages_stand_beside_events_and_names_are_unique_among_both() {
    let registry = crate::bank::registry().handler(Post::default());
    let names: Vec<(&str, u32)> =
        registry.event_schemas().iter().map(|(event, _)| (event.name, event.version)).collect();
    assert_eq!(names, [("deposited", 1), ("letter", 2), ("withdrawn", 1)]);
    assert_eq!(registry.handlers(), ["post"]);

    let clash = refused(crate::bank::registry().handler(Clashing));
    assert!(
        clash.contains("deposited") && clash.contains("account") && clash.contains("clashing"),
        "{clash}"
    );
    let twice = refused(Registry::default().handler(Post::default()).handler(Post::default()));
    assert!(twice.contains("post"), "{twice}");
    let idle = refused(Registry::default().handler(Idle));
    assert!(idle.contains("at least one attempt"), "{idle}");
}

#[tokio::test]
async fn the_state_of_all_work_is_told_and_the_store_is_asked_once_a_second() {
    let yard = Yard::new();
    let process = yard.process("a");
    assert_eq!(process.engine.worker_state(), None);
    yard.send_notes("acme", "k", 1..=3).await;
    yard.pass(POLL * 5).await;
    let standings = process.engine.work_standings().await.unwrap();
    assert_eq!(standings.worker, None);
    assert_eq!(
        (standings.queues.len(), standings.queues[0].depth.ready, standings.queues[0].lag),
        (1, 3, POLL * 5)
    );
    assert!(standings.queues[0].is_received);
    let elsewhere = yard.process_of("b", Registry::default(), |config| config);
    assert!(!elsewhere.engine.work_standings().await.unwrap().queues[0].is_received);
    let told = serde_json::to_value(&standings.queues[0]).unwrap();
    assert_eq!(
        (&told["lag_seconds"], &told["ready"], &told["ready_is_least"]),
        (&5.into(), &3.into(), &false.into())
    );
    let work = process.start();
    yard.until(async || yard.left().await == 0).await;
    let standings = process.engine.work_standings().await.unwrap();
    assert_eq!(standings.queues[0].depth.ready, 3, "as it was told a moment ago");
    let worker = standings.worker.unwrap();
    assert!(worker.holder.starts_with("a/") && worker.shards.len() == 16, "{worker:?}");
    assert_eq!((worker.receivers.len(), worker.receivers[0].done, worker.buffered_bytes), (1, 3, 0));
    yard.pass(POLL).await;
    assert_eq!(process.engine.work_standings().await.unwrap().queues, []);
    work.stop().await;
}
