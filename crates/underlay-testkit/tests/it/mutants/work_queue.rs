use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    BegunWork, Clock, Commit, CommitId, Committed, DueLook, DuePage, DuePlace, Error, EventStore, HeldShard,
    Lane, LaneCursors, ManualClock, QueueDepth, ReadWork, Settled, Settlement, Shard, ShardTerm, Share,
    TenantId, Timestamp, WorkFilter, WorkId, WorkInfo, WorkList, WorkPage, WorkPlace, WorkQueue, WorkScope,
    WorkStanding, Worker, WorkerId, check_due_look,
};
use underlay_testkit::{
    EventStoreFixture, EventStoreLayer, Fixture, Over, Skip, WorkQueueFixture, WorkQueueLayer,
};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Work is stored beside its commit, also where that is a conflict.
    StoresWorkOfConflicts,
    /// A repeat is a commit without events, and sends its work again.
    SendsAgainWithARepeat,
    /// The work of a commit is stored from its end.
    ReversesWork,
    /// Whoever asks for shards gets all of them: claims without a term.
    GivesShardsToWhoeverAsks,
    /// Every term is the first.
    CountsNoTerms,
    /// Terms begin anew when the store is opened.
    ForgetsTermsWhenReopened,
    /// Nobody has more than its part.
    TellsNoSurplus,
    /// What a worker has beyond its part is taken away in the middle of it.
    TakesSurplusAway,
    /// Shards are held for ever.
    NeverRunsOut,
    /// Whoever asks is taken for a worker of the same scheduler.
    SharesWithEveryScheduler,
    /// Nobody is told whom it waits for.
    TellsNobodyWhomItWaitsFor,
    /// Those who wait have a part.
    CountsWhoWaits,
    /// A worker that left holds its shards until their time has run out.
    HoldsOnWhenLeaving,
    /// Whoever names a shard gives it back.
    ReleasesForAnybody,
    /// Cursors are moved by whoever names a shard: work is skipped.
    TakesCursorsOfAnybody,
    /// Every worker begins at the start.
    ForgetsCursors,
    /// What was read once is not read again: only what there was a hint for is seen.
    ShowsWorkOnce,
    /// At the end a reader is told to go on beyond what comes next.
    SkipsWhatComesBetween,
    /// Everybody's work is read.
    IgnoresTheScope,
    /// A page of nothing but others' work is the last.
    StopsAtAHeap,
    /// Nobody is told that a worker was lost.
    TellsNoSuspects,
    /// What is begun is not counted.
    CountsNoBeginnings,
    /// Whoever names a shard counts what is begun there.
    CountsForAnybody,
    /// What is due is read of everybody.
    IgnoresTheScopeOfDue,
    /// What is due is read from the start each time.
    BeginsDueAnew,
    /// Work is ready as soon as it is sent.
    IgnoresDueAt,
    /// What waits for its moment blocks its line.
    BlocksWhileItWaits,
    /// What is due is read in the order of places.
    ShowsDueByPlace,
    /// What is done stays.
    KeepsWhatIsDone,
    /// Of a piece that is settled twice in a call, one settlement counts.
    SettlesTwiceInACall,
    /// Failed attempts are not counted.
    CountsNoAttempts,
    /// The next of a line goes while the one before is tried again: order is lost at a retry.
    LosesTheOrderAtARetry,
    /// The delay of a retry begins when the piece was sent.
    DelaysFromTheSending,
    /// A retry is due again by a clock that is an hour behind: at once, until the attempts are used up.
    DelaysByAnotherClock,
    /// A retry blocks the key of every receiver.
    BlocksTheWholeKey,
    /// All that stands behind a piece goes at once.
    ReleasesAllAtOnce,
    /// Work whose blocker is gone by the time it is held stands behind nothing for ever.
    LeavesTheHeldStuck,
    /// The settlements of a call are stored one after the other.
    SettlesOneByOne,
    /// Dead letters are thrown away.
    DeadLettersVanish,
    /// No dead letter blocks its key.
    DeadLettersHoldNothing,
    /// Every dead letter blocks its key.
    DeadLettersAlwaysHold,
    /// Work is settled by its id alone.
    SettlesByIdAlone,
    /// Of a term its number is compared alone.
    ComparesTheNumberAlone,
    /// A term is good for every shard.
    SettlesForOtherShards,
    /// Where one shard is lost, none is settled.
    SettlesAllOrNothing,
    /// Every letter that is named counts as replayed.
    CountsWhatIsNamed,
    /// A replayed letter has used up its attempts.
    ReplaysWithoutAttempts,
    /// A replayed letter is due some day.
    ReplaysLater,
    /// A discarded letter is there, and holds its key.
    DiscardsNothing,
    /// Whoever knows the id replays a letter.
    ReplaysForAnybody,
    /// Whoever knows the id discards a letter.
    DiscardsForAnybody,
    /// Lists show everybody's work.
    ListsForAnybody,
    /// A page holds as many bytes as there are.
    ListsWithoutBound,
    /// A page that is shorter than it may be is the last.
    EndsAListEarly,
    /// A page begins with the last piece of the one before.
    RepeatsTheLast,
    /// Lists are of every kind.
    IgnoresTheFilter,
    /// Lists have dead letters that hold nothing among those that do.
    ListsWhatHoldsNothing,
    /// Dead letters count as work that waits.
    CountsDeadAsLater,
    /// No count is exact.
    CountsAtLeast,
    /// What waits for its next attempt is not late.
    ForgetsTheAgeOfTheTried,
    /// The depths of one tenant are those of all.
    CountsForAnyTenant,
    /// Reopened, there is no work.
    ForgetsWorkWhenReopened,
    /// Reopened, there are no dead letters.
    ForgetsLettersWhenReopened,
    /// Errors say that there is a limit, not which.
    NamesNoLimit,
}

struct Broken {
    mutation: Mutation,
    is_reopened: bool,
    clock: Arc<ManualClock>,
    store: MemoryEventStore,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// The terms as they were given last.
    terms: BTreeMap<Shard, ShardTerm>,
    cursors: BTreeMap<Shard, LaneCursors>,
    seen: BTreeMap<(Shard, Lane), WorkPlace>,
    /// What is due and not shown.
    hidden: BTreeSet<WorkPlace>,
    /// Attempts that a replay did not take back.
    attempts: BTreeMap<WorkPlace, u32>,
    /// Whoever asked for shards.
    workers: BTreeSet<WorkerId>,
}

#[derive(Clone)]
struct Mutant(Arc<Broken>);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
        let store = MemoryEventStore::new(clock.clone());
        Self(Arc::new(Broken { mutation, is_reopened: false, clock, store, noted: Mutex::default() }))
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.0.mutation == mutation
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // An assertion of the case that fails is what is waited for.
        self.0.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn all(&self, dead: bool) -> Vec<WorkInfo> {
        let filter = WorkFilter { dead, ..WorkFilter::default() };
        self.0.store.list_work(&filter, WorkPlace::START, 1_000).await.unwrap().work
    }

    /// Adds what follows a page, as many pieces as it may have.
    async fn list_the_rest(&self, filter: &WorkFilter, limit: usize, listed: &mut WorkList) {
        while let Some(next) = listed.next().filter(|_| listed.work.len() < limit) {
            let rest = self.0.store.list_work(filter, next, limit - listed.work.len()).await.unwrap();
            listed.work.extend(rest.work);
            listed.at_end = rest.at_end;
        }
    }

    /// Sends the work of a commit once more.
    async fn send_again(&self, tenant: &TenantId, commit: &Commit) {
        let again = commit.work.iter().cloned().fold(Commit::new(CommitId::draw()), Commit::send);
        // What is wrong with the work is wrong again.
        let _ = self.0.store.commit(tenant, again).await;
    }

    /// The letters of those named, with their owners.
    async fn letters(&self, named: &[WorkId]) -> Vec<WorkInfo> {
        let mut letters = self.all(true).await;
        letters.retain(|letter| named.contains(&letter.work.id));
        letters
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        let Broken { mutation, ref clock, ref store, .. } = *self.0;
        let store = match mutation {
            Mutation::ForgetsWorkWhenReopened => MemoryEventStore::new(clock.clone()),
            _ => store.clone(),
        };
        let clock = clock.clone();
        Self(Arc::new(Broken { mutation, is_reopened: true, clock, store, noted: Mutex::default() }))
    }
}

impl EventStoreFixture for Mutant {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(Over(self.clone()))
    }
}

impl WorkQueueFixture for Mutant {
    fn work_queue(&self) -> Arc<dyn WorkQueue> {
        Arc::new(Over(self.clone()))
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.0.clock.clone()
    }
}

#[async_trait]
impl EventStoreLayer for Mutant {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.0.store.clone()
    }

    async fn commit(&self, tenant: &TenantId, mut commit: Commit) -> Result<Committed, Error> {
        match self.0.mutation {
            Mutation::ReversesWork => commit.work.reverse(),
            Mutation::IgnoresDueAt => commit.work.iter_mut().for_each(|work| work.due_at = None),
            _ => {}
        }
        let answer = self.0.store.commit(tenant, commit.clone()).await;
        match &answer {
            Err(Error::Conflict(_)) if self.is(Mutation::StoresWorkOfConflicts) => {
                self.send_again(tenant, &commit).await;
            }
            Ok(committed) if committed.repeated && self.is(Mutation::SendsAgainWithARepeat) => {
                self.send_again(tenant, &commit).await;
            }
            _ => {}
        }
        answer
    }
}

#[async_trait]
impl WorkQueueLayer for Mutant {
    type Below = MemoryEventStore;

    fn below(&self) -> &MemoryEventStore {
        &self.0.store
    }

    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
    ) -> Result<Share, Error> {
        let store = &self.0.store;
        let duration = match self.0.mutation {
            Mutation::NeverRunsOut => Duration::from_secs(24 * 60 * 60),
            _ => duration,
        };
        let of_one = Worker { scheduler: Worker::EMBEDDED.to_owned(), ..worker.clone() };
        let worker = if self.is(Mutation::SharesWithEveryScheduler) { &of_one } else { worker };
        let mut share = store.share(worker, duration, cursors).await?;
        self.noted().terms.extend(share.held.iter().map(|held| (held.term.shard, held.term)));
        match self.0.mutation {
            Mutation::GivesShardsToWhoeverAsks => {
                let held = |shard| HeldShard {
                    term: ShardTerm { shard, term: 1, worker: worker.id },
                    cursors: [WorkPlace::START; 2],
                    suspects_to: WorkPlace::START,
                    is_surplus: false,
                };
                share.held = Shard::all().map(held).collect();
            }
            Mutation::TellsNoSuspects => {
                share.held.iter_mut().for_each(|held| held.suspects_to = WorkPlace::START);
            }
            Mutation::ForgetsTermsWhenReopened if !self.0.is_reopened => {}
            Mutation::CountsNoTerms | Mutation::ForgetsTermsWhenReopened => {
                share.held.iter_mut().for_each(|held| held.term.term = 1);
            }
            Mutation::TellsNobodyWhomItWaitsFor => share.waits_for = None,
            Mutation::CountsWhoWaits => {
                let mut noted = self.noted();
                noted.workers.insert(worker.id);
                let part = Shard::all().len() / noted.workers.len();
                share.held.iter_mut().skip(part).for_each(|held| held.is_surplus = true);
            }
            Mutation::TellsNoSurplus => share.held.iter_mut().for_each(|held| held.is_surplus = false),
            Mutation::TakesSurplusAway => {
                let (surplus, kept): (Vec<_>, Vec<_>) =
                    share.held.into_iter().partition(|held| held.is_surplus);
                share.held = kept;
                store.release(&surplus.iter().map(|held| held.term).collect::<Vec<_>>()).await?;
            }
            Mutation::TakesCursorsOfAnybody => {
                let mut noted = self.noted();
                noted.cursors.extend(cursors.iter().copied());
                for held in &mut share.held {
                    held.cursors = noted.cursors.get(&held.term.shard).copied().unwrap_or(held.cursors);
                }
            }
            Mutation::ForgetsCursors => {
                share.held.iter_mut().for_each(|held| held.cursors = [WorkPlace::START; 2]);
            }
            _ => {}
        }
        Ok(share)
    }

    async fn release(&self, terms: &[ShardTerm]) -> Result<(), Error> {
        let mut terms = terms.to_vec();
        if self.is(Mutation::ReleasesForAnybody) {
            let noted = self.noted();
            terms.iter_mut().for_each(|term| *term = noted.terms.get(&term.shard).copied().unwrap_or(*term));
        }
        self.0.store.release(&terms).await
    }

    async fn leave(&self, worker: &Worker) -> Result<(), Error> {
        match self.0.mutation {
            Mutation::HoldsOnWhenLeaving => Ok(()),
            _ => self.0.store.leave(worker).await,
        }
    }

    async fn read_work(
        &self,
        shard: Shard,
        lane: Lane,
        scope: &WorkScope,
        mut after: WorkPlace,
        limit: usize,
    ) -> Result<WorkPage, Error> {
        let everybody = WorkScope::EveryTenantBut(Vec::new());
        let asked = match self.0.mutation {
            Mutation::IgnoresTheScope | Mutation::StopsAtAHeap => &everybody,
            _ => scope,
        };
        if self.is(Mutation::ShowsWorkOnce) {
            after = self.noted().seen.get(&(shard, lane)).copied().unwrap_or(after).max(after);
        }
        let mut page = self.0.store.read_work(shard, lane, asked, after, limit).await?;
        match self.0.mutation {
            Mutation::StopsAtAHeap => {
                page.work.retain(|read| match scope {
                    WorkScope::Tenant(tenant) => read.work.tenant == *tenant,
                    WorkScope::EveryTenantBut(passed) => !passed.contains(&read.work.tenant),
                });
                page.at_end |= page.work.is_empty();
            }
            Mutation::ShowsWorkOnce => {
                self.noted().seen.insert((shard, lane), page.scanned_to);
            }
            Mutation::SkipsWhatComesBetween if page.at_end && page.work.is_empty() => {
                page.scanned_to = WorkPlace::from_number(page.scanned_to.number() + (1 << 20));
            }
            Mutation::LosesTheOrderAtARetry => page.work.iter_mut().for_each(|read| read.is_blocked = false),
            Mutation::BlocksTheWholeKey | Mutation::BlocksWhileItWaits => {
                let key_alone = self.is(Mutation::BlocksTheWholeKey);
                let later = self.all(false).await;
                for read in &mut page.work {
                    read.is_blocked |= later.iter().any(|other| {
                        let (one, sent) = (&other.work, &read.work.sent);
                        other.standing == WorkStanding::Later
                            && one.tenant == read.work.tenant
                            && one.sent.key == sent.key
                            && if key_alone { one.attempts > 0 } else { one.sent.receiver == sent.receiver }
                    });
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn read_due(&self, shard: Shard, look: &DueLook, limit: usize) -> Result<DuePage, Error> {
        let mut asked = look.clone();
        match self.0.mutation {
            Mutation::IgnoresTheScopeOfDue if check_due_look(look, limit).is_ok() => {
                asked.scope = WorkScope::default();
            }
            Mutation::BeginsDueAnew => asked.after = DuePlace::START,
            _ => {}
        }
        let mut page = self.0.store.read_due(shard, &asked, limit).await?;
        match self.0.mutation {
            Mutation::ShowsDueByPlace => page.work.sort_by_key(|read| read.work.place),
            Mutation::ReleasesAllAtOnce if !page.work.is_empty() => {
                let behind = self.all(false).await.into_iter();
                let behind = behind
                    .filter(|info| info.standing == WorkStanding::Behind && info.work.shard == shard)
                    .map(|info| ReadWork { work: info.work, is_blocked: false });
                page.work.extend(behind);
            }
            Mutation::LeavesTheHeldStuck | Mutation::ReplaysLater => {
                let noted = self.noted();
                page.work.retain(|read| !noted.hidden.contains(&read.work.place));
            }
            _ => {}
        }
        Ok(page)
    }

    async fn begin(&self, begun: &[BegunWork]) -> Result<Vec<Shard>, Error> {
        match self.0.mutation {
            Mutation::CountsNoBeginnings => Ok(Vec::new()),
            Mutation::CountsForAnybody => {
                let held = self.noted().terms.clone();
                let as_held = |one: &BegunWork| BegunWork {
                    term: held.get(&one.term.shard).copied().unwrap_or(one.term),
                    ..*one
                };
                self.0.store.begin(&begun.iter().map(as_held).collect::<Vec<_>>()).await
            }
            _ => self.0.store.begin(begun).await,
        }
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        let store = &self.0.store;
        let mut settlements = settlements.to_vec();
        let held = self.noted().terms.clone();
        match self.0.mutation {
            Mutation::KeepsWhatIsDone => settlements.retain(|one| one.settled != Settled::Done),
            Mutation::SettlesTwiceInACall => {
                let mut places = BTreeSet::new();
                settlements.retain(|one| places.insert(one.place));
            }
            Mutation::DeadLettersVanish
            | Mutation::DeadLettersHoldNothing
            | Mutation::DeadLettersAlwaysHold => {
                for one in &mut settlements {
                    if let Settled::Dead { holds, .. } = &mut one.settled {
                        *holds = self.is(Mutation::DeadLettersAlwaysHold);
                        if self.is(Mutation::DeadLettersVanish) {
                            one.settled = Settled::Done;
                        }
                    }
                }
            }
            Mutation::DelaysFromTheSending | Mutation::DelaysByAnotherClock => {
                let sent = self.all(false).await;
                for one in &mut settlements {
                    let Settled::Retry { delay, .. } = &mut one.settled else { continue };
                    let behind = match self.0.mutation {
                        Mutation::DelaysByAnotherClock => Duration::from_secs(3_600),
                        _ => {
                            let sent = sent.iter().find(|info| info.work.place == one.place);
                            let sent_at = sent.map_or(self.0.clock.now(), |info| info.work.sent_at);
                            self.0.clock.now().duration_since(sent_at).unsigned_abs()
                        }
                    };
                    *delay = delay.saturating_sub(behind);
                }
            }
            Mutation::SettlesByIdAlone => {
                for one in &mut settlements {
                    one.term = held.get(&one.term.shard).copied().unwrap_or(one.term);
                }
            }
            Mutation::ComparesTheNumberAlone => {
                for one in &mut settlements {
                    let stored = held.get(&one.term.shard).filter(|stored| stored.term == one.term.term);
                    one.term = stored.copied().unwrap_or(one.term);
                }
            }
            Mutation::SettlesForOtherShards => {
                let all = self.all(false).await;
                for one in &mut settlements {
                    let work = all.iter().find(|info| info.work.place == one.place);
                    let term = work.and_then(|info| held.get(&info.work.shard));
                    one.term = term.copied().unwrap_or(one.term);
                }
            }
            Mutation::SettlesAllOrNothing => {
                let is_lost = |one: &&Settlement| held.get(&one.term.shard) != Some(&one.term);
                let lost: BTreeSet<Shard> =
                    settlements.iter().filter(is_lost).map(|one| one.term.shard).collect();
                if !lost.is_empty() {
                    return Ok(lost.into_iter().collect());
                }
            }
            Mutation::SettlesOneByOne => {
                underlay_core::check_settlements(&settlements)?;
                let mut lost = BTreeSet::new();
                for one in settlements {
                    lost.extend(store.settle(&[one]).await?);
                }
                return Ok(lost.into_iter().collect());
            }
            _ => {}
        }
        let lost = store.settle(&settlements).await?;
        if self.is(Mutation::LeavesTheHeldStuck) {
            for info in self.all(false).await {
                let is_held = |one: &Settlement| one.settled == Settled::Held && one.place == info.work.place;
                if info.standing == WorkStanding::Later && settlements.iter().any(is_held) {
                    self.noted().hidden.insert(info.work.place);
                }
            }
        }
        Ok(lost)
    }

    async fn list_work(
        &self,
        filter: &WorkFilter,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkList, Error> {
        let mut filter = filter.clone();
        match self.0.mutation {
            Mutation::IgnoresTheFilter => filter.kind = None,
            Mutation::ListsWhatHoldsNothing => filter.holds = false,
            Mutation::ListsForAnybody => filter.tenant = None,
            Mutation::ForgetsLettersWhenReopened if filter.dead && self.0.is_reopened => {
                return Ok(WorkList { work: Vec::new(), at_end: true });
            }
            _ => {}
        }
        let mut listed = match self.0.store.list_work(&filter, after, limit).await {
            Err(Error::Invalid(_)) if self.is(Mutation::NamesNoLimit) => {
                return Err(Error::invalid("too much"));
            }
            listed => listed?,
        };
        match self.0.mutation {
            Mutation::ListsWithoutBound => self.list_the_rest(&filter, limit, &mut listed).await,
            Mutation::EndsAListEarly => listed.at_end |= listed.work.len() < limit,
            Mutation::RepeatsTheLast if after > WorkPlace::START => {
                let before = WorkPlace::from_number(after.number() - 1);
                listed = self.0.store.list_work(&filter, before, limit).await?;
            }
            _ => {}
        }
        let noted = self.noted();
        for info in &mut listed.work {
            match self.0.mutation {
                Mutation::CountsNoAttempts => info.work.attempts = 0,
                _ => info.work.attempts += noted.attempts.get(&info.work.place).copied().unwrap_or(0),
            }
        }
        Ok(listed)
    }

    async fn queue_depths(&self, tenant: Option<&TenantId>) -> Result<Vec<QueueDepth>, Error> {
        let tenant = tenant.filter(|_| !self.is(Mutation::CountsForAnyTenant));
        let mut depths = self.0.store.queue_depths(tenant).await?;
        if self.is(Mutation::CountsDeadAsLater) {
            depths.iter_mut().for_each(|depth| depth.later += std::mem::take(&mut depth.dead));
        }
        if self.is(Mutation::ForgetsTheAgeOfTheTried) {
            depths.iter_mut().filter(|depth| depth.ready == 0).for_each(|depth| depth.oldest_sent_at = None);
        }
        if self.is(Mutation::CountsAtLeast) {
            depths.iter_mut().for_each(|depth| depth.ready_is_least = true);
        }
        Ok(depths)
    }

    async fn replay(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        let named = self.letters(letters).await;
        match self.0.mutation {
            Mutation::ReplaysForAnybody => {
                for letter in &named {
                    self.0.store.replay(&letter.work.tenant, &[letter.work.id]).await?;
                }
                return Ok(named.len());
            }
            Mutation::ReplaysWithoutAttempts => {
                let attempts = named.iter().map(|letter| (letter.work.place, letter.work.attempts));
                self.noted().attempts.extend(attempts);
            }
            Mutation::ReplaysLater => {
                self.noted().hidden.extend(named.iter().map(|letter| letter.work.place));
            }
            _ => {}
        }
        let replayed = self.0.store.replay(tenant, letters).await?;
        Ok(if self.is(Mutation::CountsWhatIsNamed) { letters.len() } else { replayed })
    }

    async fn discard(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        let named = self.letters(letters).await;
        match self.0.mutation {
            Mutation::DiscardsNothing => {
                Ok(named.iter().filter(|letter| letter.work.tenant == *tenant).count())
            }
            Mutation::DiscardsForAnybody => {
                for letter in &named {
                    self.0.store.discard(&letter.work.tenant, &[letter.work.id]).await?;
                }
                Ok(named.len())
            }
            _ => self.0.store.discard(tenant, letters).await,
        }
    }
}

underlay_testkit::conformance!(work_queue, Mutant);

caught! { work_queue;
    stored_beside: work_is_stored_with_its_commit fails on StoresWorkOfConflicts;
    sent_again: work_is_stored_with_its_commit fails on SendsAgainWithARepeat;
    from_the_end: work_has_the_order_of_commits fails on ReversesWork;
    claims_without_a_term: a_shard_has_one_worker fails on GivesShardsToWhoeverAsks;
    terms_not_counted: terms_of_shards_only_grow fails on CountsNoTerms;
    terms_forgotten: terms_of_shards_only_grow fails on ForgetsTermsWhenReopened;
    never_shared: shards_are_spread_evenly fails on TellsNoSurplus;
    taken_away: shards_are_spread_evenly fails on TakesSurplusAway;
    held_for_ever: a_worker_that_is_gone_loses_its_shards fails on NeverRunsOut;
    shared_with_all: shards_are_with_one_scheduler fails on SharesWithEveryScheduler;
    waited_for_nobody: shards_are_with_one_scheduler fails on TellsNobodyWhomItWaitsFor;
    shared_with_who_waits: shards_are_with_one_scheduler fails on CountsWhoWaits;
    held_on: a_worker_that_is_gone_loses_its_shards fails on HoldsOnWhenLeaving;
    released_for_another: a_worker_that_is_gone_loses_its_shards fails on ReleasesForAnybody;
    moved_forward: cursors_are_handed_over fails on TakesCursorsOfAnybody;
    back_at_the_start: cursors_are_handed_over fails on ForgetsCursors;
    wakeups_only: ready_work_is_read_in_order fails on ShowsWorkOnce;
    skipped: ready_work_is_read_in_order fails on SkipsWhatComesBetween;
    for_everybody: work_is_read_by_tenant fails on IgnoresTheScope;
    behind_a_heap: work_is_read_by_tenant fails on StopsAtAHeap;
    lost_silently: what_was_begun_is_counted fails on TellsNoSuspects;
    begun_uncounted: what_was_begun_is_counted fails on CountsNoBeginnings;
    begun_for_another: what_was_begun_is_counted fails on CountsForAnybody;
    due_for_everybody: due_work_is_read_by_tenant fails on IgnoresTheScopeOfDue;
    due_anew: due_work_is_read_by_tenant fails on BeginsDueAnew;
    too_early: what_is_due_later_is_in_nobodys_way fails on IgnoresDueAt;
    in_the_way: what_is_due_later_is_in_nobodys_way fails on BlocksWhileItWaits;
    in_another_order: what_is_due_later_is_in_nobodys_way fails on ShowsDueByPlace;
    never_gone: what_is_done_is_gone fails on KeepsWhatIsDone;
    twice_in_a_call: what_is_done_is_gone fails on SettlesTwiceInACall;
    not_counted: a_retry_blocks_its_key fails on CountsNoAttempts;
    order_lost: a_retry_blocks_its_key fails on LosesTheOrderAtARetry;
    delayed_from_the_sending: a_retry_goes_by_the_clock_of_the_store fails on DelaysFromTheSending;
    delayed_by_another_clock: a_retry_goes_by_the_clock_of_the_store fails on DelaysByAnotherClock;
    blocks_too_much: a_retry_blocks_its_key fails on BlocksTheWholeKey;
    all_at_once: what_is_held_comes_in_order fails on ReleasesAllAtOnce;
    stuck: what_is_held_comes_in_order fails on LeavesTheHeldStuck;
    one_by_one: what_is_held_comes_in_order fails on SettlesOneByOne;
    vanished: a_dead_letter_holds_its_key_or_not fails on DeadLettersVanish;
    never_holding: a_dead_letter_holds_its_key_or_not fails on DeadLettersHoldNothing;
    always_holding: a_dead_letter_holds_its_key_or_not fails on DeadLettersAlwaysHold;
    by_id_alone: a_lost_shard_settles_nothing fails on SettlesByIdAlone;
    by_number_alone: a_lost_shard_settles_nothing fails on ComparesTheNumberAlone;
    by_any_term: a_lost_shard_settles_nothing fails on SettlesForOtherShards;
    all_or_nothing: a_lost_shard_settles_nothing fails on SettlesAllOrNothing;
    counted_by_name: dead_letters_are_replayed_or_discarded fails on CountsWhatIsNamed;
    without_attempts: dead_letters_are_replayed_or_discarded fails on ReplaysWithoutAttempts;
    replayed_some_day: dead_letters_are_replayed_or_discarded fails on ReplaysLater;
    not_discarded: dead_letters_are_replayed_or_discarded fails on DiscardsNothing;
    replayed_by_another: work_belongs_to_its_tenant fails on ReplaysForAnybody;
    discarded_by_another: work_belongs_to_its_tenant fails on DiscardsForAnybody;
    listed_for_another: work_belongs_to_its_tenant fails on ListsForAnybody;
    unfiltered: work_is_listed_and_counted fails on IgnoresTheFilter;
    holding_or_not: work_is_listed_and_counted fails on ListsWhatHoldsNothing;
    unbounded: lists_are_bounded_in_bytes fails on ListsWithoutBound;
    ended_early: lists_are_bounded_in_bytes fails on EndsAListEarly;
    listed_twice: lists_are_bounded_in_bytes fails on RepeatsTheLast;
    counted_for_anybody: depths_of_a_tenant_are_its_own fails on CountsForAnyTenant;
    never_late: what_is_tried_again_is_late fails on ForgetsTheAgeOfTheTried;
    uncounted: work_is_listed_and_counted fails on CountsAtLeast;
    miscounted: work_is_listed_and_counted fails on CountsDeadAsLater;
    work_forgotten: work_survives_reopening fails on ForgetsWorkWhenReopened;
    letters_forgotten: work_survives_reopening fails on ForgetsLettersWhenReopened;
    without_limits: limits_of_work_are_named fails on NamesNoLimit;
}
