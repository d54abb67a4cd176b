use underlay_core::limits::{
    CONDITION_DEPTH_MAX, CONDITION_PARTS_MAX, CONDITION_VALUES_MAX, QUERY_FILTERS_MAX,
};
use underlay_core::{
    Column, Comparison, Condition, Decimal, Direction, Query, RowValues, Sort, StoredEntity, Value,
};

use super::Subject;
use super::subject::{decimal, first_and_last_moments, members, moment, stored, text};
use crate::dice::Dice;
use crate::{EntitiesFixture, naive};

/// How many entities the queries look at.
const ENTITIES: usize = 150;
/// How many queries are drawn.
const RANDOM_QUERIES: usize = 250;

const COMPARISONS: [Comparison; 6] =
    [Comparison::Eq, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge, Comparison::Prefix];

/// Sentence 9: filters, conditions and orders hold as `Query::meets` says, and a count counts what meets them.
pub async fn conditions_hold<F: EntitiesFixture>(fixture: F) {
    let filled = Filled::of(&fixture).await;
    let subject = &filled.subject;

    let single = comparisons();
    for (number, condition) in single.iter().enumerate() {
        // The one way as a filter, where an index may serve it, and the other way row by row.
        let filtered = Query::of(condition.clone(), &subject.schema);
        let tested = Query { condition: condition.clone(), ..Query::default() };
        let negated = Query::of(condition.clone().negated(), &subject.schema);
        let sort = sorts()[number % sorts().len()].clone();
        for query in [filtered, tested, negated] {
            assert_query(&filled, &Query { sort: sort.clone(), ..query }).await;
        }
    }
    for sort in sorts() {
        assert_query(&filled, &Query { sort, ..Query::default() }).await;
    }
    for condition in joined(&single) {
        assert_query(&filled, &Query::of(condition.clone(), &subject.schema)).await;
        assert_query(&filled, &Query { condition, ..Query::default() }).await;
    }

    // Both laws of De Morgan, and a thing or its contrary.
    for (first, second) in single.iter().zip(single.iter().rev()).step_by(7) {
        let both = Condition::All(vec![first.clone(), second.clone()]).negated();
        let either = Condition::Any(vec![first.clone().negated(), second.clone().negated()]);
        assert_eq!(ids(subject, both).await, ids(subject, either).await, "of {first:?} and {second:?}");
        let contrary = Condition::Any(vec![first.clone(), first.clone().negated()]);
        assert_eq!(ids(subject, contrary).await.len(), ENTITIES, "{first:?} is true or false");
    }
}

/// Sentence 10: whatever a query asks, the answer is the one of a naive filter.
pub async fn random_queries_agree_with_a_naive_filter<F: EntitiesFixture>(fixture: F) {
    let filled = Filled::of(&fixture).await;
    let mut dice = Dice(0x5eed);
    for _ in 0..RANDOM_QUERIES {
        let query = random_query(&mut dice, &filled.subject);
        assert_query(&filled, &query).await;
        let limit = 1 + dice.below(40) as usize;
        assert_pages(&filled, &Query { limit, ..query }).await;
    }
}

/// Entities with many equal and many empty values, extremes, and text that patterns and collations get wrong. Another
/// tenant has the same.
struct Filled {
    subject: Subject,
    all: Vec<StoredEntity>,
}

impl Filled {
    async fn of<F: EntitiesFixture>(fixture: &F) -> Self {
        let subject = Subject::of(fixture).await;
        // The order of ids is unrelated to the order of any column.
        let entity = |number: usize| stored(&format!("m-{}", number * 37 % ENTITIES), 1, values(number));
        let mut all: Vec<StoredEntity> = (0..ENTITIES).map(entity).collect();
        for owner in [&subject, &subject.seen_by("globex")] {
            let create = |entity: &StoredEntity| owner.create(&entity.id, entity.values.clone());
            owner.apply_each(all.iter().map(create).collect()).await;
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(subject.all().await, all, "every entity is read by its id");
        Self { subject, all }
    }
}

fn texts() -> Vec<Value> {
    let all = [
        "",
        "a",
        "A",
        "ab",
        "aB",
        "a%",
        "a_",
        "a\\",
        "%",
        "_",
        "z",
        "\u{e9}",
        "e\u{301}",
        "\u{d7ff}",
        "\u{e000}",
        "a\u{10ffff}",
        "a\u{10ffff}b",
        "\u{10ffff}",
        "10",
        "9",
        "$1 ?1",
    ];
    all.map(text).to_vec()
}

fn numbers() -> Vec<Value> {
    [0, 1, -1, 2, -2, 9, 10, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1].map(Value::Integer).to_vec()
}

fn decimals() -> Vec<Value> {
    let mut all = ["0", "1", "-1", "1.5", "1.50", "-1.5", "10", "9", "0.1", "-0.1", "100", "99.99"]
        .map(decimal)
        .to_vec();
    all.extend([Decimal::MAX, Decimal::MIN].map(Value::Decimal));
    all
}

fn moments() -> Vec<Value> {
    let mut all = [0, 1, -1, 1_000_000, -1_000_000, 1_700_000_000_123_456].map(moment).to_vec();
    all.extend(first_and_last_moments());
    all
}

/// The values a column has, and is compared with.
fn pool(column: &str) -> Vec<Value> {
    match column {
        "code" | "owner" | "note" => texts(),
        "entries" | "rank" => numbers(),
        "balance" | "floor" => decimals(),
        "open" | "frozen" => [false, true].map(Value::Boolean).to_vec(),
        _ => moments(),
    }
}

fn values(number: usize) -> RowValues {
    let member = members();
    let value = |(at, column): (usize, &Column)| {
        let pool = pool(&column.name);
        if column.name == "code" {
            // Each has its own.
            let Value::Text(some) = &pool[number % pool.len()] else { return Value::Null };
            return Value::Text(format!("{some}{number}"));
        }
        if column.nullable && (number + at).is_multiple_of(3) {
            return Value::Null;
        }
        pool[(number * (at * 2 + 5) + number / 7) % pool.len()].clone()
    };
    member.columns.iter().enumerate().map(value).collect()
}

fn sorts() -> Vec<Sort> {
    let member = members();
    let indexed =
        member.columns.iter().filter(|column| column.indexed).map(|column| Some(column.name.clone()));
    let both = |column: Option<String>| {
        [Direction::Ascending, Direction::Descending]
            .map(|direction| Sort { column: column.clone(), direction })
    };
    indexed.chain([None]).flat_map(both).collect()
}

/// Each comparison with some values of each column, and what is no comparison.
fn comparisons() -> Vec<Condition> {
    let mut all = Vec::new();
    for column in &members().columns {
        let name = &column.name;
        let pool = pool(name);
        for (number, comparison) in COMPARISONS.iter().enumerate() {
            let is_text = matches!(pool[0], Value::Text(_));
            if *comparison == Comparison::Prefix && !is_text {
                continue;
            }
            for turn in [0, 5] {
                let value = pool[(number * 3 + turn) % pool.len()].clone();
                all.push(Condition::compare(name, *comparison, value));
            }
        }
        let values = |values: &[Value]| Condition::In { column: name.clone(), values: values.to_vec() };
        all.extend([values(&[]), values(&pool[..1]), values(&pool)]);
        all.push(Condition::IsNull { column: name.clone() });
    }
    all
}

/// What joins conditions, at its limits too.
fn joined(single: &[Condition]) -> Vec<Condition> {
    let some = |from: usize, step: usize, count: usize| {
        single.iter().cycle().skip(from).step_by(step).take(count).cloned().collect::<Vec<_>>()
    };
    let deep = (0..CONDITION_DEPTH_MAX - 1).fold(single[7].clone(), |inner, _| inner.negated());
    let values = (0..CONDITION_VALUES_MAX as i64).map(|number| Value::Integer(number - 50)).collect();
    vec![
        Condition::All(Vec::new()),
        Condition::Any(Vec::new()),
        Condition::All(Vec::new()).negated(),
        Condition::Any(Vec::new()).negated(),
        Condition::All(some(1, 11, 2)),
        Condition::All(some(2, 29, 3).into_iter().map(Condition::negated).collect()),
        Condition::Any(some(3, 17, 5)),
        Condition::Any(vec![
            Condition::All(some(4, 5, 2)),
            Condition::All(some(9, 7, 2)),
            some(40, 1, 1).remove(0),
        ]),
        Condition::All(vec![Condition::Any(some(6, 3, 4)), Condition::Any(some(50, 3, 4)).negated()]),
        Condition::Any(some(0, 1, CONDITION_PARTS_MAX - 1)),
        Condition::All(some(0, 1, CONDITION_PARTS_MAX - 1).into_iter().collect()),
        deep,
        Condition::In { column: "entries".to_owned(), values },
    ]
}

fn random_query(dice: &mut Dice, subject: &Subject) -> Query {
    let condition = random_condition(dice, 3);
    let mut query = if dice.below(2) == 0 {
        Query::of(condition, &subject.schema)
    } else {
        Query { condition, ..Query::default() }
    };
    let indexed: Vec<&str> =
        subject.schema.columns.iter().filter(|column| column.indexed).map(|c| c.name.as_str()).collect();
    for _ in 0..dice.below(3) {
        if query.filters.len() < QUERY_FILTERS_MAX {
            let column = *dice.one_of(&indexed);
            let (comparison, value) = random_comparison(dice, column);
            query = query.filter(column, comparison, value);
        }
    }
    query.sort = dice.one_of(&sorts()).clone();
    query
}

fn random_condition(dice: &mut Dice, depth: u64) -> Condition {
    let joins = if depth == 0 { 0 } else { 3 };
    let parts = |dice: &mut Dice| (0..dice.below(4)).map(|_| random_condition(dice, depth - 1)).collect();
    match dice.below(joins + 4) {
        0 => {
            let column = random_column(dice);
            let pool = pool(&column);
            let values = (0..dice.below(4)).map(|_| dice.one_of(&pool).clone()).collect();
            Condition::In { column, values }
        }
        1 => Condition::IsNull { column: random_column(dice) },
        2 | 3 => {
            let column = random_column(dice);
            let (comparison, value) = random_comparison(dice, &column);
            Condition::compare(column, comparison, value)
        }
        4 => random_condition(dice, depth - 1).negated(),
        5 => Condition::All(parts(dice)),
        _ => Condition::Any(parts(dice)),
    }
}

fn random_column(dice: &mut Dice) -> String {
    dice.one_of(&members().columns).name.clone()
}

fn random_comparison(dice: &mut Dice, column: &str) -> (Comparison, Value) {
    let value = dice.one_of(&pool(column)).clone();
    let comparisons = if matches!(value, Value::Text(_)) { &COMPARISONS[..] } else { &COMPARISONS[..5] };
    (*dice.one_of(comparisons), value)
}

fn expected(subject: &Subject, all: &[StoredEntity], query: &Query) -> Vec<StoredEntity> {
    naive::answer(&subject.schema, all, query, |entity| (&entity.id, &entity.values))
}

/// Holds a query against the entities themselves.
async fn assert_query(filled: &Filled, query: &Query) {
    let Filled { subject, all } = filled;
    let query = Query { limit: 1_000, after: None, ..query.clone() };
    let expected = expected(subject, all, &query);
    for entity in all {
        let meets = query.meets(&subject.schema, &entity.values);
        assert_eq!(meets, expected.iter().any(|found| found.id == entity.id), "{} of {query:?}", entity.id);
    }
    let page = subject.query(&query).await;
    assert_eq!(page.entities, expected, "the entities of {query:?}");
    assert_eq!(page.next, None, "a page that holds every entity is the last");
    let counted = subject.count(&Query { limit: 1, ..query.clone() }).await;
    assert_eq!(counted, expected.len() as u64, "the number of entities of {query:?}");
}

/// Holds the pages of a query against the entities themselves.
async fn assert_pages(filled: &Filled, query: &Query) {
    let Filled { subject, all } = filled;
    let expected = expected(subject, all, query);
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = subject.query(&query).await;
        assert!(page.entities.len() <= query.limit, "a page of {} has {}", query.limit, page.entities.len());
        found.extend(page.entities);
        assert!(found.len() <= ENTITIES, "the pages of {query:?} come to no end");
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(found, expected, "the pages of {query:?}");
}

async fn ids(subject: &Subject, condition: Condition) -> Vec<String> {
    let query = Query::of(condition, &subject.schema).limit(1_000);
    subject.query(&query).await.entities.into_iter().map(|entity| entity.id).collect()
}
