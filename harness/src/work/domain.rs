//! The domain whose work flows: purses, orders that a process moves money for, and parcels that two handlers
//! deliver.
//!
//! Nothing in it notices a repeat: what is done twice leaves two events, and what is delivered twice two arrivals.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::limits::COMMIT_EVENTS_MAX;
use underlay_core::{
    Aggregate, Attempts, CommandOutcome, Context, Decision, Delivery, Draw, Drawing, Handled, Handler,
    HandlerError, Input, Outgoing, Process, ProcessStart, Recorded, Step, StepContext,
};
use underlay_derive::{command, event, refusal, value};
use underlay_runtime::Registry;

use super::receiver::{Answer, Parcel, Post};

/// The tenants there are; both have the same purses.
pub(crate) const TENANTS: [&str; 2] = ["north", "south"];
/// The purses of a tenant.
pub(crate) const PURSES: u64 = 6;
/// A purse that takes nothing: what is sent to it is given back.
pub(crate) const SHUT: &str = "shut";

/// Of the parcels of [`Herald`], every so many is refused for good.
const REFUSED_EVERY: u64 = 15;
/// Of the events of a purse, every so many is one for [`Herald`].
const HERALD_EVERY: u64 = 3;
/// The timer of an order.
const REMINDER: Duration = Duration::from_millis(20);

/// What can happen to a purse. The number of an event is its place among those of the purse.
#[event(crate = underlay_core)]
#[derive(Eq)]
pub(crate) enum PurseEvent {
    #[event(name = "filled", version = 1)]
    Filled { number: u64, cents: i64 },
    #[event(name = "taken", version = 1)]
    Taken { number: u64, cents: i64, order: String },
    #[event(name = "given", version = 1)]
    Given { number: u64, cents: i64, order: String },
    #[event(name = "returned", version = 1)]
    Returned { number: u64, cents: i64, order: String },
}

impl PurseEvent {
    pub(crate) fn number(&self) -> u64 {
        let (Self::Filled { number, .. }
        | Self::Taken { number, .. }
        | Self::Given { number, .. }
        | Self::Returned { number, .. }) = self;
        *number
    }

    /// What it adds to the purse.
    pub(crate) fn change(&self) -> i64 {
        match self {
            Self::Filled { cents, .. } | Self::Given { cents, .. } | Self::Returned { cents, .. } => *cents,
            Self::Taken { cents, .. } => -cents,
        }
    }
}

/// What can be asked of a purse.
#[command(crate = underlay_core)]
pub(crate) enum PurseCommand {
    #[command(name = "fill")]
    Fill { cents: i64 },
    /// More events than a commit holds: no attempt can do it.
    #[command(name = "overfill")]
    Overfill { cents: i64 },
    #[command(name = "take")]
    Take { cents: i64, order: String },
    #[command(name = "give")]
    Give { cents: i64, order: String },
    #[command(name = "return")]
    Return { cents: i64, order: String },
}

/// Why a purse says no.
#[refusal(crate = underlay_core)]
pub(crate) enum PurseRefusal {
    #[refusal(code = "empty", message = "the purse holds {held}, {cents} were asked for")]
    Empty { held: i64, cents: i64 },
    #[refusal(code = "shut", message = "the purse takes nothing")]
    Shut,
}

/// A purse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purse {
    held: i64,
    last: u64,
}

impl Aggregate for Purse {
    const CATEGORY: &'static str = "purse";
    type Id = String;
    type Command = PurseCommand;
    type Event = PurseEvent;
    type Refusal = PurseRefusal;

    fn decide(&self, command: PurseCommand, _: &Context) -> Result<Decision<PurseEvent>, PurseRefusal> {
        let number = self.last + 1;
        Ok(match command {
            PurseCommand::Fill { cents } => PurseEvent::Filled { number, cents },
            PurseCommand::Overfill { cents } => {
                return Ok(vec![PurseEvent::Filled { number, cents }; COMMIT_EVENTS_MAX + 1].into());
            }
            PurseCommand::Take { cents, .. } if cents > self.held => {
                return Err(PurseRefusal::Empty { held: self.held, cents });
            }
            PurseCommand::Take { cents, order } => PurseEvent::Taken { number, cents, order },
            // No purse has been given anything that has none: that is the one that is shut.
            PurseCommand::Give { .. } if self.last == 0 => return Err(PurseRefusal::Shut),
            PurseCommand::Give { cents, order } => PurseEvent::Given { number, cents, order },
            PurseCommand::Return { cents, order } => PurseEvent::Returned { number, cents, order },
        }
        .into())
    }

    fn evolve(&mut self, event: &PurseEvent) {
        self.held += event.change();
        self.last = event.number();
    }
}

/// What can happen to an order.
#[event(crate = underlay_core)]
#[derive(Eq)]
pub(crate) enum OrderEvent {
    #[event(name = "placed", version = 1)]
    Placed { from: String, to: String, cents: i64 },
    #[event(name = "reminded", version = 1)]
    Reminded,
    #[event(name = "closed", version = 1)]
    Closed { ending: Ending },
}

/// How an order ends.
#[value(crate = underlay_core)]
#[derive(Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Paid,
    /// There was nothing to take.
    Refused,
    /// What was taken could not be given, and is back.
    Returned,
}

/// What can be asked of an order.
#[command(crate = underlay_core)]
pub(crate) enum OrderCommand {
    #[command(name = "place")]
    Place { from: String, to: String, cents: i64 },
    #[command(name = "remind")]
    Remind,
    #[command(name = "close")]
    Close { ending: Ending },
}

/// An order refuses nothing.
#[refusal(crate = underlay_core)]
pub(crate) enum Never {
    #[refusal(code = "never", message = "never")]
    Never,
}

/// An order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order;

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = String;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Refusal = Never;

    fn decide(&self, command: OrderCommand, _: &Context) -> Result<Decision<OrderEvent>, Never> {
        Ok(match command {
            OrderCommand::Place { from, to, cents } => OrderEvent::Placed { from, to, cents },
            OrderCommand::Remind => OrderEvent::Reminded,
            OrderCommand::Close { ending } => OrderEvent::Closed { ending },
        }
        .into())
    }

    fn evolve(&mut self, _: &OrderEvent) {}
}

/// What is noted of a parcel that was taken, by a command that its handler gives with the settlement.
#[event(crate = underlay_core)]
#[derive(Eq)]
pub(crate) enum SlipEvent {
    #[event(name = "signed", version = 1)]
    Signed { number: u64, idempotency_key: String },
}

#[command(crate = underlay_core)]
pub(crate) enum SlipCommand {
    #[command(name = "sign")]
    Sign { number: u64, idempotency_key: String },
}

/// The parcels of one handler and purse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slip;

impl Aggregate for Slip {
    const CATEGORY: &'static str = "slip";
    type Id = String;
    type Command = SlipCommand;
    type Event = SlipEvent;
    type Refusal = Never;

    fn decide(&self, command: SlipCommand, _: &Context) -> Result<Decision<SlipEvent>, Never> {
        let SlipCommand::Sign { number, idempotency_key } = command;
        Ok(SlipEvent::Signed { number, idempotency_key }.into())
    }

    fn evolve(&mut self, _: &SlipEvent) {}
}

/// What is known of an order that is under way.
#[value(crate = underlay_core)]
pub(crate) struct Paying {
    from: String,
    to: String,
    cents: i64,
    ending: Option<Ending>,
    reminded: bool,
}

impl Paying {
    fn take(&self, order: &str) -> Outgoing {
        let command = PurseCommand::Take { cents: self.cents, order: order.to_owned() };
        Outgoing::command::<Purse>(&self.from, &command)
    }

    fn give(&self, order: &str) -> Outgoing {
        let command = PurseCommand::Give { cents: self.cents, order: order.to_owned() };
        Outgoing::command::<Purse>(&self.to, &command)
    }

    fn give_back(&self, order: &str) -> Outgoing {
        let command = PurseCommand::Return { cents: self.cents, order: order.to_owned() };
        Outgoing::command::<Purse>(&self.from, &command)
    }
}

/// Moves the money of an order: taken, given, and given back where it cannot be given. Its timer comes once, and the
/// order is closed when both have come.
pub(crate) struct Payment;

impl Payment {
    /// Closes the order once everything has come.
    fn go_on(order: &str, state: Paying) -> Step<Paying> {
        let closes = match state.ending {
            Some(ending) if state.reminded => Some(OrderCommand::Close { ending }),
            _ => None,
        };
        let step = Step::to(state);
        match closes {
            Some(close) => step.command("close", Outgoing::command::<Order>(&order.to_owned(), &close)),
            None => step,
        }
    }
}

impl Process for Payment {
    const NAME: &'static str = "payment";
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = OrderEvent;
    type State = Paying;

    fn attempts(&self) -> Attempts {
        attempts()
    }

    fn route(&self, event: &Recorded<OrderEvent>) -> Option<String> {
        matches!(event.event, OrderEvent::Placed { .. }).then(|| event.stream().id().to_owned())
    }

    fn step(&self, state: Option<&Paying>, input: &Input<OrderEvent>, context: &StepContext) -> Step<Paying> {
        let order = context.instance.as_str();
        let Some(state) = state else {
            let Input::Event(Recorded { event: OrderEvent::Placed { from, to, cents }, .. }) = input else {
                return Step::stay();
            };
            let (from, to, cents) = (from.clone(), to.clone(), *cents);
            let state = Paying { from, to, cents, ending: None, reminded: false };
            return Step::to(state.clone()).command("take", state.take(order));
        };
        let mut state = state.clone();
        match input {
            Input::Outcome { name, outcome } => match (name.as_str(), outcome) {
                ("take", CommandOutcome::Accepted) => {
                    let due_at = context.now.saturating_add(REMINDER).unwrap_or(context.now);
                    Step::stay()
                        .undo_by("return", state.give_back(order))
                        .command("give", state.give(order))
                        .timer("reminder", due_at)
                }
                ("take", CommandOutcome::Refused { .. }) => {
                    (state.ending, state.reminded) = (Some(Ending::Refused), true);
                    Self::go_on(order, state)
                }
                ("give", CommandOutcome::Accepted) => {
                    state.ending = Some(Ending::Paid);
                    Self::go_on(order, state)
                }
                ("give", CommandOutcome::Refused { .. }) => Step::stay().compensate(),
                ("return", CommandOutcome::Accepted) => {
                    state.ending = Some(Ending::Returned);
                    Self::go_on(order, state)
                }
                ("close", CommandOutcome::Accepted) => Step::stay().finish(),
                // An order that is not closed is found.
                _ => Step::stay(),
            },
            Input::Timer { .. } => {
                let reminded = Outgoing::command::<Order>(&order.to_owned(), &OrderCommand::Remind);
                state.reminded = true;
                let mut step = Self::go_on(order, state);
                // The reminder goes first.
                step.actions.insert(0, underlay_core::StepAction::Send(reminded));
                step
            }
            Input::Event(_) => Step::stay(),
        }
    }
}

/// Every event of a purse is a parcel for [`Courier`], and some are one for [`Herald`].
struct Parcels;

impl Draw for Parcels {
    type Event = PurseEvent;

    fn draw(&self, event: &PurseEvent, drawing: Drawing<'_>) -> Vec<Outgoing> {
        let (purse, number) = (drawing.stream.id(), event.number());
        let mut sent = vec![Outgoing::message::<Courier>(purse, &ParcelSent::Sent { number })];
        if is_for_herald(number) {
            sent.push(Outgoing::message::<Herald>(purse, &NewsSent::Sent { number }));
        }
        sent
    }
}

/// Whether the event of a purse with this number is one for [`Herald`].
pub(crate) fn is_for_herald(number: u64) -> bool {
    number.is_multiple_of(HERALD_EVERY)
}

/// Whether the receiver refuses a parcel for good.
pub(crate) fn is_refused(handler: &str, number: u64) -> bool {
    handler == Herald::NAME && number.is_multiple_of(REFUSED_EVERY)
}

#[event(crate = underlay_core)]
pub(crate) enum ParcelSent {
    #[event(name = "parcel", version = 1)]
    Sent { number: u64 },
}

#[event(crate = underlay_core)]
pub(crate) enum NewsSent {
    #[event(name = "news", version = 1)]
    Sent { number: u64 },
}

/// Brings parcels to the receiver. One that it could not bring would hold its purse.
pub(crate) struct Courier(Arc<Post>);

impl Handler for Courier {
    const NAME: &'static str = "courier";
    const HOLDS_KEY: bool = true;
    type Message = ParcelSent;

    fn attempts(&self) -> Attempts {
        attempts()
    }

    async fn handle(&self, message: ParcelSent, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let ParcelSent::Sent { number } = message;
        bring(&self.0, Self::NAME, number, delivery).await
    }
}

/// Brings parcels to the receiver, which refuses some of them for good; the next of the purse goes on.
pub(crate) struct Herald(Arc<Post>);

impl Handler for Herald {
    const NAME: &'static str = "herald";
    type Message = NewsSent;

    fn attempts(&self) -> Attempts {
        attempts()
    }

    async fn handle(&self, message: NewsSent, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let NewsSent::Sent { number } = message;
        bring(&self.0, Self::NAME, number, delivery).await
    }
}

/// Whatever goes wrong on the way passes: nothing is given up that the receiver has not refused.
fn attempts() -> Attempts {
    Attempts {
        attempts_max: 10_000,
        delay_min: Duration::from_millis(5),
        delay_max: Duration::from_millis(200),
        timeout: Duration::from_secs(2),
    }
}

async fn bring(
    post: &Post,
    handler: &'static str,
    number: u64,
    delivery: &Delivery,
) -> Result<Handled, HandlerError> {
    let parcel = Parcel {
        worker: post.worker(),
        tenant: delivery.tenant.to_string(),
        handler: handler.to_owned(),
        key: delivery.key.clone(),
        number,
        idempotency_key: delivery.idempotency_key(),
        attempt: delivery.attempt,
    };
    match post.bring(&parcel).await.map_err(HandlerError::passing)? {
        Answer::Taken => {
            let sign = SlipCommand::Sign { number, idempotency_key: parcel.idempotency_key };
            let slip = slip(handler, &delivery.key);
            Ok(Handled::done().send(Outgoing::command::<Slip>(&slip, &sign)))
        }
        Answer::Refused => Err(HandlerError::last("the receiver refuses it for good")),
        Answer::Again | Answer::Silence => Err(HandlerError::passing("the receiver wants it later")),
    }
}

/// The id of the slip of a handler and a purse.
pub(crate) fn slip(handler: &str, key: &str) -> String {
    format!("{handler}-{key}")
}

/// All of it. Its handlers bring what they are given to a receiver.
pub(crate) fn registry(post: Post) -> Registry {
    let post = Arc::new(post);
    Registry::default()
        .aggregate::<Purse>()
        .aggregate::<Order>()
        .aggregate::<Slip>()
        .process(Payment)
        .draw(Parcels)
        .handler(Courier(post.clone()))
        .handler(Herald(post))
}
