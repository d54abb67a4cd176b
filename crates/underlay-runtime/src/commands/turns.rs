//! Turns at a stream: of the commands of one process that want the same stream, one goes on at a time.
//!
//! Of n commands that decide over one version of a stream, one is stored and n - 1 conflict; if these
//! decide again all at once, n - 2 conflict, and so on. In a line each finds what the one before it left.
//!
//! ```text
//!   take ──► waits in line ──► has its turn ──► dropped: the next one has it
//!                  └──────────────────────────► dropped: out of the line
//! ```
//!
//! - A turn is advice and saves work. What is stored is decided by the versions a commit expects, so
//!   other processes and first tries need none.
//! - Who is about to write a stream has its turn alone; those who only look at it share theirs.
//! - First come, first served. Turns at several streams are taken in the order of their names, and all
//!   are given back before others are taken, so nobody waits in a circle.
//! - A line is there as long as somebody stands in it, and has a bound.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use underlay_core::{Error, StreamName, StreamWrite, TenantId};

/// When a command that finds a line full may come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type Place = (TenantId, StreamName);

/// The lines of a process.
pub(crate) struct Turns {
    lines: Mutex<HashMap<Place, Line>>,
    /// How many lines there are: most commands need to know no more than that there are none.
    count: AtomicUsize,
    waiting_max: usize,
}

#[derive(Default)]
struct Line {
    turn: Arc<RwLock<()>>,
    /// Commands that wait or have their turn.
    standing: usize,
    waiting: usize,
}

/// What a command is about to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It looks at it, beside others.
    Read,
    /// It appends to it.
    Write,
}

/// A command has its turn at all its streams, until this is dropped.
pub(crate) struct Turn<'t>(BTreeMap<StreamName, Held<'t>>);

struct Held<'t> {
    // Given back before the command leaves the line.
    lock: Lock,
    _standing: Standing<'t>,
}

enum Lock {
    Shared { _lock: OwnedRwLockReadGuard<()> },
    Alone { _lock: OwnedRwLockWriteGuard<()> },
}

impl Turns {
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self { lines: Mutex::default(), count: AtomicUsize::new(0), waiting_max }
    }

    /// Waits for its turn at every one of these streams, one after another in the order of the map.
    pub(crate) async fn take(
        &self,
        tenant: &TenantId,
        streams: BTreeMap<StreamName, Access>,
    ) -> Result<Turn<'_>, Error> {
        let mut turn = Turn(BTreeMap::new());
        for (stream, access) in streams {
            let (mut standing, lock) = self.stand((tenant.clone(), stream.clone()))?;
            let lock = match access {
                Access::Read => Lock::Shared { _lock: lock.read_owned().await },
                Access::Write => Lock::Alone { _lock: lock.write_owned().await },
            };
            standing.stop_waiting();
            turn.0.insert(stream, Held { lock, _standing: standing });
        }
        Ok(turn)
    }

    /// Whether somebody waits for one of the streams that these writes are for, or has it.
    pub(crate) fn has_line(&self, tenant: &TenantId, writes: &[StreamWrite]) -> bool {
        if writes.is_empty() || self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let lines = self.lines();
        writes.iter().any(|write| lines.contains_key(&(tenant.clone(), write.stream.clone())))
    }

    fn stand(&self, place: Place) -> Result<(Standing<'_>, Arc<RwLock<()>>), Error> {
        let mut lines = self.lines();
        if let Some(line) = lines.get(&place)
            && line.waiting >= self.waiting_max
        {
            let (_, stream) = place;
            let reason = format!(
                "the line of commands that wait for {stream} is full (turns_waiting_max = {})",
                self.waiting_max
            );
            return Err(Error::overloaded(reason, RETRY_AFTER));
        }
        let line = lines.entry(place.clone()).or_default();
        line.standing += 1;
        line.waiting += 1;
        let turn = line.turn.clone();
        self.count.store(lines.len(), Ordering::Relaxed);
        Ok((Standing { turns: self, place, waits: true }, turn))
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Place, Line>> {
        // Nothing below the lock can panic half way.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Whether it has every stream alone that these writes are for.
    pub(crate) fn covers(&self, writes: &[StreamWrite]) -> bool {
        let alone = |held: &Held<'_>| matches!(held.lock, Lock::Alone { .. });
        writes.iter().all(|write| self.0.get(&write.stream).is_some_and(alone))
    }
}

/// One command in one line; dropping it leaves the line.
struct Standing<'t> {
    turns: &'t Turns,
    place: Place,
    waits: bool,
}

impl Standing<'_> {
    fn stop_waiting(&mut self) {
        if let Some(line) = self.turns.lines().get_mut(&self.place) {
            line.waiting -= 1;
            self.waits = false;
        }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        let Some(line) = lines.get_mut(&self.place) else { return };
        line.standing -= 1;
        line.waiting -= usize::from(self.waits);
        if line.standing == 0 {
            lines.remove(&self.place);
            self.turns.count.store(lines.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn tenant() -> TenantId {
        TenantId::new("acme").unwrap()
    }

    fn stream(name: &str) -> StreamName {
        name.parse().unwrap()
    }

    fn take<'t>(
        turns: &'t Turns,
        streams: &[(&str, Access)],
    ) -> impl Future<Output = Result<Turn<'t>, Error>> + use<'t> {
        let streams = streams.iter().map(|(name, access)| (stream(name), *access)).collect();
        async move { turns.take(&tenant(), streams).await }
    }

    /// One step of a future.
    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn ready<'t>(taken: Poll<Result<Turn<'t>, Error>>) -> Turn<'t> {
        match taken {
            Poll::Ready(Ok(turn)) => turn,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => panic!("it waits"),
        }
    }

    fn standing(turns: &Turns, name: &str) -> Option<(usize, usize)> {
        turns.lines().get(&(tenant(), stream(name))).map(|line| (line.standing, line.waiting))
    }

    const READ_A: &[(&str, Access)] = &[("account-a", Access::Read)];
    const WRITE_A: &[(&str, Access)] = &[("account-a", Access::Write)];

    #[test]
    fn writers_have_their_turn_in_the_order_they_came() {
        let turns = Turns::new(10);
        let first = ready(poll(pin!(take(&turns, WRITE_A))));
        let (mut second, mut third) = (pin!(take(&turns, WRITE_A)), pin!(take(&turns, WRITE_A)));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        assert_eq!(standing(&turns, "account-a"), Some((3, 2)));
        drop(first);
        assert!(poll(third.as_mut()).is_pending());
        drop(ready(poll(second)));
        drop(ready(poll(third)));
        assert!(turns.lines().is_empty());
    }

    #[test]
    fn readers_share_a_turn_and_do_not_pass_a_writer_who_waits() {
        let turns = Turns::new(10);
        let readers = [ready(poll(pin!(take(&turns, READ_A)))), ready(poll(pin!(take(&turns, READ_A))))];
        let (mut writer, mut late) = (pin!(take(&turns, WRITE_A)), pin!(take(&turns, READ_A)));
        assert!(poll(writer.as_mut()).is_pending() && poll(late.as_mut()).is_pending());
        drop(readers);
        assert!(poll(late.as_mut()).is_pending());
        drop(ready(poll(writer)));
        drop(ready(poll(late)));
        assert!(turns.lines().is_empty());
    }

    #[test]
    fn who_goes_away_leaves_no_line_behind() {
        let turns = Turns::new(10);
        let both = [("account-a", Access::Write), ("account-b", Access::Write)];
        let first = ready(poll(pin!(take(&turns, &[("account-b", Access::Write)]))));
        let mut last = Box::pin(take(&turns, WRITE_A));
        {
            let mut waits_for_b = Box::pin(take(&turns, &both));
            assert!(poll(waits_for_b.as_mut()).is_pending());
            assert!(poll(last.as_mut()).is_pending());
            assert_eq!(standing(&turns, "account-b"), Some((2, 1)));
        }
        assert_eq!(standing(&turns, "account-b"), Some((1, 0)));
        drop(ready(poll(last.as_mut())));
        assert_eq!(standing(&turns, "account-a"), None);
        drop(first);
        assert!(turns.lines().is_empty() && turns.count.load(Ordering::Relaxed) == 0);
        // The turn was given to somebody who goes away before it is told.
        let holder = ready(poll(pin!(take(&turns, WRITE_A))));
        let mut told = Box::pin(take(&turns, WRITE_A));
        let mut next = Box::pin(take(&turns, WRITE_A));
        assert!(poll(told.as_mut()).is_pending() && poll(next.as_mut()).is_pending());
        drop(holder);
        drop(told);
        drop(ready(poll(next.as_mut())));
        assert!(turns.lines().is_empty());
    }

    #[test]
    fn several_streams_are_waited_for_in_one_order_whatever_order_they_are_named_in() {
        let turns = Turns::new(10);
        let (a, b) = (("account-a", Access::Write), ("account-b", Access::Write));
        let holder = ready(poll(pin!(take(&turns, WRITE_A))));
        let mut forth = Box::pin(take(&turns, &[a, b]));
        let mut back = Box::pin(take(&turns, &[b, a]));
        assert!(poll(forth.as_mut()).is_pending() && poll(back.as_mut()).is_pending());
        // Neither has the other's second stream while it waits for its first.
        assert_eq!(standing(&turns, "account-b"), None);
        drop(holder);
        drop(ready(poll(forth.as_mut())));
        drop(ready(poll(back.as_mut())));
        assert!(turns.lines().is_empty());
    }

    #[test]
    fn tenants_stand_in_lines_of_their_own() {
        let turns = Turns::new(10);
        let _ours = ready(poll(pin!(take(&turns, WRITE_A))));
        let other = TenantId::new("other").unwrap();
        let theirs = pin!(turns.take(&other, [(stream("account-a"), Access::Write)].into()));
        ready(poll(theirs));
    }

    #[test]
    fn a_full_line_is_refused_with_the_name_of_the_limit() {
        let turns = Turns::new(1);
        let holder = ready(poll(pin!(take(&turns, WRITE_A))));
        let mut waits = Box::pin(take(&turns, WRITE_A));
        assert!(poll(waits.as_mut()).is_pending());
        let Poll::Ready(Err(refused)) = poll(pin!(take(&turns, WRITE_A))) else { panic!("there is room") };
        let Error::Unavailable { reason, retry_after, overloaded } = refused else { panic!("{refused}") };
        assert!(
            overloaded && reason.contains("account-a") && reason.contains("turns_waiting_max = 1"),
            "{reason}"
        );
        assert_eq!(retry_after, Some(RETRY_AFTER));
        drop(holder);
        // Whose turn it is does not count.
        let _turn = ready(poll(waits.as_mut()));
        assert!(poll(pin!(take(&turns, WRITE_A))).is_pending());
    }

    #[test]
    fn a_turn_covers_the_streams_it_has_alone() {
        let turns = Turns::new(10);
        let turn =
            ready(poll(pin!(take(&turns, &[("account-a", Access::Write), ("account-b", Access::Read)]))));
        let write = |name| StreamWrite {
            stream: stream(name),
            expected: underlay_core::ExpectedVersion::Any,
            events: Vec::new(),
        };
        assert!(turn.covers(&[]) && turn.covers(&[write("account-a")]));
        assert!(!turn.covers(&[write("account-a"), write("account-b")]));
        assert!(turns.has_line(&tenant(), &[write("account-b")]) && !turns.has_line(&tenant(), &[]));
        assert!(!turns.has_line(&tenant(), &[write("account-c")]));
    }
}
