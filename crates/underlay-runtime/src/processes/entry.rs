//! A process with its types erased: it decodes, routes and takes steps, and a panic of it stays its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use underlay_core::{
    Attempts, CommandOutcome, DecodeError, Event, EventType, Fingerprint, Input, Json, LogFilter, OnFault,
    Process, ProcessStart, Recorded, RecordedEvent, SchemaShape, StepAction, StepContext, StreamName,
};

use super::definition::Definition;
use super::instance::{StepTaken, StoredState, stream_of};

/// What an instance is given, before its types are known.
pub(crate) enum Given<'a> {
    Event(&'a RecordedEvent),
    Outcome { name: &'a str, outcome: &'a CommandOutcome },
    Timer { name: &'a str },
}

/// What follows from an input, with the state as it is stored.
pub(crate) struct Taken {
    pub(crate) state: Option<StoredState>,
    pub(crate) actions: Vec<StepAction>,
}

/// Why a process cannot take an event, or a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Fault {
    pub(crate) reason: String,
    /// Whether another program may take it: it is of a newer version, or in an encoding that this one does not read.
    pub(crate) is_anothers: bool,
    /// Whether taking it again fails in the same way.
    pub(crate) is_final: bool,
}

impl Fault {
    fn last(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_anothers: false, is_final: true }
    }

    fn anothers(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_anothers: true, is_final: false }
    }

    /// What the step asks for cannot be stored.
    pub(crate) fn refused(reason: String) -> Self {
        Self::last(reason)
    }

    /// Only a bug gives an event without its record.
    pub(crate) fn missing() -> Self {
        Self::last("the event was not read")
    }

    /// A bug may depend on what a restart mends: memory that ran out, say.
    fn panicked(what: &str) -> Self {
        Self { reason: format!("{what} panicked"), is_anothers: false, is_final: false }
    }
}

/// What the engine knows of a process.
pub(crate) trait ProcessEntry: Send + Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> u32;
    fn starts(&self) -> ProcessStart;
    fn on_fault(&self) -> OnFault;
    fn attempts(&self) -> Attempts;
    fn definition(&self) -> Definition;
    fn state_schema(&self) -> Json;
    /// The events it wants.
    fn filter(&self) -> LogFilter;
    /// The instance that an event is for.
    fn route(&self, record: &RecordedEvent) -> Result<Option<String>, Fault>;
    /// Decodes an event of the stream of an instance; false where it is no step.
    fn decodes(&self, record: &RecordedEvent) -> Result<bool, DecodeError>;
    /// Whether a stored state can be read.
    fn check_state(&self, state: &StoredState) -> Result<(), Fault>;
    /// Takes a step.
    fn step(
        &self,
        state: Option<&StoredState>,
        given: &Given<'_>,
        context: &StepContext,
    ) -> Result<Taken, Fault>;
}

pub(crate) struct ProcessOf<P>(pub(crate) P);

impl<P: Process> ProcessOf<P> {
    fn state(state: &StoredState) -> Result<P::State, Fault> {
        let of = |reason: String| format!("the state of version {}: {reason}", state.version);
        if state.version > P::VERSION {
            let reason =
                format!("this program knows versions up to {}, a newer one takes the step", P::VERSION);
            return Err(Fault::anothers(of(reason)));
        }
        let json = state.json.clone();
        let read = guarded("lifting the state", || {
            if state.version == P::VERSION {
                json.decode().map_err(|error| error.to_string())
            } else {
                P::upcast(state.version, json)
            }
        })?;
        read.map_err(|reason| Fault::last(of(reason)))
    }

    fn event(record: &RecordedEvent) -> Result<Option<Recorded<P::Event>>, Fault> {
        let read = guarded("decoding", || record.decode::<P::Event>())?;
        let event = read.map_err(|error| decode_fault::<P>(record, &error))?;
        Ok(event.map(|event| Recorded { event, record: record.clone() }))
    }

    fn input(given: &Given<'_>) -> Result<Input<P::Event>, Fault> {
        Ok(match given {
            Given::Event(record) => match Self::event(record)? {
                Some(event) => Input::Event(event),
                // It was routed by a program that knows the type.
                None => {
                    let reason =
                        format!("process {} does not know event type {}", P::NAME, record.event_type);
                    return Err(Fault::anothers(reason));
                }
            },
            Given::Outcome { name, outcome } => Input::outcome(*name, (*outcome).clone()),
            Given::Timer { name } => Input::timer(*name),
        })
    }
}

fn decode_fault<P: Process>(record: &RecordedEvent, error: &DecodeError) -> Fault {
    let (event_type, version) = (record.event_type.as_str(), record.schema_version.0);
    let is_newer =
        P::Event::descriptors().iter().any(|known| known.name == event_type && known.version < version);
    if is_newer || !record.payload.is_plain() {
        return Fault::anothers(error.to_string());
    }
    Fault::last(error.to_string())
}

impl<P: Process> ProcessEntry for ProcessOf<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn version(&self) -> u32 {
        P::VERSION
    }

    fn starts(&self) -> ProcessStart {
        P::STARTS
    }

    fn on_fault(&self) -> OnFault {
        P::ON_FAULT
    }

    fn attempts(&self) -> Attempts {
        self.0.attempts()
    }

    fn definition(&self) -> Definition {
        let schema = P::state_schema();
        let shape = schema
            .decode()
            .map_or_else(|_| schema.as_str().to_owned(), |schema| SchemaShape::of(&schema).to_string());
        let mut event_types: Vec<String> =
            P::Event::descriptors().into_iter().map(|event| event.name.to_owned()).collect();
        event_types.sort_unstable();
        event_types.dedup();
        Definition {
            version: P::VERSION,
            state: Fingerprint::of([shape.as_bytes()]).to_string(),
            event_types,
        }
    }

    fn state_schema(&self) -> Json {
        P::state_schema()
    }

    fn filter(&self) -> LogFilter {
        // A name that is not well formed was never stored, so leaving it out loses nothing.
        let types = P::Event::descriptors().into_iter().filter_map(|event| EventType::new(event.name).ok());
        LogFilter { categories: Vec::new(), event_types: types.collect() }
    }

    fn route(&self, record: &RecordedEvent) -> Result<Option<String>, Fault> {
        let Some(event) = Self::event(record)? else { return Ok(None) };
        let instance =
            guarded("`route`", || self.0.route(&event)).map_err(|fault| Fault::last(fault.reason))?;
        let check = |instance: &String| -> Result<StreamName, Fault> {
            stream_of(P::NAME, instance)
                .map_err(|error| Fault::last(format!("`route` named the instance {instance:?}: {error}")))
        };
        instance.as_ref().map(check).transpose()?;
        Ok(instance)
    }

    fn decodes(&self, record: &RecordedEvent) -> Result<bool, DecodeError> {
        let Some(step) = record.decode::<StepTaken>()? else { return Ok(false) };
        let read =
            step.state.iter().filter(|_| !step.is_finished).try_for_each(|state| self.check_state(state));
        read.map(|()| true).map_err(|fault| DecodeError {
            event_type: record.event_type.to_string(),
            schema_version: record.schema_version.0,
            reason: fault.reason,
        })
    }

    fn check_state(&self, state: &StoredState) -> Result<(), Fault> {
        Self::state(state).map(drop)
    }

    fn step(
        &self,
        state: Option<&StoredState>,
        given: &Given<'_>,
        context: &StepContext,
    ) -> Result<Taken, Fault> {
        let state = state.map(Self::state).transpose()?;
        let input = Self::input(given)?;
        let step = guarded("`step`", || self.0.step(state.as_ref(), &input, context))?;
        let encode = |state: &P::State| match guarded("writing the state", || Json::encode(state))? {
            Ok(json) => Ok(StoredState { version: P::VERSION, json }),
            Err(error) => Err(Fault::last(format!("the state after the step: {error}"))),
        };
        Ok(Taken { state: step.state.as_ref().map(encode).transpose()?, actions: step.actions })
    }
}

/// Runs code of the domain. A panic is a bug there, and stops what it was about alone.
fn guarded<T>(what: &str, run: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Fault::panicked(what))
}
