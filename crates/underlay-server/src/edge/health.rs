//! Whether the process answers, and whether it can serve.
//!
//! ```text
//!  /livez    live: nothing is touched
//!  /readyz   starting ─► ready ⇄ degraded ─► stopping
//!               503        200      200         503
//!                 └──────────┴── down: 503 ──────┘
//! ```
//!
//! Readiness looks at each part by itself, with a time limit of its own, and all at once. Stores beside that of the log
//! are asked in the background, and what they said last is told. Only what keeps every request from being served is
//! `down`, which is the store of the log. Whatever else has stopped degrades the service, and does not take it out: one
//! event of one tenant would otherwise take every process out at once. Where several words hold, the one that comes first
//! here is told: `stopping`, `down`, `starting`, `degraded`, `ready`.
//!
//! A service that begins answers nothing but its health: what is committed before its subscribers are there would be
//! lost to them.
//!
//! Whoever asks without credentials is told the word of each part, and what stopped by its name. What waits and how far
//! the log is would say how much all tenants together do: it is told where everybody is let in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use underlay_core::reasons::{OLDER_COPY, READS_ONLY};
use underlay_core::{Error, Position, Timestamp, WaitsFor};
use underlay_runtime::{
    FollowerStanding, FollowerStatus, Overview, QueueStanding, SchedulerState, Standings, StorePart,
    ViewStanding,
};

use super::stopping::Stopping;
use crate::answer::Answer;
use crate::app::App;
use crate::metrics::Pace;
use crate::problem::Problem;

/// How long the store may take to say that it is there: longer than a store waits for a connection
/// before it says that there is none, so that who has too much to do is not taken for down.
const STORE_WAIT_MAX: Duration = Duration::from_secs(6);

/// The same, once something that stands in the store has been waited for as long.
const STORE_LOOK_MAX: Duration = Duration::from_secs(1);

/// The part that drives the work of this process.
const SCHEDULER: &str = "scheduler";

/// Where the process says that it answers.
pub(crate) const LIVE: &str = "/livez";
/// Where it says whether it can serve.
pub(crate) const READY: &str = "/readyz";

/// A part of the service whose trouble does not take it out of service, such as a certificate that ends soon.
pub trait HealthPart: Send + Sync + 'static {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// What is wrong with it, for `/readyz`, which everybody may read; none where nothing is. It is answered at once.
    fn trouble(&self) -> Option<String>;

    /// When it ends, where that is known, as a certificate does.
    fn ends_at(&self) -> Option<Timestamp> {
        None
    }
}

/// Whether a service has begun. One that was made has, until it is given to
/// [`ServerConfig::with_start`](crate::ServerConfig::with_start) unbegun.
#[derive(Clone, Debug)]
pub struct Start(Arc<AtomicBool>);

impl Start {
    /// A start that is still to come.
    #[must_use]
    pub fn to_come() -> Self {
        Self(Arc::default())
    }

    /// What the service needs runs now: it answers.
    pub fn begun(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Default for Start {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

/// Parts of the service beside those there always are.
#[derive(Clone, Default)]
pub(crate) struct HealthParts(pub(crate) Vec<Arc<dyn HealthPart>>);

#[derive(Debug, Serialize)]
pub(crate) struct LiveBody {
    status: &'static str,
}

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> Answer<LiveBody> {
    Answer(LiveBody { status: "live" })
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// It does what it is there for.
    Ready,
    /// Something of it does not, and all else does.
    Degraded,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReadyBody {
    /// `ready`, or `degraded` where views, processes, pumps or subscribers have stopped, a store beside that of the log
    /// cannot be used, or a part has a trouble.
    pub(crate) status: Health,
    /// The same of each part.
    pub(crate) parts: BTreeMap<&'static str, Health>,
    /// What is wrong with the parts that have a trouble of their own, such as the credentials. What they had before
    /// still holds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) troubles: BTreeMap<&'static str, String>,
    /// The end of the log, where everybody is let in. Elsewhere it would tell everybody how much all
    /// tenants together do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
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
    pub(crate) shards_held: Option<usize>,
    /// Whose workers this process waits for, where they are of another scheduler: it does no work until they are gone.
    /// Told where everybody is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waits_for: Option<WaitsFor>,
    /// What drives the work that this process does, where it does not by itself; told where everybody is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheduler: Option<SchedulerState>,
}

/// `GET /readyz`: requests can be served. It is asked without credentials, so it
/// says what is wrong and leaves why to the service's log, except for reasons that name nothing of the
/// installation. By its type a problem tells a store that is
/// down (`store-down`) from one that has too much to do (`overloaded`), and both from a process that begins (`starting`)
/// or ends (`stopping`).
pub(crate) async fn ready(State(app): State<App>, stopping: Stopping) -> Result<Answer<ReadyBody>, Problem> {
    readiness(&app, &stopping).await.map(Answer)
}

/// How the process is: whether it can serve, and how each of its parts is.
pub(crate) async fn readiness(app: &App, stopping: &Stopping) -> Result<ReadyBody, Problem> {
    if stopping.is_leaving() {
        let is_over = stopping.is_stopping();
        return Err(Problem::stopping(if is_over { "the service ends" } else { "the service ends soon" }));
    }
    let looked = look(app).await?;
    if !app.config().start.has_begun() {
        return Err(Problem::starting());
    }
    Ok(body(app, looked))
}

/// What was seen of the parts that stand in the store. What a part does not say is none.
pub(crate) struct Looked {
    pub(crate) views: Option<Standings>,
    pub(crate) work: Option<Overview>,
}

/// Looks at them, each within its time.
///
/// # Errors
/// Where nothing can be read of the store of the log.
pub(crate) async fn look(app: &App) -> Result<Looked, Problem> {
    let engine = app.engine();
    let views = async {
        // Whoever knows already that rows cannot be read waits for nobody.
        if engine.store_parts().get(&StorePart::Views) == Some(&false) {
            return Err(Asked::Away);
        }
        in_time(app, STORE_WAIT_MAX, engine.view_standings()).await
    };
    let (views, work) = tokio::join!(views, in_time(app, STORE_WAIT_MAX, engine.overview()),);
    if views.is_err() || work.is_err() {
        // Rows may be in another store than the log, without which nothing is served.
        let is_silent = matches!((&views, &work), (Err(Asked::Silent), _) | (_, Err(Asked::Silent)));
        let within = if is_silent { STORE_LOOK_MAX } else { STORE_WAIT_MAX };
        in_time(app, within, engine.store().head()).await.map_err(of_store)?;
    }
    let looked = Looked { views: known("views", views), work: known("work", work) };
    let (now, commands) = (engine.clock().now(), engine.commands_ended());
    app.metrics().paces.keep(now, commands, looked.views.as_ref(), looked.work.as_ref());
    Ok(looked)
}

/// Looks at them, and says how fast everything is.
pub(crate) async fn pace(app: &App) -> Pace {
    // What cannot be read leaves no reading; whoever shows more than the pace says why.
    drop(look(app).await);
    app.metrics().paces.told(app.engine().clock().now())
}

/// What a part says, within the time it has.
async fn in_time<T>(
    app: &App,
    within: Duration,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Asked> {
    tokio::select! {
        biased;
        said = asked => said.map_err(Asked::Failed),
        () = app.engine().clock().sleep(within) => Err(Asked::Silent),
    }
}

/// Why a part does not say how it is.
enum Asked {
    Failed(Error),
    Silent,
    /// It was not asked: it is known that it cannot say so.
    Away,
}

fn of_store(asked: Asked) -> Problem {
    let error = match asked {
        Asked::Silent | Asked::Away => return store_down("the store does not answer"),
        Asked::Failed(error) => error,
    };
    tracing::error!(error = &error as &dyn std::error::Error, "the store cannot be read");
    match error {
        Error::Unavailable { retry_after, overloaded: true, .. } => {
            Problem::overloaded("the store has too much to do", retry_after)
        }
        Error::Unavailable { reason, .. } => {
            let known = [READS_ONLY, OLDER_COPY].into_iter().find(|known| *known == reason);
            store_down(known.unwrap_or("the store cannot be reached"))
        }
        _ => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-ready",
            "Not ready",
            "the store cannot be read",
        ),
    }
}

fn store_down(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-down", "The store is down", detail)
}

/// What is known of a part. The store answers, so one that cannot be looked at is degraded.
fn known<T>(part: &'static str, said: Result<T, Asked>) -> Option<T> {
    match said {
        Ok(said) => return Some(said),
        Err(Asked::Failed(error)) => {
            tracing::error!(part, error = &error as &dyn std::error::Error, "a part cannot be looked at");
        }
        Err(Asked::Silent) => {
            tracing::error!(part, "a part does not say how it is within {STORE_WAIT_MAX:?}")
        }
        // Whoever found that out has said so.
        Err(Asked::Away) => {}
    }
    None
}

/// Whether each part does what it is there for; of those in the store where they were looked at.
pub(crate) fn parts_ready(app: &App, looked: Option<&Looked>) -> BTreeMap<&'static str, bool> {
    let mut parts: BTreeMap<_, _> = troubles(app).map(|(name, trouble)| (name, trouble.is_none())).collect();
    parts.insert("store", looked.is_some());
    if let Some(looked) = looked {
        let goes_on = |view: &ViewStanding| !view.status.is_stopped();
        let all_go_on = looked.views.as_ref().is_some_and(|known| known.views.iter().all(goes_on));
        *parts.entry(StorePart::Views.name()).or_insert(true) &= all_go_on;
        parts.insert("work", looked.work.as_ref().is_some_and(goes_on_working));
    }
    parts
}

/// Whether nothing that follows commits waits for a person.
fn goes_on_working(work: &Overview) -> bool {
    let mut stopped = work.pumps_stopped().chain(work.processes_stopped());
    stopped.next().is_none() && work.subscribers.iter().all(|one| !one.is_stopped)
}

/// What is wrong with the parts that are not in the store, by their names.
fn troubles(app: &App) -> impl Iterator<Item = (&'static str, Option<String>)> {
    let credentials = ("credentials", app.config().credentials.trouble());
    let stores = app.engine().store_parts().into_iter();
    let stores = stores.map(|(part, is_up)| (part.name(), (!is_up).then(|| store_trouble(part))));
    let others = app.config().parts.0.iter().map(|part| (part.name(), part.trouble()));
    let scheduler = app.engine().worker_state().and_then(|worker| worker.scheduler);
    let scheduler = scheduler.map(|state| (SCHEDULER, scheduler_trouble(&state)));
    [credentials].into_iter().chain(stores).chain(scheduler).chain(others)
}

/// Everybody may read it, so the log alone says which store it is, and why.
fn store_trouble(part: StorePart) -> String {
    let follows = match part {
        StorePart::Views => {
            "a store of rows cannot be used, so its views are neither read nor brought up to date; commands are accepted \
             and stored"
        }
        StorePart::Entities => {
            "a store of entities cannot be used, so those in it are neither read nor changed; all else is served"
        }
        StorePart::Cache => "the cache cannot be used; everything is served without it, and more slowly",
    };
    format!("{follows}. The log of the service says why")
}

/// Everybody may read it, so the log alone says why.
fn scheduler_trouble(state: &SchedulerState) -> Option<String> {
    (state.is_up() == Some(false)).then(|| {
        "it cannot be used, so what commits send on waits; commands are accepted and stored. The log of the service \
         says why"
            .to_owned()
    })
}

fn body(app: &App, looked: Looked) -> ReadyBody {
    let is_open = app.config().is_open();
    let health = |is_ready: bool| if is_ready { Health::Ready } else { Health::Degraded };
    let parts: BTreeMap<_, _> = parts_ready(app, Some(&looked))
        .into_iter()
        .map(|(part, is_ready)| (part, health(is_ready)))
        .collect();
    let Looked { views, work } = looked;
    let position = views.as_ref().map(|standings| standings.head);
    let stopped = views.into_iter().flat_map(|standings| standings.views);
    let views_stopped: BTreeMap<String, FollowerStatus> =
        stopped.filter(|view| view.status.is_stopped()).map(|view| (view.view, view.status)).collect();
    let status_of = |follower: &FollowerStanding| (follower.name.clone(), follower.status);
    let pumps_stopped: BTreeMap<_, _> =
        work.iter().flat_map(Overview::pumps_stopped).map(status_of).collect();
    let processes_stopped: BTreeMap<_, _> =
        work.iter().flat_map(Overview::processes_stopped).map(status_of).collect();
    let subscribers = work.iter().flat_map(|work| &work.subscribers);
    let subscribers_stopped: Vec<String> =
        subscribers.filter(|one| one.is_stopped).map(|one| one.name.clone()).collect();
    let status = parts.values().copied().max().unwrap_or(Health::Ready);
    let (queues, worker) = work.map(|work| (work.queues, work.worker)).unwrap_or_default();
    let worker = worker.filter(|_| is_open);
    ReadyBody {
        status,
        parts,
        troubles: troubles(app).filter_map(|(name, trouble)| Some((name, trouble?))).collect(),
        position: position.filter(|_| is_open),
        views_stopped,
        processes_stopped,
        pumps_stopped,
        subscribers_stopped,
        queues: if is_open { queues } else { Vec::new() },
        shards_held: worker.as_ref().map(|worker| worker.shards.len()),
        waits_for: worker.as_ref().and_then(|worker| worker.waits_for.clone()),
        scheduler: worker.and_then(|worker| worker.scheduler),
    }
}
