//! Does the work of the shards that it holds.
//!
//! ```text
//!            ┌── hint, poll, due ──► read ──► lines ──► attempts, side by side ──► settle ──┐
//!  share ──► held                               ▲                                           │
//!   │         │                                 └────── the next of the line ◄──────────────┘
//!   │         ├── surplus, or stopped ──► draining: what was begun ends ──► released
//!   │         └── the time is over, or the store says so ──► lost: attempts are dropped, all is forgotten
//!   └── at every third of the lease
//! ```
//!
//! One task has all of it in hand; attempts, reads and settlements run beside it and report to it.
//!
//! What happens when something fails: what cannot be read or settled is tried again while the terms hold. An
//! attempt that ends after its term is over is forgotten, and whoever works there next begins it again. So work is
//! done at least once, and what became of it is stored once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{
    BegunWork, Clock, DueLook, DuePage, DuePlace, Error, HeldShard, Lane, LaneCursors, ReadWork, Settled,
    Settlement, Shard, ShardTerm, TenantId, Timestamp, Work, WorkHint, WorkPage, WorkPlace, WorkQueue,
    WorkWakeup,
};

use super::attempt::{Attempted, after, attempt};
use super::keeper::KeeperHandle;
use super::lines::{LineName, Lines, PutBack, RunningBounds, Source, bytes_of};
use super::receiver::Receivers;
use super::rooms::{Fit, Rooms};
use super::serving::Beside;
use super::settling::{Entry, Settling};
use super::shard::{Look, READ_PAUSE_MAX, ShardRoom, just_before, place_of};
use super::standing::{Told, until};
use super::suspects::{Beginning, Suspects, Suspicion};
use crate::EngineConfig;
use crate::subscription::Backoff;
use crate::traces::Tracer;

/// Shards that are read side by side.
const READS_MAX: usize = 4;
/// Pieces in one page.
const PAGE_MAX: usize = 256;
/// What a piece is thought to take before any was read.
const BYTES_EACH_AT_FIRST: usize = 16 << 10;
/// Reports that are taken in a row before it is looked what can be begun.
const REPORTS_IN_A_ROW_MAX: usize = 256;
/// How long it is waited for attempts that were dropped.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);
/// How soon after a hint it is looked for what is due: it may have been sent to wait for less than a poll.
const DUE_AFTER_HINT: Duration = Duration::from_millis(100);
/// How soon it is looked again for what is due, where there is no room for it.
const DUE_AGAIN: Duration = Duration::from_millis(100);

/// How long work may wait in memory for a receiver, while other work finds no room there.
const WAITING_MAX: Duration = Duration::from_secs(5);

/// What runs beside the worker.
enum Job {
    Read { shard: Shard, incarnation: u64, number: Option<u64>, look: Look, page: usize },
    Settle { batch: Vec<Entry>, begun_at: Timestamp },
    Attempt { shard: Shard, incarnation: u64, work: Arc<Work>, line: Arc<LineName> },
    Count { pieces: Vec<Beginning>, failures: u32 },
    Drain { shard: Shard, incarnation: u64, drain: u64 },
    Bury,
}

/// A page of whatever source.
struct ReadPage {
    work: Vec<ReadWork>,
    /// The last place that was looked at.
    to: DuePlace,
    has_more: bool,
}

impl ReadPage {
    fn ready(page: WorkPage) -> Self {
        let to = DuePlace { place: page.scanned_to, ..DuePlace::START };
        Self { work: page.work, to, has_more: !page.at_end }
    }
}

/// What a job came to.
enum Report {
    Page(Result<WorkPage, Error>),
    Due(Result<DuePage, Error>),
    Counted(Result<Vec<Shard>, Error>),
    Settled(Result<Vec<Shard>, Error>),
    Attempted(Attempted),
    DrainIsOver,
    Buried,
}

/// What a worker works with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) queue: Arc<dyn WorkQueue>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) receivers: Arc<Receivers>,
    pub(super) config: EngineConfig,
    pub(super) told: Told,
    pub(super) tracer: Tracer,
    /// Where a scheduler drives the attempts: those that it has made here.
    pub(super) beside: Option<Beside>,
}

/// A worker.
pub(super) struct WorkRunner {
    means: Means,
    keeper: KeeperHandle,
    wakeup: WorkWakeup,
    stop: watch::Receiver<bool>,
    shards: BTreeMap<Shard, ShardRoom>,
    /// Terms that the store said are lost, and the answer about what is held from which on it is believed again.
    lost: HashMap<Shard, (ShardTerm, u64)>,
    /// The answer that was taken over last.
    holding: u64,
    ends_at: Timestamp,
    lines: Lines,
    settling: Settling,
    suspects: Suspects,
    /// Pieces that were counted and then left, for which that is to be taken back.
    uncounted: Vec<BegunWork>,
    tasks: JoinSet<Report>,
    jobs: HashMap<Id, Job>,
    reads: usize,
    /// The shard that was read last, so that all have their turn.
    last_read: Option<Shard>,
    /// What pieces take, as the largest of the pages of late did.
    bytes_each: usize,
    incarnations: u64,
    is_stopping: bool,
    backoff: Backoff,
}

impl WorkRunner {
    pub(super) fn new(
        means: Means,
        keeper: KeeperHandle,
        wakeup: WorkWakeup,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            lines: Lines::new(Rooms::new(&means.config)),
            backoff: means.config.backoff(),
            means,
            keeper,
            wakeup,
            stop,
            shards: BTreeMap::new(),
            lost: HashMap::new(),
            holding: 0,
            ends_at: Timestamp::MIN,
            settling: Settling::default(),
            suspects: Suspects::default(),
            uncounted: Vec::new(),
            tasks: JoinSet::new(),
            jobs: HashMap::new(),
            reads: 0,
            last_read: None,
            bytes_each: BYTES_EACH_AT_FIRST,
            incarnations: 0,
            is_stopping: false,
        }
    }

    /// Works until it is stopped.
    pub(super) async fn run(mut self) {
        let clock = self.means.clock.clone();
        let mut poll = clock.sleep(self.means.config.work_poll_interval);
        loop {
            // However often there is a hint, what has ended is looked at too.
            for _ in 0..REPORTS_IN_A_ROW_MAX {
                let Some(report) = self.tasks.try_join_next_with_id() else { break };
                self.take(report);
            }
            self.go_on();
            // What it waited for last may have been in the reports just taken, and then nothing wakes it.
            if self.is_finished() {
                break;
            }
            let due_in = self.due_in(clock.now());
            tokio::select! {
                biased;
                changed = self.keeper.holding.changed() => match changed {
                    Ok(()) => self.hold(),
                    Err(_) => {
                        tracing::error!("the keeper of shards is gone, and the worker ends");
                        break;
                    }
                },
                () = stopped(&mut self.stop), if !self.is_stopping => self.stop(),
                () = &mut poll => {
                    poll = clock.sleep(self.means.config.work_poll_interval);
                    self.poll();
                }
                hint = self.wakeup.hint(), if !self.is_stopping => self.hinted(hint),
                Some(report) = self.tasks.join_next_with_id() => self.take(report),
                () = sleep(&*clock, due_in) => {}
            }
        }
        self.keeper.set_cursors(self.cursors());
        for shard in self.shards.keys().copied().collect::<Vec<_>>() {
            self.lines.forget(shard);
        }
        // An attempt that never waits for anything cannot be dropped, and ends with the process.
        tokio::select! {
            biased;
            () = self.tasks.shutdown() => {}
            () = clock.sleep(SHUTDOWN_MAX) => {}
        }
        self.means.told.tell(|state| {
            (state.shards, state.draining) = (Vec::new(), Vec::new());
            (state.running, state.buffered, state.buffered_bytes) = (0, 0, 0);
        });
        if let Some(beside) = &self.means.beside {
            beside.end().await;
        }
        self.keeper.leave().await;
    }

    fn is_finished(&self) -> bool {
        let buries = || self.jobs.values().any(|job| matches!(job, Job::Bury));
        let is_settled = || (self.settling.is_empty() && !buries()) || self.shards.is_empty();
        self.is_stopping && self.lines.is_done() && is_settled()
    }

    /// Begins whatever can be begun.
    fn go_on(&mut self) {
        let now = self.means.clock.now();
        self.settle();
        self.forget_counts();
        if now < self.ends_at {
            self.begin();
            self.read(now);
        }
        self.release_drained();
        let Self { lines, shards, .. } = self;
        self.means.told.tell(|state| {
            state.running = lines.running();
            state.buffered = lines.rooms.pieces();
            state.buffered_bytes = lines.rooms.bytes();
            state.set_left(shards.values().map(ShardRoom::left));
        });
    }

    fn spawn(&mut self, job: Job, run: impl Future<Output = Report> + Send + 'static) {
        let id = self.tasks.spawn(run).id();
        self.jobs.insert(id, job);
    }

    /// Takes over what the store says is held.
    fn hold(&mut self) {
        let holding = self.keeper.holding.borrow_and_update().clone();
        (self.holding, self.ends_at) = (holding.number, holding.ends_at);
        let is_held = |term: ShardTerm| holding.shards.iter().any(|held| held.term == term);
        let gone: Vec<Shard> =
            self.shards.values().filter(|room| !is_held(room.term)).map(|room| room.term.shard).collect();
        for shard in gone {
            self.lose(shard);
        }
        for held in &holding.shards {
            self.hold_shard(held);
        }
        let shards = self.shards.keys().copied().collect();
        let draining = self.shards.values().filter(|room| room.is_draining);
        let draining = draining.map(|room| room.term.shard).collect();
        if let Some(beside) = &self.means.beside {
            match holding.waits_for {
                None => beside.permit(self.ends_at),
                Some(_) => beside.withdraw(),
            }
        }
        self.means.told.tell(|state| {
            (state.shards, state.draining, state.error) = (shards, draining, holding.error);
            state.waits_for = holding.waits_for;
        });
    }

    fn hold_shard(&mut self, held: &HeldShard) {
        let shard = held.term.shard;
        // It was asked before it was found to be lost.
        if self.lost.get(&shard).is_some_and(|(lost, until)| *lost == held.term && self.holding < *until) {
            return;
        }
        self.lost.remove(&shard);
        if !self.shards.contains_key(&shard) {
            self.incarnations += 1;
            tracing::debug!(%shard, term = held.term.term, "a shard is held");
            self.shards.insert(shard, ShardRoom::new(held, self.incarnations, self.means.clock.now()));
        }
        let Some(room) = self.shards.get_mut(&shard) else { return };
        let drains = held.is_surplus || self.is_stopping;
        if drains && !room.is_draining {
            self.drain(shard);
        } else if !drains && room.is_draining && !room.is_released {
            room.is_draining = false;
        }
    }

    /// Begins nothing more in a shard, and forgets what was not begun.
    fn drain(&mut self, shard: Shard) {
        let Some(room) = self.shards.get_mut(&shard) else { return };
        room.is_draining = true;
        room.drains += 1;
        let cursors = self.lines.cursors(shard, room.looked());
        self.lines.drop_waiting(shard);
        for place in self.suspects.drop_waiting(shard) {
            self.lines.settled(shard, place);
        }
        room.read_from(cursors);
        let (incarnation, drain) = (room.incarnation, room.drains);
        let (bound, clock) = (self.means.config.work_drain, self.means.clock.clone());
        self.spawn(Job::Drain { shard, incarnation, drain }, async move {
            clock.sleep(bound).await;
            Report::DrainIsOver
        });
    }

    fn release_drained(&mut self) {
        if self.is_stopping {
            return;
        }
        for room in self.shards.values_mut().filter(|room| room.is_draining && !room.is_released) {
            if self.lines.is_empty(room.term.shard) {
                room.is_released = true;
                self.keeper.release(room.term);
            }
        }
    }

    /// Forgets all of a shard.
    fn lose(&mut self, shard: Shard) {
        let Some(room) = self.shards.remove(&shard) else { return };
        self.lines.forget(shard);
        self.suspects.drop_waiting(shard);
        if !room.is_released {
            tracing::warn!(%shard, term = room.term.term, "a shard was lost");
            self.means.told.tell(|state| state.lost_terms += 1);
        }
    }

    /// Forgets all of a shard that the store says is lost.
    fn lose_as_told(&mut self, shard: Shard) {
        let Some(term) = self.shards.get(&shard).map(|room| room.term) else { return };
        // The next answer may be to what was asked before.
        self.lost.insert(shard, (term, self.holding + 2));
        self.lose(shard);
        self.keeper.look_again();
    }

    fn stop(&mut self) {
        self.is_stopping = true;
        for shard in self.shards.keys().copied().collect::<Vec<_>>() {
            self.drain(shard);
        }
    }

    /// Looks where the hint says, and nowhere else.
    fn hinted(&mut self, hint: WorkHint) {
        let soon = after(self.means.clock.now(), DUE_AFTER_HINT);
        for (shard, room) in &mut self.shards {
            for (lane, shards) in Lane::ALL.into_iter().zip(hint.ready) {
                if shards.contains(*shard) {
                    room.look_again(lane);
                }
            }
            if hint.later.contains(*shard) {
                room.look_for_due(soon);
            }
        }
    }

    fn poll(&mut self) {
        let now = self.means.clock.now();
        self.make_room(now);
        for room in self.shards.values_mut() {
            Lane::ALL.into_iter().for_each(|lane| room.look_again(lane));
            room.look_behind(now);
        }
        self.keeper.set_cursors(self.cursors());
    }

    /// Makes room where receivers do not come to their work: part of it is put back, and they are passed over, until
    /// they have done what is left of it.
    fn make_room(&mut self, now: Timestamp) {
        let waiting = self.lines.waiting_since(Timestamp::MAX);
        for (shard, room) in &mut self.shards {
            if !room.is_draining && room.may_read_again(|receiver| waiting.contains(receiver)) {
                let cursors = self.lines.cursors(*shard, room.looked());
                room.read_from(cursors);
            }
        }
        let rooms = &self.lines.rooms;
        let page = |source, tenant: &TenantId| rooms.page_of(tenant, source, self.bytes_each, PAGE_MAX);
        let waits = |room: &ShardRoom| !room.is_draining && room.waits_for_room(page);
        if !rooms.are_crowded(self.bytes_each, PAGE_MAX) && !self.shards.values().any(waits) {
            return;
        }
        self.lines.rooms.look_again(self.bytes_each, PAGE_MAX);
        let long_ago = now.saturating_sub(WAITING_MAX).unwrap_or(Timestamp::MIN);
        for receiver in self.lines.waiting_since(long_ago) {
            let put_back = self.lines.put_back(&receiver);
            if put_back.is_empty() {
                continue;
            }
            tracing::debug!(receiver, count = put_back.len(), "a receiver does not come to its work");
            self.shards.values_mut().for_each(|room| room.pass_over(&receiver));
            for PutBack { shard, source, place } in put_back {
                if let Some(room) = self.shards.get_mut(&shard) {
                    room.pass(source, place);
                }
            }
        }
    }

    fn cursors(&self) -> Vec<(Shard, LaneCursors)> {
        let cursors =
            |(shard, room): (&Shard, &ShardRoom)| (*shard, self.lines.cursors(*shard, room.looked()));
        self.shards.iter().map(cursors).collect()
    }

    /// How long until something may be due.
    fn due_in(&self, now: Timestamp) -> Option<Duration> {
        let waits = |room: &&ShardRoom| !room.is_draining && room.due_at() > now;
        let next = self.shards.values().filter(waits).map(ShardRoom::due_at).min()?;
        (next < Timestamp::MAX).then(|| until(now, next))
    }

    /// Begins attempts, as many as may go on side by side.
    fn begin(&mut self) {
        let config = &self.means.config;
        let bounds = RunningBounds {
            all: config.work_running_max,
            of_tenant: config.work_tenant_running_max,
            by_receiver: config.work_receiver_running_max,
        };
        let mut counted = Vec::new();
        if let Some(next) = self.suspects.next() {
            self.lines.resume(&next.line);
            counted.push(next);
        }
        while let Some(begun) = self.lines.next(bounds) {
            let shard = begun.work.shard;
            let Some(room) = self.shards.get(&shard) else {
                self.lines.ended(shard, begun.work.place, &begun.line);
                continue;
            };
            let beginning = Beginning {
                shard,
                incarnation: room.incarnation,
                line: begun.line,
                work: begun.work,
                receiver: begun.receiver,
            };
            match self.suspects.of(&beginning.work, room.suspects_to, room.since) {
                Suspicion::None => self.attempt(beginning),
                Suspicion::Counted => counted.push(beginning),
                Suspicion::Alone => {
                    let (place, line) = (beginning.work.place, beginning.line.clone());
                    match self.suspects.begin_alone(beginning) {
                        Some(beginning) => counted.push(beginning),
                        // Its line waits with it.
                        None => self.lines.ended(shard, place, &line),
                    }
                }
            }
        }
        while !counted.is_empty() {
            let rest = counted.split_off(counted.len().min(WORK_PAGE_MAX));
            self.count(std::mem::replace(&mut counted, rest), 0);
        }
    }

    /// Makes an attempt.
    fn attempt(&mut self, beginning: Beginning) {
        let Beginning { shard, incarnation, line, mut work, receiver } = beginning;
        let (place, begun) = (work.place, self.suspects.begun(&work));
        if begun != work.begun {
            work = Arc::new(Work { begun, ..(*work).clone() });
        }
        let going = attempt(
            receiver,
            work.clone(),
            self.means.clock.clone(),
            self.backoff,
            self.means.tracer.clone(),
        );
        let handle = self.tasks.spawn(async move { Report::Attempted(going.await) });
        self.jobs.insert(handle.id(), Job::Attempt { shard, incarnation, work, line });
        self.lines.began(shard, place, handle);
    }

    /// Counts that pieces are begun, before they are.
    fn count(&mut self, pieces: Vec<Beginning>, failures: u32) {
        let term = |piece: &Beginning| self.shards.get(&piece.shard).map(|room| room.term);
        let begun: Vec<BegunWork> = pieces
            .iter()
            .filter_map(|piece| {
                let (place, times) = (piece.work.place, piece.work.begun.saturating_add(1));
                Some(BegunWork { term: term(piece)?, place, times })
            })
            .collect();
        let (queue, clock) = (self.means.queue.clone(), self.means.clock.clone());
        let pause = self.backoff.delay(failures);
        self.spawn(Job::Count { pieces, failures }, async move {
            rest(&*clock, pause).await;
            Report::Counted(queue.begin(&begun).await)
        });
    }

    /// Begins what was counted.
    fn take_counted(&mut self, pieces: Vec<Beginning>, failures: u32, answer: Result<Vec<Shard>, Error>) {
        let lost = match answer {
            Ok(lost) => lost,
            Err(error) => {
                tracing::warn!(%error, count = pieces.len(), "what is begun could not be counted");
                let (held, gone): (Vec<Beginning>, Vec<Beginning>) =
                    pieces.into_iter().partition(|piece| self.is_to_be_begun(piece));
                for piece in gone {
                    self.put_off(&piece);
                }
                if !held.is_empty() {
                    self.count(held, failures.saturating_add(1));
                }
                return;
            }
        };
        for shard in &lost {
            self.lose_as_told(*shard);
        }
        for piece in pieces {
            if self.is_to_be_begun(&piece) {
                self.suspects.count(piece.work.place);
                self.attempt(piece);
            } else {
                self.put_off(&piece);
            }
        }
    }

    /// Whether a piece is to be begun that was to be when it was asked to be counted.
    fn is_to_be_begun(&self, piece: &Beginning) -> bool {
        let is_draining = self.shards.get(&piece.shard).is_none_or(|room| room.is_draining);
        self.is_of_now(piece.shard, piece.incarnation)
            && !is_draining
            && self.lines.knows(piece.shard, piece.work.place)
    }

    /// Does not begin a piece that counts as running. It is read again.
    fn put_off(&mut self, piece: &Beginning) {
        let place = piece.work.place;
        self.lines.ended(piece.shard, place, &piece.line);
        if self.is_of_now(piece.shard, piece.incarnation) {
            self.lines.settled(piece.shard, place);
        }
        self.suspects.ended(place);
    }

    /// Reads what there is room for.
    fn read(&mut self, now: Timestamp) {
        for source in Source::ALL {
            for tenant in self.lines.rooms.take_hungry(source) {
                self.shards.values_mut().for_each(|room| room.feed(source, &tenant));
            }
        }
        let last = self.last_read;
        let (before, after): (Vec<Shard>, Vec<Shard>) =
            self.shards.keys().partition(|shard| last.is_some_and(|last| **shard <= last));
        for shard in after.into_iter().chain(before) {
            if self.reads >= READS_MAX {
                break;
            }
            self.read_shard(shard, now);
        }
    }

    fn read_shard(&mut self, shard: Shard, now: Timestamp) {
        let Some(room) = self.shards.get_mut(&shard) else { return };
        let (rooms, bytes_each) = (&self.lines.rooms, self.bytes_each);
        let page = |look: &Look| match look {
            Look::Apart(_, tenant) => rooms.page_of(tenant, look.source(), bytes_each, PAGE_MAX),
            Look::All(source) => rooms.page(*source, bytes_each, PAGE_MAX),
        };
        let Some((look, page)) = room.next_look(now, page) else { return };
        let pause = self.backoff.delay(room.failures).min(READ_PAUSE_MAX);
        let (queue, clock, incarnation) =
            (self.means.queue.clone(), self.means.clock.clone(), room.incarnation);
        self.last_read = Some(shard);
        self.reads += 1;
        let job = Job::Read { shard, incarnation, number: room.reading(), look: look.clone(), page };
        let (scope, after) = room.scope(&look);
        if let Some(tenant) = look.tenant() {
            self.lines.rooms.expect(tenant, look.source(), page);
        }
        match look.source() {
            Source::Due => {
                let mut except: Vec<WorkPlace> = room.left_due().collect();
                except.extend(self.lines.due(shard));
                except.truncate(WORK_PAGE_MAX);
                let look = DueLook { scope, after, except };
                self.spawn(job, async move {
                    rest(&*clock, pause).await;
                    Report::Due(queue.read_due(shard, &look, page).await)
                });
            }
            Source::Ready(lane) => self.spawn(job, async move {
                rest(&*clock, pause).await;
                Report::Page(queue.read_work(shard, lane, &scope, after.place, page).await)
            }),
        }
    }

    /// Stores what waits, where nothing is being stored.
    fn settle(&mut self) {
        let shards = &self.shards;
        let holds = |term: ShardTerm| shards.get(&term.shard).is_some_and(|room| room.term == term);
        let Some(batch) = self.settling.next(holds) else { return };
        let settlements: Vec<Settlement> = batch.iter().map(|entry| entry.settlement.clone()).collect();
        let (queue, clock) = (self.means.queue.clone(), self.means.clock.clone());
        let pause = self.backoff.delay(self.settling.failures);
        let begun_at = clock.now();
        self.spawn(Job::Settle { batch, begun_at }, async move {
            rest(&*clock, pause).await;
            Report::Settled(queue.settle(&settlements).await)
        });
    }

    /// Takes what a job came to.
    fn take(&mut self, report: Result<(Id, Report), JoinError>) {
        let (id, report) = match report {
            Ok((id, report)) => (id, Ok(report)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(job) = self.jobs.remove(&id) else { return };
        match job {
            Job::Read { shard, incarnation, number, look, page } => {
                self.reads -= 1;
                if let Look::Apart(_, tenant) = &look {
                    self.lines.rooms.came(tenant, look.source(), page);
                }
                let room = self.shards.get_mut(&shard).filter(|room| room.incarnation == incarnation);
                if room.is_some_and(|room| room.read(number)) {
                    self.take_page(shard, &look, report);
                }
            }
            Job::Settle { batch, begun_at } => {
                let answer = match report {
                    Ok(Report::Settled(answer)) => answer,
                    Ok(_) => return,
                    Err(error) => Err(Error::backend("settling work", error)),
                };
                self.take_settled(batch, begun_at, answer);
            }
            Job::Count { pieces, failures } => {
                let answer = match report {
                    Ok(Report::Counted(answer)) => answer,
                    Ok(_) => return,
                    Err(error) => Err(Error::backend("counting work", error)),
                };
                self.take_counted(pieces, failures, answer);
            }
            Job::Attempt { shard, incarnation, work, line } => {
                self.suspects.ended(work.place);
                let is_known = self.is_of_now(shard, incarnation) && self.lines.knows(shard, work.place);
                self.lines.ended(shard, work.place, &line);
                let settled = match report {
                    Ok(Report::Attempted(Attempted::Settled(settled))) => settled,
                    Ok(Report::Attempted(Attempted::Left)) if is_known => {
                        return self.take_left(&work, &line);
                    }
                    Ok(_) => return,
                    Err(error) if error.is_cancelled() => return,
                    // Only a bug ends an attempt otherwise; it is not begun again without a pause.
                    Err(error) => {
                        Settled::Retry { delay: self.means.config.retry_delay_max, error: error.to_string() }
                    }
                };
                if is_known {
                    self.take_attempted(&work, &line, settled);
                }
            }
            Job::Bury => {
                if let Err(error) = report {
                    tracing::error!(%error, "a dead letter was not looked at once more");
                }
            }
            Job::Drain { shard, incarnation, drain } => {
                // One that was called off has no say in the next.
                let goes_on = |room: &ShardRoom| room.is_draining && room.drains == drain;
                if self.is_of_now(shard, incarnation) && self.shards.get(&shard).is_some_and(goes_on) {
                    self.lines.give_up(shard);
                }
            }
        }
    }

    fn is_of_now(&self, shard: Shard, incarnation: u64) -> bool {
        self.shards.get(&shard).is_some_and(|room| room.incarnation == incarnation)
    }

    /// Puts down what became of a piece. What holds its line holds those behind it too, and is stored first.
    fn take_attempted(&mut self, work: &Arc<Work>, line: &Arc<LineName>, settled: Settled) {
        let Some(term) = self.shards.get(&work.shard).map(|room| room.term) else { return };
        self.means.told.count(work, &settled);
        let blocks = is_blocking(&settled);
        let given_up = matches!(settled, Settled::Dead { .. }).then(|| work.clone());
        let settlement = Settlement { term, place: work.place, settled };
        self.settling.push(Entry { settlement, line: line.clone(), given_up });
        if blocks {
            for behind in self.lines.block(line, work.place) {
                let settlement = Settlement { term, place: behind, settled: Settled::Held };
                self.settling.push(Entry::of(settlement, line.clone()));
            }
        }
    }

    /// Leaves a piece that an attempt has shown to be another program's, with what stands behind it.
    fn take_left(&mut self, work: &Work, line: &Arc<LineName>) {
        let behind = self.lines.drop_line(line);
        let Some(source) = self.lines.settled(work.shard, work.place) else { return };
        self.leave(work, LineName::clone(line), source);
        for (behind, source) in behind {
            self.leave(&behind, LineName::clone(line), source);
        }
        if self.suspects.is_counted(work.place) {
            self.suspects.settled(work.place);
            if let Some(term) = self.shards.get(&work.shard).map(|room| room.term) {
                self.uncounted.push(BegunWork { term, place: work.place, times: 0 });
            }
        }
    }

    /// Takes back that pieces were counted: they have ended nobody, and nothing else is stored of them. It is done in
    /// one go for all that were left since it was done last. Where that fails, they are counted once too often.
    fn forget_counts(&mut self) {
        let begun = std::mem::take(&mut self.uncounted);
        for begun in begun.chunks(WORK_PAGE_MAX) {
            let (queue, begun) = (self.means.queue.clone(), begun.to_vec());
            self.spawn(Job::Count { pieces: Vec::new(), failures: 0 }, async move {
                Report::Counted(queue.begin(&begun).await)
            });
        }
    }

    fn take_settled(&mut self, batch: Vec<Entry>, begun_at: Timestamp, answer: Result<Vec<Shard>, Error>) {
        let lost = match answer {
            Ok(lost) => lost,
            Err(error) => {
                tracing::warn!(%error, count = batch.len(), "what became of work could not be stored");
                self.settling.failed(batch, &error);
                return;
            }
        };
        self.settling.stored();
        let now = self.means.clock.now();
        let mut buried = Vec::new();
        for Entry { settlement, line, given_up } in batch {
            let Settlement { term, place, settled } = settlement;
            let Some(room) = self.shards.get_mut(&term.shard).filter(|room| room.term == term) else {
                continue;
            };
            if lost.contains(&term.shard) {
                self.lose_as_told(term.shard);
                continue;
            }
            room.settled(place);
            self.suspects.settled(place);
            buried.extend(given_up);
            match &settled {
                Settled::Retry { delay, .. } => room.look_for_due_since(begun_at, now, *delay),
                // Nothing may have stood before it any more.
                Settled::Held => room.look_for_due_since(begun_at, now, Duration::ZERO),
                Settled::Done | Settled::Dead { .. } => {}
            }
            if is_blocking(&settled) {
                room.blocked(line, place);
            }
            let source = self.lines.settled(term.shard, place);
            // What stood behind it may be due now.
            if source == Some(Source::Due) {
                room.look_for_due_since(begun_at, now, Duration::ZERO);
            }
        }
        buried.into_iter().for_each(|work| self.bury(work));
    }

    /// Lets whoever gave a piece up look at it once more, now that it is a dead letter.
    fn bury(&mut self, work: Arc<Work>) {
        let Some(receiver) = self.means.receivers.of(&work).cloned() else { return };
        self.spawn(Job::Bury, async move {
            if let Err(error) = receiver.buried(&work).await {
                tracing::warn!(work = %work.id, receiver = work.sent.receiver, %error,
                    "nobody knows whether a dead letter is still needed");
            }
            Report::Buried
        });
    }

    fn take_page(&mut self, shard: Shard, look: &Look, report: Result<Report, JoinError>) {
        let now = self.means.clock.now();
        let Some(room) = self.shards.get_mut(&shard) else { return };
        let (page, next_due_in) = match report {
            Ok(Report::Page(Ok(page))) => (ReadPage::ready(page), None),
            Ok(Report::Due(Ok(page))) => {
                let next = page.next_due_in;
                (ReadPage { work: page.work, to: page.scanned_to, has_more: !page.at_end }, next)
            }
            Ok(Report::Page(Err(error)) | Report::Due(Err(error))) => {
                return self.could_not_read(shard, look, &error);
            }
            Ok(_) => return,
            Err(error) => {
                return self.could_not_read(shard, look, &Error::backend("reading work", error));
            }
        };
        room.failures = 0;
        // Of what is due the next moment is told, where nothing more is due.
        if let Some(next) = next_due_in.filter(|_| !page.has_more) {
            room.look_for_due(after(now, next));
        }
        self.weigh(page.work.iter().map(|read| &read.work));
        match look {
            Look::All(source) => self.take_all(shard, *source, page, now),
            Look::Apart(source, tenant) => self.take_apart(shard, *source, tenant, page, now),
        }
    }

    fn could_not_read(&mut self, shard: Shard, look: &Look, error: &Error) {
        let now = self.means.clock.now();
        if let Some(room) = self.shards.get_mut(&shard) {
            room.failed(look, now);
        }
        tracing::warn!(%shard, %error, "work could not be read");
        self.means.told.tell(|state| state.error = Some(error.to_string()));
    }

    /// Takes in a page of a source.
    fn take_all(&mut self, shard: Shard, source: Source, page: ReadPage, now: Timestamp) {
        let ReadPage { work, to: mut looked_to, mut has_more } = page;
        let mut next = now;
        for read in work {
            let Some(room) = self.shards.get_mut(&shard) else { return };
            let (place, tenant) = (place_of(&read.work, source), read.work.tenant.clone());
            if room.is_apart(source, &tenant) {
                continue;
            }
            let is_taken = match self.take_in(read.work, source, read.is_blocked) {
                Fit::Fits => true,
                Fit::TenantIsFull => {
                    self.shards.get_mut(&shard).is_some_and(|room| room.set_apart(source, &tenant, place))
                }
                Fit::IsFull => false,
            };
            if !is_taken {
                // Until there is room.
                (looked_to, has_more, next) = (just_before(place), true, after(now, DUE_AGAIN));
                break;
            }
        }
        if let Some(room) = self.shards.get_mut(&shard) {
            room.looked_to(source, looked_to, has_more, next);
        }
    }

    /// Takes in a page of a tenant that is set apart.
    fn take_apart(
        &mut self,
        shard: Shard,
        source: Source,
        tenant: &TenantId,
        page: ReadPage,
        now: Timestamp,
    ) {
        let Some(room) = self.shards.get(&shard) else { return };
        let ReadPage { work, to: mut looked_to, mut has_more } = page;
        let all = room.after(source);
        for read in work {
            let place = place_of(&read.work, source);
            if place > all {
                // What is beyond is read with that of the others.
                (looked_to, has_more) = (all, true);
                break;
            }
            match self.take_in(read.work, source, read.is_blocked) {
                Fit::Fits => {}
                Fit::TenantIsFull => {
                    if let Some(room) = self.shards.get_mut(&shard) {
                        room.set_apart(source, tenant, place);
                    }
                    return;
                }
                Fit::IsFull => {
                    (looked_to, has_more) = (just_before(place), true);
                    break;
                }
            }
        }
        if let Some(room) = self.shards.get_mut(&shard) {
            room.looked_apart_to(source, tenant, looked_to, has_more, now);
        }
    }

    /// Remembers how large pieces are.
    fn weigh<'w>(&mut self, page: impl Iterator<Item = &'w Work>) {
        if let Some(largest) = page.map(bytes_of).max() {
            self.bytes_each = largest.max(self.bytes_each - self.bytes_each / 8);
        }
    }

    /// Takes in a piece: to be begun, held, or left.
    fn take_in(&mut self, work: Work, source: Source, is_blocked: bool) -> Fit {
        let (shard, place) = (work.shard, work.place);
        let Some(room) = self.shards.get_mut(&shard) else { return Fit::Fits };
        if self.lines.knows(shard, place) || room.was_settled(place) {
            return Fit::Fits;
        }
        let line = LineName::of(&work);
        let receiver = self.means.receivers.of(&work);
        let Some(receiver) = receiver.filter(|_| !room.is_left(&work, &line)) else {
            self.leave(&work, line, source);
            return Fit::Fits;
        };
        if room.passes_over(&work.sent.receiver) {
            room.pass(source, place);
            return Fit::Fits;
        }
        let term = room.term;
        if is_blocked || room.was_blocked(&line, place) || self.lines.is_blocked(&line, place) {
            let line = self.lines.hold(&work, source);
            let settlement = Settlement { term, place, settled: Settled::Held };
            self.settling.push(Entry::of(settlement, line));
            return Fit::Fits;
        }
        let receiver = receiver.clone();
        let fit = self.lines.fit(&work, source);
        if fit == Fit::Fits {
            self.lines.insert(work, source, receiver, self.means.clock.now());
        }
        fit
    }

    /// Leaves a piece for another process.
    fn leave(&mut self, work: &Work, line: LineName, source: Source) {
        let is_known = self.means.receivers.knows(work);
        let Some(room) = self.shards.get_mut(&work.shard) else { return };
        tracing::debug!(work = %work.id, receiver = work.sent.receiver, name = work.sent.name, "work is left");
        room.leave(work, line, source, is_known);
    }
}

/// Whether a piece blocks its line once that is stored.
fn is_blocking(settled: &Settled) -> bool {
    match settled {
        Settled::Retry { .. } | Settled::Held | Settled::Dead { holds: true, .. } => true,
        Settled::Done | Settled::Dead { holds: false, .. } => false,
    }
}

/// Ends once a worker is to end: it was told to, or nobody is left to tell it.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left to tell it.
    stop.wait_for(|stopped| *stopped).await.ok();
}

/// Waits, where there is anything to wait for.
async fn rest(clock: &dyn Clock, pause: Duration) {
    if !pause.is_zero() {
        clock.sleep(pause).await;
    }
}

async fn sleep(clock: &dyn Clock, duration: Option<Duration>) {
    match duration {
        Some(duration) => clock.sleep(duration).await,
        None => std::future::pending().await,
    }
}
