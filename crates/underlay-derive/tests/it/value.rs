use std::collections::BTreeMap;

use serde_json::{Value, json};
use underlay_core::{Column, ColumnType, Decimal, Event, Row};
use underlay_derive::{event, row, value};

/// Text that is checked where it is read.
#[value(crate = underlay_core)]
#[derive(Eq, PartialOrd, Ord)]
#[serde(try_from = "String", into = "String")]
struct Commodity(String);

impl TryFrom<String> for Commodity {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('@') { Err(format!("{text} is no commodity")) } else { Ok(Self(text)) }
    }
}

impl From<Commodity> for String {
    fn from(commodity: Commodity) -> Self {
        commodity.0
    }
}

#[value(crate = underlay_core)]
#[serde(transparent)]
struct Cents(i64);

#[value(crate = underlay_core)]
#[derive(Copy, Default)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Real,
    BalancedVirtual,
    #[serde(rename = "v")]
    Virtual {
        depth: u8,
    },
}

#[value(crate = underlay_core)]
#[serde(deny_unknown_fields)]
struct Posting {
    #[serde(rename = "of")]
    commodity: Commodity,
    amount: Decimal,
    #[serde(default)]
    kind: Kind,
    #[schemars(length(max = 5))]
    note: Option<String>,
}

#[value(crate = underlay_core)]
struct Totals {
    by_commodity: BTreeMap<Commodity, Cents>,
}

#[event(crate = underlay_core)]
enum EntryEvent {
    #[event(name = "posted", version = 1)]
    Posted { posting: Posting },
}

mod hex {
    use underlay_core::private::serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 16).map_err(underlay_core::private::serde::de::Error::custom)
    }
}

/// No trait of serde's.
#[derive(Clone, Debug, PartialEq)]
struct Foreign(u32);

mod foreign {
    use underlay_core::private::serde::{Deserializer, Serializer};

    use super::{Foreign, hex};

    pub(super) fn serialize<S: Serializer>(foreign: &Foreign, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(&foreign.0, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Foreign, D::Error> {
        hex::deserialize(deserializer).map(Foreign)
    }
}

#[value(crate = underlay_core)]
struct Written {
    #[serde(with = "hex")]
    anything: u32,
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    text: u32,
}

#[value(crate = underlay_core)]
enum WrittenVariants {
    #[serde(with = "foreign")]
    Whole(Foreign),
    Field {
        #[serde(with = "foreign")]
        field: Foreign,
    },
}

/// What the user derives is left to the user, with the crates the user names.
#[value(crate = underlay_core)]
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(crate = "serde")]
struct Own {
    text: String,
}

#[value(crate = underlay_core)]
#[derive(Debug, underlay_core::private::schemars::JsonSchema)]
#[serde(crate = "underlay_core::private::serde")]
#[schemars(crate = "underlay_core::private::schemars")]
struct Half(bool);

#[row(crate = underlay_core)]
#[value(crate = underlay_core)]
#[serde(rename_all = "UPPERCASE")]
struct RowFirst {
    #[column(indexed)]
    count: i64,
}

#[value(crate = underlay_core)]
#[serde(rename_all = "UPPERCASE")]
#[row(crate = underlay_core)]
struct ValueFirst {
    #[column(indexed)]
    count: i64,
}

fn posting() -> Posting {
    Posting {
        commodity: Commodity("EUR".to_owned()),
        amount: Decimal::new(150, 2),
        kind: Kind::BalancedVirtual,
        note: None,
    }
}

/// Written as `json`, and read back from it as it was.
fn assert_form<T>(value: &T, json: Value)
where
    T: serde::Serialize + serde::de::DeserializeOwned + Clone + PartialEq + std::fmt::Debug,
{
    assert_eq!(serde_json::to_value(value).unwrap(), json);
    assert_eq!(&serde_json::from_value::<T>(json).unwrap(), value);
}

fn schema<T: underlay_core::private::schemars::JsonSchema>() -> Value {
    underlay_core::private::payload_schema::<T>("t").decode().unwrap()
}

#[test]
fn data_is_written_and_read_as_serde_does() {
    assert_form(&posting(), json!({"of": "EUR", "amount": "1.50", "kind": "balanced-virtual", "note": null}));
    assert_form(&Cents(5), json!(5));
    assert_form(&Kind::Virtual { depth: 2 }, json!({"v": {"depth": 2}}));
    assert_form(&Kind::default(), json!("real"));
    let by_commodity = BTreeMap::from([(Commodity("EUR".to_owned()), Cents(1))]);
    assert_form(&Totals { by_commodity }, json!({"by_commodity": {"EUR": 1}}));
    assert_form(&Own { text: "t".to_owned() }, json!({"text": "t"}));
    assert_form(&Half(true), json!(true));
}

#[test]
fn what_is_read_is_checked() {
    let error = serde_json::from_value::<Commodity>(json!("@")).unwrap_err();
    assert_eq!(error.to_string(), "@ is no commodity");
    let unknown = serde_json::from_value::<Posting>(json!({"of": "EUR", "amount": "1", "more": 1}));
    assert!(unknown.unwrap_err().to_string().starts_with("unknown field `more`"));
}

#[test]
fn an_event_holds_data_with_its_schema() {
    let posted = EntryEvent::Posted { posting: posting() };
    let payload = posted.encode().unwrap();
    assert_eq!(EntryEvent::decode("posted", 1, payload.as_str()).unwrap(), Some(posted));

    let schema: Value = EntryEvent::schemas()[0].decode().unwrap();
    let properties = &schema["properties"]["posting"]["properties"];
    assert_eq!(properties["of"]["type"], "string");
    assert_eq!(properties["note"]["maxLength"], 5);
    assert_eq!(schema["properties"]["posting"]["additionalProperties"], false);
}

#[test]
fn a_field_that_a_function_writes_has_a_schema_that_allows_anything() {
    assert_form(&Written { anything: 255, text: 16 }, json!({"anything": "ff", "text": "10"}));
    let properties = &schema::<Written>()["properties"];
    assert_eq!(properties["anything"], json!(true));
    assert_eq!(properties["text"], json!({"type": "string"}));

    assert_form(&WrittenVariants::Whole(Foreign(255)), json!({"Whole": "ff"}));
    assert_form(&WrittenVariants::Field { field: Foreign(1) }, json!({"Field": {"field": "1"}}));
    let variants = &schema::<WrittenVariants>()["oneOf"];
    assert_eq!(variants[0]["properties"]["Whole"], json!(true));
    assert_eq!(variants[1]["properties"]["Field"]["properties"]["field"], json!(true));
}

#[test]
fn a_row_can_be_data_in_either_order() {
    let column =
        Column { name: "count".to_owned(), column_type: ColumnType::Integer, nullable: false, indexed: true };
    assert_eq!([RowFirst::columns(), ValueFirst::columns()], [vec![column.clone()], vec![column]]);
    assert_form(&RowFirst { count: 1 }, json!({"COUNT": 1}));
    assert_form(&ValueFirst { count: 1 }, json!({"COUNT": 1}));
}
