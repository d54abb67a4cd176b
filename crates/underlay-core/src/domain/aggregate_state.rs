use std::any::Any;
use std::sync::Arc;

use crate::domain::{Aggregate, DecodeError};
use crate::words::limits::STATE_FOLDED_BYTES_MAX;
use crate::words::{RecordedEvent, Version};

/// The state of some aggregate at a version, with its type erased. A clone shares the state until
/// one of the two evolves.
#[derive(Clone)]
pub struct AggregateState {
    version: Version,
    /// Bytes of the events, or the snapshot, that it was made of.
    folded: usize,
    state: Arc<dyn Erased>,
}

trait Erased: Send + Sync {
    fn as_any(&self) -> &(dyn Any + Send + Sync);
    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync);
    /// Its own fields, and what it says it holds beside them.
    fn bytes(&self) -> (usize, Option<usize>);
    /// The state of a stream without events.
    fn restarted(&self) -> Arc<dyn Erased>;
    /// The state after stored events, as a new one.
    fn after(&self, records: &[RecordedEvent]) -> Result<Arc<dyn Erased>, DecodeError>;
}

struct Held<A>(A);

impl<A: Aggregate> Erased for Held<A> {
    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        &self.0
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        &mut self.0
    }

    fn bytes(&self) -> (usize, Option<usize>) {
        (size_of::<A>(), self.0.held_bytes())
    }

    fn restarted(&self) -> Arc<dyn Erased> {
        Arc::new(Self(A::default()))
    }

    fn after(&self, records: &[RecordedEvent]) -> Result<Arc<dyn Erased>, DecodeError> {
        let mut state = self.0.clone();
        for record in records {
            state.evolve(&decode::<A>(record)?);
        }
        Ok(Arc::new(Self(state)))
    }
}

fn decode<A: Aggregate>(record: &RecordedEvent) -> Result<A::Event, DecodeError> {
    record.decode()?.ok_or_else(|| DecodeError {
        event_type: record.event_type.as_str().to_owned(),
        schema_version: record.schema_version.0,
        reason: format!("aggregate {} does not know this type; was it removed from the code?", A::CATEGORY),
    })
}

impl AggregateState {
    /// The state of a stream without events.
    #[must_use]
    pub fn new<A: Aggregate>() -> Self {
        Self { version: Version::NONE, folded: 0, state: Arc::new(Held(A::default())) }
    }

    /// A state that was stored at a version, in so many bytes.
    #[must_use]
    pub fn restored<A: Aggregate>(state: A, version: Version, bytes: usize) -> Self {
        Self { version, folded: bytes, state: Arc::new(Held(state)) }
    }

    /// The same aggregate's state of a stream without events.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self { version: Version::NONE, folded: 0, state: self.state.restarted() }
    }

    /// How many events it has seen.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// About how many bytes it takes: its fields, and what [`Aggregate::held_bytes`] says; or else what was
    /// folded into it, up to [`STATE_FOLDED_BYTES_MAX`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        let (fields, held) = self.state.bytes();
        fields.saturating_add(held.unwrap_or(self.folded.min(STATE_FOLDED_BYTES_MAX)))
    }

    /// The state; `None` where it is another aggregate's.
    #[must_use]
    pub fn get<A: Aggregate>(&self) -> Option<&A> {
        self.state.as_any().downcast_ref()
    }

    /// Folds stored events into the state, in order.
    ///
    /// # Errors
    /// [`DecodeError`] where one cannot be read; the state stays as it was.
    pub fn evolve(&mut self, records: &[RecordedEvent]) -> Result<(), DecodeError> {
        let Some(last) = records.last() else { return Ok(()) };
        self.state = self.state.after(records)?;
        self.version = last.version;
        self.folded += records.iter().map(|record| record.payload.bytes()).sum::<usize>();
        Ok(())
    }

    /// Folds one new event of so many bytes into the state. Another aggregate's state stays as it was.
    pub fn apply<A: Aggregate>(&mut self, event: &A::Event, bytes: usize) {
        // In place where nobody shares the state: a decision that appends many events copies it once.
        let own = Arc::get_mut(&mut self.state).and_then(|state| state.as_any_mut().downcast_mut::<A>());
        if let Some(state) = own {
            state.evolve(event);
        } else if let Some(state) = self.get::<A>() {
            let mut state = state.clone();
            state.evolve(event);
            self.state = Arc::new(Held(state));
        } else {
            return;
        }
        self.version = self.version.plus(1);
        self.folded += bytes;
    }
}

impl std::fmt::Debug for AggregateState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AggregateState").field("version", &self.version).finish_non_exhaustive()
    }
}
