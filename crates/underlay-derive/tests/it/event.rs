use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use underlay_core::private::schemars;
use underlay_core::{Decimal, DecodeError, Event, EventDescriptor, Json, NewEvent, SchemaVersion, Timestamp};
use underlay_derive::event;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
struct Money {
    amount: Decimal,
    commodity: String,
}

#[event(crate = underlay_core)]
enum AccountEvent {
    /// The account is there from now on.
    #[event(name = "account-opened", version = 1)]
    Opened { floor: Option<Decimal>, at: Timestamp },
    #[event(name = "account-deposited", version = 3, upcasts(cents_to_amount, add_commodity))]
    Deposited {
        amount: Decimal,
        commodity: String,
        #[serde(default)]
        note: String,
    },
    #[event(name = "account-charged", version = 1)]
    Charged(Money),
    #[event(name = "account-closed", version = 1)]
    Closed,
}

fn cents_to_amount(mut payload: Value) -> Result<Value, String> {
    let cents = payload["cents"].as_i64().ok_or("no cents")?;
    payload["amount"] = json!(Decimal::new(cents, 2));
    Ok(payload)
}

fn add_commodity(mut payload: Value) -> Result<Value, String> {
    payload["commodity"] = json!("EUR");
    Ok(payload)
}

#[event(crate = underlay_core)]
enum MemberEvent {
    #[event(name = "member-registered", version = 1)]
    Registered { email: String },
}

#[event(crate = underlay_core)]
enum AnyEvent {
    #[event(flatten)]
    Account(AccountEvent),
    #[event(name = "noted", version = 1)]
    Noted { text: String },
    #[event(flatten)]
    Member(MemberEvent),
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn opened() -> AccountEvent {
    AccountEvent::Opened { floor: Some(decimal("-10.50")), at: "2026-01-31T12:00:00Z".parse().unwrap() }
}

fn deposited(amount: &str, note: &str) -> AccountEvent {
    AccountEvent::Deposited { amount: decimal(amount), commodity: "EUR".to_owned(), note: note.to_owned() }
}

fn charged() -> AccountEvent {
    AccountEvent::Charged(Money { amount: decimal("1.00"), commodity: "EUR".to_owned() })
}

fn round_trip<E: Event>(event: &E) -> E {
    let written = NewEvent::encode(event).unwrap();
    let read =
        E::decode(written.event_type.as_str(), written.schema_version.0, written.payload.text().as_str());
    read.unwrap().unwrap()
}

fn parse(json: &Json) -> Value {
    json.decode().unwrap()
}

fn reason(result: Result<Option<AccountEvent>, DecodeError>) -> String {
    result.unwrap_err().reason
}

#[test]
fn every_shape_of_variant_is_written_and_read() {
    let shapes = [
        (opened(), json!({"floor": "-10.50", "at": "2026-01-31T12:00:00Z"})),
        (deposited("5", "n"), json!({"amount": "5", "commodity": "EUR", "note": "n"})),
        (charged(), json!({"amount": "1.00", "commodity": "EUR"})),
        (AccountEvent::Closed, json!({})),
    ];
    for (event, payload) in shapes {
        assert_eq!(parse(&event.encode().unwrap()), payload);
        assert_eq!(round_trip(&event), event);
    }
}

#[test]
fn names_and_versions_are_as_declared() {
    let descriptors = [
        EventDescriptor { name: "account-opened", version: 1 },
        EventDescriptor { name: "account-deposited", version: 3 },
        EventDescriptor { name: "account-charged", version: 1 },
        EventDescriptor { name: "account-closed", version: 1 },
    ];
    assert_eq!(AccountEvent::descriptors(), descriptors);
    assert_eq!(deposited("1", "").descriptor(), descriptors[1]);
    let written = NewEvent::encode(&deposited("1", "")).unwrap();
    assert_eq!(
        (written.event_type.as_str(), written.schema_version),
        ("account-deposited", SchemaVersion(3))
    );
}

#[test]
fn an_old_payload_takes_every_step_from_its_version() {
    let decode = |version, payload| AccountEvent::decode("account-deposited", version, payload).unwrap();
    assert_eq!(decode(1, r#"{"cents": 1050}"#), Some(deposited("10.50", "")));
    assert_eq!(decode(2, r#"{"amount": "10.50", "note": "old"}"#), Some(deposited("10.50", "old")));
    let today = r#"{"amount": "10.50", "commodity": "EUR"}"#;
    assert_eq!(decode(3, today), Some(deposited("10.50", "")));
}

#[test]
fn a_step_that_fails_says_which_and_why() {
    let error = AccountEvent::decode("account-deposited", 1, "{}").unwrap_err();
    assert_eq!((error.event_type.as_str(), error.schema_version), ("account-deposited", 1));
    assert_eq!(error.reason, "cannot be lifted from version 1 to 2: no cents");
    let lifted_but_wrong = reason(AccountEvent::decode("account-deposited", 2, r#"{"amount": true}"#));
    assert!(lifted_but_wrong.contains("invalid type: boolean"), "{lifted_but_wrong}");
}

#[test]
fn a_version_that_does_not_exist_yet_says_so() {
    for version in [0, 4, u32::MAX] {
        let payload = r#"{"amount": "1", "commodity": "EUR"}"#;
        let reason = reason(AccountEvent::decode("account-deposited", version, payload));
        assert!(reason.contains("written by a newer version of this service"), "{version}: {reason}");
        assert!(reason.contains("versions 1 to 3"), "{version}: {reason}");
    }
}

#[test]
fn a_type_of_another_set_is_none() {
    assert_eq!(AccountEvent::decode("member-registered", 1, "not even JSON"), Ok(None));
    assert_eq!(AccountEvent::decode("Opened", 1, "{}"), Ok(None), "Rust names are not stored names");
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let payload = r#"{"removed": [1], "floor": null, "at": "2026-01-31T12:00:00Z"}"#;
    let event = AccountEvent::decode("account-opened", 1, payload).unwrap().unwrap();
    assert!(matches!(event, AccountEvent::Opened { floor: None, .. }));
    let closed = AccountEvent::decode("account-closed", 1, r#"{"because": "moved"}"#);
    assert_eq!(closed, Ok(Some(AccountEvent::Closed)));
}

#[test]
fn a_payload_that_does_not_fit_names_the_field() {
    let reason = reason(AccountEvent::decode("account-deposited", 3, r#"{"amount": "1"}"#));
    assert!(reason.contains("missing field `commodity`"), "{reason}");
    assert!(AccountEvent::decode("account-closed", 1, "{").is_err(), "damage is found");
}

#[test]
fn a_set_of_sets_speaks_for_all_of_them() {
    let names: Vec<&str> = AnyEvent::descriptors().iter().map(|descriptor| descriptor.name).collect();
    let expected = [
        "account-opened",
        "account-deposited",
        "account-charged",
        "account-closed",
        "noted",
        "member-registered",
    ];
    assert_eq!(names, expected);
    let titles: Vec<Value> =
        AnyEvent::schemas().iter().map(|schema| parse(schema)["title"].clone()).collect();
    assert_eq!(titles, expected);

    let account = AnyEvent::Account(charged());
    let member = AnyEvent::Member(MemberEvent::Registered { email: "a@example.org".to_owned() });
    let noted = AnyEvent::Noted { text: "t".to_owned() };
    for event in [account, member, noted] {
        assert_eq!(round_trip(&event), event);
    }
    let lifted = AnyEvent::decode("account-deposited", 1, r#"{"cents": 1}"#).unwrap();
    assert_eq!(lifted, Some(AnyEvent::Account(deposited("0.01", ""))));
    assert_eq!(AnyEvent::decode("unknown", 1, "{}"), Ok(None));
    assert!(AnyEvent::decode("member-registered", 1, "{}").is_err());
}

mod as_hex {
    use serde::{Deserialize, Deserializer, Serializer};

    // Not generic: the field itself must arrive here, not a reference to it.
    pub(crate) fn serialize<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[event(crate = underlay_core)]
enum AttributeEvent {
    #[event(name = "coloured", version = 1)]
    #[serde(rename_all = "camelCase")]
    Coloured {
        #[serde(with = "as_hex")]
        main_colour: u32,
        #[serde(rename = "type")]
        kind: String,
        #[serde(default, skip_serializing_if = "is_default")]
        layer_count: u32,
        #[serde(alias = "colour")]
        r#final: bool,
    },
    #[event(name = "recoloured", version = 1)]
    Recoloured(
        #[serde(with = "as_hex")]
        #[schemars(with = "String")]
        u32,
    ),
    #[event(name = "measured", version = 1)]
    Measured {
        #[serde(flatten)]
        money: Money,
    },
}

#[test]
fn serde_attributes_on_fields_are_followed() {
    let coloured =
        AttributeEvent::Coloured { main_colour: 255, kind: "t".to_owned(), layer_count: 0, r#final: true };
    let payload = parse(&coloured.encode().unwrap());
    assert_eq!(payload, json!({"mainColour": "ff", "type": "t", "final": true}));
    assert_eq!(round_trip(&coloured), coloured);
    let aliased = r#"{"mainColour": "ff", "type": "t", "colour": true}"#;
    assert_eq!(AttributeEvent::decode("coloured", 1, aliased), Ok(Some(coloured)));

    let recoloured = AttributeEvent::Recoloured(16);
    assert_eq!(recoloured.encode().unwrap().as_str(), r#""10""#);
    assert_eq!(round_trip(&recoloured), recoloured);

    let money = Money { amount: decimal("2"), commodity: "EUR".to_owned() };
    let measured = AttributeEvent::Measured { money };
    assert_eq!(parse(&measured.encode().unwrap()), json!({"amount": "2", "commodity": "EUR"}));
    assert_eq!(round_trip(&measured), measured);
}

#[test]
fn a_schema_describes_what_is_written() {
    let schemas: Vec<Value> = AttributeEvent::schemas().iter().map(parse).collect();
    let coloured = &schemas[0];
    assert_eq!(coloured["title"], "coloured");
    let mut fields: Vec<&String> = coloured["properties"].as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["final", "layerCount", "mainColour", "type"]);
    assert_eq!(coloured["properties"]["mainColour"], true, "written by a module: it may be anything");
    assert_eq!(coloured["required"], json!(["mainColour", "type", "final"]));
    assert_eq!(schemas[1], json!({"title": "recoloured", "type": "string"}));
}

#[test]
fn a_schema_holds_no_name_of_a_rust_type() {
    for schema in AccountEvent::schemas() {
        let text = schema.as_str();
        let found =
            ["Money", "Underlay", "Opened", "Deposited", "$defs"].iter().find(|name| text.contains(**name));
        assert_eq!(found, None, "{text}");
    }
    let opened = parse(&AccountEvent::schemas()[0]);
    assert_eq!(opened["description"], "The account is there from now on.");
}

#[test]
fn what_the_user_derives_is_left_alone() {
    #[event(crate = underlay_core)]
    #[derive(Clone, PartialEq, Eq, Hash, Serialize)]
    #[serde(tag = "kind")]
    enum Shown {
        #[event(name = "shown", version = 1)]
        Shown {
            #[serde(rename = "n")]
            number: u32,
        },
    }
    let shown = Shown::Shown { number: 1 };
    assert_eq!(serde_json::to_value(&shown).unwrap(), json!({"kind": "Shown", "n": 1}));
    assert_eq!(parse(&shown.encode().unwrap()), json!({"n": 1}));
}

#[test]
fn a_user_may_name_things_as_the_generated_code_does() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
    struct Renamed {
        payload: String,
    }
    fn payload(value: Value) -> Result<Value, String> {
        Ok(json!({ "payload": value["text"] }))
    }
    #[event(crate = underlay_core)]
    enum Naming {
        #[event(name = "renamed", version = 2, upcasts(payload))]
        Renamed(Renamed),
        #[event(name = "borrowed", version = 1)]
        Borrowed,
        #[event(name = "shape", version = 1)]
        Shape { event_type: String, text: u32 },
    }
    let shape = Naming::Shape { event_type: "t".to_owned(), text: 1 };
    assert_eq!(round_trip(&shape), shape);
    assert_eq!(round_trip(&Naming::Borrowed), Naming::Borrowed);
    let renamed = Naming::Renamed(Renamed { payload: "p".to_owned() });
    assert_eq!(Naming::decode("renamed", 1, r#"{"text": "p"}"#), Ok(Some(renamed)));
}

#[test]
fn a_set_may_be_empty_or_hold_only_sets() {
    #[event(crate = underlay_core)]
    enum Never {}
    #[event(crate = underlay_core)]
    enum Sets {
        #[event(flatten)]
        Never(Never),
        #[event(flatten)]
        Member(MemberEvent),
    }
    assert!(Never::descriptors().is_empty() && Never::schemas().is_empty());
    let event = Sets::Member(MemberEvent::Registered { email: "a@example.org".to_owned() });
    assert_eq!(round_trip(&event), event);
}
