//! Many commands to one key, where one workflow does all jobs of a key: each is decided once, and no history of a run
//! comes near to what a server takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use underlay_core::{Scheduler, StreamName, TenantId, Version};
use underlay_runtime::{Engine, EngineConfig, Registry, Request, SubmitOptions};
use underlay_temporal::{LINE_EVENTS_MAX, Route, Router, Temporal, TemporalAddress, TemporalOptions};

use crate::Result;
use crate::crash::bank::{Account, AccountCommand};
use crate::subject::{StoreKind, Way, skip};

/// The longest history that a run may have.
const HISTORY_EVENTS_MAX: u64 = 5_000;
/// Commands that are submitted at once.
const SUBMITTED_AT_ONCE: usize = 64;
/// How often it is looked how far the key has come.
const LOOK: Duration = Duration::from_millis(500);
/// How long the key may stand still.
const STILL_MAX: Duration = Duration::from_secs(120);
const ACCOUNT: &str = "one";

/// Leaves many commands for one key, which a line on a Temporal server does.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How many commands.
    #[arg(long, default_value_t = 60_000)]
    commands: u64,
    /// Events in the history of a run, after which the line goes on in a new one.
    #[arg(long, default_value_t = LINE_EVENTS_MAX)]
    events_max: u32,
}

/// True where every command was decided once, and every history is short enough.
pub(crate) async fn run(arguments: Arguments) -> Result<bool> {
    let server = match servers::Temporal::start() {
        Ok(server) => server,
        Err(missing) => return skip(&missing).map(|()| true),
    };
    let folder = tempfile::tempdir()?;
    let place = StoreKind::Sqlite.start(folder.path())?.place("line").await?;
    let store = place.address(Way::USUAL).open().await?;
    let mut ports = store.ports();
    if let Some(work) = &mut ports.work {
        work.scheduler = Some(scheduler(&server, arguments.events_max)?);
    }
    let log = ports.store.clone();
    let engine = Engine::new(ports, Registry::default().aggregate::<Account>(), EngineConfig::default())?;
    let work = engine.start_work();
    let begun = Instant::now();
    submit(&engine, arguments.commands).await?;
    println!("{} commands were submitted in {:?}", arguments.commands, begun.elapsed());

    let stream = StreamName::new("account", ACCOUNT)?;
    let (mut version, mut moved) = (Version::NONE, Instant::now());
    while version.0 < arguments.commands && moved.elapsed() < STILL_MAX {
        tokio::time::sleep(LOOK).await;
        let now = log.read_stream(&tenant()?, &stream, version, 1).await?.version;
        if now > version {
            (version, moved) = (now, Instant::now());
        }
    }
    println!("{version} were decided after {:?}", begun.elapsed());
    work.stop().await;
    // Whatever was decided twice shows by now.
    let version = log.read_stream(&tenant()?, &stream, version, 1).await?.version;
    let histories = histories(&server)?;
    let longest = histories.iter().max().copied().unwrap_or_default();
    println!("the line had {} runs that ended; the longest history has {longest} events", histories.len());
    drop(engine);
    store.close().await?;
    let is_once = version.0 == arguments.commands;
    if !is_once {
        println!("FOUND: {version} events of {} commands", arguments.commands);
    }
    let is_short = longest > 0 && longest <= HISTORY_EVENTS_MAX;
    if !is_short {
        println!(
            "FOUND: a history is to have 1 to {HISTORY_EVENTS_MAX} events, and the longest has {longest}"
        );
    }
    Ok(is_once && is_short)
}

fn tenant() -> Result<TenantId> {
    Ok(TenantId::new("acme")?)
}

fn scheduler(server: &servers::Temporal, events_max: u32) -> Result<Arc<dyn Scheduler>> {
    let address: TemporalAddress = server.address("line").parse()?;
    let router = Router::new().receiver("account", Route::new().per_key().line_events_max(events_max));
    Ok(Arc::new(Temporal::open(&address, TemporalOptions { router, ..TemporalOptions::default() })?))
}

async fn submit(engine: &Engine, commands: u64) -> Result<()> {
    let (request, account) = (Request::new(tenant()?), ACCOUNT.to_owned());
    let command = AccountCommand::Deposit { cents: 1 };
    let submitted: Vec<_> = (0..commands)
        .map(|_| engine.submit::<Account>(&request, &account, &command, SubmitOptions::default()))
        .collect();
    stream::iter(submitted).buffer_unordered(SUBMITTED_AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
    Ok(())
}

/// How long the histories are of the runs that have ended.
fn histories(server: &servers::Temporal) -> Result<Vec<u64>> {
    let query = "WorkflowType = 'underlay.line' AND ExecutionStatus != 'Running'";
    let listed = server.ask(&["workflow", "list", "--query", query, "--output", "json"])?;
    let runs: Vec<serde_json::Value> = serde_json::from_str(&listed)?;
    runs.iter()
        .map(|run| {
            let events = run["historyLength"].as_str().and_then(|events| events.parse().ok());
            events.ok_or_else(|| format!("a run without the length of its history: {run}").into())
        })
        .collect()
}
