use underlay_core::{Column, ColumnType, Decimal, Row, Timestamp, Value};
use underlay_derive::row;

#[row(crate = underlay_core)]
struct Balance {
    #[column(indexed)]
    account: String,
    balance: Decimal,
    #[column(name = "entry_count", indexed)]
    entries: i64,
    closed: bool,
    closed_at: Option<Timestamp>,
    r#type: u32,
}

fn balance() -> Balance {
    Balance {
        account: "a".to_owned(),
        balance: Decimal::TEN,
        entries: -2,
        closed: true,
        closed_at: None,
        r#type: 7,
    }
}

fn values() -> Vec<Value> {
    vec![
        Value::Text("a".to_owned()),
        Value::Decimal(Decimal::TEN),
        Value::Integer(-2),
        Value::Boolean(true),
        Value::Null,
        Value::Integer(7),
    ]
}

#[test]
fn columns_are_the_fields_in_order() {
    let column = |name: &str, column_type, nullable, indexed| Column {
        name: name.to_owned(),
        column_type,
        nullable,
        indexed,
    };
    let expected = [
        column("account", ColumnType::Text, false, true),
        column("balance", ColumnType::Decimal, false, false),
        column("entry_count", ColumnType::Integer, false, true),
        column("closed", ColumnType::Boolean, false, false),
        column("closed_at", ColumnType::Timestamp, true, false),
        column("type", ColumnType::Integer, false, false),
    ];
    assert_eq!(Balance::columns(), expected);
}

#[test]
fn values_go_in_and_out_in_that_order() {
    assert_eq!(balance().into_values(), values());
    assert_eq!(Balance::from_values(values()), Ok(balance()));
    let at: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
    let closed = Balance { closed_at: Some(at), ..balance() };
    assert_eq!(Balance::from_values(closed.clone().into_values()), Ok(closed));
}

#[test]
fn a_value_that_does_not_fit_names_its_column() {
    for (at, wrong, name) in [
        (0, Value::Null, "account"),
        (1, Value::Text("1".to_owned()), "balance"),
        (2, Value::Boolean(true), "entry_count"),
        (4, Value::Integer(1), "closed_at"),
        (5, Value::Integer(-1), "type"),
    ] {
        let mut values = values();
        values[at] = wrong;
        assert_eq!(Balance::from_values(values), Err(name));
    }
    let mut short = values();
    short.truncate(3);
    assert_eq!(Balance::from_values(short), Err("closed"));
}
