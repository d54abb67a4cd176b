//! Workers of a test's own.

use std::thread::JoinHandle;
use std::time::Duration;

use temporalio_client::Client;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::sync::oneshot;

/// A worker on a thread of its own, which runs until it is stopped.
pub(crate) struct Working {
    stop: Box<dyn Fn() + Send>,
    thread: JoinHandle<()>,
}

impl Working {
    pub(crate) async fn start(client: Client, options: WorkerOptions) -> Self {
        let handle = tokio::runtime::Handle::current();
        let (started, start) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            handle.block_on(async move {
                let runtime = Runtime::from_current_tokio(Default::default()).unwrap();
                let mut worker = Worker::new(&runtime, client, options).unwrap();
                started.send(Box::new(worker.shutdown_handle()) as Box<dyn Fn() + Send>).ok();
                worker.run().await.unwrap();
            });
        });
        Self { stop: start.await.unwrap(), thread }
    }

    pub(crate) async fn stop(self) {
        (self.stop)();
        tokio::task::spawn_blocking(move || self.thread.join().unwrap()).await.unwrap();
    }
}

/// How long an attempt of a test's own may go on after its worker was stopped.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
