use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use underlay_core::{
    Checkpoint, Error, EventStoreExt, LeaseTerm, LogFilter, LogScope, ProcessStart, RecordedEvent, TenantId,
};

use super::{Inner, Kept, Ring, State, Strand, Tail};
use crate::subscription::{
    Advance, Bounds, Follower, Halt, NeverStuck, Signals, Subscription, SubscriptionState, start_of,
};

/// Begins to keep a tail.
pub(super) fn start<K: Kept>(tail: Tail<K>, number: u64, stopped: watch::Receiver<bool>) {
    let inner = &tail.0;
    let bounds = Bounds {
        leases: None,
        clock: inner.clock.clone(),
        holder: String::new(),
        lease_duration: inner.config.view_lease,
        poll_interval: inner.config.view_poll_interval,
        backoff: inner.config.backoff(),
    };
    let (signals, _) = Signals::new(inner.clock.clone(), inner.wakeups.subscribe(), stopped);
    let keeper = TailKeeper { tail, number, place: None };
    tokio::spawn(Subscription::new(keeper, bounds, signals).run());
}

/// Reads the log for everybody who follows it.
struct TailKeeper<K> {
    tail: Tail<K>,
    /// What tells it from one that was before it, or comes after.
    number: u64,
    /// None until it has found its place.
    place: Option<Checkpoint>,
}

type TailHalt = Halt<NeverStuck>;

impl<K: Kept> Follower for TailKeeper<K> {
    type Stuck = NeverStuck;

    fn name(&self) -> &str {
        "tail"
    }

    fn lease_name(&self) -> String {
        String::new()
    }

    async fn open(&mut self, _: &mut Signals) -> Result<bool, TailHalt> {
        match self.place {
            Some(_) => self.check_place().await?,
            None => self.find_place().await?,
        }
        Ok(true)
    }

    fn work_under(&mut self, _: Option<LeaseTerm>) {}

    async fn advance(&mut self) -> Result<Advance, TailHalt> {
        let inner = &self.tail.0;
        let Some(place) = self.place else {
            self.find_place().await?;
            return Ok(Advance::Advanced);
        };
        let (filter, limit) = (LogFilter::default(), inner.config.pump_batch_events_max);
        let page = inner.store.read_all(&LogScope::EveryTenant, place.position, &filter, limit).await?;
        if page.scanned_to == place.position {
            return Ok(Advance::FoundNothing);
        }
        let event_id = match page.scanned_to_id {
            Some(id) => Some(id),
            None => inner.store.event_id_at(page.scanned_to).await?,
        };
        let place = Checkpoint { position: page.scanned_to, event_id, ..place };
        self.place = Some(place);
        inner.spread(self.number, page.events, place);
        Ok(if page.at_head { Advance::ReachedHead } else { Advance::Advanced })
    }

    async fn arrive(&mut self) -> Result<Duration, TailHalt> {
        self.check_place().await?;
        Ok(self.tail.0.config.view_poll_interval)
    }

    async fn tidy(&mut self, _: bool, _: &mut Signals) -> Result<(), TailHalt> {
        Ok(())
    }

    async fn look_on(&mut self) -> Result<(), TailHalt> {
        Ok(())
    }

    async fn leave_word(&mut self, _: &TailHalt) {}

    fn abandon(&mut self) {}

    async fn is_mended(&mut self) -> bool {
        // It has nothing that a person could mend: whatever failed is tried again.
        true
    }

    async fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn show(&mut self, _: SubscriptionState, _: Option<&TailHalt>) {}
}

impl<K: Kept> TailKeeper<K> {
    /// Begins where the log ends.
    async fn find_place(&mut self) -> Result<(), Error> {
        let inner = &self.tail.0;
        let place = start_of(&*inner.store, ProcessStart::Now).await?;
        self.place = Some(place);
        inner.begin(self.number, place);
        Ok(())
    }

    /// Ends all readers where its place is not in the log any more.
    async fn check_place(&mut self) -> Result<(), Error> {
        let Some(place) = self.place else { return Ok(()) };
        let inner = &self.tail.0;
        match inner.store.check_checkpoint("the tail of the log", &place, "follow it again").await {
            Err(Error::CheckpointRefused(refused)) => {
                let reason = refused.reason;
                tracing::warn!(reason, "whoever follows the log is told to begin again");
                inner.end_readers(self.number, &reason);
                self.place = None;
                Ok(())
            }
            checked => checked,
        }
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
