use std::collections::BTreeMap;
use std::fmt::Debug;

use underlay_core::{
    Event, EventId, Input, Json, Position, Process, Recorded, RecordedEvent, Step, StepAction, StepContext,
    StreamName, TenantId, Timestamp, Version,
};

use crate::sample;
use crate::scenario::{encode, stored_and_read};

/// Begins a scenario of one instance of a process: what it was given before, each in a step of its own. Every step is
/// taken twice, and must come to the same.
///
/// ```
/// use std::time::Duration;
///
/// use underlay_core::{Input, Process, Recorded, Step, StepContext};
/// use underlay_derive::{event, value};
/// use underlay_testkit::given_process;
///
/// #[event(crate = underlay_core)]
/// enum KettleEvent {
///     #[event(name = "lit", version = 1)]
///     Lit,
///     #[event(name = "boiled", version = 1)]
///     Boiled,
/// }
///
/// #[value(crate = underlay_core)]
/// struct Waiting {
///     reminders: u32,
/// }
///
/// struct Tea;
///
/// impl Process for Tea {
///     const NAME: &'static str = "tea";
///     type Event = KettleEvent;
///     type State = Waiting;
///
///     fn route(&self, event: &Recorded<KettleEvent>) -> Option<String> {
///         Some(event.stream().id().to_owned())
///     }
///
///     fn step(
///         &self,
///         state: Option<&Waiting>,
///         input: &Input<KettleEvent>,
///         context: &StepContext,
///     ) -> Step<Waiting> {
///         let soon = context.now.saturating_add(Duration::from_secs(60)).unwrap_or(context.now);
///         match (state, input) {
///             (None, _) => Step::to(Waiting { reminders: 0 }).timer("look", soon),
///             (Some(_), Input::Event(Recorded { event: KettleEvent::Boiled, .. })) => Step::stay().finish(),
///             (Some(state), _) => Step::to(Waiting { reminders: state.reminders + 1 }).timer("look", soon),
///         }
///     }
/// }
///
/// given_process(Tea, [KettleEvent::Lit]).when(KettleEvent::Boiled).then(Step::stay().finish());
///
/// let soon = |seconds| underlay_core::Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(seconds)).unwrap();
/// given_process(Tea, [KettleEvent::Lit])
///     .when(Input::timer("look"))
///     .then(Step::to(Waiting { reminders: 1 }).timer("look", soon(120)));
/// ```
///
/// # Panics
/// As [`GivenProcess::and`].
pub fn given_process<P: Process>(process: P, events: impl IntoIterator<Item = P::Event>) -> GivenProcess<P> {
    let given = GivenProcess {
        process,
        now: Timestamp::UNIX_EPOCH,
        tenant: sample::tenant("acme"),
        stream: StreamName::new("scenario", "1").expect("it is well formed"),
        instance: None,
        version: Version::NONE,
        state: None,
        commands: Vec::new(),
        timers: BTreeMap::new(),
        undos: Vec::new(),
        is_finished: false,
    };
    events.into_iter().fold(given, GivenProcess::and)
}

/// What an instance is given in a scenario: an event, or an [`Input`].
#[derive(Clone, Debug)]
pub enum GivenInput<E> {
    /// An event, which the scenario records.
    Event(E),
    /// An input as it is.
    Input(Input<E>),
}

impl<E: Event> From<E> for GivenInput<E> {
    fn from(event: E) -> Self {
        Self::Event(event)
    }
}

impl<E> From<Input<E>> for GivenInput<E> {
    fn from(input: Input<E>) -> Self {
        Self::Input(input)
    }
}

/// What an instance of a process was given.
#[must_use = "nothing is tested before `when` and `then`"]
pub struct GivenProcess<P: Process> {
    process: P,
    now: Timestamp,
    tenant: TenantId,
    stream: StreamName,
    /// None until an event names it.
    instance: Option<String>,
    /// Of the stream that events are recorded in.
    version: Version,
    state: Option<P::State>,
    /// The commands that it waits for, by name.
    commands: Vec<String>,
    timers: BTreeMap<String, Timestamp>,
    undos: Vec<String>,
    is_finished: bool,
}

impl<P: Process> GivenProcess<P> {
    /// Sets the time of what is given from now on; by default the start of 1970. A timer comes when it is due.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Sets the stream that events are recorded in from now on; by default `scenario-1`.
    ///
    /// # Panics
    /// Where it is not the name of a stream.
    pub fn of(mut self, stream: &str) -> Self {
        self.stream = StreamName::parse(stream).expect("it is the name of a stream");
        self.version = Version::NONE;
        self
    }

    /// Gives it something more: an event, how a command ended that it sent, a timer that it set.
    ///
    /// # Panics
    /// Where an event or the state does not survive being stored, where `route` names no instance or another one,
    /// where nothing like that was waited for, where the instance has finished, or where the step taken again is
    /// another one.
    pub fn and(mut self, input: impl Into<GivenInput<P::Event>>) -> Self {
        let step = self.take(input.into());
        self.follow(step);
        self
    }

    /// Gives it what the scenario is about.
    ///
    /// # Panics
    /// As [`GivenProcess::and`].
    pub fn when(mut self, input: impl Into<GivenInput<P::Event>>) -> StepVerdict<P> {
        StepVerdict { step: self.take(input.into()) }
    }

    fn take(&mut self, given: GivenInput<P::Event>) -> Step<P::State> {
        assert!(!self.is_finished, "the instance has finished, and nothing more is given to it");
        let (input, now) = match given {
            GivenInput::Event(event) => (self.record(&event), self.now),
            GivenInput::Input(Input::Event(event)) => {
                let now = event.recorded_at();
                (Input::Event(event), now)
            }
            GivenInput::Input(Input::Outcome { name, outcome }) => {
                let at = self.commands.iter().position(|sent| *sent == name);
                let at = at.unwrap_or_else(|| {
                    panic!("no command {name} is waited for; there are: {:?}", self.commands)
                });
                self.commands.remove(at);
                (Input::Outcome { name, outcome }, self.now)
            }
            GivenInput::Input(Input::Timer { name }) => {
                let due_at = self.timers.remove(&name);
                let due_at = due_at
                    .unwrap_or_else(|| panic!("no timer {name} is set; there are: {:?}", self.timers.keys()));
                self.now = self.now.max(due_at);
                (Input::Timer { name }, due_at)
            }
        };
        if let Input::Event(event) = &input {
            let (named, again) = (self.process.route(event), self.process.route(event));
            assert_eq!(named, again, "`route` names another instance when it is asked again");
            let named = named.expect("`route` names no instance for the event");
            let instance = self.instance.get_or_insert_with(|| named.clone());
            assert_eq!(named, *instance, "the event is for another instance");
        }
        let context = StepContext {
            now,
            tenant: self.tenant.clone(),
            process: P::NAME.to_owned(),
            instance: self.instance.clone().unwrap_or_else(|| "1".to_owned()),
            input_id: EventId::draw().0,
        };
        let step = || self.process.step(self.state.as_ref(), &input, &context);
        let (first, second) = (step(), step());
        assert_eq!(shown::<P>(&first), shown::<P>(&second), "the step taken again is another one");
        first
    }

    fn record(&mut self, event: &P::Event) -> Input<P::Event> {
        self.version = self.version.plus(1);
        let event = stored_and_read(event);
        let stored = encode(&event);
        let record = RecordedEvent {
            position: Position::from_number(self.version.0),
            tenant: self.tenant.clone(),
            stream: self.stream.clone(),
            version: self.version,
            event_id: EventId::draw(),
            event_type: stored.event_type,
            schema_version: stored.schema_version,
            payload: stored.payload,
            metadata: Json::from_stored("{}"),
            recorded_at: self.now,
            commit_tail: 0,
        };
        Input::Event(Recorded { event, record })
    }

    fn follow(&mut self, step: Step<P::State>) {
        if let Some(state) = step.state {
            self.state = Some(state_as_stored::<P>(&state));
        }
        for action in step.actions {
            match action {
                StepAction::Command { name, .. } => self.commands.push(name),
                StepAction::Send(_) => {}
                StepAction::SetTimer { name, due_at } => {
                    self.timers.insert(name, due_at);
                }
                StepAction::ClearTimer(name) => {
                    self.timers.remove(&name);
                }
                StepAction::RememberUndo { name, .. } => self.undos.push(name),
                StepAction::Compensate => self.commands.extend(self.undos.drain(..).rev()),
                StepAction::Finish(_) => self.is_finished = true,
            }
        }
    }
}

/// A step as it would be stored, which is what two of them have in common where they are equal.
#[derive(Debug, PartialEq)]
struct Shown {
    state: Option<Json>,
    actions: Vec<StepAction>,
}

fn shown<P: Process>(step: &Step<P::State>) -> Shown {
    Shown { state: step.state.as_ref().map(encoded::<P>), actions: step.actions.clone() }
}

fn encoded<P: Process>(state: &P::State) -> Json {
    Json::encode(state).expect("a state has a JSON form")
}

/// A state as it comes back from a store.
fn state_as_stored<P: Process>(state: &P::State) -> P::State {
    let stored = encoded::<P>(state);
    let read: P::State = match stored.decode() {
        Ok(read) => read,
        Err(error) => panic!("the state {stored:?} does not survive being stored: {error}"),
    };
    assert_eq!(encoded::<P>(&read), stored, "the state does not survive being stored");
    read
}

/// The step that an instance takes.
#[must_use = "nothing is tested before `then`"]
pub struct StepVerdict<P: Process> {
    step: Step<P::State>,
}

impl<P: Process> StepVerdict<P> {
    /// This step: the same state, and the same actions in the same order.
    ///
    /// # Panics
    /// Where it is another one.
    pub fn then(self, step: Step<P::State>) {
        assert_eq!(shown::<P>(&self.step), shown::<P>(&step), "the step is another one");
    }

    /// Nothing follows.
    ///
    /// # Panics
    /// Where something does.
    pub fn then_stays(self) {
        self.then(Step::stay());
    }

    /// The step itself, for what the other checks cannot say.
    pub fn step(self) -> Step<P::State> {
        self.step
    }
}

impl<P: Process> Debug for StepVerdict<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        shown::<P>(&self.step).fmt(f)
    }
}

impl<P: Process> Debug for GivenProcess<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.as_ref().map(encoded::<P>);
        f.debug_struct("GivenProcess")
            .field("process", &P::NAME)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
