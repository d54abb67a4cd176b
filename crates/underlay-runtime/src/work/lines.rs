//! The work that a worker has in memory, in lines: what may be begun, and whose turn it is.
//!
//! ```text
//!  waiting ──► its turn ──► running ──► settling ──► gone: the next of the line gets its turn
//!                              │
//!                              └── it failed and holds the line ──► the others of the line are held too
//! ```
//!
//! Of one line one piece is running or settling. What became of it is stored before the next one begins. A shard
//! that is lost takes all of its lines with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::task::AbortHandle;
use underlay_core::{Lane, LaneCursors, Shard, TenantId, Timestamp, Work, WorkPlace};

use super::receiver::Receiver;
use super::rooms::{Fit, Rooms};
use super::rotation::Rotation;

/// How many urgent pieces are begun in a row while a normal one waits.
const URGENT_IN_A_ROW_MAX: u32 = 16;
/// What a piece takes in memory beside its texts.
const PIECE_BYTES: usize = 512;

/// Work of one tenant, receiver and key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LineName {
    pub(super) tenant: TenantId,
    pub(super) receiver: String,
    pub(super) key: String,
}

impl LineName {
    /// The line that a piece stands in.
    pub(super) fn of(work: &Work) -> Self {
        let (receiver, key) = (work.sent.receiver.clone(), work.sent.key.clone());
        Self { tenant: work.tenant.clone(), receiver, key }
    }
}

/// What a piece was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// What was to wait.
    Due,
    /// What was ready, in a lane.
    Ready(Lane),
}

impl Source {
    pub(super) const ALL: [Self; 3] = [Self::Due, Self::Ready(Lane::Urgent), Self::Ready(Lane::Normal)];
    pub(super) const COUNT: usize = Self::ALL.len();

    pub(super) fn index(self) -> usize {
        match self {
            Self::Due => 0,
            Self::Ready(Lane::Urgent) => 1,
            Self::Ready(Lane::Normal) => 2,
        }
    }
}

/// A piece that waits for its turn.
struct Waiting {
    work: Arc<Work>,
    receiver: Arc<dyn Receiver>,
    source: Source,
    since: Timestamp,
}

/// A piece that was put back, to be read again.
pub(super) struct PutBack {
    pub(super) shard: Shard,
    pub(super) source: Source,
    pub(super) place: WorkPlace,
}

/// A piece that is to be begun.
pub(super) struct Begun {
    pub(super) line: Arc<LineName>,
    pub(super) work: Arc<Work>,
    pub(super) receiver: Arc<dyn Receiver>,
}

/// What is known of a place.
struct Known {
    line: Arc<LineName>,
    source: Source,
    bytes: usize,
    /// The attempt that goes on.
    attempt: Option<AbortHandle>,
}

#[derive(Default)]
struct Line {
    /// In the order in which they are begun, whatever they were read from.
    waiting: BTreeMap<(Lane, WorkPlace), Waiting>,
    /// The piece of it that is running or settling.
    busy: Option<WorkPlace>,
    /// Whether it stands in the rotation of a lane.
    in_turn: [bool; Lane::ALL.len()],
    /// Pieces that will block it once that is stored: what is after one of them is held.
    blockers: BTreeSet<WorkPlace>,
}

impl Line {
    fn is_gone(&self) -> bool {
        self.busy.is_none() && self.blockers.is_empty() && self.waiting.is_empty()
    }
}

/// What a worker has in memory.
pub(super) struct Lines {
    lines: HashMap<Arc<LineName>, Line>,
    known: BTreeMap<Shard, BTreeMap<WorkPlace, Known>>,
    rotations: [Rotation; Lane::ALL.len()],
    urgent_in_a_row: u32,
    pub(super) rooms: Rooms,
    /// Lines of which an attempt has not ended, also where it was given up.
    alive: HashSet<Arc<LineName>>,
    running: usize,
    running_of_tenants: HashMap<TenantId, usize>,
    running_by_receivers: HashMap<String, usize>,
    running_by_both: HashMap<(TenantId, String), usize>,
}

/// How much may run side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunningBounds {
    pub(super) all: usize,
    pub(super) of_tenant: usize,
    pub(super) by_receiver: usize,
}

/// About how many bytes a piece is in memory.
pub(super) fn bytes_of(work: &Work) -> usize {
    let sent = &work.sent;
    let texts = [&sent.receiver, &sent.key, &sent.name].map(String::len).into_iter().sum::<usize>();
    texts + sent.payload.bytes() + work.metadata.bytes() + PIECE_BYTES
}

impl Lines {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self {
            lines: HashMap::new(),
            known: BTreeMap::new(),
            rotations: Default::default(),
            urgent_in_a_row: 0,
            rooms,
            alive: HashSet::new(),
            running: 0,
            running_of_tenants: HashMap::new(),
            running_by_receivers: HashMap::new(),
            running_by_both: HashMap::new(),
        }
    }

    /// Whether a piece is in memory.
    pub(super) fn knows(&self, shard: Shard, place: WorkPlace) -> bool {
        self.known.get(&shard).is_some_and(|known| known.contains_key(&place))
    }

    /// Whether nothing of a shard is in memory.
    pub(super) fn is_empty(&self, shard: Shard) -> bool {
        self.known.get(&shard).is_none_or(BTreeMap::is_empty)
    }

    /// The places of a shard that were read as due.
    pub(super) fn due(&self, shard: Shard) -> impl Iterator<Item = WorkPlace> {
        let known = self.known.get(&shard).into_iter().flatten();
        known.filter(|(_, known)| known.source == Source::Due).map(|(place, _)| *place)
    }

    /// The lowest place of each lane that is in memory.
    pub(super) fn lowest(&self, shard: Shard) -> [Option<WorkPlace>; Lane::ALL.len()] {
        let lowest = |lane| {
            let mut known = self.known.get(&shard).into_iter().flatten();
            known.find(|(_, known)| known.source == Source::Ready(lane)).map(|(place, _)| *place)
        };
        Lane::ALL.map(lowest)
    }

    /// Whether a piece at this place will stand behind another of its line, once what became of that is stored.
    pub(super) fn is_blocked(&self, line: &LineName, place: WorkPlace) -> bool {
        self.lines.get(line).and_then(|line| line.blockers.first()).is_some_and(|head| *head < place)
    }

    /// Whether there is room for a piece.
    pub(super) fn fit(&mut self, work: &Work, source: Source) -> Fit {
        self.rooms.fit(&work.tenant, source, bytes_of(work))
    }

    /// Takes in a piece that waits for its turn.
    pub(super) fn insert(
        &mut self,
        work: Work,
        source: Source,
        receiver: Arc<dyn Receiver>,
        since: Timestamp,
    ) {
        let name = self.name(&work);
        self.know(&work, source, name.clone(), bytes_of(&work));
        let line = self.lines.entry(name.clone()).or_default();
        let turn = (work.sent.lane, work.place);
        line.waiting.insert(turn, Waiting { work: Arc::new(work), receiver, source, since });
        self.take_turn(&name);
    }

    /// Takes in a piece that is settled as held. It counts no bytes: what is to be settled is bounded by itself.
    pub(super) fn hold(&mut self, work: &Work, source: Source) -> Arc<LineName> {
        let name = self.name(work);
        self.know(work, source, name.clone(), 0);
        let line = self.lines.entry(name.clone()).or_default();
        line.blockers.insert(work.place);
        name
    }

    fn name(&self, work: &Work) -> Arc<LineName> {
        let name = LineName::of(work);
        let known = self.lines.get_key_value(&name).map(|(name, _)| name.clone());
        known.unwrap_or_else(|| Arc::new(name))
    }

    fn know(&mut self, work: &Work, source: Source, line: Arc<LineName>, bytes: usize) {
        self.rooms.take(&work.tenant, source, bytes);
        let known = Known { line, source, bytes, attempt: None };
        self.known.entry(work.shard).or_default().insert(work.place, known);
    }

    fn take_turn(&mut self, name: &Arc<LineName>) {
        let Some(line) = self.lines.get_mut(name) else { return };
        let Some(((lane, _), _)) = line.waiting.first_key_value() else { return };
        let in_turn = &mut line.in_turn[usize::from(lane.number())];
        if line.busy.is_none() && !*in_turn && !self.alive.contains(name) {
            *in_turn = true;
            self.rotations[usize::from(lane.number())].push(name.clone());
        }
    }

    /// The next piece to begin, where there is room for one. It counts as running from now on.
    pub(super) fn next(&mut self, bounds: RunningBounds) -> Option<Begun> {
        if self.running >= bounds.all {
            return None;
        }
        loop {
            let lanes = match self.urgent_in_a_row >= URGENT_IN_A_ROW_MAX {
                true => [Lane::Normal, Lane::Urgent],
                false => Lane::ALL,
            };
            let (lane, name) = lanes.into_iter().find_map(|lane| {
                let (tenants, receivers) = (&self.running_of_tenants, &self.running_by_receivers);
                let by = |receiver: &str| receivers.get(receiver).copied().unwrap_or_default();
                // Of what the others leave free no receiver takes more than half.
                let most = |receiver: &str| {
                    let others = self.running - by(receiver);
                    bounds.by_receiver.min((bounds.all - others).div_ceil(2)).max(1)
                };
                let receiver_may = |receiver: &str| by(receiver) < most(receiver);
                // And of what a receiver leaves free no tenant takes more than is left beside it, nor a receiver more
                // than half of what the others leave free of its tenant's part.
                let tenant_may = |receiver: &str, tenant: &TenantId| {
                    let free = most(receiver).saturating_sub(by(receiver));
                    let running = tenants.get(tenant).copied().unwrap_or_default();
                    let both = (tenant.clone(), receiver.to_owned());
                    let both = self.running_by_both.get(&both).copied().unwrap_or_default();
                    let part = bounds.of_tenant.saturating_sub(running - both).div_ceil(2).max(1);
                    running < bounds.of_tenant.min(free.max(1)) && both < part
                };
                let name = self.rotations[usize::from(lane.number())].next(receiver_may, tenant_may)?;
                Some((lane, name))
            })?;
            let Some(line) = self.lines.get_mut(&name) else { continue };
            line.in_turn[usize::from(lane.number())] = false;
            if line.busy.is_some() || self.alive.contains(&name) {
                continue;
            }
            let Some(((_, place), next)) = line.waiting.pop_first() else { continue };
            line.busy = Some(place);
            self.urgent_in_a_row = match lane {
                Lane::Urgent if !self.rotations[usize::from(Lane::Normal.number())].is_empty() => {
                    self.urgent_in_a_row + 1
                }
                _ => 0,
            };
            self.resume(&name);
            return Some(Begun { line: name, work: next.work, receiver: next.receiver });
        }
    }

    /// Remembers how an attempt is given up.
    pub(super) fn began(&mut self, shard: Shard, place: WorkPlace, attempt: AbortHandle) {
        if let Some(known) = self.known.get_mut(&shard).and_then(|known| known.get_mut(&place)) {
            known.attempt = Some(attempt);
        }
    }

    /// A piece that was put off is to be begun after all.
    pub(super) fn resume(&mut self, name: &Arc<LineName>) {
        self.running += 1;
        *self.running_of_tenants.entry(name.tenant.clone()).or_default() += 1;
        *self.running_by_receivers.entry(name.receiver.clone()).or_default() += 1;
        let both = (name.tenant.clone(), name.receiver.clone());
        *self.running_by_both.entry(both).or_default() += 1;
        self.alive.insert(name.clone());
    }

    /// An attempt has ended, however it did, or is put off.
    pub(super) fn ended(&mut self, shard: Shard, place: WorkPlace, name: &Arc<LineName>) {
        self.running -= 1;
        count_down(&mut self.running_of_tenants, &name.tenant);
        count_down(&mut self.running_by_receivers, &name.receiver);
        count_down(&mut self.running_by_both, &(name.tenant.clone(), name.receiver.clone()));
        self.alive.remove(name);
        if let Some(known) = self.known.get_mut(&shard).and_then(|known| known.get_mut(&place)) {
            known.attempt = None;
        }
        self.take_turn(name);
    }

    /// A piece keeps its line blocked: what waits in memory is to be settled as held, in this order.
    pub(super) fn block(&mut self, name: &Arc<LineName>, head: WorkPlace) -> Vec<WorkPlace> {
        let Some(line) = self.lines.get_mut(name) else { return Vec::new() };
        let mut behind: Vec<WorkPlace> =
            std::mem::take(&mut line.waiting).into_keys().map(|(_, place)| place).collect();
        behind.sort_unstable();
        line.blockers.insert(head);
        line.blockers.extend(&behind);
        behind
    }

    /// Forgets what waits for its turn in a line, and gives it back in the order of places.
    pub(super) fn drop_line(&mut self, name: &Arc<LineName>) -> Vec<(Arc<Work>, Source)> {
        let Some(line) = self.lines.get_mut(name) else { return Vec::new() };
        let mut dropped: Vec<(Arc<Work>, Source)> =
            std::mem::take(&mut line.waiting).into_values().map(|piece| (piece.work, piece.source)).collect();
        dropped.sort_unstable_by_key(|(work, _)| work.place);
        for (work, _) in &dropped {
            let known = self.known.get_mut(&work.shard).and_then(|known| known.remove(&work.place));
            if let Some(known) = known {
                self.rooms.give_back(&name.tenant, known.source, known.bytes);
            }
        }
        dropped
    }

    /// What became of a piece is stored. Says what it was read from; `None` where it is not in memory. It may wait for
    /// its turn: the shard was lost and held again by the same term, and it was read again before the answer came.
    pub(super) fn settled(&mut self, shard: Shard, place: WorkPlace) -> Option<Source> {
        let known = self.known.get_mut(&shard)?.remove(&place)?;
        self.rooms.give_back(&known.line.tenant, known.source, known.bytes);
        if let Some(line) = self.lines.get_mut(&known.line) {
            line.blockers.remove(&place);
            line.waiting.retain(|(_, waiting), _| *waiting != place);
            line.busy.take_if(|busy| *busy == place);
            if line.is_gone() {
                self.lines.remove(&known.line);
            } else {
                self.take_turn(&known.line);
            }
        }
        Some(known.source)
    }

    /// The receivers of which something waits for its turn, since that moment or before.
    pub(super) fn waiting_since(&self, moment: Timestamp) -> BTreeSet<String> {
        let waits = |line: &Line| line.waiting.values().any(|waiting| waiting.since <= moment);
        let lines = self.lines.iter().filter(|(_, line)| waits(line));
        lines.map(|(name, _)| name.receiver.clone()).collect()
    }

    /// Puts back the later half of what waits for a receiver.
    pub(super) fn put_back(&mut self, receiver: &str) -> Vec<PutBack> {
        let mut waiting: Vec<(WorkPlace, Lane, Arc<LineName>)> = Vec::new();
        for (name, line) in self.lines.iter().filter(|(name, _)| name.receiver == receiver) {
            waiting.extend(line.waiting.keys().map(|(lane, place)| (*place, *lane, name.clone())));
        }
        waiting.sort_unstable_by_key(|(place, ..)| *place);
        let left = waiting.len().div_ceil(2);
        let mut put_back = Vec::with_capacity(waiting.len() - left);
        for (place, lane, name) in waiting.drain(left..) {
            let Some(line) = self.lines.get_mut(&name) else { continue };
            let Some(dropped) = line.waiting.remove(&(lane, place)) else { continue };
            if line.is_gone() {
                self.lines.remove(&name);
            }
            let shard = dropped.work.shard;
            let known = self.known.get_mut(&shard).and_then(|known| known.remove(&place));
            if let Some(known) = known {
                self.rooms.give_back(&name.tenant, known.source, known.bytes);
            }
            put_back.push(PutBack { shard, source: dropped.source, place });
        }
        put_back
    }

    /// Forgets what waits for its turn in a shard. What is running or settling goes on.
    pub(super) fn drop_waiting(&mut self, shard: Shard) {
        let Some(known) = self.known.get_mut(&shard) else { return };
        let names: Vec<Arc<LineName>> = known.values().map(|known| known.line.clone()).collect();
        for name in names {
            let Some(line) = self.lines.get_mut(&name) else { continue };
            for (_, place) in std::mem::take(&mut line.waiting).into_keys() {
                if let Some(dropped) = known.remove(&place) {
                    self.rooms.give_back(&name.tenant, dropped.source, dropped.bytes);
                }
            }
            if line.is_gone() {
                self.lines.remove(&name);
            }
        }
    }

    /// Gives up the attempts of a shard that go on, and forgets all of it.
    pub(super) fn forget(&mut self, shard: Shard) {
        for known in self.known.remove(&shard).unwrap_or_default().into_values() {
            self.rooms.give_back(&known.line.tenant, known.source, known.bytes);
            self.lines.remove(&known.line);
            if let Some(attempt) = known.attempt {
                attempt.abort();
            }
        }
    }

    /// Gives up the attempts of a shard that go on; what is being settled goes on.
    pub(super) fn give_up(&mut self, shard: Shard) {
        let Some(known) = self.known.get_mut(&shard) else { return };
        let (rooms, lines) = (&mut self.rooms, &mut self.lines);
        known.retain(|_, known| {
            let Some(attempt) = known.attempt.take() else { return true };
            attempt.abort();
            rooms.give_back(&known.line.tenant, known.source, known.bytes);
            if let Some(line) = lines.get_mut(&known.line) {
                line.busy = None;
                if line.is_gone() {
                    lines.remove(&known.line);
                }
            }
            false
        });
    }

    /// Whether nothing is in memory.
    pub(super) fn is_done(&self) -> bool {
        self.known.values().all(BTreeMap::is_empty)
    }

    /// How many attempts go on.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Where the next worker of a shard starts to read, where this one has looked as far as `looked`.
    pub(super) fn cursors(&self, shard: Shard, looked: LaneCursors) -> LaneCursors {
        let lowest = self.lowest(shard);
        Lane::ALL.map(|lane| {
            let lane = usize::from(lane.number());
            lowest[lane].map_or(looked[lane], |lowest| before(lowest).min(looked[lane]))
        })
    }
}

/// The place just before another.
pub(super) fn before(place: WorkPlace) -> WorkPlace {
    WorkPlace::from_number(place.number().saturating_sub(1))
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use underlay_core::{Attempts, CommitId, Json, NewWork, WorkId, WorkKind};

    use super::super::receiver::{Attempt, NotDone};
    use super::*;
    use crate::EngineConfig;

    struct Nobody;

    #[async_trait]
    impl Receiver for Nobody {
        fn attempts(&self) -> Attempts {
            Attempts::default()
        }

        fn holds_key(&self) -> bool {
            false
        }

        async fn attempt(&self, _: Attempt<'_>) -> Result<(), NotDone> {
            Ok(())
        }
    }

    fn piece(number: u64) -> Work {
        let (tenant, commit_id) = (TenantId::new("acme").unwrap(), CommitId::draw());
        let json = || Json::parse("{}").unwrap();
        Work {
            id: WorkId::of(&tenant, commit_id, 0),
            shard: Shard::of(&tenant, "key"),
            tenant,
            commit_id,
            place: WorkPlace::from_number(number),
            sent: NewWork::new(WorkKind::Message, "mailer", "key", "note", json()),
            metadata: json(),
            sent_at: Timestamp::UNIX_EPOCH,
            attempts: 0,
            begun: 0,
            last_error: None,
        }
    }

    #[test]
    fn what_is_stored_of_a_piece_that_waits_again_lets_its_line_go_on() {
        let mut lines = Lines::new(Rooms::new(&EngineConfig::default()));
        let bounds = || RunningBounds { all: 8, of_tenant: 8, by_receiver: 8 };
        let source = Source::Ready(Lane::Normal);
        let (first, second) = (piece(1), piece(2));
        let shard = first.shard;
        for work in [first.clone(), second.clone()] {
            lines.insert(work, source, Arc::new(Nobody), Timestamp::UNIX_EPOCH);
        }
        // An answer from before the shard was lost and held again: the first is done.
        assert_eq!(lines.settled(shard, first.place), Some(source));
        let begun = lines.next(bounds()).unwrap();
        assert_eq!(begun.work.place, second.place, "it is not begun once more");
        lines.ended(shard, second.place, &begun.line);
        lines.settled(shard, second.place);
        assert!(lines.next(bounds()).is_none() && lines.is_done());
    }
}
