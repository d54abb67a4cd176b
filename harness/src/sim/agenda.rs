//! Time in a simulation: an agenda of what comes when, and clocks that show it.
//!
//! Time moves only from one entry of the agenda to the next. Entries of one moment come in the order they were put
//! down, so a run is the same whenever it is played.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use underlay_core::{Clock, Timestamp};

/// Something that sleeps until its moment has come.
#[derive(Debug)]
pub(crate) struct Sleeper {
    /// Whose it is.
    pub(crate) program: usize,
    has_come: AtomicBool,
    waker: Mutex<Waker>,
}

impl Sleeper {
    /// Its moment has come.
    pub(crate) fn wake(&self) {
        self.has_come.store(true, Ordering::SeqCst);
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

/// What stands in an agenda.
#[derive(Debug)]
pub(crate) enum Due<H> {
    /// Somebody wakes.
    Wake(Arc<Sleeper>),
    /// Something happens to the world.
    Happens(H),
}

struct Entry<H> {
    at: i64,
    number: u64,
    due: Due<H>,
}

impl<H> PartialEq for Entry<H> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<H> Eq for Entry<H> {}

impl<H> PartialOrd for Entry<H> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<H> Ord for Entry<H> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

struct Pages<H> {
    /// In microseconds.
    now: i64,
    entries: BinaryHeap<Reverse<Entry<H>>>,
    /// Entries that there have been.
    count: u64,
}

/// What comes when.
pub(crate) struct Agenda<H>(Mutex<Pages<H>>);

impl<H> Agenda<H> {
    /// It is `now`, and nothing is to come.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Pages { now: now.as_microsecond(), entries: BinaryHeap::new(), count: 0 }))
    }

    /// In microseconds.
    pub(crate) fn now(&self) -> i64 {
        self.pages().now
    }

    /// Puts something down that happens after a time.
    pub(crate) fn after(&self, duration: Duration, happens: H) {
        let at = self.now().saturating_add(micros(duration));
        self.put(at, Due::Happens(happens));
    }

    fn put(&self, at: i64, due: Due<H>) {
        let mut pages = self.pages();
        let number = pages.count;
        pages.count += 1;
        pages.entries.push(Reverse(Entry { at, number, due }));
    }

    /// Goes on to the next entry; none where nothing is to come. Whoever sleeps no more is passed over.
    pub(crate) fn next(&self) -> Option<Due<H>> {
        let mut pages = self.pages();
        loop {
            let Reverse(entry) = pages.entries.pop()?;
            if is_gone(&entry.due) {
                continue;
            }
            pages.now = pages.now.max(entry.at);
            return Some(entry.due);
        }
    }

    /// The next entry, where it is of this moment and wakes a sleeper of that program.
    pub(crate) fn next_of(&self, program: usize) -> Option<Arc<Sleeper>> {
        let mut pages = self.pages();
        while let Some(Reverse(next)) = pages.entries.peek() {
            let is_its = matches!(&next.due, Due::Wake(sleeper) if sleeper.program == program);
            let is_gone = is_gone(&next.due);
            if !is_gone && (next.at > pages.now || !is_its) {
                return None;
            }
            if let Some(Reverse(Entry { due: Due::Wake(sleeper), .. })) = pages.entries.pop()
                && !is_gone
            {
                return Some(sleeper);
            }
        }
        None
    }

    fn pages(&self) -> MutexGuard<'_, Pages<H>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever slept was dropped: nobody else knows of the sleeper.
fn is_gone<H>(due: &Due<H>) -> bool {
    matches!(due, Due::Wake(sleeper) if Arc::strong_count(sleeper) == 1)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The clock of a program, or of the stores.
pub(crate) struct AgendaClock<H> {
    pub(crate) agenda: Arc<Agenda<H>>,
    pub(crate) program: usize,
    /// How far it is ahead, in microseconds.
    pub(crate) ahead: i64,
}

impl<H: Send + 'static> Clock for AgendaClock<H> {
    fn now(&self) -> Timestamp {
        let now = self.agenda.now().saturating_add(self.ahead);
        Timestamp::from_microsecond(now).unwrap_or(Timestamp::MAX)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let due = self.agenda.now().saturating_add(micros(duration));
        Box::pin(Sleep { agenda: &self.agenda, program: self.program, due, sleeper: None })
    }
}

struct Sleep<'a, H> {
    agenda: &'a Agenda<H>,
    program: usize,
    due: i64,
    sleeper: Option<Arc<Sleeper>>,
}

impl<H> Future for Sleep<'_, H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.agenda.now() >= self.due {
            return Poll::Ready(());
        }
        match &self.sleeper {
            Some(sleeper) => {
                let mut waker = sleeper.waker.lock().unwrap_or_else(PoisonError::into_inner);
                if sleeper.has_come.load(Ordering::SeqCst) {
                    return Poll::Ready(());
                }
                waker.clone_from(context.waker());
            }
            None => {
                let waker = Mutex::new(context.waker().clone());
                let sleeper =
                    Arc::new(Sleeper { program: self.program, has_come: AtomicBool::new(false), waker });
                self.agenda.put(self.due, Due::Wake(sleeper.clone()));
                self.sleeper = Some(sleeper);
            }
        }
        Poll::Pending
    }
}
