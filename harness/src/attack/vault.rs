//! A domain that tells what it knows: a vault's refusal quotes what is in it, its row holds it.

use underlay_core::{
    Aggregate, Context, Decision, EntityVersion, Error, Input, Keys, Operation, Process, ProcessStart, Reads,
    Recorded, Step, StepContext, Streams, View,
};
use underlay_derive::{command, entity, event, refusal, row, snapshot, value};
use underlay_runtime::Registry;

#[event(crate = underlay_core)]
pub(super) enum VaultEvent {
    #[event(name = "filled", version = 1)]
    Filled { secret: String },
}

#[command(crate = underlay_core)]
pub(super) enum VaultCommand {
    #[command(name = "fill")]
    Fill { secret: String },
}

#[refusal(crate = underlay_core)]
pub(super) enum VaultRefusal {
    #[refusal(code = "full", message = "{secret} is in it")]
    Full { secret: String },
    #[refusal(code = "empty", message = "there is nothing in it")]
    Empty,
}

// Its state can be told. No snapshot is taken, so that each attack finds what it has put there.
#[snapshot(crate = underlay_core, every = 1_000_000)]
#[derive(Clone, Debug, Default)]
pub(super) struct Vault {
    secret: Option<String>,
}

impl Aggregate for Vault {
    const CATEGORY: &'static str = "vault";
    type Id = String;
    type Command = VaultCommand;
    type Event = VaultEvent;
    type Refusal = VaultRefusal;

    fn decide(&self, command: VaultCommand, _: &Context) -> Result<Decision<VaultEvent>, VaultRefusal> {
        let VaultCommand::Fill { secret } = command;
        match &self.secret {
            Some(secret) => Err(VaultRefusal::Full { secret: secret.clone() }),
            None => Ok(VaultEvent::Filled { secret }.into()),
        }
    }

    fn evolve(&mut self, event: &VaultEvent) {
        let VaultEvent::Filled { secret } = event;
        self.secret = Some(secret.clone());
    }
}

/// What a tenant keeps as it is.
#[entity(crate = underlay_core, name = "keepsake", version = 1)]
#[derive(Clone)]
pub(super) struct Keepsake {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(indexed, unique)]
    secret: String,
}

/// Fills one vault with what is in another.
#[value(crate = underlay_core)]
pub(super) struct Copy {
    pub(super) from: String,
    pub(super) to: String,
}

impl Operation for Copy {
    const NAME: &'static str = "copy";
    type Refusal = VaultRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Vault>(&self.from)?;
        reads.stream::<Vault>(&self.to)
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), VaultRefusal> {
        let secret = streams.state::<Vault>(&self.from).secret.clone().ok_or(VaultRefusal::Empty)?;
        streams.append::<Vault>(&self.to, VaultEvent::Filled { secret });
        Ok(())
    }
}

#[row(crate = underlay_core)]
pub(super) struct Secret {
    #[column(indexed)]
    pub(super) secret: String,
}

/// What is in every vault.
pub(super) struct Secrets;

impl View for Secrets {
    const NAME: &'static str = "secrets";
    type Event = VaultEvent;
    type Key = String;
    type Row = Secret;

    fn route(&self, event: &Recorded<VaultEvent>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(&self, _: &String, _: Option<Secret>, event: &Recorded<VaultEvent>) -> Option<Secret> {
        let VaultEvent::Filled { secret } = &event.event;
        Some(Secret { secret: secret.clone() })
    }
}

#[value(crate = underlay_core)]
pub(super) struct Watched {
    secret: String,
}

/// Remembers what is in every vault.
pub(super) struct Watch;

impl Process for Watch {
    const NAME: &'static str = "watch";
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = VaultEvent;
    type State = Watched;

    fn route(&self, event: &Recorded<VaultEvent>) -> Option<String> {
        Some(event.stream().id().to_owned())
    }

    fn step(&self, _: Option<&Watched>, input: &Input<VaultEvent>, _: &StepContext) -> Step<Watched> {
        match input {
            Input::Event(Recorded { event: VaultEvent::Filled { secret }, .. }) => {
                Step::to(Watched { secret: secret.clone() })
            }
            _ => Step::stay(),
        }
    }
}

pub(super) fn registry() -> Registry {
    Registry::default().aggregate::<Vault>().snapshots::<Vault>().operation::<Copy>().view(Secrets)
}
