//! How much is read at once.

/// Events of the first window, where what is read is sifted.
const EVENTS_FIRST: usize = 32;
/// Events of any such window.
const EVENTS_MAX: usize = 1_024;
/// Bytes of events that one should hold.
const BYTES: usize = 1 << 20;
/// How many times further apart events may turn out to be than they seemed.
const LEAP: u64 = 8;

#[derive(Debug)]
pub(super) struct Window {
    events: usize,
    /// How far events are from each other on the line, about.
    gap: u64,
    /// Events that a store gives at once, where they are too large for more.
    cap: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { events: EVENTS_FIRST, gap: 1, cap: usize::MAX }
    }
}

impl Window {
    /// Events to ask for, where what is read is sifted.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// Events to ask for backwards.
    pub(super) fn at_most(&self, wanted: usize) -> usize {
        wanted.min(self.cap)
    }

    /// Sees how large events are, and how many of them are meant.
    pub(super) fn learn(&mut self, bytes: usize, seen: usize, given: usize) {
        if bytes > BYTES {
            self.events = (self.events / 2).max(1);
        } else if given > seen / 2 {
            self.events = (self.events / 2).max(EVENTS_FIRST.min(self.events));
        } else if bytes <= BYTES / 2 && given <= seen / 4 {
            self.events = (self.events * 2).min(EVENTS_MAX);
        }
    }

    /// How far back to begin for so many events. Where there is one at every place, no more can be in it.
    pub(super) fn span(&self, limit: usize) -> u64 {
        let full = self.gap.saturating_mul(limit as u64);
        if self.gap == 1 { full } else { (full / 2).max(1) }
    }

    /// More was in it than was asked for, or than a store gives at once.
    pub(super) fn shorten(&mut self, limit: usize) {
        if self.gap == 1 {
            self.cap = (limit / 2).max(1);
        }
        self.gap = (self.gap / 2).max(1);
    }

    /// So many events were in it.
    pub(super) fn fits(&mut self, span: u64, held: usize) {
        let most = self.gap.saturating_mul(LEAP);
        self.gap = span.checked_div(held as u64).map_or(most, |gap| gap.clamp(1, most));
        self.cap = self.cap.saturating_mul(2);
    }
}
