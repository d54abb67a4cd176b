//! Work in memory: beside the log, under its lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use async_trait::async_trait;

use super::MemoryEventStore;
use crate::adapter::{PAGE_BYTES_MAX, moment_after, work_bytes};
use crate::ports::{
    BegunWork, DueLook, DuePage, DuePlace, HeldShard, LaneCursors, QueueDepth, ReadWork, Settled, Settlement,
    ShardTerm, Share, WaitsFor, WorkFilter, WorkInfo, WorkList, WorkPage, WorkQueue, WorkScope, WorkStanding,
    Worker, WorkerId, check_due_look, check_settlements, check_work_count, check_work_filter,
    check_work_limit, check_work_scope, check_worker, kept_work_error,
};
use crate::words::limits::WORK_SCAN_MAX;
use crate::words::{
    Commit, CommitId, Error, Json, Lane, NewWork, Shard, TenantId, Timestamp, Work, WorkId, WorkPlace,
};

/// The line that a piece of work stands in.
type Line = (TenantId, String, String);

/// All work that is not done.
#[derive(Default)]
pub(super) struct WorkRoom {
    /// Every piece by its place.
    rows: BTreeMap<WorkPlace, Row>,
    /// Where each stands; ids hold the tenant.
    places: HashMap<WorkId, WorkPlace>,
    /// The places of what is ready.
    ready: BTreeMap<(Shard, Lane), BTreeSet<WorkPlace>>,
    /// What waits for its moment, and that moment.
    later: BTreeMap<Shard, BTreeSet<(Timestamp, WorkPlace)>>,
    /// The places of what holds its line.
    holding: BTreeMap<Line, BTreeSet<WorkPlace>>,
    shards: BTreeMap<Shard, Holding>,
    workers: BTreeMap<WorkerId, Asked>,
    /// Whose workers hold the shards that are held.
    scheduler: String,
}

/// A worker that is there.
struct Asked {
    scheduler: String,
    expires_at: Timestamp,
}

struct Row {
    work: Work,
    standing: WorkStanding,
    /// Whether it blocks its line.
    holds: bool,
}

#[derive(Clone)]
struct Holding {
    term: ShardTerm,
    holder: String,
    expires_at: Timestamp,
    cursors: LaneCursors,
    suspects_to: WorkPlace,
}

fn line(work: &NewWork, tenant: &TenantId) -> Line {
    (tenant.clone(), work.receiver.clone(), work.key.clone())
}

impl Row {
    fn line(&self) -> Line {
        line(&self.work.sent, &self.work.tenant)
    }

    /// Whether it is the first of a line that is blocked.
    fn is_head(&self) -> bool {
        self.holds && self.standing != WorkStanding::Behind
    }
}

impl WorkRoom {
    /// Takes in what a commit sends on.
    pub(super) fn send(
        &mut self,
        tenant: &TenantId,
        commit: &Commit,
        sequence: u64,
        metadata: &Json,
        now: Timestamp,
        sent_at: Timestamp,
    ) {
        for (number, sent) in (0..).zip(&commit.work) {
            let work = Work {
                id: WorkId::of(tenant, commit.id, number),
                tenant: tenant.clone(),
                commit_id: commit.id,
                place: WorkPlace::of(sequence, number),
                shard: Shard::of(tenant, &sent.key),
                sent: sent.clone(),
                metadata: metadata.clone(),
                sent_at,
                attempts: 0,
                begun: 0,
                last_error: None,
            };
            let is_later = sent.due_at.is_some_and(|due_at| due_at > now);
            let standing = if is_later { WorkStanding::Later } else { WorkStanding::Ready };
            let mut row = Row { work, standing, holds: false };
            if !is_later {
                row.work.sent.due_at = None;
            }
            self.put(row);
        }
    }

    /// Whether work of a commit is not done.
    pub(super) fn has_work_of(&self, sequence: u64) -> bool {
        self.rows.range(WorkPlace::of(sequence, 0)..WorkPlace::of(sequence + 1, 0)).next().is_some()
    }

    fn put(&mut self, row: Row) {
        let Work { place, shard, .. } = row.work;
        match (&row.standing, row.work.sent.due_at) {
            (WorkStanding::Ready, _) => {
                self.ready.entry((shard, row.work.sent.lane)).or_default().insert(place);
            }
            (WorkStanding::Later, Some(due_at)) => {
                self.later.entry(shard).or_default().insert((due_at, place));
            }
            _ => {}
        }
        if row.holds {
            self.holding.entry(row.line()).or_default().insert(place);
        }
        self.places.insert(row.work.id, place);
        self.rows.insert(place, row);
    }

    fn take(&mut self, place: WorkPlace) -> Option<Row> {
        let row = self.rows.remove(&place)?;
        self.places.remove(&row.work.id);
        let Work { shard, ref sent, .. } = row.work;
        if let Some(ready) = self.ready.get_mut(&(shard, sent.lane)) {
            ready.remove(&place);
        }
        if let (Some(later), Some(due_at)) = (self.later.get_mut(&shard), sent.due_at) {
            later.remove(&(due_at, place));
        }
        let line = row.line();
        if let Some(holding) = self.holding.get_mut(&line) {
            holding.remove(&place);
            if holding.is_empty() {
                self.holding.remove(&line);
            }
        }
        Some(row)
    }

    fn holding<'a>(&'a self, line: &Line) -> impl Iterator<Item = &'a Row> {
        let places = self.holding.get(line).into_iter().flatten();
        places.filter_map(|place| self.rows.get(place))
    }

    /// Whether something of its line is before it.
    fn is_blocked(&self, row: &Row) -> bool {
        let place = row.work.place;
        self.holding(&row.line()).any(|other| match row.holds {
            true => other.is_head() && other.work.place < place,
            false => other.work.place != place,
        })
    }

    /// Makes the lowest piece that stands in a line its head, where it has none.
    fn release_next(&mut self, line: &Line, now: Timestamp) {
        if self.holding(line).any(Row::is_head) {
            return;
        }
        let next = self.holding(line).map(|row| row.work.place).next();
        if let Some(mut row) = next.and_then(|place| self.take(place)) {
            row.standing = WorkStanding::Later;
            row.work.sent.due_at = Some(now);
            self.put(row);
        }
    }

    /// Stores what became of a piece; gives its line, whose next may go now.
    fn settle(
        &mut self,
        term: ShardTerm,
        place: WorkPlace,
        settled: &Settled,
        now: Timestamp,
    ) -> Option<Line> {
        // A dead letter is a person's, and work of another shard another worker's.
        let is_its =
            |row: &Row| row.work.shard == term.shard && !matches!(row.standing, WorkStanding::Dead { .. });
        if !self.rows.get(&place).is_some_and(is_its) {
            return None;
        }
        let mut row = self.take(place)?;
        row.work.begun = 0;
        let line = row.line();
        match settled {
            Settled::Done => return Some(line),
            Settled::Retry { delay, error } => {
                row.fail(error);
                let due_at = Some(moment_after(now, *delay));
                (row.standing, row.holds, row.work.sent.due_at) = (WorkStanding::Later, true, due_at);
            }
            Settled::Held => {
                (row.standing, row.holds, row.work.sent.due_at) = (WorkStanding::Behind, true, None);
            }
            Settled::Dead { error, is_final, holds } => {
                row.fail(error);
                row.standing = WorkStanding::Dead { died_at: now, is_final: *is_final, holds: *holds };
                (row.holds, row.work.sent.due_at) = (*holds, None);
            }
        }
        self.put(row);
        Some(line)
    }

    /// The shards of which a term that is named is not the one that holds it.
    fn lost(&self, terms: impl Iterator<Item = ShardTerm>, now: Timestamp) -> BTreeSet<Shard> {
        terms.filter(|term| !self.holds(*term, now)).map(|term| term.shard).collect()
    }

    /// The last place of all work that is not dead.
    fn newest(&self) -> WorkPlace {
        let mut rows = self.rows.iter().rev();
        let newest = rows.find(|(_, row)| !matches!(row.standing, WorkStanding::Dead { .. }));
        newest.map_or(WorkPlace::START, |(place, _)| *place)
    }

    /// Counts that pieces are begun.
    fn begin(&mut self, begun: &[BegunWork], now: Timestamp) -> BTreeSet<Shard> {
        let lost = self.lost(begun.iter().map(|begun| begun.term), now);
        for BegunWork { term, place, times } in begun {
            let is_its = |row: &&mut Row| {
                row.work.shard == term.shard && !matches!(row.standing, WorkStanding::Dead { .. })
            };
            let row = self.rows.get_mut(place).filter(is_its);
            if let Some(row) = row.filter(|row| !lost.contains(&row.work.shard)) {
                row.work.begun = *times;
            }
        }
        lost
    }

    /// Stores what became of work. Lines go on when all of it is stored, so that its order does not matter.
    fn settle_all(&mut self, settlements: &[Settlement], now: Timestamp) -> BTreeSet<Shard> {
        let lost = self.lost(settlements.iter().map(|settlement| settlement.term), now);
        let mut lines = BTreeSet::new();
        for Settlement { term, place, settled } in settlements {
            if !lost.contains(&term.shard) {
                lines.extend(self.settle(*term, *place, settled, now));
            }
        }
        for line in lines {
            self.release_next(&line, now);
        }
        lost
    }

    fn row(&self, tenant: &TenantId, id: WorkId) -> Option<&Row> {
        let row = self.rows.get(self.places.get(&id)?)?;
        (row.work.tenant == *tenant).then_some(row)
    }

    /// Takes a dead letter of a tenant.
    fn take_letter(&mut self, tenant: &TenantId, id: WorkId) -> Option<Row> {
        let row = self.row(tenant, id)?;
        let is_dead = matches!(row.standing, WorkStanding::Dead { .. });
        let place = is_dead.then_some(row.work.place)?;
        self.take(place)
    }

    fn holds(&self, term: ShardTerm, now: Timestamp) -> bool {
        self.shards.get(&term.shard).is_some_and(|holding| holding.term == term && holding.expires_at > now)
    }

    fn share(
        &mut self,
        worker: &Worker,
        ends_at: Timestamp,
        now: Timestamp,
        cursors: &[(Shard, LaneCursors)],
    ) -> Share {
        self.workers.retain(|_, asked| asked.expires_at > now);
        let asked = Asked { scheduler: worker.scheduler.clone(), expires_at: ends_at };
        self.workers.insert(worker.id, asked);
        if let Some((waits_for, next)) = self.waits_for(worker, now) {
            let look_again_in = Some(until(next, now));
            return Share { held: Vec::new(), look_again_in, waits_for: Some(waits_for) };
        }
        self.scheduler.clone_from(&worker.scheduler);
        let alike = || self.workers.iter().filter(|(_, asked)| asked.scheduler == worker.scheduler);
        let (workers, shards) = (alike().count(), Shard::all().len());
        let rank = alike().position(|(id, _)| *id == worker.id).unwrap_or(workers);
        let part = shards / workers + usize::from(rank < shards % workers);
        let mut held = Vec::new();
        for holding in self.shards.values_mut() {
            if holding.term.worker == worker.id && holding.expires_at > now {
                holding.expires_at = ends_at;
                holding.holder.clone_from(&worker.holder);
                if let Some((_, given)) = cursors.iter().find(|(shard, _)| *shard == holding.term.shard) {
                    holding.cursors = *given;
                }
                held.push(HeldShard {
                    term: holding.term,
                    cursors: holding.cursors,
                    suspects_to: holding.suspects_to,
                    is_surplus: held.len() >= part,
                });
            }
        }
        for shard in Shard::all() {
            if held.len() >= part {
                break;
            }
            let before = self.shards.get(&shard);
            if before.is_some_and(|holding| holding.expires_at > now) {
                continue;
            }
            let term = before.map_or(0, |holding| holding.term.term) + 1;
            let cursors = before.map_or([WorkPlace::START; 2], |holding| holding.cursors);
            let term = ShardTerm { shard, term, worker: worker.id };
            // Whoever gave it back had ended what it began, and whoever comes back is not gone.
            let is_gone = before.is_some_and(|holding| {
                holding.expires_at > Timestamp::MIN && holding.term.worker != worker.id
            });
            let suspects_to = match is_gone {
                true => self.newest(),
                false => WorkPlace::START,
            };
            let suspects_to = before.map_or(WorkPlace::START, |holding| holding.suspects_to).max(suspects_to);
            let holder = worker.holder.clone();
            self.shards.insert(shard, Holding { term, holder, expires_at: ends_at, cursors, suspects_to });
            held.push(HeldShard { term, cursors, suspects_to, is_surplus: false });
        }
        held.sort_by_key(|held| held.term.shard);
        let is_of_another = |holding: &&Holding| holding.term.worker != worker.id && holding.expires_at > now;
        let next = self.shards.values().filter(is_of_another).map(|holding| holding.expires_at).min();
        Share { held, look_again_in: next.map(|next| until(next, now)), waits_for: None }
    }

    /// Whom a worker waits for that has another scheduler than those who hold shards, and when the first of these could
    /// be free.
    fn waits_for(&self, worker: &Worker, now: Timestamp) -> Option<(WaitsFor, Timestamp)> {
        if self.scheduler == worker.scheduler {
            return None;
        }
        let held = || self.shards.values().filter(|holding| holding.expires_at > now);
        let (first, next) = (held().next()?, held().map(|holding| holding.expires_at).min()?);
        Some((WaitsFor { scheduler: self.scheduler.clone(), holder: first.holder.clone() }, next))
    }
}

impl Row {
    fn fail(&mut self, error: &str) {
        self.work.attempts = self.work.attempts.saturating_add(1);
        self.work.last_error = Some(kept_work_error(error));
    }

    fn info(&self) -> WorkInfo {
        WorkInfo { work: self.work.clone(), standing: self.standing.clone() }
    }
}

impl WorkScope {
    fn is_of(&self, tenant: &TenantId) -> bool {
        match self {
            Self::EveryTenantBut(passed) => !passed.contains(tenant),
            Self::Tenant(one) => one == tenant,
        }
    }
}

impl WorkFilter {
    fn allows(&self, row: &Row) -> bool {
        let sent = &row.work.sent;
        self.dead == matches!(row.standing, WorkStanding::Dead { .. })
            && (!self.dead || !self.holds || row.holds)
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == row.work.tenant)
            && self.kind.is_none_or(|kind| kind == sent.kind)
            && self.receiver.as_ref().is_none_or(|receiver| *receiver == sent.receiver)
            && self.key.as_ref().is_none_or(|key| *key == sent.key)
    }
}

fn until(moment: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(moment.as_microsecond() - now.as_microsecond()).unwrap_or(0))
}

fn read(room: &WorkRoom, row: &Row) -> ReadWork {
    ReadWork { work: row.work.clone(), is_blocked: room.is_blocked(row) }
}

#[async_trait]
impl WorkQueue for MemoryEventStore {
    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
    ) -> Result<Share, Error> {
        check_worker(worker, duration)?;
        let room = &mut self.lock().work;
        // Read under the lock: whoever comes later must not go by an earlier moment.
        let now = self.now();
        let ends_at = now.saturating_add(duration).unwrap_or(Timestamp::MAX);
        Ok(room.share(worker, ends_at, now, cursors))
    }

    async fn release(&self, terms: &[ShardTerm]) -> Result<(), Error> {
        let shards = &mut self.lock().work.shards;
        for term in terms {
            if let Some(holding) = shards.get_mut(&term.shard).filter(|holding| holding.term == *term) {
                // Kept, so that the next worker has a higher term.
                holding.expires_at = Timestamp::MIN;
            }
        }
        Ok(())
    }

    async fn leave(&self, worker: &Worker) -> Result<(), Error> {
        let room = &mut self.lock().work;
        room.workers.remove(&worker.id);
        for holding in room.shards.values_mut().filter(|holding| holding.term.worker == worker.id) {
            holding.expires_at = Timestamp::MIN;
        }
        Ok(())
    }

    async fn read_work(
        &self,
        shard: Shard,
        lane: Lane,
        scope: &WorkScope,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkPage, Error> {
        check_work_limit(limit)?;
        check_work_scope(scope)?;
        let log = self.lock();
        let mut page = WorkPage { work: Vec::new(), scanned_to: after, at_end: true };
        let ready = log.work.ready.get(&(shard, lane));
        let places =
            ready.into_iter().flat_map(|ready| ready.range((Bound::Excluded(after), Bound::Unbounded)));
        for (scanned, place) in places.enumerate() {
            if page.work.len() >= limit || scanned >= WORK_SCAN_MAX {
                page.at_end = false;
                break;
            }
            page.scanned_to = *place;
            let Some(row) = log.work.rows.get(place) else { continue };
            if scope.is_of(&row.work.tenant) {
                page.work.push(read(&log.work, row));
            }
        }
        Ok(page)
    }

    async fn read_due(&self, shard: Shard, look: &DueLook, limit: usize) -> Result<DuePage, Error> {
        check_due_look(look, limit)?;
        let log = self.lock();
        let now = self.now();
        let mut page = DuePage { work: Vec::new(), scanned_to: look.after, at_end: true, next_due_in: None };
        let after = Bound::Excluded((look.after.due_at, look.after.place));
        let later =
            log.work.later.get(&shard).into_iter().flat_map(|later| later.range((after, Bound::Unbounded)));
        let later = later.filter(|(_, place)| !look.except.contains(place));
        for (scanned, (due_at, place)) in later.enumerate() {
            if *due_at > now {
                page.next_due_in = Some(until(*due_at, now));
                break;
            }
            if page.work.len() >= limit || scanned >= WORK_SCAN_MAX {
                (page.at_end, page.next_due_in) = (false, Some(Duration::ZERO));
                break;
            }
            page.scanned_to = DuePlace { due_at: *due_at, place: *place };
            let row = log.work.rows.get(place);
            page.work
                .extend(row.filter(|row| look.scope.is_of(&row.work.tenant)).map(|row| read(&log.work, row)));
        }
        Ok(page)
    }

    async fn begin(&self, begun: &[BegunWork]) -> Result<Vec<Shard>, Error> {
        check_work_count(begun.len())?;
        let room = &mut self.lock().work;
        let now = self.now();
        Ok(room.begin(begun, now).into_iter().collect())
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        check_settlements(settlements)?;
        let room = &mut self.lock().work;
        let now = self.now();
        Ok(room.settle_all(settlements, now).into_iter().collect())
    }

    async fn find_work(
        &self,
        tenant: &TenantId,
        commit: CommitId,
        number: u32,
    ) -> Result<Option<WorkInfo>, Error> {
        Ok(self.lock().work.row(tenant, WorkId::of(tenant, commit, number)).map(Row::info))
    }

    async fn list_work(
        &self,
        filter: &WorkFilter,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkList, Error> {
        check_work_limit(limit)?;
        check_work_filter(filter)?;
        let log = self.lock();
        let rows = log.work.rows.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, row)| row);
        let (mut list, mut bytes) = (WorkList { work: Vec::new(), at_end: true }, 0);
        for row in rows.filter(|row| filter.allows(row)) {
            if list.work.len() >= limit || bytes >= PAGE_BYTES_MAX {
                list.at_end = false;
                break;
            }
            bytes += work_bytes(&row.work);
            list.work.push(row.info());
        }
        Ok(list)
    }

    async fn queue_depths(&self, tenant: Option<&TenantId>) -> Result<Vec<QueueDepth>, Error> {
        let log = self.lock();
        let now = self.now();
        let mut depths = BTreeMap::new();
        let is_asked_for = |row: &&Row| tenant.is_none_or(|tenant| row.work.tenant == *tenant);
        for row in log.work.rows.values().filter(is_asked_for) {
            let sent = &row.work.sent;
            let depth = depths
                .entry((sent.receiver.clone(), sent.kind.name()))
                .or_insert_with(|| QueueDepth::empty(sent.receiver.clone(), sent.kind));
            match row.standing {
                WorkStanding::Ready => depth.ready += 1,
                WorkStanding::Later | WorkStanding::Behind => depth.later += 1,
                WorkStanding::Dead { .. } => depth.dead += 1,
            }
            let is_late = match row.standing {
                WorkStanding::Ready => true,
                // What holds its line was tried, and is to be tried again.
                WorkStanding::Later => row.holds || sent.due_at.is_some_and(|due_at| due_at <= now),
                WorkStanding::Behind | WorkStanding::Dead { .. } => false,
            };
            if is_late && depth.oldest_sent_at.is_none_or(|oldest| row.work.sent_at < oldest) {
                depth.oldest_sent_at = Some(row.work.sent_at);
            }
        }
        Ok(depths.into_values().collect())
    }

    async fn replay(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        check_work_count(letters.len())?;
        let room = &mut self.lock().work;
        let now = self.now();
        let mut replayed = 0;
        for id in letters {
            let Some(mut row) = room.take_letter(tenant, *id) else { continue };
            (row.standing, row.holds, row.work.sent.due_at) = (WorkStanding::Later, true, Some(now));
            row.work.attempts = 0;
            room.put(row);
            replayed += 1;
        }
        Ok(replayed)
    }

    async fn discard(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        check_work_count(letters.len())?;
        let room = &mut self.lock().work;
        let now = self.now();
        let mut discarded = 0;
        for id in letters {
            let Some(row) = room.take_letter(tenant, *id) else { continue };
            room.release_next(&row.line(), now);
            discarded += 1;
        }
        Ok(discarded)
    }
}
