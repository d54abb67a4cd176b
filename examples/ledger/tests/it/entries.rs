use ledger::account::AccountEvent;
use ledger::entry::{EntryRefusal, POSTINGS_MAX, PostEntry, Posting, PostingKind};

use crate::decision::{account, command_id, commodity, decide, deposited, money, number, opened};

fn entry(postings: &[(&str, &str, &str)]) -> PostEntry {
    let posting = |(name, amount, of): &(&str, &str, &str)| Posting {
        account: account(name),
        amount: number(amount),
        commodity: commodity(of),
        kind: PostingKind::Real,
    };
    PostEntry {
        date: jiff::civil::date(2024, 1, 31),
        description: "Groceries".to_owned(),
        postings: postings.iter().map(posting).collect(),
    }
}

fn posted(amount: &str, of: &str) -> AccountEvent {
    AccountEvent::Posted {
        entry: command_id().0,
        date: jiff::civil::date(2024, 1, 31),
        description: "Groceries".to_owned(),
        money: money(amount, of),
    }
}

#[test]
fn an_entry_opens_the_accounts_it_needs_and_posts_to_all() {
    let given = [("cash", vec![opened(None)])];
    let events = decide(&given, &entry(&[("cash", "-12.30", "EUR"), ("food", "12.30", "EUR")])).unwrap();
    assert_eq!(events["cash"], [posted("-12.30", "EUR")]);
    assert_eq!(events["food"], [opened(None), posted("12.30", "EUR")]);
}

#[test]
fn an_entry_in_one_commodity_sums_to_zero() {
    let refusal = decide(&[], &entry(&[("cash", "-12.30", "EUR"), ("food", "12.29", "EUR")])).unwrap_err();
    assert_eq!(refusal, EntryRefusal::Unbalanced { commodity: commodity("EUR"), sum: number("-0.01") });
    assert_eq!(refusal.to_string(), "the entry is unbalanced: its postings in EUR sum to -0.01, not to zero");
}

#[test]
fn an_entry_in_several_commodities_is_an_exchange() {
    let exchange = entry(&[("shares", "3", "ITOT"), ("cash", "-250.10", "USD"), ("fees", "1", "USD")]);
    assert_eq!(decide(&[], &exchange).unwrap().len(), 3);
    let zero_without_symbol = entry(&[("a", "5", "USD"), ("b", "0", "")]);
    let refused = EntryRefusal::Unbalanced { commodity: commodity("USD"), sum: number("5") };
    assert_eq!(decide(&[], &zero_without_symbol), Err(refused));
}

#[test]
fn virtual_postings_balance_among_themselves_or_not_at_all() {
    let with_kinds = |kinds: [PostingKind; 2]| {
        let mut entry =
            entry(&[("a", "1", "EUR"), ("b", "-1", "EUR"), ("v", "5", "EUR"), ("w", "-4", "EUR")]);
        entry.postings[2].kind = kinds[0];
        entry.postings[3].kind = kinds[1];
        entry.check()
    };
    assert_eq!(with_kinds([PostingKind::Virtual, PostingKind::Virtual]), Ok(()));
    let unbalanced = |sum| Err(EntryRefusal::Unbalanced { commodity: commodity("EUR"), sum: number(sum) });
    assert_eq!(with_kinds([PostingKind::BalancedVirtual, PostingKind::BalancedVirtual]), unbalanced("1"));
    assert_eq!(with_kinds([PostingKind::Virtual, PostingKind::Real]), unbalanced("-4"));
}

#[test]
fn an_account_named_twice_is_judged_by_where_it_ends() {
    let given = [("cash", vec![opened(Some("0")), deposited("5", "EUR")])];
    let back_and_forth = entry(&[("cash", "-9", "EUR"), ("cash", "6", "EUR"), ("food", "3", "EUR")]);
    let events = decide(&given, &back_and_forth).unwrap();
    assert_eq!(events["cash"], [posted("-9", "EUR"), posted("6", "EUR")]);

    let too_much = entry(&[("cash", "-9", "EUR"), ("cash", "3", "EUR"), ("food", "6", "EUR")]);
    let overdrawn = EntryRefusal::Overdrawn {
        account: account("cash"),
        commodity: commodity("EUR"),
        available: number("5"),
        requested: number("6"),
        floor: number("0"),
    };
    assert_eq!(decide(&given, &too_much), Err(overdrawn));
}

#[test]
fn an_account_below_its_floor_can_be_paid_into() {
    let given = [("late", vec![opened(Some("100"))])];
    assert!(decide(&given, &entry(&[("late", "1", "EUR"), ("cash", "-1", "EUR")])).is_ok());
}

#[test]
fn an_entry_that_does_not_fit_is_refused() {
    assert_eq!(decide(&[], &entry(&[])), Err(EntryRefusal::NoPostings));
    let many = entry(&vec![("a", "0", "EUR"); POSTINGS_MAX + 1]);
    let refused = EntryRefusal::TooManyPostings { postings: POSTINGS_MAX + 1, postings_max: POSTINGS_MAX };
    assert_eq!(many.check(), Err(refused));
    let mut wordy = entry(&[("a", "0", "EUR")]);
    wordy.description = "語".repeat(1_001);
    let refused = EntryRefusal::DescriptionTooLong { characters: 1_001, characters_max: 1_000 };
    assert_eq!(wordy.check(), Err(refused));
}

#[test]
fn sums_that_would_be_rounded_are_refused() {
    let largest = "79228162514264337593543950335";
    let given = [("full", vec![opened(None), deposited(largest, "EUR")])];
    let overflow = |name| EntryRefusal::Overflow { account: account(name), commodity: commodity("EUR") };
    let balance = entry(&[("full", "0.1", "EUR"), ("cash", "-0.1", "EUR")]);
    assert_eq!(decide(&given, &balance), Err(overflow("full")));
    let sum = entry(&[("a", largest, "EUR"), ("b", "1", "EUR")]);
    assert_eq!(decide(&[], &sum), Err(overflow("b")));
}

#[test]
fn the_body_of_an_entry_is_the_same_for_equal_amounts() {
    let body = |amount: &str| {
        let text = format!(
            r#"{{"date":"2024-01-31","description":"x","postings":[{{"account":"a","amount":"{amount}","commodity":"EUR"}}]}}"#
        );
        serde_json::to_string(&serde_json::from_str::<PostEntry>(&text).unwrap()).unwrap()
    };
    assert_eq!(body("0.10"), body("0.1"));
    assert_ne!(body("0.10"), body("0.11"));
}
