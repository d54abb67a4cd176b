//! What was found of work that flowed.

use serde::Serialize;

/// Sentences kept of what was found; the counts go on.
const EXAMPLES_MAX: usize = 10;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Acknowledged, or sent on, and never done.
    Lost,
    /// Done twice under one id, or again after it was settled.
    Twice,
    /// Begun before the one before it in its key had ended.
    Reordered,
    /// Anything else that is not as it was told: money that is gone, outcomes that do not fit.
    Untrue,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [Self::Lost, Self::Twice, Self::Reordered, Self::Untrue];

    fn title(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Twice => "twice",
            Self::Reordered => "out of order",
            Self::Untrue => "untrue",
        }
    }
}

/// The counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Findings {
    /// Commands that callers were promised an end of.
    pub(crate) acknowledged: u64,
    /// Orders that a process brought to their end.
    pub(crate) orders: u64,
    /// Arrivals at the receiver.
    pub(crate) delivered: u64,
    /// Arrivals of what had ended there before: whoever brought it was killed, stopped, lost its terms, or could not
    /// store what follows.
    pub(crate) repeats: u64,
    /// Those of them after the next of their key, from processes that were stopped or lost their terms.
    pub(crate) late: u64,
    /// Dead letters, all of which are meant to be.
    pub(crate) dead: u64,
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) reordered: u64,
    pub(crate) untrue: u64,
    /// The first things found, as sentences.
    pub(crate) examples: Vec<String>,
}

impl Findings {
    pub(crate) fn count(&self, fault: Fault) -> u64 {
        match fault {
            Fault::Lost => self.lost,
            Fault::Twice => self.twice,
            Fault::Reordered => self.reordered,
            Fault::Untrue => self.untrue,
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        Fault::ALL.iter().all(|fault| self.count(*fault) == 0)
    }

    pub(super) fn add(&mut self, fault: Fault, example: impl FnOnce() -> String) {
        let count = match fault {
            Fault::Lost => &mut self.lost,
            Fault::Twice => &mut self.twice,
            Fault::Reordered => &mut self.reordered,
            Fault::Untrue => &mut self.untrue,
        };
        *count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("{}: {}", fault.title(), example()));
        }
    }

    /// Takes in what was found elsewhere.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.orders += other.orders;
        self.delivered += other.delivered;
        self.repeats += other.repeats;
        self.late += other.late;
        self.dead += other.dead;
        self.lost += other.lost;
        self.twice += other.twice;
        self.reordered += other.reordered;
        self.untrue += other.untrue;
        let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.iter().take(room).cloned());
    }

    pub(crate) fn summary(&self) -> String {
        let Self { acknowledged, orders, delivered, repeats, dead, lost, twice, reordered, untrue, .. } =
            self;
        format!(
            "{acknowledged} commands acknowledged, {orders} orders, {delivered} deliveries, {repeats} of them \
             repeated, {dead} dead letters as meant: {lost} lost, {twice} done twice, {reordered} out of order, \
             {untrue} untrue"
        )
    }
}
