//! One key given twice at the same moment, to run at once and to run later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Barrier;
use underlay_core::memory::{MemoryCheckpoints, MemoryEventStore, MemoryReadModels, MemorySchedules};
use underlay_core::{
    Commit, CommitId, Committed, Error, EventStore, SystemClock, TenantId, WorkFilter, WorkPlace, WorkQueue,
};
use underlay_runtime::{
    CommandStatus, Engine, EngineConfig, ExecuteError, Ports, Registry, SubmitOptions, Submitted, WorkPorts,
};
use underlay_testkit::{EventStoreLayer, Over};

use crate::bank::{Account, AccountCommand, AccountRefusal, registry, repeatable, stream, tenant};

/// A store that writes nothing before two commits have come: whatever either of them looked up before, it did not see
/// the other. Those that come later are written as they come.
#[derive(Clone)]
struct Meeting {
    log: MemoryEventStore,
    both: Arc<Barrier>,
    came: Arc<AtomicUsize>,
}

#[async_trait]
impl EventStoreLayer for Meeting {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.log.clone()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        if self.came.fetch_add(1, Ordering::SeqCst) < 2 {
            self.both.wait().await;
        }
        self.log.commit(tenant, commit).await
    }
}

/// Two processes over it.
fn engines(meeting: &Meeting) -> [Engine; 2] {
    let work = WorkPorts {
        queue: Arc::new(meeting.log.clone()),
        schedules: Arc::new(MemorySchedules::default()),
        checkpoints: Arc::new(MemoryCheckpoints::default()),
        leases: None,
        scheduler: None,
    };
    let ports = Ports {
        work: Some(work),
        store: Arc::new(Over(meeting.clone())),
        read_models: Arc::new(MemoryReadModels::default()),
        wakeups: Arc::new(meeting.log.clone()),
        snapshots: None,
        leases: None,
        clock: Arc::new(SystemClock),
    };
    let engine = |registry: Registry| Engine::new(ports.clone(), registry, EngineConfig::default()).unwrap();
    [engine(registry()), engine(registry())]
}

type Executed = Result<underlay_runtime::Executed, ExecuteError<AccountRefusal>>;

impl Meeting {
    fn new() -> Self {
        Self { log: MemoryEventStore::default(), both: Arc::new(Barrier::new(2)), came: Arc::default() }
    }

    async fn give_both(
        &self,
        key: &str,
        at_once: AccountCommand,
        later: AccountCommand,
    ) -> (Executed, Result<Submitted, Error>) {
        let [one, other] = engines(self);
        let (request, account) = (repeatable(key), "a".to_owned());
        let (again, to) = (request.clone(), account.clone());
        let executed = tokio::spawn(async move { one.execute::<Account>(&request, &account, at_once).await });
        let submitted = tokio::spawn(async move {
            other.submit::<Account>(&again, &to, &later, SubmitOptions::default()).await
        });
        (executed.await.unwrap(), submitted.await.unwrap())
    }

    async fn waiting(&self) -> usize {
        self.log.list_work(&WorkFilter::default(), WorkPlace::START, 100).await.unwrap().work.len()
    }

    async fn version(&self) -> u64 {
        self.log.versions(&tenant(), &[stream("a")]).await.unwrap()[0].0
    }

    async fn status(&self, key: &str) -> CommandStatus {
        let id = CommitId::from_key(&tenant(), key);
        engines(self)[0].command_status(&tenant(), id).await.unwrap().unwrap().status
    }
}

fn deposit(cents: i64) -> AccountCommand {
    AccountCommand::Deposit { cents }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_commands_under_one_key_one_is_taken_and_the_other_is_told() {
    for round in 0..40 {
        let (meeting, key) = (Meeting::new(), "k");
        // What is refused is an outcome as well, and takes the key.
        let at_once = if round % 2 == 0 { deposit(5) } else { AccountCommand::Withdraw { cents: 5 } };
        let (executed, submitted) = meeting.give_both(key, at_once, deposit(6)).await;
        let id = CommitId::from_key(&tenant(), key);
        match (executed, submitted) {
            (Ok(_) | Err(ExecuteError::Refused(_)), Err(Error::IdReused(told))) => {
                assert_eq!(told, id);
                assert_eq!(meeting.waiting().await, 0, "nothing waits");
                assert_eq!(meeting.version().await, u64::from(round % 2 == 0));
                assert!(matches!(meeting.status(key).await, CommandStatus::Processed(_)));
            }
            (Err(ExecuteError::Failed(Error::IdReused(told))), Ok(submitted)) => {
                assert_eq!(told, id);
                assert!(!submitted.repeated && !submitted.is_processed);
                assert_eq!(meeting.waiting().await, 1, "it waits");
                assert_eq!(meeting.version().await, 0, "nothing was stored of the other");
                assert_eq!(meeting.status(key).await, CommandStatus::Pending);
            }
            other => panic!("round {round}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_given_both_ways_at_once_is_one_command() {
    for round in 0..40 {
        let meeting = Meeting::new();
        let (executed, submitted) = meeting.give_both("k", deposit(5), deposit(5)).await;
        let (executed, submitted) = (executed.unwrap(), submitted.unwrap());
        assert!(!executed.repeated, "round {round}");
        assert_eq!(submitted.is_processed, submitted.repeated, "round {round}: {submitted:?}");
        let waiting = usize::from(!submitted.is_processed);
        assert_eq!(meeting.waiting().await, waiting, "round {round}: {submitted:?}");
        assert_eq!(meeting.version().await, 1);
        assert!(matches!(meeting.status("k").await, CommandStatus::Processed(_)));
    }
}
