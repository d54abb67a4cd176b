use ledger::account::AccountEvent;
use ledger::transfer::{Transfer, TransferRefusal};

use crate::decision::{account, command_id, commodity, decide, deposited, money, number, opened};

fn transfer(from: &str, to: &str, amount: &str) -> Transfer {
    Transfer { from: account(from), to: account(to), amount: number(amount), commodity: commodity("EUR") }
}

fn accounts() -> [(&'static str, Vec<AccountEvent>); 2] {
    [("a", vec![opened(Some("0")), deposited("10", "EUR")]), ("b", vec![opened(Some("0"))])]
}

#[test]
fn money_leaves_one_account_and_reaches_the_other() {
    let posted = |amount| AccountEvent::Posted {
        entry: command_id().0,
        date: jiff::civil::date(2024, 2, 1),
        description: "Transfer from a to b".to_owned(),
        money: money(amount, "EUR"),
    };
    let events = decide(&accounts(), &transfer("a", "b", "7.50")).unwrap();
    assert_eq!(events["a"], [posted("-7.50")]);
    assert_eq!(events["b"], [posted("7.50")]);
    assert_eq!(events.len(), 2);
}

#[test]
fn a_transfer_the_account_cannot_bear_is_refused() {
    let refusal = decide(&accounts(), &transfer("a", "b", "10.01")).unwrap_err();
    let overdrawn = TransferRefusal::Overdrawn {
        account: account("a"),
        commodity: commodity("EUR"),
        available: number("10"),
        requested: number("10.01"),
        floor: number("0"),
    };
    assert_eq!(refusal, overdrawn);
}

#[test]
fn a_transfer_that_makes_no_sense_is_refused() {
    let accounts = accounts();
    let same = TransferRefusal::SameAccount { account: account("a") };
    assert_eq!(decide(&accounts, &transfer("a", "a", "1")), Err(same));
    for amount in ["0", "-1"] {
        let refused = TransferRefusal::NotPositive { amount: number(amount) };
        assert_eq!(decide(&accounts, &transfer("a", "b", amount)), Err(refused));
    }
    for (from, to) in [("a", "c"), ("c", "a")] {
        let refused = TransferRefusal::NotOpen { account: account("c") };
        assert_eq!(decide(&accounts, &transfer(from, to, "1")), Err(refused));
    }
}

#[test]
fn a_transfer_that_would_be_rounded_is_refused() {
    let full = ("b", vec![opened(None), deposited("79228162514264337593543950335", "EUR")]);
    let given = [("a", vec![opened(None)]), full];
    let refused = TransferRefusal::Overflow { account: account("b"), commodity: commodity("EUR") };
    assert_eq!(decide(&given, &transfer("a", "b", "0.5")), Err(refused));
}
