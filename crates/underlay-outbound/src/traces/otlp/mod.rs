//! Brings spans to a collector: OTLP over HTTP, in its binary form.
//!
//! ```text
//!  record ─► queue, SPANS_WAITING_MAX ─► a thread ─► a batch ─► POST ─► taken
//!              │                                        │ ▲       ├────► refused: lost, and counted
//!              └── full: left out, and counted          └─┴───────┴────► away or busy: again, after a pause
//! ```
//!
//! Nobody waits for a span to be sent. A batch is sent once it is full, or its first span has waited for
//! [`BATCH_WAIT_MAX`]. While a collector is away, its batch is sent again [`RETRIES_MAX`] times, the queue fills, and
//! what comes then is left out. What was lost is told in the log, at most once every [`TROUBLE_PAUSE`].

mod collector;
mod message;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use underlay_core::{Clock, Error, Span, Spans, Timestamp};

use self::collector::{Collector, NotTaken};
use self::message::Resource;
use super::OtlpConfig;

/// Spans that wait to be sent.
const SPANS_WAITING_MAX: usize = 8_192;
/// Spans in one request.
const BATCH_SPANS_MAX: usize = 512;
/// How long a span waits for others to be sent with.
const BATCH_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often a batch is sent again that was not taken.
const RETRIES_MAX: u32 = 5;
/// The first pause before that; it doubles from there.
const RETRY_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause, whatever a collector asks for.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the end of a program may wait for its last spans.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// How often trouble is told in the log.
const TROUBLE_PAUSE: Duration = Duration::from_secs(60);

/// What the thread is told.
enum Told {
    Span(Box<Span>),
    /// To say when all spans before this were sent.
    Flush(SyncSender<()>),
}

/// Takes spans, and has a thread send them.
pub(super) struct Exporter {
    queue: SyncSender<Told>,
    left_out: Arc<AtomicU64>,
    ending: Arc<Ending>,
}

/// Whether nothing is to be waited for any more.
#[derive(Default)]
struct Ending {
    has_come: Mutex<bool>,
    came: Condvar,
}

impl Exporter {
    pub(super) fn start(address: String, config: &OtlpConfig) -> Result<Self, Error> {
        let (queue, told) = sync_channel(SPANS_WAITING_MAX);
        let (left_out, ending) = (Arc::new(AtomicU64::new(0)), Arc::new(Ending::default()));
        let sending = Sending {
            collector: Collector::new(address, config)?,
            resource: Resource::new(config)?,
            clock: config.clock.clone(),
            left_out: left_out.clone(),
            ending: ending.clone(),
            lost: 0,
            told_at: None,
        };
        let thread = std::thread::Builder::new().name("spans".to_owned());
        let begun = thread.spawn(move || sending.run(&told));
        begun.map_err(|error| Error::backend("starting the thread that sends spans", error))?;
        Ok(Self { queue, left_out, ending })
    }

    /// Sends what is left, once, and waits at most [`FLUSH_MAX`] for it.
    pub(super) fn flush(&self) {
        *self.ending.has_come.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.came.notify_all();
        let (flushed, sent) = sync_channel(1);
        // Where there is no room, the collector does not take what there is.
        if self.queue.try_send(Told::Flush(flushed)).is_ok() {
            let _in_time = sent.recv_timeout(FLUSH_MAX);
        }
    }
}

impl Spans for Exporter {
    fn record(&self, span: Span) {
        match self.queue.try_send(Told::Span(Box::new(span))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Ending {
    /// Lets time pass, as long as the end has not come.
    fn pause(&self, pause: Duration) {
        let has_come = self.has_come.lock().unwrap_or_else(PoisonError::into_inner);
        let _over = self.came.wait_timeout_while(has_come, pause, |has_come| !*has_come);
    }

    fn has_come(&self) -> bool {
        *self.has_come.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread has in hand.
struct Sending {
    collector: Collector,
    resource: Resource,
    clock: Arc<dyn Clock>,
    left_out: Arc<AtomicU64>,
    ending: Arc<Ending>,
    /// Spans that were not taken, and were not told of yet.
    lost: u64,
    told_at: Option<Timestamp>,
}

impl Sending {
    fn run(mut self, told: &Receiver<Told>) {
        while let Ok(first) = told.recv() {
            let (batch, flushed) = self.batch(first, told);
            if !batch.is_empty() {
                self.send(&batch);
            }
            if let Some(flushed) = flushed {
                let _waits_no_more = flushed.try_send(());
            }
        }
    }

    /// The first span with those that come soon after it; and who waits for them, where somebody does.
    fn batch(&self, first: Told, told: &Receiver<Told>) -> (Vec<Span>, Option<SyncSender<()>>) {
        let mut batch = Vec::new();
        let mut next = Some(first);
        let begun = self.clock.now();
        loop {
            match next.take() {
                Some(Told::Span(span)) => batch.push(*span),
                Some(Told::Flush(flushed)) => return (batch, Some(flushed)),
                None => return (batch, None),
            }
            let waited = Duration::try_from(self.clock.now().duration_since(begun)).unwrap_or_default();
            let left = BATCH_WAIT_MAX.saturating_sub(waited);
            if batch.len() >= BATCH_SPANS_MAX || left.is_zero() {
                return (batch, None);
            }
            // Nobody is there any more, or nothing came in time: what there is goes now.
            next = told.recv_timeout(left).ok();
        }
    }

    /// Sends a batch, again and again where that may help.
    fn send(&mut self, batch: &[Span]) {
        let body = self.resource.request(batch);
        let mut retries = 0;
        let trouble = loop {
            match self.collector.send(&body) {
                Ok(()) => break None,
                Err(NotTaken::Rejected { count, reason }) => break Some((count, reason)),
                Err(NotTaken::Passing { reason, after }) => {
                    if retries >= RETRIES_MAX || self.ending.has_come() {
                        break Some((batch.len() as u64, reason));
                    }
                    // Those who look after a service hear of it before anything is lost.
                    self.tell(&reason);
                    let doubled = RETRY_PAUSE_MIN.saturating_mul(1 << retries);
                    self.ending.pause(after.unwrap_or(doubled).min(RETRY_PAUSE_MAX));
                    retries += 1;
                }
                Err(NotTaken::Refused { reason }) => break Some((batch.len() as u64, reason)),
            }
        };
        if let Some((count, reason)) = trouble {
            self.lost += count;
            self.tell(&reason);
        } else if self.left_out.load(Ordering::Relaxed) > 0 {
            self.tell("there were more than could be sent");
        }
    }

    /// Tells of trouble, once in a while.
    fn tell(&mut self, reason: &str) {
        let now = self.clock.now();
        let is_told = |told_at: Timestamp| {
            let since = Duration::try_from(now.duration_since(told_at));
            since.is_ok_and(|since| since < TROUBLE_PAUSE)
        };
        if self.told_at.is_some_and(is_told) {
            return;
        }
        self.told_at = Some(now);
        let (left_out, lost) = (self.left_out.swap(0, Ordering::Relaxed), std::mem::take(&mut self.lost));
        let collector = self.collector.address();
        tracing::warn!(collector, left_out, lost, reason, "spans do not reach the collector as they should");
    }
}
