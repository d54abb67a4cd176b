use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::runtime::Handle;
use tokio::sync::watch;
use underlay::{App, CliCommand, ExitError, async_trait, clap};
use underlay_temporal::Temporal;

use crate::fulfilment::{Fulfilment, Parcels, TASK_QUEUE};

/// How long an activity may go on when the worker stops.
const GRACE: Duration = Duration::from_secs(10);

// region: worker
/// Runs the workflows and their activities until it is stopped.
///
/// # Errors
/// What the server says, as text.
pub async fn work(
    temporal: &Temporal,
    parcels: Parcels,
    mut stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let client = temporal.client().await.map_err(text)?;
    let handle = Handle::current();
    // A worker stays on one thread.
    let working = tokio::task::spawn_blocking(move || {
        handle.block_on(async {
            let runtime = Runtime::from_current_tokio(Default::default()).map_err(text)?;
            let options = WorkerOptions::new(TASK_QUEUE).register_workflow::<Fulfilment>().map_err(text)?;
            let options = options.register_activities(parcels).graceful_shutdown_period(GRACE).build();
            let mut worker = Worker::new(&runtime, client, options).map_err(text)?;
            let shutdown = worker.shutdown_handle();
            tokio::spawn(async move {
                // A sender that is gone stops it too.
                drop(stop.wait_for(|is_stopped| *is_stopped).await);
                shutdown();
            });
            worker.run().await.map_err(text)
        })
    });
    working.await.map_err(text)?
}
// endregion: worker

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

/// `shop work`.
pub struct Work(pub Arc<Temporal>);

#[async_trait]
impl CliCommand for Work {
    fn command(&self) -> clap::Command {
        clap::Command::new("work").about("Run the workflows of orders until ctrl-c")
    }

    async fn run(&self, app: &App, _: &clap::ArgMatches) -> Result<(), ExitError> {
        let (stop, stopped) = watch::channel(false);
        let carrier =
            Arc::new(|order: &str| writeln!(std::io::stdout().lock(), "a parcel for order {order}"));
        let parcels = Parcels { engine: app.engine.clone(), carrier };
        let working = work(&self.0, parcels, stopped);
        tokio::pin!(working);
        let ended = tokio::select! {
            ended = &mut working => ended,
            _ = tokio::signal::ctrl_c() => {
                stop.send_replace(true);
                working.await
            }
        };
        ended.map_err(ExitError::failed)
    }
}
