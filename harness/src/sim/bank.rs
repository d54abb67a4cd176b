//! The service that runs in the simulation: accounts, transfers between two of them, and orders that are paid through a
//! gateway by a process. Every change of an account sends a notice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::{
    Aggregate, Attempts, CommandOutcome, Context, Decision, Delivery, Draw, Drawing, Error, Handled, Handler,
    HandlerError, Input, Operation, Outgoing, Process, ProcessStart, Reads, Recorded, Step, StepContext,
    Streams,
};
use underlay_derive::{command, event, refusal, value};
use underlay_runtime::Registry;

use super::outside::Line;
use crate::balances::{Balances, Movement};

/// The tenants there are; all have the same accounts.
pub(crate) const TENANTS: [&str; 2] = ["north", "south"];
/// The accounts of a tenant.
pub(crate) const ACCOUNTS: u64 = 3;
/// How long the gateway has to answer before it is asked to let the payment be.
const DEADLINE: Duration = Duration::from_secs(12);

/// What can happen to an account; each counts the events of the account.
#[event(crate = underlay_core)]
#[derive(Eq)]
pub(crate) enum AccountEvent {
    #[event(name = "deposited", version = 1)]
    Deposited { number: u64, cents: i64 },
    #[event(name = "withdrawn", version = 1)]
    Withdrawn { number: u64, cents: i64 },
    #[event(name = "sent", version = 1)]
    Sent { number: u64, cents: i64 },
    #[event(name = "received", version = 1)]
    Received { number: u64, cents: i64 },
    #[event(name = "reserved", version = 1)]
    Reserved { number: u64, order: String, cents: i64 },
    #[event(name = "released", version = 1)]
    Released { number: u64, order: String, cents: i64 },
    #[event(name = "settled", version = 1)]
    Settled { number: u64, order: String, cents: i64 },
}

impl Movement for AccountEvent {
    fn change(&self) -> i64 {
        match self {
            Self::Deposited { cents, .. } | Self::Received { cents, .. } | Self::Released { cents, .. } => {
                *cents
            }
            Self::Withdrawn { cents, .. } | Self::Sent { cents, .. } | Self::Reserved { cents, .. } => -cents,
            Self::Settled { .. } => 0,
        }
    }
}

impl AccountEvent {
    /// Which event of its account it is, from 1.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Deposited { number, .. }
            | Self::Withdrawn { number, .. }
            | Self::Sent { number, .. }
            | Self::Received { number, .. }
            | Self::Reserved { number, .. }
            | Self::Released { number, .. }
            | Self::Settled { number, .. } => *number,
        }
    }
}

/// What can be asked of an account.
#[command(crate = underlay_core)]
pub(crate) enum AccountCommand {
    #[command(name = "deposit")]
    Deposit { cents: i64 },
    #[command(name = "withdraw")]
    Withdraw { cents: i64 },
    #[command(name = "reserve")]
    Reserve { order: String, cents: i64 },
    #[command(name = "release")]
    Release { order: String },
    #[command(name = "settle")]
    Settle { order: String },
}

/// Why an account says no.
#[refusal(crate = underlay_core)]
pub(crate) enum AccountRefusal {
    #[refusal(code = "overdrawn", message = "the balance is {balance}, {cents} were asked for")]
    Overdrawn { balance: i64, cents: i64 },
    #[refusal(code = "not-reserved", message = "nothing is reserved for order {order}")]
    NotReserved { order: String },
}

/// An account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    events: u64,
    balance: i64,
    reserved: BTreeMap<String, i64>,
}

impl Account {
    fn covers(&self, cents: i64) -> Result<(), AccountRefusal> {
        match cents <= self.balance {
            true => Ok(()),
            false => Err(AccountRefusal::Overdrawn { balance: self.balance, cents }),
        }
    }

    fn reserved(&self, order: &str) -> Result<i64, AccountRefusal> {
        let reserved = self.reserved.get(order).copied();
        reserved.ok_or_else(|| AccountRefusal::NotReserved { order: order.to_owned() })
    }
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Refusal = AccountRefusal;

    fn decide(&self, command: AccountCommand, _: &Context) -> Result<Decision<AccountEvent>, AccountRefusal> {
        let number = self.events + 1;
        Ok(match command {
            AccountCommand::Deposit { cents } => AccountEvent::Deposited { number, cents }.into(),
            AccountCommand::Withdraw { cents } => {
                self.covers(cents)?;
                AccountEvent::Withdrawn { number, cents }.into()
            }
            AccountCommand::Reserve { order, cents } => {
                self.covers(cents)?;
                AccountEvent::Reserved { number, order, cents }.into()
            }
            AccountCommand::Release { order } => {
                let cents = self.reserved(&order)?;
                AccountEvent::Released { number, order, cents }.into()
            }
            AccountCommand::Settle { order } => {
                let cents = self.reserved(&order)?;
                AccountEvent::Settled { number, order, cents }.into()
            }
        })
    }

    fn evolve(&mut self, event: &AccountEvent) {
        self.events += 1;
        self.balance += event.change();
        match event {
            AccountEvent::Reserved { order, cents, .. } => {
                self.reserved.insert(order.clone(), *cents);
            }
            AccountEvent::Released { order, .. } | AccountEvent::Settled { order, .. } => {
                self.reserved.remove(order);
            }
            _ => {}
        }
    }
}

/// Moves money between two accounts.
#[value(crate = underlay_core)]
#[derive(Eq)]
pub(crate) struct Transfer {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cents: i64,
}

impl Operation for Transfer {
    const NAME: &'static str = "transfer";
    type Refusal = AccountRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&self.from)?;
        reads.stream::<Account>(&self.to)
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), AccountRefusal> {
        let Self { from, to, cents } = self;
        let (giver, taker) = (streams.state::<Account>(from), streams.state::<Account>(to));
        giver.covers(*cents)?;
        let (given, taken) = (giver.events + 1, taker.events + 1);
        streams.append::<Account>(from, AccountEvent::Sent { number: given, cents: *cents });
        streams.append::<Account>(to, AccountEvent::Received { number: taken, cents: *cents });
        Ok(())
    }
}

/// What can happen to an order.
#[event(crate = underlay_core)]
#[derive(Eq)]
pub(crate) enum OrderEvent {
    #[event(name = "order-placed", version = 1)]
    Placed { account: String, cents: i64 },
    #[event(name = "order-charged", version = 1)]
    Charged,
    #[event(name = "order-refused", version = 1)]
    Refused,
    #[event(name = "order-completed", version = 1)]
    Completed,
    #[event(name = "order-declined", version = 1)]
    Declined,
}

/// What can be asked of an order.
#[command(crate = underlay_core)]
pub(crate) enum OrderCommand {
    #[command(name = "place")]
    Place { account: String, cents: i64 },
    #[command(name = "charged")]
    Charged,
    #[command(name = "refused")]
    Refused,
    #[command(name = "complete")]
    Complete,
    #[command(name = "decline")]
    Decline,
}

/// An order is placed once.
#[refusal(crate = underlay_core)]
pub(crate) enum OrderRefusal {
    #[refusal(code = "placed-before", message = "the order was placed before")]
    PlacedBefore,
}

/// An order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    is_placed: bool,
    is_answered: bool,
    is_over: bool,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = String;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Refusal = OrderRefusal;

    fn decide(&self, command: OrderCommand, _: &Context) -> Result<Decision<OrderEvent>, OrderRefusal> {
        Ok(match command {
            OrderCommand::Place { .. } if self.is_placed => return Err(OrderRefusal::PlacedBefore),
            OrderCommand::Place { account, cents } => OrderEvent::Placed { account, cents }.into(),
            OrderCommand::Charged | OrderCommand::Refused if self.is_answered => Decision::nothing(),
            OrderCommand::Charged => OrderEvent::Charged.into(),
            OrderCommand::Refused => OrderEvent::Refused.into(),
            OrderCommand::Complete | OrderCommand::Decline if self.is_over => Decision::nothing(),
            OrderCommand::Complete => OrderEvent::Completed.into(),
            OrderCommand::Decline => OrderEvent::Declined.into(),
        })
    }

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed { .. } => self.is_placed = true,
            OrderEvent::Charged | OrderEvent::Refused => self.is_answered = true,
            OrderEvent::Completed | OrderEvent::Declined => self.is_over = true,
        }
    }
}

/// What an instance of [`Payment`] knows.
#[value(crate = underlay_core)]
pub(crate) struct PaymentState {
    order: String,
    account: String,
    cents: i64,
    is_charging: bool,
}

impl PaymentState {
    fn account(&self, command: AccountCommand) -> Outgoing {
        Outgoing::command::<Account>(&self.account, &command)
    }

    fn order(&self, command: OrderCommand) -> Outgoing {
        Outgoing::command::<Order>(&self.order, &command)
    }

    fn gateway(&self, message: GatewayMessage) -> Outgoing {
        Outgoing::message::<Gateway>(&self.order, &message)
    }
}

/// Reserves, charges and settles; releases where the gateway says no; asks it to let the payment be where it does not
/// answer in time, and goes by what it says then.
pub(crate) struct Payment;

impl Payment {
    fn decline(state: &PaymentState) -> Step<PaymentState> {
        let step = Step::stay().clear_timer("deadline");
        // Where money is reserved, it is released first.
        if state.is_charging { step.compensate() } else { Self::say_declined(step, state) }
    }

    fn say_declined(step: Step<PaymentState>, state: &PaymentState) -> Step<PaymentState> {
        step.command("decline", state.order(OrderCommand::Decline))
    }
}

impl Process for Payment {
    const NAME: &'static str = "payment";
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = OrderEvent;
    type State = PaymentState;

    fn attempts(&self) -> Attempts {
        Attempts {
            delay_max: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            ..Attempts::default()
        }
    }

    fn route(&self, event: &Recorded<OrderEvent>) -> Option<String> {
        let is_for_it = !matches!(event.event, OrderEvent::Completed | OrderEvent::Declined);
        is_for_it.then(|| event.stream().id().to_owned())
    }

    fn step(
        &self,
        state: Option<&PaymentState>,
        input: &Input<OrderEvent>,
        context: &StepContext,
    ) -> Step<PaymentState> {
        let deadline = context.now.saturating_add(DEADLINE).unwrap_or(context.now);
        let Some(state) = state else {
            let Input::Event(Recorded { event: OrderEvent::Placed { account, cents }, record }) = input
            else {
                return Step::stay();
            };
            let order = record.stream.id().to_owned();
            let state = PaymentState { order, account: account.clone(), cents: *cents, is_charging: false };
            let reserve = AccountCommand::Reserve { order: state.order.clone(), cents: *cents };
            return Step::to(state.clone())
                .command("reserve", state.account(reserve))
                .timer("deadline", deadline);
        };
        let (order, cents) = (state.order.clone(), state.cents);
        match input {
            Input::Outcome { name, outcome } => match (name.as_str(), outcome) {
                ("reserve", CommandOutcome::Accepted) => {
                    Step::to(PaymentState { is_charging: true, ..state.clone() })
                        .undo_by("release", state.account(AccountCommand::Release { order: order.clone() }))
                        .send(state.gateway(GatewayMessage::Charge { order, cents }))
                }
                ("reserve", _) => Self::decline(state),
                // It has not run and never will, and something has to come of the money.
                ("settle", CommandOutcome::Failed { .. }) => {
                    Step::stay().command("settle", state.account(AccountCommand::Settle { order }))
                }
                ("release", CommandOutcome::Failed { .. }) => {
                    Step::stay().command("release", state.account(AccountCommand::Release { order }))
                }
                ("release", _) => Self::say_declined(Step::stay(), state),
                ("complete", CommandOutcome::Failed { .. }) => {
                    Step::stay().command("complete", state.order(OrderCommand::Complete))
                }
                ("decline", CommandOutcome::Failed { .. }) => Self::say_declined(Step::stay(), state),
                ("settle", _) => Step::stay().command("complete", state.order(OrderCommand::Complete)),
                ("complete" | "decline", _) => Step::stay().finish(),
                _ => Step::stay(),
            },
            Input::Event(Recorded { event: OrderEvent::Charged, .. }) => Step::stay()
                .clear_timer("deadline")
                .command("settle", state.account(AccountCommand::Settle { order })),
            Input::Event(Recorded { event: OrderEvent::Refused, .. }) => Self::decline(state),
            Input::Event(_) => Step::stay(),
            Input::Timer { .. } if state.is_charging => {
                Step::stay().send(state.gateway(GatewayMessage::LetBe { order }))
            }
            Input::Timer { .. } => Step::stay().timer("deadline", deadline),
        }
    }
}

/// What the gateway is asked.
#[event(crate = underlay_core)]
pub(crate) enum GatewayMessage {
    #[event(name = "charge", version = 1)]
    Charge { order: String, cents: i64 },
    #[event(name = "let-be", version = 1)]
    LetBe { order: String },
}

/// Brings messages to the gateway, and its answers to the orders.
pub(crate) struct Gateway(pub(crate) Arc<Line>);

impl Handler for Gateway {
    const NAME: &'static str = "gateway";
    const HOLDS_KEY: bool = true;
    type Message = GatewayMessage;

    fn attempts(&self) -> Attempts {
        outside_attempts()
    }

    async fn handle(&self, message: GatewayMessage, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let tenant = delivery.tenant.as_str();
        let key = delivery.idempotency_key();
        let (order, is_charged) = match message {
            GatewayMessage::Charge { order, cents } => {
                let is_charged = self.0.charge(tenant, &order, cents, &key).await?;
                (order, is_charged)
            }
            GatewayMessage::LetBe { order } => {
                let is_charged = self.0.let_be(tenant, &order).await?;
                (order, is_charged)
            }
        };
        let told = if is_charged { OrderCommand::Charged } else { OrderCommand::Refused };
        Ok(Handled::done().send(Outgoing::command::<Order>(&order, &told)))
    }
}

/// Tells the outside what happened to an account.
#[event(crate = underlay_core)]
pub(crate) enum Notice {
    #[event(name = "notice", version = 1)]
    Of { account: String, number: u64 },
}

/// Draws a notice from each event of an account.
pub(crate) struct Notices;

impl Draw for Notices {
    type Event = AccountEvent;

    fn draw(&self, event: &AccountEvent, drawing: Drawing<'_>) -> Vec<Outgoing> {
        let account = drawing.stream.id().to_owned();
        vec![Outgoing::message::<Inbox>(account.clone(), &Notice::Of { account, number: event.number() })]
    }
}

/// Brings notices to the outside, in order for each account.
pub(crate) struct Inbox(pub(crate) Arc<Line>);

impl Handler for Inbox {
    const NAME: &'static str = "inbox";
    const HOLDS_KEY: bool = true;
    type Message = Notice;

    fn attempts(&self) -> Attempts {
        outside_attempts()
    }

    async fn handle(&self, message: Notice, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let Notice::Of { account, number } = message;
        self.0.notify(delivery.tenant.as_str(), &account, number).await?;
        Ok(Handled::done())
    }
}

fn outside_attempts() -> Attempts {
    Attempts {
        attempts_max: 4,
        delay_min: Duration::from_millis(200),
        delay_max: Duration::from_secs(2),
        timeout: Duration::from_secs(3),
    }
}

/// All of it.
pub(crate) fn registry(line: &Arc<Line>) -> Registry {
    Registry::default()
        .aggregate::<Account>()
        .aggregate::<Order>()
        .operation::<Transfer>()
        .view(Balances::<AccountEvent>::default())
        .process(Payment)
        .draw(Notices)
        .handler(Gateway(line.clone()))
        .handler(Inbox(line.clone()))
        .pump("copy", line.sink())
}
