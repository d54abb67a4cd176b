use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::domain::{RowValues, ViewSchema};
use crate::ports::{LeaseTerm, ViewStop};
use crate::words::limits::PARKED_REASON_BYTES_MAX;
use crate::words::row_schema::check_key;
use crate::words::{
    Checkpoint, Error, EventId, Position, RecordedEvent, StreamName, TenantId, Value, Version,
};

/// The address of a row in a view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowAddress {
    /// Its owner.
    pub tenant: TenantId,
    /// Its key: 1 to [`ROW_KEY_BYTES_MAX`](crate::words::limits::ROW_KEY_BYTES_MAX) bytes.
    pub key: String,
}

impl RowAddress {
    /// Checks the key.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is empty, too long or holds NUL.
    pub fn validate(&self) -> Result<(), Error> {
        check_key(&self.key)
    }
}

/// One change to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// Writes the whole row, new or not.
    Upsert(RowAddress, RowValues),
    /// Writes some columns of a row that exists; a row that does not is [`Error::NotFound`].
    Patch(RowAddress, Vec<(String, Value)>),
    /// Removes the row, if it is there.
    Delete(RowAddress),
}

impl RowChange {
    /// The row it is about.
    #[must_use]
    pub fn address(&self) -> &RowAddress {
        match self {
            Self::Upsert(address, _) | Self::Patch(address, _) | Self::Delete(address) => address,
        }
    }
}

/// An event that a view could not take and has passed over. It waits for a rebuild by a definition that
/// can take it; the rows of its tenant lack it until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEvent {
    /// Whose event it is.
    pub tenant: TenantId,
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its version there.
    pub version: Version,
    /// Its id.
    pub event_id: EventId,
    /// Why the view could not take it: at most [`PARKED_REASON_BYTES_MAX`] bytes, without control characters.
    pub reason: String,
}

impl ParkedEvent {
    /// Parks an event, with as much of the reason as is kept.
    #[must_use]
    pub fn new(event: &RecordedEvent, reason: &str) -> Self {
        let mut reason = reason.replace(char::is_control, "\u{fffd}");
        reason.truncate(reason.floor_char_boundary(PARKED_REASON_BYTES_MAX));
        Self {
            tenant: event.tenant.clone(),
            position: event.position,
            stream: event.stream.clone(),
            version: event.version,
            event_id: event.event_id,
            reason,
        }
    }
}

/// Changes that are stored together with the checkpoint they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewBatch {
    /// Where the view must be now.
    pub from: Checkpoint,
    /// Where it is afterwards.
    pub to: Checkpoint,
    /// At most one change per row.
    pub changes: Vec<RowChange>,
    /// Events between the two places that the view has passed over.
    pub parked: Vec<ParkedEvent>,
    /// The lease it is stored under; none where nobody asks for one.
    pub lease: Option<LeaseTerm>,
    /// Why the view does not go on from here; none where it does.
    pub stop: Option<ViewStop>,
}

impl ViewBatch {
    /// Changes that lead from one place to the next, under no lease and with nothing parked.
    #[must_use]
    pub fn new(from: Checkpoint, to: Checkpoint, changes: Vec<RowChange>) -> Self {
        Self { from, to, changes, parked: Vec::new(), lease: None, stop: None }
    }

    /// Adds the events that were passed over.
    #[must_use]
    pub fn with_parked(mut self, parked: Vec<ParkedEvent>) -> Self {
        self.parked = parked;
        self
    }

    /// Sets the lease it is stored under.
    #[must_use]
    pub fn with_lease(mut self, lease: Option<LeaseTerm>) -> Self {
        self.lease = lease;
        self
    }

    /// Says why the view does not go on from here.
    #[must_use]
    pub fn with_stop(mut self, stop: Option<ViewStop>) -> Self {
        self.stop = stop;
        self
    }

    /// Checks everything that can be checked without the table. Adapters call it first.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column, or the row that is changed twice.
    pub fn validate(&self, schema: &ViewSchema) -> Result<(), Error> {
        let mut seen = HashSet::with_capacity(self.changes.len());
        for change in &self.changes {
            if !seen.insert(change.address()) {
                let key = &change.address().key;
                return Err(Error::invalid(format!("row {key:?} is changed twice in one batch")));
            }
            match change {
                RowChange::Upsert(address, values) => schema.check_row(&address.key, values)?,
                RowChange::Patch(_, patch) => {
                    for (name, value) in patch {
                        schema.check_value(schema.column(name)?, value)?;
                    }
                }
                RowChange::Delete(_) => {}
            }
        }
        Ok(())
    }
}
