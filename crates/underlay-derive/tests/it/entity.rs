use underlay_core::{
    Column, ColumnType, Comparison, Condition, Decimal, Entity, EntityId, EntityVersion, Error, Persistent,
    Specification, StoredEntity, Value,
};
use underlay_derive::entity;

#[entity(crate = underlay_core, name = "exchange_rate", version = 3, roles("teller", "manager"))]
struct Rate {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(indexed)]
    base: String,
    #[column(unique, name = "serial_number")]
    serial: i64,
    value: Decimal,
    note: Option<String>,
    r#type: u32,
}

fn rate() -> Rate {
    Rate {
        id: "eur-usd".to_owned(),
        version: EntityVersion(2),
        base: "EUR".to_owned(),
        serial: 7,
        value: Decimal::TEN,
        note: None,
        r#type: 1,
    }
}

fn stored() -> StoredEntity {
    let values = vec![
        Value::Text("EUR".to_owned()),
        Value::Integer(7),
        Value::Decimal(Decimal::TEN),
        Value::Null,
        Value::Integer(1),
    ];
    StoredEntity { id: "eur-usd".to_owned(), version: EntityVersion(2), values }
}

#[test]
fn the_schema_is_that_of_the_fields() {
    let column = |name: &str, column_type, nullable, indexed| Column {
        name: name.to_owned(),
        column_type,
        nullable,
        indexed,
    };
    let schema = Rate::schema();
    let expected = [
        column("base", ColumnType::Text, false, true),
        column("serial_number", ColumnType::Integer, false, true),
        column("value", ColumnType::Decimal, false, false),
        column("note", ColumnType::Text, true, false),
        column("type", ColumnType::Integer, false, false),
    ];
    assert_eq!(schema.columns, expected);
    assert_eq!((schema.name.as_str(), schema.version), ("exchange_rate", 3));
    assert_eq!(schema.unique, ["serial_number"]);
    assert_eq!((<Rate as Entity>::NAME, Rate::ROLES), ("exchange_rate", &["teller", "manager"][..]));
    schema.validate().unwrap();
}

#[test]
fn an_entity_goes_in_and_out() {
    assert_eq!((Entity::id(&rate()), Entity::version(&rate())), ("eur-usd".to_owned(), EntityVersion(2)));
    assert_eq!(rate().into_stored(), stored());
    assert_eq!(Rate::from_stored(stored()).unwrap(), rate());
    assert_eq!(Rate::from_entity(rate().into_entity()).unwrap(), rate(), "it is its own stored shape");
}

#[test]
fn what_does_not_fit_names_entity_id_and_column() {
    for (at, wrong, name) in [
        (0, Value::Null, "base"),
        (1, Value::Text("7".to_owned()), "serial_number"),
        (3, Value::Integer(1), "note"),
        (4, Value::Integer(-1), "type"),
    ] {
        let mut stored = stored();
        stored.values[at] = wrong;
        let error = Rate::from_stored(stored).unwrap_err();
        assert!(matches!(error, Error::Damaged(_)), "{error}");
        let error = error.to_string();
        for named in ["exchange_rate", "eur-usd", name] {
            assert!(error.contains(named), "{error} does not name {named}");
        }
    }
    for change in
        [|values: &mut Vec<Value>| drop(values.pop()), |values: &mut Vec<Value>| values.push(Value::Null)]
    {
        let mut stored = stored();
        change(&mut stored.values);
        assert!(matches!(Rate::from_stored(stored), Err(Error::Damaged(_))));
    }
}

#[test]
fn columns_make_specifications() {
    let condition = |specification: Specification<Rate>| {
        specification.condition().validate(&Rate::schema()).unwrap();
        specification.into_condition()
    };
    let compare = |column, comparison, value| Condition::compare(column, comparison, value);
    let text = |text: &str| Value::Text(text.to_owned());
    let base = compare("base", Comparison::Eq, text("EUR"));
    let dear = compare("value", Comparison::Gt, Value::Decimal(Decimal::ONE));
    assert_eq!(
        condition(Rate::BASE.eq("EUR").and(Rate::VALUE.gt(1))),
        Condition::All(vec![base.clone(), dear.clone()])
    );
    assert_eq!(
        condition(Rate::BASE.ne("EUR").or(Rate::VALUE.gt(1))),
        Condition::Any(vec![base.negated(), dear])
    );
    assert_eq!(
        condition(Rate::NOTE.eq("a").not().and(Rate::NOTE.is_null())),
        Condition::All(vec![
            compare("note", Comparison::Eq, text("a")).negated(),
            Condition::IsNull { column: "note".to_owned() }
        ])
    );
    for (specification, comparison) in [
        (Rate::SERIAL.lt(7), Comparison::Lt),
        (Rate::SERIAL.le(7), Comparison::Le),
        (Rate::SERIAL.gt(7), Comparison::Gt),
        (Rate::SERIAL.ge(7), Comparison::Ge),
    ] {
        assert_eq!(condition(specification), compare("serial_number", comparison, Value::Integer(7)));
    }
    assert_eq!(
        condition(Rate::TYPE.is_in([1_u32, 2])),
        Condition::In { column: "type".to_owned(), values: vec![Value::Integer(1), Value::Integer(2)] }
    );
    assert_eq!(condition(Rate::BASE.starts_with("E")), compare("base", Comparison::Prefix, text("E")));
    assert_eq!(condition(Specification::all()), Condition::default());
    assert!(Rate::TYPE.starts_with("1").condition().validate(&Rate::schema()).is_err(), "prefix is for text");
    assert_eq!(Rate::SERIAL.name(), "serial_number");
}

/// An id of its own, and a domain that is not the stored shape.
#[derive(Clone, Debug, PartialEq)]
struct Iban(String);

impl EntityId for Iban {
    fn to_key(&self) -> String {
        self.0.to_lowercase()
    }

    fn from_key(key: &str) -> Option<Self> {
        (key.len() > 4).then(|| Self(key.to_uppercase()))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Limit {
    None,
    UpTo(u32),
}

#[derive(Clone, Debug, PartialEq)]
struct Account {
    iban: Iban,
    limit: Limit,
    version: EntityVersion,
}

#[entity(crate = underlay_core, name = "account", version = 1, of = Account)]
struct AccountRow {
    #[id]
    iban: Iban,
    limit: Option<i64>,
    #[version]
    seen: EntityVersion,
}

impl From<Account> for AccountRow {
    fn from(account: Account) -> Self {
        let limit = match account.limit {
            Limit::None => None,
            Limit::UpTo(most) => Some(most.into()),
        };
        Self { iban: account.iban, limit, seen: account.version }
    }
}

impl TryFrom<AccountRow> for Account {
    type Error = String;

    fn try_from(row: AccountRow) -> Result<Self, String> {
        let limit = match row.limit {
            None => Limit::None,
            Some(most) => Limit::UpTo(most.try_into().map_err(|_| format!("a limit of {most}"))?),
        };
        Ok(Self { iban: row.iban, limit, version: row.seen })
    }
}

#[test]
fn a_domain_is_kept_as_its_stored_shape() {
    let account =
        Account { iban: Iban("DE001".to_owned()), limit: Limit::UpTo(5), version: EntityVersion(1) };
    let row = account.clone().into_entity();
    let stored = row.clone().into_stored();
    assert_eq!((stored.id.as_str(), &stored.values[..]), ("de001", &[Value::Integer(5)][..]));
    assert_eq!(AccountRow::from_stored(stored.clone()).unwrap(), row);
    assert_eq!(Account::from_entity(row.clone()).unwrap(), account);

    let error = Account::from_entity(AccountRow { limit: Some(-1), ..row }).unwrap_err();
    assert!(matches!(error, Error::Damaged(_)), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("account") && error.contains("de001") && error.contains("a limit of -1"),
        "{error}"
    );
    let other_id = StoredEntity { id: "de".to_owned(), ..stored };
    let error = AccountRow::from_stored(other_id).unwrap_err().to_string();
    assert!(error.contains("the id is none of this entity"), "{error}");
}
