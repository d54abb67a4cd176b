//! Units of entities on their way to the disk, in the transaction of a group commit.

use tokio::sync::oneshot;
use underlay_core::Error;
use underlay_core::adapter::Queued;

/// What a unit is answered, once it is durable.
pub(crate) type UnitAnswer = Result<(), Error>;

/// A unit that waits, with the place of its answer. It waits as a commit without events, so that the units of tenants
/// take turns as commits do.
pub(crate) type Unit = Queued<oneshot::Sender<UnitAnswer>>;

/// Units whose callers wait. Dropped without an answer, by a panic or an early return, it gives the one that is true.
pub(crate) struct UnitFlight {
    pub(crate) units: Vec<Unit>,
    /// Why nobody would know what became of them, if they were given up now.
    pub(crate) in_doubt: Option<String>,
}

impl UnitFlight {
    pub(crate) fn new(units: Vec<Unit>) -> Self {
        Self { units, in_doubt: None }
    }

    /// Gives each unit its own answer, in their order.
    pub(crate) fn answer_each(mut self, answers: Vec<UnitAnswer>) {
        for (unit, answer) in self.units.drain(..).zip(answers) {
            // A caller that has gone away needs no answer.
            unit.reply.send(answer).ok();
        }
    }

    /// Answers every unit.
    pub(crate) fn answer_all(&mut self, answer: impl Fn() -> UnitAnswer) {
        for unit in self.units.drain(..) {
            unit.reply.send(answer()).ok();
        }
    }
}

impl Drop for UnitFlight {
    fn drop(&mut self) {
        let in_doubt = self.in_doubt.take();
        self.answer_all(|| {
            Err(match &in_doubt {
                Some(reason) => Error::unit_uncertain(reason),
                None => Error::unavailable("the writer of this store has ended"),
            })
        });
    }
}
