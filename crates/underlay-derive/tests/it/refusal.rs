use serde_json::json;
use underlay_core::{Decimal, Refusal};
use underlay_derive::refusal;

#[refusal(crate = underlay_core)]
enum AccountRefusal {
    #[refusal(code = "overdrawn", message = "the balance is {available}, {requested} was asked for")]
    Overdrawn { available: Decimal, requested: Decimal },
    #[refusal(code = "closed", message = "the account is closed {{for good}}")]
    Closed,
    #[refusal(code = "unknown-field", message = "{formatter:?} is not known")]
    Unknown {
        #[serde(rename = "field")]
        formatter: String,
        hint: Option<String>,
    },
}

#[refusal(crate = underlay_core, code = "too-many", message = "at most {limit} are allowed")]
struct TooMany {
    limit: u32,
}

#[refusal(crate = underlay_core, code = "not-yet", message = "not yet")]
struct NotYet;

fn overdrawn() -> AccountRefusal {
    AccountRefusal::Overdrawn { available: Decimal::ONE, requested: Decimal::TWO }
}

fn unknown() -> AccountRefusal {
    AccountRefusal::Unknown { formatter: "f".to_owned(), hint: None }
}

#[test]
fn a_refusal_is_a_sentence_a_code_and_an_object() {
    for (refusal, sentence, code, object) in [
        (
            overdrawn(),
            "the balance is 1, 2 was asked for",
            "overdrawn",
            json!({"available": "1", "requested": "2"}),
        ),
        (AccountRefusal::Closed, "the account is closed {for good}", "closed", json!({})),
        (unknown(), r#""f" is not known"#, "unknown-field", json!({"field": "f", "hint": null})),
    ] {
        assert_eq!(refusal.to_string(), sentence);
        assert_eq!(refusal.code(), code);
        assert_eq!(serde_json::to_value(&refusal).unwrap(), object);
        assert_eq!(AccountRefusal::decode(code, &object.to_string()), Some(refusal));
    }
}

#[test]
fn what_is_no_longer_known_is_none() {
    assert_eq!(AccountRefusal::decode("Overdrawn", r#"{"available": "1", "requested": "2"}"#), None);
    assert_eq!(AccountRefusal::decode("overdrawn", r#"{"available": "1"}"#), None);
    assert_eq!(AccountRefusal::decode("closed", "damaged"), None);
    let more = r#"{"available": "1", "requested": "2", "removed": 3}"#;
    assert_eq!(AccountRefusal::decode("overdrawn", more), Some(overdrawn()));
}

#[test]
fn a_refusal_is_an_error() {
    let error: Box<dyn std::error::Error + Send + Sync> = Box::new(AccountRefusal::Closed);
    assert!(error.source().is_none());
    assert_eq!(error.to_string(), "the account is closed {for good}");
}

#[test]
fn a_struct_is_a_refusal_of_one_rule() {
    let refusal = TooMany { limit: 3 };
    assert_eq!((refusal.to_string().as_str(), refusal.code()), ("at most 3 are allowed", "too-many"));
    assert_eq!(serde_json::to_string(&refusal).unwrap(), r#"{"limit":3}"#);
    assert_eq!(TooMany::decode("too-many", r#"{"limit":3}"#), Some(refusal));
    assert_eq!(serde_json::to_string(&NotYet).unwrap(), "{}");
    assert_eq!(NotYet::decode("not-yet", "{}"), Some(NotYet));
    assert_eq!(NotYet::decode("too-many", "{}"), None);
}

#[test]
fn an_aggregate_that_never_refuses_has_an_empty_one() {
    #[refusal(crate = underlay_core)]
    enum Never {}
    assert_eq!(Never::decode("overdrawn", "{}"), None);
}
