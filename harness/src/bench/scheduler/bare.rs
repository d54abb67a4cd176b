//! The SDK alone: a workflow that does nothing, started and waited for. Client and worker are in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use async_trait::async_trait;
use servers::Temporal;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowGetResultOptions,
    WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{Runtime, Worker, WorkerOptions, WorkflowContext, WorkflowResult};
use tokio::sync::oneshot;

use super::{Ending, Sample, Scale, call};

/// Workflows that a worker keeps in memory, as ours does.
const CACHED_MAX: usize = 2_000;
/// Runs so far: each has a task queue of its own.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// Does nothing.
#[workflow]
#[derive(Default)]
struct Empty;

#[workflow_methods]
impl Empty {
    #[run(name = "empty")]
    async fn run(_ctx: &mut WorkflowContext<Self>, _: ()) -> WorkflowResult<()> {
        Ok(())
    }
}

struct Workflows {
    client: Client,
    task_queue: String,
}

#[async_trait]
impl Ending for Workflows {
    async fn one(&self, _: u64, name: String) -> crate::Result<()> {
        let id = format!("{}/{name}", self.task_queue);
        let options = WorkflowStartOptions::new(&self.task_queue, id)
            .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .build();
        let started = self.client.start_workflow(Empty::run, (), options).await?;
        started.get_result(WorkflowGetResultOptions::default()).await?;
        Ok(())
    }
}

pub(super) async fn run(server: &Temporal, callers: u64, scale: &Scale) -> crate::Result<Sample> {
    let task_queue = format!("bare-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let url = Url::parse(&format!("http://{}", server.host()))?;
    let connection = Connection::connect(ConnectionOptions::new(url).build()).await?;
    let client = Client::new(connection, ClientOptions::new("default").build())?;
    let worker = Working::start(client.clone(), task_queue.clone()).await?;
    let sample = call(Arc::new(Workflows { client, task_queue }), callers, scale).await;
    worker.stop()?;
    sample
}

/// A worker on a thread of its own, since what it does stays on one.
struct Working {
    stop: Box<dyn Fn() + Send>,
    thread: JoinHandle<crate::Result<()>>,
}

impl Working {
    async fn start(client: Client, task_queue: String) -> crate::Result<Self> {
        let tokio = tokio::runtime::Handle::current();
        let (begun, begins) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            tokio.block_on(async move {
                let runtime = Runtime::from_current_tokio(Default::default())?;
                let options = WorkerOptions::new(task_queue)
                    .register_workflow::<Empty>()?
                    .max_cached_workflows(CACHED_MAX)
                    .build();
                let mut worker = Worker::new(&runtime, client, options)?;
                let stop: Box<dyn Fn() + Send> = Box::new(worker.shutdown_handle());
                // Nobody waits any more where the run was given up.
                let _ = begun.send(stop);
                Ok(worker.run().await?)
            })
        });
        let Ok(stop) = begins.await else {
            return Err(match thread.join() {
                Ok(Err(error)) => error,
                _ => "the worker of the bare SDK did not start".into(),
            });
        };
        Ok(Self { stop, thread })
    }

    fn stop(self) -> crate::Result<()> {
        (self.stop)();
        self.thread.join().map_err(|_| "the worker of the bare SDK panicked")?
    }
}
