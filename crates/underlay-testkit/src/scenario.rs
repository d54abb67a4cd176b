use std::collections::BTreeMap;
use std::fmt::Debug;

use underlay_core::{
    Actor, Aggregate, CommitId, Context, Decision, Event, EventId, Json, NewEvent, Operation, Position,
    Reads, RecordedEvent, Refusal, StreamName, TenantId, Timestamp, Version,
};

use crate::sample;

/// Begins a scenario of one aggregate: what has happened to it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use underlay_core::{Aggregate, Context, Decision};
/// use underlay_derive::{command, event, refusal};
/// use underlay_testkit::given;
///
/// #[event(crate = underlay_core)]
/// enum LampEvent {
///     #[event(name = "lit", version = 1)]
///     Lit,
/// }
///
/// #[command(crate = underlay_core)]
/// enum LampCommand {
///     #[command(name = "light")]
///     Light,
/// }
///
/// #[refusal(crate = underlay_core)]
/// enum LampRefusal {
///     #[refusal(code = "already-lit", message = "It is lit already.")]
///     AlreadyLit,
/// }
///
/// #[derive(Clone, Default)]
/// struct Lamp {
///     lit: bool,
/// }
///
/// impl Aggregate for Lamp {
///     const CATEGORY: &'static str = "lamp";
///     type Id = u32;
///     type Command = LampCommand;
///     type Event = LampEvent;
///     type Refusal = LampRefusal;
///
///     fn decide(&self, _: LampCommand, _: &Context) -> Result<Decision<LampEvent>, LampRefusal> {
///         if self.lit { Err(LampRefusal::AlreadyLit) } else { Ok(LampEvent::Lit.into()) }
///     }
///
///     fn evolve(&mut self, _: &LampEvent) {
///         self.lit = true;
///     }
/// }
///
/// given::<Lamp>([]).when(LampCommand::Light).then([LampEvent::Lit]);
/// given::<Lamp>([LampEvent::Lit]).when(LampCommand::Light).then_refused("already-lit");
/// ```
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given { events: events.into_iter().collect(), circumstances: Circumstances::default() }
}

/// Begins a scenario of an operation: nothing has happened yet.
pub fn given_streams() -> GivenStreams {
    GivenStreams { streams: BTreeMap::new(), circumstances: Circumstances::default() }
}

/// When and by whom a command is given.
#[derive(Clone, Debug)]
struct Circumstances {
    now: Timestamp,
    tenant: TenantId,
    actor: Actor,
}

impl Default for Circumstances {
    fn default() -> Self {
        Self { now: Timestamp::UNIX_EPOCH, tenant: sample::tenant("acme"), actor: Actor::default() }
    }
}

impl Circumstances {
    fn context(&self) -> Context {
        let Self { now, tenant, actor } = self.clone();
        let id = CommitId::from_key(&tenant, "scenario");
        Context::new(now, tenant, actor, id)
    }
}

macro_rules! circumstances {
    () => {
        /// Sets the time of the command; by default the start of 1970.
        pub fn at(mut self, now: Timestamp) -> Self {
            self.circumstances.now = now;
            self
        }

        /// Sets who gives the command; by default nobody in particular.
        pub fn by(mut self, actor: Actor) -> Self {
            self.circumstances.actor = actor;
            self
        }
    };
}

/// What has happened to an aggregate.
#[derive(Clone, Debug)]
#[must_use = "nothing is tested before `when` and `then`"]
pub struct Given<A: Aggregate> {
    events: Vec<A::Event>,
    circumstances: Circumstances,
}

impl<A: Aggregate> Given<A> {
    circumstances!();

    /// Gives the command.
    ///
    /// # Panics
    /// Where an event does not survive being stored, or deciding twice decides two things.
    pub fn when(self, command: A::Command) -> Verdict<A> {
        let mut state = A::default();
        for event in &self.events {
            state.evolve(&stored_and_read(event));
        }
        let decide = || state.decide(command.clone(), &self.circumstances.context());
        let decided = decide();
        assert_same_again(
            &decided.as_ref().map(|decision| (texts(decision.events()), decision.work())),
            &decide().as_ref().map(|decision| (texts(decision.events()), decision.work())),
        );
        Verdict { decided }
    }
}

/// What an aggregate decided.
#[derive(Clone, Debug)]
#[must_use = "nothing is tested before `then`"]
pub struct Verdict<A: Aggregate> {
    decided: Result<Decision<A::Event>, A::Refusal>,
}

impl<A: Aggregate> Verdict<A> {
    /// The events alone, in order; none where there was nothing to do.
    ///
    /// # Panics
    /// Where the decision was another, or sends something on.
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) {
        let expected: Vec<A::Event> = events.into_iter().collect();
        match self.decided {
            Ok(decision) => {
                assert_eq!(texts(decision.events()), texts(&expected), "the events decided are others");
                assert_eq!(decision.work(), [], "the decision sends something on");
            }
            Err(refusal) => panic!("refused with {}: {refusal}", refusal.code()),
        }
    }

    /// A refusal with this code.
    ///
    /// # Panics
    /// Where the decision was another, or the refusal cannot be read once it is stored.
    pub fn then_refused(self, code: &str) {
        match self.decided {
            Ok(decision) => panic!("not refused; decided {:?}", texts(decision.events())),
            Err(refusal) => assert_refusal(&refusal, code),
        }
    }

    /// The decision itself, for what the other checks cannot say.
    ///
    /// # Errors
    /// The refusal, where it was one.
    pub fn result(self) -> Result<Decision<A::Event>, A::Refusal> {
        self.decided
    }
}

/// What has happened to the streams an operation decides over.
#[derive(Clone, Debug)]
#[must_use = "nothing is tested before `when` and `then`"]
pub struct GivenStreams {
    streams: BTreeMap<StreamName, Vec<RecordedEvent>>,
    circumstances: Circumstances,
}

impl GivenStreams {
    circumstances!();

    /// Adds what has happened to one stream.
    ///
    /// # Panics
    /// Where an event does not survive being stored, or the id cannot be part of a stream name.
    pub fn stream<A: Aggregate>(mut self, id: &A::Id, events: impl IntoIterator<Item = A::Event>) -> Self {
        let name = A::stream(id).expect("the id is part of a stream name");
        let records = self.streams.entry(name.clone()).or_default();
        for event in events {
            let version = Version(records.len() as u64 + 1);
            let event = encode(&stored_and_read(&event));
            records.push(RecordedEvent {
                position: Position::from_number(version.0),
                tenant: self.circumstances.tenant.clone(),
                stream: name.clone(),
                version,
                event_id: EventId::draw(),
                event_type: event.event_type,
                schema_version: event.schema_version,
                payload: event.payload,
                metadata: Json::from_stored("{}"),
                recorded_at: self.circumstances.now,
                commit_tail: 0,
            });
        }
        self
    }

    /// Gives the operation.
    ///
    /// # Panics
    /// Where the operation cannot name its streams, an event cannot be read, or deciding twice decides
    /// two things.
    pub fn when<O: Operation>(self, operation: &O) -> StreamVerdict<O::Refusal> {
        let mut reads = Reads::default();
        operation.reads(&mut reads).expect("the operation names its streams");
        for (name, state) in reads.iter_mut() {
            if let Some(records) = self.streams.get(name) {
                state.evolve(records).expect("what was given is read");
            }
        }
        let decide = || {
            let mut streams = reads.streams();
            operation.decide(&mut streams, &self.circumstances.context())?;
            let decided = streams.decided().expect("what was decided has a JSON form");
            let texts = |events: Vec<NewEvent>| events.iter().map(text).collect();
            Ok(decided.writes.into_iter().map(|write| (write.stream, texts(write.events))).collect())
        };
        let decided = decide();
        assert_same_again(&decided.as_ref(), &decide().as_ref());
        StreamVerdict { decided }
    }
}

/// What an operation decided, by stream.
#[derive(Clone, Debug)]
#[must_use = "nothing is tested before `then`"]
pub struct StreamVerdict<R> {
    /// What is not checked yet.
    decided: Result<BTreeMap<StreamName, Vec<String>>, R>,
}

impl<R: Refusal> StreamVerdict<R> {
    /// The events of one stream, in order.
    ///
    /// # Panics
    /// Where the decision was another.
    pub fn then<A: Aggregate>(mut self, id: &A::Id, events: impl IntoIterator<Item = A::Event>) -> Self {
        let name = A::stream(id).expect("the id is part of a stream name");
        let expected: Vec<A::Event> = events.into_iter().collect();
        match &mut self.decided {
            Ok(decided) => {
                let decided = decided.remove(&name).unwrap_or_default();
                assert_eq!(decided, texts(&expected), "the events decided for {name} are others");
            }
            Err(refusal) => panic!("refused with {}: {refusal}", refusal.code()),
        }
        self
    }

    /// No event for any stream but those checked before.
    ///
    /// # Panics
    /// Where there are others, or the operation was refused.
    pub fn then_nothing_else(self) {
        match self.decided {
            Ok(left) => assert!(left.is_empty(), "there are events for other streams: {left:?}"),
            Err(refusal) => panic!("refused with {}: {refusal}", refusal.code()),
        }
    }

    /// A refusal with this code.
    ///
    /// # Panics
    /// Where the decision was another, or the refusal cannot be read once it is stored.
    pub fn then_refused(self, code: &str) {
        match self.decided {
            Ok(decided) => panic!("not refused; decided {decided:?}"),
            Err(refusal) => assert_refusal(&refusal, code),
        }
    }
}

pub(crate) fn encode<E: Event>(event: &E) -> NewEvent {
    NewEvent::encode(event).expect("an event has a JSON form")
}

/// An event as it comes back from a store.
pub(crate) fn stored_and_read<E: Event>(event: &E) -> E {
    let stored = encode(event);
    let read = E::decode(stored.event_type.as_str(), stored.schema_version.0, stored.payload.text().as_str());
    let read = match read {
        Ok(Some(read)) => read,
        Ok(None) => panic!("{} does not survive being stored: it is not known", text(&stored)),
        Err(error) => panic!("{} does not survive being stored: {error}", text(&stored)),
    };
    assert_eq!(text(&encode(&read)), text(&stored), "an event does not survive being stored");
    read
}

/// Events as they are stored, which is what two of them have in common where they are equal.
fn texts<E: Event>(events: &[E]) -> Vec<String> {
    events.iter().map(|event| text(&encode(&stored_and_read(event)))).collect()
}

fn text(event: &NewEvent) -> String {
    format!("{} v{} {:?}", event.event_type, event.schema_version, event.payload.text())
}

fn assert_same_again<T: Debug + PartialEq, R: Refusal>(first: &Result<T, &R>, second: &Result<T, &R>) {
    let same = match (first, second) {
        (Ok(first), Ok(second)) => first == second,
        (Err(first), Err(second)) => refusal_text(*first) == refusal_text(*second),
        _ => false,
    };
    assert!(same, "deciding again decides something else: first {first:?}, then {second:?}");
}

fn refusal_text<R: Refusal>(refusal: &R) -> (String, Json) {
    (refusal.code().to_owned(), Json::encode(refusal).expect("a refusal has a JSON form"))
}

fn assert_refusal<R: Refusal>(refusal: &R, code: &str) {
    assert_eq!(refusal.code(), code, "refused with another code: {refusal}");
    let (code, body) = refusal_text(refusal);
    let read = R::decode(&code, body.as_str());
    let same = read.is_some_and(|read| refusal_text(&read) == refusal_text(refusal));
    assert!(same, "refusal {code} {body:?} does not survive being stored");
}
