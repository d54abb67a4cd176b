//! A payment: money is reserved, the gateway charged, the money settled. It is released where the gateway refuses,
//! and where nothing comes of it in an hour.

use std::time::Duration;

use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Aggregate, CommandOutcome, Context, Decision, EventStoreExt, Input, Outgoing, Process, ProcessStart,
    Recorded, Step, StepContext, StreamName, TenantId, Version,
};
use underlay_derive::{command, event, refusal, value};

use crate::{Engine, Registry, Request};

#[event(crate = underlay_core)]
pub(super) enum OrderEvent {
    #[event(name = "order-placed", version = 1)]
    Placed { account: String, cents: i64 },
    #[event(name = "order-paid", version = 1)]
    Paid,
    #[event(name = "order-cancelled", version = 1)]
    Cancelled { why: String },
}

#[command(crate = underlay_core)]
pub(super) enum OrderCommand {
    #[command(name = "place")]
    Place { account: String, cents: i64 },
    #[command(name = "pay")]
    Pay,
    #[command(name = "cancel")]
    Cancel { why: String },
}

#[refusal(crate = underlay_core)]
pub(super) enum Never {
    #[refusal(code = "never", message = "never")]
    Never,
}

#[derive(Clone, Default)]
pub(super) struct Order;

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = String;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Refusal = Never;

    fn decide(&self, command: OrderCommand, _: &Context) -> Result<Decision<OrderEvent>, Never> {
        Ok(match command {
            OrderCommand::Place { account, cents } => OrderEvent::Placed { account, cents }.into(),
            OrderCommand::Pay => OrderEvent::Paid.into(),
            OrderCommand::Cancel { why } => OrderEvent::Cancelled { why }.into(),
        })
    }

    fn evolve(&mut self, _: &OrderEvent) {}
}

#[event(crate = underlay_core)]
pub(super) enum AccountEvent {
    #[event(name = "reserved", version = 1)]
    Reserved { cents: i64 },
    #[event(name = "released", version = 1)]
    Released { cents: i64 },
    #[event(name = "settled", version = 1)]
    Settled { cents: i64 },
}

#[command(crate = underlay_core)]
pub(super) enum AccountCommand {
    #[command(name = "reserve")]
    Reserve { cents: i64 },
    #[command(name = "release")]
    Release { cents: i64 },
    #[command(name = "settle")]
    Settle { cents: i64 },
}

/// Every account has a limit of 1,000.
#[derive(Clone, Default)]
pub(super) struct Account {
    reserved: i64,
}

#[refusal(crate = underlay_core)]
pub(super) enum AccountRefusal {
    #[refusal(code = "over-limit", message = "{cents} are over the limit")]
    OverLimit { cents: i64 },
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Refusal = AccountRefusal;

    fn decide(&self, command: AccountCommand, _: &Context) -> Result<Decision<AccountEvent>, AccountRefusal> {
        Ok(match command {
            AccountCommand::Reserve { cents } if self.reserved + cents > 1_000 => {
                return Err(AccountRefusal::OverLimit { cents });
            }
            AccountCommand::Reserve { cents } => AccountEvent::Reserved { cents }.into(),
            AccountCommand::Release { cents } => AccountEvent::Released { cents }.into(),
            AccountCommand::Settle { cents } => AccountEvent::Settled { cents }.into(),
        })
    }

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Reserved { cents } => self.reserved += cents,
            AccountEvent::Released { cents } | AccountEvent::Settled { cents } => self.reserved -= cents,
        }
    }
}

#[event(crate = underlay_core)]
pub(super) enum GatewayEvent {
    #[event(name = "charged", version = 1)]
    Charged { cents: i64 },
}

#[command(crate = underlay_core)]
pub(super) enum GatewayCommand {
    #[command(name = "charge")]
    Charge { cents: i64 },
}

#[derive(Clone, Default)]
pub(super) struct Gateway;

impl Aggregate for Gateway {
    const CATEGORY: &'static str = "gateway";
    type Id = String;
    type Command = GatewayCommand;
    type Event = GatewayEvent;
    type Refusal = AccountRefusal;

    fn decide(&self, command: GatewayCommand, _: &Context) -> Result<Decision<GatewayEvent>, AccountRefusal> {
        let GatewayCommand::Charge { cents } = command;
        if cents > 100 {
            Err(AccountRefusal::OverLimit { cents })
        } else {
            Ok(GatewayEvent::Charged { cents }.into())
        }
    }

    fn evolve(&mut self, _: &GatewayEvent) {}
}

#[value(crate = underlay_core)]
pub(super) struct PaymentState {
    pub(super) order: String,
    pub(super) account: String,
    pub(super) cents: i64,
}

#[derive(Clone)]
pub(super) struct Payment;

pub(super) const DEADLINE: Duration = Duration::from_secs(60 * 60);

impl PaymentState {
    fn account(&self, command: AccountCommand) -> Outgoing {
        Outgoing::command::<Account>(&self.account, &command)
    }

    fn order(&self, command: OrderCommand) -> Outgoing {
        Outgoing::command::<Order>(&self.order, &command)
    }
}

impl Process for Payment {
    const NAME: &'static str = "payment";
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = OrderEvent;
    type State = PaymentState;

    fn route(&self, event: &Recorded<OrderEvent>) -> Option<String> {
        matches!(event.event, OrderEvent::Placed { .. }).then(|| event.stream().id().to_owned())
    }

    fn step(
        &self,
        state: Option<&PaymentState>,
        input: &Input<OrderEvent>,
        context: &StepContext,
    ) -> Step<PaymentState> {
        let Some(state) = state else {
            let Input::Event(Recorded { event: OrderEvent::Placed { account, cents }, record }) = input
            else {
                return Step::stay();
            };
            let state = PaymentState {
                order: record.stream.id().to_owned(),
                account: account.clone(),
                cents: *cents,
            };
            return Step::to(state.clone())
                .command("reserve", state.account(AccountCommand::Reserve { cents: *cents }))
                .timer("deadline", context.now.saturating_add(DEADLINE).unwrap_or(context.now));
        };
        let cents = state.cents;
        let cancel = |why: &str| {
            let why = why.to_owned();
            Step::stay().compensate().command("cancel", state.order(OrderCommand::Cancel { why }))
        };
        match input {
            Input::Outcome { name, outcome } => match (name.as_str(), outcome) {
                ("reserve", CommandOutcome::Accepted) => {
                    Step::stay().undo_by("release", state.account(AccountCommand::Release { cents })).command(
                        "charge",
                        Outgoing::command::<Gateway>(&state.order, &GatewayCommand::Charge { cents }),
                    )
                }
                ("charge", CommandOutcome::Accepted) => Step::stay()
                    .clear_timer("deadline")
                    .send(state.account(AccountCommand::Settle { cents }))
                    .command("pay", state.order(OrderCommand::Pay)),
                ("reserve" | "charge", CommandOutcome::Refused { code, .. }) => {
                    cancel(code).clear_timer("deadline")
                }
                ("pay" | "cancel", _) => Step::stay().finish(),
                _ => Step::stay(),
            },
            Input::Timer { .. } => cancel("deadline"),
            Input::Event(_) => Step::stay(),
        }
    }
}

pub(super) fn registry() -> Registry {
    aggregates().process(Payment)
}

pub(super) fn aggregates() -> Registry {
    Registry::default().aggregate::<Order>().aggregate::<Account>().aggregate::<Gateway>()
}

pub(super) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(super) async fn place(engine: &Engine, tenant: &TenantId, order: &str, cents: i64) {
    let command = OrderCommand::Place { account: format!("of-{order}"), cents };
    let request = Request::new(tenant.clone()).with_key(order);
    engine.execute::<Order>(&request, &order.to_owned(), command).await.unwrap();
}

/// What happened in a stream, by the types of its events.
pub(super) async fn history(log: &MemoryEventStore, tenant: &TenantId, stream: &str) -> Vec<String> {
    let stream = StreamName::parse(stream).unwrap();
    let events = log.read_stream_whole(tenant, &stream, Version::NONE).await.unwrap();
    events.iter().map(|event| event.event_type.to_string()).collect()
}

/// All that happened around an order.
pub(super) async fn story(log: &MemoryEventStore, tenant: &TenantId, order: &str) -> [Vec<String>; 3] {
    [
        history(log, tenant, &format!("order-{order}")).await,
        history(log, tenant, &format!("account-of-{order}")).await,
        history(log, tenant, &format!("gateway-{order}")).await,
    ]
}

/// What must have happened, whatever went wrong on the way.
pub(super) fn ending(cents: i64) -> [Vec<String>; 3] {
    let of = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    match cents {
        ..=100 => [of(&["order-placed", "order-paid"]), of(&["reserved", "settled"]), of(&["charged"])],
        101..=1_000 => [of(&["order-placed", "order-cancelled"]), of(&["reserved", "released"]), of(&[])],
        _ => [of(&["order-placed", "order-cancelled"]), of(&[]), of(&[])],
    }
}
