use ledger::account::{Account, AccountCommand, AccountEvent, AccountId, AccountRefusal, InvalidAccountId};
use underlay::{Aggregate, Command, Decimal};

use crate::decision::{after, commodity, context, deposited, money, number, opened};

fn command(name: &str, body: &str) -> AccountCommand {
    AccountCommand::decode(name, body).unwrap()
}

fn decide(given: &[AccountEvent], name: &str, body: &str) -> Result<Vec<AccountEvent>, AccountRefusal> {
    after(given).decide(command(name, body), &context()).map(|decision| decision.into_parts().0)
}

#[test]
fn an_account_opened_by_hand_cannot_be_overdrawn_unless_said_otherwise() {
    assert_eq!(decide(&[], "open", "{}"), Ok(vec![opened(Some("0"))]));
    assert_eq!(decide(&[], "open", r#"{"floor": null}"#), Ok(vec![opened(None)]));
    assert_eq!(decide(&[], "open", r#"{"floor": "-250.00"}"#), Ok(vec![opened(Some("-250.00"))]));
}

#[test]
fn an_account_is_opened_once() {
    assert_eq!(decide(&[opened(None)], "open", "{}"), Err(AccountRefusal::AlreadyOpen));
}

#[test]
fn an_account_that_is_not_open_takes_nothing() {
    let body = r#"{"amount": "1", "commodity": "EUR"}"#;
    assert_eq!(decide(&[], "deposit", body), Err(AccountRefusal::NotOpen));
    assert_eq!(decide(&[], "withdraw", body), Err(AccountRefusal::NotOpen));
}

#[test]
fn money_comes_and_goes_with_its_digits() {
    let given = [opened(Some("0"))];
    let deposit = decide(&given, "deposit", r#"{"amount": "10.500", "commodity": "EUR"}"#).unwrap();
    assert_eq!(deposit, [deposited("10.500", "EUR")]);
    let AccountEvent::Deposited { money: received } = &deposit[0] else { unreachable!("compared above") };
    assert_eq!(received.amount.to_string(), "10.500");

    let given = [opened(Some("0")), deposited("10.5", "EUR")];
    let withdrawn = vec![AccountEvent::Withdrawn { money: money("10.5", "EUR") }];
    assert_eq!(
        decide(&given, "withdraw", r#"{"amount": "10.5", "commodity": "EUR"}"#),
        Ok(withdrawn.clone())
    );
    let account = after(&[&given[..], &withdrawn].concat());
    assert_eq!(account.balance(&commodity("EUR")), Decimal::ZERO);
}

#[test]
fn zero_and_less_is_neither_deposited_nor_withdrawn() {
    for name in ["deposit", "withdraw"] {
        for amount in ["0", "0.00", "-1"] {
            let body = format!(r#"{{"amount": "{amount}", "commodity": "EUR"}}"#);
            let refused = Err(AccountRefusal::NotPositive { amount: number(amount) });
            assert_eq!(decide(&[opened(None)], name, &body), refused);
        }
    }
}

#[test]
fn a_withdrawal_below_the_floor_is_refused_and_says_what_is_available() {
    let given = [opened(Some("-20")), deposited("50.25", "EUR"), deposited("999", "USD")];
    let refusal = decide(&given, "withdraw", r#"{"amount": "70.26", "commodity": "EUR"}"#).unwrap_err();
    let (available, requested) = (number("70.25"), number("70.26"));
    let floor = number("-20");
    assert_eq!(
        refusal,
        AccountRefusal::Overdrawn { commodity: commodity("EUR"), available, requested, floor }
    );
    assert_eq!(
        refusal.to_string(),
        "70.25 EUR is available; taking 70.26, the account would fall below its floor of -20"
    );
    assert!(decide(&given, "withdraw", r#"{"amount": "70.25", "commodity": "EUR"}"#).is_ok());
}

#[test]
fn an_account_without_a_floor_can_be_overdrawn() {
    assert!(decide(&[opened(None)], "withdraw", r#"{"amount": "70.26", "commodity": "EUR"}"#).is_ok());
}

#[test]
fn a_balance_that_cannot_be_kept_is_refused() {
    let given = [opened(None), deposited("79228162514264337593543950335", "EUR")];
    for amount in ["1", "0.1"] {
        let body = format!(r#"{{"amount": "{amount}", "commodity": "EUR"}}"#);
        let refused = Err(AccountRefusal::Overflow { commodity: commodity("EUR") });
        assert_eq!(decide(&given, "deposit", &body), refused, "{amount}");
    }
}

#[test]
fn an_amount_is_a_string_with_a_plain_number() {
    for amount in ["1.5", "\"1e3\"", "\"1,5\"", "\"0.00000000000000000000000000001\"", "null"] {
        let body = format!(r#"{{"amount": {amount}, "commodity": "EUR"}}"#);
        assert!(AccountCommand::decode("deposit", &body).is_err(), "{amount}");
    }
}

#[test]
fn the_name_of_an_account_fits_a_stream() {
    let too_long = ["x".repeat(201), "語".repeat(86), String::new(), "a\tb".to_owned()];
    for text in too_long {
        assert_eq!(AccountId::new(text.clone()), Err(InvalidAccountId(text)));
    }
    for text in ["x".repeat(200), "語".repeat(85), "Assets:US-West:1".to_owned()] {
        let id = AccountId::new(text.clone()).unwrap();
        assert_eq!(Account::stream(&id).unwrap().id(), text);
    }
}
