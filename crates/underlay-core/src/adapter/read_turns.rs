//! Whose read runs next, where more want to read than may at once: tenants take turns.
//!
//! A reader asks for a turn and holds it while it reads:
//! - **free**: fewer hold a turn than may. Nobody waits, and who asks has one at once.
//! - **taken**: who asks stands at the end of its tenant's line. A turn that ends goes to the tenant
//!   that has waited longest since its last one, and there to the first of its line. So whoever stands
//!   first in a line waits for one turn of each tenant that waits too, however long their lines are.
//! - **closed**: everybody who waits is sent away, and nobody comes in.
//!
//! Who goes away while it waits frees its place; who goes away with a turn gives it on. A line that is
//! full refuses at once and who waits too long is sent away, both with the name of the limit: nothing
//! grows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::ports::Clock;
use crate::words::{Error, TenantId};

/// When to come back where a limit is reached.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bounds of [`ReadTurns`].
#[derive(Clone, Debug)]
pub struct ReadLimits {
    /// Reads that run at the same time.
    pub running_max: usize,
    /// Reads that may wait.
    pub waiting_max: usize,
    /// Reads of one tenant that may wait: the rest is kept for the others.
    pub tenant_waiting_max: usize,
    /// How long a read may wait.
    pub wait_max: Duration,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            running_max: 4,
            waiting_max: 2_048,
            tenant_waiting_max: 256,
            wait_max: Duration::from_secs(10),
        }
    }
}

impl ReadLimits {
    /// Those of reads that commands and views wait for: as many may wait as commits may.
    #[must_use]
    pub fn of_the_engine(running_max: usize) -> Self {
        Self { running_max, waiting_max: 8_192, tenant_waiting_max: 4_096, wait_max: Duration::from_secs(60) }
    }
}

/// The turns. A clone shares them.
#[derive(Clone, Debug)]
pub struct ReadTurns(Arc<Shared>);

/// The right to read, until it is dropped.
#[derive(Debug)]
pub struct ReadTurn(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: ReadLimits,
    state: Mutex<State>,
    /// Told when the last turn ends.
    ended: Notify,
}

/// Whose line it is; none is the engine's own.
type Owner = Option<TenantId>;

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: usize,
    /// Who waits, by the number they drew: the first of a line is the one with the lowest.
    lines: HashMap<Owner, BTreeMap<u64, oneshot::Sender<()>>>,
    /// Those with a line, the next one first.
    order: VecDeque<Owner>,
    drawn: u64,
    closed: bool,
}

impl ReadTurns {
    /// Turns of which none is taken.
    #[must_use]
    pub fn new(limits: ReadLimits) -> Self {
        Self(Arc::new(Shared { limits, state: Mutex::default(), ended: Notify::new() }))
    }

    /// Waits for a turn of a tenant, or of the engine itself where none is named.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where a limit is reached, with its name, and where the turns are closed.
    pub async fn enter(&self, tenant: Option<&TenantId>, clock: &dyn Clock) -> Result<ReadTurn, Error> {
        let place = match self.0.ask(tenant)? {
            Asked::Granted(turn) => return Ok(turn),
            Asked::Waits(place) => place,
        };
        let wait_max = self.0.limits.wait_max;
        let mut called = pin!(place.called());
        let mut too_late = pin!(clock.sleep(wait_max));
        poll_fn(|context| match called.as_mut().poll(context) {
            Poll::Ready(called) => Poll::Ready(called),
            Poll::Pending => too_late.as_mut().poll(context).map(|()| {
                let running_max = self.0.limits.running_max;
                let reason = format!(
                    "a read waited for {wait_max:?} (wait_max) while running_max = {running_max} others ran"
                );
                Err(Error::overloaded(reason, RETRY_AFTER))
            }),
        })
        .await
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting
    }

    /// Sends everybody away who waits, now and from now on.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.waiting = 0;
        state.order.clear();
        // Those who wait hear of it by that.
        state.lines.clear();
    }

    /// Waits until no turn is taken. Once they are closed that stays so.
    pub async fn ended(&self) {
        loop {
            let mut ended = pin!(self.0.ended.notified());
            ended.as_mut().enable();
            if self.0.lock().running == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// What somebody hears who asks for a turn.
enum Asked {
    Granted(ReadTurn),
    Waits(Place),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in between can panic, so no change is half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(self: &Arc<Self>, tenant: Option<&TenantId>) -> Result<Asked, Error> {
        let mut state = self.lock();
        if state.closed {
            return Err(closed());
        }
        if state.running < self.limits.running_max && state.waiting == 0 {
            state.running += 1;
            return Ok(Asked::Granted(ReadTurn(self.clone())));
        }
        let owner = tenant.cloned();
        let line_length = state.lines.get(&owner).map_or(0, BTreeMap::len);
        let reached = [
            ("waiting_max", state.waiting, self.limits.waiting_max),
            ("tenant_waiting_max", line_length, self.limits.tenant_waiting_max),
        ]
        .into_iter()
        .find(|(_, actual, limit)| actual >= limit);
        if let Some((name, _, limit)) = reached {
            return Err(Error::overloaded(format!("too many reads wait ({name} = {limit})"), RETRY_AFTER));
        }
        let (call, called) = oneshot::channel();
        let number = state.drawn;
        state.drawn += 1;
        state.waiting += 1;
        if line_length == 0 {
            state.order.push_back(owner.clone());
        }
        state.lines.entry(owner.clone()).or_default().insert(number, call);
        Ok(Asked::Waits(Place { shared: self.clone(), owner, number, called: Some(called) }))
    }

    /// Ends a turn: it goes to the next who waits.
    fn give_on(&self) {
        let mut state = self.lock();
        while let Some(call) = state.next() {
            // Who goes away leaves its line first, so this fails for nobody; were it to, the next is called.
            if call.send(()).is_ok() {
                return;
            }
        }
        state.running -= 1;
        if state.running == 0 {
            self.ended.notify_waiters();
        }
    }
}

impl State {
    /// Takes whoever is next out of its line.
    fn next(&mut self) -> Option<oneshot::Sender<()>> {
        let owner = self.order.pop_front()?;
        let line = self.lines.get_mut(&owner)?;
        let (_, call) = line.pop_first()?;
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(&owner);
        } else {
            self.order.push_back(owner);
        }
        Some(call)
    }

    /// Takes somebody out of its line; whether it still stood there.
    fn leave(&mut self, owner: &Owner, number: u64) -> bool {
        let Some(line) = self.lines.get_mut(owner) else { return false };
        if line.remove(&number).is_none() {
            return false;
        }
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(owner);
            self.order.retain(|other| other != owner);
        }
        true
    }
}

/// A place in a line. Dropped, it is free again.
struct Place {
    shared: Arc<Shared>,
    owner: Owner,
    number: u64,
    /// None once it was heard.
    called: Option<oneshot::Receiver<()>>,
}

impl Place {
    /// Waits until it is this one's turn.
    async fn called(mut self) -> Result<ReadTurn, Error> {
        let Some(called) = self.called.as_mut() else { return Err(closed()) };
        let answer = called.await;
        self.called = None;
        match answer {
            Ok(()) => Ok(ReadTurn(self.shared.clone())),
            Err(_) => Err(closed()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(mut called) = self.called.take() else { return };
        let stood_there = self.shared.lock().leave(&self.owner, self.number);
        // Called, and gone before it heard: the turn is somebody else's.
        if !stood_there && called.try_recv().is_ok() {
            self.shared.give_on();
        }
    }
}

impl Drop for ReadTurn {
    fn drop(&mut self) {
        self.0.give_on();
    }
}

fn closed() -> Error {
    Error::unavailable("the store is closed")
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::ports::ManualClock;
    use crate::words::Timestamp;

    type Asking<'t> = Pin<Box<dyn Future<Output = Result<ReadTurn, Error>> + 't>>;

    fn limits(running_max: usize) -> ReadLimits {
        ReadLimits { running_max, ..ReadLimits::default() }
    }

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::UNIX_EPOCH)
    }

    fn named(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn look<'t>(asking: &mut Asking<'t>) -> Poll<Result<ReadTurn, Error>> {
        asking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Asks for a turn, and waits where there is none.
    fn wait<'t>(turns: &'t ReadTurns, clock: &'t ManualClock, name: &str) -> Asking<'t> {
        let tenant = named(name);
        let mut asking: Asking<'t> = Box::pin(async move { turns.enter(Some(&tenant), clock).await });
        assert!(look(&mut asking).is_pending(), "{name} waits");
        asking
    }

    fn take(turns: &ReadTurns, clock: &ManualClock, name: &str) -> ReadTurn {
        let tenant = named(name);
        match pin!(turns.enter(Some(&tenant), clock)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(turn)) => turn,
            other => panic!("{name} has a turn at once: {other:?}"),
        }
    }

    /// Ends turn after turn; whose they were, in order.
    fn served(turn: ReadTurn, mut waiting: Vec<(String, Asking<'_>)>) -> Vec<String> {
        let mut order = Vec::new();
        let mut turn = Some(turn);
        while turn.take().is_some() {
            let called = waiting.iter_mut().enumerate().find_map(|(at, (_, asking))| match look(asking) {
                Poll::Ready(granted) => Some((at, granted.unwrap())),
                Poll::Pending => None,
            });
            if let Some((at, granted)) = called {
                order.push(waiting.remove(at).0);
                turn = Some(granted);
            }
        }
        assert!(waiting.is_empty(), "everybody had a turn");
        order
    }

    #[test]
    fn a_small_tenant_waits_for_one_turn_of_each_that_waits_and_not_for_a_flood() {
        const SMALL: usize = 300;
        let (turns, clock) = (ReadTurns::new(limits(1)), clock());
        let turn = take(&turns, &clock, "flood");
        let mut waiting: Vec<(String, Asking<'_>)> = Vec::new();
        let mut stand = |name: String| {
            let asking = wait(&turns, &clock, &name);
            waiting.push((name, asking));
        };
        (0..200).for_each(|_| stand("flood".to_owned()));
        (0..SMALL).for_each(|number| stand(format!("small-{number}")));
        (0..50).for_each(|_| stand("flood".to_owned()));
        (0..3).for_each(|_| stand("small-7".to_owned()));
        let order = served(turn, waiting);
        // The first round: the flood once, then every small one in the order they came.
        assert_eq!(order[0], "flood");
        for (number, name) in order[1..=SMALL].iter().enumerate() {
            assert_eq!(*name, format!("small-{number}"));
        }
        // Then the two that have more, in turn, and the flood with what it has alone.
        let rest: Vec<&str> = order[SMALL + 1..SMALL + 7].iter().map(String::as_str).collect();
        assert_eq!(rest, ["flood", "small-7", "flood", "small-7", "flood", "small-7"]);
        assert_eq!(order.len(), 200 + SMALL + 50 + 3);
    }

    #[test]
    fn who_comes_while_a_flood_is_served_is_next_but_one() {
        let (turns, clock) = (ReadTurns::new(limits(1)), clock());
        let first = take(&turns, &clock, "flood");
        let mut flood: Vec<Asking<'_>> = (0..100).map(|_| wait(&turns, &clock, "flood")).collect();
        let mut small = wait(&turns, &clock, "small");
        drop(first);
        let Poll::Ready(Ok(second)) = look(&mut flood[0]) else { panic!("the flood stood there first") };
        drop(second);
        assert!(matches!(look(&mut small), Poll::Ready(Ok(_))), "then the small one");
    }

    #[test]
    fn as_many_run_as_may() {
        let (turns, clock) = (ReadTurns::new(limits(3)), clock());
        let running = [take(&turns, &clock, "a"), take(&turns, &clock, "a"), take(&turns, &clock, "b")];
        let mut waits = wait(&turns, &clock, "c");
        let [first, ..] = running;
        drop(first);
        assert!(matches!(look(&mut waits), Poll::Ready(Ok(_))));
    }

    #[test]
    fn who_goes_away_frees_its_place_or_gives_its_turn_on() {
        let (turns, clock) = (ReadTurns::new(ReadLimits { tenant_waiting_max: 2, ..limits(1) }), clock());
        let turn = take(&turns, &clock, "a");
        let (gone, called) = (wait(&turns, &clock, "a"), wait(&turns, &clock, "a"));
        drop(gone);
        assert_eq!(turns.waiting(), 1);
        let mut last = wait(&turns, &clock, "a");
        drop(turn);
        // It was called, and goes away before it hears of it.
        drop(called);
        assert!(matches!(look(&mut last), Poll::Ready(Ok(_))));
        drop(last);
        assert_eq!(turns.waiting(), 0);
        drop(take(&turns, &clock, "b"));
    }

    #[test]
    fn a_full_line_refuses_and_leaves_room_for_others() {
        let limits = ReadLimits { waiting_max: 3, tenant_waiting_max: 2, ..limits(1) };
        let (turns, clock) = (ReadTurns::new(limits), clock());
        let _turn = take(&turns, &clock, "a");
        let _waiting = [wait(&turns, &clock, "a"), wait(&turns, &clock, "a")];
        let refused = |name: &str, limit: &str| {
            let tenant = named(name);
            match pin!(turns.enter(Some(&tenant), &clock)).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Err(Error::Unavailable { reason, retry_after, overloaded })) => {
                    assert!(reason.contains(limit), "{reason}");
                    assert!(retry_after.is_some() && overloaded);
                }
                other => panic!("{name} is refused: {other:?}"),
            }
        };
        refused("a", "tenant_waiting_max = 2");
        let _other = wait(&turns, &clock, "b");
        refused("c", "waiting_max = 3");
    }

    #[test]
    fn who_waits_too_long_is_sent_away() {
        let (turns, clock) = (ReadTurns::new(limits(1)), clock());
        let turn = take(&turns, &clock, "a");
        let mut late = wait(&turns, &clock, "b");
        clock.advance(Duration::from_secs(10));
        match look(&mut late) {
            Poll::Ready(Err(Error::Unavailable { reason, overloaded: true, .. })) => {
                assert!(reason.contains("wait_max"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(turns.waiting(), 0);
        drop(turn);
        drop(take(&turns, &clock, "b"));
    }

    #[test]
    fn the_engine_has_a_line_of_its_own() {
        let (turns, clock) = (ReadTurns::new(limits(1)), clock());
        let turn = take(&turns, &clock, "a");
        let mut flood: Vec<Asking<'_>> = (0..50).map(|_| wait(&turns, &clock, "a")).collect();
        let mut own: Asking<'_> = Box::pin(turns.enter(None, &clock));
        assert!(look(&mut own).is_pending());
        drop(turn);
        drop(look(&mut flood[0]));
        assert!(matches!(look(&mut own), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn closed_they_send_everybody_away_and_wait_for_who_reads() {
        let (turns, clock) = (ReadTurns::new(limits(1)), clock());
        let turn = take(&turns, &clock, "a");
        let mut waits = wait(&turns, &clock, "a");
        turns.close();
        assert!(matches!(look(&mut waits), Poll::Ready(Err(Error::Unavailable { overloaded: false, .. }))));
        drop(waits);
        assert!(turns.enter(Some(&named("b")), &clock).await.is_err());
        let mut ended = Box::pin(turns.ended());
        let now = ended.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(now.is_pending(), "one still reads");
        drop(turn);
        ended.await;
    }
}
