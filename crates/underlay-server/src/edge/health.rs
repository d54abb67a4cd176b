use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use underlay_core::reasons::{OLDER_COPY, READS_ONLY};
use underlay_core::{Error, Position};
use underlay_runtime::{FollowerStanding, FollowerStatus, QueueStanding};

use crate::answer::Answer;
use crate::app::App;
use crate::problem::Problem;

/// How long the store may take to say that it is there: longer than a store waits for a connection
/// before it says that there is none, so that who has too much to do is not taken for down.
const STORE_WAIT_MAX: Duration = Duration::from_secs(6);

/// Where the process says that it answers.
pub(crate) const LIVE: &str = "/livez";
/// Where it says whether it can serve.
pub(crate) const READY: &str = "/readyz";

#[derive(Debug, Serialize)]
pub(crate) struct LiveBody {
    status: &'static str,
}

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> Answer<LiveBody> {
    Answer(LiveBody { status: "live" })
}

#[derive(Debug, Serialize)]
pub(crate) struct ReadyBody {
    /// `ready`, or `degraded` where views, processes, pumps or subscribers have stopped or the credentials have a trouble.
    status: &'static str,
    /// The end of the log, where everybody is let in. Elsewhere it would tell everybody how much all
    /// tenants together do.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    /// What is wrong with the credentials. Those who were let in before still are.
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<String>,
    /// The views that have stopped, in whatever process, and wait for a person. All else is served.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    views_stopped: BTreeMap<String, FollowerStatus>,
    /// The same, of processes of the domain, which take no more events until then.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    processes_stopped: BTreeMap<String, FollowerStatus>,
    /// The same, of pumps.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pumps_stopped: BTreeMap<String, FollowerStatus>,
    /// The subscribers of this process that take nothing more until a person has looked at their dead letters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscribers_stopped: Vec<String>,
    /// What waits to be done, and how late it is. As `position`, only where everybody is let in; elsewhere
    /// `GET /v1/admin/queues` tells operators.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queues: Vec<QueueStanding>,
    /// The shards that this process holds, where it does work; told where everybody is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    shards_held: Option<usize>,
}

/// `GET /readyz`: the store answers, so requests can be served. It is asked without credentials, so it
/// says what is wrong and leaves why to the service's log, except for reasons that name nothing of the
/// installation. By its type an answer tells a store that is
/// down (`store-down`) from one that has too much to do (`overloaded`). A view, a process or a pump that has
/// stopped degrades the service, and does not take it out of service: one event would take every process out at once.
pub(crate) async fn ready(State(app): State<App>) -> Result<Answer<ReadyBody>, Problem> {
    let engine = app.engine();
    let asked = async { Ok((engine.view_standings().await?, engine.overview().await?)) };
    let asked = tokio::select! {
        asked = asked => asked,
        () = engine.clock().sleep(STORE_WAIT_MAX) => return Err(store_down("the store does not answer")),
    };
    let (standings, overview) = asked.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the store cannot be read");
        match error {
            Error::Unavailable { retry_after, overloaded: true, .. } => {
                Problem::overloaded("the store has too much to do", retry_after)
            }
            Error::Unavailable { reason, .. } => {
                let known = [READS_ONLY, OLDER_COPY].into_iter().find(|known| *known == reason);
                store_down(known.unwrap_or("the store cannot be reached"))
            }
            _ => not_ready("the store cannot be read"),
        }
    })?;
    let stopped = standings.views.into_iter().filter(|view| view.status.is_stopped());
    let views_stopped: BTreeMap<String, FollowerStatus> =
        stopped.map(|view| (view.view, view.status)).collect();
    let credentials = app.config().credentials.trouble();
    let status_of = |follower: &FollowerStanding| (follower.name.clone(), follower.status);
    let pumps_stopped: BTreeMap<_, _> = overview.pumps_stopped().map(status_of).collect();
    let processes_stopped: BTreeMap<_, _> = overview.processes_stopped().map(status_of).collect();
    let stopped = overview.subscribers.iter().filter(|subscriber| subscriber.is_stopped);
    let subscribers_stopped: Vec<String> = stopped.map(|subscriber| subscriber.name.clone()).collect();
    let all_go_on = views_stopped.is_empty()
        && processes_stopped.is_empty()
        && pumps_stopped.is_empty()
        && subscribers_stopped.is_empty();
    let status = if all_go_on && credentials.is_none() { "ready" } else { "degraded" };
    let is_open = app.config().is_open();
    Ok(Answer(ReadyBody {
        status,
        position: is_open.then_some(standings.head),
        credentials,
        views_stopped,
        processes_stopped,
        pumps_stopped,
        subscribers_stopped,
        queues: if is_open { overview.queues } else { Vec::new() },
        shards_held: overview.worker.filter(|_| is_open).map(|worker| worker.shards.len()),
    }))
}

fn store_down(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-down", "The store is down", detail)
}

fn not_ready(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail)
}
