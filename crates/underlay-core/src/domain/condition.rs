use crate::domain::{Comparison, Filter};
use crate::words::limits::{CONDITION_DEPTH_MAX, CONDITION_PARTS_MAX, CONDITION_VALUES_MAX};
use crate::words::{ColumnType, Error, RowSchema, Value};

/// What rows have to meet, as data: comparisons, and what joins them. It may name every column.
///
/// A condition is true of a row or false, and nothing else: a comparison with an empty column is false, so
/// [`Condition::Not`] of it is true. Text is compared by its bytes and decimals by their value.
/// [`Condition::meets`] is what it means; every store says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All of these are true; of none, it is true.
    All(Vec<Self>),
    /// One of these is true; of none, it is false.
    Any(Vec<Self>),
    /// This is false.
    Not(Box<Self>),
    /// The column compares with the value.
    Compare(Filter),
    /// The column has one of the values; of none, it is false.
    In {
        /// The column.
        column: String,
        /// The values; none of them is null.
        values: Vec<Value>,
    },
    /// The column is empty.
    IsNull {
        /// The column.
        column: String,
    },
}

/// True of every row.
impl Default for Condition {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Condition {
    /// The column compares with the value.
    pub fn compare(column: impl Into<String>, comparison: Comparison, value: Value) -> Self {
        Self::Compare(Filter { column: column.into(), comparison, value })
    }

    /// Both are true.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All(mut parts), Self::All(others)) => {
                parts.extend(others);
                Self::All(parts)
            }
            (Self::All(mut parts), other) => {
                parts.push(other);
                Self::All(parts)
            }
            (this, Self::All(mut others)) => {
                others.insert(0, this);
                Self::All(others)
            }
            (this, other) => Self::All(vec![this, other]),
        }
    }

    /// One of the two is true.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Any(mut parts) => {
                parts.push(other);
                Self::Any(parts)
            }
            this => Self::Any(vec![this, other]),
        }
    }

    /// It is false.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Whether it says nothing: it is true of every row whatever the columns are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// Whether a row meets it.
    #[must_use]
    pub fn meets(&self, schema: &RowSchema, row: &[Value]) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.meets(schema, row)),
            Self::Any(parts) => parts.iter().any(|part| part.meets(schema, row)),
            Self::Not(part) => !part.meets(schema, row),
            Self::Compare(filter) => filter.meets(schema, row),
            Self::In { column, values } => {
                let value = value_in(schema, row, column);
                *value != Value::Null && values.contains(value)
            }
            Self::IsNull { column } => *value_in(schema, row, column) == Value::Null,
        }
    }

    /// Checks it against the columns there are.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column or the limit.
    pub fn validate(&self, schema: &RowSchema) -> Result<(), Error> {
        let mut parts = 0;
        self.check(schema, 1, &mut parts)
    }

    fn check(&self, schema: &RowSchema, depth: usize, parts: &mut usize) -> Result<(), Error> {
        *parts += 1;
        if depth > CONDITION_DEPTH_MAX {
            return Err(Error::invalid(format!(
                "conditions within each other exceed CONDITION_DEPTH_MAX = {CONDITION_DEPTH_MAX}"
            )));
        }
        if *parts > CONDITION_PARTS_MAX {
            return Err(Error::invalid(format!(
                "the parts of a condition exceed CONDITION_PARTS_MAX = {CONDITION_PARTS_MAX}"
            )));
        }
        match self {
            Self::All(inner) | Self::Any(inner) => {
                inner.iter().try_for_each(|part| part.check(schema, depth + 1, parts))
            }
            Self::Not(inner) => inner.check(schema, depth + 1, parts),
            Self::Compare(filter) => {
                schema.column(&filter.column)?;
                filter.check(schema)
            }
            Self::In { column, values } => check_in(schema, column, values),
            Self::IsNull { column } => schema.column(column).map(|_| ()),
        }
    }
}

fn check_in(schema: &RowSchema, column: &str, values: &[Value]) -> Result<(), Error> {
    schema.column(column)?;
    if values.len() > CONDITION_VALUES_MAX {
        return Err(Error::invalid(format!(
            "{} values for column {column} exceed CONDITION_VALUES_MAX = {CONDITION_VALUES_MAX}",
            values.len()
        )));
    }
    values.iter().try_for_each(|value| check_compared(schema, column, value))
}

/// Checks the value that a column is compared with.
pub(super) fn check_compared(schema: &RowSchema, column: &str, value: &Value) -> Result<(), Error> {
    let column = schema.column(column)?;
    if value.column_type() != Some(column.column_type) {
        return Err(Error::invalid(format!(
            "column {} holds {:?}, the filter compares it with {value:?}",
            column.name, column.column_type
        )));
    }
    if value.is_below_microseconds() {
        return Err(Error::invalid(format!(
            "a time in a row is kept to the microsecond, so none is compared with a finer one (column {})",
            column.name
        )));
    }
    if matches!(value, Value::Text(text) if text.contains('\0')) {
        return Err(Error::invalid(format!(
            "no text in a row holds a NUL, so none is compared with one (column {})",
            column.name
        )));
    }
    Ok(())
}

/// What a row has in a column.
pub(super) fn value_in<'r>(schema: &RowSchema, row: &'r [Value], column: &str) -> &'r Value {
    schema.column_at(column).and_then(|at| row.get(at)).unwrap_or(&Value::Null)
}

impl Filter {
    /// Checks how the column is compared with the value.
    pub(super) fn check(&self, schema: &RowSchema) -> Result<(), Error> {
        check_compared(schema, &self.column, &self.value)?;
        if self.comparison == Comparison::Prefix && self.value.column_type() != Some(ColumnType::Text) {
            return Err(Error::invalid(format!("prefix is for text, column {} is not", self.column)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Query;
    use crate::words::limits::QUERY_FILTERS_MAX;
    use crate::words::{Column, RowsOf};

    fn rows() -> RowSchema {
        let column = |name: &str, nullable, indexed| Column {
            name: name.to_owned(),
            column_type: ColumnType::Integer,
            nullable,
            indexed,
        };
        let columns = vec![column("a", false, true), column("b", true, false)];
        RowSchema::new(RowsOf::Entity, "thing", 1, columns)
    }

    fn equal(column: &str, value: i64) -> Condition {
        Condition::compare(column, Comparison::Eq, Value::Integer(value))
    }

    #[test]
    fn nothing_is_equal_to_what_is_empty_and_so_everything_is_not() {
        let row = [Value::Integer(1), Value::Null];
        for comparison in [Comparison::Eq, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge] {
            let compared = Condition::compare("b", comparison, Value::Integer(1));
            assert!(!compared.meets(&rows(), &row), "{comparison:?}");
            assert!(compared.negated().meets(&rows(), &row), "not {comparison:?}");
        }
        let any = Condition::In { column: "b".to_owned(), values: vec![Value::Integer(1)] };
        assert!(!any.meets(&rows(), &row) && any.negated().meets(&rows(), &row));
        assert!(Condition::IsNull { column: "b".to_owned() }.meets(&rows(), &row));
        assert!(!Condition::IsNull { column: "a".to_owned() }.meets(&rows(), &row));
    }

    #[test]
    fn what_an_index_may_serve_becomes_filters_and_the_rest_is_tested() {
        let query = Query::of(equal("a", 1).and(equal("b", 2)).and(equal("a", 3)), &rows());
        let filters: Vec<&Value> = query.filters.iter().map(|filter| &filter.value).collect();
        assert_eq!(filters, [&Value::Integer(1), &Value::Integer(3)]);
        assert_eq!(query.condition, equal("b", 2));
        // What only one of several says is no filter.
        let either = equal("a", 1).or(equal("a", 2));
        let query = Query::of(either.clone(), &rows());
        assert_eq!((query.filters.len(), &query.condition), (0, &either));
        let query = Query::of(equal("a", 1), &rows());
        assert!(query.filters.len() == 1 && query.condition.is_empty());
        // What is more than a query may have as filters is tested too.
        let many = Condition::All((0..=QUERY_FILTERS_MAX as i64).map(|value| equal("a", value)).collect());
        let query = Query::of(many, &rows());
        assert_eq!(query.filters.len(), QUERY_FILTERS_MAX);
        assert_eq!(query.condition, equal("a", QUERY_FILTERS_MAX as i64));
        query.validate(&rows()).unwrap();
    }
}
