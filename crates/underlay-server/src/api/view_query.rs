//! What the query string of a view or of entities asks for.
//!
//! `account[prefix]=Assets&balance[ge]=10&sort=-balance&limit=50&min_position=17&wait=3`
//!
//! `condition={"any":[{"column":"base","eq":"EUR"},{"column":"note","is_null":true}]}` says what filters cannot, and is
//! tested row by row.

use std::time::Duration;

use underlay_core::limits::QUERY_FILTERS_MAX;
use underlay_core::{
    Comparison, Condition, Cursor, Direction, Error, Filter, Position, Query, RowSchema, RowsOf, Sort, Value,
    ViewSchema,
};

use crate::parameters::{Parameters, unknown};
use crate::problem::Problem;

/// Rows in a page where the request does not say.
pub(crate) const PAGE_ROWS_DEFAULT: usize = 100;
/// How long a query waits for a view where the request does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// Parameters of a view that are no filters. A column of such a name is reached as `name[eq]`.
const OF_VIEW: [&str; 7] = ["sort", "cursor", "limit", "condition", "min_position", "wait", "count"];
/// The same of entities.
const OF_ENTITY: [&str; 5] = ["sort", "cursor", "limit", "condition", "count"];

/// The parameters that are no filters.
pub(crate) fn reserved(of: RowsOf) -> &'static [&'static str] {
    match of {
        RowsOf::View => &OF_VIEW,
        RowsOf::Entity => &OF_ENTITY,
    }
}

/// What the order by key is called, which is there anyway.
pub(crate) fn key_of(of: RowsOf) -> &'static str {
    match of {
        RowsOf::View => "key",
        RowsOf::Entity => "id",
    }
}

pub(crate) const COMPARISONS: [(&str, Comparison); 6] = [
    ("eq", Comparison::Eq),
    ("lt", Comparison::Lt),
    ("le", Comparison::Le),
    ("gt", Comparison::Gt),
    ("ge", Comparison::Ge),
    ("prefix", Comparison::Prefix),
];

/// What is asked of a view.
#[derive(Debug)]
pub(crate) struct ViewQuery {
    pub(crate) query: Query,
    /// Whether to count the rows of all pages.
    pub(crate) count: bool,
    pub(crate) wait: Option<Wait>,
}

/// What the rows must reflect before they are read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) position: Position,
    /// How long to wait for it.
    pub(crate) timeout: Duration,
}

/// What a page of rows is asked for by, whatever they are rows of.
#[derive(Debug)]
pub(crate) struct PageQuery {
    pub(crate) query: Query,
    /// Whether to count the rows of all pages.
    pub(crate) count: bool,
}

impl ViewQuery {
    pub(crate) fn parse(
        mut parameters: Parameters,
        schema: &ViewSchema,
        wait_max: Duration,
    ) -> Result<Self, Problem> {
        let wait = Wait::parse(&mut parameters, wait_max)?;
        let PageQuery { query, count } = PageQuery::parse(parameters, schema)?;
        Ok(Self { query, count, wait })
    }
}

impl PageQuery {
    /// Takes everything that is left.
    pub(crate) fn parse(mut parameters: Parameters, schema: &RowSchema) -> Result<Self, Problem> {
        let limit = parameters.take_limit(PAGE_ROWS_DEFAULT, underlay_core::limits::PAGE_ROWS_MAX)?;
        let count = parameters.take_parsed("count")?.unwrap_or(false);
        let sort = parameters.take("sort")?.map(|text| read_sort(&text, schema.of)).unwrap_or_default();
        let cursor = parameters.take("cursor")?;
        let after = cursor.map(|text| Cursor::from_text(&text, &sort, schema)).transpose()?;
        let condition = parameters.take("condition")?;
        let filters = parameters
            .into_rest()
            .iter()
            .map(|(name, value)| read_filter(name, value, schema))
            .collect::<Result<_, _>>()?;
        let mut query = Query { filters, sort, after, limit, ..Query::default() };
        if let Some(text) = condition {
            add_condition(&mut query, &text, schema)?;
        }
        query.validate(schema)?;
        Ok(Self { query, count })
    }
}

/// What parameters ask of rows of this shape, as those of an address do, and whether to count the rows of all pages: for
/// whoever has them from elsewhere.
///
/// # Errors
/// [`Error::Invalid`] with what would be right.
pub fn read_page_query(
    schema: &RowSchema,
    parameters: Vec<(String, String)>,
) -> Result<(Query, bool), Error> {
    let asked = PageQuery::parse(Parameters::of(parameters), schema);
    let PageQuery { query, count } = asked.map_err(|problem| Error::invalid(problem.detail()))?;
    Ok((query, count))
}

/// Adds a condition: what an index may serve of it becomes a filter, as far as there is room for more.
fn add_condition(query: &mut Query, text: &str, schema: &RowSchema) -> Result<(), Problem> {
    let json = serde_json::from_str(text)
        .map_err(|error| Problem::invalid(format!("the condition is not JSON: {error}")))?;
    let Query { filters: found, condition, .. } = Query::of(Condition::from_json(schema, &json)?, schema);
    query.condition = condition;
    for filter in found {
        if query.filters.len() < QUERY_FILTERS_MAX {
            query.filters.push(filter);
        } else {
            query.condition = std::mem::take(&mut query.condition).and(Condition::Compare(filter));
        }
    }
    Ok(())
}

impl Wait {
    /// Takes `min_position` and `wait`.
    pub(crate) fn parse(parameters: &mut Parameters, max: Duration) -> Result<Option<Self>, Problem> {
        let position = parameters.take_parsed("min_position")?;
        let seconds: Option<u64> = parameters.take_parsed("wait")?;
        let Some(position) = position else {
            return match seconds {
                None => Ok(None),
                Some(_) => Err(Problem::invalid("wait says how long, min_position must say for what")),
            };
        };
        let timeout = seconds.map_or(WAIT_DEFAULT.min(max), Duration::from_secs);
        if timeout.is_zero() || timeout > max {
            let max = max.as_secs();
            return Err(Problem::invalid(format!(
                "wait is 1 to {max} seconds, {} were asked for",
                timeout.as_secs()
            )));
        }
        Ok(Some(Self { position, timeout }))
    }
}

/// `balance` or `-balance`, or the order by key.
fn read_sort(text: &str, of: RowsOf) -> Sort {
    let (column, direction) = match text.strip_prefix('-') {
        Some(column) => (column, Direction::Descending),
        None => (text, Direction::Ascending),
    };
    Sort { column: (column != key_of(of)).then(|| column.to_owned()), direction }
}

/// `column=value` or `column[comparison]=value`.
fn read_filter(name: &str, value: &str, schema: &RowSchema) -> Result<Filter, Problem> {
    let (column, comparison) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        None => (name, Comparison::Eq),
        Some((column, comparison)) => match COMPARISONS.iter().find(|(known, _)| *known == comparison) {
            Some((_, comparison)) => (column, *comparison),
            None => {
                let known: Vec<&str> = COMPARISONS.iter().map(|(known, _)| *known).collect();
                let known = known.join(", ");
                let detail = format!("there is no comparison {comparison:?}; there are: {known}");
                return Err(Problem::invalid(detail));
            }
        },
    };
    let Some(found) = schema.columns.iter().find(|known| known.name == column && known.indexed) else {
        return Err(unknown(name, &known_parameters(schema)));
    };
    let value = Value::parse(found.column_type, value)
        .map_err(|error| Problem::invalid(format!("{name}: {error}")))?;
    Ok(Filter { column: column.to_owned(), comparison, value })
}

fn known_parameters(schema: &RowSchema) -> String {
    let reserved = reserved(schema.of);
    let indexed = schema.columns.iter().filter(|column| column.indexed);
    let filters = indexed.map(|column| {
        let name = column.name.as_str();
        if reserved.contains(&name) { format!("{name}[eq]") } else { name.to_owned() }
    });
    let known: Vec<String> = filters.chain(reserved.iter().map(|&name| name.to_owned())).collect();
    known.join(", ")
}
