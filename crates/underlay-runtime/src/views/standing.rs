//! Where every view stands: one computation, and one word that every process and every door says.
//!
//! What the store says is the same for all: the catalogue with its stops, the head of the log, and who has which
//! lease. A process adds what its own runners know, which the store hears a moment later.
//!
//! Where a store has no leases nobody knows whether a process keeps a view: such a view is at the head of
//! the log or behind it, and never `NotRunning`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;
use underlay_core::{Error, Position, SkippedEvent, StopCause, Timestamp, ViewInfo, ViewSchema, ViewStop};

use super::Views;
use super::rebuild::rebuild_lease;
use super::runner::ViewState;
use crate::subscription::{SubscriptionState, has_passed};

/// How long what the store said of all views is told again before it is asked anew: whoever asks, and however
/// often, the store is asked no more than once in that time.
const STANDINGS_AGE_MAX: Duration = Duration::from_secs(1);

/// The word for where a view stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewStatus {
    /// It is behind the head of the log, and comes on.
    CatchingUp,
    /// It is at the head of the log.
    Live,
    /// An event stopped it. It waits for a person.
    Paused,
    /// A failure stopped it, or its rows are of another definition or another log. It waits for a person.
    Failed,
    /// Its rows are of another definition, and are built anew by this one.
    Rebuilding,
    /// No process keeps it.
    NotRunning,
}

impl ViewStatus {
    /// Whether it waits for a person.
    #[must_use]
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Paused | Self::Failed)
    }
}

impl fmt::Display for ViewStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CatchingUp => "catching up",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Rebuilding => "rebuilding",
            Self::NotRunning => "not running",
        })
    }
}

/// Where a view stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewStanding {
    /// The view.
    pub view: String,
    /// The word for it.
    pub status: ViewStatus,
    /// The generation that is read; 0 where it was never folded.
    pub generation: u32,
    /// Its rows reflect every event at or below it.
    pub position: Position,
    /// How many positions the head of the log is beyond that.
    pub behind: u64,
    /// Events that its rows lack.
    pub parked: u64,
    /// How far a rebuild beside the rows has come, unfinished or running.
    pub rebuilt_to: Option<Position>,
    /// The generation that a revert brings back.
    pub replaced: Option<u32>,
    /// The process that folds it; none where none does, or where every process may.
    pub folded_by: Option<String>,
    /// The event or the failure that stopped it, and since when.
    pub stop: Option<ViewStop>,
    /// Why it does not go on, or its rows cannot be used, with the command that mends it.
    pub problem: Option<String>,
    /// What persons have skipped.
    pub skipped: Vec<SkippedEvent>,
}

/// Where all views stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standings {
    /// The head of the log.
    pub head: Position,
    /// The views, by name.
    pub views: Vec<ViewStanding>,
}

/// What the store said of all views.
struct Facts {
    head: Position,
    views: HashMap<String, ViewFacts>,
}

#[derive(Default)]
struct ViewFacts {
    info: Option<ViewInfo>,
    /// That its checkpoint does not fit the log.
    refused: Option<String>,
    folded_by: Option<String>,
    is_being_rebuilt: bool,
    skipped: Vec<SkippedEvent>,
}

/// What the store last said, and when. One asks at a time.
#[derive(Default)]
pub(super) struct Known(Mutex<Option<(Timestamp, Arc<Facts>)>>);

impl Views {
    /// As [`Engine::view_standings`](crate::Engine::view_standings).
    pub(crate) async fn standings(&self) -> Result<Standings, Error> {
        let mut known = self.known.0.lock().await;
        let now = self.clock.now();
        let facts = match &*known {
            // A clock that was set back makes nothing fresh.
            Some((at, facts)) if *at <= now && !has_passed(STANDINGS_AGE_MAX, *at, now) => facts.clone(),
            _ => {
                let facts = Arc::new(self.facts().await?);
                *known = Some((now, facts.clone()));
                facts
            }
        };
        drop(known);
        Ok(self.standings_by(&facts))
    }

    /// As [`Engine::view_standings_now`](crate::Engine::view_standings_now).
    pub(crate) async fn standings_now(&self) -> Result<Standings, Error> {
        let facts = Arc::new(self.facts().await?);
        *self.known.0.lock().await = Some((self.clock.now(), facts.clone()));
        Ok(self.standings_by(&facts))
    }

    async fn facts(&self) -> Result<Facts, Error> {
        let mut infos: HashMap<String, ViewInfo> =
            self.read_models.views().await?.into_iter().map(|info| (info.name.clone(), info)).collect();
        // Read after the catalogue, so that no view is beyond it.
        let head = self.store.head().await?;
        let mut views = HashMap::new();
        for schema in self.registry.views() {
            let mut facts = ViewFacts { info: infos.remove(&schema.name), ..ViewFacts::default() };
            if let Some(info) = &facts.info {
                match self.check_checkpoint(&schema.name, &info.active.checkpoint).await {
                    Ok(()) => {}
                    Err(refused @ Error::CheckpointRefused(_)) => facts.refused = Some(refused.to_string()),
                    Err(error) => return Err(error),
                }
                facts.skipped = self.read_models.skipped(&schema.name).await?;
            }
            if let Some(leases) = &self.leases {
                facts.folded_by = self.holder(&schema.name).await?;
                facts.is_being_rebuilt = leases.find(&rebuild_lease(&schema.name)).await?.is_some();
            } else {
                facts.is_being_rebuilt = facts.info.as_ref().is_some_and(|info| info.building.is_some());
            }
            views.insert(schema.name, facts);
        }
        Ok(Facts { head, views })
    }

    fn standings_by(&self, facts: &Facts) -> Standings {
        let here = self.states();
        let none = ViewFacts::default();
        // What a runner of this process has seen is there.
        let seen = here.iter().filter(|state| !state.status.is_stopped()).map(|state| state.position).max();
        let is_refused = facts.views.values().any(|view| view.refused.is_some());
        let head = seen.filter(|_| !is_refused).unwrap_or(facts.head).max(facts.head);
        let standing = |schema: ViewSchema| {
            let runner = here.iter().find(|state| state.name == schema.name);
            let view = facts.views.get(&schema.name).unwrap_or(&none);
            standing(&schema, view, head, runner, self.leases.is_some(), &self.config.program)
        };
        Standings { head, views: self.registry.views().into_iter().map(standing).collect() }
    }
}

/// The one computation.
fn standing(
    schema: &ViewSchema,
    facts: &ViewFacts,
    head: Position,
    runner: Option<&ViewState>,
    has_leases: bool,
    program: &str,
) -> ViewStanding {
    let info = facts.info.as_ref();
    let stored = info.map_or(Position::START, |info| info.active.checkpoint.position);
    let generation = info.map_or(0, |info| info.active.number);
    // What stands by knows no more than the store.
    let runner = runner.filter(|runner| runner.status != SubscriptionState::Standby);
    let follows = runner.filter(|runner| !runner.status.is_stopped() && runner.generation >= generation);
    let position = follows.map_or(stored, |runner| runner.position);
    let stop = info.and_then(|info| info.stop.as_ref()).filter(|stop| {
        // The runner is past it, and the store hears so in a moment.
        let passed = |runner: &ViewState| match stop.event() {
            Some(event) => runner.position >= event.position,
            None => runner.status == SubscriptionState::Live,
        };
        !follows.is_some_and(passed)
    });
    let changed = info.is_some_and(|info| info.active.fingerprint != schema.fingerprint());
    let is_rebuilt =
        |info: &ViewInfo| info.building.is_some_and(|building| building.fingerprint == schema.fingerprint());
    let repair = format!("{program} view rebuild {}", schema.name);
    let (status, problem) = if changed {
        if facts.is_being_rebuilt && info.is_some_and(is_rebuilt) {
            (ViewStatus::Rebuilding, None)
        } else {
            (ViewStatus::Failed, Some(format!("definition changed: run `{repair}`")))
        }
    } else if let Some(refused) = &facts.refused {
        (ViewStatus::Failed, Some(refused.clone()))
    } else if let Some(stop) = stop {
        match &stop.cause {
            StopCause::Event { event, .. } => (
                ViewStatus::Paused,
                Some(format!(
                    "event at position {} ({}, version {}) of tenant {}: {}",
                    event.position, event.stream, event.version, event.tenant, event.reason
                )),
            ),
            StopCause::Failure { reason } => (ViewStatus::Failed, Some(reason.clone())),
        }
    } else {
        let error = runner.and_then(|runner| runner.error.clone());
        match runner.map(|runner| runner.status) {
            Some(SubscriptionState::Paused) => (ViewStatus::Paused, error),
            Some(SubscriptionState::Failed) => (ViewStatus::Failed, error),
            Some(SubscriptionState::Live) => (ViewStatus::Live, error),
            Some(SubscriptionState::CatchingUp) => (ViewStatus::CatchingUp, error),
            None | Some(SubscriptionState::Standby) if has_leases && facts.folded_by.is_none() => {
                (ViewStatus::NotRunning, None)
            }
            None | Some(SubscriptionState::Standby) if position < head => (ViewStatus::CatchingUp, None),
            None | Some(SubscriptionState::Standby) => (ViewStatus::Live, None),
        }
    };
    ViewStanding {
        view: schema.name.clone(),
        status,
        generation,
        position,
        behind: head.number().saturating_sub(position.number()),
        parked: info.map_or(0, |info| info.active.parked),
        rebuilt_to: info.and_then(|info| info.building).map(|building| building.checkpoint.position),
        replaced: info.and_then(|info| info.replaced).map(|(replaced, _)| replaced.number),
        folded_by: facts.folded_by.clone(),
        stop: stop.cloned(),
        problem,
        skipped: facts.skipped.clone(),
    }
}
