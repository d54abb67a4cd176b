//! What is outside of the service: a gateway, an inbox, and a copy of the log. They are never killed, and know what they
//! were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::{HandlerError, RecordedEvent, Sink};

use super::mistakes::Mistake;
use super::network::Network;
use super::stage::Promise;

/// A tenant, and an order or an account of it.
type Place = (String, String);

/// What the gateway knows of a payment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charge {
    /// The keys that it was charged by.
    keys: BTreeSet<String>,
    /// What it said first.
    pub(crate) is_charged: Option<bool>,
    pub(crate) cents: i64,
}

#[derive(Debug, Default)]
struct Known {
    charges: BTreeMap<Place, Charge>,
    /// The last notice of each account that came in its order.
    notices: BTreeMap<Place, u64>,
    copied: u64,
    deliveries: u64,
    repeats: u64,
}

/// What is outside.
#[derive(Debug, Default)]
pub(crate) struct Outside(Mutex<Known>);

impl Outside {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the gateway knows of the payments.
    pub(crate) fn charges(&self) -> BTreeMap<Place, Charge> {
        self.known().charges.clone()
    }

    /// The last notice of an account.
    pub(crate) fn last_notice(&self, tenant: &str, account: &str) -> u64 {
        self.known().notices.get(&(tenant.to_owned(), account.to_owned())).copied().unwrap_or(0)
    }

    /// How far the copy has come.
    pub(crate) fn copied(&self) -> u64 {
        self.known().copied
    }

    /// Deliveries, and how many of them were repeats.
    pub(crate) fn deliveries(&self) -> (u64, u64) {
        let known = self.known();
        (known.deliveries, known.repeats)
    }
}

/// Whether the inbox never takes a notice: it becomes a dead letter, and a person discards it.
pub(crate) fn is_poison(number: u64) -> bool {
    number % 13 == 7
}

/// The notice after one, but for those that never arrive.
fn next_notice(last: u64) -> u64 {
    (last + 1..).find(|number| !is_poison(*number)).unwrap_or(u64::MAX)
}

/// The last notice of so many that can arrive.
pub(crate) fn last_notice_of(events: u64) -> u64 {
    (1..=events).rev().find(|number| !is_poison(*number)).unwrap_or(0)
}

/// The way of a program to the outside.
pub(crate) struct Line(pub(crate) Network);

impl Line {
    /// Charges a payment; whether it is charged.
    pub(crate) async fn charge(
        &self,
        tenant: &str,
        order: &str,
        cents: i64,
        key: &str,
    ) -> Result<bool, HandlerError> {
        let (stage, place) = (self.0.stage(), (tenant.to_owned(), order.to_owned()));
        self.0
            .outside("charge", || {
                let mut known = stage.outside.known();
                known.deliveries += 1;
                let charge = known.charges.entry(place.clone()).or_default();
                charge.keys.insert(key.to_owned());
                let keys = charge.keys.len();
                let is_repeat = charge.is_charged.is_some();
                let is_charged = *charge.is_charged.get_or_insert(cents % 5 != 0);
                charge.cents = cents;
                known.repeats += u64::from(is_repeat);
                drop(known);
                stage.tell("gateway", format_args!("charge {tenant} {order} {cents}: {is_charged}"));
                if keys > 1 {
                    stage.breach(
                        Promise::Once,
                        format_args!("payment {order} of {tenant} was sent by {keys} messages"),
                    );
                }
                is_charged
            })
            .await
    }

    /// Asks the gateway to let a payment be; whether it is charged.
    pub(crate) async fn let_be(&self, tenant: &str, order: &str) -> Result<bool, HandlerError> {
        let (stage, place) = (self.0.stage(), (tenant.to_owned(), order.to_owned()));
        self.0
            .outside("let-be", || {
                let is_charged = {
                    let mut known = stage.outside.known();
                    known.deliveries += 1;
                    *known.charges.entry(place.clone()).or_default().is_charged.get_or_insert(false)
                };
                stage.tell("gateway", format_args!("let {tenant} {order} be: {is_charged}"));
                is_charged
            })
            .await
    }

    /// Brings a notice.
    pub(crate) async fn notify(&self, tenant: &str, account: &str, number: u64) -> Result<(), HandlerError> {
        let (stage, place) = (self.0.stage(), (tenant.to_owned(), account.to_owned()));
        let taken = self.0.outside("notice", || {
            if is_poison(number) {
                return Err(HandlerError::last("the inbox takes no such notice"));
            }
            let mut known = stage.outside.known();
            known.deliveries += 1;
            let last = known.notices.entry(place.clone()).or_default();
            let next = next_notice(*last);
            let is_repeat = number <= *last;
            *last = number.max(*last);
            known.repeats += u64::from(is_repeat);
            drop(known);
            stage.tell("inbox", format_args!("{tenant} {account} {number}"));
            if !is_repeat && number != next {
                let what = format!("notice {number} of {account} of {tenant} came where {next} was the next");
                stage.breach(Promise::Order, what);
            }
            Ok(())
        });
        taken.await?
    }

    /// Where the pump brings the log.
    pub(crate) fn sink(self: &Arc<Self>) -> Copier {
        Copier(self.clone())
    }

    async fn copy(&self, positions: &[u64]) -> Result<(), HandlerError> {
        let stage = self.0.stage();
        self.0
            .outside("copy", || {
                let mut missed = None;
                let mut known = stage.outside.known();
                for position in positions {
                    if *position > known.copied + 1 {
                        missed = Some((known.copied, *position));
                    }
                    known.copied = known.copied.max(*position);
                }
                drop(known);
                let (first, last) = (positions.first().copied(), positions.last().copied());
                stage.tell("copy", format_args!("{} to {}", first.unwrap_or(0), last.unwrap_or(0)));
                if let Some((last, next)) = missed {
                    stage.breach(
                        Promise::NothingDropped,
                        format_args!("the pump brought position {next} after {last}"),
                    );
                }
            })
            .await
    }
}

/// Copies the log to the outside.
pub(crate) struct Copier(Arc<Line>);

#[async_trait]
impl Sink for Copier {
    async fn take(&self, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        let positions: Vec<u64> = events.iter().map(|event| event.position.number()).collect();
        if self.0.0.stage().mistake != Some(Mistake::CheckpointBeforeWork) {
            return self.0.copy(&positions).await;
        }
        let line = self.0.clone();
        tokio::spawn(async move {
            let clock = line.0.clock();
            loop {
                clock.sleep(Duration::from_millis(700)).await;
                if line.copy(&positions).await.is_ok() {
                    return;
                }
            }
        });
        Ok(())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(3)
    }
}
