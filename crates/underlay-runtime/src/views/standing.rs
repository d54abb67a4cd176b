//! Where every view stands: one computation, and one word that every process and every door says.
//!
//! What the store says is the same for all: the catalogue with its stops, the head of the log, and who has which
//! lease. A process adds what its own runners know, which the store hears a moment later.
//!
//! Where a store has no leases nobody knows whether a process keeps a view: such a view is at the head of
//! the log or behind it, and never `NotRunning`.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use underlay_core::{Error, Position, SkippedEvent, StopCause, ViewInfo, ViewSchema, ViewStop, ViewTable};

use super::Views;
use super::order::{OrderStanding, ViewOrder};
use super::rebuild::rebuild_lease;
use super::runner::ViewState;
use crate::subscription::{FollowerStatus, SubscriptionState, is_past, told_of};

/// Where a view stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewStanding {
    /// The view.
    pub view: String,
    /// The word for it.
    pub status: FollowerStatus,
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
    /// What was last ordered of it, and how far that is.
    pub order: Option<OrderStanding>,
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
pub(super) struct Facts {
    head: Position,
    views: HashMap<String, ViewFacts>,
}

#[derive(Default)]
struct ViewFacts {
    info: Option<ViewInfo>,
    /// That its checkpoint does not fit the log, or its table was altered by hand.
    refused: Option<String>,
    folded_by: Option<String>,
    /// The process that builds a generation, where leases tell.
    built_by: Option<String>,
    is_being_rebuilt: bool,
    skipped: Vec<SkippedEvent>,
}

impl Views {
    /// As [`Engine::view_standings`](crate::Engine::view_standings).
    pub(crate) async fn standings(&self) -> Result<Standings, Error> {
        let ask = async { self.facts().await.map(Arc::new) };
        Ok(self.standings_by(&*self.known.or_ask(&*self.clock, ask).await?))
    }

    /// As [`Engine::view_standings_now`](crate::Engine::view_standings_now).
    pub(crate) async fn standings_now(&self) -> Result<Standings, Error> {
        let ask = async { self.facts().await.map(Arc::new) };
        Ok(self.standings_by(&*self.known.ask(&*self.clock, ask).await?))
    }

    /// As [`Engine::view_standing`](crate::Engine::view_standing).
    pub(crate) async fn standing_now(&self, view: &str) -> Result<ViewStanding, Error> {
        self.registry.find_view(view)?;
        let standings = self.standings_now().await?.views;
        let found = standings.into_iter().find(|standing| standing.view == view);
        found.ok_or_else(|| Error::NotFound(format!("view {view:?}")))
    }

    /// That the generation that is read fits the log, and its table is as it was made.
    async fn check_readable(&self, schema: &ViewSchema, info: &ViewInfo) -> Result<(), Error> {
        self.check_checkpoint(&schema.name, &info.active.checkpoint).await?;
        if info.active.fingerprint != schema.fingerprint() {
            return Ok(());
        }
        self.check_unaltered(&ViewTable { schema: schema.clone(), generation: info.active.number }).await
    }

    async fn facts(&self) -> Result<Facts, Error> {
        let mut infos: HashMap<String, ViewInfo> =
            self.infos().await?.into_iter().map(|info| (info.name.clone(), info)).collect();
        // Read after the catalogue, so that no view is beyond it.
        let head = self.store.head().await?;
        let mut views = HashMap::new();
        for schema in self.registry.views() {
            let mut facts = ViewFacts { info: infos.remove(&schema.name), ..ViewFacts::default() };
            if let Some(info) = &facts.info {
                match self.check_readable(&schema, info).await {
                    // A swap came in between: the next look sees what is read.
                    Ok(()) | Err(Error::NotFound(_)) => {}
                    Err(refused @ (Error::CheckpointRefused(_) | Error::Damaged(_))) => {
                        facts.refused = Some(refused.to_string());
                    }
                    Err(error) => return Err(error),
                }
                facts.skipped = self.rows(&schema.name).skipped(&schema.name).await?;
            }
            if let Some(leases) = self.leases(&schema.name) {
                facts.folded_by = self.holder(&schema.name).await?;
                facts.built_by = leases.find(&rebuild_lease(&schema.name)).await?.map(|lease| lease.holder);
                facts.is_being_rebuilt = facts.built_by.is_some();
            } else {
                facts.is_being_rebuilt = facts.info.as_ref().is_some_and(|info| info.building.is_some());
            }
            views.insert(schema.rows.name, facts);
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
            let has_leases = self.leases(&schema.name).is_some();
            standing(&schema, view, head, runner, has_leases, &self.config.program)
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
    let passed =
        |stop: &&ViewStop| follows.is_some_and(|runner| is_past(stop, runner.status, runner.position));
    let stop = info.and_then(|info| info.stop.as_ref()).filter(|stop| !passed(stop));
    let changed = info.is_some_and(|info| info.active.fingerprint != schema.fingerprint());
    let is_rebuilt =
        |info: &ViewInfo| info.building.is_some_and(|building| building.fingerprint == schema.fingerprint());
    let repair = format!("{program} view rebuild {}", schema.name);
    let (status, problem) = if changed {
        if facts.is_being_rebuilt && info.is_some_and(is_rebuilt) {
            (FollowerStatus::Rebuilding, None)
        } else {
            (FollowerStatus::Failed, Some(format!("definition changed: run `{repair}`")))
        }
    } else if let Some(refused) = &facts.refused {
        (FollowerStatus::Failed, Some(refused.clone()))
    } else {
        let told = |stop: &ViewStop| match &stop.cause {
            StopCause::Event { event, .. } => told_of(event),
            StopCause::Failure { reason } => reason.clone(),
        };
        FollowerStatus::of(
            stop.map(|stop| (stop, told(stop))),
            runner.map(|runner| (runner.status, runner.error.as_deref())),
            !has_leases || facts.folded_by.is_some(),
            position < head,
        )
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
        order: info
            .and_then(|info| info.order.as_ref())
            .and_then(ViewOrder::of)
            .map(|order| OrderStanding::new(order, facts.built_by.clone())),
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::{Checkpoint, Generation, StoreId, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn schema(version: u32) -> ViewSchema {
        ViewSchema::new("balances", version, Vec::new())
    }

    fn generation(version: u32, position: u64) -> Generation {
        let checkpoint = Checkpoint {
            position: Position::from_number(position),
            ..Checkpoint::start(StoreId(Uuid::nil()))
        };
        Generation {
            number: version,
            fingerprint: schema(version).fingerprint(),
            checkpoint,
            parked: 0,
            skipped: 0,
        }
    }

    /// A view at a position, folded by another process.
    fn facts(position: u64) -> ViewFacts {
        let info = ViewInfo {
            name: "balances".to_owned(),
            active: generation(1, position),
            building: None,
            replaced: None,
            discarded: 0,
            stop: None,
            order: None,
        };
        ViewFacts { info: Some(info), folded_by: Some("another".to_owned()), ..ViewFacts::default() }
    }

    fn stopped(facts: ViewFacts) -> ViewFacts {
        let cause = StopCause::Failure { reason: "the disk is full".to_owned() };
        let stop = Some(ViewStop { since: Timestamp::UNIX_EPOCH, cause });
        ViewFacts { info: facts.info.map(|info| ViewInfo { stop, ..info }), ..facts }
    }

    fn runner(status: SubscriptionState, position: u64) -> ViewState {
        let (name, position) = ("balances".to_owned(), Position::from_number(position));
        ViewState { name, status, generation: 1, position, error: None }
    }

    /// The word for a view of a log of ten events.
    fn word(version: u32, facts: &ViewFacts, runner: Option<&ViewState>) -> FollowerStatus {
        standing(&schema(version), facts, Position::from_number(10), runner, true, "bank").status
    }

    #[test]
    fn who_stands_by_says_what_everybody_else_says() {
        let standby = runner(SubscriptionState::Standby, 10);
        let free = ViewFacts { folded_by: None, ..facts(10) };
        for (facts, expected) in [
            (facts(10), FollowerStatus::Live),
            (facts(9), FollowerStatus::CatchingUp),
            (free, FollowerStatus::NotRunning),
            (stopped(facts(9)), FollowerStatus::Failed),
            (ViewFacts { refused: Some("another log".to_owned()), ..facts(9) }, FollowerStatus::Failed),
        ] {
            assert_eq!(word(1, &facts, None), expected);
            assert_eq!(word(1, &facts, Some(&standby)), expected);
        }
    }

    #[test]
    fn a_changed_definition_has_failed_or_is_being_rebuilt() {
        let changed = facts(10);
        assert_eq!(word(2, &changed, None), FollowerStatus::Failed);
        let mut building = ViewFacts { is_being_rebuilt: true, ..facts(10) };
        assert_eq!(word(2, &building, None), FollowerStatus::Failed, "somebody builds another definition");
        building.info.as_mut().unwrap().building = Some(generation(2, 5));
        assert_eq!(word(2, &building, None), FollowerStatus::Rebuilding);
        assert_eq!(
            word(1, &building, None),
            FollowerStatus::Live,
            "for a program of the definition that is read"
        );
        building.is_being_rebuilt = false;
        assert_eq!(word(2, &building, None), FollowerStatus::Failed, "that rebuild was broken off");
    }

    #[test]
    fn what_a_runner_of_this_process_has_seen_comes_before_what_is_stored() {
        let behind = facts(3);
        assert_eq!(word(1, &behind, Some(&runner(SubscriptionState::Live, 10))), FollowerStatus::Live);
        assert_eq!(
            word(1, &stopped(facts(3)), Some(&runner(SubscriptionState::Live, 10))),
            FollowerStatus::Live
        );
        assert_eq!(
            word(1, &stopped(facts(3)), Some(&runner(SubscriptionState::CatchingUp, 3))),
            FollowerStatus::Failed
        );
        assert_eq!(word(1, &behind, Some(&runner(SubscriptionState::Paused, 3))), FollowerStatus::Paused);
    }

    #[test]
    fn without_leases_nobody_knows_whether_a_process_keeps_a_view() {
        let alone = ViewFacts { folded_by: None, ..facts(10) };
        let standing = standing(&schema(1), &alone, Position::from_number(12), None, false, "bank");
        assert_eq!((standing.status, standing.behind), (FollowerStatus::CatchingUp, 2));
    }
}
