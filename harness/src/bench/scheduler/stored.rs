//! Stored commands, each for an account of its own. Its event says that the outcome is stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use servers::Temporal;
use tokio::sync::oneshot;
use underlay_core::limits::WORK_SHARDS;
use underlay_core::ports::Scheduler;
use underlay_core::{BusSubscription, HandlerError, RecordedEvent, Subscriber, TenantId};
use underlay_runtime::{Engine, EngineConfig, Registry, Request, SubmitOptions};
use underlay_temporal::{TemporalAddress, TemporalOptions};

use super::{Disk, Ending, Sample, Scale, call};
use crate::Result;
use crate::crash::bank::{Account, AccountCommand};
use crate::subject::{StoreKind, Way};

/// Tenants of the callers, in turn: one alone would be held back so that others find room.
const TENANTS: u64 = 8;
/// How long a worker may take until it holds every shard.
const SHARDS_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(2);
/// Runs so far: each has a task queue of its own.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// Who waits for the event of an account.
#[derive(Default)]
struct Waiting(Mutex<HashMap<String, oneshot::Sender<()>>>);

impl Waiting {
    fn for_account(&self, account: &str) -> oneshot::Receiver<()> {
        let (told, waits) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account.to_owned(), told);
        waits
    }
}

/// Tells whoever waits.
struct Teller(Arc<Waiting>);

#[async_trait]
impl Subscriber for Teller {
    async fn take(&self, event: &RecordedEvent) -> std::result::Result<(), HandlerError> {
        let waiting = self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(event.stream.id());
        if let Some(told) = waiting {
            // Who gave up has an error of its own.
            let _ = told.send(());
        }
        Ok(())
    }
}

struct Commands {
    engine: Engine,
    waiting: Arc<Waiting>,
}

#[async_trait]
impl Ending for Commands {
    async fn one(&self, caller: u64, name: String) -> Result<()> {
        let told = self.waiting.for_account(&name);
        let request = Request::new(TenantId::new(format!("bench-{}", caller % TENANTS))?);
        let command = AccountCommand::Deposit { cents: 1 };
        self.engine.submit::<Account>(&request, &name, &command, SubmitOptions::default()).await?;
        Ok(told.await?)
    }
}

/// One run; without a server the workers drive it themselves.
pub(super) async fn run(
    disk: &Disk,
    server: Option<&Temporal>,
    callers: u64,
    scale: &Scale,
) -> Result<Sample> {
    let folder = disk.fresh()?;
    let place = StoreKind::Sqlite.start(folder.path())?.place("scheduler").await?;
    let store = place.address(Way::USUAL).open().await?;
    let mut ports = store.ports();
    if let Some(work) = &mut ports.work {
        work.scheduler = server.map(scheduler).transpose()?;
    }
    let waiting = Arc::<Waiting>::default();
    let registry = Registry::default()
        .aggregate::<Account>()
        .subscriber(BusSubscription::new("outcomes"), Teller(waiting.clone()));
    let engine = Engine::new(ports, registry, EngineConfig::default())?;
    let subscribers = engine.start_subscribers().await?;
    let work = engine.start_work();
    wait_for_shards(&engine).await?;
    let sample = call(Arc::new(Commands { engine: engine.clone(), waiting }), callers, scale).await?;
    subscribers.stop().await;
    work.stop().await;
    drop(engine);
    store.close().await?;
    Ok(sample)
}

fn scheduler(server: &Temporal) -> Result<Arc<dyn Scheduler>> {
    let task_queue = format!("bench-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let address: TemporalAddress = server.address(&task_queue).parse()?;
    let running_max = EngineConfig::default().work_running_max;
    let options = TemporalOptions { attempts_running_max: running_max, ..TemporalOptions::default() };
    Ok(Arc::new(underlay_temporal::Temporal::open(&address, options)?))
}

async fn wait_for_shards(engine: &Engine) -> Result<()> {
    let begun = Instant::now();
    while engine.worker_state().unwrap_or_default().shards.len() < usize::from(WORK_SHARDS) {
        if begun.elapsed() > SHARDS_MAX {
            return Err(format!("a worker does not hold every shard within {SHARDS_MAX:?}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
