use serde::{Deserialize, Serialize};

use crate::domain::Condition;
use crate::domain::condition::value_in;
use crate::words::limits::{PAGE_ROWS_MAX, QUERY_FILTERS_MAX};
use crate::words::{Error, RowSchema, Value};

/// How a filter compares a column with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Less than.
    Lt,
    /// At most.
    Le,
    /// More than.
    Gt,
    /// At least.
    Ge,
    /// Text that starts with the value.
    Prefix,
}

/// One condition on a column. The conditions of a query all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The column. Of a filter of a query it is an indexed one.
    pub column: String,
    /// How to compare.
    pub comparison: Comparison,
    /// With what; never null.
    pub value: Value,
}

impl Filter {
    /// Whether a row meets it. One whose column is empty does not.
    #[must_use]
    pub fn meets(&self, schema: &RowSchema, row: &[Value]) -> bool {
        let value = value_in(schema, row, &self.column);
        if *value == Value::Null {
            return false;
        }
        match self.comparison {
            Comparison::Eq => *value == self.value,
            Comparison::Lt => *value < self.value,
            Comparison::Le => *value <= self.value,
            Comparison::Gt => *value > self.value,
            Comparison::Ge => *value >= self.value,
            Comparison::Prefix => match (value, &self.value) {
                (Value::Text(text), Value::Text(prefix)) => text.starts_with(prefix.as_str()),
                _ => false,
            },
        }
    }
}

/// Which way rows are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

/// The order of the rows. Equal ones are ordered by key, in the same direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// An indexed column; `None` orders by key alone.
    pub column: Option<String>,
    /// Which way.
    pub direction: Direction,
}

/// The last row of a page: the next page begins after it, whatever was written in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its value in the sort column; `None` where the order is by key.
    pub value: Option<Value>,
    /// Its key.
    pub key: String,
}

#[derive(Serialize, Deserialize)]
struct CursorText {
    sort: Option<String>,
    direction: Direction,
    value: Option<String>,
    key: String,
}

impl Cursor {
    /// As an opaque text for the outside, bound to the order it belongs to.
    #[must_use]
    pub fn to_text(&self, sort: &Sort) -> String {
        let value = self.value.as_ref().map(|value| match value {
            Value::Null => String::new(),
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Decimal(number) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Timestamp(time) => time.to_string(),
        });
        let text =
            CursorText { sort: sort.column.clone(), direction: sort.direction, value, key: self.key.clone() };
        // A struct of strings always has a JSON form.
        let json = serde_json::to_vec(&text).unwrap_or_default();
        json.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Cursor::to_text`] wrote for the same order.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the text is no cursor, or one of another order.
    pub fn from_text(text: &str, sort: &Sort, schema: &RowSchema) -> Result<Self, Error> {
        let not_a_cursor =
            || Error::invalid("the cursor is not one; take it as it was given in the page before");
        let byte = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
        let parsed: CursorText =
            bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(not_a_cursor)?;
        if parsed.sort != sort.column || parsed.direction != sort.direction {
            return Err(Error::invalid("the cursor belongs to another sort; begin again without it"));
        }
        let value = match (&sort.column, parsed.value) {
            (Some(column), Some(text)) => {
                Some(Value::parse(schema.indexed_column(column)?.column_type, &text)?)
            }
            (None, None) => None,
            _ => return Err(not_a_cursor()),
        };
        Ok(Self { value, key: parsed.key })
    }
}

/// What to read of a view's rows, or of entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Conditions that all hold, each of which an index may serve.
    pub filters: Vec<Filter>,
    /// What rows have to meet beside that. It may name every column and is tested row by row, so no row is found by
    /// it; see [`Query::of`].
    pub condition: Condition,
    /// The order.
    pub sort: Sort,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// Rows in the page.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            condition: Condition::default(),
            sort: Sort::default(),
            after: None,
            limit: 100,
        }
    }
}

impl Query {
    /// What meets a condition: what an index may serve of it becomes filters, the rest is tested row by row.
    #[must_use]
    pub fn of(condition: Condition, schema: &RowSchema) -> Self {
        let mut query = Self::default();
        let mut rest = Vec::new();
        query.take(condition, schema, &mut rest);
        query.condition = match rest.len() {
            1 => rest.remove(0),
            _ => Condition::All(rest),
        };
        query
    }

    fn take(&mut self, condition: Condition, schema: &RowSchema, rest: &mut Vec<Condition>) {
        match condition {
            Condition::All(parts) => parts.into_iter().for_each(|part| self.take(part, schema, rest)),
            Condition::Compare(filter)
                if self.filters.len() < QUERY_FILTERS_MAX
                    && schema.indexed_column(&filter.column).is_ok() =>
            {
                self.filters.push(filter);
            }
            part => rest.push(part),
        }
    }

    /// Whether a row meets the filters and the condition.
    #[must_use]
    pub fn meets(&self, schema: &RowSchema, row: &[Value]) -> bool {
        self.filters.iter().all(|filter| filter.meets(schema, row)) && self.condition.meets(schema, row)
    }

    /// Adds a condition.
    #[must_use]
    pub fn filter(mut self, column: impl Into<String>, comparison: Comparison, value: Value) -> Self {
        self.filters.push(Filter { column: column.into(), comparison, value });
        self
    }

    /// Sets the order.
    #[must_use]
    pub fn sort(mut self, column: impl Into<String>, direction: Direction) -> Self {
        self.sort = Sort { column: Some(column.into()), direction };
        self
    }

    /// Sets the number of rows in a page.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Checks the query against the columns there are. Adapters call it first.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column or limit and lists what there is.
    pub fn validate(&self, schema: &RowSchema) -> Result<(), Error> {
        if self.limit == 0 || self.limit > PAGE_ROWS_MAX {
            return Err(Error::invalid(format!(
                "a page holds 1 to PAGE_ROWS_MAX = {PAGE_ROWS_MAX} rows, {} were asked for",
                self.limit
            )));
        }
        if self.filters.len() > QUERY_FILTERS_MAX {
            return Err(Error::invalid(format!(
                "{} filters exceed QUERY_FILTERS_MAX = {QUERY_FILTERS_MAX}",
                self.filters.len()
            )));
        }
        for filter in &self.filters {
            schema.indexed_column(&filter.column)?;
            filter.check(schema)?;
        }
        self.condition.validate(schema)?;
        let sort_type = match &self.sort.column {
            Some(column) => Some(schema.indexed_column(column)?.column_type),
            None => None,
        };
        match &self.after {
            Some(cursor) if cursor.key.contains('\0') || cursor.value.as_ref().is_some_and(has_nul) => {
                Err(Error::invalid("the cursor holds a NUL, which no row does; begin again without it"))
            }
            Some(cursor) if cursor.value.as_ref().and_then(Value::column_type) != sort_type => {
                Err(Error::invalid("the cursor belongs to another sort; begin again without it"))
            }
            _ => Ok(()),
        }
    }
}

fn has_nul(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.contains('\0'))
}
