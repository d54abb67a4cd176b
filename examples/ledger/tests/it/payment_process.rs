//! The process of payments by itself: what it does at each input, also when they come in another order.

use std::time::Duration;

use ledger::account::{Account, AccountCommand};
use ledger::gateway::{Charge, ChargeMessage, Reconcile, ReconcileMessage};
use ledger::money::Money;
use ledger::payment::{
    AGAIN_AFTER, ANSWER_WITHIN, EarlyEnd, Payment, PaymentCommand, PaymentEvent, PaymentId, PaymentStage,
    PaymentState, Payments,
};
use underlay::words::Json;
use underlay::{Actor, CommandOutcome, Input, Outgoing, Step, Timestamp};
use underlay_testkit::{GivenProcess, given, given_process};

use crate::decision::{commodity, money, number};

const STREAM: &str = "payment-rent";

fn process() -> Payments {
    Payments { answer_within: ANSWER_WITHIN, has_gateway: true }
}

fn id() -> PaymentId {
    "rent".parse().unwrap()
}

fn requested() -> PaymentEvent {
    PaymentEvent::Requested {
        account: "purse".parse().unwrap(),
        money: money("10", "EUR"),
        payee: "landlord".to_owned(),
    }
}

fn declined() -> PaymentEvent {
    PaymentEvent::Declined { reason: "no".to_owned() }
}

fn stopped() -> PaymentEvent {
    PaymentEvent::Stopped { reason: "a mistake".to_owned() }
}

fn charged() -> PaymentEvent {
    PaymentEvent::Charged { reference: "7".to_owned() }
}

fn state(stage: PaymentStage, early_end: EarlyEnd) -> PaymentState {
    PaymentState {
        payment: id(),
        account: "purse".parse().unwrap(),
        money: money("10", "EUR"),
        payee: "landlord".to_owned(),
        stage,
        early_end,
    }
}

fn reserving() -> PaymentState {
    state(PaymentStage::Reserving, EarlyEnd::None)
}

fn charging() -> PaymentState {
    state(PaymentStage::Charging, EarlyEnd::None)
}

fn of_purse(command: &AccountCommand) -> Outgoing {
    Outgoing::command::<Account>(&"purse".parse().unwrap(), command)
}

fn reserve() -> Outgoing {
    of_purse(&AccountCommand::Reserve { payment: id(), amount: number("10"), commodity: commodity("EUR") })
}

fn release() -> Outgoing {
    of_purse(&AccountCommand::Release { payment: id() })
}

fn settle() -> Outgoing {
    of_purse(&AccountCommand::Settle { payment: id() })
}

fn charge() -> Outgoing {
    let Money { amount, commodity } = money("10", "EUR");
    let payee = "landlord".to_owned();
    Outgoing::message::<Charge>(
        "rent",
        &ChargeMessage::Charge { payment: id(), money: Money { amount, commodity }, payee },
    )
}

fn reconcile() -> Outgoing {
    Outgoing::message::<Reconcile>("rent", &ReconcileMessage::Reconcile { payment: id() })
}

fn decline(reason: &str) -> Outgoing {
    Outgoing::command::<Payment>(&id(), &PaymentCommand::NoteDeclined { reason: reason.to_owned() })
}

fn accepted(name: &str) -> Input<PaymentEvent> {
    Input::outcome(name, CommandOutcome::Accepted)
}

fn refused(name: &str) -> Input<PaymentEvent> {
    let body = Json::parse("{}").unwrap();
    Input::outcome(name, CommandOutcome::Refused { code: "x".into(), message: "too little".into(), body })
}

fn failed(name: &str) -> Input<PaymentEvent> {
    Input::outcome(name, CommandOutcome::Failed { reason: "given up".into() })
}

fn answer_by() -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(ANSWER_WITHIN).unwrap()
}

fn asked(process: Payments) -> GivenProcess<Payments> {
    given_process(process, []).of(STREAM).and(requested())
}

fn at_gateway() -> GivenProcess<Payments> {
    asked(process()).and(accepted("reserve"))
}

#[test]
fn money_is_set_aside_then_charged_then_settled() {
    given_process(process(), [])
        .of(STREAM)
        .when(requested())
        .then(Step::to(reserving()).command("reserve", reserve()));
    asked(process())
        .when(accepted("reserve"))
        .then(Step::to(charging()).undo_by("release", release()).send(charge()).timer("answer", answer_by()));
    at_gateway().when(charged()).then(Step::to(charging()).clear_timer("answer").command("settle", settle()));
    at_gateway().and(charged()).when(accepted("settle")).then(Step::to(charging()).finish_as("charged"));
}

#[test]
fn what_the_gateway_declines_is_released() {
    at_gateway().when(declined()).then(Step::to(charging()).clear_timer("answer").compensate());
    at_gateway().and(declined()).when(accepted("release")).then(Step::to(charging()).finish_as("declined"));
    // The money is still set aside, and what failed never runs: it is sent again.
    let again = Timestamp::UNIX_EPOCH.saturating_add(AGAIN_AFTER).unwrap();
    let not_released = || at_gateway().and(declined());
    not_released().when(failed("release")).then(Step::stay().timer("release-again", again));
    let later = not_released().and(failed("release")).when(Input::timer("release-again"));
    later.then(Step::stay().command("release", release()));
    let not_settled = || at_gateway().and(charged());
    not_settled().when(failed("settle")).then(Step::stay().timer("settle-again", again));
    let later = not_settled().and(failed("settle")).when(Input::timer("settle-again"));
    later.then(Step::stay().command("settle", settle()));
    // Nothing is set aside, and the payment would count as requested for ever.
    let not_declined = || asked(process()).and(refused("reserve"));
    not_declined().when(failed("decline")).then(Step::stay().timer("decline-again", again));
    let later = not_declined().and(failed("decline"));
    later
        .when(Input::timer("decline-again"))
        .then(Step::stay().command("decline", decline("the money could not be set aside")));
    let declined_later = not_declined().and(failed("decline")).and(Input::timer("decline-again"));
    declined_later.when(accepted("decline")).then(Step::to(reserving()).finish_as("declined"));
}

#[test]
fn what_cannot_be_set_aside_is_declined() {
    asked(process())
        .when(refused("reserve"))
        .then(Step::to(reserving()).command("decline", decline("too little")));
    asked(process())
        .when(failed("reserve"))
        .then(Step::to(reserving()).command("decline", decline("given up")));
    asked(process())
        .and(refused("reserve"))
        .when(accepted("decline"))
        .then(Step::to(reserving()).finish_as("declined"));
}

#[test]
fn where_no_answer_comes_in_time_the_gateway_is_asked_again() {
    let stopping = || state(PaymentStage::Charging, EarlyEnd::Stopped);
    let stop = PaymentCommand::Stop { reason: "the gateway has not answered in time".to_owned() };
    let stop = Outgoing::command::<Payment>(&id(), &stop);
    at_gateway().when(Input::timer("answer")).then(Step::to(stopping()).send(stop).send(reconcile()));
    let late = || at_gateway().and(Input::timer("answer"));
    late().when(stopped()).then(Step::stay());
    late().when(charged()).then(Step::to(stopping()).clear_timer("answer").command("settle", settle()));
    late().when(declined()).then(Step::to(stopping()).clear_timer("answer").compensate());
    let ended = late().and(stopped()).and(declined());
    ended.when(accepted("release")).then(Step::to(stopping()).finish_as("cancelled"));
    let ended = late().and(stopped()).and(charged());
    ended.when(accepted("settle")).then(Step::to(stopping()).finish_as("charged"));
}

#[test]
fn an_early_end_leaves_no_money_set_aside() {
    // Declined before the money was set aside: the gateway is not asked, and the money goes back.
    let early = state(PaymentStage::Reserving, EarlyEnd::Declined);
    asked(process()).when(declined()).then(Step::to(early.clone()));
    let reserved = state(PaymentStage::Charging, EarlyEnd::Declined);
    let given_early = || asked(process()).and(declined());
    given_early().when(accepted("reserve")).then(Step::to(reserved.clone()).command("release", release()));
    given_early()
        .and(accepted("reserve"))
        .when(accepted("release"))
        .then(Step::to(reserved).finish_as("declined"));
    given_early().when(refused("reserve")).then(Step::to(early).command("decline", decline("too little")));
}

#[test]
fn what_a_person_stops_ends_as_the_gateway_says() {
    let early = state(PaymentStage::Reserving, EarlyEnd::Stopped);
    asked(process()).when(stopped()).then(Step::to(early));
    let reserved = state(PaymentStage::Charging, EarlyEnd::Stopped);
    let given_early = || asked(process()).and(stopped());
    given_early()
        .when(accepted("reserve"))
        .then(Step::to(reserved.clone()).undo_by("release", release()).send(reconcile()));
    let cancelled = given_early().and(accepted("reserve")).when(declined());
    cancelled.then(Step::to(reserved).clear_timer("answer").compensate());
    // The charge may be under way, so nothing goes back before the gateway has said.
    let stopping = || state(PaymentStage::Charging, EarlyEnd::Stopped);
    at_gateway().when(stopped()).then(Step::to(stopping()).clear_timer("answer").send(reconcile()));
    let late = || at_gateway().and(stopped());
    late().when(charged()).then(Step::to(stopping()).clear_timer("answer").command("settle", settle()));
    late().when(declined()).then(Step::to(stopping()).clear_timer("answer").compensate());
}

#[test]
fn without_a_gateway_nobody_is_asked() {
    let without = || asked(Payments { has_gateway: false, ..process() });
    let why = "this service has no payment gateway; the option gateway.address names one";
    without()
        .when(accepted("reserve"))
        .then(Step::to(charging()).undo_by("release", release()).send(decline(why)));
    without()
        .and(accepted("reserve"))
        .when(declined())
        .then(Step::to(charging()).clear_timer("answer").compensate());
}

#[test]
fn only_the_gateway_says_how_a_payment_ended() {
    let person = || Actor { name: Some("eve".to_owned()), roles: vec!["payments".to_owned()] };
    let nameless = || Actor { name: None, roles: vec!["payments".to_owned()] };
    let note_declined = || PaymentCommand::NoteDeclined { reason: "a mistake".to_owned() };
    let note_charged = || PaymentCommand::NoteCharged { reference: "7".to_owned() };
    for actor in [person(), nameless()] {
        given::<Payment>([requested()]).by(actor.clone()).when(note_declined()).then([stopped()]);
        given::<Payment>([requested(), stopped()]).by(actor.clone()).when(note_declined()).then([]);
        let charges = given::<Payment>([requested()]).by(actor.clone()).when(note_charged());
        charges.then_refused("gateway-decides");
        let stop = || PaymentCommand::Stop { reason: "a mistake".to_owned() };
        given::<Payment>([requested()]).by(actor.clone()).when(stop()).then([stopped()]);
        given::<Payment>([requested(), stopped()]).by(actor.clone()).when(stop()).then([]);
        given::<Payment>([requested(), charged()])
            .by(actor.clone())
            .when(stop())
            .then_refused("already-ended");
        let ended = given::<Payment>([requested(), charged()]).by(actor).when(note_declined());
        ended.then_refused("already-ended");
    }
    for given_before in [vec![requested()], vec![requested(), stopped()]] {
        given::<Payment>(given_before.clone()).when(note_charged()).then([charged()]);
        let own = PaymentCommand::NoteDeclined { reason: "no".to_owned() };
        given::<Payment>(given_before).when(own).then([declined()]);
    }
}

#[test]
fn an_operator_ends_what_was_stopped_and_nobody_will_answer_once() {
    let operator = || Actor { name: Some("ada".to_owned()), roles: vec!["operator".to_owned()] };
    let end = || PaymentCommand::EndUnanswered { reason: "no".to_owned() };
    let given_by = |events: Vec<PaymentEvent>| given::<Payment>(events).by(operator()).when(end());
    given_by(vec![requested(), stopped()]).then([declined()]);
    given_by(vec![requested(), stopped(), declined()]).then([]);
    given_by(vec![requested()]).then_refused("not-stopped");
    given_by(vec![requested(), stopped(), charged()]).then_refused("already-ended");
    given_by(Vec::new()).then_refused("not-requested");
    // An answer that comes after all finds the end.
    let late = PaymentCommand::NoteCharged { reference: "7".to_owned() };
    given::<Payment>([requested(), stopped(), declined()]).when(late).then_refused("already-ended");
    // The money goes back, once.
    let ended = || at_gateway().and(stopped()).and(declined());
    let stopping = || state(PaymentStage::Charging, EarlyEnd::Stopped);
    at_gateway()
        .and(stopped())
        .when(declined())
        .then(Step::to(stopping()).clear_timer("answer").compensate());
    ended().when(declined()).then(Step::to(stopping()).clear_timer("answer").compensate());
    ended().when(accepted("release")).then(Step::to(stopping()).finish_as("cancelled"));
}

#[test]
fn a_late_answer_changes_no_time() {
    let hour = Duration::from_secs(3_600);
    let at = Timestamp::UNIX_EPOCH.saturating_add(hour).unwrap();
    let by = at.saturating_add(ANSWER_WITHIN).unwrap();
    asked(process())
        .at(at)
        .when(accepted("reserve"))
        .then(Step::to(charging()).undo_by("release", release()).send(charge()).timer("answer", by));
}
