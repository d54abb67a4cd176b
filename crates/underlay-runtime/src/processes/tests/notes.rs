//! A process that collects the numbers of notes, and does what they tell it to.

use std::time::Duration;

use underlay_core::{
    Attempts, Commit, CommitId, EventStore, ExpectedVersion, Handled, Handler, HandlerError, Input, NewEvent,
    OnFault, Outgoing, Process, ProcessStart, Recorded, Step, StepContext, StreamName, TenantId,
};
use underlay_derive::{event, value};

use super::house::{House, Program};
use crate::Registry;

#[event(crate = underlay_core)]
pub(super) enum Note {
    #[event(name = "noted", version = 1)]
    Noted { number: u32 },
}

/// The step panics.
pub(super) const PANICS: u32 = 600;
/// `route` panics.
pub(super) const LOST: u32 = 601;
/// The step does what it may not.
pub(super) const WRONG: u32 = 602;
/// Sets the timer to so many seconds, by what is beyond.
pub(super) const TIMER: u32 = 1_000;
/// Takes the timer back.
pub(super) const CLEAR: u32 = 603;
/// Ends the instance.
pub(super) const FINISH: u32 = 604;
/// Nothing follows.
pub(super) const STAY: u32 = 605;

#[value(crate = underlay_core)]
#[derive(Default)]
pub(super) struct Numbers {
    pub(super) numbers: Vec<u32>,
}

/// Nobody in these tests handles it.
pub(super) struct Mailer;

impl Handler for Mailer {
    const NAME: &'static str = "mailer";
    type Message = Note;
    async fn handle(&self, _: Note, _: &underlay_core::Delivery) -> Result<Handled, HandlerError> {
        Ok(Handled::done())
    }
}

pub(super) struct Collect<const PARKS: bool, const VERSION: u32>;

impl<const PARKS: bool, const VERSION: u32> Process for Collect<PARKS, VERSION> {
    const NAME: &'static str = "collect";
    const VERSION: u32 = VERSION;
    const STARTS: ProcessStart = ProcessStart::Beginning;
    const ON_FAULT: OnFault = if PARKS { OnFault::Park } else { OnFault::Pause };
    type Event = Note;
    type State = Numbers;

    fn attempts(&self) -> Attempts {
        Attempts { attempts_max: 3, ..Attempts::default() }
    }

    fn route(&self, event: &Recorded<Note>) -> Option<String> {
        let Note::Noted { number } = event.event;
        assert!(number != LOST, "a bug in the domain");
        Some(event.stream().id().to_owned())
    }

    fn step(&self, state: Option<&Numbers>, input: &Input<Note>, context: &StepContext) -> Step<Numbers> {
        let mut next = state.cloned().unwrap_or_default();
        let number = match input {
            Input::Event(event) => match event.event {
                Note::Noted { number } => number,
            },
            Input::Timer { .. } => 0,
            Input::Outcome { .. } => 1,
        };
        if number == STAY {
            return Step::stay();
        }
        next.numbers.push(number);
        let later = |seconds: u32| {
            context.now.saturating_add(Duration::from_secs(u64::from(seconds))).unwrap_or(context.now)
        };
        match number {
            PANICS => panic!("a bug in the domain"),
            WRONG => {
                Step::to(next).command("mail", Outgoing::message::<Mailer>("a", &Note::Noted { number }))
            }
            CLEAR => Step::to(next).clear_timer("bell"),
            FINISH => Step::to(next).finish(),
            TIMER.. => Step::to(next).timer("bell", later(number - TIMER)),
            _ => Step::to(next),
        }
    }

    fn upcast(version: u32, state: underlay_core::Json) -> Result<Numbers, String> {
        if VERSION == 9 {
            return Err(format!("nothing lifts version {version}"));
        }
        state.decode().map_err(|error| error.to_string())
    }
}

pub(super) fn collecting<const PARKS: bool, const VERSION: u32>() -> Registry {
    Registry::default().process(Collect::<PARKS, VERSION>)
}

pub(super) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(super) fn noted(instance: &str, numbers: &[u32]) -> Commit {
    let events = numbers.iter().map(|&number| NewEvent::encode(&Note::Noted { number }).unwrap()).collect();
    let stream = StreamName::new("note", instance).unwrap();
    Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, events)
}

pub(super) async fn note(house: &House, instance: &str, numbers: &[u32]) {
    house.log.commit(&acme(), noted(instance, numbers)).await.unwrap();
}

/// What an instance has collected.
pub(super) async fn collected(program: &Program, instance: &str) -> Vec<u32> {
    match program.engine.process(&acme(), "collect", instance).await {
        Ok(shown) => shown.state.map(|state| state.decode::<Numbers>().unwrap().numbers).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}
