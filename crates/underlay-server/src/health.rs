use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use underlay_core::reasons::{OLDER_COPY, READS_ONLY};
use underlay_core::{Error, Position};
use underlay_runtime::ViewStatus;

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
    /// `ready`, or `degraded` where views have stopped or the credentials have a trouble.
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
    views_stopped: BTreeMap<String, ViewStatus>,
}

/// `GET /readyz`: the store answers, so requests can be served. It is asked without credentials, so it
/// says what is wrong and leaves why to the service's log, except for reasons that name nothing of the
/// installation. By its type an answer tells a store that is
/// down (`store-down`) from one that has too much to do (`overloaded`). A view that has stopped degrades the
/// service, and does not take it out of service: one event would take every process out at once.
pub(crate) async fn ready(State(app): State<App>) -> Result<Answer<ReadyBody>, Problem> {
    let engine = app.engine();
    let standings = tokio::select! {
        standings = engine.view_standings() => standings,
        () = engine.clock().sleep(STORE_WAIT_MAX) => return Err(store_down("the store does not answer")),
    };
    let standings = standings.map_err(|error| {
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
    let views_stopped: BTreeMap<String, ViewStatus> = stopped.map(|view| (view.view, view.status)).collect();
    let credentials = app.config().credentials.trouble();
    let status = if views_stopped.is_empty() && credentials.is_none() { "ready" } else { "degraded" };
    let position = app.config().is_open().then_some(standings.head);
    Ok(Answer(ReadyBody { status, position, credentials, views_stopped }))
}

fn store_down(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-down", "The store is down", detail)
}

fn not_ready(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail)
}
