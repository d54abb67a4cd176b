use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::{Aggregate, AggregateState, Context, Outgoing, Refusal};
use crate::words::limits::COMMIT_STREAMS_MAX;
use crate::words::{
    Error, Expectation, ExpectedVersion, NewEvent, NewWork, StreamName, StreamWrite, Version,
};

/// A decision over several streams, stored in one commit. Its functions are pure.
///
/// Its serde form is the body of a request. When typed code calls it, a repeat must match that form
/// ([`Asked::typed`](crate::domain::Asked::typed)): an optional field may be added, and one that is `None` is
/// as if it was not there.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operation",
    label = "implement `Operation`: `NAME`, `Refusal`, `reads` and `decide`, and put `#[underlay::value]` on the struct"
)]
pub trait Operation: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its name in addresses.
    const NAME: &'static str;
    /// Who comes in from outside needs one of these roles; none are needed where there are none. The
    /// edge looks at them, typed code does not.
    const ROLES: &'static [&'static str] = &[];
    /// The ways it can say no.
    type Refusal: Refusal;

    /// Names the streams it decides over.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an id cannot be part of a stream name.
    fn reads(&self, reads: &mut Reads) -> Result<(), Error>;

    /// Appends to the streams it named. The commit expects the version of every one of them, even of those
    /// it only looked at.
    ///
    /// # Errors
    /// The refusal; what was appended until then is forgotten.
    fn decide(&self, streams: &mut Streams, context: &Context) -> Result<(), Self::Refusal>;
}

/// The streams a decision is over, by name: at most [`COMMIT_STREAMS_MAX`].
#[derive(Debug, Default)]
pub struct Reads {
    streams: BTreeMap<StreamName, AggregateState>,
    /// Whether one more was asked for than a commit can expect something of.
    has_too_many: bool,
}

impl Reads {
    /// Names the stream of an aggregate. Naming a stream twice is the same as naming it once.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the id's text cannot be part of a stream name, or with the name of the
    /// limit: the command is refused then, whatever becomes of the error, and no stream is loaded.
    pub fn stream<A: Aggregate>(&mut self, id: &A::Id) -> Result<(), Error> {
        let name = A::stream(id)?;
        if self.streams.len() >= COMMIT_STREAMS_MAX && !self.streams.contains_key(&name) {
            self.has_too_many = true;
        }
        self.validate()?;
        self.streams.entry(name).or_insert_with(AggregateState::new::<A>);
        Ok(())
    }

    /// For the engine: refuses what no commit can hold, before anything is loaded.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the name of the limit.
    pub fn validate(&self) -> Result<(), Error> {
        if self.has_too_many {
            return Err(Error::invalid(format!(
                "a decision over more than COMMIT_STREAMS_MAX = {COMMIT_STREAMS_MAX} streams"
            )));
        }
        Ok(())
    }

    /// For the engine: the streams with their states, to be brought up to date.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&StreamName, &mut AggregateState)> {
        self.streams.iter_mut()
    }

    /// For the engine: what to decide over. States are shared, not copied.
    #[must_use]
    pub fn streams(&self) -> Streams {
        let stream = |(name, state): (&StreamName, &AggregateState)| {
            (name.clone(), Stream { read: state.version(), state: state.clone(), appended: Vec::new() })
        };
        Streams { streams: self.streams.iter().map(stream).collect(), work: Vec::new(), failure: None }
    }
}

#[derive(Debug)]
struct Stream {
    read: Version,
    state: AggregateState,
    appended: Vec<NewEvent>,
}

/// The streams a decision is over, with their states, and what it appends to them.
#[derive(Debug)]
pub struct Streams {
    streams: BTreeMap<StreamName, Stream>,
    work: Vec<NewWork>,
    failure: Option<Error>,
}

/// What a decision came to.
#[derive(Debug)]
pub struct Decided {
    /// Streams to append to.
    pub writes: Vec<StreamWrite>,
    /// Streams only read.
    pub expectations: Vec<Expectation>,
    /// What is sent on, in order.
    pub work: Vec<NewWork>,
    /// The states of the streams, with what was appended.
    pub states: Vec<(StreamName, AggregateState)>,
}

impl Streams {
    /// The state of a stream, with what was appended to it here.
    ///
    /// # Panics
    /// Where [`Operation::reads`] did not name the stream: a bug in the operation.
    #[must_use]
    pub fn state<A: Aggregate>(&self, id: &A::Id) -> &A {
        let stream = A::stream(id).ok().and_then(|name| self.streams.get(&name));
        match stream.and_then(|stream| stream.state.get::<A>()) {
            Some(state) => state,
            None => panic!("the operation decides over {}-{id}, which its `reads` did not name", A::CATEGORY),
        }
    }

    /// The version of a stream before this decision: 0 where it has no events.
    #[must_use]
    pub fn version<A: Aggregate>(&self, id: &A::Id) -> Version {
        let stream = A::stream(id).ok().and_then(|name| self.streams.get(&name));
        stream.map_or(Version::NONE, |stream| stream.read)
    }

    /// Appends an event to a stream and folds it into its state.
    ///
    /// # Panics
    /// Where [`Operation::reads`] did not name the stream: a bug in the operation.
    pub fn append<A: Aggregate>(&mut self, id: &A::Id, event: A::Event) {
        let stream = A::stream(id).ok().and_then(|name| self.streams.get_mut(&name));
        let Some(stream) = stream.filter(|stream| stream.state.get::<A>().is_some()) else {
            panic!("the operation appends to {}-{id}, which its `reads` did not name", A::CATEGORY);
        };
        let bytes = match NewEvent::encode(&event) {
            Ok(encoded) => {
                let bytes = encoded.payload.bytes();
                stream.appended.push(encoded);
                bytes
            }
            Err(error) => {
                self.failure = Some(error);
                0
            }
        };
        stream.state.apply::<A>(&event, bytes);
    }

    /// Sends something on with the events.
    pub fn send(&mut self, work: impl Into<Outgoing>) {
        match work.into().into_work() {
            Ok(work) => self.work.push(work),
            Err(error) => self.failure = Some(error),
        }
    }

    /// For the engine: what to write, and what to expect of the streams only read.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an appended event, or what is sent on, has no JSON form.
    pub fn decided(self) -> Result<Decided, Error> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let mut decided =
            Decided { writes: Vec::new(), expectations: Vec::new(), work: self.work, states: Vec::new() };
        for (stream, Stream { read, state, appended }) in self.streams {
            let expected = ExpectedVersion::Exact(read);
            decided.states.push((stream.clone(), state));
            if appended.is_empty() {
                decided.expectations.push(Expectation { stream, expected });
            } else {
                decided.writes.push(StreamWrite { stream, expected, events: appended });
            }
        }
        Ok(decided)
    }
}
