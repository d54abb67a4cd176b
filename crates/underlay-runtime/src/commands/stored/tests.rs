//! The receiver of stored commands, called as a worker calls it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use underlay_core::limits::COMMIT_WORK_MAX;
use underlay_core::memory::{MemoryCheckpoints, MemoryEventStore, MemoryReadModels, MemorySchedules};
use underlay_core::{
    Actor, Aggregate, CANCELLED, CONFLICT, Clock, CommandOutcome, CommitId, Context, Decision, DueLook,
    Error, EventStore, EventStoreExt, Fingerprint, Json, Lane, ManualClock, Operation, Outcome, Reads,
    ReplyTo, SchemaVersion, Settled, Settlement, Shard, StoredCommand, StoredInput, StreamName, Streams,
    TenantId, Timestamp, Version, Work, WorkFilter, WorkKind, WorkPlace, WorkQueue, WorkScope, Worker,
};
use underlay_derive::{command, event, refusal, value};

use super::{Cancelled, CommandList, CommandStatus, StoredCommands, SubmitOptions};
use crate::commands::Commands;
use crate::work::{Attempt, GivenUp, NotDone, Receiver};
use crate::{
    EngineConfig, ExecuteError, ExecuteNamedError, Executed, LetterChoice, LetterOrder, Ports, Registry,
    Request, WorkPorts,
};

#[event(crate = underlay_core)]
pub(crate) enum JarEvent {
    #[event(name = "coin-put", version = 1)]
    Put { cents: i64 },
    #[event(name = "coin-taken", version = 1)]
    Taken { cents: i64 },
}

#[command(crate = underlay_core)]
pub(crate) enum JarCommand {
    #[command(name = "put")]
    Put { cents: i64, note: Option<String> },
    #[command(name = "take")]
    Take { cents: i64 },
    #[command(name = "panic")]
    Panic,
}

#[refusal(crate = underlay_core)]
pub(crate) enum JarRefusal {
    #[refusal(code = "empty", message = "the jar has {cents}")]
    Empty { cents: i64 },
}

#[derive(Clone, Default)]
pub(crate) struct Jar {
    cents: i64,
}

impl Aggregate for Jar {
    const CATEGORY: &'static str = "jar";
    type Id = String;
    type Command = JarCommand;
    type Event = JarEvent;
    type Refusal = JarRefusal;

    fn decide(&self, command: JarCommand, _: &Context) -> Result<Decision<JarEvent>, JarRefusal> {
        match command {
            JarCommand::Put { cents, .. } => Ok(JarEvent::Put { cents }.into()),
            JarCommand::Take { cents } if cents > self.cents => Err(JarRefusal::Empty { cents: self.cents }),
            JarCommand::Take { cents } => Ok(JarEvent::Taken { cents }.into()),
            JarCommand::Panic => panic!("a bug in the domain"),
        }
    }

    fn evolve(&mut self, event: &JarEvent) {
        match event {
            JarEvent::Put { cents } => self.cents += cents,
            JarEvent::Taken { cents } => self.cents -= cents,
        }
    }
}

#[value(crate = underlay_core)]
pub(crate) struct PutInto {
    jars: Vec<String>,
    cents: i64,
}

impl Operation for PutInto {
    const NAME: &'static str = "put-into";
    type Refusal = JarRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        self.jars.iter().try_for_each(|jar| reads.stream::<Jar>(jar))
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), JarRefusal> {
        for jar in &self.jars {
            streams.append::<Jar>(jar, JarEvent::Put { cents: self.cents });
        }
        Ok(())
    }
}

/// A process over a store in memory.
pub(crate) struct Desk {
    pub(crate) store: MemoryEventStore,
    pub(crate) schedules: MemorySchedules,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) ports: Ports,
}

pub(crate) fn registry() -> Registry {
    Registry::default().aggregate::<Jar>().operation::<PutInto>()
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn keyed(key: &str) -> Request {
    Request::new(tenant()).with_key(key)
}

fn id_of(key: &str) -> CommitId {
    CommitId::from_key(&tenant(), key)
}

impl Desk {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
        let store = MemoryEventStore::new(clock.clone());
        Self::over(store, MemorySchedules::default(), clock, registry())
    }

    /// Another process beside this one.
    pub(crate) fn beside(&self, registry: Registry) -> Self {
        Self::over(self.store.clone(), self.schedules.clone(), self.clock.clone(), registry)
    }

    fn over(
        store: MemoryEventStore,
        schedules: MemorySchedules,
        clock: Arc<ManualClock>,
        registry: Registry,
    ) -> Self {
        let work = WorkPorts {
            queue: Arc::new(store.clone()),
            schedules: Arc::new(schedules.clone()),
            checkpoints: Arc::new(MemoryCheckpoints::default()),
            leases: None,
            scheduler: None,
        };
        let ports = Ports {
            store: Arc::new(store.clone()),
            read_models: Arc::new(MemoryReadModels::default()),
            wakeups: Arc::new(store.clone()),
            snapshots: None,
            leases: None,
            work: Some(work),
            clock: clock.clone(),
        };
        let commands = Arc::new(Commands::new(&ports, &registry, &EngineConfig::default()));
        Self { store, schedules, clock, commands, ports }
    }

    /// All work of a kind.
    pub(crate) async fn work(&self, kind: WorkKind) -> Vec<Work> {
        let filter = WorkFilter { kind: Some(kind), ..WorkFilter::default() };
        let found = self.store.list_work(&filter, WorkPlace::START, 1_000).await.unwrap();
        found.work.into_iter().map(|info| info.work).collect()
    }

    async fn put(&self, key: &str, cents: i64) -> Result<super::Submitted, Error> {
        let command = JarCommand::Put { cents, note: None };
        let id = "1".to_owned();
        self.commands.submit::<Jar>(&keyed(key), &id, &command, SubmitOptions::default()).await
    }

    async fn submit_named(
        &self,
        key: &str,
        category: &str,
        command: &str,
        body: &str,
    ) -> Result<super::Submitted, ExecuteNamedError> {
        let options = SubmitOptions::default();
        self.commands.submit_named(&keyed(key), category, "1", command, body, options).await
    }

    async fn put_directly(&self, key: &str, cents: i64) -> Result<Executed, ExecuteError<JarRefusal>> {
        let command = JarCommand::Put { cents, note: None };
        self.commands.execute::<Jar>(&keyed(key), &"1".to_owned(), command).await
    }

    /// Something else is stored under a key by somebody who names no submission, as an import does.
    async fn take_key(&self, key: &str) {
        let commit =
            underlay_core::Commit::new(id_of(key)).with_content(Fingerprint::of([b"other".as_slice()]));
        self.store.commit(&tenant(), commit).await.unwrap();
    }

    async fn attempt(&self, work: &Work) -> Result<(), NotDone> {
        let receiver = StoredCommands::new(self.commands.clone());
        let heartbeats = Notify::new();
        let attempt = Attempt {
            work,
            number: work.attempts + 1,
            deadline: Timestamp::MAX,
            heartbeats: &heartbeats,
            traceparent: None,
        };
        receiver.attempt(attempt).await
    }

    async fn give_up(&self, work: &Work, reason: &str) -> GivenUp {
        StoredCommands::new(self.commands.clone()).give_up(work, reason).await.unwrap()
    }

    async fn status(&self, key: &str) -> CommandStatus {
        self.commands.command_status(&tenant(), id_of(key)).await.unwrap().unwrap().status
    }

    async fn cancel(&self, key: &str) -> Result<Cancelled, Error> {
        self.commands.cancel(&tenant(), &Actor::default(), id_of(key), |_| true).await
    }

    async fn cents(&self) -> i64 {
        let stream = StreamName::parse("jar-1").unwrap();
        let events = self.store.read_stream_whole(&tenant(), &stream, Version::NONE).await.unwrap();
        let mut jar = Jar::default();
        events.iter().for_each(|event| jar.evolve(&event.decode::<JarEvent>().unwrap().unwrap()));
        jar.cents
    }

    /// Stores a command with whatever stands in it.
    async fn store_raw(&self, stored: StoredCommand, name: &str) -> Work {
        let work = stored.work("jar", "jar-1", name).unwrap();
        let commit = underlay_core::Commit::new(CommitId::draw()).send(work);
        self.store.commit(&tenant(), commit).await.unwrap();
        self.work(WorkKind::Command).await.pop().unwrap()
    }

    async fn settle(&self, work: &Work, settled: Settled) {
        let worker = Worker::embedded("test");
        let share = self.store.share(&worker, Duration::from_secs(10), &[]).await.unwrap();
        let held = share.held.iter().find(|held| held.term.shard == work.shard).unwrap();
        let settlement = Settlement { term: held.term, place: work.place, settled };
        assert!(self.store.settle(&[settlement]).await.unwrap().is_empty());
        self.store.leave(&worker).await.unwrap();
    }

    /// What the process was told, in order.
    async fn told(&self) -> Vec<CommandOutcome> {
        let inputs = self.work(WorkKind::Input).await;
        let outcome = |work: &Work| match work.sent.payload.json().unwrap().decode().unwrap() {
            StoredInput::Outcome { name, outcome, .. } => {
                assert_eq!((name.as_str(), work.sent.receiver.as_str()), ("fill", "payment"));
                assert_eq!(work.sent.key, "42");
                outcome
            }
            other => panic!("{other:?}"),
        };
        inputs.iter().map(outcome).collect()
    }
}

/// A command of a process.
fn of_process(body: &str) -> StoredCommand {
    let reply_to =
        ReplyTo { process: "payment".to_owned(), instance: "42".to_owned(), name: "fill".to_owned() };
    StoredCommand {
        reply_to: Some(reply_to),
        ..StoredCommand::new(Some("1".to_owned()), Json::parse(body).unwrap())
    }
}

#[tokio::test]
async fn a_key_submitted_twice_is_one_command_whichever_way_it_is_given() {
    let desk = Desk::new();
    let first = desk.put("k", 5).await.unwrap();
    assert!(!first.repeated && !first.is_processed);
    assert!(desk.put("k", 5).await.unwrap().repeated);
    // By name, and with the field that typed code leaves out.
    let named = desk.submit_named("k", "jar", "put", r#"{ "cents": 5 }"#).await;
    assert_eq!(named.unwrap().command_id, first.command_id);
    assert!(matches!(desk.put("k", 6).await, Err(Error::IdReused(id)) if id == first.command_id));
    let work = desk.work(WorkKind::Command).await;
    assert_eq!(work.len(), 1);
    assert_eq!((work[0].sent.receiver.as_str(), work[0].sent.key.as_str()), ("jar", "jar-1"));

    desk.attempt(&work[0]).await.unwrap();
    assert_eq!(desk.cents().await, 5);
    assert!(desk.put_directly("k", 5).await.unwrap().repeated);
    assert!(desk.put("k", 5).await.unwrap().is_processed);
}

#[tokio::test]
async fn a_key_that_was_executed_directly_is_processed_and_stores_no_work() {
    let desk = Desk::new();
    desk.put_directly("k", 5).await.unwrap();
    let submitted = desk.put("k", 5).await.unwrap();
    assert!(submitted.is_processed && submitted.repeated);
    assert!(matches!(desk.put("k", 6).await, Err(Error::IdReused(_))));
    assert!(desk.work(WorkKind::Command).await.is_empty());
}

#[tokio::test]
async fn what_is_not_well_formed_is_told_when_it_is_submitted() {
    let desk = Desk::new();
    for (category, command, body, told) in [
        ("tin", "put", "{}", "category \"tin\""),
        ("jar", "pour", "{}", "no command \"pour\""),
        ("jar", "put", "{", "does not fit"),
        ("jar", "put", "", "cents"),
    ] {
        let error = desk.submit_named("k", category, command, body).await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let operation =
        desk.commands.submit_operation_named(&keyed("k"), "put-into", "{}", SubmitOptions::default()).await;
    assert!(operation.unwrap_err().to_string().contains("jars"));
    assert!(desk.commands.command_status(&tenant(), id_of("k")).await.unwrap().is_none());
    assert!(desk.work(WorkKind::Command).await.is_empty());
}

#[tokio::test]
async fn an_operation_waits_for_no_other() {
    let desk = Desk::new();
    let operation = PutInto { jars: vec!["1".to_owned(), "2".to_owned()], cents: 3 };
    for key in ["a", "b"] {
        let options = SubmitOptions::default().urgent();
        desk.commands.submit_operation(&keyed(key), &operation, options).await.unwrap();
    }
    let body = r#"{"jars":["1","2"],"cents":3}"#;
    let options = SubmitOptions::default();
    let named = desk.commands.submit_operation_named(&keyed("a"), "put-into", body, options).await;
    assert!(named.unwrap().repeated);
    let work = desk.work(WorkKind::Command).await;
    assert_eq!(work.len(), 2);
    assert_ne!(work[0].sent.key, work[1].sent.key);
    assert_eq!(work[0].sent.lane, Lane::Urgent);
    for work in &work {
        desk.attempt(work).await.unwrap();
    }
    assert_eq!(desk.cents().await, 6);
}

#[tokio::test]
async fn a_command_is_followed_from_its_submission_to_its_end() {
    let desk = Desk::new();
    assert!(desk.commands.command_status(&tenant(), id_of("k")).await.unwrap().is_none());
    desk.put("k", 5).await.unwrap();
    let other = TenantId::new("globex").unwrap();
    assert!(desk.commands.command_status(&other, id_of("k")).await.unwrap().is_none());
    assert_eq!(desk.status("k").await, CommandStatus::Pending);

    let work = desk.work(WorkKind::Command).await.remove(0);
    let delay = Duration::from_secs(60);
    let due_at = desk.clock.now().saturating_add(delay).unwrap();
    desk.settle(&work, Settled::Retry { delay, error: "the store was away".to_owned() }).await;
    let info = desk.commands.command_status(&tenant(), id_of("k")).await.unwrap().unwrap();
    assert_eq!(info.status, CommandStatus::Consumed);
    let waiting = info.waiting.unwrap();
    assert_eq!((waiting.attempts, waiting.due_at), (1, Some(due_at)));
    assert_eq!(waiting.last_error.as_deref(), Some("the store was away"));

    let dead = Settled::Dead { error: "no".to_owned(), is_final: true, holds: true };
    desk.settle(&work, dead).await;
    assert!(matches!(desk.status("k").await, CommandStatus::Failed { is_final: true, .. }));
    let failed = desk.commands.list(&tenant(), CommandList::Failed, WorkPlace::START, 10).await.unwrap();
    assert_eq!(failed.commands.len(), 1);
    assert_eq!(failed.commands[0].waiting.as_ref().unwrap().attempts, 2);

    desk.store.replay(&tenant(), &[work.id]).await.unwrap();
    desk.attempt(&work).await.unwrap();
    desk.settle(&work, Settled::Done).await;
    let CommandStatus::Processed(committed) = desk.status("k").await else { panic!("it has run") };
    assert_eq!(committed.outcome, Outcome::Accepted);
    assert_eq!(committed.versions[0].version, Version(1));

    let discarded = desk.put("gone", 1).await.unwrap();
    let work = desk.work(WorkKind::Command).await.remove(0);
    desk.settle(&work, Settled::Done).await;
    let info = desk.commands.command_status(&tenant(), discarded.command_id).await.unwrap().unwrap();
    assert_eq!(info.status, CommandStatus::Discarded);
}

#[tokio::test]
async fn a_command_for_later_is_listed_with_its_moment() {
    let desk = Desk::new();
    let due_at: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    let submit = async |due_at| {
        let (id, command) = ("1".to_owned(), JarCommand::Put { cents: 1, note: None });
        let options = SubmitOptions::default().due_at(due_at);
        desk.commands.submit::<Jar>(&keyed("k"), &id, &command, options).await.unwrap()
    };
    assert_eq!(submit(due_at).await.due_at, Some(due_at));
    // The first says when, and the answer tells it.
    assert_eq!(submit(Timestamp::MAX).await.due_at, Some(due_at));
    let page = desk.commands.list(&tenant(), CommandList::Waiting, WorkPlace::START, 1).await.unwrap();
    assert_eq!(page.commands[0].waiting.as_ref().unwrap().due_at, Some(due_at));
    assert_eq!(page.next, None, "a full page after which nothing follows is the last");
}

#[tokio::test]
async fn a_worker_that_dies_between_decision_and_settlement_finds_the_outcome() {
    let desk = Desk::new();
    desk.put("k", 5).await.unwrap();
    let work = desk.work(WorkKind::Command).await.remove(0);
    desk.attempt(&work).await.unwrap();
    // Another process makes the next attempt, without this one's memory; then one that lost the code.
    desk.beside(registry()).attempt(&work).await.unwrap();
    desk.beside(Registry::default()).attempt(&work).await.unwrap();
    assert_eq!(desk.cents().await, 5);

    let take = JarCommand::Take { cents: 9 };
    desk.commands.submit::<Jar>(&keyed("t"), &"1".to_owned(), &take, SubmitOptions::default()).await.unwrap();
    let work = desk.work(WorkKind::Command).await.pop().unwrap();
    desk.attempt(&work).await.unwrap();
    desk.put("more", 90).await.unwrap();
    desk.attempt(&desk.work(WorkKind::Command).await.pop().unwrap()).await.unwrap();
    // It would be accepted now; the refusal is the outcome.
    desk.beside(registry()).attempt(&work).await.unwrap();
    assert_eq!(desk.cents().await, 95);
    let CommandStatus::Processed(committed) = desk.status("t").await else { panic!("it has run") };
    assert!(matches!(committed.outcome, Outcome::Refused { code, .. } if code == "empty"));
}

#[tokio::test]
async fn what_is_cancelled_never_runs_and_what_has_run_is_not_cancelled() {
    let desk = Desk::new();
    assert!(matches!(desk.cancel("k").await, Err(Error::NotFound(_))));
    desk.put("k", 5).await.unwrap();
    assert!(matches!(desk.cancel("k").await.unwrap(), Cancelled::Cancelled(_)));
    assert!(matches!(desk.cancel("k").await.unwrap(), Cancelled::Cancelled(_)));
    assert!(matches!(desk.status("k").await, CommandStatus::Cancelled(_)));
    let page = desk.commands.list(&tenant(), CommandList::Waiting, WorkPlace::START, 10).await.unwrap();
    assert!(matches!(page.commands[0].status, CommandStatus::Cancelled(_)));
    assert!(page.commands[0].waiting.is_some());
    let work = desk.work(WorkKind::Command).await.remove(0);
    desk.attempt(&work).await.unwrap();
    // The key stays cancelled.
    assert!(desk.put("k", 5).await.unwrap().is_processed);
    desk.put_directly("k", 5).await.unwrap_err();
    assert_eq!(desk.cents().await, 0);

    desk.put("ran", 1).await.unwrap();
    desk.attempt(&desk.work(WorkKind::Command).await.pop().unwrap()).await.unwrap();
    let Cancelled::TooLate(info) = desk.cancel("ran").await.unwrap() else { panic!("it has run") };
    assert!(matches!(info.status, CommandStatus::Processed(_)));
    assert!(matches!(
        desk.commands
            .cancel(&TenantId::new("globex").unwrap(), &Actor::default(), id_of("ran"), |_| true)
            .await,
        Err(Error::NotFound(_))
    ));
    assert_eq!(desk.cents().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_cancelling_and_running_one_wins() {
    let desk = Arc::new(Desk::new());
    let mut ran = 0;
    for n in 0..50 {
        let key = n.to_string();
        desk.put(&key, 1).await.unwrap();
        let work = desk.work(WorkKind::Command).await.pop().unwrap();
        let (running, cancelling) = (desk.clone(), desk.clone());
        let run = tokio::spawn(async move { running.attempt(&work).await });
        let cancel = tokio::spawn(async move { cancelling.cancel(&n.to_string()).await.unwrap() });
        run.await.unwrap().unwrap();
        let is_cancelled = matches!(cancel.await.unwrap(), Cancelled::Cancelled(_));
        ran += i64::from(!is_cancelled);
        assert_eq!(matches!(desk.status(&key).await, CommandStatus::Cancelled(_)), is_cancelled);
        assert_eq!(desk.cents().await, ran);
    }
}

#[tokio::test]
async fn a_command_that_was_given_up_is_cancelled_and_those_behind_it_go_on() {
    let desk = Desk::new();
    desk.put("first", 1).await.unwrap();
    desk.put("second", 2).await.unwrap();
    let work = desk.work(WorkKind::Command).await;
    desk.settle(&work[0], Settled::Dead { error: "no".to_owned(), is_final: false, holds: true }).await;
    desk.settle(&work[1], Settled::Held).await;
    assert!(matches!(desk.cancel("first").await.unwrap(), Cancelled::Cancelled(_)));
    let due = desk.store.read_due(Shard::of(&tenant(), "jar-1"), &DueLook::default(), 10).await.unwrap();
    assert_eq!(due.work.len(), 1);
    assert!(!due.work[0].is_blocked);
    assert!(matches!(desk.status("first").await, CommandStatus::Cancelled(_)));
}

#[tokio::test]
async fn a_failure_says_whether_another_attempt_may_succeed() {
    let desk = Desk::new();
    let stored = |body: &str| StoredCommand::new(Some("1".to_owned()), Json::parse(body).unwrap());
    let misfit = desk.store_raw(stored(r#"{"cents":"five"}"#), "put").await;
    let bug = desk.store_raw(stored("{}"), "panic").await;
    let damaged = {
        let work =
            underlay_core::NewWork::new(WorkKind::Command, "jar", "jar-1", "put", Json::parse("1").unwrap());
        desk.store.commit(&tenant(), underlay_core::Commit::new(CommitId::draw()).send(work)).await.unwrap();
        desk.work(WorkKind::Command).await.pop().unwrap()
    };
    desk.put("k", 1).await.unwrap();
    desk.attempt(&desk.work(WorkKind::Command).await.pop().unwrap()).await.unwrap();
    for (work, is_final, told) in
        [(misfit, false, "does not fit"), (bug, false, "its log says why"), (damaged, true, "stored command")]
    {
        let failed = desk.attempt(&work).await.unwrap_err();
        assert!(failed.reason.contains(told), "{failed}");
        assert_eq!((failed.is_final, failed.is_anothers), (is_final, false), "{failed}");
    }
    let unknown = desk.store_raw(stored("{}"), "of-tomorrow").await;
    let left = desk.attempt(&unknown).await.unwrap_err();
    assert!(left.is_anothers && left.reason.contains("of-tomorrow"), "{left}");
    // In a list, what cannot be read hides nothing else.
    let page = desk.commands.list(&tenant(), CommandList::Waiting, WorkPlace::START, 100).await.unwrap();
    assert_eq!(page.commands.len(), 5);
}

#[tokio::test]
async fn a_version_that_the_caller_did_not_see_is_an_answer_and_holds_nothing() {
    let desk = Desk::new();
    desk.put_directly("first", 1).await.unwrap();
    let put = StoredCommand::new(Some("1".to_owned()), Json::parse(r#"{"cents":1}"#).unwrap());
    for (expected, is_of_process) in [(0, false), (9, false), (0, true), (9, true)] {
        let stored = if is_of_process { of_process(r#"{"cents":1}"#) } else { put.clone() };
        let stored = StoredCommand { expected: Some(Version(expected)), ..stored };
        let work = desk.store_raw(stored.clone(), "put").await;
        // The next attempt finds the outcome, whoever makes it, and though the stream is where it was expected.
        desk.attempt(&work).await.unwrap();
        desk.beside(registry()).attempt(&work).await.unwrap();
        assert_eq!(desk.give_up(&work, "late").await, GivenUp::Done);
        let id = stored.identity(&tenant(), work.id);
        let info = desk.commands.command_status(&tenant(), id).await.unwrap().unwrap();
        assert_eq!(info.status.word(), "failed");
        let CommandStatus::Conflicted(committed) = info.status else { panic!("{info:?}") };
        let Outcome::Refused { code, message, body } = committed.outcome else { panic!("it is refused") };
        assert!(code == CONFLICT && message.contains("expected version"), "{code}: {message}");
        let members: serde_json::Value = body.decode().unwrap();
        let wanted = serde_json::json!({ "stream": "jar-1", "expected": expected, "actual": 1 });
        assert_eq!(members, wanted);
        let told = desk.told().await;
        assert_eq!(told.len(), if is_of_process { usize::from(expected == 9) + 1 } else { 0 });
        let is_told =
            |told: &CommandOutcome| matches!(told, CommandOutcome::Refused { code, .. } if code == CONFLICT);
        assert!(told.iter().all(is_told), "{told:?}");
        desk.settle(&work, Settled::Done).await;
    }
    assert_eq!(desk.cents().await, 1);
}

#[tokio::test]
async fn a_key_whose_command_ended_without_a_decision_gets_that_for_an_answer() {
    let desk = Desk::new();
    desk.put_directly("first", 1).await.unwrap();
    let (id, put) = ("1".to_owned(), || JarCommand::Put { cents: 1, note: None });
    let unseen = keyed("conflict").with_expected(Version(9));
    desk.commands.submit::<Jar>(&unseen, &id, &put(), SubmitOptions::default()).await.unwrap();
    let work = desk.work(WorkKind::Command).await.remove(0);
    desk.attempt(&work).await.unwrap();
    desk.settle(&work, Settled::Done).await;
    desk.put("cancelled", 1).await.unwrap();
    desk.cancel("cancelled").await.unwrap();

    let ask = async |request: &Request, code: &str| {
        let typed = desk.commands.execute::<Jar>(request, &id, put()).await;
        let Err(ExecuteError::Ended(ended)) = typed else { panic!("{code}: {typed:?}") };
        assert!(ended.code == code && ended.repeated, "{ended:?}");
        let aggregate = desk.commands.registry.find_aggregate("jar").unwrap();
        let body = crate::registry::Body { text: r#"{"cents":1}"#, is_typed: false };
        let named = aggregate.execute(&desk.commands, request, &id, "put", body).await;
        assert!(matches!(&named, Err(ExecuteNamedError::Refused(same)) if *same == ended), "{named:?}");
        ended
    };
    // Whatever the repeat expects, and wherever the stream is by now.
    for expected in [None, Some(Version(9)), Some(Version(1))] {
        let ended = ask(&Request { expected, ..keyed("conflict") }, CONFLICT).await;
        let members: serde_json::Value = ended.fields.decode().unwrap();
        assert_eq!(members, serde_json::json!({ "stream": "jar-1", "expected": 9, "actual": 1 }));
        ask(&Request { expected, ..keyed("cancelled") }, CANCELLED).await;
    }
    assert_eq!(desk.cents().await, 1);
}

#[tokio::test]
async fn a_letter_of_a_command_that_was_decided_meanwhile_is_taken_away() {
    let desk = Desk::new();
    let receiver = StoredCommands::new(desk.commands.clone());
    let dead = || Settled::Dead { error: "no".to_owned(), is_final: false, holds: true };
    let letters = async || {
        let filter = WorkFilter { dead: true, ..WorkFilter::default() };
        desk.store.list_work(&filter, WorkPlace::START, 10).await.unwrap().work.len()
    };
    desk.put("k", 5).await.unwrap();
    let work = desk.work(WorkKind::Command).await.remove(0);
    assert_eq!(desk.give_up(&work, "no").await, GivenUp::Dead { holds: true });
    // It is decided between the look for its outcome and the settlement.
    desk.beside(registry()).put_directly("k", 5).await.unwrap();
    desk.settle(&work, dead()).await;
    assert_eq!(letters().await, 1);
    receiver.buried(&work).await.unwrap();
    assert_eq!(letters().await, 0);

    // What is not decided stays, and so does that of which a process was told that it failed.
    desk.put("undecided", 5).await.unwrap();
    let undecided = desk.work(WorkKind::Command).await.remove(0);
    desk.settle(&undecided, dead()).await;
    let failed = desk.store_raw(of_process(r#"{"cents":5}"#), "put").await;
    assert_eq!(desk.give_up(&failed, "no").await, GivenUp::Dead { holds: false });
    desk.settle(&failed, Settled::Dead { error: "no".to_owned(), is_final: false, holds: false }).await;
    for work in [&undecided, &failed] {
        receiver.buried(work).await.unwrap();
    }
    assert_eq!(letters().await, 2);
    assert_eq!(desk.cents().await, 5);
}

#[tokio::test]
async fn what_stands_behind_a_dead_letter_says_behind_which() {
    let desk = Desk::new();
    desk.put("dead", 1).await.unwrap();
    desk.put("behind", 1).await.unwrap();
    let [dead, behind] = <[Work; 2]>::try_from(desk.work(WorkKind::Command).await).unwrap();
    desk.settle(&dead, Settled::Retry { delay: Duration::MAX, error: "no".to_owned() }).await;
    desk.settle(&behind, Settled::Held).await;
    let held_by = async || {
        let info = desk.commands.command_status(&tenant(), id_of("behind")).await.unwrap().unwrap();
        let page = desk.commands.list(&tenant(), CommandList::Waiting, WorkPlace::START, 10).await.unwrap();
        let listed = page.commands.iter().find(|info| info.command_id == id_of("behind")).unwrap();
        assert_eq!(info.waiting, listed.waiting);
        info.waiting.unwrap().held_by
    };
    assert_eq!(held_by().await, None, "it is tried again");
    desk.settle(&dead, Settled::Dead { error: "no".to_owned(), is_final: true, holds: true }).await;
    assert_eq!(held_by().await, Some(dead.id));
}

#[tokio::test]
async fn a_key_that_stands_for_something_else_by_now_is_final() {
    let desk = Desk::new();
    desk.put("k", 5).await.unwrap();
    desk.take_key("k").await;
    let failed = desk.attempt(&desk.work(WorkKind::Command).await[0]).await.unwrap_err();
    assert!(failed.is_final, "{failed}");
    assert_eq!(desk.cents().await, 0);
}

#[tokio::test]
async fn the_key_of_a_submitted_command_stands_for_nothing_else() {
    let desk = Desk::new();
    desk.put("k", 5).await.unwrap();
    let other = desk.put_directly("k", 6).await;
    assert!(matches!(other, Err(ExecuteError::Failed(Error::IdReused(id))) if id == id_of("k")), "{other:?}");
    // The same given directly runs at once, and the stored one finds that.
    assert_eq!(desk.put_directly("k", 5).await.unwrap().events.len(), 1);
    desk.attempt(&desk.work(WorkKind::Command).await[0]).await.unwrap();
    assert_eq!(desk.cents().await, 5);
}

#[tokio::test]
async fn how_something_else_ended_is_not_told_of_a_submitted_command() {
    let desk = Desk::new();
    desk.put("k", 5).await.unwrap();
    desk.take_key("k").await;
    assert_eq!(desk.status("k").await, CommandStatus::Pending);
    let work = &desk.work(WorkKind::Command).await[0];
    let error = "the id stands for something else".to_owned();
    desk.settle(work, Settled::Dead { error, is_final: true, holds: true }).await;
    assert!(matches!(desk.status("k").await, CommandStatus::Failed { is_final: true, .. }));
}

#[tokio::test]
async fn a_process_is_told_once_how_its_command_ended() {
    let desk = Desk::new();
    let accepted = desk.store_raw(of_process(r#"{"cents":5}"#), "put").await;
    desk.attempt(&accepted).await.unwrap();
    desk.beside(registry()).attempt(&accepted).await.unwrap();
    // It was not answered in time, and its attempts are used up; it was accepted all the same.
    assert_eq!(desk.give_up(&accepted, "it took too long").await, GivenUp::Done);
    assert_eq!(desk.told().await, [CommandOutcome::Accepted]);
    assert_eq!(desk.cents().await, 5);

    let refused = desk.store_raw(of_process(r#"{"cents":9}"#), "take").await;
    desk.attempt(&refused).await.unwrap();
    let told = desk.told().await.pop().unwrap();
    assert!(matches!(told, CommandOutcome::Refused { code, .. } if code == "empty"));

    let misfit = desk.store_raw(of_process(r#"{"cents":"x"}"#), "put").await;
    let failed = desk.attempt(&misfit).await.unwrap_err();
    for reason in [failed.reason.as_str(), "another reason"] {
        assert_eq!(desk.give_up(&misfit, reason).await, GivenUp::Dead { holds: false });
    }
    assert_eq!(desk.told().await.len(), 3);
    let told = desk.told().await.pop().unwrap();
    assert!(matches!(told, CommandOutcome::Failed { reason } if reason == failed.reason));
}

#[tokio::test]
async fn a_command_of_which_a_process_was_told_that_it_failed_never_runs() {
    let desk = Desk::new();
    let stored = of_process(r#"{"cents":5}"#);
    let work = desk.store_raw(stored.clone(), "put").await;
    let id = stored.identity(&tenant(), work.id);
    assert_eq!(desk.give_up(&work, "its attempts were used up").await, GivenUp::Dead { holds: false });
    // An attempt that comes late, and one after a crash before the settlement: it stays a dead letter.
    for _ in 0..2 {
        let failed = desk.beside(registry()).attempt(&work).await.unwrap_err();
        assert!(failed.is_final && failed.reason == "its attempts were used up", "{failed}");
    }
    let told = CommandOutcome::Failed { reason: "its attempts were used up".to_owned() };
    assert_eq!((desk.told().await, desk.cents().await), (vec![told], 0));
    let status = desk.commands.command_status(&tenant(), id).await.unwrap().unwrap().status;
    assert!(matches!(status, CommandStatus::Failed { is_final: true, .. }), "{status:?}");
}

#[tokio::test]
async fn of_giving_up_and_running_one_wins_and_the_process_is_told_which() {
    for _ in 0..20 {
        let desk = Desk::new();
        let work = desk.store_raw(of_process(r#"{"cents":5}"#), "put").await;
        let other = desk.beside(registry());
        let (_, given_up) = tokio::join!(other.attempt(&work), desk.give_up(&work, "too slow"));
        let ran = given_up == GivenUp::Done;
        assert_eq!(desk.cents().await, if ran { 5 } else { 0 });
        let told = desk.told().await;
        assert_eq!(told.len(), 1);
        assert_eq!(matches!(told[0], CommandOutcome::Accepted), ran, "{told:?}");
    }
}

#[tokio::test]
async fn only_a_dead_letter_of_which_no_process_was_told_is_replayed() {
    let desk = Desk::new();
    let dead = |holds| Settled::Dead { error: "no".to_owned(), is_final: true, holds };
    let told = desk.store_raw(of_process(r#"{"cents":5}"#), "put").await;
    desk.give_up(&told, "no").await;
    desk.settle(&told, dead(false)).await;
    desk.put("k", 1).await.unwrap();
    let own = desk.work(WorkKind::Command).await.remove(0);
    desk.settle(&own, dead(true)).await;
    let engine = crate::Engine::new(desk.ports.clone(), registry(), EngineConfig::default()).unwrap();
    let settle = async |order, id| engine.settle_dead_letter(order, &tenant(), id, "Ada").await;

    let refused = settle(LetterOrder::Replay, told.id).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    for word in ["process payment", "instance 42", "fill", "discard"] {
        assert!(refused.to_string().contains(word), "{refused}");
    }
    let all = WorkFilter::default();
    let counted = engine.count_dead_letters(&all).await.unwrap();
    assert_eq!((counted.count, counted.told), (2, 1));
    let named = LetterChoice { ids: Some([told.id].into()), ..LetterChoice::default() };
    let kept = engine.settle_chosen_letters(LetterOrder::Replay, &named, 1, "Ada").await.unwrap();
    assert_eq!((kept.count, kept.told, kept.next), (0, 1, None));
    let replayed = engine.settle_dead_letters(LetterOrder::Replay, &all, counted.last, "Ada").await;
    assert_eq!(replayed.unwrap(), 1);
    let left = engine.dead_letters(&all, WorkPlace::START, 10).await.unwrap();
    assert_eq!(left.work.iter().map(|letter| letter.work.id).collect::<Vec<_>>(), [told.id]);
    settle(LetterOrder::Discard, told.id).await.unwrap();
    let gone = settle(LetterOrder::Replay, told.id).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)), "{gone:?}");
}

#[tokio::test]
async fn a_process_is_told_of_a_command_that_was_cancelled() {
    let desk = Desk::new();
    let id = CommitId::draw();
    let stored = StoredCommand { command_id: Some(id), ..of_process(r#"{"cents":5}"#) };
    let content = stored.content("jar", "put").unwrap();
    let work = desk.store_raw(stored, "put").await;
    let cancelled = Outcome::Refused {
        code: CANCELLED.to_owned(),
        message: "cancelled".to_owned(),
        body: Json::parse("{}").unwrap(),
    };
    let commit = underlay_core::Commit::new(id).with_content(content).with_outcome(cancelled);
    desk.store.commit(&tenant(), commit).await.unwrap();
    desk.attempt(&work).await.unwrap();
    let told = desk.told().await.pop().unwrap();
    assert!(matches!(told, CommandOutcome::Refused { code, .. } if code == CANCELLED));
    assert_eq!(desk.cents().await, 0);
    let scope = WorkScope::Tenant(tenant());
    let ready = desk.store.read_work(work.shard, Lane::Normal, &scope, WorkPlace::START, 9).await;
    assert_eq!(ready.unwrap().work.len(), 1, "the worker settles it, not the receiver");
}

#[tokio::test]
async fn what_this_program_does_not_run_is_shown_as_left() {
    let desk = Desk::new();
    desk.put("k", 5).await.unwrap();
    let without_jars = desk.beside(Registry::default().operation::<PutInto>());
    let left = async |desk: &Desk| -> Vec<bool> {
        let page = desk.commands.list(&tenant(), CommandList::Waiting, WorkPlace::START, 10).await.unwrap();
        page.commands.iter().map(|info| info.waiting.as_ref().unwrap().is_left).collect()
    };
    assert_eq!((left(&desk).await, left(&without_jars).await), (vec![false], vec![true]));
    // A newer program has stored it in a shape that this one cannot read.
    let stored = StoredCommand::new(Some("1".to_owned()), Json::parse(r#"{"cents":5}"#).unwrap());
    let mut newer = stored.work("jar", "jar-2", "put").unwrap();
    newer.version = SchemaVersion(2);
    let commit = underlay_core::Commit::new(CommitId::draw()).send(newer);
    desk.store.commit(&tenant(), commit).await.unwrap();
    assert_eq!(left(&desk).await, [false, true]);
    // What was given up waits for a person, not for a program.
    let work = desk.work(WorkKind::Command).await.remove(0);
    desk.settle(&work, Settled::Dead { error: "no".to_owned(), is_final: true, holds: true }).await;
    let failed = without_jars.commands.list(&tenant(), CommandList::Failed, WorkPlace::START, 10).await;
    assert!(!failed.unwrap().commands[0].waiting.as_ref().unwrap().is_left);
}

#[tokio::test]
async fn what_was_sent_on_is_looked_for_by_the_id_that_a_list_shows() {
    let desk = Desk::new();
    // They fill a page, and one is beyond.
    let stored = StoredCommand::new(Some("1".to_owned()), Json::parse(r#"{"cents":5}"#).unwrap());
    let page = (0..COMMIT_WORK_MAX).fold(underlay_core::Commit::new(CommitId::draw()), |commit, _| {
        commit.send(stored.work("jar", "jar-1", "put").unwrap())
    });
    desk.store.commit(&tenant(), page).await.unwrap();
    let commit = underlay_core::Commit::new(CommitId::draw()).send(stored.work("jar", "j", "put").unwrap());
    let sent = commit.id;
    desk.store.commit(&tenant(), commit).await.unwrap();
    let work = desk.store.find_work(&tenant(), sent, 0).await.unwrap().unwrap().work;
    let listed = async |list| {
        let before = WorkPlace::from_number(work.place.number() - 1);
        desk.commands.list(&tenant(), list, before, 10).await.unwrap().commands.remove(0)
    };
    let shown = listed(CommandList::Waiting).await;
    let id = shown.command_id;
    assert_eq!(shown.submitted_at, None, "nobody submitted it");
    assert_eq!(desk.commands.command_status(&tenant(), id).await.unwrap(), None);
    assert_eq!(desk.commands.look_for(&tenant(), id).await.unwrap(), Some(shown));
    let other = TenantId::new("globex").unwrap();
    assert_eq!(desk.commands.look_for(&other, id).await.unwrap(), None);
    assert_eq!(desk.commands.look_for(&tenant(), CommitId::draw()).await.unwrap(), None);

    let dead = || Settled::Dead { error: "no".to_owned(), is_final: true, holds: true };
    desk.settle(&work, dead()).await;
    let shown = listed(CommandList::Failed).await;
    assert!(shown.command_id == id && matches!(shown.status, CommandStatus::Failed { .. }), "{shown:?}");
    assert_eq!(desk.commands.look_for(&tenant(), id).await.unwrap(), Some(shown));
    desk.attempt(&work).await.unwrap();
    let ended = desk.commands.look_for(&tenant(), id).await.unwrap().unwrap();
    assert!(matches!(ended.status, CommandStatus::Processed(_)), "{ended:?}");
}
