//! A shard in the hands of this worker: how far its work was read, and what is read next.
//!
//! Ready work of a lane is read once, from a cursor that only goes forward. A tenant that has too much in memory
//! is set apart: the others are read on without it, and it is read by itself, from where it was left, once it has
//! room. When it has come as far as the others it is read with them again.
//!
//! A receiver that does not come to its work while others find no room is passed over: what is ready for it is left
//! where it is, with the lowest place remembered. Once it has nothing left in memory, and the lanes were read to
//! their ends for the others, it is read from there again.
//!
//! Of one shard one thing is read at a time. What is settled while a page is on its way may be in that page as it
//! was before; it is remembered until the page is there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use underlay_core::limits::WORK_TENANTS_PASSED_MAX;
use underlay_core::{
    HeldShard, Lane, LaneCursors, ShardTerm, TenantId, Timestamp, Work, WorkKind, WorkPlace, WorkScope,
};

use super::lines::{LineName, Source, before};

/// Lines of a shard that are left for another process and known one by one; beyond that, all of a receiver's.
const LEFT_LINES_MAX: usize = 1_000;
/// What is due in a shard and left for another process; what is more is looked at again after a while.
pub(super) const LEFT_DUE_MAX: usize = 250;

/// What is read of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// What is ready in a lane, but for the tenants that are set apart.
    Lane(Lane),
    /// What is due.
    Due,
    /// What is ready in a lane of a tenant that is set apart.
    Apart(Lane, TenantId),
}

impl Look {
    pub(super) fn source(&self) -> Source {
        match self {
            Self::Due => Source::Due,
            Self::Lane(lane) | Self::Apart(lane, _) => Source::Ready(*lane),
        }
    }
}

/// How far a lane was read.
#[derive(Default)]
struct LaneReading {
    /// All tenants but those apart were read to here.
    after: WorkPlace,
    /// Whether there may be more.
    may_have_more: bool,
    /// Tenants set apart, and how far each was read.
    apart: BTreeMap<TenantId, WorkPlace>,
    /// Those of them that have room.
    hungry: VecDeque<TenantId>,
}

/// What was settled while a page was on its way.
#[derive(Default)]
struct Meanwhile {
    settled: HashSet<WorkPlace>,
    /// Lines that are blocked since, each with the lowest place that blocks it.
    blocked: HashMap<Arc<LineName>, WorkPlace>,
}

/// Work that nobody in this process receives, or can read. It stays where it is, for another process.
#[derive(Default)]
struct Left {
    /// Lines of which something cannot be read, from that place on.
    lines: HashMap<LineName, WorkPlace>,
    /// Receivers of which all is left.
    receivers: HashSet<(WorkKind, String)>,
    /// The lowest place of each lane.
    lowest: [Option<WorkPlace>; Lane::ALL.len()],
    due: BTreeSet<WorkPlace>,
    counts: BTreeMap<(&'static str, String), u64>,
}

/// A shard that this worker holds.
pub(super) struct ShardRoom {
    pub(super) term: ShardTerm,
    /// Tells the time before it was lost from the time after it was got again.
    pub(super) incarnation: u64,
    /// Nothing more is begun, as it is to be given back.
    pub(super) is_draining: bool,
    /// It was told to be given back.
    pub(super) is_released: bool,
    lanes: [LaneReading; Lane::ALL.len()],
    /// When to look for what is due.
    due_at: Timestamp,
    /// The read that is on its way.
    reading: Option<u64>,
    reads: u64,
    /// What was read last, so that everything has its turn.
    last: usize,
    /// Failures to read since the last page.
    pub(super) failures: u32,
    meanwhile: Meanwhile,
    left: Left,
    /// Receivers that are passed over.
    passed: BTreeSet<String>,
    /// The lanes that were read to their ends since one is.
    is_walked: [bool; Lane::ALL.len()],
}

impl ShardRoom {
    pub(super) fn new(held: &HeldShard, incarnation: u64) -> Self {
        let mut room = Self {
            term: held.term,
            incarnation,
            is_draining: false,
            is_released: false,
            lanes: Default::default(),
            due_at: Timestamp::MIN,
            reading: None,
            reads: 0,
            last: 0,
            failures: 0,
            meanwhile: Meanwhile::default(),
            left: Left::default(),
            passed: BTreeSet::new(),
            is_walked: Default::default(),
        };
        room.read_from(held.cursors);
        room
    }

    /// Reads again from these places on. A page that is on its way counts no more.
    pub(super) fn read_from(&mut self, cursors: LaneCursors) {
        self.reading = None;
        self.lanes =
            cursors.map(|after| LaneReading { after, may_have_more: true, ..LaneReading::default() });
        self.due_at = Timestamp::MIN;
        self.left = Left::default();
        self.passed.clear();
    }

    /// Passes over a receiver from now on.
    pub(super) fn pass_over(&mut self, receiver: &str) {
        if self.passed.insert(receiver.to_owned()) {
            self.is_walked = Default::default();
        }
    }

    /// Whether a receiver is passed over.
    pub(super) fn passes_over(&self, receiver: &str) -> bool {
        !self.passed.is_empty() && self.passed.contains(receiver)
    }

    /// A piece is passed over, with its receiver.
    pub(super) fn pass(&mut self, lane: Lane, place: WorkPlace) {
        let lowest = &mut self.left.lowest[usize::from(lane.number())];
        *lowest = Some(lowest.map_or(place, |lowest| lowest.min(place)));
    }

    /// Whether a receiver that is passed over can be read again: it waits for nothing, and the others had their turn.
    pub(super) fn may_read_again(&self, waits: impl Fn(&str) -> bool) -> bool {
        let is_walked = self.is_walked.iter().all(|is_walked| *is_walked);
        is_walked && self.passed.iter().any(|receiver| !waits(receiver))
    }

    /// There may be more work.
    pub(super) fn look_again(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.may_have_more = true);
    }

    /// Something may be due at that moment.
    pub(super) fn look_for_due(&mut self, at: Timestamp) {
        self.due_at = self.due_at.min(at);
    }

    /// When something may be due.
    pub(super) fn due_at(&self) -> Timestamp {
        self.due_at
    }

    /// A tenant that was set apart has room.
    pub(super) fn feed(&mut self, lane: Lane, tenant: &TenantId) {
        let reading = &mut self.lanes[usize::from(lane.number())];
        if reading.apart.contains_key(tenant) && !reading.hungry.contains(tenant) {
            reading.hungry.push_back(tenant.clone());
        }
    }

    /// What to read next, where there is room for it; `page` says for how many pieces there is.
    pub(super) fn next_look(
        &mut self,
        now: Timestamp,
        page: impl Fn(&Look) -> usize,
    ) -> Option<(Look, usize)> {
        if self.reading.is_some() || self.is_draining {
            return None;
        }
        const LOOKS: usize = 5;
        for step in 1..=LOOKS {
            let number = (self.last + step) % LOOKS;
            let look = match number {
                0 | 1 => {
                    let lane = Lane::ALL[number];
                    let reading = &self.lanes[number];
                    // Where so many are set apart, it goes on once one of them has come as far.
                    let may = reading.may_have_more && reading.apart.len() < WORK_TENANTS_PASSED_MAX;
                    may.then_some(Look::Lane(lane))
                }
                2 => (self.due_at <= now).then_some(Look::Due),
                _ => {
                    let lane = Lane::ALL[number - 3];
                    let hungry = self.lanes[number - 3].hungry.front();
                    hungry.map(|tenant| Look::Apart(lane, tenant.clone()))
                }
            };
            let Some(look) = look else { continue };
            let page = page(&look);
            if page == 0 {
                continue;
            }
            self.last = number;
            self.begin(&look);
            return Some((look, page));
        }
        None
    }

    fn begin(&mut self, look: &Look) {
        self.reads += 1;
        self.reading = Some(self.reads);
        self.meanwhile = Meanwhile::default();
        match look {
            // What comes while it is read is looked for again.
            Look::Lane(lane) => self.lanes[usize::from(lane.number())].may_have_more = false,
            Look::Due => self.due_at = Timestamp::MAX,
            Look::Apart(lane, _) => {
                self.lanes[usize::from(lane.number())].hungry.pop_front();
            }
        }
    }

    /// Whose ready work is read, and from where.
    pub(super) fn scope(&self, lane: Lane, of: Option<&TenantId>) -> (WorkScope, WorkPlace) {
        let reading = &self.lanes[usize::from(lane.number())];
        match of {
            None => (WorkScope::EveryTenantBut(reading.apart.keys().cloned().collect()), reading.after),
            Some(tenant) => {
                let after = reading.apart.get(tenant).copied().unwrap_or(reading.after);
                (WorkScope::Tenant(tenant.clone()), after)
            }
        }
    }

    /// The read that is on its way.
    pub(super) fn reading(&self) -> Option<u64> {
        self.reading
    }

    /// A page has come, or will not. False where it counts no more.
    pub(super) fn read(&mut self, number: Option<u64>) -> bool {
        let counts = self.reading.is_some() && self.reading == number;
        if counts {
            self.reading = None;
        }
        counts
    }

    /// What could not be read is read again.
    pub(super) fn failed(&mut self, look: &Look, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        match look {
            Look::Lane(lane) => self.lanes[usize::from(lane.number())].may_have_more = true,
            Look::Due => self.look_for_due(now),
            Look::Apart(lane, tenant) => self.feed(*lane, tenant),
        }
    }

    /// Whether the tenant of a piece is set apart, so that the piece is read later.
    pub(super) fn is_apart(&self, lane: Lane, tenant: &TenantId) -> bool {
        self.lanes[usize::from(lane.number())].apart.contains_key(tenant)
    }

    /// Sets a tenant apart, which is to be read from this place on. False where too many are.
    pub(super) fn set_apart(&mut self, lane: Lane, tenant: &TenantId, from: WorkPlace) -> bool {
        let apart = &mut self.lanes[usize::from(lane.number())].apart;
        if apart.len() >= WORK_TENANTS_PASSED_MAX && !apart.contains_key(tenant) {
            return false;
        }
        apart.insert(tenant.clone(), before(from));
        true
    }

    /// A lane was looked at as far as that.
    pub(super) fn looked_to(&mut self, lane: Lane, place: WorkPlace, has_more: bool) {
        let reading = &mut self.lanes[usize::from(lane.number())];
        reading.after = reading.after.max(place);
        reading.may_have_more |= has_more;
        self.is_walked[usize::from(lane.number())] |= !has_more;
    }

    /// How far a lane was looked at.
    pub(super) fn after(&self, lane: Lane) -> WorkPlace {
        self.lanes[usize::from(lane.number())].after
    }

    /// A tenant that is set apart was looked at as far as that. Where the others are no further, it is read with
    /// them again.
    pub(super) fn looked_apart_to(
        &mut self,
        lane: Lane,
        tenant: &TenantId,
        place: WorkPlace,
        has_more: bool,
    ) {
        let reading = &mut self.lanes[usize::from(lane.number())];
        if has_more && place < reading.after {
            reading.apart.insert(tenant.clone(), place);
            self.feed(lane, tenant);
        } else {
            reading.apart.remove(tenant);
            reading.hungry.retain(|hungry| hungry != tenant);
            reading.may_have_more = true;
        }
    }

    /// What became of a piece is stored.
    pub(super) fn settled(&mut self, place: WorkPlace) {
        if self.reading.is_some() {
            self.meanwhile.settled.insert(place);
        }
    }

    /// A line is blocked by what was stored.
    pub(super) fn blocked(&mut self, line: Arc<LineName>, by: WorkPlace) {
        if self.reading.is_some() {
            let head = self.meanwhile.blocked.entry(line).or_insert(by);
            *head = by.min(*head);
        }
    }

    /// Whether a page may show a piece as it was before it was settled.
    pub(super) fn was_settled(&self, place: WorkPlace) -> bool {
        self.meanwhile.settled.contains(&place)
    }

    /// Whether a page may show a piece as it was before its line was blocked.
    pub(super) fn was_blocked(&self, line: &LineName, place: WorkPlace) -> bool {
        self.meanwhile.blocked.get(line).is_some_and(|head| *head < place)
    }

    /// Leaves a piece for another process, with all that stands behind it.
    pub(super) fn leave(&mut self, work: &Work, line: LineName, source: Source, is_known: bool) {
        let receiver = (work.sent.kind, work.sent.receiver.clone());
        if !is_known || self.left.lines.len() >= LEFT_LINES_MAX {
            self.left.receivers.insert(receiver);
        } else {
            let from = self.left.lines.entry(line).or_insert(work.place);
            *from = work.place.min(*from);
        }
        match source {
            Source::Due => {
                self.left.due.insert(work.place);
            }
            Source::Ready(lane) => self.pass(lane, work.place),
        }
        *self.left.counts.entry((work.sent.kind.name(), work.sent.receiver.clone())).or_default() += 1;
    }

    /// Whether a piece stands behind one that was left.
    pub(super) fn is_left(&self, work: &Work, line: &LineName) -> bool {
        self.left.lines.get(line).is_some_and(|from| *from <= work.place)
            || !self.left.receivers.is_empty()
                && self.left.receivers.contains(&(work.sent.kind, work.sent.receiver.clone()))
    }

    /// What is due and was left.
    pub(super) fn left_due(&self) -> &BTreeSet<WorkPlace> {
        &self.left.due
    }

    /// How much was left, by kind and receiver.
    pub(super) fn left(&self) -> &BTreeMap<(&'static str, String), u64> {
        &self.left.counts
    }

    /// How far reading has come, but for what is in memory.
    pub(super) fn looked(&self) -> LaneCursors {
        Lane::ALL.map(|lane| {
            let number = usize::from(lane.number());
            let reading = &self.lanes[number];
            let apart = reading.apart.values().copied().min();
            let left = self.left.lowest[number].map(before);
            [Some(reading.after), apart, left].into_iter().flatten().min().unwrap_or_default()
        })
    }
}

/// The pause before what could not be read is read again.
pub(super) const READ_PAUSE_MAX: Duration = Duration::from_secs(1);
