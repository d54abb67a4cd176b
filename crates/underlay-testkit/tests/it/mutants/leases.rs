use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::{MemoryLeases, MemoryReadModels};
use underlay_core::{
    Error, Lease, LeaseId, Leases, ManualClock, ReadModels, Timestamp, ViewBatch, ViewTable,
};
use underlay_testkit::{Fixture, LeasesFixture, Over, ReadModelsFixture, ReadModelsLayer, Skip};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Who asks first is found out, and somebody else comes in between.
    AsksThenTakes,
    /// Who has a lease is given it again.
    GivesItToItsHolder,
    /// A lease is for ever.
    NeverRunsOut,
    /// Terms begin anew with a release.
    CountsFromOneAgain,
    /// Terms begin anew when the store is opened.
    ForgetsWhenReopened,
    /// A lease that ran out is renewed while nobody has taken it.
    RenewsWhatRanOut,
    /// Whoever asks releases a lease.
    ReleasesForAnybody,
    /// A batch is stored whatever its lease.
    StoresUnderAnyLease,
    /// A batch is stored as long as nobody else has the lease.
    StoresUnderWhatRanOut,
    /// Of a lease only the term is compared.
    ComparesTheTermAlone,
    /// Who held a lease last is found.
    FindsWhatRanOut,
    /// Limits are not looked at.
    HasNoLimits,
}

struct Broken {
    mutation: Mutation,
    clock: Arc<ManualClock>,
    inner: Mutex<MemoryLeases>,
    last: Mutex<Option<Lease>>,
    views: MemoryReadModels,
}

struct Mutant(Arc<Broken>);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
        let leases = MemoryLeases::new(clock.clone());
        let views = MemoryReadModels::with_leases(leases.clone());
        Self(Arc::new(Broken { mutation, clock, inner: Mutex::new(leases), last: Mutex::default(), views }))
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        if self.0.mutation == Mutation::ForgetsWhenReopened {
            *self.0.inner.lock().unwrap() = MemoryLeases::new(self.0.clock.clone());
        }
        self
    }
}

impl ReadModelsFixture for Mutant {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(Over(Rows(self.0.clone())))
    }
}

impl LeasesFixture for Mutant {
    fn leases(&self) -> Arc<dyn Leases> {
        self.0.clone()
    }

    fn pass(&self, time: Duration) {
        if self.0.mutation != Mutation::NeverRunsOut {
            self.0.clock.advance(time);
        }
    }
}

impl Broken {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    fn leases(&self) -> MemoryLeases {
        self.inner.lock().unwrap().clone()
    }

    /// The lease as it is stored, where only the term is compared.
    async fn stored(&self, name: &str, term: u64) -> Option<Lease> {
        if !self.is(Mutation::ComparesTheTermAlone) {
            return None;
        }
        self.leases().find(name).await.unwrap().filter(|stored| stored.term == term)
    }

    /// Whoever has the lease of a name, as of the term given.
    fn held(lease: &Lease, term: u64, end: Timestamp) -> Lease {
        Lease { term, expires_at: end, ..lease.clone() }
    }
}

#[async_trait]
impl Leases for Broken {
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error> {
        let leases = self.leases();
        if self.is(Mutation::HasNoLimits) && (name.len() > 128 || duration > Duration::from_secs(100_000)) {
            return leases.acquire("short", "short", Duration::from_secs(1)).await;
        }
        let given = leases.acquire(name, holder, duration).await?;
        if given.is_some() {
            self.last.lock().unwrap().clone_from(&given);
        }
        if given.is_some() || !(self.is(Mutation::AsksThenTakes) || self.is(Mutation::GivesItToItsHolder)) {
            return Ok(given);
        }
        let again = self.is(Mutation::AsksThenTakes) || holder == "a";
        let lease = Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            term: 1,
            id: LeaseId::draw(),
            expires_at: Timestamp::MAX,
        };
        Ok(again.then_some(lease))
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error> {
        let stored = self.stored(&lease.name, lease.term).await;
        let renewed = self.leases().renew(stored.as_ref().unwrap_or(lease), duration).await;
        match renewed {
            Err(Error::LeaseLost { .. }) if self.is(Mutation::RenewsWhatRanOut) && lease.term > 0 => {
                Ok(Self::held(lease, lease.term, Timestamp::MAX))
            }
            renewed => renewed,
        }
    }

    async fn find(&self, name: &str) -> Result<Option<Lease>, Error> {
        match self.leases().find(name).await? {
            None if self.is(Mutation::FindsWhatRanOut) => Ok(self.last.lock().unwrap().clone()),
            found => Ok(found),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let leases = self.leases();
        match self.mutation {
            Mutation::CountsFromOneAgain => {
                *self.inner.lock().unwrap() = MemoryLeases::new(self.clock.clone());
                Ok(())
            }
            Mutation::ReleasesForAnybody => match leases.find(&lease.name).await? {
                Some(stored) => leases.release(&stored).await,
                None => Ok(()),
            },
            _ => {
                let stored = self.stored(&lease.name, lease.term).await;
                leases.release(stored.as_ref().unwrap_or(lease)).await
            }
        }
    }
}

/// The rows beside the leases.
struct Rows(Arc<Broken>);

#[async_trait]
impl ReadModelsLayer for Rows {
    type Below = MemoryReadModels;

    fn below(&self) -> MemoryReadModels {
        self.0.views.clone()
    }

    async fn apply(&self, table: &ViewTable, mut batch: ViewBatch) -> Result<(), Error> {
        let held = match &batch.lease {
            // Somebody who asks now gets it: nobody else has it.
            Some(lease) if self.0.is(Mutation::StoresUnderWhatRanOut) => {
                let probe = self.0.leases().acquire(&lease.name, "probe", Duration::from_secs(1)).await?;
                probe.is_some_and(|probe| probe.term == lease.term + 1)
            }
            _ => self.0.is(Mutation::StoresUnderAnyLease),
        };
        if held {
            batch.lease = None;
        }
        if let Some(lease) = &mut batch.lease
            && let Some(stored) = self.0.stored(&lease.name, lease.term).await
        {
            *lease = stored.term();
        }
        self.0.views.apply(table, batch).await
    }
}

underlay_testkit::conformance!(leases, Mutant);

caught! { leases;
    several_winners: one_of_many_gets_the_lease fails on AsksThenTakes;
    given_to_its_holder: a_lease_runs_out fails on GivesItToItsHolder;
    never_ending: a_lease_runs_out fails on NeverRunsOut;
    terms_from_one_again: terms_only_grow fails on CountsFromOneAgain;
    terms_forgotten: terms_only_grow fails on ForgetsWhenReopened;
    renewed_too_late: who_lost_a_lease_cannot_renew_it fails on RenewsWhatRanOut;
    released_for_another: a_released_lease_is_free fails on ReleasesForAnybody;
    stored_under_any: a_lost_lease_stores_nothing fails on StoresUnderAnyLease;
    stored_late: a_lost_lease_stores_nothing fails on StoresUnderWhatRanOut;
    of_another_store: a_term_given_twice_is_its_last_holders fails on ComparesTheTermAlone;
    found_too_long: who_holds_a_lease_is_found fails on FindsWhatRanOut;
    without_limits: limits_of_leases_are_named fails on HasNoLimits;
}
