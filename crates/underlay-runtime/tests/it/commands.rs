use std::time::Duration;

use underlay_core::limits::COMMIT_STREAMS_MAX;
use underlay_core::{
    Aggregate, Commit, CommitId, Context, Decision, Error, EventStore, EventStoreExt, ExpectedVersion,
    NewEvent, Operation, Reads, Retention, Streams, TenantId, Timestamp, Version,
};
use underlay_derive::value;
use underlay_runtime::{Engine, EngineConfig, ExecuteError, ExecuteNamedError, Ports, Registry, Request};

use crate::bank::{
    Account, AccountCommand, AccountEvent, AccountRefusal, Bank, LookAt, TakeWhileOtherIsFull, Transfer,
    deposited, registry, repeatable, request, stream, tenant,
};
use crate::busy_store::BusyStore;

fn withdraw(cents: i64) -> AccountCommand {
    AccountCommand::Withdraw { cents }
}

#[tokio::test]
async fn a_command_answers_with_its_events_as_they_are_stored() {
    let bank = Bank::new();
    bank.deposit("a", 100).await;
    let executed = bank.engine.execute::<Account>(&request(), &"a".to_owned(), withdraw(30)).await.unwrap();
    assert_eq!(executed.versions[0].version, Version(2));
    let stored = bank.store.read_stream_whole(&tenant(), &stream("a"), Version(1)).await.unwrap();
    assert_eq!(executed.events, stored);
    assert_eq!(executed.position, stored[0].position);
}

#[tokio::test]
async fn a_refusal_stores_no_event_and_names_its_rule() {
    let bank = Bank::new();
    bank.deposit("a", 10).await;
    let refused =
        bank.engine.execute::<Account>(&request(), &"a".to_owned(), withdraw(11)).await.unwrap_err();
    let ExecuteError::Refused(refusal) = refused else { panic!("{refused}") };
    assert_eq!(refusal, AccountRefusal::Overdrawn { balance: 10, cents: 11 });
    assert_eq!(bank.stream_version("a").await, 1);
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_also_when_it_would_be_refused_now() {
    let bank = Bank::new();
    bank.deposit("a", 10).await;
    let id = "a".to_owned();
    let first = bank.engine.execute::<Account>(&repeatable("k"), &id, withdraw(10)).await.unwrap();
    // Another process, without this one's cache, is asked again; the account is empty by now.
    let again = bank.beside().engine.execute::<Account>(&repeatable("k"), &id, withdraw(10)).await.unwrap();
    assert!(again.repeated && !first.repeated);
    assert_eq!(
        (again.events, again.position, again.versions),
        (first.events, first.position, first.versions)
    );
    assert_eq!(bank.stream_version("a").await, 2);
}

#[tokio::test]
async fn a_stored_refusal_answers_a_repeat_also_when_it_would_be_accepted_now() {
    let bank = Bank::new();
    let id = "a".to_owned();
    let first = bank.engine.execute::<Account>(&repeatable("k"), &id, withdraw(5)).await.unwrap_err();
    bank.deposit("a", 100).await;
    let again = bank.engine.execute::<Account>(&repeatable("k"), &id, withdraw(5)).await.unwrap_err();
    assert_eq!(first.to_string(), again.to_string());
    let named =
        bank.engine.execute_named(&repeatable("k"), "account", "a", "withdraw", r#"{"cents":5}"#).await;
    let Err(ExecuteNamedError::Refused(refused)) = named else { panic!("{named:?}") };
    assert!(refused.repeated);
    assert_eq!(refused.fields.as_str(), r#"{"balance":0,"cents":5}"#);
}

#[tokio::test]
async fn a_refusal_past_its_retention_is_not_taken_for_damage() {
    let bank = Bank::new();
    let (one, account) = (repeatable("one"), "a".to_owned());
    let again = || bank.engine.execute::<Account>(&one, &account, withdraw(1));
    assert!(matches!(again().await, Err(ExecuteError::Refused(_))));
    assert_eq!(bank.store.forget_outcome_bodies(Timestamp::MAX).await.unwrap(), 1);
    match again().await {
        Err(ExecuteError::Failed(Error::NotFound(what))) => {
            assert!(what.contains("overdrawn") && what.contains("retention"), "{what}");
        }
        other => panic!("{other:?}"),
    }
    let named = bank.engine.execute_named(&one, "account", "a", "withdraw", r#"{"cents":1}"#);
    assert!(matches!(named.await, Err(ExecuteNamedError::Refused(refused)) if refused.code == "overdrawn"));
}

#[tokio::test]
async fn an_id_used_for_something_else_is_refused() {
    let bank = Bank::new();
    let id = "a".to_owned();
    let deposit = AccountCommand::Deposit { cents: 1 };
    bank.engine.execute::<Account>(&repeatable("k"), &id, deposit).await.unwrap();
    let other = bank.engine.execute::<Account>(&repeatable("k"), &id, withdraw(1)).await.unwrap_err();
    assert!(matches!(other, ExecuteError::Failed(Error::IdReused(_))), "{other}");
    assert_eq!(bank.stream_version("a").await, 1);
}

#[tokio::test]
async fn an_expected_version_is_held_and_the_actual_one_told() {
    let bank = Bank::new();
    bank.deposit("a", 10).await;
    bank.beside().deposit("a", 10).await;
    let id = "a".to_owned();
    let stale = bank.engine.execute::<Account>(&request().with_expected(Version(1)), &id, withdraw(1)).await;
    let Err(ExecuteError::Failed(Error::Conflict(conflict))) = stale else { panic!("{stale:?}") };
    assert_eq!((conflict.expected, conflict.actual), (ExpectedVersion::Exact(Version(1)), Version(2)));
    // The cache is behind; the caller is not.
    bank.beside().deposit("a", 10).await;
    let right = request().with_expected(Version(3));
    assert_eq!(
        bank.engine.execute::<Account>(&right, &id, withdraw(1)).await.unwrap().versions[0].version.0,
        4
    );
    let ahead = bank.engine.execute::<Account>(&request().with_expected(Version(9)), &id, withdraw(1)).await;
    assert!(matches!(ahead, Err(ExecuteError::Failed(Error::Conflict(_)))), "{ahead:?}");
}

#[tokio::test]
async fn a_repeat_with_an_expected_version_gets_the_first_answer() {
    let bank = Bank::new();
    bank.deposit("a", 10).await;
    let id = "a".to_owned();
    let request = repeatable("k").with_expected(Version(1));
    let first = bank.engine.execute::<Account>(&request, &id, withdraw(1)).await.unwrap();
    let again = bank.engine.execute::<Account>(&request, &id, withdraw(1)).await.unwrap();
    assert_eq!((again.position, again.repeated), (first.position, true));
}

#[tokio::test]
async fn a_refusal_is_never_answered_from_a_stale_cache() {
    let bank = Bank::new();
    bank.deposit("a", 1).await;
    let other = bank.beside();
    other.deposit("a", 100).await;
    // This process still believes in a balance of 1.
    bank.engine.execute::<Account>(&request(), &"a".to_owned(), withdraw(50)).await.unwrap();
    other.deposit("a", 100).await;
    bank.engine.execute::<Account>(&repeatable("k"), &"a".to_owned(), withdraw(120)).await.unwrap();
}

#[tokio::test]
async fn doing_nothing_is_an_answer_and_stores_nothing() {
    let bank = Bank::new();
    let done =
        bank.engine.execute::<Account>(&request(), &"a".to_owned(), AccountCommand::Nothing).await.unwrap();
    assert!(done.events.is_empty());
    assert_eq!(bank.stream_version("a").await, 0);
}

#[tokio::test]
async fn a_decision_that_panics_fails_alone() {
    let bank = Bank::new();
    let id = "a".to_owned();
    let failed = bank.engine.execute::<Account>(&request(), &id, AccountCommand::Panic).await.unwrap_err();
    assert!(failed.to_string().contains("account panicked"), "{failed}");
    bank.deposit("a", 1).await;
}

#[tokio::test]
async fn an_operation_is_stored_in_one_commit() {
    let bank = Bank::new();
    bank.deposit("a", 100).await;
    let transfer = Transfer { from: "a".into(), to: "b".into(), cents: 40 };
    let executed = bank.engine.operate(&request(), transfer).await.unwrap();
    let tails: Vec<u32> = executed.events.iter().map(|event| event.commit_tail).collect();
    assert_eq!(tails, [1, 0]);
    let refused = Transfer { from: "a".into(), to: "b".into(), cents: 61 };
    assert!(matches!(bank.engine.operate(&request(), refused).await, Err(ExecuteError::Refused(_))));
    assert_eq!((bank.stream_version("a").await, bank.stream_version("b").await), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_on_one_account_lose_nothing() {
    let bank = std::sync::Arc::new(Bank::new());
    let other = std::sync::Arc::new(bank.beside());
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..64 {
        let bank = if number % 2 == 0 { bank.clone() } else { other.clone() };
        callers.spawn(async move {
            let mut done = 0;
            for _ in 0..10 {
                let command = AccountCommand::Deposit { cents: 1 };
                match bank.engine.execute::<Account>(&request(), &"a".to_owned(), command).await {
                    Ok(_) => done += 1,
                    // So many conflicts in a row that the engine gave up: told, and not stored.
                    Err(ExecuteError::Failed(Error::Conflict(_))) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            done
        });
    }
    let done: u64 = callers.join_all().await.into_iter().sum();
    assert!(done > 0);
    assert_eq!(bank.stream_version("a").await, done);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operations_that_read_each_others_stream_one_wins() {
    for _ in 0..50 {
        let bank = Bank::new();
        bank.deposit("a", 1).await;
        bank.deposit("b", 1).await;
        let other = bank.beside();
        let take = |account: &str, other: &str| TakeWhileOtherIsFull {
            account: account.into(),
            other: other.into(),
        };
        let (asked, asked_too) = (request(), request());
        let (one, two) = tokio::join!(
            bank.engine.operate(&asked, take("a", "b")),
            other.engine.operate(&asked_too, take("b", "a"))
        );
        assert!(one.is_ok() != two.is_ok(), "each saw the other's account full: {one:?} {two:?}");
    }
}

#[tokio::test]
async fn a_log_that_was_restored_under_a_cache_is_believed() {
    let bank = Bank::new();
    bank.deposit("a", 5).await;
    bank.deposit("a", 5).await;
    // A cache as it is after the log went back: the state is at version 2, the stream at version 1.
    let store = underlay_core::memory::MemoryEventStore::default();
    let event = NewEvent::encode(&AccountEvent::Deposited { cents: 7 }).unwrap();
    let commit = Commit::new(CommitId::draw()).append(stream("a"), ExpectedVersion::NoStream, vec![event]);
    store.commit(&tenant(), commit).await.unwrap();
    let swapped = crate::views::Swapped::new(bank.store.clone());
    let engine = swapped.engine();
    let id = "a".to_owned();
    engine.execute::<Account>(&request(), &id, withdraw(1)).await.unwrap();
    swapped.swap(store);
    let refused = engine.execute::<Account>(&request(), &id, withdraw(8)).await.unwrap_err();
    let ExecuteError::Refused(refusal) = refused else { panic!("{refused}") };
    assert_eq!(refusal, AccountRefusal::Overdrawn { balance: 7, cents: 8 });
}

#[tokio::test]
async fn names_that_do_not_exist_list_those_that_do() {
    let bank = Bank::new();
    let engine = &bank.engine;
    let cases = [
        (engine.execute_named(&request(), "acount", "a", "deposit", "{}").await, "there are: account"),
        (engine.execute_named(&request(), "account", "a", "deposite", "{}").await, "deposit, withdraw"),
        (engine.execute_named(&request(), "account", "a", "deposit", r#"{"cent":1}"#).await, "cent"),
        (
            engine.operate_named(&request(), "transfers", "{}").await,
            "look-at, take-while-other-is-full, transfer",
        ),
        (engine.operate_named(&request(), "transfer", "{").await, "transfer"),
    ];
    for (answer, part) in cases {
        let message = answer.unwrap_err().to_string();
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn a_name_used_twice_is_found_before_anything_runs() {
    let twice = Registry::default().aggregate::<Account>().aggregate::<Account>();
    let error = Engine::new(ports(), twice, EngineConfig::default()).unwrap_err();
    assert!(error.to_string().contains("deposited"), "{error}");
}

fn ports() -> Ports {
    let bank = Bank::new();
    Ports {
        work: None,
        store: bank.engine.store().clone(),
        read_models: bank.engine.read_models("balances").clone(),
        wakeups: bank.engine.wakeups().clone(),
        snapshots: None,
        leases: None,
        clock: bank.engine.clock().clone(),
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_folded_is_a_failure_that_names_the_stream() {
    let bank = Bank::new();
    for _ in 0..2 {
        bank.store.commit(&tenant(), deposited("a", i64::MAX)).await.unwrap();
    }
    let failure = bank.engine.execute::<Account>(&request(), &"a".to_owned(), withdraw(1)).await.unwrap_err();
    assert!(failure.to_string().contains("account-a"), "{failure}");
    bank.deposit("b", 1).await;
}

#[test]
fn bounds_that_make_no_sense_are_refused_before_anything_runs() {
    let sound = EngineConfig::default();
    let zero = Duration::ZERO;
    for (name, config) in [
        ("turns_waiting_max", EngineConfig { turns_waiting_max: 0, ..sound.clone() }),
        ("view_batch_events_max", EngineConfig { view_batch_events_max: 0, ..sound.clone() }),
        ("view_batch_events_max", EngineConfig { view_batch_events_max: 10_001, ..sound.clone() }),
        ("view_poll_interval", EngineConfig { view_poll_interval: zero, ..sound.clone() }),
        ("retry_delay_min", EngineConfig { retry_delay_min: zero, ..sound.clone() }),
        ("retry_delay_max", EngineConfig { retry_delay_max: zero, ..sound }),
    ] {
        let error = Engine::new(ports(), registry(), config).unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains(name)), "{name}: {error}");
    }
}

/// Another aggregate with the streams of [`Account`].
#[derive(Clone, Default)]
struct Impostor;

impl Aggregate for Impostor {
    const CATEGORY: &'static str = Account::CATEGORY;
    type Id = String;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Refusal = AccountRefusal;
    fn decide(&self, _: AccountCommand, _: &Context) -> Result<Decision<AccountEvent>, AccountRefusal> {
        Ok(Decision::nothing())
    }
    fn evolve(&mut self, _: &AccountEvent) {}
}

#[value(crate = underlay_core)]
struct AppendAsAnother;

impl Operation for AppendAsAnother {
    const NAME: &'static str = "append-as-another";
    type Refusal = AccountRefusal;
    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&"a".to_owned())
    }
    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), AccountRefusal> {
        streams.append::<Impostor>(&"a".to_owned(), AccountEvent::Deposited { cents: 1 });
        Ok(())
    }
}

#[tokio::test]
async fn events_are_appended_by_the_aggregate_that_was_read() {
    let bank = Bank::new();
    let failed = bank.engine.operate(&request(), AppendAsAnother).await.unwrap_err();
    assert!(failed.to_string().contains("append-as-another panicked"), "{failed}");
    assert_eq!(bank.stream_version("a").await, 0);
}

#[tokio::test]
async fn streams_are_counted_before_any_is_loaded() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    for swallows in [false, true] {
        let refused = engine.operate(&request(), LookAt { accounts: 150_000, swallows }).await;
        let Err(ExecuteError::Failed(Error::Invalid(text))) = refused else { panic!("{refused:?}") };
        assert!(text.contains("COMMIT_STREAMS_MAX"), "{text}");
        let body = format!(r#"{{"accounts":{},"swallows":{swallows}}}"#, COMMIT_STREAMS_MAX + 1);
        let refused = engine.operate_named(&request(), "look-at", &body).await;
        assert!(matches!(refused, Err(ExecuteNamedError::Failed(Error::Invalid(_)))), "{refused:?}");
        assert_eq!(store.seen().reads, 0, "nothing is loaded");
    }
    engine.operate(&request(), LookAt { accounts: COMMIT_STREAMS_MAX, swallows: false }).await.unwrap();
    assert_eq!(store.seen().reads, COMMIT_STREAMS_MAX);
}

#[tokio::test]
async fn a_flood_of_one_tenant_leaves_the_states_of_another_in_memory() {
    let store = BusyStore::new();
    let config = EngineConfig {
        states_bytes_max: 64 << 10,
        states_tenant_bytes_max: 16 << 10,
        ..EngineConfig::default()
    };
    let engine = store.engine(config);
    let deposit = async |tenant: &str, account: String| {
        let request = Request::new(TenantId::new(tenant).unwrap());
        engine.execute::<Account>(&request, &account, AccountCommand::Deposit { cents: 1 }).await.unwrap();
    };
    for account in 0..5 {
        deposit("calm", account.to_string()).await;
    }
    for account in 0..1_000 {
        deposit("flood", account.to_string()).await;
    }
    let before = store.seen().reads;
    for account in 0..5 {
        deposit("calm", account.to_string()).await;
    }
    assert_eq!(store.seen().reads, before, "they are decided over as they were kept");
    deposit("flood", "0".to_owned()).await;
    assert_eq!(store.seen().reads, before + 1, "the flood has pushed out its own");
}
