//! The states that are kept in memory: bounded by bytes, with a share for each tenant.
//!
//! - All states together take at most `bytes_max`; one that is larger alone is not kept.
//! - What is free anybody may use. Where room is needed, a tenant that has more than its share gives
//!   first, and the one who wants the room before any other: the state it has used longest ago. Only
//!   where nobody has more than a share, the state that anybody used longest ago goes.
//! - So whoever floods the cache pushes out its own states, and a tenant within its share keeps what it
//!   uses.
//! - Bytes are an estimate ([`AggregateState::bytes`]), and what an entry takes beside the state.
//!
//! One lock, held for a look into two maps and a few links; states are dropped after it is given back.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use underlay_core::{AggregateState, StreamName, TenantId};

/// About what an entry takes beside its names and the state.
const ENTRY_BYTES: usize = 256;

/// The states of a process.
pub(crate) struct States {
    kept: Mutex<Kept>,
    bytes_max: usize,
    tenant_bytes_max: usize,
}

#[derive(Default)]
struct Kept {
    /// Entries by their numbers; those that are free are in `free`.
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    tenants: HashMap<TenantId, Tenant>,
    /// Those that have more than a share.
    beyond_share: BTreeSet<TenantId>,
    all: List,
    bytes: usize,
}

#[derive(Default)]
struct Tenant {
    numbers: HashMap<StreamName, usize>,
    own: List,
    bytes: usize,
}

struct Entry {
    tenant: TenantId,
    stream: StreamName,
    state: AggregateState,
    bytes: usize,
    among_all: Links,
    among_own: Links,
}

/// Entries in the order they were used last.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    newest: Option<usize>,
    oldest: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Links {
    newer: Option<usize>,
    older: Option<usize>,
}

/// The two lists an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Among {
    All,
    Own,
}

impl States {
    pub(crate) fn new(bytes_max: usize, tenant_bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), bytes_max, tenant_bytes_max }
    }

    /// The state of a stream, which has been used by that.
    pub(crate) fn get(&self, tenant: &TenantId, stream: &StreamName) -> Option<AggregateState> {
        let mut kept = self.kept();
        let number = kept.number(tenant, stream)?;
        kept.touch(number);
        kept.entries.get(number)?.as_ref().map(|entry| entry.state.clone())
    }

    /// Keeps a state of so many bytes; one of a later version stays.
    pub(crate) fn insert(&self, tenant: &TenantId, stream: &StreamName, state: AggregateState, bytes: usize) {
        let beside = ENTRY_BYTES + tenant.as_str().len() + stream.as_str().len();
        let bytes = bytes.saturating_add(beside);
        // Dropped when the lock is given back: a state may be large.
        let mut gone = Vec::new();
        let mut kept = self.kept();
        if let Some(number) = kept.number(tenant, stream) {
            let is_later = |entry: &Entry| entry.state.version() > state.version();
            if kept.entries[number].as_ref().is_some_and(is_later) {
                return;
            }
            gone.extend(kept.remove(number, self.tenant_bytes_max));
        }
        if bytes <= self.bytes_max {
            kept.add(tenant, stream, state, bytes, self.tenant_bytes_max);
            while kept.bytes > self.bytes_max
                && let Some(number) = kept.next_to_go(tenant)
            {
                gone.extend(kept.remove(number, self.tenant_bytes_max));
            }
        }
        drop(kept);
        drop(gone);
    }

    /// Forgets the state of a stream.
    pub(crate) fn remove(&self, tenant: &TenantId, stream: &StreamName) {
        let mut kept = self.kept();
        let gone = kept.number(tenant, stream).map(|number| kept.remove(number, self.tenant_bytes_max));
        drop(kept);
        drop(gone);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing below the lock can panic half way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn number(&self, tenant: &TenantId, stream: &StreamName) -> Option<usize> {
        self.tenants.get(tenant)?.numbers.get(stream).copied()
    }

    fn add(
        &mut self,
        tenant: &TenantId,
        stream: &StreamName,
        state: AggregateState,
        bytes: usize,
        tenant_bytes_max: usize,
    ) {
        let number = self.free.pop().unwrap_or(self.entries.len());
        if number == self.entries.len() {
            self.entries.push(None);
        }
        let (among_all, among_own) = (Links::default(), Links::default());
        let (owner, name) = (tenant.clone(), stream.clone());
        self.entries[number] =
            Some(Entry { tenant: owner, stream: name, state, bytes, among_all, among_own });
        self.bytes += bytes;
        let own = self.tenants.entry(tenant.clone()).or_default();
        own.numbers.insert(stream.clone(), number);
        own.bytes += bytes;
        if own.bytes > tenant_bytes_max {
            self.beyond_share.insert(tenant.clone());
        }
        self.link(Among::All, number);
        self.link(Among::Own, number);
    }

    fn remove(&mut self, number: usize, tenant_bytes_max: usize) -> Option<AggregateState> {
        self.unlink(Among::All, number);
        self.unlink(Among::Own, number);
        let entry = self.entries.get_mut(number)?.take()?;
        self.free.push(number);
        self.bytes -= entry.bytes;
        if let Some(own) = self.tenants.get_mut(&entry.tenant) {
            own.numbers.remove(&entry.stream);
            own.bytes -= entry.bytes;
            if own.bytes <= tenant_bytes_max {
                self.beyond_share.remove(&entry.tenant);
            }
            if own.numbers.is_empty() {
                self.tenants.remove(&entry.tenant);
            }
        }
        Some(entry.state)
    }

    /// What goes where a tenant wants room.
    fn next_to_go(&self, tenant: &TenantId) -> Option<usize> {
        let giver = self.beyond_share.get(tenant).or_else(|| self.beyond_share.first());
        match giver {
            Some(giver) => self.tenants.get(giver)?.own.oldest,
            None => self.all.oldest,
        }
    }

    /// Moves an entry to the front of its lists.
    fn touch(&mut self, number: usize) {
        for among in [Among::All, Among::Own] {
            if self.list(among, number).is_some_and(|list| list.newest != Some(number)) {
                self.unlink(among, number);
                self.link(among, number);
            }
        }
    }

    fn list(&mut self, among: Among, number: usize) -> Option<&mut List> {
        match among {
            Among::All => Some(&mut self.all),
            Among::Own => {
                let entry = self.entries.get(number)?.as_ref()?;
                self.tenants.get_mut(&entry.tenant).map(|own| &mut own.own)
            }
        }
    }

    fn links(&mut self, among: Among, number: usize) -> Option<&mut Links> {
        let entry = self.entries.get_mut(number)?.as_mut()?;
        Some(match among {
            Among::All => &mut entry.among_all,
            Among::Own => &mut entry.among_own,
        })
    }

    fn link(&mut self, among: Among, number: usize) {
        let Some(list) = self.list(among, number) else { return };
        let older = list.newest.replace(number);
        list.oldest.get_or_insert(number);
        if let Some(links) = self.links(among, number) {
            *links = Links { newer: None, older };
        }
        if let Some(links) = older.and_then(|older| self.links(among, older)) {
            links.newer = Some(number);
        }
    }

    fn unlink(&mut self, among: Among, number: usize) {
        let Some(Links { newer, older }) = self.links(among, number).map(std::mem::take) else { return };
        if let Some(links) = newer.and_then(|newer| self.links(among, newer)) {
            links.older = older;
        }
        if let Some(links) = older.and_then(|older| self.links(among, older)) {
            links.newer = newer;
        }
        let Some(list) = self.list(among, number) else { return };
        if newer.is_none() {
            list.newest = older;
        }
        if older.is_none() {
            list.oldest = newer;
        }
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::limits::STATE_FOLDED_BYTES_MAX;
    use underlay_core::{Aggregate, Context, Decision, Version};
    use underlay_derive::{command, event, refusal};

    use super::*;

    #[event(crate = underlay_core)]
    enum Event {
        #[event(name = "noted", version = 1)]
        Noted,
    }

    #[command(crate = underlay_core)]
    enum Command {
        #[command(name = "note")]
        Note,
    }

    #[refusal(crate = underlay_core)]
    enum Refusal {
        #[refusal(code = "never", message = "never")]
        Never,
    }

    #[derive(Clone, Default)]
    struct Note {
        held: Option<usize>,
    }

    impl Aggregate for Note {
        const CATEGORY: &'static str = "note";
        type Id = String;
        type Command = Command;
        type Event = Event;
        type Refusal = Refusal;

        fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Refusal> {
            let Command::Note = command;
            Ok(Event::Noted.into())
        }

        fn evolve(&mut self, _: &Event) {}

        fn held_bytes(&self) -> Option<usize> {
            self.held
        }
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn stream(number: usize) -> StreamName {
        StreamName::new("note", number).unwrap()
    }

    fn state(version: u64) -> AggregateState {
        AggregateState::restored(Note::default(), Version(version), 0)
    }

    fn insert(states: &States, owner: &str, number: usize, bytes: usize) {
        states.insert(&tenant(owner), &stream(number), state(1), bytes);
    }

    fn has(states: &States, owner: &str, number: usize) -> bool {
        states.get(&tenant(owner), &stream(number)).is_some()
    }

    /// Compares what is counted and linked with what is there.
    fn check(states: &States) {
        let kept = states.kept();
        let entries = || kept.entries.iter().flatten();
        assert_eq!(kept.bytes, entries().map(|entry| entry.bytes).sum::<usize>());
        assert!(kept.bytes <= states.bytes_max, "{} bytes are kept", kept.bytes);
        assert_eq!(kept.entries.len(), kept.free.len() + entries().count());
        let walk = |list: List, next: fn(&Entry) -> Links| {
            let (mut numbers, mut at) = (Vec::new(), list.newest);
            while let Some(number) = at {
                let links = next(kept.entries[number].as_ref().unwrap());
                assert_eq!(links.newer, numbers.last().copied());
                numbers.push(number);
                at = links.older;
            }
            assert_eq!(list.oldest, numbers.last().copied());
            numbers.len()
        };
        assert_eq!(walk(kept.all, |entry| entry.among_all), entries().count());
        let mut own = 0;
        for (name, tenant) in &kept.tenants {
            let count = walk(tenant.own, |entry| entry.among_own);
            assert!(count > 0 && count == tenant.numbers.len());
            own += count;
            let of_tenant = entries().filter(|entry| entry.tenant == *name);
            assert_eq!(tenant.bytes, of_tenant.map(|entry| entry.bytes).sum::<usize>());
            assert_eq!(kept.beyond_share.contains(name), tenant.bytes > states.tenant_bytes_max);
        }
        assert_eq!(own, entries().count());
        assert!(kept.beyond_share.iter().all(|name| kept.tenants.contains_key(name)));
    }

    #[test]
    fn a_tenant_alone_may_use_all_there_is() {
        let states = States::new(100_000, 10_000);
        (0..60).for_each(|number| insert(&states, "a", number, 1_000));
        check(&states);
        assert_eq!((0..60).filter(|number| has(&states, "a", *number)).count(), 60);
    }

    #[test]
    fn a_flood_pushes_out_its_own_states_alone() {
        let states = States::new(100_000, 25_000);
        (0..10).for_each(|number| insert(&states, "calm", number, 1_000));
        for number in 0..1_000 {
            insert(&states, "flood", number, 1_000);
        }
        check(&states);
        assert!((0..10).all(|number| has(&states, "calm", number)), "used long ago, and within the share");
        assert!(has(&states, "flood", 999) && !has(&states, "flood", 0));
        // The flood gives what others want, up to their shares.
        (10..20).for_each(|number| insert(&states, "late", number, 1_000));
        check(&states);
        assert!((10..20).all(|number| has(&states, "late", number)));
        assert!((0..10).all(|number| has(&states, "calm", number)));
        // One huge state is no way around it.
        insert(&states, "flood", 5_000, 90_000);
        check(&states);
        assert!((0..10).all(|number| has(&states, "calm", number)));
        assert!((10..20).all(|number| has(&states, "late", number)));
    }

    #[test]
    fn what_was_used_longest_ago_goes_where_nobody_has_more_than_a_share() {
        let states = States::new(30_000, 20_000);
        for number in 0..10 {
            for owner in ["a", "b", "c"] {
                insert(&states, owner, number, 1_000);
                assert!(has(&states, "a", 0), "it is used all the time");
            }
        }
        check(&states);
        assert!(!has(&states, "b", 0) && !has(&states, "c", 0) && has(&states, "c", 9));
        states.remove(&tenant("a"), &stream(0));
        assert!(!has(&states, "a", 0));
        check(&states);
    }

    #[test]
    fn a_later_version_stays_and_what_is_too_large_is_not_kept() {
        let states = States::new(10_000, 10_000);
        states.insert(&tenant("a"), &stream(1), state(7), 10);
        states.insert(&tenant("a"), &stream(1), state(6), 10);
        let version = || states.get(&tenant("a"), &stream(1)).map(|state| state.version());
        assert_eq!(version(), Some(Version(7)));
        states.insert(&tenant("a"), &stream(1), state(8), 20);
        assert_eq!(version(), Some(Version(8)));
        states.insert(&tenant("a"), &stream(1), state(9), 10_000);
        assert_eq!(version(), None, "nor is the old one, which nobody could decide over any more");
        states.insert(&tenant("a"), &stream(2), state(1), usize::MAX);
        check(&states);
        assert!(States::new(0, 0).get(&tenant("a"), &stream(1)).is_none());
    }

    #[test]
    fn bytes_are_what_a_state_says_or_what_was_folded_up_to_a_bound() {
        let fields = size_of::<Note>();
        let mut state = AggregateState::new::<Note>();
        assert_eq!(state.bytes(), fields);
        state.apply::<Note>(&Event::Noted, 100);
        assert_eq!(state.bytes(), fields + 100);
        state.apply::<Note>(&Event::Noted, 1 << 30);
        assert_eq!(state.bytes(), fields + STATE_FOLDED_BYTES_MAX);
        assert_eq!(state.restarted().bytes(), fields);
        assert_eq!(AggregateState::restored(Note::default(), Version(1), 70).bytes(), fields + 70);
        let counted = Note { held: Some(1 << 20) };
        assert_eq!(AggregateState::restored(counted, Version(1), 70).bytes(), fields + (1 << 20));
    }

    #[test]
    fn whatever_happens_the_bounds_hold() {
        let mut dice = 3_u64;
        let mut below = |bound: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) as usize % bound
        };
        let states = States::new(30_000, 8_000);
        for _ in 0..20_000 {
            let (owner, number) = (tenant(&format!("t{}", below(6))), stream(below(30)));
            match below(10) {
                0 => states.remove(&owner, &number),
                1..4 => drop(states.get(&owner, &number)),
                _ => states.insert(&owner, &number, state(below(5) as u64), below(4_000)),
            }
            check(&states);
        }
    }
}
