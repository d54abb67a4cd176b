//! Where a subscription stands, what can happen to it, and what it does next.

use serde::Serialize;

/// Where a subscription of this process stands with its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// It is behind the head of the log.
    CatchingUp,
    /// It is at the head of the log.
    Live,
    /// Another process follows the log for it; this one takes over where that one ends.
    Standby,
    /// An event stopped it that it cannot take. It waits for a person, or for another process.
    Paused,
    /// A failure stopped it that a repeat does not mend. It waits for a person.
    Failed,
}

/// What happened to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It is open, and may work.
    Opened,
    /// It cannot be opened yet, and something was done about that.
    NotOpened,
    /// It has looked at a page, and there is more.
    Advanced,
    /// It has looked at what was the last page.
    ReachedHead,
    /// Nothing is above its checkpoint.
    FoundNothing,
    /// A hint, or the time of a poll, has come.
    Rested,
    /// Another process has its lease.
    HeldElsewhere,
    /// It has got its lease.
    Acquired,
    /// Another process has moved its checkpoint, or has taken its lease or its place.
    Overtaken,
    /// A failure that may pass.
    FailedForNow,
    /// A failure that a repeat does not mend.
    FailedForGood,
    /// An event that it cannot take.
    Stuck,
    /// What it waited for has come: the end of a pause, or that what stopped it may be mended.
    MayGoOn,
}

/// What a subscription does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Find its checkpoint, and ask for its lease.
    Open,
    /// Look at the next page.
    Advance,
    /// Wait a moment for a hint, before it is looked whether anything else has come.
    Linger,
    /// Wait for a hint or for the next poll.
    Rest,
    /// Ask for the lease at every poll.
    StandBy,
    /// Pause for as long as the failures in a row ask for, then open again.
    BackOff,
    /// Give the lease back, and wait until what stopped it is mended.
    AwaitMending,
}

impl SubscriptionState {
    /// Whether it waits for a person.
    #[must_use]
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Paused | Self::Failed)
    }

    /// The state after something happened, and what to do next.
    pub(crate) fn step(self, happened: Happened) -> (Self, Next) {
        match happened {
            Happened::Opened | Happened::Advanced => (Self::CatchingUp, Next::Advance),
            Happened::ReachedHead => (Self::Live, Next::Linger),
            Happened::FoundNothing => (Self::Live, Next::Rest),
            Happened::Rested => (self, Next::Advance),
            Happened::HeldElsewhere => (Self::Standby, Next::StandBy),
            Happened::NotOpened | Happened::Acquired | Happened::MayGoOn => (self, Next::Open),
            Happened::Overtaken => (self, Next::BackOff),
            Happened::FailedForNow => (Self::CatchingUp, Next::BackOff),
            Happened::FailedForGood => (Self::Failed, Next::AwaitMending),
            Happened::Stuck => (Self::Paused, Next::AwaitMending),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stopped_stays_stopped_until_it_is_open_again() {
        for happened in [Happened::Stuck, Happened::FailedForGood] {
            let (stopped, next) = SubscriptionState::Live.step(happened);
            assert!(stopped.is_stopped() && next == Next::AwaitMending, "{happened:?}");
            let (mended, next) = stopped.step(Happened::MayGoOn);
            assert_eq!((mended, next), (stopped, Next::Open), "it is not live because somebody says so");
            assert_eq!(mended.step(Happened::Opened), (SubscriptionState::CatchingUp, Next::Advance));
        }
    }

    #[test]
    fn a_hint_leaves_the_state_as_it_is_and_a_page_decides() {
        let (state, next) = SubscriptionState::Live.step(Happened::Rested);
        assert_eq!((state, next), (SubscriptionState::Live, Next::Advance));
        assert_eq!(state.step(Happened::FoundNothing), (SubscriptionState::Live, Next::Rest));
        assert_eq!(state.step(Happened::Advanced), (SubscriptionState::CatchingUp, Next::Advance));
    }

    #[test]
    fn whoever_reached_the_head_looks_again_once_a_hint_or_a_moment_has_come() {
        let (state, next) = SubscriptionState::CatchingUp.step(Happened::ReachedHead);
        assert_eq!((state, next), (SubscriptionState::Live, Next::Linger));
        assert_eq!(state.step(Happened::Rested), (SubscriptionState::Live, Next::Advance));
    }

    #[test]
    fn who_stands_by_works_only_once_it_has_the_lease_and_is_open() {
        let (standby, next) = SubscriptionState::CatchingUp.step(Happened::HeldElsewhere);
        assert_eq!((standby, next), (SubscriptionState::Standby, Next::StandBy));
        assert_eq!(standby.step(Happened::Acquired), (SubscriptionState::Standby, Next::Open));
    }
}
