//! Which names can be addresses.

use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{
    Aggregate, Command, CommandDescriptor, CommandError, Context, Decision, Error, Json, Operation, Reads,
    Streams, SystemClock,
};
use underlay_derive::{command, event, refusal, value};
use underlay_runtime::{Engine, EngineConfig, Ports, Registry};
use underlay_server::{ServerConfig, check_addresses, router};

use crate::account::registry;

#[event(crate = underlay_core)]
enum NoEvent {}

#[refusal(crate = underlay_core)]
enum Never {
    #[refusal(code = "never", message = "never")]
    Never,
}

#[command(crate = underlay_core)]
enum Plain {
    #[command(name = "go-on.v2_x")]
    GoOn,
}

/// Written by hand: the macro would not let the name pass.
#[derive(Clone)]
struct Upward;

impl Command for Upward {
    fn descriptors() -> Vec<CommandDescriptor> {
        vec![CommandDescriptor { name: "up/down", roles: &[] }]
    }
    fn schemas() -> Vec<Json> {
        vec![Json::from_stored("true")]
    }
    fn descriptor(&self) -> CommandDescriptor {
        CommandDescriptor { name: "up/down", roles: &[] }
    }
    fn encode(&self) -> Result<Json, Error> {
        Json::encode(&())
    }
    fn decode(_: &str, _: &str) -> Result<Self, CommandError> {
        Ok(Self)
    }
}

macro_rules! aggregate {
    ($name:ident, $category:literal, $command:ty) => {
        #[derive(Clone, Default)]
        struct $name;
        impl Aggregate for $name {
            const CATEGORY: &'static str = $category;
            type Id = String;
            type Command = $command;
            type Event = NoEvent;
            type Refusal = Never;
            fn decide(&self, _: $command, _: &Context) -> Result<Decision<NoEvent>, Never> {
                Err(Never::Never)
            }
            fn evolve(&mut self, event: &NoEvent) {
                match *event {}
            }
        }
    };
}

aggregate!(Order, "order", Plain);
aggregate!(Lift, "lift", Upward);
aggregate!(Streaming, "streams", Plain);
aggregate!(Viewing, "views", Plain);
aggregate!(Operating, "operations", Plain);
aggregate!(Happening, "events", Plain);
aggregate!(Commanding, "commands", Plain);
aggregate!(Administering, "admin", Plain);
aggregate!(Being, "entities", Plain);

macro_rules! operation {
    ($type:ident, $name:literal) => {
        #[value(crate = underlay_core)]
        struct $type;
        impl Operation for $type {
            const NAME: &'static str = $name;
            type Refusal = Never;
            fn reads(&self, _: &mut Reads) -> Result<(), Error> {
                Ok(())
            }
            fn decide(&self, _: &mut Streams, _: &Context) -> Result<(), Never> {
                Ok(())
            }
        }
    };
}

operation!(Spaced, "move it");
operation!(Dots, "..");
operation!(Nameless, "");

#[test]
fn names_that_can_be_reached_pass() {
    check_addresses(&registry().aggregate::<Order>()).unwrap();
}

#[test]
fn categories_of_the_api_are_refused() {
    for (registry, category) in [
        (Registry::default().aggregate::<Streaming>(), "streams"),
        (Registry::default().aggregate::<Viewing>(), "views"),
        (Registry::default().aggregate::<Operating>(), "operations"),
        (Registry::default().aggregate::<Happening>(), "events"),
        (Registry::default().aggregate::<Commanding>(), "commands"),
        (Registry::default().aggregate::<Administering>(), "admin"),
        (Registry::default().aggregate::<Being>(), "entities"),
    ] {
        let error = check_addresses(&registry).unwrap_err();
        assert!(error.to_string().contains(&format!("category {category:?} is taken")), "{error}");
    }
}

#[test]
fn names_that_no_address_can_hold_are_refused() {
    for (registry, name) in [
        (Registry::default().aggregate::<Lift>(), "up/down"),
        (Registry::default().operation::<Spaced>(), "move it"),
        (Registry::default().operation::<Dots>(), ".."),
        (Registry::default().operation::<Nameless>(), "\"\""),
    ] {
        let error = check_addresses(&registry).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_router_is_made_of_names_that_can_be_reached() {
    let store = MemoryEventStore::default();
    let ports = Ports {
        work: None,
        store: Arc::new(store.clone()),
        read_models: Arc::new(MemoryReadModels::default()),
        wakeups: Arc::new(store),
        snapshots: None,
        leases: None,
        clock: Arc::new(SystemClock),
    };
    let registry = Registry::default().aggregate::<Viewing>();
    let engine = Engine::new(ports, registry, EngineConfig::default()).unwrap();
    let error = router(engine, ServerConfig::new("Bank")).unwrap_err();
    assert!(error.to_string().contains("views"), "{error}");
}
