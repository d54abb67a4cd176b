use std::any::Any;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Aggregate, Context, DecodeError, Error, Event, Expectation, ExpectedVersion, NewEvent, RecordedEvent,
    Refusal, StreamName, StreamWrite, Version,
};

/// A decision over several streams, stored in one commit. Pure.
///
/// Its serde form is its content: the body of a request, and what a repeat must match.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operation",
    label = "implement `Operation`: `NAME`, `Refusal`, `reads` and `decide`, and derive Serialize and Deserialize"
)]
pub trait Operation: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its name in addresses.
    const NAME: &'static str;
    /// What it can say no with.
    type Refusal: Refusal;

    /// Names the streams it decides over.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an id cannot be part of a stream name.
    fn reads(&self, reads: &mut Reads) -> Result<(), Error>;

    /// Appends to the streams it named. The commit expects the version of every one of them, also
    /// of those it only looked at.
    ///
    /// # Errors
    /// The refusal; what was appended until then is forgotten.
    fn decide(&self, streams: &mut Streams, context: &Context) -> Result<(), Self::Refusal>;
}

/// The state of some aggregate, with its type erased.
trait State: Any + Send + Sync {
    fn evolve(&mut self, record: &RecordedEvent) -> Result<(), DecodeError>;
    fn clone_box(&self) -> Box<dyn State>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

struct StateOf<A>(A);

impl<A: Aggregate> State for StateOf<A> {
    fn evolve(&mut self, record: &RecordedEvent) -> Result<(), DecodeError> {
        self.0.evolve(&decode::<A>(record)?);
        Ok(())
    }
    fn clone_box(&self) -> Box<dyn State> {
        Box::new(Self(self.0.clone()))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

fn decode<A: Aggregate>(record: &RecordedEvent) -> Result<A::Event, DecodeError> {
    let (event_type, version) = (record.event_type.as_str(), record.schema_version.0);
    A::Event::decode(event_type, version, record.payload.as_str())?.ok_or_else(|| DecodeError {
        event_type: event_type.to_owned(),
        schema_version: version,
        reason: format!("aggregate {} does not know this type; was it removed from the code?", A::CATEGORY),
    })
}

struct StreamState {
    version: Version,
    state: Box<dyn State>,
    appended: Vec<NewEvent>,
}

/// The streams an operation decides over, by name.
#[derive(Default)]
pub struct Reads(BTreeMap<StreamName, StreamState>);

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Reads {
    /// Names the stream of an aggregate. Naming it twice is naming it once.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the id's text cannot be part of a stream name.
    pub fn stream<A: Aggregate>(&mut self, id: &A::Id) -> Result<(), Error> {
        self.0.entry(A::stream(id)?).or_insert_with(|| StreamState {
            version: Version::NONE,
            state: Box::new(StateOf(A::default())),
            appended: Vec::new(),
        });
        Ok(())
    }

    /// For the engine: the names, each with the version its state has come to.
    pub fn names(&self) -> impl Iterator<Item = (&StreamName, Version)> {
        self.0.iter().map(|(name, stream)| (name, stream.version))
    }

    /// For the engine: folds the next event of a stream into its state.
    ///
    /// # Errors
    /// [`DecodeError`] where the event cannot be read.
    pub fn evolve(&mut self, record: &RecordedEvent) -> Result<(), DecodeError> {
        if let Some(stream) = self.0.get_mut(&record.stream) {
            stream.state.evolve(record)?;
            stream.version = record.version;
        }
        Ok(())
    }

    /// For the engine: a copy to decide over.
    #[must_use]
    pub fn streams(&self) -> Streams {
        let copy = |(name, stream): (&StreamName, &StreamState)| {
            let state = StreamState {
                version: stream.version,
                state: stream.state.clone_box(),
                appended: Vec::new(),
            };
            (name.clone(), state)
        };
        Streams { streams: self.0.iter().map(copy).collect(), failure: None }
    }
}

/// The streams an operation decides over, with their states, and what it appends to them.
pub struct Streams {
    streams: BTreeMap<StreamName, StreamState>,
    failure: Option<Error>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.streams.iter().map(|(name, stream)| (name, stream.version))).finish()
    }
}

impl Streams {
    /// The state of a stream, with what was appended to it here.
    ///
    /// # Panics
    /// Where [`Operation::reads`] did not name the stream: a bug in the operation.
    #[must_use]
    pub fn state<A: Aggregate>(&self, id: &A::Id) -> &A {
        let name = A::stream(id).ok();
        let stream = name.and_then(|name| self.streams.get(&name));
        let state = stream.and_then(|stream| stream.state.as_any().downcast_ref::<StateOf<A>>());
        match state {
            Some(state) => &state.0,
            None => panic!("the operation decides over {}-{id}, which its `reads` did not name", A::CATEGORY),
        }
    }

    /// The version of a stream before this operation: 0 where it has no events.
    #[must_use]
    pub fn version<A: Aggregate>(&self, id: &A::Id) -> Version {
        let name = A::stream(id).ok();
        name.and_then(|name| self.streams.get(&name)).map_or(Version::NONE, |stream| stream.version)
    }

    /// Appends an event to a stream and folds it into its state.
    ///
    /// # Panics
    /// Where [`Operation::reads`] did not name the stream: a bug in the operation.
    pub fn append<A: Aggregate>(&mut self, id: &A::Id, event: A::Event) {
        let name = A::stream(id).ok();
        let stream = name.and_then(|name| self.streams.get_mut(&name));
        let Some(stream) = stream else {
            panic!("the operation appends to {}-{id}, which its `reads` did not name", A::CATEGORY);
        };
        match NewEvent::encode(&event) {
            Ok(encoded) => stream.appended.push(encoded),
            Err(error) => self.failure = Some(error),
        }
        if let Some(state) = stream.state.as_any_mut().downcast_mut::<StateOf<A>>() {
            state.0.evolve(&event);
        }
    }

    /// For the engine: what to write, and what to expect of the streams only read.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an appended event has no JSON form.
    pub fn into_commit_parts(self) -> Result<(Vec<StreamWrite>, Vec<Expectation>), Error> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let (mut writes, mut expectations) = (Vec::new(), Vec::new());
        for (stream, state) in self.streams {
            let expected = ExpectedVersion::Exact(state.version);
            if state.appended.is_empty() {
                expectations.push(Expectation { stream, expected });
            } else {
                writes.push(StreamWrite { stream, expected, events: state.appended });
            }
        }
        Ok((writes, expectations))
    }
}
