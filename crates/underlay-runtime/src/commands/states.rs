//! The states that are kept in memory: bounded by bytes, with a share for each tenant, as [`TenantLru`] says. Bytes are an
//! estimate ([`AggregateState::bytes`]), and what an entry takes beside the state.

use std::sync::{Mutex, MutexGuard, PoisonError};

use underlay_core::{AggregateState, StreamName, TenantId};

use crate::lru::TenantLru;

/// About what an entry takes beside its names and the state.
const ENTRY_BYTES: usize = 256;

/// The states of a process.
pub(crate) struct States(Mutex<TenantLru<StreamName, AggregateState>>);

impl States {
    pub(crate) fn new(bytes_max: usize, tenant_bytes_max: usize) -> Self {
        Self(Mutex::new(TenantLru::new(bytes_max, tenant_bytes_max)))
    }

    /// The state of a stream, which has been used by that.
    pub(crate) fn get(&self, tenant: &TenantId, stream: &StreamName) -> Option<AggregateState> {
        self.kept().get(tenant, stream).cloned()
    }

    /// Keeps a state of so many bytes; one of a later version stays.
    pub(crate) fn insert(&self, tenant: &TenantId, stream: &StreamName, state: AggregateState, bytes: usize) {
        let beside = ENTRY_BYTES + tenant.as_str().len() + stream.as_str().len();
        let bytes = bytes.saturating_add(beside);
        let mut kept = self.kept();
        if kept.get(tenant, stream).is_some_and(|there| there.version() > state.version()) {
            return;
        }
        let gone = kept.insert(tenant, stream.clone(), state, bytes);
        // Dropped when the lock is given back: a state may be large.
        drop(kept);
        drop(gone);
    }

    /// Forgets the state of a stream.
    pub(crate) fn remove(&self, tenant: &TenantId, stream: &StreamName) {
        let gone = self.kept().remove(tenant, stream);
        drop(gone);
    }

    fn kept(&self) -> MutexGuard<'_, TenantLru<StreamName, AggregateState>> {
        // Nothing below the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn check(states: &States) {
        states.kept().check();
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
