use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;
use underlay_core::{Checkpoint, Error, LogFilter, LogPage, LogScope, RecordedEvent, TenantId};

use super::{Inner, Kept, Ring, State, Strand, Tail};
use crate::subscription::{Live, LiveLog};

/// Begins to keep a tail.
pub(super) fn start<K: Kept>(tail: Tail<K>, number: u64, stopped: watch::Receiver<bool>) {
    let inner = tail.0.clone();
    let log =
        LiveLog { store: &inner.store, wakeups: &*inner.wakeups, clock: &inner.clock, config: &inner.config };
    tokio::spawn(log.follow(TailKeeper { tail, number }, None, stopped).run());
}

/// Reads the log for everybody who follows it.
struct TailKeeper<K> {
    tail: Tail<K>,
    /// What tells it from one that was before it, or comes after.
    number: u64,
}

impl<K: Kept> Live for TailKeeper<K> {
    fn name(&self) -> &str {
        "tail"
    }

    async fn read(&self, after: &Checkpoint) -> Result<LogPage, Error> {
        let inner = &self.tail.0;
        let (filter, limit) = (LogFilter::default(), inner.config.pump_batch_events_max);
        inner.store.read_all(&LogScope::EveryTenant, after.position, &filter, limit).await
    }

    fn begin(&mut self, place: Checkpoint) {
        self.tail.0.begin(self.number, place);
    }

    fn lose_place(&mut self, reason: &str) {
        self.tail.0.end_readers(self.number, reason);
    }

    async fn take(&mut self, events: Vec<RecordedEvent>, to: Checkpoint) -> Result<(), Error> {
        self.tail.0.spread(self.number, events, to);
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl<K: Kept> Inner<K> {
    /// The keeper of this number has found its place.
    fn begin(&self, number: u64, place: Checkpoint) {
        let state = self.state();
        if !state.is_kept_by(number) {
            return;
        }
        for strand in state.strands.values() {
            strand.ring().get_or_insert_with(|| Ring::new(place.position));
        }
        self.set_end(Some(place));
        for strand in state.strands.values() {
            strand.tell();
        }
    }

    /// Puts events into the strands of their tenants, as far as somebody follows those.
    fn spread(&self, number: u64, events: Vec<RecordedEvent>, end: Checkpoint) {
        let state = self.state();
        if !state.is_kept_by(number) {
            return;
        }
        let mut filled: HashSet<TenantId> = HashSet::new();
        for event in events {
            let Some(strand) = state.strands.get(&event.tenant) else { continue };
            if !filled.contains(&event.tenant) {
                filled.insert(event.tenant.clone());
            }
            let (position, kept) = (event.position, Arc::new(K::of(event)));
            if let Some(ring) = strand.ring().as_mut() {
                ring.push(position, kept.bytes(), kept);
                ring.keep(self.bounds.tenant_events_max, self.bounds.tenant_bytes_max);
            }
        }
        state.make_room(self.bounds.events_max, self.bounds.bytes_max);
        // Whoever sees this end finds in the strands what lies below it.
        self.set_end(Some(end));
        filled.iter().filter_map(|tenant| state.strands.get(tenant)).for_each(|strand| strand.tell());
    }

    fn end_readers(&self, number: u64, why: &str) {
        let mut state = self.state();
        if !state.is_kept_by(number) {
            return;
        }
        self.set_end(None);
        // Who comes from now on is in a new strand. The keeper goes on where there is none: it ends with the readers.
        for (_, strand) in state.strands.drain() {
            strand.end(why);
        }
    }
}

impl<K> State<K> {
    fn is_kept_by(&self, number: u64) -> bool {
        self.keeper.as_ref().is_some_and(|(keeper, _)| *keeper == number)
    }

    /// The largest strands give of theirs where all together hold too much.
    fn make_room(&self, events_max: usize, bytes_max: usize) {
        let size = |strand: &Arc<Strand<K>>| {
            strand.ring().as_ref().map_or((0, 0), |ring| (ring.len(), ring.bytes()))
        };
        let (mut events, mut bytes) =
            self.strands.values().map(size).fold((0, 0), |all, own| (all.0 + own.0, all.1 + own.1));
        while events > events_max || bytes > bytes_max {
            let largest = self.strands.values().max_by_key(|strand| {
                let (own_events, own_bytes) = size(strand);
                if bytes > bytes_max { own_bytes } else { own_events }
            });
            let Some(strand) = largest else { return };
            let before = size(strand);
            if let Some(ring) = strand.ring().as_mut() {
                ring.keep(before.0 / 2, before.1 / 2);
            }
            let after = size(strand);
            events -= before.0 - after.0;
            bytes -= before.1 - after.1;
            if before == after {
                return;
            }
        }
    }
}
