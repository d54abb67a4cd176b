//! Pages of events, bounded by their number and by their bytes.
//!
//! A page is read in parts, so that no more is in memory than it may hold, one part and one commit.
//! It ends early where its bytes are reached; the next page goes on from there.

use underlay_core::RecordedEvent;

use crate::app::App;
use crate::budget::Room;
use crate::problem::Problem;

/// Events read at once. Each may have a megabyte.
const PART_EVENTS_MAX: usize = 32;
/// Bytes of an event in an answer beside its payload and metadata, about.
const EVENT_BYTES: usize = 512;

/// A page while it is gathered.
pub(crate) struct Gathering {
    pub(crate) events: Vec<RecordedEvent>,
    room: Room,
    limit: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Gathering {
    pub(crate) fn new(app: &App, room: Room, limit: usize) -> Self {
        Self { events: Vec::new(), room, limit, bytes: 0, bytes_max: app.config().page_bytes_max }
    }

    /// How many events to read next; none where the page is full.
    pub(crate) fn part(&self) -> Option<usize> {
        let left = self.limit.saturating_sub(self.events.len()).min(PART_EVENTS_MAX);
        (left > 0 && !self.is_full()).then_some(left)
    }

    /// Takes events that were read, as many as there is room for: one at least, and a commit whole where
    /// they are of the log. False where some were left: the page ends with those that were taken.
    pub(crate) fn take(&mut self, part: Vec<RecordedEvent>, of: PageOf) -> Result<bool, Problem> {
        let mut taken_whole = true;
        for event in part {
            let ends = match (of, self.events.last()) {
                (_, None) => false,
                (PageOf::Stream, Some(_)) => self.is_full(),
                (PageOf::Log, Some(last)) => self.is_full() && event.position > last.commit_end(),
            };
            if ends {
                taken_whole = false;
                break;
            }
            self.bytes += event_bytes(&event);
            self.events.push(event);
        }
        self.room.0.hold(self.bytes, false)?;
        Ok(taken_whole)
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }
}

/// Bytes of an event in memory or in an answer, about.
pub(crate) fn event_bytes(event: &RecordedEvent) -> usize {
    EVENT_BYTES + event.payload.bytes() + event.metadata.as_str().len()
}

/// What a page is of.
#[derive(Clone, Copy)]
pub(crate) enum PageOf {
    /// A stream; its pages may end within a commit.
    Stream,
    /// The log; its pages do not.
    Log,
}
