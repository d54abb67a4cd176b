use underlay_core::{Aggregate, Context, Decision, Keys, Recorded, View};
use underlay_derive::{command, event, refusal, row};

#[event(crate = underlay_core)]
enum LampEvent {
    Lit,
}

#[command(crate = underlay_core)]
enum LampCommand {
    Light,
}

#[refusal(crate = underlay_core)]
enum LampRefusal {
    AlreadyLit,
}

#[derive(Clone, Default)]
struct Lamp;

impl Aggregate for Lamp {
    const CATEGORY: &'static str = "lamp";
    type Id = u32;
    type Command = LampCommand;
    type Event = LampEvent;
    type Refusal = LampRefusal;

    fn decide(&self, _: LampCommand, _: &Context) -> Result<Decision<LampEvent>, LampRefusal> {
        Ok(LampEvent::Lit.into())
    }

    fn evolve(&mut self, _: &LampEvent) {}
}

#[row(crate = underlay_core)]
struct LampRow {
    #[column(sorted)]
    lit: bool,
}

struct Lamps;

impl View for Lamps {
    const NAME: &'static str = "lamps";
    type Event = LampEvent;
    type Key = String;
    type Row = LampRow;

    fn route(&self, event: &Recorded<LampEvent>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(&self, _: &String, _: Option<LampRow>, _: &Recorded<LampEvent>) -> Option<LampRow> {
        Some(LampRow { lit: true })
    }
}

fn main() {}
