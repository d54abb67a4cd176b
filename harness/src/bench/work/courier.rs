//! The messages of the benchmark, and who takes them: a handler that checks what the port promises of order, and
//! does nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use figures::Booking;
use tokio::sync::{Notify, watch};
use underlay_core::{Attempts, Delivery, Handled, Handler, HandlerError, NewWork, Outgoing, TenantId};

use crate::Result;
use crate::bench::account::AccountEvent;

/// Tenants that messages belong to, in turn.
pub(super) const TENANTS: u64 = 8;
/// Keys of all tenants together. Messages of one key are taken one at a time, in order.
pub(super) const LINES: u64 = 8_000;
/// An attempt that waits for the start of a run is not given up.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The tenant of a line.
pub(super) fn tenant(line: u64) -> Result<TenantId> {
    Ok(TenantId::new(format!("bench-{}", line % TENANTS))?)
}

/// The message of a number: its tenant, and the work that carries it. Its line is the number, past which the lines
/// begin again.
pub(super) fn message(number: u64) -> Result<(TenantId, NewWork)> {
    let line = number % LINES;
    let event = AccountEvent::of(Booking { account: line, number });
    let work = Outgoing::message::<Courier>(line.to_string(), &event).into_work()?;
    Ok((tenant(line)?, work))
}

/// What is seen of the messages of a run.
pub(super) struct Round {
    /// Whether messages may be handled. They wait at it, so that a backlog is whole before it is begun.
    gate: watch::Sender<bool>,
    /// Of each line the number that was handled last, and one more.
    last: Vec<AtomicU64>,
    handled: AtomicU64,
    misordered: AtomicU64,
    /// How long each takes.
    pause: Duration,
    /// When each of these numbers was begun; `None` where nobody wants to know.
    begun: Option<Mutex<HashMap<u64, Instant>>>,
    /// The number of messages that is waited for, and who says that it is reached.
    wanted: AtomicU64,
    reached: Notify,
}

impl Round {
    /// Messages are handled at once.
    pub(super) fn open() -> Self {
        Self {
            gate: watch::Sender::new(true),
            last: (0..LINES).map(|_| AtomicU64::new(0)).collect(),
            handled: AtomicU64::new(0),
            misordered: AtomicU64::new(0),
            pause: Duration::ZERO,
            begun: None,
            wanted: AtomicU64::new(u64::MAX),
            reached: Notify::new(),
        }
    }

    /// Messages wait until the round is opened.
    pub(super) fn closed() -> Self {
        Self { gate: watch::Sender::new(false), ..Self::open() }
    }

    /// Each message takes a time.
    pub(super) fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Remembers when messages were begun.
    pub(super) fn timed(self) -> Self {
        Self { begun: Some(Mutex::default()), ..self }
    }

    pub(super) fn let_go(&self) {
        self.gate.send_replace(true);
    }

    /// How many messages were handled, repeats left out.
    pub(super) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    /// Waits until so many messages were handled. One at a time waits.
    ///
    /// # Errors
    /// Where one of them was handled before another of its line that was sent first.
    pub(super) async fn wait_for(&self, count: u64) -> Result<()> {
        self.wanted.store(count, Ordering::SeqCst);
        while self.handled.load(Ordering::SeqCst) < count {
            self.reached.notified().await;
        }
        match self.misordered.load(Ordering::Relaxed) {
            0 => Ok(()),
            wrong => Err(format!("{wrong} messages were handled out of the order of their keys").into()),
        }
    }

    /// When the message of a number was begun; it is told once.
    pub(super) fn take_begun(&self, number: u64) -> Option<Instant> {
        self.begun.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }

    fn take(&self, number: u64) {
        let last = &self.last[(number % LINES) as usize];
        // One of a line at a time: nobody else writes here meanwhile.
        match last.load(Ordering::Relaxed) {
            seen if seen <= number => {
                last.store(number + 1, Ordering::Relaxed);
                let handled = self.handled.fetch_add(1, Ordering::SeqCst) + 1;
                if handled >= self.wanted.load(Ordering::SeqCst) {
                    self.reached.notify_one();
                }
            }
            // A worker that lost its shard was not told that it had done this one.
            seen if seen == number + 1 => {}
            _ => {
                self.misordered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Takes messages.
pub(super) struct Courier(pub(super) Arc<Round>);

impl Handler for Courier {
    const NAME: &'static str = "courier";
    type Message = AccountEvent;

    fn attempts(&self) -> Attempts {
        Attempts { timeout: TIMEOUT, ..Attempts::default() }
    }

    async fn handle(
        &self,
        message: AccountEvent,
        _: &Delivery,
    ) -> std::result::Result<Handled, HandlerError> {
        let begun = Instant::now();
        let number = message.number().map_err(HandlerError::last)?;
        if !*self.0.gate.borrow() {
            self.0.gate.subscribe().wait_for(|open| *open).await.map_err(HandlerError::passing)?;
        }
        if let Some(times) = &self.0.begun {
            times.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert(begun);
        }
        if !self.0.pause.is_zero() {
            tokio::time::sleep(self.0.pause).await;
        }
        self.0.take(number);
        Ok(Handled::done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_comes_again_is_no_second_one_and_one_that_comes_late_is_seen() {
        let round = Round::open();
        for number in [0, 1, 0, LINES, 2 * LINES, LINES] {
            round.take(number);
        }
        assert_eq!(round.handled(), 4);
        assert_eq!(round.misordered.load(Ordering::Relaxed), 1, "the last one came after its successor");
    }

    #[test]
    fn every_tenant_has_as_many_lines() {
        let (tenant, work) = message(LINES + 3).unwrap();
        assert_eq!((tenant.as_str(), work.key.as_str()), ("bench-3", "3"));
        assert!(LINES.is_multiple_of(TENANTS));
    }
}
