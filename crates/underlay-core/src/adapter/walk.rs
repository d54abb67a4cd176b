//! The ways to the rows of a query: each walks along one index, and looks at a bounded number of rows.
//!
//! An index holds the rows of a tenant in the order of one column. A walk takes the conditions on that
//! column as its bounds and tests the others row by row, with the condition of the query. Where it comes in the order asked for it ends
//! once the page is full; otherwise it takes all between its bounds, and sorts. No walk looks at more
//! than [`QUERY_ROWS_SCANNED_MAX`] rows: the next one is tried, and where none is left the query is
//! [`Error::TooBroad`]. All of it follows from the query alone, so that every store gives up on the same
//! queries, whatever its statistics say.

use std::time::Duration;

use crate::domain::{Comparison, Condition, Filter, Query};
use crate::words::limits::QUERY_ROWS_SCANNED_MAX;
use crate::words::{Error, RowSchema, Value};

/// One way to the rows of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk<'q> {
    /// The column whose index is walked along; none for the order of the keys.
    pub column: Option<&'q str>,
    /// The conditions on that column: the rows between them are looked at.
    pub bounds: Vec<&'q Filter>,
    /// The filters that are tested row by row.
    pub tests: Vec<&'q Filter>,
    /// The condition of the query, which is tested row by row too.
    pub condition: &'q Condition,
    /// Whether it comes in the order asked for. Then a cursor is one of its bounds, and it ends where
    /// the page does.
    pub ordered: bool,
}

/// The condition of a walk without tests.
static EVERY_ROW: Condition = Condition::All(Vec::new());

impl Walk<'_> {
    /// The same way without its tests: the rows it looks at.
    #[must_use]
    pub fn without_tests(&self) -> Self {
        Self { tests: Vec::new(), condition: &EVERY_ROW, ..self.clone() }
    }

    /// Whether it looks at no row past the page.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.ordered && !self.has_tests()
    }

    /// Whether rows between its bounds may be none of the answer.
    #[must_use]
    pub fn has_tests(&self) -> bool {
        !self.tests.is_empty() || !self.condition.is_empty()
    }

    /// Whether a row lies between its bounds.
    #[must_use]
    pub fn looks_at(&self, schema: &RowSchema, row: &[Value]) -> bool {
        self.bounds.iter().all(|filter| filter.meets(schema, row))
    }

    /// Whether a row between its bounds passes its tests.
    #[must_use]
    pub fn passes(&self, schema: &RowSchema, row: &[Value]) -> bool {
        self.tests.iter().all(|filter| filter.meets(schema, row)) && self.condition.meets(schema, row)
    }
}

impl Query {
    /// The ways to a page of rows, the most promising first; at least one. One that is
    /// [exact](Walk::is_exact) is the last: it always comes to an end.
    #[must_use]
    pub fn page_walks(&self) -> Vec<Walk<'_>> {
        let order = self.sort.column.as_deref();
        let mut columns = self.narrowing();
        // A condition that leaves few rows comes first, then the order asked for, which finds a page
        // without sorting, then what else narrows.
        let narrow = columns.iter().filter(|(rank, _)| *rank <= Rank::Prefix).count();
        let by_order = (Rank::Order, order);
        let at = if order.is_some() { narrow } else { columns.len() };
        columns.insert(at, by_order);
        let mut walks: Vec<Walk<'_>> = Vec::new();
        for (_, column) in columns {
            if walks.iter().any(|walk| walk.column == column) {
                continue;
            }
            let walk = self.walk(column);
            let last = walk.is_exact();
            walks.push(walk);
            if last {
                break;
            }
        }
        walks
    }

    /// The ways to count the rows that meet the filters, the most promising first; at least one. None of
    /// them has an order to keep.
    #[must_use]
    pub fn count_walks(&self) -> Vec<Walk<'_>> {
        let mut columns = self.narrowing();
        if columns.is_empty() {
            columns.push((Rank::Order, None));
        }
        columns.into_iter().map(|(_, column)| Walk { ordered: false, ..self.walk(column) }).collect()
    }

    /// The columns with a condition, each once, those first that likely leave few rows.
    fn narrowing(&self) -> Vec<(Rank, Option<&str>)> {
        let mut columns: Vec<(Rank, Option<&str>)> =
            self.filters.iter().map(|filter| (Rank::of(filter), Some(filter.column.as_str()))).collect();
        columns.sort_by_key(|(rank, _)| *rank);
        let mut seen = Vec::new();
        columns.retain(|(_, column)| {
            let new = !seen.contains(column);
            seen.push(*column);
            new
        });
        columns
    }

    fn walk<'q>(&'q self, column: Option<&'q str>) -> Walk<'q> {
        let (bounds, tests): (Vec<_>, Vec<_>) =
            self.filters.iter().partition(|filter| Some(filter.column.as_str()) == column);
        // Rows of one value lie in the order of their keys.
        let one_value = bounds.iter().any(|filter| filter.comparison == Comparison::Eq);
        let order = self.sort.column.as_deref();
        let ordered = column == order || (order.is_none() && one_value);
        Walk { column, bounds, tests, condition: &self.condition, ordered }
    }
}

/// How few rows a condition likely leaves, the fewest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Value,
    Prefix,
    /// No condition: the order asked for.
    Order,
    /// Of two truths each holds for half of the rows.
    Truth,
    Range,
}

impl Rank {
    fn of(filter: &Filter) -> Self {
        match (filter.comparison, &filter.value) {
            (Comparison::Eq, Value::Boolean(_)) => Self::Truth,
            (Comparison::Eq, _) => Self::Value,
            (Comparison::Prefix, _) => Self::Prefix,
            _ => Self::Range,
        }
    }
}

impl Error {
    /// [`Error::TooBroad`] of a page whose rows no walk finds among those it may look at.
    #[must_use]
    pub fn page_too_broad() -> Self {
        Self::TooBroad(format!(
            "a page of this query looks at more than QUERY_ROWS_SCANNED_MAX = {QUERY_ROWS_SCANNED_MAX} rows; \
             add a filter that leaves fewer, or sort by a column that is filtered"
        ))
    }

    /// What is told a query that ran for longer than `query_timeout`. Where it looks at no row beside those
    /// it gives, the store is slow and the query is not broad.
    #[must_use]
    pub fn query_too_slow(query_timeout: Duration, is_exact: bool) -> Self {
        let ran = format!("a query ran for longer than query_timeout = {query_timeout:?}");
        if is_exact {
            return Self::overloaded(format!("{ran}: the store has too much to do"), Duration::from_secs(1));
        }
        Self::TooBroad(format!("{ran}; add a filter that leaves fewer rows, or leave the count out"))
    }

    /// [`Error::TooBroad`] of a count that would go past the rows it may look at.
    #[must_use]
    pub fn count_too_broad() -> Self {
        Self::TooBroad(format!(
            "the count looks at more than QUERY_ROWS_SCANNED_MAX = {QUERY_ROWS_SCANNED_MAX} rows; add a \
             filter that leaves fewer, or leave the count out"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Direction;

    fn filter(query: Query, column: &str, comparison: Comparison) -> Query {
        query.filter(column, comparison, Value::Integer(1))
    }

    fn columns<'q>(walks: &[Walk<'q>]) -> Vec<(Option<&'q str>, bool, usize)> {
        walks.iter().map(|walk| (walk.column, walk.ordered, walk.tests.len())).collect()
    }

    #[test]
    fn without_conditions_a_page_is_a_walk_in_its_order() {
        assert_eq!(columns(&Query::default().page_walks()), [(None, true, 0)]);
        let sorted = Query::default().sort("a", Direction::Descending);
        assert_eq!(columns(&sorted.page_walks()), [(Some("a"), true, 0)]);
        assert_eq!(columns(&sorted.count_walks()), [(None, false, 0)]);
    }

    #[test]
    fn a_condition_on_the_order_itself_needs_no_other_way() {
        let query = filter(Query::default().sort("a", Direction::Ascending), "a", Comparison::Gt);
        assert_eq!(columns(&query.page_walks()), [(Some("a"), true, 0)]);
        let query = filter(Query::default(), "a", Comparison::Eq);
        assert_eq!(columns(&query.page_walks()), [(Some("a"), true, 0)], "equal values lie by key");
    }

    #[test]
    fn every_condition_and_the_order_is_a_way() {
        let query = filter(Query::default(), "range", Comparison::Gt);
        let query = filter(query, "value", Comparison::Eq);
        let query = filter(query, "range", Comparison::Lt);
        let query = query.filter("truth", Comparison::Eq, Value::Boolean(true));
        let sorted = query.clone().sort("order", Direction::Ascending);
        assert_eq!(
            columns(&sorted.page_walks()),
            [
                (Some("value"), false, 3),
                (Some("order"), true, 4),
                (Some("truth"), false, 3),
                (Some("range"), false, 2)
            ]
        );
        assert_eq!(
            columns(&query.page_walks()),
            [(Some("value"), true, 3), (Some("truth"), true, 3), (Some("range"), false, 2), (None, true, 4)]
        );
        assert_eq!(
            columns(&query.count_walks()),
            [(Some("value"), false, 3), (Some("truth"), false, 3), (Some("range"), false, 2)]
        );
    }

    #[test]
    fn a_condition_is_tested_along_every_way_and_makes_none() {
        let query = filter(Query::default().sort("a", Direction::Ascending), "a", Comparison::Eq);
        let condition = Condition::IsNull { column: "note".to_owned() };
        let tested = Query { condition: condition.clone(), ..query.clone() };
        let ways =
            |query: &Query| query.page_walks().iter().map(|walk| walk.column.is_some()).collect::<Vec<_>>();
        assert_eq!(ways(&tested), ways(&query));
        assert!(query.page_walks()[0].is_exact() && !tested.page_walks()[0].is_exact());
        for walk in tested.page_walks().iter().chain(&tested.count_walks()) {
            assert!(walk.has_tests() && *walk.condition == condition);
            let bare = walk.without_tests();
            assert!(!bare.has_tests() && bare.bounds == walk.bounds && bare.column == walk.column);
        }
    }
}
