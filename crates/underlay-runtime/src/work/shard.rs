//! A shard in the hands of this worker: how far its work was read, and what is read next.
//!
//! Ready work of a lane is read once, from a cursor that only goes forward. A tenant that has too much in memory
//! is set apart: the others are read on without it, and it is read by itself, from where it was left, once it has
//! room. When it has come as far as the others it is read with them again.
//!
//! What is due is read in the same way, in the order of moments. Only there something may come to stand before the
//! cursor: it is tried again at a moment that has passed, it was made the head of its line, or its transaction took
//! long. So the cursor is set back by what this worker settles, a little at every poll, and to the start now and then.
//!
//! A receiver that does not come to its work while others find no room is passed over: what is ready or due for it is
//! left where it is, with the lowest place of each lane remembered. Once it has nothing left in memory, and all was
//! read to its end for the others, it is read from there again.
//!
//! Of one shard one thing is read at a time. What is settled while a page is on its way may be in that page as it
//! was before; it is remembered until the page is there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use underlay_core::limits::WORK_TENANTS_PASSED_MAX;
use underlay_core::{
    DuePlace, HeldShard, Lane, LaneCursors, ShardTerm, TenantId, Timestamp, Work, WorkKind, WorkPlace,
    WorkScope,
};

use super::attempt::after;
use super::lines::{LineName, Source, before};

/// Lines of a shard that are left for another process and known one by one; beyond that, all of a receiver's.
const LEFT_LINES_MAX: usize = 1_000;
/// What is due in a shard and left for another process, as far as it is counted. What is more is left too.
const LEFT_DUE_MAX: usize = 10_000;
/// So much of it is not read again.
const LEFT_DUE_PASSED_MAX: usize = 250;

/// How far it is looked behind the cursor of what is due, at every poll: so long a transaction may take.
const LOOK_BEHIND: Duration = Duration::from_secs(5);
/// How often it is looked at all that is due.
const LOOK_AT_ALL: Duration = Duration::from_secs(60);
/// How far the clock of the store may be behind that of this process, so that what it makes due is found at once.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

/// What is read of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// What a source has, but for the tenants that are set apart.
    All(Source),
    /// What a source has of a tenant that is set apart.
    Apart(Source, TenantId),
}

impl Look {
    pub(super) fn source(&self) -> Source {
        match self {
            Self::All(source) | Self::Apart(source, _) => *source,
        }
    }

    /// The tenant, where it is one that is set apart.
    pub(super) fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::All(_) => None,
            Self::Apart(_, tenant) => Some(tenant),
        }
    }
}

/// How far a source was read. What is ready was due at the beginning of all times.
#[derive(Default)]
struct Reading {
    /// All tenants but those apart were read to here.
    after: DuePlace,
    /// Whether there may be more that is ready.
    may_have_more: bool,
    /// Tenants set apart, and how far each was read.
    apart: BTreeMap<TenantId, DuePlace>,
    /// Those of them that have room.
    hungry: VecDeque<TenantId>,
}

impl Reading {
    fn of_lane(after: WorkPlace) -> Self {
        Self { after: DuePlace { place: after, ..DuePlace::START }, may_have_more: true, ..Self::default() }
    }

    /// Reads again what comes after a place.
    fn set_back(&mut self, to: DuePlace) {
        for after in self.apart.values_mut().chain([&mut self.after]) {
            *after = to.min(*after);
        }
    }
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
    /// What is at or before this place may have been begun by a worker that is gone.
    pub(super) suspects_to: WorkPlace,
    /// When this worker came to hold it.
    pub(super) since: Timestamp,
    /// Nothing more is begun, as it is to be given back.
    pub(super) is_draining: bool,
    /// How often it was to be given back: the last time may have been called off.
    pub(super) drains: u64,
    /// It was told to be given back.
    pub(super) is_released: bool,
    readings: [Reading; Source::COUNT],
    /// When to look for what is due.
    due_at: Timestamp,
    /// When to look at all that is due.
    all_due_at: Timestamp,
    /// What the cursor of what is due was set back to while a page of it was on its way.
    set_back_to: Option<DuePlace>,
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
    /// The sources that were read to their ends since one is.
    is_walked: [bool; Source::COUNT],
}

impl ShardRoom {
    pub(super) fn new(held: &HeldShard, incarnation: u64, now: Timestamp) -> Self {
        let mut room = Self {
            term: held.term,
            incarnation,
            suspects_to: held.suspects_to,
            since: now,
            is_draining: false,
            drains: 0,
            is_released: false,
            readings: Default::default(),
            due_at: Timestamp::MIN,
            all_due_at: Timestamp::MIN,
            set_back_to: None,
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
        let [urgent, normal] = cursors.map(Reading::of_lane);
        self.readings = Source::ALL.map(|_| Reading::default());
        *self.of(Source::Ready(Lane::Urgent)) = urgent;
        *self.of(Source::Ready(Lane::Normal)) = normal;
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

    /// A piece is passed over, with its receiver. What is due is found again without being remembered.
    pub(super) fn pass(&mut self, source: Source, place: WorkPlace) {
        let Source::Ready(lane) = source else { return };
        let lowest = &mut self.left.lowest[usize::from(lane.number())];
        *lowest = Some(lowest.map_or(place, |lowest| lowest.min(place)));
    }

    /// Whether a receiver that is passed over can be read again: it waits for nothing, and the others had their turn.
    pub(super) fn may_read_again(&self, waits: impl Fn(&str) -> bool) -> bool {
        let is_walked = self.is_walked.iter().all(|is_walked| *is_walked);
        is_walked && self.passed.iter().any(|receiver| !waits(receiver))
    }

    fn of(&mut self, source: Source) -> &mut Reading {
        &mut self.readings[source.index()]
    }

    /// There may be more work in a lane.
    pub(super) fn look_again(&mut self, lane: Lane) {
        self.of(Source::Ready(lane)).may_have_more = true;
    }

    /// Looks for what came to be due before what was read: a little behind it, or all of it where that is long ago, or
    /// the clock was put back.
    pub(super) fn look_behind(&mut self, now: Timestamp) {
        let behind = self.of(Source::Due).after.due_at;
        let is_ahead = self.all_due_at > after(now, LOOK_AT_ALL);
        if now >= self.all_due_at || is_ahead {
            self.all_due_at = after(now, LOOK_AT_ALL);
            self.set_back(Timestamp::MIN);
        } else {
            self.set_back(behind.saturating_sub(LOOK_BEHIND).unwrap_or(Timestamp::MIN));
        }
        self.look_for_due(now);
    }

    /// Something was made due so long after a moment that is between these two, by the clock of this process.
    pub(super) fn look_for_due_since(&mut self, since: Timestamp, now: Timestamp, delay: Duration) {
        self.set_back(after(since, delay).saturating_sub(CLOCKS_DIFFER).unwrap_or(Timestamp::MIN));
        self.look_for_due(after(now, delay));
    }

    fn set_back(&mut self, to: Timestamp) {
        let to = DuePlace { due_at: to, place: WorkPlace::START };
        self.of(Source::Due).set_back(to);
        if self.reading.is_some() {
            self.set_back_to = Some(self.set_back_to.map_or(to, |other| other.min(to)));
        }
    }

    /// What a source was set back to since its page was asked for.
    fn set_back_to(&self, source: Source) -> Option<DuePlace> {
        self.set_back_to.filter(|_| source == Source::Due)
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
    pub(super) fn feed(&mut self, source: Source, tenant: &TenantId) {
        let reading = self.of(source);
        if reading.apart.contains_key(tenant) && !reading.hungry.contains(tenant) {
            reading.hungry.push_back(tenant.clone());
        }
    }

    /// Whether a tenant that is set apart was to be read and finds no room; `page` says for how many pieces of it there
    /// is. What has room may be taken by others before it is read.
    pub(super) fn waits_for_room(&self, page: impl Fn(Source, &TenantId) -> usize) -> bool {
        let finds_none = |source: Source| {
            self.readings[source.index()].hungry.iter().any(|tenant| page(source, tenant) == 0)
        };
        Source::ALL.into_iter().any(finds_none)
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
        const LOOKS: usize = 2 * Source::COUNT;
        for step in 1..=LOOKS {
            let number = (self.last + step) % LOOKS;
            let source = Source::ALL[number % Source::COUNT];
            let is_due = self.due_at <= now;
            let reading = self.of(source);
            let look = if number < Source::COUNT {
                let may_have_more = if source == Source::Due { is_due } else { reading.may_have_more };
                // Where so many are set apart, it goes on once one of them has come as far.
                let may = may_have_more && reading.apart.len() < WORK_TENANTS_PASSED_MAX;
                may.then_some(Look::All(source))
            } else {
                reading.hungry.front().map(|tenant| Look::Apart(source, tenant.clone()))
            };
            let Some(look) = look else { continue };
            let page = page(&look);
            if page == 0 {
                if look.tenant().is_some() {
                    // Another may have room.
                    self.of(source).hungry.rotate_left(1);
                }
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
        self.set_back_to = None;
        match look {
            // What comes while it is read is looked for again.
            Look::All(Source::Due) => self.due_at = Timestamp::MAX,
            Look::All(source) => self.of(*source).may_have_more = false,
            Look::Apart(source, _) => {
                self.of(*source).hungry.pop_front();
            }
        }
    }

    /// Whose work is read, and from where.
    pub(super) fn scope(&self, look: &Look) -> (WorkScope, DuePlace) {
        let reading = &self.readings[look.source().index()];
        match look.tenant() {
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
            Look::All(source) => self.has_more(*source, now),
            Look::Apart(source, tenant) => self.feed(*source, tenant),
        }
    }

    /// There may be more in a source, to be looked for at that moment.
    fn has_more(&mut self, source: Source, at: Timestamp) {
        match source {
            Source::Due => self.look_for_due(at),
            Source::Ready(_) => self.of(source).may_have_more = true,
        }
    }

    /// Whether the tenant of a piece is set apart, so that the piece is read later.
    pub(super) fn is_apart(&self, source: Source, tenant: &TenantId) -> bool {
        self.readings[source.index()].apart.contains_key(tenant)
    }

    /// Sets a tenant apart, which is to be read from this place on. False where too many are.
    pub(super) fn set_apart(&mut self, source: Source, tenant: &TenantId, from: DuePlace) -> bool {
        let (back, reading) = (self.set_back_to(source), self.of(source));
        if reading.apart.len() >= WORK_TENANTS_PASSED_MAX && !reading.apart.contains_key(tenant) {
            return false;
        }
        let from = just_before(from);
        reading.apart.insert(tenant.clone(), back.map_or(from, |back| from.min(back)));
        true
    }

    /// A source was looked at as far as that. Where there is more of it, that is looked for at the moment `next`.
    pub(super) fn looked_to(&mut self, source: Source, place: DuePlace, has_more: bool, next: Timestamp) {
        let (back, reading) = (self.set_back_to(source), self.of(source));
        reading.after = reading.after.max(back.map_or(place, |back| place.min(back)));
        if has_more || back.is_some() {
            self.has_more(source, next);
        }
        self.is_walked[source.index()] |= !has_more;
    }

    /// How far a source was looked at.
    pub(super) fn after(&self, source: Source) -> DuePlace {
        self.readings[source.index()].after
    }

    /// A tenant that is set apart was looked at as far as that. Where the others are no further, it is read with
    /// them again.
    pub(super) fn looked_apart_to(
        &mut self,
        source: Source,
        tenant: &TenantId,
        place: DuePlace,
        has_more: bool,
        now: Timestamp,
    ) {
        let (back, reading) = (self.set_back_to(source), self.of(source));
        let place = back.map_or(place, |back| place.min(back));
        if (has_more || back.is_some()) && place < reading.after {
            reading.apart.insert(tenant.clone(), place);
            self.feed(source, tenant);
        } else {
            reading.apart.remove(tenant);
            reading.hungry.retain(|hungry| hungry != tenant);
            // Where nothing more is ready of it, the others have not missed anything; what comes is told.
            if has_more || back.is_some() || source == Source::Due {
                self.has_more(source, now);
            }
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
        // What is due is read again and again, and is counted once.
        let is_new = match source {
            Source::Due => self.left.due.len() < LEFT_DUE_MAX && self.left.due.insert(work.place),
            Source::Ready(_) => true,
        };
        self.pass(source, work.place);
        if is_new {
            *self.left.counts.entry((work.sent.kind.name(), work.sent.receiver.clone())).or_default() += 1;
        }
    }

    /// Whether a piece stands behind one that was left.
    pub(super) fn is_left(&self, work: &Work, line: &LineName) -> bool {
        self.left.lines.get(line).is_some_and(|from| *from <= work.place)
            || !self.left.receivers.is_empty()
                && self.left.receivers.contains(&(work.sent.kind, work.sent.receiver.clone()))
    }

    /// Of what is due and was left, so much that a reading can pass over.
    pub(super) fn left_due(&self) -> impl Iterator<Item = WorkPlace> {
        self.left.due.iter().copied().take(LEFT_DUE_PASSED_MAX)
    }

    /// How much was left, by kind and receiver.
    pub(super) fn left(&self) -> &BTreeMap<(&'static str, String), u64> {
        &self.left.counts
    }

    /// How far reading has come, but for what is in memory.
    pub(super) fn looked(&self) -> LaneCursors {
        Lane::ALL.map(|lane| {
            let reading = &self.readings[Source::Ready(lane).index()];
            let apart = reading.apart.values().copied().min();
            let left = self.left.lowest[usize::from(lane.number())].map(before);
            let read = [Some(reading.after), apart].into_iter().flatten().map(|read| read.place);
            read.chain(left).min().unwrap_or_default()
        })
    }
}

/// The pause before what could not be read is read again.
pub(super) const READ_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Where a piece stands in the order of its source.
pub(super) fn place_of(work: &Work, source: Source) -> DuePlace {
    let due_at = work.sent.due_at.filter(|_| source == Source::Due);
    DuePlace { due_at: due_at.unwrap_or(Timestamp::MIN), place: work.place }
}

/// The place just before another.
pub(super) fn just_before(place: DuePlace) -> DuePlace {
    DuePlace { place: before(place.place), ..place }
}

#[cfg(test)]
mod tests {
    use underlay_core::{Shard, WorkerId};

    use super::*;
    use crate::EngineConfig;
    use crate::work::rooms::{Fit, Rooms};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const NORMAL: Source = Source::Ready(Lane::Normal);

    fn at(number: u64) -> DuePlace {
        DuePlace { place: WorkPlace::from_number(number), ..DuePlace::START }
    }

    /// What is read next; the page of it is there at once.
    fn next(room: &mut ShardRoom) -> Option<Look> {
        let (look, _) = room.next_look(NOW, |_| 256)?;
        let number = room.reading();
        assert!(room.read(number));
        Some(look)
    }

    /// A shard that was read to its end.
    fn read_to(end: DuePlace) -> ShardRoom {
        let term = ShardTerm { shard: Shard::all().next().unwrap(), term: 1, worker: WorkerId::draw() };
        let held = HeldShard {
            term,
            cursors: LaneCursors::default(),
            suspects_to: WorkPlace::START,
            is_surplus: false,
        };
        let mut room = ShardRoom::new(&held, 1, NOW);
        while let Some(look) = next(&mut room) {
            room.looked_to(look.source(), end, false, NOW);
        }
        room
    }

    #[test]
    fn a_tenant_that_was_read_to_its_end_is_read_with_the_others_and_nothing_is_looked_for() {
        let (mut room, tenant) = (read_to(at(100)), TenantId::new("acme").unwrap());
        assert!(room.set_apart(NORMAL, &tenant, at(50)));
        room.feed(NORMAL, &tenant);
        assert_eq!(next(&mut room), Some(Look::Apart(NORMAL, tenant.clone())));
        room.looked_apart_to(NORMAL, &tenant, at(90), false, NOW);
        assert!(!room.is_apart(NORMAL, &tenant));
        assert_eq!(next(&mut room), None, "the others missed nothing");
        room.look_again(Lane::Normal);
        assert_eq!(next(&mut room), Some(Look::All(NORMAL)), "what comes is told");
    }

    #[test]
    fn a_tenant_whose_room_was_taken_before_it_was_read_waits_for_room() {
        let config =
            EngineConfig { work_buffered_max: 200, work_tenant_buffered_max: 200, ..EngineConfig::default() };
        let (mut rooms, mut room) = (Rooms::new(&config), read_to(at(100)));
        let [tenant, other] = ["acme", "globex"].map(|name| TenantId::new(name).unwrap());
        // It has half of what is free, and the rest of its work is set apart.
        (0..50).for_each(|_| rooms.take(&tenant, NORMAL, 100));
        assert_eq!(rooms.fit(&tenant, NORMAL, 100), Fit::TenantIsFull);
        assert!(room.set_apart(NORMAL, &tenant, at(50)));
        // Some of it is done, and the rest hangs.
        (0..20).for_each(|_| rooms.give_back(&tenant, NORMAL, 100));
        for tenant in rooms.take_hungry(NORMAL) {
            room.feed(NORMAL, &tenant);
        }
        assert!(!room.waits_for_room(|source, tenant| rooms.page_of(tenant, source, 100, 256)));
        // Another takes what was free, and leaves some.
        for _ in 0..34 {
            assert_eq!(rooms.fit(&other, NORMAL, 100), Fit::Fits);
            rooms.take(&other, NORMAL, 100);
        }
        assert_eq!(room.next_look(NOW, |look| rooms.page_of(look.tenant().unwrap(), NORMAL, 100, 256)), None);
        assert!(!rooms.are_crowded(100, 256), "nobody else waits");
        assert!(room.waits_for_room(|source, tenant| rooms.page_of(tenant, source, 100, 256)));
    }

    #[test]
    fn what_a_tenant_has_beyond_the_others_is_read_with_theirs() {
        let (mut room, tenant) = (read_to(at(100)), TenantId::new("acme").unwrap());
        assert!(room.set_apart(NORMAL, &tenant, at(50)));
        room.feed(NORMAL, &tenant);
        assert_eq!(next(&mut room), Some(Look::Apart(NORMAL, tenant.clone())));
        room.looked_apart_to(NORMAL, &tenant, at(100), true, NOW);
        assert!(!room.is_apart(NORMAL, &tenant));
        assert_eq!(next(&mut room), Some(Look::All(NORMAL)));
    }

    #[test]
    fn where_the_clock_was_put_back_it_is_looked_at_all_that_is_due() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let end = DuePlace { due_at: at(7_200), place: WorkPlace::from_number(1) };
        let mut room = read_to(end);
        room.look_behind(at(7_200));
        while let Some((look, _)) = room.next_look(at(7_200), |_| 256) {
            let number = room.reading();
            assert!(room.read(number));
            room.looked_to(look.source(), end, false, at(7_200));
        }
        assert_eq!(room.after(Source::Due), end);
        // An hour back: what is sent to wait from now on stands before the cursor.
        room.look_behind(at(3_600));
        assert_eq!(room.after(Source::Due), DuePlace::START);
    }
}
