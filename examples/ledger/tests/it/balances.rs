use ledger::account::AccountEvent;
use ledger::balances::{Balance, BalanceKey, Balances};
use underlay::words::{EventType, Json, RecordedEvent, SchemaVersion};
use underlay::{Event, EventId, Keys, Position, Recorded, StreamName, TenantId, Timestamp, Version, View};

use crate::decision::{commodity, deposited, money, number, opened};

fn recorded(event: AccountEvent) -> Recorded<AccountEvent> {
    let descriptor = event.descriptor();
    let record = RecordedEvent {
        position: Position::from_number(1),
        tenant: TenantId::new("acme").unwrap(),
        stream: StreamName::parse("account-a@b").unwrap(),
        version: Version(1),
        event_id: EventId::draw(),
        event_type: EventType::new(descriptor.name).unwrap(),
        schema_version: SchemaVersion(descriptor.version),
        payload: event.encode().unwrap().into(),
        metadata: Json::parse("{}").unwrap(),
        recorded_at: Timestamp::UNIX_EPOCH,
        commit_tail: 0,
    };
    Recorded { event, record }
}

#[test]
fn a_row_follows_its_account_and_stays_at_zero() {
    let withdrawn = AccountEvent::Withdrawn { money: money("12.5", "EUR") };
    let mut row = None;
    for event in [deposited("10", "EUR"), deposited("2.50", "EUR"), withdrawn] {
        let event = recorded(event);
        let mut keys = Keys::default();
        Balances.route(&event, &mut keys);
        let keys: Vec<BalanceKey> = keys.drain().collect();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].to_string(), "a@b@EUR");
        row = Balances.fold(&keys[0], row, &event);
    }
    let zero =
        Balance { account: "a@b".to_owned(), commodity: "EUR".to_owned(), balance: number("0"), postings: 3 };
    assert_eq!(row, Some(zero));
}

#[test]
fn opening_an_account_makes_no_row() {
    let mut keys = Keys::default();
    Balances.route(&recorded(opened(None)), &mut keys);
    assert_eq!(keys.drain().count(), 0);
}

#[test]
fn two_keys_never_have_one_text() {
    let key = |account: &str, of| BalanceKey { account: account.to_owned(), commodity: commodity(of) };
    let mut texts: Vec<String> =
        [key("a", ""), key("a@", ""), key("a", "b"), key("a@b", ""), key("a@b", "c"), key("a", "b c")]
            .iter()
            .map(BalanceKey::to_string)
            .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 6);
}
