use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use underlay_core::{Aggregate, Context, Decision, Json, SnapshotState};
use underlay_derive::{command, event, refusal, snapshot, value};

#[command(crate = underlay_core)]
enum AccountCommand {
    #[command(name = "deposit")]
    Deposit { cents: i64 },
}

#[refusal(crate = underlay_core)]
enum AccountRefusal {
    #[refusal(code = "closed", message = "the account is closed")]
    Closed,
}

#[event(crate = underlay_core)]
enum AccountEvent {
    #[event(name = "deposited", version = 1)]
    Deposited { cents: i64 },
}

#[event(crate = underlay_core)]
enum LaterEvent {
    #[event(name = "deposited", version = 2, upcasts(as_it_was))]
    Deposited { cents: i64 },
}

fn as_it_was(payload: Value) -> Result<Value, String> {
    Ok(payload)
}

#[value(crate = underlay_core)]
struct Limit {
    cents: i64,
}

#[value(crate = underlay_core)]
enum State {
    Open,
    Closed,
    Held { cents: i64 },
}

/// The same, explained, and in another order.
#[value(crate = underlay_core)]
enum ExplainedState {
    /// Nothing can be done.
    Closed,
    /// Some of it cannot be had.
    Held {
        /// How much.
        cents: i64,
    },
    /// Everything can be done.
    Open,
}

#[value(crate = underlay_core)]
enum StateWithAnother {
    Open,
    Closed,
    Held { cents: i64 },
    Empty,
}

#[value(crate = underlay_core)]
struct DailyLimit {
    cents: i64,
    days: u32,
}

/// Makes a type of the attribute and fields an aggregate that counts what was deposited.
macro_rules! aggregate {
    ($name:ident, $event:ident) => {
        impl Aggregate for $name {
            const CATEGORY: &'static str = "account";
            type Id = String;
            type Command = AccountCommand;
            type Event = $event;
            type Refusal = AccountRefusal;

            fn decide(
                &self,
                command: AccountCommand,
                _: &Context,
            ) -> Result<Decision<$event>, AccountRefusal> {
                let AccountCommand::Deposit { cents } = command;
                Ok($event::Deposited { cents }.into())
            }

            fn evolve(&mut self, event: &$event) {
                let $event::Deposited { cents } = event;
                self.cents += cents;
            }
        }
    };
}

#[snapshot(every = 100, crate = underlay_core)]
#[derive(Default)]
struct Account {
    cents: i64,
    limits: BTreeMap<String, Limit>,
}
aggregate!(Account, AccountEvent);

/// The same to whoever reads a stored state.
#[snapshot(crate = underlay_core, every = 7, version = 1)]
#[derive(Default)]
struct Renamed {
    /// What was deposited.
    cents: i64,
    /// # Limits
    /// What can be withdrawn.
    limits: BTreeMap<String, Limit>,
}
aggregate!(Renamed, AccountEvent);

#[snapshot(every = 100, crate = underlay_core)]
#[derive(Default)]
struct WithState {
    cents: i64,
    states: BTreeMap<String, State>,
    last: Option<State>,
}
aggregate!(WithState, AccountEvent);

#[snapshot(every = 100, crate = underlay_core)]
#[derive(Default)]
struct WithExplainedState {
    /// The last one.
    last: Option<ExplainedState>,
    states: BTreeMap<String, ExplainedState>,
    cents: i64,
}
aggregate!(WithExplainedState, AccountEvent);

#[snapshot(every = 100, crate = underlay_core)]
#[derive(Default)]
struct WithStateOfAnother {
    cents: i64,
    states: BTreeMap<String, StateWithAnother>,
    last: Option<StateWithAnother>,
}
aggregate!(WithStateOfAnother, AccountEvent);

#[snapshot(every = 100, version = 2, crate = underlay_core)]
#[derive(Default)]
struct OfAnotherVersion {
    cents: i64,
    limits: BTreeMap<String, Limit>,
}
aggregate!(OfAnotherVersion, AccountEvent);

#[snapshot(every = 100, crate = underlay_core)]
#[derive(Default)]
struct WithAnotherField {
    cents: i64,
    limits: BTreeMap<String, Limit>,
    closed: bool,
}
aggregate!(WithAnotherField, AccountEvent);

#[snapshot(every = 100, crate = underlay_core)]
#[derive(Default)]
struct WithAnotherValue {
    cents: i64,
    limits: BTreeMap<String, DailyLimit>,
}
aggregate!(WithAnotherValue, AccountEvent);

#[snapshot(every = 100, crate = underlay_core)]
#[derive(Default)]
struct OfAnotherEvent {
    cents: i64,
    limits: BTreeMap<String, Limit>,
}
aggregate!(OfAnotherEvent, LaterEvent);

/// Says itself how it is written.
#[value(crate = underlay_core)]
#[snapshot(every = 1, crate = underlay_core)]
#[derive(Default, Eq)]
#[serde(rename_all = "UPPERCASE")]
struct AlsoAValue {
    cents: i64,
}
aggregate!(AlsoAValue, AccountEvent);

#[test]
fn a_state_is_read_back_as_it_was() {
    let limits = BTreeMap::from([("card".to_owned(), Limit { cents: 5 })]);
    let mut account = Account { limits, ..Account::default() };
    account.evolve(&AccountEvent::Deposited { cents: 10 });
    let stored = Json::encode(&account).unwrap();
    assert_eq!(stored.as_str(), r#"{"cents":10,"limits":{"card":{"cents":5}}}"#);
    assert_eq!(stored.decode::<Account>().unwrap(), account);
    assert_eq!(Json::encode(&AlsoAValue { cents: 1 }).unwrap().as_str(), r#"{"CENTS":1}"#);
}

#[test]
fn the_numbers_are_as_declared() {
    assert_eq!((Account::SNAPSHOT_EVERY, Account::SNAPSHOT_VERSION), (100, 1));
    assert_eq!((Renamed::SNAPSHOT_EVERY, Renamed::SNAPSHOT_VERSION), (7, 1));
    assert_eq!((OfAnotherVersion::SNAPSHOT_EVERY, OfAnotherVersion::SNAPSHOT_VERSION), (100, 2));
    assert_eq!(AlsoAValue::SNAPSHOT_EVERY, 1);
}

#[test]
fn the_schema_describes_what_is_stored() {
    let schema: Value = Renamed::schema().decode().unwrap();
    let cents = |told| json!({"description": told, "type": "integer", "format": "int64"});
    let limit = json!({
        "type": "object",
        "properties": {"cents": {"type": "integer", "format": "int64"}},
        "required": ["cents"],
    });
    let expected = json!({
        "title": "account",
        "description": "The same to whoever reads a stored state.",
        "type": "object",
        "properties": {
            "cents": cents("What was deposited."),
            "limits": {
                "title": "Limits",
                "description": "What can be withdrawn.",
                "type": "object",
                "additionalProperties": limit,
            },
        },
        "required": ["cents", "limits"],
    });
    assert_eq!(schema, expected);
}

#[test]
fn a_stored_state_outlives_what_is_not_stored() {
    assert_eq!(Account::fingerprint(), Renamed::fingerprint());
    assert_eq!(WithState::fingerprint(), WithExplainedState::fingerprint());
}

#[test]
fn a_stored_state_is_not_read_by_another_definition() {
    let fingerprints = [
        Account::fingerprint(),
        OfAnotherVersion::fingerprint(),
        WithAnotherField::fingerprint(),
        WithAnotherValue::fingerprint(),
        OfAnotherEvent::fingerprint(),
        WithState::fingerprint(),
        WithStateOfAnother::fingerprint(),
    ];
    assert_eq!(fingerprints.iter().collect::<HashSet<_>>().len(), fingerprints.len());
}
