use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use underlay_core::reasons::{OLDER_COPY, READS_ONLY};
use underlay_core::{Error, Position, ViewStatus};

use crate::answer::Answer;
use crate::app::App;
use crate::problem::Problem;

/// How long the store may take to say that it is there: longer than a store waits for a connection
/// before it says that there is none, so that who has too much to do is not taken for down.
const STORE_WAIT_MAX: Duration = Duration::from_secs(6);

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
    status: &'static str,
    /// The end of the log.
    position: Position,
}

/// `GET /readyz`: the store answers, and no view has failed. It is asked without credentials, so it
/// says what is wrong and leaves why to the service's log, except for reasons that name nothing of the
/// installation. By its type an answer tells a store that is
/// down (`store-down`) from one that has too much to do (`overloaded`). A view that is paused waits for
/// a person; other requests are served.
pub(crate) async fn ready(State(app): State<App>) -> Result<Answer<ReadyBody>, Problem> {
    let engine = app.engine();
    let head = tokio::select! {
        head = engine.store().head() => head,
        () = engine.clock().sleep(STORE_WAIT_MAX) => return Err(store_down("the store does not answer")),
    };
    let position = head.map_err(|error| {
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
    if let Some(view) = engine.view_states().iter().find(|view| view.status == ViewStatus::Failed) {
        return Err(not_ready(&format!("view {} has failed", view.name)));
    }
    Ok(Answer(ReadyBody { status: "ready", position }))
}

fn store_down(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-down", "The store is down", detail)
}

fn not_ready(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail)
}
