use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::{MemoryCheckpoints, MemoryLeases, MemoryReadModels};
use underlay_core::{
    Checkpoint, Checkpoints, Error, Json, LeaseTerm, Leases, ManualClock, ReadModels, StoredCheckpoint,
    Timestamp,
};
use underlay_testkit::{
    CheckpointsFixture, CheckpointsLayer, Fixture, LeasesFixture, Over, ReadModelsFixture, Skip,
};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Only the place is kept.
    LosesDefinitions,
    /// Reopened, there are none.
    ForgetsWhenReopened,
    /// A checkpoint moves wherever it was.
    MovesFromAnywhere,
    /// Of a place the position is compared alone.
    ComparesThePositionAlone,
    /// Whether it is there is found out, and somebody else comes in between.
    AsksThenMoves,
    /// A checkpoint moves whatever the lease.
    MovesUnderAnyLease,
    /// A checkpoint moves as long as nobody else has the lease.
    MovesUnderWhatRanOut,
    /// The last is listed first.
    ListsBackwards,
    /// Errors say that there is a limit, not which.
    NamesNoLimit,
}

struct Broken {
    mutation: Mutation,
    clock: Arc<ManualClock>,
    leases: MemoryLeases,
    checkpoints: MemoryCheckpoints,
}

#[derive(Clone)]
struct Mutant(Arc<Broken>);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
        let leases = MemoryLeases::new(clock.clone());
        let checkpoints = MemoryCheckpoints::new(leases.clone());
        Self(Arc::new(Broken { mutation, clock, leases, checkpoints }))
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.0.mutation == mutation
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        if self.is(Mutation::ForgetsWhenReopened) { Self::with(Mutation::ForgetsWhenReopened) } else { self }
    }
}

impl ReadModelsFixture for Mutant {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(MemoryReadModels::default())
    }
}

impl LeasesFixture for Mutant {
    fn leases(&self) -> Arc<dyn Leases> {
        Arc::new(self.0.leases.clone())
    }

    fn pass(&self, time: Duration) {
        self.0.clock.advance(time);
    }
}

impl CheckpointsFixture for Mutant {
    fn checkpoints(&self) -> Arc<dyn Checkpoints> {
        Arc::new(Over(self.clone()))
    }
}

#[async_trait]
impl CheckpointsLayer for Mutant {
    type Below = MemoryCheckpoints;

    fn below(&self) -> &MemoryCheckpoints {
        &self.0.checkpoints
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        let checkpoints = &self.0.checkpoints;
        let mut from = from.copied();
        let mut to = to.clone();
        let mut lease = lease.cloned();
        // A name that is too long has none.
        let there = checkpoints.find_checkpoint(name).await.ok().flatten().map(|there| there.checkpoint);
        match self.0.mutation {
            Mutation::LosesDefinitions => to.definition = Json::from_stored("null"),
            Mutation::MovesFromAnywhere => from = there,
            Mutation::ComparesThePositionAlone
                if from.map(|from| from.position) == there.map(|there| there.position) =>
            {
                from = there;
            }
            Mutation::AsksThenMoves if from == there => {
                tokio::task::yield_now().await;
                from = checkpoints.find_checkpoint(name).await?.map(|there| there.checkpoint);
            }
            Mutation::MovesUnderAnyLease => lease = None,
            Mutation::MovesUnderWhatRanOut => {
                if let Some(term) = &lease
                    && self.0.leases.find(&term.name).await?.is_none()
                {
                    lease = None;
                }
            }
            _ => {}
        }
        match checkpoints.move_checkpoint(name, from.as_ref(), &to, lease.as_ref()).await {
            Err(Error::Invalid(_)) if self.is(Mutation::NamesNoLimit) => Err(Error::invalid("too long")),
            answer => answer,
        }
    }

    async fn list_checkpoints(&self) -> Result<Vec<(String, StoredCheckpoint)>, Error> {
        let mut listed = self.0.checkpoints.list_checkpoints().await?;
        if self.is(Mutation::ListsBackwards) {
            listed.reverse();
        }
        Ok(listed)
    }
}

underlay_testkit::conformance!(checkpoints, Mutant);

caught! { checkpoints;
    without_definitions: a_checkpoint_is_kept fails on LosesDefinitions;
    forgotten: a_checkpoint_is_kept fails on ForgetsWhenReopened;
    from_anywhere: a_checkpoint_moves_from_where_it_was fails on MovesFromAnywhere;
    by_position: a_checkpoint_moves_from_where_it_was fails on ComparesThePositionAlone;
    several_winners: a_checkpoint_moves_from_where_it_was fails on AsksThenMoves;
    under_any_lease: a_lost_lease_moves_no_checkpoint fails on MovesUnderAnyLease;
    under_what_ran_out: a_lost_lease_moves_no_checkpoint fails on MovesUnderWhatRanOut;
    backwards: checkpoints_are_listed fails on ListsBackwards;
    without_limits: limits_of_checkpoints_are_named fails on NamesNoLimit;
}
