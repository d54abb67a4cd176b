use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{
    Clock, Commit, CommitId, Committed, DueLook, DuePage, EventStore, Json, Lane, ManualClock, NewWork,
    QueueDepth, ReadWork, Settled, Settlement, Shard, ShardTerm, Share, TenantId, Timestamp, Work,
    WorkFilter, WorkInfo, WorkKind, WorkPage, WorkPlace, WorkQueue, WorkScope, WorkStanding, Worker,
};

use crate::{WorkQueueFixture, sample};

/// How long the workers of the cases that are about terms ask for.
pub(super) const TERM: Duration = Duration::from_secs(10);
/// Longer than the clock moves in any other case.
pub(super) const LONG: Duration = Duration::from_secs(3_600);
/// The least time there is in a store.
pub(super) const MOMENT: Duration = Duration::from_micros(1);

/// A message for the same handler in every case, named so that a reader knows it again.
pub(super) fn piece(key: &str, name: &str) -> NewWork {
    piece_for("mail", WorkKind::Message, key, name)
}

/// The same of another kind, for another receiver.
pub(super) fn piece_for(receiver: &str, kind: WorkKind, key: &str, name: &str) -> NewWork {
    let payload = Json::encode(name).expect("text has a JSON form");
    NewWork::new(kind, receiver, key, name, payload)
}

/// A worker that nobody has seen yet.
pub(super) fn worker(holder: &str) -> Worker {
    Worker::embedded(holder)
}

/// A key of a tenant whose work is in a shard; each number gives another.
pub(super) fn key_in(shard: Shard, tenant: &TenantId, number: usize) -> String {
    let keys = (0..).map(|at| format!("key-{at}"));
    keys.filter(|key| Shard::of(tenant, key) == shard).nth(number).expect("keys without end")
}

/// An attempt that failed.
pub(super) fn retry(delay: Duration) -> Settled {
    Settled::Retry { delay, error: "it did not answer".to_owned() }
}

/// Work that is given up.
pub(super) fn dead(holds: bool) -> Settled {
    Settled::Dead { error: "there is no such address".to_owned(), is_final: true, holds }
}

/// The names of what was read, and whether it is blocked.
pub(super) fn names(work: &[ReadWork]) -> Vec<(&str, bool)> {
    work.iter().map(|read| (read.work.sent.name.as_str(), read.is_blocked)).collect()
}

/// The store under attack, seen by one tenant. Its ways to ask panic where the store cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) events: Arc<dyn EventStore>,
    pub(super) queue: Arc<dyn WorkQueue>,
    clock: Arc<ManualClock>,
    pub(super) tenant: TenantId,
}

impl Subject {
    pub(super) fn of<F: WorkQueueFixture>(fixture: &F) -> Self {
        Self {
            events: fixture.event_store(),
            queue: fixture.work_queue(),
            clock: fixture.clock(),
            tenant: sample::tenant("acme"),
        }
    }

    /// The same store, seen by another tenant.
    pub(super) fn seen_by(&self, tenant: &str) -> Self {
        Self { tenant: sample::tenant(tenant), ..self.clone() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The moment so long from now.
    pub(super) fn after(&self, time: Duration) -> Timestamp {
        self.now().saturating_add(time).expect("a moment of this era")
    }

    pub(super) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(super) async fn commit(&self, commit: Commit) -> Committed {
        let committed = self.events.commit(&self.tenant, commit).await;
        committed.expect("a sound commit is stored")
    }

    /// Sends pieces on with one commit; gives them as the store holds them.
    pub(super) async fn send(&self, work: impl IntoIterator<Item = NewWork>) -> Vec<Work> {
        let commit = work.into_iter().fold(Commit::new(CommitId::draw()), Commit::send);
        let (id, count) = (commit.id, commit.work.len() as u32);
        self.commit(commit).await;
        let mut sent = Vec::new();
        for number in 0..count {
            sent.push(self.find(id, number).await.expect("what was sent is found").work);
        }
        sent
    }

    /// Sends one piece on.
    pub(super) async fn send_one(&self, work: NewWork) -> Work {
        self.send([work]).await.remove(0)
    }

    pub(super) async fn find(&self, commit: CommitId, number: u32) -> Option<WorkInfo> {
        self.queue.find_work(&self.tenant, commit, number).await.expect("find_work answers")
    }

    /// A piece as it is now; `None` where it is gone.
    pub(super) async fn look(&self, work: &Work) -> Option<WorkInfo> {
        let mut filter = WorkFilter { tenant: Some(work.tenant.clone()), ..WorkFilter::default() };
        let before = WorkPlace::from_number(work.place.number() - 1);
        for dead in [false, true] {
            filter.dead = dead;
            let listed = self.queue.list_work(&filter, before, 1).await.expect("list_work answers");
            if let Some(info) = listed.work.into_iter().find(|info| info.work.id == work.id) {
                return Some(info);
            }
        }
        None
    }

    pub(super) async fn standing(&self, work: &Work) -> Option<WorkStanding> {
        self.look(work).await.map(|info| info.standing)
    }

    pub(super) async fn page(
        &self,
        (shard, lane): (Shard, Lane),
        scope: &WorkScope,
        after: WorkPlace,
        limit: usize,
    ) -> WorkPage {
        let page = self.queue.read_work(shard, lane, scope, after, limit).await.expect("read_work answers");
        assert!(page.work.len() <= limit, "no more than was asked for");
        assert!(page.work.iter().all(|read| read.work.shard == shard && read.work.sent.lane == lane));
        assert!(page.scanned_to >= after, "a page does not go back");
        page
    }

    /// What is ready in a shard and lane, page by page, of those in scope.
    pub(super) async fn read(
        &self,
        queue: (Shard, Lane),
        scope: &WorkScope,
        mut after: WorkPlace,
        limit: usize,
    ) -> Vec<ReadWork> {
        let mut work = Vec::new();
        loop {
            let page = self.page(queue, scope, after, limit).await;
            let last = page.work.last().map_or(after, |read| read.work.place);
            assert!(page.scanned_to >= last, "a page has looked at what it shows");
            work.extend(page.work);
            if page.at_end {
                return work;
            }
            assert!(page.scanned_to > after, "a page that is not at the end moves on");
            after = page.scanned_to;
        }
    }

    /// What is ready in a shard: the urgent first.
    pub(super) async fn ready(&self, shard: Shard) -> Vec<ReadWork> {
        let everybody = WorkScope::EveryTenantBut(Vec::new());
        let mut work = Vec::new();
        for lane in Lane::ALL {
            work.extend(self.read((shard, lane), &everybody, WorkPlace::START, WORK_PAGE_MAX).await);
        }
        work
    }

    pub(super) async fn due_page(&self, shard: Shard, except: &[WorkPlace], limit: usize) -> DuePage {
        self.look_for_due(shard, &DueLook { except: except.to_vec(), ..DueLook::default() }, limit).await
    }

    pub(super) async fn look_for_due(&self, shard: Shard, look: &DueLook, limit: usize) -> DuePage {
        let page = self.queue.read_due(shard, look, limit).await.expect("read_due answers");
        assert!(page.work.len() <= limit, "no more than was asked for");
        assert!(page.work.iter().all(|read| read.work.shard == shard));
        assert!(page.scanned_to >= look.after, "a page does not go back");
        assert!(page.at_end || page.next_due_in == Some(Duration::ZERO), "nothing is waited for");
        page
    }

    /// What is due in a shard.
    pub(super) async fn due(&self, shard: Shard) -> Vec<ReadWork> {
        self.due_page(shard, &[], WORK_PAGE_MAX).await.work
    }

    /// Panics where other work is ready or due in a shard, in another order, or otherwise blocked.
    pub(super) async fn assert_sees(
        &self,
        shard: Shard,
        ready: &[(&str, bool)],
        due: &[(&str, bool)],
        why: &str,
    ) {
        assert_eq!(names(&self.ready(shard).await), ready, "{why}: what is ready");
        assert_eq!(names(&self.due(shard).await), due, "{why}: what is due");
    }

    pub(super) async fn list(&self, filter: &WorkFilter) -> Vec<WorkInfo> {
        let listed = self.queue.list_work(filter, WorkPlace::START, WORK_PAGE_MAX).await;
        listed.expect("list_work answers").work
    }

    /// Everything that is not done, of every tenant: what is not dead, then the dead letters.
    pub(super) async fn all(&self) -> Vec<WorkInfo> {
        let mut all = self.list(&WorkFilter::default()).await;
        all.extend(self.list(&WorkFilter { dead: true, ..WorkFilter::default() }).await);
        all
    }

    /// The depths over all tenants.
    pub(super) async fn depths(&self) -> Vec<QueueDepth> {
        self.queue.queue_depths(None).await.expect("queue_depths answers")
    }

    /// The depths of this tenant.
    pub(super) async fn own_depths(&self) -> Vec<QueueDepth> {
        self.queue.queue_depths(Some(&self.tenant)).await.expect("queue_depths answers")
    }

    pub(super) async fn replay(&self, letters: &[&Work]) -> usize {
        let ids: Vec<_> = letters.iter().map(|work| work.id).collect();
        self.queue.replay(&self.tenant, &ids).await.expect("replay answers")
    }

    pub(super) async fn discard(&self, letters: &[&Work]) -> usize {
        let ids: Vec<_> = letters.iter().map(|work| work.id).collect();
        self.queue.discard(&self.tenant, &ids).await.expect("discard answers")
    }

    pub(super) async fn share(&self, worker: &Worker, duration: Duration) -> Share {
        let share = self.queue.share(worker, duration, &[]).await.expect("share answers");
        for held in &share.held {
            assert_eq!(held.term.worker, worker.id, "a worker is given its own terms");
        }
        assert!(share.held.is_sorted_by(|one, next| one.term.shard < next.term.shard), "each once, in order");
        share
    }

    pub(super) async fn settle_all(&self, settlements: &[Settlement]) -> Vec<Shard> {
        self.queue.settle(settlements).await.expect("settle answers")
    }

    /// A worker that holds every shard, where nobody else is there.
    pub(super) async fn hand(&self, holder: &str) -> Hand {
        self.hand_for(holder, LONG).await
    }

    /// The same, for so long.
    pub(super) async fn hand_for(&self, holder: &str, duration: Duration) -> Hand {
        let worker = worker(holder);
        let share = self.share(&worker, duration).await;
        assert_eq!(share.held.len(), Shard::all().len(), "the only worker holds every shard");
        let terms = share.held.iter().map(|held| (held.term.shard, held.term)).collect();
        Hand { subject: self.clone(), worker, terms }
    }
}

/// A worker with its terms.
pub(super) struct Hand {
    subject: Subject,
    pub(super) worker: Worker,
    pub(super) terms: BTreeMap<Shard, ShardTerm>,
}

impl Hand {
    pub(super) fn settlement(&self, work: &Work, settled: Settled) -> Settlement {
        Settlement { term: self.terms[&work.shard], place: work.place, settled }
    }

    /// Settles what it must be able to.
    pub(super) async fn settle_all<'a>(&self, settled: impl IntoIterator<Item = (&'a Work, Settled)>) {
        let settlements: Vec<Settlement> =
            settled.into_iter().map(|(work, settled)| self.settlement(work, settled)).collect();
        let lost = self.subject.settle_all(&settlements).await;
        assert_eq!(lost, [], "no shard is lost");
    }

    pub(super) async fn settle(&self, work: &Work, settled: Settled) {
        self.settle_all([(work, settled)]).await;
    }

    pub(super) async fn leave(&self) {
        self.subject.queue.leave(&self.worker).await.expect("leave answers");
    }
}
