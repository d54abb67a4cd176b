//! What the query string of a view asks for.
//!
//! `account[prefix]=Assets&balance[ge]=10&sort=-balance&limit=50&min_position=17&wait=3`

use std::time::Duration;

use underlay_core::{Comparison, Cursor, Direction, Filter, Position, Query, Sort, Value, ViewSchema};

use crate::parameters::{Parameters, unknown};
use crate::problem::Problem;

/// Rows in a page where the request does not say.
pub(crate) const PAGE_ROWS_DEFAULT: usize = 100;
/// How long a query waits for a view where the request does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// Parameters that are no filters. A column of such a name is reached as `name[eq]`.
pub(crate) const RESERVED: [&str; 6] = ["sort", "cursor", "limit", "min_position", "wait", "count"];

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

impl ViewQuery {
    pub(crate) fn parse(
        mut parameters: Parameters,
        schema: &ViewSchema,
        wait_max: Duration,
    ) -> Result<Self, Problem> {
        let wait = Wait::parse(&mut parameters, wait_max)?;
        let limit = parameters.take_limit(PAGE_ROWS_DEFAULT, underlay_core::limits::PAGE_ROWS_MAX)?;
        let count = parameters.take_parsed("count")?.unwrap_or(false);
        let sort = parameters.take("sort")?.map(|text| read_sort(&text)).unwrap_or_default();
        let cursor = parameters.take("cursor")?;
        let after = cursor.map(|text| Cursor::from_text(&text, &sort, schema)).transpose()?;
        let filters = parameters
            .into_rest()
            .iter()
            .map(|(name, value)| read_filter(name, value, schema))
            .collect::<Result<_, _>>()?;
        let query = Query { filters, sort, after, limit, ..Query::default() };
        query.validate(schema)?;
        Ok(Self { query, count, wait })
    }
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

/// `balance` or `-balance`; `key` is the order by key, which is there anyway.
fn read_sort(text: &str) -> Sort {
    let (column, direction) = match text.strip_prefix('-') {
        Some(column) => (column, Direction::Descending),
        None => (text, Direction::Ascending),
    };
    Sort { column: (column != "key").then(|| column.to_owned()), direction }
}

/// `column=value` or `column[comparison]=value`.
fn read_filter(name: &str, value: &str, schema: &ViewSchema) -> Result<Filter, Problem> {
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

fn known_parameters(schema: &ViewSchema) -> String {
    let indexed = schema.columns.iter().filter(|column| column.indexed);
    let filters = indexed.map(|column| {
        let name = column.name.as_str();
        if RESERVED.contains(&name) { format!("{name}[eq]") } else { name.to_owned() }
    });
    let known: Vec<String> = filters.chain(RESERVED.map(str::to_owned)).collect();
    known.join(", ")
}
