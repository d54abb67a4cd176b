use mongodb::bson::{Bson, Document, doc};
use underlay_core::adapter::{Walk, sql_comparisons};
use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{Comparison, Condition, Cursor, Direction, Filter, Query, TenantId, Value};

use super::document::bson;
use super::shape::index_of;

/// Stages of an aggregation, and the index they walk along.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) index: String,
    pub(crate) stages: Vec<Document>,
}

/// The rows of a page along a walk, and one more where another page follows. It looks at no more rows than a query
/// may: the limit stands before the tests, and nothing before it needs more than the index.
pub(crate) fn page(tenant: &TenantId, query: &Query, walk: &Walk<'_>) -> Pipeline {
    let mut stages = between(tenant, query, walk);
    if walk.has_tests() || !walk.ordered {
        stages.push(doc! { "$limit": scanned_max() });
    }
    let mut tests = tests(walk);
    if let Some(cursor) = query.after.as_ref().filter(|_| !walk.ordered) {
        tests.push(beyond(query, cursor));
    }
    if !tests.is_empty() {
        stages.push(doc! { "$match": { "$and": tests } });
    }
    if !walk.ordered {
        stages.push(doc! { "$sort": order(query) });
    }
    stages.push(doc! { "$limit": number(query.limit + 1) });
    Pipeline { index: index_of(walk.column), stages }
}

/// How many rows a walk looks at: one more than it may where there are as many.
pub(crate) fn looked(tenant: &TenantId, query: &Query, walk: &Walk<'_>) -> Pipeline {
    let mut stages = between(tenant, query, walk);
    stages.push(doc! { "$limit": scanned_max() + 1 });
    stages.push(doc! { "$count": "n" });
    Pipeline { index: index_of(walk.column), stages }
}

/// How many of the rows that a walk looks at pass its tests.
pub(crate) fn passing(tenant: &TenantId, query: &Query, walk: &Walk<'_>) -> Pipeline {
    let mut stages = between(tenant, query, walk);
    stages.push(doc! { "$limit": scanned_max() });
    stages.push(doc! { "$match": { "$and": tests(walk) } });
    stages.push(doc! { "$count": "n" });
    Pipeline { index: index_of(walk.column), stages }
}

/// The number in the answer to a count.
pub(crate) fn counted(rows: &[Document]) -> u64 {
    let counted = rows.first().and_then(|row| row.get("n"));
    let counted = counted.and_then(|n| n.as_i64().or_else(|| n.as_i32().map(i64::from)));
    // Of no rows there is no count.
    counted.and_then(|n| u64::try_from(n).ok()).unwrap_or_default()
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn scanned_max() -> i64 {
    number(QUERY_ROWS_SCANNED_MAX)
}

/// The rows between the bounds of a walk, in its order where it has one.
fn between(tenant: &TenantId, query: &Query, walk: &Walk<'_>) -> Vec<Document> {
    let cursor = query.after.as_ref().filter(|_| walk.ordered);
    let places = match walk.column {
        None => doc! { "_id": key_range(tenant, query, cursor) },
        Some(column) => column_range(tenant, column, query, walk, cursor),
    };
    let mut stages = vec![doc! { "$match": places }];
    if walk.ordered {
        let way = way(query);
        let index = match walk.column {
            None => doc! { "_id": way },
            // The whole key of the index, so that nothing is left to sort.
            Some(column) => doc! { "_id.t": way, field(column): way, "_id.k": way },
        };
        stages.push(doc! { "$sort": index });
    }
    stages
}

/// The addresses of a tenant's rows, of those beyond a cursor where there is one.
fn key_range(tenant: &TenantId, query: &Query, cursor: Option<&Cursor>) -> Document {
    let at = |key: Bson| doc! { "t": tenant.as_str(), "k": key };
    let (mut first, mut end) = (Bson::MinKey, Bson::MaxKey);
    if let Some(cursor) = cursor {
        match query.sort.direction {
            Direction::Ascending => first = Bson::from(cursor.key.as_str()),
            Direction::Descending => end = Bson::from(cursor.key.as_str()),
        }
    }
    doc! { "$gt": at(first), "$lt": at(end) }
}

/// What an index of a column leads to. Beyond a cursor there are two ranges of it, the rest of its value and the values
/// after it; the server merges them in the order of the index and reads no row before the cursor.
fn column_range(
    tenant: &TenantId,
    column: &str,
    query: &Query,
    walk: &Walk<'_>,
    cursor: Option<&Cursor>,
) -> Document {
    let range = |more: Vec<Document>| {
        let mut all = vec![doc! { "_id.t": tenant.as_str() }];
        all.extend(walk.bounds.iter().map(|filter| comparison(filter)));
        all.extend(more);
        doc! { "$and": all }
    };
    let Some(cursor) = cursor else { return range(Vec::new()) };
    let rest = doc! { "_id.k": { operator_beyond(query): cursor.key.as_str() } };
    match &cursor.value {
        Some(value) => {
            let same = vec![doc! { field(column): { "$eq": bson(value) } }, rest];
            let after = vec![doc! { field(column): { operator_beyond(query): bson(value) } }];
            doc! { "$or": [range(same), range(after)] }
        }
        // Rows of one value, in the order of their keys.
        None => range(vec![rest]),
    }
}

/// What a row beyond a cursor meets.
fn beyond(query: &Query, cursor: &Cursor) -> Document {
    let rest = doc! { "_id.k": { operator_beyond(query): cursor.key.as_str() } };
    match (&query.sort.column, &cursor.value) {
        (Some(column), Some(value)) => {
            let (field, value) = (field(column), bson(value));
            let same = doc! { "$and": [{ &field: { "$eq": value.clone() } }, rest] };
            doc! { "$or": [same, { field: { operator_beyond(query): value } }] }
        }
        _ => rest,
    }
}

/// The order asked for, of a tenant's rows.
fn order(query: &Query) -> Document {
    let mut order = Document::new();
    if let Some(column) = &query.sort.column {
        order.insert(field(column), way(query));
    }
    order.insert("_id.k", way(query));
    order
}

fn way(query: &Query) -> i32 {
    match query.sort.direction {
        Direction::Ascending => 1,
        Direction::Descending => -1,
    }
}

fn operator_beyond(query: &Query) -> &'static str {
    match query.sort.direction {
        Direction::Ascending => "$gt",
        Direction::Descending => "$lt",
    }
}

/// Where a column stands in a document.
fn field(column: &str) -> String {
    format!("c.{column}")
}

/// What is tested row by row.
fn tests(walk: &Walk<'_>) -> Vec<Document> {
    let mut tests: Vec<Document> = walk.tests.iter().map(|filter| comparison(filter)).collect();
    if !walk.condition.is_empty() {
        tests.push(condition(walk.condition));
    }
    tests
}

/// A filter. The server compares values of one type alone, so one with an empty column is false.
fn comparison(filter: &Filter) -> Document {
    let mut all: Vec<Document> = Vec::new();
    for (operator, value) in sql_comparisons(filter) {
        let operator = match operator {
            "=" => "$eq",
            "<" => "$lt",
            "<=" => "$lte",
            ">" => "$gt",
            _ => "$gte",
        };
        all.push(doc! { field(&filter.column): { operator: bson(&value) } });
    }
    debug_assert!(filter.comparison == Comparison::Prefix || all.len() == 1, "one comparison, one operator");
    if all.len() == 1 {
        all.remove(0)
    } else {
        doc! { "$and": all }
    }
}

/// A condition, which is true or false of every row.
fn condition(condition: &Condition) -> Document {
    let all_of = |parts: &[Condition]| parts.iter().map(self::condition).collect::<Vec<_>>();
    match condition {
        Condition::All(parts) if parts.is_empty() => doc! {},
        Condition::All(parts) => doc! { "$and": all_of(parts) },
        Condition::Any(parts) if parts.is_empty() => never(),
        Condition::Any(parts) => doc! { "$or": all_of(parts) },
        // Not `$not`, which stands within one field.
        Condition::Not(part) => doc! { "$nor": [self::condition(part)] },
        Condition::Compare(filter) => comparison(filter),
        Condition::In { values, .. } if values.is_empty() => never(),
        Condition::In { column, values } => {
            let values: Vec<Bson> = values.iter().filter(|value| **value != Value::Null).map(bson).collect();
            doc! { field(column): { "$in": values } }
        }
        Condition::IsNull { column } => doc! { field(column): { "$eq": Bson::Null } },
    }
}

/// True of no row.
fn never() -> Document {
    doc! { "$nor": [{}] }
}

#[cfg(test)]
mod tests {
    use underlay_core::RowSchema;

    use super::*;

    #[test]
    fn no_walk_tests_a_row_before_its_limit() {
        let tenant = TenantId::new("acme").unwrap();
        let schema = RowSchema::new(underlay_core::RowsOf::Entity, "rate", 1, Vec::new());
        let odd = Condition::IsNull { column: "note".into() }.negated();
        let query = Query { condition: odd, ..Query::of(Condition::default(), &schema) }
            .filter("base", Comparison::Eq, Value::Text("EUR".into()))
            .filter("rank", Comparison::Gt, Value::Integer(3))
            .sort("rank", Direction::Descending);
        for walk in query.page_walks() {
            let stages = page(&tenant, &query, &walk).stages;
            let names: Vec<&str> =
                stages.iter().filter_map(|stage| stage.keys().next()).map(String::as_str).collect();
            let limit = names.iter().position(|name| *name == "$limit");
            let tests = names.iter().skip(1).position(|name| *name == "$match").map(|at| at + 1);
            assert!(limit.is_some() && limit < tests, "{names:?}");
            assert_eq!(stages[limit.unwrap()].get_i64("$limit").unwrap(), scanned_max(), "{names:?}");
        }
    }
}
