//! Where durable subscriptions stand, in whatever process they are kept: one computation, which every door tells.

use serde::ser::{Serialize, SerializeStruct, Serializer};
use underlay_core::{Error, Position, StopCause, StoredCheckpoint, ViewStop};

use super::{Consumer, DurableSubscriptions, FollowerKind, FollowerState};
use crate::subscription::{FollowerStatus, SubscriptionState, is_past};

/// Where a process or a pump stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerStanding {
    kind: FollowerKind,
    /// Its name.
    pub name: String,
    /// The word for it.
    pub status: FollowerStatus,
    /// Every event at or below it was taken: by the sink of a pump, or for the instances of a process.
    pub position: Position,
    /// How many positions the head of the log is beyond that.
    pub behind: u64,
    /// The process that keeps it; none where none does, or where every process may.
    pub held_by: Option<String>,
    /// The event or the failure that stopped it, and since when.
    pub stop: Option<ViewStop>,
    /// Why it does not go on, with what mends it, or what is being tried again.
    pub problem: Option<String>,
}

impl Serialize for FollowerStanding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let held_by = match self.kind {
            FollowerKind::Process => "followed_by",
            FollowerKind::Pump => "held_by",
        };
        let mut fields = serializer.serialize_struct("FollowerStanding", 7)?;
        fields.serialize_field(self.kind.word(), &self.name)?;
        fields.serialize_field("status", &self.status)?;
        fields.serialize_field("position", &self.position)?;
        fields.serialize_field("behind", &self.behind)?;
        fields.serialize_field(held_by, &self.held_by)?;
        fields.serialize_field("stop", &self.stop)?;
        fields.serialize_field("problem", &self.problem)?;
        fields.end()
    }
}

/// What the store says of one.
#[derive(Debug, Default)]
struct Facts {
    stored: Position,
    stop: Option<ViewStop>,
    /// That it cannot go on from what is stored.
    refused: Option<String>,
    held_by: Option<String>,
}

impl DurableSubscriptions {
    /// Where these consumers stand.
    pub(crate) async fn standings<C: Consumer>(
        &self,
        consumers: &[C],
    ) -> Result<Vec<FollowerStanding>, Error> {
        if consumers.is_empty() {
            return Ok(Vec::new());
        }
        let mut facts = Vec::with_capacity(consumers.len());
        for consumer in consumers {
            facts.push(self.facts(consumer).await?);
        }
        // Read after the checkpoints, so that none is beyond it.
        let head = self.store.head().await?;
        let here = self.states();
        let standing = |(consumer, facts): (&C, Facts)| {
            let runner = here.iter().find(|state| state.name == consumer.name());
            standing(consumer, facts, head, runner, self.leases.is_some(), &self.program)
        };
        Ok(consumers.iter().zip(facts).map(standing).collect())
    }

    async fn facts<C: Consumer>(&self, consumer: &C) -> Result<Facts, Error> {
        let mut facts = Facts::default();
        if let Some(leases) = &self.leases {
            let held = leases.find(&C::KIND.checkpoint_name(consumer.name())).await?;
            facts.held_by = held.map(|lease| lease.holder);
        }
        let Some(stored) = self.find(consumer).await? else { return Ok(facts) };
        facts.stored = stored.checkpoint.position;
        facts.stop = self.kept(consumer, &stored).ok().and_then(|kept| kept.stop);
        match self.check(consumer, &stored).await {
            Ok(()) => {}
            Err(refused @ (Error::CheckpointRefused(_) | Error::Invalid(_) | Error::Damaged(_))) => {
                facts.refused = Some(refused.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(facts)
    }

    async fn check<C: Consumer>(&self, consumer: &C, stored: &StoredCheckpoint) -> Result<(), Error> {
        let place = self.place(consumer, stored).await?;
        consumer.check_definition(&place.kept.definition).await
    }
}

/// The one computation.
fn standing<C: Consumer>(
    consumer: &C,
    facts: Facts,
    head: Position,
    runner: Option<&FollowerState>,
    has_leases: bool,
    program: &str,
) -> FollowerStanding {
    // What stands by knows no more than the store.
    let runner = runner.filter(|runner| runner.status != SubscriptionState::Standby);
    let follows = runner.filter(|runner| !runner.status.is_stopped());
    let position = follows.map_or(facts.stored, |runner| runner.position.max(facts.stored));
    let passed = |stop: &ViewStop| {
        follows.is_some_and(|runner| position > facts.stored && is_past(stop, runner.status, position))
    };
    let stop = facts.stop.filter(|stop| !passed(stop));
    let (status, problem) = match facts.refused {
        Some(refused) => (FollowerStatus::Failed, Some(refused)),
        None => {
            let told = |stop: &ViewStop| {
                let cause = match &stop.cause {
                    StopCause::Event { event, .. } => C::told(event),
                    StopCause::Failure { reason } => reason.clone(),
                };
                cause + &consumer.advice(program)
            };
            FollowerStatus::of(
                stop.as_ref().map(|stop| (stop, told(stop))),
                runner.map(|runner| (runner.status, runner.error.as_deref())),
                !has_leases || facts.held_by.is_some(),
                position < head,
            )
        }
    };
    FollowerStanding {
        kind: C::KIND,
        name: consumer.name().to_owned(),
        status,
        position,
        behind: head.number().saturating_sub(position.number()),
        held_by: facts.held_by,
        stop,
        problem,
    }
}
