//! Follows the log for somebody, whoever that is: a view, a process, a pump, a subscriber of the event bus.
//!
//! ```text
//!            ┌──────────────── a page is looked at ◄────────────────┐
//!            ▼                                                      │
//!  open ─► CatchingUp ──────── the head of the log ───────────► Live ── hint or poll ──► look on
//!    ▲       │ │  │
//!    │       │ │  └─ another process holds the lease ──► Standby ─┐ (also from Live)
//!    │◄──────┼─┼── the lease is free, or has run out ─────────────┘
//!    │       │ └──── an event it cannot take ──► Paused ─┐
//!    │       └────── a failure a repeat does not mend ──► Failed ─┐
//!    └◄────── what stopped it is mended ─────────────────────────┘
//! ```
//!
//! [`SubscriptionState::step`] holds every transition; [`Subscription`] does what it says is next, and a
//! [`Follower`] does the work.
//!
//! Where several processes share a store, one of them follows the log for a name at a time: the one that
//! holds its lease. The others stand by, and ask for the lease at every poll. Who ends in good order gives
//! the lease back; where a process is killed the lease runs out.
//!
//! What happens when something fails: a failure that may pass is tried again after a pause that doubles.
//! Where another process has moved the checkpoint, the subscription is opened again. A subscription that
//! stops gives its lease back, as another process may be of a newer version that can go on.

mod backoff;
mod durable;
mod held_lease;
mod live;
mod recent_log;
mod running;
mod signals;
mod state;
mod status;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Clock, Error, LeaseTerm, Leases, Timestamp};

pub(crate) use backoff::Backoff;
#[cfg(test)]
pub(crate) use durable::DurableFollower;
pub(crate) use durable::{Consumer, DurableSubscriptions, FollowerKind, Stuck, checkpoint_at, start_of};
pub use durable::{FollowerStanding, FollowerState};
pub(crate) use held_lease::HeldLease;
pub(crate) use live::{Live, LiveLog};
pub(crate) use recent_log::RecentLog;
pub(crate) use running::{Runner, Running};
pub(crate) use signals::{Handle, Signals};
pub use state::SubscriptionState;
use state::{Happened, Next};
pub use status::FollowerStatus;
pub(crate) use status::{is_past, told_of};

/// How often the work of another process is looked at while somebody waits for it.
pub(crate) const FOREIGN_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a subscription that reached the head of the log waits for a hint before it looks whether anything came
/// without one. Hints are kept while nobody waits, so while commits come one look at the log is enough for each. A view
/// that put off its store stores when this is over.
const LINGER_MAX: Duration = Duration::from_millis(12);

/// Why a subscription does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt<S: Display> {
    /// An event that it cannot take.
    #[error("{0}")]
    Stuck(S),
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What a follower cannot take that takes every event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NeverStuck {}

impl Display for NeverStuck {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

/// What looking at one page came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// Something was looked at, and there is more.
    Advanced,
    /// Something was looked at, up to what was the head of the log.
    ReachedHead,
    /// Nothing is above the checkpoint.
    FoundNothing,
}

/// The work of a subscription.
pub(crate) trait Follower: Send {
    /// An event that it cannot take.
    type Stuck: Display + Send;

    /// Names it to people.
    fn name(&self) -> &str;

    /// Names its lease.
    fn lease_name(&self) -> String;

    /// Finds its place in the log. False where there is none yet, and something was done about that.
    async fn open(&mut self, signals: &mut Signals) -> Result<bool, Halt<Self::Stuck>>;

    /// Begins to work from that place, and stores under this lease.
    fn work_under(&mut self, lease: Option<LeaseTerm>);

    /// Looks at the next page.
    async fn advance(&mut self) -> Result<Advance, Halt<Self::Stuck>>;

    /// Checks its place where nothing is above it, and says how long it may rest there.
    async fn arrive(&mut self) -> Result<Duration, Halt<Self::Stuck>>;

    /// Does what has waited for a quiet moment; where there is none for long, a little of it.
    async fn tidy(&mut self, is_quiet: bool, signals: &mut Signals) -> Result<(), Halt<Self::Stuck>>;

    /// Looks how far another process is.
    async fn look_on(&mut self) -> Result<(), Halt<Self::Stuck>>;

    /// Leaves word in the store of what stopped it, so that other processes know.
    async fn leave_word(&mut self, halt: &Halt<Self::Stuck>);

    /// Gives up what it has done and not stored, where something went wrong: it is done again.
    fn abandon(&mut self);

    /// Whether what stopped it may be mended.
    async fn is_mended(&mut self) -> bool;

    /// Stores what it has done, as it ends.
    async fn close(&mut self) -> Result<(), Error>;

    /// Tells others where it stands, and why where it does not go on.
    fn show(&mut self, state: SubscriptionState, halt: Option<&Halt<Self::Stuck>>);
}

/// What a subscription works with.
pub(crate) struct Bounds {
    pub(crate) leases: Option<Arc<dyn Leases>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Names this process to people, in leases.
    pub(crate) holder: String,
    pub(crate) lease_duration: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) backoff: Backoff,
}

/// One follower on its way along the log.
pub(crate) struct Subscription<F: Follower> {
    follower: F,
    bounds: Bounds,
    signals: Signals,
    state: SubscriptionState,
    /// The right to work; none while it is another's, or where nobody asks for one.
    lease: Option<HeldLease>,
    /// Failures since the last page.
    failures: u32,
    /// How long it pauses before it goes on.
    pause: Duration,
    /// How long it may rest at the head of the log.
    rest: Duration,
    /// When it last tidied up.
    tidied_at: Timestamp,
}

impl<F: Follower> Subscription<F> {
    pub(crate) fn new(follower: F, bounds: Bounds, signals: Signals) -> Self {
        Self {
            follower,
            signals,
            state: SubscriptionState::CatchingUp,
            lease: None,
            failures: 0,
            pause: Duration::ZERO,
            rest: Duration::ZERO,
            tidied_at: bounds.clock.now(),
            bounds,
        }
    }

    /// Runs until it is stopped.
    pub(crate) async fn run(mut self) {
        let mut next = Next::Open;
        while !self.signals.is_stopped() {
            next = match self.act(next).await {
                Ok(happened) => self.step(happened, None),
                Err(halt) => self.halt(halt).await,
            };
        }
        if let Err(error) = self.follower.close().await {
            tracing::warn!(name = self.follower.name(), %error, "what was done last is done again");
        }
        self.let_go().await;
    }

    fn step(&mut self, happened: Happened, halt: Option<&Halt<F::Stuck>>) -> Next {
        let (state, next) = self.state.step(happened);
        self.state = state;
        if halt.is_some()
            || matches!(
                happened,
                Happened::Opened | Happened::Advanced | Happened::ReachedHead | Happened::FoundNothing
            )
        {
            self.follower.show(state, halt);
        }
        next
    }

    async fn act(&mut self, next: Next) -> Result<Happened, Halt<F::Stuck>> {
        match next {
            Next::Open => self.open().await,
            Next::Advance => self.advance().await,
            Next::Linger => {
                self.signals.linger(LINGER_MAX, self.lease.as_mut()).await;
                Ok(Happened::Rested)
            }
            Next::Rest => self.rest().await,
            Next::StandBy => self.stand_by().await,
            Next::BackOff => {
                self.signals.pause(self.pause, self.lease.as_mut()).await;
                Ok(Happened::MayGoOn)
            }
            Next::AwaitMending => {
                self.let_go().await;
                self.signals.pause(self.bounds.poll_interval, None).await;
                while !self.signals.is_stopped() && !self.follower.is_mended().await {
                    self.signals.pause(self.bounds.poll_interval, None).await;
                }
                Ok(Happened::MayGoOn)
            }
        }
    }

    async fn open(&mut self) -> Result<Happened, Halt<F::Stuck>> {
        if !self.follower.open(&mut self.signals).await? {
            return Ok(Happened::NotOpened);
        }
        if self.bounds.leases.is_some() && self.lease.is_none() && !self.take_lease().await? {
            return Ok(Happened::HeldElsewhere);
        }
        self.follower.work_under(self.lease.as_ref().map(HeldLease::term));
        Ok(Happened::Opened)
    }

    async fn advance(&mut self) -> Result<Happened, Halt<F::Stuck>> {
        self.check_lease()?;
        let advance = self.follower.advance().await?;
        self.failures = 0;
        let happened = match advance {
            Advance::Advanced => Happened::Advanced,
            Advance::ReachedHead => Happened::ReachedHead,
            Advance::FoundNothing => {
                self.rest = self.follower.arrive().await?;
                return Ok(Happened::FoundNothing);
            }
        };
        self.tidy_where_due().await?;
        Ok(happened)
    }

    async fn rest(&mut self) -> Result<Happened, Halt<F::Stuck>> {
        if self.signals.hint(self.rest, self.lease.as_mut()).await {
            self.tidy_where_due().await?;
        } else {
            self.tidied_at = self.bounds.clock.now();
            self.follower.tidy(true, &mut self.signals).await?;
        }
        Ok(Happened::Rested)
    }

    /// Hints may leave it no quiet moment.
    async fn tidy_where_due(&mut self) -> Result<(), Halt<F::Stuck>> {
        let now = self.bounds.clock.now();
        if has_passed(self.bounds.poll_interval, self.tidied_at, now) {
            self.tidied_at = now;
            self.follower.tidy(false, &mut self.signals).await?;
        }
        Ok(())
    }

    /// Shows how far another process is, until this one has the lease, or the end.
    async fn stand_by(&mut self) -> Result<Happened, Halt<F::Stuck>> {
        let (clock, interval) = (self.bounds.clock.clone(), self.bounds.poll_interval);
        let mut poll = clock.sleep(interval);
        while !self.signals.is_stopped() {
            self.follower.look_on().await?;
            self.failures = 0;
            self.follower.show(self.state, None);
            if self.signals.stand_by(&mut poll, FOREIGN_POLL_INTERVAL).await {
                if self.take_lease().await? {
                    break;
                }
                poll = clock.sleep(interval);
            }
        }
        Ok(Happened::Acquired)
    }

    /// Says what a failure means, and shows it.
    async fn halt(&mut self, halt: Halt<F::Stuck>) -> Next {
        self.follower.abandon();
        self.failures = self.failures.saturating_add(1);
        self.pause = self.bounds.backoff.delay(self.failures);
        let is_lost = matches!(&halt, Halt::Failed(Error::LeaseLost { .. }));
        self.lease.take_if(|lease| is_lost || lease.is_lost());
        let happened = match &halt {
            Halt::Failed(Error::LeaseLost { .. } | Error::CheckpointMoved { .. } | Error::NotFound(_)) => {
                // Another process stored first or may work now, or the place was taken away: the first time it
                // is looked at again at once.
                self.pause = self.bounds.backoff.delay(self.failures - 1);
                return self.step(Happened::Overtaken, None);
            }
            Halt::Failed(error) if error.is_retryable() => Happened::FailedForNow,
            Halt::Failed(_) => Happened::FailedForGood,
            Halt::Stuck(_) => Happened::Stuck,
        };
        let goes_on = happened == Happened::FailedForNow;
        tracing::error!(name = self.follower.name(), error = %halt, goes_on, "the subscription stopped");
        // Whoever sees that an event stopped it here is told the same elsewhere. What failed may be the store
        // itself; that is shown first.
        if happened == Happened::Stuck {
            self.follower.leave_word(&halt).await;
        }
        let next = self.step(happened, Some(&halt));
        if happened == Happened::FailedForGood {
            self.follower.leave_word(&halt).await;
        }
        next
    }

    fn check_lease(&self) -> Result<(), Error> {
        match self.lease.as_ref().filter(|lease| lease.is_lost()) {
            Some(lost) => Err(lost.term().lost()),
            None => Ok(()),
        }
    }

    /// Asks for the right to work; false where another process has it.
    async fn take_lease(&mut self) -> Result<bool, Error> {
        let Some(leases) = &self.bounds.leases else { return Ok(false) };
        let (name, duration) = (self.follower.lease_name(), self.bounds.lease_duration);
        let (clock, holder) = (&self.bounds.clock, &self.bounds.holder);
        self.lease = HeldLease::acquire(leases, clock, &name, holder, duration).await?;
        Ok(self.lease.is_some())
    }

    /// Gives the right to work back, where it has it.
    async fn let_go(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release().await;
        }
    }
}

/// Whether so much time lies between the two.
pub(crate) fn has_passed(duration: Duration, since: Timestamp, now: Timestamp) -> bool {
    // A clock that was set back says no; the other limits hold.
    let microseconds = u64::try_from(now.as_microsecond() - since.as_microsecond()).unwrap_or(0);
    Duration::from_micros(microseconds) >= duration
}
