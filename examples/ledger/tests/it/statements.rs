//! Statements of an account: drawn up by a command that a schedule gives.

use std::time::{Duration, Instant};

use jiff::civil::Date;
use ledger::account::{AccountCommand, AccountEvent, AccountRefusal};
use serde_json::{Value, json};
use underlay::Aggregate;

use crate::decision::{after, context, deposited, money, opened};
use crate::payments::{events, open_purse, wait_for_more};
use crate::program::Ledger;

#[test]
fn a_statement_has_every_balance() {
    let draw = |given: &[AccountEvent]| {
        after(given)
            .decide(AccountCommand::DrawStatement { zone: "UTC".to_owned() }, &context())
            .map(|decision| decision.into_parts().0)
    };
    let given = [opened(Some("0")), deposited("10.50", "EUR"), deposited("3", "USD")];
    let drawn = draw(&given).unwrap();
    let AccountEvent::Stated { balances, .. } = &drawn[0] else { panic!("{drawn:?}") };
    assert_eq!(balances, &[money("10.50", "EUR"), money("3", "USD")]);
    assert_eq!(after(&[&given[..], &drawn].concat()), after(&given), "a statement changes nothing");
    assert_eq!(draw(&[]), Err(AccountRefusal::NotOpen));
}

#[test]
fn a_statement_bears_the_day_of_its_zone() {
    let at_midnight_in_berlin: jiff::Timestamp = "2026-03-31T22:00:00Z".parse().unwrap();
    let drawn = |zone: &str| {
        let mut context = context();
        context.now = at_midnight_in_berlin;
        let draw = AccountCommand::DrawStatement { zone: zone.to_owned() };
        after(&[opened(None)]).decide(draw, &context).map(|decision| decision.into_parts().0.remove(0))
    };
    for (zone, day) in [("Europe/Berlin", 1), ("UTC", 31)] {
        let stated = drawn(zone).unwrap();
        let AccountEvent::Stated { date, .. } = stated else { panic!("{stated:?}") };
        assert_eq!(date.day(), day, "{zone}");
    }
    assert!(matches!(drawn("Europe/Bärlin"), Err(AccountRefusal::NoZone { .. })));
}

#[test]
fn a_statement_is_scheduled_for_the_first_of_each_month_and_drawn_as_a_stored_command() {
    let ledger = Ledger::new();
    let (_serving, address) = ledger.serve();
    open_purse(&address);
    let command = ["account", "purse", "draw-statement", r#"{"zone": "Europe/Berlin"}"#];
    let add = ["schedule", "add", "statement", "--cron", "0 6 1 * *", "--zone", "Europe/Berlin"];
    ledger.answer(&[&add[..], &command].concat());
    let listed: Value = serde_json::from_str(&ledger.answer(&["schedule", "list", "--json"])).unwrap();
    let next: jiff::Timestamp = listed["next_due_at"].as_str().unwrap().parse().unwrap();
    let next = next.in_tz("Europe/Berlin").unwrap();
    assert_eq!((next.day(), next.hour(), next.minute()), (1, 6, 0));

    // What a schedule gives is stored as this one is.
    ledger.answer(&[&["command", "submit"][..], &command].concat());
    let begun = Instant::now();
    let drawn = loop {
        let mut drawn = events(&address).into_iter().filter(|event| event["type"] == "account-stated");
        if let Some(drawn) = drawn.next() {
            break drawn;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        wait_for_more(&address);
    };
    assert_eq!(drawn["payload"]["balances"], json!([{"amount": "1000", "commodity": "EUR"}]));
    assert!(drawn["payload"]["date"].as_str().unwrap().parse::<Date>().is_ok());
}
