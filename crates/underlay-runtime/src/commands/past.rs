//! The state of a stream as it was, after so many events or at a moment.
//!
//! ```text
//!  snapshot, where it is not too late ─► events after it, part by part ─► the last that is wanted ─► state as JSON
//! ```
//!
//! Nothing of it is kept: what commands decide over is the state of now. A stream whose events cannot be read any more
//! fails as its commands do.

use underlay_core::limits::STATE_EVENTS_FOLDED_MAX;
use underlay_core::{
    AggregateState, Error, Json, RecordedEvent, Snapshot, StreamName, TenantId, Timestamp, Version,
};

use super::decide::fold_tail;
use super::{Commands, Snapshotter};

/// Events read at once. Each may have a megabyte.
const PART_EVENTS: usize = 32;

/// Until when events are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// All there are.
    Now,
    /// So many: at least one.
    Version(Version),
    /// Those that were recorded until then. The first that was recorded later ends it, as do all after that one.
    Moment(Timestamp),
}

/// The state of an aggregate as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastState {
    /// The last event that was folded.
    pub version: Version,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The state, as it would be stored.
    pub state: Json,
}

impl AsOf {
    fn includes(self, event: &RecordedEvent) -> bool {
        match self {
            Self::Now => true,
            Self::Version(version) => event.version <= version,
            Self::Moment(moment) => event.recorded_at <= moment,
        }
    }
}

impl Commands {
    /// The state of a stream as it was.
    pub(crate) async fn past_state(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        as_of: AsOf,
    ) -> Result<PastState, Error> {
        if as_of == AsOf::Version(Version::NONE) {
            return Err(Error::invalid("version is 1 or more: before its first event a stream has no state"));
        }
        let category = stream.category();
        self.registry.find_aggregate(category)?;
        let snapshotter = self.registry.snapshotter(category).ok_or_else(|| {
            Error::NotFound(format!(
                "a form in which the state of {category} can be shown (put #[underlay::snapshot(every = …)] on the \
                 aggregate, and add it to the service by `snapshots`)"
            ))
        })?;
        let (mut state, mut last) = self.begin(tenant, stream, as_of, &*snapshotter).await?;
        let (mut folded, mut is_over) = (0, false);
        let mut there = state.version();
        while !is_over {
            let page = self.store.read_stream(tenant, stream, state.version(), PART_EVENTS).await?;
            there = page.version;
            let mut part = page.events;
            let read = part.len();
            part.truncate(part.iter().position(|event| !as_of.includes(event)).unwrap_or(read));
            fold_tail(stream, &mut state, &part)?;
            folded += part.len();
            is_over = part.len() < read || state.version() >= there;
            last = part.last().map(|event| event.recorded_at).or(last);
            if folded > STATE_EVENTS_FOLDED_MAX {
                return Err(Error::invalid(format!(
                    "the state is more than STATE_EVENTS_FOLDED_MAX = {STATE_EVENTS_FOLDED_MAX} events beyond what is \
                     stored of stream {stream}"
                )));
            }
        }
        let reached = match as_of {
            AsOf::Version(wanted) if wanted > state.version() => None,
            _ => last,
        };
        let recorded_at = reached.ok_or_else(|| not_there(stream, as_of, there))?;
        let encoded = snapshotter.take(&state);
        let encoded =
            encoded.ok_or_else(|| Error::Damaged(format!("the state of {stream} has no JSON form")))?;
        Ok(PastState { version: state.version(), recorded_at, state: encoded })
    }

    /// Where folding begins, and when the last event before it was recorded: a snapshot, where there is one of use.
    async fn begin(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        as_of: AsOf,
        snapshotter: &dyn Snapshotter,
    ) -> Result<(AggregateState, Option<Timestamp>), Error> {
        let empty = (snapshotter.begin(), None);
        let Some(snapshots) = &self.snapshots else { return Ok(empty) };
        // One that cannot be read is no reason to fail: the stream has it all.
        let found = snapshots.load_snapshot(tenant, stream).await.ok().flatten();
        let usable = |found: &Snapshot| {
            found.version > Version::NONE && found.fingerprint == snapshotter.fingerprint()
        };
        let Some(found) = found.filter(usable) else { return Ok(empty) };
        let before = Version(found.version.0 - 1);
        let page = self.store.read_stream(tenant, stream, before, 1).await?;
        let at =
            page.events.first().filter(|event| event.event_id == found.event_id && as_of.includes(event));
        let restored = at.and_then(|at| {
            let state = snapshotter.restore(&found.state, found.version)?;
            Some((state, Some(at.recorded_at)))
        });
        Ok(restored.unwrap_or(empty))
    }
}

fn not_there(stream: &StreamName, as_of: AsOf, there: Version) -> Error {
    Error::NotFound(match as_of {
        _ if there == Version::NONE => format!("stream {stream}"),
        AsOf::Version(version) => format!("version {version} of stream {stream}, which is at {there},"),
        AsOf::Moment(moment) => format!("an event of stream {stream} until {moment}"),
        AsOf::Now => format!("stream {stream}"),
    })
}
