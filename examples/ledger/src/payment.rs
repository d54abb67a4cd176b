//! Payments through a gateway: reserve the money, have the gateway charge it, settle; or release it.
//!
//! ```text
//!  request ─► reserve ─► charge ─► charged ─► settle ─► finished
//!                │          │  └─► declined ─► release ─► finished
//!                │          └── no answer in time ─► stop, reconcile ─► charged or cancelled, as above
//!                └── refused ─► declined ─► finished
//! ```
//!
//! How a payment ends, the gateway says. Where a person notes that it was declined, or its time is up, it is stopped: the
//! gateway is asked to cancel it, and it is released only then. So no money goes back that the gateway charges after
//! all, and none stays set aside, however early somebody stops it. From then on nobody asks the gateway to charge.
//!
//! A finished payment is told as `charged`, as `declined`, or as `cancelled` where it was stopped before.
//!
//! Where the gateway is gone for good and nobody can say how a payment ended, an operator ends it once it was stopped:
//! it counts as declined, and the money is released. Whether the gateway has charged it then is between people.
//!
//! A command to settle, to release or to decline that is given up is sent again after an hour: until then the money is
//! still set aside, or the payment still counts as requested.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use underlay::{
    Aggregate, CommandOutcome, Context, Decimal, Decision, Input, Outgoing, Process, ProcessStart, Recorded,
    Step, StepContext, Timestamp,
};

use crate::account::{Account, AccountCommand, AccountId};
use crate::gateway::{Charge, ChargeMessage, NO_GATEWAY, Reconcile, ReconcileMessage};
use crate::money::{AMOUNT_PATTERN, Commodity, Money};

/// Characters in the id of a payment.
pub const PAYMENT_CHARS_MAX: usize = 64;
/// Characters in the name of whoever is paid.
pub const PAYEE_CHARS_MAX: usize = 200;
/// How long the gateway has to answer where nothing else is said.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How long after a command was given up that ends the payment it is sent again.
pub const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);
/// The timers of what is sent again.
const SETTLE_AGAIN: &str = "settle-again";
const RELEASE_AGAIN: &str = "release-again";
const DECLINE_AGAIN: &str = "decline-again";
/// Why a payment is stopped whose time is up.
const NOT_IN_TIME: &str = "the gateway has not answered in time";
/// Why a payment is declined where the reason went with a command that was given up.
const NOT_SET_ASIDE: &str = "the money could not be set aside";

/// The id of a payment: 1 to [`PAYMENT_CHARS_MAX`] letters, digits and `-`. The gateway knows the payment by it.
#[underlay::value]
#[derive(Eq, Hash, PartialOrd, Ord)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentId(String);

/// A text is not the id of a payment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payment {0:?} is not 1 to {PAYMENT_CHARS_MAX} letters, digits and '-'")]
pub struct InvalidPaymentId(pub String);

impl PaymentId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PaymentId {
    type Err = InvalidPaymentId;
    fn from_str(text: &str) -> Result<Self, InvalidPaymentId> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for PaymentId {
    type Error = InvalidPaymentId;
    fn try_from(text: String) -> Result<Self, InvalidPaymentId> {
        let well_formed = (1..=PAYMENT_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if well_formed { Ok(Self(text)) } else { Err(InvalidPaymentId(text)) }
    }
}

impl From<PaymentId> for String {
    fn from(payment: PaymentId) -> Self {
        payment.0
    }
}

/// What can happen to a payment.
#[underlay::event]
#[derive(Eq)]
pub enum PaymentEvent {
    /// Somebody wants to pay.
    #[event(name = "payment-requested", version = 1)]
    Requested {
        /// Whose money it is.
        account: AccountId,
        /// How much; more than zero.
        money: Money,
        /// Who is paid.
        payee: String,
    },
    /// The gateway has charged it.
    #[event(name = "payment-charged", version = 1)]
    Charged {
        /// What the gateway calls the charge.
        reference: String,
    },
    /// Somebody wants it to end. The gateway says whether it was charged before.
    #[event(name = "payment-stopped", version = 1)]
    Stopped {
        /// Why.
        reason: String,
    },
    /// It was not made: the account or the gateway said no.
    #[event(name = "payment-declined", version = 1)]
    Declined {
        /// Why.
        reason: String,
    },
}

/// What can be asked of a payment.
#[underlay::command]
#[derive(Eq)]
pub enum PaymentCommand {
    /// Pays.
    #[command(name = "pay")]
    Pay {
        /// Whose money it is.
        account: AccountId,
        /// How much; more than zero.
        #[serde(with = "crate::money::exact")]
        #[schemars(with = "String", regex(pattern = AMOUNT_PATTERN))]
        amount: Decimal,
        /// Of what.
        commodity: Commodity,
        /// Who is paid.
        payee: String,
    },
    /// Notes that the gateway has charged it.
    #[command(name = "note-charged", roles("payments"))]
    NoteCharged {
        /// What the gateway calls the charge.
        reference: String,
    },
    /// Notes that it was not made. Given by a person, it stops the payment.
    #[command(name = "note-declined", roles("payments"))]
    NoteDeclined {
        /// Why.
        reason: String,
    },
    /// Wants it to end, as [`PaymentCommand::NoteDeclined`] of a person does. The gateway says whether it was charged.
    #[command(name = "stop", roles("payments"))]
    Stop {
        /// Why.
        reason: String,
    },
    /// Ends a payment that was stopped, and that the gateway will never say the end of: it counts as declined.
    #[command(name = "end-unanswered", roles("operator"))]
    EndUnanswered {
        /// Why nobody waits for the gateway any more.
        reason: String,
    },
}

/// What a payment says no with.
#[underlay::refusal]
#[derive(Eq)]
pub enum PaymentRefusal {
    /// It was asked for before.
    #[refusal(code = "already-requested", message = "the payment was asked for before")]
    AlreadyRequested,
    /// Nobody asked for it.
    #[refusal(code = "not-requested", message = "nobody has asked for the payment")]
    NotRequested,
    /// The amount is zero or less.
    #[refusal(code = "not-positive", message = "the amount is {amount}; it must be more than zero")]
    NotPositive {
        /// The amount.
        amount: Decimal,
    },
    /// The payee has no name that fits.
    #[refusal(
        code = "no-payee",
        message = "the payee has {chars} characters; it has 1 to 200, none of them a control character"
    )]
    NoPayee {
        /// How many it has.
        chars: u64,
    },
    /// Somebody says what only the gateway knows.
    #[refusal(code = "gateway-decides", message = "only the gateway says that a payment was charged")]
    GatewayDecides,
    /// The gateway may still say how it ends.
    #[refusal(
        code = "not-stopped",
        message = "the payment is not stopped; give note-declined, so that the gateway is asked to cancel it, and end \
                   it only where no answer will ever come"
    )]
    NotStopped,
    /// It has ended otherwise.
    #[refusal(code = "already-ended", message = "the payment has ended: {how}")]
    AlreadyEnded {
        /// How.
        how: String,
    },
}

/// A payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payment {
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    New,
    Requested,
    /// Somebody wants it to end.
    Stopped,
    Charged,
    Declined,
}

/// Whether a command comes from the service itself, such as what the gateway said: a person has a name or a role.
fn is_own(context: &Context) -> bool {
    context.actor.name.is_none() && context.actor.roles.is_empty()
}

impl Aggregate for Payment {
    const CATEGORY: &'static str = "payment";
    type Id = PaymentId;
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Refusal = PaymentRefusal;

    fn decide(
        &self,
        command: PaymentCommand,
        context: &Context,
    ) -> Result<Decision<PaymentEvent>, PaymentRefusal> {
        let event = match (command, self.stage) {
            (PaymentCommand::Pay { account, amount, commodity, payee }, Stage::New) => {
                if amount <= Decimal::ZERO {
                    return Err(PaymentRefusal::NotPositive { amount });
                }
                let chars = payee.chars().count();
                if !(1..=PAYEE_CHARS_MAX).contains(&chars) || payee.chars().any(char::is_control) {
                    return Err(PaymentRefusal::NoPayee { chars: chars as u64 });
                }
                PaymentEvent::Requested { account, money: Money { amount, commodity }, payee }
            }
            (PaymentCommand::Pay { .. }, _) => return Err(PaymentRefusal::AlreadyRequested),
            (_, Stage::New) => return Err(PaymentRefusal::NotRequested),
            (PaymentCommand::NoteCharged { .. }, _) if !is_own(context) => {
                return Err(PaymentRefusal::GatewayDecides);
            }
            (PaymentCommand::NoteDeclined { reason }, Stage::Requested) if !is_own(context) => {
                PaymentEvent::Stopped { reason }
            }
            (PaymentCommand::NoteDeclined { .. }, Stage::Stopped) if !is_own(context) => {
                return Ok(Decision::nothing());
            }
            (PaymentCommand::Stop { reason }, Stage::Requested) => PaymentEvent::Stopped { reason },
            (PaymentCommand::Stop { .. }, Stage::Stopped) => return Ok(Decision::nothing()),
            (PaymentCommand::EndUnanswered { reason }, Stage::Stopped) => PaymentEvent::Declined { reason },
            (PaymentCommand::EndUnanswered { .. }, Stage::Requested) => {
                return Err(PaymentRefusal::NotStopped);
            }
            (PaymentCommand::NoteCharged { reference }, Stage::Requested | Stage::Stopped) => {
                PaymentEvent::Charged { reference }
            }
            (PaymentCommand::NoteDeclined { reason }, Stage::Requested | Stage::Stopped) => {
                PaymentEvent::Declined { reason }
            }
            // Two ways of finding out may find the same.
            (PaymentCommand::NoteCharged { .. }, Stage::Charged)
            | (PaymentCommand::NoteDeclined { .. } | PaymentCommand::EndUnanswered { .. }, Stage::Declined) =>
            {
                return Ok(Decision::nothing());
            }
            (_, stage) => {
                let how = if stage == Stage::Charged { "it was charged" } else { "it was declined" };
                return Err(PaymentRefusal::AlreadyEnded { how: how.to_owned() });
            }
        };
        Ok(event.into())
    }

    fn evolve(&mut self, event: &PaymentEvent) {
        self.stage = match event {
            PaymentEvent::Requested { .. } => Stage::Requested,
            PaymentEvent::Stopped { .. } => Stage::Stopped,
            PaymentEvent::Charged { .. } => Stage::Charged,
            PaymentEvent::Declined { .. } => Stage::Declined,
        };
    }
}

/// Takes a payment from the request to its end.
#[derive(Clone, Copy, Debug)]
pub struct Payments {
    /// How long the gateway has to answer before it is asked what became of the payment.
    pub answer_within: Duration,
    /// Whether there is a gateway to ask. Without one a payment is declined before anybody is asked, and never after:
    /// a gateway that was asked before it was taken away may have charged.
    pub has_gateway: bool,
}

/// How far a payment has come.
#[underlay::value]
#[derive(Copy, Default, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStage {
    /// The money is being set aside.
    #[default]
    Reserving,
    /// The money is set aside, and the gateway is asked.
    Charging,
}

/// What was heard of a payment before its end was known, or before its money was set aside.
#[underlay::value]
#[derive(Copy, Default, Eq)]
#[serde(rename_all = "snake_case")]
pub enum EarlyEnd {
    /// Nothing.
    #[default]
    None,
    /// Somebody wants it to end, or its time is up.
    Stopped,
    /// It was declined.
    Declined,
}

/// What is known of a payment on its way.
#[underlay::value]
#[derive(Eq)]
pub struct PaymentState {
    /// The payment.
    pub payment: PaymentId,
    /// Whose money it is.
    pub account: AccountId,
    /// How much.
    pub money: Money,
    /// Who is paid.
    pub payee: String,
    /// How far it has come.
    pub stage: PaymentStage,
    /// What was heard of it early.
    pub early_end: EarlyEnd,
}

impl Process for Payments {
    const NAME: &'static str = "payments";
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = PaymentEvent;
    type State = PaymentState;

    fn route(&self, event: &Recorded<PaymentEvent>) -> Option<String> {
        Some(event.stream().id().to_owned())
    }

    fn step(
        &self,
        state: Option<&PaymentState>,
        input: &Input<PaymentEvent>,
        context: &StepContext,
    ) -> Step<PaymentState> {
        match (state, input) {
            (None, Input::Event(recorded)) => {
                let PaymentEvent::Requested { account, money, payee } = &recorded.event else {
                    return Step::stay();
                };
                let Ok(payment) = context.instance.parse::<PaymentId>() else { return Step::stay() };
                let state = PaymentState {
                    payment,
                    account: account.clone(),
                    money: money.clone(),
                    payee: payee.clone(),
                    stage: PaymentStage::Reserving,
                    early_end: EarlyEnd::None,
                };
                Step::to(state.clone()).command("reserve", state.reserve())
            }
            (None, _) => Step::stay(),
            (Some(state), Input::Event(recorded)) => match &recorded.event {
                PaymentEvent::Requested { .. } => Step::stay(),
                PaymentEvent::Stopped { .. } => match (state.stage, state.early_end) {
                    (PaymentStage::Reserving, _) => Step::to(state.heard(EarlyEnd::Stopped)),
                    // Its time was up, so the gateway was asked already.
                    (PaymentStage::Charging, EarlyEnd::Stopped) => Step::stay(),
                    (PaymentStage::Charging, _) => {
                        let stopped = state.heard(EarlyEnd::Stopped);
                        Step::to(stopped).clear_timer("answer").send(state.reconcile())
                    }
                },
                PaymentEvent::Declined { .. } if state.stage == PaymentStage::Reserving => {
                    Step::to(state.heard(EarlyEnd::Declined))
                }
                PaymentEvent::Charged { .. } => {
                    Step::to(state.clone()).clear_timer("answer").command("settle", state.settle())
                }
                PaymentEvent::Declined { .. } => Step::to(state.clone()).clear_timer("answer").compensate(),
            },
            (Some(state), Input::Outcome { name, outcome }) => {
                let answer_by = context.now.saturating_add(self.answer_within).unwrap_or(context.now);
                match (name.as_str(), outcome) {
                    ("reserve", CommandOutcome::Accepted) => self.reserved(state, answer_by),
                    _ => state.after(name, outcome, context.now),
                }
            }
            (Some(state), Input::Timer { name }) => match name.as_str() {
                SETTLE_AGAIN => Step::stay().command("settle", state.settle()),
                RELEASE_AGAIN => Step::stay().command("release", state.release()),
                DECLINE_AGAIN => Step::stay().command("decline", state.decline(NOT_SET_ASIDE)),
                // The gateway is asked whatever becomes of the command.
                _ => Step::to(state.heard(EarlyEnd::Stopped))
                    .send(state.stop(NOT_IN_TIME))
                    .send(state.reconcile()),
            },
        }
    }
}

impl Payments {
    /// What follows once the money is set aside.
    fn reserved(&self, state: &PaymentState, answer_by: Timestamp) -> Step<PaymentState> {
        let charging = PaymentState { stage: PaymentStage::Charging, ..state.clone() };
        match state.early_end {
            EarlyEnd::Declined => Step::to(charging).command("release", state.release()),
            _ if !self.has_gateway => {
                Step::to(charging).undo_by("release", state.release()).send(state.decline(NO_GATEWAY))
            }
            EarlyEnd::Stopped => {
                Step::to(charging).undo_by("release", state.release()).send(state.reconcile())
            }
            EarlyEnd::None => Step::to(charging)
                .undo_by("release", state.release())
                .send(state.charge())
                .timer("answer", answer_by),
        }
    }
}

impl PaymentState {
    fn reserve(&self) -> Outgoing {
        let Money { amount, commodity } = self.money.clone();
        let payment = self.payment.clone();
        Outgoing::command::<Account>(&self.account, &AccountCommand::Reserve { payment, amount, commodity })
    }

    fn settle(&self) -> Outgoing {
        Outgoing::command::<Account>(&self.account, &AccountCommand::Settle { payment: self.payment.clone() })
    }

    fn release(&self) -> Outgoing {
        Outgoing::command::<Account>(
            &self.account,
            &AccountCommand::Release { payment: self.payment.clone() },
        )
    }

    fn charge(&self) -> Outgoing {
        let message = ChargeMessage::Charge {
            payment: self.payment.clone(),
            money: self.money.clone(),
            payee: self.payee.clone(),
        };
        Outgoing::message::<Charge>(self.payment.as_str(), &message)
    }

    fn reconcile(&self) -> Outgoing {
        let message = ReconcileMessage::Reconcile { payment: self.payment.clone() };
        Outgoing::message::<Reconcile>(self.payment.as_str(), &message)
    }

    fn decline(&self, reason: &str) -> Outgoing {
        let declined = PaymentCommand::NoteDeclined { reason: reason.to_owned() };
        Outgoing::command::<Payment>(&self.payment, &declined)
    }

    fn stop(&self, reason: &str) -> Outgoing {
        let stop = PaymentCommand::Stop { reason: reason.to_owned() };
        Outgoing::command::<Payment>(&self.payment, &stop)
    }

    fn heard(&self, early_end: EarlyEnd) -> Self {
        Self { early_end, ..self.clone() }
    }

    /// What follows from the end of a command, but from money that was set aside.
    fn after(&self, name: &str, outcome: &CommandOutcome, now: Timestamp) -> Step<Self> {
        let again = now.saturating_add(AGAIN_AFTER).unwrap_or(now);
        match (name, outcome) {
            (
                "reserve",
                CommandOutcome::Refused { message: reason, .. } | CommandOutcome::Failed { reason },
            ) => Step::to(self.clone()).command("decline", self.decline(reason)),
            // The money is still set aside, or the payment still counts as requested, and what failed never runs.
            ("settle", CommandOutcome::Failed { .. }) => Step::stay().timer(SETTLE_AGAIN, again),
            ("release", CommandOutcome::Failed { .. }) => Step::stay().timer(RELEASE_AGAIN, again),
            ("decline", CommandOutcome::Failed { .. }) => Step::stay().timer(DECLINE_AGAIN, again),
            _ => Step::to(self.clone()).finish_as(match (name, self.early_end) {
                ("settle", _) => "charged",
                ("release", EarlyEnd::Stopped) => "cancelled",
                _ => "declined",
            }),
        }
    }
}
