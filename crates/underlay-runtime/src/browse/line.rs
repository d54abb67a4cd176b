//! What is walked along: the positions of the log, or the versions of a stream. Both count upwards.

use underlay_core::limits::PAGE_SCAN_MAX;
use underlay_core::{
    Error, EventStore, LogFilter, LogScope, Position, RecordedEvent, StreamName, TenantId, Version,
};

#[derive(Debug)]
pub(super) struct Line {
    tenant: TenantId,
    /// None where it is the log.
    stream: Option<StreamName>,
}

/// What was read of a line.
pub(super) struct Read {
    pub(super) events: Vec<RecordedEvent>,
    /// Everything up to there was looked at.
    pub(super) reached: u64,
    /// Whether there is nothing beyond it.
    pub(super) at_end: bool,
    /// How many events the store has left out, about.
    pub(super) passed_unseen: usize,
}

impl Line {
    pub(super) fn new(tenant: &TenantId, stream: Option<StreamName>) -> Self {
        Self { tenant: tenant.clone(), stream }
    }

    pub(super) fn is_log(&self) -> bool {
        self.stream.is_none()
    }

    /// Where an event is on the line.
    pub(super) fn coordinate(&self, event: &RecordedEvent) -> u64 {
        if self.is_log() { event.position.number() } else { event.version.0 }
    }

    /// Where a page ends that has an event as its last: in ascending order, with its commit.
    pub(super) fn end(&self, event: &RecordedEvent) -> u64 {
        if self.is_log() { event.commit_end().number() } else { event.version.0 }
    }

    /// Places in the log as places on the line; the end of the line where no other end is given.
    pub(super) async fn bounds(
        &self,
        store: &dyn EventStore,
        above: Position,
        up_to: Option<Position>,
        head: Option<Position>,
    ) -> Result<(u64, Option<u64>), Error> {
        let Some(stream) = &self.stream else {
            return Ok((above.number(), up_to.or(head).map(Position::number)));
        };
        let versions = store.versions(&self.tenant, std::slice::from_ref(stream)).await?;
        let last = versions.first().copied().unwrap_or(Version::NONE).0;
        let low = if above == Position::START { 0 } else { self.count(store, stream, last, above).await? };
        let high = match (up_to, head) {
            (Some(up_to), _) => Some(self.count(store, stream, last, up_to).await?),
            (None, Some(_)) => Some(last),
            (None, None) => None,
        };
        Ok((low, high))
    }

    /// How many of the first `last` events of a stream are at or below a position: found by halving.
    async fn count(
        &self,
        store: &dyn EventStore,
        stream: &StreamName,
        last: u64,
        position: Position,
    ) -> Result<u64, Error> {
        let (mut below, mut up_to) = (0, last);
        while below < up_to {
            let middle = below + (up_to - below).div_ceil(2);
            let page = store.read_stream(&self.tenant, stream, Version(middle - 1), 1).await?;
            if page.events.first().is_some_and(|event| event.position <= position) {
                below = middle;
            } else {
                up_to = middle - 1;
            }
        }
        Ok(below)
    }

    /// Reads above a place.
    pub(super) async fn read(
        &self,
        store: &dyn EventStore,
        above: u64,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<Read, Error> {
        let Some(stream) = &self.stream else {
            let scope = LogScope::Tenant(self.tenant.clone());
            let page = store.read_all(&scope, Position::from_number(above), filter, limit).await?;
            let gave_up = !page.at_head && !filter.is_open() && page.events.len() < limit;
            return Ok(Read {
                reached: page.scanned_to.number(),
                at_end: page.at_head,
                passed_unseen: if gave_up { usize::try_from(PAGE_SCAN_MAX).unwrap_or(usize::MAX) } else { 0 },
                events: page.events,
            });
        };
        let page = store.read_stream(&self.tenant, stream, Version(above), limit).await?;
        let reached = page.events.last().map_or(above, |event| event.version.0);
        Ok(Read { at_end: reached >= page.version.0, reached, events: page.events, passed_unseen: 0 })
    }

    /// The place in the log behind what was read, where it was at `before`.
    pub(super) fn place(&self, read: &Read, before: Position) -> Position {
        if self.is_log() {
            return Position::from_number(read.reached);
        }
        read.events.last().map_or(before, |event| event.position)
    }

    /// The same backwards: everything above a place on the line was looked at, down to the event at `lowest`.
    pub(super) fn place_back(&self, above: u64, lowest: Option<Position>, before: Position) -> Position {
        if self.is_log() { Position::from_number(above.saturating_add(1)) } else { lowest.unwrap_or(before) }
    }
}
