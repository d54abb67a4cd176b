//! Commands that want the same stream at the same time.

use std::future::Future;

use tokio::task::{JoinHandle, JoinSet};
use underlay_core::{Error, EventStore, Version};
use underlay_runtime::{Engine, EngineConfig, ExecuteError, Executed, Request};

use crate::bank::{
    Account, AccountCommand, AccountRefusal, TakeWhileOtherIsFull, Transfer, deposited, repeatable, request,
    stream, tenant,
};
use crate::busy_store::BusyStore;

const CALLERS: usize = 32;
const COMMANDS_EACH: usize = 20;

type Answer = Result<Executed, ExecuteError<AccountRefusal>>;

fn deposit(engine: &Engine, account: &str) -> JoinHandle<Answer> {
    execute(engine, request(), account, AccountCommand::Deposit { cents: 1 })
}

/// More than anybody has.
fn overdraw(engine: &Engine, request: Request, account: &str) -> JoinHandle<Answer> {
    execute(engine, request, account, AccountCommand::Withdraw { cents: 1_000_000 })
}

fn execute(engine: &Engine, request: Request, account: &str, command: AccountCommand) -> JoinHandle<Answer> {
    let (engine, account) = (engine.clone(), account.to_owned());
    tokio::spawn(async move { engine.execute::<Account>(&request, &account, command).await })
}

fn take_while_other_is_full(engine: &Engine, account: &str, other: &str) -> JoinHandle<Answer> {
    let operation = TakeWhileOtherIsFull { account: account.to_owned(), other: other.to_owned() };
    let engine = engine.clone();
    tokio::spawn(async move { engine.operate(&request(), operation).await })
}

async fn version(store: &BusyStore, account: &str) -> u64 {
    store.log().versions(&tenant(), &[stream(account)]).await.unwrap()[0].0
}

/// Lets many callers work at once, and tells what failed.
async fn by_many<F>(store: &BusyStore, each: impl Fn(usize) -> F) -> Vec<String>
where
    F: Future<Output = Vec<Answer>> + Send + 'static,
{
    let mut callers: JoinSet<Vec<Answer>> = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(each(number));
    }
    let mut answers = Vec::new();
    store
        .until(|_| {
            while let Some(joined) = callers.try_join_next() {
                answers.extend(joined.unwrap());
            }
            callers.is_empty()
        })
        .await;
    answers.into_iter().filter_map(|answer| answer.err().map(|error| error.to_string())).collect()
}

/// Two commands on an account that conflicted: the first has its turn and is on its way to a closed
/// store, the second waits.
async fn line(store: &BusyStore, engine: &Engine, account: &str) -> [JoinHandle<Answer>; 2] {
    deposit_now(engine, account).await;
    store.close();
    let before = store.seen();
    let callers = [deposit(engine, account), deposit(engine, account), deposit(engine, account)];
    store.until(|seen| seen.in_flight == 3).await;
    store.let_pass(3);
    let [first, second, third] = callers;
    store.until(|seen| seen.conflicts == before.conflicts + 2 && first.is_finished()).await;
    store.until(|seen| seen.in_flight == 1).await;
    first.await.unwrap().unwrap();
    [second, third]
}

async fn deposit_now(engine: &Engine, account: &str) {
    deposit(engine, account).await.unwrap().unwrap();
}

#[tokio::test]
async fn callers_of_one_stream_conflict_about_once_each_and_are_all_stored() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    let failures = by_many(&store, |_| {
        let engine = engine.clone();
        async move {
            let mut answers = Vec::new();
            for _ in 0..COMMANDS_EACH {
                answers.push(deposit(&engine, "a").await.unwrap());
            }
            answers
        }
    })
    .await;
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(version(&store, "a").await as usize, CALLERS * COMMANDS_EACH);
    let seen = store.seen();
    // Their first tries conflict. From then on each finds what the one before it left, without a read.
    assert!(seen.conflicts <= 2 * CALLERS && seen.reads <= 2 * CALLERS, "{seen:?}");
}

#[tokio::test]
async fn transfers_back_and_forth_wait_for_each_other_in_no_circle() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    for account in ["a", "b"] {
        execute(&engine, request(), account, AccountCommand::Deposit { cents: 1_000 })
            .await
            .unwrap()
            .unwrap();
    }
    let failures = by_many(&store, |number| {
        let engine = engine.clone();
        async move {
            let (from, to) = if number % 2 == 0 { ("a", "b") } else { ("b", "a") };
            let transfer = Transfer { from: from.into(), to: to.into(), cents: 1 };
            let mut answers = Vec::new();
            for _ in 0..COMMANDS_EACH {
                answers.push(engine.operate(&request(), transfer.clone()).await);
                // Looks at one and writes the other: turns that are shared and turns that are not.
                answers.push(take_while_other_is_full(&engine, from, to).await.unwrap());
            }
            answers
        }
    })
    .await;
    assert_eq!(failures, Vec::<String>::new());
    let versions = version(&store, "a").await + version(&store, "b").await;
    assert_eq!(versions as usize, 2 + 3 * CALLERS * COMMANDS_EACH);
}

#[tokio::test]
async fn refusals_do_not_wait_in_the_line_of_those_who_write() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    let line = line(&store, &engine, "a").await;
    let refused: Vec<_> =
        (0..CALLERS).map(|number| overdraw(&engine, repeatable(&number.to_string()), "a")).collect();
    store.until(|seen| seen.in_flight == 1 + CALLERS).await;
    store.open();
    store.until(|_| refused.iter().all(JoinHandle::is_finished)).await;
    for answer in refused {
        assert!(matches!(answer.await.unwrap(), Err(ExecuteError::Refused(_))));
    }
    for answer in line {
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn refusals_that_conflicted_go_on_side_by_side() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    store.close();
    let refused: Vec<_> =
        (0..CALLERS).map(|number| overdraw(&engine, repeatable(&number.to_string()), "a")).collect();
    store.until(|seen| seen.in_flight == CALLERS).await;
    store.log().commit(&tenant(), deposited("a", 1)).await.unwrap();
    store.let_pass(CALLERS);
    store.until(|seen| seen.conflicts == CALLERS && seen.in_flight == CALLERS).await;
    store.open();
    store.until(|_| refused.iter().all(JoinHandle::is_finished)).await;
    for answer in refused {
        let answer = answer.await.unwrap();
        let Err(ExecuteError::Refused(AccountRefusal::Overdrawn { balance: 1, .. })) = answer else {
            panic!("{answer:?}")
        };
    }
}

#[tokio::test]
async fn a_refusal_that_is_none_any_more_takes_its_turn_to_write() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    store.close();
    let withdraw = AccountCommand::Withdraw { cents: 1 };
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| execute(&engine, repeatable(&number.to_string()), "a", withdraw.clone()))
        .collect();
    store.until(|seen| seen.in_flight == CALLERS).await;
    store.log().commit(&tenant(), deposited("a", 1_000)).await.unwrap();
    store.open();
    store.until(|_| callers.iter().all(JoinHandle::is_finished)).await;
    for answer in callers {
        answer.await.unwrap().unwrap();
    }
    let seen = store.seen();
    assert!(seen.conflicts <= 2 * CALLERS, "{seen:?}");
}

#[tokio::test]
async fn commands_that_share_nothing_but_a_stream_they_look_at_go_on_side_by_side() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    let accounts: Vec<String> = (0..CALLERS).map(|number| format!("a{number}")).collect();
    for account in accounts.iter().map(String::as_str).chain(["shared"]) {
        deposit_now(&engine, account).await;
    }
    store.close();
    let callers: Vec<_> =
        accounts.iter().map(|account| take_while_other_is_full(&engine, account, "shared")).collect();
    store.until(|seen| seen.in_flight == CALLERS).await;
    store.log().commit(&tenant(), deposited("shared", 1)).await.unwrap();
    store.let_pass(CALLERS);
    store.until(|seen| seen.conflicts == CALLERS && seen.in_flight == CALLERS).await;
    store.open();
    store.until(|_| callers.iter().all(JoinHandle::is_finished)).await;
    for answer in callers {
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_expected_version_is_answered_without_a_turn() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    let line = line(&store, &engine, "a").await;
    let behind = request().with_expected(Version(1));
    let right = request().with_expected(Version(2));
    let behind = execute(&engine, behind, "a", AccountCommand::Deposit { cents: 1 });
    assert!(matches!(behind.await.unwrap(), Err(ExecuteError::Failed(Error::Conflict(_)))));
    let right = execute(&engine, right, "a", AccountCommand::Deposit { cents: 1 });
    store.until(|seen| seen.in_flight == 2).await;
    store.let_pass(2);
    assert!(matches!(right.await.unwrap(), Err(ExecuteError::Failed(Error::Conflict(_)))));
    store.open();
    store.until(|_| line.iter().all(JoinHandle::is_finished)).await;
    for answer in line {
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_turn_to_the_next() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig::default());
    let [holds, waits] = line(&store, &engine, "a").await;
    holds.abort();
    assert!(holds.await.unwrap_err().is_cancelled());
    store.until(|seen| seen.in_flight == 1).await;
    store.open();
    store.until(|_| waits.is_finished()).await;
    waits.await.unwrap().unwrap();
    assert_eq!(version(&store, "a").await, 3);
}

#[tokio::test]
async fn a_line_that_is_full_is_told_by_the_name_of_its_limit() {
    let store = BusyStore::new();
    let engine = store.engine(EngineConfig { turns_waiting_max: 1, ..EngineConfig::default() });
    let line = line(&store, &engine, "a").await;
    let refused = deposit(&engine, "a");
    store.until(|_| refused.is_finished()).await;
    let answer = refused.await.unwrap();
    let Err(ExecuteError::Failed(Error::Unavailable { reason, retry_after, overloaded })) = answer else {
        panic!("{answer:?}")
    };
    assert!(overloaded && retry_after.is_some() && reason.contains("turns_waiting_max = 1"), "{reason}");
    store.open();
    store.until(|_| line.iter().all(JoinHandle::is_finished)).await;
    for answer in line {
        answer.await.unwrap().unwrap();
    }
}
