//! What this process has seen of the log, and whether it is still there.
//!
//! Whoever remembers states relies on the log they were read from. Where an older copy of the database
//! is put in its place under a running process, versions come to the same numbers by other events, and
//! no expectation would notice. So the store remembers two places: the last it has seen, and the last
//! that was there when it looked. At every look at the head of the log, and before anything is written
//! on a new connection, both must hold the same events as before. Behind a pooler the server can be another
//! one with the next call, so every batch names the last place too, and the function that writes it looks
//! there under the lock of the log. Where a place does not hold its event, nothing more is written until the
//! process is started again.
//!
//! Work is known by its place, which follows from the number of its commit. Another log gives the same numbers
//! to other commits, so whoever settles work or tells how far it has come names the last commit whose work this
//! process has read, and the database looks whether it has that number.
//!
//! A standby lags behind, and proves nothing: only what a primary says is judged, see
//! [`Sessions`](crate::connections::session::Sessions). One that lacked the end of the log and was promoted is a
//! primary, and its log is an older copy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_postgres::Row;
use underlay_core::adapter::stored_number;
use underlay_core::reasons::OLDER_COPY;
use underlay_core::{CommitId, Error, EventId, Position, WorkPlace};
use uuid::Uuid;

use crate::error::Failure;

/// An event at its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: i64,
    pub(crate) event: Uuid,
}

/// A commit that sent work on, by its number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) sequence: i64,
    pub(crate) commit: Uuid,
}

/// The places this process relies on.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    /// The last that was there when it was looked for.
    found: Option<Place>,
    /// The last that was read or written; never looked for again, it may be of another log.
    noted: Option<Place>,
    /// The last commit whose work was read.
    sender: Option<Sender>,
    replaced: bool,
}

impl Place {
    pub(crate) fn new(position: Position, event: EventId) -> Self {
        Self { position: stored_number(position.number()), event: event.0 }
    }
}

impl Seen {
    /// Notes an event that was read, or written.
    pub(crate) fn note(&self, place: Place) {
        let mut places = self.lock();
        if places.noted.is_none_or(|noted| noted.position < place.position) {
            places.noted = Some(place);
        }
    }

    /// Notes a commit whose work was read.
    pub(crate) fn note_sender(&self, place: WorkPlace, commit: CommitId) {
        let sequence = stored_number(place.number() / WorkPlace::of(1, 0).number());
        let mut places = self.lock();
        if places.sender.is_none_or(|sender| sender.sequence < sequence) {
            places.sender = Some(Sender { sequence, commit: commit.0 });
        }
    }

    /// The last commit whose work was read.
    pub(crate) fn sender(&self) -> Option<Sender> {
        self.lock().sender
    }

    /// Takes in that a commit whose work was read is not in the log that was about to be worked on. Nothing was
    /// done.
    pub(crate) fn missing_sender(&self, sender: Sender) -> Failure {
        tracing::error!(sequence = sender.sequence, "this is an older copy of the log");
        self.lock().replaced = true;
        replaced()
    }

    /// The place that whoever writes names: the last there is. Where that is in a log, the others are.
    pub(crate) fn last(&self) -> Option<Place> {
        self.places().into_iter().max_by_key(|place| place.position)
    }

    /// Takes in that a place is not in the log that was about to be written. Nothing was.
    pub(crate) fn missing(&self, place: Place) -> Failure {
        self.lock().replace(place);
        replaced()
    }

    /// The places to look for.
    pub(crate) fn places(&self) -> Vec<Place> {
        let places = self.lock();
        places.found.into_iter().chain(places.noted).collect()
    }

    /// Takes in what was found at these places, each by the rows of its own answer, and at the end of
    /// the log, all at one moment.
    ///
    /// # Errors
    /// Where the log is another.
    pub(crate) fn compare(
        &self,
        looked_for: &[Place],
        answers: &[Vec<Row>],
        head: Option<Place>,
    ) -> Result<(), Failure> {
        let mut places = self.lock();
        for (place, rows) in looked_for.iter().zip(answers) {
            let there: Option<Uuid> = rows.first().map(|row| row.try_get(0)).transpose()?;
            if there != Some(place.event) {
                places.replace(*place);
            }
        }
        if !places.replaced {
            places.found = head;
        }
        drop(places);
        self.check()
    }

    /// Refuses to go on with another log.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.lock().replaced { Err(replaced()) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Each change is a plain one, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn replace(&mut self, missing: Place) {
        self.replaced = true;
        tracing::error!(position = missing.position, "this is an older copy of the log");
    }
}

fn replaced() -> Failure {
    Failure::Answer(Error::unavailable(OLDER_COPY))
}
