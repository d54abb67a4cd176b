//! Given, when, then: what holds passes, and what does not fails and says why.

use std::sync::atomic::{AtomicU32, Ordering};

use underlay_core::{Actor, Aggregate, Context, Decision, Error, Operation, Reads, Streams, Timestamp};
use underlay_derive::{command, event, refusal, value};
use underlay_testkit::{given, given_streams};

#[event(crate = underlay_core)]
enum TankEvent {
    #[event(name = "filled", version = 1)]
    Filled { litres: i64, by: Option<String>, at: Timestamp },
    #[event(name = "drained", version = 1)]
    Drained { litres: i64 },
    /// Stored, it cannot be read again.
    #[event(name = "sealed", version = 1)]
    Sealed {
        #[serde(skip_serializing)]
        seal: u32,
    },
}

#[command(crate = underlay_core)]
enum TankCommand {
    #[command(name = "fill")]
    Fill { litres: i64 },
    #[command(name = "drain")]
    Drain { litres: i64 },
    #[command(name = "guess")]
    Guess,
}

#[refusal(crate = underlay_core)]
enum TankRefusal {
    #[refusal(code = "too-little", message = "There are {litres} litres in it.")]
    TooLittle { litres: i64 },
}

#[derive(Clone, Debug, Default)]
struct Tank {
    litres: i64,
}

static GUESS: AtomicU32 = AtomicU32::new(0);

impl Aggregate for Tank {
    const CATEGORY: &'static str = "tank";
    type Id = u32;
    type Command = TankCommand;
    type Event = TankEvent;
    type Refusal = TankRefusal;

    fn decide(&self, command: TankCommand, context: &Context) -> Result<Decision<TankEvent>, TankRefusal> {
        match command {
            TankCommand::Fill { litres: 0 } => Ok(Decision::nothing()),
            TankCommand::Fill { litres } => {
                Ok(TankEvent::Filled { litres, by: context.actor.name.clone(), at: context.now }.into())
            }
            TankCommand::Drain { litres } if litres > self.litres => {
                Err(TankRefusal::TooLittle { litres: self.litres })
            }
            TankCommand::Drain { litres } => Ok(TankEvent::Drained { litres }.into()),
            // What no decision may do: another answer each time.
            TankCommand::Guess => {
                Ok(TankEvent::Drained { litres: GUESS.fetch_add(1, Ordering::Relaxed).into() }.into())
            }
        }
    }

    fn evolve(&mut self, event: &TankEvent) {
        match event {
            TankEvent::Filled { litres, .. } => self.litres += litres,
            TankEvent::Drained { litres } => self.litres -= litres,
            TankEvent::Sealed { .. } => {}
        }
    }
}

#[value(crate = underlay_core)]
struct Pour {
    from: u32,
    to: u32,
    litres: i64,
}

impl Operation for Pour {
    const NAME: &'static str = "pour";
    type Refusal = TankRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Tank>(&self.from)?;
        reads.stream::<Tank>(&self.to)
    }

    fn decide(&self, streams: &mut Streams, context: &Context) -> Result<(), TankRefusal> {
        let drain = TankCommand::Drain { litres: self.litres };
        let (events, _) = streams.state::<Tank>(&self.from).decide(drain, context)?.into_parts();
        for event in events {
            streams.append::<Tank>(&self.from, event);
        }
        streams.append::<Tank>(&self.to, filled(self.litres));
        Ok(())
    }
}

fn filled(litres: i64) -> TankEvent {
    TankEvent::Filled { litres, by: None, at: Timestamp::UNIX_EPOCH }
}

fn drained(litres: i64) -> TankEvent {
    TankEvent::Drained { litres }
}

#[test]
fn decisions_as_expected_pass() {
    given::<Tank>([]).when(TankCommand::Fill { litres: 5 }).then([filled(5)]);
    given::<Tank>([]).when(TankCommand::Fill { litres: 0 }).then([]);
    given::<Tank>([filled(5)]).when(TankCommand::Drain { litres: 5 }).then([drained(5)]);
    given::<Tank>([filled(5), drained(1)]).when(TankCommand::Drain { litres: 5 }).then_refused("too-little");
    let decided = given::<Tank>([filled(3)]).when(TankCommand::Drain { litres: 9 }).result();
    assert!(matches!(decided, Err(TankRefusal::TooLittle { litres: 3 })));
}

#[test]
fn time_and_actor_are_the_scenarios() {
    let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
    let ada = Actor { name: Some("ada".to_owned()), roles: Vec::new() };
    let expected = TankEvent::Filled { litres: 1, by: Some("ada".to_owned()), at: now };
    given::<Tank>([]).at(now).by(ada).when(TankCommand::Fill { litres: 1 }).then([expected]);
}

#[test]
#[should_panic(expected = "the events decided are others")]
fn another_event_fails() {
    given::<Tank>([filled(5)]).when(TankCommand::Drain { litres: 5 }).then([drained(4)]);
}

#[test]
#[should_panic(expected = "refused with too-little: There are 0 litres in it.")]
fn a_refusal_in_place_of_events_fails() {
    given::<Tank>([]).when(TankCommand::Drain { litres: 5 }).then([drained(5)]);
}

#[test]
#[should_panic(expected = "not refused")]
fn events_in_place_of_a_refusal_fail() {
    given::<Tank>([filled(5)]).when(TankCommand::Drain { litres: 5 }).then_refused("too-little");
}

#[test]
#[should_panic(expected = "refused with another code")]
fn another_refusal_fails() {
    given::<Tank>([]).when(TankCommand::Drain { litres: 5 }).then_refused("closed");
}

#[test]
#[should_panic(expected = "deciding again decides something else")]
fn a_decision_that_is_not_pure_fails() {
    given::<Tank>([]).when(TankCommand::Guess).then([]);
}

#[test]
#[should_panic(expected = "does not survive being stored")]
fn an_event_that_cannot_be_read_again_fails() {
    given::<Tank>([TankEvent::Sealed { seal: 7 }]).when(TankCommand::Fill { litres: 0 }).then([]);
}

#[test]
fn operations_as_expected_pass() {
    let pour = Pour { from: 1, to: 2, litres: 3 };
    given_streams()
        .stream::<Tank>(&1, [filled(5)])
        .when(&pour)
        .then::<Tank>(&1, [drained(3)])
        .then::<Tank>(&2, [filled(3)])
        .then_nothing_else();
    given_streams()
        .stream::<Tank>(&1, [filled(2)])
        .stream::<Tank>(&2, [filled(9)])
        .when(&pour)
        .then_refused("too-little");
}

#[test]
#[should_panic(expected = "there are events for other streams")]
fn an_event_too_many_fails() {
    let decided = given_streams().stream::<Tank>(&1, [filled(5)]).when(&Pour { from: 1, to: 2, litres: 3 });
    decided.then::<Tank>(&1, [drained(3)]).then_nothing_else();
}

#[test]
#[should_panic(expected = "the events decided for tank-2 are others")]
fn another_event_of_a_stream_fails() {
    let decided = given_streams().stream::<Tank>(&1, [filled(5)]).when(&Pour { from: 1, to: 2, litres: 3 });
    decided.then::<Tank>(&2, [filled(4)]).then_nothing_else();
}

#[test]
#[should_panic(expected = "not refused")]
fn an_operation_that_should_be_refused_fails() {
    given_streams()
        .stream::<Tank>(&1, [filled(5)])
        .when(&Pour { from: 1, to: 2, litres: 3 })
        .then_refused("too-little");
}
